"""A side is looked at once: values that are not finite are looked for once a layer, whatever a scan does with it."""

import numpy as np
import pytest

import isomorph as iso
from isomorph._core import arrays


@pytest.fixture
def looks(monkeypatch):
    """How often the values of each array of at least 40 items were looked at."""
    seen = []
    honest = arrays._require_finite

    def counted(x, name, xp):
        if x.shape[0] >= 40:
            seen.append(name)
        return honest(x, name, xp)

    monkeypatch.setattr(arrays, "_require_finite", counted)
    return seen


@pytest.fixture
def sides():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 4))
    x, y = ({f"l{i}": z + (i + 1) * rng.normal(size=z.shape) for i in range(3)} for _ in range(2))
    return x, y


METRICS = ["mutual_knn(k=5)", "cka", "rsa"]


def test_a_scan_of_arrays_looks_once_a_layer(looks, sides):
    iso.scan(*sides, METRICS, permutations=19)
    assert len(looks) == 6


def test_a_scan_of_stored_layers_looks_once_a_layer(looks, sides):
    ids = [f"i{k}" for k in range(60)]
    x, y = (iso.Layers.from_arrays(s, ids) for s in sides)
    looks.clear()  # they were looked at when they were made
    iso.scan(x, y, METRICS, permutations=19)
    assert len(looks) == 6


def test_split_gallery_and_a_baseline_look_no_more_often(looks, sides):
    x, y = sides
    noise = {k: np.random.default_rng(5).normal(size=v.shape) for k, v in x.items()}
    iso.scan(x, y, METRICS, permutations=19, selection="split", gallery=[40, 50], x_baselines={"noise": noise})
    assert len(looks) <= 9 + 10  # and the ten random subsets of a gallery curve are arrays of their own


def test_outside_a_verb_an_array_that_was_changed_is_looked_at_again():
    x = np.random.default_rng(0).normal(size=(50, 3))
    assert iso.metric("cka")(x, x) == pytest.approx(1.0)
    x[3, 1] = np.nan
    with pytest.raises(iso.InputError, match="non-finite"):
        iso.metric("cka")(x, x)


def test_many_items_are_checked_while_a_metric_reads_them_in_a_scan_too(looks, monkeypatch):
    monkeypatch.setattr(arrays, "MANY", 50)
    rng = np.random.default_rng(0)
    x, y = (iso.Layers.from_arrays({"a": rng.normal(size=(60, 4))}, [f"i{k}" for k in range(60)]) for _ in range(2))
    looks.clear()
    iso.scan(x, y, "cka", permutations=0, intervals=False, neighbors=0)
    assert looks.count("layer 'a'") <= 2
    rows = 1.0 + np.arange(240.0).reshape(60, 4)
    rows[1, 3] = np.nan
    broken = iso.Layers({"a": rows}, [f"i{k}" for k in range(60)])
    with pytest.raises(iso.InputError, match="1 non-finite value, the first at item 1, feature 3"):
        iso.scan(broken, y, "cka", permutations=0, intervals=False, neighbors=0)
