"""RSA, RDM files, crossnobis and PCM against rsatoolbox, PcmPy, SciPy and all permutations."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist, squareform

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.metrics import rdm as r
from isomorph.metrics._engines.rdms import vectors as _rdms


def noise(n: int, d: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def tied(n: int, d: int, seed: int) -> np.ndarray:
    """Features on a grid, with duplicated items."""
    x = np.round(noise(n, d, seed)) + 0.5
    x[1] = x[0]
    x[-1] = x[2]
    return x


# ---- values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dissimilarity", "comparison", "value", "digits"),
    [
        ("squared_euclidean", "pearson", 0.4663791, 7),
        ("correlation", "spearman", 0.6678292, 7),
        ("cosine", "spearman", 0.5814477, 7),
        ("squared_euclidean", "whitened_cosine", 0.6513918225, 10),
    ],
)
def test_values_on_the_reference_data_are_the_recorded_ones(
    reference: tuple[np.ndarray, np.ndarray], dissimilarity: str, comparison: str, value: float, digits: int
) -> None:
    assert round(r.Rsa(dissimilarity, comparison)(*reference), digits) == value


@pytest.mark.parametrize(
    ("dissimilarity", "scipy_name"),
    [
        ("correlation", "correlation"),
        ("cosine", "cosine"),
        ("euclidean", "euclidean"),
        ("squared_euclidean", "sqeuclidean"),
    ],
)
def test_rdms_are_those_of_scipy(dissimilarity: str, scipy_name: str) -> None:
    x = 3.0 * noise(30, 5) + 1.0
    np.testing.assert_allclose(r.compute_rdm(x, dissimilarity), pdist(x, scipy_name), atol=1e-12)


def test_mahalanobis_without_shrinkage_is_the_squared_distance_of_scipy() -> None:
    x = noise(40, 5) @ noise(5, 5, 1)
    np.testing.assert_allclose(r.compute_rdm(x, "mahalanobis", shrinkage=0), pdist(x, "mahalanobis") ** 2, rtol=1e-9)


def test_full_shrinkage_turns_mahalanobis_into_euclidean() -> None:
    x, y = noise(40, 5) @ noise(5, 5, 1), noise(40, 3)
    shrunk = r.Rsa("mahalanobis", "pearson", shrinkage=1)(x, y)
    # y's distances are Euclidean up to a factor as well
    assert shrunk == pytest.approx(r.Rsa("squared_euclidean", "pearson")(x, y), abs=1e-12)


def test_mahalanobis_with_shrinkage_uses_the_stated_covariance() -> None:
    x = noise(30, 4) @ noise(4, 4, 1)
    s = np.cov(x.T)
    shrunk = 0.7 * s + 0.3 * np.trace(s) / 4 * np.eye(4)
    expected = pdist(x, "mahalanobis", VI=np.linalg.inv(shrunk)) ** 2
    np.testing.assert_allclose(r.compute_rdm(x, "mahalanobis", shrinkage=0.3), expected, rtol=1e-9)


COMPARISONS = {
    "pearson": "corr",
    "spearman": "spearman",
    "kendall": "tau-a",
    "rho_a": "rho-a",
    "cosine": "cosine",
    "whitened_cosine": "cosine_cov",
    "whitened_pearson": "corr_cov",
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("comparison", sorted(COMPARISONS))
@pytest.mark.parametrize("dissimilarity", ["correlation", "squared_euclidean"])
def test_rsatoolbox_gives_the_same(dissimilarity: str, comparison: str, ties: bool) -> None:
    pytest.importorskip("rsatoolbox")
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm, compare

    make = tied if ties else noise
    x, y = make(25, 6, 1), make(25, 8, 2)
    theirs = [
        calc_rdm(Dataset(v), method="euclidean" if dissimilarity == "squared_euclidean" else dissimilarity)
        for v in (x, y)
    ]
    if ties:  # rsatoolbox ranks rounding errors; clean them, to compare the rule for ties alone
        for t in theirs:
            t.dissimilarities = np.round(t.dissimilarities, 12)
    expected = compare(*theirs, COMPARISONS[comparison])[0, 0]
    assert r.Rsa(dissimilarity, comparison)(x, y) == pytest.approx(expected, abs=1e-10)
    found = r.compare_rdms(theirs[0].dissimilarities, theirs[1].dissimilarities, comparison)
    assert found[0, 0] == pytest.approx(expected, abs=1e-10)


def test_the_rsatoolbox_euclidean_is_our_squared_distance_over_the_features() -> None:
    pytest.importorskip("rsatoolbox")
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm

    x = noise(12, 7)
    theirs = calc_rdm(Dataset(x), method="euclidean").dissimilarities[0]
    np.testing.assert_allclose(theirs, r.compute_rdm(x, "squared_euclidean") / 7, rtol=1e-12)


def test_whitened_cosine_of_squared_distances_is_biased_linear_cka() -> None:
    x, y = noise(30, 5), noise(30, 5) @ noise(5, 4, 1) + 0.3 * noise(30, 4, 2)
    a, b = (v - v.mean(axis=0) for v in (x, y))
    cka = np.sum((a.T @ b) ** 2) / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b)
    assert r.Rsa("squared_euclidean", "whitened_cosine")(x, y) == pytest.approx(cka, abs=1e-12)


def test_ranks_of_random_pairs_differ_from_those_of_all() -> None:
    """Aristotelian's RSA ranks 8192 random pairs from n = 182 upward; its score moves with the draw."""
    x, y = noise(200, 4), noise(200, 4) + noise(200, 4, 1)
    a, b = pdist(x, "correlation"), pdist(y, "correlation")
    rng = np.random.default_rng(0)
    draws = [rng.choice(len(a), 8192, replace=False) for _ in range(5)]
    sampled = [stats.spearmanr(a[d], b[d]).statistic for d in draws]
    assert np.ptp(sampled) > 1e-3
    assert r.Rsa()(x, y) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


