"""Do the p-values, calibrated scores and intervals keep what they promise on data whose truth is known?

`python benchmarks/calibration.py --quick` checks a corner of the grid in some minutes;
`python benchmarks/calibration.py --write` runs all of it, which takes some hours on two cores, and puts the tables into
docs/calibration.md and docs/calibration.csv. Finished cells are kept in runs/calibration.jsonl, so that an interrupted
run goes on where it stopped.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # cells run side by side, each on one core

import argparse
import contextlib
import csv
import dataclasses
import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache as cached
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from isomorph.errors import IsomorphError
from isomorph.metrics import REGISTRY, Metric, metric
from isomorph.metrics.neighbors import MutualKnn
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
DOCUMENT, CELLS, CACHE = (ROOT / p for p in ("docs/calibration.md", "docs/calibration.csv", "runs/calibration.jsonl"))
ALPHA = 0.05
STACKS = (1, 4, 12, 32)  # layers of x; the smaller stacks are the first layers of the largest
BATCH = 40  # layers of y that meet one stack of x and share its permutations
QUICK_METRICS = (
    "cka(estimator='unbiased')",
    "cka(estimator='biased')",
    "mutual_knn(k=10)",
    "rsa",
    "svcca",
    "procrustes",
)
MORE_VARIANTS = (
    "cka(estimator='biased')",
    "cka(estimator='biased', kernel='rbf', bandwidth=0.5)",
    "cca(summary='mean_square')",
    "rsa(comparison='pearson')",
)
INTERVAL_METRICS = (
    "cka(estimator='unbiased')",
    "cka(estimator='biased')",
    "mutual_knn(k=10)",
    "jaccard_knn(k=10)",
    "rsa",
    "distance_correlation(estimator='unbiased')",
    "procrustes",
    "svcca",
)

Cell = dict[str, Any]


def noise(kind: str, n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Independent features, Gaussian or Student-t with 3 degrees of freedom."""
    x = rng.standard_normal((n, d), dtype=np.float32)
    if kind == "Student t₃":
        x /= np.sqrt(rng.standard_gamma(1.5, (n, d), dtype=np.float32) / 1.5)
    return x


# ---- no signal: rejections and calibrated scores ---------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Draws:
    """Independent layers of one kind, made anew from their numbers.

    Given the layers of x and the permutations, trials with independent layers of y are independent: a few stacks of x,
    each with many y, make as many independent trials as there are y, and permutations may be shared by some of them.

    Of wide layers (d > n) an n × n factor of the Gram matrix serves: a metric that declares that rotations and
    reflections change nothing, which the contract suite executes, scores it as it scores the features.
    """

    features: str
    n: int
    d: int

    def layer(self, side: str, number: int, *, reduced: bool) -> np.ndarray:
        """One layer of a side, as features or reduced."""
        return _factor(self, side, number) if reduced and self.d > self.n else self.drawn(side, number)

    def drawn(self, side: str, number: int) -> np.ndarray:
        """The features themselves."""
        return noise(self.features, self.n, self.d, self.rng(side, number))

    def rng(self, side: str, number: int) -> np.random.Generator:
        """Random numbers of one layer."""
        return np.random.default_rng([len(self.features), self.n, self.d, int(side == "x"), number])


@cached
def _factor(draws: Draws, side: str, number: int) -> np.ndarray:
    n, d = draws.n, draws.d
    if draws.features == "Gaussian":  # Bartlett's decomposition: the factor itself has a known law
        rng = draws.rng(side, number)
        factor = np.tril(rng.standard_normal((n, n), dtype=np.float32), -1)
        np.fill_diagonal(factor, np.sqrt(rng.chisquare(d - np.arange(n))))
        return factor
    x = draws.drawn(side, number)
    return np.linalg.cholesky((x @ x.T).astype(np.float64)).astype(np.float32)


