"""One bootstrap sample, the variances and the whole bootstrap, against rsatoolbox's own."""

import numpy as np
import pytest
import rsatoolbox
from rsatoolbox.inference import boot_noise_ceiling, eval_dual_bootstrap
from rsatoolbox.inference.evaluate import eval_bootstrap_pattern
from rsatoolbox.util.inference_util import extract_variances

from isomorph.metrics.rdm import compute_rdm
from isomorph.model_comparison._bootstrap import Drawn, Measured, bootstrap
from isomorph.model_comparison._variance import variances_of

THEIRS = {"spearman": "spearman", "pearson": "corr", "rho_a": "rho-a", "cosine": "cosine", "kendall": "tau-a"}


def measured(comparison, subjects=6, n=14, models=3, seed=0, ties=False, owners=None):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    data = [compute_rdm(x + rng.normal(size=x.shape), "euclidean") for _ in range(subjects)]
    candidates = [compute_rdm(x[:, : k + 1] + k * rng.normal(size=(n, k + 1)), "euclidean") for k in range(models)]
    data, candidates = np.array(data), np.array(candidates)
    if ties:
        data, candidates = np.ceil(2 * data), np.ceil(candidates)
    owners = np.arange(subjects) if owners is None else np.array(owners)
    return Measured(data, candidates, owners, np.arange(n), comparison)


def theirs(found):
    data = rsatoolbox.rdm.RDMs(found.data, rdm_descriptors={"whose": found.owners.tolist()})
    return data, rsatoolbox.rdm.RDMs(found.models)


@pytest.mark.filterwarnings("ignore:Noise ceiling for tau")
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("comparison", THEIRS)
def test_a_sample_has_the_scores_and_the_ceilings_that_rsatoolbox_finds(comparison, ties):
    found, rng = measured(comparison, ties=ties), np.random.default_rng(1)
    data, models = theirs(found)
    for _ in range(4):
        items, subjects = rng.integers(0, 14, 14), rng.integers(0, 6, 6)
        sample = data.subsample_pattern("index", items).subsample("index", subjects)
        model = models.subsample_pattern("index", items)
        ours = Drawn(found, np.bincount(items, minlength=14))
        scores = rsatoolbox.rdm.compare(sample, model, method=THEIRS[comparison])
        times = np.bincount(subjects, minlength=6)
        np.testing.assert_allclose(times @ ours.scores / 6, scores.mean(axis=0), atol=1e-10)
        lower, upper = ours.ceilings(times)
        wanted = boot_noise_ceiling(sample, method=THEIRS[comparison])
        np.testing.assert_allclose((lower, upper), wanted, atol=1e-10)


@pytest.mark.parametrize("comparison", ["spearman", "rho_a"])
def test_of_many_items_a_sample_is_theirs_to_within_the_bins_that_it_is_ranked_in(comparison):
    """100 items have 4,950 pairs, more than the 2,048 bins: a score moves by some 1 / (bins √pairs) = 7e-6."""
    found, rng = measured(comparison, subjects=4, n=100), np.random.default_rng(2)
    data, models = theirs(found)
    items = rng.integers(0, 100, 100)
    for counts in (np.ones(100, dtype=int), np.bincount(items, minlength=100)):
        chosen = np.repeat(np.arange(100), counts)
        sample, model = data.subsample_pattern("index", chosen), models.subsample_pattern("index", chosen)
        ours = Drawn(found, counts)
        scores = rsatoolbox.rdm.compare(sample, model, method=THEIRS[comparison])
        np.testing.assert_allclose(ours.scores, scores, atol=1e-4)
        wanted = boot_noise_ceiling(sample, method=THEIRS[comparison])
        np.testing.assert_allclose(ours.ceilings(np.ones(4, dtype=int)), wanted, atol=1e-4)


