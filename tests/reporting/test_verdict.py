import dataclasses
import functools
import json

import numpy as np
import pytest

from isomorph.reporting import report as report_with_figures
from isomorph.reporting._section import Context
from isomorph.reporting._text import signed
from isomorph.reporting.sections._verdict import (
    answer,
    baseline_label,
    comparisons,
    in_order,
    map_mark,
    scan_marks,
    side_label,
    summed_up,
)
from isomorph.results import load_result

report = functools.partial(report_with_figures, figures=False)
CONTEXT = Context(pictures=None, short={"bundled:vision": "vision", "org/text": "text"}, given=False)  # type: ignore[arg-type]  # no pictures are asked for
GOOD, NOTHING, WORSE = (0.2, 1e-9), (0.01, 0.4), (-0.1, 1e-4)


def _said(scan):
    return answer(in_order(scan), CONTEXT)


def _both(make_scan, make_alignment, first, second):
    """A scan by two metrics that have been held against a baseline with unlike outcomes."""
    scan = make_scan(specs=("mutual_knn(k=10)",), against={"untrained x": first})
    other = make_alignment("cka", against={"untrained x": second})
    return dataclasses.replace(scan, alignments={**scan.alignments, other.metric: other}, p_maximum=0.01)


def _of(said, words):
    (check,) = (c for c in said.checks if words in c.head)
    return check


def test_a_significant_gain_over_the_untrained_network_is_said_with_its_interval_and_p(make_scan):
    said = _said(make_scan(against={"untrained x": GOOD}))
    assert said.state == "holds"
    assert said.headline == "More alike than chance (a moderate effect) and more than untrained vision."
    chance, check = said.checks
    assert chance.mark == check.mark == "yes"
    assert chance.head == "Above chance by mutual_knn:"
    assert (
        "a moderate effect; p of the maximum over 20 pairs of layers\u00a00.001; at layer_4 × layer_3." in chance.rest
    )
    assert check.head == "More alike than with untrained vision:"
    assert check.rest.replace("\u00a0", " ") == "difference +0.200 (0.160 to 0.240), p 1.0 × 10⁻⁹."


@pytest.mark.parametrize(
    ("tested", "words", "head", "mark"),
    [
        (NOTHING, "but not shown to be more than untrained text", "Not shown to be more alike than with", "open"),
        ((-0.02, 0.3), "but not shown to be more than untrained text", "Not shown to be more alike than", "open"),
        ((0.3, float("nan")), "but not shown to be more than untrained text", "Not shown to be more alike", "open"),
        (WORSE, "but less than untrained text", "Less alike than with", "no"),
    ],
)
def test_what_is_not_significant_is_said_not_to_be_shown_with_its_interval(make_scan, tested, words, head, mark):
    said = _said(make_scan(against={"untrained y": tested}))
    assert said.state == "partly"
    assert words in said.headline
    assert said.headline.startswith("More alike than chance ")
    check = _of(said, "untrained text")
    assert check.mark == mark
    assert check.head.startswith(head)
    assert " to " in check.rest, "the interval"
    assert "no more" not in said.headline + check.head


def test_a_baseline_is_called_equivalent_only_within_a_stated_margin(make_scan):
    def scan(low, high, p=0.4):
        made = make_scan(against={"untrained x": (0.01, p)})
        (alignment,) = made.values()
        tested = {**alignment.against["untrained x"], "margin": 0.05, "margin_low": low, "margin_high": high}
        alignment = dataclasses.replace(alignment, against={"untrained x": tested})
        return dataclasses.replace(made, alignments={alignment.metric: alignment})

    said = _said(scan(-0.02, 0.04))
    assert said.headline.endswith("but equivalent within ±0.05 to untrained vision.")
    assert "90\u00a0% interval −0.020 to 0.040 against ±0.05" in _of(said, "Equivalent").rest
    assert said.state == "partly"
    assert "not shown to be more than untrained vision" in _said(scan(-0.02, 0.06)).headline
    # a difference that is certain and below the margin is no finding either
    assert "equivalent within" in _said(scan(0.005, 0.015, p=1e-9)).headline


def test_baselines_that_are_beaten_do_not_hide_one_that_is_not(make_scan):
    said = _said(make_scan(against={"untrained x": GOOD, "inputs x": WORSE, "untrained y": NOTHING}))
    assert said.headline.endswith(
        " and more than untrained vision, but not shown to be more than untrained text and less than image input "
        "statistics."
    )
    assert sorted(c.mark for c in said.checks) == ["no", "open", "yes", "yes"]
    assert _said(make_scan(against={"a x": GOOD, "b x": GOOD, "c y": GOOD})).headline.endswith(
        "and more than all 3 baselines."
    )


def test_for_a_distance_a_negative_difference_is_a_gain(make_scan):
    scan = make_scan(specs=("procrustes_distance",), chance=0.9, strength=0.5, against={"untrained x": (-0.2, 1e-9)})
    assert _said(scan).state == "holds"
    assert "lower is more alike" in _said(scan).checks[0].rest
    scan = make_scan(specs=("procrustes_distance",), chance=0.9, strength=0.5, against={"untrained x": (0.2, 1e-9)})
    assert "less than untrained vision" in _said(scan).headline


