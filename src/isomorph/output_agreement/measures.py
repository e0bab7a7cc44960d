"""Functional measures of two models' answers to the same items, as plain functions: one number, no test.

`isomorph.outputs` gives each of them its chance level, p and interval. Answers are predicted labels (n,), or scores
(n, columns) of which the highest is the answer; columns that tie share it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy

from .._core.arrays import as_features, as_pair, to_numpy
from .._core.checks import as_count, is_share
from ..design import label_text, named
from ..errors import InputError, quoted
from ._calibration import Stated
from ._kernels import JensenShannon, KullbackLeibler
from ._rows import Floats, Rows, one_hot, rank_biased, rowwise, top
from ._scores import KappaScore, sides_of

SUMS_TO_ONE = 1e-3
"""How far a row of probabilities may be from adding up to 1: half precision over many classes is this rough."""


def agreement(a: Any, b: Any) -> float:
    """Share of the items on which two models give the same answer.

    Args:
        a: Predicted labels (n,), or scores (n, columns).
        b: The same of the other model.

    Returns:
        A share in [0, 1]. Chance: the sum over answers of the products of both models' shares (`chance_agreement`).

    Raises:
        InputError: if the two are not of the same items, or of the same columns.

    Example:
        >>> agreement(["cat", "dog", "cow"], ["cat", "dog", "dog"])
        0.6666666666666666
    """
    return float(rowwise(*_answers(a, b)).mean())


def chance_agreement(a: Any, b: Any) -> float:
    """Agreement that the shares of the answers alone give: the mean over all re-pairings of the items.

    Args:
        a: As in `agreement`.
        b: As in `agreement`.

    Returns:
        A share in [0, 1].

    Raises:
        InputError: as `agreement`.

    Example:
        >>> chance_agreement(["cat", "dog", "cat", "dog"], ["cat", "cat", "cat", "dog"])
        0.5
    """
    first, second = (np.asarray(rows.mean(axis=0)).reshape(-1) for rows in _answers(a, b))
    return float(first @ second)


def cohen_kappa(a: Any, b: Any) -> float:
    """Cohen's κ (1960): agreement beyond that of the margins, as a share of what is left: (po - pe) / (1 - pe).

    Args:
        a: As in `agreement`.
        b: As in `agreement`.

    Returns:
        A number in [-1, 1]; chance is 0, 1 is full agreement.

    Raises:
        InputError: as `agreement`, or if both always give the same answer: κ is not defined then.

    Example:
        >>> cohen_kappa(["cat", "dog", "cat", "dog"], ["cat", "cat", "cat", "dog"])
        0.5
    """
    return KappaScore.of(*_answers(a, b)).value


def jensen_shannon(p: Any, q: Any) -> float:
    """Jensen-Shannon divergence of two models' probabilities, in bits, averaged over the items (Lin 1991).

    Args:
        p: Probabilities (n, classes).
        q: The same of the other model.

    Returns:
        A number in [0, 1]: 0 where both say the same, 1 where they never allow for the same class. Its square root is a
        metric. Chance is the mean over re-paired items, see `isomorph.outputs`.

    Raises:
        InputError: if a row is no distribution, or the two are not of the same items and classes.

    Example:
        >>> jensen_shannon([[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]])
        0.5
    """
    return float(JensenShannon(*_columns(as_probabilities(p, "p"), as_probabilities(q, "q"), ("p", "q"))).at().mean())


def kullback_leibler(log_p: Any, log_q: Any) -> float:
    """Kullback-Leibler divergence KL(p ‖ q) of log-probabilities, in bits, averaged over the positions.

    What it costs to code what follows p with the code of q, beyond p's own entropy; not symmetric.

    Args:
        log_p: Natural log-probabilities (n, vocabulary), finite.
        log_q: The same of the other model.

    Returns:
        A number of at least 0.

    Raises:
        InputError: if a row is no distribution, or the two are not of the same positions and vocabulary.

    Example:
        >>> kullback_leibler(np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])).__round__(3)
        0.208
    """
    pair = (as_log_probabilities(log_p, "log_p"), as_log_probabilities(log_q, "log_q"))
    return float(KullbackLeibler(*_columns(*pair, ("log_p", "log_q"))).at().mean())


def error_consistency(a: Any, b: Any, labels: Any) -> float:
    """Error consistency: Cohen's κ of being right (Geirhos, Meding and Wichmann 2020).

    Do two models err on the same items more than their accuracies alone make them?

    Args:
        a: As in `agreement`.
        b: As in `agreement`.
        labels: What is right (n,): labels, or with scores numbers of columns.

    Returns:
        A number in [-1, 1]; chance is 0, 1 is erring on exactly the same items. Two accuracies allow for a part of that
        range only, see `error_consistency_bounds`.

    Raises:
        InputError: as `agreement`, or if both are always right or always wrong: κ is not defined then.

    Example:
        >>> error_consistency([0, 1, 1, 1], [0, 1, 0, 1], labels=[0, 1, 0, 0])
        0.5
    """
    first, second = (sides_of(right(v, labels)) for v in (a, b))
    return KappaScore.of(first, second).value


def error_consistency_bounds(accuracy_a: float, accuracy_b: float) -> tuple[float, float]:
    """Least and most error consistency of two models of these accuracies (Geirhos et al. 2020, appendix).

    Args:
        accuracy_a: A share in [0, 1].
        accuracy_b: The same of the other model.

    Returns:
        Two numbers in [-1, 1].

    Raises:
        InputError: if one is no share, or both are 0 or both 1: κ is not defined then.

    Example:
        >>> [round(v, 3) for v in error_consistency_bounds(0.9, 0.6)]
        [-0.19, 0.286]
    """
    for name, value in (("accuracy_a", accuracy_a), ("accuracy_b", accuracy_b)):
        if not (is_share(value) or value in (0, 1)):
            raise InputError(f"{name}={quoted(value)} must be a share between 0 and 1.")
    expected = accuracy_a * accuracy_b + (1 - accuracy_a) * (1 - accuracy_b)
    if expected >= 1:
        raise InputError(
            f"accuracy_a={accuracy_a} and accuracy_b={accuracy_b}: error consistency is not defined where both are "
            "always right, or always wrong."
        )
    least, most = abs(accuracy_a + accuracy_b - 1), 1 - abs(accuracy_a - accuracy_b)
    return float((least - expected) / (1 - expected)), float((most - expected) / (1 - expected))


def top_k_overlap(a: Any, b: Any, k: int = 10) -> float:
    """Share of the k highest columns that two models have in common, averaged over the rows.

    Args:
        a: Scores (n, columns), higher first: similarities of a query to a gallery, or log-probabilities of tokens.
        b: The same of the other model.
        k: How many; at most the number of columns.

    Returns:
        A share in [0, 1]. Chance is k / columns if no column is preferred; `isomorph.outputs` gives the exact one.

    Raises:
        InputError: if k is too large, or the two are not of the same rows and columns.

    Example:
        >>> top_k_overlap([[3.0, 2.0, 1.0, 0.0]], [[3.0, 0.0, 1.0, 2.0]], k=2)
        0.5
    """
    first, second = _scores(a, b)
    as_count(k, "k", 1, first.shape[1])
    return float(rowwise(top(first, k), top(second, k)).mean() / k)


def rank_biased_overlap(a: Any, b: Any, persistence: float = 0.9) -> float:
    """Extrapolated rank-biased overlap of two models' rankings, averaged over the rows (Webber et al. 2010).

    The overlap of the first d, for all d, with weights (1 - p) p^(d - 1): the first ranks count most.

    Args:
        a: Scores (n, columns), higher first.
        b: The same of the other model.
        persistence: p; 0.9 gives the first ten ranks 86 % of the weight.

    Returns:
        A share in [0, 1], 1 for the same rankings. Chance depends on the columns, see `isomorph.outputs`.

    Raises:
        InputError: if `persistence` is no share, or the two are not of the same rows and columns.

    Example:
        >>> rank_biased_overlap([[3.0, 2.0, 1.0]], [[2.0, 3.0, 1.0]]).__round__(3)
        0.9
    """
    if not is_share(persistence):
        raise InputError(f"persistence={quoted(persistence)} must be a number between 0 and 1, such as 0.9.")
    first, second = (rank_biased(s, persistence) for s in _scores(a, b))
    return float(rowwise(first, second).mean())


def calibration_error(p: Any, labels: Any, bins: int = 15) -> float:
    """Expected calibration error: |stated - actual share of right answers|, averaged over bins of equal mass.

    Args:
        p: Probabilities (n, classes).
        labels: Numbers of the right classes (n,).
        bins: Number of bins.

    Returns:
        A number in [0, 1]; that of a calibrated model is above 0 by the noise of the bins, about √(bins / n) / 3.

    Raises:
        InputError: if a row is no distribution, or a label is no class.

    Source: Naeini et al. 2015; bins of equal mass as in Nixon et al. 2019.

    Example:
        >>> calibration_error([[0.8, 0.2], [0.2, 0.8], [0.8, 0.2], [0.8, 0.2]], [0, 1, 0, 1], bins=1).__round__(3)
        0.05
    """
    return _stated(p, labels, bins).whole(debiased=False)


def debiased_calibration_error(p: Any, labels: Any, bins: int = 15) -> float:
    """Root mean square calibration error over bins of equal mass, less what the noise of the bins adds.

    Args:
        p: Probabilities (n, classes).
        labels: Numbers of the right classes (n,).
        bins: Number of bins.

    Returns:
        A number in [0, 1]; that of a calibrated model is near 0, and 0 where the estimated square is below it.

    Raises:
        InputError: as `calibration_error`.

    Source: Kumar, Liang and Ma 2019, the debiased estimator.

    Example:
        >>> debiased_calibration_error([[0.9, 0.1]] * 10, [0] * 5 + [1] * 5, bins=1).__round__(3)
        0.364
    """
    return _stated(p, labels, bins).whole(debiased=True)


def right(answers: Any, labels: Any) -> Floats:
    """Whether each answer is right (n,), or with which probability where answers tie.

    Args:
        answers: As in `agreement`.
        labels: What is right (n,): labels, or with scores numbers of columns.

    Raises:
        InputError: if labels are not one an item, or one is no column.

    Example:
        >>> right([[0.1, 0.9], [0.5, 0.5]], [1, 0]).tolist()
        [1.0, 0.5]
    """
    if _is_labels(answers):
        return rowwise(*_answers(answers, labels))
    scores = _matrix(answers, "answers")
    codes, names = named(labels, len(scores), "labels", "text")
    columns = {label_text(k): k for k in range(scores.shape[1])}
    lost = [name for name in names if name not in columns]
    if lost:
        raise InputError(
            f"labels hold {quoted(lost[0])}, which is no column of the scores: with scores (n, {scores.shape[1]}) they "
            f"are numbers from 0 to {scores.shape[1] - 1}."
        )
    return rowwise(top(scores, 1), one_hot(np.array([columns[name] for name in names])[codes], scores.shape[1]))


def as_probabilities(p: Any, name: str) -> Floats:
    """Rows of probabilities (n, classes) in float64, adding up to 1.

    Raises:
        InputError: if one is negative, or a row does not add up to 1.
    """
    rows = np.asarray(_matrix(p, name), dtype=np.float64)
    if rows.min() < -1e-6:
        i, j = np.unravel_index(int(rows.argmin()), rows.shape)
        raise InputError(
            f"{name} holds {rows[i, j]:.4g} at item {i}, class {j}: a probability is not negative. If they are logits, "
            "give logits=True to iso.outputs, or their softmax; log-probabilities count as logits here."
        )
    rows = np.maximum(rows, 0.0)
    total = rows.sum(axis=1)
    off = int(np.argmax(np.abs(total - 1)))
    if abs(total[off] - 1) > SUMS_TO_ONE:
        raise InputError(
            f"{name}: the row of item {off} adds up to {total[off]:.4g}, and probabilities to 1. If they are logits, "
            "give logits=True to iso.outputs, or their softmax; else divide each row by its sum."
        )
    return np.asarray(rows / total[:, None])


def as_log_probabilities(p: Any, name: str) -> Floats:
    """Rows of natural log-probabilities (n, vocabulary), in their own precision.

    Raises:
        InputError: if the probabilities of a row do not add up to 1.
    """
    rows = _matrix(p, name)
    total = scipy.special.logsumexp(rows, axis=1)
    off = int(np.argmax(np.abs(total)))
    if abs(total[off]) > 10 * SUMS_TO_ONE:
        raise InputError(
            f"{name}: the probabilities of row {off} add up to {np.exp(min(float(total[off]), 700.0)):.4g}, not 1, and "
            "natural log-probabilities are needed. If these are logits, give logits=True to iso.outputs, or their "
            "log_softmax; if they are probabilities, their logarithm."
        )
    return np.asarray(rows - total[:, None].astype(rows.dtype))


def _stated(p: Any, labels: Any, bins: int) -> Stated:
    as_count(bins, "bins")
    rows = as_probabilities(p, "p")
    return Stated(rows.max(axis=1), right(rows, labels), bins)


def _is_labels(answers: Any) -> bool:
    try:
        return np.ndim(to_numpy(answers) if hasattr(answers, "__array__") else answers) <= 1
    except ValueError:  # lists of unlike lengths, refused as scores
        return False


def _matrix(values: Any, name: str) -> Floats:
    return np.asarray(to_numpy(as_features(values, name)))


def _scores(a: Any, b: Any, names: tuple[str, str] = ("a", "b")) -> tuple[Floats, Floats]:
    first, second = (np.asarray(to_numpy(v)) for v in as_pair(a, b, names))
    return _columns(first, second, names)


def _columns(a: Floats, b: Floats, names: tuple[str, str]) -> tuple[Floats, Floats]:
    """Both, if they are of the same rows and columns.

    Raises:
        InputError: if not.
    """
    if a.shape != b.shape:
        raise InputError(
            f"{names[0]} has shape {a.shape} and {names[1]} has {b.shape}; the same items and the same columns in the "
            "same order are needed. iso.outputs joins classes by name."
        )
    return a, b


def _answers(a: Any, b: Any) -> tuple[Rows, Rows]:
    """The answers of both as sparse rows over the same columns.

    Raises:
        InputError: if one gives labels and the other scores, or they do not fit.
    """
    labels = _is_labels(a), _is_labels(b)
    if all(labels):
        n = len(a)
        if len(b) != n or n == 0:
            raise InputError(f"a has {n} answers and b has {len(b)}; one each for the same items is needed.")
        codes = named([*_listed(a), *_listed(b)], 2 * n, "answers", "text")[0]
        width = int(codes.max()) + 1
        return one_hot(codes[:n], width), one_hot(codes[n:], width)
    if any(labels):
        raise InputError(
            "One of the two is a list of labels and the other a matrix of scores; give both as labels, such as "
            "classes[scores.argmax(axis=1)], or use iso.outputs, which joins them by class names."
        )
    first, second = _scores(a, b)
    return top(first, 1), top(second, 1)


def _listed(values: Any) -> list[Any]:
    found = to_numpy(values).tolist() if hasattr(values, "__array__") else list(values)
    return list(found)
