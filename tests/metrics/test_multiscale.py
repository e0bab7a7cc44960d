"""Neighbourhoods over all scales: against mutual_knn and a co-ranking matrix, chance, ties, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.metrics.multiscale import MultiscaleKnn

from .test_prediction import layers


def r_nx(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """R_NX(K) for K = 1 … n - 2 from the co-ranking matrix (Lee and Verleysen)."""
    n = len(x)
    ranks = [np.argsort(np.argsort(cdist(a, a) - 10 * np.eye(n), axis=1), axis=1) for a in (x, y)]
    q = np.zeros((n, n))
    np.add.at(q, tuple(r.ravel() for r in ranks), 1)
    k = np.arange(1, n - 1)
    shared = np.array([q[1 : j + 1, 1 : j + 1].sum() for j in k]) / (n * k)
    return ((n - 1) * shared - k) / (n - 1 - k)


def test_it_is_the_mean_of_r_nx_over_powers_of_two() -> None:
    x, y = layers(n=50)
    curve = r_nx(x, y)
    ks = [1, 2, 4, 8, 16]
    assert MultiscaleKnn().scales(50) == tuple(ks)
    assert metric("multiscale_knn")(x, y) == pytest.approx(np.mean([curve[k - 1] for k in ks]), abs=1e-12)


def test_it_is_near_the_area_under_r_nx_over_log_k() -> None:
    x, y = layers(n=80)
    curve = r_nx(x, y)
    weights = 1 / np.arange(1, len(curve) + 1)
    area = float(np.sum(curve * weights) / np.sum(weights))
    found = metric("multiscale_knn(largest=0.9)")(x, y)
    assert found == pytest.approx(area, abs=0.05)  # seven scales of 78
    assert area > 0.1


def test_every_scale_is_mutual_knn_from_chance_to_one() -> None:
    x, y = layers(n=40)
    parts = [(metric(f"mutual_knn(k={k})")(x, y) - k / 39) / (1 - k / 39) for k in (1, 2, 4)]
    assert metric("multiscale_knn(similarity='cosine', largest=0.11)")(x, y) == pytest.approx(np.mean(parts), abs=1e-12)


def test_coarse_and_fine_agreement_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, 120, 6))
    clusters = np.repeat(20 * np.eye(6), 20, axis=0)
    coarse = noise[0] + clusters, noise[1] + clusters
    fine, half = metric("multiscale_knn(largest=0.05)"), metric("multiscale_knn")
    assert fine(*coarse) < 0.2 < half(*coarse)


def test_layers_that_never_share_a_neighbour_score_below_zero() -> None:
    """x keeps two groups of 20 apart, y pairs their items up across: no nearest neighbour is the same."""
    place = np.random.default_rng(0).permutation(20).astype(float)
    x = np.r_[place, 1000 + place**1.1][:, None]
    y = np.r_[10 * np.arange(20.0), 10 * np.arange(20.0) + 1][:, None]
    assert metric("multiscale_knn(largest=0.03)")(x, y) == pytest.approx(-1 / 38)


def test_items_that_are_all_equally_far_score_chance() -> None:
    """All places are tied and shared out: every scale says what chance does."""
    assert metric("multiscale_knn")(np.eye(20), np.eye(20)) == pytest.approx(0, abs=1e-9)


def test_the_mean_of_the_null_is_exactly_zero() -> None:
    x, y = layers(n=6)
    null = metric("multiscale_knn").null(x, y)
    assert null.mean == pytest.approx(0, abs=1e-12)
    assert null.source == "all 720 pairings of the items"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("multiscale_knn(largest=1.0)", r"largest=1\.0 must be above 0 and below 1"),
        ("multiscale_knn(similarity='l1')", "similarity='l1' is not known"),
    ],
)
def test_bad_parameters_are_refused_in_words(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        metric(spec)
