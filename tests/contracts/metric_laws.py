"""The laws of a metric, each a function of one that raises AssertionError where the metric breaks it.

`test_metrics.py` runs every law over every registered metric to which it applies, `test_cheats.py` over planted metrics
that must each be caught. A law never passes by a refusal: on ordinary data every refusal breaks it, on hard data every
one that is not declared.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from isomorph._core.arrays import MANY, Unread, to_numpy
from isomorph.errors import InputError, MissingExtraError
from isomorph.metrics import INVARIANCES, REGISTRY, SITUATIONS, Metric, metric

from .metric_cases import HARD, MOST_ITEMS, ORDINARY, Array, Pair, items, pair

Law = Callable[..., None]
AnyMetric = Metric[Any]

LAWS: dict[str, Law] = {}
"""By the name that its function has."""
_CASES: dict[str, Callable[[AnyMetric], Sequence[tuple[Any, ...]]]] = {}
OPTION_LAWS: set[str] = set()
"""Laws that an option may break, and so run over every option of every parameter too."""
SLOW_LAWS: set[str] = set()
"""Laws that run over one variant a metric: JAX compiles for seconds."""


def law(
    cases: Callable[[AnyMetric], Sequence[tuple[Any, ...]]] = lambda _: [()], *, options: bool = False, slow: bool = False
) -> Callable[[Law], Law]:
    """Register a law.

    Args:
        cases: Of a metric, the further arguments to run the law with; none where the law does not apply.
        options: Whether it runs over every option too.
        slow: Whether it runs over one variant a metric only.
    """

    def add(function: Law) -> Law:
        name = function.__name__
        LAWS[name], _CASES[name] = function, cases
        if options:
            OPTION_LAWS.add(name)
        if slow:
            SLOW_LAWS.add(name)
        return function

    return add


def applicable(m: AnyMetric, names: Sequence[str]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The laws that apply to a metric, with their arguments."""
    for name in names:
        for args in _CASES[name](m):
            yield name, tuple(args)


def when(holds: Callable[[AnyMetric], bool]) -> Callable[[AnyMetric], Sequence[tuple[Any, ...]]]:
    return lambda m: [()] if holds(m) else []


# ---- what laws share ----------------------------------------------------------------------------------------------


def score(m: AnyMetric, x: Any, y: Any, what: str = "ordinary data") -> float:
    """The score, which must be there.

    Raises:
        AssertionError: if the metric refuses.
        MissingExtraError: if its optional package is missing.
    """
    try:
        return m(x, y)
    except MissingExtraError:
        raise
    except InputError as error:
        raise AssertionError(f"{m} refuses {what}: {error}") from error


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


# ---- declarations -------------------------------------------------------------------------------------------------


@law(options=True)
def what_is_declared_can_be_read(m: AnyMetric) -> None:
    for text in (m.chance, m.reference, type(m).__doc__):
        assert isinstance(text, str), text
        assert text.strip(), "an empty declaration"
    assert m.invariances <= set(INVARIANCES), m.invariances - set(INVARIANCES)
    assert set(m.refuses) <= set(SITUATIONS), f"not among SITUATIONS: {set(m.refuses) - set(SITUATIONS)}"
    assert all(len(why.split()) >= 4 for why in m.refuses.values()), f"a refusal without a reason: {m.refuses}"
    assert 3 * len(m.refuses) <= 2 * len(SITUATIONS), "most hard data are refused: what is this metric for?"
    assert m.range[0] < m.range[1], m.range
    if REGISTRY.classes.get(m.name) is type(m):
        assert metric(m.spec) == m
        assert metric(m.variant) == m
    assert str(m) == m.spec
    assert m.min_items <= MOST_ITEMS, f"{m} asks for {m.min_items} items, and so escapes what is asked of fewer"


# ---- refusals ---------------------------------------------------------------------------------------------------


@law(options=True)
def ordinary_data_get_a_score_in_the_range(m: AnyMetric) -> None:
    for name, make in ORDINARY.items():
        x, y = make(items(m))
        slack = 1e-4 if min(x.dtype.itemsize, y.dtype.itemsize) < 8 else 1e-9
        for a, b in ((x, y), (y, x)):
            within(m, score(m, a, b, name), name, slack)


