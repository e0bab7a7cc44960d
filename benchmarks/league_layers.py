"""Does a comparison of several layers tell more of what two networks do than that of their last layers?

The 24 networks of `digits` of which any two are asked, here with all their layers. Every metric scores every pair of
layers of any two networks once; networks are then compared by the last layer, by the largest score of any two layers,
and by the layers of one relative depth. What is told is what the networks answer and can do for each other.

Shown: the statistic of each way, and its difference from the last layer with its interval and Holm's adjusted p. No way
is claimed to be better: what comes is reported.

`python benchmarks/league_layers.py --write` trains what is not there yet (some four minutes), takes five minutes more
on one core, and puts the table into docs/league.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

from _measure import put_section

import isomorph as iso
from isomorph.leagues.families._recipes import Recipe
from isomorph.leagues.families.digits import Digits

DOCUMENT = Path(__file__).parent.parent / "docs" / "league.md"
BEGIN, BEFORE = "## By which layers networks are compared\n", "## What came of the digits"
METRICS = ("cka", "cka(estimator='biased')", "distance_correlation", "rsa", "mutual_knn(k=10)")
CRITERIA = (
    "accuracy",
    "disagreement",
    "jensen_shannon",
    "stitching",
    "predictivity",
    "retrieval",
    "probes",
    "steering",
)
WAYS = {" max over layers": "maximum", **{f" at depth {d}": f"depth {d:g}" for d in (0.0, 0.25, 0.5, 0.75)}}


class Whole(Digits):
    """`digits` with all layers of the networks of which any two are asked."""

    def recipes(self) -> Iterator[Recipe]:
        for recipe in super().recipes():
            asked = recipe.shortcut is None and not recipe.moments and recipe.name.endswith(("-0", "-1"))
            yield dataclasses.replace(recipe, deep=True) if asked else recipe


def page(league: iso.League, seeds: int, epochs: int) -> str:
    """The section of the page."""
    columns = ("criterion", "metric", "last layer", *WAYS.values())
    contrasts = {(c.criterion, c.first): c for c in league.contrasts() if c.form == "layers"}
    rows = []
    for spec in league.criteria:
        for metric in (name for name in league.metrics if league[spec].rows[name] and not name.endswith(tuple(WAYS))):
            standing = league[spec].rows[metric]
            cells = []
            for way in WAYS:
                found = contrasts[spec, metric + way]
                words = f"{league[spec].rows[metric + way].value:.2f}"
                words += {None: "", True: " ▲", False: " ▼"}[found.better and found.better == found.first]
                cells.append(words)
            rows.append([spec.partition("(")[0], f"`{league.short(metric)}`", f"{standing.value:.2f}", *cells])
    told = []
    for way, words in WAYS.items():
        own = [c for (_, first), c in contrasts.items() if first.endswith(way)]
        better, worse = sum(c.better == c.first for c in own), sum(c.better == c.second for c in own)
        most = max(own, key=lambda c: abs(c.difference))
        told.append(
            f"- **{words}**: better than the last layer in {better} of {len(own)} comparisons, worse in {worse}; the "
            f"largest difference is {most.difference:+.2f} ({most.low:+.2f} to {most.high:+.2f}, adjusted p "
            f"{most.adjusted:.2g}; `{league.short(most.second)}`, {most.criterion.partition('(')[0]})."
        )
    same = sum(row[3].split()[0] == row[4].split()[0] for row in rows)
    told.append(
        f"\nIn {same} of {len(rows)} rows the maximum tells what the first layers tell, to two digits: these are the "
        "most alike in nearly all pairs of networks, whatever comes later."
    )
    lines = [
        BEGIN,
        '`league(…, layers="all")` also compares networks by the largest score of any two of their layers, and by the '
        'layers of one relative depth (`"max"`: by the largest alone). By `python benchmarks/league_layers.py --write`'
        f"{'' if (seeds, epochs) == (5, 20) else f' with {seeds} seeds and {epochs} epochs'}: the "
        f"{league.units.max()} networks of digits of which any two are asked, with all their five layers; ▲ better and "
        "▼ worse than the last layer, by the paired difference over networks with Holm's adjustment for all.",
        "",
        *(f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows)),
        "",
        *told,
        "",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, and write or print the section."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="put the section into docs/league.md")
    args = parser.parse_args()
    family = Whole(args.seeds, args.epochs).load(CRITERIA)
    league = iso.league(family, METRICS, criteria=CRITERIA, layers="all")
    print(league)
    section = page(league, args.seeds, args.epochs)
    if args.write:
        put_section(DOCUMENT, BEGIN, BEFORE, section)
    else:
        print(section)
    return 0


if __name__ == "__main__":
    sys.exit(main())
