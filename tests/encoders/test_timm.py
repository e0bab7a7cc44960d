import json
import shutil
import sys

import numpy as np
import pytest
import torch

from isomorph.encoders import load_encoder
from isomorph.errors import FetchError, InputError, MissingExtraError, UnknownNameError

from .vision_libraries import far, import_library, perturb

POOLINGS = {
    "mean": lambda rows, prefix: rows.mean(0),
    "mean_no_cls": lambda rows, prefix: rows[prefix:].mean(0),
    "cls": lambda rows, prefix: rows[0],
    "last": lambda rows, prefix: rows[-1],
    "max": lambda rows, prefix: rows.max(0),
}
_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 5}

# name -> (architecture, arguments, class and register tokens; None for maps)
FAMILIES = {
    "vit": ("vit_tiny_patch16_224", _VIT, 1),
    "vit-registers": ("vit_tiny_patch16_224", _VIT | {"reg_tokens": 3}, 4),
    "vit-average": ("vit_tiny_patch16_224", _VIT | {"class_token": False, "global_pool": "avg"}, 0),
    "deit-distilled": ("deit_tiny_distilled_patch16_224", _VIT, 2),
    "beit": ("beit_base_patch16_224", _VIT, 1),
    "eva": ("eva02_tiny_patch14_224", _VIT | {"num_heads": 1, "mlp_ratio": 2}, 1),
    "mixer": ("mixer_s32_224", {"img_size": 64, "num_classes": 5}, 0),
    "resnet": (
        "resnet18",
        {"channels": (8, 8, 16, 24), "layers": (1, 1, 2, 1), "stem_width": 8, "num_classes": 5},
        None,
    ),
    "convnext": ("convnext_atto", {"dims": (8, 12, 16, 24), "depths": (1, 1, 2, 1), "num_classes": 5}, None),
    "swin": (
        "swin_tiny_patch4_window7_224",
        {"img_size": 64, "window_size": 4, "embed_dim": 16, "depths": (1, 2), "num_heads": (1, 2), "num_classes": 5},
        None,
    ),
    "efficientnet": ("test_efficientnet", {"num_classes": 5}, None),
    "regnet": ("test_nfnet", {"num_classes": 5}, None),
}
TOKENS = [name for name, (_, _, prefix) in FAMILIES.items() if prefix is not None]


@pytest.fixture(scope="module")
def timm():
    return import_library("timm")


@pytest.fixture(scope="module")
def folder(timm, tmp_path_factory):
    """A function from a family to the folder of a tiny checkpoint of it, as timm itself writes it."""
    made = {}

    def make(family):
        if family not in made:
            architecture, arguments, prefix = FAMILIES[family]
            path = tmp_path_factory.mktemp(family)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                model = timm.create_model(architecture, **arguments)
            perturb(model, scale=0.2 if prefix is not None else 0.05)
            data = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4), "crop_pct": 0.9, "interpolation": "bicubic"}
            size = (3, 64, 64) if prefix is None or family == "mixer" else (3, 32, 32)
            timm.models.save_for_hf(model, path, safe_serialization=True, data_config=data | {"input_size": size})
            made[family] = path
        return made[family]

    return make


def load(path, **options):
    return load_encoder(f"timm:{path}", **options)


