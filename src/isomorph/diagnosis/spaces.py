"""Signatures of one space by itself: a dominant mean, hubs, collapse, outlier dimensions, duplicates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from .._core.linalg import directions, nearest_others
from ..significance import duplicates
from ._base import LayerSignature, Matrix

K = 10


class Anisotropy(LayerSignature):
    """All items point the same way: cosines are high between any two, and say little (Ethayarajh 2019).

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(100, 16))
        >>> plain, found = iso.diagnose(x), iso.diagnose(x + 5)  # all items point one way
        >>> "anisotropy" in plain, "anisotropy" in found
        (False, True)
    """

    name: ClassVar[str] = "anisotropy"
    asks: ClassVar[str] = "Does a common mean direction dominate, so that every cosine is high?"
    advice: ClassVar[str] = (
        "Centre the features before using cosines (subtract the mean of the training items), or use metrics that "
        "centre (CKA, Procrustes, Euclidean neighbours)."
    )
    threshold: ClassVar[float] = 0.5

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Mapping[str, Any]:
        return {"x": rng.standard_normal((100, 16)) + 5}

    def measure(self, rows: Matrix) -> tuple[float, Mapping[str, Any], str]:
        n = len(rows)
        cosine, centered = (_mean_cosine(r) for r in (rows, rows - rows.mean(axis=0)))
        power = float(np.mean(np.sum(rows**2, axis=1)))
        share = float(np.sum(rows.mean(axis=0) ** 2)) / power if power else 0.0
        evidence = {
            "mean cosine of two items": cosine,
            "after centring": centered,
            "share of the mean in the squared length": share,
            "threshold": self.threshold,
        }
        verb = "dominates" if cosine >= self.threshold else "does not dominate"
        summary = f"The mean direction {verb}: two of the {n} items have a cosine of {cosine:.2f} on average."
        return cosine / self.threshold, evidence, summary


class Hubs(LayerSignature):
    """A few items are among the nearest neighbours of very many others (Radovanović et al. 2010).

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(200, 32))
        >>> x = (x - x.mean(axis=0)) / np.linalg.norm(x - x.mean(axis=0), axis=1, keepdims=True) + np.eye(32)[0]
        >>> x[17] = np.eye(32)[0]  # where all others are near
        >>> found = iso.diagnose(x)["hubs"][0]
        >>> found.present, found.where
        (True, 'x, x')
    """

    name: ClassVar[str] = "hubs"
    asks: ClassVar[str] = "Are a few items everybody's neighbours?"
    advice: ClassVar[str] = (
        "Retrieve with a correction for hubs (stitch(correction='csls') or 'inverted_softmax'), centre the features, "
        "and look at the hubs themselves: they are often empty, blank or average inputs."
    )
    min_items: ClassVar[int] = 3 * K
    skewness: ClassVar[float] = 2.0
    times: ClassVar[float] = 5.0
    share: ClassVar[float] = 0.05

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Mapping[str, Any]:
        spread, center = rng.standard_normal((200, 32)), rng.standard_normal((1, 32))
        x = directions(spread - spread.mean(axis=0)) + directions(center)
        x[17] = directions(center)  # where all others are near
        return {"x": x}

    def measure(self, rows: Matrix) -> tuple[float, Mapping[str, Any], str]:
        n = len(rows)
        counts = _times_neighbor(rows, K)
        spread = counts.std()
        skewness = float(np.mean((counts - counts.mean()) ** 3) / spread**3) if spread > 0 else 0.0
        top, never = float(counts.max()) / (n - 1), float(np.mean(counts == 0))
        share = max(self.times * K / (n - 1), self.share)
        evidence = {
            f"skewness of the {K}-occurrence": skewness,
            "share of items whose neighbour the largest hub is": top,
            "share of items that are nobody's neighbour": never,
            "largest hub, row": int(counts.argmax()),
            "thresholds": f"skewness {self.skewness:g} and share {share:.2g}",
        }
        summary = (
            f"The largest hub is among the {K} nearest neighbours of {100 * top:.0f} % of the items "
            f"(expected {100 * K / (n - 1):.1f} %); skewness {skewness:.1f}."
        )
        return min(skewness / self.skewness, top / share), evidence, summary


class RankCollapse(LayerSignature):
    """The items lie in far fewer dimensions than there are.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(100, 16))
        >>> plain, found = iso.diagnose(x), iso.diagnose(x[:, :1] + 0.01 * x)  # all in one dimension, nearly
        >>> "rank_collapse" in plain, "rank_collapse" in found
        (False, True)
    """

    name: ClassVar[str] = "rank_collapse"
    asks: ClassVar[str] = "Do the items use a small part of their dimensions only?"
    advice: ClassVar[str] = (
        "Expect every global score to be that of a few directions: compare after removing or whitening the leading "
        "ones, prefer a layer with more rank, and distrust CKA and R² between collapsed layers."
    )
    share: ClassVar[float] = 0.1

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Mapping[str, Any]:
        x = rng.standard_normal((100, 32))
        return {"x": x[:, :1] + 0.01 * x}

    def measure(self, rows: Matrix) -> tuple[float, Mapping[str, Any], str]:
        n, d = rows.shape
        s = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)
        s = s[s > s[0] * max(n, d) * np.finfo(np.float64).eps] if s[0] > 0 else s[:0]
        room = min(n - 1, d)
        p = s / s.sum() if len(s) else np.ones(1)
        rank = float(np.exp(-np.sum(p * np.log(p)))) if len(s) else 0.0
        ratio = float(np.sum(s**2) ** 2 / np.sum(s**4)) if len(s) else 0.0
        limit = max(1.5, self.share * room)
        first = float(s[0] ** 2 / np.sum(s**2)) if len(s) else 0.0
        evidence = {
            "effective rank": rank,
            "participation ratio": ratio,
            "variance of the first component": first,
            "possible rank": room,
            "threshold": limit,
        }
        summary = f"{rank:.1f} of {room} possible dimensions are in use (effective rank)."
        return limit / max(rank, 1e-9), evidence, summary


class OutlierDimensions(LayerSignature):
    """A few features are orders of magnitude larger than the others (massive activations, Sun et al. 2024).

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(100, 16))
        >>> plain, found = iso.diagnose(x), iso.diagnose(x * ([1] * 15 + [100]))  # one feature is far larger
        >>> "outlier_dimensions" in plain, "outlier_dimensions" in found
        (False, True)
    """

    name: ClassVar[str] = "outlier_dimensions"
    asks: ClassVar[str] = "Do a few features carry most of the length?"
    advice: ClassVar[str] = (
        "Standardise the features or leave these out before comparing (cosines and CKA see little else), and check "
        "whether the outliers carry anything about the items."
    )
    ratio: ClassVar[float] = 100.0
    share: ClassVar[float] = 0.3

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Mapping[str, Any]:
        x = rng.standard_normal((100, 32))
        x[:, 7] *= 100
        return {"x": x}

    def measure(self, rows: Matrix) -> tuple[float, Mapping[str, Any], str]:
        power = np.mean(rows**2, axis=0)
        used = power[power > 0]
        typical = float(np.median(used)) if len(used) else 0.0
        out = np.flatnonzero(power > self.ratio * typical) if typical else np.empty(0, dtype=np.int64)
        share = float(power[out].sum() / power.sum()) if power.sum() else 0.0
        few = len(out) <= max(1, 0.1 * len(power))
        evidence = {
            "outlier features": ", ".join(map(str, out[np.argsort(-power[out])][:8])) or "none",
            "how many": f"{len(out)} of {len(power)}",
            "their share of the squared length": share,
            "largest over median mean square": float(power.max() / typical) if typical else 0.0,
            "thresholds": f"{self.ratio:g} times the median and share {self.share:g}",
        }
        summary = f"{len(out)} of {len(power)} features carry {100 * share:.0f} % of the squared length."
        severity = share / self.share if few and len(out) else 0.0
        return severity, evidence, summary


class DuplicateItems(LayerSignature):
    """Items that are there twice: each finds its copy in any space, and permutations part them.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(100, 16))
        >>> plain, found = iso.diagnose(x), iso.diagnose(x[[*range(99), 3]])  # the last item is the fourth once more
        >>> "duplicates" in plain, "duplicates" in found
        (False, True)
    """

    name: ClassVar[str] = "duplicates"
    asks: ClassVar[str] = "Are items there twice?"
    advice: ClassVar[str] = (
        "Keep one of each set (significance.duplicates(x).keep), or give groups= so that copies stay together in "
        "permutations and splits."
    )
    tolerance: ClassVar[float] = 1e-3

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Mapping[str, Any]:
        x = rng.standard_normal((100, 16))
        x[11] = x[3]
        return {"x": x}

    def measure(self, rows: Matrix) -> tuple[float, Mapping[str, Any], str]:
        found = duplicates(rows, self.tolerance)
        first = ", ".join(map(str, found.sets[0][:5])) if found.sets else "none"
        evidence = {
            "items that are copies": found.extra,
            "sets": len(found.sets),
            "first set, rows": first,
            "tolerance": self.tolerance,
        }
        summary = (
            f"{found.extra} of {found.n} items are copies of others (to {self.tolerance:g} of the typical distance)."
            if found.sets
            else f"No two of the {found.n} items are the same."
        )
        return float(found.extra), evidence, summary


def _mean_cosine(rows: Matrix) -> float:
    """Mean cosine of two different items; items without direction are left out."""
    u = directions(rows)
    m = int(u.any(axis=1).sum())
    return float((np.sum(u.sum(axis=0) ** 2) - m) / (m * (m - 1))) if m > 1 else 0.0


def _times_neighbor(rows: Matrix, k: int) -> Matrix:
    """How often each item is among the k nearest others, by cosine."""
    return np.asarray(np.bincount(nearest_others(directions(rows), k).ravel(), minlength=len(rows)), dtype=np.float64)
