"""Paired items: one file a source, one frozen dataclass a dataset."""

from __future__ import annotations

from .._core.checks import check_flag
from .._core.registry import Registry
from ._annotations import GROUPS, matching, read_labels
from ._base import Dataset, PairedItems
from ._covariates import MEASURES, measured
from ._perturbed import PERTURBATIONS, PerturbedView, perturbed
from ._views import Audio, FileView, MemoryView, View, as_view
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
    dataset = REGISTRY.make(spec)
    return (dataset.skipping_bad() if skip_bad else dataset).load()


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
