"""Graphs of both of torch's exporters and folders as optimum writes them, against torch itself."""

import json
import shutil

import numpy as np
import pytest
import torch

from isomorph.datasets import Audio
from isomorph.encoders import load_encoder, sides_of
from isomorph.encoders._inputs import ImagePreprocessing
from isomorph.errors import InputError, UnknownNameError

from .onnx_networks import IMAGES, ConvNext, Residual, TokensFirst, Transformer, Wave, by_hooks, export, make

PLAIN = {"mean": (0, 0, 0), "std": (1, 1, 1), "size": 32, "crop": 32}
BOTH = pytest.mark.parametrize("dynamo", [False, True], ids=["torchscript", "dynamo"])
OLDER_FIRST = pytest.mark.parametrize(
    "dynamo", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["torchscript", "dynamo"]
)
"""For what exports networks of its own, which takes the newer exporter seconds each."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    pytest.importorskip("onnxscript", reason="torch's newer exporter needs onnxscript")
    made = {}

    def get(kind, dynamo):
        if (kind, dynamo) not in made:
            example, name, axes = torch.randn(2, 3, 32, 32), "pixel_values", None
            if kind is Wave:
                example, name, axes = torch.randn(2, 400), "input_values", {0: "b", 1: "t"}
            path = tmp_path_factory.mktemp("exported") / f"{kind.__name__}.onnx"
            made[kind, dynamo] = str(export(make(kind), example, path, dynamo=dynamo, name=name, axes=axes))
        return make(kind), made[kind, dynamo]

    return get


def pixels(images):
    return torch.from_numpy(ImagePreprocessing(**PLAIN)(images))


def pooled(value, word):
    """The mean over all but items and features, by the axes that are known to be those."""
    items, features = word.index("b"), word.index("d")
    value = np.moveaxis(value, (items, features), (0, -1))
    return value.reshape(len(value), -1, value.shape[-1]).mean(1)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


WORDS = {Transformer: "btd", Residual: "bdtt", ConvNext: "bdtt", TokensFirst: "tbd", Wave: "bdt"}


@pytest.mark.parametrize(
    ("kind", "dynamo"),
    [
        pytest.param(kind, dynamo, marks=[pytest.mark.thorough] * (dynamo and kind is TokensFirst))
        for kind in IMAGES
        for dynamo in (False, True)
    ],
)
def test_every_block_equals_the_network_itself(exported, images, kind, dynamo):
    network, path = exported(kind, dynamo)
    encoder = load_encoder(path, **PLAIN)
    blocks = [f"block_{i:02d}" for i in range(1, len(kind.block_names) + 1)]
    norm = ["final_norm"] if kind is Transformer else []
    assert encoder.layers == ("embedding", *blocks, *norm)
    assert set(encoder.axes.values()) == {WORDS[kind]}
    expected = by_hooks(network, pixels(images), kind.block_names)
    features = encoder.encode(images)
    for layer, name in zip(blocks, kind.block_names, strict=True):
        close(features[layer], pooled(expected[name], WORDS[kind]))
    for i in (0, 5):
        close(encoder.encode([images[i]])[blocks[-1]][0], features[blocks[-1]][i])


@BOTH
def test_recordings_keep_their_frames_behind_a_group_norm_made_of_reshapes(exported, recordings, dynamo):
    network, path = exported(Wave, dynamo)
    encoder = load_encoder(path)
    assert encoder.modality == "audio"
    assert set(encoder.axes.values()) == {"bdt"}
    features = encoder.encode(recordings)
    for i, recording in enumerate(recordings):
        expected = by_hooks(network, torch.from_numpy(recording.samples)[None], Wave.block_names)
        close(features["block_02"][i], expected["blocks.1"].mean(2)[0])


@BOTH
def test_channels_last_inside_a_block_are_told_from_places_of_the_same_number(exported, images, dynamo):
    network, path = exported(ConvNext, dynamo)
    encoder = load_encoder(path, layers=["stages.*.0.pw2", "stages.1.1.dwconv"], pooling="max", **PLAIN)
    assert encoder.axes == {"stages.0.0.pw2": "bttd", "stages.1.0.pw2": "bttd", "stages.1.1.dwconv": "bdtt"}
    expected = by_hooks(network, pixels(images), encoder.layers)
    features = encoder.encode(images)
    close(features["stages.1.0.pw2"], expected["stages.1.0.pw2"].max((1, 2)))
    close(features["stages.1.1.dwconv"], expected["stages.1.1.dwconv"].max((2, 3)))


@BOTH
def test_class_tokens_are_left_out_by_the_number_that_is_given(exported, images, dynamo):
    network, path = exported(Transformer, dynamo)
    expected = by_hooks(network, pixels(images), ["blocks.1"])["blocks.1"]
    without = load_encoder(path, pooling="mean_no_cls", prefix=1, **PLAIN).encode(images)
    close(without["block_02"], expected[:, 1:].mean(1))
    close(load_encoder(path, pooling="cls", **PLAIN).encode(images)["block_02"], expected[:, 0])


@BOTH
def test_maps_have_no_class_token(exported, images, dynamo):
    _, path = exported(Residual, dynamo)
    with pytest.raises(InputError, match="'cls' needs tokens"):
        load_encoder(path, pooling="cls", **PLAIN)


@OLDER_FIRST
def test_a_batch_of_one_that_is_fixed_runs_item_by_item(tmp_path, images, dynamo):
    pytest.importorskip("onnxscript")
    path = export(make(ConvNext), torch.randn(1, 3, 32, 32), tmp_path / "fixed.onnx", dynamo=dynamo, axes={})
    encoder = load_encoder(str(path), **PLAIN)
    assert encoder.grouping == "single"
    expected = by_hooks(make(ConvNext), pixels(images), ["stages.1.1"])["stages.1.1"]
    close(encoder.encode(images)["block_04"], expected.mean((2, 3)))
    path = export(make(TokensFirst), torch.randn(1, 3, 32, 32), tmp_path / "tokens.onnx", dynamo=dynamo, axes={})
    expected = by_hooks(make(TokensFirst), pixels(images), ["layers.1"])["layers.1"]
    close(load_encoder(str(path), **PLAIN).encode(images)["block_02"], expected.mean(0))


@OLDER_FIRST
def test_a_batch_of_four_that_is_fixed_is_filled_up(tmp_path, images, dynamo):
    pytest.importorskip("onnxscript")
    path = export(make(ConvNext), torch.randn(4, 3, 32, 32), tmp_path / "four.onnx", dynamo=dynamo, axes={})
    encoder = load_encoder(str(path), **PLAIN)
    expected = by_hooks(make(ConvNext), pixels(images), ["stages.1.1"])["stages.1.1"].mean((2, 3))
    close(encoder.encode(images[:7])["block_04"], expected[:7])
    close(encoder.encode(images[2:3])["block_04"], expected[2:3])
    path = export(make(TokensFirst), torch.randn(16, 3, 32, 32), tmp_path / "tokens.onnx", dynamo=dynamo, axes={})
    encoder = load_encoder(str(path), **PLAIN)  # 16 tokens of 16 items of 16 features
    assert set(encoder.axes.values()) == {"tbd"}
    expected = by_hooks(make(TokensFirst), pixels(images), ["layers.1"])["layers.1"].mean(0)
    close(encoder.encode(images)["block_02"], expected)


def test_the_twin_has_the_axes_of_the_trained_graph(exported, images):
    for dynamo in (False, True):
        _, path = exported(ConvNext, dynamo)
        twin = load_encoder(path, init="random", **PLAIN)
        assert twin.axes == load_encoder(path, **PLAIN).axes
        assert np.ptp(twin.encode(images)["block_04"], 0).max() > 0


# ---------------------------------------------------------------- folders


WIDTHS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


def export_with_mask(model, path, names):
    import contextlib
    import io
    import warnings

    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, ids, mask):
            given = {"input_ids": ids, "attention_mask": mask}
            return self.inner(**{k: given[k] for k in names}).last_hidden_state

    ids = torch.randint(3, 14, (2, 6))
    dims = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    shapes = (dims, dims if "attention_mask" in names else None)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Plain().eval(), (ids, torch.ones_like(ids)), str(path), dynamo=True, verbose=False,
            input_names=["input_ids", "attention_mask"], dynamic_shapes=shapes,
        )  # fmt: skip


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory):
    pytest.importorskip("onnxscript")
    from transformers import BertConfig, BertModel

    from .conftest import WORDS as VOCABULARY
    from .conftest import tokenizer

    folder = tmp_path_factory.mktemp("optimum")
    torch.manual_seed(0)
    model = BertModel(BertConfig(**WIDTHS, vocab_size=len(VOCABULARY), max_position_embeddings=20)).eval()
    tokenizer(model_max_length=12).save_pretrained(folder)
    model.config.save_pretrained(folder)
    export_with_mask(model, folder / "model.onnx", ["input_ids", "attention_mask"])
    return folder, model


def test_a_folder_brings_its_tokeniser_and_the_limit_of_its_network(text_folder, texts):
    from .conftest import tokenizer

    folder, model = text_folder
    encoder = load_encoder(f"onnx:{folder}/")
    assert (encoder.modality, encoder.grouping, encoder.checked) == ("text", "padded", "passed")
    features = encoder.encode(texts)
    for row, text in zip(features["block_02"], texts, strict=True):
        ids = torch.tensor([tokenizer()(text).input_ids])
        with torch.no_grad():
            expected = model(input_ids=ids, output_hidden_states=True).hidden_states[2][0].mean(0)
        close(row, expected.numpy())
    with pytest.raises(InputError, match="has 13 tokens but the model reads at most 12"):
        encoder.encode(["cat " * 13])
    assert load_encoder(f"onnx:{folder}", truncate=True).encode(["cat " * 13])["block_01"].shape == (1, 16)


def test_a_folder_without_a_tokeniser_or_graph_is_refused(text_folder, tmp_path):
    folder, _ = text_folder
    with pytest.raises(InputError, match=r"holds no \.onnx file"):
        load_encoder(f"onnx:{tmp_path}")
    for file in folder.glob("model.onnx*"):
        shutil.copy(file, tmp_path)
    with pytest.raises(InputError, match=r"cannot be read|tokenizer"):
        load_encoder(f"onnx:{tmp_path}")
    (tmp_path / "config.json").write_text("{broken")
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        load_encoder(f"onnx:{tmp_path}")


def test_a_folder_of_several_graphs_asks_which_side_is_meant(text_folder, tmp_path, texts):
    folder, _ = text_folder
    shutil.copytree(folder, tmp_path / "both")
    both = tmp_path / "both"
    (both / "model.onnx").rename(both / "encoder_model.onnx")
    shutil.copy(both / "encoder_model.onnx", both / "decoder_model.onnx")
    with pytest.raises(InputError, match="say which by '#decoder' or '#encoder'"):
        load_encoder(f"onnx:{both}")
    assert sides_of(f"onnx:{both}") == ("decoder", "encoder")
    encoder = load_encoder(f"onnx:{both}#encoder")
    close(encoder.encode(texts)["block_02"], load_encoder(f"onnx:{folder}").encode(texts)["block_02"])
    assert load_encoder(f"onnx:{both}", file="decoder_model.onnx").layers == encoder.layers
    with pytest.raises(UnknownNameError, match="side of both 'vision'"):
        load_encoder(f"onnx:{both}#vision")
    with pytest.raises(InputError, match="say it once"):
        load_encoder(f"onnx:{both}#encoder", file="decoder_model.onnx")
    with pytest.raises(InputError, match="is one graph"):
        load_encoder(f"onnx:{folder / 'model.onnx'}", side="encoder")


@pytest.mark.parametrize("which", ["vit", "dinov2"])
def test_a_folder_of_images_is_read_as_transformers_reads_it(checkpoint, tmp_path, images, which):
    from isomorph.encoders.transformers import import_transformers

    pytest.importorskip("onnxscript")
    source = checkpoint(which)
    model = import_transformers().AutoModel.from_pretrained(source).eval()

    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, pixel_values):
            return self.inner(pixel_values).last_hidden_state

    edge = model.config.image_size
    export(Plain().eval(), torch.randn(2, 3, edge, edge), tmp_path / "model.onnx", dynamo=False)
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(source / name, tmp_path)
    encoder = load_encoder(f"onnx:{tmp_path}", pooling="mean_no_cls")
    expected = load_encoder(str(source), pooling="mean_no_cls").encode(images)
    features = encoder.encode(images)
    for layer in ("embedding", "block_01", "block_03"):
        close(features[layer], expected[layer])


def test_recordings_of_a_folder_go_through_its_feature_extractor(tmp_path):
    pytest.importorskip("onnxscript")
    export(
        make(Wave),
        torch.randn(2, 400),
        tmp_path / "model.onnx",
        dynamo=False,
        name="input_values",
        axes={0: "b", 1: "t"},
    )
    settings = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": True, "sampling_rate": 16000,
                "feature_size": 1, "padding_value": 0.0, "return_attention_mask": False}  # fmt: skip
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    encoder = load_encoder(f"onnx:{tmp_path}")
    wave = np.random.default_rng(0).normal(1, 0.1, 900).astype(np.float32)
    x = torch.from_numpy((wave - wave.mean()) / np.sqrt(wave.var() + 1e-7))[None]
    expected = by_hooks(make(Wave), x, ["blocks.1"])["blocks.1"].mean(2)
    close(encoder.encode([Audio(wave, 16000)])["block_02"], expected)


# ---------------------------------------------------------------- texts without a mask


@BOTH
def test_texts_without_a_mask_never_share_a_pass_with_longer_ones(tmp_path, checkpoint, texts, dynamo):
    pytest.importorskip("onnxscript")

    class Looking(torch.nn.Module):
        """Every token sees the next one, padding too."""

        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(16, 8)
            self.layers = torch.nn.ModuleList(torch.nn.Conv1d(8, 8, 3, 1, 1) for _ in range(2))

        def forward(self, ids):
            x = self.table(ids).transpose(1, 2)
            for layer in self.layers:
                x = torch.relu(layer(x))
            return x

    network, path = make(Looking), tmp_path / "text.onnx"
    export(network, torch.randint(0, 16, (2, 5)), path, dynamo=dynamo, name="input_ids", axes={0: "b", 1: "t"})
    source = str(checkpoint("bert"))
    encoder = load_encoder(str(path), tokenizer=source)
    assert (encoder.grouping, encoder.axes["block_01"]) == ("equal", "bdt")
    from isomorph.encoders.transformers import import_transformers

    tokenizer = import_transformers().AutoTokenizer.from_pretrained(source)
    features = encoder.encode(texts)
    for i, text in enumerate(texts):
        expected = by_hooks(network, torch.tensor([tokenizer(text).input_ids]), ["layers.1"])["layers.1"]
        close(features["block_02"][i], expected.mean(2)[0])
