"""What the page says of a map of concepts: the plane, bars, every item, both neighbourhoods, and what lies beside."""

import dataclasses
import html
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup

import isomorph as iso
from isomorph.reporting._pictures import Pictures
from isomorph.reporting._section import Context
from isomorph.reporting._text import number, signed, slug
from isomorph.reporting.sections import _concept_figures, concepts
from isomorph.reporting.sections._concept_figures import CROWD, Words, tell
from isomorph.reporting.sections.concepts import ConceptsSection

N = 450
KINDS = ("both see it", "x alone", "neither")
IDS = [f"i{k}" for k in range(N)]


@pytest.fixture(scope="module")
def items():
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, size=(12, 12, 3)).astype(np.uint8) for _ in IDS]
    texts = [f"thing <{k}>" for k in range(N)]
    labels = {"kind": [KINDS[k % 3] for k in range(N)], "half": ["ab"[k % 2] for k in range(N)]}
    views = {"text": iso.datasets.MemoryView(texts, "text"), "image": iso.datasets.MemoryView(pictures, "image")}
    return iso.PairedItems("things", IDS, views, labels)


@pytest.fixture(scope="module")
def sides():
    """Two models of each modality: a third of the items is seen alike, a third by x alone, a third by neither."""
    rng = np.random.default_rng(1)
    common, own = rng.normal(size=(2, N, 5))
    kind = np.arange(N)[:, None] % 3
    made = {}
    for name in ("x", "x2", "y", "y2", "z"):
        mine = own if name[0] == "x" else rng.normal(size=(N, 5))
        z = np.where(kind == 0, common, np.where(kind == 1, mine, rng.normal(size=(N, 5))))
        layers = {"early": rng.normal(size=(N, 5)), "late": z + 0.1 * rng.normal(size=(N, 5))}
        modality = {"x": "image", "y": "text", "z": "audio"}[name[0]]
        made[name] = iso.Layers.from_arrays(layers, IDS, encoder=f"lab:{name}-model", modality=modality)
    return made


@pytest.fixture(scope="module")
def found(items, sides):
    ages = {i: float(k % 31) for k, i in enumerate(IDS)}
    return iso.concepts(
        sides["x"],
        sides["y"],
        items=items,
        labels=["kind", "half"],
        metric="mutual_knn(k=6)",
        x_ceilings={"other": sides["x2"]},
        y_ceilings={"second": sides["y2"]},
        covariates={"age": ages, "kind": "kind"},
        others={"z-model": sides["z"]},
        permutations=99,
        redundancy=True,
        map="ridge",
    )


@pytest.fixture(scope="module")
def block(found, items):
    return show(found, items)


def show(result, items=None):
    context = Context(Pictures(items), {"lab:x-model": "x-model", "lab:y-model": "y-model"}, given=items is not None)
    return ConceptsSection().show([result], context).blocks[0]


