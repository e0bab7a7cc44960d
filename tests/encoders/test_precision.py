"""Weights in fewer bits: held in bfloat16 when asked for, quantised ones as they are."""

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from safetensors.torch import load_file, save_file  # noqa: E402  # what is optional is asked for first

from isomorph.encoders import _hf_files, load_encoder  # noqa: E402
from isomorph.errors import InputError, UnknownNameError  # noqa: E402


def far(a, b):
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def _bytes(network):
    return sum(p.numel() * p.element_size() for p in network.parameters())


@pytest.mark.parametrize(
    ("kind", "items"), [("llama", "texts"), ("bert", "texts"), ("vit", "images"), ("whisper", "recordings")]
)
def test_weights_in_bfloat16_take_half_the_memory_and_features_stay_near(checkpoint, kind, items, request):
    items = request.getfixturevalue(items)
    plain = load_encoder(str(checkpoint(kind)))
    half = load_encoder(str(checkpoint(kind)), weights_dtype="bfloat16")
    assert half.checked == "passed"
    assert {p.dtype for p in plain.network.parameters()} == {torch.float32}
    assert {p.dtype for p in half.network.parameters()} == {torch.bfloat16}
    assert _bytes(half.network) * 2 == _bytes(plain.network)
    assert half.identity != plain.identity
    assert half.identity["weights_dtype"] == "bfloat16"
    assert half.layers == plain.layers
    exact, coarse = plain.encode(items), half.encode(items)
    for layer in plain.layers:
        assert coarse[layer].dtype == np.float32
        assert 0 < far(coarse[layer], exact[layer]) < 0.05, layer


def test_weights_in_float32_are_what_they_are_anyway(checkpoint):
    plain, said = load_encoder(str(checkpoint("bert"))), load_encoder(str(checkpoint("bert")), weights_dtype="float32")
    assert said.identity == plain.identity
    with pytest.raises(UnknownNameError, match="int8"):
        load_encoder(str(checkpoint("bert")), weights_dtype="int8")


_SCHEMES = [
    ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes", "bitsandbytes"),
    ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "bitsandbytes", "bitsandbytes"),
    ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "gptqmodel", "gptqmodel"),
    ({"quant_method": "awq", "bits": 4}, "gptqmodel", "gptqmodel"),
    ({"quant_method": "torchao", "quant_type": {"default": {}}}, "torchao", "torchao"),
    ({"quant_method": "quanto", "weights": "int8"}, "optimum-quanto", "optimum.quanto"),
    ({"quant_method": "hqq"}, "hqq", "hqq"),
    ({"quant_method": "compressed-tensors", "config_groups": {}}, "compressed-tensors", "compressed_tensors"),
    ({"quant_method": "aqlm"}, "aqlm", "aqlm"),
]


def _marked(folder, to, settings, **extra):
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps(config | {"quantization_config": settings} | extra))
    return to


@pytest.mark.parametrize(("settings", "package", "module"), _SCHEMES, ids=lambda v: v if isinstance(v, str) else None)
def test_the_package_that_reads_quantised_weights_is_named(
    checkpoint, tmp_path, monkeypatch, settings, package, module
):
    there = _hf_files._is_there
    monkeypatch.setattr(_hf_files, "_is_there", lambda name: name != module and there(name))
    folder = _marked(checkpoint("llama"), tmp_path / "quantised", settings)
    with pytest.raises(InputError, match=rf"package {package} reads; it is not installed.*pip install {package}"):
        load_encoder(str(folder))


def test_packages_are_looked_for_where_python_looks(monkeypatch):
    assert _hf_files._is_there("json")
    assert not _hf_files._is_there("no_such_package")
    assert not _hf_files._is_there("no_such_package.part")


def test_a_scheme_that_nobody_knows_is_refused(checkpoint, tmp_path):
    folder = _marked(checkpoint("llama"), tmp_path / "quantised", {"quant_method": "one-bit-wonder"})
    with pytest.raises(InputError, match="'one-bit-wonder', which transformers does not read"):
        load_encoder(str(folder))


