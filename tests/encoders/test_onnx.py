import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isomorph.datasets import Audio
from isomorph.encoders import load_encoder
from isomorph.errors import InputError, MissingExtraError, UnknownNameError

RNG = np.random.default_rng(0)
WEIGHTS = {
    "w0": RNG.normal(size=(3, 6)),
    "w1": RNG.normal(size=(6, 6)),
    "w2": RNG.normal(size=(6, 6)),
    "b1": RNG.normal(size=6),
    "scale": RNG.normal(size=6),
    "bias": RNG.normal(size=6),
    "pos": RNG.normal(size=(1, 16, 6)),
}


def save(path, nodes, inputs, outputs, weights, dtype=np.float32):
    tensors = [numpy_helper.from_array(np.asarray(w, dtype=dtype), n) for n, w in weights.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


@pytest.fixture
def vision(tmp_path):
    """A two-block network over the 4 × 4 pixels of an image, named as exporters name nodes."""
    nodes = [
        helper.make_node("Transpose", ["image"], ["pixels"], name="/patch/Transpose", perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["pixels", "shape"], ["tokens"], name="/patch/Reshape"),
        helper.make_node("MatMul", ["tokens", "w0"], ["embedded"], name="/patch/MatMul"),
        helper.make_node("Add", ["embedded", "pos"], ["placed"], name="/Add"),
        helper.make_node("MatMul", ["placed", "w1"], ["a0"], name="/blocks.0/fc/MatMul"),
        helper.make_node("Add", ["a0", "b1"], ["b0"], name="/blocks.0/fc/Add"),
        helper.make_node("Add", ["b0", "placed"], ["out0"], name="/blocks.0/Add_1"),
        helper.make_node("MatMul", ["out0", "w2"], ["a1"], name="/blocks.1/fc/MatMul"),
        helper.make_node("Add", ["a1", "out0"], ["out1"], name="/blocks.1/Add_1"),
        helper.make_node("LayerNormalization", ["out1", "scale", "bias"], ["normed"], name="/norm/LayerNormalization"),
        helper.make_node("ReduceMean", ["normed"], ["result"], name="/pool/ReduceMean", axes=[1], keepdims=0),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 4, 4])
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, ["batch", 6])
    save(tmp_path / "vision.onnx", nodes, [image], [result], WEIGHTS)
    model = onnx.load(tmp_path / "vision.onnx")
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 16, 3], dtype=np.int64), "shape"))
    onnx.save(model, tmp_path / "vision.onnx")
    return str(tmp_path / "vision.onnx")


def by_hand(images):
    x = np.stack([i.astype(np.float64) / 255 for i in images]).reshape(len(images), 16, 3)
    placed = x @ WEIGHTS["w0"] + WEIGHTS["pos"]
    out0 = placed @ WEIGHTS["w1"] + WEIGHTS["b1"] + placed
    out1 = out0 @ WEIGHTS["w2"] + out0
    centered = out1 - out1.mean(-1, keepdims=True)
    normed = centered / np.sqrt(out1.var(-1, keepdims=True) + 1e-5) * WEIGHTS["scale"] + WEIGHTS["bias"]
    return {"embedding": placed, "block_01": out0, "block_02": out1, "final_norm": normed}


@pytest.fixture
def small():
    return [RNG.integers(0, 256, (4, 4, 3), dtype=np.uint8) for _ in range(5)]


PLAIN = {"size": None, "crop": None, "mean": (0, 0, 0), "std": (1, 1, 1)}


@pytest.mark.parametrize("pooling", ["mean", "max", "cls", "last", "mean_no_cls"])
def test_blocks_are_found_by_their_names_and_equal_the_graph_computed_by_hand(vision, small, pooling):
    encoder = load_encoder(vision, pooling=pooling, prefix=1, **PLAIN)
    assert encoder.layers == ("embedding", "block_01", "block_02", "final_norm")
    reduce = {
        "mean": lambda h: h.mean(1),
        "max": lambda h: h.max(1),
        "cls": lambda h: h[:, 0],
        "last": lambda h: h[:, -1],
        "mean_no_cls": lambda h: h[:, 1:].mean(1),
    }[pooling]
    features = encoder.encode(small)
    for layer, expected in by_hand(small).items():
        np.testing.assert_allclose(features[layer], reduce(expected), rtol=1e-4, atol=1e-4)
        assert features[layer].dtype == np.float32