@pytest.mark.parametrize("comparison", ["spearman", "cosine"])
def test_repeats_of_a_subject_are_left_out_of_its_ceiling_together(comparison):
    found = measured(comparison, subjects=6, owners=[0, 0, 1, 1, 2, 2])
    data, _ = theirs(found)
    ours = Drawn(found, np.ones(14, dtype=int)).ceilings(np.ones(3, dtype=int))
    np.testing.assert_allclose(ours, boot_noise_ceiling(data, THEIRS[comparison], "whose"), atol=1e-10)


def test_the_variances_of_scores_differences_and_distances_to_the_ceiling_are_theirs():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 7, 6))  # 4 models and 2 ceilings, with covariances that make both bounds matter
    tables = dict(zip(("both", "subjects", "items"), rng.normal(size=(3, 50, 7)) @ mixing, strict=True))
    tables["both"] *= 1.3
    covariances = np.stack([np.cov(t, rowvar=False) for t in tables.values()])
    for subjects, items in ((5, 12), (9, 200)):
        model, difference, ceiling = extract_variances(covariances, True, subjects, items)
        i, j = np.triu_indices(4, 1)
        eye = np.eye(6)
        for weights, wanted in ((eye[:4], model), (eye[i] - eye[j], difference), (eye[:4] - eye[4], ceiling[:, 0])):
            np.testing.assert_allclose(variances_of(tables, weights, subjects, items), wanted, rtol=1e-10)
    assert len(np.unique(model.round(8))) == 4


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")
def test_the_bootstrap_over_both_agrees_with_theirs_within_its_sampling_error():
    """Standard deviations of 400 samples have a relative error of 1 / √800 each: five of them are allowed."""
    found = measured("cosine", subjects=7, n=16)
    data, models = theirs(found)
    fixed = [rsatoolbox.model.ModelFixed(str(k), m) for k, m in enumerate(models)]
    state = np.random.get_state()  # noqa: NPY002  # what rsatoolbox draws from
    np.random.seed(0)  # noqa: NPY002  # the same
    result = eval_dual_bootstrap(fixed, data, method="cosine", N=400)
    one = eval_bootstrap_pattern(fixed, data, method="cosine", N=400)
    np.random.set_state(state)  # noqa: NPY002  # the same
    ours = bootstrap(found, "both", 400, seed=0, resampled=True)
    samples = {k: np.column_stack([ours.scores[k], ours.ceilings[k]]) for k in ours.scores}
    for kind, theirs_ in zip(("both", "subjects", "items"), np.moveaxis(result.evaluations[:, :, 0, 0], -1, 0),
                             strict=True):  # fmt: skip
        spread = samples[kind][:, :3].std(axis=0)
        np.testing.assert_allclose(spread, theirs_.std(axis=0), rtol=5 / np.sqrt(400))
        mean = np.abs(samples[kind][:, :3].mean(axis=0) - theirs_.mean(axis=0))
        assert np.all(mean < 5 * spread * np.sqrt(2 / 400))
    eye = np.eye(5)
    errors = np.sqrt(variances_of(samples, eye[:3], 7, 16))
    np.testing.assert_allclose(errors, result.get_sem(), rtol=0.25)
    i, j = np.triu_indices(3, 1)
    np.testing.assert_allclose(
        np.sqrt(variances_of(samples, eye[i] - eye[j], 7, 16)), np.sqrt(result.diff_var), rtol=0.25
    )
    items = np.sqrt(variances_of({"items": samples["items"]}, eye[:3], 7, 16) * 15 / 16)
    np.testing.assert_allclose(items, one.evaluations.std(axis=0), rtol=5 / np.sqrt(400))
    ceilings = np.moveaxis(result.noise_ceiling[:, :, 0], -1, 0)  # kinds, bounds, samples
    for kind, both in zip(("both", "subjects", "items"), ceilings, strict=True):
        np.testing.assert_allclose(ours.ceilings[kind].std(axis=0), both.std(axis=1), rtol=5 / np.sqrt(400))
