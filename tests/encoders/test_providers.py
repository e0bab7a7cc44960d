"""What every provider owes: the same questions to each that is registered, on a tiny model of its own."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from isomorph.encoders import Encoder, load_encoder, providers
from isomorph.encoders._check import find_fault
from isomorph.errors import InputError, UnknownNameError

from .test_api import server  # noqa: F401  # a fixture
from .test_open_clip import folder as open_clip_folder  # noqa: F401
from .test_open_clip import open_clip  # noqa: F401
from .test_sentence_transformers import folder as sentence_folder  # noqa: F401
from .test_sentence_transformers import library  # noqa: F401
from .test_timm import folder as timm_folder  # noqa: F401
from .test_timm import timm  # noqa: F401


def _transformers(request, _):
    return f"transformers:{request.getfixturevalue('checkpoint')('bert')}", {}


def _module(_request, folder):
    (folder / "net.py").write_text(
        "import torch\n\n\ndef make():\n    torch.manual_seed(0)\n"
        "    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2), torch.nn.ReLU(), torch.nn.Conv2d(4, 5, 3, 2))\n"
    )
    return f"module:{folder / 'net.py'}:make", {}


def _bundled(_request, _folder):
    return "bundled:whisper-tiny.en", {"init": "random"}  # the twin needs no download


def _timm(request, _):
    return f"timm:{request.getfixturevalue('timm_folder')('vit')}", {}


def _open_clip(request, _):
    return f"open_clip:{request.getfixturevalue('open_clip_folder')('clip')}", {"side": "vision"}


def _sentence_transformers(request, _):
    return f"sentence-transformers:{request.getfixturevalue('sentence_folder')('mean')}", {}


def _onnx(_request, folder):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2), torch.nn.ReLU(), torch.nn.Conv2d(4, 5, 3, 2)).eval()
    path = folder / "net.onnx"
    torch.onnx.export(
        net, (torch.zeros(1, 3, 32, 32),), str(path), dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "b"}}
    )
    return f"onnx:{path}", {"layers": ["/0/Conv", "/2/Conv"]}


def _api(request, _):
    return f"api:tiny@{request.getfixturevalue('server').url}", {"backoff": 0.01}


MAKERS = {
    "transformers": _transformers, "module": _module, "bundled": _bundled, "timm": _timm, "open_clip": _open_clip,
    "sentence-transformers": _sentence_transformers, "onnx": _onnx, "api": _api,
}  # fmt: skip
ELSEWHERE = {"gguf": "test_gguf.py", "tflite": "test_tflite.py", "diffusers": "test_diffusers.py"}
"""Providers whose model takes pages to write: the same questions are asked in a file of theirs."""


def test_every_provider_is_asked():
    assert set(MAKERS) | set(ELSEWHERE) == set(providers.classes)


@pytest.fixture(params=sorted(MAKERS))
def made(request, tmp_path):
    return MAKERS[request.param](request, tmp_path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's older exporter
def test_a_provider_keeps_what_every_encoder_promises(made):
    spec, options = made
    encoder = load_encoder(spec, **options)
    assert isinstance(encoder, Encoder)
    inner = encoder.checkee
    assert inner.checked == "passed"
    items = inner.probes()
    rows = encoder.encode(items)
    assert tuple(rows) == encoder.layers
    assert encoder.n_parameters >= 0
    assert encoder.revision
    assert encoder.layers[0] in encoder.description or str(len(encoder.layers)) in encoder.description
    for layer, x in rows.items():
        assert x.dtype == np.float32
        assert x.ndim == 2
        assert len(x) == len(items)
        assert np.isfinite(x).all(), layer
    alone = {k: np.stack([encoder.encode([i])[k][0] for i in items]) for k in encoder.layers}
    for layer, x in rows.items():
        np.testing.assert_allclose(x, alone[layer], rtol=1e-4, atol=1e-4 * np.abs(x).max())
    assert find_fault(inner, items) is None
    identity = json.dumps(encoder.identity, sort_keys=True)
    assert json.dumps(load_encoder(spec, **options).identity, sort_keys=True) == identity


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_options_change_the_identity_or_are_refused(made):
    spec, options = made
    plain = load_encoder(spec, **options, check=False).identity
    with pytest.raises(UnknownNameError, match="colour"):
        load_encoder(spec, **options, colour="red")
    for change in ({"pooling": "max"}, {"init": "random", "seed": 3}, {"dtype": "bfloat16"}, {"layers": ["nothing*"]}):
        try:
            other = load_encoder(spec, **{**options, **change}, check=False)
        except InputError:  # UnknownNameError is one
            continue
        assert other.identity != plain, change


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_sides_are_named_or_there_is_one(made):
    spec, options = made
    provider, _, rest = spec.partition(":")
    sides = providers.classes[provider]().sides(rest)
    assert ("side" in options) <= bool(sides)
    with pytest.raises(InputError):
        load_encoder(spec, **{**options, "side": "nonsense"})


class _Ignores(Encoder):
    """A planted cheat: it takes every option and does nothing with it."""

    provider, name, revision, modality, layers, n_parameters = "cheat", "cheat", "1", "text", ("one",), 0
    identity: dict = {}  # noqa: RUF012  # the cheat

    def encode(self, batch):
        return {"one": np.ones((len(batch), 3), dtype=np.float32)}


def test_the_planted_cheat_fails():
    assert find_fault(_Ignores(), _Ignores().probes()).kind == "alike"
