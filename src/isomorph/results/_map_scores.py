"""What a stitch is made of: scores, margins, the scores of one map, curves and examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from ..errors import UnknownNameError
from ._base import Result
from ._numbers import format_p
from ._tables import frame

Matrix = np.ndarray[Any, Any]

DIRECTIONS = ("x_to_y", "y_to_x")
RETRIEVAL = ("R@1", "R@5", "R@10", "median_rank", "mrr")
DESCENDING = frozenset(f"{d}.median_rank" for d in DIRECTIONS)
"""Scores of which less is better."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Score(Result):
    """One held-out score.

    Attributes:
        value: Mean over the repeated splits.
        low: Lower confidence bound, over repeats and held-out items.
        high: Upper confidence bound.
        chance: What a map that knows nothing is expected to score.
        repeats: The score in each split.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> score = iso.stitch(x, x + noise, "ridge", repeats=2, permutations=0)["ridge"]["mrr"]
        >>> round(score.value, 2), round(score.chance, 2), len(score.repeats)
        (0.77, 0.19, 2)
    """

    kind: ClassVar[str] = "score"

    value: float
    low: float
    high: float
    chance: float
    repeats: tuple[float, ...]

    def __repr__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}], chance {self.chance:.4f}"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Margin(Result):
    """A map's score minus a control's, over the same items and splits; positive means that the map is better.

    Attributes:
        value: The difference.
        low: Lower confidence bound.
        high: Upper confidence bound.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = iso.stitch(x, x + noise, "ridge", repeats=2, permutations=5)["ridge"]
        >>> found.margins["mrr"]["permuted pairs"].low > 0
        True
    """

    kind: ClassVar[str] = "margin"

    value: float
    low: float
    high: float

    def __repr__(self) -> str:
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class MapScores(Result):
    """All held-out scores of one map.

    Scores are named ``r2``, ``cosine``, ``overlap``, ``mrr`` (mean of both ways), ``x_to_y.R@1``, ``y_to_x.mrr``, …,
    ``zero_shot``, ``probe`` and ``probe_native``. Those that a map or the data do not allow are not there.

    Attributes:
        map: Short spec of the map.
        variant: Full spec.
        direct: Whether it predicts rows of `y`, else it brings both sides into a shared space.
        scores: Name -> score.
        controls: Control, such as ``"permuted pairs"`` -> its scores.
        ceilings: Ceiling, such as ``"self-stitch"`` -> its scores.
        margins: Score -> control -> how far the map is above that control.
        p_value: Score -> share of refits to permuted pairs that score at least as high, the map itself counted in.
        decided_by: The score by which `above_controls` is decided.
        spellings: The shortest spec, and other names that mean this variant.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = iso.stitch(x, x @ noise[:8] + noise[::-1], "ridge", repeats=2, permutations=5)["ridge"]
        >>> round(found["r2"].value, 2), round(found.retrieval["x_to_y"]["R@1"], 2)
        (0.86, 0.92)
        >>> found.above_controls, list(found.controls)
        (True, ['identity', 'mean', 'permuted pairs'])
    """

    kind: ClassVar[str] = "map_scores"

    map: str
    variant: str
    direct: bool
    scores: Mapping[str, Score]
    controls: Mapping[str, Mapping[str, Score]]
    ceilings: Mapping[str, Mapping[str, Score]]
    margins: Mapping[str, Mapping[str, Margin]]
    p_value: Mapping[str, float]
    decided_by: str = "mrr"
    spellings: tuple[str, ...] = ()

    def __getitem__(self, score: str) -> Score:
        """One score by name.

        Raises:
            UnknownNameError: if the map has no such score.
        """
        if score not in self.scores:
            raise UnknownNameError(f"score of {self.map}", score, self.scores)
        return self.scores[score]

    @property
    def retrieval(self) -> dict[str, dict[str, float]]:
        """Retrieval scores by direction: ``retrieval["x_to_y"]["R@1"]``."""
        return {d: {k: self.scores[f"{d}.{k}"].value for k in RETRIEVAL} for d in DIRECTIONS}

    def above(self, score: str = "mrr") -> bool:
        """Whether a score lies above every control, by the lower bound of each difference.

        Raises:
            UnknownNameError: if the map has no such score.
        """
        self[score]
        margins = self.margins.get(score, {})
        return bool(margins) and all(m.low > 0 for m in margins.values())

    @property
    def above_controls(self) -> bool:
        """`above` for the score that decides."""
        return self.above(self.decided_by)

    def evidence(self, score: str = "mrr") -> str:
        """What `above` rests on, in one sentence.

        Raises:
            UnknownNameError: if the map has no such score.
        """
        own, margins = self[score], self.margins.get(score, {})
        if not margins:
            return f"{score} {own.value:.3f} has no control that could be held against it"
        worst = min(margins, key=lambda name: margins[name].low)
        m = margins[worst]
        verdict = "above" if self.above(score) else "not above"
        p = f", p from permuted pairs {format_p(self.p_value[score])}" if score in self.p_value else ""
        return (
            f"{score} {own.value:.3f} (chance {own.chance:.3f}) is {verdict} all {len(margins)} controls; the hardest, "
            f"{worst}, is {m.value:+.3f} [{m.low:+.3f}, {m.high:+.3f}] away{p}"
        )

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary for each score of the map, its controls and its ceilings."""
        roles: list[tuple[str, str, Mapping[str, Score]]] = [("map", self.map, self.scores)]
        roles += [("control", k, v) for k, v in self.controls.items()]
        roles += [("ceiling", k, v) for k, v in self.ceilings.items()]
        return [
            {"map": self.map, "role": role, "name": name, "score": k}
            | {"value": s.value, "low": s.low, "high": s.high, "chance": s.chance}
            for role, name, scores in roles
            for k, s in scores.items()
        ]

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        return f"MapScores({self.map}: {self.evidence(self.decided_by)})"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Curve(Result):
    """A held-out score of one map against a size.

    Attributes:
        map: Short spec of the map.
        score: Name of the score.
        over: ``"pairs"`` or ``"gallery"``.
        sizes: The sizes, ascending.
        values: Mean score at each size.
        low: Lowest of the repeats.
        high: Highest of the repeats.
        chance: Chance level at each size.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> curve = iso.stitch(x, x + noise, "ridge", repeats=2, permutations=0).pairs_curves[0]
        >>> curve.score, curve.over, curve.sizes
        ('r2', 'pairs', (10, 20, 42))
    """

    kind: ClassVar[str] = "curve"

    map: str
    score: str
    over: str
    sizes: tuple[int, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    chance: tuple[float, ...]

    def contradictions(self) -> Iterator[str]:
        if len({len(v) for v in (self.sizes, self.values, self.low, self.high, self.chance)}) > 1:
            yield "its sizes and scores have unlike lengths"
        if min(self.sizes, default=1) < 1:
            yield "one of its sizes is no number of items"

    def __repr__(self) -> str:
        points = ", ".join(f"{n}: {v:.3f}" for n, v in zip(self.sizes, self.values, strict=True))
        return f"Curve({self.map}, {self.score} over {self.over}: {points})"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Examples(Result):
    """Queries of the first split with what a map found for them.

    Attributes:
        map: Short spec of the map.
        direction: ``"x_to_y"`` or ``"y_to_x"``.
        gallery: Size of the gallery.
        ids: The queries.
        rank: Rank of the right item of each query.
        verdict: ``"right"`` (rank 1), ``"near miss"`` (rank up to 10) or ``"wrong"``.
        found: Ids of the best items of the gallery, best first.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = iso.stitch(x, x + noise, "ridge", repeats=1, permutations=0).examples[0]
        >>> found.direction, found.gallery, found.ids[0], found.rank[0], found.verdict[0]
        ('x_to_y', 18, '2', 1.0, 'right')
    """

    kind: ClassVar[str] = "retrieval_examples"

    map: str
    direction: str
    gallery: int
    ids: tuple[str, ...]
    rank: tuple[float, ...]
    verdict: tuple[str, ...]
    found: tuple[tuple[str, ...], ...]

    def contradictions(self) -> Iterator[str]:
        if len({len(v) for v in (self.ids, self.rank, self.verdict, self.found)}) > 1:
            yield "it lists unlike numbers of queries"
        if self.direction not in DIRECTIONS or not set(self.verdict) <= {"right", "near miss", "wrong"}:
            yield "its direction or a verdict is not known"
