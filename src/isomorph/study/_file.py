"""Reading a study file: everything is checked, nothing is computed.

A step's table holds the sides that it is of, and the settings of its verb: its keys are the fields of the settings
value, which checks them.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .._core.files import as_path, read_text
from .._core.places import open_place
from .._core.rdm import WHERE_RDMS_GO
from .._core.settings import Settings, read_table
from ..datasets import REGISTRY as DATASETS
from ..diagnosis import DiagnoseSettings
from ..errors import InputError, UnknownNameError, quoted
from ..extraction import ExtractSettings
from ..fusion import FuseSettings
from ..matching import MatchSettings
from ..migration import MigrationSettings
from ..networks import NetworkSettings
from ..scanning import ScanSettings
from ..stitching import StitchSettings
from ..store import FeatureStore
from ._atlas_table import read_atlas
from ._braces import expanded
from ._concept_table import read_concepts
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
from ._sides import SideEntry, read_sides

StepEntry = (
    ScanEntry | StitchEntry | MatchEntry | NetworksEntry | FusionEntry | AtlasEntry | ConceptEntry | MigrationEntry
)
S = TypeVar("S", bound=Settings)
Own = TypeVar("Own", bound=Settings)


@dataclasses.dataclass(frozen=True)
class Study:
    """A study that has been read and checked; see the module's example.

    Attributes:
        title: Shown above the report.
        output: Folder of all results.
        items: Dataset spec.
        encoders: By name.
        scans: In order.
        stitches: In order.
        matches: In order.
        networks: In order.
        fusions: In order.
        atlases: In order.
        concepts: In order.
        migrations: In order.
        diagnose: How every scanned pair is searched for failure signatures, or None if it is not.
        seed: Seed of permutations and untrained twins.
        skip_bad: Leave unreadable items out instead of stopping.
        text: The study file itself, for the report.
        sides: RDMs and features of other tools, by name.
        features: Where the features are kept: a folder, or an address such as ``s3://bucket/features``; empty for
            ``features`` in the output folder.
        shared: Whether several may write the features at once; an address is shared in any case.
        folder: The study file's, which its paths are relative to.

    Example:
        >>> # after the example of `load_study`
        >>> study.page.name, [step.file for step in study.steps]
        ('report.html', ['scan-vision-text.json'])
    """

    title: str
    output: Path
    items: str
    encoders: Mapping[str, EncoderEntry]
    scans: tuple[ScanEntry, ...]
    stitches: tuple[StitchEntry, ...] = ()
    matches: tuple[MatchEntry, ...] = ()
    networks: tuple[NetworksEntry, ...] = ()
    fusions: tuple[FusionEntry, ...] = ()
    atlases: tuple[AtlasEntry, ...] = ()
    concepts: tuple[ConceptEntry, ...] = ()
    migrations: tuple[MigrationEntry, ...] = ()
    diagnose: DiagnoseSettings | None = None
    seed: int = 0
    skip_bad: bool = False
    text: str = ""
    sides: Mapping[str, SideEntry] = dataclasses.field(default_factory=dict)
    features: str = ""
    shared: bool = False
    folder: Path = Path()

    @property
    def store(self) -> FeatureStore:
        """Where the features are kept."""
        return FeatureStore(self.features or self.output / "features", shared=self.shared)

    @property
    def steps(self) -> tuple[StepEntry, ...]:
        """All tables that give a result."""
        parts: tuple[Sequence[StepEntry], ...]
        parts = (self.scans, self.stitches, self.matches, self.networks, self.fusions, self.atlases, self.concepts,
                 self.migrations)  # fmt: skip
        return tuple(entry for part in parts for entry in part)

    @property
    def page(self) -> Path:
        """Where the report goes."""
        return self.output / "report.html"


@dataclasses.dataclass(frozen=True)
class _Top(Settings):
    """A study file as it stands."""

    items: str
    encoders: dict[str, Any] = dataclasses.field(default_factory=dict)
    sides: dict[str, Any] = dataclasses.field(default_factory=dict)
    scans: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    title: str | None = None
    output: str | None = None
    features: str | None = None
    shared: bool = False
    stitches: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    matches: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    networks: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    fusions: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    atlases: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    concepts: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    migrations: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    diagnose: bool | dict[str, Any] = False
    seed: int = 0
    skip_bad: bool = False


@dataclasses.dataclass(frozen=True)
class _Encoder(Settings):
    """What an encoder's table says beside the settings of its extraction and the options of the encoder."""

    model: str
    untrained: bool = False
    inputs: bool = False


@dataclasses.dataclass(frozen=True)
class _Sides(Settings):
    """What a step's table says beside the settings of its verb."""

    x: str
    y: str
    x_ceilings: str | tuple[str, ...] = ()
    y_ceilings: str | tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Matched(Settings):
    """What a table of ``[[matches]]`` says beside the settings of the match."""

    x: str
    y: str
    x_layer: str | None = None
    y_layer: str | None = None
    by: str | None = None


