"""Sides: whatever a user gives, checked once, joined by id."""

import numpy as np
import pytest

import isomorph as iso
from isomorph import InputError
from isomorph.conditions.sides import as_side, joined

X = np.random.default_rng(0).normal(size=(30, 4))


def test_layers_that_are_both_sides_are_compared_with_themselves(tmp_path):
    layers = iso.Layers.from_arrays({"a": X, "b": X[:, :2]})
    scan = iso.scan(layers, layers, ["cka"], permutations=19)
    assert scan["cka"].x_dims == scan["cka"].y_dims == (4, 2)


@pytest.mark.parametrize("bad", [5, ["a"], {"a": 1}, np.ones(3), b"x", 10**5000], ids=range(6))
def test_a_name_is_a_text(bad):
    for name in ("x_name", "y_name"):
        with pytest.raises(InputError, match=f"{name} must be a text"):
            iso.scan(X, X, ["cka"], permutations=19, **{name: bad})


def test_names_that_are_one_text_are_refused():
    with pytest.raises(InputError, match="two layers have the same name"):
        as_side({1: X, "1": X}, "x", None)


def test_sides_of_numpy_stay_as_they_are():
    left, right = as_side({"a": X}, "x", None), as_side([X], "y", None)
    a, b = joined(left, right)
    assert a.layers is left.layers
    assert b.layers is right.layers
