"""What the contract of metrics is executed on: which variants, which ordinary data, which hard ones.

Nothing is listed by hand but data: variants are read from the classes, options from what a metric's own error says is
allowed, hard situations from `isomorph.metrics.SITUATIONS`.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import re
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import REGISTRY, Metric, metric

N, D1, D2 = 48, 7, 5
MOST_ITEMS = 40
"""Of how many items every main variant must give a score: a metric may not escape by asking for more."""

Array = np.ndarray
Pair = tuple[Array, Array]


# ---- variants ---------------------------------------------------------------------------------------------------


def options(m: Metric[Any], field: str) -> list[Any]:
    """The values that a switch or a parameter with named options may take; none for numbers."""
    value = getattr(m, field)
    if isinstance(value, bool):
        return [False, True]
    if not isinstance(value, str):
        return []
    with pytest.raises(InputError) as refused:
        dataclasses.replace(m, **{field: "no such option"})  # type: ignore[type-var]  # fields are checked by hand
    named = re.search(r"use one of (.*)\.$", str(refused.value))
    return list(ast.literal_eval(f"[{named[1]}]")) if named else []


def changed_by(name: str, field: str, value: Any) -> Metric[Any]:
    """The metric's default with one parameter changed, or the last main variant to which it does anything."""
    takers: list[Any] = []  # as dataclasses, which every metric is
    for spec in (name, *reversed(REGISTRY.classes[name].variants)):
        with contextlib.suppress(InputError):
            takers.append(dataclasses.replace(cast("Any", metric(spec)), **{field: value}))
    assert takers, f"no variant of {name} takes {field}={value!r}"
    return cast("Metric[Any]", takers[0])


def options_beside(variants: list[str]) -> Iterator[str]:
    """Of each metric's default, whatever one parameter can change that no main variant has."""
    known = {metric(s) for s in variants}
    for name in REGISTRY.classes:
        default = metric(name)
        for field in dataclasses.fields(default):
            for value in [getattr(default, field.name), *options(default, field.name)]:
                changed = changed_by(name, field.name, value)
                if changed not in known:
                    known.add(changed)
                    yield changed.spec


SPECS = [s for cls in REGISTRY.classes.values() for s in (cls.variants or (cls.name,))]
"""The main variants of every registered metric."""
OPTIONS = list(options_beside(SPECS))
"""Every option of every parameter besides."""
FIRST = [next(s for s in SPECS if metric(s).name == name) for name in REGISTRY.classes]
"""One variant of each metric, for what is slow."""


def items(m: Metric[Any]) -> int:
    """How many items a metric is tested on."""
    return max(N, m.min_items + 8)


# ---- ordinary data, which no metric may refuse ------------------------------------------------------------------


@functools.cache
def pair(seed: int = 0, n: int = N, d1: int = D1, d2: int = D2) -> Pair:
    """Two related representations with unequal spectra, offsets and noise, read-only."""
    rng = np.random.default_rng([seed, n, d1, d2])
    z = rng.standard_normal((n, 4))
    x = (z @ rng.standard_normal((4, d1)) + 0.7 * rng.standard_normal((n, d1))) * np.linspace(0.5, 2, d1) + 0.5
    y = np.tanh(z @ rng.standard_normal((4, d2))) + 0.4 * rng.standard_normal((n, d2)) - 0.3
    for a in (x, y):
        a.setflags(write=False)
    return x, y


def unrelated(n: int) -> Pair:
    return pair(0, n)[0], pair(50, n)[1][np.random.default_rng(5).permutation(n)]


def rank_deficient(n: int) -> Pair:
    x, y = pair(10, n)
    return x[:, :2] @ np.random.default_rng(10).standard_normal((2, D1)), y


def constant_columns(n: int) -> Pair:
    x, y = (np.array(a) for a in pair(10, n))
    x[:, 0], y[:, 1] = 3.0, 0.0
    return x, y


def whole_numbers(n: int) -> Pair:
    x, y = pair(10, n)
    return np.round(3 * x).astype(np.int64), np.round(3 * y).astype(np.int32)


