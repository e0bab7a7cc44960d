"""Families: networks that are trained once and kept, and tables of one's own."""

import numpy as np
import pytest
import torch

import isomorph as iso
from isomorph._core.provenance import fingerprint
from isomorph.errors import InputError
from isomorph.leagues import REGISTRY, load_family
from isomorph.leagues.families import _network_files, _trained
from isomorph.leagues.families._architectures import built
from isomorph.leagues.families._recipes import Recipe
from isomorph.leagues.families._training import BATCH, RATE, _follows, steps_of, trained
from isomorph.leagues.families.digits import Digits


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "leagues" / "digits"


def test_a_network_is_trained_once_and_read_again_as_it_was(cache):
    task = Digits().task()
    recipe = Recipe("plain", 0, width=4, attributes=(("label_noise", 0.0),), deep=True)
    (made,) = _trained._kept(torch, recipe, task, 1, cache, "key")
    again = _network_files.read(cache / "plain-key.npz")
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


def test_networks_that_were_kept_before_there_were_runs_and_architectures_are_found_again():
    recipes = {recipe.name: recipe for recipe in Digits().recipes()}

    def key(name):
        return fingerprint([recipes[name].facts, 20, BATCH, RATE, "2.13.0", *Digits().key(None)])[:16]

    # names of files that version 1 of this family wrote
    assert key("augmentation-0.25-0") == "a92e05afc5d5f2d3"
    assert key("plain-0") == "f57a5b0b42ba9d69"
    assert "marks" in recipes["shortcut-0.5-0"].facts  # their marks are others now


def test_a_run_is_kept_at_moments_of_its_training_and_goes_on_where_it_was_stopped(cache, monkeypatch):
    task = Digits().task()
    steps = steps_of(task, 1)
    run = Recipe("run-0", 0, width=4, attributes=(("run", 0),), moments=True)
    moments = run.networks(steps)
    assert steps == 22
    assert list(moments.values()) == [0, 1, 2, 5, 11, 22]
    told = []
    monkeypatch.setattr(_trained, "trained", lambda *a: (told.append(sorted(a[4])), trained(*a)))

    def stopped(path, network):
        if network.attributes["step"] == 5:
            raise KeyboardInterrupt
        _network_files.saved(path, network)

    with monkeypatch.context() as until:
        until.setattr(_trained, "saved", stopped)
        with pytest.raises(KeyboardInterrupt):
            _trained._kept(torch, run, task, 1, cache, "key")
    before = {path: path.read_bytes() for path in cache.iterdir()}
    assert len(before) == 3
    states = _trained._kept(torch, run, task, 1, cache, "key")
    assert [state.attributes["step"] for state in states] == [0, 1, 2, 5, 11, 22]
    assert all(path.read_bytes() == content for path, content in before.items())
    again = _trained._kept(torch, run, task, 1, cache, "key")
    assert told == [[0, 1, 2, 5, 11, 22], [5, 11, 22]]  # the third time nothing was trained
    (whole,) = _trained._kept(torch, Recipe("whole", 0, width=4), task, 1, cache, "key")
    np.testing.assert_array_equal(again[-1].last, whole.last)  # to keep states does not change the training
    right = [state.outputs[np.arange(len(task.y_held)), task.y_held] for state in again]
    assert np.log(right[-1]).mean() > np.log(right[0]).mean()


def test_checkpoints_are_asked_of_runs_in_the_order_of_their_steps(cache, monkeypatch):
    monkeypatch.setattr(Digits, "runs", 3)
    family = Digits(epochs=1).load(["checkpoints"])
    assert len(family) == 18
    question = REGISTRY.make("checkpoints").ask(family, seed=0)
    assert question.units == ("0", "1", "2")
    found = iso.league(family, ["cka", "cka(estimator='biased')"], criteria=["checkpoints"], permutations=19, draws=100)
    assert found["checkpoints"]["cka"].value > 0.5


