"""The contract of every registered dataset; the laws are in `dataset_laws.py`.

A new dataset is one file of `isomorph/datasets/`, with an example of its own: `Dataset.example`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from isomorph.datasets import REGISTRY, Dataset, load_dataset
from isomorph.errors import FetchError, InputError

from .dataset_laws import DATASETS
from .laws import Law


@pytest.mark.parametrize(("kind", "law"), list(DATASETS.cases(REGISTRY.classes)))
def test_a_dataset_keeps_the_law(kind: type[Dataset], law: Law, tmp_path: Path) -> None:
    try:
        law(kind, tmp_path)
    except FetchError as error:
        if "is not the file that is pinned" in str(error):
            raise
        pytest.skip(str(error))  # its data are in the package registry, which cannot be reached


@pytest.mark.parametrize("name", REGISTRY.classes)
def test_an_unknown_parameter_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(InputError, match="no_such_parameter") as refused:
        load_dataset(f"{name}(no_such_parameter=1)")
    for field in dataclasses.fields(REGISTRY.classes[name]):  # type: ignore[arg-type]  # a law says that it is one
        assert field.name in str(refused.value)
