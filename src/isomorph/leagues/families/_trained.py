"""What families that are trained share: which networks are needed, and that each is trained once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ..._core.checks import as_count
from ..._core.packages import cache_dir
from ..._core.progress import progress
from ..._core.provenance import fingerprint
from ...conditions import content
from ...encoders._torch import import_torch
from .._family import Family, Network
from ._base import FamilyMaker
from ._network_files import read, saved
from ._recipes import CONVOLUTIONAL, Recipe, members, recipes
from ._training import BATCH, RATE, Task, steps_of, trained


class Trained(FamilyMaker):
    """A family whose networks are trained here, and kept in Isomorph's cache folder, one file a network."""

    plain: ClassVar[int] = 5
    """Networks that differ in their seed alone; all their layers are kept."""
    runs: ClassVar[int] = 3
    """Networks that are kept at several moments of their training."""
    others: ClassVar[tuple[tuple[str, int], ...]] = (
        (CONVOLUTIONAL, 4), (CONVOLUTIONAL, 32), ("recurrent", 32), ("attention", 32),
    )  # fmt: skip
    """Architecture and width of what is trained besides."""

    seeds: int
    epochs: int

    def __post_init__(self) -> None:
        as_count(self.seeds, f"{self.name}: seeds", 3, self.plain)
        as_count(self.epochs, f"{self.name}: epochs", 1, 1000)

    @abstractmethod
    def task(self) -> Task:
        """The items.

        Raises:
            FetchError: if they cannot be had.
            MissingExtraError: if what reads them is not installed.
        """

    def key(self, task: Task) -> list[str]:
        """What of the items goes into the names of files, so that networks of other items are never read."""
        arrays = {"x": task.x, "y": task.y, "held": task.held, "y_held": task.y_held}
        return [content(arrays)]

    def load(self, criteria: Sequence[str] | None = None) -> Family:
        torch = import_torch(f"Training the family {self.name!r}")
        task = self.task()
        steps = steps_of(task, self.epochs)
        home = cache_dir() / "leagues" / self.name
        needed = self._needed(criteria, steps)
        networks, key = list[Network](), self.key(task)
        with progress(len(needed), f"{self.name}: networks", unit="networks") as advance:
            for recipe in needed:
                facts = [recipe.facts, self.epochs, BATCH, RATE, torch.__version__.split("+")[0], *key]
                networks += _kept(torch, recipe, task, self.epochs, home, fingerprint(facts)[:16])
                advance(1)
        names = {network.name for network in networks}
        whole = {k: v for k, v in members([*self.recipes()], steps).items() if names.issuperset(v)}
        facts_of = {"spec": self.spec, "torch": torch.__version__.split("+")[0], "networks": len(networks)}
        return Family(self.name, networks, labels=task.y_held, members=whole, provenance=facts_of)

    def recipes(self) -> Iterator[Recipe]:
        """How each network is trained."""
        return recipes(self.seeds, self.plain, self.runs, self.others)

    def _needed(self, criteria: Sequence[str] | None, steps: int) -> list[Recipe]:
        """The recipes of the networks that these criteria read, at least two."""
        every = [*self.recipes()]
        if criteria is None:
            return every
        of = members(every, steps)
        wanted = {name for criterion in criteria for name in of.get(criterion, ())}
        read = [
            recipe
            for recipe in every
            if not wanted.isdisjoint(recipe.networks(steps)) or any(name in criteria for name, _ in recipe.attributes)
        ]
        return read if len(read) > 1 else every[:2]  # planted spaces need no networks


def _kept(torch: Any, recipe: Recipe, task: Task, epochs: int, home: Path, key: str) -> list[Network]:
    """The networks of a recipe: read, or trained and written as soon as each is there."""
    moments = recipe.networks(steps_of(task, epochs))
    paths = {name: home / f"{name}-{key}.npz" for name in moments}
    found = {name: read(path) for name, path in paths.items()}
    if missing := {moments[name]: name for name, network in found.items() if network is None}:
        home.mkdir(parents=True, exist_ok=True)

        def keep(network: Network) -> None:
            saved(paths[network.name], network)
            found[network.name] = network

        trained(torch, recipe, task, epochs, missing, keep)
    return [network for network in found.values() if network is not None]
