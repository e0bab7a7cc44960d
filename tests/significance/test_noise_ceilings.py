"""Noise ceilings of RDMs: rsatoolbox's values, planted truth, and verdicts that say no more than was shown."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist

import isomorph as iso
from isomorph import InputError
from isomorph.metrics.rdm import compare_rdms

N = 20
NAMES = {
    "pearson": "corr",
    "spearman": "spearman",
    "kendall": "tau-a",
    "rho_a": "rho-a",
    "cosine": "cosine",
    "whitened_cosine": "cosine_cov",
    "whitened_pearson": "corr_cov",
}
EUCLIDEAN = "rsa(dissimilarity='euclidean')"


def truth(d: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, d))


def brains(count: int = 6, noise: float = 1.0, seed: int = 1) -> np.ndarray:
    """Condensed RDMs of noisy copies of one space."""
    rng = np.random.default_rng(seed)
    return np.stack([pdist(truth() + noise * rng.normal(size=(N, 5))) for _ in range(count)])


def reached(rdms: iso.RDMs, models: object, **more: object) -> dict:
    scan = iso.scan(rdms, models, EUCLIDEAN, permutations=19, intervals=False)
    return iso.noise_ceiling(rdms).reached_by(next(iter(scan.values())), **more)  # type: ignore[arg-type]


# ---- ceilings ----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Noise ceiling for tau")  # rsatoolbox's, that the pooled ranks are not the best
@pytest.mark.parametrize("subjects", ["abcdef", "aabbcc", "aaabbc"])
@pytest.mark.parametrize("comparison", NAMES)
def test_ceilings_are_those_of_rsatoolbox(comparison: str, subjects: str) -> None:
    pytest.importorskip("rsatoolbox")
    from rsatoolbox.inference.noise_ceiling import boot_noise_ceiling
    from rsatoolbox.rdm import RDMs

    values = brains()
    lower, upper = boot_noise_ceiling(
        RDMs(values, rdm_descriptors={"subject": list(subjects)}), NAMES[comparison], "subject"
    )
    found = iso.noise_ceiling(iso.RDMs.from_arrays(values, subjects=list(subjects)), comparison, permutations=9)
    assert found.lower == pytest.approx(lower, abs=1e-8)
    assert found.upper == pytest.approx(upper, abs=1e-8)
    assert found.subjects == tuple(dict.fromkeys(subjects))


def test_the_same_entries_missing_for_all_leave_the_ceilings_of_the_others() -> None:
    values = brains()
    holed = values.copy()
    holed[:, [3, 50, 51]] = np.nan
    kept = ~np.isnan(holed[0])
    ranks = np.stack([stats.rankdata(v[kept]) for v in values])
    lower = [stats.spearmanr(np.delete(ranks, s, 0).mean(axis=0), ranks[s])[0] for s in range(6)]
    upper = [stats.spearmanr(ranks.mean(axis=0), ranks[s])[0] for s in range(6)]
    found = iso.noise_ceiling(iso.RDMs.from_arrays(holed), permutations=9)
    np.testing.assert_allclose(found.lower_each, lower, atol=1e-10)
    np.testing.assert_allclose(found.upper_each, upper, atol=1e-10)
    assert found.missing == 18
    assert "18 dissimilarities missing" in str(found)


def test_entries_that_one_subject_lacks_are_left_out_of_its_comparison_alone() -> None:
    values = brains()
    values[2, [3, 50, 51]] = np.nan
    kept = ~np.isnan(values[2])
    scaled = np.full_like(values, np.nan)
    for row, out in zip(values, scaled, strict=True):
        known = ~np.isnan(row)
        out[known] = stats.zscore(row[known])
    found = iso.noise_ceiling(iso.RDMs.from_arrays(values), "pearson", permutations=9)
    others = np.nanmean(scaled[[0, 1, 3, 4, 5]], axis=0)
    assert found.lower_each[2] == pytest.approx(stats.pearsonr(others[kept], values[2, kept])[0], abs=1e-10)
    others = np.nanmean(scaled[1:], axis=0)
    assert found.lower_each[0] == pytest.approx(stats.pearsonr(others, values[0])[0], abs=1e-10)


@pytest.mark.parametrize("comparison", ["pearson", "cosine", "whitened_cosine", "whitened_pearson", "rho_a"])
def test_no_rdm_scores_more_than_the_upper_ceiling_where_the_mean_is_the_best(comparison: str) -> None:
    values = brains()
    found = iso.noise_ceiling(iso.RDMs.from_arrays(values), comparison, permutations=9)
    rng = np.random.default_rng(2)
    tried = [values.mean(axis=0) + scale * rng.normal(size=values.shape[1]) for scale in (0, 0.01, 0.1, 1) * 10]
    best = max(compare_rdms(v, values, comparison).mean() for v in [*tried, *values, pdist(truth())])
    assert found.lower < best <= found.upper + 1e-12


@pytest.mark.parametrize("comparison", ["cosine", "whitened_cosine", "pearson", "kendall"])
def test_chance_is_the_mean_of_ceilings_of_shuffled_subjects(comparison: str) -> None:
    rdms = iso.RDMs.from_arrays(brains(3), ids=[str(k) for k in range(N)])
    found, rng = iso.noise_ceiling(rdms, comparison, permutations=9), np.random.default_rng(3)
    pooled, shuffled = [], []
    for s, name in enumerate(rdms):
        scaled = rdms.dissimilarities / np.sqrt(np.mean(rdms.dissimilarities**2, axis=1, keepdims=True))
        if comparison == "pearson":
            scaled = stats.zscore(rdms.dissimilarities, axis=1)
        if comparison == "kendall":
            scaled = stats.rankdata(rdms.dissimilarities, axis=1)
        pooled = np.delete(scaled, s, 0).mean(axis=0)
        for _ in range(60):
            moved = rdms[name][rng.permutation(N)].condensed
            shuffled.append(compare_rdms(pooled, moved, comparison)[0, 0])
    error = np.std(shuffled) / np.sqrt(len(shuffled))
    assert found.chance == pytest.approx(np.mean(shuffled), abs=5 * error)


def test_subjects_that_share_nothing_have_no_ceiling_and_no_shares() -> None:
    values = np.stack([pdist(np.random.default_rng(s).normal(size=(N, 5))) for s in range(5)])
    rdms = iso.RDMs.from_arrays(values)
    assert iso.noise_ceiling(rdms).p_value > 0.05
    (found,) = reached(rdms, truth()).values()
    assert (found.verdict, found.share) == ("no ceiling", None)


def test_the_p_of_a_ceiling_is_uniform_where_nothing_is_shared() -> None:
    p = []
    for s in range(60):
        rng = np.random.default_rng(s)
        values = np.stack([pdist(rng.normal(size=(8, 3))) for _ in range(3)])
        p.append(iso.noise_ceiling(iso.RDMs.from_arrays(values), permutations=39, seed=s).p_value)
    assert stats.kstest(p, "uniform").pvalue > 1e-4
    assert np.mean(np.array(p) <= 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 60)


# ---- models against the ceiling ----------------------------------------------------------------------------


def test_models_get_shares_and_verdicts_from_their_scores_with_each_subject() -> None:
    rdms = iso.RDMs.from_arrays(brains(8), subjects=list("abcdefgh"))
    models = {"truth": truth(), "part": truth()[:, :2], "noise": np.random.default_rng(9).normal(size=(N, 5))}
    found, ceiling = reached(rdms, models), iso.noise_ceiling(rdms)
    for name, features in models.items():
        scores = np.array([stats.spearmanr(pdist(features), v)[0] for v in rdms.dissimilarities])
        assert found[name].score == pytest.approx(scores.mean(), abs=1e-10)
        assert found[name].share == pytest.approx(scores.mean() / ceiling.lower, abs=1e-10)
        oracle = stats.ttest_rel(scores, ceiling.lower_each, alternative="less")
        assert found[name].p_below == pytest.approx(oracle.pvalue, abs=1e-10)
        assert found[name].difference == pytest.approx(np.mean(scores - ceiling.lower_each), abs=1e-10)
    assert {k: v.verdict for k, v in found.items()} == {
        "truth": "at the ceiling",
        "part": "below the ceiling",
        "noise": "below the ceiling",
    }


def test_a_shortfall_that_is_not_significant_is_not_called_the_ceiling() -> None:
    rdms = iso.RDMs.from_arrays(brains(5))
    models = {"short": truth() + np.random.default_rng(5).normal(size=(N, 5))}
    (found,) = reached(rdms, models).values()
    assert found.difference < 0
    assert 0.05 < found.p_below < 0.4
    (lenient,) = reached(rdms, models, alpha=found.p_below * 1.01).values()
    assert found.verdict == "not shown to be below the ceiling"
    assert lenient.verdict == "below the ceiling"


def test_a_scan_of_subjects_holds_the_ceiling_over_the_items_that_it_joined(tmp_path) -> None:
    ids, order = [f"i{k}" for k in range(N)], np.random.default_rng(3).permutation(N)[:15]
    rdms = iso.RDMs.from_arrays(brains(5), ids=ids, subjects=list("aabbc"), sessions=[1, 2, 1, 2, 1])
    model = iso.Layers.from_arrays(
        {"truth": truth()[order], "part": truth()[order, :2]}, ids=[ids[i] for i in order], encoder="m"
    )
    for x, y, side in ((rdms, model, "x"), (model, rdms, "y")):
        scan = iso.scan(x, y, EUCLIDEAN, permutations=19, seed=2)
        alignment = next(iter(scan.values()))
        found = alignment.noise_ceilings[side]
        joined = rdms.subset([ids[i] for i in (np.sort(order) if side == "x" else order)])
        wanted = iso.noise_ceiling(joined, seed=2)
        assert (found["lower"], found["upper"]) == pytest.approx((wanted.lower, wanted.upper), abs=1e-12)
        assert found["subjects"] == 3
        for k, reached in enumerate(wanted.reached_by(dataclasses.replace(alignment)).values()):
            assert found["score"][k] == pytest.approx(reached.score, abs=1e-12)
            assert found["p_below"][k] == pytest.approx(reached.p_below, abs=1e-12)
            assert found["verdict"][k] == reached.verdict
        scan.save(tmp_path / "scan.json")
        again = iso.load_result(tmp_path / "scan.json")
        np.testing.assert_array_equal(next(iter(again.values())).noise_ceilings[side]["score"], found["score"])
        (line,) = [v for v in str(again).splitlines() if f"noise ceiling of {side}" in v]
        assert f"{wanted.lower:.3f} to {wanted.upper:.3f}" in line
        assert "3 subjects" in line
        iso.report([scan], to=tmp_path / f"{side}.html")
        page = (tmp_path / f"{side}.html").read_text(encoding="utf-8")
        assert f"{wanted.lower:.3f} to {wanted.upper:.3f}" in page
        assert f"noise ceiling of the {'first' if side == 'x' else 'second'} (3 subjects)" in page


def test_only_subjects_have_a_ceiling_in_a_scan() -> None:
    for rdms in (iso.RDMs.from_arrays(brains(3)), iso.RDMs.from_arrays(brains(2), subjects=["a", "a"])):
        assert next(iter(iso.scan(rdms, truth(), EUCLIDEAN, permutations=19).values())).noise_ceilings == {}
    both = (
        iso.RDMs.from_arrays(brains(3), subjects=list("abc")),
        iso.RDMs.from_arrays(brains(2, seed=5), subjects=list("de")),
    )
    found = next(iter(iso.scan(*both, EUCLIDEAN, permutations=19).values()))
    assert {k: v["subjects"] for k, v in found.noise_ceilings.items()} == {"x": 3, "y": 2}
    assert [len(v["score"]) for v in found.noise_ceilings.values()] == [2, 3]


def test_repeats_of_a_subject_are_averaged_before_subjects_are() -> None:
    rdms = iso.RDMs.from_arrays(brains(5), subjects=list("aaabb"), sessions=[1, 2, 3, 1, 2])
    (found,) = reached(rdms, {"m": truth()}).values()
    scores = np.array([stats.spearmanr(pdist(truth()), v)[0] for v in rdms.dissimilarities])
    assert found.score == pytest.approx((scores[:3].mean() + scores[3:].mean()) / 2, abs=1e-10)
    # the side of the RDMs may be y
    scan = iso.scan({"m": truth()}, rdms, EUCLIDEAN, permutations=19)
    assert iso.noise_ceiling(rdms).reached_by(next(iter(scan.values())))["m"].score == pytest.approx(found.score)


def test_cosines_whose_chance_is_high_have_no_share() -> None:
    rdms = iso.RDMs.from_arrays(brains(6))
    scan = iso.scan(rdms, truth(), "rsa(dissimilarity='euclidean', comparison='cosine')", permutations=19)
    ceiling = iso.noise_ceiling(rdms, "cosine")
    (found,) = ceiling.reached_by(next(iter(scan.values()))).values()
    assert ceiling.chance > 0.5
    assert found.share is None
    assert found.verdict == "at the ceiling"


def test_what_does_not_fit_is_refused_in_words() -> None:
    ids = [str(k) for k in range(N)]
    rdms = iso.RDMs.from_arrays(brains(), ids=ids, subjects=list("abcdef"))
    ceiling = iso.noise_ceiling(rdms, permutations=9)
    part = iso.scan(rdms.subset(ids[:12]), truth()[:12], "rsa", permutations=19)["rsa"]
    with pytest.raises(InputError, match=r"over 20 items; the scan has 12 items.*rdms.subset"):
        ceiling.reached_by(part)
    with pytest.raises(InputError, match=r"compared by 'spearman', the alignment is rsa.*pearson"):
        ceiling.reached_by(next(iter(iso.scan(rdms, truth(), "rsa(comparison='pearson')", permutations=19).values())))
    with pytest.raises(InputError, match=r"the alignment is cka"):
        ceiling.reached_by(iso.scan(truth(), truth(), "cka", permutations=19)["cka"])
    with pytest.raises(InputError, match="alpha=2"):
        ceiling.reached_by(iso.scan(rdms, truth(), "rsa", permutations=19)["rsa"], alpha=2)
    with pytest.raises(InputError, match=r"all 2 RDMs are of one subject.*split_half"):
        iso.noise_ceiling(iso.RDMs.from_arrays(brains(2), subjects=["a", "a"]))
    with pytest.raises(InputError, match=r"by='session' is no descriptor.*'subject'"):
        iso.noise_ceiling(rdms, by="session")
    with pytest.raises(InputError, match="comparison='tau'"):
        iso.noise_ceiling(rdms, "tau")
    with pytest.raises(InputError, match="found ndarray"):
        iso.noise_ceiling(brains())  # type: ignore[arg-type]  # the wrong type is the point


# ---- repeats -----------------------------------------------------------------------------------------------


def test_split_half_is_the_mean_over_all_splits_with_the_correction_of_spearman_and_brown() -> None:
    values = brains(8)
    found = iso.split_half(
        iso.RDMs.from_arrays(values, subjects=list("aaaabbbb"), sessions=[1, 2, 3, 4] * 2), "pearson"
    )
    z = stats.zscore(values, axis=1)
    for s, own in enumerate((z[:4], z[4:])):
        r = [
            stats.pearsonr(own[list(half)].mean(axis=0), np.delete(own, half, 0).mean(axis=0))[0]
            for half in itertools.combinations(range(4), 2)
        ]
        assert found.half_each[s] == pytest.approx(np.mean(r), abs=1e-10)
        assert found.reliability_each[s] == pytest.approx(np.mean([2 * v / (1 + v) for v in r]), abs=1e-10)
    assert found.splits == (3, 3)
    assert found.reliability == pytest.approx(found.reliability_each.mean())
    assert found.ceiling == pytest.approx(np.sqrt(found.reliability))


def test_the_corrected_reliability_and_its_ceiling_are_those_of_planted_noise() -> None:
    rng, m, repeats = np.random.default_rng(0), 45 * 44 // 2, 6
    signal = rng.normal(size=m)
    values = 10 + signal + rng.normal(size=(repeats, m))  # each repeat's variance is half signal
    found = iso.split_half(iso.RDMs.from_arrays(values), "pearson")
    wanted = repeats / (repeats + 1)  # the share of signal in the variance of the mean of all repeats
    error = 1 / np.sqrt(m)  # of a correlation of that many entries
    assert found.reliability == pytest.approx(wanted, abs=4 * error)
    perfect = np.corrcoef(signal, values.mean(axis=0))[0, 1]
    assert found.ceiling == pytest.approx(perfect, abs=4 * error)


def test_few_splits_are_drawn_where_there_are_many_and_odd_repeats_are_split_all_ways() -> None:
    many = iso.RDMs.from_arrays(brains(9))
    assert iso.split_half(many, splits=7).splits == (7,)
    assert iso.split_half(many, splits=7, seed=1).half != iso.split_half(many, splits=7, seed=2).half
    assert iso.split_half(many, splits=7, seed=1).half == iso.split_half(many, splits=7, seed=1).half
    assert iso.split_half(iso.RDMs.from_arrays(brains(3))).splits == (3,)
    assert iso.split_half(iso.RDMs.from_arrays(brains(2))).splits == (1,)


def test_repeats_that_disagree_have_a_negative_reliability_and_no_ceiling() -> None:
    one = brains(1)[0]
    found = iso.split_half(iso.RDMs.from_arrays([one, one.max() - one + 0.1]))
    assert found.half == pytest.approx(-1)
    assert found.reliability == pytest.approx(-1)
    assert found.ceiling == 0


def test_split_half_refuses_in_words() -> None:
    with pytest.raises(InputError, match="b has one RDM; at least 2 repeats"):
        iso.split_half(iso.RDMs.from_arrays(brains(3), subjects=list("aab")))
    with pytest.raises(InputError, match=r"comparison='cosine'.*for correlations"):
        iso.split_half(iso.RDMs.from_arrays(brains(3)), "cosine")