def null_cell(cell: Cell) -> Cell:
    """Share of trials on independent features that are called significant, for every stack that fits the budget."""
    m, n, trials = metric(cell["metric"]), cell["n"], cell["trials"]
    draws = Draws(cell["features"], n, max(1, round(cell["ratio"] * n)))
    reduced = {"rotation", "reflection"} <= m.invariances
    counts = [Counts() for _ in STACKS]
    begin, left_out, xs = time.perf_counter(), "", []
    with contextlib.suppress(IsomorphError):
        m(*np.random.default_rng(0).standard_normal((2, 32, 4)))  # what is loaded at first use is not of the pilots
    try:
        layers, stopped, left_out = affordable(m, draws, cell, reduced)
        for number, start in enumerate(range(0, trials if layers else 0, BATCH)):
            if number % 2 == 0:  # a stack of x meets two batches of y
                first = number // 2 * max(STACKS)
                xs = [m.prepare(draws.layer("x", first + i, reduced=reduced)) for i in range(layers)]
            ys = [m.prepare(draws.layer("y", start + j, reduced=reduced)) for j in range(min(BATCH, trials - start))]
            null_batch(m, xs, ys, permutations(n, cell["permutations"], start), counts, stopped=stopped)
    except IsomorphError as error:
        return cell | {"stacks": [], "left_out": str(error).split(". ")[0]}
    shares = [{"layers": s} | c.means() for s, c in zip(STACKS, counts, strict=True) if c.single]
    return cell | {"stacks": shares, "left_out": left_out, "seconds": round(time.perf_counter() - begin, 1)}


def affordable(m: Metric, draws: Draws, cell: Cell, reduced: bool) -> tuple[int, bool, str]:
    """The largest stack whose trials fit the budget by a timed pilot, whether to stop early, and what is left out.

    A single pair may take four budgets, 1024 items two. Permutations that share something are stopped early where
    only that fits.
    """
    left_out, stopped = "", dear(m)
    plan = (stopped_seconds if stopped else shared_seconds)(m, draws, cell, reduced)
    for layers in reversed(STACKS):
        budget = cell["budget"] * (4 if layers == 1 else 1) * max(1, draws.n / 512)
        expected = plan(layers, budget)
        if layers == 1 and expected > budget and not stopped:
            expected, stopped = stopped_seconds(m, draws, cell, reduced)(1, budget), True
        if expected <= budget:
            return layers, stopped, left_out
        left_out = f"{layers} layers would take {max(1, round(expected / 60))} min"
    return 0, stopped, left_out


Plan = Callable[[int, float], float]


def shared_seconds(m: Metric, draws: Draws, cell: Cell, reduced: bool) -> Plan:
    """Seconds of a cell whose permutations share their products, by ever larger pilots until they exceed the budget."""

    def plan(layers: int, budget: float) -> float:
        drawn = [draws.layer("x", i, reduced=reduced) for i in range(layers)]
        start = time.process_time()
        xs = [m.prepare(x) for x in drawn]
        once = (time.process_time() - start) / layers * (cell["trials"] + layers * cell["trials"] / BATCH / 2)
        expected = np.inf
        for some, orders in ((2, 2), (8, 5), (BATCH, cell["permutations"])):  # sharing makes many cheaper
            ys = [m.prepare(draws.layer("y", j, reduced=reduced)) for j in range(some)]
            start = time.process_time()
            sampled_null(m, xs, ys, permutations(draws.n, orders, 0))
            each = (time.process_time() - start) / (some * orders)
            expected = once + each * cell["trials"] * (cell["permutations"] + 1)
            if expected <= budget or expected > (4 if draws.n > 512 else 16) * budget:
                break
        return expected

    return plan


def stopped_seconds(m: Metric, draws: Draws, cell: Cell, reduced: bool) -> Plan:
    """Seconds of a cell whose permutations each cost a score and are stopped where the decision is made."""
    drawn = [draws.layer(side, 0, reduced=reduced) for side in "xy"]
    start = time.process_time()
    x, y = map(m.prepare, drawn)
    prepared = (time.process_time() - start) / 2
    start = time.process_time()
    sampled_null(m, [x], [y], permutations(draws.n, 2, 0))
    score = (time.process_time() - start) / 2

    def plan(layers: int, budget: float) -> float:
        bests = sum(size <= layers for size in STACKS)  # that a layer has a part in, at most
        after = np.arange(1, cell["permutations"] + 1) / settling(cell["permutations"])
        scores = 1 + np.minimum(1, bests / after).sum()  # after k permutations one of k + 1 is still the best of them
        once = prepared * cell["trials"] * (1 + layers / BATCH / 2)
        return float(once + score * scores * layers * cell["trials"])

    return plan


