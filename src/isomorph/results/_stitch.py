"""The result of stitching: held-out scores of fitted maps, each beside its controls and ceilings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..errors import quoted
from ._base import Result
from ._conditions import BASELINE, CONTROL, Condition, condition_of
from ._grids import dataset
from ._map_scores import DIRECTIONS, RETRIEVAL, Curve, Examples, MapScores, Score
from ._spellings import spelled
from ._tables import frame

Matrix = np.ndarray[Any, Any]


class BestMap(NamedTuple):
    """The map with the highest deciding score, with the p of that maximum over all maps.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> best = iso.stitch(x, x @ noise[:8], ["ridge", "mean"], repeats=2, permutations=5).best()
        >>> best.map, best.score, round(best.value, 2), best.above_controls
        ('ridge', 'mrr', 1.0, True)
    """

    map: str
    x_layer: str
    y_layer: str
    score: str
    value: float
    low: float
    high: float
    chance: float
    p_maximum: float | None
    above_controls: bool


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Stitch(Result, Mapping[str, MapScores]):
    """Held-out scores of maps from `x` to `y`: a mapping from map to `MapScores`.

    Any spelling that means a map finds it.

    Attributes:
        x_name: What `x` is.
        y_name: What `y` is.
        maps: Map spec -> its scores.
        x_layers: Layers of `x`.
        y_layers: Layers of `y`.
        chosen: Pair of layers chosen in each split, on its training pairs only.
        layer_scores: Held-out `mrr` of every pair of layers by `layer_map`, (len(x_layers), len(y_layers)).
        baseline_layer_scores: Control name, such as ``"untrained x"`` -> the same for that control.
        layer_map: The map of `layer_scores`.
        n: Number of items.
        n_train: Training pairs in each split.
        n_test: Held-out items in each split, which are the gallery.
        by: What was held out: ``"item"``, ``"label"`` or ``"group"``.
        test_fraction: Share held out.
        seed: Seed of splits, permutations and bootstrap.
        level: Coverage of the intervals.
        permutations: Refits to permuted pairs in each split.
        correction: Correction for hubs in retrieval, or None.
        decided_by: The score that decides.
        p_maximum: p of the best map's deciding score as a maximum over all maps, or None without permutations.
        pairs_curves: Scores against the number of training pairs.
        gallery_curves: Scores against the size of the gallery.
        examples: Queries with what the best map found, both ways.
        ids: One id an item (row numbers where none were given).
        test_rows: Held-out rows of each split.
        notes: What could not be done, and why.
        x_view: View of the items that `x` saw.
        y_view: View of the items that `y` saw.
        dataset: What the items are.
        conditions: What each baseline and ceiling is (`Condition`): role, name, side, what was given.
        provenance: How to make it again.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> stitch = iso.stitch(x, x @ noise[:8], ["ridge", "orthogonal"], repeats=2, permutations=5)
        >>> best = stitch.best()
        >>> best.map, best.score, round(best.value, 2), round(best.chance, 2)
        ('ridge', 'mrr', 1.0, 0.19)
        >>> stitch["ridge"].above_controls
        True
    """

    kind: ClassVar[str] = "stitch"

    x_name: str
    y_name: str
    maps: Mapping[str, MapScores]
    x_layers: tuple[str, ...]
    y_layers: tuple[str, ...]
    chosen: tuple[tuple[str, str], ...]
    layer_scores: Matrix
    layer_map: str
    n: int
    n_train: tuple[int, ...]
    n_test: tuple[int, ...]
    by: str
    test_fraction: float
    seed: int
    level: float
    permutations: int
    ids: tuple[str, ...]
    test_rows: tuple[tuple[int, ...], ...]
    decided_by: str = "mrr"
    p_maximum: float | None = None
    correction: str | None = None
    baseline_layer_scores: Mapping[str, Matrix] = dataclasses.field(default_factory=dict)
    pairs_curves: tuple[Curve, ...] = ()
    gallery_curves: tuple[Curve, ...] = ()
    examples: tuple[Examples, ...] = ()
    notes: tuple[str, ...] = ()
    x_view: str = ""
    y_view: str = ""
    dataset: str = ""
    conditions: tuple[Condition, ...] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def control(self, label: str) -> Condition:
        """What the control of a label is; a baseline takes the place of a side."""
        return condition_of(self.conditions, label, CONTROL, BASELINE)

    def contradictions(self) -> Iterator[str]:
        layers = (len(self.x_layers), len(self.y_layers))
        if not self.maps or not self.chosen:
            yield "there is no map or no split in it"
        elif any(x not in self.x_layers or y not in self.y_layers for x, y in self.chosen):
            yield "a layer was chosen that is not there"
        if any(table.shape != layers for table in (self.layer_scores, *self.baseline_layer_scores.values())):
            yield f"its layer scores do not fit {layers[0]} × {layers[1]} layers"
        if len({len(v) for v in (self.chosen, self.n_train, self.n_test, self.test_rows)}) > 1:
            yield "its parts are of unlike numbers of splits"
        if len(self.ids) != self.n or any(not 0 <= row < self.n for rows in self.test_rows for row in rows):
            yield f"its ids or held-out rows do not fit {self.n} items"
        named = {c.map for c in (*self.pairs_curves, *self.gallery_curves)} | {e.map for e in self.examples}
        named.add(self.layer_map)
        if named - set(self.maps):
            yield f"the map {quoted(min(named - set(self.maps)))} has curves, examples or layer scores, and no scores"
        wanted = {self.decided_by, *(f"{d}.{k}" for d in DIRECTIONS for k in RETRIEVAL)}
        for name, scores in self.maps.items():
            if name != scores.map:
                yield f"the scores of {quoted(name)} are of another map"
            if missing := sorted(wanted - set(scores.scores)):
                yield f"{name} has no score {missing[0]}"

    def __getitem__(self, map: str) -> MapScores:
        return spelled(map, self.maps, "was not fitted; this stitch has")

    def __iter__(self) -> Iterator[str]:
        return iter(self.maps)

    def __len__(self) -> int:
        return len(self.maps)

    @property
    def x_layer(self) -> str:
        """The layer of `x` that was chosen most often."""
        return self._most_chosen[0]

    @property
    def y_layer(self) -> str:
        """The layer of `y` that was chosen most often."""
        return self._most_chosen[1]

    @property
    def _most_chosen(self) -> tuple[str, str]:
        counts: dict[tuple[str, str], int] = {}
        for x, y in self.chosen:
            counts[x, y] = counts.get((x, y), 0) + 1
        return max(counts, key=lambda pair: counts[pair])

    def test_ids(self, repeat: int = 0) -> tuple[str, ...]:
        """Ids of the held-out items of one split."""
        return tuple(self.ids[i] for i in self.test_rows[repeat])

    def train_ids(self, repeat: int = 0) -> tuple[str, ...]:
        """Ids of the training pairs of one split."""
        held = set(self.test_rows[repeat])
        return tuple(id_ for i, id_ in enumerate(self.ids) if i not in held)

    def best(self) -> BestMap:
        """The map with the highest deciding score; being the highest of several, it carries the p of the maximum."""
        name = max(self.maps, key=lambda m: self.maps[m][self.decided_by].value)
        top = self.maps[name]
        s = top[self.decided_by]
        return BestMap(
            name,
            self.x_layer,
            self.y_layer,
            self.decided_by,
            s.value,
            s.low,
            s.high,
            s.chance,
            self.p_maximum,
            top.above_controls,
        )

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary for each map, control or ceiling, and score."""
        own = {"x": self.x_name, "y": self.y_name, "x_layer": self.x_layer, "y_layer": self.y_layer, "by": self.by}
        return [own | r for scores in self.maps.values() for r in scores.to_records()]

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def to_xarray(self) -> Any:
        """The held-out scores as a dataset of xarray, with dimensions ``map``, ``score`` and ``beside``.

        Variables ``value``, ``low``, ``high``, ``chance`` and ``p_value`` are of maps and scores; ``beside_value`` is
        also of the controls and ceilings; NaN for what a map does not have. Attributes are the settings.

        Raises:
            MissingExtraError: if xarray is not installed.

        Example:
            >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
            >>> held = iso.stitch(x, x + noise, "ridge", repeats=2, permutations=0).to_xarray()
            >>> round(float(held.value.sel(map="ridge", score="mrr")), 2)
            0.77
        """
        maps = [*self.maps.values()]
        scores = [*dict.fromkeys(name for m in maps for name in m.scores)]
        beside = [*dict.fromkeys(name for m in maps for name in (*m.controls, *m.ceilings))]

        def table(of: Mapping[str, Score], part: str) -> list[float]:
            return [getattr(of[name], part) if name in of else np.nan for name in scores]

        parts = ("value", "low", "high", "chance")
        held: dict[str, Any] = {k: (("map", "score"), [table(m.scores, k) for m in maps]) for k in parts}
        held["p_value"] = (("map", "score"), [[m.p_value.get(name, np.nan) for name in scores] for m in maps])
        others = [{**m.controls, **m.ceilings} for m in maps]
        held["beside_value"] = (("map", "beside", "score"), np.reshape(
            [[table(o.get(b, {}), "value") for b in beside] for o in others], (len(maps), len(beside), len(scores))
        ))  # fmt: skip
        names = ("x_name", "y_name", "n", "by", "test_fraction", "seed", "level", "permutations", "decided_by")
        labels = {"map": tuple(self.maps), "score": scores, "beside": beside}
        return dataset(held, labels, {k: getattr(self, k) for k in names})

    def __repr__(self) -> str:
        pairs, test = (_range(v) for v in (self.n_train, self.n_test))
        lines = [
            f"Stitch of {self.x_name} → {self.y_name} at {self.x_layer} × {self.y_layer}: fitted on {pairs} pairs, "
            f"gallery of {test} held out by {self.by}, {len(self.chosen)} splits"
        ]
        shown = ("r2", "cosine", "x_to_y.R@1", "y_to_x.R@1", "x_to_y.R@10", "y_to_x.R@10", "mrr", "zero_shot", "probe")
        columns = [c for c in shown if any(c in m.scores for m in self.maps.values())]
        rows = [["", *columns, ""]]
        for name, m in self.maps.items():
            verdict = "above its controls" if m.above_controls else "NOT above its controls"
            rows.append([name, *(_cell(m.scores.get(c)) for c in columns), verdict])
            rows += [[f"  {c}", *(_cell(s.get(k)) for k in columns), "control"] for c, s in m.controls.items()]
            rows += [[f"  {c}", *(_cell(s.get(k)) for k in columns), "ceiling"] for c, s in m.ceilings.items()]
        rows.append(["chance", *(_chance(c, self.maps) for c in columns), ""])
        widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
        for r in rows:
            cells = [r[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(r[1:-1], widths[1:-1], strict=True)), r[-1]]
            lines.append("  " + "  ".join(cells).rstrip())
        return "\n".join(lines)


def _cell(score: Score | None) -> str:
    return "–" if score is None else f"{score.value:.3f}"


def _chance(name: str, maps: Mapping[str, MapScores]) -> str:
    return next(f"{m.scores[name].chance:.3f}" for m in maps.values() if name in m.scores)


def _range(values: tuple[int, ...]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"
