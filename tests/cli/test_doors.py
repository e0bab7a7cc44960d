"""Networks and matches through every door: function, command, study, result, page."""

import numpy as np
import pytest
from typer.testing import CliRunner

import isomorph as iso
from isomorph.cli import app
from isomorph.networks import read_data, read_network

NETS = """
import torch
from torch import nn

def make(seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))
    x, y = data()["data"], torch.as_tensor(data()["labels"])
    step = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(80):
        step.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        step.step()
    return net

def other():
    return make(1)

def nothing():
    return 3

def data():
    g = torch.Generator().manual_seed(0)
    z = torch.randn(240, 6, generator=g)
    return {"data": z, "labels": z[:, :3].argmax(1)}
"""


def run(*args):
    return CliRunner().invoke(app, list(map(str, args)))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETS)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(12, 4))
    ids = [f"item {i}" for i in range(12)]
    for name, order in (("x", np.arange(12)), ("y", rng.permutation(12))):
        rows = {"a": (z + 0.02 * rng.normal(size=z.shape))[order]}
        iso.Layers.from_arrays(rows, [ids[i] for i in order], encoder=name).save(f"{name}.npz")
    return tmp_path


def test_networks_through_the_command_and_the_page(folder):
    made = run("stitch-networks", "nets.py:make", "nets.py:other", "nets.py:data", "--cut", "1", "--cut", "3=1",
               "--seed", 2, "--to", "n.json")  # fmt: skip
    assert made.exit_code == 0, made.output
    found = iso.load_result("n.json")
    assert [(c.bottom_layer, c.top_layer) for c in found.cuts] == [("1", "1"), ("3", "1")]
    assert found.cuts[0].accuracy > found.cuts[0].controls["random_bottom"]["accuracy"]
    assert (found.bottom, found.seed) == ("nets.py:make", 2)
    page = iso.report([found], to="page.html", figures=False).read_text()
    assert "can the bottom of one network stand in for that of another" in page
    assert "nets.py:make into nets.py:other" in page


def test_every_fit_that_is_named_is_made(folder):
    made = run("stitch-networks", "nets.py:make", "nets.py:other", "nets.py:data", "--cut", "1", "--fit", "orthogonal",
               "--fit", "identity", "--test-fraction", 0.25, "--to", "n.json")  # fmt: skip
    assert made.exit_code == 0, made.output
    found = iso.load_result("n.json")
    assert [c.fit for c in found.cuts] == ["orthogonal", "identity"]
    assert (found.n_train, found.n_test) == (180, 60)


def test_data_may_be_a_file_of_arrays(folder):
    given = read_data("nets.py:data")
    np.savez("d.npz", data=np.asarray(given.data), labels=np.asarray(given.labels))
    assert np.array_equal(read_data("d.npz").labels, given.labels)
    np.savez("bad.npz", rows=np.zeros(3))
    with pytest.raises(iso.InputError, match="'data' and 'labels' are needed"):
        read_data("bad.npz")
    with pytest.raises(
        iso.InputError, match=r"d\.npy cannot hold 'data' and 'labels' by name; write both to one \.npz"
    ):
        read_data("d.npy")
    with pytest.raises(iso.InputError, match=r"nets\.py names no function in a file; write module:file\.py:function"):
        read_network("nets.py")
    (folder / "cut.npz").write_bytes((folder / "d.npz").read_bytes()[:200])
    with pytest.raises(iso.InputError):
        read_data("cut.npz")
    with pytest.raises(iso.InputError, match=r"gives a int; a torch\.nn\.Module is needed"):
        read_network("nets.py:nothing")
    with pytest.raises(iso.UnknownNameError):
        read_network("nets.py:mak")


def test_a_match_through_the_command_and_the_page(folder):
    made = run("match", "x.npz", "y.npz", "--by-id", "--restarts", 20, "--to", "m.json")
    assert made.exit_code == 0, made.output
    found = iso.load_result("m.json")
    assert (found.verdict, found.accuracy, found.x_name) == ("matchable", 1.0, "x")
    assert all(r["x"] == r["y"] for r in found.to_records())
    page = iso.report([found], to="page.html", figures=False).read_text()
    assert "can items be matched by the geometry of the two spaces alone?" in page
    assert "Matchable." in page


def test_a_match_does_not_know_the_ids(folder):
    x, y = (iso.Layers.load(f"{name}.npz") for name in "xy")
    found = iso.blind_match(x, y, restarts=20, bootstraps=5, surrogates=39)
    assert found.accuracy is None
    assert [r["y"] for r in found.to_records()] == list(x.ids)
    with pytest.raises(iso.InputError, match="x has 2 layers"):
        iso.blind_match({"a": np.eye(4), "b": np.eye(4)}, np.eye(4))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("[[networks]]\nbottom = 'a.py:f'\ntop = 'a.py:f'\ndata = 'd.npz'", "no 'cuts'"),
        ("[[networks]]\nbottom = 'a.py:f'\ntop = 'a.py:f'\ndata = 'd.npz'\ncuts = ['a']\nmargn = 1", "margn"),
        ("[[matches]]\nx = 'vision'\ny = 'b'", "'b'|encoder"),
        ("[[matches]]\nx = 'vision'\ny = 'text'\nrestarts = 1", "restarts=1"),
        ("[[matches]]\ny = 'text'", "no 'x'"),
    ],
)
def test_wrong_tables_are_answered_before_anything_runs(folder, table, says):
    base = "items = 'emoji(n=30)'\n[encoders.vision]\nmodel = 'm'\n[encoders.text]\nmodel = 'm'\n"
    (folder / "s.toml").write_text(f"{base}[[scans]]\nx = 'vision'\ny = 'text'\n{table}\n")
    with pytest.raises(iso.InputError, match=says):
        iso.load_study(folder / "s.toml")
