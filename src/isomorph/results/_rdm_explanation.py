"""What several model RDMs explain of measured ones, together, each given the others, and in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from ..errors import UnknownNameError
from ._base import Result
from ._numbers import decimals, format_p
from ._tables import frame

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclasses.dataclass(frozen=True)
class ModelShare(Result):
    """One model RDM among those that explain the measured ones.

    Attributes:
        weight: Its weight in the combination fitted to all items and subjects, the RDMs of all models being brought to
            one scale (standard deviation 1, or root mean square 1 for cosines) and the weights to length 1.
        weight_low: Its least weight over the folds.
        weight_high: Its greatest.
        alone: Its held-out score by itself, on the same held-out items and subjects, nothing fitted.
        alone_chance: The mean of that with the items re-paired.
        alone_p: One-sided p of that.
        correlation: Correlation with the mean RDM of the subjects, over all pairs of items; chance 0.
        partial: The same with all other models held fixed, in [-1, 1]; chance 0.
        beta: Standardized coefficient in the regression of the mean RDM on all models.
        vif: Variance inflation: 1 if the model is unlike all others, ∞ if it is a weighted sum of them.
        p_value: Two-sided p of the partial correlation, and so of `beta` and `unique`.
        q_value: That adjusted over the models (Benjamini and Hochberg).
        unique: Part of the variance of the mean RDM that no other model explains, in [0, 1].
        unique_chance: The mean of that over the permutations.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> a, b = (iso.RDMs.from_patterns(rng.normal(size=(20, 4)), distance="euclidean") for _ in "ab")
        >>> share = iso.explain_rdms(a, {"a": a, "b": b}, permutations=99)["a"]
        >>> round(share.partial, 2), share.p_value, round(share.unique, 2)
        (1.0, 0.01, 1.0)
    """

    kind: ClassVar[str] = "model_share"

    weight: float
    weight_low: float
    weight_high: float
    alone: float
    alone_chance: float
    alone_p: float
    correlation: float
    partial: float
    beta: float
    vif: float
    p_value: float
    q_value: float
    unique: float
    unique_chance: float


@dataclasses.dataclass(frozen=True)
class VariancePart(Result):
    """One part of the explained variance: what some models explain in common and none of the others does.

    Attributes:
        models: The models; one for a unique part.
        value: Share of the variance of the mean RDM. A common part is negative where models together explain more than
            the sum of each alone (suppression); it is reported as it is.
        chance: Mean of a unique part over the permutations; None for common parts.
        p_value: p of a unique part; None for common parts.

    Example:
        >>> VariancePart(("a", "b"), -0.01, None, None).name
        'a + b'
    """

    kind: ClassVar[str] = "variance_part"

    models: tuple[str, ...]
    value: float
    chance: float | None
    p_value: float | None

    @property
    def name(self) -> str:
        """The models, joined by plus signs."""
        return " + ".join(self.models)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class RdmExplanation(Result):
    """How well model RDMs explain measured RDMs together, and what each adds to the others.

    Attributes:
        name: What was explained.
        models: Model -> its share.
        method: ``"nnls"`` (weights of at least 0) or ``"ols"``.
        comparison: How RDMs are compared.
        score: The held-out score of the weighted models: fitted on some items and subjects, compared with others', the
            mean over folds.
        chance: The mean of that over re-pairings of the items, the weights fitted anew each time.
        p_value: One-sided p from the same.
        ceiling: Lower and upper noise ceiling on the same held-out items and subjects: what the mean RDM of the
            subjects fitted on scores, and that of all; none for one subject.
        score_each: The score of each subject (subjects,).
        fold_scores: That of each fold (folds,), item folds within subject folds.
        fold_weights: Weights of each fold (folds, models), as `ModelShare.weight`.
        r2: Share of the variance of the mean RDM, over all pairs of items, that a regression on all models explains,
            fitted on the same pairs.
        r2_chance: The mean of that over re-pairings of the items.
        r2_p: p of that: of no model having to do with the RDM.
        parts: The parts that `r2` consists of, where it was divided: unique ones first.
        partition: The models between which it was divided.
        partition_r2: What these explain, the sum of the parts; None where nothing was divided.
        subjects: Whose RDMs they are.
        n: Number of items.
        pairs: Pairs of items that all models and some subject have.
        missing: Dissimilarities that are NaN, left out.
        item_folds: Folds of items.
        subject_folds: Folds of subjects; 1 if all were fitted on, their other items.
        permutations: Re-pairings of the items.
        seed: Seed of folds and permutations.
        notes: What else is to be known.
        provenance: How to make it again.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> a, b = (iso.RDMs.from_patterns(rng.normal(size=(20, 4)), distance="euclidean") for _ in "ab")
        >>> both = iso.RDMs.from_arrays(a.dissimilarities + 0.5 * b.dissimilarities)
        >>> found = iso.explain_rdms(both, {"a": a, "b": b}, permutations=99)
        >>> round(found.score, 2), round(found.r2, 2), [(p.name, round(p.value, 2)) for p in found.parts]
        (1.0, 1.0, [('a', 0.86), ('b', 0.18), ('a + b', -0.04)])
    """

    kind: ClassVar[str] = "rdm_explanation"

    name: str
    models: Mapping[str, ModelShare]
    method: str
    comparison: str
    score: float
    chance: float
    p_value: float
    ceiling: tuple[float, float] | None
    score_each: Floats
    fold_scores: Floats
    fold_weights: Floats
    r2: float
    r2_chance: float
    r2_p: float
    parts: tuple[VariancePart, ...]
    partition: tuple[str, ...]
    partition_r2: float | None
    subjects: tuple[str, ...]
    n: int
    pairs: int
    missing: int
    item_folds: int
    subject_folds: int
    permutations: int
    seed: int
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def contradictions(self) -> Iterator[str]:
        if not self.models:
            yield "it has no model"
        if self.score_each.shape != (len(self.subjects),):
            yield f"it has {self.score_each.size} scores of {len(self.subjects)} subjects"
        if self.fold_weights.shape != (len(self.fold_scores), len(self.models)):
            yield "the weights of the folds are not one a fold and model"
        if any(set(part.models) - set(self.models) for part in self.parts):
            yield "a part is of a model that is not there"

    def __getitem__(self, model: str) -> ModelShare:
        """One model's share.

        Raises:
            UnknownNameError: if there is none of this name.
        """
        if model not in self.models:
            raise UnknownNameError("model", str(model), self.models)
        return self.models[model]

    def __iter__(self) -> Iterator[str]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)

    @property
    def share(self) -> float | None:
        """The score over the lower ceiling; None without one beyond 0, or where chance is not 0 (cosines)."""
        if self.ceiling is None or self.ceiling[0] <= 0 or self.comparison.endswith("cosine"):
            return None
        return self.score / self.ceiling[0]

    def to_records(self) -> list[dict[str, Any]]:
        """One dict a model: its name and every field of its share."""
        return [{"model": name, **{f.name: getattr(s, f.name) for f in dataclasses.fields(s)}}
                for name, s in self.models.items()]  # fmt: skip

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        who = f"{len(self.subjects)} subjects" if len(self.subjects) > 1 else "one subject"
        level = "no ceiling of one subject"
        if self.ceiling is not None:
            level = f"ceiling {decimals(self.ceiling[0])} to {decimals(self.ceiling[1])}"
        lines = [
            f"{self.name} ({who}, n={self.n}) by {len(self.models)} models, {self.method}, {self.comparison}",
            f"  held out: {decimals(self.score)}, chance {decimals(self.chance)}, p {format_p(self.p_value)}, {level} "
            f"({self.item_folds} folds of items, {self.subject_folds} of subjects, {self.permutations} permutations)",
            f"  all pairs: R² {decimals(self.r2)}, chance {decimals(self.r2_chance)}, p {format_p(self.r2_p)}",
        ]
        width = max(map(len, self.models))
        for name, s in self.models.items():
            lines.append(
                f"  {name:<{width}}  weight {decimals(s.weight, 2)}  alone {decimals(s.alone)}  "
                f"partial {decimals(s.partial)}  unique {decimals(s.unique)} (chance {decimals(s.unique_chance)})  "
                f"p {format_p(s.p_value)}  q {format_p(s.q_value)}"
            )
        common = [f"{p.name} {decimals(p.value)}" for p in self.parts if len(p.models) > 1]
        lines += [f"  in common: {', '.join(common)}"] if common else []
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)
