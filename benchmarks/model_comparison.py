"""Models compared by RDMs with inference over subjects and items, against rsatoolbox on the same work.

Claims: 100 subjects x 200 items x 20 models, compared by Spearman: scores, noise ceilings with their p, 1,000 bootstrap
samples of subjects, of items and of both with the ceilings of each, and all 190 differences, in less than a minute; and
at least 10 times as fast as rsatoolbox's ``eval_dual_bootstrap``, whose values they are (tests/model_comparison).

rsatoolbox takes hours for all of it, so both are timed in turn on a smaller comparison (20 subjects x 60 items x 5
models, 20 samples), and rsatoolbox on one sample of the full one. What is gained: ranks under the weights of a sample
are counted, where rsatoolbox copies and sorts every sample's RDMs.

`--samples N` draws N samples of the full comparison in place of 1,000.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
import warnings

import numpy as np
from _measure import Claims, in_turn

import isomorph as iso
from isomorph.metrics.rdm import compute_rdm

FULL, SMALL = (100, 200, 20), (20, 60, 5)


def made(subjects: int, items: int, models: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """RDMs of subjects that share a space, and models that know parts of it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(items, 8))
    rdms = np.stack([compute_rdm(x + 2 * rng.normal(size=x.shape), "euclidean") for _ in range(subjects)])
    return rdms, {f"model {k}": x + (k + 1) / 4 * rng.normal(size=x.shape) for k in range(models)}


def ours(rdms: np.ndarray, models: dict[str, np.ndarray], samples: int) -> iso.ModelComparison:
    """All of it."""
    return iso.compare_models(iso.RDMs.from_arrays(rdms), models, dissimilarity="euclidean", bootstraps=samples)


def theirs(rdms: np.ndarray, models: dict[str, np.ndarray], samples: int) -> object:
    """The same by rsatoolbox."""
    import rsatoolbox
    from rsatoolbox.inference import eval_dual_bootstrap

    fixed = [rsatoolbox.model.ModelFixed(k, np.asarray(compute_rdm(v, "euclidean"))) for k, v in models.items()]
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        found = eval_dual_bootstrap(fixed, rsatoolbox.rdm.RDMs(rdms), method="spearman", N=samples)
        return found.test_all()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    iso.show_progress(False)
    claims = Claims("Models compared by RDMs, with inference over subjects and items")
    small = made(*SMALL)
    found = in_turn(
        {"Isomorph, 20 x 60 x 5, 20 samples": lambda: ours(*small, 20),
         "rsatoolbox, the same": lambda: theirs(*small, 20)}, args.rounds,
    )  # fmt: skip
    claims.times(found)
    mine, peer = found.values()
    claims.at_least("times as fast as rsatoolbox, small", peer / mine, 10)
    full = made(*FULL)
    begin = time.perf_counter()
    theirs(*full, 1)
    one = time.perf_counter() - begin
    begin = time.perf_counter()
    ours(*full, args.samples)
    spent = time.perf_counter() - begin
    claims.say(f"rsatoolbox, 100 x 200 x 20, one sample: {one:.1f} s")
    claims.at_most(f"s for 100 x 200 x 20 and {args.samples:,} samples", spent, 60 * args.samples / 1000)
    claims.at_least("times as fast as rsatoolbox's samples would be", one * args.samples / spent, 10)
    claims.end()


if __name__ == "__main__":
    main()
