"""The laws of a dataset. Each takes the class and a folder for the files of its example."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isomorph.datasets import Dataset, PairedItems, as_view, load_dataset
from isomorph.errors import InputError, UnknownNameError

from .laws import Laws

DATASETS = Laws()
law = DATASETS.law
FEW, MORE, MANY = 6, 9, 400

Kind = type[Dataset]


def example(kind: Kind, folder: Path, n: int = FEW) -> Dataset:
    try:
        return kind.example(folder, n)
    except NotImplementedError as error:
        raise AssertionError(f"{error}: implement Dataset.example") from error


def content(items: PairedItems) -> dict[str, tuple[Any, ...]]:
    """Of each id what belongs to it: the hash of its place in every view, its labels, and its group."""
    views = sorted(items.views)
    labels = [items.labels[k] for k in sorted(items.labels)]
    return {
        id_: (
            *(items.views[v].digest(i) for v in views),
            *(column[i] for column in labels),
            None if items.groups is None else items.groups[i],
        )
        for i, id_ in enumerate(items.ids)
    }


@law()
def it_is_frozen_and_its_parameters_and_source_are_documented(kind: Kind, folder: Path) -> None:
    assert dataclasses.is_dataclass(kind)
    dataset: Any = example(kind, folder)
    fields = [f.name for f in dataclasses.fields(dataset)]
    for name in fields:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(dataset, name, None)
        assert f"    {name}: " in (inspect.getdoc(kind) or ""), f"the parameter {name} is not documented"
    assert (inspect.getdoc(kind) or "").partition("\n")[0].endswith("."), "the docstring begins with no sentence"
    assert kind.reference, "reference= does not say where the data come from"


@law()
def an_example_has_as_many_items_as_were_asked_for_each_with_all_that_is_its_own(kind: Kind, folder: Path) -> None:
    for n in (FEW, MORE):
        items = example(kind, folder, n).load()
        assert isinstance(items, PairedItems)
        assert len(items) == len(set(items.ids)) == n
        assert items.views
        assert all(isinstance(i, str) and i for i in items.ids)
        columns = [*items.views.values(), *items.labels.values(), *([items.groups] if items.groups else [])]
        assert [len(c) for c in columns] == [n] * len(columns)


@law()
def every_view_holds_what_its_modality_says(kind: Kind, folder: Path) -> None:
    for name, view in example(kind, folder).load().views.items():
        found = {as_view([item]).modality for item in view}
        assert found == {view.modality}, f"view {name} says {view.modality} and holds {found}"


@law()
def two_loads_give_the_same_items_under_the_same_ids(kind: Kind, folder: Path) -> None:
    first, second = (example(kind, folder).load() for _ in range(2))
    assert first.ids == second.ids
    assert content(first) == content(second)
    assert first.fingerprint == second.fingerprint


@law()
def an_id_names_the_same_item_whatever_else_is_loaded(kind: Kind, folder: Path) -> None:
    few, more = (content(example(kind, folder, n).load()) for n in (FEW, MORE))
    assert set(few) <= set(more), "one of more items does not begin with those of one of fewer"
    wrong = [id_ for id_ in few if few[id_] != more[id_]]
    assert not wrong, f"{', '.join(wrong)} name other items where more are loaded"


@law(lambda kind: "seed" in inspect.signature(kind).parameters)
def an_id_names_the_same_item_whatever_the_seed_and_the_seed_counts(kind: Kind, folder: Path) -> None:
    dataset: Any = example(kind, folder, MANY)
    first, second = (dataclasses.replace(dataset, seed=seed).load() for seed in (1, 2))
    assert first.fingerprint != second.fingerprint
    a, b = content(first), content(second)
    wrong = [id_ for id_ in a.keys() & b.keys() if a[id_] != b[id_]]
    assert not wrong, f"{', '.join(wrong[:5])} name other items with another seed"


@law()
def the_fingerprint_tells_content_apart(kind: Kind, folder: Path) -> None:
    few, more = (example(kind, folder, n).load() for n in (FEW, MORE))
    assert few.fingerprint != more.fingerprint
    assert few.fingerprint != few.subset(few.ids[1:]).fingerprint
    assert few.fingerprint == more.subset(few.ids).fingerprint, "it hangs on more than ids and content"
    for name, view in few.views.items():
        for i, j in ((0, 1), (2, 3)):
            unlike = not np.array_equal(_plain(view[i]), _plain(view[j]))
            assert (view.digest(i) != view.digest(j)) == unlike, f"view {name}: hashes and items disagree"
    assert len({few.view_fingerprint(v) for v in few.views}) == len(few.views)


def _plain(item: Any) -> Any:
    return np.asarray(getattr(item, "samples", item))


@law()
def parts_keep_everything_together(kind: Kind, folder: Path) -> None:
    items = example(kind, folder, MORE).load()
    whole = content(items)
    turned = items.subset(reversed(items.ids))
    assert list(turned.ids) == list(reversed(items.ids))
    first, second = items.split(0.5, seed=3)
    assert {*first.ids} | {*second.ids} == {*items.ids}
    assert not {*first.ids} & {*second.ids}
    for part in (turned, first, second):
        assert part.name == items.name
        assert content(part) == {id_: whole[id_] for id_ in part.ids}
    if items.groups is not None:
        assert not set(first.groups or ()) & set(second.groups or ()), "a group was parted"
    for name in items.labels:
        parts = [set(p.labels[name]) for p in items.split(0.5, seed=3, by=f"label:{name}")]
        assert not parts[0] & parts[1], f"items of one {name} were parted"
    with pytest.raises(UnknownNameError):
        items.subset(["no such item"])
    with pytest.raises(InputError, match="fraction"):
        items.split(1.5)


@law()
def what_it_says_of_its_making_makes_it_again(kind: Kind, folder: Path) -> None:
    items = example(kind, folder).load()
    assert items.source.startswith(f"{kind.name}(")
    assert load_dataset(items.source).fingerprint == items.fingerprint


@law()
def another_process_gives_the_same_items_under_the_same_ids(kind: Kind, folder: Path) -> None:
    items = example(kind, folder).load()
    code = (
        "import json, sys; from isomorph.datasets import load_dataset; items = load_dataset(sys.argv[1]);"
        "print(json.dumps([items.ids, items.fingerprint]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, items.source],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": "12345"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert json.loads(done.stdout) == [list(items.ids), items.fingerprint]


@law()
def leaving_out_what_is_bad_leaves_what_is_good(kind: Kind, folder: Path) -> None:
    dataset = example(kind, folder)
    careful = dataset.skipping_bad()
    assert type(careful) is kind
    assert content(careful.load()) == content(dataset.load())
