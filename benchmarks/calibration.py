"""Do the p-values, calibrated scores and intervals keep what they promise on data whose truth is known?

`python benchmarks/calibration.py --quick` checks a corner of the grid in some minutes;
`python benchmarks/calibration.py --workers 8 --write` runs all of it and puts the tables into docs/calibration.md.
Finished cells are kept in runs/calibration.jsonl, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # cells run side by side, each on one core

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from isomorph.errors import IsomorphError
from isomorph.metrics import REGISTRY, Metric, metric
from isomorph.significance import (
    calibrate,
    difference,
    interval,
    maximum_p,
    permutations,
    planted,
    query_interval,
    sampled_null,
    subsample_interval,
)

ROOT = Path(__file__).parent.parent
DOCUMENT, CACHE = ROOT / "docs" / "calibration.md", ROOT / "runs" / "calibration.jsonl"
ALPHA = 0.05
QUICK_METRICS = (
    "cka(estimator='unbiased')",
    "cka(estimator='biased')",
    "mutual_knn(k=10)",
    "rsa",
    "svcca",
    "procrustes",
)
INTERVAL_METRICS = ("cka(estimator='unbiased')", "mutual_knn(k=10)", "procrustes", "rsa", "svcca")

Cell = dict[str, Any]


def noise(kind: str, n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Independent features, Gaussian or Student-t with 3 degrees of freedom."""
    x = rng.standard_normal((n, d), dtype=np.float32)
    if kind == "Student t₃":
        x /= np.sqrt(rng.standard_gamma(1.5, (n, d), dtype=np.float32) / 1.5)
    return x


# ---- no signal: rejections and calibrated scores ---------------------------------------------------------------


def null_cell(cell: Cell) -> Cell:
    """Share of trials on independent features that are called significant, in several ways."""
    m = metric(cell["metric"])
    counts: dict[str, list[float]] = {k: [] for k in ("single", "exact", "maximum", "naive", "calibrated", "best")}
    begin = time.perf_counter()
    for trial in range(cell["trials"]):
        try:
            null_trial(m, cell, trial, counts)
        except IsomorphError as error:
            return cell | {"skipped": str(error).split(". ")[0]}
        spent = time.perf_counter() - begin
        expected = spent / (trial + 1) * cell["trials"]
        if trial < 3 and expected > cell["budget"]:
            return cell | {"skipped": f"would take {expected / 60:.0f} minutes"}
    return cell | {k: float(np.mean(v)) for k, v in counts.items() if v} | {"seconds": time.perf_counter() - begin}


def null_trial(m: Metric, cell: Cell, trial: int, counts: dict[str, list[float]]) -> None:
    """One draw of all layers, its scores and their null."""
    n, d, (left, right) = cell["n"], max(1, round(cell["ratio"] * cell["n"])), cell["layers"]
    rng = np.random.default_rng([trial, n, d, left, right])
    xs, ys = ([m.prepare(noise(cell["features"], n, d, rng)) for _ in range(layers)] for layers in (left, right))
    values = np.asarray(m.compare(xs, ys), dtype=np.float64)
    null = sampled_null(m, xs, ys, permutations(n, cell["permutations"], trial))
    best = m.range[0] if m.distance else m.range[1]
    result = calibrate(values, null, alpha=ALPHA, s_max=best, distance=m.distance)
    counts["single"].append(result.p_value[0, 0] <= ALPHA)
    exact = m.null_moments(xs[:1], ys[:1])
    if exact is not None and exact.std is not None and not m.distance:
        counts["exact"].append(np.asarray(exact.p_value(values[:1, :1])).item() <= ALPHA)
    counts["maximum"].append(maximum_p(values, null, distance=m.distance) <= ALPHA)
    counts["naive"].append((result.p_value <= ALPHA).any())
    counts["calibrated"].append(float(result.calibrated.mean()))
    top, tops = (values.min(), null.min(axis=(1, 2))) if m.distance else (values.max(), null.max(axis=(1, 2)))
    counts["best"].append(float(calibrate(top, tops, alpha=ALPHA, s_max=best, distance=m.distance).calibrated))


# ---- a planted signal: power -----------------------------------------------------------------------------------


