"""Can one trained network continue another? Small convolutional networks on the digits, cut and joined at every depth.

For every pair of seeds, the bottom of one network is joined to the top of another after each of its layers: as it is
(identity), by least squares on the activations, and by a stitch trained on the task. Beside each stands what an
untrained bottom scores with the same stitch. Four claims are checked and printed with their numbers:

1. the identity fails: networks trained apart share no coordinates;
2. least squares in the last third of the layers costs at most 0.05 of accuracy, and gains at least 0.3 over an
   untrained bottom;
3. stitches trained on the task work with activations that the top never saw (negative R²), and are flagged;
4. early layers are reported as uninformative: there an untrained bottom is about as good.

Run: ``python examples/network_stitching.py`` (scikit-learn and torch are needed; some minutes on two cores).
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from isomorph.networks import stitch_networks

STRIDES = (1, 1, 2, 1, 1, 2, 1)
TASK = "task(epochs=5, learning_rate=0.01)"
LAYERS = [f"act{i}" for i in range(1, len(STRIDES) + 1)]


def network(width: int = 24) -> nn.Module:
    """Seven convolutions on grids of 8, 4 and 2, then the mean over positions and a linear classifier."""
    net = nn.Sequential()
    for i, stride in enumerate(STRIDES, 1):
        channels = 1 if i == 1 else width
        net.add_module(f"conv{i}", nn.Conv2d(channels, width, 3, stride, 1, bias=False))
        net.add_module(f"norm{i}", nn.BatchNorm2d(width))
        net.add_module(f"act{i}", nn.ReLU())
    net.add_module("pool", nn.AdaptiveAvgPool2d(1))
    net.add_module("flat", nn.Flatten())
    net.add_module("head", nn.Linear(width, 10))
    return net


def train(images: np.ndarray, labels: np.ndarray, seed: int, epochs: int) -> nn.Module:
    """A network trained on the given digits, with shifts by one pixel."""
    torch.manual_seed(seed)
    x, y, net = torch.from_numpy(images), torch.from_numpy(labels), network()
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    steps = epochs * -(-len(x) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            shift = torch.randint(-1, 2, (2,)).tolist()
            loss = nn.functional.cross_entropy(net(x[rows].roll(shift, (2, 3))), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 1, 8, 8) in [0, 1] and labels."""
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32).reshape(-1, 1, 8, 8), y.astype(np.int64)


def main() -> int:
    """Train, stitch, check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4, help="networks trained; each is stitched into the next")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    images, labels = digits()
    rows = np.random.default_rng(0).permutation(len(images))
    seen, test = rows[:1100], rows[1100:]
    nets = [train(images[seen], labels[seen], seed, options.epochs) for seed in range(options.seeds)]
    results = []
    for seed, bottom in enumerate(nets):
        results.append(
            stitch_networks(
                bottom,
                nets[(seed + 1) % len(nets)],
                images,
                labels=labels,
                cuts=LAYERS,
                stitch="conv1x1",
                fit=["identity", "least_squares", TASK],
                test=test,
                bottom_name=f"seed {seed}",
                top_name=f"seed {(seed + 1) % len(nets)}",
                seed=seed,
            )
        )
        print(results[-1], end="\n\n", flush=True)
    return report(results)


def report(results: list) -> int:
    """Print each claim with its numbers; the number of claims that fail."""

    def mean(fit: str, what) -> np.ndarray:
        return np.mean([[what(r.at(layer, fit=fit)) for layer in LAYERS] for r in results], axis=0)

    base = np.mean([r.base_accuracy for r in results])
    last = slice(-(-2 * len(LAYERS) // 3), None)
    identity, direct, task = (mean(f, lambda c: c.accuracy) for f in ("identity", "least_squares", TASK))
    random = mean("least_squares", lambda c: c.controls["random_bottom"]["accuracy"])
    task_r2, flagged = mean(TASK, lambda c: c.r2), mean(TASK, lambda c: c.leaves_distribution)
    says_nothing = mean("least_squares", lambda c: c.uninformative)
    print("mean over pairs of networks, by layer:", *LAYERS)
    for name, values in [
        ("identity", identity),
        ("least squares", direct),
        ("  untrained bottom", random),
        ("  uninformative", says_nothing),
        ("  R²", mean("least_squares", lambda c: c.r2)),
        ("task", task),
        ("  untrained bottom", mean(TASK, lambda c: c.controls["random_bottom"]["accuracy"])),
        ("  R²", task_r2),
        ("  flagged", flagged),
    ]:
        print(f"{name:<20}", *(f"{v:6.3f}" for v in values))
    lost, gained = base - direct[last].min(), (direct - random)[last].min()
    negative = int((task_r2 < 0).sum())
    claims = {
        f"identity fails: highest {identity.max():.3f} < 0.5": identity.max() < 0.5,
        f"least squares, last third: at most {lost:.3f} below {base:.3f} (limit 0.05)": lost <= 0.05,
        f"least squares, last third: at least {gained:.3f} above untrained (limit 0.3)": gained >= 0.3,
        f"task: R² < 0 at {negative} of {len(LAYERS)} layers, flagged in {flagged.mean():.0%}": flagged.mean() >= 0.5,
        f"uninformative: first layer in {says_nothing[0]:.0%}, last in {says_nothing[-1]:.0%}": (
            says_nothing[0] == 1 and says_nothing[-1] == 0
        ),
    }
    for claim, holds in claims.items():
        print("holds" if holds else "FAILS", claim)
    return sum(not holds for holds in claims.values())


if __name__ == "__main__":
    sys.exit(main())
