"""Reading a study file: everything is checked, nothing is computed."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from .._core.checks import as_seed
from ..datasets import REGISTRY as DATASETS
from ..errors import InputError, IsomorphError, UnknownNameError
from ..maps import make_map
from ..metrics import metric as make_metric
from ..scanning import DEFAULT_METRICS
from ..scanning import check as check_scan
from ..stitching import DEFAULT_MAPS
from ..store import FeatureStore

_LISTS = ("metrics", "maps", "x_ceilings", "y_ceilings", "gallery")  # checked one by one, not by their types
E = TypeVar("E", "ScanEntry", "StitchEntry")


@dataclasses.dataclass(frozen=True)
class EncoderEntry:
    """One ``[encoders.NAME]`` table.

    Attributes:
        name: The name that scans use.
        model: Model spec.
        view: View of the items, or None for the one that fits.
        untrained: Whether the untrained twin is a baseline of every scan.
        inputs: Whether statistics of the inputs (pixels, bag of words, spectrum) are a baseline of every scan.
        batch_size: Items a batch.
        storage: ``"float32"`` or ``"float16"``.
        options: Everything else, passed to `load_encoder`.
    """

    name: str
    model: str
    view: str | None = None
    untrained: bool = False
    inputs: bool = False
    batch_size: int = 16
    storage: str = "float32"
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ScanEntry:
    """One ``[[scans]]`` table.

    Attributes:
        x: Name of an encoder.
        y: Name of an encoder.
        metrics: Metric specs.
        permutations: Shared random re-pairings.
        alpha: Level of the calibrated score.
        selection: ``"all"``, or ``"split"`` to choose layers on one half of the items and score them on the other.
        x_ceilings: Names of encoders of the kind of `x` (another seed, another model) that it is compared with, to say
            how alike two of a kind are.
        y_ceilings: The same for `y`.
        groups: Label set of the items that is permuted whole, or None for the items' own groups, if they have any.
        strata: Label set of the items (or ``"groups"``) inside which items are permuted, or None.
        circular: Whether items are a time series, shifted in a circle instead of permuted.
        within: Whether items inside a group are shuffled as well.
        gallery: Whether the best pair is also scored with fewer items, or their numbers.
        budget: Seconds that the permutations of one metric may take, or None.
    """

    x: str
    y: str
    metrics: tuple[str, ...] = DEFAULT_METRICS
    permutations: int = 200
    alpha: float = 0.05
    selection: str = "all"
    budget: float | None = None
    x_ceilings: tuple[str, ...] = ()
    y_ceilings: tuple[str, ...] = ()
    groups: str | None = None
    strata: str | None = None
    circular: bool = False
    within: bool = True
    gallery: bool | tuple[int, ...] = False

    @property
    def file(self) -> str:
        """Name of the result file, which also tells scans of one pair under several designs apart."""
        design = (
            ("groups", self.groups),
            ("within", self.strata),
            ("circular", "" if self.circular else None),
            ("in-order", None if self.within else ""),
        )
        words = [f"-{word}{f'-{name}' if name else ''}" for word, name in design if name is not None]
        return re.sub(r"[/\\\0]", "-", f"scan-{self.x}-{self.y}{''.join(words)}.json")


@dataclasses.dataclass(frozen=True)
class StitchEntry:
    """One ``[[stitches]]`` table.

    Attributes:
        x: Name of an encoder.
        y: Name of an encoder.
        maps: Map specs; the first one chooses the layers.
        by: What is held out: ``"item"``, ``"label"`` or ``"group"``.
        labels: Label set that is classified, or None for the first of the items.
        repeats: Number of splits.
    """

    x: str
    y: str
    maps: tuple[str, ...] = DEFAULT_MAPS
    by: str = "item"
    labels: str | None = None
    repeats: int = 5

    @property
    def file(self) -> str:
        """Name of the result file."""
        return f"stitch-{self.x}-{self.y}-by-{self.by.replace(':', '-')}.json"


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
        diagnose: Whether every scanned pair is searched for failure signatures.
        seed: Seed of permutations and untrained twins.
        skip_bad: Leave unreadable items out instead of stopping.
        text: The study file itself, for the report.
    """

    title: str
    output: Path
    items: str
    encoders: Mapping[str, EncoderEntry]
    scans: tuple[ScanEntry, ...]
    stitches: tuple[StitchEntry, ...] = ()
    diagnose: bool = False
    seed: int = 0
    skip_bad: bool = False
    text: str = ""

    @property
    def store(self) -> FeatureStore:
        """Where the features are kept."""
        return FeatureStore(self.output / "features")

    @property
    def page(self) -> Path:
        """Where the report goes."""
        return self.output / "report.html"


