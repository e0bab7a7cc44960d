"""Figures for print: what is drawn is what the result holds, chance among it."""

from __future__ import annotations

import functools
import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

import isomorph as iso
from isomorph.errors import InputError, MissingExtraError, UnknownNameError
from isomorph.reporting.plots import parts_of, plot, plotted
from isomorph.reporting.sections import sections

from ..contracts.test_sections import maker

mpl.use("Agg")
from matplotlib import pyplot as plt

rng = np.random.default_rng(0)
Z = rng.normal(size=(60, 4))
X = {f"layer_{k}": Z + (2 - k) * rng.normal(size=(60, 4)) for k in range(3)}
Y = {f"block_{k}": Z @ rng.normal(size=(4, 5)) + rng.normal(size=(60, 5)) for k in range(2)}
TWIN = {k: rng.normal(size=v.shape) for k, v in X.items()}


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def scan() -> iso.Scan:
    return iso.scan(X, Y, ["cka", "mutual_knn(k=5)"], permutations=60, x_baselines={"untrained": TWIN})


def drawn(ax: Any, label: str) -> list[Any]:
    return [line for line in ax.get_lines() if line.get_label() == label]


def texts(ax: Any) -> list[str]:
    return [t.get_text() for t in ax.get_legend().get_texts()]


@functools.cache
def atlas() -> iso.Atlas:
    models = {f"m{k}": {"last": Z + n * rng.normal(size=Z.shape)} for k, n in enumerate((4, 2, 1, 0.5))}
    sizes = dict(zip(models, (1e6, 1e7, 1e8, 1e9), strict=True))
    return iso.atlas(models, "cka", attributes={"parameters": sizes}, permutations=39)


def concepts() -> iso.ConceptMap:
    labels = [f"concept {i % 5}" for i in range(60)]
    return iso.concepts(X["layer_2"], Y["block_0"], metric="mutual_knn(k=5)", labels=labels, permutations=39)


QUICK = {"atlas": atlas, "concept_map": concepts}
"""Smaller results than those of the sections' contract, which ask every question."""


@pytest.mark.parametrize("kind", sorted(sections.classes))
def test_every_kind_that_a_report_shows_is_drawn_whole(kind: str) -> None:
    result = QUICK[kind]() if kind in QUICK else maker(sections.classes[kind])("vision")
    _, given = plt.subplots()
    assert result.plot(ax=given) is given
    for part in parts_of(result)[:3] or (None,):
        ax = result.plot(part)
        figure = ax.figure
        figure.canvas.draw()
        assert figure.get_figwidth() == pytest.approx(3.5)
        assert ax.get_xlabel() or ax.images, f"{part}: the axis has no name"
        everything = figure.get_tightbbox()
        assert everything.x0 >= -0.02, f"{part}: cut at the left"
        assert everything.x1 <= figure.get_figwidth() + 0.02, f"{part}: cut at the right"
        plt.close(figure)


def test_what_is_drawn_covers_all_sections() -> None:
    assert set(sections.classes) <= set(plotted())


def test_a_matrix_of_layers_holds_the_scores_and_marks_chance_and_the_baseline(scan: iso.Scan) -> None:
    ax = scan.plot("cka")
    found = scan["cka"]
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), found.values)
    bar = ax.figure.axes[1]
    assert drawn(bar, "chance")[0].get_ydata()[0] == pytest.approx(found.best().chance, abs=1e-3)
    assert drawn(bar, "untrained x")[0].get_ydata()[0] == found.against["untrained x"]["value"]
    assert {"best", "chance", "untrained x"} <= set(texts(ax))


def test_all_metrics_are_shares_of_the_way_from_chance(scan: iso.Scan) -> None:
    ax = scan.plot()
    points = [line for line in ax.get_lines() if line.get_marker() == "o"]
    wanted = [a.share(a.best().value, a.best().chance) for a in scan.values()]
    assert [*points[0].get_xdata()] == pytest.approx(wanted)
    assert drawn(ax, "chance")[0].get_xdata()[0] == 0
    bounds = scan["cka"].interval
    assert bounds is not None
    i, j = np.unravel_index(np.argmax(scan["cka"].values), (3, 2))
    chance = scan["cka"].best().chance
    interval = drawn(ax, "_interval")[0].get_xdata()
    assert [*interval] == pytest.approx([scan["cka"].share(b, chance) for b in bounds[i, j]])