def power_cell(cell: Cell) -> Cell:
    """Share of trials in which a planted signal of rank r is found by the p of the maximum over several layers."""
    m, n, others, found = metric(cell["metric"]), cell["n"], cell["stack"] - 1, []
    for trial in range(cell["trials"]):
        rng = np.random.default_rng([trial, n])
        x, y = planted(n, n, n, cell["rank"], cell["strength"], rng)
        left, right = ([m.prepare(z), *(m.prepare(rng.standard_normal((n, n))) for _ in range(others))] for z in (x, y))
        null = sampled_null(m, left, right, permutations(n, cell["permutations"], trial))
        found.append(maximum_p(m.compare(left, right), null, distance=m.distance) <= ALPHA)
    return cell | {"power": float(np.mean(found))}


# ---- intervals: coverage ---------------------------------------------------------------------------------------


def interval_cell(cell: Cell) -> Cell:
    """Share of 95 % intervals that hold the true score, and of true null differences that are called different."""
    m, n, rank = metric(cell["metric"]), cell["n"], 4
    rng = np.random.default_rng([n, cell["d"], int(100 * cell["strength"])])
    a, b = (rng.standard_normal((rank, cell["d"])) / np.sqrt(rank) for _ in range(2))
    s, t = np.sqrt(cell["strength"]), np.sqrt(1 - cell["strength"])

    def draw(mixing: Sequence[np.ndarray]) -> list[np.ndarray]:
        z = rng.standard_normal((n, rank))
        return [s * z @ w + t * rng.standard_normal((n, w.shape[1])) for w in mixing]

    truth = population_cka(a, b, s, t) if m.name == "cka" else float(np.mean([m(*draw((a, b))) for _ in range(400)]))
    held: dict[str, list[bool]] = {}
    widths, apart = [], []
    for trial in range(cell["trials"]):
        x, y, twin = draw((a, b, a))
        xs, ys = [m.prepare(x)], [m.prepare(y)]
        made = {"influence": interval(m, xs, ys)}
        if cell["halves"]:
            made["subsets"] = subsample_interval(m, [x], [y], repeats=40, seed=trial)
        if hasattr(m, "per_item"):
            made["queries"] = query_interval(m.per_item(xs, ys), repeats=400, seed=trial)
        for name, i in made.items():
            if i is not None:
                held.setdefault(name, []).append(bool(i.low[0, 0] <= truth <= i.high[0, 0]))
        if made["influence"] is not None:
            widths.append(float(made["influence"].high[0, 0] - made["influence"].low[0, 0]))
            apart.append(difference(m, (x, y), (twin, y)).p_value <= ALPHA)
    shares = {name: float(np.mean(v)) for name, v in held.items()}
    extra = {"width": float(np.mean(widths)), "different": float(np.mean(apart))} if widths else {}
    return cell | {"truth": truth} | shares | extra


def population_cka(a: np.ndarray, b: np.ndarray, s: float, t: float) -> float:
    """Linear CKA of the distribution itself, from its covariances."""
    xx, yy = (s * s * w.T @ w + t * t * np.eye(w.shape[1]) for w in (a, b))
    return float(np.sum((s * s * a.T @ b) ** 2) / np.sqrt(np.sum(xx**2) * np.sum(yy**2)))


# ---- the grid --------------------------------------------------------------------------------------------------


def every_metric() -> list[str]:
    """All registered variants, in full."""
    specs = [v for name, c in REGISTRY.classes.items() for v in (getattr(c, "variants", ()) or (name,))]
    return list(dict.fromkeys(metric(s).spec for s in specs))


