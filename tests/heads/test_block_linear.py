"""Concat over rows that are read in blocks: what it gives is what fits in memory give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isomorph as iso
from isomorph._core.memory import working_memory
from isomorph._core.rows import BlockRows
from isomorph.errors import InputError
from isomorph.heads import Target, fit_linear

N = 30_000


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((N, 12)) + 2, 5 * rng.standard_normal((N, 9))
    target = x[:, :1] + y[:, :1] / 5 + 0.5 * rng.standard_normal((N, 1))
    return x.astype(np.float32), y.astype(np.float32), target


@pytest.mark.parametrize("banded", [True, False])
def test_it_is_the_fit_in_memory(data: tuple[Any, Any, Any], banded: bool) -> None:
    x, y, values = data
    target, folds = Target("numbers", values, ("sum",)), np.arange(N) % 3
    whole = fit_linear({"x": x.astype(float), "y": y.astype(float)}, target, folds=folds, banded=banded)
    with working_memory("16MB"):
        blocks = fit_linear({"x": BlockRows(x), "y": BlockRows(y)}, target, folds=folds, banded=banded)
    assert blocks.penalty == whole.penalty
    assert blocks.weights == whole.weights
    for name in ("x", "y"):
        np.testing.assert_allclose(blocks.coef[name], whole.coef[name], atol=1e-9)
    np.testing.assert_allclose(blocks.unseen, whole.unseen, atol=1e-8)
    np.testing.assert_allclose(
        blocks.predict({"x": x[:9], "y": y[:9]}), whole.predict({"x": x[:9], "y": y[:9]}), atol=1e-8
    )


def test_a_fusion_under_a_limit_is_the_fusion_without(data: tuple[Any, Any, Any]) -> None:
    x, y, values = data
    settings: dict[str, Any] = {"heads": ["concat"], "target_kind": "numbers", "test": range(0, N, 100), "draws": 100}
    whole = iso.fuse({"x": x, "y": y}, values, **settings)
    limited = iso.fuse({"x": x, "y": y}, values, memory="16MB", **settings)
    for one, other in ((limited["concat"], whole["concat"]), *zip(limited.singles.values(), whole.singles.values())):  # noqa: B905
        assert one.score.value == pytest.approx(other.score.value, abs=1e-8)
    assert limited["concat"].score.value > max(s.score.value for s in limited.singles.values()) + 0.2
    assert any("No control x random" in note for note in limited.notes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": np.arange(N) % 2, "target_kind": "classes"}, "fitted by logistic regression"),
        ({"heads": ["mlp"]}, "The head mlp is fitted in memory"),
        ({"spaces": "two layers"}, "x has 2 layers"),
    ],
)
def test_what_cannot_is_refused_before_it_fits(data: Any, change: dict[str, Any], words: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("isomorph.fusion._fuse.run_splits", lambda *_: pytest.fail("it was fitted"))
    x, y, values = data
    given: dict[str, Any] = {"spaces": {"x": x, "y": y}, "target": values, "heads": ["concat"], "memory": "16MB"}
    given |= {"target_kind": "numbers", "test": range(0, N, 100)} | change
    if change.get("spaces"):
        given["spaces"] = {"x": {"a": x, "b": x}, "y": y}
    with pytest.raises(InputError, match=words):
        iso.fuse(given.pop("spaces"), given.pop("target"), **given)


def test_a_constant_space_is_refused(data: tuple[Any, Any, Any]) -> None:
    target = Target("numbers", data[2], ("sum",))
    with working_memory("16MB"), pytest.raises(InputError, match="constant"):
        fit_linear({"x": BlockRows(np.full((N, 12), 0.1, np.float32))}, target, folds=np.arange(N) % 3)
