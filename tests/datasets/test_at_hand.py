"""Items of what is at hand: `PairedItems.from_views`, `PairedItems.from_rows`, and covariates."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from isomorph.concept_maps import read_covariates
from isomorph.datasets import Audio, PairedItems, load_dataset
from isomorph.errors import InputError, UnknownNameError


def photo(k: int, size: tuple[int, int] = (4, 6)) -> np.ndarray[Any, Any]:
    return np.full((*size, 3), k, dtype=np.uint8)


PHOTOS = [photo(1), photo(2, (9, 5)), photo(3)]
TEXTS = ["a cat", "a dog", "a cow"]


class Captioned(torch.utils.data.Dataset):  # type: ignore[type-arg]  # as torchvision's CocoCaptions gives
    """Rows (picture, captions), read by number; `reads` counts them."""

    def __init__(self, pictures: list[Any], captions: list[Any]) -> None:
        self.pictures, self.captions, self.reads = pictures, captions, 0

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        self.reads += 1
        return self.pictures[i], self.captions[i]


# ---- views ----------------------------------------------------------------------------------------------------------


def test_lists_become_views_with_pictures_of_any_sizes() -> None:
    items = PairedItems.from_views(image=PHOTOS, text=TEXTS, ids=["x", "y", "z"], labels=["pet", "pet", "farm"])
    assert {k: v.modality for k, v in items.views.items()} == {"image": "image", "text": "text"}
    assert items.ids == ("x", "y", "z")
    assert items.labels == {"label": ("pet", "pet", "farm")}
    assert [items.view("image")[i].shape for i in range(3)] == [(4, 6, 3), (9, 5, 3), (4, 6, 3)]


def test_paths_are_pictures_and_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    for k in range(2):
        Image.fromarray(photo(k)).save(tmp_path / f"{k}.png")
    paths = [tmp_path / "0.png", tmp_path / "1.png"]
    for given in (paths, list(map(str, paths))):
        items = PairedItems.from_views(image=given, text=TEXTS[:2])
        assert np.array_equal(items.view("image")[1], photo(1))
    with pytest.raises(InputError, match=r"view 'image', item '1': there is no file .*gone\.png"):
        PairedItems.from_views(image=[paths[0], tmp_path / "gone.png"], text=TEXTS[:2])


def test_a_mapping_or_an_index_is_joined_by_id_not_by_order() -> None:
    text = {"b": "a dog", "a": "a cat"}
    series = pd.Series(["ein Hund", "eine Katze"], index=["b", "a"])
    items = PairedItems.from_views(text=text, german=series, x=np.eye(2), ids=["a", "b"])
    assert list(items.view("text")) == ["a cat", "a dog"]
    assert list(items.view("german")) == ["eine Katze", "ein Hund"]
    assert PairedItems.from_views(german=series, text=text).ids == ("b", "a")
    with pytest.raises(InputError, match="view 'text' has nothing for 1 of 3 items, such as 'c'"):
        PairedItems.from_views(text=text, x=np.eye(3), ids=["a", "b", "c"])


def test_several_captions_of_a_picture_are_items_of_one_group_with_its_labels() -> None:
    items = PairedItems.from_views(
        image=PHOTOS[:2],
        text=[["a cat", "a pet"], ["a dog"]],
        ids=["p", "q"],
        labels=["c", "d"],
        covariates={"s": [1, 2]},
    )
    assert items.ids == ("p#0", "p#1", "q#0")
    assert items.groups == ("p", "p", "q")
    assert items.labels == {"label": ("c", "c", "d")}
    assert items.covariates == {"s": (1, 1, 2)}
    assert [int(items.view("image")[i][0, 0, 0]) for i in range(3)] == [1, 1, 2]
    first, second = items.split(0.5)
    assert not set(first.groups or ()) & set(second.groups or ())


def test_recordings_of_other_libraries_become_recordings() -> None:
    wave = np.linspace(-1, 1, 40, dtype=np.float32)
    hugging = {"array": wave.astype(np.float64), "sampling_rate": 8000}
    items = PairedItems.from_views(a=[hugging] * 2, b=[(torch.tensor(wave)[None], 8000)] * 2, c=[Audio(wave, 8000)] * 2)
    assert [v.modality for v in items.views.values()] == ["audio"] * 3
    assert len({v.digest(0) for v in items.views.values()}) == 1


def test_a_tensor_is_the_picture_it_was_made_of_and_a_normalised_one_is_refused() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    tensor = torch.tensor(picture).permute(2, 0, 1)
    for given in (tensor, tensor.float() / 255, tensor.half() / 255):
        assert np.array_equal(PairedItems.from_views(image=[given]).view("image")[0], picture)
    with pytest.raises(InputError, match=r"view 'image', item '0': the tensor of values from .* was normalised"):
        PairedItems.from_views(image=[(tensor.float() / 255 - 0.5) / 0.2])


@pytest.mark.parametrize(
    ("views", "said"),
    [
        ({}, r"there are no views; give one argument each, such as PairedItems\.from_views\(image="),
        ({"text": "a cat"}, "view 'text' must be a list with one entry an item, found 'a cat'"),
        ({"image": PHOTOS, "text": TEXTS[:2]}, "but view 'image' has 3, 'text' has 2 entries"),
        ({"text": TEXTS, "ids": ["a"]}, "1 ids for 3 entries"),
        ({"text": ["a", None], "ids": ["i", "j"]}, "view 'text' has nothing for the item 'j'"),
        ({"text": []}, "view 'text' is empty"),
        ({"a": [["x"], ["y"]], "b": [["x"], ["y"]]}, "'a', 'b' all hold several texts an item"),
        ({"a": [["x"], ["y"]], "groups": ["g"]}, "groups must hold one entry for each of 2 items"),
        ({"a": [["x"], []]}, "item '1' has an empty list of texts"),
        ({"image": [Path("a.docx")]}, "paths must all be of pictures, recordings or films"),
        ({"text": TEXTS, "covariates": [1, 2, 3]}, "covariates must map names"),
        ({"x": np.array(5)}, r"view 'x' must be a list with one entry an item, found array\(5\)"),
        ({"text": TEXTS, "labels": {"k": 5}}, "label set 'k' must hold one entry for each of 3 items, found 5"),
    ],
)
def test_what_is_no_view_is_said_in_words(views: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        PairedItems.from_views(**views)


# ---- rows -----------------------------------------------------------------------------------------------------------


def test_a_torch_dataset_of_pictures_and_captions_is_read_row_by_row() -> None:
    rows = Captioned([Image.fromarray(p) for p in PHOTOS], [["a cat", "a pet"], ["a dog"], ["a cow"]])
    items = PairedItems.from_rows(rows)
    assert items.ids == ("0#0", "0#1", "1#0", "2#0")
    assert items.groups == ("0", "0", "1", "2")
    assert list(items.view("text")) == ["a cat", "a pet", "a dog", "a cow"]
    before = rows.reads
    assert items.view("image").digest(2) == PairedItems.from_views(image=PHOTOS).view("image").digest(1)
    assert rows.reads == before  # the hash was taken when the dataset was looked through
    assert items.view("image")[2].size == (5, 9)
    assert rows.reads == before + 1  # and the picture is read when it is used


def test_random_transforms_are_noticed_when_a_picture_is_read_again() -> None:
    class Noisy(Captioned):
        def __getitem__(self, i: int) -> tuple[Any, Any]:
            picture, caption = super().__getitem__(i)
            return picture + np.uint8(self.reads), caption

    items = PairedItems.from_rows(Noisy(PHOTOS, TEXTS))
    with pytest.raises(InputError, match=r"Row 1 of the dataset holds another image .* random transforms"):
        items.view("image")[1]
    assert np.array_equal(PairedItems.from_rows(Captioned(PHOTOS, TEXTS)).view("image")[1], PHOTOS[1])


def test_the_classes_of_a_torchvision_dataset_are_its_labels() -> None:
    rows = Captioned([torch.tensor(p).permute(2, 0, 1) for p in PHOTOS], [1, 0, 1])
    rows.classes = ["cat", "dog"]  # type: ignore[attr-defined]
    items = PairedItems.from_rows(rows)
    assert list(items.views) == ["image"]
    assert items.labels == {"label": ("dog", "cat", "dog")}
    assert np.array_equal(items.view("image")[1], PHOTOS[1])


def test_mappings_of_a_stream_are_read_up_to_the_limit() -> None:
    stream = ({"id": f"r{k}", "alt": f"text {k}", "size": k, "label": "ab"[k % 2]} for k in itertools.count())
    items = PairedItems.from_rows(stream, limit=4, covariate="size")
    assert items.ids == ("r0", "r1", "r2", "r3")
    assert list(items.views) == ["alt"]
    assert items.labels == {"label": ("a", "b", "a", "b")}
    assert items.covariates == {"size": (0, 1, 2, 3)}


def test_a_data_frame_gives_its_rows_with_its_index_as_ids() -> None:
    frame = pd.DataFrame({"alt": TEXTS, "concreteness": [4.5, np.nan, 3.0]}, index=["x", "y", "z"])
    items = PairedItems.from_rows(frame, covariate="concreteness")
    assert items.ids == ("x", "y", "z")
    assert items.covariates == {"concreteness": (4.5, None, 3.0)}


@pytest.mark.parametrize(
    ("rows", "asked", "said"),
    [
        ([{"alt": "a", "w": 1}], {"views": ["caption"]}, r"no column 'caption'; the columns are 'alt', 'w'\."),
        ([{"alt": "a"}], {"id": "key"}, r"no column 'key'; the columns are 'alt'"),
        ([{"w": 1}], {}, r"no column holds texts, .* the columns are 'w', and row 0 holds 'w': int"),
        ([{"a": "x"}, {"b": "y"}], {}, "row 1 has the columns 'b' where row 0 has 'a'"),
        ([], {}, "there are no rows"),
        (["a", "b"], {}, r"row 0 is str; every row must be a mapping or a tuple"),
        ({"text": TEXTS}, {}, r"for one list a view there is PairedItems\.from_views"),
        ([{"alt": "a"}], {"limit": 0}, "limit=0"),
    ],
)  # fmt: skip
def test_a_wrong_guess_names_the_columns_and_a_call_that_works(rows: Any, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        PairedItems.from_rows(rows, **asked)


# ---- covariates -----------------------------------------------------------------------------------------------------


def test_covariates_are_kept_by_id_and_found_by_name() -> None:
    size = pd.Series([3.0, np.nan, 1.0], index=["c", "b", "a"])
    items = PairedItems(
        "pets", ("a", "b", "c"), {"text": TEXTS}, covariates={"size": size, "wild": {"a": True, "c": False}}
    )
    assert items.covariates == {"size": (1.0, None, 3.0), "wild": (True, None, False)}
    assert "covariates size, wild" in repr(items)
    assert items.subset(["c", "a"]).covariates == {"size": (3.0, 1.0), "wild": (False, True)}
    found = read_covariates(["size", "word_count"], items=items, n=3)
    assert found["size"] == (1.0, None, 3.0)
    with pytest.raises(UnknownNameError, match=r"sise.*size"):
        read_covariates(["sise"], items=items, n=3)


def test_covariates_count_in_the_fingerprint_and_without_any_it_is_what_it_was() -> None:
    plain = PairedItems("pets", ("a", "b", "c"), {"text": TEXTS})
    one, other = (
        PairedItems("pets", ("a", "b", "c"), {"text": TEXTS}, covariates={"s": s}) for s in ([1, 2, 3], [1, 2, 4])
    )
    # the hash of these items before there were covariates
    assert plain.fingerprint == "4709b537b1067d5aa9866598d3c6dac2fef9d9cf4ad9ccf904d7d010ed85616a"
    assert len({plain.fingerprint, one.fingerprint, other.fingerprint}) == 3
    assert plain.view_fingerprint("text") == one.view_fingerprint("text")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1, 2], "covariate 's' has 2 entries but there are 3 ids"),
        ([1, [2], 3], r"item 'b' has \[2\]"),
        ([1, np.inf, 3], "item 'b' is infinite"),
        ({"x": 1}, r"covariate 's' has none of the 3 items; its ids begin with \['x'\]"),
        ("abc", "must be one value an item"),
        (np.array(3), "must be one value an item"),
    ],
)
def test_a_covariate_that_fits_not_is_named(values: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        PairedItems("pets", ("a", "b", "c"), {"text": TEXTS}, covariates={"s": values})


def test_a_covariate_is_not_called_like_a_label_set() -> None:
    with pytest.raises(InputError, match="'kind' is a label set and a covariate"):
        PairedItems("pets", ("a",), {"text": ["x"]}, {"kind": ("k",)}, covariates={"kind": [1]})


def test_columns_of_a_table_are_covariates_on_request(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,text,norm,kind\n1,a cat,4.5,pet\n2,a dog,,pet\n3,,1.5,farm\n")
    spec = f"table(path={str(tmp_path / 't.csv')!r}, text='text', covariate=['norm', 'kind'], skip_bad=True)"
    items = load_dataset(spec)
    assert items.covariates == {"norm": (4.5, None), "kind": ("pet", "pet")}
    with pytest.raises(UnknownNameError, match=r"Unknown column .* 'norms'\. Did you mean 'norm'"):
        load_dataset(spec.replace("'norm'", "'norms'"))
