"""Capacity and data: from which size on are networks alike, does alignment rise with size, do specialists diverge?

Registries carry ladders of two or three rungs; here the rungs are made. Small networks are trained on real images over
a grid of widths and numbers of images, several seeds each, beside a reference of wide networks that were trained on all
images from other seeds. `iso.atlas` then compares them on images that none has seen, with their untrained twins.

What is expected was written down before the first run:

1. alignment with the reference rises with the number of parameters and with the number of images: Spearman's
   correlation of at least .8 along either ladder, raw and held out, and beyond that of the untrained twins;
2. a threshold is reported with its interval, or "none found";
3. networks trained on one attribute of the images, on random labels or on five of the ten classes lie outside a pool of
   networks trained on all classes: told apart with an area under the precision-recall curve of at least .9;
4. predictivity both ways says whether what they hold is nested, overlapping or disjoint.

Run it with ``python examples/capacity.py``; it needs scikit-learn and takes some minutes on two cores. With
``--images FILE`` it takes other images: an ``.npz`` with ``x`` (n, …) and ``y`` (n,), such as Fashion-MNIST;
``--quick`` takes a smaller grid; ``--to FOLDER`` keeps the results.
"""

from __future__ import annotations

import argparse
import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import isomorph as iso

Array = np.ndarray[Any, Any]

METRICS = ("cka", "mutual_knn(k=10)", "ridge_predictivity(direction='x_to_y')")
ITEMS = 400
REFERENCE = 256
SPECIALISTS = ("parity", "ink", "random labels", "five classes")


@dataclasses.dataclass(frozen=True)
class Images:
    """Images to train on, and others to compare networks on.

    Attributes:
        x: To train on (n, d), in [0, 1].
        y: Their classes (n,).
        held: To compare on (m, d).
    """

    x: Array
    y: Array
    held: Array


def images(path: Path | None = None) -> Images:
    """Scikit-learn's digits, or the images of a file, in a fixed random order."""
    if path is None:
        x, y = load_digits(return_X_y=True)
    else:
        with np.load(path) as file:
            x, y = file["x"], file["y"]
        x = x.reshape(len(x), -1)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype(np.float64), y[order]
    x = (x - x.min()) / max(float(np.ptp(x)), 1e-9)
    return Images(x[ITEMS:], y[ITEMS:], x[:ITEMS])


