"""Versions, fingerprints and files that are whole or not there."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

from isomorph._core.files import atomic_write
from isomorph._core.provenance import canonical_json, fingerprint, provenance, show_versions


def test_provenance_holds_the_facts_and_the_versions_of_what_computes():
    facts = provenance(seed=0)
    assert facts["seed"] == 0
    assert facts["versions"]["numpy"] == np.__version__
    assert {"python", "isomorph", "scipy"} <= set(facts["versions"])


def test_asking_for_provenance_does_not_load_torch():
    code = (
        "import sys; from isomorph._core.provenance import versions; v = versions(); "
        "assert 'torch' not in sys.modules and 'torch' not in v"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_equal_values_have_equal_fingerprints_whatever_their_order_and_type():
    @dataclasses.dataclass
    class Facts:
        a: int = 1

    assert fingerprint({"a": 1, "b": (1, 2.5)}) == fingerprint({"b": [1, 2.5], "a": np.int64(1)})
    assert fingerprint(Facts()) == fingerprint({"a": 1})
    assert fingerprint({3, 1}) == fingerprint([1, 3])
    assert fingerprint(b"\x01") == fingerprint("01")
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})
    # frozen: addresses on disk depend on it
    assert fingerprint({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert canonical_json({"ü": None, "a": [True, 1.0]}) == '{"a":[true,1.0],"ü":null}'


def test_what_has_no_one_text_has_no_fingerprint():
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint(float("nan"))
    with pytest.raises(TypeError, match="ndarray has no canonical"):
        fingerprint(np.zeros(2))


def test_an_atomic_write_makes_folders_and_replaces_whole(tmp_path):
    path = tmp_path / "a" / "b.txt"
    atomic_write(path, "ä")
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_an_atomic_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "b.txt"
    atomic_write(path, "old")

    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_show_versions_names_the_machine_and_what_computes(capsys):
    show_versions()
    lines = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines() if len(line.split(None, 1)) == 2)
    assert lines["numpy"] == np.__version__
    assert {"isomorph", "python", "platform", "scipy"} <= set(lines)
    assert any(" threads" in value for value in lines.values())
