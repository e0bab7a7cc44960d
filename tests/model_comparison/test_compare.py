"""Comparison of models by RDMs: planted truth, closed forms, what is missing, and every refusal in words."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import squareform
from typer.testing import CliRunner

import isomorph as iso
from isomorph import InputError
from isomorph.cli import app
from isomorph.metrics.rdm import comparison_scores, compute_rdm
from isomorph.model_comparison._bootstrap import Drawn, Measured, draws

RNG = np.random.default_rng(0)
N, S = 24, 8
X = RNG.normal(size=(N, 5))
IDS = [f"item {k}" for k in range(N)]
BRAINS = [compute_rdm(X + RNG.normal(size=X.shape), "euclidean") for _ in range(S)]
MODELS = {"truth": X, "half": X[:, :2], "none": RNG.normal(size=X.shape)}


def rdms(**given):
    return iso.RDMs.from_arrays(given.pop("values", BRAINS), **{"ids": IDS} | given)


def compare(given=None, models=None, *args, **settings):
    quick = {"dissimilarity": "euclidean", "bootstraps": 80, "permutations": 39}
    return iso.compare_models(rdms() if given is None else given, models or MODELS, *args, **quick | settings)


def with_gaps(stack, share=0.1, seed=1):
    out = np.array(stack)
    out[np.random.default_rng(seed).random(out.shape) < share] = np.nan
    return out


# ---- what it finds ---------------------------------------------------------------------------------------------


def test_planted_models_are_ranked_told_apart_and_held_against_the_ceiling():
    found = compare(bootstraps=300)
    ranking = found.ranking()
    assert list(ranking) == ["truth", "half", "none"]
    assert ranking["truth"].letters == "a"
    assert all("a" not in ranking[name].letters for name in ("half", "none"))
    assert ranking["truth"].verdict == "at the ceiling"
    assert ranking["none"].verdict == "below the ceiling"
    assert ranking["none"].p_value > 0.05 > ranking["half"].q_value
    assert ranking["truth"].share > 1 > ranking["half"].share
    assert "new subjects and new items" in str(found)


@pytest.mark.parametrize("comparison", ["spearman", "kendall", "cosine", "whitened_pearson"])
def test_scores_ceilings_and_verdicts_are_those_of_a_scan_and_its_noise_ceiling(comparison):
    spec = f"rsa(dissimilarity='euclidean', comparison={comparison!r})"
    found = compare(None, None, comparison, generalize="subjects", bootstraps=200)["RDMs"]
    scan = iso.scan(rdms(), MODELS, spec, permutations=19)
    ceiling = iso.noise_ceiling(rdms(), comparison, permutations=39)
    reached = ceiling.reached_by(next(iter(scan.values())))
    assert found.ceiling == (ceiling.lower, ceiling.upper)
    for k, r in enumerate(reached.values()):
        assert found.scores[k] == pytest.approx(r.score, abs=1e-9)
        assert found.below[k] == pytest.approx(r.difference, abs=1e-9)
        assert found.verdicts[k] == r.verdict
        assert np.isnan(found.shares[k]) if r.share is None else found.shares[k] == pytest.approx(r.share)


def test_over_subjects_alone_errors_are_those_of_a_mean_and_of_a_paired_difference():
    """In closed form: s / √S. 4,000 samples leave a standard error of 1 / √8000 of it, of which five are allowed."""
    found = compare(None, None, "pearson", generalize="subjects", bootstraps=4000)["RDMs"]
    plain = found.by_subject.std(axis=0, ddof=1) / np.sqrt(S)
    np.testing.assert_allclose(found.errors, plain, rtol=5 / np.sqrt(8000))
    gap = found.by_subject[:, 0] - found.by_subject[:, 1]
    p = stats.ttest_1samp(gap, 0).pvalue
    assert found.degrees == S - 1
    assert np.log(found.difference_p[0, 1]) == pytest.approx(np.log(p), rel=0.1)


def test_over_subjects_alone_the_distance_to_the_ceiling_is_tested_as_by_the_noise_ceiling():
    """A paired t-test of each subject's score and lower ceiling; resampled ceilings move more than new subjects do."""
    settings = {"generalize": "subjects", "bootstraps": 4000}
    found = compare(None, None, "pearson", **settings)["RDMs"]
    spec = "rsa(dissimilarity='euclidean', comparison='pearson')"
    reached = iso.noise_ceiling(rdms(), "pearson").reached_by(iso.scan(rdms(), MODELS, spec, permutations=19)[spec])
    for k, r in enumerate(reached.values()):
        wanted, got = (stats.t.isf(p, S - 1) for p in (r.p_below, found.p_below[k]))
        assert got == pytest.approx(wanted, rel=5 / np.sqrt(8000))
    anew = compare(None, None, "pearson", ceilings="resampled", **settings)["RDMs"]
    assert np.all(anew.p_below[1:] > found.p_below[1:])
    np.testing.assert_array_equal(anew.errors, found.errors)