def test_whitening_is_the_inverse_root_of_the_covariance_of_entries() -> None:
    n = 7
    pairs = list(itertools.combinations(range(n), 2))
    shared = np.array([[len({*p} & {*q}) for q in pairs] for p in pairs])
    v = np.where(shared == 2, 4.0, shared)
    values, vectors = np.linalg.eigh(v)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    x = noise(1, len(pairs))[0]
    np.testing.assert_allclose(_rdms.whitened(x), root @ x, atol=1e-12)


def test_a_block_of_layers_equals_its_pairs_in_single_precision() -> None:
    layers = [noise(50, d, d).astype(np.float32) for d in (4, 5, 6)]
    m = r.Rsa()
    states = [m.prepare(v) for v in layers]
    block = m.compare(states[:2], states)
    assert block.dtype == np.float64
    # single precision promises 1e-6; kernels of one BLAS sum a block and a pair in different orders
    np.testing.assert_allclose(block, [[m(a, b) for b in layers] for a in layers[:2]], rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        block, [[m(a.astype(float), b.astype(float)) for b in layers] for a in layers[:2]], atol=1e-6
    )


def test_strips_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = noise(40, 5)
    whole = {d: r.compute_rdm(x, d) for d in ("correlation", "euclidean")}
    monkeypatch.setattr(_rdms, "_STRIP", 200)
    for d, v in whole.items():
        np.testing.assert_allclose(r.compute_rdm(x, d), v, atol=1e-13)


# ---- ties and duplicates -----------------------------------------------------------------------------------


def test_distances_that_differ_by_rounding_only_share_their_rank() -> None:
    x = tied(30, 9, 3)
    ranks = _rdms.ranks(_rdms.condensed(x, "correlation", 0.1)[0])
    exact = stats.rankdata(np.round(pdist(x, "correlation"), 12))
    np.testing.assert_array_equal(ranks, exact)


