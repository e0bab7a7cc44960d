"""How each network of a trained family is made, and which criteria read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
WIDTH = 16
CONVOLUTIONAL = "convolutional"
_MARKS = 2  # counts up when marks change: the first, of two pixels, were not leaned on
_POPULATION = (
    "accuracy", "disagreement", "jensen_shannon", "stitching", "predictivity", "retrieval", "probes", "fusion_gain",
    "steering", "other_items", "fewer_items",
)  # fmt: skip
_OF_LAYERS = ("monotonicity", "identification", "identification_pooled")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one network is trained.

    Attributes:
        name: Its name.
        seed: Seed of its weights, of the order of items and of what is drawn.
        width: Channels of its first layers.
        label_noise: Share of labels drawn at random.
        shortcut: Share of items whose mark tells the label; None for items without marks.
        augmentation: How strongly items are changed while it is trained, 0 to 1.
        attributes: What is told of it.
        deep: Whether all its layers are kept, not the last alone.
        architecture: ``"convolutional"``, ``"recurrent"`` or ``"attention"``.
        moments: Whether it is kept at several moments of its training, each a network of its own.
    """

    name: str
    seed: int
    width: int = WIDTH
    label_noise: float = 0.0
    shortcut: float | None = None
    augmentation: float = 0.0
    attributes: tuple[tuple[str, str | float], ...] = ()
    deep: bool = False
    architecture: str = CONVOLUTIONAL
    moments: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """What its files are named after: fields that came later count where they say something."""
        facts = dataclasses.asdict(self)
        if self.architecture == CONVOLUTIONAL:
            del facts["architecture"]
        if not self.moments:
            del facts["moments"]
        return facts if self.shortcut is None else {**facts, "marks": _MARKS}

    def networks(self, steps: int) -> dict[str, int]:
        """Name -> steps of training of each network that it gives, of `steps` in all.

        A run is kept before training and after all of it, its half, its quarter, … to a 32nd.
        """
        if not self.moments:
            return {self.name: steps}
        return {f"{self.name}@{step}": step for step in sorted({0, *(steps >> k for k in range(6))})}


def recipes(seeds: int, plain: int, runs: int, others: Sequence[tuple[str, int]]) -> Iterator[Recipe]:
    """All recipes of a family.

    Args:
        seeds: Networks of each share of label noise, marks and augmentation.
        plain: Networks that differ in their seed alone, of which all layers are kept.
        runs: Networks that are kept at several moments.
        others: Architecture and width of what else is trained, three each.
    """
    for seed in range(plain):
        told: tuple[tuple[str, str | float], ...] = (("seed", seed),)
        if seed < seeds:
            told += (("label_noise", 0.0), ("augmentation", 0.0))
        if seed < 3:
            told += (("architecture", f"width {WIDTH}"),)
        yield Recipe(f"plain-{seed}", seed, attributes=told, deep=True)
    for seed in range(seeds):
        for share in SHARES[1:]:
            yield Recipe(
                f"label_noise-{share}-{seed}", 100 + seed, label_noise=share, attributes=(("label_noise", share),)
            )
            yield Recipe(
                f"augmentation-{share}-{seed}", 200 + seed, augmentation=share, attributes=(("augmentation", share),)
            )
        for share in SHARES:
            yield Recipe(f"shortcut-{share}-{seed}", 300 + seed, shortcut=share, attributes=(("shortcut", share),))
    for kind, width in others:
        word = "width" if kind == CONVOLUTIONAL else kind
        for seed in range(3):
            yield Recipe(
                f"{word}-{width}-{seed}",
                400 + seed,
                width,
                attributes=(("architecture", f"{word} {width}"),),
                architecture=kind,
            )
    for seed in range(runs):
        yield Recipe(f"run-{seed}", 500 + seed, attributes=(("run", seed),), moments=True)


def members(made: Sequence[Recipe], steps: int) -> dict[str, list[str]]:
    """Criterion -> networks: what asks of any two networks is asked of two of each kind without marks."""
    whole = [recipe for recipe in made if not recipe.moments]
    mixed = [recipe.name for recipe in whole if recipe.shortcut is None and recipe.name.endswith(("-0", "-1"))]
    deep = [recipe.name for recipe in whole if recipe.deep]
    states = [name for recipe in made if recipe.moments for name in recipe.networks(steps)]
    return dict.fromkeys(_POPULATION, mixed) | dict.fromkeys(_OF_LAYERS, deep) | {"checkpoints": states}
