"""From how many items on does each exact tail hold its level?

Claim: the share of all pairings (of 20,000 random ones above 7 items) that a p-value calls significant at 0.05 is at
most 0.05 and one step of the lattice of scores and three standard errors of the measurement, for what `Metric.null`
gives: counted among all pairings up to 7 items, among sampled ones below `TAIL_FROM`, from the exact tail above.

`python benchmarks/few_items.py --write` measures all of it, which takes about half an hour on one core, and puts the
table into docs/calibration.md. Finished cells are kept in runs/few_items.jsonl. `--quick` checks a corner.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import dataclasses
import json
import math
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from isomorph.errors import IsomorphError
from isomorph.metrics import REGISTRY, Metric, metric
from isomorph.nulls.judge import FEW, every_order
from isomorph.nulls.null import LATE_TAIL_FROM, TAIL_FROM

ROOT = Path(__file__).parent.parent
DOCUMENT, CACHE = ROOT / "docs" / "calibration.md", ROOT / "runs" / "few_items.jsonl"
BEGIN, END, READING = "## Few items\n", "\n## ", "## Reading\n"
PARTS = (("exact", "exact_holds"), ("given", "holds"))
ALPHA, SAMPLED = 0.05, 20_000
ITEMS = (4, 5, 6, 7, 8, 9, 10, 16, 28, 48)
SPECS = (
    "biased_cka",
    "rsa(dissimilarity='euclidean', comparison='pearson')",
    "rsa(dissimilarity='cosine', comparison='spearman')",
    "mutual_knn(k=1)",
    "mutual_knn(k=2)",
    "jaccard_knn(k=2)",
)
"""Variants beside those that the metrics name themselves."""
SAME_AS = {"hsic": "cka", "decoding(regularization=0)": "cca(summary='mean_square')"}
"""Metrics and variants whose scores are, for one pair of layers, a multiple of those of another."""


def features(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Features of n items of one law."""
    if kind == "plane":
        return rng.standard_normal((n, 2))
    if kind == "Gaussian":
        return rng.standard_normal((n, 5))
    if kind == "wide":
        return rng.standard_normal((n, 3 * n))
    if kind == "spectrum":
        return rng.standard_normal((n, n)) / np.arange(1, n + 1)
    if kind == "Student t₃":
        return rng.standard_t(3, (n, 4))
    groups = rng.integers(0, 3, n)
    return 3 * rng.standard_normal((3, 4))[groups] + rng.standard_normal((n, 4))


SETS = 1  # data sets of each law
KINDS = ("plane", "Gaussian", "wide", "spectrum", "Student t₃", "clusters")


