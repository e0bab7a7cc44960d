"""What a head is: fitted to a target from any number of frozen spaces at once, applied to items it has never seen."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from .._core.arrays import as_features, to_numpy
from .._core.checks import as_seed, check_type
from .._core.registry import format_spec, spellings
from .._core.rows import BlockRows
from ..design import Codes, named
from ..errors import InputError, quoted
from ._linear import FOLDS, Linear, fit_linear
from ._target import KINDS, Target

Matrix = np.ndarray[Any, Any]
Spaces = Mapping[str, Matrix]
Views = Mapping[str, Matrix | None]


class Head(ABC):
    """What several spaces give together.

    A concrete head stores its parameters in ``__init__`` unchanged, under their own names, and what it learnt in
    attributes that end in ``_``. It implements `_fit` and `_predict`.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.normal(size=(2, 200, 5))
        >>> classes = (x[:, 0] + y[:, 0] > 0).astype(int)  # half of it is in either space
        >>> head = iso.make_head("concat").fit({"x": x[:150], "y": y[:150]}, classes[:150])
        >>> head.predict({"x": x[150:], "y": y[150:]}).shape  # the probability of each class
        (50, 2)
        >>> right = head.predict({"x": x[150:], "y": y[150:]}).argmax(axis=1) == classes[150:]
        >>> bool(right.mean() > 0.9)
        True
    """

    name: ClassVar[str]
    """Registered name."""
    aliases: ClassVar[Mapping[str, str]] = {}
    """Other names -> spec."""
    reference: ClassVar[str] = ""
    """Paper and equation, and where we differ."""
    quick: ClassVar[Mapping[str, Any]] = {}
    """Parameters for few and small data, where the defaults need more or are slow."""
    kinds: ClassVar[frozenset[str]] = frozenset(KINDS)
    """Kinds of targets that it can be fitted to."""
    trained: ClassVar[bool] = False
    """Whether it is trained in steps, from a seed: neither closed form nor convex."""
    tokens: ClassVar[bool] = False
    """Whether a space may have several rows an item (n, tokens, d): tokens, patches or layers."""
    in_blocks: ClassVar[bool] = False
    """Whether it can be fitted to rows that are read in blocks and never held, of targets that are numbers."""
    separate: ClassVar[bool] = False
    """Whether it reads each space by itself, and joins what `Linear` fits of them say."""

    def fit(
        self,
        spaces: Mapping[str, Any],
        target: Any,
        *,
        groups: Any = None,
        seed: int = 0,
        singles: Mapping[str, Linear] | None = None,
    ) -> Self:
        """Learn from items that have every space.

        Args:
            spaces: Features (n, d) by name, row i of all of them the same item; or (n, tokens, d), where the head takes
                `tokens`.
            target: A `Target`, or one class an item (n,).
            groups: What must not be parted where penalties are chosen, one number an item; or None.
            seed: Seed of folds and of training.
            singles: What `fit_linear` gave for each space alone on the same items, where that is known; a head that
                reads each space by itself takes it from there.

        Raises:
            InputError: if spaces do not fit each other or the target, or the head cannot be fitted to such a target.
        """
        check_type(singles, "singles", Mapping, "what fit_linear gave, by the name of the space")
        given = checked_spaces(spaces, tokens=self.tokens)
        goal = as_target(target, len(next(iter(given.values()))))
        if goal.kind not in self.kinds:
            raise InputError(
                f"The head {self.spec} is for targets of {', '.join(sorted(self.kinds))}; this one is of {goal.kind}."
            )
        self.names_ = tuple(given)
        self.widths_ = {name: rows.shape[1:] for name, rows in given.items()}
        self.target_ = goal
        folds = folds_of(goal, groups, seed)
        if self.separate:
            known = dict(singles or {})
            self.singles_ = {s: known.get(s) or fit_linear({s: given[s]}, goal, folds=folds) for s in given}
        self._fit(given, goal, folds, seed)
        return self

    def predict(self, spaces: Mapping[str, Any]) -> Matrix:
        """Probabilities of the classes or labels (m, k), or numbers (m, k).

        Args:
            spaces: Features (m, d) by name; a space that is left out, or None, is missing.

        Raises:
            InputError: if the head is not fitted, no space is there, or one is not known or of another width.
        """
        return np.asarray(self._predict(self._views(spaces)), dtype=np.float64)

    def _views(self, spaces: Mapping[str, Any]) -> dict[str, Matrix | None]:
        """Spaces to predict from, checked: all that are known, None where one is missing.

        Raises:
            InputError: as of `predict`.
        """
        if not hasattr(self, "names_"):
            raise InputError(f"The head {self.spec} is not fitted; call fit first.")
        odd = sorted(set(spaces) - set(self.names_))
        if odd:
            raise InputError(f"The head {self.spec} knows the spaces {', '.join(self.names_)}, not {quoted(odd[0])}.")
        there = checked_spaces(
            {name: rows for name, rows in spaces.items() if rows is not None}, least=1, tokens=self.tokens
        )
        for name, rows in there.items():
            if rows.shape[1:] != self.widths_[name]:
                raise InputError(
                    f"The space {name} has {_size(rows.shape[1:])}; the head {self.spec} was fitted on "
                    f"{_size(self.widths_[name])}."
                )
        return {name: there.get(name) for name in self.names_}

    @abstractmethod
    def _fit(self, spaces: Spaces, target: Target, folds: Codes, seed: int) -> None: ...

    @abstractmethod
    def _predict(self, spaces: Views) -> Matrix: ...

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters that it was made with."""
        return {name: getattr(self, name) for name in _parameters(type(self))}

    @property
    def spec(self) -> str:
        """Name and the parameters that are not at their defaults."""
        defaults = _parameters(type(self))
        return format_spec(self.name, {k: v for k, v in self.get_params().items() if v != defaults[k]})

    @property
    def variant(self) -> str:
        """Name and every parameter."""
        return format_spec(self.name, self.get_params())

    @property
    def spellings(self) -> tuple[str, ...]:
        """What else it may be called."""
        return spellings(self.name, self.get_params(), _parameters(type(self)), self.aliases)

    def __repr__(self) -> str:
        return self.spec


