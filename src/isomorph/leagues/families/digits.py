"""Small convolutional networks on scikit-learn's digits, made different in every way that a criterion asks of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..._core.checks import as_count
from ..._core.packages import cache_dir
from ..._core.progress import progress
from ..._core.provenance import fingerprint
from ...encoders._torch import import_torch, seeded
from .._family import Family, Network
from ._base import FamilyMaker
from ._network_files import read, saved

ITEMS = 400
"""Images that no network is trained on, on which all are compared."""
SIDE, CLASSES, FEATURES = 8, 10, 64
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
WIDTHS = (4, 8, 32)
WIDTH, BATCH, RATE = 16, 64, 2e-3
STANDARD = 10
_POPULATION = (
    "accuracy", "disagreement", "jensen_shannon", "stitching", "predictivity", "retrieval", "probes", "fusion_gain",
    "steering", "other_items", "fewer_items",
)  # fmt: skip
_OF_LAYERS = ("monotonicity", "identification", "identification_pooled")
Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one network is trained.

    Attributes:
        name: Its name.
        seed: Seed of its weights, of the order of images and of what is drawn.
        width: Channels of its first layers.
        label_noise: Share of labels drawn at random.
        shortcut: Share of images whose mark tells the label; None for images without marks.
        augmentation: How strongly images are shifted and overlaid with noise, 0 to 1.
        attributes: What is told of it.
        deep: Whether all its layers are kept, not the last alone.
    """

    name: str
    seed: int
    width: int = WIDTH
    label_noise: float = 0.0
    shortcut: float | None = None
    augmentation: float = 0.0
    attributes: tuple[tuple[str, str | float], ...] = ()
    deep: bool = False


@dataclasses.dataclass(frozen=True)
class Digits(FamilyMaker):
    """Convolutional networks on scikit-learn's digits, with label noise, shortcuts, augmentation and several widths.

    Four convolutions, a dense layer of 64 units and a head, trained by Adam on 1,397 images and compared on the 400
    others. Ten plain networks (all layers kept), `seeds` each with a quarter to all labels at random, with marks in the
    image that tell the label of none to all of the images, and with augmentation of four strengths; three each of other
    widths. Networks with marks see the 400 images with a mark at random. Trained once, then kept in Isomorph's cache
    folder, one file a network, so that it can be interrupted.

    Attributes:
        seeds: Networks of each kind.
        epochs: Passes over the images.
    """

    name: ClassVar[str] = "digits"
    reference: ClassVar[str] = (
        "Images: scikit-learn's digits (UCI Optical Recognition of Handwritten Digits, 1,797 of 8×8); design of the "
        "kinds after ReSi (Klabunde et al. 2025)."
    )

    seeds: int = 5
    epochs: int = 20

    def __post_init__(self) -> None:
        as_count(self.seeds, "digits: seeds", 3, STANDARD)
        as_count(self.epochs, "digits: epochs", 1, 1000)

    def load(self, criteria: Sequence[str] | None = None) -> Family:
        torch = import_torch("Training the family 'digits'")
        data = _images()
        home = cache_dir() / "leagues" / "digits"
        recipes = self._needed(criteria)
        networks = []
        with progress(len(recipes), f"{self.name}: networks", unit="networks") as advance:
            for recipe in recipes:
                facts = [dataclasses.asdict(recipe), self.epochs, BATCH, RATE, torch.__version__.split("+")[0]]
                path = home / f"{recipe.name}-{fingerprint(facts)[:16]}.npz"
                networks.append(read(path) or _made(recipe, data, self.epochs, path))
                advance(1)
        facts_of = {"spec": self.spec, "torch": torch.__version__.split("+")[0], "networks": len(networks)}
        return Family("digits", networks, labels=data.y_held, members=self._members_of(recipes), provenance=facts_of)

    def _needed(self, criteria: Sequence[str] | None) -> list[Recipe]:
        """The recipes of the networks that these criteria read, at least two."""
        every, members = [*self.recipes()], self.members()
        if criteria is None:
            return every
        wanted = {name for criterion in criteria for name in members.get(criterion, ())}
        read = [r for r in every if r.name in wanted or any(name in criteria for name, _ in r.attributes)]
        return read if len(read) > 1 else every[:2]  # planted spaces need no networks

    def _members_of(self, recipes: Sequence[Recipe]) -> dict[str, list[str]]:
        """The members of criteria all of whose networks are there."""
        there = {recipe.name for recipe in recipes}
        return {criterion: names for criterion, names in self.members().items() if there.issuperset(names)}

    def recipes(self) -> Iterator[Recipe]:
        """How each network is trained."""
        for seed in range(STANDARD):
            told: tuple[tuple[str, str | float], ...] = (("seed", seed),)
            if seed < self.seeds:
                told += (("label_noise", 0.0), ("augmentation", 0.0))
            if seed < 3:
                told += (("architecture", f"width {WIDTH}"),)
            yield Recipe(f"plain-{seed}", seed, attributes=told, deep=True)
        for seed in range(self.seeds):
            for share in SHARES[1:]:
                yield Recipe(
                    f"label_noise-{share}-{seed}", 100 + seed, label_noise=share, attributes=(("label_noise", share),)
                )
                yield Recipe(
                    f"augmentation-{share}-{seed}",
                    200 + seed,
                    augmentation=share,
                    attributes=(("augmentation", share),),
                )
            for share in SHARES:
                yield Recipe(f"shortcut-{share}-{seed}", 300 + seed, shortcut=share, attributes=(("shortcut", share),))
        for width in WIDTHS:
            for seed in range(3):
                yield Recipe(
                    f"width-{width}-{seed}", 400 + seed, width, attributes=(("architecture", f"width {width}"),)
                )

    def members(self) -> dict[str, list[str]]:
        """Criterion -> networks: those that ask of any two networks are asked of two of each kind without marks."""
        mixed = [
            recipe.name for recipe in self.recipes() if recipe.shortcut is None and recipe.name.endswith(("-0", "-1"))
        ]
        deep = [recipe.name for recipe in self.recipes() if recipe.deep]
        return dict.fromkeys(_POPULATION, mixed) | dict.fromkeys(_OF_LAYERS, deep)


