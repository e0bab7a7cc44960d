"""A scan on a device: the CPU of torch stands in for a GPU, since both take the same path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import isomorph as iso
from isomorph.conditions import check_device
from isomorph.errors import InputError
from isomorph.metrics import metric

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")
METRICS = [
    "cka",
    "cka(kernel='rbf')",
    "nystrom_cka(landmarks=30)",
    "mutual_knn(k=5)",
    "procrustes",
    "cca",
    "rsa",
]
DEVICES = ["cpu", pytest.param("cuda", marks=GPU)]


def sides(dtype: Any = np.float64) -> tuple[iso.Layers, iso.Layers, iso.Layers]:
    rng = np.random.default_rng(0)
    x, noise, other = rng.standard_normal((3, 90, 6)).astype(dtype)
    ids = [f"item {k}" for k in range(90)]
    y = iso.Layers.from_arrays({"last": x + noise}, ids[::-1])
    return iso.Layers.from_arrays({"early": noise, "late": x}, ids), y.subset(ids), iso.Layers.from_arrays([other], ids)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("dtype", "precision"), [(np.float64, 1e-9), (np.float32, 1e-4)])
def test_scores_nulls_and_p_are_those_of_numpy(device: str, dtype: Any, precision: float) -> None:
    x, y, twin = sides(dtype)
    settings: dict[str, Any] = {"permutations": 39, "seed": 3, "x_baselines": {"twin": twin}, "neighbors": 3}
    here = iso.scan(x, y, METRICS, **settings)
    there = iso.scan(x, y, METRICS, device=device, **settings)
    assert list(there) == list(here)
    for name, found in here.items():
        np.testing.assert_allclose(there[name].values, found.values, atol=precision, err_msg=name)
        np.testing.assert_allclose(there[name].chance, found.chance, atol=precision, err_msg=name)
        # a p counted among 39 re-pairings moves by one of them where two scores are within rounding
        np.testing.assert_allclose(there[name].p_maximum, found.p_maximum, atol=1 / 40 + 1e-6, err_msg=name)
        assert there[name].against["twin x"]["value"] == pytest.approx(found.against["twin x"]["value"], abs=precision)


@pytest.mark.parametrize("device", DEVICES)
def test_metrics_are_given_tensors_on_the_device(device: str, monkeypatch: Any) -> None:
    seen = []
    kind = type(metric("procrustes"))
    prepare = kind.prepare

    def watched(self: Any, x: Any) -> Any:
        seen.append(x)
        return prepare(self, x)

    monkeypatch.setattr(kind, "prepare", watched)
    x, y, twin = sides()
    iso.scan(x, y, ["procrustes"], device=device, x_baselines={"twin": twin}, permutations=19)
    assert len(seen) >= 4
    assert all(isinstance(z, torch.Tensor) and z.device.type == device for z in seen)
    seen.clear()
    iso.scan(x, y, ["procrustes"], permutations=19)
    assert all(isinstance(z, np.ndarray) for z in seen)


def test_features_of_a_store_are_moved(tmp_path: Any) -> None:
    x, y, _ = sides(np.float32)
    read = iso.Layers.load(x.save(tmp_path / "x.npz"))
    here, there = iso.scan(read, y, ["cka"]), iso.scan(read, y, ["cka"], device="cpu")
    np.testing.assert_allclose(there["cka"].values, here["cka"].values, atol=1e-5)


def test_results_say_where_they_were_made_only_if_it_was_said() -> None:
    x, y, _ = sides()
    assert "device" not in iso.scan(x, y, ["cka"]).provenance
    assert iso.scan(x, y, ["cka"], device="cpu").provenance["device"] == "cpu"


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("cuda:99", r"device='cuda:99' cannot be used here: .*There are cpu"),
        ("gpu", "cannot be used here"),
        ("meta", "tensors there have no values"),
        (3, "must be a device of torch"),
    ],
)
def test_a_device_that_is_not_there_is_refused_before_anything_is_read(device: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_device(device)
    with pytest.raises(InputError, match=words):
        iso.scan(object(), object(), ["cka"], device=device)


def test_rdms_are_not_moved() -> None:
    rdm = iso.RDMs.from_arrays(np.ones((5, 5)) - np.eye(5))
    with pytest.raises(InputError, match="holds RDMs, which NumPy compares"):
        iso.scan(rdm, rdm, ["rsa"], device="cpu")


@pytest.mark.parametrize("layers", ["best", "matching"])
def test_an_atlas_on_a_device_is_that_of_arrays(layers):
    rng = np.random.default_rng(0)
    base = rng.normal(size=(60, 8))
    models = {
        f"m{i}": {f"l{j}": base @ rng.normal(size=(8, 6)) + rng.normal(size=(60, 6)) for j in range(2)}
        for i in range(3)
    }
    settings = {"metrics": ["cka", "mutual_knn(k=5)"], "permutations": 40, "splits": 2, "layers": layers}
    here, there = iso.atlas(models, **settings), iso.atlas(models, device="cpu", **settings)
    for name in here:
        np.testing.assert_allclose(there[name].values, here[name].values, atol=1e-10)
        np.testing.assert_array_equal(there[name].p_maximum, here[name].p_maximum)
        np.testing.assert_allclose(there[name].held_out, here[name].held_out, atol=1e-10)
    with pytest.raises(iso.InputError, match="device='nowhere'"):
        iso.atlas(models, device="nowhere", **settings)
