"""Items and concepts in rows: how alike two sides see each, with chance, p, ceilings and verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from ..errors import UnknownNameError
from ._base import Result
from ._tables import frame

Floats = np.ndarray[Any, np.dtype[np.float64]]

SHARED, UNSTABLE, UNDECIDED = "shared", "unstable", "undecided"
BOUND_TO_X, BOUND_TO_Y, BOUND_TO_BOTH = "bound to x", "bound to y", "bound to both"
VERDICTS = (SHARED, BOUND_TO_X, BOUND_TO_Y, BOUND_TO_BOTH, UNSTABLE, UNDECIDED)
"""What can be said of a concept that both modalities have models of."""

_GAPS = {"gaps": True}


class _Rows:
    """What both tables share: rows by name, as records and as a frame."""

    def _names(self) -> Sequence[str]:
        raise NotImplementedError

    def _columns(self) -> dict[str, Any]:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __getitem__(self, name: str) -> dict[str, Any]:
        """One row: column -> value; None where nothing can be said.

        Raises:
            UnknownNameError: if there is no such row.
        """
        names = list(self._names())
        if name not in names:
            raise UnknownNameError("row", str(name), names)
        k = names.index(name)
        return {column: _plain(values[k]) for column, values in self._columns().items()}

    def records(self) -> list[dict[str, Any]]:
        """One record a row."""
        columns = self._columns()
        return [{c: _plain(v[k]) for c, v in columns.items()} for k in range(len(self))]

    def to_frame(self) -> Any:
        """The rows as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return frame(self.records())


@dataclasses.dataclass(frozen=True, eq=False)
class ConceptItems(_Rows, Result):
    """How alike both sides see each item.

    Attributes:
        ids: Ids of the items, or their rows as texts.
        scores: Score of each item.
        chance: Its expectation if the items were paired anew.
        p_values: Chance of a score at least as high.
        q_values: The false discovery rate at which the item passes, over all items (Benjamini-Hochberg).
        x_ceilings: Chance-corrected agreement of x with other models of its modality; empty where none are given.
        y_ceilings: The same of y.
        verdicts: One of `VERDICTS` an item; empty where a side has no ceilings.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> items = iso.concepts(x, x + 0.3 * noise, metric="mutual_knn(k=5)", permutations=99).items
        >>> len(items), round(items["9"]["score"], 1), items["9"]["p"] < 0.01
        (60, 0.8, True)
    """

    kind: ClassVar[str] = "concept_items"

    ids: tuple[str, ...]
    scores: Floats
    chance: Floats
    p_values: Floats
    q_values: Floats
    x_ceilings: Floats
    y_ceilings: Floats
    verdicts: tuple[str, ...] = ()

    @property
    def corrected(self) -> Floats:
        """Chance-corrected scores: 0 at chance, 1 at the most."""
        return chance_corrected(self.scores, self.chance)

    def contradictions(self) -> Iterator[str]:
        yield from _unlike(self, len(self.ids), ("x_ceilings", "y_ceilings", "verdicts"))

    def _names(self) -> Sequence[str]:
        return self.ids

    def _columns(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "id": self.ids,
            "score": self.scores,
            "chance": self.chance,
            "p": self.p_values,
            "q": self.q_values,
        }
        optional: dict[str, Any] = {"x_ceiling": self.x_ceilings, "y_ceiling": self.y_ceilings}
        optional["verdict"] = self.verdicts
        return found | {name: values for name, values in optional.items() if len(values)}


