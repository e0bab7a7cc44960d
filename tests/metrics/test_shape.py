"""Shape metrics: reference values, independent oracles, precision near identity, and bad input."""

from __future__ import annotations

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.metrics._engines.spectra.axes import nuclear_norm, principal_axes, quick_axes

Pair = tuple[np.ndarray, np.ndarray]


def centered(a: np.ndarray) -> np.ndarray:
    return a - a.mean(axis=0)


@pytest.mark.parametrize(
    ("spec", "value", "peer"),
    [
        ("procrustes", 0.7346002642, "rsatoolbox bures, 1 - anatome"),
        ("nbs-score", 0.7346002642, "NBS"),
        ("procrustes-distance=angular", 0.7457189801, "netrep alpha=1, ReSi, wrongu repsim"),
        ("procrustes_distance(kind='size_and_shape')", 189.6245025242, "netrep euclidean, ReSi"),
        ("procrustes_distance(kind='ding')", 0.5307994716, "Ding et al."),
        ("procrustes_distance(kind='ding_root')", 0.7285598614, "ReSi"),
    ],
)
def test_the_reference_values_are_met_to_1e_minus_8(reference: Pair, spec: str, value: float, peer: str) -> None:
    assert metric(spec)(*reference) == pytest.approx(value, abs=1e-9), peer


@pytest.mark.parametrize(("n", "tolerance"), [(32, 1e-8), (200, 1e-7)])
def test_procrustes_equals_rsatoolbox_bures(reference: Pair, n: int, tolerance: float) -> None:
    # to the roots of the rounding of its zero eigenvalues: one with more features than items, n - d otherwise
    rsatoolbox = pytest.importorskip("rsatoolbox")
    x, y = (a[:n] for a in reference)
    rdms = [rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(a), method="euclidean") for a in (x, y)]
    # its squared distances are divided by the number of channels, a scale that the cosine does not see
    value = rsatoolbox.rdm.compare(*rdms, "bures").item()
    assert metric("procrustes")(x, y) == pytest.approx(value, abs=tolerance)


def test_procrustes_equals_scipy_and_the_residual_of_the_fitted_rotation(reference: Pair) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    x, y = centered(reference[0]), centered(reference[1])
    rotation, nuclear = linalg.orthogonal_procrustes(np.pad(x, ((0, 0), (0, 16))), y)
    assert metric("procrustes")(*reference) == pytest.approx(nuclear / np.linalg.norm(x) / np.linalg.norm(y), abs=1e-12)
    residual = np.linalg.norm(np.pad(x, ((0, 0), (0, 16))) @ rotation - y)
    assert metric("procrustes_distance(kind='size_and_shape')")(*reference) == pytest.approx(residual, abs=1e-9)


def test_size_and_shape_is_the_bures_distance_of_the_grams(reference: Pair) -> None:
    geometry = pytest.importorskip("pyriemann.geometry.distance")
    x, y = (a[:8] for a in reference)
    within = np.linalg.qr(np.c_[np.ones(8), np.eye(8)[:, 1:]])[0][:, 1:]  # all directions that centring leaves
    value = geometry.distance_wasserstein(*((within.T @ a) @ (within.T @ a).T for a in (x, y)))
    assert metric("bures_distance")(x, y) == pytest.approx(value, abs=1e-10)


@pytest.mark.parametrize("n", [20, 32, 200])
def test_more_features_than_items_give_the_same_score_by_the_route_through_items(reference: Pair, n: int) -> None:
    x, y = (a[:n] for a in reference)
    nuclear = np.linalg.svd(centered(x).T @ centered(y), compute_uv=False).sum()
    expected = nuclear / np.linalg.norm(centered(x)) / np.linalg.norm(centered(y))
    assert metric("procrustes")(x, y) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-9, 1e-12])
def test_small_angles_keep_their_digits(size: float) -> None:
    rng = np.random.default_rng(0)
    x = centered(rng.standard_normal((80, 6)))
    other = centered(rng.standard_normal((80, 6)))
    basis = np.linalg.qr(np.concatenate([x, other], axis=1))[0]
    perpendicular = basis[:, 6:] @ rng.standard_normal((6, 6))  # no rotation of x can take any of it away
    y = x / np.linalg.norm(x) + size * perpendicular / np.linalg.norm(perpendicular)
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    found = metric("procrustes_distance(kind='angular')")(x, y @ rotation)
    assert found == pytest.approx(size, rel=1e-3)  # an arc cosine would give 0 or 2e-8 for the last two


def test_singular_values_are_taken_where_eigenvalues_would_lose_digits() -> None:
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((60, 60)))[0] for _ in range(2))
    small = np.concatenate([[1.0], np.full(59, 1e-9)])
    m = left * small @ right
    assert abs(float(nuclear_norm(m, 1e-16)) - small.sum()) < 1e-13
    through_gram = np.sqrt(np.clip(np.linalg.eigvalsh(m @ m.T), 0, None)).sum()
    assert abs(through_gram - small.sum()) > 1e-8


def test_orthogonal_layers_score_zero() -> None:
    q = np.linalg.qr(centered(np.random.default_rng(0).standard_normal((30, 6))))[0]
    assert metric("procrustes")(q[:, :3], q[:, 3:]) == pytest.approx(0, abs=1e-12)
    assert metric("procrustes_distance")(q[:, :3], q[:, 3:]) == pytest.approx(np.pi / 2, abs=1e-7)


