"""Scores of models and noise ceilings over bootstrap samples of subjects, of items, and of both at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from .._core.memory import require
from .._core.parallel import on_threads
from .._core.progress import progress
from ..errors import InputError
from ..metrics.rdm import RANKED, whitened
from ._weighted import UNCENTERED, Floats, Ints, Rows, Weights, products, rank_score, raw, ready, scaled

BOTH, SUBJECTS, ITEMS = "both", "subjects", "items"
KINDS = (BOTH, SUBJECTS, ITEMS)
_FEWEST = 3  # different items of a draw: with fewer there is no pattern
_CHUNKS = 16  # parts of the draws that threads share


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """RDMs of subjects and models over the same items.

    Attributes:
        data: RDMs (RDMs, entries).
        models: One RDM a model (models, entries).
        owners: The subject of each RDM, from 0.
        units: The unit of drawing of each item, from 0: itself, or its group.
        comparison: How RDMs are compared.

    Example:
        >>> rows = np.random.default_rng(0).random((2, 10))
        >>> found = Measured(rows, rows[:1], np.arange(2), np.arange(5), "pearson")
        >>> found.subjects, found.n_units, found.by_subject(found.data[:, :1]).shape
        (2, 5, (2, 1))
    """

    data: Floats
    models: Floats
    owners: Ints
    units: Ints
    comparison: str

    @cached_property
    def rows(self) -> tuple[Rows, Rows]:
        """Both, ready for any weights."""
        return Rows(self.data, self.comparison), Rows(self.models, self.comparison)

    @cached_property
    def pairs(self) -> tuple[Any, Any]:
        """The two items of each entry."""
        return np.triu_indices(len(self.units), 1)

    @property
    def subjects(self) -> int:
        """Number of subjects."""
        return int(self.owners.max()) + 1

    @property
    def n_units(self) -> int:
        """Number of items, or of their groups, that are drawn."""
        return int(self.units.max()) + 1

    @cached_property
    def shares(self) -> Floats:
        """What takes means over each subject's RDMs (subjects, RDMs)."""
        member = self.owners == np.arange(self.subjects)[:, None]
        return np.asarray(member / member.sum(axis=1, keepdims=True))

    def by_subject(self, scores: Floats) -> Floats:
        """Means over the RDMs of each subject (subjects, …)."""
        return np.asarray(self.shares @ scores)


@dataclasses.dataclass(frozen=True, eq=False)
class Sampled:
    """What bootstrap samples gave.

    Attributes:
        scores: Kind of bootstrap -> mean scores over subjects (samples, models).
        chance: Kind -> the chance level of these scores, of random pairings of the items; empty where it is 0.
        ceilings: Kind -> lower noise ceiling (samples, 1), and the upper one where they are made anew in each sample
            (samples, 2); empty of one subject.
    """

    scores: Mapping[str, Floats]
    chance: Mapping[str, Floats]
    ceilings: Mapping[str, Floats]


