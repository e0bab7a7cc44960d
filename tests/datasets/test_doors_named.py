"""What a path, an address or a form of file is answered where a dataset is asked for."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

import datasets
from isomorph.datasets import load_dataset
from isomorph.errors import InputError


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            "parquet('a.parquet')",
            r"Files of parquet are read by table: .*table\(path='data\.parquet'\)",
        ),
        ("csv", "Files of csv are read by table"),
        ("data/train-000.tar", r"webdataset\(urls='data/train-000\.tar'\)"),
        ("org/name", r"folder\(path='org/name'\).* of the hub is read by .*huggingface\('org/name'\)"),
        ("https://huggingface.co/datasets/org/name", r"huggingface\('org/name'\)"),
        ("x/" + "a" * 900, "is a path at which there is nothing"),
        (f"huggingface({'a' * 5000!r})", "there is nothing at|cannot be had|cannot be reached"),
    ],
)
def test_what_reads_it_is_named(spec: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Exception, match=said) as caught:
        load_dataset(spec)
    assert type(caught.value).__module__ == "isomorph.errors"


def test_a_folder_of_another_kind_is_answered_with_the_door_that_reads_it(tmp_path: Path) -> None:
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(InputError, match=r"load_dataset\(\"huggingface\(path="):
        load_dataset(str(tmp_path / "saved"))
    with pytest.raises(InputError, match=r"saved by the library datasets: huggingface\(path="):
        load_dataset(f"folder({str(tmp_path / 'saved')!r})")
    (tmp_path / "shards").mkdir()
    tarfile.open(tmp_path / "shards" / "000.tar", "w").close()
    with pytest.raises(InputError, match=r"read by webdataset\('…/000\.tar'\)"):
        load_dataset(f"folder({str(tmp_path / 'shards')!r})")
