"""Zero-shot stitching on scikit-learn's digits: can one network's classifier read another network's features?

Small multilayer perceptrons of several widths and seeds are trained apart on the same images. Then the encoder of one
is joined to the classifier head of another, never trained together, in three ways:

* absolute: the head reads the other encoder's features as they are;
* relative: heads are trained on similarities to anchor images, which all encoders share;
* orthogonal: a rotation fitted on at most 100 image pairs brings the features over, then the absolute head reads them.

Run it with ``python examples/digits_stitching.py``; it needs scikit-learn.
"""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from isomorph.maps import make_map

LATENT = 32


@dataclasses.dataclass(frozen=True)
class Network:
    """One trained encoder: the features of all images in its last hidden layer, and the accuracy of its own head.

    Attributes:
        train: Features (n_train, latent) of the training images.
        test: Features (n_test, latent) of the test images.
        head: Classifier on `train`.
        accuracy: Its accuracy on `test`.
    """

    train: np.ndarray[Any, Any]
    test: np.ndarray[Any, Any]
    head: LogisticRegression
    accuracy: float


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Mean accuracies over all ordered pairs of different networks.

    Attributes:
        native: Accuracy of each head on its own encoder's features.
        absolute: Accuracy of a head on another encoder's features.
        relative: The same, in relative representations.
        orthogonal: The same, through an orthogonal map fitted on `pairs` pairs.
        worst_relative: Lowest of the relative ones.
        worst_orthogonal: Lowest of the orthogonal ones.
        pairs: Number of those pairs.
        anchors: Number of anchors of the relative representations.
    """

    native: float
    absolute: float
    relative: float
    orthogonal: float
    worst_relative: float
    worst_orthogonal: float
    pairs: int
    anchors: int


def images() -> tuple[np.ndarray[Any, Any], ...]:
    """Training and test images, standardised on the training ones, and their labels."""
    x, y = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=0.4, random_state=0, stratify=y)
    scaler = StandardScaler().fit(train_x)
    return scaler.transform(train_x), scaler.transform(test_x), train_y, test_y


def train_network(width: int, seed: int, data: tuple[np.ndarray[Any, Any], ...]) -> Network:
    """Train one perceptron 64 -> width -> 32 -> 10 and read its last hidden layer."""
    train_x, test_x, train_y, test_y = data
    net = MLPClassifier((width, LATENT), activation="tanh", max_iter=200, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 200 passes are enough for what is shown here
        net.fit(train_x, train_y)

    def encode(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        for weights, bias in list(zip(net.coefs_, net.intercepts_, strict=True))[:-1]:
            rows = np.tanh(rows @ weights + bias)
        return rows

    train, test = encode(train_x), encode(test_x)
    head = fit_head(train, train_y)
    return Network(train, test, head, float(head.score(test, test_y)))


def fit_head(features: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> LogisticRegression:
    """A linear classifier."""
    return LogisticRegression(max_iter=2000).fit(features, labels)


def run(widths: tuple[int, ...] = (96, 160, 256), seeds: int = 2, anchors: int = 100, pairs: int = 100) -> Outcome:
    """Train the networks and stitch every encoder to every other head."""
    data = images()
    train_y, test_y = data[2], data[3]
    networks = [train_network(width, seed, data) for width, seed in itertools.product(widths, range(seeds))]
    rng = np.random.default_rng(0)
    known = rng.permutation(len(train_y))[:pairs]
    # an encoder's relative representation needs no other encoder: the anchors are the same images for all
    relatives = [make_map(f"relative(anchors={anchors})").fit(n.train, n.train) for n in networks]
    heads = [fit_head(r.embed_x(n.train), train_y) for r, n in zip(relatives, networks, strict=True)]
    absolute, relative, orthogonal = [], [], []
    for i, j in itertools.permutations(range(len(networks)), 2):
        absolute.append(networks[j].head.score(networks[i].test, test_y))
        relative.append(heads[j].score(relatives[i].embed_x(networks[i].test), test_y))
        rotation = make_map("orthogonal").fit(networks[i].train[known], networks[j].train[known])
        orthogonal.append(networks[j].head.score(rotation.predict(networks[i].test), test_y))
    return Outcome(
        native=float(np.mean([n.accuracy for n in networks])),
        absolute=float(np.mean(absolute)),
        relative=float(np.mean(relative)),
        orthogonal=float(np.mean(orthogonal)),
        worst_relative=float(np.min(relative)),
        worst_orthogonal=float(np.min(orthogonal)),
        pairs=pairs,
        anchors=anchors,
    )


def main() -> None:
    """Print the accuracies and how they compare with native ones."""
    result = run()
    print(f"native head on its own encoder            {result.native:.3f}")
    print(f"absolute, other encoder                   {result.absolute:.3f}   (chance 0.1)")
    for label, value, worst in (
        (f"relative, {result.anchors} anchors", result.relative, result.worst_relative),
        (f"orthogonal, {result.pairs} pairs", result.orthogonal, result.worst_orthogonal),
    ):
        print(f"{label:<41} {value:.3f}   ({value / result.native:.3f} of native; worst pair {worst:.3f})")


if __name__ == "__main__":
    main()
