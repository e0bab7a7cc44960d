"""Model RDMs compared with the RDM of the channels around each place, without ever holding all of these RDMs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import scipy

from .._core.arrays import as_features, to_numpy
from .._core.checks import check_name
from .._core.memory import block_bytes, limited, require
from .._core.progress import progress
from .._core.provenance import provenance
from ..design import Design
from ..errors import InputError, quoted
from ..metrics.rdm import (
    Rsa,
    comparable,
    condition_means,
    crossed,
    entries_of,
    fold_means,
    labeled,
    noise_precision,
)
from ..results import Searchlight
from ..significance import benjamini_hochberg
from ._read import FEWEST, in_order, named_models, shared_rows
from .settings import SearchlightSettings

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
_BLOCK, _TABLE = 1 << 26, 1 << 28  # bytes of the RDMs of one block of centers, and of permuted models
_NEAR = 4e-6  # rounding of a sum of products in single precision


@dataclasses.dataclass(frozen=True, eq=False)
class _Spheres:
    """Which channels lie around each center, and what makes them a vector that models are multiplied with."""

    tree: scipy.spatial.cKDTree
    centers: Ints
    radius: float
    least: int
    vector: Callable[[Ints], Floats]

    def blocks(self, rows: int) -> Iterator[tuple[Ints, Ints, Floats, list[str]]]:
        """Blocks of centers: those with an RDM, the sizes of their spheres, their vectors, and why others have none.

        Args:
            rows: Centers in a block.
        """
        for begin in range(0, len(self.centers), rows):
            part = self.centers[begin : begin + rows]
            inside = self.tree.query_ball_point(self.tree.data[part], self.radius, return_sorted=True)
            kept, sizes, vectors, lost = [], [], [], []
            for center, channels in zip(part, inside, strict=True):
                if len(channels) < self.least:
                    lost.append("")
                    continue
                try:
                    vectors.append(self.vector(np.asarray(channels)))
                except InputError as error:  # an item without variation in this sphere, or no pattern
                    lost.append(str(error))
                    continue
                kept.append(center)
                sizes.append(len(channels))
            yield np.array(kept, dtype=np.int64), np.array(sizes, dtype=np.int64), np.array(vectors), lost


def searchlight(
    responses: Any,
    positions: Any,
    models: Any,
    *,
    radius: float,
    distance: str = "correlation",
    comparison: str = "pearson",
    conditions: Any = None,
    runs: Any = None,
    residuals: Any = None,
    centers: Any = None,
    groups: Sequence[Any] | None = None,
    least: int = 5,
    permutations: int = 999,
    memory: str | int | None = None,
    seed: int = 0,
    name: str = "responses",
) -> Searchlight:
    """Compare model RDMs with the RDM of the channels within a radius of each center.

    p of each score is by re-pairing the items, in the same way for all centers, so that p of the maximum over centers
    holds whatever their dependence. RDMs are made and compared block by block: beside the result, memory is bounded by
    a fixed budget, or by `memory`, of which each of three blocks takes an eighth. Costs, for c centers of n items and v
    channels, m models and t permutations: O(c n² (v + m t)).

    Args:
        responses: Responses (n_measurements, channels): voxels, vertices or sensors.
        positions: Where each channel is (channels, 1 to 3), in any unit, such as voxel indices or mm.
        models: Model -> its RDM, as for `explain_rdms`; joined by name with `conditions`, where both are named.
        radius: Radius of the spheres in the unit of the positions; channels at just this distance are inside.
        distance: As in `isomorph.metrics.rdm.Rsa` (``"correlation"``, ``"cosine"``, ``"euclidean"``,
            ``"squared_euclidean"``), or ``"crossnobis"``.
        comparison: ``"pearson"``, ``"spearman"``, ``"cosine"``, ``"whitened_pearson"`` or ``"whitened_cosine"``.
        conditions: What was shown in each measurement, the items' names; repeats are averaged. Without, each row is an
            item.
        runs: The run of each measurement, for ``"crossnobis"``.
        residuals: Noise (n_residuals, channels), whose covariance in each sphere, shrunk, decorrelates its channels;
            for ``"crossnobis"``.
        centers: Which channels are centers: row numbers or a mask (channels,); by default all.
        groups: One label an item; groups of one size are re-paired as wholes.
        least: Fewest channels in a sphere; centers with fewer are left out and counted.
        permutations: Re-pairings of the items.
        memory: Working memory, such as ``"1GB"``; None takes blocks of fixed size.
        seed: Seed of the permutations.
        name: What to call the responses.

    Returns:
        A `Searchlight`: arrays of centers and models, ``map(model)`` for all channels, ``best(model)``.

    Raises:
        InputError: if shapes or labels do not fit each other, there are fewer than 6 items, a model lacks entries or is
            constant, or no center has an RDM.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> places = np.argwhere(np.ones((8, 8, 4)))
        >>> face, other = rng.normal(size=(2, 24, 3))
        >>> voxels = rng.normal(size=(24, len(places)))
        >>> there = np.linalg.norm(places - [2, 2, 2], axis=1) < 2
        >>> voxels[:, there] += 2 * face @ rng.normal(size=(3, there.sum()))
        >>> models = {"face": iso.RDMs.from_patterns(face), "other": iso.RDMs.from_patterns(other)}
        >>> found = iso.searchlight(voxels, places, models, radius=2, permutations=199)
        >>> best = found.best("face")
        >>> best["position"], round(best["score"], 2), best["p_maximum"]
        ((3.0, 3.0, 0.0), 0.89, 0.005)
        >>> int((found.p_maximum[:, 1] <= 0.05).sum())
        0
    """
    check_name(name, "name")
    settings = SearchlightSettings(radius, distance, comparison, least, permutations, memory, seed)
    rows = np.asarray(to_numpy(as_features(responses, "responses", min_items=3)), dtype=np.float64)
    tree = scipy.spatial.cKDTree(_positions(positions, rows.shape[1]))
    ids, n, vector = _reader(rows, settings, conditions, runs, residuals)
    given = named_models(models)
    kept = shared_rows(ids, n, given, "responses")
    if len(kept) < n or n < FEWEST:
        raise InputError(
            f"responses have {n} items, of which all models have {len(kept)}; models of all items are needed, and at "
            f"least {FEWEST} items. Leave measurements of other conditions out."
        )
    table = _compared(given, np.concatenate([in_order(m, ids, kept) for m in given.values()]), comparison)
    orders = Design(groups=None if groups is None else _labels(groups, n)).orders(n, permutations, settings.seed)
    spheres = _Spheres(tree, _centers(centers, rows.shape[1]), float(radius), least, vector)
    with limited(memory):
        found = _map(spheres, table, orders, n)
    return Searchlight(
        name=name or "responses",
        models=tuple(given),
        positions=np.asarray(tree.data, dtype=np.float64),
        **found,
        radius=float(radius),
        distance=distance,
        comparison=comparison,
        n=n,
        permutations=permutations,
        seed=settings.seed,
        provenance=provenance(
            call="searchlight",
            name=name,
            models=list(given),
            noise=residuals is not None,
            grouped=groups is not None,
            **settings.facts(),
        ),
    )


def _map(spheres: _Spheres, table: Floats, orders: Any, n: int) -> dict[str, Any]:
    """Scores of all centers, their p-values, and what was left out.

    Raises:
        InputError: if no center has an RDM, or a block does not fit the memory.
    """
    entries, count = table.shape[1], len(table)
    rows = max(1, min(4096, block_bytes(_BLOCK) // (12 * entries)))  # the vectors twice, in double and single precision
    moved = _Moved(table, orders, block_bytes(_TABLE))
    require(
        8 * entries * 4 * 3,
        f"The RDMs of {n:,} items",
        "Use fewer items: one block holds at least one RDM and one permuted model.",
    )
    highest = np.full((len(orders), count), -np.inf)
    parts: list[tuple[Ints, Ints, Floats, Floats]] = []
    sums, lost = np.zeros(count), []
    with progress(len(spheres.centers), "searchlight", unit="centers") as advance:
        for kept, sizes, vectors, why in spheres.blocks(rows):
            lost += why
            if len(kept):
                scores = vectors @ table.T
                reached = np.zeros((len(kept), count))
                single = vectors.astype(np.float32)
                for begin, end, part in moved.chunks(max(1, block_bytes(_BLOCK) // (4 * len(kept) * count))):
                    null = (single @ part.reshape(-1, entries).T).reshape(len(kept), end - begin, count)
                    highest[begin:end] = np.maximum(highest[begin:end], null.max(axis=0))
                    reached += np.sum(null >= scores[:, None] - _NEAR, axis=1)
                    sums += null.sum(axis=(0, 1), dtype=np.float64)
                parts.append((kept, sizes, scores, reached))
            advance(len(kept) + len(why))
    if not parts:
        said = next((w for w in lost if w), f"no sphere has {spheres.least} channels: give a larger radius, or least=")
        raise InputError(f"No center has an RDM: {said}")
    centers, sizes, scores, reached = (np.concatenate(v) for v in zip(*parts, strict=True))
    return _judged(centers, sizes, scores, reached, highest) | {
        "chance": sums / (len(centers) * len(orders)),
        "notes": tuple(_notes(lost, spheres.least, len(centers), len(orders))),
    }


def _judged(centers: Ints, sizes: Ints, scores: Floats, reached: Floats, highest: Floats) -> dict[str, Any]:
    count = len(highest)
    p = (1 + reached) / (1 + count)
    ordered = np.sort(highest, axis=0)
    at_least = np.stack([count - np.searchsorted(ordered[:, k], scores[:, k] - _NEAR)
                         for k in range(scores.shape[1])], axis=1)  # fmt: skip
    return {
        "centers": centers,
        "sizes": sizes,
        "scores": scores,
        "p_values": p,
        "q_values": np.stack([benjamini_hochberg(p[:, k]) for k in range(p.shape[1])], axis=1),
        "p_maximum": (1 + at_least) / (1 + count),
        "null_maximum": highest,
    }


class _Moved:
    """Models with their items re-paired, in single precision: kept if they fit, else made again for each block."""

    def __init__(self, table: Floats, orders: Any, most: int) -> None:
        self.table, self.orders, self.most = table, orders, most
        self.each = table.size * 4
        self.kept = self._made(0, len(orders)) if self.each * len(orders) <= most else None

    def chunks(self, count: int) -> Iterator[tuple[int, int, Any]]:
        """Chunks of at most `count` permutations (permutations, models, entries), each with its first and last."""
        count = count if self.kept is not None else max(1, min(count, self.most // self.each))
        for begin in range(0, len(self.orders), count):
            end = min(begin + count, len(self.orders))
            yield begin, end, self._made(begin, end) if self.kept is None else self.kept[begin:end]

    def _made(self, begin: int, end: int) -> Any:
        out = np.empty((end - begin, *self.table.shape), dtype=np.float32)
        for t, order in enumerate(self.orders[begin:end]):
            out[t] = entries_of(self.table, order)
        return out


def _reader(
    rows: Floats, settings: SearchlightSettings, conditions: Any, runs: Any, residuals: Any
) -> tuple[tuple[str, ...] | None, int, Callable[[Ints], Floats]]:
    """Names of the items, their number, and what makes the vector of some channels.

    Raises:
        InputError: if labels are missing or do not fit.
    """
    if residuals is not None and settings.distance != "crossnobis":
        raise InputError(f"residuals= are given and distance={settings.distance!r} reads none; use 'crossnobis'.")
    if settings.distance != "crossnobis":
        if runs is not None:
            raise InputError(f"runs= are given and distance={settings.distance!r} reads none; use 'crossnobis'.")
        ids, means = condition_means(rows, conditions)
        return ids, len(means), _plain(means, settings)
    if conditions is None or runs is None:
        raise InputError("distance='crossnobis' multiplies differences between runs; give conditions= and runs=.")
    names, own, others = fold_means(rows, *(labeled(v, k, len(rows))[2]
                                            for k, v in (("conditions", conditions), ("runs", runs))))  # fmt: skip
    noise = None if residuals is None else _residuals(residuals, rows.shape[1])

    def vector(channels: Ints) -> Floats:
        part = own[:, :, channels]
        part = part if noise is None else part @ noise_precision(noise[:, channels])
        rdm = crossed(part, others[:, :, channels])
        return np.asarray(comparable(rdm / (np.abs(rdm).max() or 1.0), settings.comparison, rdm.dtype))

    return tuple(map(str, names)), len(names), vector


def _plain(means: Floats, settings: SearchlightSettings) -> Callable[[Ints], Floats]:
    """What makes the vector of some channels of mean responses: as `Rsa`, and faster where angles are compared as such.

    Items that are nearly the same, or have no direction, are left to `Rsa`, which rounds and refuses them rightly.
    """
    rsa = Rsa(dissimilarity=settings.distance, comparison=settings.comparison)
    quick = settings.distance in ("correlation", "cosine") and settings.comparison in ("pearson", "cosine")
    columns, n = np.ascontiguousarray(means.T), len(means)
    upper = np.ravel_multi_index(np.triu_indices(n, 1), (n, n))

    def vector(channels: Ints) -> Floats:
        rows = columns[channels]
        largest = np.abs(rows).max(axis=0)
        if quick and largest.min() > 1e-100 and largest.max() < 1e100:
            if settings.distance == "correlation":
                rows -= rows.mean(axis=0)
            length = np.sqrt(np.einsum("ij,ij->j", rows, rows))
            if np.all(length > 1e-6 * largest):
                rows /= length
                rdm = 1 - np.take(rows.T @ rows, upper)
                least, most = rdm.min(), rdm.max()
                if settings.comparison == "pearson":
                    rdm -= rdm.mean()
                if least > 1e-6 and most - least > 1e-6:
                    return np.asarray(rdm / np.sqrt(rdm @ rdm))
        return np.asarray(rsa.prepare(means[:, channels]).vector)

    return vector


def _compared(models: Any, rows: Floats, comparison: str) -> Floats:
    """The models (models, entries) as vectors that RDMs are multiplied with.

    Raises:
        InputError: if one lacks entries or is the same for all pairs.
    """
    out = []
    for name, row in zip(models, rows, strict=True):
        if np.isnan(row).any():
            raise InputError(
                f"models[{quoted(name)}] lacks {int(np.isnan(row).sum())} dissimilarities; a searchlight needs whole "
                "ones. Leave such items out."
            )
        try:
            out.append(np.asarray(comparable(row / (np.abs(row).max() or 1.0), comparison, row.dtype)))
        except InputError as error:
            raise InputError(f"models[{quoted(name)}]: {error}") from error
    return np.stack(out)


def _positions(given: Any, channels: int) -> Floats:
    try:
        found = np.asarray(to_numpy(given), dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"positions={quoted(given)} holds no numbers; one place a channel is needed.") from error
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or len(found) != channels or not 1 <= found.shape[1] <= 3 or not np.isfinite(found).all():
        raise InputError(
            f"positions has shape {found.shape}; finite numbers of shape ({channels}, 1 to 3) are needed, a place for "
            f"each of the {channels} channels of responses."
        )
    return found


def _centers(given: Any, channels: int) -> Ints:
    if given is None:
        return np.arange(channels)
    found = np.asarray(given)
    if found.dtype.kind == "b" and found.shape == (channels,):
        found = np.flatnonzero(found)
    if found.ndim != 1 or found.dtype.kind not in "iu" or found.size == 0:
        raise InputError(f"centers={quoted(given)}: row numbers of channels, or a mask of all {channels}, are needed.")
    if found.min() < 0 or found.max() >= channels or len(np.unique(found)) < len(found):
        raise InputError(f"centers holds {found.min()} to {found.max()}; each is a channel, 0 to {channels - 1}, once.")
    return found.astype(np.int64)


def _residuals(given: Any, channels: int) -> Floats:
    found = np.asarray(to_numpy(as_features(given, "residuals", min_items=3)), dtype=np.float64)
    if found.shape[1] != channels:
        raise InputError(f"residuals has {found.shape[1]} channels and responses {channels}; both must be the same.")
    return found


def _labels(groups: Any, n: int) -> list[Any]:
    if isinstance(groups, (str, bytes)) or not hasattr(groups, "__len__") or len(groups) != n:
        raise InputError(f"groups={quoted(groups)}: one label for each of the {n} items is needed.")
    return list(groups)


def _notes(lost: list[str], least: int, centers: int, permutations: int) -> Iterator[str]:
    few = sum(not why for why in lost)
    if few:
        yield f"{few:,} centers are left out: fewer than {least} channels are in their spheres."
    broken = [why for why in lost if why]
    if broken:
        yield f"{len(broken):,} centers are left out, since their RDM is not defined: {broken[0]}"
    if (permutations + 1) * 0.05 < centers:
        yield (
            f"With {permutations} permutations p is {1 / (permutations + 1):.2g} at the least, so that q reaches 0.05 "
            f"only where {int(np.ceil(centers / (permutations + 1) / 0.05)):,} centers or more have that p. Read p of "
            "the maximum, or take more permutations."
        )
