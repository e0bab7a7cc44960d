"""The result of a scan: per metric, an alignment of every pair of layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from ..errors import InputError
from ._alignment import Alignment
from ._base import Result
from ._conditions import BASELINE, CEILING, Condition, condition_of
from ._grids import dataset, stacked
from ._spellings import spelled
from ._summary import summary
from ._tables import frame
from ._verdict import Verdict, verdict_of


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Neighborhoods(Result):
    """The nearest neighbours of items in the best pair of layers: where two models agree and where they do not.

    Attributes:
        x_layer: The layer of `x`.
        y_layer: The layer of `y`.
        k: Neighbours listed an item.
        ids: The listed items, those that both see most alike first.
        overlap: Share of common neighbours of each listed item, in [0, 1].
        x_neighbors: Ids of each item's neighbours in `x`, nearest first.
        y_neighbors: The same in `y`.
        nearest_by: What they are nearest by: ``"cosine"``, or the metric whose own neighbours they are.
        ranked_by: What the items are ranked by: ``"overlap"``, or the metric to whose score they give most and least.
        given: What each listed item gives to that score, whose mean over all items it is; the overlap itself where it
            is what they are ranked by. Empty in older files.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> ids = [f"item {i}" for i in range(60)]
        >>> x, y = (iso.Layers.from_arrays({"last": rows}, ids=ids) for rows in (x, x + 0.5 * noise))
        >>> found = iso.scan(x, y, "mutual_knn(k=3)", permutations=20).neighborhoods
        >>> found.k, found.nearest_by
        (3, 'mutual_knn(k=3)')
        >>> found.ids[0], found.x_neighbors[0], found.y_neighbors[0]  # the item that both see most alike
        ('item 51', ('item 57', 'item 27', 'item 47'), ('item 47', 'item 57', 'item 27'))
    """

    kind: ClassVar[str] = "neighborhoods"

    x_layer: str
    y_layer: str
    k: int
    ids: tuple[str, ...]
    overlap: tuple[float, ...]
    x_neighbors: tuple[tuple[str, ...], ...]
    y_neighbors: tuple[tuple[str, ...], ...]
    nearest_by: str = "cosine"
    ranked_by: str = "overlap"
    given: tuple[float, ...] = ()

    def contradictions(self) -> Iterator[str]:
        lists: list[tuple[Any, ...]] = [self.ids, self.overlap, self.x_neighbors, self.y_neighbors]
        if len({len(v) for v in lists + ([self.given] if self.given else [])}) > 1:
            yield "it lists unlike numbers of items"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Scan(Result, Mapping[str, Alignment]):
    """Every metric over every pair of layers: a mapping from metric to `Alignment`.

    Any spelling that means a metric finds it: ``scan["cka"]``, ``scan["unbiased_cka"]``.

    Attributes:
        x_name: What `x` is, such as ``"bundled:dinov2-small"``.
        y_name: What `y` is.
        alignments: Metric spec -> alignment.
        n: Number of items.
        seed: Seed of the permutations.
        x_view: View of the items that `x` saw.
        y_view: View of the items that `y` saw.
        dataset: What the items are.
        neighborhoods: Items that both see alike and items that they see differently, or None.
        p_maximum: p of the best score over all metrics and layers together, each in units of its own null, or None
            where not all were sampled.
        p_by_metric: Metric -> p of its best score, adjusted for the number of metrics by step-down (Westfall and Young
            1993); empty where not all were sampled, or in older files.
        notes: What a reader of the p-values must know about the items, such as duplicates.
        design: How the items were permuted, such as ``"permuted within labels (4 labels)"``; empty if freely.
        baselines: Label, such as ``"untrained x"`` -> the same scan with that baseline in place of one side.
        ceilings: Label, such as ``"other seed x"`` -> the same scan of `x` (or `y`) with another of its kind.
        conditions: What each baseline and ceiling is (`Condition`): role, name, side, what was given.
        undefined: Metric that was asked for -> why it is not defined on these items.
        provenance: How to make it again.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> scan = iso.scan(x, x + noise, ["cka", "mutual_knn(k=5)"], permutations=20)
        >>> list(scan), scan.n
        (["cka(estimator='unbiased')", 'mutual_knn(k=5)'], 60)
        >>> round(scan["unbiased_cka"].best().value, 2)  # any name of the metric
        0.54
    """

    kind: ClassVar[str] = "scan"

    x_name: str
    y_name: str
    alignments: Mapping[str, Alignment]
    n: int
    seed: int = 0
    x_view: str = ""
    y_view: str = ""
    dataset: str = ""
    neighborhoods: Neighborhoods | None = None
    p_maximum: float | None = None
    p_by_metric: Mapping[str, float] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    baselines: Mapping[str, Scan] = dataclasses.field(default_factory=dict)
    ceilings: Mapping[str, Scan] = dataclasses.field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    design: str = ""
    undefined: Mapping[str, str] = dataclasses.field(default_factory=dict)
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.alignments:
            raise InputError("The scan holds no metric; it needs at least one alignment.")

    def contradictions(self) -> Iterator[str]:
        if len({(a.x_layers, a.y_layers) for a in self.alignments.values()}) > 1:
            yield "its alignments are of unlike layers"
        if any(name != alignment.metric for name, alignment in self.alignments.items()):
            yield "an alignment has another name than its metric"
        if not isinstance(self.provenance.get("metrics", ()), tuple):
            yield "its provenance does not list the metrics"

    def __getitem__(self, metric: str) -> Alignment:
        return spelled(metric, self.alignments, "was not scanned; this scan has", self.undefined)

    def __iter__(self) -> Iterator[str]:
        return iter(self.alignments)

    def __len__(self) -> int:
        return len(self.alignments)

    def baseline(self, label: str) -> Condition:
        """What the baseline of a label is: its name, the side that it takes the place of, and what was given."""
        return condition_of(self.conditions, label, BASELINE)

    def ceiling(self, label: str) -> Condition:
        """What the ceiling of a label is: its name, the side that it is of, and what that was compared with."""
        return condition_of(self.conditions, label, CEILING)

    @property
    def x_layers(self) -> tuple[str, ...]:
        """Layers of `x`."""
        return next(iter(self.alignments.values())).x_layers

    @property
    def y_layers(self) -> tuple[str, ...]:
        """Layers of `y`."""
        return next(iter(self.alignments.values())).y_layers

    @property
    def verdict(self) -> Verdict:
        """What all metrics say together, what each says, and where they part; the rule is in docs/decisions.md."""
        return verdict_of(self)

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary for each metric and pair of layers."""
        return [{"x": self.x_name, "y": self.y_name, **r} for a in self.values() for r in a.to_records()]

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def to_xarray(self) -> Any:
        """All metrics as a dataset of xarray, with dimensions ``metric``, ``x_layer`` and ``y_layer``.

        Variables are those of `Alignment.to_xarray`, NaN for a metric that lacks one, and ``p_maximum`` and
        ``permutations`` of each metric; attributes are the settings.

        Raises:
            MissingExtraError: if xarray is not installed.

        Example:
            >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
            >>> scan = iso.scan({"first": noise, "last": x}, x + noise, ["cka", "rsa"], permutations=20)
            >>> dict(scan.to_xarray().value.sizes)
            {'metric': 2, 'x_layer': 2, 'y_layer': 1}
        """
        dims = ("metric", "x_layer", "y_layer")
        shape = (len(self.x_layers), len(self.y_layers))
        every = [a.grids() for a in self.values()]
        held: dict[str, tuple[tuple[str, ...], Any]] = {
            k: (dims, stacked([g[k] for g in every], shape)) for k in every[0]
        }
        held |= {k: (dims[:1], [getattr(a, k) for a in self.values()]) for k in ("p_maximum", "permutations")}
        names = ("x_name", "y_name", "n", "seed", "x_view", "y_view", "dataset", "design")
        labels = dict(zip(dims, (tuple(self), self.x_layers, self.y_layers), strict=True))
        return dataset(held, labels, {k: getattr(self, k) for k in names})

    def __repr__(self) -> str:
        return summary(self)
