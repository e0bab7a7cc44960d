"""Products under re-pairings against the sum that defines them."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from isomorph.nulls import permuted
from isomorph.nulls.permuted import PairTable, pair_tables, permuted_products


def matrices(count: int, n: int, seed: int) -> list[np.ndarray]:
    a = np.random.default_rng(seed).standard_normal((count, n, n))
    return list(a + a.transpose(0, 2, 1))


def by_definition(xs: list[np.ndarray], ys: list[np.ndarray], order: np.ndarray, diagonal: bool) -> np.ndarray:
    off = 1.0 if diagonal else 1.0 - np.eye(len(order))
    return np.array([[np.sum(off * a * b[order][:, order]) for b in ys] for a in xs])


def orders_of(n: int, count: int = 5) -> np.ndarray:
    return np.stack([np.random.default_rng(i).permutation(n) for i in range(count)])


@pytest.mark.parametrize("library", ["numpy", "torch", "array_api_strict"])
@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize(("left", "right"), [(1, 1), (3, 2), (2, 5), (40, 33)])
@pytest.mark.parametrize("n", [2, 64, 70])
def test_products_are_those_of_the_permuted_matrices(
    left: int, right: int, n: int, diagonal: bool, library: str
) -> None:
    make = pytest.importorskip(library).asarray
    xs, ys, orders = matrices(left, n, 0), matrices(right, n, 1), orders_of(n)
    tables = [PairTable.of((make(m) for m in side), len(side), diagonal=diagonal) for side in (xs, ys)]
    found = list(permuted_products(*tables, orders))
    assert len(found) == len(orders)
    for values, order in zip(found, orders, strict=True):
        np.testing.assert_allclose(values, by_definition(xs, ys, order, diagonal), rtol=1e-10, atol=1e-9)


def test_a_side_may_be_both_sides_and_is_made_once() -> None:
    xs, orders, made = matrices(3, 70, 0), orders_of(70), []

    def table(side: list[np.ndarray]) -> PairTable:
        made.append(len(side))
        return PairTable.of(side, len(side))

    left, right = pair_tables(xs, xs, table)
    assert left is right
    assert made == [3]
    for values, order in zip(permuted_products(left, right, orders), orders, strict=True):
        np.testing.assert_allclose(values, by_definition(xs, xs, order, False), rtol=1e-10, atol=1e-9)
    assert pair_tables(xs, xs[:2], table)[1].values.shape[1] == 2


def test_precisions_meet_at_the_wider_one() -> None:
    xs, ys, orders = matrices(40, 70, 0), matrices(2, 70, 1), orders_of(70, 1)
    mixed = [m.astype(np.float32) if i < 35 else m for i, m in enumerate(xs)]
    left, right = PairTable.of(mixed, 40), PairTable.of([y.astype(np.float32) for y in ys], 2)
    assert left.values.dtype == np.float64
    found = next(permuted_products(left, right, orders))
    wanted = by_definition(
        [m.astype(float) for m in mixed], [y.astype(np.float32).astype(float) for y in ys], orders[0], False
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-9)


def test_neither_blocks_nor_threads_change_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    xs, ys, orders = matrices(30, 300, 0), matrices(20, 300, 1), orders_of(300, 2)
    tables = PairTable.of(xs, 30), PairTable.of(ys, 20)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            found.append(np.stack(list(permuted_products(*tables, orders))))
    np.testing.assert_array_equal(*found)
    monkeypatch.setattr(permuted, "CHUNK", 500)
    monkeypatch.setattr(permuted, "_COLUMNS", 20)
    np.testing.assert_allclose(np.stack(list(permuted_products(*tables, orders))), found[0], rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(found[0][1], by_definition(xs, ys, orders[1], False), rtol=1e-10, atol=1e-8)
