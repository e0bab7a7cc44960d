"""What the page says of an atlas: models against models, ladders beside their twins, and every question answered."""

import dataclasses
import html
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

import isomorph as iso
from isomorph.reporting._block_maps import AT_ONCE
from isomorph.reporting._block_maps import describe as describe_blocks
from isomorph.reporting._color import scale
from isomorph.reporting._model_map import describe
from isomorph.reporting._pictures import Pictures
from isomorph.reporting._section import Context
from isomorph.reporting._svg import text_width
from isomorph.reporting._text import number
from isomorph.reporting.sections._atlas_figures import size
from isomorph.reporting.sections.atlas import AtlasSection

N = 90
GROWN = ("s", "m", "l", "xl")
NAMES = (*GROWN, "text", "odd", "old")
QUESTIONS = [
    {"ask": "trend", "attribute": "parameters", "reference": "text", "models": GROWN},
    {"ask": "trend", "attribute": "parameters", "reference": "text", "within": "family"},
    {"ask": "threshold", "attribute": "parameters", "reference": "text", "models": GROWN},
    {"ask": "divergence", "specialists": ["odd", "old"], "pool": GROWN},
    {"ask": "factors", "factors": ["log parameters"]},
]


@pytest.fixture(scope="module")
def atlas():
    rng = np.random.default_rng(0)
    z, ids = rng.normal(size=(N, 5)), [f"i{k}" for k in range(N)]

    def model(name, noise, depth=3):
        layers = {f"block_{k}": z * (k + 1) / depth + noise * rng.normal(size=z.shape) for k in range(depth)}
        return iso.Layers.from_arrays(layers, ids, encoder=name, modality="text" if name == "text" else "image")

    noises = dict(zip(NAMES, (3.0, 1.5, 0.8, 0.4, 0.2, 40.0, 20.0), strict=True))
    models = {name: model(name, noise, 2 + k) for k, (name, noise) in enumerate(noises.items())}
    twins = {name: model(f"{name}0", 60.0, len(models[name])) for name in NAMES if name != "text"}
    sizes = dict(zip(NAMES, (1e6, 2e6, 4e6, 8e6, 3e6, 5e5, 1.5e9), strict=True))
    attributes = {"parameters": sizes, "family": {**dict.fromkeys(GROWN, "grown"), "odd": "strange", "old": "strange"},
                  "confounds": dict.fromkeys(GROWN, "their data")}  # fmt: skip
    return iso.atlas(models, ["cka", "mutual_knn(k=5)"], attributes=attributes, baselines=twins, questions=QUESTIONS,
                     permutations=99, splits=2)  # fmt: skip


@pytest.fixture(scope="module")
def block(atlas):
    return show(atlas)


def show(*results):
    return AtlasSection().show(results, Context(Pictures(None), {}, given=False)).blocks[0]


def words(markup):
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", str(markup)))


def figure(block, name):
    (found,) = [f for f in block.figures if f.name == name]
    return found


def elements(found, tag, **attributes):
    root = ElementTree.fromstring(found.standalone())
    wanted = {k.rstrip("_"): v for k, v in attributes.items()}
    every = [e for e in root.iter() if e.tag.endswith(f"}}{tag}")]
    return [e for e in every if all(e.get(k) == v for k, v in wanted.items())]


def test_every_answer_is_on_the_page_in_its_own_words(atlas, block):
    text = html.unescape(words(block.html))
    for answer in atlas.answers:
        assert answer.found is not None, answer.lacking
        told = re.sub(r"\s+", " ", answer.told)
        assert told in text, answer.asked
    assert text.count("Trend by parameters of s, m, l, xl, to text") == 1  # once, whatever the number of metrics
    assert text.index(atlas.verdict) < text.index("Slopes: every trend")
    assert "7 models on 90 items" in text
    assert "99 re-pairings" in text


def test_a_question_without_an_answer_says_why_and_the_rest_stands(atlas):
    lost = ({"ask": "trend", "attribute": "parameters", "reference": "text", "models": ("s",)}, QUESTIONS[2])
    made = show(dataclasses.replace(atlas, questions=lost))
    text = words(made.html)
    assert "needs at least two models" in text
    assert "lies above untrained twins" in text
    assert not [f for f in made.figures if "trend" in f.name]


