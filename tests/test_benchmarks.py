"""The benchmarks run, and what they take for granted holds; how fast anything is stands in docs/benchmarks.md."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from isomorph.metrics import metric

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"isomorph_benchmark_{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


CALIBRATION = load("calibration")


@pytest.mark.parametrize("features", ["Gaussian", "Student t₃"])
def test_a_factor_of_the_gram_matrix_scores_as_the_features(features: str) -> None:
    draws = CALIBRATION.Draws(features, 20, 60)
    x, y = (draws.drawn("x", number).astype(np.float64) for number in (0, 1))
    for spec in ("cka", "mutual_knn(k=3)", "procrustes", "rsa(dissimilarity='euclidean')"):
        m = metric(spec)
        factors = [np.linalg.cholesky(v @ v.T) for v in (x, y)]
        assert m(*factors) == pytest.approx(m(x, y), abs=1e-9)


def test_the_drawn_factor_has_the_law_of_the_features() -> None:
    draws = CALIBRATION.Draws("Gaussian", 12, 40)
    grams = [f @ f.T for f in (draws.layer("x", number, reduced=True) for number in range(400))]
    mean, deviation = np.mean(grams, axis=0), np.std(grams, axis=0)
    assert np.allclose(mean, 40 * np.eye(12), atol=5 * np.sqrt(80 / 400))
    assert np.allclose(np.diagonal(deviation), np.sqrt(80), rtol=0.2)
    assert np.allclose(deviation[~np.eye(12, dtype=bool)], np.sqrt(40), rtol=0.2)


def test_a_cell_counts_every_stack_and_says_what_it_leaves_out() -> None:
    cell = {"part": "null", "metric": "mutual_knn(k=3)", "features": "Gaussian", "n": 24, "ratio": 0.5}
    cell |= {"trials": 80, "permutations": 19, "budget": 60.0}
    found = CALIBRATION.null_cell(cell)
    assert [s["layers"] for s in found["stacks"]] == list(CALIBRATION.STACKS)
    assert all(0 <= s["maximum"] < 0.2 for s in found["stacks"])
    assert found["stacks"][-1]["naive"] > 0.5
    refused = CALIBRATION.null_cell(cell | {"metric": "cca", "ratio": 4.0})
    assert refused["stacks"] == []
    assert refused["left_out"]
    poor = cell | {"metric": "procrustes", "budget": 0.0}
    starved = CALIBRATION.null_cell(poor)
    assert starved["stacks"] == []
    assert "would take" in starved["left_out"]
    for kept, asked, again in ((starved, poor, False), (starved, poor | {"budget": 9.0}, True), (found, cell, False)):
        assert CALIBRATION.settled(asked, {CALIBRATION.key(asked): kept}) is not again
    assert CALIBRATION.settled(cell | {"budget": 1e9}, {CALIBRATION.key(cell): found})
    assert not CALIBRATION.settled(cell, {})


def test_metrics_that_are_one_and_the_same_are_run_once(tmp_path: Path) -> None:
    common = {"part": "null", "features": "Gaussian", "n": 16, "ratio": 0.5}
    common |= {"trials": 40, "permutations": 19, "budget": 60.0}
    for same, first in CALIBRATION.SAME.items():
        cells = [common | {"metric": m} for m in (first, same)]
        CALIBRATION.computed(cells, tmp_path / "cells.jsonl")
        done = CALIBRATION.kept(tmp_path / "cells.jsonl")
        one, other = (done[CALIBRATION.key(c)] for c in cells)
        assert other == one | {"metric": same}, "taken over, time and all"
        assert CALIBRATION.null_cell(cells[1])["stacks"] == one["stacks"] != [], "and rightly so"


def test_an_interrupted_run_goes_on_and_its_page_has_every_part(tmp_path: Path) -> None:
    common = {"trials": 40, "permutations": 19, "budget": 60.0}
    cells = [{"part": "null", "metric": "cka", "features": "Gaussian", "n": 16, "ratio": 0.5} | common]
    cells += [{"part": "power", "metric": "cka", "n": 16, "d": 4, "rank": 1, "strength": 0.9, "stack": 2} | common]
    cells += [{"part": "interval", "metric": "cka", "n": 16, "d": 4, "strength": 0.4, "trials": 10, "halves": False}]
    cache = tmp_path / "cells.jsonl"
    CALIBRATION.computed(cells[:1], cache)
    with cache.open("a", encoding="utf-8") as file:
        file.write('["cut sho')  # as a kill may leave it
    assert list(CALIBRATION.kept(cache)) == [CALIBRATION.key(cells[0])]
    page = CALIBRATION.document([*CALIBRATION.kept(cache).values(), *map(_run, cells[1:])], "")
    for title in ("## No signal", "## Planted signal", "## Intervals"):
        assert title in page
    CALIBRATION.write_cells(list(CALIBRATION.kept(cache).values()), tmp_path / "cells.csv")
    assert len((tmp_path / "cells.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(CALIBRATION.STACKS)


def _run(cell: dict[str, object]) -> dict[str, object]:
    return CALIBRATION.PARTS[cell["part"]](cell)


@pytest.mark.parametrize(
    "spec", ["procrustes", pytest.param("riemannian_distance", marks=pytest.mark.thorough), "edit_knn(k=3)"]
)
@pytest.mark.parametrize("draws", [19, pytest.param(39, marks=pytest.mark.thorough)])
def test_permutations_stopped_early_decide_as_all_of_them(spec: str, draws: int) -> None:
    m, rng = metric(spec), np.random.default_rng(draws)
    assert CALIBRATION.dear(m)
    xs, ys = ([m.prepare(rng.standard_normal((14, 3))) for _ in range(count)] for count in (12, 40))
    orders = CALIBRATION.permutations(14, draws, 0)
    outcomes = []
    for stopped in (True, False):
        counts = [CALIBRATION.Counts() for _ in CALIBRATION.STACKS]
        CALIBRATION.null_batch(m, xs, ys, orders, counts, stopped=stopped)
        outcomes.append(counts)
    assert outcomes[0] == outcomes[1]
    assert sum(outcomes[0][2].naive) > 0, "some are called significant, so that the comparison means something"
    values = np.asarray(m.compare(xs[:1], ys), dtype=np.float64)
    null = CALIBRATION.stopped_null(m, xs[:1], ys, values, orders)
    computed = CALIBRATION.sampled_null(m, xs[:1], ys, orders) == null
    assert computed.mean() < 0.6, "most permutations need not be computed"


def test_every_signature_has_built_cases_with_the_answer_known_and_rates_count_wrong_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signatures = load("signatures")
    assert set(signatures.FAMILIES) == set(signatures.REGISTRY.classes)
    cheap = ("anisotropy", "hubs", "rank_collapse", "duplicates", "modality_gap")
    for k in set(signatures.FAMILIES) - set(cheap):
        monkeypatch.delitem(signatures.FAMILIES, k)
    rates = signatures.measure(1)
    assert all(rate == (0.0, 0.0) for rate in rates.values()), rates
    assert "| hubs | 0.000 |" in signatures.page(rates, 1)
    monkeypatch.setitem(signatures.FAMILIES, "hubs", (*signatures.FAMILIES["hubs"][1::-1], ""))
    assert signatures.measure(1)["hubs"] == (1.0, 1.0), "swapped families are all wrong"


def test_every_ladder_is_planted_and_its_questions_answered() -> None:
    ladders = load("ladders")
    for k, (kind, made) in enumerate(ladders.KINDS.items()):
        found = made(np.random.default_rng([k, 0]), 100, 0)
        assert {(kind, name) for name in found} >= {key for key in ladders.CLAIMS if key[0] == kind}
    x = ladders.ladder(np.random.default_rng(0), 20_000, [0.1, 0.5], [1, 1])
    scores = [metric("cka")(x[name][0], x["reference"]) for name in ("m0", "m1")]
    assert scores == pytest.approx([0.1, 0.5], abs=0.01), "the population's score is what is planted"
    low, high = ladders.band(0.0, 0.05, 400)
    assert low == 0
    assert 0.05 < high < 0.09
