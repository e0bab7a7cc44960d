import dataclasses
import re
import subprocess

import numpy as np
import pytest

from isomorph.atlases import atlas
from isomorph.concept_maps import concepts
from isomorph.reporting import report

from .browser import BROWSER, FLAGS, needed


@pytest.mark.real
@needed
def test_a_browser_opens_the_page_without_an_error_and_the_heat_maps_are_there(
    tmp_path, make_scan, make_items, make_neighborhoods
):
    items = make_items()
    twins = {"untrained": make_scan(specs=("mutual_knn(k=10)", "cka"), strength=0.02)}
    scan = make_scan(specs=("mutual_knn(k=10)", "cka"), baselines=twins, neighborhoods=make_neighborhoods(items.ids))
    page = report(scan, tmp_path / "r.html", items=items, figures=False)
    # a probe at the end of the page uses it as a keyboard would, and leaves what it found in the document
    probe = """<script>
      const cell = document.querySelector('.cells [tabindex="0"]');
      cell.focus();
      const before = document.querySelector(".readout").textContent;
      cell.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowDown", bubbles: true}));
      const after = document.querySelector(".readout").textContent;
      document.body.dataset.probe = [before, after].map((t) => t.slice(0, 17)).join(" | ");
      document.body.dataset.reachable = document.querySelectorAll('.cells [tabindex="0"]').length;
    </script></body>"""
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", probe), encoding="utf-8")
    done = subprocess.run(
        [BROWSER, *FLAGS, "--dump-dom", f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    assert done.stdout.count('role="grid"') == 2
    assert done.stdout.count('role="gridcell"') == 2 * 20
    assert 'data-probe="layer_4 × layer_3 | layer_3 × layer_3"' in done.stdout
    assert 'data-reachable="2"' in done.stdout
    assert '<html lang="en" class="js">' in done.stdout


@pytest.mark.real
@needed
def test_a_browser_sorts_the_table_of_an_atlas_and_tells_what_a_blank_cell_is(tmp_path):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 3))
    models = {name: z + s * rng.normal(size=z.shape) for name, s in zip("abcd", (0.2, 1, 2, 4), strict=True)}
    page = report(atlas(models, "cka", permutations=39, splits=2), tmp_path / "r.html", figures=False)
    probe = """<script>
      const table = document.querySelector("table.sorts");
      const heads = [...table.tHead.rows[0].cells];
      const at = heads.findIndex((head) => head.textContent === "value");
      const column = () => [...table.tBodies[0].rows].map((row) => row.cells[at].textContent);
      const shown = [column()];
      for (let k = 0; k < 2; k++) { heads[at].querySelector("button").click(); shown.push(column()); }
      const down = (list) => list.every((v, k) => !k || Number(list[k - 1]) >= Number(v));
      document.body.dataset.probe = [down(shown[0]), down(shown[1]), down(shown[2].reverse()), shown[0].length,
        heads[at].getAttribute("aria-sort")].join(" ");
      const blank = document.querySelector(".cells .blank");
      blank.dispatchEvent(new PointerEvent("pointerover", {bubbles: true}));
      document.body.dataset.blank = document.querySelector(".readout b").textContent;
    </script></body>"""
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", probe), encoding="utf-8")
    done = subprocess.run(
        [BROWSER, *FLAGS, "--dump-dom", f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    assert 'data-probe="true true true 6 ascending"' in done.stdout
    assert re.search(r'data-blank="[abcd] with itself"', done.stdout)


@pytest.mark.real
@needed
def test_a_browser_searches_the_items_of_a_map_and_saves_what_each_button_says(tmp_path):
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 90, 3))
    kinds = ["red apple", "blue car", "Red bird"] * 30
    found = concepts(x, x + noise, labels={"kind": kinds}, metric="mutual_knn(k=5)", permutations=19)
    page = report(found, tmp_path / "r.html", figures=False)
    probe = """<script>
      const field = [...document.querySelectorAll(".find input")].at(-1);
      const table = field.closest(".find").nextElementSibling.querySelector("table");
      const left = () => [...table.tBodies[0].rows].filter((row) => !row.hidden);
      const shown = [left().length];
      const tell = () => field.dispatchEvent(new Event("input"));
      const type = (text) => { field.value = text; tell(); shown.push(left().length); };
      type("red");
      type("RED  bird");
      const all = left().every((row) => row.textContent.includes("Red bird"));
      const told = field.closest(".find").querySelector("[aria-live]").textContent;
      [...table.tHead.rows[0].cells].at(-1).querySelector("button").click();  // sorting keeps what was found
      shown.push(left().length);
      type("");
      document.body.dataset.probe = [...shown, all, told].join(" ");
      const saved = [];
      URL.createObjectURL = (blob) => { saved.push(blob.size); return "#"; };
      HTMLAnchorElement.prototype.click = function () { saved.push(this.download); };
      for (const button of document.querySelectorAll("button.csv")) button.click();
      document.body.dataset.saved = saved.filter((s) => typeof s === "string").join(" ");
      document.body.dataset.sizes = saved.filter((s) => typeof s === "number").every((s) => s > 100);
    </script></body>"""
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", probe), encoding="utf-8")
    done = subprocess.run(
        [BROWSER, *FLAGS, "--dump-dom", f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    assert 'data-probe="90 60 30 30 90 true 30 of 90 rows"' in done.stdout
    assert 'data-saved="concepts.csv items.csv"' in done.stdout
    assert 'data-sizes="true"' in done.stdout


@pytest.mark.real
@needed
def test_of_many_pairs_the_first_screen_shows_a_picture_and_the_rest_unfolds(tmp_path, make_scan):
    scans = [dataclasses.replace(make_scan(specs=("mutual_knn(k=10)", "cka")), x_name=f"m{k}") for k in range(5)]
    page = report(scans, tmp_path / "r.html", figures=False)
    probe = """<script>
      const place = document.querySelector("figure svg").getBoundingClientRect().top + scrollY;
      const words = document.querySelector("main").innerText.split(/\\s+/).length;
      const height = document.documentElement.scrollHeight;
      const folds = [...document.querySelectorAll("details.fold")];
      const before = folds.filter((fold) => fold.open).length;
      [...document.querySelectorAll('nav a')].find((link) => link.hash === "#pair-3").click();
      setTimeout(() => {
        const opened = folds.filter((fold) => fold.open).map((fold) => fold.parentElement.id).join(" ");
        dispatchEvent(new Event("beforeprint"));
        const printed = folds.filter((fold) => fold.open).length;
        dispatchEvent(new Event("afterprint"));
        const after = folds.filter((fold) => fold.open).length;
        document.body.dataset.seen = [Math.round(place), words, height, folds.length].join(" ");
        document.body.dataset.folds = [before, opened, printed, after].join(" ");
      }, 200);
    </script></body>"""
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", probe), encoding="utf-8")
    done = subprocess.run(
        [BROWSER, *FLAGS, "--dump-dom", "--window-size=1280,900", f"--user-data-dir={tmp_path / 'profile'}",
         page.as_uri()],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    top, words, height, folds = map(int, re.search(r'data-seen="([\d ]+)"', done.stdout)[1].split())
    assert folds == 5
    assert top < 700
    assert words < 1500
    assert height < 6000
    assert 'data-folds="0 pair-3 5 1"' in done.stdout
