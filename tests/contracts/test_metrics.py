"""The contract of every registered metric, generated from what its class declares.

Nothing is listed here: the suite runs over `isomorph.metrics.REGISTRY.classes` and, of each class, over its `variants`
(specs; the default parameters if it names none). The laws that a parameter can break run over every option of every
parameter besides. To run it for one metric, or one variant:

    pytest tests/contracts -k mutual_knn
    pytest tests/contracts -k "cka and biased"

What is tested: declared invariances hold and undeclared ones fail on an example; symmetry, range and identity are as
declared; `permute` and `compare_permuted` obey their laws; a block equals its pairs; float32 is close to float64;
inputs stay untouched; NumPy, PyTorch, JAX and array-api-strict agree; gradients equal finite differences where the
metric is declared differentiable; the declared chance level and exact null moments are those of noise and of all n!
re-pairings. Data that are not well behaved are the matter of `test_hard_data.py`.

The tests ask a class for nothing beyond its `Metric` interface. A parameter called ``k`` is lowered where a test needs
very few items. A metric whose optional package is missing is skipped with that reason.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from isomorph._core.arrays import to_numpy
from isomorph.errors import InputError, MissingExtraError
from isomorph.metrics import INVARIANCES, REGISTRY, Metric, metric

# ---- names ------------------------------------------------------------------------------------------------------


def test_spec_and_variant_build_the_same_metric_again(any_spec: str) -> None:
    m = metric(any_spec)
    assert metric(m.spec) == m
    assert metric(m.variant) == m
    assert str(m) == m.spec
    for text in (m.chance, m.reference):
        assert isinstance(text, str)
        assert text.strip()
    assert m.invariances <= set(INVARIANCES)
    assert (type(m).__doc__ or "").strip()


@pytest.mark.parametrize("name", sorted(REGISTRY.classes))
def test_a_metric_without_parameters_in_its_spec_has_defaults(name: str) -> None:
    assert metric(name).name == name


@pytest.mark.parametrize("alias", sorted(REGISTRY.aliases))
def test_every_alias_builds_the_metric_that_declares_it(alias: str) -> None:
    owner = next(cls for cls in REGISTRY.classes.values() if alias in cls.aliases)
    assert type(metric(alias)) is owner
    assert alias not in REGISTRY.classes


# ---- range, identity, symmetry -------------------------------------------------------------------------------------


def test_scores_lie_in_the_declared_range(any_spec: str, pair: Any, items: Any, score: Any, in_range: Any) -> None:
    m = metric(any_spec)
    rng = np.random.default_rng(5)
    for seed in range(3):
        x, y = pair(seed, items(m))
        assert in_range(m, score(m, x, y)), "related"
        assert in_range(m, score(m, x, pair(seed + 50, items(m))[1][rng.permutation(len(x))])), "unrelated"
        assert in_range(m, score(m, x, x)), "the same"
        assert in_range(m, score(m, x, -x)), "opposite"


def test_a_representation_scores_the_declared_identity_with_itself(
    spec: str, pair: Any, items: Any, score: Any, close: Any
) -> None:
    m = metric(spec)
    scores = [score(m, x, x) for x, _ in (pair(s, items(m)) for s in range(3))]
    if m.identity is None:
        assert np.ptp(scores) > 1e-6, f"declared to depend on the data, but it is {scores[0]} each time"
    else:
        for value in scores:
            assert close(value, m.identity, 1e-6), value


def test_symmetry_is_as_declared(any_spec: str, pair: Any, items: Any, score: Any) -> None:
    m = metric(any_spec)
    differences = [abs(score(m, x, y) - score(m, y, x)) for x, y in (pair(s, items(m)) for s in range(4))]
    if m.symmetric:
        assert max(differences) < 1e-9 * max(1.0, abs(score(m, *pair(0, items(m)))))
    else:
        assert max(differences) > 1e-6, "declared asymmetric, but symmetric on every example"


# ---- invariances ------------------------------------------------------------------------------------------------


def transformed(name: str, x: np.ndarray, y: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Examples of (x, y) after the transformation: of x, then of y, or of both for the item order."""
    rng = np.random.default_rng([seed, len(name)])
    if name == "item_permutation":
        p = rng.permutation(len(x))
        return [(x[p], y[p])]

    def apply(a: np.ndarray) -> np.ndarray:
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
        assert name == "unit_permutation"
        return a[:, np.roll(np.arange(d), 1 + seed)]

    return [(apply(x), y), (x, apply(y))]


