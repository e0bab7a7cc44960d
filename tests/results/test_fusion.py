"""The result of a fusion: what it says in words, whether best is most or least, saved and read again, or refused."""

import dataclasses
import json

import pytest

import isomorph as iso
from isomorph.reporting.sections.fusion import FusionSection
from isomorph.results import Gain, Margin, Score


@pytest.fixture
def small():
    """A fusion of two spaces by one head that gains 0.1, p 0.01, above its controls."""
    return FusionSection.example("a")


def with_head(fusion, name="a", **changes):
    return dataclasses.replace(fusion, heads={**fusion.heads, name: dataclasses.replace(fusion.heads["a"], **changes)})


def scored(value):
    return {"accuracy": Score(value, value - 0.1, value + 0.1, 0.5, (value,))}


def test_saved_and_read_again_it_is_the_same(small, tmp_path):
    small.save(tmp_path / "f.json")
    found = iso.load_result(tmp_path / "f.json")
    assert isinstance(found, iso.Fusion)
    assert found.to_json() == small.to_json()
    assert (found.verdict, repr(found)) == (small.verdict, repr(small))
    assert found["a"].dominance.follows == small["a"].dominance.follows


@pytest.mark.parametrize(
    ("gain", "says", "gains"),
    [
        (Gain(0.1, 0.02, 0.2, 0.01), "a is better than the best single space", True),
        (Gain(0.1, 0.02, 0.2, 0.06), "a is not shown to be better than the best single space", False),
        (Gain(-0.1, -0.2, -0.05, 0.99), "a is not better than the best single space", False),
    ],
)
def test_the_verdict_says_no_more_than_was_shown(small, gain, says, gains):
    found = with_head(small, gain=gain)
    assert found.verdict.startswith(says)
    assert found.gains is gains


def test_the_best_of_several_heads_pays_for_the_choice(small):
    two = with_head(small, "b", head="b", scores=scored(0.9), gain=Gain(0.2, 0.1, 0.3, 0.03))
    assert two.best().head == "b"
    assert two.best().p_value == pytest.approx(0.06)
    assert not two.gains
    assert "p 0.060 as the best of 2 heads" in two.verdict
    assert dataclasses.replace(two, heads={"b": two["b"]}).gains


def test_the_verdict_says_whether_controls_do_as_well(small):
    as_well = Margin(0.05, -0.1, 0.2)
    assert "it lies above its controls" in small.verdict
    level = with_head(small, margins=dict.fromkeys(small["a"].controls, as_well))
    assert "it is not above its controls" in level.verdict
    bare = with_head(small, controls={}, margins={})
    assert "no control was fitted" in bare.verdict
    assert "no control was fitted" in repr(bare)
    classes = {"a1 permuted within classes": small["a"].score}
    kept = with_head(
        small,
        controls={**small["a"].controls, **classes},
        margins={**small["a"].margins, **dict.fromkeys(classes, as_well)},
    )
    assert kept["a"].above_controls  # pairs within a class need not matter


def test_of_a_loss_the_best_is_the_least(small):
    def losing(value):
        return {"scores": {"log_loss": Score(value, value, value, 1.0, (value,))}, "decided_by": "log_loss"}

    heads = {n: dataclasses.replace(small["a"], head=n, **losing(v)) for n, v in (("a", 0.9), ("b", 0.4))}
    singles = {s: dataclasses.replace(small.singles[s], **losing(v)) for s, v in (("a1", 0.5), ("a2", 0.8))}
    found = dataclasses.replace(small, heads=heads, singles=singles, decided_by="log_loss")
    assert found.best().head == "b"
    assert found.best_single.space == "a1"


def test_its_records_are_one_table(small):
    records = small.to_records()
    assert [r["what"] for r in records] == ["single"] * 2 + ["head"] + ["control"] * 4 + ["missing"] * 2
    assert len({tuple(r) for r in records}) == 1
    assert [r["gain"] for r in records if r["what"] == "head"] == [0.1]
    assert len(small.to_frame()) == len(records)


EDITS = [
    (("heads",), {}, "no head"),
    (("singles",), {}, "no single space"),
    (("heads", "a", "decided_by"), "beauty", "no score beauty|not by"),
    (("heads", "a", "margins"), {}, "controls and margins are not of the same names"),
    (("heads", "a", "gain", "p_value"), 2, r"lies outside \[0, 1\]"),
    (("decided_by",), "auroc", "not by auroc"),
    (("interactions", "a", "spaces"), ["a1"], "not of two spaces|cannot be"),
    (("n",), -1, "lies outside"),
    (("singles", "a1", "scores", "accuracy", "value"), "much", "cannot be"),
    (("conflicts", 0, "said"), [], "cannot be"),
]


@pytest.mark.parametrize(("place", "value", "words"), EDITS)
def test_an_edit_that_cannot_be_is_refused_in_a_line(small, tmp_path, place, value, words):
    small.save(tmp_path / "f.json")
    data = part = json.loads((tmp_path / "f.json").read_text())
    for key in place[:-1]:
        part = part[key]
    assert place[-1] in part or isinstance(part, list)
    part[place[-1]] = value
    (tmp_path / "f.json").write_text(json.dumps(data))
    with pytest.raises(iso.InputError, match=words) as caught:
        iso.load_result(tmp_path / "f.json")
    assert "\n" not in str(caught.value)
