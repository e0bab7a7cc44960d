"""How far a score would move with other items, or with other models, and whether two scores differ.

These are different questions. Intervals over *items* say how well this pair of models is measured; intervals over
*models* say what to expect of another model of the kind. Items are never drawn with replacement: a copy is its own
nearest neighbour, and noise then scores ten times chance on neighbour metrics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy
from array_api_compat import array_namespace

from .._core.arrays import Array, as_features, as_pair, take_rows, to_numpy
from .._core.checks import as_count, as_seed, is_share
from .._core.distributions import t_ppf, t_sf
from .._core.progress import Advance, one_by_one, progress
from .._core.rdm import Rdm
from ..design import Labels, coded
from ..errors import InputError, quoted
from ..metrics import Metric
from ..metrics import metric as make_metric
from ..nulls import Influence

Floats = np.ndarray[Any, Any]

_STRETCH = 3  # how much further than the plain bound one on the logit may lie
_ULPS = 16  # to which scores of features of one precision agree
_AT_END = 1e-12  # the share of the range within which rounding takes a score off its end
_HALF = 0.5  # the share of the items at which subsets come in pairs


@dataclasses.dataclass(frozen=True, eq=False)
class Interval:
    """Confidence intervals, of the shape of the scores.

    Attributes:
        values: The scores.
        low: Lower bounds.
        high: Upper bounds.
        standard_error: Standard errors.
        level: Nominal coverage.
        over: The sampling unit: ``"items"``, ``"queries"`` or ``"models"``.
        method: How it was made.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = subsample_interval(iso.metric("cka"), [x], [x + noise], repeats=40)
        >>> found.low.shape, found.level, found.over, found.method
        ((1, 1), 0.95, 'items', '20 cuts of the items into halves')
    """

    values: Floats
    low: Floats
    high: Floats
    standard_error: Floats
    level: float
    over: str
    method: str


@dataclasses.dataclass(frozen=True)
class Difference:
    """One score against another on the same items.

    Attributes:
        value: First minus second score.
        standard_error: Standard error of the difference.
        low: Lower confidence bound.
        high: Upper confidence bound.
        p_value: Two-sided p of no difference.
        level: Nominal coverage.
        method: How it was made.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = difference("cka", (x, x + 0.5 * noise), (x, x + 2 * noise))
        >>> round(found.value, 2), round(found.standard_error, 2), found.method
        (0.61, 0.03, 'infinitesimal jackknife of the difference')
    """

    value: float
    standard_error: float
    low: float
    high: float
    p_value: float
    level: float
    method: str


def interval(
    metric: Metric[Any], xs: Sequence[Any], ys: Sequence[Any], *, alpha: float = 0.05, groups: Labels | None = None
) -> Interval | None:
    """Confidence intervals of all layer pairs over items, from how much each item moves each score.

    Infinitesimal jackknife with its second-order bias taken out, quantiles of Student's t whose degrees of freedom
    follow from the kurtosis of the influences, on the logit of the score's range. CKA, distance correlation but for
    its root, mutual and Jaccard k-nearest neighbours, RSA whose dissimilarities and comparison leave other pairs
    alone, and `procrustes` of three items a feature or more have them. Costs a few times the scores of CKA, about as
    much as the exact null for neighbour overlap, some sums over all pairs of items and their ranks for RSA, and fifty
    products of a layer for `procrustes`. Few items (twenty, say) and items that are far out make them too narrow:
    docs/calibration.md has the shares of intervals that hold the truth.

    Args:
        metric: The metric.
        xs: Prepared layers of one side.
        ys: Prepared layers of the other side.
        alpha: The interval covers 1 - alpha.
        groups: One group an item, where whole groups were sampled (captions of one image). The second-order bias is
            then left in, so that intervals near chance are too wide, by √2 where items interact in pairs.

    Returns:
        The intervals, or None if the metric has no influence function for any of these pairs: use
        `subsample_interval`. Bounds and errors of single pairs that have none (`procrustes` with a layer too wide) are
        NaN.

    Raises:
        InputError: if `alpha` or `groups` do not fit.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> cka = iso.metric("cka")
        >>> found = interval(cka, [cka.prepare(x)], [cka.prepare(x + noise)])
        >>> found.values.round(2).item(), found.low.round(2).item(), found.high.round(2).item()
        (0.54, 0.48, 0.6)
    """
    level = _coverage(alpha)
    influence = metric.influence(xs, ys)
    if influence is None:
        return None
    values = np.asarray(to_numpy(metric.compare(xs, ys)), dtype=np.float64)
    error, degrees = _spread(influence, groups)
    none_found = (error == 0) & (values == metric.range[0])  # of few things that could be shared none was: by chance?
    if none_found.any() and not metric.distance:
        null = metric.null_moments(xs, ys)
        error = np.where(none_found, 0.0 if null is None or null.std is None else null.std, error)
    if influence.known is not None:
        error = np.where(influence.known, error, np.nan)
    low, high = within_range(values, error, t_ppf((1 + level) / 2, degrees), metric.range)
    return Interval(values, low, high, error, level, "items", "infinitesimal jackknife")


def query_interval(
    item_scores: Any, *, alpha: float = 0.05, repeats: int = 1000, seed: int = 0, groups: Labels | None = None
) -> Interval:
    """Bootstrap over queries, the gallery held fixed, for scores that are means over items.

    Answers how the score would move with other queries to the same gallery; over samples of the gallery as well it is
    too narrow (coverage 0.83 to 0.93 instead of 0.95 for mutual k-nearest neighbours), which `interval` is not.

    Args:
        item_scores: Score of each item, shape (n, len(xs), len(ys)), such as ``Metric.contributions``.
        alpha: The interval covers 1 - alpha.
        repeats: Bootstrap samples; all share one product.
        seed: Seed of the draws.
        groups: One group an item; whole groups are then drawn.

    Raises:
        InputError: if there are fewer than two items or groups, or `alpha` does not fit.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> items = iso.metric("mutual_knn(k=5)").per_item(x, x + noise)
        >>> found = query_interval(items[:, None, None])
        >>> found.values.round(2).item(), found.low.round(2).item(), found.high.round(2).item()
        (0.35, 0.29, 0.41)
    """
    level = _coverage(alpha)
    scores = np.asarray(item_scores, dtype=np.float64)
    n = scores.shape[0]
    unit = np.arange(n) if groups is None else coded(groups, n, "groups")
    units = int(unit.max(initial=-1)) + 1
    if units < 2:
        raise InputError(f"A bootstrap over items needs at least 2 items or groups, found {units}.")
    draws = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=repeats)
    weights = draws[:, unit].astype(np.float64)
    sample = (weights @ scores.reshape(n, -1)) / weights.sum(axis=1, keepdims=True)
    low, high = np.quantile(sample, [(1 - level) / 2, (1 + level) / 2], axis=0).reshape(2, *scores.shape[1:])
    error = sample.std(axis=0, ddof=1).reshape(scores.shape[1:])
    method = f"{repeats} bootstrap samples of the queries, gallery fixed"
    return Interval(scores.mean(axis=0), low, high, error, level, "queries", method)


def subsample_interval(
    metric: Metric[Any],
    xs: Sequence[Any],
    ys: Sequence[Any],
    *,
    fraction: float = 0.5,
    repeats: int = 100,
    seed: int = 0,
    alpha: float = 0.05,
    groups: Labels | None = None,
    advance: Advance | None = None,
) -> Interval:
    """Intervals of any metric over items, from scores of random subsets drawn without replacement.

    By default the items are cut into halves, again and again. Halves are independent samples, so that the mean square
    of the difference of their scores tells the variance of a score of n / 2 items without bias. That of n items is
    taken to be half of it: a standard error that falls as 1 / sqrt(n) is all that is assumed. Near chance that of many
    metrics falls faster, and intervals are up to √2 too wide; where n / 2 is not much more than the number of features
    it may fall more slowly for metrics that fit a map (128 items of 32 features: 95 % intervals of `procrustes` cover
    0.87 to 0.95). Where `interval` has an answer it is the better one, and cheaper.

    With another fraction the subsets are drawn one by one, and the spread of the scores of m out of n items is taken
    to be that of n items times sqrt((n - m) / m). They overlap, so that what pairs of items add is counted (n + m) / m
    times: intervals near chance are wider still.

    Scores whose level depends on n (mutual k-nearest neighbours at fixed k, biased CKA) keep their own level, only the
    spread is taken from the subsets.

    Args:
        metric: The metric.
        xs: Features of the layers of one side, arrays (n, d).
        ys: Features of the layers of the other side.
        fraction: Share of the items (or groups) in a subset.
        repeats: Number of subsets, two for each cut into halves; each costs a score of its size, preparation included.
        seed: Seed of the draws.
        alpha: The interval covers 1 - alpha.
        groups: One group an item; subsets then hold whole groups.
        advance: Called with 1 after each subset, in place of a bar.

    Raises:
        InputError: if subsets have too few items for the metric, or an argument does not fit.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = subsample_interval(iso.metric("rsa"), [x], [x + noise], repeats=40)
        >>> found.values.round(2).item(), found.low.round(2).item(), found.high.round(2).item()
        (0.49, 0.41, 0.56)
    """
    level = _coverage(alpha)
    left, right = _features(metric, xs, "xs"), _features(metric, ys, "ys")
    n = left[0].shape[0]
    subsets = _subsets(n, fraction, repeats, seed, groups, metric.min_items)
    values = _scores(metric, left, right)
    sample = []
    with progress(len(subsets), f"intervals of {metric}", unit="subsets", show=one_by_one(advance)) as told:
        for rows in subsets:
            sample.append(_scores(metric, [take_rows(x, rows) for x in left], [take_rows(y, rows) for y in right]))
            told(1)
    error, degrees = _subset_spread(np.array(sample), fraction)
    low, high = within_range(values, error, np.full(values.shape, t_ppf((1 + level) / 2, degrees)), metric.range)
    method = _subset_method(len(subsets), fraction)
    return Interval(values, low, high, error, level, "items", method)


def model_interval(scores: Any, *, alpha: float = 0.05, repeats: int = 2000, seed: int = 0) -> Interval:
    """Interval of a mean score over models, models of either side drawn with replacement.

    Both sides are drawn independently (a two-way bootstrap), since all scores of one model move together. With few
    models the bootstrap is too narrow; the standard error is widened by sqrt(m / (m - 1)) for the smaller side, and
    quantiles are those of t with m - 1 degrees of freedom.

    Args:
        scores: One score for each pair of models, (models of x, models of y), or one for each model.
        alpha: The interval covers 1 - alpha.
        repeats: Bootstrap samples.
        seed: Seed of the draws.

    Raises:
        InputError: if there are fewer than three models on the side that is drawn, or a score is not finite.

    Example:
        >>> found = model_interval([0.31, 0.35, 0.28, 0.4])  # one score a model
        >>> round(float(found.values), 3), round(float(found.low), 2), round(float(found.high), 2)
        (0.335, 0.25, 0.42)
    """
    level = _coverage(alpha)
    try:
        table = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as reason:
        raise InputError(f"model_interval needs numbers, found {quoted(scores)}.") from reason
    if table.ndim not in (1, 2) or not np.all(np.isfinite(table)):
        raise InputError(
            f"model_interval needs finite scores (models,) or (models, models), found shape {table.shape}."
        )
    drawn = [m for m in table.shape if m > 1]
    if not drawn or min(drawn) < 3:
        raise InputError(f"model_interval: {table.shape} scores are too few; at least 3 models a side that varies.")
    rng = np.random.default_rng(seed)
    sample = np.empty(repeats)
    for b in range(repeats):
        index = [rng.integers(m, size=m) for m in table.shape]
        sample[b] = table[np.ix_(*index)].mean()
    m = min(drawn)
    value = np.asarray(table.mean())
    error = np.asarray(sample.std(ddof=1) * np.sqrt(m / (m - 1)))
    reach = error * t_ppf((1 + level) / 2, m - 1)
    method = f"{repeats} bootstrap samples of {' × '.join(map(str, table.shape))} models"
    return Interval(value, value - reach, value + reach, error, level, "models", method)


def difference(
    metric: Metric[Any] | str,
    first: tuple[Any, Any],
    second: tuple[Any, Any],
    *,
    alpha: float = 0.05,
    groups: Labels | None = None,
    fraction: float = 0.5,
    repeats: int = 100,
    seed: int = 0,
) -> Difference:
    """Whether one pair of representations is more alike than another, over the same items.

    Is layer a more alike to y than layer b: ``first=(a, y), second=(b, y)``. Is model A more alike to y than model B:
    the same with their layers, chosen beforehand or on other items. Both scores move with the items together, which the
    paired test uses. With a metric that has influence functions the standard error is that of the difference of the
    influences, else that of the difference over subsets (see `subsample_interval`).

    Args:
        metric: The metric, or its spec.
        first: Features of the first pair, arrays (n, d1) and (n, d2).
        second: Features of the second pair, same items in the same rows.
        alpha: The interval covers 1 - alpha.
        groups: One group an item, where whole groups were sampled.
        fraction: Share of the items in a subset, for metrics without influence functions.
        repeats: Number of subsets, likewise.
        seed: Seed of the subsets, likewise.

    Raises:
        InputError: if the pairs do not hold the same number of items, an argument does not fit, or the difference does
            not vary over items.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = iso.difference("cka", (x, x + 0.5 * noise), (x, x + 2 * noise))
        >>> round(found.value, 2), round(found.low, 2), round(found.high, 2), found.p_value < 0.001
        (0.61, 0.54, 0.67, True)
    """
    metric = make_metric(metric)
    level = _coverage(alpha)
    a, b = (_pair(metric, pair, name) for pair, name in ((first, "first"), (second, "second")))
    n = a[0].shape[0]
    if b[0].shape[0] != n:
        raise InputError(
            f"difference: the first pair has {n} items, the second {b[0].shape[0]}; they must be the same."
        )
    states = [[metric.prepare(z) for z in pair] for pair in (a, b)]
    values = [float(to_numpy(metric.compare([s[0]], [s[1]]))[0, 0]) for s in states]
    parts = [metric.influence([s[0]], [s[1]]) for s in states]
    if parts[0] is not None and parts[1] is not None:
        error, degrees = (float(v[0, 0]) for v in _spread(parts[0].minus(parts[1]), groups))
        method = "infinitesimal jackknife of the difference"
    else:
        sample = []
        for rows in _subsets(n, fraction, repeats, seed, groups, metric.min_items):
            scores = [_scores(metric, [take_rows(z[0], rows)], [take_rows(z[1], rows)]) for z in (a, b)]
            sample.append(scores[0] - scores[1])
        spread, degrees = _subset_spread(np.array(sample), fraction)
        error, method = float(spread[0, 0]), _subset_method(len(sample), fraction)
    value = values[0] - values[1]
    # scores that are equal to rounding, such as those of a space with itself, are equal
    eps = max(_precision(z) for pair in (a, b) for z in pair)
    rounding = max(1e-12, _ULPS * eps) * max(map(abs, values))
    value, error = (0.0 if abs(v) <= rounding else v for v in (value, error))
    if error == 0 and value != 0:
        raise InputError(
            "difference: the two scores differ by the same amount whatever the items, so there is no test."
        )
    reach = error * float(t_ppf((1 + level) / 2, degrees))
    p = float(2 * t_sf(abs(value) / error, degrees)) if error > 0 else 1.0
    return Difference(value, error, value - reach, value + reach, p, level, method)


def _precision(x: Any) -> float:
    """Machine epsilon of features; RDMs are in double precision."""
    return float(np.finfo(np.float64).eps if isinstance(x, Rdm) else array_namespace(x).finfo(x.dtype).eps)


def _spread(influence: Influence, groups: Labels | None) -> tuple[Floats, Floats]:
    """Standard errors and degrees of freedom; whole groups are the units where there are any.

    Raises:
        InputError: if there is one group only.
    """
    n = influence.values.shape[0]
    values, units = influence.left_out, n
    if groups is not None:
        code = coded(groups, n, "groups")
        units = int(code.max()) + 1
        if units < 2:
            raise InputError("An interval over groups needs at least 2 groups.")
        summed = np.zeros((units, *values.shape[1:]))
        np.add.at(summed, code, values)
        values = summed
        variance = np.sum(values**2, axis=0) * units / (units - 1) / n**2
    else:
        variance = influence.variance
    squares, fourth = np.sum(values**2, axis=0), np.sum(values**4, axis=0)
    excess = np.maximum(fourth - squares**2 / units, squares**2 / units / 1e3)
    degrees = np.where(squares > 0, 2 * squares**2 / np.where(excess > 0, excess, 1.0), units - 1.0)
    return np.sqrt(variance), np.clip(degrees, 1.0, units - 1.0)


def within_range(values: Floats, error: Floats, reach: Floats, span: tuple[float, float]) -> tuple[Floats, Floats]:
    """Bounds on the logit of a finite range, so that they stay inside it; plain where the score is at its end.

    Near an end the logit is so steep that an error of the size of what is left would reach across the whole range.

    Args:
        values: The scores.
        error: Their standard errors.
        reach: How many errors the bounds are away.
        span: Lowest and highest possible score.

    Example:
        >>> low, high = within_range(np.array([0.9]), np.array([0.1]), np.array([1.96]), (0.0, 1.0))
        >>> low.round(2).tolist(), high.round(2).tolist()
        ([0.5], [0.99])
    """
    low, high = span
    if not (np.isfinite(low) and np.isfinite(high)):
        return values - reach * error, values + reach * error
    width = high - low
    share = (values - low) / width
    inside = (share > _AT_END) & (share < 1 - _AT_END)
    safe = np.where(inside, share, 0.5)
    step = reach * error / width / (safe * (1 - safe))
    bent = [low + width * scipy.special.expit(scipy.special.logit(safe) + sign * step) for sign in (-1, 1)]
    plain = [np.clip(values + sign * reach * error, low, high) for sign in (-1, 1)]
    far = [values + sign * _STRETCH * reach * error for sign in (-1, 1)]
    lower = np.where(inside, np.maximum(bent[0], far[0]), plain[0])
    upper = np.where(inside, np.minimum(bent[1], far[1]), plain[1])
    return np.minimum(lower, values), np.maximum(upper, values)


def _scores(metric: Metric[Any], xs: Sequence[Array], ys: Sequence[Array]) -> Floats:
    prepared = ([metric.prepare(x) for x in side] for side in (xs, ys))
    return np.asarray(to_numpy(metric.compare(*prepared)), dtype=np.float64)


def _features(metric: Metric[Any], layers: Sequence[Any], name: str) -> list[Array]:
    if len(layers) == 0:
        raise InputError(f"{name} holds no layers.")
    checked = [
        as_features(x, f"{name}[{i}]", min_items=metric.min_items, rdms=metric.reads_rdms) for i, x in enumerate(layers)
    ]
    sizes = {int(x.shape[0]) for x in checked}
    if len(sizes) > 1:
        raise InputError(f"The layers of {name} have different numbers of items: {sorted(sizes)}.")
    return checked


def _pair(metric: Metric[Any], pair: Any, name: str) -> tuple[Array, Array]:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        found = f"{len(pair)} entries" if isinstance(pair, tuple | list) else type(pair).__name__
        raise InputError(f"{name} must be two representations, such as {name}=(x, y), found {found}.")
    x, y = pair
    return as_pair(x, y, (f"{name}[0]", f"{name}[1]"), min_items=metric.min_items, rdms=metric.reads_rdms)


def _subsets(
    n: int, fraction: float, repeats: int, seed: int, groups: Labels | None, min_items: int
) -> list[np.ndarray[Any, Any]]:
    if not is_share(fraction):
        raise InputError(f"fraction={fraction!r}: a share of the items between 0 and 1 is needed, such as 0.5.")
    as_count(repeats, "repeats", 0)
    code = np.arange(n) if groups is None else coded(groups, n, "groups")
    units = int(code.max()) + 1
    halves = fraction == _HALF
    count = units // 2 if halves else round(fraction * units)
    if repeats < (4 if halves else 2) or not 0 < count < units:
        raise InputError(
            f"Subsets of {fraction:g} of {units} units, {repeats} times, give no spread; use 4 subsets or more."
        )
    rng = np.random.default_rng(as_seed(seed))
    chosen = []
    for _ in range(repeats // 2 if halves else repeats):
        order = rng.permutation(units)
        chosen += [order[:count], order[count : 2 * count]] if halves else [order[:count]]
    subsets = [np.flatnonzero(np.isin(code, some)) for some in chosen]
    smallest = min(map(len, subsets))
    if smallest < min_items:
        raise InputError(
            f"Subsets of {fraction:g} of the items have {smallest} items, but the metric needs {min_items}. "
            "Raise the fraction or give more items."
        )
    return subsets


def _subset_spread(sample: Floats, fraction: float) -> tuple[Floats, float]:
    """Standard errors of the scores of all items from those of subsets, and their degrees of freedom."""
    if fraction != _HALF:
        return np.asarray(sample.std(axis=0, ddof=1) * np.sqrt(fraction / (1 - fraction))), float(len(sample) - 1)
    gap = sample[::2] - sample[1::2]  # zero on average: which half is which is chance
    return np.sqrt(np.mean(gap**2, axis=0)) / 2, float(len(gap))


def _subset_method(subsets: int, fraction: float) -> str:
    if fraction == _HALF:
        return f"{subsets // 2} cuts of the items into halves"
    return f"{subsets} subsets of {fraction:g} of the items, rate sqrt(n)"


def _coverage(alpha: float) -> float:
    if not is_share(alpha):
        raise InputError(f"alpha={quoted(alpha)}: a level between 0 and 1 is needed; 0.05 gives intervals of 95 %.")
    return 1 - alpha
