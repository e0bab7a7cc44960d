"""Paired items: one file a source, one frozen dataclass a dataset."""

from __future__ import annotations

from .._registry import Registry
from ._base import Audio, Dataset, FileView, MemoryView, PairedItems, View, as_view

REGISTRY: Registry[Dataset] = Registry("dataset", __name__, Dataset, "isomorph.datasets")


def load_dataset(spec: str) -> PairedItems:
    """The paired items that a spec names, such as ``"emoji(n=1000, seed=0)"`` or ``"table(path='pairs.csv')"``.

    Raises:
        UnknownNameError: if there is no such dataset; the nearest names are suggested.
        InputError: if the spec or the data does not fit.
        FetchError: if a package that carries the data cannot be had.
    """
    return REGISTRY.make(spec).load()


__all__ = ["REGISTRY", "Audio", "Dataset", "FileView", "MemoryView", "PairedItems", "View", "as_view", "load_dataset"]
