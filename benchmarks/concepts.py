"""Are the verdicts of a map of concepts right? Planted maps, and the rates of its tests where nothing is alike.

Planted: five concepts, each with its way of being seen: *shared* (all models of both modalities see its items in one
way), *bound to x* (those of x in one way, those of y each in another), *bound to y*, *bound to both* (one way in x,
another in y) and *unstable* (every model in a way of its own). Two kinds of way:

- ``places``: where the concept's items are tight in a model, they have a place of their own; else they are scattered
  over the space. Read with items re-paired freely. (No "bound to both": a place is a place.)
- ``fine``: all concepts have places of their own in all models, and ways differ in the order inside the concept. Read
  with items re-paired inside their concept (``strata``), which takes the place out of chance.

Claims, for neighbour metrics: of the concepts that get a verdict, at least 95 % get the right one; in cells where the
power, computed from the mean margins and errors over the trials, is 95 % or more, at least 90 % are right; where it is
below a half, at least half are undecided. CKA is shown beside: its score of an item reads the similarities to all
items, so that a concept among others that are stable looks stable. And where nothing is alike: the share of p at most
0.05, by item and by concept, is not above the 99 % band of 0.05, and some item (some concept) passes a false discovery
rate of 0.05 in no more than that share of the maps.

`python benchmarks/concepts.py --write` measures 400 maps a row of the rates and 60 a cell of the verdicts, some ten
minutes on two cores, and puts the tables into docs/calibration.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import stats

import isomorph as iso

DOCUMENT = Path(__file__).parent.parent / "docs" / "calibration.md"
BEGIN, READING = "## Maps of concepts\n", "## Reading"
KINDS = ("shared", "bound to x", "bound to y", "bound to both", "unstable")
METRICS = ("mutual_knn(k=10)", "cka")
DIMS, LEVEL = 6, 0.05


def planted(rng: np.random.Generator, way: str, size: int, noise: float) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Four models (x, x2, y, y2) of items of the five concepts, and the concept of each item."""
    kinds = [k for k in KINDS if way == "fine" or k != "bound to both"]
    label = np.repeat(kinds, size)
    models = {name: [] for name in ("x", "x2", "y", "y2")}
    for kind in kinds:
        place = rng.normal(size=DIMS) * 4
        common = rng.normal(size=(size, DIMS))
        own = {"x": rng.normal(size=(size, DIMS)), "y": rng.normal(size=(size, DIMS))}
        for name, parts in models.items():
            side = name[0]
            stable = kind in ("shared", "bound to both", f"bound to {side}")
            alone = rng.normal(size=(size, DIMS))
            if way == "places":
                centre = place if kind == "shared" else own[side][0] * 4
                parts.append(centre + alone if stable else alone * 4)
            else:
                inside = common if kind == "shared" else own[side] if stable else alone
                parts.append(place + inside + noise * rng.normal(size=(size, DIMS)))
    return {name: np.concatenate(parts) for name, parts in models.items()}, label


def mapped(way: str, metric: str, size: int, noise: float, seed: int) -> iso.ConceptMap:
    """The map of one planted set."""
    models, label = planted(np.random.default_rng(seed), way, size, noise)
    return iso.concepts(
        models["x"],
        models["y"],
        labels=label,
        metric=metric,
        x_ceilings={"x2": models["x2"]},
        y_ceilings={"y2": models["y2"]},
        strata=label if way == "fine" else None,
        permutations=199,
        seed=seed,
        show=False,
    )


