"""Many models at once: scores against scan's, planted ladders, bad input."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

import isomorph as iso
from isomorph.design import Design
from isomorph.errors import InputError, UnknownNameError
from isomorph.population import consensus

PREDICT = "ridge_predictivity(direction='x_to_y')"
QUICK = {"permutations": 39, "splits": 2, "show": False}


def made(n=120, d=6, count=4, seed=0):
    """Models of three layers that share more and more of z, by name, the last one a reference."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, d))
    models = {}
    for k in range(count):
        share = 0.4 * (k + 1)
        models[f"m{k}"] = {f"l{j}": share * (j + 1) / 3 * z + rng.normal(size=(n, d)) for j in range(3)}
    return models | {"reference": {"first": rng.normal(size=(n, d)), "last": z + 0.3 * rng.normal(size=(n, d))}}


@pytest.fixture(scope="module")
def models():
    return made()


@pytest.fixture(scope="module")
def found(models):
    return iso.atlas(models, ["cka", "mutual_knn(k=5)"], attributes={"size": [1, 2, 4, 8, None]}, seed=3, **QUICK)


def test_a_score_is_that_of_the_best_pair_of_layers(models, found):
    for spec in ("cka", "mutual_knn(k=5)"):
        for i, x in enumerate(models):
            for j, y in enumerate(models):
                if i == j:
                    continue
                best = iso.scan(models[x], models[y], spec, permutations=19, intervals=False, neighbors=0)[spec].best()
                assert found[spec].values[i, j] == pytest.approx(best.value, abs=1e-6)
                assert found[spec].layers[i][j] == (best.x_layer, best.y_layer)


def test_p_and_chance_are_those_of_the_best_pair_of_a_scan(models, found):
    scan = iso.scan(models["m3"], models["reference"], "cka", permutations=39, seed=3, neighbors=0)["cka"]
    a = found["cka"]
    assert a.p_maximum[3, 4] == pytest.approx(scan.p_maximum)
    assert a.chance[3, 4] == pytest.approx(scan.permuted["mean"], abs=1e-6)


def test_the_standard_error_is_that_of_a_scan(models, found):
    row = next(r for r in found.to_records() if (r["x"], r["y"]) == ("m3", "reference"))
    scan = iso.scan(models["m3"], models["reference"], "cka", permutations=19, neighbors=0)["cka"]
    low, high = next(
        (r["low"], r["high"])
        for r in scan.to_records()
        if (r["x_layer"], r["y_layer"]) == (row["x_layer"], row["y_layer"])
    )
    assert row["standard_error"] == pytest.approx((high - low) / 4, rel=0.15)


def test_a_model_is_as_alike_as_can_be_with_itself_and_matrices_are_symmetric(found):
    a = found["cka"]
    assert np.allclose(np.diag(a.values), 1.0)
    for matrix in (a.values, a.chance, a.p_maximum, a.calibrated, a.held_out, a.q):
        assert np.allclose(matrix, matrix.T, equal_nan=True)
    assert np.isnan(np.diag(a.q)).all()


def test_the_result_comes_back_to_the_last_byte(found, tmp_path):
    again = iso.load_result(found.save(tmp_path / "atlas.json"))
    assert again.to_json() == found.to_json()
    assert repr(again) == repr(found)
    assert again.trend("size", reference="reference").to_json() == found.trend("size", reference="reference").to_json()


def test_the_same_call_gives_the_same_bytes(models, found):
    again = iso.atlas(models, ["cka", "mutual_knn(k=5)"], attributes={"size": [1, 2, 4, 8, None]}, seed=3, **QUICK)
    assert again.to_json() == found.to_json()


def test_the_scores_of_all_layers_are_kept_on_disk_if_asked_for(models, found, tmp_path):
    iso.atlas(models, "cka", seed=3, keep=tmp_path / "kept", **QUICK)
    names = json.loads((tmp_path / "kept" / "layers.json").read_text())
    kept = np.load(tmp_path / "kept" / "cka-estimator=-unbiased.npy")
    assert kept.shape == (14, 14)
    assert names[13] == ["reference", "last"]
    assert kept[11, 13] == pytest.approx(iso.metric("cka")(models["m3"]["l2"], models["reference"]["last"]), abs=1e-6)
    assert np.allclose(kept, kept.T)
    assert not np.isnan(kept).any()