def exact_variants() -> Iterator[Metric[Any]]:
    """Every metric variant whose null has a tail."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((32, 2)) @ rng.standard_normal((2, 2, 6)) + rng.standard_normal((2, 32, 6)) / 4
    for spec in dict.fromkeys([v for c in REGISTRY.classes.values() for v in (c.variants or (c.name,))] + list(SPECS)):
        m = metric(spec)
        if m.distance or m.name in SAME_AS or m.spec in SAME_AS:
            continue
        null = m.null_moments([m.prepare(x)], [m.prepare(y)])
        if null is not None and null.std is not None:
            yield m


def cell(m: Metric[Any], n: int, kind: str, seed: int, *, sampled: int = SAMPLED) -> dict[str, Any] | None:
    """The share of pairings with p ≤ 0.05 by the exact tail and by `Metric.null`, and whether they keep the level.

    None where there is no score.
    """
    if n < m.min_items:
        return None
    rng = np.random.default_rng([n, KINDS.index(kind), seed])
    x, y = features(kind, n, rng), features(kind, n, rng)
    try:
        xs, ys = [m.prepare(x)], [m.prepare(y)]
        moments = m.null_moments(xs, ys)
        if moments is None or moments.std is None or not float(np.ravel(moments.std)[0]) > 0:
            return None
        whole = n <= FEW
        orders = every_order(n) if whole else np.stack([rng.permutation(n) for _ in range(sampled)])
        scores = np.array([v[0, 0] for v in m.compare_permuted(xs, ys, orders)])
        null = m.null(x, y, seed=seed) if n < moments.tail_from else None
    except IsomorphError:
        return None
    # the tail by itself, whatever the number of items
    flat = {f: np.ravel(v)[0] for f in ("mean", "std", "skewness", "scale") if (v := getattr(moments, f)) is not None}
    weights = None if moments.weights is None else np.ravel(moments.weights)
    tail = dataclasses.replace(moments, **flat, weights=weights, tail_from=0)
    count = len(orders)
    error = 0.0 if whole else 3 * math.sqrt(ALPHA * (1 - ALPHA) / count)
    # of sampled p-values the level itself varies, with this standard error
    sampled_error = 3 * math.sqrt(ALPHA * (1 - ALPHA) / 9_999) if FEW < n < moments.tail_from else 0.0
    exact, exact_step = share(tail.tail_p(scores), scores) if tail.tail_known else (0.0, 0.0)
    given, step = (exact, exact_step) if null is None else share(null.p_value(scores), scores)
    return {
        "exact": exact,
        "exact_holds": exact <= ALPHA + exact_step + error + 1e-12,
        "given": given,
        "holds": given <= ALPHA + step + error + sampled_error + 1e-12,
    }


def share(p: Any, scores: np.ndarray) -> tuple[float, float]:
    """The share of p-values up to 0.05, and of the pairings that score as the least of those do: one lattice step."""
    called = np.asarray(p) <= ALPHA
    if not called.any():
        return 0.0, 0.0
    least = scores[called].min()
    return float(np.mean(called)), float(np.mean(np.abs(scores - least) <= 1e-9 * max(1.0, abs(least))))


def measure(quick: bool) -> dict[str, dict[int, dict[str, float]]]:
    """Per variant and number of items, the greatest shares over the data sets, and whether all keep the level."""
    known = {}
    if CACHE.exists() and not quick:
        known = {tuple(json.loads(line)["key"]): json.loads(line)["found"] for line in CACHE.open(encoding="utf-8")}
    out: dict[str, dict[int, dict[str, float]]] = {}
    seeds, items = (range(1), (5, 8, 10)) if quick else (range(SETS), ITEMS)
    for m in exact_variants():
        for n in items:
            found = []
            for kind in KINDS:
                for seed in seeds:
                    key = (m.spec, n, kind, seed)
                    if key not in known:
                        known[key] = cell(m, n, kind, seed, sampled=2000 if quick else SAMPLED)
                        if not quick:
                            CACHE.parent.mkdir(exist_ok=True)
                            with CACHE.open("a", encoding="utf-8") as file:
                                file.write(json.dumps({"key": key, "found": known[key]}) + "\n")
                    if known[key] is not None:
                        found.append(known[key])
            if found:
                shares = {k: max(c[k] for c in found) for k in ("exact", "given")}
                out.setdefault(m.spec, {})[n] = shares | {k: all(c[k] for c in found) for k in ("exact_holds", "holds")}
        print(m.spec, out.get(m.spec, {}), file=sys.stderr, flush=True)
    return out


def page(found: dict[str, dict[int, dict[str, float]]]) -> str:
    """The table for docs/calibration.md."""
    items = sorted({n for row in found.values() for n in row})
    lines = [
        BEGIN,
        f"Share of all pairings (of 20,000 random ones above 7 items) with p ≤ 0.05, the greatest over "
        f"{len(KINDS)} laws of features ({', '.join(KINDS)}), one data set each, by `benchmarks/few_items.py`: "
        "of **the exact tail by itself** / of **what `Metric.null` gives**, which is counted among all pairings up to "
        f"{FEW} items, among 9,999 sampled ones below {TAIL_FROM} ({LATE_TAIL_FROM} for RSA with Pearson and SVCCA), "
        "from there on the exact tail, unless a few items decide the score. A share may be above 0.05 by one step of "
        "the lattice of scores (the share of the pairings that score as the last of those called significant), by "
        "three standard errors of this measurement, 0.005, "
        "and of 9,999 re-pairings, 0.007. What is further above is bold. *Holds from*: the least number of items from "
        "which on the exact tail keeps the level on all data sets. Left out are multiples of others: "
        + "; ".join(f"`{a}` of `{b}`" for a, b in SAME_AS.items())
        + ".",
        "",
        "| metric | holds from | " + " | ".join(map(str, items)) + " |",
        "|---|---|" + "---|" * len(items),
    ]
    for spec, row in found.items():
        bad = [n for n, c in row.items() if not c["exact_holds"]]
        after = [n for n in row if n > max(bad, default=0)]
        entries = []
        for n in items:
            c = row.get(n)
            if c is None:
                entries.append("–")
                continue
            shown = [f"{c[k]:.3f}" if c[ok] else f"**{c[k]:.3f}**" for k, ok in PARTS]
            entries.append(" / ".join(shown))
        lines.append(f"| {spec} | {min(after) if after else '–'} | " + " | ".join(entries) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few data sets and pairings")
    parser.add_argument("--write", action="store_true", help="put the table into docs/calibration.md")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    found = measure(arguments.quick)
    table = page(found)
    print(table)
    if arguments.write:
        text = DOCUMENT.read_text(encoding="utf-8")
        begin = text.index(BEGIN) if BEGIN in text else text.index(READING)
        end = text.index(END, begin + len(BEGIN)) + 1 if BEGIN in text else begin
        DOCUMENT.write_text(text[:begin] + table + "\n" + text[end:], encoding="utf-8")
    missed = [f"{s}, {n} items: {c['given']:.4f}" for s, row in found.items() for n, c in row.items() if not c["holds"]]
    if missed:
        sys.exit("Claim missed, more than 0.05 by more than one step or three standard errors:\n" + "\n".join(missed))


if __name__ == "__main__":
    main()
