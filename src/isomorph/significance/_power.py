"""How small an alignment n items can show, and how a score moves with the number of items."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .._core.arrays import as_pair, detached, take_rows, to_numpy
from .._core.checks import as_count, as_seed
from .._core.progress import Advance, one_by_one, progress
from ..design import Design, Labels, coded
from ..errors import InputError, quoted
from ..metrics import Metric
from ..metrics import metric as make_metric
from ._judge import chance_level, judge_block, orders_for
from .settings import PowerSettings

Floats = np.ndarray[Any, Any]
_STEPS = 7  # of the bisection: the strength is found to 1/128


@dataclasses.dataclass(frozen=True)
class Power:
    """The smallest planted signal that n items show with the wanted probability.

    Attributes:
        metric: Spec of the metric.
        n: Number of items.
        d1: Features of one side.
        d2: Features of the other side.
        rank: Dimensions that both sides share.
        alpha: Level of the test, for all `pairs` together.
        pairs: Layer pairs that are searched; each is held to alpha / pairs.
        target: Wanted probability of passing.
        strength: Smallest share of the variance of either side that the shared dimensions must carry.
        score: Mean score at that strength: the smallest alignment that n items show.
        chance: Mean score without any signal.
        curve: (strength, mean score, share of trials that passed), by strength.

    Example:
        >>> found = power("cka", 50, 16, 16, trials=20)
        >>> found.target, round(found.score, 2)
        (0.8, 0.07)
    """

    metric: str
    n: int
    d1: int
    d2: int
    rank: int
    alpha: float
    pairs: int
    target: float
    strength: float
    score: float
    chance: float
    curve: tuple[tuple[float, float, float], ...]


@dataclasses.dataclass(frozen=True)
class GalleryPoint:
    """A score at one number of items.

    Attributes:
        n: Number of items.
        value: Mean score over random subsets of that size.
        spread: Standard deviation over the subsets.
        chance: Expected score under random re-pairing at that size.
        above_chance: (value - chance) / (best - chance), best being the end of the metric's range.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> point = gallery_curve("mutual_knn(k=5)", x, x + noise, sizes=[20])[0]
        >>> point.n, round(point.value, 2), round(point.chance, 2), round(point.above_chance, 2)
        (20, 0.51, 0.26, 0.34)
    """

    n: int
    value: float
    spread: float
    chance: float
    above_chance: float


def power(
    metric: Metric[Any] | str,
    n: int,
    d1: int,
    d2: int,
    *,
    rank: int = 8,
    alpha: float = 0.05,
    target: float = 0.8,
    pairs: int = 1,
    trials: int = 60,
    seed: int = 0,
    advance: Advance | None = None,
) -> Power:
    """The smallest alignment that n items can show.

    Gaussian features share `rank` dimensions that carry a share s of each side's variance; the smallest s at which a
    share `target` of the trials passes is found by bisection, with the same random numbers at every s. Each trial takes
    the metric's exact p where there is one, else one from just as many permutations as the level needs (at least 99).

    Args:
        metric: The metric, or its spec.
        n: Number of items.
        d1: Features of one side.
        d2: Features of the other side.
        rank: Shared dimensions.
        alpha: Level.
        target: Wanted probability of passing, between 0 and 1.
        pairs: Layer pairs that will be searched; each is tested at alpha / pairs, which is what a maximum over unlike
            layers costs (alike layers cost less).
        trials: Simulated data sets at each strength.
        seed: Seed.
        advance: Called with 1 after each of the 9 strengths, in place of a bar.

    Raises:
        InputError: if numbers are out of range, or even a full signal is shown too seldom by n items.

    Example:
        >>> import isomorph as iso
        >>> found = iso.power("cka", n=50, d1=16, d2=16, trials=20)
        >>> round(found.strength, 2), round(found.score, 2), round(found.chance, 2)
        (0.2, 0.07, 0.01)
    """
    settings = PowerSettings(rank, alpha, target, pairs, trials, seed)
    metric = make_metric(metric)
    _check_size(metric, n, d1, d2, rank)
    curve: dict[float, tuple[float, float]] = {}
    with progress(_STEPS + 2, f"power of {metric}", unit="strengths", show=one_by_one(advance)) as told:

        def passes(strength: float) -> float:
            curve[strength] = _trial_mean(metric, (n, d1, d2), strength, settings)
            told(1)
            return curve[strength][1]

        passes(0.0)
        low, high = 0.0, 1.0
        if passes(high) < target:
            raise InputError(
                f"power: with {n} items {metric} shows even representations that are fully shared in "
                f"{curve[1.0][1]:.0%} of the trials only, less than {target:.0%}. More items are needed, or fewer "
                "layer pairs to search."
            )
        for _ in range(_STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if passes(middle) >= target else (middle, high)
    table = tuple((s, *curve[s]) for s in sorted(curve))
    return Power(metric.spec, n, d1, d2, rank, alpha, pairs, target, high, curve[high][0], curve[0.0][0], table)


def gallery_curve(
    metric: Metric[Any] | str,
    x: Any,
    y: Any,
    sizes: Sequence[int] | None = None,
    *,
    repeats: int = 5,
    seed: int = 0,
    groups: Labels | None = None,
    strata: Labels | None = None,
    circular: bool = False,
    within: bool = True,
    advance: Advance | None = None,
) -> list[GalleryPoint]:
    """A score against the number of items (the gallery), on random subsets without replacement.

    Neighbour scores between modalities fall as items are added while scores within a modality stay: a single score
    says little without its n.

    Args:
        metric: The metric, or its spec.
        x: Features (n, d1).
        y: Features (n, d2) of the same items.
        sizes: Numbers of items; by default halvings of n down to the fewest that the metric takes, or 32, as far as the
            design lets something move.
        repeats: Subsets of each size (the whole is taken once).
        seed: Seed of the subsets.
        groups: One group an item; subsets then hold whole groups, so that their sizes can be a little smaller.
        strata: One label an item; chance is then that of items permuted inside their label.
        circular: Items are one time series (with `groups`, one a group); subsets are then pieces of it.
        within: Whether items inside a group are shuffled as well.
        advance: Called with 1 after each size, in place of a bar.

    Raises:
        InputError: if the sides do not fit each other, or a size is too small or larger than n.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> curve = iso.gallery_curve("mutual_knn(k=5)", x, x + noise, sizes=[20, 40, 60])
        >>> [(p.n, round(p.value, 2), round(p.chance, 2)) for p in curve]  # chance is high among few items
        [(20, 0.51, 0.26), (40, 0.39, 0.13), (60, 0.35, 0.08)]
    """
    design = Design(groups, strata, circular, within)
    return gallery_points(metric, x, y, design, sizes, repeats=repeats, seed=seed, advance=advance)


def gallery_points(
    metric: Metric[Any] | str,
    x: Any,
    y: Any,
    design: Design,
    sizes: Sequence[int] | None = None,
    *,
    repeats: int = 5,
    seed: int = 0,
    advance: Advance | None = None,
) -> list[GalleryPoint]:
    """`gallery_curve` under a design.

    Raises:
        InputError: as `gallery_curve`.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> points = gallery_points("mutual_knn(k=5)", x, x + noise, Design(groups=np.arange(60) // 2), sizes=[20, 40])
        >>> [(p.n, round(p.value, 2)) for p in points]  # pairs of items stay together
        [(20, 0.51), (40, 0.38)]
    """
    metric = make_metric(metric)
    x, y = map(detached, as_pair(x, y, min_items=metric.min_items, rdms=metric.reads_rdms))
    n = int(x.shape[0])
    seed, repeats = as_seed(seed), as_count(repeats, "repeats")
    design.orders(n, 0, seed)
    subsets = gallery_subsets(metric, n, sizes, design, repeats=repeats, seed=seed)
    points = []
    with progress(len(subsets), f"gallery of {metric}", unit="sizes", show=one_by_one(advance)) as told:
        for drawn in subsets:
            points.append(_gallery_point(metric, x, y, drawn, design, seed))
            told(1)
    return points


def _gallery_point(
    metric: Metric[Any], x: Any, y: Any, drawn: Sequence[np.ndarray[Any, Any]], design: Design, seed: int
) -> GalleryPoint:
    """Score and chance of the subsets of one size.

    Raises:
        InputError: if a subset has no score.
    """
    n = int(x.shape[0])
    values, chances = [], []
    for rows in drawn:
        try:
            xs, ys = [metric.prepare(take_rows(x, rows))], [metric.prepare(take_rows(y, rows))]
            values.append(float(to_numpy(metric.compare(xs, ys))[0, 0]))
            chances.append(chance_level(metric, xs, ys, len(rows), design.take(rows), seed))
        except InputError as error:
            if len(rows) == n:
                raise
            raise InputError(
                f"gallery_curve: a subset of {len(rows)} of the {n} items has no score; use larger sizes. ({error})"
            ) from error
    value, chance = float(np.mean(values)), float(np.mean(chances))
    best = metric.range[0] if metric.distance else metric.range[1]
    above = (value - chance) / (best - chance) if np.isfinite(best) else value - chance
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return GalleryPoint(round(float(np.mean([len(rows) for rows in drawn]))), value, spread, chance, above)


def gallery_subsets(
    metric: Metric[Any], n: int, sizes: Sequence[int] | None, design: Design, *, repeats: int = 5, seed: int = 0
) -> list[list[np.ndarray[Any, Any]]]:
    """The subsets that a gallery curve is made of, those of one size together.

    Args:
        metric: The metric.
        n: Number of items.
        sizes: Numbers of items, or None, see `gallery_curve`.
        design: How items may be permuted.
        repeats: Subsets of each size.
        seed: Seed of the subsets.

    Raises:
        InputError: if a size is too small, larger than n, or leaves too few items that can change places.

    Example:
        >>> subsets = gallery_subsets(iso.metric("cka"), 60, [20, 40], Design(), repeats=2)
        >>> [[len(rows) for rows in same] for same in subsets]
        [[20, 20], [40, 40]]
    """
    least = max(metric.min_items, 32)
    wanted = sorted({n >> k for k in range(12) if n >> k >= least} | {n}) if sizes is None else _sizes(sizes)
    if not wanted or wanted[0] < metric.min_items or wanted[-1] > n:
        raise InputError(f"gallery_curve: sizes must lie between {metric.min_items} and {n}, found {list(wanted)}.")
    rng = np.random.default_rng(seed)
    chosen = []
    for size in wanted:
        drawn = [_subset(n, size, design, rng) for _ in range(1 if size == n else repeats)]
        if all(_usable(rows, design, metric) for rows in drawn):
            chosen.append(drawn)
        elif sizes is not None or size == n:
            raise InputError(
                f"gallery_curve: of {size} items, {design}, some subsets have too few that can change places (or fewer "
                f"than the {metric.min_items} that {metric.spec} needs). Use larger sizes."
            )
    return chosen


def _sizes(sizes: Any) -> list[int]:
    if isinstance(sizes, str) or not isinstance(sizes, Iterable):
        raise InputError(f"gallery_curve: sizes={quoted(sizes)} must be a list of numbers of items, or None.")
    return sorted({as_count(v, f"gallery_curve: sizes[{i}]") for i, v in enumerate(sizes)})


def _subset(n: int, size: int, design: Design, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Rows of a random subset: single items, whole groups, or a piece of a series."""
    if size == n:
        return np.arange(n)
    if design.series:
        return int(rng.integers(n - size + 1)) + np.arange(size)
    if design.groups is None:
        return np.sort(rng.permutation(n)[:size])
    code = coded(design.groups, n, "groups")
    order = rng.permutation(int(code.max()) + 1)
    reached = np.cumsum(np.bincount(code)[order])
    return np.flatnonzero(np.isin(code, order[: max(1, int(np.sum(reached <= size)))]))


def _usable(rows: np.ndarray[Any, Any], design: Design, metric: Metric[Any]) -> bool:
    """Whether the metric takes so few items, and the design lets some of them move."""
    if len(rows) < metric.min_items:
        return False
    try:
        design.take(rows).orders(len(rows), 0, 0)
    except InputError:
        return False
    return True


def planted(n: int, d1: int, d2: int, rank: int, strength: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Two Gaussian representations whose `rank` shared dimensions carry a share `strength` of each side's variance.

    Args:
        n: Number of items.
        d1: Features of one side.
        d2: Features of the other side.
        rank: Shared dimensions.
        strength: Share of the variance, in [0, 1].
        rng: Random numbers; the same stream gives the same noise and the same signal at every strength.

    Example:
        >>> x, y = planted(200, 16, 16, rank=4, strength=0.5, rng=np.random.default_rng(0))
        >>> x.shape, round(iso.metric("cka")(x, y), 2)
        ((200, 16), 0.33)
    """
    z = rng.standard_normal((n, rank))
    sides = []
    for d in (d1, d2):
        mixing, noise = rng.standard_normal((rank, d)), rng.standard_normal((n, d))
        sides.append(np.sqrt(strength / rank) * (z @ mixing) + np.sqrt(1 - strength) * noise)
    return sides[0], sides[1]


def _trial_mean(
    metric: Metric[Any], shape: tuple[int, int, int], strength: float, settings: PowerSettings
) -> tuple[float, float]:
    alpha, n = settings.level, shape[0]
    count = max(99, int(np.ceil(1 / alpha)) - 1)
    scores, passed = [], 0
    for trial in range(settings.trials):
        x, y = planted(*shape, settings.rank, strength, np.random.default_rng([settings.seed, trial]))
        xs, ys = [metric.prepare(x)], [metric.prepare(y)]
        value = np.asarray(to_numpy(metric.compare(xs, ys)), dtype=np.float64)
        orders = orders_for(Design(), n, count, trial)
        found = judge_block(metric, xs, ys, value, orders, Design(), alpha=alpha, confirm=False)
        scores.append(float(value[0, 0]))
        passed += float(found.p_value[0, 0]) <= alpha
    return float(np.mean(scores)), passed / settings.trials


def _check_size(metric: Metric[Any], n: int, d1: int, d2: int, rank: int) -> None:
    for name, value in (("d1", d1), ("d2", d2)):
        as_count(value, f"power: {name}")
    if as_count(n, "power: n") < metric.min_items:
        raise InputError(f"power: {metric} needs at least {metric.min_items} items, found n={n}.")
    if rank > min(d1, d2):
        raise InputError(
            f"power: rank={rank} dimensions cannot be shared by sides of d1={d1} and d2={d2} features; use at most "
            f"{min(d1, d2)}."
        )
