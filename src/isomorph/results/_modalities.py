"""What maps carry from one modality to another, item by item and label by label, and what three modalities share."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from ..errors import UnknownNameError
from ._base import Result
from ._numbers import format_p, listed
from ._tables import frame

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

_GAPS = {"gaps": True}
SHARED_BY_ALL, SHARED_BY_NONE, SHARED_THROUGH = "all", "none", "through "
"""Verdicts on a label beside those that name a pair of modalities; `SHARED_THROUGH` is followed by one of them."""


@dataclasses.dataclass(frozen=True, eq=False)
class MapLabels(Result):
    """How high the right partners of each label's items stand under a map; one number a label.

    Attributes:
        names: The labels.
        counts: Items of each.
        scores: Mean score of its items, from 0 (partners stand last) to 1 (first).
        chance: Its expectation under the design; 1/2 where all partners may change places.
        low: Lower bound over items, the map and the gallery held fixed; a gap of a label of one item or group.
        high: Upper bound; a gap likewise.
        p_values: One-sided p among re-pairings.
        q_values: The false discovery rate at which each passes (Benjamini-Hochberg).
        permutations: Re-pairings that were drawn.
        source: What was re-paired: the held-out partners, the fitted maps as they are and deviations widened by √2 for
            it; or all items, with all maps fitted anew.

    Example:
        >>> from isomorph.concept_maps import map_items
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 4))
        >>> found = map_items("ridge", x, x + noise, labels=["a", "b"] * 30, permutations=99).labels
        >>> found.names, found.counts.tolist(), found.scores.round(1).tolist()
        (('a', 'b'), [30, 30], [0.9, 0.8])
    """

    kind: ClassVar[str] = "map_labels"

    names: tuple[str, ...]
    counts: Ints
    scores: Floats
    chance: Floats
    low: Floats = dataclasses.field(metadata=_GAPS)
    high: Floats = dataclasses.field(metadata=_GAPS)
    p_values: Floats
    q_values: Floats
    permutations: int
    source: str

    def contradictions(self) -> Iterator[str]:
        yield from _unlike(self, len(self.names), ("counts", "scores", "chance", "low", "high", "p_values", "q_values"))

    def records(self) -> list[dict[str, Any]]:
        """One record a label."""
        columns = {"label": self.names, "n": self.counts, "score": self.scores, "chance": self.chance}
        columns |= {"low": self.low, "high": self.high, "p": self.p_values, "q": self.q_values}
        return _records(columns)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class MapItems(Result):
    """Every item under a map that was fitted without it; one number an item.

    Attributes:
        map: Spec of the map.
        n: Number of items.
        folds: The fold in which each was held out.
        gallery: Candidates (items, or groups) in each fold.
        scores: Where the right partner stands among these, from 0 (last) to 1 (first), ties at their mean.
        chance: Its expectation under the design; 1/2 where all partners may change places.
        p_values: Share of the candidates, the partner counted in, that stand as high: exact where the pairing means
            nothing, at least 1 / gallery.
        q_values: The false discovery rate at which each passes (Benjamini-Hochberg).
        cosine: Cosine of the mapped row with the partner's, from -1 to 1; 0 is chance.
        explained: Share of the partner's squared distance to the mean that the prediction explains: 1 all of it, 0 as
            much as the mean does, negative is worse; a gap for maps that predict no rows.
        labels: The same for labels, or None.
        seed: Seed of the folds.

    Example:
        >>> from isomorph.concept_maps import map_items
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 4))
        >>> found = map_items("ridge", x, x + 0.1 * noise)
        >>> found.n, round(float(found.scores.mean()), 2), round(float(found.p_values.min()), 3)
        (60, 1.0, 0.083)
    """

    kind: ClassVar[str] = "map_items"

    map: str
    n: int
    folds: Ints
    gallery: tuple[int, ...]
    scores: Floats
    chance: Floats
    p_values: Floats
    q_values: Floats
    cosine: Floats
    explained: Floats = dataclasses.field(metadata=_GAPS)
    labels: MapLabels | None
    seed: int

    def contradictions(self) -> Iterator[str]:
        names = ("folds", "scores", "chance", "p_values", "q_values", "cosine", "explained")
        yield from _unlike(self, self.n, names)
        if len(self.folds) and not 0 <= int(self.folds.min()) <= int(self.folds.max()) < len(self.gallery):
            yield "folds names a fold without a gallery"

    @property
    def ranks(self) -> Floats:
        """Rank of the right partner: 1 is best, halves where it is tied."""
        return np.asarray(1 + (1 - self.scores) * (np.array(self.gallery)[self.folds] - 1))

    def __repr__(self) -> str:
        score, chance = float(self.scores.mean()), float(self.chance.mean())
        return f"MapItems({self.map}, {self.n} items: mean score {score:.3f}, chance {chance:.3f})"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class TransferLoss(Result):
    """How much less a detour carries over than the direct map, over the same held-out items.

    Attributes:
        value: Direct less detour; positive where the detour loses.
        low: Lower bound over items, both maps and the gallery held fixed; a gap of one item or group.
        high: Upper bound.
        p_value: Two-sided p of no difference.

    Example:
        >>> TransferLoss(0.1, 0.05, 0.15, 0.001)
        +0.1000 (+0.0500 to +0.1500), p 0.001
    """

    kind: ClassVar[str] = "transfer_loss"

    value: float
    low: float
    high: float
    p_value: float

    def __repr__(self) -> str:
        return f"{self.value:+.4f} ({self.low:+.4f} to {self.high:+.4f}), p {format_p(self.p_value)}"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class TransferPath(Result):
    """What arrives by one path through spaces: direct, through a third, or there and back.

    Scores are ``"score"`` (mean place of the right partner, 0 last to 1 first), ``"R@1"``, ``"R@5"`` (share of items
    whose partner is among the first so many), ``"median_rank"`` (less is better), ``"cosine"`` and ``"r2"`` (about the
    mean of the fitted rows), all over held-out items, each ranked among those of its fold.

    Attributes:
        spaces: The spaces in order, such as ``("image", "text", "speech")``.
        values: Name -> score.
        low: Lower bounds over items of those that are means, the maps and the gallery held fixed.
        high: Upper bounds.
        chance: What maps that know nothing score; 1/2 for ``"score"`` where all partners may change places.
        p_value: One-sided p of ``"score"`` among re-pairings of the held-out partners.
        labels: ``"score"`` per label, or None.
        lost: Of a detour, what the direct map has more of: ``"score"``, ``"R@1"`` and ``"cosine"``; else empty.
        labels_lost: Of a detour, the same per label of ``"score"``: value, low, high, p (labels, 4); else empty.

    Example:
        >>> from isomorph.concept_maps import transfer
        >>> x, *noise = np.random.default_rng(0).normal(size=(4, 100, 4))
        >>> spaces = {name: x + 0.5 * e for name, e in zip(("image", "text", "speech"), noise)}
        >>> path = transfer(spaces, permutations=99)["image", "text", "speech"]
        >>> path.spaces, round(path.values["R@5"], 1), round(path.chance["R@5"], 2)
        (('image', 'text', 'speech'), 0.9, 0.25)
    """

    kind: ClassVar[str] = "transfer_path"

    spaces: tuple[str, ...]
    values: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    chance: Mapping[str, float]
    p_value: float
    labels: MapLabels | None = None
    lost: Mapping[str, TransferLoss] = dataclasses.field(default_factory=dict)
    labels_lost: Floats = dataclasses.field(default_factory=lambda: np.empty((0, 4)), metadata=_GAPS)

    def contradictions(self) -> Iterator[str]:
        if not {"score", "R@1", "R@5", "median_rank", "cosine", "r2"} <= self.values.keys() & self.chance.keys():
            yield "values or chance lack a score"
        if self.labels_lost.size and self.labels_lost.shape != (
            0 if self.labels is None else len(self.labels.names),
            4,
        ):
            yield f"labels_lost of shape {self.labels_lost.shape} does not fit the labels"

    @property
    def text(self) -> str:
        """The path in a few words, such as ``image → text → speech``."""
        return " → ".join(self.spaces)

    def __repr__(self) -> str:
        score = f"{self.values['score']:.3f} (chance {self.chance['score']:.3f})"
        hits = f"R@1 {self.values['R@1']:.3f} (chance {self.chance['R@1']:.3f})"
        return f"{self.text}: score {score}, {hits}, p {format_p(self.p_value)}"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Transfer(Result):
    """Held-out transfer between three spaces or more: each ordered pair, detours through a third, there and back.

    Attributes:
        names: The spaces.
        map: Spec of the map.
        n: Number of items.
        gallery: Candidates in each fold.
        paths: All paths: direct ones, detours, cycles.
        permutations: Re-pairings that p-values are counted among.
        alpha: Intervals cover 1 - alpha.
        seed: Seed.
        notes: Items that were left out.

    Example:
        >>> from isomorph.concept_maps import transfer
        >>> x, *noise = np.random.default_rng(0).normal(size=(4, 100, 4))
        >>> spaces = {name: x + 0.5 * e for name, e in zip(("image", "text", "speech"), noise)}
        >>> found = transfer(spaces, permutations=99)
        >>> len(found.direct), len(found.detours), len(found.cycles)
        (6, 6, 6)
    """

    kind: ClassVar[str] = "transfer"

    names: tuple[str, ...]
    map: str
    n: int
    gallery: tuple[int, ...]
    paths: tuple[TransferPath, ...]
    permutations: int
    alpha: float
    seed: int
    notes: tuple[str, ...] = ()

    def __getitem__(self, spaces: tuple[str, ...]) -> TransferPath:
        """A path by its spaces.

        Raises:
            UnknownNameError: if there is none.
        """
        for path in self.paths:
            if path.spaces == tuple(spaces):
                return path
        raise UnknownNameError("path", " → ".join(map(str, spaces)), [p.text for p in self.paths])

    @property
    def direct(self) -> tuple[TransferPath, ...]:
        """Paths from one space to another."""
        return tuple(p for p in self.paths if len(p.spaces) == 2)

    @property
    def detours(self) -> tuple[TransferPath, ...]:
        """Paths from one space to another through a third."""
        return tuple(p for p in self.paths if len(p.spaces) == 3 and p.spaces[0] != p.spaces[2])

    @property
    def cycles(self) -> tuple[TransferPath, ...]:
        """Paths to another space and back."""
        return tuple(p for p in self.paths if len(p.spaces) == 3 and p.spaces[0] == p.spaces[2])

    def contradictions(self) -> Iterator[str]:
        for path in self.paths:
            if not set(path.spaces) <= set(self.names):
                yield f"the path {path.text} goes through a space that is not named"

    def records(self) -> list[dict[str, Any]]:
        """One record a path."""
        found = []
        for p in self.paths:
            row: dict[str, Any] = {"path": p.text, "p": p.p_value}
            for name, value in p.values.items():
                row |= {name: value, f"{name}_chance": p.chance[name]}
            row |= {f"{name}_lost": lost.value for name, lost in p.lost.items()}
            found.append(row)
        return found

    def to_frame(self) -> Any:
        """The paths as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return frame(self.records())

    def __repr__(self) -> str:
        lines = [f"Transfer by {self.map} between {listed(self.names)}, {self.n} items held out in turn"]
        for path in self.paths:
            lost = f", detour loses {path.lost['score']}" if path.lost else ""
            lines.append(f"  {path}{lost}")
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Modalities(Result):
    """Which labels three modalities share: all of them, two, or none.

    Arrays have one row a label, and one column a pair of modalities in the order of `pairs`.

    Attributes:
        names: The modalities.
        pairs: ``("image", "text")``, … : first and second, first and third, second and third.
        labels: The labels.
        counts: Items of each label, the fewest of its pairs.
        agreement: Chance-corrected agreement (0 is chance, 1 the most); where both modalities have ceilings, as a
            share of their geometric mean. A gap where a score is missing.
        low: Lower bounds, over items.
        high: Upper bounds.
        p_values: Adjusted p of what is said of each pair: of agreement above chance where that is at least `least`, of
            agreement of `least` or more where it is below.
        status: 1 shared, -1 apart, 0 open.
        verdicts: One a label: ``"all"``, a pair such as ``"image+text"`` (and that alone), ``"through image"`` (with
            both others, which are apart), ``"none"`` or ``"undecided"``.
        reasons: Why a label is undecided; empty elsewhere.
        needed: Items of the label with which what it looks like would be shown in 80 of 100 samples; a gap where it is
            decided or that cannot be said.
        least: The agreement from which on a label counts as shared.
        alpha: Level.
        correction: ``"holm"``, ``"bh"`` or ``"by"``, over labels and pairs.
        items: Which pairs an item is told in by its q -> how many items; empty where none were given.

    Example:
        >>> from isomorph.concept_maps import modalities
        >>> def pair(*scores):
        ...     s = np.array(scores)
        ...     p = np.where(s > 0.3, 1e-9, 0.5)
        ...     return {"names": ("cat", "idea"), "counts": [50, 50], "scores": s, "chance": 0 * s, "low": s - 0.05,
        ...             "high": s + 0.05, "p_values": p}
        >>> pairs = {("image", "text"): pair(0.6, 0.5), ("image", "speech"): pair(0.5, 0.0)}
        >>> modalities(pairs | {("text", "speech"): pair(0.5, 0.0)}).verdicts
        ('all', 'image+text')
    """

    kind: ClassVar[str] = "modalities"

    names: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]
    counts: Ints
    agreement: Floats = dataclasses.field(metadata=_GAPS)
    low: Floats = dataclasses.field(metadata=_GAPS)
    high: Floats = dataclasses.field(metadata=_GAPS)
    p_values: Floats
    status: Ints
    verdicts: tuple[str, ...]
    reasons: tuple[str, ...]
    needed: Floats = dataclasses.field(metadata=_GAPS)
    least: float
    alpha: float
    correction: str
    items: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def contradictions(self) -> Iterator[str]:
        yield from _unlike(self, len(self.labels), ("counts", "verdicts", "reasons", "needed"))
        for name in ("agreement", "low", "high", "p_values", "status"):
            if getattr(self, name).shape != (len(self.labels), len(self.pairs)):
                yield f"{name} has shape {getattr(self, name).shape}, not one row a label and one column a pair"

    @property
    def tally(self) -> dict[str, int]:
        """Verdict -> how many labels have it."""
        return dict(sorted(Counter(self.verdicts).items()))

    def of(self, verdict: str) -> tuple[str, ...]:
        """The labels of a verdict."""
        return tuple(name for name, v in zip(self.labels, self.verdicts, strict=True) if v == verdict)

    def records(self) -> list[dict[str, Any]]:
        """One record a label."""
        columns: dict[str, Any] = {"label": self.labels, "n": self.counts, "verdict": self.verdicts}
        for k, pair in enumerate(self.pairs):
            name = "+".join(pair)
            columns |= {name: self.agreement[:, k], f"{name} low": self.low[:, k], f"{name} high": self.high[:, k]}
            columns[f"{name} p"] = self.p_values[:, k]
        return _records(columns | {"needed": self.needed, "reason": self.reasons})

    def to_frame(self) -> Any:
        """The labels as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return frame(self.records())

    def __repr__(self) -> str:
        counted = listed([f"{count} {verdict}" for verdict, count in self.tally.items()])
        return f"Modalities({listed(self.names)}, {len(self.labels)} labels: {counted})"


def _records(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One record a row; None where nothing can be said."""
    rows = []
    for values in zip(*columns.values(), strict=True):
        plain = [v.item() if isinstance(v, np.generic) else v for v in values]
        told = [None if isinstance(v, float) and math.isnan(v) else v for v in plain]
        rows.append(dict(zip(columns, told, strict=True)))
    return rows


def _unlike(result: Result, count: int, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        if len(getattr(result, name)) != count:
            yield f"{name} has {len(getattr(result, name))} entries for {count}"
