"""Localised CKA by a rank-one update."""

from __future__ import annotations

import numpy as np
import pytest

from isomorph import metric
from isomorph.errors import InputError
from isomorph.maps.local_cka import LocalCka


def test_the_cosine_of_the_embeddings_is_the_cka_with_the_pair_added(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    fitted = LocalCka().fit(x[:30], y[:30])
    scores = fitted.embed_x(x[30:40]) @ fitted.embed_y(y[30:40]).T
    cka = metric("cka(estimator='biased')")
    for i in range(10):
        for j in range(10):
            by_hand = cka(np.vstack([x[:30], x[30 + i]]), np.vstack([y[:30], y[30 + j]]))
            assert scores[i, j] == pytest.approx(by_hand, abs=1e-9)


def test_the_kernel_form_equals_cka_of_the_kernels_written_out(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    fitted = LocalCka("rbf", 0.7).fit(x[:30], y[:30])
    scores = fitted.embed_x(x[30:36]) @ fitted.embed_y(y[30:36]).T

    def gram(rows: np.ndarray, base: np.ndarray) -> np.ndarray:
        def squares(a: np.ndarray) -> np.ndarray:
            return ((a[:, None] - a[None]) ** 2).sum(axis=-1)

        width = 0.7 * np.median(np.sqrt(squares(base))[np.triu_indices(30, 1)])
        h = np.eye(31) - 1 / 31
        return h @ np.exp(-squares(rows) / (2 * width**2)) @ h

    for i in range(6):
        for j in range(6):
            k = gram(np.vstack([x[:30], x[30 + i]]), x[:30])
            m = gram(np.vstack([y[:30], y[30 + j]]), y[:30])
            assert scores[i, j] == pytest.approx(np.vdot(k, m) / np.linalg.norm(k) / np.linalg.norm(m), abs=1e-10)


def test_embeddings_have_unit_norm(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    fitted = LocalCka().fit(x[:30], y[:30])
    for rows in (fitted.embed_x(x), fitted.embed_y(y)):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0)


def test_two_pairs_and_unknown_kernels_are_refused(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    with pytest.raises(InputError, match="at least 3 pairs"):
        LocalCka().fit(x[:2], y[:2])
    with pytest.raises(InputError, match="kernel"):
        LocalCka("cubic").fit(x, y)
    with pytest.raises(InputError, match="bandwidth"):
        LocalCka("rbf", -1).fit(x, y)
