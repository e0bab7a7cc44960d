"""What a fusion is made of: gains, dominance, calibration, conflicts, interactions, single spaces and heads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypedDict

import numpy as np

from ..errors import UnknownNameError
from ._base import Result
from ._map_scores import Margin, Score
from ._numbers import format_p

Matrix = np.ndarray[Any, Any]

FUSION_DESCENDING = frozenset(("log_loss", "calibration_error", "median_rank"))
"""Scores of heads of which less is better."""
BEYOND = "within classes"
"""Last words of the controls that keep the class of what they permute: they say what pairs add beyond it."""


class LayerPairs(TypedDict):
    """What every pair of layers of two spaces tells together of a target.

    ``explained`` is the share of the target's variance (of the class indicators, for classes) that a ridge over both
    layers explains of training items left out, mean over splits, of shape (``x_layers``, ``y_layers``). It reads the
    128 leading principal coordinates of a layer. Layers are chosen by it; the scores of a fusion are of other items.

    Example:
        >>> x, y = np.random.default_rng(0).normal(size=(2, 120, 4))
        >>> spaces, target = {"x": [y, x], "y": [x, y]}, x[:, 0] + y[:, 0]
        >>> fusion = iso.fuse(spaces, target, heads="concat", layers="together", controls=False, repeats=2)
        >>> fusion.layer_pairs["explained"].round(1).tolist()  # two copies of one half tell half
        [[1.0, 0.4], [0.4, 1.0]]
    """

    x: str
    y: str
    x_layers: tuple[str, ...]
    y_layers: tuple[str, ...]
    explained: Matrix


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Gain(Result):
    """What a head scores beyond the best single space, which is chosen on the items that were fitted on.

    Attributes:
        value: The difference of the score that decides, positive where the head is better.
        low: Lower confidence bound, over splits and items.
        high: Upper confidence bound.
        p_value: Of no gain, one-sided, over splits (Nadeau and Bengio 2003); of fewer than three, over items.

    Example:
        >>> Gain(0.08, 0.03, 0.12, 0.004)
        +0.0800 [+0.0300, +0.1200], p 0.004
    """

    kind: ClassVar[str] = "gain"

    value: float
    low: float
    high: float
    p_value: float

    def __repr__(self) -> str:
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}], p {format_p(self.p_value)}"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Dominance(Result):
    """How far a head follows one space where the spaces, each by itself, disagree.

    Attributes:
        space: The space that it follows most.
        value: Share of the conflicts in which it says what that space says, less the mean of this share over the other
            spaces. In [-1, 1]; 0 where none dominates, 1 where the head says what one space says, always.
        low: Lower confidence bound, over splits and items.
        high: Upper confidence bound.
        follows: Space -> share of the conflicts in which the head says what it says.
        conflicts: Conflicts among the held-out items, over all splits.

    Example:
        >>> Dominance("image", 0.9, 0.8, 1.0, {"image": 0.95, "text": 0.05}, 120)
        follows image: +0.9000 [+0.8000, +1.0000] in 120 conflicts
    """

    kind: ClassVar[str] = "dominance"

    space: str
    value: float
    low: float
    high: float
    follows: Mapping[str, float]
    conflicts: int

    def __repr__(self) -> str:
        return (
            f"follows {self.space}: {self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}] in {self.conflicts} conflicts"
        )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Calibration(Result):
    """Whether probabilities are kept: of the items that got about p, a share p is right.

    Attributes:
        error: Expected calibration error: mean distance of stated and actual share, over held-out items.
        stated: Mean probability of what was said, in each bin that holds items.
        actual: Share of these that are right.
        counts: Items in each bin.

    Example:
        >>> Calibration(0.05, (0.55, 0.95), (0.5, 1.0), (10, 10)).error
        0.05
    """

    kind: ClassVar[str] = "calibration"

    error: float
    stated: tuple[float, ...]
    actual: tuple[float, ...]
    counts: tuple[int, ...]

    def __repr__(self) -> str:
        return f"Calibration(error {self.error:.4f}, {len(self.counts)} bins)"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Conflict(Result):
    """A held-out item on which the spaces, each by itself, disagree.

    Attributes:
        id: The item.
        truth: What it is.
        said: Space -> what it says by itself.
        fused: Head -> what it says.

    Example:
        >>> Conflict("a", "dog", {"image": "dog", "text": "cat"}, {"concat": "dog"}).said["text"]
        'cat'
    """

    kind: ClassVar[str] = "conflict"

    id: str
    truth: str
    said: Mapping[str, str]
    fused: Mapping[str, str]

    def __repr__(self) -> str:
        said = ", ".join(f"{k} {v}" for k, v in self.said.items())
        return f"Conflict({self.id}: {self.truth}; {said})"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Interaction(Result):
    """What two spaces tell of the target in bits an item: each alone, both alike, only together.

    By held-out log loss (usable information, Xu et al. 2020). The part that both tell is the pointwise co-information
    where it and all its terms have one sign (Ince 2017); the parts sum to `total`.

    Attributes:
        spaces: The two spaces.
        head: The head whose information is `total`.
        unique: Space -> bits that it alone tells.
        redundant: Bits that both tell.
        synergistic: Bits that only both together tell.
        total: Bits that the head tells.

    Example:
        >>> bit = Score(1.0, 0.9, 1.1, 0.0, (1.0,))
        >>> none = Score(0.0, -0.1, 0.1, 0.0, (0.0,))
        >>> found = Interaction(("x", "y"), "bilinear", {"x": none, "y": none}, none, bit, bit)
        >>> found
        Interaction(x, y by bilinear: unique x 0.00, y 0.00, redundant 0.00, synergistic 1.00 of 1.00 bits)
    """

    kind: ClassVar[str] = "interaction"

    spaces: tuple[str, str]
    head: str
    unique: Mapping[str, Score]
    redundant: Score
    synergistic: Score
    total: Score

    def contradictions(self) -> Iterator[str]:
        if len(self.spaces) != 2 or set(self.unique) != set(self.spaces):
            yield "it is not of two spaces"

    def __repr__(self) -> str:
        unique = ", ".join(f"{name} {score.value:.2f}" for name, score in self.unique.items())
        return (
            f"Interaction({', '.join(self.spaces)} by {self.head}: unique {unique}, redundant "
            f"{self.redundant.value:.2f}, synergistic {self.synergistic.value:.2f} of {self.total.value:.2f} bits)"
        )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Single(Result):
    """One space alone, read by the same linear model as the heads read it.

    Attributes:
        space: Its name.
        scores: Score name -> held-out score.
        decided_by: The score that decides.
        layers: The layer that was chosen in each split, on its training items.
        calibration: Of its probabilities, or None.

    Example:
        >>> score = Score(0.72, 0.68, 0.76, 0.2, (0.72,))
        >>> Single("image", {"accuracy": score}, "accuracy", ("last",)).score.value
        0.72
    """

    kind: ClassVar[str] = "single"

    space: str
    scores: Mapping[str, Score]
    decided_by: str
    layers: tuple[str, ...] = ()
    calibration: Calibration | None = None

    @property
    def score(self) -> Score:
        """The score that decides."""
        return self.scores[self.decided_by]

    def contradictions(self) -> Iterator[str]:
        if self.decided_by not in self.scores:
            yield f"there is no score {self.decided_by}"

    def __getitem__(self, name: str) -> Score:
        if name not in self.scores:
            raise UnknownNameError(f"score of {self.space}", name, self.scores)
        return self.scores[name]

    def __repr__(self) -> str:
        return f"Single({self.space}: {self.decided_by} {self.score!r})"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class HeadScores(Result):
    """One head: what it scores, what it gains, whether its controls do as well, and which space does the work.

    Attributes:
        head: Its spec.
        variant: Its name and every parameter.
        scores: Score name -> held-out score.
        decided_by: The score that decides.
        gain: Over the best single space.
        controls: Control, such as ``"text permuted"`` -> score that decides.
        margins: Control -> how far the head lies above it, over the same splits and items.
        contributions: Space -> its Shapley value: the score above chance is shared out among the spaces. A single space
            counts as its own linear model.
        without: Space -> what the head loses if it is fitted without it.
        by_class: Class -> space -> its Shapley value of the share of that class that is told; of classes alone.
        dominance: How far it follows one space, or None where the spaces never disagree.
        missing: What is wrong with a view of the held-out items, such as ``"without text"`` -> score that decides.
        calibration: Of its probabilities, or None.
        spellings: What else the head may be called.

    Example:
        >>> score = Score(0.8, 0.76, 0.84, 0.2, (0.8,))
        >>> found = HeadScores("concat", "concat()", {"accuracy": score}, "accuracy", Gain(0.07, 0.02, 0.12, 0.01))
        >>> found.score.value, found.above_controls
        (0.8, False)
    """

    kind: ClassVar[str] = "head_scores"

    head: str
    variant: str
    scores: Mapping[str, Score]
    decided_by: str
    gain: Gain
    controls: Mapping[str, Score] = dataclasses.field(default_factory=dict)
    margins: Mapping[str, Margin] = dataclasses.field(default_factory=dict)
    contributions: Mapping[str, Score] = dataclasses.field(default_factory=dict)
    without: Mapping[str, Margin] = dataclasses.field(default_factory=dict)
    by_class: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    dominance: Dominance | None = None
    missing: Mapping[str, Score] = dataclasses.field(default_factory=dict)
    calibration: Calibration | None = None
    spellings: tuple[str, ...] = ()

    @property
    def score(self) -> Score:
        """The score that decides."""
        return self.scores[self.decided_by]

    @property
    def needed(self) -> tuple[str, ...]:
        """The spaces that nothing stands in for: above the controls in which each is permuted, random or untrained."""
        stand_ins = ("permuted", "random", "untrained")
        found = []
        for space in self.contributions:
            own = [self.margins[k] for k in (f"{space} {what}" for what in stand_ins) if k in self.margins]
            if own and all(m.low > 0 for m in own):
                found.append(space)
        return tuple(found)

    @property
    def above_controls(self) -> bool:
        """Whether at least two spaces are needed, and one space twice or a second model of its kind does not do it."""
        spare = [m for k, m in self.margins.items() if k.endswith(" twice") or " + second " in k]
        return len(self.needed) > 1 and all(m.low > 0 for m in spare)

    @property
    def told(self) -> str:
        """In words, whether it lies above its controls."""
        if not self.controls:
            return "no control was fitted"
        return "above its controls" if self.above_controls else "not above its controls"

    def contradictions(self) -> Iterator[str]:
        if self.decided_by not in self.scores:
            yield f"there is no score {self.decided_by}"
        if set(self.margins) != set(self.controls):
            yield "controls and margins are not of the same names"

    def __getitem__(self, name: str) -> Score:
        if name not in self.scores:
            raise UnknownNameError(f"score of {self.head}", name, self.scores)
        return self.scores[name]

    def __repr__(self) -> str:
        return f"HeadScores({self.head}: {self.decided_by} {self.score!r}, gain {self.gain!r})"
