"""Alignment first: every space into one shared space, then one readout, which serves items that lack a view too."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .._core.checks import as_count
from .._core.shared_space import generalized_cca
from ..design import Codes
from ..errors import InputError
from ..maps import make_map
from ._base import Head, Matrix, Spaces, Views, averaged
from ._linear import fit_linear
from ._target import Target

GENERALIZED = "gcca"


class Shared(Head):
    """Every space mapped into one shared space, the mean of what an item has there read by one linear model.

    Args:
        map: ``"gcca"``: generalised CCA of all spaces at once, regularised; or a map of `isomorph.maps`, such as
            ``"orthogonal"``, from every other space to the first.
        dims: Dimensions of the shared space of ``"gcca"``, at most half the items.
        regularization: Ridge share of ``"gcca"``: of each space's total variance.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> z, noise = rng.normal(size=(2, 200, 3))
        >>> spaces = {"x": z @ rng.normal(size=(3, 8)), "y": z @ rng.normal(size=(3, 6))}
        >>> head = iso.make_head("shared(dims=3)").fit(spaces, (z[:, 0] > 0).astype(int))
        >>> alone = head.predict({"y": spaces["y"]}).argmax(axis=1)  # an item without x is served too
        >>> bool((alone == (z[:, 0] > 0)).mean() > 0.95)
        True
    """

    name: ClassVar[str] = "shared"
    reference: ClassVar[str] = "Kettenring 1971, Carroll 1968 (MAXVAR generalised CCA); regularised as in rcca."
    quick: ClassVar[dict[str, object]] = {"dims": 4}

    def __init__(self, map: str = GENERALIZED, dims: int = 64, regularization: float = 1e-2) -> None:
        as_count(dims, "dims")
        if map != GENERALIZED:
            make_map(map)
        if not regularization > 0:
            raise InputError(f"regularization={regularization} must be above 0.")
        self.map = map
        self.dims = dims
        self.regularization = regularization

    def _fit(self, spaces: Spaces, target: Target, folds: Codes, seed: int) -> None:
        if self.map == GENERALIZED:
            self.scaling_, self.back_ = generalized_cca(spaces, self.dims, self.regularization)
        else:
            first = next(iter(spaces))
            self.maps_ = {s: make_map(self.map).fit(rows, spaces[first]) for s, rows in spaces.items() if s != first}
            if len(self.maps_) > 1 and not all(m.direct for m in self.maps_.values()):
                raise InputError(
                    f"The map {self.map} brings two spaces into a third; of {len(spaces)} spaces each pair would have "
                    f"another. Use map='{GENERALIZED}', or a map that predicts the first space, such as 'ridge'."
                )
            # a map into a third space brings the first side there too
            self.embed_first_ = next((m.embed_y for m in self.maps_.values() if not m.direct), None)
        placed = averaged([self._embedded(name, rows) for name, rows in spaces.items()])
        self.readout_ = fit_linear({"shared": placed}, target, folds=folds)

    def _embedded(self, name: str, rows: Matrix) -> Matrix:
        if self.map == GENERALIZED:
            return np.asarray(self.scaling_[name](rows) @ self.back_[name])
        if name in self.maps_:
            return np.asarray(self.maps_[name].embed_x(rows))
        return np.asarray(rows if self.embed_first_ is None else self.embed_first_(rows))

    def _predict(self, spaces: Views) -> Matrix:
        placed = averaged([self._embedded(name, rows) for name, rows in spaces.items() if rows is not None])
        return self.readout_.predict({"shared": placed})
