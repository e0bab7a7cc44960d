"""The settings of a stitch of networks, checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from .._core.checks import as_count, as_seed, is_finite
from .._core.memory import parse_bytes
from .._core.settings import Settings
from ..errors import InputError, quoted
from ._stitches import read_fits, read_form


@dataclasses.dataclass(frozen=True)
class NetworkSettings(Settings):
    """How two networks are joined, whatever they are.

    Attributes:
        cuts: Pairs (layer of the bottom, layer of the top), or one name for both.
        stitch: ``"linear"``, ``"conv1x1"`` or ``"low_rank(rank=16)"``.
        fit: One or several of ``"identity"``, ``"least_squares"``, ``"orthogonal"`` and ``"task"``.
        test: Share of the items on which everything is scored, or their row numbers.
        random_draws: How many untrained bottoms.
        margin: A cut that gains no more accuracy than this over the random bottom is called uninformative.
        batch_size: Items that run together.
        seed: Seed of the split, untrained bottoms, permutations and training.
        memory: Working memory, such as ``"4GB"`` or bytes.

    Example:
        >>> NetworkSettings(cuts=["act1", ("act2", "act3")]).fit
        'least_squares'
    """

    cuts: Any
    stitch: str = "linear"
    fit: str | tuple[str, ...] = "least_squares"
    test: float | tuple[int, ...] = 0.5
    random_draws: int = 1
    margin: float = 0.1
    batch_size: int = 256
    seed: int = 0
    memory: str | int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "cuts", tuple(read_cuts(self.cuts)))
        read_form(self.stitch)
        read_fits(self.fit)
        object.__setattr__(self, "fit", self.fit if isinstance(self.fit, str) else tuple(self.fit))
        as_count(self.random_draws, "random_draws")
        as_count(self.batch_size, "batch_size")
        if not is_finite(self.margin) or not 0 <= float(self.margin) < 1:
            raise InputError(f"margin={quoted(self.margin)} must be a share of at least 0 and below 1.")
        object.__setattr__(self, "seed", as_seed(self.seed))
        if self.memory is not None:
            parse_bytes(self.memory)


def read_cuts(cuts: Any) -> list[tuple[str, str]]:
    """Pairs of layer names, each once.

    Raises:
        InputError: if there is none, or one is no pair.
    """
    given = [cuts] if isinstance(cuts, str) else list(cuts) if isinstance(cuts, Sequence) else [None]
    pairs = [(c, c) if isinstance(c, str) else tuple(c) if isinstance(c, Sequence) else () for c in given]
    if not pairs or any(len(p) != 2 or not all(isinstance(name, str) for name in p) for p in pairs):
        raise InputError(
            f"cuts={quoted(cuts)} must hold at least one layer name or pair (layer of the bottom, layer of the top)."
        )
    return list(dict.fromkeys(pairs))
