"""Canonical correlation metrics: reference values, independent oracles, the peers' variants, and bad input."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import metric

Pair = tuple[np.ndarray, np.ndarray]


def centered(a: np.ndarray) -> np.ndarray:
    return a - a.mean(axis=0)


def correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Canonical correlations by QR, independent of ours."""
    return np.linalg.svd(np.linalg.qr(centered(x))[0].T @ np.linalg.qr(centered(y))[0], compute_uv=False)


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ("cca", 0.5711491181),  # repsim (PyPI) "pillai", Aristotelian
        ("cca-squared_score", 0.4044103630),  # repsim (PyPI) "yanai"
        ("svcca", 0.6477697101),  # similarity-repository, platonic-universe without its 1e-8 ridge
        ("svcca(variance=0.9)", 0.9102424178),
        ("svcca(variance=0.95)", 0.9148863290),
        ("svcca(variance=0.98)", 0.7428713110),
        ("svcca(variance=0.999)", 0.5773428565),
        ("pwcca(weights='x')", 0.7868591157),
        ("pwcca(weights='y')", 0.7133259980),
        ("pwcca(weights='mean')", 0.7500925568),  # repsim (PyPI)
    ],
)
def test_the_reference_values_are_met_to_1e_minus_8(reference: Pair, spec: str, value: float) -> None:
    assert metric(spec)(*reference) == pytest.approx(value, abs=1e-9)


def test_cca_equals_scikit_learn(reference: Pair) -> None:
    cross_decomposition = pytest.importorskip("sklearn.cross_decomposition")
    x, y = reference[0][:, :3], reference[1][:, :4]
    a, b = cross_decomposition.CCA(n_components=3, scale=False, tol=1e-12, max_iter=20000).fit_transform(x, y)
    rho = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(3)]
    assert metric("cca")(x, y) == pytest.approx(np.mean(rho), abs=1e-8)


def test_cca_is_the_mean_of_the_correlations_of_an_independent_route(reference: Pair) -> None:
    rho = correlations(*reference)
    assert metric("cca")(*reference) == pytest.approx(rho.mean(), abs=1e-12)
    assert metric("cca(summary='mean_square')")(*reference) == pytest.approx((rho**2).mean(), abs=1e-12)


# ---- what the peers compute instead ---------------------------------------------------------------------------------


def test_google_svcca_averages_only_the_correlations_that_hold_98_percent_of_their_sum(reference: Pair) -> None:
    rho = correlations(*reference)
    kept = next(i for i in range(len(rho) + 1) if rho[:i].sum() / rho.sum() >= 0.98)
    assert rho[:kept].mean() == pytest.approx(0.5987802259, abs=1e-9)  # also latentis, which calls it svcca
    assert metric("cca")(*reference) < 0.58


def test_resi_svcca_keeps_one_component_whatever_the_threshold(reference: Pair) -> None:
    # it compares a cumulative *fraction* with threshold times the *total* variance, so the first always passes
    u = [np.linalg.svd(centered(a), full_matrices=False)[0][:, 0] for a in reference]
    assert abs(u[0] @ u[1]) == pytest.approx(0.1224070772, abs=1e-9)
    assert metric("svcca(count=1)")(*reference) == pytest.approx(abs(u[0] @ u[1]), abs=1e-12)


def test_anatome_svcca_thresholds_sums_of_uncentred_singular_values(reference: Pair) -> None:
    parts = []
    for a in reference:
        u, s, _ = np.linalg.svd(a, full_matrices=False)
        kept = int(np.sum(np.cumsum(s) / s.sum() < 0.99))  # and one axis short of the threshold
        parts.append(u[:, :kept] * s[:kept])
    assert [p.shape[1] for p in parts] == [30, 46]
    assert correlations(*parts).mean() == pytest.approx(0.5724035344, abs=1e-9)
    assert [metric("svcca").prepare(a).rank for a in reference] == [22, 45]  # type: ignore[attr-defined]  # an Axes


def test_aristotelian_svcca_keeps_ten_axes_of_every_layer(reference: Pair) -> None:
    # platonic-rep too, but of z-scored features, by an unseeded random method with noise: 0.8375 to 0.8881
    assert metric("svcca-dim=10-score")(*reference) == pytest.approx(0.8965580345, abs=1e-9)


