"""Cross-validated Mahalanobis dissimilarities of repeated measurements."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...._core.arrays import as_features, to_numpy
from ....errors import InputError

Floats = np.ndarray[Any, np.dtype[np.float64]]


def crossnobis(x: Any, items: Any, folds: Any, *, precision: Any = None) -> tuple[np.ndarray[Any, Any], Floats]:
    """Unbiased squared Mahalanobis distances between items that were each measured in several folds.

    Leave one fold out: the difference of two items' mean patterns in a fold is multiplied with that of their means over
    all measurements of the other folds, averaged over folds. Noise that is independent between folds cancels, so that
    the expected distance of items with equal patterns is 0 and estimates may be negative (Walther et al. 2016, eq. 5).
    With as many measurements of an item in every fold this is the mean over all pairs of different folds; with unequal
    numbers every measurement outside the fold counts the same, as in rsatoolbox, so that folds of few measurements,
    which are noisy, weigh less.

    Args:
        x: Measurements (n_measurements, n_features).
        items: For each measurement, its item; ids may be numbers or texts.
        folds: For each measurement, its fold (run, session, random seed). Every item is needed in every fold;
            repeats within a fold are averaged.
        precision: Inverse noise covariance (n_features, n_features), the identity if None.

    Returns:
        The items, sorted, and the condensed RDM over them. Unlike rsatoolbox's, not divided by n_features.

    Raises:
        InputError: if labels and measurements differ in number, fewer than two folds or items are given, an item lacks
            a fold, or the precision has the wrong shape or is not symmetric.
    """
    values = np.asarray(to_numpy(as_features(x)), dtype=np.float64)
    names, item = _labels(items, "items", len(values))
    runs, fold = _labels(folds, "folds", len(values))
    n, f, d = len(names), len(runs), values.shape[1]
    cell = fold * n + item
    counts = np.bincount(cell, minlength=f * n)
    if np.any(counts == 0):
        run, name = divmod(int(np.flatnonzero(counts == 0)[0]), n)
        raise InputError(
            f"Item {names[name]} was not measured in fold {runs[run]}; every item is needed in every fold. "
            "Leave the item or the fold out."
        )
    sums = np.zeros((f * n, d))
    np.add.at(sums, cell, values)
    means = (sums / counts[:, None]).reshape(f, n, d)
    of, measured = sums.reshape(f, n, d), counts.reshape(f, n, 1)
    others = (of.sum(axis=0) - of) / (measured.sum(axis=0) - measured)
    # what all items share changes no distance, and costs digits
    means, others = (m - m.mean(axis=1, keepdims=True) for m in (means, others))
    weight = _precision(precision, d)
    g = np.sum([m @ weight @ o.T for m, o in zip(means, others, strict=True)], axis=0) / f
    i, j = np.triu_indices(n, 1)
    return names, np.asarray(np.diag(g)[i] + np.diag(g)[j] - g[i, j] - g[j, i])


def _labels(labels: Any, name: str, n: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise InputError(f"{name} has shape {labels.shape}; one label for each of the {n} measurements is needed.")
    unique, index = np.unique(labels, return_inverse=True)
    if len(unique) < 2:
        raise InputError(f"{name} holds {len(unique)} different label; at least 2 are needed.")
    return unique, index


def _precision(precision: Any, d: int) -> Floats:
    if precision is None:
        return np.eye(d)
    p = np.asarray(to_numpy(as_features(precision, "precision")), dtype=np.float64)
    if p.shape != (d, d) or not np.allclose(p, p.T, rtol=1e-6, atol=1e-9 * np.abs(p).max()):
        raise InputError(
            f"precision has shape {p.shape}; the inverse noise covariance of {d} features is needed, a symmetric "
            f"matrix of shape {(d, d)}."
        )
    return p
