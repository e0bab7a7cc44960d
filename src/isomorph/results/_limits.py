"""What a score means and how far it could go: redundancy calibrated on synthetic spaces, shares of ceilings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

from ._base import Result
from ._numbers import listed
from ._tables import frame

STRUCTURES = {
    "gaussian": "Gaussian components",
    "clusters": "clusters",
    "neighborhoods": "neighbourhoods on a curved surface",
}
"""Kinds of synthetic spaces, in words."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Reading(Result):
    """A score read off the curve of one kind of synthetic spaces.

    Attributes:
        structure: Kind of the spaces: ``"gaussian"``, ``"clusters"`` or ``"neighborhoods"``.
        share: Share of the variance that spaces with this score have in common, 0 to 1.
        low: Lower confidence bound of it.
        high: Upper confidence bound.
        shares: Shares at which the curve is given, 0 to 1.
        scores: Expected score at each, never falling (never rising where the metric is a distance).
        spreads: Standard deviation of a score at each.
        size: Number of clusters, or dimensions of the surface; 0 for Gaussian spaces.
        tightness: Share of the variance of either side that the structure carries, at this share; the rest scatters.
        reached: Whether spaces of this kind can have the score at all; if not, the share is an end of the curve.
        spaces: Number of synthetic pairs.

    Example:
        >>> Reading("gaussian", 0.4, 0.3, 0.5, (0.0, 1.0), (0.0, 1.0), (0.1, 0.0), 0, 0.0, True, 60)
        gaussian: .40 (.30 to .50)
    """

    kind: ClassVar[str] = "redundancy_reading"

    structure: str
    share: float
    low: float
    high: float
    shares: tuple[float, ...]
    scores: tuple[float, ...]
    spreads: tuple[float, ...]
    size: int
    tightness: float
    reached: bool
    spaces: int

    def contradictions(self) -> Iterator[str]:
        if not len(self.shares) == len(self.scores) == len(self.spreads):
            yield "its curve has columns of unlike lengths"
        if self.structure not in STRUCTURES:
            yield f"there is no kind {self.structure!r} of spaces"

    def __repr__(self) -> str:
        end = "" if self.reached else ", an end: no such spaces have this score"
        return f"{self.structure}: {_share(self.share)} ({_share(self.low)} to {_share(self.high)}){end}"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Redundancy(Result):
    """What a score means: as alike as spaces that share so much of their variance, read off each kind of spaces.

    Attributes:
        metric: Spec of the metric.
        score: The score.
        standard_error: Its standard error over the items (or groups), or None where the metric has no influences.
        readings: One for each kind of spaces.
        noise: Share of the variance of x and of y that was said to be noise, which is no part of the shares.
        level: Coverage of the intervals.
        n: Number of items.
        groups: Number of groups of items; 0 where each stands alone.
        dims: Features of x and of y.
        seed: Seed of the spaces.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> from isomorph.concept_maps._redundancy import redundancy
        >>> z, u, v = np.random.default_rng(0).normal(size=(3, 80, 6))
        >>> found = redundancy("cka", z + u, z + v, kind="gaussian", seed=0)  # half of either is z
        >>> found.low < 0.5 < found.high, type(found).load(found.save("redundancy.json")).share == found.share
        (True, True)
    """

    kind: ClassVar[str] = "redundancy"

    metric: str
    score: float
    standard_error: float | None
    readings: tuple[Reading, ...]
    noise: tuple[float, float]
    level: float
    n: int
    groups: int
    dims: tuple[int, int]
    seed: int

    def contradictions(self) -> Iterator[str]:
        if not self.readings:
            yield "it has no readings"

    @property
    def share(self) -> float:
        """The middle one of the readings."""
        ordered = sorted(r.share for r in self.readings)
        half = len(ordered) // 2
        return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2

    @property
    def low(self) -> float:
        """The lowest bound of all kinds: it admits not knowing the kind."""
        return min(r.low for r in self.readings)

    @property
    def high(self) -> float:
        """The highest bound of all kinds."""
        return max(r.high for r in self.readings)

    @property
    def spread(self) -> float:
        """How far the readings of the kinds lie apart: what not knowing the kind does to the share."""
        return max(r.share for r in self.readings) - min(r.share for r in self.readings)

    @property
    def told(self) -> str:
        """The reading in words."""
        kinds = listed([f"{_share(r.share)} of {STRUCTURES[r.structure]}" for r in self.readings])
        ends = [STRUCTURES[r.structure] for r in self.readings if not r.reached]
        words = (
            f"As alike as spaces that share {_share(self.share)} of their variance "
            f"({_share(self.low)} to {_share(self.high)}"
            + (f", whatever the kind: {kinds})" if len(self.readings) > 1 else f", {STRUCTURES[self._only]})")
        )
        return words + (f"; no spaces made of {listed(ends)} have such a score." if ends else ".")

    @property
    def _only(self) -> str:
        return self.readings[0].structure

    def to_records(self) -> list[dict[str, object]]:
        """One dictionary a kind of spaces."""
        names = ("structure", "share", "low", "high", "size", "reached")
        return [{k: getattr(r, k) for k in names} for r in self.readings]

    def to_frame(self) -> object:
        """The readings as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        return f"Redundancy({self.metric} = {self.score:.3f}, n={self.n:,}: {self.told})"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class CeilingShare(Result):
    """A score across modalities as a share of the ceilings within them; all scores are calibrated: chance 0, best 1.

    Attributes:
        metric: Spec of the metric.
        n: Number of items (the mean, where groups make subsets of unlike size).
        depth: Relative depth of the layers, or None where they are the given ones.
        across: Calibrated score of x and y.
        x_ceiling: Mean calibrated score of x and its ceilings.
        y_ceiling: Mean calibrated score of y and its ceilings.
        share: across / √(x_ceiling · y_ceiling), or None where there is none.
        low: Lower confidence bound of the share over items, or None.
        high: Upper confidence bound, or None.
        lacking: Why there is no share.

    Example:
        >>> CeilingShare("cka", 100, None, 0.2, 0.5, 0.8, 0.316, 0.21, 0.43)
        cka, n=100: .32 (.21 to .43)
    """

    kind: ClassVar[str] = "ceiling_share"

    metric: str
    n: int
    depth: float | None
    across: float
    x_ceiling: float
    y_ceiling: float
    share: float | None
    low: float | None
    high: float | None
    lacking: str = ""

    def contradictions(self) -> Iterator[str]:
        if len({v is None for v in (self.share, self.low, self.high)}) > 1:
            yield "a share has no bounds, or bounds have no share"

    def __repr__(self) -> str:
        depth = "" if self.depth is None else f", depth {self.depth:g}"
        if self.share is None or self.low is None or self.high is None:
            said = self.lacking
        else:
            said = f"{_share(self.share)} ({_share(self.low)} to {_share(self.high)})"
        return f"{self.metric}, n={self.n:,}{depth}: {said}"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Limit(Result):
    """Where one curve takes the share of the ceiling as the gallery grows without end.

    Attributes:
        curve: The curve, in words.
        value: Its limit.
        low: Lower confidence bound, this curve being right.
        high: Upper confidence bound.
        p_value: p of deviations from the curve as large as those seen.

    Example:
        >>> Limit("a limit and 1 / n", 0.4, 0.35, 0.45, 0.6)
        a limit and 1 / n: .40 (.35 to .45), p 0.60
    """

    kind: ClassVar[str] = "limit"

    curve: str
    value: float
    low: float
    high: float
    p_value: float

    def __repr__(self) -> str:
        span = f"{_share(self.low)} to {_share(self.high)}"
        return f"{self.curve}: {_share(self.value)} ({span}), p {self.p_value:.2f}"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Extrapolation(Result):
    """The share of the ceiling in an infinite gallery, as far as it can be said.

    Attributes:
        metric: Spec of the metric.
        change: Change of the share for a doubling of the gallery, or None.
        change_low: Lower confidence bound of it.
        change_high: Upper confidence bound.
        value: The limit of the curve that fits best, or None where it cannot be said.
        low: The lowest bound of all curves that fit.
        high: The highest.
        limits: One for each curve that was fitted.
        fits: Names of the curves that fit.
        level: Coverage of the intervals.
        lacking: Why it cannot be said.

    Example:
        >>> Extrapolation("cka", None, None, None, None, None, None, (), (), 0.95, "sizes span a factor of 4 only")
        cka: cannot be said, sizes span a factor of 4 only
    """

    kind: ClassVar[str] = "extrapolation"

    metric: str
    change: float | None
    change_low: float | None
    change_high: float | None
    value: float | None
    low: float | None
    high: float | None
    limits: tuple[Limit, ...]
    fits: tuple[str, ...]
    level: float
    lacking: str = ""

    def contradictions(self) -> Iterator[str]:
        if len({v is None for v in (self.value, self.low, self.high)}) > 1:
            yield "a limit has no bounds, or bounds have no limit"

    @property
    def falls(self) -> bool:
        """Whether the share is shown to fall as the gallery grows."""
        return self.change_high is not None and self.change_high < 0

    @property
    def rises(self) -> bool:
        """Whether the share is shown to rise as the gallery grows."""
        return self.change_low is not None and self.change_low > 0

    @property
    def told(self) -> str:
        """What happens to the share as the gallery grows, in words."""
        word = "falls" if self.falls else "rises" if self.rises else "is not shown to change"
        moved = ""
        if self.change is not None:
            moved = f"the share of the ceiling {word} with the gallery ({self.change:+.3f} for a doubling); "
        if self.value is None or self.low is None or self.high is None:
            return f"{moved}in an infinite gallery: cannot be said, {self.lacking}"
        return f"{moved}in an infinite gallery {_share(self.value)} ({_share(self.low)} to {_share(self.high)})"

    def __repr__(self) -> str:
        return f"{self.metric}: {self.told.removeprefix('in an infinite gallery: ')}"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Limits(Result):
    """A score across modalities as a share of the ceilings within them, by metric, k, gallery size and depth.

    Attributes:
        by_metric: One row a metric, all items, the given layers.
        by_k: One row a number of neighbours, for the first neighbour metric.
        by_size: Rows of growing size for each metric, all three scores of the same subsets.
        by_depth: One row a metric and depth.
        extrapolated: One for each metric.
        level: Coverage of the intervals.
        n: Number of items.
        groups: Number of groups of items; 0 where each stands alone.
        repeats: Subsets of each size.
        seed: Seed of the subsets.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> from isomorph.concept_maps._limits import limits
        >>> rng = np.random.default_rng(0)
        >>> z, u, v = rng.normal(size=(3, 300, 6))  # half of what each modality holds is common
        >>> x, x2, y, y2 = (np.hstack([z, w]) + 0.4 * rng.normal(size=(300, 12)) for w in (u, u, v, v))
        >>> found = limits(x, y, x2, y2, metrics="cka")
        >>> round(found.by_metric[0].share, 1), found.extrapolated[0].falls
        (0.5, False)
    """

    kind: ClassVar[str] = "limits"

    by_metric: tuple[CeilingShare, ...]
    by_k: tuple[CeilingShare, ...]
    by_size: tuple[CeilingShare, ...]
    by_depth: tuple[CeilingShare, ...]
    extrapolated: tuple[Extrapolation, ...]
    level: float
    n: int
    groups: int
    repeats: int
    seed: int

    def of_size(self, metric: str) -> tuple[CeilingShare, ...]:
        """The rows of one metric by gallery size."""
        return tuple(row for row in self.by_size if row.metric == metric)

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary a row; ``by`` says what varies."""
        names = ("metric", "n", "depth", "across", "x_ceiling", "y_ceiling", "share", "low", "high", "lacking")
        tables = {"metric": self.by_metric, "k": self.by_k, "size": self.by_size, "depth": self.by_depth}
        return [{"by": by, **{k: getattr(row, k) for k in names}} for by, rows in tables.items() for row in rows]

    def to_frame(self) -> object:
        """The rows as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return frame(self.to_records())

    @property
    def told(self) -> str:
        """The share of the ceiling by each metric, and what the gallery does to it."""
        after = {e.metric: e.told for e in self.extrapolated}
        return " ".join(f"{row}; {after[row.metric]}." if row.metric in after else f"{row}." for row in self.by_metric)

    def __repr__(self) -> str:
        return f"Limits(n={self.n:,}: {self.told})"


def _share(value: float) -> str:
    """A share as people write it: .30, 1.00."""
    text = f"{value:.2f}"
    text = text.lstrip("-") if float(text) == 0 else text
    return text.replace("0.", ".", 1) if abs(float(text)) < 1 else text
