import json
import shutil
import sys

import numpy as np
import pytest
import torch

from isomorph.datasets import Audio
from isomorph.encoders import load_encoder
from isomorph.errors import FetchError, InputError, MissingExtraError, UnknownNameError

SIDES = {"t5": ["encoder", "decoder"], "whisper": ["encoder", "decoder"], "clip": ["text", "vision"]}
KINDS = [
    "vit",
    "dinov2",
    "resnet",
    "bert",
    "roberta",
    "gpt2",
    "albert",
    "llama",
    "t5",
    "whisper",
    "wav2vec2",
    "wav2vec2-stable",
    "clip",
]
CASES = [(kind, side) for kind in KINDS for side in SIDES.get(kind, [None])]
cases = pytest.mark.parametrize(("kind", "side"), CASES, ids=[f"{k}-{s}" if s else k for k, s in CASES])


@pytest.fixture
def items(texts, images, recordings):
    return {"text": texts, "image": images, "audio": recordings}


def load(checkpoint, kind, side=None, **options):
    return load_encoder(str(checkpoint(kind)), **({"side": side} if side else {}), **options)


def hidden_states(checkpoint, kind, side, batch):
    """The library's own hidden states and what its processor made of the batch."""
    from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoModel, AutoTokenizer

    folder = str(checkpoint(kind))
    model = AutoModel.from_pretrained(folder).eval()
    if isinstance(batch[0], str):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        inputs = dict(tokenizer(batch, padding=True, return_tensors="pt", return_token_type_ids=False))
    elif isinstance(batch[0], Audio):
        extractor = AutoFeatureExtractor.from_pretrained(folder)
        inputs = dict(extractor([a.samples for a in batch], sampling_rate=16000, return_tensors="pt"))
        inputs.pop("attention_mask", None)
    else:
        from PIL import Image

        processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        inputs = dict(processor([Image.fromarray(b) for b in batch], return_tensors="pt"))
    part = {"text": "text_model", "vision": "vision_model", "encoder": "encoder"}.get(side or "")
    run = getattr(model, part) if part else model
    with torch.no_grad():
        return run(**inputs, output_hidden_states=True), inputs


@cases
def test_batch_size_and_neighbours_in_the_batch_do_not_change_features(checkpoint, items, kind, side):
    encoder = load(checkpoint, kind, side)
    batch = items[encoder.modality]
    together = encoder.encode(batch)
    for i, item in enumerate(batch):
        alone = encoder.encode([item])
        for layer in encoder.layers:
            np.testing.assert_allclose(together[layer][i], alone[layer][0], atol=2e-5, rtol=1e-4, err_msg=layer)


@cases
def test_every_layer_gives_one_float32_row_an_item(checkpoint, items, kind, side):
    encoder = load(checkpoint, kind, side)
    features = encoder.encode(items[encoder.modality])
    assert tuple(features) == encoder.layers
    for value in features.values():
        assert value.shape[0] == 8
        assert value.ndim == 2
        assert value.dtype == np.float32
    json.dumps(encoder.identity)
    assert encoder.name in encoder.description
    assert encoder.revision


@cases
def test_an_untrained_twin_has_the_same_layers_and_other_features(checkpoint, items, kind, side):
    trained = load(checkpoint, kind, side)
    twin, again, other = (load(checkpoint, kind, side, init="random", seed=s) for s in (0, 0, 1))
    batch = items[trained.modality][:2]
    assert twin.layers == trained.layers
    assert twin.n_parameters == trained.n_parameters
    assert twin.name.endswith("?init=random")
    last = trained.layers[-1]
    a, b, c, d = (e.encode(batch)[last] for e in (trained, twin, again, other))
    np.testing.assert_array_equal(b, c)
    assert np.abs(a - b).max() > 1e-3
    assert np.abs(d - b).max() > 1e-3
    identities = [json.dumps(e.identity, sort_keys=True) for e in (trained, twin, again, other)]
    assert identities[1] == identities[2]
    assert len(set(identities)) == 3


@pytest.mark.parametrize("kind", ["vit", "dinov2"])
def test_image_layers_are_the_hidden_states_pooled_by_hand(checkpoint, images, kind):
    states, _ = hidden_states(checkpoint, kind, None, images)
    by_hand = {
        "mean": lambda h: h.mean(1),
        "mean_no_cls": lambda h: h[:, 1:].mean(1),
        "cls": lambda h: h[:, 0],
        "last": lambda h: h[:, -1],
        "max": lambda h: h.amax(1),
    }
    for pooling, reduce in by_hand.items():
        features = load(checkpoint, kind, pooling=pooling).encode(images)
        for layer, h in zip(("embedding", "block_01", "block_02", "block_03"), states.hidden_states, strict=True):
            np.testing.assert_allclose(features[layer], reduce(h).numpy(), atol=1e-5, err_msg=f"{pooling} {layer}")
        np.testing.assert_allclose(features["final_norm"], reduce(states.last_hidden_state).numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "llama", "gpt2", "t5", "clip"])