@dataclasses.dataclass(frozen=True)
class _Migrated(Settings):
    """What a table of ``[[migrations]]`` says beside the settings of the map."""

    old: str
    new: str
    old_layer: str | None = None
    new_layer: str | None = None


@dataclasses.dataclass(frozen=True)
class _Joined(Settings):
    """What a table of ``[[networks]]`` says beside the settings of the stitch."""

    bottom: str
    top: str
    data: str
    name: str


@dataclasses.dataclass(frozen=True)
class _Fused(Settings):
    """What a table of ``[[fusions]]`` says beside the settings of the fusion."""

    spaces: tuple[str, ...] | dict[str, str]
    target: str | tuple[str, ...]
    target_layer: str | None = None
    seconds: dict[str, str] | None = None


def load_study(
    path: str | Path, *, output: str | Path | None = None, features: str | Path | None = None, shared: bool = False
) -> Study:
    """Read and check a study file; nothing is computed.

    Args:
        path: A TOML file.
        output: Overrides the study's output folder.
        features: Overrides where the study keeps its features: a folder, or an address such as
            ``s3://bucket/features``.
        shared: Whether several may write the features at once, see `isomorph.FeatureStore`; so may the study say.

    Raises:
        InputError: if the file cannot be read, or something in it is unknown or does not fit.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> from pathlib import Path
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> np.savez("pets.npz", image=x, caption=x + noise)
        >>> _ = Path("study.toml").write_text('''
        ... items = "arrays(paths='pets.npz')"
        ... encoders.vision = {model = "statistics:features", view = "image"}
        ... encoders.text = {model = "statistics:features", view = "caption"}
        ... scans = [{x = "vision", y = "text", metrics = ["cka"], permutations = 20}]''')
        >>> study = iso.load_study("study.toml", output="results")
        >>> list(study.encoders), study.scans[0].settings.permutations
        (['vision', 'text'], 20)
    """
    path = as_path(path)
    text, data = _read(path)
    for key in ("scans", "stitches", "fusions", "atlases", "concepts", "migrations"):
        if isinstance(data.get(key), dict):
            raise InputError(f"{path}: {key} must be a list of tables; write [[{key}]] in place of [{key}].")
    instead = {"encoders": ("sides",), "scans": ("atlases", "concepts", "migrations")}
    for key in ("items", "encoders", "scans"):
        if not data.get(key) and not any(data.get(other) for other in instead.get(key, ())):
            _Top.read({"items": "", "encoders": {}, "scans": []} | data, str(path))  # what else is wrong comes first
            raise InputError(
                f"{path} has no {key!r}; a study needs items, encoders (or sides) and scans (or atlases, concepts or "
                "migrations)."
            )
    top = _Top.read(data, str(path))
    DATASETS.make(top.items)
    own = _encoders(top, path)
    given = read_sides(top.sides, own, path)
    encoders = [*own, *given]
    scans = [_step(ScanSettings, t, encoders, f"{path}, [[scans]]", top.seed) for t in top.scans]
    stitches = [_step(StitchSettings, t, encoders, f"{path}, [[stitches]]", top.seed) for t in top.stitches]
    study = Study(
        title=top.title or path.stem,
        output=as_path(output, "output") if output is not None else path.parent / (top.output or f"runs/{path.stem}"),
        items=top.items,
        encoders=own,
        sides=given,
        scans=tuple(ScanEntry(s.x, s.y, settings, *ceilings) for s, settings, ceilings in scans),
        stitches=tuple(StitchEntry(s.x, s.y, settings, *ceilings) for s, settings, ceilings in stitches),
        matches=tuple(_match(t, encoders, f"{path}, [[matches]]", top.seed) for t in top.matches),
        networks=tuple(_networks(t, path, top.seed) for t in top.networks),
        fusions=tuple(_fusion(t, encoders, f"{path}, [[fusions]]", top.seed) for t in top.fusions),
        atlases=tuple(
            read_atlas(t, [*own] if "models" not in t else encoders, f"{path}, [[atlases]]", top.seed, path.parent)
            for t in top.atlases
        ),
        concepts=tuple(
            read_concepts(t, encoders, f"{path}, [[concepts]]", top.seed, path.parent) for t in top.concepts
        ),
        migrations=tuple(_migration(t, encoders, f"{path}, [[migrations]]", top.seed) for t in top.migrations),
        diagnose=_diagnose(top, path),
        seed=top.seed,
        skip_bad=top.skip_bad,
        text=text,
        features=_features(top.features, path) if features is None else str(features),
        shared=shared or top.shared,
        folder=path.parent.absolute(),
    )
    open_place(study.features or study.output, "features")  # what is no address is told before anything is computed
    _refuse_rdms(study, path)
    kept = [entry.keep for entry in study.atlases if entry.keep]
    for folder in kept:
        if kept.count(folder) > 1:
            raise InputError(
                f"{path}: two [[atlases]] would keep their layers in {folder!r}; give each its own folder."
            )
    files = [e.file for e in study.steps]
    for file in files:
        if files.count(file) > 1:
            mend = (
                "give each a name"
                if file.startswith(("atlas", "concepts"))
                else "put the metrics or maps of one pair into one"
            )
            raise InputError(f"{path}: two tables would write {file}; {mend}.")
    return study


