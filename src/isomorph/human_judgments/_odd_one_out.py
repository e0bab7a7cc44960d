"""How often a model chooses the odd one of three as people do, layer by layer, against chance and against people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._core.arrays import checked_once, to_numpy
from .._core.distributions import normal_isf
from .._core.linalg import directions
from .._core.memory import require
from .._core.progress import progress
from .._core.provenance import provenance
from ..conditions import Side, as_side
from ..errors import InputError, UnknownNameError, quoted
from ..nulls.judge import counted_p
from ..results import LayerAccuracy, OddOneOut
from ..significance import maximum_p
from ._triplets import Rows, read_triplets
from .settings import OddOneOutSettings, as_ceiling

Matrix = np.ndarray[Any, Any]
CHANCE = 1 / 3
_BLOCK = 1 << 20  # judgements that are looked up together


@checked_once()
def odd_one_out(
    x: Any,
    triplets: Any,
    *,
    layers: list[str] | tuple[str, ...] | str | None = None,
    similarity: str = "cosine",
    ceiling: Any = None,
    permutations: int = 999,
    alpha: float = 0.05,
    seed: int = 0,
    x_name: str | None = None,
) -> OddOneOut:
    """How often each layer chooses the odd one of three items that people chose.

    The layer chooses the item that is not in its most similar pair. Chance is 1/3.

    Args:
        x: Features of the items: what `iso.scan` takes for a side.
        triplets: Judgements (m, 3), the odd item last as in the files of THINGS: ids or row numbers, or a file.
        layers: Layers to use; by default all.
        similarity: ``"cosine"``, ``"dot"`` or ``"euclidean"``. By default the cosine, since the dot product, by which
            THINGS trains its own non-negative embeddings, follows the lengths of a network's rows: a long row is like
            everything.
        ceiling: How well people agree: an accuracy, or judgements of the same triplets by several people, (m, 3) or a
            file. By default it is taken from triplets that were judged several times, if there are any.
        permutations: Permutations of the items against the judgements; 0 for no p.
        alpha: Intervals cover 1 - alpha.
        seed: Seed of the permutations.
        x_name: What to call `x` in results.

    Returns:
        An `OddOneOut`: the accuracy of each layer with interval and p, and the p of the best layer among all.

    Raises:
        InputError: if features and judgements do not fit each other, or a setting is out of range.
        UnknownNameError: if there is no such layer.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> mind = rng.normal(size=(40, 4))
        >>> asked = np.stack([rng.permutation(40)[:3] for _ in range(500)])
        >>> near = (mind @ mind.T)[asked[:, [1, 2, 0]], asked[:, [2, 0, 1]]]  # of the pair without each item
        >>> odd = np.argmax(near, axis=1)[:, None]
        >>> judged = np.concatenate([asked[np.arange(3) != odd].reshape(-1, 2), np.take_along_axis(asked, odd, 1)], 1)
        >>> found = iso.odd_one_out({"early": rng.normal(size=(40, 4)), "late": mind}, judged, permutations=99)
        >>> found.best, found["late"].accuracy > 0.7, found.p_maximum
        ('late', True, 0.01)
    """
    settings = OddOneOutSettings(similarity=similarity, permutations=permutations, alpha=alpha, seed=seed)
    side = as_side(x, "x", x_name)
    names = _layers(side, layers)
    judged = read_triplets(triplets, side.ids, side.n)
    people = _ceiling(ceiling, judged.rows, side)
    used, rows = np.unique(judged.rows, return_inverse=True)  # only these are compared
    rows = np.asarray(rows.reshape(judged.rows.shape), dtype=np.int64)
    require(len(used) ** 2 * 4, f"The similarities of {len(used):,} items", "Give judgements of fewer items.")
    count = settings.permutations
    found: dict[str, tuple[float, float, float]] = {}
    null = np.zeros((count, len(names)))
    with progress(len(names) * (count + 1), "odd one out", unit="looks") as advance:
        for j, name in enumerate(names):
            near = _similarities(side, name, used, settings.similarity)
            hit = right(near, rows)
            advance(1)
            found[name] = (float(hit.mean()), *_interval(hit, rows, settings.alpha))
            rng = np.random.default_rng(settings.seed)  # the same permutations for every layer
            for k in range(count):
                null[k, j] = right(near, rng.permutation(len(used))[rows]).mean()
                advance(1)
    values = np.array([v for v, _, _ in found.values()])
    p = counted_p(values, null) if count else None
    return OddOneOut(
        x_name=side.name,
        scores={
            name: LayerAccuracy(
                *found[name],
                chance=CHANCE,
                permuted=float(null[:, j].mean()) if count else CHANCE,
                p_value=None if p is None else float(p[j]),
            )
            for j, name in enumerate(names)
        },
        p_maximum=maximum_p(values, null) if count else None,
        similarity=settings.similarity,
        n=len(used),
        n_triplets=len(rows),
        missing=judged.missing,
        permutations=count,
        seed=settings.seed,
        level=1 - settings.alpha,
        provenance=provenance(call="odd_one_out", x=dict(side.facts), layers=list(names), **settings.facts()),
        **people,
    )


def right(near: Matrix, rows: Rows) -> Matrix:
    """Whether the odd item is the one outside the most similar pair (m,); a share where pairs tie.

    Args:
        near: Similarities (n, n).
        rows: Judgements (m, 3), the odd item last.

    Example:
        >>> right(np.array([[1.0, 0.9, 0.1], [0.9, 1.0, 0.2], [0.1, 0.2, 1.0]]), np.array([[0, 1, 2], [0, 2, 1]]))
        array([1., 0.])
    """
    out = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        i, j, odd = rows[start : start + _BLOCK].T
        kept, first, second = near[i, j], near[i, odd], near[j, odd]
        best = np.maximum(np.maximum(kept, first), second)
        tied = (kept == best).astype(np.float64) + (first == best) + (second == best)
        out[start : start + _BLOCK] = (kept == best) / tied
    return out


def node_robust_error(values: Matrix, rows: Rows) -> float:
    """Standard error of the mean of values of triplets that share items.

    Triplets with an item in common are not independent. The variance is that of all pairs of triplets that share one,
    two or three items, by inclusion and exclusion over items, pairs and triplets (the dyadic estimator of Aronow, Samii
    and Assenova 2015, for three), as leaving out one of n items would have it: what is shared is over (1 - 3 / n)². It
    is never less than that of independent triplets.

    Args:
        values: One value a triplet (m,).
        rows: Its items (m, 3).

    Example:
        >>> float(node_robust_error(np.array([1.0, 0, 1, 0]), np.arange(12).reshape(4, 3)))  # no item in common
        0.25
    """
    rest = values - values.mean()
    ordered = np.sort(rows, axis=1)
    n = int(rows.max()) + 1
    single = np.zeros(n)
    for k in range(3):
        np.add.at(single, ordered[:, k], rest)
    pairs = np.concatenate([ordered[:, i] * n + ordered[:, j] for i, j in ((0, 1), (0, 2), (1, 2))])
    total = float(single @ single) - _grouped(pairs, np.tile(rest, 3))
    total += _grouped((ordered[:, 0] * n + ordered[:, 1]) * n + ordered[:, 2], rest)
    alone, items = float(rest @ rest), len(np.unique(rows))
    shared = max(total - alone, 0.0) / (1 - 3 / items) ** 2 if items > 3 else 0.0
    return math.sqrt(alone + shared) / len(values)


def _grouped(keys: Matrix, values: Matrix) -> float:
    """Sum over groups of the square of their sum."""
    sums = np.bincount(np.unique(keys, return_inverse=True)[1].reshape(-1), weights=values)
    return float(sums @ sums)


def agreement(rows: Rows) -> tuple[float, float, int] | None:
    """How well people could be told from people, from triplets that were judged several times.

    Args:
        rows: Judgements (m, 3), the odd item last.

    Returns:
        Lower ceiling: a judgement told by the majority of the others of its triplet; upper ceiling: told by the
        majority of all, itself among them, which no model exceeds; and how many triplets were judged twice or more.
        None if none was.

    Example:
        >>> lower, upper, count = agreement(np.array([[0, 1, 2], [1, 0, 2], [0, 2, 1], [3, 4, 5]]))
        >>> round(lower, 2), round(upper, 2), count
        (0.33, 0.67, 1)
    """
    ordered = np.sort(rows, axis=1)
    _, which = np.unique(ordered, axis=0, return_inverse=True)
    votes = np.zeros((int(which.max()) + 1, 3))
    np.add.at(votes, (which.reshape(-1), (ordered == rows[:, 2:]).argmax(axis=1)), 1)
    votes = votes[votes.sum(axis=1) > 1]
    if not len(votes):
        return None
    hits = 0.0
    for k in range(3):  # a judgement for this one, told by the others
        others = votes.copy()
        others[:, k] -= 1
        top = others.max(axis=1)
        told = (others[:, k] == top) / (others == top[:, None]).sum(axis=1)
        hits += float(np.sum(votes[:, k] * told))
    return hits / float(votes.sum()), float(votes.max(axis=1).sum() / votes.sum()), len(votes)


def _interval(hit: Matrix, rows: Rows, alpha: float) -> tuple[float, float]:
    reach = float(normal_isf(alpha / 2)) * node_robust_error(hit, rows)
    value = float(hit.mean())
    return max(0.0, value - reach), min(1.0, value + reach)


def _layers(side: Side, layers: Any) -> list[str]:
    """The layers that are used.

    Raises:
        InputError: if they are no list of names, or one holds an RDM.
        UnknownNameError: if there is no such layer.
    """
    wanted = list(side.layers) if layers is None else [layers] if isinstance(layers, str) else layers
    if not isinstance(wanted, list | tuple) or not wanted or not all(isinstance(v, str) for v in wanted):
        raise InputError(f"layers must be a list of names of layers, found {quoted(layers)}.")
    for name in wanted:
        if name not in side.layers:
            raise UnknownNameError("layer of x", name, side.layers)
    return list(dict.fromkeys(wanted))


def _similarities(side: Side, layer: str, used: Rows, similarity: str) -> Matrix:
    """Similarities of the items that were judged (n, n), in single precision, larger where more alike.

    Raises:
        InputError: if it is an RDM that misses entries.
    """
    if layer in side.rdms:
        square = side.layers[layer].square[np.ix_(used, used)]
        if np.isnan(square).any():
            raise InputError(f"layer {layer!r} is an RDM with missing entries, of which no odd one can be told.")
        return np.asarray(-square, dtype=np.float32)
    rows = np.asarray(to_numpy(side.features(layer, min_items=3)))[used].astype(np.float64)
    if similarity == "cosine":
        rows = directions(rows)
    near: Matrix = rows @ rows.T
    if similarity == "euclidean":
        squares = np.einsum("ij,ij->i", rows, rows)
        near = 2 * near - squares - squares[:, None]
    return np.asarray(near / (np.abs(near).max() or 1.0), dtype=np.float32)


def _ceiling(ceiling: Any, rows: Rows, side: Side) -> Mapping[str, Any]:
    """The fields of the result that say how well people agree.

    Raises:
        InputError: if judgements were given for it, none of which is of a triplet that was judged twice.
    """
    given = None if ceiling is None else as_ceiling(ceiling)
    if given is not None:
        return {"lower": given, "upper": given, "n_repeated": 0}
    found = agreement(rows if ceiling is None else read_triplets(ceiling, side.ids, side.n, "ceiling").rows)
    if found is None:
        if ceiling is not None:
            raise InputError("ceiling: none of these triplets was judged twice, so they tell no agreement of people.")
        return {"lower": None, "upper": None, "n_repeated": 0}
    return dict(zip(("lower", "upper", "n_repeated"), found, strict=True))