@pytest.mark.parametrize("padding_side", ["right", "left"])
def test_text_layers_are_the_hidden_states_of_each_text_alone_pooled_by_hand(checkpoint, texts, kind, padding_side):
    side = {"t5": "encoder", "clip": "text"}.get(kind)
    by_hand = {"mean": lambda h: h.mean(0), "cls": lambda h: h[0], "last": lambda h: h[-1], "max": lambda h: h.amax(0)}
    alone = [hidden_states(checkpoint, kind, side, [t])[0] for t in texts]
    for pooling, reduce in by_hand.items():
        encoder = load(checkpoint, kind, side, pooling=pooling, padding_side=padding_side)
        features = encoder.encode(texts)
        blocks = [n for n in encoder.layers if n not in ("final_norm", "projection")]
        for depth, layer in enumerate(blocks):
            # some models put the normed states in place of the last block's
            if depth == len(blocks) - 1 and "final_norm" in encoder.layers:
                continue
            expected = np.stack([reduce(s.hidden_states[depth][0]).numpy() for s in alone])
            np.testing.assert_allclose(features[layer], expected, atol=2e-5, rtol=1e-4, err_msg=f"{pooling} {layer}")
        last = np.stack([reduce(s.last_hidden_state[0]).numpy() for s in alone])
        layer = "final_norm" if "final_norm" in features else blocks[-1]
        np.testing.assert_allclose(features[layer], last, atol=2e-5, rtol=1e-4)


def test_the_projection_of_a_dual_encoder_is_its_shared_space(checkpoint, texts, images):
    from transformers import AutoModel

    model = AutoModel.from_pretrained(str(checkpoint("clip"))).eval()
    _, text_inputs = hidden_states(checkpoint, "clip", "text", texts)
    _, image_inputs = hidden_states(checkpoint, "clip", "vision", images)
    with torch.no_grad():
        both = model(**text_inputs, **image_inputs)
    for side, batch, expected in (("text", texts, both.text_embeds), ("vision", images, both.image_embeds)):
        features = load(checkpoint, "clip", side).encode(batch)["projection"]
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        np.testing.assert_allclose(features, expected.numpy(), atol=1e-5)