def test_the_chance_of_cosines_is_that_of_random_pairings_of_the_items():
    found = compare(None, {"none": MODELS["none"]}, "cosine")["RDMs"]
    model = compute_rdm(MODELS["none"], "euclidean")
    square, rng = squareform(model), np.random.default_rng(3)
    moved = [squareform(square[np.ix_(p, p)]) for p in (rng.permutation(N) for _ in range(400))]
    scores = comparison_scores(np.stack(moved), np.stack(BRAINS), "cosine").mean(axis=1)
    assert found.chance[0] == pytest.approx(scores.mean(), abs=5 * scores.std() / 20)
    assert found.chance[0] > 0.8
    assert found.p_values[0] > 0.01


def test_two_models_that_are_one_do_not_differ():
    found = compare(None, {"a": X, "again": X, "none": MODELS["none"]})
    region = found["RDMs"]
    assert region.differences[0, 1] == 0
    assert region.difference_p[0, 1] == 1
    assert found.ranking()["a"].letters == found.ranking()["again"].letters
    np.testing.assert_allclose(region.differences, -region.differences.T)
    np.testing.assert_allclose(region.difference_low, -region.difference_high.T)


def test_results_that_hold_for_more_are_less_certain():
    errors = {g: compare(generalize=g)["RDMs"].errors for g in ("both", "subjects", "items")}
    assert np.all(errors["both"] >= errors["subjects"] * (1 - 1e-12))
    assert np.all(errors["both"] >= errors["items"] * (1 - 1e-12))


def test_false_discovery_rates_are_over_the_models_and_pairs_of_all_regions():
    one = compare({"IT": rdms(), "V1": rdms(values=BRAINS[:4])})
    p = np.concatenate([r.p_values for r in one.regions.values()])
    q = np.concatenate([r.q_values for r in one.regions.values()])
    np.testing.assert_allclose(q, stats.false_discovery_control(p))
    at = np.triu_indices(3, 1)
    p = np.concatenate([r.difference_p[at] for r in one.regions.values()])
    q = np.concatenate([r.difference_q[at] for r in one.regions.values()])
    np.testing.assert_allclose(q, stats.false_discovery_control(p))
    assert list(one) == ["IT", "V1"]
    assert one["IT"].q_values[0] != compare()["RDMs"].q_values[0]


def test_one_subject_has_results_for_new_items_and_no_ceiling():
    region = compare(rdms(values=BRAINS[:1]), generalize="items")["RDMs"]
    assert region.ceiling is None
    assert region.verdicts == ("no ceiling",) * 3
    assert np.isnan(region.p_below).all()
    assert {s.share for s in compare(rdms(values=BRAINS[:1]), generalize="items").ranking().values()} == {None}
    assert region.p_values[0] < 0.05