def test_platonic_universe_pwcca_is_svcca_because_its_weights_are_the_variance_of_the_variates(
    reference: Pair,
) -> None:
    x, y = (np.linalg.svd(centered(a), full_matrices=False) for a in reference)
    k = [int(np.sum(np.cumsum(s**2) / np.sum(s**2) < 0.99)) + 1 for _, s, _ in (x, y)]
    left, rho, _ = np.linalg.svd(x[0][:, : k[0]].T @ y[0][:, : k[1]], full_matrices=False)
    weights = np.var(x[0][:, : k[0]] @ left, axis=0)
    assert np.average(rho, weights=weights) == pytest.approx(metric("svcca")(*reference), abs=1e-9)


def test_google_pwcca_weighs_by_coefficients_that_lack_the_whitening(reference: Pair) -> None:
    raw, (x, y) = reference[0], (centered(a) for a in reference)

    def inverse_root(a: np.ndarray) -> np.ndarray:
        w, v = np.linalg.eigh(np.cov(a.T))
        return v / np.sqrt(w) @ v.T

    u, rho, _ = np.linalg.svd(inverse_root(x) @ (x.T @ y / (len(x) - 1)) @ inverse_root(y))
    directions = np.linalg.qr(x @ u + raw.mean(axis=0))[0]
    weights = np.abs(directions.T @ raw).sum(axis=1)
    assert np.average(rho, weights=weights) == pytest.approx(0.7983113046, abs=1e-9)  # ReSi too


@pytest.mark.parametrize(("center", "value"), [(False, 0.5529021092), (True, 0.5624672286)])
def test_anatome_pwcca_orthonormalises_coefficients_and_weighs_the_uncentred_layer(
    reference: Pair, center: bool, value: float
) -> None:
    raw, (x, y) = reference[0], (np.linalg.svd(centered(a), full_matrices=False) for a in reference)
    u, rho, _ = np.linalg.svd(x[0].T @ y[0], full_matrices=False)
    coefficients = np.linalg.qr(x[2].T / x[1] @ u)[0]
    weights = np.abs((centered(raw) if center else raw) @ coefficients).sum(axis=0)
    assert np.average(rho, weights=weights) == pytest.approx(value, abs=1e-9)


# ---- chance -------------------------------------------------------------------------------------------------------


def test_the_mean_squared_correlation_of_unrelated_layers_is_the_larger_rank_over_n_minus_1(reference: Pair) -> None:
    null = metric("cca(summary='mean_square')").null(*reference)
    assert null.exact
    assert null.mean == pytest.approx(48 / 199, abs=1e-12)


def test_the_exact_null_of_cca_agrees_with_sampled_permutations(reference: Pair) -> None:
    m = metric("cca(summary='mean_square')")
    x, y = (m.prepare(a) for a in reference)
    null = m.null_moments([x], [y])
    rng = np.random.default_rng(0)
    sample = np.array([s[0, 0] for s in m.compare_permuted([x], [y], [rng.permutation(200) for _ in range(400)])])
    assert null is not None
    assert sample.mean() == pytest.approx(null.mean.item(), abs=4 * null.std.item() / 20)
    assert sample.std() == pytest.approx(null.std.item(), rel=0.15)


def test_permutations_by_shared_products_equal_those_pair_by_pair(
    reference: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    m = metric("cca(summary='mean_square')")
    x, y = (m.prepare(a) for a in reference)
    orders = np.stack([np.random.default_rng(s).permutation(200) for s in range(3)])
    shared = [s.copy() for s in m.compare_permuted([x], [y], orders)]
    monkeypatch.setattr("isomorph.metrics._engines.spectra.projections.SHARED_BYTES", 0)
    np.testing.assert_allclose(list(m.compare_permuted([x], [y], orders)), shared, atol=1e-12)


# ---- data that is not well behaved ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", ["cca", "pwcca", "svcca(variance=1.0)", "rcca(regularization=0)", "gulp(regularization=0)"]
)
@pytest.mark.parametrize("d", [40, 39, 300])
def test_as_many_features_as_items_are_refused_with_rank_n_and_the_fix(spec: str, d: int) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"rank 39 on n = 40 items.*svcca\("):
        metric(spec)(rng.standard_normal((40, d)), rng.standard_normal((40, 5)))