def power(tables: list, kind: str, shared: float = 0.5, stable: float = 0.1) -> float:
    """Chance of a verdict on a concept, from mean margins and mean half widths over the maps."""
    rows = [t[kind] for t in tables]

    def decided(margin: list[float], half: list[float]) -> float:
        reach = float(np.mean(half))
        return float(stats.norm.cdf((abs(np.mean(margin)) / reach - 1) * 1.96)) if reach > 0 else 1.0

    def side(name: str) -> tuple[list[float], list[float]]:
        margin = [r[f"{name}_ceiling"] - stable for r in rows]
        return margin, [(r[f"{name}_ceiling_high"] - r[f"{name}_ceiling_low"]) / 2 for r in rows]

    found = decided(*side("x")) * decided(*side("y"))
    if kind in ("shared", "bound to both"):
        roots = [np.sqrt(max(r["x_ceiling"], 0) * max(r["y_ceiling"], 0)) for r in rows]
        margin = [r["corrected"] - shared * c for r, c in zip(rows, roots, strict=True)]
        found *= decided(margin, [(r["corrected_high"] - r["corrected_low"]) / 2 for r in rows])
    return found


def verdicts(maps: int) -> list[dict]:
    """One row a cell: how many verdicts are right, wrong and open."""
    out = []
    for way, metric, size, noise in (
        *(("places", m, s, 0.0) for m in METRICS for s in (20, 60)),
        *(("fine", m, s, e) for m in METRICS for s in (20, 60, 150) for e in (0.2, 0.5)),
    ):
        few = metric.startswith("mutual") and size <= 20 and way == "fine"
        spec = "mutual_knn(k=5)" if few else metric  # ten of nineteen would be half the concept
        tables = [mapped(way, spec, size, noise, seed).labels for seed in range(maps)]
        for kind in tables[0]:
            given = [t[kind]["verdict"] for t in tables]
            right, left_open = given.count(kind), given.count("undecided")
            row = {
                "way": way,
                "metric": spec,
                "size": size,
                "noise": noise,
                "kind": kind,
                "power": power(tables, kind),
            }
            out.append(
                row | {"right": right / maps, "wrong": (maps - right - left_open) / maps, "open": left_open / maps}
            )
            print(out[-1], flush=True)
    return out


