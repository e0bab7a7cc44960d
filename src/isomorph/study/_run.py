"""Running a study: every step whose result is there and current is skipped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .._core.checks import check_flag
from .._core.progress import notice
from .._core.provenance import fingerprint, versions
from .._core.settings import Settings
from ..conditions import check_shifts, design_of
from ..datasets import GROUPS, PairedItems, load_dataset
from ..design import named
from ..diagnosis import diagnose
from ..encoders import Encoder, load_encoder
from ..encoders._state import state_fingerprint
from ..errors import InputError, UnknownNameError
from ..extraction import extract, input_statistics
from ..fusion import fuse
from ..matching import blind_match, one_layer, truth_by_id
from ..networks import read_data, read_network, stitch_networks
from ..reporting import report as write_report
from ..results import BlindMatch, Diagnosis, Fusion, NetworkStitch, Scan, Stitch, load_result
from ..scanning import scan
from ..stitching import stitch
from ..store import Layers, choose_view
from ._entries import EncoderEntry, FusionEntry, MatchEntry, NetworksEntry, ScanEntry, StitchEntry
from ._file import Study

TWIN = "untrained"
INPUTS = "inputs"
R = TypeVar("R", Scan, Stitch, Diagnosis, BlindMatch, NetworkStitch, Fusion)
_Features = dict[tuple[str, str], Layers]  # (encoder's name, "pretrained" | "random" | INPUTS) -> features


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
    items = _items(study)
    steps = [Step(f"items {study.items}", "done", f"{len(items)} items, views {', '.join(items.views)}")]
    rate, current = _rate(), True
    depth: dict[tuple[str, str], int] = {}
    for encoder_entry, init in _runs(study):
        encoder = _load(study, encoder_entry, init)
        view = choose_view(encoder, items, encoder_entry.settings.view)
        missing = len(study.store.missing(encoder, items, view=view, storage=encoder_entry.settings.storage))
        depth[encoder_entry.name, init] = len(encoder.layers)
        label = f"extract {encoder_entry.name}{'' if init == 'pretrained' else f' ({TWIN})'} from {view!r}"
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
            size = f"{pairs} layer pairs, {_specs(entry.settings.metrics)}, {entry.settings.permutations} permutations"
            products = pairs * variants * len(entry.settings.metrics) * (entry.settings.permutations + 1)
            seconds = products * 2.0 * len(items) ** 2 * _PASSES / rate
        else:
            name = f"stitch {entry.x} → {entry.y}"
            s = entry.settings
            size = f"{pairs} layer pairs, {_specs(s.maps)}, {s.repeats} splits by {s.by}"
            seconds = pairs * variants * s.repeats * len(s.maps) * len(items) ** 3 * _PASSES / rate
        steps.append(Step(name, "done if unchanged" if done else "to do", size, 0.0 if done else seconds))
    others: list[MatchEntry | NetworksEntry | FusionEntry] = [*study.matches, *study.networks, *study.fusions]
    for other in others:
        done = current and (study.output / other.file).exists()
        label, size = other.file.removesuffix(".json"), ""
        if isinstance(other, FusionEntry):
            heads = ", ".join(h.spec for h in other.settings.heads)
            label, size = f"fuse {other.name}", f"{heads}; {other.settings.repeats} splits by {other.settings.by}"
        steps.append(Step(label, "done if unchanged" if done else "to do", size, None))
    if study.diagnose is not None:
        steps.append(Step("diagnose", "to do", f"{len(study.scans)} pairs"))
    steps.append(Step("report", "to do", str(study.page)))
    return steps


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
    items = _items(study)
    say(f"{len(items)} items of {study.items}")
    features: _Features = {}
    for entry, init in _runs(study):
        encoder = _load(study, entry, init)
        view = choose_view(encoder, items, entry.settings.view)
        missing = len(study.store.missing(encoder, items, view=view, storage=entry.settings.storage))
        state = f"{missing} of {len(items)} items to encode" if missing else "all features are there"
        say(f"{encoder.name} on {view!r}: {state}")
        features[entry.name, init] = extract(
            encoder,
            items,
            store=study.store,
            **_given(dataclasses.replace(entry.settings, view=view)),
        )
        if entry.inputs and init == "pretrained":
            features[entry.name, INPUTS] = input_statistics(items, view).subset(features[entry.name, init].ids)
    work = _Work(study, items, features, force, say)
    scans = tuple(work.scan(entry) for entry in study.scans)
    stitches = tuple(work.stitch(entry) for entry in study.stitches)
    fusions = tuple(work.fuse(entry) for entry in study.fusions)
    diagnoses = tuple(
        work.diagnose(e, s, stitches, fusions)
        for e, s in zip(study.scans, scans, strict=True)
        if study.diagnose is not None
    )
    matches = tuple(work.match(entry) for entry in study.matches)
    networks = tuple(work.networks(entry) for entry in study.networks)
    settings = {"study": study.text, "command": f"isomorph run STUDY.toml --output {study.output}"}
    results = [*scans, *stitches, *fusions, *diagnoses, *matches, *networks]
    page = write_report(results, to=study.page, items=items, title=study.title, study=settings)
    return Outcome(page, scans, stitches, diagnoses, matches, networks, fusions)


@dataclasses.dataclass(frozen=True)
class _Work:
    """The steps that follow extraction, each skipped if its result is there and current."""

    study: Study
    items: PairedItems
    features: _Features
    force: bool
    say: Callable[[str], None]

    def scan(self, entry: ScanEntry) -> Scan:
        x, y, baselines = self._sides(entry)
        label = f"{entry.x} × {entry.y}: {len(x)} × {len(y)} layers, {_specs(entry.settings.metrics)}"

        def make() -> Scan:
            result = scan(
                x,
                y,
                x_baselines=baselines[0],
                y_baselines=baselines[1],
                x_ceilings=self._ceilings(entry.x_ceilings),
                y_ceilings=self._ceilings(entry.y_ceilings),
                items=self.items,
                **_given(entry.settings),
            )
            return dataclasses.replace(result, dataset=self.study.items)

        return self._kept(Scan, entry.file, self._facts(entry), label, make)

    def stitch(self, entry: StitchEntry) -> Stitch:
        x, y, baselines = self._sides(entry)
        label = f"{entry.x} → {entry.y}: {_specs(entry.settings.maps)}, held out by {entry.settings.by}"

        def make() -> Stitch:
            untrained = [{k: v for k, v in b.items() if k == TWIN} for b in baselines]
            return stitch(
                x,
                y,
                x_baselines=untrained[0],
                y_baselines=untrained[1],
                x_ceilings=self._ceilings(entry.x_ceilings),
                y_ceilings=self._ceilings(entry.y_ceilings),
                items=self.items,
                **_given(entry.settings),
            )

        return self._kept(Stitch, entry.file, self._facts(entry), label, make)

    def diagnose(
        self, entry: ScanEntry, found: Scan, stitches: Sequence[Stitch], fusions: Sequence[Fusion]
    ) -> Diagnosis:
        """Signatures of one pair, by its scan, its first stitch and the first fusion of both its encoders."""
        settings = self.study.diagnose
        assert settings is not None  # asked for
        x, y, _ = self._sides(entry)
        wanted = [s for e, s in zip(self.study.stitches, stitches, strict=True) if (e.x, e.y) == (entry.x, entry.y)]
        used = next((s for s in wanted), None)
        joined = (
            f for e, f in zip(self.study.fusions, fusions, strict=True) if {entry.x, entry.y} <= set(e.spaces.values())
        )
        fused = next(joined, None)
        facts = [found.to_json(), "" if used is None else used.to_json(), settings.facts()]
        facts += [] if fused is None else [fused.to_json()]
        label = f"{entry.x} × {entry.y}: failure signatures"
        file = entry.file.replace("scan", "diagnosis", 1)
        return self._kept(
            Diagnosis,
            file,
            facts,
            label,
            lambda: diagnose(x, y, scan=found, stitch=used, fusion=fused, **_given(settings)),
        )

    def match(self, entry: MatchEntry) -> BlindMatch:
        sides = [
            one_layer(layers, layer or [*layers][-1], which)
            for which, layers, layer in (
                ("x", self.features[entry.x, "pretrained"], entry.x_layer),
                ("y", self.features[entry.y, "pretrained"], entry.y_layer),
            )
        ]
        x, y = sides[0].join(sides[1])
        facts = [x.provenance, y.provenance, [*x, *y], entry.by, entry.settings.facts()]
        facts.append([self.items.labels.get(entry.by)] if entry.by else [])

        def make() -> BlindMatch:
            left, right = (s if entry.by is None else self._means(s, entry.by) for s in (x, y))
            truth = truth_by_id(left, right)
            return blind_match(left, right, truth=truth, x_name=x.encoder, y_name=y.encoder, **_given(entry.settings))

        what = "items" if entry.by is None else f"means of {entry.by}"
        return self._kept(BlindMatch, entry.file, facts, f"match {entry.x} × {entry.y}: {what}", make)

    def _means(self, layers: Layers, by: str) -> Layers:
        """Class means, one a label.

        Raises:
            UnknownNameError: if the items have no such labels.
        """
        if by not in self.items.labels:
            raise UnknownNameError("label set", by, self.items.labels)
        code, names = named(self.items.subset(layers.ids).labels[by], layers.n, by)
        means = {
            k: np.stack([np.asarray(v)[code == c].mean(axis=0) for c in range(len(names))]) for k, v in layers.items()
        }
        return Layers.from_arrays(means, names, encoder=layers.encoder, provenance=layers.provenance)

    def networks(self, entry: NetworksEntry) -> NetworkStitch:
        bottom, top, given = read_network(entry.bottom), read_network(entry.top), read_data(entry.data)
        facts = [state_fingerprint(bottom), state_fingerprint(top), given.content, entry.settings.facts()]

        def make() -> NetworkStitch:
            return stitch_networks(
                bottom,
                top,
                given.data,
                labels=given.labels,
                top_data=given.top_data,
                groups=given.groups,
                bottom_name=Path(entry.bottom).name,
                top_name=Path(entry.top).name,
                **_given(entry.settings),
            )

        label = f"networks {entry.name}: {len(entry.settings.cuts)} cuts"
        return self._kept(NetworkStitch, entry.file, facts, label, make)

    def fuse(self, entry: FusionEntry) -> Fusion:
        """Heads over the spaces; untrained twins of their encoders are controls where the study has them."""
        spaces = {space: self.features[name, "pretrained"] for space, name in entry.spaces.items()}
        seconds = {space: self.features[name, "pretrained"] for space, name in entry.seconds.items()}
        twins = {space: self.features[name, "random"] for space, name in entry.spaces.items()
                 if (name, "random") in self.features}  # fmt: skip
        wanted: Any = entry.target if len(entry.target) > 1 else entry.target[0]
        sources = [spaces, seconds, twins]
        if not _labels_of(self.items, entry.target):  # an encoder, then
            spaces, wanted = self._rows(entry, spaces)
            sources.append({"target": wanted})
        facts = [
            [{k: [v.provenance, [*v]] for k, v in some.items()} for some in sources],
            [entry.target, entry.target_layer, entry.settings.facts()],
            [self.items.groups, self.items.labels],
        ]

        def make() -> Fusion:
            return fuse(
                spaces,
                wanted,
                items=self.items,
                target_name=" + ".join(entry.target),
                baselines=twins,
                seconds=seconds,
                **_given(entry.settings),
            )

        label = f"fuse {entry.name}: {_specs(entry.settings.heads)}, held out by {entry.settings.by}"
        return self._kept(Fusion, entry.file, facts, label, make)

    def _rows(self, entry: FusionEntry, spaces: Mapping[str, Layers]) -> tuple[dict[str, Layers], Layers]:
        """The spaces, and the one whose rows are to be found, with the same items in the same order."""
        given = self.features[entry.target[0], "pretrained"]
        goal = one_layer(given, entry.target_layer or [*given][-1], "target")
        for space in spaces.values():
            goal, _ = goal.join(space)
        return {name: goal.join(space)[1] for name, space in spaces.items()}, goal

    def _ceilings(self, names: Sequence[str]) -> dict[str, Layers]:
        return {name: self.features[name, "pretrained"] for name in names}

    def _facts(self, entry: ScanEntry | StitchEntry) -> list[Any]:
        """All that the result depends on: the sides, everything beside them, and every setting of the verb."""
        ceilings = [
            {name: layers.provenance for name, layers in self._ceilings(names).items()}
            for names in (entry.x_ceilings, entry.y_ceilings)
        ]
        return [self._inputs(entry), entry.settings.facts(), ceilings]

    def _sides(self, entry: ScanEntry | StitchEntry) -> tuple[Layers, Layers, list[dict[str, Layers]]]:
        kinds = ((TWIN, "random"), (INPUTS, INPUTS))
        baselines = [
            {name: self.features[side, kind] for name, kind in kinds if (side, kind) in self.features}
            for side in (entry.x, entry.y)
        ]
        return self.features[entry.x, "pretrained"], self.features[entry.y, "pretrained"], baselines

    def _inputs(self, entry: ScanEntry | StitchEntry) -> list[Any]:
        x, y, baselines = self._sides(entry)
        return [
            x.provenance,
            y.provenance,
            *({k: v.provenance for k, v in b.items()} for b in baselines),
            [self.items.groups, self.items.labels],
        ]

    def _kept(self, kind: type[R], file: str, facts: Sequence[Any], label: str, make: Callable[[], R]) -> R:
        """The saved result if it was made from the same facts by the same versions, else a new one, saved."""
        made_by = {k: v for k, v in versions().items() if k in ("isomorph", "numpy", "scipy", "scikit-learn")}
        key = fingerprint([list(facts), made_by])
        path = self.study.output / file
        if path.exists() and not self.force:
            try:
                old = load_result(path)
            except InputError:  # damaged, or of another version: it is made again below
                old = None
            if isinstance(old, kind) and old.provenance.get("study_key") == key:
                self.say(f"{label}: there and current")
                return old
        self.say(label)
        result = make()
        facts_of = {**result.provenance, "study_key": key, "command": "isomorph run STUDY.toml"}
        result = dataclasses.replace(result, provenance=facts_of)
        result.save(path)
        return result


def _given(settings: Settings) -> dict[str, Any]:
    """The settings as arguments of their verb."""
    return {name: getattr(settings, name) for name in settings.names()}


def _specs(kinds: Sequence[Any]) -> str:
    return ", ".join(kind.spec for kind in kinds)


def _items(study: Study) -> PairedItems:
    """The items, once every scan can permute them as it asks for and every target is there: before any is encoded.

    Raises:
        InputError: if one cannot.
        UnknownNameError: if a fusion's target is neither a label set nor an encoder.
    """
    items = load_dataset(study.items, skip_bad=study.skip_bad)
    for entry in study.scans:
        try:
            s = entry.settings
            design = design_of(
                items, None, len(items), groups=s.groups, strata=s.strata, circular=s.circular, within=s.within
            )
            check_shifts(design, len(items), s.alpha)
            design.orders(len(items), min(s.permutations, len(items)), 0)
        except InputError as error:
            raise InputError(f"The scan {entry.x} × {entry.y}: {error}") from error
    for fusion in study.fusions:
        known = [*items.labels, *(["group"] if items.groups is not None else []), *study.encoders]
        for name in fusion.target:
            if not _labels_of(items, (name,)) and (name not in study.encoders or len(fusion.target) > 1):
                raise UnknownNameError(f"target of the fusion of {' + '.join(fusion.spaces)}", name, known)
    return items


def _labels_of(items: PairedItems, names: Sequence[str]) -> bool:
    """Whether the items have label sets of these names, or groups where these are meant."""
    grouped = ("group", GROUPS) if items.groups is not None and len(names) == 1 else ()
    return all(name in items.labels or name in grouped for name in names)


def _runs(study: Study) -> list[tuple[EncoderEntry, str]]:
    """Every extraction: each encoder, followed by its untrained twin where asked for."""
    return [(e, init) for e in study.encoders.values() for init in ["pretrained", *(["random"] if e.untrained else [])]]


def _load(study: Study, entry: EncoderEntry, init: str) -> Encoder:
    extra = {"init": init, "seed": study.seed} if init == "random" else {}
    try:
        return load_encoder(entry.model, store=study.store.root, **{**entry.options, **extra})
    except TypeError as error:
        raise InputError(f"encoders.{entry.name}: {error}.") from error


_TOKENS = {"text": 16, "image": 257, "audio": 1500}  # typical tokens of an item
_PASSES = 8.0  # how much slower than a plain product gathering, ranking and decomposing are, roughly


def _pairs(study: Study, entry: ScanEntry | StitchEntry, depth: Mapping[tuple[str, str], int]) -> tuple[int, int]:
    """Number of layer pairs, and of scans: the one asked for and those of the baselines and ceilings."""
    pairs = depth[entry.x, "pretrained"] * depth[entry.y, "pretrained"]
    sides = [study.encoders[n] for n in (entry.x, entry.y)]
    ceilings = len(entry.x_ceilings) + len(entry.y_ceilings)
    return pairs, 1 + sum(e.untrained + e.inputs for e in sides) + ceilings


def _rate() -> float:
    """Operations a second of a plain float32 product, measured here and now."""
    import time

    a = np.ones((1024, 1024), dtype=np.float32)
    a @ a  # the first product wakes the threads
    start = time.perf_counter()
    for _ in range(3):
        a @ a
    return 3 * 2 * 1024**3 / (time.perf_counter() - start)
