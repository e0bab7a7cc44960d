"""What a head is fitted to: classes, several labels an item, numbers, or rows of another space."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from ..design import Codes

Matrix = np.ndarray[Any, Any]
KINDS = ("classes", "labels", "numbers", "rows")


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """One target of n items.

    Attributes:
        kind: ``"classes"``: one class an item; ``"labels"``: any number of labels an item; ``"numbers"``: one or
            several numbers an item; ``"rows"``: a row of another space, to be found among those of other items.
        values: Codes of classes (n,), 0 or 1 for each label (n, k), or numbers (n, k).
        names: Names of the classes, labels or numbers; of rows, none.

    Example:
        >>> target = Target("classes", np.array([0, 1, 1]), ("cat", "dog"))
        >>> target.outcomes
        array([[1., 0.],
               [0., 1.],
               [0., 1.]])
        >>> target.take(np.array([2])).values
        array([1])
    """

    kind: Literal["classes", "labels", "numbers", "rows"]
    values: Matrix
    names: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.values)

    @property
    def is_linear(self) -> bool:
        """Whether errors are squared distances: of numbers and of rows."""
        return self.kind in ("numbers", "rows")

    @property
    def outcomes(self) -> Matrix:
        """The target as columns (n, k): one for each class, label or number."""
        if self.kind == "classes":
            return np.eye(len(self.names))[self.values]
        return np.asarray(self.values, dtype=np.float64)

    def take(self, rows: Codes) -> Target:
        """The target of some items."""
        return dataclasses.replace(self, values=self.values[rows])

    @property
    def prior(self) -> Matrix:
        """What is predicted of an item of which nothing is known (k,): shares of the classes or labels, or means."""
        found: Matrix = self.outcomes.mean(axis=0)
        return found
