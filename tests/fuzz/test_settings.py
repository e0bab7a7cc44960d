"""Settings and specs of every verb: of the wrong type, out of range, without end."""

from __future__ import annotations

import inspect
import os

import numpy as np
import pytest
from hypothesis import strategies as st

import isomorph as iso
from isomorph.datasets import REGISTRY as DATASETS
from isomorph.maps import REGISTRY as MAPS
from isomorph.metrics import REGISTRY as METRICS

from .guard import Door
from .inputs import settings_of, spec, told

_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(24, 4))
Y = X @ _RNG.normal(size=(4, 4)) + 0.3 * _RNG.normal(size=(24, 4))
SCAN = iso.scan(X, Y, ["cka"], permutations=20)
LABELS = list("abcd" * 6)


def _parameters(function, *without):
    return [p for p in inspect.signature(function).parameters if p not in without]


def _options(registry, name):
    """The parameters of a kind, each with its default."""
    return {p.name: p.default for p in inspect.signature(registry.classes[name]).parameters.values()}


def _networks():
    """Two small networks, their inputs and labels."""
    import torch

    torch.manual_seed(0)
    x = torch.randn(60, 4)
    nets = [torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2)) for _ in range(2)]
    labels = nets[1](x).argmax(1).numpy()
    return {"bottom": nets[0], "top": nets[1], "data": x, "labels": labels, "cuts": ["1"]}


ATLAS = iso.atlas(
    {name: X[:, ::-1] * k + Y for k, name in enumerate("abcde", start=1)},
    "cka",
    attributes={"size": [1, 2, 3, 4, 5], "kind": list("ppqqq")},
    domains=list("io" * 12),
    permutations=19,
    splits=1,
    show=False,
)


VERBS = {
    "scan": (
        lambda **s: iso.scan(X, Y, **s),
        _parameters(iso.scan, "x", "y"),
        {"metrics": ["cka"], "permutations": 20, "neighbors": 3, "x_name": "a", "alpha": 0.05, "gallery": False},
        400,
    ),
    "stitch": (
        lambda **s: iso.stitch(X, Y, **s),
        _parameters(iso.stitch, "x", "y"),
        {"maps": ["ridge"], "repeats": 2, "permutations": 1, "draws": 100, "curves": False, "labels": LABELS},
        250,
    ),
    "fuse": (
        lambda **s: iso.fuse(**({"spaces": {"x": X, "y": Y}, "target": LABELS} | s)),
        _parameters(iso.fuse),
        {"heads": ["concat"], "repeats": 2, "draws": 100, "controls": False, "show": False, "target": LABELS},
        600,
    ),
    "atlas": (
        lambda **s: iso.atlas(**({"models": {"x": X, "y": Y, "z": X[::-1]}} | s)),
        _parameters(iso.atlas, "keep"),
        {
            "metrics": ["cka"],
            "permutations": 19,
            "splits": 1,
            "show": False,
            "attributes": {"size": [1, 2, 3]},
            "domains": list("io" * 12),
            "consensus": 2,
        },
        150,
    ),
    "concepts": (
        lambda **s: iso.concepts(**({"x": X, "y": Y} | s)),
        _parameters(iso.concepts),
        {
            "labels": LABELS,
            "metric": "mutual_knn(k=3)",
            "x_ceilings": {"a": X[:, :2]},
            "y_ceilings": {"b": Y[:, :3]},
            "covariates": {"size": list(range(24))},
            "others": {"z": X[::-1]},
            "permutations": 19,
            "folds": 2,
            "limits": False,
            "redundancy": False,
            "show": False,
        },
        150,
    ),
    "atlas.domain_divergence": (
        ATLAS.domain_divergence,
        _parameters(ATLAS.domain_divergence),
        {"specialists": ["a"], "pool": ["b", "c", "d"], "inside": "i", "outside": None, "permutations": 20},
        150,
    ),
    "atlas.trend": (ATLAS.trend, _parameters(ATLAS.trend), {"attribute": "size", "reference": None}, 150),
    "atlas.threshold": (ATLAS.threshold, _parameters(ATLAS.threshold), {"attribute": "size", "draws": 20}, 100),
    "atlas.divergence": (
        ATLAS.divergence,
        _parameters(ATLAS.divergence),
        {"specialists": ["a"], "pool": ["b", "c", "d"], "permutations": 20},
        150,
    ),
    "atlas.factors": (ATLAS.factors, _parameters(ATLAS.factors), {"factors": ["size"], "permutations": 20}, 100),
    "atlas.tree": (ATLAS.tree, _parameters(ATLAS.tree), {"draws": 5}, 240),
    "atlas.embedding": (ATLAS.embedding, _parameters(ATLAS.embedding), {"dims": 2}, 60),
    "diagnose": (
        lambda **s: iso.diagnose(**({"x": X, "y": Y} | s)),
        _parameters(iso.diagnose),
        {"seed": 0, "labels": LABELS, "scan": SCAN},
        250,
    ),
    "power": (
        iso.power,
        _parameters(iso.power),
        {"metric": "cka", "n": 10, "d1": 3, "d2": 3, "rank": 2, "trials": 4, "alpha": 0.2},
        150,
    ),
    "gallery_curve": (
        lambda **s: iso.gallery_curve(**({"x": X, "y": Y} | s)),
        _parameters(iso.gallery_curve),
        {"metric": "cka", "repeats": 2, "sizes": [8, 16]},
        350,
    ),
    "difference": (
        iso.difference,
        _parameters(iso.difference),
        {"metric": "cka", "first": (X, Y), "second": (X, Y[::-1]), "repeats": 10, "fraction": 0.5},
        350,
    ),
    "false_discovery": (iso.false_discovery, ["scans"], {"scans": [SCAN]}, 100),
    "Layers.from_arrays": (
        lambda **s: iso.Layers.from_arrays(**s).ids,
        _parameters(iso.Layers.from_arrays),
        {"arrays": {"a": X}, "ids": None, "encoder": "e", "n_parameters": 5, "provenance": {"a": 1}},
        300,
    ),
    "blind_match": (
        lambda **s: iso.blind_match(**({"x": X[:8], "y": Y[:8]} | s)),
        _parameters(iso.blind_match),
        {"restarts": 2, "bootstraps": 2, "surrogates": 2, "method": "qap", "required": 0.9},
        200,
    ),
    "stitch_networks": (
        lambda **s: iso.stitch_networks(**(_networks() | s)),
        _parameters(iso.stitch_networks),
        {"fit": "least_squares", "stitch": "linear", "test": 0.5, "margin": 0.1, "batch_size": 32},
        200,
    ),
    "load_dataset": (
        iso.load_dataset,
        _parameters(iso.load_dataset),
        {"spec": "emoji(n=5)", "skip_bad": False},
        150,
    ),
}


