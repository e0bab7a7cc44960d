"""What two models' answers have in common, item by item, and between every answer of one and every one of the other.

Every measure here is a mean over items of a kernel of two answers, k(aᵢ, bᵢ). Its chance level comes from the kernel of
all answers with all, k(aᵢ, bⱼ), which says everything about re-paired items.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, final

import numpy as np
import scipy

from ._rows import Floats, Rows, rowwise

_BLOCK = 1 << 22  # entries that are computed together
_BITS = np.log(2)


class Kernel(ABC):
    """A kernel of the answers of two models.

    Attributes:
        distance: Whether less is more alike.
    """

    distance: bool = False

    @abstractmethod
    def at(self, order: Any = None) -> Floats:
        """k(aᵢ, b[order]ᵢ) of every item (n,); None: as they are."""

    @abstractmethod
    def table(self, rows: Any) -> Floats:
        """k(aᵢ, bⱼ) among some of the items, (rows, rows)."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers that one entry of a table takes, roughly."""


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Shared(Kernel):
    """Inner product of sparse rows, times `scale`: shared answers, or shares of the first `d`."""

    a: Rows
    b: Rows
    scale: float = 1.0

    def at(self, order: Any = None) -> Floats:
        return self.scale * rowwise(self.a, self.b if order is None else self.b[order])

    def table(self, rows: Any) -> Floats:
        return np.asarray(self.scale * (self.a[rows] @ self.b[rows].T).toarray())

    @property
    def width(self) -> int:
        return 1 + int(self.a.nnz + self.b.nnz) // (2 * int(self.a.shape[0]))


@final
@dataclasses.dataclass(frozen=True, eq=False)
class JensenShannon(Kernel):
    """Jensen-Shannon divergence of probabilities (n, classes), in bits."""

    p: Floats
    q: Floats
    distance: bool = True

    def at(self, order: Any = None) -> Floats:
        n, width = self.p.shape
        step, out = max(1, _BLOCK // width), np.empty(n)
        rows = np.arange(n) if order is None else np.asarray(order)
        for start in range(0, n, step):
            out[start : start + step] = divergence(self.p[start : start + step], self.q[rows[start : start + step]])
        return out

    def table(self, rows: Any) -> Floats:
        p, q = self.p[rows], self.q[rows]
        return np.stack([divergence(np.broadcast_to(one, q.shape), q) for one in p])

    @property
    def width(self) -> int:
        return 4 * int(self.p.shape[1])


@final
@dataclasses.dataclass(frozen=True, eq=False)
class KullbackLeibler(Kernel):
    """KL(a ‖ b) of log-probabilities (n, vocabulary), in bits."""

    log_a: Floats
    log_b: Floats
    distance: bool = True

    def at(self, order: Any = None) -> Floats:
        n, width = self.log_a.shape
        step, out = max(1, _BLOCK // width), np.empty(n)
        rows = np.arange(n) if order is None else np.asarray(order)
        for start in range(0, n, step):
            a = np.asarray(self.log_a[start : start + step], dtype=np.float64)
            b = np.asarray(self.log_b[rows[start : start + step]], dtype=np.float64)
            out[start : start + step] = np.sum(np.exp(a) * (a - b), axis=1) / _BITS
        return out

    def table(self, rows: Any) -> Floats:
        a, b = (np.asarray(v[rows], dtype=np.float64) for v in (self.log_a, self.log_b))
        p = np.exp(a)
        return np.asarray((np.sum(p * a, axis=1)[:, None] - p @ b.T) / _BITS)

    @property
    def width(self) -> int:
        return 1 + int(self.log_a.shape[1]) // 16  # a product of matrices


def divergence(p: Floats, q: Floats) -> Floats:
    """Jensen-Shannon divergence of each pair of rows, in bits: 0 to 1."""
    p, q = (np.asarray(v, dtype=np.float64) for v in (p, q))
    middle = (p + q) / 2
    # the sum of relative entropies to the middle: no difference of large numbers, and 0 log 0 is 0
    bits = (scipy.special.rel_entr(p, middle) + scipy.special.rel_entr(q, middle)).sum(axis=1) / (2 * _BITS)
    return np.asarray(np.clip(bits, 0.0, 1.0))
