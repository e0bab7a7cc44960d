"""Nyström's features of a Gaussian kernel: what some landmark items tell of all others, and how much they leave out.

With the kernel C (n, m) between items and landmarks and W (m, m) among landmarks, the features F = C W^(-1/2) have the
kernel F F' = C W⁺ C', the part of K that the landmarks span. What is left out, E = K - F F', is positive
semi-definite, so that its Frobenius norm is at most its trace, Σ_i (1 - |f_i|²), which is known (Williams and Seeger
2001; Drineas and Mahoney 2005).

Landmarks are a random sample of the distinct items that does not depend on their order: those whose features have the
least values of a seeded hash (bottom-k sampling: Cohen and Kaplan 2007).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, is_numpy_array

from ...._core.arrays import Array, detached, forget_pages, take_rows, to_numpy, widened
from ...._core.linalg import number
from ...._core.memory import block_bytes, require
from ....errors import InputError
from .gram import LinearKernel, Missing, linear_kernel

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

_BLOCK_BYTES = 64 << 20  # of rows that are looked at at once
_LEAST = 1e-8  # of the largest eigenvalue among landmarks: what is below is rounding that the root would blow up
_ROWS = 64  # whose distances to all are made at once
_PAIRED = 1024  # items among which distances have their median
_SEEN = 512  # items on whose pairs is measured what is left out


class Sketch(NamedTuple):
    """Features that stand for a Gaussian kernel.

    Attributes:
        features: (n, r), r at most the number of landmarks.
        missing: What they leave out.
    """

    features: Array
    missing: Missing


def nystrom_kernel(x: Array, estimator: str, landmarks: int, bandwidth: float, seed: int) -> LinearKernel:
    """The linear kernel of Nyström's features, which knows what they leave out.

    Args:
        x: Features (n, d), checked.
        estimator: One of `ESTIMATORS`.
        landmarks: How many items span the sketch.
        bandwidth: Fraction of the median distance, which is that of at most 1,024 items, chosen as landmarks are.
        seed: Of their choice.

    Raises:
        InputError: as `nystrom`, or if nothing of the kernel varies.
    """
    sketch = nystrom(x, landmarks, bandwidth, seed)
    kernel = linear_kernel(sketch.features, estimator)
    kernel.missing = sketch.missing
    return kernel


def nystrom(x: Array, landmarks: int, bandwidth: float, seed: int) -> Sketch:
    """Nyström's features of the kernel exp(-|x_i - x_j|² / (2 s²)), s = `bandwidth` times the median distance.

    Raises:
        InputError: if the items are all the same, or more than half of the pairs are.
    """
    x = detached(x)
    xp, (n, d) = array_namespace(x), x.shape
    order, scale = _by_hash(x, seed)
    some = order[:landmarks]
    if len(some) < 2:
        raise InputError("x is constant: all its items have the same features, so no two of them are unlike.")
    m = len(some)
    dtype = widened(x.dtype) if is_numpy_array(x) else x.dtype
    size = xp.finfo(dtype).bits // 8
    require(
        n * m * size + 8 * m * (3 * m + d),
        f"The sketch of {n:,} items by {m:,} landmarks",
        "Lower landmarks: memory grows with them in proportion, and the stated error says what that costs.",
    )
    seen = _scaled(take_rows(x, order[:_PAIRED]), scale)
    origin = xp.mean(seen, axis=0)  # no distance depends on it, and their digits do where items are far from zero
    seen = seen - origin
    middle = _median_of_squares(seen)
    if middle <= 0:
        raise InputError(
            "The median distance between items is zero to rounding, so a bandwidth relative to it is not defined. "
            "Remove duplicates or use the linear kernel."
        )
    chosen = _scaled(take_rows(x, some), scale) - origin
    squared = _squares(chosen, chosen)
    factor = -0.5 / bandwidth**2 / middle
    values, vectors = xp.linalg.eigh(xp.exp(squared * factor))
    kept = int(np.sum(np.asarray(to_numpy(values)) > _LEAST * float(number(values[-1]))))
    root = vectors[:, m - kept :] / xp.sqrt(values[m - kept :])[None, :]

    def features(rows: Array) -> Array:
        return xp.exp(_squares(_scaled(rows, scale) - origin, chosen) * factor) @ root

    step, left, parts = max(1, block_bytes(_BLOCK_BYTES) // (8 * (2 * d + 3 * m))), 0.0, []
    room = np.empty((n, kept), dtype=dtype) if is_numpy_array(x) else None
    for s in range(0, n, step):
        block = features(x[s : min(n, s + step), :])
        left += number(xp.sum(xp.clip(1 - xp.vecdot(block, block), 0.0, None)))
        forget_pages(x)
        if room is None:
            parts.append(xp.astype(block, dtype))
        else:
            room[s : s + step] = block
    held = order[:_SEEN] if landmarks >= len(order) else order[landmarks : landmarks + _SEEN]
    rows = take_rows(x, held)
    missing = Missing(left, _measured(_scaled(rows, scale) - origin, features(rows), factor, n, left))
    return Sketch(xp.concat(parts, axis=0) if room is None else room, missing)


def _median_of_squares(rows: Array) -> float:
    """Median of the squared distances between different rows, made a block of rows at a time.

    All blocks but the last are of one shape: JAX compiles each shape anew.
    """
    n, at = rows.shape[0], 0
    apart = np.empty(n * (n - 1) // 2)
    for s in range(0, n, _ROWS):
        block = np.asarray(to_numpy(_squares(rows[s : min(n, s + _ROWS), :], rows)))
        later = block[np.arange(n) > np.arange(s, s + len(block))[:, None]]
        apart[at : at + len(later)] = later
        at += len(later)
    return float(np.median(apart, overwrite_input=True))


def _measured(rows: Array, features: Array, factor: float, n: int, trace: float) -> float:
    """The Frobenius norm of what is left out of all n items, from the pairs of some that are no landmarks."""
    xp, m = array_namespace(rows), rows.shape[0]
    if m < 2:
        return trace
    rest = np.asarray(to_numpy(xp.exp(_squares(rows, rows) * factor) - features @ xp.matrix_transpose(features)))
    pairs = (float(np.sum(rest**2)) - float(np.sum(np.diag(rest) ** 2))) / (m * (m - 1))
    own = trace / n * max(trace / n, float(np.mean(np.diag(rest))))
    return float(min(trace, np.sqrt(n * (n - 1) * pairs + n * own)))


def _scaled(rows: Array, scale: float) -> Array:
    xp = array_namespace(rows)
    return xp.astype(rows, xp.float64) / scale


def _squares(a: Array, b: Array) -> Array:
    """Squared distances (len(a), len(b)), those within rounding of zero being zero."""
    xp = array_namespace(a)
    left, right = xp.vecdot(a, a)[:, None], xp.vecdot(b, b)[None, :]
    found = left + right - 2 * (a @ xp.matrix_transpose(b))
    return xp.where(found > 8 * float(xp.finfo(xp.float64).eps) * (left + right), found, xp.zeros_like(found))


def _by_hash(x: Array, seed: int) -> tuple[Ints, float]:
    """One item of each that differ, by a seeded hash of its features in single precision, and a scale for them.

    Equal features of another precision, order or library have equal hashes.
    """
    xp, (n, d) = array_namespace(x), x.shape
    step = max(1, block_bytes(_BLOCK_BYTES) // (24 * d))
    starts = range(0, n, step)
    largest = 0.0
    for s in starts:
        largest = max(largest, number(xp.max(xp.abs(x[s : min(n, s + step), :]))))
        forget_pages(x)
    scale = float(np.ldexp(1.0, int(np.frexp(largest)[1]))) if largest > 0 else 1.0
    odd = np.random.default_rng([seed, d]).integers(1 << 63, size=d, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    hashes = np.empty(n, dtype=np.uint64)
    for s in starts:
        rows = np.asarray(to_numpy(x[s : min(n, s + step), :]), dtype=np.float64) / scale
        bits = (rows.astype(np.float32) + np.float32(0)).view(np.uint32)  # + 0 makes -0.0 and 0.0 the same bits
        hashes[s : s + step] = (_mixed(bits.astype(np.uint64) + odd) * odd).sum(axis=1, dtype=np.uint64)
        forget_pages(x)
    return np.unique(_mixed(hashes), return_index=True)[1], scale


def _mixed(values: Any) -> Any:
    """Bits of which each depends on all of a value (the finalizer of SplitMix64: Steele, Lea and Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
