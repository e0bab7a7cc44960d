"""Several model RDMs at once: weights, partial correlations, parts of variance; rsatoolbox, scikit-learn, planted."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

import isomorph as iso
from isomorph.design import Design
from isomorph.errors import InputError, UnknownNameError
from isomorph.rdm_models._read import read_problem
from isomorph.rdm_models._regression import parts_of, regression_of
from isomorph.rdm_models._weights import crossed_folds, fitted_weights

from .conftest import experiment, rdm

THEIRS = {"pearson": "corr", "cosine": "cosine", "whitened_pearson": "corr_cov", "whitened_cosine": "cosine_cov"}
ROUNDING = {"rtol": 1e-8, "atol": 1e-10}
SOLVED = {"rtol": 1e-5, "atol": 1e-6}
"""rsatoolbox decorrelates by conjugate gradients that stop at 1e-5 of the right side."""


def as_theirs(rdms):
    module = pytest.importorskip("rsatoolbox.rdm")
    return module.RDMs(rdms.dissimilarities, pattern_descriptors={"index": np.arange(rdms.n)},
                       rdm_descriptors={"index": np.arange(len(rdms))})  # fmt: skip


def their_model(models):
    module = pytest.importorskip("rsatoolbox.model")
    stack = np.concatenate([m.dissimilarities for m in models.values()])
    return module.ModelWeighted("m", as_theirs(iso.RDMs.from_arrays(stack)))


def raw(found, models, comparison):
    """Weights of the model RDMs as they were given, of length 1."""
    rows = np.concatenate([m.dissimilarities for m in models.values()])
    size = np.sqrt(np.mean(rows**2, axis=1)) if comparison.endswith("cosine") else rows.std(axis=1)
    weights = np.array([share.weight for share in found.models.values()]) / size
    return weights / np.linalg.norm(weights)


@pytest.mark.parametrize("comparison", sorted(THEIRS))
@pytest.mark.parametrize("method", ["nnls", "ols"])
def test_weights_are_rsatoolboxs(comparison, method):
    fitter = pytest.importorskip("rsatoolbox.model.fitter")
    measured, models = experiment(seed=3, weights=(1.0, 0.4, -0.0))
    fit = fitter.fit_regress_nn if method == "nnls" else fitter.fit_regress
    expected = fit(their_model(models), as_theirs(measured), method=THEIRS[comparison])
    found = iso.explain_rdms(measured, models, method=method, comparison=comparison, permutations=19)
    np.testing.assert_allclose(raw(found, models, comparison), expected,
                               **(SOLVED if "whitened" in comparison else ROUNDING))  # fmt: skip


@pytest.mark.parametrize("comparison", sorted(THEIRS))
def test_held_out_scores_and_the_lower_ceiling_are_rsatoolboxs_over_the_same_folds(comparison):
    inference = pytest.importorskip("rsatoolbox.inference")
    fitter = pytest.importorskip("rsatoolbox.model.fitter")
    measured, models = experiment(seed=5)
    problem = read_problem(measured, models, "subject")
    crossed = crossed_folds(problem, comparison, 3, 2, None, 0)
    scores, _, _ = crossed.scores(problem.models, "ols", gaps=False)  # its fit_regress_nn may loop for ever
    whole, sets = as_theirs(measured), {"train": [], "test": [], "ceiling": []}
    for (fit, test), folds in zip(crossed.parts, crossed.folds, strict=True):
        for fold in folds:
            out = np.unique(fold.owners)
            kept = np.setdiff1d(np.arange(5), out)
            for name, who, items in (("train", kept, fit), ("test", out, test), ("ceiling", kept, test)):
                part = whole.subsample("index", list(who)).subset_pattern("index", list(items))
                sets[name].append((part, list(items)))
    expected = inference.crossval(their_model(models), whole, sets["train"], sets["test"], sets["ceiling"],
                                  method=THEIRS[comparison], fitter=fitter.fit_regress)  # fmt: skip
    close = SOLVED if "whitened" in comparison else ROUNDING
    np.testing.assert_allclose(scores, expected.evaluations[0, 0], **close)
    np.testing.assert_allclose(crossed.ceiling()[0], expected.noise_ceiling[0], **close)


@pytest.mark.parametrize("comparison", ["pearson", "spearman", "cosine"])
def test_scores_with_gaps_are_those_without_where_nothing_is_missing(planted, comparison):
    problem = read_problem(*planted, "subject")
    crossed = crossed_folds(problem, comparison, None, None, None, 0)
    for method in ("nnls", "ols"):
        plain, gapped = (crossed.scores(problem.models, method, gaps=g) for g in (False, True))
        for a, b in zip(plain, gapped, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_nothing_of_the_held_out_items_or_subjects_reaches_the_weights(planted):
    measured, models = planted
    problem = read_problem(measured, models, "subject")
    crossed = crossed_folds(problem, "pearson", None, None, None, 0)
    before = crossed.scores(problem.models, "nnls", gaps=False)[2]
    fit, _ = crossed.parts[0]
    fold = crossed.folds[0][0]
    square = np.random.default_rng(1).uniform(5, 9, size=(problem.n, problem.n))
    square[np.ix_(fit, fit)] = np.nan  # all that fold 0 does not fit on becomes noise
    noise = (square + square.T)[np.triu_indices(problem.n, 1)] / 2
    data = np.where(np.isnan(noise), problem.data, noise)
    data[np.isin(problem.owners, fold.owners)] = np.random.default_rng(2).uniform(size=data.shape[1])
    spoilt = crossed_folds(dataclasses.replace(problem, data=data), "pearson", None, None, None, 0)
    after = spoilt.scores(problem.models, "nnls", gaps=False)[2]
    np.testing.assert_allclose(after[0], before[0], rtol=1e-9)
    assert not np.allclose(after[-1], before[-1], rtol=1e-3)


def test_regression_partials_and_r2_are_scikit_learns_and_numpys(planted):
    linear = pytest.importorskip("sklearn.linear_model")
    measured, models = planted
    found = iso.explain_rdms(measured, models, permutations=19)
    rows = measured.dissimilarities
    y = np.mean((rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True), axis=0)
    y = (y - y.mean()) / y.std()
    x = np.concatenate([m.dissimilarities for m in models.values()]).T
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    fit = linear.LinearRegression().fit(x, y)
    np.testing.assert_allclose([s.beta for s in found.models.values()], fit.coef_, **ROUNDING)
    assert found.r2 == pytest.approx(fit.score(x, y), rel=1e-9)
    for k, (name, share) in enumerate(found.models.items()):
        rest = np.delete(x, k, axis=1)
        left = [v - linear.LinearRegression().fit(rest, v).predict(rest) for v in (x[:, k], y)]
        assert share.partial == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-9)
        assert share.correlation == pytest.approx(np.corrcoef(x[:, k], y)[0, 1], abs=1e-9)
        assert share.vif == pytest.approx(1 / (1 - linear.LinearRegression().fit(rest, x[:, k]).score(rest, x[:, k])))
        without = linear.LinearRegression().fit(rest, y).score(rest, y)
        assert share.unique == pytest.approx(found.r2 - without, abs=1e-9), name


@pytest.mark.parametrize("comparison", ["pearson", "spearman", "whitened_pearson"])
def test_p_of_a_model_is_that_of_regressions_on_permuted_residuals(comparison):
    from scipy.spatial.distance import squareform
    from scipy.stats import rankdata

    measured, models = experiment(seed=2, n=12, weights=(1.0, 0.3, 0.0))
    problem = read_problem(measured, models, "subject")
    orders = Design().orders(12, 40, 7)
    regression = regression_of(problem, comparison)
    null, r2 = regression.null(orders)
    full = lambda v: squareform(v, checks=False)  # noqa: E731  # a short name for one function
    upper = np.triu_indices(12, 1)
    x, y = regression.x.T, regression.y
    if comparison == "spearman":
        ranks = np.stack([rankdata(m) for m in problem.models]).T
        np.testing.assert_allclose(x, (ranks - ranks.mean(axis=0)) / (ranks.std(axis=0) * np.sqrt(66)), **ROUNDING)
    for t, k in itertools.product(range(40), range(3)):
        rest = np.column_stack([np.ones(66), np.delete(x, k, axis=1)])
        residual = x[:, k] - rest @ np.linalg.lstsq(rest, x[:, k], rcond=None)[0]
        design = np.column_stack([full(residual)[np.ix_(orders[t], orders[t])][upper], rest])
        coefficient, left, _, _ = np.linalg.lstsq(design, y, rcond=None)
        error = np.sqrt(left[0] / (66 - 4) * np.linalg.inv(design.T @ design)[0, 0])
        value = coefficient[0] / error  # the t of the regression; the partial correlation follows from it
        assert null[t, k] == pytest.approx(value / np.sqrt(value**2 + 62), abs=1e-9)
    moved = full(y)[np.ix_(orders[3], orders[3])][upper]
    design = np.column_stack([np.ones(66), x])
    left = moved - design @ np.linalg.lstsq(design, moved, rcond=None)[0]
    assert r2[3] == pytest.approx(1 - left @ left / (moved @ moved), abs=1e-9)


def test_parts_of_two_and_three_models_are_the_formulas_of_commonality_analysis(planted):
    measured, models = planted
    regression = regression_of(read_problem(measured, models, "subject"), "pearson")
    r = {"".join(c): regression.chosen(c).r2() for k in (1, 2, 3) for c in itertools.combinations("abc", k)}
    two = dict(parts_of(regression.chosen(("a", "b"))))
    assert two[("a",)] == pytest.approx(r["ab"] - r["b"], abs=1e-12)
    assert two[("a", "b")] == pytest.approx(r["a"] + r["b"] - r["ab"], abs=1e-12)
    three = dict(parts_of(regression))
    assert three[("a", "b")] == pytest.approx(r["ac"] + r["bc"] - r["c"] - r["abc"], abs=1e-12)
    common = r["a"] + r["b"] + r["c"] - r["ab"] - r["ac"] - r["bc"] + r["abc"]
    assert three[("a", "b", "c")] == pytest.approx(common, abs=1e-12)
    assert sum(three.values()) == pytest.approx(r["abc"], abs=1e-12)


def test_a_common_part_that_is_negative_is_reported_so():
    rng = np.random.default_rng(0)
    a, noise = (rdm(rng.normal(size=(30, 3))).dissimilarities for _ in range(2))
    a, noise = a - a.mean(), noise - noise.mean()
    models = {"a": iso.RDMs.from_arrays(a + noise, negative=True), "noise": iso.RDMs.from_arrays(noise, negative=True)}
    found = iso.explain_rdms(iso.RDMs.from_arrays(a, negative=True), models, method="ols", permutations=99)
    parts = {p.name: p.value for p in found.parts}
    assert parts["a + noise"] < -0.2  # noise explains nothing by itself, and makes `a` right
    assert sum(parts.values()) == pytest.approx(found.r2, abs=1e-12) == pytest.approx(1, abs=1e-9)
    assert found["noise"].p_value == 0.01
    assert abs(found["noise"].correlation) < 0.2
    assert found["noise"].weight < 0


def test_what_was_planted_is_found(planted):
    found = iso.explain_rdms(*planted, permutations=199)
    assert found.score > 0.5 > found.chance
    assert found.p_value == found.r2_p == 1 / 200
    assert found["a"].weight > found["b"].weight > found["c"].weight >= 0
    assert found["a"].p_value == found["b"].p_value == 1 / 200
    assert found["c"].p_value > 0.05
    assert found["a"].unique > found["b"].unique > found["c"].unique
    assert found.score > max(s.alone for s in found.models.values())
    assert found.ceiling[0] < found.ceiling[1]
    assert found.share == found.score / found.ceiling[0]
    assert len(found.score_each) == 5
    assert found.fold_weights.shape == (8, 3)
    assert (found.subject_folds, found.item_folds, found.pairs) == (2, 4, 24 * 23 // 2)


def test_chance_of_unrelated_models_is_near_zero_and_high_for_cosines():
    measured, models = experiment(seed=4, weights=(0.0, 0.0), noise=1.0)
    found = iso.explain_rdms(measured, models, permutations=99)
    assert abs(found.chance) < 0.1
    assert found.p_value > 0.05
    cosine = iso.explain_rdms(measured, models, comparison="cosine", permutations=99)
    assert cosine.chance > 0.5
    assert cosine.share is None


def test_items_are_joined_by_name_and_lost_ones_told(planted):
    measured, models = planted
    order = [f"i{k}" for k in np.random.default_rng(0).permutation(24)]
    mixed = {k: m.subset(order) for k, m in models.items()}
    same, moved = (iso.explain_rdms(measured, m, permutations=19) for m in (models, mixed))
    assert same.to_records() == moved.to_records()
    fewer = iso.explain_rdms(measured, models | {"b": models["b"].subset(order[:15])}, permutations=19)
    assert fewer.n == 15
    assert "9 items" in fewer.notes[0]
    part = [f"i{k}" for k in range(24) if f"i{k}" in order[:15]]
    by_hand = iso.explain_rdms(measured.subset(part), {k: m.subset(part) for k, m in models.items()}, permutations=19)
    assert by_hand.to_records() == fewer.to_records()


def test_models_come_as_arrays_files_rdms_or_several_in_one(planted, tmp_path):
    measured, models = planted
    np.save(tmp_path / "b.npy", models["b"].dissimilarities[0])
    given = {"a": models["a"]["rdm_00"].square, "b": str(tmp_path / "b.npy"), "c": models["c"]["rdm_00"]}
    several = iso.RDMs(np.concatenate([m.dissimilarities for m in models.values()]), items=measured.items,
                       rdms={"name": list("abc")})  # fmt: skip
    expected = iso.explain_rdms(measured, models, permutations=19).to_records()
    assert iso.explain_rdms(measured, given, permutations=19).to_records() == expected
    assert iso.explain_rdms(measured, several, permutations=19).to_records() == expected


def test_missing_entries_are_left_out_and_counted(planted):
    measured, models = planted
    gaps = measured.dissimilarities.copy()
    gaps[0, ::17] = np.nan
    gaps[:, 5] = np.nan
    found = iso.explain_rdms(dataclasses.replace(measured, dissimilarities=gaps), models, permutations=99)
    assert found.missing == int(np.isnan(gaps).sum())
    assert found.pairs == 24 * 23 // 2 - 1
    whole = iso.explain_rdms(measured, models, permutations=99)
    assert found.score == pytest.approx(whole.score, abs=0.05)
    assert found["a"].partial == pytest.approx(whole["a"].partial, abs=0.05)
    assert found["a"].p_value == found.p_value == 0.01
    with pytest.raises(InputError, match="whitened_pearson"):
        iso.explain_rdms(dataclasses.replace(measured, dissimilarities=gaps), models, comparison="whitened_pearson")


def test_groups_are_held_out_and_permuted_whole(planted):
    measured, models = planted
    groups = np.repeat(np.arange(8), 3)
    problem = read_problem(measured, models, "subject")
    crossed = crossed_folds(problem, "pearson", 4, 1, list(groups), 0)
    for fit, test in crossed.parts:
        assert not set(groups[fit]) & set(groups[test])
    found = iso.explain_rdms(measured, models, groups=groups, permutations=19)
    assert found.provenance["grouped"]
    assert found.to_records() != iso.explain_rdms(measured, models, permutations=19).to_records()


def test_one_subject_is_scored_on_its_other_items(planted):
    measured, models = planted
    alone = iso.RDMs.from_arrays(measured.dissimilarities[:1])
    found = iso.explain_rdms(alone, models, permutations=19)
    assert found.ceiling is None
    assert found.subject_folds == 1
    assert "no noise ceiling" in found.notes[-1]
    twice = iso.RDMs.from_arrays(measured.dissimilarities[:4], subjects=["x", "x", "y", "y"])
    assert iso.explain_rdms(twice, models, permutations=19).subjects == ("x", "y")


def test_the_result_is_the_same_again_and_after_a_file(planted, tmp_path):
    found = iso.explain_rdms(*planted, permutations=19)
    assert iso.explain_rdms(*planted, permutations=19).to_json() == found.to_json()
    again = iso.RdmExplanation.load(found.save(tmp_path / "e.json"))
    assert again.to_json() == found.to_json()
    assert list(again) == ["a", "b", "c"]
    assert "weight" in repr(again)
    assert list(again.to_frame()["model"]) == ["a", "b", "c"]
    with pytest.raises(UnknownNameError):
        again["d"]


def test_four_models_are_divided_and_more_by_name():
    rng = np.random.default_rng(0)
    models = {f"m{k}": rdm(rng.normal(size=(24, 3))) for k in range(5)}
    measured = models["m0"]
    found = iso.explain_rdms(measured, models, permutations=19)
    assert found.parts == ()
    assert found.partition_r2 is None
    assert any("partition=" in note for note in found.notes)
    some = iso.explain_rdms(measured, models, partition=["m3", "m0"], permutations=19)
    assert [p.name for p in some.parts] == ["m3", "m0", "m3 + m0"]
    assert some.partition_r2 == pytest.approx(sum(p.value for p in some.parts), abs=1e-12)
    assert some.parts[1].p_value == 0.05
    assert some.parts[2].p_value is None
    four = iso.explain_rdms(measured, dict(itertools.islice(models.items(), 4)), permutations=19)
    assert len(four.parts) == 15


def test_models_that_are_nearly_one_are_told(planted):
    measured, models = planted
    near = models["a"].dissimilarities + 0.05 * np.random.default_rng(0).uniform(size=276)
    found = iso.explain_rdms(measured, models | {"near": iso.RDMs.from_arrays(near)}, permutations=19)
    assert found["near"].vif > 10
    assert any(note.startswith("a, near: variance inflation above 10") for note in found.notes)


def test_ranks_of_models_that_correlate_are_warned_of(planted):
    measured, models = planted
    near = iso.RDMs.from_arrays(models["a"].dissimilarities + models["b"].dissimilarities)
    both = {"a": models["a"], "near": near}
    ranked, plain = (iso.explain_rdms(measured, both, comparison=c, permutations=19) for c in ("spearman", "pearson"))
    assert any("Ranks do not add up" in note for note in ranked.notes)
    assert not any("Ranks" in note for note in plain.notes)


def sums(models):
    return models | {"sum": iso.RDMs.from_arrays(models["a"].dissimilarities + 2 * models["b"].dissimilarities + 1)}


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        (sums, {}, "'a', 'b', 'sum' give each other exactly"),
        (lambda m: {"a": m["a"], "again": m["a"]}, {}, "'a', 'again' give each other exactly"),
        (lambda m: m | {"flat": np.ones(276)}, {}, r"models\['flat'\] is the same for all 276 pairs"),
        (lambda m: m | {"x": np.ones((5, 3))}, {}, "x"),
        (lambda m: m | {"x": rdm(np.eye(9))}, {}, "has 9 items and rdms 24"),
        (lambda m: {}, {}, "without entries"),
        (lambda m: None, {}, "a mapping of names"),
        (lambda m: m, {"folds": 12}, "folds=12 leaves 2"),
        (lambda m: m, {"subject_folds": 6}, "there are 5 subjects"),
        (lambda m: m, {"partition": ["a"]}, "2 to 4 different models"),
        (lambda m: m, {"partition": "ab"}, "a list of names"),
        (lambda m: m, {"by": "session"}, "by='session' is no descriptor"),
        (lambda m: m, {"groups": [1, 2]}, "groups has 2 labels"),
        (lambda m: m, {"method": "lasso"}, "method='lasso' is not known"),
        (lambda m: m, {"comparison": "kendall"}, "comparison='kendall' is not known"),
    ],
)
def test_what_cannot_be_explained_is_said(planted, change, arguments, words):
    measured, models = planted
    with pytest.raises(InputError, match=words):
        iso.explain_rdms(measured, change(dict(models)), **{"permutations": 19} | arguments)


def test_more_models_than_pairs_are_refused():
    rng = np.random.default_rng(0)
    models = {f"m{k}": rdm(rng.normal(size=(8, 3))) for k in range(8)}
    with pytest.raises(InputError, match="8 weights cannot be fitted to the 6 pairs of 4 items"):
        iso.explain_rdms(rdm(rng.normal(size=(8, 3))), models, permutations=19)
    with pytest.raises(UnknownNameError, match="partition"):
        iso.explain_rdms(models["m0"], dict(itertools.islice(models.items(), 3)), partition=["m0", "z"])
    with pytest.raises(InputError, match="at least 6 are needed"):
        iso.explain_rdms(rdm(np.eye(5)), {"a": rdm(np.eye(5))})


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("comparison", ["pearson", "cosine"])
def test_weights_are_of_least_squares(comparison, gaps):
    measured, models = experiment(seed=6, subjects=1)
    problem = read_problem(measured, models, "subject")
    x, y = problem.models.T, problem.data[0]
    if comparison == "pearson":
        x, y = x - x.mean(axis=0), y - y.mean()
    target = problem.data[0] if gaps else y
    found = fitted_weights(problem.models, target, "ols", comparison, gaps=gaps)
    np.testing.assert_allclose(found, np.linalg.lstsq(x, y, rcond=None)[0], **ROUNDING)
    from scipy.optimize import nnls

    opposed = -target if not gaps else target.max() - target
    expected = nnls(x, -y if comparison == "pearson" else opposed if gaps else -y)[0]
    np.testing.assert_allclose(fitted_weights(problem.models, opposed, "nnls", comparison, gaps=gaps), expected,
                               **ROUNDING)  # fmt: skip
