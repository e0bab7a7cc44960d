"""Modality collapse: a head that reads one space only, or mapped rows that all retrieve the same few items."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .._core.distributions import t_ppf
from ..design import Split
from ..heldout.retrieval import compared, similarities
from ..maps import Map, make_map
from ..results import FUSION_DESCENDING, Finding, Fusion, HeadScores, Score, Stitch
from ._base import Case, Matrix, Signature, wide

MIN_HELD = 20


class ModalityCollapse(Signature):
    """Of several spaces one does all the work, or what is mapped from one says the same of every item.

    A head of a `Fusion` collapses where all of these hold of a space: other items' rows in its place cost less than a
    tenth of what the head scores above chance (paired over splits; its interval not above that); the space by itself
    tells at least a quarter of what the best one tells above chance; where the spaces disagree the head follows another
    (dominance above 0.5); and nothing shows that the space adds nothing: heads that use it score more, or, where there
    is none, it is right in the conflicts at least half as often as the other. Noise or a copy is rightly ignored.

    The map of a `Stitch` is refitted on its first split. It collapses in a direction where the held-out queries find
    few candidates: the effective number of those that come first, exp(entropy), is below 0.15 of their number, and that
    of the candidates' own neighbors at least 2.5 times as large; or where a prior ranks them: at least half of the
    variance of similarity within a query is that of the candidates' means over all queries, and among true rows at most
    half as much.

    Source: the survey's failure signatures (arXiv 2510.05184); both rules are ours.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> x, y, loud = rng.normal(size=(300, 32)), rng.normal(size=(300, 32)), 9 * rng.normal(size=(300, 1))
        >>> x, y = np.hstack([loud, x]), np.hstack([loud, y])  # one direction is shared, so all find one of its ends
        >>> stitch = iso.stitch(x, y, "ridge", repeats=1, permutations=0)
        >>> found = iso.diagnose(x, y, stitch=stitch)["modality_collapse"]
        >>> [(finding.where, finding.present) for finding in found]
        [('ridge, x → y', True), ('ridge, y → x', False)]
    """

    name: ClassVar[str] = "modality_collapse"
    criterion: ClassVar[str] = "fusion_gain"
    asks: ClassVar[str] = "Does one modality do all the work, whatever the other says?"
    advice: ClassVar[str] = (
        "Do not call the result multimodal. Fit a head that weighs the spaces (concat with its penalties, late, view "
        "dropout) and report it beside the best single space; for a map, correct for hubs, take the loud shared "
        "directions out of both sides, or map from a layer that tells more of the other side."
    )
    ignored: ClassVar[float] = 0.1
    tells: ClassVar[float] = 0.25
    follows: ClassVar[float] = 0.5
    adds: ClassVar[float] = 0.05
    right: ClassVar[float] = 0.5
    spread: ClassVar[float] = 0.15
    own: ClassVar[float] = 2.5
    prior: ClassVar[float] = 0.5

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Mapping[str, Any]:
        loud = 9 * rng.standard_normal((300, 1))  # all that the two share: whatever is mapped finds one of its ends
        return {side: np.hstack([loud, rng.standard_normal((300, 32))]) for side in ("x", "y")}

    def missing(self, case: Case) -> str:
        if case.fusion is not None:
            return ""
        if case.stitch is None:
            return "needs a fusion, or a stitch and the features of both sides"
        return _unfit(case, case.stitch)

    def look(self, case: Case) -> Sequence[Finding]:
        findings: list[Finding] = []
        if case.fusion is not None:
            findings += [self._head(case.fusion, head) for head in case.fusion.heads.values()]
        if case.stitch is not None and not _unfit(case, case.stitch):
            findings += self._map(case, case.stitch)
        return findings

    def _head(self, fusion: Fusion, head: HeadScores) -> Finding:
        """Whether one head ignores a space that it should not."""
        where = f"{head.head}, {' + '.join(fusion.singles)} for {fusion.target}"
        best = max(_above(s.score, fusion.decided_by) for s in fusion.singles.values())
        reads = [_Reading.of(fusion, head, space, best) for space in fusion.singles]
        evidence: dict[str, Any] = {}
        for r in reads:
            evidence[f"{r.space} of other items: share of the score above chance that it costs"] = r.cost
            evidence[f"{r.space} of other items: at most"] = r.most
            evidence[f"{r.space} alone: share of what the best space tells above chance"] = r.alone
        if head.dominance is not None:
            shares = head.dominance.follows
            evidence |= {f"share of conflicts in which it says what {s} says": v for s, v in shares.items()}
            evidence["dominance, at least"] = head.dominance.low
        evidence |= {f"share of the surest conflicts in which {s} is right": v for s, v in _right(fusion).items()}
        evidence["gain of the best head"] = fusion.best().gain.value
        evidence["thresholds"] = (
            f"cost {self.ignored:g}, alone {self.tells:g}, dominance {self.follows:g}, more with it {self.adds:g}, "
            f"right {self.right:g} as often"
        )
        if not _shown(head.score, fusion.decided_by):
            return self.finding(where, False, evidence, f"{head.head} does not score above chance: nothing to share.")
        idle = [r for r in reads if r.most <= self.ignored]
        if not idle:
            return self.finding(where, False, evidence, f"{head.head} is not shown to ignore any space.")
        reasons = {r.space: self._rightly(fusion, head, r) for r in idle}
        lost = [space for space, reason in reasons.items() if not reason]
        if not lost:
            words = f"{head.head} does not use {' or '.join(reasons)}, rightly: {next(iter(reasons.values()))}."
            return self.finding(where, False, evidence, words)
        return self.finding(where, True, evidence, _loss(fusion, head, lost, self._users(fusion, head, lost)))

    def _rightly(self, fusion: Fusion, head: HeadScores, read: _Reading) -> str:
        """Why it is right that a head does not use a space; empty if it is not."""
        if not read.tells or read.alone < self.tells:
            return f"{read.space} by itself tells little or nothing"
        users = self._users(fusion, head, [read.space])
        own = _above(head.score, fusion.decided_by)
        adds = any(_above(u.score, fusion.decided_by) > (1 + self.adds) * own for u in users)
        if users and not adds:
            return f"heads that use {read.space} score no more"
        if fusion.target_kind == "rows":
            return "" if users else f"no other head shows that {read.space} adds anything"
        if head.dominance is None:
            return "the spaces never disagree"
        if head.dominance.space == read.space or head.dominance.low <= self.follows:
            return "it follows no other space where they disagree"
        right = _right(fusion)
        if not users and right and right[read.space] < self.right * right[head.dominance.space]:
            return f"where they disagree, {head.dominance.space} is right and {read.space} hardly ever"
        return ""

    def _users(self, fusion: Fusion, head: HeadScores, spaces: Sequence[str]) -> list[HeadScores]:
        """Other heads that lose by other items' rows in place of any of the spaces."""
        return [
            h
            for h in fusion.heads.values()
            if h.head != head.head and any(_Reading.of(fusion, h, s, 1.0).cost > self.ignored for s in spaces)
        ]

    def _map(self, case: Case, stitch: Stitch) -> list[Finding]:
        """Whether the best direct map of a stitch finds few candidates, in both directions."""
        assert case.x is not None  # `missing` checks
        assert case.y is not None
        spec, (x_layer, y_layer) = _direct(stitch), stitch.chosen[0]
        x, y, split = wide(case.x.layers[x_layer]), wide(case.y.layers[y_layer]), _split(stitch)
        mapped, target, _ = compared(make_map(spec).fit(x[split.train], y[split.train]), x, y, split)
        own = x[split.test] - x[split.train].mean(axis=0)
        return [
            self._direction(f"{spec}, {stitch.x_name} → {stitch.y_name}", mapped, target, target, stitch.correction),
            self._direction(f"{spec}, {stitch.y_name} → {stitch.x_name}", target, mapped, own, stitch.correction),
        ]

    def _direction(self, where: str, queries: Matrix, gallery: Matrix, own: Matrix, correction: str | None) -> Finding:
        """Whether queries find few candidates.

        Args:
            where: Which map and direction.
            queries: Rows (n, d).
            gallery: Candidates (n, d), row i the right one of query i.
            own: The candidates as they are in their own space (n, d_own).
            correction: For hubs.
        """
        distinct = np.unique(own, axis=0, return_index=True)[1]  # the right answers, each once
        distinct.sort()
        found = Spread.of(queries, gallery[distinct], correction)
        true = Spread.of(own[distinct], own[distinct], correction, same=True)
        few = found.effective < self.spread and true.effective >= self.own * found.effective
        prior = found.prior >= self.prior and true.prior <= found.prior / 2
        evidence = {
            "effective share of the candidates that come first": found.effective,
            "the same, candidates among themselves": true.effective,
            f"share of queries that find the most found {found.top} first": found.hub,
            "share of similarity that is the candidate's, whatever the query": found.prior,
            "the same share, candidates among themselves": true.prior,
            "candidates": len(distinct),
            "thresholds": f"effective share {self.spread:g}, among themselves {self.own:g} times, prior {self.prior:g}",
        }
        first = f"{found.effective * len(distinct):.1f} of {len(distinct)} candidates come first, effectively"
        told = [f"The queries all find the same few: {first}."] if few else []
        if prior:
            told.append(
                f"Candidates are ranked alike whatever the query: {100 * found.prior:.0f} % of what sets them apart is "
                f"the candidate's own ({100 * true.prior:.0f} % among true rows)."
            )
        words = " ".join(told) or f"The queries find candidates of their own: {first}."
        return self.finding(where, few or prior, evidence, words)


