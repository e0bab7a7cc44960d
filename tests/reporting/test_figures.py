import dataclasses
import itertools
import sys
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from isomorph import show_progress
from isomorph.reporting import report
from isomorph.reporting._charts import Row, Series, dot_plot, line_chart
from isomorph.reporting._export import png_obstacle
from isomorph.reporting._heatmap import describe, heatmap, passes

SVG = "{http://www.w3.org/2000/svg}"


def _numbers(root: ET.Element) -> list[str]:
    return [v for e in root.iter() for k, v in e.attrib.items() if k in ("x", "y", "width", "height", "d", "cx", "cy")]


def test_figures_are_written_as_svg_and_png_beside_the_page(tmp_path, make_scan):
    pytest.importorskip("resvg_py")
    if (reason := png_obstacle()) is not None:
        pytest.skip(reason)
    path = report(make_scan(specs=("mutual_knn(k=10)", "cka")), tmp_path / "r.html", figures=True)
    svgs, pngs = (sorted(p.stem for p in (tmp_path / "figures").glob(f"*.{kind}")) for kind in ("svg", "png"))
    assert len(svgs) == 2 + 2 * 3
    assert svgs == pngs
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in (tmp_path / "figures").glob("*.png"))
    assert "8 figures of this page are also in the folder figures as SVG and PNG files" in path.read_text()


