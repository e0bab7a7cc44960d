"""Localised CKA: would this query and this candidate, added to the known pairs, keep the two sides alike?

With both sides centred on the known (base) pairs, so that their kernels K and L (n, n) have zero row sums, adding one
item with kernel rows k, l and own values κ, λ gives, with m = n + 1, after centring anew,

    <K', L'> = <K, L> + 2 (n/m) <k, l> + (n/m)² κ λ.

That is an inner product of one vector a query with one vector a candidate. So localised CKA is the cosine of two
embeddings of n + 3 numbers, and costs one product for all queries and candidates instead of a CKA each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from .._core.linalg import require_variation
from ..errors import InputError
from ._affine import one_of, positive
from ._base import Map, Matrix


class LocalCka(Map):
    """Embeddings whose cosine is the CKA of the base pairs with one more pair, the query and the candidate.

    Args:
        kernel: ``linear`` or ``rbf``.
        bandwidth: Width of the ``rbf`` kernel, as a share of the median distance between base items.

    Attributes:
        base_cka_: CKA of the base pairs alone.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = 2 * x @ np.linalg.qr(noise[:6])[0] + 1  # rotated, scaled and moved
        >>> fitted = iso.make_map("local_cka").fit(x[:80], y[:80])
        >>> a, b = fitted.embed_x(x[80:]), fitted.embed_y(y[80:])  # both sides in one space
        >>> cosines = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
        >>> round(float(np.mean(cosines.argmax(axis=1) == np.arange(20))), 2)  # found among 20 held out; chance 0.05
        1.0
    """

    name: ClassVar[str] = "local_cka"
    direct: ClassVar[bool] = False
    reference: ClassVar[str] = (
        "Maniparambil et al. 2024, localised CKA over all training pairs, computed exactly by a rank-one update."
    )

    def __init__(self, kernel: str = "linear", bandwidth: float = 1.0) -> None:
        self.kernel = kernel
        self.bandwidth = bandwidth

    @property
    def min_pairs(self) -> int:
        """Three: CKA of two items is always 1."""
        return 3

    def _fit(self, x: Matrix, y: Matrix, factor: Any) -> None:
        one_of(self, "kernel", self.kernel, ("linear", "rbf"))
        self._x, self._y = (_Base(side, name, self) for side, name in ((x, "x"), (y, "y")))
        self.base_cka_ = float(np.clip(np.vdot(self._x.gram, self._y.gram) / (self._x.size * self._y.size), -1.0, 1.0))
        self.n_pairs_ = len(x)

    def embed_x(self, x: Any) -> Matrix:
        rows = self._rows(x)
        return self._embed(self._x, rows, 1.0, 0.0)

    def embed_y(self, y: Any) -> Matrix:
        rows = self._target_rows(y)
        return self._embed(self._y, rows, self.base_cka_, float(np.sqrt(1 - self.base_cka_**2)))

    def learned(self) -> dict[str, Any]:
        state = super().learned()
        sides = {side: vars(state.pop(side)) for side in ("_x", "_y")}
        return state | {f"{side}.{name}": value for side, facts in sides.items() for name, value in facts.items()}

    def restore(self, learned: Mapping[str, Any]) -> Self:
        state = dict(learned)
        for side in ("_x", "_y"):
            base = object.__new__(_Base)
            vars(base).update({k.partition(".")[2]: state.pop(k) for k in [*state] if k.startswith(f"{side}.")})
            state[side] = base
        return super().restore(state)

    def _embed(self, base: _Base, rows: Matrix, along: float, across: float) -> Matrix:
        k, own = base.row(rows)
        share = self.n_pairs_ / (self.n_pairs_ + 1)
        # the two base kernels span a plane: the first axis is that of x
        plane = np.broadcast_to(np.array([along, across]) * base.size, (len(rows), 2))
        vectors = np.hstack([plane, np.sqrt(2 * share) * k, share * own[:, None]])
        unit: Matrix = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


class _Base:
    """One side's base items and their centred kernel."""

    def __init__(self, rows: Matrix, name: str, owner: LocalCka) -> None:
        self.mean = rows.mean(axis=0)
        self.rows = rows - self.mean
        require_variation(rows, self.rows, name)
        self.width: float | None = None
        if owner.kernel == "rbf":
            squares = _square_distances(self.rows, self.rows)
            median = float(np.sqrt(np.median(squares[np.triu_indices(len(rows), 1)])))
            if median == 0.0:
                raise InputError(f"{owner.spec}: more than half of the distances between items of {name} are zero.")
            self.width = positive(owner, "bandwidth", owner.bandwidth) * median
        raw = self._kernel(self.rows)
        self.column_means, self.grand_mean = raw.mean(axis=0), float(raw.mean())
        self.gram = raw - self.column_means[:, None] - self.column_means[None, :] + self.grand_mean
        self.size = float(np.linalg.norm(self.gram))

    def _kernel(self, rows: Matrix) -> Matrix:
        if self.width is None:
            linear: Matrix = rows @ self.rows.T
            return linear
        rbf: Matrix = np.exp(_square_distances(rows, self.rows) / (-2 * self.width**2))
        return rbf

    def row(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        """Kernel with the base items, and with itself, of new rows centred in feature space on the base."""
        rows = rows - self.mean
        raw = self._kernel(rows)
        own = np.einsum("ij,ij->i", rows, rows) if self.width is None else np.ones(len(rows))
        means = raw.mean(axis=1)
        return raw - means[:, None] - self.column_means + self.grand_mean, own - 2 * means + self.grand_mean


def _square_distances(a: Matrix, b: Matrix) -> Matrix:
    squares = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)[None, :] - 2 * a @ b.T
    clipped: Matrix = np.maximum(squares, 0.0)
    return clipped
