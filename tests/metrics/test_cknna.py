"""CKNNA against its loops, its limits, and the peer's constant."""

from __future__ import annotations

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import metric


def data(n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((n, 3))
    return z @ rng.standard_normal((3, 6)) + rng.standard_normal((n, 6)), np.tanh(z @ rng.standard_normal((3, 5))) + 0.2


def by_loops(x: np.ndarray, y: np.ndarray, k: int, constant: float = 0.0) -> float:
    """The algorithm of platonic-rep on rows of unit norm, written out; its 1e-6 is the last argument."""
    n = len(x)
    grams = [a @ a.T for a in (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (x, y))]
    masks = []
    for g in grams:
        mask = np.zeros((n, n))
        for i in range(n):
            others = [j for j in range(n) if j != i]
            mask[i, sorted(others, key=lambda j, row=g[i]: -row[j])[:k]] = 1
        masks.append(mask)

    def similarity(a: int, b: int) -> float:
        both = masks[a] * masks[b]
        p, q = both * grams[a], both * grams[b]
        return float((p * q.T).sum() + p.sum() * q.sum() / ((n - 1) * (n - 2)) - 2 * (p @ q).sum() / (n - 2))

    scale = n * (n - 3)
    return (similarity(0, 1) / scale) / (np.sqrt(similarity(0, 0) * similarity(1, 1)) / scale + constant)


@pytest.mark.parametrize("k", [2, 5, 10, 29])
def test_cknna_equals_its_loops(k: int) -> None:
    x, y = data()
    assert metric(f"cknna(k={k})")(x, y) == pytest.approx(by_loops(x, y, k), abs=1e-12)


def test_with_all_neighbours_cknna_is_unbiased_cosine_cka() -> None:
    x, y = data()
    assert metric("cknna(k=29)")(x, y) == pytest.approx(metric("cka(kernel='cosine')")(x, y), abs=1e-12)


def test_the_reference_value_of_the_field_carries_the_peers_constant(
    reference: tuple[np.ndarray, np.ndarray],
) -> None:
    x, y = reference
    assert by_loops(x, y, 199, constant=1e-6) == pytest.approx(0.6700599, abs=1e-7)
    assert metric("cknna(k=199)")(x, y) == pytest.approx(by_loops(x, y, 199), abs=1e-10)
    assert metric("cknna(k=199)")(x, y) - 0.6700599 > 1e-5


def test_all_items_tied_with_the_last_neighbour_count() -> None:
    x, y = data(12)
    x[1:6] = x[0]
    order = np.random.default_rng(1).permutation(12)
    m = metric("cknna(k=3)")
    assert m(x, y) == pytest.approx(m(x[order], y[order]), abs=1e-12)
    assert float(m.prepare(x).mask[0].sum()) == 5


def test_k_must_be_at_least_two_and_less_than_the_number_of_items() -> None:
    x, y = data()
    with pytest.raises(InputError, match="k=1"):
        metric("cknna(k=1)")
    with pytest.raises(InputError, match="at least 31"):
        metric("cknna(k=30)")(x, y)


def test_a_self_term_that_is_not_positive_is_refused() -> None:
    _, y = data(12)
    with pytest.raises(InputError, match="not positive"):
        metric("cknna(k=11)")(np.eye(12), y)  # every other item is equally similar: nothing is local
