from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isomorph.datasets import Audio, FileView, MemoryView, PairedItems, load_dataset
from isomorph.errors import InputError, UnknownNameError


def items(n: int = 12, **changes: Any) -> PairedItems:
    values: dict[str, Any] = {
        "name": "toy",
        "ids": tuple(f"i{k}" for k in range(n)),
        "views": {"text": [f"text {k}" for k in range(n)], "x": np.arange(2.0 * n).reshape(n, 2)},
        "labels": {"colour": tuple("rgb"[k % 3] for k in range(n)), "parity": tuple(str(k % 2) for k in range(n))},
    }
    return PairedItems(**(values | changes))


def read_text(path: Path) -> str:
    return path.read_text()


def test_an_id_that_is_there_twice_is_named() -> None:
    with pytest.raises(InputError, match="toy: the id 'a' is there twice"):
        items(3, ids=("a", "b", "a"))


def test_ids_that_differ_only_in_type_are_the_same_id() -> None:
    with pytest.raises(InputError, match="the id '1' is there twice"):
        items(2, ids=(1, "1"))


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("views", {"text": ["a", "b"]}, "view 'text' has 2 entries but there are 3 ids"),
        ("labels", {"kind": ("a",)}, "label set 'kind' has 1 entries"),
        ("groups", ("a", "b", "c", "d"), "groups has 4 entries"),
        ("labels", {"kind": 5}, "label set 'kind' must hold one entry an item, found 5"),
    ],
)
def test_parts_of_unequal_length_are_named(field: str, value: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        items(3, **{"labels": {}, field: value})


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_is_named_by_its_item(text: str) -> None:
    with pytest.raises(InputError, match="view 'text' has an empty text for the item 'i1'"):
        items(2, views={"text": ["a", text]}, labels={})


@pytest.mark.parametrize("values", [["a", np.zeros(3)], [object(), object()], [None, "a"]])
def test_a_view_of_mixed_or_unknown_kind_is_refused(values: list[Any]) -> None:
    with pytest.raises(InputError, match="View 'v' holds"):
        items(2, views={"v": values}, labels={})


def test_plain_sequences_become_views_of_their_modality() -> None:
    made = items(
        2,
        labels={},
        views={
            "t": ["a", "b"],
            "i": np.zeros((2, 4, 4, 3), np.uint8),
            "a": [Audio(np.zeros(5, np.float32), 8000)] * 2,
            "f": np.zeros((2, 7)),
        },
    )
    assert {k: v.modality for k, v in made.views.items()} == {"t": "text", "i": "image", "a": "audio", "f": "features"}


def test_an_unknown_view_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'text'"):
        items().view("texts")


def test_a_subset_keeps_every_part_aligned_and_in_the_order_asked_for() -> None:
    part = items(groups=tuple(f"g{k}" for k in range(12))).subset(["i7", "i2"])
    assert part.ids == ("i7", "i2")
    assert list(part.view("text")) == ["text 7", "text 2"]
    np.testing.assert_array_equal(part.view("x")[:], [[14, 15], [4, 5]])
    assert part.labels["colour"] == ("g", "b")
    assert part.groups == ("g7", "g2")


def test_a_subset_with_an_unknown_or_repeated_id_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="Unknown item of toy 'i99'"):
        items().subset(["i1", "i99"])
    with pytest.raises(InputError, match="'i1' is there twice"):
        items().subset(["i1", "i1"])


def test_a_split_parts_the_items_by_the_fraction_and_the_seed_alone() -> None:
    whole = items(40, labels={})
    first, second = whole.split(0.25, seed=3)
    assert (len(first), len(second)) == (10, 30)
    assert sorted(first.ids + second.ids) == sorted(whole.ids)
    assert whole.split(0.25, seed=3)[0].ids == first.ids
    assert whole.split(0.25, seed=4)[0].ids != first.ids


def test_a_split_does_not_depend_on_the_order_of_the_items() -> None:
    whole = items(40, labels={})
    turned = whole.subset(reversed(whole.ids))
    assert set(whole.split(0.5)[0].ids) == set(turned.split(0.5)[0].ids)


@pytest.mark.parametrize(("by", "label"), [("label", "colour"), ("label:parity", "parity")])
def test_a_split_by_label_shares_no_label(by: str, label: str) -> None:
    first, second = items().split(0.5, by=by)
    assert first.labels[label]
    assert not set(first.labels[label]) & set(second.labels[label])


