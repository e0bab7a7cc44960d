"""The verb `fit_encoding`: planted truths, nulls, ceilings, blocks, files, and every mistake answered in words."""

import dataclasses

import numpy as np
import pytest

import isomorph as iso
from isomorph import InputError
from isomorph.encoding_models import _chance, _plan
from isomorph.encoding_models._chance import Shifts, correlations, normalized, shifted_blocks
from isomorph.encoding_models._folds import nested
from isomorph.encoding_models._repeats import reliabilities
from isomorph.errors import UnknownNameError

N, UNITS = 120, 16
RNG = np.random.default_rng(0)
LAYERS = {name: RNG.normal(size=(N, 8)) for name in ("early", "middle", "late")}
VOXELS = LAYERS["middle"] @ RNG.normal(size=(8, UNITS)) + 2 * RNG.normal(size=(N, UNITS))
RUNS = np.arange(N) // 20
QUICK = {"permutations": 19, "alphas": (1e-3, 1e-1, 10.0)}


def fit(x=LAYERS, y=VOXELS, *args, **settings):
    return iso.fit_encoding(x, y, *args, **QUICK | settings)


# ---- what is found -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["ridge", "pls"])
def test_units_driven_by_the_second_of_three_layers_prefer_it(method):
    found = fit(method=method, permutations=99)
    assert found.best == "middle"
    assert [found.layer_of(u) for u in range(UNITS)] == ["middle"] * UNITS
    assert found.preferred() == {"early": 0, "middle": UNITS, "late": 0}
    assert found.p_maximum == found["middle"].mean_p == 0.01
    np.testing.assert_array_equal(found["chosen"].r, found["middle"].r)


def test_banded_ridge_weighs_and_credits_the_band_that_drives_a_unit():
    half = VOXELS + 2 * LAYERS["late"][:, :1]
    found = fit(y=half, method="banded_ridge", searches=10)
    assert list(found.scores) == ["all bands"]
    np.testing.assert_allclose(found.weights.sum(axis=0), 1, rtol=1e-6)
    assert np.all(found.weights[1] > found.weights[0])
    means = found.unique.mean(axis=1)
    assert means[1] > means[2] > 0.05 > abs(means[0])
    np.testing.assert_allclose(found.unique.sum(axis=0) + found.shared, found["all bands"].r2, atol=1e-6)


def test_variance_that_two_bands_both_explain_is_shared_not_unique():
    twin = {"a": LAYERS["middle"], "b": LAYERS["middle"] + 0.01 * RNG.normal(size=(N, 8))}
    found = fit(x=twin, method="banded_ridge", searches=5)
    assert np.abs(found.unique).max() < 0.1
    assert found.shared.mean() > 0.4


def test_bands_are_layers_side_by_side_and_layers_choose_among_them():
    both = fit(bands={"rest": ["early", "late"], "middle": "middle"})
    assert both.layers == ("rest", "middle")
    assert both.dims == (16, 8)
    joint = fit(x=np.concatenate([LAYERS["early"], LAYERS["late"]], axis=1))
    np.testing.assert_allclose(both["rest"].r, joint["x"].r, atol=1e-6)
    assert fit(layers=["late"]).layers == ("late",)


def test_several_models_are_joined_by_id_with_responses_in_another_order():
    ids = [f"i{k}" for k in range(N)]
    order = RNG.permutation(N)
    a = iso.Layers.from_arrays({"late": LAYERS["late"]}, ids=ids, encoder="a")
    b = iso.Layers.from_arrays({"last": LAYERS["middle"]}, ids=ids, encoder="b")
    y = iso.Layers.from_arrays({"v": VOXELS[order]}, ids=[ids[k] for k in order], encoder="brain")
    found = fit({"a": a, "b": b}, y, runs=RUNS[order].tolist())
    assert found.layers == ("a/late", "b/last")
    plain = fit({"a": LAYERS["late"], "b": LAYERS["middle"]}, runs=RUNS)
    np.testing.assert_allclose(found["b/last"].r, plain["b"].r, atol=1e-6)
    # rows are shifted in the order of the responses as they were given, so these permutations differ
    fewer = fit(a, y.subset([i for i in y.ids if i != "i3"]))
    assert fewer.n == N - 1
    assert "1 of the 120 items of x" in fewer.notes[0]