CAUSES = {
    "constant layer": r"constant|equally similar|same value|dissimilarities .* the same",
    "zero layer": r"constant|zero|same value",
    "one feature": r"at least 2 features|all its 1 features|one feature",
    "as many features as items": r"rank \d+.*items|items.* rank \d+",
    "more features than items": r"rank \d+.*items|items.* rank \d+",
    "uncorrelated features": r"same variance|share no structure|mean of the items is zero",
    "equidistant items": r"equally (similar|far)|dissimilarities .* the same|same variance|rank \d+",
    "zero items": r"all zero|same value|at the same place",
    "many equal items": r"at the same place",
    "items equal in twos": r"at the same place",
    "two values": r"at the same place|same value",
    "one-hot labels": r"at the same place",
    "far item": r"item \d+ alone",
    "far scale": r"bandwidth|equally similar",
    "fewest items": r"rank \d+ on n = \d+ items",
}
"""Words, one of which a refusal of such data must have: what the user is told is wrong with them."""


@law(lambda _: [(name,) for name in SITUATIONS])
def hard_data_are_refused_or_scored_as_declared(m: AnyMetric, name: str) -> None:
    for x, y in HARD[name](m):
        slack = 1e-4 if min(x.dtype.itemsize, y.dtype.itemsize) < 8 else 1e-6
        for a, b in ((x, y), (y, x)):
            if name in m.refuses:
                _is_refused(m, a, b, name)
            else:
                within(m, score(m, a, b, f"{name} and does not say so in `refuses`"), name, slack)
        if name not in m.refuses:
            _laws_hold(m, x.astype(np.float64), y.astype(np.float64), name)


def _is_refused(m: AnyMetric, x: Array, y: Array, name: str) -> None:
    try:
        value = m(x, y)
    except MissingExtraError:
        raise
    except InputError as error:
        told = bool(re.search(CAUSES[name], str(error), re.DOTALL))
        assert told, f"{m} refuses {name!r} without naming the cause: {error}"
    else:
        raise AssertionError(f"{m} declares that it refuses {name!r}, but scores {value!r}")


def _laws_hold(m: AnyMetric, x: Array, y: Array, what: str) -> None:
    """Invariance and symmetry on hard data too."""
    value = score(m, x, y, what)
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
            same(m, score(m, *changed, what), value, 1e-6, f"{name} on {what}")
    if m.symmetric:
        same(m, score(m, y, x, what), value, 1e-6, f"symmetry on {what}")


@law()
def what_is_no_pair_of_representations_is_refused(m: AnyMetric) -> None:
    x, y = (np.array(a) for a in pair(13, items(m)))
    score(m, x, y)
    broken, infinite = x.copy(), y.copy()
    broken[3, 2], infinite[0, 0] = np.nan, np.inf
    few = m.min_items - 1
    for a, b, word in (
        (broken, y, "finite"),
        (x, infinite, "finite"),
        (x[:-1], y, "items"),
        (x[:, 0], y, "shape"),
        (x, y[None], "shape"),
        (x[:few], y[:few], f"at least {m.min_items}"),
        (x[:, :0], y, "features"),
        (x + 1j, y, "complex"),
        ("not an array", y, "x"),
    ):
        try:
            value = m(a, b)
        except InputError as error:
            assert word in str(error), f"{m}: {word!r} is not in {str(error)!r}"
        else:
            raise AssertionError(f"{m} scores {value!r} where it should refuse ({word})")


# ---- range, identity, symmetry ------------------------------------------------------------------------------------


@law()
def scores_reach_both_halves_of_the_range(m: AnyMetric) -> None:
    """Catches an end that lies further out than scores come, by more than the width that they fill.

    Where the range is a bound that scores are not known to come near (`bound`), this must be so.
    """
    low, high = m.range
    if not np.isfinite([low, high]).all():
        return
    found = list(_extremes(m))
    half = (low + high) / 2
    reached = min(found) < half < max(found)
    if m.bound:
        assert not reached, f"{m} calls its range a bound, but scores span {min(found)} to {max(found)} of {m.range}"
    else:
        assert reached, f"{m} declares the range {m.range}, but scores span {min(found)} to {max(found)}"


