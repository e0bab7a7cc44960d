"""The settings of a fusion, checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from .._core.checks import as_count, as_seed, check_choice, check_flag, check_name, is_share
from .._core.memory import parse_bytes
from .._core.settings import Settings
from ..design.splits import BY
from ..errors import InputError, quoted
from ..heads import Head, make_head
from ._targets import RARE

LAYERS = ("alone", "together")
DEFAULT_HEADS = ("concat", "late", "shared")


@dataclasses.dataclass(frozen=True)
class FuseSettings(Settings):
    """How heads are fitted and scored, whatever is fused.

    Attributes:
        heads: Specs such as ``"concat"`` or ``"late(combine='stacked')"``, or heads.
        score: The score that decides; by default accuracy of classes, AUROC of labels, R² of numbers, reciprocal rank
            of rows.
        groups: Label set of the items that is never parted; by default their groups.
        by: What is held out: ``"item"``, ``"label"`` (classes never seen; not of classes) or ``"group"``.
        test_fraction: Share of the items held out.
        repeats: Random splits.
        seed: Seed of splits, controls, training and bootstrap.
        alpha: Intervals over splits and held-out items cover 1 - alpha.
        draws: Bootstrap samples of these.
        controls: Fit every head with a space permuted, random, or given twice as well.
        layers: Which of several layers of a space heads read: ``"alone"``, the one that tells most of the target by
            itself, or ``"together"``, those that tell most together, of two spaces among all pairs of layers.
        rare: What becomes of classes of a single item: ``"refuse"``, ``"leave out"`` their items, or ``"join"`` them
            into one class.
        memory: Working memory, such as ``"4GB"`` or bytes.

    Example:
        >>> FuseSettings(heads=["concat"], repeats=2).facts()["repeats"]
        2
        >>> FuseSettings.read({"heads": ["concat"], "by": "group"}, "fusion 1").by
        'group'
    """

    heads: Any = DEFAULT_HEADS
    score: str | None = None
    groups: str | None = None
    by: str = "item"
    test_fraction: float = 0.3
    repeats: int = 5
    seed: int = 0
    alpha: float = 0.05
    draws: int = 500
    controls: bool = True
    layers: str = "alone"
    rare: str = "refuse"
    memory: str | int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", read_heads(self.heads))
        for name in ("test_fraction", "alpha"):
            if not is_share(getattr(self, name)):
                raise InputError(f"{name}={quoted(getattr(self, name))} must lie between 0 and 1, both excluded.")
        for name in ("score", "groups"):
            check_name(getattr(self, name), name)
        object.__setattr__(self, "seed", as_seed(self.seed))
        for name, least in (("repeats", 1), ("draws", 100)):
            as_count(getattr(self, name), name, least)
        check_choice(self.by, "by", BY)
        check_flag(self.controls, "controls")
        check_choice(self.layers, "layers", LAYERS)
        check_choice(self.rare, "rare", RARE)
        if self.memory is not None:
            parse_bytes(self.memory)


def read_heads(heads: Any) -> tuple[Head, ...]:
    """The heads, each once.

    Raises:
        InputError: if there is none, or one cannot be made.
        UnknownNameError: if one is not known.
    """
    if not isinstance(heads, str | Head | Iterable) or isinstance(heads, bytes | dict):
        raise InputError(f"heads must be specs such as 'concat', or heads, found {quoted(heads)}.")
    given = [heads] if isinstance(heads, str | Head) else list(heads)
    if not given:
        raise InputError("heads is empty: no head was given; name at least one, such as 'concat'.")
    for one in given:
        if not isinstance(one, str | Head):
            raise InputError(f"heads must be specs such as 'concat', or heads, found {quoted(one)}.")
    return tuple({h.variant: h for h in map(make_head, given)}.values())
