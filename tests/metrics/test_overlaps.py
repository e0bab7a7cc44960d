"""Exact moments of functions of the neighbour overlap against the enumeration of all permutations."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from scipy import sparse, stats

from isomorph._core.memory import limited
from isomorph.metrics import metric
from isomorph.metrics._engines.neighbors import overlaps
from isomorph.metrics._engines.neighbors.edges import EdgeTable, common, total_overlap
from isomorph.metrics._engines.neighbors.graphs import Neighbors, nearest
from isomorph.nulls.motifs import Moments, permutation_moments

FUNCTIONS = {
    "share": Fraction,
    "jaccard": lambda h, k: Fraction(h, 2 * k - h),
    "square": lambda h, k: Fraction(h * h),
    "any": lambda h, k: Fraction(int(h > 0)),
}


def values(name: str, k: int) -> overlaps.Values:
    return tuple(FUNCTIONS[name](h, k) for h in range(k + 1))


def graph(kind: str, n: int, k: int, seed: int) -> Neighbors:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 3))
    if kind == "hub":  # lengths differ, so that the items in the middle are everybody's neighbours
        x = x * np.linspace(0.05, 1, n)[:, None]
    if kind == "clusters":
        x = x + 5 * rng.standard_normal((3, 3))[np.arange(n) % 3]
    return nearest(x, k, "euclidean")


def counted(x: Neighbors, y: Neighbors) -> Moments:
    return permutation_moments(x.invariants[None], y.invariants[None], x.n)


def moments(x: Neighbors, y: Neighbors, f: overlaps.Values) -> overlaps.OverlapMoments:
    a, b = (overlaps.pair_histogram(g)[None] for g in (x, y))
    return overlaps.overlap_moments(a, b, x.n, f, counted(x, y))


def overlaps_of_all_pairings(x: Neighbors, y: Neighbors) -> np.ndarray:
    a, b = (sparse.csr_array((g.weights, g.target, g.start), shape=(g.n, g.n)).toarray() for g in (x, y))
    orders = np.array(list(itertools.permutations(range(x.n))))
    return np.einsum("ij,pij->pi", a, b[orders[:, :, None], orders[:, None, :]]).astype(int)


@pytest.mark.parametrize(("n", "k"), [(3, 1), (4, 2), (5, 1), (6, 2), (6, 3), (7, 2), (7, 3), (7, 5)])
@pytest.mark.parametrize("kinds", [("noise", "hub"), ("hub", "hub"), ("clusters", "noise")])
def test_moments_equal_those_over_all_permutations(n: int, k: int, kinds: tuple[str, str]) -> None:
    x, y = graph(kinds[0], n, k, 1), graph(kinds[1], n, k, 2)
    h = overlaps_of_all_pairings(x, y)
    for name in FUNCTIONS:
        f = values(name, k)
        total = np.array([float(v) for v in f])[h].sum(axis=1)
        m = moments(x, y, f)
        assert m.mean == pytest.approx(total.mean(), rel=1e-12)
        assert m.variance[0, 0] == pytest.approx(total.var(), rel=1e-10, abs=1e-12)
        if name == "share" and total.std() > 1e-9:
            assert m.skewness[0, 0] == pytest.approx(stats.skew(total), abs=1e-8)


@pytest.mark.parametrize(("n", "k"), [(60, 10), (300, 10), (120, 50), (1500, 20)])
def test_the_share_has_the_moments_that_motifs_give(n: int, k: int) -> None:
    x, y = graph("hub", n, k, 3), graph("clusters", n, k, 4)
    m, known = moments(x, y, values("share", k)), counted(x, y)
    assert m.mean == pytest.approx(known.mean[0, 0] / k, rel=1e-10)
    assert m.variance[0, 0] == pytest.approx(known.variance[0, 0] / k**2, rel=1e-10)
    assert m.skewness[0, 0] == pytest.approx(known.skewness[0, 0], abs=1e-8)


def test_every_ordered_pair_is_counted_once() -> None:
    g = graph("hub", 40, 6, 5)
    a = np.zeros((40, 40), dtype=int)
    a[np.arange(40)[:, None], g.lists] = 1
    expected = np.zeros((4, 7))
    for i, j in itertools.permutations(range(40), 2):
        expected[a[i, j] + 2 * a[j, i], a[i] @ a[j]] += 1
    np.testing.assert_array_equal(overlaps.pair_histogram(g), expected)


def test_lists_that_hold_everybody_leave_nothing_to_chance() -> None:
    x, y = graph("noise", 6, 5, 1), graph("hub", 6, 5, 2)
    m = moments(x, y, values("jaccard", 5))
    assert m.mean == pytest.approx(6.0)
    assert (m.variance[0, 0], m.skewness[0, 0]) == (0.0, 0.0)


def test_the_spacing_is_the_unit_of_few_values_and_vanishes_where_sums_are_dense() -> None:
    assert overlaps.spacing(100, values("jaccard", 1)) == pytest.approx(1.0)
    assert overlaps.spacing(100, values("jaccard", 2)) == pytest.approx(1 / 3)
    assert overlaps.spacing(100, values("share", 10)) == pytest.approx(0.1)
    assert overlaps.spacing(100, values("jaccard", 10)) < 0.01 / 19
    assert 0.9 / 19 < overlaps.spacing(100_000, values("jaccard", 10)) < 1 / 19


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("shared", [0.0, 1.0])
@pytest.mark.parametrize("memory", [None, "16MB"])
def test_many_graphs_overlap_as_each_pair_alone_however_their_tables_are_held(
    tied: bool, shared: float, memory: str | None
) -> None:
    m, n, rng = metric("mutual_knn(k=3)"), 200, np.random.default_rng(0)
    common = rng.standard_normal((n, 5))
    layers = [shared * common + (0.05 if shared else 1.0) * rng.standard_normal((n, 5)) for _ in range(44)]
    if tied:
        layers = [np.round(x) + 0.1 for x in layers]
    states, order = [m.prepare(x) for x in layers], rng.permutation(n)
    xs, ys = states[:22], states[22:]
    with limited(memory):
        found, permuted = m.compare(xs, ys), next(m.compare_permuted(xs, ys, order[None]))
    dense = [np.zeros((n, n)) for _ in states]
    for table, graph in zip(dense, states, strict=True):
        table[graph.source, graph.target] = graph.weights
    wanted = [[np.sum(a * b) / (3 * n) for b in dense[22:]] for a in dense[:22]]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    wanted = [[np.sum(a * b[order][:, order]) / (3 * n) for b in dense[22:]] for a in dense[:22]]
    np.testing.assert_allclose(permuted, wanted, rtol=1e-12)


def test_tables_are_sparse_where_graphs_share_few_edges() -> None:
    rng = np.random.default_rng(0)
    alike = [nearest(np.arange(900.0)[:, None] + np.zeros((1, 2)), 2, "euclidean")] * 40
    unlike = [nearest(rng.standard_normal((900, 5)), 2, "euclidean") for _ in range(40)]
    assert isinstance(EdgeTable.of(alike).weights, np.ndarray)
    assert sparse.issparse(EdgeTable.of(unlike).weights)
    assert np.array_equal(total_overlap(common(EdgeTable.of(unlike), EdgeTable.of(unlike))).diagonal(), [1800.0] * 40)
