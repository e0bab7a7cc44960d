"""A subset of items moved as a block: it changes CKA and nothing that anyone uses (Davari et al. 2023).

Moving a share ρ of centred items X by a vector far enough makes the moved kernel that of the subset's indicator. Then
CKA(X, moved X) tends to ``ρ / (1 - ρ) · |mean of X over the subset|² / mean |x|² · √PR(X)`` with the participation
ratio ``PR = (Σ λ)² / Σ λ²`` of the eigenvalues λ of the covariance: the direction and the length play no part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .._core.arrays import as_features, to_numpy
from ..design import fold_of_items
from ..errors import InputError
from ..heldout.readout import classifier
from ..metrics import metric as make_metric
from ..results import Finding
from ._base import FOLDS, Case, Matrix, Signature, readable, wide


def translation_limit(x: Any, subset: Any) -> float:
    """Limit of the biased linear CKA of `x` with a copy in which a subset of items was moved infinitely far.

    Args:
        x: Features (n_items, d).
        subset: Which items were moved, booleans (n_items,).

    Returns:
        The limit, in [0, 1].

    Raises:
        InputError: if `x` is no representation or constant, or the subset is empty, everything or of another length.

    Source: Davari et al. 2023; the closed form is ours, in the module's text.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 8))
        >>> round(translation_limit(x, np.arange(100) < 5), 3)  # five items moved far away leave hardly any CKA
        0.017
    """
    rows = wide(as_features(x))
    inside = np.asarray(to_numpy(subset))
    if inside.dtype != np.bool_ or inside.shape != (len(rows),) or not 0 < inside.sum() < len(rows):
        raise InputError(
            f"subset must be one boolean for each of the {len(rows)} items, with some of both kinds; found shape "
            f"{inside.shape} of {inside.dtype}."
        )
    rows = rows - rows.mean(axis=0)
    s2 = np.linalg.svd(rows, compute_uv=False) ** 2 / len(rows)
    if s2.sum() == 0:
        raise InputError("x is constant: all its items are the same, so there is no CKA.")
    share = float(inside.mean())
    moved = float(np.sum(rows[inside].mean(axis=0) ** 2)) / float(s2.sum())
    return share / (1 - share) * moved * float(s2.sum() / np.sqrt(np.sum(s2**2)))


class SubsetTranslation(Signature):
    """One block of items lies far from the rest on one side: CKA falls, neighbours and readouts do not.

    It is present where taking the block's offset out raises CKA by 0.2 or more, the block carries half of the variance,
    and the other side can be read linearly (held-out R²) at least 0.8 times as well as without the offset, and at 0.3.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> y = rng.normal(size=(200, 12))
        >>> x = y + 100 * (np.arange(200) < 40)[:, None]  # forty items moved far away
        >>> "subset_translation" in iso.diagnose(y, y), "subset_translation" in iso.diagnose(x, y)
        (False, True)
    """

    name: ClassVar[str] = "subset_translation"
    criterion: ClassVar[str] = "translation"
    asks: ClassVar[str] = "Is a low CKA due to one block of items that lies apart?"
    advice: ClassVar[str] = (
        "Do not read the low CKA as a difference in what is encoded: look at the block (see the rows), compare after "
        "taking its offset out, and trust neighbours, rank-based scores and readouts here."
    )
    lost: ClassVar[float] = 0.2
    between: ClassVar[float] = 0.5
    kept: ClassVar[float] = 0.8
    readable: ClassVar[float] = 0.3
    accuracy: ClassVar[float] = 0.01

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Mapping[str, Any]:
        y = rng.standard_normal((200, 12)) * np.linspace(2, 1, 12)
        block = np.arange(200) < 40
        return {"x": y + 100 * block[:, None], "y": y}

    def missing(self, case: Case) -> str:
        if case.x is None or case.y is None:
            return "needs features of both sides"
        return "" if case.x.n >= 20 else f"needs 20 items, found {case.x.n}"

    def look(self, case: Case) -> Sequence[Finding]:
        (x_layer, x), (y_layer, y) = case.pair()
        names = (f"x, {x_layer}", f"y, {y_layer}")
        return [self._side(case, names[k], moved, other) for k, (moved, other) in enumerate(((x, y), (y, x)))]

    def _side(self, case: Case, where: str, moved: Matrix, other: Matrix) -> Finding:
        inside, between = block_apart(moved)
        if not 0 < inside.sum() < len(inside):
            words = "No block of items lies apart."
            return self.finding(where, False, {"share of the variance between the blocks": between}, words)
        cka, neighbors = make_metric("cka(estimator='biased')"), make_metric("mutual_knn(k=10)")
        offset = moved[inside].mean(axis=0) - moved[~inside].mean(axis=0)
        undone = moved - inside[:, None] * offset
        if float(np.abs(undone - undone.mean(axis=0)).max()) <= 1e-9 * float(np.abs(moved).max()):
            words = "The block is all that varies on this side."
            return self.finding(where, False, {"share of the variance between the blocks": between}, words)
        now, after = float(cka(moved, other)), float(cka(undone, other))
        kept, whole = readable(moved, other), readable(undone, other)
        overlap = float(neighbors(moved - moved.mean(axis=0), other - other.mean(axis=0))) if len(moved) > 11 else 0.0
        evidence: dict[str, Any] = {
            "CKA": now,
            "CKA with the block's offset taken out": after,
            "closed form of an infinite offset": translation_limit(other, inside),
            "share of items in the block": float(inside.mean()),
            "share of the variance between the blocks": between,
            "held-out R² of the other side, read from this one": kept,
            "the same with the block's offset taken out": whole,
            "mutual 10-NN": overlap,
            "block, rows": ", ".join(map(str, np.flatnonzero(inside)[:8])),
        }
        # one direction of d is lost to a linear readout, that of the offset, so that what is kept is held against what
        # could be read without it
        unread = whole < self.readable or kept < self.kept * whole
        present = after - now >= self.lost and between >= self.between and not unread
        told = ""
        if case.labels is not None and len(np.unique(case.labels)) > 1:
            with_, without = (probe_accuracy(rows, case.labels, case.seed) for rows in (moved, other))
            evidence |= {"probe accuracy, this side": with_, "probe accuracy, other side": without}
            present = present and with_ >= without - self.accuracy
            told = f" A probe's accuracy is {100 * with_:.1f} % here and {100 * without:.1f} % on the other side."
        evidence["thresholds"] = (
            f"CKA lost {self.lost:g}, variance {self.between:g}, R² {self.readable:g}, kept {self.kept:g}"
        )
        words = (
            f"A block of {100 * inside.mean():.0f} % of the items lies apart and alone takes CKA from {after:.3f} to "
            f"{now:.3f}, while {100 * kept:.0f} % of the other side's variance can still be read.{told}"
            if present
            else f"Taking out the offset of the block most apart moves CKA from {now:.3f} to {after:.3f}.{told}"
        )
        return self.finding(where, present, evidence, words)


def block_apart(rows: Matrix) -> tuple[np.ndarray[Any, np.dtype[np.bool_]], float]:
    """The smaller of two blocks along the first principal component, and its share of the variance of all features.

    The cut is the one with the least variance inside the blocks (two-means in one dimension, exact).
    """
    centered = rows - rows.mean(axis=0)
    total = float(np.sum(centered**2))
    if total == 0:
        return np.zeros(len(rows), dtype=np.bool_), 0.0
    along = centered @ np.linalg.svd(centered, full_matrices=False)[2][0]
    order = np.argsort(along, kind="stable")
    n, reached = len(rows), np.cumsum(along[order])[:-1]
    size = np.arange(1, n)
    cut = int(np.argmax(reached**2 * n / (size * (n - size))))  # what lies between the blocks, the mean being 0
    inside = np.zeros(n, dtype=np.bool_)
    inside[order[: cut + 1]] = True
    if 2 * inside.sum() > n:
        inside = ~inside
    offset = centered[inside].mean(axis=0) - centered[~inside].mean(axis=0)
    between = float(inside.mean() * (1 - inside.mean()) * n * np.sum(offset**2)) / total
    return inside, between


def probe_accuracy(rows: Matrix, labels: np.ndarray[Any, np.dtype[np.int64]], seed: int) -> float:
    """Cross-validated accuracy of a ridge classifier on standardised features."""
    spread = rows.std(axis=0)
    z = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    fold = fold_of_items(len(z), FOLDS, seed)
    hits = 0
    for k in range(FOLDS):
        held = fold == k
        hits += int(np.sum(classifier(z[~held], labels[~held]).predict(z[held]) == labels[held]))
    return hits / len(z)
