"""Neighbour metrics: reference values, ties, duplicates, exact nulls and the peers' mistakes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from isomorph.errors import InputError
from isomorph.metrics import Metric, metric
from isomorph.metrics import neighbor_lists as nl
from isomorph.metrics import neighbor_values as nv
from isomorph.metrics import neighbors as nb
from isomorph.metrics._engines.neighbors import tiles
from isomorph.metrics._engines.neighbors.edges import EdgeTable, common_permuted, row_sums, total_overlap
from isomorph.metrics._engines.neighbors.graphs import nearest
from isomorph.metrics.mutual_nearest import mutual_nearest


def noise(n: int, d: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def neighbour_sets(x: np.ndarray, k: int) -> list[list[int]]:
    """Cosine neighbours the slow way, nearest first."""
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    s = u @ u.T
    np.fill_diagonal(s, -np.inf)
    return np.argsort(-s, axis=1)[:, :k].tolist()


def all_pairings(m: Metric, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    orders = np.array(list(itertools.permutations(range(len(x)))))
    return np.array([s[0, 0] for s in m.compare_permuted([m.prepare(x)], [m.prepare(y)], orders)])


# ---- values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ("mutual_knn(k=10)", 0.386),
        ("mutual_knn(k=10, similarity='dot')", 0.307),
        ("jaccard_knn(k=10)", 0.24928639471984),
        ("cycle_knn(k=10)", 0.975),
        ("lcs_knn(k=10)", 0.2435),
    ],
)
def test_values_on_the_reference_data_are_the_recorded_ones(
    reference: tuple[np.ndarray, np.ndarray], spec: str, value: float
) -> None:
    assert metric(spec)(*reference) == pytest.approx(value, abs=1e-8)


@pytest.mark.parametrize("similarity", ["cosine", "euclidean", "dot"])
def test_neighbours_are_those_of_the_plain_definition(similarity: str) -> None:
    x = noise(60, 5, 1) + 0.3
    s = {
        "cosine": (x @ x.T) / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(x, axis=1)),
        "dot": x @ x.T,
        "euclidean": -np.linalg.norm(x[:, None] - x[None], axis=2),
    }[similarity]
    np.fill_diagonal(s, -np.inf)
    np.testing.assert_array_equal(nearest(x, 7, similarity).lists, np.argsort(-s, axis=1)[:, :7])


def test_single_precision_features_give_the_neighbours_of_double_precision() -> None:
    # items so close together that float32 similarities cannot order them
    x = (1 + 1e-4 * noise(300, 40, 2)).astype(np.float32)
    single, double = nearest(x, 5, "cosine", ordered=True), nearest(x.astype(np.float64), 5, "cosine", ordered=True)
    np.testing.assert_array_equal(single.lists, double.lists)


@pytest.mark.parametrize("similarity", ["cosine", "euclidean", "dot"])
@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("block", [350, 2500])  # rows and columns in blocks, and rows alone
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, similarity: str, library: Any, block: int) -> None:
    x = noise(90, 4, 3)
    x[40:60] = np.round(x[40:60])  # ties
    whole = nearest(x, 4, similarity, ordered=True)
    monkeypatch.setattr(tiles, "BLOCK", block)
    monkeypatch.setattr("isomorph.metrics._engines.neighbors.graphs._FEWEST_ROWS", 20)
    found = nearest(library(x), 4, similarity, ordered=True)
    np.testing.assert_array_equal(found.lists, whole.lists)
    np.testing.assert_array_equal(found.weights, whole.weights)


def test_candidates_that_come_in_parts_leave_the_most_similar() -> None:
    s = noise(30, 400, 0)
    best = tiles.Best(30, 6, s.dtype)
    for part in np.array_split(np.random.default_rng(1).permutation(400), 9):
        best.see(slice(None), s[:, part], part)
        some = np.array([3, 17])
        best.see(some, s[some, :2] - 99, np.arange(2))  # which nothing is nearer than
    np.testing.assert_array_equal(best.found, np.argsort(-s, axis=1)[:, :6])
    np.testing.assert_array_equal(best.values, -np.sort(-s, axis=1)[:, :6])


def test_the_mean_over_items_of_the_overlaps_is_the_score() -> None:
    m = nb.MutualKnn(k=4)
    xs, ys = [m.prepare(noise(40, 3, s)) for s in range(2)], [m.prepare(noise(40, 3, s)) for s in range(1, 4)]
    np.testing.assert_allclose(m.contributions(xs, ys).mean(axis=0), m.compare(xs, ys))


def test_row_sums_in_many_small_blocks_are_the_total(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isomorph.metrics._engines.neighbors.edges._BLOCK", 200)
    graphs = [nearest(noise(40, 3, s), 4, "cosine") for s in range(3)]
    table = EdgeTable.of(graphs)
    hits = next(common_permuted(table, table, np.arange(40)[None]))
    seen = [(rows, sums) for rows, sums in row_sums(hits)]
    assert len(seen) > 3
    np.testing.assert_array_equal(np.concatenate([r for r, _ in seen]), np.arange(40))
    np.testing.assert_allclose(sum(s.sum(axis=0) for _, s in seen), total_overlap(hits))


def test_large_tables_are_searched_instead_of_indexed(monkeypatch: pytest.MonkeyPatch) -> None:
    m = nb.MutualKnn(k=4)
    xs, ys = [m.prepare(noise(40, 3, s)) for s in range(2)], [m.prepare(noise(40, 3, s)) for s in range(1, 4)]
    orders = np.array([np.random.default_rng(i).permutation(40) for i in range(3)])
    expected = [list(m.compare_permuted(*sides, orders)) for sides in ((xs, ys), (ys, xs))]
    monkeypatch.setattr("isomorph.metrics._engines.neighbors.edges._BLOCK", 1)
    found = [list(m.compare_permuted(*sides, orders)) for sides in ((xs, ys), (ys, xs))]
    np.testing.assert_allclose(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1])


# ---- the other neighbour metrics ---------------------------------------------------------------------------


def slow_scores(x: np.ndarray, y: np.ndarray, k: int) -> dict[str, float]:
    """Every definition written out item by item, as the peers do."""
    a, b = neighbour_sets(x, k), neighbour_sets(y, k)
    out: dict[str, list[float]] = {"rank_similarity": [], "cycle_knn": [], "lcs_knn": [], "edit_knn": []}
    for i, (p, q) in enumerate(zip(a, b, strict=True)):
        both = set(p) & set(q)
        terms = [2 / ((1 + abs(p.index(j) - q.index(j))) * (p.index(j) + q.index(j) + 2)) for j in both]
        out["rank_similarity"].append(sum(terms) / sum(1 / m for m in range(1, len(both) + 1)) if both else 0.0)
        out["cycle_knn"].append(float(any(i in a[j] for j in q)))
        lcs = np.zeros((k + 1, k + 1))
        edit = np.add.outer(np.arange(k + 1), np.arange(k + 1)).astype(float)
        for s, t in itertools.product(range(k), range(k)):
            same = p[s] == q[t]
            lcs[s + 1, t + 1] = lcs[s, t] + 1 if same else max(lcs[s, t + 1], lcs[s + 1, t])
            edit[s + 1, t + 1] = min(edit[s, t] + (not same), edit[s, t + 1] + 1, edit[s + 1, t] + 1)
        out["lcs_knn"].append(lcs[k, k] / k)
        out["edit_knn"].append(1 - edit[k, k] / k)
    return {name: float(np.mean(values)) for name, values in out.items()}


@pytest.mark.parametrize("spec", ["rank_similarity", "cycle_knn", "lcs_knn", "edit_knn"])
def test_ordered_metrics_are_their_definitions_item_by_item(
    reference: tuple[np.ndarray, np.ndarray], spec: str
) -> None:
    x, y = (v[:60] for v in reference)
    for k in (1, 4):
        assert metric(f"{spec}(k={k})")(x, y) == pytest.approx(slow_scores(x, y, k)[spec], abs=1e-12)


def test_the_platonic_length_of_the_common_subsequence_is_k_times_ours(
    reference: tuple[np.ndarray, np.ndarray],
) -> None:
    """platonic-rep's lcs_knn returns 2.43, a length."""
    assert 10 * nl.LcsKnn(k=10)(*reference) == pytest.approx(2.435)


