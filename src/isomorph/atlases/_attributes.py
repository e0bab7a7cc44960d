"""Attributes of models: what their encoders say of themselves, and what a user adds in a table or a mapping."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._core.arrays import to_numpy
from .._core.files import read_text
from ..conditions import Side
from ..errors import InputError, UnknownNameError, quoted
from ..metrics.statistics import participation_ratio
from ..store import Layers

Value = str | float | None
_NAMES = ("model", "name", "id")
_FACTS = {"n_parameters": "parameters"} | {k: k for k in ("family", "objective", "data", "confounds")}


def attributes_of(models: Mapping[str, Any], sides: Mapping[str, Side], given: Any) -> dict[str, tuple[Value, ...]]:
    """Attribute -> one value a model, None where it is not known.

    Args:
        models: Model -> what the user gave.
        sides: Model -> its layers.
        given: A table (.csv, .tsv) with a column of models; or a mapping from attribute to values, or from model to
            attributes.

    Raises:
        InputError: if the table cannot be read, or names other models.
    """
    found: dict[str, dict[str, Value]] = {}
    for name, side in sides.items():
        for attribute, value in _facts(models[name], side).items():
            found.setdefault(attribute, {})[name] = value
    for attribute, values in _read(given, list(sides)).items():
        found.setdefault(attribute, {}).update(values)
    return {a: tuple(values.get(name) for name in sides) for a, values in found.items()}


def _facts(given: Any, side: Side) -> dict[str, Value]:
    """What is known of a model without being told."""
    facts: dict[str, Value] = {}
    if isinstance(given, Layers):
        if given.n_parameters:
            facts["parameters"] = float(given.n_parameters)
        facts["modality"] = given.modality
    for key, attribute in _FACTS.items():
        value = side.facts.get(key)
        if isinstance(value, (str, int, float)) and value not in ("", 0):
            facts.setdefault(attribute, value if isinstance(value, str) else float(value))
    last = list(side.layers)[-1]
    facts["depth"] = float(len(side.layers))
    facts["width"] = float(side.width(last))
    with contextlib.suppress(InputError):  # of a layer that does not vary, as the metrics say, or of an RDM
        facts["participation ratio"] = round(float(participation_ratio(np.asarray(to_numpy(side.features(last))))), 6)
    return facts


def _read(given: Any, models: Sequence[str]) -> dict[str, dict[str, Value]]:
    if given is None:
        return {}
    if isinstance(given, (str, os.PathLike)):
        return read_attributes(Path(given), models)
    if hasattr(given, "to_dict") and hasattr(given, "index"):  # a data frame, a model a row
        return _by_attribute({str(k): dict(v) for k, v in given.to_dict().items()}, models)
    if not isinstance(given, Mapping) or not given:
        raise InputError(
            "attributes must be a table (.csv) or a mapping from attribute to one value a model, found "
            f"{quoted(given)}."
        )
    if all(isinstance(v, Mapping) for v in given.values()) and set(map(str, given)) <= set(models):
        turned: dict[str, dict[str, Any]] = {}
        for model, values in given.items():
            for attribute, value in values.items():
                turned.setdefault(str(attribute), {})[str(model)] = value
        return _by_attribute(turned, models)
    return _by_attribute({str(k): v for k, v in given.items()}, models)


def _by_attribute(given: Mapping[str, Any], models: Sequence[str]) -> dict[str, dict[str, Value]]:
    found = {}
    for attribute, told in given.items():
        values = told
        if not isinstance(told, Mapping):
            if isinstance(told, (str, bytes)) or not hasattr(told, "__len__") or len(told) != len(models):
                raise InputError(
                    f"attributes[{attribute!r}]={quoted(told)}: one value for each of the {len(models)} models is "
                    "needed, or a mapping from model to value."
                )
            values = dict(zip(models, told, strict=True))
        for model in values:
            if str(model) not in models:
                raise UnknownNameError(f"model in attributes[{attribute!r}]", str(model), models)
        found[attribute] = {str(m): _value(v, attribute, str(m)) for m, v in values.items()}
    return found


def _value(value: Any, attribute: str, model: str) -> Value:
    """A text or a number.

    Raises:
        InputError: if it is neither.
    """
    if value is None or isinstance(value, str):
        return value or None
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"attributes[{attribute!r}][{model!r}]={quoted(value)} must be a text or a number.") from error
    if math.isinf(number):
        raise InputError(f"attributes[{attribute!r}][{model!r}] is infinite; give a finite number or leave it out.")
    return None if math.isnan(number) else number


def read_attributes(path: Path, models: Sequence[str]) -> dict[str, dict[str, Value]]:
    r"""Attribute -> model -> value, out of a table (.csv, .tsv) with a column of models.

    Args:
        path: The table; rows of other models are passed over.
        models: Names of the models.

    Raises:
        InputError: if it cannot be read, has no column of models, a model twice, or none of these models.

    Example:
        >>> _ = Path("models.csv").write_text("model,size,family\nvit-s,22,vit\n")
        >>> read_attributes(Path("models.csv"), ["vit-s", "minilm"])
        {'size': {'vit-s': 22.0}, 'family': {'vit-s': 'vit'}}
    """
    text = read_text(path, "the attributes of the models")
    rows = list(csv.DictReader(io.StringIO(text), delimiter="\t" if path.suffix == ".tsv" else ","))
    columns = list(rows[0]) if rows else []
    key = next((c for c in _NAMES if c in columns), None)
    if key is None:
        raise InputError(
            f"{path}: a column 'model' with the names of the models is needed, found {', '.join(columns) or 'no rows'}."
        )
    found: dict[str, dict[str, Value]] = {}
    seen: set[str] = set()
    for row in rows:
        model = row[key]
        if model in seen:
            raise InputError(f"{path} has the model {quoted(model)} twice; one row each is needed.")
        seen.add(model)
        if model not in models:  # one table may serve several atlases
            continue
        for attribute, value in row.items():
            if attribute not in (key, None):
                found.setdefault(attribute, {})[model] = _cell(value)
    if not seen & set(models):
        raise InputError(
            f"{path} has none of the models {', '.join(models)}; its {key}s are {', '.join(sorted(seen)[:5])}."
        )
    return found


def _cell(text: str | None) -> Value:
    text = (text or "").strip()
    try:
        number = float(text)
    except ValueError:
        return text or None
    return number if math.isfinite(number) else text
