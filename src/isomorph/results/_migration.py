"""The result of fitting a map from an old model's embeddings to a new one's: the map, and what is lost by it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from ._base import Result
from ._map_scores import Score
from ._numbers import format_p
from ._tables import frame

NEEDED = ("index.R@1", "index.R@10", "query.R@1", "query.R@10", "own.R@1", "own.R@10", "neighbors", "cosine", "r2")
"""The scores that every migration has."""
_WORDS = {
    "index.R@1": "new queries, migrated index: the right row is first",
    "index.R@10": "new queries, migrated index: among the first 10",
    "query.R@1": "mapped old queries, new index: the right row is first",
    "query.R@10": "mapped old queries, new index: among the first 10",
    "own.R@1": "new queries, new index: the right row is first",
    "own.R@10": "new queries, new index: among the first 10",
    "neighbors": "share of the new model's 10 nearest that a migrated index gives",
    "overlap": "share of its 10 nearest among mapped rows alone",
    "cosine": "cosine of the mapped and the new row",
    "r2": "share of variance explained",
}


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Migration(Result):
    """A fitted map from an old space to a new one, its held-out scores, and why it should not be used, if so.

    Scores are about rows that the scored fit never saw; the map that is kept is then fitted on all pairs. All compare
    by cosine, as an index does. ``index.R@k``: share of new queries that find their row among the first k of an index
    of mapped old rows; ``query.R@k``: of mapped old queries in an index of new rows; ``own.R@k``: of new queries in an
    index of new rows, what the new model itself gives; ``neighbors``: share of the new model's 10 nearest other rows
    that a new query gets from the mapped ones; ``overlap``: the same where the query is mapped too; ``cosine`` in
    [-1, 1]; ``r2``, at most 1.

    Attributes:
        old_name: What the old space is.
        new_name: What the new space is.
        map: Short spec of the map.
        variant: Full spec.
        learned: What the map learned, for `isomorph.maps.restored_map`.
        unit: Whether mapped rows are scaled to unit length, as those of the new space are.
        scores: Name -> score, with chance and interval.
        controls: ``"mean"`` and, where the widths agree, ``"identity"`` (old rows taken as they are) -> their scores.
        p_value: Of the held-out pairs retrieving each other: share of their random re-pairings that do so as often.
        shift: What tells rows unlike those that were fitted on, see `isomorph.apply_map`.
        warnings: Why the map should not be used, or with care: name -> words; empty if nothing speaks against it.
        n: Pairs that the kept map was fitted on.
        n_train: Pairs that the scored fit was fitted on.
        n_test: Pairs held out, which are the index of the scores.
        permutations: Random re-pairings.
        seed: Seed.
        level: Coverage of the intervals.
        notes: What else is to be known.
        provenance: How to make it again.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> old = np.random.default_rng(0).normal(size=(300, 8))
        >>> found = iso.fit_map(old, old @ np.random.default_rng(1).normal(size=(8, 6)))
        >>> round(found["index.R@1"].value, 2), found.usable
        (1.0, True)
    """

    kind: ClassVar[str] = "migration"

    old_name: str
    new_name: str
    map: str
    variant: str
    learned: Mapping[str, Any] = dataclasses.field(metadata={"packed": True})
    unit: bool
    scores: Mapping[str, Score]
    controls: Mapping[str, Mapping[str, Score]]
    p_value: float
    shift: Mapping[str, Any] = dataclasses.field(metadata={"packed": True})
    warnings: Mapping[str, str]
    n: int
    n_train: int
    n_test: int
    permutations: int
    seed: int
    level: float
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def contradictions(self) -> Iterator[str]:
        missing = [name for name in NEEDED if name not in self.scores]
        if missing:
            yield f"it has no score {missing[0]}"
        for name in ("mean", "components", "variance"):
            if not isinstance(self.shift.get(name), np.ndarray):
                yield f"its shift has no {name}"
        for name in ("low", "high", "k", "held_out"):
            if not isinstance(self.shift.get(name), (int, float)):
                yield f"its shift has no {name}"

    def __getitem__(self, score: str) -> Score:
        """A score by name.

        Raises:
            KeyError: if there is none of that name; the names are given.
        """
        if score not in self.scores:
            raise KeyError(f"no score {score!r}; there are {', '.join(self.scores)}")
        return self.scores[score]

    @property
    def usable(self) -> bool:
        """Whether nothing that was looked for speaks against using the map."""
        return not self.warnings

    @property
    def retained(self) -> float:
        """The worse of index and query: R@10 above chance as a share of the new model's own above chance."""
        own = self["own.R@10"]
        worse = min(self["index.R@10"].value, self["query.R@10"].value)
        room = own.value - own.chance
        return (worse - own.chance) / room if room > 0 else 0.0

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary a score, of the map and of each control."""
        return [
            {"map": name, "score": score, "value": s.value, "low": s.low, "high": s.high, "chance": s.chance}
            for name, scores in {self.map: self.scores, **self.controls}.items()
            for score, s in scores.items()
        ]

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        lines = [
            f"Map from {self.old_name} to {self.new_name}: {self.map} on {self.n:,} pairs"
            + (", rows scaled to unit length" if self.unit else ""),
            f"  held out: {self.n_test:,} of them, after a fit on {self.n_train:,}; "
            f"p of their pairing {format_p(self.p_value)} ({self.permutations} re-pairings)",
        ]
        for name, words in _WORDS.items():
            if name in self.scores:
                s = self.scores[name]
                chance = "" if name == "r2" else f", chance {s.chance:.3f}"
                lines.append(f"  {name:<10} {s.value:.3f} [{s.low:.3f}, {s.high:.3f}]{chance}  {words}")
        lines += [f"  control {k}: cosine {v['cosine'].value:.3f}, index.R@10 {v['index.R@10'].value:.3f}"
                  for k, v in self.controls.items()]  # fmt: skip
        lines.append(f"  retained: {self.retained:.0%} of the new model's own R@10 above chance")
        lines += [f"  WARNING ({name}): {words}" for name, words in self.warnings.items()]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)
