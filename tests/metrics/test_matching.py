"""Unit-level metrics: hand-made layers whose matching is known, independent oracles, and bad input."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from isomorph.errors import InputError, MissingExtraError
from isomorph.metrics import metric
from isomorph.metrics.matching import best_buddy_pairs


def layers(n: int = 60, d: int = 4, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A layer, its units shuffled with noise, and the shuffle."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d))
    order = rng.permutation(d)
    return x, x[:, order] + noise * rng.standard_normal((n, d)), order


def correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    d = x.shape[1]
    return np.corrcoef(x.T, y.T)[:d, d:]


def test_unit_matching_is_the_best_of_all_one_to_one_matchings() -> None:
    x, y, _ = layers()
    c = correlations(x, y[:, :3])
    best = max(np.mean([c[i, j] for j, i in enumerate(p)]) for p in itertools.permutations(range(4), 3))
    assert metric("unit_matching")(x, y[:, :3]) == pytest.approx(best, abs=1e-12)
    assert metric("unit_matching")(y[:, :3], x) == pytest.approx(best, abs=1e-12)


def test_negated_units_match_only_by_absolute_correlation() -> None:
    x, y, _ = layers(noise=0.0)
    assert metric("unit_matching(absolute=True)")(x, -y) == pytest.approx(1.0, abs=1e-12)
    assert metric("unit_matching")(x, -y) < 0.5


def test_semi_matching_lets_several_units_share_a_partner() -> None:
    x, y, order = layers(noise=0.0)
    wide = np.concatenate([y, y[:, :1]], axis=1)  # one unit twice
    assert metric("semi_matching(direction='y_to_x')")(x, wide) == pytest.approx(1.0, abs=1e-12)
    c = correlations(x[:, order[:1]], y)
    assert metric("semi_matching(direction='x_to_y')")(x[:, order[:1]], y) == pytest.approx(c.max(), abs=1e-12)
    there, back = (metric(f"semi_matching(direction={d!r})")(x[:, :2], wide) for d in ("x_to_y", "y_to_x"))
    assert metric("semi_matching")(x[:, :2], wide) == pytest.approx((there + back) / 2, abs=1e-12)


def test_soft_matching_of_equal_widths_is_the_one_to_one_matching() -> None:
    x, y, _ = layers()
    assert metric("soft_matching")(x, y) == pytest.approx(metric("unit_matching")(x, y), abs=1e-12)


def test_soft_matching_of_unequal_widths_splits_units_and_equals_a_linear_programme() -> None:
    pytest.importorskip("ot")
    optimize = pytest.importorskip("scipy.optimize")
    x, y, _ = layers()
    x = x[:, :3]
    c = correlations(x, y)
    rows, columns = np.kron(np.eye(3), np.ones(4)), np.kron(np.ones(3), np.eye(4))
    plan = optimize.linprog(
        -c.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.r_[np.full(3, 1 / 3), np.full(4, 1 / 4)]
    )
    assert metric("soft_matching")(x, y) == pytest.approx(-plan.fun, abs=1e-10)
    doubled = np.repeat(x, 2, axis=1)  # each unit twice: splitting its weight over both matches perfectly
    assert metric("soft_matching")(x, doubled) == pytest.approx(1.0, abs=1e-12)


def test_soft_matching_distance_follows_from_the_score() -> None:
    ot = pytest.importorskip("ot")
    x, y, _ = layers()
    u, v = ((a - a.mean(0)) / np.linalg.norm(a - a.mean(0), axis=0) for a in (x, y[:, :3]))
    cost = np.sum((u[:, :, None] - v[:, None, :]) ** 2, axis=0)
    square = ot.emd2(np.full(4, 0.25), np.full(3, 1 / 3), cost)
    assert 2 - 2 * metric("soft_matching")(x, y[:, :3]) == pytest.approx(square, abs=1e-10)


def test_best_buddies_are_the_planted_pairs() -> None:
    x, y, order = layers(noise=0.1)
    pairs = best_buddy_pairs(x, y)
    assert {(i, j) for i, j, _ in pairs} == {(int(i), j) for j, i in enumerate(order)}
    c = correlations(x, y)
    np.testing.assert_allclose([r for *_, r in pairs], sorted((c[i, j] for i, j, _ in pairs), reverse=True), atol=1e-12)
    assert metric("best_buddies")(x, y) == 1.0


def test_units_without_a_counterpart_lower_the_share_of_best_buddies() -> None:
    x, y, _ = layers(noise=0.1)
    spare = 0.5 * y[:, :2] + np.random.default_rng(1).standard_normal((60, 2))  # prefer units that have better partners
    assert metric("best_buddies")(x, np.concatenate([y, spare], axis=1)) == pytest.approx((1 + 4 / 6) / 2, abs=1e-12)


def test_pairs_name_the_units_by_their_columns_although_constant_ones_are_left_out() -> None:
    x, y, order = layers(noise=0.1)
    x = np.insert(x, 1, 7.0, axis=1)
    y = np.insert(y, 0, 0.0, axis=1)
    expected = {(int(i) + (i >= 1), j + 1) for j, i in enumerate(order)}
    assert {(i, j) for i, j, _ in best_buddy_pairs(x, y)} == expected
    assert metric("unit_matching")(x, x) == pytest.approx(1.0, abs=1e-12)


def test_units_constant_but_for_rounding_of_a_large_offset_are_left_out() -> None:
    x, y, _ = layers()
    wide = np.concatenate([x, np.full((60, 1), 1e6) + 1e-10 * x[:, :1]], axis=1)
    assert metric("unit_matching")(wide, y) == pytest.approx(metric("unit_matching")(x, y), abs=1e-12)


def test_copies_of_a_unit_are_all_best_buddies() -> None:
    x, _, _ = layers()
    twice = np.concatenate([x, x * 3.0 + 1.0], axis=1)
    assert metric("best_buddies")(twice, twice) == 1.0


def test_chance_of_best_buddies_is_about_one_half() -> None:
    rng = np.random.default_rng(0)
    scores = [metric("best_buddies")(*(rng.standard_normal((400, d)) for d in (12, 8))) for _ in range(60)]
    assert np.mean(scores) == pytest.approx(20 / (2 * 19), abs=0.04)


def test_more_partners_than_units_are_refused() -> None:
    x, y, _ = layers()
    with pytest.raises(InputError, match="k=5"):
        metric("best_buddies(k=5)")(x, y)
    with pytest.raises(InputError, match="k=0"):
        metric("best_buddies(k=0)")


def test_gromov_wasserstein_from_the_pairing_equals_pot_and_does_not_exceed_the_pairing() -> None:
    ot = pytest.importorskip("ot")
    x, y, _ = layers(n=25)
    dx, dy = (np.linalg.norm(a[:, None] - a[None], axis=-1) for a in (x, y))
    dx, dy = dx / dx.mean(), dy / dy.mean()
    w = np.full(25, 1 / 25)
    square = ot.gromov.gromov_wasserstein2(dx, dy, w, w, "square_loss", G0=np.diag(w), max_iter=1000, tol_rel=1e-12)
    found = metric("gromov_wasserstein")(x, y)
    assert found**2 == pytest.approx(float(square), abs=1e-8)
    assert found <= np.sqrt(np.mean((dx - dy) ** 2)) + 1e-12


def test_gromov_wasserstein_of_a_rotated_layer_is_zero() -> None:
    pytest.importorskip("ot")
    x, _, _ = layers(n=25)
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    assert metric("gromov_wasserstein")(x, 3 * x @ rotation) == pytest.approx(0, abs=1e-7)


def test_without_pot_the_message_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)
    x, y, _ = layers()
    for name in ("gromov_wasserstein", "soft_matching"):
        with pytest.raises(MissingExtraError, match=r"pip install 'isomorph\[matching\]'"):
            metric(name)(x, y[:, :3])
    assert metric("soft_matching")(x, y) > 0.8  # equal widths need no optimal transport
