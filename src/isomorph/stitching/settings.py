"""The settings of a stitch, checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from .._core.checks import as_count, as_seed, check_budget, check_choice, check_flag, is_share
from .._core.memory import parse_bytes
from .._core.settings import Settings
from ..design.splits import BY
from ..errors import InputError, quoted
from ..heldout.retrieval import CORRECTIONS
from ..maps import Map, make_map

DEFAULT_MAPS = ("ridge", "orthogonal")


@dataclasses.dataclass(frozen=True)
class StitchSettings(Settings):
    """How maps are fitted and scored, whatever is stitched.

    Attributes:
        maps: Specs such as ``"ridge"`` or ``"relative(anchors=50)"``, or maps. The first one chooses the layers.
        labels: Label set of the items that is classified; by default their first.
        groups: Label set of the items that is never parted; by default their groups.
        by: What is held out: ``"item"``, ``"label"`` (concepts never seen) or ``"group"``.
        test_fraction: Share of the items held out.
        repeats: Random splits.
        seed: Seed of splits, permutations and bootstrap.
        permutations: Refits of each map to permuted pairs, in each split.
        alpha: Intervals over splits and held-out items cover 1 - alpha.
        draws: Bootstrap samples of these.
        correction: Correction for hubs in retrieval: ``"csls"``, ``"inverted_softmax"`` or None.
        curves: Score against the number of pairs and the size of the gallery as well.
        budget: Seconds that the refits to permuted pairs may take; as many as fit are made.
        memory: Working memory, such as ``"4GB"`` or bytes.

    Example:
        >>> StitchSettings(maps=["ridge"], repeats=2).facts()["repeats"]
        2
        >>> StitchSettings.read({"maps": ["ridge"], "by": "label"}, "stitch 1").by
        'label'
    """

    maps: Any = DEFAULT_MAPS
    labels: str | None = None
    groups: str | None = None
    by: str = "item"
    test_fraction: float = 0.3
    repeats: int = 5
    seed: int = 0
    permutations: int = 20
    alpha: float = 0.05
    draws: int = 500
    correction: str | None = None
    curves: bool = True
    budget: float | None = None
    memory: str | int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "maps", read_maps(self.maps))
        for name in ("test_fraction", "alpha"):
            if not is_share(getattr(self, name)):
                raise InputError(f"{name}={quoted(getattr(self, name))} must lie between 0 and 1, both excluded.")
        object.__setattr__(self, "seed", as_seed(self.seed))
        for name, least in (("repeats", 1), ("permutations", 0), ("draws", 100)):
            as_count(getattr(self, name), name, least)
        check_choice(self.by, "by", BY)
        check_choice(self.correction, "correction", CORRECTIONS)
        check_flag(self.curves, "curves")
        check_budget(self.budget)
        if self.memory is not None:
            parse_bytes(self.memory)


def read_maps(maps: Any) -> tuple[Map, ...]:
    """The maps, each once.

    Raises:
        InputError: if there is none, or one cannot be made.
        UnknownNameError: if one is not known.
    """
    if not isinstance(maps, str | Map | Iterable) or isinstance(maps, bytes | dict):
        raise InputError(f"maps must be specs such as 'ridge', or maps, found {quoted(maps)}.")
    given = [maps] if isinstance(maps, str | Map) else list(maps)
    if not given:
        raise InputError("maps is empty: no map was given; name at least one, such as 'ridge'.")
    for one in given:
        if not isinstance(one, str | Map):
            raise InputError(f"maps must be specs such as 'ridge', or maps, found {quoted(one)}.")
    return tuple({m.variant: m for m in map(make_map, given)}.values())
