"""modality_collapse: heads that ignore a space, maps that find few items; and heads and maps that do not."""

import dataclasses

import numpy as np
import pytest
from typer.testing import CliRunner

from isomorph.cli import app
from isomorph.diagnosis import diagnose
from isomorph.diagnosis.collapse import Spread
from isomorph.fusion import fuse
from isomorph.heads.concat import Concat
from isomorph.maps.retrieval import csls
from isomorph.results import Diagnosis, Fusion, load_result
from isomorph.stitching import stitch

NAME = "modality_collapse"
QUICK = {"repeats": 3, "controls": False, "draws": 200}


class FirstOnly(Concat):
    """A head that is built to ignore every space but the first."""

    name = "first_only"

    def _fit(self, spaces, target, folds, seed):
        first = next(iter(spaces))
        super()._fit({first: spaces[first]}, target, folds, seed)

    def _predict(self, spaces):
        first = next(iter(self.linear_.coef))
        if spaces.get(first) is None:
            others = next(rows for rows in spaces.values() if rows is not None)
            return np.tile(self.target_.prior, (len(others), 1))
        return super()._predict({first: spaces[first]})


def halves(seed=0, n=400):
    """Two spaces and the sum of what they tell, half in each."""
    x, y = np.random.default_rng(seed).normal(size=(2, n, 6))
    return x, y, x[:, 0] + y[:, 0]


def of_classes(target):
    return (target > 0).astype(int)


def looked(spaces, target, heads):
    return diagnose(fusion=fuse(spaces, target, heads=heads, **QUICK), signatures=[NAME])


@pytest.mark.parametrize("as_target", [of_classes, lambda t: t], ids=["classes", "numbers"])
def test_a_head_that_reads_one_space_of_two_is_found_and_the_head_beside_it_is_not(as_target):
    x, y, target = halves()
    found = looked({"image": x, "text": y}, as_target(target), [FirstOnly(), "concat"])
    one_sided, concat = found[NAME]
    assert one_sided.present
    assert not concat.present
    assert "first_only ignores text" in one_sided.summary
    assert "concat gains +0." in one_sided.summary
    evidence = one_sided.evidence
    assert evidence["text of other items: share of the score above chance that it costs"] == 0.0
    assert evidence["image of other items: share of the score above chance that it costs"] > 0.5
    assert evidence["share of conflicts in which it says what image says"] > 0.95
    assert concat.evidence["text of other items: share of the score above chance that it costs"] > 0.5
    assert (found.x_name, found.y_name, found.n) == ("image", "text", 400)
    assert found.provenance["fusion"]


def test_a_head_by_itself_that_ignores_a_space_is_found_and_says_that_the_gain_is_not_known():
    x, y, target = halves(1)
    (finding,) = looked({"image": x, "text": y}, of_classes(target), [FirstOnly()])[NAME]
    assert finding.present
    assert "No other head uses text" in finding.summary


@pytest.mark.parametrize("as_target", [of_classes, lambda t: t], ids=["classes", "numbers"])
def test_heads_on_the_parts_of_a_sum_use_both(as_target):
    x, y, target = halves(2)
    heads = ["concat", "late", "product"] if as_target is of_classes else ["concat", "late"]
    found = looked({"x": x, "y": y}, as_target(target), heads)
    assert [f.present for f in found.findings] == [False] * len(heads)


@pytest.mark.parametrize("heads", [["concat", "late"], [FirstOnly(), "concat"], [FirstOnly()]])
def test_noise_is_rightly_ignored(heads):
    x, noise, _ = halves(3)
    found = looked({"x": x, "noise": noise}, of_classes(x[:, 0]), heads)
    assert not found.present
    if isinstance(heads[0], FirstOnly):
        assert "does not use noise, rightly: noise by itself tells little" in found.findings[0].summary


@pytest.mark.parametrize("heads", [["concat", "late"], [FirstOnly()], [FirstOnly(), "late"]])
def test_a_copy_is_rightly_ignored(heads):
    x, _, _ = halves(4)
    assert not looked({"x": x, "copy": x.copy()}, of_classes(x[:, 0]), heads).present


@pytest.mark.parametrize("heads", [["concat", "late"], [FirstOnly(), "late"], [FirstOnly()]])
def test_a_noisy_copy_which_adds_nothing_is_rightly_ignored(heads):
    x, noise, _ = halves(5)
    found = looked({"x": x, "noisy": x + 0.7 * noise}, of_classes(x[:, 0]), heads)
    assert not found.present
    if isinstance(heads[0], FirstOnly):
        assert "does not use noisy, rightly" in found.findings[0].summary


