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
from typing import Any, NamedTuple, cast

import numpy as np

from .._core.arrays import take_rows, to_numpy
from .._core.files import write_target
from .._core.parallel import spread
from .._core.progress import Advance
from ..conditions import Side
from ..design import Codes, Design
from ..errors import InputError
from ..metrics import Metric
from ..significance import Orders
from ._tiles import Pairs, Tile, tiles_of
from .settings import AtlasSettings

Floats = np.ndarray[Any, np.dtype[np.float64]]
Choose = Callable[[Floats], tuple[Codes, Codes]]

LAYERS_FILE = "layers.json"
"""The order of the layers in what `atlas(keep=…)` writes."""
CHANCE = 4
"""Re-pairings of a half of the items that tell the chance of its score."""
ORDERS = 64
"""Re-pairings of one piece of work."""
PAIRS = 64
"""Pairs of models of one piece of work, where items are left out."""
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
    tiles = len(tiles_of([len(s.layers) for s in plan.sides], plan.models, pairs))
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
    work = Work(metric, plan)
    pairs, tiles = work.pairs, work.tiles
    values, chosen = np.empty(len(pairs)), np.empty((len(pairs), 2), dtype=np.int64)
    total, models = plan.ends[-1], len(plan.sides)
    profiles = np.full((total, models), np.nan)
    sign = -1.0 if metric.distance else 1.0
    kept = _kept(metric, plan)
    for t, scores in spread(_scores, work, range(len(tiles))):
        for k, rows, columns in tiles[t].blocks():
            block = scores[rows, columns]
            i, j = pairs[k]
            if kept is not None:
                kept[plan.ends[i] : plan.ends[i + 1], plan.ends[j] : plan.ends[j + 1]] = block
                if metric.symmetric:
                    kept[plan.ends[j] : plan.ends[j + 1], plan.ends[i] : plan.ends[i + 1]] = block.T
            values[k], chosen[k] = _read(block, work.choose)
            profiles[plan.ends[i] : plan.ends[i + 1], j] = sign * (sign * block).max(axis=1)
            if metric.symmetric:
                profiles[plan.ends[j] : plan.ends[j + 1], i] = sign * (sign * block).max(axis=0)
    own = [np.empty((0, 0))] * models
    for k, block in spread(_own, work, range(models)):
        own[k] = block
        if kept is not None:
            kept[plan.ends[k] : plan.ends[k + 1], plan.ends[k] : plan.ends[k + 1]] = block
    if kept is not None:
        kept.flush()
        del kept
    null = _null(work)
    held, chance, layers = _halves(work)
    deviations, degrees = _deviations(work, chosen, held)
    return Found(values, chosen, null, held, chance, layers, deviations, degrees, profiles, tuple(own))


class Work:
    """What every piece of work of one metric reads. Pieces may be done elsewhere: states stay where they were made.

    Attributes:
        metric: The metric.
        plan: What all metrics share.
        pairs: The pairs of models that are scored.
        tiles: Their tiles.
        choose: What chooses pairs of layers.
    """

    def __init__(self, metric: Metric[Any], plan: Plan) -> None:
        self.metric, self.plan = metric, plan
        self.pairs = directed(plan.pairs, metric)
        self.tiles = tiles_of([len(s.layers) for s in plan.sides], plan.models, self.pairs)
        self.choose = chooser(plan.settings.layers, distance=metric.distance)
        self._parts: int | None = None
        self._states: dict[Any, Any] = {}

    def __reduce__(self) -> Any:
        return Work, (self.metric, dataclasses.replace(self.plan, advance=_nothing, keep=None))

    def sides(self, tile: Tile, half: int = -1, rows: Codes | None = None) -> tuple[list[Any], list[Any]]:
        """The states of the layers of both sides of a tile."""
        first, second = ([s for m in side for s in self.states(m, half, rows)] for side in (tile.first, tile.second))
        return first, second

    def states(self, model: int, half: int = -1, rows: Codes | None = None) -> list[Any]:
        """The states of a model's layers, made once: of all items, or of those of a half.

        Raises:
            InputError: if the metric does not take a layer.
        """  # a function makes the error; its class is named above
        if (half, model) not in self._states:
            made = _prepared(self.metric, self.plan.sides[model], rows)
            # states keep what a comparison needs of them alone, rounded as in that comparison: it is always this one,
            # whichever piece of work comes first
            self._states[half, model] = made, _clipped(self.metric, self.metric.compare(made, made))
        return cast(list[Any], self._states[half, model][0])

    def own(self, model: int) -> Floats:
        """The scores of a model's layers among themselves."""
        self.states(model)
        return cast(Floats, self._states[-1, model][1])

    def state(self, model: int, layer: int) -> Any:
        """The state of one layer, of all items."""
        if (model, layer, None) not in self._states:
            name = list(self.plan.sides[model].layers)[layer]
            features = self.plan.sides[model].features(
                name, min_items=self.metric.min_items, rdms=self.metric.reads_rdms
            )
            self._states[model, layer, None] = self.metric.prepare(features)
        return self._states[model, layer, None]

    def only(self, part: int) -> None:
        """Forget the states that another part of the work needed."""
        if part != self._parts:
            self._parts, self._states = part, {}


