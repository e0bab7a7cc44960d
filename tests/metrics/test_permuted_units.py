"""The best reordering of units: enumeration, padding, a loud unit, and what it is beside its relatives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from isomorph.metrics import metric

PROCRUSTES = metric("permutation_procrustes")


def centered(rows: np.ndarray) -> np.ndarray:
    return rows - rows.mean(axis=0)


def test_it_is_the_best_of_all_orders_of_the_units() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 30, 5)) * np.arange(1, 6)
    one, two = centered(x), centered(y)
    best = max(np.sum(one * two[:, [*order]]) for order in itertools.permutations(range(5)))
    assert PROCRUSTES(x, y) == pytest.approx(best / np.linalg.norm(one) / np.linalg.norm(two), rel=1e-10)


def test_a_narrower_layer_is_padded_with_zeros() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 5)), rng.normal(size=(30, 3))
    padded = np.hstack([y, np.zeros((30, 2))])
    assert PROCRUSTES(x, y) == pytest.approx(PROCRUSTES(x, padded), rel=1e-10)


def test_a_loud_unit_decides_here_and_one_of_many_counts_little_in_unit_matching() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 200, 8))
    y[:, 3] = x[:, 5]
    x[:, 5] *= 100
    y[:, 3] *= 100
    assert PROCRUSTES(x, y) > 0.99
    assert metric("unit_matching")(x, y) < 0.4


def test_no_order_of_units_is_better_than_the_best_rotation() -> None:
    x, y = np.random.default_rng(3).normal(size=(2, 60, 6))
    assert PROCRUSTES(x, y) <= metric("procrustes")(x, y)
