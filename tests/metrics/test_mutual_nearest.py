"""Mutual nearest neighbours across two spaces: by loops, ties, chance, the list of pairs, and what misleads."""

from __future__ import annotations

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.metrics.mutual_nearest import MutualNearest, mutual_nearest


def noise(n: int, d: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def related(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    z = noise(n, 4)
    return z @ noise(4, 9, 1) + 0.6 * noise(n, 9, 2), np.tanh(z @ noise(4, 5, 3)) + 0.3 * noise(n, 5, 4)


def by_loops(x: np.ndarray, y: np.ndarray, k: int, similarity: str = "cosine") -> tuple[float, set[tuple[int, int]]]:
    """The share and the pairs, item by item."""
    n = len(x)
    profiles = []
    for a in (x, y):
        if similarity == "cosine":
            s = a @ a.T / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(a, axis=1))
        else:
            s = -((a[:, None] - a[None]) ** 2).sum(axis=-1)
        rest = [[s[i, j] for j in range(n) if j != i] for i in range(n)]
        sums, total = [sum(r) for r in rest], sum(map(sum, rest))
        u = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                if i != j:
                    u[i, j] = s[i, j] - (sums[i] + sums[j]) / (n - 2) + total / ((n - 1) * (n - 2))
        profiles.append(u)
    cosine = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in profiles[1]] for a in profiles[0]])
    ahead = [set(np.argsort(-row)[:k].tolist()) for row in cosine]
    back = [set(np.argsort(-column)[:k].tolist()) for column in cosine.T]
    pairs = {(i, j) for i in range(n) for j in ahead[i] if i in back[j]}
    return sum((i, i) in pairs for i in range(n)) / n, pairs


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 5])
def test_the_share_and_the_pairs_are_those_of_the_definition(k: int, similarity: str) -> None:
    x, y = related()
    share, pairs = by_loops(x, y, k, similarity)
    m = MutualNearest(k=k, similarity=similarity)
    assert 0 < share < 1
    assert m(x, y) == pytest.approx(share, abs=1e-12)
    found = m.pairs(x, y)
    assert {(i, j) for i, j, _ in found} == pairs
    assert sum(i == j for i, j, _ in found) / len(x) == pytest.approx(share, abs=1e-12)
    assert [c for *_, c in found] == sorted((c for *_, c in found), reverse=True)


def test_spaces_of_other_width_scale_and_orientation_find_every_item_again() -> None:
    x, _ = related()
    turned = np.pad(7 * x @ np.linalg.qr(noise(9, 9, 5))[0], ((0, 0), (0, 4)))
    assert metric("mutual_nearest(k=1)")(x, turned) == 1.0


def test_unrelated_layers_stay_below_k_over_n() -> None:
    # near k / n for many features, nearer to half of it for k = 1, since a rival on either side is enough
    for k, low, high in ((1, 0.3, 0.75), (10, 0.85, 1.02)):
        scores = [MutualNearest(k=k)(noise(120, 200, s), noise(120, 200, 1000 + s)) for s in range(60)]
        assert low * k / 120 < np.mean(scores) < high * k / 120
    few = [MutualNearest(k=10)(noise(120, 2, s), noise(120, 3, 1000 + s)) for s in range(60)]
    assert np.mean(few) < 10 / 120


def test_an_items_similarity_to_itself_gives_nothing_away() -> None:
    """Relative representations with every item an anchor hold a 1 at the item's own place, which finds it again."""
    x, y = noise(60, 200, 1), noise(60, 200, 2)
    relative = [a @ a.T / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(a, axis=1)) for a in (x, y)]
    assert mutual_nearest(*relative).share == 1.0  # of unrelated layers
    assert metric("mutual_nearest(k=1)")(x, y) < 0.1


def test_tied_rows_share_their_places_whatever_their_order() -> None:
    labels = np.eye(4)[np.arange(24) % 4]  # six items a class, all at the same place
    y = noise(24, 5, 1)
    m = MutualNearest(k=3)
    p = np.random.default_rng(0).permutation(24)
    assert m(labels, y) == pytest.approx(m(labels[p], y[p]), abs=1e-12)
    assert m(y, labels) == pytest.approx(m(labels, y), abs=1e-12)
    assert m(labels, y) < 0.5


def test_a_copy_in_both_layers_finds_most_items_again_though_all_else_differs() -> None:
    """What the docs warn of under Misleads."""
    x, y = (np.repeat(noise(30, 40, s), 2, axis=0) for s in (1, 2))
    assert metric("mutual_nearest(k=1)")(x, y) > 0.5
    assert metric("mutual_nearest(k=1)")(x[::2], y[::2]) < 0.1


def test_items_that_are_all_equally_similar_are_refused() -> None:
    for x in (np.eye(20), np.ones((20, 3))):
        with pytest.raises(InputError, match="equally similar"):
            metric("mutual_nearest(k=3)")(x, noise(20))
    with pytest.raises(InputError, match="constant"):
        metric("mutual_nearest(k=3, similarity='euclidean')")(np.ones((20, 3)), noise(20))


def test_bad_parameters_and_too_few_items_are_refused() -> None:
    for spec in ("mutual_nearest(k=0)", "mutual_nearest(similarity='dot')"):
        with pytest.raises(InputError):
            metric(spec)
    with pytest.raises(InputError, match="at least 12"):
        metric("mutual_nearest(k=10)")(noise(11), noise(11))
    with pytest.raises(InputError, match="same item"):
        MutualNearest(k=2).pairs(noise(11), noise(12))
