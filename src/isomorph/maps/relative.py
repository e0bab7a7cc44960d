"""Maps by similarity to paired anchors: two spaces with other bases agree on what an item is like.

Nothing is fitted: the anchors are known in both spaces, and an item is described by its similarities to them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from .._core.linalg import top_k, unit_rows
from ..errors import InputError
from ._affine import one_of, positive, whole
from ._anchors import anchor_rows
from ._base import Map, Matrix


class _Anchored(Map):
    """What maps by similarity to anchors share: the anchors on both sides, as unit rows around a common centre."""

    direct: ClassVar[bool] = False
    anchors: int | None
    centered: bool

    @property
    def min_pairs(self) -> int:
        """The number of anchors, at least 2."""
        return max(2, self.anchors) if isinstance(self.anchors, int) else 2

    def _choose(self, x: Matrix, y: Matrix) -> Matrix:
        """Positions of the anchors among the pairs."""
        return np.arange(len(x))

    def _check(self) -> None:
        """Refuse parameters that make no sense."""

    def _fit(self, x: Matrix, y: Matrix, factor: Any) -> None:
        if self.anchors is not None:
            whole(self, "anchors", self.anchors)
        self._check()
        self.x_center_, self.y_center_ = (
            side.mean(axis=0) if self.centered else np.zeros(side.shape[1]) for side in (x, y)
        )
        unit_x, unit_y = unit_rows(x - self.x_center_, "x"), unit_rows(y - self.y_center_, "y")
        self.anchor_rows_ = self._choose(unit_x, unit_y)
        self.x_anchors_, self.y_anchors_ = unit_x[self.anchor_rows_], unit_y[self.anchor_rows_]

    def embed_x(self, x: Any) -> Matrix:
        return self._describe(unit_rows(self._rows(x) - self.x_center_, "x") @ self.x_anchors_.T)

    def embed_y(self, y: Any) -> Matrix:
        return self._describe(unit_rows(self._target_rows(y) - self.y_center_, "y") @ self.y_anchors_.T)

    @abstractmethod
    def _describe(self, cosines: Matrix) -> Matrix:
        """The representation (n, anchors) made of the cosines to the anchors."""


def _angles(cosines: Matrix) -> Matrix:
    """Angles as shares of a half turn."""
    angles: Matrix = np.arccos(np.clip(cosines, -1.0, 1.0)) / np.pi
    return angles


class Relative(_Anchored):
    """Relative representations: an item is its similarities to the anchors.

    Args:
        anchors: Number of anchor pairs; the map needs at least as many pairs.
        choice: ``random``; ``kmeans``, the pairs nearest to centroids of `x`; ``farthest``, spread out in `x`; or
            ``mutual``, the pairs whose two sides find each other best.
        similarity: ``cosine``, or ``angular``, ``1 - angle / π``.
        centered: Whether the mean of the training rows is taken out first on either side. Without it, the common
            direction that most networks' features have makes all cosines alike.
        seed: Seed of the choice.

    Attributes:
        anchor_rows_: Positions (anchors,) of the anchors among the training pairs.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = 2 * x @ np.linalg.qr(noise[:6])[0] + 1  # rotated, scaled and moved
        >>> fitted = iso.make_map("relative(anchors=40)").fit(x[:80], y[:80])
        >>> a, b = fitted.embed_x(x[80:]), fitted.embed_y(y[80:])  # both sides in one space
        >>> cosines = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
        >>> round(float(np.mean(cosines.argmax(axis=1) == np.arange(20))), 2)  # found among 20 held out; chance 0.05
        1.0
    """

    name: ClassVar[str] = "relative"
    quick: ClassVar[Mapping[str, Any]] = {"anchors": 2}
    order_free: ClassVar[bool] = False
    reference: ClassVar[str] = "Moschella et al. 2023; there the features are not centred."

    def __init__(
        self,
        anchors: int = 100,
        choice: str = "random",
        similarity: str = "cosine",
        centered: bool = True,
        seed: int = 0,
    ) -> None:
        self.anchors = anchors
        self.choice = choice
        self.similarity = similarity
        self.centered = centered
        self.seed = seed

    def _check(self) -> None:
        one_of(self, "choice", self.choice, ("random", "kmeans", "farthest", "mutual"))
        one_of(self, "similarity", self.similarity, ("cosine", "angular"))

    def _choose(self, x: Matrix, y: Matrix) -> Matrix:
        assert self.anchors is not None  # checked by _fit
        return anchor_rows(self.choice, x, y, self.anchors, self.seed)

    def _describe(self, cosines: Matrix) -> Matrix:
        return cosines if self.similarity == "cosine" else 1 - _angles(cosines)


class Asif(_Anchored):
    """ASIF: similarities to all pairs, of which only the largest count, sharpened by a power.

    Negative similarities are set to 0 before the power, so that an even one cannot make them count. An item that is
    like no anchor (no cosine above 0) is the zero row.

    Args:
        anchors: How many pairs, drawn at random by `seed`; by default all of them.
        k: How many similarities are kept; by default a tenth of the anchors.
        power: The power.
        centered: Whether the mean of the training rows is taken out first on either side.
        seed: Seed of the draw.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = 2 * x @ np.linalg.qr(noise[:6])[0] + 1  # rotated, scaled and moved
        >>> fitted = iso.make_map("asif(k=40)").fit(x[:80], y[:80])
        >>> a, b = fitted.embed_x(x[80:]), fitted.embed_y(y[80:])  # both sides in one space
        >>> cosines = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
        >>> round(float(np.mean(cosines.argmax(axis=1) == np.arange(20))), 2)  # found among 20 held out; chance 0.05
        1.0
    """

    name: ClassVar[str] = "asif"
    reference: ClassVar[str] = (
        "Norelli et al. 2023, with k = 800 of 1.6 million pairs and power 8; there the features are not centred and "
        "the sign is kept through the power."
    )

    def __init__(
        self,
        anchors: int | None = None,
        k: int | None = None,
        power: float = 8.0,
        centered: bool = True,
        seed: int = 0,
    ) -> None:
        self.anchors = anchors
        self.k = k
        self.power = power
        self.centered = centered
        self.seed = seed

    def _check(self) -> None:
        positive(self, "power", self.power)
        if self.k is not None:
            whole(self, "k", self.k)

    def _choose(self, x: Matrix, y: Matrix) -> Matrix:
        rows = np.arange(len(x)) if self.anchors is None else anchor_rows("random", x, y, self.anchors, self.seed)
        if self.k is not None and self.k > len(rows):
            raise InputError(
                f"{self.spec}: k={self.k} similarities of {len(rows)} anchors; lower k or give more pairs."
            )
        return rows

    def _describe(self, cosines: Matrix) -> Matrix:
        anchors = cosines.shape[1]
        values, columns = top_k(cosines, self.k or max(1, round(anchors / 10)))
        sparse = np.zeros_like(cosines)
        np.put_along_axis(sparse, columns, np.maximum(values, 0.0) ** self.power, axis=1)
        norms = np.linalg.norm(sparse, axis=1, keepdims=True)
        described: Matrix = sparse / np.where(norms > 0, norms, 1.0)
        return described


class Indra(_Anchored):
    """All-anchor angular representation: an item is its angular distance to every training pair.

    Args:
        centered: Whether the mean of the training rows is taken out first on either side.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = 2 * x @ np.linalg.qr(noise[:6])[0] + 1  # rotated, scaled and moved
        >>> fitted = iso.make_map("indra").fit(x[:80], y[:80])
        >>> a, b = fitted.embed_x(x[80:]), fitted.embed_y(y[80:])  # both sides in one space
        >>> cosines = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
        >>> round(float(np.mean(cosines.argmax(axis=1) == np.arange(20))), 2)  # found among 20 held out; chance 0.05
        1.0
    """

    name: ClassVar[str] = "indra"
    reference: ClassVar[str] = (
        "Indra representations (NeurIPS 2025): angular distances to all samples, that is relative representations "
        "with every pair as an anchor; there the features are not centred."
    )
    anchors: int | None = None

    def __init__(self, centered: bool = True) -> None:
        self.centered = centered

    def _describe(self, cosines: Matrix) -> Matrix:
        return _angles(cosines)