def _quantise_to_fp8(folder, to):
    """As the checkpoints in 8-bit floats are saved: each block of a linear map with a scale of its own."""
    settings = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [8, 8]}
    settings["modules_to_not_convert"] = ["lm_head"]
    _marked(folder, to, settings, dtype="bfloat16")
    state, exact = {}, {}
    for name, weight in load_file(to / "model.safetensors").items():
        exact[name] = state[name] = weight.to(torch.bfloat16)
        if "proj" not in name:
            continue
        blocks = weight.unflatten(0, (-1, 8)).unflatten(2, (-1, 8))
        scale = blocks.abs().amax((1, 3)) / 448
        small = (blocks / scale[:, None, :, None]).to(torch.float8_e4m3fn)
        state[name] = small.flatten(2).flatten(0, 1).contiguous()
        state[name.replace(".weight", ".weight_scale_inv")] = scale
        exact[name] = (small.float() * scale[:, None, :, None]).flatten(2).flatten(0, 1)
    save_file(state, to / "model.safetensors", {"format": "pt"})
    return exact


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU these weights stay in 8 bits")
def test_weights_in_8_bit_floats_are_taken_as_they_are(checkpoint, texts, tmp_path):
    exact = _quantise_to_fp8(checkpoint("llama"), tmp_path / "fp8")
    encoder = load_encoder(str(tmp_path / "fp8"))
    assert encoder.checked == "passed"
    assert encoder.identity["quantized"] is True
    weights = encoder.network.state_dict()
    for name, wanted in exact.items():
        if name.startswith("model."):
            assert far(weights[name.removeprefix("model.")].float(), wanted.float()) < 0.01
    plain = load_encoder(str(checkpoint("llama")))
    assert encoder.identity["weights"] != plain.identity["weights"]
    for layer in plain.layers:
        assert far(encoder.encode(texts)[layer], plain.encode(texts)[layer]) < 0.2


def test_the_twin_of_a_quantised_checkpoint_is_drawn_in_float32(checkpoint, tmp_path):
    _quantise_to_fp8(checkpoint("llama"), tmp_path / "fp8")
    twin = load_encoder(str(tmp_path / "fp8"), init="random", seed=1)
    assert {p.dtype for p in twin.network.parameters()} == {torch.float32}
    plain = load_encoder(str(checkpoint("llama")), init="random", seed=1).network.state_dict()
    assert all(torch.equal(value, plain[name]) for name, value in twin.network.state_dict().items())


@pytest.fixture
def torchao():
    return pytest.importorskip("torchao", reason="torchao is not installed")


@pytest.mark.filterwarnings("ignore")  # of torchao's own ways with torch
def test_weights_in_8_bit_integers_of_torchao_stay_so(checkpoint, texts, tmp_path, torchao):
    from torchao.quantization import Int8WeightOnlyConfig

    base, folder = checkpoint("llama"), tmp_path / "int8"
    shutil.copytree(base, folder)
    config = transformers.TorchAoConfig(Int8WeightOnlyConfig())
    kept = transformers.LlamaForCausalLM.from_pretrained(base, dtype=torch.float32, quantization_config=config)
    kept.save_pretrained(folder)
    encoder = load_encoder(str(folder))
    assert encoder.checked == "passed"
    weight = encoder.network.layers[0].self_attn.q_proj.weight
    assert torchao.utils.TorchAOBaseTensor in type(weight).__mro__
    assert weight.qdata.dtype == torch.int8
    assert encoder.identity["quantized"] is True
    assert load_encoder(str(folder)).identity == encoder.identity
    ids = transformers.AutoTokenizer.from_pretrained(base)(texts[1], return_tensors="pt").input_ids
    with torch.no_grad():
        wanted = kept.eval()(ids, output_hidden_states=True).hidden_states[1][0].mean(0).numpy()
    assert far(encoder.encode(texts)["block_01"][1], wanted) < 1e-5
    before = encoder.identity
    weight.scale.data.mul_(2)
    assert encoder.identity != before
