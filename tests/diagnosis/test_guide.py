"""A diagnosis says which metric to trust for what was asked of it, by the table of the guide."""

from __future__ import annotations

import numpy as np
import pytest

import isomorph as iso
from isomorph.errors import InputError, UnknownNameError
from isomorph.results import Guide

RNG = np.random.default_rng(0)
X, NOISE = RNG.normal(size=(2, 60, 6))


def asked(*args, **kwargs):
    return [advice.criterion for advice in iso.diagnose(*args, **kwargs).guide]


def test_what_was_given_decides_which_purposes_come_into_question():
    assert asked(X) == []
    assert asked(X, NOISE) == ["predictivity"]
    assert asked({"a": X, "b": NOISE}, {"p": NOISE, "q": X[:, :4]}) == ["predictivity", "identification", "width"]
    stitch = iso.stitch(X, X + NOISE, "ridge", repeats=2, permutations=5)
    assert asked(stitch=stitch) == ["stitching", "retrieval"]


def test_a_failure_that_was_found_asks_which_metric_sees_through_it():
    moved = X.copy()
    moved[:15] += 50
    found = iso.diagnose(X, moved)
    assert "subset_translation" in found
    (advice,) = (a for a in found.guide if a.criterion == "translation")
    assert advice.trusted == tuple(
        map(Guide.packaged()["translation"].short, Guide.packaged()["translation"].trusted(0.05))
    )
    assert "translation" not in asked(X, NOISE)


def test_metrics_of_the_scan_are_told_how_they_stand():
    scan = iso.scan(X, X + NOISE, ["cka", "mutual_knn(k=3)"], permutations=20)
    (advice,) = iso.diagnose(scan=scan, purposes=["translation"]).guide
    assert dict(advice.given) == {
        "cka(estimator='unbiased')": "not shown to tell it",
        "mutual_knn(k=3)": "not in the league",
    }


def test_purposes_can_be_asked_for_and_a_wrong_one_is_refused_in_words():
    assert asked(X, purposes=["stitching", "noise"]) == ["stitching", "noise"]
    assert asked(X, NOISE, purposes=[]) == []
    with pytest.raises(UnknownNameError, match="Did you mean 'stitching'"):
        iso.diagnose(X, purposes=["stiching"])
    with pytest.raises(InputError, match="purposes='noise' must be a list of names"):
        iso.diagnose(X, purposes="noise")


def test_the_guide_is_printed_saved_and_on_the_page(tmp_path):
    found = iso.diagnose(X, NOISE)
    assert "To know whether one network's features can be computed" in repr(found)
    again = iso.load_result(found.save(tmp_path / "diagnosis.json"))
    assert again.to_json() == found.to_json()
    page = iso.report(again, to=tmp_path / "page.html").read_text()
    assert "Which metric to trust here" in page
    assert "(predictivity)" in page
