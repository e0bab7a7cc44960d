"""What predicts how alike two sides see an item, and what changes with the items: tables of numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from ._base import Result
from ._numbers import format_p, listed
from ._tables import frame


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class CategoryEffect(Result):
    """One category of a covariate against the mean over items.

    Attributes:
        category: Name.
        n: Its items.
        effect: Score of its items less the mean over items, the other covariates kept; None if the others give it.
        low: Lower bound, or None where one group alone has the category.
        high: Upper bound.
        p_value: Two-sided p of no difference, or None.

    Example:
        >>> CategoryEffect("animal", 40, 0.1, 0.04, 0.16, 0.002).effect
        0.1
    """

    kind: ClassVar[str] = "category_effect"

    category: str
    n: int
    effect: float | None
    low: float | None
    high: float | None
    p_value: float | None


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class CovariateEffect(Result):
    """What one covariate tells of the items' scores beside all others.

    Attributes:
        covariate: Name.
        type: ``"number"`` or ``"category"``.
        effect: Change of the score per standard deviation, all other covariates kept; None of categories, whose
            effects are in `categories`, and where the others give the covariate exactly.
        low: Lower bound, or None.
        high: Upper bound, or None.
        p_value: Two-sided p of no partial effect (of categories: of any difference among them), or None.
        q_value: The false discovery rate at which it passes, over all covariates (Benjamini-Hochberg), or None.
        partial_r2: Share of the variance left by the others that it explains, 0 to 1, or None.
        alone: Change of the score per standard deviation with no other covariate; None of categories.
        alone_low: Lower bound, or None.
        alone_high: Upper bound, or None.
        alone_p_value: p of no effect with no other covariate, or None.
        alone_r2: Share of the variance that it explains by itself, 0 to 1.
        inflation: Variance inflation factor, from 1: how much less sure the effect is for the other covariates; of
            categories the generalised one (Fox and Monette 1992) per column. None where the others give it exactly.
        mean: Mean over items, of numbers.
        deviation: Standard deviation over items, in the covariate's own units, of numbers.
        categories: One effect a category.

    Example:
        >>> from isomorph.concept_maps import explain_items
        >>> size = np.arange(40.0)
        >>> e = explain_items(size % 5 + size, {"size": size})["size"]
        >>> e.type, round(e.effect, 2), round(e.deviation, 2), e.p_value < 0.001
        ('number', 11.72, 11.54, True)
    """

    kind: ClassVar[str] = "covariate_effect"

    covariate: str
    type: str
    effect: float | None
    low: float | None
    high: float | None
    p_value: float | None
    q_value: float | None
    partial_r2: float | None
    alone: float | None
    alone_low: float | None
    alone_high: float | None
    alone_p_value: float | None
    alone_r2: float
    inflation: float | None
    mean: float | None = None
    deviation: float | None = None
    categories: tuple[CategoryEffect, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Covariates(Mapping[str, CovariateEffect], Result):
    """What predicts the scores of items: a regression on all covariates together; a mapping by covariate.

    Attributes:
        effects: One a covariate.
        r2: Share of the variance over items that all covariates explain, 0 to 1.
        r2_held_out: The same of items (or whole groups) that the regression was not fitted to; below 0 if it predicts
            worse than the mean does.
        p_value: p of no effect of any covariate.
        n: Items.
        n_groups: Groups that are drawn as a whole, or None where items are.
        level: Coverage of the intervals.
        over: What the intervals are over, in words.
        confounded: Covariates that cannot be told apart: each is given exactly by the others of its set.
        nearly: Covariates whose variance is inflated tenfold or more, each with the one that it goes most with.
        left_out: Covariate -> ids of the items that lack it and were left out.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> size, kind = rng.normal(size=200), rng.choice(["cat", "dog"], size=200)
        >>> scores = 0.3 + 0.1 * size + 0.1 * rng.normal(size=200)
        >>> from isomorph.concept_maps import explain_items
        >>> found = explain_items(scores, {"size": size, "kind": kind})
        >>> found
        Covariates(size +0.084 (+0.070 to +0.098), kind p 0.562; R² .42, held out .40, 200 items)
    """

    kind: ClassVar[str] = "covariates"

    effects: dict[str, CovariateEffect]
    r2: float
    r2_held_out: float
    p_value: float | None
    n: int
    n_groups: int | None
    level: float
    over: str
    confounded: tuple[tuple[str, ...], ...] = ()
    nearly: tuple[tuple[str, str], ...] = ()
    left_out: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def __getitem__(self, name: str) -> CovariateEffect:
        return self.effects[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.effects)

    def __len__(self) -> int:
        return len(self.effects)

    @property
    def notes(self) -> tuple[str, ...]:
        """What cannot be told apart, and what was left out, in sentences."""
        said = [
            f"{listed(names)} cannot be told apart: each is given exactly by the other{'s' * (len(names) > 2)}, so "
            "none has an effect of its own here."
            for names in self.confounded
        ]
        said += [
            f"{name} can hardly be told apart from {other}: variance inflation {self.effects[name].inflation or 0:.0f}."
            for name, other in self.nearly
        ]
        said += [
            f"{e.covariate} is in part given by the others: it is tested on what is left, and its categories have no "
            "effects of their own."
            for e in self.effects.values()
            if e.categories and e.p_value is not None and all(c.effect is None for c in e.categories)
        ]
        said += [
            f"A category of {e.covariate} is in one group alone: there is no interval over groups for its effects, "
            "which are against the mean. Leave the items of that category out."
            for e in self.effects.values()
            if any(c.effect is not None and c.low is None for c in e.categories)
        ]
        said += [f"{len(ids)} items without {name} were left out." for name, ids in self.left_out.items()]
        return tuple(said)

    @property
    def told(self) -> str:
        """What was found, in sentences."""
        p = "" if self.p_value is None else f", p {format_p(self.p_value)}"
        said = [
            f"{listed([*self.effects])} explain {100 * self.r2:.0f} % of the variance of the scores of {self.n} items, "
            f"{100 * self.r2_held_out:.0f} % of items held out{p}; intervals {self.over}."
        ]
        for e in self.effects.values():
            if e.p_value is None:
                continue
            q = f"q {format_p(e.q_value)}" if e.q_value is not None else f"p {format_p(e.p_value)}"
            if e.effect is not None and e.low is not None and e.high is not None:
                said.append(
                    f"{e.covariate}: {e.effect:+.3f} per standard deviation ({e.low:+.3f} to {e.high:+.3f}), {q}."
                )
            else:
                said.append(f"{e.covariate}: partial R² {e.partial_r2 or 0:.2f}, {q}.")
        return " ".join([*said, *self.notes])

    def to_records(self) -> list[dict[str, Any]]:
        """One record a number, one a category of each covariate of categories."""
        rows = []
        for e in self.effects.values():
            shared = {"partial_r2": e.partial_r2, "alone_r2": e.alone_r2, "inflation": e.inflation}
            shared |= {"p_value": e.p_value, "q_value": e.q_value}
            if e.type == "number":
                own = {"effect": e.effect, "low": e.low, "high": e.high, "alone": e.alone, "deviation": e.deviation}
                rows.append({"covariate": e.covariate, "category": None, "n": self.n, **own, **shared})
            for c in e.categories:
                own = {"effect": c.effect, "low": c.low, "high": c.high, "alone": None, "deviation": None}
                rows.append(
                    {"covariate": e.covariate, "category": c.category, "n": c.n, **own, **shared}
                    | {"category_p_value": c.p_value}
                )
        return rows

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        parts = []
        for e in self.effects.values():
            if e.effect is not None and e.low is not None and e.high is not None:
                parts.append(f"{e.covariate} {e.effect:+.3f} ({e.low:+.3f} to {e.high:+.3f})")
            else:
                parts.append(f"{e.covariate} {'p ' + format_p(e.p_value) if e.p_value is not None else 'confounded'}")
        r2 = f"R² {_short(self.r2)}, held out {_short(self.r2_held_out)}"
        return f"Covariates({', '.join(parts)}; {r2}, {self.n} items)"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class PairedDifference(Result):
    """How much higher the scores of the same items are in one case than in another.

    Attributes:
        label: The concept, or ``"all"``.
        n: Its items.
        a: Mean score in the first case.
        b: Mean score in the second.
        difference: b less a.
        low: Lower bound over items (or groups), or None of one item or group.
        high: Upper bound.
        p_value: Two-sided p of no difference, or None.
        q_value: The false discovery rate at which a label passes, over all labels, or None.

    Example:
        >>> from isomorph.concept_maps import paired_items
        >>> paired_items([0.2, 0.3, 0.4], [0.1, 0.3, 0.2]).all.difference
        -0.1
    """

    kind: ClassVar[str] = "paired_difference"

    label: str
    n: int
    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    q_value: float | None = None


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class PairedScores(Result):
    """Scores of the same items in two cases, such as with the original view and with a perturbed one.

    Attributes:
        a_name: The first case.
        b_name: The second.
        all: Over all items.
        labels: One a label.
        level: Coverage of the intervals.
        over: What the intervals are over, in words.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> a = rng.uniform(0.3, 0.5, size=90)
        >>> from isomorph.concept_maps import paired_items
        >>> paired_items(a, a - 0.1 + 0.05 * rng.normal(size=90), b_name="words shuffled")
        PairedScores(words shuffled less original: -0.101 (-0.111 to -0.090), p 4.2e-34, 90 items)
    """

    kind: ClassVar[str] = "paired_scores"

    a_name: str
    b_name: str
    all: PairedDifference
    labels: tuple[PairedDifference, ...]
    level: float
    over: str

    def to_records(self) -> list[dict[str, Any]]:
        """One record for all items, and one a label."""
        return [{f.name: getattr(row, f.name) for f in dataclasses.fields(row)} for row in (self.all, *self.labels)]

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        d = self.all
        span = f" ({d.low:+.3f} to {d.high:+.3f})" if d.low is not None and d.high is not None else ""
        p = "" if d.p_value is None else f", p {format_p(d.p_value)}"
        return f"PairedScores({self.b_name} less {self.a_name}: {d.difference:+.3f}{span}{p}, {d.n} items)"


def _short(value: float) -> str:
    """``.52``, ``-.03``."""
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"