def rows_by_hand(timm, path, images):
    """Layer -> rows (t, d) of each image, with the library alone: its transform, its own loop over the blocks."""
    from PIL import Image

    model = timm.create_model(f"local-dir:{path}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    found = []
    for image in images:
        with torch.no_grad():
            found.append(_states(model, transform(Image.fromarray(image))[None]))
    return found


def _states(model, x):
    kind = type(model).__name__
    rows = {}

    def keep(layer, value):
        if value.ndim == 4:  # of maps, which axis holds the features is known by the kind of network
            value = value.flatten(1, 2) if "Swin" in kind else value.flatten(2).transpose(1, 2)
        rows[layer] = value[0].numpy().copy()

    if kind in ("VisionTransformer", "VisionTransformerDistilled", "Beit", "Eva", "MlpMixer"):
        x = model.stem(x) if kind == "MlpMixer" else model.patch_embed(x)
        rope = {}
        if kind == "Beit":
            x = torch.cat([model.cls_token.expand(len(x), -1, -1), x], 1)
            x = x if model.pos_embed is None else x + model.pos_embed
            rope = {"shared_rel_pos_bias": model.rel_pos_bias() if model.rel_pos_bias is not None else None}
        elif kind == "Eva":
            x, embed = model._pos_embed(x)
            rope = {"rope": embed}
        elif kind != "MlpMixer":
            x = model.norm_pre(model._pos_embed(x))
        stages, norm = model.blocks, model.norm
    else:
        rope, norm = {}, None
        if kind == "ResNet":
            x = model.maxpool(model.act1(model.bn1(model.conv1(x))))
            stages = [model.layer1, model.layer2, model.layer3, model.layer4]
        elif kind == "EfficientNet":
            x, stages = model.bn1(model.conv_stem(x)), model.blocks
        elif kind == "SwinTransformer":
            x, stages, norm = model.patch_embed(x), model.layers, model.norm
        else:
            x, stages = model.stem(x), model.stages
    keep("embedding", x)
    for i, stage in enumerate(stages, 1):
        x = stage(x, **rope)
        keep(f"block_{i:02d}", x)
    if norm is not None and not isinstance(norm, torch.nn.Identity):
        keep("final_norm", norm(x))
    return rows


@pytest.mark.parametrize("family", FAMILIES)
def test_every_layer_is_the_librarys_own_item_by_item(timm, folder, images, family):
    path, prefix = folder(family), FAMILIES[family][2]
    expected = rows_by_hand(timm, path, images)
    for pooling, reduce in POOLINGS.items():
        if (prefix is None and pooling in ("cls", "last")) or (prefix == 0 and pooling == "cls"):
            with pytest.raises(InputError, match="needs"):
                load(path, pooling=pooling).encode(images)
            continue
        encoder = load(path, pooling=pooling)
        features = encoder.encode(images)
        assert set(features) == set(expected[0])
        for layer, values in features.items():
            assert values.dtype == np.float32
            for i, value in enumerate(values):
                by_hand = reduce(expected[i][layer], prefix or 0)
                assert far(value, by_hand) < 1e-5, (pooling, layer, i)
    unpooled = load(path, pooling="none").encode(images[:3])
    for layer, values in unpooled.items():
        for i, value in enumerate(values):
            assert far(value, expected[i][layer]) < 1e-5, layer


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_those_of_the_item_alone(folder, images, family):
    encoder = load(folder(family))
    order = [5, 2, 7, 0, 1, 6, 3, 4]
    together = encoder.encode([images[i] for i in order])
    for place, i in enumerate(order):
        alone = encoder.encode([images[i]])
        for layer in encoder.layers:
            assert far(together[layer][place], alone[layer][0]) < 1e-5, layer


@pytest.mark.parametrize("family", ["vit", "resnet", "swin"])
def test_a_twin_has_the_librarys_own_initial_weights_drawn_with_a_seed(timm, folder, images, family):
    path = folder(family)
    trained, twin, again, other = (load(path, **o) for o in ({}, *({"init": "random", "seed": s} for s in (3, 3, 4))))
    assert twin.name.endswith("?init=random")
    assert twin.layers == trained.layers
    assert twin.n_parameters == trained.n_parameters
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        expected = timm.create_model(f"local-dir:{path}", pretrained=False).eval()
    for (name, a), (_, b) in zip(twin.network.state_dict().items(), expected.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    last = twin.layers[-1]
    a, b, c, d = (e.encode(images[:2])[last] for e in (trained, twin, again, other))
    np.testing.assert_array_equal(b, c)
    assert far(a, b) > 1e-3
    assert far(d, b) > 1e-3
    identities = {json.dumps(e.identity, sort_keys=True) for e in (trained, twin, again, other)}
    assert len(identities) == 3


def test_a_model_can_be_had_by_name_untrained(timm, images):
    twin = load_encoder("timm:test_vit", init="random", seed=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = timm.create_model("test_vit").eval()
    assert torch.equal(twin.network.blocks[0].attn.qkv.weight, model.blocks[0].attn.qkv.weight)
    assert twin.modality == "image"
    assert twin.name == "timm:test_vit?init=random"
    assert twin.revision
    assert twin.encode(images[:2])["block_01"].shape == (2, model.embed_dim)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"interpolation": "bilinear", "crop_pct": 1.0},
        {"crop_pct": 0.8, "input_size": (3, 45, 45)},
        {"crop_mode": "squash", "crop_pct": 0.9},
        {"crop_mode": "border", "crop_pct": 1.0},
        {"crop_mode": "border", "crop_pct": 0.9},
        {"input_size": (3, 40, 56), "crop_pct": 0.85},
        {"crop_pct": 0.7},
    ],
)
def test_preprocessing_is_timms_own_transform(timm, change):
    from PIL import Image

    from isomorph.encoders._eval_transform import timm_transform

    config = {"input_size": (3, 48, 48), "interpolation": "bicubic", "crop_pct": 0.875, "crop_mode": "center"}
    config |= {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)} | change
    own, ours = timm.data.create_transform(**config, is_training=False), timm_transform(config)
    rng = np.random.default_rng(1)
    for height, width in ((48, 48), (97, 61), (61, 98), (30, 200), (55, 54), (200, 31), (66, 67)):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        expected = own(Image.fromarray(image)).numpy()
        np.testing.assert_allclose(ours([image])[0], expected, atol=1e-5, err_msg=f"{height} x {width}")