def test_tiles_give_what_one_tile_gives(models, found, monkeypatch):
    monkeypatch.setattr("isomorph.atlases._tiles.TILE", 4)
    again = iso.atlas(models, "cka", seed=3, **QUICK)["cka"]
    whole = found["cka"]
    for name in ("values", "chance", "p_maximum", "calibrated", "held_out"):
        assert np.allclose(getattr(again, name), getattr(whole, name), atol=1e-6, equal_nan=True)
    assert np.allclose(again.profiles, whole.profiles, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("layers", ["last", "row maxima", "matching", "stacked"])
def test_other_ways_to_make_one_score_of_the_layers(models, layers):
    a = iso.atlas({k: models[k] for k in ("m1", "m3", "reference")}, "cka", layers=layers, **QUICK)["cka"]
    cka = iso.metric("cka")
    x, y = models["m3"], models["reference"]
    block = np.array([[cka(u, v) for v in y.values()] for u in x.values()])
    if layers == "last":
        wanted = block[-1, -1]
    elif layers == "row maxima":
        wanted = np.concatenate([block.max(axis=1), block.max(axis=0)]).mean()
    elif layers == "matching":
        wanted = max(block[i, 0] + block[j, 1] for i in range(3) for j in range(3) if i != j) / 2
    else:
        unit = [np.hstack([(v - v.mean(0)) / np.linalg.norm(v - v.mean(0)) for v in s.values()]) for s in (x, y)]
        wanted = cka(*unit)
    assert a.values[1, 2] == pytest.approx(wanted, abs=1e-6)
    assert 0 < a.p_maximum[1, 2] <= 1


def test_a_metric_that_is_not_symmetric_is_scored_both_ways(models):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(150, 8))
    given = {"whole": x, "half": x[:, :4] + 0.05 * rng.normal(size=(150, 4)), "other": rng.normal(size=(150, 8))}
    a = iso.atlas(given, ["cka", PREDICT], **QUICK)
    values = a[PREDICT].values
    assert values[0, 1] > values[1, 0] + 0.1
    given |= {f"w{k}": x + 0.1 * rng.normal(size=(150, 8)) for k in range(3)}
    told = iso.atlas(given, ["cka", PREDICT], **QUICK).directions("half", ["w0", "w1", "w2"])
    assert told.forward > 0.8 > told.backward
    with pytest.raises(InputError, match="ridge_predictivity"):
        iso.atlas(given, "cka", **QUICK).directions("half", ["whole"])


def test_a_distance_is_read_the_other_way_round(models):
    a = iso.atlas(models, "procrustes_distance", attributes={"size": [1, 2, 4, 8, None]}, **QUICK)
    b = a["procrustes_distance"]
    assert b.distance
    assert a.neighbors("reference")[0].model == "m3"
    assert b.values[4, 3] < b.values[4, 0]
    trend = a.trend("size", reference="reference")
    assert trend.slopes["raw"].value < 0
    assert trend.slopes["held_out"].value > 0
    assert np.all(a.distances() >= 0)


def test_items_are_joined_by_id_over_all_models_and_lost_ones_are_counted():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 4))
    ids = [f"i{k}" for k in range(60)]
    models = {
        "a": iso.Layers.from_arrays({"l": z}, ids=ids, n_parameters=10, modality="text"),
        "b": iso.Layers.from_arrays({"l": z[::-1] + 0.1}, ids=ids[::-1], n_parameters=20, modality="image"),
        "c": iso.Layers.from_arrays({"l": z[:50]}, ids=ids[:50], n_parameters=30, modality="image"),
    }
    a = iso.atlas(models, "cka", **QUICK)
    assert a.n == 50
    assert a["cka"].values[0, 1] == pytest.approx(1.0, abs=1e-6)
    assert "10 of the 60 items of a and 10 of the 60 items of b are not there for all by id" in a.notes[0]
    assert a.attribute("parameters") == (10.0, 20.0, 30.0)
    across = iso.atlas(models, "cka", pairs="across modality", **QUICK)["cka"]
    assert np.isnan(across.values[1, 2])
    assert across.values[0, 2] == pytest.approx(1.0, abs=1e-6)


