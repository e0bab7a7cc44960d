import numpy as np
import pytest
import torch

from isomorph.encoders._pooling import POOLINGS, check_pooling, pool
from isomorph.errors import InputError, UnknownNameError

X = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
RIGHT = np.array([[True, True, True, False], [True, False, False, False]])
LEFT = RIGHT[:, ::-1].copy()

libraries = pytest.mark.parametrize("to", [np.asarray, lambda a: torch.from_numpy(a.copy())], ids=["numpy", "torch"])


def pooled(to, x, mask, pooling, prefix=None):
    return np.asarray(pool(to(x), None if mask is None else to(mask), pooling, prefix))


@libraries
@pytest.mark.parametrize(
    ("pooling", "mask", "expected"),
    [
        ("mean", None, [X[0].mean(0), X[1].mean(0)]),
        ("mean", RIGHT, [X[0, :3].mean(0), X[1, 0]]),
        ("mean", LEFT, [X[0, 1:].mean(0), X[1, 3]]),
        ("cls", None, [X[0, 0], X[1, 0]]),
        ("cls", RIGHT, [X[0, 0], X[1, 0]]),
        ("cls", LEFT, [X[0, 1], X[1, 3]]),
        ("last", None, [X[0, 3], X[1, 3]]),
        ("last", RIGHT, [X[0, 2], X[1, 0]]),
        ("last", LEFT, [X[0, 3], X[1, 3]]),
        ("max", None, [X[0, 3], X[1, 3]]),
        ("max", RIGHT, [X[0, 2], X[1, 0]]),
        ("max", LEFT, [X[0, 3], X[1, 3]]),
    ],
)
def test_each_pooling_uses_only_the_tokens_that_hold_input(to, pooling, mask, expected):
    np.testing.assert_allclose(pooled(to, X, mask, pooling), np.array(expected), rtol=1e-6)


@libraries
def test_mean_without_class_tokens_leaves_the_prefix_out(to):
    np.testing.assert_allclose(pooled(to, X, None, "mean_no_cls", prefix=1), X[:, 1:].mean(1))


@libraries
@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "max"])
def test_nan_in_padding_never_reaches_a_pooled_value(to, pooling):
    x = np.where(RIGHT[..., None], X, np.nan).astype(np.float32)
    assert np.isfinite(pooled(to, x, RIGHT, pooling)).all()


@libraries
def test_without_pooling_each_item_keeps_its_own_number_of_tokens(to):
    first, second = pool(to(X), to(RIGHT), "none")
    np.testing.assert_array_equal(np.asarray(first), X[0, :3])
    np.testing.assert_array_equal(np.asarray(second), X[1, :1])


@libraries
@pytest.mark.parametrize("pooling", POOLINGS)
def test_vectors_are_left_as_they_are_but_copied(to, pooling):
    x = to(X[:, 0].copy())
    out = pool(x, None, pooling)
    x[:] = -1
    values = np.concatenate([np.asarray(v) for v in out]) if pooling == "none" else np.asarray(out)
    np.testing.assert_array_equal(values, X[:, 0])


@libraries
@pytest.mark.parametrize("pooling", ["cls", "last", "none"])
def test_what_is_taken_out_shares_no_memory_with_the_activations(to, pooling):
    x = to(X.copy())
    out = pool(x, None, pooling)
    before = [np.asarray(v).copy() for v in out]
    x[:] = -1
    for was, value in zip(before, out, strict=True):
        np.testing.assert_array_equal(np.asarray(value), was)


@libraries
def test_places_of_a_map_are_pooled_as_its_tokens(to):
    maps = np.arange(2 * 3 * 4, dtype=np.float32).reshape(1, 2, 3, 4)
    np.testing.assert_allclose(pooled(to, maps, None, "mean"), maps.mean((2, 3)))
    np.testing.assert_allclose(pooled(to, maps, None, "max"), maps.max((2, 3)))


def test_low_precision_is_pooled_in_float32():
    x = torch.ones(1, 1000, 1, dtype=torch.bfloat16)
    x[0, 0] = 256.0  # a sum in bfloat16 would stay near 256
    assert pool(x, None, "mean").dtype == torch.float32
    assert float(pool(x, None, "mean")) == pytest.approx(1.255)


@pytest.mark.parametrize(
    ("x", "mask", "pooling", "prefix", "says"),
    [
        (np.zeros((1, 2, 3, 4)), None, "cls", None, "needs tokens"),
        (np.zeros((1, 2, 3, 4)), None, "last", None, "needs tokens"),
        (X, None, "cls", 0, "needs a class token"),
        (X, None, "mean_no_cls", None, "class tokens are known"),
        (X, np.ones((2, 3), dtype=bool), "mean", None, "4 tokens an item but the inputs have 3"),
        (np.zeros((1, 2, 3, 4, 5)), None, "mean", None, "cannot be pooled"),
    ],
)
def test_a_pooling_that_makes_no_sense_is_refused(x, mask, pooling, prefix, says):
    with pytest.raises(InputError, match=says):
        pool(x, mask, pooling, prefix)


def test_an_unknown_pooling_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'mean'"):
        check_pooling("maen")
