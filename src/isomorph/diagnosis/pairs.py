"""Signatures of two spaces together, from their features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .._core.linalg import directions
from ..metrics import metric as make_metric
from ..results import Finding, Stitch, baseline_words
from ._base import Case, Matrix, Signature, named


class ModalityGap(Signature):
    """Two modalities share a space but sit in separate regions of it (Liang et al. 2022).

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> x, noise = rng.normal(size=(2, 100, 16))
        >>> "modality_gap" in iso.diagnose(x, x + noise)
        False
        >>> "modality_gap" in iso.diagnose(x + 8 * np.eye(16)[0], x + noise - 8 * np.eye(16)[0])  # in two regions
        True
    """

    name: ClassVar[str] = "modality_gap"
    asks: ClassVar[str] = "In one shared space, do the two sides lie apart?"
    advice: ClassVar[str] = (
        "Subtract each side's own mean before retrieving across; scores that mix both sides in one gallery are not "
        "comparable until then."
    )
    gap: ClassVar[float] = 0.3
    separable: ClassVar[float] = 0.95
    shared: ClassVar[float] = 3.0

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Mapping[str, Any]:
        x = rng.standard_normal((100, 16))
        apart = 8 * np.eye(16)[0]
        return {"x": x + apart, "y": x + 0.5 * rng.standard_normal(x.shape) - apart}

    def missing(self, case: Case) -> str:
        if case.x is None or case.y is None:
            return "needs features of both sides"
        if case.x.n < 8:
            return f"needs 8 items, found {case.x.n}"
        (_, a), (_, b) = case.pair()
        return "" if a.shape[1] == b.shape[1] else "needs spaces of one width: these two share none"

    def look(self, case: Case) -> Sequence[Finding]:
        (x_layer, x), (y_layer, y) = case.pair()
        a, b = directions(x), directions(y)
        gap = float(np.linalg.norm(a.mean(axis=0) - b.mean(axis=0)))
        accuracy = _separability(a, b, case.seed)
        z = _matched(a, b)
        present = z >= self.shared and gap >= self.gap and accuracy >= self.separable
        evidence = {
            "distance of the centroids on the unit sphere": gap,
            "held-out accuracy of telling the sides apart": accuracy,
            "z of matching items being alike (shared space)": z,
            "thresholds": f"distance {self.gap:g}, accuracy {self.separable:g}, z {self.shared:g}",
        }
        if z < self.shared:
            words = "Matching items are no more alike than others, so this is not one shared space: no gap to speak of."
        elif present:
            words = f"The sides share a space but lie apart: one direction tells them apart in {100 * accuracy:.0f} %."
        else:
            words = "The sides share a space and overlap in it."
        return [self.finding(f"{x_layer} × {y_layer}", present, evidence, words)]


class UntrainedTwinFeatures(Signature):
    """A baseline is as alike as the model itself: the score is that of the architecture, the inputs or the like.

    Every baseline is looked at under its own name: an untrained twin, input statistics, or whatever was given. It is
    present where the baseline reaches 80 % of the gain over chance by some metric or map that is itself above chance.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=(100, 5))
        >>> x, y, twin = (z @ rng.normal(size=(5, 12)) for _ in range(3))  # all three show the inputs alone
        >>> found = iso.diagnose(x, y, x_baselines={"untrained": twin}, signatures=["untrained_twin"])
        >>> "untrained_twin" in found
        True
    """

    name: ClassVar[str] = "untrained_twin"
    asks: ClassVar[str] = "Is a baseline (an untrained twin, input statistics) just as good?"
    advice: ClassVar[str] = (
        "Do not read the score as learnt: report it beside the baseline's, look at other layers or at a metric that "
        "tells the two apart."
    )
    share: ClassVar[float] = 0.8
    metrics: ClassVar[tuple[str, ...]] = ("mutual_knn(k=10)", "cka")

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Mapping[str, Any]:
        z = rng.standard_normal((100, 5))
        x, y, twin = (z @ rng.standard_normal((5, 12)) + 0.1 * rng.standard_normal((100, 12)) for _ in range(3))
        return {"x": x, "y": y, "x_baselines": {"untrained": twin}}

    def missing(self, case: Case) -> str:
        if case.scan is not None and case.scan.baselines:
            return ""
        if case.stitch is not None and _baselines(case.stitch):
            return ""
        if case.baselines and case.x is not None and case.x.n >= 12:
            return ""
        return "needs a scan or a stitch with baselines, or x_baselines= or y_baselines= with 12 items"

    def look(self, case: Case) -> Sequence[Finding]:
        findings: list[Finding] = []
        if case.scan is not None and case.scan.baselines:
            findings += self._of_scan(case)
        if case.stitch is not None:
            findings += self._of_stitch(case)
        if not findings:
            findings += self._of_features(case)
        return findings

    def _of_scan(self, case: Case) -> list[Finding]:
        assert case.scan is not None  # the caller checks
        findings, above = [], case.scan.verdict.above
        for name, twin in case.scan.baselines.items():
            shares = {}
            for spec, alignment in case.scan.alignments.items():
                if spec not in twin.alignments:
                    continue
                best, other = alignment.best(), twin.alignments[spec].best()
                mine, theirs = (alignment.share(b.value, b.chance) for b in (best, other))
                if mine is not None and theirs is not None and spec in above and mine > 0:
                    shares[spec] = theirs / mine
            if shares:
                found = named(case.scan, case.scan.baseline(name))
                findings.append(self._judge(f"{found}, scan", shares, "alignment above chance"))
        return findings

    def _of_stitch(self, case: Case) -> list[Finding]:
        assert case.stitch is not None  # the caller checks
        shares: dict[str, dict[str, float]] = {}
        baselines = _baselines(case.stitch)
        for spec, m in case.stitch.maps.items():
            own = m["mrr"]
            for control, scores in m.controls.items():
                if control in baselines and own.value > own.chance:
                    share = (scores["mrr"].value - own.chance) / (own.value - own.chance)
                    shares.setdefault(control, {})[spec] = share
        found = {c: named(case.stitch, case.stitch.control(c)) for c in shares}
        return [self._judge(f"{found[c]}, stitch", s, "retrieval above chance") for c, s in shares.items()]

    def _of_features(self, case: Case) -> list[Finding]:
        assert case.x is not None  # `missing` checks
        assert case.y is not None
        findings = []
        for twin in case.baselines.values():
            left, right = twin.left, twin.right
            shares = {}
            for spec in self.metrics:
                metric = make_metric(spec)
                mine, theirs = (
                    float(np.max(metric.compare(*([metric.prepare(v) for v in s.layers.values()] for s in pair))))
                    for pair in ((case.x, case.y), (left, right))
                )
                chance = 10 / (case.x.n - 1) if spec.startswith("mutual_knn") else 0.0
                if mine > chance:
                    shares[spec] = (theirs - chance) / (mine - chance)
            if shares:
                words = baseline_words(
                    twin.condition, {"x": case.x.name, "y": case.y.name}.get(twin.condition.side, "")
                )
                findings.append(self._judge(f"{words}, features", shares, "alignment above chance"))
        return findings

    def _judge(self, where: str, shares: dict[str, float], what: str) -> Finding:
        worst = max(shares, key=lambda k: shares[k])
        present = shares[worst] >= self.share
        evidence = {f"share of {what}, {k}": v for k, v in shares.items()} | {"threshold": self.share}
        baseline = where.rpartition(", ")[0]
        words = f"With {baseline} the {what} is {100 * shares[worst]:.0f} % of the model's ({worst})."
        title = "" if baseline.startswith("untrained") else f"as good: {baseline}"
        return self.finding(where, present, evidence, words, title)


def _baselines(stitch: Stitch) -> set[str]:
    """Labels of the controls that take the place of a side."""
    return {label for m in stitch.maps.values() for label in m.controls if stitch.control(label).side}


def _separability(a: Matrix, b: Matrix, seed: int) -> float:
    """Held-out accuracy of the better of two linear rules, by the difference of the means; both halves are tried."""
    order = np.random.default_rng(seed).permutation(len(a))
    halves = order[: len(a) // 2], order[len(a) // 2 :]
    hits = []
    for fit, held in (halves, halves[::-1]):
        direction = a[fit].mean(axis=0) - b[fit].mean(axis=0)
        middle = (a[fit].mean(axis=0) + b[fit].mean(axis=0)) @ direction / 2
        hits += [np.mean(a[held] @ direction > middle), np.mean(b[held] @ direction <= middle)]
    return float(np.mean(hits))


def _matched(a: Matrix, b: Matrix) -> float:
    """Mean cosine of matching items above that of random pairings, in exact standard deviations of the latter."""
    n = len(a)
    u, v = directions(a - a.mean(axis=0)), directions(b - b.mean(axis=0))
    matching, mean = float(np.einsum("ij,ij->", u, v)), float(u.mean(axis=0) @ v.mean(axis=0))
    # the sum over a random permutation has variance Σ (s - row - column + mean)² / (n - 1) (Hoeffding 1951); what is
    # squared are products of centred directions, so that no matrix of all pairs is needed
    u, v = u - u.mean(axis=0), v - v.mean(axis=0)
    spread = float(np.sqrt(max(float(np.sum((u.T @ u) * (v.T @ v))), 0.0) / (n - 1)))
    return (matching - n * mean) / spread if spread > 0 else 0.0
