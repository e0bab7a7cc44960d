"""`isomorph fuse`: spaces by name, a target from a table, a label set or another space, joined by id."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import isomorph as iso
from isomorph.cli import app

N = 90


def run(*args):
    return CliRunner(env={"ISOMORPH_PROGRESS": "0"}).invoke(app, ["fuse", *map(str, args)])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two spaces in other orders, each with half of what is to be told, and their tables."""
    folder = tmp_path_factory.mktemp("fuse")
    rng = np.random.default_rng(0)
    x, y, noise = rng.normal(size=(3, N, 3))
    ids = [f"i{k}" for k in range(N)]
    kind = np.where(x[:, 0] + y[:, 0] > 0, "dog", "cat")
    order = rng.permutation(N)
    iso.Layers.from_arrays({"first": noise, "last": x}, ids, encoder="enc-x").save(folder / "x.npz")
    iso.Layers.from_arrays({"last": y[order]}, [ids[i] for i in order], encoder="enc-y").save(folder / "y.npz")
    iso.Layers.from_arrays({"last": noise}, ids, encoder="twin").save(folder / "twin.npz")
    both = np.c_[x[order[::-1], 0], y[order[::-1], 0]]
    iso.Layers.from_arrays({"a": noise, "b": both}, [ids[i] for i in order[::-1]], encoder="z").save(folder / "z.npz")
    lines = [f"{ids[i]},{kind[i]},{x[i, 0] + y[i, 0]:.4f},{kind[i]};{'big' if i % 2 else 'small'}" for i in order]
    (folder / "kinds.csv").write_text("\n".join(["id,kind,size,tags", *lines]))
    (folder / "kind.csv").write_text("\n".join(["id,kind", *(",".join(v.split(",")[:2]) for v in lines)]))
    (folder / "tags.jsonl").write_text(
        "\n".join(json.dumps({"key": ids[i], "tags": [kind[i], "big" if i % 2 else "small"]}) for i in order)
    )
    (folder / "few.csv").write_text("\n".join(["id,kind", *(f"i{k},{kind[k]}" for k in range(10))]))
    (folder / "items.csv").write_text(
        "id,text,label,group\n" + "\n".join(f"{ids[i]},a {kind[i]},{kind[i]},{i // 3}" for i in range(N))
    )
    for name, rows in (("x", x), ("y", y)):
        np.save(folder / f"{name}.npy", rows)
    return folder


@pytest.fixture
def folder(made, monkeypatch, tmp_path):
    monkeypatch.chdir(made)
    return tmp_path


QUICK = ("--head", "concat", "--repeats", 2, "--draws", 100, "--no-controls")


def test_classes_of_a_table_are_joined_by_id_and_the_answer_is_said_in_words(folder):
    got = run("image=x.npz", "text=y.npz", "--target", "kind.csv", "--head", "concat", "--repeats", 3, "--draws", 100,
              "--baseline", "image=twin.npz", "--second", "text=twin.npz", "--to", folder / "f.json")  # fmt: skip
    assert got.exit_code == 0, got.output
    found = iso.load_result(folder / "f.json")
    assert (found.target, found.target_kind, set(found.names)) == ("kind", "classes", {"cat", "dog"})
    assert found["concat"].score.value > 0.85  # another order would be at chance
    assert found["concat"].score.value > found.best_single.score.value
    assert set(found.models.values()) == {"enc-x", "enc-y"}
    assert {"image untrained", "text + second text"} <= set(found["concat"].controls)
    assert found.verdict in got.output
    assert "gain over the best space" in got.output
    page = iso.report(found, to=folder / "p.html", figures=False).read_text()
    assert "image + text for kind" in page


@pytest.mark.parametrize(
    ("args", "kind", "name"),
    [
        (("--target", "kinds.csv", "--column", "kind"), "classes", "kind"),
        (("--target", "kinds.csv", "--column", "size"), "numbers", "size"),
        (("--target", "kinds.csv", "--column", "tags", "--target-kind", "labels"), "labels", "tags"),
        (("--target", "tags.jsonl", "--id-column", "key"), "labels", "tags"),
        (("--target", "label", "--items", "table(path='items.csv')"), "classes", "label"),
        (("--target", "z.npz", "--layer", "target=b", "--layer", "image=last"), "rows", "z"),
    ],
)
def test_every_kind_of_target_is_read_in_the_order_of_the_items(folder, args, kind, name):
    got = run("image=x.npz", "text=y.npz", *args, *QUICK, "--to", folder / "f.json")
    assert got.exit_code == 0, got.output
    found = iso.load_result(folder / "f.json")
    assert (found.target_kind, found.target) == (kind, name)
    least = {"classes": 0.8, "numbers": 0.95, "labels": 0.7, "rows": 0.6}[kind]
    assert found["concat"].score.value > least  # what pairs items with others' targets is at chance


def test_features_without_ids_are_joined_with_a_table_row_by_row(folder, made):
    rows = sorted((made / "kind.csv").read_text().splitlines()[1:], key=lambda line: int(line.split(",")[0][1:]))
    (folder / "rows.csv").write_text("\n".join(["id,kind", *rows]))
    got = run("x=x.npy", "y=y.npy", "--target", folder / "rows.csv", *QUICK, "--to", folder / "f.json")
    assert got.exit_code == 0, got.output
    assert iso.load_result(folder / "f.json")["concat"].score.value > 0.85


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("image=x.npz", "--target", "kind.csv"), "between 2 and 6"),
        (("x.npz", "text=y.npz", "--target", "kind.csv"), "NAME=FILE"),
        (("a=x.npz", "a=y.npz", "--target", "kind.csv"), "Two files are called 'a'"),
        (("a=x.npz", "b=y.npz", "--target", "kinds.csv"), "has the columns id, kind, size, tags"),
        (("a=x.npz", "b=y.npz", "--target", "kinds.csv", "--column", "knd"), "Did you mean 'kind'"),
        (("a=x.npz", "b=y.npz", "--target", "kind.csv", "--id-column", "key"), "column of kind.csv 'key'"),
        (("a=x.npz", "b=y.npz", "--target", "few.csv"), "nothing for 80 of 90 items"),
        (("a=x.npy", "b=y.npy", "--target", "few.csv"), "10 rows, the features have 90 and no ids"),
        (("a=x.npz", "b=y.npz", "--target", "nowhere.csv"), "nowhere.csv"),
        (("a=x.npz", "b=y.npz", "--target", "kind.csv", "--target-kind", "numbers"), "no number"),
        (("a=x.npz", "b=y.npz", "--target", "label"), "items="),
        (("a=x.npz", "b=y.npz", "--target", "z.npz"), "target has 2 layers"),
        (("a=x.npz", "b=y.npz", "--target", "kind.csv", "--layer", "c=last"), "space in --layer 'c'"),
        (("a=x.npz", "b=y.npz", "--target", "kind.csv", "--layer", "last"), "NAME=LAYER"),
        (("a=x.npz", "b=y.npz", "--target", "kind.csv", "--baseline", "c=twin.npz"), "'c' is no space"),
        (("a=x.npz", "b=y.npz", "--target", "kind.csv", "--head", "concatt"), "Did you mean 'concat'"),
    ],
)
def test_what_the_user_can_put_right_is_one_paragraph(folder, args, says):
    got = run(*args, "--to", folder / "f.json")
    assert isinstance(got.exception, iso.InputError), got.output
    assert says in str(got.exception)
    assert "\n" not in str(got.exception)
    assert not (folder / "f.json").exists()
