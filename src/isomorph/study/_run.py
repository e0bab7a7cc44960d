"""Running a study: every step whose result is there and current is skipped."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .._core.checks import check_flag
from .._core.progress import notice
from ..datasets import PairedItems
from ..errors import InputError
from ..extraction import check_share
from ..reporting import report as write_report
from ..results import Atlas, BlindMatch, ConceptMap, Diagnosis, Fusion, Migration, NetworkStitch, Scan, Stitch
from ..workers import RayWorkers, as_workers
from ._encoders import Run, extractions
from ._file import Study
from ._items import items_of
from ._pieces import Makings, encode_on, features_of, make, whole
from ._steps import Step, Steps


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


def run(
    study: Study,
    *,
    force: bool = False,
    on: str | RayWorkers | None = None,
    share: tuple[int, int] | None = None,
    say: Callable[[str], None] = notice,
) -> Outcome:
    """Do every step whose result is not there or not current; a second run computes nothing.

    Args:
        study: From `load_study`.
        force: Scan again even where the result is current (features are kept; delete the folder to redo them).
        on: Where: ``"ray"`` for workers of Ray on this machine, ``"ray://host:10001"`` for those of a cluster, or
            `isomorph.RayWorkers`; None does all in this process. Results and features are the same.
        share: ``(i, k)`` does the share i, from 0, of k that together are the whole, for k processes or hosts that run
            beside each other and see the same folders: ranges of items first, then steps. Steps wait for features of
            all shares, and the page for the results of all: run again without a share at the end, which computes
            what is still missing.
        say: Called with a line about each step.

    Raises:
        InputError: if `study` is none, or `on` or `share` does not fit it.
        MissingExtraError: if `on` needs Ray and it is not installed.
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
    if study.features.startswith("memory:") and (share is not None or on is not None):
        raise InputError(
            f"features={study.features!r} are in the memory of this process, where no other sees them: with on= or "
            "share= give a folder or an object store."
        )
    if share is not None:
        if on is not None:
            raise InputError("share= divides a study among processes, and on= among workers: give one of them.")
        study = dataclasses.replace(study, shared=True)
        check_share(share, study.store)
    if on is None:
        return _run(study, force, share, None, say)
    with as_workers(on) as workers:
        outcome = _run(dataclasses.replace(study, shared=True), force, None, workers, say)
        if not study.shared and not study.features:
            dataclasses.replace(study, shared=True).store.compact()  # the files that one process would have written
        return outcome


def _run(
    study: Study, force: bool, share: tuple[int, int] | None, workers: RayWorkers | None, say: Callable[[str], None]
) -> Outcome:
    items = items_of(study)
    say(f"{len(items)} items of {study.items}")
    runs = extractions(study)
    left = _tell_missing(items, runs, say)
    if workers is not None and left:
        encode_on(workers, study, items, runs)
    features = features_of(study, items, runs, share)
    if share is not None and (others := sum(run.missing(items) for run in runs)):
        say(f"{others} items of other shares are not encoded yet: run again for the steps that read them.")
        return Outcome(study.page, ())
    steps = Steps(study, items, features, say)
    found = _results(steps.first(), Makings(study, runs, {}), force, share, workers, say)
    made = {kind: tuple(found[f] for f in files if f in found) for kind, files in steps.files().items()}
    if len(found) < len(steps.first()):
        say("Steps of other shares are not there yet: run again without a share for the page.")
        return Outcome(study.page, **made)
    found |= _results(steps.diagnoses(found), Makings(study, runs, found), force, None, workers, say)
    made = {kind: tuple(found[file] for file in files) for kind, files in steps.files().items()}
    outcome = Outcome(study.page, **made)
    if share is None:
        settings = {"study": study.text, "command": f"isomorph run STUDY.toml --output {study.output}"}
        try:
            write_report(outcome.results, to=study.page, items=items, title=study.title, study=settings)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES) or not study.page.exists():
                raise
            # what is finished is read where nothing can be written
            say(f"{study.page} stays as it is: {error.strerror}.")
    return outcome


def _tell_missing(items: PairedItems, runs: Sequence[Run], say: Callable[[str], None]) -> int:
    """Say of every encoder how many items it has to encode; how many that is together."""
    total = 0
    for run in runs:
        missing = run.missing(items)
        state = f"{missing} of {len(items)} items to encode" if missing else "all features are there"
        say(f"{run.told.name} on {run.view(items)!r}: {state}")
        total += missing
    return total


def _results(
    steps: Sequence[Step[Any]],
    makings: Makings,
    force: bool,
    share: tuple[int, int] | None,
    workers: RayWorkers | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """File -> result of every step, made where it is not there and current; of a share those that it has."""
    found: dict[str, Any] = {}
    todo: list[Step[Any]] = []
    for step in steps:
        old = None if force else step.current(makings.study.output)
        if old is not None:
            say(f"{step.label}: there and current")
            found[step.file] = old
        else:
            todo.append(step)
    if share is not None:
        todo = [step for number, step in enumerate(steps) if step in todo and number % share[1] == share[0]]
    if workers is not None:
        pieces = whole(todo, workers.size)
        for step in pieces:
            say(step.label)
        for number, made in workers.run(make, makings, [step.file for step in pieces]):
            found[pieces[number].file] = pieces[number].keep(made, makings.study.output)
        todo = [step for step in todo if step not in pieces]
    for step in todo:
        say(step.label)
        found[step.file] = step.keep(step.make(), makings.study.output)
    return found
