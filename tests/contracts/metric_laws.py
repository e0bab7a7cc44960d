"""The laws of a metric, each a function of one that raises AssertionError where the metric breaks it.

`test_metrics.py` runs every law over every registered metric to which it applies, `test_cheats.py` over planted metrics
that must each be caught. A law never passes by a refusal: on ordinary data every refusal breaks it, on hard data every
one that is not declared.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from isomorph._core.arrays import to_numpy
from isomorph.errors import InputError
from isomorph.metrics import INVARIANCES, REGISTRY, SITUATIONS, metric

from . import metric_array_laws, metric_chance_laws  # noqa: F401  # which register their laws
from .metric_cases import HARD, MOST_ITEMS, ORDINARY, Array, Pair, items, pair
from .metric_shared import AnyMetric, close, law, refusal, same, score, shuffles, states, within

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
    text = refusal(lambda: m(x, y), f"{m} declares that it refuses {name!r}")
    told = bool(re.search(CAUSES[name], text, re.DOTALL))
    assert told, f"{m} refuses {name!r} without naming the cause: {text}"


def _laws_hold(m: AnyMetric, x: Array, y: Array, what: str) -> None:
    """Invariance and symmetry on hard data too."""
    near = 1e-4 if what == "far item" else 1e-6  # fourth powers of a million leave few digits of the other items
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
            same(m, score(m, *changed, what), value, near, f"{name} on {what}")
    if m.symmetric:
        same(m, score(m, y, x, what), value, near, f"symmetry on {what}")


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
        text = refusal(lambda a=a, b=b: m(a, b), f"{m} should refuse what is wrong with {word!r}")  # type: ignore[misc]
        assert word in text, f"{m}: {word!r} is not in {text!r}"


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
    """Scores of data that lead far down and up: very few items, orthogonal and opposite layers.

    Raises:
        MissingExtraError: if the metric's optional package is missing.
    """
    rng = np.random.default_rng(0)
    n = items(m)
    q = np.linalg.qr(np.c_[np.ones(n), rng.standard_normal((n, 12))])[0][:, 1:] * np.tile([1.0, 0.5, 0.1], 4)
    x, _ = pair(0, n)
    hub = [x[:, :1] + np.linspace(0.1, 2, 9) * rng.standard_normal((n, 9)) for _ in range(2)]  # all near one direction
    tries: list[Pair] = [(q[:, :3], q[:, 3:6]), (q[:, :1], q[:, 3:4]), (x, x), (x, -x), (hub[0], hub[1])]
    for few, d in itertools.product((m.min_items, m.min_items + 1), (1, 2)):
        tries += [(rng.standard_normal((few, d)), rng.standard_normal((few, d))) for _ in range(25)]
    for x, y in tries:
        try:
            value = m(x, y)
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


@law(lambda m: "isotropic_scale" in m.invariances)
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
    alone = np.array([[score(m, a, b) for b in xs] for a in xs])
    apart = ~np.eye(len(xs), dtype=bool)
    np.testing.assert_allclose(own[apart], alone[apart], rtol=1e-9, atol=1e-9)
    # a distance from itself is zero, or the root of what rounding leaves of its square
    np.testing.assert_allclose(np.diag(own), np.diag(alone), rtol=1e-9, atol=1e-7 if m.distance else 1e-9)


@law(options=True)
def compare_permuted_equals_comparing_permuted_items(m: AnyMetric) -> None:
    n = items(m)
    xs, ys = [pair(s, n)[0] for s in range(3)], [pair(s, n)[1] for s in range(2)]
    states_x, states_y = states(m, *xs), states(m, *ys)
    orders = np.concatenate([np.arange(n)[None], shuffles(n, 2, 1)])
    for left, right, a, b in ((states_x, states_y, xs, ys), (states_y, states_x, ys, xs)):
        found = [np.asarray(s) for s in m.compare_permuted(left, right, orders)]
        assert len(found) == len(orders)
        for s, p in zip(found, orders, strict=True):
            np.testing.assert_allclose(s, [[score(m, u, v[p]) for v in b] for u in a], rtol=1e-9, atol=1e-9)


def _contributions(m: AnyMetric, xs: list[Any], ys: list[Any]) -> Array:
    given = m.contributions(xs, ys)
    assert given is not None, f"{m} says what an item gives ({m.contribution!r}), but gives nothing"
    return np.asarray(given)


@law(options=True)
def what_an_item_gives_is_in_words_where_it_is_in_numbers(m: AnyMetric) -> None:
    x, y = pair(0, items(m))
    if m.contribution:
        mean = float(m.per_item(x, y).mean())
        same(m, mean, score(m, x, y), 1e-9, "the mean over items of what they give")
        return
    assert m.contributions(*[[s] for s in states(m, x, y)]) is None, f"{m} does not say what an item gives"
    assert "no score per item" in refusal(lambda: m.per_item(x, y), f"{m} has no score per item")


@law(lambda m: bool(m.contribution), options=True)
def contributions_average_to_the_score_and_belong_to_their_items(m: AnyMetric) -> None:
    n = items(m)
    xs, ys = [pair(s, n)[0] for s in (0, 1)], [pair(s, n)[1] for s in (0, 1, 2)]
    states_x, states_y = states(m, *xs), states(m, *ys)
    given = _contributions(m, states_x, states_y)
    assert given.shape == (n, 2, 3), given.shape
    np.testing.assert_allclose(given.mean(axis=0), to_numpy(m.compare(states_x, states_y)), rtol=1e-9, atol=1e-9)
    assert np.ptp(given, axis=0).max() > 1e-9, f"{m}: all items contribute the same"
    order = shuffles(n, 1, 2)[0]
    moved = [[m.permute(s, order) for s in side] for side in (states_x, states_y)]
    if "item_permutation" in m.invariances:
        np.testing.assert_allclose(_contributions(m, *moved), given[order], rtol=1e-8, atol=1e-9)
    for name in sorted(m.invariances - {"item_permutation"}):
        for x, y in transformed(name, xs[0], ys[0], 0):
            again = _contributions(m, states(m, x), states(m, y))
            np.testing.assert_allclose(again, given[:, :1, :1], rtol=1e-6, atol=1e-6, err_msg=name)