def _refuse_rdms(study: Study, path: Path) -> None:
    """Check that RDMs stand only where a metric compares RDMs.

    Raises:
        InputError: if a step that reads features is asked to read RDMs.
    """
    tables: dict[str, Sequence[StitchEntry | MatchEntry | FusionEntry | ConceptEntry | MigrationEntry]] = {
        "stitches": study.stitches,
        "matches": study.matches,
        "fusions": study.fusions,
        "concepts": study.concepts,
        "migrations": study.migrations,
    }
    dissimilar = {name for name, side in study.sides.items() if side.rdms is not None}
    for atlas in study.atlases:
        blind = [metric.spec for metric in atlas.settings.metrics if not metric.reads_rdms]
        given = [name for name in atlas.models if name in dissimilar]
        if blind and given:
            raise InputError(
                f"{path}, [[atlases]]: {quoted(given[0])} is RDMs, which {blind[0]} does not read. Leave it out "
                f"(exclude = [{given[0]!r}]), or take metrics that compare RDMs alone, such as rsa."
            )
    for table, entries in tables.items():
        for name in (name for entry in entries for name in entry.sources):
            if name in dissimilar:
                raise InputError(
                    f"{path}, [[{table}]]: {quoted(name)} is RDMs, and {table} read features. {WHERE_RDMS_GO}"
                )


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    text = read_text(path, "the study")
    try:
        return text, tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, or of tables within tables without end
        raise InputError(f"{path} is not a TOML file: {error}.") from error


def _features(where: str | None, path: Path) -> str:
    """Where a study keeps its features: a folder beside its file, or an address."""
    return (where or "") if not where or "://" in where else str(path.parent / where)


def _diagnose(top: _Top, path: Path) -> DiagnoseSettings | None:
    if top.diagnose is False:
        return None
    table = {} if top.diagnose is True else top.diagnose
    return DiagnoseSettings.read({"seed": top.seed} | table, f"{path}, [diagnose]")


def _encoders(top: _Top, path: Path) -> dict[str, EncoderEntry]:
    """All encoders by name; a table whose model has braces is several.

    Raises:
        InputError: if two have one name, or a table does not fit.
    """
    found: dict[str, EncoderEntry] = {}
    for name, table in top.encoders.items():
        where = f"{path}, encoders.{name}"
        if not isinstance(table, dict):
            raise InputError(f"{where} must be a table ([encoders.{name}]), found {quoted(table)}.")
        for called, one in expanded(name, table, where).items():
            if called in found:
                raise InputError(f"{path}: two encoders would be called {quoted(called)}; rename {name}.")
            found[called] = _encoder(called, one, path, top.skip_bad)
    return found


def _encoder(name: str, table: dict[str, Any], path: Path, skip_bad: bool) -> EncoderEntry:
    if not name or name.startswith(".") or set(name) & set("/\\\0"):
        raise InputError(f"{path}: encoders.{name!r}: a name is part of file names; use letters, digits and dashes.")
    where = f"{path}, encoders.{name}"
    table = dict(table)
    if "module" in table and "model" not in table:  # module = "file.py:function", beside the study file
        given = str(table.pop("module"))
        table["model"] = f"module:{given if Path(given).is_absolute() else path.parent / given}"
    if isinstance(table.get("view"), list) and all(isinstance(v, str) for v in table["view"]):
        table["view"] = "+".join(table["view"])
    if "model" not in table:
        raise InputError(f"{path}: encoders.{name} has no 'model'.")
    own = read_table(_Encoder, {k: table.pop(k) for k in _Encoder.names() if k in table}, where)
    extraction = {k: table.pop(k) for k in ExtractSettings.names() if k in table}
    attributes = table.pop("attributes", {})
    settings = ExtractSettings.read({"skip_bad": skip_bad} | extraction, where)
    return EncoderEntry(name, own.model, settings, own.untrained, own.inputs, attributes, table)