def test_nodes_and_tensors_can_be_tapped_by_name_or_pattern(vision, small):
    encoder = load_encoder(vision, layers=["/blocks.*/Add_1", "result", "embedding"], **PLAIN)
    assert encoder.layers == ("embedding", "/blocks.0/Add_1", "/blocks.1/Add_1", "result")
    expected = by_hand(small)
    features = encoder.encode(small)
    np.testing.assert_allclose(features["/blocks.1/Add_1"], expected["block_02"].mean(1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(features["result"], expected["final_norm"].mean(1), rtol=1e-4, atol=1e-4)


def test_unpooled_features_are_all_tokens(vision, small):
    features = load_encoder(vision, pooling="none", **PLAIN).encode(small)
    np.testing.assert_allclose(features["block_01"][2], by_hand(small)["block_01"][2], rtol=1e-4, atol=1e-4)


def test_batch_size_does_not_change_features(vision, small):
    encoder = load_encoder(vision, **PLAIN)
    together = encoder.encode(small)
    for i, item in enumerate(small):
        np.testing.assert_allclose(encoder.encode([item])["final_norm"][0], together["final_norm"][i], atol=1e-5)


def test_an_untrained_twin_is_the_same_graph_with_other_weights(vision, small):
    trained = load_encoder(vision, **PLAIN)
    twins = [load_encoder(vision, init="random", seed=s, **PLAIN) for s in (0, 0, 1)]
    a, b, c = (t.encode(small)["block_02"] for t in twins)
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 1e-3
    assert np.abs(a - trained.encode(small)["block_02"]).max() > 1e-3
    assert twins[0].layers == trained.layers
    assert twins[0].identity == twins[1].identity
    assert twins[0].identity != twins[2].identity != trained.identity
    unpooled = load_encoder(vision, init="random", layers="final_norm", pooling="none", **PLAIN)
    normed = unpooled.encode(small)["final_norm"]
    np.testing.assert_allclose(np.stack(normed).mean(-1), 0, atol=1e-5)  # scale one, bias zero
    np.testing.assert_allclose(np.stack(normed).std(-1), 1, atol=1e-2)


def test_the_size_of_images_is_read_off_the_graph(vision, images):
    assert load_encoder(vision).encode(images)["block_01"].shape == (8, 6)


def test_texts_are_tokenised_and_pooled_under_their_mask(tmp_path, checkpoint, texts):
    table = RNG.normal(size=(16, 5)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["e"], name="/Gather"),
        helper.make_node("Tanh", ["e"], ["t"], name="/layer.0/Tanh"),
    ]
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "t"])
    out = helper.make_tensor_value_info("t", TensorProto.FLOAT, ["b", "t", 5])
    save(tmp_path / "text.onnx", nodes, [ids], [out], {"table": table})
    encoder = load_encoder(str(tmp_path / "text.onnx"), modality="text", tokenizer=str(checkpoint("bert")))
    features = encoder.encode(texts)["block_01"]
    from isomorph.encoders.transformers import import_transformers

    tokenizer = import_transformers().AutoTokenizer.from_pretrained(str(checkpoint("bert")))
    for row, text in zip(features, texts, strict=True):
        np.testing.assert_allclose(row, np.tanh(table[tokenizer(text).input_ids]).mean(0), atol=1e-5)
    with pytest.raises(InputError, match="needs tokenizer="):
        load_encoder(str(tmp_path / "text.onnx"), modality="text")