def test_identity_covers_weights_preprocessing_pooling_and_arguments(folder, tmp_path):
    path = folder("vit")
    seen = [load(path), load(path, pooling="cls"), load(folder("vit-registers"))]
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    same = load(copy)
    assert same.identity == seen[0].identity
    assert same.revision == seen[0].revision
    config = json.loads((copy / "config.json").read_text())
    config["pretrained_cfg"]["mean"] = [0.1, 0.1, 0.1]
    (copy / "config.json").write_text(json.dumps(config))
    seen.append(load(copy))
    texts = {json.dumps(e.identity, sort_keys=True) for e in seen}
    assert len(texts) == len(seen)
    assert str(copy) not in texts.pop()


def test_layers_can_be_chosen_by_name_or_path(folder, images):
    encoder = load(folder("vit"), layers=["block_02", "blocks.0.attn"])
    assert encoder.layers == ("blocks.0.attn", "block_02")
    assert encoder.encode(images[:2])["blocks.0.attn"].shape == (2, 16)


def test_unknown_names_are_answered_with_near_ones(timm, tmp_path):
    with pytest.raises(UnknownNameError, match="'resnet18'"):
        load_encoder("timm:resnet81", init="random")
    with pytest.raises(UnknownNameError, match=r"resnet18\.a1_in1k"):
        load_encoder("timm:resnet18.a1_in1q")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit_tinny_patch16_224", "pretrained_cfg": {}}))
    with pytest.raises(UnknownNameError, match="vit_tiny_patch16_224"):
        load(tmp_path)
    untrained = next(name for name in timm.list_models() if not timm.models.list_pretrained(name))
    with pytest.raises(InputError, match="init='random'"):
        load_encoder(f"timm:{untrained}")


def test_what_is_no_checkpoint_is_refused_in_words(folder, tmp_path):
    with pytest.raises(InputError, match=r"config\.json"):
        load(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(folder("vit"), broken)
    weights = broken / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    with pytest.raises(InputError, match="cannot be read"):
        load(broken)
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(InputError, match="git-lfs"):
        load(broken)
    weights.unlink()
    torch.save({}, broken / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin"):
        load(broken)
    (broken / "pytorch_model.bin").unlink()
    with pytest.raises(InputError, match="no weights"):
        load(broken)
    (broken / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        load(broken)


def test_weights_that_do_not_fit_are_refused(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    path = tmp_path / "partial"
    shutil.copytree(folder("vit"), path)
    state = load_file(path / "model.safetensors")
    state.pop("blocks.1.mlp.fc1.weight")
    save_file(state, path / "model.safetensors")
    with pytest.raises(InputError, match=r"blocks\.1\.mlp\.fc1\.weight"):
        load(path)


def test_grey_networks_are_refused(timm, tmp_path):
    model = timm.create_model("vit_tiny_patch16_224", **_VIT, in_chans=1)
    timm.models.save_for_hf(model, tmp_path, safe_serialization=True)
    with pytest.raises(InputError, match="channels"):
        load(tmp_path)


def test_a_hub_that_does_not_answer_is_an_error_with_the_way_out(timm, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for spec in ("timm:resnet18.a1_in1k", "timm:hf-hub:timm/nothing", "timm:timm/nothing@main"):
        with pytest.raises(FetchError, match="cannot be reached"):
            load_encoder(spec)


def test_weights_by_name_are_read_from_the_hubs_safetensors(timm, folder, monkeypatch, images):
    from isomorph.encoders import _hub
    from isomorph.encoders import timm as provider

    path = folder("vit")
    asked = []

    def open_repository(id, revision, entry):
        asked.append((id, revision))
        return _hub.Repository(id, "c" * 40, path, online=False)

    monkeypatch.setattr(provider, "open_repository", open_repository)
    by_hub = load_encoder("timm:hf-hub:org/name@v2")
    assert by_hub.name == "timm:hf-hub:org/name@v2"
    assert by_hub.revision == "c" * 40
    np.testing.assert_array_equal(by_hub.encode(images)["block_02"], load(path).encode(images)["block_02"])
    with pytest.raises(InputError, match="cannot be read"):  # asked for at the right place; the file is another model's
        load_encoder("timm:test_vit.r160_in1k")
    assert asked == [("org/name", "v2"), ("timm/test_vit.r160_in1k", None)]


@pytest.mark.parametrize("missing", ["timm", "torchvision"])
def test_a_missing_package_is_named_with_its_extra(timm, monkeypatch, missing):
    for name in [n for n in sys.modules if n.partition(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=rf"'{missing}'.*isomorph\[timm\]"):
        load_encoder("timm:resnet18")


def test_a_network_has_one_side_only(folder):
    from isomorph.encoders import sides_of

    assert sides_of(f"timm:{folder('vit')}") == ()
    with pytest.raises(InputError, match="one side"):
        load(folder("vit"), side="vision")
