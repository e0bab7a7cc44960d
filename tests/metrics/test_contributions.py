"""What each item gives to a score, against formulas written out over whole matrices, and against planted mismatches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isomorph._core.arrays import MANY
from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.metrics._engines.kernels import products

Array = np.ndarray[Any, Any]

SPECS = (
    "mutual_knn(k=5)",
    "jaccard_knn(k=5)",
    "rank_similarity(k=5)",
    "cknna(k=10)",
    "mutual_nearest(k=20)",
    "second_order_cosine(k=5)",
    "information_imbalance(k=5)",
    "cka",
    "cka(estimator='biased')",
    "hsic(kernel='rbf')",
    "distance_correlation",
    "rsa(comparison='pearson')",
    "cca(summary='mean_square')",
    "svcca(count=4)",
    "pwcca",
    "decoding",
    "gulp_distance",
    "procrustes",
    "procrustes_distance",
    "ridge_predictivity",
)


def spaces(n: int = 80, d1: int = 12, d2: int = 9, *, noise: float = 0.2, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 6))
    x, y = (z @ rng.standard_normal((6, d)) + noise * rng.standard_normal((n, d)) for d in (d1, d2))
    return x, y


@pytest.mark.parametrize("spec", SPECS)
def test_items_that_are_seen_differently_give_less(spec: str) -> None:
    x, y = spaces(200)
    wrong = np.arange(0, 200, 10)  # these take each other's rows in y
    y[wrong] = y[np.roll(wrong, 1)]
    m = metric(spec)
    given = m.per_item(x, y) * (-1 if m.distance else 1)
    right = np.setdiff1d(np.arange(200), wrong)
    less = given[wrong][:, None] - given[right][None, :]
    assert np.mean((less < 0) + (less == 0) / 2) > 0.65  # area under the curve; 0.5 by chance


@pytest.mark.parametrize("estimator", ["unbiased", "biased", "lange"])
@pytest.mark.parametrize("strips", [True, False])
def test_an_item_gives_its_row_of_the_product_of_the_centred_kernels(
    estimator: str, strips: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "_strips_are_cheaper", lambda *_: strips)
    monkeypatch.setattr(products, "STRIP_BYTES", 7 * 2 * 80 * 8)
    monkeypatch.setattr(products, "CHUNK", 31)
    x, y = spaces()
    n, h = 80, np.eye(80) - 1 / 80
    kernels = [a @ a.T for a in (x, y)]
    if estimator == "unbiased":
        for k in kernels:
            np.fill_diagonal(k, 0)
            r = k.sum(axis=0)
            np.subtract(k, r[:, None] / (n - 2) + r / (n - 2) - r.sum() / ((n - 1) * (n - 2)), out=k)
            np.fill_diagonal(k, 0)
    else:
        kernels = [h @ k @ h for k in kernels]
        if estimator == "lange":
            for k in kernels:
                np.fill_diagonal(k, 0)
    a, b = kernels
    expected = n * (a * b).sum(axis=1) / np.sqrt((a * a).sum() * (b * b).sum())
    np.testing.assert_allclose(metric(f"cka(estimator={estimator!r})").per_item(x, y), expected, rtol=1e-9)


def test_an_item_gives_its_row_of_two_rdms() -> None:
    x, y = spaces(30)
    pair = [np.linalg.norm(v[:, None] - v, axis=2) for v in (x, y)]
    upper = np.triu_indices(30, 1)
    a, b = (d[upper] - d[upper].mean() for d in pair)
    terms = np.zeros((30, 30))
    terms[upper] = a * b / np.sqrt((a @ a) * (b @ b))
    m = metric("rsa(dissimilarity='euclidean', comparison='pearson')")
    np.testing.assert_allclose(m.per_item(x, y), 15 * (terms + terms.T).sum(axis=1), rtol=1e-9)


def test_an_item_leaves_its_distance_after_the_best_rotation() -> None:
    x, y = spaces(50, 7, 7)
    x, y = ((v - v.mean(axis=0)) / np.linalg.norm(v - v.mean(axis=0)) for v in (x, y))
    u, _, vt = np.linalg.svd(x.T @ y)
    squares = np.sum((x @ u @ vt - y) ** 2, axis=1)
    np.testing.assert_allclose(metric("procrustes_distance(kind='ding')").per_item(x, y), 50 * squares, rtol=1e-9)
    angle = metric("procrustes_distance")
    np.testing.assert_allclose(angle.per_item(x, y), 50 * angle(x, y) * squares / squares.sum(), rtol=1e-9)


def test_equal_layers_leave_nothing_to_any_item() -> None:
    x, _ = spaces()
    for spec in ("procrustes_distance", "procrustes_distance(kind='size_and_shape')", "gulp_distance"):
        np.testing.assert_allclose(metric(spec).per_item(x, x), 0, atol=1e-6)
    np.testing.assert_allclose(metric("mutual_knn(k=5)").per_item(x, x), 1)


def test_an_item_is_foretold_to_its_own_residual() -> None:
    x, y = spaces()
    m = metric("linear_predictivity(direction='x_to_y', folds=None)")
    design = np.column_stack([np.ones(80), x])
    rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    centered = y - y.mean(axis=0)
    np.testing.assert_allclose(m.per_item(x, y), 1 - 80 * np.sum(rest**2, axis=1) / np.sum(centered**2), rtol=1e-9)


@pytest.mark.parametrize("spec", ["unit_matching", "rsa(comparison='kendall')", "riemannian_distance"])
def test_a_score_that_is_no_sum_over_items_says_so(spec: str) -> None:
    with pytest.raises(InputError, match=r"has no score per item.*mutual_knn"):
        metric(spec).per_item(*spaces())


@pytest.mark.parametrize("spec", ["cka", "mutual_knn(k=5)", "procrustes", "rsa"])
def test_tensors_give_the_same_on_the_host(spec: str) -> None:
    torch = pytest.importorskip("torch")
    x, y = spaces()
    found = metric(spec).per_item(torch.asarray(x), torch.asarray(y))
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, metric(spec).per_item(x, y), rtol=1e-9, atol=1e-12)


def test_rows_that_are_many_are_taken_into_memory() -> None:
    x, y = spaces(MANY + 3, 5, 4, noise=1.0)
    given = metric("cka").per_item(x, y)
    assert given.shape == (MANY + 3,)
    assert given.mean() == pytest.approx(metric("cka")(x, y), rel=1e-9)
