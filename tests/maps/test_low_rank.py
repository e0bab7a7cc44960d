"""Reduced-rank regression."""

from __future__ import annotations

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.maps.linear import Ridge
from isomorph.maps.low_rank import LowRank


def test_full_rank_is_ridge(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    np.testing.assert_allclose(LowRank(9).fit(x, y).coef_, Ridge().fit(x, y).coef_, atol=1e-10)


def test_the_matrix_has_the_rank_asked_for_and_eight_suffice_for_eight_shared_dimensions(
    pairs: tuple[np.ndarray, ...],
) -> None:
    x, y = pairs
    for rank in (1, 4, 8):
        assert np.linalg.matrix_rank(LowRank(rank).fit(x, y).coef_) == rank
    scores = [LowRank(rank).fit(x[:60], y[:60]).score(x[60:], y[60:]) for rank in (2, 8, 9)]
    assert scores[0] < 0.9 < scores[1]
    assert scores[2] - scores[1] < 0.01


def test_no_other_matrix_of_that_rank_has_a_lower_penalised_error(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    fitted = LowRank(3, 0.01).fit(x, y)
    centered, outcome = x - x.mean(axis=0), y - y.mean(axis=0)

    def cost(coef: np.ndarray) -> float:
        return float(((outcome - centered @ coef) ** 2).sum() + 0.01 * (centered**2).sum() * (coef**2).sum())

    best = cost(fitted.coef_)
    left, s, right = np.linalg.svd(fitted.coef_, full_matrices=False)
    a, b = left[:, :3] * s[:3], right[:3]
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-2, 1e-1):
        for _ in range(20):
            other = (a + size * rng.normal(size=a.shape)) @ (b + size * rng.normal(size=b.shape))
            assert cost(other) > best
    truncated = Ridge(0.01).fit(x, y).coef_
    u, t, v = np.linalg.svd(truncated, full_matrices=False)
    assert cost((u[:, :3] * t[:3]) @ v[:3]) > best


@pytest.mark.parametrize("rank", [10, 0, 2.5])
def test_a_rank_that_the_spaces_do_not_have_is_refused(rank: int, pairs: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(InputError, match="rank"):
        LowRank(rank).fit(*pairs)


def test_a_rank_above_that_of_few_pairs_is_refused(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    with pytest.raises(InputError, match="found rank 4 over 5 pairs"):
        LowRank(8).fit(x[:5], y[:5])
