"""What a signature is, and what it may look at."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .._core.arrays import to_numpy
from .._core.registry import Registry
from ..conditions import Comparison, Side
from ..results import Alignment, Finding, MapScores, Scan, Stitch

Matrix = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Case:
    """Everything that was given to a diagnosis.

    Attributes:
        x: One side's features, or None.
        y: The other side's, joined with `x`, or None.
        labels: One class an item as numbers, or None.
        scan: A scan of the two, or None.
        stitch: A stitch of the two, or None.
        baselines: Label such as ``"untrained x"`` -> what takes the place of a side, with the same items.
        seed: Seed of what is drawn.
    """

    x: Side | None = None
    y: Side | None = None
    labels: np.ndarray[Any, np.dtype[np.int64]] | None = None
    scan: Scan | None = None
    stitch: Stitch | None = None
    baselines: Mapping[str, Comparison] = dataclasses.field(default_factory=dict)
    seed: int = 0

    def sides(self) -> Iterator[tuple[str, Side]]:
        """The sides that are there."""
        for name, side in (("x", self.x), ("y", self.y)):
            if side is not None:
                yield name, side

    def pair(self) -> tuple[tuple[str, Matrix], tuple[str, Matrix]]:
        """The best pair of layers (by the stitch or the scan, else the last of each side), as names and features."""
        assert self.x is not None  # a signature of pairs asks for both sides first
        assert self.y is not None
        names = [next(reversed(list(side.layers))) for side in (self.x, self.y)]
        if self.scan is not None:
            best = next(iter(self.scan.alignments.values())).best()
            found = [best.x_layer, best.y_layer]
        elif self.stitch is not None:
            found = [self.stitch.x_layer, self.stitch.y_layer]
        else:
            found = names
        if found[0] in self.x.layers and found[1] in self.y.layers:
            names = found
        return (names[0], wide(self.x.layers[names[0]])), (names[1], wide(self.y.layers[names[1]]))


class Signature(ABC):
    """One failure signature: when it can be looked for, and whether it is there."""

    name: ClassVar[str]
    """Registered name."""
    asks: ClassVar[str]
    """The question that it answers, for lists and pages."""
    advice: ClassVar[str]
    """What to do where it is found."""

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Mapping[str, Any]:
        """Small data in which it is there: ``x`` and, where it needs them, ``y``, ``labels`` and ``x_baselines``.

        What needs a scan or a stitch is looked for in those of the same data. The contract suite runs over it.
        """
        raise NotImplementedError(f"{cls.__name__} plants no data in which it is there")

    @abstractmethod
    def missing(self, case: Case) -> str:
        """What has to be given to look for it; empty if all is there."""

    @abstractmethod
    def look(self, case: Case) -> Sequence[Finding]:
        """What was found, present or not."""

    def finding(self, where: str, present: bool, evidence: Mapping[str, Any], summary: str) -> Finding:
        """A finding of this signature."""
        shown = dict(sorted(evidence.items()))  # as saving sorts
        return Finding(self.name, where, bool(present), shown, summary, self.advice if present else "")


class LayerSignature(Signature):
    """A signature of one layer by itself: every layer of both sides is looked at, the worst of a side is reported."""

    min_items: ClassVar[int] = 3

    def missing(self, case: Case) -> str:
        sides = list(case.sides())
        if not sides:
            return "needs features"
        n = sides[0][1].n
        return f"needs {self.min_items} items, found {n}" if n < self.min_items else ""

    def look(self, case: Case) -> Sequence[Finding]:
        findings = []
        for side_name, side in case.sides():
            each = [(layer, *self.measure(_moderate(wide(rows)))) for layer, rows in side.layers.items()]
            layer, severity, evidence, summary = max(each, key=lambda e: e[1])
            affected = [name for name, s, _, _ in each if s >= 1]
            facts = dict(evidence)
            if len(each) > 1:
                facts["layers"] = f"{len(affected)} of {len(each)}" + (f": {_some(affected)}" if affected else "")
            where = f"{side_name} ({side.name}), {layer}" if side.name != side_name else f"{side_name}, {layer}"
            findings.append(self.finding(where, severity >= 1, facts, summary))
        return findings

    @abstractmethod
    def measure(self, rows: Matrix) -> tuple[float, Mapping[str, Any], str]:
        """Severity (present from 1 up), evidence and a sentence about one layer (n, d)."""


def wide(rows: Any) -> Matrix:
    """Features as float64 where this machine computes."""
    array: Matrix = np.asarray(to_numpy(rows), dtype=np.float64)
    return array


def _moderate(rows: Matrix) -> Matrix:
    """Features whose squares can be held, divided by a power of two: no signature is of their size."""
    largest = float(np.max(np.abs(rows)))
    if largest == 0.0 or 1e-60 < largest < 1e60:
        return rows
    return np.ldexp(rows, -int(np.frexp(largest)[1]))


def gain(alignment: Alignment, value: float, chance: float) -> float | None:
    """How far a score is from chance (0) towards the end of its range (1); None where the range has no end."""
    end = alignment.end
    return (value - chance) / (end - chance) if np.isfinite(end) and end != chance else None


def geometry(scan: Scan) -> dict[str, float]:
    """Metric -> gain of its best pair of layers; 0 where the maximum does not pass."""
    found = {}
    for spec, alignment in scan.alignments.items():
        best = alignment.best()
        share = gain(alignment, best.value, best.chance)
        if share is not None:
            found[spec] = float(np.clip(share, 0.0, 1.0)) if best.p_maximum <= alignment.alpha else 0.0
    return found


def function(stitch: Stitch) -> dict[str, float]:
    """What the best map keeps of what could be had, by kind of use: 0 is chance (or not above controls), 1 the ceiling.

    ``probe`` against the same probe at home, ``zero_shot`` and ``retrieval`` (mrr) against the self-stitch.
    """
    found: dict[str, float] = {}
    for scores in stitch.maps.values():
        for use, share in _uses(scores).items():
            found[use] = max(found.get(use, 0.0), share)
    return found


def _works(scores: MapScores, name: str) -> bool:
    """Whether a score lies above every control but the identity, which is `x` in the place of `y` and no null."""
    margins = [m for control, m in scores.margins.get(name, {}).items() if control != "identity"]
    return bool(margins) and all(m.low > 0 for m in margins)


def _uses(scores: MapScores) -> dict[str, float]:
    own = scores.ceilings.get("self-stitch", {})
    tops = {"mrr": own.get("mrr"), "zero_shot": own.get("zero_shot"), "probe": scores.scores.get("probe_native")}
    found = {}
    for name, top in tops.items():
        score = scores.scores.get(name)
        if score is None or top is None or top.value <= score.chance:
            continue
        share = (score.value - score.chance) / (top.value - score.chance)
        found["retrieval" if name == "mrr" else name] = float(np.clip(share, 0, 1)) if _works(scores, name) else 0.0
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]}, …, {names[-1]}"


REGISTRY: Registry[Signature] = Registry("signature", __package__, Signature, "isomorph.signatures")
