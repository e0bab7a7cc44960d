"""Spectral work that the canonical, shape and prediction metrics share: one decomposition a layer, all in float64.

Float64 throughout costs these metrics little (their time goes into the singular values of a pair, for which the
eigenvalues of the smaller Gram in float64 are faster than singular values in float32) and keeps float32 features to
1e-6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from array_api_compat import array_namespace, is_torch_array

from ...._core.arrays import Array, is_traced, take_rows, to_numpy
from ...._core.linalg import center, has_far_item, number, require_variation, sum_squares
from ....errors import InputError

S = TypeVar("S")
_CONDITIONED = 1e-5  # least share of the largest eigenvalue: leaves 11 digits of the smallest singular value


class Axes(NamedTuple):
    """Principal axes of one layer.

    Attributes:
        u: Left singular vectors (n, r): an orthonormal basis of the space of what the layer's units can say.
        s: Singular values (r,), descending, of the layer scaled to a largest absolute entry of one.
        vt: Right singular vectors (r, d), or None where no one asked for them.
        scale: The layer's largest absolute entry after centring.
        eps: Machine epsilon of the features as they came.
    """

    u: Array
    s: Array
    vt: Array | None
    scale: float
    eps: float

    @property
    def rank(self) -> int:
        """Number of axes kept."""
        return int(self.u.shape[1])

    @property
    def n(self) -> int:
        """Number of items."""
        return int(self.u.shape[0])

    def permuted(self, order: np.ndarray[Any, Any]) -> Axes:
        """The axes of the reordered items: a gather of rows."""
        return self._replace(u=take_rows(self.u, order))

    def first(self, count: int) -> Axes:
        """The `count` largest axes."""
        return self._replace(u=self.u[:, :count], s=self.s[:count], vt=None if self.vt is None else self.vt[:count, :])


def wide_centered(x: Array, what: str = "x", *, centered: bool = True) -> tuple[Array, float]:
    """`x` in float64, centred unless told otherwise, divided by its largest absolute entry, and that entry.

    Raises:
        InputError: if nothing varies in `x` (or, uncentred, if it is zero).
    """
    xp = array_namespace(x)
    wide = xp.astype(x, xp.float64)
    if centered:
        c = center(wide)
        c = c - xp.mean(c, axis=0, keepdims=True)  # what rounding the mean of a large offset left would add an axis
        require_variation(x, xp.astype(c, x.dtype), what)
    else:
        c = wide
    if is_traced(x):
        return c, 1.0
    largest = number(xp.max(xp.abs(c)))
    if largest == 0.0:
        raise InputError(f"{what} is zero: it has no directions to compare. Leave this layer out.")
    return c / largest, largest


def principal_axes(x: Array, what: str = "x", *, centered: bool = True, vectors: bool = False) -> Axes:
    """Thin SVD of a layer in float64, cut at its numerical rank.

    An axis is kept if its singular value exceeds ``eps max(n, d) s_1``, the rule of numpy.linalg.matrix_rank with the
    epsilon of the features as they came, and also exceeds what rounding a large offset leaves in the centred features,
    ``eps max|x| (√n + √d)``.

    Args:
        x: Checked features (n, d).
        what: The layer's name, for messages.
        centered: Whether columns are centred first.
        vectors: Whether the right singular vectors are kept.

    Raises:
        InputError: if nothing varies in `x`.
    """
    xp = array_namespace(x)
    n, d = x.shape
    c, scale = wide_centered(x, what, centered=centered)
    far = has_far_item(c)
    # beside a far item the axes of all others are small: each of these has the precision of its own features
    eps = float(xp.finfo(xp.float64 if far else x.dtype).eps)
    u, s, vt = xp.linalg.svd(c, full_matrices=False)
    offset = _offset_rounding(x, scale, far=far) if centered else 0.0
    tolerance = max(eps * max(n, d) * number(s[0]), offset)
    rank = int(xp.sum(xp.astype(s > tolerance, xp.int64)))
    if centered:
        rank = min(rank, n - 1)  # centring takes one direction away whatever rounding left of it
    if rank == 0:
        raise InputError(
            f"{what} is constant to the precision of {x.dtype}: its variation is lost in rounding against its offset. "
            "Leave this layer out, or pass it with its mean removed."
        )
    return Axes(u[:, :rank], s[:rank], vt[:rank, :] if vectors else None, scale, float(xp.finfo(x.dtype).eps))


def _offset_rounding(x: Array, scale: float, *, far: bool = False) -> float:
    """What rounding the offset of `x` leaves in the singular values of the centred features over `scale`.

    An item that is `far` from all others is no offset: the middle one of the items' largest entries counts then.
    """
    xp, (n, d) = array_namespace(x), x.shape
    sizes = xp.max(xp.abs(x), axis=1)
    largest = float(np.median(to_numpy(sizes))) if far else number(xp.max(sizes))
    return float(xp.finfo(x.dtype).eps) * largest / scale * float(n**0.5 + d**0.5)


def quick_axes(x: Array, what: str = "x") -> Axes:
    """`principal_axes` at about half the time where the layer is well conditioned, by eigenvectors of its smaller Gram.

    The Gram squares the singular values: the smallest ones lose as many digits as the square of their ratio to the
    largest one, so it serves only down to `_CONDITIONED`; elsewhere the decomposition is that of `principal_axes`.

    Raises:
        InputError: if nothing varies in `x`.
    """
    xp = array_namespace(x)
    n, d = x.shape
    c, scale = wide_centered(x, what)
    rank = min(n - 1, d)
    values, vectors = xp.linalg.eigh(c @ c.T if n <= d else c.T @ c)
    values, vectors = xp.flip(values[-rank:], axis=0), xp.flip(vectors[:, -rank:], axis=1)
    eps, least = float(xp.finfo(x.dtype).eps), number(values[-1])
    least = least**0.5 if least > _CONDITIONED * number(values[0]) else 0.0
    if least <= max(eps * max(n, d) * number(values[0]) ** 0.5, _offset_rounding(x, scale)):
        return principal_axes(x, what)
    s = xp.sqrt(values)
    return Axes(vectors if n <= d else (c @ vectors) / s[None, :], s, None, scale, eps)


def nuclear_norm(m: Array, eps: float) -> Array:
    """Sum of singular values, to about `eps` (the precision of the features behind `m`) but never below 1e-12.

    Roots of the eigenvalues of the smaller Gram take a quarter of the time of singular values and lose accuracy for
    small ones; the loss is bounded first, and where it would be felt, or where a gradient must flow, the singular
    values themselves are taken.
    """
    xp = array_namespace(m)
    if m.shape[0] > m.shape[1]:
        m = m.T
    if is_traced(m) or (is_torch_array(m) and m.requires_grad):
        return xp.sum(xp.linalg.svdvals(m))
    values = xp.linalg.eigvalsh(m @ m.T)
    noise = 8 * 2.3e-16 * number(values[-1])
    if noise <= 0.0:
        return xp.sum(xp.linalg.svdvals(m))
    roots = xp.sqrt(xp.clip(values, noise, None))
    total = xp.sum(roots)
    if number(xp.sum(noise / (2 * roots))) <= max(eps, 1e-12) * number(total):
        return total
    return xp.sum(xp.linalg.svdvals(m))


def compressed(c: Array) -> Array:
    """`c` (n, d) turned by a rotation of its features into (n, min(n, d)): inner products of items stay the same."""
    n, d = c.shape
    if d <= n:
        return c
    return array_namespace(c).linalg.qr(c.T)[1].T


def norm(x: Array) -> Array:
    """Frobenius norm in float64."""
    return sum_squares(x) ** 0.5


def block(xs: Sequence[S], ys: Sequence[S], pair: Callable[[S, S], Array], xp: Any) -> Array:
    """The matrix of `pair` over all pairs."""
    return xp.stack([xp.stack([pair(x, y) for y in ys]) for x in xs])