@dataclasses.dataclass(frozen=True)
class _Reading:
    """How far a head uses a space.

    Attributes:
        space: Its name.
        cost: Of other items' rows at test time, as a share of what the head scores above chance.
        most: Upper bound of this share, over splits.
        alone: What the space tells by itself above chance, as a share of what the best space tells.
        tells: Whether the space by itself is above chance.
    """

    space: str
    cost: float
    most: float
    alone: float
    tells: bool

    @classmethod
    def of(cls, fusion: Fusion, head: HeadScores, space: str, best: float) -> _Reading:
        """Read from a fusion; `best` is what the best space tells above chance."""
        total, single = _above(head.score, fusion.decided_by), fusion.singles[space].score
        sign = -1.0 if fusion.decided_by in FUSION_DESCENDING else 1.0
        own, broken = (np.array(s.repeats) for s in (head.score, head.missing[f"{space} of other items"]))
        each, most = sign * (own - broken), 0.0
        if len(each) > 2:  # the splits overlap (Nadeau and Bengio 2003)
            ratio = 1 / len(each) + float(np.mean(fusion.n_test)) / float(np.mean(fusion.n_train))
            quantile = float(t_ppf((1 + fusion.level) / 2, len(each) - 1))
            most = quantile * float(np.sqrt(ratio * each.var(ddof=1)))
        cost = float(each.mean())
        total = max(total, 1e-12)
        alone = _above(single, fusion.decided_by) / max(best, 1e-12)
        return cls(space, cost / total, (cost + most) / total, alone, _shown(single, fusion.decided_by))


