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
from ..atlases import LAYERS_FILE, atlas
from ..concept_maps import concepts
from ..datasets import PairedItems
from ..design import named
from ..diagnosis import diagnose
from ..encoders import Encoder, load_encoder
from ..encoders._state import state_fingerprint
from ..errors import InputError, UnknownNameError
from ..extraction import extract, input_statistics
from ..fusion import fuse
from ..matching import blind_match, one_layer, truth_by_id
from ..metrics.rdm import RDMs
from ..migration import fit_map
from ..networks import read_data, read_network, stitch_networks
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
    check_question,
    load_result,
)
from ..scanning import scan
from ..stitching import stitch
from ..store import Layers, choose_view
from ._entries import (
    AtlasEntry,
    ConceptEntry,
    EncoderEntry,
    FusionEntry,
    MatchEntry,
    MigrationEntry,
    NetworksEntry,
    ScanEntry,
    StitchEntry,
)
from ._file import Study
from ._items import has_labels, items_of
from ._sides import load_sides, origin

TWIN = "untrained"
INPUTS = "inputs"
R = TypeVar("R", Scan, Stitch, Diagnosis, BlindMatch, NetworkStitch, Fusion, Atlas, ConceptMap, Migration)
_Features = dict[
    tuple[str, str], Any
]  # Layers, or RDMs of a side: (encoder's name, "pretrained" | "random" | INPUTS) -> features


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
    features: _Features = {(name, "pretrained"): side for name, side in load_sides(study.sides, items).items()}
    for entry, init in runs(study):
        encoder = load(study, entry, init)
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
        if study.diagnose is not None and work.reads_features(e)
    )
    matches = tuple(work.match(entry) for entry in study.matches)
    networks = tuple(work.networks(entry) for entry in study.networks)
    atlases = tuple(work.atlas(entry) for entry in study.atlases)
    maps = tuple(work.concepts(entry) for entry in study.concepts)
    migrations = tuple(work.migrate(entry) for entry in study.migrations)
    settings = {"study": study.text, "command": f"isomorph run STUDY.toml --output {study.output}"}
    results = [*scans, *stitches, *fusions, *diagnoses, *matches, *networks, *atlases, *maps, *migrations]
    page = write_report(results, to=study.page, items=items, title=study.title, study=settings)
    return Outcome(page, scans, stitches, diagnoses, matches, networks, fusions, atlases, maps, migrations)


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
        label = f"{entry.x} × {entry.y}: {len(x)} × {len(y)} layers, {specs(entry.settings.metrics)}"

        def make() -> Scan:
            result = scan(
                x,
                y,
                x_baselines=baselines[0],
                y_baselines=baselines[1],
                x_ceilings=self._ceilings(entry.x_ceilings),
                y_ceilings=self._ceilings(entry.y_ceilings),
                items=self.items,
                x_name=self._called(entry.x),
                y_name=self._called(entry.y),
                **_given(entry.settings),
            )
            return dataclasses.replace(result, dataset=self.study.items)

        return self._kept(Scan, entry.file, self._facts(entry), label, make)

    def stitch(self, entry: StitchEntry) -> Stitch:
        x, y, baselines = self._sides(entry)
        label = f"{entry.x} → {entry.y}: {specs(entry.settings.maps)}, held out by {entry.settings.by}"

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

    def reads_features(self, entry: ScanEntry) -> bool:
        """Whether failure signatures can be looked for; they are of features."""
        known = not any(isinstance(self.features[name, "pretrained"], RDMs) for name in (entry.x, entry.y))
        if not known:
            self.say(f"{entry.x} × {entry.y}: failure signatures are of features, and one side is RDMs")
        return known

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
        if not has_labels(self.items, entry.target):  # an encoder, then
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

        label = f"fuse {entry.name}: {specs(entry.settings.heads)}, held out by {entry.settings.by}"
        return self._kept(Fusion, entry.file, facts, label, make)

    def _rows(self, entry: FusionEntry, spaces: Mapping[str, Layers]) -> tuple[dict[str, Layers], Layers]:
        """The spaces, and the one whose rows are to be found, with the same items in the same order."""
        given = self.features[entry.target[0], "pretrained"]
        goal = one_layer(given, entry.target_layer or [*given][-1], "target")
        for space in spaces.values():
            goal, _ = goal.join(space)
        return {name: goal.join(space)[1] for name, space in spaces.items()}, goal

    def atlas(self, entry: AtlasEntry) -> Atlas:
        """All its models with each other; other questions of the same atlas are asked of the one that is there."""
        models = {name: self.features[name, "pretrained"] for name in entry.models}
        wanted = entry.models if entry.baselines else ()
        twins = {name: self.features[name, "random"] for name in wanted if (name, "random") in self.features}
        told: dict[str, dict[str, Any]] = {}
        for name in entry.models:
            of = self.study.encoders.get(name) or self.study.sides[name]
            for attribute, value in of.attributes.items():
                told.setdefault(attribute, {})[name] = value
        for attribute, values in entry.attributes.items():
            told.setdefault(attribute, {}).update(values)
        facts = [
            [{k: [origin(v), [*v]] for k, v in some.items()} for some in (models, twins)],
            [told, entry.settings.facts()],
            [self.items.groups, self.items.labels],
        ]

        keep = self.study.output / entry.keep if entry.keep else None

        def make() -> Atlas:
            return atlas(
                models,
                attributes=told or None,
                baselines=twins or None,
                questions=entry.questions,
                items=self.items,
                keep=keep,
                **_given(entry.settings),
            )

        count = f"{len(models)} models" + (f" and {len(twins)} untrained twins" if twins else "")
        label = f"atlas {entry.name}".rstrip() + f": {count}, {specs(entry.settings.metrics)}"
        lost = keep is not None and not (keep / LAYERS_FILE).exists()  # the scores of all layers are made with the rest
        found = self._kept(Atlas, entry.file, facts, label, make, force=lost)
        if found.questions == entry.questions:
            return found
        for k, question in enumerate(entry.questions):
            check_question(
                question,
                f"questions[{k}]",
                models=found.models,
                attributes=[*found.attributes],
                domains=[*found.domains],
            )
        asked = dataclasses.replace(found, questions=entry.questions)
        asked.save(self.study.output / entry.file)
        return asked

    def concepts(self, entry: ConceptEntry) -> ConceptMap:
        """The map of one pair, with what its label sets and texts say of the items."""
        third = (entry.others,) if entry.others else ()
        facts: list[Any] = [
            {name: origin(layers) for name, layers in self._ceilings(names).items()}
            for names in ((entry.x,), (entry.y,), entry.x_ceilings, entry.y_ceilings, third)
        ]
        facts += [entry.settings.facts(), entry.labels, dict(entry.covariates), self.items.fingerprint]

        def make() -> ConceptMap:
            found = concepts(
                self.features[entry.x, "pretrained"],
                self.features[entry.y, "pretrained"],
                items=self.items,
                labels=list(entry.labels) or None,
                x_ceilings=self._ceilings(entry.x_ceilings) or None,
                y_ceilings=self._ceilings(entry.y_ceilings) or None,
                covariates=dict(entry.covariates) or None,
                others=self._ceilings(third) or None,
                **_given(entry.settings),
            )
            return dataclasses.replace(found, dataset=self.study.items)

        label = f"concepts {entry.name}".rstrip() + f": {entry.x} × {entry.y}, {entry.settings.metric.spec}"
        return self._kept(ConceptMap, entry.file, facts, label, make)

    def migrate(self, entry: MigrationEntry) -> Migration:
        old, new = self.features[entry.old, "pretrained"], self.features[entry.new, "pretrained"]
        layers = entry.old_layer or [*old][-1], entry.new_layer or [*new][-1]
        facts = [origin(old), origin(new), *layers, entry.settings.facts(), [self.items.groups, self.items.labels]]

        def make() -> Migration:
            return fit_map(
                old, new, items=self.items, old_layer=layers[0], new_layer=layers[1], **_given(entry.settings)
            )

        label = f"fit_map {entry.old} → {entry.new}: {entry.settings.map.spec}"
        return self._kept(Migration, entry.file, facts, label, make)

    def _called(self, name: str) -> str | None:
        """What a side is called in results; an encoder names itself, unless the study has its model more than once."""
        models = [entry.model for entry in self.study.encoders.values()]
        twice = name in self.study.encoders and models.count(self.study.encoders[name].model) > 1
        return name if twice or name in self.study.sides else None

    def _ceilings(self, names: Sequence[str]) -> dict[str, Layers]:
        return {name: self.features[name, "pretrained"] for name in names}

    def _facts(self, entry: ScanEntry | StitchEntry) -> list[Any]:
        """All that the result depends on: the sides, everything beside them, and every setting of the verb."""
        ceilings = [
            {name: origin(layers) for name, layers in self._ceilings(names).items()}
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
            origin(x),
            origin(y),
            *({k: v.provenance for k, v in b.items()} for b in baselines),
            [self.items.groups, self.items.labels],
        ]

    def _kept(
        self, kind: type[R], file: str, facts: Sequence[Any], label: str, make: Callable[[], R], *, force: bool = False
    ) -> R:
        """The saved result if it was made from the same facts by the same versions, else a new one, saved."""
        made_by = {k: v for k, v in versions().items() if k in ("isomorph", "numpy", "scipy", "scikit-learn")}
        key = fingerprint([list(facts), made_by])
        path = self.study.output / file
        if path.exists() and not (self.force or force):
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


def specs(kinds: Sequence[Any]) -> str:
    return ", ".join(kind.spec for kind in kinds)


def runs(study: Study) -> list[tuple[EncoderEntry, str]]:
    """Every extraction: each encoder, followed by its untrained twin where asked for."""
    return [(e, init) for e in study.encoders.values() for init in ["pretrained", *(["random"] if e.untrained else [])]]


def load(study: Study, entry: EncoderEntry, init: str) -> Encoder:
    extra = {"init": init, "seed": study.seed} if init == "random" else {}
    try:
        return load_encoder(entry.model, store=study.store.root, **{**entry.options, **extra})
    except TypeError as error:
        raise InputError(f"encoders.{entry.name}: {error}.") from error
