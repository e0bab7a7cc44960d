"""Distances of scores: closed forms, the triangle inequality, peers' names, and bad input."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import isomorph as iso
from isomorph.errors import InputError, UnknownNameError
from isomorph.metrics import REGISTRY, metric

from .test_prediction import layers

BIASED = "cka(estimator='biased')"


@pytest.mark.parametrize("of", [BIASED, "cca", "procrustes", "rsa(comparison='cosine')"])
def test_every_kind_is_its_formula(of: str) -> None:
    x, y = layers()
    c = metric(of)(x, y)
    one, two = (float(np.linalg.norm(a - a.mean(axis=0))) for a in (x, y))
    squared = one**2 + two**2 - 2 * one * two * c
    expected = {
        "angular": np.arccos(c),
        "chordal": np.sqrt(2 - 2 * c),
        "euclidean": np.sqrt(squared),
        "squared_euclidean": squared,
    }
    for kind, value in expected.items():
        assert iso.metric(f"score_distance(of={of!r}, kind={kind!r})")(x, y) == pytest.approx(value, rel=1e-8)


def test_lengths_of_procrustes_are_what_the_best_rotation_leaves() -> None:
    x, y = layers()
    left = metric("procrustes_distance(kind='size_and_shape')")(x, y)
    assert metric("score_distance(of='procrustes', kind='euclidean')")(x, y) == pytest.approx(left, rel=1e-8)
    assert metric("procrustes-distance=squared_euclidean")(x, y) == pytest.approx(left**2, rel=1e-8)


def test_the_angle_keeps_the_triangle_inequality_where_one_minus_the_score_breaks_it() -> None:
    directions = np.array([[1.0, 0, 0], [1, 1, 0], [0, 1, 0]])
    q = np.linalg.qr(np.c_[np.ones(12), np.random.default_rng(0).standard_normal((12, 3))])[0][:, 1:]
    spaces = [q[:, :2] * np.sqrt([1.0, b]) for b in (0.0, 1.0)] + [q[:, 1:2]]
    assert len(directions) == len(spaces)  # kernels along one axis, both, the other
    angle, cka = metric("angular_cka"), metric(BIASED)
    for a, b, c in itertools.permutations(spaces):
        assert angle(a, c) <= angle(a, b) + angle(b, c) + 1e-9
    a, b, c = spaces
    assert 1 - cka(a, c) > (1 - cka(a, b)) + (1 - cka(b, c)) + 0.1


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("measure/netrep/cka-kernel=linear-hsic=gretton-distance=angular", f"score_distance(of={BIASED!r})"),
        ("measure/contrasim/svcca-dim=10-distance=euclidean", "score_distance(of='svcca(count=10)', kind='euclidean')"),
        ("measure/netrep/procrustes-distance=angular", "procrustes_distance(kind='angular')"),
        ("measure/llm_repsim/nbs-distance=euclidean", "procrustes_distance(kind='size_and_shape')"),
        ("measure/netrep/shape_metric-alpha=1.0-distance=euclidean", "procrustes_distance(kind='size_and_shape')"),
        ("measure/netrep/permutation_metric-distance=angular", "score_distance(of='permutation_procrustes')"),
        (
            "measure/repsim/shape_metric-alpha=0.0-distance=euclidean",
            "shape_distance(alpha=0.0, reference_scale='unit', kind='euclidean')",
        ),
        ("measure/platonic/cka-kernel=linear-hsic=song-score", "cka(estimator='unbiased')"),
        (" measure/resi-x/nbs-score ", "procrustes"),
    ],
)
def test_names_of_similarity_repository_are_understood(theirs: str, ours: str) -> None:
    assert iso.metric(theirs) == iso.metric(ours)


def test_every_other_name_of_a_distance_is_listed_with_it() -> None:
    names = [a for a, spec in REGISTRY.aliases.items() if spec.startswith("score_distance")]
    assert len(names) > 25
    for name in names:
        assert name in metric(name).spellings, name


def test_one_variant_has_one_spelling() -> None:
    assert metric("score_distance(of='linear_cka')") == metric(f"score_distance(of={BIASED!r})")
    assert metric("score_distance(of='linear_cka')").variant == f"score_distance(of=\"{BIASED}\", kind='angular')"


def test_p_values_are_those_of_the_score() -> None:
    x, y = layers(n=40)
    angle, cka = metric("angular_cka"), metric(BIASED)
    sampled = angle.null(x, y, permutations=50, seed=3)
    scores = [cka(x, y[np.random.default_rng(3).permutation(40)])]  # the first of the same permutations
    assert sampled.sample is not None
    assert np.cos(sampled.sample[0]) == pytest.approx(scores[0], abs=1e-9)
    assert sampled.p_value(angle(x, y)) == pytest.approx(1 / 51)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("score_distance(of='procrustes_distance')", "it is a distance"),
        ("score_distance(of='ridge_predictivity')", r"its range is \(-inf, 1\.0\)"),
        ("score_distance(kind='manhattan')", "kind must be 'angular', .* found 'manhattan'"),
    ],
)
def test_what_is_no_cosine_is_refused(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        metric(spec)


def test_unknown_scores_and_names_are_told() -> None:
    with pytest.raises(UnknownNameError, match="cka"):
        metric("score_distance(of='ckaa')")
    with pytest.raises(UnknownNameError, match="cca-scor"):
        metric("measure/netrep/cca-scor")


def test_distances_of_permuted_units_are_what_the_best_assignment_leaves() -> None:
    x, y = (a - a.mean(axis=0) for a in layers())
    y = 3 * y[:, : x.shape[1] - 2]  # two units of x are matched to nothing
    rows, columns = linear_sum_assignment(x.T @ y, maximize=True)
    matched = np.zeros_like(x)
    matched[:, rows] = y[:, columns]
    cosine = np.sum(x * matched) / np.linalg.norm(x) / np.linalg.norm(y)
    assert metric("permutation_metric-distance=angular")(x, y) == pytest.approx(np.arccos(cosine), rel=1e-8)
    assert metric("permutation_metric-distance=euclidean")(x, y) == pytest.approx(np.linalg.norm(x - matched), rel=1e-8)
