"""Heads that see interactions, on targets whose answer is planted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.heads import Head, Target, make_head

Matrix = np.ndarray[Any, Any]
FIT = 700


def gaussian(seed: int, n: int = 1000) -> tuple[dict[str, Matrix], Matrix]:
    x, y = np.random.default_rng(seed).standard_normal((2, n, 8))
    return {"x": x, "y": y}, (x[:, 0] * y[:, 0] > 0).astype(int)


def bits(seed: int, n: int = 1000) -> tuple[dict[str, Matrix], Matrix]:
    """A bit in each of two spaces, turned and under noise."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 2, (2, n))
    spaces = {}
    for name, bit in zip("xy", drawn, strict=True):
        rows = 0.4 * rng.standard_normal((n, 30))
        rows[:, 0] = 2 * bit - 1 + 0.1 * rng.standard_normal(n)
        spaces[name] = rows @ np.linalg.qr(rng.standard_normal((30, 30)))[0]
    return spaces, drawn[0] ^ drawn[1]


def share_right(head: Head, spaces: dict[str, Matrix], classes: Matrix, fit: int = FIT) -> float:
    fitted = head.fit({k: v[:fit] for k, v in spaces.items()}, classes[:fit])
    return float(np.mean(fitted.predict({k: v[fit:] for k, v in spaces.items()}).argmax(axis=1) == classes[fit:]))


@pytest.mark.parametrize("data", [gaussian, bits])
@pytest.mark.parametrize("spec", ["bilinear", "mlp"])
def test_what_no_single_space_holds_is_found(spec: str, data: Any) -> None:
    assert share_right(make_head(spec), *data(0)) > 0.9


@pytest.mark.parametrize("data", [gaussian, bits])
@pytest.mark.parametrize("spec", ["concat", "late", "late(combine='stacked')", "product", "vote", "shared"])
def test_linear_heads_are_at_chance_there(spec: str, data: Any) -> None:
    assert share_right(make_head(spec), *data(0)) < 0.6


@pytest.mark.parametrize("seed", range(1, 5))
def test_products_are_found_from_other_draws(seed: int) -> None:
    assert share_right(make_head("bilinear"), *gaussian(seed)) > 0.9


def test_bilinear_is_concat_where_the_spaces_do_not_interact() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 300, 6))
    classes = (x[:, 0] + y[:, 0] > 0).astype(int)
    spaces = {"x": x, "y": y}
    bilinear, concat = (make_head(spec).fit(spaces, classes) for spec in ("bilinear", "concat"))
    assert vars(bilinear)["pairs_"] == {}
    np.testing.assert_array_equal(bilinear.predict(spaces), concat.predict(spaces))


def test_the_pair_that_interacts_is_told_from_the_others() -> None:
    spaces, classes = gaussian(0)
    spaces["noise"] = np.random.default_rng(9).standard_normal((1000, 8))
    head: Any = make_head("bilinear")
    assert share_right(head, spaces, classes) > 0.9
    assert ("x", "y") in head.pairs_
    assert np.abs(head.linear_.coef["x\0y"]).max() > 5 * max(
        [0.0, *(np.abs(head.linear_.coef["\0".join(p)]).max() for p in head.pairs_ if p != ("x", "y"))]
    )


def test_products_are_read_for_numbers_and_a_constant_product_is_left_out() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 500, 5))
    numbers = (x[:, 0] * y[:, 1] + y[:, 2] + 0.3 * rng.standard_normal(500))[:, None]
    head = make_head("bilinear").fit({"x": x[:400], "y": y[:400]}, Target("numbers", numbers[:400], ("t",)))
    left = numbers[400:] - head.predict({"x": x[400:], "y": y[400:]})
    assert np.var(left) < 0.3 * np.var(numbers[400:])  # 0.05 of it is noise, products are half
    sign = np.tile([[-1.0], [1.0], [1.0], [-1.0]], (25, 1))
    copy: Any = make_head("bilinear").fit({"x": sign, "y": 2 * sign}, (sign[:, 0] > 0).astype(int))
    assert copy.pairs_ == {}


