"""diagnose(): every signature is found where it was built in, and not where it was not."""

import dataclasses
import itertools

import numpy as np
import pytest

from isomorph.diagnosis import REGISTRY, diagnose, translation_limit
from isomorph.errors import InputError, UnknownNameError
from isomorph.metrics import metric
from isomorph.results import Diagnosis, load_result
from isomorph.scanning import scan
from isomorph.stitching import stitch

N = 200
QUICK = {"repeats": 2, "permutations": 19, "draws": 100, "curves": False}


@pytest.fixture(scope="module")
def gauss():
    return np.random.default_rng(0).normal(size=(N, 32))


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    x, labels = load_digits(return_X_y=True)
    return x[:900] - x[:900].mean(axis=0), labels[:900]


def only(name, *args, **kwargs):
    return diagnose(*args, signatures=[name], **kwargs)


def test_a_dominant_mean_is_found_and_gone_after_centring(gauss):
    shifted = gauss + 5
    found = only("anisotropy", shifted)
    assert "anisotropy" in found
    assert found["anisotropy"][0].evidence["mean cosine of two items"] > 0.9
    assert "anisotropy" not in only("anisotropy", shifted - shifted.mean(axis=0))


def test_a_hub_is_found_by_row_and_none_in_gaussian_data(gauss):
    rng = np.random.default_rng(1)
    spread = gauss - gauss.mean(axis=0)
    center = rng.normal(size=(1, 32))
    hubby = spread / np.linalg.norm(spread, axis=1, keepdims=True) + center / np.linalg.norm(center)
    hubby[17] = center / np.linalg.norm(center)  # where all others are near
    found = only("hubs", hubby)
    assert "hubs" in found
    assert found["hubs"][0].evidence["largest hub, row"] == 17
    assert "hubs" not in only("hubs", gauss)


def test_rank_collapse_is_found_and_full_rank_is_not(gauss):
    flat = gauss[:, :1] @ np.ones((1, 32)) + 0.01 * gauss
    assert "rank_collapse" in only("rank_collapse", flat)
    assert "rank_collapse" not in only("rank_collapse", gauss)


def test_outlier_dimensions_are_named(gauss):
    massive = gauss.copy()
    massive[:, 7] *= 100
    found = only("outlier_dimensions", massive)
    assert "outlier_dimensions" in found
    assert found["outlier_dimensions"][0].evidence["outlier features"] == "7"
    assert "outlier_dimensions" not in only("outlier_dimensions", gauss)


def test_copies_of_items_are_found_by_row(gauss):
    double = gauss.copy()
    double[11] = double[3]
    found = only("duplicates", double)["duplicates"][0]
    assert found.present
    assert found.evidence["first set, rows"] == "3, 11"
    assert not only("duplicates", gauss)["duplicates"][0].present


def test_a_modality_gap_needs_a_shared_space_and_a_shift(gauss):
    rng = np.random.default_rng(2)
    other = gauss + 0.5 * rng.normal(size=gauss.shape)
    shift = np.zeros(32)
    shift[0] = 8
    assert "modality_gap" in only("modality_gap", gauss + shift, other - shift)
    assert "modality_gap" not in only("modality_gap", gauss, other)
    unrelated = only("modality_gap", gauss + shift, rng.normal(size=gauss.shape) - shift)
    assert "modality_gap" not in unrelated
    assert "not one shared space" in unrelated["modality_gap"][0].summary
    assert "one width" in only("modality_gap", gauss, other[:, :9]).unchecked["modality_gap"]


def _moved(x, subset, length, seed=0):
    v = np.random.default_rng(seed).normal(size=x.shape[1])
    scale = np.sqrt(np.mean(np.sum(x**2, axis=1)))
    return x + subset[:, None] * length * scale * v / np.linalg.norm(v)


