"""What a study makes of its features: one step a result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from .._core.provenance import fingerprint, versions
from .._core.settings import Settings
from ..atlases import LAYERS_FILE, atlas
from ..concept_maps import concepts
from ..datasets import PairedItems
from ..design import named
from ..diagnosis import diagnose
from ..encoders._state import state_fingerprint
from ..errors import InputError, UnknownNameError
from ..fusion import fuse
from ..matching import blind_match, one_layer, truth_by_id
from ..metrics.rdm import RDMs
from ..migration import fit_map
from ..networks import read_data, read_network, stitch_networks
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
from ..store import Layers
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
from ._items import has_labels
from ._sides import origin

TWIN = "untrained"
INPUTS = "inputs"
R = TypeVar("R", Scan, Stitch, Diagnosis, BlindMatch, NetworkStitch, Fusion, Atlas, ConceptMap, Migration)
Features = dict[
    tuple[str, str], Any
]  # Layers, or RDMs of a side: (encoder's name, "pretrained" | "random" | INPUTS) -> features


@dataclasses.dataclass(frozen=True, eq=False)
class Step(Generic[R]):
    """One result of a study: from what it is made, and how.

    Attributes:
        kind: Class of the result.
        file: Its file in the study's output.
        facts: All that it depends on.
        label: What is done, in words.
        make: Makes it.
        lost: Whether something that is made with it is not there, so that it is made again.
        asked: What becomes of a result that is there, if it may have been asked other questions.
    """

    kind: type[R]
    file: str
    facts: Sequence[Any]
    label: str
    make: Callable[[], R]
    lost: bool = False
    asked: Callable[[R], R] | None = None

    @property
    def key(self) -> str:
        """What tells a result of the same facts and versions from all others."""
        made_by = {k: v for k, v in versions().items() if k in ("isomorph", "numpy", "scipy", "scikit-learn")}
        return fingerprint([list(self.facts), made_by])

    def current(self, folder: Path) -> R | None:
        """The saved result if it was made from the same facts by the same versions."""
        path = folder / self.file
        if self.lost or not path.exists():
            return None
        try:
            found = load_result(path)
        except InputError:  # damaged, or of another version: it is made again
            return None
        if not isinstance(found, self.kind) or found.provenance.get("study_key") != self.key:
            return None
        return self._asked(found, folder)

    def keep(self, made: R, folder: Path) -> R:
        """Save a new result."""
        facts = {**made.provenance, "study_key": self.key, "command": "isomorph run STUDY.toml"}
        made = dataclasses.replace(made, provenance=facts)
        made.save(folder / self.file)
        return self._asked(made, folder)

    def _asked(self, found: R, folder: Path) -> R:
        asked = found if self.asked is None else self.asked(found)
        if asked is not found:
            asked.save(folder / self.file)
        return asked


@dataclasses.dataclass(frozen=True)
class Steps:
    """The steps of a study that follow extraction, made from the features that it reads."""

    study: Study
    items: PairedItems
    features: Features
    say: Callable[[str], None]

    def first(self) -> list[Step[Any]]:
        """All steps that read features only."""
        study = self.study
        steps: list[Step[Any]] = [*map(self.scan, study.scans), *map(self.stitch, study.stitches)]
        steps += [*map(self.fuse, study.fusions), *map(self.match, study.matches), *map(self.networks, study.networks)]
        steps += [*map(self.atlas, study.atlases), *map(self.concepts, study.concepts)]
        return [*steps, *map(self.migrate, study.migrations)]

    def diagnoses(self, found: Mapping[str, Any]) -> list[Step[Diagnosis]]:
        """The steps that read results as well.

        Args:
            found: File -> result of `first`.
        """
        stitches, fusions = ([found[e.file] for e in some] for some in (self.study.stitches, self.study.fusions))
        return [self.diagnose(e, found[e.file], stitches, fusions) for e in self._diagnosed]

    def files(self) -> dict[str, list[str]]:
        """Kind of a result, as a study calls it -> its files, in the order of the study."""
        kinds = ("scans", "stitches", "fusions", "matches", "networks", "atlases", "concepts", "migrations")
        files = {kind: [entry.file for entry in getattr(self.study, kind)] for kind in kinds}
        return {**files, "diagnoses": [_diagnosis_file(entry) for entry in self._diagnosed]}

    @cached_property
    def _diagnosed(self) -> list[ScanEntry]:
        """The pairs whose failure signatures are looked for; they are of features."""
        return [] if self.study.diagnose is None else [e for e in self.study.scans if self._reads_features(e)]

    def scan(self, entry: ScanEntry) -> Step[Scan]:
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
                **given_settings(entry.settings),
            )
            return dataclasses.replace(result, dataset=self.study.items)

        return Step(Scan, entry.file, self._facts(entry), label, make)

    def stitch(self, entry: StitchEntry) -> Step[Stitch]:
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
                **given_settings(entry.settings),
            )

        return Step(Stitch, entry.file, self._facts(entry), label, make)

    def diagnose(
        self, entry: ScanEntry, found: Scan, stitches: Sequence[Stitch], fusions: Sequence[Fusion]
    ) -> Step[Diagnosis]:
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
        return Step(
            Diagnosis,
            _diagnosis_file(entry),
            facts,
            label,
            lambda: diagnose(x, y, scan=found, stitch=used, fusion=fused, **given_settings(settings)),
        )

    def _reads_features(self, entry: ScanEntry) -> bool:
        """Whether failure signatures can be looked for; they are of features."""
        known = not any(isinstance(self.features[name, "pretrained"], RDMs) for name in (entry.x, entry.y))
        if not known:
            self.say(f"{entry.x} × {entry.y}: failure signatures are of features, and one side is RDMs")
        return known

    def match(self, entry: MatchEntry) -> Step[BlindMatch]:
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
            given = given_settings(entry.settings)
            return blind_match(left, right, truth=truth, x_name=x.encoder, y_name=y.encoder, **given)

        what = "items" if entry.by is None else f"means of {entry.by}"
        return Step(BlindMatch, entry.file, facts, f"match {entry.x} × {entry.y}: {what}", make)

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

    def networks(self, entry: NetworksEntry) -> Step[NetworkStitch]:
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
                **given_settings(entry.settings),
            )

        label = f"networks {entry.name}: {len(entry.settings.cuts)} cuts"
        return Step(NetworkStitch, entry.file, facts, label, make)

    def fuse(self, entry: FusionEntry) -> Step[Fusion]:
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
                **given_settings(entry.settings),
            )

        label = f"fuse {entry.name}: {specs(entry.settings.heads)}, held out by {entry.settings.by}"
        return Step(Fusion, entry.file, facts, label, make)

    def _rows(self, entry: FusionEntry, spaces: Mapping[str, Layers]) -> tuple[dict[str, Layers], Layers]:
        """The spaces, and the one whose rows are to be found, with the same items in the same order."""
        given = self.features[entry.target[0], "pretrained"]
        goal = one_layer(given, entry.target_layer or [*given][-1], "target")
        for space in spaces.values():
            goal, _ = goal.join(space)
        return {name: goal.join(space)[1] for name, space in spaces.items()}, goal

    def atlas(self, entry: AtlasEntry) -> Step[Atlas]:
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
                **given_settings(entry.settings),
            )

        count = f"{len(models)} models" + (f" and {len(twins)} untrained twins" if twins else "")
        label = f"atlas {entry.name}".rstrip() + f": {count}, {specs(entry.settings.metrics)}"
        lost = keep is not None and not (keep / LAYERS_FILE).exists()  # the scores of all layers are made with the rest

        def asked(found: Atlas) -> Atlas:
            """The questions of this entry, of an atlas that may have been made with others."""
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
            return dataclasses.replace(found, questions=entry.questions)

        return Step(Atlas, entry.file, facts, label, make, lost=lost, asked=asked)

    def concepts(self, entry: ConceptEntry) -> Step[ConceptMap]:
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
                **given_settings(entry.settings),
            )
            return dataclasses.replace(found, dataset=self.study.items)

        label = f"concepts {entry.name}".rstrip() + f": {entry.x} × {entry.y}, {entry.settings.metric.spec}"
        return Step(ConceptMap, entry.file, facts, label, make)

    def migrate(self, entry: MigrationEntry) -> Step[Migration]:
        old, new = self.features[entry.old, "pretrained"], self.features[entry.new, "pretrained"]
        layers = entry.old_layer or [*old][-1], entry.new_layer or [*new][-1]
        facts = [origin(old), origin(new), *layers, entry.settings.facts(), [self.items.groups, self.items.labels]]

        def make() -> Migration:
            return fit_map(
                old, new, items=self.items, old_layer=layers[0], new_layer=layers[1], **given_settings(entry.settings)
            )

        label = f"fit_map {entry.old} → {entry.new}: {entry.settings.map.spec}"
        return Step(Migration, entry.file, facts, label, make)

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


def given_settings(settings: Settings) -> dict[str, Any]:
    """The settings as arguments of their verb."""
    return {name: getattr(settings, name) for name in settings.names()}


def specs(kinds: Sequence[Any]) -> str:
    return ", ".join(kind.spec for kind in kinds)


def _diagnosis_file(entry: ScanEntry) -> str:
    return entry.file.replace("scan", "diagnosis", 1)
