"""Is a gain of fusion claimed where there is none? The size of its p-value on data without a gain.

A head is fused with controls off on data in which joining the spaces cannot help, and in which it can neither help nor
harm: (1) the target has nothing to do with either space; (2) one space tells the target, the other is noise; (3) the
second space is the first, rotated. Claim: the share of trials with p ≤ 0.05 is at most 0.05 and the upper end of its
99 % binomial band, for every head. In (1) alone is the expected gain 0; in (2) and (3) a head can only lose, so that a
smaller share is right.

`python benchmarks/gain.py --write` measures 400 trials a cell, which takes about a quarter of an hour on two cores, and
puts the table into docs/calibration.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy import stats

from isomorph.fusion import fuse

DOCUMENT = Path(__file__).parent.parent / "docs" / "calibration.md"
BEGIN, READING = "## Gain of fusion\n", "## Reading"
HEADS = ("concat", "late", "product", "shared(dims=4)")
LEVEL = 0.05


def unrelated(rng: np.random.Generator, n: int) -> tuple[dict, np.ndarray]:
    """A target of which neither space tells anything."""
    x, y = rng.normal(size=(2, n, 5))
    return {"x": x, "y": y}, rng.integers(0, 2, n)


def useless(rng: np.random.Generator, n: int) -> tuple[dict, np.ndarray]:
    """A target of which one space tells, and noise beside it."""
    x, y = rng.normal(size=(2, n, 5))
    return {"x": x, "y": y}, (x[:, 0] + rng.normal(size=n) > 0).astype(int)


def rotated(rng: np.random.Generator, n: int) -> tuple[dict, np.ndarray]:
    """One space and its rotation."""
    x = rng.normal(size=(n, 5))
    return {"x": x, "y": x @ np.linalg.qr(rng.normal(size=(5, 5)))[0]}, (x[:, 0] + rng.normal(size=n) > 0).astype(int)


def number(rng: np.random.Generator, n: int) -> tuple[dict, np.ndarray]:
    """A number of which neither space tells anything."""
    x, y = rng.normal(size=(2, n, 5))
    return {"x": x, "y": y}, rng.normal(size=n)


KINDS = {"unrelated classes": unrelated, "unrelated number": number, "noise beside": useless, "rotated": rotated}


def measure(trials: int, n: int) -> dict[str, dict[str, float]]:
    """Kind of data -> head -> share of the trials with p at most 0.05."""
    table = {}
    for k, (name, made) in enumerate(KINDS.items()):
        hits = dict.fromkeys(HEADS, 0)
        for trial in range(trials):
            spaces, target = made(np.random.default_rng([k, trial]), n)
            found = fuse(spaces, target, heads=HEADS, controls=False, draws=100, seed=trial, show=False)
            for head in HEADS:
                hits[head] += found[head].gain.p_value <= LEVEL
        table[name] = {head: count / trials for head, count in hits.items()}
        print(name, table[name], flush=True)
    return table


def page(table: dict[str, dict[str, float]], trials: int, n: int) -> str:
    """The section of the page."""
    high = stats.binom.ppf(0.995, trials, LEVEL) / trials
    lines = [
        BEGIN,
        f"Share of {trials} data sets of {n} items in which a head's gain over the best single space has p ≤ 0.05, "
        "where there is no gain, by `python benchmarks/gain.py --write`: classes or numbers that neither space tells "
        "(expected gain 0), one telling space beside noise, and a space beside its rotation (a head can only lose). "
        f"The 99 % binomial band of 0.05 ends at {high:.3f}; what is above it is bold.",
        "",
        "| data | " + " | ".join(f"`{h}`" for h in HEADS) + " |",
        "|---|" + "---|" * len(HEADS),
    ]
    for name, row in table.items():
        cells = [f"**{v:.3f}**" if v > high else f"{v:.3f}" for v in (row[h] for h in HEADS)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--items", type=int, default=120)
    parser.add_argument("--write", action="store_true", help="put the table into docs/calibration.md")
    args = parser.parse_args()
    table = measure(args.trials, args.items)
    text = page(table, args.trials, args.items)
    print(text)
    if args.write:
        whole = DOCUMENT.read_text(encoding="utf-8")
        begin = whole.index(BEGIN) if BEGIN in whole else whole.index(READING)
        end = whole.index("\n## ", begin + len(BEGIN)) + 1 if BEGIN in whole else begin
        DOCUMENT.write_text(whole[:begin] + text + "\n" + whole[end:], encoding="utf-8")
    high = stats.binom.ppf(0.995, args.trials, LEVEL) / args.trials
    missed = [f"{name}, {h}: {v:.3f}" for name, row in table.items() for h, v in row.items() if v > high]
    if missed:
        sys.exit("Claim missed, above the band:\n" + "\n".join(missed))


if __name__ == "__main__":
    main()
