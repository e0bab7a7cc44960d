"""The preset for platonic-rep's WIT-1024, on a copy of its layout and on a hub that a server of our own plays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pytest

import datasets
import isomorph as iso
from isomorph.datasets import load_dataset
from isomorph.errors import FetchError, InputError, UnknownNameError

from ..hub_server import COMMIT, Repository, point_to, served

N = 5


def rows() -> datasets.Dataset:
    features = datasets.Features({"image": datasets.Image(), "text": datasets.List(datasets.Value("string"))})
    columns = {
        "image": [{"bytes": b"P6 1 1 255 " + bytes([k, k, k]), "path": None} for k in range(N)],
        "text": [[f"caption {k}", f"another of {k}"] for k in range(N)],
    }
    return datasets.Dataset(pyarrow.Table.from_pydict(columns, schema=features.arrow_schema))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def test_a_copy_gives_what_platonic_rep_compares(tmp_path: Path) -> None:
    datasets.DatasetDict({"train": rows()}).save_to_disk(str(tmp_path / "dict"))
    rows().save_to_disk(str(tmp_path / "plain"))
    rows().to_parquet(str(tmp_path / "train.parquet"))
    found = [load_dataset(f"wit_1024(path={str(tmp_path / name)!r})") for name in ("dict", "plain", "train.parquet")]
    assert len({items.fingerprint for items in found}) == 1
    items = found[0]
    assert items.name == "wit_1024"
    assert list(items.view("text")) == [row["text"][0] for row in rows().select_columns(["text"])]  # caption_idx=0
    assert [int(items.view("image")[k][0, 0, 0]) for k in range(N)] == list(range(N))
    assert load_dataset(items.source).fingerprint == items.fingerprint


def test_features_of_platonic_rep_are_joined_by_row_number(tmp_path: Path) -> None:
    import torch

    rows().save_to_disk(str(tmp_path / "copy"))
    torch.save({"feats": torch.randn(N, 2, 3), "num_params": 7}, tmp_path / "model.pt")
    items = load_dataset(f"wit_1024(path={str(tmp_path / 'copy')!r})")
    assert iso.Layers.load(tmp_path / "model.pt", ids=range(N)).ids == items.ids


def test_all_captions_are_items_of_one_group(tmp_path: Path) -> None:
    rows().save_to_disk(str(tmp_path / "copy"))
    items = load_dataset(f"wit_1024(path={str(tmp_path / 'copy')!r}, captions_each=None)")
    assert items.ids[:3] == ("0#0", "0#1", "1#0")
    assert items.groups is not None
    assert len(set(items.groups)) == N


def test_a_copy_of_another_layout_is_answered_with_its_columns(tmp_path: Path) -> None:
    rows().rename_column("text", "caption").save_to_disk(str(tmp_path / "copy"))
    with pytest.raises(UnknownNameError, match=r"Unknown column of .*copy, split train 'text'.*image"):
        load_dataset(f"wit_1024(path={str(tmp_path / 'copy')!r})")
    with pytest.raises(InputError, match="there is nothing at path="):
        load_dataset(f"wit_1024(path={str(tmp_path / 'gone')!r})")


def test_the_hub_is_asked_for_the_branch_and_its_commit_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows().to_parquet(str(tmp_path / "rows.parquet"))
    files = {"README.md": b"# WIT", "data/train-00000-of-00001.parquet": (tmp_path / "rows.parquet").read_bytes()}
    repository = Repository(files, "dataset", "minhuh/prh", ("main", "wit_1024"))
    with served(repository, monkeypatch, tmp_path) as server:
        _point_library_to(server, monkeypatch)
        items = load_dataset("wit_1024")
        assert items.source == f"wit_1024(revision={COMMIT!r})"
        assert load_dataset(items.source).fingerprint == items.fingerprint
        assert items.ids == tuple(map(str, range(N)))
        assert any("/resolve/wit_1024/" in asked for asked in server.asked)


def test_without_the_hub_the_call_that_opens_a_copy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point_to(monkeypatch, tmp_path, "http://127.0.0.1:9")
    with pytest.raises(FetchError, match=r"revision='wit_1024'\)\.save_to_disk\('copy'\).*wit_1024\(path='copy'\)"):
        load_dataset("wit_1024")


def _point_library_to(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