def test_cycle_knn_with_ties_is_the_mean_over_all_ways_to_break_them() -> None:
    x = np.array([[1.0, 0.0], [2.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, -3.0], [-1.0, 0.1]])
    y = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [1.0, 0.0], [2.0, 0.0]])
    graphs = [nearest(v, 2, "cosine") for v in (x, y)]
    ways = []
    for g in graphs:
        lists = []
        for i in range(6):
            row = slice(g.start[i], g.start[i + 1])
            sure, shared = g.target[row][g.weights[row] == 1], g.target[row][g.weights[row] < 1]
            lists.append([{*sure, *c} for c in itertools.combinations(shared, 2 - len(sure))])
        ways.append(lists)
    rng = np.random.default_rng(0)
    draws = np.array(
        [
            np.mean([any(i in a[j] for j in b[i]) for i in range(6)])
            for a, b in (
                tuple([options[rng.integers(len(options))] for options in lists] for lists in ways) for _ in range(4000)
            )
        ]
    )
    score = nb.CycleKnn(k=2)(x, y)
    assert abs(score - draws.mean()) < 4 * draws.std() / np.sqrt(len(draws))
    assert score not in np.unique(draws)


def test_places_shared_by_ties_match_nothing_in_sequences() -> None:
    x = np.repeat(noise(20, 4, 6), 2, axis=0)
    for m in (nl.LcsKnn(k=3), nl.EditKnn(k=3)):
        # each item's twin is first for sure, the pair that follows is tied: one place of three is told
        assert m(x, x) == pytest.approx(1 / 3)