@dataclasses.dataclass(frozen=True)
class Spread:
    """Over how many candidates the queries' first places are spread, and how far candidates are ranked alike.

    Attributes:
        effective: exp(entropy) of the candidates that come first, over the number of candidates. In (0, 1].
        top: How many candidates are the most found 1 %, at least one.
        hub: Share of queries that find one of these first. In (0, 1].
        prior: Share of the variance of similarity within a query that is that of the candidates' means over all
            queries. In [0, 1]: about 1 over the number of queries where none is preferred, 1 where all queries rank
            all candidates alike.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 8))
        >>> round(Spread.of(x, x, None).effective, 3)
        1.0
        >>> blind = Spread.of(np.ones((50, 8)), x, None)  # all queries are the same
        >>> round(blind.effective, 3), blind.hub, round(blind.prior, 3)
        (0.02, 1.0, 1.0)
    """

    effective: float
    top: int
    hub: float
    prior: float

    @classmethod
    def of(cls, queries: Matrix, gallery: Matrix, correction: str | None, *, same: bool = False) -> Spread:
        """Of queries (n, d) and candidates (m, d); where they are the `same`, each finds the others only."""
        m = len(gallery)
        first, sums, counts, within = np.zeros(m), np.zeros(m), np.zeros(m), 0.0
        for rows, block in similarities(queries, gallery, correction):
            s = np.array(block)
            if same:
                s[np.arange(len(s)), np.arange(rows.start, rows.start + len(s))] = np.nan
            first += np.bincount(np.nanargmax(s, axis=1), minlength=m)
            s -= np.nanmean(s, axis=1, keepdims=True)
            sums += np.nansum(s, axis=0)
            counts += np.isfinite(s).sum(axis=0)
            within += float(np.nanvar(s, axis=1).sum())
        share = first[first > 0] / first.sum()
        top = max(1, m // 100)
        mean = within / len(queries)
        return cls(
            effective=float(np.exp(-np.sum(share * np.log(share)))) / m,
            top=top,
            hub=float(np.sort(first)[-top:].sum() / first.sum()),
            prior=float(np.clip(np.var(sums / counts) / mean, 0.0, 1.0)) if mean > 0 else 0.0,
        )


def _above(score: Score, decided_by: str) -> float:
    """How far a score lies above chance, positive where it is better."""
    return score.chance - score.value if decided_by in FUSION_DESCENDING else score.value - score.chance


def _shown(score: Score, decided_by: str) -> bool:
    """Whether the whole interval is above chance."""
    return score.high < score.chance if decided_by in FUSION_DESCENDING else score.low > score.chance


def _right(fusion: Fusion) -> dict[str, float]:
    """Space -> share of the conflicts that a fusion holds in which it is right; of classes alone."""
    held = fusion.conflicts
    return {s: sum(c.said[s] == c.truth for c in held) / len(held) for s in fusion.singles} if held else {}


def _loss(fusion: Fusion, head: HeadScores, lost: Sequence[str], users: Sequence[HeadScores]) -> str:
    """What a head that ignores spaces loses, in words."""
    names = " and ".join(lost)
    words = f"{head.head} ignores {names}: at test time those of other items serve it as well"
    if not users:
        return f"{words}. No other head uses {names}, so that what it would add is not known: fit concat or late."
    best = fusion.best()
    return f"{words}, while {names} used beside the others gives more: {best.head} gains {best.gain.value:+.3f}."


def _direct(stitch: Stitch) -> str:
    """The best map that predicts rows of y from those of x, or an empty text."""

    def reads(spec: str) -> bool:
        made: Map = make_map(spec)
        return made.direct and made.reads_x

    return max(filter(reads, stitch.maps), key=lambda m: stitch.maps[m][stitch.decided_by].value, default="")


def _split(stitch: Stitch) -> Split:
    return Split.of(np.isin(np.arange(stitch.n), stitch.test_rows[0]))


def _unfit(case: Case, stitch: Stitch) -> str:
    """Why a stitch cannot be looked at; empty if it can."""
    if case.x is None or case.y is None:
        return "needs the features of both sides beside the stitch"
    if not _direct(stitch):
        return "needs a stitch by a map that predicts rows of y, such as ridge"
    sides = zip((case.x, case.y), stitch.chosen[0], strict=True)
    known = case.x.ids is None or tuple(case.x.ids) == stitch.ids
    if case.x.n != stitch.n or not known or any(layer not in side.layers for side, layer in sides):
        return "needs the features that the stitch is of: the same items in the same order, with its layers"
    held = np.unique(wide(case.y.layers[stitch.chosen[0][1]])[_split(stitch).test], axis=0)
    return "" if len(held) >= MIN_HELD else f"needs {MIN_HELD} distinct items held out, found {len(held)}"
