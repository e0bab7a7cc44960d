"""The settings of a scan, checked once."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Iterable
from typing import Any

from .._core.checks import as_count, check_budget, check_choice, check_flag, is_finite
from .._core.memory import parse_bytes
from ..conditions import ComparisonSettings, check_device
from ..errors import InputError, quoted

SELECTIONS = ("all", "split")


@dataclasses.dataclass(frozen=True)
class ScanSettings(ComparisonSettings):
    """How a scan is made, whatever is scanned.

    Attributes:
        permutations: Random re-pairings of the items, shared by all metrics and layers. 0 samples none.
        seed: Seed of the permutations and of the split.
        selection: ``"all"``, or ``"split"`` to choose layers on one half of the items and score them on the other.
        intervals: Give confidence intervals over items, where the metric has influence functions.
        gallery: Score the best pair with fewer items as well; or the numbers of items.
        budget: Seconds that the permutations of one metric may take.
        memory: Working memory that the metrics may take, such as ``"4GB"`` or bytes.
        neighbors: Neighbours listed for the items that both sides see most and least alike; 0 lists none.
        equivalence: Margin on the score within which a difference from a baseline counts as none, or None for no such
            claim.
        device: Device of torch on which metrics compute, such as ``"cuda"``; None computes where the features are.

    Example:
        >>> ScanSettings(metrics=["cka"], permutations=500).facts()["permutations"]
        500
        >>> ScanSettings.read({"metrics": ["cka"], "gallery": True}, "scan 1").gallery
        True
    """

    selection: str = "all"
    intervals: bool = True
    gallery: bool | tuple[int, ...] = False
    budget: float | None = None
    memory: str | int | None = None
    neighbors: int = 10
    equivalence: float | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        as_count(self.permutations, "permutations", 0)
        super().__post_init__()
        if self.permutations and self.alpha * (self.permutations + 1) < 1.0 - 1e-9:  # before anything is computed
            raise InputError(
                f"permutations={self.permutations} cannot give a p of alpha={self.alpha} or less; use at least "
                f"{math.ceil(1 / max(self.alpha, 1e-300)) - 1:.9g}, or 0 for the exact nulls alone."
            )
        check_flag(self.intervals, "intervals")
        check_choice(self.selection, "selection", SELECTIONS)
        object.__setattr__(self, "gallery", _sizes(self.gallery))
        check_budget(self.budget)
        if self.memory is not None:
            parse_bytes(self.memory)
        as_count(self.neighbors, "neighbors", 0)
        check_device(self.device)
        if self.equivalence is not None:
            self._check_equivalence()

    def _check_equivalence(self) -> None:
        if not is_finite(self.equivalence) or not float(self.equivalence) > 0:  # type: ignore[arg-type]  # as checked
            raise InputError(
                f"equivalence={quoted(self.equivalence)} must be a margin above 0 in units of the score, such as 0.05, "
                "or None."
            )
        if not self.alpha < 0.5:
            raise InputError(
                f"equivalence={self.equivalence} with alpha={self.alpha}: two one-sided tests need an alpha below 0.5."
            )

    def check_design(self, *, strata: bool) -> None:
        super().check_design(strata=strata)
        if not self.permutations and (strata or self.circular):
            how = "shifted in a circle" if self.circular else "permuted within labels"
            raise InputError(f"permutations=0: exact nulls are not known for items {how}; sample some, such as 199.")


def _sizes(gallery: Any) -> bool | tuple[int, ...]:
    """Numbers of items of a gallery curve, or whether there is one.

    Raises:
        InputError: if they are neither.
    """
    if isinstance(gallery, bool):
        return gallery
    given = list(gallery) if isinstance(gallery, Iterable) and not isinstance(gallery, str | bytes) else []
    whole = [v for v in given if isinstance(v, numbers.Integral) and not isinstance(v, bool) and int(v) > 0]
    if not given or len(whole) < len(given):
        raise InputError(f"gallery={quoted(gallery)} must be True, False or a list of numbers of items.")
    return tuple(sorted({int(v) for v in whole}))
