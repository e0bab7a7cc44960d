"""From how many items on does each exact tail hold its level?

Claim: the share of all pairings (of 20,000 random ones above 8 items) that a p-value calls significant at 0.05 is at
most 0.05 and one step of the lattice of pairings, or three standard errors of the measurement: of the exact tail from
`tail_from` items on, and of what `Metric.null` gives for every number of items, which below that is counted among all
pairings or among sampled ones.

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

ROOT = Path(__file__).parent.parent
DOCUMENT, CACHE = ROOT / "docs" / "calibration.md", ROOT / "runs" / "few_items.jsonl"
BEGIN, END = "## Few items\n", "\n## "
ALPHA, SAMPLED, ALL_UP_TO = 0.05, 20_000, 8
ITEMS = (4, 5, 6, 7, 8, 9, 10, 12, 16, 24)
SPECS = (
    "biased_cka",
    "rsa(dissimilarity='euclidean', comparison='pearson')",
    "rsa(dissimilarity='cosine', comparison='spearman')",
    "mutual_knn(k=1)",
    "mutual_knn(k=2)",
    "jaccard_knn(k=2)",
)
"""Variants beside those that the metrics name themselves."""


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


KINDS = ("plane", "Gaussian", "wide", "spectrum", "Student t₃", "clusters")


def exact_variants() -> Iterator[Metric[Any]]:
    """Every metric variant whose null has a tail."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((32, 2)) @ rng.standard_normal((2, 2, 6)) + rng.standard_normal((2, 32, 6)) / 4
    for spec in dict.fromkeys([v for c in REGISTRY.classes.values() for v in (c.variants or (c.name,))] + list(SPECS)):
        m = metric(spec)
        if m.distance:
            continue
        null = m.null_moments([m.prepare(x)], [m.prepare(y)])
        if null is not None and null.std is not None:
            yield m


def cell(m: Metric[Any], n: int, kind: str, seed: int, *, sampled: int = SAMPLED) -> dict[str, Any] | None:
    """The share of pairings with p ≤ 0.05 by the exact tail and by `Metric.null`; None where there is no score."""
    rng = np.random.default_rng([n, KINDS.index(kind), seed])
    x, y = features(kind, n, rng), features(kind, n, rng)
    try:
        xs, ys = [m.prepare(x)], [m.prepare(y)]
        moments = m.null_moments(xs, ys)
        if n < m.min_items or moments is None or moments.std is None or not float(np.ravel(moments.std)[0]) > 0:
            return None
        whole = n <= FEW or (n <= ALL_UP_TO and sampled >= SAMPLED)
        orders = every_order(n) if whole else np.stack([rng.permutation(n) for _ in range(sampled)])
        scores = np.array([v[0, 0] for v in m.compare_permuted(xs, ys, orders)])
        null = m.null(x, y, permutations=999, seed=seed)
    except IsomorphError:
        return None
    # the tail by itself, whatever the number of items
    flat = {f: np.ravel(v)[0] for f in ("mean", "std", "skewness", "scale") if (v := getattr(moments, f)) is not None}
    weights = None if moments.weights is None else np.ravel(moments.weights)
    tail = dataclasses.replace(moments, **flat, weights=weights, tail_from=0)
    step = 1 / math.factorial(n) if whole else 0.0
    error = 0.0 if whole else math.sqrt(ALPHA * (1 - ALPHA) / len(orders))
    return {
        "exact": float(np.mean(np.asarray(tail.tail_p(scores)) <= ALPHA)) if tail.tail_known else None,
        "given": float(np.mean(np.asarray(null.p_value(scores)) <= ALPHA)),
        "limit": ALPHA + step + 3 * error,
    }


def measure(quick: bool) -> dict[str, dict[int, dict[str, float]]]:
    """Per variant and number of items, the greatest shares over the data sets and the limit that they must keep."""
    known = {}
    if CACHE.exists() and not quick:
        known = {tuple(json.loads(line)["key"]): json.loads(line)["found"] for line in CACHE.open(encoding="utf-8")}
    out: dict[str, dict[int, dict[str, float]]] = {}
    seeds, items = (range(1), (5, 8, 10)) if quick else (range(2), ITEMS)
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
                exact = [c["exact"] for c in found if c["exact"] is not None]
                out.setdefault(m.spec, {})[n] = {
                    "exact": max(exact, default=0.0),
                    "given": max(c["given"] for c in found),
                    "limit": max(c["limit"] for c in found),
                }
        print(m.spec, out.get(m.spec, {}), file=sys.stderr, flush=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few data sets and pairings")
    parser.add_argument("--write", action="store_true", help="put the table into docs/calibration.md")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    measure(arguments.quick)


if __name__ == "__main__":
    main()
