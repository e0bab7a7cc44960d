"""What predictions of a head score on held-out items, by the kind of target, kept so that intervals need no refit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..heads import Target, log_loss
from ..heldout.retrieval import rank
from ..heldout.scores import HITS, ItemScore, Scores, accuracy
from ..results import Calibration

Matrix = np.ndarray[Any, Any]
DECIDES = {"classes": "accuracy", "labels": "auroc", "numbers": "r2", "rows": "mrr"}
"""The score that decides unless another is asked for."""
NAMES = {
    "classes": ("accuracy", "auroc", "balanced_accuracy", "calibration_error", "log_loss", "macro_f1"),
    "labels": ("auroc", "calibration_error", "exact_match", "log_loss", "macro_f1"),
    "numbers": ("correlation", "r2"),
    "rows": ("R@1", "R@10", "R@5", "median_rank", "mrr", "r2"),
}
"""Scores of each kind of target."""
BINS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class CountedScore(ItemScore):
    """A score that is no mean over items: it is computed anew of each sample of them.

    Attributes:
        predicted: What was predicted (n_test, k).
        truth: What is true (n_test, k), 0 or 1 where that is a class or label.
        measure: ``"macro_f1"``, ``"auroc"``, ``"correlation"`` or ``"calibration_error"``.
        exclusive: Whether each item is of one of the k.
    """

    predicted: Matrix = dataclasses.field(default_factory=lambda: np.zeros((0, 0)))
    truth: Matrix = dataclasses.field(default_factory=lambda: np.zeros((0, 0)))
    measure: str = "macro_f1"
    exclusive: bool = True

    @property
    def value(self) -> float:
        """The score."""
        return float(self.drawn(np.ones((1, len(self.truth))))[0])

    def drawn(self, weights: Matrix) -> Matrix:
        """The score of samples of the items, (draws,)."""
        return _MEASURES[self.measure](self, weights)


def _macro_f1(score: CountedScore, weights: Matrix) -> Matrix:
    said = _said(score.predicted, score.exclusive)
    right, stated, true = weights @ (said * score.truth), weights @ said, weights @ score.truth
    both = stated + true
    f1 = np.where(both > 0, 2 * right / np.where(both > 0, both, 1.0), np.nan)
    found: Matrix = np.nan_to_num(_mean(f1), nan=score.chance)
    return found


def _auroc(score: CountedScore, weights: Matrix) -> Matrix:
    parts = []
    for p, y in zip(score.predicted.T, score.truth.T, strict=True):
        order = np.argsort(p, kind="stable")
        tie = np.unique(p[order], return_inverse=True)[1].reshape(-1)
        pos, neg = weights[:, order] * y[order], weights[:, order] * (1 - y[order])
        starts = np.flatnonzero(np.diff(tie, prepend=-1))
        by_pos, by_neg = np.add.reduceat(pos, starts, axis=1), np.add.reduceat(neg, starts, axis=1)
        below = np.cumsum(by_neg, axis=1) - by_neg / 2
        pairs = pos.sum(axis=1) * neg.sum(axis=1)
        parts.append(np.where(pairs > 0, (by_pos * below).sum(axis=1) / np.where(pairs > 0, pairs, 1.0), np.nan))
    found: Matrix = np.nan_to_num(_mean(np.stack(parts, axis=1)), nan=score.chance)
    return found


def _correlation(score: CountedScore, weights: Matrix) -> Matrix:
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    p, y = score.predicted, score.truth
    mp, my = weights @ p / total, weights @ y / total
    cross = weights @ (p * y) / total - mp * my
    squares = (weights @ p**2 / total - mp**2) * (weights @ y**2 / total - my**2)
    size = np.sqrt(np.maximum(squares, 0.0))
    found: Matrix = np.where(size > 1e-12, cross / np.where(size > 1e-12, size, 1.0), 0.0).mean(axis=1)
    return found


def _calibration_error(score: CountedScore, weights: Matrix) -> Matrix:
    stated, right, bins = _confidence(score.predicted, score.truth, score.exclusive)
    per = len(stated) // len(score.truth)  # of several labels, one statement each
    w = np.repeat(weights, per, axis=1)
    gap = (stated - right)[None, :] * w
    total = np.maximum(w.sum(axis=1), 1e-300)
    off = [np.abs(gap[:, bins == b].sum(axis=1)) for b in np.unique(bins)]
    found: Matrix = np.sum(off, axis=0) / total
    return found


_MEASURES = {
    "macro_f1": _macro_f1,
    "auroc": _auroc,
    "correlation": _correlation,
    "calibration_error": _calibration_error,
}


def _mean(parts: Matrix) -> Matrix:
    """Mean over classes of which a sample holds items; NaN where it holds of none."""
    known = np.isfinite(parts)
    count = known.sum(axis=1)
    found: Matrix = np.where(count > 0, np.where(known, parts, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
    return found


def _said(predicted: Matrix, exclusive: bool) -> Matrix:
    if exclusive:
        said: Matrix = np.eye(predicted.shape[1])[predicted.argmax(axis=1)]
        return said
    return np.asarray(predicted > 0.5, dtype=np.float64)


def _confidence(predicted: Matrix, truth: Matrix, exclusive: bool) -> tuple[Matrix, Matrix, Matrix]:
    """Stated probability, whether it was right, and bin of it, of each item or of each label of each item."""
    if exclusive:
        stated = predicted.max(axis=1)
        right = truth[np.arange(len(truth)), predicted.argmax(axis=1)]
    else:
        stated, right = predicted.ravel(), truth.ravel()
    bins = np.minimum((stated * BINS).astype(int), BINS - 1)
    return stated, right, bins


def calibration(predicted: Sequence[Matrix], truth: Sequence[Target]) -> Calibration | None:
    """Stated and actual shares over all splits, or None where nothing is a probability."""
    if truth[0].is_linear:
        return None
    exclusive = truth[0].kind == "classes"
    parts = [_confidence(p, t.outcomes, exclusive) for p, t in zip(predicted, truth, strict=True)]
    stated, right, bins = (np.concatenate(part) for part in zip(*parts, strict=True))
    used = np.unique(bins)
    mean = [float(stated[bins == b].mean()) for b in used]
    actual = [float(right[bins == b].mean()) for b in used]
    counts = [int(np.sum(bins == b)) for b in used]
    error = float(np.average(np.abs(np.subtract(mean, actual)), weights=counts))
    return Calibration(error, tuple(mean), tuple(actual), tuple(counts))


def scored(predicted: Matrix, truth: Target, fitted: Target) -> Scores:
    """Every score of predictions of held-out items.

    Args:
        predicted: Probabilities or numbers (n_test, k).
        truth: Their target.
        fitted: The target of the items that were fitted on, whose shares or means are the least that can be known.
    """
    outcomes, prior = truth.outcomes, fitted.prior
    one = np.ones(truth.n)

    def counted(measure: str, chance: float) -> CountedScore:
        return CountedScore(one, one, chance, 0.0, 1.0, False, predicted, outcomes, measure, truth.kind == "classes")

    if truth.kind in {"numbers", "rows"}:
        error = np.sum((outcomes - predicted) ** 2, axis=1)
        total = np.sum((outcomes - outcomes.mean(axis=0)) ** 2, axis=1)
        r2 = ItemScore(error, total, 0.0, offset=1.0, sign=-1.0)
        if truth.kind == "numbers":
            return {"r2": r2, "correlation": counted("correlation", 0.0)}
        key = np.arange(truth.n)
        found = rank(predicted - prior, outcomes - prior, key, key, None)
        scores: Scores = {f"R@{k}": ItemScore(found.hits(k), one, found.chance_hits(k)) for k in HITS}
        scores["median_rank"] = ItemScore(found.rank(), one, found.chance_rank(), median=True)
        return scores | {"mrr": ItemScore(found.reciprocal(), one, found.chance_reciprocal()), "r2": r2}
    entropy = log_loss(np.broadcast_to(prior, outcomes.shape), outcomes, truth.kind)
    shared = {
        "log_loss": ItemScore(log_loss(predicted, outcomes, truth.kind), one, float(entropy.mean())),
        "auroc": counted("auroc", 0.5),
        "calibration_error": counted("calibration_error", 0.0),
    }
    if truth.kind == "labels":
        right = np.all((predicted > 0.5) == (outcomes > 0.5), axis=1).astype(np.float64)
        exact = float(np.unique(outcomes, axis=0, return_counts=True)[1].max() / truth.n)
        return shared | {"exact_match": ItemScore(right, one, exact), "macro_f1": counted("macro_f1", _blind_f1(truth))}
    hit = predicted.argmax(axis=1) == truth.values
    count = outcomes.sum(axis=0)
    share = 1 / count[truth.values]
    return shared | {
        "accuracy": accuracy(hit, truth.values),
        "balanced_accuracy": ItemScore(hit * share, share, float(1 / np.sum(count > 0))),
        "macro_f1": counted("macro_f1", _blind_f1(truth)),
    }


def _blind_f1(truth: Target) -> float:
    """Macro F1 of always saying the most frequent class, or every label."""
    share = truth.outcomes.mean(axis=0)
    f1 = 2 * share / (1 + share)
    if truth.kind == "labels":
        return float(f1.mean())
    return float(f1.max() / max(int(np.sum(share > 0)), 1))


def information(predicted: Matrix, truth: Target, fitted: Target, spread: Matrix | None = None) -> Matrix:
    """Bits that predictions tell of each item beyond the shares or means of the items fitted on, (n_test,).

    Usable information, pointwise (Xu et al. 2020): the log probability of what is true, less that of knowing nothing.

    Args:
        predicted: Probabilities or numbers (n_test, k).
        truth: Their target.
        fitted: The target of the items fitted on.
        spread: Of numbers, the variance of the errors for items that were not fitted on (k,).
    """
    outcomes, prior = truth.outcomes, fitted.prior
    if not truth.is_linear:
        blind = log_loss(np.broadcast_to(prior, outcomes.shape), outcomes, truth.kind)
        bits: Matrix = (blind - log_loss(predicted, outcomes, truth.kind)) / np.log(2)
        return bits
    assert spread is not None
    whole = np.maximum(fitted.outcomes.var(axis=0), 1e-300)
    own = np.maximum(spread, 1e-12 * whole)
    blind = 0.5 * (np.log(whole) + (outcomes - prior) ** 2 / whole)
    told = 0.5 * (np.log(own) + (outcomes - predicted) ** 2 / own)
    found: Matrix = np.sum(blind - told, axis=1) / np.log(2)
    return found