def test_attributes_come_from_tables_and_mappings(models, tmp_path):
    path = tmp_path / "models.csv"
    path.write_text("model,size,family\nm0,1,a\nm1,2,a\nm2,4,b\nm3,,b\nelsewhere,9,c\n")
    a = iso.atlas(models, "cka", attributes=path, **QUICK)
    assert a.attribute("size") == (1.0, 2.0, 4.0, None, None)
    assert a.attribute("family") == ("a", "a", "b", "b", None)
    assert a.attribute("log size") == (0.0, 1.0, 2.0, None, None)
    assert a.attribute("depth") == (3.0, 3.0, 3.0, 3.0, 2.0)
    by_model = iso.atlas(models, "cka", attributes={"m0": {"size": 1}, "m1": {"size": 2}}, **QUICK)
    assert by_model.attribute("size") == (1.0, 2.0, None, None, None)
    trend = a.trend("size", reference="reference")
    assert "m3" in trend.notes[0]


def test_pairs_to_a_reference_only(models):
    a = iso.atlas(models, "cka", pairs="to reference", reference="reference", **QUICK)["cka"]
    assert len(a.pairs) == 4
    assert np.isnan(a.values[0, 1])


def test_groups_move_and_are_cut_as_a_whole(models):
    groups = np.arange(120) // 2
    a = iso.atlas(models, "cka", groups=groups, **QUICK)
    assert "whole groups" in a.design
    assert len(a["cka"].deviations) == 60


def test_depth_of_the_best_layer_and_profiles(found):
    depths = found.depths("reference")
    assert depths["m3"].value == 1.0
    assert 0 <= depths["m0"].low <= depths["m0"].high <= 1
    profile = found["cka"].profile(3, [4])
    assert profile.shape == (3,)
    assert profile.argmax() == 2
    assert found.depth_trend("size", "reference").models == 4


# ---- trends and thresholds ------------------------------------------------------------------------------------------


def ladder(scores, n=200, d=8, seed=0, layers=None, own=0):
    """Models of which the CKA with the reference is `scores` in the population."""
    z = np.random.default_rng(seed).normal(size=(n, d))
    rng = np.random.default_rng([seed, own + 1])
    shares = [np.sqrt(s / (1 - s)) for s in scores]
    models = {
        f"m{k}": [s * z + rng.normal(size=(n, d)) for _ in range(1 if layers is None else layers[k])]
        for k, s in enumerate(shares)
    }
    twins = {name: rng.normal(size=(n, d)) for name in models}
    return models | {"reference": z}, twins, {name: 2.0**k for k, name in enumerate(models)}


def test_a_trend_is_found_raw_calibrated_held_out_and_beyond_the_twins():
    models, twins, sizes = ladder([0.1, 0.18, 0.26, 0.34, 0.42, 0.5])
    a = iso.atlas(models, "cka", attributes={"size": sizes}, baselines=twins, **QUICK)
    trend = a.trend("size", reference="reference")
    assert trend.logarithmic
    for kind in ("raw", "held_out", "above_untrained"):
        low, high = trend.slopes[kind].items
        assert low < 0.08 < high, kind
    assert trend.slopes["untrained"].items[0] < 0 < trend.slopes["untrained"].items[1]
    assert trend.slopes["raw"].p_value == pytest.approx(2 / 720)
    assert trend.rises
    assert trend.verdict.startswith("Alignment rises with size")
    assert trend.slopes["raw"].rank == 1.0
    assert [r.model for r in trend.rungs] == [f"m{k}" for k in range(6)]


def test_a_trend_that_the_twins_have_too_is_called_that():
    models, _, sizes = ladder([0.1, 0.18, 0.26, 0.34, 0.42, 0.5])
    twins, _, _ = ladder([0.1, 0.18, 0.26, 0.34, 0.42, 0.5], own=1)
    del twins["reference"]
    a = iso.atlas(models, "cka", attributes={"size": sizes}, baselines=twins, **QUICK)
    assert "the architecture does it" in a.trend("size", reference="reference").verdict


