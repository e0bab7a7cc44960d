"""Tree, picture and clusters of models, against SciPy, scikit-learn, a real bootstrap and planted truth."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy import stats
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform
from scipy.spatial.transform import Rotation
from sklearn.metrics import silhouette_score

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.population import as_matrices, clusters, embedding, replicates_of, tree
from isomorph.population.structure import _best_cut


def between(points):
    points = np.asarray(points, dtype=float)
    points = points[:, None] if points.ndim == 1 else points
    return np.linalg.norm(points[:, None] - points[None], axis=2)


def read_newick(text):
    """Heights of the least common ancestors of all pairs: {frozenset(pair): height}, and the clades' labels."""
    tokens = re.findall(r"'(?:[^']|'')*'|[(),:;]|[^(),:;']+", text)
    at = 0

    def node():
        nonlocal at
        if tokens[at] == "(":
            at += 1
            children = [branch()]
            while tokens[at] == ",":
                at += 1
                children.append(branch())
            at += 1  # the closing one
            label = ""
            if tokens[at] not in ":,);":
                label, at = tokens[at], at + 1
            leaves = frozenset().union(*(c[0] for c in children))
            heights = {h + length for _, h, length in children}
            assert max(heights) - min(heights) < 1e-4  # all leaves end at the same level
            labels[leaves] = label
            return leaves, max(heights)
        name = tokens[at].strip("'").replace("''", "'")
        at += 1
        return frozenset([name]), 0.0

    def branch():
        nonlocal at
        leaves, height = node()
        assert tokens[at] == ":"
        length = float(tokens[at + 1])
        at += 2
        return leaves, height, length

    labels = {}
    whole, height = node()
    assert tokens[at] == ";"
    return whole, height, labels


def test_the_tree_is_average_linkage_and_its_newick_tells_the_same():
    d = between(np.random.default_rng(0).normal(size=(9, 3)))
    names = ["a b", "it's", "c(1)", "d", "e,f", "g:h", "i", "j;k", "l"]
    found = tree(d, names)
    linkage = hierarchy.linkage(squareform(d), "average")
    assert sorted(found.linkage[:, 2]) == pytest.approx(sorted(linkage[:, 2]))
    leaves, height, labels = read_newick(found.newick)
    assert leaves == set(names)
    assert height == pytest.approx(linkage[-1, 2], abs=1e-4)
    assert {frozenset(c.members) for c in found.clades} == set(labels) - {leaves}
    assert set(labels.values()) == {""}
    assert all(math.isnan(c.support) for c in found.clades)
    for clade in found.clades:  # its height is the mean distance of its two parts
        inside = [frozenset(c.members) for c in found.clades if set(c.members) < set(clade.members)]
        parts = max(inside, key=len, default=frozenset([clade.members[0]]))
        a, b = ([names.index(m) for m in some] for some in (parts, set(clade.members) - parts))
        assert clade.height == pytest.approx(d[np.ix_(a, b)].mean())
    steps = d[found.order[:-1], found.order[1:]].sum()
    rng = np.random.default_rng(1)
    assert steps <= min(d[o[:-1], o[1:]].sum() for o in (hierarchy.leaves_list(linkage), rng.permutation(9)))


def test_support_counts_the_replicates_that_hold_the_clade():
    whole, other = between([0.0, 1.0, 10.0, 11.5, 30.0]), between([0.0, 10.0, 1.0, 11.5, 30.0])
    found = tree(whole, list("abcde"), np.array([whole, whole, whole, other]))
    support = {"".join(c.members): c.support for c in found.clades}
    assert support == {"ab": 0.75, "cd": 0.75, "abcd": 1.0}
    assert found.replicates == 4
    _, _, labels = read_newick(found.newick)
    assert labels[frozenset("ab")] == "0.75"


def test_distances_below_zero_are_joined_as_well():
    d = between(np.random.default_rng(2).normal(size=(6, 2)))
    shifted = d - 1.0
    np.fill_diagonal(shifted, 0.0)
    a, b = tree(d), tree(shifted)
    assert b.order == a.order
    assert [c.members for c in b.clades] == [c.members for c in a.clades]
    assert b.linkage[:, 2] == pytest.approx(a.linkage[:, 2] - 1.0)