def test_no_row_of_a_fold_takes_part_in_its_prediction():
    """Rows of one fold made enormous change its own scores only through itself, not through what predicts it."""
    folds = nested(N, RUNS, 3, 2, 0)
    for fold in folds:
        assert not set(RUNS[fold.split.train]) & set(RUNS[fold.split.test])
        for inner in fold.inner:
            assert not set(inner.train) & set(inner.test)
            assert set(inner.train) | set(inner.test) == set(fold.split.train)
            assert not set(RUNS[inner.train]) & set(RUNS[inner.test])
    assert sorted(np.concatenate([f.split.test for f in folds])) == list(range(N))


def test_responses_that_only_a_run_knows_are_not_predicted():
    """Each run has a level of its own in features and responses: leaking rows of a run would predict it perfectly."""
    level = RNG.normal(size=(6, 12))
    x = level[RUNS] + 1e-3 * RNG.normal(size=(N, 12))
    y = RNG.normal(size=(6, UNITS))[RUNS] + 1e-3 * RNG.normal(size=(N, UNITS))
    assert fit(x, y)["x"].r2.mean() > 0.9  # as items, which leak
    assert fit(x, y, runs=RUNS)["x"].r.mean() < 0.2


# ---- blocks, precision, files ------------------------------------------------------------------------------


@pytest.mark.parametrize("null", ["refit", "predictions"])
@pytest.mark.parametrize("method", ["ridge", "pls", "banded_ridge"])
def test_blocks_of_units_change_nothing(monkeypatch, null, method):
    if (method, null) == ("pls", "refit"):
        null = "predictions"
    whole = fit(method=method, null=null, searches=3)
    monkeypatch.setattr(_plan, "BLOCK_BYTES", 5 * N * 8 * 6 * (20 if null == "refit" else 1))
    parts = fit(method=method, null=null, searches=3)
    for name, scores in whole.scores.items():
        for field in ("r", "r2", "p_value", "p_maximum", "q_value", "option"):
            np.testing.assert_allclose(getattr(parts[name], field), getattr(scores, field), atol=1e-6)
        assert parts[name].mean_p == scores.mean_p
    assert parts.p_maximum == whole.p_maximum
    if whole.preference is not None:
        np.testing.assert_array_equal(parts.preference, whole.preference)


def test_a_mapped_file_in_single_precision_gives_the_same(tmp_path):
    np.save(tmp_path / "v.npy", VOXELS.astype(np.float32))
    found = fit(y=tmp_path / "v.npy")
    assert found.responses_name == "v"
    np.testing.assert_allclose(found["middle"].r, fit()["middle"].r, atol=2e-4)


def test_a_result_is_the_same_from_its_file(tmp_path):
    repeats = np.stack([VOXELS + RNG.normal(size=VOXELS.shape) for _ in range(3)])
    repeats[:, :, 2] = 7.0
    for method in ("ridge", "banded_ridge"):
        found = fit(y=repeats, method=method, searches=2)
        again = iso.Encoding.load(found.save(tmp_path / "e.json"))
        assert again.to_json() == found.to_json()
        assert repr(again) == repr(found)
        frame = again.to_frame()
        assert len(frame) == UNITS
        assert np.isnan(frame["r"][2])
        assert found.layer_of(2) is None or method == "banded_ridge"
        assert "1 of 16 units do not vary" in found.notes[0]


def test_the_same_call_gives_the_same_bytes():
    assert fit().to_json() == fit().to_json()


# ---- chance ------------------------------------------------------------------------------------------------


