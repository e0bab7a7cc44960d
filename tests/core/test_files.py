"""Only regular files are read; what is written is whole or not there, and replaces regular files only."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from isomorph._core import files
from isomorph._core.files import atomic_file, atomic_write, check_target, parse_json, read_text, regular, write_target
from isomorph.errors import InputError


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin", "/dev/null"])
def test_devices_are_refused_before_they_are_opened(path):
    with pytest.raises(InputError, match=r"only regular files are read|No such file"):
        regular(path, "the result")


def test_pipes_folders_and_what_is_no_path_are_refused_without_hanging(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for bad, words in ((tmp_path / "pipe", "a pipe"), (tmp_path, "a folder"), (tmp_path / "no", "No such file")):
        with pytest.raises(InputError, match=words):
            read_text(bad)
    for bad in (None, 5, b"x", "a\0b", "\ud83d", ["a"]):
        with pytest.raises(InputError, match="must be the path of a file"):
            regular(bad)
    with pytest.raises(InputError, match="too long"):
        regular("a" * 5000)


def test_a_link_is_read_and_a_text_that_is_none_is_named(tmp_path):
    (tmp_path / "a").write_text("\ufeffä", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert read_text(tmp_path / "link") == "ä"
    (tmp_path / "b").write_bytes(b"ab\xff")
    with pytest.raises(InputError, match="byte 2 cannot be decoded"):
        read_text(tmp_path / "b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 10**5, "nested too deeply"),
        ("NaN", "NaN is no number"),
        ("[1e999]", "1e999 is no number"),
        ("1" * 5000, "is no number"),
        ("9" * 30, "is no number"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ("{", "Expecting"),
    ],
)
def test_json_that_cannot_be_held_is_a_value_error(text, words):
    with pytest.raises(ValueError, match=words):
        parse_json(text)


def test_json_is_what_it_says():
    assert parse_json('{"a": [1, 2.5, -3e2, null, "x"], "b": 9223372036854775807}') == {
        "a": [1, 2.5, -300.0, None, "x"],
        "b": 2**63 - 1,
    }
    assert parse_json("1e999", finite=False) == float("inf")


# ---------------------------------------------------------------- targets


def test_a_target_in_a_new_folder_is_fine_and_nothing_is_made(tmp_path):
    assert check_target(tmp_path / "new" / "folder" / "x.json") == tmp_path / "new" / "folder" / "x.json"
    assert not (tmp_path / "new").exists()


def test_targets_that_cannot_be_are_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    cases = [
        (tmp_path, "is a folder"),
        (tmp_path / "file" / "x.json", "no folder"),
        (tmp_path / "pipe", "is a pipe"),
        ("/dev/null", "is a device"),
        ("/dev/full", "is a device"),
        (tmp_path / ("a" * 300), "longer than the 255 bytes"),
        (tmp_path / ("ä" * 200) / "x", "longer than the 255 bytes"),
        ("a\0b", "must be the path"),
        ("\ud83d", "must be the path"),
        (None, "must be the path"),
    ]
    for path, words in cases:
        with pytest.raises(InputError, match=words):
            check_target(path)
        with pytest.raises(InputError):
            write_target(path, "new")
    with pytest.raises(InputError, match=r"the suffix must be \.npz, found '\.h5'"):
        check_target(tmp_path / "x.h5", suffixes=(".npz",))
    assert (tmp_path / "pipe").is_fifo()
    assert Path("/dev/null").is_char_device()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "loop", "pipe"]


def test_a_full_disk_and_a_folder_that_may_not_be_written_are_said_before(tmp_path, monkeypatch):
    with monkeypatch.context() as m:
        m.setattr(files.shutil, "disk_usage", lambda p: os.terminal_size((0, 0)) and type("U", (), {"free": 5})())
        with pytest.raises(InputError, match="No space left"):
            check_target(tmp_path / "x")
    with monkeypatch.context() as m:
        m.setattr(files.os, "access", lambda p, mode: False)
        with pytest.raises(InputError, match=r"Permission denied|Read-only"):
            check_target(tmp_path / "x")


def test_a_symbolic_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a")
    (tmp_path / "dangling").symlink_to(tmp_path / "real" / "b")
    for link in ("link", "dangling"):
        write_target(tmp_path / link, "new")
        assert (tmp_path / link).is_symlink()
    assert (tmp_path / "real" / "a").read_text() == (tmp_path / "real" / "b").read_text() == "new"
    assert len(list(tmp_path.rglob("*.tmp"))) == 0


def test_a_name_as_long_as_can_be_is_written(tmp_path):
    write_target(tmp_path / ("a" * 255), "x")
    assert (tmp_path / ("a" * 255)).read_text() == "x"


def test_a_pipe_that_appears_during_the_work_is_not_replaced(tmp_path):
    def write():
        with atomic_file(tmp_path / "p") as file:
            file.write(b"x")
            os.mkfifo(tmp_path / "p")

    with pytest.raises(OSError, match="only regular files are replaced"):
        write()
    assert (tmp_path / "p").is_fifo()
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


@pytest.mark.parametrize("named", [False, True])
def test_threads_that_write_one_file_do_not_collide(tmp_path, monkeypatch, named):
    if named:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    errors = []

    def write(k):
        try:
            for _ in range(20):
                atomic_write(tmp_path / "a", bytes([k]) * 1000)
        except BaseException as error:  # shown by the assertion
            errors.append(error)

    threads = [threading.Thread(target=write, args=(k,)) for k in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert errors == []
    assert len(set((tmp_path / "a").read_bytes())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


_CHILD = """
import os, sys, time
from isomorph._core.files import atomic_file
if sys.argv[2] == "named":
    del os.O_TMPFILE
with atomic_file(sys.argv[1]) as file:
    file.write(b"half"); file.flush(); print("ready", flush=True); time.sleep(60)
"""


@pytest.mark.parametrize("way", ["unnamed", "named"])
def test_a_kill_leaves_the_old_file_and_nothing_that_the_next_write_does_not_sweep(tmp_path, way):
    target = tmp_path / "a.json"
    target.write_text("old")
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(target), way], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    if way == "named":  # at work: its file is not swept
        atomic_write(tmp_path / "b", "x")
        assert len(list(tmp_path.glob(".isomorph-*.tmp"))) == 1
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert target.read_text() == "old"
    if way == "unnamed":
        assert list(tmp_path.iterdir()) == [target]
    time.sleep(0.05)
    atomic_write(target, "new")
    assert target.read_text() == "new"
    assert list(tmp_path.glob(".*")) == []


def test_a_file_system_that_gives_no_name_later_gets_a_copy(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(1, "no")

    monkeypatch.setattr(os, "link", refuse)
    atomic_write(tmp_path / "a", b"x" * 10**6)
    assert (tmp_path / "a").read_bytes() == b"x" * 10**6
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
