"""What the contract tests of metrics share: which variants they run over, related data, and comparisons of scores.

A test that takes `spec` runs over the main variants of every registered metric, one that takes `any_spec` over every
option of every parameter besides, one that takes `library` or `autograd` over array libraries too. Nothing is listed:
variants are read from the classes, options from what a metric's own error says is allowed.
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

from isomorph.errors import InputError, MissingExtraError
from isomorph.metrics import REGISTRY, Metric, metric

N, D1, D2 = 48, 7, 5

Pair = tuple[np.ndarray, np.ndarray]


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
OPTIONS = list(options_beside(SPECS))
FIRST = {next(s for s in SPECS if metric(s).name == name) for name in REGISTRY.classes}
LIBRARIES = {"library": ("torch", "jax", "array_api_strict"), "autograd": ("torch", "jax")}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run over metrics, and over libraries: JAX, which compiles for seconds, with each metric's first variant."""
    for name, libraries in LIBRARIES.items():
        if name in metafunc.fixturenames:
            cases = [(s, b) for s in SPECS for b in libraries if b != "jax" or s in FIRST]
            metafunc.parametrize(("spec", name), cases, ids=[f"{s}-{b}" for s, b in cases])
            return
    if "spec" in metafunc.fixturenames:
        metafunc.parametrize("spec", SPECS)
    if "any_spec" in metafunc.fixturenames:
        metafunc.parametrize("any_spec", [*SPECS, *OPTIONS])


@pytest.fixture(scope="session")
def pair() -> Callable[..., Pair]:
    """Two related representations with unequal spectra, offsets and noise, read-only."""

    @functools.cache
    def make(seed: int = 0, n: int = N, d1: int = D1, d2: int = D2) -> Pair:
        rng = np.random.default_rng([seed, n, d1, d2])
        z = rng.standard_normal((n, 4))
        x = (z @ rng.standard_normal((4, d1)) + 0.7 * rng.standard_normal((n, d1))) * np.linspace(0.5, 2, d1) + 0.5
        y = np.tanh(z @ rng.standard_normal((4, d2))) + 0.4 * rng.standard_normal((n, d2)) - 0.3
        for a in (x, y):
            a.setflags(write=False)
        return x, y

    return make


@pytest.fixture(scope="session")
def items() -> Callable[[Metric[Any]], int]:
    """How many items a metric is tested on."""
    return lambda m: max(N, m.min_items + 8)


@pytest.fixture(scope="session")
def score() -> Callable[[Metric[Any], Any, Any], float]:
    """The score; a metric whose optional package is missing is skipped with that reason."""

    def of(m: Metric[Any], x: Any, y: Any) -> float:
        try:
            return m(x, y)
        except MissingExtraError as error:
            pytest.skip(str(error))

    return of


@pytest.fixture(scope="session")
def close() -> Callable[..., bool]:
    """Whether two scores are the same, relative to the larger of them and one."""
    return lambda a, b, tolerance=1e-7: abs(a - b) <= tolerance * max(1.0, abs(a), abs(b))


@pytest.fixture(scope="session")
def in_range() -> Callable[..., bool]:
    """Whether a score is finite and in the range that the metric declares."""

    def within(m: Metric[Any], value: float, slack: float = 1e-9) -> bool:
        low, high = m.range
        slack *= max(1.0, abs(value))
        return bool(np.isfinite(value)) and low - slack <= value <= high + slack

    return within