def test_the_map_has_a_cell_for_every_pair_in_the_order_of_the_tree(atlas, block):
    alignment = atlas["cka"]
    found = figure(block, "atlas-01-01-models")
    cells = elements(found, "path", role="gridcell")
    assert len(cells) == len(NAMES) ** 2
    assert len(elements(found, "path", class_="blank")) == len(NAMES)  # the diagonal
    order = atlas.tree(metric="cka").order
    titles = [c.find("{*}title").text for c in cells]
    assert titles[-len(NAMES)] == f"{atlas.models[order[0]]} with itself"  # the last row drawn is the uppermost
    i, j = order[0], order[1]
    assert titles[1 - len(NAMES)] == describe(alignment, i, j)
    told = describe(alignment, i, j)
    assert f"{alignment.values[i, j]:.3f}, chance {alignment.chance[i, j]:.3f}" in told
    assert f"held out {alignment.held_out[i, j]:.3f}" in told
    best, other = alignment.layers[i][j]
    assert told.replace("; not beyond chance", "").endswith(f"layers {best} and {other}")
    assert describe(alignment, j, i).replace("; not beyond chance", "").endswith(f"layers {other} and {best}")


def test_pairs_that_are_not_beyond_chance_are_hatched_and_counted(atlas, block):
    alignment = atlas["cka"]
    upper = np.triu_indices(len(NAMES), 1)
    failing = int((alignment.q[upper] > 0.05).sum())
    assert 0 < failing < 21
    drawn = figure(block, "atlas-01-01-models").standalone()
    assert f"hatched: q &gt; 0.05 ({failing} of 21)" in drawn
    titles = [e.find("{*}title").text for e in elements(figure(block, "atlas-01-01-models"), "path", role="gridcell")]
    assert sum("not beyond chance" in t for t in titles) == 2 * failing
    rates = {k: np.where(np.isnan(a.rates), np.nan, 0.01) for k, a in atlas.items()}
    every = dataclasses.replace(atlas, alignments={k: dataclasses.replace(a, rates=rates[k]) for k, a in atlas.items()})
    assert "hatched" not in figure(show(every), "atlas-01-01-models").standalone()


def test_the_tree_stands_beside_the_map_and_is_left_out_where_there_is_none(atlas, block):
    found = figure(block, "atlas-01-01-models")
    assert len(elements(found, "path", class_="branch")) == len(NAMES) - 1
    stable = [c for c in atlas.tree(metric="cka").clades if c.support >= 0.95]
    assert len(elements(found, "circle", class_="stable")) == len(stable) > 0
    few = iso.atlas({k: np.random.default_rng(i).normal(size=(30, 3)) for i, k in enumerate("abc")}, "cka",
                    permutations=39, splits=2)  # fmt: skip
    made = show(few)
    assert "branch" not in figure(made, "atlas-01-01-models").body
    assert "in the order given" in words(made.html)


def test_a_ladder_shows_raw_scores_with_intervals_beside_calibrated_ones_and_twins(atlas, block):
    trend = atlas.answers[0].found
    found = figure(block, "atlas-01-01-trend-1")
    assert len(elements(found, "path", class_="whisker")) == len(GROWN)
    for style, count in (("m0", "circle"), ("m1", "path"), ("m2", "path"), ("m3", "path")):
        assert len(elements(found, count, class_=style)) == len(GROWN) + 1, style  # and one in the legend
    drawn = found.standalone()
    for words_ in ("raw, with interval", "calibrated", "held out", "untrained twin", "1\u00a0M", "8\u00a0M"):
        assert f">{words_}<" in drawn
    xl = next(r for r in trend.rungs if r.model == "xl")
    assert f"xl, 8\u00a0M: raw, with interval {xl.raw:.3f}" in drawn
    assert f"xl, 8\u00a0M: untrained twin {xl.untrained:.3f}" in drawn
    assert "cka, grown to text" in drawn
    circles = [float(e.get("cy")) for e in elements(found, "circle", class_="m0")][: len(GROWN)]
    assert circles == sorted(circles, reverse=True)  # the planted trend rises