def test_recordings_of_unlike_length_go_in_without_padding(tmp_path):
    nodes = [
        helper.make_node("Abs", ["wave"], ["flat"], name="/layers.0/Abs"),
        helper.make_node("Unsqueeze", ["flat", "axes"], ["out"], name="/layers.0/Unsqueeze"),
    ]
    wave = helper.make_tensor_value_info("wave", TensorProto.FLOAT, ["b", "t"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["b", "t", 1])
    save(tmp_path / "audio.onnx", nodes, [wave], [out], {"axes": np.array([2])}, dtype=np.int64)
    encoder = load_encoder(str(tmp_path / "audio.onnx"), modality="audio", rate=8000, pooling="none")
    lengths = [3, 5, 3]
    recordings = [Audio(-np.ones(n, dtype=np.float32) * i, 8000) for i, n in enumerate(lengths)]
    features = encoder.encode(recordings)["block_01"]
    assert [f.shape for f in features] == [(n, 1) for n in lengths]
    assert [f[0, 0] for f in features] == [0, 1, 2]


def test_the_users_own_preprocessing_feeds_the_graph(vision):
    encoder = load_encoder(vision, preprocess=lambda items: np.stack([np.full((3, 4, 4), i) for i in items]))
    features = encoder.encode([1.0, 2.0])
    assert features["embedding"].shape == (2, 6)
    assert "source" in encoder.identity["preprocessing"]


def test_activations_that_are_not_finite_are_refused_with_layer_and_item(vision):
    encoder = load_encoder(vision, preprocess=lambda items: np.stack([np.full((3, 4, 4), i) for i in items]))
    with pytest.raises(InputError, match="layer 'embedding' are not finite for item 1 "):
        encoder.encode([1.0, np.nan])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "cuda"}, "device='cpu'"),
        ({"dtype": "bfloat16"}, "own precision"),
        ({"modality": "smell"}, "Unknown modality"),
        ({"resample": "magic"}, "Unknown resample"),
        ({"layers": ["block_1"]}, "Unknown layer 'block_1'. Did you mean 'block_01'"),
        ({"size": 5, "crop": 5}, "cannot run on inputs of shapes"),
        ({"preprocess": len, "size": 3}, "without own preprocessing"),
        ({"colour": "red"}, "Unknown option"),
    ],
)
def test_options_that_do_not_fit_are_refused(vision, images, options, says):
    with pytest.raises(InputError, match=says):
        load_encoder(vision, **options).encode(images)


def test_a_graph_without_block_names_asks_for_layers(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["y"], name="relu")]
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["b", 3]) for n in "xy"]
    save(tmp_path / "plain.onnx", nodes, value[:1], value[1:], {})
    with pytest.raises(InputError, match=r"layers=\['y'\]"):
        load_encoder(str(tmp_path / "plain.onnx"))
    encoder = load_encoder(str(tmp_path / "plain.onnx"), layers="y", preprocess=np.asarray)
    np.testing.assert_array_equal(encoder.encode([[-1, 0, 2]])["y"], [[0, 0, 2]])


def test_a_file_that_is_missing_or_no_graph_is_refused(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        load_encoder("nowhere.onnx")
    (tmp_path / "text.onnx").write_text("this is no protobuf")
    with pytest.raises(InputError, match=r"cannot be (read|run)"):
        load_encoder(str(tmp_path / "text.onnx"), layers="y")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_package_the_message_names_the_command(vision, monkeypatch, package):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"'{package}'.*pip install 'isomorph\[models\]'"):
        load_encoder(vision)


def test_an_unknown_layer_error_is_an_unknown_name(vision):
    with pytest.raises(UnknownNameError):
        load_encoder(vision, layers=["nothing like it"])


# ---------------------------------------------------------------- axes


def square(path, nodes, weights, name="image", shape=("batch", 3, 4, 4)):
    """A graph whose places are as many as its features, so that no size tells which axis is which."""
    image = helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
    out = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    tensors = {k: np.asarray(v, np.float32) for k, v in weights.items() if np.asarray(v).dtype.kind == "f"}
    save(path, nodes, [image], [out], tensors)
    model = onnx.load(path)
    ints = {k: v for k, v in weights.items() if k not in tensors}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v, np.int64), k) for k, v in ints.items())
    onnx.save(model, path)
    return str(path)


CONV = RNG.normal(size=(4, 3, 1, 1))


def conv_maps(images):
    return np.einsum("bhwc,dc->bhwd", np.stack([i / 255 for i in images]), CONV[:, :, 0, 0])


@pytest.mark.parametrize(
    ("perm", "word"), [([0, 1, 2, 3], "bdtt"), ([0, 2, 3, 1], "bttd"), ([2, 0, 1, 3], "tbdt"), ([3, 1, 0, 2], "tdbt")]
)
def test_features_are_followed_through_transpositions(tmp_path, small, perm, word):
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["maps"], name="/stem/Conv"),
        helper.make_node("Relu", ["maps"], ["rectified"], name="/stem/Relu"),
        helper.make_node("Transpose", ["rectified"], ["out"], name="/blocks.0/Transpose", perm=perm),
    ]
    encoder = load_encoder(square(tmp_path / "t.onnx", nodes, {"w": CONV}), layers="blocks.0", **PLAIN)
    assert encoder.axes == {"blocks.0": word}
    expected = np.maximum(conv_maps(small), 0).mean((1, 2))
    np.testing.assert_allclose(encoder.encode(small)["blocks.0"], expected, rtol=1e-4, atol=1e-5)


