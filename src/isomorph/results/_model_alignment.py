"""One metric over all pairs of many models: scores, their chance, p, calibrated and held-out scores."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..errors import InputError, UnknownNameError, quoted
from ._base import Result
from ._tables import frame

Matrix = np.ndarray[Any, Any]
GAPS = {"gaps": True}
KINDS = ("raw", "calibrated", "held_out")
"""Scores that trends are of."""


class Combined(NamedTuple):
    """A score of each of several models, the mean over some of its pairs.

    Attributes:
        values: One a model; higher is more alike, unless the metric is a distance.
        deviations: How they move with items (units, models): their product with themselves is the covariance.

    Example:
        >>> z, *noise = np.random.default_rng(0).normal(size=(4, 80, 6))
        >>> models = {name: z + s * e for name, s, e in zip("abc", (0.2, 0.5, 1), noise)}
        >>> found = iso.atlas(models, "cka", permutations=39, splits=2)["cka"].combined([0, 1], [2])
        >>> found.values.round(1).tolist(), found.deviations.shape
        ([0.5, 0.4], (80, 2))
    """

    values: Matrix
    deviations: Matrix


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ModelAlignment(Result):
    """One metric over pairs of models.

    Attributes of one number a pair have the order of `pairs`; the properties `values`, `chance`, `calibrated`,
    `held_out`, `p_maximum` and `q` give them as matrices (models, models), NaN where two were not compared.

    Attributes:
        metric: Short spec of the metric.
        variant: Full spec.
        models: Names of the models, their untrained twins after them.
        n_models: How many are no twins.
        layer_names: Names of the layers of each.
        n: Number of items.
        pairs: Positions of the models of each pair (pairs, 2).
        symmetric: Whether the order of the two does not matter.
        scores: Scores; higher means more alike unless the metric is named a distance.
        chances: Expected score with the items paired at random, layers chosen anew: what searching alone gives.
        p_values: p of each pair by the same re-pairings; searching for layers is answered for.
        excess: Calibrated scores, max((s - τ) / (s_max - τ), 0) with τ the threshold (arXiv 2602.14486).
        thresholds: That τ.
        halves: Scores of halves of the items with the layers that the other half chose (2 splits, pairs).
        halves_chance: Their chance, from re-pairings of each half.
        chosen: Layers that each score is of (pairs, 2); -1 where it is of several.
        chosen_on_halves: The layers that halves chose (2 splits, pairs, 2).
        deviations: How scores move with items (units, pairs); see `Combined`.
        degrees: Degrees of freedom of these, or None for many.
        profiles: For each layer of each model (in order), its best score with a layer of each other model; NaN where
            two were not compared.
        own: For each model its layers among themselves.
        rates: False discovery rate of each pair among all pairs of models (Benjamini and Hochberg 1995); NaN for twins.
        permutations: Re-pairings sampled, the same for all.
        alpha: The level of the thresholds.
        end: The score of what is as alike as can be, or None where there is none.
        identity: The score of a model with itself, or None where it depends on the data.
        distance: Whether lower scores are more alike.
        range: Lowest and highest possible score, None where there is no bound.
        spellings: Other names of the metric.
        meaning: What it measures.
        expected: Its chance level in words.
        reference: Where it is from.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> z, *noise = np.random.default_rng(0).normal(size=(5, 80, 6))
        >>> models = {name: z + s * e for name, s, e in zip("abcd", (0.2, 0.5, 1, 4), noise)}
        >>> found = iso.atlas(models, "cka", permutations=39, splits=2)["cka"]
        >>> found.values.round(1)[0].tolist(), found.p_maximum[0, 1].item()
        ([1.0, 0.8, 0.5, 0.1], 0.025)
    """

    kind: ClassVar[str] = "model_alignment"

    metric: str
    variant: str
    models: tuple[str, ...]
    n_models: int
    layer_names: tuple[tuple[str, ...], ...]
    n: int
    pairs: Matrix
    symmetric: bool
    scores: Matrix
    chances: Matrix
    p_values: Matrix
    excess: Matrix
    thresholds: Matrix
    halves: Matrix
    halves_chance: Matrix
    chosen: Matrix
    chosen_on_halves: Matrix
    deviations: Matrix
    degrees: float | None
    profiles: Matrix = dataclasses.field(metadata=GAPS)
    own: tuple[Matrix, ...]
    rates: Matrix = dataclasses.field(metadata=GAPS)
    permutations: int
    alpha: float
    end: float | None
    identity: float | None = None
    distance: bool = False
    range: tuple[float | None, float | None] = (None, None)
    spellings: tuple[str, ...] = ()
    meaning: str = ""
    expected: str = ""
    reference: str = ""

    def contradictions(self) -> Iterator[str]:
        count, all_models = len(self.pairs), len(self.models)
        if self.pairs.ndim != 2 or self.pairs.shape[1:] != (2,):
            yield "its pairs are no pairs"
            return
        for name in ("scores", "chances", "p_values", "excess", "thresholds", "rates"):
            if getattr(self, name).shape != (count,):
                yield f"{name} are not of {count} pairs"
        if count and not (self.pairs.min() >= 0 and self.pairs.max() < all_models):
            yield "a pair is of no model"
        if len(self.layer_names) != all_models or len(self.own) != all_models or not 0 < self.n_models <= all_models:
            yield "its models and their layers are of unlike numbers"
        if self.deviations.ndim != 2 or self.deviations.shape[1] != count or self.halves.shape[1:] != (count,):
            yield "its deviations or halves are not of all pairs"

    # ---- matrices ---------------------------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """The models without twins."""
        return self.models[: self.n_models]

    def matrix(self, of: Matrix, diagonal: float = math.nan) -> Matrix:
        """One number a pair as a matrix over the models, both ways where the order does not matter."""
        out = np.full((len(self.models), len(self.models)), np.nan)
        first, second = self.pairs.T
        out[first, second] = of
        if self.symmetric:
            out[second, first] = of
        np.fill_diagonal(out, diagonal)
        return out[: self.n_models, : self.n_models]

    @property
    def values(self) -> Matrix:
        """Scores (models, models)."""
        return self.matrix(self.scores, math.nan if self.identity is None else self.identity)

    @property
    def chance(self) -> Matrix:
        """Expected scores of items paired at random."""
        return self.matrix(self.chances)

    @property
    def calibrated(self) -> Matrix:
        """Calibrated scores."""
        return self.matrix(self.excess, 1.0)

    @property
    def held_out(self) -> Matrix:
        """Scores with layers chosen on other items, mean over halves."""
        return self.matrix(self.halves.mean(axis=0))

    @property
    def p_maximum(self) -> Matrix:
        """P of each pair of models."""
        return self.matrix(self.p_values)

    @property
    def q(self) -> Matrix:
        """False discovery rate of each pair of models."""
        return self.matrix(self.rates)

    @property
    def layers(self) -> tuple[tuple[tuple[str, str] | None, ...], ...]:
        """The layers that each score is of; None where it is of several, or two were not compared."""
        found: list[list[tuple[str, str] | None]] = [[None] * self.n_models for _ in self.names]
        for (i, j), (a, b) in zip(self.pairs.tolist(), self.chosen.tolist(), strict=True):
            if a >= 0 and max(i, j) < self.n_models:
                found[i][j] = (self.layer_names[i][a], self.layer_names[j][b])
                if self.symmetric:
                    found[j][i] = (self.layer_names[j][b], self.layer_names[i][a])
        return tuple(map(tuple, found))

    # ---- one number a model -----------------------------------------------------------------------------------------

    def position(self, model: str) -> int:
        """Where a model, or a twin, is.

        Raises:
            UnknownNameError: if there is none of that name.
        """
        if model not in self.models:
            raise UnknownNameError("model", model, self.names)
        return self.models.index(model)

    @cached_property
    def places(self) -> Mapping[tuple[int, int], int]:
        """Positions of two models -> the position of their pair; both ways where the order does not matter."""
        found = {(i, j): k for k, (i, j) in enumerate(self.pairs.tolist())}
        if self.symmetric:
            found |= {(j, i): k for (i, j), k in found.items()}
        return found

    def combined(self, models: Sequence[int], references: Sequence[int], of: str = "raw") -> Combined | None:
        """The mean score of each model with the references, itself left out; None if one has none.

        Args:
            models: Positions of models or twins.
            references: Positions of what they are compared with.
            of: ``"raw"``, ``"calibrated"`` or ``"held_out"`` scores; see `kinds`.
        """
        places, rows, weights = self.places, [], []
        given, slope = self.kinds(of)
        for model in models:
            own = [places[model, r] for r in references if (model, r) in places]
            if not own:
                return None
            weight = np.zeros(len(given))
            weight[own] = 1 / len(own)
            rows.append(float(given[own].mean()))
            weights.append(weight * slope)
        return Combined(np.array(rows), self.deviations @ np.stack(weights, axis=1))

    def kinds(self, of: str) -> tuple[Matrix, Matrix]:
        """Scores of one kind, and by how much each moves with the raw score (pairs,).

        Args:
            of: ``"raw"``; ``"calibrated"``; or ``"held_out"``: how far the score of one half of the items, with layers
                that the other half chose, is from its chance (0) towards the best possible (1). Where there is no best
                it is the distance from chance.
        """
        one, sign = np.ones(len(self.scores)), -1.0 if self.distance else 1.0
        if of == "raw":
            return self.scores, one
        if of == "calibrated":
            return self.excess, sign * one if self.end is None else 1 / _room(self.end - self.thresholds)
        chance = self.halves_chance.mean(axis=0)
        above = self.halves.mean(axis=0) - chance
        if self.end is None:
            return sign * above, sign * one
        return above / _room(self.end - chance), 1 / _room(self.end - chance)

    def distances(self, of: str = "raw") -> Matrix:
        """How far the score of each pair is from the best possible one (models, models), 0 on the diagonal.

        Raises:
            InputError: if there are no such scores.
        """
        if not isinstance(of, str) or of not in KINDS:
            raise InputError(f"of={quoted(of)} must be one of {', '.join(KINDS)}.")
        whole = self.matrix(self.kinds(of)[0], 0.0)
        if not self.symmetric:
            whole = (whole + whole.T) / 2
        if self.distance and of == "raw":
            return whole
        end = self.end if of == "raw" else None if self.end is None else 1.0
        found = (np.nanmax(whole) if end is None else end) - whole
        np.fill_diagonal(found, 0.0)
        return np.asarray(found)

    def influence(self, rows: Sequence[int], of: str = "raw") -> Matrix | None:
        """Influence of items on the distance of every pair of some models, in the order of the upper triangle.

        None if some were not compared, or a single cut of the items tells how scores move. Rows are items or blocks of
        items (units, pairs).
        """
        columns, moves = [], self.deviations * self.kinds(of)[1]
        if len(moves) < 2 or len(rows) < 2:
            return None
        for one in range(len(rows)):
            for other in range(one + 1, len(rows)):
                both = ((rows[one], rows[other]), (rows[other], rows[one]))
                ways = [self.places[p] for p in both if p in self.places]
                if not ways:
                    return None
                columns.append(moves[:, ways].mean(axis=1))
        sign = 1.0 if self.distance and of == "raw" else -1.0
        return sign * len(moves) * np.stack(columns, axis=1)

    def depths(self, model: int, references: Sequence[int]) -> tuple[float, float] | None:
        """Relative depth of a model's best layer with the references, and its standard error over halves of the items.

        0 is the first layer and 1 the last; the mean over the references. None where scores are of several layers or
        the model has a single one.
        """
        depth = len(self.layer_names[model]) - 1
        places = self.places
        at = [(places[model, r], 0 if self.pairs[places[model, r], 0] == model else 1) for r in references
              if (model, r) in places]  # fmt: skip
        if depth < 1 or not at or any(self.chosen[k, side] < 0 for k, side in at):
            return None
        whole = float(np.mean([self.chosen[k, side] for k, side in at])) / depth
        halves = np.mean([self.chosen_on_halves[:, k, side] for k, side in at], axis=0) / depth
        gaps = halves[0::2] - halves[1::2]
        return whole, float(np.sqrt(np.mean(gaps**2)) / 2)

    def profile(self, model: int, references: Sequence[int]) -> Matrix | None:
        """The best score of each layer of a model with any layer of a reference, mean over the references."""
        ends = np.cumsum([0, *map(len, self.layer_names)])
        block = self.profiles[ends[model] : ends[model + 1], list(references)]
        there = ~np.isnan(block).any(axis=0)
        return np.asarray(block[:, there].mean(axis=1)) if there.any() else None

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary for each pair of models that was compared; twins are left out."""
        halves, spread = self.halves.mean(axis=0), np.sqrt(np.sum(self.deviations**2, axis=0))
        found = []
        for k, (i, j) in enumerate(self.pairs.tolist()):
            if max(i, j) >= self.n_models:
                continue
            one, other = self.chosen[k].tolist()
            found.append(
                {
                    "metric": self.metric,
                    "x": self.models[i],
                    "y": self.models[j],
                    "x_layer": self.layer_names[i][one] if one >= 0 else None,
                    "y_layer": self.layer_names[j][other] if other >= 0 else None,
                    "value": float(self.scores[k]),
                    "chance": float(self.chances[k]),
                    "calibrated": float(self.excess[k]),
                    "held_out": float(halves[k]),
                    "standard_error": float(spread[k]),
                    "p_maximum": float(self.p_values[k]),
                    "q": float(self.rates[k]),
                    "n": self.n,
                    "permutations": self.permutations,
                }
            )
        return found

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        return f"ModelAlignment({self.metric}, {self.n_models} models, {len(self.pairs)} pairs, n={self.n})"


def _room(left: Matrix) -> Matrix:
    """What is left up to the best possible score, signed; never nothing."""
    return np.where(np.abs(left) > 1e-12, left, np.where(left < 0, -1e-12, 1e-12))
