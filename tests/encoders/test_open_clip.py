import json
import shutil
import sys

import numpy as np
import pytest
import torch

from isomorph.encoders import load_encoder, sides_of
from isomorph.encoders._text_tokens import TextTokens
from isomorph.errors import FetchError, InputError, MissingExtraError, UnknownNameError

from .vision_libraries import far, import_library, perturb

_VISION = {"image_size": 32, "layers": 2, "width": 16, "head_width": 8, "patch_size": 8}
_TEXT = {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
_COCA_VISION = _VISION | {
    "attentional_pool": True,
    "attn_pooler_queries": 5,
    "attn_pooler_heads": 2,
    "output_tokens": True,
}
_WORDS = {"vocab_size": 20, "hf_tokenizer_name": "here", "context_length": 10, "tokenizer_kwargs": {"clean": "lower"}}

CONFIGS = {
    "clip": {"embed_dim": 10, "vision_cfg": _VISION, "text_cfg": _TEXT, "quick_gelu": True},
    "siglip": {
        "embed_dim": 16,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {"image_size": 32, "timm_model_name": "test_vit", "timm_pool": "avg", "timm_proj": "linear"},
        "text_cfg": _TEXT
        | _WORDS
        | {"no_causal_mask": True, "proj_bias": True, "pool_type": "last", "act_kwargs": {"approximate": "tanh"}},
    },
    "resnet": {
        "embed_dim": 10,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 2, 1], "width": 8, "head_width": 8},
        "text_cfg": _TEXT,
    },
    "coca": {
        "embed_dim": 12,
        "custom_text": True,
        "vision_cfg": _COCA_VISION,
        "text_cfg": _TEXT | {"embed_cls": True, "output_tokens": True, "width": 16},
        "multimodal_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
    },
    "roberta": {
        "embed_dim": 10,
        "vision_cfg": _VISION,
        "text_cfg": {"hf_model_name": "", "hf_proj_type": "mlp", "hf_pooler_type": "mean_pooler"} | _WORDS,
    },
}
# CoCa's image tokens are of the size of the text's in real models; here too, so that its decoder can read them
CONFIGS["coca"]["vision_cfg"] = _COCA_VISION
CONFIGS["coca"]["embed_dim"] = 16
SIDES = [(kind, side) for kind in CONFIGS for side in ("vision", "text")] + [("coca", "multimodal")]


@pytest.fixture(scope="module")
def open_clip():
    return import_library("open_clip")


@pytest.fixture(scope="module")
def folder(open_clip, tmp_path_factory):
    """A function from a kind of model to the folder of a tiny checkpoint of it, as open_clip itself writes it."""
    made = {}

    def make(kind):
        if kind not in made:
            path, config = tmp_path_factory.mktemp(kind), json.loads(json.dumps(CONFIGS[kind]))
            if "hf_tokenizer_name" in config["text_cfg"]:
                from .conftest import tokenizer

                # padding is what the text towers of transformers tell by the token itself
                tokenizer(pad_token="<pad>", cls_token="<s>", sep_token="</s>").save_pretrained(path)
            if "hf_model_name" in config["text_cfg"]:
                config["text_cfg"]["hf_model_name"] = str(_roberta(tmp_path_factory.mktemp("roberta-config")))
            _save(open_clip, config, path)
            made[kind] = path
        return made[kind]

    return make


def _roberta(path):
    from transformers import RobertaConfig

    RobertaConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        vocab_size=20,
        max_position_embeddings=14,
        pad_token_id=0,
    ).save_pretrained(path)
    return path


