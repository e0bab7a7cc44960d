"""Laws of a metric on arrays: precision, libraries, gradients, features that are read once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isomorph._core.arrays import MANY, Unread, to_numpy
from isomorph.errors import InputError

from .metric_cases import Array, Pair, items, pair
from .metric_shared import AnyMetric, law, refusal, same, score


@law()
def float32_is_close_to_float64(m: AnyMetric) -> None:
    x, y = (a.astype(np.float32) for a in pair(6, items(m)))
    same(m, score(m, x, y), score(m, x.astype(np.float64), y.astype(np.float64)), 1e-5, "float32")


@law()
def inputs_stay_untouched_and_the_same_call_gives_the_same_number(m: AnyMetric) -> None:
    for dtype, tolerance in ((np.float64, 1e-9), (np.float32, 1e-5)):
        x, y = (np.array(a, dtype=dtype) for a in pair(7, items(m)))
        before = x.copy(), y.copy()
        value = score(m, x, y)
        assert score(m, x, y) == value, f"{m} gives another number the second time"
        for order in ("C", "F"):
            u, v = np.array(x, order=order), np.array(y, order=order)  # type: ignore[call-overload]
            u.setflags(write=False)
            v.setflags(write=False)
            same(m, score(m, u, v), value, tolerance, f"read-only arrays of order {order}")
        np.testing.assert_array_equal(x, before[0])
        np.testing.assert_array_equal(y, before[1])


def _agrees(m: AnyMetric, module: Any, x: Array, y: Array) -> None:
    there = [module.asarray(np.array(a)) for a in (x, y)]
    expected, found = score(m, x, y), m.score(*there)
    same(m, float(to_numpy(found)), expected, 1e-9, module.__name__)
    assert type(found) is type(there[0]), "the score left the library of its inputs"


@law()
def the_array_api_agrees(m: AnyMetric) -> None:
    import array_api_strict

    _agrees(m, array_api_strict, *pair(8, items(m)))


@law(slow=True)
def jax_agrees(m: AnyMetric) -> None:
    import jax.numpy

    _agrees(m, jax.numpy, *_differentiable_pair(m))  # of one shape with the gradients: JAX compiles for each


@law()
def torch_agrees_and_is_not_changed(m: AnyMetric) -> None:
    import torch

    _agrees(m, torch, *pair(8, items(m)))
    x, y = (torch.tensor(np.array(a)) for a in pair(8, items(m)))
    before = x.clone(), y.clone()
    score(m, x, y)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])
    assert not m.score(x, y).requires_grad, "a graph that nobody asked for"


def _gradients_are_slopes(m: AnyMetric, x: Array, y: Array, gradients: Sequence[Array]) -> None:
    """Gradients equal finite differences along random directions, are finite, and are not all zero."""
    rng, h = np.random.default_rng(0), 1e-5
    for k, gradient in enumerate(gradients):
        assert np.isfinite(gradient).all(), "a gradient is not finite"
        for _ in range(2):
            step = h * rng.standard_normal(gradient.shape)
            up, down = [x, y], [x, y]
            up[k], down[k] = up[k] + step, down[k] - step
            slope = (score(m, *up) - score(m, *down)) / (2 * h)
            same(m, float(np.sum(gradient * step)) / h, slope, 1e-5, f"the gradient by {'xy'[k]}")


def _differentiable_pair(m: AnyMetric) -> Pair:
    return pair(9, 10 * -(-max(14, m.min_items) // 10), 4, 3)  # folds of one size: JAX compiles for each


@law()
def torch_gradients_are_right_and_flow_where_declared(m: AnyMetric) -> None:
    import torch

    x, y = _differentiable_pair(m)
    leaves = [torch.tensor(np.array(a), requires_grad=True) for a in (x, y)]
    score(m, x, y)
    result = m.score(*leaves)
    if m.differentiable:
        assert result.requires_grad, f"{m} is declared differentiable, but its score carries no gradient"
    if not result.requires_grad:
        return  # torch refuses to go backward from it
    result.backward()
    gradients = [np.zeros_like(a) if t.grad is None else t.grad.numpy() for t, a in zip(leaves, (x, y), strict=True)]
    _gradients_are_slopes(m, x, y, gradients)
    assert all(np.abs(g).max() > 1e-8 for g in gradients), f"{m}: a gradient is zero"


@law(lambda m: m.differentiable, slow=True)
def jax_gradients_are_right(m: AnyMetric) -> None:
    import jax

    x, y = _differentiable_pair(m)
    arrays = [jax.numpy.asarray(np.array(a)) for a in (x, y)]
    gradients = [np.asarray(g) for g in jax.grad(m.score, argnums=(0, 1))(*arrays)]
    _gradients_are_slopes(m, x, y, gradients)


@law(lambda m: m.streams)
def streamed_features_score_as_others_and_are_checked(m: AnyMetric) -> None:
    x, y = (a.astype(np.float32) for a in pair(18, MANY + 3, 3, 2))
    expected = score(m, x[:, ::1].astype(np.float64), y.astype(np.float64))
    streamed = m.compare([m.prepare(Unread(x, "x"))], [m.prepare(Unread(y, "y"))])
    same(m, float(to_numpy(streamed)[0, 0]), expected, 1e-5, "streamed")
    broken = x.copy()
    broken[MANY - 5, 1] = np.nan
    text = refusal(
        lambda: m.compare([m.prepare(Unread(broken, "x"))], [m.prepare(Unread(y, "y"))]),
        f"{m} says that it checks what it streams, and one value is NaN",
    )
    assert f"item {MANY - 5}" in text, text


@law(lambda m: not m.streams)
def unread_features_are_given_only_to_what_streams(m: AnyMetric) -> None:
    try:
        m.prepare(Unread(np.array(pair(18, items(m), 3, 2)[0]), "x"))
    except (InputError, TypeError, AttributeError):
        return
    raise AssertionError(f"{m} reads unchecked features but does not declare that it streams")