def _nothing(_: int) -> None:
    """Nobody watches."""


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


# ---- pieces of work -------------------------------------------------------------------------------------------------


def _scores(work: Work, tile: int) -> Floats:
    work.only(-1)
    return _clipped(work.metric, work.metric.compare(*work.sides(work.tiles[tile])))


def _own(work: Work, model: int) -> Floats:
    work.only(-1)
    return work.own(model)


def _clipped(metric: Metric[Any], scores: Any) -> Floats:
    found = to_numpy(scores).astype(np.float64)
    if not np.isfinite(found).all():
        raise InputError(f"{metric.spec} is not finite for two of the layers; leave out layers in huge units.")
    return np.asarray(found.clip(*metric.range))  # rounding may lead out of it


def _null(work: Work) -> Floats:
    """Scores of all pairs under every re-pairing, layers chosen anew under each.

    Raises:
        InputError: if one is not finite.
    """
    orders, metric = work.plan.orders, work.metric
    out = np.empty((len(orders), len(work.pairs)))
    pieces = [(t, start) for t in range(len(work.tiles)) for start in range(0, len(orders), ORDERS)]
    for p, found in spread(_permuted, work, pieces):
        tile, start = pieces[p]
        out[start : start + len(found), [k for k, _, _ in work.tiles[tile].asked]] = found
        work.plan.advance(len(found))
    if not np.isfinite(out).all():
        raise InputError(f"{metric.spec} is not finite under a permutation of the items; it cannot be calibrated here.")
    return out.clip(*metric.range)


def _permuted(work: Work, piece: tuple[int, int]) -> Floats:
    """Scores of the pairs of a tile under some of the re-pairings."""
    work.only(-1)
    metric, tile, start = work.metric, work.tiles[piece[0]], piece[1]
    best = work.plan.settings.layers in ("best", "last", "stacked")
    sign = -1.0 if metric.distance else 1.0
    _, at, to = (np.array(column) for column in zip(*tile.asked, strict=True))
    orders = work.plan.orders[start : start + ORDERS]
    out = np.empty((len(orders), len(tile.asked)))
    for row, scores in enumerate(metric.compare_permuted(*work.sides(tile), orders)):
        if best:  # the best of every block at once
            tops = np.maximum.reduceat(sign * to_numpy(scores), tile.row_ends[:-1], axis=0)
            out[row] = sign * np.maximum.reduceat(tops, tile.column_ends[:-1], axis=1)[at, to]
        else:
            blocks = [to_numpy(scores)[rows, columns] for _, rows, columns in tile.blocks()]
            out[row] = [_read(block, work.choose)[0] for block in blocks]
    return out


def _halves(work: Work) -> tuple[Floats, Floats, Codes]:
    """Scores of every half of the items with the layers that the other half chooses, their chance, and these layers.

    Raises:
        InputError: if the metric is not defined on a half.
    """  # a function makes the error; its class is named above
    splits = work.plan.settings.splits
    out = np.empty((2 * splits, len(work.pairs)))
    chance = np.empty_like(out)
    layers = np.full((2 * splits, len(work.pairs), 2), -1, dtype=np.int64)
    pieces = [(split, t) for split in range(splits) for t in range(len(work.tiles))]
    for p, found in spread(_half, work, pieces):
        split, tile = pieces[p]
        ks = [k for k, _, _ in work.tiles[tile].asked]
        for whole, part in zip((out, chance, layers), found, strict=True):
            whole[2 * split : 2 * split + 2, ks] = part
        work.plan.advance(2 * (1 + CHANCE))
    return out, chance, layers