def test_growth_of_the_number_of_features_alone_is_called_that():
    rng = np.random.default_rng(1)
    n = 120
    z = rng.normal(size=(n, 6))
    models = {f"m{k}": np.c_[z + rng.normal(size=(n, 6)), 0.5 * rng.normal(size=(n, 6 * 2**k))] for k in range(6)}
    models["reference"] = np.c_[z, 0.5 * rng.normal(size=(n, 48))]
    sizes = {f"m{k}": 2.0**k for k in range(6)}
    a = iso.atlas(models, "cka(estimator='biased')", attributes={"size": sizes}, **QUICK)
    trend = a.trend("size", reference="reference")
    assert trend.slopes["raw"].rises
    assert not trend.rises
    assert trend.verdict.startswith("Only the raw score rises")


def test_few_rungs_give_differences_and_no_test():
    models, _, sizes = ladder([0.1, 0.5])
    a = iso.atlas(models, "cka", attributes={"size": sizes}, **QUICK)
    trend = a.trend("size", reference="reference")
    assert not trend.testable
    assert "No trend can be tested" in trend.verdict
    assert trend.steps[0].low > 0.2


def test_a_slope_within_families_ignores_their_levels():
    models, _, _ = ladder([0.1, 0.2, 0.3, 0.6, 0.5, 0.4])
    sizes = {"m0": 1, "m1": 2, "m2": 4, "m3": 8, "m4": 16, "m5": 32}
    families = {f"m{k}": "ab"[k // 3] for k in range(6)}
    a = iso.atlas(models, "cka", attributes={"size": sizes, "family": families}, **QUICK)
    within = a.trend("size", reference="reference", within="family")
    pooled = a.trend("size", reference="reference")
    assert pooled.slopes["raw"].value > 0.03
    assert abs(within.slopes["raw"].value) < 0.03
    assert len(within.steps) == 4


def test_a_threshold_is_found_and_none_where_there_is_none():
    models, twins, sizes = ladder([1e-9, 1e-9, 0.15, 0.25, 0.35])
    a = iso.atlas(models, "cka", attributes={"size": sizes}, baselines=twins, **QUICK)
    found = a.threshold("size", reference="reference")
    assert (found.model, found.against) == ("m2", "untrained twins")
    assert "From m2 on" in found.verdict
    models, twins, sizes = ladder([1e-9] * 5, seed=5)
    none = iso.atlas(models, "cka", attributes={"size": sizes}, baselines=twins, **QUICK).threshold("size", "reference")
    assert none.model is None
    assert "No threshold" in none.verdict
    by_chance = iso.atlas(models, "cka", attributes={"size": sizes}, **QUICK).threshold("size", "reference")
    assert by_chance.against == "chance"


def test_specialists_factors_tree_and_embedding():
    rng = np.random.default_rng(2)
    z, w = rng.normal(size=(2, 200, 6))
    models = {f"g{k}": z + 0.7 * rng.normal(size=(200, 6)) for k in range(5)}
    models |= {f"s{k}": w + 0.7 * rng.normal(size=(200, 6)) for k in range(3)}
    roles = {name: "generalist" if name.startswith("g") else "specialist" for name in models}
    a = iso.atlas(models, "cka", attributes={"role": roles, "size": dict.fromkeys(models, 1) | {"g0": 2}}, **QUICK)
    gap = a.divergence(["s0", "s1", "s2"], "generalist")
    assert gap.difference > 0.3
    assert gap.p_value == pytest.approx(1 / 56)
    assert gap.over_items.low > 0
    told = a.factors(["role", "log size"])
    assert told.effects["role"].p_value < 0.05 < told.effects["log size"].p_value
    clades = {frozenset(c.members) for c in a.tree().clades if c.support > 0.9}
    assert frozenset(f"g{k}" for k in range(5)) in clades
    assert a.embedding().points.shape == (8, 2)
    assert len(set(a.clusters().labels)) == 2


# ---- kinds of items, and one space for all ---------------------------------------------------------------------------

KIND = np.repeat(["music", "speech"], [110, 90])
POOL, ODD = [f"g{k}" for k in range(6)], ["s0", "s1", "s2"]


def on_two_kinds(seed=0, n=200):
    """A pool that shares z, and specialists that share it on speech alone and another space on music."""
    rng = np.random.default_rng(seed)
    z, w = rng.normal(size=(2, n, 6))
    own = np.where((KIND == "music")[:, None], w, z)
    models = {name: z + 0.7 * rng.normal(size=(n, 6)) for name in POOL}
    return models | {name: own + 0.7 * rng.normal(size=(n, 6)) for name in ODD}


@pytest.fixture(scope="module")
def apart():
    questions = [{"ask": "domain_divergence", "specialists": ODD, "pool": POOL}]
    return iso.atlas(on_two_kinds(), ["cka", "mutual_knn(k=5)"], domains=KIND, questions=questions, **QUICK)


def test_an_atlas_by_domain_is_the_atlas_of_the_items_of_each(apart):
    assert list(apart.domains) == ["music", "speech"]
    for domain, part in apart.domains.items():
        rows = np.flatnonzero(domain == KIND)
        alone = iso.atlas({k: v[rows] for k, v in on_two_kinds().items()}, ["cka", "mutual_knn(k=5)"], **QUICK)
        assert part.n == len(rows)
        assert part.models == apart.models
        for metric in apart:
            for name in ("scores", "chances", "p_values", "excess", "halves", "halves_chance", "deviations", "rates"):
                mine, theirs = getattr(part[metric], name), getattr(alone[metric], name)
                assert np.allclose(mine, theirs, rtol=1e-3, atol=1e-6, equal_nan=True), name
    whole = iso.atlas(on_two_kinds(), ["cka", "mutual_knn(k=5)"], **QUICK)
    for metric in apart:
        assert whole[metric].to_json() == apart[metric].to_json()  # all items together are what they were


def test_specialists_lie_outside_on_items_of_their_kind_alone(apart, tmp_path):
    found = apart.domain_divergence(ODD, POOL)
    assert found.domains == ("music", "speech")
    assert found.inside.diverges
    assert found.inside.difference > 0.4
    assert abs(found.outside.difference) < 0.1
    assert found.inside.difference == pytest.approx(apart.domains["music"].divergence(ODD, POOL).difference)
    assert found.difference == pytest.approx(found.inside.difference - found.outside.difference)
    assert found.over_both.low > 0
    assert found.differs
    other = apart.domain_divergence(ODD, POOL, inside="speech", metric="mutual_knn(k=5)")
    assert other.domains == ("speech", "music")
    assert other.difference < 0
    again = iso.load_result(apart.save(tmp_path / "a.json"))
    assert again.to_json() == apart.to_json()
    assert [a.told for a in again.answers] == [a.told for a in apart.answers]
    assert found.told == apart.answers[0].told
    assert "by domain, both" in apart.answers[0].asked
    assert any("110 of music, 90 of speech" in note for note in apart.notes)


def test_domains_are_a_label_set_or_one_value_of_it_against_all_others(tmp_path):
    rng = np.random.default_rng(3)
    ids = tuple(f"i{k}" for k in range(60))
    kinds = tuple(("cat", "dog", "cow")[k % 3] for k in range(60))
    items = iso.PairedItems("pets", ids, {"text": ids}, {"kind": kinds})
    models = {k: iso.Layers.from_arrays({"l": rng.normal(size=(60, 4))}, ids=ids) for k in "abcde"}
    three = iso.atlas(models, "cka", items=items, domains="kind", **QUICK)
    assert list(three.domains) == ["cat", "dog", "cow"]
    two = iso.atlas(models, "cka", items=items, domains="kind=dog", **QUICK)
    assert {name: part.n for name, part in two.domains.items()} == {"dog": 20, "not dog": 40}
    assert [*two.domains] == ["dog", "not dog"]
    one = three.domain_divergence(["a"], ["b", "c", "d"], inside="dog", outside="cat")
    assert one.domains == ("dog", "cat")
    with pytest.raises(InputError, match=r"must be two of the domains cat, dog, cow; with more than two give both"):
        three.domain_divergence(["a"], ["b", "c", "d"])
    with pytest.raises(InputError, match="must be two of the domains"):
        three.domain_divergence(["a"], ["b", "c", "d"], inside="dog", outside="dog")
    with pytest.raises(UnknownNameError, match="dog"):
        three.domain_divergence(["a"], ["b", "c", "d"], inside="dig", outside="cat")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"domains": ["a"] * 120}, "all items are 'a'"),
        ({"domains": ["a"] * 119 + ["b"]}, "'b' has 1 items"),
        ({"domains": ["a", "b"]}, "2 labels for 120 items"),
        ({"domains": "kind"}, "names a label set of items="),
        ({"domains": ["a", "b"] * 60, "groups": np.arange(120) // 2}, "a group of items is in"),
        ({"domains": ["a", "b"] * 60, "circular": True}, "no single stretch"),
        ({"questions": [{"ask": "domain_divergence", "specialists": ["m0"], "pool": ["m1", "m2", "m3"]}]}, "domains="),
        ({"consensus": -1}, "consensus"),
        ({"consensus": True}, "consensus"),
    ],
)
def test_wrong_kinds_of_items_are_answered_in_words_before_anything_is_computed(models, monkeypatch, changed, message):
    monkeypatch.setattr("isomorph.atlases._atlas.compare", None)  # calling it would fail
    with pytest.raises(InputError, match=message):
        iso.atlas(models, "cka", **QUICK | changed)


