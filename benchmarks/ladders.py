"""Do trends, thresholds and divergence of an atlas say what was planted? Their errors on data whose truth is known.

Every trial is one `iso.atlas` of ladders of six models, n items, unbiased CKA, and its questions:

1. *Signal*: the shared part grows with size, so that the score of the population rises by .08 a rung. Claim: the 95 %
   interval over items of the raw and of the held-out slope holds it in 93 to 97 of 100 trials.
2. *Wider*: rung k has 8 · 2^k features, of which 8 share as much on every rung, compared by biased CKA. Claim: the raw
   slope is shown to rise in at least 90 of 100 trials, and in at most 5 (and the 99 % binomial band) it is said that
   alignment rises. *More layers*: rung k has 2^k layers, all with the same small share. Claim: the held-out slope
   rises, and alignment is said to rise, in at most 5 of 100.
3. *Flat*: all rungs share the same. Claim: p ≤ .05 over models, and intervals over items and over both that exclude 0,
   in at most .05 of the trials (and the band).
4. *Threshold*: nothing is shared below the fourth rung. Claim: found within one rung in at least 90 of 100 trials; and
   where nothing is shared anywhere, none is found in at least 95 (and the band).
5. *Specialists*: two of eight models share less with the rest than these among themselves. Claim: p ≤ .05 in at least
   80 of 100 trials, and in at most 5 (and the band) where all eight are of a kind.

`python benchmarks/ladders.py --write` measures 400 trials each and puts the table into docs/calibration.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import stats

import isomorph as iso

DOCUMENT = Path(__file__).parent.parent / "docs" / "calibration.md"
BEGIN, READING = "## Many models\n", "## Reading"
D, RUNGS, STEP, FIRST, REFERENCE = 8, 6, 0.08, 0.1, 0.3
SIZES = {f"m{k}": 2.0**k for k in range(RUNGS)}
SETTINGS = {"metrics": "cka", "permutations": 39, "splits": 2, "show": False}


def strength(score: float) -> float:
    """How much of z a model must hold for a CKA of `score` with the reference, z + .3 noise, in the population."""
    share = score * (1 + REFERENCE**2)  # CKA = s² / ((s² + 1) (1 + .3²)) for s z + noise
    return float(np.sqrt(share / (1 - share)))


def ladder(rng: np.random.Generator, n: int, scores: list[float], layers: list[int]) -> dict:
    """A ladder of models with these scores in the population, and the reference."""
    z = rng.normal(size=(n, D))
    models = {
        f"m{k}": [strength(score) * z + rng.normal(size=(n, D)) for _ in range(count)]
        for k, (score, count) in enumerate(zip(scores, layers, strict=True))
    }
    return models | {"reference": z + REFERENCE * rng.normal(size=(n, D))}


def trend(rng: np.random.Generator, n: int, scores: list[float], layers: list[int], seed: int) -> iso.Trend:
    """The trend along one ladder."""
    models = ladder(rng, n, scores, layers)
    atlas = iso.atlas(models, attributes={"size": SIZES}, seed=seed, **SETTINGS)
    return atlas.trend("size", reference="reference")


def holds(interval: tuple[float, float], value: float) -> bool:
    return interval[0] <= value <= interval[1]


def signal(rng: np.random.Generator, n: int, seed: int) -> dict[str, bool]:
    """The slope is known."""
    found = trend(rng, n, [FIRST + STEP * k for k in range(RUNGS)], [1] * RUNGS, seed)
    slopes = found.slopes
    return {
        "raw slope covered": holds(slopes["raw"].items, STEP),
        "held-out slope covered": holds(slopes["held_out"].items, STEP),
        "said to rise": "Alignment rises" in found.verdict,
    }


def more_layers(rng: np.random.Generator, n: int, seed: int) -> dict[str, bool]:
    """Only the number of layers grows."""
    found = trend(rng, n, [FIRST] * RUNGS, [2**k for k in range(RUNGS)], seed)
    return {
        "raw rises": found.slopes["raw"].items[0] > 0,
        "held-out rises": found.slopes["held_out"].items[0] > 0,
        "said to rise": found.verdict.startswith("Alignment rises"),
    }


def wider(rng: np.random.Generator, n: int, seed: int) -> dict[str, bool]:
    """Only the number of features grows."""
    z = rng.normal(size=(n, D))
    models = {
        f"m{k}": np.hstack([z + rng.normal(size=(n, D)), 0.5 * rng.normal(size=(n, D * (2**k - 1)))])
        for k in range(RUNGS)
    }
    models["reference"] = np.hstack([z, 0.5 * rng.normal(size=(n, 8 * D))])
    settings = SETTINGS | {"metrics": "cka(estimator='biased')"}
    atlas = iso.atlas(models, attributes={"size": SIZES}, seed=seed, **settings)
    found = atlas.trend("size", reference="reference")
    return {"raw rises": found.slopes["raw"].items[0] > 0, "said to rise": found.verdict.startswith("Alignment rises")}


def flat(rng: np.random.Generator, n: int, seed: int) -> dict[str, bool]:
    """Nothing changes."""
    slope = trend(rng, n, [0.3] * RUNGS, [1] * RUNGS, seed).slopes["raw"]
    return {
        "p over models ≤ 0.05": slope.p_value <= 0.05,
        "items exclude 0": not holds(slope.items, 0.0),
        "both exclude 0": not holds(slope.both, 0.0),
    }


def thresholds(rng: np.random.Generator, n: int, seed: int) -> dict[str, bool]:
    """The fourth rung is the first to share anything; or none is."""
    told = {}
    for name, scores in (("within a rung", [0, 0, 0, 0.15, 0.25, 0.35]), ("none where none is", [0] * RUNGS)):
        models = ladder(rng, n, scores, [1] * RUNGS)
        twins = {m: rng.normal(size=(n, D)) for m in SIZES}
        atlas = iso.atlas(models, attributes={"size": SIZES}, baselines=twins, seed=seed, **SETTINGS)
        found = atlas.threshold("size", reference="reference", draws=200).model
        told[name] = found in ("m2", "m3", "m4") if any(scores) else found is None
    return told


def specialists(rng: np.random.Generator, n: int, seed: int) -> dict[str, bool]:
    """Two of eight share less, or as much."""
    told = {}
    for name, share in (("shown", 0.6), ("shown where all are alike", 1.0)):
        z = rng.normal(size=(n, D))
        strengths = [1.5 * s for s in (share, share, *(1.0,) * 6)]
        models = {f"m{k}": s * rng.uniform(0.9, 1.1) * z + rng.normal(size=(n, D)) for k, s in enumerate(strengths)}
        atlas = iso.atlas(models, seed=seed, **SETTINGS)
        found = atlas.divergence(["m0", "m1"], [f"m{k}" for k in range(2, 8)])
        told[name] = found.p_value <= 0.05
    return told


KINDS = {
    "signal": signal, "wider": wider, "more layers": more_layers, "flat": flat, "threshold": thresholds,
    "specialists": specialists,
}  # fmt: skip
CLAIMS = {
    ("signal", "raw slope covered"): (0.93, 0.97),
    ("signal", "held-out slope covered"): (0.93, 0.97),
    ("wider", "raw rises"): (0.9, 1.0),
    ("wider", "said to rise"): (0.0, 0.05),
    ("more layers", "held-out rises"): (0.0, 0.05),
    ("more layers", "said to rise"): (0.0, 0.05),
    ("flat", "p over models ≤ 0.05"): (0.0, 0.05),
    ("flat", "items exclude 0"): (0.0, 0.05),
    ("flat", "both exclude 0"): (0.0, 0.05),
    ("threshold", "within a rung"): (0.9, 1.0),
    ("threshold", "none where none is"): (0.95, 1.0),
    ("specialists", "shown"): (0.8, 1.0),
    ("specialists", "shown where all are alike"): (0.0, 0.05),
}


def band(low: float, high: float, trials: int) -> tuple[float, float]:
    """A claimed range and what 99 of 100 samples of so many trials stay within."""
    least = stats.binom.ppf(0.005, trials, low) / trials if low > 0 else 0.0
    most = stats.binom.ppf(0.995, trials, high) / trials if high < 1 else 1.0
    return float(least), float(most)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--items", type=int, default=150)
    parser.add_argument("--only", choices=list(KINDS), help="one kind of data")
    parser.add_argument("--write", action="store_true", help="put the table into docs/calibration.md")
    args = parser.parse_args()
    lines, missed = [], []
    for k, (kind, made) in enumerate(KINDS.items()):
        if args.only not in (None, kind):
            continue
        trials = [made(np.random.default_rng([k, t]), args.items, t) for t in range(args.trials)]
        for name in trials[0]:
            share = float(np.mean([t[name] for t in trials]))
            claim = CLAIMS.get((kind, name))
            low, high = band(*claim, args.trials) if claim else (0.0, 1.0)
            told = f"{claim[0]:g} to {claim[1]:g}" if claim else ""
            if not low <= share <= high:
                missed.append(f"{kind}, {name}: {share:.3f}")
            lines.append(f"| {kind} | {name} | {share:.3f} | {told} | {'' if low <= share <= high else 'NOT MET'} |")
            print(lines[-1], flush=True)
    text = "\n".join(
        [
            BEGIN,
            f"Shares of {args.trials} planted data sets of {args.items} items, by `benchmarks/ladders.py --write`, "
            "which says what each is; a claim is met within the 99 % binomial band of its ends.",
            "",
            "| data | what | share | claim | |",
            "|---|---|---|---|---|",
            *lines,
            "",
        ]
    )
    if args.write:
        whole = DOCUMENT.read_text(encoding="utf-8")
        begin = whole.index(BEGIN) if BEGIN in whole else whole.index(READING)
        end = whole.index("\n## ", begin + len(BEGIN)) + 1 if BEGIN in whole else begin
        DOCUMENT.write_text(whole[:begin] + text + "\n" + whole[end:], encoding="utf-8")
    if missed:
        sys.exit("Claim missed:\n" + "\n".join(missed))


if __name__ == "__main__":
    main()
