"""The result of odd-one-out judgements: how often each layer chooses as people do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from ._base import Result
from ._numbers import format_p
from ._tables import frame


@dataclasses.dataclass(frozen=True)
class LayerAccuracy(Result):
    """How often one layer chooses the odd one that people chose.

    Attributes:
        accuracy: Share of the judgements.
        low: Lower end of its interval over triplets, which share items.
        high: Upper end.
        chance: Of a choice that knows nothing: 1/3.
        permuted: Mean accuracy with the items permuted.
        p_value: Share of the permutations that are as accurate; None if there were none.

    Example:
        >>> judged = [(0, 1, 2), (0, 1, 3), (2, 3, 0), (2, 3, 1)]
        >>> iso.odd_one_out(np.array([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]]), judged, permutations=19)["x"].accuracy
        1.0
    """

    kind: ClassVar[str] = "layer_accuracy"

    accuracy: float
    low: float
    high: float
    chance: float
    permuted: float
    p_value: float | None


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class OddOneOut(Result):
    """How often the layers of a model choose the odd one of three items that people chose.

    Attributes:
        x_name: What the model is.
        scores: Layer -> accuracy with interval and p.
        p_maximum: p of the best layer among all.
        similarity: By what the layers compare.
        lower: Lower ceiling: how often a judgement is told by the majority of others'; None if no triplet was judged
            twice. Both are equal where the ceiling was given.
        upper: Upper ceiling: by the majority of all, itself among them.
        n: Items that were judged.
        n_triplets: Judgements.
        n_repeated: Triplets judged twice or more.
        missing: Judgements left out since features of an item are not there.
        permutations: Permutations of the items.
        seed: Seed.
        level: Coverage of the intervals.
        provenance: How to make it again.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> judged = [(0, 1, 2), (0, 1, 3), (2, 3, 0), (2, 3, 1)]
        >>> found = iso.odd_one_out(np.array([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]]), judged, permutations=19)
        >>> found.best, found["x"].accuracy, found.lower
        ('x', 1.0, None)
    """

    kind: ClassVar[str] = "odd_one_out"

    x_name: str
    scores: Mapping[str, LayerAccuracy]
    p_maximum: float | None
    similarity: str
    lower: float | None
    upper: float | None
    n: int
    n_triplets: int
    n_repeated: int
    missing: int
    permutations: int
    seed: int
    level: float
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def contradictions(self) -> Iterator[str]:
        if not self.scores:
            yield "it has no layers"
        if (self.lower is None) != (self.upper is None):
            yield "it has one end of a ceiling"

    def __getitem__(self, layer: str) -> LayerAccuracy:
        """The accuracy of a layer.

        Raises:
            KeyError: if there is none of that name; the names are given.
        """
        if layer not in self.scores:
            raise KeyError(f"no layer {layer!r}; there are {', '.join(self.scores)}")
        return self.scores[layer]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers."""
        return tuple(self.scores)

    @property
    def best(self) -> str:
        """The most accurate layer; its p among all is `p_maximum`."""
        return max(self.scores, key=lambda name: self.scores[name].accuracy)

    def share(self, layer: str) -> float | None:
        """Accuracy above chance as a share of the lower ceiling above chance; None where people agree by chance.

        Raises:
            KeyError: as indexing.
        """
        found = self[layer]
        if self.lower is None or self.lower <= found.chance:
            return None
        return (found.accuracy - found.chance) / (self.lower - found.chance)

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary a layer."""
        return [
            {"layer": name, "accuracy": s.accuracy, "low": s.low, "high": s.high, "chance": s.chance,
             "p_value": s.p_value, "share_of_ceiling": self.share(name)}
            for name, s in self.scores.items()
        ]  # fmt: skip

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        width = max(5, *(len(name) for name in self.scores))
        lines = [
            f"Odd one out by {self.x_name} ({self.similarity}): {self.n_triplets:,} judgements of {self.n:,} items, "
            f"chance {1 / 3:.3f}, {self.permutations} permutations of the items"
        ]
        for name, s in self.scores.items():
            p = "" if s.p_value is None else f"  p {format_p(s.p_value)}"
            share = self.share(name)
            of = "" if share is None else f"  {share:.0%} of the ceiling"
            lines.append(f"  {name:<{width}}  {s.accuracy:.3f} [{s.low:.3f}, {s.high:.3f}]{p}{of}")
        if self.p_maximum is not None and len(self.scores) > 1:
            lines.append(f"  best of {len(self.scores)} layers: {self.best}, p among all {format_p(self.p_maximum)}")
        if self.lower is not None and self.upper is not None:
            told = f" from {self.n_repeated:,} triplets judged again" if self.n_repeated else ""
            span = f"{self.lower:.3f}" + (f" to {self.upper:.3f}" if self.upper > self.lower else "")
            lines.append(f"  ceiling of human agreement {span}{told}")
        if self.missing:
            lines.append(f"  Note: {self.missing:,} judgements are left out: features of an item are not there.")
        return "\n".join(lines)