def _step(
    kind: type[S], table: Mapping[str, Any], encoders: Sequence[str], where: str, seed: int
) -> tuple[_Sides, S, tuple[tuple[str, ...], tuple[str, ...]]]:
    """The sides of a step's table, the settings of its verb, and the ceilings of both sides.

    Raises:
        InputError: if a side is missing, or a value does not fit.
        UnknownNameError: if there is no such setting or encoder.
    """
    sides, settings = _parted(_Sides, kind, table, where, seed)
    for name in (sides.x, sides.y):
        if name not in encoders:
            raise UnknownNameError(f"encoder in {where}", name, encoders)
    x_ceilings = _ceilings(sides.x_ceilings, sides.x, encoders, f"{where}: x_ceilings")
    y_ceilings = _ceilings(sides.y_ceilings, sides.y, encoders, f"{where}: y_ceilings")
    return sides, settings, (x_ceilings, y_ceilings)


def _match(table: Mapping[str, Any], encoders: Sequence[str], where: str, seed: int) -> MatchEntry:
    sides, settings = _parted(_Matched, MatchSettings, table, where, seed)
    for name in (sides.x, sides.y):
        if name not in encoders:
            raise UnknownNameError(f"encoder in {where}", name, encoders)
    return MatchEntry(sides.x, sides.y, sides.x_layer, sides.y_layer, sides.by, settings)


def _migration(table: Mapping[str, Any], encoders: Sequence[str], where: str, seed: int) -> MigrationEntry:
    own, settings = _parted(_Migrated, MigrationSettings, table, where, seed)
    for name in (own.old, own.new):
        if name not in encoders:
            raise UnknownNameError(f"encoder in {where}", name, encoders)
    return MigrationEntry(own.old, own.new, own.old_layer, own.new_layer, settings)


def _networks(table: Mapping[str, Any], path: Path, seed: int) -> NetworksEntry:
    where, table = f"{path}, [[networks]]", dict(table)
    table.setdefault("name", f"{table.get('bottom')}-{table.get('top')}".replace(":", "-"))
    sides, settings = _parted(_Joined, NetworkSettings, table, where, seed)

    def beside(given: str) -> str:
        given = given.removeprefix("module:")
        return given if Path(given).is_absolute() else str(path.parent / given)

    return NetworksEntry(beside(sides.bottom), beside(sides.top), beside(sides.data), sides.name, settings)


def _fusion(table: Mapping[str, Any], encoders: Sequence[str], where: str, seed: int) -> FusionEntry:
    """What one table of ``[[fusions]]`` says.

    Raises:
        InputError: if there is no pair of spaces, or a value does not fit.
        UnknownNameError: if there is no such setting, encoder or space.
    """
    own, settings = _parted(_Fused, FuseSettings, table, where, seed)
    spaces = own.spaces if isinstance(own.spaces, dict) else {name: name for name in own.spaces}
    if len(spaces) < 2:
        raise InputError(f"{where}: spaces={quoted(table['spaces'])}: two or more are fused, each an encoder.")
    target = (own.target,) if isinstance(own.target, str) else own.target
    if not target or not all(target):
        raise InputError(f"{where}: target={quoted(table['target'])} must name a label set of the items.")
    seconds = own.seconds or {}
    for name in seconds:
        if name not in spaces:
            raise UnknownNameError(f"space in {where}: seconds", name, spaces)
    for name in (*spaces.values(), *seconds.values()):
        if name not in encoders:
            raise UnknownNameError(f"encoder in {where}", name, encoders)
    return FusionEntry(spaces, target, own.target_layer, seconds, settings)


def _parted(own: type[Own], kind: type[S], table: Mapping[str, Any], where: str, seed: int) -> tuple[Own, S]:
    """What a table says itself, and the settings of its verb.

    Raises:
        InputError: if something is missing, or does not fit.
        UnknownNameError: if there is no such setting.
    """
    known = [*own.names(), *kind.names()]
    for key in table:
        if key not in known:
            raise UnknownNameError(f"setting in {where}", str(key), known)
    needed = [f.name for f in dataclasses.fields(own) if f.default is dataclasses.MISSING]
    needed += [f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING]
    for name in needed:
        if name not in table:
            raise InputError(f"{where}: a table has no {name!r}; it needs {', '.join(needed)}.")
    settings = kind.read({"seed": seed} | {k: v for k, v in table.items() if k in kind.names()}, where)
    return own.read({k: v for k, v in table.items() if k in own.names()}, where), settings


def _ceilings(given: str | tuple[str, ...], own: str, encoders: Sequence[str], where: str) -> tuple[str, ...]:
    """Names of encoders that one side is compared with.

    Raises:
        InputError: if one is the side itself.
        UnknownNameError: if there is no such encoder.
    """
    names = (given,) if isinstance(given, str) else given
    for name in names:
        if name not in encoders:
            raise UnknownNameError(f"encoder in {where}", name, encoders)
        if name == own:
            found = quoted(name)
            raise InputError(f"{where} names {found} itself, which is all alike; name another encoder of its kind.")
    return names
