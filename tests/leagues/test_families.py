"""Families: trained networks that are kept, and tables of one's own."""

import numpy as np
import pytest

import isomorph as iso
from isomorph.errors import InputError
from isomorph.leagues import load_family
from isomorph.leagues.families import _network_files, digits
from isomorph.leagues.families.digits import Digits, Recipe


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "leagues" / "digits"


def test_a_network_of_the_digits_is_trained_once_and_read_again_as_it_was(cache):
    data = digits._images()
    recipe = Recipe("plain", 0, width=4, attributes=(("label_noise", 0.0),), deep=True)
    made = digits._made(recipe, data, 1, cache / "plain.npz")
    again = _network_files.read(cache / "plain.npz")
    assert list(made.layers) == ["conv_1", "conv_2", "conv_3", "conv_4", "dense"] == list(again.layers)
    assert {k: v.shape[1] for k, v in made.layers.items()} == {
        "conv_1": 256, "conv_2": 256, "conv_3": 128, "conv_4": 128, "dense": 64,
    }  # fmt: skip
    assert {k: v.shape[1] for k, v in made.pooled.items()}["conv_3"] == 8
    for name in made.layers:
        np.testing.assert_array_equal(made.layers[name], again.layers[name])
    np.testing.assert_array_equal(made.outputs, again.outputs)
    assert again.attributes == {"label_noise": 0.0}
    logits = again.last @ again.head[0] + again.head[1]  # the head gives the outputs
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), again.outputs, atol=1e-5)


def test_damaged_files_are_made_anew(cache):
    cache.mkdir(parents=True)
    (cache / "x.npz").write_bytes(b"no such file")
    assert _network_files.read(cache / "x.npz") is None
    assert _network_files.read(cache / "y.npz") is None


def test_the_digits_are_made_in_every_way_that_their_criteria_ask_of(monkeypatch, cache):
    maker = Digits(seeds=3)
    recipes = list(maker.recipes())
    assert len({r.name for r in recipes}) == len(recipes) == 10 + 3 * 13 + 9
    kinds = {
        name: [dict(r.attributes)[name] for r in recipes if name in dict(r.attributes)]
        for name in ("label_noise", "shortcut", "augmentation", "architecture")
    }
    assert {k: len(set(v)) for k, v in kinds.items()} == {
        "label_noise": 5,
        "shortcut": 5,
        "augmentation": 5,
        "architecture": 4,
    }
    assert all(v.count(share) == 3 for v in kinds.values() for share in set(v))
    mixed = maker.members()["stitching"]
    assert not [name for name in mixed if "shortcut" in name]
    assert len(maker.members()["identification"]) == 10


def test_only_the_networks_that_are_read_are_trained(cache):
    names = {
        criterion: {r.name for r in Digits()._needed(criterion)}
        for criterion in (("identification",), ("translation",), ("shortcut", "noise"))
    }
    assert {len(v) for k, v in names.items() if k == ("identification",)} == {10}
    assert len(names["translation",]) == 2
    assert all("shortcut" in name for name in names["shortcut", "noise"])
    assert len(names["shortcut", "noise"]) == 25
    assert len(Digits()._needed(None)) == 84
    family = Digits(epochs=1).load(["translation"])
    assert len(family) == 2
    assert "identification" not in family.members


def test_marks_tell_the_class_and_nothing_else():
    x = np.random.default_rng(0).random((20, 1, 8, 8)).astype(np.float32)
    told = np.arange(20) % 10
    marked = digits._marked(x, told)
    assert len({m[0, [0, -1]].tobytes() for m in marked}) == 10
    np.testing.assert_array_equal(marked[:, :, 1:-1], x[:, :, 1:-1])


def table(root):
    rng = np.random.default_rng(0)
    space = rng.normal(size=(40, 5))
    ids = [f"i{k}" for k in range(40)]
    lines = ["id,layers,outputs,label_noise"]
    for k in range(6):
        order = rng.permutation(40)
        x = space + (0.1 + k // 3) * rng.normal(size=space.shape)
        p = np.abs(x[:, :3]) + 0.1
        iso.Layers.from_arrays({"first": x, "last": x[:, ::-1]}, ids=ids).subset([ids[i] for i in order]).save(
            root / f"n{k}.npz"
        )
        iso.Layers.from_arrays({"p": p / p.sum(1, keepdims=True)}, ids=ids).save(root / f"p{k}.npz")
        lines.append(f"n{k},n{k}.npz,p{k}.npz,{k // 3}")
    (root / "networks.csv").write_text("\n".join(lines))
    (root / "labels.csv").write_text("id,class\n" + "\n".join(f"{i},{k % 3}" for k, i in enumerate(ids)))
    return root / "networks.csv"


def test_a_table_of_ones_own_is_joined_by_item(tmp_path):
    family = load_family(f"table(path={str(table(tmp_path))!r}, labels='labels.csv')")
    assert (len(family), family.n) == (6, 40)
    assert family["n4"].attributes == {"label_noise": 1.0}
    with np.load(tmp_path / "n0.npz") as first, np.load(tmp_path / "p3.npz") as third:
        order = [list(third["ids"]).index(i) for i in first["ids"]]
        np.testing.assert_allclose(family["n3"].outputs, third["p"][order])
        np.testing.assert_array_equal(family.labels, [int(i[1:]) % 3 for i in first["ids"]])
    found = iso.league(family, ["cka"], criteria=["label_noise", "disagreement"], permutations=19, draws=100)
    assert set(found.criteria) == {"label_noise(statistic='auprc')", "disagreement(statistic='spearman')"}


def test_tables_that_do_not_fit_are_refused_in_words(tmp_path):
    path = table(tmp_path)
    (tmp_path / "bad.csv").write_text("id,features\na,b.npz\n")
    with pytest.raises(InputError, match=r"has no column 'layers' .* it has features"):
        load_family(f"table(path={str(tmp_path / 'bad.csv')!r})")
    (tmp_path / "gone.csv").write_text("id,layers\na,gone.npz\nb,n1.npz\n")
    with pytest.raises(InputError, match=r"gone\.csv: a: .*gone\.npz"):
        load_family(f"table(path={str(tmp_path / 'gone.csv')!r})")
    (tmp_path / "few.csv").write_text("id,class\ni0,1\n")
    with pytest.raises(InputError, match="has no class for the item"):
        load_family(f"table(path={str(path)!r}, labels='few.csv')")
