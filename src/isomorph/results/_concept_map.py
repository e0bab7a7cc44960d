"""The map of concepts: which items and concepts two sides see alike, and what is bound to one of them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from ..errors import InputError, UnknownNameError
from ._base import Result
from ._concept_tables import VERDICTS, ConceptItems, ConceptLabels
from ._concept_words import more_lines
from ._covariates import Covariates
from ._limits import Limits, Redundancy
from ._modalities import MapItems, Modalities, Transfer
from ._numbers import format_p

_SHOWN = 24  # concepts of a set that are printed


@dataclasses.dataclass(frozen=True, eq=False)
class WholeScore(Result):
    """The score of all items together.

    Attributes:
        score: Mean score of the items.
        chance: Its expectation if the items were paired anew.
        p_value: Chance of a mean at least as high.
        low: Lower bound over items.
        high: Upper bound.
        corrected: Chance-corrected score.
        x_ceiling: Chance-corrected agreement within the modality of x; None without ceilings.
        y_ceiling: The same of y.
        share: `corrected` over the geometric mean of both; None without them, or if one is not above chance.
        share_low: Lower bound of that.
        share_high: Upper bound.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> whole = iso.concepts(x, x + 0.3 * noise, metric="mutual_knn(k=5)", permutations=99).whole
        >>> round(whole.score, 2), round(whole.chance, 2), whole.p_value
        (0.72, 0.08, 0.01)
    """

    kind: ClassVar[str] = "whole_score"

    score: float
    chance: float
    p_value: float
    low: float
    high: float
    corrected: float
    x_ceiling: float | None = None
    y_ceiling: float | None = None
    share: float | None = None
    share_low: float | None = None
    share_high: float | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Example(Result):
    """An item with its neighbours on both sides.

    Attributes:
        id: The item.
        verdict: What it stands for: a verdict, ``"most alike"`` or ``"least alike"``.
        score: Its score.
        x_neighbors: Ids of the nearest items in x, nearest first.
        y_neighbors: The same in y.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = iso.concepts(x, x + 0.3 * noise, metric="mutual_knn(k=3)", permutations=99).examples[0]
        >>> found.verdict, found.score, set(found.x_neighbors) == set(found.y_neighbors)
        ('most alike', 1.0, True)
    """

    kind: ClassVar[str] = "concept_example"

    id: str
    verdict: str
    score: float
    x_neighbors: tuple[str, ...]
    y_neighbors: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class ConceptMap(Result):
    """Which items and concepts two sides see alike, beyond chance, and what is bound to one modality.

    Attributes:
        metric: Spec of the metric.
        variant: The same with every parameter.
        item_score: What the score of an item is, in words.
        x_name: What `x` is.
        y_name: What `y` is.
        n: Number of items.
        x_layers: Layer of `x` for each fold of the items, chosen on the others.
        y_layers: The same of `y`.
        whole: All items together.
        items: One row an item.
        label_sets: Label set -> one row a concept.
        x_ceilings: Names of the other models of the modality of `x`.
        y_ceilings: The same of `y`.
        examples: Items with both neighbourhoods, some of each verdict.
        shared: Share of the ceilings that counts as shared.
        stable: Chance-corrected agreement that counts as stable.
        covariates: What predicts the scores of items; None if nothing was asked for.
        limits: Agreement as a share of the ceilings, by gallery size and number of neighbours; None without ceilings.
        redundancy: By metric, the share of their variance that spaces have in common which score like these; empty if
            not asked for.
        maps: Items and concepts under a map that was fitted without them; None if not asked for.
        modalities: Which concepts a third modality shares; None without one, or without labels.
        transfer: Maps between three modalities, direct and through the third; None without one.
        alpha: Level; intervals cover 1 - alpha.
        permutations: Random re-pairings.
        design: How items changed places, empty if freely.
        item_p: Where the p of items comes from, in words.
        seed: Seed.
        dataset: What the items are.
        notes: What readers must know.
        provenance: How to make it again.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> z, e, f = rng.normal(size=(3, 200, 6))
        >>> kind = np.repeat(["alike", "not"], 100)
        >>> y = np.where((kind == "alike")[:, None], z + 0.2 * e, f)  # half of the items are seen alike
        >>> found = iso.concepts(z, y, labels=kind, permutations=199)
        >>> found.labels["alike"]["score"] > 2 * found.labels["not"]["score"]
        True
        >>> found.labels["alike"]["p"], found.labels["not"]["p"] > 0.05
        (0.005, True)
    """

    kind: ClassVar[str] = "concept_map"

    metric: str
    variant: str
    item_score: str
    x_name: str
    y_name: str
    n: int
    x_layers: tuple[str, ...]
    y_layers: tuple[str, ...]
    whole: WholeScore
    items: ConceptItems
    label_sets: Mapping[str, ConceptLabels]
    x_ceilings: tuple[str, ...] = ()
    y_ceilings: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    shared: float = 0.5
    stable: float = 0.1
    covariates: Covariates | None = None
    limits: Limits | None = None
    redundancy: tuple[Redundancy, ...] = ()
    maps: MapItems | None = None
    modalities: Modalities | None = None
    transfer: Transfer | None = None
    alpha: float = 0.05
    permutations: int = 1000
    design: str = ""
    item_p: str = ""
    seed: int = 0
    dataset: str = ""
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def labels(self) -> ConceptLabels:
        """The concepts of the first label set.

        Raises:
            InputError: if no labels were given.
        """
        if not self.label_sets:
            raise InputError("This map has no concepts: it was made without labels. Give labels=, or items= with some.")
        return next(iter(self.label_sets.values()))

    def of(self, label_set: str) -> ConceptLabels:
        """The concepts of a label set.

        Raises:
            UnknownNameError: if there is no such set.
        """
        if label_set not in self.label_sets:
            raise UnknownNameError("label set", str(label_set), self.label_sets)
        return self.label_sets[label_set]

    def verdicts(self, label_set: str = "") -> dict[str, tuple[str, ...]]:
        """Verdict -> the concepts that it is passed on; empty where a side has no ceilings."""
        table = self.of(label_set) if label_set else self.labels
        pairs = list(zip(table.names, table.verdicts, strict=False))
        return {v: found for v in VERDICTS if (found := tuple(name for name, own in pairs if own == v))}

    def contradictions(self) -> Iterator[str]:
        if len(self.items.ids) != self.n:
            yield f"it has {len(self.items.ids)} items of {self.n}"
        for name in ("shared", "stable", "alpha"):
            if not 0 < getattr(self, name) < 1:
                yield f"{name}={getattr(self, name)} is no share"
        if len(self.x_layers) != len(self.y_layers):
            yield "its folds have layers of one side alone"
        for table in self.label_sets.values():
            if any(not 0 <= row < self.n for rows in table.members for row in rows):
                yield f"{table.name} has members that are no rows of its {self.n} items"

    def to_frame(self) -> Any:
        """One row an item, as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return self.items.to_frame()

    def __str__(self) -> str:
        return "\n".join(self.lines())

    __repr__ = __str__

    def lines(self) -> Iterator[str]:
        """The map in words."""
        whole = self.whole
        layers = Counter(zip(self.x_layers, self.y_layers, strict=True)).most_common()
        shown = ", ".join(f"{a} × {b}" for (a, b), _ in layers)
        yield f"Concepts of {self.x_name} × {self.y_name}: {self.n:,} items, {self.metric}, layers {shown}"
        yield (
            f"  all items   {whole.score:.3f} [{whole.low:.3f}, {whole.high:.3f}], chance {whole.chance:.3f}, "
            f"p {format_p(whole.p_value)}"
        )
        if whole.share is not None:
            yield (
                f"  ceilings    {whole.x_ceiling:.2f} for {self.x_name}, {whole.y_ceiling:.2f} for {self.y_name}, in "
                f"their modalities, beyond chance; across them {whole.corrected:.2f}, a share of {whole.share:.2f} "
                f"[{whole.share_low:.2f}, {whole.share_high:.2f}]"
            )
        passed = int((self.items.q_values <= self.alpha).sum())
        yield f"  {passed:,} of {self.n:,} items are seen alike beyond chance (false discovery rate {self.alpha:g})"
        for table in self.label_sets.values():
            yield from _label_lines(table)
        yield from more_lines(self.limits, self.redundancy, self.covariates, self.maps, self.modalities, self.transfer)
        for note in self.notes:
            yield f"  Note: {note}"


