"""Ladders of models: trends and thresholds from what an atlas keeps of their scores."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.checks import as_count, check_flag
from .._core.distributions import normal_ppf, t_ppf
from ..errors import InputError, quoted
from ..population import Further, fit_line, further, leaving, saturation
from ._model_alignment import KINDS, Combined, ModelAlignment
from ._trend import Rung, Slope, Step, Threshold, Trend

Matrix = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Ladder:
    """Models with a number each, by family and number.

    Attributes:
        alignment: The metric.
        attribute: Name of the number.
        rows: Model, number and family of each rung.
        references: What they are compared with; empty for all others.
        within: Name of the attribute of families, or empty.
        twins: Model -> its untrained twin.
        logarithmic: Whether slopes are per doubling, or None to go by the numbers.
        seed: Seed of orders and draws.
        alpha: Intervals cover 1 - alpha.
        notes: What was left out.
    """

    alignment: ModelAlignment
    attribute: str
    rows: tuple[tuple[str, float, str], ...]
    references: tuple[str, ...]
    within: str
    twins: Mapping[str, str]
    logarithmic: bool | None
    seed: int
    alpha: float
    notes: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The models."""
        return [name for name, _, _ in self.rows]

    @property
    def numbers(self) -> Matrix:
        """Their numbers."""
        return np.array([number for _, number, _ in self.rows])

    @property
    def families(self) -> Matrix | None:
        """One number a model, that of its family; None where there are none."""
        return np.unique([family for _, _, family in self.rows], return_inverse=True)[1] if self.within else None

    @property
    def degrees(self) -> float:
        """Degrees of freedom of how scores move with items."""
        found = self.alignment.degrees
        return math.inf if found is None else found

    @property
    def doubles(self) -> bool:
        """Whether slopes are per doubling.

        Raises:
            InputError: if logarithms are asked for of what is not positive.
        """
        if self.logarithmic is not None:
            check_flag(self.logarithmic, "logarithmic")
        lowest = float(self.numbers.min())
        if self.logarithmic and lowest <= 0:
            raise InputError(f"logarithmic=True: {self.attribute} has the value {lowest:g}, which has no logarithm.")
        if self.logarithmic is not None:
            return self.logarithmic
        return lowest > 0 and float(self.numbers.max()) >= 2 * lowest

    def scores(self, of: str, *, untrained: bool = False) -> Combined | None:
        """The score of each model, or of its untrained twin, with the references.

        None where a model has no twin, or was compared with none of them.
        """
        a = self.alignment
        references = [a.position(r) for r in self.references] or list(range(a.n_models))
        names = [self.twins.get(name) for name in self.names] if untrained else self.names
        if any(name is None for name in names):
            return None
        rows = [a.position(str(name)) for name in names]
        if not untrained:
            return a.combined(rows, references, of)
        own = [a.position(name) for name in self.names]  # a twin is not compared with its own model
        parts = [
            a.combined([row], [r for r in references if r != model], of) for row, model in zip(rows, own, strict=True)
        ]
        known = [p for p in parts if p is not None]
        if len(known) < len(parts):
            return None
        return Combined(np.concatenate([p.values for p in known]), np.hstack([p.deviations for p in known]))


def ladder_of(
    alignment: ModelAlignment,
    attribute: str,
    values: Mapping[str, Any],
    within: str,
    families: Mapping[str, Any] | None,
    references: tuple[str, ...],
    models: Sequence[str],
    **rest: Any,
) -> Ladder:
    """The rungs among some models: those that have the number (and a family) and are no reference.

    Raises:
        InputError: if there are fewer than two, or the attribute is no number.
    """
    rows, left = [], []
    for model in models:
        value, family = values[model], "" if families is None else families[model]
        if model in references:
            continue
        if value is None or family is None:
            left.append(model)
            continue
        if isinstance(value, str):
            raise InputError(f"attribute={quoted(attribute)} is no number: {model} has {quoted(value)}.")
        rows.append((model, float(value), str(family)))
    if len(rows) < 2:
        raise InputError(
            f"A trend by {attribute!r} needs at least two models that have it and are no reference; found "
            f"{', '.join(m for m, _, _ in rows) or 'none'}. Give attributes= to atlas, or other references."
        )
    rows.sort(key=lambda row: (row[2], row[1]))
    if len({(family, number) for _, number, family in rows}) == len({family for _, _, family in rows}):
        inside = f" inside each {within}" if within else ""
        raise InputError(
            f"attribute={quoted(attribute)} has one value{inside} ({rows[0][1]:g} of {rows[0][0]}); at least two are "
            "needed, of models that are compared."
        )
    what = f"{attribute} or {within}" if within else attribute
    notes = (f"Without {what}, and left out: {', '.join(left)}.",) if left else ()
    return Ladder(alignment, attribute, tuple(rows), references, within, notes=notes, **rest)