class Drawn:
    """The RDMs over one draw of the items: every subject's scores, and ceilings under any draw of subjects.

    Args:
        measured: RDMs of subjects and models.
        items: How often each item was drawn.
    """

    def __init__(self, measured: Measured, items: Any) -> None:
        self.measured, self.weights = measured, Weights(items, measured.pairs)
        data, models = measured.rows
        self._gaps = data.gaps or models.gaps
        if not self._gaps:
            self._found = raw(data, np.arange(len(data.values)), self.weights, None)
        self.scores, self.chance = self._scores(data, models)

    def _scores(self, data: Rows, models: Rows) -> tuple[Floats, Floats | None]:
        """Scores of each subject with each model, and their chance level where it is not 0."""
        shape = (len(data.values), len(models.values))
        scores, chance = np.empty(shape), np.empty(shape)
        comparison, all_weights = data.comparison, self.weights.weights
        for mine, known in data.parts:
            for theirs, also in models.parts:
                kept = self._kept(known & also)
                weights = all_weights if kept is None else all_weights[kept]
                block = np.ix_(mine, theirs)
                if len(weights) < _FEWEST:
                    scores[block] = chance[block] = np.nan
                    continue
                a, b = (raw(r, m, self.weights, kept) for r, m in ((data, mine), (models, theirs)))
                if comparison == "kendall":
                    scores[block] = products(a, b, weights, comparison)
                    continue
                a, b = self._ready if not self._gaps else ready(a, weights, comparison), ready(b, weights, comparison)
                scores[block] = a @ b.T
                if comparison in UNCENTERED:  # the scores with a constant RDM on both sides
                    root = np.sqrt(weights)
                    chance[block] = np.outer(a @ root, b @ root) / weights.sum()
        by_subject = self.measured.by_subject
        return by_subject(scores), by_subject(chance) if comparison in UNCENTERED else None

    def _kept(self, known: Any) -> Any:
        drawn = self.weights.of(known)
        return None if drawn.all() else np.flatnonzero(drawn)

    @cached_property
    def _ready(self) -> Floats:
        """The RDMs ready to be compared, where none lacks an entry."""
        return ready(self._found, self.weights.weights, self.measured.comparison)

    @cached_property
    def _pooled(self) -> Floats:
        """The RDMs in the units in which they are pooled, 0 where they lack an entry."""
        data, weights = self.measured.rows[0], self.weights.weights
        if not self._gaps:
            return scaled(self._found, weights, data.comparison)
        out = np.zeros((len(data.values), len(weights)))
        for mine, known in data.parts:
            kept = self._kept(known)
            own = weights if kept is None else weights[kept]
            at = np.ix_(mine, np.arange(len(weights)) if kept is None else kept)
            out[at] = scaled(raw(data, mine, self.weights, kept), own, data.comparison)
        return out

    @cached_property
    def _gram(self) -> Floats:
        """Inner products of all pooled RDMs, in the metric of the comparison."""
        pooled, comparison = self._pooled, self.measured.comparison
        if comparison.startswith("whitened"):
            pooled = np.stack([whitened(v) for v in pooled])
        else:
            pooled = pooled * np.sqrt(self.weights.weights)
        return np.asarray(pooled @ pooled.T)

    def ceilings(self, subjects: Any) -> tuple[float, float]:
        """Lower and upper noise ceiling if each subject was drawn so often: means over those that were drawn.

        Every copy of a subject is left out with it, as rsatoolbox does.

        Args:
            subjects: How often each subject was drawn.
        """
        drawn = np.flatnonzero(subjects)
        lower, upper = self._ceilings(subjects[self.measured.owners].astype(np.float64), drawn)
        return float(np.mean(lower if len(drawn) > 1 else upper)), float(np.mean(upper))

    @cached_property
    def lowers(self) -> Floats:
        """Each subject's lower noise ceiling (subjects,): its RDM against the mean of all others."""
        measured = self.measured
        return np.asarray(self._ceilings(np.ones(len(measured.owners)), np.arange(measured.subjects))[0])

    def _ceilings(self, times: Floats, drawn: Ints) -> tuple[Any, Any]:
        """Lower ceilings of the drawn subjects, and upper ones or their mean."""
        if self._gaps or self.measured.comparison == "kendall":
            return self._ceilings_one_by_one(times, drawn)
        return (self._ranked if self.measured.comparison in RANKED else self._linear)(times, drawn)

    def _linear(self, times: Floats, drawn: Ints) -> tuple[Any, Any]:
        """Ceilings where scores are cosines of what is pooled: all from its inner products."""
        gram, owners, shares = self._gram, self.measured.owners, self.measured.shares
        own, each = owners == owners[:, None], np.sqrt(np.diag(gram))
        total, mine = gram @ times, times * (gram * own).sum(axis=1)  # of the total, and of what is left out of it
        of_mine = times * own @ mine
        left = np.sqrt(np.maximum(times @ total - 2 * times * (own @ total) + of_mine, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):  # of constant RDMs, whose samples are left out
            lower, upper = (total - mine) / (each * left), total / (each * np.sqrt(times @ total))
        return (shares @ lower)[drawn], (shares @ upper)[drawn]

    def _ranked(self, times: Floats, drawn: Ints) -> tuple[Any, Any]:
        """Ceilings of rank correlations: means of ranks are ranked in their turn, a subject at a time."""
        weights, comparison, (pooled, own) = self.weights.weights, self.measured.comparison, self._by_subject
        each = times[self._first]
        total = each @ pooled
        lower = [rank_score(total - each[s] * pooled[s], own[s], weights, comparison) for s in drawn]
        return lower, [rank_score(total, own[drawn].mean(axis=0), weights, comparison)]

    @cached_property
    def _by_subject(self) -> tuple[Floats, Floats]:
        """Sums of each subject's pooled RDMs; means of those that are ready, times the root of the weights."""
        pooled, own, owners = self._pooled, self._ready, self.measured.owners
        if not np.array_equal(owners, np.arange(len(owners))):
            shares = self.measured.shares
            pooled, own = (shares > 0) @ pooled, shares @ own
        return pooled, own * np.sqrt(self.weights.weights)

    @cached_property
    def _first(self) -> Ints:
        """The first RDM of each subject."""
        return np.unique(self.measured.owners, return_index=True)[1]

    def _ceilings_one_by_one(self, times: Floats, drawn: Ints) -> tuple[Any, Any]:
        """Ceilings where RDMs lack entries, each compared over those that it shares with the mean of the others."""
        measured, pooled, weights = self.measured, self._pooled, self.weights.weights
        data, total = measured.rows[0], times @ pooled
        known = self.weights.of(~np.isnan(data.values))
        count = times @ known
        lower: list[float] = []
        upper: list[float] = []
        for s in drawn:
            of = np.flatnonzero(measured.owners == s)
            rest = (total - times[of] @ pooled[of], count - times[of] @ known[of]) if len(drawn) > 1 else (total, count)
            for scores, (sums, there) in ((lower, rest), (upper, (total, count))):
                mean = np.where(there > 0.5, sums / np.maximum(there, 1.0), np.nan)
                scores.append(
                    float(np.mean([self._one(data, int(r), mean, known[r] & (there > 0.5), weights) for r in of]))
                )
        return lower, upper

    def _one(self, data: Rows, row: int, mean: Floats, shared: Any, weights: Floats) -> float:
        kept = np.flatnonzero(shared)
        if len(kept) < _FEWEST:
            return float("nan")
        own, mean, weights = raw(data, np.array([row]), self.weights, kept), mean[None, kept], weights[kept]
        if data.comparison in ("spearman", "rho_a"):
            own = ready(own, weights, data.comparison)[0] * np.sqrt(weights)
            return rank_score(mean[0], own, weights, data.comparison)
        return float(products(own, mean, weights, data.comparison)[0, 0])


def draws(measured: Measured, count: int, seed: int) -> tuple[Any, Any]:
    """How often each subject (draws, subjects) and each item (draws, items) was drawn, with replacement.

    A draw of fewer than three different items has no pattern and is drawn again.

    Args:
        measured: What is drawn from.
        count: Number of draws.
        seed: Seed.

    Example:
        >>> rows = np.random.default_rng(0).random((2, 10))
        >>> subjects, items = draws(Measured(rows, rows, np.arange(2), np.arange(5), "pearson"), 4, seed=0)
        >>> subjects.sum(axis=1).tolist(), items.sum(axis=1).tolist()
        ([2, 2, 2, 2], [5, 5, 5, 5])
    """
    rng, k = np.random.default_rng(seed), measured.n_units
    subjects = rng.multinomial(measured.subjects, np.full(measured.subjects, 1 / measured.subjects), size=count)
    units = rng.multinomial(k, np.full(k, 1 / k), size=count)
    while True:
        items = units[:, measured.units]
        few = np.flatnonzero((items > 0).sum(axis=1) < _FEWEST)
        if not len(few):
            return subjects, items
        units[few] = rng.multinomial(k, np.full(k, 1 / k), size=len(few))


def bootstrap(measured: Measured, generalize: str, count: int, seed: int, *, resampled: bool = False) -> Sampled:
    """Scores, chance levels and ceilings over bootstrap samples.

    Args:
        measured: RDMs of subjects and models.
        generalize: ``"subjects"``, ``"items"``, or ``"both"``: each alone, and both with the same draws.
        count: Number of samples.
        seed: Seed of the draws.
        resampled: Whether the ceilings of a sample are made of its subjects' RDMs; otherwise each subject keeps its
            own, against the mean of all others, and is drawn with it.

    Raises:
        InputError: if they need more memory than there is, or half of the samples have a constant RDM.
    """
    entries, rows = measured.data.shape[1], len(measured.data)
    require(
        8 * 8 * entries * (rows + len(measured.models)),
        f"The bootstrap of {rows} RDMs and {len(measured.models)} models of {entries:,} pairs",
        "Use fewer items (rdms.subset(ids)), or regions one at a time.",
    )
    kinds = KINDS if generalize == BOTH else (generalize,)
    subjects, items = draws(measured, count, seed)
    one, whole = np.ones(measured.subjects, dtype=np.int64), Drawn(measured, np.ones(len(measured.units), np.int64))
    for part in measured.rows:
        _ = part.parts, part.codes if measured.comparison in RANKED else None  # made once, before threads ask
    if measured.subjects > 1:
        _ = whole.ceilings(one) if resampled else whole.lowers

    with progress(count, "bootstrap of models", unit="samples") as advance:

        def some(part: Any) -> list[dict[str, Any]]:
            return [{**of(int(k)), "done": advance(1)} for k in part]

        def of(k: int) -> dict[str, Any]:
            out = {}
            drawn = whole if kinds == (SUBJECTS,) else Drawn(measured, items[k])
            for kind, table, times in (
                (BOTH, drawn, subjects[k]), (SUBJECTS, whole, subjects[k]), (ITEMS, drawn, one)
            ):  # fmt: skip
                if kind in kinds:
                    share = times / measured.subjects
                    chance = None if table.chance is None else share @ table.chance
                    ceilings = None
                    if measured.subjects > 1:
                        ceilings = table.ceilings(times) if resampled else (share @ table.lowers,)
                    out[kind] = (share @ table.scores, chance, ceilings)
            return out

        parts = np.array_split(np.arange(count), min(count, _CHUNKS))
        found = [row for rows_ in on_threads(some, parts, 1e3 * count * entries) for row in rows_]
    return _gathered(found, kinds, measured)


def _gathered(found: list[dict[str, Any]], kinds: tuple[str, ...], measured: Measured) -> Sampled:
    """Samples as tables, without those in which an RDM was constant.

    Raises:
        InputError: if these are more than half.
    """
    scores = {k: np.array([row[k][0] for row in found]) for k in kinds}
    ceilings = {k: np.array([row[k][2] for row in found], dtype=np.float64) for k in kinds}
    many = measured.subjects > 1
    usable = np.ones(len(found), dtype=bool)
    for k in kinds:
        usable &= np.isfinite(scores[k]).all(axis=1)
        usable &= np.isfinite(ceilings[k]).all(axis=1) if many else True
    if usable.mean() < 0.5:
        raise InputError(
            f"In {int((~usable).sum())} of {len(found)} bootstrap samples an RDM is constant or lacks what it would be "
            "compared by, so that it has no score: there are too few different items, or too few different "
            "dissimilarities. Use more items, or generalize='subjects', which keeps them all."
        )
    chance = {k: np.array([row[k][1] for row in found])[usable] for k in kinds if found[0][k][1] is not None}
    return Sampled(
        {k: v[usable] for k, v in scores.items()}, chance, {k: v[usable] for k, v in ceilings.items()} if many else {}
    )