def switched(seed: int = 0, n: int = 1000) -> tuple[dict[str, Matrix], Matrix]:
    """The second coordinate of x says which of the spaces holds the class."""
    x, y = np.random.default_rng(seed).standard_normal((2, n, 6))
    return {"x": x, "y": y}, np.where(x[:, 1] > 0, x[:, 0] > 0, y[:, 0] > 0).astype(int)


def test_the_gate_follows_the_space_that_is_right() -> None:
    spaces, classes = switched()
    gated: Any = make_head("gated")
    assert share_right(gated, spaces, classes) > share_right(make_head("late"), spaces, classes) + 0.08
    weights = gated.weights(spaces)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    trusts_x = spaces["x"][:, 1] > 0
    assert weights[trusts_x, 0].mean() > 0.7
    assert weights[~trusts_x, 0].mean() < 0.3
    alone = {"y": spaces["y"]}
    np.testing.assert_allclose(gated.predict(alone), gated.readouts_["y"].predict(alone), atol=1e-5)
    np.testing.assert_array_equal(gated.weights(alone), np.tile([0.0, 1.0], (1000, 1)))


def test_attention_finds_the_token_that_another_space_points_to() -> None:
    rng = np.random.default_rng(0)
    n, place = 1000, rng.integers(0, 4, 1000)
    tokens = rng.standard_normal((n, 4, 6))
    spaces = {"x": np.eye(4)[place] + 0.1 * rng.standard_normal((n, 4)), "y": tokens}
    classes = (tokens[np.arange(n), place, 0] > 0).astype(int)
    assert share_right(make_head("attention"), spaces, classes) > 0.9
    pooled = {"x": spaces["x"], "y": tokens.mean(axis=1)}
    assert share_right(make_head("attention"), pooled, classes) < 0.75


@pytest.mark.parametrize("spec", ["mlp", pytest.param("attention", marks=pytest.mark.thorough)])
def test_view_dropout_keeps_a_head_useful_where_a_space_is_missing(spec: str) -> None:
    rng = np.random.default_rng(0)
    bit = rng.integers(0, 2, 800)
    sign, shared = 2.0 * bit - 1, 2 * rng.standard_normal(800)
    # y tells x's noise first, and a little of the class: with x it counts against the class, without it for the class
    spaces = {"x": np.column_stack([sign + shared, rng.standard_normal((800, 3))])}
    spaces["y"] = np.column_stack([shared + 0.6 * sign, rng.standard_normal((800, 3))])
    loss = {}
    for share in (0.0, 0.5):
        head = type(make_head(spec))(view_dropout=share).fit({k: v[:400] for k, v in spaces.items()}, bit[:400])  # type: ignore[call-arg]
        p = head.predict({"y": spaces["y"][400:]})
        loss[share] = -np.log(p[np.arange(400), bit[400:]]).mean()
    assert loss[0.5] < loss[0.0] - 0.05


@pytest.mark.parametrize("spec", ["mlp", "gated", "attention"])
def test_noise_is_not_learnt(spec: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 300, 8))
    classes = rng.integers(0, 2, 300)
    head: Any = make_head(spec).fit({"x": x[:200], "y": y[:200]}, classes[:200])
    p = head.predict({"x": x[200:], "y": y[200:]})
    assert -np.log(p[np.arange(100), classes[200:]]).mean() < np.log(2) + 0.1
    assert len(head.history_) < 100, "training ends where nothing is gained"


def test_the_seed_counts_and_training_that_diverges_is_refused() -> None:
    spaces, classes = gaussian(0, 100)
    head = make_head("mlp(hidden=4, epochs=3)")
    first, other = (head.fit(spaces, classes, seed=s).predict(spaces) for s in (0, 1))
    assert np.abs(first - other).max() > 1e-6
    with pytest.raises(InputError, match="lower learning_rate"):
        make_head("mlp(learning_rate=1e300, epochs=5)").fit(spaces, classes)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("mlp(epochs=0)", "epochs=0"),
        ("gated(learning_rate=0)", "learning_rate=0"),
        ("attention(weight_decay=-1)", "weight_decay=-1"),
        ("mlp(view_dropout=2)", "view_dropout=2"),
        ("bilinear(rank=0)", "rank=0"),
    ],
)
def test_parameters_without_sense_are_refused(spec: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        make_head(spec)
