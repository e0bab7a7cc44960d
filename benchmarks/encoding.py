"""Encoding models of 100,000 units: nested folds with a penalty for each unit, in matrix products and bounded memory.

n = 1,000 items, d = 768 features, 100,000 units, 20 penalties, 5 outer and 4 inner folds, all in single precision.
Claims: the whole fit within 1.6 times its bare products (every penalty's prediction of every held-out row of every
inner fold, and the predictions of the outer folds: what no way of fitting by products can leave out), in at most 3.5 GB
beside the responses; and at least as fast a unit as himalaya's `RidgeCV`, which chooses in the same folds, on 2,000
units.

What bounds it: the products. Programs take turns on the same threads. Memory is the peak (VmHWM) of a process of its
own, less the responses. No permutations: what they take is told.

`--units N` runs on N units.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from _measure import Claims, in_turn

import isomorph as iso
from isomorph.encoding_models._folds import nested

N, D, UNITS, FEW, SEED = 1_000, 768, 100_000, 2_000, 0
ALPHAS = np.logspace(-6, 2, 20)
RUNS = np.arange(N) // 50
BLOCK = 1024


def data(units: int) -> tuple[np.ndarray, np.ndarray]:
    """Features with a falling spectrum, and units half of which they drive."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, D), dtype=np.float32) * np.arange(1, D + 1, dtype=np.float32) ** -0.5
    y = rng.standard_normal((N, units), dtype=np.float32)
    for start in range(0, units, 10_000):
        driven = y[:, start : start + 10_000 : 2]
        driven += x @ rng.standard_normal((D, driven.shape[1]), dtype=np.float32)
    return x, y


def fit(x: np.ndarray, y: np.ndarray, permutations: int = 0) -> iso.Encoding:
    """The verb."""
    return iso.fit_encoding(x, y, runs=RUNS, alphas=ALPHAS, permutations=permutations, null="auto", seed=SEED)


def bare(y: np.ndarray) -> None:
    """The products alone, on numbers that mean nothing."""
    rng = np.random.default_rng(1)
    for fold in nested(N, RUNS, None, None, SEED):
        for train, test, count in (
            *((s.train, s.test, len(ALPHAS)) for s in fold.inner),
            (fold.split.train, fold.split.test, 1),
        ):
            rank = min(D, len(train) - 1)
            left, right = (rng.standard_normal((len(r), rank), dtype=np.float32) for r in (train, test))
            room = np.empty((len(test), BLOCK), dtype=np.float32)
            for start in range(0, y.shape[1], BLOCK):
                projected = left.T @ y[: len(train), start : start + BLOCK]
                for _ in range(count):
                    np.matmul(right, projected, out=room[:, : projected.shape[1]])


def himalaya(x: np.ndarray, y: np.ndarray) -> None:
    """The same choice and predictions by himalaya's RidgeCV, fold by fold."""
    from himalaya.ridge import RidgeCV
    from sklearn.model_selection import PredefinedSplit

    for fold in nested(N, RUNS, None, None, SEED):
        part = np.zeros(len(fold.split.train), dtype=int)
        for j, inner in enumerate(fold.inner):
            part[np.isin(fold.split.train, inner.test)] = j
        model = RidgeCV(alphas=ALPHAS.astype(np.float32) * 1e3, cv=PredefinedSplit(part), fit_intercept=True,
                        solver_params={"warn": False})  # fmt: skip
        model.fit(x[fold.split.train], y[fold.split.train]).predict(x[fold.split.test])


def one(units: int) -> None:
    """Fit in this process and print its peak memory beside the responses, in GB."""
    x, y = data(units)
    fit(x, y)
    status = Path("/proc/self/status").read_text()
    print(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024 / 1e9 - y.nbytes / 1e9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=UNITS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ["ISOMORPH_PROGRESS"] = "0"
    if given.one:
        one(given.units)
        return
    claims = Claims(
        f"fit_encoding: {N:,} items, {D} features, {given.units:,} units, {len(ALPHAS)} penalties, 5 x 4 folds"
    )
    command = [sys.executable, __file__, "--one", "--units", str(given.units)]
    peak = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    x, y = data(given.units)
    found = in_turn(
        {"the whole fit": lambda: fit(x, y), "its bare products": lambda: bare(y)}, given.rounds, warm=False
    )
    claims.times(found)
    few = y[:, :FEW].copy()
    programs = {
        "fit_encoding, 2,000 units": lambda: fit(x, few),
        "himalaya RidgeCV, 2,000 units": lambda: himalaya(x, few),
    }
    small = in_turn(programs, given.rounds)
    claims.times(small)
    begin = time.perf_counter()
    fit(x, few, 999)
    claims.say(f"with 999 permutations of predictions, 2,000 units: {time.perf_counter() - begin:.1f} s")
    ours, other = small.values()
    claims.at_most("times the bare products", found["the whole fit"] / found["its bare products"], 1.6)
    claims.at_most("GB beside the responses", peak, 3.5)
    claims.at_least("times as fast a unit as himalaya (2,000 units)", other / ours, 1.0)
    whole = other / FEW / (found["the whole fit"] / given.units)
    claims.at_least("times as fast a unit as himalaya (all units)", whole, 1.0)
    claims.end()


if __name__ == "__main__":
    main()