@pytest.mark.parametrize("name", sorted(INVARIANCES))
def test_declared_invariances_hold(any_spec: str, name: str, pair: Any, items: Any, score: Any, close: Any) -> None:
    m = metric(any_spec)
    if name not in m.invariances:
        return
    x, y = pair(1, items(m))
    before = score(m, x, y)
    for seed in range(2):
        for changed in transformed(name, x, y, seed):
            assert close(score(m, *changed), before, 1e-7)


@pytest.mark.parametrize("name", sorted(INVARIANCES))
def test_undeclared_invariances_fail_on_an_example(spec: str, name: str, pair: Any, items: Any, score: Any) -> None:
    m = metric(spec)
    if name in m.invariances:
        return
    changes = (
        abs(score(m, *changed) - score(m, *pair(seed, items(m))))
        for seed in range(4)
        for changed in transformed(name, *pair(seed, items(m)), seed)
    )
    assert any(change > 1e-5 for change in changes), f"{name} is not declared but held on every example"


# ---- prepare, compare, permute --------------------------------------------------------------------------------------


def test_permuting_a_prepared_state_equals_preparing_permuted_items(
    any_spec: str, pair: Any, items: Any, score: Any, close: Any
) -> None:
    m = metric(any_spec)
    x, y = pair(2, items(m))
    score(m, x, y)
    order = np.random.default_rng(0).permutation(len(x))
    direct, other = m.prepare(x[order]), m.prepare(y)
    moved = m.permute(m.prepare(x), order)
    expected, found = to_numpy(m.compare([direct], [other])), to_numpy(m.compare([moved], [other]))
    assert close(found[0, 0], expected[0, 0], 1e-9)
    expected, found = to_numpy(m.compare([other], [direct])), to_numpy(m.compare([other], [moved]))
    assert close(found[0, 0], expected[0, 0], 1e-9)
    back = m.permute(moved, np.argsort(order))
    assert close(to_numpy(m.compare([back], [other]))[0, 0], score(m, x, y), 1e-9)


def test_a_block_equals_its_pairs_one_by_one(any_spec: str, pair: Any, items: Any, score: Any) -> None:
    m = metric(any_spec)
    n = items(m)
    xs = [pair(s, n)[0] for s in (0, 1)] + [pair(3, n, 11, 3)[0]]
    ys = [pair(0, n)[1], pair(3, n, 11, 3)[1]]
    expected = np.array([[score(m, x, y) for y in ys] for x in xs])
    states_x, states_y = [m.prepare(x) for x in xs], [m.prepare(y) for y in ys]
    block = to_numpy(m.compare(states_x, states_y))
    assert block.shape == (3, 2)
    assert block.dtype == np.float64
    np.testing.assert_allclose(block, expected, rtol=1e-9, atol=1e-9)
    again = to_numpy(m.compare(states_x, states_y))
    np.testing.assert_array_equal(again, block, err_msg="states changed while they were compared")
    own = to_numpy(m.compare(states_x, states_x))
    np.testing.assert_allclose(own, [[score(m, a, b) for b in xs] for a in xs], rtol=1e-9, atol=1e-9)


def test_compare_permuted_equals_comparing_permuted_items(any_spec: str, pair: Any, items: Any, score: Any) -> None:
    m = metric(any_spec)
    n = items(m)
    rng = np.random.default_rng(1)
    xs, ys = [pair(s, n)[0] for s in range(3)], [pair(s, n)[1] for s in range(2)]
    score(m, xs[0], ys[0])
    orders = np.stack([np.arange(n)] + [rng.permutation(n) for _ in range(4)])
    states_x, states_y = [m.prepare(x) for x in xs], [m.prepare(y) for y in ys]
    for left, right, a, b in ((states_x, states_y, xs, ys), (states_y, states_x, ys, xs)):
        found = [np.asarray(s) for s in m.compare_permuted(left, right, orders)]
        assert len(found) == len(orders)
        for s, p in zip(found, orders, strict=True):
            np.testing.assert_allclose(s, [[score(m, u, v[p]) for v in b] for u in a], rtol=1e-9, atol=1e-9)


def test_the_same_call_gives_the_same_number(spec: str, pair: Any, items: Any, score: Any) -> None:
    m = metric(spec)
    x, y = pair(4, items(m))
    assert score(m, x, y) == score(m, x, y)


