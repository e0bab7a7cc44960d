"""The gate: what passes, in which type, and what each refusal says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isomorph._core.arrays import as_features, as_pair, is_traced, namespace, take_rows, to_numpy
from isomorph.errors import InputError

LIBRARIES = ["numpy", "torch", "jax.numpy", "array_api_strict"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_features_stay_in_their_library_and_precision(library: str) -> None:
    xp = pytest.importorskip(library)
    for dtype in (np.float32, np.float64):
        x = xp.asarray(np.arange(6, dtype=dtype).reshape(3, 2))
        out = as_features(x)
        assert type(out) is type(x)
        assert out.dtype == x.dtype
        np.testing.assert_array_equal(to_numpy(out), np.arange(6).reshape(3, 2))


@pytest.mark.parametrize(
    ("given_as", "becomes"),
    [("float16", "float32"), ("int64", "float64"), ("uint8", "float64"), ("bool", "float64"), ("float64", "float64")],
)
def test_lower_precisions_become_float32_and_integers_float64(given_as: str, becomes: str) -> None:
    assert as_features(np.ones((3, 2), dtype=given_as)).dtype == becomes


def test_torchs_bfloat16_becomes_float32() -> None:
    torch = pytest.importorskip("torch")
    assert as_features(torch.ones(3, 2, dtype=torch.bfloat16)).dtype == torch.float32


def test_lists_are_read_as_arrays() -> None:
    np.testing.assert_array_equal(as_features([[1, 2], [3, 4]]), [[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.ones(3), r"probe has shape \(3,\).*reshape"),
        (np.ones((2, 3, 4)), r"probe has shape \(2, 3, 4\)"),
        (np.ones((3, 0)), "no features"),
        (np.ones((1, 2)), "probe has 1 items; at least 2"),
        (np.ones((3, 2)) * 1j, "complex"),
        (np.array([["a", "b"], ["c", "d"]]), "<U1"),
        (np.array([[None, 1], [2, 3]]), "object"),
        ([[1, 2], [3]], "cannot be read"),
    ],
)
def test_what_is_no_representation_is_refused_by_name(bad: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_features(bad, "probe", min_items=2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_values_are_counted_and_located(value: float) -> None:
    x = np.zeros((5, 4))
    x[3, 1] = x[4, 0] = value
    with pytest.raises(InputError, match="2 non-finite values, the first at item 3, feature 1"):
        as_features(x)


def test_sparse_matrices_are_refused_with_the_fix() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(InputError, match="toarray"):
        as_features(sparse.csr_array(np.eye(3)))


def test_complex_torch_features_are_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(InputError, match="complex"):
        as_features(torch.ones(3, 2, dtype=torch.complex64))


def test_a_pair_must_have_the_same_items_and_library() -> None:
    torch = pytest.importorskip("torch")
    x = np.ones((3, 2))
    with pytest.raises(InputError, match="left has 3 items and right has 4"):
        as_pair(x, np.ones((4, 2)), ("left", "right"))
    with pytest.raises(InputError, match="one library, found"):
        as_pair(pytest.importorskip("jax").numpy.ones((3, 2)), torch.ones(3, 2))
    a, b = as_pair(x, np.ones((3, 5)))
    assert a.shape == (3, 2)
    assert b.shape == (3, 5)
    assert namespace(a, b) is namespace(a)


@pytest.mark.parametrize("library", LIBRARIES)
@settings(max_examples=10)
@given(order=st.permutations(range(6)))
def test_rows_are_taken_in_any_order_in_every_library(library: str, order: list[int]) -> None:
    xp = pytest.importorskip(library)
    x = np.arange(12.0).reshape(6, 2)
    np.testing.assert_array_equal(to_numpy(take_rows(xp.asarray(x), np.array(order))), x[order])


def test_tensors_leave_the_graph_when_they_become_numpy() -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(to_numpy(torch.ones(2, 2, requires_grad=True) * 2), np.full((2, 2), 2.0))


def test_tracing_is_seen_only_inside_jax_transformations() -> None:
    jax = pytest.importorskip("jax")
    seen = []
    jax.grad(lambda v: (seen.append(is_traced(v)), v.sum())[1])(jax.numpy.ones(3))
    assert seen == [True]
    assert not is_traced(jax.numpy.ones(3))
    assert not is_traced(np.ones(3))


def test_masked_arrays_are_refused_since_their_mask_would_be_ignored():
    with pytest.raises(InputError, match="masked array"):
        as_features(np.ma.masked_greater(np.arange(6.0).reshape(3, 2), 3))


def test_a_class_of_arrays_and_values_of_which_no_sum_can_be_held_are_refused():
    with pytest.raises(InputError, match="is the class ndarray"):
        as_features(np.ndarray)
    with pytest.raises(InputError, match=r"beyond 1e\+300"):
        as_features(np.array([[1.7e308, 1.0], [1.0, -1.7e308]]))
    assert as_features(np.full((2, 2), 1e299)).shape == (2, 2)


def test_one_reversed_item_meets_torch():
    torch = pytest.importorskip("torch")
    x, y = as_pair(np.arange(6.0).reshape(2, 3)[::2][::-1], torch.ones(1, 2, dtype=torch.float64))
    assert x.tolist() == [[0.0, 1.0, 2.0]]
    assert y.shape == (1, 2)
