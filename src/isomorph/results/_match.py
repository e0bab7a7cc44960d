"""The result of matching two spaces without pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from ._base import Result
from ._tables import frame

Matrix = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class BlindMatch(Result):
    """The best pairing that was found, and whether to believe it.

    Attributes:
        match: Row of `y` (n,) for each row of `x`.
        verdict: ``matchable``, ``not matchable`` or ``undecided``.
        reason: Why, in a sentence.
        objective: Correlation of the two similarity matrices under the match, at most 1.
        truth_objective: The same under the true pairing; None where it is not known.
        accuracy: Share of the items that are matched rightly; None where the truth is not known. Chance is 1/n.
        hit_rate: Share of the independent starts that reached the best objective; 1 where all pairings were tried.
        stability: Mean share of items that keep their match when the features are resampled; None if not done.
        p_value: Share of unrelated spaces of the same spectrum that match at least as well; None if not done.
        n: Number of items.
        settings: Every setting of the search.
        x_name: What `x` is.
        y_name: What `y` is.
        x_layer: The layer of `x`.
        y_layer: The layer of `y`.
        x_ids: Items of `x`, row by row; empty where they have no ids.
        y_ids: Items of `y`.
        provenance: How to make it again.
        chance_objective: What `objective` is for a random pairing: its mean over all pairings, exactly; None in files
            of earlier versions.
        surrogate_objectives: The best that each unrelated space of the same spectrum reached, which is what `p_value`
            counts; empty where none was tried.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x = np.random.default_rng(0).normal(size=(6, 5))
        >>> found = iso.blind_match(x, x[::-1], surrogates=0, bootstraps=0)
        >>> found.match.tolist(), round(found.objective, 2)
        ([5, 4, 3, 2, 1, 0], 1.0)
        >>> found.save("match.json").name, iso.load_result("match.json").n
        ('match.json', 6)
    """

    kind: ClassVar[str] = "blind_match"

    match: Matrix
    verdict: str
    reason: str
    objective: float
    truth_objective: float | None
    accuracy: float | None
    hit_rate: float
    stability: float | None
    p_value: float | None
    n: int
    settings: Mapping[str, Any]
    x_name: str = "x"
    y_name: str = "y"
    x_layer: str = ""
    y_layer: str = ""
    x_ids: tuple[str, ...] = ()
    y_ids: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    chance_objective: float | None = None
    surrogate_objectives: tuple[float, ...] = ()

    def contradictions(self) -> Iterator[str]:
        if self.match.shape != (self.n,) or not np.array_equal(np.sort(self.match), np.arange(self.n)):
            yield f"match does not name every row from 0 to {self.n - 1} once"
        for name, ids in (("x_ids", self.x_ids), ("y_ids", self.y_ids)):
            if ids and len(ids) != self.n:
                yield f"{name} has {len(ids)} ids for {self.n} items"
        for name in ("hit_rate", "stability"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                yield f"{name}={share} lies outside [0, 1]"

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary an item of `x`, with the item of `y` that it was matched with."""
        x, y = self.x_ids or tuple(map(str, range(self.n))), self.y_ids or tuple(map(str, range(self.n)))
        return [{"x": x[i], "y": y[int(j)]} for i, j in enumerate(self.match)]

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        right = "" if self.accuracy is None else f", {self.accuracy:.0%} right (chance {1 / self.n:.0%})"
        where = "" if (self.x_name, self.y_name) == ("x", "y") else f"{self.x_name} × {self.y_name}, "
        score = f"objective {self.objective:.4f}{self._beside()}{right}"
        return f"BlindMatch({where}{self.verdict}: {self.reason} n={self.n}, {score})"

    def _beside(self) -> str:
        """The chance levels of the objective, as far as they are known."""
        tried = self.surrogate_objectives
        told = [] if self.chance_objective is None else [f"random pairing {self.chance_objective:.4f}"]
        told += [f"best of {len(tried)} unrelated spaces {max(tried):.4f}"] if tried else []
        return f" ({', '.join(told)})" if told else ""
