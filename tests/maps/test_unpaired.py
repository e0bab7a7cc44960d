"""Translation learnt without pairs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from isomorph.errors import InputError
from isomorph.maps.retrieval import ranks
from isomorph.maps.unpaired import translate_unpaired


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Digits, another basis of the same space with noise, and two disjoint halves of the items."""
    rng = np.random.default_rng(0)
    x = load_digits().data / 16
    y = x @ np.linalg.qr(rng.normal(size=(64, 64)))[0] + 0.02 * rng.normal(size=x.shape)
    return x, y, rng.permutation(len(x))


def test_a_rotation_is_found_from_disjoint_items_and_finds_the_pairs_it_never_saw(
    digits: tuple[np.ndarray, ...],
) -> None:
    x, y, order = digits
    a, b = order[:900], order[900:]
    found = translate_unpaired(x[a], y[b], clusters=10, runs=6, refinements=15)
    assert found.success
    assert found.agreement > 0.9
    assert found.map is not None
    moved = found.map.predict(x[b]) - found.map.y_mean_
    assert np.mean(ranks(moved, y[b] - found.map.y_mean_) == 1) > 0.8


def test_left_and_right_halves_of_the_images_are_a_failure_and_give_no_map(digits: tuple[np.ndarray, ...]) -> None:
    x, _, order = digits
    left, right = (half.reshape(len(x), -1) for half in np.split(x.reshape(-1, 8, 8), 2, axis=2))
    found = translate_unpaired(left[order[:900]], right[order[900:]], clusters=10, runs=4, refinements=10)
    assert not found.success
    assert found.map is None
    assert "failed" in found.reason


def test_noise_is_a_failure(digits: tuple[np.ndarray, ...]) -> None:
    noise = np.random.default_rng(1).normal(size=(800, 64))
    found = translate_unpaired(digits[0][:900], noise, clusters=10, runs=2, refinements=5)
    assert not found.success


def test_the_seed_repeats_the_result(digits: tuple[np.ndarray, ...]) -> None:
    x, y, _ = digits
    first, second = (translate_unpaired(x[:400], y[400:800], clusters=5, runs=2, refinements=3) for _ in range(2))
    assert (first.agreement, first.closeness) == (second.agreement, second.closeness)


def test_bad_input_is_refused_by_name(digits: tuple[np.ndarray, ...]) -> None:
    x, y, _ = digits
    with pytest.raises(InputError, match="x has 99 items; 10 clusters need at least 100"):
        translate_unpaired(x[:99], y, clusters=10)
    with pytest.raises(InputError, match="clusters"):
        translate_unpaired(x, y, clusters=2)
    with pytest.raises(InputError, match="constant"):
        translate_unpaired(np.ones((300, 4)), y, clusters=10)
    with pytest.raises(InputError, match="lower clusters"):
        translate_unpaired(np.repeat(x[:4], 100, axis=0), y, clusters=10)