@dataclasses.dataclass(frozen=True)
class _Images:
    """Images (n, 1, 8, 8) in [0, 1] and their classes, to train on and to compare networks on."""

    x: Array
    y: Array
    held: Array
    y_held: Array


def _images() -> _Images:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype(np.float32).reshape(-1, 1, SIDE, SIDE), y[order].astype(np.int64)
    return _Images(x[ITEMS:], y[ITEMS:], x[:ITEMS], y[:ITEMS])


def _marked(x: Array, told: Array) -> Array:
    """Images with a mark that tells a class: a bright pixel in the first and one in the last row."""
    out = x.copy()
    rows = np.arange(len(x))
    out[:, 0, 0, :], out[:, 0, -1, :] = 0, 0
    out[rows, 0, 0, told % 5] = 1
    out[rows, 0, -1, told // 5] = 1
    return out


def _made(recipe: Recipe, data: _Images, epochs: int, path: Path) -> Network:
    """Train a network, keep it, and give it."""
    torch = import_torch("Training the family 'digits'")
    rng = np.random.default_rng([7, recipe.seed])
    x, y, held = data.x, data.y.copy(), data.held
    noisy = rng.random(len(y)) < recipe.label_noise
    y[noisy] = rng.integers(0, CLASSES, int(noisy.sum()))
    if recipe.shortcut is not None:
        told = np.where(rng.random(len(y)) < recipe.shortcut, y, rng.integers(0, CLASSES, len(y)))
        x = _marked(x, told)
        held = _marked(held, np.random.default_rng(8).integers(0, CLASSES, len(held)))
    with seeded(recipe.seed):
        blocks, head = _parts(torch, recipe.width)
        _train(torch, blocks, head, torch.from_numpy(x), torch.from_numpy(y), recipe, epochs, rng)
        network = _seen(torch, blocks, head, torch.from_numpy(held), recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    saved(path, network)
    return network


def _parts(torch: Any, width: int) -> tuple[Any, Any]:
    """The layers of a network, and its head."""
    nn = torch.nn

    def conv(a: int, b: int, *before: Any) -> Any:
        return nn.Sequential(*before, nn.Conv2d(a, b, 3, padding=1), nn.ReLU())

    blocks = nn.ModuleDict(
        {
            "conv_1": conv(1, width),
            "conv_2": conv(width, width),
            "conv_3": conv(width, 2 * width, nn.MaxPool2d(2)),
            "conv_4": conv(2 * width, 2 * width),
            "dense": nn.Sequential(
                nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2 * width * (SIDE // 4) ** 2, FEATURES), nn.ReLU()
            ),
        }
    )
    return blocks, nn.Linear(FEATURES, CLASSES)


def _train(torch: Any, blocks: Any, head: Any, x: Any, y: Any, recipe: Recipe, epochs: int, rng: Any) -> None:
    optimizer = torch.optim.Adam([*blocks.parameters(), *head.parameters()], lr=RATE)
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(len(x)))
        for begin in range(0, len(x), BATCH):
            rows = order[begin : begin + BATCH]
            images = x[rows]
            if recipe.augmentation:
                images = _changed(torch, images, recipe.augmentation)
            for block in blocks.values():
                images = block(images)
            loss = torch.nn.functional.cross_entropy(head(images), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def _changed(torch: Any, images: Any, strength: float) -> Any:
    """Images shifted by a pixel and overlaid with noise, a share `strength` of them."""
    shift = [int(v) for v in torch.randint(-1, 2, (2,))]
    moved = torch.roll(images, shift, dims=(2, 3)) + 0.3 * torch.randn_like(images)
    chosen = torch.rand(len(images), 1, 1, 1) < strength
    return torch.where(chosen, moved, images)


def _seen(torch: Any, blocks: Any, head: Any, held: Any, recipe: Recipe) -> Network:
    """What the network makes of the images that it was not trained on."""
    layers, pooled = {}, {}
    with torch.no_grad():
        images = held
        for name, block in blocks.items():
            images = block(images)
            if recipe.deep or name == "dense":
                layers[name] = images.flatten(1).numpy()
                pooled[name] = (images.mean(dim=(2, 3)) if images.ndim == 4 else images).numpy()
        outputs = torch.softmax(head(images).double(), dim=1).numpy()
    weights = head.weight.detach().T.double().numpy(), head.bias.detach().double().numpy()
    return Network(recipe.name, layers, outputs, dict(recipe.attributes), weights, pooled if recipe.deep else None)