def test_a_score_of_which_less_is_better_gives_the_same_answer():
    x, y, target = halves(6)
    fused = fuse({"x": x, "y": y}, of_classes(target), heads=[FirstOnly(), "concat"], score="log_loss", **QUICK)
    assert [f.present for f in diagnose(fusion=fused)[NAME]] == [True, False]


def test_a_head_at_chance_has_nothing_to_share():
    x, y, _ = halves(7)
    (finding,) = looked({"x": x, "y": y}, np.arange(400) % 2, ["concat"])[NAME]
    assert not finding.present
    assert "does not score above chance" in finding.summary


def test_two_of_three_spaces_that_are_ignored_are_both_named():
    x, y, target = halves(8)
    z = np.random.default_rng(9).normal(size=(400, 6))
    found = looked({"x": x, "y": y, "z": z}, target + z[:, 0], [FirstOnly(), "concat"])
    assert "first_only ignores y and z" in found[NAME][0].summary
    assert not found[NAME][1].present


def test_an_unsure_cost_is_no_proof_that_a_space_is_ignored():
    x, y, target = halves(10)
    fused = fuse({"x": x, "y": y}, target, heads=[FirstOnly(), "concat"], **QUICK)
    head = fused["first_only"]
    broken = dict(head.missing)
    score = broken["y of other items"]
    swings = tuple(v + d for v, d in zip(score.repeats, (0.2, -0.2, 0.0), strict=True))  # the same mean, unlike splits
    broken["y of other items"] = dataclasses.replace(score, repeats=swings)
    unsure = dataclasses.replace(fused, heads={**fused.heads, head.head: dataclasses.replace(head, missing=broken)})
    assert diagnose(fusion=fused)[NAME][0].present
    assert not diagnose(fusion=unsure)[NAME][0].present


def test_a_redundant_space_of_numbers_is_told_by_a_head_that_uses_it():
    x, noise, _ = halves(5)
    found = looked({"x": x, "noisy": x + 0.7 * noise}, x[:, 0], [FirstOnly(), "late"])
    assert [f.present for f in found.findings] == [False, False]
    assert "rightly: heads that use noisy score no more" in found.findings[0].summary


def test_a_head_that_follows_no_space_where_they_disagree_has_not_collapsed():
    x, y, target = halves(12)
    fused = fuse({"x": x, "y": y}, of_classes(target), heads=[FirstOnly(), "concat"], **QUICK)
    head = fused["first_only"]
    free = dataclasses.replace(head, dominance=dataclasses.replace(head.dominance, low=0.4))
    assert diagnose(fusion=fused)[NAME][0].present
    found = diagnose(fusion=dataclasses.replace(fused, heads={**fused.heads, head.head: free}))[NAME][0]
    assert not found.present
    assert "it follows no other space" in found.summary


def test_of_rows_to_be_found_another_head_has_to_show_that_the_space_adds_something():
    x, y, _ = halves(13)
    rows, given = np.hstack([x, y]), {"target_kind": "rows", **QUICK}
    both = diagnose(fusion=fuse({"x": x, "y": y}, rows, heads=[FirstOnly(), "concat"], **given), signatures=[NAME])
    assert [f.present for f in both.findings] == [True, False]
    alone = diagnose(fusion=fuse({"x": x, "y": y}, rows, heads=[FirstOnly()], **given), signatures=[NAME])
    assert not alone.present
    assert "no other head shows that y adds anything" in alone.findings[0].summary


def pair(shared, d, seed):
    rng = np.random.default_rng(seed)
    return [np.hstack([shared, rng.normal(size=(len(shared), d))]) for rng in (rng, rng)]


def of_stitch(x, y, maps="ridge", **settings):
    stitched = stitch(x, y, maps, repeats=1, permutations=0, draws=100, curves=False, **settings)
    return diagnose(x, y, stitch=stitched, signatures=[NAME])


def test_a_map_whose_rows_all_find_one_of_two_ends_is_found():
    x, y = pair(9 * np.random.default_rng(0).normal(size=(300, 1)), 32, 1)
    there, back = of_stitch(x, y)[NAME]
    assert there.present
    assert there.where == "ridge, x → y"
    assert there.evidence["effective share of the candidates that come first"] < 0.1
    assert there.evidence["the same, candidates among themselves"] > 0.2
    assert there.evidence["candidates"] == 90
    assert "find the same few" in there.summary
    assert back.where == "ridge, y → x"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("width", "few"), [(3, True), (8, False)])
def test_a_map_that_ranks_by_a_prior_is_found_by_it(width, few, seed):
    rng = np.random.default_rng(seed)
    event = 10.0 * (rng.random((500, 1)) < 0.1)  # one item of ten; all others are mapped to the other side of the mean
    x, y = (np.hstack([event, rng.normal(size=(500, d))]) for d in (width, 32))
    found = of_stitch(x, y)[NAME][0]
    assert found.present
    assert "Candidates are ranked alike whatever the query" in found.summary
    assert ("find the same few" in found.summary) == few
    share = "share of similarity that is the candidate's, whatever the query"
    assert found.evidence[share] > 0.5 > 4 * found.evidence["the same share, candidates among themselves"]