# ---- arrays -----------------------------------------------------------------------------------------------------


def test_float32_is_close_to_float64(spec: str, pair: Any, items: Any, score: Any, close: Any) -> None:
    m = metric(spec)
    x, y = (a.astype(np.float32) for a in pair(6, items(m)))
    assert close(score(m, x, y), score(m, x.astype(np.float64), y.astype(np.float64)), 1e-5)


def test_inputs_are_not_changed_and_may_be_read_only(spec: str, pair: Any, items: Any, score: Any, close: Any) -> None:
    m = metric(spec)
    for dtype in (np.float64, np.float32):
        x, y = (np.array(a, dtype=dtype) for a in pair(7, items(m)))
        before = x.copy(), y.copy()
        for order in ("C", "F"):
            u, v = np.array(x, order=order), np.array(y, order=order)
            u.setflags(write=False)
            v.setflags(write=False)
            assert close(score(m, u, v), score(m, x, y), 1e-9 if dtype is np.float64 else 1e-5)
        np.testing.assert_array_equal(x, before[0])
        np.testing.assert_array_equal(y, before[1])


def test_array_libraries_agree(spec: str, library: str, pair: Any, items: Any, score: Any, close: Any) -> None:
    m = metric(spec)
    module = pytest.importorskip("jax.numpy" if library == "jax" else library)
    x, y = pair(8, items(m))
    there = [module.asarray(np.array(a)) for a in (x, y)]
    assert close(score(m, *there), score(m, x, y), 1e-9)
    result = m.score(*there)
    assert type(result) is type(there[0]), "the score left the library of its inputs"


def test_torch_inputs_are_not_changed_and_keep_no_graph_unless_asked(
    spec: str, pair: Any, items: Any, score: Any
) -> None:
    torch = pytest.importorskip("torch")
    m = metric(spec)
    x, y = (torch.tensor(np.array(a)) for a in pair(8, items(m)))
    before = x.clone(), y.clone()
    score(m, x, y)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])
    assert not m.score(x, y).requires_grad


