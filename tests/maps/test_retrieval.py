"""Nearest items, ranks, CSLS and inverted softmax."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from isomorph.errors import InputError
from isomorph.maps import retrieval
from isomorph.maps.retrieval import csls, inverted_softmax, nearest, ranks


def cosines(q: np.ndarray, g: np.ndarray) -> np.ndarray:
    return (q / np.linalg.norm(q, axis=1, keepdims=True)) @ (g / np.linalg.norm(g, axis=1, keepdims=True)).T


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    gallery = rng.normal(size=(3000, 12))
    return gallery[:40] + 0.8 * rng.normal(size=(40, 12)), gallery


@pytest.mark.parametrize("block_bytes", [1 << 27, 8 * 3000 * 7])
@pytest.mark.parametrize("k", [1, 10, 400, 3000])
def test_nearest_equals_a_full_sort(
    k: int, block_bytes: int, rows: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "BLOCK_BYTES", block_bytes)
    q, g = rows
    found = nearest(q, g, k)
    order = np.argsort(-cosines(q, g), axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(found.rows, order)
    np.testing.assert_allclose(found.scores, np.take_along_axis(cosines(q, g), order, axis=1))


@pytest.mark.parametrize("block_bytes", [1 << 27, 8 * 3000 * 7])
def test_ranks_equal_those_of_a_full_ranking(
    block_bytes: int, rows: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "BLOCK_BYTES", block_bytes)
    q, g = rows
    by_hand = rankdata(-cosines(q, g), axis=1)[np.arange(40), np.arange(40)]
    np.testing.assert_array_equal(ranks(q, g), by_hand)
    truth = np.random.default_rng(1).permutation(3000)[:40]
    by_hand = rankdata(-cosines(q, g), axis=1)[np.arange(40), truth]
    np.testing.assert_array_equal(ranks(q, g, truth), by_hand)


def test_a_map_that_sends_everything_to_one_place_ranks_at_chance() -> None:
    g = np.random.default_rng(0).normal(size=(30, 5))
    np.testing.assert_array_equal(ranks(g, np.ones((30, 5))), 15.5)


def test_csls_equals_its_definition_and_the_blocked_form(rows: tuple[np.ndarray, ...]) -> None:
    q, g = rows[0], rows[1][:200]
    s = cosines(q, g)
    r_q, r_g = np.sort(s, axis=1)[:, -5:].mean(axis=1), np.sort(s, axis=0)[-5:].mean(axis=0)
    by_hand = 2 * s - r_q[:, None] - r_g[None, :]
    np.testing.assert_allclose(csls(s, 5), by_hand)
    np.testing.assert_array_equal(
        nearest(q, g, 3, correction="csls", neighbors=5).rows, np.argsort(-by_hand, axis=1)[:, :3]
    )
    expected = rankdata(-by_hand, axis=1)[np.arange(40), np.arange(40)]
    np.testing.assert_array_equal(ranks(q, g, correction="csls", neighbors=5), expected)


def test_both_corrections_take_a_hub_out_of_the_answers() -> None:
    s = 0.6 * np.eye(8) + 0.1 * np.random.default_rng(0).random((8, 8))
    s[:, 3] = 0.8  # item 3 is near to every query
    s[3, 3] = 0.9
    assert np.mean(s.argmax(axis=1) == np.arange(8)) == pytest.approx(1 / 8)
    assert (csls(s, 2).argmax(axis=1) == np.arange(8)).all()
    assert (inverted_softmax(s, 0.05).argmax(axis=1) == np.arange(8)).all()


def test_inverted_softmax_gives_log_probabilities_over_the_queries_that_never_vanish(
    rows: tuple[np.ndarray, ...],
) -> None:
    s = cosines(rows[0], rows[1][:50])
    found = inverted_softmax(s, 0.1)
    np.testing.assert_allclose(np.exp(found).sum(axis=0), 1.0)
    by_hand = np.exp(s / 0.1) / np.exp(s / 0.1).sum(axis=0)
    np.testing.assert_allclose(np.exp(found), by_hand)
    cold = inverted_softmax(s, 1e-5)
    assert np.isfinite(cold).all()
    assert len(np.unique(cold[:, 0])) == len(s)


def test_bad_input_is_refused_by_name(rows: tuple[np.ndarray, ...]) -> None:
    q, g = rows
    with pytest.raises(InputError, match="k=3001"):
        nearest(q, g, 3001)
    with pytest.raises(InputError, match="one space"):
        nearest(q, g[:, :5])
    with pytest.raises(InputError, match="no direction"):
        nearest(q, np.zeros((3, 12)), 1)
    with pytest.raises(InputError, match="correction"):
        nearest(q, g, correction="softmax")
    with pytest.raises(InputError, match="41 neighbours"):
        ranks(q, g, correction="csls", neighbors=41)
    with pytest.raises(InputError, match="truth"):
        ranks(q, g, np.full(40, 3000))
    with pytest.raises(InputError, match="truth"):
        ranks(g, q)
    with pytest.raises(InputError, match="temperature"):
        inverted_softmax(np.eye(3), 0)
    with pytest.raises(InputError, match="4 neighbours"):
        csls(np.eye(3), 4)