def test_second_order_cosine_is_its_definition_and_resi_lists_distances(
    reference: tuple[np.ndarray, np.ndarray],
) -> None:
    x, y = reference
    sims = []
    for v in reference:
        u = v / np.linalg.norm(v, axis=1, keepdims=True)
        sims.append(u @ u.T)
    unions = [sorted(set(p) | set(q)) for p, q in zip(neighbour_sets(x, 10), neighbour_sets(y, 10), strict=True)]

    def mean_cosine(a: np.ndarray, b: np.ndarray) -> float:
        pairs = [(a[i, u], b[i, u]) for i, u in enumerate(unions)]
        return float(np.mean([p @ q / np.linalg.norm(p) / np.linalg.norm(q) for p, q in pairs]))

    assert nv.SecondOrderCosine()(x, y) == pytest.approx(mean_cosine(*sims), abs=1e-12)
    assert nv.SecondOrderCosine(values="distance")(x, y) == pytest.approx(mean_cosine(1 - sims[0], 1 - sims[1]))


@pytest.mark.parametrize("k", [1, 4])
def test_information_imbalance_is_two_over_n_times_the_mean_conditional_rank(
    reference: tuple[np.ndarray, np.ndarray], k: int
) -> None:
    x, y = (v[:80] for v in reference)
    distances = [np.linalg.norm(v[:, None] - v[None], axis=2) + np.diag(np.full(80, np.inf)) for v in (x, y)]
    ranks = np.argsort(np.argsort(distances[1], axis=1), axis=1) + 1
    near = np.argsort(distances[0], axis=1)[:, :k]
    delta = 2 / 80 * np.take_along_axis(ranks, near, axis=1).mean()
    assert nv.InformationImbalance(k=k)(x, y) == pytest.approx((1 - delta) / (1 - (k + 1) / 80))


