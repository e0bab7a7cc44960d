"""The result of comparing what models answer to the same items: every pair of models, and each against the labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..errors import UnknownNameError
from ._base import Result
from ._numbers import format_p
from ._tables import frame

Floats = np.ndarray[Any, Any]


class Told(NamedTuple):
    """What a measure is: in words, whether less is more alike, what a model has with itself, and its mirror."""

    words: str
    distance: bool
    itself: float
    mirror: str | None = None


OUTPUT_MEASURES = {
    "agreement": Told("share of items with the same answer", False, 1.0),
    "disagreement": Told("share of items with another answer", True, 0.0),
    "kappa": Told("Cohen's κ: agreement beyond that of the margins", False, 1.0),
    "error_consistency": Told("Cohen's κ of being right", False, 1.0),
    "jsd": Told("Jensen-Shannon divergence of the probabilities, bits", True, 0.0),
    "kl": Told("Kullback-Leibler divergence KL(first ‖ second), bits", True, 0.0, "kl_reverse"),
    "kl_reverse": Told("Kullback-Leibler divergence KL(second ‖ first), bits", True, 0.0, "kl"),
    "top_k": Told("share of the first k that both have", False, 1.0),
    "rbo": Told("rank-biased overlap of the rankings", False, 1.0),
    "accuracy_difference": Told("accuracy of the first less that of the second", False, 0.0, "accuracy_difference"),
    "calibration_difference": Told(
        "debiased calibration error of the first less that of the second", False, 0.0, "calibration_difference"
    ),
    "accuracy": Told("share of right answers", False, 1.0),
    "calibration_error": Told("expected calibration error, bins of equal mass", True, 0.0),
    "calibration_error_debiased": Told("root mean square calibration error, debiased", True, 0.0),
}
"""Measure -> what it is."""
SIGNED = ("accuracy_difference", "calibration_difference")
"""Measures that are differences: their test is two-sided."""


@dataclasses.dataclass(frozen=True)
class Measured(Result):
    """One measure of a pair of models, or of a model against the labels.

    Attributes:
        value: The measure over all items.
        low: Lower end of its interval over items.
        high: Upper end.
        chance: Its expectation when the items are paired anew (of a difference 0, of a calibration error that of a
            calibrated model); None where there is none.
        p_value: p of chance; None where nothing is tested.
        q_value: The same as a false discovery rate (Benjamini-Hochberg) over all pairs or models of this measure.
        source: What chance and p come from.
        bounds: Least and most that the margins, or the two accuracies, allow for; None where they say nothing.

    Example:
        >>> found = iso.outputs({"a": [0, 1, 1, 0] * 5, "b": [0, 1, 1, 1] * 5}, permutations=99)["a", "b"]["kappa"]
        >>> round(found.value, 3), found.chance, round(found.p_value, 4)
        (0.5, 0.0, 0.0163)
    """

    kind: ClassVar[str] = "measured_output"

    value: float
    low: float
    high: float
    chance: float | None
    p_value: float | None
    q_value: float | None
    source: str
    bounds: tuple[float, float] | None = None

    def negated(self) -> Measured:
        """The measure of the difference the other way round."""
        chance = None if self.chance is None else -self.chance
        bounds = None if self.bounds is None else (-self.bounds[1], -self.bounds[0])
        return dataclasses.replace(
            self, value=-self.value, low=-self.high, high=-self.low, chance=chance, bounds=bounds
        )


class _Measures:
    """Base of what has measures by name, some of which may not be defined."""

    measures: Mapping[str, Measured]
    undefined: Mapping[str, str]

    def __getitem__(self, measure: str) -> Measured:
        """A measure by name.

        Raises:
            KeyError: if there is none of that name, or it is not defined here; it says why.
        """
        if measure in self.measures:
            return self.measures[measure]
        if measure in self.undefined:
            raise KeyError(f"{measure} is not defined here: {self.undefined[measure]}")
        raise KeyError(f"no measure {measure!r}; there are {', '.join(self.measures)}")

    def __contains__(self, measure: object) -> bool:
        return measure in self.measures


@dataclasses.dataclass(frozen=True)
class OutputPair(_Measures, Result):
    """Two models' answers to the same items.

    Attributes:
        first: Name of one model.
        second: Name of the other.
        measures: Measure -> what was found.
        undefined: Measure -> why it has no value here.

    Example:
        >>> pair = iso.outputs({"a": [0, 1, 1, 0] * 5, "b": [0, 1, 1, 1] * 5}, permutations=99)["a", "b"]
        >>> list(pair.measures), pair["agreement"].value
        (['agreement', 'disagreement', 'kappa'], 0.75)
    """

    kind: ClassVar[str] = "output_pair"

    first: str
    second: str
    measures: Mapping[str, Measured]
    undefined: Mapping[str, str]

    def mirrored(self) -> OutputPair:
        """The same pair in the other order: differences change sign, and KL its direction."""
        found = {}
        for name, measured in self.measures.items():
            mirror = OUTPUT_MEASURES[name].mirror if name in OUTPUT_MEASURES else None
            found[mirror or name] = measured.negated() if name in SIGNED else measured
        ordered = {name: found[name] for name in self.measures}
        return OutputPair(self.second, self.first, ordered, self.undefined)


@dataclasses.dataclass(frozen=True)
class OutputModel(_Measures, Result):
    """One model's answers, against the labels where there are some.

    Attributes:
        name: Name of the model.
        measures: Measure -> what was found; empty without labels.
        undefined: Measure -> why it has no value here.
        answers: Number of different answers that it gives.
        tied: Items on which its highest scores tie, so that it gives several answers at once.

    Example:
        >>> found = iso.outputs({"a": [0, 1, 1, 0] * 5, "b": [0, 1, 1, 1] * 5}, [0, 1, 0, 1] * 5, permutations=99)
        >>> found.each["a"]["accuracy"].value, found.each["a"].answers
        (0.5, 2)
    """

    kind: ClassVar[str] = "output_model"

    name: str
    measures: Mapping[str, Measured]
    undefined: Mapping[str, str]
    answers: int
    tied: int


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Outputs(Result):
    """What models answer to the same items, compared pair by pair, with chance, p and intervals over items.

    Attributes:
        models: Names of the models.
        pairs: Every pair of models, in the order of ``np.triu_indices(models, 1)``.
        each: Name of a model -> its answers, against the labels where there are some.
        output_kind: ``"classification"``, ``"retrieval"`` or ``"tokens"``.
        n: Number of items: queries of a retrieval, positions of a text.
        columns: Number of classes, gallery items or tokens.
        labeled: Whether labels were given.
        n_groups: Groups of items that are paired anew and drawn whole, or None.
        k: Places of `top_k`; 0 where it is not measured.
        persistence: Of the rank-biased overlap.
        bins: Of the calibration errors, at most.
        alpha: Intervals cover 1 - alpha.
        draws: Bootstrap samples of the items.
        permutations: Random re-pairings, and exchanges of two models.
        seed: Seed.
        notes: What else is to be known.
        provenance: How to make it again.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> labels = np.arange(200) % 4
        >>> rng = np.random.default_rng(0)
        >>> found = iso.outputs(
        ...     {name: np.where(rng.random(200) < 0.7, labels, rng.integers(0, 4, 200)) for name in "abc"}, labels
        ... )
        >>> np.round(found.matrix("agreement"), 2)
        array([[1.  , 0.62, 0.58],
               [0.62, 1.  , 0.66],
               [0.58, 0.66, 1.  ]])
    """

    kind: ClassVar[str] = "outputs"

    models: tuple[str, ...]
    pairs: tuple[OutputPair, ...]
    each: Mapping[str, OutputModel]
    output_kind: str
    n: int
    columns: int
    labeled: bool
    n_groups: int | None
    k: int
    persistence: float
    bins: int
    alpha: float
    draws: int
    permutations: int
    seed: int
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def contradictions(self) -> Iterator[str]:
        i, j = np.triu_indices(len(self.models), 1)
        wanted = [(self.models[a], self.models[b]) for a, b in zip(i, j, strict=True)]
        if [(p.first, p.second) for p in self.pairs] != wanted:
            yield "its pairs are not those of its models"
        if list(self.each) != list(self.models):
            yield "it does not say of each model what it answers"

    def __getitem__(self, pair: tuple[str, str]) -> OutputPair:
        """A pair of models, in either order.

        Raises:
            KeyError: if it is no pair of two different models' names.
            UnknownNameError: if there is no such model.
        """
        if not isinstance(pair, tuple) or len(pair) != 2 or pair[0] == pair[1]:
            raise KeyError(f"{pair!r} is no pair of models; give two names, such as found[{self.models[0]!r}, "
                           f"{self.models[1]!r}]")  # fmt: skip
        for name in pair:
            if name not in self.models:
                raise UnknownNameError("model of these outputs", str(name), self.models)
        for found in self.pairs:
            if (found.first, found.second) == pair:
                return found
            if (found.second, found.first) == pair:
                return found.mirrored()
        raise KeyError(f"no pair {pair!r}")

    @property
    def measures(self) -> tuple[str, ...]:
        """Measures of pairs that some pair has, in the order of `OUTPUT_MEASURES`."""
        return tuple(m for m in OUTPUT_MEASURES if any(m in pair for pair in self.pairs))

    @property
    def verdict(self) -> str:
        """In a sentence which models answer alike beyond chance, and whether they err alike beyond their accuracies."""
        asked = {"agreement": "answer alike", "error_consistency": "err on the same items"}
        said = [
            f"{_passing(self.pairs, measure, self.alpha)}{does} beyond chance"
            for measure, does in asked.items()
            if measure in self.measures
        ]
        best = max(self.pairs, key=lambda p: p["agreement"].value)
        agreed = best["agreement"]
        which = "they" if len(self.pairs) == 1 else f"most alike are {best.first} and {best.second}, which"
        who = f"{best.first} and {best.second} " if len(self.pairs) == 1 else ""
        return (
            f"{who}{', and '.join(said)} (false discovery rate {self.alpha:g}); {which} agree on {agreed.value:.0%} of "
            f"{self.n:,} items, chance {agreed.chance or 0.0:.0%}."
        )

    def matrix(self, measure: str, what: str = "value") -> Floats:
        """A measure of all pairs as a matrix (models, models): row is the first model, column the second.

        Args:
            measure: Its name, such as ``"jsd"``; ``"kl"`` and the differences are not symmetric.
            what: ``"value"``, ``"low"``, ``"high"``, ``"chance"``, ``"p_value"`` or ``"q_value"``.

        Returns:
            Numbers, NaN where a pair has none (`undefined` of the pair says why). On the diagonal of values stands what
            a model has with itself: 1 for agreement and overlap, 0 for divergence and difference; else NaN, p and q 1.

        Raises:
            UnknownNameError: if no pair has that measure, or there is no such number of it.

        Example:
            >>> rows = np.random.default_rng(0).dirichlet(np.ones(3), size=(3, 60))
            >>> iso.outputs(dict(zip("abc", rows))).matrix("jsd").round(2)
            array([[0.  , 0.2 , 0.19],
                   [0.2 , 0.  , 0.2 ],
                   [0.19, 0.2 , 0.  ]])
        """
        if measure not in self.measures:
            raise UnknownNameError("measure of these outputs", str(measure), self.measures)
        numbers = ("value", "low", "high", "chance", "p_value", "q_value")
        if what not in numbers:
            raise UnknownNameError("number of a measure", str(what), numbers)
        itself = (
            OUTPUT_MEASURES[measure].itself if what == "value" else 1.0 if what in ("p_value", "q_value") else np.nan
        )
        out = np.full((len(self.models), len(self.models)), np.nan)
        np.fill_diagonal(out, itself)
        where = {name: k for k, name in enumerate(self.models)}
        for pair in self.pairs:
            for one in (pair, pair.mirrored()):
                if measure in one and (number := getattr(one[measure], what)) is not None:
                    out[where[one.first], where[one.second]] = number
        return out

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary a pair and measure, then one a model and measure (its `second` is ``"labels"``)."""
        found = [(p.first, p.second, p.measures) for p in self.pairs]
        found += [(m.name, "labels", m.measures) for m in self.each.values()]
        return [
            {
                "first": first, "second": second, "measure": name,
                **{k: getattr(m, k) for k in ("value", "low", "high", "chance", "p_value", "q_value", "source")},
            }
            for first, second, measures in found
            for name, m in measures.items()
        ]  # fmt: skip

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        what = {"classification": "classes", "retrieval": "gallery items", "tokens": "tokens"}
        lines = [
            f"Outputs of {len(self.models)} models on {self.n:,} items, {self.columns:,} "
            f"{what.get(self.output_kind, 'columns')} ({self.output_kind}; {self.permutations} re-pairings, "
            f"{self.draws} bootstrap samples, seed {self.seed})"
        ]
        for name, one in self.each.items():
            if one.measures:
                lines.append(f"{name}, against the labels")
                lines += _lines(one)
        for pair in self.pairs:
            lines.append(f"{pair.first} and {pair.second}")
            lines += _lines(pair)
        return "\n".join([*lines, *self.notes, self.verdict])


def _passing(pairs: tuple[OutputPair, ...], measure: str, alpha: float) -> str:
    """How many of the pairs that have a measure pass, as a sentence goes on: of one pair only whether."""
    q = [p[measure].q_value for p in pairs if measure in p]
    passing = sum(v is not None and v <= alpha for v in q)
    if len(pairs) == 1:
        return "" if passing else "do not "
    return f"{passing} of {len(q)} pairs "


def _lines(of: OutputPair | OutputModel) -> list[str]:
    """One line a measure; disagreement is what agreement leaves."""
    lines = []
    for name, m in of.measures.items():
        if name == "disagreement":
            continue
        chance = "" if m.chance is None else f", chance {m.chance:.3f}"
        p = "" if m.p_value is None else f", p {format_p(m.p_value)}"
        q = "" if m.q_value is None else f", q {format_p(m.q_value)}"
        lines.append(f"  {name:<22} {m.value:6.3f} [{m.low:.3f}, {m.high:.3f}]{chance}{p}{q}")
    return [*lines, *(f"  {name:<22} {words}" for name, words in of.undefined.items())]