def _parameters(cls: type[Head]) -> dict[str, Any]:
    signature = inspect.signature(cls.__init__).parameters
    return {k: p.default for k, p in signature.items() if k != "self" and p.kind is not p.VAR_KEYWORD and k != "args"}


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} features" if len(shape) == 1 else f"{shape[0]} tokens of {shape[1]} features"


def checked_spaces(spaces: Any, least: int = 2, *, tokens: bool = False) -> dict[str, Matrix]:
    """Spaces as float64 where this machine computes.

    Args:
        spaces: Features by name.
        least: The fewest items.
        tokens: Whether a space may have several rows an item (n, tokens, d).

    Raises:
        InputError: if there is none, or they are of different lengths.

    Example:
        >>> found = checked_spaces({"x": [[1, 2], [3, 4]], "y": np.ones((2, 3), dtype=np.float32)})
        >>> [(name, rows.shape, str(rows.dtype)) for name, rows in found.items()]
        [('x', (2, 2), 'float64'), ('y', (2, 3), 'float64')]
    """
    if not isinstance(spaces, Mapping) or not spaces or not all(isinstance(k, str) for k in spaces):
        raise InputError(
            f"spaces must be features by name, such as {{'image': x, 'text': y}}, found {quoted(spaces)}."
            if not isinstance(spaces, Mapping) or spaces
            else "No space was given: there is nothing to predict from."
        )
    found = {name: _features(rows, name, least, tokens) for name, rows in spaces.items()}
    lengths = {name: len(rows) for name, rows in found.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise InputError(f"Row i of every space must be the same item, but {told} rows. Give them ids to join them by.")
    return found


def _features(rows: Any, name: str, least: int, tokens: bool) -> Any:
    if isinstance(rows, BlockRows):
        return rows
    shape = tuple(getattr(rows, "shape", ()))
    if len(shape) == 3 and not tokens:
        raise InputError(
            f"{name} has shape {shape}, several tokens an item; this head reads one row an item. Pool the tokens, for "
            "example x.mean(axis=1), or use the head attention."
        )
    if len(shape) != 3 or 0 in shape:
        return np.asarray(to_numpy(as_features(rows, name, min_items=least)), dtype=np.float64)
    flat = as_features(rows.reshape(shape[0], -1), name, min_items=least)
    return np.asarray(to_numpy(flat), dtype=np.float64).reshape(shape)


def as_target(target: Any, n: int) -> Target:
    """A `Target`, out of one or of one class an item.

    Raises:
        InputError: if it is not one an item, or there is a single class.

    Example:
        >>> found = as_target(["cat", "dog", "cat"], 3)
        >>> found.kind, found.names, found.values.tolist()
        ('classes', ('cat', 'dog'), [0, 1, 0])
    """
    found = target if isinstance(target, Target) else Target("classes", *named(target, n, "target", "value"))
    if found.n != n:
        raise InputError(f"The target has {found.n} items, the spaces have {n}.")
    if found.kind == "classes" and len(found.names) < 2:
        raise InputError("There is a single class, so that nothing can be told apart.")
    return found


def folds_of(target: Target, groups: Any, seed: int, count: int = FOLDS) -> Codes:
    """A fold of each item (n,): whole groups, classes spread evenly where there are no groups.

    Raises:
        InputError: if there is a single group, or groups are not one an item.

    Example:
        >>> target = as_target(["cat", "dog"] * 3, 6)
        >>> [sorted(target.values[folds_of(target, None, 0) == fold].tolist()) for fold in range(3)]
        [[0, 1], [0, 1], [0, 1]]
    """
    rng = np.random.default_rng([as_seed(seed), 17])
    n = target.n
    unit = np.arange(n) if groups is None else named(groups, n, "groups", "value")[0]
    units = int(unit.max()) + 1
    if units < 2:
        raise InputError("All items to fit on are one group, so that no penalty can be chosen among them.")
    order = rng.permutation(units)
    if target.kind == "classes" and groups is None:
        order = order[np.argsort(target.values[order], kind="stable")]
    fold = np.empty(units, dtype=np.int64)
    fold[order] = np.arange(units) % min(count, units)
    found: Codes = fold[unit]
    return found


def averaged(parts: Sequence[Matrix]) -> Matrix:
    """Mean of predictions."""
    found: Matrix = np.mean(parts, axis=0)
    return found
