"""The report of stitches and diagnoses."""

import functools

import numpy as np
import pytest

from isomorph.diagnosis import diagnose
from isomorph.reporting import report as report_with_figures
from isomorph.reporting._charts import Series
from isomorph.reporting._sizes import quadrants, size_chart
from isomorph.reporting._text import number
from isomorph.results import Diagnosis, Finding
from isomorph.scanning import scan
from isomorph.stitching import stitch
from isomorph.store import Layers

report = functools.partial(report_with_figures, figures=False)
N = 60


@pytest.fixture(scope="module")
def sides():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(N, 5))
    ids = [f"item-{i}" for i in range(N)]
    x = {f"x{i}": z @ rng.normal(size=(5, 12)) + s * rng.normal(size=(N, 12)) for i, s in enumerate((3.0, 0.8))}
    y = {"y0": z @ rng.normal(size=(5, 9)) + 0.8 * rng.normal(size=(N, 9))}
    noise = {k: rng.normal(size=v.shape) for k, v in x.items()}
    sides = [Layers.from_arrays(a, ids, encoder=e) for a, e in ((x, "org/vision"), (y, "org/text"), (noise, "twin"))]
    return *sides, np.argmax(z[:, :3], axis=1)


@pytest.fixture(scope="module")
def stitched(sides):
    x, y, noise, labels = sides
    return stitch(x, y, labels=labels, repeats=2, permutations=5, x_baselines={"untrained": noise}, draws=100)


def test_a_stitch_shows_every_score_beside_its_controls_ceilings_and_chance(tmp_path, stitched, make_items, read_page):
    page = read_page(report(stitched, tmp_path / "r.html", items=make_items(N)))
    assert "vision → text: used in its place" in page.text
    for scores in stitched.values():
        for group in (scores.scores, *scores.controls.values(), *scores.ceilings.values()):
            assert number(group["mrr"].value) in page.text
        for name in (*scores.controls, *scores.ceilings):
            assert name in page.text
    assert number(stitched["ridge"]["mrr"].chance) in page.text
    assert "p of the maximum over 2 maps" in page.text
    assert stitched["ridge"].evidence() in page.text


def test_the_cards_and_the_first_figure_of_a_stitch_say_whether_its_maps_are_above_their_controls(tmp_path):
    x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
    quick = {"repeats": 2, "permutations": 5, "draws": 100}
    turned = np.linalg.qr(noise[:8])[0]
    for y, state in (((x + 0.1 * noise) @ turned, "holds"), (noise, "fails")):
        html = report(stitch(x, y, "ridge", **quick), tmp_path / "r.html").read_text(encoding="utf-8")
        assert f'<li class="{state}"><code>ridge</code>' in html
        first = html[html.index('class="figure"') :].partition("</svg>")[0]
        assert "MRR, both ways" in first
        assert "ceiling: self-stitch" in first
        assert ('class="m0 hollow"' in first) == (state == "fails")


def test_examples_show_right_ones_near_misses_and_wrong_ones_with_pictures(tmp_path, stitched, make_items, read_page):
    page = read_page(report(stitched, tmp_path / "r.html", items=make_items(N)))
    verdicts = {v for e in stitched.examples for v in e.verdict}
    kinds = {a.get("aria-label") for a in page.with_class("kind")}
    assert kinds == verdicts >= {"right", "near miss"}
    assert page.with_class("pic")
    assert page.with_class("check")


def test_figures_of_a_stitch_cover_pairs_gallery_and_depth_and_are_written_as_files(tmp_path, stitched):
    report_with_figures(stitched, tmp_path / "r.html", figures=True)
    names = {p.stem for p in (tmp_path / "figures").glob("*.svg")}
    for part in ("pairs-mrr", "pairs-probe", "gallery-x-to-y", "gallery-y-to-x", "depth-x"):
        assert any(name.endswith(part) for name in names), part


def test_a_diagnosis_shows_findings_with_evidence_advice_and_the_quadrants(tmp_path, sides, stitched, read_page):
    x, y, _, _ = sides
    found = diagnose(
        {"l": np.asarray(x["x1"]) + 30}, scan=scan(x, y, "cka", permutations=50, x_name="vision"), stitch=stitched
    )
    page = read_page(report(found, tmp_path / "r.html"))
    assert "anisotropy" in found
    assert "Found:" in page.text
    for finding in found.present:
        assert finding.summary in page.text
        assert finding.advice in page.text
    assert found["rank_collapse"][0].summary in page.text
    assert "Not looked for" in page.text
    assert any("quadrants" not in t and "geometry" in t for t in page.texts)
    assert f"function, {found.quadrant['use']}" in page.text


def test_markup_in_names_is_shown_not_run(tmp_path, read_page):
    nasty = "<script>alert(1)</script>"
    found = Diagnosis(nasty, "", (Finding("hubs", nasty, True, {nasty: nasty}, nasty, nasty),), {"x": nasty})
    page = read_page(report(found, tmp_path / "r.html"))
    assert nasty in page.text
    assert not any("alert(1)" in s for s in page.scripts)


def test_sizes_on_the_axis_do_not_run_into_each_other():
    sizes = [10, 20, 50, 100, 105]
    figure = size_chart("n", "t", "h", [Series("a", sizes, [0.1] * 5)], "pairs")
    assert ">105<" in figure.body
    assert ">100<" not in figure.body


def test_the_quadrant_point_lies_where_geometry_and_function_say():
    low, high = (quadrants("n", "t", v, v, "l").body for v in (0.0, 1.0))
    assert low != high
    assert 'cx="46" cy="236"' in low
    assert 'cx="256" cy="26"' in high