def trend_of(ladder: Ladder, *, permutations: int) -> Trend:
    """The slopes of all kinds of scores along a ladder.

    Raises:
        InputError: if models were not compared with the references, or the attribute does not vary.
    """
    as_count(permutations, "permutations")
    x = np.log2(ladder.numbers) if ladder.doubles else ladder.numbers
    codes = ladder.families
    parts: dict[str, Combined] = {}
    for of in KINDS:
        found = ladder.scores(of)
        if found is None:
            raise InputError(
                f"Not every model was compared with {', '.join(ladder.references) or 'another'}; compare all pairs "
                "(pairs='all'), or give other references or models."
            )
        parts[of] = found
    twins = ladder.scores("raw", untrained=True)
    if twins is not None:
        sign = -1.0 if ladder.alignment.distance else 1.0
        raw = parts["raw"]
        parts["untrained"] = twins
        parts["above_untrained"] = Combined(
            sign * (raw.values - twins.values), sign * (raw.deviations - twins.deviations)
        )

    def slope(part: Combined) -> Slope:
        line = fit_line(
            x,
            part.values,
            deviations=part.deviations,
            families=codes,
            degrees_of_items=ladder.degrees,
            level=1 - ladder.alpha,
            permutations=permutations,
            seed=ladder.seed,
        )
        return Slope(**line._asdict())

    notes = list(ladder.notes)
    if ladder.twins and twins is None:
        notes.append("Not every model has an untrained twin that was compared: the untrained ladder is left out.")
    return Trend(
        metric=ladder.alignment.metric,
        attribute=ladder.attribute,
        logarithmic=ladder.doubles,
        references=ladder.references,
        within=ladder.within,
        slopes={name: slope(part) for name, part in parts.items()},
        rungs=_rungs(ladder, parts),
        steps=_steps(ladder, parts["raw"]),
        shape=_shape(x, parts["held_out"], codes),
        distance=ladder.alignment.distance,
        level=1 - ladder.alpha,
        n=ladder.alignment.n,
        notes=tuple(notes),
    )


def _quantile(ladder: Ladder) -> float:
    degrees = ladder.alignment.degrees
    level = 1 - ladder.alpha / 2
    return float(normal_ppf(level)) if degrees is None else float(t_ppf(level, degrees))


def _rungs(ladder: Ladder, parts: Mapping[str, Combined]) -> tuple[Rung, ...]:
    half = _quantile(ladder) * np.sqrt(np.sum(parts["raw"].deviations ** 2, axis=0))
    twins = parts.get("untrained")
    return tuple(
        Rung(
            model,
            number,
            family,
            float(parts["raw"].values[k]),
            float(parts["raw"].values[k] - half[k]),
            float(parts["raw"].values[k] + half[k]),
            float(parts["calibrated"].values[k]),
            float(parts["held_out"].values[k]),
            None if twins is None else float(twins.values[k]),
        )
        for k, (model, number, family) in enumerate(ladder.rows)
    )


def _steps(ladder: Ladder, raw: Combined) -> tuple[Step, ...]:
    found = []
    for k in range(len(ladder.rows) - 1):
        if ladder.rows[k][2] != ladder.rows[k + 1][2]:
            continue
        gap = float(raw.values[k + 1] - raw.values[k])
        half = _quantile(ladder) * float(np.linalg.norm(raw.deviations[:, k + 1] - raw.deviations[:, k]))
        found.append(Step(ladder.rows[k][0], ladder.rows[k + 1][0], gap, gap - half, gap + half))
    return tuple(found)


