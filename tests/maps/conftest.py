"""Two spaces with a shared part, for the tests of maps."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Eighty paired rows: eight shared dimensions seen through two linear views with offset and a little noise."""
    rng = np.random.default_rng(7)
    shared = rng.normal(size=(80, 8))
    x = shared @ rng.normal(size=(8, 12)) + 0.1 * rng.normal(size=(80, 12)) + 3.0
    y = shared @ rng.normal(size=(8, 9)) + 0.1 * rng.normal(size=(80, 9)) - 1.0
    return x, y


@pytest.fixture(scope="session")
def rotated() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sixty rows, the rotation that was applied to them, and the result, scaled by 2.5 and shifted."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(60, 10)) * np.linspace(0.5, 2.0, 10) + 1.0
    q = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    return x, q, 2.5 * x @ q + 4.0
