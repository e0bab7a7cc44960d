"""At which relative depth the best layer of each model lies, and whether that moves with an attribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .._core.distributions import t_ppf
from ..population import fit_line
from ._ladders import Ladder
from ._model_alignment import ModelAlignment
from ._trend import Slope


class Depth(NamedTuple):
    """Relative depth of a model's best layer, with its interval over halves of the items.

    Example:
        >>> Depth(0.8, 0.7, 0.9, 0.05).value
        0.8
    """

    value: float
    low: float
    high: float
    standard_error: float


def depths_of(
    alignment: ModelAlignment, models: Sequence[str], references: Sequence[str], alpha: float
) -> dict[str, Depth]:
    """The depth of each model that is no reference; models of one layer are left out.

    Args:
        alignment: The metric.
        models: Which models.
        references: What they are compared with; empty for all others.
        alpha: Intervals cover 1 - alpha.
    """
    rows = [alignment.position(r) for r in references] or list(range(alignment.n_models))
    found = {}
    for model in models:
        at = None if model in references else alignment.depths(alignment.position(model), rows)
        if at is not None:
            half = float(t_ppf(1 - alpha / 2, len(alignment.halves) // 2)) * at[1]
            found[model] = Depth(at[0], max(0.0, at[0] - half), min(1.0, at[0] + half), at[1])
    return found


def depth_trend_of(ladder: Ladder, depths: Mapping[str, Depth]) -> Slope:
    """The slope of the depths along a ladder."""
    found = [depths[name] for name in ladder.names]
    line = fit_line(
        np.log2(ladder.numbers) if ladder.doubles else ladder.numbers,
        [d.value for d in found],
        deviations=np.diag([d.standard_error for d in found]),
        families=ladder.families,
        level=1 - ladder.alpha,
        seed=ladder.seed,
    )
    return Slope(**line._asdict())