# ---- generalised shape metrics -------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_shape_distance_is_netreps_angle(reference: Pair, alpha: float) -> None:
    def partly_whitened(a: np.ndarray) -> np.ndarray:
        w, v = np.linalg.eigh(centered(a).T @ centered(a))
        return centered(a) @ (v * (alpha + (1 - alpha) / np.sqrt(w)) @ v.T)

    x, y = (partly_whitened(a) for a in reference)
    nuclear = np.linalg.svd(x.T @ y, compute_uv=False).sum()
    angle = np.arccos(nuclear / np.linalg.norm(x) / np.linalg.norm(y))
    found = metric(f"shape_distance(alpha={alpha}, reference_scale='unit')")(*reference)
    assert found == pytest.approx(angle, abs=1e-10)


def test_the_ends_of_the_shape_family_are_procrustes_and_cca(reference: Pair) -> None:
    whole = metric("shape_distance(alpha=1.0)")(*reference)
    assert whole == pytest.approx(metric("procrustes_distance")(*reference), abs=1e-12)
    x, y = reference[0], reference[1][:, :32]
    white = metric("shape_distance(alpha=0.0)")(x, y)
    assert np.cos(white) == pytest.approx(metric("cca")(x, y), abs=1e-12)


def test_netreps_partial_whitening_changes_with_the_units_of_the_features_and_ours_does_not(reference: Pair) -> None:
    x, y = reference
    theirs, ours = (metric(f"shape_distance(alpha=0.5, reference_scale={s!r})") for s in ("unit", "rms"))
    assert abs(theirs(x * 1e-3, y) - theirs(x, y)) > 0.05
    assert ours(x * 1e-3, y) == pytest.approx(ours(x, y), abs=1e-12)


def test_full_whitening_of_as_many_features_as_items_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="rank 19 on n = 20"):
        metric("shape_distance(alpha=0)")(rng.standard_normal((20, 30)), rng.standard_normal((20, 4)))


# ---- Riemannian distance ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [40, 200])
@pytest.mark.parametrize("shrinkage", [0.05, 0.5])
def test_riemannian_distance_equals_pyriemann_on_the_shrunk_second_moments(
    reference: Pair, shrinkage: float, n: int
) -> None:
    geometry = pytest.importorskip("pyriemann.geometry.distance")
    moments = []
    for a in reference:
        k = centered(a[:n]) @ centered(a[:n]).T
        moments.append((1 - shrinkage) * k * n / np.trace(k) + shrinkage * np.eye(n))
    expected = geometry.distance_riemann(*moments)
    found = metric(f"riemannian_distance(shrinkage={shrinkage})")(*(a[:n] for a in reference))
    assert found == pytest.approx(expected, abs=1e-10)


def test_without_shrinkage_the_riemannian_distance_of_centred_layers_is_infinite_so_it_is_refused() -> None:
    for value in ("0", "1", "-0.1", "'auto'"):
        with pytest.raises(InputError, match=r"singular|must be a number"):
            metric(f"riemannian(shrinkage={value})")


@pytest.mark.parametrize("spec", ["shape(alpha=2)", "shape(alpha=-0.5)", "procrustes_distance(kind='euclid')"])
def test_impossible_parameters_are_refused(spec: str) -> None:
    with pytest.raises(InputError):
        metric(spec)


def test_a_distance_says_so_by_its_name() -> None:
    for name in ("procrustes_distance", "shape_distance", "riemannian_distance", "gulp_distance"):
        assert metric(name).distance
    assert not metric("procrustes").distance


@pytest.mark.parametrize(("n", "d"), [(60, 8), (20, 50), (30, 30)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("spread", [1.0, 1e-4])
def test_quick_axes_are_the_principal_axes(n: int, d: int, dtype: type, spread: float) -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((n, d)) * np.geomspace(1, spread, d) + 3).astype(dtype)
    quick, known = quick_axes(x), principal_axes(x)
    assert quick.rank == known.rank
    np.testing.assert_allclose(quick.s, known.s, rtol=1e-10)
    np.testing.assert_allclose(quick.u @ quick.u.T, known.u @ known.u.T, atol=1e-9)


def test_quick_axes_leave_ill_conditioned_layers_to_the_decomposition(monkeypatch: pytest.MonkeyPatch) -> None:
    from isomorph.metrics._engines.spectra import axes

    asked = []
    monkeypatch.setattr(axes, "principal_axes", lambda x, what: asked.append(what))
    rng = np.random.default_rng(0)
    well = rng.standard_normal((60, 6))
    quick_axes(well)
    assert not asked
    quick_axes(well * np.geomspace(1, 1e-3, 6))
    quick_axes(np.c_[well, well[:, :1]])
    assert len(asked) == 2


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_euclidean_shape_distances_are_lengths_between_layers_whitened_by_hand(alpha: float) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 60, 6)) * np.arange(1, 7)

    def whitened(features: np.ndarray) -> np.ndarray:  # as netrep does, in the units of the features
        c = features - features.mean(axis=0)
        values, vectors = np.linalg.eigh(c.T @ c)
        return c @ (alpha * np.eye(6) + (1 - alpha) * vectors @ np.diag(values**-0.5) @ vectors.T)

    one, two = whitened(x), whitened(y)
    u, _, vt = np.linalg.svd(one.T @ two)
    left = float(np.linalg.norm(one @ u @ vt - two))
    assert metric(f"shape_metric-alpha={alpha}-distance=euclidean")(x, y) == pytest.approx(left, rel=1e-9)
    parts = metric(f"shape_metric-alpha={alpha}-distance=euclidean")
    given = parts.contributions([parts.prepare(x)], [parts.prepare(y)])
    squares = np.sum((one @ u @ vt - two) ** 2, axis=1)
    np.testing.assert_allclose(np.ravel(given), 60 * left * squares / squares.sum(), rtol=1e-7)
