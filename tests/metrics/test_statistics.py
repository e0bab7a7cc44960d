"""Statistics of one layer, distance correlation and IMD: formulas written out, known dimensions, and bad input."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import metric, statistics


def cloud(n: int = 60, d: int = 5, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) * np.linspace(0.5, 2, d) + 0.7


def distances(a: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a[:, None] - a[None], axis=-1)


# ---- one layer ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(60, 5), (20, 40)])
def test_participation_ratio_and_effective_rank_are_their_formulas(shape: tuple[int, int]) -> None:
    x = cloud(*shape)
    values = np.linalg.eigvalsh(np.cov(x.T))
    values = values[values > 1e-12 * values.max()]
    assert statistics.participation_ratio(x) == pytest.approx(values.sum() ** 2 / np.sum(values**2), abs=1e-10)
    p = np.sqrt(values) / np.sqrt(values).sum()
    assert statistics.effective_rank(x) == pytest.approx(np.exp(-np.sum(p * np.log(p))), abs=1e-10)


def test_equal_variances_use_every_dimension() -> None:
    x = np.linalg.qr(cloud(40, 6) - cloud(40, 6).mean(axis=0))[0]
    assert statistics.participation_ratio(x) == pytest.approx(6, abs=1e-10)
    assert statistics.effective_rank(x) == pytest.approx(6, abs=1e-10)
    assert statistics.participation_ratio(x[:, :1]) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_intrinsic_dimension_is_that_of_the_manifold_not_of_the_space_it_lies_in(dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    x = rng.uniform(size=(3000, dimension)) @ rng.standard_normal((dimension, 20))
    assert statistics.twonn_dimension(x) == pytest.approx(dimension, rel=0.1)
    for scale in (2, 4):
        assert statistics.gride_dimension(x, scale=scale) == pytest.approx(dimension, rel=0.12)


def test_twonn_is_the_closed_form_and_gride_maximises_its_likelihood() -> None:
    x = cloud(80, 4)
    near = np.sort(distances(x), axis=1)[:, 1:]
    assert statistics.twonn_dimension(x) == pytest.approx(80 / np.log(near[:, 1] / near[:, 0]).sum(), abs=1e-10)
    mu = near[:, 5] / near[:, 2]

    def log_likelihood(d: float) -> float:
        return float(np.sum(np.log(d) + 2 * np.log(mu**d - 1) - (5 * d + 1) * np.log(mu)))

    best = statistics.gride_dimension(x, scale=3)
    assert log_likelihood(best) > max(log_likelihood(best * f) for f in (0.99, 0.9999, 1.0001, 1.01))


def test_items_at_the_same_place_have_no_intrinsic_dimension() -> None:
    x = cloud()
    x[10:13] = x[0]
    with pytest.raises(InputError, match="4 items have 1 or more others at the same place"):
        statistics.twonn_dimension(x)
    assert statistics.gride_dimension(x, scale=4) > 0
    with pytest.raises(InputError, match="scale"):
        statistics.gride_dimension(x, scale=0)


def test_uniformity_anisotropy_and_concentricity_are_their_formulas() -> None:
    x = cloud(30, 4)
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    pairs = list(itertools.combinations(range(30), 2))
    expected = np.log(np.mean([np.exp(-3 * np.sum((u[i] - u[j]) ** 2)) for i, j in pairs]))
    assert statistics.uniformity(x, t=3) == pytest.approx(expected, abs=1e-12)
    assert statistics.anisotropy(x) == pytest.approx(np.mean([u[i] @ u[j] for i, j in pairs]), abs=1e-12)
    mean = x.mean(axis=0)
    assert statistics.concentricity(x) == pytest.approx(np.mean(u @ mean) / np.linalg.norm(mean), abs=1e-12)
    assert statistics.magnitude(x) == pytest.approx(np.linalg.norm(mean), abs=1e-12)
    assert statistics.magnitude(np.zeros((5, 2))) == 0


def test_long_layers_are_worked_through_in_blocks_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    x = cloud(50, 4)
    whole = [f(x) for f in (statistics.uniformity, statistics.twonn_dimension, statistics.hubness)]
    monkeypatch.setattr(statistics, "BLOCK", 7)
    blocks = [f(x) for f in (statistics.uniformity, statistics.twonn_dimension, statistics.hubness)]
    np.testing.assert_allclose(blocks, whole, rtol=1e-12)


def test_hubness_is_the_skewness_of_neighbour_counts() -> None:
    stats = pytest.importorskip("scipy.stats")
    x = cloud(100, 3)
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosine = u @ u.T - 9 * np.eye(100)
    counts = np.bincount(np.argsort(-cosine, axis=1)[:, :4].ravel(), minlength=100)
    assert statistics.hubness(x, k=4) == pytest.approx(stats.skew(counts), abs=1e-12)
    star = np.vstack([np.eye(20), np.ones(20)])  # the last item is everybody's nearest; all others are equally near it
    assert statistics.hubness(star, k=1) == pytest.approx(stats.skew([*[1 / 20] * 20, 20]), abs=1e-9)
    with pytest.raises(InputError, match="at least 12"):
        statistics.hubness(x[:11])
    with pytest.raises(InputError, match="k=0"):
        statistics.hubness(x, k=0)


@pytest.mark.parametrize(
    "name", ["participation_ratio", "effective_rank", "twonn_dimension", "uniformity", "anisotropy", "concentricity"]
)
def test_a_statistic_of_bad_input_is_our_error(name: str) -> None:
    function = getattr(statistics, name)
    with pytest.raises(InputError):
        function(np.zeros((10, 3)))
    with pytest.raises(InputError):
        function(np.full((10, 3), np.nan))
    with pytest.raises(InputError):
        function(np.zeros(10))


def test_statistic_distance_is_the_absolute_difference_and_has_no_use_for_the_pairing() -> None:
    x, y = cloud(), cloud(seed=1, d=3)
    m = metric("statistic_distance(statistic='effective_rank')")
    assert m(x, y) == pytest.approx(abs(statistics.effective_rank(x) - statistics.effective_rank(y)), abs=1e-12)
    null = m.null(x, y)
    assert (null.mean, null.std, null.p_value(m(x, y))) == (pytest.approx(m(x, y)), 0.0, 1.0)
    with pytest.raises(InputError, match="statistic='width'"):
        metric("statistic_distance(statistic='width')")


# ---- distance correlation -------------------------------------------------------------------------------------------


def test_distance_correlation_is_its_definition_and_resis_value() -> None:
    x, y = cloud(), np.tanh(cloud()[:, :3]) + 0.3 * cloud(seed=1, d=3)

    def centered(a: np.ndarray) -> np.ndarray:
        d = distances(a)
        return d - d.mean(axis=0) - d.mean(axis=1)[:, None] + d.mean()

    a, b = centered(x), centered(y)
    square = np.mean(a * b) / np.sqrt(np.mean(a * a) * np.mean(b * b))
    assert metric("dcor")(x, y) == pytest.approx(np.sqrt(square), abs=1e-10)
    assert metric("distance_correlation(estimator='biased_squared')")(x, y) == pytest.approx(square, abs=1e-10)


def test_bias_corrected_distance_correlation_is_its_definition() -> None:
    x, y = cloud(), np.tanh(cloud()[:, :3]) + 0.3 * cloud(seed=1, d=3)
    n = len(x)

    def u_centered(a: np.ndarray) -> np.ndarray:
        d = distances(a)
        u = d - d.sum(axis=1)[:, None] / (n - 2) - d.sum(axis=0) / (n - 2) + d.sum() / ((n - 1) * (n - 2))
        return u - np.diag(np.diag(u))

    a, b = u_centered(x), u_centered(y)
    expected = np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))
    assert metric("bcdcor")(x, y) == pytest.approx(expected, abs=1e-10)


def test_resi_flags_distance_correlation_as_changing_with_scale_but_it_does_not() -> None:
    x, y = cloud(), cloud(seed=1)
    assert metric("dcor")(5 * x, y) == pytest.approx(metric("dcor")(x, y), abs=1e-12)


def test_the_null_of_bias_corrected_distance_correlation_has_mean_0_and_variance_2_over_n_times_n_minus_3() -> None:
    null = metric("bcdcor").null(cloud(), cloud(seed=1))
    assert null.exact
    assert null.mean == pytest.approx(0, abs=1e-15)
    assert null.std**2 == pytest.approx(2 / (60 * 57), rel=1e-10)


def test_distance_correlation_sees_dependence_that_correlation_does_not() -> None:
    x = np.random.default_rng(0).standard_normal((300, 1))
    y = x**2
    assert metric("bcdcor").null(x, y).p_value(metric("bcdcor")(x, y)) < 1e-6


def test_items_all_equally_far_apart_have_no_bias_corrected_distance_correlation() -> None:
    with pytest.raises(InputError, match="equally far"):
        metric("bcdcor")(np.eye(12), cloud(12))


def test_distance_permutations_by_shared_products_equal_those_pair_by_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    m = metric("dcor")
    states = [m.prepare(cloud(30, 3, s)) for s in range(2)]
    orders = np.stack([np.random.default_rng(s).permutation(30) for s in range(3)])
    shared = [s.copy() for s in m.compare_permuted(states, states, orders)]
    monkeypatch.setattr("isomorph.metrics.distance_correlation.SHARED_BYTES", 0)
    np.testing.assert_allclose(list(m.compare_permuted(states, states, orders)), shared, atol=1e-10)


# ---- IMD ----------------------------------------------------------------------------------------------------------


def test_imd_is_its_definition_on_the_neighbour_graphs() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    x, y = cloud(25, 3), cloud(25, 2, seed=1)
    times = np.logspace(-1, 1, 256)

    def trace(a: np.ndarray) -> np.ndarray:
        near = np.argsort(distances(a) + 1e9 * np.eye(25), axis=1)[:, :5]
        joined = np.zeros((25, 25))
        for i, row in enumerate(near):
            joined[i, row] = joined[row, i] = 1
        degree = joined.sum(axis=1)
        laplacian = np.eye(25) - joined / np.sqrt(np.outer(degree, degree))
        return np.array([np.trace(linalg.expm(-t * laplacian)) for t in times]) / 25

    expected = np.max(np.exp(-2 * (times + 1 / times)) * np.abs(trace(x) - trace(y)))
    assert metric("imd")(x, y) == pytest.approx(expected, abs=1e-12)
    assert metric("imd")(x, y) == metric("imd")(x, y)  # exact, where the authors' estimate differs from run to run


def test_imd_needs_a_number_of_neighbours() -> None:
    with pytest.raises(InputError, match="k=0"):
        metric("imd(k=0)")
    with pytest.raises(InputError, match="at least 7"):
        metric("imd")(cloud(6, 3), cloud(6, 3))


# ---- RTD ----------------------------------------------------------------------------------------------------------


def test_rtd_sees_a_ring_cut_open() -> None:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = np.c_[np.cos(angle), np.sin(angle)]
    assert metric("rtd")(ring, np.c_[angle, angle]) > 0.5
    assert metric("rtd")(ring, 3 * ring[:, ::-1]) == pytest.approx(0, abs=1e-12)


def test_distance_correlation_of_three_items_is_that_of_dcors_tests() -> None:
    x, y = [[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[7, 3, 6], [2, 1, 4], [3, 8, 1]]
    squared = metric("distance_correlation(estimator='biased_squared')")
    assert squared(x, y) == pytest.approx(0.93387, abs=1e-5)
    assert metric("dcor")(x, y) ** 2 == pytest.approx(squared(x, y), rel=1e-12)
    assert squared.null(x, y).p_value(squared(x, y)) == pytest.approx(2 / 6), "all six pairings, two of which tie"
    with pytest.raises(InputError, match="at least 4"):
        metric("distance_correlation(estimator='unbiased')")(x, y)


def test_twonn_names_its_estimator_and_has_the_unbiased_one() -> None:
    x = cloud(30)
    near = np.sort(distances(x), axis=1)[:, 1:3]
    total = np.log(near[:, 1] / near[:, 0]).sum()
    assert statistics.twonn_dimension(x, estimator="maximum_likelihood") == pytest.approx(30 / total, rel=1e-12)
    assert statistics.twonn_dimension(x, estimator="unbiased") == pytest.approx(29 / total, rel=1e-12)
    with pytest.raises(InputError, match="estimator='linear'"):
        statistics.twonn_dimension(x, estimator="linear")
    # over many samples the one is unbiased and the other is not, if the ratios are independent
    rng = np.random.default_rng(0)
    d = 4 * np.ones(4000)
    totals = (rng.standard_exponential((4000, 8)) / d[:, None]).sum(axis=1)
    assert np.mean(7 / totals) == pytest.approx(4, rel=0.03)
    assert np.mean(8 / totals) > 4.3
