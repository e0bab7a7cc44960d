import dataclasses
import functools
import json

import numpy as np
import pytest

from isomorph.reporting import report as report_with_figures
from isomorph.reporting._section import Context
from isomorph.reporting._text import signed
from isomorph.reporting.sections._verdict import baseline_label, comparisons, in_order, side_label, summed_up, verdict
from isomorph.results import load_result

report = functools.partial(report_with_figures, figures=False)
CONTEXT = Context(pictures=None, short={"bundled:vision": "vision", "org/text": "text"}, given=False)  # type: ignore[arg-type]  # no pictures are asked for
GOOD, NOTHING, WORSE = (0.2, 1e-9), (0.01, 0.4), (-0.1, 1e-4)


def _said(scan):
    return verdict(in_order(scan), CONTEXT)


def test_a_significant_gain_over_the_untrained_network_is_said_with_its_interval_and_p(make_scan):
    said = _said(make_scan(against={"untrained x": GOOD}))
    assert said.state == "holds"
    assert said.headline == "More alike than chance and untrained vision, most at layer_4 × layer_3."
    (check,) = said.checks
    assert check.holds is True
    assert check.head == "More alike than with untrained vision:"
    assert check.rest.replace("\u00a0", " ") == "+0.200 (0.160 to 0.240), p 1.0 × 10⁻⁹."


@pytest.mark.parametrize(
    ("tested", "words", "head"),
    [
        (NOTHING, "but no more than untrained text", "No more alike than"),
        ((-0.02, 0.3), "but no more than untrained text", "No more alike than"),
        ((0.3, float("nan")), "but no more than untrained text", "No more alike than"),
        (WORSE, "but less than untrained text", "Less alike than"),
    ],
)
def test_no_more_than_the_untrained_network_is_said_plainly(make_scan, tested, words, head):
    said = _said(make_scan(against={"untrained y": tested}))
    assert said.state == "partly"
    assert words in said.headline
    assert said.headline.startswith("More alike than chance, ")
    assert said.checks[0].holds is False
    assert said.checks[0].head.startswith(head)


def test_baselines_that_are_beaten_do_not_hide_one_that_is_not(make_scan):
    said = _said(make_scan(against={"untrained x": GOOD, "inputs x": WORSE, "untrained y": NOTHING}))
    assert "but no more than untrained text and less than image input statistics" in said.headline
    assert [c.holds for c in said.checks] == [False, True, False]  # in the order of their names
    assert _said(make_scan(against={"a x": GOOD, "b x": GOOD, "c y": GOOD})).headline.startswith(
        "More alike than chance and all 3 baselines"
    )


def test_for_a_distance_a_negative_difference_is_a_gain(make_scan):
    scan = make_scan(specs=("procrustes_distance",), chance=0.9, strength=0.5, against={"untrained x": (-0.2, 1e-9)})
    assert _said(scan).state == "holds"
    assert "lower is more alike" in _said(scan).score
    scan = make_scan(specs=("procrustes_distance",), chance=0.9, strength=0.5, against={"untrained x": (0.2, 1e-9)})
    assert "less than untrained vision" in _said(scan).headline


def test_no_claim_about_baselines_is_made_where_chance_is_not_passed(make_scan):
    said = _said(make_scan(strength=0.01, against={"untrained x": GOOD}))
    assert said.state == "fails"
    assert said.headline == "No more alike than chance; best at layer_4 × layer_3."


def test_a_held_out_score_confirms_or_does_not(make_scan):
    said = _said(make_scan(held_out=1e-5))
    assert said.state == "holds"
    assert said.checks[0].head == "Confirmed on held-out items:"
    words = said.checks[0].rest.replace("\u00a0", " ")
    assert words == (
        "layers chosen on 29 items (layer_3 × layer_1) give 0.234, chance 0.078 (3.0 ×), p 1.0 × 10⁻⁵, on the other 31."
    )
    failed = _said(make_scan(held_out=0.2))
    assert failed.state == "partly"
    assert failed.checks[0].holds is False
    assert failed.headline == "More alike than chance, not confirmed on held-out items, most at layer_4 × layer_3."


def test_a_baseline_that_was_not_tested_is_shown_without_a_judgement(make_scan):
    said = _said(make_scan(baselines={"untrained x": make_scan(strength=0.02)}))
    assert said.state == "holds"
    assert "untrained" not in said.headline
    assert said.checks[0].holds is None
    assert "chance 0.050; the difference was not tested" in said.checks[0].rest


def test_metrics_that_say_something_else_are_quoted(make_scan, make_alignment):
    scan = make_scan(specs=("mutual_knn(k=10)", "cka"), against={"untrained x": GOOD})
    assert _said(scan).rest == "cka(estimator='unbiased') agrees."
    other = make_alignment("cka", against={"untrained x": WORSE})
    mixed = type(scan)(scan.x_name, scan.y_name, {**scan.alignments, other.metric: other}, 60, p_maximum=0.01)
    assert (
        "cka(estimator='unbiased') differs: more alike than chance, but less than untrained vision."
        in _said(mixed).rest
    )
    assert "Over both metrics and all layers together: p\u00a00.01." in _said(mixed).rest


def test_all_answers_are_summed_up_in_words(make_scan):
    good, short = _said(make_scan(against={"untrained x": GOOD})), _said(make_scan(against={"untrained x": NOTHING}))
    bare, fails = _said(make_scan()), _said(make_scan(strength=0.01))
    assert summed_up([good], ["m"]) == ""
    assert summed_up([bare, bare], ["m", "m"]) == "All 2 pairs of models are more alike than chance, by m."
    assert summed_up([good, short, bare, fails], ["m"] * 4) == (
        "3 of the 4 pairs of models are more alike than chance, by m. "
        "Of the 2 also put to harder tests (baselines, held-out items), 1 passes all of theirs."
    )
    assert summed_up([fails, fails], ["m", "n"]).startswith("None of the 2 pairs of models are more alike than chance")