@pytest.mark.parametrize("classes", [(0, 1), (3,), (2, 5, 7)])
def test_cka_of_a_moved_subset_tends_to_the_closed_form(digits, classes):
    x, labels = digits
    subset = np.isin(labels, classes)
    cka = metric("cka(estimator='biased')")
    assert cka(x, _moved(x, subset, 1000)) == pytest.approx(translation_limit(x, subset), abs=1e-3)


def test_a_moved_subset_is_found_while_a_probe_stays_within_a_point(digits):
    x, labels = digits
    subset = np.random.default_rng(4).random(len(x)) < 0.2  # any block will do; this one has nothing to do with classes
    moved = _moved(x, subset, 30)
    found = only("subset_translation", x, moved, labels=labels)
    assert [f.present for f in found.findings] == [False, True]
    facts = found.present[0].evidence
    assert facts["CKA"] < 0.05
    assert facts["CKA with the block's offset taken out"] > 0.95
    assert facts["closed form of an infinite offset"] == pytest.approx(facts["CKA"], abs=5e-3)
    assert facts["probe accuracy, this side"] == pytest.approx(facts["probe accuracy, other side"], abs=0.01)
    assert set(map(int, facts["block, rows"].split(", "))) <= set(np.flatnonzero(subset))
    assert "takes CKA from" in repr(found)


def test_a_moved_class_leaves_nearest_neighbours_their_accuracy_and_is_found(digits):
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    x, labels = digits
    moved = _moved(x, labels == 0, 30)
    before, after = (cross_val_score(KNeighborsClassifier(3), z, labels, cv=5).mean() for z in (x, moved))
    assert after == pytest.approx(before, abs=0.01)
    assert "subset_translation" in only("subset_translation", x, moved, labels=labels)


def test_spaces_that_differ_otherwise_show_no_moved_subset(digits, gauss):
    x, labels = digits
    rotated = x @ np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0]
    assert "subset_translation" not in only("subset_translation", x, rotated, labels=labels)
    assert "subset_translation" not in only("subset_translation", gauss, np.random.default_rng(1).normal(size=(N, 9)))
    destroyed = np.where((labels <= 1)[:, None], 1e3, np.random.default_rng(2).normal(size=x.shape))
    assert "subset_translation" not in only("subset_translation", x, destroyed, labels=labels)


@pytest.fixture(scope="module")
def quadrants():
    """Four pairs with their classes: alike and useful, alike and useless, unlike and useful, unlike and useless."""
    rng = np.random.default_rng(5)
    z = rng.normal(size=(N, 6))
    labels = np.argmax(z[:, :4], axis=1)
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    padded = np.hstack([z, 0.1 * rng.normal(size=(N, 6))])
    shared = 30 * rng.normal(size=(N, 1))  # one loud direction that has nothing to do with the classes
    loud = [np.hstack([shared, rng.normal(size=(N, 11))]), np.hstack([shared, padded[:, :11]])]
    scales = np.geomspace(1, 30, 6)  # what is loud in one is quiet in the other
    tilted = [(z * s) @ np.linalg.qr(rng.normal(size=(12, 12)))[0][:6] for s in (scales, scales[::-1])]
    return {
        "alike, useful": (padded, padded @ turn, labels),
        "alike, useless": (*loud, labels),
        "unlike, useful": (*tilted, labels),
        "unlike, useless": (rng.normal(size=(N, 12)), padded, labels),
    }


@pytest.mark.parametrize(
    ("which", "signature"),
    [
        ("alike, useful", None),
        ("alike, useless", "similar_but_useless"),
        ("unlike, useful", "useful_but_dissimilar"),
        ("unlike, useless", None),
    ],
)
def test_geometry_against_function(quadrants, which, signature):
    x, y, labels = quadrants[which]
    found = diagnose(scan=scan(x, y, ["cka"], permutations=99), stitch=stitch(x, y, "ridge", labels=labels, **QUICK))
    for name in ("similar_but_useless", "useful_but_dissimilar"):
        assert (name in found) == (name == signature), found
    assert found.quadrant["metric"].startswith("cka")
    assert 0 <= found.quadrant["geometry"] <= 1
    assert 0 <= found.quadrant["function"] <= 1


