"""The best orthogonal change of coordinates that makes one operator another: Procrustes over similarity transforms.

The largest of ``<A, C' B C>`` over orthogonal C has no closed form. From several starts it is climbed by Newton steps
on the group of rotations, many pairs of operators at once. A maximum found is one; that it is the largest is likely,
and certain for operators of order two.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]

_RANDOM = 4  # random starts beside the plain ones; each with its transpose, so that no order of the two layers counts
_ROUNDS = 60
_FLAT = 1e-10  # slope at which a climb ends, over the norms of both operators
_HALVINGS = 6


def best_overlaps(a: Floats, b: Floats) -> Floats:
    """The largest ``<A, C' B C>`` over orthogonal C that the climbs find, for each of m pairs.

    Args:
        a: Operators (m, r, r).
        b: Operators (m, r, r).
    """
    count, r = len(a), a.shape[-1]
    plain = np.broadcast_to(_starts(r), (count, *_starts(r).shape))
    starts = np.concatenate([_matched_axes(a, b)[:, None], plain], axis=1)
    sizes = np.sqrt(np.sum(a * a, axis=(1, 2)) * np.sum(b * b, axis=(1, 2)))
    left, right = (np.repeat(v, starts.shape[1], axis=0) for v in (a, b))
    scale = np.repeat(np.where(sizes > 0, sizes, 1.0), starts.shape[1])
    turned = _conjugated(right, starts.reshape(-1, r, r))
    value = np.sum(left * turned, axis=(1, 2))
    at = np.arange(len(left)) if r > 1 else np.arange(0)
    for _ in range(_ROUNDS):
        if not len(at):
            break
        step, slope = _newton(left[at], turned[at], scale[at])
        at, step = at[slope > _FLAT * scale[at]], step[slope > _FLAT * scale[at]]
        turned[at], value[at] = _climbed(left[at], turned[at], value[at], step)
    return np.asarray(value.reshape(count, -1).max(axis=1))


@functools.cache
def _starts(r: int) -> Floats:
    """Orthogonal matrices (s, r, r) to climb from, a set that holds the transpose of each."""
    plain = [np.eye(r)] + [np.diag(np.where(np.arange(r) == i, -1.0, 1.0)) for i in range(r)]
    rng = np.random.default_rng(0)
    drawn = [np.linalg.qr(rng.standard_normal((r, r)))[0] for _ in range(_RANDOM)] if r > 1 else []
    return np.stack([*plain, *drawn, *(q.T for q in drawn)])


def _matched_axes(a: Floats, b: Floats) -> Floats:
    """The orthogonal matrices that lay the axes of the symmetric parts over each other, largest to largest.

    The sign of each axis is left open by that; taken are those that the other entries of both operators agree on most.
    For operators that a rotation turns into each other it is that rotation, wherever those axes are told apart.
    """
    axes_a, axes_b = (np.linalg.eigh((v + v.transpose(0, 2, 1)) / 2)[1] for v in (a, b))
    agree = _conjugated(a, axes_a) * _conjugated(b, axes_b)
    leading = np.linalg.eigh(agree + agree.transpose(0, 2, 1))[1][..., -1]
    signs = np.where(leading >= 0, 1.0, -1.0)
    return np.asarray((axes_b * signs[:, None, :]) @ axes_a.transpose(0, 2, 1))


@functools.cache
def _planes(r: int) -> tuple[Any, Any, Floats]:
    """The planes of rotation: their two axes, and the skew-symmetric matrices (p, r, r) that turn them."""
    i, j = np.triu_indices(r, 1)
    turns = np.zeros((len(i), r, r))
    turns[np.arange(len(i)), i, j], turns[np.arange(len(i)), j, i] = 1.0, -1.0
    return i, j, turns


def _conjugated(b: Floats, c: np.ndarray[Any, Any]) -> Floats:
    return np.asarray(c.transpose(0, 2, 1) @ b @ c)


def _newton(a: Floats, m: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Skew-symmetric steps (s, r, r) that raise ``<A, exp(-W) M exp(W)>``, and the largest slope of each."""
    i, j, turns = _planes(a.shape[-1])
    k = m.transpose(0, 2, 1) @ a - a @ m.transpose(0, 2, 1)
    gradient = k[:, i, j] - k[:, j, i]
    bent = m[:, None] @ turns - turns @ m[:, None]  # [M, E] of every plane
    bent = bent.transpose(0, 1, 3, 2)
    twice = bent @ a[:, None] - a[:, None] @ bent
    curved = twice[..., i, j] - twice[..., j, i]
    values, vectors = np.linalg.eigh((curved + curved.transpose(0, 2, 1)) / 2)
    # saddle-free Newton: up along every direction, and not far where nothing bends
    along = np.einsum("spq,sp->sq", vectors, gradient) / np.maximum(np.abs(values), 1e-3 * scale[:, None])
    step = np.einsum("spq,sq->sp", vectors, along)
    length = np.sqrt(np.sum(step * step, axis=1, keepdims=True))
    step = step / np.maximum(length, 1.0)
    return np.einsum("sp,pij->sij", step, turns), np.abs(gradient).max(axis=1)


def _climbed(a: Floats, m: Floats, value: Floats, step: Floats) -> tuple[Floats, Floats]:
    """M turned by the step, or by the first half of it, of a half, …, that is no way down."""
    eye = np.eye(a.shape[-1])
    best, height = m, value
    open_ = np.ones(len(a), dtype=bool)
    for _ in range(_HALVINGS):
        turn = np.linalg.solve(eye - step / 2, eye + step / 2)  # Cayley: exp up to the third order
        tried = _conjugated(m, turn)
        found = np.sum(a * tried, axis=(1, 2))
        up = open_ & (found >= value)
        best, height = np.where(up[:, None, None], tried, best), np.where(up, found, height)
        open_ &= ~up
        if not open_.any():
            break
        step = step / 2
    return best, height
