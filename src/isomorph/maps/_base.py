"""What a map is: fitted on pairs of items, applied to rows it has never seen.

A *direct* map predicts rows of `y` from rows of `x` (ridge, orthogonal, …). A map into a *shared space* brings both
sides there (canonical projections, relative representations, …). Both embed either side into one space in which
retrieval and zero-shot classification compare them; only direct maps predict.

Maps are scikit-learn estimators without needing scikit-learn: `fit`, `predict`, `get_params`, `set_params`, clonable.
"""

from __future__ import annotations

import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from .._core.arrays import as_features, as_pair, require_scale, to_numpy
from .._core.registry import format_spec, spellings
from .._core.rows import WHAT_TO_DO, BlockRows
from ..errors import InputError
from ._saved import write_map

Matrix = np.ndarray[Any, Any]


class Map(ABC):
    """A map between two representation spaces.

    A concrete map stores its parameters in ``__init__`` unchanged, under their own names, and what it learnt in
    attributes that end in ``_``. It implements `_fit`, `embed_x` and, if it is direct, `_predict`.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = x @ np.linalg.qr(noise[:6])[0]
        >>> fitted = iso.make_map("orthogonal").fit(x[:50], y[:50])
        >>> round(fitted.score(x[50:], y[50:]), 3), fitted(x[50:]).shape
        (1.0, (50, 6))
        >>> bool(np.allclose(fitted.inverse()(y), x))
        True
    """

    name: ClassVar[str]
    """Registered name."""
    aliases: ClassVar[Mapping[str, str]] = {}
    """Other names -> spec."""
    direct: ClassVar[bool] = True
    """Whether it predicts rows of `y`."""
    reference: ClassVar[str] = ""
    """Paper and equation, and where we differ."""
    quick: ClassVar[Mapping[str, Any]] = {}
    """Parameters for few and small data, where the defaults need more or are slow."""
    reads_x: ClassVar[bool] = True
    """Whether the outcome depends on `x`; False of controls alone."""
    equal_widths: ClassVar[bool] = False
    """Whether both spaces must have the same number of features; others are refused."""
    order_free: ClassVar[bool] = True
    """Whether the order of the pairs plays no part, up to rounding; False where rows or batches are drawn."""

    in_blocks: ClassVar[bool] = False
    """Whether it can be fitted to rows that are read in blocks and never held (`_fit_blocks`)."""

    @property
    def min_pairs(self) -> int:
        """The fewest pairs that it can be fitted on."""
        return 2

    def fit(self, x: Any, y: Any, *, factor: Any = None) -> Self:
        """Learn the map from paired rows.

        Args:
            x: Features (n_pairs, d_x).
            y: Features (n_pairs, d_y), row i paired with row i of `x`.
            factor: What `factor(x)` gave, when several `y` are fitted on the same `x`.

        Raises:
            InputError: if the two sides do not fit each other, or there are fewer pairs than the map needs.
        """
        if isinstance(x, BlockRows) and isinstance(y, BlockRows):
            if not (x.fit_whole and y.fit_whole):
                return self._fit_in_blocks(x, y, factor)
            x, y = x.whole(), y.whole()
        x, y = self._checked(x, y)
        self.n_features_in_ = x.shape[1]
        self.n_targets_ = y.shape[1]
        self._fit(x, y, self._factor_once(x) if factor is None else factor)
        return self

    def fit_each(self, x: Any, ys: Sequence[Any]) -> list[Self]:
        """Fitted copies of this map from `x` to each of several `y` on the same items, sharing the work on `x`.

        Raises:
            InputError: as `fit`.
        """
        factor = self.factor(x)
        return [type(self)(**self.get_params()).fit(x, y, factor=factor) for y in ys]

    def fit_grid(self, xs: Sequence[Any], ys: Sequence[Any]) -> Iterator[tuple[int, int, Map]]:
        """Fitted copies from every layer of `xs` to every layer of `ys`, over the same items, one at a time.

        Args:
            xs: Layers (n_pairs, d_i).
            ys: Layers (n_pairs, d_j), rows paired with those of `xs`.

        Yields:
            Position in `xs`, position in `ys`, and the fitted map.

        Raises:
            InputError: as `fit`.
        """
        for i, x in enumerate(xs):
            for j, fitted in enumerate(self.fit_each(x, ys)):
                yield i, j, fitted

    def _factor_once(self, x: Matrix) -> Any:
        """`factor` of a fit that shares it with no other."""
        return self.factor(x)

    def factor(self, x: Any) -> Any:
        """The part of the work that needs `x` only; shared by all fits on the same rows of `x`."""
        return None

    def require_blocks(self, what: str) -> None:
        """Pass a map that can be fitted to rows that do not fit in memory.

        Args:
            what: The rows, for the message.

        Raises:
            InputError: if it cannot.
        """
        if not self.in_blocks:
            raise InputError(
                f"{self.spec} is fitted in memory, and {what} do not fit there. {WHAT_TO_DO} ridge, orthogonal, "
                "procrustes and the controls are fitted in blocks."
            )

    def _fit_in_blocks(self, x: BlockRows, y: BlockRows, factor: Any) -> Self:
        self.require_blocks(f"{len(x):,} pairs of {x.shape[1]} and {y.shape[1]} features")
        if len(x) != len(y):
            raise InputError(f"x has {len(x)} rows and y has {len(y)}; row i of both must be the same item.")
        self.n_features_in_, self.n_targets_ = x.shape[1], y.shape[1]
        self._fit_blocks(x, y, factor)
        return self

    def _fit_blocks(self, x: BlockRows, y: BlockRows, factor: Any) -> None:
        """Learn from rows that are read in blocks."""
        raise NotImplementedError

    @abstractmethod
    def _fit(self, x: Matrix, y: Matrix, factor: Any) -> None:
        """Learn from checked float64 arrays."""

    @abstractmethod
    def embed_x(self, x: Any) -> Matrix:
        """Rows of the `x` space brought into the space of comparison, (n, d)."""

    def embed_y(self, y: Any) -> Matrix:
        """Rows of the `y` space brought into the space of comparison; a direct map leaves them as they are."""
        return self._target_rows(y)

    def by_blocks(self, dtype: Any) -> Callable[[Matrix, Matrix], None]:
        """`predict` for blocks of checked rows in one precision: a function of rows (b, d_x) and of room (b, d_y).

        What it gives is written into the room, so that many blocks need no new memory.

        Args:
            dtype: Precision in which is computed where the map is affine; other maps compute in float64.
        """

        def into(rows: Matrix, room: Matrix) -> None:
            room[:] = self.predict(rows)

        return into

    def predict(self, x: Any) -> Matrix:
        """Predicted rows of `y`, (n, d_y).

        Raises:
            InputError: if the map is not fitted, `x` has another number of features, or the map is not direct.
        """
        if not self.direct:
            raise InputError(
                f"{self.name} brings both sides into a shared space and predicts nothing; use embed_x, embed_y."
            )
        return self.embed_x(x)

    def __call__(self, x: Any) -> Matrix:
        """`embed_x`: the rows where retrieval compares them, which for a direct map is its prediction."""
        return self.embed_x(x)

    def inverse(self) -> Map:
        """The fitted map from `y` to `x`, where it exists in closed form.

        Raises:
            InputError: if it does not; fit the other direction then.
        """
        raise InputError(f"{self.name} has no inverse in closed form; fit it with x and y exchanged.")

    # ---- files ---------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted map to a file that `isomorph.maps.load_map` reads, whole or not at all.

        Args:
            path: The file, such as ``ridge.npz``.

        Raises:
            InputError: if the map is not fitted.
        """
        self._require_fitted()
        return write_map(path, self.variant, self.learned())

    def learned(self) -> dict[str, Any]:
        """Everything that fitting gave, as arrays, numbers and texts, for `restore`."""
        return {k: v for k, v in vars(self).items() if k not in _parameters(type(self))}

    def restore(self, learned: Mapping[str, Any]) -> Self:
        """Take over what an equal map had learnt."""
        vars(self).update(learned)
        return self

    # ---- scikit-learn's protocol ---------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name."""
        return {k: getattr(self, k) for k in _parameters(type(self))}

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters.

        Raises:
            InputError: if there is no such parameter.
        """
        known = _parameters(type(self))
        for key, value in parameters.items():
            if key not in known:
                raise InputError(f"{self.name} has no parameter {key!r}; it has {', '.join(known) or 'none'}.")
            setattr(self, key, value)
        return self

    def score(self, x: Any, y: Any) -> float:
        """Held-out R² of the prediction: 1 - residual over total variance, summed over features.

        Raises:
            InputError: as `predict`, or if `y` does not vary.
        """
        y = as_float64(y, "y")
        total = float(((y - y.mean(axis=0)) ** 2).sum())
        if total == 0.0:
            raise InputError("y is constant over these items, so no share of its variance can be explained.")
        return 1.0 - float(((y - self.predict(x)) ** 2).sum()) / total

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")

    def __sklearn_tags__(self) -> Any:
        # only scikit-learn calls this, so that it is there when this runs
        from sklearn.utils import Tags, TargetTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(
                required=True, one_d_labels=False, two_d_labels=True, multi_output=True, single_output=False
            ),
            transformer_tags=None,
            classifier_tags=None,
            regressor_tags=None,
        )

    # ---- naming --------------------------------------------------------------------------------------------

    @property
    def spec(self) -> str:
        """Short canonical spelling: the parameters that differ from their defaults."""
        defaults = _parameters(type(self))
        return format_spec(self.name, {k: v for k, v in self.get_params().items() if v != defaults[k]})

    @property
    def variant(self) -> str:
        """Full canonical spelling."""
        return format_spec(self.name, self.get_params())

    @property
    def spellings(self) -> tuple[str, ...]:
        """The shortest spec, without parameters at their defaults, and the other names that mean this variant."""
        return spellings(self.name, self.get_params(), _parameters(type(self)), self.aliases)

    def __repr__(self) -> str:
        return self.spec

    # ---- gates ---------------------------------------------------------------------------------------------

    def _checked(self, x: Any, y: Any) -> tuple[Matrix, Matrix]:
        x, y = map(to_numpy, as_pair(x, y))
        for side, name in ((x, "x"), (y, "y")):
            require_scale(side, name)
        if x.shape[0] < self.min_pairs:
            raise InputError(
                f"{self.spec} needs at least {self.min_pairs} pairs, found {x.shape[0]}. "
                "Give more pairs, or parameters that need fewer."
            )
        return x.astype(np.float64, copy=False), y.astype(np.float64, copy=False)

    def _require_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise InputError(f"{self.spec} is not fitted yet; call fit(x, y) first.")

    def _rows(self, x: Any) -> Matrix:
        self._require_fitted()
        return self._of_width(as_float64(x, "x"), "x", self.n_features_in_)

    def _target_rows(self, y: Any) -> Matrix:
        self._require_fitted()
        return self._of_width(as_float64(y, "y"), "y", self.n_targets_)

    def _of_width(self, rows: Matrix, name: str, width: int) -> Matrix:
        if rows.shape[1] != width:
            raise InputError(f"{self.spec} was fitted on {width} features of {name}, found {rows.shape[1]}.")
        return rows


def as_float64(x: Any, name: str) -> Matrix:
    """Checked features as a float64 NumPy array.

    Raises:
        InputError: if `x` is no representation, or rows that are read in blocks do not fit in memory.
    """
    if isinstance(x, BlockRows):
        return x.whole()
    array: Matrix = to_numpy(as_features(x, name)).astype(np.float64, copy=False)
    return array


def _parameters(cls: type[Map]) -> dict[str, Any]:
    signature = inspect.signature(cls.__init__)
    return {k: p.default for k, p in signature.parameters.items() if k != "self"}