def test_features_are_followed_through_reshapes(tmp_path, small):
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["maps"], name="/stem/Conv"),
        helper.make_node("Reshape", ["maps", "shape"], ["tokens"], name="/blocks.0/Reshape"),
    ]
    path = square(tmp_path / "r.onnx", nodes, {"w": CONV, "shape": np.array([0, 4, 16])})
    encoder = load_encoder(path, **PLAIN)
    assert encoder.axes == {"embedding": "bdtt", "block_01": "bdt"}
    expected = conv_maps(small).mean((1, 2))
    np.testing.assert_allclose(encoder.encode(small)["block_01"], expected, rtol=1e-4, atol=1e-5)


MIXING = RNG.normal(size=(4, 4))


def mixer(path):
    """Tokens of 4 features, 4 at a time, mixed along one axis and then along the other."""
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["maps"], name="/stem/Conv"),
        helper.make_node("ReduceMean", ["maps"], ["rows"], name="/stem/ReduceMean", axes=[3], keepdims=0),
        helper.make_node("MatMul", ["rows", "mixing"], ["a"], name="/blocks.0/MatMul"),
        helper.make_node("Transpose", ["rows"], ["turned"], name="/blocks.0/Transpose", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["turned", "mixing"], ["b"], name="/blocks.0/MatMul_1"),
        helper.make_node("Transpose", ["b"], ["c"], name="/blocks.0/Transpose_1", perm=[0, 2, 1]),
        helper.make_node("Add", ["a", "c"], ["out"], name="/blocks.0/Add"),
    ]
    return square(path, nodes, {"w": CONV, "mixing": MIXING})


def test_what_stays_ambiguous_asks_for_axes_and_takes_them(tmp_path, small):
    path = mixer(tmp_path / "mixer.onnx")
    with pytest.raises(InputError, match=r"layer 'block_01' .*cannot be told.*axes='btd'"):
        load_encoder(path, layers="block_01", **PLAIN)
    rows = conv_maps(small).mean(2).transpose(0, 2, 1)  # (b, d, t)
    out = rows @ MIXING + (rows.transpose(0, 2, 1) @ MIXING).transpose(0, 2, 1)
    for axes, axis in (("bct", 2), ("btd", 1), ({"block_01": "btd"}, 1)):
        encoder = load_encoder(path, layers="block_01", axes=axes, **PLAIN)
        np.testing.assert_allclose(encoder.encode(small)["block_01"], out.mean(axis), rtol=1e-4, atol=1e-5)
    kinds = {str(load_encoder(path, layers="block_01", axes=a, **PLAIN).identity) for a in ("bct", "btd")}
    assert len(kinds) == 2


@pytest.mark.parametrize(
    ("axes", "says"),
    [("bchw", "has 4 letters"), ("xyz", "does not say which axis"), ({"block_9": "btd"}, "names the layer 'block_9'")],
)
def test_axes_that_do_not_fit_are_refused(vision, axes, says):
    with pytest.raises(InputError, match=says):
        load_encoder(vision, axes=axes, **PLAIN)


def test_layers_without_features_are_refused_in_words(vision, tmp_path, small):
    model = onnx.load(vision)
    model.graph.node.append(helper.make_node("Shape", ["out0"], ["sizes"], name="/blocks.0/Shape"))
    model.graph.node.append(helper.make_node("ReduceMean", ["result"], ["number"], name="/n", axes=[1], keepdims=0))
    onnx.save(model, tmp_path / "more.onnx")
    with pytest.raises(InputError, match="layer 'sizes' holds int64, no features"):
        load_encoder(str(tmp_path / "more.onnx"), layers="sizes", **PLAIN)
    with pytest.raises(InputError, match="one number an item"):
        load_encoder(str(tmp_path / "more.onnx"), layers="number", **PLAIN)


