from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.significance import (
    maximum_p,
    permutations,
    sampled_null,
    sampled_p,
    seconds_per_permutation,
    sequential,
)


def layers(metric, seed, count, n=20, shared=0.0):
    rng = np.random.default_rng(seed)
    common = np.random.default_rng(99).standard_normal((n, 3))
    return [metric.prepare(shared * common + rng.standard_normal((n, 3))) for _ in range(count)]


def test_the_null_holds_the_scores_of_really_permuted_items(gram_cosine):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 3)), rng.standard_normal((12, 4))
    orders = permutations(12, 5, 0)
    null = sampled_null(gram_cosine, [gram_cosine.prepare(x)], [gram_cosine.prepare(y)], orders)
    np.testing.assert_allclose(null[:, 0, 0], [gram_cosine(x, y[o]) for o in orders])


def test_all_layers_move_by_the_same_order_and_progress_is_told(gram_cosine):
    xs, ys, told = layers(gram_cosine, 0, 2), layers(gram_cosine, 1, 3), []
    orders = permutations(20, 7, 0)
    null = sampled_null(gram_cosine, xs, ys, orders, advance=told.append)
    assert null.shape == (7, 2, 3)
    assert sum(told) == 7
    np.testing.assert_allclose(null[:, 1:, 2:], sampled_null(gram_cosine, xs[1:], ys[2:], orders))


def test_a_score_that_is_not_finite_is_refused(gram_cosine):
    broken = np.full((20, 20), np.nan)
    with pytest.raises(InputError, match="not finite under permutation 0 at layers 0 × 0"):
        sampled_null(gram_cosine, [broken], [broken], permutations(20, 2, 0))


@pytest.mark.parametrize("which", ["gram_cosine", "gram_distance"])
def test_sequential_stopping_agrees_with_counting_by_hand(which, request):
    metric = request.getfixturevalue(which)
    xs, ys = layers(metric, 0, 3, shared=0.6), layers(metric, 1, 2, shared=0.6)
    values, orders = metric.compare(xs, ys), permutations(20, 300, 2)
    null = sampled_null(metric, xs, ys, orders)
    result = sequential(metric, xs, ys, values, orders, exceedances=5)
    better = null <= values if metric.distance else null >= values
    for i, j in np.ndindex(3, 2):
        reached = np.cumsum(better[:, i, j])
        if reached[-1] >= 5:
            used = int(np.argmax(reached == 5)) + 1
            assert (result.used[i, j], result.p_value[i, j]) == (used, 5 / used)
        else:
            assert result.used[i, j] == 300
            assert result.p_value[i, j] == pytest.approx((1 + reached[-1]) / 301)


def test_a_clear_case_uses_all_permutations_and_then_equals_the_plain_p(gram_cosine):
    xs, ys = layers(gram_cosine, 0, 2, n=40, shared=5.0), layers(gram_cosine, 1, 2, n=40, shared=5.0)
    values, orders = gram_cosine.compare(xs, ys), permutations(40, 99, 2)
    result = sequential(gram_cosine, xs, ys, values, orders)
    null = sampled_null(gram_cosine, xs, ys, orders)
    np.testing.assert_allclose(result.p_value, sampled_p(values, null))
    assert result.p_maximum == pytest.approx(maximum_p(values, null)) == pytest.approx(0.01)
    assert result.sampled == result.used_maximum == 99


def test_chance_scores_stop_early_and_settled_layers_are_not_compared_again(gram_cosine):
    xs, ys = layers(gram_cosine, 0, 3), layers(gram_cosine, 1, 3)
    values = np.full((3, 3), -1.0)  # every permutation reaches these
    values[0, 0] = 2.0  # none reaches this
    seen = []

    class Spy:
        distance = False

        def compare_permuted(self, a, b, orders):
            seen.append((len(a), len(b)))
            return gram_cosine.compare_permuted(a, b, orders)

    result = sequential(Spy(), xs, ys, values, permutations(20, 40, 0), maximum=False, block=10)
    assert seen == [(3, 3), (1, 1), (1, 1), (1, 1)]
    assert result.used.tolist() == [[40, 10, 10], [10, 10, 10], [10, 10, 10]]
    assert result.p_value[1, 1] == 1.0
    assert result.p_value[0, 0] == pytest.approx(1 / 41)
    assert result.p_maximum is None


def test_everything_settled_ends_the_sampling(gram_cosine):
    xs, ys, told = layers(gram_cosine, 0, 1), layers(gram_cosine, 1, 1), []
    result = sequential(
        gram_cosine, xs, ys, [[-1.0]], permutations(20, 1000, 0), exceedances=3, block=4, advance=told.append
    )
    assert (result.sampled, sum(told), result.used_maximum, result.p_maximum) == (4, 4, 3, 1.0)


def test_a_spent_budget_leaves_a_p_of_what_was_sampled(gram_cosine):
    xs, ys = layers(gram_cosine, 0, 1), layers(gram_cosine, 1, 1)
    result = sequential(gram_cosine, xs, ys, [[2.0]], permutations(20, 1000, 0), block=8, budget=0.0)
    assert result.sampled == 8
    assert result.p_value[0, 0] == pytest.approx(1 / 9)


def test_sequential_p_values_of_noise_are_valid_at_every_level():
    # the law of the p depends on ranks only, so exchangeable numbers stand for scores
    rng = np.random.default_rng(0)

    class Numbers:
        distance = False

        def compare_permuted(self, a, b, orders):
            return iter(rng.standard_normal((len(orders), 1, 1)))

    def one():
        return sequential(Numbers(), [0], [0], rng.standard_normal((1, 1)), np.zeros((100, 2)), exceedances=5).p_value

    p = np.array([one() for _ in range(1500)])
    for level in (0.02, 0.05, 0.1, 0.3, 0.5):
        assert np.sum(p <= level) <= stats.binom.ppf(0.9995, 1500, level)
    assert np.sum(p <= 0.5) >= stats.binom.ppf(0.0005, 1500, 0.5 - 0.07)  # and not needlessly careful


def test_a_shape_that_does_not_fit_is_refused(gram_cosine):
    with pytest.raises(InputError, match="shape"):
        sequential(gram_cosine, [1], [1], [1.0], permutations(5, 2, 0))


def test_the_cost_of_a_permutation_is_measured(gram_cosine):
    xs = layers(gram_cosine, 0, 1)
    assert seconds_per_permutation(gram_cosine, xs, xs, permutations(20, 3, 0)) > 0


def test_a_spent_budget_waits_for_the_least_number():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 4))
    m = metric("cka")
    xs, ys = [m.prepare(x)], [m.prepare(x + 0.1 * y)]
    orders = permutations(30, 200, 0)
    found = sequential(m, xs, ys, m.compare(xs, ys), orders, budget=0, least=99, block=16)
    assert found.sampled == 112
