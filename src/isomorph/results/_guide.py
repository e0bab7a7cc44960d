"""The guide that comes with Isomorph: which metric tells what, read from the kept table of a league."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from .._core.files import parse_json, read_text, write_target
from ..errors import InputError, UnknownNameError
from ._base import Result
from ._league import League
from ._numbers import listed
from ._standings import Standing, Standings

TABLE = Path(__file__).parent / "guide.json"
"""The table that is packaged; `docs/generate.py --guide league.json` writes it from a league."""
_HEAD = ("family", "command", "alpha", "permutations")
_CELL = ("value", "low", "high", "p_value", "q_value", "rank", "rank_low", "rank_high", "best")
_ABOUT = ("criterion", "kind", "purpose", "reference", "units", "n")


BEST, TELLS, BLIND, ABSENT = "best or not told apart from it", "tells it", "not shown to tell it", "not in the league"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Advice(Result):
    """Which metric to trust for one purpose, by one criterion of a league.

    Attributes:
        criterion: Name of the criterion, as `docs/criteria.md` has it.
        purpose: What is to be known, after "to know".
        family: The networks that the league was over.
        trusted: The metrics that tell it, from the best on: the best and those not told apart from it.
        blind: The metrics that are not shown to tell it.
        given: Metric that was used -> how it stands: `BEST`, `TELLS`, `BLIND` or `ABSENT`.
        value: Statistic of the best metric; higher is better.
        low: Lower end of its interval.
        high: Upper end.
        chance: The statistic of scores that tell nothing.
        q_value: q of the best metric.
        sentence: All that in words.

    Example:
        >>> advice = Guide.packaged().advice("translation", ["cka"])
        >>> advice.trusted, dict(advice.given)
        (('cca',), {'cka': 'not shown to tell it'})
    """

    kind: ClassVar[str] = "advice"

    criterion: str
    purpose: str
    family: str
    trusted: tuple[str, ...]
    blind: tuple[str, ...]
    given: Mapping[str, str]
    value: float
    low: float
    high: float
    chance: float
    q_value: float
    sentence: str

    def __repr__(self) -> str:
        return f"Advice({self.sentence})"


@dataclasses.dataclass(frozen=True, eq=False)
class Guide:
    """Which metric to trust for what, and what each is blind to: every sentence is read from one cell of a league.

    What it says holds for the family of networks of that league, which `family` names; `iso.league` asks the same of
    your own.

    Attributes:
        family: The networks that the league was over, as a spec.
        command: The command that made the league.
        alpha: Level of q at which a metric counts as telling a criterion.
        permutations: Orders of the truth that p is from.
        standings: One for each criterion.

    Example:
        >>> guide = Guide.packaged()
        >>> guide["stitching"].purpose
        'whether one network can stand in for the other'
        >>> "translation" in guide.blind("cka"), "translation" in guide.blind("cca")
        (True, False)
    """

    family: str
    command: str
    alpha: float
    permutations: int
    standings: tuple[Standings, ...]

    @classmethod
    def of(cls, league: League, command: str) -> Guide:
        """The guide of a league.

        Args:
            league: The league.
            command: The command that made it.
        """
        made = league.provenance.get("made_of", {})
        family = str(made.get("spec", league.family)) if isinstance(made, Mapping) else league.family
        rows = tuple(league[spec] for spec in league.criteria)
        return cls(family, command, league.alpha, league.permutations, rows)

    @classmethod
    def packaged(cls) -> Guide:
        """The one that comes with Isomorph."""
        return _packaged()

    @classmethod
    def refresh(cls) -> None:
        """Forget the packaged table, so that one that was written anew is read."""
        _packaged.cache_clear()

    @classmethod
    def read(cls, path: Path) -> Guide:
        """A guide from its table.

        Raises:
            InputError: if the file is no such table.
        """
        try:
            held = parse_json(read_text(path, "the table of the guide"))
            metrics = {name: (about["variant"], tuple(about["spellings"])) for name, about in held["metrics"].items()}
            standings = tuple(_standings(row, metrics) for row in held["criteria"])
            return cls(**{name: held[name] for name in _HEAD}, standings=standings)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{path} is no table of a guide ({error!r}); `docs/generate.py --guide league.json` writes one."
            ) from error

    def write(self, path: Path) -> Path:
        """Keep the table: four digits of each number, one line a metric and criterion."""
        lines = []
        for row in self.standings:
            told = {name: getattr(row, name) for name in _ABOUT} | {"chance": _short(_chance(row))}
            cells = ",\n   ".join(
                f"{json.dumps(metric)}: {json.dumps([_short(getattr(cell, name)) for name in _CELL])}"
                for metric, cell in row.rows.items()
            )
            lines.append(f'  {json.dumps(told)[:-1]}, "cells": {{\n   {cells}}}}}')
        metrics = ",\n  ".join(
            f"{json.dumps(name)}: {json.dumps({'variant': cell.variant, 'spellings': list(cell.spellings)})}"
            for name, cell in self._metrics.items()
        )
        head = json.dumps({name: getattr(self, name) for name in _HEAD} | {"columns": _CELL})[:-1]
        body = ",\n".join(lines)
        return write_target(path, f'{head},\n "metrics": {{\n  {metrics}}},\n "criteria": [\n{body}]}}\n')

    @property
    def criteria(self) -> tuple[str, ...]:
        """Names of the criteria."""
        return tuple(row.name for row in self.standings)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Specs of the metrics."""
        return tuple(self._metrics)

    def __getitem__(self, criterion: str) -> Standings:
        """One criterion.

        Raises:
            UnknownNameError: if the league did not ask it.
        """
        for row in self.standings:
            if criterion in (row.name, row.criterion):
                return row
        raise UnknownNameError("purpose", criterion, self.criteria)

    def __iter__(self) -> Iterator[str]:
        return iter(self.criteria)

    def __len__(self) -> int:
        return len(self.standings)

    def short(self, metric: str) -> str:
        """A metric by its shortest spelling."""
        return next(row.short(metric) for row in self.standings if metric in row.rows)

    def sentences(self, criteria: Sequence[str] | None = None) -> list[str]:
        """Which metric to trust, one sentence a criterion.

        Args:
            criteria: Names of criteria; None takes all.

        Raises:
            UnknownNameError: if the league did not ask one.
        """
        return [self[name].sentence(self.alpha) for name in (self.criteria if criteria is None else criteria)]

    def advice(self, criterion: str, metrics: Sequence[str] = ()) -> Advice:
        """Which metric to trust for one purpose, and how metrics that were used stand.

        Args:
            criterion: Name of a criterion.
            metrics: Specs of the metrics that were used.

        Raises:
            UnknownNameError: if the league did not ask it.
        """
        row = self[criterion]
        given = {metric: self._standing(row, metric) for metric in metrics}
        first = row.ranked[0][1]
        by_state = {state: [m for m, own in given.items() if own == state] for state in (BEST, TELLS, BLIND, ABSENT)}
        words = [row.sentence(self.alpha)]
        words += [f"Used here, {state}: {listed(same)}." for state, same in by_state.items() if same]
        trusted, blind = (tuple(map(row.short, names)) for names in (row.trusted(self.alpha), row.blind(self.alpha)))
        return Advice(
            row.name, row.purpose, self.family, trusted, blind, given, first.value, first.low, first.high,
            first.chance, first.q_value, " ".join(words),
        )  # fmt: skip

    def _standing(self, row: Standings, metric: str) -> str:
        try:
            cell = row[metric]
        except KeyError:
            return ABSENT
        return BLIND if cell.q_value > self.alpha else BEST if cell.best else TELLS

    def blind(self, metric: str) -> dict[str, Standing]:
        """Criterion -> standing of the metric, of those that it is not shown to tell.

        Args:
            metric: Spec, in any spelling.

        Raises:
            KeyError: if the league did not hold it against any criterion.
        """
        found, there = {}, False
        for row in self.standings:
            try:
                cell = row[metric]
            except KeyError:
                continue
            there = True
            if cell.q_value > self.alpha:
                found[row.name] = cell
        if not there:
            raise KeyError(f"{metric} was not in the league over {self.family}; there are {', '.join(self.metrics)}.")
        return found

    @functools.cached_property
    def _metrics(self) -> dict[str, Standing]:
        """Every metric with one of its standings, which has its spellings."""
        return {name: cell for row in self.standings for name, cell in row.rows.items()}


@functools.cache
def _packaged() -> Guide:
    return Guide.read(TABLE)


def _standings(held: Mapping[str, Any], metrics: Mapping[str, tuple[str, tuple[str, ...]]]) -> Standings:
    rows = {
        name: Standing(*metrics[name], chance=held["chance"], **dict(zip(_CELL, cell, strict=True)))
        for name, cell in held["cells"].items()
    }
    return Standings(**{name: held[name] for name in _ABOUT}, rows=rows)


def _chance(row: Standings) -> float:
    return next(iter(row.rows.values())).chance


def _short(value: float | bool) -> float | bool:
    return value if isinstance(value, bool) else float(f"{value:.4g}")
