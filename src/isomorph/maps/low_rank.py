"""A map through a bottleneck: reduced-rank ridge regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..errors import InputError
from ._affine import AffineMap, require_own_factor, whole
from ._base import Matrix
from ._ridge_path import RidgePath
from .linear import PENALTIES, Ridge, choose_penalty


class LowRank(AffineMap):
    """Reduced-rank ridge regression: the best prediction of `y` through `rank` dimensions.

    Minimises ``|y - x C - b|² + penalty · |x - mean|² · |C|²`` over matrices C of the given rank. The penalty is the
    one with the least leave-one-out error at full rank. How little rank suffices tells how many dimensions are shared.

    Args:
        rank: Dimensions of the bottleneck.
        penalties: As for `ridge`.

    Attributes:
        penalty_: The chosen penalty, as a share of the total variance of `x`.
        singular_values_: Singular values (min(rank of x, d_y),) of the penalised fit, all of them.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = x @ noise[:6, :2] @ noise[:2]  # linear, of rank 2
        >>> fitted = iso.make_map("low_rank(rank=2)").fit(x[:80], y[:80])
        >>> round(fitted.score(x[80:], y[80:]), 3)  # held-out R²
        1.0
    """

    name: ClassVar[str] = "low_rank"
    quick: ClassVar[Mapping[str, Any]] = {"rank": 1}
    reference: ClassVar[str] = "Izenman 1975; with a ridge penalty: Mukherjee & Zhu 2011."

    def __init__(self, rank: int = 16, penalties: float | Sequence[float] = PENALTIES) -> None:
        self.rank = rank
        self.penalties = penalties

    def factor(self, x: Any) -> RidgePath:
        """One singular value decomposition, shared by all fits on the same rows of `x`."""
        return Ridge(self.penalties)._factor_whole(x)

    def _fit(self, x: Matrix, y: Matrix, factor: Any) -> None:
        require_own_factor(factor, RidgePath, x, self)
        rank, side = whole(self, "rank", self.rank), factor.factor
        if rank > min(side.rank, y.shape[1]):
            raise InputError(
                f"{self.spec}: a map of rank {rank} needs an x of at least that rank and as many features of y, found "
                f"rank {side.rank} over {x.shape[0]} pairs and {y.shape[1]} features; lower rank or give more pairs."
            )
        self.x_mean_, self.y_mean_ = side.mean, y.mean(axis=0)
        centered = y - self.y_mean_
        which, _ = choose_penalty(factor, centered)
        self.penalty_ = factor.penalties[which]
        kept = 1 - factor.shrinkage[which]
        # the penalty as further rows of zeros of y: the fit to those is U diag(sqrt(kept)) U'y in other coordinates
        _, self.singular_values_, right = np.linalg.svd(
            np.sqrt(kept)[:, None] * (side.u.T @ centered), full_matrices=False
        )
        self.coef_ = factor.solve(which, centered) @ right[:rank].T @ right[:rank]