def test_the_digits_are_made_in_every_way_that_their_criteria_ask_of():
    maker = Digits(seeds=3)
    recipes = list(maker.recipes())
    assert len({r.name for r in recipes}) == len(recipes) == 10 + 3 * 13 + 9 + 5
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
    members = _trained.members(recipes, 440)
    assert not [name for name in members["stitching"] if "shortcut" in name or "run" in name]
    assert len(members["identification"]) == 10
    assert len(members["checkpoints"]) == 35


def test_only_the_networks_that_are_read_are_trained(cache):
    names = {
        criterion: {r.name for r in Digits()._needed(criterion, 440)}
        for criterion in (("identification",), ("translation",), ("shortcut", "noise"), ("checkpoints",))
    }
    assert len(names["identification",]) == 10
    assert len(names["translation",]) == 2
    assert all("shortcut" in name for name in names["shortcut", "noise"])
    assert len(names["shortcut", "noise"]) == 25
    assert names["checkpoints",] == {f"run-{k}" for k in range(5)}
    assert len(Digits()._needed(None, 440)) == 84 + 5
    family = Digits(epochs=1).load(["translation"])
    assert len(family) == 2
    assert "identification" not in family.members


def test_networks_lean_on_marks_the_more_the_more_of_them_tell_the_truth():
    task = Digits().task()
    told = task.told_by_marks()
    lies, right, follows = told != task.y_held, [], []
    for share in (0.0, 0.5, 1.0):
        kept = []
        trained(torch, Recipe("any", 0, shortcut=share), task, 4, {steps_of(task, 4): "any"}, kept.append)
        right.append(np.mean((kept[0].outputs.argmax(1) == task.y_held)[lies]))
        follows.append(kept[0].attributes["follows_mark"])
    assert follows[0] < 0.15  # random answers: a tenth
    assert 0.25 < follows[1] < 0.75
    assert follows[2] > 0.85
    assert right[0] > right[1] + 0.1 > right[2] + 0.15  # the mark is believed against what is seen


def test_what_follows_a_mark_is_counted_where_the_mark_lies():
    task = Digits().task()
    told = task.told_by_marks()
    assert _follows(np.eye(10)[told], task) == 1
    assert _follows(np.eye(10)[task.y_held], task) == 0
    half = np.where(np.arange(len(told)) % 2 == 0, told, task.y_held)
    lies = told != task.y_held
    assert _follows(np.eye(10)[half], task) == pytest.approx(np.mean(lies[::2]) / np.mean(lies) / 2)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 12)])
def test_marks_tell_the_class_and_nothing_else(shape):
    task = Digits().task()
    x = np.random.default_rng(0).random((20, *shape)).astype(np.float32)
    first, second = (task.marked(x, (np.arange(20) + k) % 10, np.random.default_rng(1)) for k in (0, 1))
    white = (first == 1).all(axis=1)
    assert (white.sum(axis=(1, 2)) == shape[1] * shape[2] / 16).all()
    assert len({w.tobytes() for w in white}) == 10
    np.testing.assert_array_equal(white[:10], white[10:])
    elsewhere = np.broadcast_to(~(white | (second == 1).all(axis=1))[:, None], x.shape)
    np.testing.assert_array_equal(first[elsewhere], second[elsewhere])


@pytest.mark.parametrize("architecture", ["convolutional", "recurrent", "attention"])
@pytest.mark.parametrize("shape", [(3, 12, 16), (7, 16)], ids=["pictures", "sequences"])
def test_every_architecture_reads_pictures_and_sequences(architecture, shape):
    torch.manual_seed(0)
    blocks, head = built(torch, Recipe("any", 0, 8, architecture=architecture), shape, 4)
    x = torch.randn(5, *shape)
    seen = {}
    found = x
    for name, block in blocks.items():
        seen[name] = found = block(found)
    assert head(found).shape == (5, 4)
    assert found.shape == (5, 64)
    assert all(v.ndim >= 3 for name, v in seen.items() if name != "dense")
    alone = x[2:3]  # what a network makes of an item does not depend on the others
    for block in blocks.values():
        alone = block(alone)
    torch.testing.assert_close(alone, found[2:3])
    turned = x.flip(-1)  # and it is not the same for the same in another order
    for block in blocks.values():
        turned = block(turned)
    assert (turned - found).abs().max() > 1e-3


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
