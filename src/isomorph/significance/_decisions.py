"""From scores and their sampled null to p-values, calibrated scores, and p-values for many scores at once.

Everywhere `values` has the shape of the scores, usually (x layers, y layers), and `null` has one more axis in front:
the same scores under each of K shared permutations. Scores that agree to rounding count as equal, which can only
raise a p-value: where all re-pairings score the same, rounding must not look like evidence.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import InputError
from ..nulls.judge import ROUNDING, counted_p, oriented, slack

Floats = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """Scores above their chance threshold, of the shape of the scores.

    Attributes:
        calibrated: max((s - threshold) / (s_max - threshold), 0); 0 wherever the score does not pass.
        threshold: The score that noise passes with probability at most alpha.
        p_value: (1 + #{null >= s}) / (K + 1).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> values, null = np.array([3.0, 1.0]), rng.normal(size=(99, 2))  # two scores, 99 permutations
        >>> found = calibrate(values, null, s_max=4.0)
        >>> found.threshold.round(2), found.calibrated.round(2)
        (array([1.65, 1.51]), array([0.57, 0.  ]))
    """

    calibrated: Floats
    threshold: Floats
    p_value: Floats


@dataclasses.dataclass(frozen=True, eq=False)
class Family:
    """p-values that account for having looked at every score of several metrics.

    Attributes:
        p_maximum: p of the most extreme studentised score of all.
        single: Metric -> single-step adjusted p per score.
        step_down: Metric -> step-down adjusted p per score; never above `single`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> values, null = np.array([3.0, 1.0]), rng.normal(size=(99, 2))  # two scores, 99 permutations
        >>> found = family({"cka": (values, null, False)})
        >>> round(found.p_maximum, 2), found.step_down["cka"].round(2)
        (0.01, array([0.01, 0.22]))
    """

    p_maximum: float
    single: Mapping[str, Floats]
    step_down: Mapping[str, Floats]


def sampled_p(values: Any, null: Any, *, distance: bool = False) -> Floats:
    """The p-value of each score alone: (1 + #{null >= score}) / (K + 1), one-sided.

    Args:
        values: Scores.
        null: Scores under K permutations, shape (K, *values.shape).
        distance: Whether lower scores mean more alike.

    Raises:
        InputError: if the shapes do not fit or a score is not finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> values, null = np.array([3.0, 1.0]), rng.normal(size=(99, 2))  # two scores, 99 permutations
        >>> sampled_p(values, null)
        array([0.01, 0.22])
    """
    return counted_p(values, null, distance=distance)


def calibrate(
    values: Any,
    null: Any,
    *,
    alpha: float = 0.05,
    s_max: float | None = None,
    distance: bool = False,
    any_count: bool = False,
) -> Calibration:
    """Calibrated scores exactly as Aristotelian define them (arXiv 2602.14486, Algorithm 1).

    The threshold τ is the ⌈(1-α)(K+1)⌉-th order statistic of {observed} ∪ null; the calibrated score is
    max((s - τ) / (s_max - τ), 0), cut at 1. For a distance everything is mirrored: τ is as far from the other end, and
    the calibrated score still grows with alikeness.

    Args:
        values: Scores.
        null: Scores under K permutations, shape (K, *values.shape).
        alpha: Level of the threshold, in (0, 1).
        s_max: The best attainable score, which is calibrated to 1: by default 1, or 0 for a distance. If it is
            infinite the excess s - τ is not normalised.
        distance: Whether lower scores mean more alike.
        any_count: Whether fewer permutations than a p of alpha needs are accepted, as where there are no more pairings;
            no score passes then.

    Raises:
        InputError: if shapes do not fit, a score is not finite, alpha is not in (0, 1), or K is so small that no score
            can pass at that alpha.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> values, null = np.array([3.0, 1.0]), rng.normal(size=(99, 2))  # two scores, 99 permutations
        >>> calibrate(values, null, s_max=4.0).calibrated.round(2)  # the second does not pass
        array([0.57, 0.  ])
    """
    if not 0.0 < alpha < 1.0:
        raise InputError(f"calibrate: alpha={alpha} must lie between 0 and 1.")
    v, z = oriented(values, null, distance=distance)
    count = len(z)
    if alpha * (count + 1) < 1.0 - 1e-9 and not any_count:
        raise InputError(
            f"calibrate: {count} permutations cannot give a p of {alpha} or less; "
            f"use at least {math.ceil(1 / alpha) - 1}."
        )
    best = (0.0 if distance else 1.0) if s_max is None else float(s_max)
    best = -best if distance else best
    rank = min(max(math.ceil((1.0 - alpha) * (count + 1)), 1), count + 1)
    pooled = np.concatenate([v[None], z])
    tau = np.partition(pooled, rank - 1, axis=0)[rank - 1]
    excess = np.maximum(v - tau, 0.0)
    scaled = excess if math.isinf(best) else np.minimum(excess / np.maximum(best - tau, 1e-12), 1.0)
    return Calibration(scaled, -tau if distance else tau, sampled_p(values, null, distance=distance))


def maximum_p(values: Any, null: Any, *, distance: bool = False) -> float:
    """The p-value of the best score of all: how often the best of all scores under a permutation is at least as good.

    It answers for having searched: the best of 325 layer pairs is held against the best of 325 at random, the same
    permutation moving all layers, so that their dependence is kept.

    Args:
        values: Scores of one metric.
        null: Scores under K permutations, shape (K, *values.shape).
        distance: Whether lower scores mean more alike.

    Raises:
        InputError: if the shapes do not fit or a score is not finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> values, null = np.array([3.0, 1.0]), rng.normal(size=(99, 2))  # two scores, 99 permutations
        >>> maximum_p(values, null)
        0.01
    """
    v, z, _ = _comparable(values, null, False, distance)
    best, bests = v.max(keepdims=True), z.max(axis=1, keepdims=True)
    return float((1.0 + np.sum(bests >= best - slack(best, bests))) / (len(z) + 1))


def studentize(values: Any, null: Any, *, distance: bool = False) -> tuple[Floats, Floats]:
    """Scores in units of their own null, higher always meaning more alike, so that unlike scores can be compared.

    Mean and standard deviation are those of {observed} ∪ null, which treats the observed order like any other and so
    keeps the permutation test exact. A score whose null is constant becomes 0.

    Args:
        values: Scores.
        null: Scores under K permutations, shape (K, *values.shape).
        distance: Whether lower scores mean more alike.

    Raises:
        InputError: if the shapes do not fit or a score is not finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> values, null = np.array([3.0, 1.0]), rng.normal(size=(99, 2))  # two scores, 99 permutations
        >>> scores, permuted = studentize(values, null)
        >>> scores.round(2), permuted.shape
        (array([2.99, 0.94]), (99, 2))
    """
    v, z = oriented(values, null, distance=distance)
    pooled = np.concatenate([v[None], z])
    mean, std = pooled.mean(axis=0), pooled.std(axis=0)
    flat = std <= ROUNDING * np.maximum(np.abs(pooled).max(axis=0), np.finfo(np.float64).tiny)
    scale = np.where(flat, 1.0, std)
    return np.where(flat, 0.0, (v - mean) / scale), np.where(flat, 0.0, (z - mean) / scale)


def single_step(values: Any, null: Any, *, studentized: bool = True, distance: bool = False) -> Floats:
    """Adjusted p per score: the share of permutations whose best score of all reaches this one.

    Controls the chance of any false finding among all scores, whatever their dependence.

    Args:
        values: Scores.
        null: Scores under K shared permutations, shape (K, *values.shape).
        studentized: Compare scores in units of their own null, so that layers whose chance level or spread is larger
            do not speak for all; False compares raw scores, as `maximum_p` does.
        distance: Whether lower scores mean more alike.

    Raises:
        InputError: if the shapes do not fit or a score is not finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> values, null = np.array([3.0, 1.0]), rng.normal(size=(99, 2))  # two scores, 99 permutations
        >>> single_step(values, null)
        array([0.01, 0.32])
    """
    v, z, shape = _comparable(values, null, studentized, distance)
    bests = z.max(axis=1, keepdims=True)
    return _share(v, np.broadcast_to(bests, z.shape)).reshape(shape)


def step_down_p(values: Any, null: Any, *, studentized: bool = True, distance: bool = False) -> Floats:
    """Step-down adjusted p per score (Westfall and Young 1993, Algorithm 4.1): never above the single step's.

    The k-th best score is held against the best of those that are not better than it, and adjusted p-values are made
    monotone. Controls the chance of any false finding strongly where subsets of the scores stay exchangeable.

    Args:
        values: Scores.
        null: Scores under K shared permutations, shape (K, *values.shape).
        studentized: As in `single_step`.
        distance: Whether lower scores mean more alike.

    Raises:
        InputError: if the shapes do not fit or a score is not finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> values, null = np.array([3.0, 1.0]), rng.normal(size=(99, 2))  # two scores, 99 permutations
        >>> step_down_p(values, null)
        array([0.01, 0.22])
    """
    v, z, shape = _comparable(values, null, studentized, distance)
    order = np.argsort(-v, kind="stable")
    remaining = np.maximum.accumulate(z[:, order][:, ::-1], axis=1)[:, ::-1]
    p = np.empty_like(v)
    p[order] = np.maximum.accumulate(_share(v[order], remaining))
    return p.reshape(shape)


def family(parts: Mapping[str, tuple[Any, Any, bool]]) -> Family:
    """p-values over several metrics at once, each score in units of its own null.

    Args:
        parts: Metric -> (values, null, distance), all sampled with the same permutations in the same order.

    Raises:
        InputError: if there are no parts, if they have different numbers of permutations, or as `studentize`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> values, null = np.array([3.0, 1.0]), rng.normal(size=(99, 2))  # two scores, 99 permutations
        >>> family({"cka": (values, null, False), "rsa": (values / 2, null, False)}).single["rsa"].round(2)
        array([0.11, 0.52])
    """
    if not parts:
        raise InputError("family: there are no metrics to take together.")
    pairs = {name: studentize(v, z, distance=d) for name, (v, z, d) in parts.items()}
    counts = {len(z) for _, z in pairs.values()}
    if len(counts) > 1:
        raise InputError(
            f"family: the metrics were sampled with different numbers of permutations ({sorted(counts)}); "
            "they must share the same ones."
        )
    count = counts.pop()
    values = np.concatenate([v.reshape(-1) for v, _ in pairs.values()])
    null = np.concatenate([z.reshape(count, -1) for _, z in pairs.values()], axis=1)
    single, down = (f(values, null, studentized=False) for f in (single_step, step_down_p))
    ends = np.cumsum([v.size for v, _ in pairs.values()])[:-1]
    shapes = {name: v.shape for name, (v, _) in pairs.items()}

    def parted(p: Floats) -> dict[str, Floats]:
        return {n: part.reshape(s) for (n, s), part in zip(shapes.items(), np.split(p, ends), strict=True)}

    return Family(maximum_p(values, null), parted(single), parted(down))


def best_of_each(parts: Mapping[str, tuple[Any, Any, bool]]) -> dict[str, float]:
    """The p of the best score of each metric, adjusted for the number of metrics by step-down.

    The best of a metric's scores, in units of its own null, is held against the best of the metrics that are not
    better (Westfall and Young 1993), under the same permutations: never below the p of the metric's own maximum.

    Args:
        parts: Metric -> (values, null, distance), all sampled with the same permutations in the same order.

    Raises:
        InputError: if there are no parts, or as `step_down_p`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> null = rng.normal(size=(99, 2))  # two scores, 99 permutations
        >>> best_of_each({"cka": (np.array([3.0, 1.0]), null, False), "rsa": (np.array([1.0, 0.0]), null, False)})
        {'cka': 0.01, 'rsa': 0.32}
    """
    best, bests = [], []
    for values, null, distance in parts.values():
        v, z = oriented(values, null, distance=distance)
        best.append(v.max())
        bests.append(z.reshape(len(z), -1).max(axis=1))
    if not best:
        raise InputError("best_of_each: there are no metrics to take together.")
    return dict(zip(parts, map(float, step_down_p(np.array(best), np.stack(bests, axis=1))), strict=True))


def benjamini_hochberg(p: Any) -> Floats:
    """Adjusted p-values that control the false discovery rate of independent or positively dependent tests.

    Benjamini and Hochberg (1995): p(i) m / i, made monotone from the largest down.

    Args:
        p: p-values of any shape.

    Raises:
        InputError: if there are none or one lies outside [0, 1].

    Example:
        >>> benjamini_hochberg([0.01, 0.02, 0.5])
        array([0.03, 0.03, 0.5 ])
    """
    return _step_up(p, dependent=False)


def benjamini_yekutieli(p: Any) -> Floats:
    """Adjusted p-values that control the false discovery rate under any dependence (Benjamini and Yekutieli 2001).

    Args:
        p: p-values of any shape.

    Raises:
        InputError: if there are none or one lies outside [0, 1].

    Example:
        >>> benjamini_yekutieli([0.01, 0.02, 0.5]).round(3)
        array([0.055, 0.055, 0.917])
    """
    return _step_up(p, dependent=True)


def _step_up(given: Any, *, dependent: bool) -> Floats:
    p: Floats = np.asarray(given, dtype=np.float64)
    if p.size == 0 or not np.all((p >= 0) & (p <= 1)):
        raise InputError("p-values must be numbers in [0, 1], and there must be at least one.")
    order = np.argsort(p, axis=None)[::-1]
    ranks = np.arange(p.size, 0, -1)
    factor = p.size * (np.sum(1 / ranks) if dependent else 1.0)
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(np.minimum.accumulate(p.ravel()[order] * (factor / ranks)), 1.0)
    return adjusted.reshape(p.shape)


def _comparable(values: Any, null: Any, studentized: bool, distance: bool) -> tuple[Floats, Floats, tuple[int, ...]]:
    v, z = studentize(values, null, distance=distance) if studentized else oriented(values, null, distance=distance)
    return v.reshape(-1), z.reshape(len(z), -1), v.shape


def _share(v: Floats, z: Floats) -> Floats:
    slack = ROUNDING * max(float(np.abs(v).max()), float(np.abs(z).max()))  # one for all, so that order is kept
    return np.asarray((1.0 + np.sum(z >= v - slack, axis=0)) / (len(z) + 1))
