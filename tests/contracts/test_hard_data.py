"""The contract of every registered metric on data that are not well behaved: a right answer or our error, never NaN.

Fewer items than features, as many, rank deficiency, constant columns, copies, one feature, few values, outliers, zero
and constant layers, sizes near the ends of the range of floats, large offsets, tiny scales, lower precisions, too few
items and what is no representation at all. Which metrics and variants it runs over: see `conftest.py`.

    pytest tests/contracts -k "one feature"
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import metric


def degenerate(case: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # noqa: PLR0912  # one line a case
    x, y, n = np.array(x), np.array(y), len(x)
    rng = np.random.default_rng(10)
    if case == "more features than items":
        return rng.standard_normal((n, n + 9)), y
    if case == "as many features as items":
        return rng.standard_normal((n, n)), rng.standard_normal((n, n))
    if case == "rank-deficient":
        return x[:, :2] @ rng.standard_normal((2, x.shape[1])), y
    if case == "constant columns":
        x[:, 0], y[:, 1] = 3.0, 0.0
    elif case == "duplicated rows":
        x[: n // 2], y[: n // 3] = x[0], y[0]
    elif case == "items repeated in both":
        x[n // 2 :], y[n // 2 :] = x[: n - n // 2], y[: n - n // 2]
    elif case == "one feature":
        return x[:, :1], y[:, :1]
    elif case == "one feature in float32":
        return x[:, :1].astype(np.float32), y.astype(np.float32)
    elif case == "two values":
        return np.sign(x), np.sign(y)
    elif case == "one-hot labels":
        labels = np.eye(4)
        return labels[np.arange(n) % 4], labels[np.arange(n) // 2 % 4]
    elif case == "orthonormal items":
        return np.eye(n), y
    elif case == "one item far away":
        x[0] += 1e6
    elif case == "one item far away in float32":
        x[0] += 1e6
        return x.astype(np.float32), y.astype(np.float32)
    elif case == "zero rows":
        x[:3] = 0
    elif case == "constant":
        x[:] = 1.7
    elif case == "zero":
        x[:] = 0
    elif case == "both constant":
        x[:], y[:] = 1.0, -2.0
    elif case == "huge":
        return x * 1e150, y * 1e-150
    elif case == "huge float32":
        return (x * 1e30).astype(np.float32), (y * 1e-30).astype(np.float32)
    elif case == "integers":
        return np.round(3 * x).astype(np.int64), np.round(3 * y).astype(np.int32)
    elif case == "half precision":
        return x.astype(np.float16), y.astype(np.float16)
    else:
        raise AssertionError(case)
    return x, y


CASES = [
    "more features than items",
    "as many features as items",
    "rank-deficient",
    "constant columns",
    "duplicated rows",
    "items repeated in both",
    "one feature",
    "one feature in float32",
    "two values",
    "one-hot labels",
    "orthonormal items",
    "one item far away",
    "one item far away in float32",
    "zero rows",
    "constant",
    "zero",
    "both constant",
    "huge",
    "huge float32",
    "integers",
    "half precision",
]


@pytest.mark.parametrize("case", CASES)
def test_degenerate_data_give_a_score_in_range_or_our_error(
    any_spec: str, case: str, pair: Any, items: Any, score: Any, in_range: Any
) -> None:
    m = metric(any_spec)
    x, y = degenerate(case, *pair(10, items(m)))
    slack = 1e-4 if min(x.dtype.itemsize, y.dtype.itemsize) < 8 else 1e-6
    for a, b in ((x, y), (y, x)):
        try:
            value = score(m, a, b)
        except InputError:
            continue
        assert in_range(m, value, slack), value


@pytest.mark.parametrize("case", CASES)
def test_what_is_declared_holds_on_degenerate_data_too(
    any_spec: str, case: str, pair: Any, items: Any, score: Any, close: Any
) -> None:
    m = metric(any_spec)
    if (m.name, case) == ("gromov_wasserstein_distance", "one-hot labels"):
        pytest.skip("of plans that are equally good by symmetry the solver takes any, and so reaches either optimum")
    if m.parameters.get("index") == "approximate":
        pytest.skip("an approximate search breaks ties by the order in which it meets the items")
    x, y = (a.astype(np.float64) for a in degenerate(case, *pair(10, items(m))))
    try:
        value = score(m, x, y)
    except InputError:
        return
    rng = np.random.default_rng(3)
    order = rng.permutation(len(x))
    turn = np.linalg.qr(rng.standard_normal((x.shape[1], x.shape[1])))[0]
    turn[:, 0] *= np.sign(np.linalg.det(turn))
    held = {
        "item_permutation": (x[order], y[order]),
        "unit_permutation": (x[:, ::-1], y),
        "isotropic_scale": (4 * x, y),
        "rotation": (x @ turn, y),
    }
    for name, changed in held.items():
        if name in m.invariances:
            assert close(score(m, *changed), value, 1e-6), name
    if m.symmetric:
        assert close(score(m, y, x), value, 1e-6), "symmetric"


def test_a_huge_offset_costs_no_digits(spec: str, pair: Any, items: Any, score: Any, close: Any, in_range: Any) -> None:
    m = metric(spec)
    x, y = pair(11, items(m))
    value = score(m, x + 1e4, y - 1e4)
    assert in_range(m, value, 1e-6)
    if "translation" in m.invariances:
        assert close(value, score(m, x, y), 1e-6)
        near = [(a + o).astype(np.float32) for a, o in ((x, 1e4), (y, -1e4))]  # rounds the data, so compare with those
        assert close(score(m, *near), score(m, *(a.astype(np.float64) for a in near)), 1e-4)


def test_a_tiny_or_large_scale_costs_no_digits(
    spec: str, pair: Any, items: Any, score: Any, close: Any, in_range: Any
) -> None:
    m = metric(spec)
    x, y = pair(12, items(m))
    for factor in (1e-8, 1e8):
        wide, narrow = (x * factor, y), tuple((a * factor).astype(np.float32) for a in (x, y))
        if "isotropic_scale" in m.invariances:
            assert close(score(m, *wide), score(m, x, y), 1e-7)
            assert close(score(m, *narrow), score(m, x, y), 1e-5)
            continue
        for pair_of_layers, slack in ((wide, 1e-9), (narrow, 1e-4)):
            try:
                value = score(m, *pair_of_layers)
            except InputError:  # a bandwidth in the units of the features
                continue
            assert in_range(m, value, slack)


def test_input_that_is_no_pair_of_representations_is_refused(spec: str, pair: Any, items: Any, score: Any) -> None:
    m = metric(spec)
    x, y = (np.array(a) for a in pair(13, items(m)))
    score(m, x, y)
    broken = x.copy()
    broken[3, 2] = np.nan
    infinite = y.copy()
    infinite[0, 0] = np.inf
    few = m.min_items - 1
    for a, b in (
        (broken, y),
        (x, infinite),
        (x[:-1], y),
        (x[:, 0], y),
        (x, y[None]),
        (x[:few], y[:few]),
        (x[:, :0], y),
    ):
        with pytest.raises(InputError):
            m(a, b)
    with pytest.raises(InputError):
        m(x + 1j, y)
    with pytest.raises(InputError):
        m("not an array", y)


def test_the_fewest_items_give_a_score_or_our_error(
    spec: str, pair: Any, items: Any, score: Any, in_range: Any
) -> None:
    m = metric(spec)
    score(m, *pair(14, items(m)))
    x, y = pair(14, m.min_items, 2, 2)
    try:
        value = m(x, y)
    except InputError:
        return
    assert in_range(m, value, 1e-6)