def test_layers_of_one_side_are_a_line_and_a_single_pair_stands_in_its_null() -> None:
    lone = iso.scan(X, Y["block_0"], "cka", permutations=60)["cka"]
    ax = lone.plot()
    assert [*ax.get_lines()[1].get_ydata()] == pytest.approx(lone.values.ravel().tolist())
    assert [*drawn(ax, "chance")[0].get_ydata()] == pytest.approx(lone.chance.ravel().tolist())
    pair = iso.scan(X["layer_2"], Y["block_0"], "cka", permutations=99)["cka"]
    ax = pair.plot()
    assert any(t.startswith("chance") for t in texts(ax))
    disc = next(line for line in ax.get_lines() if line.get_marker() == "o")
    assert disc.get_xdata()[0] == pair.best().value
    assert sum(p.get_data().values.sum() for p in ax.patches[:1]) == pytest.approx(1.0, abs=0.05)


def test_a_stitch_stands_beside_its_controls() -> None:
    found = iso.stitch(X["layer_2"], Y["block_0"], ["ridge", "orthogonal"], repeats=2, permutations=9, draws=100)
    ax = found.plot()
    assert ax.get_xlabel() == f"held-out {found.decided_by}"
    for control in found["ridge"].controls:
        at = [*drawn(ax, control)[0].get_xdata()]
        assert found["ridge"].controls[control][found.decided_by].value in at
    assert found["ridge"][found.decided_by].chance == pytest.approx(drawn(ax, "chance")[0].get_xdata()[0])


def test_trends_and_thresholds_are_drawn_over_the_attribute() -> None:
    trend = atlas().trend("parameters")
    ax = trend.plot()
    assert [*ax.get_lines()[0].get_ydata()] == [r.raw for r in trend.rungs]
    assert ax.get_xscale() == "log"
    ax = atlas().threshold("parameters").plot()
    assert "no difference" in texts(ax)
    values = np.asarray(atlas().plot().images[0].get_array())
    assert np.nanmax(values) == pytest.approx(np.nanmax(atlas()["cka"].scores))


def test_a_distance_is_drawn_with_its_best_the_lowest() -> None:
    found = iso.scan(X, Y, "procrustes_distance", permutations=20)
    assert "lower is more alike" in found.plot().figure.axes[1].get_ylabel()


def test_names_with_dollars_are_no_formulas() -> None:
    found = iso.scan({"a$b$": X["layer_0"], "$c": X["layer_1"]}, Y["block_0"], "cka", permutations=20)
    found.plot().figure.canvas.draw()


def test_what_cannot_be_drawn_is_told(scan: iso.Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="metric"):
        scan.plot("rsa")
    with pytest.raises(InputError, match="drawn whole"):
        scan["cka"].plot("cka")
    with pytest.raises(InputError, match="ax must be axes of matplotlib"):
        scan.plot(ax=3)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(InputError, match="not drawn by itself"):
        plot(iso.stitch(X["layer_2"], Y["block_0"], "mean", repeats=2, permutations=0, draws=100)["mean"])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"isomorph\[plot\]"):
        scan.plot()


def test_a_metric_is_drawn_by_any_of_its_names(scan: iso.Scan) -> None:
    assert scan.plot("unbiased_cka").figure.axes[1].get_ylabel() == scan.plot("cka").figure.axes[1].get_ylabel()


def test_importing_isomorph_and_scanning_leaves_matplotlib_out() -> None:
    code = (
        "import sys, numpy as np, isomorph as iso; x = np.random.default_rng(0).normal(size=(20, 5)); "
        "iso.scan(x, x, 'cka', permutations=19);"
    )
    done = subprocess.run([sys.executable, "-c", f"{code} print('matplotlib' in sys.modules)"], capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "False"


def test_sizes_are_those_of_print(scan: iso.Scan) -> None:
    ax = scan.plot("cka")
    sizes = {t.get_fontsize() for t in (ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels())}
    assert sizes == {7.0}
    assert math.isclose(plt.rcParams["font.size"], mpl.rcParamsDefault["font.size"]), "the user's settings stay"
