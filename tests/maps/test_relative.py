"""Relative representations, ASIF and all-anchor angles."""

from __future__ import annotations

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.maps import Map, make_map
from isomorph.maps.relative import Asif, Indra, Relative

CHOICES = ("random", "kmeans", "farthest", "mutual")


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("similarity", ["cosine", "angular"])
def test_rotated_and_scaled_spaces_have_the_same_relative_representation(
    choice: str, similarity: str, rotated: tuple[np.ndarray, ...]
) -> None:
    x, _, y = rotated
    fitted = Relative(12, choice, similarity).fit(x[:40], y[:40])
    np.testing.assert_allclose(fitted.embed_x(x[40:]), fitted.embed_y(y[40:]), atol=1e-10)


def test_without_centring_it_is_the_plain_cosine_to_the_anchors(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    fitted = Relative(10, centered=False).fit(x, y)
    np.testing.assert_allclose(fitted.embed_x(x), unit(x) @ unit(x[fitted.anchor_rows_]).T)
    np.testing.assert_allclose(fitted.embed_y(y), unit(y) @ unit(y[fitted.anchor_rows_]).T)
    angular = Relative(10, similarity="angular", centered=False).fit(x, y)
    np.testing.assert_allclose(
        angular.embed_x(x), 1 - np.arccos(np.clip(unit(x) @ unit(x[fitted.anchor_rows_]).T, -1, 1)) / np.pi
    )


@pytest.mark.parametrize("choice", CHOICES)
def test_anchors_are_distinct_training_pairs_and_the_seed_repeats_them(
    choice: str, pairs: tuple[np.ndarray, ...]
) -> None:
    rows = [Relative(25, choice, seed=3).fit(*pairs).anchor_rows_ for _ in range(2)]
    assert len(set(rows[0].tolist())) == 25
    assert set(rows[0].tolist()) <= set(range(80))
    np.testing.assert_array_equal(*rows)


@pytest.mark.parametrize("choice", ["kmeans", "farthest"])
def test_spread_anchors_visit_every_one_of_five_tight_clusters(choice: str) -> None:
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(5), [40, 40, 10, 5, 5])
    x = 10 * np.eye(5)[label] + 0.1 * rng.normal(size=(100, 5))
    fitted = Relative(5, choice).fit(x, x)
    assert set(label[fitted.anchor_rows_].tolist()) == set(range(5))


def test_mutual_anchors_leave_out_pairs_that_do_not_belong_together() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 10))
    y = x @ np.linalg.qr(rng.normal(size=(10, 10)))[0]
    y[:20] = y[rng.permutation(20)]  # a third of the pairs is wrong
    wrong = np.mean(Relative(30, "mutual").fit(x, y).anchor_rows_ < 20)
    assert wrong < 0.1


def test_more_anchors_than_pairs_are_refused(pairs: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(InputError, match=r"needs at least 100 pairs, found 80"):
        Relative().fit(*pairs)


def test_an_item_at_the_centre_has_no_direction_and_is_named(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    fitted = Relative(10).fit(x, y)
    with pytest.raises(InputError, match="no direction"):
        fitted.embed_x(np.vstack([x[:2], fitted.x_center_]))


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("relative(anchors=10, choice='best')", "choice"),
        ("relative(anchors=10, similarity='dot')", "similarity"),
        ("relative(anchors=2.5)", "anchors"),
        ("asif(k=81)", "k=81"),
        ("asif(power=0)", "power"),
        ("asif(anchors=90)", "at least 90 pairs"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(spec: str, word: str, pairs: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(InputError, match=word):
        make_map(spec).fit(*pairs)


def test_asif_keeps_the_k_largest_similarities_sharpened_and_of_unit_norm(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    fitted = Asif(k=6, power=2.0).fit(x, y)
    found = fitted.embed_x(x)
    cosines = unit(x - x.mean(axis=0)) @ unit(x - x.mean(axis=0)).T
    for row, all_cosines in zip(found, cosines, strict=True):
        kept = np.flatnonzero(row)
        assert set(kept) == set(np.argsort(-all_cosines)[:6])
        by_hand = all_cosines[kept] ** 2
        np.testing.assert_allclose(row[kept], by_hand / np.linalg.norm(by_hand))


def test_asif_never_lets_an_even_power_make_a_negative_similarity_count(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    found = Asif(k=80, power=2.0).fit(x, y).embed_x(x)
    cosines = unit(x - x.mean(axis=0)) @ unit(x - x.mean(axis=0)).T
    assert (found[cosines < 0] == 0).all()
    assert (found[cosines > 0] > 0).all()


def test_indra_is_one_minus_the_angular_relative_representation_to_all_pairs(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    relative = Relative(80, similarity="angular").fit(x, y)
    np.testing.assert_allclose(Indra().fit(x, y).embed_y(y), 1 - relative.embed_y(y), atol=1e-12)


@pytest.mark.parametrize("fitted", [Relative(40), Asif(), Indra()])
def test_held_out_items_are_found_far_above_chance(fitted: Map, rotated: tuple[np.ndarray, ...]) -> None:
    x, _, y = rotated
    noisy = y + 0.3 * np.random.default_rng(0).normal(size=y.shape)
    fitted.fit(x[:40], noisy[:40])
    a, b = fitted.embed_x(x[40:]), fitted.embed_y(noisy[40:])
    found = np.argmax(unit(a) @ unit(b).T, axis=1)
    assert np.mean(found == np.arange(20)) > 0.5
