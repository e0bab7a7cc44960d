import json
import shutil
import sys
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from isomorph.encoders import load_encoder  # noqa: E402  # what is optional is asked for first
from isomorph.errors import FetchError, InputError, MissingExtraError  # noqa: E402

from ..late import Late  # noqa: E402  # what is optional is asked for first

peft = Late("peft")

TARGETS = {"llama": ["q_proj", "v_proj"], "bert": ["query", "value"]}
BARE = {"llama": "LlamaModel", "bert": "BertModel"}


def far(a, b):
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def _load(kind, folder, **extra):
    return getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32, **extra).eval()


def _write_adapter(folder, model, config, seed=1):
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(seed)
        adapted = peft.get_peft_model(model, config)
        for name, parameter in adapted.named_parameters():
            if "modules_to_save" in name:
                parameter.data.normal_()
        adapted.save_pretrained(folder)
    return folder


def _lora(family, **extra):
    return peft.LoraConfig(r=2, target_modules=TARGETS[family], init_lora_weights=False, **extra)


@pytest.fixture(scope="module")
def adapter(checkpoint, tmp_path_factory):
    """A function from a family, and how it was trained, to the folder of a LoRA adapter."""
    made = {}

    def make(family, how="whole", seed=1):
        if (family, how, seed) not in made:
            base = checkpoint(family)
            kind, config = {
                ("llama", "whole"): ("LlamaForCausalLM", _lora("llama", task_type="CAUSAL_LM")),
                ("llama", "bare"): ("LlamaModel", _lora("llama", task_type="FEATURE_EXTRACTION")),
                ("llama", "dora"): ("LlamaForCausalLM", _lora("llama", use_dora=True)),
                ("llama", "ia3"): (
                    "LlamaForCausalLM",
                    peft.IA3Config(
                        target_modules=["k_proj", "down_proj"],
                        feedforward_modules=["down_proj"],
                        init_ia3_weights=False,
                    ),
                ),
                ("bert", "whole"): ("BertModel", _lora("bert")),
                ("bert", "classifier"): ("BertForSequenceClassification", _lora("bert", task_type="SEQ_CLS")),
            }[family, how]
            model = _load(kind, base)
            made[family, how, seed] = _write_adapter(tmp_path_factory.mktemp("adapter"), model, config, seed)
            if how == "ia3":
                _fill(made[family, how, seed])
        return made[family, how, seed]

    return make


def _fill(folder):
    """IA3 scales by one in the beginning; trained ones do not."""
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "adapter_model.safetensors")
    drawn = torch.Generator().manual_seed(0)
    save_file(
        {k: 1 + 0.3 * torch.randn(v.shape, generator=drawn) for k, v in state.items()},
        folder / "adapter_model.safetensors",
    )


def _by_hand(family, base, folder, text, how):
    """Means over the tokens of every block, by peft's own model, its adapter beside the weights and not merged."""
    kind = {
        ("llama", "whole"): "LlamaForCausalLM",
        ("llama", "dora"): "LlamaForCausalLM",
        ("llama", "ia3"): "LlamaForCausalLM",
        ("bert", "classifier"): "BertForSequenceClassification",
    }.get((family, how), BARE[family])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = peft.PeftModel.from_pretrained(_load(kind, base), str(folder)).eval()
    ids = transformers.AutoTokenizer.from_pretrained(base)(text, return_tensors="pt").input_ids
    kept = []
    blocks = [m for n, m in model.named_modules() if type(m).__name__ in ("LlamaDecoderLayer", "BertLayer")]
    for block in blocks:
        block.register_forward_hook(lambda _m, _a, out: kept.append((out[0] if isinstance(out, tuple) else out)[0]))
    with torch.no_grad():
        model(input_ids=ids)
    return [k.mean(0).numpy() for k in kept]


