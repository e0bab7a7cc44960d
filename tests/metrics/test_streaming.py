"""CKA and HSIC over many items, in memory and on disk, without a copy of the features."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from isomorph._core.arrays import MANY, Unread, as_features
from isomorph.errors import InputError
from isomorph.metrics import REGISTRY, metric
from isomorph.metrics._base import check_layer
from isomorph.metrics._engines.kernels import gram as _gram

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


@pytest.mark.parametrize("item", [N - 3, 0])  # 0 is among those that the mean is estimated from
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("spec", ["cka", "cka(estimator='chun')", "hsic(estimator='biased')"])
def test_a_value_that_is_not_finite_is_named_where_it_lies_in_a_file(item, value, spec, tmp_path):
    x, y = pair()
    y[item, 5] = y[item, 7] = value
    np.save(tmp_path / "y.npy", y)
    on_disk = np.load(tmp_path / "y.npy", mmap_mode="r")
    with pytest.raises(InputError, match=rf"^y holds 2 non-finite values, the first at item {item}, feature 5. Leave"):
        metric(spec)(x, on_disk)
    with pytest.raises(InputError, match=rf"item {item}, feature 5"):
        metric(spec).null(x, on_disk)


def test_a_permuted_layer_is_checked_too():
    x, y = pair()
    y[N - 3, 5] = np.nan
    cka = metric("cka")
    states = [cka.prepare(check_layer(z, name, cka)) for z, name in ((x, "x"), (y, "probe"))]
    with pytest.raises(InputError, match=rf"probe holds 1 non-finite value, the first at item {N - 3}"):
        cka.compare([states[0]], [cka.permute(states[1], np.arange(N)[::-1])])
    with pytest.raises(InputError, match="probe holds"):
        _ = states[1].resident


def test_values_whose_squares_overflow_are_finite_still(monkeypatch):
    x, y = pair()
    x[1::2] *= np.float32(1e22)  # the mean is estimated from even items
    assert metric("cka")(x, y) == pytest.approx(in_memory("cka", x, y, monkeypatch), abs=1e-8)


class Counted(np.memmap):
    """A file that counts how often each row is read."""

    def __getitem__(self, where):
        if hasattr(self, "reads"):
            self.reads[where if not isinstance(where, tuple) else where[0]] += 1
        return np.asarray(self).__getitem__(where)


@pytest.mark.parametrize("spec", ["cka", "cka(estimator='biased')", "hsic"])
def test_a_file_is_read_once(spec, tmp_path):
    files = []
    for i, x in enumerate(pair()):
        x.tofile(tmp_path / str(i))
        files.append(Counted(tmp_path / str(i), np.float32, "r", shape=x.shape))
        files[-1].reads = np.zeros(N, dtype=int)
    assert metric(spec)(*files) == metric(spec)(*pair())
    for file in files:
        assert file.reads.min() == 1
        assert np.sum(file.reads - 1) <= 1100  # a sample, for the mean


@pytest.mark.parametrize("name", sorted(REGISTRY.classes))
def test_no_metric_is_given_values_that_it_does_not_promise_to_check(name):
    for spec in REGISTRY.classes[name].variants or (name,):
        given = check_layer(pair(n=MANY)[0], "x", metric(spec))
        assert isinstance(given, Unread) == metric(spec).streams
        assert metric(spec).streams <= spec.startswith(("cka", "hsic", "nystrom", "score_distance"))


def test_nothing_can_be_computed_with_unread_features():
    unread = as_features(pair()[0], unread=True)
    with pytest.raises((InputError, TypeError, AttributeError)):
        metric("mutual_knn").prepare(unread)
    with pytest.raises(TypeError):
        unread + 1
    assert np.asarray(unread).dtype == object


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
        monkeypatch.setattr("isomorph.metrics._engines.kernels.streaming.SUM_BYTES", 1000)  # one pair a pass
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
