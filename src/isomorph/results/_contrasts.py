"""One metric in two forms, such as raw and with chance taken off: which of the two tells the truth better."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from .._core.distributions import t_isf
from .._core.registry import parse_spec
from ..nulls.judge import holm
from ._standings import parted

Floats = np.ndarray[Any, np.dtype[np.float64]]
Form = Literal["chance", "bias", "layers"]
FORMS: dict[Form, str] = {
    "chance": "chance taken off, against raw scores",
    "bias": "debiased estimators, against biased ones",
    "layers": "several layers or another one, against the last layer",
}
"""What is held against what: the first is the first metric of a contrast."""
_ABOVE = " above chance"


@dataclasses.dataclass(frozen=True)
class Contrast:
    """Two forms of one metric in one criterion: the difference of their statistics on the same units.

    Attributes:
        criterion: Full spec of the criterion.
        form: ``"chance"``: with and without chance taken off. ``"bias"``: the debiased and the biased estimator.
            ``"layers"``: the maximum over layers, or a layer by depth, and the last layer.
        first: The first metric, as the league names it.
        second: The second.
        difference: Statistic of the first less that of the second; above 0 where the first tells the truth better.
        low: Lower end of the interval of the difference, by leaving out each unit; None in files of versions that kept
            no errors.
        high: Upper end.
        p_value: Two-sided p of no difference.
        adjusted: The same adjusted for all contrasts of that form in the league (Holm).
        better: The metric that is better, or None where the two are not told apart.

    Example:
        >>> # after the example of `League`
        >>> found = league.contrasts()
        >>> [(c.form, c.first, c.difference > 0, c.better) for c in found]
        [('bias', "cka(estimator='unbiased')", True, "cka(estimator='unbiased')")]
    """

    criterion: str
    form: Form
    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    p_value: float
    adjusted: float
    better: str | None


def pairs_of_forms(metrics: Sequence[str], variants: Sequence[str]) -> Iterator[tuple[Form, int, int]]:
    """Which two columns of a league are one metric in two forms: the form, and the numbers of both columns."""
    ways = [parted(name)[1] for name in metrics]
    at = {(variant, way): k for k, (variant, way) in enumerate(zip(variants, ways, strict=True))}
    for k, (variant, way) in enumerate(zip(variants, ways, strict=True)):
        raw, above = way.removesuffix(_ABOVE), _ABOVE if way.endswith(_ABOVE) else ""
        others = {"chance": (variant, raw) if above else None, "layers": (variant, above) if raw else None}
        name, _, told = parse_spec(variant)
        if told.get("estimator") == "unbiased":
            biased = {**told, "estimator": "biased"}
            twin = next((v for v, w in at if w == way and parse_spec(v)[::2] == (name, biased)), None)
            others["bias"] = None if twin is None else (twin, way)
        for form in FORMS:
            other = at.get(others.get(form) or ("", ""))
            if other is not None:
                yield form, k, other


def contrasts(
    criteria: Sequence[str],
    metrics: Sequence[str],
    variants: Sequence[str],
    units: Any,
    tables: tuple[Floats, Floats, Floats | None],
    alpha: float,
) -> list[Contrast]:
    """Every metric that is there in two forms, in every criterion.

    Args:
        criteria: Specs of the criteria.
        metrics: Names of the metrics.
        variants: Full spec of each.
        units: Units of each criterion.
        tables: Differences, their p-values and, where they were kept, their errors (criteria, metrics, metrics).
        alpha: Level of a difference; intervals cover 1 - alpha.
    """
    gaps, p_values, errors = tables
    found = []
    for form in FORMS:
        cells = [
            (c, i, j)
            for own, i, j in pairs_of_forms(metrics, variants)
            for c in range(len(criteria))
            if own == form and not np.isnan(gaps[c, i, j])
        ]
        for (c, i, j), adjusted in zip(cells, holm([p_values[cell] for cell in cells]).tolist(), strict=True):
            gap = float(gaps[c, i, j])
            ends = None if errors is None else t_isf(alpha / 2, int(units[c]) - 1) * errors[c, i, j]
            better = None if adjusted > alpha or gap == 0 else metrics[i if gap > 0 else j]
            found.append(
                Contrast(
                    criteria[c], form, metrics[i], metrics[j], gap,
                    low=None if ends is None else float(gap - ends),
                    high=None if ends is None else float(gap + ends),
                    p_value=float(p_values[c, i, j]), adjusted=adjusted, better=better,
                )
            )  # fmt: skip
    return found


def told(found: Sequence[Contrast], form: Form) -> str:
    """How often the first of a form is better than the second, and how often the second is, in a sentence."""
    first, second = FORMS[form].split(", against ")
    better = sum(c.better == c.first for c in found)
    worse = sum(c.better == c.second for c in found)
    return (
        f"{first}, against {second}: better in {better} of {len(found)} comparisons, worse in {worse}, not told apart "
        f"in {len(found) - better - worse}"
    )