def unrelated(kind: str, rng: np.random.Generator, n: int = 160) -> dict:
    """Arguments of `concepts` on sides that have nothing to do with each other."""
    label = np.repeat(np.arange(8), n // 8)
    if kind == "ties":
        return {
            "x": rng.integers(1, 4, (n, 3)).astype(float),
            "y": rng.integers(1, 4, (n, 3)).astype(float),
            "labels": label,
        }
    if kind == "duplicates":
        x, y = rng.normal(size=(2, n // 2, 6)).repeat(2, axis=1)
        return {"x": x, "y": y, "labels": label, "groups": np.arange(n) // 2}
    if kind == "groups":
        x, y = (rng.normal(size=(n // 4, 6)).repeat(4, axis=0) + 0.3 * rng.normal(size=(n, 6)) for _ in "xy")
        return {"x": x, "y": y, "labels": label, "groups": np.arange(n) // 4}
    if kind == "clusters, within strata":
        centre = 4 * rng.normal(size=(8, 6))
        x, y = (centre[label] + rng.normal(size=(n, 6)) for _ in "xy")
        return {"x": x, "y": y, "labels": label, "strata": label}
    if kind == "layers chosen":
        x, y = ({k: rng.normal(size=(n, 6)) for k in "abcd"} for _ in "xy")
        return {"x": x, "y": y, "labels": label}
    x, y = rng.normal(size=(2, n, 6))
    return {"x": x, "y": y, "labels": label}


def rates(maps: int) -> list[dict]:
    """One row a kind of data and metric: shares of p at most 0.05, and of maps with a false discovery."""
    out = []
    for metric in METRICS:
        for kind in ("plain", "ties", "duplicates", "groups", "clusters, within strata", "layers chosen"):
            if kind == "ties" and not metric.startswith("mutual"):
                continue
            found = []
            for seed in range(maps):
                given = unrelated(kind, np.random.default_rng(seed))
                found.append(iso.concepts(**given, metric=metric, permutations=199, seed=seed, show=False))
            out.append(
                {
                    "data": kind,
                    "metric": metric,
                    "item": float(np.mean([np.mean(f.items.p_values <= LEVEL) for f in found])),
                    "concept": float(np.mean([np.mean(f.labels.p_values <= LEVEL) for f in found])),
                    "whole": float(np.mean([f.whole.p_value <= LEVEL for f in found])),
                    "any item": float(np.mean([np.any(f.items.q_values <= LEVEL) for f in found])),
                    "any concept": float(np.mean([np.any(f.labels.q_values <= LEVEL) for f in found])),
                    "cover": "" if kind.startswith("clusters") else _cover(found),  # there concepts are not all alike
                }
            )
            print(out[-1], flush=True)
    return out


def _cover(found: list[iso.ConceptMap]) -> float:
    """Share of the intervals of concepts that hold the mean score over all maps: all concepts are alike here."""
    truth = np.mean([f.labels.scores for f in found])
    return float(np.mean([(f.labels.low <= truth) & (truth <= f.labels.high) for f in found]))


def _table(rows: list[Mapping], columns: tuple[str, ...]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", "| " + " | ".join("---" for _ in columns) + " |"]
    for row in rows:
        cells = [f"{row[c]:.3f}" if isinstance(row[c], float) else str(row[c]) for c in columns]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def page(shown: list[dict], null: list[dict], maps: int, null_maps: int) -> str:
    """The section of the page."""
    band = stats.binom.ppf(0.995, null_maps, LEVEL) / null_maps
    local = [r for r in shown if r["metric"].startswith("mutual")]
    far = [r for r in shown if not r["metric"].startswith("mutual")]

    def kept(rows: list[dict]) -> float:
        return sum(r["right"] for r in rows) / max(sum(r["right"] + r["wrong"] for r in rows), 1e-12)

    able = [r["right"] for r in local if r["power"] >= 0.95]
    weak = [r["open"] for r in local if r["power"] < 0.5]
    lines = [
        BEGIN,
        f"By `python benchmarks/concepts.py --write`; {maps} planted maps a row. Of all verdicts passed by mutual "
        f"k-nearest neighbours {kept(local):.1%} are right. In the {len(able)} rows whose power is 95 % or more, the "
        f"least share of right verdicts is {min(able):.2f} and the mean {np.mean(able):.2f}; in the {len(weak)} rows "
        f"of a power below a half, {np.mean(weak):.2f} stay undecided. Of those passed by CKA {kept(far):.1%} are "
        "right: an item's similarities to others that are stable are stable, whatever becomes of the item, and the "
        "map says so in a note.",
        "",
        "Ways: `places`, a concept's items have a place of their own in the models that see it, and are scattered in "
        "the others; `fine`, all have places and the order inside differs, read with re-pairing inside the concepts.",
        "",
        *_table(shown, ("way", "metric", "size", "noise", "kind", "power", "right", "wrong", "open")),
        "",
        f"Where nothing is alike ({null_maps} maps of 160 items in 8 concepts a row; the 99 % band of 0.05 ends at "
        f"{band:.3f}): share of p at most 0.05 by item, concept and whole; share of maps in which any item or concept "
        "passes a false discovery rate of 0.05; share of the concepts' intervals that hold their mean.",
        "",
        *_table(null, ("data", "metric", "item", "concept", "whole", "any item", "any concept", "cover")),
        "",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, and write or print the section."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--maps", type=int, default=60)
    parser.add_argument("--null-maps", type=int, default=400)
    parser.add_argument("--write", action="store_true", help="put the section into docs/calibration.md")
    args = parser.parse_args()
    shown, null = verdicts(args.maps), rates(args.null_maps)
    section = page(shown, null, args.maps, args.null_maps)
    if not args.write:
        print(section)
        return 0
    text = DOCUMENT.read_text()
    start = text.find(BEGIN)
    if start < 0:
        start = text.index(READING)
        rest = text[start:]
    else:
        rest = text[start + len(BEGIN) :]
        after = rest.find("\n## ")
        rest = rest[after + 1 :] if after >= 0 else ""
    DOCUMENT.write_text(text[:start] + section + rest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
