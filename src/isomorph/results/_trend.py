"""What changes with an attribute of models: trends, each of its scores beside the others, and thresholds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

from ._base import Result
from ._numbers import format_p, listed
from ._tables import frame

ROUNDING = 1e-7
"""Slopes that scores of float32 features do not tell from none."""
LABELS = {
    "raw": "raw score",
    "calibrated": "calibrated score",
    "held_out": "held-out score (layers chosen on other items, above chance)",
    "untrained": "raw score of the untrained twins",
    "above_untrained": "raw score above the untrained twins",
}


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Slope(Result):
    """The slope of a score on an attribute.

    Attributes:
        value: Change of the score for one unit of the attribute (a doubling, where its logarithm is taken).
        models: Number of models.
        items: Interval over items, these models held fixed, or None.
        over_models: Interval over models, or None.
        both: Interval over both, or None.
        p_value: Two-sided p of no trend over models, by permutation, or None of too few.
        rank: Spearman's rank correlation.
        source: Where p comes from.

    Example:
        >>> Slope(0.02, 6, (0.01, 0.03), (0.015, 0.025), (0.01, 0.03), 0.0028, 1.0, "all 720 orders of the models")
        +0.0200 (items +0.0100 to +0.0300; both +0.0100 to +0.0300), p 0.003
    """

    kind: ClassVar[str] = "slope"

    value: float
    models: int
    items: tuple[float, float] | None
    over_models: tuple[float, float] | None
    both: tuple[float, float] | None
    p_value: float | None
    rank: float
    source: str

    @property
    def rises(self) -> bool:
        """Whether it is shown to be above 0, of these models and other items."""
        return self.items is not None and self.items[0] > ROUNDING

    @property
    def falls(self) -> bool:
        """Whether it is shown to be below 0, of these models and other items."""
        return self.items is not None and self.items[1] < -ROUNDING

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval over items excludes 0."""
        return self.rises or self.falls

    def number(self, value: float) -> str:
        """The slope or a bound of it in text: four decimals, or two digits where the slope would vanish in them."""
        return f"{value:+.2g}" if 0 < abs(self.value) < 5e-5 else f"{value:+.4f}"

    def __repr__(self) -> str:
        known = [(name, span) for name, span in (("items", self.items), ("both", self.both)) if span is not None]
        show = self.number
        parts = [f"{name} {show(span[0])} to {show(span[1])}" for name, span in known]
        p = "" if self.p_value is None else f", p {format_p(self.p_value)}"
        return show(self.value) + (f" ({'; '.join(parts)})" if parts else "") + p


class Rung(NamedTuple):
    """One model on a ladder.

    Attributes:
        model: Its name.
        attribute: Its attribute.
        family: Its family, or empty.
        raw: Score, mean over the references.
        low: Lower bound over items.
        high: Upper bound.
        calibrated: Calibrated score.
        held_out: Share of the way from chance to the best possible score, with layers chosen on other items.
        untrained: Score of its untrained twin, or None.

    Example:
        >>> Rung("small", 1e6, "", 0.2, 0.15, 0.25, 0.1, 0.2, None).model
        'small'
    """

    model: str
    attribute: float
    family: str
    raw: float
    low: float
    high: float
    calibrated: float
    held_out: float
    untrained: float | None