def test_a_low_rank_layer_with_more_features_than_items_is_fine() -> None:
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal((60, 4)), rng.standard_normal((60, 5))
    wide = z @ rng.standard_normal((4, 100))
    assert metric("cca")(wide, y) == pytest.approx(metric("cca")(z, y), abs=1e-10)


def test_a_large_offset_does_not_add_rank() -> None:
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal((60, 4)), rng.standard_normal((60, 5))
    wide = z @ rng.standard_normal((4, 9)) + 1e5
    assert metric("cca").prepare(wide).rank == 4
    assert metric("cca")(wide, y) == pytest.approx(metric("cca")(z, y), abs=1e-6)


def test_variation_lost_in_float32_rounding_is_refused() -> None:
    rng = np.random.default_rng(0)
    x = (1e7 + 0.3 * rng.standard_normal((50, 3))).astype(np.float32)
    with pytest.raises(InputError, match=r"constant|rounding"):
        metric("cca")(x, rng.standard_normal((50, 3)).astype(np.float32))


@pytest.mark.parametrize(
    "spec",
    [
        "cca(summary='median')",
        "svcca(variance=0)",
        "svcca(variance=1.5)",
        "svcca(count=0)",
        "svcca(variance=None)",
        "pwcca(weights='z')",
        "rcca(regularization=-1)",
        "decoding(regularization='a')",
        "gulp(regularization=-0.1)",
    ],
)
def test_impossible_parameters_are_refused(spec: str) -> None:
    with pytest.raises(InputError):
        metric(spec)


def test_more_axes_than_there_are_is_refused_not_padded(reference: Pair) -> None:
    with pytest.raises(InputError, match="at most 32"):
        metric("svcca(count=33)")(*reference)


def test_small_correlations_are_weighed_without_losing_digits() -> None:
    rng = np.random.default_rng(1)
    q = np.linalg.qr(centered(rng.standard_normal((50, 8))))[0]
    x = q[:, :3] * [3.0, 2.0, 1.0] @ rng.standard_normal((3, 3))
    y = q[:, 4:7] + q[:, :3] * [1.0, 1e-5, 1e-9]  # ρ = 1 / √2, 1e-5, 1e-9: too small for a Gram of the products
    total = [np.abs(q[:, i] @ x).sum() for i in range(3)]
    expected = np.average([1 / np.sqrt(2), 1e-5, 1e-9], weights=total)
    assert metric("pwcca(weights='x')")(x, y) == pytest.approx(expected, abs=1e-9)
    assert metric("pwcca(weights='y')")(y, x) == pytest.approx(expected, abs=1e-9)


# ---- the ridge family ---------------------------------------------------------------------------------------------


def test_decoding_joins_cca_to_cka(reference: Pair) -> None:
    x, y = (centered(a) for a in reference)
    cka = np.sum((x.T @ y) ** 2) / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)
    assert cka == pytest.approx(0.6513918225, abs=1e-9)
    assert metric("decoding(regularization=1e12)")(*reference) == pytest.approx(cka, abs=1e-10)
    rho = correlations(x, y)
    expected = (rho**2).sum() / np.sqrt(32 * 48)
    assert metric("decoding(regularization=0)")(*reference) == pytest.approx(expected, abs=1e-12)


def test_decoding_is_the_agreement_of_ridge_predictions_of_random_targets(reference: Pair) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = (centered(a) for a in reference)
    ridges = [linear_model.Ridge(alpha=0.05 * np.sum(a * a), fit_intercept=False) for a in (x, y)]
    smoothers = [ridge.fit(a, np.eye(200)).predict(a) for ridge, a in zip(ridges, (x, y), strict=True)]
    expected = np.sum(smoothers[0] * smoothers[1]) / np.linalg.norm(smoothers[0]) / np.linalg.norm(smoothers[1])
    assert metric("decoding(regularization=0.05)")(*reference) == pytest.approx(expected, abs=1e-10)