def _label_lines(table: ConceptLabels) -> Iterator[str]:
    """The concepts of a set, highest first; of those of a single item how many there are."""
    several = [k for k in range(len(table.names)) if table.counts[k] > 1]
    order = sorted(several, key=lambda k: -table.scores[k])
    alone = len(table.names) - len(several)
    rest = f", {alone} of them with a single item and not shown" if alone else ""
    yield f"  {table.name}, {len(table.names)} concepts{rest}, highest first:"
    width = min(32, max(map(len, table.names)))
    for k in order if len(order) <= _SHOWN else [*order[: _SHOWN // 2], -1, *order[-(_SHOWN // 2) :]]:
        if k < 0:
            yield f"    … {len(order) - _SHOWN} more"
            continue
        verdict = f"  {table.verdicts[k]}" if table.verdicts else ""
        share = f", {table.shares[k]:.2f} of its ceilings" if np.isfinite(table.shares[k]) else ""
        yield (
            f"    {table.names[k][:width]:<{width}} {table.counts[k]:>5}  {table.scores[k]:.3f} "
            f"[{table.low[k]:.3f}, {table.high[k]:.3f}]  chance {table.chance[k]:.3f}  "
            f"q {format_p(table.q_values[k])}{verdict}{share}"
        )
    if table.verdicts:
        count = Counter(table.verdicts)
        yield "    " + ", ".join(f"{count[v]} {v}" for v in VERDICTS if count[v])