def test_a_descriptor_says_whose_rdms_are_and_repeats_are_averaged():
    repeated = iso.RDMs.from_arrays(BRAINS, IDS, subjects=[k // 2 for k in range(S)])
    region = compare(repeated)["RDMs"]
    assert region.subjects == ("0", "1", "2", "3")
    np.testing.assert_allclose(region.scores, compare()["RDMs"].scores)
    ceiling = iso.noise_ceiling(repeated)
    assert region.ceiling == (ceiling.lower, ceiling.upper)


def test_items_of_a_group_are_drawn_together():
    labelled = dataclasses.replace(rdms(), items={"id": IDS, "kind": [k % 6 for k in range(N)]})
    region = compare(labelled, groups="kind")["RDMs"]
    assert (region.n, region.n_units, region.degrees) == (N, 6, 5)
    measured = Measured(np.stack(BRAINS), np.stack(BRAINS[:1]), np.arange(S), np.arange(N) % 6, "pearson")
    _, items = draws(measured, 30, seed=0)
    assert all(len(set(row[k::6])) == 1 for row in items for k in range(6))
    assert len({tuple(row) for row in items}) > 1


# ---- the engine ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("comparison", ["spearman", "pearson", "cosine", "rho_a", "kendall"])
def test_rdms_with_gaps_are_scored_as_their_copies_would_be(comparison):
    data, models = with_gaps(BRAINS), with_gaps([compute_rdm(m, "euclidean") for m in MODELS.values()], 0.05, seed=2)
    measured = Measured(data, models, np.arange(S), np.arange(N), comparison)
    items = np.bincount(np.random.default_rng(5).integers(0, N, N), minlength=N)
    drawn = Drawn(measured, items)
    i, j = np.triu_indices(N, 1)
    copies = np.repeat(np.arange(len(i)), items[i] * items[j])
    np.testing.assert_allclose(
        drawn.scores, comparison_scores(data[:, copies], models[:, copies], comparison), atol=1e-10
    )


@pytest.mark.parametrize("comparison", ["spearman", "pearson", "cosine", "kendall"])
@pytest.mark.parametrize("gaps", [False, True])
def test_over_all_items_once_the_ceilings_are_those_of_the_noise_ceiling(comparison, gaps):
    data = with_gaps(BRAINS) if gaps else np.stack(BRAINS)
    measured = Measured(data, data[:1], np.arange(S), np.arange(N), comparison)
    lower, upper = Drawn(measured, np.ones(N, dtype=int)).ceilings(np.ones(S, dtype=int))
    wanted = iso.noise_ceiling(iso.RDMs.from_arrays(data), comparison, permutations=1)
    assert (lower, upper) == pytest.approx((wanted.lower, wanted.upper), abs=1e-10)


def test_missing_dissimilarities_are_left_out_and_counted():
    found = compare(iso.RDMs.from_arrays(with_gaps(BRAINS), IDS), bootstraps=40)
    missing = int(np.isnan(with_gaps(BRAINS)).sum())
    assert found["RDMs"].missing == missing
    assert f"{missing:,} dissimilarities are missing" in found.notes[0]
    assert found.ranking()["truth"].p_value < 0.01
    same = np.array(BRAINS)
    same[:, 3] = np.nan  # a pair that no subject has
    again = compare(iso.RDMs.from_arrays(same, IDS), bootstraps=40)["RDMs"]
    np.testing.assert_allclose(again.scores, compare()["RDMs"].scores, atol=0.02)


def test_items_that_are_copies_of_each_other_are_compared():
    twice = np.concatenate([X[:12], X[:12]])
    brains = [compute_rdm(twice + np.tile(RNG.normal(size=(12, 5)), (2, 1)), "euclidean") for _ in range(S)]
    assert min(b.min() for b in brains) == 0
    assert compare(rdms(values=brains), {"truth": twice})["RDMs"].p_values[0] < 0.01


def test_every_draw_has_three_different_items():
    rows = np.random.default_rng(0).random((2, 10))
    _, items = draws(Measured(rows, rows, np.arange(2), np.arange(5), "pearson"), 2000, seed=0)
    assert (items > 0).sum(axis=1).min() == 3
    assert set(items.sum(axis=1)) == {5}


# ---- what is given ---------------------------------------------------------------------------------------------


def test_sides_are_joined_by_the_names_of_the_items():
    order = np.random.default_rng(4).permutation(N)[:20]
    names = [IDS[k] for k in order]
    layers = {k: iso.Layers.from_arrays({"a": v[order]}, names, encoder=k) for k, v in MODELS.items()}
    found = compare(rdms(), layers)
    inside = [k for k in IDS if k in names]
    rows = [IDS.index(k) for k in inside]
    wanted = compare(rdms().subset(inside), {k: v[rows] for k, v in MODELS.items()})
    np.testing.assert_allclose(found["RDMs"].scores, wanted["RDMs"].scores)
    np.testing.assert_allclose(found["RDMs"].errors, wanted["RDMs"].errors)
    assert "4 of the 24 items of the RDMs" in found.notes[0]


def test_models_may_be_layers_or_rdms_of_which_each_is_one():
    layers = iso.Layers.from_arrays(MODELS, IDS)
    several = iso.RDMs.from_arrays([compute_rdm(v, "euclidean") for v in MODELS.values()], IDS, subjects=[*MODELS])
    plain = compare()["RDMs"].scores
    for given in (layers, several):
        found = compare(None, given)
        assert found.models == tuple(MODELS)
        np.testing.assert_allclose(found["RDMs"].scores, plain)
    nested = compare(None, {"net": layers, "rdm": several["half"]})
    assert nested.models == ("net truth", "net half", "net none", "rdm")
    np.testing.assert_allclose(nested["RDMs"].scores, [*plain, plain[1]])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"given": X}, "rdms must be RDMs"),
        ({"given": {}}, "rdms is an empty mapping"),
        ({"given": {"IT": X}}, "rdms['IT'] must be RDMs"),
        ({"models": [X]}, "models must map names"),
        ({"models": iso.Layers.from_arrays({"a": X}, [f"other {k}" for k in range(N)])}, "in common"),
        ({"models": {"a": X[:9]}}, "9"),
        ({"models": {"flat": np.ones((N, 3))}}, "The model 'flat'"),
        ({"models": {"flat": iso.RDMs.from_arrays(1 - np.eye(N), IDS)}}, "All dissimilarities of the model 'flat'"),
        ({"given": rdms(values=[BRAINS[0], np.ones_like(BRAINS[0])])}, "All dissimilarities of the RDM 'rdm_01'"),
        ({"given": rdms(values=BRAINS[:1])}, "generalize='items'"),
        ({"given": iso.RDMs.from_arrays([b[:6] for b in BRAINS]), "models": {"a": X[:4]}}, "4 items are too few"),
        ({"by": "session"}, "by='session' is no descriptor"),
        ({"groups": "kind"}, "groups='kind' is no descriptor"),
        ({"comparison": "whitened_cosine"}, "generalize='subjects'"),
        ({"comparison": "cka"}, "cka"),
        ({"generalize": "all"}, "generalize='all'"),
        ({"bootstraps": 3}, "bootstraps=3"),
        ({"alpha": 1}, "alpha=1"),
    ],
)
def test_what_cannot_be_compared_is_answered_in_words(change, says):
    with pytest.raises(InputError, match=says.replace("[", r"\[").replace("(", r"\(")):
        compare(**change)


