"""How far more than two spaces hold one geometry: centered kernel alignment of all of them at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._core.checks import as_count, as_seed, check_flag
from .._core.linalg import centered_scaled, double_center, u_center
from ..design import Design, Labels
from ..errors import InputError
from .consensus import checked_spaces

Floats = np.ndarray[Any, Any]

_LEAST = 5  # items: the unbiased estimator divides by n - 3


@dataclasses.dataclass(frozen=True, eq=False)
class SeveralSpaces:
    """How far one kernel stands for the kernels of all models, and how each model agrees with that of the others.

    Attributes:
        names: Names of the models.
        alignments: CKA of every two of them (models, models).
        value: (λ - 1) / (M - 1) of the largest eigenvalue λ of `alignments` over M models: 1 where all kernels are one,
            the absolute CKA where there are two, near 0 where they have nothing in common.
        chance: Its mean with the items of every model in orders of their own.
        p_value: p of `value` against these orders, one-sided.
        weights: Share of each model in the kernel that stands for all (models,), which sums to 1: a model that shares
            little has little.
        agreement: CKA of each model with the kernel that stands for the others (models,), -1 to 1.
        agreement_chance: Its mean with the model's items in these orders (models,).
        agreement_p: p of each by these, one-sided (models,).
        debiased: Whether CKA is the unbiased estimator, of which the mean by chance is 0.
        n: Items.
        permutations: Orders of the items.

    Example:
        >>> z, *noise = np.random.default_rng(0).normal(size=(5, 80, 4))
        >>> models = {name: z + s * e for name, s, e in zip("abcd", (0.3, 0.5, 0.7, 50), noise)}
        >>> found = several_spaces(models)
        >>> round(found.value, 2), found.p_value, found.agreement.round(1).tolist()
        (0.45, 0.01, [0.8, 0.8, 0.7, -0.0])
        >>> print(found.told)
        4 spaces of 80 items: one kernel stands for all by 0.45 (permuted items ..., p 0.01); with that of the ...
    """

    names: tuple[str, ...]
    alignments: Floats
    value: float
    chance: float
    p_value: float
    weights: Floats
    agreement: Floats
    agreement_chance: Floats
    agreement_p: Floats
    debiased: bool
    n: int
    permutations: int

    @property
    def told(self) -> str:
        """What was found, in a sentence."""
        most, least = (self.names[int(k)] for k in (np.argmax(self.agreement), np.argmin(self.agreement)))
        high, low = float(self.agreement.max()), float(self.agreement.min())
        return (
            f"{len(self.names)} spaces of {self.n:,} items: one kernel stands for all by {self.value:.2f} (permuted "
            f"items {self.chance:.2f}, p {self.p_value:.3g}); with that of the others {most} agrees most ({high:.2f}) "
            f"and {least} least ({low:.2f})."
        )


def several_spaces(
    spaces: Mapping[str, Any],
    *,
    debiased: bool = True,
    permutations: int = 99,
    groups: Labels | Design | None = None,
    seed: int = 0,
) -> SeveralSpaces:
    """Centered kernel alignment of several spaces: how far one linear kernel stands for all of theirs.

    Every space is turned into its centered kernel of items, scaled to norm one; the kernel that stands for all is the
    weighted sum of these that is nearest to all (STATIS: Escoufier 1973, Lavit et al. 1994), whose weights are the
    leading eigenvector of the matrix of pairwise CKA. For two spaces the value is the absolute CKA. Rotations, shifts
    and scales of a space change nothing.

    The value is made of pairwise alignments: where every two of three spaces share a part of their own, one kernel
    stands for all as well as where all three share one part, as in the example. Axes that all agree on, on items that
    nothing was fitted on, are `consensus`'.

    Time and memory grow with models × items²; each permutation costs models² × items².

    Args:
        spaces: Features (items, width) by name of the model, row i of each the same item.
        debiased: Use the unbiased estimator (Song et al. 2012), of which the mean by chance is 0; the biased one rises
            with width.
        permutations: Orders of the items, drawn for each model by itself.
        groups: One group an item, which are permuted whole, or the design of the items.
        seed: Seed of the orders.

    Raises:
        InputError: if there are fewer than two spaces or five items, their items differ, or a space does not vary.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> parts = rng.normal(size=(3, 60, 4))  # every two models share a part, and no part is shared by all
        >>> models = {"a": np.hstack(parts[[0, 1]]), "b": np.hstack(parts[[1, 2]]), "c": np.hstack(parts[[2, 0]])}
        >>> found = several_spaces(models)
        >>> found.weights.round(1).tolist(), round(found.value, 1), round(found.chance, 1)
        ([0.4, 0.3, 0.3], 0.5, 0.0)
    """
    features = checked_spaces(spaces)
    n = len(next(iter(features.values())))
    if n < _LEAST:
        raise InputError(f"spaces hold {n} items; at least {_LEAST} are needed.")
    check_flag(debiased, "debiased")
    as_count(permutations, "permutations")
    design = groups if isinstance(groups, Design) else Design(groups)
    kernels = np.array([_kernel(rows, name, debiased) for name, rows in features.items()])
    aligned = _alignments(kernels)
    # orders of the first model leave it as it is: what counts is how the others stand to it
    drawn = [design.orders(n, permutations, as_seed(seed) + k) for k in range(len(kernels) - 1)]
    null = np.array([_value(_alignments(_moved(kernels, own))) for own in zip(*drawn, strict=True)])
    value, weights = _value(aligned), _leading(aligned)
    own, own_chance, own_p = _agreement(kernels, aligned, drawn[0])
    return SeveralSpaces(
        tuple(features), aligned, value, float(null.mean()), float(_p(value, null)), weights / weights.sum(),
        own, own_chance, own_p, debiased, n, len(null),
    )  # fmt: skip


def _kernel(rows: Floats, name: str, debiased: bool) -> Floats:
    """The centered kernel of a space, of norm one (n, n)."""
    centered = centered_scaled(rows, name)
    kernel = (u_center if debiased else double_center)(centered @ centered.T)
    return np.asarray(kernel / np.linalg.norm(kernel))


def _alignments(kernels: Floats) -> Floats:
    flat = kernels.reshape(len(kernels), -1)
    return np.asarray(flat @ flat.T)


def _moved(kernels: Floats, orders: Any) -> Floats:
    """All kernels but the first with their items in another order."""
    return np.array([kernels[0], *(k[np.ix_(order, order)] for k, order in zip(kernels[1:], orders, strict=True))])


def _leading(aligned: Floats) -> Floats:
    """The leading eigenvector, turned to where its sum is positive."""
    vector = np.linalg.eigh(aligned)[1][:, -1]
    return np.asarray(vector if vector.sum() >= 0 else -vector)


def _value(aligned: Floats) -> float:
    return float((np.linalg.eigvalsh(aligned)[-1] - 1) / (len(aligned) - 1))


def _agreement(kernels: Floats, aligned: Floats, orders: Any) -> tuple[Floats, Floats, Floats]:
    """Alignment of each model with the kernel that stands for the others, its mean and p over orders of its items."""
    found, chance, p = [], [], []
    for k, own in enumerate(kernels):
        rest = np.delete(np.arange(len(kernels)), k)
        weights = _leading(aligned[np.ix_(rest, rest)])
        common = np.tensordot(weights, kernels[rest], axes=1)
        common /= np.linalg.norm(common)
        value = float(np.sum(own * common))
        null = np.array([np.sum(own[np.ix_(order, order)] * common) for order in orders])
        found.append(value)
        chance.append(null.mean())
        p.append(_p(value, null))
    return np.array(found), np.array(chance), np.array(p)


def _p(value: float, null: Floats) -> float:
    return float((1 + np.sum(null >= value - 1e-9)) / (1 + len(null)))
