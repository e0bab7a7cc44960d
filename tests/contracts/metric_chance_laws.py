"""Laws of what a metric says of chance: the level, the words, the exact null, p-values."""

from __future__ import annotations

import dataclasses
import itertools
import re
from typing import Any

import numpy as np

from isomorph.errors import InputError
from isomorph.metrics import Metric

from .metric_cases import Array, Pair, items, pair
from .metric_shared import AnyMetric, law, repaired, score, shuffles, states, within


def _moments(m: AnyMetric, x: Array, y: Array) -> Any:
    xs, ys = states(m, x, y)
    return m.null_moments([xs], [ys])


def _number(value: Any) -> float:
    return float(np.squeeze(value))


@law(lambda m: m.chance_level(max(60, m.min_items + 8), 12, 8) is not None)
def the_chance_level_is_the_mean_score_of_noise_and_of_its_pairings(m: AnyMetric) -> None:
    """Over 24 pairs of independent Gaussian layers, each as it is and paired anew 6 times.

    Accepted within 4.5 standard errors, and 1 % of the level where it is said to be approximate: on a range of width
    one, a level 0.05 off fails.
    """
    n, d1, d2 = max(60, m.min_items + 8), 12, 8
    level = m.chance_level(n, d1, d2)
    assert level is not None
    rng = np.random.default_rng(7)
    pairs = [(rng.standard_normal((n, d1)), rng.standard_normal((n, d2))) for _ in range(24)]
    fresh = np.array([score(m, x, y) for x, y in pairs])
    again = np.array([repaired(m, x, y, shuffles(n, 6, i)).mean() for i, (x, y) in enumerate(pairs)])
    for scores, what in ((fresh, "noise"), (again, "noise paired anew")):
        tolerance = 4.5 * scores.std(ddof=1) / len(scores) ** 0.5 + 1e-9
        tolerance += 0.0 if "exact" in m.chance else 0.01 * abs(level)
        width = m.range[1] - m.range[0]
        assert not np.isfinite(width) or tolerance < 0.05 * width, f"{m}: too noisy to tell its chance level"
        off = abs(scores.mean() - level)
        assert off <= tolerance, f"{m}: chance is {level:.4g}, but {what} scores {scores.mean():.4g} ± {tolerance:.2g}"


@law()
def what_is_said_of_chance_is_so(m: AnyMetric) -> None:
    """The mean of 200 re-pairings against the words and the exact null, within 4.5 standard errors.

    "exact" needs a number that can be checked; a number in front is the mean; "0 or below" and "above 0" are bounds;
    "the score itself" does not move; what is sampled has no exact null.
    """
    n = items(m)
    x, y = pair(15, n)
    scores = repaired(m, x, y, shuffles(n, 200, 4))
    null, text, mean = _moments(m, x, y), m.chance, float(scores.mean())
    error = 4.5 * float(scores.std(ddof=1)) / len(scores) ** 0.5 + 1e-9 * max(1.0, abs(mean))
    told = f"{m} says of chance {text!r}, but re-pairings score {mean:.4g} ± {error:.2g}"
    if null is not None:
        assert abs(_number(null.mean) - mean) <= error, f"{told}, and the exact mean is {_number(null.mean):.4g}"
        if null.std is not None:
            assert abs(_number(null.std) - scores.std()) <= 0.4 * scores.std() + 1e-9, f"{told}, std {scores.std():.4g}"
    if "exact" in text:
        known = null is not None or m.chance_level(60, 12, 8) is not None
        assert known, f"{m} says of chance {text!r}, but gives neither a level nor a mean to check"
    if re.search(r"\bsampled?\b", text):
        assert null is None or null.std is None, f"{m} says that chance is sampled, but has an exact null"
    if text.startswith("the score itself"):
        assert np.ptp(np.append(scores, score(m, x, y))) <= 1e-9 * max(1.0, abs(mean)), told
    if text.startswith("above 0"):
        assert mean > 0, told
    number = re.match(r"(?:about |near )?(-?\d+(?:\.\d+)?)(?= or below| up to|[,:]|$)(?P<below> or below)?", text)
    if number:
        slack = 0.0 if "exact" in text else 0.03
        off = mean - float(number[1])
        assert (off if number["below"] else abs(off)) <= error + slack, told


def small(m: AnyMetric, n: int) -> AnyMetric:
    """The metric with ``k`` lowered so that `n` items are enough."""
    if m.min_items > n and any(f.name == "k" for f in dataclasses.fields(m)):
        m = dataclasses.replace(m, k=2)  # type: ignore[type-var]  # only where there is a field k
    return m


KINDS = ("plain", "heavy tails", "duplicates")


