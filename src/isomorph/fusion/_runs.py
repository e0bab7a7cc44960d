"""The fits of one split: every space alone, and every head with all spaces, with some, and with its controls."""

from __future__ import annotations

import contextvars
import dataclasses
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any

import numpy as np

from .._core.rows import WHAT_TO_DO, BlockRows
from ..design import Codes, Split, permutations
from ..errors import InputError
from ..heads import Head, Linear, Target, chosen_together, fit_linear, folds_of, reading_error, require_linear
from ..heldout.scores import ItemScore, Scores
from ..results import BEYOND, FUSION_DESCENDING
from ._scores import information, scored

Matrix = np.ndarray[Any, Any]
Spaces = dict[str, Matrix]
Layered = Mapping[str, Mapping[str, Matrix]]
"""Space -> layer -> rows (n, d), or several tokens an item (n, tokens, d)."""


def pooled(rows: Matrix) -> Matrix:
    """One row an item: the mean of its tokens, where it has several."""
    if isinstance(rows, BlockRows):
        return rows
    return rows.mean(axis=1) if rows.ndim == 3 else rows


@dataclasses.dataclass(frozen=True, eq=False)
class Work:
    """What all splits share.

    Attributes:
        spaces: The spaces.
        target: The target of all items.
        heads: The heads.
        twins: Space -> layers of its untrained twin.
        seconds: Space -> layers of a second model of its modality.
        groups: One group an item, or None.
        decided_by: The score that decides.
        controls: Whether controls are fitted.
        together: Whether the layers that heads read are chosen together.
        seed: Seed.
        advance: Called with 1 after each fit.
    """

    spaces: Layered
    target: Target
    heads: Sequence[Head]
    twins: Layered
    seconds: Layered
    groups: Codes | None
    decided_by: str
    controls: bool
    together: bool
    seed: int
    advance: Callable[[int], object] = lambda _: None

    @property
    def in_blocks(self) -> bool:
        """Whether rows of a space are read in blocks."""
        every = (*self.spaces.values(), *self.twins.values(), *self.seconds.values())
        return any(isinstance(rows, BlockRows) for layers in every for rows in layers.values())

    def require_blocks(self) -> None:
        """Refuse, before anything is fitted, what cannot be done on rows that are read in blocks.

        Raises:
            InputError: naming what cannot be done, and what to do.
        """
        if not self.in_blocks:
            return
        require_linear(self.target, self.target.n)
        for head in self.heads:
            if not head.in_blocks:
                raise InputError(
                    f"The head {head.spec} is fitted in memory, and {self.target.n:,} rows of every space do not fit "
                    f"there. {WHAT_TO_DO} concat is fitted in blocks."
                )
        for name, layers in self.spaces.items():
            if len(layers) > 1:
                raise InputError(
                    f"{name} has {len(layers)} layers, among which one is chosen in memory, and their rows do not fit "
                    f"there. Name one layer a space, or: {WHAT_TO_DO}"
                )

    @property
    def fits(self) -> int:
        """How many fits a split takes."""
        names = list(self.spaces)
        controls = len(control_names(self)) if self.controls else 0
        subsets = sum(1 for _ in _subsets(names))
        return len(names) + len(self.heads) * (1 + controls + subsets)


