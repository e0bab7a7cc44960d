"""What other tools compute on one and the same data: their variants and their mistakes, each beside our value.

Every test reproduces a peer's number by a few lines of its formula and says which it is: the definition (ours equals
it), a variant (another definition that some name also means) or a mistake. The peers' plain values stand with their
metrics: linear and minibatch CKA and z-scored features in `test_kernels.py`, CCA, SVCCA and PWCCA in
`test_canonical.py`, neighbours in `test_neighbors.py`, Procrustes in `test_shape.py`, RDMs in `test_rdm.py`,
calibration in `tests/significance`. PyPI's repsim 0.1.5 compiles C++ when it is installed, so no environment of ours
asks for it; its values were taken by running it (all of them again for this test, to the digits given).
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import linalg, stats
from scipy.spatial.distance import pdist, squareform

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.metrics.rdm import compare_rdms

Floats = np.ndarray
Pair = tuple[Floats, Floats]


def noise(n: int, d: int = 6, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, d))


def centered(a: Floats) -> Floats:
    return a - a.mean(axis=0)


def unit(a: Floats) -> Floats:
    return a / np.linalg.norm(a, axis=1, keepdims=True)


def gretton(k: Floats, other: Floats) -> float:
    h = np.eye(len(k)) - 1 / len(k)
    return float(np.trace(k @ h @ other @ h)) / (len(k) - 1) ** 2


def song(k: Floats, other: Floats) -> float:
    n = len(k)
    a, b = (m - np.diag(np.diag(m)) for m in (k, other))
    total = np.trace(a @ b) + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * a.sum(axis=0) @ b.sum(axis=1)
    return float(total / (n * (n - 3)))


def lange(k: Floats, other: Floats) -> float:
    h = np.eye(len(k)) - 1 / len(k)
    a, b = (h @ m @ h for m in (k, other))
    return float(np.sum(a * b) - np.diag(a) @ np.diag(b)) / (len(k) * (len(k) - 3))


def aligned(hsic: object, k: Floats, other: Floats, own: object = None) -> float:
    own = own or hsic
    return hsic(k, other) / math.sqrt(own(k, k) * own(other, other))  # type: ignore[operator]  # both are functions


def squared(a: Floats) -> Floats:
    return squareform(pdist(a, "sqeuclidean"))


# ---- kernels -----------------------------------------------------------------------------------------------


def test_mistake_of_platonic_rep_a_constant_in_the_denominator_of_unbiased_cka(reference: Pair) -> None:
    k, other = (a @ a.T for a in reference)
    theirs = song(k, other) / (math.sqrt(song(k, k) * song(other, other)) + 1e-6)
    assert theirs == pytest.approx(0.6362311397, abs=1e-10)
    assert metric("unbiased_cka")(*reference) == pytest.approx(0.6362311402, abs=1e-10)
    # little here, but 1e-5 on rows of unit norm, and everything where those are anisotropic (see test_kernels.py)
    k, other = (unit(a) @ unit(a).T for a in reference)
    theirs = song(k, other) / (math.sqrt(song(k, k) * song(other, other)) + 1e-6)
    assert theirs == pytest.approx(0.6700599303, abs=1e-10)
    assert metric("cka(kernel='cosine')")(*reference) == pytest.approx(0.6700730596, abs=1e-10)


@pytest.mark.parametrize(
    ("estimator", "value", "ours"),
    [(song, 0.5976188554, "cka(estimator='unbiased')"), (lange, 0.5979100440, "cka(estimator='lange')")],
)
def test_mistake_of_repsim_on_pypi_debiased_over_biased(
    reference: Pair, estimator: object, value: float, ours: str
) -> None:
    k, other = (a @ a.T for a in reference)
    assert aligned(estimator, k, other, gretton) == pytest.approx(value, abs=1e-9)
    assert metric(ours)(*reference) == pytest.approx(aligned(estimator, k, other), abs=1e-10)
    assert metric(ours)(*reference) - value > 0.038


def test_repsim_on_pypi_agrees_where_nothing_is_debiased(reference: Pair) -> None:
    values = {
        "biased_cka": 0.6513918225418014,
        "cka(estimator='biased', kernel='rbf')": 0.687612520031876,
        "hsic(estimator='biased')": 868.1018783164459,
        "hsic(estimator='unbiased')": 796.4393057442111,
        "hsic(estimator='lange')": 796.8273691669818,
        "cca": 0.5711491180537671,
        "cca-squared_score": 0.4044103629984527,
        "pwcca(weights='mean')": 0.75009256,
    }
    for spec, value in values.items():
        assert metric(spec)(*reference) == pytest.approx(value, rel=1e-8), spec


def test_variants_of_the_rbf_bandwidth(reference: Pair) -> None:
    distances = [squared(a) for a in reference]
    pairs = np.triu_indices(200, 1)

    def score(denominators: list[object]) -> float:
        return aligned(gretton, *(np.exp(-d / s) for d, s in zip(distances, denominators, strict=True)))

    # thingsvision, latentis and brain-score without a sigma, and repsim's rbf: the median over different items
    median = score([2 * np.median(d[pairs]) for d in distances])
    assert median == pytest.approx(0.6876125200, abs=1e-10)
    assert metric("cka(estimator='biased', kernel='rbf')")(*reference) == pytest.approx(median, abs=1e-10)
    # google-research, ckatorch and Aristotelian: the zeros of the diagonal count too …
    every = score([2 * np.median(d) for d in distances])
    assert every == pytest.approx(0.6876666661, abs=1e-10)
    assert metric("rbf_cka")(*reference) == pytest.approx(every, abs=1e-10)
    # … and of an even number torch.median takes the lower middle one: 0.6876668 in their single precision
    lower = score([2 * np.sort(d, axis=None)[200 * 200 // 2 - 1] for d in distances])
    assert lower == pytest.approx(0.6876669079, abs=1e-10)
    # repsim's rbf_mean (over the mean square, without the 2) and rbf_dualmed (a median for each item)
    assert score([np.mean(d[pairs]) for d in distances]) == pytest.approx(0.6995864368, abs=1e-9)
    own = [np.median(np.sqrt(d[~np.eye(200, dtype=bool)]).reshape(200, 199), axis=1) for d in distances]
    assert score([2 * np.outer(m, m) for m in own]) == pytest.approx(0.6928135735, abs=1e-9)


def test_mistake_of_a_fixed_sigma_of_one_scores_1_for_anything_so_we_refuse(reference: Pair) -> None:
    # the default of thingsvision and platonic-rep
    k, other = (np.exp(-squared(a) / 2) for a in reference)
    assert aligned(gretton, k, other) == pytest.approx(1, abs=1e-10)
    assert np.abs(k - np.eye(200)).max() < 1e-10
    for estimator in ("gretton", "song", "lange"):
        with pytest.raises(InputError, match="identity matrix"):
            metric(f"cka-kernel=(rbf-sigma=1.0)-hsic={estimator}-score")(*reference)


@pytest.mark.parametrize(("estimator", "hsic"), [("gretton", gretton), ("song", song), ("lange", lange)])
def test_variant_of_similarity_repository_an_absolute_sigma(reference: Pair, estimator: str, hsic: object) -> None:
    x, y = (unit(a) for a in reference)  # where a sigma of one is a sensible choice
    expected = aligned(hsic, *(np.exp(-squared(a) / 2) for a in (x, y)))
    assert metric(f"cka-kernel=(rbf-sigma=1.0)-hsic={estimator}-score")(x, y) == pytest.approx(expected, abs=1e-10)
    ours = {"gretton": "biased", "song": "unbiased", "lange": "lange"}[estimator]
    wide = metric(f"cka(estimator={ours!r}, kernel='rbf', bandwidth=1e9, median=None)")(*reference)
    assert wide == pytest.approx(metric(f"cka(estimator={ours!r})")(*reference), abs=1e-12)  # the limit, all digits


def test_biased_cka_of_noise_is_what_was_measured() -> None:
    for n, d, value in ((1024, 768, 0.43), (1024, 4096, 0.80), (256, 4096, 0.94)):
        assert metric("biased_cka").chance_level(n, d, d) == pytest.approx(value, abs=0.005)


# ---- canonical -----------------------------------------------------------------------------------------------


def correlations(x: Floats, y: Floats) -> Floats:
    bases = (np.linalg.svd(centered(a), full_matrices=False)[0] for a in (x, y))
    return np.linalg.svd(next(bases).T @ next(bases), compute_uv=False)


def test_what_repsim_calls_pillai_is_the_mean_correlation_not_pillais_trace(reference: Pair) -> None:
    rho = correlations(*reference)
    assert np.sum(rho**2) == pytest.approx(12.9411316160, abs=1e-9)  # Pillai's trace
    assert metric("cca")(*reference) == pytest.approx(rho.mean(), abs=1e-12)


def test_mistake_of_repsim_on_pypi_svcca_whitens_before_it_truncates(reference: Pair) -> None:
    # an orthonormal basis of the uncentred layer has no variance left to rank axes by: only the mean's axis goes
    bases = []
    for a in reference:
        u, s, _ = np.linalg.svd(centered(np.linalg.svd(a, full_matrices=False)[0]), full_matrices=False)
        bases.append(u[:, : int(np.sum(np.cumsum(s**2) / np.sum(s**2) < 0.99)) + 1])
    assert [b.shape[1] for b in bases] == [31, 47]
    rho = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    assert np.sum(rho**2) / 32 == pytest.approx(0.3940851557, abs=1e-9)  # over the number before truncation
    assert np.sum(rho) / 32 == pytest.approx(0.5553271748, abs=1e-9)
    axes = [np.linalg.svd(centered(a), full_matrices=False)[0][:, :k] for a, k in zip(reference, (22, 45), strict=True)]
    right = np.linalg.svd(axes[0].T @ axes[1], compute_uv=False)  # 0.4945 and 0.6478
    assert metric("svcca-var=0.99-squared_score")(*reference) == pytest.approx(np.mean(right**2), abs=1e-10)
    assert metric("svcca-var=0.99-score")(*reference) == pytest.approx(np.mean(right), abs=1e-10)
    assert [np.mean(right**2), np.mean(right)] == pytest.approx([0.4945, 0.6478], abs=5e-5)


def test_variant_of_platonic_universe_a_ridge_in_svcca(reference: Pair) -> None:
    parts = []
    for a, k in zip(reference, (22, 45), strict=True):  # the axes that hold 99 % of the variance
        u, s, _ = np.linalg.svd(centered(a), full_matrices=False)
        parts.append(u[:, :k] * s[:k])

    def whitened(p: Floats) -> Floats:
        w, v = np.linalg.eigh(p.T @ p / 199 + 1e-8 * np.eye(p.shape[1]))
        return p @ (v / np.sqrt(w) @ v.T)

    rho = np.linalg.svd(whitened(parts[0]).T @ whitened(parts[1]) / 199, compute_uv=False)
    assert rho.mean() == pytest.approx(0.6477697031, abs=1e-10)
    assert metric("svcca")(*reference) == pytest.approx(rho.mean(), abs=1e-8)


def test_mistake_of_platonic_rep_svcca_changes_from_call_to_call(reference: Pair) -> None:
    torch = pytest.importorskip("torch")
    cross_decomposition = pytest.importorskip("sklearn.cross_decomposition")

    def theirs(seed: int) -> float:  # ten left singular vectors by a random method, and CCA by iteration
        torch.manual_seed(seed)
        scored = [torch.tensor((a - a.mean(axis=0)) / a.std(axis=0, ddof=1), dtype=torch.float32) for a in reference]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the iteration need not converge
            u, v = cross_decomposition.CCA(10).fit_transform(*(torch.svd_lowrank(t, q=10)[0].numpy() for t in scored))
        return float(np.mean([np.corrcoef(u[:, i], v[:, i])[0, 1] for i in range(10)]))

    values = [theirs(seed) for seed in range(4)]
    assert np.ptp(values) > 0.02
    assert 0.8 < min(values) < max(values) < 0.9  # 0.8375, 0.8875 and 0.8881 were seen
    scored = [(a - a.mean(axis=0)) / a.std(axis=0) for a in reference]
    assert metric("svcca(count=10)")(*scored) == pytest.approx(0.8958422913, abs=1e-9)  # what it aims at


def test_variant_of_deep_reps_svcca_divided_by_the_number_of_features(reference: Pair) -> None:
    score = metric("svcca")(*reference)
    assert score * 22 / 32 == pytest.approx(0.4453416757, abs=1e-9)  # 22 correlations over 32 features


def test_mistake_of_google_svcca_indexes_one_layer_with_the_mask_of_the_other(reference: Pair) -> None:
    x, y = reference
    x_kept, y_kept = (np.ones(a.shape[1], dtype=bool) for a in (y, x))  # d1 > d2, so that the second branch is taken
    layers, masks = (y.T, x.T), (x_kept, y_kept)
    assert np.sum(masks[0]) > np.sum(masks[1])
    with pytest.raises(IndexError):
        _ = layers[0][masks[1]]
    assert metric("pwcca(weights='x')")(y, x) == pytest.approx(metric("pwcca(weights='y')")(x, y), abs=1e-12)


def test_mistake_of_aristotelian_pwcca_weighs_variates_by_sums_that_are_nearly_constant(reference: Pair) -> None:
    x, y = (centered(a) for a in reference)

    def inverse_root(a: Floats) -> Floats:
        w, v = np.linalg.eigh(a.T @ a / 199 + 1e-6 * np.eye(a.shape[1]))
        return v / np.sqrt(w) @ v.T

    u, rho, _ = np.linalg.svd(inverse_root(x) @ (x.T @ y / 199) @ inverse_root(y), full_matrices=False)
    weights = np.abs(x @ inverse_root(x) @ u).sum(axis=0)
    assert np.average(rho, weights=weights) == pytest.approx(0.5711462433, abs=1e-9)  # 0.5711464 in its float32
    assert rho.mean() == pytest.approx(0.5711481578, abs=1e-9)  # its cca: 0.5711484
    assert metric("pwcca(weights='x')")(*reference) == pytest.approx(0.7868591157, abs=1e-9)


def test_mistake_of_naive_cca_is_1_where_there_are_not_more_items_than_features(reference: Pair) -> None:
    x, y = (a[:30] for a in reference)
    q = [np.linalg.qr(centered(a))[0] for a in (x, y)]
    assert np.linalg.svd(q[0].T @ q[1], compute_uv=False)[:29] == pytest.approx(np.ones(29), abs=1e-9)
    with pytest.raises(InputError, match="every canonical correlation is 1"):
        metric("cca")(x, y)


def test_tied_correlations_weigh_what_they_do_in_the_mean_over_rotations_of_their_variates() -> None:
    rng = np.random.default_rng(0)
    q = np.linalg.qr(centered(rng.standard_normal((50, 8))))[0]
    x = q[:, :4] @ np.diag([3.0, 2.0, 1.0, 0.5]) @ rng.standard_normal((4, 6))
    y = np.concatenate([q[:, :3], q[:, 3:4] + q[:, 5:6]], axis=1)  # three correlations of 1, one of 1 / √2
    found = metric("pwcca(weights='x')")(x, y)
    weights = np.zeros(4)
    for seed in range(4000):
        turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
        weights += np.abs(np.concatenate([q[:, :3] @ turn, q[:, 3:4]], axis=1).T @ x).sum(axis=1) / 4000
    assert found == pytest.approx(np.average([1, 1, 1, 1 / math.sqrt(2)], weights=weights), abs=2e-3)
    order = rng.permutation(50)
    assert metric("pwcca(weights='x')")(x[order], y[order]) == pytest.approx(found, abs=1e-9)


def test_axes_of_the_same_variance_are_not_parted_by_chance() -> None:
    labels = np.eye(4)[np.arange(40) % 4]  # three axes that hold the same
    with pytest.raises(InputError, match="axes 1 and 2 hold the same variance"):
        metric("svcca(count=1)")(labels, noise(40))
    assert 0 < metric("svcca(count=3)")(labels, noise(40)) < 1


# ---- neighbours ----------------------------------------------------------------------------------------------


def overlap(similarities: list[Floats], k: int = 10) -> float:
    near = [np.argsort(-s, axis=1, kind="stable")[:, :k] for s in similarities]
    return float(np.mean([len({*a} & {*b}) / k for a, b in zip(*near, strict=True)]))


def without_self(s: Floats) -> Floats:
    return np.where(np.eye(len(s), dtype=bool), -np.inf, s)


def test_variant_of_platonic_rep_raw_inner_products_unless_rows_are_normalised_first(reference: Pair) -> None:
    # similarity-repository hands raw features on, so its mutual_knn-topk=10 is this one
    assert overlap([without_self(a @ a.T) for a in reference]) == pytest.approx(0.307, abs=1e-12)
    assert metric("mutual_knn(k=10, similarity='dot')")(*reference) == pytest.approx(0.307, abs=1e-12)
    assert overlap([without_self(unit(a) @ unit(a).T) for a in reference]) == pytest.approx(0.386, abs=1e-12)
    assert metric("mutual_knn(k=10)")(*reference) == pytest.approx(0.386, abs=1e-12)


def test_cycle_knn_has_a_direction(reference: Pair) -> None:
    x, y = reference
    near = [np.argsort(-without_self(unit(a) @ unit(a).T), axis=1)[:, :10] for a in (x, y)]

    def theirs(a: Floats, b: Floats) -> float:  # platonic-rep: knn_a[knn_b]
        return float(np.mean([i in a[b[i]] for i in range(200)]))

    for (a, b), (p, q), value in ((near, (x, y), 0.975), (near[::-1], (y, x), 0.990)):
        assert theirs(a, b) == pytest.approx(value, abs=1e-12)
        assert metric("cycle_knn(k=10)")(p, q) == pytest.approx(value, abs=1e-12)


def test_mistake_of_platonic_rep_bfloat16_scores_unrelated_layers_as_equal_where_all_items_tie() -> None:
    torch = pytest.importorskip("torch")
    x, y = (1 + 1e-4 * torch.tensor(noise(120, 64, s)) for s in (1, 2))

    def theirs(dtype: object) -> float:
        rows = [torch.nn.functional.normalize(a.to(dtype), dim=-1) for a in (x, y)]
        return overlap([without_self((r @ r.T).double().numpy()) for r in rows])

    assert theirs(torch.float64) == pytest.approx(10 / 119, abs=0.05)
    assert theirs(torch.bfloat16) > 0.99  # the order of the items decides, and it is the same on both sides
    chance = metric("mutual_knn(k=10)")(x.bfloat16(), y.bfloat16())  # ours shares tied places: nothing is known
    assert chance == pytest.approx(10 / 119, abs=0.05)


def test_mistake_of_masking_self_by_a_number_that_half_precision_does_not_hold() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError, match="overflow"):
        torch.zeros(3, 3, dtype=torch.float16).fill_diagonal_(-1e8)  # platonic-rep's mask
    x, y = noise(40, 6, 1), noise(40, 6, 2)
    half = metric("mutual_knn(k=5)")(torch.tensor(x).half(), torch.tensor(y).half())
    assert half == pytest.approx(metric("mutual_knn(k=5)")(x, y), abs=0.05)


def test_mistake_of_itsamatch_masking_self_by_a_small_negative_number_admits_it() -> None:
    angle = np.linspace(0, 2 * np.pi, 4, endpoint=False)[:3] * 4 / 3  # three directions, all cosines -1/2
    x = np.c_[np.cos(angle), np.sin(angle)]
    s = x @ x.T
    np.fill_diagonal(s, -1e-6)
    assert np.argmax(s, axis=1).tolist() == [0, 1, 2]  # each item is its own neighbour
    far = np.concatenate([x, noise(9, 2, 3)])
    assert not np.any(np.argmax(without_self(far @ far.T), axis=1) == np.arange(12))


# ---- shapes --------------------------------------------------------------------------------------------------


def test_variant_of_anatome_procrustes_is_1_minus_the_cosine(reference: Pair) -> None:
    x, y = (centered(a) / np.linalg.norm(centered(a)) for a in reference)
    nuclear = np.linalg.svd(x.T @ y, compute_uv=False).sum()
    assert 1 - nuclear == pytest.approx(0.2653997358, abs=1e-10)
    assert 1 - metric("procrustes")(*reference) == pytest.approx(1 - nuclear, abs=1e-10)


def test_similarity_repositorys_squared_procrustes_is_not_dings_so_the_name_is_none_of_ours(reference: Pair) -> None:
    x, y = (centered(a) for a in reference)
    nuclear = np.linalg.svd(x.T @ y, compute_uv=False).sum()
    theirs = np.sum(x * x) + np.sum(y * y) - 2 * nuclear  # sim_metric's procrustes, on layers of their own size
    assert theirs == pytest.approx(189.6245025242**2, rel=1e-9)
    assert metric("procrustes-distance=euclidean")(*reference) ** 2 == pytest.approx(theirs, rel=1e-10)
    # what their name says, which is theirs squared, and not Ding's distance
    assert metric("procrustes-distance=squared_euclidean")(*reference) == pytest.approx(theirs, rel=1e-10)
    with pytest.raises(InputError):
        metric("pwcca-score")  # google's weighing


def test_resis_procrustes_on_centred_and_normalised_layers_is_the_root_of_dings(reference: Pair) -> None:
    assert metric("orthogonal_procrustes_centered_and_normalized")(*reference) == pytest.approx(0.7285598614, abs=1e-9)
    assert metric("orthogonal_angular_shape_metric_centered")(*reference) == pytest.approx(0.7457189801, abs=1e-9)


def test_the_riemannian_distance_of_covariances_is_pyriemanns_and_of_singular_ones_infinite(reference: Pair) -> None:
    distance = pytest.importorskip("pyriemann.geometry.distance").distance_riemann
    # platonic-universe's variant: between features, so that unit i of both layers would have to be the same unit
    covariances = [np.cov(a[:, :20].T) for a in reference]
    formula = math.sqrt(np.sum(np.log(linalg.eigvalsh(*covariances)) ** 2))
    assert formula == pytest.approx(11.266703804461, abs=1e-9)
    assert distance(*covariances) == pytest.approx(formula, abs=1e-9)
    # wrongu's repsim: Grams of 200 items in 32 dimensions have 168 zero eigenvalues
    with np.errstate(divide="ignore"):
        spectrum = np.clip(np.linalg.eigvalsh(centered(reference[0]) @ centered(reference[0]).T), 0, None)
        assert np.isinf(np.abs(np.log(np.where(spectrum < 1e-9 * spectrum[-1], 0, spectrum)))).sum() == 168
    assert math.isfinite(metric("riemannian_distance")(*reference))


# ---- RDMs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "dissimilarity", "correlation", "value"),
    [
        ("rsa-rdm=squared_euclidean-compare=pearson", "sqeuclidean", stats.pearsonr, 0.4663790532),
        ("rsa-rdm=correlation-compare=spearman", "correlation", stats.spearmanr, 0.6678292144),
        ("rsa-rdm=cosine-compare=spearman", "cosine", stats.spearmanr, 0.5814476969),
        ("rsa-rdm=euclidean-compare=spearman", "euclidean", stats.spearmanr, 0.4826573844),
    ],
)
def test_rsa_is_that_of_the_peers_on_all_pairs(
    reference: Pair, spec: str, dissimilarity: str, correlation: object, value: float
) -> None:
    a, b = (pdist(v, dissimilarity) for v in reference)
    assert correlation(a, b).statistic == pytest.approx(value, abs=1e-10)  # type: ignore[operator]  # a function
    assert metric(spec)(*reference) == pytest.approx(value, abs=1e-10)


def test_mistake_of_aristotelian_rsa_draws_8192_pairs_without_a_seed(reference: Pair) -> None:
    a, b = (pdist(v, "euclidean") for v in reference)
    draws = [np.random.default_rng(s).choice(len(a), 8192, replace=False) for s in range(8)]
    values = [stats.spearmanr(a[d], b[d]).statistic for d in draws]
    assert np.ptp(values) > 5e-3  # 0.468, 0.477 and 0.476 were seen
    assert metric("rsa(dissimilarity='euclidean')")(*reference) == pytest.approx(0.4826573844, abs=1e-10)


def test_resi_correlates_similarities_which_is_the_same_unless_only_one_side_is_turned(reference: Pair) -> None:
    a, b = (1 - pdist(v, "correlation") for v in reference)
    assert stats.spearmanr(a, b).statistic == pytest.approx(metric("rsa")(*reference), abs=1e-10)
    assert stats.spearmanr(a, 1 - b).statistic == pytest.approx(-metric("rsa")(*reference), abs=1e-10)


def test_mistake_of_resi_the_norm_of_an_rsm_difference_is_the_spectral_one(reference: Pair) -> None:
    difference = np.subtract(*(squareform(pdist(v)) for v in reference))
    assert np.linalg.norm(difference, ord=2) == pytest.approx(3021.1179869815, abs=1e-8)
    assert np.linalg.norm(difference[np.triu_indices(200, 1)], ord=2) == pytest.approx(2202.3329195566, abs=1e-8)


def test_tau_a_and_tau_b_differ_by_the_ties_alone(reference: Pair) -> None:
    a, b = (pdist(v[:30], "correlation") for v in reference)
    plain = stats.kendalltau(a, b).statistic
    assert metric("rsa-rdm=correlation-compare=tau_a")(*(v[:30] for v in reference)) == pytest.approx(plain, abs=1e-12)
    labels = pdist(np.repeat(np.eye(5), 6, axis=0))  # two values
    concordant = np.sum(np.triu(np.sign(np.subtract.outer(a, a)) * np.sign(np.subtract.outer(labels, labels)), 1))
    tau_a = concordant / (len(a) * (len(a) - 1) / 2)
    assert abs(stats.kendalltau(a, labels).statistic - tau_a) > 1e-3
    assert compare_rdms(a, labels, "kendall")[0, 0] == pytest.approx(tau_a, abs=1e-12)


def test_mistake_of_rsatoolbox_its_riemannian_comparison_depends_on_the_order_of_its_arguments(reference: Pair) -> None:
    rsatoolbox = pytest.importorskip("rsatoolbox")
    rdms = [rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(a[:20]), method="euclidean") for a in reference]
    there, back = (rsatoolbox.rdm.compare(*pair, "neg_riem_dist").item() for pair in (rdms, rdms[::-1]))
    # only the first RDM gets a fitted scale and noise, by a simplex search whose tolerance limits the digits
    assert there == pytest.approx(-3.75, abs=5e-3)
    assert back == pytest.approx(-7.90, abs=5e-3)
    x, y = (a[:20] for a in reference)
    ours = metric("riemannian_distance")
    assert ours(x, y) == pytest.approx(ours(y, x), abs=1e-10)


def test_items_that_are_far_from_all_others_cost_the_other_distances_no_digits(reference: Pair) -> None:
    x, y = (a[:40, :8].copy() for a in reference)
    x[0] += 1e7
    a, b = (pdist(v) for v in (x, y))
    assert metric("rsa(dissimilarity='euclidean')")(x, y) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-10)


# ---- ties in what reads neighbours elsewhere -----------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        "imd(k=5)",
        "statistic_distance(statistic='hubness')",
        "second_order_cosine(k=5)",
        "second_order_cosine(k=5, values='distance')",
        "rsa(dissimilarity='mahalanobis')",
        "mutual_nearest(k=5)",
    ],
)
def test_copies_are_treated_alike_whatever_their_order(spec: str) -> None:
    x, y = np.repeat(noise(12, 5, 1), 3, axis=0), noise(36, 4, 2)
    m = metric(spec)
    value = m(x, y)
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(36)
        assert m(x[order], y[order]) == pytest.approx(value, abs=1e-9)
