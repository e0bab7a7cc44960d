"""What a score means: as alike as synthetic spaces that share so much of their variance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy

from .._core.arrays import as_pair, to_numpy
from .._core.checks import as_count, as_seed, is_finite, is_share
from .._core.distributions import t_ppf
from .._core.progress import Advance, one_by_one, progress
from ..design import Codes, Labels, coded
from ..errors import InputError, UnknownNameError, quoted
from ..metrics import Metric
from ..metrics import metric as make_metric
from ..results import STRUCTURES, Reading, Redundancy
from ..significance import interval
from ._synthetic import CLUSTERS, GAUSSIAN, Drawn, Matched, Structure, matched, tight_at, tightness

Floats = np.ndarray[Any, Any]

SPACES = 60
"""Synthetic pairs of each kind."""
_FEWEST = 20  # items, below which nothing is told of a spectrum
_DEGREE = 5  # of the Bernstein polynomials that the curve is made of
_SHOWN = np.linspace(0, 1, 11)
_UNLIKE = 1.4  # times the spread: what two estimates of one error seldom differ by at a hundred items
_MISFIT = 0.03  # of its range that the curve may lie off at an end, where spaces that share all do not vary
_GRID = 501  # places at which shares are accepted or not


def redundancy(
    metric: Metric[Any] | str,
    x: Any,
    y: Any,
    *,
    kind: str | Sequence[str] = tuple(STRUCTURES),
    spaces: int = SPACES,
    noise: tuple[float, float] = (0.0, 0.0),
    clusters: int | None = None,
    dimensions: int = 2,
    groups: Labels | None = None,
    seed: int = 0,
    alpha: float = 0.05,
    advance: Advance | None = None,
) -> Redundancy:
    """What a score means: two spaces score so if they share s of their variance.

    Pairs of synthetic spaces with a known share of common information, matched to the data, are scored by the same
    metric; the score is read off their curve.

    **Share of variance.** A side is a sum of three independent parts: what is common c, what is private u, and noise.
    The common share is s = Var(√s c) / Var(√s c + √(1 - s) u): the part of a side's variance, noise aside, that is a
    function of what both sides hold. It is the same for both sides and for each of their principal axes. It is *not*
    the variance that one side predicts of the other: both see c through their own private part, so that the best linear
    prediction explains s² of the variance, and correlations along matching axes are s.

    **What is matched**: the number of items, the number of features, the mean and the variance along every principal
    axis of either side (variances of the sample are first drawn together to what the population's are), how tight
    neighbourhoods are at every s (distance to the fifth neighbour against the median distance, on the average of both
    sides), the groups of items and how much of a side's variance lies between them, and the noise that is given.

    **What is assumed**: the axes of both sides are matched by the order of their variances, so that what is large in
    one is large in the other, and the means lie on like sides of them; any other matching makes lower scores, so the
    reading is then too low. Every axis shares as much as any other. Both parts are of one kind: ``"gaussian"``;
    ``"clusters"``, equally large and as many as `clusters` says, spanning the leading axes, with Gaussian scatter in
    and beside them; ``"neighborhoods"``, the places on a closed curved surface (a torus) of `dimensions` dimensions,
    whose axes are waves of rising frequency, with scatter off it. Which kind the data are of is not known: the spread
    of the readings is that uncertainty, and `Redundancy.low` and `high` span it. Heavy tails, hubs and clusters of
    unlike size are not matched. Two metrics of one pair should give one share: where they do not, what is common is not
    spread so (CKA reads the loudest axes, neighbour metrics all of them).

    **Intervals** hold all shares whose synthetic spaces would score as the data do (likelihood-ratio test, Feldman and
    Cousins 1998: one-sided at the ends 0 and 1). The error of a score of n items is the spread of the synthetic scores
    at each share, or the data's standard error over items or groups where that is larger by more than two estimates of
    one error differ (a factor of 1.4, as heavy tails make it); they do not add up. That of the curve is added. Layers
    must be chosen beforehand or on other items.

    Costs `spaces` scores of all items a kind, on one core: with 1000 items of 400 features 3 to 6 s a kind, with 10,000
    items about 1 min (CKA) to 3 min (``mutual_knn``). Items are never left out: scores of neighbours depend on their
    number.

    Args:
        metric: The metric, or its spec.
        x: Features of one layer (n, d1).
        y: Features of one layer (n, d2), same items in the same rows.
        kind: Kinds of synthetic spaces, one or several.
        spaces: Synthetic pairs a kind, at shares from 0 to 1.
        noise: Share of the variance of x and of y that is noise, such as one less the reliability of repeated
            measurements. 0 counts noise as private information.
        clusters: Number of clusters; √n if it is left out.
        dimensions: Dimensions of the curved surface.
        groups: One group an item, where items of one group belong together (captions of one image).
        seed: Seed of the spaces.
        alpha: Intervals cover 1 - alpha.
        advance: Called with 1 after each synthetic pair, in place of a bar.

    Raises:
        InputError: if the sides do not fit each other, there are too few items, an argument does not fit, or the metric
            does not take synthetic spaces of this size.
        UnknownNameError: if there is no such kind.

    Example:
        >>> z, u, v = np.random.default_rng(1).normal(size=(3, 100, 8))
        >>> found = redundancy("mutual_knn(k=5)", z + u, z + v, kind="gaussian", seed=0)  # half of either side is z
        >>> found.low < 0.5 < found.high, found.score < 0.3
        (True, True)
    """
    return redundancies(
        [metric], x, y, kind=kind, spaces=spaces, noise=noise, clusters=clusters, dimensions=dimensions, groups=groups,
        seed=seed, alpha=alpha, advance=advance,
    )[0]  # fmt: skip


def redundancies(
    metrics: Sequence[Metric[Any] | str],
    x: Any,
    y: Any,
    *,
    kind: str | Sequence[str] = tuple(STRUCTURES),
    spaces: int = SPACES,
    noise: tuple[float, float] = (0.0, 0.0),
    clusters: int | None = None,
    dimensions: int = 2,
    groups: Labels | None = None,
    seed: int = 0,
    alpha: float = 0.05,
    advance: Advance | None = None,
) -> list[Redundancy]:
    """`redundancy` by several metrics, which score the same synthetic spaces.

    Raises:
        InputError: as `redundancy`.
        UnknownNameError: as `redundancy`.

    Example:
        >>> z, u, v = np.random.default_rng(1).normal(size=(3, 100, 8))
        >>> specs = ["mutual_knn(k=5)", "jaccard_knn(k=5)"]
        >>> [f.metric for f in redundancies(specs, z + u, z + v, kind="gaussian", spaces=20)]
        ['mutual_knn(k=5)', 'jaccard_knn(k=5)']
    """
    made = [make_metric(m) for m in metrics]
    least = max([_FEWEST, *(m.min_items for m in made)])
    x, y = as_pair(x, y, min_items=1)
    n = int(x.shape[0])
    if n < least:
        raise InputError(
            f"redundancy: {n} items are too few to match synthetic spaces to, and at least {least} are needed by "
            f"{', '.join(m.spec for m in made)}."
        )
    as_count(spaces, "spaces", 20)
    if not is_share(alpha):
        raise InputError(f"alpha={quoted(alpha)}: a level between 0 and 1 is needed.")
    seed = as_seed(seed)
    structures = _structures(kind, n, clusters, dimensions)
    code, units = _groups(groups, n)
    turned = not all({"rotation", "reflection"} <= m.invariances for m in made)
    arrays = [np.asarray(to_numpy(z), dtype=np.float64) for z in (x, y)]
    shares = _noise(noise)
    sides = [
        matched(z, name, turned=turned, code=code, noise=v) for z, name, v in zip(arrays, "xy", shares, strict=True)
    ]
    seen = [_observed(m, x, y, groups if units else None, alpha) for m in made]
    readings: list[list[Reading]] = [[] for _ in made]
    total = spaces * len(structures)
    with progress(total, "redundancy on synthetic spaces", unit="spaces", show=one_by_one(advance)) as told:
        for structure in structures:
            origin = [seed, list(STRUCTURES).index(structure.name)]
            tight = tightness(structure, sides, n, [*origin, 1], code)
            places, scores = _scores(made, structure, sides, tight, n, (spaces, origin, code, told))
            for m, metric in enumerate(made):
                curve = Curve.fitted(places, -scores[:, m] if metric.distance else scores[:, m])
                readings[m].append(_reading(metric, seen[m], curve, structure, tight, alpha, spaces))
    dims = (int(x.shape[1]), int(y.shape[1]))
    return [
        Redundancy(m.spec, *seen[k], tuple(readings[k]), shares, 1 - alpha, n, units, dims, seed)
        for k, m in enumerate(made)
    ]


# ---- arguments ------------------------------------------------------------------------------------------------------


def _structures(kind: str | Sequence[str], n: int, clusters: int | None, dimensions: int) -> list[Structure]:
    """The kinds, in one order.

    Raises:
        InputError: if there are none, one is there twice, or a size does not fit.
        UnknownNameError: if there is no such kind.
    """
    names = (kind,) if isinstance(kind, str) else tuple(kind)
    for name in names:
        if name not in STRUCTURES:
            raise UnknownNameError("kind of synthetic spaces", str(name), tuple(STRUCTURES))
    if not names or len(set(names)) < len(names):
        raise InputError(f"kind={quoted(kind)}: one or several of {', '.join(STRUCTURES)}, each once.")
    count = max(2, round(n**0.5)) if clusters is None else as_count(clusters, "clusters", 2)
    if count > n // 2:
        raise InputError(
            f"clusters={count} of {n} items: clusters of at least 2 items are needed, so at most {n // 2}."
        )
    as_count(dimensions, "dimensions", 1, 6)
    size = {GAUSSIAN: 0, CLUSTERS: count}
    return [Structure(name, size.get(name, dimensions)) for name in STRUCTURES if name in names]


def _groups(groups: Labels | None, n: int) -> tuple[Codes | None, int]:
    """The group of each item and their number; none where each item is its own.

    Raises:
        InputError: if there are too few groups.
    """
    if groups is None:
        return None, 0
    code = coded(groups, n, "groups")
    units = int(code.max()) + 1
    if units == n:
        return None, 0
    if units < _FEWEST // 2:
        raise InputError(f"groups: {units} groups are too few for an interval; at least {_FEWEST // 2} are needed.")
    return code, units


def _noise(noise: Any) -> tuple[float, float]:
    """Two shares of variance.

    Raises:
        InputError: if they are anything else.
    """
    shares = tuple(noise) if isinstance(noise, tuple | list) else ()
    if len(shares) != 2 or not all(is_finite(v) and 0 <= v < 1 for v in shares):
        raise InputError(f"noise={quoted(noise)}: two shares of variance of at least 0 and below 1, of x and of y.")
    return float(shares[0]), float(shares[1])


# ---- scores ---------------------------------------------------------------------------------------------------------


def _observed(metric: Metric[Any], x: Any, y: Any, groups: Labels | None, alpha: float) -> tuple[float, float | None]:
    """The score, and its standard error over items or groups where the metric has influences.

    Raises:
        InputError: if the score is not finite.
    """
    xs, ys = [metric.prepare(x)], [metric.prepare(y)]
    score = float(to_numpy(metric.compare(xs, ys))[0, 0])
    if not np.isfinite(score):
        raise InputError(f"{metric.spec} gives {score} on these features: no share can be read off that.")
    found = interval(metric, xs, ys, alpha=alpha, groups=groups)
    error = None if found is None else float(found.standard_error[0, 0])
    return score, error if error is not None and np.isfinite(error) else None


def _scores(
    metrics: Sequence[Metric[Any]],
    structure: Structure,
    sides: Sequence[Matched],
    tight: Floats,
    n: int,
    run: tuple[int, list[int], Codes | None, Advance],
) -> tuple[Floats, Floats]:
    """Places on the curve (see `share_at`), and the scores of a synthetic pair at each (spaces, metrics).

    Raises:
        InputError: if a metric does not take a pair.
    """
    spaces, origin, code, told = run
    places = np.linspace(0, 1, spaces)
    scores = np.empty((spaces, len(metrics)))
    for i, place in enumerate(places):
        share = float(share_at(place))
        drawn = Drawn.of(structure, sides, n, np.random.default_rng([*origin, 0, i]), code)
        held = tight_at(tight, share)
        pair = [side.features(drawn.components(k, share, held, side)) for k, side in enumerate(sides)]
        for m, metric in enumerate(metrics):
            try:
                states = [[metric.prepare(z)] for z in pair]
                scores[i, m] = float(to_numpy(metric.compare(*states))[0, 0])
            except InputError as error:
                raise InputError(f"redundancy: {metric.spec} does not take synthetic spaces. {error}") from error
        told(1)
    if not np.isfinite(scores).all():
        raise InputError("redundancy: scores of synthetic spaces are not finite; divide the features by their size.")
    return places, scores


# ---- the curve and its inverse --------------------------------------------------------------------------------------


def share_at(place: Any) -> Any:
    """The share at a place on the curve: scores change as √(1 - s) near s = 1, evenly by place.

    Example:
        >>> float(share_at(0.0)), float(share_at(0.5)), float(share_at(1.0))
        (0.0, 0.75, 1.0)
    """
    return 1 - (1 - np.asarray(place)) ** 2


class Curve(NamedTuple):
    """The score of synthetic spaces by place: never falling, with the spread of single scores and its own error.

    Attributes:
        places: Places (grid,).
        expected: Expected scores (grid,).
        spread: Standard deviation of a score (grid,).
        error: Standard error of `expected` (grid,).
        degrees: Degrees of freedom of the spread.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> places = np.linspace(0, 1, 60)
        >>> curve = Curve.fitted(places, share_at(places) + 0.05 * rng.normal(size=60))
        >>> found = [round(float(v), 1) for v in curve.inverted(0.5, None, 0.05)]
        >>> found  # the share, its lower and its upper bound
        [0.5, 0.4, 0.6]
    """

    places: Floats
    expected: Floats
    spread: Floats
    error: Floats
    degrees: float

    @classmethod
    def fitted(cls, places: Floats, scores: Floats) -> Curve:
        """A monotone curve through scores, and a smooth spread about it.

        Bernstein polynomials whose coefficients may not fall, by weighted least squares; the logarithm of the variance
        about them is a smooth function of the place, by maximum likelihood.
        """
        size = float(np.ptp(scores)) or 1.0
        y, grid = scores / size, np.linspace(0, 1, _GRID)
        rising, shown = _rising(places), _rising(grid)
        bounds = np.r_[-np.inf, np.zeros(_DEGREE)], np.full(_DEGREE + 1, np.inf)
        variance = np.ones(len(y))
        for _ in range(3):
            weight = 1 / np.sqrt(variance)
            found = scipy.optimize.lsq_linear(rising * weight[:, None], y * weight, bounds, method="bvls").x
            about = y - rising @ found
            squares = about**2 * len(y) / (len(y) - _DEGREE - 1)
            law = _variance_law(places, np.maximum(squares, 1e-10))
            variance = np.exp(_spread_terms(places) @ law)
        information = (rising / variance[:, None]).T @ rising
        error = np.sqrt(np.einsum("ij,jk,ik->i", shown, np.linalg.pinv(information), shown))
        spread = np.exp(0.5 * _spread_terms(grid) @ law)
        expected = np.maximum.accumulate(shown @ found)
        return cls(grid, expected * size, spread * size, error * size, len(y) / _spread_terms(places).shape[1])

    def inverted(self, score: float, sampling: float | None, alpha: float) -> tuple[float, float, float]:
        """The share with this expected score, and the bounds of all shares that are not rejected.

        The test of each share is by the likelihood ratio against the best share from 0 to 1 (Feldman and Cousins),
        so that the ends are tested on one side.

        Args:
            score: The score.
            sampling: Its standard error, or None to go by the spread alone.
            alpha: Level of the test.
        """
        spread = self.sampling(sampling)
        error = np.sqrt(spread**2 + self.error**2)
        down, up = (self.expected - self.expected[0]) / error, (self.expected[-1] - self.expected) / error
        z = (score - self.expected) / error
        best = (score - np.clip(score, self.expected[0], self.expected[-1])) / error
        kept = np.flatnonzero(z**2 - best**2 <= _critical(down, up, self.degrees, alpha))
        place = float(np.interp(score, *_distinct(self.expected, self.places)))
        low, high = (self.places[kept[0]], self.places[kept[-1]]) if len(kept) else (place, place)
        share, lower, upper = (float(share_at(v)) for v in (place, min(low, place), max(high, place)))
        return share, lower, upper

    def sampling(self, error: float | None) -> Floats:
        """The standard error of a score at each place: the spread, or the data's own error where that is far larger."""
        return np.asarray(self.spread if error is None else np.where(error > _UNLIKE * self.spread, error, self.spread))

    def reaches(self, score: float, alpha: float) -> bool:
        """Whether a score may come from the ends of the curve or between them."""
        reach = float(t_ppf(1 - alpha / 2, self.degrees))
        for end, sign in ((0, -1.0), (-1, 1.0)):
            error = np.hypot(self.spread[end], self.error[end])
            if sign * (score - self.expected[end]) > reach * error + _MISFIT * float(np.ptp(self.expected)):
                return False
        return True


def _rising(places: Floats) -> Floats:
    """A constant and sums of Bernstein polynomials, each of which rises from 0 to 1."""
    k = np.arange(_DEGREE + 1)
    bumps = scipy.special.binom(_DEGREE, k) * places[:, None] ** k * (1 - places[:, None]) ** (_DEGREE - k)
    return np.asarray(np.cumsum(bumps[:, ::-1], axis=1)[:, ::-1])


def _spread_terms(places: Floats) -> Floats:
    """What the logarithm of the variance of a score is made of: where all is shared, nothing may vary."""
    return np.column_stack([np.ones(len(places)), places, places**2, np.log(1.05 - places)])


def _variance_law(places: Floats, squares: Floats) -> Floats:
    """Coefficients of the logarithm of a variance, by Fisher scoring from squared deviations."""
    terms = _spread_terms(places)
    law = np.zeros(terms.shape[1])
    law[0] = np.log(squares.mean())
    solve = np.linalg.pinv(terms.T @ terms) @ terms.T
    for _ in range(60):
        step = solve @ (squares / np.exp(terms @ law) - 1)
        step *= min(1.0, 1.0 / max(float(np.abs(terms @ step).max()), 1e-300))
        law = law + step
        if float(np.abs(step).max()) < 1e-6:
            break
    return law


def _critical(down: Floats, up: Floats, degrees: float, alpha: float) -> Floats:
    """The likelihood ratio that is passed with probability alpha, given how far the ends of the curve are (in errors).

    Example:
        >>> far, none = np.array([50.0]), np.array([0.0])
        >>> [round(float(np.sqrt(_critical(a, b, 1e9, 0.05)[0])), 2) for a, b in ((far, far), (none, far))]
        [1.96, 1.64]
    """

    def reach(c: Floats, end: Floats) -> Floats:
        root = np.sqrt(c)
        beyond = np.divide(c + end**2, 2 * end, out=np.full(len(c), np.inf), where=end > 0)
        return np.asarray(np.where(root <= end, root, beyond))

    low, high = np.zeros(len(down)), np.full(len(down), 100.0)
    for _ in range(28):
        middle = (low + high) / 2
        inside = (
            scipy.special.stdtr(degrees, reach(middle, up)) - scipy.special.stdtr(degrees, -reach(middle, down))
            < 1 - alpha
        )
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return high


def _distinct(expected: Floats, places: Floats) -> tuple[Floats, Floats]:
    """The curve without level pieces, of which the middle is taken, so that it can be inverted."""
    values, which = np.unique(expected, return_inverse=True)
    return values, np.bincount(which, weights=places) / np.bincount(which)


def _reading(
    metric: Metric[Any],
    seen: tuple[float, float | None],
    curve: Curve,
    structure: Structure,
    tight: Floats,
    alpha: float,
    spaces: int,
) -> Reading:
    sign = -1.0 if metric.distance else 1.0
    share, low, high = curve.inverted(sign * seen[0], seen[1], alpha)
    at = 1 - np.sqrt(1 - _SHOWN)
    scores, spreads = (np.interp(at, curve.places, v) for v in (sign * curve.expected, curve.spread))
    return Reading(
        structure.name,
        share,
        low,
        high,
        tuple(_SHOWN.tolist()),
        tuple(scores.tolist()),
        tuple(spreads.tolist()),
        structure.size,
        tight_at(tight, share),
        curve.reaches(sign * seen[0], alpha),
        spaces,
    )