@dataclasses.dataclass(eq=False)
class Read:
    """What one head, or one space alone, gives for the held-out items of a split.

    Attributes:
        predicted: Probabilities or numbers (n_test, k).
        scores: All of its scores.
        bits: What it tells of each item (n_test,).
        layer: Of a space, the layer that was chosen.
        inner: Of a space, the score that decides on predictions for items of the training part.
        controls: Control -> score that decides.
        subsets: Spaces that it was fitted on -> what it gave.
        missing: What is wrong with a view -> score that decides.
    """

    predicted: Matrix
    scores: Scores
    bits: Matrix
    layer: str = ""
    inner: float = 0.0
    controls: dict[str, ItemScore] = dataclasses.field(default_factory=dict)
    subsets: dict[tuple[str, ...], Read] = dataclasses.field(default_factory=dict)
    missing: dict[str, ItemScore] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """All that one split gave.

    Attributes:
        truth: The target of the held-out items.
        blind: What predicting the shares or means scores.
        singles: Space -> what it gives alone.
        heads: Head -> what it gives.
        best: The space that scores most on the training part.
        notes: What could not be done.
        layers: Space -> the layer that heads read.
        explained: Where two spaces' layers were chosen together, the share of the target's variance that each pair of
            them explains of items left out, else None.
    """

    truth: Target
    blind: Read
    singles: dict[str, Read]
    heads: dict[str, Read]
    best: str
    notes: tuple[str, ...]
    layers: dict[str, str]
    explained: Matrix | None = None


class _Part:
    """One split at work."""

    def __init__(self, work: Work, split: Split, repeat: int):
        self.work, self.split, self.repeat = work, split, repeat
        self.fitted, self.truth = work.target.take(split.train), work.target.take(split.test)
        self.inner_groups = None if work.groups is None else work.groups[split.train]
        self.folds = folds_of(self.fitted, self.inner_groups, work.seed)
        self.linears: dict[str, Linear] = {}

    def rng(self, *what: int) -> np.random.Generator:
        return np.random.default_rng([self.work.seed, 23, self.repeat, *what])

    def chosen(self, layers: Mapping[str, Matrix], name: str) -> str:
        """The layer with the least leave-one-out error on the training part."""
        if len(layers) == 1:
            return next(iter(layers))
        train = self.split.train
        return min(layers, key=lambda k: reading_error(pooled(layers[k][train]), self.fitted, f"layer {k!r} of {name}"))

    def linear(self, name: str, key: str, rows: Matrix) -> Linear:
        """The linear model of one space, fitted once for each key and called by `name` within."""
        if key not in self.linears:
            self.linears[key] = fit_linear({name: pooled(rows[self.split.train])}, self.fitted, folds=self.folds)
        found = self.linears[key]
        return found if name in found.coef else _renamed(found, name)

    def chosen_together(self) -> tuple[dict[str, str], Matrix | None]:
        """The layers that tell most of the target of the training part together."""
        train = self.split.train
        spaces = {n: {k: pooled(rows[train]) for k, rows in layers.items()} for n, layers in self.work.spaces.items()}
        return chosen_together(spaces, self.fitted)

    def read(self, predicted: Matrix) -> Read:
        spread = None
        if self.truth.is_linear:
            spread = np.mean((self.truth.outcomes - predicted) ** 2, axis=0)
        bits = information(predicted, self.truth, self.fitted, spread)
        return Read(predicted, scored(predicted, self.truth, self.fitted), bits)

    def head(self, head: Head, spaces: Spaces, keys: Mapping[str, str]) -> Head:
        """A copy of a head fitted on the training part.

        Args:
            head: The head.
            spaces: All rows of its spaces.
            keys: Space -> under which key its own linear model is kept.
        """
        singles = {s: self.linear(s, keys[s], rows) for s, rows in spaces.items()} if head.separate else None
        train = {name: _read_by(head, rows[self.split.train]) for name, rows in spaces.items()}
        made = type(head)(**head.get_params())
        made.fit(train, self.fitted, groups=self.inner_groups, seed=self.work.seed, singles=singles)
        self.work.advance(1)
        return made

    def held_out(self, head: Head, spaces: Spaces) -> Matrix:
        return head.predict({name: _read_by(head, _held(rows, self.split.test)) for name, rows in spaces.items()})