def _extremes(m: AnyMetric) -> Iterator[float]:
    """Scores of data that lead far down and up: very few items, orthogonal and opposite layers."""
    rng = np.random.default_rng(0)
    n = items(m)
    q = np.linalg.qr(np.c_[np.ones(n), rng.standard_normal((n, 12))])[0][:, 1:] * np.tile([1.0, 0.5, 0.1], 4)
    x, _ = pair(0, n)
    tries: list[Pair] = [(q[:, :3], q[:, 3:6]), (q[:, :1], q[:, 3:4]), (x, x), (x, -x)]
    for few, d in itertools.product((m.min_items, m.min_items + 1), (1, 2)):
        tries += [(rng.standard_normal((few, d)), rng.standard_normal((few, d))) for _ in range(25)]
    for x, y in tries:
        try:
            value = m(x, y)
        except MissingExtraError:
            raise
        except InputError:
            continue  # as few items as that some estimators refuse: no matter of this law
        within(m, value, "extreme data", 1e-6)
        yield value


@law()
def a_representation_scores_the_declared_identity_with_itself(m: AnyMetric) -> None:
    scores = [score(m, x, x) for x, _ in (pair(s, items(m)) for s in range(3))]
    if m.identity is None:
        assert np.ptp(scores) > 1e-6, f"{m}: declared to depend on the data, but it is {scores[0]} each time"
        return
    for value in scores:
        same(m, value, m.identity, 1e-6, "a layer with itself")
    best = min if m.distance else max
    others = [score(m, *pair(s, items(m))) for s in range(3)]
    worst = f"{m}: unlike layers score {others}, a layer with itself {m.identity}; distance={m.distance}"
    assert best(m.identity, *others) == m.identity or close(best(others), m.identity, 1e-6), worst


@law(options=True)
def symmetry_is_as_declared(m: AnyMetric) -> None:
    pairs = [pair(s, items(m)) for s in range(4)]
    differences = [abs(score(m, x, y) - score(m, y, x)) for x, y in pairs]
    if m.symmetric:
        assert max(differences) < 1e-9 * max(1.0, abs(score(m, *pairs[0]))), f"{m} is not symmetric: {differences}"
    else:
        assert max(differences) > 1e-6, f"{m}: declared asymmetric, but symmetric on every example"


# ---- invariances ------------------------------------------------------------------------------------------------


def transformed(name: str, x: Array, y: Array, seed: int) -> list[Pair]:
    """Examples of (x, y) after the transformation: of x, then of y, or of both for the item order."""
    rng = np.random.default_rng([seed, len(name)])
    if name == "item_permutation":
        p = rng.permutation(len(x))
        return [(x[p], y[p])]

    def apply(a: Array) -> Array:
        d = a.shape[1]
        q = np.linalg.qr(rng.standard_normal((d, d)))[0]
        q = q * np.array([1.0] * (d - 1) + [np.sign(np.linalg.det(q))])
        if name == "rotation":
            return a @ q
        if name == "reflection":
            return a @ q @ np.diag([-1.0] + [1.0] * (d - 1))
        if name == "isotropic_scale":
            return a * [3.7, 0.2, 41.0][seed % 3]
        if name == "invertible_linear":
            return a @ q @ np.diag(np.geomspace(0.2, 4.0, d))
        if name == "translation":
            return a + 5 * rng.standard_normal(d)
        assert name == "unit_permutation", name
        return a[:, np.roll(np.arange(d), 1 + seed)]

    return [(apply(x), y), (x, apply(y))]


@law(options=True)
def declared_invariances_hold(m: AnyMetric) -> None:
    x, y = pair(1, items(m))
    before = score(m, x, y)
    for name, seed in itertools.product(sorted(m.invariances), range(2)):
        for changed in transformed(name, x, y, seed):
            same(m, score(m, *changed), before, 1e-7, name)


