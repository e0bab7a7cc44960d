"""Search for the pairing of two sets of items under which their similarity matrices agree best.

The objective is ``Σ_ij A_ij B_p(i)p(j)``, to be maximised over permutations p: a quadratic assignment problem. Nothing
finds its optimum for sure beyond a handful of items, so many starts are improved and what they reach is compared.
"""

from __future__ import annotations

import itertools

import numpy as np
import scipy

from .._core.parallel import on_threads
from ..errors import MissingExtraError
from ._base import Matrix

EXHAUSTIVE = 7
"""Up to this many items every pairing is tried."""
_AT_ONCE = 1 << 19  # bytes of one matrix of all starts that are improved at once


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

    Args:
        a: A symmetric matrix (n, n).
        b: Another.
        starts: Permutations (r, n); some are improved at once, as many as stay near the processor.
    """
    size = max(1, _AT_ONCE // (8 * len(a) ** 2))
    parts = [starts[s : s + size] for s in range(0, len(starts), size)]
    work = float(starts.size) * len(a) ** 2  # some n exchanges, each of some n² operations
    return np.concatenate(on_threads(lambda part: _exchanged(a, b, part), parts, work))


def _exchanged(a: Matrix, b: Matrix, starts: Matrix) -> Matrix:
    """`two_opt` of some starts.

    With ``B' = P B P'`` and ``M = A B'``, exchanging i and j gains ``2 (H + H')_ij``, where ``H_ij = M_ij - M_jj`` and
    the terms of i and j themselves, which do not move. An exchange changes M by one product of a column and a row.
    """
    matches, active = starts.copy(), np.arange(len(starts))
    tolerance = 1e-12 * float(np.linalg.norm(a) * np.linalg.norm(b))
    own = np.diag(a)
    of_b, of_diagonal = a - (own[:, None] + own[None, :]) / 2, own[:, None] / 2 - a
    permuted = b[matches[:, :, None], matches[:, None, :]]
    m = a @ permuted
    while True:
        own_b = np.einsum("rii->ri", permuted)
        half = permuted * of_b
        half += m
        half += of_diagonal * own_b[:, None, :]
        half += (own * own_b / 2 - np.einsum("rii->ri", m))[:, None, :]
        gain = (half + half.transpose(0, 2, 1)).reshape(len(active), -1)
        best = gain.argmax(axis=1)
        rows = np.flatnonzero(2 * gain[np.arange(len(active)), best] > tolerance)
        if not len(rows):
            return matches
        if len(rows) < len(active):
            active, permuted, m = active[rows], permuted[rows], m[rows]
        i, j = np.divmod(best[rows], len(a))
        each = np.arange(len(active))
        m += (a[j] - a[i])[:, :, None] * (permuted[each, i] - permuted[each, j])[:, None, :]
        for table in (m.transpose(0, 2, 1), permuted, permuted.transpose(0, 2, 1)):
            table[each, i], table[each, j] = table[each, j], table[each, i]
        matches[active, i], matches[active, j] = matches[active, j], matches[active, i]


def faq(a: Matrix, b: Matrix, starts: int, rng: np.random.Generator) -> Matrix:
    """Permutations (starts, n) by the fast approximate method (Vogelstein et al. 2015) from random points."""
    found = []
    for index in range(starts):
        p0 = "barycenter" if index == 0 else "randomized"
        options = {"maximize": True, "P0": p0, "rng": rng}
        found.append(scipy.optimize.quadratic_assignment(a, b, method="faq", options=options).col_ind)
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
        found.append(scipy.optimize.linear_sum_assignment(-plan)[1])
    return np.array(found)
