import base64
import dataclasses
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from isomorph.reporting import report
from isomorph.scanning import scan

from .browser import needed, opened

pytestmark = [pytest.mark.real, needed]

CATCH = """
  const made = [];
  const blobs = [];
  URL.createObjectURL = (blob) => { blobs.push(blob); return "#"; };
  HTMLAnchorElement.prototype.click = function () { made.push(this.download); };
"""
"""Downloads are kept here in place of on the disk."""


@pytest.fixture
def page(tmp_path, make_scan):
    metrics = ("mutual_knn(k=10)", "cka")
    scans = [make_scan(specs=metrics, strength=0.1 * (k + 1), held_out=0.01) for k in range(7)]
    scans = [dataclasses.replace(made, x_name=f"m{k}") for k, made in enumerate(scans)]
    return report(scans, tmp_path / "r.html", figures=False)


def test_a_figure_is_kept_as_svg_and_as_png(page):
    found = opened(
        page,
        CATCH
        + """
      document.querySelector("figure .tools button").click();
      keep("svg", await blobs.pop().text());
      const drawn = new Promise((done) => { URL.createObjectURL = (blob) => {
        if (blob.type === "image/png") done(blob);
        else return `data:image/svg+xml,${encodeURIComponent(JSON.parse(document.body.dataset.svg))}`;
        return "#";
      }; });
      document.querySelectorAll("figure .tools button")[1].click();
      const bytes = new Uint8Array(await (await drawn).arrayBuffer());
      keep("png", btoa(String.fromCharCode(...bytes)));
      keep("made", made);
    """,
    )
    assert found["made"] == ["overview-mutual-knn-k-10.svg", "overview-mutual-knn-k-10.png"]
    root = ElementTree.fromstring(found["svg"])
    style = next(e.text or "" for e in root.iter() if e.tag.endswith("style"))
    assert "var(" not in style
    assert ".figure .page" in style
    assert next(e.text or "" for e in root.iter() if e.tag.endswith("title")).startswith(
        "mutual_knn(k=10) of every pair"
    )
    png = base64.b64decode(found["png"])
    assert png.startswith(b"\x89PNG")
    width = round(3 * float(root.attrib["width"]))
    assert abs(int.from_bytes(png[16:20], "big") - width) <= 1


def test_tables_sort_by_numbers_as_they_are_read_with_their_groups_and_are_kept_as_csv(page):
    found = opened(
        page,
        CATCH
        + """
      const table = document.querySelector("table.summary");
      const heads = [...table.tHead.rows[0].cells];
      const names = () => [...table.tBodies].map((body) => body.rows[0].textContent.trim());
      const at = (name) => heads.findIndex((head) => head.textContent.trim() === name);
      heads[at("Score")].querySelector("button").click();
      keep("down", names());
      heads[at("Score")].querySelector("button").click();
      keep("up", names());
      heads[at("p")].querySelector("button").click();
      heads[at("p")].querySelector("button").click();
      keep("small", names());
      keep("rows", [...table.tBodies[0].rows].map((row) => row.className));
      keep("sorted", heads.map((head) => head.getAttribute("aria-sort")));
      table.closest("details").querySelector(".tools button").click();
      keep("csv", await blobs.pop().text());
      keep("made", made);
    """,
    )
    order = [f"m{k} (image) × text (text)" for k in range(7)]
    assert found["up"] == order
    assert found["down"] == order[::-1]
    assert found["small"][0] in order[4:], "powers of ten are numbers; these three share the least"
    assert found["small"][-1] == order[0]
    assert found["rows"] == ["models", "", "held", "", "held"], "what belongs to a row stays below it"
    assert found["sorted"].count("ascending") == 1
    assert found["made"] == ["summary-table.csv"]
    lines = found["csv"].splitlines()
    assert lines[0].startswith("models,Metric,Score,")
    assert len(lines) == 1 + 7 * 4
    assert {line.partition(",")[0] for line in lines[1:]} == set(order)


def test_long_tables_are_searched_by_groups_and_a_pair_is_lit_wherever_it_is_shown(page):
    found = opened(
        page,
        """
      const field = document.querySelector("table.summary").closest("details").querySelector(".find input");
      field.value = "M3";
      field.dispatchEvent(new Event("input"));
      keep("left", [...document.querySelector("table.summary").tBodies].filter((body) => !body.hidden).length);
      keep("told", field.closest(".find").querySelector("[aria-live]").textContent);
      const point = (where) => where.dispatchEvent(new PointerEvent("pointerover", {bubbles: true}));
      const lit = () => [...document.querySelectorAll(".lit")]
        .map((part) => `${part.tagName.toLowerCase()} ${part.dataset.pair}`);
      point(document.querySelector(`svg g[data-pair="pair-3"]`).firstChild);
      keep("lit", lit());
      point(document.querySelector("h1"));
      keep("none", [lit().length, document.documentElement.classList.contains("linking")]);
      document.querySelector(`svg g[data-pair="pair-3"]`).dispatchEvent(new MouseEvent("click", {bubbles: true}));
      await new Promise((done) => setTimeout(done, 100));
      keep("opened", [location.hash, document.querySelector("#pair-3 details").open]);
      const maps = [...document.querySelectorAll("#pair-3 .layout")];
      point(maps[0].querySelectorAll("[role=gridcell]")[6]);
      keep("cells", maps.map((map) => map.querySelector(".readout b").textContent));
      keep("other", document.querySelector("#pair-2 .readout b").textContent);
    """,
    )
    assert found["left"] == 1
    assert found["told"] == "1 of 7 groups"
    assert sorted(set(found["lit"])) == sorted(f"{what} pair-3" for what in ("g", "li", "tbody", "tr"))
    assert sum(what.startswith("g ") for what in found["lit"]) == 2, "in the figure of either metric"
    assert found["none"] == [0, False]
    assert found["opened"] == ["#pair-3", True]
    assert found["cells"] == ["layer_1 × layer_2"] * 2
    assert found["other"] != "layer_1 × layer_2"


def test_settings_are_copied_from_the_page(tmp_path):
    x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
    found = opened(
        report(scan(x, x + noise, "cka", permutations=39), tmp_path / "r.html", figures=False),
        """
      const taken = [];
      Object.defineProperty(navigator, "clipboard", { value: { writeText: async (text) => { taken.push(text); } } });
      for (const copy of document.querySelectorAll(".recipe .tools button")) copy.click();
      await new Promise((done) => setTimeout(done, 50));
      keep("taken", taken);
      keep("says", [...document.querySelectorAll(".recipe .tools button")].map((copy) => copy.textContent));
    """,
    )
    toml, python = found["taken"]
    assert re.search(r"^\[\[scans\]\]\nx = \"x\"", toml)
    assert "iso.scan(x, y, metrics=" in python
    assert found["says"] == ["Copied", "Copied"]