def words(markup):
    return html.unescape(re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", str(markup))))


def figure(block, name):
    (found,) = [f for f in block.figures if f.name == name]
    return found


def elements(found, tag, **attributes):
    root = ElementTree.fromstring(found.standalone())
    wanted = {k.rstrip("_"): v for k, v in attributes.items()}
    every = [e for e in root.iter() if e.tag.endswith(f"}}{tag}")]
    return [e for e in every if all(e.get(k) == v for k, v in wanted.items())]


def titles(found):
    return [e.text for e in elements(found, "title")][1:]  # the first is of the figure


NAMES = Words("x-model", "y-model", "image", "text")


def test_the_answer_stands_first_with_verdicts_by_modality(found, block):
    text = words(block.html)
    whole = found.whole
    assert f"x-model and y-model agree on {100 * whole.share:.0f} %" in text.replace("\u00a0", " ")
    assert "Of 3 concepts (kind) 1 is shared, 1 is bound to image and 1 is unstable." in text
    passed = int((found.items.q_values <= found.alpha).sum())
    assert f"{passed} of {N} items are seen alike beyond chance" in text
    assert "bound to x" not in words(re.sub(r"<script.*?</script>", "", str(block.html), flags=re.DOTALL))
    assert block.title == "Which concepts do x-model and y-model see alike?"


def test_a_score_that_is_not_beyond_chance_has_its_p_in_the_answer(sides):
    noise = np.random.default_rng(5).normal(size=(2, 60, 4))
    text = words(show(iso.concepts(*noise, labels=["a", "b"] * 30, metric="cka", permutations=19)).html)
    assert re.search(r"over all items is .* with chance at .*, p = 0\.\d+", text)
    assert "0 of 2 concepts (labels) are seen alike beyond chance" in text
    assert "nothing can be said of what is bound to a modality" in text


def test_the_plane_has_a_point_a_picture_and_an_interval_for_every_concept(found, block):
    drawn = figure(block, "concepts-01-01-plane")
    table = found.labels
    assert titles(drawn) == [tell(table, k, NAMES) for k in sorted(range(3), key=lambda k: (-table.counts[k], k))]
    assert len(elements(drawn, "path", class_="span")) == 3
    assert {e.get("href") for e in elements(drawn, "use")} <= {f"#{e.get('id')}" for e in elements(drawn, "symbol")}
    assert len(elements(drawn, "use")) >= 2  # what is bound to x and what is unstable are near 0 both
    marks = {
        "shared": ("circle", "m0"),
        "bound to x": ("path", "m1"),
        "unstable": ("path", "m5"),
        "undecided": ("circle", "m5 hollow"),
    }
    for verdict, (tag, class_) in marks.items():  # the point, and once in the legend
        count = table.verdicts.count(verdict)
        assert len(elements(drawn, tag, class_=class_)) == count + (count > 0), verdict
    said = {e.text for e in elements(drawn, "text")}
    assert {*KINDS, "share 1", "share 0.5: shared above", "bound to image"} <= said


def test_a_point_lies_where_its_agreement_and_ceilings_are(found, block):
    """The shared concept against the axes: twice the agreement is twice as far up from zero."""
    drawn = figure(block, "concepts-01-01-plane")
    table = found.labels
    k = table.names.index("both see it")
    (circle,) = [g.find("{*}circle") for g in elements(drawn, "g") if g.find("{*}title").text.startswith("both see it")]
    y = float(circle.get("cy"))
    ticks = {float(e.text.replace("−", "-")): float(e.get("y")) - 3.6
             for e in elements(drawn, "text", class_="end soft") if re.fullmatch(r"[−\d.]+", e.text)}  # fmt: skip
    (low, at_low), (high, at_high) = min(ticks.items()), max(ticks.items())
    told = low + (y - at_low) / (at_high - at_low) * (high - low)
    assert told == pytest.approx(float(table.corrected[k]), abs=2e-3 * (high - low) + 1e-3)  # pixels have two decimals


def test_names_that_do_not_fit_and_bars_that_are_left_out_are_counted(found):
    many = CROWD + 20
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6 * many, 4))
    labels = [f"concept {k % many:03d}" for k in range(6 * many)]
    ceilings = {"x_ceilings": {"a": x + 0.3 * rng.normal(size=x.shape)}, "y_ceilings": {"b": x[:, ::-1]}}
    made = iso.concepts(x, x + 0.5 * rng.normal(size=x.shape), labels=labels, permutations=19, limits=False, **ceilings)
    shown = show(made)
    plane = figure(shown, "concepts-01-01-plane")
    named = [e.text for e in elements(plane, "text") if e.text.startswith("concept ")]
    text = words(shown.html)
    assert 0 < len(named) < many
    assert f"{many - len(named)} of the {many} names do not fit into the plane, and have no interval there" in text
    assert len(elements(plane, "path", class_="span")) == len(named)
    assert len(titles(plane)) == many
    bars = figure(shown, "concepts-01-01-bars")
    kept = [t for t in titles(bars) if t.startswith("concept ")]
    assert f"{many - len(kept)} between them are in the table alone" in text
    order = np.argsort(-made.labels.scores, kind="stable")
    half = len(kept) // 2
    wanted = [made.labels.names[k] for k in (*order[:half], *order[-half:])]
    assert [t.partition(":")[0] for t in kept] == wanted
    assert text.count("concept 0") >= many  # the table has all