@pytest.mark.parametrize("by", ["item", "group"])
@pytest.mark.parametrize("seed", range(5))
def test_a_split_never_parts_a_group(by: str, seed: int) -> None:
    whole = items(groups=tuple(str(k // 3) for k in range(12)))
    first, second = whole.split(0.5, seed=seed, by=by)
    assert first.groups is not None
    assert second.groups is not None
    assert not set(first.groups) & set(second.groups)


@pytest.mark.parametrize("seed", range(8))
def test_a_split_by_label_never_parts_a_group_that_straddles_labels(seed: int) -> None:
    # a–b and b–c are tied by groups 0 and 1; d and e stand alone
    whole = items(8, labels={"k": tuple("abbcddee")}, groups=("0", "0", "1", "1", "2", "3", "4", "5"))
    first, second = whole.split(0.5, seed=seed, by="label")
    for kind in (lambda p: p.labels["k"], lambda p: p.groups):
        assert not set(kind(first)) & set(kind(second))


def test_a_split_by_labels_that_groups_tie_into_one_is_refused() -> None:
    whole = items(4, labels={"k": tuple("aabb")}, groups=("0", "1", "1", "2"))
    with pytest.raises(InputError, match="there are 1 units to divide"):
        whole.split(0.5, by="label")


@pytest.mark.parametrize("fraction", [0, 1, -0.5, float("nan"), 2])
def test_a_fraction_outside_0_and_1_is_refused(fraction: float) -> None:
    with pytest.raises(InputError, match="must lie between 0 and 1"):
        items().split(fraction)


@pytest.mark.parametrize(
    ("by", "changes", "message"),
    [
        ("group", {}, "has no groups"),
        ("label", {"labels": {}}, "has no labels"),
        ("label:tone", {}, "Unknown label set of toy 'tone'"),
        ("cluster", {}, "is not known"),
    ],
)
def test_a_split_by_what_is_not_there_is_refused(by: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        items(**changes).split(0.5, by=by)


def test_the_fingerprint_is_that_of_the_content_alone() -> None:
    one = items()
    assert items(name="other", source="elsewhere", license="CC0").fingerprint == one.fingerprint
    for changes in (
        {"ids": tuple(f"j{k}" for k in range(12))},
        {"labels": {}},
        {"groups": tuple("ab" * 6)},
        {"views": {"text": one.view("text")}},
        {"views": {"text": [f"text {k}!" for k in range(12)], "x": one.view("x")}},
    ):
        assert items(**changes).fingerprint != one.fingerprint


def test_the_fingerprint_of_a_view_ignores_the_other_views_and_labels() -> None:
    assert items().view_fingerprint("text") == items(labels={}, views={"text": items().view("text")}).view_fingerprint(
        "text"
    )


def test_the_fingerprint_covers_the_order_of_the_items() -> None:
    assert items().subset(["i1", "i0"]).fingerprint != items().subset(["i0", "i1"]).fingerprint


def test_the_fingerprint_of_files_ignores_where_they_are(tmp_path: Path) -> None:
    prints = []
    for folder, content in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / f"{folder}.txt"
        path.write_text(content)
        prints.append(
            items(1, labels={}, views={"v": FileView([path], "text", read_text)}).fingerprint,
        )
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    "other",
    [Audio(np.ones(4, np.float32), 8000), Audio(np.zeros(4, np.float32), 16000), Audio(np.zeros(5, "f4"), 8000)],
)
def test_recordings_differ_by_samples_and_by_rate(other: Audio) -> None:
    views: list[Sequence[Any]] = [[Audio(np.zeros(4, np.float32), 8000)], [other]]
    prints = {items(1, labels={}, views={"a": v}).fingerprint for v in views}
    assert len(prints) == 2


def test_text_that_no_file_could_hold_still_has_a_fingerprint() -> None:
    assert items(1, labels={}, views={"t": ["\ud800"]}).fingerprint


def test_an_array_of_features_stays_one_array_when_some_are_taken() -> None:
    view = items().view("x").take([3, 1])
    assert isinstance(view, MemoryView)
    assert isinstance(view.items, np.ndarray)


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    view = FileView([tmp_path / "gone.png"], "image", read_text)
    with pytest.raises(InputError, match=r"Cannot read .*gone\.png: No such file"):
        items(1, labels={}, views={"v": view}).fingerprint  # noqa: B018  # reading the property is the act


@pytest.mark.parametrize("spec", ["table(path=3)", "table('a.csv', text=3)", "emoji(languages=5)", "arrays(3)"])
def test_a_parameter_of_the_wrong_type_is_named(spec: str) -> None:
    with pytest.raises(InputError, match=r"must be .*, found [35]"):
        load_dataset(spec)


def test_the_datasets_import_no_optional_package() -> None:
    code = (
        "import sys; from isomorph.datasets import REGISTRY; REGISTRY.classes;"
        "print(sorted({'torch', 'PIL', 'soundfile', 'pyarrow', 'emoji', 'piper', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_dataset_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'emoji'"):
        load_dataset("emojis(n=3)")


def test_a_wrong_parameter_lists_the_right_ones() -> None:
    with pytest.raises(InputError, match="skin_tones"):
        load_dataset("emoji(number=3)")
