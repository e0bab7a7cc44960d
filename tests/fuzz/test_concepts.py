"""Bad input of a map of concepts: each is told in words that name the argument, what was found and what would do."""

import numpy as np
import pytest

import isomorph as iso
from isomorph.metrics import REGISTRY

N = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 4))
Y = X + RNG.normal(size=(N, 4))
KIND = ["a", "b"] * (N // 2)
IDS = [f"i{k}" for k in range(N)]
ITEMS = iso.PairedItems("things", IDS, {}, {"kind": KIND})
ABLE = [name for name in REGISTRY.classes if REGISTRY.make(name).item_score]
UNABLE = [name for name in REGISTRY.classes if name not in ABLE]


def layers(rows, ids):
    return iso.Layers.from_arrays({"last": rows}, ids)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"labels": "kind"}, ("labels='kind'", "items=")),
        ({"labels": "knid", "items": ITEMS}, ("labels='knid'", "it has kind")),
        ({"labels": ["a"] * N}, ("labels", "1 concept for all 60 items", "two or more")),
        ({"labels": IDS}, ("labels", "single item", "labels that items share")),
        ({"labels": KIND[:-1]}, ("labels", "59", "60")),
        ({"labels": {}}, ("labels is empty", "leave it out")),
        ({"labels": {"mine": {"one": [], "two": ["3"]}}}, ("'one'", "ids of items")),
        ({"labels": {"mine": {"one": ["3"], "two": ["nobody"]}}}, ("'nobody'", "no id of an item")),
        ({"labels": "words"}, ("words", "items= with a view of texts")),
        ({"x_ceilings": X}, ("x_ceilings", "name of the model")),
        ({"y_ceilings": {}}, ("y_ceilings", "name of the model")),
        ({"x_ceilings": {"other": X[:50]}}, ("x_ceilings['other']", "50", "60")),
        ({"y_ceilings": {"other": np.full((N, 3), np.nan)}}, ("y_ceilings['other']", "finite")),
        ({"covariates": {"age": [float("nan")] * 3 + [1.0, 2.0, 3.0] * 19}}, ("'age' by '0', '1', '2'", "leave out")),
        ({"covariates": {"age": [1.0] * N}}, ("age", "constant", "Leave it out")),
        ({"covariates": {"age": [1.0, 2.0]}}, ("age", "60")),
        ({"covariates": "agee"}, ("Unknown covariate 'agee'",)),
        ({"covariates": {"kind": ["lone", *["a", "b"] * 29, "a"]}}, ("kind", "lone")),
        ({"others": X}, ("others", "{'speech': layers}")),
        ({"others": {"a": X, "b": Y}}, ("others", "one further modality")),
        ({"x_layer": "first"}, ("x_layer", "first")),
        ({"groups": "session"}, ("groups='session'", "items=")),
        ({"permutations": 3}, ("permutations=3", "at least 19")),
        ({"shared": -0.1}, ("shared=-0.1", "between 0 and 1")),
        ({"stable": float("nan")}, ("stable=nan", "between 0 and 1")),
        ({"missing": "drop"}, ("missing='drop'", "leave out")),
        ({"map": "rigde"}, ("Did you mean 'ridge'",)),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_in_words(given, says):
    with pytest.raises(iso.InputError) as caught:
        iso.concepts(X, Y, **({"metric": "mutual_knn(k=5)", "permutations": 19} | given))
    for words in says:
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ceilings_of_other_items_are_told_with_how_many_are_lacking():
    x, y = layers(X, IDS), layers(Y, IDS)
    few, foreign = layers(X[:40], IDS[:40]), layers(X, [f"q{k}" for k in range(N)])
    with pytest.raises(iso.InputError, match=r"x_ceilings\['few'\] lacks 20 of the 60 items"):
        iso.concepts(x, y, labels=KIND, x_ceilings={"few": few}, permutations=19)
    with pytest.raises(iso.InputError, match=r"x_ceilings\['foreign'\].*items"):
        iso.concepts(x, y, labels=KIND, x_ceilings={"foreign": foreign}, permutations=19)
    with pytest.raises(iso.InputError, match=r"others\['few'\] lacks 20 of the 60 items"):
        iso.concepts(x, y, labels=KIND, others={"few": few}, permutations=19, x_name="x", y_name="y")


@pytest.mark.parametrize("name", UNABLE)
def test_a_metric_without_scores_per_item_is_told_with_all_that_have_them(name):
    with pytest.raises(iso.InputError, match="no score per item") as caught:
        iso.concepts(X, Y, metric=name)
    told = str(caught.value).rpartition("Use one that has: ")[2].rstrip(".").split(", ")
    assert told == ABLE
    assert {"mutual_knn", "cka", "rsa"} <= set(told)


def test_some_labels_of_a_single_item_are_noted_and_have_no_verdict():
    other = {"x_ceilings": {"x2": X + 0.1 * Y}, "y_ceilings": {"y2": Y + 0.1 * X}}
    found = iso.concepts(X, Y, labels=["lone", *KIND[1:]], metric="mutual_knn(k=5)", permutations=19, **other)
    assert any("1 of the 3 concepts of labels have a single item" in note for note in found.notes)
    assert found.labels["lone"]["verdict"] == "undecided"
    assert found.labels["lone"]["needed"] is None
