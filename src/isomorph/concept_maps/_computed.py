"""Covariates by name: columns of a table, label sets, what is made of the items, and what is made of the features."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._core.arrays import as_features, to_numpy
from .._core.linalg import directions
from .._core.registry import bind, parse_spec
from ..datasets import MEASURES, PairedItems, measured, read_columns, read_labels
from ..errors import InputError, UnknownNameError, quoted
from ..metrics import metric

Floats = np.ndarray[Any, Any]


def center_distance(features: Any) -> Floats:
    """Distance of each item to the mean of all, over the root mean square of these distances."""
    rows = np.asarray(to_numpy(as_features(features)), dtype=np.float64)
    away = rows - rows.mean(axis=0)
    found = np.linalg.norm(np.ldexp(away, -int(np.frexp(np.abs(away).max(initial=0.0))[1])), axis=1)
    size = float(np.sqrt(np.mean(found**2)))
    return np.asarray(found / size if size > 0 else found)


def local_density(features: Any, k: int = 10) -> Floats:
    """Mean cosine of each item with its k nearest neighbours: high where items crowd."""
    rows = np.asarray(to_numpy(as_features(features)), dtype=np.float64)
    unit, graph = directions(rows), _graph(features, k)
    weights, found = graph.weights, np.empty(len(unit))
    for i, (start, stop) in enumerate(zip(graph.start[:-1], graph.start[1:], strict=True)):
        found[i] = weights[start:stop] @ (unit[graph.target[start:stop]] @ unit[i]) / k
    return found


def hubness(features: Any, k: int = 10) -> Floats:
    """In how many lists of k nearest neighbours (by cosine) each item is: its k-occurrence; k on average."""
    graph = _graph(features, k)
    return np.bincount(graph.target, weights=graph.weights, minlength=graph.n)


_SPACES: dict[str, Callable[..., Floats]] = {f.__name__: f for f in (center_distance, local_density, hubness)}
COMPUTED = (*MEASURES, *_SPACES)
"""Names of covariates that can be computed."""


def read_covariates(
    given: Any,
    *,
    items: PairedItems | None = None,
    sides: Mapping[str, Any] | None = None,
    ids: Sequence[str] | None = None,
    n: int,
) -> dict[str, Any]:
    """Covariate -> one value an item, of whatever a user gives; `read_columns` of `_covariates` checks the values.

    Args:
        given: A mapping from name to values (a list, a mapping from id to value, or the name of one that can be had); a
            name or several: a covariate or label set of the items, ``"groups"``, or one of `COMPUTED`, such as
            ``"word_frequency(language='de')"``, ``"hubness"`` (of both sides) or ``"hubness(side='x', k=5)"``; or the
            path of a table with a column of ids, all of whose other columns are taken. None is no covariate.
        items: The items, in the order of the rows.
        sides: ``"x"`` and ``"y"`` -> features (n, d).
        ids: Ids of the rows, which a table is joined by.
        n: Number of items.

    Raises:
        InputError: if something names what is not there, a name is given twice, or a table has none of the items.
        UnknownNameError: if there is no such covariate.

    Example:
        >>> items = iso.PairedItems("pets", ("1", "2"), {"text": ["a cat on a mat", "a dog"]}, {"kind": ("cat", "dog")})
        >>> found = read_covariates(["kind", "word_count"], items=items, n=2)
        >>> found["kind"], found["word_count"].tolist()
        (('cat', 'dog'), [5.0, 2.0])
    """
    if given is None:
        return {}
    if isinstance(given, os.PathLike) or (isinstance(given, str) and Path(given).suffix and "(" not in given):
        return _table(Path(given), ids, n)
    found: dict[str, Any] = {}
    if isinstance(given, Mapping):
        for name, values in given.items():
            named = _by_name(values, items, sides, n) if isinstance(values, str) else {str(name): values}
            _add(found, {str(name): next(iter(named.values()))} if len(named) == 1 else named)
        return found
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"covariates={quoted(given)}: a mapping from name to values, names, or the path of a table is needed."
        )
    for name in names:
        _add(found, _by_name(name, items, sides, n))
    return found


def _add(found: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, values in more.items():
        if name in found:
            raise InputError(f"covariates: {quoted(name)} is given twice.")
        found[name] = values


def _by_name(spec: str, items: PairedItems | None, sides: Mapping[str, Any] | None, n: int) -> dict[str, Any]:
    if items is not None and (spec in items.labels or (spec == "groups" and items.groups is not None)):
        return {spec: read_labels(items, spec, n, "covariates")}
    if items is not None and spec in items.covariates:
        return {spec: items.covariates[spec]}
    name, args, kwargs = parse_spec(spec, "covariate")
    if name in MEASURES:
        if items is None:
            raise InputError(f"covariates: {name} is made of the items; give them with items=.")
        return {spec: measured(items, spec)}
    if name not in _SPACES:
        own = (*items.labels, *items.covariates) if items is not None else ()
        raise UnknownNameError("covariate", name, [*COMPUTED, *own])

    def of_distance(side: str | None = None) -> dict[str, Any]:
        return _of_sides(name, sides, side, {})

    def of_neighbors(side: str | None = None, k: int = 10) -> dict[str, Any]:
        return _of_sides(name, sides, side, {"k": k})

    return bind(of_distance if name == "center_distance" else of_neighbors, "covariate", spec, args, kwargs)


def _of_sides(
    name: str, sides: Mapping[str, Any] | None, side: str | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    if sides is None:
        raise InputError(f"covariates: {name} is made of features, and there are none here.")
    if side is not None and side not in sides:
        raise UnknownNameError(f"side of {name}", side, sides)
    chosen = sides if side is None else {side: sides[side]}
    return {f"{name} in {which}": _SPACES[name](features, **settings) for which, features in chosen.items()}


def _graph(features: Any, k: int) -> Any:
    """The lists of k nearest neighbours by cosine; tied items share places."""
    neighbors = metric(f"mutual_knn(k={k!r})")
    return neighbors.prepare(as_features(features, min_items=neighbors.min_items))


def _table(path: Path, ids: Sequence[str] | None, n: int) -> dict[str, Any]:
    columns = read_columns(path)
    if ids is None:
        raise InputError(f"covariates: {path} is joined by ids, and the features have none; give a mapping instead.")
    first = next(iter(columns.values()), {})
    if not any(i in first for i in ids):
        raise InputError(f"covariates: {path} has none of the {n} items; its ids begin with {quoted([*first][:3])}.")
    return {name: [values.get(i) for i in ids] for name, values in columns.items()}
