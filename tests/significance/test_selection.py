from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from isomorph.errors import InputError
from isomorph.metrics import metric
from isomorph.significance import planted, select_split


def noise(seed, layers, n=60, d=6):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, d)) for _ in range(layers)]


@pytest.mark.parametrize("spec", ["cka", "procrustes", "procrustes_distance"])
def test_the_planted_pair_is_chosen_and_passes(spec):
    x, y = planted(120, 10, 8, 3, 0.6, np.random.default_rng(0))
    xs, ys = noise(1, 3, 120, 10), noise(2, 2, 120, 8)
    xs[1], ys[1] = x, y
    result = select_split(metric(spec), xs, ys, permutations=200)
    assert (result["x_layer"], result["y_layer"]) == ("layer_01", "layer_01")
    assert result["p_value"] < 0.01
    assert result["n_selection"] == result["n_score"] == 60


def test_the_score_is_that_of_the_items_that_did_not_choose():
    m = metric("cka")
    xs, ys = noise(0, 2), noise(1, 2)
    result = select_split(m, xs, ys, seed=5)
    chosen = np.random.default_rng(5).permutation(60)[:30]
    rest = np.setdiff1d(np.arange(60), chosen)
    i, j = (int(result[k].removeprefix("layer_")) for k in ("x_layer", "y_layer"))
    assert result["value"] == pytest.approx(m(xs[i][rest], ys[j][rest]))
    assert result["selection_value"] == pytest.approx(m(xs[i][np.sort(chosen)], ys[j][np.sort(chosen)]))
    assert result["p_value"] == pytest.approx(m.null(xs[i][rest], ys[j][rest]).p_value(result["value"]))


@pytest.mark.parametrize("trials", [50, pytest.param(150, marks=pytest.mark.thorough)])
def test_searching_many_layers_of_noise_is_not_rewarded(trials):
    m = metric("cka")
    results = [select_split(m, noise(s, 5), noise(500 + s, 5), seed=s) for s in range(trials)]
    p = np.array([r["p_value"] for r in results])
    assert np.sum(p <= 0.05) <= stats.binom.ppf(0.9995, trials, 0.05)
    assert np.mean([r["selection_value"] for r in results]) > 0.02  # the best of 25 is far above chance
    assert abs(np.mean([r["value"] for r in results])) < 0.01


def test_groups_are_not_parted_and_are_permuted_as_such():
    groups = np.repeat(np.arange(30), 2)
    result = select_split(metric("cka"), noise(0, 2), noise(1, 2), groups=groups, permutations=99)
    assert result["null"] == "99 sampled permutations"
    assert result["n_selection"] % 2 == 0


def test_labels_are_permuted_within_and_both_parts_have_their_share():
    strata = np.repeat([0, 1, 2], 20)
    centers = 5 * np.random.default_rng(9).standard_normal((3, 6))[strata]
    xs, ys = ([a + centers for a in noise(s, 2)] for s in (0, 1))
    free, strict = (select_split(metric("cka"), xs, ys, strata=s, permutations=99) for s in (None, strata))
    assert free["p_value"] < 0.01 < strict["p_value"]
    assert strict["n_selection"] == 30
    assert strict["chance"] > 0.5, "the labels alone make them alike"


def test_a_series_is_cut_in_two_and_shifted_no_more_often_than_it_can_be():
    rng = np.random.default_rng(3)
    x, y = (np.cumsum(rng.standard_normal((60, 6)), axis=0) for _ in range(2))
    result = select_split(metric("cka"), [x], [y], circular=True, permutations=1000)
    assert (result["n_selection"], result["null"]) == (30, "29 sampled permutations")
    assert result["value"] == pytest.approx(metric("cka")(x[30:], y[30:]))
    assert result["p_value"] > 0.01


def test_parts_that_are_too_small_are_refused():
    with pytest.raises(InputError, match="needs 12 in each part"):
        select_split(metric("mutual_knn(k=10)"), noise(0, 1, 20), noise(1, 1, 20))
    with pytest.raises(InputError, match="leaves one part empty"):
        select_split(metric("cka"), noise(0, 1), noise(1, 1), fraction=1.0)
    with pytest.raises(InputError, match="xs has 60 items and ys has 50"):
        select_split(metric("cka"), noise(0, 1), noise(1, 1, 50))