def run_splits(work: Work, splits: Sequence[Split], advance: Callable[[int], object]) -> list[Found]:
    """All fits of all splits, several splits at once, each on one thread of BLAS.

    The fits are many and small: threads inside them wait for each other more than they work. Heads that are trained in
    steps draw from torch's own random numbers, and are trained one after the other.

    Raises:
        InputError: if a space or the target cannot be fitted.
    """
    from threadpoolctl import threadpool_limits

    lock = threading.Lock()

    def told(count: int) -> None:
        with lock:
            advance(count)

    work = dataclasses.replace(work, advance=told)
    one = work.in_blocks or any(head.trained for head in work.heads)  # blocks of several at once are as much more
    workers = 1 if one else min(len(splits), os.cpu_count() or 1)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        if workers == 1:
            return [run_split(work, split, r) for r, split in enumerate(splits)]
        jobs = [
            pool.submit(contextvars.copy_context().run, run_split, work, split, r) for r, split in enumerate(splits)
        ]
        try:
            return [job.result() for job in jobs]
        except BaseException:  # an error, or Ctrl-C: what has not begun need not
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def run_split(work: Work, split: Split, repeat: int) -> Found:
    """All fits of one split.

    Raises:
        InputError: if a space or the target cannot be fitted.
    """
    part = _Part(work, split, repeat)
    alone = {name: part.chosen(given, name) for name, given in work.spaces.items()}
    singles = {}
    for name, layer in alone.items():
        rows = work.spaces[name][layer]
        linear = part.linear(name, name, rows)
        single = singles[name] = part.read(linear.predict({name: pooled(_held(rows, split.test))}))
        single.layer = layer
        inner = scored(linear.unseen, part.fitted, part.fitted)[work.decided_by].value
        single.inner = -inner if work.decided_by in FUSION_DESCENDING else inner
        work.advance(1)
    layers, explained = part.chosen_together() if work.together else (alone, None)
    spaces = {name: work.spaces[name][layer] for name, layer in layers.items()}
    own = {name: name if layer == alone[name] else f"{name} at {layer}" for name, layer in layers.items()}
    controls, notes = _controls(part, spaces, layers, own) if work.controls else ({}, [])
    heads = {head.spec: _head(part, head, spaces, own, singles, controls) for head in work.heads}
    best = max(singles, key=lambda name: singles[name].inner)
    blind = part.read(np.broadcast_to(part.fitted.prior, part.truth.outcomes.shape))
    return Found(part.truth, blind, singles, heads, best, tuple(notes), layers, explained)


def _head(
    part: _Part,
    head: Head,
    spaces: Spaces,
    own: Mapping[str, str],
    singles: Mapping[str, Read],
    controls: Mapping[str, tuple[Spaces, dict[str, str]]],
) -> Read:
    decides = part.work.decided_by
    fitted = part.head(head, spaces, own)
    found = part.read(part.held_out(fitted, spaces))
    for label, views in _broken(part, spaces).items():
        seen = {name: None if rows is None else _read_by(head, rows) for name, rows in views.items()}
        found.missing[label] = scored(fitted.predict(seen), part.truth, part.fitted)[decides]
    found.subsets = {(name,): single for name, single in singles.items()}
    for names in _subsets(list(spaces)):
        some = {name: spaces[name] for name in names}
        found.subsets[names] = part.read(part.held_out(part.head(head, some, own), some))
    found.subsets[tuple(spaces)] = found
    for label, (given, keys) in controls.items():
        if head.separate and label.endswith(BEYOND):
            part.work.advance(1)
            continue  # the same pairs of one space and the target: the same models
        made = part.head(head, given, keys)
        held = part.held_out(made, spaces if label.endswith(BEYOND) else given)
        found.controls[label] = scored(held, part.truth, part.fitted)[decides]
    return found


def _read_by(head: Head, rows: Matrix) -> Matrix:
    """Rows as a head reads them: tokens only where it takes them."""
    return rows if head.tokens else pooled(rows)


def _held(rows: Any, test: Codes) -> Matrix:
    """The held-out rows of a space."""
    found: Any = rows[test]
    return found.whole() if isinstance(found, BlockRows) else found


def _subsets(names: list[str]) -> Sequence[tuple[str, ...]]:
    """Sets of several spaces, but not of all."""
    return [some for k in range(2, len(names)) for some in combinations(names, k)]


