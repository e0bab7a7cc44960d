"""Many models at once: every metric over all pairs of them, and what explains who is alike."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy import stats

from .._core.checks import as_count
from ..errors import InputError, UnknownNameError, quoted
from ..population import (
    Direction,
    Divergence,
    Embedding,
    Factors,
    Tree,
    as_matrices,
    clusters,
    directions,
    diverging,
    embedding,
    explain,
    fit_line,
    replicates_of,
    tree,
)
from ._base import Result
from ._conditions import Condition
from ._ladders import Ladder, ladder_of, threshold_of, trend_of
from ._model_alignment import ModelAlignment
from ._numbers import format_p
from ._questions import Answer, answers_of, read_question
from ._spellings import find_spelled
from ._tables import frame
from ._trend import Slope, Threshold, Trend

Matrix = np.ndarray[Any, Any]
Value = str | float | None


class Neighbor(NamedTuple):
    """A model beside another.

    Example:
        >>> Neighbor("dino-s", 0.4, 0.1, 0.005, 0.01).model
        'dino-s'
    """

    model: str
    value: float
    chance: float
    p_maximum: float
    q: float


class Depth(NamedTuple):
    """Relative depth of a model's best layer, with its interval over halves of the items.

    Example:
        >>> Depth(0.8, 0.7, 0.9, 0.05).value
        0.8
    """

    value: float
    low: float
    high: float
    standard_error: float


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Atlas(Result, Mapping[str, ModelAlignment]):
    """How alike many models are, all with all, and what goes with it; a mapping from metric to `ModelAlignment`.

    Attributes:
        alignments: Metric -> alignments of all pairs of models.
        models: Names of the models.
        attributes: Attribute -> one value a model, None where it is not known.
        twins: Model -> name of its untrained twin in the alignments.
        n: Number of items.
        layers: How the layers of two models became one score.
        compared: Which pairs were compared.
        seed: Seed of re-pairings and halves.
        alpha: Level; intervals cover 1 - alpha.
        design: How items changed places, empty if freely.
        conditions: What each twin is (`Condition`).
        undefined: Metric -> why it is not defined here.
        notes: What was left out, and other things that readers must know.
        dataset: What the items are.
        questions: What is asked of it beside the scores, as plain data (`answers` answers).
        provenance: How to make it again.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> z, *noise = np.random.default_rng(0).normal(size=(6, 100, 6))
        >>> models = {name: z + s * e for name, s, e in zip("abcde", (0.2, 0.3, 1, 2, 9), noise)}
        >>> atlas = iso.atlas(models, "cka", permutations=39, splits=2)
        >>> atlas.neighbors("a")[0].model, atlas.models
        ('b', ('a', 'b', 'c', 'd', 'e'))
    """

    kind: ClassVar[str] = "atlas"

    alignments: Mapping[str, ModelAlignment]
    models: tuple[str, ...]
    attributes: Mapping[str, tuple[Value, ...]]
    twins: Mapping[str, str]
    n: int
    layers: str
    compared: str
    seed: int
    alpha: float
    design: str = ""
    conditions: tuple[Condition, ...] = ()
    undefined: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    dataset: str = ""
    questions: tuple[Mapping[str, Any], ...] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def contradictions(self) -> Iterator[str]:
        for name, values in self.attributes.items():
            if len(values) != len(self.models):
                yield f"the attribute {name} has {len(values)} values for {len(self.models)} models"
        for alignment in self.alignments.values():
            if alignment.names != self.models:
                yield f"{alignment.metric} is of other models"
        for k, question in enumerate(self.questions):
            try:
                read_question(question, f"questions[{k}]")
            except InputError as error:
                yield str(error)

    def __getitem__(self, metric: str) -> ModelAlignment:
        if metric in self.alignments:
            return self.alignments[metric]
        try:
            found = find_spelled(metric, self.alignments.values())
        except InputError as error:
            raise KeyError(str(error)) from error
        if found is not None:
            return found  # type: ignore[no-any-return]  # an alignment, being one of them
        raise KeyError(f"{metric} was not computed; this atlas has {', '.join(self.alignments)}.")

    def __iter__(self) -> Iterator[str]:
        return iter(self.alignments)

    def __len__(self) -> int:
        return len(self.alignments)

    def _metric(self, metric: str | None) -> ModelAlignment:
        """One metric, by default the first.

        Raises:
            UnknownNameError: if it was not computed.
            InputError: if it is no name.
        """
        if metric is None:
            return next(iter(self.alignments.values()))
        if not isinstance(metric, str):
            raise InputError(f"metric={quoted(metric)} must be the name of a metric of this atlas, or None.")
        try:
            return self[metric]
        except KeyError as error:
            raise UnknownNameError("metric of this atlas", metric, self.alignments) from error

    # ---- attributes -------------------------------------------------------------------------------------------------

    def attribute(self, name: str) -> tuple[Value, ...]:
        """One value a model, None where it is not known; ``"log NAME"`` is the logarithm to base 2 of a number.

        Raises:
            UnknownNameError: if there is no such attribute.
            InputError: if it is no name, or a logarithm is asked for of what is no positive number.
        """
        if not isinstance(name, str):
            raise InputError(f"{quoted(name)} is no attribute; one is a name, such as {next(iter(self.attributes))!r}.")
        if name in self.attributes:
            return self.attributes[name]
        base = name.removeprefix("log ")
        if base == name or base not in self.attributes:
            raise UnknownNameError("attribute", name, self.attributes)
        values = self.attributes[base]
        odd = next((v for v in values if v is not None and (isinstance(v, str) or not v > 0)), None)
        if odd is not None:
            raise InputError(f"{name}: {base}={quoted(odd)} has no logarithm; only positive numbers have.")
        return tuple(None if v is None else math.log2(float(v)) for v in values)

    def chosen(self, reference: Any) -> tuple[str, ...]:
        """The models that a reference names: one, several, or those of an attribute's value; empty for None.

        Args:
            reference: A name, several, or a mapping from attribute to value, such as ``{"modality": "text"}``.

        Raises:
            UnknownNameError: if there is no such model or attribute.
            InputError: if no model has that value.
        """
        if reference is None:
            return ()
        if isinstance(reference, Mapping):
            kept = [
                m
                for k, m in enumerate(self.models)
                if all(self.attribute(a)[k] == value for a, value in reference.items())
            ]
            if not kept:
                told = ", ".join(f"{a}={v!r}" for a, v in reference.items())
                raise InputError(f"reference: no model has {told}.")
            return tuple(kept)
        if not isinstance(reference, (str, list, tuple, set, frozenset)):
            raise InputError(f"{quoted(reference)} names no model: give a name, several, or an attribute's value.")
        names = (reference,) if isinstance(reference, str) else tuple(reference)
        for name in names:
            if not isinstance(name, str) or name not in self.models:
                raise UnknownNameError("model of this atlas", str(name), self.models)
        return tuple(sorted(names, key=self.models.index)) if isinstance(reference, (set, frozenset)) else names

    def _one(self, model: Any) -> str:
        """The name of a model.

        Raises:
            UnknownNameError: if there is none of that name.
        """
        if not isinstance(model, str) or model not in self.models:
            raise UnknownNameError("model of this atlas", str(model), self.models)
        return model

    # ---- questions --------------------------------------------------------------------------------------------------

    def trend(
        self,
        attribute: str,
        reference: Any = None,
        *,
        within: str | None = None,
        metric: str | None = None,
        models: Sequence[str] | None = None,
        logarithmic: bool | None = None,
        permutations: int = 9_999,
    ) -> Trend:
        """How alignment changes with an attribute: raw, calibrated, held-out and untrained scores side by side.

        Args:
            attribute: Name of a number that models have, such as ``"parameters"``.
            reference: What models are compared with: a name, several, a mapping from attribute to value, or None for
                all others. References are no rungs themselves.
            within: An attribute whose values are families: each has a level of its own, the slope is shared.
            metric: One of this atlas, by default the first.
            models: The rungs, by default all that have the attribute.
            logarithmic: Whether the slope is per doubling; by default where the attribute is positive and its largest
                value is at least twice its smallest.
            permutations: Orders of the models that are tried where there are more than 20,000.

        Raises:
            UnknownNameError: if there is no such attribute, model or metric.
            InputError: if fewer than two models have the attribute, or it does not vary.
        """
        ladder = self._ladder(attribute, reference, within, metric, models, logarithmic)
        return trend_of(ladder, permutations=permutations)

    def depths(
        self, reference: Any = None, *, metric: str | None = None, models: Sequence[str] | None = None
    ) -> dict[str, Depth]:
        """Where in each model its best layer lies: 0 the first, 1 the last; models of one layer are left out.

        Args:
            reference: What models are compared with, as in `trend`.
            metric: One of this atlas, by default the first.
            models: Which, by default all that are no reference.

        Raises:
            UnknownNameError: if there is no such model or metric.
        """
        alignment = self._metric(metric)
        references = self.chosen(reference)
        rows = [alignment.position(r) for r in references] or list(range(alignment.n_models))
        found = {}
        for model in self.models if models is None else self.chosen(models):
            at = None if model in references else alignment.depths(alignment.position(model), rows)
            if at is not None:
                half = float(stats.t.ppf(1 - self.alpha / 2, len(alignment.halves) // 2)) * at[1]
                found[model] = Depth(at[0], max(0.0, at[0] - half), min(1.0, at[0] + half), at[1])
        return found

    def depth_trend(
        self, attribute: str, reference: Any = None, *, within: str | None = None, metric: str | None = None
    ) -> Slope:
        """How the relative depth of the best layer changes with an attribute; arguments as of `trend`.

        Raises:
            UnknownNameError: as `trend`.
            InputError: if fewer than two models of several layers have the attribute, or it does not vary.
        """
        depths = self.depths(reference, metric=metric)
        ladder = self._ladder(attribute, reference, within, metric, [*depths], None)
        x = np.log2(ladder.numbers) if ladder.doubles else ladder.numbers
        found = [depths[name] for name in ladder.names]
        errors = np.diag([d.standard_error for d in found])
        line = fit_line(
            x,
            [d.value for d in found],
            deviations=errors,
            families=ladder.families,
            level=1 - self.alpha,
            seed=self.seed,
        )
        return Slope(**line._asdict())

    def threshold(
        self,
        attribute: str,
        reference: Any = None,
        *,
        metric: str | None = None,
        models: Sequence[str] | None = None,
        draws: int = 2_000,
    ) -> Threshold:
        """The least rung from which on alignment is above that of untrained twins, or of chance where there are none.

        Args:
            attribute: As in `trend`.
            reference: As in `trend`.
            metric: As in `trend`.
            models: As in `trend`.
            draws: How often scores are drawn anew for intervals.

        Raises:
            UnknownNameError: as `trend`.
            InputError: as `trend`, or if there are fewer than three rungs.
        """
        ladder = self._ladder(attribute, reference, None, metric, models, None)
        return threshold_of(ladder, self.twins, draws=draws)

    def _ladder(
        self, attribute: str, reference: Any, within: str | None, metric: str | None, models: Any, log: bool | None
    ) -> Ladder:
        return ladder_of(
            self._metric(metric),
            attribute,
            dict(zip(self.models, self.attribute(attribute), strict=True)),
            within or "",
            None if within is None else dict(zip(self.models, self.attribute(within), strict=True)),
            self.chosen(reference),
            self.models if models is None else self.chosen(models),
            twins=self.twins,
            logarithmic=log,
            seed=self.seed,
            alpha=self.alpha,
        )

    def divergence(
        self,
        specialists: Sequence[str],
        pool: Any,
        *,
        metric: str | None = None,
        of: str = "held_out",
        permutations: int = 9_999,
    ) -> Divergence:
        """Whether specialists lie outside a pool of generalists: their distances to it against those inside it.

        Args:
            specialists: Names of models.
            pool: Names, a value of the attribute ``role`` (such as ``"generalist"``), or a mapping from attribute to
                value; specialists are left out of it.
            metric: One of this atlas, by default the first.
            of: Which scores distances are made of: ``"held_out"``, ``"raw"`` or ``"calibrated"``.
            permutations: Assignments of the two roles that are drawn where there are more than 10,000.

        Raises:
            UnknownNameError: if there is no such model or metric.
            InputError: if the pool has fewer than three models, or a pair that is needed was not compared.
        """
        alignment = self._metric(metric)
        known = pool not in self.models if isinstance(pool, str) else False
        inner = self.chosen({"role": pool} if known and "role" in self.attributes else pool)
        outer = self.chosen(specialists)
        if not inner or not outer:
            raise InputError("specialists and pool are both needed: names, or an attribute and its value.")
        inner = tuple(m for m in inner if m not in outer)
        rows = [alignment.models.index(m) for m in (*outer, *inner)]
        count = len(outer)
        return diverging(
            self.distances(metric, of)[np.ix_(rows, rows)],
            range(count),
            range(count, len(rows)),
            influence=alignment.influence(rows, of),
            names=[*outer, *inner],
            permutations=permutations,
            seed=self.seed,
            alpha=self.alpha,
        )

    def directions(self, specialist: str, pool: Any, *, metric: str | None = None) -> Direction:
        """What a specialist and a pool tell of each other, by a metric that is not symmetric, such as predictivity.

        Args:
            specialist: Name of a model.
            pool: As in `divergence`.
            metric: A metric of this atlas that is not symmetric, by default the first such.

        Raises:
            InputError: if there is none: add ``"ridge_predictivity(direction='x_to_y')"`` to the metrics.
        """
        found = [a for a in self.alignments.values() if not a.symmetric]
        alignment = self._metric(metric) if metric is not None else found[0] if found else None
        if alignment is None or alignment.symmetric:
            raise InputError(
                "Which way one model tells of another is asked of a metric that is not symmetric; add "
                "\"ridge_predictivity(direction='x_to_y')\" to the metrics of the atlas."
            )
        own = self.models.index(self._one(specialist))
        inner = [self.models.index(m) for m in self.chosen(pool) if m != specialist]
        values, chance = alignment.held_out, alignment.chance
        return directions(
            values[inner, own],
            values[own, inner],
            chance=(float(np.nanmean(chance[inner, own])), float(np.nanmean(chance[own, inner]))),
            alpha=self.alpha,
        )

    def factors(
        self, factors: Sequence[str], *, metric: str | None = None, of: str = "held_out", permutations: int = 999
    ) -> Factors:
        """What explains which models are alike: a regression over pairs with permutation of the models (MRQAP).

        Args:
            factors: Attributes: texts count as same or not, numbers by their difference; ``"log parameters"`` takes the
                logarithm.
            metric: One of this atlas, by default the first.
            of: ``"held_out"``, ``"raw"`` or ``"calibrated"`` scores.
            permutations: Orders of the models.

        Raises:
            UnknownNameError: if there is no such attribute or metric.
            InputError: if there are fewer than five models, or an attribute is missing for one or does not vary.
        """
        if not isinstance(factors, (str, list, tuple)):
            raise InputError(f"factors={quoted(factors)} must be the names of attributes.")
        given = {name: self.attribute(name) for name in ([factors] if isinstance(factors, str) else factors)}
        values = -self.distances(metric, of)
        np.fill_diagonal(values, 0.0)
        return explain(values, given, names=self.models, permutations=permutations, seed=self.seed)

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Every one of `questions`, answered for every metric that it is of; what cannot be answered says why."""
        return answers_of(self)

    def neighbors(self, model: str, *, metric: str | None = None) -> tuple[Neighbor, ...]:
        """The other models, most alike first.

        Raises:
            UnknownNameError: if there is no such model or metric.
        """
        alignment = self._metric(metric)
        name = self._one(model)
        k = self.models.index(name)
        rows = [j for j in range(len(self.models)) if j != k and not math.isnan(alignment.values[k, j])]
        sign = 1 if alignment.distance else -1
        rows.sort(key=lambda j: sign * alignment.values[k, j])
        tables = (alignment.values, alignment.chance, alignment.p_maximum, alignment.q)
        return tuple(Neighbor(self.models[j], *(float(t[k, j]) for t in tables)) for j in rows)

    def distances(self, metric: str | None = None, of: str = "raw") -> Matrix:
        """Distances between models, 0 on the diagonal: how far a score is from the best possible one.

        Args:
            metric: One of this atlas, by default the first.
            of: ``"raw"``, ``"calibrated"`` or ``"held_out"`` scores.

        Raises:
            InputError: if there are no such scores.
        """
        return self._metric(metric).distances(of)

    def tree(self, *, metric: str | None = None, of: str = "raw", draws: int = 200) -> Tree:
        """A hierarchical clustering of the models, with the support of each clade over resampled items.

        Raises:
            InputError: if there are fewer than four models, or some were not compared.
        """
        return tree(self.distances(metric, of), self.models, self._replicates(metric, of, draws))

    def embedding(self, dims: int = 2, *, metric: str | None = None, of: str = "raw") -> Embedding:
        """The models in the plane, by classical scaling of their distances, with its stress.

        Raises:
            InputError: as `tree`.
        """
        return embedding(self.distances(metric, of), dims, names=self.models)

    def clusters(self, *, metric: str | None = None, of: str = "raw") -> Any:
        """Clusters of the models, or none where no cut of the tree stands out.

        Raises:
            InputError: as `tree`.
        """
        return clusters(self.distances(metric, of), names=self.models)

    def _replicates(self, metric: str | None, of: str, draws: int) -> Matrix | None:
        as_count(draws, "draws")
        alignment = self._metric(metric)
        influence = alignment.influence(range(len(self.models)), of)
        if influence is None:
            return None
        whole = alignment.distances(of)
        upper = whole[np.triu_indices(len(whole), 1)]
        return as_matrices(replicates_of(upper, influence, draws, self.seed), len(whole))

    # ---- as a table -------------------------------------------------------------------------------------------------

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary for each metric and pair of models that was compared."""
        found = []
        for a in self.alignments.values():
            halves = a.halves.mean(axis=0)
            spread = np.sqrt(np.sum(a.deviations**2, axis=0))
            for k, (i, j) in enumerate(a.pairs.tolist()):
                if max(i, j) >= a.n_models:
                    continue
                one, other = a.chosen[k].tolist()
                found.append(
                    {
                        "metric": a.metric,
                        "x": a.models[i],
                        "y": a.models[j],
                        "x_layer": a.layer_names[i][one] if one >= 0 else None,
                        "y_layer": a.layer_names[j][other] if other >= 0 else None,
                        "value": float(a.scores[k]),
                        "chance": float(a.chances[k]),
                        "calibrated": float(a.excess[k]),
                        "held_out": float(halves[k]),
                        "standard_error": float(spread[k]),
                        "p_maximum": float(a.p_values[k]),
                        "q": float(a.rates[k]),
                        "n": a.n,
                        "permutations": a.permutations,
                    }
                )
        return found

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return frame(self.to_records())

    @property
    def verdict(self) -> str:
        """How many pairs of models are alike beyond chance, by each metric, and which most."""
        told = []
        for a in self.alignments.values():
            known = ~np.isnan(a.rates)
            some = int(np.sum(a.rates[known] <= self.alpha + 1e-12))
            likeness = -a.scores if a.distance else a.scores
            best = int(np.argmax(np.where(known, likeness, -np.inf)))
            i, j = a.pairs[best]
            told.append(
                f"{a.metric}: {some} of {int(known.sum())} pairs of models beyond chance (false discovery rate "
                f"{self.alpha:g}); most alike are {a.models[i]} and {a.models[j]}, {a.scores[best]:.3f}, chance "
                f"{a.chances[best]:.3f}, p {format_p(float(a.p_values[best]))}"
            )
        return "; ".join(told) + "."

    def __repr__(self) -> str:
        return f"Atlas({len(self.models)} models, n={self.n}: {self.verdict})"
