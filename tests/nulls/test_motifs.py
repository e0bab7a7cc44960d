"""Exact permutation moments against the enumeration of all permutations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import sparse, stats

from isomorph.nulls import motifs


def enumerated(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    n = len(a)
    return np.array([(a * b[np.ix_(p, p)]).sum() for p in map(list, itertools.permutations(range(n)))])


def matrix(kind: str, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    a = {
        "directed": rng.standard_normal((n, n)),
        "heavy tails": rng.standard_t(1.5, (n, n)),
        "graph": (rng.random((n, n)) < 0.4).astype(float),
        "symmetric": np.abs(np.subtract.outer(rng.random(n), rng.random(n))),
    }[kind]
    if kind == "symmetric":
        a = a + a.T
    np.fill_diagonal(a, 0.0)
    return a


@pytest.mark.parametrize("n", [4, 5, 6, 7])
@pytest.mark.parametrize("kinds", [("directed", "directed"), ("graph", "heavy tails"), ("symmetric", "directed")])
def test_moments_equal_those_over_all_permutations(n: int, kinds: tuple[str, str]) -> None:
    a, b = matrix(kinds[0], n, 1), matrix(kinds[1], n, 2)
    t = enumerated(a, b)
    m = motifs.permutation_moments(motifs.invariants(a)[None], motifs.invariants(b)[None], n)
    assert m.mean[0, 0] == pytest.approx(t.mean(), rel=1e-10, abs=1e-10)
    assert m.variance[0, 0] == pytest.approx(t.var(), rel=1e-9)
    assert m.skewness[0, 0] == pytest.approx(stats.skew(t), rel=1e-7, abs=1e-9)


def test_sparse_and_dense_matrices_have_the_same_invariants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(motifs, "FEW", 0)  # so few are else made dense
    a = matrix("graph", 30, 3) * matrix("directed", 30, 4)
    np.testing.assert_allclose(motifs.invariants(sparse.csr_array(a)), motifs.invariants(a), rtol=1e-9, atol=1e-8)


def test_there_are_31_shapes_and_the_signature_tells_all_multigraphs_apart() -> None:
    def canonical(edges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
        vertices = sorted({v for e in edges for v in e})
        return min(
            tuple(sorted((relabel[u], relabel[v]) for u, v in edges))
            for p in itertools.permutations(range(len(vertices)))
            for relabel in [dict(zip(vertices, p, strict=True))]
        )

    seen: dict[str, set[tuple[tuple[int, int], ...]]] = {}
    for m in (1, 2, 3):
        for p in motifs.partitions(list(range(2 * m))):
            merged = motifs._merged(tuple((2 * i, 2 * i + 1) for i in range(m)), p)
            if merged is not None:
                seen.setdefault(motifs.shape_of(merged), set()).add(canonical(merged))
    assert set(seen) == set(motifs.SHAPES)
    assert all(len(graphs) == 1 for graphs in seen.values())
    assert len(set.union(*seen.values())) == 31


def test_a_matrix_that_no_permutation_changes_has_no_variance() -> None:
    a = matrix("directed", 6, 0)
    b = 1.0 - np.eye(6)
    m = motifs.permutation_moments(motifs.invariants(a)[None], motifs.invariants(b)[None], 6)
    assert m.mean[0, 0] == pytest.approx(a.sum())
    assert m.variance[0, 0] == 0.0
    assert m.skewness[0, 0] == 0.0