def _shape(x: Matrix, scores: Combined, codes: Matrix | None) -> str:
    """Whether a line that is level from some rung on fits better than a straight one, by Akaike's criterion (AICc)."""
    count = len(x)
    if codes is not None or len(np.unique(x)) < 6:
        return "not told apart of fewer than six rungs of one family"
    y = scores.values

    def criterion(design: Matrix) -> float:
        rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
        k = design.shape[1] + 1 + (design is not straight)
        rss = max(float(rest @ rest), np.finfo(np.float64).tiny)
        penalty = 2 * k + 2 * k * (k + 1) / max(count - k - 1, 1e-9)
        return count * math.log(rss / count) + float(penalty)

    straight = np.column_stack([np.ones(count), x])
    bends = np.unique(x)[1:-1]
    level = [criterion(np.column_stack([np.ones(count), np.minimum(x, bend)])) for bend in bends]
    gain = criterion(straight) - min(level)
    if gain > 2:
        return f"level from about {bends[int(np.argmin(level))]:.3g} on (AICc lower by {gain:.1f} than a straight line)"
    return "straight" if gain < -2 else "straight or levelling off: not told apart"


def threshold_of(ladder: Ladder, twins: Mapping[str, str], *, draws: int) -> Threshold:
    """The threshold along a ladder.

    Raises:
        InputError: if there are fewer than three rungs, or models were not compared with the references.
    """
    as_count(draws, "draws")
    a = ladder.alignment
    numbers, place = np.unique(ladder.numbers, return_inverse=True)
    if len(numbers) < 3:
        raise InputError(
            f"A threshold needs at least three rungs; {', '.join(ladder.names)} have {len(numbers)} values of "
            f"{ladder.attribute}."
        )
    own = ladder.scores("raw")
    if own is None:
        raise InputError(
            f"Not every model was compared with {quoted(', '.join(ladder.references) or 'another')}; compare all pairs."
        )
    other = ladder.scores("raw", untrained=True) if twins else None
    sign = -1.0 if a.distance else 1.0
    mean = (place == np.arange(len(numbers))[:, None]) / np.bincount(place)[:, None]  # over the models of each rung
    values, moves = mean @ own.values, own.deviations @ mean.T
    if other is not None:
        gap, moved = sign * (values - mean @ other.values), moves - other.deviations @ mean.T
        against = "untrained twins"
    else:
        references = [a.position(r) for r in ladder.references] or list(range(a.n_models))
        level = [
            float(np.mean([a.chances[a.places[m, r]] for r in references if (m, r) in a.places]))
            for m in map(a.position, ladder.names)
        ]
        gap, moved, against = sign * (values - mean @ np.array(level)), moves, "chance"
    found = leaving(gap, moved, degrees=ladder.degrees, alpha=ladder.alpha, draws=draws, seed=ladder.seed)
    more = Further(None)
    if found.rung is None:
        places = np.log2(numbers) if ladder.doubles else numbers
        more = further(places, gap, moved, degrees=ladder.degrees, alpha=ladder.alpha)
    rest = saturation(sign * values, moves, degrees=ladder.degrees, alpha=ladder.alpha, seed=ladder.seed)
    rungs = [[m for m, n, _ in ladder.rows if n == number] for number in numbers]
    names = [
        some[0] if len(some) == 1 else f"{ladder.attribute} {number:g}"
        for some, number in zip(rungs, numbers.tolist(), strict=True)
    ]

    def name(rung: int | None) -> str | None:
        return None if rung is None else names[rung]

    return Threshold(
        metric=a.metric,
        attribute=ladder.attribute,
        references=ladder.references,
        against=against,
        models=tuple(names),
        attributes=tuple(map(float, numbers)),
        differences=tuple(float(v) for v in gap),
        lower=tuple(float(v) for v in found.lower),
        model=name(found.rung),
        low=name(found.low),
        high=name(found.high),
        found=found.found,
        items_needed=None if found.factor is None else math.ceil(a.n * found.factor),
        ends=name(rest.rung),
        ends_support=rest.support,
        alpha=ladder.alpha,
        n=a.n,
        rungs_needed=None if more.steps is None else len(numbers) + more.steps,
        rungs_lacking=more.lacking,
    )
