"""Search for the pairing of two sets of items under which their similarity matrices agree best.

The objective is ``Σ_ij A_ij B_p(i)p(j)``, to be maximised over permutations p: a quadratic assignment problem. Nothing
finds its optimum for sure beyond a handful of items, so many starts are improved and what they reach is compared.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.optimize import linear_sum_assignment, quadratic_assignment

from ..errors import MissingExtraError
from ._base import Matrix

EXHAUSTIVE = 7
"""Up to this many items every pairing is tried."""


def objective(a: Matrix, b: Matrix, match: Matrix) -> float:
    """``Σ_ij A_ij B_match(i)match(j)``."""
    return float(np.vdot(a, b[np.ix_(match, match)]))


def mean_objective(a: Matrix, b: Matrix) -> float:
    """The mean of `objective` over all pairings of n items: diagonals meet diagonals, all else meets all else."""
    n = len(a)
    traces, sums = (float(np.trace(m)) for m in (a, b)), (float(m.sum()) for m in (a, b))
    (own_a, own_b), (all_a, all_b) = traces, sums
    return own_a * own_b / n + (all_a - own_a) * (all_b - own_b) / (n * (n - 1))


def all_pairings(a: Matrix, b: Matrix) -> Matrix:
    """The best permutation of all, as the only row."""
    best = max(itertools.permutations(range(len(a))), key=lambda p: objective(a, b, np.array(p)))
    return np.array([best])


def two_opt(a: Matrix, b: Matrix, starts: Matrix) -> Matrix:
    """Permutations (r, n) after exchanging the best two items again and again until no exchange helps.

    All starts are improved at once. Exchanging i and j gains ``2 (M_ij + M_ji - M_ii - M_jj)`` less the terms of the
    items themselves, where ``M = A P B P'``.
    """
    matches = starts.copy()
    n = len(a)
    active = np.arange(len(matches))
    tolerance = 1e-12 * float(np.linalg.norm(a) * np.linalg.norm(b))
    own_a = np.diag(a)
    while len(active):
        at = matches[active]
        permuted = b[at[:, :, None], at[:, None, :]]
        m = a @ permuted
        own_m, own_b = np.einsum("rii->ri", m), np.einsum("rii->ri", permuted)
        gain = m + m.transpose(0, 2, 1) - own_m[:, :, None] - own_m[:, None, :]
        # the sum over the other items only: the terms k = i and k = j of M are taken out
        difference_a, difference_b = own_a[:, None] - a, own_b[:, :, None] - permuted
        gain += difference_a * difference_b + difference_a.T * difference_b.transpose(0, 2, 1)
        gain = 2 * gain - (own_a[:, None] - own_a[None, :]) * (own_b[:, :, None] - own_b[:, None, :])
        flat = gain.reshape(len(active), -1)
        best = flat.argmax(axis=1)
        rows = np.flatnonzero(flat[np.arange(len(active)), best] > tolerance)
        active, i, j = active[rows], best[rows] // n, best[rows] % n
        matches[active, i], matches[active, j] = matches[active, j], matches[active, i]
    return matches


def faq(a: Matrix, b: Matrix, starts: int, rng: np.random.Generator) -> Matrix:
    """Permutations (starts, n) by the fast approximate method (Vogelstein et al. 2015) from random points."""
    found = []
    for index in range(starts):
        p0 = "barycenter" if index == 0 else "randomized"
        options = {"maximize": True, "P0": p0, "rng": rng}
        found.append(quadratic_assignment(a, b, method="faq", options=options).col_ind)
    return np.array(found)


def gromov_wasserstein(a: Matrix, b: Matrix, starts: int, rng: np.random.Generator) -> Matrix:
    """Permutations (starts, n) nearest to Gromov-Wasserstein couplings of two distance matrices.

    Raises:
        MissingExtraError: if POT is not installed.
    """
    try:
        import ot
    except ImportError as error:
        raise MissingExtraError("Blind matching by Gromov-Wasserstein", "POT", "matching") from error
    n = len(a)
    weights = np.full(n, 1 / n)
    found = []
    for index in range(starts):
        start = np.full((n, n), 1 / n**2)
        if index:  # half way between saying nothing and a random pairing
            start = (start + np.eye(n)[rng.permutation(n)] / n) / 2
        plan = ot.gromov.gromov_wasserstein(a, b, weights, weights, "square_loss", symmetric=True, G0=start)
        found.append(linear_sum_assignment(-plan)[1])
    return np.array(found)
