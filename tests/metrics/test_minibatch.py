"""Minibatch CKA: values of the field, a peer, and batches that cannot be scored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import metric


def data(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((n, 3))
    return tuple(z @ rng.standard_normal((3, d)) + rng.standard_normal((n, d)) for d in (6, 9))


@pytest.mark.parametrize(("size", "value"), [(200, 0.6362311), (50, 0.6378315), (20, 0.6389878), (10, 0.6498188)])
def test_minibatch_cka_gives_the_reference_values(reference: Any, size: int, value: float) -> None:
    assert metric(f"minibatch_cka(batch_size={size})")(*reference) == pytest.approx(value, abs=1e-7)


@pytest.mark.parametrize("size", [200, 50, 20, 10])
def test_minibatch_cka_agrees_with_ckatorch_on_equal_batches(reference: Any, size: int) -> None:
    core, torch = pytest.importorskip("ckatorch.core"), pytest.importorskip("torch")
    theirs = core.cka_batch(*(torch.tensor(a.reshape(200 // size, size, -1)) for a in reference))
    assert metric(f"minibatch_cka(batch_size={size})")(*reference) == pytest.approx(float(theirs), abs=1e-10)


def test_batches_without_structure_are_refused() -> None:
    y = data(40)[1]
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((40, 40)))[0]
    for flat in (np.eye(40), np.eye(40) @ turn):
        with pytest.raises(InputError, match="equally similar"):
            metric("minibatch_cka(batch_size=10)")(flat, y)


def test_minibatches_leave_no_item_out() -> None:
    x, y = data(41)
    m = metric("minibatch_cka(batch_size=10)")
    assert [k.n for k in m.prepare(x).kernels] == [10, 10, 10, 11]
    moved = y.copy()
    moved[-1] += 10
    assert m(x, moved) != pytest.approx(m(x, y), abs=1e-3)


def test_constant_features_and_batches_of_three_are_refused() -> None:
    with pytest.raises(InputError, match="constant"):
        metric("minibatch_cka")(np.full((40, 5), 0.1), data(40)[1])
    with pytest.raises(InputError, match="batch_size=3"):
        metric("minibatch_cka(batch_size=3)")
