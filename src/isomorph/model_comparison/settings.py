"""The settings of a comparison of models by RDMs, checked once."""

from __future__ import annotations

import dataclasses

from .._core.checks import as_count, as_seed, check_choice, is_share
from .._core.memory import parse_bytes
from .._core.settings import Settings
from ..errors import InputError, quoted
from ..metrics.rdm import COMPARISONS, DISSIMILARITIES
from ._bootstrap import KINDS, SUBJECTS


@dataclasses.dataclass(frozen=True)
class ModelComparisonSettings(Settings):
    """How models are compared, and over what results hold.

    Attributes:
        comparison: How RDMs are compared, such as ``"spearman"``, ``"rho_a"`` or ``"cosine"``.
        by: Descriptor of the RDMs that says whose each is; without it each RDM is a subject.
        generalize: New ``"subjects"``, ``"items"`` (stimuli), or ``"both"`` at once, that results shall hold for.
        groups: Descriptor of the items whose equal values are drawn together, such as ``"category"``.
        dissimilarity: Of the models that are given as features.
        ceilings: ``"paired"``: each subject keeps its noise ceiling; ``"resampled"``: made anew, as rsatoolbox does.
        bootstraps: Bootstrap samples.
        permutations: Random re-pairings of the items for the p of the noise ceiling.
        alpha: Level of verdicts and letters; intervals cover 1 - alpha.
        seed: Seed of samples and re-pairings.
        memory: Working memory, such as ``"4GB"`` or bytes.

    Example:
        >>> ModelComparisonSettings(generalize="items").facts()["generalize"]
        'items'
    """

    comparison: str = "spearman"
    by: str = "subject"
    generalize: str = "both"
    groups: str | None = None
    dissimilarity: str = "correlation"
    ceilings: str = "paired"
    bootstraps: int = 1000
    permutations: int = 199
    alpha: float = 0.05
    seed: int = 0
    memory: str | int | None = None

    def __post_init__(self) -> None:
        check_choice(self.comparison, "comparison", COMPARISONS)
        check_choice(self.generalize, "generalize", KINDS)
        check_choice(self.ceilings, "ceilings", ("paired", "resampled"))
        check_choice(self.dissimilarity, "dissimilarity", DISSIMILARITIES)
        for name in ("by", "groups"):
            value = getattr(self, name)
            if not isinstance(value, str) and not (value is None and name == "groups"):
                raise InputError(f"{name}={quoted(value)} must be the name of a descriptor, such as 'subject'.")
        if self.comparison.startswith("whitened") and self.generalize != SUBJECTS:
            raise InputError(
                f"comparison={self.comparison!r} decorrelates the entries of an RDM of unlike items, and a bootstrap "
                f"over items draws some twice. Use generalize='subjects', or comparison="
                f"{self.comparison.removeprefix('whitened_')!r}."
            )
        as_count(self.bootstraps, "bootstraps", 20, 10**6)
        as_count(self.permutations, "permutations", 19, 10**6)
        object.__setattr__(self, "seed", as_seed(self.seed))
        if not is_share(self.alpha):
            raise InputError(f"alpha={quoted(self.alpha)} must be a number between 0 and 1.")
        if self.memory is not None:
            parse_bytes(self.memory)
