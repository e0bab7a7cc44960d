"""The settings of explaining RDMs by models, and of a searchlight, checked once."""

from __future__ import annotations

import dataclasses

from .._core.checks import as_count, as_seed, check_choice, check_name, is_finite
from .._core.memory import parse_bytes
from .._core.settings import Settings
from ..errors import InputError, quoted

METHODS = ("nnls", "ols")
COMPARED = ("pearson", "spearman", "cosine", "whitened_pearson", "whitened_cosine")
SPHERES = ("correlation", "cosine", "euclidean", "squared_euclidean", "crossnobis")


@dataclasses.dataclass(frozen=True)
class ExplainSettings(Settings):
    """How models are weighted and compared.

    Attributes:
        method: ``"nnls"`` (weights of at least 0) or ``"ols"`` (of either sign).
        comparison: ``"pearson"``, ``"spearman"`` (all RDMs rank-transformed), ``"cosine"``, or ``"whitened_pearson"``
            and ``"whitened_cosine"``. Regression, partial correlations and shares of variance are about the mean, and
            so by Pearson where a cosine is given.
        folds: Folds of items; by default 2 to 5, by their number, as in rsatoolbox.
        subject_folds: Folds of subjects, likewise; as many as subjects leaves one out.
        partition: Models (2 to 4) between which the explained variance is divided; by default all, if there are no
            more than 4.
        by: Descriptor of the RDMs that says whose each is; its repeats stay together.
        permutations: Re-pairings of the items.
        seed: Seed of folds and permutations.

    Example:
        >>> ExplainSettings(method="ols").facts()["comparison"]
        'pearson'
    """

    method: str = "nnls"
    comparison: str = "pearson"
    folds: int | None = None
    subject_folds: int | None = None
    partition: tuple[str, ...] | None = None
    by: str = "subject"
    permutations: int = 999
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice(self.method, "method", METHODS)
        check_choice(self.comparison, "comparison", COMPARED)
        for name, least in (("folds", 2), ("subject_folds", 1)):
            if getattr(self, name) is not None:
                as_count(getattr(self, name), name, least, 10**4)
        check_name(self.by, "by")
        if self.partition is not None:
            if not isinstance(self.partition, (list, tuple)) or not all(isinstance(v, str) for v in self.partition):
                raise InputError(f"partition={quoted(self.partition)}: a list of names of 2 to 4 models is needed.")
            object.__setattr__(self, "partition", tuple(self.partition))
            if not 2 <= len(set(self.partition)) == len(self.partition) <= 4:
                raise InputError(
                    f"partition={quoted(list(self.partition))}: 2 to 4 different models are needed; the parts of more "
                    "cannot be read (5 models have 31)."
                )
        as_count(self.permutations, "permutations", 19, 10**6)
        object.__setattr__(self, "seed", as_seed(self.seed))


@dataclasses.dataclass(frozen=True)
class SearchlightSettings(Settings):
    """How the RDM of each sphere is made and compared.

    Attributes:
        radius: Radius of the spheres, in the unit of the positions; channels at just this distance are inside.
        distance: ``"correlation"``, ``"cosine"``, ``"euclidean"``, ``"squared_euclidean"``, or ``"crossnobis"``, which
            needs conditions and runs.
        comparison: As for `explain_rdms`.
        least: Fewest channels in a sphere; centers with fewer are left out.
        permutations: Re-pairings of the items, the same for all centers.
        memory: Working memory, such as ``"1GB"``; None takes blocks of fixed size.
        seed: Seed of the permutations.

    Example:
        >>> SearchlightSettings(radius=3).facts()["distance"]
        'correlation'
    """

    radius: float
    distance: str = "correlation"
    comparison: str = "pearson"
    least: int = 5
    permutations: int = 999
    memory: str | int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not is_finite(self.radius) or self.radius <= 0:
            raise InputError(f"radius={quoted(self.radius)}: a distance above 0, in the unit of positions, is needed.")
        check_choice(self.distance, "distance", SPHERES)
        check_choice(self.comparison, "comparison", COMPARED)
        as_count(self.least, "least", 2)
        as_count(self.permutations, "permutations", 19, 10**6)
        object.__setattr__(self, "seed", as_seed(self.seed))
        if self.memory is not None:
            parse_bytes(self.memory)