def _save(open_clip, config, path, preprocess=None):
    from safetensors.torch import save_file

    facts = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic", "resize_mode": "shortest"}
    (path / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": facts | (preprocess or {})})
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.create_model(f"local-dir:{path}", load_weights=False, pretrained_text=False)
    for name, parameter in model.named_parameters():
        if name == "text_decoder.text_projection":  # open_clip leaves it as memory was
            torch.nn.init.normal_(parameter, std=0.1)
    state = {k: v.contiguous().clone() for k, v in perturb(model, scale=0.1).state_dict().items()}
    save_file(state, path / "open_clip_model.safetensors")


def load(path, side, **options):
    return load_encoder(f"open_clip:{path}#{side}", **options)


def library(open_clip, path):
    """The library's own model, transform and tokenizer."""
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{path}", pretrained_text=False)
    return model.eval(), transform, open_clip.get_tokenizer(f"local-dir:{path}")


def by_hand(open_clip, path, side, items):
    """Layer -> rows (t, d) of each item, one item at a time, with the library alone."""
    from PIL import Image

    model, transform, tokenizer = library(open_clip, path)
    found = []
    for item in items:
        with torch.no_grad():
            if side == "vision":
                found.append(_image_states(model, transform(Image.fromarray(item))[None]))
            elif side == "text":
                found.append(_text_states(model, tokenizer([item])))
            else:
                found.append(_decoder_states(model, transform(Image.fromarray(item[0]))[None], tokenizer([item[1]])))
    return [{layer: rows.numpy() for layer, rows in states.items()} for states in found]


def _image_states(model, pixels):
    visual, rows = model.visual, {}
    if hasattr(visual, "trunk"):
        x = visual.trunk.norm_pre(visual.trunk._pos_embed(visual.trunk.patch_embed(pixels)))
        rows["embedding"] = x[0]
        for i, block in enumerate(visual.trunk.blocks, 1):
            rows[f"block_{i:02d}"] = (x := block(x))[0]
        if not isinstance(visual.trunk.norm, torch.nn.Identity):
            rows["final_norm"] = visual.trunk.norm(x)[0]
    elif hasattr(visual, "layer4"):
        x = visual.stem(pixels)
        rows["embedding"] = x[0].flatten(1).T
        for i in range(1, 5):
            rows[f"block_{i:02d}"] = (x := getattr(visual, f"layer{i}")(x))[0].flatten(1).T
    else:
        x = visual._embeds(pixels)
        rows["embedding"] = x[0]
        for i, block in enumerate(visual.transformer.resblocks, 1):
            rows[f"block_{i:02d}"] = (x := block(x))[0]
        if visual.attn_pool is None:
            rows["final_norm"] = visual.ln_post(x)[0]
    rows["projection"] = model.encode_image(pixels, normalize=False)
    return rows


def _text_states(model, ids):
    text, rows = getattr(model, "text", model), {}
    n = int((ids != 0).sum())  # the texts hold no "!", whose id is that of padding
    if hasattr(text, "pooler"):
        out = text.transformer(input_ids=ids, attention_mask=(ids != 0).long(), output_hidden_states=True)
        names = ["embedding", *(f"block_{i:02d}" for i in range(1, len(out.hidden_states)))]
        rows = {name: h[0, :n] for name, h in zip(names, out.hidden_states, strict=True)}
    else:
        x = text.token_embedding(ids) + (0 if getattr(text, "cls_emb", None) is not None else text.positional_embedding)
        mask = text.attn_mask
        if getattr(text, "cls_emb", None) is not None:
            x, mask = text._embeds(ids)
        rows["embedding"] = x[0, :n]
        for i, block in enumerate(text.transformer.resblocks, 1):
            rows[f"block_{i:02d}"] = (x := block(x, attn_mask=mask))[0, :n]
        if getattr(text, "cls_emb", None) is None:
            rows["final_norm"] = text.ln_final(x)[0, :n]
        else:
            rows["class token"] = x[0, -1:]
    rows["projection"] = model.encode_text(ids, normalize=False)
    return rows


def _decoder_states(model, pixels, ids):
    _, image = model._encode_image(pixels)
    _, x = model._encode_text(ids)
    n, decoder = int((ids != 0).sum()), model.text_decoder
    rows = {"embedding": x[0, :n]}
    for i, (block, cross) in enumerate(zip(decoder.resblocks, decoder.cross_attn, strict=True), 1):
        x = cross(block(x, attn_mask=decoder.attn_mask[: x.shape[1], : x.shape[1]]), k_x=image, v_x=image)
        rows[f"block_{i:02d}"] = x[0, :n]
    rows["final_norm"] = decoder.ln_final(x)[0, :n]
    return rows


@pytest.fixture
def items(texts, images):
    return {"vision": images, "text": texts, "multimodal": list(zip(images, texts, strict=True))}


@pytest.mark.parametrize(("kind", "side"), SIDES)
def test_every_layer_is_the_librarys_own_item_by_item(open_clip, folder, items, kind, side):
    path = folder(kind)
    expected = by_hand(open_clip, path, side, items[side])
    classes = [rows.pop("class token", None) for rows in expected]
    reductions = {"mean": lambda r: r.mean(0), "max": lambda r: r.max(0), "last": lambda r: r[-1]}
    reductions |= {"mean_no_cls": lambda r: r[1:].mean(0), "cls": lambda r: r[0]} if side == "vision" else {}
    for pooling, reduce in reductions.items():
        if kind == "resnet" and side == "vision" and pooling in ("last", "cls"):
            with pytest.raises(InputError, match="needs"):
                load(path, side, pooling=pooling)
            continue
        features = load(path, side, pooling=pooling).encode(items[side])
        assert set(features) == set(expected[0])
        for layer, values in features.items():
            for i, value in enumerate(values):
                rows = expected[i][layer]
                drops = pooling == "mean_no_cls" and len(rows) > 1 and kind != "resnet"
                whole = pooling == "mean_no_cls" and not drops
                assert far(value, rows.mean(0) if whole else reduce(rows)) < 1e-5, (pooling, layer, i)
    if classes[0] is not None:  # CoCa's class token stands behind the text
        encoder = load(path, side, pooling="cls", layers="block_02")
        for value, row in zip(encoder.encode(items[side])["block_02"], classes, strict=True):
            assert far(value, row[0]) < 1e-5
    unpooled = load(path, side, pooling="none").encode(items[side][:3])
    for layer, values in unpooled.items():
        for i, value in enumerate(values):
            assert far(value, expected[i][layer]) < 1e-5, layer


@pytest.mark.parametrize(("kind", "side"), SIDES)
def test_features_are_those_of_the_item_alone(folder, items, kind, side):
    encoder = load(folder(kind), side)
    order = [5, 2, 7, 0, 1, 6, 3, 4]
    together = encoder.encode([items[side][i] for i in order])
    for place, i in enumerate(order):
        alone = encoder.encode([items[side][i]])
        for layer in encoder.layers:
            assert far(together[layer][place], alone[layer][0]) < 1e-5, layer


def test_a_pair_may_come_in_either_order_or_with_names(folder, items):
    encoder = load(folder("coca"), "multimodal")
    image, text = items["multimodal"][0]
    assert encoder.modality == "image+text"
    expected = encoder.encode([(image, text)])["final_norm"]
    for pair in ((text, image), {"image": image, "text": text}):
        np.testing.assert_array_equal(encoder.encode([pair])["final_norm"], expected)
    with pytest.raises(InputError, match="an image and a text together"):
        encoder.encode([text])
    moved = encoder.encode([(items["vision"][1], text)])["block_02"]
    assert far(moved, encoder.encode([(image, text)])["block_02"]) > 1e-4


@pytest.mark.parametrize(
    ("kind", "side"), [("clip", "vision"), ("clip", "text"), ("siglip", "text"), ("coca", "multimodal")]
)
def test_a_twin_has_the_librarys_own_initial_weights_drawn_with_a_seed(open_clip, folder, items, kind, side):
    path = folder(kind)
    trained, twin, again, other = (
        load(path, side, **o) for o in ({}, *({"init": "random", "seed": s} for s in (3, 3, 4)))
    )
    assert twin.layers == trained.layers
    assert twin.n_parameters == trained.n_parameters
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = open_clip.create_model(f"local-dir:{path}", load_weights=False, pretrained_text=False)
    expected = dict({"vision": model.visual, "text": getattr(model, "text", model)}.get(side, model).named_parameters())
    drawn = dict(twin.network.named_parameters())
    assert len(drawn) > 10
    for name, weights in drawn.items():
        assert torch.equal(weights, expected[name]), name
    a, b, c, d = (e.encode(items[side][:2])[twin.layers[-1]] for e in (trained, twin, again, other))
    np.testing.assert_array_equal(b, c)
    assert far(a, b) > 1e-3
    assert far(d, b) > 1e-3
    assert len({json.dumps(e.identity, sort_keys=True) for e in (trained, twin, again, other)}) == 3


def test_one_side_alone_is_kept(folder):
    vision, text = (load(folder("clip"), side) for side in ("vision", "text"))
    assert not any("text" in name or "token" in name for name, _ in vision.network.named_parameters())
    assert not any("visual" in name or "conv1" in name for name, _ in text.network.named_parameters())
    assert vision.name == f"open_clip:{folder('clip')}#vision"
    assert vision.identity != text.identity


def test_sides_are_named_by_the_provider_and_by_every_error(open_clip, folder):
    assert sides_of(f"open_clip:{folder('clip')}") == ("vision", "text")
    assert sides_of(f"open_clip:{folder('coca')}") == ("vision", "text", "multimodal")
    assert sides_of("open_clip:coca_ViT-B-32") == ("vision", "text", "multimodal")
    with pytest.raises(InputError, match="'vision', 'text'"):
        load_encoder(f"open_clip:{folder('clip')}")
    with pytest.raises(UnknownNameError, match="vision"):
        load(folder("clip"), "visoin")
    assert load(folder("coca"), "decoder", layers="block_*").name.endswith("#multimodal")


def test_long_texts_are_errors_unless_cut(open_clip, folder):
    text = "a small red cat sat on the mat now and the dog runs home " * 2
    for kind in ("clip", "siglip", "coca"):
        with pytest.raises(InputError, match=r"Item 1 of the batch has \d+ tokens"):
            load(folder(kind), "text").encode(["a cat", text])
        model, _, tokenizer = library(open_clip, folder(kind))
        features = load(folder(kind), "text", truncate=True).encode(["a cat", text])["projection"]
        with torch.no_grad():
            assert far(features[1], model.encode_text(tokenizer([text]), normalize=False)[0]) < 1e-5
    with pytest.raises(InputError, match="truncate= is for texts"):
        load(folder("clip"), "vision", truncate=True)


def test_the_class_token_of_a_network_without_one_is_refused(folder):
    with pytest.raises(InputError, match="needs a class token"):
        load(folder("clip"), "text", pooling="cls", layers="block_*").encode(["a cat", "the dog"])


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"interpolation": "bilinear"},
        {"resize_mode": "squash"},
        {"resize_mode": "longest", "fill_color": 7},
        {"size": (30, 40)},
        {"size": (30, 40), "resize_mode": "longest"},
    ],
)
def test_preprocessing_is_open_clips_own_transform(open_clip, change):
    from PIL import Image

    from isomorph.encoders._eval_transform import open_clip_transform

    config = {"size": 36, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4), "interpolation": "bicubic"} | change
    own = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(**config), is_train=False)
    rng = np.random.default_rng(1)
    for height, width in ((36, 36), (97, 61), (61, 98), (30, 200), (39, 38), (200, 31), (36, 39)):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        expected = own(Image.fromarray(image)).numpy()
        ours = open_clip_transform(config)([image])[0]
        np.testing.assert_allclose(ours, expected, atol=1e-5, err_msg=f"{height} x {width}")


