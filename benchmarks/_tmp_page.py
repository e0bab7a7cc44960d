"""Claims: the page of 40 pairs of models is drawn in seconds, is small, and answers on its first screen."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
from _measure import Claims, seconds

import isomorph as iso

MODELS_X, MODELS_Y, LAYERS, N, D = 8, 5, 12, 200, 32
METRICS = ["mutual_knn(k=10)", "cka", "rsa"]


def _model(shared: np.ndarray, noise: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Layers that hold more and more of what all models share."""
    layers = {}
    for k in range(LAYERS):
        signal = (k + 1) / LAYERS * shared @ rng.standard_normal((shared.shape[1], D))
        layers[f"layer_{k:02d}"] = signal + noise * rng.standard_normal((N, D))
    return layers


def main() -> None:
    """Make 40 scans of 12 × 12 layers by three metrics, each beside an untrained twin, and their page."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((N, 8))
    xs = {f"vision-{k}": _model(shared, 1.0 + k, rng) for k in range(MODELS_X)}
    ys = {f"text-{k}": _model(shared, 1.0 + k, rng) for k in range(MODELS_Y)}
    twin = {name: rng.standard_normal((N, D)) for name in next(iter(xs.values()))}
    claims = Claims(f"The page of {MODELS_X * MODELS_Y} pairs, {LAYERS} × {LAYERS} layers, {len(METRICS)} metrics")
    scans = [
        iso.scan(xs[a], ys[b], METRICS, x_baselines={"untrained": twin}, permutations=99, x_name=a, y_name=b)
        for a, b in itertools.product(xs, ys)
    ]
    with __import__("contextlib").nullcontext("/tmp/page/forty") as folder:
        page = Path(folder) / "report.html"
        spent = seconds(lambda: iso.report(scans, to=page, figures=False))
        claims.at_most("seconds until the page is drawn", spent, 10)
        claims.at_most("megabytes of the page", page.stat().st_size / 1e6, 10)
        claims.say(f"with figure files: {seconds(lambda: iso.report(scans, to=page, figures=True)):.1f} s")
    claims.end()


if __name__ == "__main__":
    main()
