"""Run metrics over a family whose truth is known, and rank them by how well they tell it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.progress import progress
from .._core.provenance import provenance
from ..errors import InputError, IsomorphError
from ..nulls.judge import counted_p, holm
from ..results import League
from ._family import Family
from ._scores import DEPTHS, LAST, MAXIMUM, Scorer
from ._statistics import Jackknife, ranks
from .criteria import REGISTRY, Criterion, Question
from .families import load_family
from .settings import METRICS, LeagueSettings

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclasses.dataclass(frozen=True, eq=False)
class _Row:
    """One criterion: what each metric scores in it."""

    criterion: Criterion
    question: Question
    values: Floats  # NaN where a metric has no score
    errors: Floats
    intervals: Floats
    p_values: Floats
    differences: Floats
    p_differences: Floats
    difference_errors: Floats
    ranks: Floats
    draws: Floats  # ranks on networks drawn anew (draws, metrics)
    undefined: dict[str, str]


def league(
    family: Family | str,
    metrics: Any = METRICS,
    *,
    criteria: Any = None,
    above_chance: bool = False,
    layers: str = "last",
    permutations: int = 999,
    draws: int = 2000,
    seed: int = 0,
    alpha: float = 0.05,
) -> League:
    """Which metric tells what? Rank metrics by how well they tell what is known of a family of networks.

    Each criterion is a truth (which networks were trained alike, which give the same answers, which layers correspond,
    which can stand in for each other, what was planted) and a statistic of a metric's scores. Errors and differences
    are by leaving out each network, since pairs of networks share networks; p-values are by permuting the truth among
    networks; several metrics are adjusted by Holm's method, all p-values of the league by Benjamini and Hochberg's.

    Args:
        family: A `Family`, or the spec of a registered one such as ``"digits(seeds=5)"``, which is trained once.
        metrics: Specs of metrics, or metrics.
        criteria: Specs of criteria; None takes all that the family can answer.
        above_chance: Also rank every metric with chance taken off its scores, as a share of the way to the best one.
        layers: By which layers two networks are compared: ``"last"``; ``"max"``: also by the largest score of any of
            their pairs of layers; ``"all"``: also by layers of equal relative depth.
        permutations: Random orders of the truth among networks.
        draws: Draws of networks anew, for intervals of ranks.
        seed: Seed of all that is drawn.
        alpha: Level of differences; intervals cover 1 - alpha.

    Returns:
        A `League`: for every criterion and metric the statistic with interval, chance, p and q, the rank with its
        interval, and the metrics that are not told apart from the best one; the mean rank over criteria; `guide()`.

    Raises:
        InputError: if no criterion fits the family, no metric has a score, or a number is out of range.
        UnknownNameError: if there is no such metric, criterion or family.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> from isomorph.leagues import Family, Network
        >>> rng = np.random.default_rng(0)
        >>> kinds = {kind: rng.normal(size=(40, 6)) for kind in ("clean", "noisy", "random")}
        >>> seen = {f"{kind} {k}": kinds[kind] + 0.5 * rng.normal(size=(40, 6)) for kind in kinds for k in range(4)}
        >>> networks = [
        ...     Network(name, {"last": x}, attributes={"label_noise": name.split()[0]}) for name, x in seen.items()]
        >>> found = iso.league(Family("toys", networks), ["cka", "cca"], criteria=["label_noise", "width(trials=4)"])
        >>> round(found["label_noise"]["cka"].value, 2), found["label_noise"].best
        (1.0, ('cca', "cka(estimator='unbiased')"))
    """
    settings = LeagueSettings(
        metrics=metrics, criteria=criteria, above_chance=above_chance, layers=layers, permutations=permutations,
        draws=draws, seed=seed, alpha=alpha,
    )  # fmt: skip
    asked = None if settings.criteria is None else [criterion.name for criterion in settings.criteria]
    made = load_family(family, asked) if isinstance(family, str) else family
    if not isinstance(made, Family):
        raise InputError(
            "family must be an isomorph.leagues.Family or the spec of one, such as 'digits', found "
            f"{type(made).__name__}."
        )
    scorers = _scorers(settings)
    questions, left = _questions(settings, made)
    rows = []
    with progress(len(questions) * len(scorers), "league", unit="scores") as advance:
        for criterion, question in questions:
            rows.append(_row(criterion, question, scorers, settings, advance))
    return _result(settings, made, scorers, rows, left)


def _scorers(settings: LeagueSettings) -> list[Scorer]:
    """Every metric in every form that takes part; the forms of one metric share what they scored."""
    forms: tuple[str | float, ...] = {LAST: (LAST,), MAXIMUM: (LAST, MAXIMUM)}.get(
        settings.layers, (LAST, MAXIMUM, *DEPTHS)
    )
    found = []
    for metric in settings.metrics:
        for chance in (False, True)[: 1 + settings.above_chance]:
            seen: dict[Any, Any] = {}
            found += [Scorer(metric, chance, settings.seed, form, len(forms) > 1, seen) for form in forms]
    return found


def _questions(settings: LeagueSettings, family: Family) -> tuple[list[tuple[Criterion, Question]], dict[str, str]]:
    """The questions that the family can answer, and why it cannot answer others.

    Raises:
        InputError: if a criterion that was asked for does not fit, or none does.
    """
    asked = settings.criteria
    found, left = [], {}
    for criterion in asked or [cls() for cls in REGISTRY.classes.values()]:
        try:
            found.append((criterion, criterion.ask(family, settings.seed)))
        except InputError as error:
            if asked:
                raise InputError(f"{criterion.name} does not fit the family {family.name!r}: {error}") from error
            left[criterion.name] = str(error)
    if not found:
        raise InputError(f"No criterion fits the family {family.name!r}; the first: {next(iter(left.values()))}")
    return found, left


def _row(
    criterion: Criterion, question: Question, scorers: Sequence[Scorer], settings: LeagueSettings, advance: Any
) -> _Row:
    everyone = np.arange(len(question.units))
    scores: list[Any] = []
    undefined: dict[str, str] = {}
    for scorer in scorers:
        if scorer.layers != LAST and not question.of_networks:
            scores.append(None)  # nothing to say: the criterion chooses its spaces itself
            advance(1)
            continue
        try:
            scores.append(question.scores(scorer))
        except IsomorphError as error:
            scores.append(None)
            undefined[scorer.name] = str(error)
        advance(1)
    there = [k for k, found in enumerate(scores) if found is not None]
    if not there:
        raise InputError(f"{criterion.name}: no metric has a score; the first: {next(iter(undefined.values()))}")
    values = np.array([question.value(scores[k], everyone) for k in there])
    without = np.array([[question.value(scores[k], np.delete(everyone, u)) for k in there] for u in everyone])
    known = Jackknife.of(values, without)
    gap, p_gap, gap_errors = known.differences()
    drawn = ranks(known.draws(settings.draws, np.random.default_rng(settings.seed)))
    return _Row(
        criterion,
        question,
        values=_spread(values, there, len(scores)),
        errors=_spread(known.errors, there, len(scores)),
        intervals=_spread(known.interval(settings.alpha), there, len(scores)),
        p_values=_spread(_p_values(question, [scores[k] for k in there], values, settings), there, len(scores)),
        differences=_square(gap, there, len(scores)),
        p_differences=_square(p_gap, there, len(scores)),
        difference_errors=_square(gap_errors, there, len(scores)),
        ranks=_spread(ranks(values), there, len(scores)),
        draws=_spread(drawn.T, there, len(scores)).T,
        undefined=undefined,
    )


def _p_values(question: Question, scores: Sequence[Any], values: Floats, settings: LeagueSettings) -> Floats:
    """One-sided p of each metric telling no more than chance."""
    null = np.empty((settings.permutations, len(scores)))
    for k, found in enumerate(scores):
        rng = np.random.default_rng(settings.seed)  # every metric meets the same orders
        null[:, k] = [question.permuted(found, rng) for _ in range(settings.permutations)]
    return np.asarray(counted_p(values, null))


def _spread(values: Floats, there: Sequence[int], count: int) -> Floats:
    """Values of all metrics, NaN for those that have none; metrics come first."""
    out = np.full((count, *values.shape[1:]), np.nan)
    out[list(there)] = values
    return out


def _square(values: Floats, there: Sequence[int], count: int) -> Floats:
    out = np.full((count, count), np.nan)
    out[np.ix_(there, there)] = values
    return out


def _best(row: _Row, alpha: float) -> Any:
    """Which metrics are not told apart from the best one, after Holm's adjustment for all that it is held against."""
    there = np.flatnonzero(~np.isnan(row.values))
    top = there[np.argmax(row.values[there])]
    others = there[there != top]
    alike = np.zeros(len(row.values), dtype=bool)
    alike[top] = True
    if len(others):
        alike[others] = holm(row.p_differences[top, others]) > alpha
    return alike


