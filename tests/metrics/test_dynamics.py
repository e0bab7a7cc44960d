"""Dynamical similarity: planted linear systems, an exhaustive search, series, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ortho_group

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.metrics._engines.dynamics.operators import series_operator
from isomorph.metrics._engines.dynamics.similarity import best_overlaps

KINDS = ("angular", "euclidean", "spectrum")


def rotation(turn: float) -> np.ndarray:
    return np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])


def trajectory(operator: np.ndarray, n: int = 300, noise: float = 0.1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = np.ones((n, len(operator)))
    for t in range(1, n):
        x[t] = operator @ x[t - 1] + noise * rng.standard_normal(len(operator))
    return x


SLOW = np.zeros((4, 4))
SLOW[:2, :2], SLOW[2:, 2:] = 0.95 * rotation(0.3), 0.8 * rotation(1.2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("delays", "rank"), [(1, 4), (3, 4)])
def test_systems_that_a_rotation_turns_into_each_other_are_at_no_distance(kind: str, delays: int, rank: int) -> None:
    x = trajectory(SLOW)
    turned = 3 * x @ ortho_group.rvs(4, random_state=1) + 5
    m = metric(f"dsa_distance(delays={delays}, rank={rank}, kind={kind!r})")
    assert m(x, turned) == pytest.approx(0, abs=1e-6)
    assert m(x, np.c_[turned, np.zeros((300, 2))]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_another_run_of_the_same_system_is_nearer_than_other_eigenvalues(kind: str) -> None:
    """The states of two runs with noise of their own have nothing in common but the law."""
    again = trajectory(SLOW, seed=1) @ ortho_group.rvs(4, random_state=3)
    faster = np.zeros((4, 4))
    faster[:2, :2], faster[2:, 2:] = 0.95 * rotation(0.9), 0.8 * rotation(2.2)
    m = metric(f"dsa_distance(delays=1, rank=4, kind={kind!r})")
    x = trajectory(SLOW)
    assert m(x, again) < 0.3 * m(x, trajectory(faster))
    assert metric("procrustes")(x, again) < 0.5


def test_geometry_that_is_alike_does_not_hide_dynamics_that_are_not() -> None:
    """The same states in another order: every metric of shapes would call a shuffled copy the same set."""
    x = trajectory(SLOW)
    shuffled = np.random.default_rng(0).permutation(x)
    assert metric("imd_distance")(x, shuffled) == pytest.approx(0, abs=1e-9)
    assert metric("dsa_distance(delays=1, rank=4)")(x, shuffled) > 0.5


def test_without_noise_the_operator_has_the_eigenvalues_of_the_system() -> None:
    x = trajectory(SLOW, n=40, noise=0.0) @ ortho_group.rvs(4, random_state=1)
    two = np.r_[x, 2 * trajectory(SLOW, n=40, noise=0.0, seed=0) @ ortho_group.rvs(4, random_state=1)]
    for lengths, rows in (((40,), x), ((40, 40), two)):
        shifted = rows - rows.mean(axis=0)  # centring adds a constant mode, of eigenvalue one
        found = np.linalg.eigvals(series_operator(shifted, lengths, 2, 5, "test"))
        wanted = np.r_[np.linalg.eigvals(SLOW), 1]
        assert np.abs(np.sort_complex(found) - np.sort_complex(wanted)).max() < 1e-6


def test_series_are_not_run_together() -> None:
    """Joints between series are no steps: with them the operator is that of another system."""
    starts = np.random.default_rng(0).standard_normal((30, 2))
    a = 0.9 * rotation(0.5)
    x = np.concatenate([[np.linalg.matrix_power(a, t) @ s for t in range(6)] for s in starts])
    found = np.linalg.eigvals(series_operator(x - x.mean(axis=0), [6] * 30, 1, 2, "test"))
    assert np.abs(np.abs(found) - 0.9).max() < 0.02
    assert np.abs(np.abs(np.angle(found)) - 0.5).max() < 0.02
    joined = np.linalg.eigvals(series_operator(x - x.mean(axis=0), [180], 1, 2, "test"))
    assert np.abs(np.abs(joined) - 0.9).max() > 0.1
    whole, parted = (metric(f"dsa_distance(delays=1, rank=2, series={s})") for s in (None, 6))
    assert whole(x, x[:, ::-1]) == pytest.approx(0, abs=1e-6)
    assert parted(x, x[:, ::-1]) == pytest.approx(0, abs=1e-6)
    y = np.concatenate([[np.linalg.matrix_power(rotation(1.5), t) @ s for t in range(6)] for s in starts])
    assert parted(x, y) > 0.5


@pytest.mark.parametrize("r", [1, 2, 3])
def test_no_rotation_of_a_fine_grid_is_better_than_the_one_found(r: int) -> None:
    rng = np.random.default_rng(r)
    a, b = rng.standard_normal((2, 3, r, r))
    found = best_overlaps(a, b)
    tried = (
        np.concatenate([ortho_group.rvs(r, size=4000, random_state=0), np.eye(r)[None]]) if r > 1 else np.eye(1)[None]
    )
    values = np.einsum("mij,skmij->msk", a, (tried.transpose(0, 2, 1)[:, None, None] @ b @ tried[:, None, None]))
    best = values.max(axis=(1, 2))
    assert (found >= best - 1e-9).all()
    if r <= 2:
        np.testing.assert_allclose(found, best, rtol=1e-3)  # 4000 points of one circle and its mirror image


@pytest.mark.parametrize("r", [2, 4, 6])
def test_similar_operators_are_found_to_be_so_in_either_order(r: int) -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((6, r, r))
    q = ortho_group.rvs(r, size=6, random_state=4)
    b = q @ a @ q.transpose(0, 2, 1)
    np.testing.assert_allclose(best_overlaps(a, b), np.sum(a * a, axis=(1, 2)), rtol=1e-9)
    other = rng.standard_normal((6, r, r))
    np.testing.assert_allclose(best_overlaps(a, other), best_overlaps(other, a), rtol=1e-9)


def test_kinds_are_made_of_the_same_fit() -> None:
    x, y = trajectory(SLOW), trajectory(SLOW.T, seed=1)
    a, b = (series_operator(v, [300], 1, 3, "test") for v in (x, y))
    overlap = best_overlaps(a[None], b[None])[0]
    angle = math.acos(overlap / np.linalg.norm(a) / np.linalg.norm(b))
    left = math.sqrt(np.sum(a * a) + np.sum(b * b) - 2 * overlap)
    assert metric("dsa_distance(delays=1, rank=3)")(x, y) == pytest.approx(angle, rel=1e-7)
    assert metric("dsa_distance(delays=1, rank=3, kind='euclidean')")(x, y) == pytest.approx(left, rel=1e-7)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("dsa_distance(delays=0)", "delays=0 must be a whole number, at least 1"),
        ("dsa_distance(rank=0)", "rank=0 must be a whole number, at least 1"),
        ("dsa_distance(delays=4, series=4)", "series=4 must be the number of time points of each series, at least 5"),
        ("dsa_distance(kind='koopman')", "kind must be 'angular', 'euclidean' or 'spectrum', found 'koopman'"),
    ],
)
def test_bad_parameters_are_refused_in_words(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        metric(spec)


def test_items_that_are_no_whole_series_are_refused() -> None:
    x = trajectory(SLOW, n=50)
    with pytest.raises(InputError, match=r"50 items are not whole series of 20 time points each. Leave out 10"):
        metric("dsa_distance(series=20)")(x, x)