def test_ranks_are_those_of_scipy_on_torch_and_other_libraries() -> None:
    torch, strict = pytest.importorskip("torch"), pytest.importorskip("array_api_strict")
    for values in (noise(1, 300)[0], np.round(2 * noise(1, 300)[0])):
        expected = stats.rankdata(values)
        for library in (torch, strict, np):
            np.testing.assert_array_equal(np.asarray(_rdms.ranks(library.asarray(values))), expected)


def test_duplicated_items_have_distance_zero_exactly() -> None:
    x = np.repeat(noise(10, 7) + 100, 2, axis=0)
    for d in ("correlation", "cosine", "euclidean", "mahalanobis"):
        assert np.all(squareform(r.compute_rdm(x, d))[np.arange(0, 20, 2), np.arange(1, 20, 2)] == 0)


# ---- permutations and nulls --------------------------------------------------------------------------------


@pytest.mark.parametrize("comparison", _rdms.COMPARISONS)
@pytest.mark.parametrize("n", [5, 6])
def test_null_moments_equal_those_over_all_pairings(comparison: str, n: int) -> None:
    x, y = noise(n, 3, 1), noise(n, 4, 2)
    if n == 6:
        y[2] = y[0]
    m = r.Rsa("euclidean", comparison)
    xs, ys = [m.prepare(x)], [m.prepare(y)]
    orders = np.array(list(itertools.permutations(range(n))))
    scores = np.array([s[0, 0] for s in m.compare_permuted(xs, ys, orders)])
    null = m.null_moments(xs, ys)
    assert null is not None
    assert null.mean[0, 0] == pytest.approx(scores.mean(), abs=1e-12)
    if comparison == "kendall":
        assert null.std is None
        return
    assert null.std[0, 0] == pytest.approx(scores.std(), rel=1e-9)
    assert null.skewness[0, 0] == pytest.approx(stats.skew(scores), abs=1e-7)


@pytest.mark.parametrize("comparison", ["spearman", "kendall", "whitened_cosine"])
def test_permuting_the_pattern_is_preparing_the_permuted_items(comparison: str) -> None:
    m, x = r.Rsa("correlation", comparison), noise(30, 5)
    p = np.random.default_rng(1).permutation(30)
    np.testing.assert_allclose(m.permute(m.prepare(x), p).vector, m.prepare(x[p]).vector, atol=1e-12)


def test_shared_permutations_equal_permuting_each() -> None:
    m = r.Rsa()
    few, many = [m.prepare(noise(25, 4, s)) for s in range(2)], [m.prepare(noise(25, 4, s)) for s in range(3, 6)]
    orders = np.array([np.random.default_rng(s).permutation(25) for s in range(4)])
    for xs, ys in ((few, many), (many, few)):
        expected = [m.compare(xs, [m.permute(y, p) for y in ys]) for p in orders]
        np.testing.assert_allclose(list(m.compare_permuted(xs, ys, orders)), expected, atol=1e-12)


# ---- bad input ---------------------------------------------------------------------------------------------


def test_an_item_without_variation_over_features_has_no_correlation() -> None:
    x = noise(10, 4)
    x[6] = 3.3
    with pytest.raises(InputError, match="Item 6"):
        r.Rsa()(x, noise(10))


def test_a_single_feature_has_no_correlation_but_a_distance() -> None:
    x = noise(10, 1)
    with pytest.raises(InputError, match="features"):
        r.Rsa()(x, x)
    assert r.Rsa("euclidean")(x, x) == pytest.approx(1.0)


def test_an_rdm_without_pattern_is_refused() -> None:
    with pytest.raises(InputError, match="no pattern"):
        r.Rsa("euclidean")(np.eye(8), noise(8))
    with pytest.raises(InputError, match="no pattern"):
        r.Rsa("mahalanobis", shrinkage=0)(noise(8, 20), noise(8))


@pytest.mark.parametrize("parameters", [{"dissimilarity": "l3"}, {"comparison": "r2"}, {"shrinkage": 1.5}])
def test_wrong_parameters_are_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(InputError, match="rsa"):
        r.Rsa(**parameters)  # type: ignore[arg-type]  # the wrong value is the point


