"""The contract of every registered provider, on a tiny encoder of each; the laws are in `contracts/provider_laws.py`.

A new provider is one file of `isomorph/encoders/`: its tiny encoder is its own (`Provider.example`), or a maker here.
"""

from __future__ import annotations

import pytest
import torch

from isomorph.encoders import providers

from ..contracts.provider_laws import PROVIDERS, loader
from .test_api import server  # noqa: F401  # a fixture
from .test_diffusers import folders as diffusers_folders  # noqa: F401
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
    return "bundled:mobilenet-v2-0.35", {"init": "random"}  # the twin needs no download


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


def _gguf(_request, folder):
    from . import test_gguf

    test_gguf.write(folder / "tiny.gguf")
    return f"gguf:{folder / 'tiny.gguf'}", {}


def _tflite(_request, folder):
    from . import test_tflite

    return f"tflite:{test_tflite.residual(folder / 'tiny.tflite')}", dict(test_tflite.PLAIN)


def _diffusers(request, _):
    return f"diffusers:{request.getfixturevalue('diffusers_folders')('pixels')}", {}


MAKERS = {
    "transformers": _transformers, "module": _module, "bundled": _bundled, "timm": _timm, "open_clip": _open_clip,
    "sentence-transformers": _sentence_transformers, "onnx": _onnx, "api": _api, "gguf": _gguf, "tflite": _tflite,
    "diffusers": _diffusers,
}  # fmt: skip
"""Tiny encoders of the providers whose model takes fixtures to make."""


@pytest.fixture(scope="module")
def samples():
    """Provider -> what loads its tiny encoder: each is made once, but of a server, which lasts one test."""
    return {}


@pytest.fixture
def load(kind, request, samples, tmp_path_factory):
    if kind.name not in samples:
        folder = tmp_path_factory.mktemp(kind.name)
        found = kind.example(folder) or MAKERS.get(kind.name, lambda *_: None)(request, folder)
        assert found, f"{kind.name} has no tiny encoder: implement Provider.example, or make one here"
        if kind.name == "api":
            return loader(*found)
        samples[kind.name] = loader(*found)
    return samples[kind.name]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's older exporter
@pytest.mark.parametrize(("kind", "law"), list(PROVIDERS.cases(providers.classes)))
def test_a_provider_keeps_the_law(kind, law, load):
    law(kind, load)


def test_no_maker_outlives_its_provider():
    assert set(MAKERS) <= set(providers.classes)
