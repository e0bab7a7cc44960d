import json
import shutil
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from PIL import Image  # noqa: E402  # what is optional is asked for first

from isomorph.encoders import load_encoder  # noqa: E402
from isomorph.encoders._diffusion import draw_noise  # noqa: E402
from isomorph.errors import FetchError, InputError, MissingExtraError  # noqa: E402

from ..late import Late  # noqa: E402  # what is optional is asked for first
from .vision_libraries import far, perturb  # noqa: E402

diffusers = Late("diffusers")

_BLOCKS = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 4}
_PLAIN = _BLOCKS | {
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}
_TEXT = _BLOCKS | {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 2,
    "cross_attention_dim": 12,
}
_SDXL = _TEXT | {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 10 + 6 * 4,
}
_SCALED = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
_WORDS = ["<s>", "</s>", "<unk>", "a", "red", "cat"]


def _plain_unet(**extra):
    return diffusers.UNet2DModel(**{"sample_size": 16, "in_channels": 3, "out_channels": 3} | _PLAIN | extra)


def _dit(**extra):
    shape = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 3, "norm_num_groups": 4}
    return diffusers.DiTTransformer2DModel(**shape, in_channels=4, sample_size=8, num_embeds_ada_norm=10, **extra)


def _vae(**extra):
    stages = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return diffusers.AutoencoderKL(**stages, block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4, **extra)


def _text_encoder(kind="CLIPTextModel", width=12, **extra):
    import transformers

    shape = {"hidden_size": width, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPTextConfig(
        **shape, vocab_size=len(_WORDS), max_position_embeddings=9, bos_token_id=0, eos_token_id=1, **extra
    )
    return getattr(transformers, kind)(config)


def _tokenizer():
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(_WORDS)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        unk_token="<unk>",
        model_max_length=9,
    )