def test_rdms_of_wrong_length_size_or_content_are_refused() -> None:
    with pytest.raises(InputError, match="7 entries"):
        r.compare_rdms(np.arange(7.0), np.arange(7.0))
    with pytest.raises(InputError, match="of 4 items and b of 5"):
        r.compare_rdms(np.arange(6.0), np.arange(10.0))
    with pytest.raises(InputError, match="share 2 of 3"):
        r.compare_rdms([1.0, np.nan, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="a has infinite entries"):
        r.compare_rdms([1.0, np.inf, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="fewer than 3 items"):
        r.compare_rdms([1.0], [1.0])


def square_rdms(count: int, n: int) -> np.ndarray:
    return np.stack([squareform(pdist(noise(n, 3, seed))) for seed in range(count)])


def test_a_square_rdm_is_one_rdm_and_never_a_stack() -> None:
    a, b = square_rdms(2, 10)  # ten rows of ten entries could be ten condensed RDMs of five items
    expected = r.compare_rdms(squareform(a), squareform(b))
    assert expected.shape == (1, 1)
    np.testing.assert_array_equal(r.compare_rdms(a, squareform(b)), expected)
    np.testing.assert_array_equal(r.compare_rdms(a.astype(np.float32), b), r.compare_rdms(a.astype(np.float32), b))
    stack = square_rdms(3, 10)
    rows = np.stack([squareform(s) for s in stack])
    np.testing.assert_array_equal(r.compare_rdms(stack, rows), r.compare_rdms(rows, stack))
    assert r.compare_rdms(stack, a).shape == (3, 1)


def test_square_matrices_that_are_no_rdms_are_refused_in_words_and_rdms_reads_their_rows() -> None:
    rows = np.abs(noise(10, 10))  # ten condensed RDMs of five items
    with pytest.raises(InputError, match=r"a is square, shape \(10, 10\), and is not symmetric.*RDMs\(rows\)"):
        r.compare_rdms(rows, rows)
    with pytest.raises(InputError, match="no zero diagonal"):
        r.compare_rdms(square_rdms(1, 10)[0] + np.eye(10), rows[0])
    np.testing.assert_allclose(np.diagonal(r.compare_rdms(r.Rdms(rows), r.Rdms(rows), "pearson")), 1)
    with pytest.raises(InputError, match="stack of square RDMs"):
        r.compare_rdms(np.ones((2, 3, 4)), rows)


def named(values: np.ndarray, names: list[str], **more: list[object]) -> r.Rdms:
    return r.Rdms(squareform(values), items={"index": list(range(len(names))), "id": names, **more})


def test_rdms_join_by_the_names_of_their_items(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = square_rdms(2, 8)
    names = [f"item {i}" for i in range(8)]
    order = np.array([5, 2, 7, 0, 1, 3, 6, 4])
    turned = named(y[np.ix_(order, order)], [names[i] for i in order])
    expected = r.compare_rdms(squareform(x), squareform(y))
    assert r.compare_rdms(named(x, names), turned) == pytest.approx(expected, abs=1e-12)
    assert capsys.readouterr().err == ""
    keep = order[:5]
    part = named(y[np.ix_(keep, keep)], [names[i] for i in keep])
    within = np.sort(keep)
    expected = r.compare_rdms(squareform(x[np.ix_(within, within)]), squareform(y[np.ix_(within, within)]))
    assert r.compare_rdms(named(x, names), part) == pytest.approx(expected, abs=1e-12)
    assert "3 items of a and 0 of b have no partner" in capsys.readouterr().err


def test_names_that_cannot_join_are_refused_or_asked_about() -> None:
    x, y = square_rdms(2, 4)
    names = ["a", "b", "c", "d"]
    with pytest.raises(InputError, match="two items whose 'id' is 'a'"):
        r.compare_rdms(named(x, names), named(y, ["a", "a", "c", "b"]))
    with pytest.raises(InputError, match="2 items of the same name"):
        r.compare_rdms(named(x, names), named(y, ["a", "b", "x", "y"]))
    both = named(x, names, run=[1, 2, 3, 4]), named(y, names, run=[2, 1, 3, 4])
    with pytest.raises(InputError, match=r"'id', 'run'; say which one.*by='id'"):
        r.compare_rdms(*both)
    assert r.compare_rdms(*both, by="id") != r.compare_rdms(*both, by="run")
    with pytest.raises(InputError, match="only RDMs have them"):
        r.compare_rdms(squareform(x), squareform(y), by="id")
    with pytest.raises(InputError, match="no descriptor of the items of both"):
        r.compare_rdms(*both, by="name")


@pytest.mark.parametrize("far", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("dissimilarity", ["euclidean", "squared_euclidean", "cosine", "correlation"])
def test_distances_of_near_copies_keep_their_digits(dissimilarity: str, far: float) -> None:
    x = noise(12, 20, 3)
    x[1] = x[0] + far * noise(1, 20, 4)[0]
    wide = x.astype(np.longdouble)
    if dissimilarity == "correlation":
        wide = wide - wide.mean(axis=1, keepdims=True)
    if dissimilarity in ("correlation", "cosine"):
        wide = wide / np.sqrt((wide**2).sum(axis=1, keepdims=True))
    apart = ((wide[0] - wide[1]) ** 2).sum()
    expected = {"euclidean": np.sqrt(apart), "squared_euclidean": apart}.get(dissimilarity, apart / 2)
    assert r.compute_rdm(x, dissimilarity)[0] == pytest.approx(float(expected), rel=1e-7)
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(r.compute_rdm(torch.asarray(x), dissimilarity), r.compute_rdm(x, dissimilarity))


def test_names_of_similarity_repository_find_the_same_definition() -> None:
    assert metric("rsa-rdm=correlation-compare=spearman") == r.Rsa("correlation", "spearman")
    assert metric("rsa-rdm=squared_euclidean-compare=cosine_cov") == r.Rsa("squared_euclidean", "whitened_cosine")
    assert metric("mantel") == r.Rsa(comparison="pearson")


# ---- crossnobis --------------------------------------------------------------------------------------------


def measurements(n: int = 6, folds: int = 3, repeats: int = 1, d: int = 5) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(4)
    item = np.tile(np.arange(n), folds * repeats)
    fold = np.repeat(np.arange(folds), n * repeats)
    return rng.standard_normal((n, d))[item] + 0.5 * rng.standard_normal((len(item), d)), item, fold


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")  # inside rsatoolbox
@pytest.mark.parametrize("with_precision", [False, True])
def test_crossnobis_is_that_of_rsatoolbox_times_the_features(with_precision: bool) -> None:
    pytest.importorskip("rsatoolbox")
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm_crossnobis

    x, item, fold = measurements()
    precision = np.linalg.inv(np.cov(noise(50, 5).T)) if with_precision else None
    data = Dataset(x, obs_descriptors={"item": item, "fold": fold})
    theirs = calc_rdm_crossnobis(data, "item", noise=precision, cv_descriptor="fold").dissimilarities[0]
    names, ours = r.crossnobis(x, item, fold, precision=precision)
    np.testing.assert_array_equal(names, np.arange(6))
    np.testing.assert_allclose(ours, 5 * theirs, rtol=1e-10)


def test_crossnobis_averages_repeats_within_a_fold() -> None:
    x, item, fold = measurements(repeats=2)
    means = np.array([[x[(item == i) & (fold == f)].mean(axis=0) for i in range(6)] for f in range(3)])
    expected = [
        np.mean([(a[i] - a[j]) @ (b[i] - b[j]) for a, b in itertools.permutations(means, 2)])
        for i, j in itertools.combinations(range(6), 2)
    ]
    np.testing.assert_allclose(r.crossnobis(x, item, fold)[1], expected, rtol=1e-10)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")  # inside rsatoolbox
@pytest.mark.parametrize("seed", range(3))
def test_crossnobis_weights_unequal_repeats_as_rsatoolbox_does(seed: int) -> None:
    pytest.importorskip("rsatoolbox")
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm_crossnobis

    rng = np.random.default_rng(seed)
    x, item, fold = measurements(repeats=3)
    first = np.unique(np.stack([item, fold]), axis=1, return_index=True)[1]  # one of each item and fold is kept
    keep = np.sort(np.union1d(first, np.flatnonzero(rng.random(len(x)) < 0.4)))
    x, item, fold = x[keep], item[keep], fold[keep]
    assert len(set(np.bincount(6 * fold + item))) > 1
    data = Dataset(x, obs_descriptors={"item": item, "fold": fold})
    theirs = calc_rdm_crossnobis(data, "item", cv_descriptor="fold").dissimilarities[0]
    np.testing.assert_allclose(r.crossnobis(x, item, fold)[1], 5 * theirs, rtol=1e-9)


def test_crossnobis_of_equal_items_is_zero_on_average() -> None:
    rng = np.random.default_rng(5)
    item, fold = np.tile(np.arange(4), 3), np.repeat(np.arange(3), 4)
    values = np.array([r.crossnobis(rng.standard_normal((12, 5)), item, fold)[1].mean() for _ in range(400)])
    assert abs(values.mean()) < 4 * values.std() / 20
    assert (values < 0).any()


def test_crossnobis_names_the_item_that_lacks_a_fold() -> None:
    x, item, fold = measurements()
    keep = ~((item == 2) & (fold == 1))
    with pytest.raises(InputError, match="Item 2 was not measured in fold 1"):
        r.crossnobis(x[keep], item[keep], fold[keep])
    with pytest.raises(InputError, match="at least 2"):
        r.crossnobis(x, item, np.zeros(len(x)))
    with pytest.raises(InputError, match="precision"):
        r.crossnobis(x, item, fold, precision=np.eye(4))


# ---- PCM ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("remove_mean", [True, False])
@pytest.mark.parametrize("repeated", [True, False])
def test_the_pcm_likelihood_is_that_of_pcmpy(remove_mean: bool, repeated: bool) -> None:
    pcm = pytest.importorskip("PcmPy")
    from PcmPy.inference import likelihood_individ

    g = noise(6, 3, 1) @ noise(6, 3, 1).T
    items = np.tile(np.arange(6), 3) if repeated else np.arange(6)
    y = noise(len(items), 9, 2)
    theirs = -likelihood_individ(
        np.log([1.7, 0.6]),
        pcm.FixedModel("m", g),
        y @ y.T,
        np.eye(6)[items],
        X=np.ones((len(y), 1)) if remove_mean else None,
        n_channel=9,
        fit_scale=True,
        scale_prior=1e30,
    )[0]
    ours = r.pcm_log_likelihood(y, g, items=items, scale=1.7, noise=0.6, remove_mean=remove_mean)
    assert ours == pytest.approx(theirs, rel=1e-10)


@pytest.mark.parametrize("fit_scale", [True, False])
def test_the_pcm_fit_is_the_maximum(fit_scale: bool) -> None:
    rng = np.random.default_rng(3)
    patterns = noise(6, 3, 1)
    items = np.tile(np.arange(6), 4)
    y = (patterns @ rng.standard_normal((3, 40)))[items] + 0.8 * rng.standard_normal((24, 40))
    g = patterns @ patterns.T
    fit = r.fit_pcm(y, g, items=items, fit_scale=fit_scale)
    assert fit.log_likelihood == pytest.approx(
        r.pcm_log_likelihood(y, g, items=items, scale=fit.scale, noise=fit.noise), rel=1e-12
    )
    for a, b in itertools.product([0.97, 1.0, 1.03] if fit_scale else [1.0], [0.97, 1.0, 1.03]):
        near = r.pcm_log_likelihood(y, g, items=items, scale=a * fit.scale, noise=b * fit.noise)
        assert near <= fit.log_likelihood + 1e-9
    assert fit.noise == pytest.approx(0.64, rel=0.2)
    assert fit.log_likelihood > r.fit_pcm(y, np.eye(6), items=items, fit_scale=fit_scale).log_likelihood


def test_pcm_refuses_what_is_no_second_moment() -> None:
    y = noise(6, 4)
    with pytest.raises(InputError, match="negative eigenvalues"):
        r.fit_pcm(y, -np.eye(6))
    with pytest.raises(InputError, match="symmetric"):
        r.fit_pcm(y, noise(6, 6))
    with pytest.raises(InputError, match="items must give"):
        r.fit_pcm(y, np.eye(5))
    with pytest.raises(InputError, match="noise="):
        r.pcm_log_likelihood(y, np.eye(6), noise=0)


# ---- files -------------------------------------------------------------------------------------------------


def test_rsatoolbox_reads_what_we_write(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    load_rdm = pytest.importorskip("rsatoolbox.rdm").load_rdm
    values = np.abs(noise(2, 10))
    mine = r.Rdms(values, "euclidean", {"name": list("abcde")}, {"layer": [3, 7]}, {"subject": "s1"})
    r.write_rdms(tmp_path / "x.hdf5", mine)
    theirs = load_rdm(str(tmp_path / "x.hdf5"))
    np.testing.assert_array_equal(theirs.dissimilarities, values)
    assert theirs.dissimilarity_measure == "euclidean"
    assert theirs.pattern_descriptors["name"] == list("abcde")
    assert theirs.rdm_descriptors["layer"] == [3, 7]
    assert theirs.descriptors["subject"] == "s1"
    assert not list(tmp_path.glob("*.tmp"))


def test_we_read_what_rsatoolbox_writes(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    rdms = pytest.importorskip("rsatoolbox.rdm").RDMs
    values = np.abs(noise(2, 10))
    rdms(
        values, "correlation", {"subject": "s1"}, {"layer": [3, 7]}, {"name": list("abcde"), "mix": [1, 2, 3, 4, 5]}
    ).save(str(tmp_path / "x.hdf5"))
    mine = r.read_rdms(tmp_path / "x.hdf5")
    np.testing.assert_array_equal(mine.dissimilarities, values)
    assert mine.measure == "correlation"
    assert mine.items["name"] == list("abcde")
    assert mine.rdms["layer"] == [3, 7]
    assert mine.descriptors["subject"] == "s1"


def test_names_beyond_ascii_and_no_measure_survive_the_file(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    r.write_rdms(tmp_path / "x.h5", r.Rdms(np.arange(3.0), None, {"name": ["é", "日本", "a"]}))
    mine = r.read_rdms(tmp_path / "x.h5")
    assert mine.items["name"] == ["é", "日本", "a"]
    assert mine.measure is None


def test_files_are_replaced_only_on_request_and_never_unpickled(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    path = tmp_path / "x.h5"
    r.write_rdms(path, r.Rdms(np.arange(3.0)))
    with pytest.raises(InputError, match="overwrite=True"):
        r.write_rdms(path, r.Rdms(np.arange(3.0)))
    r.write_rdms(path, r.Rdms(np.arange(6.0)), overwrite=True)
    assert r.read_rdms(path).dissimilarities.shape == (1, 6)
    with pytest.raises(InputError, match="pickle"):
        r.read_rdms(tmp_path / "x.pkl")
    (tmp_path / "no.h5").write_text("no")
    for missing in ("no.h5", "absent.h5"):
        with pytest.raises(InputError, match="cannot be read"):
            r.read_rdms(tmp_path / missing)
    with pytest.raises(InputError, match="cannot be written"):
        r.write_rdms(tmp_path / "absent" / "x.h5", r.Rdms(np.arange(3.0)))


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    with pytest.raises(InputError, match="numbers or texts"):
        r.write_rdms(tmp_path / "x.h5", r.Rdms(np.arange(3.0), items={"o": [object(), None, {}]}))
    assert not list(tmp_path.iterdir())


def test_descriptors_of_wrong_length_are_refused() -> None:
    with pytest.raises(InputError, match="3 are needed"):
        r.Rdms(np.arange(3.0), items={"name": ["a", "b"]})
