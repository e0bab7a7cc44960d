"""What each model RDM adds to the others: partial correlations, regression, and the parts of explained variance.

p-values are by *double semi-partialing* (Dekker, Krackhardt and Snijders 2007): what the other models leave of a model
is permuted by items, and the measured RDM regressed on that and on the other models as they are. Permuting the items of
the measured RDM breaks its relation to all models at once and so tests that none of them matters, not that one adds
nothing. docs/calibration.md has the rates of both, of Freedman and Lane's permutation, and of a t-test over pairs,
which are not independent.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.progress import progress
from ..errors import InputError
from ..metrics.rdm import entries_of, regressors
from ..population import basis_of, exact_groups
from ._read import Problem, pooled

Floats = np.ndarray[Any, np.dtype[np.float64]]
_TIED = 1e-12  # relative: a permutation that changes nothing may differ in the last digit


@dataclasses.dataclass(frozen=True, eq=False)
class Regression:
    """The mean RDM and the models over the pairs that all have, centered and of length 1.

    Attributes:
        y: The mean RDM (pairs,).
        x: The models (models, pairs).
        known: Which entries of a condensed RDM these pairs are.
        names: The models.
    """

    y: Floats
    x: Floats
    known: np.ndarray[Any, np.dtype[np.bool_]]
    names: tuple[str, ...]

    @property
    def correlations(self) -> Floats:
        """Correlation of each model with the mean RDM."""
        return np.asarray(self.x @ self.y)

    @property
    def betas(self) -> Floats:
        """Standardized coefficients."""
        return np.asarray(np.linalg.lstsq(self.x.T, self.y, rcond=None)[0])

    @property
    def inflation(self) -> Floats:
        """Variance inflation of each model."""
        return np.array([1 / _square(_left(self.x[k], self._basis(k))) for k in range(len(self.x))])

    @property
    def partials(self) -> Floats:
        """Correlation of each model with the mean RDM, all others held fixed."""
        out = []
        for k in range(len(self.x)):
            basis = self._basis(k)
            left, other = _left(self.y, basis), _left(self.x[k], basis)
            size = np.sqrt(_square(left) * _square(other))
            out.append(float(left @ other / size) if size > _TIED else 0.0)
        return np.clip(out, -1.0, 1.0)

    def r2(self, chosen: Sequence[int] | None = None) -> float:
        """Share of the variance of the mean RDM that some models explain, or all."""
        rows = self.x if chosen is None else self.x[list(chosen)]
        return _square(basis_of(rows.T).T @ self.y) if len(rows) else 0.0

    def chosen(self, names: Sequence[str]) -> Regression:
        """The regression on some of the models alone."""
        places = [self.names.index(n) for n in names]
        return dataclasses.replace(self, x=self.x[places], names=tuple(names))

    def null(self, orders: Any) -> tuple[Floats, Floats]:
        """Partial correlations (orders, models) by double semi-partialing, and R² (orders,) of a permuted mean RDM.

        Args:
            orders: Orders of the items (orders, n).
        """
        bases = [self._basis(k) for k in range(len(self.x))]
        lefts = np.stack([_left(self.y, b) for b in bases])
        residuals = np.stack([_left(x, b) for x, b in zip(self.x, bases, strict=True)])
        whole, response = self._full(residuals), self._full(self.y[None])
        together = basis_of(self.x.T)
        size = np.sqrt(np.einsum("ij,ij->i", lefts, lefts))
        partial, r2 = np.empty((len(orders), len(self.x))), np.empty(len(orders))
        with progress(len(orders), "models given the others", unit="permutations") as advance:
            for t, order in enumerate(orders):
                moved = self._known(entries_of(whole, order))
                for k, basis in enumerate(bases):
                    spread = np.sqrt(max(_square(moved[k]) - _square(basis.T @ moved[k]), 0.0))
                    below = size[k] * spread
                    partial[t, k] = lefts[k] @ moved[k] / below if below > _TIED else 0.0
                y = self._known(entries_of(response, order))[0]
                r2[t] = _square(together.T @ y) / _square(y)
                advance(1)
        return partial, r2

    def _basis(self, k: int) -> Floats:
        """Orthonormal basis of all models but one (pairs, models - 1)."""
        return basis_of(np.delete(self.x, k, axis=0).T) if len(self.x) > 1 else np.zeros((len(self.y), 0))

    def _full(self, rows: Floats) -> Floats:
        """Rows over all pairs; what is missing is 0, the mean, and so adds nothing where it comes to lie."""
        out = np.zeros((len(rows), len(self.known)))
        out[:, self.known] = rows
        return out

    def _known(self, rows: Floats) -> Floats:
        if self.known.all():
            return rows
        rows = rows[:, self.known]
        return np.asarray(rows - rows.mean(axis=1, keepdims=True))


def regression_of(problem: Problem, comparison: str) -> Regression:
    """The mean RDM of all subjects and the models, as the comparison reads them, about their means.

    Raises:
        InputError: if too few pairs are known, the mean RDM or a model is the same for all pairs, or a model is a
            weighted sum of others.
    """
    comparison = {"cosine": "pearson", "whitened_cosine": "whitened_pearson"}.get(comparison, comparison)
    mean = pooled(problem.data, comparison)
    known = ~np.isnan(mean) & ~np.isnan(problem.models).any(axis=0)
    if known.sum() < len(problem.models) + 3:
        raise InputError(
            f"models: the effects of {len(problem.models)} cannot be told apart by the {int(known.sum())} pairs of "
            "items that all RDMs have; give fewer models, or leave out items that lack dissimilarities: "
            "rdms.subset(ids)."
        )
    rows = np.vstack([mean[None], problem.models])[:, known]
    told = ["The mean of rdms", *(f"models[{name!r}]" for name in problem.names)]
    for what, row in zip(told, rows, strict=True):
        if np.ptp(row) <= 1e-10 * np.abs(row).max(initial=0.0):
            raise InputError(
                f"{what} is the same for all {row.size} pairs of items, so that there is no pattern to explain or to "
                "explain with; leave it out."
            )
    vectors = regressors(rows, comparison)
    vectors = vectors / np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    found = Regression(vectors[0], vectors[1:], known, problem.names)
    _require_apart(found)
    return found


def parts_of(regression: Regression) -> list[tuple[tuple[str, ...], float]]:
    """Commonality analysis: R² of the models divided into what each subset has in common and no other model has.

    Mood 1971, Nimon and Reio 2011: the part of subset S is the sum over its subsets T of ∓R²(the other models and T).
    """
    count = len(regression.names)
    every = range(count)
    r2 = {chosen: regression.r2(chosen) for size in range(count + 1) for chosen in itertools.combinations(every, size)}
    out = []
    for size in range(1, count + 1):
        for subset in itertools.combinations(every, size):
            rest = set(every) - set(subset)
            terms = [(-1) ** (len(t) + 1) * r2[tuple(sorted(rest | set(t)))]
                     for k in range(size + 1) for t in itertools.combinations(subset, k)]  # fmt: skip
            out.append((tuple(regression.names[i] for i in subset), float(sum(terms))))
    return out


def _require_apart(found: Regression) -> None:
    """Refuse models that are weighted sums of others.

    Raises:
        InputError: if there are any.
    """
    tied = [n for k, n in enumerate(found.names) if _square(_left(found.x[k], found._basis(k))) < 1e-8]
    if not tied:
        return
    groups = exact_groups({n: x[:, None] for n, x in zip(found.names, found.x, strict=True)}, tied)
    listed = "; ".join(", ".join(map(repr, g)) for g in groups) or ", ".join(map(repr, tied))
    raise InputError(
        f"models: {listed} give each other exactly (each is a weighted sum of the others there, or the same), so that "
        "what each adds cannot be told. Leave one of them out."
    )


def _left(v: Floats, basis: Floats) -> Floats:
    """What is left of a vector without its part in a basis."""
    return np.asarray(v - basis @ (basis.T @ v))


def _square(v: Floats) -> float:
    return float(v @ v)