def test_whisper_is_pooled_over_the_frames_that_hold_sound(checkpoint, recordings):
    states, _ = hidden_states(checkpoint, "whisper", "encoder", recordings)
    features = load(checkpoint, "whisper", "encoder").encode(recordings)
    frames = [-(-len(r.samples) // 320) for r in recordings]  # a second of 16000 samples becomes 50 frames
    for layer, h in zip(("embedding", "block_01"), states.hidden_states, strict=False):
        expected = np.stack([h[i, :f].mean(0).numpy() for i, f in enumerate(frames)])
        np.testing.assert_allclose(features[layer], expected, atol=1e-5)
    expected = np.stack([states.last_hidden_state[i, :f].mean(0).numpy() for i, f in enumerate(frames)])
    np.testing.assert_allclose(features["final_norm"], expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2-stable"])
def test_waveform_layers_are_the_hidden_states_of_each_recording_alone(checkpoint, recordings, kind):
    features = load(checkpoint, kind).encode(recordings)
    for i, recording in enumerate(recordings):
        states, _ = hidden_states(checkpoint, kind, None, [recording])
        for layer, h in zip(("embedding", "block_01", "block_02"), states.hidden_states, strict=False):
            np.testing.assert_allclose(features[layer][i], h[0].mean(0).numpy(), atol=2e-5)


def test_the_t5_decoder_reads_its_own_text_shifted_by_one(checkpoint, texts):
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(str(checkpoint("t5"))).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(checkpoint("t5")))
    features = load(checkpoint, "t5", "decoder").encode(texts)["final_norm"]
    for i, text in enumerate(texts):
        ids = tokenizer(text, return_tensors="pt").input_ids
        with torch.no_grad():
            out = model(
                input_ids=ids, decoder_input_ids=torch.cat([torch.zeros(1, 1, dtype=torch.long), ids[:, :-1]], 1)
            )
        np.testing.assert_allclose(features[i], out.last_hidden_state[0].mean(0).numpy(), atol=2e-5, rtol=1e-4)


def test_a_network_that_shares_its_layers_shows_each_pass_as_a_layer(checkpoint, texts):
    encoder = load(checkpoint, "albert")
    states, _ = hidden_states(checkpoint, "albert", None, [texts[0]])
    assert encoder.layers == ("embedding", "block_01", "block_02", "block_03")
    for layer, h in zip(encoder.layers, states.hidden_states, strict=True):
        np.testing.assert_allclose(encoder.encode([texts[0]])[layer][0], h[0].mean(0).numpy(), atol=1e-5)


def test_unpooled_features_are_the_tokens_of_each_item(checkpoint, texts):
    encoder = load(checkpoint, "bert", pooling="none")
    features = encoder.encode(texts)["block_03"]
    assert [f.shape for f in features] == [(len(t.split()), 16) for t in texts]
    mean = load(checkpoint, "bert").encode(texts)["block_03"]
    np.testing.assert_allclose(np.stack([f.mean(0) for f in features]), mean, atol=1e-5)


def test_bfloat16_is_computed_by_autocast_and_stored_as_float32(checkpoint, images):
    exact, rough = (load(checkpoint, "vit", dtype=d).encode(images)["final_norm"] for d in ("float32", "bfloat16"))
    assert rough.dtype == np.float32
    assert 1e-6 < np.abs(exact - rough).max() < 0.1


def test_layers_are_chosen_by_name_pattern_or_module_path(checkpoint, texts):
    encoder = load(checkpoint, "bert", layers=["block_*", "embeddings.LayerNorm"])
    assert encoder.layers == ("embeddings.LayerNorm", "block_01", "block_02", "block_03")
    everything = load(checkpoint, "bert").encode(texts)
    np.testing.assert_allclose(encoder.encode(texts)["block_02"], everything["block_02"])
    np.testing.assert_allclose(encoder.encode(texts)["embeddings.LayerNorm"], everything["embedding"])
    assert encoder.identity["layers"] == list(encoder.layers)


def test_an_unknown_layer_is_answered_with_the_nearest(checkpoint):
    with pytest.raises(UnknownNameError, match="'block_03'"):
        load(checkpoint, "bert", layers=["block_3"])


@pytest.mark.parametrize(
    "options", [{"pooling": "max"}, {"dtype": "bfloat16"}, {"layers": "block_01"}, {"max_length": 5}]
)
def test_whatever_changes_features_changes_the_identity(checkpoint, options):
    plain, changed = load(checkpoint, "bert"), load(checkpoint, "bert", **options)
    assert plain.identity != changed.identity


def test_the_identity_does_not_depend_on_where_the_checkpoint_lies_but_on_its_weights(checkpoint, tmp_path):
    name = checkpoint("bert").name
    shutil.copytree(checkpoint("bert"), tmp_path / name)
    moved = load_encoder(str(tmp_path / name))
    assert moved.identity == load(checkpoint, "bert").identity
    from safetensors.torch import load_file, save_file

    file = tmp_path / name / "model.safetensors"
    state = load_file(file)
    state["encoder.layer.0.output.dense.bias"] += 1e-3
    save_file(state, file, metadata={"format": "pt"})
    assert load_encoder(str(tmp_path / name)).identity != moved.identity


def test_encoding_leaves_the_identity_as_it_was(checkpoint, texts):
    encoder = load(checkpoint, "bert")
    before = encoder.identity
    encoder.encode(texts)
    assert encoder.identity == before


def test_activations_that_are_not_finite_are_refused_with_layer_and_item(checkpoint, texts):
    encoder = load(checkpoint, "bert")
    with torch.no_grad():
        encoder.network.embeddings.word_embeddings.weight[5] = float("nan")  # "cat"
    with pytest.raises(InputError, match="layer 'embedding' are not finite for item 1 of the batch"):
        encoder.encode(["the red dog", "a cat"])


def test_a_text_longer_than_the_model_reads_is_refused_unless_cutting_is_asked_for(checkpoint):
    long = " ".join(["cat"] * 13)
    with pytest.raises(InputError, match="Item 1 of the batch has 13 tokens but the model reads at most 12"):
        load(checkpoint, "bert").encode(["a cat", long])
    cut = load(checkpoint, "bert", truncate=True).encode([long])["block_03"]
    np.testing.assert_allclose(cut, load(checkpoint, "bert").encode([" ".join(["cat"] * 12)])["block_03"], atol=1e-5)


def test_a_recording_longer_than_the_window_is_refused(checkpoint):
    with pytest.raises(InputError, match=r"lasts 1\.1 s but the model hears at most 1 s"):
        load(checkpoint, "whisper").encode([Audio(np.zeros(17600, dtype=np.float32), 16000)])


def test_a_recording_too_short_for_one_frame_is_refused(checkpoint):
    with pytest.raises(InputError, match="too short for one frame"):
        load(checkpoint, "wav2vec2").encode([Audio(np.zeros(5, dtype=np.float32), 16000)])


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("clip", {}, "has several sides; choose one by side=, or #side at the end of its name: 'text', 'vision'"),
        ("bert", {"side": "decoder"}, "has one side only"),
        ("t5", {"side": "text"}, "Its sides: 'encoder', 'decoder'"),
        ("vit", {"max_length": 5}, "for texts"),
        ("bert", {"max_length": 99}, "20 positions"),
        ("bert", {"padding_side": "middle"}, "Unknown padding_side"),
        ("bert", {"device": "cuda:77"}, "device 'cuda:77' cannot be used"),
        ("bert", {"pooling": "mean_no_cls"}, "class tokens are known"),
        ("wav2vec2", {"pooling": "cls"}, "needs a class token"),
    ],
)
def test_options_that_do_not_fit_are_refused(checkpoint, items, kind, options, says):
    def use():
        encoder = load(checkpoint, kind, **options)
        encoder.encode(items[encoder.modality][:1])

    with pytest.raises(InputError, match=says):
        use()


