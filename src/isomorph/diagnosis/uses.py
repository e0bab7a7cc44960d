"""Signatures of results: geometry against function, galleries, layers that say nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..results import DIRECTIONS, Alignment, Finding, Scan, Stitch
from ._base import Case, Signature, function, geometry, named

HIGH_GEOMETRY, LOW_GEOMETRY = 0.3, 0.15
HIGH_FUNCTION, LOW_FUNCTION = 0.7, 0.2


class _Both(Signature):
    """What needs geometry and function: the best of all metrics against the best of all uses."""

    def missing(self, case: Case) -> str:
        if case.scan is None or case.stitch is None:
            return "needs a scan and a stitch of the two sides"
        if not geometry(case.scan):
            return "needs a scan by a metric whose range has an end"
        return "" if function(case) else "needs a stitch whose ceiling is above chance"

    def _evidence(self, case: Case) -> tuple[dict[str, float], dict[str, float], dict[str, Any]]:
        assert case.scan is not None  # `missing` checks
        shapes, uses = geometry(case.scan), function(case)
        evidence: dict[str, Any] = {f"geometry, {k} (0 chance, 1 the same)": v for k, v in shapes.items()}
        evidence |= {f"function, {k} (0 chance, 1 ceiling)": v for k, v in uses.items()}
        return shapes, uses, evidence


class SimilarButUseless(_Both):
    """High similarity, low performance: what the two share is not what anyone needs.

    Geometry is how far the best pair of layers goes from chance to the best possible score, by the best metric that is
    above chance. Function is what the best use of one space in place of the other (retrieval, zero-shot classes, a
    probe; with features also reading the other's principal components, each counted alike) reaches from chance to its
    ceiling, by the best map or by none (the identity). It is present where geometry is at least 0.3 and no use reaches
    0.2. A use counts where it beats the controls that know nothing of the pairing (permuted pairs, the mean); a control
    that works, such as the identity or a baseline, is no reason to call the map useless.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> z, other, loud = rng.normal(size=(200, 8)), rng.normal(size=(200, 8)), 30 * rng.normal(size=(200, 1))
        >>> x, y = np.hstack([loud, other]), np.hstack([loud, z])  # alike in a direction that says nothing
        >>> scan = iso.scan(x, y, "cka", permutations=99)
        >>> stitch = iso.stitch(x, y, "ridge", labels=np.argmax(z[:, :4], axis=1), permutations=19)
        >>> "similar_but_useless" in iso.diagnose(scan=scan, stitch=stitch)
        True
    """

    name: ClassVar[str] = "similar_but_useless"
    criterion: ClassVar[str] = "stitching"
    asks: ClassVar[str] = "Are the spaces alike and yet useless for each other?"
    advice: ClassVar[str] = (
        "Do not claim that one can stand for the other. Look at what carries the similarity: remove the leading "
        "components or the mean and scan again, and choose layers by a stitch instead."
    )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Mapping[str, Any]:
        z = rng.standard_normal((200, 11))
        loud = 30 * rng.standard_normal((200, 1))  # one direction that has nothing to do with the classes
        x = np.hstack([loud, rng.standard_normal((200, 11))])
        return {"x": x, "y": np.hstack([loud, z]), "labels": np.argmax(z[:, :4], axis=1)}

    def look(self, case: Case) -> Sequence[Finding]:
        shapes, uses, evidence = self._evidence(case)
        metric, use = max(shapes, key=lambda k: shapes[k]), max(uses, key=lambda k: uses[k])
        present = shapes[metric] >= HIGH_GEOMETRY and uses[use] <= LOW_FUNCTION
        evidence["thresholds"] = f"geometry at least {HIGH_GEOMETRY:g}, function at most {LOW_FUNCTION:g}"
        words = (
            f"Geometry is at {shapes[metric]:.2f} of the way from chance to identity ({metric}), function at "
            f"{uses[use]:.2f} of its ceiling at best ({use})."
        )
        return [self.finding("x × y", present, evidence, words)]


class UsefulButDissimilar(_Both):
    """Low similarity, high performance: the same content in another geometry.

    Geometry and function are those of `similar_but_useless`; it is present where no metric goes further than 0.15 and
    some use reaches 0.7.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> z, scales = rng.normal(size=(200, 6)), np.geomspace(1, 30, 6)
        >>> x, y = z * scales, z * scales[::-1]  # what is loud in one is quiet in the other
        >>> scan, stitch = iso.scan(x, y, "cka", permutations=99), iso.stitch(x, y, "ridge", permutations=19)
        >>> "useful_but_dissimilar" in iso.diagnose(scan=scan, stitch=stitch)
        True
    """

    name: ClassVar[str] = "useful_but_dissimilar"
    criterion: ClassVar[str] = "stitching"
    asks: ClassVar[str] = "Do the spaces serve each other although they look unlike?"
    advice: ClassVar[str] = (
        "Do not claim that the spaces differ in content: a map carries it over. Say which invariance the metric asked "
        "for and compare with one that allows more (CCA, linear predictivity)."
    )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Mapping[str, Any]:
        z, scales = rng.standard_normal((200, 6)), np.geomspace(1, 30, 6)  # what is loud in one is quiet in the other
        x, y = ((z * s) @ np.linalg.qr(rng.standard_normal((12, 12)))[0][:6] for s in (scales, scales[::-1]))
        return {"x": x, "y": y, "labels": np.argmax(z[:, :4], axis=1)}

    def look(self, case: Case) -> Sequence[Finding]:
        shapes, uses, evidence = self._evidence(case)
        metric, use = max(shapes, key=lambda k: shapes[k]), max(uses, key=lambda k: uses[k])
        present = shapes[metric] <= LOW_GEOMETRY and uses[use] >= HIGH_FUNCTION
        evidence["thresholds"] = f"geometry at most {LOW_GEOMETRY:g}, function at least {HIGH_FUNCTION:g}"
        words = (
            f"Function is at {uses[use]:.2f} of its ceiling ({use}), geometry at {shapes[metric]:.2f} of the way from "
            f"chance to identity at most ({metric})."
        )
        return [self.finding("x × y", present, evidence, words)]


class GalleryTooSmall(Signature):
    """So few candidates that chance is high or everything is found: the score says little about a larger gallery.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(90, 8))
        >>> scan = iso.scan(x, x + rng.normal(size=(90, 8)), "mutual_knn(k=5)", permutations=99)
        >>> "gallery_too_small" in iso.diagnose(scan=scan)
        True
    """

    name: ClassVar[str] = "gallery_too_small"
    asks: ClassVar[str] = "Is the gallery so small that the score says little about larger ones?"
    advice: ClassVar[str] = (
        "Score on more items, quote every retrieval or neighbour score with its gallery, and show the curve over "
        "gallery sizes: cross-modal scores fall as the gallery grows."
    )
    smallest: ClassVar[int] = 100
    full: ClassVar[float] = 0.95

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Mapping[str, Any]:
        x = rng.standard_normal((90, 8))
        return {"x": x, "y": x + 0.8 * rng.standard_normal(x.shape)}

    def missing(self, case: Case) -> str:
        return "" if case.stitch is not None or case.scan is not None else "needs a scan or a stitch"

    def look(self, case: Case) -> Sequence[Finding]:
        if case.stitch is None:
            assert case.scan is not None  # `missing` checks
            n = case.scan.n
            words = f"Neighbours were looked for among {n} items, where chance alone gives {10 / max(n - 1, 10):.2f}."
            evidence: dict[str, Any] = {"items": n, "threshold": self.smallest}
            return [self.finding("scan", n < self.smallest, evidence, words)]
        return [self._of_stitch(case.stitch)]

    def _of_stitch(self, stitch: Stitch) -> Finding:
        gallery = min(stitch.n_test)
        best = stitch[stitch.best().map]
        top = min(best[f"{d}.R@1"].value for d in DIRECTIONS)
        evidence: dict[str, Any] = {
            "gallery": gallery,
            "R@1, the worse direction": top,
            "chance of R@10": best["x_to_y.R@10"].chance,
            "thresholds": f"at least {self.smallest} items, R@1 below {self.full:g}",
        }
        for curve in stitch.gallery_curves:
            if curve.map == best.map and len(curve.values) > 1:
                fall = curve.values[-2] - curve.values[-1]
                evidence[f"{curve.score} from {curve.sizes[-2]} to {curve.sizes[-1]} items falls by"] = fall
        small, full = gallery < self.smallest, top >= self.full
        words = f"The gallery holds {gallery} items"
        words += f", and R@1 is {top:.2f} both ways: larger galleries would tell more." if full else "."
        return self.finding("stitch", small or full, evidence, words)


class EarlyLayers(Signature):
    """Layers near the input at which an untrained network is just as good: agreement there is about the input.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> z, inputs = rng.normal(size=(2, 200, 5))
        >>> y = np.hstack([2 * z, inputs / 2])
        >>> pixels, noise = inputs @ rng.normal(size=(5, 10)), rng.normal(size=(200, 10))
        >>> x, twin = {"early": pixels, "late": y + noise}, {"early": pixels, "late": noise}
        >>> scan = iso.scan(x, y, "cka", permutations=99, x_baselines={"untrained": twin})
        >>> "early_layers" in iso.diagnose(x, y, scan=scan, x_baselines={"untrained": twin})
        True
    """

    name: ClassVar[str] = "early_layers"
    asks: ClassVar[str] = "Are there layers near the input that say nothing, since a random bottom is just as good?"
    advice: ClassVar[str] = (
        "Leave these layers out of any claim: what they share is in the input or the architecture. Choose among the "
        "layers behind them."
    )
    share: ClassVar[float] = 0.9

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Mapping[str, Any]:
        z, inputs = rng.standard_normal((2, 200, 5))
        y = np.hstack([2 * z, 0.5 * inputs]) + 0.3 * rng.standard_normal((200, 10))

        def layer(learned: float) -> Any:
            both = np.hstack([learned * z, 0.4 * inputs]) @ rng.standard_normal((10, 16))
            return both + 0.05 * rng.standard_normal((200, 16))

        x, twin = ({f"l{k}": layer(s) for k, s in enumerate(depth)} for depth in ((0.0, 0.05, 1.0, 2.0), (0.0,) * 4))
        return {"x": x, "y": y, "x_baselines": {"untrained": twin}}

    def missing(self, case: Case) -> str:
        return "" if self._tables(case) else "needs a scan or a stitch over several layers with baselines"

    def look(self, case: Case) -> Sequence[Finding]:
        findings = []
        for where, tables in self._tables(case).items():
            runs = {by: self._run(own, twin) for by, (_, own, twin) in tables.items()}
            by = min(runs, key=lambda k: runs[k])  # a layer says nothing where it says nothing by every metric
            layers, own, twin = tables[by]
            run = runs[by]
            evidence: dict[str, Any] = {
                "layers that say nothing": ", ".join(layers[:run]) or "none",
                "how many": f"{run} of {len(layers)}",
                "by": ", ".join(f"{k} {v}" for k, v in runs.items()),
                "gain at the first layer": own[0],
                "the same of the baseline": twin[0],
                "highest gain": max(own),
                "threshold": self.share,
            }
            baseline = where.partition(", ")[0]
            words = (
                f"The first {run} of {len(layers)} layers are not clearly further above chance than {baseline}, by any "
                "metric."
                if run
                else f"From the first layer on the gain over chance is clearly above that of {baseline}, by {by}."
            )
            findings.append(self.finding(where, run > 0, evidence, words))
        return findings

    def _run(self, own: Sequence[float], twin: Sequence[float]) -> int:
        """How many layers from the input on gain nothing, or hardly more than the baseline."""
        says_nothing = [t >= self.share * o or o <= 0 for o, t in zip(own, twin, strict=True)]
        return next((k for k, flat in enumerate(says_nothing) if not flat), len(says_nothing))

    @staticmethod
    def _tables(case: Case) -> dict[str, dict[str, Table]]:
        """Where -> by what -> layers, gain of each and of its twin, the other side being held at its best layer."""
        tables = {} if case.scan is None else _of_scan(case.scan)
        return tables | ({} if case.stitch is None else _of_stitch(case.stitch))


Table = tuple[tuple[str, ...], list[float], list[float]]


def _of_scan(scan: Scan) -> dict[str, dict[str, Table]]:
    tables: dict[str, dict[str, Table]] = {}
    for label, baseline in scan.baselines.items():
        for spec, alignment in scan.alignments.items():
            twin = baseline.alignments.get(spec)
            table = None if twin is None else _slice(alignment, twin, scan.baseline(label).side)
            if table is not None:
                where = f"{named(scan, scan.baseline(label))}, scan"
                tables.setdefault(where, {})[spec] = table
    return tables


def _slice(alignment: Alignment, twin: Alignment, side: str) -> Table | None:
    """The gain of each layer of a side and of its twin's, the other side being held at its best layer."""
    axis = 1 if side == "y" else 0
    layers = (alignment.x_layers, alignment.y_layers)[axis]
    if len(layers) < 2 or (twin.x_layers, twin.y_layers) != (alignment.x_layers, alignment.y_layers):
        return None
    best = alignment.best()
    held = (alignment.x_layers.index(best.x_layer), alignment.y_layers.index(best.y_layer))[1 - axis]
    arrays = (alignment.values, alignment.chance, alignment.p_value, twin.values, twin.chance)
    cuts = [np.take(np.asarray(v), held, axis=1 - axis) for v in arrays]
    own, theirs = [], []
    for v, c, p, w, d in zip(*cuts, strict=True):
        mine, other = alignment.share(float(v), float(c)), alignment.share(float(w), float(d))
        if mine is None or other is None:
            return None
        own.append(mine if p <= alignment.alpha else 0.0)  # what does not pass is no gain
        theirs.append(other)
    return layers, own, theirs


def _of_stitch(stitch: Stitch) -> dict[str, dict[str, Table]]:
    tables: dict[str, dict[str, Table]] = {}
    i, j = stitch.x_layers.index(stitch.x_layer), stitch.y_layers.index(stitch.y_layer)
    chance = stitch[stitch.layer_map]["mrr"].chance
    for label, scores in stitch.baseline_layer_scores.items():
        axis = 1 if stitch.control(label).side == "y" else 0
        layers = (stitch.x_layers, stitch.y_layers)[axis]
        if scores.shape != stitch.layer_scores.shape or len(layers) < 2:
            continue
        own, theirs = (
            [float(v) - chance for v in np.take(np.asarray(m), (j, i)[axis], axis=1 - axis)]
            for m in (stitch.layer_scores, scores)
        )
        where = f"{named(stitch, stitch.control(label))}, stitch"
        tables.setdefault(where, {})[stitch.layer_map] = layers, own, theirs
    return tables