def test_an_atlas_without_domains_or_space_says_how_to_have_them(found):
    with pytest.raises(InputError, match=r"domains="):
        found.domain_divergence(["m0"], ["m1", "m2", "m3"])
    with pytest.raises(InputError, match=r"consensus=16"):
        found.consensus()


def test_groups_keep_to_their_domain_and_move_as_a_whole():
    groups = np.arange(200) // 2  # two items each, all of one kind
    a = iso.atlas(on_two_kinds(), "cka", domains=KIND, groups=groups, **QUICK)
    for part in a.domains.values():
        assert "whole groups" in part.design
        assert len(part["cka"].deviations) == part.n // 2


def test_one_space_is_fitted_on_half_of_the_items_by_layers_that_this_half_chose(tmp_path):
    models = made(n=160)
    a = iso.atlas(models | {"noise": np.random.default_rng(9).normal(size=(160, 6))}, "cka", consensus=4, **QUICK)
    space = a.consensus()
    assert space.models == a.models
    assert (space.axes, space.n_train, space.n_test) == (4, 80, 80)
    assert space.layers[3:5] == ("l2", "last")
    assert space.cca[3:5].min() > 0.5
    assert abs(space.cca[5]) < 0.2
    assert space.cca_p[3:5].max() <= 0.05 < space.cca_p[5]
    assert np.abs(space.cca_chance).max() < 0.1
    again = iso.load_result(a.save(tmp_path / "a.json"))
    assert again.consensus().to_records() == space.to_records()
    # by hand: the first half of the first split is fitted on
    part = Design().part(160, 0.5, 0)
    chosen = {m: np.asarray((models | {"noise": {"noise": None}})[m][layer]) for m, layer in
              zip(space.models[:5], space.layers[:5], strict=True)}  # fmt: skip
    rows = np.flatnonzero(part), np.flatnonzero(~part)
    without = iso.atlas(models, "cka", consensus=4, **QUICK).consensus()
    assert without.layers == space.layers[:5]
    assert np.allclose(without.procrustes, consensus(chosen, *rows, rank=4, seed=0).procrustes.values)