def grid(quick: bool, trials: int, draws: int, budget: float) -> list[Cell]:
    """All cells, the cheap ones first."""
    metrics = [metric(s).spec for s in QUICK_METRICS] if quick else every_metric()
    common = {"trials": trials, "permutations": draws, "budget": budget}
    sizes, ratios = ((128,), (0.25, 4.0)) if quick else ((128, 512, 1024), (0.25, 1.0, 4.0, 8.0))
    stacks = ((1, 1), (3, 3)) if quick else ((1, 1), (4, 4), (12, 1), (32, 1))
    cells: list[Cell] = [
        common | {"part": "null", "metric": m, "features": f, "n": n, "ratio": r, "layers": list(layers)}
        for n in sizes
        for layers in stacks
        for r in ratios
        for f in ("Gaussian", "Student t₃")
        for m in metrics
    ]
    few = metrics if quick else [metric(s).spec for s in QUICK_METRICS]
    cells += [
        {"part": "power", "metric": m, "n": n, "rank": r, "strength": s, "stack": 2 if quick else 4}
        | {"trials": min(trials, 200), "permutations": draws}
        for n in ((64,) if quick else (64, 128))
        for r in ((4,) if quick else (1, 4, 16))
        for s in ((0.0, 0.2, 0.6) if quick else (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8))
        for m in few
    ]
    cells += [
        {
            "part": "interval",
            "metric": metric(m).spec,
            "n": n,
            "d": 32,
            "strength": s,
            "trials": trials,
            "halves": not quick,
        }
        for n in ((128,) if quick else (128, 512))
        for s in ((0.0, 0.4) if quick else (0.0, 0.1, 0.2, 0.4, 0.8))
        for m in INTERVAL_METRICS[: 2 if quick else None]
    ]
    return cells


PARTS = {"null": null_cell, "power": power_cell, "interval": interval_cell}


def computed(cell: Cell) -> Cell:
    """Run one cell."""
    return PARTS[cell["part"]](cell)