def test_names_in_the_plane_touch_neither_each_other_nor_a_point(found, items):
    context = Context(Pictures(items), {}, given=True)
    drawn, _ = _concept_figures.plane(found, found.labels, NAMES, context, "p")
    boxes = []
    for e in elements(drawn, "text"):
        if e.text in KINDS:
            x, y = float(e.get("x")), float(e.get("y"))
            boxes.append((x, y - 8, x + _concept_figures.text_width(e.text, 10), y + 2))
    boxes += [
        (float(e.get("x")), float(e.get("y")), float(e.get("x")) + 20, float(e.get("y")) + 20)
        for e in elements(drawn, "use")
    ]
    assert not any(_concept_figures._meet(a, b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_bars_are_sorted_and_have_chance_intervals_and_ceilings(found, block):
    drawn = figure(block, "concepts-01-01-bars")
    order = np.argsort(-found.labels.scores, kind="stable")
    assert [t.partition(":")[0] for t in titles(drawn)] == [found.labels.names[k] for k in order]
    assert len(elements(drawn, "path", class_="whisker")) == 3 + 1  # and one in the legend
    assert len(elements(drawn, "path", class_="tick")) == 3 + 1
    assert len(elements(drawn, "path", class_="tri")) == 2 * 3 + 2
    for k, told in zip(order, titles(drawn), strict=True):
        assert f"score {found.labels.scores[k]:.3f}" in told
        assert f"chance {found.labels.chance[k]:.3f}" in told
        assert f"ceilings image {number(float(found.labels.x_ceilings[k, 0]))}" in told
    said = [e.text for e in elements(drawn, "text", class_="small end soft")]
    assert any("bound to image" in s and f"n {N // 3}" in s for s in said)


def test_a_concept_of_one_item_has_no_bar_of_an_interval(sides):
    labels = ["alone", *(["a", "b"] * N)[: N - 1]]
    made = iso.concepts(sides["x"], sides["y"], labels=labels, metric="mutual_knn(k=6)", permutations=19)
    drawn = figure(show(made), "concepts-01-01-bars")
    assert len(elements(drawn, "path", class_="whisker")) == 2 + 1


def rows_of(markup, heading):
    table = str(markup)[str(markup).index(heading) :]
    table = table[table.index("<table") : table.index("</table>")]
    heads = [words(h).strip() for h in re.findall(r"<th.*?</th>", table)]
    rows = [
        [words(c).strip() for c in re.findall(r"<td.*?</td>", row)]
        for row in re.findall(r"<tr>(<td.*?)</tr>", table, re.S)
    ]
    return heads, rows


def test_every_item_is_in_a_table_that_sorts_and_is_searched(found, block):
    heads, rows = rows_of(block.html, ">Every item<")
    assert heads == [
        "text",
        "kind",
        "half",
        "score",
        "chance",
        "p",
        "q",
        "ceiling image",
        "ceiling text",
        "verdict",
        "id",
    ]
    assert len(rows) == N
    order = np.argsort(-found.items.corrected, kind="stable")
    first = dict(zip(heads, rows[0], strict=True))
    k = int(order[0])
    assert (first["id"], first["text"]) == (IDS[k], f"thing <{k}>")
    assert (first["kind"], first["half"]) == (KINDS[k % 3], "ab"[k % 2])
    assert first["score"] == f"{found.items.scores[k]:.3f}"
    assert first["verdict"] == NAMES.verdict(found.items.verdicts[k])
    assert [r[heads.index("id")] for r in rows] == [IDS[i] for i in order]
    assert 'type="search"' in block.html
    assert "left out here" not in words(block.html)


def test_of_many_items_both_ends_are_shown_and_the_rest_is_told(found, monkeypatch):
    monkeypatch.setattr(concepts, "_ROWS", 100)
    shown = show(found)
    heads, rows = rows_of(shown.html, ">Every item<")
    order = np.argsort(-found.items.corrected, kind="stable")
    assert [r[heads.index("id")] for r in rows] == [IDS[i] for i in (*order[:50], *order[-50:])]
    assert f"{N - 100} of {N} between them are left out here" in words(shown.html)
    held = json.loads(re.search(r'data-of="items">(.*?)</script>', str(shown.html), re.S)[1])
    assert len(held) == N + 1  # all are in the download


def test_downloads_hold_every_item_and_every_concept_of_every_set(found, block):
    held = {
        name: json.loads(Markup(data).unescape())
        for name, data in re.findall(r'data-of="(\w+)">(.*?)</script>', str(block.html), re.S)
    }
    assert set(held) == {"items", "concepts"}
    head, *rows = held["items"]
    assert len(rows) == N
    assert rows[4][head.index("kind")] == KINDS[1]
    assert rows[4][head.index("score")] == pytest.approx(found.items.scores[4], rel=1e-5)
    head, *rows = held["concepts"]
    assert [r[0] for r in rows] == ["kind"] * 3 + ["half"] * 2
    assert rows[0][head.index("verdict")] in found.labels.verdicts
    for name in held:
        assert f'data-table="{name}"' in block.html


def test_each_verdict_has_examples_with_both_neighbourhoods(found, block):
    text = str(block.html)
    part = text[text.index("Items with both neighbourhoods") :]
    for e in found.examples:
        k = IDS.index(e.id)
        assert f"thing &lt;{k}&gt;" in part
        common = len(set(e.x_neighbors) & set(e.y_neighbors))
        assert f"{common} of the {len(e.x_neighbors)} nearest shared<" in part
        assert len(e.x_neighbors) == 6  # as many as the metric looks at
    assert part.count('class="common"') == 2 * sum(len(set(e.x_neighbors) & set(e.y_neighbors)) for e in found.examples)
    assert "<h4>Bound to image</h4>" in part or "bound to x" not in {e.verdict for e in found.examples}


def test_of_neighbours_that_are_texts_the_nearest_five_are_shown(found):
    part = str(show(found).html)
    part = part[part.index("Items with both neighbourhoods") : part.index("Every item")]
    assert part.count("nearest shared, 5 of each shown") == len(found.examples)
    for e in found.examples:
        common = len(set(e.x_neighbors) & set(e.y_neighbors))
        assert f"{common} of the 6 nearest shared" in part
    assert part.count("<li") == 2 * 5 * len(found.examples)


def test_layers_and_rules_are_folded_with_the_numbers_of_this_map(found, block):
    text = words(str(block.html)[str(block.html).index("How this was computed") :])
    assert "above 0.1, and unstable there" in text
    assert "above 0.5 of the ceilings" in text
    assert "99 re-pairings" in text
    assert "95 %" in text.replace("\u00a0", " ")
    for k, (a, b) in enumerate(zip(found.x_layers, found.y_layers, strict=True), start=1):
        assert f"{k} {a} {b}" in text
    changed = dataclasses.replace(found, shared=0.25, stable=0.2, alpha=0.1)
    text = words(show(changed).html)
    assert "above 0.2, and unstable there" in text
    assert "share 0.25: shared above" in text
    assert "90 %" in text.replace("\u00a0", " ")


# ---- what lies beside items and concepts


def test_covariates_are_drawn_with_partial_effects_and_those_alone(found, block):
    drawn = figure(block, "concepts-01-covariates")
    age = found.covariates["age"]
    labels = [e.text for e in elements(drawn, "text", class_="small")]
    assert any(t.startswith("age, q ") for t in labels)
    assert sum(t.startswith("kind: ") for t in labels) == 3
    assert len(elements(drawn, "path", class_="m1")) == 1 + 1  # age by itself, and the legend
    text = words(block.html)
    assert f"items{'' if found.covariates.p_value is None else ' (p'}" in text
    assert f"{signed(age.effect)} {signed(age.low)} to {signed(age.high)}" in text
    assert f"{signed(age.alone)} {signed(age.alone_low)} to {signed(age.alone_high)}" in text


def test_limits_redundancy_and_maps_are_drawn(found, block):
    names = {f.name for f in block.figures}
    assert "concepts-01-limits-metric" in names
    assert any(n.startswith("concepts-01-limits-size") for n in names)
    text = words(block.html)
    assert found.redundancy
    for one in found.redundancy:
        assert one.told in text
        curve = figure(block, slug("concepts-01-redundancy", one.metric))
        assert len(elements(curve, "path", class_="band")) == len(one.readings)
    for row in found.limits.by_metric:
        assert str(row) in text
    assert f"at {found.maps.scores.mean():.3f} on the way from last (0) to first (1)" in text
    bars = figure(block, "concepts-01-maps")
    assert sum(f"(n {N // 3})" in (e.text or "") for e in elements(bars, "text", class_="small")) == 3


def test_three_modalities_are_a_row_a_pattern_with_the_names_of_the_concepts(found, block):
    drawn = figure(block, "concepts-01-modalities")
    tally = found.modalities.tally
    assert len(titles(drawn)) == len(tally)
    for verdict in tally:
        assert any(t.endswith(", ".join(found.modalities.of(verdict))) for t in titles(drawn))
    counts = [e.text for e in elements(drawn, "text", class_="end")]
    assert sorted(map(int, counts)) == sorted(tally.values())


@pytest.mark.parametrize(
    ("verdict", "joined", "told"),
    [
        ("all", [(0, 1), (0, 2), (1, 2)], "shared by all"),
        ("a+c", [(0, 2)], "shared by a and c alone"),
        ("through b", [(0, 1), (1, 2)], "shared with b by both others, which are apart"),
        ("none", [], "shared by none"),
        ("undecided", [], "undecided"),
    ],
)
def test_a_pattern_joins_the_modalities_it_names(found, verdict, joined, told):
    from isomorph.reporting.sections._concept_modalities import _joins, _pattern

    three = dataclasses.replace(found.modalities, names=("a", "b", "c"), pairs=(("a", "b"), ("a", "c"), ("b", "c")))
    assert _joins(three, verdict) == joined
    assert _pattern(verdict) == told


def test_names_of_a_pattern_wrap_and_the_rest_is_counted():
    from isomorph.reporting.sections._concept_modalities import _wrapped

    names = [f"concept {k}" for k in range(100)]
    rows = _wrapped(names, 300.0)
    assert len(rows) == 4
    shown = ", ".join(r.rstrip(", ") for r in rows)
    left = int(re.search(r"… (\d+) more$", shown)[1])
    assert shown.count("concept ") + left == 100
    assert all(_concept_figures.text_width(r, 10) <= 300 for r in rows)
    assert _wrapped(["a", "b"], 300.0) == ["a, b"]


def test_transfer_shows_direct_maps_beside_detours(found, block):
    drawn = figure(block, "concepts-01-transfer")
    labels = [e.text for e in elements(drawn, "text", class_="small")]
    for path in found.transfer.direct:
        assert any(t.startswith(path.text) for t in labels)
    text = words(block.html)
    lost = [p.lost["score"] for p in found.transfer.detours]
    less = sum(v.value > 0 and v.p_value <= found.transfer.alpha for v in lost)
    assert f"Of {len(lost)} paths through a third space {less} carry over less than the direct map" in text
    for path in found.transfer.paths:
        assert path.text in text


def test_a_map_without_ceilings_labels_or_items_still_has_a_page(sides):
    bare = iso.concepts(sides["x"], sides["y"], metric="mutual_knn(k=6)", permutations=19)
    shown = show(bare)
    assert shown.figures == ()
    heads, rows = rows_of(shown.html, ">Every item<")
    assert heads == ["id", "score", "chance", "p", "q"]
    assert len(rows) == N
    assert "No items were given to this report" in words(shown.html)


def test_files_of_the_plane_hold_its_pictures(found, items, tmp_path):
    page = iso.report(found, tmp_path / "r.html", items=items, figures=True)
    svg = (tmp_path / "figures" / "concepts-01-01-plane.svg").read_text()
    assert svg.count("data:image/") == svg.count("<use ") >= 2
    assert page.read_text().count("<symbol") >= 2
