"""The 92 pictures: read as data from a file of their layout, with their kinds."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

import isomorph as iso
from isomorph.datasets.kriegeskorte92 import FILE, Kriegeskorte92
from isomorph.errors import InputError


def test_pictures_are_read_in_order_with_their_kinds(tmp_path: Path) -> None:
    made = Kriegeskorte92.example(tmp_path, 8)
    (tmp_path / FILE).write_bytes(Path(made.path).read_bytes())
    items = iso.load_dataset(f"kriegeskorte92(path={str(tmp_path)!r})")  # the folder, as it is kept
    assert items.ids[:2] == ("picture_01", "picture_02")
    assert [int(items.view("image")[k][0, 0, 0]) for k in range(8)] == [3 * k for k in range(8)]
    assert items.view("image")[2].dtype == np.uint8
    assert items.labels["kind"] == (
        "human body", "human face", "animal body", "animal face", "natural object", "artificial object", "animal body",
        "animal face",
    )  # fmt: skip
    assert items.labels["animacy"][3:5] == ("animate", "inanimate")


def test_what_is_no_such_file_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no .*supplementalData\.mat\. It lies in demos/92imageData"):
        Kriegeskorte92(str(tmp_path)).load()
    savemat(tmp_path / "x.mat", {"RDMs": np.eye(3)})
    with pytest.raises(InputError, match=r"has no pictures .* its variables are \['RDMs'\]"):
        Kriegeskorte92(str(tmp_path / "x.mat")).load()
    pictures = np.empty((1, 2), dtype=[("image", object)])
    pictures[0, 0]["image"] = pictures[0, 1]["image"] = np.zeros((4, 4, 3), np.uint8)
    savemat(tmp_path / "y.mat", {"stimuli_92objs": pictures, "categoryVectors": np.zeros((3, 8))})
    with pytest.raises(InputError, match=r"categoryVectors is of shape \(3, 8\); a table \(2, 8 or more\)"):
        Kriegeskorte92(str(tmp_path / "y.mat")).load()
    pictures[0, 1]["image"] = np.zeros((4, 4))
    savemat(tmp_path / "y.mat", {"stimuli_92objs": pictures, "categoryVectors": np.zeros((2, 8))})
    with pytest.raises(InputError, match=r"picture 2 is float64 \(4, 4\); bytes of shape"):
        Kriegeskorte92(str(tmp_path / "y.mat")).load()