def test_rungs_of_several_families_are_lines_of_their_own(block):
    found = figure(block, "atlas-01-01-trend-2")
    lines = [e.get("d").count("L") for e in elements(found, "path", class_="s0")]
    assert sorted(lines) == [1, 1, len(GROWN) - 1]  # the legend, two models, four models
    assert {"grown", "strange"} <= {e.text for e in elements(found, "text")}


def test_of_many_families_together_fewer_kinds_of_scores_are_drawn_and_their_names_do_not_touch(atlas):
    kinds = ("grown", "grown", "thin", "thin", None, "strange", "strange")
    sizes = (1e6, 2e6, 1.9e6, 2.1e6, None, 1.8e6, 2.2e6)  # names of three families beside each other
    attributes = {**atlas.attributes, "family": kinds, "parameters": sizes}
    made = show(dataclasses.replace(atlas, attributes=attributes, questions=(QUESTIONS[1],)))
    found = figure(made, "atlas-01-01-trend-1")
    labels = {e.text for e in elements(found, "text")}
    assert "calibrated" not in labels
    assert {"raw, with interval", "held out", "untrained twin", "grown", "thin", "strange"} <= labels
    tips = [(float(e.get("x")), float(e.get("y")), e.text) for e in elements(found, "text", class_="small tip")]
    assert len(tips) == 3
    for k, (x, y, one) in enumerate(tips):
        for other_x, other_y, other in tips[k + 1 :]:
            apart = x + text_width(one, 10) < other_x or other_x + text_width(other, 10) < x
            assert apart or abs(y - other_y) >= 10


def test_a_ladder_without_twins_shows_none(atlas):
    plain = dataclasses.replace(atlas, twins={}, questions=atlas.questions[:1])
    assert "untrained" not in figure(show(plain), "atlas-01-01-trend-1").standalone()


def test_depth_curves_of_a_family_are_the_profiles_beside_chance(atlas, block):
    alignment = atlas["cka"]
    found = figure(block, "atlas-01-01-depth-1")
    row = alignment.position("text")
    for name in GROWN:
        profile = alignment.profile(alignment.position(name), [row])
        assert f"{name} {profile.max():.3f} at depth {np.argmax(profile) / (len(profile) - 1):.2f}" in found.title
    assert "with text" in found.title
    assert len(elements(found, "path", class_="chance")) == 2  # and in the legend
    assert "chance of the best layer" in found.standalone()


def test_specialists_are_drawn_at_their_distance_from_the_pool(atlas, block):
    found = figure(block, "atlas-01-01-divergence-1")
    whole = next(a.found for a in atlas.answers if a.question["ask"] == "divergence" and "cka" in a.metric)
    alone = atlas.divergence(["odd"], pool=GROWN, metric="cka")
    assert f"Two models of the pool {whole.pool_pool:.3f}; all specialists" in found.title
    assert f"{whole.specialist_pool:.3f}" in found.title
    assert f"odd, p {alone.p_value:.2g} {alone.specialist_pool:.3f}" in found.title
    drawn = found.standalone()
    assert ">two models of the pool<" in drawn
    assert ">chance<" not in drawn  # the bar is none here
    assert len(elements(found, "path", class_="whisker")) == 3 + 1


