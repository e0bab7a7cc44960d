"""The result of fusion: held-out scores of heads over several spaces, beside every space alone and the controls."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..errors import InputError, UnknownNameError
from ._base import Result
from ._conditions import CONTROL, Condition, condition_of
from ._map_scores import Margin, Score
from ._numbers import format_p, listed
from ._spellings import find_spelled
from ._tables import frame

FUSION_DESCENDING = frozenset(("log_loss", "calibration_error", "median_rank"))
"""Scores of heads of which less is better."""
BEYOND = "within classes"
"""Last words of the controls that keep the class of what they permute: they say what pairs add beyond it."""


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


class BestHead(NamedTuple):
    """The head with the highest score.

    Attributes:
        head: Its spec.
        score: The score that decides.
        gain: Over the best single space.
        p_value: Of no gain of the best of all heads (Bonferroni).
        above_controls: Whether it lies above every control.

    Example:
        >>> score = Score(0.8, 0.76, 0.84, 0.2, (0.8,))
        >>> BestHead("concat", score, Gain(0.07, 0.02, 0.12, 0.01), 0.03, True).head
        'concat'
    """

    head: str
    score: Score
    gain: Gain
    p_value: float
    above_controls: bool


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Fusion(Result, Mapping[str, HeadScores]):
    """What several spaces give together about a target, on held-out items; a mapping from head to `HeadScores`.

    Attributes:
        heads: Head -> what it scores.
        singles: Space -> what it scores alone.
        target: What is predicted.
        target_kind: ``"classes"``, ``"labels"``, ``"numbers"`` or ``"rows"``.
        names: Names of the classes, labels or numbers.
        decided_by: The score that decides.
        n: Number of items.
        widths: Features of each space, of the layer chosen most often.
        n_train: Items fitted on in each split.
        n_test: Items held out in each split.
        by: What was held out: ``"item"``, ``"label"`` or ``"group"``.
        test_fraction: Share held out.
        seed: Seed of splits, controls, training and bootstrap.
        level: Coverage of the intervals.
        interactions: Two spaces, joined by " + " -> what they tell of the target, each and together.
        conflicts: Held-out items of the first split on which the spaces disagree.
        models: Space -> what it is, such as the name of an encoder.
        conditions: What each control is (`Condition`).
        notes: What could not be done, and why.
        dataset: What the items are.
        provenance: How to make it again.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, y = np.random.default_rng(0).normal(size=(2, 200, 4))
        >>> classes = (x[:, 0] + y[:, 0] > 0).astype(int)  # half of it is in either space
        >>> fusion = iso.fuse({"x": x, "y": y}, classes, heads=["concat"], repeats=3)
        >>> best = fusion.best()
        >>> best.head, best.gain.value > 0.1, fusion["concat"].above_controls
        ('concat', True, True)
    """

    kind: ClassVar[str] = "fusion"

    heads: Mapping[str, HeadScores]
    singles: Mapping[str, Single]
    target: str
    target_kind: str
    names: tuple[str, ...]
    decided_by: str
    n: int
    widths: Mapping[str, int]
    n_train: tuple[int, ...]
    n_test: tuple[int, ...]
    by: str
    test_fraction: float
    seed: int
    level: float
    interactions: Mapping[str, Interaction] = dataclasses.field(default_factory=dict)
    conflicts: tuple[Conflict, ...] = ()
    models: Mapping[str, str] = dataclasses.field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    notes: tuple[str, ...] = ()
    dataset: str = ""
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __getitem__(self, head: str) -> HeadScores:
        if head in self.heads:
            return self.heads[head]
        try:
            found = find_spelled(head, self.heads.values())
        except InputError as error:
            raise KeyError(str(error)) from error
        if found is not None:
            return found  # type: ignore[no-any-return]  # scores of a head, being some of them
        raise KeyError(f"{head} was not fitted; this fusion has {', '.join(self.heads)}.")

    def __iter__(self) -> Iterator[str]:
        return iter(self.heads)

    def __len__(self) -> int:
        return len(self.heads)

    def best(self) -> BestHead:
        """The head with the highest score that decides, and its p as the best of all."""
        found = max(self.heads.values(), key=self._merit)
        p = min(1.0, found.gain.p_value * len(self.heads))
        return BestHead(found.head, found.score, found.gain, p, found.above_controls)

    @property
    def best_single(self) -> Single:
        """The space that scores most by itself on held-out items."""
        return max(self.singles.values(), key=self._merit)

    def _merit(self, found: HeadScores | Single) -> float:
        return -found.score.value if self.decided_by in FUSION_DESCENDING else found.score.value

    @property
    def gains(self) -> bool:
        """Whether the best head is shown to score more than the best single space, as the best of all heads."""
        best = self.best()
        return best.gain.value > 0 and best.p_value <= 1 - self.level + 1e-12

    @property
    def verdict(self) -> str:
        """In words, whether the best head beats the best single space, and whether it lies above its controls."""
        best, many = self.best(), len(self.heads)
        score = self.decided_by.replace("_", " ")
        shown = "is better" if self.gains else "is not better" if best.gain.value <= 0 else "is not shown to be better"
        of_all = f" as the best of {many} heads" if many > 1 else ""
        gain, level = best.gain, f"{100 * self.level:g} % interval"
        told = self.heads[best.head].told
        above = told if told.startswith("no ") else f"it lies {told}" if best.above_controls else f"it is {told}"
        return (
            f"{best.head} {shown} than the best single space: {score} {best.score.value:.3f}, gain {gain.value:+.3f} "
            f"({level} {gain.low:+.3f} to {gain.high:+.3f}), p {format_p(best.p_value)}{of_all}; {above}."
        )

    @property
    def controls(self) -> dict[str, dict[str, Score]]:
        """Head -> control -> score that decides."""
        return {head: dict(scores.controls) for head, scores in self.heads.items()}

    @property
    def interaction(self) -> Interaction | None:
        """What the first two spaces tell of the target, or None where that is not known."""
        return next(iter(self.interactions.values()), None)

    def condition(self, control: str) -> Condition:
        """The condition under which a control was had."""
        return condition_of(self.conditions, control, CONTROL)

    def contradictions(self) -> Iterator[str]:
        if not self.heads or not self.singles:
            yield "it holds no head, or no single space"
        deciding = {name: h.decided_by for name, h in self.heads.items()}
        deciding |= {name: s.decided_by for name, s in self.singles.items()}
        for name, decided_by in deciding.items():
            if decided_by != self.decided_by:
                yield f"{name} is decided by {decided_by}, not by {self.decided_by}"

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary for each single space, head and control."""
        shared = {"target": self.target, "score": self.decided_by, "n": self.n}
        records = []

        def add(what: str, name: str, head: str, score: Score, **more: Any) -> None:
            own = {"value": score.value, "low": score.low, "high": score.high, "chance": score.chance}
            none = dict.fromkeys(("gain", "gain_low", "gain_high", "p_value"))
            records.append({**shared, "what": what, "name": name, "head": head, **own, **none, **more})

        for name, single in self.singles.items():
            add("single", name, "", single.score)
        for name, found in self.heads.items():
            gain = {"gain": found.gain.value, "gain_low": found.gain.low, "gain_high": found.gain.high}
            add("head", name, name, found.score, **gain, p_value=found.gain.p_value)
            for control, score in found.controls.items():
                add("control", control, name, score)
            for wrong, score in found.missing.items():
                add("missing", wrong, name, score)
        return records

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        best = self.best()
        lines = [
            f"Fusion of {listed(list(self.singles))} for {self.target} ({self.target_kind}): n={self.n} items, "
            f"{np.mean(self.n_test):.0f} held out, {len(self.n_test)} split{'s' if len(self.n_test) > 1 else ''}, "
            f"{self.decided_by.replace('_', ' ')}"
        ]
        rows = [(name, s.score, "alone", "") for name, s in self.singles.items()]
        rows += [(name, h.score, repr(h.gain), h.told) for name, h in self.heads.items()]
        wide, gains = max(len(row[0]) for row in rows), max(len(row[2]) for row in rows)
        head = f"  {'':<{wide}}   score  {100 * self.level:g} % interval  {'gain over the best space':<{gains}}"
        lines.append(head.rstrip())
        for name, s, gain, words in rows:
            line = f"  {name:<{wide}}  {s.value:6.3f}  {s.low:6.3f} to {s.high:5.3f}  {gain:<{gains}}  {words}"
            lines.append(line.rstrip())
        chance = next(iter(self.singles.values())).score.chance
        lines.append(f"  chance {chance:.3f}; best head {best.head}: p {format_p(best.p_value)} of no gain")
        lines += [f"  {name}: {found!r}" for name, found in self.interactions.items()]
        return "\n".join(lines)
