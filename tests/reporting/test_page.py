import functools
import html
import itertools
import json
import re
import sys

import numpy as np
import pytest
from scipy import stats

from isomorph.errors import InputError, MissingExtraError
from isomorph.reporting import report as report_with_figures
from isomorph.reporting._text import number, p_text
from isomorph.results import Neighborhoods, Scan
from isomorph.stitching import stitch

report = functools.partial(report_with_figures, figures=False)  # figures have their own tests
NASTY = '<script>alert("x")</script><img src=x onerror=alert(1)>&"\'\x00\ud800'


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path, make_scan, make_items, make_neighborhoods, read_page):
    items = make_items()
    path = report(make_scan(neighborhoods=make_neighborhoods(items.ids)), tmp_path / "r.html", items=items)
    page = read_page(path)
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:")), target
    style_and_script = "".join(page.scripts)
    assert "@import" not in style_and_script
    assert set(re.findall(r"https?://[\w./]+", style_and_script)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"url\((?!#)", path.read_text())
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(", style_and_script)


def test_pairs_stand_in_the_first_figures_in_the_order_of_their_scores_by_the_first_metric(tmp_path, make_scan):
    specs = ("mutual_knn(k=10)", "cka")
    scans = [make_scan(f"org/{name}", specs=specs, strength=s) for name, s in (("a", 0.1), ("b", 0.4), ("c", 0.2))]
    scans.append(make_scan("org/d", specs=specs[1:], strength=0.9))  # not asked by the first metric: last
    text = report(scans, tmp_path / "r.html").read_text(encoding="utf-8")
    figures = [re.findall(r'data-pair="([^"]+)"', svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    first, second = (list(dict.fromkeys(pairs)) for pairs in [f for f in figures if f][:2])
    assert first == ["pair-2", "pair-3", "pair-1"]
    assert second == [*first, "pair-4"]


def test_every_alignment_and_every_baseline_is_shown(tmp_path, make_scan, read_page):
    specs = ("mutual_knn(k=10)", "cka", "rsa")
    twins = {"untrained x": make_scan("bundled:vision?init=random", specs=specs, strength=0.05)}
    scans = [make_scan(specs=specs, baselines=twins), make_scan("bundled:speech", specs=specs, rows=3)]
    page = read_page(report(scans, tmp_path / "r.html"))
    grids = [a for t, a in page.elements if t == "g" and a.get("role") == "grid"]
    cells = [a for _, a in page.elements if a.get("role") == "gridcell"]
    assert len(grids) == 6
    assert len(cells) == 3 * 5 * 4 + 3 * 3 * 4
    for scan, spec in itertools.product(scans, specs):
        best = scan[spec].best()
        assert f"{best.x_layer} × {best.y_layer}: {number(best.value)}, chance {number(best.chance)}" in page.text
    for alignment in twins["untrained x"].values():
        assert number(alignment.best().value) in page.text
    assert "untrained x" in page.text


def test_the_answer_gives_score_chance_and_the_p_of_the_maximum(tmp_path, make_scan, read_page):
    page = read_page(report(make_scan(), tmp_path / "r.html"))
    assert "More alike than chance (a moderate effect)." in page.text
    assert re.search(
        r"mutual_knn: 0\.350, chance 0\.050 \(7\.0.×\), a moderate effect; p of the maximum over 20 pairs", page.text
    )
    assert "n = 60" in page.text
    assert "permutations = 1,000" in page.text


def test_a_held_out_score_stands_in_the_first_figure_with_a_chance_of_its_own(tmp_path, make_scan, read_page):
    scans = [make_scan(held_out=0.01), make_scan("bundled:speech")]
    page = read_page(report(scans, tmp_path / "r.html"))
    held = scans[0]["mutual_knn(k=10)"].held_out
    said = f"held out {number(held['value'])}, chance {number(held['chance'])}"
    assert said in page.text
    first = (tmp_path / "r.html").read_text().split("<svg", 2)[1].split("</svg>")[0]
    assert first.count(f">{said}</text>") == 1  # the pair without one has none


def test_what_does_not_pass_is_said_and_hatched(tmp_path, make_scan, read_page):
    page = read_page(report(make_scan(strength=0.01), tmp_path / "r.html"))
    assert "Not shown to be more alike than chance" in page.text
    assert "not passing" in page.text
    assert "does not pass" in page.text
    assert any(t == "pattern" for t, _ in page.elements)
    assert "More alike than chance" not in page.text


def test_a_single_pair_of_layers_is_drawn_in_its_null_distribution(tmp_path, make_scan, read_page):
    pages = [
        read_page(report(make_scan(rows=1, columns=1, permuted=permuted, interval=True), tmp_path / "r.html"))
        for permuted in (True, False)
    ]
    sampled, exact = ([a.get("aria-label") or "" for t, a in page.elements if t == "svg"] for page in pages)
    assert any("with items paired at random 95\u00a0% below 0.072" in label for label in sampled)
    assert "items paired at random, mean 0.061" in pages[0].text
    assert not any("paired at random" in label for label in exact)
    for page in pages:
        assert "embedding × embedding: 0.065, chance 0.050" in page.text
        assert not any(a.get("role") == "grid" for _, a in page.elements)


def test_what_passes_everywhere_is_not_hatched(tmp_path, make_scan, read_page):
    page = read_page(report(make_scan(strength=9, rows=2, columns=1), tmp_path / "r.html"))
    assert "hatched:" not in page.text
    assert not any(t == "pattern" for t, _ in page.elements)


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("interval", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (31, 13)])
def test_any_shape_with_or_without_sampled_permutations_can_be_shown(
    tmp_path, make_scan, read_page, shape, sampled, interval
):
    scan = make_scan(rows=shape[0], columns=shape[1], sampled=sampled, interval=interval)
    page = read_page(report(scan, tmp_path / "r.html"))
    cells = sum(a.get("role") == "gridcell" for _, a in page.elements)
    assert cells == (0 if shape == (1, 1) else shape[0] * shape[1])  # a single pair is drawn in its null distribution
    assert ("calibrated" in page.text) is sampled
    assert ("interval" in page.text) is interval
    charts = [a for t, a in page.elements if t == "svg" and "along the depth" in (a.get("aria-label") or "")]
    assert len(charts) == sum(side > 1 for side in shape)


def test_negative_scores_and_negative_chance_are_shown_with_a_minus(tmp_path, make_scan, read_page):
    page = read_page(report(make_scan(specs=("cka",), strength=-0.2, chance=-0.01), tmp_path / "r.html"))
    assert "−0.020" in page.text
    assert "nan" not in page.text.lower()


def test_for_a_distance_the_lowest_is_best_and_bright(tmp_path, make_scan, read_page):
    scan = make_scan(specs=("procrustes_distance",), chance=0.9, strength=0.5)
    page = read_page(report(scan, tmp_path / "r.html"))
    assert "lower is more alike" in page.text
    cells = [a["fill"] for _, a in page.elements if a.get("role") == "gridcell"]
    assert cells[-1] == "#f9f255"  # the last row and column hold the smallest distance
    assert cells[-1] != cells[0]


def test_html_in_names_ids_layers_texts_and_settings_is_shown_not_run(tmp_path, make_scan, make_items, read_page):
    ids = tuple(f"{NASTY[:-2]}{i}" for i in range(5))  # no item has an id that files cannot hold
    items = make_items(ids=ids, texts=tuple(f"{NASTY} text {i}" for i in range(5)))
    near = Neighborhoods(NASTY, NASTY, 1, ids[:2], (1.0, 0.0), ((ids[1],), (ids[2],)), ((ids[1],), (ids[3],)))
    scan = make_scan(
        NASTY, NASTY + "y", neighborhoods=near, layers=lambda s, n: tuple(f"{NASTY}{s}{i}" for i in range(n))
    )
    scan = Scan(scan.x_name, scan.y_name, scan.alignments, 60, x_view=NASTY, dataset=NASTY, neighborhoods=near,
                baselines={NASTY: scan}, provenance={NASTY: {NASTY: NASTY}})  # fmt: skip
    path = report([scan], tmp_path / "r.html", items=items, title=NASTY, study={"toml": NASTY, NASTY: [NASTY]})
    page = read_page(path)
    assert not any("onerror" in a for _, a in page.elements)
    assert not any(t == "img" for t, _ in page.elements)
    assert sum(t == "script" for t, _ in page.elements) == 3  # the page's own: code, summary, alignments
    assert '<script>alert("x")</script>' in page.text
    assert "\x00" not in path.read_text(encoding="utf-8")
    data = json.loads(next(s for s in page.scripts if '"x_layers"' in s))
    assert data[0]["x_layers"][0].startswith('<script>alert("x")')


def test_without_items_neighbourhoods_show_ids_and_say_so(
    tmp_path, make_scan, make_items, make_neighborhoods, read_page
):
    ids = make_items().ids
    page = read_page(report(make_scan(neighborhoods=make_neighborhoods(ids)), tmp_path / "r.html"))
    assert "item-3" in page.text
    assert "shown by their ids" in page.text
    assert not page.with_class("pic")


def test_items_are_shown_by_picture_and_text_with_common_neighbours_marked(
    tmp_path, make_scan, make_items, make_neighborhoods, read_page
):
    items = make_items()
    page = read_page(report(make_scan(neighborhoods=make_neighborhoods(items.ids)), tmp_path / "r.html", items=items))
    assert len(page.with_class("pic")) == 3 + 3 * 2 * 2
    assert len([a for t, a in page.elements if t == "symbol"]) == 5, "each picture is stored once"
    assert "2 of 2 shared" in page.text
    assert "a text of thing 1" in page.text
    assert len(page.with_class("common")) == len(page.with_class("check")) == 2 * 2 + 1 * 2
    assert "Seen alike" in page.text
    assert "Seen differently" in page.text


def test_items_that_were_not_given_are_counted(tmp_path, make_scan, make_items, make_neighborhoods, read_page):
    ids = (*make_items().ids[:4], "stranger")
    page = read_page(report(make_scan(neighborhoods=make_neighborhoods(ids)), tmp_path / "r.html", items=make_items()))
    assert "1 of these items are not among the items given" in page.text
    assert "stranger" in page.text


def test_settings_and_the_way_to_make_it_again_are_shown(tmp_path, make_scan, read_page):
    scan = make_scan(provenance={"x": {"pooling": "mean"}, "seeds": [1, 2]}, dataset="emoji(n=60)")
    study = {"command": "isomorph run a.toml", "toml": 'name = "<b>"', "threads": 2}
    page = read_page(report(scan, tmp_path / "r.html", study=study))
    for words in ("isomorph run a.toml", 'name = "<b>"', "threads", "x.pooling", "mean", "1, 2", "emoji(n=60)"):
        assert words in page.text
    assert "similarity='cosine'" in page.text, "the full variant of the metric"


def test_the_numbers_of_every_pair_are_in_the_page(tmp_path, make_scan, read_page):
    scan = make_scan(sampled=False)
    page = read_page(report(scan, tmp_path / "r.html"))
    data = json.loads(next(s for s in page.scripts if '"x_layers"' in s))[0]
    np.testing.assert_allclose(data["values"], scan["mutual_knn(k=10)"].values, rtol=1e-5)
    assert data["p_family"] is None
    header, row = json.loads(next(s for s in page.scripts if s.startswith('[["x"')))
    assert dict(zip(header, row, strict=True))["score"] == pytest.approx(0.35)


def test_saved_results_and_results_in_memory_give_the_same_page(tmp_path, make_scan):
    scan = make_scan(baselines={"untrained": make_scan()})
    a = report(scan, tmp_path / "a.html").read_bytes()
    b = report([scan.save(tmp_path / "s.json")], tmp_path / "b.html").read_bytes()
    c = report(str(tmp_path / "s.json"), tmp_path / "c.html").read_bytes()
    assert a == b == c


def test_links_within_the_page_lead_somewhere(tmp_path, make_scan, read_page):
    page = read_page(report([make_scan(), make_scan("other")], tmp_path / "r.html"))
    ids = [a["id"] for _, a in page.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for _, a in page.elements if (a.get("href") or "").startswith("#")}
    assert targets <= set(ids)


def test_one_cell_of_each_heat_map_can_be_reached_by_tab(tmp_path, make_scan, read_page):
    page = read_page(report(make_scan(specs=("mutual_knn(k=10)", "cka")), tmp_path / "r.html"))
    cells = [a for _, a in page.elements if a.get("role") == "gridcell"]
    assert sum(a["tabindex"] == "0" for a in cells) == 2
    assert all(a.get("aria-live") == "polite" for a in page.with_class("readout"))


def test_a_page_of_thirty_one_by_thirteen_layers_stays_small(tmp_path, make_scan):
    specs = ("mutual_knn(k=10)", "cka", "rsa", "svcca", "procrustes")
    path = report([make_scan(f"m{i}", rows=31, columns=13, specs=specs) for i in range(3)], tmp_path / "r.html")
    assert path.stat().st_size < 3_000_000


@pytest.mark.parametrize("results", [[], 3, None, [3], "nowhere.json", {"a": 1}])
def test_results_that_cannot_be_shown_are_refused_and_nothing_is_written(tmp_path, monkeypatch, results):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        report(results, "r.html")
    assert list(tmp_path.iterdir()) == []


def test_a_result_without_a_section_is_refused_by_name(tmp_path, make_alignment):
    with pytest.raises(InputError, match=r"Alignment by itself; it shows: .*\bscan\b"):
        report(make_alignment(), tmp_path / "r.html")


def test_a_folder_in_place_of_a_page_is_refused(tmp_path, make_scan):
    with pytest.raises(InputError, match="is a folder"):
        report(make_scan(), tmp_path)


def test_a_page_that_cannot_be_written_is_an_error_that_names_it(tmp_path, make_scan):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        report(make_scan(), tmp_path / "file" / "r.html")


def test_pictures_without_pillow_name_the_extra(tmp_path, make_scan, make_items, make_neighborhoods, monkeypatch):
    items = make_items()
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"isomorph\[data\]"):
        report(make_scan(neighborhoods=make_neighborhoods(items.ids)), tmp_path / "r.html", items=items)
    assert list(tmp_path.iterdir()) == []


def test_the_title_names_the_models_and_can_be_chosen(tmp_path, make_scan, read_page):
    page = read_page(report(make_scan(), tmp_path / "a.html"))
    assert "How alike are vision and text?" in page.text
    many = [make_scan(f"m{i}", f"n{i}") for i in range(3)]
    assert "How alike are 6 representation spaces?" in read_page(report(many, tmp_path / "b.html")).text
    assert "Mine" in read_page(report(many, tmp_path / "c.html", title="Mine")).text


def test_items_that_are_each_others_neighbours_in_both_models_are_not_all_shown(tmp_path, make_scan, read_page):
    clocks = tuple(f"clock-{i}" for i in range(5))
    alike = (*clocks, "heart", "star", "flower")
    apart = tuple(f"odd-{i}" for i in range(8))
    near = tuple(tuple(c for c in clocks if c != i)[:4] if i in clocks else ("p", "q", "r", "s") for i in alike)
    ids, overlap = (*alike, *apart), (1.0,) * 8 + (0.0,) * 8
    found = Neighborhoods(
        "layer_4", "layer_3", 4, ids, overlap, (*near, *(("a",) * 4,) * 8), (*near, *(("b",) * 4,) * 8)
    )
    page = read_page(report(make_scan(neighborhoods=found), tmp_path / "r.html"))
    shown = [a["title"] for a in page.with_class("name")]
    assert shown == ["clock-0", "heart", "star", "flower", "odd-7", "odd-6", "odd-5", "odd-4"]
    assert "8 of the 16 listed items are shown, chosen to differ." in page.text


def test_ceilings_stand_beside_the_score_with_the_share_that_it_reaches(tmp_path, make_scan, read_page):
    scan = make_scan(ceilings={"other seed x": 0.424, "weak y": None})
    page = read_page(report(scan, tmp_path / "r.html"))
    assert "Beside the ceilings" in page.text
    assert "vision × another mutual_knn(k=10) 0.777 0.045 0.0012 layer_2 × layer_3 42 %" in page.text
    assert "From chance it goes 42 % of the way to vision × another (0.777)." in page.text
    header, row = json.loads(next(s for s in page.scripts if s.startswith('[["x"')))
    found = dict(zip(header, row, strict=True))
    assert found["ceiling other seed x share"] == pytest.approx(0.424)
    assert found["ceiling weak y share"] is None
    assert "Beside the ceilings" not in read_page(report(make_scan(), tmp_path / "s.html")).text


def test_permuted_pairs_are_a_row_of_the_baselines(tmp_path, make_scan, read_page):
    page = read_page(report(make_scan(permuted=True), tmp_path / "r.html"))
    assert "permuted pairs mutual_knn(k=10) 0.061 – best of all; 95 % below 0.072 +0.289" in page.text
    page = read_page(report(make_scan(permuted=True, strength=0.001), tmp_path / "s.html"))
    assert "not shown" in page.text


def test_the_summary_gives_the_p_of_the_pair_beside_that_of_the_maximum(tmp_path, make_scan, read_page):
    scan = make_scan(interval=True)
    best = scan["mutual_knn(k=10)"].best()
    page = read_page(report(scan, tmp_path / "r.html"))
    row = f"{number(best.value)} 0.320 to 0.380 0.050 7.0 × {number(best.calibrated)} {p_text(best.p_value)}"
    assert f"{row} {p_text(best.p_maximum)} layer_4 × layer_3" in page.text


def test_many_tests_are_adjusted_for_their_number(tmp_path, make_scan, read_page):
    weak = {"strength": 1.4, "rows": 1, "columns": 1}  # p = 0.04 a pair
    scans = [make_scan(f"m{k}", specs=("cka", "mutual_knn(k=10)"), **weak) for k in range(2)]
    p = scans[0]["cka"].p_maximum
    assert 0.03 < p < 0.05
    page = read_page(report([*scans, make_scan("m9", specs=("cka",), strength=0)], tmp_path / "r.html"))
    assert "All 5 tests together" in page.text
    assert "Of 5 best scores, 4 pass by themselves." in page.text
    q = stats.false_discovery_control([p] * 4 + [1.0])
    assert f"{sum(q <= 0.05)} pass (Benjamini-Hochberg), and 0 under any dependence" in page.text
    table = json.loads(next(s for s in page.scripts if s.startswith('[["x"')))
    assert table[1][table[0].index("q_benjamini_hochberg")] == pytest.approx(q[0])
    assert "tests together" not in read_page(report(make_scan(), tmp_path / "s.html")).text


def test_how_items_were_permuted_is_said(tmp_path, make_scan, read_page):
    page = read_page(report(make_scan(design="permuted within labels (4 labels)"), tmp_path / "r.html"))
    assert "items permuted within labels (4 labels)" in page.text
    assert "permuted freely" in read_page(report(make_scan(), tmp_path / "s.html")).text


def test_the_score_against_the_number_of_items_is_drawn_beside_the_ceilings(tmp_path, make_scan, read_page):
    scan = make_scan(gallery=(20, 40, 60), ceilings={"other seed x": 0.5})
    page = read_page(report(scan, tmp_path / "r.html"))
    (chart,) = [a for t, a in page.elements if t == "svg" and "20 items" in (a.get("aria-label") or "")]
    assert "best pair: 20 items 0.400" in chart["aria-label"]
    assert "ceiling: vision × another: 20 items" in chart["aria-label"]
    assert "chance: 20 items 0.100, 40 items 0.075" in chart["aria-label"]
    assert "one standard deviation" in page.text
    alone = read_page(report(make_scan(gallery=(60,)), tmp_path / "s.html"))
    assert not any("60 items" in (a.get("aria-label") or "") for t, a in alone.elements if t == "svg")


def test_a_notebook_shows_a_result_in_a_frame_of_its_own_and_what_no_page_draws_as_text(make_scan):
    scan = make_scan()
    shown = scan._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert shown.count('"') == 6  # nothing of the page ends the attribute that holds it
    page = html.unescape(re.search(r'srcdoc="([^"]*)"', shown)[1])
    assert page.lstrip().startswith("<!DOCTYPE html>")
    assert "More alike than chance" in page
    assert next(iter(scan.values()))._repr_html_() is None


def test_the_picture_of_all_pairs_comes_first_in_whatever_order_results_are_given(tmp_path, make_scan, read_page):
    x, noise = np.random.default_rng(0).normal(size=(2, 40, 4))
    other = stitch(x, x + noise, "ridge", repeats=1, permutations=1, draws=100, curves=False)
    page = read_page(report([other, make_scan(specs=("cka(estimator='unbiased')",))], tmp_path / "r.html"))
    assert page.text.index("at which layers") < page.text.index("can one space be used in place of another")