def test_images_with_channels_last_go_in_as_the_graph_takes_them(tmp_path, small):
    nodes = [
        helper.make_node("MatMul", ["image", "w"], ["out"], name="/blocks.0/MatMul"),
    ]
    path = square(tmp_path / "nhwc.onnx", nodes, {"w": CONV[:, :, 0, 0].T}, shape=("batch", 4, 4, 3))
    encoder = load_encoder(path, **PLAIN)
    assert encoder.axes == {"block_01": "bttd"}
    np.testing.assert_allclose(encoder.encode(small)["block_01"], conv_maps(small).mean((1, 2)), rtol=1e-4, atol=1e-5)


def test_stacks_of_two_networks_are_not_mixed(tmp_path, small):
    nodes = [helper.make_node("Transpose", ["image"], ["x0"], name="/Transpose", perm=[0, 2, 3, 1])]
    names = [f"/{side}/layers.{i}/MatMul" for side in ("encoder", "decoder") for i in range(2)]
    for i, name in enumerate(names):
        nodes.append(helper.make_node("MatMul", [f"x{i}", "w" if i == 0 else "m"], [f"x{i + 1}"], name=name))
    path = square(tmp_path / "both.onnx", nodes, {"w": CONV[:, :, 0, 0].T, "m": MIXING})
    with pytest.raises(InputError, match=r"several stacks.*'encoder\.layers\.\*' or layers='decoder\.layers\.\*'"):
        load_encoder(path, **PLAIN)
    encoder = load_encoder(path, layers="decoder.layers.*", **PLAIN)
    assert encoder.layers == ("decoder.layers.0", "decoder.layers.1")
    expected = (conv_maps(small) @ MIXING @ MIXING).mean((1, 2))
    np.testing.assert_allclose(encoder.encode(small)["decoder.layers.0"], expected, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------- passes


def test_a_graph_that_computes_over_its_batch_runs_item_by_item(tmp_path, small):
    """As dynamically quantised ones do, which scale by the largest value of the whole batch."""
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["maps"], name="/stem/Conv"),
        helper.make_node("ReduceMax", ["maps"], ["largest"], name="/blocks.0/ReduceMax", keepdims=0),
        helper.make_node("Div", ["maps", "largest"], ["out"], name="/blocks.0/Div"),
    ]
    encoder = load_encoder(square(tmp_path / "q.onnx", nodes, {"w": CONV}), **PLAIN)
    assert encoder.grouping == "single"
    assert "pass of its own" in encoder.notes[0]
    maps = conv_maps(small)
    expected = (maps / maps.max((1, 2, 3), keepdims=True)).mean((1, 2))
    np.testing.assert_allclose(encoder.encode(small)["block_01"], expected, rtol=1e-4, atol=1e-5)
    again = load_encoder(square(tmp_path / "q.onnx", nodes, {"w": CONV}), **PLAIN)  # certified by then
    assert (again.grouping, again.identity) == ("single", encoder.identity)


def test_inputs_that_follow_from_others_are_filled_in(tmp_path, checkpoint, texts):
    table = RNG.normal(size=(16, 5)).astype(np.float32)
    ids, mask, kinds, places = (
        helper.make_tensor_value_info(n, TensorProto.INT64, ["b", "t"])
        for n in ("input_ids", "attention_mask", "token_type_ids", "position_ids")
    )
    past = helper.make_tensor_value_info("past_key_values.0.key", TensorProto.FLOAT, ["b", 5, "past"])
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"], name="/Gather"),
        helper.make_node("Gather", ["table", "position_ids"], ["order"], name="/Gather_1"),
        helper.make_node("Gather", ["table", "token_type_ids"], ["kinds"], name="/Gather_2"),
        helper.make_node("Sum", ["words", "order", "kinds"], ["summed"], name="/layers.0/Sum"),
        helper.make_node("Transpose", ["summed"], ["turned"], name="/layers.0/Transpose", perm=[0, 2, 1]),
        helper.make_node("Concat", ["past_key_values.0.key", "turned"], ["joined"], name="/layers.0/Concat", axis=2),
        helper.make_node("Cast", ["attention_mask"], ["m"], name="/layers.0/Cast", to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["m", "one"], ["m2"], name="/layers.0/Unsqueeze"),
        helper.make_node("Mul", ["joined", "m2"], ["held"], name="/layers.0/Mul"),
        helper.make_node("Transpose", ["held"], ["out"], name="/layers.0/Transpose_1", perm=[0, 2, 1]),
    ]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    save(tmp_path / "causal.onnx", nodes, [ids, mask, kinds, places, past], [out], {"table": table})
    model = onnx.load(tmp_path / "causal.onnx")
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "one"))
    onnx.save(model, tmp_path / "causal.onnx")
    encoder = load_encoder(str(tmp_path / "causal.onnx"), tokenizer=str(checkpoint("bert")), layers="layers.0")
    from isomorph.encoders.transformers import import_transformers

    tokenizer = import_transformers().AutoTokenizer.from_pretrained(str(checkpoint("bert")))
    for row, text in zip(encoder.encode(texts)["layers.0"], texts, strict=True):
        tokens = tokenizer(text).input_ids
        expected = table[tokens] + table[np.arange(len(tokens))] + table[0]
        np.testing.assert_allclose(row, expected.mean(0), rtol=1e-4, atol=1e-5)