def test_no_claim_about_baselines_is_made_where_chance_is_not_passed(make_scan):
    said = _said(make_scan(strength=0.01, against={"untrained x": GOOD}))
    assert said.state == "fails"
    assert said.headline == "Not shown to be more alike than chance."
    assert [c.mark for c in said.checks] == ["open"]


def test_a_certain_but_tiny_alignment_does_not_read_as_a_finding(make_scan):
    scan = make_scan(strength=0.06)
    (alignment,) = scan.values()
    certain = dataclasses.replace(alignment, p_maximum=1e-12)
    said = _said(dataclasses.replace(scan, alignments={alignment.metric: certain}))
    assert said.headline == "More alike than chance (a tiny effect)."
    assert said.state == "partly"


def test_a_held_out_score_confirms_or_does_not(make_scan):
    said = _said(make_scan(held_out=1e-5))
    assert said.state == "holds"
    check = _of(said, "held-out")
    assert (check.head, check.mark) == ("Confirmed on held-out items:", "yes")
    words = check.rest.replace("\u00a0", " ")
    assert words == (
        "layers chosen on 29 items (layer_3 × layer_1) give 0.234, chance 0.078 (3.0 ×), p 1.0 × 10⁻⁵, on the other 31."
    )
    failed = _said(make_scan(held_out=0.2))
    assert failed.state == "partly"
    assert _of(failed, "held-out").mark == "open"
    assert failed.headline == "More alike than chance (a moderate effect); not confirmed on held-out items."


def test_a_baseline_that_was_not_tested_is_shown_without_a_judgement(make_scan):
    said = _said(make_scan(baselines={"untrained x": make_scan(strength=0.02)}))
    assert said.state == "holds"
    assert "untrained" not in said.headline
    assert _of(said, "untrained").mark == "open"
    assert "chance 0.050; the difference was not tested" in _of(said, "untrained").rest


def test_metrics_that_agree_speak_as_one_and_where_they_part_it_is_said(make_scan, make_alignment):
    same = _said(_both(make_scan, make_alignment, GOOD, GOOD))
    assert same.state == "holds"
    assert same.headline == (
        "More alike than chance by both metrics (a moderate effect) and more than untrained vision."
    )
    assert "Over both metrics and all layers together: p\u00a00.01." in same.joint
    for first, second in ((GOOD, WORSE), (WORSE, GOOD)):  # whichever was listed first
        parted = _said(_both(make_scan, make_alignment, first, second))
        assert parted.state == "partly"
        more, less = ("mutual_knn", "cka") if first == GOOD else ("cka", "mutual_knn")
        assert parted.headline.endswith(f"; the metrics part on untrained vision (more by {more}, less by {less})."), (
            parted.headline
        )
        assert _of(parted, "untrained vision").mark == "part"
    open_ = _said(_both(make_scan, make_alignment, GOOD, NOTHING))
    assert "(more by mutual_knn, not shown to be more by cka)" in open_.headline


def test_the_first_metric_does_not_decide_alone(make_scan, make_alignment):
    strong, weak = make_alignment(strength=0.3), make_alignment("cka", strength=0.01)
    for order in ((strong, weak), (weak, strong)):
        scan = dataclasses.replace(make_scan(), alignments={a.metric: a for a in order}, p_maximum=0.001)
        assert scan.verdict.above == (strong.metric,)
        assert scan.verdict.not_above == (weak.metric,)
        assert scan.verdict.words.startswith(
            "More alike than chance by mutual_knn (a moderate effect), not shown by cka"
        )
        assert _said(scan).state == scan.verdict.state == "partly"
        assert scan.verdict.words in " ".join(repr(scan).split())


def test_all_answers_are_summed_up_in_words(make_scan):
    good, short = _said(make_scan(against={"untrained x": GOOD})), _said(make_scan(against={"untrained x": NOTHING}))
    fails = _said(make_scan(strength=0.01))
    assert summed_up([good]) == ""
    assert summed_up([good, good]) == (
        "All 2 pairs of models are more alike than chance, by all metrics together. All 2 stand by every metric and "
        "against all that they were held against (baselines, held-out items)."
    )
    assert summed_up([good, short, fails]).startswith(
        "2 of the 3 pairs of models are more alike than chance, by all metrics together. 1 of the 2 stands by every"
    )
    assert summed_up([short, fails]).endswith(
        "It does not stand by every metric and against all that it was held against (baselines, held-out items)."
    )
    assert (
        summed_up([fails, fails])
        == "None of the 2 pairs of models are more alike than chance, by all metrics together."
    )


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


def test_a_marker_means_one_thing_whatever_else_is_on_the_page(make_scan):
    twin = make_scan()
    few = make_scan(baselines={"inputs y": twin, "untrained y": twin})
    many = make_scan(baselines=dict.fromkeys(("untrained x", "untrained y", "inputs x", "inputs y", "other x"), twin))
    tops = make_scan(ceilings={"seed x": 0.5, "seed y": 0.5})
    alone, together = scan_marks([few]), scan_marks([many, few, tops])
    assert alone == {k: together[k] for k in alone}
    assert len(set(together.values())) == len(together) == 7
    assert 0 not in together.values(), "that of the score itself"
    assert not {map_mark(k) for k in range(9)} & set(together.values())


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
        "but not shown to be more than untrained vision", "Over both metrics",
        "vision: 2 of 60 items are <b>identical</b>.", "the band is the 95 % interval", "paired jackknife",
        "All 2 pairs of models are more alike than chance, by all metrics together", "first model untrained",
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