def test_the_layers_of_each_model_among_themselves_are_small_maps_of_their_scores(atlas, block):
    alignment = atlas["cka"]
    found = figure(block, "atlas-01-01-blocks-1")
    assert "atlas-01-01-blocks-2" not in [f.name for f in block.figures]
    shown = [k for k, names in enumerate(alignment.layer_names[: len(NAMES)]) if len(names) > 2]
    assert [atlas.models[k] for k in shown] == list(NAMES[1:])  # the first has two layers
    own = [alignment.own[k] for k in shown]
    low, high = min(o.min() for o in own), max(o.max() for o in own)
    order = [k for k in atlas.tree(metric="cka").order if k in shown]
    order.sort(key=lambda k: -len(alignment.own[k]))  # the deepest first
    tiles = [g for g in elements(found, "g") if g.find("{*}title") is not None]
    assert [t.find("{*}title").text for t in tiles] == [describe_blocks(alignment, k) for k in order]
    frames = elements(found, "rect", class_="axis")
    assert len(frames) == len(shown)
    for tile, k in zip(tiles, order, strict=True):
        frame = next(e for e in tile.iter() if e.get("class") == "axis")
        x, bottom = float(frame.get("x")), float(frame.get("y")) + float(frame.get("height"))
        values = alignment.own[k]
        side = float(frame.get("width")) / len(values)
        colors = {}
        for piece in (e for e in tile.iter() if e.get("fill", "").startswith("#")):
            for left, top, wide in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v[\d.]+h-[\d.]+z", piece.get("d")):
                row, start = round((bottom - float(top)) / side) - 1, round((float(left) - x) / side)
                colors |= {(row, start + c): piece.get("fill") for c in range(round(float(wide) / side))}
        shares = (values - low) / (high - low)
        assert len(colors) == values.size
        assert all(color == scale(round(shares[at] * 40) / 40) for at, color in colors.items())
    told = describe_blocks(alignment, order[0])
    assert told.endswith(f"first and last {number(float(alignment.own[order[0]][0, -1]))}")
    assert told in found.title
    assert words(block.html).count("Layers of each model among themselves") == len(atlas)


def test_of_many_models_the_rest_of_the_small_maps_is_folded_away_and_models_of_few_layers_have_none():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 3))
    many = {f"m{k:02d}": [z + rng.normal(size=z.shape) for _ in range(3)] for k in range(AT_ONCE + 3)}
    made = show(iso.atlas(many, "cka", permutations=39, splits=1))
    first, rest = (figure(made, f"atlas-01-01-blocks-{k}") for k in (1, 2))
    assert len(elements(first, "rect", class_="axis")) == AT_ONCE
    assert len(elements(rest, "rect", class_="axis")) == 3
    folded = str(made.html).partition("<details><summary>The other models</summary>")[2].partition("</details>")[0]
    assert folded.count("<svg") == 1
    few = show(iso.atlas({k: v[:2] for k, v in many.items()}, "cka", permutations=39, splits=1))
    assert not [f for f in few.figures if "blocks" in f.name]
    assert "among themselves" not in words(few.html)


def test_of_a_distance_the_small_maps_are_bright_where_it_is_low():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 3))
    layers = [z, z + 0.1 * rng.normal(size=z.shape), rng.normal(size=z.shape)]
    made = show(iso.atlas({"a": layers, "b": layers[::-1]}, "procrustes_distance", permutations=39, splits=1))
    found = figure(made, "atlas-01-01-blocks-1")
    tile = next(g for g in elements(found, "g") if g.find("{*}title") is not None)
    first = next(e for e in tile.iter() if e.get("fill", "").startswith("#"))  # the first layer with itself
    assert first.get("fill") == scale(1.0)
    assert scale(0.0) in {e.get("fill") for e in tile.iter()}


def test_domains_and_one_space_are_on_the_page_and_in_its_tables(atlas):
    questions = [{"ask": "domain_divergence", "specialists": ["odd", "old"], "pool": GROWN}]
    rng = np.random.default_rng(0)
    z = rng.normal(size=(N, 5))
    models = {name: z + k * rng.normal(size=z.shape) for k, name in enumerate(NAMES)}
    given = iso.atlas(models, "cka", domains=["here"] * 50 + ["there"] * 40, consensus=3, questions=questions,
                      permutations=39, splits=2)  # fmt: skip
    made = show(given)
    text = html.unescape(words(made.html))
    (answer,) = given.answers
    assert re.sub(r"\s+", " ", answer.told) in text
    assert given.consensus().told in text
    assert "here (50 items), there (40 items)" in text
    found = figure(made, "atlas-01-01-domains-1")
    for domain, one in (("here", answer.found.inside), ("there", answer.found.outside)):
        assert f"on {domain}, p {one.p_value:.2g} {one.specialist_pool:.3f}" in found.title
        assert f"two models of the pool {one.pool_pool:.3f}" in found.title
    table = text.partition("Agreement of each model with one space for all, held out")[2]
    for record in given.consensus().to_records():
        value = f"{record['cca']:.3f}".replace("-", "−")
        assert f"{record['model']} {record['layer']} {value}" in table