@law(lambda m: [(name,) for name in INVARIANCES if name not in m.invariances])
def an_undeclared_invariance_breaks_on_an_example(m: AnyMetric, name: str) -> None:
    changes = (
        abs(score(m, *changed) - score(m, *pair(seed, items(m))))
        for seed in range(4)
        for changed in transformed(name, *pair(seed, items(m)), seed)
    )
    assert any(change > 1e-5 for change in changes), f"{m}: {name} is not declared but held on every example"


@law()
def an_offset_costs_no_digits(m: AnyMetric) -> None:
    x, y = pair(11, items(m))
    value = score(m, x + 1e4, y - 1e4)
    within(m, value, "a huge offset", 1e-6)
    if "translation" in m.invariances:
        same(m, value, score(m, x, y), 1e-6, "a huge offset")
        near = [(a + o).astype(np.float32) for a, o in ((x, 1e4), (y, -1e4))]  # rounds the data, so compare with those
        same(m, score(m, *near), score(m, *(a.astype(np.float64) for a in near)), 1e-4, "an offset in float32")


@law(when(lambda m: "isotropic_scale" in m.invariances))
def a_scale_costs_no_digits(m: AnyMetric) -> None:
    x, y = pair(12, items(m))
    for factor in (1e-8, 1e8):
        narrow = [(a * factor).astype(np.float32) for a in (x, y)]
        same(m, score(m, x * factor, y), score(m, x, y), 1e-7, f"scale {factor}")
        same(m, score(m, *narrow), score(m, x, y), 1e-5, f"scale {factor} in float32")


# ---- prepare, compare, permute --------------------------------------------------------------------------------------


@law(options=True)
def permuting_a_prepared_state_equals_preparing_permuted_items(m: AnyMetric) -> None:
    x, y = pair(2, items(m))
    state, other = states(m, x, y)
    order = np.random.default_rng(0).permutation(len(x))
    direct, moved = m.prepare(x[order]), m.permute(state, order)

    def one(a: Any, b: Any) -> float:
        return float(to_numpy(m.compare([a], [b]))[0, 0])

    same(m, one(moved, other), one(direct, other), 1e-9, "permute, on the left")
    same(m, one(other, moved), one(other, direct), 1e-9, "permute, on the right")
    same(m, one(m.permute(moved, np.argsort(order)), other), score(m, x, y), 1e-9, "permute and back")


@law(options=True)
def a_block_equals_its_pairs_one_by_one(m: AnyMetric) -> None:
    n = items(m)
    xs = [pair(s, n)[0] for s in (0, 1)] + [pair(3, n, 11, 3)[0]]
    ys = [pair(0, n)[1], pair(3, n, 11, 3)[1]]
    expected = np.array([[score(m, x, y) for y in ys] for x in xs])
    states_x, states_y = [m.prepare(x) for x in xs], [m.prepare(y) for y in ys]
    block = to_numpy(m.compare(states_x, states_y))
    assert block.shape == (3, 2), block.shape
    assert block.dtype == np.float64, block.dtype
    np.testing.assert_allclose(block, expected, rtol=1e-9, atol=1e-9)
    again = to_numpy(m.compare(states_x, states_y))
    np.testing.assert_array_equal(again, block, err_msg="states changed while they were compared")
    own = to_numpy(m.compare(states_x, states_x))
    np.testing.assert_allclose(own, [[score(m, a, b) for b in xs] for a in xs], rtol=1e-9, atol=1e-9)


@law(options=True)
def compare_permuted_equals_comparing_permuted_items(m: AnyMetric) -> None:
    n = items(m)
    xs, ys = [pair(s, n)[0] for s in range(3)], [pair(s, n)[1] for s in range(2)]
    states_x, states_y = states(m, *xs), states(m, *ys)
    orders = np.concatenate([np.arange(n)[None], shuffles(n, 4, 1)])
    for left, right, a, b in ((states_x, states_y, xs, ys), (states_y, states_x, ys, xs)):
        found = [np.asarray(s) for s in m.compare_permuted(left, right, orders)]
        assert len(found) == len(orders)
        for s, p in zip(found, orders, strict=True):
            np.testing.assert_allclose(s, [[score(m, u, v[p]) for v in b] for u in a], rtol=1e-9, atol=1e-9)


