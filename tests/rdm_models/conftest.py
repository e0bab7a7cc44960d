"""Measured RDMs of a few subjects and models that explain parts of them."""

from __future__ import annotations

import numpy as np
import pytest

import isomorph as iso


def rdm(features, ids=None):
    """The RDM of squared distances between rows."""
    found = iso.RDMs.from_patterns(features, distance="squared_euclidean")
    return iso.RDMs.from_arrays(found.dissimilarities, ids)


def experiment(seed=0, n=24, subjects=5, weights=(1.0, 0.6, 0.0), noise=0.7):
    """RDMs of `subjects` that hold the spaces of some models, and the RDM of each model."""
    rng = np.random.default_rng(seed)
    spaces = [rng.normal(size=(n, 3)) for _ in weights]
    brains = [np.hstack([*(w * s for w, s in zip(weights, spaces, strict=True)), noise * rng.normal(size=(n, 3))])
              for _ in range(subjects)]  # fmt: skip
    ids = [f"i{k}" for k in range(n)]
    measured = iso.RDMs.from_arrays(
        np.concatenate([rdm(b).dissimilarities for b in brains]), ids, subjects=[f"s{k}" for k in range(subjects)]
    )
    return measured, {name: rdm(s, ids) for name, s in zip("abc", spaces, strict=False)}


@pytest.fixture
def planted():
    return experiment()