def test_every_pair_is_in_the_table_that_sorts_and_in_the_download(atlas, block):
    markup = str(block.html)
    table = re.search(r'aria-label="Every pair of models"><table class="sorts">(.*?)</table>', markup, re.DOTALL)[1]
    rows = re.findall(r"<tr>(.*?)</tr>", table.partition("<tbody>")[2], re.DOTALL)
    records = atlas.to_records()
    assert len(rows) == len(records) == 42
    first = re.findall(r'data-v="([^"]*)"', rows[0])
    best = max((r for r in records if r["metric"] == next(iter(atlas))), key=lambda r: r["value"])
    assert first[1:6] == [best["x"], best["y"], best["x_layer"], best["y_layer"], repr(best["value"])]
    data = json.loads(re.search(r'summary-data">(.*?)</script>', markup, re.DOTALL)[1])
    assert data[0] == list(records[0])
    assert len(data) == 1 + len(records)
    assert "The models" in markup
    assert ">1.5\u00a0B<" in markup


def test_what_a_ladder_confounds_is_said(block):
    assert "Along grown, confounded with size: their data." in words(block.html)


def test_what_was_not_compared_is_blank_and_says_so():
    z = np.random.default_rng(1).normal(size=(40, 3))
    noise = np.random.default_rng(2).normal(size=(4, 40, 3))
    models = {name: z + (k + 1) * noise[k] for k, name in enumerate("abcd")}
    part = iso.atlas(models, "cka", pairs="to reference", reference="a", permutations=39, splits=2)
    found = figure(show(part), "atlas-01-01-models")
    titles = [e.find("{*}title").text for e in elements(found, "path", role="gridcell")]
    assert sum("was not compared" in t for t in titles) == 6
    assert len(elements(found, "path", class_="blank")) == 4 + 6
    failing = int((next(iter(part.values())).rates > 0.05).sum())
    assert (f"({failing} of 3)" in found.standalone()) == (failing > 0)  # pairs that were compared, each once


def test_a_metric_that_is_not_symmetric_has_a_cell_for_both_ways():
    z = np.random.default_rng(1).normal(size=(60, 3))
    models = {k: z[:, : 1 + i] + 0.1 * np.random.default_rng(i).normal(size=(60, 1 + i)) for i, k in enumerate("abc")}
    both = iso.atlas(models, "ridge_predictivity(direction='x_to_y')", permutations=39, splits=2)
    alignment = next(iter(both.values()))
    found = figure(show(both), "atlas-01-01-models")
    titles = [e.find("{*}title").text for e in elements(found, "path", role="gridcell")]
    for i, j in ((0, 2), (2, 0)):
        assert describe(alignment, i, j) in titles
    assert alignment.values[0, 2] != alignment.values[2, 0]
    assert {"from", "to"} <= {e.text for e in elements(found, "text")}


@pytest.mark.parametrize(
    ("value", "text"),
    [(4_652_008, "4.65\u00a0M"), (999_950, "1\u00a0M"), (1500, "1.5\u00a0k"), (12, "12"), (0.25, "0.25")],
)
def test_sizes_are_short(value, text):
    assert size(value) == text


def test_the_page_of_a_saved_atlas_shows_its_questions(atlas, tmp_path):
    page = iso.report(atlas.save(tmp_path / "a.json"), tmp_path / "a.html", figures=True).read_text(encoding="utf-8")
    assert "Trend by parameters of s, m, l, xl, to text" in page
    assert (tmp_path / "figures" / "atlas-01-01-models.svg").exists()
    assert 'class="sorts' in page
