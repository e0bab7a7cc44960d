"""R-Cross-Barcodes: against the reduction of the whole boundary matrix, ripser, and cases known by hand."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree

from isomorph.metrics import working_memory
from isomorph.metrics._engines.topology.cross_barcode import cross_barcodes, spanning_tree


def distances(x: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x[:, None] - x[None], axis=-1)


def reduced_boundaries(w: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Bars by the textbook: all edges and triangles of the cloud of smaller distances and of the cone over `w`."""
    n, m = len(w), np.minimum(w, other)
    edges = [(m[e], e) for e in itertools.combinations(range(n), 2)] + [(-1.0, (i, n)) for i in range(n)]
    triangles = [(max(m[a, b], m[a, c], m[b, c]), (a, b, c)) for a, b, c in itertools.combinations(range(n), 3)]
    triangles += [(w[e], (*e, n)) for e in itertools.combinations(range(n), 2)]
    edges, triangles = sorted(edges), sorted(triangles)
    place, pivots, bars = {e: p for p, (_, e) in enumerate(edges)}, {}, []
    for death, t in triangles:
        column = {place[e] for e in itertools.combinations(t, 2)}
        while column and max(column) in pivots:
            column ^= pivots[max(column)]
        if column:
            pivots[max(column)] = column
            bars.append((edges[max(column)][0], death))
    found = np.array(sorted(b for b in bars if b[1] > b[0])).reshape(-1, 2)
    assert len(bars) == len(edges) - n  # every cycle is closed
    return found


def cylinder(w: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Bars by ripser, from the matrix of the authors: two copies of the items and one point more."""
    ripser = pytest.importorskip("ripser", reason="the optional package ripser is not installed").ripser
    n = len(w)
    half = np.where(np.tri(n, k=-1, dtype=bool), np.inf, w)
    m = np.full((2 * n + 1, 2 * n + 1), np.inf)
    m[:n, :n], m[n : 2 * n, n : 2 * n] = w, np.minimum(w, other)
    m[n : 2 * n, :n], m[:n, n : 2 * n] = half, half.T
    m[2 * n, :n] = m[:n, 2 * n] = m[2 * n, 2 * n] = 0.0
    bars = ripser(m, distance_matrix=True, maxdim=1, thresh=1.01 * float(w.max()))["dgms"][1]
    return np.array(sorted(map(tuple, bars.astype(np.float64)))).reshape(-1, 2)


def ring(n: int, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.c_[np.cos(angle), np.sin(angle)]


CLOUDS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "noise": lambda n, rng: rng.standard_normal((n, 4)),
    "heavy tails": lambda n, rng: rng.standard_t(2, (n, 4)),
    "ring": ring,
    "ties and copies": lambda n, rng: rng.integers(0, 3, (n, 2)).astype(float),
    "clusters": lambda n, rng: 9.0 * rng.integers(0, 3, (n, 1)) + 0.1 * rng.standard_normal((n, 3)),
    "line": lambda n, rng: rng.permutation(n)[:, None].astype(float),
}


@pytest.mark.parametrize("second", CLOUDS)
@pytest.mark.parametrize("first", CLOUDS)
def test_bars_are_those_of_the_whole_boundary_matrix(first: str, second: str) -> None:
    rng = np.random.default_rng(len(first) + 17 * len(second))
    for n in (2, 3, 4, 6, 9, 14):
        w, other = (distances(CLOUDS[kind](n, rng)) for kind in (first, second))
        for bars, expected in zip(
            cross_barcodes(w, other), (reduced_boundaries(w, other), reduced_boundaries(other, w)), strict=True
        ):
            np.testing.assert_array_equal(np.array(sorted(map(tuple, bars))).reshape(-1, 2), expected)


@pytest.mark.parametrize(
    ("first", "second"),
    [pytest.param(a, b, marks=[pytest.mark.thorough] * (a != b)) for a in CLOUDS for b in CLOUDS],
)
def test_bars_are_those_of_ripser_in_single_precision(first: str, second: str) -> None:
    rng = np.random.default_rng(len(first) + 17 * len(second))
    w, other = (distances(CLOUDS[kind](90, rng)) for kind in (first, second))
    for bars, expected in zip(cross_barcodes(w, other), (cylinder(w, other), cylinder(other, w)), strict=True):
        long, theirs = (np.sort(np.diff(b, axis=1)[:, 0]) for b in (bars, expected))
        smallest = 1e-5 * w.max()  # single precision parts ties, which makes bars of no length
        np.testing.assert_allclose(long[long > smallest], theirs[theirs > smallest], atol=1e-5 * w.max())
        assert long.sum() == pytest.approx(theirs.sum(), abs=1e-4 * w.max())


def test_bars_of_two_items_are_the_distance_by_which_they_merge_later() -> None:
    far, near = (np.array([[0.0, d], [d, 0.0]]) for d in (5.0, 2.0))
    there, back = cross_barcodes(far, near)
    np.testing.assert_array_equal(there, [[2, 5]])
    assert len(back) == 0


def test_bars_of_three_items_are_the_difference_of_minimum_spanning_trees() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        w, other = (distances(rng.standard_normal((3, 2))) for _ in range(2))
        expected = minimum_spanning_tree(w).sum() - minimum_spanning_tree(np.minimum(w, other)).sum()
        assert np.diff(cross_barcodes(w, other)[0], axis=1).sum() == pytest.approx(expected, abs=1e-12)


def test_the_order_of_the_items_plays_no_part() -> None:
    rng = np.random.default_rng(3)
    w, other = (distances(rng.standard_t(2, (200, 5))) for _ in range(2))
    order = rng.permutation(200)
    again = cross_barcodes(w[np.ix_(order, order)], other[np.ix_(order, order)])
    for bars, moved in zip(cross_barcodes(w, other), again, strict=True):
        assert sorted(map(tuple, bars)) == sorted(map(tuple, moved))


def test_matrices_that_rounding_makes_asymmetric_lose_no_bar() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        exact = [distances(rng.standard_t(2, (30, 3))) for _ in range(2)]
        rounded = [
            np.where(np.tri(30, dtype=bool), np.nextafter(w, rng.choice([-9.0, 9.0], (30, 30))), w) for w in exact
        ]
        for bars, expected in zip(cross_barcodes(*rounded), cross_barcodes(*exact), strict=True):
            np.testing.assert_allclose(np.sort(bars, axis=0), np.sort(expected, axis=0), rtol=1e-12)


def test_steps_shrink_to_the_working_memory_and_the_bars_stay() -> None:
    rng = np.random.default_rng(7)
    w, other = (distances(CLOUDS["clusters"](300, rng)) for _ in range(2))
    expected, peaks = cross_barcodes(w, other), []
    for limit in ("16MB", "8GB"):
        tracemalloc.start()
        with working_memory(limit):
            found = cross_barcodes(w, other)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        for bars, same in zip(found, expected, strict=True):
            np.testing.assert_array_equal(np.sort(bars, axis=0), np.sort(same, axis=0))
    assert peaks[0] < 16e6 < peaks[1]


def test_the_spanning_tree_is_the_least_one_with_copies_too() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 3))
    i, j, lengths = spanning_tree(distances(x))
    assert lengths.sum() == pytest.approx(minimum_spanning_tree(distances(x)).sum())
    np.testing.assert_array_equal(lengths, distances(x)[i, j])
    assert (np.diff(lengths) >= 0).all()
    twice = spanning_tree(distances(np.concatenate([x, x])))
    assert twice[2].sum() == pytest.approx(lengths.sum())
    assert np.count_nonzero(twice[2] == 0) == 40