def _half(work: Work, piece: tuple[int, int]) -> tuple[Floats, Floats, Codes]:
    """The same of the pairs of one tile and the two halves of one split."""
    split, tile = piece[0], work.tiles[piece[1]]
    work.only(split)
    part = [*_parts(work.plan)][split]
    blocks = [_blocks(work, tile, piece[0], h, np.flatnonzero(part if h == 0 else ~part)) for h in range(2)]
    out = np.empty((2, len(tile.asked)))
    chance = np.empty_like(out)
    layers = np.full((2, len(tile.asked), 2), -1, dtype=np.int64)
    for h, (one, other) in enumerate((blocks, blocks[::-1])):
        for k, block in enumerate(one):
            i, j = work.choose(block[0])
            read = other[k][:, i, j].mean(axis=1)
            out[h, k], chance[h, k] = read[0], read[1:].mean()
            if len(i) == 1:
                layers[h, k] = int(i[0]), int(j[0])
    return out, chance, layers


def _parts(plan: Plan) -> Iterator[Any]:
    """Which items are in the first half, for each split."""
    for split in range(plan.settings.splits):
        yield plan.design.part(plan.sides[0].n, 0.5, plan.settings.seed + split)


def _blocks(work: Work, tile: Tile, split: int, half: int, rows: Codes) -> list[Floats]:
    """The scores of all layers of every pair of a tile, of some of the items: as they are, then paired at random."""
    metric, plan = work.metric, work.plan
    orders = plan.design.take(rows).orders(len(rows), CHANCE, plan.settings.seed + split)
    xs, ys = work.sides(tile, half, rows)
    scores = [_clipped(metric, metric.compare(xs, ys)), *map(to_numpy, metric.compare_permuted(xs, ys, orders))]
    return [np.stack([each[some, others] for each in scores]) for _, some, others in tile.blocks()]


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


def _deviations(work: Work, chosen: Codes, held: Floats) -> tuple[Floats, float]:
    """How scores move together with items: by the jackknife where the metric has influences, else by the halves.

    Halves are independent samples of half the items: half their difference has the variance of a score of all items, if
    that falls as 1 / n. Of several splits they are averaged.
    """
    plan, pairs = work.plan, len(work.pairs)
    by_halves = (held[0::2] - held[1::2]) / (2 * np.sqrt(len(held) / 2))
    if (chosen < 0).any() or plan.design.series:
        plan.advance(pairs)
        return by_halves, float(len(by_halves))
    parts: list[Floats] = [np.empty((0, 0))] * -(-pairs // PAIRS)
    pieces = [(start, chosen[start : start + PAIRS]) for start in range(0, pairs, PAIRS)]
    told = 0
    for p, found in spread(_moved, work, pieces):
        if found is None:
            plan.advance(pairs - told)
            return by_halves, float(len(by_halves))
        parts[p] = found
        told += found.shape[1]
        plan.advance(found.shape[1])
    return np.concatenate(parts, axis=1), float("inf")


def _moved(work: Work, piece: tuple[int, Codes]) -> Floats | None:
    """How the scores of some pairs move with items, or None where the metric has no influences."""
    work.only(-2)
    start, chosen = piece
    plan = work.plan
    size = int(plan.units.max()) + 1
    blocks = min(size, max(100, UNITS // len(work.pairs)))
    place = (np.random.default_rng([plan.settings.seed, 41]).permutation(size) * blocks // size)[plan.units]
    out = np.empty((blocks, len(chosen)))
    for k, (a, b) in enumerate(chosen.tolist()):
        i, j = work.pairs[start + k]
        influence = work.metric.influence([work.state(i, a)], [work.state(j, b)])
        if influence is None or (influence.known is not None and not influence.known.all()):
            return None
        moved = to_numpy(influence.left_out[:, 0, 0]).astype(np.float64)
        out[:, k] = np.bincount(place, weights=moved, minlength=blocks) / len(moved)
    return out


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
