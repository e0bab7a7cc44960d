"""Two-sample distances: against scipy, sums written out, the alignment, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance

from isomorph.errors import InputError
from isomorph.metrics import metric

from .test_prediction import layers

Pair = tuple[np.ndarray, np.ndarray]


def aligned(x: np.ndarray, y: np.ndarray) -> Pair:
    """Both centred, of mean squared norm one, padded to one width, x turned onto y: written out."""
    width = max(x.shape[1], y.shape[1])
    x, y = (np.pad(a - a.mean(axis=0), ((0, 0), (0, width - a.shape[1]))) for a in (x, y))
    x, y = (a * len(a) ** 0.5 / np.linalg.norm(a) for a in (x, y))
    u, _, vt = np.linalg.svd(x.T @ y)
    return x @ u @ vt, y


def energy(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()))


def mmd(x: np.ndarray, y: np.ndarray, bandwidth: float) -> float:
    both = np.r_[x, y]
    squared = cdist(both, both, "sqeuclidean")
    width = bandwidth**2 * np.median(squared[np.triu_indices(len(both), 1)])
    k, n = np.exp(-squared / (2 * width)), len(x)
    return float(np.sqrt(k[:n, :n].mean() + k[n:, n:].mean() - 2 * k[:n, n:].mean()))


@pytest.mark.parametrize(("d1", "d2"), [(4, 4), (5, 3), (2, 6)])
def test_both_equal_their_sums_written_out_after_procrustes(d1: int, d2: int) -> None:
    x, y = layers(d1=d1, d2=d2)
    a, b = aligned(x, y)
    assert metric("energy_distance")(x, y) == pytest.approx(energy(a, b), rel=1e-8)
    assert metric("mmd_distance(bandwidth=0.5)")(x, y) == pytest.approx(mmd(a, b, 0.5), rel=1e-8)


def test_the_energy_distance_of_one_feature_is_that_of_scipy() -> None:
    x, y = layers(d1=1, d2=1)
    a, b = aligned(x, y)
    assert metric("energy_distance")(x, y) == pytest.approx(energy_distance(a[:, 0], b[:, 0]), rel=1e-8)


@pytest.mark.parametrize("name", ["energy_distance", "mmd_distance(bandwidth=0.3)"])
def test_spread_counts_and_not_which_item_is_where(name: str) -> None:
    rng = np.random.default_rng(0)
    round_, other = rng.standard_normal((2, 300, 3))
    two_lumps = np.where(other > 0, 1.0, -1.0) + 0.1 * other
    m = metric(name)
    assert m(round_, round_ @ np.linalg.qr(rng.standard_normal((3, 3)))[0]) == pytest.approx(0, abs=1e-6)
    assert m(round_, other) < 0.5 * m(round_, two_lumps)  # unrelated, and spread alike
    assert metric("procrustes")(round_, other) < 0.3


def test_joint_against_independent_is_what_hsic_measures() -> None:
    """What MMD on pairs means without an alignment, as the page says: MMD² of joint and product is the biased HSIC."""
    x, y = layers(n=12)
    k, l_ = (np.exp(-cdist(a, a, "sqeuclidean") / 2) for a in (x, y))
    joint, product = (k * l_).mean(), k.mean() * l_.mean()
    cross = (k.mean(axis=1) * l_.mean(axis=1)).mean()
    squared = joint + product - 2 * cross
    hsic = metric("hsic(estimator='biased', kernel='rbf', median=None)")(x, y)
    assert hsic * (len(x) - 1) ** 2 / len(x) ** 2 == pytest.approx(squared, rel=1e-8)


def test_bad_input_is_refused_in_words() -> None:
    with pytest.raises(InputError, match=r"mmd_distance: bandwidth=-1\.0 must be above 0 and finite"):
        metric("mmd_distance(bandwidth=-1.0)")
    x = np.zeros((20, 2))
    x[:2] = [[1, 0], [0, 1]]
    with pytest.raises(InputError, match=r"half of all pairs of items are at the same place.*energy_distance"):
        metric("mmd_distance")(x, x)
    assert metric("energy_distance")(x, x) == pytest.approx(0, abs=1e-6)