def test_identity_covers_tokenizer_preprocessing_side_and_configuration(open_clip, folder, tmp_path):
    path = folder("siglip")
    copies = {}
    for name in ("same", "tokenizer", "mean", "length"):
        copies[name] = tmp_path / name
        shutil.copytree(path, copies[name])
    tokens = json.loads((copies["tokenizer"] / "tokenizer.json").read_text())
    vocabulary = tokens["model"]["vocab"]
    vocabulary["cat"], vocabulary["dog"] = vocabulary["dog"], vocabulary["cat"]
    (copies["tokenizer"] / "tokenizer.json").write_text(json.dumps(tokens))
    config = json.loads((copies["mean"] / "open_clip_config.json").read_text())
    config["preprocess_cfg"]["mean"] = [0.1, 0.2, 0.3]
    (copies["mean"] / "open_clip_config.json").write_text(json.dumps(config))

    def identity(name, side, **options):
        encoder = load(copies[name], side, **options)
        before = json.dumps(encoder.identity, sort_keys=True)
        encoder.encode([np.zeros((20, 20, 3), np.uint8)] if side == "vision" else ["a cat"])
        assert json.dumps(encoder.identity, sort_keys=True) == before
        return before

    assert identity("same", "text") == json.dumps(load(path, "text").identity, sort_keys=True)
    assert identity("tokenizer", "text") != identity("same", "text")
    assert identity("same", "text", truncate=True) != identity("same", "text")
    assert identity("tokenizer", "vision") == identity("same", "vision")
    assert identity("mean", "vision") != identity("same", "vision")


