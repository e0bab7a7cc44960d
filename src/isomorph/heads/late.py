"""Each space read by itself, and what is said joined: averages, weights, stacking, products of experts, votes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import scipy

from .._core.checks import check_choice
from ..design import Codes
from ._base import Head, Matrix, Spaces, Views
from ._linear import fit_linear, linked, log_loss
from ._target import Target

COMBINE = ("average", "weighted", "stacked")
_LOWEST = 1e-6  # probability that an expert gives at least


class Late(Head):
    """Late fusion: a linear model for each space alone, their predictions joined.

    Args:
        combine: ``"average"``: the mean of the probabilities or numbers; ``"weighted"``: one weight a space, least in
            loss on predictions for items that the models did not see; ``"stacked"``: a linear model of these
            predictions (of their logarithms, where they are probabilities).

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, y = np.random.default_rng(0).normal(size=(2, 150, 4))
        >>> head = iso.make_head("late(combine='weighted')").fit({"x": x, "noise": y}, (x[:, 0] > 0).astype(int))
        >>> bool(head.weights_[0] > 0.9)
        True
    """

    name: ClassVar[str] = "late"
    reference: ClassVar[str] = "Wolpert 1992 (stacking), Breiman 1996 (weights that sum to one)."
    separate: ClassVar[bool] = True

    def __init__(self, combine: str = "average") -> None:
        check_choice(combine, "combine", COMBINE)
        self.combine = combine

    def _fit(self, spaces: Spaces, target: Target, folds: Codes, seed: int) -> None:
        unseen = [self.singles_[name].unseen for name in spaces]
        if self.combine == "weighted":
            self.weights_ = _simplex_weights(unseen, target)
        elif self.combine == "stacked":
            self.stacked_ = fit_linear(_inputs(unseen, target, spaces), target, folds=folds, banded=False)

    def _predict(self, spaces: Views) -> Matrix:
        there = [name for name, rows in spaces.items() if rows is not None]
        said = [self.singles_[name].predict({name: spaces[name]}) for name in there]
        if self.combine == "stacked":
            given = dict(zip(there, said, strict=True))
            inputs = _inputs(said, self.target_, given)
            return self.stacked_.predict({name: inputs.get(name) for name in spaces})
        weights = np.ones(len(there))
        if self.combine == "weighted":
            weights = self.weights_[[list(spaces).index(name) for name in there]]
            weights = weights if weights.sum() > 0 else np.ones(len(there))
        return np.tensordot(weights / weights.sum(), np.stack(said), axes=1)


class Product(Head):
    """Product of experts: calibrated probabilities of each space multiplied, over the prior.

    Each space's model is calibrated by a temperature on predictions for items that it did not see. If the spaces say
    independent things given the class, the product is the right answer. Numbers are joined by precision: each space
    weighs by the inverse of its squared error.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, y = np.random.default_rng(0).normal(size=(2, 150, 4))
        >>> head = iso.make_head("product").fit({"x": x, "y": y}, (x[:, 0] + y[:, 0] > 0).astype(int))
        >>> head.predict({"x": x, "y": y}).shape
        (150, 2)
    """

    name: ClassVar[str] = "product"
    reference: ClassVar[str] = "Hinton 2002 (products of experts), Guo et al. 2017 (temperature)."
    separate: ClassVar[bool] = True

    def _fit(self, spaces: Spaces, target: Target, folds: Codes, seed: int) -> None:
        self.prior_ = target.prior
        self.heat_ = {}
        for name in spaces:
            unseen = self.singles_[name].unseen
            if target.is_linear:
                self.heat_[name] = float(np.mean((unseen - target.outcomes) ** 2))
            else:
                self.heat_[name] = _temperature(_logit(unseen, target.kind), target)

    def _predict(self, spaces: Views) -> Matrix:
        there = {name: self.singles_[name].predict({name: rows}) for name, rows in spaces.items() if rows is not None}
        if self.target_.is_linear:
            precision = np.array([1 / max(self.heat_[name], 1e-300) for name in there])
            return np.tensordot(precision / precision.sum(), np.stack(list(there.values())), axes=1)
        kind = self.target_.kind
        prior = _logit(self.prior_[None, :], kind)
        logits = sum(_logit(p, kind) / self.heat_[name] for name, p in there.items()) - (len(there) - 1) * prior
        return linked(np.asarray(logits), kind)


class Vote(Head):
    """The vote of each space's model; ties go to the probabilities. Of numbers, the median.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, y, z = np.random.default_rng(0).normal(size=(3, 90, 3))
        >>> head = iso.make_head("vote").fit({"x": x, "y": y, "z": z}, (x[:, 0] > 0).astype(int))
        >>> head.predict({"x": x, "y": y, "z": z}).shape
        (90, 2)
    """

    name: ClassVar[str] = "vote"
    reference: ClassVar[str] = "Kittler et al. 1998 (majority vote and median rule)."
    separate: ClassVar[bool] = True

    def _fit(self, spaces: Spaces, target: Target, folds: Codes, seed: int) -> None:
        self.share_ = 1 / (len(spaces) + 1)  # of the probabilities beside the votes: less than one vote

    def _predict(self, spaces: Views) -> Matrix:
        said = np.stack([self.singles_[k].predict({k: rows}) for k, rows in spaces.items() if rows is not None])
        if self.target_.is_linear:
            return np.asarray(np.median(said, axis=0))
        votes = np.eye(said.shape[2])[said.argmax(axis=2)] if self.target_.kind == "classes" else said > 0.5
        mean = np.mean(votes, axis=0)
        return np.asarray((1 - self.share_) * mean + self.share_ * said.mean(axis=0))


def _logit(p: Matrix, kind: str) -> Matrix:
    p = np.clip(p, _LOWEST, 1 - _LOWEST)
    return np.log(p) if kind == "classes" else np.asarray(scipy.special.logit(p))


def _inputs(said: list[Matrix], target: Target, names: Iterable[str]) -> dict[str, Matrix]:
    """What the stacked model reads: a space for each model."""
    made = said if target.is_linear else [_logit(p, target.kind) for p in said]
    return dict(zip(names, made, strict=True))


def _temperature(logits: Matrix, target: Target) -> float:
    """What logits are to be divided by, for the least log loss."""

    def loss(log_heat: float) -> float:
        return float(log_loss(linked(logits / np.exp(log_heat), target.kind), target.outcomes, target.kind).sum())

    return float(np.exp(scipy.optimize.minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x))


def _simplex_weights(unseen: list[Matrix], target: Target) -> Matrix:
    """Weights of at least 0 that sum to 1, for the least loss of the weighted mean."""
    outcomes, stack = target.outcomes, np.stack(unseen)

    def loss(free: Matrix) -> float:
        mixed = np.tensordot(scipy.special.softmax(free), stack, axes=1)
        if target.is_linear:
            return float(np.mean((mixed - outcomes) ** 2) / max(float(np.var(outcomes)), 1e-300))
        return float(log_loss(mixed, outcomes, target.kind).mean())

    starts = [np.zeros(len(unseen)), *(4.0 * np.eye(len(unseen)))]
    found = min((scipy.optimize.minimize(loss, s, method="L-BFGS-B") for s in starts), key=lambda r: float(r.fun))
    return np.asarray(scipy.special.softmax(found.x))