def _made(make, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return perturb(make(), seed + 7, scale=0.05)


def _save(folder, **parts):
    """A pipeline's folder of some parts, as save_pretrained of the pipelines lays it out."""
    for i, (name, make) in enumerate(parts.items()):
        part = make() if name.startswith(("scheduler", "tokenizer")) else _made(make, i)
        part.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A function from a kind of model to the folder of a tiny one."""
    made = {}
    kinds = {
        "pixels": lambda f: _save(f, unet=_plain_unet, scheduler=diffusers.DDPMScheduler),
        "dit": lambda f: _save(
            f, transformer=_dit, vae=_vae, scheduler=lambda: diffusers.DDIMScheduler(num_train_timesteps=500)
        ),
        "text": lambda f: _save(
            f,
            unet=lambda: diffusers.UNet2DConditionModel(**_TEXT),
            vae=_vae,
            scheduler=lambda: diffusers.PNDMScheduler(**_SCALED, skip_prk_steps=True),
            text_encoder=_text_encoder,
            tokenizer=_tokenizer,
        ),
        "sdxl": lambda f: _save(
            f,
            unet=lambda: diffusers.UNet2DConditionModel(**_SDXL),
            vae=_vae,
            scheduler=lambda: diffusers.EulerDiscreteScheduler(**_SCALED),
            text_encoder=lambda: _text_encoder(width=4),
            tokenizer=_tokenizer,
            text_encoder_2=lambda: _text_encoder("CLIPTextModelWithProjection", 8, projection_dim=10),
            tokenizer_2=_tokenizer,
        ),
    }

    def folder(kind):
        if kind not in made:
            made[kind] = kinds[kind](tmp_path_factory.mktemp(kind))
        return made[kind]

    return folder


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (*s, 3), dtype=np.uint8) for s in ((16, 16), (20, 31), (40, 17), (16, 16))]


def load(path, **options):
    return load_encoder(f"diffusers:{path}", **options)


def _clean(image, edge):
    """An image in [-1, 1], by PIL and NumPy alone: shorter edge to `edge`, central square."""
    image = Image.fromarray(image)
    short = min(image.size)
    image = image.resize(tuple(edge if v == short else int(edge * v / short) for v in image.size), Image.BICUBIC)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    image = image.crop((left, top, left + edge, top + edge))
    return torch.from_numpy(np.asarray(image).astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]


def rows_by_hand(network, paths, run, norm):
    """Layer -> (t, d) with hooks of torch alone, on the network as diffusers loads it."""
    found = {}

    def rows(x):
        x = x[0] if isinstance(x, tuple) else x
        return (x.flatten(2).transpose(1, 2) if x.ndim == 4 else x)[0].numpy().copy()

    def enter(_module, args, kwargs):
        found["embedding"] = rows(kwargs["hidden_states"] if "hidden_states" in kwargs else args[0])

    hooks = [network.get_submodule(paths[0]).register_forward_pre_hook(enter, with_kwargs=True)]
    names = [*((f"block_{i:02d}", path) for i, path in enumerate(paths, 1)), ("final_norm", norm)]
    for layer, path in names:
        keep = lambda _m, _a, out, layer=layer: found.update({layer: rows(out)})  # noqa: E731
        hooks.append(network.get_submodule(path).register_forward_hook(keep))
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return found


_UNET = ("down_blocks.0", "down_blocks.1", "mid_block", "up_blocks.0", "up_blocks.1")
_DIT = tuple(f"transformer_blocks.{i}" for i in range(3))


def _latents(folder, image):
    vae = diffusers.AutoencoderKL.from_pretrained(folder / "vae").eval()
    with torch.no_grad():
        return vae.encode(_clean(image, 16)).latent_dist.mean * vae.config.scaling_factor


def _noisy(scheduler, clean, image, timestep, seed=0):
    noise = torch.from_numpy(draw_noise(image, tuple(clean.shape[1:]), seed))[None]
    return scheduler.add_noise(clean, noise, torch.tensor([timestep]))


def _by_hand(kind, folder, image, timestep):
    """The layers of one image by diffusers' own parts: its autoencoder, its scheduler's noise, its network."""
    if kind == "pixels":
        network = diffusers.UNet2DModel.from_pretrained(folder / "unet").eval()
        scheduler = diffusers.DDPMScheduler.from_pretrained(folder / "scheduler")
        x = _noisy(scheduler, _clean(image, 16), image, timestep)
        return rows_by_hand(network, _UNET, lambda: network(x, timestep), "conv_norm_out")
    clean = _latents(folder, image)
    if kind == "dit":
        network = diffusers.DiTTransformer2DModel.from_pretrained(folder / "transformer").eval()
        x = _noisy(diffusers.DDIMScheduler.from_pretrained(folder / "scheduler"), clean, image, timestep)
        call = {"timestep": torch.tensor([timestep]), "class_labels": torch.tensor([10])}
        return rows_by_hand(network, _DIT, lambda: network(x, **call), "norm_out")
    import transformers

    network = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet").eval()
    ids = torch.tensor([[0] + [1] * 8])  # the empty prompt
    first = transformers.CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    more = {}
    with torch.no_grad():
        text = first(ids, output_hidden_states=True)
        if kind == "text":
            scheduler = diffusers.PNDMScheduler.from_pretrained(folder / "scheduler")
            x, rows = _noisy(scheduler, clean, image, timestep), text[0]
        else:
            x = _noisy(diffusers.DDPMScheduler(**_SCALED), clean, image, timestep)
            second = transformers.CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2").eval()
            other = second(ids, output_hidden_states=True)
            rows = torch.cat([text.hidden_states[-2], other.hidden_states[-2]], -1)
            sizes = torch.tensor([[16.0, 16, 0, 0, 16, 16]])
            more = {"added_cond_kwargs": {"text_embeds": other[0], "time_ids": sizes}}
    return rows_by_hand(network, _UNET, lambda: network(x, timestep, rows, **more), "conv_norm_out")


@pytest.mark.parametrize("kind", ["pixels", "dit", "text", "sdxl"])
def test_every_layer_is_what_diffusers_gives_by_hand_item_by_item(folders, images, kind):
    encoder = load(folders(kind), timestep=120)
    assert encoder.checked == "passed"
    features = encoder.encode(images)
    largest = load(folders(kind), timestep=120, pooling="max").encode(images)
    for i, image in enumerate(images):
        wanted = _by_hand(kind, folders(kind), image, 120)
        assert tuple(wanted) == encoder.layers
        for layer, rows in wanted.items():
            assert far(features[layer][i], rows.mean(0)) < 1e-5, layer
            assert far(largest[layer][i], rows.max(0)) < 1e-5, layer


def test_layers_are_the_blocks_in_the_order_they_run(folders):
    unet, dit = load(folders("text")), load(folders("dit"))
    assert unet.layers == ("embedding", *(f"block_{i:02d}" for i in range(1, 6)), "final_norm")
    assert "block_01 to block_02 are down_blocks, block_03 is mid_block, block_04 to block_05 are up_blocks" in repr(
        unet
    )
    assert dit.layers == ("embedding", "block_01", "block_02", "block_03", "final_norm")
    chosen = load(folders("text"), layers=["up_blocks.*", "mid_block", "down_blocks.1.resnets.*", "conv_in"])
    assert chosen.layers == ("conv_in", "down_blocks.1.resnets.0", "mid_block", "up_blocks.0", "up_blocks.1")
    assert load(folders("text"), layers=["*"]).layers == unet.layers


@pytest.mark.parametrize("kind", ["pixels", "dit", "text", "sdxl"])
def test_a_feature_is_a_function_of_its_item_alone(folders, images, kind):
    encoder = load(folders(kind), noise_seed=5)
    together = encoder.encode([images[i] for i in (2, 0, 3, 1, 0)])
    again = load(folders(kind), noise_seed=5).encode([images[0]])
    for layer in encoder.layers:
        for place, i in enumerate((2, 0, 3, 1, 0)):
            assert far(together[layer][place], encoder.encode([images[i]])[layer][0]) < 1e-5
        assert far(together[layer][1], again[layer][0]) < 1e-5
        assert far(together[layer][1], together[layer][4]) < 1e-5
        assert far(together[layer][0], together[layer][1]) > 1e-3


def test_the_torch_generator_plays_no_part_in_the_noise(folders, images):
    encoder = load(folders("pixels"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        one = encoder.encode(images)
        torch.manual_seed(2)
        other = encoder.encode(images)
    assert all(np.array_equal(one[layer], other[layer]) for layer in encoder.layers)


def test_noise_is_standard_normal_and_drawn_from_pixels_and_seed(images):
    noise = draw_noise(images[0], (64, 64), 0)
    assert abs(noise.mean()) < 0.05
    assert abs(noise.std() - 1) < 0.05
    assert np.array_equal(noise, draw_noise(images[0].copy(), (64, 64), 0))
    changed = images[0].copy()
    changed[0, 0, 0] ^= 1
    for other in (draw_noise(images[0], (64, 64), 1), draw_noise(changed, (64, 64), 0)):
        assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 0.1


@pytest.mark.parametrize(
    "options",
    [{"noise_seed": 1}, {"timestep": 10}, {"timestep": 0.9}, {"noise": 0.1}, {"label": 3}, {"noise": 0.0}],
    ids=str,
)
def test_what_moves_the_features_moves_the_identity(folders, images, options):
    one, other = load(folders("dit")), load(folders("dit"), **options)
    assert one.identity != other.identity
    assert far(one.encode(images)["block_02"], other.encode(images)["block_02"]) > 1e-4


def test_prompts_move_features_and_identity(folders, images):
    empty, cat = load(folders("text")), load(folders("text"), prompt="a red cat")
    assert empty.identity["conditions"]["prompt"] == ""
    assert "the empty prompt" in repr(empty)
    assert "'a red cat'" in repr(cat)
    assert empty.identity != cat.identity
    assert far(empty.encode(images)["block_03"], cat.encode(images)["block_03"]) > 1e-4


def test_a_network_alone_is_told_zeros_in_place_of_a_prompt(folders, images, tmp_path):
    encoder = load(folders("text") / "unet", pipeline=_without(folders("text"), tmp_path, "text_encoder"), timestep=120)
    assert encoder.identity["conditions"] == {"prompt": "zeros"}
    assert "zeros in place of a prompt" in repr(encoder)
    network = diffusers.UNet2DConditionModel.from_pretrained(folders("text") / "unet").eval()
    scheduler = diffusers.PNDMScheduler.from_pretrained(folders("text") / "scheduler")
    x = _noisy(scheduler, _latents(folders("text"), images[1]), images[1], 120)
    wanted = rows_by_hand(network, _UNET, lambda: network(x, 120, torch.zeros(1, 3, 12)), "conv_norm_out")
    found = encoder.encode([images[1]])
    assert all(far(found[layer][0], rows.mean(0)) < 1e-5 for layer, rows in wanted.items())
    with pytest.raises(InputError, match="holds no text_encoder"):
        load(_without(folders("text"), tmp_path / "again", "text_encoder"), prompt="a cat")


def test_a_pipeline_that_zeroes_the_empty_prompt_is_told_zeros(folders, tmp_path):
    folder = _without(folders("sdxl"), tmp_path, "-")
    (folder / "model_index.json").write_text(json.dumps({"force_zeros_for_empty_prompt": True}))
    encoder = load(folder)
    assert encoder.identity["conditions"] == {"prompt": "zeros", "size": 16}
    assert load(folder, prompt="a cat").identity["conditions"]["prompt"] == "a cat"
    (folder / "model_index.json").write_text(json.dumps({"requires_aesthetics_score": True}))
    with pytest.raises(InputError, match="refiner"):
        load(folder)


def test_a_class_conditional_unet_must_be_told_its_class(tmp_path, images):
    folder = _save(tmp_path, unet=lambda: _plain_unet(num_class_embeds=7))
    with pytest.raises(InputError, match=r"label=, from 0 to 6"):
        load(folder)
    encoder = load(folder, label=4, timestep=50)
    network = diffusers.UNet2DModel.from_pretrained(folder / "unet").eval()
    x = _noisy(diffusers.DDPMScheduler(), _clean(images[0], 16), images[0], 50)
    label = torch.tensor([4])
    wanted = rows_by_hand(network, _UNET, lambda: network(x, 50, class_labels=label), "conv_norm_out")
    found = encoder.encode([images[0]])
    assert all(far(found[layer][0], rows.mean(0)) < 1e-5 for layer, rows in wanted.items())
    assert "the folder names none" in repr(encoder)
    with pytest.raises(InputError, match="label=7"):
        load(folder, label=7)


def test_a_noise_level_chooses_the_timestep_and_may_differ_from_it(folders):
    scheduler = diffusers.DDPMScheduler()
    drawn = (1 - scheduler.alphas_cumprod).sqrt()
    half = load(folders("pixels"), noise=0.5).identity["level"]
    assert half["timestep"] == int((drawn - 0.5).abs().argmin())
    assert half["noise"] == 0.5
    assert half["keep"] == pytest.approx(0.75**0.5)
    both = load(folders("pixels"), noise=0.5, timestep=3).identity["level"]
    assert (both["timestep"], both["noise"]) == (3, 0.5)
    plain = load(folders("pixels"), timestep=3).identity["level"]
    assert plain["noise"] == pytest.approx(float(drawn[3]), abs=1e-6)
    assert load(folders("pixels")).identity["level"]["timestep"] == 250
    assert load(folders("pixels"), timestep=1.0).identity["level"]["timestep"] == 999


@pytest.mark.parametrize("timestep", [1000, -1, 1.5, -0.1, True, "soon", float("nan")])
def test_an_unknown_timestep_is_refused(folders, timestep):
    with pytest.raises(InputError, match=r"timestep=.*from 0 to 999"):
        load(folders("pixels"), timestep=timestep)


@pytest.mark.parametrize("noise", [3, -0.5, True, "none", float("nan")])
def test_an_unknown_level_of_noise_is_refused(folders, noise):
    with pytest.raises(InputError, match="noise_seed"):
        load(folders("pixels"), noise=noise)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("pixels", {"prompt": "a cat"}, "takes no text"),
        ("pixels", {"label": 1}, "takes no class"),
        ("text", {"label": 1}, "takes no class"),
        ("dit", {"label": 11}, "10 is no class"),
        ("dit", {"size": 32}, "16 pixels only"),
        ("pixels", {"size": 17}, "no multiple of 2"),
        ("pixels", {"size": "large"}, "no number of pixels"),
        ("pixels", {"noise_seed": 0.5}, "no whole number"),
        ("text", {"prompt": "a cat a cat a cat a cat"}, "takes 9 at most"),
        ("text", {"pipeline": "./nowhere"}, "no folder"),
        ("pixels", {"pooling": "cls"}, "needs tokens"),
        ("dit", {"pooling": "cls"}, "needs a class token"),
    ],
)
def test_options_that_do_not_fit_are_refused(folders, kind, options, words):
    with pytest.raises(InputError, match=words):
        load(folders(kind), **options)


def test_twins_are_drawn_by_the_library_and_see_the_same_latents(folders, images):
    one, same, other = (load(folders("dit"), init="random", seed=s) for s in (1, 1, 2))
    assert one.name.endswith("?init=random")
    assert one.identity == same.identity != other.identity
    assert one.identity["autoencoder_weights"] == load(folders("dit")).identity["autoencoder_weights"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = diffusers.DiTTransformer2DModel.from_config(
            diffusers.DiTTransformer2DModel.load_config(folders("dit") / "transformer")
        )
    for name, value in network.state_dict().items():
        assert torch.equal(one.network.state_dict()[name], value)
    assert one.encode(images)["block_03"].std(0).mean() > 1e-3


def test_greyscale_networks_take_the_luminance(tmp_path, images):
    encoder = load(_save(tmp_path, unet=lambda: _plain_unet(in_channels=1, out_channels=1)), timestep=9)
    network = diffusers.UNet2DModel.from_pretrained(tmp_path / "unet").eval()
    grey = np.stack([np.asarray(Image.fromarray(images[1]).convert("L"))] * 3, -1)
    clean = _clean(grey, 16)[:, :1]
    noise = torch.from_numpy(draw_noise(images[1], (1, 16, 16), 0))[None]
    x = diffusers.DDPMScheduler().add_noise(clean, noise, torch.tensor([9]))
    wanted = rows_by_hand(network, _UNET, lambda: network(x, 9), "conv_norm_out")
    found = encoder.encode([images[1]])
    assert all(far(found[layer][0], rows.mean(0)) < 1e-5 for layer, rows in wanted.items())


def test_other_sizes_where_a_unet_takes_them(folders, images):
    encoder = load(folders("pixels"), size=24, pooling="none")
    assert encoder.encode([images[0]])["block_05"][0].shape == (24 * 24, 8)


@pytest.mark.parametrize("kind", ["vq", "tiny", "shifted", "normalised"])
def test_other_autoencoders(folders, images, tmp_path, kind):
    stages = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    tiny = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
    make = {
        "vq": lambda: diffusers.VQModel(
            **stages, block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4, num_vq_embeddings=5
        ),
        "tiny": lambda: diffusers.AutoencoderTiny(**tiny, num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1)),
        "shifted": lambda: _vae(shift_factor=0.3, scaling_factor=0.7),
        "normalised": lambda: _vae(latents_mean=[0.1, 0.2, 0.3, 0.4], latents_std=[1.0, 2.0, 3.0, 4.0]),
    }[kind]
    shutil.copytree(folders("dit") / "transformer", tmp_path / "transformer")
    _save(tmp_path, **{"vqvae" if kind == "vq" else "vae": make})
    encoder = load(tmp_path, noise=0.0, timestep=0, layers=["embedding"], pooling="none")
    vae, x = _made(make), _clean(images[0], 16)
    with torch.no_grad():
        out = vae.encode(x)
        latents = {
            "vq": lambda: out.latents * 0.18215,
            "tiny": lambda: out.latents,
            "shifted": lambda: (out.latent_dist.mean - 0.3) * 0.7,
            "normalised": lambda: (
                (out.latent_dist.mean - torch.tensor([0.1, 0.2, 0.3, 0.4])[:, None, None])
                * 0.18215
                / torch.tensor([1.0, 2, 3, 4])[:, None, None]
            ),
        }[kind]()
        network = diffusers.DiTTransformer2DModel.from_pretrained(tmp_path / "transformer").eval()
        wanted = network.pos_embed(latents)[0].numpy()
    assert far(encoder.encode([images[0]])["embedding"][0], wanted) < 1e-5


def test_an_autoencoder_may_lie_elsewhere_and_alone(folders, images):
    whole = load(folders("dit"), noise=0.3, timestep=40)
    apart = load(folders("dit") / "transformer", pipeline=folders("dit") / "vae", noise=0.3, timestep=40)
    assert whole.identity == apart.identity
    assert far(apart.encode(images)["block_03"], whole.encode(images)["block_03"]) < 1e-6


def test_the_same_network_elsewhere_is_the_same(folders, tmp_path):
    shutil.copytree(folders("text"), tmp_path / "copy")
    assert load(tmp_path / "copy").identity == load(folders("text")).identity


def test_weights_of_the_autoencoder_are_part_of_the_identity(folders):
    encoder = load(folders("dit"))
    before = encoder.identity
    with torch.no_grad():
        encoder._inputs.latents.autoencoder.encoder.conv_in.bias.add_(0.1)
    assert encoder.identity != before


def test_a_transformer2d_of_old_is_read_as_the_dit_that_it_is(folders, tmp_path):
    folder = _without(folders("dit"), tmp_path, "-")
    config = json.loads((folder / "transformer" / "config.json").read_text())
    config |= {"_class_name": "Transformer2DModel", "num_vector_embeds": None, "attention_type": "default"}
    (folder / "transformer" / "config.json").write_text(json.dumps(config))
    assert load(folder).weights == load(folders("dit")).weights


def test_bfloat16_stays_near(folders, images):
    exact, coarse = load(folders("text")), load(folders("text"), dtype="bfloat16")
    for layer in exact.layers:
        assert far(coarse.encode(images)[layer], exact.encode(images)[layer]) < 0.1


def test_float64_is_nearer(folders, images):
    exact, single = load(folders("dit"), dtype="float64"), load(folders("dit"))
    assert next(exact.network.parameters()).dtype == torch.float64
    assert far(single.encode(images)["block_03"], exact.encode(images)["block_03"]) < 1e-5


def _without(folder, to, part):
    shutil.copytree(folder, to, ignore=lambda _where, names: [n for n in names if n == part], dirs_exist_ok=True)
    return to


def _edit(folder, part, file="config.json", **facts):
    path = folder / part / file
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


@pytest.mark.parametrize(
    ("part", "facts", "words"),
    [
        ("unet", {"in_channels": 9}, "inpainting"),
        ("unet", {"_class_name": "FluxTransformer2DModel"}, "FluxTransformer2DModel"),
        ("unet", {"encoder_hid_dim_type": "text_proj"}, "encoder_hid_dim_type='text_proj'"),
        ("unet", {"addition_embed_type": "image"}, "addition_embed_type='image'"),
        ("unet", {"time_embedding_type": "fourier"}, "time_embedding_type='fourier'"),
        ("unet", {"cross_attention_dim": 16}, "not of one pipeline"),
        ("unet", {"cross_attention_dim": [12, 16]}, "several widths"),
        ("unet", {"sample_size": None}, "by size="),
        ("vae", {"_class_name": "AutoencoderDC"}, "AutoencoderDC"),
        ("text_encoder", {"architectures": ["NoSuchModel"]}, "NoSuchModel"),
    ],
)
def test_other_pipelines_are_refused_in_words(folders, tmp_path, part, facts, words):
    folder = _without(folders("text"), tmp_path, "-")
    _edit(folder, part, **facts)
    with pytest.raises(InputError, match=words):
        load(folder)


@pytest.mark.parametrize(
    "facts",
    [
        {"_class_name": "FlowMatchEulerDiscreteScheduler"},
        {"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": True},
        {"_class_name": "EDMEulerScheduler"},
        {"beta_schedule": "no such"},
    ],
    ids=str,
)
def test_schedules_of_another_kind_are_refused(folders, tmp_path, facts):
    folder = _without(folders("pixels"), tmp_path, "-")
    _edit(folder, "scheduler", "scheduler_config.json", **facts)
    with pytest.raises(InputError, match="scheduler"):
        load(folder)


def test_latents_without_an_autoencoder_are_refused(folders, tmp_path):
    with pytest.raises(InputError, match="no autoencoder"):
        load(_without(folders("dit"), tmp_path, "vae"))


def test_damaged_folders_are_refused(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    weights = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    folder = _without(folders("pixels"), tmp_path, "-")
    state = load_file(weights)
    save_file({k: v for k, v in state.items() if "mid_block" not in k}, weights)
    with pytest.raises(InputError, match=r"lacks .* weights"):
        load(folder)
    save_file(state | {"conv_in.weight": torch.zeros(9, 3, 3, 3)}, weights)
    with pytest.raises(InputError, match="cannot be read"):
        load(folder)
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(InputError, match="cannot be read"):
        load(folder)
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(InputError, match="git-lfs"):
        load(folder)
    weights.unlink()
    with pytest.raises(InputError, match="holds no weights"):
        load(folder)
    (weights.parent / "diffusion_pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(InputError, match="can run code"):
        load(folder)
    (weights.parent / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        load(folder)
    (weights.parent / "config.json").unlink()
    with pytest.raises(InputError, match="neither unet"):
        load(folder)


def test_without_diffusers_the_message_names_the_extra(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingExtraError, match=r"isomorph\[diffusion\]"):
        load(folders("pixels"))


def test_an_id_that_cannot_be_had_is_answered_in_words(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for id in ("nobody/no-such-pipeline", "no such:name"):
        with pytest.raises(FetchError, match="not in the cache"):
            load(id)
