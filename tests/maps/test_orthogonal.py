"""Orthogonal and scaled Procrustes maps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import procrustes as scipy_procrustes

from isomorph.errors import InputError
from isomorph.maps.orthogonal import Orthogonal, Procrustes


def test_a_rotation_is_found_exactly_and_undone_by_the_inverse(rotated: tuple[np.ndarray, ...]) -> None:
    x, q, y = rotated
    fitted = Orthogonal().fit(x, y)
    np.testing.assert_allclose(fitted.coef_, q, atol=1e-10)
    np.testing.assert_allclose(fitted.inverse().predict(fitted.predict(x)), x, atol=1e-10)


def test_procrustes_finds_the_scale_too(rotated: tuple[np.ndarray, ...]) -> None:
    x, _, y = rotated
    fitted = Procrustes().fit(x, y)
    assert fitted.scale_ == pytest.approx(2.5)
    np.testing.assert_allclose(fitted.predict(x), y, atol=1e-9)
    np.testing.assert_allclose(fitted.inverse().predict(y), x, atol=1e-9)


def test_procrustes_leaves_the_disparity_that_scipy_computes() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 4))
    residual = ((Procrustes().fit(x, y).predict(x) - y) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum()
    assert residual == pytest.approx(scipy_procrustes(y, x)[2], rel=1e-10)


@pytest.mark.parametrize(("d_x", "d_y"), [(4, 7), (7, 4)])
def test_between_unequal_widths_it_equals_the_zero_padded_solution(d_x: int, d_y: int) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, d_x)), rng.normal(size=(40, d_y))
    wide = max(d_x, d_y)
    padded = [np.pad(s - s.mean(axis=0), ((0, 0), (0, wide - s.shape[1]))) for s in (x, y)]
    left, s, right = np.linalg.svd(padded[0].T @ padded[1])
    best = ((padded[0] @ left @ right - padded[1]) ** 2).sum()
    fitted = Orthogonal().fit(x, y)
    small = fitted.coef_ @ fitted.coef_.T if d_x < d_y else fitted.coef_.T @ fitted.coef_
    np.testing.assert_allclose(small, np.eye(min(d_x, d_y)), atol=1e-10)
    residual = ((fitted.predict(x) - y) ** 2).sum()
    # the padded rotation keeps what does not fit into the narrower y, which no map into y can
    lost = (padded[0] ** 2).sum() - ((fitted.predict(x) - y.mean(axis=0)) ** 2).sum()
    assert residual + lost == pytest.approx(best)
    assert s.sum() > 0


def test_directions_that_few_pairs_say_nothing_about_go_to_the_mean(rotated: tuple[np.ndarray, ...]) -> None:
    x, _, y = rotated
    fitted = Orthogonal().fit(x[:5], y[:5])
    assert fitted.rank_ == 4
    basis = np.linalg.svd(x[:5] - x[:5].mean(axis=0))[2]
    np.testing.assert_allclose(fitted.predict(fitted.x_mean_ + basis[4:]), np.tile(fitted.y_mean_, (6, 1)), atol=1e-9)


def test_one_pair_is_refused(rotated: tuple[np.ndarray, ...]) -> None:
    x, _, y = rotated
    with pytest.raises(InputError, match="at least 2 pairs, found 1"):
        Orthogonal().fit(x[:1], y[:1])


@pytest.mark.parametrize(("n", "d_x", "d_y"), [(12, 80, 50), (12, 5, 50), (12, 50, 5), (12, 13, 12)])
@pytest.mark.parametrize("kind", [Orthogonal, Procrustes])
def test_few_wide_pairs_are_fitted_in_what_they_span_and_give_what_the_whole_gives(
    kind: type[Orthogonal], n: int, d_x: int, d_y: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(n, d_x)), rng.normal(size=(n, d_y))
    xc, yc = x - x.mean(axis=0), y - y.mean(axis=0)
    left, s, right = np.linalg.svd(xc.T @ yc, full_matrices=False)
    rank = min(n - 1, d_x, d_y)
    scale = s[:rank].sum() / (xc**2).sum() if kind is Procrustes else 1.0
    sizes = []
    svd = np.linalg.svd
    monkeypatch.setattr(np.linalg, "svd", lambda m, **k: (sizes.append(m.shape), svd(m, **k))[1])
    fitted = kind().fit(x, y)
    assert sizes == [(min(n, d_x), min(n, d_y))]
    assert fitted.rank_ == rank
    np.testing.assert_allclose(fitted.coef_, scale * left[:, :rank] @ right[:rank], atol=1e-12)
    back = fitted.inverse()
    np.testing.assert_allclose(back.coef_, fitted.coef_.T / scale**2, atol=1e-12)
