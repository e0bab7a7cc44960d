import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isomorph.datasets._base import Audio
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
    centred = out1 - out1.mean(-1, keepdims=True)
    normed = centred / np.sqrt(out1.var(-1, keepdims=True) + 1e-5) * WEIGHTS["scale"] + WEIGHTS["bias"]
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