def test_shifts_by_a_transform_are_shifts_by_hand(monkeypatch):
    monkeypatch.setattr(_chance, "WIDENED", 1.0)
    folds = nested(N, RUNS, 3, 2, 0)
    shifts = Shifts(shifted_blocks(RUNS, folds, True, 0), 30, seed=1)
    truth, predictions = (normalized(RNG.normal(size=(N, 4)), folds) for _ in range(2))
    null = shifts.null(truth, predictions, 3)
    by_hand = [correlations(truth[order], predictions, 3) for order in shifts.orders(N)]
    np.testing.assert_allclose(null, by_hand, atol=1e-12)
    for order in shifts.orders(N):
        assert sorted(order) == list(range(N))
        np.testing.assert_array_equal(RUNS[order], RUNS)


def test_refits_are_fits_to_permuted_responses():
    folds = nested(N, RUNS, 5, 4, 0)
    shifts = Shifts(shifted_blocks(RUNS, folds, True, 0), 19, seed=0)
    found = fit(runs=RUNS, null="refit")
    null = [fit(y=VOXELS[order], runs=RUNS, permutations=0)["middle"].r for order in shifts.orders(N)]
    reached = np.sum(np.array(null) >= found["middle"].r, axis=0)
    np.testing.assert_allclose(found["middle"].p_value, (1 + reached) / 20, atol=1e-7)
    best = np.max(null, axis=1)
    np.testing.assert_allclose(
        found["middle"].p_maximum, [(1 + np.sum(best >= r)) / 20 for r in found["middle"].r], atol=1e-7
    )


def unrelated(seed, **settings):
    rng = np.random.default_rng([seed, 99])  # folds and shifts are drawn from `seed`
    x = {name: rng.normal(size=(60, 80)) for name in ("a", "b")}
    return iso.fit_encoding(x, rng.normal(size=(60, 8)), seed=seed, permutations=19, alphas=(1e-3, 0.1), **settings)


def share(null, trials=50):
    return float(np.mean([unrelated(s, null=null)["a"].p_value <= 0.05 for s in range(trials)]))


@pytest.mark.thorough
@pytest.mark.slow
def test_p_of_units_that_nothing_predicts_keep_their_level_and_need_the_widening(monkeypatch):
    """400 units: a share of 0.05 has a standard error of 0.011, of units of one experiment alone."""
    assert share("refit") <= 0.085
    assert share("predictions") <= 0.085
    monkeypatch.setattr(_chance, "WIDENED", 1.0)
    assert share("predictions") > 0.085


# ---- ceilings ----------------------------------------------------------------------------------------------


def test_reliability_is_cronbachs_alpha_and_the_mean_of_halves():
    signal = RNG.normal(size=(300, 5))
    repeats = signal + 1.5 * RNG.normal(size=(4, 300, 5))
    alpha, p = reliabilities(repeats, "signal_power", 0)
    k = len(repeats)
    items = [np.cov(repeats[:, :, u]) for u in range(5)]
    wanted = [k / (k - 1) * (1 - np.trace(c) / c.sum()) for c in items]
    np.testing.assert_allclose(alpha, wanted, rtol=1e-10)
    assert np.all(p < 1e-6)
    halves, _ = reliabilities(repeats, "split_half", 0)
    np.testing.assert_allclose(halves, alpha, atol=0.03)
    truth = [np.corrcoef(signal[:, u], repeats[:, :, u].mean(axis=0))[0, 1] for u in range(5)]
    np.testing.assert_allclose(np.sqrt(alpha), truth, atol=0.05)  # the ceiling of r is what the signal itself scores


def test_two_repeats_of_split_half_are_spearman_and_browns_formula():
    repeats = RNG.normal(size=(2, 50, 3)) + RNG.normal(size=(50, 3))
    found, _ = reliabilities(repeats, "split_half", 0)
    r = np.array([np.corrcoef(repeats[0, :, u], repeats[1, :, u])[0, 1] for u in range(3)])
    np.testing.assert_allclose(found, 2 * r / (1 + np.abs(r)), rtol=1e-12)


def test_repeats_that_share_nothing_have_no_ceiling_at_their_level():
    _, p = reliabilities(RNG.normal(size=(3, 40, 4000)), "signal_power", 0)
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 4000))


