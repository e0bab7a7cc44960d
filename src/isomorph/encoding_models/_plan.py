"""What is fitted, on which folds, against which null, and how many units at a time: decided before any fit."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .._core.memory import block_bytes, require
from ..design import Codes, Split
from ..errors import InputError
from ._chance import Shifts, shifted_blocks
from ._folds import Fold, nested
from ._readouts import BandedRidge, Method, PartialLeastSquares, simplex
from ._sources import Units
from .settings import BANDED, PLS, PREDICTIONS, REFIT, EncodingSettings

Matrix = np.ndarray[Any, Any]
ALL = "all bands"
"""What the model of all bands is called."""
BLOCK_BYTES = 1 << 30
"""Units are fitted some at a time, whose responses, predictions and nulls take this much."""
QUICK = 1e13
"""Multiplications up to which everything is fitted anew to each permutation, unless something else is asked for."""


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """See the module.

    Attributes:
        settings: The settings.
        folds: Nested folds.
        shifts: Permutations of the rows, or None without.
        null: ``"refit"``, ``"predictions"`` or ``""``.
        design: In words, what changes places.
        step: Units in one block.
    """

    settings: EncodingSettings
    folds: Sequence[Fold]
    shifts: Shifts | None
    null: str
    design: str
    step: int


def planned(
    settings: EncodingSettings, units: Units, runs: Codes | None, order: Codes, dims: Mapping[str, int]
) -> Plan:
    """The plan.

    Args:
        settings: The settings.
        units: The responses.
        runs: One run a row, or None.
        order: Where each row stands among those of the responses as they were given: in time, if they are in time.
        dims: Features of each band.

    Raises:
        InputError: if there are too few rows or runs, nothing can change places, or one unit does not fit into memory.
    """
    n, count = units.n, settings.permutations
    if settings.circular and runs is None:
        raise InputError(
            "circular=True shifts responses inside their runs, and no runs are given; give runs= one label a row (all "
            "the same makes one run, which cannot be held out; cut it into several)."
        )
    folds = nested(n, runs, settings.folds, settings.inner_folds, settings.seed)
    circular = runs is not None if settings.circular is None else settings.circular
    blocks = [rows if not circular else rows[np.argsort(order[rows], kind="stable")]
              for rows in shifted_blocks(runs, folds, circular, settings.seed)]  # fmt: skip
    if count and all(len(rows) < 2 for rows in blocks):
        raise InputError("Every run has one row, so that nothing can change places; give runs of several rows.")
    shifts = Shifts(blocks, count, settings.seed) if count else None
    null = settings.null if count else ""
    if null == "auto":
        small = settings.method != PLS and _work(settings, units, len(folds), dims) <= QUICK
        null = REFIT if small else PREDICTIONS
    where = "run" if runs is not None else "fold"
    design = (
        f"responses {'shifted in a circle' if circular else 'shuffled'} inside each {where} ({len(blocks)} {where}s)"
    )
    size = units.dtype.itemsize
    each = n * size * 6 * (1 + count) if null == REFIT else n * size * 6 + count * size * 3
    require(each, "Fitting one unit to all permutations", "Ask for null='predictions' or fewer permutations.")
    step = max(1, min(units.width, block_bytes(BLOCK_BYTES) // each))
    return Plan(settings, folds, shifts, null, design if count else "", step)


def _work(settings: EncodingSettings, units: Units, folds: int, dims: Mapping[str, int]) -> float:
    """About how many multiplications the refits to all permutations take."""
    banded = settings.method == BANDED
    weightings = 1 + len(dims) + settings.searches if banded and len(dims) > 1 else 1
    ranks = [sum(dims.values())] if banded else list(dims.values())
    once = sum(units.n * min(units.n, d) for d in ranks) * len(settings.alphas) * weightings * folds
    return 2.0 * once * units.width * (1 + settings.permutations)


def methods(
    settings: EncodingSettings, units: Units, bands: Sequence[str], features: Callable[[str], Matrix]
) -> dict[str, Callable[[], Method]]:
    """What is fitted, by name: each band, or all of them together.

    Args:
        settings: The settings.
        units: The responses.
        bands: Names of the bands.
        features: From a band to its features (n, d).
    """
    zscore = settings.scaling == "zscore"
    if settings.method == BANDED:
        return {ALL: lambda: banded(settings, list(bands), features)}
    gram = products_of(units, zscore)

    def one(band: str) -> Method:
        if settings.method == PLS:
            return PartialLeastSquares(features(band), settings.components, gram, zscore)
        return BandedRidge([features(band)], settings.alphas, np.ones((1, 1)), zscore)

    return {band: functools.partial(one, band) for band in bands}


def banded(settings: EncodingSettings, bands: Sequence[str], features: Callable[[str], Matrix]) -> Method:
    """Banded ridge of some bands."""
    weights = simplex(len(bands), settings.searches, settings.seed)
    return BandedRidge([features(b) for b in bands], settings.alphas, weights, settings.scaling == "zscore")


def products_of(units: Units, zscore: bool) -> Callable[[Split], Matrix]:
    """From a split to the products (n_fit, n_fit) of all units' responses there, about their mean on these rows.

    Args:
        units: The responses.
        zscore: Whether each unit counts the same.
    """
    step = max(1, block_bytes(BLOCK_BYTES) // (units.n * 8 * 3))
    known: dict[Any, Matrix] = {}

    def over(rows: Any, key: Any) -> Matrix:
        if key not in known:
            total = np.zeros((len(rows),) * 2)
            for start in range(0, units.width, step):
                y = units.block(start, min(start + step, units.width))[rows].astype(np.float64)
                y -= y.mean(axis=0)
                if zscore:
                    deviation = y.std(axis=0)
                    y /= np.where(deviation > 0, deviation, 1.0)
                total += y @ y.T
            known[key] = total
        return known[key]

    def gram(split: Split) -> Matrix:
        if zscore:
            return over(split.train, id(split))
        part = over(np.arange(units.n), None)[np.ix_(split.train, split.train)]
        part = part - part.mean(axis=0)
        centered: Matrix = part - part.mean(axis=1, keepdims=True)
        return centered

    return gram
