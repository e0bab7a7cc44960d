"""One RDM in the place of features: what a side of a comparison holds where dissimilarities are all that is known."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from ..errors import InputError

WHERE_RDMS_GO = (
    "RDMs are compared by the metric 'rsa', in scan and atlas; for anything else give the features that the RDM was "
    "made of."
)

Floats = np.ndarray[Any, np.dtype[np.float64]]


@final
class Rdm:
    """One representational dissimilarity matrix, which stands where features of the same items would.

    It is no array, so that no metric reads dissimilarities as features: only what compares RDMs asks the gate for it
    (`as_features` with ``rdms=True``). Its items are chosen along both axes, so that ``rdm[rows]`` is the RDM of these
    items as ``features[rows]`` are their features.

    Attributes:
        square: Dissimilarities (n, n), symmetric with a zero diagonal; NaN where one was not measured.
        ids: Ids of the items, or None where rows are joined as they stand.
    """

    __slots__ = ("ids", "square")

    def __init__(self, square: Floats, ids: tuple[str, ...] | None = None) -> None:
        self.square, self.ids = square, ids
        square.flags.writeable = False

    @property
    def shape(self) -> tuple[int, int]:
        """Items twice: each item's dissimilarities to all others are its row."""
        return (len(self.square), len(self.square))

    @property
    def condensed(self) -> Floats:
        """The upper triangle row by row (n (n - 1) / 2), the order of SciPy."""
        return np.asarray(self.square[np.triu_indices(len(self.square), 1)])

    @property
    def missing(self) -> int:
        """Number of pairs of items whose dissimilarity is NaN."""
        return int(np.isnan(self.square).sum()) // 2

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """An RDM is no array of features; its numbers are in `square` and `condensed`.

        Raises:
            InputError: always.
        """
        raise InputError(f"An RDM of {len(self.square)} items is no features. {WHERE_RDMS_GO}")

    def __len__(self) -> int:
        return len(self.square)

    def __getitem__(self, rows: Any) -> Rdm:
        index = np.arange(len(self.square))[rows]
        if index.ndim != 1:
            raise InputError(
                f"An RDM takes several items at once, such as rdm[[0, 2, 5]], found {rows!r}; its numbers are in "
                "rdm.square."
            )
        ids = None if self.ids is None else tuple(self.ids[int(i)] for i in index)
        return Rdm(self.square[np.ix_(index, index)], ids)

    def __repr__(self) -> str:
        lost = f", {self.missing} dissimilarities missing" if self.missing else ""
        return f"Rdm({len(self.square)} items{lost})"
