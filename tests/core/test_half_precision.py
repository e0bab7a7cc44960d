"""Half precision, as stores keep it, is widened where rows are read in blocks: no copy of the features is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isomorph._core.arrays import MANY, Unread, as_features
from isomorph.errors import InputError
from isomorph.metrics import metric, working_memory


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    x, noise = np.random.default_rng(0).standard_normal((2, MANY + 100, 12), dtype=np.float32)
    return x.astype(np.float16), (x + noise + 5).astype(np.float16)


@pytest.mark.parametrize(
    "spec",
    [
        "cka",
        "cka(estimator='biased')",
        "hsic",
        "cka(estimator='chun')",
        "nystrom_cka(landmarks=20)",
        "mutual_knn(k=5, index='approximate')",
        pytest.param("mutual_knn(k=5, index='approximate', similarity='euclidean')", marks=pytest.mark.thorough),
    ],
)
def test_scores_are_those_of_the_widened_features(spec: str, pair: tuple[Any, Any]) -> None:
    score = metric(spec)
    # the same values in the same order of sums
    assert score(*pair) == score(*(z.astype(np.float32) for z in pair))


def test_nothing_is_copied_whole(pair: tuple[Any, Any], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", pair[0])
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    found = as_features(x, unread=True)
    assert isinstance(found, Unread)
    assert found.source is x
    assert found.seen() is x
    assert found.dtype == found.whole().dtype == np.float32


def test_a_copy_that_does_not_fit_is_refused() -> None:
    x = np.ones((400_000, 16), np.float16)
    with working_memory("16MB"), pytest.raises(InputError, match="A copy in float32 of x, kept in float16"):
        Unread(x, "x").whole()


def test_what_is_not_finite_is_found(pair: tuple[Any, Any]) -> None:
    x = pair[0].copy()
    x[MANY, 3] = np.inf
    for spec in ("cka", "nystrom_cka"):
        with pytest.raises(InputError, match=f"the first at item {MANY}, feature 3"):
            metric(spec)(x, pair[1])


def test_a_constant_layer_is_told_by_the_precision_that_is_computed_in(pair: tuple[Any, Any]) -> None:
    x = np.full_like(pair[0], 4.0)
    with pytest.raises(InputError, match="constant"):
        metric("cka")(x, pair[1])
    x[::2, 0] += np.float16(0.005)  # less than float16's rounding of sums, more than float32's
    assert np.isfinite(metric("cka")(x, pair[1]))
