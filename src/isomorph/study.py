"""A study: one TOML file that says which items, encoders and pairs; running it again is free.

```toml
title = "Vision and language"
output = "runs/mine"            # beside the study file unless absolute
seed = 0
items = "emoji(n=300, seed=0)"

[encoders.vision]
model = "bundled:dinov2-small"
view = "image"                  # may be left out where only one view fits
pooling = "cls"
untrained = true                # the same architecture untrained is a baseline of every scan
inputs = true                   # so are statistics of the inputs themselves (pixels, words, spectra)

[encoders.text]
model = "bundled:minilm-l6"

[[scans]]
x = "vision"
y = "text"
metrics = ["mutual_knn(k=10)", "cka", "rsa"]
permutations = 500
```
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ._progress import notice
from ._provenance import fingerprint, versions
from .datasets import REGISTRY as DATASETS
from .datasets import PairedItems
from .encoders import Encoder, load_encoder
from .errors import InputError, UnknownNameError
from .extraction import extract
from .metrics import metric as make_metric
from .report import report as write_report
from .results import Scan, load_result
from .scan import DEFAULT_METRICS, scan
from .significance import input_statistics
from .store import FeatureStore, Layers, choose_view

TWIN = "untrained"
INPUTS = "inputs"
_Features = dict[tuple[str, str], Layers]  # (encoder's name, "pretrained" | "random" | INPUTS) -> features


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
        budget: Seconds that the permutations of one metric may take, or None.
    """

    x: str
    y: str
    metrics: tuple[str, ...] = DEFAULT_METRICS
    permutations: int = 200
    alpha: float = 0.05
    selection: str = "all"
    budget: float | None = None

    @property
    def file(self) -> str:
        """Name of the result file."""
        return f"scan-{self.x}-{self.y}.json"


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a plan.

    Attributes:
        name: What is done.
        state: ``"done"`` if its result is there and current, else ``"to do"``.
        size: How much, in words.
        seconds: Estimated seconds, or None if it cannot be told before the first batch.
    """

    name: str
    state: str
    size: str
    seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class Study:
    """A study that has been read and checked; see the module's example.

    Attributes:
        title: Shown above the report.
        output: Folder of all results.
        items: Dataset spec.
        encoders: By name.
        scans: In order.
        seed: Seed of permutations and untrained twins.
        skip_bad: Leave unreadable items out instead of stopping.
        text: The study file itself, for the report.
    """

    title: str
    output: Path
    items: str
    encoders: Mapping[str, EncoderEntry]
    scans: tuple[ScanEntry, ...]
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


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run of a study gave.

    Attributes:
        page: The report.
        scans: In the order of the study.
    """

    page: Path
    scans: tuple[Scan, ...]


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
    _known(data, {"title", "output", "items", "encoders", "scans", "seed", "skip_bad"}, str(path))
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
        scans=tuple(_scan_entry(table, encoders, path) for table in _tables(data["scans"], path)),
        seed=int(data.get("seed", 0)),
        skip_bad=bool(data.get("skip_bad", False)),
        text=text,
    )
    DATASETS.make(study.items)
    return study


def plan(study: Study) -> list[Step]:
    """What a run would do, with sizes and estimated times; nothing is computed but the items.

    Raises:
        InputError: if the items or a model do not fit.
        FetchError: if a package or hub that they come from cannot be reached.
    """
    items = DATASETS.make(study.items).load()
    steps = [Step(f"items {study.items}", "done", f"{len(items)} items, views {', '.join(items.views)}")]
    current = True
    for encoder_entry, init in _runs(study):
        encoder = _load(study, encoder_entry, init)
        view = choose_view(encoder, items, encoder_entry.view)
        missing = len(study.store.missing(encoder, items, view=view, storage=encoder_entry.storage))
        label = f"extract {encoder_entry.name}{'' if init == 'pretrained' else f' ({TWIN})'} from {view!r}"
        weights = f"{encoder.n_parameters / 1e6:.1f} M parameters"
        size = f"{missing} of {len(items)} items, {len(encoder.layers)} layers, {weights}"
        seconds = _estimate(encoder, missing) if missing else 0.0
        steps.append(Step(label, "to do" if missing else "done", size, seconds))
        current = current and not missing
    for scan_entry in study.scans:
        done = current and (study.output / scan_entry.file).exists()
        size = f"{', '.join(scan_entry.metrics)}; {scan_entry.permutations} permutations"
        steps.append(Step(f"scan {scan_entry.x} × {scan_entry.y}", "done if unchanged" if done else "to do", size))
    steps.append(Step("report", "to do", str(study.page)))
    return steps


def run(study: Study, *, force: bool = False, say: Callable[[str], None] = notice) -> Outcome:
    """Do every step whose result is not there or not current; a second run computes nothing.

    Args:
        study: From `load_study`.
        force: Scan again even where the result is current (features are kept; delete the folder to redo them).
        say: Called with a line about each step.

    Raises:
        IsomorphError: whatever a step finds wrong; what earlier steps committed is kept.
    """
    items = DATASETS.make(study.items).load()
    say(f"{len(items)} items of {study.items}")
    features: _Features = {}
    for entry, init in _runs(study):
        encoder = _load(study, entry, init)
        view = choose_view(encoder, items, entry.view)
        missing = len(study.store.missing(encoder, items, view=view, storage=entry.storage))
        state = f"{missing} of {len(items)} items to encode" if missing else "all features are there"
        say(f"{encoder.name} on {view!r}: {state}")
        features[entry.name, init] = extract(
            encoder,
            items,
            view=view,
            store=study.store,
            batch_size=entry.batch_size,
            storage=entry.storage,
            skip_bad=study.skip_bad,
        )
        if entry.inputs and init == "pretrained":
            features[entry.name, INPUTS] = input_statistics(items, view).subset(features[entry.name, init].ids)
    scans = tuple(_scan(study, entry, features, items, force, say) for entry in study.scans)
    settings = {"study": study.text, "command": f"isomorph run STUDY.toml  # output = {study.output.name!r}"}
    page = write_report(list(scans), to=study.page, items=items, title=study.title, study=settings)
    return Outcome(page, scans)