def network(width: int, seed: int, x: Array, y: Array, steps: int = 60) -> MLPClassifier:
    """A network of two hidden layers, trained; with no steps as it begins."""
    made = MLPClassifier(
        (width, width), activation="tanh", max_iter=max(steps, 1), random_state=seed, batch_size=min(64, len(x))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if steps:
            made.fit(x, y)
        else:
            made.set_params(learning_rate_init=1e-12).fit(x, y)  # its initial weights, moved by nothing
    return made


def layers(net: MLPClassifier, x: Array) -> dict[str, Array]:
    """Activations of both hidden layers."""
    found = {}
    for k in range(2):
        x = np.tanh(x @ net.coefs_[k] + net.intercepts_[k])
        found[f"hidden_{k + 1}"] = x
    return found


def parameters(net: MLPClassifier) -> int:
    """Weights and biases of the hidden layers."""
    return int(sum(w.size for w in (*net.coefs_[:2], *net.intercepts_[:2])))


def goals(data: Images) -> dict[str, tuple[Array, Array]]:
    """What specialists are trained on: images and labels by name."""
    ink = data.x.sum(axis=1)
    return {
        "parity": (data.x, data.y % 2),
        "ink": (data.x, (ink > np.median(ink)).astype(int)),
        "random labels": (data.x, np.random.default_rng(1).integers(0, 10, len(data.x))),
        "five classes": (data.x[data.y < 5], data.y[data.y < 5]),
    }


def ladder(data: Images, rungs: dict[str, tuple[int, int]], seeds: int) -> iso.Atlas:
    """An atlas of networks of several widths and numbers of images, and of the reference.

    Args:
        data: The images.
        rungs: Name -> width and number of images.
        seeds: Networks a rung, and in the reference.
    """
    models: dict[str, Any] = {}
    twins, facts = {}, {}
    for name, (width, count) in rungs.items():
        for seed in range(seeds):
            net = network(width, seed, data.x[:count], data.y[:count])
            called = f"{name} #{seed}"
            models[called] = layers(net, data.held)
            twins[called] = layers(network(width, seed, data.x[:count], data.y[:count], steps=0), data.held)
            facts[called] = {"parameters": parameters(net), "images": count, "role": "rung"}
    for seed in range(seeds):
        net = network(REFERENCE, 100 + seed, data.x, data.y)
        models[f"reference #{seed}"] = layers(net, data.held)
        facts[f"reference #{seed}"] = {"role": "reference"}
    return iso.atlas(models, METRICS[:2], attributes=facts, baselines=twins, permutations=99, splits=3)


def divergence(data: Images, seeds: int, width: int = 64) -> iso.Atlas:
    """An atlas of generalists, of specialists, and of generalists that were not trained."""
    models: dict[str, Any] = {}
    facts = {}
    for seed in range(2 * seeds):
        models[f"generalist #{seed}"] = layers(network(width, seed, data.x, data.y), data.held)
        facts[f"generalist #{seed}"] = {"role": "generalist"}
    for name, (x, y) in goals(data).items():
        for seed in range(seeds):
            models[f"{name} #{seed}"] = layers(network(width, 10 + seed, x, y), data.held)
            facts[f"{name} #{seed}"] = {"role": name}
    return iso.atlas(models, METRICS, attributes=facts, layers="last", permutations=99, splits=3)


def told(trend: iso.Trend, threshold: iso.Threshold) -> str:
    """What came out of one ladder, beside what was expected."""
    lines = [f"\n{trend.metric} by {trend.attribute}: {trend.verdict}"]
    for kind in ("raw", "held_out", "above_untrained"):
        slope = trend.slopes[kind]
        lines.append(f"  {kind}: Spearman {slope.rank:+.2f} ({expected(slope.rank, 0.8)}), slope {slope}")
    return "\n".join([*lines, f"  shape: {trend.shape}", f"  {threshold.verdict}"])


def expected(value: float, least: float) -> str:
    """Whether a number is what was written down before."""
    return "as expected" if value >= least else f"NOT as expected: at least {least:g}"


def main() -> None:
    """Train, compare, and hold what came out against what was expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=None)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--to", type=Path, default=None, help="folder for the result files")
    args = parser.parse_args()
    data = images(args.images)
    seeds, whole = (2, 600) if args.quick else (3, len(data.x))
    widths = (1, 2, 4, 16, 64) if args.quick else (1, 2, 3, 4, 8, 16, 32, 64, 128)
    shares = (0.03, 0.1, 0.3, 1) if args.quick else (0.02, 0.04, 0.08, 0.16, 0.33, 0.66, 1)
    made = {
        "parameters": ladder(data, {f"width {w}": (w, whole) for w in widths}, seeds),
        "images": ladder(data, {f"{round(whole * s)} images": (64, round(whole * s)) for s in shares}, seeds),
    }
    reference = {"role": "reference"}
    for attribute, atlas in made.items():
        for metric in atlas:
            trend = atlas.trend(attribute, reference, metric=metric)
            print(told(trend, atlas.threshold(attribute, reference, metric=metric)), flush=True)
    atlas = divergence(data, seeds)
    names = [m for m in atlas.models if not m.startswith("generalist")]
    for metric in METRICS[:2]:
        gap = atlas.divergence(names, "generalist", metric=metric)
        print(f"\n{metric}: {gap.told}\n  area under the precision-recall curve {gap.auprc:.2f} ", end="")
        print(f"({expected(gap.auprc, 0.9)}), chance {gap.auprc_chance:.2f}")
        for goal in SPECIALISTS:
            own = atlas.divergence([n for n in names if n.startswith(goal)], "generalist", metric=metric)
            print(f"  {goal}: {own.told}")
    for goal in SPECIALISTS:
        print(f"{goal}: {atlas.directions(f'{goal} #0', {'role': 'generalist'}).told}")
    if args.to is not None:
        args.to.mkdir(parents=True, exist_ok=True)
        for name, result in {**made, "specialists": atlas}.items():
            result.save(args.to / f"atlas-{name}.json")


if __name__ == "__main__":
    main()
