"""What an encoder said of itself is kept where its name says for good which weights are meant, and nowhere else."""

import json

import numpy as np
import pytest

import isomorph as iso
from isomorph.encoders import _check, load_encoder
from isomorph.encoders._kept_facts import facts_of, keep_facts, kept_facts
from isomorph.encoders.statistics import Statistics

SPEC = "statistics:features"


@pytest.fixture
def loads(monkeypatch, tmp_path):
    """Each load of an encoder whose name is pinned."""
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Statistics, "pinned", True)
    made, load = [], Statistics.load

    def counted(self, id, revision, options, **extra):
        made.append(id)
        return load(self, id, revision, options, **extra)

    monkeypatch.setattr(Statistics, "load", counted)
    return made


def facts(**options):
    found = kept_facts(SPEC, options)
    if found is None:
        encoder = load_encoder(SPEC, **options)
        keep_facts(SPEC, options, encoder)
        found = facts_of(encoder)
    return found


def kept(tmp_path):
    return sorted((tmp_path / "cache" / "facts").glob("*.json"))


def test_a_pinned_encoder_is_loaded_once_to_be_asked(loads):
    first = facts()
    assert facts() == first
    assert loads == ["features"]
    encoder = load_encoder(SPEC)
    assert (first["name"], first["layers"], first["n_parameters"]) == (encoder.name, encoder.layers, 0)
    assert (first["identity"], first["traits"]) == (encoder.identity, encoder.traits)


def test_other_options_libraries_and_code_are_asked_anew(loads, monkeypatch):
    facts()
    facts(check=False)
    assert len(loads) == 2
    monkeypatch.setattr(_check, "installed", lambda name: "0.0.1")
    facts()
    assert len(loads) == 3
    monkeypatch.setattr(_check, "_code", lambda: "other")
    facts()
    facts()
    assert len(loads) == 4


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"name": "statistics:features"}'])
def test_a_damaged_file_is_written_anew(loads, tmp_path, text):
    first = facts()
    (path,) = kept(tmp_path)
    path.write_text(text)
    assert facts() == first
    assert len(loads) == 2
    assert facts() == first
    assert len(loads) == 2


def test_where_nothing_can_be_kept_it_is_loaded_each_time(loads, monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("a file where the cache should be")
    assert facts() == facts()
    assert len(loads) == 2


def test_an_encoder_that_is_not_pinned_is_loaded_each_time(loads, monkeypatch, tmp_path):
    monkeypatch.setattr(Statistics, "pinned", False)
    assert facts() == facts()
    assert len(loads) == 2
    assert not kept(tmp_path)


def test_only_bundled_models_are_pinned():
    assert [name for name, kind in iso.encoders.providers.classes.items() if kind.pinned] == ["bundled"]


def test_a_finished_study_loads_no_pinned_encoder(loads, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    x, y = np.random.default_rng(0).normal(size=(2, 40, 3))
    np.savez("pets.npz", image=x, caption=y)
    (tmp_path / "study.toml").write_text(
        "items = \"arrays(paths='pets.npz')\"\n"
        'encoders.a = {model = "statistics:features", view = "image"}\n'
        'encoders.b = {model = "statistics:features", view = "caption"}\n'
        'scans = [{x = "a", y = "b", metrics = ["cka"], permutations = 19}]\n'
    )

    def run():
        loads.clear()
        said = []
        iso.run(iso.load_study("study.toml", output="out"), say=said.append)
        return said

    run()
    assert loads
    said = run()
    assert not loads
    assert any("there and current" in line for line in said)
    (path,) = kept(tmp_path)
    told = path.read_text()
    path.write_text(json.dumps(json.loads(told) | {"identity": {"provider": "another"}}))  # edited by hand
    assert run()[-1] == said[-1]
    assert loads
    assert path.read_text() == told
    assert run() == said
    assert not loads
