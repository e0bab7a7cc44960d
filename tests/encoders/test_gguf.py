"""GGUF files written by llama.cpp's own package, against the same weights in transformers."""

import shutil

import numpy as np
import pytest
import torch

from isomorph.encoders import load_encoder
from isomorph.errors import InputError, MissingExtraError

gguf = pytest.importorskip("gguf")

WIDTH, HEADS, WORDS = (
    32,
    2,
    ["a", "cat", "sat", "on", "the", "red", "mat", "dog", "runs", "home", "now", "small", "blue"],
)


def model(seed=0):
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(seed)
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "intermediate_size": 64, "max_position_embeddings": 64}
    heads = {"num_attention_heads": HEADS, "num_key_value_heads": 1}
    return LlamaModel(LlamaConfig(**sizes, **heads, vocab_size=len(vocabulary()[0]), rms_norm_eps=1e-6)).eval()


def letters():
    """The 256 letters that stand for bytes in a byte-level vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 400))
    return [chr(b) if b in plain else chr(next(others)) for b in range(256)]


def vocabulary():
    tokens, merges = letters(), []
    for word in WORDS:
        left = "Ġ"
        for letter in word:
            if left + letter not in tokens:
                tokens.append(left + letter)
                merges.append(f"{left} {letter}")
            left += letter
    return [*tokens, "<|end|>"], merges


def turned(weight, heads):
    """As llama.cpp orders the rows of queries and keys, for its form of rotary positions."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


NAMES = {
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
}  # fmt: skip


def write(path, *, network=None, architecture="llama", kind=None, leave_out=(), tokens=True):
    network = network or model()
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(64)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    words, merges = vocabulary()
    writer.add_vocab_size(len(words))
    if tokens:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        writer.add_token_list(words)
        writer.add_token_types([gguf.TokenType.NORMAL] * (len(words) - 1) + [gguf.TokenType.CONTROL])
        writer.add_token_merges(merges)
        writer.add_bos_token_id(len(words) - 1)
        writer.add_eos_token_id(len(words) - 1)
        writer.add_pad_token_id(len(words) - 1)
    for name, value in tensors(network).items():
        if name not in leave_out:
            add(writer, name, value, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tensors(network):
    state = {k: v.numpy() for k, v in network.state_dict().items()}
    named = {"token_embd.weight": state["embed_tokens.weight"], "output_norm.weight": state["norm.weight"]}
    for i in range(2):
        for ours, theirs in NAMES.items():
            value = state[f"layers.{i}.{ours}.weight"]
            heads = {"attn_q": HEADS, "attn_k": 1}.get(theirs)
            named[f"blk.{i}.{theirs}.weight"] = turned(value, heads) if heads else value
    return named


def add(writer, name, value, kind):
    value = np.ascontiguousarray(value, dtype=np.float32)
    if kind is None or value.ndim < 2:
        writer.add_tensor(name, value)
    else:
        writer.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "cache"))


TEXTS = ["a cat", "the red dog runs home now", "home", "a small red cat sat on the mat"]


def by_hand(network, text, tokenizer):
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    with torch.no_grad():
        out = network(input_ids=ids, output_hidden_states=True)
    return [h[0].mean(0).numpy() for h in (*out.hidden_states[:2], out.last_hidden_state)]


@pytest.mark.parametrize("bare", [True, False])
def test_every_layer_equals_the_weights_that_were_written(tmp_path, bare):
    network = model()
    for p in network.parameters():
        torch.nn.init.normal_(p, 0.0, 0.3)
    path = write(tmp_path / "tiny.gguf", network=network)
    encoder = load_encoder(str(path) if bare else f"gguf:{path}")
    assert encoder.layers == ("embedding", "block_01", "block_02", "final_norm")
    assert (encoder.modality, encoder.checked, encoder.name) == ("text", "passed", "gguf:tiny.gguf")
    features = encoder.encode(TEXTS)
    tokenizer = encoder._inputs._tokenizer
    assert len(tokenizer("a cat")["input_ids"]) < 6
    for i, text in enumerate(TEXTS):
        embedding, first, last = by_hand(network, text, tokenizer)
        for layer, expected in {"embedding": embedding, "block_01": first, "final_norm": last}.items():
            np.testing.assert_allclose(features[layer][i], expected, rtol=1e-4, atol=1e-5)