def settling(draws: int) -> int:
    """How many permuted scores at least as good make p exceed alpha, whatever the others are."""
    return round(ALPHA * (draws + 1))


def dear(m: Metric) -> bool:
    """Whether permutations share nothing, so that each costs as much as the score."""
    return type(m).compare_permuted is Metric.compare_permuted


def stopped_null(m: Metric, xs: list[Any], ys: list[Any], values: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """The scores under permutations that decide which of `values` and of their bests are significant.

    A score that enough permutations have reached is not significant, and its calibrated score is 0, whatever further
    permutations give: those are not computed, and stand as equal to the best score of all. Every outcome that is
    counted is the same as of all permutations.
    """
    sign, enough = (-1.0 if m.distance else 1.0), settling(len(orders))
    null = np.full((len(orders), *values.shape), np.nan)
    sizes = [size for size in STACKS if size <= len(xs)]
    for j, y in enumerate(ys):
        observed = sign * values[:, j]
        cells, bests = np.zeros(len(xs), dtype=int), np.zeros(len(sizes), dtype=int)
        for k in range(len(orders)):
            reach = max((size for size, c in zip(sizes, bests, strict=True) if c < enough), default=0)
            needed = np.flatnonzero((cells < enough) | (np.arange(len(xs)) < reach))
            if not len(needed):
                break
            null[k, needed, j] = sampled_null(m, [xs[i] for i in needed], [y], orders[k : k + 1])[0, :, 0]
            scores = sign * null[k, :, j]
            cells += scores >= observed
            bests += [bool(np.nanmax(scores[:s]) >= observed[:s].max()) if s <= reach else False for s in sizes]
    every = sign * np.concatenate([values.ravel(), null[~np.isnan(null)]])
    return np.where(np.isnan(null), sign * every.max(), null)


@dataclasses.dataclass
class Counts:
    """What is counted over trials: one list of outcomes each."""

    single: list[float] = dataclasses.field(default_factory=list)
    exact: list[float] = dataclasses.field(default_factory=list)
    maximum: list[float] = dataclasses.field(default_factory=list)
    naive: list[float] = dataclasses.field(default_factory=list)
    calibrated: list[float] = dataclasses.field(default_factory=list)
    best: list[float] = dataclasses.field(default_factory=list)

    def means(self) -> dict[str, float]:
        """Mean outcome of everything that was counted."""
        return {k: round(float(np.mean(v)), 5) for k, v in dataclasses.asdict(self).items() if v}


def null_batch(
    m: Metric, xs: list[Any], ys: list[Any], orders: np.ndarray, counts: list[Counts], *, stopped: bool
) -> None:
    """One trial for each layer of y against the stack of x, counted for every smaller stack as well."""
    values = np.asarray(m.compare(xs, ys), dtype=np.float64)
    null = stopped_null(m, xs, ys, values, orders) if stopped else sampled_null(m, xs, ys, orders)
    best = m.range[0] if m.distance else m.range[1]
    known = m.null_moments(xs[:1], ys)
    exact = None
    if known is not None and known.std is not None and not m.distance:
        exact = np.asarray(known.p_value(values[:1]))[0]
    pairs = calibrate(values, null, alpha=ALPHA, s_max=best, distance=m.distance)
    for size, count in zip(STACKS, counts, strict=True):
        if size > len(xs):
            continue
        extreme = np.min if m.distance else np.max
        tops = extreme(values[:size], axis=0), extreme(null[:, :size], axis=1)
        top = calibrate(*tops, alpha=ALPHA, s_max=best, distance=m.distance)
        for j in range(len(ys)):
            count.single.append(pairs.p_value[0, j] <= ALPHA)
            count.maximum.append(maximum_p(values[:size, j], null[:, :size, j], distance=m.distance) <= ALPHA)
            count.naive.append((pairs.p_value[:size, j] <= ALPHA).any())
            count.calibrated.append(float(pairs.calibrated[:size, j].mean()))
            count.best.append(float(top.calibrated[j]))
            if exact is not None:
                count.exact.append(exact[j] <= ALPHA)


# ---- a planted signal: power -----------------------------------------------------------------------------------


def power_cell(cell: Cell) -> Cell:
    """Share of trials in which a planted signal of rank r is found by the p of the maximum over several layers."""
    m, n, d, others, found = metric(cell["metric"]), cell["n"], cell["d"], cell["stack"] - 1, []
    for trial in range(cell["trials"]):
        rng = np.random.default_rng([trial, n])
        x, y = planted(n, d, d, cell["rank"], cell["strength"], rng)
        left, right = ([m.prepare(z), *(m.prepare(rng.standard_normal((n, d))) for _ in range(others))] for z in (x, y))
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

    heavy = "features" in cell  # items as far out as Student's t puts them, in signal and noise alike

    def draw(mixing: Sequence[np.ndarray]) -> list[np.ndarray]:
        size = 1 / np.sqrt(rng.standard_gamma(1.5, (n, 1)) / 0.5) if heavy else 1.0  # of mean square one
        z = rng.standard_normal((n, rank))
        return [size * (s * z @ w + t * rng.standard_normal((n, w.shape[1]))) for w in mixing]

    known = m.spec == metric("cka(estimator='unbiased')").spec and not heavy
    truth = population_cka(a, b, s, t) if known else float(np.mean([m(*draw((a, b))) for _ in range(400)]))
    held: dict[str, list[bool]] = {}
    widths, apart = [], []
    for trial in range(cell["trials"]):
        x, y, twin = draw((a, b, a))
        xs, ys = [m.prepare(x)], [m.prepare(y)]
        made = {"influence": interval(m, xs, ys)}
        if cell["halves"]:
            made["subsets"] = subsample_interval(m, [x], [y], repeats=40, seed=trial)
        if isinstance(m, MutualKnn):  # the bootstrap of items that look, with the graph held fixed
            made["queries"] = query_interval(m.contributions(xs, ys), repeats=400, seed=trial)
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


def paired_metrics(every_variant: bool) -> list[str]:
    """The main variant of every metric, or all of them; those that never look at the pairing have no null."""
    specs = []
    for name, kind in REGISTRY.classes.items():
        variants = getattr(kind, "variants", ()) or (name,)
        specs += variants if every_variant else variants[:1]
    specs = list(dict.fromkeys(metric(s).spec for s in (*specs, *MORE_VARIANTS)))
    return [s for s in specs if not metric(s).chance.startswith("the score itself")]


def grid(quick: bool, trials: int, draws: int, budget: float, every_variant: bool) -> list[Cell]:
    """All cells, the cheap ones first."""
    few = [metric(s).spec for s in QUICK_METRICS]
    common = {"trials": trials, "permutations": draws, "budget": budget}
    sizes, ratios = ((128,), (0.25, 4.0)) if quick else ((128, 512, 1024), (0.25, 1.0, 4.0, 8.0))
    cells: list[Cell] = [
        {"part": "null", "metric": m, "features": f, "n": n, "ratio": r} | common
        for n in sizes
        for r in ratios
        for f in ("Gaussian", "Student t₃")
        for m in (few if quick else paired_metrics(every_variant))
    ]
    cells += [
        {"part": "power", "metric": m, "n": n, "d": d, "rank": r, "strength": s, "stack": 2}
        | {"trials": min(trials, 200), "permutations": draws}
        for n, d in (((64, 16),) if quick else ((128, 32), (128, 128)))
        for r in ((4,) if quick else (1, 8))
        for m in few
        for s in ((0.0, 0.2, 0.6) if quick else (0.0, 0.1, 0.2, 0.4, 0.6, 0.8))
    ]
    cells += [
        {"part": "interval", "metric": metric(m).spec, "n": n, "d": 32, "strength": s}
        | {"trials": trials, "halves": not quick}
        for n in ((128,) if quick else (128, 512))
        for m in INTERVAL_METRICS[: 2 if quick else None]
        for s in ((0.0, 0.4) if quick else (0.0, 0.1, 0.2, 0.4, 0.8))
    ]
    cells += [
        {"part": "interval", "metric": metric(m).spec, "features": "Student t₃", "n": n, "d": 32, "strength": 0.4}
        | {"trials": trials, "halves": True}
        for n in (() if quick else (128, 512))
        for m in INTERVAL_METRICS
    ]
    cells += [
        {"part": "interval", "metric": metric(m).spec, "n": 24, "d": 6, "strength": 0.4}
        | {"trials": trials, "halves": True}
        for m in (() if quick else INTERVAL_METRICS)
    ]
    return cells


PARTS = {"null": null_cell, "power": power_cell, "interval": interval_cell}
SAME = {"unit_matching": "soft_matching"}  # of layers of equal width, as all of the first part are: one assignment
FOUND = ("stacks", "left_out", "seconds")
SETTING = ("part", "features", "n", "ratio", "d", "rank")


def key(cell: Cell) -> str:
    """What a cell is kept under: the budget decides only whether it is run."""
    return json.dumps({k: v for k, v in cell.items() if k != "budget"}, sort_keys=True)


def computed(cells: Sequence[Cell], cache: Path) -> int:
    """Run the cells of one setting, which share their draws, each kept as soon as it is done."""
    for cell in cells:
        same = kept(cache).get(key(cell | {"metric": SAME[cell["metric"]]})) if cell.get("metric") in SAME else None
        found = cell | {k: same[k] for k in FOUND} if same and same["stacks"] else PARTS[cell["part"]](cell)
        line = json.dumps([key(cell), found]) + "\n"
        with cache.open("a", encoding="utf-8") as file:
            file.write(line)
    _factor.cache_clear()
    return len(cells)


def kept(cache: Path) -> dict[str, Cell]:
    """Finished cells; a line cut short by a kill is passed over."""
    done = {}
    for line in cache.read_text(encoding="utf-8").splitlines() if cache.exists() else ():
        try:
            name, result = json.loads(line)
        except ValueError:
            continue
        done[name] = result
    return done


def settled(cell: Cell, done: dict[str, Cell]) -> bool:
    """Whether a cell need not be run: it was, and what it was left out for would leave it out again."""
    found = done.get(key(cell))
    if found is None:
        return False
    too_dear = found["part"] == "null" and not found["stacks"] and _not_run(found)
    return not too_dear or cell["budget"] <= found["budget"]


def run(cells: Iterable[Cell], workers: int, cache: Path) -> list[Cell]:
    """Results of all cells that are kept afterwards; those in the cache are not run again, but with a larger budget."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    done, cells = kept(cache), list(cells)
    settings: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in sorted(cells, key=lambda c: dear(metric(c["metric"]))):
        if not settled(cell, done):
            settings.setdefault((dear(metric(cell["metric"])), *(cell.get(k) for k in SETTING)), []).append(cell)
    todo = sum(map(len, settings.values()))
    print(f"{len(cells)} cells, {len(cells) - todo} of them done before", flush=True)
    finished, begin = 0, time.perf_counter()
    with ProcessPoolExecutor(workers, max_tasks_per_child=1) as pool:
        futures = {pool.submit(computed, part, cache): setting for setting, part in settings.items()}
        for future in as_completed(futures):
            finished += future.result()
            setting = " ".join(str(v) for v in futures[future][1:] if v is not None)
            print(f"{finished} of {todo} cells, {(time.perf_counter() - begin) / 60:.0f} min ({setting})", flush=True)
    done = kept(cache)
    return [done[key(c)] for c in cells if key(c) in done]


# ---- tables ----------------------------------------------------------------------------------------------------


def band(trials: int, confidence: float = 0.99) -> tuple[float, float]:
    """Shares of rejections that are compatible with the level."""
    low, high = stats.binom.interval(confidence, trials, ALPHA)
    return float(low) / trials, float(high) / trials


def null_table(cells: list[Cell]) -> list[str]:
    """One row a metric over all its settings; every single cell is in the file of cells."""
    trials, draws = cells[0]["trials"], cells[0]["permutations"]
    low, high = band(trials)
    sizes, ratios = (sorted({c[k] for c in cells}) for k in ("n", "ratio"))
    rows: dict[str, list[Cell]] = {}
    for c in cells:
        rows.setdefault(c["metric"], []).append(c)
    lines, tested, above, below = [], 0, 0, 0
    for name, own in rows.items():
        stacks = [s for c in own for s in c["stacks"]]
        shares = {k: [s[k] for s in stacks if k in s] for k in ("exact", "maximum")}
        shares["single"] = [c["stacks"][0]["single"] for c in own if c["stacks"]]
        shares["exact"] = [c["stacks"][0]["exact"] for c in own if c["stacks"] and "exact" in c["stacks"][0]]
        every = [v for k in ("single", "exact", "maximum") for v in shares[k]]
        tested, high_ones = tested + len(every), sum(v > high for v in every)
        low_ones = sum(v < low for v in every)
        above, below = above + high_ones, below + low_ones
        naive = [s["naive"] for s in stacks if s["layers"] == max(STACKS)]
        worst = max((max(s["calibrated"], s["best"]) for s in stacks), default=None)
        most = max((s["layers"] for s in stacks), default=0)
        ran = sum(bool(c["stacks"]) for c in own)
        refused = sum(not c["stacks"] and not _not_run(c) for c in own)
        settings = f"{ran} of {len(own) - refused}" + (f", {refused} refused" if refused else "")
        lines.append(
            f"| {name} | {settings} | {most} | {_span(shares['single'])} | {_span(shares['exact'])} | "
            f"{_span(shares['maximum'])} | {_span(naive)} | {'–' if worst is None else f'{worst:.4f}'} | "
            f"{high_ones} / {low_ones} / {len(every)} |"
        )
    return [
        f"Share of {trials} trials called significant at {ALPHA:g} on independent features, Gaussian and Student t₃, "
        f"n of {', '.join(map(str, sizes))} items, d / n of {', '.join(f'{r:g}' for r in ratios)}, one layer of y "
        f"against {', '.join(map(str, STACKS))} of x, {draws} permutations. Each entry is the least and the greatest "
        f"share over these settings; the binomial 99 % band of one share is [{low:.3f}, {high:.3f}]. *naive* calls 32 "
        "layers significant if any alone is. *Calibrated* is the greatest mean calibrated score of any setting, of "
        "single pairs or of the maximum (of scores without a best value, as HSIC, the excess itself). *Outside* counts "
        "shares above the band, below it, and all. *Settings* are those that were run; *refused* are wide layers on "
        "which a metric has no answer and says so. Permutations of metrics that share nothing stop where the decision "
        "is made, which changes no outcome. Layers of equal width, as all are here, make `unit_matching` and "
        "`soft_matching` one and the same, so that one is run for both. Every cell, and how many minutes one would "
        "take that was not run, is in [calibration.csv](calibration.csv).",
        "",
        f"**{above} of {tested} shares lie above the band and {below} below; {0.005 * tested:.0f} on either side are "
        "expected if all is right.** Below is careful: scores that tie, as counts do, give p-values that are too "
        "large.",
        "",
        "| metric | settings | most layers | single pair | single, exact p | maximum | naive | calibrated | outside |",
        "|" + "---|" * 9,
        *lines,
    ]


def _not_run(cell: Cell) -> bool:
    """Whether a cell without results is one that would take too long, and not one that the metric refuses."""
    return "would take" in cell["left_out"] or "not run" in cell["left_out"]


def _span(shares: list[float]) -> str:
    if not shares:
        return "–"
    return f"{min(shares):.3f}–{max(shares):.3f}" if len(shares) > 1 else f"{shares[0]:.3f}"


def write_cells(cells: list[Cell], path: Path) -> None:
    """Every cell of the first part, one line a stack of layers."""
    columns = ("single", "exact", "maximum", "naive", "calibrated", "best")
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(("metric", "features", "n", "d/n", "layers", "trials", "permutations", *columns, "left out"))
        for c in cells:
            head = (c["metric"], c["features"], c["n"], c["ratio"])
            for s in c["stacks"]:
                out.writerow((*head, s["layers"], c["trials"], c["permutations"], *(s.get(k, "") for k in columns), ""))
            if c["left_out"]:
                out.writerow((*head, "", c["trials"], c["permutations"], *[""] * len(columns), c["left_out"]))


def power_table(cells: list[Cell]) -> list[str]:
    """One row a metric, size and rank; one column a strength."""
    strengths = sorted({c["strength"] for c in cells})
    lines = [
        f"Share of {cells[0]['trials']} trials in which the p of the maximum over {cells[0]['stack']} × "
        f"{cells[0]['stack']} layers ({cells[0]['permutations']} permutations), one pair of which shares a signal of "
        "rank r that carries a share s of its variance, is at most 0.05.",
        "",
        "| metric | n | d | rank | " + " | ".join(f"s = {s:g}" for s in strengths) + " |",
        "|" + "---|" * (4 + len(strengths)),
    ]
    rows: dict[tuple[str, int, int, int], dict[float, float]] = {}
    for c in cells:
        rows.setdefault((c["metric"], c["n"], c["d"], c["rank"]), {})[c["strength"]] = c["power"]
    for (m, n, d, r), row in rows.items():
        shares = " | ".join(f"{row[s]:.2f}" if s in row else "–" for s in strengths)
        lines.append(f"| {m} | {n} | {d} | {r} | {shares} |")
    return lines


def interval_table(cells: list[Cell]) -> list[str]:
    """One row a cell; coverage outside [0.92, 0.98] is bold."""
    lines = [
        f"Share of {cells[0]['trials']} intervals of nominal 95 % that hold the truth: the population value for "
        "unbiased CKA of Gaussian features, the mean of 400 independent samples of the same size for the others. "
        "*Student t₃* makes whole items far or near by its scale, signal and noise alike. Outside [0.92, 0.98] is "
        "bold. *different* is the share of paired tests at 0.05 that call two equally noisy twins different. Queries: "
        "gallery fixed, so not meant to cover a truth in which the gallery varies too.",
        "",
        "| metric | features | n | d | strength | truth | influence | width | subsets | queries | different |",
        "|" + "---|" * 11,
    ]
    for c in cells:
        shares = [
            "–" if k not in c else (f"{c[k]:.3f}" if 0.92 <= c[k] <= 0.98 else f"**{c[k]:.3f}**")
            for k in ("influence", "subsets", "queries")
        ]
        width, different = (f"{c[k]:.3f}" if k in c else "–" for k in ("width", "different"))
        lines.append(
            f"| {c['metric']} | {c.get('features', 'Gaussian')} | {c['n']} | {c['d']} | {c['strength']:g} | "
            f"{c['truth']:.3f} | {shares[0]} | {width} | {shares[1]} | {shares[2]} | {different} |"
        )
    return lines


READING = """
## Reading

- **p-values keep their level**, single ones, exact ones and those of the maximum over 32 layers. What lies below the
  band are scores that tie, and stacks that share their first layers, so that one careful draw shows in several entries;
  and exact p-values of biased CKA and `decoding` on wide Student t₃ features, where in many trials a few items decide
  nearly all of the score: p is then a bound, in place of which a scan shows the sampled p ([nulls.md](nulls.md)).
- **Calling a scan significant because one of its 32 pairs is** (*naive*) is wrong in 62 to 86 % of scans of noise.
- **The calibrated score of noise is 0** but for some thousandths, at every d / n, where biased CKA itself is near 1.
- **Power rises to 1** with the strength of a shared signal, and fastest where it is concentrated (rank 1), but for
  SVCCA: its mean over all kept axes dilutes a signal of few dimensions, and with as many features as items nothing is
  left of it.
- **Intervals from influence functions**, those that a scan shows (CKA, distance correlation, mutual and Jaccard kNN,
  RSA, Procrustes), hold the truth in 0.93 to 0.98 of trials with Gaussian features on 128 and 512 items; Procrustes
  in 0.985 where 128 items score chance. With items as far out as Student's t with 3 degrees of freedom puts them,
  those of CKA and Procrustes are a little too narrow (0.90 to 0.94), and on 24 items those of CKA, distance
  correlation and RSA (0.85 to 0.90; biased CKA is an exception).
- **Tests of differences** keep their level on 128 and 512 items (Procrustes is careful where scores are chance), but
  not unbiased CKA on 24 (0.11).
- **Intervals from subsets**, for all other metrics, are up to √2 too wide where the score is chance, and too narrow
  where half of the items are few: for metrics that fit a map to few items a feature, with items far out, or with k
  near the size of the subset.
"""


def document(results: list[Cell], arguments: str) -> str:
    """The page, of whatever parts there are."""
    parts = {p: [c for c in results if c["part"] == p] for p in PARTS}
    texts = [
        "# Calibration\n",
        "Whether p-values, calibrated scores and intervals keep what they promise, on data whose truth is known. Made "
        f"by `python benchmarks/calibration.py {arguments}`; every cell is seeded. What would take longer than "
        "`--budget` allows is left out, and run when the command is given a larger one: this page has grown over "
        "several runs.\n",
    ]
    tables = {"null": null_table, "power": power_table, "interval": interval_table}
    titles = {"null": "## No signal\n", "power": "\n## Planted signal\n", "interval": "\n## Intervals\n"}
    for name, cells in parts.items():
        if cells:
            texts += [titles[name], *tables[name](cells)]
    return "\n".join(texts) + "\n" + READING


def beside() -> str:
    """The sections of the page that other studies wrote (few_items, signatures, gain)."""
    text = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    names = "Few items|Failure signatures|Gain of fusion"
    parts = re.findall(rf"^## (?:{names})\n.*?(?=^## )", text, re.MULTILINE | re.DOTALL)
    return "".join(parts)


def main() -> None:
    """Run the grid and print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a corner of the grid, 200 trials")
    parser.add_argument("--variants", action="store_true", help="all variants of every metric, not the main ones")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--permutations", type=int, default=19, help="one less than a multiple of 20")
    parser.add_argument("--budget", type=float, default=15.0, help="seconds that one cell of the first part may take")
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--sizes", nargs="+", type=int, help="only these numbers of items")
    parser.add_argument("--metrics", nargs="+", help="only these metrics")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--write", action="store_true", help="put the page and the cells into docs/")
    parser.add_argument("--no-run", action="store_true", help="only the tables of what is kept")
    args = parser.parse_args()
    if (args.permutations + 1) % 20:
        parser.error("--permutations must be one less than a multiple of 20, so that the level is reached exactly")
    trials = args.trials or (200 if args.quick else 400)
    cells = grid(args.quick, trials, args.permutations, args.budget, args.variants)
    cells = [c for c in cells if c["part"] in args.parts and (args.sizes is None or c["n"] in args.sizes)]
    if args.metrics:
        cells = [c for c in cells if c["metric"] in {metric(m).spec for m in args.metrics}]
    if args.no_run:
        done, missing = kept(args.cache), {"stacks": [], "left_out": "not run yet"}
        results = [done.get(key(c), c | missing) for c in cells if key(c) in done or c["part"] == "null"]
    else:
        results = run(cells, args.workers, args.cache)
    given = f"--quick --trials {trials}" if args.quick else f"--trials {trials}"
    page = document(results, f"{given} --permutations {args.permutations} --write")
    if args.write:
        page = page.replace(READING, f"\n{beside()}{READING.lstrip()}")
        DOCUMENT.write_text(page, encoding="utf-8")
        write_cells([c for c in results if c["part"] == "null"], CELLS)
        print(f"wrote {DOCUMENT.relative_to(ROOT)} and {CELLS.relative_to(ROOT)}")
    else:
        print(page)


if __name__ == "__main__":
    main()
