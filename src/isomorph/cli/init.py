"""`isomorph init`."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from .._core.files import write_target
from ..errors import InputError
from ._text import tell

HEAD = """\
# A study: which items, which encoders, which comparisons. Run it with
#     isomorph run {file} --dry-run      the plan, with sizes and estimated times
#     isomorph run {file}                everything that is not there yet, and the page
# `isomorph list datasets`, `list models`, `list metrics` and `list maps` show what a name may be.
title = {title}
seed = 0
items = {items}
"""
ENCODER = """
[encoders.{name}]
model = {model}
{view}
# pooling = "mean"     # how the tokens of an item become one row
untrained = {untrained}     # the same architecture untrained, as a baseline of every comparison
# inputs = true        # statistics of the inputs themselves as another baseline
"""
SCAN = """
[[scans]]                # every layer of x with every layer of y, each score with its chance level
x = "{x}"
y = "{y}"
metrics = ["mutual_knn(k=10)", "cka"]
permutations = 500
# selection = "split"  # choose the layers on one half of the items and score them on the other
# strata = "label"     # permute items inside a label only
"""
STITCH = """
[[stitches]]             # maps from x to y, fitted on some items and scored on others
x = "{x}"
y = "{y}"
maps = ["ridge", "orthogonal"]
"""
ATLAS = """
[[atlases]]              # all encoders with each other
models = ["*"]
metrics = ["mutual_knn(k=10)", "cka"]
"""
TAIL = """
[diagnose]               # known ways in which similarity misleads, looked for in every scanned pair
"""
NO_VIEW = '# view = "image"       # which view of the items; may be left out where one fits'
BY_MODALITY = {
    "image": ("bundled:dinov2-small", "bundled:efficientnet-lite0"),
    "text": ("bundled:minilm-l6", "bundled:smollm2-135m"),
    "audio": ("bundled:whisper-tiny.en", "bundled:resemblyzer"),
}
"""The models that a folder without a study is seen by: of each modality one, or two if it is the only view."""
LEAST = 12
"""Items that mutual kNN among 10 neighbours needs."""
DEFAULTS = ("emoji(n=300, seed=0)", ("vision=bundled:dinov2-small", "text=bundled:minilm-l6"))


def command(
    file: Annotated[Path, typer.Argument(help="Study file to write.")] = Path("study.toml"),
    items: Annotated[
        str | None, typer.Option(help="Dataset spec, such as \"folder(path='photos')\"; `isomorph list datasets`.")
    ] = None,
    encoder: Annotated[list[str] | None, typer.Option(help="NAME=MODEL, repeatable; two at least.")] = None,
    untrained: Annotated[bool, typer.Option("--untrained/--no-untrained", help="Untrained twins as baselines.")] = True,
) -> None:
    """Write a study file with comments, to begin from.

    Without options it asks for the items and the encoders where somebody can answer, and takes the emoji otherwise.

    Example: isomorph init mine.toml --encoder vision=statistics:image --encoder text=statistics:text
    """
    if os.path.isdir(file):  # noqa: PTH112 (Path.is_dir raises where a parent cannot be read)
        raise InputError(
            f"{file} is a folder, and the name of a study file to write is needed, such as mine.toml; `isomorph run "
            f"{_typed(file)}` writes a study of what a folder holds and runs it."
        )
    if os.path.lexists(file):
        raise InputError(f"{file} is there already: give another name, or remove it first.")
    if items is None and encoder is None and sys.stdin.isatty():
        items = typer.prompt("Items (`isomorph list datasets`)", default=DEFAULTS[0])
        answer = typer.prompt(
            "Encoders, NAME=MODEL with spaces between (`isomorph list models`)", " ".join(DEFAULTS[1])
        )
        encoder = answer.split()
    named = [_named(text) for text in encoder or DEFAULTS[1]]
    if len({name for name, _ in named}) < max(2, len(named)):
        raise InputError(
            "--encoder: two names are needed and none of them twice, such as --encoder vision=… --encoder text=…."
        )
    write_study(file, items or DEFAULTS[0], [(n, m, None) for n, m in named], untrained=untrained)
    tell(json.dumps({"file": str(file)}))
    print(f"Wrote {file}. Next: isomorph run {_typed(file)} --dry-run")


def write_study(
    file: Path, items: str, encoders: Sequence[tuple[str, str, str | None]], *, untrained: bool = True
) -> None:
    """Write a study file with comments.

    Args:
        file: The file.
        items: The dataset's spec.
        encoders: Name, model and view of each; a view of None is told by the model's modality.
        untrained: Whether models have untrained twins as baselines.

    Raises:
        InputError: if what was given makes no study; no file is left then.
    """
    from ..study import load_study

    x, y = encoders[0][0], encoders[1][0]
    typed = re.sub(r"[\x00-\x1f\x7f]", "?", _typed(file))  # a line break would end the comment
    text = HEAD.format(file=typed, title=_toml(file.stem), items=_toml(items))
    for name, model, view in encoders:
        seen = NO_VIEW if view is None else f"view = {_toml(view)}"
        text += ENCODER.format(name=name, model=_toml(model), view=seen, untrained=_twin(model, untrained))
    text += SCAN.format(x=x, y=y) + STITCH.format(x=x, y=y) + (ATLAS if len(encoders) > 2 else "") + TAIL
    write_target(file, text, "file")
    try:
        load_study(file)
    except BaseException:  # whatever it is: a file that cannot be run is no beginning
        file.unlink()
        raise


def study_of(folder: Path) -> Path:
    """The study file of a folder of pictures with captions and the like, written here if it is not there yet.

    Args:
        folder: The folder: files of one name are one item.

    Raises:
        InputError: if the folder is none, no models are known for what it holds, or another study has its name.
    """
    from ..datasets import load_dataset

    file = Path(f"{folder.resolve().name}.toml")
    path = str(folder.absolute() if str(folder).startswith("~") else folder)  # a bare ~ would be somebody's home
    try:
        f"{path}{file}".encode()
    except UnicodeEncodeError:
        raise InputError(f"{path!r}: the name of the folder is no text in UTF-8; rename the folder.") from None
    spec = f"folder(path={path!r})"
    by_hand = f"isomorph init NAME.toml --items {_quoted(spec)} --encoder NAME=MODEL --encoder NAME=MODEL"
    if os.path.lexists(file):
        if not _is_of(file, folder):
            raise InputError(
                f"{folder} is a folder; its study would be {file}, which is there and has other items. Rename that "
                f"file, run this in another directory, or write one by hand: {by_hand}"
            )
        print(f"{file} is the study of {folder}; edit it for other models or comparisons.")
        return file
    try:
        items = load_dataset(spec)
    except InputError as error:
        raise InputError(f"{error} Options of the items stand in a study that is written by hand: {by_hand}") from None
    views = {name: view.modality for name, view in items.views.items()}
    unknown = sorted(set(views.values()) - set(BY_MODALITY))
    if unknown:
        raise InputError(
            f"{folder} holds {unknown[0]}, of which no model comes with Isomorph: name models with {by_hand}"
        )
    if len(items) < LEAST:
        raise InputError(
            f"{folder} holds {len(items)} items, and {LEAST} at least are needed to compare two models of them: add "
            f"some, or write a study by hand and lower k of mutual_knn in it: {by_hand}"
        )
    if len(views) == 1:
        ((view, kind),) = views.items()
        encoders = [(model.partition(":")[2].replace(".", "-"), model, view) for model in BY_MODALITY[kind]]
    else:
        encoders = [(re.sub(r"[^\w-]", "-", view), BY_MODALITY[kind][0], view) for view, kind in views.items()]
    write_study(file, spec, encoders)
    told = ", ".join(f"{model} sees {view!r}" for _, model, view in encoders)
    print(f"Wrote {file}: {told}. Edit it for other models or comparisons.")
    return file


def _is_of(file: Path, folder: Path) -> bool:
    """Whether a file is a study of a folder, whatever way the folder is written and whatever else is set."""
    from ..datasets import REGISTRY
    from ..datasets.folder import Folder
    from ..study import load_study

    try:
        made = REGISTRY.make(load_study(file).items)
    except InputError as error:
        raise InputError(
            f"{folder} is a folder; its study would be {file}, which is there and is none; rename it. ({error})"
        ) from error
    try:
        return isinstance(made, Folder) and Path(made.path).expanduser().resolve() == folder.resolve()
    except RuntimeError:  # a home of nobody
        return False


def _toml(text: str) -> str:
    """A text as TOML writes it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _typed(file: Path) -> str:
    """A file as a shell and a command line read it: a dash at the beginning would be an option."""
    return shlex.quote(f"./{file}" if str(file).startswith("-") else str(file))


def _quoted(text: str) -> str:
    """A text as a shell reads it, in double quotes where nothing in it means anything there."""
    return shlex.quote(text) if re.search(r'["$`\\!]', text) else f'"{text}"'


def _twin(model: str, wanted: bool) -> str:
    """Whether a model gets an untrained twin, as TOML; statistics of the inputs have no weights."""
    return str(wanted and not model.startswith("statistics:")).lower()


def _named(text: str) -> tuple[str, str]:
    """The two sides of NAME=MODEL.

    Raises:
        InputError: if it is something else.
    """
    name, equals, model = text.partition("=")
    if not equals or not model or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise InputError(f"--encoder {text}: NAME=MODEL is needed, such as vision=bundled:dinov2-small.")
    return name, model
