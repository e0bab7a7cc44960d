"""All spaces side by side, read by one linear model with a penalty for each."""

from __future__ import annotations

from typing import ClassVar

from ..design import Codes
from ..errors import InputError, quoted
from ._base import Head, Matrix, Spaces, Views
from ._linear import fit_linear
from ._target import Target


class Concat(Head):
    """One linear model over all spaces, with a penalty for each (banded ridge; for classes and labels, logistic).

    Every space is brought to total variance one; its weight (1, 0.1, 0.01 or 0, relative to another) is chosen by exact
    leave-one-out ridge and the common penalty by leave-one-out (numbers) or by log loss on three folds. A wide or loud
    space does not win by its size, and one that says nothing gets weight 0.

    Args:
        banded: Whether spaces have weights of their own.
        view_dropout: Weight, beside the items themselves, of copies of them that lack one space (classes and labels
            only); with it the head stays useful where a space is missing.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, y = np.random.default_rng(0).normal(size=(2, 120, 4))
        >>> head = iso.make_head("concat").fit({"x": x, "noise": y}, (x[:, 0] > 0).astype(int))
        >>> head.linear_.weights
        {'x': 1.0, 'noise': 0.0}
    """

    name: ClassVar[str] = "concat"
    in_blocks: ClassVar[bool] = True
    reference: ClassVar[str] = (
        "Nunez-Elizalde, Huth and Gallant 2019 (banded ridge), Dupré la Tour et al. 2022; here the weights are chosen "
        "among decades, by coordinate descent."
    )

    def __init__(self, banded: bool = True, view_dropout: float = 0.0) -> None:
        if not 0 <= view_dropout <= 10:
            raise InputError(f"view_dropout={quoted(view_dropout)} must be a weight between 0 and 10.")
        self.banded = banded
        self.view_dropout = view_dropout

    def _fit(self, spaces: Spaces, target: Target, folds: Codes, seed: int) -> None:
        self.linear_ = fit_linear(spaces, target, folds=folds, banded=self.banded, copies=self.view_dropout)

    def _predict(self, spaces: Views) -> Matrix:
        return self.linear_.predict(spaces)