@pytest.mark.parametrize("duplicates", [False, True])
def test_information_imbalance_has_an_exact_null(duplicates: bool) -> None:
    x, y = noise(7, 3, 1), noise(7, 4, 2)
    if duplicates:
        x[1], y[2], y[3] = x[0], y[0], y[0]
    m = nv.InformationImbalance(k=2)
    scores, null = all_pairings(m, x, y), m.null(x, y)
    assert scores.mean() == pytest.approx(0.0, abs=1e-12)
    assert null.mean == 0.0
    assert null.std == pytest.approx(scores.std(), rel=1e-9)
    assert null.skewness == pytest.approx(stats.skew(scores), abs=1e-8)


@pytest.mark.parametrize("similarity", ["cosine", "euclidean", "dot"])
def test_mutual_nearest_pairs_are_each_others_nearest(similarity: str) -> None:
    x, y = noise(30, 3, 1), noise(20, 3, 2)
    s = {
        "cosine": (x @ y.T) / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1)),
        "dot": x @ y.T,
        "euclidean": -np.linalg.norm(x[:, None] - y[None], axis=2),
    }[similarity]
    expected = [(i, j) for i in range(30) for j in range(20) if s[i].argmax() == j and s[:, j].argmax() == i]
    found = mutual_nearest(x, y, 1, similarity)
    assert [tuple(p) for p in found.pairs.tolist()] == expected
    assert found.share is None


def test_mutual_nearest_of_the_same_items_gives_the_share_and_its_chance() -> None:
    x = noise(40, 6, 1)
    found = mutual_nearest(x, x + 0.01 * noise(40, 6, 2))
    assert found.share == 1.0
    assert found.chance == pytest.approx(1 / 40)


def test_mutual_nearest_refuses_two_spaces() -> None:
    with pytest.raises(InputError, match="one shared space"):
        mutual_nearest(noise(10, 3), noise(10, 4))


# ---- self, ties, duplicates --------------------------------------------------------------------------------


def test_no_item_is_its_own_neighbour_even_among_duplicates() -> None:
    x = np.repeat(noise(10, 5, 4), 6, axis=0)
    graph = nearest(x, 3, "cosine")
    assert not np.any(graph.source == graph.target)


def test_dropping_the_first_neighbour_as_self_keeps_self_among_duplicates() -> None:
    """ReSi's rule kneighbors()[:, 1:], shown to go wrong where rows repeat."""
    sklearn = pytest.importorskip("sklearn.neighbors")
    x = np.repeat(noise(25, 5, 4), 4, axis=0)
    found = sklearn.NearestNeighbors(n_neighbors=4, metric="cosine").fit(x).kneighbors(x)[1][:, 1:]
    assert np.any(found == np.arange(100)[:, None])


def test_tied_items_share_the_last_places_equally() -> None:
    # item 0's neighbours at cosine 1 (item 1), then items 2, 3, 4 all at the same cosine for one place
    x = np.array([[1.0, 0.0], [2.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, -3.0], [-1.0, 0.1]])
    graph = nearest(x, 2, "cosine")
    row = slice(graph.start[0], graph.start[1])
    assert dict(zip(graph.target[row].tolist(), graph.weights[row].tolist(), strict=True)) == pytest.approx(
        {1: 1.0, 2: 1 / 3, 3: 1 / 3, 4: 1 / 3}
    )
    assert graph.lists[0].tolist() == [1, -1]


def test_weights_of_every_list_sum_to_k() -> None:
    x = np.round(noise(80, 2, 5))
    x[np.all(x == 0, axis=1)] = 1.0
    graph = nearest(x, 6, "cosine")
    assert graph.tied is not None
    np.testing.assert_allclose(np.bincount(graph.source, graph.weights), 6.0)


def test_the_tied_score_is_the_mean_over_all_ways_to_break_the_ties() -> None:
    x = np.array([[1.0, 0.0], [2.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, -3.0], [-1.0, 0.1]])
    y = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [1.0, 0.0], [2.0, 0.0]])
    k = 2

    def choices(z: np.ndarray) -> list[list[set[int]]]:
        u = z / np.linalg.norm(z, axis=1, keepdims=True)
        s = np.round(u @ u.T, 12)
        out = []
        for i in range(len(z)):
            others = [j for j in range(len(z)) if j != i]
            best = [
                set(c)
                for c in itertools.combinations(others, k)
                if min(s[i, j] for j in c) >= max(s[i, j] for j in others if j not in c)
            ]
            out.append(best)
        return out

    expected = np.mean(
        [np.mean([len(a & b) / k for a in cx for b in cy]) for cx, cy in zip(choices(x), choices(y), strict=True)]
    )
    assert nb.MutualKnn(k=k)(x, y) == pytest.approx(expected)


