from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="module")
def reference() -> tuple[np.ndarray, np.ndarray]:
    """The data on which the values of the other tools were measured."""
    rng = np.random.RandomState(0)  # the published values belong to this generator
    n = 200
    z = rng.randn(n, 10)
    x = z @ rng.randn(10, 32) + 0.7 * rng.randn(n, 32) + 1.5
    y = np.tanh(z @ rng.randn(10, 48)) + 0.5 * rng.randn(n, 48) - 0.5
    return x, y
