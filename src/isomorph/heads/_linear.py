"""Linear models over several spaces, with a penalty each: exact, convex, and fitted in one eigenbasis.

Every space is centred and divided by the root of its total variance, so that neither width nor scale decides. A space's
weight w multiplies its features by sqrt(w), which divides its ridge penalty by w (banded ridge: Nunez-Elizalde et al.
2019; Dupré la Tour et al. 2022). In the eigenbasis of the weighted Gram matrix ridge has a closed form with exact
leave-one-out errors, and the Hessian of logistic regression is nearly diagonal, so that L-BFGS needs few steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy

from .._core.rows import BlockRows
from .._core.shared_space import LEAST, Scaled, eigenbasis
from ..design import Codes
from ._block_linear import BlockSpaces, ridge_over_blocks
from ._target import Target

Matrix = np.ndarray[Any, Any]

RIDGE = tuple(10.0 ** np.arange(-7, 2))
"""Ridge penalties, in shares of the total variance."""
LOGISTIC = tuple(10.0 ** np.arange(-2, -9, -1.0))
"""Logistic penalties on half the squared coefficients, beside the mean log loss, for a total variance of 1."""
WEIGHTS = (0.1, 0.01, 0.0)
"""Weights that a space may have where another has 1."""
FOLDS = 3
_SOME_ROWS = 256  # on which weights are chosen: the choice of a decade needs no more
_STEPS = 300
_ROUGH, _EXACT = 1e-5, 1e-8  # relative change of the loss at which logistic regression ends


@dataclasses.dataclass(frozen=True, eq=False)
class Linear:
    """A fitted linear model.

    Attributes:
        coef: Coefficients of each scaled and weighted space, (d, k) by name.
        intercept: (k,).
        kind: As in `Target`.
        scaling: Of each space.
        penalty: The penalty that was chosen.
        weights: The weight of each space.
        unseen: Predictions for the rows fitted on (n, k), each by a fit that did not see it.

    Example:
        >>> x, y = np.random.default_rng(0).normal(size=(2, 60, 3))
        >>> target = Target("numbers", x[:, :1], ("first",))
        >>> found = fit_linear({"x": x, "y": y}, target, folds=np.arange(60) % 3)
        >>> found.kind, found.weights, found.unseen.shape
        ('numbers', {'x': 1.0, 'y': 0.0}, (60, 1))
    """

    coef: Mapping[str, Matrix]
    intercept: Matrix
    kind: str
    scaling: Mapping[str, Scaled]
    penalty: float
    weights: Mapping[str, float]
    unseen: Matrix

    def logits(self, spaces: Mapping[str, Matrix | None]) -> Matrix:
        """Outcomes before the link (m, k); a space that is not there stands at its mean."""
        there = {name: rows for name, rows in spaces.items() if rows is not None}
        m = len(next(iter(there.values())))
        out = np.broadcast_to(self.intercept, (m, len(self.intercept))).copy()
        for name, rows in there.items():
            out += self.scaling[name](rows) @ self.coef[name]
        return out

    def predict(self, spaces: Mapping[str, Matrix | None]) -> Matrix:
        """Probabilities of the classes or labels, or numbers, (m, k)."""
        return linked(self.logits(spaces), self.kind)


def linked(logits: Matrix, kind: str) -> Matrix:
    """Logits as probabilities: over classes, of each label; numbers stay as they are."""
    if kind == "classes":
        found: Matrix = scipy.special.softmax(logits, axis=1)
        return found
    if kind == "labels":
        return np.asarray(scipy.special.expit(logits))
    return logits


def fit_linear(
    spaces: Mapping[str, Matrix],
    target: Target,
    *,
    folds: Codes,
    banded: bool = True,
    penalties: Sequence[float] | None = None,
    copies: float = 0.0,
) -> Linear:
    """Fit a linear model over all spaces.

    Ridge for numbers and rows, its penalty chosen by the exact leave-one-out error; logistic regression for classes
    and labels, its penalty chosen by the log loss on `folds`.

    Args:
        spaces: Features (n, d) by name.
        target: The target of the same items.
        folds: Fold of each item (n,); items that must not be parted share one.
        banded: Whether each space has a weight of its own, chosen by leave-one-out ridge; else all have weight 1.
        penalties: Penalties to choose from.
        copies: Weight, beside the items themselves, of copies that lack one space (view dropout).

    Raises:
        InputError: if a space does not vary.

    Example:
        >>> x, y = np.random.default_rng(0).normal(size=(2, 60, 3))
        >>> target = Target("numbers", x[:, :1], ("first",))
        >>> found = fit_linear({"x": x, "y": y}, target, folds=np.arange(60) % 3)
        >>> bool(np.abs(found.predict({"x": x, "y": y}) - x[:, :1]).max() < 1e-4)
        True
    """
    if any(isinstance(rows, BlockRows) for rows in spaces.values()):
        return _fit_blocks(BlockSpaces(spaces), target, banded=banded, penalties=penalties or RIDGE)
    scaling, rows = {}, {}
    for name, given in spaces.items():
        scaling[name], rows[name] = Scaled.of(given, name)
    outcomes = target.outcomes
    weights = chosen_weights(rows, outcomes) if banded and len(rows) > 1 else dict.fromkeys(rows, 1.0)
    used = {name: np.sqrt(w) * rows[name] for name, w in weights.items() if w > 0}
    basis, back = eigenbasis(list(used.values()))
    if target.is_linear:
        coef, intercept, penalty, unseen = _ridge(basis, outcomes, penalties or RIDGE)
    else:
        lacking = _lacking(list(used.values()), back) if copies and len(used) > 1 else ()
        coef, intercept, penalty, unseen = _logistic(
            basis, outcomes, target.kind, folds, penalties or LOGISTIC, lacking, copies
        )
    parts = _parted(back @ coef, {name: given.shape[1] for name, given in rows.items()}, weights)
    return Linear(parts, intercept, target.kind, scaling, penalty, weights, unseen)


def _parted(whole: Matrix, widths: Mapping[str, int], weights: Mapping[str, float]) -> dict[str, Matrix]:
    """Coefficients of each space, out of those of all that have weight side by side."""
    parts, begin = {}, 0
    for name, width in widths.items():
        if weights[name] <= 0:
            parts[name] = np.zeros((width, whole.shape[1]))
            continue
        parts[name] = np.sqrt(weights[name]) * whole[begin : begin + width]
        begin += width
    return parts


def _fit_blocks(spaces: BlockSpaces, target: Target, *, banded: bool, penalties: Sequence[float]) -> Linear:
    """`fit_linear` of rows that are read in blocks."""
    names, weights = list(spaces.spaces), dict.fromkeys(spaces.spaces, 1.0)
    if banded and len(names) > 1:
        some = _evenly(spaces.n)
        weights = chosen_weights(spaces.some(some), target.outcomes[some])
    coef, intercept, penalty, unseen = ridge_over_blocks(spaces, weights, target, penalties)
    parts = _parted(coef, {name: rows.shape[1] for name, rows in spaces.spaces.items()}, weights)
    return Linear(parts, intercept, target.kind, spaces.scaling, penalty, weights, unseen)


def _evenly(n: int) -> Codes:
    """At most 256 rows, evenly spread over the items."""
    return np.unique(np.linspace(0, n - 1, min(n, _SOME_ROWS)).astype(int))


def reading_error(rows: Matrix, target: Target, name: str) -> float:
    """Leave-one-out squared error of the best ridge from one space to the target: what choosing a layer goes by.

    Raises:
        InputError: if the rows do not vary.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 3))
        >>> target = Target("numbers", x[:, :1], ("first",))
        >>> reading_error(x, target, "x") < 1e-6 < reading_error(noise, target, "noise")
        True
    """
    return float(loo_errors(eigenbasis([Scaled.of(rows, name)[1]])[0], target.outcomes, RIDGE)[0].min())


def loo_errors(basis: Matrix, outcomes: Matrix, penalties: Sequence[float]) -> tuple[Matrix, Matrix, Matrix]:
    """Exact leave-one-out residuals of ridge with an intercept, in its eigenbasis.

    Returns:
        Sum of squared errors for each penalty, residuals (n, k) of the best, and its coefficients (r, k).
    """
    n = len(basis)
    squares = np.einsum("ij,ij->j", basis, basis)
    total = squares.sum()
    unit = basis / np.sqrt(squares)
    centered = outcomes - outcomes.mean(axis=0)
    inner = unit.T @ centered
    errors, best = [], (np.inf, centered, np.zeros_like(inner))
    shares = np.array([squares / (squares + share * total) for share in penalties])
    leverages = (unit * unit) @ shares.T + 1 / n
    for shrunk, leverage in zip(shares, leverages.T, strict=True):
        fitted = unit @ (shrunk[:, None] * inner)
        residuals = (centered - fitted) / np.maximum(1 - leverage, 1e-9)[:, None]
        errors.append(float(np.sum(residuals**2)))
        if errors[-1] < best[0]:
            best = (errors[-1], residuals, (shrunk / np.sqrt(squares))[:, None] * inner)
    return np.array(errors), best[1], best[2]


def _ridge(basis: Matrix, outcomes: Matrix, penalties: Sequence[float]) -> tuple[Matrix, Matrix, float, Matrix]:
    errors, residuals, coef = loo_errors(basis, outcomes, penalties)
    return coef, outcomes.mean(axis=0), float(penalties[int(np.argmin(errors))]), outcomes - residuals


def chosen_weights(rows: Mapping[str, Matrix], outcomes: Matrix) -> dict[str, float]:
    """A weight for each scaled space, by coordinate descent on the leave-one-out error of ridge.

    Chosen on at most 256 rows, evenly spread over the items.
    """
    some = _evenly(len(outcomes))
    error_of = _error_by_weights({name: space[some] for name, space in rows.items()}, outcomes[some])
    weights = dict.fromkeys(rows, 1.0)
    best = error_of(weights)
    for _ in range(2):
        before = dict(weights)
        for name in rows:
            for value in (1.0, *WEIGHTS):
                tried = {**weights, name: value}
                if tried == weights or max(tried.values()) < 1.0:
                    continue
                error = error_of(tried)
                if error < best * (1 - 1e-3):  # a weight has to be worth it
                    best, weights = error, tried
        if weights == before:
            break
    return weights


def _error_by_weights(rows: Mapping[str, Matrix], outcomes: Matrix) -> Callable[[Mapping[str, float]], float]:
    """The leave-one-out error of the best ridge as a function of the weights of spaces."""
    parts = {name: space - space.mean(axis=0) for name, space in rows.items()}
    if sum(part.shape[1] for part in parts.values()) <= len(outcomes):

        def basis(weights: Mapping[str, float]) -> Matrix:
            return eigenbasis([np.sqrt(w) * parts[name] for name, w in weights.items() if w > 0])[0]

    else:
        grams = {name: part @ part.T for name, part in parts.items()}

        def basis(weights: Mapping[str, float]) -> Matrix:
            whole = sum(w * grams[name] for name, w in weights.items() if w > 0)
            values, vectors = scipy.linalg.eigh(whole, driver="evd")
            kept = values > LEAST * max(values[-1], 0.0)
            found: Matrix = vectors[:, kept] * np.sqrt(values[kept])
            return found

    return lambda weights: float(loo_errors(basis(weights), outcomes, RIDGE)[0].min())


# ---- logistic regression ---------------------------------------------------------------------------------------------


def _lacking(spaces: Sequence[Matrix], back: Matrix) -> tuple[Matrix, ...]:
    """The rows in the eigenbasis with one space after the other at its mean."""
    ends = np.cumsum([0, *(s.shape[1] for s in spaces)])
    parts = [s @ back[a:b] for s, a, b in zip(spaces, ends[:-1], ends[1:], strict=True)]
    whole = sum(parts)
    return tuple(whole - part for part in parts)


def _logistic(
    basis: Matrix,
    outcomes: Matrix,
    kind: str,
    folds: Codes,
    penalties: Sequence[float],
    lacking: Sequence[Matrix],
    copies: float,
) -> tuple[Matrix, Matrix, float, Matrix]:
    count = int(folds.max()) + 1
    losses, unseen = np.zeros(len(penalties)), np.zeros((len(penalties), *outcomes.shape))
    tried, rough = len(penalties), basis.astype(np.float32)  # a penalty is chosen to a decade
    for fold in range(count):
        train, test = folds != fold, folds == fold
        start: tuple[Matrix, Matrix] | None = None
        seen, told, other = rough[train], outcomes[train], basis[test]
        some = [m[train].astype(np.float32) for m in lacking]
        for k in range(tried):
            start = coef, intercept = _solved(seen, told, kind, penalties[k], start, some, copies, _ROUGH)
            unseen[k, test] = predicted = linked(other @ coef + intercept, kind)
            losses[k] += log_loss(predicted, outcomes[test], kind).sum()
            if fold == 0 and k and losses[k] > losses[k - 1]:
                tried = k + 1  # less penalty makes it worse from here on
                break
    best = int(np.argmin(losses[:tried]))
    coef, intercept = _solved(basis, outcomes, kind, penalties[best], start, lacking, copies, _EXACT)
    return coef, intercept, float(penalties[best]), unseen[best]


def log_loss(predicted: Matrix, outcomes: Matrix, kind: str) -> Matrix:
    """Log loss of each item (n,), in nats; of several labels their sum.

    Example:
        >>> log_loss(np.array([[0.5, 0.5], [1.0, 0.0]]), np.eye(2)[[0, 0]], "classes").round(3).tolist()
        [0.693, -0.0]
    """
    p = np.clip(predicted, 1e-12, 1.0)
    loss = -np.sum(outcomes * np.log(p), axis=1)
    if kind == "labels":
        loss -= np.sum((1 - outcomes) * np.log(np.clip(1 - predicted, 1e-12, 1.0)), axis=1)
    found: Matrix = loss
    return found


def _solved(
    basis: Matrix,
    outcomes: Matrix,
    kind: str,
    penalty: float,
    start: Any,
    lacking: Sequence[Matrix],
    copies: float,
    tolerance: float,
) -> tuple[Matrix, Matrix]:
    """Coefficients (r, k) and intercepts of penalised logistic regression, from `start` on."""
    from scipy.optimize import minimize

    n, r = basis.shape
    k = outcomes.shape[1]
    share = copies / len(lacking) if lacking else 0.0
    sets = [(basis, 1 / (n * (1 + copies * bool(lacking)))), *((m, share / (n * (1 + copies))) for m in lacking)]
    prior = outcomes.mean(axis=0)
    spread = float(np.mean(prior * (1 - prior)))
    size = np.sqrt(
        np.einsum("ij,ij->j", basis, basis).astype(np.float64) / n * spread + penalty
    )  # of the Hessian, nearly
    size = np.append(size, np.sqrt(max(spread, 1e-6)))[:, None]

    def loss(flat: Matrix) -> tuple[float, Matrix]:
        at = flat.reshape(r + 1, k) / size
        coef, intercept = at[:-1], at[-1]
        inside = coef.astype(basis.dtype)
        value, slope = 0.5 * penalty * float(np.sum(coef**2)), np.zeros_like(at)
        slope[:-1] = penalty * coef
        for rows, weight in sets:
            logits = rows @ inside + intercept
            if kind == "classes":
                logits -= logits.max(axis=1, keepdims=True)
                shares = np.exp(logits)
                total = shares.sum(axis=1, keepdims=True)
                value += weight * float(np.log(total).sum() - np.sum(outcomes * logits))
                error = shares / total - outcomes
            else:
                value += weight * float(np.sum(np.logaddexp(0, logits) - outcomes * logits))
                error = scipy.special.expit(logits) - outcomes
            slope[:-1] += weight * (rows.T @ error.astype(basis.dtype))
            slope[-1] += weight * error.sum(axis=0)
        return value, (slope / size).ravel()

    if start is None:
        begin = np.zeros((r + 1, k))
        begin[-1] = (
            np.log(np.clip(prior, 1e-3, 1.0)) if kind == "classes" else scipy.special.logit(np.clip(prior, 1e-3, 0.999))
        )
    else:
        begin = np.vstack([start[0], start[1]])
    found = minimize(
        loss,
        (begin * size).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _STEPS, "ftol": tolerance, "gtol": 1e-7},
    )
    at = found.x.reshape(r + 1, k) / size
    return at[:-1], at[-1]