@pytest.mark.parametrize("spec", ["mutual_knn(k=5)", "jaccard_knn(k=5)"])
def test_scores_with_duplicates_do_not_depend_on_the_order_of_items(spec: str) -> None:
    x = np.concatenate([noise(30, 4, 6)] * 3)
    y = noise(90, 4, 7)
    p = np.random.default_rng(8).permutation(90)
    m = metric(spec)
    assert m(x, y) == pytest.approx(m(x[p], y[p]), abs=1e-12)


def test_argsort_order_decides_the_peers_score_when_bfloat16_ties_the_neighbours() -> None:
    """platonic-rep's default precision: its score changes with the order of the items, ours does not."""
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    x = 1 + 0.006 * torch.randn(120, 32, generator=generator)
    y = x + 0.0006 * torch.randn(120, 32, generator=generator)

    def peer(a: object, b: object) -> float:
        masks = []
        for feats in (a, b):
            f = torch.nn.functional.normalize(feats.bfloat16(), dim=-1)  # type: ignore[attr-defined]  # a tensor
            knn = (f @ f.T).fill_diagonal_(-1e8).argsort(dim=1, descending=True, stable=True)[:, :10]
            masks.append(torch.zeros(120, 120).scatter_(1, knn, 1.0))
        return float((masks[0] * masks[1]).sum(1).mean() / 10)

    p = torch.randperm(120, generator=generator)
    assert abs(peer(x, y) - peer(x[p], y[p])) > 0.02
    m = nb.MutualKnn(k=10)
    assert m(x, y) == pytest.approx(m(x[p], y[p]), abs=1e-12)


def test_raw_inner_products_are_another_variant_than_the_documented_cosine(
    reference: tuple[np.ndarray, np.ndarray],
) -> None:
    """Aristotelian's knn documents cosine and normalises nothing: 0.307 instead of 0.386."""
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in reference]
    assert nb.MutualKnn(similarity="dot")(*unit) == pytest.approx(0.386)
    assert nb.MutualKnn(similarity="dot")(*reference) == pytest.approx(0.307)


def test_duplicates_are_counted_and_signed_zeros_are_equal() -> None:
    x = np.array([[0.0, 1.0], [-0.0, 1.0], [2.0, 1.0], [3.0, 1.0], [3.0, 1.0], [3.0, 1.0]])
    assert nb.MutualKnn(k=2).duplicates(x) == 5
    assert nearest(x, 2, "cosine").duplicates == 5


def test_permuting_a_tied_graph_is_finding_it_anew() -> None:
    x = np.concatenate([noise(20, 4, 6)] * 2)
    p = np.random.default_rng(1).permutation(40)
    moved, anew = nearest(x, 4, "cosine").permuted(p), nearest(x[p], 4, "cosine")
    for i in range(40):
        a, b = slice(moved.start[i], moved.start[i + 1]), slice(anew.start[i], anew.start[i + 1])
        assert sorted(zip(moved.target[a], moved.weights[a], moved.ranks[a], strict=True)) == sorted(
            zip(anew.target[b], anew.weights[b], anew.ranks[b], strict=True)
        )


# ---- exact nulls -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [6, 7])
@pytest.mark.parametrize("case", ["continuous", "duplicates", "two-valued"])
def test_null_moments_equal_those_over_all_pairings(n: int, case: str) -> None:
    x, y = noise(n, 3, 1), noise(n, 4, 2)
    if case == "duplicates":
        x[1], x[3], y[2] = x[0], x[0], y[0]
    if case == "two-valued":
        x = np.where(x > 0, 1.0, 2.0)
    m = nb.MutualKnn(k=2)
    scores = all_pairings(m, x, y)
    null = m.null(x, y)
    assert null.exact
    assert null.mean == pytest.approx(2 / (n - 1), rel=1e-10)
    assert null.mean == pytest.approx(scores.mean(), rel=1e-10)
    assert null.std == pytest.approx(scores.std(), rel=1e-8, abs=1e-12)
    assert null.skewness == pytest.approx(stats.skew(scores) if scores.std() > 1e-9 else 0.0, abs=1e-6)


