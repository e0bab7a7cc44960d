"""Embeddings in JSON and JSON lines: keyed by id, one object an item, or as services answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError, quoted
from ..files import parse_json, read_text
from ._read import Read, id_column, stacked

ENDINGS = (".json", ".jsonl", ".ndjson")
_VECTORS = ("embedding", "embeddings", "vector", "features", "feature", "values", "data")


def read(path: Path) -> Read:
    """Features of ``{id: vector}``, ``{id: {layer: vector}}``, ``{"ids": […], layer: [[…], …]}`` or rows of objects.

    A row has an id and a vector, or several by layer; answers of OpenAI's batches are understood.

    Raises:
        InputError: if it cannot be read, or is of none of these.
    """
    content = _content(path)
    if isinstance(content, dict) and isinstance(content.get("data"), list) and content.get("object") == "list":
        content = content["data"]  # the answer of a service of embeddings
    if isinstance(content, list):
        return _of_rows(content, path)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} holds {type(content).__name__}; embeddings keyed by id are needed.")
    ids = id_column([k for k, v in content.items() if isinstance(v, list) and v and isinstance(v[0], str)])
    if ids is not None:
        layers = {k: v for k, v in content.items() if k != ids and _is_matrix(v, len(content[ids]))}
        arrays = {k: stacked(dict(zip(map(str, content[ids]), v, strict=True)), path) for k, v in layers.items()}
        return Read(_found(arrays, path, content), content[ids], {}, rows_alone=False)
    if all(isinstance(v, dict) for v in content.values()):
        return Read(_by_layer(content, path), list(content), {}, rows_alone=False)
    return Read({path.stem: stacked(content, path)}, list(content), {}, rows_alone=False)


def _content(path: Path) -> Any:
    text = read_text(path, "features from")
    if path.suffix.lower() == ".json":
        try:
            return parse_json(text)
        except ValueError as error:
            raise InputError(f"{path} is no JSON text that can be read: {error}.") from error
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            rows.append(parse_json(line))
        except ValueError as error:
            raise InputError(f"{path}, line {number}: not JSON that can be read ({error}).") from error
    if rows and all(isinstance(r, dict) and len(r) == 1 and isinstance(next(iter(r.values())), list) for r in rows):
        return {k: v for row in rows for k, v in row.items()}  # {"id": vector} a line
    return rows


def _is_matrix(value: Any, n: int) -> bool:
    return isinstance(value, list) and len(value) == n and all(isinstance(v, list) for v in value)


def _of_rows(rows: list[Any], path: Path) -> Read:
    if not rows or not isinstance(rows[0], dict):
        if rows and isinstance(rows[0], list):
            return Read({path.stem: stacked({str(i): r for i, r in enumerate(rows)}, path)}, None, {}, rows_alone=False)
        raise InputError(f"{path} holds no rows of embeddings; one object an item, with an id and a vector, is needed.")
    opened = [_opened(row) for row in rows]
    id_ = id_column([k for k, v in opened[0].items() if isinstance(v, str | int)])
    layers = [k for k, v in opened[0].items() if isinstance(v, list) and v and not isinstance(v[0], str)]
    known = [k for k in layers if k.lower() in _VECTORS]
    layers = known if len(known) == 1 else layers
    numbered = [str(i) for i in range(len(opened))]
    for i, row in enumerate(opened):
        if not all(k in row for k in layers) or (id_ is not None and id_ not in row):
            raise InputError(f"{path}: row {i} has the fields {quoted([*row])}; {quoted([*opened[0]])} are in row 0.")
    arrays = {k: stacked(dict(zip(numbered, (row[k] for row in opened), strict=True)), path) for k in layers}
    ids = None if id_ is None else [row[id_] for row in opened]
    if id_ == "index" and all(row.get("object") == "embedding" for row in opened):
        ids = None  # the number of the input: no id
    return Read(_found(arrays, path, opened[0]), ids, {}, rows_alone=False)


def _opened(row: Any) -> dict[str, Any]:
    """A row with what OpenAI's batches wrap: ``custom_id`` beside ``response.body.data[0].embedding``."""
    if not isinstance(row, dict):
        return {}
    response = row.get("response")
    data = response.get("body", {}).get("data") if isinstance(response, dict) else None
    if isinstance(data, list) and data and isinstance(data[0], dict):
        return {"custom_id": row.get("custom_id"), "embedding": data[0].get("embedding")}
    return row


def _by_layer(content: Mapping[str, Mapping[str, Any]], path: Path) -> dict[str, Any]:
    first = next(iter(content.values()))
    layers = [k for k, v in first.items() if isinstance(v, list) and v and not isinstance(v[0], str)]
    for id_, row in content.items():
        lost = [k for k in layers if k not in row]
        if lost:
            raise InputError(f"{path}: item {id_!r} has no {lost[0]!r}; it has {quoted([*row])}.")
    return _found({k: stacked({i: row[k] for i, row in content.items()}, path) for k in layers}, path, first)


def _found(arrays: dict[str, Any], path: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
    if not arrays:
        raise InputError(f"{path}: none of the fields {quoted([*fields][:12])} holds vectors (lists of numbers).")
    return arrays
