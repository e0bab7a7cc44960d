"""CKA and HSIC: values of the field, independent implementations, routes, nulls, and peers' mistakes."""

from __future__ import annotations

import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import stats
from threadpoolctl import threadpool_limits

from isomorph._core.memory import working_memory
from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.metrics._engines.kernels import products as _products
from isomorph.metrics._engines.kernels import triangles as _triangles
from isomorph.metrics.kernels import Cka, Hsic


def data(n: int = 40, d1: int = 6, d2: int = 9, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 3))
    return (
        z @ rng.standard_normal((3, d1)) + rng.standard_normal((n, d1)) + 1,
        np.tanh(z @ rng.standard_normal((3, d2))) + 0.5 * rng.standard_normal((n, d2)),
    )


def song(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741  # K and L are the field's names
    """Song et al. (2012), eq. 5, written out."""
    n = len(k)
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741  # as above
    one = np.ones(n)
    total = np.trace(k @ l) + one @ k @ one * (one @ l @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ l @ one)
    return float(total / (n * (n - 3)))


def gretton(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741  # K and L are the field's names
    n = len(k)
    h = np.eye(n) - 1 / n
    return float(np.trace(k @ h @ l @ h)) / (n - 1) ** 2


# ---- values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ("cka", 0.6362311402),
        ("unbiased_cka", 0.6362311402),
        ("biased_cka", 0.6513918225),
        ("cka-kernel=linear-hsic=song-score", 0.6362311402),
        ("cka-kernel=linear-hsic=gretton-score", 0.6513918225),
        ("cka-kernel=linear-hsic=lange-score", 0.6362956108),
    ],
)
def test_linear_cka_gives_the_fields_reference_values(reference: Any, spec: str, value: float) -> None:
    x, y = reference
    assert metric(spec)(x, y) == pytest.approx(value, abs=1e-10)
    assert metric(spec)(x.astype("f4"), y.astype("f4")) == pytest.approx(value, abs=1e-6)


def test_rbf_cka_gives_the_reference_values_of_both_medians(reference: Any) -> None:
    assert metric("cka(estimator='biased', kernel='rbf')")(*reference) == pytest.approx(0.6876125200, abs=1e-9)
    assert metric("cka(estimator='biased', kernel='rbf', median='all')")(*reference) == pytest.approx(
        0.6876666661, abs=1e-9
    )


def test_the_default_is_unbiased_and_says_so() -> None:
    assert metric("cka").spec == "cka(estimator='unbiased')"
    assert metric("cka") == Cka(estimator="unbiased", kernel="linear")


@pytest.mark.parametrize("kernel", ["linear", "cosine", "rbf", "polynomial"])
def test_hsic_and_cka_equal_their_formulas_on_scikit_learns_kernels(kernel: str) -> None:
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    x, y = data()

    def matrix(a: np.ndarray) -> np.ndarray:
        if kernel == "linear":
            return pairwise.linear_kernel(a)
        if kernel == "cosine":
            return pairwise.cosine_similarity(a)
        if kernel == "rbf":
            squared = pairwise.euclidean_distances(a, squared=True)
            return pairwise.rbf_kernel(a, gamma=1 / (2 * 0.7**2 * np.median(squared[np.triu_indices(len(a), 1)])))
        a = a - a.mean(0)
        return pairwise.polynomial_kernel(a / np.sqrt((a * a).sum(1).mean()), degree=2, gamma=1, coef0=0.5)

    k, l = matrix(x), matrix(y)  # noqa: E741  # K and L are the field's names
    for name, hsic in (("unbiased", song), ("biased", gretton)):
        own = {"rbf": {"bandwidth": 0.7}, "polynomial": {"degree": 2, "offset": 0.5}}.get(kernel, {})
        parameters = {"estimator": name, "kernel": kernel, **own}
        assert Hsic(**parameters)(x, y) == pytest.approx(hsic(k, l), rel=1e-10)
        expected = hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))
        assert Cka(**parameters)(x, y) == pytest.approx(expected, abs=1e-10)


# ---- other implementations --------------------------------------------------------------------------------------


@pytest.fixture
def ckatorch() -> Any:
    return pytest.importorskip("ckatorch.core"), pytest.importorskip("torch")


