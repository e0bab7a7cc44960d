import functools
import json
import shutil
import sys

import numpy as np
import pytest
import torch

from isomorph.encoders import load_encoder, sides_of
from isomorph.errors import FetchError, InputError, MissingExtraError, UnknownNameError

from .conftest import WORDS, tokenizer
from .vision_libraries import far, perturb

_DIMS = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
PROMPTS = {"query": "the red ", "passage": "a dog: ", "nothing": ""}
KINDS = ["mean", "dense", "excluded", "causal", "static", "static-dense"]
DEEP = ["mean", "dense", "excluded", "causal"]


@pytest.fixture(scope="module")
def library():
    return pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")


@pytest.fixture(scope="module")
def folder(library, tmp_path_factory):
    """A function from a kind of model to the folder of a tiny one, as the library itself writes it."""
    made = {}

    def make(kind):
        if kind not in made:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(5)
                model = _model(library, kind, tmp_path_factory.mktemp("backbone"))
            for module in model.children():
                perturb(module, scale=0.2)
            made[kind] = tmp_path_factory.mktemp(kind)
            model.save(str(made[kind]), create_model_card=False)
        return made[kind]

    return make


def _model(library, kind, path):
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding

    if kind.startswith("static"):
        words = StaticEmbedding(tokenizer(), embedding_dim=12)
        more = [Dense(12, 6)] if kind == "static-dense" else []
        return library.SentenceTransformer(modules=[words, *more, Normalize()], device="cpu")
    from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel

    if kind == "causal":
        tokenizer(padding_side="left", pad_token="</s>").save_pretrained(path)
        LlamaModel(LlamaConfig(**_DIMS, vocab_size=len(WORDS), max_position_embeddings=32)).save_pretrained(path)
    else:
        tokenizer().save_pretrained(path)
        config = BertConfig(**_DIMS, vocab_size=len(WORDS), max_position_embeddings=20, pad_token_id=0)
        BertModel(config).save_pretrained(path)
    first = Transformer(str(path), max_seq_length=8)
    if kind == "mean":
        return library.SentenceTransformer(modules=[first, Pooling(16, "mean"), Normalize()], device="cpu")
    if kind == "causal":
        return library.SentenceTransformer(modules=[first, Pooling(16, "lasttoken")], device="cpu")
    if kind == "excluded":
        modules = [first, Pooling(16, "mean", include_prompt=False)]
        return library.SentenceTransformer(modules=modules, device="cpu", prompts=PROMPTS, default_prompt_name="query")
    modules = [first, Pooling(16, ("cls", "max")), Dense(32, 9), Normalize()]
    return library.SentenceTransformer(
        modules=modules, device="cpu", prompts=PROMPTS, default_prompt_name="query", truncate_dim=5
    )


def load(path, **options):
    return load_encoder(f"sentence-transformers:{path}", **options)


def embeddings(library, path, texts, **options):
    """The library's own embeddings, one text at a time."""
    model = library.SentenceTransformer(str(path), device="cpu", local_files_only=True)
    return np.stack([model.encode([text], **options)[0] for text in texts])


def _keep(rows, name, _module, _args, out):
    rows[name] = out[0] if isinstance(out, tuple) else out


