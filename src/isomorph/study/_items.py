"""The items of a study, and whether every table of it can be answered with them: before any is encoded."""

from __future__ import annotations

from collections.abc import Sequence

from ..atlases import AtlasSettings, domains_of
from ..concept_maps import COMPUTED, label_sets, read_columns, read_covariates
from ..conditions import check_shifts, design_of
from ..datasets import GROUPS, MEASURES, PairedItems, load_dataset
from ..errors import InputError, UnknownNameError
from ._entries import AtlasEntry, ConceptEntry, ScanEntry
from ._file import Study


def items_of(study: Study) -> PairedItems:
    """The items, once all that is asked can be asked of them: permutations, label sets, targets.

    Raises:
        InputError: if they cannot be permuted as a table asks for, or lack its label sets.
        UnknownNameError: if a fusion's target is neither a label set nor an encoder.
    """
    items = load_dataset(study.items, skip_bad=study.skip_bad)
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