class Step(NamedTuple):
    """From one rung to the next of its family: the difference of raw scores, with its interval over items.

    Example:
        >>> Step("small", "large", 0.05, 0.01, 0.09).value
        0.05
    """

    lower: str
    upper: str
    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Trend(Result):
    """How alignment with a reference changes with an attribute of models: raw, calibrated, held out and untrained.

    Attributes:
        metric: Spec of the metric.
        attribute: Name of the attribute.
        logarithmic: Whether slopes are per doubling of it.
        references: What models are compared with; empty for all others.
        within: The attribute whose values are families, each with a level of its own; empty for none.
        slopes: ``"raw"``, ``"calibrated"``, ``"held_out"`` and, where there are twins, ``"untrained"`` and
            ``"above_untrained"`` -> slope.
        rungs: Every model, by family and attribute.
        steps: Differences of neighbouring rungs.
        shape: How the raw scores go on, in words: straight, level from some rung on, or not told apart.
        distance: Whether lower scores are more alike.
        level: Coverage of the intervals.
        n: Number of items.
        notes: What was left out.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> z, *noise = np.random.default_rng(0).normal(size=(7, 200, 6))
        >>> models = {f"m{k}": z + 2.0 ** (2 - k) * e for k, e in enumerate(noise[:5])} | {"reference": z}
        >>> sizes = {f"m{k}": 2.0**k for k in range(5)} | {"reference": 1.0}
        >>> atlas = iso.atlas(models, "cka", attributes={"size": sizes}, permutations=39, splits=2)
        >>> trend = atlas.trend("size", reference="reference")
        >>> round(trend.slopes["raw"].value, 1), trend.rises
        (0.2, True)
    """

    kind: ClassVar[str] = "trend"

    metric: str
    attribute: str
    logarithmic: bool
    references: tuple[str, ...]
    within: str
    slopes: Mapping[str, Slope]
    rungs: tuple[Rung, ...]
    steps: tuple[Step, ...]
    shape: str
    distance: bool
    level: float
    n: int
    notes: tuple[str, ...] = ()

    @classmethod
    def upgraded(cls, fields: Mapping[str, object]) -> Mapping[str, object]:
        """Rungs and steps of a file, which are lists there."""
        made = dict(fields)
        for name, kind in (("rungs", Rung), ("steps", Step)):
            made[name] = tuple(kind(*row) for row in made.get(name, ()))  # type: ignore[attr-defined]  # a list of rows
        return made

    def contradictions(self) -> Iterator[str]:
        if not {"raw", "calibrated", "held_out"} <= self.slopes.keys():
            yield "it lacks one of its slopes"

    @property
    def testable(self) -> bool:
        """Whether there are rungs enough for a test over models."""
        return self.slopes["raw"].p_value is not None

    @property
    def rises(self) -> bool:
        """Whether alignment is shown to rise, by held-out scores and more than that of the untrained twins."""
        return all(self.slopes[k].rises for k in ("held_out", "calibrated", "above_untrained") if k in self.slopes)

    @property
    def verdict(self) -> str:
        """What the slopes say together, in a sentence or two."""
        unit = "a doubling of " if self.logarithmic else "a unit of "
        raw, held, own = (self.slopes[k] for k in ("raw", "held_out", "calibrated"))
        twins = self.slopes.get("above_untrained")
        said = f"{raw.number(raw.value)}{' (a distance)' if self.distance else ''} for {unit}{self.attribute}"
        if len({r.attribute for r in self.rungs}) < 4:
            steps = listed(
                [f"{s.lower} to {s.upper} {s.value:+.4f} ({s.low:+.4f} to {s.high:+.4f})" for s in self.steps]
            )
            values = len({r.attribute for r in self.rungs})
            some = (
                f"{len(self.rungs)} rungs"
                if values == len(self.rungs)
                else f"{len(self.rungs)} rungs of {values} sizes"
            )
            return f"No trend can be tested over {some}. Differences: {steps}."
        up = raw.value < 0 if self.distance else raw.value > 0
        word = "rises" if up else "falls"

        def shown(slope: Slope) -> bool:
            return slope.rises if up else slope.falls

        lacking = [LABELS[k] for k, s in (("calibrated", own), ("held_out", held)) if not shown(s)]
        if not raw.excludes_zero:
            return f"No trend is shown: {said}{self._p(raw)}."
        if lacking:
            return (
                f"Only the raw score {word} with {self.attribute} ({said}); the {listed(lacking)} is not shown to: "
                "this is what more or wider layers give without more that is shared."
            )
        if twins is not None and not shown(twins):
            return (
                f"The raw score {word} with {self.attribute} ({said}), and that of the untrained twins at least as "
                "much: the architecture does it, not what was learnt."
            )
        over = [s.both for s in (held, twins) if s is not None and s.both is not None]
        general = bool(over) and all(low > 0 or high < 0 for low, high in over)
        general = general and (raw.p_value is None or raw.p_value <= 1 - self.level + 1e-12)
        rest = "" if general else ", of these models; other models of such sizes may differ"
        return f"Alignment {word} with {self.attribute}: {said}{self._p(raw)}{rest}."

    def _p(self, slope: Slope) -> str:
        over = ""
        if slope.items is not None:
            low, high = slope.items
            over = f" ({100 * self.level:g} % over items {slope.number(low)} to {slope.number(high)})"
        return over + ("" if slope.p_value is None else f", p {format_p(slope.p_value)} over models")

    def to_records(self) -> list[dict[str, object]]:
        """One dictionary a rung."""
        return [r._asdict() for r in self.rungs]

    def to_frame(self) -> object:
        """The rungs as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        return f"Trend({self.metric} by {self.attribute}, {len(self.rungs)} models: {self.verdict})"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Threshold(Result):
    """From which rung of a ladder on alignment is above that of untrained twins (or chance), and where growth ends.

    Attributes:
        metric: Spec of the metric.
        attribute: Name of the attribute.
        references: What models are compared with; empty for all others.
        against: ``"untrained twins"`` or ``"chance"``.
        models: The rungs, by rising attribute; models of the same are one rung.
        attributes: Their attributes.
        differences: Score less that of the twin, or of chance, positive where more alike.
        lower: Lower one-sided bounds of these.
        model: The threshold, or None where no rung is shown to be above with all those after it.
        low: Lowest rung of its interval, or None.
        high: Highest.
        found: Share of redrawn scores in which there is a threshold.
        items_needed: Where there is none: with how many items the difference seen of the last rung would be shown in 80
            of 100 samples, or None where it is not above 0.
        rungs_needed: Where there is none: with how many rungs in all the last would be shown in 80 of 100 samples, if
            differences went on along their line; None where it cannot be said.
        rungs_lacking: Why it cannot be said; empty in older files.
        ends: The rung above which no growth is shown, or None where it goes on to the last or there is none.
        ends_support: Share of redrawn scores that end there.
        alpha: Level.
        n: Number of items.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> z, *noise = rng.normal(size=(7, 200, 6))
        >>> shared = (0, 0, 1, 1, 1)
        >>> models = {f"m{k}": s * z + e for k, (s, e) in enumerate(zip(shared, noise))} | {"reference": z}
        >>> twins = {f"m{k}": rng.normal(size=(200, 6)) for k in range(5)}
        >>> sizes = {name: float(k + 1) for k, name in enumerate(models)}
        >>> atlas = iso.atlas(models, "cka", attributes={"size": sizes}, baselines=twins, permutations=39, splits=2)
        >>> found = atlas.threshold("size", reference="reference")
        >>> found.model, found.against
        ('m2', 'untrained twins')
    """

    kind: ClassVar[str] = "threshold"

    metric: str
    attribute: str
    references: tuple[str, ...]
    against: str
    models: tuple[str, ...]
    attributes: tuple[float, ...]
    differences: tuple[float, ...]
    lower: tuple[float, ...]
    model: str | None
    low: str | None
    high: str | None
    found: float
    items_needed: int | None
    ends: str | None
    ends_support: float
    alpha: float
    n: int
    rungs_needed: int | None = None
    rungs_lacking: str = ""

    @property
    def verdict(self) -> str:
        """The threshold in words, or that there is none."""
        if self.model is None:
            if self.items_needed is None:
                return (
                    f"No threshold: the last rung, {self.models[-1]}, does not lie above {self.against}.{self._rungs()}"
                )
            return (
                f"No threshold found: with {self.n:,} items the last rung, {self.models[-1]}, is not shown to be above "
                f"{self.against}; a difference as large as that seen would need about {self.items_needed:,} items."
                f"{self._rungs()}"
            )
        span = f" (interval {self.low} to {self.high})" if self.low != self.high else ""
        ends = f"; growth beyond {self.ends} is not shown" if self.ends is not None else ""
        if self.model == self.models[0]:
            return f"Every rung lies above {self.against}, from {self.model} on: a threshold would lie below{ends}."
        return f"From {self.model} on{span}, alignment lies above {self.against}{ends}."

    def _rungs(self) -> str:
        """How many rungs would be needed, or why that cannot be said."""
        if self.rungs_needed is not None:
            return (
                f" If differences went on along their line, about {self.rungs_needed} rungs would be needed, "
                f"{self.rungs_needed - len(self.models)} more than these."
            )
        return f" How many rungs would be needed cannot be said: {self.rungs_lacking}." if self.rungs_lacking else ""

    def __repr__(self) -> str:
        return f"Threshold({self.metric} by {self.attribute}: {self.verdict})"
