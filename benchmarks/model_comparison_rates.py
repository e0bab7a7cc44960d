"""Is the p of a comparison of models right? Rates of false findings over simulated experiments.

An experiment has S subjects and n items. An item has features xᵢ of a population of items, subject s sees it as
xᵢ (I + σ Aₛ) + τ ε, Aₛ of a population of subjects, and its RDM is what is given. Three ways of drawing anew, each with
the null hypotheses that `compare_models` tests when it generalizes over what is drawn:

- ``both``: subjects and items are new in every experiment; ``items``: the subjects' Aₛ stay; ``subjects``: items stay.
- *chance*: a model that has nothing to do with x. Over subjects alone, with items that stay, its expected score is 0
  only where subjects share nothing, so each has features of its own there.
- *difference*: two models x + noise of the same kind, so that neither is better over new items. Over subjects alone:
  a model, and the same with its items exchanged in pairs; each subject sees the items exchanged or not, at random.
- *ceiling*: a model x + κ noise, κ such that its mean score is the mean lower ceiling over many other experiments.

Claim: of p at most 0.05, against chance and against the ceiling (one-sided), and between models (two-sided), there are
no more than the 99 % band of 0.05 allows. The bootstrap over both is conservative where one factor hardly varies
(Schütt et al. 2023); how much is in the table.

`python benchmarks/model_comparison_rates.py --write` makes 400 experiments a row, some twenty minutes on one core, and
puts the table into docs/calibration.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import stats

import isomorph as iso
from isomorph.metrics.rdm import comparison_scores, compute_rdm

DOCUMENT = Path(__file__).parent.parent / "docs" / "calibration.md"
BEGIN, READING = "## Models by RDMs\n", "## Reading"
LEVEL, DIMS, SIGMA, TAU = 0.05, 5, 0.4, 0.6
SIZES = ((10, 30, "pearson"), (5, 30, "pearson"), (20, 12, "pearson"), (10, 30, "spearman"))


class World:
    """Populations of subjects and items, some of which stay over experiments."""

    def __init__(self, drawn: str, subjects: int, items: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 99])
        self.drawn, self.subjects, self.items = drawn, subjects, items
        self.views = None if drawn != "items" else self._views(rng)
        self.x = None if drawn != "subjects" else rng.normal(size=(items, DIMS))
        self.noises = None if drawn != "subjects" else rng.normal(size=(3, items, DIMS))
        self.kappa = 0.5

    def _views(self, rng: np.random.Generator) -> np.ndarray:
        return np.eye(DIMS) + SIGMA * rng.normal(size=(self.subjects, DIMS, DIMS))

    def experiment(self, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
        """RDMs of subjects, features of models, and RDMs of subjects for the tests over subjects alone."""
        x = rng.normal(size=(self.items, DIMS)) if self.x is None else self.x
        noises = rng.normal(size=(3, self.items, DIMS)) if self.noises is None else self.noises
        views = self._views(rng) if self.views is None else self.views
        seen = [x @ a + TAU * rng.normal(size=x.shape) for a in views]
        models = {"unrelated": noises[0], "first": x + noises[1], "second": x + noises[2], "exact": x,
                  "ceiling": x + self.kappa * noises[0]}  # fmt: skip
        rdms = np.stack([compute_rdm(v, "euclidean") for v in seen])
        alone = rdms
        if self.drawn == "subjects":
            pairs = np.arange(self.items) ^ 1  # exchanged with its neighbour
            models["second"] = models["first"][pairs]
            alone = np.stack([compute_rdm(v[pairs] if rng.random() < 0.5 else v, "euclidean") for v in seen])
        return rdms, models, alone

    def tune(self, comparison: str, seed: int, trials: int = 400) -> None:
        """Find the noise with which a model's mean score is the mean lower ceiling."""
        made = []
        for k in range(trials):
            rdms, models, _ = self.experiment(np.random.default_rng([seed, 7, k]))
            pooled = _scaled(rdms, comparison)
            lower = [comparison_scores((pooled.sum(axis=0) - p)[None], r[None], comparison)[0, 0]
                     for p, r in zip(pooled, rdms, strict=True)]  # fmt: skip
            made.append((rdms, models["exact"], models["unrelated"], np.mean(lower)))
        low, high = 0.0, 6.0
        for _ in range(10):
            self.kappa = (low + high) / 2
            gaps = [comparison_scores(_rdm(x + self.kappa * z)[None], rdms, comparison).mean() - lower
                    for rdms, x, z, lower in made]  # fmt: skip
            low, high = (self.kappa, high) if np.mean(gaps) > 0 else (low, self.kappa)


def _rdm(x: np.ndarray) -> np.ndarray:
    return np.asarray(compute_rdm(x, "euclidean"))


def _scaled(rdms: np.ndarray, comparison: str) -> np.ndarray:
    if comparison == "spearman":
        return stats.rankdata(rdms, axis=1)
    centered = rdms - rdms.mean(axis=1, keepdims=True)
    return centered / np.linalg.norm(centered, axis=1, keepdims=True)


