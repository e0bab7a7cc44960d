"""Encoders on a GPU: the features of the CPU, in single precision and in bfloat16."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import isomorph as iso
from isomorph.encoders import load_encoder

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")

KINDS = ["vit", "dinov2", "resnet", "bert", "gpt2", "albert", "llama", "t5", "whisper", "wav2vec2", "clip"]
SIDES = {"t5": "encoder", "whisper": "encoder", "clip": "vision"}


@pytest.fixture
def items(texts, images, recordings):
    return {"text": texts, "image": images, "audio": recordings}


def features(checkpoint, items, kind, **options):
    side = {"side": SIDES[kind]} if kind in SIDES else {}
    encoder = load_encoder(str(checkpoint(kind)), **side, **options)
    return encoder.encode(items[encoder.modality])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "precision"), [("float32", 1e-3), ("bfloat16", 6e-2)])
def test_features_of_a_gpu_are_those_of_the_cpu(checkpoint, items, kind, dtype, precision):
    expected = features(checkpoint, items, kind)
    found = features(checkpoint, items, kind, device="cuda", dtype=dtype)
    assert list(found) == list(expected)
    for layer, values in expected.items():
        assert found[layer].dtype == np.float32
        error = np.linalg.norm(found[layer] - values) / np.linalg.norm(values)
        assert error < precision, f"{layer} differs by {error:.1e} of its norm"


def test_a_store_filled_on_a_gpu_is_scanned_there(checkpoint, texts, images, tmp_path):
    ids = [f"item {k}" for k in range(len(texts))]
    items = iso.PairedItems("few", ids, {"caption": list(texts), "image": list(images)})
    store = iso.FeatureStore(tmp_path / "features")
    sides = [
        iso.extract(load_encoder(str(checkpoint(kind)), device="cuda"), items, view, store)
        for kind, view in (("bert", "caption"), ("vit", "image"))
    ]
    here = iso.scan(*sides, ["cka", "mutual_knn(k=2)"], permutations=19)
    there = iso.scan(*sides, ["cka", "mutual_knn(k=2)"], permutations=19, device="cuda")
    for name, found in here.items():
        np.testing.assert_allclose(there[name].values, found.values, atol=1e-4)