def test_what_does_not_fit_into_memory_is_told_before_it_starts():
    many = iso.RDMs.from_arrays(np.random.default_rng(0).random((150, 60 * 59 // 2)))
    with pytest.raises(InputError, match="The bootstrap of 150 RDMs and 1 models of 1,770 pairs needs"):
        compare(many, {"a": RNG.normal(size=(60, 4))}, memory="16MB")


def test_few_subjects_and_few_items_are_told():
    brains = [compute_rdm(v[:8], "euclidean") for v in (X, X + RNG.normal(size=X.shape) / 2)]
    found = compare(iso.RDMs.from_arrays(brains), {"a": X[:8]})
    assert any("8 items are few" in n for n in found.notes)
    assert any("2 subjects are few" in n for n in found.notes)
    assert found["RDMs"].degrees == 1


# ---- the result ------------------------------------------------------------------------------------------------


def test_a_result_is_the_same_again_and_from_a_file(tmp_path):
    found = compare()
    assert compare().to_json() == found.to_json()
    assert compare(seed=1)["RDMs"].errors[0] != found["RDMs"].errors[0]
    again = iso.load_result(found.save(tmp_path / "m.json"))
    assert again.to_json() == found.to_json()
    assert str(again) == str(found)
    alone = compare(rdms(values=BRAINS[:1]), generalize="items")
    assert iso.load_result(alone.save(tmp_path / "a.json")).to_json() == alone.to_json()
    assert len(found.to_frame()) == len(found.difference_records()) == 3


@pytest.mark.parametrize("field", ["scores", "difference_q", "by_subject"])
def test_a_file_whose_lists_do_not_fit_is_damaged(tmp_path, field):
    path = compare().save(tmp_path / "m.json")
    data = json.loads(path.read_text())
    array = data["regions"]["RDMs"][field]
    array["shape"], array["data"] = [1], array["data"][:1]
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match="damaged"):
        iso.load_result(path)


def test_letters_are_shared_by_those_that_do_not_differ_and_by_no_others():
    found = compare(None, {str(k): RNG.normal(size=X.shape) for k in range(5)})
    region = found["RDMs"]
    differ = np.zeros((5, 5), dtype=bool)
    for a, b in ((0, 3), (0, 4), (1, 4), (2, 3)):
        differ[a, b] = differ[b, a] = True
    region = dataclasses.replace(region, difference_q=np.where(differ, 0.01, 0.5), scores=np.arange(5)[::-1] / 10)
    letters = dataclasses.replace(found, regions={"RDMs": region}).ranking()
    for a in range(5):
        for b in range(a):
            assert (not set(letters[str(a)].letters) & set(letters[str(b)].letters)) == differ[a, b]
    assert letters["0"].letters.startswith("a")


def test_the_command_compares_files_and_regions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("it.npy", np.stack(BRAINS))
    np.save("v1.npy", np.stack(BRAINS[:3]))
    np.savez("net.npz", truth=X, half=X[:, :2])
    np.save("pixels.npy", squareform(compute_rdm(MODELS["none"], "euclidean")))
    common = ["--model", "net=net.npz", "--model", "pixels=rdms:pixels.npy", "--dissimilarity", "euclidean",
              "--bootstraps", "50", "--permutations", "19"]  # fmt: skip
    for files, regions in ((["it.npy"], ["RDMs"]), (["IT=it.npy", "V1=rdms:v1.npy"], ["IT", "V1"])):
        done = CliRunner().invoke(app, ["compare-models", *files, *common, "--to", "m.json"])
        assert done.exit_code == 0, done.output
        found = iso.load_result("m.json")
        assert list(found) == regions
        assert found.models == ("net truth", "net half", "pixels")
    np.testing.assert_allclose(found["IT"].scores, compare()["RDMs"].scores)
