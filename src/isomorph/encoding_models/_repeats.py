"""How well the responses of units could be predicted at the best: their reliability over repeats of the same items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core.distributions import f_sf

Matrix = np.ndarray[Any, Any]
SPLITS = 100


def reliabilities(repeats: Matrix, kind: str, seed: int) -> tuple[Matrix, Matrix]:
    """Reliability of the mean over repeats, and its p, unit by unit.

    The root of the reliability is the expected correlation of the mean with a prediction that knows the signal; the
    reliability itself is the share of variance that it explains.

    Args:
        repeats: Responses (repeats, items, units).
        kind: ``"signal_power"``: share of signal in the variance of the mean over repeats (Cronbach's alpha, which is
            the mean over all halvings); or ``"split_half"``: correlation of the means of two random halves, the mean
            over 100 halvings, corrected by Spearman and Brown.
        seed: Seed of the halvings.

    Returns:
        Reliability (units,), at most 1 and below 0 where repeats disagree, NaN where a unit does not vary; and p
        (units,) of no signal, an F test of items against residuals that takes items for independent.
    """
    count, items, _ = repeats.shape
    values = repeats.astype(np.float64) - repeats.mean(axis=(0, 1), dtype=np.float64)
    means = values.mean(axis=0)
    rest = values - means - values.mean(axis=1, keepdims=True)  # beside items and the level of each repeat
    noise = np.sum(rest**2, axis=(0, 1)) / ((items - 1) * (count - 1))
    signal = count * np.sum(means**2, axis=0) / (items - 1)
    varies = signal > 1e-20 * np.maximum(np.max(repeats.astype(np.float64) ** 2, axis=(0, 1)), 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = 1 - noise / np.where(varies, signal, 1.0)
        p = f_sf(np.where(varies, signal, 0.0) / noise, items - 1, (items - 1) * (count - 1))
    p = np.where(noise > 0, p, np.where(varies, 0.0, 1.0))
    if kind == "split_half":
        share = _halves(values, seed)
    return np.where(varies, share, np.nan), np.where(varies, p, np.nan)


def _halves(values: Matrix, seed: int) -> Matrix:
    """Correlation of halves with the correction of Spearman and Brown, the mean over halvings (units,)."""
    rng = np.random.default_rng([seed, 6])
    count = len(values)
    halvings = 1 if count == 2 else SPLITS
    total = np.zeros(values.shape[2])
    for _ in range(halvings):
        order = rng.permutation(count)
        first, second = (values[part].mean(axis=0) for part in (order[: count // 2], order[count // 2 :]))
        first, second = first - first.mean(axis=0), second - second.mean(axis=0)
        sizes = np.sqrt(np.sum(first**2, axis=0) * np.sum(second**2, axis=0))
        r = np.sum(first * second, axis=0) / np.where(sizes > 0, sizes, 1.0)
        total += 2 * r / (1 + np.abs(r))
    return total / halvings


def by_blocks(
    block: Callable[[int, int], Matrix], shape: tuple[int, int, int], kind: str, seed: int, size: int
) -> tuple[Matrix, Matrix]:
    """`reliabilities` of very many units, some at a time.

    Args:
        block: From two numbers of units to the responses of those between (repeats, items, units).
        shape: Repeats, items and units.
        kind: As in `reliabilities`.
        seed: As in `reliabilities`.
        size: Bytes that one block may take.
    """
    count, items, units = shape
    step = max(1, size // (8 * 4 * count * items))
    parts = [reliabilities(block(a, min(a + step, units)), kind, seed) for a in range(0, units, step)]
    found, p = (np.concatenate(each) for each in zip(*parts, strict=True))
    return found, p