def test_a_checkpoint_that_lacks_weights_is_refused(checkpoint, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(checkpoint("bert"), tmp_path / "part")
    state = load_file(tmp_path / "part" / "model.safetensors")
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, tmp_path / "part" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 weights .* 'encoder.layer.1.output.dense.weight'"):
        load_encoder(str(tmp_path / "part"))


@pytest.mark.parametrize(
    ("content", "says"), [(None, "has no config.json"), ("{}", "holds no weights"), ("no json", "cannot be read")]
)
def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path, content, says):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=says):
        load_encoder(str(tmp_path))


def test_a_configuration_that_cuts_the_network_short_is_refused(checkpoint, tmp_path):
    shutil.copytree(checkpoint("bert"), tmp_path / "cut")
    config = json.loads((tmp_path / "cut" / "config.json").read_text())
    (tmp_path / "cut" / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2}))
    with pytest.raises(InputError, match=r"blocks that its config\.json does not count"):
        load_encoder(str(tmp_path / "cut"))


def test_pointers_to_files_that_were_not_downloaded_are_named(checkpoint, tmp_path):
    for name in ("config.json", "tokenizer.json"):
        folder = tmp_path / name
        shutil.copytree(checkpoint("bert"), folder)
        (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
        with pytest.raises(InputError, match=rf"{name} is a git-lfs pointer"):
            load_encoder(str(folder))


def test_blocks_made_of_lists_side_by_side_end_with_the_last(tmp_path):
    from transformers import XLMConfig, XLMModel

    from .conftest import WORDS, tokenizer

    tokenizer().save_pretrained(tmp_path)
    config = XLMConfig(
        vocab_size=len(WORDS), emb_dim=16, n_layers=3, n_heads=2, max_position_embeddings=32, pad_index=0
    )
    model = XLMModel(config).eval()
    model.save_pretrained(tmp_path)
    encoder = load_encoder(str(tmp_path))
    ids = encoder._inputs._tokenizer("a red cat", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        states = model(ids, output_hidden_states=True).hidden_states
    rows = encoder.encode(["a red cat"])
    for layer, state in zip(("embedding", "block_01", "block_02", "block_03"), states, strict=True):
        np.testing.assert_allclose(rows[layer][0], state[0].mean(0), rtol=1e-4, atol=1e-5)


def test_networks_that_pad_to_whole_windows_are_pooled_over_their_text(tmp_path):
    from transformers import LongformerConfig, LongformerModel

    from .conftest import _DIMS, WORDS, tokenizer

    tokenizer().save_pretrained(tmp_path)
    config = LongformerConfig(
        **_DIMS, vocab_size=len(WORDS), max_position_embeddings=40, attention_window=4, pad_token_id=0
    )
    model = LongformerModel(config).eval()
    model.save_pretrained(tmp_path)
    encoder = load_encoder(str(tmp_path))
    ids = encoder._inputs._tokenizer("a small red cat sat", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        states = model(ids, output_hidden_states=True).hidden_states
    rows = encoder.encode(["a small red cat sat", "now"])
    for layer, state in zip(("block_01", "block_02", "block_03"), states[1:], strict=True):
        np.testing.assert_allclose(rows[layer][0], state[0, : ids.shape[1]].mean(0), rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="padding_side='right'"):
        load_encoder(str(tmp_path), padding_side="left")


@pytest.mark.parametrize("options", [{"layers": []}, {"layers": [5]}, {"layers": 5}, {"store": 5}, {"probes": 3}])
def test_options_of_no_meaning_are_refused_in_words(checkpoint, options):
    with pytest.raises(InputError, match=next(iter(options))):
        load_encoder(str(checkpoint("bert")), **options)


def test_a_text_that_is_no_unicode_is_refused(checkpoint):
    with pytest.raises(InputError, match="no valid text"):
        load_encoder(str(checkpoint("bert"))).encode(["\ud800"])


def test_a_tower_saved_with_its_projection_gives_the_shared_space(tmp_path):
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    from .conftest import _DIMS, WORDS, tokenizer

    tokenizer(pad_token="</s>").save_pretrained(tmp_path)
    config = CLIPTextConfig(
        **_DIMS, vocab_size=len(WORDS), max_position_embeddings=16, projection_dim=10, eos_token_id=2
    )
    model = CLIPTextModelWithProjection(config).eval()
    model.save_pretrained(tmp_path)
    encoder = load_encoder(str(tmp_path))
    assert encoder.layers[-1] == "projection"
    inputs = encoder.prepare(["a red cat"])[0].inputs
    with torch.no_grad():
        right = model(**inputs).text_embeds
    np.testing.assert_allclose(encoder.encode(["a red cat"])["projection"], right, rtol=1e-4, atol=1e-6)


def test_a_file_of_weights_alone_is_refused_with_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "wav2vec_large.pt").write_bytes(b"pickled")
    monkeypatch.chdir(tmp_path)
    for spec in ("wav2vec_large.pt", str(tmp_path / "wav2vec_large.pt")):
        with pytest.raises(InputError, match=r"fairseq's wav2vec 1\.0"):
            load_encoder(spec)


def test_a_folder_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="There is no folder"):
        load_encoder("./nowhere/at/all")


def test_an_empty_batch_is_refused(checkpoint):
    with pytest.raises(InputError, match="empty batch"):
        load(checkpoint, "bert").encode([])


def test_without_transformers_the_message_names_the_command(checkpoint, monkeypatch):
    checkpoint("bert")  # building it needs the library that is hidden next
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'isomorph\[models\]'"):
        load(checkpoint, "bert")


def test_loading_and_encoding_leave_the_users_random_numbers_alone(checkpoint, texts):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    load(checkpoint, "bert", init="random", seed=5).encode(texts)
    assert torch.equal(torch.rand(3), expected)


def test_costs_grow_with_length(checkpoint, recordings):
    assert load(checkpoint, "bert").cost("a cat sat") > load(checkpoint, "bert").cost("a")
    assert load(checkpoint, "wav2vec2").cost(recordings[5]) > load(checkpoint, "wav2vec2").cost(recordings[0])


def test_a_hub_id_is_pinned_to_the_commit_that_it_was_read_from(checkpoint, tmp_path, monkeypatch):
    import huggingface_hub
    from safetensors.torch import load_file, save_file

    repository = tmp_path / "models--org--name"
    for commit in ("a" * 40, "b" * 40):
        shutil.copytree(checkpoint("bert"), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    file = repository / "snapshots" / ("b" * 40) / "model.safetensors"
    state = load_file(file)
    state["encoder.layer.2.output.LayerNorm.bias"] += 1
    save_file(state, file, metadata={"format": "pt"})
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    main, pinned, named = (load_encoder(s) for s in ("org/name", f"org/name@{'b' * 40}", "transformers:org/name@main"))
    assert (main.name, main.revision) == ("transformers:org/name", "a" * 40)
    assert (pinned.name, pinned.revision) == (f"transformers:org/name@{'b' * 40}", "b" * 40)
    assert (named.name, named.revision) == ("transformers:org/name@main", "a" * 40)
    values = [e.encode(["a cat"])["block_03"][0, 0] for e in (main, pinned, named)]
    assert values[1] == pytest.approx(values[0] + 1, abs=1e-5)
    assert values[2] == values[0]
    with pytest.raises(FetchError, match="org/other cannot be had from the hub"):
        load_encoder("org/other")
