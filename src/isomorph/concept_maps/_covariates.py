"""What predicts how alike both sides see an item: one regression of the items' scores on all covariates."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.arrays import to_numpy
from .._core.checks import as_ids, check_choice
from .._core.distributions import f_sf, t_ppf, t_sf
from .._core.frames import by_index
from ..design import coded, label_text
from ..errors import InputError, quoted
from ..nulls import Moves
from ..population import as_alpha, basis_of, exact_groups
from ..results import CategoryEffect, CovariateEffect, Covariates, listed
from ..significance import benjamini_hochberg
from ._sums import Fit, Spread

Floats = np.ndarray[Any, Any]

NEARLY = 10.0
"""Variance inflation from which on effects can hardly be told apart."""
_EXACT = 1e-9  # share of a covariate's variance that is left when the others give it exactly, but for rounding
_LARGEST = 1e140  # of a score: millions of its squares can be summed, as of its inverse they do not vanish
_SHOWN = 5  # ids that a message names


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
    """One covariate, checked.

    Attributes:
        name: Name.
        values: Numbers (n,), or the category of each item, numbered.
        categories: Names of the categories; empty for numbers.
        missing: Which items lack it (n,).
    """

    name: str
    values: Floats
    categories: tuple[str, ...]
    missing: np.ndarray[Any, np.dtype[np.bool_]]

    def of(self, rows: Any) -> Column:
        """The covariate of some items; categories that none of them has are gone."""
        values, categories = self.values[rows], self.categories
        if categories:
            there, values = np.unique(values, return_inverse=True)
            categories = tuple(categories[int(k)] for k in there)
        return Column(self.name, values, categories, self.missing[rows])

    @property
    def deviation(self) -> float:
        """Standard deviation of the numbers."""
        power = int(np.frexp(np.abs(self.values).max())[1])
        return float(np.ldexp(np.ldexp(self.values, -power).std(), power))

    @property
    def predictors(self) -> Floats:
        """Columns about their means: the number per standard deviation, or every category but the first (n, q)."""
        if not self.categories:
            centered = self.values - self.values.mean()
            centered = np.ldexp(centered, -int(np.frexp(np.abs(centered).max())[1]))  # no square is lost; exact
            return np.asarray((centered / centered.std())[:, None])
        own = (self.values[:, None] == np.arange(len(self.categories))).astype(np.float64)
        return np.asarray((own - own.mean(axis=0))[:, 1:])


def read_columns(
    covariates: Mapping[str, Any], n: int, *, ids: Sequence[str] | None = None, missing: str = "refuse"
) -> tuple[list[Column], Any, dict[str, tuple[str, ...]]]:
    """Covariates, checked before anything is computed.

    Args:
        covariates: Name -> one value an item: numbers, or texts and truth values, which are categories. None, NaN and
            empty texts are gaps.
        n: Number of items.
        ids: Ids of the items, for messages; their rows otherwise.
        missing: ``"refuse"`` items that lack a value, or ``"leave out"``.

    Returns:
        The covariates of the items that are kept, their rows, and covariate -> ids of those that lack it.

    Raises:
        InputError: if there are no covariates, one has not one value an item, is missing for some, mixes numbers and
            texts, is constant, has a category of one item, or there are fewer items than predictors and two.

    Example:
        >>> columns, rows, _ = read_columns({"size": [1, 2, None, 4, 5]}, 5, missing="leave out")
        >>> columns[0].values.tolist(), rows.tolist()
        ([1.0, 2.0, 4.0, 5.0], [0, 1, 3, 4])
    """
    check_choice(missing, "missing", ("refuse", "leave out"))
    if not isinstance(covariates, Mapping) or not covariates:
        raise InputError(
            f"covariates={quoted(covariates)}: a mapping from name to one value an item is needed, with one at least."
        )
    known = as_ids(range(n) if ids is None else ids, "ids")
    columns = [_column(str(name), values, n, ids) for name, values in covariates.items()]
    lacking = {c.name: tuple(known[i] for i in np.flatnonzero(c.missing)) for c in columns if c.missing.any()}
    if lacking and missing == "refuse":
        said = "; ".join(f"{quoted(name)} by {_some(who)}" for name, who in lacking.items())
        raise InputError(
            f"covariates are missing: {said}. Give these values, leave the covariate out, or leave the items out with "
            "missing='leave out'."
        )
    rows = np.flatnonzero(~np.any([c.missing for c in columns], axis=0))
    if not len(rows):
        raise InputError(f"covariates: no item has all of {listed([c.name for c in columns])}.")
    kept = [c.of(rows) for c in columns]
    for column in kept:
        _check_varies(column, len(rows))
    predictors = sum(max(1, len(c.categories) - 1) for c in kept)
    if len(rows) < predictors + 2:
        raise InputError(
            f"covariates: {len(rows)} items are too few for {len(kept)} covariates with {predictors} predictors (a "
            f"number is one, categories are one less than there are); {predictors + 2} are needed at least."
        )
    return kept, rows, lacking


def explain_items(
    scores: Any,
    covariates: Mapping[str, Any],
    *,
    groups: Any = None,
    moves: Moves | None = None,
    ids: Sequence[str] | None = None,
    missing: str = "refuse",
    alpha: float = 0.05,
) -> Covariates:
    """What predicts the scores of items: least squares on all covariates together.

    Scores of items are not independent: two items that share a neighbour share its part of their scores. A coefficient
    is a weighted sum of scores, so that an item counts in it by its own residual and by how it moves the scores of
    others; with `moves` both are in the variance. Without, the scores of different items (groups) are taken as
    independent given the covariates, and intervals are too narrow where a covariate is a smooth function of the
    space. The covariates of the items at hand are taken as given: those that are made of the space
    (density, hubness) would change with the items too, which is not counted. Tests of several predictors compare the
    variance that they explain with its expectation (Brunner, Dette and Munk 1997). An effect is no cause.

    Args:
        scores: Score of each item (n,).
        covariates: Name -> one value an item. Numbers are standardised, texts and truth values are categories.
        groups: One group an item, whose items are drawn together, or None.
        moves: How items move each other's scores (`Metric.item_scores`), or None.
        ids: Ids of the items, for messages.
        missing: ``"refuse"`` items that lack a covariate, or ``"leave out"``, which the result counts.
        alpha: Intervals cover 1 - alpha.

    Raises:
        InputError: if the scores are no finite numbers, one an item, or all the same, there are too few groups, or as
            `read_columns`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> density, kind = rng.normal(size=120), rng.choice(["animal", "food", "tool"], size=120)
        >>> scores = 0.3 + 0.05 * density + 0.1 * (kind == "food") + 0.1 * rng.normal(size=120)
        >>> found = explain_items(scores, {"density": density, "kind": kind})
        >>> round(found["density"].effect, 2), [round(c.effect, 2) for c in found["kind"].categories]
        (0.05, [-0.03, 0.06, -0.03])
    """
    level = 1 - as_alpha(alpha)
    values = as_scores(scores, "scores")
    n = len(values)
    columns, rows, lacking = read_columns(covariates, n, ids=ids, missing=missing)
    fitted = values[rows]
    if np.ptp(fitted) <= max(1e-12 * np.abs(fitted).max(), 1 / _LARGEST):
        raise InputError(f"scores are all {fitted[0]:g}: there is nothing for covariates to explain.")
    all_units = None if groups is None else coded(groups, n, "groups", ids=ids)
    frame = Frame(rows, n, all_units, moves)
    work = _Regression(fitted, columns, frame, level)
    effects = work.effects()
    known = [name for name, e in effects.items() if e.p_value is not None]
    if known:
        for name, q in zip(known, benjamini_hochberg([effects[k].p_value for k in known]), strict=True):
            effects[name] = dataclasses.replace(effects[name], q_value=float(q))
    whole = work.fit
    baseline = frame.fit(fitted, basis_of(np.ones((len(rows), 1))))
    spread_of = float(np.sum((fitted - fitted.mean()) ** 2))
    return Covariates(
        effects,
        float(np.clip(1 - np.sum(whole.residual**2) / spread_of, 0, 1)),
        float(1 - np.sum(whole.left_out() ** 2) / np.sum(baseline.left_out() ** 2)),
        work.p_of_all(),
        len(rows),
        frame.groups,
        level,
        frame.over,
        work.confounded(),
        work.nearly(effects),
        lacking,
    )


# ---------------------------------------------------------------- the regression


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """What an interval is over.

    Attributes:
        rows: Rows of the items that are fitted.
        total: Number of all items.
        all_units: Group of each of those, or None.
        moves: How items move each other's scores, or None.
    """

    rows: Any
    total: int
    all_units: Any
    moves: Moves | None

    def __post_init__(self) -> None:
        if self.groups is not None and self.groups < 3:
            raise InputError(
                f"groups: there are {self.groups}, too few to say how scores vary over groups; 3 are needed at least."
            )

    @property
    def groups(self) -> int | None:
        """How many groups the fitted items are in."""
        return None if self.all_units is None else len(np.unique(self.all_units[self.rows]))

    @property
    def over(self) -> str:
        """What the interval is over, in words."""
        what = "items" if self.groups is None else f"{self.groups} groups of items"
        how = "taken as independent" if self.moves is None else "with how they move each other's scores"
        return f"over {what}, {how}"

    def fit(self, scores: Floats, basis: Floats, rows: Any = None) -> Fit:
        """The scores of some of the fitted items (all without `rows`) by a design."""
        at = self.rows if rows is None else self.rows[rows]
        own = None if self.all_units is None else np.unique(self.all_units[at], return_inverse=True)[1]
        return Fit(scores, basis, own, self.moves, at, self.total, self.all_units)


class _Regression:
    """Least squares of scores on covariates and a level.

    Args:
        scores: Scores (n,).
        columns: The covariates of the same items.
        frame: What intervals are over.
        level: Coverage.
    """

    def __init__(self, scores: Floats, columns: Sequence[Column], frame: Frame, level: float) -> None:
        self.scores, self.columns, self.frame, self.level = scores, list(columns), frame, level
        self.blocks = {c.name: c.predictors for c in columns}
        self.ones = np.ones((len(scores), 1))
        self.fit = frame.fit(scores, basis_of(np.hstack([self.ones, *self.blocks.values()])))

    def effects(self) -> dict[str, CovariateEffect]:
        """Every covariate beside the others, and alone."""
        return {c.name: self._effect(c) for c in self.columns}

    def p_of_all(self) -> float | None:
        """Chance of explaining as much if no covariate had an effect."""
        own = basis_of(np.hstack([*self.blocks.values()]))
        return _p(own.T @ self.scores, self.fit.spread(own.T, each=False))

    def confounded(self) -> tuple[tuple[str, ...], ...]:
        """Sets of covariates that give each other exactly."""
        return exact_groups(self.blocks, [c.name for c in self.columns if not self._left(c).shape[1]])

    def nearly(self, effects: Mapping[str, CovariateEffect]) -> tuple[tuple[str, str], ...]:
        """Covariates with large inflation, each with the one whose predictors tell most of it."""
        found = []
        for name, e in effects.items():
            if e.inflation is not None and e.inflation >= NEARLY:
                own = basis_of(self.blocks[name])
                shared = {k: float(np.sum((basis_of(b).T @ own) ** 2)) for k, b in self.blocks.items() if k != name}
                found.append((name, max(shared, key=lambda k: shared[k])))
        return tuple(found)

    def _others(self, column: Column) -> Floats:
        return basis_of(np.hstack([self.ones, *(b for k, b in self.blocks.items() if k != column.name)]))

    def _left(self, column: Column) -> Floats:
        """Orthonormal basis of what the others leave of a covariate (n, q); q = 0 if they give it exactly."""
        others, block = self._others(column), basis_of(self.blocks[column.name])
        u, s, _ = np.linalg.svd(block - others @ (others.T @ block), full_matrices=False)
        return np.asarray(u[:, s * s > _EXACT])

    def _effect(self, column: Column) -> CovariateEffect:
        block = self.blocks[column.name]
        alone = self.frame.fit(self.scores, basis_of(np.hstack([self.ones, block])))
        alone_p, alone_r2 = self._joint(alone, basis_of(block))
        left = self._left(column)
        whole = left.shape[1] == block.shape[1]
        own: list[_Estimate] = [_NONE] * max(1, len(column.categories))
        p, r2, inflation = None, None, None
        if left.shape[1]:
            p, r2 = self._joint(self.fit, left)
        if whole:
            others = self._others(column)
            own = self._sums(column, self.fit, block - others @ (others.T @ block))
            centered = [b for k, b in self.blocks.items() if k != column.name]
            shared = np.zeros(1)
            if centered:
                shared = np.linalg.svd(basis_of(block).T @ basis_of(np.hstack(centered)), compute_uv=False)
            inflation = float(np.exp(-np.sum(np.log1p(-(np.clip(shared, 0, 1) ** 2))) / block.shape[1]))
        if not column.categories:
            (value, low, high, _), (solo, solo_low, solo_high, _) = own[0], self._sums(column, alone, block)[0]
            return CovariateEffect(
                column.name, "number", value, low, high, p, None, r2, solo, solo_low, solo_high, alone_p, alone_r2,
                inflation, float(column.values.mean()), column.deviation,
            )  # fmt: skip
        counts = np.bincount(column.values, minlength=len(column.categories))
        return CovariateEffect(
            column.name, "category", None, None, None, p, None, r2, None, None, None, alone_p, alone_r2, inflation,
            categories=tuple(
                CategoryEffect(name, int(k), *e) for name, k, e in zip(column.categories, counts, own, strict=True)
            ),
        )  # fmt: skip

    def _sums(self, column: Column, fit: Fit, left: Floats) -> list[_Estimate]:
        """The coefficient of a number, or of each category against the mean over items."""
        weights = np.linalg.pinv(left)
        if column.categories:
            share = np.bincount(column.values) / len(column.values)
            weights = np.vstack([np.zeros((1, weights.shape[1])), weights])
            weights -= share @ weights
        return estimates(fit, weights, self.level)

    def _joint(self, fit: Fit, own: Floats) -> tuple[float | None, float]:
        """Chance of as much without an effect, and the share of what the others leave that is explained."""
        found = own.T @ self.scores
        explained, rest = float(found @ found), float(np.sum(fit.residual**2))
        return _p(found, fit.spread(own.T, each=False)), explained / (explained + rest) if explained + rest > 0 else 0.0


_Estimate = tuple[float | None, float | None, float | None, float | None]
_NONE: _Estimate = (None, None, None, None)


def estimates(fit: Fit, weights: Floats, level: float) -> list[_Estimate]:
    """Weighted sums of scores with bounds and p; None where one unit alone holds a sum.

    Args:
        fit: The fit whose residuals tell how scores vary.
        weights: Weights of the sums (m, n).
        level: Coverage.
    """
    values, spread = weights @ fit.scores, fit.spread(weights)
    out: list[_Estimate] = []
    for value, variance, degrees in zip(values, spread.variance, spread.degrees, strict=True):
        if math.isnan(variance):
            out.append((float(value), None, None, None))
            continue
        error = math.sqrt(variance)
        half = float(t_ppf((1 + level) / 2, degrees)) * error
        p = 2 * float(t_sf(abs(value) / error, degrees)) if error > 0 else float(value == 0)
        if error <= _EXACT * abs(value):  # few units that are all moved alike are no proof: what flipping signs gives
            p = max(p, 2.0**-degrees)
        out.append((float(value), float(value - half), float(value + half), p))
    return out


def _p(values: Floats, spread: Spread) -> float | None:
    """Chance of such sums if all were 0: their squares against what the variances give, F with two moments.

    None where one unit alone holds one of them.
    """
    if np.isnan(spread.covariance).any():
        return None
    expected = float(np.trace(spread.covariance))
    if not expected > 0:
        return float(not np.any(values))
    degrees = expected**2 / float(np.sum(spread.covariance**2))
    return float(f_sf(float(values @ values) / expected, degrees, spread.together))


# ---------------------------------------------------------------- checking what was given


def as_scores(scores: Any, name: str) -> Floats:
    """Scores of items (n,), checked.

    Raises:
        InputError: if they are no finite numbers, one an item.
    """
    try:
        values = np.asarray(to_numpy(scores) if hasattr(scores, "__array__") else list(scores), dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} must be one number an item, found {quoted(scores)}.") from error
    if values.ndim != 1 or not len(values):
        raise InputError(f"{name} must be one number an item, shape (n,), found shape {values.shape}.")
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(f"{name}[{row}] is {values[row]}: every item needs a score; leave those without one out.")
    if np.abs(values).max() > _LARGEST:
        raise InputError(
            f"{name} holds values of size {np.abs(values).max():.0e}, whose squares are no numbers; scale them."
        )
    return values


def _column(name: str, values: Any, n: int, ids: Sequence[str] | None) -> Column:
    """One covariate of all items, with its gaps.

    Raises:
        InputError: if it is not one value an item, or mixes numbers and texts.
    """
    where = f"covariate {quoted(name)}"
    if isinstance(values, Mapping):
        if ids is None:
            raise InputError(f"{where} is a mapping from id to value, and the items have no ids; give a list instead.")
        values = [values.get(i) for i in ids]
    values = by_index(values, ids, where)
    if isinstance(values, (str, bytes)) or not hasattr(values, "__len__") or len(values) != n:
        found = quoted(values) if isinstance(values, (str, bytes)) or not hasattr(values, "__len__") else len(values)
        raise InputError(f"{where} needs one value for each of the {n} items, found {found}.")
    if len(shape := getattr(values, "shape", (n,))) != 1:
        raise InputError(
            f"{where} has shape {tuple(shape)}; one value for each of the {n} items, shape (n,), is needed."
        )
    given = to_numpy(values).tolist() if hasattr(values, "__array__") else list(values)
    gaps = np.array([_is_gap(v) for v in given])
    there = [v for v, gap in zip(given, gaps, strict=True) if not gap]
    are_numbers = [isinstance(v, numbers.Real) and not isinstance(v, (bool, np.bool_)) for v in there]
    if all(are_numbers):
        try:
            found_numbers = np.array([math.nan if gap else float(v) for v, gap in zip(given, gaps, strict=True)])
        except OverflowError as error:
            raise InputError(f"{where} holds a whole number that is too large: {error}.") from error
        if np.isinf(found_numbers).any():
            raise InputError(f"{where} holds an infinite number; give finite ones, or None where it is not known.")
        return Column(name, found_numbers, (), gaps)
    if any(are_numbers):
        raise InputError(f"{where} mixes numbers and texts ({quoted(there)}); give numbers, or all as texts.")
    names = sorted({label_text(v) for v in there})
    number = {text: k for k, text in enumerate(names)}
    codes = [0 if gap else number[label_text(v)] for v, gap in zip(given, gaps, strict=True)]
    return Column(name, np.array(codes, dtype=np.int64), tuple(names), gaps)


def _is_gap(value: Any) -> bool:
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    return isinstance(value, numbers.Real) and not isinstance(value, int) and math.isnan(value)


def _check_varies(column: Column, n: int) -> None:
    """Refuse what has no effect to be found.

    Raises:
        InputError: if all items have one value, or a category has one item.
    """
    where = f"covariate {quoted(column.name)}"
    if not column.categories:
        if np.ptp(column.values) <= 1e-12 * np.abs(column.values).max():
            raise InputError(f"{where} is constant: all {n} items have {column.values[0]:g}. Leave it out.")
        return
    if len(column.categories) == 1:
        raise InputError(f"{where} is constant: all {n} items are {quoted(column.categories[0])}. Leave it out.")
    counts = np.bincount(column.values, minlength=len(column.categories))
    few = [name for name, k in zip(column.categories, counts, strict=True) if k < 2]
    if len(few) == len(column.categories):
        raise InputError(
            f"{where} has a category of its own for every item, as ids have: it explains all and nothing. Give "
            "numbers, or categories that items share."
        )
    if few:
        raise InputError(
            f"{where} has {len(few)} of {len(column.categories)} categories with one item ({_some(few)}): nothing "
            "tells their effect from the item's own. Merge them with others, leave their items out, or take broader "
            "categories."
        )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN]))
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
