"""Every metric keeps a limit of working memory, or refuses before it computes, in words that say what would do."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import isomorph as iso
from isomorph.errors import InputError, MissingExtraError
from isomorph.metrics import REGISTRY, metric, working_memory

SPECS = [s for cls in REGISTRY.classes.values() for s in (cls.variants or (cls.name,))]
N, D, LIMIT = 1 << 14, 48, 24_000_000  # features of 3 MB in single precision
WAYS = ("fewer items", "Lower", "cka", "mutual_knn", "Give ")


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    x, noise = np.random.default_rng(0).standard_normal((2, N, D), dtype=np.float32)
    return x, x + noise


@pytest.mark.parametrize("spec", [s for s in SPECS if "_knn" not in s])  # neighbours of so many take seconds each
def test_a_metric_keeps_the_limit_or_refuses_at_once(spec: str, pair: tuple[np.ndarray, np.ndarray]) -> None:
    few = np.random.default_rng(1).standard_normal((20, 4))
    try:
        metric(spec)(few, few[:, ::-1])  # libraries are loaded now
    except MissingExtraError as error:
        pytest.skip(str(error))
    except InputError:
        pass
    tracemalloc.start()
    try:
        with working_memory(LIMIT):
            metric(spec)(*pair)
        refused = ""
    except InputError as error:
        refused = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # nothing large is made before it refuses
    assert peak <= (LIMIT // 3 if refused else LIMIT)
    if refused:
        assert "needs" in refused
        assert any(way in refused for way in WAYS), refused


def test_a_scan_refuses_before_it_prepares_a_layer(pair: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InputError, match="holds about 6 copies of features of 16,384 x 48"):
        iso.scan(*pair, ["procrustes"], memory="16MB")


def test_without_a_limit_nothing_is_refused() -> None:
    x = np.random.default_rng(0).standard_normal((300, 8))
    assert metric("procrustes")(x, x) == pytest.approx(1.0)
