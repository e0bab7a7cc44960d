"""`isomorph concepts`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.files import check_target
from ..concept_maps import ConceptSettings, concepts
from ..datasets import load_dataset, read_columns
from ..errors import InputError, quoted
from ..store import Layers
from ._settings import given_files, with_settings
from ._text import saved

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


@with_settings(ConceptSettings, metric=None)
def command(
    x: Annotated[Path, typer.Argument(help="Features: .npz, .npy, .safetensors or platonic-rep's .pt.")],
    y: Annotated[Path, typer.Argument(help="Features of the same items, of another modality.")],
    metric: Annotated[
        str | None,
        typer.Option("--metric", "-m", help="Metric with a score per item, such as cka."),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            help="Concepts: a label set of --items, 'words' of their texts, or a table with a column id, each other "
            "column of which is a label set (.csv, .tsv, .jsonl, .parquet); repeatable. Else the first set of --items."
        ),
    ] = None,
    x_ceiling: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE of another model of X's modality; repeatable.")
    ] = None,
    y_ceiling: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE of another model of Y's modality; repeatable.")
    ] = None,
    covariate: Annotated[
        list[str] | None,
        typer.Option(
            help="What may predict agreement: a label set of --items, what can be computed (word_count, hubness, …), "
            "or a table with a column id, all other columns of which are taken; repeatable."
        ),
    ] = None,
    other: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE of a third modality of the same items; one.")
    ] = None,
    items: Annotated[str | None, typer.Option(help="Dataset spec, for labels, groups and texts of the items.")] = None,
    to: Annotated[Path, typer.Option("--to", "--out", help="Result file.")] = Path("concepts.json"),
    report: Annotated[Path | None, typer.Option(help="Draw the page of the map here as well.")] = None,
    *,
    settings: dict[str, Any],
) -> None:
    """Map which items and concepts X and Y see alike, each with its chance, and what is bound to either.

    Example: isomorph concepts vision.npz text.npz --labels labels.csv --metric cka
    """
    check_target(to)
    if report is not None:
        check_target(report)
    left, right = Layers.load(x), Layers.load(y)
    given = load_dataset(items) if items else None
    found = concepts(
        left,
        right,
        items=given,
        labels=_label_sets(labels, left, right),
        x_ceilings=given_files(x_ceiling) or None,
        y_ceilings=given_files(y_ceiling) or None,
        covariates=_covariates(covariate),
        others=given_files(other) or None,
        x_name=x.stem,
        y_name=y.stem,
        **({} if metric is None else {"metric": metric}) | settings,
    )
    print(found)
    saved(found, to)
    if report is not None:
        from ..reporting import report as write_report

        print(write_report(found, to=report, items=given))


def _covariates(asked: Sequence[str] | None) -> dict[str, Any] | None:
    """Covariates by name; those of a table as values by id.

    Raises:
        InputError: if one is given twice.
    """
    found: dict[str, Any] = {}
    for name in asked or ():
        columns = read_columns(name) if Path(name).suffix.lower() in _TABLES else {name: name}
        for column, values in columns.items():
            if column in found:
                raise InputError(f"--covariate: {quoted(column)} is given twice; leave one out.")
            found[column] = values
    return found or None


def _label_sets(asked: Sequence[str] | None, left: Layers, right: Layers) -> Any:
    """Label sets by name; those of a table as concepts with the ids of their items.

    Raises:
        InputError: if a table has none of the items, a set is named twice, or the features have no ids to join by.
    """
    if not asked:
        return None
    found: dict[str, Any] = {}
    for name in asked:
        sets = _of_table(name, left, right) if Path(name).suffix.lower() in _TABLES else {name: name}
        for label_set, given in sets.items():
            if label_set in found:
                raise InputError(f"--labels: the label set {quoted(label_set)} is given twice; leave one out.")
            found[label_set] = given
    return next(iter(found)) if len(found) == 1 and isinstance(next(iter(found.values())), str) else found


def _of_table(path: str, left: Layers, right: Layers) -> dict[str, dict[str, list[str]]]:
    if not (left.ids_given and right.ids_given):
        raise InputError(
            f"--labels {quoted(path)} is joined by ids, and the features have none; save them with ids, or use --items."
        )
    ids = left.join(right)[0].ids
    found: dict[str, dict[str, list[str]]] = {}
    for column, values in read_columns(path).items():
        concepts_of: dict[str, list[str]] = {}
        for i in ids:
            if (value := values.get(i)) is not None:
                concepts_of.setdefault(f"{value:g}" if isinstance(value, float) else str(value), []).append(i)
        if not concepts_of:
            raise InputError(
                f"--labels {quoted(path)}: column {quoted(column)} has nothing for any of the {len(ids)} items, which "
                f"have ids such as {quoted(ids[0])}; its own begin with {quoted(next(iter(values), ''))}."
            )
        found[column] = concepts_of
    if not found:
        raise InputError(f"--labels {quoted(path)} has no column beside its ids.")
    return found
