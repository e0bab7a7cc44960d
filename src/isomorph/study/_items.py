"""The items of a study, and whether every table of it can be answered with them: before any is encoded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..atlases import AtlasSettings, domains_of
from ..concept_maps import COMPUTED, label_sets, read_columns, read_covariates
from ..conditions import check_shifts, design_of
from ..datasets import GROUPS, MEASURES, PairedItems, load_dataset
from ..datasets import REGISTRY as DATASETS
from ..errors import InputError, UnknownNameError
from ._entries import AtlasEntry, ConceptEntry, ScanEntry
from ._file import Study


def items_of(study: Study) -> PairedItems:
    """The items, once all that is asked can be asked of them: permutations, label sets, targets.

    Raises:
        InputError: if they cannot be permuted as a table asks for, or lack its label sets.
        UnknownNameError: if a fusion's target is neither a label set nor an encoder.
    """
    items = _loaded(study)
    permuted: list[ScanEntry | AtlasEntry | ConceptEntry] = [*study.scans, *study.atlases, *study.concepts]
    for entry in permuted:
        try:
            _check(entry, items)
        except InputError as error:
            what = {ScanEntry: "scan", ConceptEntry: "map of concepts", AtlasEntry: "atlas"}[type(entry)]
            of = f" {entry.name}".rstrip() if isinstance(entry, AtlasEntry) else f" {entry.x} × {entry.y}"
            raise InputError(f"The {what}{of}: {error}") from error
    for fusion in study.fusions:
        known = [*items.labels, *(["group"] if items.groups is not None else []), *study.encoders]
        for name in fusion.target:
            if not has_labels(items, (name,)) and (name not in study.encoders or len(fusion.target) > 1):
                raise UnknownNameError(f"target of the fusion of {' + '.join(fusion.spaces)}", name, known)
    return items


def _loaded(study: Study) -> PairedItems:
    """The items, paths of which are relative to the study's folder, wherever it is run from."""
    if study.folder == Path.cwd():
        return load_dataset(study.items, skip_bad=study.skip_bad)
    dataset: Any = DATASETS.make(study.items)
    placed: dict[str, str] = {}  # where -> as it was written
    for name in {"path", "paths", "urls"} & {f.name for f in dataclasses.fields(dataset)}:
        value = _placed(getattr(dataset, name), study.folder, placed)
        dataset = dataclasses.replace(dataset, **{name: value})
    items: PairedItems = (dataset.skipping_bad() if study.skip_bad else dataset).load()
    source = items.source
    for there, written in placed.items():
        source = source.replace(there, written)
    return dataclasses.replace(items, source=source)


def _placed(value: Any, folder: Path, placed: dict[str, str]) -> Any:
    """A path, or several, in the study's folder.

    Raises:
        InputError: if it is not there, but in the working directory.
    """
    if isinstance(value, Mapping):
        return {k: _placed(v, folder, placed) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_placed(v, folder, placed) for v in value)
    if not isinstance(value, str) or Path(value).expanduser().is_absolute() or "://" in value:
        return value
    there, first = folder / value, Path(value).parts[:1]
    pattern = any(mark in value for mark in "*?[{")
    if there.exists() or (pattern and (len(first) < 2 or (folder / first[0]).exists())):
        placed[str(there)] = value
        return str(there)
    if Path(value).exists():
        raise InputError(
            f"items: {value!r} is not in the study's folder, {folder}, which paths in a study are relative to. There "
            f"is one in the working directory; if that is meant, write {str(Path(value).absolute())!r}."
        )
    return value  # a name of a hub, or what the dataset says is missing


def _check(entry: ScanEntry | AtlasEntry | ConceptEntry, items: PairedItems) -> None:
    n, s = len(items), entry.settings
    circular, within = getattr(s, "circular", False), getattr(s, "within", True)  # concepts are of no series
    design = design_of(items, None, n, groups=s.groups, strata=s.strata, circular=circular, within=within)
    check_shifts(design, n, s.alpha)
    design.orders(n, min(s.permutations, n), 0)
    if isinstance(s, AtlasSettings):
        domains_of(s.domains, items, None, n, design=design, metrics=s.metrics, alpha=s.alpha)
    if isinstance(entry, ConceptEntry):
        label_sets(items, list(entry.labels) or None, n, items.ids)
        _check_covariates(entry, items)


def _check_covariates(entry: ConceptEntry, items: PairedItems) -> None:
    """Those that do not wait for features are made.

    Raises:
        InputError: if one is constant, or has gaps that are refused.
        UnknownNameError: if there is no such covariate.
    """
    known = {
        name: given
        for name, given in entry.covariates.items()
        if given != name or (plain := name.partition("(")[0].strip()) not in COMPUTED or plain in MEASURES
    }
    found = read_covariates(known, items=items, ids=items.ids, n=len(items))
    if found:
        read_columns(found, len(items), ids=items.ids, missing=entry.settings.missing)


def has_labels(items: PairedItems, names: Sequence[str]) -> bool:
    """Whether the items have label sets of these names, or groups where these are meant."""
    grouped = ("group", GROUPS) if items.groups is not None and len(names) == 1 else ()
    return all(name in items.labels or name in grouped for name in names)
