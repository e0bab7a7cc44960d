"""CKA and HSIC over many items, in memory and on disk, without a copy of the features."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import _gram, metric
from isomorph.metrics._streaming import MANY

N = MANY + 77
SPECS = [f"cka(estimator='{e}')" for e in ("unbiased", "biased", "lange", "chun")]
SPECS += [f"hsic(estimator='{e}')" for e in ("unbiased", "biased")]


def pair(dtype=np.float32, offset=3.0, n=N):
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((n, 4))
    made = [shared @ rng.standard_normal((4, d)) + rng.standard_normal((n, d)) + offset for d in (24, 17)]
    return [x.astype(dtype) for x in made]


def in_memory(spec, x, y, monkeypatch):
    """The same score by centred copies in float64."""
    with monkeypatch.context() as patch:
        patch.setattr(_gram, "MANY", 1 << 60)
        return metric(spec)(x.astype(np.float64), y.astype(np.float64))


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_streamed_scores_are_those_of_centred_copies(spec, dtype, monkeypatch):
    x, y = pair(dtype)
    assert metric(spec)(x, y) == pytest.approx(in_memory(spec, x, y, monkeypatch), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("case", ["offset", "outlier", "tiny", "huge", "sorted", "unlucky sample"])
def test_awkward_features_are_looked_at_again(case, monkeypatch):
    x, y = pair(np.float32, offset=0.0)
    if case == "offset":
        x += 1e4
    elif case == "outlier":
        x[5] += 3e4
    elif case in {"tiny", "huge"}:
        x *= np.float32({"tiny": 1e-25, "huge": 1e25}[case])
    elif case == "sorted":
        order = np.argsort(x[:, 0])
        x, y = x[order], y[order]
    else:
        x[:: N // 1024] += 1e3  # just the rows that the mean is estimated from
    for spec in ("cka(estimator='unbiased')", "cka(estimator='biased')"):
        assert metric(spec)(x, y) == pytest.approx(in_memory(spec, x, y, monkeypatch), rel=1e-6, abs=1e-8)


def test_noise_scores_zero_to_the_digits_of_single_precision(monkeypatch):
    rng = np.random.default_rng(1)
    x, y = (rng.standard_normal((N, 30), dtype=np.float32) for _ in range(2))
    assert metric("cka")(x, y) == pytest.approx(in_memory("cka", x, y, monkeypatch), abs=1e-8)


def test_a_constant_layer_is_refused_and_one_that_varies_in_a_single_row_is_not(monkeypatch):
    x, y = pair()
    with pytest.raises(InputError, match="constant"):
        metric("cka")(np.full_like(x, 0.1), y)
    rare = np.full_like(x, 0.1)
    rare[7] += 1
    assert metric("cka(estimator='biased')")(rare, y) == pytest.approx(
        in_memory("cka(estimator='biased')", rare, y, monkeypatch), rel=1e-6
    )


def test_layers_on_disk_score_as_in_memory(tmp_path):
    x, y = pair()
    for name, array in (("x", x), ("y", y)):
        np.save(tmp_path / f"{name}.npy", array)
    on_disk = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy"]
    assert metric("cka")(*on_disk) == metric("cka")(x, y)


def test_a_value_that_is_not_finite_is_named_where_it_lies_in_a_file(tmp_path):
    x, y = pair()
    x[N - 3, 5] = np.nan
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(InputError, match=rf"item {N - 3}, feature 5"):
        metric("cka")(np.load(tmp_path / "x.npy", mmap_mode="r"), y)


def test_permuted_states_are_those_of_permuted_features():
    x, y = pair()
    order = np.random.default_rng(3).permutation(N)
    again = np.random.default_rng(4).permutation(N)
    cka = metric("cka")
    twice = cka.permute(cka.permute(cka.prepare(y), order), again)
    expected = cka(x, y[order][again])
    assert cka.compare([cka.prepare(x)], [twice])[0, 0] == pytest.approx(expected, abs=1e-8)
    assert cka.compare([cka.prepare(y)], [twice])[0, 0] == pytest.approx(cka(y, y[order][again]), abs=1e-8)


def test_a_block_of_layers_scores_as_its_pairs_however_small_the_working_memory(monkeypatch):
    from isomorph.metrics import working_memory

    x, y = pair()
    cka = metric("cka")
    expected = [[cka(a, b) for b in (x, y)] for a in (x, y)]
    with working_memory("16MB"):
        monkeypatch.setattr("isomorph.metrics._streaming.SUM_BYTES", 1000)  # one pair a pass
        states = [cka.prepare(a) for a in (x, y)]
        np.testing.assert_allclose(cka.compare(states, states), expected, rtol=1e-6)


def test_no_copy_of_the_features_is_made():
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((200_000, 64), dtype=np.float32) for _ in range(2))
    tracemalloc.start()
    metric("cka")(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 2


@pytest.mark.parametrize("estimator", ["unbiased", "biased", "lange"])
def test_where_kernels_do_not_fit_the_null_still_knows_its_exact_mean(estimator, monkeypatch):
    spec = f"cka(estimator='{estimator}')"
    x, y = pair(np.float64, n=200)
    whole = metric(spec).null(x, y)
    monkeypatch.setattr("isomorph.metrics.kernels.fits", lambda needed: False)
    m = metric(spec)
    alone = m.null_moments([m.prepare(x)], [m.prepare(y)])
    assert alone.std is None
    assert "do not fit" in alone.source
    assert alone.mean[0, 0] == pytest.approx(whole.mean, abs=1e-12)