def test_cka_agrees_with_ckatorch(ckatorch: Any) -> None:
    core, torch = ckatorch
    x, y = data(41)  # an odd number of distances: torch.median takes the lower of two middle ones
    a, b = torch.tensor(x), torch.tensor(y)
    cases = {
        "biased_cka": core.cka_base(a, b),
        "unbiased_cka": core.cka_base(a, b, unbiased=True),
        "rbf_cka": core.cka_base(a, b, kernel="rbf"),
        "cka(kernel='rbf', bandwidth=0.4, median='all')": core.cka_base(
            a, b, kernel="rbf", threshold=0.4, unbiased=True
        ),
    }
    for spec, theirs in cases.items():
        assert metric(spec)(x, y) == pytest.approx(float(theirs), abs=1e-10), spec


def test_ckatorch_ignores_unbiased_when_asked_for_the_hsic_method(ckatorch: Any) -> None:
    core, torch = ckatorch
    x, y = data()
    theirs = float(core.cka_base(torch.tensor(x), torch.tensor(y), unbiased=True, method="hsic"))
    assert theirs == pytest.approx(metric("biased_cka")(x, y), abs=1e-10)
    assert abs(theirs - metric("unbiased_cka")(x, y)) > 1e-3


def test_biased_linear_cka_is_rsatoolboxs_cosine_cov_on_squared_distances() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peer's own deprecations
        rsatoolbox = pytest.importorskip("rsatoolbox")
        x, y = data()
        rdms = [rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(a), method="euclidean") for a in (x, y)]
        theirs = rsatoolbox.rdm.compare(*rdms, method="cosine_cov")
    assert metric("biased_cka")(x, y) == pytest.approx(float(theirs.item()), abs=1e-8)


def test_biased_linear_cka_is_pcmpys_on_centred_second_moments() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peer's own deprecations
        util = pytest.importorskip("PcmPy.util")
    x, y = (a - a.mean(0) for a in data())
    assert metric("biased_cka")(x, y) == pytest.approx(float(util.CKA(x @ x.T, y @ y.T)), abs=1e-10)


def test_unbiased_cka_is_the_bias_corrected_distance_correlation_of_squared_distances() -> None:
    # Székely and Rizzo (2014): U-centred squared distances are -2 times U-centred inner products
    x, y = data()
    u = [_ucentered_by_loops(((a[:, None] - a[None]) ** 2).sum(-1)) for a in (x, y)]
    expected = (u[0] * u[1]).sum() / np.sqrt((u[0] ** 2).sum() * (u[1] ** 2).sum())
    assert metric("unbiased_cka")(x, y) == pytest.approx(expected, abs=1e-12)


def _ucentered_by_loops(a: np.ndarray) -> np.ndarray:
    n = len(a)
    out = np.zeros_like(a)
    for i in range(n):
        for j in range(n):
            if i != j:
                out[i, j] = a[i, j] - a[i].sum() / (n - 2) - a[:, j].sum() / (n - 2) + a.sum() / ((n - 1) * (n - 2))
    return out


# ---- what peers get wrong ------------------------------------------------------------------------------------------


def test_platonic_reps_constant_in_the_denominator_destroys_normalised_anisotropic_features() -> None:
    rng = np.random.default_rng(0)
    n, mean = 120, np.ones(24) * 3
    z = rng.standard_normal((n, 5))
    x = mean + 0.02 * (z @ rng.standard_normal((5, 24)))
    y = mean + 0.02 * (z @ rng.standard_normal((5, 24)))
    x, y = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (x, y))
    k, l = x @ x.T, y @ y.T  # noqa: E741  # K and L are the field's names
    right = song(k, l) / np.sqrt(song(k, k) * song(l, l))
    theirs = song(k, l) / (np.sqrt(song(k, k) * song(l, l)) + 1e-6)
    assert right > 0.5
    assert theirs < 0.1 * right
    assert metric("unbiased_cka")(x, y) == pytest.approx(right, abs=1e-7)
    assert metric("unbiased_cka")(x.astype("f4"), y.astype("f4")) == pytest.approx(right, abs=1e-4)


def test_net2brain_z_scores_features_first(reference: Any) -> None:
    scored = [(a - a.mean(0)) / a.std(0) for a in reference]
    assert metric("biased_cka")(*scored) == pytest.approx(0.6716545390, abs=1e-9)


