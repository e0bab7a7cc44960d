"""Representational dissimilarity matrices as condensed upper triangles, and the vectors that comparisons read.

A condensed RDM holds d(0,1), d(0,2), …, d(0,n-1), d(1,2), …, the order of SciPy and rsatoolbox. Distances are taken in
double precision, so that equal ones stay equal to within rounding and can be recognised as ties.

All comparisons but Kendall's are inner products of one vector a layer, so that all layer pairs are one matrix product:
centred for Pearson, ranked first for Spearman, whitened for the whitened ones.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy
from array_api_compat import array_namespace, device, is_jax_array, is_torch_array, to_device

from ...._core.arrays import Array, is_traced, to_numpy
from ...._core.linalg import (
    about_most,
    are_few_values,
    center,
    number,
    require_variation,
    sum_squares,
    thin_svd,
    unit_rows,
)
from ...._core.memory import require
from ....errors import InputError

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

DISSIMILARITIES = ("correlation", "cosine", "euclidean", "squared_euclidean", "mahalanobis")
COMPARISONS = ("pearson", "spearman", "kendall", "rho_a", "cosine", "whitened_cosine", "whitened_pearson")
RANKED = frozenset({"spearman", "kendall", "rho_a"})
_ULPS = 16
_FAR = 100  # times the median squared distance from the mean
_NEAR = 1e-6  # of the squared norms: products leave ten digits of a squared distance, and fewer below
_STRIP = 1 << 22  # products held at once
_SMALL = 512  # items up to which the places of their pairs are kept: 2 MB each


# ---- condensed triangles -----------------------------------------------------------------------------------


def n_items(entries: int, what: str = "the RDM") -> int:
    """Number of items of a condensed RDM.

    Raises:
        InputError: if that many entries are no triangle.
    """
    n = (1 + math.isqrt(1 + 8 * entries)) // 2
    if n * (n - 1) // 2 != entries or n < 2:
        raise InputError(f"{what} has {entries} entries, which is not n (n - 1) / 2 for any number of items n.")
    return n


def condensed_index(i: Ints, j: Ints, n: int) -> Ints:
    """Place of the pair (i, j), i ≠ j, in a condensed RDM."""
    a, b = np.minimum(i, j), np.maximum(i, j)
    return np.asarray(a * n - (a * (a + 1)) // 2 + b - a - 1, dtype=np.int64)


def permuted_index(order: Ints, n: int | None = None) -> Ints:
    """Where the entries of the RDM of the items in a new order, or of some of the `n` items, stand in the old one."""
    i, j = _pairs(len(order)) if len(order) <= _SMALL else np.triu_indices(len(order), 1)
    return condensed_index(order[i], order[j], len(order) if n is None else n)


@functools.lru_cache(maxsize=8)  # every permutation and fold asks for them
def _pairs(n: int) -> tuple[Ints, Ints]:
    i, j = np.triu_indices(n, 1)
    return i, j


def take(vector: Array, index: Ints) -> Array:
    """Entries along the first axis, where the vector lives."""
    if isinstance(vector, np.ndarray):
        return np.take(vector, index, axis=0)
    xp = array_namespace(vector)
    where = xp.asarray(index)
    return xp.take(vector, where if is_jax_array(vector) else to_device(where, device(vector)), axis=0)


def _upper(products: Array) -> Array:
    """Entries right of the diagonal of a strip (b, m) whose first column is its first row's own item, row by row."""
    b, m = products.shape
    if isinstance(products, np.ndarray):
        return np.concatenate([products[r, r + 1 :] for r in range(b)])
    xp = array_namespace(products)
    index = np.flatnonzero(np.arange(m)[None, :] > np.arange(b)[:, None])
    return take(xp.reshape(products, (-1,)), index)


# ---- dissimilarities ---------------------------------------------------------------------------------------


