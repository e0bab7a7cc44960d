"""The result of comparing models by the RDMs of several subjects: scores, ceilings and differences, by region."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from ._base import Result
from ._numbers import format_p
from ._tables import frame

Floats = np.ndarray[Any, Any]
_TOLD = {
    "both": "new subjects and new items",
    "subjects": "new subjects, with these items",
    "items": "new items, with these subjects",
}


@dataclasses.dataclass(frozen=True, eq=False)
class RegionModels(Result):
    """The models in one region, arrays in the order of the models.

    Attributes:
        scores: Mean over subjects of the comparison with each model's RDM.
        chance: Expected score of a random pairing of the items; 0 for correlations.
        errors: Standard errors of the scores.
        low: Lower ends of their intervals.
        high: Upper ends.
        p_values: One-sided p of a score of chance.
        q_values: The same as false discovery rates (Benjamini-Hochberg) over all models and regions.
        ceiling: Lower and upper noise ceiling; None of one subject.
        ceiling_p: p of subjects that share nothing.
        below: Score minus lower ceiling.
        p_below: One-sided p of no shortfall; NaN without a ceiling.
        q_below: The same over all models and regions.
        verdicts: What each reaches, as `isomorph.significance.Reached` words it.
        shares: Scores as shares of the lower ceiling; NaN where that is not beyond chance, or chance is not 0.
        differences: Score of the model of the row minus that of the column (models, models).
        difference_low: Lower ends of their intervals.
        difference_high: Upper ends.
        difference_p: Two-sided p of no difference; 1 on the diagonal.
        difference_q: The same over all pairs and regions.
        by_subject: Scores of each subject (subjects, models).
        subjects: Who they are.
        n: Number of items.
        n_units: Items, or groups of them, that were drawn.
        degrees: Degrees of freedom of the t-tests.
        samples: Bootstrap samples that had a score.
        missing: Dissimilarities that are missing.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(12, 5))
        >>> rdms = iso.RDMs.from_arrays([np.corrcoef(x) * (1 - np.eye(12)) * 0.1 + 1 - np.eye(12)] * 3)
        >>> region = iso.compare_models(rdms, {"a": x, "b": x[:, :3]}, bootstraps=20)["RDMs"]
        >>> region.n, region.degrees, region.differences.shape
        (12, 2, (2, 2))
    """

    kind: ClassVar[str] = "region_models"

    scores: Floats
    chance: Floats
    errors: Floats
    low: Floats
    high: Floats
    p_values: Floats
    q_values: Floats
    ceiling: tuple[float, float] | None
    ceiling_p: float | None
    below: Floats = dataclasses.field(metadata={"gaps": True})
    p_below: Floats = dataclasses.field(metadata={"gaps": True})
    q_below: Floats = dataclasses.field(metadata={"gaps": True})
    verdicts: tuple[str, ...]
    shares: Floats = dataclasses.field(metadata={"gaps": True})
    differences: Floats
    difference_low: Floats
    difference_high: Floats
    difference_p: Floats
    difference_q: Floats
    by_subject: Floats
    subjects: tuple[str, ...]
    n: int
    n_units: int
    degrees: int
    samples: int
    missing: int

    def contradictions(self) -> Iterator[str]:
        count = len(self.verdicts)
        for name in ("scores", "chance", "errors", "low", "high", "p_values", "q_values", "below", "p_below",
                     "q_below", "shares"):  # fmt: skip
            if getattr(self, name).shape != (count,):
                yield f"{name} is not one number a model"
        for name in ("differences", "difference_low", "difference_high", "difference_p", "difference_q"):
            if getattr(self, name).shape != (count, count):
                yield f"{name} is not one number a pair of models"
        if self.by_subject.shape != (len(self.subjects), count):
            yield "by_subject is not one number a subject and model"
        for name in ("p_values", "q_values", "p_below", "q_below", "difference_p", "difference_q"):
            p = getattr(self, name)
            if np.any((p < 0) | (p > 1)):
                yield f"{name} has a p outside [0, 1]"


@dataclasses.dataclass(frozen=True)
class ModelScore:
    """One model in one region.

    Attributes:
        score: Mean over subjects.
        low: Lower end of its interval.
        high: Upper end.
        chance: Its chance level.
        p_value: One-sided p of a score of chance.
        q_value: The same as a false discovery rate over all models and regions.
        share: Share of the lower ceiling; None where that is not beyond chance, or chance is not 0.
        p_below: One-sided p of no shortfall from it; None of one subject.
        verdict: What it reaches.
        letters: Models of one region that share a letter are not shown to differ.

    Example:
        >>> x, y = np.random.default_rng(0).normal(size=(2, 12, 5))
        >>> rdms = iso.RDMs.from_arrays([1 - np.corrcoef(v) for v in (x, x + y / 2)])
        >>> best = iso.compare_models(rdms, {"x": x, "y": y}, bootstraps=20).ranking()["x"]
        >>> round(best.score, 2), best.verdict
        (0.87, 'at the ceiling')
    """

    score: float
    low: float
    high: float
    chance: float
    p_value: float
    q_value: float
    share: float | None
    p_below: float | None
    verdict: str
    letters: str


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ModelComparison(Result):
    """Models by their RDMs' scores with those of several subjects, with inference over subjects and items.

    A mapping from regions to `RegionModels`.

    Attributes:
        models: Names of the models.
        regions: Region -> what was found there.
        comparison: How RDMs were compared.
        generalize: What results hold for: new ``"subjects"``, new ``"items"``, or ``"both"``.
        dissimilarity: Of the models that were given as features.
        by: Descriptor that told the subjects.
        groups: Descriptor whose equal items were drawn together, or None.
        ceilings: How the noise ceiling moved over samples, ``"paired"`` or ``"resampled"``.
        bootstraps: Bootstrap samples that were drawn.
        permutations: Re-pairings for the p of the ceiling.
        alpha: Level of verdicts and letters; intervals cover 1 - alpha.
        seed: Seed.
        notes: What else is to be known.
        provenance: How to make it again.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> from isomorph.metrics.rdm import compute_rdm
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(30, 5))
        >>> brains = [compute_rdm(x + rng.normal(size=x.shape)) for _ in range(8)]
        >>> models = {"all": x, "half": x[:, :3], "none": rng.normal(size=x.shape)}
        >>> found = iso.compare_models(iso.RDMs.from_arrays(brains), models, bootstraps=200)
        >>> list(found), {name: (round(m.score, 2), m.letters) for name, m in found.ranking("RDMs").items()}
        (['RDMs'], {'all': (0.41, 'a'), 'half': (0.19, 'b'), 'none': (0.01, 'c')})
    """

    kind: ClassVar[str] = "model_comparison"

    models: tuple[str, ...]
    regions: Mapping[str, RegionModels]
    comparison: str
    generalize: str
    dissimilarity: str
    by: str
    groups: str | None
    ceilings: str
    bootstraps: int
    permutations: int
    alpha: float
    seed: int
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def contradictions(self) -> Iterator[str]:
        if not self.regions:
            yield "it has no region"
        for name, region in self.regions.items():
            if len(region.verdicts) != len(self.models):
                yield f"{name} is of {len(region.verdicts)} models, not of {len(self.models)}"

    def __iter__(self) -> Iterator[str]:
        return iter(self.regions)

    def __len__(self) -> int:
        return len(self.regions)

    def __getitem__(self, region: str) -> RegionModels:
        """A region by name.

        Raises:
            KeyError: if there is none of that name; the names are given.
        """
        if region not in self.regions:
            raise KeyError(f"no region {region!r}; there are {', '.join(self.regions)}")
        return self.regions[region]

    @property
    def told(self) -> str:
        """What results hold for, in words."""
        return _TOLD.get(self.generalize, self.generalize)

    def ranking(self, region: str | None = None) -> dict[str, ModelScore]:
        """The models of a region, the best first.

        Args:
            region: Its name; None takes the only one, or the first.

        Raises:
            KeyError: if there is no such region.
        """
        found = self[next(iter(self.regions)) if region is None else region]
        letters = self._letters(found)
        order = np.argsort(-found.scores, kind="stable")

        def number(values: Floats, k: int) -> float | None:
            return None if np.isnan(values[k]) else float(values[k])

        return {
            self.models[k]: ModelScore(
                score=float(found.scores[k]),
                low=float(found.low[k]),
                high=float(found.high[k]),
                chance=float(found.chance[k]),
                p_value=float(found.p_values[k]),
                q_value=float(found.q_values[k]),
                share=number(found.shares, k),
                p_below=number(found.p_below, k),
                verdict=found.verdicts[k],
                letters=letters[k],
            )
            for k in order
        }

    def _letters(self, region: RegionModels) -> list[str]:
        """Compact letters: models that share one do not differ at a false discovery rate of alpha.

        By insertion and absorption (Piepho 2004): every pair that differs splits the sets that hold both.
        """
        order = [int(k) for k in np.argsort(-region.scores, kind="stable")]
        sets: list[frozenset[int]] = [frozenset(order)]
        for i, j in zip(*np.nonzero(np.triu(region.difference_q <= self.alpha, 1)), strict=True):
            split = [s - {int(out)} for s in sets if {int(i), int(j)} <= s for out in (i, j)]
            sets = [s for s in sets if not {int(i), int(j)} <= s] + split
            sets = [s for k, s in enumerate(sets) if not any(s < t or (s == t and k > m) for m, t in enumerate(sets))]
        sets.sort(key=lambda s: sorted(order.index(k) for k in s))
        return ["".join(_letter(n) for n, s in enumerate(sets) if k in s) for k in range(len(order))]

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary a region and model, the best model first."""
        return [
            {"region": region, "model": name, **dataclasses.asdict(score)}
            for region in self.regions
            for name, score in self.ranking(region).items()
        ]

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def difference_records(self) -> list[dict[str, Any]]:
        """One dictionary a region and pair of models: the first minus the second, with interval, p and q."""
        i, j = np.triu_indices(len(self.models), 1)
        return [
            {
                "region": name, "first": self.models[a], "second": self.models[b],
                "difference": float(r.differences[a, b]), "low": float(r.difference_low[a, b]),
                "high": float(r.difference_high[a, b]), "p_value": float(r.difference_p[a, b]),
                "q_value": float(r.difference_q[a, b]),
            }
            for name, r in self.regions.items()
            for a, b in zip(i, j, strict=True)
        ]  # fmt: skip

    def __repr__(self) -> str:
        lines = [
            f"{len(self.models)} models by {self.comparison}, for {self.told} "
            f"({self.bootstraps} bootstrap samples, seed {self.seed})"
        ]
        width = max(map(len, self.models))
        for name, r in self.regions.items():
            ceiling = ""
            if r.ceiling is not None and r.ceiling_p is not None:
                low, high = r.ceiling
                ceiling = f", noise ceiling {low:.3f} to {high:.3f}, p {format_p(r.ceiling_p)}"
            lines.append(f"{name}: {len(r.subjects)} subjects, n={r.n}{ceiling}")
            for model, s in self.ranking(name).items():
                share = "" if s.share is None else f", {s.share:.0%} of the ceiling"
                lines.append(
                    f"  {model:<{width}} {s.score:6.3f} [{s.low:.3f}, {s.high:.3f}] {s.letters:<3} chance "
                    f"{s.chance:.3f}, p {format_p(s.p_value)}, q {format_p(s.q_value)}{share}: {s.verdict}"
                )
        lines.append(f"Models that share a letter are not shown to differ (false discovery rate {self.alpha:g}).")
        return "\n".join([*lines, *self.notes])


def _letter(n: int) -> str:
    """a, b, …, z, then A, …, Z, then numbers in brackets."""
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return alphabet[n] if n < len(alphabet) else f"({n})"
