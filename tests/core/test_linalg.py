"""The shared linear algebra against NumPy in float64, in every array library, and at the edges of precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isomorph._core import linalg as la
from isomorph._core.arrays import to_numpy
from isomorph.errors import InputError


@pytest.fixture(params=["numpy", "torch", "jax.numpy", "array_api_strict"])
def xp(request: pytest.FixtureRequest) -> Any:
    return pytest.importorskip(request.param)


@pytest.fixture
def x() -> np.ndarray:
    a = np.random.default_rng(0).standard_normal((12, 5)) * np.array([1, 2, 0.5, 1, 3]) + 4
    a.setflags(write=False)
    return a


def test_centring_and_scaling_equal_their_formulas_everywhere(x: np.ndarray, xp: Any) -> None:
    there = xp.asarray(np.array(x))
    centered = x - x.mean(0)
    np.testing.assert_allclose(to_numpy(la.center(there)), centered, atol=1e-13)
    expected = centered / np.sqrt((centered**2).sum(1).mean())
    features, size = la.scaled_and_size(la.center(there))
    np.testing.assert_allclose(to_numpy(features), expected, atol=1e-13)
    np.testing.assert_allclose(to_numpy(la.centered_scaled(there)), expected, atol=1e-13)
    np.testing.assert_allclose(la.number(size), np.linalg.norm(centered) / 12**0.5, rtol=1e-13)
    assert type(features) is type(there)


def test_kernels_are_centred_everywhere(x: np.ndarray, xp: Any) -> None:
    k = x @ x.T
    u = to_numpy(la.u_center(xp.asarray(k)))
    np.testing.assert_allclose(np.diag(u), 0, atol=0)
    np.testing.assert_allclose(u.sum(0), 0, atol=1e-10)
    np.testing.assert_allclose(u, u.T, atol=1e-12)
    h = np.eye(12) - 1 / 12
    np.testing.assert_allclose(to_numpy(la.double_center(xp.asarray(k))), h @ k @ h, atol=1e-11)


def test_sums_of_squares_are_taken_in_float64(x: np.ndarray, xp: Any) -> None:
    there = xp.asarray(x.astype(np.float32))
    wide = x.astype(np.float32).astype(np.float64) ** 2
    for axis in (None, 0, 1):
        found = to_numpy(la.sum_squares(there, axis=axis))
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, wide.sum(axis=axis), rtol=1e-14)


def test_long_products_are_summed_in_float64(xp: Any) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 20_001)).astype(np.float32), rng.standard_normal((20_001, 2)).astype(np.float32)
    found = to_numpy(la.long_product(xp.asarray(a), xp.asarray(b)))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, a.astype(np.float64) @ b.astype(np.float64), atol=1e-3)


def test_top_k_is_sorted_and_names_its_columns(x: np.ndarray, xp: Any) -> None:
    values, columns = (to_numpy(v) for v in la.top_k(xp.asarray(np.array(x)), 3))
    np.testing.assert_allclose(values, -np.sort(-x, axis=1)[:, :3])
    np.testing.assert_allclose(np.take_along_axis(x, columns, axis=1), values)


def test_unit_rows_have_unit_norm_and_keep_their_direction(x: np.ndarray, xp: Any) -> None:
    rows = to_numpy(la.unit_rows(xp.asarray(np.array(x))))
    np.testing.assert_allclose(rows, x / np.linalg.norm(x, axis=1, keepdims=True), atol=1e-14)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_scales_neither_vanish_nor_overflow_in_float32(x: np.ndarray, scale: float) -> None:
    narrow = (x * scale).astype(np.float32)
    np.testing.assert_allclose(la.centered_scaled(narrow), la.centered_scaled(x), atol=1e-5)
    np.testing.assert_allclose(la.unit_rows(narrow), la.unit_rows(x), atol=1e-5)


def test_an_offset_costs_no_digits_beyond_those_of_the_data(x: np.ndarray) -> None:
    narrow = (x + 1e6).astype(np.float32)
    exact = narrow.astype(np.float64) - narrow.astype(np.float64).mean(0)
    np.testing.assert_allclose(la.center(narrow), exact, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e20])
def test_features_that_do_not_vary_are_refused(dtype: Any, value: float) -> None:
    with pytest.raises(InputError, match="probe is constant"):
        la.centered_scaled(np.full((7, 3), value, dtype=dtype), "probe")
    with pytest.raises(InputError, match="constant"):
        la.scaled(np.zeros((7, 3), dtype=dtype))
    with pytest.raises(InputError, match="no directions"):
        la.thin_svd(np.zeros((7, 3), dtype=dtype))


def test_a_zero_row_has_no_direction(x: np.ndarray) -> None:
    y = np.array(x)
    y[4] = 0
    with pytest.raises(InputError, match="row 4"):
        la.unit_rows(y)


def test_the_thin_svd_is_cut_at_the_numerical_rank(x: np.ndarray, xp: Any) -> None:
    low = x[:, :2] @ np.random.default_rng(1).standard_normal((2, 9))
    u, s, vt = (to_numpy(p) for p in la.thin_svd(xp.asarray(low)))
    assert u.shape == (12, 2)
    assert s.shape == (2,)
    assert vt.shape == (2, 9)
    np.testing.assert_allclose((u * s) @ vt, low, atol=1e-12)
    assert np.linalg.matrix_rank(low) == 2


@pytest.mark.parametrize("euclidean", [False, True])
@pytest.mark.parametrize("rows", [1, 5, 2048])
def test_the_nearest_others_leave_out_the_row_itself_whatever_the_block(
    x: np.ndarray, xp: Any, euclidean: bool, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(la, "_MOST_ROWS", rows)
    z = np.concatenate([x, x[3:4]])  # row 3 and its copy are each other's nearest by distance
    closeness = -np.sum((z[:, None] - z[None]) ** 2, axis=2) if euclidean else z @ z.T
    np.fill_diagonal(closeness, -np.inf)
    found = la.nearest_others(xp.asarray(z), 4, euclidean=euclidean)
    np.testing.assert_allclose(
        np.take_along_axis(closeness, found, axis=1), -np.sort(-closeness, axis=1)[:, :4], atol=1e-12
    )
    assert not euclidean or (found[3, 0], found[-1, 0]) == (len(x), 3)
    assert not (found == np.arange(len(z))[:, None]).any()


def test_rows_without_direction_become_zero() -> None:
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [1e-13, 0.0]])
    np.testing.assert_array_equal(la.directions(rows), [[0.6, 0.8], [0, 0], [1, 0]])
    np.testing.assert_array_equal(la.directions(rows, flat=1e-12), [[0.6, 0.8], [0, 0], [0, 0]])
    np.testing.assert_array_equal(la.directions(np.zeros((2, 3))), np.zeros((2, 3)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [300, 512, 700])
def test_products_of_rows_with_each_other_are_whole_and_symmetric(n: int, dtype: type) -> None:
    rows = np.random.default_rng(0).standard_normal((n, 200)).astype(dtype)
    found = la.self_products(rows)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, found.T)
    # kernels sum in other orders: entries as large as the squared lengths may part by some steps of their own size
    steps = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(found, rows @ rows.copy().T, rtol=steps, atol=1e-4 if dtype == np.float32 else 1e-12)
