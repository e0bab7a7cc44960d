"""`isomorph fuse`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from .._core.files import check_target
from ..datasets import load_dataset, read_column
from ..errors import InputError, UnknownNameError, quoted
from ..fusion import FuseSettings, fuse
from ..matching import one_layer
from ..store import Layers
from ._settings import given_files, with_settings
from ._text import saved

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_FEATURES = (".npz", ".npy", ".safetensors", ".pt")


@with_settings(FuseSettings, heads="--head")
def command(
    spaces: Annotated[list[str], typer.Argument(help="NAME=FILE of features of the same items; two or more.")],
    target: Annotated[
        str,
        typer.Option(
            help="What is to be told: a table of ids and values (.csv, .tsv, .jsonl, .parquet), a label set of --items "
            "(or 'group'), or features whose rows are to be found."
        ),
    ],
    column: Annotated[str | None, typer.Option(help="Column of the table, if there are several.")] = None,
    id_column: Annotated[str, typer.Option(help="Column of the table that holds the ids.")] = "id",
    target_kind: Annotated[
        str | None, typer.Option(help="classes, labels (several an item, parted by ;), numbers or rows; else guessed.")
    ] = None,
    layer: Annotated[
        list[str] | None, typer.Option(help="NAME=LAYER of a space, or target=LAYER; else all are tried; repeatable.")
    ] = None,
    baseline: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE of the untrained twin of a space's encoder; repeatable.")
    ] = None,
    second: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE of a second model of a space's kind; repeatable.")
    ] = None,
    items: Annotated[str | None, typer.Option(help="Dataset spec, for labels and groups of the items.")] = None,
    to: Annotated[Path, typer.Option(help="Result file.")] = Path("fusion.json"),
    *,
    settings: dict[str, Any],
) -> None:
    """Say what several spaces tell of a target together, beside each alone and beside every control.

    Example: isomorph fuse image=vision.npz text=text.npz --target labels.csv --head concat --to fusion.json
    """
    check_target(to)
    views = _at_layers(given_files(spaces), layer)
    views, goal, name = _goal(views, target, column, id_column, target_kind, layer)
    result = fuse(
        views,
        goal,
        target_kind=target_kind,  # type: ignore[arg-type]  # checked by the verb
        target_name=name,
        baselines=given_files(baseline),
        seconds=given_files(second),
        items=load_dataset(items) if items else None,
        **settings,
    )
    print(result)
    print(result.verdict)
    for note in result.notes:
        print(note)
    saved(result, to)


def _at_layers(spaces: Mapping[str, Layers], chosen: list[str] | None) -> dict[str, Layers]:
    """The spaces, each with the layer that was asked for."""
    wanted = _layers(chosen)
    for name in wanted:
        if name not in spaces and name != "target":
            raise UnknownNameError("space in --layer", name, spaces)
    return {n: one_layer(s, wanted[n], n) if n in wanted else s for n, s in spaces.items()}


def _layers(chosen: list[str] | None) -> dict[str, str]:
    """Space -> layer, out of NAME=LAYER.

    Raises:
        InputError: if one is not of that form.
    """
    found = {}
    for pair in chosen or []:
        name, equals, layer = pair.partition("=")
        if not (name and equals and layer):
            raise InputError(f"--layer {quoted(pair)} is not of the form NAME=LAYER, such as image=last.")
        found[name] = layer
    return found


def _goal(
    spaces: dict[str, Layers],
    target: str,
    column: str | None,
    id_column: str,
    kind: str | None,
    chosen: list[str] | None,
) -> tuple[dict[str, Layers], Any, str | None]:
    """The spaces in the order of the target's items, the target, and what it is called.

    Raises:
        InputError: if the target's file does not fit, or has nothing for an item.
    """
    ending = Path(target).suffix.lower()
    if ending in _FEATURES:
        goal = one_layer(Layers.load(target), _layers(chosen).get("target"), "target")
        common = goal
        for space in spaces.values():
            common, _ = common.join(space)
        return {n: common.join(s)[1] for n, s in spaces.items()}, goal.join(common)[0], Path(target).stem
    if ending not in _TABLES:
        return spaces, target, None
    name, values = read_column(target, column, id_column)
    common = next(iter(spaces.values()))
    for space in spaces.values():
        common, _ = common.join(space)
    if common.ids_given:
        lost = [i for i in common.ids if i not in values]
        if lost:
            raise InputError(
                f"{target} has nothing for {len(lost)} of {common.n} items, such as {quoted(lost[0])}; its column "
                f"{id_column!r} holds {quoted(next(iter(values)))}, …. Add them, or leave them out of the features."
            )
        found = [values[i] for i in common.ids]
    elif len(values) == common.n:
        found = list(values.values())
    else:
        raise InputError(
            f"{target} has {len(values)} rows, the features have {common.n} and no ids to join by; one row each, in "
            "their order, is needed."
        )
    return {n: common.join(s)[1] for n, s in spaces.items()}, _read(found, kind, target, name), name


def _read(values: list[Any], kind: str | None, path: str, column: str) -> Any:
    """Values of a table as a target: lists are labels, numbers that are not all whole are numbers, others classes.

    Raises:
        InputError: if numbers are asked for, and there are others.
    """
    if kind == "labels":
        return [v if isinstance(v, list) else [w.strip() for w in str(v).split(";") if w.strip()] for v in values]
    if any(isinstance(v, list) for v in values):
        return values
    numbers = [_number(v) for v in values]
    known = [v for v in numbers if v is not None]
    if kind == "numbers" and len(known) < len(values):
        odd = values[numbers.index(None)]
        raise InputError(f"{path}: column {column!r} holds {quoted(odd)}, no number; leave out --target-kind numbers.")
    whole = all(v == int(v) for v in known if np.isfinite(v))
    if kind == "numbers" or (kind is None and len(known) == len(values) and not whole):
        return np.array(known)
    return [str(v) for v in values]


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