class _Top:
    """Types of a study's own settings."""

    title: str
    output: str
    items: str
    diagnose: bool
    seed: int
    skip_bad: bool


def load_study(path: str | Path, *, output: str | Path | None = None) -> Study:
    """Read and check a study file; nothing is computed.

    Args:
        path: A TOML file.
        output: Overrides the study's output folder.

    Raises:
        InputError: if the file cannot be read, or something in it is unknown or does not fit.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise InputError(f"Cannot read the study {path}: {error.strerror or error}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}.") from error
    _known(
        data, {"title", "output", "items", "encoders", "scans", "stitches", "diagnose", "seed", "skip_bad"}, str(path)
    )
    _check_types(data, _Top, str(path))
    for key in ("items", "encoders", "scans"):
        if not data.get(key):
            raise InputError(f"{path} has no {key!r}; a study needs items, encoders and scans.")
    encoders = {name: _encoder_entry(name, table, path) for name, table in _table(data["encoders"], "encoders").items()}
    folder = Path(output) if output is not None else path.parent / str(data.get("output", "runs/" + path.stem))
    study = Study(
        title=str(data.get("title", path.stem)),
        output=folder,
        items=str(data["items"]),
        encoders=encoders,
        scans=tuple(_pair_entry(ScanEntry, t, encoders, path) for t in _tables(data["scans"], "scans", path)),
        stitches=tuple(
            _pair_entry(StitchEntry, t, encoders, path) for t in _tables(data.get("stitches", []), "stitches", path)
        ),
        diagnose=bool(data.get("diagnose", False)),
        seed=as_seed(data.get("seed", 0)),
        skip_bad=bool(data.get("skip_bad", False)),
        text=text,
    )
    files = [*(s.file for s in study.scans), *(s.file for s in study.stitches)]
    for file in files:
        if files.count(file) > 1:
            raise InputError(f"{path}: two tables would write {file}; put the metrics or maps of one pair into one.")
    DATASETS.make(study.items)
    return study


def _encoder_entry(name: str, table: Any, path: Path) -> EncoderEntry:
    if not name or name.startswith(".") or set(name) & set("/\\\0"):
        raise InputError(f"{path}: encoders.{name!r}: a name is part of file names; use letters, digits and dashes.")
    table = dict(_table(table, f"encoders.{name}"))
    if "module" in table and "model" not in table:  # module = "file.py:function", beside the study file
        where = str(table.pop("module"))
        table["model"] = f"module:{where if Path(where).is_absolute() else path.parent / where}"
    if isinstance(table.get("view"), list) and all(isinstance(v, str) for v in table["view"]):
        table["view"] = "+".join(table["view"])
    if "model" not in table:
        raise InputError(f"{path}: encoders.{name} has no 'model'.")
    _check_types(table, EncoderEntry, f"{path}, encoders.{name}")
    own = {f.name for f in dataclasses.fields(EncoderEntry)} - {"name", "options"}
    return EncoderEntry(
        name=name,
        **{k: v for k, v in table.items() if k in own},
        options={k: v for k, v in table.items() if k not in own},
    )


def _pair_entry(kind: type[E], table: Mapping[str, Any], encoders: Mapping[str, EncoderEntry], path: Path) -> E:
    where = "[[scans]]" if kind is ScanEntry else "[[stitches]]"
    _known(table, {f.name for f in dataclasses.fields(kind)}, f"{path}, {where}")
    for side in ("x", "y"):
        if side not in table:
            raise InputError(f"{path}: a {where} table has no {side!r}; name two of the encoders.")
        if table[side] not in encoders:
            raise UnknownNameError(f"encoder in {path}", str(table[side]), encoders)
    values = dict(table)
    _check_types({k: v for k, v in values.items() if k not in _LISTS}, kind, f"{path}, {where}")
    for key, check in (("metrics", make_metric), ("maps", make_map)):
        if key in values:
            values[key] = _specs(values[key], check, f"{path}, {where}: {key}")
    for key in ("x_ceilings", "y_ceilings"):
        if key in values:
            values[key] = _ceilings(values[key], values[key[0]], encoders, f"{path}, {where}: {key}")
    if not isinstance(values.get("gallery", False), bool):
        values["gallery"] = _sizes(values["gallery"], f"{path}, {where}: gallery")
    entry = kind(**values)
    if isinstance(entry, ScanEntry):
        try:
            check_scan(
                entry.permutations,
                entry.alpha,
                entry.selection,
                entry.budget,
                strata=entry.strata is not None,
                circular=entry.circular,
            )
        except InputError as error:
            raise InputError(f"{path}, {where}: {error}") from error
    return entry


def _specs(value: Any, check: Callable[[str], Any], where: str) -> tuple[str, ...]:
    """Specs of metrics or maps, each of which can be made.

    Raises:
        InputError: if there is none, they are no texts, or one cannot be made.
    """
    if not isinstance(value, str | list):
        raise InputError(f"{where} must be a list of texts, found {value!r}.")
    specs = (value,) if isinstance(value, str) else tuple(value)
    if not specs:
        raise InputError(f"{where} is empty; name at least one, or leave it out.")
    for spec in specs:
        try:
            check(spec)
        except IsomorphError as error:
            raise InputError(f"{where}: {error}") from error
    return specs


def _ceilings(value: Any, own: str, encoders: Mapping[str, EncoderEntry], where: str) -> tuple[str, ...]:
    """Names of encoders that one side is compared with.

    Raises:
        InputError: if they are no names, or one is the side itself.
        UnknownNameError: if there is no such encoder.
    """
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(v, str) for v in names):
        raise InputError(f"{where} must be a list of names of encoders, found {value!r}.")
    for name in names:
        if name not in encoders:
            raise UnknownNameError(f"encoder in {where}", name, encoders)
        if name == own:
            raise InputError(f"{where} names {name!r} itself, which is all alike; name another encoder of its kind.")
    return tuple(names)


def _sizes(value: Any, where: str) -> tuple[int, ...]:
    """Numbers of items.

    Raises:
        InputError: if they are none.
    """
    if not isinstance(value, list) or not value or not all(type(v) is int and v > 0 for v in value):
        raise InputError(f"{where} must be true, false or a list of numbers of items, found {value!r}.")
    return tuple(value)


def _check_types(table: Mapping[str, Any], kind: type, where: str) -> None:
    """Check the values that a table gives against the types of the class that will hold them.

    Raises:
        InputError: if one is of another type.
    """
    hints = get_type_hints(kind)
    for key, value in table.items():
        if key not in hints or key == "options":
            continue  # an option of the encoder
        wanted = get_args(hints[key]) or (hints[key],)
        wanted = tuple(t for t in wanted if t is not type(None))
        fits = isinstance(value, (*wanted, int) if float in wanted else wanted)
        if not fits or (isinstance(value, bool) and bool not in wanted):
            names = {"str": "a text", "bool": "true or false", "int": "a whole number", "float": "a number"}
            raise InputError(f"{where}: {key} must be {names[wanted[0].__name__]}, found {value!r}.")


def _table(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{what} must be a table ([{what}]), found {type(value).__name__}.")
    return value


def _tables(value: Any, name: str, path: Path) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise InputError(f"{path}: {name} must be a list of tables ([[{name}]]), found {type(value).__name__}.")
    return [_table(v, name) for v in value]


def _known(table: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise UnknownNameError(f"setting in {where}", key, known)