def _result(
    settings: LeagueSettings, family: Family, scorers: Sequence[Scorer], rows: Sequence[_Row], left: dict[str, str]
) -> League:
    from ..significance import benjamini_hochberg

    stack = {name: np.stack([getattr(row, name) for row in rows]) for name in (
        "values", "errors", "intervals", "p_values", "differences", "p_differences", "difference_errors", "ranks",
    )}  # fmt: skip
    q_values = np.full_like(stack["p_values"], np.nan)
    there = ~np.isnan(stack["p_values"])
    q_values[there] = benjamini_hochberg(stack["p_values"][there])
    drawn = np.stack([row.draws for row in rows])  # (criteria, draws, metrics)
    ends = [settings.alpha / 2, 1 - settings.alpha / 2]
    complete = there.all(axis=0)  # a mean over other criteria than those of the rest would not be comparable
    mean = np.where(complete, stack["ranks"].mean(axis=0), np.nan)
    mean_drawn = drawn.mean(axis=0)
    return League(
        family=family.name,
        metrics=tuple(scorer.name for scorer in scorers),
        variants=tuple(scorer.metric.variant for scorer in scorers),
        spellings=tuple(scorer.metric.spellings for scorer in scorers),
        criteria=tuple(row.criterion.spec for row in rows),
        kinds=tuple(row.criterion.kind for row in rows),
        purposes=tuple(row.criterion.purpose for row in rows),
        references=tuple(row.criterion.reference for row in rows),
        chance=np.array([row.question.chance for row in rows]),
        units=np.array([len(row.question.units) for row in rows]),
        items=np.array([row.question.items for row in rows]),
        values=stack["values"],
        errors=stack["errors"],
        intervals=stack["intervals"],
        p_values=stack["p_values"],
        q_values=q_values,
        ranks=stack["ranks"],
        rank_intervals=np.moveaxis(np.quantile(drawn, ends, axis=1), 0, -1),
        mean_ranks=mean,
        mean_rank_intervals=np.moveaxis(np.quantile(mean_drawn, ends, axis=0), 0, -1),
        differences=stack["differences"],
        p_differences=stack["p_differences"],
        difference_errors=stack["difference_errors"],
        best=np.stack([_best(row, settings.alpha) for row in rows]),
        undefined={row.criterion.spec: row.undefined for row in rows if row.undefined},
        unanswered=left,
        permutations=settings.permutations,
        seed=settings.seed,
        alpha=settings.alpha,
        provenance=provenance(call="league", made_of=dict(family.provenance), key=family.key, **_facts(settings)),
    )


def _facts(settings: LeagueSettings) -> dict[str, Any]:
    """The settings as plain data."""
    told = settings.criteria
    named = {"criteria": None if told is None else [criterion.spec for criterion in told]}
    return {**{k: v for k, v in settings.facts().items() if k != "criteria"}, **named}