ORDINARY: dict[str, Callable[[int], Pair]] = {
    "related": lambda n: pair(0, n),
    "unrelated": unrelated,
    "the same": lambda n: (pair(1, n)[0], pair(1, n)[0]),
    "opposite": lambda n: (pair(2, n)[0], -pair(2, n)[0]),
    "a third as many features as items": lambda n: pair(3, n, n // 3, n // 3 - 1),
    "very different widths": lambda n: pair(4, n, n // 3, 2),
    "twice as many items": lambda n: pair(5, 2 * n),
    "rank-deficient": rank_deficient,
    "constant columns": constant_columns,
    "float32": lambda n: cast("Pair", tuple(a.astype(np.float32) for a in pair(6, n))),
    "float16": lambda n: cast("Pair", tuple(a.astype(np.float16) for a in pair(10, n))),
    "whole numbers": whole_numbers,
    "far from the origin": lambda n: (pair(11, n)[0] + 1e4, pair(11, n)[1] - 1e4),
}


# ---- hard data, which a metric may declare that it refuses --------------------------------------------------------


def changed(change: Callable[[Array, Array], object]) -> Callable[[Metric[Any]], list[Pair]]:
    """Hard data that are ordinary ones with something done to them in place."""

    def make(m: Metric[Any]) -> list[Pair]:
        x, y = (np.array(a) for a in pair(10, items(m)))
        change(x, y)
        return [(x, y)]

    return make


def constant(m: Metric[Any]) -> list[Pair]:
    x, y = pair(10, items(m))
    flat_x, flat_y = np.full_like(x, 1.7), np.full_like(y, -2.0)
    return [(flat_x, y), (x, flat_y), (flat_x, flat_y)]


def zero(m: Metric[Any]) -> list[Pair]:
    x, y = pair(10, items(m))
    return [(np.zeros_like(x), y), (x, np.zeros_like(y)), (np.zeros_like(x), np.zeros_like(y))]


def more_features(m: Metric[Any]) -> list[Pair]:
    n = items(m)
    return [pair(10, n, n + 9, n + 4)]


def as_many_features(m: Metric[Any]) -> list[Pair]:
    n = items(m)
    return [pair(10, n, n, n)]


def uncorrelated(m: Metric[Any]) -> list[Pair]:
    n = items(m)
    drawn = np.c_[np.ones(n), np.random.default_rng(10).standard_normal((n, 8))]
    q = np.linalg.qr(drawn)[0][:, 1:] * n**0.5
    mixed = np.linalg.qr(q[:, :4] + 0.8 * q[:, 4:])[0] * n**0.5
    return [(q[:, :4], mixed)]


def equidistant(m: Metric[Any]) -> list[Pair]:
    n = items(m)
    return [(np.eye(n), 2 * np.eye(n)[np.random.default_rng(10).permutation(n)])]


def one_feature(m: Metric[Any]) -> list[Pair]:
    x, y = pair(10, items(m))
    x32, y32 = x.astype(np.float32), y.astype(np.float32)
    return [(x[:, :1], y[:, :1]), (x32[:, :1], y32[:, :1])]


def two_values(m: Metric[Any]) -> list[Pair]:
    x, y = pair(10, items(m))
    return [(np.where(x > np.median(x), 1.0, -1.0), np.where(y > np.median(y), 1.0, -1.0))]


def one_hot(m: Metric[Any]) -> list[Pair]:
    labels = np.eye(4)
    place = np.random.default_rng(10).permutation(np.repeat(np.arange(4), [n_of(m, s) for s in (0.4, 0.3, 0.2, 0.1)]))
    other = np.where(np.arange(len(place)) % 3 == 0, (place + 1) % 4, place)
    return [(labels[place], labels[other])]


def n_of(m: Metric[Any], share: float) -> int:
    return max(3, round(share * items(m)))


def many_equal(x: Array, y: Array) -> None:
    n = len(x)
    x[: n // 2], y[: n // 3] = x[0], y[0]


def equal_in_twos(x: Array, y: Array) -> None:
    half = len(x) // 2
    x[half : 2 * half], y[half : 2 * half] = x[:half], y[:half]


def zero_items(x: Array, y: Array) -> None:
    x[:3], y[5:8] = 0, 0


def far_item(m: Metric[Any]) -> list[Pair]:
    x, y = (np.array(a) for a in pair(10, items(m)))
    x[0] += 1e6
    y[1] -= 1e6
    return [(x, y), (x.astype(np.float32), y.astype(np.float32))]


def far_scale(m: Metric[Any]) -> list[Pair]:
    x, y = pair(10, items(m))
    narrow = (x * 1e30).astype(np.float32), (y * 1e-30).astype(np.float32)
    return [(x * 1e150, y * 1e-150), narrow, (x * 1e8, y * 1e-8)]


def fewest(m: Metric[Any]) -> list[Pair]:
    return [pair(14, m.min_items, 2, 2)]


HARD: dict[str, Callable[[Metric[Any]], list[Pair]]] = {
    "constant layer": constant,
    "zero layer": zero,
    "one feature": one_feature,
    "as many features as items": as_many_features,
    "more features than items": more_features,
    "uncorrelated features": uncorrelated,
    "equidistant items": equidistant,
    "zero items": changed(zero_items),
    "many equal items": changed(many_equal),
    "items equal in twos": changed(equal_in_twos),
    "two values": two_values,
    "one-hot labels": one_hot,
    "far item": far_item,
    "far scale": far_scale,
    "fewest items": fewest,
}
"""Of each of `SITUATIONS`, pairs that all lie in it, made for a metric."""