def rates(drawn: str, subjects: int, items: int, comparison: str, trials: int, bootstraps: int) -> dict:
    """One row: shares of p at most 0.05."""
    world = World(drawn, subjects, items, seed=0)
    world.tune(comparison, seed=1)
    hits: dict[str, list[bool]] = {"chance": [], "difference": [], "ceiling": [], "resampled": []}
    for k in range(trials):
        rng = np.random.default_rng([2, k])
        rdms, models, alone = world.experiment(rng)
        free = np.stack([compute_rdm(rng.normal(size=(items, DIMS)), "euclidean") for _ in range(subjects)])

        def found(
            given: np.ndarray, names: tuple[str, ...], ceilings: str = "paired", k: int = k, models: Mapping = models
        ) -> object:
            return iso.compare_models(
                iso.RDMs.from_arrays(given), {n: models[n] for n in names}, comparison, generalize=drawn,
                dissimilarity="euclidean", ceilings=ceilings, bootstraps=bootstraps, permutations=19, seed=k,
            )["RDMs"]  # fmt: skip

        if drawn == "subjects":
            hits["chance"].append(bool(found(free, ("unrelated",)).p_values[0] <= LEVEL))
            hits["difference"].append(bool(found(alone, ("first", "second")).difference_p[0, 1] <= LEVEL))
            region = found(rdms, ("ceiling",))
        else:
            region = found(rdms, ("ceiling", "unrelated", "first", "second"))
            hits["chance"].append(bool(region.p_values[1] <= LEVEL))
            hits["difference"].append(bool(region.difference_p[2, 3] <= LEVEL))
        hits["ceiling"].append(bool(region.p_below[0] <= LEVEL))
        anew = region if drawn == "items" else found(rdms, ("ceiling",), "resampled")
        hits["resampled"].append(bool(anew.p_below[0] <= LEVEL))
    row = {"generalize": drawn, "comparison": comparison, "subjects": subjects, "items": items}
    return row | {name: float(np.mean(v)) for name, v in hits.items()}


def page(rows: list[dict], trials: int, bootstraps: int) -> str:
    """The section of the page."""
    band = stats.binom.ppf(0.995, trials, LEVEL) / trials
    columns = tuple(rows[0])
    lines = [
        BEGIN,
        f"By `python benchmarks/model_comparison_rates.py --write`; {trials} simulated experiments a row, {bootstraps} "
        f"bootstrap samples each. Share of p at most 0.05 where the null hypothesis holds (the 99 % band of 0.05 ends "
        f"at {band:.3f}): a model unrelated to the subjects against *chance*, the *difference* of two models that are "
        "equally good, and a model whose expected score is that of the lower noise *ceiling*, against it. Subjects, "
        "items or both are new in every experiment, as the results are to hold for.",
        "",
        _above(rows, band) + " What generalizes over both is careful: its variance is never less than that over "
        "either. With `ceilings=\"resampled\"` (the last column), as rsatoolbox does, the distance to the ceiling "
        "varies nearly twice as much over samples as over new subjects: a sample of ten has six or seven of them, "
        "and the test hardly ever finds a model below the ceiling; `\"paired\"`, the default, keeps each subject's.",
        "",
        f"| {' | '.join(columns)} |",
        "| " + " | ".join("---" for _ in columns) + " |",
        *("| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()) + " |"
          for row in rows),
        "",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _above(rows: list[dict], band: float) -> str:
    """Which cells of the table lie above the band, in words."""
    found = [
        f"{name} over {row['generalize']} with {row['subjects']} subjects and {row['items']} items ({row[name]:.3f})"
        for row in rows
        for name in ("chance", "difference", "ceiling", "resampled")
        if row[name] > band
    ]
    several = f"{len(found)} of {4 * len(rows)} cells lie above it: {'; '.join(found)}."
    return several if found else f"None of the {4 * len(rows)} cells lies above it."


def main() -> int:
    """Measure, and write or print the section."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--bootstraps", type=int, default=200)
    parser.add_argument("--sizes", type=int, nargs="+", default=[*range(len(SIZES))], help="which of the sizes")
    parser.add_argument("--write", action="store_true", help="put the section into docs/calibration.md")
    args = parser.parse_args()
    rows = []
    for subjects, items, comparison in (SIZES[k] for k in args.sizes):
        for drawn in ("both", "subjects", "items"):
            rows.append(rates(drawn, subjects, items, comparison, args.trials, args.bootstraps))
            print(rows[-1], flush=True)
    section = page(rows, args.trials, args.bootstraps)
    if not args.write:
        print(section)
        return 0
    write(section)
    return 0


def write(section: str) -> None:
    """Put the section into the page, in place of the one that is there."""
    text = DOCUMENT.read_text()
    start = text.find(BEGIN)
    rest = text[start + len(BEGIN) :] if start >= 0 else ""
    after = rest.find("\n## ")
    start, rest = (start, rest[after + 1 :]) if start >= 0 else (text.index(READING), text[text.index(READING) :])
    DOCUMENT.write_text(text[:start] + section + rest)


if __name__ == "__main__":
    sys.exit(main())
