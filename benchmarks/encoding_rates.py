"""Are the p of encoding models right where nothing is encoded, and is the right layer found where something is?

Null: responses that have nothing to do with the features, ten units and two layers an experiment; items that are
independent, and runs of autocorrelated rows (first order, 0.8). Claims: of p of units, of the mean over units, of the
best of two layers, of the layer chosen for each unit and of the best unit, the share at most 0.05 is not above the 99 %
band of 0.05, for refits and for permuted predictions. Shown beside, and expected to fail: permuted predictions without
the widening, and autocorrelated rows that are shuffled as if they were independent.

Planted: units driven by layer 2 of 3, at several ratios of signal to noise. Claims: of the units that are called
predicted, at least 95 % prefer that layer where half of the variance is signal; the weight of that band is the largest.

`python benchmarks/encoding_rates.py --write` runs 400 experiments a row, some ten minutes on two cores, and puts the
tables into docs/calibration.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import stats

import isomorph as iso
from isomorph.encoding_models import _chance

DOCUMENT = Path(__file__).parent.parent / "docs" / "calibration.md"
BEGIN, READING = "## Encoding models\n", "## Reading"
UNITS, LEVEL = 10, 0.05
ALPHAS = (1e-3, 1e-1, 10.0)
KINDS = {
    "independent items": {"n": 100, "d": 10, "runs": 0, "rho": 0.0},
    "independent items, d above n": {"n": 100, "d": 200, "runs": 0, "rho": 0.0},
    "autocorrelated, 5 runs": {"n": 200, "d": 10, "runs": 5, "rho": 0.8},
    "autocorrelated, 3 runs, d above n": {"n": 120, "d": 150, "runs": 3, "rho": 0.8},
}
COLUMNS = ("data", "null", "unit", "mean of units", "best layer", "chosen layer", "best unit", "a discovery")


def rows(rng: np.random.Generator, n: int, d: int, runs: int, rho: float) -> np.ndarray:
    """Rows of unit variance, those of each run autocorrelated."""
    out = rng.normal(size=(n, d))
    for i in range(1, n):
        if rho and i % (n // runs):
            out[i] = rho * out[i - 1] + np.sqrt(1 - rho**2) * out[i]
    return out


def experiment(seed: int, n: int, d: int, runs: int, rho: float, **settings) -> iso.Encoding:
    """One experiment in which nothing is encoded."""
    rng = np.random.default_rng([seed, 99])  # a stream of its own: folds and shifts are drawn from `seed`
    layers = {name: rows(rng, n, d, runs, rho) for name in ("first", "second")}
    responses = rows(rng, n, UNITS, runs, rho)
    run = np.repeat(np.arange(runs), n // runs) if runs else None
    return iso.fit_encoding(layers, responses, runs=run, permutations=99, alphas=ALPHAS, seed=seed, **settings)


def shares(data: str, null: str, found: list[iso.Encoding]) -> dict:
    """One row of the table."""

    def at_most(values: list) -> float:
        return float(np.mean(np.asarray(values) <= LEVEL))

    return {
        "data": data,
        "null": null,
        "unit": at_most([f["first"].p_value for f in found]),
        "mean of units": at_most([f["first"].mean_p for f in found]),
        "best layer": at_most([f.p_maximum for f in found]),
        "chosen layer": at_most([f["chosen"].p_value for f in found]),
        "best unit": at_most([f["first"].p_maximum.min() for f in found]),
        "a discovery": float(np.mean([np.any(f["first"].q_value <= LEVEL) for f in found])),
    }


def rates(trials: int) -> tuple[list[dict], list[dict]]:
    """Rows of what is claimed, and of what is shown beside."""
    claimed, beside = [], []
    for data, kind in KINDS.items():
        for null in ("refit", "predictions"):
            claimed.append(shares(data, null, [experiment(s, **kind, null=null) for s in range(trials)]))
            print(claimed[-1], flush=True)
    widened, kind = _chance.WIDENED, KINDS["independent items, d above n"]
    _chance.WIDENED = 1.0
    found = [experiment(s, **kind, null="predictions") for s in range(trials)]
    _chance.WIDENED = widened
    beside.append(shares("independent items, d above n", "predictions, not widened", found))
    kind = KINDS["autocorrelated, 5 runs"]
    found = [experiment(s, **kind, null="refit", circular=False) for s in range(trials)]
    beside.append(shares("autocorrelated, 5 runs", "refit, shuffled", found))
    print(*beside, sep="\n", flush=True)
    return claimed, beside


def planted(trials: int) -> list[dict]:
    """One row a share of signal: how many units are predicted, and by which layer."""
    out = []
    for share in (0.05, 0.1, 0.2, 0.5, 0.8):
        told, right, bands = [], [], []
        for seed in range(trials):
            rng = np.random.default_rng([seed, 99])
            layers = {name: rng.normal(size=(150, 20)) for name in ("early", "middle", "late")}
            layers["late"] += layers["middle"]  # a layer that knows half of it
            signal = layers["middle"] @ rng.normal(size=(20, UNITS)) / np.sqrt(20)
            responses = np.sqrt(share) * signal + np.sqrt(1 - share) * rng.normal(size=signal.shape)
            found = iso.fit_encoding(layers, responses, permutations=99, seed=seed, null="predictions")
            told.append(found.predicted.mean())
            right += [found.layer_of(u) == "middle" for u in np.flatnonzero(found.predicted)]
            if seed < trials // 10:
                both = iso.fit_encoding(layers, responses, "banded_ridge", searches=20, permutations=0, seed=seed)
                bands.append(np.argmax(both.weights, axis=0) == 1)
        out.append({"signal": share, "predicted": float(np.mean(told)), "prefer it": float(np.mean(right)) if right
                    else float("nan"), "largest weight": float(np.mean(bands))})  # fmt: skip
        print(out[-1], flush=True)
    return out


def _table(lines: list[Mapping], columns: tuple[str, ...]) -> list[str]:
    cells = [[f"{row[c]:.3f}" if isinstance(row[c], float) else str(row[c]) for c in columns] for row in lines]
    return [f"| {' | '.join(row)} |" for row in ([*columns], ["---"] * len(columns), *cells)]


def page(claimed: list[dict], beside: list[dict], found: list[dict], trials: int) -> str:
    """The section of the page."""
    band = stats.binom.ppf(0.995, trials, LEVEL) / trials
    each = [v for row in claimed for v in row.values() if isinstance(v, float)]
    lines = [
        BEGIN,
        f"By `python benchmarks/encoding_rates.py --trials {trials} --write`: {trials} experiments a row, {UNITS} "
        f"units that have nothing to do with the features, two layers, 99 permutations. Share of p at most 0.05; the "
        f"99 % band of 0.05 over experiments ends at {band:.3f}, and {sum(v > band for v in each)} of "
        f"{len(each)} shares lie above it. Permuted predictions are careful: deviations are widened to the most that "
        "folds can share.",
        "",
        *_table(claimed, COLUMNS),
        "",
        "Shown beside, and wrong: predictions permuted without the widening, and autocorrelated rows shuffled.",
        "",
        *_table(beside, COLUMNS),
        "",
        "Planted: units are driven by the second of three layers, the third of which knows half of it; share of the "
        "units' variance that is signal, of the units called predicted at a false discovery rate of 0.05, of these "
        "that prefer the right layer, and of all units to which banded ridge gives its band the largest weight.",
        "",
        *_table(found, ("signal", "predicted", "prefer it", "largest weight")),
        "",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, and write or print the section."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--planted", type=int, default=60)
    parser.add_argument("--write", action="store_true", help="put the section into docs/calibration.md")
    args = parser.parse_args()
    iso.show_progress(False)
    claimed, beside = rates(args.trials)
    section = page(claimed, beside, planted(args.planted), args.trials)
    if not args.write:
        print(section)
        return 0
    text = DOCUMENT.read_text(encoding="utf-8")
    start = text.find(BEGIN)
    rest = text[start:] if start >= 0 else text[(start := text.index(READING)) :]
    if rest.startswith(BEGIN):
        after = rest.find("\n## ", len(BEGIN))
        rest = rest[after + 1 :] if after >= 0 else ""
    DOCUMENT.write_text(text[:start] + section + rest, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
