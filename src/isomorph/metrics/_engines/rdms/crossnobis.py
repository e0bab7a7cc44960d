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
    names, means, others = fold_means(values, items, folds)
    weight = np.eye(values.shape[1]) if precision is None else checked_precision(precision, values.shape[1])
    return names, crossed(means @ weight, others)


def fold_means(values: Floats, items: Any, folds: Any) -> tuple[np.ndarray[Any, Any], Floats, Floats]:
    """The items, their mean patterns in each fold (folds, items, features), and those over all other folds.

    Raises:
        InputError: as `crossnobis`, but for the precision.
    """
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
    return names, means, others


def crossed(means: Floats, others: Floats) -> Floats:
    """The condensed RDM of products between folds, as `fold_means` gives them, the former times the precision."""
    f, n = means.shape[:2]
    g = np.sum([m @ o.T for m, o in zip(means, others, strict=True)], axis=0) / f
    i, j = np.triu_indices(n, 1)
    return np.asarray(np.diag(g)[i] + np.diag(g)[j] - g[i, j] - g[j, i])


def _labels(labels: Any, name: str, n: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise InputError(f"{name} has shape {labels.shape}; one label for each of the {n} measurements is needed.")
    unique, index = np.unique(labels, return_inverse=True)
    if len(unique) < 2:
        raise InputError(f"{name} holds {len(unique)} different label; at least 2 are needed.")
    return unique, index


def checked_precision(precision: Any, d: int, name: str = "precision") -> Floats:
    """An inverse noise covariance of `d` features.

    Raises:
        InputError: if it has another shape or is not symmetric.
    """
    p = np.asarray(to_numpy(as_features(precision, name)), dtype=np.float64)
    if p.shape != (d, d) or not np.allclose(p, p.T, rtol=1e-6, atol=1e-9 * np.abs(p).max()):
        raise InputError(
            f"{name} has shape {p.shape}; the inverse noise covariance of {d} features is needed, a symmetric "
            f"matrix of shape {(d, d)}. Of residuals, isomorph.metrics.rdm.noise_precision makes one."
        )
    return p