def test_the_far_tail_of_the_exact_null_is_that_of_sampled_permutations() -> None:
    n, k, draws = 60, 5, 15_000
    m = nb.MutualKnn(k=k)
    xs, ys = [m.prepare(noise(n, 4, 11))], [m.prepare(noise(n, 4, 12))]
    rng = np.random.default_rng(13)
    orders = np.argsort(rng.random((draws, n)), axis=1)
    sample = np.array([s[0, 0] for s in m.compare_permuted(xs, ys, orders)])
    null = m.null_moments(xs, ys)
    for nominal in (0.05, 0.01, 0.002):
        threshold = np.quantile(sample, 1 - nominal, method="higher")
        actual = np.mean(sample >= threshold)
        assert null.p_value(threshold)[0, 0] == pytest.approx(actual, rel=4 / np.sqrt(actual * draws) + 0.1)


@pytest.mark.parametrize(("n", "k"), [(6, 2), (6, 3), (7, 1), (7, 2), (7, 3)])
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.thorough)])
def test_the_jaccard_null_equals_that_over_all_pairings(n: int, k: int, seed: int) -> None:
    x, y = noise(n, 3, seed), np.abs(noise(n, 4, seed + 10))
    m = nb.JaccardKnn(k=k)
    scores, null = all_pairings(m, x, y), m.null(x, y)
    assert null.exact
    assert not null.exact_skewness
    assert null.mean == pytest.approx(scores.mean(), rel=1e-10)
    assert null.mean == pytest.approx(m.chance_level(n, 3, 4), rel=1e-9)
    assert null.std == pytest.approx(scores.std(), rel=1e-10)
    assert null.skewness == pytest.approx(stats.skew(scores), abs=1e-8 if k == 1 else 0.25)
    assert np.ptp(scores) > 1e-9
    np.testing.assert_allclose((np.diff(np.unique(np.round(scores, 9))) / null.step + 0.5) % 1, 0.5, atol=1e-5)


@pytest.mark.parametrize(
    ("k", "kind"), [(3, "noise"), pytest.param(10, "noise", marks=pytest.mark.thorough), (5, "clusters")]
)
def test_the_jaccard_null_is_that_of_sampled_permutations(k: int, kind: str) -> None:
    n, draws = 60, 15_000
    x, y = noise(n, 4, 11), noise(n, 4, 12)
    if kind == "clusters":
        x, y = (z + 4 * noise(4, 4, 13)[np.random.default_rng(s).integers(4, size=n)] for s, z in enumerate((x, y)))
    m = nb.JaccardKnn(k=k)
    xs, ys = [m.prepare(x)], [m.prepare(y)]
    orders = np.argsort(np.random.default_rng(13).random((draws, n)), axis=1)
    sample = np.array([s[0, 0] for s in m.compare_permuted(xs, ys, orders)])
    null = m.null_moments(xs, ys)
    assert null is not None
    assert null.mean[0, 0] == pytest.approx(sample.mean(), abs=4 * sample.std() / np.sqrt(draws))
    assert null.std[0, 0] == pytest.approx(sample.std(), rel=0.03)
    assert null.skewness[0, 0] == pytest.approx(stats.skew(sample), abs=0.1)
    for nominal in (0.05, 0.01):
        near = np.unique(sample)
        tails = np.array([np.mean(sample >= t) for t in near])
        some = (tails < 1.3 * nominal) & (tails > nominal / 1.3)
        ratio = null.p_value(near[some]) / tails[some]
        assert np.exp(np.mean(np.log(ratio))) == pytest.approx(1.0, abs=0.1 + 3 / np.sqrt(nominal * draws))