def enumerable(kind: str, n: int) -> Pair:
    rng = np.random.default_rng([n, KINDS.index(kind)])
    x, y = (rng.standard_normal((n, 1)) + 0.4 * rng.standard_normal((n, d)) for d in (3, 2))
    y = y + 1
    if kind == "heavy tails":
        return x**3, y**3
    if kind == "duplicates":
        x[1], y[3] = x[0], y[2]
    return x, y


def _has_exact_null(m: AnyMetric) -> bool:
    return type(m).null_moments is not Metric.null_moments


def _null_of_few(m: AnyMetric, n: int) -> bool:
    """Whether the metric has an exact null of n plain items; what refuses those is to run, and to fail."""
    few = small(m, n)
    if not _has_exact_null(m) or few.min_items > n:
        return False
    try:
        return few.null_moments(*([few.prepare(a)] for a in enumerable("plain", n))) is not None
    except InputError:
        return True


@law()
def the_mean_of_the_null_alone_is_that_of_the_null(m: AnyMetric) -> None:
    x, y = pair(12, items(m))
    for one, other, tolerance in ((x, y, 1e-9), (x + 1e4, y, 1e-9), (x.astype(np.float32), y, 1e-6)):
        xs, ys = [m.prepare(one), m.prepare(other)], [m.prepare(other)]
        null, mean = m.null_moments(xs, ys), m.null_mean(xs, ys)
        assert (null is None) == (mean is None), "one of both knows"
        if null is not None:
            np.testing.assert_allclose(mean, null.mean, rtol=tolerance, atol=1e-9)


@law(lambda m: [(n,) for n in (6, 7) if _null_of_few(m, n)])
def exact_null_moments_equal_enumeration_of_all_pairings(m: AnyMetric, n: int) -> None:
    if n == 7 and "kendall" in m.spec:  # 5040 rank correlations take half a minute
        n = 5
    few = small(m, n)
    orders = np.array(list(itertools.permutations(range(n))))
    for kind in KINDS if n == 6 else KINDS[:1]:
        try:
            state_x, state_y = (few.prepare(a) for a in enumerable(kind, n))
            null = few.null_moments([state_x], [state_y])
        except InputError:
            assert kind == "duplicates", f"{m} refuses {kind}"
            assert m.refuses.keys() & {"many equal items", "items equal in twos"}, f"{m} refuses equal items"
            continue
        scores = np.array([np.asarray(s)[0, 0] for s in few.compare_permuted([state_x], [state_y], orders)])
        if null is None:
            assert kind == "duplicates", f"{m} has no exact null of {kind}"
            assert "tied" in m.chance, f"{m} has no exact null of ties and does not say so of chance"
            continue
        assert null.n == n
        np.testing.assert_allclose(_number(null.mean), scores.mean(), rtol=1e-10, atol=1e-10)
        if null.std is not None:
            np.testing.assert_allclose(_number(null.std) ** 2, scores.var(), rtol=1e-10, atol=1e-12)
        if null.skewness is not None and scores.std() > 1e-8:
            third = np.mean((scores - scores.mean()) ** 3) / scores.std() ** 3
            near = {"rtol": 1e-9, "atol": 1e-9} if null.exact_skewness else {"rtol": 0.2, "atol": 0.1}
            np.testing.assert_allclose(_number(null.skewness), third, **near)


@law()
def the_null_of_a_pair_says_how_surprising_the_score_is(m: AnyMetric) -> None:
    x, y = pair(15, items(m))
    value = score(m, x, y)
    null = m.null(x, y, permutations=40, seed=3)
    assert null.n == len(x)
    within(m, null.mean, "its null's mean", 1e-6)
    assert null.std >= 0
    assert isinstance(null.exact, bool)
    assert null.source
    p = null.p_value(value)
    assert 0 <= p <= 1
    assert p >= null.p_value(value + (-0.1 if m.distance else 0.1))
    again = m.null(x, y, permutations=40, seed=3)
    np.testing.assert_equal(dataclasses.asdict(again), dataclasses.asdict(null))


@law(_has_exact_null)
def the_block_form_of_the_null_equals_its_pairs(m: AnyMetric) -> None:
    n = items(m)
    xs, ys = [pair(s, n)[0] for s in range(2)], [pair(s, n)[1] for s in range(3)]
    states_x, states_y = states(m, *xs), states(m, *ys)
    block = m.null_moments(states_x, states_y)
    for i, j in itertools.product(range(2), range(3)):
        one = m.null_moments([states_x[i]], [states_y[j]])
        assert (one is None) == (block is None)
        for field in ("mean", "std", "skewness"):
            values = getattr(block, field, None)
            if values is not None:
                assert np.shape(values) == (2, 3)
                one_value = np.squeeze(getattr(one, field))
                np.testing.assert_allclose(np.asarray(values)[i, j], one_value, rtol=1e-9, atol=1e-12)
