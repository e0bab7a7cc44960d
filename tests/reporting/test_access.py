"""What people with a screen reader, without a mouse, in the dark or on paper are given: counted in a browser."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from isomorph.atlases import atlas
from isomorph.concept_maps import concepts
from isomorph.reporting import report
from isomorph.reporting.sections.blind_match import BlindMatchSection
from isomorph.reporting.sections.fusion import FusionSection
from isomorph.reporting.sections.network_stitch import NetworkStitchSection
from isomorph.stitching import stitch

from .browser import needed, opened, pages_printed

pytestmark = [pytest.mark.real, needed]

_PACKAGE = importlib.util.find_spec("axe_playwright_python")  # it carries axe-core; Playwright itself is not needed
AXE = Path(_PACKAGE.submodule_search_locations[0]) / "axe.min.js" if _PACKAGE else None  # type: ignore[index]  # a package
COUNT = """
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  const found = await axe.run(document, { resultTypes: ["violations"], ...only });
  keep("violations", found.violations.map((v) => `${v.id}: ${v.nodes[0].html.slice(0, 120)}`));
  keep("passes", found.passes.length);
"""


@pytest.fixture(scope="module")
def everything():
    """Small results of the verbs."""
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 60, 5))
    kinds = [f"kind {k % 3}" for k in range(60)]
    models = {name: x + s * rng.normal(size=x.shape) for name, s in zip("abcd", (0.2, 1, 2, 4), strict=True)}
    return [
        stitch(x, x + noise, "ridge", labels=kinds, repeats=2, permutations=5, draws=100),
        FusionSection.example("vision"),
        NetworkStitchSection.example("network"),
        BlindMatchSection.example("speech"),
        concepts(x, x + noise, labels={"kind": kinds}, metric="mutual_knn(k=5)", permutations=19, limits=False),
        atlas(models, "cka", permutations=39, splits=2),
    ]


@pytest.mark.skipif(AXE is None, reason="no axe-playwright-python, which carries axe-core")
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_no_violation(tmp_path, make_scan, make_items, make_neighborhoods, everything, dark):
    items = make_items()
    twins = {"untrained": make_scan(specs=("mutual_knn(k=10)", "cka"), strength=0.02)}
    near = make_neighborhoods(items.ids)
    scans = [
        make_scan(specs=("mutual_knn(k=10)", "cka"), baselines=twins, neighborhoods=near, held_out=0.01, interval=True),
        make_scan(x="another", strength=0.01, rows=1, columns=1, permuted=True),
    ]
    page = report([*scans, *everything], tmp_path / "r.html", items=items)
    whole = page.read_text(encoding="utf-8")
    if dark:
        whole = whole.replace("(prefers-color-scheme:dark)", "(min-width:1px)")
    axe = AXE.read_text(encoding="utf-8").replace("</script", "<\\/script")
    page.write_text(whole.replace("</head>", f"<script>{axe}</script></head>"), encoding="utf-8")
    only = '{ runOnly: ["color-contrast"] }' if dark else "{}"  # nothing else changes in the dark
    found = opened(page, f"const only = {only}; {COUNT}")
    assert found["violations"] == []
    assert found["passes"] >= (1 if dark else 20), "it looked at the page"


def test_paper_has_a_summary_first_and_all_of_the_rest(tmp_path, make_scan, everything):
    scans = [dataclasses.replace(make_scan(specs=("mutual_knn(k=10)", "cka")), x_name=f"m{k}") for k in range(5)]
    page = report([*scans, *everything], tmp_path / "r.html")
    found = opened(
        page,
        """
      dispatchEvent(new Event("beforeprint"));
      keep("shut", [...document.querySelectorAll("main details:not([open])")].length);
      keep("others", [...document.querySelectorAll(".paper dt")].map((name) => name.textContent));
      const before = (a, b) => Boolean(a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING);
      const paper = document.querySelector(".paper");
      keep("order", [before(document.querySelector("figure"), paper), before(paper, document.querySelector("table"))]);
      keep("seen", getComputedStyle(paper).display);
    """,
    )
    assert found["shut"] == 0
    assert len(found["others"]) == len(everything)
    assert found["order"] == [True, True]
    assert found["seen"] == "none", "on a screen the lines of the folds say it"
    assert pages_printed(page) <= 22


def test_a_narrow_screen_is_never_scrolled_sideways(tmp_path, make_scan, everything):
    scans = [make_scan(specs=("mutual_knn(k=10)", "cka"), held_out=0.01), make_scan("another")]
    page = report([*scans, *everything], tmp_path / "r.html")
    frame = tmp_path / "frame.html"  # a window of this browser is no narrower than 500 pixels
    frame.write_text(f'<!DOCTYPE html><body><iframe src="{page.name}" width="360" height="800"></iframe></body>')
    wide = """
      for (const fold of document.querySelectorAll("details")) fold.open = true;
      parent.postMessage([document.documentElement.scrollWidth, document.documentElement.clientWidth], "*");
    """
    page.write_text(page.read_text("utf-8").replace("</body>", f"<script>{wide}</script></body>"), encoding="utf-8")
    found = opened(
        frame,
        """
      const told = await new Promise((done) => addEventListener("message", (event) => done(event.data)));
      keep("widths", told);
    """,
    )
    assert found["widths"][0] <= found["widths"][1] <= 360
