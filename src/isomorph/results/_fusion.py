"""The result of fusion: held-out scores of heads over several spaces, beside every space alone and the controls."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ._base import Result
from ._conditions import CONTROL, Condition, condition_of
from ._head_scores import FUSION_DESCENDING, Conflict, Gain, HeadScores, Interaction, LayerPairs, Single
from ._map_scores import Score
from ._numbers import format_p, listed
from ._spellings import spelled
from ._tables import frame


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
        layers: Space -> the layer that heads read in each split.
        layer_pairs: What every pair of layers of two spaces tells (`LayerPairs`), where they were chosen together.

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
    layers: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    layer_pairs: LayerPairs | None = None

    def __getitem__(self, head: str) -> HeadScores:
        return spelled(head, self.heads, "was not fitted; this fusion has")

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
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)
