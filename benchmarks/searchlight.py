"""A searchlight of 10,000 centers over 92 items, and a part of it against rsatoolbox.

Claims: 10,164 spheres of some 80 voxels, 92 items, 4 models and 999 permutations, with p of the maximum over centers,
in at most two minutes and 600 MB beyond the responses; 1,000 of these centers with the fewest permutations that are
taken, 19 (rsatoolbox has none), at least 10 times faster than its `get_searchlight_RDMs` and
`evaluate_models_searchlight`, with scores that differ by no more than 1e-8.

What bounds it: one product of the block's RDMs with all permuted models, in single precision; the RDMs themselves are
made one after the other. Both take turns in one process on the same threads. Memory is the peak (VmHWM) of a process of
its own, less that of one that only makes the responses.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
from _measure import Claims, in_turn, seconds

import isomorph as iso

GRID, N, RADIUS, MODELS, PERMUTATIONS, PART = (22, 22, 21), 92, 2.9, 4, 999, 1000


def made() -> tuple[np.ndarray, np.ndarray, dict[str, iso.RDMs]]:
    """Positions, responses with a patch that shares the first model's space, and models."""
    rng = np.random.default_rng(0)
    places = np.argwhere(np.ones(GRID))
    spaces = rng.standard_normal((MODELS, N, 5))
    voxels = rng.standard_normal((N, len(places)))
    near = np.linalg.norm(places - 8, axis=1) < 3
    voxels[:, near] += spaces[0] @ rng.standard_normal((5, near.sum()))
    return places, voxels, {f"m{k}": iso.RDMs.from_patterns(s) for k, s in enumerate(spaces)}


def theirs(voxels: np.ndarray, places: np.ndarray, centers: np.ndarray, models: dict[str, iso.RDMs]) -> np.ndarray:
    """Scores by rsatoolbox, over the same spheres."""
    from rsatoolbox.inference import eval_fixed
    from rsatoolbox.model import ModelFixed
    from rsatoolbox.util import searchlight
    from scipy.spatial import cKDTree

    neighbors = cKDTree(places).query_ball_point(places[centers], RADIUS, return_sorted=True)
    fixed = [ModelFixed(name, m.dissimilarities[0]) for name, m in models.items()]
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rdms = searchlight.get_searchlight_RDMs(voxels, centers, neighbors, np.arange(N), verbose=False)
        found = searchlight.evaluate_models_searchlight(rdms, fixed, eval_fixed, method="corr")
    return np.array([r.evaluations.reshape(-1) for r in found])


def peak(what: str) -> float:
    """Peak memory in MB of a process that makes the data, or searches it too."""
    command = [sys.executable, __file__, "--one", what]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", choices=("data", "whole"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ["ISOMORPH_PROGRESS"] = "0"
    places, voxels, models = made()
    if given.one:
        if given.one == "whole":
            iso.searchlight(voxels, places, models, radius=RADIUS, permutations=PERMUTATIONS)
        print(int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1000)
        return
    claims = Claims(f"searchlight, {len(places):,} centers, {N} items, {MODELS} models, {PERMUTATIONS} permutations")
    kept = {}

    def whole() -> None:
        kept["all"] = iso.searchlight(voxels, places, models, radius=RADIUS, permutations=PERMUTATIONS)

    spent = seconds(whole)
    found = kept["all"]
    claims.say(f"{int(found.sizes.mean())} voxels a sphere on average; best {found.best('m0')}")
    claims.at_most("seconds, all centers", spent, 120)
    claims.at_most("memory beyond the responses, MB", peak("whole") - peak("data"), 600)
    centers = np.random.default_rng(1).choice(len(places), PART, replace=False)
    scores = theirs(voxels, places, centers, models)
    times = in_turn(
        {
            f"rsatoolbox, {PART:,} centers, no p": lambda: theirs(voxels, places, centers, models),
            "isomorph, the same, 19 permutations (the fewest)": lambda: iso.searchlight(
                voxels, places, models, radius=RADIUS, centers=centers, permutations=19
            ),
        },
        3,
    )
    claims.times(times)
    slow, fast = times.values()
    claims.at_least("times faster than rsatoolbox", slow / fast, 10)
    claims.at_most("largest difference of scores", float(np.abs(found.scores[centers] - scores).max()), 1e-8)
    claims.end()


if __name__ == "__main__":
    main()
