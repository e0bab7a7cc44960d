"""`isomorph init`."""

from __future__ import annotations

import json
import sys
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
title = "{title}"
seed = 0
items = "{items}"
"""
ENCODER = """
[encoders.{name}]
model = "{model}"
# view = "image"       # which view of the items; may be left out where one fits
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
    from ..study import load_study

    if file.exists():
        raise InputError(f"{file} is there already: give another name, or remove it first.")
    if items is None and encoder is None and sys.stdin.isatty():
        items = typer.prompt("Items (`isomorph list datasets`)", default=DEFAULTS[0])
        answer = typer.prompt(
            "Encoders, NAME=MODEL with spaces between (`isomorph list models`)", " ".join(DEFAULTS[1])
        )
        encoder = answer.split()
    named = [_named(text) for text in encoder or DEFAULTS[1]]
    if len({name for name, _ in named}) < 2:
        raise InputError("--encoder: two of different names are needed, such as --encoder vision=… --encoder text=….")
    x, y = named[0][0], named[1][0]
    text = HEAD.format(file=file, title=file.stem.replace('"', "'"), items=(items or DEFAULTS[0]).replace('"', "'"))
    text += "".join(ENCODER.format(name=n, model=m, untrained=_twin(m, untrained)) for n, m in named)
    text += SCAN.format(x=x, y=y) + STITCH.format(x=x, y=y) + (ATLAS if len(named) > 2 else "") + TAIL
    write_target(file, text, "file")
    try:
        load_study(file)
    except Exception:  # whatever it is: a file that cannot be run is no beginning
        file.unlink()
        raise
    tell(json.dumps({"file": str(file)}))
    print(f"Wrote {file}. Next: isomorph run {file} --dry-run")


def _twin(model: str, wanted: bool) -> str:
    """Whether a model gets an untrained twin, as TOML; statistics of the inputs have no weights."""
    return str(wanted and not model.startswith("statistics:")).lower()


def _named(text: str) -> tuple[str, str]:
    """The two sides of NAME=MODEL.

    Raises:
        InputError: if it is something else.
    """
    name, equals, model = text.partition("=")
    if not equals or not model or not name.replace("-", "").replace("_", "").isalnum() or '"' in model:
        raise InputError(f"--encoder {text}: NAME=MODEL is needed, such as vision=bundled:dinov2-small.")
    return name, model