def run(cells: Iterable[Cell], workers: int, cache: Path) -> list[Cell]:
    """Results of all cells; those in the cache are not run again."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    done: dict[str, Cell] = {}
    if cache.exists():
        for line in cache.read_text(encoding="utf-8").splitlines():
            key, result = json.loads(line)
            done[key] = result
    keys = {json.dumps({k: v for k, v in c.items() if k != "budget"}, sort_keys=True): c for c in cells}
    todo = {k: c for k, c in keys.items() if k not in done}
    print(f"{len(keys)} cells, {len(keys) - len(todo)} of them done before", flush=True)
    with ProcessPoolExecutor(workers) as pool, cache.open("a", encoding="utf-8") as file:
        futures = {pool.submit(computed, c): k for k, c in todo.items()}
        for count, future in enumerate(as_completed(futures), 1):
            done[futures[future]] = future.result()
            file.write(json.dumps([futures[future], done[futures[future]]]) + "\n")
            file.flush()
            if sys.stdout.isatty() or count % 50 == 0 or count == len(todo):
                print(f"{count} of {len(todo)} cells", flush=True)
    return [done[k] for k in keys]


# ---- tables ----------------------------------------------------------------------------------------------------


def band(trials: int, confidence: float = 0.99) -> tuple[float, float]:
    """Shares of rejections that are compatible with the level."""
    low, high = stats.binom.interval(confidence, trials, ALPHA)
    return float(low) / trials, float(high) / trials


def null_table(cells: list[Cell]) -> list[str]:
    """One row a cell; shares outside the band are bold."""
    low, high = band(cells[0]["trials"])
    lines = [
        f"Share of {cells[0]['trials']} trials called significant at {ALPHA:g}; the binomial 99 % band is "
        f"[{low:.3f}, {high:.3f}], shares outside it are bold. *naive* calls a scan significant if any pair alone is.",
        "",
        "| metric | features | n | d/n | layers | single pair | single, exact p | maximum | naive | mean calibrated | "
        "calibrated maximum |",
        "|" + "---|" * 11,
    ]
    tested = out = 0
    for c in cells:
        head = f"| {c['metric']} | {c['features']} | {c['n']} | {c['ratio']:g} | {c['layers'][0]} × {c['layers'][1]} | "
        if "skipped" in c:
            lines.append(head + f"not run: {c['skipped']} | | | | | |")
            continue
        shares = []
        for name in ("single", "exact", "maximum"):
            if name not in c:
                shares.append("–")
                continue
            inside = low <= c[name] <= high
            tested, out = tested + 1, out + (not inside)
            shares.append(f"{c[name]:.3f}" if inside else f"**{c[name]:.3f}**")
        lines.append(
            head + " | ".join([*shares, f"{c['naive']:.3f}", f"{c['calibrated']:.4f}", f"{c['best']:.4f}"]) + " |"
        )
    expected = 0.01 * tested
    summary = f"{out} of {tested} shares lie outside the 99 % band; {expected:.0f} are expected to if all is right."
    return [summary, "", *lines]


def power_table(cells: list[Cell]) -> list[str]:
    """One row a metric, size and rank; one column a strength."""
    strengths = sorted({c["strength"] for c in cells})
    lines = [
        f"Share of {cells[0]['trials']} trials in which the p of the maximum over {cells[0]['stack']} × "
        f"{cells[0]['stack']} layers, one pair of which shares a signal of rank r "
        "that carries a share s of its variance (d = n), is at most 0.05.",
        "",
        "| metric | n | rank | " + " | ".join(f"s = {s:g}" for s in strengths) + " |",
        "|" + "---|" * (3 + len(strengths)),
    ]
    rows: dict[tuple[str, int, int], dict[float, float]] = {}
    for c in cells:
        rows.setdefault((c["metric"], c["n"], c["rank"]), {})[c["strength"]] = c["power"]
    for (m, n, r), row in rows.items():
        lines.append(f"| {m} | {n} | {r} | " + " | ".join(f"{row[s]:.2f}" for s in strengths) + " |")
    return lines


def interval_table(cells: list[Cell]) -> list[str]:
    """One row a cell; coverage outside [0.92, 0.98] is bold."""
    lines = [
        f"Share of {cells[0]['trials']} intervals of nominal 95 % that hold the truth: the population value for CKA, "
        "the mean of 400 independent samples of the same size for the others. Outside [0.92, 0.98] is bold. "
        "*different* is the share of paired tests at 0.05 that call two equally noisy twins different. Queries: "
        "gallery fixed, so not meant to cover a truth in which the gallery varies too.",
        "",
        "| metric | n | d | strength | truth | influence | width | subsets | queries | different |",
        "|" + "---|" * 10,
    ]
    for c in cells:
        shares = [
            "–" if k not in c else (f"{c[k]:.3f}" if 0.92 <= c[k] <= 0.98 else f"**{c[k]:.3f}**")
            for k in ("influence", "subsets", "queries")
        ]
        width, different = (f"{c[k]:.3f}" if k in c else "–" for k in ("width", "different"))
        lines.append(
            f"| {c['metric']} | {c['n']} | {c['d']} | {c['strength']:g} | {c['truth']:.3f} | {shares[0]} | {width} | "
            f"{shares[1]} | {shares[2]} | {different} |"
        )
    return lines


def document(results: list[Cell], arguments: str) -> str:
    """The page."""
    parts = {p: [c for c in results if c["part"] == p] for p in PARTS}
    texts = [
        "# Calibration\n",
        "Whether p-values, calibrated scores and intervals keep what they promise, on data whose truth is known. Made "
        f"by `python benchmarks/calibration.py {arguments}`; every cell is seeded.\n",
        "## No signal\n",
        *null_table(parts["null"]),
        "\n## Planted signal\n",
        *power_table(parts["power"]),
        "\n## Intervals\n",
        *interval_table(parts["interval"]),
    ]
    return "\n".join(texts) + "\n"


def main() -> None:
    """Run the grid and print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a corner of the grid, 200 trials")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--permutations", type=int, default=99, help="one less than a multiple of 20")
    parser.add_argument("--budget", type=float, default=3600.0, help="seconds that one cell may take")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--write", action="store_true", help="put the page into docs/calibration.md")
    args = parser.parse_args()
    if (args.permutations + 1) % 20:
        parser.error("--permutations must be one less than a multiple of 20, so that the level is reached exactly")
    trials = args.trials or (200 if args.quick else 400)
    results = run(grid(args.quick, trials, args.permutations, args.budget), args.workers, args.cache)
    given = f"--quick --trials {trials}" if args.quick else f"--trials {trials}"
    page = document(results, f"{given} --permutations {args.permutations}")
    if args.write:
        DOCUMENT.write_text(page, encoding="utf-8")
        print(f"wrote {DOCUMENT.relative_to(ROOT)}")
    else:
        print(page)


if __name__ == "__main__":
    main()