def test_a_layer_of_the_space_is_not_chosen_by_the_items_it_is_judged_on():
    """A layer that is alike on the held-out half alone is not taken."""
    rng = np.random.default_rng(4)
    z, part = rng.normal(size=(200, 5)), Design().part(200, 0.5, 0)

    def on(rows, noise):
        return np.where(rows[:, None], z, rng.normal(size=z.shape)) + noise * rng.normal(size=z.shape)

    models = {k: [on(part, 0.5), on(~part, 0.1)] for k in "abc"} | {"whole": [z, z + rng.normal(size=z.shape)]}
    space = iso.atlas(models, "cka", consensus=3, **QUICK).consensus()
    assert space.layers[:3] == ("layer_00",) * 3


def test_files_of_earlier_versions_have_no_domains_and_no_space(found, tmp_path):
    data = json.loads(found.to_json())
    for name in ("domains", "space"):
        del data[name]
    (tmp_path / "old.json").write_text(json.dumps(data))
    old = iso.load_result(tmp_path / "old.json")
    assert (old.domains, old.space) == ({}, None)
    threshold = found.threshold("size", reference="reference")
    data = json.loads(threshold.to_json())
    for name in ("rungs_needed", "rungs_lacking"):
        del data[name]
    (tmp_path / "old.json").write_text(json.dumps(data))
    assert iso.load_result(tmp_path / "old.json").rungs_needed is None


