"""What the page says of blind matches and of stitched networks, beside chance and every control."""

import dataclasses
import json
import re

import numpy as np
import pytest

import isomorph as iso
from isomorph.reporting._pictures import Pictures
from isomorph.reporting._section import Context
from isomorph.reporting.sections.blind_match import BlindMatchSection
from isomorph.reporting.sections.network_stitch import NetworkStitchSection


def blocks(section, *results):
    return section().show(results, Context(Pictures(None), {}, given=False)).blocks


def rows(block):
    """The rows of all tables as lists of texts."""
    found = re.findall(r"<tr>(.*?)</tr>", str(block.html), re.DOTALL)
    return [[re.sub("<[^>]*>", "", c) for c in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)] for row in found]


def numbers_on_axis(figure):
    return [float(t) for t in re.findall(r'class="middle soft">([0-9.]+)<', figure.standalone())]


@pytest.fixture(scope="module")
def matches():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(13, 6))
    ids = [f"item {i}" for i in range(13)]
    sides = [
        iso.Layers.from_arrays({"a": v}, ids, encoder=name)
        for name, v in (("x", x), ("same", x + 0.01 * rng.normal(size=x.shape)), ("noise", rng.normal(size=x.shape)))
    ]
    few = {"restarts": 20, "bootstraps": 4, "surrogates": 19}
    return {
        "true": iso.blind_match(sides[0], sides[1], truth=np.arange(13), restarts=20),
        "blind": iso.blind_match(sides[0], sides[1], **few),
        "noise": iso.blind_match(sides[0], sides[2], truth=np.arange(13), restarts=20),
        "bare": iso.blind_match(x, x[::-1], **few),
    }


def test_a_match_stands_beside_its_chance_levels(matches):
    (block,) = blocks(BlindMatchSection, matches["blind"])
    found = matches["blind"]
    told = {r[0]: r[1] for r in rows(block) if len(r) == 2}
    assert told["correlation under the match"] == f"{found.objective:.3f}"
    assert told["under a random pairing, on average"] == f"{found.chance_objective:.3f}"
    assert told["best of 19 unrelated spaces of the same spectrum"] == f"{max(found.surrogate_objectives):.3f}"
    assert told["p, that an unrelated space matches as well"] == f"{found.p_value:.2g}"
    assert "matched rightly" not in told  # the truth was not known
    shares, objective = block.figures
    assert "chance 8" in shares.title
    assert "unrelated space, best" in objective.standalone()
    assert "best pair of layers" not in shares.standalone() + objective.standalone()


def test_where_the_truth_is_known_the_share_that_is_right_is_shown_on_the_whole_axis(matches):
    for name, right in (("true", "100"), ("noise", f"{100 * matches['noise'].accuracy:.0f}")):
        (block,) = blocks(BlindMatchSection, matches[name])
        told = {r[0]: r[1] for r in rows(block) if len(r) == 2}
        assert told["matched rightly"] == f"{right}\u00a0% (chance 8\u00a0%)"
        axis = numbers_on_axis(block.figures[0])
        assert (min(axis), max(axis)) == (0, 1)
        assert "true pairing" in block.figures[1].standalone()
    assert str(block.html).count("✓") == sum(r["x"] == r["y"] for r in matches["noise"].to_records()[:12])


def test_the_page_shows_the_first_matches_and_gives_all_for_download(matches):
    (block,) = blocks(BlindMatchSection, matches["true"])
    assert "Matches, the first 12 of 13" in block.html
    data = json.loads(re.search(r"summary-data\">(.*?)</script>", str(block.html), re.DOTALL)[1])
    assert data == [["x", "y"], *([f"item {i}"] * 2 for i in range(13))]
    (bare,) = blocks(BlindMatchSection, matches["bare"])
    assert "the same id" not in bare.html
    assert "✓" not in bare.html


def test_a_match_of_an_earlier_file_is_drawn_without_what_it_does_not_hold(matches):
    old = dataclasses.replace(matches["blind"], chance_objective=None, surrogate_objectives=())
    (block,) = blocks(BlindMatchSection, old)
    assert len(block.figures) == 1
    assert "random pairing, on average" not in block.html


def stitched(*pairs):
    whole = NetworkStitchSection.example("net")
    cuts = [
        dataclasses.replace(
            whole.cuts[0], bottom_layer=f"b{b}", top_layer=f"t{t}", bottom_depth=b / 10, top_depth=t / 10
        )
        for b, t in pairs
    ]
    return dataclasses.replace(whole, cuts=tuple(cuts))


def test_cuts_at_depths_of_their_own_are_lines_and_several_at_one_depth_are_rows():
    (lines,) = blocks(NetworkStitchSection, stitched((1, 1), (5, 5), (9, 9)))
    assert "depth of the cut" in lines.figures[0].standalone()
    for pairs in ([(1, 1), (1, 5), (9, 9)], [(1, 1)]):
        (block,) = blocks(NetworkStitchSection, stitched(*pairs))
        drawn = block.figures[0].standalone()
        assert "depth of the cut" not in drawn
        assert all(f"b{b} → t{t}" in drawn for b, t in pairs)
        assert all(word in drawn for word in ("joined", "random bottom", "permuted", "top alone", "chance", "interval"))
        assert (min(numbers_on_axis(block.figures[0])), max(numbers_on_axis(block.figures[0]))) == (0, 1)


def test_a_stitch_stands_beside_its_controls_and_says_on_how_many_items():
    result = stitched((1, 1), (5, 5))
    (block,) = blocks(NetworkStitchSection, result)
    table = rows(block)
    head, first = table[0], table[1]
    cut = result.cuts[0]
    assert first[head.index("accuracy")] == f"{100 * cut.accuracy:.0f}\u00a0%"
    assert first[head.index("random bottom")] == f"{100 * cut.controls['random_bottom']['accuracy']:.0f}\u00a0%"
    assert first[head.index("permuted")] == f"{100 * cut.controls['permuted']['accuracy']:.0f}\u00a0%"
    assert f"of the {result.n_test} items held out" in block.html
    assert f"{100 * result.chance:.0f}\u00a0%" in block.html
