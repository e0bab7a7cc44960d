"""RDMs of measured responses: repeats averaged, noise between channels decorrelated, distances crossed over runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...._core.arrays import as_features, to_numpy
from ...._core.checks import check_choice, is_finite
from ....errors import InputError, quoted
from .crossnobis import checked_precision, crossed, fold_means
from .noise import noise_precision
from .vectors import condensed

Floats = np.ndarray[Any, np.dtype[np.float64]]

DISTANCES = ("correlation", "cosine", "euclidean", "squared_euclidean", "mahalanobis", "crossnobis")
MEASURES = {"squared_euclidean": "squared euclidean", "mahalanobis": "squared mahalanobis"}  # as rsatoolbox spells them
MEASUREMENTS = "measurements"


def pattern_rdms(
    patterns: Any, conditions: Any, runs: Any, noise: Any, distance: str
) -> tuple[tuple[str, ...] | None, Floats]:
    """The names of the conditions and one condensed RDM an array of responses, see `RDMs.from_patterns`.

    Raises:
        InputError: as `RDMs.from_patterns`.
    """
    several = isinstance(patterns, list | tuple) and len(patterns) > 0 and np.ndim(patterns[0]) == 2
    arrays = list(patterns) if several else [patterns]
    given = [
        _each(value, len(arrays), several, name)
        for name, value in (("conditions", conditions), ("runs", runs), ("noise", noise))
    ]
    found = [
        pattern_rdm(x, c, r, w, distance, f"patterns[{i}]" if several else "patterns")
        for i, (x, c, r, w) in enumerate(zip(arrays, *given, strict=True))
    ]
    ids = found[0][0]
    for i, (names, rdm) in enumerate(found):
        if names != ids or rdm.shape != found[0][1].shape:
            raise InputError(f"patterns[{i}] has other conditions than patterns[0]; all subjects need the same ones.")
    return ids, np.stack([rdm for _, rdm in found])


def pattern_rdm(
    values: Any, conditions: Any, runs: Any, noise: Any, distance: str, name: str
) -> tuple[tuple[str, ...] | None, Floats]:
    """The names of the conditions and the condensed RDM over them, see `RDMs.from_patterns`.

    Raises:
        InputError: as `RDMs.from_patterns`.
    """
    check_choice(distance, "distance", DISTANCES)
    rows = np.asarray(to_numpy(as_features(values, name, min_items=3)), dtype=np.float64)
    if distance == "crossnobis" and (conditions is None or runs is None):
        lacking = "conditions" if conditions is None else "runs"
        raise InputError(
            f"distance='crossnobis' multiplies differences between runs, and {lacking}= is not given; give one label a "
            f"measurement of both, or use distance='mahalanobis'."
        )
    weight = precision_of(noise, rows, conditions, distance, name)
    if distance == "crossnobis":
        given = {"conditions": conditions, "runs": runs}
        names, means, others = fold_means(rows, *(labeled(v, k, len(rows))[2] for k, v in given.items()))
        _require_three(names)
        distances = crossed(means if weight is None else means @ weight, others)
        return tuple(map(str, names)), distances / rows.shape[1]
    ids, means = condition_means(rows, conditions)
    return ids, _distances(means, weight, distance)


def condition_means(rows: Floats, conditions: Any) -> tuple[tuple[str, ...] | None, Floats]:
    """The names of the conditions, sorted, and their mean patterns; without conditions each row is an item.

    Raises:
        InputError: if there is not one label a measurement, or fewer than three conditions.
    """
    if conditions is None:
        return None, rows
    names, index, _ = labeled(conditions, "conditions", len(rows))
    _require_three(names)
    return tuple(map(str, names)), _sums(rows, index, len(names)) / np.bincount(index)[:, None]


def precision_of(noise: Any, rows: Floats, conditions: Any, distance: str, name: str) -> Floats | None:
    """The precision that decorrelates the channels, or None for distances that read no noise.

    Raises:
        InputError: if the noise is no precision of these channels, cannot be found in the measurements, or the distance
            reads none.
    """
    if noise is None:
        return None
    if distance not in ("mahalanobis", "crossnobis"):
        raise InputError(
            f"noise= is given and distance={distance!r} reads none; use 'mahalanobis' or 'crossnobis', or leave it out."
        )
    if isinstance(noise, str):
        if noise != MEASUREMENTS:
            raise InputError(
                f"noise={quoted(noise)}: give 'measurements' (the scatter of repeats about the mean of their "
                "condition), a precision matrix such as isomorph.metrics.rdm.noise_precision(residuals), or None."
            )
        scatter, free = _scatter(rows, conditions)
        return noise_precision(scatter, dof=free)
    return checked_precision(noise, rows.shape[1], "noise")


def time_bins(values: Any, times: Any, bins: Any) -> tuple[Any, list[Any], Floats]:
    """Responses (n, channels, times) as an array, the time points in each bin, and the mean time of each.

    Args:
        values: Responses (n, channels, times).
        times: The time of each point; 0, 1, … if None.
        bins: None for every point, a number of neighboring points, or the times in each bin.

    Raises:
        InputError: if the responses have another shape, there is not one time a point, or a bin holds no point.
    """
    array = np.asarray(to_numpy(values))
    if array.ndim != 3 or array.dtype.kind not in "fiu" or 0 in array.shape:
        raise InputError(f"responses has shape {array.shape}; a movie needs numbers of shape (n, channels, times).")
    if not np.isfinite(array).all():
        raise InputError("responses holds NaN or infinite values; leave such channels or measurements out.")
    count = array.shape[2]
    when = np.arange(count, dtype=np.float64) if times is None else _numbers(times, "times")
    if when.shape != (count,):
        raise InputError(f"times has shape {when.shape}; one for each of the {count} points of responses is needed.")
    places = _places(when, bins)
    return array, places, np.array([when[p].mean() for p in places])


def _places(when: Floats, bins: Any) -> list[Any]:
    if bins is None:
        return [np.array([i]) for i in range(len(when))]
    if isinstance(bins, int | np.integer) and not isinstance(bins, bool):
        if not 1 <= bins <= len(when):
            raise InputError(f"bins={quoted(bins)}: from 1 to {len(when)} neighboring time points can make a bin.")
        whole = len(when) // int(bins) * int(bins)  # a last bin of fewer points would be noisier than the others
        return [*np.arange(whole).reshape(-1, int(bins))]
    if not isinstance(bins, Sequence | np.ndarray) or isinstance(bins, str | bytes) or len(bins) == 0:
        raise InputError(f"bins={quoted(bins)}: give a number of time points, or a list with the times of each bin.")
    places = [np.flatnonzero(np.isin(when, _numbers(b, f"bins[{k}]"))) for k, b in enumerate(bins)]
    for k, (place, bin_) in enumerate(zip(places, bins, strict=True)):
        if len(place) == 0 or len(place) < np.size(bin_):
            raise InputError(f"bins[{k}] holds {np.size(bin_)} times, {len(place)} of which are among times.")
    return places


def _numbers(values: Any, name: str) -> Floats:
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name}={quoted(values)} holds no numbers; times are numbers such as seconds.") from error
    if found.ndim != 1 or not np.isfinite(found).all():
        raise InputError(f"{name} has shape {found.shape}; a list of finite times is needed.")
    return found


def _distances(means: Floats, weight: Floats | None, distance: str) -> Floats:
    channels = means.shape[1]
    if weight is not None:
        values, vectors = np.linalg.eigh(weight)
        if values[0] < -1e-8 * abs(values[-1]):
            raise InputError("noise has negative eigenvalues, so it is no inverse covariance.")
        means = means @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    kind = distance if distance in ("correlation", "cosine") else "squared_euclidean"
    vector, unit = condensed(means, kind, 0.0)
    vector = np.asarray(vector) * float(unit)
    if not np.isfinite(vector).all() or not is_finite(float(unit)):
        raise InputError("Squared distances of these responses are beyond what a float can hold; divide them first.")
    if kind != "squared_euclidean":
        return vector
    return np.asarray(np.sqrt(vector / channels) if distance == "euclidean" else vector / channels)


def _scatter(rows: Floats, conditions: Any) -> tuple[Floats, int]:
    """Measurements about the mean of their condition, and their degrees of freedom.

    Raises:
        InputError: if no condition has a repeat.
    """
    if conditions is None:
        raise InputError("noise='measurements' is the scatter of repeats of a condition; give conditions=.")
    names, index, _ = labeled(conditions, "conditions", len(rows))
    free = len(rows) - len(names)
    if free < 2:
        raise InputError(
            f"noise='measurements': {len(rows)} measurements of {len(names)} conditions leave {free} repeats to tell "
            "noise by; give a precision matrix, or None."
        )
    return rows - (_sums(rows, index, len(names)) / np.bincount(index)[:, None])[index], free


def _sums(rows: Floats, index: Any, count: int) -> Floats:
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, index, rows)
    return sums


def labeled(labels: Any, name: str, n: int) -> tuple[Any, Any, Any]:
    """The different labels, sorted, the place of each measurement's among them, and the labels as an array.

    Raises:
        InputError: if there is not one text or number a measurement.
    """
    try:
        found = np.asarray(labels)
    except ValueError as error:
        raise InputError(f"{name}={quoted(labels)}: one label a measurement is needed.") from error
    if found.dtype.kind == "O" and all(isinstance(v, str) for v in found.flat):
        found = found.astype(str)
    if found.shape != (n,) or found.dtype.kind not in "iufUb" or (found.dtype.kind == "f" and np.isnan(found).any()):
        raise InputError(
            f"{name} has shape {found.shape} and holds {found.dtype}; one label, a text or a number, for each of the "
            f"{n} measurements is needed."
        )
    names, index = np.unique(found, return_inverse=True)
    return names, index.reshape(-1), found


def _require_three(names: Any) -> None:
    if len(names) < 3:
        raise InputError(f"conditions holds {len(names)} different labels; an RDM needs at least 3 items.")


def _each(value: Any, count: int, several: bool, name: str) -> list[Any]:
    """What was given for each subject: one for all, or a list of as many.

    Raises:
        InputError: if it is a list of another length.
    """
    if not several or value is None or isinstance(value, str):
        return [value] * count
    nested = isinstance(value, list | tuple) and len(value) > 0 and (value[0] is None or np.ndim(value[0]) > 0)
    words = name == "noise" and isinstance(value, list | tuple)
    if not (nested or words):
        return [value] * count
    if len(value) != count:
        raise InputError(f"{name} has {len(value)} entries; one for each of the {count} arrays of patterns is needed.")
    return list(value)
