"""Far items, common offsets, centring and scores beyond floats: right, noticed, or refused in words."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import REGISTRY, metric

Pair = tuple[np.ndarray, np.ndarray]


def pair(n: int = 40, far: float = 1.0, seed: int = 0) -> Pair:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 3))
    x, y = (z @ rng.standard_normal((3, d)) + 0.2 * rng.standard_normal((n, d)) for d in (6, 5))
    x[7], y[7] = far * x[7], far * y[7]
    return x, y


# ---- one item far from all others ----------------------------------------------------------------------------------


def exact_cka(x: np.ndarray, y: np.ndarray, *, chun: bool) -> float:
    """Unbiased CKA by its definition in 60 digits."""
    mp = pytest.importorskip("mpmath")
    mp.mp.dps = 60
    n = len(x)

    def adjusted(k: np.ndarray) -> np.ndarray:
        k = k * (1 - np.eye(n, dtype=int))
        rows = k.sum(axis=1)
        shift = rows.sum() / ((n - 1) * (n - 2))
        out = k - (rows[:, None] + rows[None, :]) / (n - 2) + shift
        return out * (1 - np.eye(n, dtype=int))

    def own(a: np.ndarray) -> object:
        k = adjusted(a @ a.T)
        if not chun:
            return (k * k).sum()
        d = a.shape[1]
        same = sum((m * m).sum() for m in (adjusted(np.outer(a[:, f], a[:, f])) for f in range(d)))
        return ((k * k).sum() - same) * mp.mpf(d) / (d - 1)

    a, b = (np.array([[mp.mpf(float(v)) for v in row] for row in s], dtype=object) for s in (x, y))
    cross = (adjusted(a @ a.T) * adjusted(b @ b.T)).sum()
    return float(cross / mp.sqrt(own(a) * own(b)))


@pytest.mark.parametrize("estimator", ["unbiased", "chun"])
@pytest.mark.parametrize("far", [1e4, 1e6, 1e8, 1e9])
def test_unbiased_cka_with_a_far_item_is_that_of_exact_arithmetic(far: float, estimator: str) -> None:
    for n, seed in ((9, 3), (30, 1)):  # few items, so by their kernels; more, so by their covariances
        x, y = pair(n, far, seed)
        for left, right in ((x, y), (x, pair(n, 1.0, seed)[1])):
            expected = exact_cka(left, right, chun=estimator == "chun")
            assert metric(f"cka(estimator={estimator!r})")(left, right) == pytest.approx(expected, rel=2e-7)


FAR = [
    "cka",
    "cka(estimator='chun')",
    "hsic",
    "cka(estimator='biased', kernel='rbf', bandwidth=0.5)",
    "cka(kernel='rbf', median='all')",
    "distance_correlation",
    "information_imbalance",
    "mutual_knn(k=5, similarity='euclidean')",
    "rsa(dissimilarity='euclidean')",
    "cca",
    "shape_distance(alpha=0.5)",
    "statistic_distance(statistic='twonn_dimension')",
    "statistic_distance(statistic='gride_dimension')",
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("far", [1e7, 1e9])
@pytest.mark.parametrize("spec", FAR)
def test_a_far_item_costs_no_digits_of_the_others(spec: str, far: float, dtype: type) -> None:
    x, y = (a.astype(dtype) for a in pair(60, far))
    m, order = metric(spec), np.random.default_rng(0).permutation(60)
    score = m(x, y)
    assert np.isfinite(score)
    # other orders of items and features round otherwise; float32 features hold the same values in float64
    others = (x[order], y[order]), (-x[:, ::-1], y), (x.astype(np.float64), y.astype(np.float64))
    assert [m(a, b) for a, b in others] == pytest.approx([score] * 3, rel=1e-5)


# ---- a common offset -----------------------------------------------------------------------------------------------

CENTERED = [
    "mutual_knn",
    "jaccard_knn",
    "rank_similarity",
    "cycle_knn(k=2)",
    "lcs_knn",
    "edit_knn",
    "mutual_nearest",
    "cknna",
    "second_order_cosine",
    "information_imbalance(similarity='cosine')",
    "mutual_knn(similarity='dot')",
    "rsa",
    "rsa(dissimilarity='cosine', comparison='pearson')",
    "cka(kernel='cosine')",
    "hsic(kernel='cosine')",
]


def with_centering(spec: str) -> str:
    return spec[:-1] + ", centered=True)" if spec.endswith(")") else spec + "(centered=True)"


def test_the_list_of_those_that_center_is_whole() -> None:
    named = {spec.split("(")[0] for spec in CENTERED}
    assert named == {name for name, c in REGISTRY.classes.items() if "centered" in c.__dataclass_fields__} - {
        "minibatch_cka",
        "nystrom_cka",  # a translation moves nothing in a Gaussian kernel
        "nystrom_hsic",
    }


@pytest.mark.parametrize("spec", CENTERED)
def test_centered_takes_the_mean_out_and_nothing_else(spec: str) -> None:
    x, y = pair(60)
    plain, centered = metric(spec), metric(with_centering(spec))
    moved = x + 7 * np.random.default_rng(1).standard_normal(6), y + 3
    assert centered(*moved) == pytest.approx(plain(x - x.mean(axis=0), y - y.mean(axis=0)), abs=1e-9)
    assert abs(plain(*moved) - centered(*moved)) > 1e-3
    assert "translation" in centered.invariances - plain.invariances
    assert "centered" not in plain.variant, "results of before name the same variant"
    assert "centered=True" in centered.variant
    with pytest.raises(InputError, match="constant"):
        centered(np.ones((60, 3)), y)


@pytest.mark.parametrize("spec", ["mutual_knn(similarity='euclidean')", "rsa(dissimilarity='euclidean')", "cka"])
def test_centering_is_refused_where_it_does_nothing(spec: str) -> None:
    with pytest.raises(InputError, match=r"centered=True does nothing with"):
        metric(with_centering(spec))
    with pytest.raises(InputError, match="centered"):
        metric(with_centering(spec).replace("True", "'yes'"))


@pytest.mark.parametrize(
    ("dtype", "offset", "similarity", "told"),
    [
        (np.float32, 1e8, "cosine", True),
        (np.float32, 1e6, "cosine", True),
        (np.float32, 1e8, "dot", True),
        (np.float64, 1e9, "cosine", True),
        (np.float64, 1e15, "dot", True),
        (np.float32, 1e3, "cosine", False),
        (np.float64, 1e5, "cosine", False),
        (np.float64, 1e9, "dot", False),
    ],
)
def test_an_offset_that_leaves_no_digits_is_noticed_by_neighbor_metrics(
    dtype: type, offset: float, similarity: str, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = pair(60)
    for spec in (f"mutual_knn(similarity={similarity!r})", f"information_imbalance(similarity={similarity!r})"):
        metric(spec)((x + offset).astype(dtype), y.astype(dtype))
        said = capsys.readouterr().err
        assert ("Center the features first" in said) == told, said


# ---- no score is infinite or NaN -----------------------------------------------------------------------------------


IN_THEIR_UNITS = {"hsic(estimator='unbiased')", "hsic(estimator='biased')", "hsic(estimator='lange')"}
"""Metrics whose scores grow with the fourth power of the features."""


def defined_at_any_scale() -> list[str]:
    x, y = pair(40)
    found = []
    for cls in REGISTRY.classes.values():
        for spec in cls.variants or (cls.name,):
            try:
                metric(spec)(x, y)
            except InputError:  # such as chun's estimator on little in common
                continue
            if "far scale" not in metric(spec).refuses:
                found.append(metric(spec).spec)
    return found


@pytest.mark.parametrize("size", [1e150, 1e160, 1e-160, 1e-300])
def test_no_metric_answers_with_infinity_or_nan(size: float) -> None:
    x, y = (size * a for a in pair(40))
    specs = defined_at_any_scale()
    assert len(specs) > 60
    for m in map(metric, specs):
        if m.spec in IN_THEIR_UNITS and size > 1:
            with pytest.raises(InputError, match="beyond what a float can hold"):
                m(x, y)
            continue
        assert np.isfinite(m(x, y)), m
        null = m.null(x, y, permutations=2)
        assert np.all(np.isfinite([null.mean, 0.0 if null.std is None else null.std])), m


def test_hsic_of_huge_features_is_refused_in_words() -> None:
    x, y = pair()
    for estimator, call in itertools.product(("unbiased", "biased", "lange"), ("__call__", "null")):
        with pytest.raises(InputError, match=r"beyond what a float can hold.*Divide the features"):
            getattr(metric(f"hsic(estimator={estimator!r})"), call)(1e160 * x, 1e160 * y)
    assert metric("hsic")(1e150 * x, 1e-150 * y) == pytest.approx(metric("hsic")(x, y), rel=1e-9)


def test_size_and_shape_has_no_largest_or_smallest_scale() -> None:
    x, y = pair()
    m = metric("procrustes_distance(kind='size_and_shape')")
    for size in (1e-160, 1e-145, 1e145, 1e160):
        assert m(size * x, size * y) / size == pytest.approx(m(x, y), rel=1e-12)


# ---- ties of float32 features after a rotation -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["binary", "one-hot"])
@pytest.mark.parametrize(
    "spec",
    [
        "mutual_knn",
        "mutual_knn(k=3, similarity='euclidean')",
        "jaccard_knn",
        "rank_similarity",
        "cycle_knn(k=2)",
        "edit_knn",
        "information_imbalance",
        "rsa(dissimilarity='euclidean')",
        "rsa(dissimilarity='euclidean', comparison='kendall')",
        "rsa(dissimilarity='cosine', comparison='rho_a')",
    ],
)
def test_ties_of_float32_features_survive_a_rotation(spec: str, kind: str) -> None:
    rng = np.random.default_rng(0)
    labels = [np.eye(size)[rng.integers(0, size, 60)] for size in (8, 5)]
    x = rng.choice([-1.0, 1.0], size=(60, 12)) if kind == "binary" else np.concatenate(labels, axis=1)
    y = x[:, :4] @ rng.standard_normal((4, 6)) + rng.standard_normal((60, 6))
    q = np.linalg.qr(rng.standard_normal((x.shape[1], x.shape[1])))[0].astype(np.float32)
    x = x.astype(np.float32)
    assert metric(spec)(x @ q, y) == pytest.approx(metric(spec)(x, y), abs=1e-9)


def test_values_that_are_many_are_not_taken_for_few() -> None:
    from isomorph._core.linalg import are_few_values

    rng = np.random.default_rng(0)
    tolerance = np.full(4000, 2e-6)
    few = np.sort(rng.integers(0, 30, 4000) + 1e-7 * rng.standard_normal(4000))
    assert are_few_values(few, tolerance)
    for many in (rng.random(4000), 1e-3 * rng.random(4000), np.concatenate([few[:2500], 1e-3 * rng.random(1500)])):
        assert not are_few_values(np.sort(many), tolerance)
