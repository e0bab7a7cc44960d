"""What the page says of a fusion: spaces, heads and controls side by side, and no more than was shown."""

import dataclasses
import json
import re

import numpy as np
import pytest
from PIL import Image

import isomorph as iso
from isomorph.reporting._pictures import Pictures
from isomorph.reporting._section import Context
from isomorph.reporting.sections.fusion import FusionSection
from isomorph.results import Condition, Conflict, Gain, Margin


def block(*results, items=None):
    shown = FusionSection().show(results, Context(Pictures(items), {"bundled:enc-x": "enc-x"}, given=items is not None))
    return shown.blocks[0]


def words(html):
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", str(html)))


def rows(html):
    found = re.findall(r"<tr>(.*?)</tr>", str(html), re.DOTALL)
    return [[re.sub("<[^>]*>", "", c) for c in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)] for row in found]


@pytest.fixture(scope="module")
def fusion():
    rng = np.random.default_rng(0)
    x, y, twin = rng.normal(size=(3, 150, 3))
    classes = np.where(x[:, 0] + y[:, 0] > 0, "dog", "cat")
    ids = [f"i{k}" for k in range(150)]
    spaces = {
        "image": iso.Layers.from_arrays({"last": x}, ids, encoder="bundled:enc-x"),
        "text": iso.Layers.from_arrays({"last": y}, ids, encoder="enc-y"),
    }
    twin = iso.Layers.from_arrays({"last": twin}, ids, encoder="untrained enc")
    heads = ["concat", "late"]
    return iso.fuse(
        spaces, list(classes), heads=heads, repeats=3, draws=100, baselines={"image": twin}, target_name="pet"
    )


def test_one_dot_plot_holds_spaces_heads_and_controls_with_chance_and_intervals(fusion):
    scores, missing, calibration = block(fusion).figures
    drawn = scores.standalone()
    told = ("image", "text", "concat", "late", "chance", "interval", "permuted", "random", "twice", "untrained")
    assert all(f">{word}<" in drawn for word in told)
    assert drawn.count('class="whisker"') == 2 + 2 + 1  # spaces, heads, the legend
    assert f"concat {fusion['concat'].score.value:.3f}" in scores.title
    assert all(f">{word}<" in missing.standalone() for word in ("all views whole", "without image", "text with noise"))
    assert "stated = actual" in calibration.standalone()


def test_a_control_has_one_marker_whichever_space_it_is_of(fusion):
    drawn = block(fusion).figures[0].standalone()
    marks = {kind: len(re.findall(rf'class="m{style}"', drawn)) for kind, style in (("permuted", 5), ("twice", 14))}
    assert marks == {"permuted": 2 * 2 + 1, "twice": 2 * 2 + 1}  # of two heads and two spaces, and in the legend
    assert len(re.findall(r'class="m1"', drawn)) == 2 + 1  # untrained, as on every page


def test_the_answers_come_first_and_are_the_result_s_own(fusion):
    html = block(fusion).html
    text = words(html)
    assert str(html).index(fusion.verdict) < str(html).index("<table")
    best = fusion.heads[fusion.best().head]
    assert "is better than the best single space" in text
    assert f"{best.dominance.conflicts:,} conflicts" in text
    bits = fusion.interaction
    assert f"{bits.total.value:.3f} bits an item by {bits.head}" in text
    worst = min(best.missing.values(), key=lambda s: s.value)
    assert f"in place of {best.score.value:.3f}" in text
    assert f"{worst.value:.3f} (" in text
    table = rows(html)
    contribution = best.contributions["image"]
    assert any(row[:2] == [best.head, "image"] and f"+{contribution.value:.3f}" in row[2] for row in table)
    assert any(row[0] == "image untrained (untrained enc)" for row in table)
    assert "image: enc-x, layer last, 3 features" in text


def test_what_is_not_shown_is_not_said(fusion):
    best = fusion.heads[fusion.best().head]
    doubtful = dataclasses.replace(
        best, gain=Gain(0.05, -0.02, 0.1, 0.2), margins=dict.fromkeys(best.margins, Margin(0.01, -0.1, 0.1))
    )
    found = dataclasses.replace(fusion, heads={best.head: doubtful})
    text = words(block(found).html)
    assert "is not shown to be better than the best single space" in text
    assert "is not above its controls" in text
    assert "No space is shown to be needed." in text
    assert " is better than" not in text
    even = dataclasses.replace(best, dominance=dataclasses.replace(best.dominance, low=-0.1))
    text = words(block(dataclasses.replace(fusion, heads={best.head: even})).html)
    assert "it is not shown to follow one space more than the rest" in text
    bare = dataclasses.replace(best, controls={}, margins={}, dominance=None, missing={}, calibration=None, by_class={})
    made = block(dataclasses.replace(fusion, heads={best.head: bare}, interactions={}, conflicts=()))
    assert "Not known: no control was fitted." in words(made.html)
    assert "There are no conflicts" in words(made.html)
    assert len(made.figures) == 1
    assert "Where the spaces disagree </h3>" not in made.html


