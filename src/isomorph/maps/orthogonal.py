"""Maps that keep distances: a rotation or reflection between the centred spaces, with or without a scale."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .._core.linalg import require_variation
from .._core.rows import BlockRows
from ._affine import AffineMap
from ._base import Matrix
from ._block_fits import cross_products


class Orthogonal(AffineMap):
    """The rotation or reflection Q that brings centred `x` nearest to centred `y`, without a change of scale.

    Minimises ``|(x - mean_x) Q - (y - mean_y)|`` over partial isometries. Between unequal widths that is the
    solution with the narrower side padded by zeros. A direction on which the pairs say nothing (the rank of the
    cross-covariance is below the smaller width, as with few pairs) is mapped to the mean, not to an arbitrary place.

    Attributes:
        rank_: Directions that are carried over.
        scale_: Factor on Q; 1 here.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = x @ np.linalg.qr(noise[:6])[0] + 1  # rotated and moved
        >>> fitted = iso.make_map("orthogonal").fit(x[:80], y[:80])
        >>> round(fitted.score(x[80:], y[80:]), 3)  # held-out R²
        1.0
    """

    name: ClassVar[str] = "orthogonal"
    in_blocks: ClassVar[bool] = True
    reference: ClassVar[str] = "Schönemann 1966, orthogonal Procrustes; reflections allowed."
    _scaled: ClassVar[bool] = False

    def __init__(self) -> None:
        pass

    def _fit(self, x: Matrix, y: Matrix, factor: Any) -> None:
        self.x_mean_, self.y_mean_ = x.mean(axis=0), y.mean(axis=0)
        xc, yc = x - self.x_mean_, y - self.y_mean_
        require_variation(x, xc, "x")
        require_variation(y, yc, "y")
        basis_x, few_x = _compressed(xc)
        basis_y, few_y = _compressed(yc)
        left, s, right = np.linalg.svd(few_x.T @ few_y, full_matrices=False)
        # the cross-covariance has at most the rank of the centred pairs: its further singular values are rounding
        size = np.linalg.norm(xc) * np.linalg.norm(yc)
        least = size * max(len(x), min(x.shape[1], y.shape[1])) * np.finfo(s.dtype).eps
        self.rank_ = min(int(np.sum(s > least)), len(x) - 1)
        left, right = left[:, : self.rank_], right[: self.rank_]
        rotation = (left if basis_x is None else basis_x @ left) @ (right if basis_y is None else right @ basis_y.T)
        self.scale_ = float(s[: self.rank_].sum() / np.vdot(xc, xc)) if self._scaled else 1.0
        self.coef_ = self.scale_ * rotation

    def _fit_blocks(self, x: BlockRows, y: BlockRows, factor: Any) -> None:
        self.x_mean_, self.y_mean_ = x.mean, y.mean
        left, s, right = np.linalg.svd(cross_products(x, y), full_matrices=False)
        least = np.sqrt(x.variation * y.variation) * len(x) * np.finfo(s.dtype).eps  # of more items than features
        self.rank_ = int(np.sum(s > least))
        rotation = left[:, : self.rank_] @ right[: self.rank_]
        self.scale_ = float(s[: self.rank_].sum() / x.variation) if self._scaled and self.rank_ else 1.0
        self.coef_ = self.scale_ * rotation

    def inverse(self) -> Orthogonal:
        """The rotation back (and the scale undone): exact where the widths agree and the pairs span the space.

        Elsewhere it is the Moore-Penrose inverse: directions that were carried over come back, the rest is the mean.

        Raises:
            InputError: if the map is not fitted.
        """
        self._require_fitted()
        inverse = self._reversed(self.coef_.T / self.scale_**2, type(self)())
        inverse.rank_, inverse.scale_ = self.rank_, 1 / self.scale_
        return inverse


def _compressed(rows: Matrix) -> tuple[Matrix | None, Matrix]:
    """An orthonormal basis (d, n) of what wide rows span and the rows in it (n, n); None and the rows if not wide.

    Few pairs say nothing outside of it, so a fit costs O(n² d) and not O(d³).
    """
    if rows.shape[1] <= rows.shape[0]:
        return None, rows
    basis, triangle = np.linalg.qr(rows.T)
    return basis, triangle.T


class Procrustes(Orthogonal):
    """The rotation or reflection with the scale that brings centred `x` nearest to centred `y`.

    As `orthogonal`, times ``Σ σ / |x - mean_x|²``, the least-squares scale, σ being the singular values of the
    cross-covariance. Noise makes that scale small, as it makes every regression small; cosines do not see it.

    Attributes:
        rank_: Directions that are carried over.
        scale_: The scale.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = 2 * x @ np.linalg.qr(noise[:6])[0] + 1  # rotated, scaled and moved
        >>> fitted = iso.make_map("procrustes").fit(x[:80], y[:80])
        >>> round(fitted.score(x[80:], y[80:]), 3)  # held-out R²
        1.0
    """

    name: ClassVar[str] = "procrustes"
    reference: ClassVar[str] = "Schönemann & Carroll 1970; Gower 1975."
    _scaled: ClassVar[bool] = True
