"""Generalised CCA against its closed form."""

from __future__ import annotations

import numpy as np
import pytest

from isomorph._core.shared_space import generalized_cca
from isomorph.errors import InputError


def test_of_two_spaces_without_penalty_it_is_canonical_correlation_analysis():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 4))
    y = x @ rng.normal(size=(4, 6)) + 2 * rng.normal(size=(90, 6))
    spaces = {"x": x, "y": y}
    scaling, back = generalized_cca(spaces, 3, 1e-12)
    a, b = (scaling[name](rows) @ back[name] for name, rows in spaces.items())
    bases = [np.linalg.qr(v - v.mean(axis=0))[0] for v in (x, y)]
    expected = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    assert [np.corrcoef(a[:, k], b[:, k])[0, 1] for k in range(3)] == pytest.approx(expected[:3])


def test_the_axes_are_the_eigenvectors_of_the_summed_ridge_projections():
    rng = np.random.default_rng(1)
    spaces = {k: rng.normal(size=(30, d)) for k, d in (("x", 3), ("y", 50), ("z", 8))}
    scaling, back = generalized_cca(spaces, 2, 0.05)
    hats = 0
    for rows in spaces.values():
        v = rows - rows.mean(axis=0)
        v /= np.sqrt(np.sum(v**2) / 30)
        hats = hats + v @ np.linalg.solve(v.T @ v + 0.05 * 30 * np.eye(v.shape[1]), v.T)
    common = sum(scaling[name](rows) @ back[name] for name, rows in spaces.items())  # the hats of the axes
    values = np.linalg.eigvalsh(hats)[::-1][:2]
    assert hats @ common == pytest.approx(common * values, abs=1e-8)
    assert back["y"].shape == (50, 2)


def test_a_space_that_does_not_vary_is_named():
    with pytest.raises(InputError, match="y is constant"):
        generalized_cca({"x": np.eye(5), "y": np.ones((5, 2))}, 1, 0.1)