def test_where_no_threshold_is_found_the_words_say_how_many_rungs_would_be_needed_or_why_not():
    models, twins, sizes = ladder([1e-9] * 5, seed=5)
    flat = iso.atlas(models, "cka", attributes={"size": sizes}, baselines=twins, **QUICK).threshold("size", "reference")
    assert flat.model is None
    assert flat.rungs_needed is None
    assert "rungs would be needed cannot be said: the differences are not shown to rise" in flat.verdict
    rises = dataclasses.replace(flat, rungs_needed=8, rungs_lacking="")
    assert "about 8 rungs would be needed, 3 more than these" in rises.verdict
    # twins that come as near as the models but for a rising rest: the last rung is just not shown
    models, _, sizes = ladder([0.02, 0.05, 0.1, 0.17, 0.25], n=400)
    twins, _, _ = ladder([0.25] * 5, n=400, own=1)
    del twins["reference"]
    a = iso.atlas(models, "cka", attributes={"size": sizes}, baselines=twins, **QUICK)
    near = a.threshold("size", "reference")
    assert near.model is None
    assert 5 < near.rungs_needed <= 9
    assert f"about {near.rungs_needed} rungs would be needed" in near.verdict


def test_the_code_of_the_docs_runs_and_shows_what_it_says(capsys):
    page = (Path(__file__).parents[1] / "docs" / "atlas.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        space: dict[str, object] = {}
        exec(block, space)
        found = space["found"]
        assert found.inside.diverges
        assert not found.outside.diverges
        assert "they lie farther out on music" in capsys.readouterr().out


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"models": {"a": np.eye(5)}}, "at least two"),
        ({"models": [np.eye(5)]}, "features by name"),
        ({"layers": "first"}, "layers='first'"),
        ({"pairs": "some"}, "pairs='some'"),
        ({"pairs": "to reference"}, "needs reference="),
        ({"reference": "m0"}, "pairs='to reference'"),
        ({"pairs": "across modality"}, "modality of every model"),
        ({"permutations": 5}, "at least 19"),
        ({"splits": 0}, "splits"),
        ({"attributes": {"size": [1, 2]}}, "one value for each of the 5 models"),
        ({"attributes": 5}, "attributes must be"),
        ({"attributes": {"size": {"m0": [1]}}}, "text or a number"),
        ({"baselines": {"m0": np.ones((3, 2)) * np.arange(3)[:, None]}}, r"baselines\['m0'\] is not of the same items"),
        ({"keep": __file__}, "^keep.* is a file, no folder"),
        ({"models": {k: np.random.default_rng(ord(k)).normal(size=(5, 2)) for k in "ab"}}, "Half of the 5 items"),
    ],
)
def test_bad_input_is_answered_in_words(models, changed, message):
    given = {"models": models, "metrics": "cka"} | changed
    with pytest.raises(InputError, match=message):
        iso.atlas(given.pop("models"), given.pop("metrics"), **QUICK | given)