def _broken(part: _Part, spaces: Spaces) -> dict[str, dict[str, Matrix | None]]:
    """What is wrong with a view of the held-out items -> their spaces."""
    test = part.split.test
    whole: dict[str, Matrix | None] = {name: _held(rows, test) for name, rows in spaces.items()}
    found = {}
    for k, (name, rows) in enumerate(spaces.items()):
        held, seen = _held(rows, test), rows[part.split.train]
        spread = seen.std if isinstance(seen, BlockRows) else seen.std(axis=0)
        noise = part.rng(1, k).standard_normal(held.shape) * spread
        found[f"without {name}"] = {**whole, name: None}
        found[f"{name} with noise"] = {**whole, name: held + noise}
        found[f"{name} of other items"] = {**whole, name: held[_moved(part, len(test), k)]}
    return found


def _moved(part: _Part, m: int, k: int) -> Codes:
    """An order of m items in which none stays where it is."""
    order = part.rng(2, k).permutation(m)
    moved = np.empty(m, dtype=np.int64)
    moved[order] = np.roll(order, 1)
    return moved


def control_names(work: Work) -> list[str]:
    """The controls that there are, by name."""
    kinds = ["permuted", "random", "twice"] + ([f"permuted {BEYOND}"] if work.target.kind == "classes" else [])
    names = [f"{name} {kind}" for name in work.spaces for kind in kinds]
    names += [f"{name} untrained" for name in work.twins]
    return names + [f"{name} + second {name}" for name in work.seconds]


def _controls(
    part: _Part, spaces: Spaces, layers: Mapping[str, str], own: Mapping[str, str]
) -> tuple[dict[str, tuple[Spaces, dict[str, str]]], list[str]]:
    """Control -> the spaces to fit on, and under which keys their linear models are kept."""
    work, n = part.work, len(next(iter(spaces.values())))
    found: dict[str, tuple[Spaces, dict[str, str]]] = {}
    notes = []

    def put(label: str, name: str, rows: Matrix) -> None:
        found[label] = ({**spaces, name: rows}, {**own, name: label})

    for k, (name, rows) in enumerate(spaces.items()):
        try:
            seed = int(part.rng(3, k).integers(2**32))
            put(f"{name} permuted", name, rows[permutations(n, 1, seed, groups=work.groups)[0]])
        except InputError as error:
            notes.append(f"No control {name} permuted: {error}")
        if isinstance(rows, BlockRows):
            notes.append(f"No control {name} random: of {len(rows):,} items it would not fit in memory.")
        else:
            put(f"{name} random", name, np.asarray(part.rng(4, k).standard_normal(rows.shape)))
        again = f"{name} again"
        found[f"{name} twice"] = ({name: rows, again: rows}, {name: own[name], again: own[name]})
        if work.target.kind == "classes":
            label = f"{name} permuted {BEYOND}"
            found[label] = ({**spaces, name: rows[_within(part, k)]}, {**own, name: label})
    for name, given in work.twins.items():
        layer = layers[name] if layers[name] in given else part.chosen(given, f"the untrained {name}")
        put(f"{name} untrained", name, given[layer])
    for name, given in work.seconds.items():
        label, second = f"{name} + second {name}", f"second {name}"
        rows = given[part.chosen(given, label)]
        found[label] = ({name: spaces[name], second: rows}, {name: own[name], second: label})
    return found, notes


def _within(part: _Part, k: int) -> Codes:
    """All rows, those of the training part permuted within their class."""
    order, rng = np.arange(part.work.target.n), part.rng(5, k)
    train = part.split.train
    for c in np.unique(part.fitted.values):
        rows = train[part.fitted.values == c]
        order[rows] = rng.permutation(rows)
    return order


def _renamed(linear: Linear, name: str) -> Linear:
    old = next(iter(linear.coef))
    return dataclasses.replace(
        linear,
        coef={name: linear.coef[old]},
        scaling={name: linear.scaling[old]},
        weights={name: linear.weights[old]},
    )