@pytest.mark.parametrize("d", [2, 8, 64])
@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_noisy_copies_and_unrelated_spaces_do_not_collapse(d, noise):
    z, a, b = np.random.default_rng(d).normal(size=(3, 300, d))
    assert not of_stitch(z + noise * a, z + noise * b).present
    assert not of_stitch(z, b).present


def test_candidates_that_are_hubs_among_themselves_are_no_fault_of_the_map():
    rng = np.random.default_rng(2)
    y = rng.normal(size=(300, 1)) @ rng.normal(size=(1, 12))  # one direction: everything there has two ends
    (there, _) = of_stitch(y + 0.01 * rng.normal(size=y.shape), y)[NAME]
    assert there.evidence["effective share of the candidates that come first"] < 0.15
    assert not there.present


def test_spread_by_hand():
    gallery = np.eye(4)
    found = Spread.of(gallery[[0, 0, 0, 1]], gallery, None)  # three queries find the first candidate, one the second
    assert found.effective == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)) / 4)
    assert (found.top, found.hub) == (1, 0.75)
    # similarities less the mean of each query: 3/4 at what it finds, else -1/4; the candidates' means vary by 3/32
    means = np.array([0.75, 0.25, 0.0, 0.0])
    assert found.prior == pytest.approx(means.var() / (0.25 - 0.25**2))
    assert Spread.of(gallery, gallery, None).prior == pytest.approx(0.0)


def test_candidates_among_themselves_find_others():
    rows = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    found = Spread.of(rows, rows, None, same=True)  # each finds the other of its two
    assert found.effective == pytest.approx(1.0)


def test_a_correction_for_hubs_is_that_of_the_stitch():
    rng = np.random.default_rng(3)
    gallery, queries = rng.normal(size=(60, 5)), rng.normal(size=(60, 5)) + 2
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (queries, gallery)]
    first = np.bincount(csls(unit[0] @ unit[1].T, k=10).argmax(axis=1), minlength=60) / 60
    expected = np.exp(-np.sum(first[first > 0] * np.log(first[first > 0]))) / 60
    assert Spread.of(queries, gallery, "csls").effective == pytest.approx(expected)
    assert expected > Spread.of(queries, gallery, None).effective


def test_equal_candidates_count_as_one():
    rng = np.random.default_rng(4)
    classes = rng.integers(24, size=300)
    y = rng.normal(size=(24, 8))[classes]
    (there, _) = of_stitch(y + 0.1 * rng.normal(size=y.shape), y)[NAME]
    assert there.evidence["candidates"] == 24
    assert there.evidence["effective share of the candidates that come first"] > 0.8


def test_what_is_missing_is_said():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 100, 5))
    quick = {"repeats": 1, "permutations": 0, "draws": 100, "curves": False}
    stitched = stitch(x, y, "ridge", **quick)
    told = {
        "needs a fusion, or a stitch": {"x": x, "y": y},
        "needs the features of both sides": {"stitch": stitched},
        "the features that the stitch is of": {"x": x[:90], "y": y[:90], "stitch": stitched},
        "with its layers": {"x": {"other": x}, "y": y, "stitch": stitched},
        "a map that predicts rows of y": {"x": x, "y": y, "stitch": stitch(x, y, "cca", **quick)},
        "needs 20 distinct items held out, found 12": {
            "x": x[:40],
            "y": y[:40],
            "stitch": stitch(x[:40], y[:40], "ridge", **quick),
        },
    }
    for words, given in told.items():
        assert words in diagnose(**given, signatures=[NAME]).unchecked[NAME], words


def test_a_fusion_is_diagnosed_from_a_file_and_comes_back_whole(tmp_path):
    x, y, target = halves(11)
    fused = fuse({"image": x, "text": y}, of_classes(target), heads=[FirstOnly(), "concat"], **QUICK)
    path, to = fused.save(tmp_path / "fusion.json"), tmp_path / "found.json"
    told = CliRunner().invoke(app, ["diagnose", "--fusion", str(path), "--signature", NAME, "--to", str(to)])
    assert told.exit_code == 0, told.output
    assert "Diagnosis of image × text: 1 of 1 signatures present" in told.output
    found, again = load_result(to), diagnose(fusion=Fusion.load(path), signatures=[NAME])
    assert isinstance(found, Diagnosis)
    assert found.findings[0].present
    assert found.to_records() == again.to_records() == diagnose(fusion=fused, signatures=[NAME]).to_records()
