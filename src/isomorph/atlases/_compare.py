"""One metric over all pairs of many models: every layer prepared once, all layers compared in tiles.

A pair of models has one score, made of those of its layers by a `Choice` of pairs of layers: the best one, a matching,
and so on. The same choice is made anew under every re-pairing of the items, so that chance and p answer for having
searched, and on one half of the items for the other, so that a held-out score owes nothing to the search.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._core.arrays import take_rows, to_numpy
from .._core.files import write_target
from .._core.progress import Advance
from ..conditions import Side
from ..design import Codes, Design
from ..errors import InputError
from ..metrics import Metric
from ..significance import Orders
from .settings import AtlasSettings

Floats = np.ndarray[Any, np.dtype[np.float64]]
Pairs = Sequence[tuple[int, int]]
Choose = Callable[[Floats], tuple[Codes, Codes]]

LAYERS_FILE = "layers.json"
"""The order of the layers in what `atlas(keep=…)` writes."""
TILE = 320
"""Layers of one tile: all pairs of so many are compared at once."""
CHANCE = 4
"""Re-pairings of a half of the items that tell the chance of its score."""
UNITS = 200_000
"""Numbers that are kept of how the scores of a metric move with items: of many pairs items are taken in blocks."""


class Found(NamedTuple):
    """What one metric gives; arrays over the compared pairs of models come first, the pair last.

    Attributes:
        values: Scores (pairs,).
        chosen: Layers of the first and of the second model that the score is of (pairs, 2), -1 where it is of several.
        null: Scores under each re-pairing (permutations, pairs).
        held_out: Scores of halves with layers chosen on the other half (2 splits, pairs).
        held_chance: The same layers with the items of the half paired at random (2 splits, pairs).
        held_layers: The layers that were chosen there (2 splits, pairs, 2), -1 as above.
        deviations: How scores move with items: their product with themselves is the covariance of the scores over
            samples of items (units, pairs).
        degrees: Degrees of freedom of that, infinite where it is by the jackknife.
        profiles: For every layer of every model its best score with any layer of another (layers of all, models); NaN
            where two are not compared.
        own: For every model its layers among themselves.
    """

    values: Floats
    chosen: Codes
    null: Floats
    held_out: Floats
    held_chance: Floats
    held_layers: Codes
    deviations: Floats
    degrees: float
    profiles: Floats
    own: tuple[Floats, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """What all metrics share.

    Attributes:
        sides: The models and their untrained twins.
        models: How many of them are models; twins come after.
        pairs: Which of them are compared, the first before the second.
        settings: How.
        orders: Re-pairings of the items.
        design: How items may change places.
        units: One number an item: what is drawn as one.
        advance: Called with the number of steps done.
        keep: Folder for the scores of all layers, or None.
    """

    sides: Sequence[Side]
    models: int
    pairs: Pairs
    settings: AtlasSettings
    orders: Orders
    design: Design
    units: Codes
    advance: Advance
    keep: Path | None = None

    @property
    def ends(self) -> list[int]:
        """Where the layers of each model begin and end, among all."""
        return [int(e) for e in np.cumsum([0, *(len(s.layers) for s in self.sides)])]


def directed(pairs: Pairs, metric: Metric[Any]) -> Pairs:
    """The pairs that are scored: both ways where that makes a difference."""
    return list(pairs) if metric.symmetric else [*pairs, *((j, i) for i, j in pairs)]


def steps(metric: Metric[Any], plan: Plan) -> int:
    """How often one metric calls `Plan.advance`."""
    pairs = directed(plan.pairs, metric)
    tiles = len(_tiles(plan, pairs))
    return tiles * (len(plan.orders) + 2 * plan.settings.splits * (1 + CHANCE)) + len(pairs)


def compare(metric: Metric[Any], plan: Plan) -> Found:
    """All that one metric gives.

    Raises:
        InputError: if it is not defined on a layer, or half of the items are too few for it.
    """
    n = plan.sides[0].n
    fewest = min(int(np.minimum(p.sum(), n - p.sum())) for p in _parts(plan))
    if fewest < metric.min_items:
        raise InputError(
            f"Half of the {n} items are {fewest}, and {metric.spec} needs {metric.min_items}: layers cannot be chosen "
            "on one half for the other. Take more items."
        )
    choose = chooser(plan.settings.layers, distance=metric.distance)
    pairs = directed(plan.pairs, metric)
    states = [_prepared(metric, side) for side in plan.sides]
    values, chosen = np.empty(len(pairs)), np.empty((len(pairs), 2), dtype=np.int64)
    total, models = plan.ends[-1], len(plan.sides)
    profiles = np.full((total, models), np.nan)
    sign = -1.0 if metric.distance else 1.0
    kept = _kept(metric, plan)
    for tile in _tiles(plan, pairs):
        scores = _scores(metric, states, tile)
        for k, rows, columns in tile.blocks():
            block = scores[rows, columns]
            i, j = pairs[k]
            if kept is not None:
                kept[plan.ends[i] : plan.ends[i + 1], plan.ends[j] : plan.ends[j + 1]] = block
                if metric.symmetric:
                    kept[plan.ends[j] : plan.ends[j + 1], plan.ends[i] : plan.ends[i + 1]] = block.T
            values[k], chosen[k] = _read(block, choose)
            profiles[plan.ends[i] : plan.ends[i + 1], j] = sign * (sign * block).max(axis=1)
            if metric.symmetric:
                profiles[plan.ends[j] : plan.ends[j + 1], i] = sign * (sign * block).max(axis=0)
    own = tuple(_clipped(metric, metric.compare(s, s)) for s in states)
    if kept is not None:
        for k, block in enumerate(own):
            kept[plan.ends[k] : plan.ends[k + 1], plan.ends[k] : plan.ends[k + 1]] = block
        kept.flush()
        del kept
    null = _null(metric, plan, pairs, states, choose)
    del states
    held, chance, layers = _halves(metric, plan, pairs, choose)
    deviations, degrees = _deviations(metric, plan, pairs, chosen, held)
    return Found(values, chosen, null, held, chance, layers, deviations, degrees, profiles, own)


def _kept(metric: Metric[Any], plan: Plan) -> Any:
    """The file for the scores of all layers with all layers, NaN where models are not compared; None for none."""
    if plan.keep is None:
        return None
    name = re.sub(r"[^\w.=-]+", "-", metric.spec).strip("-")
    names = [[side.name, layer] for side in plan.sides for layer in side.layers]
    write_target(plan.keep / LAYERS_FILE, json.dumps(names, indent=0), "keep")
    kept = np.lib.format.open_memmap(plan.keep / f"{name}.npy", mode="w+", dtype=np.float64, shape=(len(names),) * 2)
    kept[:] = np.nan
    return kept


# ---- one score out of the scores of all layers ----------------------------------------------------------------------


def chooser(layers: str, *, distance: bool) -> Choose:
    """What chooses pairs of layers out of a block of scores (layers of one, layers of the other): their mean counts.

    Example:
        >>> block = np.array([[0.1, 0.9], [0.2, 0.8]])
        >>> [chooser(how, distance=False)(block) for how in ("best", "matching")]
        [(array([0]), array([1])), (array([0, 1]), array([1, 0]))]
    """
    from scipy.optimize import linear_sum_assignment

    sign = -1.0 if distance else 1.0

    def best(block: Floats) -> tuple[Codes, Codes]:
        i, j = np.unravel_index(int(np.argmax(sign * block)), block.shape)
        return np.array([int(i)]), np.array([int(j)])

    def maxima(block: Floats) -> tuple[Codes, Codes]:
        rows, columns = np.arange(block.shape[0]), np.arange(block.shape[1])
        by_row, by_column = (sign * block).argmax(axis=1), (sign * block).argmax(axis=0)
        return np.concatenate([rows, by_column]), np.concatenate([by_row, columns])

    def matching(block: Floats) -> tuple[Codes, Codes]:
        i, j = linear_sum_assignment(block, maximize=not distance)
        return np.asarray(i), np.asarray(j)

    return {"row maxima": maxima, "matching": matching}.get(layers, best)


def _read(block: Floats, choose: Choose) -> tuple[float, tuple[int, int]]:
    i, j = choose(block)
    return float(block[i, j].mean()), (int(i[0]), int(j[0])) if len(i) == 1 else (-1, -1)


# ---- tiles ----------------------------------------------------------------------------------------------------------


class Tile(NamedTuple):
    """Models whose layers are compared at once with those of others.

    Attributes:
        first: Positions of the models whose layers are the rows.
        second: Of those whose layers are the columns.
        asked: Positions of the pairs, and of their models in the tile.
        row_ends: Where the layers of each begin and end.
        column_ends: The same of the columns.
    """

    first: Sequence[int]
    second: Sequence[int]
    asked: Sequence[tuple[int, int, int]]
    row_ends: Sequence[int]
    column_ends: Sequence[int]

    def blocks(self) -> Iterator[tuple[int, slice, slice]]:
        """Every pair of models, with the rows and columns of its layers."""
        for k, a, b in self.asked:
            yield k, slice(self.row_ends[a], self.row_ends[a + 1]), slice(self.column_ends[b], self.column_ends[b + 1])


def _tiles(plan: Plan, pairs: Pairs) -> list[Tile]:
    """Tiles of at most `TILE` layers a side that hold all pairs; models are taken in order."""
    sizes = [len(s.layers) for s in plan.sides]
    runs: list[list[int]] = []
    for model, size in enumerate(sizes):
        if runs and model != plan.models and sum(sizes[m] for m in runs[-1]) + size <= TILE:
            runs[-1].append(model)
        else:
            runs.append([model])
    place = {m: (r, a) for r, run in enumerate(runs) for a, m in enumerate(run)}
    asked: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for k, (i, j) in enumerate(pairs):
        (r, a), (c, b) = place[i], place[j]
        asked.setdefault((r, c), []).append((k, a, b))

    def ends(run: Sequence[int]) -> list[int]:
        return [int(e) for e in np.cumsum([0, *(sizes[m] for m in run)])]

    found = []
    for (r, c), wanted in asked.items():
        rows = sorted({a for _, a, _ in wanted})
        columns = sorted({b for _, _, b in wanted})
        first, second = [runs[r][a] for a in rows], [runs[c][b] for b in columns]
        at = [(k, rows.index(a), columns.index(b)) for k, a, b in wanted]
        found.append(Tile(first, second, at, ends(first), ends(second)))
    return found


def _scores(metric: Metric[Any], states: Sequence[Sequence[Any]], tile: Tile) -> Floats:
    xs, ys = ([s for m in side for s in states[m]] for side in (tile.first, tile.second))
    return _clipped(metric, metric.compare(xs, ys))


def _clipped(metric: Metric[Any], scores: Any) -> Floats:
    found = to_numpy(scores).astype(np.float64)
    if not np.isfinite(found).all():
        raise InputError(f"{metric.spec} is not finite for two of the layers; leave out layers in huge units.")
    return np.asarray(found.clip(*metric.range))  # rounding may lead out of it


def _null(metric: Metric[Any], plan: Plan, pairs: Pairs, states: Sequence[Sequence[Any]], choose: Choose) -> Floats:
    """Scores of all pairs under every re-pairing, layers chosen anew under each.

    Raises:
        InputError: if one is not finite.
    """
    out = np.empty((len(plan.orders), len(pairs)))
    best = plan.settings.layers in ("best", "last", "stacked")
    sign = -1.0 if metric.distance else 1.0
    tiles = _tiles(plan, pairs)
    for tile in tiles:
        xs, ys = ([s for m in side for s in states[m]] for side in (tile.first, tile.second))
        ks, at, to = (np.array(column) for column in zip(*tile.asked, strict=True))
        done = 0
        for start in range(0, len(plan.orders), 64):
            for scores in metric.compare_permuted(xs, ys, plan.orders[start : start + 64]):
                if best:  # the best of every block at once
                    tops = np.maximum.reduceat(sign * np.asarray(scores), tile.row_ends[:-1], axis=0)
                    out[done, ks] = sign * np.maximum.reduceat(tops, tile.column_ends[:-1], axis=1)[at, to]
                else:
                    for k, rows, columns in tile.blocks():
                        out[done, k] = _read(np.asarray(scores)[rows, columns], choose)[0]
                done += 1
                plan.advance(1)
    if not np.isfinite(out).all():
        raise InputError(f"{metric.spec} is not finite under a permutation of the items; it cannot be calibrated here.")
    return out.clip(*metric.range)


def _halves(metric: Metric[Any], plan: Plan, pairs: Pairs, choose: Choose) -> tuple[Floats, Floats, Codes]:
    """Scores of every half of the items with the layers that the other half chooses, their chance, and these layers.

    Raises:
        InputError: if the metric is not defined on a half.
    """
    settings = plan.settings
    out = np.empty((2 * settings.splits, len(pairs)))
    chance = np.empty_like(out)
    layers = np.full((2 * settings.splits, len(pairs), 2), -1, dtype=np.int64)
    for split, part in enumerate(_parts(plan)):
        halves = (np.flatnonzero(part), np.flatnonzero(~part))
        blocks = [_blocks(metric, plan, pairs, rows, settings.seed + split) for rows in halves]
        for h, (one, other) in enumerate((blocks, blocks[::-1])):
            for k, block in enumerate(one):
                i, j = choose(block[0])
                read = other[k][:, i, j].mean(axis=1)
                out[2 * split + h, k] = read[0]
                chance[2 * split + h, k] = read[1:].mean()
                if len(i) == 1:
                    layers[2 * split + h, k] = int(i[0]), int(j[0])
    return out, chance, layers


def _parts(plan: Plan) -> Iterator[Any]:
    """Which items are in the first half, for each split."""
    for split in range(plan.settings.splits):
        yield plan.design.part(plan.sides[0].n, 0.5, plan.settings.seed + split)


def _blocks(metric: Metric[Any], plan: Plan, pairs: Pairs, rows: Codes, seed: int) -> list[Floats]:
    """The scores of all layers of every pair, of some of the items: as they are, then paired at random."""
    orders = plan.design.take(rows).orders(len(rows), CHANCE, seed)
    states = [_prepared(metric, side, rows) for side in plan.sides]
    found: list[Floats] = [np.empty(0)] * len(pairs)
    for tile in _tiles(plan, pairs):
        xs, ys = ([s for m in side for s in states[m]] for side in (tile.first, tile.second))
        scores = [_scores(metric, states, tile), *map(np.asarray, metric.compare_permuted(xs, ys, orders))]
        for k, some, others in tile.blocks():
            found[k] = np.stack([each[some, others] for each in scores])
        plan.advance(len(scores))
    return found


def _prepared(metric: Metric[Any], side: Side, rows: Codes | None = None) -> list[Any]:
    """The states of a model's layers.

    Raises:
        InputError: if the metric does not take a layer.
    """
    found = []
    for layer in side.layers:
        try:
            unread = metric.streams and rows is None
            features = side.features(layer, min_items=metric.min_items, unread=unread, rdms=metric.reads_rdms)
            found.append(metric.prepare(features if rows is None else take_rows(features, rows)))
        except InputError as error:
            raise InputError(f"{side.name}, layer {layer!r}, {metric.spec}: {error}") from error
    return found


# ---- how scores move with items -------------------------------------------------------------------------------------


def _deviations(metric: Metric[Any], plan: Plan, pairs: Pairs, chosen: Codes, held: Floats) -> tuple[Floats, float]:
    """How scores move together with items: by the jackknife where the metric has influences, else by the halves.

    Halves are independent samples of half the items: half their difference has the variance of a score of all items, if
    that falls as 1 / n. Of several splits they are averaged.
    """
    by_halves = (held[0::2] - held[1::2]) / (2 * np.sqrt(len(held) / 2))
    if (chosen < 0).any() or plan.design.series:
        plan.advance(len(pairs))
        return by_halves, float(len(by_halves))
    size = int(plan.units.max()) + 1
    blocks = min(size, max(100, UNITS // len(pairs)))
    place = (np.random.default_rng([plan.settings.seed, 41]).permutation(size) * blocks // size)[plan.units]
    ready: dict[tuple[int, int], Any] = {}

    def state(model: int, layer: int) -> Any:
        if (model, layer) not in ready:
            name = list(plan.sides[model].layers)[layer]
            features = plan.sides[model].features(name, min_items=metric.min_items, rdms=metric.reads_rdms)
            ready[model, layer] = metric.prepare(features)
        return ready[model, layer]

    out = np.empty((blocks, len(pairs)))
    for k, ((i, j), (a, b)) in enumerate(zip(pairs, chosen.tolist(), strict=True)):
        influence = metric.influence([state(i, a)], [state(j, b)])
        if influence is None or (influence.known is not None and not influence.known.all()):
            plan.advance(len(pairs) - k)
            return by_halves, float(len(by_halves))
        moved = np.asarray(influence.left_out[:, 0, 0], dtype=np.float64)
        out[:, k] = np.bincount(place, weights=moved, minlength=blocks) / len(moved)
        plan.advance(1)
    return out, float("inf")


def stacked(side: Side) -> Side:
    """A model as one layer: all of its layers side by side, each centred and of total variance one."""
    from .._core.linalg import center, scaled

    parts = [np.asarray(to_numpy(scaled(center(side.features(layer))))) for layer in side.layers]
    return dataclasses.replace(side, layers={"all layers": np.hstack(parts)}, checked=set(), dims={})


def last(side: Side) -> Side:
    """A model as its last layer alone."""
    name = list(side.layers)[-1]
    layers: Mapping[str, Any] = {name: side.layers[name]}
    return dataclasses.replace(side, layers=layers, checked=side.checked & {name}, dims={})