def test_spaces_that_share_a_basis_are_useful_though_no_map_beats_the_identity():
    rng = np.random.default_rng(8)
    z = rng.normal(size=(300, 12))
    x, y = (z + 0.5 * rng.normal(size=z.shape) for _ in range(2))
    stitched = stitch(x, y, "ridge", **QUICK)
    assert not stitched["ridge"].above_controls
    found = diagnose(scan=scan(x, y, ["cka"], permutations=99), stitch=stitched)
    assert "similar_but_useless" not in found
    assert found.quadrant["function"] > 0.5


def test_noisy_copies_in_few_dimensions_are_not_useless_though_no_item_can_be_retrieved():
    rng = np.random.default_rng(11)
    z = rng.normal(size=(300, 2))
    x, y = (z + 0.4 * rng.normal(size=z.shape) for _ in range(2))
    given = {"scan": scan(x, y, ["cka"], permutations=99), "stitch": stitch(x, y, "ridge", **QUICK)}
    found = diagnose(x, y, **given)
    assert found.quadrant["uses"]["retrieval"] < 0.2
    assert found.quadrant["uses"]["reading"] > 0.5
    assert "similar_but_useless" not in found


def test_a_baseline_that_retrieves_as_well_does_not_make_a_map_useless():
    rng = np.random.default_rng(12)
    z = rng.normal(size=(300, 12))
    x, y, twin = (z @ rng.normal(size=(12, 20)) + 0.3 * rng.normal(size=(300, 20)) for _ in range(3))
    stitched = stitch(x, y, "ridge", x_baselines={"untrained": twin}, **QUICK)
    assert not stitched["ridge"].above_controls
    found = diagnose(scan=scan(x, y, ["cka"], permutations=99), stitch=stitched)
    assert found.quadrant["function"] > 0.8
    assert "similar_but_useless" not in found
    assert "untrained_twin" in only("untrained_twin", stitch=stitched)


def test_a_use_that_does_not_beat_controls_that_know_nothing_counts_as_none():
    rng = np.random.default_rng(13)
    x, y = rng.normal(size=(300, 12)), rng.normal(size=(300, 12))
    found = diagnose(scan=scan(x, y, ["cka"], permutations=99), stitch=stitch(x, y, "ridge", **QUICK))
    assert found.quadrant["function"] == 0.0


def test_a_gallery_of_few_items_or_one_in_which_all_is_found_is_too_small():
    rng = np.random.default_rng(6)
    z = rng.normal(size=(400, 8))
    x, y = (z + 0.8 * rng.normal(size=z.shape) for _ in range(2))
    large = stitch(x, y, "ridge", **QUICK)
    assert "gallery_too_small" not in only("gallery_too_small", stitch=large)
    assert "gallery_too_small" in only("gallery_too_small", stitch=stitch(x[:90], y[:90], "ridge", **QUICK))
    assert "gallery_too_small" in only("gallery_too_small", stitch=stitch(z, z @ z[:8], "ridge", **QUICK))
    assert "gallery_too_small" in only("gallery_too_small", scan=scan(x[:60], y[:60], "cka", permutations=19))
    assert "gallery_too_small" not in only("gallery_too_small", scan=scan(x, y, "cka", permutations=19))


@pytest.fixture(scope="module")
def deep():
    """Layers that learn more and more of a latent, their untrained twin, and a twin that is as good."""
    rng = np.random.default_rng(7)
    z, inputs = rng.normal(size=(N, 5)), rng.normal(size=(N, 5))
    y = {"y0": np.hstack([2 * z, 0.5 * inputs]) + 0.3 * rng.normal(size=(N, 10))}

    def layer(share, seed):
        own = np.random.default_rng(seed)
        both = np.hstack([share * z, 0.4 * inputs])
        return both @ own.normal(size=(10, 16)) + 0.05 * own.normal(size=(N, 16))

    trained = {f"l{k}": layer(s, k) for k, s in enumerate((0.0, 0.05, 1.0, 2.0))}
    twin = {f"l{k}": layer(0.0, 10 + k) for k in range(4)}
    as_good = {f"l{k}": layer(s, 20 + k) for k, s in enumerate((0.0, 0.05, 1.0, 2.0))}
    return trained, twin, as_good, y