def test_the_jaccard_null_of_many_layers_is_that_of_each_pair() -> None:
    m = nb.JaccardKnn(k=4)
    xs, ys = [m.prepare(noise(40, 3, s)) for s in range(2)], [m.prepare(noise(40, 3, s)) for s in range(2, 5)]
    block = m.null_moments(xs, ys)
    assert block is not None
    assert np.shape(block.std) == np.shape(block.skewness) == np.shape(block.mean) == (2, 3)
    for i, x in enumerate(xs):
        for j, y in enumerate(ys):
            one = m.null_moments([x], [y])
            assert one is not None
            for field in ("mean", "std", "skewness"):
                assert getattr(one, field)[0, 0] == pytest.approx(getattr(block, field)[i, j])


def test_the_jaccard_null_is_sampled_where_items_are_tied() -> None:
    x, y = np.repeat(noise(10, 3, 1), 2, axis=0), noise(20, 4, 2)
    m = nb.JaccardKnn(k=2)
    assert m.null_moments([m.prepare(x)], [m.prepare(y)]) is None
    assert not m.null(x, y, permutations=50).exact


# ---- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, -1, 2.5, True, "ten"])
def test_a_k_that_is_no_count_is_refused(k: object) -> None:
    with pytest.raises(InputError, match="k="):
        nb.MutualKnn(k=k)  # type: ignore[arg-type]  # the wrong type is the point


def test_an_unknown_similarity_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="'cosine', 'euclidean', 'dot'"):
        nb.MutualKnn(similarity="manhattan")


def test_too_few_items_for_k_are_refused() -> None:
    with pytest.raises(InputError, match="at least 12"):
        nb.MutualKnn(k=10)(noise(11), noise(11))


def test_an_item_without_direction_is_refused_by_cosine_and_accepted_by_distance() -> None:
    x = noise(20)
    x[3] = 0.0
    with pytest.raises(InputError, match="row 3"):
        nb.MutualKnn(k=3)(x, noise(20))
    assert 0 <= nb.MutualKnn(k=3, similarity="euclidean")(x, noise(20)) <= 1


# ---- the search itself -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["continuous", "few values", "one value"])
def test_the_bounded_search_finds_the_largest_entries(kind: str) -> None:
    s = noise(30, 1000, 3)
    if kind == "few values":
        s = np.round(20 * s)
    if kind == "one value":
        s = np.ones_like(s)
    values, columns = tiles.largest(s, 7)
    np.testing.assert_array_equal(values, -np.sort(-s, axis=1)[:, :7])
    np.testing.assert_array_equal(np.take_along_axis(s, np.asarray(columns), axis=1), values)
    assert all(len(set(row)) == 7 for row in np.asarray(columns).tolist())


def test_features_near_the_ends_of_the_range_of_floats_keep_their_neighbours() -> None:
    x = noise(60, 5, 4)
    for similarity in ("cosine", "euclidean", "dot"):
        expected = nearest(x, 4, similarity).lists
        for factor in (1e-170, 1e-8, 1e170):
            np.testing.assert_array_equal(nearest(factor * x, 4, similarity).lists, expected)


@pytest.mark.parametrize("similarity", ["euclidean", "dot"])
def test_many_items_at_the_origin_are_tied_with_each_other(similarity: str) -> None:
    x = noise(20, 4)
    x[:8] = 0.0
    graph = nearest(x, 3, similarity)
    np.testing.assert_allclose(np.bincount(graph.source, graph.weights), 3.0)
    assert graph.duplicates == 8


@pytest.mark.parametrize("k", [1, 5, 28])
def test_a_sampled_null_that_only_rounding_moves_rejects_nothing(k: int) -> None:
    same = np.ones((30, 4))
    for y in (same, np.random.default_rng(0).normal(size=(30, 4))):
        jaccard = metric(f"jaccard_knn(k={k})")
        null = jaccard.null(same, y, permutations=50)
        assert null.std == 0
        assert null.p_value(jaccard(same, y)) == 1