def test_unknown_names_are_answered_with_near_ones(open_clip):
    with pytest.raises(UnknownNameError, match="'ViT-B-32'"):
        load_encoder("open_clip:ViT-B-23/openai#vision")
    with pytest.raises(UnknownNameError, match="'laion2b_s34b_b79k'"):
        load_encoder("open_clip:ViT-B-32/laion2b_s34b_b79#vision")
    with pytest.raises(InputError, match=r"openai.*init='random'"):
        load_encoder("open_clip:ViT-B-32#vision")


def test_what_is_no_checkpoint_is_refused_in_words(folder, tmp_path):
    with pytest.raises(InputError, match=r"open_clip_config\.json"):
        load(tmp_path, "vision")
    broken = tmp_path / "broken"
    shutil.copytree(folder("clip"), broken)
    weights = broken / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(InputError, match="cannot be read"):
        load(broken, "vision")
    weights.unlink()
    torch.save({}, broken / "open_clip_pytorch_model.bin")
    with pytest.raises(InputError, match=r"open_clip_pytorch_model\.bin"):
        load(broken, "vision")
    (broken / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"embed_dim": 3}}))
    with pytest.raises(InputError, match="no configuration of open_clip"):
        load(broken, "vision")


def test_a_tokenizer_that_is_not_there_is_an_error(folder, tmp_path):
    path = tmp_path / "without"
    shutil.copytree(folder("siglip"), path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (path / name).unlink()
    with pytest.raises(InputError, match="cannot be read"):
        load(path, "text")
    assert load(path, "vision").modality == "image"


def test_a_hub_that_does_not_answer_is_an_error_with_the_way_out(open_clip, monkeypatch, tmp_path, folder):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for spec in ("open_clip:ViT-B-32/openai#vision", "open_clip:hf-hub:org/nothing#text"):
        with pytest.raises(FetchError, match="cannot be reached"):
            load_encoder(spec)
    with pytest.raises(FetchError, match="roberta-base"):
        load_encoder("open_clip:roberta-ViT-B-32#text", init="random")


def test_weights_by_name_are_read_from_the_hubs_safetensors_as_they_were_trained(
    open_clip, folder, monkeypatch, tmp_path, images
):
    from isomorph.encoders import _hub
    from isomorph.encoders import open_clip as provider

    path, asked = folder("clip"), []
    plain = {k: v for k, v in CONFIGS["clip"].items() if k != "quick_gelu"}
    trained = {"hf_hub": "org/tiny/", "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4), "quick_gelu": True}

    def open_repository(id, revision, entry):
        asked.append((id, revision, entry))
        return _hub.Repository(id, "c" * 40, path, online=False)

    monkeypatch.setattr(provider, "open_repository", open_repository)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", plain)
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", {"tag": trained})
    encoder = load_encoder("open_clip:tiny/tag@v2#vision")
    assert encoder.revision == "c" * 40
    assert encoder.name == "open_clip:tiny/tag@v2#vision"
    expected = load(path, "vision").encode(images)
    for layer, values in encoder.encode(images).items():  # QuickGELU, which the name's configuration does not say
        assert far(values, expected[layer]) < 1e-6, layer
    assert asked == [("org/tiny", "v2", "open_clip_config.json")]
    by_id = load_encoder("open_clip:hf-hub:org/tiny#text")
    assert far(by_id.encode(["a cat"])["projection"], load(path, "text").encode(["a cat"])["projection"]) < 1e-6


@pytest.mark.parametrize(("missing", "package"), [("open_clip", "open_clip_torch"), ("torchvision", "torchvision")])
def test_a_missing_package_is_named_with_its_extra(open_clip, monkeypatch, missing, package):
    for name in [n for n in sys.modules if n.partition(".")[0] == "open_clip"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=rf"'{package}'.*isomorph\[open-clip\]"):
        load_encoder("open_clip:ViT-B-32/openai#vision")


def test_a_vocabulary_that_changes_in_place_changes_the_identity():
    class Tokenizer:
        def __init__(self, words):
            self.context_length, self.encoder, self.bpe_ranks = 8, words, {("a", "b"): 0}

    words = {"a": 0, "b": 1}

    def digest():
        return TextTokens(Tokenizer(words), class_token=False, truncate=False).facts["tokenizer"]

    before = digest()
    assert digest() == before
    words["c"] = 2
    assert digest() != before
    del words["c"]
    assert digest() == before
