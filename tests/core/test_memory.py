"""The working memory of metrics: blocks shrink to it, and what cannot fit is refused before it starts."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from isomorph._core.memory import block_bytes, ceiling, parse_bytes
from isomorph.errors import InputError, MissingExtraError
from isomorph.metrics import REGISTRY, metric, working_memory


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4 * 10**9), ("512 MiB", 512 * 2**20), ("1.5g", 1_500_000_000), (20_000_000, 20_000_000)],
)
def test_sizes_are_read(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["much", "-4GB", "4XB", "1MB", "i", True, 1000])
def test_what_is_no_size_or_too_small_is_refused(text):
    with pytest.raises(InputError, match="memory="), working_memory(text):
        pass


def test_the_limit_holds_inside_the_block_only():
    before = ceiling()
    with working_memory("100MB"), working_memory("64MB") as inner:
        assert inner == ceiling() == 64 * 10**6
        assert block_bytes(1 << 30) == 8 * 10**6
    assert ceiling() == before
    assert block_bytes(1 << 30) == 1 << 30


@pytest.mark.parametrize("spec", ["mutual_knn(k=5)", "cka", "rank_similarity(k=5)", "rsa"])
def test_scores_do_not_depend_on_the_working_memory(spec):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((700, 12)), rng.standard_normal((700, 9))
    expected = metric(spec)(x, y)
    with working_memory("16MB"):
        assert metric(spec)(x, y) == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("spec", ["rsa", "cka(kernel='rbf')", "information_imbalance"])
def test_what_cannot_fit_says_so_before_it_starts(spec):
    x = np.zeros((200_000, 1)) + np.arange(200_000.0)[:, None]
    with working_memory("1GB"), pytest.raises(InputError, match=r"200,000 .*needs .*B, more than the limit"):
        metric(spec).prepare(x)


def test_ranks_of_all_pairs_that_cannot_fit_say_so():
    from isomorph.metrics._engines.neighbors.graphs import mid_ranks

    with working_memory("1GB"), pytest.raises(InputError, match="ranks of all pairs of 200,000"):
        mid_ranks(np.zeros((200_000, 1)), "dot")


def layers(n):
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((n, 6))
    return [shared @ rng.standard_normal((6, 12)) + rng.standard_normal((n, 12)) for _ in range(2)]


@pytest.mark.parametrize("spec", [v for name, c in REGISTRY.classes.items() for v in c.variants or (name,)])
def test_every_metric_works_within_its_memory_or_refuses_before_it_starts(spec):
    found = metric(spec)
    try:
        found(*layers(60))  # what is imported and made once does not count
    except MissingExtraError as error:
        pytest.skip(str(error))
    x, y = layers(2000)  # one number for each pair of items takes 32 MB
    tracemalloc.start()
    try:
        with working_memory("16MB"):
            found(x, y)
    except InputError as error:
        assert "B, more than the limit set for working memory, 16 MB." in str(error)  # noqa: PT017  # may also succeed
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 16e6
