"""TFLite files, written by hand, against the same arithmetic in NumPy."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")

from isomorph.datasets import Audio
from isomorph.encoders import load_encoder
from isomorph.errors import InputError, MissingExtraError, UnknownNameError

from .tflite_files import ACTIVATIONS, Writer

RNG = np.random.default_rng(0)
STEM, ONE, TWO = RNG.normal(size=(8, 3)), RNG.normal(size=(8, 8)) / 3, RNG.normal(size=(8, 8)) / 3
B1, HEAD = RNG.normal(size=8), RNG.normal(size=(5, 8))
PLAIN = {"size": 8, "crop": 8, "mean": (0, 0, 0), "std": (1, 1, 1)}
CONV = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "padding": 1}


def conv(w, x, kernel, name, *, bias=None, act="none", to=(1, 8, 8, 8), free=(0,)):
    """A convolution of one place, (out, in)."""
    k = w.constant(f"{name}/kernel", np.asarray(kernel)[:, None, None, :])
    b = w.constant(f"{name}/bias", np.zeros(len(kernel)) if bias is None else bias)
    out = w.tensor(f"{name}/out", to, free=free)
    return w.op("CONV_2D", [x, k, b], out, "Conv2DOptions", **CONV, fusedActivationFunction=ACTIVATIONS[act])


def add(w, a, b, name, act="none", to=(1, 8, 8, 8), free=(0,)):
    out = w.tensor(f"{name}/sum", to, free=free)
    return w.op("ADD", [a, b], out, "AddOptions", fusedActivationFunction=ACTIVATIONS[act])


def residual(path, *, free=(0,), batch=1, reshape=False):
    """8 × 8 places of 8 features, so that no size tells which axis is which."""
    w = Writer()
    shape = (batch, 8, 8, 8)
    image = w.tensor("serving_default_image:0", (batch, 8, 8, 3), free=free)
    x0 = conv(w, image, STEM, "stem", to=shape, free=free)
    x1 = add(w, x0, conv(w, x0, ONE, "block1", bias=B1, act="relu", to=shape, free=free), "block1", to=shape, free=free)
    x2 = add(w, x1, conv(w, x1, TWO, "block2", to=shape, free=free), "block2", to=shape, free=free)
    axes = w.constant("axes", [1, 2], "int32")
    pooled = w.op("MEAN", [x2, axes], w.tensor("pooled", (batch, 8), free=free), "ReducerOptions", keepDims=False)
    kernel, bias = w.constant("head/kernel", HEAD), w.constant("head/bias", np.zeros(5))
    head = w.tensor("head", (batch, 5), free=free)
    out = w.op("FULLY_CONNECTED", [pooled, kernel, bias], head, "FullyConnectedOptions")
    return w.write(path, [image], [out])


@pytest.fixture
def path(tmp_path):
    return residual(tmp_path / "residual.tflite")


@pytest.fixture
def small():
    return [np.random.default_rng(i).integers(0, 256, (8, 8, 3), dtype=np.uint8) for i in range(5)]


def by_hand(images):
    x = np.stack([i / 255 for i in images]) @ STEM.T
    x1 = x + np.maximum(x @ ONE.T + B1, 0)
    x2 = x1 + x1 @ TWO.T
    return {"stem": x, "block1": x1, "block2": x2, "head": x2.mean((1, 2)) @ HEAD.T}


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_usual_layers_are_residual_sums_and_what_the_graph_puts_out(path, small):
    encoder = load_encoder(path, **PLAIN)
    assert encoder.layers == ("op_002_add", "op_004_add", "op_006_fully_connected")
    assert encoder.axes == {"op_002_add": "bttd", "op_004_add": "bttd", "op_006_fully_connected": "bd"}
    assert (encoder.modality, encoder.checked, encoder.grouping) == ("image", "passed", "padded")
    assert encoder.n_parameters == STEM.size + ONE.size + TWO.size + HEAD.size + 3 * 8 + 5
    expected, features = by_hand(small), encoder.encode(small)
    close(features["op_002_add"], expected["block1"].mean((1, 2)))
    close(features["op_004_add"], expected["block2"].mean((1, 2)))
    close(features["op_006_fully_connected"], expected["head"])
    for i in (0, 3):
        close(encoder.encode([small[i]])["op_004_add"][0], features["op_004_add"][i])


def test_every_tensor_is_kept_and_has_a_name_a_place_and_a_number(path, small):
    expected = by_hand(small)["stem"].max((1, 2))
    first = load_encoder(path, layers="op_000_conv_2d", pooling="max", **PLAIN)
    number = str(first._taps["op_000_conv_2d"])
    for layers in ("op_000_conv_2d", "op_000_*", "stem/out", "stem/*", number, ["*stem*"]):
        encoder = load_encoder(f"tflite:{path}", layers=layers, pooling="max", **PLAIN)
        (value,) = encoder.encode(small).values()
        close(value, expected)
    layers = load_encoder(path, layers=["op_*_conv_2d"], **PLAIN).layers
    assert layers == ("op_000_conv_2d", "op_001_conv_2d", "op_003_conv_2d")
    for layers in ("op_7", "stem/kernel", "axes", "999"):
        with pytest.raises(UnknownNameError, match="op_\\*_add"):
            load_encoder(path, layers=layers, **PLAIN)


@pytest.mark.parametrize("pooling", ["cls", "last", "mean_no_cls"])
def test_maps_have_no_first_token(path, pooling):
    if pooling == "mean_no_cls":
        assert load_encoder(path, layers="op_002_add", pooling=pooling, **PLAIN).layers == ("op_002_add",)
        return
    with pytest.raises(InputError, match="needs tokens"):
        load_encoder(path, layers="op_002_add", pooling=pooling, **PLAIN)


@pytest.mark.parametrize(("batch", "grouping"), [(1, "single"), (4, "padded")])
def test_a_fixed_batch_is_kept_to(tmp_path, small, batch, grouping):
    encoder = load_encoder(residual(tmp_path / "fixed.tflite", free=(), batch=batch), **PLAIN)
    assert encoder.grouping == grouping
    expected = by_hand(small)
    features = encoder.encode(small)
    close(features["op_004_add"], expected["block2"].mean((1, 2)))
    close(features["op_006_fully_connected"], expected["head"])
    with pytest.raises(InputError, match=r"takes arrays of shape .* for 'image', found"):
        load_encoder(residual(tmp_path / "fixed.tflite", free=(), batch=1), **PLAIN | {"size": 9, "crop": 9})


def test_a_reshape_that_fixes_the_batch_inside_never_mixes_items(tmp_path, small):
    w = Writer()
    image = w.tensor("image", (1, 8, 8, 3), free=(0,))
    x = conv(w, image, STEM, "stem")
    shape = w.constant("shape", [1, -1, 8], "int32")
    flat = w.op("RESHAPE", [x, shape], w.tensor("flat", (1, 64, 8)), "ReshapeOptions", newShape=[1, -1, 8])
    path = w.write(tmp_path / "inside.tflite", [image], [flat])
    encoder = load_encoder(path, layers="op_001_reshape", **PLAIN)
    assert encoder.grouping == "single"
    close(encoder.encode(small)["op_001_reshape"], by_hand(small)["stem"].mean((1, 2)))


@pytest.mark.parametrize(("perm", "word"), [((0, 3, 1, 2), "bdtt"), ((1, 0, 2, 3), "tbtd"), ((3, 0, 1, 2), "dbtt")])
def test_features_are_followed_through_transpositions(tmp_path, small, perm, word):
    w = Writer()
    image = w.tensor("image", (1, 8, 8, 3), free=(0,))
    x = conv(w, image, STEM, "stem")
    out = w.tensor("turned", [(1, 8, 8, 8)[p] for p in perm], free=(perm.index(0),))
    w.op("TRANSPOSE", [x, w.constant("perm", perm, "int32")], out, "TransposeOptions")
    encoder = load_encoder(w.write(tmp_path / "turned.tflite", [image], [out]), layers="turned", **PLAIN)
    assert encoder.axes == {"turned": word}
    close(encoder.encode(small)["turned"], by_hand(small)["stem"].mean((1, 2)))


def tokens(w):
    image = w.tensor("image", (1, 8, 8, 3), free=(0,))
    shape, out = w.constant("shape", [-1, 64, 8], "int32"), w.tensor("tokens", (1, 64, 8), free=(0,))
    return image, w.op("RESHAPE", [conv(w, image, STEM, "stem"), shape], out, "ReshapeOptions", newShape=[-1, 64, 8])


def test_scores_of_attention_have_tokens_on_both_axes(tmp_path, small):
    """Queries by keys turned inside the product: its last axis is that of the keys, and holds no features."""
    w = Writer()
    image, x = tokens(w)
    scores = w.tensor("scores", (1, 64, 64), free=(0,))
    w.op("BATCH_MATMUL", [x, x], scores, "BatchMatMulOptions", adjX=False, adjY=True)
    mixed = w.tensor("mixed", (1, 64, 8), free=(0,))
    w.op("BATCH_MATMUL", [scores, x], mixed, "BatchMatMulOptions", adjX=False, adjY=False)
    path = w.write(tmp_path / "attention.tflite", [image], [mixed])
    with pytest.raises(InputError, match=r"layer 'scores' .* cannot be told"):
        load_encoder(path, layers="scores", **PLAIN)
    encoder = load_encoder(path, layers="mixed", **PLAIN)
    assert encoder.axes == {"mixed": "btd"}
    held = by_hand(small)["stem"].reshape(len(small), 64, 8)
    close(encoder.encode(small)["mixed"], (held @ held.swapaxes(1, 2) @ held).mean(1))


@pytest.mark.parametrize(("drop", "word"), [(1, "btd"), (2, "bdt"), (3, "bdt")])
def test_a_slice_that_drops_an_axis_moves_the_others(tmp_path, small, drop, word):
    w = Writer()
    image = w.tensor("image", (1, 8, 8, 3), free=(0,))
    perm = [0, 1, 2, 3] if drop == 1 else [0, 3, 1, 2]
    turned = w.tensor("turned", (1, 8, 8, 8), free=(0,))
    w.op("TRANSPOSE", [conv(w, image, STEM, "stem"), w.constant("perm", perm, "int32")], turned, "TransposeOptions")
    ends = [w.constant(n, v, "int32") for n, v in (("a", [0] * 4), ("b", [int(i == drop) for i in range(4)]))]
    steps = w.constant("c", [1] * 4, "int32")
    masks = {"beginMask": 15 - (1 << drop), "endMask": 15 - (1 << drop), "shrinkAxisMask": 1 << drop}
    out = w.tensor("out", (1, 8, 8), free=(0,))
    w.op("STRIDED_SLICE", [turned, *ends, steps], out, "StridedSliceOptions", **masks)
    encoder = load_encoder(w.write(tmp_path / "slice.tflite", [image], [out]), layers="out", **PLAIN)
    assert encoder.axes == {"out": word}
    held = by_hand(small)["stem"].transpose(0, *perm[1:]).take(0, axis=drop)
    close(encoder.encode(small)["out"], held.mean(1 if word == "btd" else 2))


def test_inputs_of_one_plain_name_are_all_wanted(tmp_path, small):
    w = Writer()
    a, b = (w.tensor(n, (1, 8, 8, 3), free=(0,)) for n in ("next", "next:1"))
    out = w.op("ADD", [a, b], w.tensor("out", (1, 8, 8, 3), free=(0,)), "AddOptions")
    path = w.write(tmp_path / "two.tflite", [a, b], [out])
    with pytest.raises(InputError, match="also takes 'next:1'"):
        load_encoder(path, layers="out", axes="bhwc", **PLAIN)


def test_what_stays_ambiguous_asks_for_axes_and_takes_them(tmp_path, small):
    w = Writer()
    image = w.tensor("image", (1, 8, 8, 3), free=(0,))
    out = w.op("RELU", [image], w.tensor("out", (1, 8, 8, 3), free=(0,)))
    path = w.write(tmp_path / "relu.tflite", [image], [out])
    with pytest.raises(InputError, match=r"cannot be told. Say it by axes=, such as axes='bchw'"):
        load_encoder(path, layers="out", **PLAIN)
    encoder = load_encoder(path, layers="out", axes="bhwc", **PLAIN)
    close(encoder.encode(small)["out"], np.stack(small).mean((1, 2)) / 255)


def test_without_residual_sums_layers_are_convolutions_and_products(tmp_path):
    w = Writer()
    image = w.tensor("image", (1, 8, 8, 3), free=(0,))
    x = conv(w, conv(w, image, STEM, "a"), ONE, "b")
    out = w.op("RELU", [x], w.tensor("out", (1, 8, 8, 8), free=(0,)))
    layers = load_encoder(w.write(tmp_path / "plain.tflite", [image], [out]), **PLAIN).layers
    assert layers == ("op_000_conv_2d", "op_001_conv_2d", "op_002_relu")


def test_several_outputs_are_no_usual_layers(tmp_path):
    """Those of detectors are packed in ways of their own."""
    w = Writer()
    image = w.tensor("image", (1, 8, 8, 3), free=(0,))
    a, b = conv(w, image, STEM, "a"), conv(w, image, ONE[:, :3], "b")
    flat = w.tensor("flat", (1, 512, 1), free=(0,))
    w.op("RESHAPE", [a, w.constant("shape", [-1, 512, 1], "int32")], flat, "ReshapeOptions", newShape=[-1, 512, 1])
    path = w.write(tmp_path / "heads.tflite", [image], [flat, b])
    assert load_encoder(path, **PLAIN).layers == ("op_000_conv_2d", "op_001_conv_2d")
    with pytest.raises(InputError, match=r"layer 'flat' .* cannot be told"):
        load_encoder(path, layers="flat", **PLAIN)


# ---------------------------------------------------------------- quantised


def quantized(path, dtype="uint8"):
    """Pixels as integers, a sum of two activations in integers, and floats at the end."""
    w = Writer()
    zero = 128 if dtype == "uint8" else 0
    image = w.tensor("image", (1, 8, 8, 3), dtype, scale=1 / 128, zero=zero, free=(0,))
    x = w.tensor("sum", (1, 8, 8, 3), dtype, scale=1 / 64, zero=zero, free=(0,))
    w.op("ADD", [image, image], x, "AddOptions", version=2)
    y = w.tensor("sum2", (1, 8, 8, 3), dtype, scale=1 / 32, zero=zero, free=(0,))
    w.op("ADD", [x, x], y, "AddOptions")
    out = w.op("DEQUANTIZE", [y], w.tensor("out", (1, 8, 8, 3), free=(0,)), version=2)
    return w.write(path, [image], [out])


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_quantised_tensors_are_the_numbers_that_they_stand_for(tmp_path, small, dtype):
    path = quantized(tmp_path / "q.tflite", dtype)
    encoder = load_encoder(path, axes="bhwc", size=8, crop=8)
    x = np.stack(small).astype(float) / 128 - 1  # the whole range of the input
    features = encoder.encode(small)
    np.testing.assert_allclose(features["op_000_add"], 2 * x.mean((1, 2)), atol=1 / 64)
    np.testing.assert_allclose(features["op_001_add"], 4 * x.mean((1, 2)), atol=1 / 16)
    np.testing.assert_allclose(features["op_002_dequantize"], features["op_001_add"], rtol=1e-5)


def test_quantised_weights_have_no_untrained_twin(tmp_path):
    w = Writer()
    image = w.tensor("image", (1, 8, 8, 3), free=(0,))
    kernel = w.constant("kernel", RNG.integers(-9, 9, (8, 1, 1, 3)), "int8", scale=[0.1] * 8, zero=[0] * 8)
    held = w.op("DEQUANTIZE", [kernel], w.tensor("held", (8, 1, 1, 3)), version=2)
    bias = w.constant("bias", np.zeros(8))
    out = w.tensor("out", (1, 8, 8, 8), free=(0,))
    w.op("CONV_2D", [image, held, bias], out, "Conv2DOptions", **CONV, fusedActivationFunction=0)
    path = w.write(tmp_path / "w8.tflite", [image], [out])
    with pytest.raises(InputError, match="quantised weights"):
        load_encoder(path, init="random", **PLAIN)


def test_the_untrained_twin_is_the_same_graph_with_other_weights(path, small):
    trained = load_encoder(path, **PLAIN)
    twins = [load_encoder(path, init="random", seed=s, **PLAIN) for s in (0, 0, 1)]
    a, b, c = (t.encode(small)["op_004_add"] for t in twins)
    np.testing.assert_array_equal(a, b)
    assert min(np.abs(a - c).max(), np.abs(a - trained.encode(small)["op_004_add"]).max()) > 1e-3
    assert twins[0].layers == trained.layers
    assert twins[0].identity == twins[1].identity
    assert twins[0].identity != twins[2].identity != trained.identity
    close(trained.encode(small)["op_004_add"], by_hand(small)["block2"].mean((1, 2)))  # its own weights are untouched


def test_half_precision_weights_behind_a_dequantisation_are_drawn_too(tmp_path, small):
    def graph(dtype):
        w = Writer()
        image, kernel = w.tensor("image", (1, 8, 8, 3), free=(0,)), w.constant("kernel", STEM[:, None, None, :], dtype)
        if dtype == "float16":
            kernel = w.op("DEQUANTIZE", [kernel], w.tensor("held", (8, 1, 1, 3)))
        out = w.tensor("out", (1, 8, 8, 8), free=(0,))
        bias = w.constant("bias", np.zeros(8))
        w.op("CONV_2D", [image, kernel, bias], out, "Conv2DOptions", **CONV, fusedActivationFunction=0)
        return w.write(tmp_path / f"{dtype}.tflite", [image], [out])

    path = graph("float16")
    twin = load_encoder(path, init="random", **PLAIN).encode(small)["op_001_conv_2d"]
    whole = load_encoder(graph("float32"), init="random", **PLAIN).encode(small)["op_000_conv_2d"]
    np.testing.assert_allclose(twin, whole, rtol=5e-3, atol=5e-3)  # drawn as wide as weights that are stored in full
    trained = load_encoder(path, **PLAIN).encode(small)["op_001_conv_2d"]
    np.testing.assert_allclose(trained, by_hand(small)["stem"].mean((1, 2)), rtol=5e-3, atol=5e-3)
    assert np.abs(twin - trained).max() > 1e-2


# ---------------------------------------------------------------- other inputs


def waves(path, shape, free):
    w = Writer()
    wave = w.tensor("waveform", shape, free=free)
    frames = w.tensor("frames", (1, 4, 4), free=(0, 1))
    w.op("RESHAPE", [wave, w.constant("shape", [1, -1, 4], "int32")], frames, "ReshapeOptions", newShape=[1, -1, 4])
    kernel, bias = w.constant("kernel", ONE[:, :4]), w.constant("bias", np.zeros(8))
    out = w.tensor("out", (1, 4, 8), free=(0, 1))
    w.op("FULLY_CONNECTED", [frames, kernel, bias], out, "FullyConnectedOptions", keepNumDims=True, version=5)
    return w.write(path, [wave], [out])


@pytest.mark.parametrize(("shape", "free"), [((16,), (0,)), ((1, 16), (1,))])
def test_waveforms_of_any_length_go_in_one_by_one(tmp_path, shape, free):
    encoder = load_encoder(waves(tmp_path / "w.tflite", shape, free), rate=8000)
    assert (encoder.modality, encoder.grouping, encoder.layers[-1]) == ("audio", "single", "op_001_fully_connected")
    recordings = [np.random.default_rng(n).normal(size=n).astype(np.float32) for n in (16, 64, 32)]
    features = encoder.encode([Audio(r, 8000) for r in recordings])["op_001_fully_connected"]
    close(features, [(r.reshape(-1, 4) @ ONE[:, :4].T).mean(0) for r in recordings])


def test_waveforms_of_one_length_only_are_said_to_be_so(tmp_path):
    encoder = load_encoder(waves(tmp_path / "w.tflite", (16,), ()), rate=8000)
    with pytest.raises(InputError, match="has 20 samples at 8000 Hz, but this graph takes 16"):
        encoder.encode([Audio(np.ones(20, np.float32), 8000)])


def texts_graph(path):
    w = Writer()
    ids = w.tensor("serving_default_ids:0", (1, 6), "int32", free=(0,))
    table = w.constant("table", RNG.normal(size=(10, 8)))
    words = w.op("GATHER", [table, ids], w.tensor("words", (1, 6, 8), free=(0,)), "GatherOptions", axis=0)
    kernel, bias = w.constant("kernel", ONE), w.constant("bias", np.zeros(8))
    out = w.tensor("out", (1, 6, 8), free=(0,))
    w.op("FULLY_CONNECTED", [words, kernel, bias], out, "FullyConnectedOptions", keepNumDims=True, version=5)
    return w.write(path, [ids], [out]), w.buffers[1].data.view(np.float32).reshape(10, 8)


def test_texts_go_in_by_the_users_own_preprocessing_with_its_mask(tmp_path, texts):
    path, table = texts_graph(tmp_path / "t.tflite")

    def ids(items):
        words = [[len(w) for w in text.split()][:6] for text in items]
        padded = np.array([w + [0] * (6 - len(w)) for w in words])
        return {"ids": padded, "attention_mask": padded > 0}

    encoder = load_encoder(path, modality="text", preprocess=ids, layers=["words", "out"])
    assert encoder.axes == {} or set(encoder.axes.values()) == {"btd"}
    features = encoder.encode(texts)
    for i, text in enumerate(texts):
        tokens = [len(w) for w in text.split()][:6]
        close(features["words"][i], table[tokens].mean(0))
        close(features["out"][i], (table[tokens] @ ONE.T).mean(0))
    with pytest.raises(InputError, match="for text items it needs preprocess="):
        load_encoder(path)
    with pytest.raises(InputError, match="also takes 'ids'"):
        load_encoder(path, modality="text", preprocess=lambda items: {"other": np.zeros((len(items), 6))}).encode(texts)


# ---------------------------------------------------------------- refusals


def test_damaged_files_are_refused_in_words(path, tmp_path):
    raw = Path(path).read_bytes()
    for name, content in {
        "empty": b"",
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
        "html": b"<html><body>404</body></html>",
        "zeros": bytes(4) + b"TFL3" + bytes(1000),
        "tenth": raw[: len(raw) // 10],
        "half": raw[: len(raw) // 2],
        "almost": raw[:-4],
    }.items():
        file = tmp_path / f"{name}.tflite"
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"cannot be (read|run)|no TFLite model|git-lfs pointer"):
            load_encoder(str(file), **PLAIN)
    w = Writer()
    image = w.tensor("image", (1, 8, 8, 3))
    out = w.op("ADD", [image, 99], w.tensor("out", (1, 8, 8, 3)), "AddOptions")
    with pytest.raises(InputError, match="ADD names a tensor that is not there"):
        load_encoder(w.write(tmp_path / "astray.tflite", [image], [out]), **PLAIN)
    with pytest.raises(InputError, match="There is no file"):
        load_encoder("nowhere.tflite")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "cuda"}, "device='cpu'"),
        ({"dtype": "bfloat16"}, "own precision"),
        ({"modality": "smell"}, "Unknown modality"),
        ({"resample": "magic"}, "Unknown resample"),
        ({"preprocess": len, "size": 3}, "without own preprocessing"),
        ({"axes": "btd"}, "has 3 letters"),
        ({"colour": "red"}, "Unknown option"),
        ({"side": "vision"}, "one side only"),
        ({"modality": "text"}, "it needs preprocess="),
    ],
)
def test_options_that_do_not_fit_are_refused(path, options, says):
    with pytest.raises(InputError, match=says):
        load_encoder(path, **options)
    with pytest.raises(InputError, match="no revisions"):
        load_encoder(f"tflite:{path}@main")


@pytest.mark.parametrize("module", ["ai_edge_litert.schema_py_generated", "ai_edge_litert.interpreter"])
def test_without_the_package_the_message_names_the_command(path, monkeypatch, module):
    for name in {module, "ai_edge_litert.interpreter"}:
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(MissingExtraError, match=r"'ai-edge-litert'.*pip install 'isomorph\[tflite\]'"):
        load_encoder(path)


def test_identity_covers_weights_options_and_preprocessing(path, tmp_path):
    other = residual(tmp_path / "other.tflite", free=())
    kinds = [
        load_encoder(path, **PLAIN), load_encoder(path, **PLAIN | {"mean": (0.1, 0, 0)}), load_encoder(other, **PLAIN),
        load_encoder(path, pooling="max", **PLAIN), load_encoder(path, layers="op_002_add", **PLAIN),
    ]  # fmt: skip
    assert len({str(e.identity) for e in kinds}) == len(kinds)
    assert str(load_encoder(path, **PLAIN).identity) == str(kinds[0].identity)
