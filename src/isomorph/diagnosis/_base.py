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
from ..design import fold_of_items
from ..heldout.readout import readout
from ..results import Condition, Finding, Fusion, MapScores, Scan, Stitch, baseline_words

Matrix = np.ndarray[Any, Any]
FOLDS = 5


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
        fusion: A fusion of spaces, or None.
        seed: Seed of what is drawn.

    Example:
        >>> from isomorph.conditions import as_side
        >>> case = Case(x=as_side(np.eye(4), "x", None))
        >>> [name for name, _ in case.sides()]
        ['x']
    """

    x: Side | None = None
    y: Side | None = None
    labels: np.ndarray[Any, np.dtype[np.int64]] | None = None
    scan: Scan | None = None
    stitch: Stitch | None = None
    baselines: Mapping[str, Comparison] = dataclasses.field(default_factory=dict)
    fusion: Fusion | None = None
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
    """One failure signature: when it can be looked for, and whether it is there.

    Example:
        >>> from isomorph.diagnosis import REGISTRY
        >>> REGISTRY.classes["hubs"].asks
        "Are a few items everybody's neighbours?"
        >>> planted = REGISTRY.classes["hubs"].planted(np.random.default_rng(0))  # data in which it is there
        >>> "hubs" in iso.diagnose(**planted)
        True
    """

    name: ClassVar[str]
    """Registered name."""
    asks: ClassVar[str]
    """The question that it answers, for lists and pages."""
    advice: ClassVar[str]
    """What to do where it is found."""
    criterion: ClassVar[str] = ""
    """The criterion of leagues that says which metric sees through it; empty where none asks that."""

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Mapping[str, Any]:
        """Small data in which it is there: ``x`` and, where it needs them, ``y``, ``labels`` and ``x_baselines``.

        What needs a scan or a stitch is looked for in those of the same data, also with the data beside the stitch. The
        contract suite runs over it.
        """
        raise NotImplementedError(f"{cls.__name__} plants no data in which it is there")

    @abstractmethod
    def missing(self, case: Case) -> str:
        """What has to be given to look for it; empty if all is there."""

    @abstractmethod
    def look(self, case: Case) -> Sequence[Finding]:
        """What was found, present or not."""

    def finding(self, where: str, present: bool, evidence: Mapping[str, Any], summary: str, title: str = "") -> Finding:
        """A finding of this signature, under a title of its own where the name does not say what was looked at."""
        shown = dict(sorted(evidence.items()))  # as saving sorts
        return Finding(self.name, where, bool(present), shown, summary, self.advice if present else "", title)


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
            each = [(layer, *self.measure(wide(rows))) for layer, rows in side.layers.items()]
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
    """Features as float64 where this machine computes, in a unit in which their squares can be held.

    They are divided by a power of two where they are very small or large: no signature is of their size.
    """
    array: Matrix = np.asarray(to_numpy(rows), dtype=np.float64)
    largest = float(np.max(np.abs(array)))
    if largest == 0.0 or 1e-60 < largest < 1e60:
        return array
    return np.ldexp(array, -int(np.frexp(largest)[1]))


def named(result: Scan | Stitch, condition: Condition) -> str:
    """A baseline by its own name and the model that it stands in for."""
    sides = {"x": (result.x_name, result.x_view), "y": (result.y_name, result.y_view)}
    return baseline_words(condition, *sides.get(condition.side, ("", "")))


def geometry(scan: Scan) -> dict[str, float]:
    """How alike two spaces are: metric -> share of the way from chance (0) to the best possible score (1).

    Of the best pair of layers (`Alignment.share`), and 0 where the metric is not above chance by the scan's verdict.
    Metrics whose range has no end have no such share and are left out.
    """
    above, found = scan.verdict.above, {}
    for spec, alignment in scan.alignments.items():
        best = alignment.best()
        share = alignment.share(best.value, best.chance)
        if share is not None:
            found[spec] = float(np.clip(share, 0.0, 1.0)) if spec in above else 0.0
    return found


def function(case: Case) -> dict[str, float]:
    """What one space is worth in place of the other: use -> share of what could be had, 0 at chance and 1 the ceiling.

    ``retrieval`` (mrr) and ``zero_shot`` against those of `y` stitched to itself, ``probe`` against the same probe at
    home, each by the best of all maps and of no map at all (the identity, where the widths agree), since a space that
    serves without a map is not useless. A use counts where it beats the controls that know nothing of the pairing
    (permuted pairs, the mean); the identity and baselines in place of a side are other ways of working, and no reason
    to call a map useless.

    ``reading``, where features are given: the held-out R² of the other side's principal components, each counted
    alike, so that no loud direction decides; from x to y or back, whichever is less. It tells spaces of few dimensions
    that share everything, where no single item can be retrieved, from those that share one loud direction.
    """
    found: dict[str, float] = {}
    if case.stitch is None:
        return found
    for scores in case.stitch.maps.values():
        for use, share in _uses(scores, case.stitch).items():
            found[use] = max(found.get(use, 0.0), share)
    if found and case.x is not None and case.y is not None and case.x.n >= 4 * FOLDS:
        (_, x), (_, y) = case.pair()
        found["reading"] = float(np.clip(min(readable(x, equalized(y)), readable(y, equalized(x))), 0.0, 1.0))
    return found


IDENTITY = "identity"
USES = {"mrr": "retrieval", "zero_shot": "zero_shot", "probe": "probe"}


def _uses(scores: MapScores, stitch: Stitch) -> dict[str, float]:
    ceiling = scores.ceilings.get("self-stitch", {})
    tops = {
        "mrr": ceiling.get("mrr"),
        "zero_shot": ceiling.get("zero_shot"),
        "probe": scores.scores.get("probe_native"),
    }
    found = {}
    for name, top in tops.items():
        score = scores.scores.get(name)
        if score is None or top is None or top.low <= score.chance:  # a ceiling that is chance itself tells nothing
            continue
        blind = [m for k, m in scores.margins.get(name, {}).items() if k != IDENTITY and not stitch.control(k).side]
        value = score.value if blind and all(m.low > 0 for m in blind) else score.chance
        plain = scores.controls.get(IDENTITY, {}).get(name)
        if plain is not None and plain.low > score.chance:
            value = max(value, plain.value)
        found[USES[name]] = float(np.clip((value - score.chance) / (top.value - score.chance), 0, 1))
    return found


def equalized(rows: Matrix) -> Matrix:
    """Scores on the principal components that hold 99 % of the variance, each of the same variance."""
    u, s, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    power = np.cumsum(s**2)
    kept = int(np.searchsorted(power, 0.99 * power[-1])) + 1
    return u[:, :kept]


def readable(rows: Matrix, target: Matrix) -> float:
    """Held-out R² of `target` by ridge from `rows`, standardised so that no offset sets the scale."""
    spread = rows.std(axis=0)
    z = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    fold = fold_of_items(len(z), FOLDS)
    error = 0.0
    for k in range(FOLDS):
        held = fold == k
        error += float(np.sum((target[held] - readout(z[~held], target[~held]).predict(z[held])) ** 2))
    return 1 - error / float(np.sum((target - target.mean(axis=0)) ** 2))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]}, …, {names[-1]}"


REGISTRY: Registry[Signature] = Registry("signature", __package__, Signature, "isomorph.signatures")