def test_early_layers_that_a_random_bottom_matches_say_nothing(deep):
    trained, twin, _, y = deep
    results = {
        "scan": scan(trained, y, "cka", permutations=50, x_baselines={"untrained": twin}),
        "stitch": stitch(trained, y, "ridge", x_baselines={"untrained": twin}, **QUICK),
    }
    for kind, result in results.items():
        found = only("early_layers", **{kind: result})["early_layers"][0]
        assert found.present, found
        assert found.evidence["layers that say nothing"].startswith("l0")
        assert "l3" not in found.evidence["layers that say nothing"]
    later = {k: v for k, v in trained.items() if k in ("l2", "l3")}
    deep_only = scan(later, y, "cka", permutations=50, x_baselines={"u": {k: twin[k] for k in later}})
    assert not only("early_layers", scan=deep_only)["early_layers"][0].present


def test_an_untrained_twin_that_is_as_good_is_found_in_scan_stitch_and_features(deep):
    trained, twin, as_good, y = deep
    for other, expected in ((twin, False), (as_good, True)):
        baselines = {"x_baselines": {"untrained": other}}
        for given in (
            {"scan": scan(trained, y, "cka", permutations=50, **baselines)},
            {"stitch": stitch(trained, y, "ridge", **baselines, **QUICK)},
            {"x": trained, "y": y, **baselines},
        ):
            found = only("untrained_twin", **given)
            assert ("untrained_twin" in found) == expected, (found, list(given))


def test_a_baseline_keeps_its_own_name(deep):
    trained, _, as_good, y = deep
    found = only("untrained_twin", scan=scan(trained, y, "cka", permutations=50, x_baselines={"inputs": as_good}))
    (finding,) = found["untrained_twin"]
    assert finding.title == "as good: input statistics for x"
    assert "input statistics for x" in finding.summary
    assert "untrained" not in finding.where + finding.summary
    (finding,) = only(
        "untrained_twin", scan=scan(trained, y, "cka", permutations=50, x_baselines={"untrained": as_good})
    )["untrained_twin"]
    assert (finding.title, finding.where) == ("", "untrained x, scan")


def test_early_layers_are_judged_by_all_metrics_whichever_comes_first(deep):
    trained, twin, _, y = deep
    found = [
        only("early_layers", scan=scan(trained, y, metrics, permutations=50, x_baselines={"untrained": twin}))
        for metrics in (["cka", "mutual_knn(k=10)"], ["mutual_knn(k=10)", "cka"])
    ]
    evidence = [f["early_layers"][0].evidence for f in found]
    assert evidence[0]["how many"] == evidence[1]["how many"]
    assert "cka" in str(evidence[0]["by"])
    assert "mutual_knn" in str(evidence[0]["by"])


def test_plain_gaussian_features_show_nothing(gauss):
    other = np.random.default_rng(9).normal(size=(N, 32))
    found = diagnose(gauss, other, labels=np.arange(N) % 4)
    assert found.present == ()
    assert "0 of" in repr(found)


def test_what_cannot_be_looked_for_is_said_with_what_it_needs(gauss):
    found = diagnose(gauss)
    assert "needs a scan and a stitch" in found.unchecked["similar_but_useless"]
    assert "needs features of both sides" in found.unchecked["modality_gap"]
    with pytest.raises(KeyError, match="needs a scan and a stitch"):
        found["useful_but_dissimilar"]
    assert set(found.unchecked) | {f.signature for f in found.findings} == set(REGISTRY.classes)


