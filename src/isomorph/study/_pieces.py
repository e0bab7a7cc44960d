"""The pieces of a study that may be done elsewhere: ranges of items of one encoder, and steps."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from .._core.progress import progress
from ..datasets import PairedItems
from ..encoders import Encoder
from ..errors import InputError
from ..extraction import Extraction, extract, input_statistics
from ..results import Atlas, Scan
from ..store import choose_view
from ..workers import RayWorkers
from ._encoders import Run, extractions
from ._file import Study
from ._items import items_of
from ._sides import load_sides
from ._steps import INPUTS, Features, Step, Steps, given_settings


def features_of(
    study: Study, items: PairedItems, runs: Sequence[Run], share: tuple[int, int] | None = None
) -> Features:
    """Every side of the study, extracted where it is not there; no model is loaded whose features are all there."""
    features: Features = {(name, "pretrained"): side for name, side in load_sides(study.sides, items).items()}
    for run in runs:
        encoder = run.load() if run.missing(items) else run.told
        settings = dataclasses.replace(run.entry.settings, view=run.view(items))
        made = extract(encoder, items, store=study.store, share=share, **given_settings(settings))
        del encoder  # before the next is loaded: two models may not fit
        features[run.entry.name, run.init] = made
        if run.entry.inputs and run.init == "pretrained":
            features[run.entry.name, INPUTS] = input_statistics(items, run.view(items)).subset(made.ids)
    return features


# ---- ranges of items ------------------------------------------------------------------------------------------------


class Encodings:
    """The extractions of a study where they are computed; one model is held at a time.

    Args:
        study: The study; its store is shared.
        keys: What tells every entry of the store, as it is to be, from all others.
    """

    def __init__(self, study: Study, keys: tuple[str, ...]) -> None:
        self.study, self.keys = study, keys
        self._held: tuple[int, Extraction] | None = None

    def __reduce__(self) -> Any:
        return Encodings, (self.study, self.keys)

    @cached_property
    def items(self) -> PairedItems:
        """The items, as they are here."""
        return items_of(self.study)

    def extraction(self, number: int) -> Extraction:
        """One of them.

        Raises:
            InputError: if what is here is not what was planned.
        """
        if self._held is None or self._held[0] != number:
            self._held = None  # two models may not fit
            run = extractions(self.study)[number]
            made = extraction_of(self.study, self.items, run, run.load())
            if made.entry.path.name != self.keys[number]:
                raise InputError(
                    f"encoders.{run.entry.name}: on {socket.gethostname()} its weights, its packages or the items are "
                    "not those of the machine that runs the study: the features would be others. Install the same "
                    "versions and put the same files there."
                )
            self._held = number, made
        return self._held[1]


def extraction_of(study: Study, items: PairedItems, run: Run, encoder: Encoder) -> Extraction:
    """One extraction of a study with a shared store."""
    settings = dataclasses.replace(run.entry.settings, view=choose_view(encoder, items, run.entry.settings.view))
    return Extraction(encoder, items, study.store, settings, progress=False)


def encode(work: Encodings, piece: tuple[int, int, int]) -> int:
    """Compute and commit one range of one extraction; how many items that was."""
    return work.extraction(piece[0]).compute([piece[1]])


def encode_on(workers: RayWorkers, study: Study, items: PairedItems, runs: Sequence[Run]) -> None:
    """Compute all features that are missing."""
    pieces: list[tuple[int, int, int]] = []
    keys = []
    for number, run in enumerate(runs):
        one = extraction_of(study, items, run, run.told)
        ranges = one.ranges()
        pieces += [(number, k, len(ranges[k])) for k in one.missing()]
        keys.append(one.entry.path.name)
        del one  # and the model that it may have asked for the order of texts
    if not pieces:
        return
    work = Encodings(study, tuple(keys))
    total = sum(size for _, _, size in pieces)
    with progress(total, f"features of {len({k for k, _, _ in pieces})} encoders") as advance:
        for p, _ in workers.run(encode, work, pieces, alike=_encoder):
            advance(pieces[p][2])


def _encoder(piece: tuple[int, int, int]) -> int:
    return piece[0]


# ---- steps ----------------------------------------------------------------------------------------------------------


class Makings:
    """The steps of a study where they are made, of features that are all there.

    Args:
        study: The study.
        runs: Its extractions, as their encoders told them: no model is loaded where features are only read.
        found: File -> result of the steps that others read; empty for those that read features only.
    """

    def __init__(self, study: Study, runs: Sequence[Run], found: Mapping[str, Any]) -> None:
        self.study, self.runs, self.found = study, runs, found

    def __reduce__(self) -> Any:
        return Makings, (self.study, self.runs, self.found)

    @cached_property
    def steps(self) -> dict[str, Step[Any]]:
        """File -> step."""
        items = items_of(self.study)
        steps = Steps(self.study, items, features_of(self.study, items, self.runs), _silent)
        return {step.file: step for step in (steps.diagnoses(self.found) if self.found else steps.first())}


def make(work: Makings, file: str) -> Any:
    """The result of one step."""
    return work.steps[file].make()


def whole(steps: Sequence[Step[Any]], workers: int) -> list[Step[Any]]:
    """The steps that are one piece each.

    An atlas is many, and so are scans where there are fewer steps than workers: their verbs give them out themselves.
    """
    single = [step for step in steps if step.kind is not Atlas]
    return [step for step in single if step.kind is not Scan or len(single) >= workers]


def _silent(_: str) -> None:
    """The process that runs the study says what is done."""
