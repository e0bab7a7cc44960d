from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from isomorph.errors import InputError
from isomorph.significance import (
    benjamini_hochberg,
    benjamini_yekutieli,
    calibrate,
    family,
    maximum_p,
    permutations,
    sampled_null,
    sampled_p,
    single_step,
    step_down_p,
    studentize,
)


def noise(seed, count=99, shape=(3, 4)):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape), rng.standard_normal((count, *shape))


def test_p_is_one_more_than_the_exceedances_over_one_more_than_the_permutations():
    assert sampled_p(0.5, np.array([0.1, 0.5, 0.7, 0.2])) == pytest.approx(3 / 5)
    assert sampled_p(0.5, np.array([0.1, 0.5, 0.7, 0.2]), distance=True) == pytest.approx(4 / 5)


def test_a_null_that_is_constant_up_to_rounding_gives_no_evidence():
    assert sampled_p(0.3, np.full(99, 0.3 - 1e-12)) == 1.0


def test_calibration_by_hand():
    null = np.arange(1, 20) / 100  # K = 19: the threshold is the 19th of 20 values
    passes = calibrate(0.6, null)
    assert passes.threshold == pytest.approx(0.19)
    assert passes.calibrated == pytest.approx((0.6 - 0.19) / (1 - 0.19))
    assert passes.p_value == pytest.approx(1 / 20)
    fails = calibrate(0.185, null)
    assert (fails.calibrated, fails.threshold) == (0.0, 0.185)  # the observation is part of the quantile


def test_calibrated_scores_equal_those_of_calibrated_similarity_on_the_same_permutations(gram_cosine):
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("calibrated_similarity")
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((30, 3))
    xs = [shared + s * rng.standard_normal((30, 3)) for s in (0.5, 2.0)]
    ys = [shared + s * rng.standard_normal((30, 3)) for s in (0.5, 4.0, 50.0)]
    orders = permutations(30, 60, 1)
    a, b = ([gram_cosine.prepare(v) for v in side] for side in (xs, ys))
    values, null = gram_cosine.compare(a, b), sampled_null(gram_cosine, a, b, orders)
    ours = calibrate(values, null, alpha=0.1)

    def sim(x, y):
        return gram_cosine(x.numpy(), y.numpy())

    def replay():
        rows = iter(orders)
        return lambda n, device: torch.as_tensor(next(rows))

    tensors = [[torch.as_tensor(v) for v in side] for side in (xs, ys)]
    for i, x in enumerate(tensors[0]):
        for j, y in enumerate(tensors[1]):
            score, p, tau = theirs.calibrate(x, y, sim, K=60, alpha=0.1, perm_fn=replay())
            assert ours.calibrated[i, j] == pytest.approx(float(score), abs=1e-6)  # theirs is float32
            assert ours.p_value[i, j] == pytest.approx(float(p), abs=1e-6)
            assert ours.threshold[i, j] == pytest.approx(float(tau), abs=1e-6)
    score, p, tau = theirs.calibrate_layers(*tensors, sim, K=60, alpha=0.1, perm_fn=replay())
    maximum = calibrate(values.max(), null.max(axis=(1, 2)), alpha=0.1)
    assert maximum.calibrated == pytest.approx(float(score), abs=1e-6)
    assert maximum_p(values, null) == pytest.approx(float(p), abs=1e-6)
    assert maximum.threshold == pytest.approx(float(tau), abs=1e-6)


def test_a_distance_is_calibrated_as_its_mirror_image():
    values, null = noise(0)
    near, far = calibrate(values, null, s_max=5.0), calibrate(-values, -null, s_max=-5.0, distance=True)
    np.testing.assert_allclose(near.calibrated, far.calibrated)
    np.testing.assert_allclose(near.threshold, -far.threshold)
    np.testing.assert_allclose(near.p_value, far.p_value)


def test_a_score_without_a_best_value_keeps_its_units():
    result = calibrate(7.0, np.arange(19.0) / 10, s_max=math.inf)
    assert result.calibrated == pytest.approx(7.0 - 1.8)


def test_too_few_permutations_for_the_level_are_refused():
    with pytest.raises(InputError, match="use at least 19"):
        calibrate(0.5, np.zeros(18))


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
def test_a_level_outside_zero_and_one_is_refused(alpha):
    with pytest.raises(InputError, match="between 0 and 1"):
        calibrate(0.5, np.zeros(99), alpha=alpha)


@pytest.mark.parametrize("function", [sampled_p, maximum_p, single_step, step_down_p, calibrate])
def test_shapes_that_do_not_fit_and_values_that_are_not_finite_are_refused(function):
    with pytest.raises(InputError, match="null has shape"):
        function(np.zeros((2, 2)), np.zeros((30, 2)))
    with pytest.raises(InputError, match="finite"):
        function(np.zeros(2), np.full((30, 2), np.nan))


def test_p_of_the_maximum_by_hand():
    values = np.array([0.1, 0.6])
    null = np.array([[0.7, 0.0], [0.0, 0.6], [0.1, 0.5]])
    assert maximum_p(values, null) == pytest.approx(3 / 4)
    assert maximum_p(-values, -null, distance=True) == pytest.approx(3 / 4)


