"""Covariates by name: label sets, tables, what is made of items and of features."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

import isomorph as iso
from isomorph.concept_maps._computed import COMPUTED, center_distance, hubness, local_density, read_covariates
from isomorph.errors import InputError, UnknownNameError


def items():
    texts = ["a cat on a mat", "a dog", "cow", "two sheep"]
    return iso.PairedItems("pets", tuple("abcd"), {"text": texts}, {"kind": tuple("xxyy")}, groups=tuple("pqqr"))


def spread():
    return np.random.default_rng(0).normal(size=(60, 5))


def test_neighbourhood_covariates_are_those_of_scikit_learn():
    x = spread()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    near = NearestNeighbors(n_neighbors=5, metric="cosine").fit(unit).kneighbors(return_distance=False)
    assert np.array_equal(hubness(x, k=5), np.bincount(near.ravel(), minlength=60))
    assert local_density(x, k=5) == pytest.approx([unit[i] @ unit[j].sum(axis=0) / 5 for i, j in enumerate(near)])
    distance = np.linalg.norm(x - x.mean(axis=0), axis=1)
    assert center_distance(x) == pytest.approx(distance / np.sqrt(np.mean(distance**2)))


def test_ties_share_their_places_and_order_does_not_matter():
    x = np.round(spread()) + 0.25  # no item at the origin, many ties
    order = np.random.default_rng(1).permutation(60)
    for measure in (hubness, local_density, center_distance):
        assert measure(x[order]) == pytest.approx(measure(x)[order], abs=1e-12)
    assert hubness(x).sum() == pytest.approx(600)


def test_names_are_found_where_they_are():
    sides = {"x": np.eye(4), "y": np.eye(4)[::-1]}
    found = read_covariates(
        ["kind", "groups", "word_count", "center_distance(side='y')"], items=items(), sides=sides, n=4
    )
    assert found["kind"] == ("x", "x", "y", "y")
    assert found["groups"] == ("p", "q", "q", "r")
    assert found["word_count"].tolist() == [5, 2, 1, 2]
    assert list(found)[3] == "center_distance in y"
    assert list(read_covariates("hubness(k=2)", sides=sides, n=4)) == ["hubness in x", "hubness in y"]
    assert read_covariates(None, n=4) == {}


def test_mappings_hold_values_and_names():
    found = read_covariates({"length": "word_count", "size": [1, 2, 3, 4], "what": "kind"}, items=items(), n=4)
    assert found["length"].tolist() == [5, 2, 1, 2]
    assert found["size"] == [1, 2, 3, 4]
    assert found["what"] == ("x", "x", "y", "y")
    both = read_covariates({"hubs": "hubness(k=1)"}, sides={"x": np.eye(4), "y": np.eye(4)}, n=4)
    assert list(both) == ["hubness in x", "hubness in y"]


def test_tables_are_joined_by_id(tmp_path):
    path = tmp_path / "norms.csv"
    path.write_text("id,size,kind\nd,4,farm\na,1,pet\nb,,pet\nz,9,pet\n", encoding="utf-8")
    for given in (path, str(path)):
        found = read_covariates(given, ids=tuple("abcd"), n=4)
        assert found == {"size": [1.0, None, None, 4.0], "kind": ["pet", "pet", None, "farm"]}
    with pytest.raises(InputError, match="none of the 1 items"):
        read_covariates(path, ids=["q"], n=1)
    with pytest.raises(InputError, match="joined by ids"):
        read_covariates(path, n=4)


def test_what_is_not_there_is_said():
    with pytest.raises(UnknownNameError, match="Did you mean 'word_count'"):
        read_covariates("wordcount", items=items(), n=4)
    with pytest.raises(InputError, match="give them with items="):
        read_covariates("word_count", n=4)
    with pytest.raises(InputError, match="made of features, and there are none"):
        read_covariates("hubness", items=items(), n=4)
    with pytest.raises(UnknownNameError, match="side of hubness 'z'"):
        read_covariates("hubness(side='z')", sides={"x": np.eye(4)}, n=4)
    with pytest.raises(InputError, match="'kind' is given twice"):
        read_covariates(["kind", "kind"], items=items(), n=4)
    with pytest.raises(InputError, match="a mapping from name to values, names, or the path"):
        read_covariates(3, items=items(), n=4)
    with pytest.raises(InputError, match="k"):
        read_covariates("hubness(k=0)", sides={"x": spread()}, n=60)
    assert {"hubness", "word_frequency", "image_bytes"} <= set(COMPUTED)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_covariates_of_the_space_do_not_depend_on_its_scale(scale):
    x = np.random.default_rng(0).normal(size=(30, 4))
    names = ["center_distance", "local_density", "hubness"]
    plain, scaled = (read_covariates(names, sides={"x": x * s}, n=30) for s in (1.0, scale))
    for name, values in plain.items():
        assert np.allclose(scaled[name], values, rtol=1e-9)