def test_a_graph_of_texts_and_images_at_once_asks_for_preprocessing(tmp_path):
    values = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "t"]),
              helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["b", 3, 4, 4])]  # fmt: skip
    nodes = [helper.make_node("Relu", ["pixel_values"], ["out"], name="/blocks.0/Relu")]
    save(tmp_path / "both.onnx", nodes, values, [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)], {})
    with pytest.raises(InputError, match="takes text and image at once; pass modality= and preprocess="):
        load_encoder(str(tmp_path / "both.onnx"))


# ---------------------------------------------------------------- files


@pytest.fixture
def external(vision, tmp_path):
    model = onnx.load(vision)
    path = tmp_path / "external" / "model.onnx"
    path.parent.mkdir()
    onnx.save(model, path, save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    return path


def test_weights_beside_the_graph_are_read_and_are_part_of_the_fingerprint(vision, external, small):
    encoder = load_encoder(str(external), **PLAIN)
    for layer, expected in load_encoder(vision, **PLAIN).encode(small).items():
        np.testing.assert_allclose(encoder.encode(small)[layer], expected, rtol=1e-6)
    twin = load_encoder(str(external), init="random", **PLAIN).encode(small)
    same = load_encoder(vision, init="random", **PLAIN).encode(small)
    np.testing.assert_allclose(twin["block_02"], same["block_02"], rtol=1e-6)
    data = external.with_name("model.onnx_data")
    raw = bytearray(data.read_bytes())
    raw[0] ^= 1
    data.write_bytes(raw)
    changed = load_encoder(str(external), **PLAIN)
    assert changed.revision != encoder.revision
    assert changed.identity != encoder.identity


def test_weights_that_are_missing_cut_off_or_elsewhere_are_refused(external):
    data = external.with_name("model.onnx_data")
    raw = data.read_bytes()
    data.write_bytes(raw[:100])
    with pytest.raises(InputError, match=r"has 100 bytes where model.onnx needs .* it was cut off"):
        load_encoder(str(external), **PLAIN)
    data.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n" + " " * len(raw))
    with pytest.raises(InputError, match="git-lfs pointer"):
        load_encoder(str(external), **PLAIN)
    data.unlink()
    with pytest.raises(InputError, match=r"keeps weights in model.onnx_data, which is not beside it"):
        load_encoder(str(external), **PLAIN)
    model = onnx.load(external, load_external_data=False)
    for location in ("../secret", "/etc/passwd"):
        for entry in model.graph.initializer[0].external_data:
            if entry.key == "location":
                entry.value = location
        onnx.save(model, external.with_name("elsewhere.onnx"))
        with pytest.raises(InputError, match="does not lie beside it"):
            load_encoder(str(external.with_name("elsewhere.onnx")), **PLAIN)


def test_damaged_files_are_refused_in_words(vision, tmp_path):
    from pathlib import Path

    raw = Path(vision).read_bytes()
    for name, content in {
        "empty": b"",
        "half": raw[: len(raw) // 2],
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
        "html": b"<html><body>404</body></html>",
        "zeros": bytes(1000),
    }.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"cannot be (read|run)|git-lfs pointer"):
            load_encoder(str(path), **PLAIN)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"file": "x.onnx"}, "is one graph"),
        ({"max_length": 3}, "are for texts"),
        ({"modality": "text", "size": 3}, "options of images"),
        ({"modality": "text", "tokenizer": "nowhere"}, "nowhere"),
    ],
)
def test_more_options_that_do_not_fit_are_refused(vision, options, says):
    with pytest.raises(InputError, match=says):
        load_encoder(vision, **options)