def test_a_model_that_knows_the_signal_reaches_its_ceiling():
    signal = LAYERS["middle"] @ RNG.normal(size=(8, 40))
    repeats = [signal / signal.std(axis=0) + 1.5 * RNG.normal(size=(N, 40)) for _ in range(4)]
    found = iso.fit_encoding(LAYERS, repeats, permutations=99)
    assert found.repeats == 4
    assert np.nanmedian(found.share("middle")) == pytest.approx(1, abs=0.12)
    assert np.nanmedian(found.share("early")) < 0.4
    apart = iso.fit_encoding(LAYERS, np.mean(repeats, axis=0), repeats=np.stack(repeats), permutations=0)
    np.testing.assert_allclose(apart.reliability, found.reliability, rtol=1e-6)


# ---- mistakes ----------------------------------------------------------------------------------------------


def bad(value):
    y = VOXELS.copy()
    y[3, 5] = value
    return y


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"y": bad(np.nan)}, "1 of 16 units hold NaN or infinity, the first is unit 5. Leave those units out"),
        ({"y": np.stack([VOXELS, bad(np.inf)])}, "1 of 16 units hold NaN"),
        ({"y": np.ones((N, 3))}, "no unit varies over the 120 items"),
        ({"y": VOXELS[:50]}, "x has 120 items and responses has 50"),
        ({"y": np.stack([VOXELS[:50]] * 2)}, "x has 120 items and responses has 50"),
        ({"y": [VOXELS, VOXELS[:, :3]]}, "a list is taken for repeats"),
        ({"y": {"a": VOXELS, "b": VOXELS}}, "responses has 2 layers: a, b. Say which holds the units"),
        ({"runs": RUNS[:5]}, "runs has 5 labels for 120 items"),
        ({"runs": np.zeros(N)}, "need at least 3 runs, found 1.*Cut the runs"),
        ({"runs": RUNS, "folds": 7}, "folds=7: there are 6 runs, which are not parted; use folds=6 or fewer"),
        ({"runs": RUNS, "inner_folds": 6}, "inner_folds=6: 4 runs are left to fit on"),
        ({"folds": 60}, "A fold holds out 2 of 120 rows; at least 3"),
        ({"runs": np.arange(N), "permutations": 19}, "Every run has one row"),
        ({"circular": True}, "no runs are given"),
        ({"method": "pls", "null": "refit"}, "null='refit' is not there for method='pls'"),
        ({"method": "lasso"}, "method='lasso' is not known"),
        ({"alphas": ()}, "alphas=.*1 to 1,000 values"),
        ({"alphas": (0.1, -1)}, "alphas holds -1; penalties must be numbers above 0"),
        ({"components": 0}, "components=0: a whole number of at least 1"),
        ({"layers": ["early"], "bands": ["early"]}, "say the same thing"),
        ({"bands": {"a": []}}, "one or more names of layers"),
        ({"repeats": VOXELS}, "repeats must be responses to items that were repeated"),
        ({"repeats": np.ones((2, 9, 3))}, "repeats has 9 items and 3 units; responses has 16 units"),
        ({"x": {"flat": np.ones((N, 3))}}, "A layer does not vary"),
        ({"x": iso.RDMs.from_arrays([1 - np.eye(N)])}, "holds an RDM"),
        ({"memory": "2 parsecs"}, "memory='2 parsecs'"),
    ],
)  # fmt: skip
def test_mistakes_are_answered_in_words(given, words):
    with pytest.raises(InputError, match=words):
        fit(**given)


def test_an_unknown_layer_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="middle"):
        fit(layers=["midle"])


def test_far_more_features_than_items_and_as_few_runs_as_can_be():
    wide = RNG.normal(size=(N, 900))
    wide[:, :8] += 8 * LAYERS["middle"]
    found = fit(x=wide, runs=np.arange(N) // 40)
    assert (found.folds, found.inner_folds) == (3, 2)
    assert found["x"].mean_r > 0.4


def test_a_damaged_file_is_refused(tmp_path):
    found = fit()
    short = dataclasses.replace(found, preference=found.preference[:3])
    with pytest.raises(InputError, match="preference has shape"):
        iso.Encoding.load(short.save(tmp_path / "e.json"))
