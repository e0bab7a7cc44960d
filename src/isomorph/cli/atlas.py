"""`isomorph atlas`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.files import check_target
from ..atlases import AtlasSettings, atlas
from ..datasets import load_dataset
from ..errors import InputError, quoted
from ._settings import given_files, with_settings
from ._text import saved, show_atlas


@with_settings(AtlasSettings, metrics="--metric -m", within="--in-order")
def command(
    models: Annotated[list[str], typer.Argument(help="NAME=FILE of features of the same items; two or more.")],
    attributes: Annotated[
        Path | None, typer.Option(help="Table (.csv, .tsv) with a column model: what is known of the models.")
    ] = None,
    baseline: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE of the untrained twin of a model; repeatable.")
    ] = None,
    trend: Annotated[
        list[str] | None, typer.Option(help="Attribute that alignment may change with, as parameters; repeatable.")
    ] = None,
    threshold: Annotated[
        list[str] | None, typer.Option(help="Attribute: from which value on is alignment above twins or chance?")
    ] = None,
    trend_reference: Annotated[
        list[str] | None,
        typer.Option(help="Model that trends and thresholds are to, or ATTRIBUTE=VALUE of models; else all others."),
    ] = None,
    family: Annotated[
        str | None, typer.Option("--within", help="Attribute whose values are families with a level each, in trends.")
    ] = None,
    specialist: Annotated[
        list[str] | None, typer.Option(help="Model that may lie outside the pool; repeatable.")
    ] = None,
    pool: Annotated[
        list[str] | None, typer.Option(help="Model of the pool, ATTRIBUTE=VALUE, or a value of role; repeatable.")
    ] = None,
    factor: Annotated[
        list[str] | None, typer.Option(help="Attribute that may explain which models are alike; repeatable.")
    ] = None,
    items: Annotated[str | None, typer.Option(help="Dataset spec, for labels and groups of the items.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Folder for the scores of all layers with all layers, one .npy file a metric.")
    ] = None,
    to: Annotated[Path, typer.Option(help="Result file.")] = Path("atlas.json"),
    *,
    settings: dict[str, Any],
) -> None:
    """Compare many models, all with all, each pair with its chance, and say what goes with their alignment.

    Example: isomorph atlas a=vision.npz b=twin.npz t=text.npz -m cka --attributes m.csv --trend size
    """
    check_target(to)
    given = given_files(models)
    reference = _named(trend_reference, given, "--trend-reference")
    asked: list[dict[str, Any]] = [
        {"ask": "trend", "attribute": name, "reference": reference, "within": family} for name in trend or []
    ]
    asked += [{"ask": "threshold", "attribute": name, "reference": reference} for name in threshold or []]
    for option, needed, present in (("--specialist", "--pool", specialist and not pool),
                                    ("--pool", "--specialist", pool and not specialist),
                                    ("--within", "--trend", family and not trend),
                                    ("--trend-reference", "--trend or --threshold",
                                     trend_reference and not (trend or threshold))):  # fmt: skip
        if present:
            raise InputError(f"{option} is given without {needed}, which it goes with; add {needed}, or leave it out.")
    if specialist:
        roles = {"specialists": specialist, "pool": _named(pool, given, "--pool")}
        asked.append({"ask": "divergence"} | roles)
        if settings.get("domains"):
            asked.append({"ask": "domain_divergence"} | roles)
    if factor:
        asked.append({"ask": "factors", "factors": factor})
    found = atlas(
        given,
        attributes=attributes,
        baselines=given_files(baseline) or None,
        questions=[{k: v for k, v in q.items() if v is not None} for q in asked],
        items=load_dataset(items) if items else None,
        keep=keep,
        **settings,
    )
    show_atlas(found)
    saved(found, to)


def _named(names: list[str] | None, models: Any, option: str) -> Any:
    """Models: names, one value of an attribute, or one name that may be a role.

    Raises:
        InputError: if ATTRIBUTE=VALUE stands beside other names.
    """
    if not names:
        return None
    if not any("=" in n and n not in models for n in names):
        return names[0] if len(names) == 1 else names
    pairs = [n.partition("=") for n in names]
    if not all(a and eq and v for a, eq, v in pairs):
        raise InputError(
            f"{option} {quoted(' '.join(names))}: give names of models, or ATTRIBUTE=VALUE such as modality=text."
        )
    return {a: v for a, _, v in pairs}
