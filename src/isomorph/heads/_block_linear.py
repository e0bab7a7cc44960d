"""Banded ridge over spaces whose rows are read in blocks: what `fit_linear` gives, from sums over items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import scipy

from .._core.memory import require
from .._core.rows import WHAT_TO_DO, BlockRows
from .._core.shared_space import LEAST, Scaled
from ..errors import InputError
from ._target import Target

Matrix = np.ndarray[Any, Any]


class BlockSpaces:
    """Spaces over the same items, side by side, scaled as `Scaled` and weighted, block by block.

    Args:
        spaces: Rows by name, at least one of them `BlockRows`.
    """

    def __init__(self, spaces: Mapping[str, Any]) -> None:
        self.spaces = {k: v if isinstance(v, BlockRows) else BlockRows(v, None, k) for k, v in spaces.items()}
        self.n = len(next(iter(self.spaces.values())))
        self.scaling = {name: Scaled(rows.mean, _size(rows, name)) for name, rows in self.spaces.items()}

    def some(self, which: Matrix) -> dict[str, Matrix]:
        """The scaled rows of some items."""
        return {name: self.scaling[name](rows.part(which)) for name, rows in self.spaces.items()}

    def blocks(self, weights: Mapping[str, float]) -> Iterator[tuple[slice, Matrix]]:
        """Which items, and their rows in all spaces that have weight."""
        used = {name: rows for name, rows in self.spaces.items() if weights[name] > 0}
        width = sum(rows.shape[1] for rows in used.values())
        for part, _ in next(iter(used.values())).blocks(beside=4 * width):
            yield part, np.hstack([np.sqrt(weights[k]) * self.scaling[k](rows.part(part)) for k, rows in used.items()])


def require_linear(target: Target, n: int) -> None:
    """Pass a target that ridge in blocks is fitted to.

    Raises:
        InputError: if it is classes or labels, whose logistic regression holds all rows.

    Example:
        >>> from isomorph.heads import Target
        >>> require_linear(Target("numbers", np.ones((6, 1)), ("age",)), 6)  # numbers are fitted in blocks
    """
    if not target.is_linear:
        raise InputError(
            f"A target of {target.kind} is fitted by logistic regression, which holds all {n:,} rows of every space in "
            f"memory, and they do not fit there. {WHAT_TO_DO} Numbers are fitted in blocks."
        )


def ridge_over_blocks(
    spaces: BlockSpaces, weights: Mapping[str, float], target: Target, penalties: Sequence[float]
) -> tuple[Matrix, Matrix, float, Matrix]:
    """Ridge with its penalty chosen by exact leave-one-out, from two passes.

    Returns:
        Coefficients (width of all that have weight, k), intercept (k,), the penalty, and predictions (n, k) for the
        rows fitted on, each by a fit that did not see it.

    Raises:
        InputError: if the target is not numbers, or its residuals do not fit.
    """
    require_linear(target, spaces.n)
    outcomes = target.outcomes
    n, k = outcomes.shape
    require(8 * n * k * (len(penalties) + 3), f"The residuals of {k:,} numbers of {n:,} items", WHAT_TO_DO)
    middle = outcomes.mean(axis=0)
    gram: Any = 0.0
    cross: Any = 0.0
    for part, wide in spaces.blocks(weights):
        gram, cross = gram + wide.T @ wide, cross + wide.T @ (outcomes[part] - middle)
    values, vectors = scipy.linalg.eigh(gram, driver="evd")
    kept = values > LEAST * max(values[-1], 0.0)
    squares, back = values[kept], vectors[:, kept]
    inner = (back.T @ cross) / np.sqrt(squares)[:, None]
    shares = np.array([squares / (squares + share * squares.sum()) for share in penalties])
    residuals = np.empty((len(penalties), n, k))
    for part, wide in spaces.blocks(weights):
        unit = (wide @ back) / np.sqrt(squares)
        leverages = (unit * unit) @ shares.T + 1 / n
        for i, shrunk in enumerate(shares):
            left = np.maximum(1 - leverages[:, i], 1e-9)[:, None]
            residuals[i, part] = (outcomes[part] - middle - unit @ (shrunk[:, None] * inner)) / left
    which = int(np.argmin(np.einsum("pnk,pnk->p", residuals, residuals)))
    coef = back @ ((shares[which] / np.sqrt(squares))[:, None] * inner)
    return coef, middle, float(penalties[which]), outcomes - residuals[which]


def _size(rows: BlockRows, name: str) -> float:
    """Root of the total variance.

    Raises:
        InputError: if nothing varies.
    """
    found = float(np.sqrt(rows.variation / len(rows)))
    if not found > 4 * np.finfo(np.float32).eps * rows.largest:
        raise InputError(
            f"{name} is constant: all its items have the same features, so nothing varies that could tell anything. "
            "Leave this layer out."
        )
    return found
