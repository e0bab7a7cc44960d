"""Running a study: every step whose result is there and current is skipped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .._core.checks import check_flag
from .._core.progress import notice
from ..datasets import PairedItems
from ..encoders import Encoder, load_encoder
from ..errors import InputError
from ..extraction import extract, input_statistics
from ..reporting import report as write_report
from ..results import (
    Atlas,
    BlindMatch,
    ConceptMap,
    Diagnosis,
    Fusion,
    Migration,
    NetworkStitch,
    Scan,
    Stitch,
)
from ..store import choose_view
from ._entries import EncoderEntry
from ._file import Study
from ._items import items_of
from ._sides import load_sides
from ._steps import INPUTS, Features, Step, Steps, given_settings


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run of a study gave.

    Attributes:
        page: The report.
        scans: In the order of the study.
        stitches: In the order of the study.
        diagnoses: One for each scan, if the study asks for them.
        matches: In the order of the study.
        networks: In the order of the study.
        fusions: In the order of the study.
        atlases: In the order of the study.
        concepts: In the order of the study.
        migrations: In the order of the study.

    Example:
        >>> # after the example of `load_study`
        >>> found = iso.run(study, say=lambda line: None)
        >>> found.page.name, len(found.scans), found.stitches
        ('report.html', 1, ())
    """

    page: Path
    scans: tuple[Scan, ...]
    stitches: tuple[Stitch, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    matches: tuple[BlindMatch, ...] = ()
    networks: tuple[NetworkStitch, ...] = ()
    fusions: tuple[Fusion, ...] = ()
    atlases: tuple[Atlas, ...] = ()
    concepts: tuple[ConceptMap, ...] = ()
    migrations: tuple[Migration, ...] = ()

    @property
    def results(self) -> list[Any]:
        """All of them, in the order of the page."""
        parts: list[tuple[Any, ...]] = [self.scans, self.stitches, self.fusions, self.diagnoses, self.matches]
        parts += [self.networks, self.atlases, self.concepts, self.migrations]
        return [result for part in parts for result in part]


def run(study: Study, *, force: bool = False, say: Callable[[str], None] = notice) -> Outcome:
    """Do every step whose result is not there or not current; a second run computes nothing.

    Args:
        study: From `load_study`.
        force: Scan again even where the result is current (features are kept; delete the folder to redo them).
        say: Called with a line about each step.

    Raises:
        InputError: if `study` is none.
        IsomorphError: whatever a step finds wrong; what earlier steps committed is kept.

    Example:
        >>> # after the example of `load_study`
        >>> found = iso.run(study, say=lambda line: None)
        >>> found.page.name, round(found.scans[0]["cka"].best().value, 2)
        ('report.html', 0.54)
        >>> iso.run(study, say=print).scans[0].n  # a second run computes nothing
        60 items of arrays(paths='pets.npz')
        statistics:features on 'image': all features are there
        statistics:features on 'caption': all features are there
        vision × text: 1 × 1 layers, cka(estimator='unbiased'): there and current
        60
    """
    if not isinstance(study, Study):
        raise InputError(f"study= takes what iso.load_study(…) gives, found {type(study).__name__}.")
    check_flag(force, "force")
    items = items_of(study)
    say(f"{len(items)} items of {study.items}")
    steps = Steps(study, items, _features(study, items, say), say)
    found = _results(steps.first(), study, force, say)
    found |= _results(steps.diagnoses(found), study, force, say)
    outcome = Outcome(
        study.page, **{name: tuple(found[file] for file in files) for name, files in steps.files().items()}
    )
    settings = {"study": study.text, "command": f"isomorph run STUDY.toml --output {study.output}"}
    write_report(outcome.results, to=study.page, items=items, title=study.title, study=settings)
    return outcome


def _features(study: Study, items: PairedItems, say: Callable[[str], None]) -> Features:
    """Every side of the study, extracted where it is not there."""
    features: Features = {(name, "pretrained"): side for name, side in load_sides(study.sides, items).items()}
    for entry, init in runs(study):
        encoder = load(study, entry, init)
        view = choose_view(encoder, items, entry.settings.view)
        missing = len(study.store.missing(encoder, items, view=view, storage=entry.settings.storage))
        state = f"{missing} of {len(items)} items to encode" if missing else "all features are there"
        say(f"{encoder.name} on {view!r}: {state}")
        settings = dataclasses.replace(entry.settings, view=view)
        features[entry.name, init] = extract(encoder, items, store=study.store, **given_settings(settings))
        if entry.inputs and init == "pretrained":
            features[entry.name, INPUTS] = input_statistics(items, view).subset(features[entry.name, init].ids)
    return features


def _results(steps: Sequence[Step[Any]], study: Study, force: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """File -> result of every step, made where it is not there and current."""
    found: dict[str, Any] = {}
    for step in steps:
        old = None if force else step.current(study.output)
        if old is not None:
            say(f"{step.label}: there and current")
            found[step.file] = old
        else:
            say(step.label)
            found[step.file] = step.keep(step.make(), study.output)
    return found


def runs(study: Study) -> list[tuple[EncoderEntry, str]]:
    """Every extraction: each encoder, followed by its untrained twin where asked for."""
    return [(e, init) for e in study.encoders.values() for init in ["pretrained", *(["random"] if e.untrained else [])]]


def load(study: Study, entry: EncoderEntry, init: str) -> Encoder:
    extra = {"init": init, "seed": study.seed} if init == "random" else {}
    try:
        return load_encoder(entry.model, store=study.store.root, **{**entry.options, **extra})
    except TypeError as error:
        raise InputError(f"encoders.{entry.name}: {error}.") from error