def test_regularised_cca_joins_cca_to_procrustes(reference: Pair) -> None:
    assert metric("rcca(regularization=0)")(*reference) == pytest.approx(metric("cca")(*reference), abs=1e-12)
    large = metric("rcca(regularization=1e12, summary='cosine')")(*reference)
    assert large == pytest.approx(metric("procrustes")(*reference), abs=1e-10)


def test_regularised_cca_has_the_singular_values_of_the_ridge_whitened_covariance(reference: Pair) -> None:
    x, y = (centered(a) for a in reference)

    def inverse_root(a: np.ndarray) -> np.ndarray:
        w, v = np.linalg.eigh(a.T @ a + 0.02 * np.sum(a * a) * np.eye(a.shape[1]))
        return v / np.sqrt(w) @ v.T

    rho = np.linalg.svd(inverse_root(x) @ x.T @ y @ inverse_root(y), compute_uv=False)
    assert metric("rcca(regularization=0.02)")(*reference) == pytest.approx(rho.mean(), abs=1e-10)


@pytest.mark.parametrize("ridge", [0.001, 0.1])
def test_gulp_is_the_formula_of_its_authors(reference: Pair, ridge: float) -> None:
    n = 200
    x, y = (centered(a) * np.sqrt(n) / np.linalg.norm(centered(a)) for a in reference)
    cov = {"xx": x.T @ x / n, "yy": y.T @ y / n, "xy": x.T @ y / n}
    inverse = {k: np.linalg.inv(cov[k] + ridge * np.eye(len(cov[k]))) for k in ("xx", "yy")}
    square = sum(np.trace(np.linalg.matrix_power(inverse[k] @ cov[k], 2)) for k in ("xx", "yy"))
    square -= 2 * np.trace(inverse["xx"] @ cov["xy"] @ inverse["yy"] @ cov["xy"].T)
    assert metric(f"gulp(regularization={ridge}, squared=True)")(*reference) == pytest.approx(square, abs=1e-9)
    assert metric(f"gulp(regularization={ridge})")(*reference) == pytest.approx(np.sqrt(square), abs=1e-9)


def test_the_chance_of_gulp_is_the_mean_of_its_square_over_all_pairings() -> None:
    n, ridge = 6, 0.05
    x, y = (np.random.default_rng(n + d).standard_normal((n, d)) for d in (3, 2))
    gulp = metric(f"gulp(regularization={ridge}, squared=True)")
    squares = [gulp(x, y[list(order)]) for order in itertools.permutations(range(n))]

    def projection(a: np.ndarray) -> np.ndarray:
        a = centered(a) / np.linalg.norm(centered(a))
        return a @ np.linalg.inv(a.T @ a + ridge * np.eye(a.shape[1])) @ a.T

    gx, gy = projection(x), projection(y)
    told = np.sum(gx**2) + np.sum(gy**2) - 2 * np.trace(gx) * np.trace(gy) / (n - 1)
    assert np.mean(squares) == pytest.approx(told, abs=1e-10)


def test_eigenspace_overlap_is_resis_value_where_ranks_equal_numbers_of_features(reference: Pair) -> None:
    u, v = (np.linalg.svd(a, full_matrices=False)[0] for a in reference)
    assert metric("eigenspace_overlap")(*reference) == pytest.approx(np.sum((u.T @ v) ** 2) / 48, abs=1e-12)
    with pytest.raises(InputError, match="spans every layer"):
        metric("eigenspace_overlap")(reference[0][:32], reference[1][:32])


def test_axes_of_nearly_the_same_variance_are_no_tie_in_single_precision() -> None:
    rng = np.random.default_rng(0)  # neighbouring singular values come as near as 1e-5 of the first
    x, y = (rng.standard_normal((300, 120)).astype(np.float32) / np.sqrt(1 + np.arange(120.0)) for _ in range(2))
    x, y = x.astype(np.float32), y.astype(np.float32)
    for count in range(2, 119):
        m = metric(f"svcca(count={count})")
        assert m(x, y) == pytest.approx(m(x.astype(np.float64), y.astype(np.float64)), abs=1e-6)