def test_an_embedding_of_points_in_the_plane_is_those_points():
    points = np.random.default_rng(3).normal(size=(10, 2))
    found = embedding(between(points))
    assert between(found.points) == pytest.approx(between(points))
    assert found.stress == pytest.approx(0, abs=1e-9)
    assert found.explained == pytest.approx(1)
    assert found.points.mean(axis=0) == pytest.approx([0, 0], abs=1e-9)
    spread = found.points.var(axis=0)
    assert spread[0] > spread[1]


def test_an_embedding_does_not_depend_on_how_the_points_lay_and_states_its_stress():
    points = np.random.default_rng(4).normal(size=(12, 3)) * [3, 2, 1]
    a = embedding(between(points))
    b = embedding(between(points @ Rotation.random(rng=0).as_matrix() + 5))
    assert b.points == pytest.approx(a.points, abs=1e-7)
    for seed in range(10):
        drawn = embedding(between(np.random.default_rng(seed).normal(size=(9, 3)))).points
        assert (drawn[np.abs(drawn).argmax(axis=0), [0, 1]] > 0).all()
    given, shown = between(points), between(a.points)
    assert a.stress == pytest.approx(math.sqrt(np.sum((given - shown) ** 2) / np.sum(given**2)))
    values = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) ** 2
    assert a.explained == pytest.approx(values[:2].sum() / values.sum())
    flat = embedding(between([0.0, 1.0, 2.0, 5.0]), dims=3)
    assert (flat.points[:, 1:] == 0).all()
    assert embedding(np.zeros((4, 4))).stress == 0


def test_the_best_cut_has_the_best_silhouette_of_scikit_learn():
    rng = np.random.default_rng(5)
    for _ in range(10):
        d = between(rng.normal(size=(10, 2)) + 4 * rng.integers(3, size=(10, 1)))
        cuts = hierarchy.cut_tree(hierarchy.linkage(squareform(d), "average"), range(2, 10))
        expected = []
        for labels in cuts.T:
            grouped = np.isin(labels, np.flatnonzero(np.bincount(labels) > 1))
            if len(set(labels[grouped])) > 1:  # those alone count 0 and are no group
                score = silhouette_score(d[np.ix_(grouped, grouped)], labels[grouped], metric="precomputed")
                expected.append(score * grouped.mean())
        score, labels = _best_cut(d)
        assert score == pytest.approx(max(expected))
        assert list(dict.fromkeys(labels)) == list(range(labels.max() + 1))


def test_clusters_are_found_where_they_are_planted():
    rng = np.random.default_rng(6)
    for count in (2, 3, 4):
        truth = np.arange(16) % count
        found = clusters(between(rng.normal(size=(16, 6)) + 8 * np.eye(6)[truth]), permutations=99)
        assert found.count == count
        assert found.labels.tolist() == truth.tolist()
        assert found.silhouette > found.chance
        assert f"{count} clusters" in found.told


def one_space(rng, m):
    """Distances of noisy copies of one space: a family without groups, some of it nearer to the middle."""
    z = rng.normal(size=(60, 5))
    spaces = [np.hstack([z, 0.5 * rng.normal(size=(60, 20))]) for _ in range(m)]
    kernels = np.array([(x - x.mean(axis=0)) @ (x - x.mean(axis=0)).T for x in spaces]).reshape(m, -1)
    kernels /= np.linalg.norm(kernels, axis=1, keepdims=True)
    return np.maximum(1 - kernels @ kernels.T, 0)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("draw", "m"),
    [
        (lambda rng, m: between(rng.normal(size=(m, 6)) * [5, 1, 1, 1, 1, 1]), 10),
        (lambda rng, m: between(np.vstack([rng.normal(size=(m - 1, 5)), np.full((1, 5), 9.0)])), 10),  # one odd model
        (one_space, 30),
    ],
    ids=["gaussian", "one odd", "one family"],
)
def test_none_are_found_where_there_are_none(draw, m):
    rng = np.random.default_rng(7)
    trials = 40
    found = sum(clusters(draw(rng, m), permutations=39, seed=t).count > 1 for t in range(trials))
    assert found <= stats.binom.ppf(0.999, trials, 0.05)


