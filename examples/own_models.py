"""Your own arrays and your own torch networks through the same doors: `python examples/own_models.py`.

Two small networks are trained apart on the two halves of scikit-learn's digits, a third one is left untrained. How
alike do the trained ones see the digits, layer by layer, and by how much more than the untrained one?
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

import isomorph as iso
from isomorph.datasets import MemoryView


def network(seed: int, width: int = 64) -> torch.nn.Sequential:
    """Three layers, initialised by a seed."""
    torch.manual_seed(seed)
    relu = torch.nn.ReLU
    return torch.nn.Sequential(
        torch.nn.Linear(64, width), relu(), torch.nn.Linear(width, width), relu(), torch.nn.Linear(width, 10)
    )


def train(net: torch.nn.Sequential, x: torch.Tensor, y: torch.Tensor, epochs: int = 60) -> torch.nn.Sequential:
    """A few passes of Adam over all digits at once."""
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    return net


def to_tensor(batch: list[np.ndarray]) -> torch.Tensor:
    """What the networks take: the preprocessing is yours."""
    return torch.from_numpy(
        np.stack([np.asarray(image)[..., 0].reshape(-1) for image in batch]).astype(np.float32) / 16
    )


def main() -> None:
    """Train, extract every layer, scan, and write the page."""
    digits = load_digits()
    x = torch.from_numpy(digits.data.astype(np.float32) / 16)
    y = torch.from_numpy(digits.target)
    ids = [f"digit-{i}" for i in range(len(x))]
    pictures = [np.repeat(image[..., None], 3, axis=2).astype(np.uint8) for image in digits.images]
    items = iso.PairedItems("digits", ids, {"image": MemoryView(pictures, "image")}, {"class": digits.target})
    held_out, _ = items.split(0.25, seed=0, by="item")

    a, b = train(network(0), x[::2], y[::2]), train(network(1), x[1::2], y[1::2])
    nets = {"first": a, "second": b, "untrained": network(2)}
    layers = {
        name: iso.extract(
            iso.load_encoder(net, name=name, modality="image", preprocess=to_tensor, layers=["1", "3", "4"]), held_out
        )
        for name, net in nets.items()
    }
    scan = iso.scan(
        layers["first"], layers["second"], ["mutual_knn(k=10)", "cka"], y_baselines={"untrained": layers["untrained"]}
    )
    print(scan)
    print(iso.report(scan, to="runs/own_models/report.html"))


if __name__ == "__main__":
    main()