@pytest.mark.parametrize(
    ("family", "how"),
    [
        ("llama", "whole"),
        ("llama", "bare"),
        ("llama", "dora"),
        ("llama", "ia3"),
        ("bert", "whole"),
        ("bert", "classifier"),
    ],
)
def test_features_are_those_of_pefts_own_model(checkpoint, adapter, texts, family, how):
    folder = adapter(family, how)
    encoder = load_encoder(str(checkpoint(family)), adapter=str(folder))
    assert encoder.checked == "passed"
    features = encoder.encode(texts)
    plain = load_encoder(str(checkpoint(family))).encode(texts)
    for i, text in enumerate(texts):
        wanted = _by_hand(family, checkpoint(family), folder, text, how)
        assert len(wanted) == 3
        for number, value in enumerate(wanted, 1):
            assert far(features[f"block_{number:02d}"][i], value) < 1e-5
        assert far(plain["block_03"][i], wanted[-1]) > 1e-3


@pytest.fixture
def beside(checkpoint, adapter, tmp_path):
    """A folder of a base model with an adapter in it, which names another place for its base."""
    folder = tmp_path / "beside"
    shutil.copytree(checkpoint("llama"), folder)
    shutil.copytree(adapter("llama"), folder, dirs_exist_ok=True)
    return folder


def test_an_adapter_beside_the_weights_is_applied_once(checkpoint, adapter, beside, texts):
    encoder = load_encoder(str(beside), adapter=True)
    apart = load_encoder(str(checkpoint("llama")), adapter=str(adapter("llama")))
    assert encoder.layers == apart.layers
    for layer, rows in apart.encode(texts).items():
        assert far(encoder.encode(texts)[layer], rows) < 1e-6
    places = ("model", "revision")  # of the folder, which holds more files here
    assert {k: v for k, v in encoder.identity.items() if k not in places} == {
        k: v for k, v in apart.identity.items() if k not in places
    }


def test_an_adapter_that_lies_there_is_never_applied_unasked(checkpoint, adapter, beside, texts, tmp_path):
    with pytest.raises(InputError, match="never applied unasked"):
        load_encoder(str(beside))
    other = _write_adapter(
        tmp_path / "other",
        _load("LlamaForCausalLM", checkpoint("llama")),
        peft.LoraConfig(r=2, target_modules=["o_proj"], init_lora_weights=False),
    )
    encoder = load_encoder(str(beside), adapter=str(other))  # the one that is named, not the one that lies there
    wanted = load_encoder(str(checkpoint("llama")), adapter=str(other))
    assert far(encoder.encode(texts)["block_03"], wanted.encode(texts)["block_03"]) < 1e-6
    with pytest.raises(InputError, match="load its base model with adapter="):
        load_encoder(str(adapter("llama")))  # an adapter alone


def test_weights_that_the_base_lacks_are_noticed_with_an_adapter_too(beside):
    from safetensors.torch import load_file, save_file

    state = load_file(beside / "model.safetensors")
    save_file(
        {k: v for k, v in state.items() if "layers.1.mlp" not in k}, beside / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(InputError, match="lacks"):
        load_encoder(str(beside), adapter=True)


def test_identities_differ_with_and_without_and_between_adapters(checkpoint, adapter, tmp_path):
    base = str(checkpoint("llama"))
    one, other = (load_encoder(base, adapter=str(adapter("llama", seed=s))).identity for s in (1, 2))
    plain = load_encoder(base).identity
    assert len({json.dumps(i, sort_keys=True) for i in (one, other, plain)}) == 3
    assert len({i["weights"] for i in (one, other, plain)}) == 3
    shutil.copytree(adapter("llama"), tmp_path / "copy")
    assert load_encoder(base, adapter=str(tmp_path / "copy")).identity == one  # wherever it lies


@pytest.mark.parametrize(
    ("family", "other"), [("bert", "llama"), ("llama", "bert")], ids=["llama's on bert", "bert's on llama"]
)
def test_an_adapter_for_another_architecture_is_refused(checkpoint, adapter, family, other):
    with pytest.raises(InputError, match=r"adapter .* does not fit this model"):
        load_encoder(str(checkpoint(family)), adapter=str(adapter(other)))


@pytest.mark.parametrize(
    ("size", "value"), [("num_hidden_layers", 2), ("num_hidden_layers", 4), ("hidden_size", 24)], ids=str
)
def test_an_adapter_for_another_size_is_refused(checkpoint, adapter, tmp_path, size, value):
    shutil.copytree(checkpoint("llama"), tmp_path / "base")
    config = transformers.AutoConfig.from_pretrained(tmp_path / "base")
    setattr(config, size, value)
    config.head_dim = config.hidden_size // config.num_attention_heads
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "base")
    with pytest.raises(InputError, match=r"adapter .* does not fit this model"):
        load_encoder(str(tmp_path / "base"), adapter=str(adapter("llama")))


