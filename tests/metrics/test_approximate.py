"""Approximate neighbours: close to the exact ones, with a recall that is measured and shown."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from isomorph.errors import InputError, MissingExtraError
from isomorph.metrics import metric, working_memory
from isomorph.metrics._engines.neighbors import approximate as _approximate


def features(n=1500, seed=0):
    rng = np.random.default_rng(seed)
    return np.random.default_rng(9).standard_normal((n, 4)) @ rng.standard_normal((4, 16)) + 0.3 * rng.standard_normal(
        (n, 16)
    )


@pytest.mark.parametrize("similarity", ["cosine", "euclidean", "dot"])
def test_scores_and_recall_are_those_that_the_exact_neighbours_show(similarity, capsys):
    pytest.importorskip("faiss")
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
    pytest.importorskip("faiss")
    m = metric("mutual_knn(index='approximate')")
    np.testing.assert_array_equal(m.prepare(features()).target, m.prepare(features()).target)


def test_ties_are_shared_as_among_exact_neighbours():
    pytest.importorskip("faiss")
    x = np.repeat(features(300), 2, axis=0)  # every item twice: nothing decides at an even place
    near, exact = metric("mutual_knn(k=4, index='approximate')"), metric("mutual_knn(k=4)")
    assert near(x, x) == pytest.approx(exact(x, x), abs=0.02)


def test_the_null_names_the_recall_and_exact_neighbours_have_all():
    pytest.importorskip("faiss")
    x, y = features(seed=1), features(seed=2)
    assert "recall" in metric("mutual_knn(index='approximate')").null(x, y).source
    assert "recall" not in metric("mutual_knn").null(x, y).source
    assert metric("mutual_knn").recall(x) == 1.0


def test_an_index_filled_in_parts_finds_as_much_every_time(monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr("isomorph.metrics._engines.neighbors.approximate._ONE_PART", 100)
    m, x = metric("mutual_knn(index='approximate')"), features()
    first, second = m.prepare(x), m.prepare(x)
    np.testing.assert_array_equal(first.target, second.target)
    exact = metric("mutual_knn").prepare(x)
    assert first.recall == pytest.approx(
        np.mean([np.isin(a, b).mean() for a, b in zip(exact.lists, first.lists, strict=True)]), abs=0.01
    )


def test_the_recall_is_measured_against_all_items_in_however_many_blocks(monkeypatch):
    pytest.importorskip("faiss")
    x = features().astype(np.float32)
    items = np.array([0, 7, 1499])
    whole = _approximate._by_all(x, None, items, 9)
    monkeypatch.setattr("isomorph.metrics._engines.neighbors.approximate.block_bytes", lambda default: 1)
    found = _approximate._by_all(x, None, items, 9)
    np.testing.assert_array_equal(found[0], whole[0])
    np.testing.assert_allclose(found[1], whole[1], rtol=1e-6)  # products of blocks of another shape, single precision
    products = x[items] @ x.T
    products[np.arange(3), items] = -np.inf
    np.testing.assert_array_equal(whole[0], np.argsort(-products, axis=1)[:, :9])


def test_a_row_without_direction_is_named_by_its_place_in_the_file(monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr("isomorph.metrics._engines.neighbors.approximate._ONE_PART", 100)
    x = features()
    x[1234] = 0
    with pytest.raises(InputError, match="first at row 1234"):
        metric("mutual_knn(index='approximate')").prepare(x)


def test_an_index_that_does_not_fit_is_refused_before_it_is_built(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)  # not even asked for
    x = np.ones((20_000, 64), dtype=np.float32)
    with working_memory("16MB"), pytest.raises(InputError, match=r"index of 20,000 items needs .*Use index='exact'"):
        metric("mutual_knn(index='approximate')").prepare(x)


def test_an_index_that_misses_too_much_is_refused(monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr("isomorph.metrics._engines.neighbors.approximate.TARGET", 1.1)
    with pytest.raises(InputError, match="index='exact'"):
        metric("mutual_knn(index='approximate')").prepare(features())


def test_an_unknown_index_is_refused():
    with pytest.raises(InputError, match="index='fast'"):
        metric("mutual_knn(index='fast')")


def test_without_faiss_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"isomorph\[approximate\]"):
        metric("mutual_knn(index='approximate')").prepare(features())


@pytest.mark.parametrize("similarity", ["cosine", "euclidean", "dot"])
def test_an_index_in_half_precision_finds_as_much(similarity, monkeypatch):
    pytest.importorskip("faiss")
    x, y = features(seed=1), features(seed=2)
    near = metric(f"mutual_knn(k=8, similarity='{similarity}', index='approximate')")
    exact = metric(f"mutual_knn(k=8, similarity='{similarity}')")
    monkeypatch.setattr(_approximate, "fits", lambda _: False)  # as where single precision does not
    found, true = near.prepare(x), exact.prepare(x)
    kept = np.mean([np.isin(a, b).mean() for a, b in zip(true.lists, found.lists, strict=True)])
    assert found.recall == pytest.approx(kept, abs=0.01)
    assert found.recall >= 0.95
    # similarities are of the rows themselves: lists that hold the right items hold them in the right order
    same = np.all(np.sort(found.lists, axis=1) == np.sort(true.lists, axis=1), axis=1)
    np.testing.assert_array_equal(found.lists[same], true.lists[same])
    assert near(x, y) == pytest.approx(exact(x, y), abs=2 * (1 - found.recall) + 0.01)