def test_subtracting_a_diagonal_vector_broadcasts_and_gives_another_number() -> None:
    # `K - torch.diag(K)` subtracts the vector of diagonal entries from every row
    x, _ = data()
    k = x @ x.T
    wrong = k - np.diag(k)
    one = np.ones(len(k))
    n = len(k)
    value = (
        np.trace(wrong @ wrong)
        + (one @ wrong @ one) ** 2 / ((n - 1) * (n - 2))
        - 2 / (n - 2) * one @ wrong @ wrong @ one
    )
    assert abs(value / (n * (n - 3)) - song(k, k)) > 0.05 * song(k, k)
    assert metric("unbiased_cka")(x, x) == pytest.approx(1, abs=1e-12)


def test_uncentred_float32_products_lose_the_answer_that_centred_ones_keep() -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((200, 30)).astype("f4") + np.float32(1e3) for _ in range(2))
    exact = metric("unbiased_cka")(x.astype("f8"), y.astype("f8"))
    k, l = x @ x.T, y @ y.T  # noqa: E741  # K and L are the field's names
    with np.errstate(invalid="ignore"):
        naive = np.float64(song(k, l)) / np.sqrt(np.float64(song(k, k) * song(l, l)))
    assert not abs(naive - exact) < 0.01
    assert metric("unbiased_cka")(x, y) == pytest.approx(exact, abs=1e-6)


# ---- routes, blocks, memory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["unbiased", "biased", "lange"])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_the_kernel_and_the_covariance_route_agree(estimator: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = (a.astype(dtype) for a in data(60, 11, 5))
    scores = []
    for strips in (True, False):
        monkeypatch.setattr(_products, "_strips_are_cheaper", lambda *_, s=strips: s)
        scores.append(Cka(estimator=estimator)(x, y))
    assert scores[0] == pytest.approx(scores[1], abs=1e-12 if dtype == "f8" else 1e-6)


def test_the_route_is_chosen_by_cost() -> None:
    wide, tall = Cka().prepare(data(40, 300, 300)[0]), Cka().prepare(data(400, 4, 4)[0])
    assert _products._strips_are_cheaper([wide], [wide])
    assert not _products._strips_are_cheaper([tall], [tall])


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("spec", ["unbiased_cka", "biased_cka", "cka(estimator='lange')", "cka(kernel='rbf')"])
def test_the_size_of_the_blocks_does_not_change_the_score(
    spec: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = np.asarray if library == "numpy" else pytest.importorskip("torch").asarray
    x, y = (make(a) for a in data(150, 200, 160))
    whole = metric(spec)(x, y)
    monkeypatch.setattr(_products, "STRIP_BYTES", 150 * 8 * 2 * 7)
    for module in (_products, _triangles):
        monkeypatch.setattr(module, "CHUNK", 13)
    for size in (1, 150 * 8 * 2 * 7, 150 * 8 * 2 * 90):  # tiles of one row; of seven; a table of some tiles
        monkeypatch.setattr(_triangles, "TABLE_BYTES", size)
        assert float(metric(spec)(x, y)) == pytest.approx(float(whole), abs=1e-13)


@pytest.mark.parametrize("spec", ["unbiased_cka", "biased_cka", "hsic(estimator='lange')", "cka(kernel='rbf')"])
@pytest.mark.parametrize("threads", [1, 2])
def test_layers_that_are_on_both_sides_in_any_order_score_as_each_pair_alone(spec: str, threads: int) -> None:
    m, layers = metric(spec), [a for seed in (0, 1, 2) for a in data(140, 150, 160, seed=seed)]
    states = [m.prepare(x) for x in layers]
    with threadpool_limits(threads, user_api="blas"):
        for at_x, at_y in (([0, 1, 2], [2, 5, 5, 0]), ([3, 1], [1, 3]), ([4, 4], [0]), ([1], [0, 2, 3, 4, 5])):
            found = m.compare([states[i] for i in at_x], [states[j] for j in at_y])
            np.testing.assert_allclose(found, [[m(layers[i], layers[j]) for j in at_y] for i in at_x], rtol=1e-9)


def test_an_atlas_compared_with_itself_is_symmetric() -> None:
    m = metric("cka")
    states = [m.prepare(a.astype("f4")) for seed in (0, 1, 2) for a in data(140, 150, 160, seed=seed)]
    found = m.compare(states, states)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(np.diagonal(found), 1.0, rtol=1e-12)


def test_single_precision_costs_an_atlas_and_its_permutations_less_than_a_millionth() -> None:
    m, n = metric("cka"), 1024
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((n, 4))
    layers = [shared @ rng.standard_normal((4, 24)) + c * rng.standard_normal((n, 24)) + 1 for c in (0.5, 1, 4)]
    layers[1][7] *= 30
    order = np.arange(n)
    order[:40] = rng.permutation(40)  # a re-pairing that keeps the scores high
    wide, narrow = ([m.prepare(x.astype("f4").astype(d)) for x in layers] for d in ("f8", "f4"))
    np.testing.assert_allclose(m.compare(narrow, narrow), m.compare(wide, wide), rtol=0, atol=1e-6)
    found, exact = (next(m.compare_permuted(s, s, order[None])) for s in (narrow, wide))
    assert exact.max() > 0.5
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-6)


