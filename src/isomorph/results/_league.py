"""Which metric tells what: metrics ranked, criterion by criterion, by how well they tell a known truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from ._base import Result
from ._contrasts import FORMS, Contrast, contrasts, told
from ._numbers import format_p
from ._standings import Standing, Standings, parted
from ._tables import frame

Matrix = np.ndarray[Any, np.dtype[np.float64]]
_GAPS: Any = {"gaps": True}


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class League(Result):
    """Metrics held against the truth of a family of networks, criterion by criterion.

    ``league["label_noise"]["cka"]`` is a `Standing`; arrays have the shape (criteria, metrics), with a gap (NaN) where
    a metric has no score.

    Attributes:
        family: What the networks are.
        metrics: Specs, with ``" above chance"`` behind those whose scores had chance taken off.
        variants: Full spec of each, with every parameter.
        spellings: Other spellings of each.
        criteria: Full specs.
        kinds: Kind of each criterion.
        purposes: What each is for, after "to know".
        references: Where each comes from.
        chance: Statistic of scores that tell nothing (criteria,).
        units: Networks or trials of each criterion.
        items: Items of each.
        values: Statistics; higher is better.
        errors: Their standard errors, by leaving out each unit.
        intervals: Ends of their intervals (criteria, metrics, 2).
        p_values: p of telling no more than chance.
        q_values: The same adjusted for all.
        ranks: Places, 1 the best; equal ones share their mean.
        rank_intervals: Ends of their intervals (criteria, metrics, 2).
        mean_ranks: Mean place over criteria (metrics,), of metrics that have a score in all.
        mean_rank_intervals: Ends of their intervals (metrics, 2).
        differences: Each metric's statistic less each other's (criteria, metrics, metrics).
        p_differences: Two-sided p of no difference, not adjusted.
        best: Whether a metric is the best or not told apart from it, by Holm's adjustment.
        undefined: Criterion -> metric -> why it has no score.
        unanswered: Criterion -> why the family could not be asked.
        permutations: Orders of the truth that p is from.
        seed: Seed.
        alpha: Level; intervals cover 1 - alpha.
        provenance: How to make it again.
        difference_errors: Standard errors of the differences, by leaving out each unit; None in files of versions that
            kept none.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> from isomorph.leagues import Family, Network
        >>> networks = [Network(name, {"last": np.eye(40)[:, k:]}) for k, name in enumerate("abcd")]
        >>> toys = Family("toys", networks)
        >>> league = iso.league(toys, ["cka", "biased_cka", "cca"], criteria="translation(trials=5)")
        >>> {name: round(standing.value, 2) for name, standing in league["translation"].rows.items()}
        {"cka(estimator='unbiased')": 0.04, "cka(estimator='biased')": 0.0, 'cca': 0.93}
    """

    kind: ClassVar[str] = "league"

    family: str
    metrics: tuple[str, ...]
    variants: tuple[str, ...]
    spellings: tuple[tuple[str, ...], ...]
    criteria: tuple[str, ...]
    kinds: tuple[str, ...]
    purposes: tuple[str, ...]
    references: tuple[str, ...]
    chance: Matrix
    units: np.ndarray[Any, Any]
    items: np.ndarray[Any, Any]
    values: Matrix = dataclasses.field(metadata=_GAPS)
    errors: Matrix = dataclasses.field(metadata=_GAPS)
    intervals: Matrix = dataclasses.field(metadata=_GAPS)
    p_values: Matrix = dataclasses.field(metadata=_GAPS)
    q_values: Matrix = dataclasses.field(metadata=_GAPS)
    ranks: Matrix = dataclasses.field(metadata=_GAPS)
    rank_intervals: Matrix = dataclasses.field(metadata=_GAPS)
    mean_ranks: Matrix = dataclasses.field(metadata=_GAPS)
    mean_rank_intervals: Matrix = dataclasses.field(metadata=_GAPS)
    differences: Matrix = dataclasses.field(metadata=_GAPS)
    p_differences: Matrix = dataclasses.field(metadata=_GAPS)
    best: np.ndarray[Any, np.dtype[np.bool_]]
    undefined: Mapping[str, Mapping[str, str]]
    unanswered: Mapping[str, str]
    permutations: int
    seed: int
    alpha: float
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    difference_errors: Matrix | None = dataclasses.field(default=None, metadata=_GAPS)

    def contradictions(self) -> Iterator[str]:
        shape = (len(self.criteria), len(self.metrics))
        for name in ("values", "errors", "p_values", "q_values", "ranks", "best"):
            if getattr(self, name).shape != shape:
                yield f"its {name} have the shape {getattr(self, name).shape}, not (criteria, metrics) = {shape}"
        for name in ("kinds", "purposes", "references", "chance", "units", "items"):
            if len(getattr(self, name)) != len(self.criteria):
                yield f"its {name} are not one a criterion"
        kept = [v for v in (self.differences, self.p_differences, self.difference_errors) if v is not None]
        if any(v.shape != (*shape, shape[1]) for v in kept):
            yield "its differences are not of all pairs of metrics"
        if self.intervals.shape != (*shape, 2) or self.rank_intervals.shape != (*shape, 2):
            yield "its intervals have no two ends"
        if len(self.spellings) != len(self.metrics) or self.mean_ranks.shape != (shape[1],):
            yield "its mean ranks are not one a metric"

    def __getitem__(self, criterion: str) -> Standings:
        """One criterion, by its name or spec.

        Raises:
            KeyError: if it was not asked, or several have that name.
        """
        fitting = [k for k, spec in enumerate(self.criteria) if criterion in (spec, spec.partition("(")[0])]
        if len(fitting) != 1:
            what = (
                "is of several of"
                if fitting
                else "was not asked"
                + (f" ({self.unanswered[criterion]})" if criterion in self.unanswered else "")
                + "; there are"
            )
            raise KeyError(f"{criterion!r} {what} {', '.join(self.criteria)}")
        return self._standings(fitting[0])

    def __iter__(self) -> Iterator[str]:
        return iter(self.criteria)

    def __len__(self) -> int:
        return len(self.criteria)

    def _standings(self, k: int) -> Standings:
        rows = {
            name: Standing(
                variant=self.variants[m],
                spellings=self.spellings[m],
                value=float(self.values[k, m]),
                low=float(self.intervals[k, m, 0]),
                high=float(self.intervals[k, m, 1]),
                chance=float(self.chance[k]),
                p_value=float(self.p_values[k, m]),
                q_value=float(self.q_values[k, m]),
                rank=float(self.ranks[k, m]),
                rank_low=float(self.rank_intervals[k, m, 0]),
                rank_high=float(self.rank_intervals[k, m, 1]),
                best=bool(self.best[k, m]),
            )
            for m, name in enumerate(self.metrics)
            if not np.isnan(self.values[k, m])
        }
        return Standings(
            self.criteria[k], self.kinds[k], self.purposes[k], self.references[k], int(self.units[k]),
            int(self.items[k]), rows,
        )  # fmt: skip

    @property
    def overall(self) -> list[tuple[str, float, tuple[float, float]]]:
        """Metrics by their mean place over all criteria, with its interval; those with a score in all."""
        order = [int(m) for m in np.argsort(self.mean_ranks, kind="stable") if not np.isnan(self.mean_ranks[m])]
        ends = self.mean_rank_intervals
        return [(self.metrics[m], float(self.mean_ranks[m]), (float(ends[m, 0]), float(ends[m, 1]))) for m in order]

    @property
    def winner(self) -> str | None:
        """The metric whose mean place lies wholly above that of every other, or None: there is no winner then."""
        ordered = self.overall
        return ordered[0][0] if len(ordered) > 1 and ordered[0][2][1] < min(o[2][0] for o in ordered[1:]) else None

    def short(self, metric: str) -> str:
        """A metric by its shortest spelling."""
        spec, way = parted(metric)
        return next(iter(self.spellings[self.metrics.index(metric)]), spec) + way

    def contrasts(self) -> list[Contrast]:
        """Every metric that took part in two forms, with which of the two is better in each criterion."""
        tables = self.differences, self.p_differences, self.difference_errors
        return contrasts(self.criteria, self.metrics, self.variants, self.units, tables, self.alpha)

    def guide(self) -> list[str]:
        """Which metric for which purpose, each sentence from one criterion of this league."""
        return [self._standings(k).sentence(self.alpha) for k in range(len(self.criteria))]

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary a criterion and metric."""
        return [
            {"criterion": spec, "kind": self.kinds[k], "metric": name, "value": v.value, "low": v.low, "high": v.high,
             "chance": v.chance, "p_value": v.p_value, "q_value": v.q_value, "rank": v.rank, "rank_low": v.rank_low,
             "rank_high": v.rank_high, "best": v.best}
            for k, spec in enumerate(self.criteria)
            for name, v in self._standings(k).rows.items()
        ]  # fmt: skip

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        lines = [f"League of {len(self.metrics)} metrics over {self.family}: {len(self.criteria)} criteria"]
        wide = max(len(spec.partition("(")[0]) for spec in self.criteria)
        for k, spec in enumerate(self.criteria):
            row = self._standings(k)
            name, first = row.ranked[0]
            tied = len(row.best) - 1
            verdict = "wins" if row.winner else f"first, not told apart from {tied} more" if tied else "first"
            if first.q_value > self.alpha:
                verdict = "first, but not shown to tell it"
            lines.append(
                f"  {spec.partition('(')[0]:<{wide}}  {first.value:.2f} [{first.low:.2f}, {first.high:.2f}], chance "
                f"{first.chance:.2f}, p {format_p(first.p_value)}, {row.units} units: {self.short(name)} {verdict}"
            )
        ordered = self.overall[:3]
        if ordered:
            tops = "; ".join(f"{self.short(name)} {rank:.1f} [{a:.1f}, {b:.1f}]" for name, rank, (a, b) in ordered)
            lines.append(
                f"  mean place: {tops}. " + (f"{self.short(self.winner)} wins." if self.winner else "No winner.")
            )
        every = self.contrasts()
        lines += [f"  {told(own, form)}." for form in FORMS if (own := [c for c in every if c.form == form])]
        for name, why in self.unanswered.items():
            lines.append(f"  not asked: {name}: {why}")
        return "\n".join(lines)
