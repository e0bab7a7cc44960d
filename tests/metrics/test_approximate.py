"""Approximate neighbours: close to the exact ones, with a recall that is measured and shown."""

from __future__ import annotations

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import metric, working_memory
from isomorph.metrics._engines.neighbors import approximate as _approximate


def features(n=1500, seed=0):
    rng = np.random.default_rng(seed)
    return np.random.default_rng(9).standard_normal((n, 4)) @ rng.standard_normal((4, 16)) + 0.3 * rng.standard_normal(
        (n, 16)
    )


@pytest.fixture(autouse=True)
def _clusters_of_few(monkeypatch):
    monkeypatch.setattr(_approximate, "FEWEST", 0)


def test_few_items_are_all_compared_with_all(monkeypatch):
    monkeypatch.undo()
    near, exact = metric("mutual_knn(k=4, index='approximate')").prepare(features(300)), metric("mutual_knn(k=4)")
    assert near.recall == 1.0
    np.testing.assert_array_equal(near.lists, exact.prepare(features(300)).lists)


@pytest.mark.parametrize("similarity", ["cosine", "euclidean", "dot"])
def test_scores_and_recall_are_those_that_the_exact_neighbours_show(similarity, capsys):
    x, y = features(seed=1), features(seed=2)
    near = metric(f"mutual_knn(k=8, similarity='{similarity}', index='approximate')")
    exact = metric(f"mutual_knn(k=8, similarity='{similarity}')")
    found, true = near.prepare(x), exact.prepare(x)
    kept = np.mean([np.isin(a, b).mean() for a, b in zip(true.lists, found.lists, strict=True)])
    assert found.recall == pytest.approx(kept, abs=0.01)
    assert found.recall >= 0.95
    assert near(x, y) == pytest.approx(exact(x, y), abs=2 * (1 - found.recall) + 0.01)
    assert "of the true ones found" in capsys.readouterr().err


def test_the_same_features_give_the_same_graph():
    m = metric("mutual_knn(index='approximate')")
    np.testing.assert_array_equal(m.prepare(features()).target, m.prepare(features()).target)


def test_ties_are_shared_as_among_exact_neighbours():
    x = np.repeat(features(300), 2, axis=0)  # every item twice: nothing decides at an even place
    near, exact = metric("mutual_knn(k=4, index='approximate')"), metric("mutual_knn(k=4)")
    assert near(x, x) == pytest.approx(exact(x, x), abs=0.02)


def test_the_null_names_the_recall_and_exact_neighbours_have_all():
    x, y = features(seed=1), features(seed=2)
    assert "recall" in metric("mutual_knn(index='approximate')").null(x, y).source
    assert "recall" not in metric("mutual_knn").null(x, y).source
    assert metric("mutual_knn").recall(x) == 1.0


@pytest.mark.parametrize("similarity", ["cosine", "euclidean", "dot"])
def test_rows_that_do_not_fit_are_read_in_blocks_and_give_the_same_graph(similarity, monkeypatch):
    m, x = metric(f"mutual_knn(k=8, similarity='{similarity}', index='approximate')"), features().astype(np.float32)
    held = m.prepare(x)
    monkeypatch.setattr(_approximate, "fits", lambda _: False)
    monkeypatch.setattr(_approximate, "block_bytes", lambda default: 1 << 16)
    read = m.prepare(x)
    assert read.recall == pytest.approx(held.recall, abs=0.01)
    assert np.mean(read.lists == held.lists) > 0.99  # clusters move where rounding decides which center is nearest


def test_half_precision_is_held_where_what_is_made_of_it_does_not_fit(monkeypatch):
    m, x, kinds = metric("mutual_knn(k=8, index='approximate')"), features().astype(np.float16), []

    def held(rows, order):
        found, make = kept(rows, order)
        kinds.append(None if found is None else found.dtype)
        return found, make

    kept = _approximate._held
    monkeypatch.setattr(_approximate, "_held", held)
    lists = []
    for bytes_a_value in (4, 2, 0):
        most = _approximate.needed(*x.shape, 10) + bytes_a_value * x.size
        monkeypatch.setattr(_approximate, "fits", lambda needed, most=most: needed <= most)
        lists.append(m.prepare(x).lists)
    assert kinds == [np.float32, np.float16, None]
    assert np.mean(lists[1] == lists[0]) > 0.99
    assert np.mean(lists[2] == lists[0]) > 0.99


def test_features_whose_neighbours_are_everywhere_are_compared_with_all():
    x = np.random.default_rng(0).standard_normal((600, 200)).astype(np.float32)
    near, exact = metric("mutual_knn(index='approximate')").prepare(x), metric("mutual_knn").prepare(x)
    assert near.recall == 1.0
    np.testing.assert_array_equal(near.lists, exact.lists)


def test_items_in_clusters_smaller_than_their_lists_are_compared_with_all():
    rng = np.random.default_rng(0)
    centers = 100 * rng.standard_normal((150, 8))
    x = (centers.repeat(4, axis=0) + 0.1 * rng.standard_normal((600, 8))).astype(np.float32)
    near = metric("mutual_knn(k=3, similarity='euclidean', index='approximate')").prepare(x)
    exact = metric("mutual_knn(k=3, similarity='euclidean')").prepare(x)
    np.testing.assert_array_equal(np.sort(near.lists), np.sort(exact.lists))


def test_the_recall_is_measured_against_all_items_in_however_many_blocks(monkeypatch):
    x = features().astype(np.float32)
    rows, items = _approximate.Rows(lambda which: x[which], x.shape), np.array([0, 7, 1499])
    whole = _approximate._by_all(rows, None, items, 9)
    monkeypatch.setattr(_approximate, "block_bytes", lambda default: 1)
    found = _approximate._by_all(rows, None, items, 9)
    np.testing.assert_array_equal(found[0], whole[0])
    np.testing.assert_allclose(found[1], whole[1], rtol=1e-6)  # products of blocks of another shape, single precision
    products = x[items] @ x.T
    products[np.arange(3), items] = -np.inf
    np.testing.assert_array_equal(whole[0], np.argsort(-products, axis=1)[:, :9])


def test_a_row_without_direction_is_named_by_its_place_in_the_file():
    x = features()
    x[1234] = 0
    with pytest.raises(InputError, match="first at row 1234"):
        metric("mutual_knn(index='approximate')").prepare(x)


def test_an_index_that_does_not_fit_is_refused_before_it_is_built():
    x = np.ones((20_000, 64), dtype=np.float32)
    with working_memory("16MB"), pytest.raises(InputError, match=r"index of 20,000 items needs .*Use index='exact'"):
        metric("mutual_knn(index='approximate')").prepare(x)


def test_an_unknown_index_is_refused():
    with pytest.raises(InputError, match="index='fast'"):
        metric("mutual_knn(index='fast')")