def _scan(
    study: Study,
    entry: ScanEntry,
    features: _Features,
    items: PairedItems,
    force: bool,
    say: Callable[[str], None],
) -> Scan:
    x, y = features[entry.x, "pretrained"], features[entry.y, "pretrained"]
    baselines = [
        {name: features[side, kind] for name, kind in ((TWIN, "random"), (INPUTS, INPUTS)) if (side, kind) in features}
        for side in (entry.x, entry.y)
    ]
    key = fingerprint(
        {
            "features": [x.provenance, y.provenance, *({k: v.provenance for k, v in b.items()} for b in baselines)],
            "metrics": [make_metric(m).variant for m in entry.metrics],
            "settings": [entry.permutations, entry.alpha, entry.selection, entry.budget, study.seed],
            "groups": items.groups,
            "versions": {k: v for k, v in versions().items() if k in ("isomorph", "numpy", "scipy")},
        }
    )
    path = study.output / entry.file
    if path.exists() and not force:
        try:
            old = load_result(path)
        except InputError:  # damaged, or of another version: it is made again below
            old = None
        if isinstance(old, Scan) and old.provenance.get("study_key") == key:
            say(f"{entry.x} × {entry.y}: the scan is there and current")
            return old
    say(f"{entry.x} × {entry.y}: {len(x)} × {len(y)} layers, {', '.join(entry.metrics)}")
    groups = None if items.groups is None else _groups_of(items, x, y)
    result = scan(
        x,
        y,
        entry.metrics,
        permutations=entry.permutations,
        seed=study.seed,
        alpha=entry.alpha,
        x_baselines=baselines[0],
        y_baselines=baselines[1],
        groups=groups,
        selection=entry.selection,
        budget=entry.budget,
    )
    result = dataclasses.replace(
        result,
        dataset=study.items,
        provenance={**result.provenance, "study_key": key, "command": "isomorph run STUDY.toml"},
    )
    result.save(path)
    return result


def _groups_of(items: PairedItems, x: Layers, y: Layers) -> list[str]:
    assert items.groups is not None
    where = dict(zip(items.ids, items.groups, strict=True))
    there = set(y.ids)
    return [where[i] for i in x.ids if i in there]


def _runs(study: Study) -> list[tuple[EncoderEntry, str]]:
    """Every extraction: each encoder, followed by its untrained twin where asked for."""
    return [(e, init) for e in study.encoders.values() for init in ["pretrained", *(["random"] if e.untrained else [])]]


def _load(study: Study, entry: EncoderEntry, init: str) -> Encoder:
    extra = {"init": init, "seed": study.seed} if init == "random" else {}
    try:
        return load_encoder(entry.model, **{**entry.options, **extra})
    except TypeError as error:
        raise InputError(f"encoders.{entry.name}: {error}.") from error


def _estimate(encoder: Encoder, n_items: int) -> float:
    """Rough seconds on this machine: two operations a parameter and token, at a rate measured here and now."""
    import time

    import numpy as np

    a = np.ones((1024, 1024), dtype=np.float32)
    start = time.perf_counter()
    for _ in range(3):
        a @ a
    rate = 3 * 2 * 1024**3 / (time.perf_counter() - start)
    tokens = {"text": 16, "image": 257, "audio": 1500}.get(encoder.modality, 1)
    return n_items * 2.0 * encoder.n_parameters * tokens / rate


def _encoder_entry(name: str, table: Any, path: Path) -> EncoderEntry:
    table = dict(_table(table, f"encoders.{name}"))
    if "model" not in table:
        raise InputError(f"{path}: encoders.{name} has no 'model'.")
    own = {f.name for f in dataclasses.fields(EncoderEntry)} - {"name", "options"}
    return EncoderEntry(
        name=name,
        **{k: v for k, v in table.items() if k in own},
        options={k: v for k, v in table.items() if k not in own},
    )


def _scan_entry(table: Mapping[str, Any], encoders: Mapping[str, EncoderEntry], path: Path) -> ScanEntry:
    _known(table, {f.name for f in dataclasses.fields(ScanEntry)}, f"{path}, [[scans]]")
    for side in ("x", "y"):
        if side not in table:
            raise InputError(f"{path}: a [[scans]] table has no {side!r}; name two of the encoders.")
        if table[side] not in encoders:
            raise UnknownNameError(f"encoder in {path}", str(table[side]), encoders)
    metrics = table.get("metrics", DEFAULT_METRICS)
    metrics = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    for spec in metrics:
        make_metric(spec)
    return ScanEntry(**{**table, "metrics": metrics})


def _table(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{what} must be a table ([{what}]), found {type(value).__name__}.")
    return value


def _tables(value: Any, path: Path) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise InputError(f"{path}: scans must be a list of tables ([[scans]]), found {type(value).__name__}.")
    return [_table(v, "scans") for v in value]


def _known(table: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise UnknownNameError(f"setting in {where}", key, known)
