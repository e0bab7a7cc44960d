"""Train one network of a family, and keep what it makes of the items that it was not trained on."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ...encoders._torch import seeded
from .._family import Network
from ._architectures import built
from ._recipes import Recipe

BATCH, RATE = 64, 2e-3
Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Task(ABC):
    """Items (n, channels, places...) of float32 and their classes, to train on and to compare networks on.

    Attributes:
        x: Items to train on.
        y: Their classes, from 0.
        held: Items that no network is trained on.
        y_held: Their classes.
    """

    x: Array
    y: Array
    held: Array
    y_held: Array

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(self.y.max()) + 1

    @abstractmethod
    def marked(self, x: Array, told: Array, rng: np.random.Generator) -> Array:
        """Items made harder to tell, with a mark of the class that is told."""

    @abstractmethod
    def changed(self, torch: Any, x: Any, strength: float) -> Any:
        """A batch of which a share `strength` was changed at random, from torch's generator."""

    def told_by_marks(self) -> Array:
        """The class that the mark of each held item tells: at random, the same for all networks."""
        return np.random.default_rng(8).integers(0, self.n_classes, len(self.held))


def trained(
    torch: Any, recipe: Recipe, task: Task, epochs: int, moments: Mapping[int, str], keep: Callable[[Network], None]
) -> None:
    """Train a network, and give it at some moments.

    Args:
        torch: The torch module.
        recipe: How.
        task: On what.
        epochs: Passes over its items.
        moments: Steps of training -> name of the network that is kept then.
        keep: Called with each network.
    """
    rng = np.random.default_rng([7, recipe.seed])
    x, y, held = _given(recipe, task, rng)
    # one thread: several slow small networks down, thirtyfold on a busy machine, and round otherwise than one
    with threadpool_limits(1), seeded(recipe.seed), torch.enable_grad():
        blocks, head = built(torch, recipe, x.shape[1:], task.n_classes)
        inputs, classes = torch.from_numpy(x), torch.from_numpy(y)
        optimizer = torch.optim.Adam([*blocks.parameters(), *head.parameters()], lr=RATE)
        step = 0
        if step in moments:
            keep(_seen(torch, (blocks, head), held, task, recipe, step, moments[step]))
        for _ in range(epochs):
            order = torch.from_numpy(rng.permutation(len(inputs)))
            for begin in range(0, len(inputs), BATCH):
                rows = order[begin : begin + BATCH]
                batch = inputs[rows]
                if recipe.augmentation:
                    batch = task.changed(torch, batch, recipe.augmentation)
                for block in blocks.values():
                    batch = block(batch)
                loss = torch.nn.functional.cross_entropy(head(batch), classes[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                step += 1
                if step in moments:
                    keep(_seen(torch, (blocks, head), held, task, recipe, step, moments[step]))


def _given(recipe: Recipe, task: Task, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """What a network is trained on, items and classes, and the held items as it sees them."""
    x, y, held = task.x, task.y.copy(), task.held
    noisy = rng.random(len(y)) < recipe.label_noise
    y[noisy] = rng.integers(0, task.n_classes, int(noisy.sum()))
    if recipe.shortcut is not None:
        told = np.where(rng.random(len(y)) < recipe.shortcut, y, rng.integers(0, task.n_classes, len(y)))
        x = task.marked(x, told, rng)
        held = task.marked(held, task.told_by_marks(), np.random.default_rng(9))
    return x, y, held


def steps_of(task: Task, epochs: int) -> int:
    """Steps of a whole training."""
    return epochs * -(-len(task.x) // BATCH)


def _seen(torch: Any, parts: Any, held: Array, task: Task, recipe: Recipe, step: int, name: str) -> Network:
    """What the network makes of the held items."""
    (blocks, head), layers, pooled = parts, {}, {}
    with torch.no_grad():
        found = torch.from_numpy(held)
        for block_name, block in blocks.items():
            found = block(found)
            if recipe.deep or block_name == "dense":
                layers[block_name] = found.flatten(1).numpy()
                pooled[block_name] = (found.flatten(2).mean(dim=2) if found.ndim > 2 else found).numpy()
        outputs = torch.softmax(head(found).double(), dim=1).numpy()
    weights = head.weight.detach().T.double().numpy(), head.bias.detach().double().numpy()
    attributes = dict[str, str | float](recipe.attributes) | ({"step": step} if recipe.moments else {})
    if recipe.shortcut is not None:
        attributes["follows_mark"] = _follows(outputs, task)
    return Network(name, layers, outputs, attributes, weights, pooled if recipe.deep else None)


def _follows(outputs: Array, task: Task) -> float:
    """Among held items whose mark lies, the share of answers that are what the mark says."""
    told = task.told_by_marks()
    lies = told != task.y_held
    return float(np.mean(outputs.argmax(axis=1)[lies] == told[lies]))