def test_metrics_stand_in_the_order_asked_for_even_after_loading(make_scan, tmp_path):
    scan = make_scan(specs=("mutual_knn(k=10)", "cka"))
    asked = {"metrics": [a.variant for a in scan.values()]}
    scan = make_scan(specs=("mutual_knn(k=10)", "cka"), provenance=asked, baselines={"z": scan, "untrained x": scan})
    loaded = load_result(scan.save(tmp_path / "s.json"))
    assert list(in_order(loaded)) == list(in_order(scan)) == ["mutual_knn(k=10)", "cka(estimator='unbiased')"]
    assert list(in_order(loaded).baselines) == ["untrained x", "z"]


def test_baselines_are_named_by_what_they_stand_in_for(make_scan):
    scan = make_scan()
    names = ("untrained x", "untrained y", "inputs x", "shuffled y", "plain")
    assert [baseline_label(n, scan, CONTEXT) for n in names] == [
        "untrained vision", "untrained text", "image input statistics", "shuffled for text", "plain",
    ]  # fmt: skip
    assert [side_label(scan.baseline(n)) for n in names] == [
        "first model untrained", "second model untrained", "input statistics for first",
        "shuffled for second model", "plain",
    ]  # fmt: skip


def test_the_difference_is_shown_as_saved_not_as_a_difference_of_what_is_shown(make_scan):
    scan = make_scan(against={"untrained x": (0.2, 1e-9)}, baselines={"untrained x": make_scan(strength=0.02)})
    (found,) = comparisons(scan["mutual_knn(k=10)"], scan, CONTEXT)
    assert (found.value, found.chance, found.difference) == ("0.123", "0.045", "+0.200")
    assert [signed(v) for v in (0.2, -0.2, 0.0, -1e-9, None)] == ["+0.200", "−0.200", "0.000", "0.000", "–"]


def test_the_page_shows_intervals_held_out_scores_differences_and_notes(tmp_path, make_scan, read_page):
    notes = ("bundled:vision: 2 of 60 items are <b>identical</b>.",)
    scan = make_scan(
        specs=("mutual_knn(k=10)", "cka"), interval=True, against={"untrained x": NOTHING}, held_out=1e-5,
        notes=notes, p_maximum=0.002, baselines={"untrained x": make_scan(specs=("mutual_knn(k=10)", "cka"))},
    )  # fmt: skip
    page = read_page(report([scan, make_scan("other")], tmp_path / "r.html"))
    for words in (
        "Beside the baselines", "95 % interval 0.320 to 0.380", "0.320 to 0.380", "−0.030 to 0.050", "+0.010",
        "on 31 held-out items 0.234 0.078 3.0 × 1.0 × 10⁻⁵ layer_3 × layer_1",
        "but no more than untrained vision", "Over both metrics",
        "vision: 2 of 60 items are <b>identical</b>.", "the band is the 95 % interval", "paired jackknife",
        "All 2 pairs of models are more alike than chance, by mutual_knn(k=10)", "first model untrained",
        "Mean share of common items among the k nearest neighbours",
    ):  # fmt: skip
        assert words in page.text, words
    assert len(page.with_class("heed")) == 2, "in the answer and in the pair's own part"
    assert len(page.with_class("whisker")) == 2 + 1 + 1, "two metrics, one legend each where there is an interval"
    header, row, *_ = json.loads(next(s for s in page.scripts if s.startswith('[["x"')))
    record = dict(zip(header, row, strict=True))
    assert record["low"] == pytest.approx(0.32)
    assert record["held_out_p_value"] == 1e-5
    assert record["p_maximum_all_metrics"] == 0.002
    assert record["untrained x difference"] == 0.01


def test_the_page_of_a_bare_scan_speaks_of_no_interval_baseline_or_note(tmp_path, make_scan, read_page):
    page = read_page(report(make_scan(), tmp_path / "r.html"))
    for words in ("interval", "baseline", "held-out", "Note."):
        assert words not in page.text.replace("and by how much more than their baselines", ""), words


def test_input_statistics_are_a_level_line_along_the_depth_of_a_model(tmp_path, make_scan, read_page):
    inputs = make_scan(rows=2, layers=lambda s, n: ("colour", "pixels") if s == "x" else _usual(n))
    page = read_page(
        report(make_scan(layers=lambda s, n: _usual(n), baselines={"inputs x": inputs}), tmp_path / "r.html")
    )
    charts = [a for t, a in page.elements if t == "svg" and "along the depth" in (a.get("aria-label") or "")]
    assert len(charts) == 2
    assert page.text.count("image input statistics (best)") == 1, "along x only; along y it has the layers of y"


def _usual(n):
    return ("embedding", *(f"layer_{i}" for i in range(1, n)))


def test_the_floor_of_sampled_p_values_is_said_where_a_p_stands_on_it(tmp_path, make_alignment, make_scan, read_page):
    alignment = dataclasses.replace(make_alignment(), permutations=99, p_maximum=0.01)
    scan = make_scan()
    scan = type(scan)(scan.x_name, scan.y_name, {alignment.metric: alignment}, 60)
    assert "0.01 is the least that 99 permutations can give" in read_page(report(scan, tmp_path / "a.html")).text
    assert np.isclose(make_scan()["mutual_knn(k=10)"].p_maximum, 1e-3)
    assert "is the least that" not in read_page(report(make_scan(), tmp_path / "b.html")).text  # 1/1000 is above 1/1001