@pytest.mark.parametrize("verb", VERBS)
def test_settings_of(verb):
    call, names, mild, count = VERBS[verb]
    door = Door(verb)

    def case(draw):
        given = settings_of(draw, names, mild)
        if callable(given.get("advance")):
            del given["advance"]  # what a function of the user raises is theirs
        door(f"{verb}({told(**given)})", lambda: call(**given))

    door.cases_of(count, case, fewest=60)  # few are answered
    door.verdict(0.05, 0.9)


@pytest.mark.parametrize("kind", ["metric", "map", "dataset"])
def test_specs_of(kind, tmp_path, monkeypatch):
    """A spec is made, and what it makes is tried: a setting that was let in must work or be refused later in words."""
    monkeypatch.chdir(tmp_path)
    registry = {"metric": METRICS, "map": MAPS, "dataset": DATASETS}[kind]
    use = {
        "metric": lambda s: iso.metric(s)(X[:12], Y[:12]),
        "map": lambda s: iso.make_map(s).fit(X, Y)(X),
        "dataset": iso.load_dataset,
    }[kind]
    names = [n for n in registry.classes if n not in {"gromov_wasserstein_distance", "contrastive"}]
    door = Door(f"{kind} specs")

    def case(draw):
        name = draw(st.sampled_from(names))
        text = spec(draw, name, _options(registry, name))
        door(f"{kind} {text[:300]!r}", lambda: use(text))

    door.cases_of({"metric": 1200, "map": 500, "dataset": 250}[kind], case, fewest=60)
    assert os.listdir(tmp_path) == []  # noqa: PTH208  # dot files count
    door.verdict(0.01, 0.9)


def test_specs_of_encoders(tmp_path, monkeypatch):
    """No name reaches the network: whatever looks like a repository is not asked for here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    door = Door("encoder specs")
    tails = (
        "",
        "@",
        "@r",
        "#",
        "#text",
        "@r#s",
        "?init=random",
        "(",
        "(x=1)",
        "\0",
        "/..",
        ":",
        "::",
        "\ud800",
        " ",
        "\n",
    )
    heads = (
        "statistics:",
        "bundled:",
        "no-such:",
        "x.onnx",
        "x.tflite",
        "x.gguf",
        "./",
        "a" * 5000,
        "",
        ":",
        "#",
        "@",
        "../..",
        "/dev/null",
    )

    def case(draw):
        text = (
            draw(st.sampled_from(heads))
            + draw(st.sampled_from(["", "no-such", "a" * 300, "é", "bag_of_words", "1"]))
            + draw(st.sampled_from(tails))
        )
        if draw(st.integers(0, 9)) == 0:
            text = draw(st.sampled_from([None, 5, b"x", [], {}, 1.5, object(), len]))
        door(f"load_encoder({str(text)[:200]!r})", lambda: iso.load_encoder(text))

    door.cases_of(300, case)
    door.verdict(0.0, 0.9)
