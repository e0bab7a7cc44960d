"""The chance level and the p of a block of scores, all pairs of layers at once, and of the best of them.

Which p a score gets, and from what, is decided in `isomorph.nulls.judge`; here the re-pairings are made that it asks
for, and what follows from them for the block: the p of the maximum, adjusted p-values, calibrated scores.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.arrays import to_numpy
from .._core.memory import require
from .._core.progress import Advance, duration, notice
from ..design import Design
from ..errors import InputError
from ..metrics import Metric
from ..nulls import Null, Sample, judge
from ..nulls.judge import FEW, every_order
from ._decisions import calibrate, maximum_p, step_down_p
from ._sampling import Orders, sampled_null, seconds_per_permutation, sequential

Floats = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Judged:
    """Chance levels and p-values of a block of scores; arrays have its shape.

    Attributes:
        chance: Expected scores under random re-pairing.
        p_value: p of each score alone.
        source: Where chance level and p come from.
        p_maximum: p of the best score of all.
        maximum_from: Where that comes from.
        p_family: p of each score adjusted for all, or None.
        calibrated: Calibrated scores, or None where nothing was sampled to the end.
        threshold: Their thresholds.
        permutations: Re-pairings that were made.
        null: The scores under each of them, shape (permutations, …), or None.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> metric = iso.metric("mutual_knn(k=5)")
        >>> xs, ys = [metric.prepare(x)], [metric.prepare(x + noise)]
        >>> orders = orders_for(Design(), 60, 99, seed=0)
        >>> found = judge_block(metric, xs, ys, metric.compare(xs, ys), orders, Design())
        >>> found.permutations, round(found.chance.item(), 3), found.maximum_from
        (99, 0.085, 'maximum over all layer pairs in 99 shared permutations')
    """

    chance: Floats
    p_value: Floats
    source: str
    p_maximum: float
    maximum_from: str
    p_family: Floats | None = None
    calibrated: Floats | None = None
    threshold: Floats | None = None
    permutations: int = 0
    null: Floats | None = None

    def best_permuted(self, alpha: float, *, distance: bool) -> tuple[float, float, Floats] | None:
        """The best of all scores under a re-pairing: its mean, what a share `alpha` reaches, and 41 quantiles."""
        if self.null is None:
            return None
        sign = -1.0 if distance else 1.0
        bests = (sign * self.null).reshape(len(self.null), -1).max(axis=1)
        reached = sign * float(np.quantile(bests, 1 - alpha, method="higher"))
        return sign * float(bests.mean()), reached, np.quantile(sign * bests, np.linspace(0, 1, 41))


def orders_for(design: Design, n: int, count: int, seed: int) -> Orders:
    """The re-pairings that a block of scores is held against: all others where these are few, else sampled ones.

    Raises:
        InputError: as `permutations`.

    Example:
        >>> orders_for(Design(), 3, 99, seed=0).tolist()  # of three items there are no more
        [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
        >>> orders_for(Design(), 60, 99, seed=0).shape
        (99, 60)
    """
    return every_order(n)[1:] if design.free and n <= FEW else design.drawn(n, count, seed)


def judge_block(
    metric: Metric[Any],
    xs: Sequence[Any],
    ys: Sequence[Any],
    values: Floats,
    orders: Orders,
    design: Design,
    *,
    alpha: float = 0.05,
    budget: float | None = None,
    confirm: bool = True,
    null: Floats | None = None,
    advance: Advance | None = None,
) -> Judged:
    """Chance levels and p-values of the scores of prepared layers.

    Args:
        metric: The metric.
        xs: Prepared layers of one side.
        ys: Prepared layers of the other side, which are permuted.
        values: Scores of all pairs, shape (len(xs), len(ys)).
        orders: Re-pairings, see `orders_for`; none leaves exact nulls and bounds alone.
        design: How items may be permuted; exact nulls hold where they are free.
        alpha: Level of thresholds.
        budget: Seconds that the re-pairings may take; a metric that would take longer is sampled sequentially.
        confirm: Whether an exact p whose tail is known is held against re-pairings too, which may overrule it.
        null: The scores under all `orders`, as `sampled_null` gives them, where they are known already.
        advance: Called with the number of re-pairings done.

    Raises:
        InputError: if the metric has no exact null for these items and there are no re-pairings, or a score is not
            finite.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> metric = iso.metric("mutual_knn(k=5)")
        >>> xs, ys = [metric.prepare(x)], [metric.prepare(x + noise)]
        >>> orders = orders_for(Design(), 60, 99, seed=0)
        >>> found = judge_block(metric, xs, ys, metric.compare(xs, ys), orders, Design())
        >>> found.p_value.item() < 0.001, round(found.p_maximum, 3)
        (True, 0.01)
    """
    n, distance = int(orders.shape[1]), metric.distance
    complete = design.free and n <= FEW and len(orders) > 0
    exact = metric.null_moments(xs, ys) if design.free else None
    known = exact is not None and exact.std is not None and not distance
    told = known and exact is not None and bool(np.all(exact.tail_known))
    if len(orders) == 0 or (told and not confirm and not complete):
        return _from_moments(metric, values, exact if known else None)
    if not complete and budget is not None and _too_long(metric, xs, ys, orders, budget):
        return _sequentially(metric, xs, ys, values, exact, orders, alpha=alpha, budget=budget, advance=advance)
    count = len(orders)
    require(
        4 * 8 * count * values.size,  # the null, and what decides over it
        f"Keeping the scores of {count:,} permutations for {values.size:,} pairs of layers",
        "Ask for fewer permutations=, or fewer layers.",
    )
    if null is None:
        null = sampled_null(metric, xs, ys, orders, advance=advance)
    found = judge(values, exact, Sample.counted(values, null, distance=distance, complete=complete), distance=distance)
    best = metric.range[0] if distance else metric.range[1]
    scaled = calibrate(values, null, alpha=alpha, s_max=best, distance=distance, any_count=True)
    return Judged(
        chance=found.chance,
        p_value=found.p_value,
        source=found.source,
        p_maximum=float(maximum_p(values, null, distance=distance)),
        maximum_from=f"maximum over all layer pairs in {_these(count, complete)}",
        p_family=np.asarray(step_down_p(values, null, studentized=False, distance=distance)),
        calibrated=scaled.calibrated,
        threshold=scaled.threshold,
        permutations=count,
        null=null,
    )


def chance_level(metric: Metric[Any], xs: Sequence[Any], ys: Sequence[Any], n: int, design: Design, seed: int) -> float:
    """The expected score of one prepared pair: exact where known, else over all other pairings or 30 sampled ones.

    Raises:
        InputError: as `permutations`.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> metric = iso.metric("mutual_knn(k=5)")
        >>> xs, ys = [metric.prepare(x)], [metric.prepare(x + noise)]
        >>> round(chance_level(metric, xs, ys, 60, Design(), seed=0), 4)  # k / (n - 1)
        0.0847
    """
    exact = metric.null_mean(xs, ys) if design.free else None
    if exact is not None:
        return _first(exact)
    count = min(30, n - 1) if design.series else 30
    return float(sampled_null(metric, xs, ys, design.orders(n, count, seed)).mean())


def _from_moments(metric: Metric[Any], values: Floats, exact: Null | None) -> Judged:
    if exact is None:
        raise InputError(
            f"{metric.spec} has no exact null for these items, so its chance level must be sampled: "
            "call with permutations=200 or more."
        )
    found = judge(values, exact)
    p = found.p_value
    return Judged(
        chance=found.chance,
        p_value=p,
        source=found.source,
        p_maximum=float(min(1.0, p.size * p.min())),
        maximum_from=f"Bonferroni bound over {p.size} layer pairs",
        p_family=np.minimum(1.0, p.size * p),
    )


def _sequentially(
    metric: Metric[Any],
    xs: Sequence[Any],
    ys: Sequence[Any],
    values: Floats,
    exact: Null | None,
    orders: Orders,
    *,
    alpha: float,
    budget: float,
    advance: Advance | None,
) -> Judged:
    least = math.ceil(1 / alpha - 1e-9) - 1  # fewer could not give a p of alpha: all would look like chance
    drawn = sequential(metric, xs, ys, values, orders, least=least, budget=budget, advance=advance)
    assert drawn.p_maximum is not None  # asked for by default
    few = orders[: min(19, len(orders))]
    mean = sampled_null(metric, xs, ys, few).mean(axis=0) if exact is None else exact.mean
    source = f"up to {drawn.sampled} permutations, sequentially"
    sample = Sample(np.asarray(mean), drawn.p_value, drawn.reached, np.maximum(drawn.used, 1), source)
    found = judge(values, exact, sample, distance=metric.distance)
    known = exact is not None and exact.std is not None and not metric.distance
    return Judged(
        chance=found.chance,
        p_value=found.p_value,
        source=found.source,
        p_maximum=drawn.p_maximum,
        maximum_from=f"maximum over all layer pairs in {drawn.used_maximum} shared permutations, sequentially",
        p_family=np.minimum(1.0, found.p_value.size * found.p_value) if known else None,
        permutations=drawn.sampled,
    )


def _too_long(metric: Metric[Any], xs: Sequence[Any], ys: Sequence[Any], orders: Orders, budget: float) -> bool:
    seconds = seconds_per_permutation(metric, xs, ys, orders) * len(orders)
    if seconds <= budget:
        return False
    notice(
        f"{metric.spec}: {len(orders)} permutations would take about {duration(seconds)}, over the budget of "
        f"{duration(budget)}; each score is sampled only until it is settled."
    )
    return True


def _these(count: int, complete: bool) -> str:
    return f"all {count + 1} pairings of the items" if complete else f"{count} shared permutations"


def _first(value: Any) -> float:
    return float(np.asarray(to_numpy(value)).reshape(-1)[0])
