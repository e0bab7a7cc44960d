"""The self-check: ten planted faults are found, and what is right passes."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from isomorph.encoders import load_encoder
from isomorph.encoders._check import Certificates, certificate_key, check_encoder, find_fault
from isomorph.errors import InputError

WORDS = ["a", "cat", "sat", "on", "the", "red", "mat", "dog", "runs", "home", "now", "small", "and", "big"]
PROBES = ["a cat sat on the mat", "dog", "the red dog runs home now", "small cat", "big dog"]
D = 12


class Mix(torch.nn.Linear):
    """A linear map that can give its features along another axis."""

    turned = False

    def forward(self, x):
        y = super().forward(x)
        return y.transpose(1, 2) if self.turned else y


class Net(torch.nn.Module):
    """A transformer of one block that can be told to do wrong."""

    def __init__(self, fault=""):
        super().__init__()
        torch.manual_seed(0)
        self.embed = torch.nn.Embedding(len(WORDS) + 2, D)
        self.attention = torch.nn.MultiheadAttention(D, 2, batch_first=True)
        self.mix = Mix(D, D)
        self.mix.turned = fault == "swapped axes"
        self.fault, self.calls = fault, 0

    def forward(self, ids, held, **_):
        x = self.embed(ids)
        leak = self.fault == "leaking padding"
        x = x + self.attention(x, x, x, key_padding_mask=None if leak else ~held, need_weights=False)[0]
        x = x * held[..., None]
        if self.fault == "dropout left on":
            x = torch.nn.functional.dropout(x, 0.3, training=True)
        if self.fault == "batch statistics":
            x = x - x.mean(0, keepdim=True) / 2
        if self.fault == "state between calls":
            self.calls += 1
            x = x + 0.05 * self.calls
        return self.mix(x)


class Read:
    """Texts as ids and masks."""

    def __init__(self, fault=""):
        self.fault, self.rng = fault, np.random.default_rng(0)

    def __call__(self, texts):
        if self.fault == "random crop":
            texts = [" ".join(self.rng.permutation(t.split())[:2]) for t in texts]
        rows = [[0 if self.fault == "broken tokenizer" else WORDS.index(w) + 1 for w in t.split()] for t in texts]
        if self.fault == "broken tokenizer":
            rows = [[0] for _ in rows]
        longest = max(map(len, rows))
        ids = torch.tensor([r + [len(WORDS) + 1] * (longest - len(r)) for r in rows])
        held = torch.tensor([[True] * len(r) + [False] * (longest - len(r)) for r in rows])
        return {"ids": ids, "held": held} | ({} if self.fault == "dropped mask" else {"attention_mask": held})


def load(fault="", **options):
    given = {"preprocess": Read(fault), "preprocessing": f"words, v1, {fault}", "modality": "text", "layers": ["mix"]}
    return load_encoder(Net(fault), **given, probes=PROBES, **options)


@pytest.mark.parametrize("pooling", ["mean", "max", "none"])
def test_a_network_that_keeps_items_apart_passes(pooling):
    encoder = load(pooling=pooling)
    assert encoder.checked == "passed"
    assert encoder.notes == ()
    assert encoder.grouping == "padded"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("random crop", "other features at another call"),
        ("dropout left on", "other features at another call"),
        ("batch statistics", "when other items share its batch"),
        ("state between calls", "other features at another call"),
        ("broken tokenizer", "the same features for all 5 probes"),
    ],
)
def test_a_planted_fault_is_refused_in_words(fault, says):
    with pytest.raises(InputError, match=says) as caught:
        load(fault)
    assert "layer 'mix'" in str(caught.value)


@pytest.mark.parametrize("fault", ["leaking padding", "dropped mask"])
def test_padding_that_leaks_is_mended_by_passes_of_one_length(fault):
    encoder = load(fault)
    assert encoder.grouping == "equal"
    assert "never share a pass" in encoder.identity["mended"][0]
    alone = [encoder.encode([p])["mix"][0] for p in PROBES]
    np.testing.assert_allclose(encoder.encode(PROBES)["mix"], alone, rtol=1e-5, atol=1e-6)


def test_swapped_axes_are_seen_and_a_false_word_about_them_is_refused():
    found, right = load("swapped axes"), load()
    assert found.axes == {"mix": "bdt"}
    np.testing.assert_allclose(found.encode(PROBES)["mix"], right.encode(PROBES)["mix"], rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="padding cannot be told apart"):  # as many tokens as there are features
        load("swapped axes", axes="btd")
    unmasked = {"preprocess": Read("dropped mask"), "preprocessing": "v2", "modality": "text", "layers": ["mix"]}
    with pytest.raises(InputError, match="along another axis"):
        load_encoder(Net("swapped axes"), **unmasked, probes=PROBES, axes="btd")


def test_a_wrong_number_of_class_tokens_is_refused(checkpoint):
    encoder = load_encoder(str(checkpoint("vit")), check=False)
    prepare = encoder._inputs.prepare
    encoder._inputs.prepare = lambda batch, device: [dataclasses.replace(p, prefix=3) for p in prepare(batch, device)]
    with pytest.raises(InputError, match="3 class and register tokens in front, but 1"):
        check_encoder(encoder)


def test_a_twin_of_nothing_is_mended_and_says_so(checkpoint):
    right = load_encoder(str(checkpoint("vit")), init="random")
    assert right.notes == ()
    encoder = load_encoder(str(checkpoint("vit")), init="random", check=False)
    encoder.checked = "not yet"
    with torch.no_grad():
        for parameter in encoder.network.parameters():
            parameter.mul_(1e-10 if parameter.ndim > 1 else 1)

    assert find_fault(encoder, encoder.probes()).kind == "constant"
    encoder.warm_up(encoder.probes())
    check_encoder(encoder)
    assert "1/√fan-in" in encoder.identity["mended"][0]


def test_a_declared_initial_spread_of_nothing_is_replaced(checkpoint, tmp_path):
    config = json.loads((checkpoint("vit") / "config.json").read_text()) | {"initializer_range": 1e-10}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "preprocessor_config.json").write_text((checkpoint("vit") / "preprocessor_config.json").read_text())
    twin = load_encoder(str(tmp_path), init="random")
    assert "initializer_range=1e-10 was taken as 0.02" in twin.identity["initial_spread"]
    rows = twin.encode(twin.probes())["block_03"]
    assert np.abs(rows).mean() > 1e-3


def test_without_the_check_the_identity_says_so():
    assert load(check=False).identity["check"] == "skipped"
    assert "check" not in load().identity


def test_own_items_are_checked_with_the_first_batch():
    net, read = Net("batch statistics"), Read()
    encoder = load_encoder(net, preprocess=read, preprocessing="words, v1", modality="text", layers=["mix"])
    assert encoder.checked == "awaits items"
    with pytest.raises(InputError, match="when other items share its batch"):
        encoder.encode(PROBES)
    right = load_encoder(Net(), preprocess=read, preprocessing="words, v1", modality="text", layers=["mix"])
    right.encode(PROBES)
    assert right.checked == "passed"


def test_a_certificate_spares_the_second_check(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("isomorph.encoders.cache_dir", lambda: tmp_path / "cache")
    first = load_encoder(str(checkpoint("bert")), store=tmp_path)
    assert list((tmp_path / "certificates").glob("*.json"))
    monkeypatch.setattr("isomorph.encoders.check_encoder", lambda *_: pytest.fail("it was checked before"))
    second = load_encoder(str(checkpoint("bert")), store=tmp_path)
    assert second.checked == "passed"
    assert second.axes == first.axes
    assert second.identity == first.identity
    with pytest.raises(pytest.fail.Exception, match="checked before"):
        load_encoder(str(checkpoint("roberta")), store=tmp_path)


def test_a_damaged_certificate_is_none(checkpoint, tmp_path):
    encoder = load_encoder(str(checkpoint("bert")), store=tmp_path)
    (path,) = (tmp_path / "certificates").glob("*.json")
    assert path.stem == certificate_key(encoder.identity)
    path.write_text("{")
    assert Certificates(path.parent).read(path.stem) is None


def test_a_store_that_is_not_there_is_not_made(checkpoint, tmp_path):
    load_encoder(str(checkpoint("bert")), store=tmp_path / "features")
    assert not (tmp_path / "features").exists()


def test_probes_of_ones_own_must_be_two():
    with pytest.raises(InputError, match="at least two"):
        load_encoder(Net(), preprocess=Read(), modality="text", layers=["mix"], probes=["a cat"])
