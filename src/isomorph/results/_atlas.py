"""Many models at once: every metric over all pairs of them, and what explains who is alike."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .._core.checks import as_count
from ..errors import InputError, UnknownNameError, quoted
from ..population import (
    Direction,
    Divergence,
    DomainDivergence,
    Embedding,
    Factors,
    Tree,
    as_matrices,
    clusters,
    embedding,
    explain,
    replicates_of,
    tree,
)
from ._base import Result
from ._common_space import CommonSpace
from ._conditions import Condition
from ._depths import Depth, depth_trend_of, depths_of
from ._grids import dataset
from ._ladders import Ladder, ladder_of, threshold_of, trend_of
from ._model_alignment import ModelAlignment
from ._named_models import NamedModels, Value
from ._numbers import format_p
from ._questions import Answer, answers_of, read_question
from ._specialists import directions_of, divergence_of, domain_divergence_of, two_domains
from ._spellings import spelled
from ._tables import frame
from ._trend import Slope, Threshold, Trend

Matrix = np.ndarray[Any, Any]


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


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Atlas(NamedModels, Result, Mapping[str, ModelAlignment]):
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
        domains: Kind of items -> the same models on the items of that kind alone; empty unless asked for.
        space: One space for all models (see `consensus`), or None.
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
    domains: Mapping[str, Atlas] = dataclasses.field(default_factory=dict)
    space: CommonSpace | None = None
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def contradictions(self) -> Iterator[str]:
        for name, values in self.attributes.items():
            if len(values) != len(self.models):
                yield f"the attribute {name} has {len(values)} values for {len(self.models)} models"
        for alignment in self.alignments.values():
            if alignment.names != self.models:
                yield f"{alignment.metric} is of other models"
        for domain, part in self.domains.items():
            if part.models != self.models or not part.n <= self.n:
                yield f"the domain {domain} is of other models or more items"
        if self.space is not None and self.space.models != self.models:
            yield "its common space is of other models"
        for k, question in enumerate(self.questions):
            try:
                read_question(question, f"questions[{k}]")
            except InputError as error:
                yield str(error)

    def __getitem__(self, metric: str) -> ModelAlignment:
        return spelled(metric, self.alignments, "was not computed; this atlas has", self.undefined)

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
        wanted = self.models if models is None else self.chosen(models, "models")
        return depths_of(self._metric(metric), wanted, self.chosen(reference), self.alpha)

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
        return depth_trend_of(ladder, depths)

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
            self.models if models is None else self.chosen(models, "models"),
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
        roles, alignment = self._roles(specialists, pool), self._metric(metric)
        return divergence_of(alignment, roles, of, permutations=permutations, seed=self.seed, alpha=self.alpha)

    def domain_divergence(
        self,
        specialists: Sequence[str],
        pool: Any,
        *,
        inside: str | None = None,
        outside: str | None = None,
        metric: str | None = None,
        of: str = "held_out",
        permutations: int = 9_999,
    ) -> DomainDivergence:
        """Whether specialists lie farther outside a pool on items of their own kind than on others.

        Args:
            specialists: As in `divergence`.
            pool: As in `divergence`.
            inside: The domain that comes first, by default the first of two.
            outside: The one that it is compared with, by default the other.
            metric: As in `divergence`.
            of: As in `divergence`. Held-out scores are from their own chance (0) to the best (1); raw scores of metrics
                that depend on the number of items are alike on two domains of as many items alone.
            permutations: As in `divergence`.

        Raises:
            UnknownNameError: if there is no such model, metric or domain.
            InputError: if the atlas has no domains (`atlas(..., domains=…)`), or as `divergence`.
        """
        roles, wanted = self._roles(specialists, pool), self._metric(metric).metric
        alignments = {}
        for domain in two_domains([*self.domains], inside, outside):
            if wanted in self.domains[domain].undefined:
                raise InputError(f"{wanted} is not defined on {domain}: {self.domains[domain].undefined[wanted]}")
            alignments[domain] = self.domains[domain].alignments[wanted]
        return domain_divergence_of(alignments, roles, of, permutations=permutations, seed=self.seed, alpha=self.alpha)

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
        specialists, inner = self._roles(self._one(specialist), pool)
        return directions_of(alignment, specialists[0], inner, self.alpha)

    def consensus(self) -> CommonSpace:
        """One space for all models, fitted on half of the items and judged on the other half.

        Raises:
            InputError: if the atlas was made without one (`atlas(..., consensus=16)` makes one of 16 axes).
        """
        if self.space is None:
            raise InputError(
                "This atlas holds no space for all models; make it with atlas(..., consensus=16), which takes 16 axes."
            )
        return self.space

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
        return [record for a in self.alignments.values() for record in a.to_records()]

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return frame(self.to_records())

    def to_xarray(self) -> Any:
        """All metrics as a dataset of xarray, with dimensions ``metric``, ``x_model`` and ``y_model``.

        Variables are ``value``, ``chance``, ``p_maximum``, ``q``, ``calibrated`` and ``held_out``, NaN for models that
        were not compared; attributes are the settings.

        Raises:
            MissingExtraError: if xarray is not installed.

        Example:
            >>> rng = np.random.default_rng(0)
            >>> z = rng.normal(size=(60, 4))
            >>> models = {name: z + rng.normal(size=z.shape) for name in "abc"}
            >>> atlas = iso.atlas(models, ["cka", "rsa"], permutations=39)
            >>> dict(atlas.to_xarray().q.sizes)
            {'metric': 2, 'x_model': 3, 'y_model': 3}
        """
        dims = ("metric", "x_model", "y_model")
        each = [*self.alignments.values()]
        names = ("value", "chance", "p_maximum", "q", "calibrated", "held_out")
        held = {k: (dims, np.stack([getattr(a, k if k != "value" else "values") for a in each])) for k in names}
        settings = {k: getattr(self, k) for k in ("n", "seed", "alpha", "layers", "compared", "design", "dataset")}
        labels = dict(zip(dims, (tuple(self.alignments), each[0].names, each[0].names), strict=True))
        return dataset(held, labels, settings)

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
