"""`isomorph compare-models`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.files import check_target
from ..conditions import load_side
from ..conditions.sides import RDM_FILE
from ..errors import InputError, quoted
from ..model_comparison import ModelComparisonSettings, compare_models
from ._settings import given_files, with_settings
from ._text import saved


@with_settings(ModelComparisonSettings)
def command(
    rdms: Annotated[
        list[str], typer.Argument(help="RDMs of the subjects (.npy, .mat, .h5, .csv), or REGION=FILE of several.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="NAME=FILE of features or NAME=rdms:FILE of RDMs, each layer or RDM a model; repeatable.",
        ),
    ] = None,
    to: Annotated[Path, typer.Option("--to", "--out", help="Result file.")] = Path("models.json"),
    *,
    settings: dict[str, Any],
) -> None:
    """Compare models by RDMs of several subjects: against chance, the noise ceiling and each other.

    RDMs and models are joined by the names of the items where both have them.

    Example: isomorph compare-models rdms.npy --model vision=vision.npz
    """
    check_target(to)
    if not model:
        raise InputError("There is no model; give one or more, such as --model pixels=pixels.npz.")
    alone = len(rdms) == 1 and not ("=" in rdms[0] and not _is_there(rdms[0]))
    unnamed = [] if alone else [v for v in rdms if "=" not in v]
    if unnamed:
        raise InputError(
            f"{quoted(unnamed[0])} names no region; of several files each is given as REGION=FILE, such as "
            f"{Path(unnamed[0]).stem}={unnamed[0]}."
        )
    given = load_side(_as_rdms(rdms[0]))[1] if alone else given_files([_as_rdms(v) for v in rdms])
    found = compare_models(given, given_files(model), **settings)
    print(found)
    saved(found, to)


def _as_rdms(given: str) -> str:
    """A file, or NAME=FILE, that is read as RDMs."""
    name, equals, path = given.rpartition("=") if not _is_there(given) else ("", "", given)
    return f"{name}{equals}{path if path.startswith(RDM_FILE) else RDM_FILE + path}"


def _is_there(path: str) -> bool:
    """Whether there is such a file; a name that no file can have is none."""
    try:
        return Path(path).exists()
    except OSError:
        return False
