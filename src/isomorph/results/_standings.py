"""How well metrics tell the truth of one criterion of a league, and what that says to a user, in sentences."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping

from ._numbers import listed
from ._spellings import spelled

CRITERION_KINDS = {
    "design": "networks made differently on purpose",
    "layers": "layers of networks",
    "function": "what networks answer, and what they can do for each other",
    "geometry": "spaces made for the purpose",
    "reliability": "other items",
}
"""Kind of a criterion -> what the truth is of."""
_WAY = re.compile(r"( max over layers| at depth [0-9.]+)?( above chance)?$")
_NAMED = 4  # metrics that a sentence lists


def parted(name: str) -> tuple[str, str]:
    """A name of a league as the spec of the metric, and what was made of its scores.

    Example:
        >>> parted("cka above chance"), parted("rsa max over layers")
        (('cka', ' above chance'), ('rsa', ' max over layers'))
    """
    found = _WAY.search(name)
    cut = found.start() if found else len(name)
    return name[:cut], name[cut:]


@dataclasses.dataclass(frozen=True)
class Standing:
    """How well one metric tells the truth of one criterion.

    Attributes:
        variant: Full spec of the metric, without what was made of its scores, such as ``" above chance"``.
        spellings: Its other spellings.
        value: The statistic; higher is better.
        low: Lower end of its interval, over networks drawn anew.
        high: Upper end.
        chance: The statistic of scores that tell nothing.
        p_value: p of telling no more than that, by orders of the truth among networks.
        q_value: p adjusted for all criteria and metrics of the league (Benjamini and Hochberg).
        rank: Its place among the metrics of the league, 1 the best.
        rank_low: Lower end of the interval of the rank.
        rank_high: Upper end.
        best: Whether it is the best, or not told apart from it.

    Example:
        >>> # after the example of `League`
        >>> league["translation"]["cca"].rank
        1.0
    """

    variant: str
    spellings: tuple[str, ...]
    value: float
    low: float
    high: float
    chance: float
    p_value: float
    q_value: float
    rank: float
    rank_low: float
    rank_high: float
    best: bool


@dataclasses.dataclass(frozen=True)
class Standings:
    """One criterion of a league: metric -> `Standing`, by any spelling of the metric.

    Attributes:
        criterion: Its full spec.
        kind: ``"design"``, ``"layers"``, ``"function"``, ``"geometry"`` or ``"reliability"``.
        purpose: What a user wants to know who should look at it, after "to know".
        reference: Where it comes from.
        units: Networks or trials.
        n: Items.
        rows: Metric -> standing, in the order of the league.

    Example:
        >>> # after the example of `League`
        >>> league["translation"].units, league["translation"].n
        (5, 100)
    """

    criterion: str
    kind: str
    purpose: str
    reference: str
    units: int
    n: int
    rows: Mapping[str, Standing]

    def __getitem__(self, metric: str) -> Standing:
        """One metric, by any spelling.

        Raises:
            KeyError: if it has no score here.
        """
        spec, way = parted(metric)
        same = {own: row for name, row in self.rows.items() for own, its in (parted(name),) if its == way}
        return spelled(spec, same, "has no score here; there are")

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def ranked(self) -> list[tuple[str, Standing]]:
        """Metrics from the best on."""
        return sorted(self.rows.items(), key=lambda row: (row[1].rank, row[0]))

    @property
    def best(self) -> tuple[str, ...]:
        """The best metric and those that are not told apart from it, from the best on."""
        return tuple(name for name, row in self.ranked if row.best)

    @property
    def winner(self) -> str | None:
        """The one metric that is better than all others and than chance, or None."""
        first = self.best
        return first[0] if len(first) == 1 and len(self.rows) > 1 and self.rows[first[0]].q_value <= 0.05 else None

    @property
    def name(self) -> str:
        """The criterion without its parameters."""
        return self.criterion.partition("(")[0]

    def short(self, metric: str) -> str:
        """A metric by its shortest spelling."""
        spec, way = parted(metric)
        return next(iter(self.rows[metric].spellings), spec) + way

    def trusted(self, alpha: float) -> list[str]:
        """The metrics that are shown to tell it and are the best or not told apart from that, from the best on."""
        return [name for name in self.best if self.rows[name].q_value <= alpha]

    def blind(self, alpha: float) -> list[str]:
        """The metrics that are not shown to tell it."""
        return [name for name, row in self.rows.items() if row.q_value > alpha]

    def sentence(self, alpha: float) -> str:
        """Which metric to take to know this, and which ones not."""
        begin = f"To know {self.purpose} ({self.name})"
        telling = self.trusted(alpha)
        if not telling:
            return f"{begin}: none of these metrics is shown to tell it."
        first, others = self.rows[telling[0]], [self.short(name) for name in telling[1:]]
        words = f"{self.short(telling[0])} ({first.value:.2f}, chance {first.chance:.2f})"
        if others:
            several = f"{len(others)} others" if len(others) > _NAMED else listed(others)
            words += f", from which {several} {'are' if len(others) > 1 else 'is'} not told apart"
        blind = [self.short(name) for name in self.blind(alpha)]
        return f"{begin}: {words}{f'; not shown to tell it: {listed(blind)}' if blind else ''}."
