from __future__ import annotations

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.significance import gallery_curve, planted, power


def test_a_planted_signal_carries_its_share_of_the_variance_and_keeps_the_total():
    x, y = planted(20_000, 6, 4, 2, 0.3, np.random.default_rng(0))
    noise, _ = planted(20_000, 6, 4, 2, 0.0, np.random.default_rng(0))
    assert noise.var() == pytest.approx(1.0, abs=0.02)
    assert abs(np.corrcoef(noise[:, 0], y[:, 0])[0, 1]) < 0.03
    signal = x - np.sqrt(0.7) * noise
    assert np.linalg.matrix_rank(signal, tol=1e-6 * np.linalg.norm(signal)) == 2


def test_more_items_show_smaller_alignments():
    m = metric("cka")
    few, many = (power(m, n, 16, 16, rank=4, trials=20) for n in (40, 160))
    assert few.score > many.score > 0
    assert few.strength > many.strength
    strengths, scores, passed = np.array(many.curve).T
    assert (np.diff(strengths) > 0).all()
    assert scores[-1] > scores[0]
    assert passed[strengths == many.strength] >= 0.8
    assert abs(many.chance) < 0.02


def test_searching_more_layer_pairs_takes_a_larger_alignment():
    m = metric("cka")
    assert power(m, 60, 16, 16, trials=20, pairs=300).score > power(m, 60, 16, 16, trials=20).score


def test_metrics_without_an_exact_null_are_sampled(gram_distance):
    told = []
    result = power(gram_distance, 20, 5, 5, rank=2, trials=8, advance=told.append)
    assert result.score < result.chance  # a distance falls
    assert sum(told) == 9


def test_too_few_items_to_show_anything_are_said_so():
    with pytest.raises(InputError, match="More items are needed"):
        power(metric("cka"), 6, 50, 50, rank=50, trials=10, pairs=1000)


@pytest.mark.parametrize("wrong", [{"n": 3}, {"d1": 0}, {"rank": 0}, {"alpha": 0.0}, {"target": 1.0}, {"pairs": 0}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match="power:"):
        power(metric("cka"), **({"n": 20, "d1": 5, "d2": 5, "rank": 2} | wrong))


def test_neighbour_scores_between_views_fall_with_the_gallery_and_within_a_view_stay():
    m, rng = metric("mutual_knn(k=5)"), np.random.default_rng(0)
    x, y = planted(512, 20, 20, 6, 0.5, rng)
    across = gallery_curve(m, x, y, [32, 128, 512], repeats=3)
    within = gallery_curve(m, x, x + 0.05 * rng.standard_normal(x.shape), [32, 512], repeats=3)
    assert across[0].value > across[1].value > across[2].value
    assert across[2].value < 0.6 * across[0].value
    assert within[1].value > 0.8 * within[0].value
    assert [p.n for p in across] == [32, 128, 512]
    assert across[0].chance == pytest.approx(5 / 31)
    last = across[2]
    assert last.value == pytest.approx(m(x, y))
    assert last.above_chance == pytest.approx((last.value - last.chance) / (1 - last.chance))


def test_a_chance_without_closed_form_is_sampled(gram_cosine):
    x, y = planted(64, 5, 5, 2, 0.0, np.random.default_rng(0))
    points = gallery_curve(gram_cosine, x, y, repeats=2)
    assert [p.n for p in points] == [32, 64]
    assert points[0].chance == pytest.approx(points[0].value, abs=0.05)


@pytest.mark.parametrize("sizes", [[5], [100], []])
def test_sizes_that_do_not_fit_are_refused(sizes):
    x, y = planted(64, 5, 5, 2, 0.0, np.random.default_rng(0))
    with pytest.raises(InputError, match="between 12 and 64"):
        gallery_curve(metric("mutual_knn(k=10)"), x, y, sizes)


def test_sides_cannot_share_more_dimensions_than_the_smaller_one_has():
    with pytest.raises(InputError, match=r"rank=6 .* at most 5"):
        power(metric("cka"), 20, 9, 5, rank=6, trials=10)


def test_a_negative_seed_of_a_power_analysis_is_named():
    with pytest.raises(InputError, match="seed=-1"):
        power(metric("cka"), 20, 5, 5, rank=2, trials=10, seed=-1)


def test_a_gallery_curve_respects_how_the_items_may_move():
    rng = np.random.default_rng(0)
    strata = np.repeat(np.arange(4), 32)
    centers = 5 * rng.standard_normal((4, 6))[strata]
    x, y = (rng.standard_normal((128, 6)) + centers for _ in range(2))
    free, strict = (gallery_curve("cka", x, y, [64, 128], strata=s) for s in (None, strata))
    assert [a.value for a in free] == [a.value for a in strict]
    assert free[-1].chance == pytest.approx(0, abs=1e-9)
    assert strict[-1].chance > 0.5
    grouped = gallery_curve("cka", x, y, [64, 128], groups=np.repeat(np.arange(43), 3)[:128])
    assert [p.n for p in grouped] == [63, 128]
    assert [p.n for p in gallery_curve("cka", x, y, [40, 128], circular=True)] == [40, 128]
    # of a subset of 32 items in as many strata nothing can move: that size is left out
    assert [p.n for p in gallery_curve("cka", x, y, strata=np.repeat(np.arange(64), 2))][-1] == 128


@pytest.mark.parametrize(
    "given", [{"n": 20.5}, {"n": "20"}, {"d1": 4.5}, {"pairs": 1.5}, {"trials": 0}, {"alpha": "x"}, {"target": None}]
)
def test_power_names_settings_of_a_wrong_type(given):
    with pytest.raises(InputError, match=f"power: .*{next(iter(given))}="):
        power("cka", **({"n": 20, "d1": 4, "d2": 4, "rank": 2} | given))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sizes": 5}, "sizes=5 must be a list"),
        ({"sizes": "ab"}, "sizes='ab' must be a list"),
        ({"sizes": [10.5]}, r"sizes\[0\]=10\.5"),
        ({"repeats": 0}, "repeats=0"),
        ({"seed": -1}, "seed=-1"),
        ({"sizes": [8], "strata": np.arange(30) // 2}, "of 8 items, permuted within labels.*larger sizes"),
    ],
)
def test_a_gallery_curve_names_settings_that_do_not_fit(given, message):
    x, y = np.random.default_rng(0).normal(size=(2, 30, 4))
    with pytest.raises(InputError, match=message):
        gallery_curve("cka", x, y, **given)


def test_a_level_that_would_take_permutations_without_end_is_refused():
    with pytest.raises(InputError, match=r"needs 1e\+300 permutations in each trial"):
        power("cka", 10, 3, 3, rank=2, alpha=5e-324)
