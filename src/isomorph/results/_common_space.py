"""One space for all models of an atlas, fitted on some items and judged on the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from ..population import Agreement, Consensus
from ._base import Result
from ._tables import frame

Matrix = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class CommonSpace(Result):
    """How well every model agrees with one space for all, on items that neither the space nor a layer was chosen by.

    Agreement is the correlation of a model's coordinates with the mean coordinates of the others over the held-out
    items, mean over axes, from -1 to 1; the chance level is that of the same items in permuted orders, about 0. Numbers
    of one value a model have the order of `models`.

    Attributes:
        models: Names of the models.
        layers: The layer of each that was taken.
        axes: Axes of the space.
        n_train: Items that it was fitted on, and layers were chosen by.
        n_test: Items that it was judged on.
        permutations: Permuted orders of these.
        cca: Agreement by multi-set canonical correlation analysis (MAXVAR), which may weight directions at will.
        cca_chance: Its mean over permuted orders.
        cca_p: p of each by these, one-sided.
        procrustes: Agreement by generalized Procrustes analysis, which may only rotate.
        procrustes_chance: Its mean over permuted orders.
        procrustes_p: p of each by these, one-sided.
        alpha: Level at which `told` counts.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> z, *noise = np.random.default_rng(0).normal(size=(5, 100, 6))
        >>> models = {name: z + s * e for name, s, e in zip("abcd", (0.2, 0.5, 1, 50), noise)}
        >>> found = iso.atlas(models, "cka", permutations=39, splits=2, consensus=4).consensus()
        >>> (found.cca > 0.5).tolist(), (found.cca_p < 0.05).tolist()
        ([True, True, True, False], [True, True, True, False])
    """

    kind: ClassVar[str] = "common_space"

    models: tuple[str, ...]
    layers: tuple[str, ...]
    axes: int
    n_train: int
    n_test: int
    permutations: int
    cca: Matrix
    cca_chance: Matrix
    cca_p: Matrix
    procrustes: Matrix
    procrustes_chance: Matrix
    procrustes_p: Matrix
    alpha: float

    @classmethod
    def of(cls, found: Consensus, layers: tuple[str, ...], alpha: float) -> CommonSpace:
        """What is kept of a consensus.

        Args:
            found: The consensus.
            layers: The layer of each model.
            alpha: Level at which `told` counts.
        """

        def kept(name: str, way: Agreement) -> dict[str, Matrix]:
            return {name: way.values, f"{name}_chance": way.control, f"{name}_p": way.p_value}

        return cls(
            models=found.names,
            layers=layers,
            axes=found.axes,
            n_train=found.n_train,
            n_test=found.n_test,
            permutations=found.permutations,
            alpha=alpha,
            **kept("cca", found.cca),
            **kept("procrustes", found.procrustes),
        )

    def contradictions(self) -> Iterator[str]:
        for name in ("cca", "cca_chance", "cca_p", "procrustes", "procrustes_chance", "procrustes_p"):
            if getattr(self, name).shape != (len(self.models),):
                yield f"{name} is not of {len(self.models)} models"
        if len(self.layers) != len(self.models):
            yield f"it has {len(self.layers)} layers of {len(self.models)} models"

    @property
    def told(self) -> str:
        """What was found, in a sentence."""
        ways = (
            ("multi-set CCA", self.cca, self.cca_chance, self.cca_p),
            ("generalized Procrustes", self.procrustes, self.procrustes_chance, self.procrustes_p),
        )
        words = " and ".join(
            f"{values.mean():.2f} by {what} (permuted items {chance.mean():.2f}; {int((p <= self.alpha).sum())} of "
            f"{len(p)} models above them at p ≤ {self.alpha:g})"
            for what, values, chance, p in ways
        )
        return (
            f"One space of {self.axes} axes for all, fitted on {self.n_train:,} items: on {self.n_test:,} others, "
            f"a model's coordinates correlate with the mean of the others' by {words}."
        )

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary a model."""
        names = ("cca", "cca_chance", "cca_p", "procrustes", "procrustes_chance", "procrustes_p")
        rows = zip(self.models, self.layers, *(getattr(self, n).tolist() for n in names), strict=True)
        return [dict(zip(("model", "layer", *names), row, strict=True)) for row in rows]

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        return f"CommonSpace({len(self.models)} models: {self.told})"
