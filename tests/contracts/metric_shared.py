"""What the laws of metrics share: where they are registered, scores that must be there, what is equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from isomorph.errors import InputError
from isomorph.metrics import Metric

from .laws import Applies, Law, Laws
from .metric_cases import Array

AnyMetric = Metric[Any]

METRICS = Laws()
OPTION_LAWS: set[str] = set()
"""Laws that an option may break, and so run over every option of every parameter too."""
SLOW_LAWS: set[str] = set()
"""Laws that run over one variant a metric: JAX compiles for seconds."""


def law(applies: Applies = lambda _: True, *, options: bool = False, slow: bool = False) -> Callable[[Law], Law]:
    """Register a law of metrics.

    Args:
        applies: Whether it applies to a metric, or the further arguments of its runs.
        options: Whether it runs over every option too.
        slow: Whether it runs over one variant a metric only.
    """

    def add(function: Law) -> Law:
        if options:
            OPTION_LAWS.add(function.__name__)
        if slow:
            SLOW_LAWS.add(function.__name__)
        return METRICS.law(applies)(function)

    return add


def score(m: AnyMetric, x: Any, y: Any, what: str = "ordinary data") -> float:
    """The score, which must be there.

    Raises:
        AssertionError: if the metric refuses.
        MissingExtraError: if its optional package is missing.
    """
    try:
        return m(x, y)
    except InputError as error:  # a missing package is another error
        raise AssertionError(f"{m} refuses {what}: {error}") from error


def refusal(call: Callable[[], Any], told: str) -> str:
    """What an `InputError` says that a call must raise.

    Raises:
        AssertionError: if it returns.
        MissingExtraError: if the metric's optional package is missing.
    """
    try:
        value = call()
    except InputError as error:
        return str(error)
    raise AssertionError(f"{told}, but the answer is {value!r}")


def close(a: float, b: float, tolerance: float = 1e-7) -> bool:
    """Whether two scores are the same, relative to the larger of them and one."""
    return abs(a - b) <= tolerance * max(1.0, abs(a), abs(b))


def same(m: AnyMetric, a: float, b: float, tolerance: float, what: str) -> None:
    assert close(a, b, tolerance), f"{m}: {what}: {a!r} is not {b!r}"


def within(m: AnyMetric, value: float, what: str, slack: float = 1e-9) -> None:
    low, high = m.range
    slack *= max(1.0, abs(value))
    inside = bool(np.isfinite(value)) and low - slack <= value <= high + slack
    assert inside, f"{m} scores {value!r} on {what}; its range is {m.range}"


def states(m: AnyMetric, *layers: Array) -> list[Any]:
    score(m, layers[0], layers[-1])
    return [m.prepare(a) for a in layers]


def repaired(m: AnyMetric, x: Array, y: Array, orders: Array) -> Array:
    """Scores of x with the reordered y."""
    xs, ys = states(m, x, y)
    return np.array([np.asarray(s)[0, 0] for s in m.compare_permuted([xs], [ys], orders)])


def shuffles(n: int, count: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(n) for _ in range(count)])
