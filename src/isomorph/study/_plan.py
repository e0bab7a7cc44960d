"""What a run of a study would do, with sizes and estimated times."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from ._encoders import extractions
from ._entries import (
    AtlasEntry,
    ConceptEntry,
    FusionEntry,
    MatchEntry,
    MigrationEntry,
    NetworksEntry,
    ScanEntry,
    StitchEntry,
)
from ._file import Study
from ._items import items_of
from ._sides import load_sides
from ._steps import TWIN, specs

_TOKENS = {"text": 16, "image": 257, "audio": 1500}  # typical tokens of an item
_PASSES = 8.0  # how much slower than a plain product gathering, ranking and decomposing are, roughly


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a plan.

    Attributes:
        name: What is done.
        state: ``"done"`` if its result is there and current, else ``"to do"``.
        size: How much, in words.
        seconds: Estimated seconds, or None if it cannot be told before the first batch.

    Example:
        >>> # after the example of `load_study`
        >>> step = plan(study)[-1]
        >>> step.name, step.state
        ('report', 'to do')
    """

    name: str
    state: str
    size: str
    seconds: float | None = None


def plan(study: Study) -> list[Step]:
    """What a run would do, with sizes and estimated times; nothing is computed but the items.

    Raises:
        InputError: if the items or a model do not fit, or the items cannot be permuted as a scan asks for.
        FetchError: if a package or hub that they come from cannot be reached.

    Example:
        >>> # after the example of `load_study`
        >>> [(step.name.split(" ")[0], step.state) for step in plan(study)]
        [('items', 'done'), ('extract', 'to do'), ('extract', 'to do'), ('scan', 'to do'), ('report', 'to do')]
    """
    items = items_of(study)
    steps = [Step(f"items {study.items}", "done", f"{len(items)} items, views {', '.join(items.views)}")]
    rate, current = _rate(), True
    depth = {(name, "pretrained"): len(side) for name, side in load_sides(study.sides, items).items()}
    for run in extractions(study):
        encoder, missing = run.told, run.missing(items)
        depth[run.entry.name, run.init] = len(encoder.layers)
        label = f"extract {run.entry.name}{'' if run.init == 'pretrained' else f' ({TWIN})'} from {run.view(items)!r}"
        weights = f"{encoder.n_parameters / 1e6:.1f} M parameters"
        size = f"{missing} of {len(items)} items, {len(encoder.layers)} layers, {weights}"
        seconds = missing * 2.0 * encoder.n_parameters * _TOKENS.get(encoder.modality, 1) / rate
        steps.append(Step(label, "to do" if missing else "done", size, seconds))
        current = current and not missing
    entries: list[ScanEntry | StitchEntry] = [*study.scans, *study.stitches]
    for entry in entries:
        done = current and (study.output / entry.file).exists()
        pairs, variants = _pairs(study, entry, depth)
        if isinstance(entry, ScanEntry):
            name = f"scan {entry.x} × {entry.y}"
            size = f"{pairs} layer pairs, {specs(entry.settings.metrics)}, {entry.settings.permutations} permutations"
            products = pairs * variants * len(entry.settings.metrics) * (entry.settings.permutations + 1)
            seconds = products * 2.0 * len(items) ** 2 * _PASSES / rate
        else:
            name = f"stitch {entry.x} → {entry.y}"
            s = entry.settings
            size = f"{pairs} layer pairs, {specs(s.maps)}, {s.repeats} splits by {s.by}"
            seconds = pairs * variants * s.repeats * len(s.maps) * len(items) ** 3 * _PASSES / rate
        steps.append(Step(name, "done if unchanged" if done else "to do", size, 0.0 if done else seconds))
    others: list[MatchEntry | NetworksEntry | FusionEntry | AtlasEntry | ConceptEntry | MigrationEntry]
    others = [*study.matches, *study.networks, *study.fusions, *study.atlases, *study.concepts, *study.migrations]
    for other in others:
        done = current and (study.output / other.file).exists()
        label, size = other.file.removesuffix(".json"), ""
        effort: float | None = None  # not known of the others
        if isinstance(other, FusionEntry):
            heads = ", ".join(h.spec for h in other.settings.heads)
            label, size = f"fuse {other.name}", f"{heads}; {other.settings.repeats} splits by {other.settings.by}"
        if isinstance(other, AtlasEntry):
            size, effort = _atlas_size(other, depth, len(items), rate)
        if isinstance(other, MigrationEntry):
            label = f"fit_map {other.old} → {other.new}"
        if isinstance(other, ConceptEntry):
            label, (size, effort) = f"concepts {other.x} × {other.y}", _concepts_size(other, depth, len(items), rate)
        steps.append(Step(label, "done if unchanged" if done else "to do", size, 0.0 if done else effort))
    if study.diagnose is not None:
        steps.append(Step("diagnose", "to do", f"{len(study.scans)} pairs"))
    steps.append(Step("report", "to do", str(study.page)))
    return steps


def _pairs(study: Study, entry: ScanEntry | StitchEntry, depth: Mapping[tuple[str, str], int]) -> tuple[int, int]:
    """Number of layer pairs, and of scans: the one asked for and those of the baselines and ceilings."""
    pairs = depth[entry.x, "pretrained"] * depth[entry.y, "pretrained"]
    sides = [study.encoders[n] for n in (entry.x, entry.y) if n in study.encoders]
    ceilings = len(entry.x_ceilings) + len(entry.y_ceilings)
    return pairs, 1 + sum(e.untrained + e.inputs for e in sides) + ceilings


def _atlas_size(entry: AtlasEntry, depth: Mapping[tuple[str, str], int], n: int, rate: float) -> tuple[str, float]:
    """How much an atlas compares, in words, and about how many seconds that takes."""
    own = sum(depth[name, "pretrained"] for name in entry.models)
    twins = sum(depth.get((name, "random"), 0) for name in entry.models) if entry.baselines else 0
    s = entry.settings
    size = f"{len(entry.models)} models of {own} layers"
    size += f" and their untrained twins of {twins}" if twins else ""
    size += f", {specs(s.metrics)}, {s.permutations} permutations"
    rounds = s.permutations + 1 + 2 * s.splits * (1 + 50 / 4)  # halves have a quarter of the pairs of items
    return size, len(s.metrics) * rounds * own * (own + twins) * float(n) ** 2 / rate


def _concepts_size(entry: ConceptEntry, depth: Mapping[tuple[str, str], int], n: int, rate: float) -> tuple[str, float]:
    """How much a map of concepts compares, in words, and about how many seconds that takes."""
    own, other = (depth[name, "pretrained"] for name in (entry.x, entry.y))
    s = entry.settings
    ceilings = len(entry.x_ceilings) + len(entry.y_ceilings)
    size = f"{own * other} layer pairs, {s.metric.spec}, {s.permutations} permutations, {ceilings} ceilings"
    pairs = own * other + sum(depth[name, "pretrained"] for name in (*entry.x_ceilings, *entry.y_ceilings))
    return size, (s.folds * pairs + s.permutations + 100 * ceilings) * 2.0 * float(n) ** 2 * _PASSES / rate


def _rate() -> float:
    """Operations a second of a plain float32 product, measured here and now."""
    import time

    a = np.ones((1024, 1024), dtype=np.float32)
    a @ a  # the first product wakes the threads
    start = time.perf_counter()
    for _ in range(3):
        a @ a
    return 3 * 2 * 1024**3 / (time.perf_counter() - start)
