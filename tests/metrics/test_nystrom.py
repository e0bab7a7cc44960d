"""Nyström's sketches of CKA and HSIC: against the whole kernels, their bounds, and what happens with many items."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isomorph as iso
from isomorph.errors import InputError
from isomorph.metrics import metric, working_memory

ESTIMATORS = ("unbiased", "biased", "lange")


def related(n: int, d: int = 3, seed: int = 0) -> tuple[Any, Any]:
    """Two layers, the second of which is the square of the first and noise."""
    x, noise = np.random.default_rng(seed).normal(size=(2, n, d))
    return x, x**2 + 0.3 * noise


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_with_all_items_as_landmarks_it_is_the_whole_kernel(estimator: str) -> None:
    x, y = related(150)
    sketch = metric(f"nystrom_cka(estimator={estimator!r}, landmarks=150)")
    # eigenvalues below 1e-8 of the largest are left out, of which 150 add up to no more than this
    assert sketch(x, y) == pytest.approx(metric(f"cka(estimator={estimator!r}, kernel='rbf')")(x, y), abs=1e-5)


@pytest.mark.parametrize("name", ["cka", "hsic"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("landmarks", [8, 40, 120])
def test_the_whole_score_lies_within_the_bounds(name: str, estimator: str, landmarks: int) -> None:
    for seed in range(5):
        x, y = related(200, seed=seed)
        whole = metric(f"{name}(estimator={estimator!r}, kernel='rbf')")(x, y)
        sketch: Any = metric(f"nystrom_{name}(estimator={estimator!r}, landmarks={landmarks})")
        low, high = sketch.bounds(x, y)
        near, far = sketch.bounds(x, y, measured=True)
        assert low <= near <= sketch(x, y) <= far <= high
        assert low <= whole <= high
        assert near - 1e-9 <= whole <= far + 1e-9


def test_more_landmarks_tighten_the_bounds() -> None:
    x, y = related(300)
    widths = []
    for landmarks in (10, 40, 160):
        sketch: Any = metric(f"nystrom_cka(landmarks={landmarks})")
        low, high = sketch.bounds(x, y)
        widths.append(high - low)
    assert widths[0] > widths[1] > widths[2]
    assert widths[2] < 0.2


def test_landmarks_do_not_depend_on_the_order_or_the_precision() -> None:
    x, y = related(400)
    x, y = x.astype(np.float32), y.astype(np.float32)
    order = np.random.default_rng(1).permutation(400)
    sketch = metric("nystrom_cka(landmarks=20)")
    assert sketch(x[order], y[order]) == pytest.approx(sketch(x, y), rel=1e-4)
    assert sketch(x.astype(np.float64), y.astype(np.float64)) == pytest.approx(sketch(x, y), rel=1e-4)
    assert metric("nystrom_cka(landmarks=20, seed=1)")(x, y) != pytest.approx(sketch(x, y), rel=1e-4)


def test_many_items_in_little_memory() -> None:
    x, y = related(20_000)
    with working_memory("64MB"):
        with pytest.raises(InputError, match="nystrom_cka, a sketch of this one that states its error"):
            metric("cka(kernel='rbf')")(x, y)
        sketch: Any = metric("nystrom_cka(landmarks=60)")
        score, (low, high) = sketch(x, y), sketch.bounds(x, y)
        null = sketch.null_moments([sketch.prepare(x)], [sketch.prepare(y)])
        assert low <= score <= high
        assert high - low < 0.5
        # its mean is exact and its spread sampled, since n x n numbers do not fit
        assert null.mean == 0.0
        assert "Nyström sketch by 60 landmarks" in null.source
        with pytest.raises(InputError, match="Lower landmarks"):
            metric("nystrom_cka(landmarks=2000)")(x, y)
    # of a layer from the same distribution but fewer items, whole: both estimate one number
    few = metric("cka(kernel='rbf')")(*related(1500, seed=7))
    assert score == pytest.approx(few, abs=0.05)


def test_a_scan_says_how_far_the_sketch_may_be_off() -> None:
    x, y = related(60)
    found = iso.scan(x, y, ["nystrom_cka(landmarks=10)"], permutations=0)
    assert "for certain" in found["nystrom_cka(estimator='unbiased', landmarks=10)"].null


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("nystrom_cka(landmarks=1)", "landmarks"),
        ("nystrom_cka(kernel='linear')", "kernel"),
        ("nystrom_hsic(estimator='chun')", "use one of"),
        ("nystrom_cka(seed=-1)", "seed"),
    ],
)
def test_parameters_are_refused_in_words(spec: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        metric(spec)
