"""Targets of every kind: what is written replaces regular files only, whole or not at all, and nothing else is left."""

from __future__ import annotations

import os
import shutil
import stat

import numpy as np
from hypothesis import strategies as st

import isomorph as iso

from .guard import Door, left_in

_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(12, 3))
SCAN = iso.scan(X, X[:, ::-1], ["cka"], permutations=20)
MAP = iso.make_map("ridge").fit(X, X[:, ::-1])
LAYERS = iso.Layers.from_arrays({"a": X})
WRITERS = {
    "result.save": (".json", SCAN.save),
    "report": (".html", lambda path: iso.report([SCAN], to=path, figures=False)),
    "map.save": (".safetensors", MAP.save),
    "layers.save": (".npz", LAYERS.save),
    "layers.save, safetensors": (".safetensors", LAYERS.save),
}


def _whole(path):
    """Whether a file is one that a writer would write."""
    data = path.read_bytes()
    if data[:1] == b"{":
        return data.endswith(b"}\n")
    return data.rstrip().endswith(b"</html>") or data[:2] == b"PK" or len(data) > 200


TARGETS = (
    *(
        "new",
        "old",
        "suffix",
        "no suffix",
        "folder",
        "link to a file",
        "link to nothing",
        "link to itself",
        "link to a folder",
    ),
    *(
        "pipe",
        "device",
        "link to a device",
        "in no folder",
        "in a file",
        "in a pipe",
        "long name",
        "long folder",
        "deep",
        "empty",
    ),
    *(
        "dot",
        "parent",
        "NUL",
        "surrogate",
        "number",
        "None",
        "bytes",
        "spaces",
        "odd letters",
        "trailing slash",
        "home",
        "read-only file",
    ),
    *("temporary name", "socket", "list", "path object"),
)


def _target(kind, folder, suffix):
    """A path of a kind, and what was there before."""
    old = folder / f"old{suffix}"
    old.write_bytes(b"old")
    (folder / "there").mkdir()
    if kind in {"pipe", "in a pipe"}:
        os.mkfifo(folder / f"pipe{suffix}")
    if kind == "read-only file":
        old.chmod(0o400)
    if kind == "socket":
        import socket

        with socket.socket(socket.AF_UNIX) as one:
            here = os.open(folder, os.O_RDONLY)
            try:
                one.bind(f"/proc/self/fd/{here}/socket{suffix}")  # the name of a socket must be short
            finally:
                os.close(here)
    links = {
        "link to a file": old,
        "link to nothing": folder / f"nothing{suffix}",
        "link to itself": folder / f"link{suffix}",
        "link to a folder": folder / "there",
        "link to a device": "/dev/null",
    }
    if kind in links:
        (folder / f"link{suffix}").symlink_to(links[kind])
        return folder / f"link{suffix}"
    return {
        "old": old,
        "read-only file": old,
        "suffix": folder / "new.exe",
        "no suffix": folder / "new",
        "folder": folder / "there",
        "pipe": folder / f"pipe{suffix}",
        "socket": folder / f"socket{suffix}",
        "device": "/dev/null",
        "in no folder": folder / "a" / "b" / f"new{suffix}",
        "in a file": old / f"new{suffix}",
        "in a pipe": folder / f"pipe{suffix}" / f"new{suffix}",
        "long name": folder / ("n" * 300 + suffix),
        "long folder": folder / ("n" * 300) / f"new{suffix}",
        "deep": folder.joinpath(*["d" * 100] * 60, f"new{suffix}"),
        "empty": "",
        "dot": folder / ".",
        "parent": f"{folder}/there/..",
        "NUL": f"{folder}/n\0{suffix}",
        "surrogate": f"{folder}/n\ud800{suffix}",
        "number": 5,
        "None": None,
        "bytes": os.fsencode(folder / f"new{suffix}"),
        "spaces": folder / f"  {suffix}",
        "odd letters": folder / f"né\n\t'\"$(x){suffix}",
        "trailing slash": f"{folder}/new{suffix}/",
        "home": f"~no-such-user/new{suffix}",
        "temporary name": folder / f".isomorph-1.tmp{suffix}",
        "list": [f"new{suffix}"],
    }.get(kind, folder / f"new{suffix}")


def test_targets(tmp_path, monkeypatch):
    door = Door("writers")
    folder = tmp_path / "here"

    def case(draw):
        writer = draw(st.sampled_from(sorted(WRITERS)))
        kind = draw(st.sampled_from(TARGETS))
        suffix, write = WRITERS[writer]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        monkeypatch.chdir(folder)
        path = _target(kind, folder, suffix)
        before = left_in(folder)
        answer = door(f"{writer} to {kind}", lambda: write(path), known=lambda: _odd(folder, before))
        if isinstance(answer, Exception) and {k for k, v in left_in(folder).items() if isinstance(v, bytes)} - set(
            before
        ):
            door.fail(f"{writer} to {kind} failed and left a file", str(sorted(left_in(folder))))
        if not stat.S_ISCHR(os.stat("/dev/null").st_mode):  # noqa: PTH116
            raise AssertionError(f"{writer} to {kind} replaced /dev/null")

    door.cases_of(700, case)
    monkeypatch.chdir(tmp_path)
    door.verdict(0.15, 0.7)


def _odd(folder, before):
    """What is wrong in a folder after a write that succeeded or failed."""
    now = left_in(folder)
    for name, content in before.items():
        if name not in now:
            return f"{name} is gone"
        if now[name] != content and not (isinstance(content, bytes) and _whole(folder / name)):
            return f"{name} was replaced by something else"
    files = [name for name, content in now.items() if name not in before and isinstance(content, bytes)]
    if len(files) > 1:
        return f"more files than one were left: {files}"
    if files and not _whole(folder / files[0]):
        return f"{files[0]} is half written"
    return None


def test_the_check_of_a_folder_sees_what_is_wrong(tmp_path):
    old = tmp_path / "old.json"
    old.write_bytes(b"old")
    before = left_in(tmp_path)
    assert _odd(tmp_path, before) is None
    (tmp_path / "half.json").write_bytes(b'{"half": ')
    assert "half written" in _odd(tmp_path, before)
    (tmp_path / "other.tmp").write_bytes(b"")
    assert "more files" in _odd(tmp_path, before)
    old.write_bytes(b"{")
    assert "replaced" in _odd(tmp_path, before)
    old.unlink()
    assert "gone" in _odd(tmp_path, before)