def test_triangles_keep_to_the_working_memory() -> None:
    n, m = 1500, metric("cka")
    states = [m.prepare(np.random.default_rng(i).standard_normal((n, 300), dtype=np.float32)) for i in range(12)]
    m.compare(states, states)  # what the layers keep
    with working_memory("40MB"):
        tracemalloc.start()
        found = m.compare(states, states)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 40e6 < 12 * n * n * 4 / 2  # in which the triangles do not fit
    np.testing.assert_allclose(found, m.compare(states, states), atol=1e-8)


def test_no_kernel_matrix_is_held_for_many_items() -> None:
    n = 6000
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, 6)), rng.standard_normal((n, 5))
    tracemalloc.start()
    metric("unbiased_cka")(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * n * 8 / 40


def test_layers_of_mixed_precision_are_compared_in_the_wider_one() -> None:
    x, y = data()
    m = metric("cka")
    mixed = m.compare([m.prepare(x.astype("f4"))], [m.prepare(y)])[0, 0]
    assert mixed == pytest.approx(m(x.astype("f4").astype("f8"), y), abs=1e-7)


@pytest.mark.parametrize("spec", ["unbiased_cka", "biased_cka", "cka(kernel='rbf')"])
def test_permutations_of_several_layers_are_those_of_each_pair(spec: str) -> None:
    m, layers = metric(spec), [a for seed in (0, 1, 2) for a in data(70, 9, 5, seed=seed)]
    states, layers[5] = [m.prepare(x) for x in layers], layers[5].astype("f4")
    states[5] = m.prepare(layers[5])  # one in single precision among others
    orders = np.stack([np.random.default_rng(i).permutation(70) for i in range(3)])
    for at_x, at_y in (([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]), ([0, 5, 2], [1, 0]), ([2], [3, 4, 5])):
        found = m.compare_permuted([states[i] for i in at_x], [states[j] for j in at_y], orders)
        for scores, order in zip(found, orders, strict=True):
            wanted = [[m(layers[i], layers[j][order]) for j in at_y] for i in at_x]
            np.testing.assert_allclose(scores, wanted, atol=1e-7)


@pytest.mark.parametrize("spec", ["unbiased_cka", "biased_cka", "cka(kernel='rbf')", "hsic"])
def test_many_permutations_share_products_and_equal_single_ones(spec: str) -> None:
    x, y = data(30)
    m = metric(spec)
    orders = np.stack([np.random.default_rng(i).permutation(30) for i in range(70)])
    found = [float(s[0, 0]) for s in m.compare_permuted([m.prepare(x)], [m.prepare(y)], orders)]
    np.testing.assert_allclose(found, [m(x, y[p]) for p in orders], atol=1e-12, rtol=1e-10)


def test_permutations_of_kernels_that_do_not_fit_are_computed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data(30)
    m = metric("cka")
    monkeypatch.setattr("isomorph.metrics._engines.kernels.triangles.PAIR_BYTES", 100)
    orders = np.stack([np.random.default_rng(i).permutation(30) for i in range(3)])
    found = [float(s[0, 0]) for s in m.compare_permuted([m.prepare(x)], [m.prepare(y)], orders)]
    np.testing.assert_allclose(found, [m(x, y[p]) for p in orders], atol=1e-12)


# ---- precision and refusals --------------------------------------------------------------------------------------


def test_one_far_item_costs_float32_no_digits() -> None:
    x, y = data(80, 20, 20)
    x[0] += 1e5
    x, y = x.astype("f4"), y.astype("f4")
    exact = metric("unbiased_cka")(x.astype("f8"), y.astype("f8"))
    assert metric("unbiased_cka")(x, y) == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_items_that_are_all_alike_have_no_unbiased_cka(dtype: str) -> None:
    _, y = data(30)
    for x in (np.eye(30), np.eye(31)[:30] * 1e3 - 7):
        with pytest.raises(InputError, match="equally similar"):
            metric("unbiased_cka")(x.astype(dtype), y.astype(dtype))


@pytest.mark.parametrize("spec", ["cka", "biased_cka", "hsic", "rbf_cka", "cka(kernel='polynomial')"])
def test_constant_features_are_refused(spec: str) -> None:
    _, y = data()
    with pytest.raises(InputError, match="constant"):
        metric(spec)(np.full((40, 5), 0.1), y)


def test_fewer_than_four_items_are_refused() -> None:
    x, y = data(3)
    with pytest.raises(InputError, match="at least 4"):
        metric("cka")(x, y)
    assert metric("biased_cka")(x, y) > 0


def test_an_rbf_kernel_of_mostly_duplicates_is_refused() -> None:
    x, y = data()
    x[:35] = x[0]
    with pytest.raises(InputError, match="median distance between items is zero"):
        metric("rbf_cka")(x, y)


@pytest.mark.parametrize("spec", ["cka(kernel='rbf', bandwidth=0.01)", "hsic(kernel='rbf', median=None)"])
def test_an_rbf_kernel_that_is_the_identity_is_refused(spec: str) -> None:
    x, y = data()
    with pytest.raises(InputError, match="identity matrix"):
        metric(spec)(30 * x, 30 * y)


def test_states_of_different_items_are_not_compared() -> None:
    m = metric("cka")
    with pytest.raises(InputError, match="same items"):
        m.compare([m.prepare(data(30)[0])], [m.prepare(data(31)[1])])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cka(estimator='debiased')", "estimator='debiased'"),
        ("cka(kernel='laplace')", "kernel='laplace'"),
        ("cka(kernel='rbf', median='mean')", "median='mean'"),
        ("cka(kernel='rbf', bandwidth=0)", "bandwidth=0"),
        ("cka(kernel='polynomial', degree=0)", "degree=0"),
        ("cka(kernel='polynomial', degree=1.5)", r"degree=1\.5"),
        ("cka(kernel='polynomial', offset=-1)", "offset=-1"),
        ("cka(estimator='chun', kernel='rbf')", "chun"),
        ("hsic(estimator='chun')", "estimator='chun'"),
        ("cka(bandwidth=2)", "bandwidth=2 does nothing with the linear kernel"),
        ("cka(kernel='polynomial', median=None)", "median=None does nothing with the polynomial kernel"),
        ("hsic(kernel='rbf', degree=2)", "degree=2 does nothing with the rbf kernel"),
        ("cka(kernel='cosine', offset=0)", "offset=0 does nothing with the cosine kernel"),
    ],
)
def test_a_parameter_that_does_not_fit_is_named(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        metric(spec)


# ---- estimators ---------------------------------------------------------------------------------------------------


def test_biased_cka_of_noise_is_far_from_zero_and_unbiased_is_not() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((256, 192)), rng.standard_normal((256, 192))
    assert metric("biased_cka")(x, y) == pytest.approx(0.43, abs=0.01)
    assert abs(metric("unbiased_cka")(x, y)) < 0.02


def test_the_row_and_column_correction_recovers_the_score_that_few_features_hide() -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((300, 12)) * np.geomspace(3, 0.5, 12)
    few = [[z @ rng.standard_normal((12, 20)) for _ in range(2)] for _ in range(20)]  # two samples of one population
    unbiased, chun = (np.mean([metric(f"cka(estimator={e!r})")(x, y) for x, y in few]) for e in ("unbiased", "chun"))
    assert unbiased < 0.93
    assert chun == pytest.approx(1, abs=0.02)


def test_the_row_and_column_correction_equals_its_definition() -> None:
    # self terms over pairs of different features only: sum over c != c' of HSIC(x_c, x_c'), times d^2 / (d (d - 1))
    x, y = data(12, 4, 3)

    def self_term(a: np.ndarray) -> float:
        d = a.shape[1]
        grams = [np.outer(a[:, c], a[:, c]) for c in range(d)]
        return sum(song(grams[c], grams[e]) for c in range(d) for e in range(d) if c != e) * d / (d - 1)

    expected = song(x @ x.T, y @ y.T) / np.sqrt(self_term(x) * self_term(y))
    assert metric("cka(estimator='chun')")(x, y) == pytest.approx(expected, rel=1e-10)


def test_the_row_and_column_correction_refuses_what_it_cannot_answer() -> None:
    x, y = data(12, 4, 3)
    with pytest.raises(InputError, match="at least 2 features"):
        metric("cka(estimator='chun')")(x[:, :1], y)
    features = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 8)))[0]
    with pytest.raises(InputError, match="not positive"):
        metric("cka(estimator='chun')")(features, y)