def test_quantised_weights_are_those_of_the_quantised_model(tmp_path):
    network = model()
    kind = gguf.GGMLQuantizationType.Q8_0
    coarse = load_encoder(str(write(tmp_path / "q8.gguf", network=network, kind=kind)))
    for name, p in network.named_parameters():
        if p.ndim == 2:
            heads = HEADS if "q_proj" in name else 1 if "k_proj" in name else None
            value = turned(p.detach().numpy(), heads) if heads else p.detach().numpy()
            value = gguf.quants.dequantize(gguf.quants.quantize(value, kind), kind)
            if heads:
                value = value.reshape(heads, p.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(p.shape)
            p.data = torch.from_numpy(value.copy())
    features = coarse.encode(TEXTS)
    for i, text in enumerate(TEXTS):
        expected = by_hand(network, text, coarse._inputs._tokenizer)[2]
        np.testing.assert_allclose(features["final_norm"][i], expected, rtol=1e-4, atol=1e-5)


def test_a_file_is_converted_once_and_known_by_its_content(tmp_path, capsys):
    path = write(tmp_path / "one.gguf")
    first = load_encoder(str(path))
    assert "Converting one.gguf" in capsys.readouterr().err
    shutil.copy(path, tmp_path / "two.gguf")
    second = load_encoder(str(tmp_path / "two.gguf"))
    assert "Converting" not in capsys.readouterr().err
    assert first.identity == second.identity
    write(path, network=model(1))  # another model under the same name
    other = load_encoder(str(path))
    assert other.revision != first.revision
    assert other.identity != first.identity
    assert np.abs(other.encode(TEXTS)["block_02"] - first.encode(TEXTS)["block_02"]).max() > 1e-3


def test_the_untrained_twin_is_the_architecture_of_the_file(tmp_path):
    path = str(write(tmp_path / "tiny.gguf"))
    twin = load_encoder(path, init="random", seed=3)
    assert twin.layers == load_encoder(path).layers
    assert twin.name == "gguf:tiny.gguf?init=random"
    assert twin.encode(TEXTS)["final_norm"].shape == (4, WIDTH)
    assert np.abs(twin.encode(TEXTS)["block_02"] - load_encoder(path).encode(TEXTS)["block_02"]).max() > 1e-3


def test_options_of_texts_are_understood(tmp_path):
    path = str(write(tmp_path / "tiny.gguf"))
    with pytest.raises(InputError, match=r"has 9 tokens|reads at most 3"):
        load_encoder(path, max_length=3, check=False).encode(["a small red cat sat on the red mat"])
    last = load_encoder(path, pooling="last", padding_side="left").encode(TEXTS)
    np.testing.assert_allclose(
        last["block_02"], load_encoder(path, pooling="last").encode(TEXTS)["block_02"], atol=1e-5
    )
    with pytest.raises(InputError, match="one side only"):
        load_encoder(path, side="text")
    with pytest.raises(InputError, match="no revisions"):
        load_encoder(f"gguf:{path}@main")


def test_what_cannot_be_read_is_refused_in_words(tmp_path):
    whole = write(tmp_path / "whole.gguf").read_bytes()
    for name, content, says in [
        ("empty", b"", "no GGUF file"),
        ("html", b"<html>", "no GGUF file"),
        ("pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git-lfs pointer"),
        ("old", whole[:4] + b"\x01\0\0\0" + whole[8:], "version 1"),
        ("head", whole[:60], "damaged or cut off"),
        ("half", whole[: len(whole) // 2], "damaged or cut off|was cut off"),
        ("almost", whole[:-100], "damaged or cut off|was cut off"),
    ]:
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(content)
        with pytest.raises(InputError, match=says):
            load_encoder(str(path))
    with pytest.raises(InputError, match="There is no file"):
        load_encoder(str(tmp_path / "nowhere.gguf"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"architecture": "clip"}, "cannot be converted by transformers.*clip"),
        ({"tokens": False}, "holds no tokeniser"),
        ({"leave_out": ("blk.1.ffn_up.weight",)}, "lacks"),
        ({"leave_out": tuple(tensors(model()))}, "holds no weights"),
    ],
)
def test_files_that_hold_no_whole_text_model_are_refused(tmp_path, change, says):
    with pytest.raises(InputError, match=says):
        load_encoder(str(write(tmp_path / "odd.gguf", **change)))


def test_without_the_package_the_message_names_the_command(tmp_path, monkeypatch):
    path = str(write(tmp_path / "tiny.gguf"))
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(MissingExtraError, match=r"'gguf'.*pip install 'isomorph\[models\]'"):
        load_encoder(path)
