"""A shared space of canonical directions."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..errors import InputError
from ._affine import Factor, factorize, positive, require_own_factor, whole
from ._base import Map, Matrix


class Cca(Map):
    """Regularised canonical correlation analysis: both sides projected onto the directions that they share.

    Each canonical variate is scaled to unit variance over the training pairs and then weighted by its correlation to
    the power `weight`, so that shared directions count for more in retrieval than chance ones.

    Args:
        components: How many directions; by default as many as the smaller rank.
        regularization: Share of the mean variance per direction that is added to each direction of either side. At 0
            more dimensions than pairs make every correlation 1 and the map useless: refused.
        weight: Power of the correlations that scale the variates; 0 leaves them all alike.

    Attributes:
        correlations_: Regularised canonical correlations (components,), descending; not held out.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = x @ noise[:6]  # another basis
        >>> fitted = iso.make_map("cca(regularization=0.0)").fit(x[:80], y[:80])
        >>> a, b = fitted.embed_x(x[80:]), fitted.embed_y(y[80:])  # both sides in one space
        >>> cosines = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
        >>> round(float(np.mean(cosines.argmax(axis=1) == np.arange(20))), 2)  # found among 20 held out; chance 0.05
        1.0
    """

    name: ClassVar[str] = "cca"
    direct: ClassVar[bool] = False
    reference: ClassVar[str] = (
        "Hotelling 1936; Vinod 1976 (regularised); weights by correlation: Gong et al. 2014, there to the power 4."
    )

    def __init__(self, components: int | None = None, regularization: float = 0.1, weight: float = 1.0) -> None:
        self.components = components
        self.regularization = regularization
        self.weight = weight

    def factor(self, x: Any) -> Factor:
        """One singular value decomposition, shared by all fits on the same rows of `x`."""
        return factorize(x)

    def _fit(self, x: Matrix, y: Matrix, factor: Any) -> None:
        require_own_factor(factor, Factor, x, self)
        share = positive(self, "regularization", self.regularization, zero=True)
        power = positive(self, "weight", self.weight, zero=True)
        fx, fy = factor, factorize(y, "y")
        most = min(fx.rank, fy.rank)
        k = most if self.components is None else whole(self, "components", self.components)
        if k > most:
            raise InputError(
                f"{self.spec}: {k} components need two spaces of at least that rank, found ranks {fx.rank} and "
                f"{fy.rank} over {x.shape[0]} pairs; lower components or give more pairs."
            )
        if share == 0 and (fx.spans_items or fy.spans_items):
            raise InputError(
                f"{self.spec}: {x.shape[0]} pairs for ranks {fx.rank} and {fy.rank}: without regularization every "
                "direction correlates perfectly. Give more pairs than features, or set regularization above 0."
            )
        wide = [np.sqrt(f.s**2 + share * f.total / f.rank) for f in (fx, fy)]
        left, rho, right = np.linalg.svd(
            (fx.s / wide[0])[:, None] * (fx.u.T @ fy.u) * (fy.s / wide[1]), full_matrices=False
        )
        self.correlations_ = np.clip(rho[:k], 0.0, 1.0)
        scale = np.sqrt(x.shape[0]) * self.correlations_**power
        self.x_mean_, self.y_mean_ = fx.mean, fy.mean
        self.x_projection_ = (fx.vt.T / wide[0]) @ left[:, :k] * scale
        self.y_projection_ = (fy.vt.T / wide[1]) @ right[:k].T * scale

    def embed_x(self, x: Any) -> Matrix:
        projected: Matrix = (self._rows(x) - self.x_mean_) @ self.x_projection_
        return projected

    def embed_y(self, y: Any) -> Matrix:
        projected: Matrix = (self._target_rows(y) - self.y_mean_) @ self.y_projection_
        return projected