# ---- nulls ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["unbiased_cka", "cka(kernel='rbf')", "cka(kernel='cosine')"])
def test_the_null_of_unbiased_cka_has_mean_zero_and_a_variance_that_depends_on_n_alone(spec: str) -> None:
    x, y = data(40)
    null = metric(spec).null(x**3, y)
    assert null.exact
    assert null.mean == pytest.approx(0, abs=1e-15)
    assert null.std**2 == pytest.approx(2 / (40 * 37), rel=1e-9)


def test_the_null_mean_of_biased_cka_is_that_of_the_rv_coefficient() -> None:
    # Kazi-Aoual et al. (1995): E[RV] = sqrt(b_x b_y) / (n - 1), b = tr(K)^2 / tr(K^2) of the centred kernel
    x, y = (a - a.mean(0) for a in data(40))
    b = [np.trace(a @ a.T) ** 2 / np.sum((a @ a.T) ** 2) for a in (x, y)]
    assert metric("biased_cka").null(x, y).mean == pytest.approx(np.sqrt(b[0] * b[1]) / 39, rel=1e-12)


@pytest.mark.parametrize("spec", ["unbiased_cka", "biased_cka", "cka(estimator='lange')", "hsic(kernel='rbf')"])
def test_exact_moments_equal_sampled_ones(spec: str) -> None:
    x, y = data(36)
    m = metric(spec)
    state_x, state_y = m.prepare(x), m.prepare(y)
    rng = np.random.default_rng(1)
    orders = np.stack([rng.permutation(36) for _ in range(6000)])
    sample = np.array([s[0, 0] for s in m.compare_permuted([state_x], [state_y], orders)])
    null = m.null(x, y)
    assert sample.mean() == pytest.approx(null.mean, abs=5 * null.std / 6000**0.5)
    assert sample.std() == pytest.approx(null.std, rel=0.05)
    assert stats.skew(sample) == pytest.approx(null.skewness, abs=0.2)