def slope(score: Any, m: Metric[Any], x: np.ndarray, y: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> float:
    h = 1e-5
    return (score(m, x + h * dx, y + h * dy) - score(m, x - h * dx, y - h * dy)) / (2 * h)


def test_gradients_equal_finite_differences_where_declared(
    spec: str, autograd: str, pair: Any, score: Any, close: Any
) -> None:
    m = metric(spec)
    if not m.differentiable:
        pytest.skip("not declared differentiable")
    module = pytest.importorskip(autograd)
    n = max(14, m.min_items + 2)
    x, y = pair(9, n, 4, 3)
    if autograd == "torch":
        tensors = [torch_leaf(module, a) for a in (x, y)]
        m.score(*tensors).backward()
        gradients = [t.grad.numpy() for t in tensors]
    else:
        arrays = [module.numpy.asarray(np.array(a)) for a in (x, y)]
        try:
            gradients = [np.asarray(g) for g in module.grad(m.score, argnums=(0, 1))(*arrays)]
        except module.errors.ConcretizationTypeError:
            pytest.skip("a shape or a branch depends on the data, which JAX cannot trace")
    rng = np.random.default_rng(0)
    zero_x, zero_y = np.zeros_like(x), np.zeros_like(y)
    for _ in range(2):
        dx, dy = rng.standard_normal(x.shape), rng.standard_normal(y.shape)
        assert close(float(np.sum(gradients[0] * dx)), slope(score, m, x, y, dx, zero_y), 1e-5)
        assert close(float(np.sum(gradients[1] * dy)), slope(score, m, x, y, zero_x, dy), 1e-5)
    assert any(np.abs(g).max() > 1e-8 for g in gradients)


def torch_leaf(torch: Any, a: np.ndarray) -> Any:
    return torch.tensor(np.array(a), requires_grad=True)


# ---- chance -----------------------------------------------------------------------------------------------------


def test_the_declared_chance_level_is_the_mean_score_of_noise(spec: str, score: Any) -> None:
    m = metric(spec)
    n, d1, d2 = max(60, m.min_items + 8), 12, 8
    level = m.chance_level(n, d1, d2)
    if level is None:
        pytest.skip("no numeric chance level is declared")
    rng = np.random.default_rng(0)
    scores = [score(m, rng.standard_normal((n, d1)), rng.standard_normal((n, d2))) for _ in range(24)]
    assert abs(np.mean(scores) - level) < 4 * np.std(scores, ddof=1) / len(scores) ** 0.5 + 0.01 * abs(level)


def small(m: Metric[Any], n: int) -> Metric[Any]:
    """The metric with ``k`` lowered so that `n` items are enough."""
    if m.min_items > n and any(f.name == "k" for f in dataclasses.fields(m)):
        m = dataclasses.replace(m, k=2)  # type: ignore[type-var]  # only where there is a field k
    return m


def enumerable(kind: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([n, len(kind)])
    x, y = rng.standard_normal((n, 3)), rng.standard_normal((n, 2)) + 1
    if kind == "heavy tails":
        return x**3, y**3
    if kind == "duplicates":
        x[1], y[3] = x[0], y[2]
    return x, y


@pytest.mark.parametrize("kind", ["plain", "heavy tails", "duplicates"])
@pytest.mark.parametrize("n", [6, 7])
def test_exact_null_moments_equal_enumeration_of_all_pairings(spec: str, n: int, kind: str) -> None:
    m = small(metric(spec), n)
    if m.min_items > n:
        pytest.skip(f"needs {m.min_items} items")
    if n == 7 and "kendall" in spec:
        pytest.skip("5040 rank correlations take half a minute; n = 6 enumerates them too")
    x, y = enumerable(kind, n)
    try:
        state_x, state_y = m.prepare(x), m.prepare(y)
        null = m.null_moments([state_x], [state_y])
    except (MissingExtraError, InputError) as error:
        pytest.skip(str(error))  # some estimators are not defined on some data
    if null is None:
        pytest.skip("no exact null is declared")
    orders = np.array(list(itertools.permutations(range(n))))
    scores = np.array([s[0, 0] for s in m.compare_permuted([state_x], [state_y], orders)])
    assert null.n == n
    np.testing.assert_allclose(float(np.squeeze(null.mean)), scores.mean(), rtol=1e-10, atol=1e-10)
    if null.std is not None:
        np.testing.assert_allclose(float(np.squeeze(null.std)) ** 2, scores.var(), rtol=1e-10, atol=1e-12)
    if null.skewness is not None and scores.std() > 1e-8:
        third = np.mean((scores - scores.mean()) ** 3) / scores.std() ** 3
        close = {"rtol": 1e-9, "atol": 1e-9} if null.exact_skewness else {"rtol": 0.2, "atol": 0.1}
        np.testing.assert_allclose(float(np.squeeze(null.skewness)), third, **close)


def test_the_null_of_a_pair_says_how_surprising_the_score_is(
    spec: str, pair: Any, items: Any, score: Any, in_range: Any
) -> None:
    m = metric(spec)
    x, y = pair(15, items(m))
    value = score(m, x, y)
    null = m.null(x, y, permutations=40, seed=3)
    assert null.n == len(x)
    assert in_range(m, null.mean, 1e-6)
    assert null.std >= 0
    assert isinstance(null.exact, bool)
    assert null.source
    p = null.p_value(value)
    assert 0 <= p <= 1
    assert p >= null.p_value(value + (-0.1 if m.distance else 0.1))
    again = m.null(x, y, permutations=40, seed=3)
    np.testing.assert_equal(dataclasses.asdict(again), dataclasses.asdict(null))


def test_the_block_form_of_the_null_equals_its_pairs(spec: str, pair: Any, items: Any, score: Any) -> None:
    m = metric(spec)
    n = items(m)
    xs, ys = [pair(s, n)[0] for s in range(2)], [pair(s, n)[1] for s in range(3)]
    score(m, xs[0], ys[0])
    states_x, states_y = [m.prepare(x) for x in xs], [m.prepare(y) for y in ys]
    block = m.null_moments(states_x, states_y)
    if block is None:
        pytest.skip("no exact null is declared")
    for field in ("mean", "std", "skewness"):
        values = getattr(block, field)
        if values is None:
            continue
        assert np.shape(values) == (2, 3)
        for i, j in itertools.product(range(2), range(3)):
            one = getattr(m.null_moments([states_x[i]], [states_y[j]]), field)
            np.testing.assert_allclose(np.asarray(values)[i, j], np.squeeze(one), rtol=1e-9, atol=1e-12)