# ---- arrays -----------------------------------------------------------------------------------------------------


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


def _agrees(m: AnyMetric, module: Any) -> None:
    x, y = pair(8, items(m))
    there = [module.asarray(np.array(a)) for a in (x, y)]
    same(m, score(m, *there), score(m, x, y), 1e-9, module.__name__)
    assert type(m.score(*there)) is type(there[0]), "the score left the library of its inputs"


@law()
def the_array_api_agrees(m: AnyMetric) -> None:
    import array_api_strict

    _agrees(m, array_api_strict)


@law(slow=True)
def jax_agrees(m: AnyMetric) -> None:
    import jax.numpy

    _agrees(m, jax.numpy)


@law()
def torch_agrees_and_is_not_changed(m: AnyMetric) -> None:
    import torch

    _agrees(m, torch)
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
    return pair(9, max(14, m.min_items + 2), 4, 3)


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


@law(when(lambda m: m.differentiable), slow=True)
def jax_gradients_are_right(m: AnyMetric) -> None:
    import jax

    x, y = _differentiable_pair(m)
    arrays = [jax.numpy.asarray(np.array(a)) for a in (x, y)]
    gradients = [np.asarray(g) for g in jax.grad(m.score, argnums=(0, 1))(*arrays)]
    _gradients_are_slopes(m, x, y, gradients)


@law(when(lambda m: m.streams))
def streamed_features_score_as_others_and_are_checked(m: AnyMetric) -> None:
    x, y = (a.astype(np.float32) for a in pair(18, MANY + 3, 3, 2))
    expected = score(m, x[:, ::1].astype(np.float64), y.astype(np.float64))
    streamed = m.compare([m.prepare(Unread(x, "x"))], [m.prepare(Unread(y, "y"))])
    same(m, float(to_numpy(streamed)[0, 0]), expected, 1e-5, "streamed")
    broken = x.copy()
    broken[MANY - 5, 1] = np.nan
    try:
        m.compare([m.prepare(Unread(broken, "x"))], [m.prepare(Unread(y, "y"))])
    except InputError as error:
        assert f"item {MANY - 5}" in str(error), error
    else:
        raise AssertionError(f"{m} says that it checks what it streams, but did not see NaN")


@law(when(lambda m: not m.streams))
def unread_features_are_given_only_to_what_streams(m: AnyMetric) -> None:
    try:
        m.prepare(Unread(np.array(pair(18, items(m), 3, 2)[0]), "x"))
    except (InputError, TypeError, AttributeError):
        return
    raise AssertionError(f"{m} reads unchecked features but does not declare that it streams")


# ---- chance -----------------------------------------------------------------------------------------------------


def _moments(m: AnyMetric, x: Array, y: Array) -> Any:
    xs, ys = states(m, x, y)
    return m.null_moments([xs], [ys])


def _number(value: Any) -> float:
    return float(np.squeeze(value))


@law(when(lambda m: m.chance_level(max(60, m.min_items + 8), 12, 8) is not None))
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


def enumerable(kind: str, n: int) -> Pair:
    rng = np.random.default_rng([n, len(kind)])
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


@law(lambda m: [(n,) for n in (6, 7) if _null_of_few(m, n)])
def exact_null_moments_equal_enumeration_of_all_pairings(m: AnyMetric, n: int) -> None:
    if n == 7 and "kendall" in m.spec:  # 5040 rank correlations take half a minute
        n = 5
    few = small(m, n)
    orders = np.array(list(itertools.permutations(range(n))))
    for kind in ("plain", "heavy tails", "duplicates") if n == 6 else ("plain",):
        try:
            state_x, state_y = (few.prepare(a) for a in enumerable(kind, n))
            null = few.null_moments([state_x], [state_y])
        except InputError:
            assert kind == "duplicates", f"{m} refuses {kind}"
            assert m.refuses.keys() & {"many equal items", "items equal in twos"}, f"{m} refuses equal items"
            continue
        scores = np.array([np.asarray(s)[0, 0] for s in few.compare_permuted([state_x], [state_y], orders)])
        assert null is not None, f"{m} has no exact null of {kind}"
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


@law(when(_has_exact_null))
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
