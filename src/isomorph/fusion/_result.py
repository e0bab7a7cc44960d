"""The result of a fusion, out of what the fits of its splits gave."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np

from .._core.distributions import t_sf
from ..heads import Head
from ..heldout.bootstrap import Bootstrap
from ..heldout.scores import ItemScore
from ..results import (
    FUSION_DESCENDING,
    Conflict,
    Dominance,
    Gain,
    HeadScores,
    Interaction,
    Score,
    Single,
)
from ._runs import Found, Read
from ._scores import calibration

Matrix = np.ndarray[Any, Any]
SHOWN = 24
"""Conflicts that a result holds, at most."""


@dataclasses.dataclass(frozen=True, eq=False)
class Combined(ItemScore):
    """A sum of scores of the same items, each with a weight.

    Attributes:
        parts: Weights and scores.
    """

    parts: tuple[tuple[float, ItemScore], ...] = ()

    @property
    def value(self) -> float:
        """The score."""
        return float(sum(w * s.value for w, s in self.parts))

    def drawn(self, weights: Matrix) -> Matrix:
        """The score of samples of the items, (draws,)."""
        found: Matrix = sum((w * s.drawn(weights) for w, s in self.parts), np.zeros(len(weights)))
        return found


def _combined(parts: Sequence[tuple[float, ItemScore]]) -> Combined:
    one = np.ones(len(parts[0][1].numerator))
    return Combined(one, one, 0.0, parts=tuple(parts))


def single_scores(space: str, found: Sequence[Found], decided_by: str, bootstrap: Bootstrap) -> Single:
    """What one space gives alone."""
    reads = [f.singles[space] for f in found]
    return Single(
        space,
        {name: bootstrap.score([r.scores[name] for r in reads]) for name in sorted(reads[0].scores)},
        decided_by,
        tuple(r.layer for r in reads),
        calibration([r.predicted for r in reads], [f.truth for f in found]),
    )


def head_scores(head: Head, found: Sequence[Found], ratio: float, decided_by: str, bootstrap: Bootstrap) -> HeadScores:
    """All that is known of one head.

    Args:
        head: The head.
        found: What each split gave.
        ratio: Items held out over items fitted on.
        decided_by: The score that decides.
        bootstrap: Draws of splits and items.
    """
    descending = decided_by in FUSION_DESCENDING
    reads = [f.heads[head.spec] for f in found]
    own = [r.scores[decided_by] for r in reads]
    labels = [label for label in reads[0].controls if all(label in r.controls for r in reads)]
    spaces = list(found[0].singles)
    left = {s: tuple(o for o in spaces if o != s) for s in spaces}
    return HeadScores(
        head=head.spec,
        variant=head.variant,
        scores={name: bootstrap.score([r.scores[name] for r in reads]) for name in sorted(reads[0].scores)},
        decided_by=decided_by,
        gain=gain(own, [f.singles[f.best].scores[decided_by] for f in found], ratio, descending, bootstrap),
        controls={label: bootstrap.score([r.controls[label] for r in reads]) for label in labels},
        margins={label: bootstrap.margin(own, [r.controls[label] for r in reads], descending) for label in labels},
        contributions={s: bootstrap.score(shapley(found, reads, s, decided_by)) for s in spaces},
        without={
            s: bootstrap.margin(own, [r.subsets[left[s]].scores[decided_by] for r in reads], descending) for s in spaces
        },
        by_class=_by_class(found, reads) if found[0].truth.kind == "classes" else {},
        dominance=dominance(found, reads, bootstrap),
        missing={label: bootstrap.score([r.missing[label] for r in reads]) for label in reads[0].missing},
        calibration=calibration([r.predicted for r in reads], [f.truth for f in found]),
        spellings=head.spellings,
    )


def gain(
    own: Sequence[ItemScore], best: Sequence[ItemScore], ratio: float, descending: bool, bootstrap: Bootstrap
) -> Gain:
    """The paired difference from the best single space, with the p of no gain.

    The splits overlap, so that the variance of their mean is (1 / splits + held out / fitted) times theirs, not
    1 / splits (Nadeau and Bengio 2003); of fewer than three splits p is the share of bootstrap samples without a gain.
    """
    margin = bootstrap.margin(own, best, descending)
    sign = -1.0 if descending else 1.0
    each = sign * np.array([a.value - b.value for a, b in zip(own, best, strict=True)])
    if not each.any():
        return Gain(0.0, margin.low, margin.high, 1.0)
    if len(each) < 3:
        p = bootstrap.share_below(own, best, descending)
        return Gain(margin.value, margin.low, margin.high, p)
    items = np.mean([_item_variance(a, b) for a, b in zip(own, best, strict=True)])
    spread = max(float(each.var(ddof=1)), 0.1 * float(items))
    t = float(each.mean()) / np.sqrt((1 / len(each) + ratio) * max(spread, 1e-300))
    return Gain(margin.value, margin.low, margin.high, float(t_sf(t, len(each) - 1)))


def _item_variance(a: ItemScore, b: ItemScore) -> float:
    """Variance of the difference of two means over the same items, below which splits that agree are not believed."""
    if type(a) is not ItemScore or a.median:
        return 0.0
    difference = a.numerator / a.denominator.mean() - b.numerator / b.denominator.mean()
    return float(difference.var() / len(difference))


def shapley(found: Sequence[Found], reads: Sequence[Read], space: str, decided_by: str) -> list[ItemScore]:
    """The exact Shapley value of a space in each split: what it adds to the others, averaged over all orders.

    A head on one space is that space's own linear model, on none it scores chance: the values sum to what the
    head scores above chance.
    """
    names = list(found[0].singles)
    others = [name for name in names if name != space]
    sign = -1.0 if decided_by in FUSION_DESCENDING else 1.0
    scores: list[ItemScore] = []
    for f, read in zip(found, reads, strict=True):
        parts = []
        for k in range(len(others) + 1):
            weight = sign * factorial(k) * factorial(len(names) - k - 1) / factorial(len(names))
            for some in combinations(others, k):
                more = tuple(n for n in names if n in some or n == space)
                parts.append((weight, read.subsets[more].scores[decided_by]))
                parts.append((-weight, read.subsets[some].scores[decided_by] if some else _chance(f, decided_by)))
        scores.append(_combined(parts))
    return scores


def _chance(found: Found, decided_by: str) -> ItemScore:
    one = np.ones(found.truth.n)
    return ItemScore(found.blind.scores[decided_by].chance * one, one, 0.0)


def _by_class(found: Sequence[Found], reads: Sequence[Read]) -> dict[str, dict[str, float]]:
    """Class -> space -> Shapley value of the share of its held-out items that are told, over all splits."""
    names = list(found[0].singles)
    truth = np.concatenate([f.truth.values for f in found])
    table: dict[str, dict[str, float]] = {}

    def hits(some: tuple[str, ...]) -> Matrix:
        parts = []
        for f, read in zip(found, reads, strict=True):
            predicted = f.blind.predicted if not some else read.subsets[some].predicted
            parts.append(predicted.argmax(axis=1) == f.truth.values)
        return np.concatenate(parts).astype(np.float64)

    known = {some: hits(some) for k in range(len(names) + 1) for some in combinations(names, k)}
    for space in names:
        others = [name for name in names if name != space]
        value = np.zeros(len(truth))
        for k in range(len(others) + 1):
            weight = factorial(k) * factorial(len(names) - k - 1) / factorial(len(names))
            for some in combinations(others, k):
                value += weight * (known[tuple(n for n in names if n in some or n == space)] - known[some])
        for c in np.unique(truth):
            table.setdefault(found[0].truth.names[c], {})[space] = float(value[truth == c].mean())
    return table


def dominance(found: Sequence[Found], reads: Sequence[Read], bootstrap: Bootstrap) -> Dominance | None:
    """How far a head follows one space where the spaces disagree, or None where they never do."""
    if found[0].truth.kind == "rows":
        return None
    names = list(found[0].singles)
    per_split = []
    for f, read in zip(found, reads, strict=True):
        said = [f.singles[name].predicted for name in names]
        per_split.append(_followed(said, read.predicted, f.truth.kind))
    conflicts = [p[1] for p in per_split]
    if min(c.sum() for c in conflicts) == 0:
        return None
    follows = np.array([[float((p[0][k] * p[1]).sum() / p[1].sum()) for p in per_split] for k in range(len(names))])
    most = int(follows.mean(axis=1).argmax())
    scores = []
    for follow, conflict in per_split:
        rest = np.mean([follow[k] for k in range(len(names)) if k != most], axis=0)
        scores.append(ItemScore(((follow[most] - rest) * conflict), conflict, 0.0))
    value = bootstrap.score(scores)
    shares = dict(zip(names, map(float, follows.mean(axis=1)), strict=True))
    return Dominance(names[most], value.value, value.low, value.high, shares, int(sum(c.sum() for c in conflicts)))


def _followed(said: Sequence[Matrix], fused: Matrix, kind: str) -> tuple[list[Matrix], Matrix]:
    """Per space, how far the head says what it says (n_test,); and how many conflicts each item is (n_test,)."""
    if kind == "classes":
        codes = np.stack([p.argmax(axis=1) for p in said])
        conflict = (codes != codes[0]).any(axis=0).astype(np.float64)
        return [(fused.argmax(axis=1) == c).astype(np.float64) for c in codes], conflict
    if kind == "labels":
        each = np.stack([p > 0.5 for p in said])
        apart = (each != each[0]).any(axis=0)
        count = np.maximum(apart.sum(axis=1), 1)
        own = fused > 0.5
        return [((own == e) & apart).sum(axis=1) / count for e in each], apart.sum(axis=1).astype(np.float64)
    stack = np.stack(said)
    gap = np.sqrt(np.sum((stack.max(axis=0) - stack.min(axis=0)) ** 2, axis=1))
    far = np.stack([np.sum((fused - p) ** 2, axis=1) for p in said])
    nearest = far.argmin(axis=0)
    conflict = (gap > np.median(gap)).astype(np.float64)
    return [(nearest == k).astype(np.float64) for k in range(len(said))], conflict


def interactions(found: Sequence[Found], heads: Sequence[Head], bootstrap: Bootstrap) -> dict[str, Interaction]:
    """What every two spaces tell, each and together, by the head that tells most of both."""
    names = list(found[0].singles)
    table = {}
    for a, b in combinations(names, 2):

        def told(spec: str, pair: tuple[str, str] = (a, b)) -> list[Matrix]:
            return [f.heads[spec].subsets[pair].bits for f in found]

        spec = max((h.spec for h in heads), key=lambda s: float(np.mean([t.mean() for t in told(s)])))
        parts = [_parts(f.singles[a].bits, f.singles[b].bits, t) for f, t in zip(found, told(spec), strict=True)]

        def score(key: str, parts: Sequence[Mapping[str, Matrix]] = parts) -> Score:
            return bootstrap.score([ItemScore(p[key], np.ones(len(p[key])), 0.0) for p in parts])

        unique = {a: score("first"), b: score("second")}
        table[f"{a} + {b}"] = Interaction(
            (a, b), spec, unique, score("redundant"), score("synergistic"), score("total")
        )
    return table


def _parts(first: Matrix, second: Matrix, both: Matrix) -> dict[str, Matrix]:
    """The parts, item by item (Ince 2017: co-information counts as redundancy where all its terms have its sign)."""
    shared = first + second - both
    one_sign = (np.sign(first) == np.sign(shared)) & (np.sign(second) == np.sign(shared))
    redundant = np.where(one_sign & (np.sign(both) == np.sign(shared)), shared, 0.0)
    return {
        "first": first - redundant,
        "second": second - redundant,
        "redundant": redundant,
        "synergistic": redundant - shared,
        "total": both,
    }


def conflicts(found: Found, heads: Sequence[Head], ids: Sequence[str], rows: Sequence[int]) -> tuple[Conflict, ...]:
    """Held-out items of one split on which the spaces disagree, the surest disagreements first; of classes alone."""
    if found.truth.kind != "classes":
        return ()
    names = found.truth.names
    said = {space: read.predicted for space, read in found.singles.items()}
    codes = np.stack([p.argmax(axis=1) for p in said.values()])
    sure = np.prod([p.max(axis=1) for p in said.values()], axis=0)
    apart = np.flatnonzero((codes != codes[0]).any(axis=0))
    chosen = apart[np.argsort(-sure[apart], kind="stable")][:SHOWN]
    return tuple(
        Conflict(
            ids[rows[i]],
            names[found.truth.values[i]],
            {space: names[p[i].argmax()] for space, p in said.items()},
            {h.spec: names[found.heads[h.spec].predicted[i].argmax()] for h in heads},
        )
        for i in chosen
    )


def usual(layers: Sequence[str]) -> str:
    """The layer that most splits chose."""
    return Counter(layers).most_common(1)[0][0]
