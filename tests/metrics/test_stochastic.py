"""Stochastic shape distances: closed forms of the Wasserstein distance of Gaussians, limits, groups, and bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import ortho_group

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.metrics.stochastic import stochastic_shape


def noisy(conditions: int = 10, repeats: int = 4, d: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    means = np.repeat(rng.standard_normal((conditions, d)), repeats, axis=0)
    return means + 0.5 * rng.standard_normal((conditions * repeats, d)) * np.linspace(0.5, 2, d)


def gaussians(x: np.ndarray, repeats: int) -> tuple[np.ndarray, list[np.ndarray]]:
    parts = np.split(x - x.mean(axis=0), len(x) // repeats)
    return np.stack([p.mean(axis=0) for p in parts]), [np.cov(p.T, bias=True).reshape(2 * (x.shape[1],)) for p in parts]


def left_by(q: np.ndarray, x: np.ndarray, y: np.ndarray, repeats: int, alpha: float) -> float:
    """The squared distance after x is turned by q, from square roots of covariances."""
    (mx, sx), (my, sy) = (gaussians(a, repeats) for a in (x, y))
    total = 0.0
    for m, s, n, t in zip(mx, sx, my, sy, strict=True):
        values, vectors = np.linalg.eigh(q.T @ s @ q)
        root = vectors @ np.diag(np.sqrt(np.clip(values, 0, None))) @ vectors.T
        inner = np.linalg.eigvalsh(root @ t @ root)
        bures = np.trace(s) + np.trace(t) - 2 * np.sum(np.sqrt(np.clip(inner, 0, None)))
        total += alpha * np.sum((m @ q - n) ** 2) + (2 - alpha) * bures
    return total / len(mx)


def euclidean(alpha: float, repeats: int = 4) -> Any:
    return metric(f"stochastic_shape_distance(repeats={repeats}, alpha={alpha}, kind='euclidean')")


def test_one_feature_is_the_closed_form() -> None:
    """Of Gaussians on a line W² = (m - n)² + (s - t)²; the only rotations are ±1."""
    x, y = noisy(d=1), noisy(d=1, seed=1)
    (mx, sx), (my, sy) = (gaussians(a, 4) for a in (x, y))
    s, t = (np.sqrt(np.ravel(v)) for v in (sx, sy))
    squared = min(np.mean((sign * mx[:, 0] - my[:, 0]) ** 2 + (s - t) ** 2) for sign in (1, -1))
    assert euclidean(1.0)(x, y) == pytest.approx(np.sqrt(squared), rel=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_no_rotation_of_many_leaves_less_and_the_value_is_the_least(alpha: float) -> None:
    x, y = noisy(), noisy(seed=1)
    found = euclidean(alpha)(x, y) ** 2
    drawn = ortho_group.rvs(3, size=30, random_state=0)
    drawn = [*drawn, *(q @ np.diag([-1.0, 1, 1]) for q in drawn)]
    values = [left_by(q, x, y, 4, alpha) for q in drawn]
    assert found < min(values) + 1e-6

    def after(w: np.ndarray, start: np.ndarray) -> float:
        skew = np.array([[0, w[0], w[1]], [-w[0], 0, w[2]], [-w[1], -w[2], 0]])
        return left_by(start @ np.linalg.solve(np.eye(3) - skew, np.eye(3) + skew), x, y, 4, alpha)

    starts = [drawn[i] for i in np.argsort(values)[:3]]
    refined = min(minimize(after, np.zeros(3), args=(q,)).fun for q in starts)
    assert found == pytest.approx(refined, rel=1e-5)  # where the slopes by differences end


def test_means_alone_are_procrustes_of_the_conditions() -> None:
    x, y = noisy(d=4), noisy(d=2, seed=1)
    mx, my = (gaussians(a, 4)[0] for a in (x, y))
    expected = metric("procrustes_distance(kind='angular')")(mx, my)
    assert metric("stochastic_shape_distance(repeats=4, alpha=2.0)")(x, y) == pytest.approx(expected, abs=1e-8)
    lengths = metric("procrustes_distance(kind='size_and_shape')")(mx, my)
    assert euclidean(2.0)(x, y) == pytest.approx(np.sqrt(2 / 10) * lengths, rel=1e-8)


def test_noise_is_seen_where_the_means_are_the_same() -> None:
    x = noisy(repeats=4)
    means = np.repeat(gaussians(x, 4)[0], 4, axis=0)
    louder = means + 3 * (x - x.mean(axis=0) - means)
    assert metric("stochastic_shape_distance(repeats=4, alpha=2.0)")(x, louder) == pytest.approx(0, abs=1e-6)
    assert metric("stochastic_shape_distance(repeats=4, alpha=1.0)")(x, louder) > 0.2
    # covariances nine times as large: B² = tr Σ (1 - 3)², a closed form
    spread = np.mean([np.trace(s) for s in gaussians(x, 4)[1]])
    assert euclidean(0.0)(x, louder) == pytest.approx(np.sqrt(2 * spread * 4), rel=1e-8)


def test_the_order_of_repeats_does_not_count_nor_what_a_rotation_does() -> None:
    x = noisy()
    rng = np.random.default_rng(5)
    within = np.concatenate([4 * c + rng.permutation(4) for c in range(10)])
    turned = x[within] @ ortho_group.rvs(3, random_state=2) + 7
    assert euclidean(2.0)(x, turned) == pytest.approx(0, abs=1e-6)
    assert euclidean(1.0)(x, turned) == pytest.approx(0, abs=1e-5)  # the covariances are the same matrices


def test_labels_in_any_order_give_what_rows_in_order_give() -> None:
    x, y = noisy(d=4), noisy(seed=1)
    order = np.random.default_rng(0).permutation(len(x))
    labels = np.repeat([f"stimulus {c}" for c in range(10)], 4)
    expected = metric("stochastic_shape_distance(repeats=4)")(x, y)
    assert stochastic_shape(x[order], y[order], groups=labels[order]) == pytest.approx(expected, rel=1e-9)
    uneven = np.delete(np.arange(40), [1, 2, 17])
    value = stochastic_shape(x[uneven], y[uneven], groups=labels[uneven], kind="euclidean")
    assert value == pytest.approx(stochastic_shape(y[uneven], x[uneven], groups=labels[uneven], kind="euclidean"))
    assert value > 0.1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("stochastic_shape_distance(repeats=1)", "repeats=1 must be a whole number, at least 2"),
        ("stochastic_shape_distance(alpha=3.0)", r"alpha=3\.0 must be between 0 .* and 2"),
        ("stochastic_shape_distance(kind='bures')", "kind must be 'angular' or 'euclidean', found 'bures'"),
    ],
)
def test_bad_parameters_are_refused_in_words(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        metric(spec)


def test_bad_conditions_are_refused_in_words() -> None:
    x = noisy()
    with pytest.raises(InputError, match=r"40 items are not whole conditions of 7 repeats each. Leave out 5"):
        metric("stochastic_shape_distance(repeats=7)")(x, x)
    with pytest.raises(InputError, match="one label for each of the 40 items, found shape"):
        stochastic_shape(x, x, groups=np.zeros(39))
    with pytest.raises(InputError, match="at least 3 conditions of at least 2 items each, found 4 conditions"):
        stochastic_shape(x, x, groups=[0] * 20 + [1] * 10 + [2] * 9 + [3])
    still = np.repeat(gaussians(x, 4)[0], 4, axis=0)
    with pytest.raises(InputError, match="constant in what alpha=0 looks at: no condition varies over its repeats"):
        metric("stochastic_shape_distance(repeats=4, alpha=0.0)")(still, x)
