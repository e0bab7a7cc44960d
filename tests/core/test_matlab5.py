"""MATLAB 5 files against SciPy's reader, and damaged ones, on which that crashes, answered in words."""

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from isomorph import InputError
from isomorph._core.matlab5 import Structs, read_matlab5

RNG = np.random.default_rng(0)
TYPES = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


def held() -> dict[str, object]:
    """Variables of every kind that is read."""
    cells = np.empty((2, 3), dtype=object)
    cells[:] = [["a", "long text", "é日本"], ["", "x", "y"]]
    structs = np.empty((1, 2), dtype=[("RDM", object), ("name", object)])
    for k in range(2):
        structs["RDM"][0, k], structs["name"][0, k] = RNG.random((4, 4)), f"subject {k}"
    arrays = {kind: (100 * RNG.random((3, 4, 2))).astype(kind) for kind in TYPES}
    return arrays | {
        "cells": cells,
        "structs": structs,
        "text": "one text",
        "rows": np.array(["first", "other"]),
        "scalar": 3.5,
        "empty": np.zeros((0, 3)),
        "logical": np.array([[True, False]]),
        "small": np.array([[7]], dtype="i2"),
    }


@pytest.mark.parametrize("compressed", [False, True])
def test_variables_are_those_that_scipy_reads(tmp_path: Path, compressed: bool) -> None:
    savemat(tmp_path / "x.mat", held(), do_compression=compressed)
    ours, theirs = read_matlab5(tmp_path / "x.mat"), loadmat(tmp_path / "x.mat")
    assert set(ours) == {k for k in theirs if not k.startswith("__")}
    for name in (*TYPES, "scalar", "empty", "logical", "small"):
        np.testing.assert_array_equal(ours[name], theirs[name])
        if name in TYPES:
            assert ours[name].dtype == np.dtype(name)
    assert ours["cells"] == [str(v.item()) if v.size else "" for v in theirs["cells"].reshape(-1, order="F")]
    assert (ours["text"], ours["rows"]) == ("one text", ["first", "other"])
    assert isinstance(ours["structs"], Structs)
    assert ours["structs"].fields["name"] == ["subject 0", "subject 1"]
    np.testing.assert_array_equal(ours["structs"].fields["RDM"][1], theirs["structs"]["RDM"][0, 1])


def test_a_file_of_the_other_byte_order_is_read(tmp_path: Path) -> None:
    def element(kind: int, data: bytes) -> bytes:
        return struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)

    values = np.arange(6.0).reshape(2, 3)
    inner = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 2, 3)) + element(1, b"d")
    inner += element(9, values.astype(">f8").tobytes(order="F"))
    (tmp_path / "x.mat").write_bytes(b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + element(14, inner))
    np.testing.assert_array_equal(read_matlab5(tmp_path / "x.mat")["d"], values)


def test_what_cannot_be_used_is_left_out(tmp_path: Path) -> None:
    from scipy.sparse import csc_matrix

    savemat(tmp_path / "x.mat", {"sparse": csc_matrix(np.eye(3)), "complex": np.eye(2) * 1j, "good": np.eye(2)})
    found = read_matlab5(tmp_path / "x.mat")
    assert found["sparse"] is None
    assert found["complex"] is None
    np.testing.assert_array_equal(found["good"], np.eye(2))


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_files_are_read_or_refused_in_words(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "x.mat"
    savemat(path, held(), do_compression=compressed)
    whole, refused = path.read_bytes(), 0
    for trial in range(400):
        damaged = bytearray(whole)
        if trial % 3 == 0:
            damaged = damaged[: RNG.integers(len(damaged))]
        else:
            for place in RNG.integers(len(damaged), size=1 + trial % 5):
                damaged[place] = RNG.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):  # anything else fails the test, a crash among it
            read_matlab5(path)
            continue
        refused += 1
    assert refused > 100


def test_other_versions_are_refused_with_what_to_do(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {"d": np.eye(3)}, format="4")
    with pytest.raises(InputError, match="'-v7'"):
        read_matlab5(tmp_path / "x.mat")
