import pytest

from isomorph.encoders import ModelSpec, parse_model_spec
from isomorph.errors import InputError


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("bundled:minilm-l6", ModelSpec("bundled", "minilm-l6")),
        ("transformers:org/name@abc123", ModelSpec("transformers", "org/name", "abc123")),
        ("org/name", ModelSpec("transformers", "org/name")),
        (" org/name@v1 ", ModelSpec("transformers", "org/name", "v1")),
        ("./some/dir", ModelSpec("transformers", "./some/dir")),
        ("/some/dir", ModelSpec("transformers", "/some/dir")),
        ("model.onnx", ModelSpec("onnx", "model.onnx")),
        ("a/b/model.onnx", ModelSpec("onnx", "a/b/model.onnx")),
        ("onnx:./model.onnx", ModelSpec("onnx", "./model.onnx")),
        ("minilm-l6", ModelSpec("", "minilm-l6")),
    ],
)
def test_a_spec_names_provider_model_and_revision(spec, expected):
    assert parse_model_spec(spec) == expected


def test_an_existing_folder_is_a_local_checkpoint_even_with_an_at_sign(tmp_path, monkeypatch):
    (tmp_path / "my@model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_model_spec("my@model") == ModelSpec("transformers", "my@model")


@pytest.mark.parametrize("spec", ["", "  ", "bundled:", "org/name@", "@abc"])
def test_a_spec_that_lacks_a_part_is_refused(spec):
    with pytest.raises(InputError):
        parse_model_spec(spec)