def test_conflicts_are_shown_with_their_pictures_and_what_each_says(fusion):
    pictures = [Image.new("RGB", (8, 8), (k, 0, 0)) for k in range(150)]
    items = iso.PairedItems(
        "pets", tuple(f"i{k}" for k in range(150)),
        {"image": [np.asarray(p) for p in pictures], "text": [f"pet {k}" for k in range(150)]},
    )  # fmt: skip
    conflicts = tuple(
        Conflict(f"i{k}", "dog", {"image": "dog", "text": "cat"}, {"concat": said, "late": said})
        for k, said in enumerate(["dog"] * 9 + ["cat"] * 2)
    )
    html = str(block(dataclasses.replace(fusion, conflicts=conflicts), items=items).html)
    assert html.count("<article") == 6 + 2  # at most six of a kind
    assert html.count('<use href="#i') == 8
    assert "pet 0" in html
    assert html.count('aria-label="right"') == 6 * 2 + 2
    assert words(html).count(f"{fusion.best().head} is wrong") == 1
    plain = str(block(dataclasses.replace(fusion, conflicts=conflicts)).html)
    assert "<use" not in plain
    assert "i0" in plain


def test_a_page_of_fusions_alone_asks_its_own_question(fusion, tmp_path):
    page = iso.report(fusion, to=tmp_path / "f.html", figures=False).read_text()
    assert "What do enc-x and enc-y tell together?</h1>" in page
    x = np.random.default_rng(0).normal(size=(20, 2))
    scan = iso.scan(x, x, "cka", permutations=19, x_name="enc-x", y_name="other")
    page = iso.report([scan, fusion], to=tmp_path / "f.html", figures=False).read_text()
    assert "How alike are" in re.search(r"<h1.*?</h1>", page)[0]


def test_all_scores_are_there_for_download_in_one_table(fusion):
    data = json.loads(re.search(r"summary-data\">(.*?)</script>", str(block(fusion).html), re.DOTALL)[1])
    assert len(data) == 1 + len(fusion.to_records())
    assert len({len(row) for row in data}) == 1
    assert data[0][:5] == ["target", "score", "n", "what", "name"]


def test_numbers_and_rows_have_a_page_without_what_they_do_not_hold():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 60, 3))
    few = {"heads": ["concat"], "repeats": 2, "draws": 100, "controls": False}
    numbers = iso.fuse({"x": x, "y": y}, x[:, :1] + y[:, :1], target_kind="numbers", **few)
    found = iso.fuse({"x": x, "y": y}, np.c_[x[:, :2], y[:, :2]], target_kind="rows", **few)
    made = FusionSection().show([numbers, found], Context(Pictures(None), {}, given=False)).blocks
    assert "R² of spaces and heads" in made[0].figures[0].standalone()
    assert "MRR of spaces and heads" in made[1].figures[0].standalone()
    assert [b.anchor for b in made] == ["fusion-1", "fusion-2"]
    assert all("Calibration" not in f.title for b in made for f in b.figures)


def test_a_user_s_condition_is_named_by_what_was_given(fusion):
    named = dataclasses.replace(fusion, conditions=(Condition("control", "image untrained", given="<b>"),))
    assert "image untrained (&lt;b&gt;)" in str(block(named).html)


def test_layers_chosen_together_are_said(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(2, 120, 4))
    spaces, number = {"a": {"one": y, "two": x}, "b": {"one": x, "two": y}}, x[:, 0] + y[:, 0]
    settings = {"heads": "concat", "controls": False, "repeats": 2, "show": False}
    page = tmp_path / "page.html"
    together = iso.report(iso.fuse(spaces, number, layers="together", **settings), to=page).read_text()
    assert "Heads read the layers that tell most together: a " in together
    assert "Of 4 pairs of layers" in together
    assert "Heads read" not in iso.report(iso.fuse(spaces, number, **settings), to=page).read_text()