def test_no_clusters_are_said_in_words():
    found = clusters(between(np.random.default_rng(8).normal(size=(10, 2))), permutations=39)
    assert found.count == 1
    assert (found.labels == 0).all()
    assert "No clusters stand out" in found.told


def test_replicates_by_influence_are_those_of_a_real_bootstrap():
    rng = np.random.default_rng(9)
    n, cka = 120, metric("cka(estimator='biased')")
    z = rng.normal(size=(n, 3))
    spaces = [z @ rng.normal(size=(3, 6)) + s * rng.normal(size=(n, 6)) for s in (0.5, 1.0, 2.0, 1.0)]
    i, j = np.triu_indices(4, 1)
    states = [cka.prepare(x) for x in spaces]
    influence = cka.influence(states, states).values[:, i, j]
    values = np.array([cka(spaces[a], spaces[b]) for a, b in zip(i, j, strict=True)])
    found = replicates_of(values, influence, draws=300, seed=5)
    # the same draws: influences that pick one item out each tell how often it was drawn
    counts = replicates_of(np.zeros(n), n * np.eye(n), draws=300, seed=5).round().astype(int)
    assert (counts.sum(axis=1) == n).all()
    real = np.array(
        [
            [cka(spaces[a][rows], spaces[b][rows]) for a, b in zip(i, j, strict=True)]
            for rows in (np.repeat(np.arange(n), c) for c in counts)
        ]
    )
    assert found.std(axis=0) == pytest.approx(real.std(axis=0), rel=0.15)
    for pair in range(6):
        assert np.corrcoef(found[:, pair], real[:, pair])[0, 1] > 0.9
    together = np.corrcoef(found.T) - np.corrcoef(real.T)
    assert np.abs(together).max() < 0.15
    assert as_matrices(found, 4).shape == (300, 4, 4)


def test_replicates_hold_what_is_not_known_apart_and_are_drawn_anew_by_the_seed():
    influence = np.random.default_rng(10).normal(size=(20, 3))
    influence[:, 1] = np.nan
    found = replicates_of([1.0, 2.0, 3.0], influence, draws=10)
    assert np.isnan(found[:, 1]).all()
    assert np.isfinite(found[:, [0, 2]]).all()
    assert np.array_equal(found, replicates_of([1.0, 2.0, 3.0], influence, draws=10), equal_nan=True)
    assert not np.array_equal(found[:, 0], replicates_of([1.0, 2.0, 3.0], influence, draws=10, seed=1)[:, 0])


@pytest.mark.parametrize("make", [tree, embedding, clusters])
def test_too_few_models_and_missing_pairs_are_refused(make):
    with pytest.raises(InputError, match=r"distances has 3 model\(s\); .* needs at least 4"):
        make(np.ones((3, 3)))
    d = np.ones((4, 4))
    d[0, 1] = d[1, 0] = np.nan
    with pytest.raises(InputError, match=r"not compared \(a × b\)"):
        make(d, names=list("abcd"))
    with pytest.raises(InputError, match="not symmetric"):
        make(np.arange(16.0).reshape(4, 4))


def test_other_arguments_that_do_not_fit_are_named():
    d = between(np.arange(5.0))
    with pytest.raises(InputError, match=r"replicates has shape \(2, 4, 4\)"):
        tree(d, replicates=np.ones((2, 4, 4)))
    with pytest.raises(InputError, match="finite distances"):
        tree(d, replicates=np.full((2, 5, 5), np.nan))
    with pytest.raises(InputError, match="dims=5"):
        embedding(d, 5)
    with pytest.raises(InputError, match="permutations=0"):
        clusters(d, permutations=0)
    with pytest.raises(InputError, match=r"values has shape \(2,\) and influence \(5, 3\)"):
        replicates_of([1.0, 2.0], np.ones((5, 3)))
