"""One space for all models, on held-out items: planted shared axes, the control, and what each way may do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import orthogonal_procrustes

from isomorph.design import Design
from isomorph.errors import InputError
from isomorph.population import consensus
from isomorph.population.consensus import _procrustes

TRAIN, TEST = range(100), range(100, 160)


def models(rng, count=4, shared=3, private=5, strength=1.0, n=160):
    z = rng.normal(size=(n, shared))
    return {
        f"m{k}": np.hstack([strength * z, rng.normal(size=(n, private))]) @ rng.normal(size=(shared + private, 10))
        for k in range(count)
    }


def test_shared_axes_are_found_on_held_out_items_and_permuted_ones_have_none():
    found = consensus(models(np.random.default_rng(0)), TRAIN, TEST, rank=3)
    assert found.axes == 3
    assert (found.n_train, found.n_test) == (100, 60)
    for way in (found.cca, found.procrustes):
        assert (way.p_value == 0.01).all()
        assert np.abs(way.control).max() < 0.06
        assert way.coordinates.shape == (60, 3)
    assert found.cca.values.min() > 0.8
    assert "permuted items" in found.told


def test_spaces_of_one_shape_agree_wholly_by_rotation():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(160, 5)) * [3, 2, 1.5, 1, 0.5]
    turned = {
        "a": z,
        "b": 7 * z @ np.linalg.qr(rng.normal(size=(5, 5)))[0] + 100,
        "c": z @ np.linalg.qr(rng.normal(size=(9, 9)))[0][:5],  # in a wider space
    }
    found = consensus(turned, TRAIN, TEST)
    assert found.axes == 5
    assert found.procrustes.values == pytest.approx([1, 1, 1])


def test_a_shared_axis_beneath_private_ones_is_found_by_cca_and_not_by_rotation():
    rng = np.random.default_rng(2)
    z = rng.normal(size=(160, 1))
    spaces = {k: np.hstack([z, 6 * rng.normal(size=(160, 3))]) for k in "abcde"}
    found = consensus(spaces, TRAIN, TEST, rank=1, regularization=1e-3)
    assert found.cca.values.min() > 0.9
    assert found.cca.values.min() > found.procrustes.values.max() + 0.2


def test_of_models_without_anything_shared_p_is_uniform_and_values_are_about_zero_though_they_fit():
    rng = np.random.default_rng(3)
    values, p = [], []
    for trial in range(60):
        spaces = {k: rng.normal(size=(70, 60)) for k in "abc"}  # 60 features of 50 items: anything can be fitted
        found = consensus(spaces, range(50), range(50, 70), rank=4, permutations=19, seed=trial)
        values.append([found.cca.values[0], found.procrustes.values[0]])
        p.append([found.cca.p_value[0], found.procrustes.p_value[0]])
    low, high = stats.binom.interval(0.998, 60, 0.05)
    assert np.abs(np.mean(values, axis=0)).max() < 0.06
    for some in np.array(p).T:
        assert low <= np.sum(some <= 0.05) <= high
        assert stats.kstest(some - 0.025, "uniform").pvalue > 0.001


def test_the_odd_model_out_is_named_by_its_p():
    rng = np.random.default_rng(4)
    found = consensus(models(rng) | {"odd": rng.normal(size=(160, 8))}, TRAIN, TEST, rank=3)
    for way in (found.cca, found.procrustes):
        assert (way.p_value[:4] <= 0.05).all()
        assert way.values[4] < 0.3 < way.values[:4].min()


def test_of_two_spaces_generalized_procrustes_is_the_plain_rotation():
    rng = np.random.default_rng(5)
    z = rng.normal(size=(80, 4))
    spaces = {"a": z, "b": z @ rng.normal(size=(4, 4)) + 0.5 * rng.normal(size=(80, 4))}
    turns = _procrustes(spaces, 4)
    scaled = {k: (v - v.mean(axis=0)) / np.linalg.norm(v - v.mean(axis=0)) * np.sqrt(80) for k, v in spaces.items()}
    a, b = (scaled[k] @ turns[k] for k in "ab")
    rotation, _ = orthogonal_procrustes(scaled["a"], scaled["b"])
    assert np.linalg.norm(a - b) == pytest.approx(np.linalg.norm(scaled["a"] @ rotation - scaled["b"]))


def test_neither_the_order_of_models_nor_their_units_nor_a_rotation_matter():
    rng = np.random.default_rng(6)
    spaces = models(rng, count=3)
    a = consensus(spaces, TRAIN, TEST, rank=3)
    other = {k: 1e3 * spaces[k] @ np.linalg.qr(rng.normal(size=(10, 10)))[0] - 50 for k in ("m2", "m0", "m1")}
    b = consensus(other, TRAIN, TEST, rank=3)
    for way in ("cca", "procrustes"):
        back = [b.names.index(name) for name in a.names]
        assert getattr(b, way).values[back] == pytest.approx(getattr(a, way).values, abs=1e-4)


def test_groups_are_permuted_whole_and_may_not_be_on_both_sides():
    """Items of a group are copies: permuted one by one they would look independent."""
    rng = np.random.default_rng(7)
    reached = {"items": 0, "groups": 0}
    for trial in range(60):
        centers = {k: np.repeat(rng.normal(size=(40, 4)), 4, axis=0) for k in "abc"}
        spaces = {k: c + 0.1 * rng.normal(size=c.shape) for k, c in centers.items()}
        group = np.repeat(np.arange(40), 4)
        for what, groups in (("items", None), ("groups", group)):
            found = consensus(spaces, TRAIN, TEST, rank=2, groups=groups, permutations=19, seed=trial)
            reached[what] += found.cca.p_value[0] <= 0.05
    _, high = stats.binom.interval(0.998, 60, 0.05)
    assert reached["groups"] <= high
    assert reached["items"] > high
    with pytest.raises(InputError, match="train and test share 1 groups"):
        consensus(spaces, range(98), range(98, 160), groups=group)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"spaces": {"a": np.ones((40, 2))}}, r"spaces holds 1 model\(s\)"),
        ({"spaces": [1, 2]}, "spaces takes features by name"),
        ({"spaces": {"a": np.ones((40, 2)), "b": np.ones((39, 2))}}, "a has 40, b has 39 rows"),
        ({"spaces": {"a": np.eye(40), "b": np.ones((40, 2))}}, "b is constant"),
        ({"test": range(19, 40)}, r"share 1 items \(first row 19\)"),
        ({"test": range(20, 25)}, "test holds 5 items; at least 8"),
        ({"test": range(20, 41)}, "test names row 40 of 40 items"),
        ({"train": [1] * 20}, "train takes different row numbers"),
        ({"rank": 0}, "rank=0"),
        ({"regularization": 0.0}, "regularization=0.0 must"),
        ({"permutations": 0}, "permutations=0"),
    ],
)
def test_what_does_not_fit_is_named(change, told):
    x = np.random.default_rng(8).normal(size=(2, 40, 3))
    good = {"spaces": {"a": x[0], "b": x[1]}, "train": range(20), "test": range(20, 40)}
    with pytest.raises(InputError, match=told):
        consensus(**good | change)


def test_a_design_says_which_orders_the_control_may_take():
    rng = np.random.default_rng(5)
    labels = np.repeat(["a", "b"], 80)[np.random.default_rng(6).permutation(160)]
    level = np.where(labels == "a", 3.0, -3.0)[:, None]  # all that the models share is the label
    spaces = {k: np.hstack([level, rng.normal(size=(160, 3))]) for k in "xyz"}
    free = consensus(spaces, TRAIN, TEST, rank=1, seed=2)
    inside = consensus(spaces, TRAIN, TEST, rank=1, seed=2, groups=Design(strata=labels.tolist()))
    assert free.cca.values == pytest.approx(inside.cca.values)
    assert abs(free.cca.control).max() < 0.1
    assert inside.cca.control.min() > 0.9  # beyond the label there is nothing
    assert inside.cca.p_value.min() > 0.05
    groups = (np.arange(160) // 4).tolist()
    named, given = (consensus(spaces, TRAIN, TEST, groups=g, seed=2) for g in (groups, Design(groups)))
    assert np.array_equal(named.cca.control, given.cca.control)