def test_the_p_of_the_maximum_is_that_of_the_best_raw_score_in_a_single_step():
    values, null = noise(3)
    assert maximum_p(values, null) == pytest.approx(single_step(values, null, studentized=False).min())


def test_step_down_by_hand():
    values = np.array([3.0, 2.0, 1.0])
    null = np.array([[4.0, 0, 0], [0, 2.5, 0], [0, 0, 1.5], [0, 0, 0]])
    # best: maxima 4, 2.5, 1.5, 0 -> 1 reaches 3; then without it 0, 2.5, 1.5, 0 -> 1 reaches 2; then 0, 0, 1.5, 0
    np.testing.assert_allclose(step_down_p(values, null, studentized=False), [2 / 5, 2 / 5, 2 / 5])
    np.testing.assert_allclose(single_step(values, null, studentized=False), [2 / 5, 3 / 5, 4 / 5])


@given(st.integers(0, 10_000), st.floats(0, 6))
@settings(max_examples=40, deadline=None)
def test_step_down_lies_between_the_plain_and_the_single_step_p(seed, effect):
    values, null = noise(seed, 60)
    values[0] += effect
    down, single = step_down_p(values, null), single_step(values, null)
    assert (down <= single + 1e-12).all()
    assert (down >= sampled_p(values, null) - 1e-12).all()
    order = np.argsort(-studentize(values, null)[0].ravel())
    assert (np.diff(down.ravel()[order]) >= 0).all()


def test_adjusted_p_of_noise_rejects_as_often_as_it_says_and_plain_p_more():
    rng = np.random.default_rng(5)
    adjusted, plain, top = [], [], []
    for _ in range(400):
        values, null = rng.standard_normal(12), rng.standard_normal((39, 12))
        adjusted.append(step_down_p(values, null).min() <= 0.05)
        top.append(maximum_p(values, null) <= 0.05)
        plain.append(sampled_p(values, null).min() <= 0.05)
    low, high = stats.binom.interval(0.998, 400, 0.05)
    assert low <= sum(adjusted) <= high
    assert low <= sum(top) <= high
    assert sum(plain) > 3 * high


def test_studentized_scores_do_not_change_with_the_units_of_a_score():
    values, null = noise(1)
    units = np.linspace(0.001, 50, 12).reshape(3, 4)
    np.testing.assert_allclose(step_down_p(values, null), step_down_p(values * units + 7, null * units + 7))


def test_a_constant_null_studentizes_to_zero():
    values, null = studentize(np.array([0.5]), np.full((20, 1), 0.5))
    assert values == 0
    assert (null == 0).all()


def test_a_family_of_metrics_accounts_for_all_their_scores():
    a, b = noise(0), noise(1, shape=(2, 2))
    one = family({"a": (*a, False)})
    np.testing.assert_allclose(one.step_down["a"], step_down_p(*a))
    both = family({"a": (*a, False), "b": (-b[0], -b[1], True)})
    assert both.single["a"].shape == (3, 4)
    assert both.single["b"].shape == (2, 2)
    assert (both.single["a"] >= one.single["a"]).all()
    assert both.p_maximum == pytest.approx(min(both.single["a"].min(), both.single["b"].min()))


def test_a_family_needs_shared_permutations():
    with pytest.raises(InputError, match="share"):
        family({"a": (*noise(0), False), "b": (*noise(1, 50), False)})
    with pytest.raises(InputError, match="no metrics"):
        family({})


def test_the_published_example_of_benjamini_and_hochberg_has_its_four_discoveries():
    # Benjamini and Hochberg (1995), section 4: fifteen tests of the treatment of myocardial infarction
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1,
    ]
    assert np.flatnonzero(benjamini_hochberg(p) <= 0.05).tolist() == [0, 1, 2, 3]
    assert benjamini_hochberg(p)[3] == pytest.approx(0.0095 * 15 / 4)
    assert np.flatnonzero(benjamini_yekutieli(p) <= 0.05).tolist() == [0, 1, 2]


def test_false_discovery_rates_follow_their_definition_in_any_shape():
    p = np.random.default_rng(0).uniform(size=(4, 5)) ** 3
    flat = p.ravel()
    ranks = np.array([np.sum(flat <= value) for value in flat])
    steps = [min([1.0, *(flat * flat.size / ranks)[flat >= value]]) for value in flat]
    harmonic = sum(1 / k for k in range(1, 21))
    wide = [min([1.0, *(flat * flat.size * harmonic / ranks)[flat >= value]]) for value in flat]
    np.testing.assert_allclose(benjamini_hochberg(p), np.reshape(steps, p.shape))
    np.testing.assert_allclose(benjamini_yekutieli(p), np.reshape(wide, p.shape))


@pytest.mark.parametrize("p", [[], [0.5, 1.2], [np.nan]])
def test_what_is_no_p_value_is_refused(p):
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        benjamini_hochberg(p)