def test_unknown_names_get_suggestions(models, found):
    with pytest.raises(UnknownNameError, match="m3"):
        iso.atlas(models, "cka", baselines={"mO": models["m0"]}, **QUICK)
    with pytest.raises(UnknownNameError, match="reference"):
        iso.atlas(models, "cka", pairs="to reference", reference="referense", **QUICK)
    with pytest.raises(UnknownNameError, match="size"):
        found.trend("sizes")
    with pytest.raises(UnknownNameError, match="reference"):
        found.trend("size", reference="referenc")
    with pytest.raises(UnknownNameError, match="cka"):
        found.trend("size", metric="ckaa")
    with pytest.raises(UnknownNameError, match="m1"):
        found.neighbors("n1")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda a: a.trend("modality"), "attribute"),
        (lambda a: a.trend("size", reference=["m1", "m2", "m3", "reference"]), "at least two models"),
        (lambda a: a.trend("flat"), r"attribute='flat' has one value \(1 of m0\)"),
        (lambda a: a.trend("size", within="kind"), "attribute='size' has one value inside each kind"),
        (lambda a: a.trend("size", models=5), "models: 5 names no model"),
        (lambda a: a.divergence(["m0"], {"kind": "zebra"}), "pool: no model has kind='zebra'"),
        (lambda a: a.trend("kind"), "no number"),
        (lambda a: a.trend("size", reference={"kind": "zebra"}), "no model has"),
        (lambda a: a.threshold("size", reference=["m0", "m1"]), "three rungs"),
        (lambda a: a.divergence(["m0"], ["m1", "m2"]), "at least 3"),
        (lambda a: a.attribute("log kind"), "logarithm"),
        (lambda a: a.distances(of="nothing"), "of='nothing'"),
    ],
)
def test_bad_questions_are_answered_in_words(models, ask, message):
    attributes = {"size": [1, 2, 4, 8, None], "flat": [1] * 5, "kind": list("abcde")}
    a = iso.atlas(models, "cka", attributes=attributes, **QUICK)
    with pytest.raises(InputError, match=message):
        ask(a)


def test_a_tree_needs_four_models(models):
    a = iso.atlas({k: models[k] for k in ("m0", "m1", "m2")}, "cka", **QUICK)
    with pytest.raises(InputError, match=r"at least (4|four)"):
        a.tree()


def test_models_of_one_size_are_one_rung_of_a_threshold():
    models, twins, _ = ladder([1e-9, 1e-9, 0.2, 0.2, 0.3, 0.3])
    sizes = {f"m{k}": 10.0 ** (k // 2) for k in range(6)}
    a = iso.atlas(models, "cka", attributes={"size": sizes}, baselines=twins, **QUICK)
    found = a.threshold("size", reference="reference")
    assert found.models == ("size 1", "size 10", "size 100")
    assert found.model == "size 10"


def test_a_model_that_is_named_twice_counts_once(found):
    once, twice = (
        found.trend("size", reference=r, models=[*m, "m1", "m2", "m3"])
        for r, m in (("reference", ["m0"]), (["reference", "reference"], ["m0", "m0"]))
    )
    assert [r.model for r in twice.rungs] == ["m0", "m1", "m2", "m3"]
    assert twice.to_json() == once.to_json()
    roles = ["m1", "m2", "m3", "m1"]
    assert (
        found.divergence(["reference", "reference"], roles).difference
        == found.divergence(["reference"], roles[:3]).difference
    )


def test_directions_take_a_role_as_divergence_does(models):
    roles = ["generalist"] * 4 + ["specialist"]
    a = iso.atlas(models, PREDICT, attributes={"role": roles}, **QUICK)
    by_name = a.directions("reference", ["m0", "m1", "m2", "m3"])
    assert repr(a.directions("reference", "generalist")) == repr(by_name)


def test_rungs_of_one_size_are_not_counted_as_different_ones(models):
    a = iso.atlas(models, "cka", attributes={"size": [1, 1, 2, 2, None]}, **QUICK)
    assert "No trend can be tested over 4 rungs of 2 sizes." in a.trend("size", "reference").verdict


def test_an_attribute_with_a_large_offset_and_one_of_large_numbers_have_slopes_that_can_be_read(models):
    """Times in seconds differ by few of their digits; a slope per parameter is far below four decimals."""
    years = {f"m{k}": 1.6e9 + 10 * k for k in range(4)}
    parameters = {f"m{k}": 1e7 * (k + 1) for k in range(4)}
    a = iso.atlas(models, "cka", attributes={"time": years, "parameters": parameters}, **QUICK)
    time, plain = a.trend("time", "reference"), a.trend("parameters", "reference", logarithmic=False)
    assert time.slopes["raw"].value == pytest.approx(plain.slopes["raw"].value * 1e6, rel=1e-6)
    assert "+0.0000" not in plain.verdict
    assert f"{plain.slopes['raw'].value:+.2g} for a unit of parameters" in plain.verdict