@dataclasses.dataclass(frozen=True, eq=False)
class ConceptLabels(_Rows, Result):
    """How alike both sides see each concept, a set of items.

    Attributes:
        name: The label set.
        names: The concepts.
        counts: Items of each.
        scores: Mean score of its items.
        chance: Its expectation if the items were paired anew.
        p_values: Chance of a mean at least as high, within the design; where layers were chosen among several, of the
            mean in the layers that are best for all items, against re-pairings with a search of their own.
        q_values: Rate of false discoveries at which it passes, over the concepts (Benjamini-Hochberg).
        q_any: The same under any dependence (Benjamini-Yekutieli).
        low: Lower bound of the score, over items.
        high: Upper bound.
        corrected: Chance-corrected score, 0 at chance and 1 at the most.
        corrected_low: Its lower bound.
        corrected_high: Its upper bound.
        shrunk: Chance-corrected score drawn towards the mean of all concepts by what its interval leaves open.
        from_others: Score less the mean score of all other items.
        from_others_low: Lower bound of that.
        from_others_high: Upper bound.
        from_others_p: Two-sided p of no difference.
        within: Chance-corrected score among the items of the concept alone; a gap where they are too few.
        within_p: Its p.
        between: Correlation of the concept's similarities to the other concepts, by their mean features, over both
            sides; a gap where there are fewer than four concepts.
        between_p: Its p, concepts paired anew.
        x_ceilings: Chance-corrected agreement of x with other models of its modality (concepts, 3): value, lower and
            upper bound; of shape (0, 3) where none are given.
        y_ceilings: The same of y.
        shares: Chance-corrected score as a share of the geometric mean of both ceilings; a gap without them, or where
            one is not shown to be above chance.
        verdicts: One of `VERDICTS` a concept; empty where a side has no ceilings.
        needed: Items of the concept that would decide an undecided verdict; a gap where that cannot be said.
        exemplars: The items that both sides see most alike, at most three.
        misfits: The items that they see least alike.
        members: Rows of the items of each concept, ascending; empty where they are not known.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = iso.concepts(x, x + 0.3 * noise, labels=["a", "b"] * 30, metric="mutual_knn(k=5)", permutations=99)
        >>> found.labels["a"]["n"], round(found.labels["a"]["score"], 2), found.labels["a"]["p"]
        (30, 0.7, 0.01)
    """

    kind: ClassVar[str] = "concept_labels"

    name: str
    names: tuple[str, ...]
    counts: np.ndarray[Any, np.dtype[np.int64]]
    scores: Floats
    chance: Floats
    p_values: Floats
    q_values: Floats
    q_any: Floats
    low: Floats
    high: Floats
    corrected: Floats
    corrected_low: Floats
    corrected_high: Floats
    shrunk: Floats
    from_others: Floats = dataclasses.field(metadata=_GAPS)
    from_others_low: Floats = dataclasses.field(metadata=_GAPS)
    from_others_high: Floats = dataclasses.field(metadata=_GAPS)
    from_others_p: Floats = dataclasses.field(metadata=_GAPS)
    within: Floats = dataclasses.field(metadata=_GAPS)
    within_p: Floats = dataclasses.field(metadata=_GAPS)
    between: Floats = dataclasses.field(metadata=_GAPS)
    between_p: Floats = dataclasses.field(metadata=_GAPS)
    x_ceilings: Floats
    y_ceilings: Floats
    shares: Floats = dataclasses.field(metadata=_GAPS)
    verdicts: tuple[str, ...] = ()
    needed: Floats = dataclasses.field(default_factory=lambda: np.empty(0), metadata=_GAPS)
    exemplars: tuple[tuple[str, ...], ...] = ()
    misfits: tuple[tuple[str, ...], ...] = ()
    members: tuple[tuple[int, ...], ...] = ()

    def contradictions(self) -> Iterator[str]:
        yield from _unlike(self, len(self.names), ("x_ceilings", "y_ceilings", "verdicts", "needed", "members"))
        for name, rows, count in zip(self.names, self.members, self.counts.tolist(), strict=False):
            if len(rows) != count:
                yield f"{name} has {len(rows)} members, and {count} items"

    def _names(self) -> Sequence[str]:
        return self.names

    def _columns(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "concept": self.names,
            "n": self.counts,
            "score": self.scores,
            "chance": self.chance,
            "p": self.p_values,
            "q": self.q_values,
            "low": self.low,
            "high": self.high,
            "corrected": self.corrected,
            "corrected_low": self.corrected_low,
            "corrected_high": self.corrected_high,
            "shrunk": self.shrunk,
            "from_others": self.from_others,
            "from_others_p": self.from_others_p,
            "within": self.within,
            "within_p": self.within_p,
            "between": self.between,
            "between_p": self.between_p,
        }
        for side, values in (("x", self.x_ceilings), ("y", self.y_ceilings)):
            if len(values):
                found |= {f"{side}_ceiling{k}": values[:, i] for i, k in enumerate(("", "_low", "_high"))}
        if self.verdicts:
            found |= {"share": self.shares, "verdict": self.verdicts, "needed": self.needed}
        return found | {"exemplars": self.exemplars, "misfits": self.misfits}


def chance_corrected(scores: Any, chance: Any) -> Floats:
    """Scores with chance at 0 and the most, 1, at 1; as they are where chance leaves no room.

    Example:
        >>> chance_corrected([0.2, 0.6, 1.0], 0.2).round(2).tolist()
        [0.0, 0.5, 1.0]
    """
    room = 1.0 - np.asarray(chance, dtype=np.float64)
    return np.asarray((np.asarray(scores) - chance) / np.where(room > 1e-12, room, 1.0))


def _unlike(table: Any, count: int, optional: Sequence[str]) -> Iterator[str]:
    for field in dataclasses.fields(table):
        value = getattr(table, field.name)
        if isinstance(value, str) or (field.name in optional and len(value) == 0):
            continue
        if len(value) != count:
            yield f"{field.name} has {len(value)} entries for {count} rows"
    for verdict in set(table.verdicts) - set(VERDICTS):
        yield f"{verdict!r} is no verdict"


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value