def condensed(x: Array, dissimilarity: str, shrinkage: float) -> tuple[Array, Any]:
    """Condensed RDM in double precision and the unit that its entries are in.

    ``euclidean`` comes squared (its order is the same and its rounding known); multiply by the unit for true values.

    Raises:
        InputError: if the dissimilarity is not defined for some item, or all items are the same.
    """
    xp, n = array_namespace(x), x.shape[0]
    require(
        3 * 8 * (n * (n - 1) // 2),  # the triangle in double precision, what it is gathered from, and its ranks
        f"The RDM of {n:,} items ({n * (n - 1) // 2:,} pairs)",
        "Use fewer items, or a metric whose memory does not grow with their square: cka, mutual_knn or procrustes.",
    )
    wide = xp.astype(x, xp.float64)
    if dissimilarity in ("correlation", "cosine"):
        return _angular(_profiles(wide) if dissimilarity == "correlation" else unit_rows(wide)), 1.0
    c = center(wide)
    require_variation(x, c)
    unit = xp.max(xp.abs(c))
    c = c / unit
    if dissimilarity == "mahalanobis":
        rows, size = _gathered(_sphered(c, shrinkage))
        return _squared(rows), size**2
    rows, size = _gathered(c)
    with np.errstate(over="ignore"):  # ranks and correlations need no unit
        return _squared(rows), (unit * size) ** 2


def _gathered(rows: Array) -> tuple[Array, float]:
    """Rows about where most of them are, in units of how far the middle one is from there, and that unit."""
    if is_traced(rows):
        return rows, 1.0
    squares = to_numpy(sum_squares(rows, axis=1))
    if squares.max() > _FAR * np.median(squares):
        rows = about_most(rows)
    unit = math.sqrt(float(np.median(to_numpy(sum_squares(rows, axis=1)))))
    return (rows / unit, unit) if unit > 1e-100 else (rows, 1.0)


def rooted(squared: Array) -> Array:
    """Square root whose gradient is zero, not infinite, where two items are the same."""
    xp = array_namespace(squared)
    positive = squared > 0
    safe = xp.where(positive, squared, xp.ones_like(squared))
    return xp.where(positive, xp.sqrt(safe), xp.zeros_like(squared))


def _profiles(x: Array) -> Array:
    """Rows less their mean, of unit norm.

    Raises:
        InputError: if a row holds the same value throughout.
    """
    xp = array_namespace(x)
    largest = xp.max(xp.abs(x))
    if not is_traced(x) and number(largest) > 0:
        x = x / largest  # so that no square vanishes or overflows
    c = x - xp.mean(x, axis=1, keepdims=True)
    squares = xp.sum(c * c, axis=1)
    flat = squares <= (8 * float(xp.finfo(x.dtype).eps)) ** 2 * xp.sum(x * x, axis=1)
    if not is_traced(x) and bool(xp.any(flat)):
        flat = to_numpy(flat)
        raise InputError(
            f"Item {np.flatnonzero(flat)[0]} has the same value in all its {x.shape[1]} features, so its correlation "
            f"with other items is not defined ({int(flat.sum())} such items). Leave them out, or use "
            "dissimilarity='euclidean'."
        )
    return c / (squares**0.5)[:, None]


def _sphered(c: Array, shrinkage: float) -> Array:
    """Centred rows multiplied with the inverse root of their shrunk covariance, in the basis of their SVD.

    As a product with the rows, so that copies of an item stay copies.
    """
    svd = thin_svd(c)
    n, d = c.shape
    spectrum = svd.s**2 / (n - 1)
    mean = array_namespace(c).sum(spectrum) / d
    root = ((1 - shrinkage) * spectrum + shrinkage * mean) ** 0.5
    return c @ (array_namespace(c).matrix_transpose(svd.vt) / root[None, :])


def _strips(rows: Array) -> Iterator[tuple[int, int, Array]]:
    n = rows.shape[0]
    if isinstance(rows, np.ndarray) and n * n <= _STRIP:
        yield 0, n - 1, (rows @ rows.T)[:-1]  # NumPy computes one half of a product with its own transpose
        return
    step = max(1, min(256, _STRIP // n))
    for begin in range(0, n - 1, step):
        end = min(n - 1, begin + step)
        yield begin, end, rows[begin:end, :] @ rows[begin:, :].T


def _angular(rows: Array) -> Array:
    """1 - cosine of all pairs of unit rows; what is zero but for rounding is zero."""
    xp = array_namespace(rows)
    # half the squared distance of the ends of two unit vectors
    out = xp.concat([_upper(_near_apart(rows, 1.0 - s, 1.0, begin, share=0.5)) for begin, _, s in _strips(rows)])
    tiny = _ULPS * float(xp.finfo(rows.dtype).eps)
    least = tiny if _keeps_products(rows) else tiny * tiny
    return xp.where(out <= least, xp.zeros_like(out), out)


def _squared(rows: Array) -> Array:
    """Squared Euclidean distances of all pairs of rows; what is zero but for rounding is zero.

    Those of near copies, of which the products leave few digits, are sums of squared differences.
    """
    xp = array_namespace(rows)
    squares = sum_squares(rows, axis=1)
    tiny = _ULPS * float(xp.finfo(rows.dtype).eps)
    least = tiny if _keeps_products(rows) else tiny * tiny
    parts = []
    for begin, end, products in _strips(rows):
        sums = squares[begin:end, None] + squares[None, begin:]
        distances = _near_apart(rows, sums - 2 * products, sums, begin)
        parts.append(_upper(xp.where(distances <= least * sums, xp.zeros_like(distances), distances)))
    return xp.concat(parts)


def _keeps_products(rows: Array) -> bool:
    """Whether distances stay what products give: a gradient must pass through them."""
    return is_traced(rows) or (is_torch_array(rows) and bool(rows.requires_grad))


def _near_apart(rows: Array, distances: Array, sums: Any, begin: int, *, share: float = 1.0) -> Array:
    """A strip of squared distances, those below `_NEAR` of the squared norms taken anew from differences of rows."""
    if _keeps_products(rows):
        return distances
    xp = array_namespace(rows)
    near = np.asarray(to_numpy(distances <= _NEAR * sums))
    i, j = np.nonzero(np.triu(near, 1))
    if not len(i):
        return distances
    host = np.asarray(to_numpy(rows))
    exact = np.empty(len(i))
    step = max(1, _STRIP // host.shape[1])
    for s in range(0, len(i), step):
        apart = host[begin + i[s : s + step]] - host[begin + j[s : s + step]]
        exact[s : s + step] = np.einsum("ij,ij->i", apart, apart)
    out = np.array(to_numpy(distances))
    out[i, j] = share * exact
    mended = xp.asarray(out)
    return mended if is_jax_array(rows) or isinstance(rows, np.ndarray) else to_device(mended, device(rows))


# ---- vectors to compare ------------------------------------------------------------------------------------


def ranks(vector: Array, eps: float = 0.0) -> Array:
    """Ranks 1 … m in double precision; values that differ by no more than rounding share their mean rank.

    Args:
        vector: Values (m,).
        eps: Machine epsilon of the features behind them: where the values are few but for what that rounding left, as
            those of binary features after a rotation in float32, it makes them equal.
    """
    if is_torch_array(vector):
        import torch

        values, order = torch.sort(vector.detach())
        out = torch.empty(vector.shape, dtype=torch.float64, device=vector.device)
        out[order] = torch.arange(1, len(order) + 1, dtype=torch.float64, device=vector.device)
        tied = to_numpy(_close(values[1:], values[:-1], float(torch.finfo(values.dtype).eps)))
        tied = _tied_by_features(to_numpy(values), tied, eps)
        if tied.any():
            place = _mean_places(tied)
            out[order] = torch.asarray(place, device=vector.device)
        return out
    host = np.asarray(to_numpy(vector))
    order = np.argsort(host)
    values = host[order]
    tied = _tied_by_features(values, _close(values[1:], values[:-1], float(np.finfo(values.dtype).eps)), eps)
    place = _mean_places(tied) if tied.any() else np.arange(1.0, len(host) + 1)
    out = np.empty(len(host))
    out[order] = place
    if isinstance(vector, np.ndarray):
        return out
    xp = array_namespace(vector)
    return xp.asarray(out) if is_jax_array(vector) else to_device(xp.asarray(out), device(vector))


def _tied_by_features(values: Any, tied: Any, eps: float) -> Any:
    if eps < 1e-10:
        return tied
    far = np.abs(values)
    tolerance = _ULPS * eps * np.sqrt(far * (1 + far))  # what rounding two rows leaves of their squared distance
    return np.diff(values) <= tolerance[1:] if are_few_values(values, tolerance) else tied


def _close(upper: Any, lower: Any, eps: float) -> Any:
    return upper - lower <= _ULPS * eps * (1 + abs(upper)) if eps < 1e-10 else upper == lower


def _mean_places(tied: np.ndarray[Any, Any]) -> Floats:
    """Mean places of sorted values, given whether each but the first ties with the one before."""
    first = np.flatnonzero(np.concatenate([[True], ~tied]))
    size = np.diff(np.append(first, len(tied) + 1))
    return np.repeat(first + (size + 1) / 2, size)


def comparable(vector: Array, comparison: str, dtype: Any) -> Array:
    """The vector whose inner products are the scores (for Kendall: the ranks), stored in `dtype`.

    Raises:
        InputError: if all entries are the same, so that there is no pattern to compare.
    """
    xp = array_namespace(vector)
    m = vector.shape[0]
    v = ranks(vector, float(xp.finfo(dtype).eps)) if comparison in RANKED else vector
    centered = v - xp.mean(v)
    uncentered = comparison in ("cosine", "whitened_cosine")
    spread = xp.max(xp.abs(v if uncentered else centered))
    least = 64 * float(xp.finfo(v.dtype).eps) * xp.max(xp.abs(v))
    if not is_traced(v) and bool(spread <= least):
        raise InputError(
            "All dissimilarities between the items are the same, so the RDM has no pattern to compare. This happens "
            "with fewer than 3 distinct items, and where all directions are made equal (Mahalanobis without shrinkage "
            "and as many features as items); leave this layer out or choose another dissimilarity."
        )
    if comparison == "kendall":
        return v
    if comparison == "rho_a":
        return xp.astype(centered * math.sqrt(12 / (float(m) ** 3 - m)), dtype)
    if not uncentered:
        v = centered
    if comparison.startswith("whitened"):
        v = whitened(v)
    v = v / xp.max(xp.abs(v))  # so that squares neither vanish nor overflow
    return xp.astype(v / sum_squares(v) ** 0.5, dtype)


def whitened(v: Array) -> Array:
    """V^(-1/2) v, where V is the covariance of the entries of an RDM under independent noise on the items.

    V has 4 on the diagonal, 1 for pairs that share an item and 0 elsewhere (Diedrichsen et al. 2020, eq. 21, for equal
    noise). Its eigenvectors are the constant (eigenvalue 2n), the sums of two item effects (n) and the rest (2).
    """
    xp = array_namespace(v)
    n = n_items(v.shape[0])
    mean = xp.mean(v)
    i, j = np.triu_indices(n, 1)
    rest = v - mean
    effect = xp.sum(square(rest, n), axis=1) / (n - 2)
    main = take(effect, i) + take(effect, j)
    return (rest - main) / math.sqrt(2) + main / math.sqrt(n) + mean / math.sqrt(2 * n)


def square(v: Array, n: int) -> Array:
    """Square form with a zero diagonal."""
    if isinstance(v, np.ndarray):
        return scipy.spatial.distance.squareform(v, checks=False)
    xp = array_namespace(v)
    i, j = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    index = np.where(i == j, 0, condensed_index(i, np.where(i == j, i + 1, j), n)).reshape(-1)
    index = np.clip(index, 0, v.shape[0] - 1)  # the diagonal's places are arbitrary, their values set to zero below
    full = xp.reshape(take(v, index), (n, n))
    diagonal = xp.asarray(i == j)
    diagonal = diagonal if is_jax_array(v) else to_device(diagonal, device(v))
    return xp.where(diagonal, xp.zeros_like(full), full)
