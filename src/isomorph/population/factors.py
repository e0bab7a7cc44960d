"""What explains how alike models are: regression over pairs of models, tested by permuting the models."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping, Sequence
from itertools import permutations as all_orders
from typing import Any

import numpy as np

from .._core.checks import as_count, as_seed
from ..design import permutations as drawn_orders
from ..errors import InputError, quoted
from ._collinear import basis_of, exact_groups
from ._dyads import as_names, as_square, listed, pairs_of

Floats = np.ndarray[Any, Any]

NEARLY = 0.9
"""R² of a factor by the other factors from which on their effects can hardly be told apart."""
_EXACT = 1e-9  # share of a predictor's variance that is left when the others give it exactly, but for rounding
_TIES = 1e-9
_BLOCK = 1 << 22  # entries of a block of permuted predictors


@dataclasses.dataclass(frozen=True)
class Effect:
    """What one factor adds to all the others.

    Attributes:
        factor: Name.
        kind: ``"same"``: the predictor is 1 for two models of one category, else 0; ``"difference"``: it is the
            absolute difference of two models' numbers.
        coefficient: Change of the matrix's values per unit of the predictor, all other factors kept: from another
            category to the same one, or per unit of difference. NaN if the others give the factor exactly.
        standardized: The coefficient per standard deviation of the predictor over the compared pairs.
        partial_r2: Share of the variance left by the other factors that this one explains, 0 to 1.
        p_value: Two-sided p of the partial effect, over permutations of the models.
        shared: R² of the predictor by those of the other factors; 1 if they give it exactly.
        inflation: Variance inflation factor, 1 / (1 - shared).

    Example:
        >>> size = np.array([1, 2, 3, 5, 8])
        >>> effect = explain(1 - 0.1 * np.abs(size[:, None] - size), {"size": size}).effects["size"]
        >>> effect.kind, round(effect.coefficient, 2), round(effect.partial_r2, 2), round(effect.p_value, 3)
        ('difference', -0.1, 1.0, 0.008)
    """

    factor: str
    kind: str
    coefficient: float
    standardized: float
    partial_r2: float
    p_value: float
    shared: float
    inflation: float


@dataclasses.dataclass(frozen=True, eq=False)
class Factors:
    """A regression of model × model values on what the models have in common.

    Attributes:
        effects: Of each factor.
        r2: Share of the variance over pairs that all factors explain, 0 to 1.
        chance_r2: Its mean over permutations of the models: what as many factors explain of anything.
        p_value: p that all factors together explain as much.
        confounded: Groups of factors that are exactly collinear over the compared pairs: no partial effect.
        nearly: Factors with an R² above 0.9 by the others, with the one that gives most of it.
        pairs: Pairs of models that were compared.
        models: Number of models.
        permutations: How many orders of the models each effect was held against.
        exact: Whether these are all that there are.

    Example:
        >>> family = np.repeat(["a", "b", "c"], 4)
        >>> alike = 0.2 * (family[:, None] == family) + 0.02 * np.random.default_rng(0).normal(size=(12, 12))
        >>> found = explain((alike + alike.T) / 2, {"family": list(family), "size": list(range(12))})
        >>> print(found.told)
        family, size explain 97 % of the variance over 66 pairs of 12 models (chance 3 %, p = 0.001). family: ...
    """

    effects: Mapping[str, Effect]
    r2: float
    chance_r2: float
    p_value: float
    confounded: tuple[tuple[str, ...], ...]
    nearly: Mapping[str, str]
    pairs: int
    models: int
    permutations: int
    exact: bool

    @property
    def told(self) -> str:
        """What was found and what cannot be told apart, in sentences."""
        text = [
            f"{', '.join(self.effects)} explain {100 * self.r2:.0f} % of the variance over {self.pairs} pairs of "
            f"{self.models} models (chance {100 * self.chance_r2:.0f} %, p = {self.p_value:.2g})."
        ]
        text += [
            f"{e.factor}: {e.coefficient:+.3g} {'in the same' if e.kind == 'same' else 'per unit of difference'}, "
            f"partial R² {e.partial_r2:.2f}, p = {e.p_value:.2g}."
            for e in self.effects.values()
            if not math.isnan(e.coefficient)
        ]
        text += [
            f"{listed(group)} cannot be told apart: each is given exactly by the other{'s' * (len(group) > 2)}, so "
            "neither has an effect of its own here."
            for group in self.confounded
        ]
        text += [
            f"{name} can hardly be told apart from {other}: R² {self.effects[name].shared:.2f} by the other factors."
            for name, other in self.nearly.items()
        ]
        return " ".join(text)


def explain(
    matrix: Any,
    factors: Mapping[str, Sequence[Any]],
    *,
    names: Sequence[str] | None = None,
    permutations: int = 999,
    seed: int = 0,
) -> Factors:
    """What explains model-model alignment: multiple regression over pairs of models, with permutation of the models.

    Values of one model's pairs depend on each other, so that tests of a plain regression are far too liberal. MRQAP by
    double semi-partialing (Dekker, Krackhardt and Snijders 2007): a factor's predictor is residualised on those of the
    others, the models of that residual are permuted, and the partial correlation (a pivotal statistic, monotone in
    |t|) is held against that of each order. With few models all their orders are gone through.

    Args:
        matrix: Symmetric values (models, models), such as calibrated alignments; NaN where a pair was not compared.
        factors: Name -> one value a model. Texts and truth values are categories, whose predictor is "the same";
            numbers are taken by their absolute difference.
        names: One name a model, for messages.
        permutations: Orders of the models that are drawn; the first is always that of the data.
        seed: Seed of the draws.

    Raises:
        InputError: if there are fewer than five models or too few pairs, a factor is missing for a model, mixes texts
            and numbers, or does not vary over the compared pairs.

    Example:
        >>> family, layers = list("aaabbbcc"), [12, 12, 24, 12, 24, 24, 12, 24]
        >>> values = np.random.default_rng(0).normal(size=(8, 8))
        >>> found = explain(values + values.T, {"family": family, "layers": layers}, permutations=199)
        >>> {name: round(effect.p_value, 1) for name, effect in found.effects.items()}
        {'family': 0.9, 'layers': 0.7}
    """
    square = as_square(matrix, "matrix")
    m = len(square)
    called = as_names(names, m)
    if m < 5:
        raise InputError(f"matrix has {m} models; at least 5 are needed, whose orders can be permuted.")
    if not factors:
        raise InputError("factors: there is none; give a mapping of names to one value a model.")
    as_count(permutations, "permutations")
    i, j = pairs_of(m)
    there = np.flatnonzero(~np.isnan(square[i, j]))
    if len(there) < len(factors) + 3:
        raise InputError(
            f"matrix holds {len(there)} compared pairs, too few for {len(factors)} factors; compare more models or "
            "name fewer factors."
        )
    if np.ptp(square[i, j][there]) <= _TIES * np.abs(square[i, j][there]).max():
        raise InputError(
            "matrix is constant: all compared pairs of models have the same value, so nothing explains it."
        )
    kinds, wide = {}, {}
    for name, values in factors.items():
        kinds[name], wide[name] = _predictor(name, values, called)
        _check_varies(name, kinds[name], wide[name][i, j][there])
    orders, exact = _orders(m, permutations, as_seed(seed))
    work = _Regression(square[i, j][there], (i[there], j[there]), wide)
    r2, chance, p_all = work.together(orders)
    effects = {name: work.partial(name, kinds[name], orders) for name in factors}
    blocks = {name: w[work.at][:, None] for name, w in wide.items()}
    groups = exact_groups(blocks, [name for name, e in effects.items() if math.isnan(e.coefficient)])
    inside = {name for group in groups for name in group}
    nearly = {name: work.nearest(name) for name, e in effects.items() if e.shared > NEARLY and name not in inside}
    return Factors(effects, r2, chance, p_all, groups, nearly, len(there), m, len(orders), exact)


def _predictor(name: str, values: Sequence[Any], models: Sequence[str]) -> tuple[str, Floats]:
    """What kind of factor it is, and its predictor over all pairs (models, models).

    Raises:
        InputError: if a value is missing or not finite, or numbers and texts are mixed.
    """
    given = list(values) if not isinstance(values, str) and hasattr(values, "__iter__") else None
    if given is None or len(given) != len(models):
        raise InputError(
            f"factor {quoted(name)} needs one value for each of the {len(models)} models, found "
            f"{quoted(values) if given is None else len(given)}."
        )
    missing = [m for m, v in zip(models, given, strict=True) if v is None or v == "" or _is_nan(v)]
    if missing:
        raise InputError(
            f"factor {quoted(name)} is missing for {listed(missing)}; give its value, or leave "
            f"{'this model' if len(missing) == 1 else 'these models'} or the factor out."
        )
    are_numbers = [isinstance(v, numbers.Real) and not isinstance(v, (bool, np.bool_)) for v in given]
    if all(are_numbers):
        x = np.array(given, dtype=np.float64)
        if not np.isfinite(x).all():
            raise InputError(f"factor {quoted(name)} holds a number that is not finite; give finite ones.")
        return "difference", np.abs(x[:, None] - x[None, :])
    if any(are_numbers):
        raise InputError(
            f"factor {quoted(name)} mixes numbers and texts ({quoted(given)}); give numbers, or all as texts."
        )
    codes = np.unique([str(v) for v in given], return_inverse=True)[1]
    return "same", (codes[:, None] == codes[None, :]).astype(np.float64)


def _check_varies(name: str, kind: str, values: Floats) -> None:
    if np.ptp(values) > _TIES * np.abs(values).max():
        return
    what = "are equally far apart" if kind == "difference" else "agree" if values[0] else "differ"
    raise InputError(f"factor {quoted(name)} is constant: the two models of every compared pair {what}. Leave it out.")


def _is_nan(value: Any) -> bool:
    return isinstance(value, numbers.Real) and math.isnan(value)


def _orders(models: int, permutations: int, seed: int) -> tuple[Floats, bool]:
    """Orders of the models, the identity among them, and whether they are all that there are."""
    if math.factorial(models) <= permutations + 1:
        return np.array(list(all_orders(range(models)))), True
    return np.vstack([np.arange(models), drawn_orders(models, permutations, seed)]), False


class _Regression:
    """Least squares of values over pairs on predictors and an intercept.

    Attributes:
        y: Values of the compared pairs.
        at: The two models of each.
        wide: Predictors over all pairs (models, models), by name: known also where models were not compared.
    """

    def __init__(self, y: Floats, at: tuple[Floats, Floats], wide: Mapping[str, Floats]) -> None:
        self.y, self.at, self.wide = y, at, wide

    def _others(self, name: str) -> Floats:
        """Orthonormal basis of the intercept and all predictors but one."""
        return basis_of(
            np.column_stack([np.ones(len(self.y)), *(w[self.at] for other, w in self.wide.items() if other != name)])
        )

    def together(self, orders: Floats) -> tuple[float, float, float]:
        """R² of all predictors, its mean over the other orders of the models, and its p."""
        centered, (i, j) = self.y - self.y.mean(), self.at
        found = np.empty(len(orders))
        for k, order in enumerate(orders):
            basis = basis_of(np.column_stack([np.ones(len(i)), *(w[order[i], order[j]] for w in self.wide.values())]))
            found[k] = np.sum((basis.T @ centered) ** 2)
        found /= centered @ centered
        return float(found[0]), float(found[1:].mean()), float(np.mean(found >= found[0] - _TIES))

    def partial(self, name: str, kind: str, orders: Floats) -> Effect:
        """The effect of one factor beside the others, held against orders of the models of its residual."""
        basis, x = self._others(name), self.wide[name][self.at]
        own = _residual(x, basis)
        spread = float(np.sum((x - x.mean()) ** 2))
        left = float(own @ own) / spread
        if left <= _EXACT:
            return Effect(name, kind, math.nan, math.nan, math.nan, math.nan, 1.0, math.inf)
        y = _residual(self.y, basis)
        coefficient = float(own @ y) / float(own @ own)
        deviation = math.sqrt(spread / len(x))
        found = self._correlations(self._residual_matrix(name), y, basis, orders)
        reached = float(np.mean(np.abs(found) >= abs(found[0]) - _TIES))
        return Effect(
            name, kind, coefficient, coefficient * deviation, float(found[0] ** 2), reached, 1 - left, 1 / left
        )

    def _residual_matrix(self, name: str) -> Floats:
        """A predictor less what the others say of it on the compared pairs, over all pairs."""
        others = [np.ones_like(self.wide[name]), *(w for other, w in self.wide.items() if other != name)]
        size = [float(np.linalg.norm(o[self.at])) for o in others]
        design = np.column_stack([o[self.at] / s for o, s in zip(others, size, strict=True)])
        weights = np.linalg.lstsq(design, self.wide[name][self.at], rcond=1e-10)[0]
        return np.asarray(self.wide[name] - sum(w / s * o for w, s, o in zip(weights, size, others, strict=True)))

    def _correlations(self, residual: Floats, y: Floats, basis: Floats, orders: Floats) -> Floats:
        """Partial correlation of y with the residual, its models in each order (orders,)."""
        i, j = self.at
        size = float(np.linalg.norm(y))
        out = np.zeros(len(orders))
        # what is left of values that the other factors give exactly is rounding
        if size <= _EXACT * float(np.linalg.norm(self.y)):
            return out
        step = max(1, _BLOCK // len(i))
        for start in range(0, len(orders), step):
            some = orders[start : start + step]
            moved = residual[some[:, i], some[:, j]]
            moved -= (moved @ basis) @ basis.T
            norm = np.linalg.norm(moved, axis=1)
            out[start : start + step] = (moved @ y) / (np.where(norm > 0, norm, 1.0) * size)
        return out

    def nearest(self, name: str) -> str:
        """The other factor whose predictor goes most with this one's."""
        others = [n for n in self.wide if n != name]
        return max(others, key=lambda n: abs(np.corrcoef(self.wide[n][self.at], self.wide[name][self.at])[0, 1]))


def _residual(values: Floats, basis: Floats) -> Floats:
    return np.asarray(values - basis @ (basis.T @ values))
