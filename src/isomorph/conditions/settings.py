"""The settings that scans and atlases share: what is computed, and which items may change places."""

from __future__ import annotations

import dataclasses
from typing import Any

from .._core.checks import as_seed, check_flag, is_share
from .._core.settings import Settings
from ..errors import InputError, quoted
from ..metrics import DEFAULT_METRICS, read_metrics


@dataclasses.dataclass(frozen=True)
class ComparisonSettings(Settings):
    """Metrics, their permutations and the design of the items.

    Attributes:
        metrics: Specs such as ``"mutual_knn(k=10)"``, or metrics.
        permutations: Random re-pairings of the items, shared by all that is compared.
        seed: Seed of re-pairings and of cuts of the items.
        alpha: Level of the calibrated score's threshold; intervals cover 1 - alpha.
        groups: Label set of the items that changes places as a whole.
        strata: Label set of the items, or ``"groups"``, inside which items change places.
        circular: Items are one time series, shifted in a circle instead of shuffled.
        within: Items inside a group are shuffled as well.

    Example:
        >>> ComparisonSettings(metrics="cka", seed=3).metrics[0].spec
        "cka(estimator='unbiased')"
    """

    metrics: Any = DEFAULT_METRICS
    permutations: int = 200
    seed: int = 0
    alpha: float = 0.05
    groups: str | None = None
    strata: str | None = None
    circular: bool = False
    within: bool = True

    def facts(self) -> dict[str, Any]:
        found = super().facts()
        if found.get("device", "") is None:  # results and caches of before there were devices say nothing of them
            del found["device"]
        return found

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", read_metrics(self.metrics))
        object.__setattr__(self, "seed", as_seed(self.seed))
        if not is_share(self.alpha):
            raise InputError(f"alpha={quoted(self.alpha)}: a level between 0 and 1 is needed.")
        for name in ("circular", "within"):
            check_flag(getattr(self, name), name)
        self.check_design(strata=self.strata is not None)

    def check_design(self, *, strata: bool) -> None:
        """Check what says how items may change places.

        Args:
            strata: Whether there are labels inside which they do.

        Raises:
            InputError: if settings exclude each other.
        """
        if strata and self.circular:
            raise InputError(
                "circular=True and strata exclude each other: a shift takes items out of their label. Give each series "
                "as a group."
            )
