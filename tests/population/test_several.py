"""Centered kernel alignment of several spaces: pairwise CKA, closed forms, its null, and bad input."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import isomorph as iso
from isomorph.errors import InputError
from isomorph.population import several_spaces


def spaces(models=4, n=40, noise=0.6, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 5))
    return {f"m{k}": z + noise * rng.normal(size=z.shape) for k in range(models)}


@pytest.mark.parametrize(("debiased", "spec"), [(True, "cka"), (False, "cka(estimator='biased')")])
def test_pairs_are_aligned_as_cka_says_and_the_value_is_of_the_leading_eigenvalue(debiased, spec):
    given, metric = spaces(), iso.metric(spec)
    found = several_spaces(given, debiased=debiased, permutations=5)
    by_hand = np.array([[metric(x, y) for y in given.values()] for x in given.values()])
    np.testing.assert_allclose(found.alignments, by_hand, atol=1e-10)
    values, vectors = np.linalg.eig(by_hand)
    top = vectors[:, np.argmax(values)]
    assert found.value == pytest.approx((values.max() - 1) / 3, abs=1e-10)
    np.testing.assert_allclose(found.weights, top / top.sum(), atol=1e-8)


def test_of_two_spaces_it_is_cka():
    given = spaces(2)
    assert several_spaces(given, permutations=5).value == pytest.approx(iso.metric("cka")(*given.values()), abs=1e-10)


def test_one_space_turned_shifted_and_scaled_is_one_kernel_and_each_agrees_wholly():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4))
    given = {f"m{k}": (k + 1) * x @ np.linalg.qr(rng.normal(size=(4, 4)))[0] + k for k in range(4)}
    found = several_spaces(given, permutations=19)
    assert found.value == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_allclose(found.agreement, 1.0, atol=1e-9)
    np.testing.assert_allclose(found.weights, 0.25, atol=1e-9)
    assert found.p_value == 1 / 20


def test_the_agreement_with_the_others_is_cka_with_their_weighted_kernel():
    given = spaces(3)
    found = several_spaces(given, debiased=False, permutations=5)

    def kernel(x):
        c = x - x.mean(axis=0)
        k = c @ c.T
        return k / np.linalg.norm(k)

    k = [kernel(x) for x in given.values()]
    common = k[1] + k[2]  # two spaces have equal weights, whatever their alignment
    assert found.agreement[0] == pytest.approx(np.sum(k[0] * common) / np.linalg.norm(common), abs=1e-10)


def test_a_stranger_among_models_is_found_and_those_that_share_are_above_chance():
    given = spaces(4) | {"stranger": np.random.default_rng(9).normal(size=(40, 5))}
    found = several_spaces(given, permutations=99)
    assert found.p_value == 0.01
    assert (found.agreement_p[:4] == 0.01).all()
    assert found.agreement_p[4] > 0.05
    assert found.weights[4] < found.weights[:4].min()
    assert "stranger least" in found.told


def test_p_is_right_where_nothing_is_shared_and_chance_is_what_is_met_there():
    p, values, chances = [], [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        found = several_spaces({f"m{k}": rng.normal(size=(16, 3)) for k in range(3)}, permutations=39, seed=seed)
        p += [found.p_value, found.agreement_p[0]]
        values.append(found.value)
        chances.append(found.chance)
    # of 200 p at .05 the 99.9 % band of a right test ends at 22
    assert sum(v <= 0.05 for v in p[::2]) <= 22
    assert sum(v <= 0.05 for v in p[1::2]) <= 22
    assert sum(v <= 0.5 for v in p[::2]) > 60
    error = np.std(np.subtract(values, chances)) / np.sqrt(200)
    assert abs(np.mean(values) - np.mean(chances)) < 4 * error


def test_the_null_is_that_of_all_orders_of_all_models():
    given = spaces(3, n=5, noise=1.0)
    found = several_spaces(given, permutations=2000, debiased=False)
    flat = []
    kernels = []
    for x in given.values():
        c = x - x.mean(axis=0)
        kernels.append(c @ c.T / np.linalg.norm(c @ c.T))
    orders = [list(order) for order in itertools.permutations(range(5))]
    moved = [[k[np.ix_(o, o)] for o in orders] for k in kernels]
    between = np.array([[np.sum(a * b) for b in moved[2]] for a in moved[1]])
    first = [np.array([np.sum(kernels[0] * m) for m in moved[k]]) for k in (1, 2)]
    for i, j in itertools.product(range(120), repeat=2):
        c = np.array([[1, first[0][i], first[1][j]], [0, 1, between[i, j]], [0, 0, 1]])
        flat.append((np.linalg.eigvalsh(c, UPLO="U")[-1] - 1) / 2)
    exact = np.mean(np.array(flat) >= found.value - 1e-9)
    assert found.chance == pytest.approx(np.mean(flat), abs=5 * np.std(flat) / np.sqrt(2000))
    assert found.p_value == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / 2000) + 1 / 2000)


def test_groups_are_permuted_whole():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), 5)
    centers = 3 * rng.normal(size=(2, 6, 4))[:, groups]  # groups lie apart, each model in its own way
    given = {f"m{k}": c + 0.1 * rng.normal(size=c.shape) for k, c in enumerate(centers)}
    assert several_spaces(given, groups=groups.tolist()).chance > several_spaces(given).chance + 0.1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"a": np.eye(6)}, "at least 2"),
        ([np.eye(6)] * 2, "features by name"),
        ({"a": np.eye(6), "b": np.eye(5)}, "a has 6, b has 5 rows"),
        ({"a": np.eye(4), "b": np.eye(4)}, "hold 4 items; at least 5"),
        ({"a": np.ones((6, 2)), "b": np.eye(6)}, "a"),
    ],
)
def test_what_cannot_be_aligned_is_refused_in_words(given, said):
    with pytest.raises(InputError, match=said):
        several_spaces(given)