def test_the_worst_layer_of_each_side_is_reported_and_the_others_are_counted(gauss):
    layers = {"a": gauss, "b": gauss + 3, "c": gauss + 9}
    (finding,) = only("anisotropy", layers).findings
    assert finding.where == "x, c"
    assert finding.evidence["layers"] == "2 of 3: b, c"


def test_every_finding_that_is_present_says_what_to_do(gauss):
    found = diagnose(gauss + 5)
    assert found.present
    assert all(f.advice and f.summary and f.evidence for f in found.present)
    assert not any(f.advice for f in found.findings if not f.present)


def test_a_diagnosis_comes_back_whole(gauss, tmp_path):
    found = diagnose(gauss + 5, gauss[:, :8])
    loaded = load_result(found.save(tmp_path / "d.json"))
    assert isinstance(loaded, Diagnosis)
    assert repr(loaded) == repr(found)
    assert loaded.to_records() == found.to_records()
    assert diagnose(gauss + 5, gauss[:, :8]).to_json() == found.to_json()


def test_a_cut_of_two_blocks_is_exact_and_survives_constant_features():
    from isomorph.diagnosis.translation import block_apart

    inside, between = block_apart(np.array([[0.0], [0.1], [9.0], [0.2], [9.1]]))
    assert list(np.flatnonzero(inside)) == [2, 4]
    assert between > 0.99
    inside, between = block_apart(np.ones((5, 2)))
    assert (inside.sum(), between) == (0, 0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Nothing to diagnose"),
        ({"y": np.eye(4)}, "y was given without x"),
        ({"x": np.eye(4), "scan": 3}, "scan is a int"),
        ({"fusion": "fusion.json"}, "fusion is a str; a Fusion is needed"),
        ({"x": np.eye(4), "labels": [1]}, "labels has 1 labels for 4 items"),
        ({"x": np.eye(4), "x_baselines": {"u": np.eye(4)}}, "give both x and y"),
        ({"x": np.eye(4), "y": np.eye(5)}, "row i of both"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        diagnose(**arguments)


def test_unknown_signatures_get_the_nearest_names(gauss):
    with pytest.raises(UnknownNameError, match="Did you mean 'hubs'"):
        only("hub", gauss)


@pytest.mark.parametrize("subset", [np.zeros(N, dtype=bool), np.ones(N, dtype=bool), np.arange(N), np.ones(3, bool)])
def test_a_subset_must_be_some_of_the_items(gauss, subset):
    with pytest.raises(InputError, match="subset must be"):
        translation_limit(gauss, subset)


def test_results_are_frozen(gauss):
    with pytest.raises(dataclasses.FrozenInstanceError):
        diagnose(gauss).n = 3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("power", [-310, -160, 150, 299])
def test_findings_do_not_depend_on_the_unit_of_the_features(power):
    x = np.random.default_rng(0).normal(size=(40, 5))
    plain, found = diagnose(x, x[::-1] + 1), diagnose(x * 10.0**power, (x[::-1] + 1) * 10.0**power)
    assert [f.present for f in found.findings] == [f.present for f in plain.findings]


def test_features_of_which_copies_do_not_fit_the_limit_are_refused_before_anything_is_looked_at():
    x = np.ones((10_000, 20))
    with pytest.raises(InputError, match=r"diagnose holds about 8 copies of features of 10,000 x 40"):
        diagnose(x, x, memory="16MB")


def test_matching_items_stand_out_by_the_standard_deviation_of_all_pairings():
    from isomorph.diagnosis.pairs import _matched

    a, b = np.random.default_rng(0).normal(size=(2, 7, 3))
    u, v = ((z - z.mean(axis=0)) / np.linalg.norm(z - z.mean(axis=0), axis=1, keepdims=True) for z in (a, b))
    s = u @ v.T
    sums = np.array([s[np.arange(7), list(order)].sum() for order in itertools.permutations(range(7))])
    assert _matched(a, b) == pytest.approx((np.trace(s) - sums.mean()) / sums.std())
