"""Paired items: one file a source, one frozen dataclass a dataset."""

from __future__ import annotations

import os
from pathlib import Path

from .._core.checks import check_flag
from .._core.featurefiles import ENDINGS
from .._core.registry import Registry
from ..errors import InputError
from ._annotations import GROUPS, matching, read_labels
from ._base import Dataset, PairedItems
from ._covariates import MEASURES, measured
from ._perturbed import PERTURBATIONS, PerturbedView, perturbed
from ._tables import TABLES
from ._views import Audio, FileView, MemoryView, View, as_view
from .huggingface import is_hub_id, is_saved
from .table import read_column, read_columns

REGISTRY: Registry[Dataset] = Registry("dataset", __name__, Dataset, "isomorph.datasets")


def load_dataset(spec: str, *, skip_bad: bool = False) -> PairedItems:
    """The paired items that a spec names, such as ``"emoji(n=1000, seed=0)"`` or ``"table(path='pairs.csv')"``.

    Args:
        spec: Name and parameters of a dataset.
        skip_bad: Leave out items that cannot be used, where the dataset has a choice, as a `table` has; the same as
            ``skip_bad=True`` in its spec.

    Raises:
        UnknownNameError: if there is no such dataset; the nearest names are suggested.
        InputError: if the spec or the data does not fit.
        FetchError: if a package that carries the data cannot be had.

    Example:
        >>> from pathlib import Path
        >>> import isomorph as iso
        >>> _ = Path("pets.csv").write_text('''id,caption,name,label
        ... 1,a cat,cat,pet
        ... 2,a cow,cow,farm''')
        >>> iso.load_dataset("table(path='pets.csv')")
        PairedItems(pets: 2 items; views caption (text), name (text); labels label)
    """
    check_flag(skip_bad, "skip_bad")
    _refuse_path(spec)
    dataset = REGISTRY.make(spec)
    return (dataset.skipping_bad() if skip_bad else dataset).load()


def _refuse_path(spec: object) -> None:
    """Say which spec reads a file or folder, where its path was given in place of a spec.

    Raises:
        InputError: if that is so.
    """
    if not isinstance(spec, str | os.PathLike):
        return
    text = os.fspath(spec)
    if isinstance(text, str) and (form := text.partition("(")[0].strip()) in {ending[1:] for ending in TABLES}:
        raise InputError(f"Files of {form} are read by table: load_dataset(\"table(path='data.{form}')\").")
    if not isinstance(text, str) or "(" in text or "\0" in text or len(text) > 1000 or text in REGISTRY.classes:
        return
    path = Path(text).expanduser()
    kind, there = path.suffix.lower(), os.path.lexists(path)
    if not there and "/" not in text and kind not in (*TABLES, *ENDINGS, ".tar"):
        return
    by = "table" if kind in TABLES else "features" if kind in ENDINGS else "folder"
    by = "webdataset" if kind == ".tar" else "huggingface" if is_saved(path) else by
    found = "is a path" if there else "is a path at which there is nothing"
    given = {"features": "paths", "webdataset": "urls"}.get(by, "path")
    hub = text.removeprefix("https://huggingface.co/datasets/")
    more = f" A dataset of the hub is read by load_dataset({f'huggingface({hub!r})'!r})." if is_hub_id(hub) else ""
    raise InputError(
        f"{text} {found}; a dataset is named by what reads it: load_dataset({f'{by}({given}={text!r})'!r})."
        f"{more if not there and not kind else ''}"
    )


__all__ = [
    "GROUPS",
    "MEASURES",
    "PERTURBATIONS",
    "REGISTRY",
    "Audio",
    "Dataset",
    "FileView",
    "MemoryView",
    "PairedItems",
    "PerturbedView",
    "View",
    "as_view",
    "load_dataset",
    "matching",
    "measured",
    "perturbed",
    "read_column",
    "read_columns",
    "read_labels",
]
