"""Datasets of xarray and data frames say what the result says, and notebooks complete its names."""

from __future__ import annotations

import inspect
import sys

import numpy as np
import pytest

import isomorph as iso
import isomorph.results as kinds
from isomorph.errors import MissingExtraError

rng = np.random.default_rng(0)
Z = rng.normal(size=(60, 4))
X = {f"x{k}": Z + (2 - k) * rng.normal(size=(60, 4)) for k in range(3)}
Y = {f"y{k}": Z + rng.normal(size=(60, 4)) for k in range(2)}


@pytest.fixture(scope="module")
def scan() -> iso.Scan:
    return iso.scan(X, Y, ["cka", "mutual_knn(k=5)"], permutations=40, seed=3)


def test_a_scan_is_a_grid_of_metrics_and_layers(scan: iso.Scan) -> None:
    held = scan.to_xarray()
    assert dict(held.sizes) == {"metric": 2, "x_layer": 3, "y_layer": 2}
    one = scan["mutual_knn(k=5)"]
    here = held.sel(metric="mutual_knn(k=5)")
    for name, grid in {"value": one.values, "chance": one.chance, "p_value": one.p_value}.items():
        np.testing.assert_array_equal(here[name].values, grid)
    assert one.interval is not None
    np.testing.assert_array_equal(here.low.values, one.interval[..., 0])
    assert float(here.value.sel(x_layer="x2", y_layer="y1")) == one.at("x2", "y1")["value"]
    assert int(here.permutations) == 40
    assert held.attrs["seed"] == 3
    assert held.attrs["n"] == 60


def test_an_alignment_leaves_out_what_it_does_not_hold(scan: iso.Scan) -> None:
    held = scan["cka"].to_xarray()
    assert held.value.dims == ("x_layer", "y_layer")
    assert held.attrs["metric"] == scan["cka"].metric
    exact = iso.scan(X, Y, "cka", permutations=0)["cka"]
    assert (exact.calibrated is None) == ("calibrated" not in exact.to_xarray())


def test_an_atlas_is_a_grid_of_models() -> None:
    models = {"a": Z, "b": Z + rng.normal(size=Z.shape), "c": rng.normal(size=Z.shape)}
    atlas = iso.atlas(models, ["cka"], permutations=39)
    held = atlas.to_xarray().sel(metric=next(iter(atlas)))
    np.testing.assert_array_equal(held.value.values, atlas["cka"].values)
    assert float(held.q.sel(x_model="a", y_model="b")) == atlas["cka"].q[0, 1]


def test_a_stitch_is_a_grid_of_maps_and_scores() -> None:
    found = iso.stitch(X["x2"], Y["y0"], ["ridge", "orthogonal"], repeats=2, permutations=9)
    held = found.to_xarray()
    here = held.sel(map="ridge", score="mrr")
    assert float(here.value) == found["ridge"]["mrr"].value
    assert float(here.chance) == found["ridge"]["mrr"].chance
    assert float(here.p_value) == found["ridge"].p_value["mrr"]
    control = "permuted pairs"
    assert float(here.beside_value.sel(beside=control)) == found["ridge"].controls[control]["mrr"].value


def test_without_xarray_the_extra_is_named(scan: iso.Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingExtraError, match=r"isomorph\[grids\]"):
        scan.to_xarray()


def test_whatever_has_records_has_a_frame(scan: iso.Scan) -> None:
    classes = [c for c in (getattr(kinds, name) for name in kinds.__all__) if inspect.isclass(c)]
    recorded = [c for c in classes if hasattr(c, "to_records")]
    assert len(recorded) > 15
    assert [c.__name__ for c in recorded if not hasattr(c, "to_frame")] == []
    assert len(scan["cka"].to_frame()) == 6


def test_a_notebook_completes_the_names_in_a_result(scan: iso.Scan) -> None:
    assert scan._ipython_key_completions_() == list(scan)
    assert scan["cka"]._ipython_key_completions_() == []
    found = iso.stitch(X["x2"], Y["y0"], "ridge", repeats=2, permutations=0)
    assert found["ridge"]._ipython_key_completions_() == list(found["ridge"].scores)
    encoding = iso.fit_encoding(X, Y["y0"], permutations=0)
    assert all(encoding[name] is not None for name in encoding._ipython_key_completions_())
    layers = iso.Layers.from_arrays(X, ids=[f"item {i}" for i in range(60)])
    assert layers._ipython_key_completions_() == list(X)


def test_the_names_of_the_package_are_offered_and_help_begins_with_what_it_is_for() -> None:
    assert dir(iso) == iso.__all__
    assert {"scan", "stitch", "show_versions", "load_result"} <= set(dir(iso))
    for name in iso.__all__:
        told = inspect.getdoc(getattr(iso, name)) if name != "__version__" else "-"
        assert told, f"help(iso.{name}) is empty"
    assert "plot" in dir(iso.Scan)
    assert str(inspect.signature(iso.Scan.plot)).startswith("(self, part:")
