"""Triangles in tiles: every entry above the diagonal once, where its place says."""

from __future__ import annotations

import numpy as np
import pytest

from isomorph._core.triangles import Tiles

SIZES = [(1, 64), (2, 1), (7, 3), (64, 64), (65, 64), (130, 64), (130, 200)]


def symmetric(n: int) -> np.ndarray:
    a = np.random.default_rng(0).integers(1, 1000, size=(n, n)).astype(np.float64)
    return a + a.T


@pytest.mark.parametrize(("n", "width"), SIZES)
@pytest.mark.parametrize("library", ["numpy", "torch", "array_api_strict"])
def test_entries_lie_where_their_place_says_and_all_else_is_zero(n: int, width: int, library: str) -> None:
    tiles, a = Tiles(n, width), symmetric(n)
    make = pytest.importorskip(library).asarray
    packed = np.asarray(tiles.packed(make(a)))
    i, j = np.triu_indices(n, 1)
    np.testing.assert_array_equal(packed[tiles.base[i] + j], a[i, j])
    assert len(packed) == tiles.size
    assert np.count_nonzero(packed) == len(i)
    np.testing.assert_array_equal(packed[tiles.base + np.arange(n)], 0)  # what (i, i) would take


@pytest.mark.parametrize(("n", "width"), SIZES)
@pytest.mark.parametrize("entries", [1, 100, 1 << 20])
def test_chunks_go_through_all_entries_in_their_order(n: int, width: int, entries: int) -> None:
    tiles, at = Tiles(n, width), 0
    for begin, end, first in tiles.chunks(entries):
        assert tiles.base[begin] + first == at
        assert (end - begin) * (n - first) <= max(entries, n - first)
        at += (end - begin) * (n - first)
    assert at == tiles.size


def test_a_level_of_rows_and_columns_is_added_while_a_strip_is_cut() -> None:
    n, tiles = 130, Tiles(130)
    a, u = symmetric(n), np.random.default_rng(1).standard_normal(n)
    out = np.empty(tiles.size - tiles.position(64))
    tiles.cut(a[64:, 64:], 64, out, u)
    wanted = tiles.packed(a + u[:, None] + u[None, :])[tiles.position(64) :]
    np.testing.assert_allclose(out, wanted, rtol=1e-14)