def test_without_the_extra_the_page_says_that_there_are_no_png_copies(tmp_path, make_scan, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    path = report(make_scan(), tmp_path / "r.html", figures=True)
    assert {p.suffix for p in (tmp_path / "figures").iterdir()} == {".svg"}
    assert "no PNG copies: they need pip install &#39;isomorph[images]&#39;" in path.read_text()


def test_figures_go_where_they_are_wanted_or_nowhere(tmp_path, make_scan, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    report(make_scan(), tmp_path / "a" / "r.html", figures=tmp_path / "elsewhere")
    assert any((tmp_path / "elsewhere").iterdir())
    for none in ({}, {"figures": False}, {"figures": None}):
        report(make_scan(), tmp_path / "b" / "r.html", **none)
        assert [p.name for p in (tmp_path / "b").iterdir()] == ["r.html"]


def test_pages_and_files_show_their_progress(tmp_path, make_scan, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    seen = []
    with show_progress(lambda done, total: seen.append((done, total))):
        report([make_scan(), make_scan("another")], tmp_path / "r.html", figures=True)
    assert seen[:2] == [(1, 2), (2, 2)]
    files = len(list((tmp_path / "figures").iterdir()))
    assert seen[2:] == [(k + 1, files) for k in range(files)]


@pytest.mark.parametrize("shape", [(1, 1), (2, 30), (31, 13)])
def test_svg_files_are_valid_xml_with_finite_numbers_whatever_the_names(make_alignment, shape):
    bad = '<&"\x00\ud800]]>'
    alignment = make_alignment(
        rows=shape[0], columns=shape[1], layers=lambda s, n: tuple(f"{bad}{i}" for i in range(n))
    )
    root = ET.fromstring(heatmap(alignment, bad, bad, "f").standalone())
    assert root.tag == f"{SVG}svg"
    assert not any("nan" in v or "inf" in v for v in _numbers(root))
    assert len([e for e in root.iter(f"{SVG}path") if e.get("role") == "gridcell"]) == shape[0] * shape[1]
    assert "var(" not in "".join(e.text or "" for e in root.iter(f"{SVG}style"))


def test_every_cell_has_a_title_that_says_everything(make_alignment):
    alignment = make_alignment(interval=True)
    words = describe(alignment, 4, 3, True)
    for part in (
        "layer_4 × layer_3",
        "0.350",
        "chance 0.050 (7.0 ×)",
        "p = ",
        "among all pairs p = ",
        "calibrated 0.300",
    ):
        assert part in words
    assert "95 % interval 0.320 to 0.380" in words
    assert "does not pass" in describe(alignment, 0, 0, False)
    root = ET.fromstring(heatmap(alignment, "x", "y", "f").standalone())
    cells = [e for e in root.iter(f"{SVG}path") if e.get("role") == "gridcell"]
    assert all((c.findtext(f"{SVG}title") or "").count("chance") == 1 for c in cells)


def test_the_input_layer_of_x_is_at_the_bottom_and_of_y_at_the_left(make_alignment):
    root = ET.fromstring(heatmap(make_alignment(), "x", "y", "f").standalone())
    at = {}
    for cell in root.iter(f"{SVG}path"):
        if cell.get("role") == "gridcell":
            x, y = (cell.get("d") or "").split("h")[0][1:].split()
            at[(cell.findtext(f"{SVG}title") or "").split(":")[0]] = float(x), float(y)
    assert at["embedding × embedding"][1] > at["layer_4 × embedding"][1]
    assert at["embedding × embedding"][0] < at["embedding × layer_3"][0]


def test_passing_uses_the_p_adjusted_for_all_pairs_where_there_is_one(make_alignment):
    sampled, alone = make_alignment(), make_alignment(sampled=False)
    np.testing.assert_array_equal(passes(sampled), sampled.p_family <= 0.05)
    np.testing.assert_array_equal(passes(alone), alone.p_value <= 0.05)
    assert passes(sampled).sum() < passes(alone).sum()


def test_the_chance_level_is_marked_on_the_colour_bar_and_best_is_framed(make_alignment):
    figure = heatmap(make_alignment(), "x", "y", "f")
    texts = [e.text for e in ET.fromstring(figure.standalone()).iter(f"{SVG}text")]
    assert "chance 0.050" in texts
    assert any(t and t.startswith("best pair 0.350; p of the maximum") for t in texts)


def test_where_pairs_differ_in_chance_each_cell_has_its_own_and_the_bar_says_the_range(make_alignment):
    made = make_alignment()
    chance = np.linspace(0.02, 0.12, made.values.size).reshape(made.shape)
    figure = heatmap(dataclasses.replace(made, chance=chance), "x", "y", "f").standalone()
    root = ET.fromstring(figure)
    assert "chance 0.020 to 0.120 by pair" in [e.text for e in root.iter(f"{SVG}text")]
    titles = [e.text or "" for e in root.iter(f"{SVG}title")]
    for value in chance.ravel():
        assert any(f"chance {value:.3f}" in t for t in titles)


def test_charts_hold_every_line_with_its_own_mark():
    series = [
        Series("trained", [0, 1], [0.1, 0.4], 0, [False, True], ([0.0, 0.3], [0.2, 0.5])),
        Series("chance", [0, 1], [0.1, 0.1], "chance"),
        Series("untrained <x>", [0, 0.5, 1], [0.1, 0.12, 0.11], 1),
    ]
    root = ET.fromstring(line_chart("f", "title", "heading", series, "depth").standalone())
    texts = [e.text for e in root.iter(f"{SVG}text")]
    assert {"trained", "chance", "untrained <x>"} <= set(texts)
    marks = [e.get("class") for e in root.iter() if (e.get("class") or "").startswith("m")]
    assert marks.count("m0 hollow") == 1
    assert marks.count("m1") == 3 + 1  # three points and the legend


def test_a_chart_of_equal_values_still_has_an_axis():
    figure = dot_plot("f", "t", "h", [Row("a × b", 0.0, 0.0, False)])
    root = ET.fromstring(figure.standalone())
    assert not any("nan" in v for v in _numbers(root))


def test_column_labels_never_run_into_each_other(make_alignment):
    for names in (
        lambda s, n: ("embedding", *(f"layer_{i}" for i in range(1, n))),
        lambda s, n: tuple(f"x{i}" for i in range(n)),
    ):
        figure = heatmap(make_alignment(rows=3, columns=31, layers=names), "x", "y", "f")
        labels = [e for e in ET.fromstring(figure.standalone()).iter(f"{SVG}text") if e.get("class") == "middle soft"]
        at = [(float(e.get("x", "0")), 6.4 * len(e.text or "")) for e in labels]
        assert len(at) > 5
        assert all(b[0] - a[0] >= (a[1] + b[1]) / 2 for a, b in itertools.pairwise(at))


def test_five_baselines_are_told_apart_by_shape():
    rows = [Row("a × b", 0.5, 0.1, True, [(f"baseline {k}", 0.2 + k / 50) for k in range(5)])]
    root = ET.fromstring(dot_plot("f", "t", "h", rows).standalone())
    marks = {e.get("class") for e in root.iter() if (e.get("class") or "").startswith("m")}
    assert {"m0", "m1", "m2", "m3", "m4", "m5"} <= marks


def test_layers_without_an_interval_part_the_band_and_have_none_in_their_words(make_scan):
    whole = make_scan(specs=("cka",), interval=True)["cka"]
    interval = whole.interval.copy()
    interval[1, :] = interval[3:, :] = np.nan  # of five layers of x the first and the third keep theirs
    found = dataclasses.replace(whole, interval=interval)
    assert "interval" in describe(whole, 1, 0, True)
    assert "interval" in describe(found, 0, 0, True)
    assert "interval" not in describe(found, 1, 0, True)
    values = found.values[:, 0].tolist()
    low, high = (found.interval[:, 0, k].tolist() for k in (0, 1))
    series = Series("cka", np.linspace(0, 1, 5).tolist(), values, band=(low, high))
    drawn = line_chart("name", "title", "heading", [series], "depth").body
    assert "nan" not in drawn
    assert drawn.count('class="whisker"') == 2, "two layers by themselves"
    interval[3:, :] = whole.interval[3:, :]
    low, high = (interval[:, 0, k].tolist() for k in (0, 1))
    drawn = line_chart("name", "title", "heading", [dataclasses.replace(series, band=(low, high))], "depth").body
    assert (drawn.count('class="band"'), drawn.count('class="whisker"')) == (1, 1)
