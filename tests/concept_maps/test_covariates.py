"""What predicts item scores: against numpy by hand, scikit-learn, refits without each unit, and simulated rates."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression

import isomorph as iso
from isomorph.concept_maps import _sums
from isomorph.concept_maps._covariates import explain_items, read_columns
from isomorph.concept_maps._sums import Fit, probed
from isomorph.errors import InputError
from isomorph.nulls import Moves
from isomorph.population import basis_of
from isomorph.results import Covariates


class Dense(Moves):
    """Moves as a plain matrix e_ij, summed in loops."""

    def __init__(self, e):
        self.e = e

    def sums(self, weights):
        return np.array([sum(w[i] * self.e[i] for i in range(len(w))) for w in weights])

    def twice(self, weights):
        n = len(self.e)
        pairs = [(i, j) for i in range(n) for j in range(i)]
        return np.array([sum((w[i] * self.e[i, j] + w[j] * self.e[j, i]) ** 2 for i, j in pairs) for w in weights])


def data(n=40, seed=0):
    rng = np.random.default_rng(seed)
    number = rng.normal(size=n)
    other = 0.6 * number + rng.normal(size=n)
    kind = np.array(["a", "b", "c"])[np.arange(n) % 3]
    scores = 0.3 + 0.1 * number + 0.05 * (kind == "b") + rng.normal(size=n) * (0.05 + 0.1 * np.abs(other))
    return scores, {"number": 7 + 3 * number, "other": other, "kind": kind}


def dense_design(covariates):
    """Level, standardised numbers, and one column a category but the first."""
    columns = [np.ones(len(covariates["number"]))]
    for name in ("number", "other"):
        v = covariates[name]
        columns.append((v - v.mean()) / v.std())
    return np.column_stack([*columns, covariates["kind"] == "b", covariates["kind"] == "c"]).astype(float)


def test_coefficients_are_those_of_scikit_learn():
    scores, covariates = data()
    found = explain_items(scores, covariates)
    design = dense_design(covariates)
    oracle = LinearRegression().fit(design[:, 1:], scores)
    assert found["number"].effect == pytest.approx(oracle.coef_[0], rel=1e-9)
    assert found["other"].effect == pytest.approx(oracle.coef_[1], rel=1e-9)
    assert found.r2 == pytest.approx(oracle.score(design[:, 1:], scores), rel=1e-9)
    share = np.array([np.mean(covariates["kind"] == k) for k in "abc"])
    own = np.array([0.0, *oracle.coef_[2:]])
    assert [c.effect for c in found["kind"].categories] == pytest.approx(list(own - share @ own), rel=1e-8)
    alone = LinearRegression().fit(design[:, 1:2], scores)
    assert found["number"].alone == pytest.approx(alone.coef_[0], rel=1e-9)
    assert found["number"].alone_r2 == pytest.approx(alone.score(design[:, 1:2], scores), rel=1e-9)


def test_partial_r2_and_inflation_are_what_models_without_the_covariate_say():
    scores, covariates = data()
    found = explain_items(scores, covariates)
    design = dense_design(covariates)
    rest = {"number": [0, 2, 3, 4], "other": [0, 1, 3, 4], "kind": [0, 1, 2]}
    rss = {name: np.linalg.lstsq(design[:, c], scores)[1][0] for name, c in rest.items()}
    whole = np.linalg.lstsq(design, scores)[1][0]
    for name, without in rss.items():
        assert found[name].partial_r2 == pytest.approx(1 - whole / without, rel=1e-8)
    for k, name in ((1, "number"), (2, "other")):
        others = np.delete(design, k, axis=1)[:, 1:]
        shared = LinearRegression().fit(others, design[:, k]).score(others, design[:, k])
        assert found[name].inflation == pytest.approx(1 / (1 - shared), rel=1e-8)
    # Fox and Monette's generalised factor by determinants, per column
    r = np.corrcoef(design[:, 1:].T)
    gvif = np.linalg.det(r[2:, 2:]) * np.linalg.det(r[:2, :2]) / np.linalg.det(r)
    assert found["kind"].inflation == pytest.approx(gvif**0.5, rel=1e-8)


@pytest.mark.parametrize("grouped", [False, True])
def test_variance_is_the_jackknife_of_refits_without_each_unit(grouped):
    scores, covariates = data()
    n = len(scores)
    groups = np.arange(n) if not grouped else np.random.default_rng(1).integers(0, 12, size=n)
    design = dense_design(covariates)
    whole = np.linalg.lstsq(design, scores)[0]
    moved = np.array([whole - np.linalg.lstsq(design[groups != g], scores[groups != g])[0] for g in np.unique(groups)])
    variance = np.sum(moved[:, 1:3] ** 2, axis=0)
    found = explain_items(scores, covariates, groups=groups if grouped else None)
    # Bell and McCaffrey's degrees, by the dense quadratic form
    hat = design @ np.linalg.pinv(design)
    for k, name in ((1, "number"), (2, "other")):
        weights = np.linalg.pinv(design)[k]
        rows = []
        for g in np.unique(groups):
            at = groups == g
            lifted = np.zeros(n)
            lifted[at] = np.linalg.solve((np.eye(n) - hat)[np.ix_(at, at)], weights[at])
            rows.append(lifted @ (np.eye(n) - hat))
        form = np.array(rows).T @ np.array(rows)
        degrees = np.trace(form) ** 2 / np.sum(form**2)
        half = stats.t.ppf(0.975, degrees) * np.sqrt(variance[k - 1])
        e = found[name]
        assert (e.low, e.high) == pytest.approx((e.effect - half, e.effect + half), rel=1e-7)
        assert e.p_value == pytest.approx(2 * stats.t.sf(abs(e.effect) / np.sqrt(variance[k - 1]), degrees), rel=1e-6)


def test_the_test_of_categories_is_the_dense_anova_type_statistic():
    scores, covariates = data()
    n, design = len(scores), dense_design(covariates)
    hat = design @ np.linalg.pinv(design)
    residual = scores - hat @ scores
    others = design[:, :3]
    left = design[:, 3:] - others @ np.linalg.lstsq(others, design[:, 3:])[0]
    own = np.linalg.qr(left)[0]
    lifted = own.T / (1 - np.diag(hat))
    covariance = (lifted * residual**2) @ lifted.T
    q = np.eye(n) - hat
    form = q @ np.diag(np.sum(lifted**2, axis=0)) @ q
    ratio = np.sum((own.T @ scores) ** 2) / np.trace(covariance)
    first = np.trace(covariance) ** 2 / np.sum(covariance**2)
    second = np.trace(form) ** 2 / np.sum(form**2)
    assert explain_items(scores, covariates)["kind"].p_value == pytest.approx(
        stats.f.sf(ratio, first, second), rel=1e-6
    )


def test_r2_held_out_is_that_of_refits_without_each_group():
    scores, covariates = data()
    groups = np.arange(40) // 4
    design = dense_design(covariates)
    errors = []
    for g in range(10):
        fit = LinearRegression().fit(design[groups != g], scores[groups != g])
        errors.append(
            [scores[groups == g] - fit.predict(design[groups == g]), scores[groups == g] - scores[groups != g].mean()]
        )
    predicted, mean = (np.concatenate([e[k] for e in errors]) for k in (0, 1))
    found = explain_items(scores, covariates, groups=groups)
    assert found.r2_held_out == pytest.approx(1 - np.sum(predicted**2) / np.sum(mean**2), rel=1e-8)
    assert found.n_groups == 10


def test_moves_add_to_each_item_and_pairs_are_counted_once():
    scores, covariates = data(30)
    e = np.random.default_rng(3).normal(size=(30, 30)) * (np.random.default_rng(4).random((30, 30)) < 0.1) * 0.1
    np.fill_diagonal(e, 0)
    design = dense_design(covariates)
    weights = np.linalg.pinv(design)[1]
    hat = design @ np.linalg.pinv(design)
    own = weights * (scores - hat @ scores) / (1 - np.diag(hat))
    moved = weights @ e
    total = np.sum((own + moved - moved.mean()) ** 2)
    pairs = sum((weights[i] * e[i, j] + weights[j] * e[j, i]) ** 2 for i in range(30) for j in range(i))
    fit = Fit(scores, basis_of(design), None, Dense(e), np.arange(30), 30)
    assert fit.spread(weights[None, :]).variance[0] == pytest.approx(total - pairs, rel=1e-9)
    assert total - pairs > min(pairs, np.sum(own**2))  # else the least that the variance can be would show
    assert pairs > 0.05 * total  # or the lines above would not tell
    plain, full = (explain_items(scores, covariates, moves=m)["number"] for m in (None, Dense(e)))
    assert full.high - full.low != pytest.approx(plain.high - plain.low, rel=1e-3)
    assert full.effect == plain.effect


def test_probes_find_what_pairs_of_groups_do_together():
    rng = np.random.default_rng(0)
    n, units = 240, np.arange(240) // 3
    e = rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.05)
    e[units[:, None] == units] = rng.normal(size=np.sum(units[:, None] == units))  # within groups: no pair
    e = e + 0.8 * e.T
    weights = rng.normal(size=n)
    sums = np.zeros((80, 80))
    for i in range(n):
        np.add.at(sums[units[i]], units, weights[i] * e[i])
    exact = sum((sums[g, h] + sums[h, g]) ** 2 for g in range(80) for h in range(g))
    found = probed(lambda w: w @ e, weights, units)
    assert found.pairs == pytest.approx(exact, rel=0.15)
    assert np.sum((found.own - np.diag(sums)) ** 2) == pytest.approx(found.noise, rel=0.3)


def test_a_group_does_not_move_the_scores_that_go_with_it(monkeypatch):
    monkeypatch.setattr(_sums, "PROBES", 4096)
    scores, covariates = data(90)
    rng = np.random.default_rng(3)
    units = np.arange(90) // 3
    e = 0.1 * rng.normal(size=(90, 90)) * (rng.random((90, 90)) < 0.05)
    e[units[:, None] == units] = 3.0  # within groups: large, and nothing
    design = dense_design(covariates)
    weights = np.linalg.pinv(design)[1]
    hat = design @ np.linalg.pinv(design)
    sums = np.zeros((30, 30))
    own = np.zeros(30)
    for g in range(30):
        at = units == g
        lifted = np.linalg.solve((np.eye(90) - hat)[np.ix_(at, at)], weights[at])
        own[g] = lifted @ (scores - hat @ scores)[at]
        np.add.at(sums[g], units, weights[at] @ e[at])
    within = np.diag(sums).copy()
    np.fill_diagonal(sums, 0)
    total = np.sum((own + sums.sum(axis=0) - (sums.sum() + within.sum()) / 30) ** 2)
    pairs = sum((sums[g, h] + sums[h, g]) ** 2 for g in range(30) for h in range(g))
    fit = Fit(scores, basis_of(design), units, Dense(e), np.arange(90), 90, units)
    assert fit.spread(weights[None, :]).variance[0] == pytest.approx(max(total - pairs, pairs), rel=0.05)


def test_items_left_out_of_the_fit_still_move_it():
    scores, covariates = data(30)
    e = np.random.default_rng(3).normal(size=(30, 30)) * 0.1
    np.fill_diagonal(e, 0)
    other = list(covariates["other"])
    other[4] = None
    found = explain_items(scores, covariates | {"other": other}, moves=Dense(e), missing="leave out")
    assert found.n == 29
    assert found.left_out == {"other": ("4",)}
    cut = e.copy()
    cut[:, 4] = 0  # as if the item did not move the others
    less = explain_items(scores, covariates | {"other": other}, moves=Dense(cut), missing="leave out")
    assert less["number"].low != pytest.approx(found["number"].low, rel=1e-6)


def rates(made, trials=400):
    """Share of trials with p at most 0.05, per covariate."""
    hits = {}
    for trial in range(trials):
        scores, covariates, options = made(np.random.default_rng(trial))
        found = explain_items(scores, covariates, **options)
        for name in found:
            hits[name] = hits.get(name, 0) + (found[name].p_value <= 0.05)
    return {name: count / trials for name, count in hits.items()}


HIGH = stats.binom.ppf(0.995, 400, 0.05) / 400
LOW = stats.binom.ppf(0.005, 400, 0.05) / 400


def test_noise_covariates_are_called_in_the_band_with_ties_and_unequal_variances():
    def made(rng):
        n = 80
        scores = rng.binomial(10, rng.beta(1, 3, size=n)) / 10
        kind = np.repeat(["a", "b", "c"], [36, 34, 10])
        return scores, {"number": rng.normal(size=n), "kind": kind}, {}

    found = rates(made)
    assert LOW <= found["number"] <= HIGH
    assert LOW <= found["kind"] <= HIGH


@pytest.mark.thorough
def test_covariates_of_groups_are_called_in_the_band():
    def made(rng):
        groups = np.sort(rng.integers(0, 20, size=80))
        scores = rng.normal(size=20)[groups] + 0.5 * rng.normal(size=80)
        return scores, {"number": rng.normal(size=20)[groups]}, {"groups": groups}

    assert LOW <= rates(made)["number"] <= HIGH


@pytest.mark.thorough
def test_smooth_functions_of_a_space_whose_agreement_is_even_are_called_in_the_band():
    knn = iso.metric("mutual_knn(k=10)")
    naive = []

    def made(rng):
        z = rng.normal(size=(200, 3))
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        found = knn.item_scores(knn.prepare(z), knn.prepare(z + 0.3 * rng.normal(size=z.shape)))
        covariates = {"smooth": z[:, 0]}
        naive.append(explain_items(found.values, covariates)["smooth"].p_value <= 0.05)
        return found.values, covariates, {"moves": found.moves}

    assert LOW <= rates(made)["smooth"] <= HIGH
    assert np.mean(naive) > 2 * HIGH  # items that share neighbours are not independent


def test_a_small_category_is_not_called_too_often():
    """Two items tell their own variance with one degree of freedom; a normal quantile would call a quarter."""

    def made(rng):
        return rng.normal(size=40), {"kind": ["rare"] * 2 + ["common"] * 38}, {}

    assert rates(made)["kind"] <= HIGH


def test_effects_are_found():
    def made(rng):
        number, kind = rng.normal(size=100), rng.choice(["a", "b", "c"], size=100)
        scores = 0.04 * number + 0.1 * (kind == "b") + 0.1 * rng.normal(size=100)
        return scores, {"number": number, "kind": kind, "noise": rng.normal(size=100)}, {}

    found = rates(made, 100)
    assert found["number"] > 0.9
    assert found["kind"] > 0.9
    assert found["noise"] < 0.2


def test_agreement_that_changes_along_a_space_is_found_with_moves():
    knn = iso.metric("mutual_knn(k=10)")

    def made(rng):
        z = rng.normal(size=(200, 3))
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        noise = np.where(z[:, :1] > 0, 0.6, 0.2) * rng.normal(size=z.shape)
        found = knn.item_scores(knn.prepare(z), knn.prepare(z + noise))
        return found.values, {"place": z[:, 0], "other": z[:, 1]}, {"moves": found.moves}

    found = rates(made, 40)
    assert found["place"] > 0.9
    assert found["other"] < 0.25


def test_what_cannot_be_told_apart_is_said():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 60))
    found = explain_items(
        a + rng.normal(size=60), {"a": a, "twice": 2 * a + 1, "b": b, "near b": b + 0.1 * rng.normal(size=60)}
    )
    assert found.confounded == (("a", "twice"),)
    assert found["a"].effect is None
    assert found["a"].p_value is None
    assert found["a"].alone is not None
    assert found.nearly == (("b", "near b"), ("near b", "b"))
    assert "a and twice cannot be told apart" in found.told
    assert "b can hardly be told apart from near b" in found.told


def test_nested_categories_are_tested_on_what_is_left():
    rng = np.random.default_rng(0)
    fine = np.array([f"k{i % 6}" for i in range(90)])
    coarse = np.where(np.isin(fine, ["k0", "k1"]), "left", "right")
    scores = (fine == "k0") * 1.0 + 0.3 * rng.normal(size=90)
    found = explain_items(scores, {"fine": fine, "coarse": coarse})
    assert found["coarse"].p_value is None  # the fine one gives it
    assert found["fine"].p_value < 1e-6
    assert all(c.effect is None for c in found["fine"].categories)
    assert "fine is in part given by the others" in found.told


def test_a_category_in_one_group_alone_has_no_interval():
    rng = np.random.default_rng(0)
    groups = np.arange(60) // 5
    kind = np.where(groups == 0, "lonely", np.where(groups % 2, "odd", "even"))
    found = explain_items(rng.normal(size=60), {"kind": kind}, groups=groups)
    lonely = next(c for c in found["kind"].categories if c.category == "lonely")
    assert (lonely.low, lonely.high, lonely.p_value) == (None, None, None)
    assert lonely.effect is not None
    assert "A category of kind is in one group alone" in found.told
    assert found["kind"].p_value is None


def test_results_are_saved_and_loaded(tmp_path):
    scores, covariates = data()
    found = explain_items(scores, covariates | {"kind": [*covariates["kind"][:-1], ""]}, missing="leave out")
    again = Covariates.load(found.save(tmp_path / "c.json"))
    assert again.to_json() == found.to_json()
    assert again["number"].q_value == found["number"].q_value
    assert [r["category"] for r in again.to_records()] == [None, None, "a", "b", "c"]
    assert "1 items without kind were left out" in again.told
    assert list(found.to_frame()["covariate"]) == ["number", "other", "kind", "kind", "kind"]


def test_q_values_are_over_the_covariates():
    scores, covariates = data()
    found = explain_items(scores, covariates)
    p = np.sort([e.p_value for e in found.values()])
    step = np.minimum.accumulate((p * 3 / np.arange(1, 4))[::-1])[::-1]
    assert np.sort([e.q_value for e in found.values()]) == pytest.approx(step)


def test_order_of_items_does_not_matter():
    scores, covariates = data()
    order = np.random.default_rng(5).permutation(len(scores))
    groups = np.arange(40) // 3
    one = explain_items(scores, covariates, groups=groups)
    two = explain_items(scores[order], {k: v[order] for k, v in covariates.items()}, groups=groups[order])
    assert two["number"].low == pytest.approx(one["number"].low, rel=1e-9)
    assert two.p_value == pytest.approx(one.p_value, rel=1e-6)


@pytest.mark.parametrize(
    ("covariates", "said"),
    [
        ({}, "one at least"),
        ({"a": [1, 2]}, "one value for each of the 6 items, found 2"),
        ({"a": "abcdef"}, "one value for each of the 6 items"),
        ({"a": [1, 1, 1, 1, 1, 1]}, "'a' is constant: all 6 items have 1"),
        ({"a": ["u"] * 6}, "'a' is constant: all 6 items are 'u'"),
        ({"a": list("uvwxyz")}, "a category of its own for every item"),
        ({"a": list("uuuuuv")}, r"1 of 2 categories with one item \('v'\)"),
        ({"a": [1, 2, "x", 4, 5, 6]}, "mixes numbers and texts"),
        ({"a": [1, 2, np.inf, 4, 5, 6]}, "infinite"),
        ({"a": [1, 2, None, 4, np.nan, 6]}, "'a' by 'i2', 'i4'.*missing='leave out'"),
        ({"a": [None] * 6}, "missing"),
        ({c: np.random.default_rng(k).normal(size=6) for k, c in enumerate("abcde")}, "7 are needed"),
    ],
)
def test_bad_covariates_are_refused_in_words(covariates, said):
    with pytest.raises(InputError, match=said):
        explain_items(np.arange(6.0), covariates, ids=[f"i{k}" for k in range(6)])


def test_other_bad_input_is_refused_in_words():
    ramp = {"a": np.arange(6.0) ** 2}
    with pytest.raises(InputError, match=r"scores are all 0\.5"):
        explain_items([0.5] * 6, ramp)
    with pytest.raises(InputError, match=r"scores\[1\] is nan"):
        explain_items([0.5, np.nan, 1, 2, 3, 4], ramp)
    with pytest.raises(InputError, match="scores must be one number an item"):
        explain_items([["a"]], ramp)
    with pytest.raises(InputError, match="groups: there are 2"):
        explain_items(np.arange(6.0), ramp, groups=list("aaabbb"))
    with pytest.raises(InputError, match="alpha"):
        explain_items(np.arange(6.0), ramp, alpha=2)
    with pytest.raises(InputError, match="missing='drop' is not known"):
        explain_items(np.arange(6.0), ramp, missing="drop")
    with pytest.raises(InputError, match="no item has all of a and b"):
        explain_items(np.arange(4.0), {"a": [1, 2, None, None], "b": [None, None, 1, 2]}, missing="leave out")


def test_truth_values_are_categories_and_series_are_joined_by_id():
    pandas = pytest.importorskip("pandas")
    ids = [f"i{k}" for k in range(8)]
    series = pandas.Series(np.arange(8.0)[::-1], index=ids[::-1])
    columns, _, _ = read_columns({"flag": [True, False] * 4, "size": series}, 8, ids=ids)
    assert columns[0].categories == ("False", "True")
    assert columns[1].values.tolist() == list(range(8))
    columns, _, _ = read_columns({"size": dict(zip(ids, range(8), strict=True))}, 8, ids=ids)
    assert columns[0].values.tolist() == list(range(8))
    with pytest.raises(InputError, match="the items have no ids"):
        read_columns({"size": {"i0": 1}}, 8)


def test_a_perfect_fit_has_no_width():
    x = np.arange(10.0)
    found = explain_items(2 * x, {"x": x})
    assert found["x"].effect == pytest.approx(2 * x.std())
    assert found["x"].high - found["x"].low == pytest.approx(0, abs=1e-9)
    assert found.r2 == pytest.approx(1)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_the_scale_of_a_covariate_and_of_scores_does_not_matter(scale):
    size, *noise = np.random.default_rng(3).normal(size=(3, 60))
    scores = size + noise[0]
    plain = explain_items(scores, {"size": size, "other": noise[1]})["size"]
    scaled = explain_items(scores, {"size": size * scale, "other": noise[1]})["size"]
    assert scaled.effect == pytest.approx(plain.effect, rel=1e-9)
    assert scaled.deviation == pytest.approx(plain.deviation * scale, rel=1e-9)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((6, 2)), r"covariate 'a' has shape \(6, 2\)"),
        ([10**400, 1, 2, 3, 4, 5], "covariate 'a' holds a whole number that is too large"),
    ],
)
def test_covariates_that_are_no_column_of_numbers_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        explain_items(np.arange(6.0), {"a": values})


def test_scores_whose_squares_vanish_are_refused():
    with pytest.raises(InputError, match="nothing for covariates to explain"):
        explain_items(np.arange(9.0) * 1e-200, {"size": np.arange(9.0) ** 2})