def states(library, path, texts, prompt=""):
    """Layer -> rows (t, d) of each text, by transformers alone, with the tokens of a prompt that is left out apart."""
    model = library.SentenceTransformer(str(path), device="cpu", local_files_only=True)
    backbone, tokens = model[0].model.eval(), model[0].tokenizer
    found = []
    for text in texts:
        ids = tokens([prompt + text], return_tensors="pt", truncation=True, max_length=8)["input_ids"]
        rows = {}
        blocks = backbone.encoder.layer if hasattr(backbone, "encoder") else backbone.layers
        hooks = [
            block.register_forward_hook(functools.partial(_keep, rows, f"block_{i:02d}"))
            for i, block in enumerate(blocks, 1)
        ]
        with torch.no_grad():
            out = backbone(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
        for hook in hooks:
            hook.remove()
        rows["embedding"] = out.hidden_states[0]
        if not hasattr(backbone, "encoder"):
            rows["final_norm"] = out.last_hidden_state
        found.append({k: v[0].numpy() for k, v in rows.items()})
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_sentence_is_what_the_librarys_encode_gives(library, folder, texts, kind):
    features = load(folder(kind)).encode(texts)
    expected = embeddings(library, folder(kind), texts)
    assert features["sentence"].shape == expected.shape
    for i in range(len(texts)):
        assert far(features["sentence"][i], expected[i]) < 1e-5


@pytest.mark.parametrize("kind", DEEP)
def test_every_block_is_the_networks_own_pooled_as_asked(library, folder, texts, kind):
    prompt = PROMPTS["query"] if kind in ("dense", "excluded") else ""
    by_hand = states(library, folder(kind), texts, prompt)
    skip = 2 if kind == "excluded" else 0  # "the red"
    pool = {"mean": lambda r: r.mean(0), "max": lambda r: r.max(0), "cls": lambda r: r[0], "last": lambda r: r[-1]}
    for pooling, reduce in pool.items():
        features = load(folder(kind), pooling=pooling).encode(texts)
        assert set(features) == {*by_hand[0], "sentence"}
        for layer in by_hand[0]:
            for i, rows in enumerate(by_hand):
                assert far(features[layer][i], reduce(rows[layer][skip:])) < 1e-5, (pooling, layer, i)
    unpooled = load(folder(kind), pooling="none", layers="block_*").encode(texts)
    for layer, values in unpooled.items():
        for value, rows in zip(values, by_hand, strict=True):
            assert far(value, rows[layer][skip:]) < 1e-5, layer
    with pytest.raises(InputError, match="class tokens are known"):
        load(folder(kind), pooling="mean_no_cls", layers="block_*")


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_the_item_alone(folder, texts, kind):
    encoder = load(folder(kind))
    order = [5, 2, 7, 0, 1, 6, 3, 4]
    together = encoder.encode([texts[i] for i in order])
    for place, i in enumerate(order):
        alone = encoder.encode([texts[i]])
        for layer in encoder.layers:
            assert far(together[layer][place], alone[layer][0]) < 1e-5, layer


@pytest.mark.parametrize("kind", ["dense", "excluded"])
def test_prompts_are_by_name_by_text_or_as_saved(library, folder, texts, kind):
    path = folder(kind)
    seen = {}
    for prompt in ("passage", "nothing", "", "the dog: "):
        encoder = load(path, prompt=prompt)
        options = {"prompt_name": prompt} if prompt in PROMPTS else {"prompt": prompt}
        seen[prompt] = encoder.encode(texts)["sentence"]
        expected = embeddings(library, path, texts, **options)
        for value, row in zip(seen[prompt], expected, strict=True):
            assert far(value, row) < 1e-5, prompt
    np.testing.assert_array_equal(seen["nothing"], seen[""])
    named, text = load(path, prompt="passage"), load(path, prompt="a dog: ")
    assert named.identity == text.identity
    assert named.identity != load(path).identity
    assert "'the red '" in load(path).description
    with pytest.raises(UnknownNameError, match="'query'"):
        load(path, prompt="qurey")


def test_texts_are_cut_at_the_saved_length_or_refused(library, folder):
    long = "a small red cat sat on the mat now the dog runs home"
    path = folder("mean")
    encoder = load(path)
    assert "cut at 8 tokens" in encoder.description
    assert far(encoder.encode(["cat", long])["sentence"][1], embeddings(library, path, [long])[0]) < 1e-5
    with pytest.raises(InputError, match="Item 1 of the batch has 13 tokens but the model reads at most 8"):
        load(path, truncate=False).encode(["cat", long])
    longer = load(path, max_length=13, truncate=False).encode([long])["sentence"][0]
    assert far(longer, embeddings(library, path, [long])[0]) > 1e-3
    with pytest.raises(InputError, match="20 positions"):
        load(path, max_length=21)
    with pytest.raises(InputError, match="no count"):
        load(path, max_length=0)


def test_matryoshka_dimensions_are_as_saved_or_as_asked(library, folder, texts):
    path = folder("dense")
    assert load(path).encode(texts)["sentence"].shape == (8, 5)
    features = load(path, truncate_dim=3).encode(texts)["sentence"]
    for value, row in zip(features, embeddings(library, path, texts, truncate_dim=3), strict=True):
        assert far(value, row) < 1e-5


def test_identity_covers_what_changes_features(folder, tmp_path, texts):
    path, copy = folder("dense"), tmp_path / "copy"
    shutil.copytree(path, copy)
    encoder = load(path)
    before = json.dumps(encoder.identity, sort_keys=True)
    encoder.encode(texts)
    assert json.dumps(encoder.identity, sort_keys=True) == before
    assert json.dumps(load(copy).identity, sort_keys=True) == before
    assert load(copy).revision == encoder.revision
    seen = {before}
    options = [{"prompt": "passage"}, {"max_length": 7}, {"truncate": False}, {"truncate_dim": 4}, {"pooling": "cls"}]
    for option in options:
        seen.add(json.dumps(load(path, **option).identity, sort_keys=True))
    tokens = json.loads((copy / "tokenizer.json").read_text())
    tokens["model"]["vocab"]["cat"], tokens["model"]["vocab"]["dog"] = 11, 5
    (copy / "tokenizer.json").write_text(json.dumps(tokens))
    seen.add(json.dumps(load(copy).identity, sort_keys=True))
    pooling = next(copy.glob("*_Pooling")) / "config.json"
    facts = json.loads(pooling.read_text())
    facts["pooling_mode"] = ["cls", "mean"]
    pooling.write_text(json.dumps(facts))
    seen.add(json.dumps(load(copy).identity, sort_keys=True))
    assert len(seen) == len(options) + 3


@pytest.mark.parametrize("kind", ["dense", "static-dense"])
def test_a_twin_has_the_libraries_own_initial_weights_drawn_with_a_seed(folder, texts, kind):
    path = folder(kind)
    trained, twin, again, other = (load(path, **o) for o in ({}, *({"init": "random", "seed": s} for s in (3, 3, 4))))
    assert twin.name.endswith("?init=random")
    assert twin.layers == trained.layers
    assert twin.n_parameters == trained.n_parameters
    if kind == "dense":
        from transformers import AutoConfig, AutoModel

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            expected = AutoModel.from_config(AutoConfig.from_pretrained(str(path)))
        drawn = twin.network.get_submodule("0.model").state_dict()
        for name, value in expected.state_dict().items():
            assert torch.equal(drawn[name], value), name
    for name, value in trained.network.state_dict().items():
        if name.endswith("linear.weight"):
            assert not torch.equal(value, twin.network.state_dict()[name])
    a, b, c, d = (e.encode(texts)["sentence"] for e in (trained, twin, again, other))
    np.testing.assert_array_equal(b, c)
    assert far(a, b) > 1e-3
    assert far(d, b) > 1e-3


def test_static_models_have_no_blocks(folder, texts):
    assert load(folder("static")).layers == ("embedding", "sentence")
    assert load(folder("static"), layers="sentence").layers == ("sentence",)
    assert load(folder("static")).encode(texts)["embedding"].shape == (8, 12)


def test_what_is_no_such_folder_is_refused_in_words(folder, tmp_path):
    with pytest.raises(InputError, match=r"modules\.json"):
        load(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(folder("dense"), broken)
    dense = next(broken.glob("*_Dense"))
    (dense / "model.safetensors").unlink()
    torch.save({}, dense / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin only"):
        load(broken)
    (dense / "pytorch_model.bin").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        load(broken)
    facts = broken / "config_sentence_transformers.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"model_type": "CrossEncoder"}))
    with pytest.raises(InputError, match="CrossEncoder"):
        load(broken)
    (broken / "modules.json").write_text("[")
    with pytest.raises(InputError, match="cannot be read"):
        load(broken)


def test_code_of_others_is_not_run(folder, tmp_path):
    path = tmp_path / "custom"
    shutil.copytree(folder("mean"), path)
    (path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Own: pass\n")
    modules = json.loads((path / "modules.json").read_text())
    modules[1]["type"] = "own.Own"
    (path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(InputError, match="cannot be read"):
        load(path)
    assert not (tmp_path / "ran").exists()


def test_a_hub_that_does_not_answer_is_an_error_with_the_way_out(library, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for name in ("all-MiniLM-L6-v2", "org/nothing@main"):
        with pytest.raises(FetchError, match="cannot be reached"):
            load_encoder(f"sentence-transformers:{name}")


def test_a_model_of_the_hub_is_read_from_its_snapshot(library, folder, monkeypatch, texts):
    from isomorph.encoders import _hub
    from isomorph.encoders import sentence_transformers as provider

    asked = []

    def open_repository(id, revision, entry):
        asked.append((id, revision, entry))
        return _hub.Repository(id, "c" * 40, folder("mean"), online=False)

    monkeypatch.setattr(provider, "open_repository", open_repository)
    encoder = load_encoder("sentence-transformers:all-MiniLM-L6-v2@v1")
    assert asked == [("sentence-transformers/all-MiniLM-L6-v2", "v1", "modules.json")]
    assert encoder.revision == "c" * 40
    np.testing.assert_array_equal(encoder.encode(texts)["sentence"], load(folder("mean")).encode(texts)["sentence"])


def test_a_missing_package_is_named_with_its_extra(library, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"'sentence-transformers'.*isomorph\[sentence-transformers\]"):
        load_encoder("sentence-transformers:all-MiniLM-L6-v2")


def test_a_model_has_one_side_only(folder):
    assert sides_of(f"sentence-transformers:{folder('mean')}") == ()