def test_an_adapter_that_changes_nothing_is_refused(checkpoint, tmp_path):
    config = peft.LoraConfig(r=2, target_modules=TARGETS["llama"])  # as it is before training: one factor is zero
    folder = _write_adapter(tmp_path / "idle", _load("LlamaForCausalLM", checkpoint("llama")), config)
    with pytest.raises(InputError, match="changes no weight"):
        load_encoder(str(checkpoint("llama")), adapter=str(folder))


def test_an_adapter_that_cannot_be_merged_is_refused(checkpoint, tmp_path):
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    folder = _write_adapter(tmp_path / "prompts", _load("LlamaForCausalLM", checkpoint("llama")), config)
    with pytest.raises(InputError, match="PROMPT_TUNING, which adds tokens"):
        load_encoder(str(checkpoint("llama")), adapter=str(folder))


def test_damaged_adapters_are_refused(checkpoint, adapter, tmp_path):
    base = str(checkpoint("llama"))

    def copy(name):
        shutil.copytree(adapter("llama"), tmp_path / name)
        return tmp_path / name

    def refused(folder, words):
        with pytest.raises(InputError, match=words):
            load_encoder(base, adapter=str(folder))

    refused(tmp_path, r"holds no adapter_config\.json")
    folder = copy("cut")
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    refused(folder, "cannot be read")
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    refused(folder, "git-lfs")
    weights.unlink()
    refused(folder, r"holds no adapter_model\.safetensors")
    (folder / "adapter_model.bin").write_bytes(b"x")
    refused(folder, "pickled")
    folder = copy("settings")
    (folder / "adapter_config.json").write_text("{")
    refused(folder, "cannot be read")
    (folder / "adapter_config.json").write_text('{"peft_type": "NEWEST"}')
    refused(folder, "cannot be read")
    folder = copy("part")
    _drop(folder, "layers.2")
    refused(folder, "does not fit")


def _drop(folder, part):
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "adapter_model.safetensors")
    save_file({k: v for k, v in state.items() if part not in k}, folder / "adapter_model.safetensors")


def test_without_peft_the_message_names_the_extra(checkpoint, adapter, beside, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    for spec, option in ((str(checkpoint("llama")), str(adapter("llama"))), (str(beside), True)):
        with pytest.raises(MissingExtraError, match=r"isomorph\[adapters\]"):
            load_encoder(spec, adapter=option)


def test_an_adapter_on_the_hub_that_cannot_be_had_is_answered_in_words(checkpoint, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(FetchError, match="nobody/no-such-adapter is not in the cache"):
        load_encoder(str(checkpoint("llama")), adapter="nobody/no-such-adapter")


def test_an_adapter_in_the_cache_of_the_hub(checkpoint, adapter, tmp_path, monkeypatch):
    import huggingface_hub
    from huggingface_hub import constants

    held = tmp_path / "models--org--tuned"
    commit = "0" * 40
    shutil.copytree(adapter("llama"), held / "snapshots" / commit)
    (held / "refs").mkdir()
    (held / "refs" / "main").write_text(commit)
    ask = huggingface_hub.try_to_load_from_cache
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda *a, **k: ask(*a, **k | {"cache_dir": tmp_path})
    )
    encoder = load_encoder(str(checkpoint("llama")), adapter="org/tuned")
    apart = load_encoder(str(checkpoint("llama")), adapter=str(adapter("llama")))
    assert encoder.identity == apart.identity
