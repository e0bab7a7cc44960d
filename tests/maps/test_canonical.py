"""Projection onto canonical directions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import cross_decomposition

from isomorph.errors import InputError
from isomorph.maps.canonical import Cca


def test_variates_correlate_as_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    shared, strength = rng.normal(size=(200, 3)), np.array([2.0, 1.0, 0.5])
    x = np.hstack([shared * strength + rng.normal(size=(200, 3)), rng.normal(size=(200, 2))])
    y = np.hstack([shared * strength + rng.normal(size=(200, 3)), rng.normal(size=(200, 1))])
    ours = Cca(components=3, regularization=0.0, weight=0.0).fit(x, y)
    a, b = cross_decomposition.CCA(n_components=3, max_iter=5000, tol=1e-12).fit(x, y).transform(x, y)
    theirs = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(ours.correlations_, theirs, atol=1e-6)


def test_unregularised_variates_are_white_and_paired_by_their_correlations(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    fitted = Cca(regularization=0.0, weight=0.0).fit(x, y)
    a, b = fitted.embed_x(x), fitted.embed_y(y)
    np.testing.assert_allclose(a.T @ a / len(x), np.eye(9), atol=1e-9)
    np.testing.assert_allclose(a.T @ b / len(x), np.diag(fitted.correlations_), atol=1e-9)


def test_weighting_scales_each_variate_by_its_correlation(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    plain, weighted = Cca(weight=0.0).fit(x, y), Cca(weight=4.0).fit(x, y)
    np.testing.assert_allclose(weighted.embed_x(x), plain.embed_x(x) * plain.correlations_**4, atol=1e-9)


def test_components_beyond_the_rank_are_refused(pairs: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(InputError, match="10 components need two spaces"):
        Cca(components=10).fit(*pairs)


def test_more_dimensions_than_pairs_without_regularisation_are_refused(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    with pytest.raises(InputError, match="every direction correlates perfectly"):
        Cca(regularization=0).fit(x[:8], y[:8])


def test_it_predicts_nothing_and_says_what_to_use(pairs: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(InputError, match="embed_x"):
        Cca().fit(*pairs).predict(pairs[0])