def test_the_pearson_tail_rejects_at_its_nominal_rate() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((64, 12)) ** 3, rng.standard_normal((64, 8))
    m = metric("unbiased_cka")
    orders = np.stack([rng.permutation(64) for _ in range(8000)])
    scores = np.array([s[0, 0] for s in m.compare_permuted([m.prepare(x)], [m.prepare(y)], orders)])
    p = m.null(x, y).p_value(scores)
    for level in (0.05, 0.01):
        assert 0.6 * level < np.mean(p <= level) < 1.4 * level


def test_float32_moments_are_close_to_float64() -> None:
    x, y = data(60)
    for spec in ("unbiased_cka", "biased_cka"):
        wide, narrow = metric(spec).null(x, y), metric(spec).null(x.astype("f4"), y.astype("f4"))
        assert narrow.mean == pytest.approx(wide.mean, abs=1e-6)
        assert narrow.std == pytest.approx(wide.std, rel=1e-5)
        assert narrow.skewness == pytest.approx(wide.skewness, abs=1e-4)


@pytest.mark.parametrize("library", ["torch", "jax.numpy", "array_api_strict"])
@pytest.mark.parametrize("spec", ["unbiased_cka", "biased_cka", "hsic(kernel='rbf')"])
def test_nulls_and_permutations_agree_in_every_library(library: str, spec: str) -> None:
    module, m = pytest.importorskip(library), metric(spec)
    x, y = data(30)
    there = [m.prepare(module.asarray(a)) for a in (x, y)]
    here = [m.prepare(a) for a in (x, y)]
    orders = np.stack([np.random.default_rng(i).permutation(30) for i in range(3)])
    found, expected = (
        [float(s[0, 0]) for s in m.compare_permuted(states[:1], states[1:], orders)] for states in (there, here)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    one, other = m.null(module.asarray(x), module.asarray(y)), m.null(x, y)
    np.testing.assert_allclose([one.mean, one.std, one.skewness], [other.mean, other.std, other.skewness], atol=1e-10)


@pytest.mark.parametrize("parameter", ["bandwidth", "offset"])
@pytest.mark.parametrize("bad", ["'a'", "[1, 2]", "None", "True", "-1"])
def test_kernel_parameters_are_numbers(parameter: str, bad: str) -> None:
    with pytest.raises(InputError, match=f"{parameter}=.* must be a"):
        metric(f"cka(kernel='rbf', {parameter}={bad})")
