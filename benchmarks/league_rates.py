"""Is "metric A predicts better than metric B" right? Rates of false findings over leagues of equally good metrics.

A network is a point z of a space of three dimensions. A metric sees it as z + a, where a is the metric's own error of
that network, and scores two networks by how near they lie, with an error of its own for each pair: so pairs that share
a network are not independent, as in a real league. All metrics of a league are drawn alike; none is better.

- *kinds*: networks of four kinds, each around a center; the truth is which are of one kind (AUPRC).
- *pairs*: the truth is how far two networks lie apart (Spearman).

Claims: of the p of a difference between two equal metrics, no more than the 99 % band of 0.05 are at most 0.05; of the
p of metrics that see nothing, no more than that either. Shown beside: how often one of five equal metrics is told apart
from the best (Holm), which looks at the best of five; and how often a metric with less error of its own is found to be
better than another.

`python benchmarks/league_rates.py --write` makes 400 leagues a row, some four minutes on one core, and puts the table
into docs/calibration.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _measure import put_section
from scipy import stats

from isomorph.leagues import LeagueSettings, Network, Question
from isomorph.leagues._league import _best, _p_values, _row
from isomorph.leagues.criteria._base import GroupQuestion, PairQuestion

DOCUMENT = Path(__file__).parent.parent / "docs" / "calibration.md"
BEGIN, READING = "## Leagues of metrics\n", "## Reading"
LEVEL, DIMS, KINDS, EQUAL, PERMUTATIONS = 0.05, 3, 4, 5, 99
ERROR, BETTER, OF_PAIRS = 0.7, 0.3, 0.3
"""Error of a metric's own for a network, that of a better metric, and that for a pair."""
SIZES = (8, 12, 24, 48)
STATISTICS = ("auprc", "spearman")
COLUMNS = ("truth", "networks", "A against B", "one of five", "sees nothing", "better is found")


class Seen:
    """What a metric says of every two networks, in place of a `Scorer`."""

    def __init__(self, name: str, points: np.ndarray, error: float, rng: np.random.Generator) -> None:
        own = points + error * rng.normal(size=points.shape)
        apart = np.linalg.norm(own[:, None] - own[None, :], axis=2)
        noise = OF_PAIRS * rng.normal(size=apart.shape)
        self.name, self.layers, self.scores = name, "last", -apart + noise + noise.T

    def networks(self, layers: Sequence[object]) -> np.ndarray:
        """The scores of all networks with each other."""
        return self.scores


def question(statistic: str, networks: int, rng: np.random.Generator) -> tuple[Question, np.ndarray]:
    """Networks and what is asked of them, with where they lie."""
    points = rng.normal(size=(networks, DIMS))
    kinds = np.arange(networks) * KINDS // networks if networks >= 3 * KINDS else np.arange(networks) * 2 // networks
    if statistic != "spearman":
        points = 1.2 * rng.normal(size=(KINDS, DIMS))[kinds] + 0.6 * points
    made = [Network(f"n{i}", {"l": np.eye(2)}, attributes={"kind": int(k)}) for i, k in enumerate(kinds)]
    if statistic == "spearman":
        return PairQuestion(made, np.linalg.norm(points[:, None] - points[None, :], axis=2)), points
    return GroupQuestion(made, "kind", statistic), points


def league(statistic: str, networks: int, seed: int) -> tuple[float, bool, float, bool]:
    """p of two equal metrics, whether one of five is told apart, p of one that sees nothing, and a better one found."""
    rng = np.random.default_rng([seed, networks, STATISTICS.index(statistic)])
    asked, points = question(statistic, networks, rng)
    field = [Seen(f"equal {k}", points, ERROR, rng) for k in range(EQUAL)] + [Seen("better", points, BETTER, rng)]
    few, many = (LeagueSettings(metrics=["cka"], permutations=k, draws=100, seed=seed) for k in (19, PERMUTATIONS))
    row = _row(None, asked, field, few, lambda _: None)  # type: ignore[arg-type]  # no criterion of the registry
    equal = dataclasses.replace(row, values=np.where(np.arange(EQUAL + 1) < EQUAL, row.values, np.nan))
    apart = np.any(~_best(equal, LEVEL)[:EQUAL])
    found = row.p_differences[EQUAL, 0] <= LEVEL and row.differences[EQUAL, 0] > 0
    blind = Seen("blind", rng.normal(size=points.shape), ERROR, rng).scores
    value = np.array([asked.value(blind, np.arange(networks))])
    p_blind = _p_values(asked, [blind], value, many)
    return float(row.p_differences[0, 1]), bool(apart), float(p_blind[0]), bool(found)


def rates(trials: int) -> list[dict[str, object]]:
    """One row a statistic and number of networks."""
    out: list[dict[str, object]] = []
    for statistic in STATISTICS:
        for networks in SIZES:
            p, apart, blind, found = zip(*(league(statistic, networks, seed) for seed in range(trials)), strict=True)
            shares = (np.mean(np.array(p) <= LEVEL), np.mean(apart), np.mean(np.array(blind) <= LEVEL), np.mean(found))
            out.append(dict(zip(COLUMNS, (statistic, networks, *map(float, shares)), strict=True)))
            print(out[-1], flush=True)
    return out


def page(found: list[dict[str, object]], trials: int) -> str:
    """The section of the page."""
    low, band = stats.binom.ppf([0.005, 0.995], trials, LEVEL) / trials
    claimed = [float(str(row[c])) for row in found for c in ("A against B", "sees nothing")]
    careful = sum(float(str(row["A against B"])) < low for row in found)
    cells = [[f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()] for row in found]
    lines = [
        BEGIN,
        f"By `python benchmarks/league_rates.py --trials {trials} --write`: {trials} leagues a row of metrics that are "
        "equally good by construction, each with errors of its own for every network and for every pair. *A against "
        f"B*: share of p of a difference between two of them at most {LEVEL}; *sees nothing*: share of p of telling "
        f"more than chance at most {LEVEL}, of a metric of other points. The 99 % band of {LEVEL} ends at {band:.3f}, "
        f"and {sum(v > band for v in claimed)} of {len(claimed)} shares lie above it; *A against B* lies below its "
        f"lower end, {low:.3f}, in {careful} of {len(found)} rows: the jackknife's error is careful, the more so with "
        "few networks, where only large differences are found. *One of five*: leagues in which "
        "one of five equal metrics is told apart from the best, which is held against as the best of five. *Better is "
        f"found*: p of a metric with {BETTER / ERROR:.0%} of the error against one of the others at most {LEVEL}: "
        "power.",
        "",
        *(f"| {' | '.join(row)} |" for row in ([*COLUMNS], ["---"] * len(COLUMNS), *cells)),
        "",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, and write or print the section."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--write", action="store_true", help="put the section into docs/calibration.md")
    args = parser.parse_args()
    section = page(rates(args.trials), args.trials)
    if args.write:
        put_section(DOCUMENT, BEGIN, READING, section)
    else:
        print(section)
    return 0


if __name__ == "__main__":
    sys.exit(main())
