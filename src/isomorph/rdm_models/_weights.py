"""Weighted combinations of model RDMs, fitted on some items and subjects and scored on others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import scipy

from ..design import fold_of_items
from ..errors import InputError
from ..metrics.rdm import comparable, comparison_scores, entries_of, mean_rdm, regressors, scaled_rdms
from ._read import Problem, pooled

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclasses.dataclass(frozen=True, eq=False)
class Fold:
    """Measured RDMs of the subjects fitted on and those held out, over the items of either part.

    Attributes:
        target: The mean RDM of the subjects fitted on, over the items fitted on (entries,).
        owners: The subject of each RDM that is held out.
        held: The RDMs of subjects held out, over the items held out (RDMs, entries).
        fitted: The mean RDM of the subjects fitted on, over the items held out; None if no subject is held out.
        whole: The mean RDM of all subjects over these items.
        comparison: How RDMs are compared.
    """

    target: Floats
    owners: np.ndarray[Any, np.dtype[np.int64]]
    held: Floats
    fitted: Floats | None
    whole: Floats
    comparison: str

    @cached_property
    def center(self) -> Floats:
        """What a prediction without gaps is multiplied with for its mean score over the RDMs held out."""
        return np.asarray(np.mean([comparable(v, self.comparison, v.dtype) for v in self.held], axis=0))

    @cached_property
    def response(self) -> Floats:
        """The target as the regression reads it; it has no gaps then."""
        return np.asarray(regressors(self.target[None], self.comparison)[0])


class Crossed:
    """Folds of items crossed with folds of subjects.

    Attributes:
        parts: For each fold of items the places of the items fitted on and of those held out.
        folds: For each fold of items one `Fold` a fold of subjects.
    """

    def __init__(
        self, problem: Problem, comparison: str, item_fold: Any, subject_fold: Any, *, fit_all: bool = False
    ) -> None:
        """The measured RDMs of each fold.

        Args:
            problem: Measured and model RDMs.
            comparison: How RDMs are compared.
            item_fold: The fold of each item.
            subject_fold: The fold of each subject.
            fit_all: Whether all items are fitted on, as well as those held out.
        """
        self.problem, self.comparison = problem, comparison
        self.parts = [(np.flatnonzero(fit_all | (item_fold != k)), np.flatnonzero(item_fold == k))
                      for k in range(int(item_fold.max()) + 1)]  # fmt: skip
        self.folds = [[self._fold(fit, test, subject_fold, s) for s in range(int(subject_fold.max()) + 1)]
                      for fit, test in self.parts]  # fmt: skip

    def _fold(self, fit: Any, test: Any, subject_fold: Any, s: int) -> Fold:
        data, owners = self.problem.data, self.problem.owners
        out = subject_fold[owners] == s
        alone = bool(out.all())  # one fold of subjects: their other items are fitted on
        kept = np.ones_like(out) if alone else ~out
        inside = entries_of(data, test)
        target = pooled(entries_of(data[kept], fit), self.comparison)
        # ceilings pool as `noise_ceiling` does
        fitted = None if alone else mean_rdm(scaled_rdms(inside[kept], self.comparison))
        whole = mean_rdm(scaled_rdms(inside, self.comparison))
        return Fold(target, owners[out], inside[out], fitted, whole, self.comparison)

    def scores(self, models: Floats, method: str, *, gaps: bool) -> tuple[Floats, Floats, Floats]:
        """Mean held-out scores of the weighted models and of each alone, and the weights, one row a fold.

        Args:
            models: Model RDMs (models, entries), in any order of their items.
            method: How weights are fitted.
            gaps: Whether entries may be missing.

        Returns:
            Scores (folds,), of single models (folds, models), weights (folds, models).
        """
        found = [
            self._scored(fold, fit, held, method, gaps) for folds, fit, held in self._halves(models) for fold in folds
        ]
        return tuple(np.array(v) for v in zip(*found, strict=True))  # type: ignore[return-value]  # three of them

    def _halves(self, models: Floats) -> Iterator[tuple[list[Fold], Floats, Floats]]:
        for (fit, test), folds in zip(self.parts, self.folds, strict=True):
            held = entries_of(models, test)
            if self.comparison == "spearman":
                held = scaled_rdms(held, self.comparison)  # weights are of ranks
            yield folds, entries_of(models, fit), held

    def _scored(self, fold: Fold, fit: Floats, held: Floats, method: str, gaps: bool) -> tuple[float, Floats, Floats]:
        weights = fitted_weights(fit, fold.target if gaps else fold.response, method, self.comparison, gaps=gaps)
        if gaps:
            alone = np.array([mean_score(m, fold.held, self.comparison) for m in held])
            return mean_score(weights @ held, fold.held, self.comparison), alone, weights
        alone = np.array([_product(m, fold, self.comparison) for m in held])
        return _product(weights @ held, fold, self.comparison), alone, weights

    def each(self, models: Floats, weights: Floats) -> Floats:
        """The held-out score of each subject (subjects,), the mean over its RDMs and the folds of items."""
        sums = np.zeros(len(self.problem.subjects))
        counts = np.zeros(len(self.problem.subjects))
        rows = iter(weights)
        for folds, _, held in self._halves(models):
            for fold in folds:
                prediction = next(rows) @ held
                for owner, rdm in zip(fold.owners, fold.held, strict=True):
                    sums[owner] += mean_score(prediction, rdm[None], self.comparison)
                    counts[owner] += 1
        return np.asarray(sums / counts)

    def ceiling(self) -> tuple[float, float] | None:
        """Lower and upper noise ceiling over the same folds; None where no subject is held out."""
        pairs = [
            (mean_score(fold.fitted, fold.held, self.comparison), mean_score(fold.whole, fold.held, self.comparison))
            for folds in self.folds
            for fold in folds
            if fold.fitted is not None
        ]
        return None if not pairs else (float(np.mean([p[0] for p in pairs])), float(np.mean([p[1] for p in pairs])))


def crossed_folds(problem: Problem, comparison: str, folds: int | None, subject_folds: int | None, groups: Any,
                  seed: int) -> Crossed:  # fmt: skip
    """Folds of items and subjects, drawn by seed; as many as rsatoolbox takes by default.

    Raises:
        InputError: if there are fewer items, groups or subjects than the folds need.
    """
    count = len(problem.subjects)
    k = folds or (2 if problem.n < 12 else 3 if problem.n < 24 else 4 if problem.n < 40 else 5)
    s = subject_folds or (1 if count < 2 else 2 if count < 6 else 3 if count < 12 else 4 if count < 20 else 5)
    if s > count:
        raise InputError(f"subject_folds={s}: there are {count} subjects; give at most as many folds.")
    item_fold = fold_of_items(problem.n, k, seed, groups)
    least, most = np.bincount(item_fold).min(), np.bincount(item_fold).max()
    if least < 3 or problem.n - most < 3:
        raise InputError(
            f"folds={k} leaves {min(least, problem.n - most)} of {problem.n} items in a part; at least 3 are needed on "
            "either side, since a score needs an RDM with a pattern. Give fewer folds."
        )
    pairs = (problem.n - most) * (problem.n - most - 1) // 2
    if len(problem.names) >= pairs:
        raise InputError(
            f"models: {len(problem.names)} weights cannot be fitted to the {pairs} pairs of {problem.n - most} items; "
            "give fewer models, or more items."
        )
    return Crossed(problem, comparison, item_fold, fold_of_items(count, s, seed + 1))


def fitted_weights(models: Floats, target: Floats, method: str, comparison: str, *, gaps: bool) -> Floats:
    """Weights (models,) of least squares; with gaps over the entries that all have, else the target is ready.

    Args:
        models: Model RDMs (models, entries).
        target: The RDM to be explained, or with no gaps what `regressors` made of it.
        method: ``"nnls"`` or ``"ols"``.
        comparison: As for `explain_rdms`.
        gaps: Whether entries may be missing.

    Raises:
        InputError: if fewer entries are left than weights.
    """
    if gaps:
        known = ~np.isnan(target) & ~np.isnan(models).any(axis=0)
        if known.sum() <= len(models):
            raise InputError(
                f"{len(models)} weights cannot be fitted to the {int(known.sum())} pairs of items that no RDM lacks in "
                "a fold; give fewer models or folds, or leave out items that lack dissimilarities: rdms.subset(ids)."
            )
        models, target = models[:, known], regressors(target[known][None], comparison)[0]
    if comparison == "spearman":
        rows = regressors(models, comparison) / models.shape[1]
    else:
        rows = regressors(models, comparison)
    scale = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    scale = np.where(scale > 0, scale, 1.0)
    gram, products = (rows @ rows.T) / np.outer(scale, scale), rows @ target / scale
    if method == "ols":
        return np.asarray(np.linalg.lstsq(gram, products, rcond=1e-12)[0] / scale)
    values, vectors = np.linalg.eigh(gram)  # a root of the normal equations: as many rows as models
    root = np.sqrt(np.maximum(values, 0.0))
    kept = root > 1e-7 * root[-1]
    return np.asarray(
        scipy.optimize.nnls(root[kept, None] * vectors.T[kept], (vectors.T @ products)[kept] / root[kept])[0] / scale
    )


def mean_score(prediction: Floats, held: Floats, comparison: str) -> float:
    """Mean score of a predicted RDM with measured ones, each over the entries that both have; 0 if it predicts nothing.

    A prediction that is the same for all pairs has no pattern, and so explains nothing.
    """
    if _is_flat(prediction, comparison):
        return 0.0
    return float(comparison_scores(prediction[None], held, comparison).mean())


def _product(prediction: Floats, fold: Fold, comparison: str) -> float:
    if _is_flat(prediction, comparison):
        return 0.0
    return float(comparable(prediction, comparison, prediction.dtype) @ fold.center)


def _is_flat(prediction: Floats, comparison: str) -> bool:
    known = prediction[~np.isnan(prediction)]
    largest = float(np.abs(known).max(initial=0.0))
    spread = largest if comparison.endswith("cosine") else float(np.ptp(known)) if known.size else 0.0
    return spread <= 1e-12 * largest
