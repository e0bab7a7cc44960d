"""The settings of encoding models, checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._core.checks import as_count, as_seed, check_choice, check_flag, is_finite, is_share
from .._core.memory import parse_bytes
from .._core.settings import Settings
from ..errors import InputError, quoted

RIDGE, BANDED, PLS = "ridge", "banded_ridge", "pls"
METHODS = (RIDGE, BANDED, PLS)
REFIT, PREDICTIONS = "refit", "predictions"
ALPHAS = tuple(10.0**k for k in range(-6, 3))
"""Default penalties, in shares of the total variance of the features."""
COMPONENTS = (1, 2, 3, 5, 8, 12, 18, 25)


@dataclasses.dataclass(frozen=True)
class EncodingSettings(Settings):
    """How encoding models are fitted, scored and tested.

    Attributes:
        method: ``"ridge"`` (each layer or band by itself), ``"banded_ridge"`` (all bands in one model, each with its
            own weight per unit) or ``"pls"`` (partial least squares; fitted to all units together).
        alphas: Penalties to choose from, each unit its own, as shares of the total variance of the features.
        components: Numbers of PLS components to choose from, each unit its own.
        searches: Random weightings of the bands that banded ridge tries, beside equal ones and each band alone.
        partition: Whether banded ridge is fitted without each band too, for the variance that this band alone explains.
        folds: Folds of whole runs that are held out in turn; by default 5, or as many as there are runs if fewer.
        inner_folds: Folds among the runs that are fitted on, for the choice of penalties and layers; by default 4, or
            fewer where there are fewer runs.
        scaling: ``"center"``: features as they are, about their mean; ``"zscore"``: each in units of its deviation.
            Both are learned from the rows that are fitted on.
        permutations: Permutations of the rows of the responses; 0 for no p.
        null: ``"refit"``: everything is fitted anew to each permutation; ``"predictions"``: held-out responses are
            permuted against their predictions, and deviations widened for what the folds share; ``"auto"``: the first
            where its work is small.
        circular: Whether responses are shifted in a circle inside their run, which keeps their time structure, or
            shuffled inside it; by default shifted where there are runs.
        ceiling: Noise ceiling from repeats: ``"signal_power"`` (share of signal in the variance of the mean over
            repeats, Cronbach's alpha) or ``"split_half"`` (correlation of halves, corrected by Spearman and Brown).
        alpha: Rate of false discoveries under which units are called predicted.
        seed: Seed of folds, searches and permutations.
        memory: Working memory, such as ``"4GB"`` or bytes; by default blocks of 1 GB.

    Example:
        >>> EncodingSettings(alphas=0.01).facts()["alphas"]
        [0.01]
    """

    method: str = RIDGE
    alphas: Any = ALPHAS
    components: Any = COMPONENTS
    searches: int = 60
    partition: bool = True
    folds: int | None = None
    inner_folds: int | None = None
    scaling: str = "center"
    permutations: int = 999
    null: str = "auto"
    circular: bool | None = None
    ceiling: str = "signal_power"
    alpha: float = 0.05
    seed: int = 0
    memory: str | int | None = None

    def __post_init__(self) -> None:
        check_choice(self.method, "method", METHODS)
        check_choice(self.scaling, "scaling", ("center", "zscore"))
        check_choice(self.null, "null", ("auto", REFIT, PREDICTIONS))
        check_choice(self.ceiling, "ceiling", ("signal_power", "split_half"))
        if self.method == PLS and self.null == REFIT:
            raise InputError(
                "null='refit' is not there for method='pls', whose components are those of all units together; use "
                "null='predictions', or method='ridge'."
            )
        check_flag(self.partition, "partition")
        if self.circular is not None:
            check_flag(self.circular, "circular")
        object.__setattr__(self, "alphas", _positive(self.alphas))
        object.__setattr__(self, "components", _counts(self.components))
        as_count(self.searches, "searches", 0, 10**5)
        for name in ("folds", "inner_folds"):
            if getattr(self, name) is not None:
                as_count(getattr(self, name), name, 2, 10**5)
        if as_count(self.permutations, "permutations", 0, 10**6):
            as_count(self.permutations, "permutations", 19, 10**6)
        if not is_share(self.alpha):
            raise InputError(f"alpha={quoted(self.alpha)} must be a number between 0 and 1, such as alpha=0.05.")
        object.__setattr__(self, "seed", as_seed(self.seed))
        if self.memory is not None:
            parse_bytes(self.memory)


def _several(values: Any, name: str) -> list[Any]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        values = [values]
    found = list(np.ravel(values)) if isinstance(values, np.ndarray) else list(values)
    if not 0 < len(found) <= 1000:
        raise InputError(f"{name}={quoted(values)}: 1 to 1,000 values are needed to choose from.")
    return found


def _positive(values: Any) -> tuple[float, ...]:
    out = []
    for value in _several(values, "alphas"):
        number = _as_number(value)
        if number is None or not 0 < number < 1e100:
            raise InputError(
                f"alphas holds {quoted(value)}; penalties must be numbers above 0, shares of the total variance of the "
                "features, such as alphas=(0.001, 0.01, 0.1)."
            )
        out.append(number)
    return tuple(sorted(set(out)))


def _counts(values: Any) -> tuple[int, ...]:
    found = _several(values, "components")
    whole = [int(v) if isinstance(v, str) and v.isdecimal() else v for v in found]  # as a command has them
    return tuple(sorted({as_count(v, "components", 1, 10**4) for v in whole}))


def _as_number(value: Any) -> float | None:
    """A number, or a text of one as a command has it; None if it is neither."""
    if isinstance(value, str):
        try:
            value = float(value[:40])
        except ValueError:
            return None
    return float(value) if is_finite(value) else None
