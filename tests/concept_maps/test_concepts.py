"""The map of concepts: planted truths, designs, ceilings, layers, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import isomorph as iso
from isomorph.concept_maps._labels import shrunk
from isomorph.concept_maps._verdicts import Scored, verdicts
from isomorph.errors import InputError, UnknownNameError

KNN = "mutual_knn(k=10)"
KINDS = ("shared", "bound to x", "bound to y", "bound to both", "unstable")


def planted(size=60, noise=0.2, seed=0):
    """x, x2, y, y2 and the kind of each item: concepts at places of their own, whose inner order differs."""
    rng = np.random.default_rng(seed)
    models = {name: [] for name in ("x", "x2", "y", "y2")}
    for kind in KINDS:
        place, common = 4 * rng.normal(size=6), rng.normal(size=(size, 6))
        own = {"x": rng.normal(size=(size, 6)), "y": rng.normal(size=(size, 6))}
        for name, parts in models.items():
            stable = kind in ("shared", "bound to both", f"bound to {name[0]}")
            inside = common if kind == "shared" else own[name[0]] if stable else rng.normal(size=(size, 6))
            parts.append(place + inside + noise * rng.normal(size=(size, 6)))
    return {k: np.concatenate(v) for k, v in models.items()}, np.repeat(KINDS, size)


@pytest.fixture(scope="module")
def planted_map():
    models, kinds = planted()
    return iso.concepts(
        models["x"],
        models["y"],
        labels={"kind": kinds, "half": np.tile(["a", "b"], len(kinds) // 2)},
        strata=kinds,
        x_ceilings={"x2": models["x2"]},
        y_ceilings={"y2": models["y2"]},
        permutations=199,
    )


@pytest.fixture(scope="module")
def alike():
    z, e = np.random.default_rng(4).normal(size=(2, 120, 5))
    kind = np.repeat(["alike", "mixed", "apart"], 40)
    kept, noise = (np.repeat(v, 40)[:, None] for v in ([1, 1, 0], [0.1, 0.8, 1]))
    return z, kept * z + noise * e, kind


def test_every_planted_concept_gets_its_verdict(planted_map):
    found = planted_map.labels
    assert dict(zip(found.names, found.verdicts, strict=True)) == {kind: kind for kind in KINDS}
    assert planted_map.verdicts()["shared"] == ("shared",)


def test_a_label_set_that_cuts_across_is_read_beside_it(planted_map):
    assert set(planted_map.label_sets) == {"kind", "half"}
    a, b = (planted_map.of("half")[name]["score"] for name in "ab")
    assert abs(a - b) < 0.1
    with pytest.raises(UnknownNameError, match="half"):
        planted_map.of("hlaf")


def test_a_map_is_the_same_after_saving(planted_map, tmp_path):
    again = iso.ConceptMap.load(planted_map.save(tmp_path / "map.json"))
    assert again.to_json() == planted_map.to_json()
    assert str(again) == str(planted_map)


def test_items_have_the_scores_of_the_metric(alike):
    x, y, kind = alike
    found = iso.concepts(x, y, labels=kind, permutations=99)
    np.testing.assert_allclose(found.items.scores, iso.metric(KNN).per_item(x, y), atol=1e-12)
    np.testing.assert_allclose(found.items.chance, 10 / 119, atol=1e-12)
    for name in found.labels.names:
        assert found.labels[name]["score"] == pytest.approx(found.items.scores[kind == name].mean())
    assert found.whole.score == pytest.approx(iso.metric(KNN)(x, y))
    assert list(np.argsort(found.labels.scores)) == [found.labels.names.index(k) for k in ("apart", "mixed", "alike")]


def test_concepts_alike_and_apart_are_told_from_chance_and_from_each_other(alike):
    x, y, kind = alike
    rows = iso.concepts(x, y, labels=kind, permutations=199).labels
    assert rows["alike"]["p"] == pytest.approx(1 / 200)
    assert rows["apart"]["p"] > 0.05
    assert rows["alike"]["from_others"] > 0
    assert rows["alike"]["from_others_p"] < 0.01
    assert rows["apart"]["from_others"] < 0
    assert rows["alike"]["low"] < rows["alike"]["score"] < rows["alike"]["high"]
    assert rows["alike"]["within_p"] < 0.01 < rows["apart"]["within_p"]
    assert all(a in np.flatnonzero(kind == "alike").astype(str) for a in rows["alike"]["exemplars"])


def test_the_difference_from_others_is_that_of_the_means(alike):
    x, y, kind = alike
    found = iso.concepts(x, y, labels=kind, permutations=99)
    s = found.items.scores
    for name in found.labels.names:
        gap = s[kind == name].mean() - s[kind != name].mean()
        assert found.labels[name]["from_others"] == pytest.approx(gap)


def test_layers_are_chosen_on_other_items():
    """With layers of noise alone the chosen pair of a fold must not know its items: scores stay at chance."""
    means = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        x, y = ({k: rng.normal(size=(60, 4)) for k in "abcdef"} for _ in "xy")
        found = iso.concepts(x, y, metric="mutual_knn(k=5)", permutations=19, seed=seed)
        assert len(found.x_layers) == 5
        means.append(found.whole.score)
    best = 5 / 59
    assert abs(np.mean(means) - best) < 4 * np.std(means) / np.sqrt(30)


def test_the_right_layer_is_chosen_or_fixed():
    x, e, noise = np.random.default_rng(0).normal(size=(3, 80, 5))
    found = iso.concepts({"early": noise, "late": x}, x + 0.2 * e, permutations=19)
    assert set(found.x_layers) == {"late"}
    fixed = iso.concepts({"early": noise, "late": x}, x + 0.2 * e, x_layer="early", permutations=19)
    assert set(fixed.x_layers) == {"early"}
    assert fixed.whole.score < 0.3 < found.whole.score
    with pytest.raises(UnknownNameError, match="late"):
        iso.concepts({"early": noise, "late": x}, x, x_layer="lat")


def test_whole_groups_change_places():
    """Captions of one image are near each other on both sides, which is no agreement."""
    free, grouped = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        group = np.arange(80) // 4
        x, y = (rng.normal(size=(20, 4))[group] + 0.1 * rng.normal(size=(80, 4)) for _ in "xy")
        free.append(iso.concepts(x, y, permutations=99, seed=seed).whole.p_value)
        grouped.append(iso.concepts(x, y, groups=group, permutations=99, seed=seed).whole.p_value)
    assert np.median(free) == pytest.approx(0.01)
    assert np.mean(np.array(grouped) < 0.1) < 0.5
    assert "groups" in iso.concepts(x, y, groups=group, permutations=99).design


def test_strata_take_the_place_of_a_concept_out_of_chance():
    rng = np.random.default_rng(0)
    kind = np.arange(90) // 30
    centre = 6 * rng.normal(size=(3, 5))
    x, y = (centre[kind] + rng.normal(size=(90, 5)) for _ in "xy")
    free, inside = (iso.concepts(x, y, labels=kind, strata=s, permutations=199) for s in (None, kind))
    assert free.whole.p_value < 0.01 < inside.whole.p_value
    assert inside.whole.chance == pytest.approx(10 / 29, abs=0.02)


def test_few_items_are_held_against_all_pairings():
    x, y = np.random.default_rng(0).normal(size=(2, 6, 3))
    found = iso.concepts(x, y, metric="mutual_knn(k=2)", labels=list("aaabbb"), permutations=99)
    assert found.permutations == 719
    exact = iso.metric("mutual_knn(k=2)")
    exact = exact.item_scores(exact.prepare(x), exact.prepare(y)).exact
    np.testing.assert_allclose(found.items.p_values, exact.p_values, atol=1e-12)


def test_concepts_may_share_items():
    x, e = np.random.default_rng(0).normal(size=(2, 40, 4))
    ids = [str(i) for i in range(40)]
    found = iso.concepts(x, x + e, labels={"by hand": {"low": ids[:20], "all even": ids[::2]}}, permutations=19)
    assert found.labels.counts.tolist() == [20, 20]


def test_a_concept_of_one_item_has_a_p_and_nothing_more():
    models, _ = planted(size=12)
    labels = ["only"] + ["rest"] * 59
    found = iso.concepts(
        models["x"], models["y"], labels=labels, x_ceilings={"b": models["x2"]}, y_ceilings={"b": models["y2"]},
        permutations=99,
    )  # fmt: skip
    row = found.labels["only"]
    assert (row["low"], row["high"], row["verdict"], row["needed"]) == (0.0, 1.0, "undecided", None)
    assert any("single item" in note for note in found.notes)


def test_many_concepts_of_little_difference_are_shrunk():
    values, errors = np.array([0.1, 0.2, 0.9]), np.array([0.2, 0.2, 0.01])
    found = shrunk(values, errors)
    assert found[2] == pytest.approx(0.9, abs=0.01)
    assert abs(found[0] - 0.9) < abs(0.1 - 0.9)
    assert np.allclose(shrunk(np.full(4, 0.3), np.full(4, 0.1)), 0.3)


def scored(value, error=0.01, n=200):
    spread = np.full((1, n), error / np.sqrt(n))
    return Scored(np.array([value]), np.array([error]), np.array([np.inf]), spread)


@pytest.mark.parametrize(
    ("across", "x", "y", "verdict"),
    [
        (0.5, 0.6, 0.6, "shared"),
        (0.1, 0.6, 0.6, "bound to both"),
        (0.0, 0.6, 0.02, "bound to x"),
        (0.0, 0.02, 0.6, "bound to y"),
        (0.0, 0.02, 0.02, "unstable"),
        (0.3, 0.6, 0.6, "undecided"),  # at half of the ceilings
        (0.0, 0.6, 0.1, "undecided"),  # y at the edge of stable
        (0.4, 0.05, 0.6, "shared"),  # seen alike across modalities, so stable in x whatever its ceiling
    ],
)
def test_rules_of_the_verdicts(across, x, y, verdict):
    independent = [scored(v)._replace(deviations=None) for v in (across, x, y)]
    assert verdicts(*independent, shared=0.5, stable=0.1, alpha=0.05).verdicts == (verdict,)


def test_what_is_undecided_says_how_many_items_would_decide():
    independent = [scored(v, 0.05)._replace(deviations=None) for v in (0.37, 0.6, 0.6)]
    ruled = verdicts(*independent, shared=0.5, stable=0.1, alpha=0.05)
    assert ruled.verdicts == ("undecided",)
    again = [s._replace(errors=s.errors / np.sqrt(1.05 * ruled.needed)) for s in independent]
    assert verdicts(*again, shared=0.5, stable=0.1, alpha=0.05).verdicts == ("shared",)


def test_paired_scores_make_a_narrower_contrast():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(1, 400)) / 400
    error = np.sqrt(np.sum(common**2))
    rows = [Scored(np.array([v]), np.array([error]), np.array([np.inf]), common) for v in (0.36, 0.6, 0.6)]
    apart = [r._replace(deviations=None) for r in rows]
    narrow = verdicts(*rows, shared=0.5, stable=0.1, alpha=0.05)
    wide = verdicts(*apart, shared=0.5, stable=0.1, alpha=0.05)
    assert narrow.verdicts == ("shared",)
    assert wide.verdicts == ("undecided",)


def test_words_of_texts_are_concepts():
    texts = ["red cat", "red dog", "blue cat", "blue dog", "green cat"] * 6
    ids = tuple(str(i) for i in range(30))
    items = iso.PairedItems("pets", ids, {"text": texts})
    x, e = np.random.default_rng(0).normal(size=(2, 30, 4))
    sides = [iso.Layers.from_arrays({"last": a}, ids=ids) for a in (x, x + e)]
    found = iso.concepts(*sides, items=items, labels="words", metric="mutual_knn(k=3)", permutations=19)
    assert found.labels.names == ("blue", "cat", "dog", "green", "red")
    assert found.labels["cat"]["n"] == 18


def test_labels_of_items_are_found_by_id(alike):
    x, y, kind = alike
    ids = tuple(f"i{k}" for k in range(120))
    items = iso.PairedItems("things", ids, {}, {"kind": tuple(kind)})
    sides = [iso.Layers.from_arrays({"last": a}, ids=ids) for a in (x[::-1], y[::-1])]
    sides = [iso.Layers.from_arrays({"last": a[::-1]}, ids=ids) for a in (x[::-1], y[::-1])]
    found = iso.concepts(*sides, items=items, permutations=99)
    assert found.labels.name == "kind"
    plain = iso.concepts(x, y, labels=kind, permutations=99)
    np.testing.assert_allclose(found.labels.scores, plain.labels.scores)


@pytest.mark.parametrize("metric", ["cka", "rsa", "jaccard_knn", "mutual_nearest"])
def test_other_metrics_map_concepts_too(metric, alike):
    x, y, kind = alike
    found = iso.concepts(x, y, labels=kind, metric=metric, permutations=99)
    assert found.labels["alike"]["score"] > found.labels["apart"]["score"]
    assert found.labels["alike"]["p"] == pytest.approx(0.01)


def test_a_frame_has_one_row_an_item(alike):
    pytest.importorskip("pandas")
    x, y, kind = alike
    found = iso.concepts(x, y, labels=kind, permutations=99)
    assert len(found.to_frame()) == 120
    assert set(found.labels.to_frame()["concept"]) == {"alike", "mixed", "apart"}


X, E = np.random.default_rng(0).normal(size=(2, 40, 4))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metric": "soft_matching"}, "no score per item.*mutual_knn"),
        ({"labels": ["one"] * 40}, "one concept|has 1 concept"),
        ({"labels": [str(i) for i in range(40)]}, "single item"),
        ({"labels": ["a", "b"]}, "labels"),
        ({"labels": "group"}, "items="),
        ({"labels": "words"}, "texts"),
        ({"labels": {"set": {"a": ["0", "99"]}}}, "'99' is no id"),
        ({"labels": {"set": {"a": []}}}, "must list ids"),
        ({"x_ceilings": {"x2": X[:30]}}, "x_ceilings.*x2"),
        ({"x_ceilings": X}, "by the name of the model"),
        ({"folds": 1}, "folds"),
        ({"shared": 2}, "shared"),
        ({"stable": "much"}, "stable"),
        ({"permutations": 5}, "permutations"),
        ({"metric": "mutual_knn(k=60)"}, "at least 62"),
    ],
)
def test_what_cannot_be_mapped_is_refused_in_words(given, message):
    with pytest.raises(InputError, match=message):
        iso.concepts(X, X + E, **given)


def test_ceilings_of_other_items_are_refused():
    x, y = (iso.Layers.from_arrays({"last": X}, ids=[f"a{i}" for i in range(40)]) for _ in "xy")
    other = iso.Layers.from_arrays({"last": X}, ids=[f"b{i}" for i in range(40)])
    fewer = iso.Layers.from_arrays({"last": X[:30]}, ids=[f"a{i}" for i in range(30)])
    with pytest.raises(InputError, match="not of the same items"):
        iso.concepts(x, y, x_ceilings={"x2": other})
    with pytest.raises(InputError, match="lacks 10 of the 40"):
        iso.concepts(x, y, y_ceilings={"y2": fewer})


def test_a_ceiling_that_is_the_side_itself_is_told():
    found = iso.concepts(X, X + E, x_ceilings={"copy": 2 * X}, y_ceilings={"other": X + 2 * E}, permutations=19)
    assert [note for note in found.notes if "copy agrees with x on every item" in note]


def test_no_labels_still_maps_items():
    found = iso.concepts(X, X + E, permutations=19)
    assert len(found.items) == 40
    with pytest.raises(InputError, match="without labels"):
        _ = found.labels


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_features_of_any_scale_map_concepts_alike(scale, alike):
    x, y, _ = alike
    kind = np.repeat(list("abcd"), 30)
    plain, scaled = (iso.concepts(s * x, y, labels=kind, permutations=99) for s in (1.0, scale))
    assert np.isfinite(plain.labels.between).all()
    assert np.array_equal(scaled.items.scores, plain.items.scores)
    assert np.allclose(scaled.labels.between, plain.labels.between, rtol=1e-9, equal_nan=True)
    assert repr(scaled.examples) == repr(plain.examples)


def test_features_of_single_precision_near_its_end_have_examples(alike):
    x, y, kind = alike
    large = (x * 1e37).astype(np.float32)
    assert iso.concepts(large, y, labels=kind, metric="cka", permutations=99).examples


def test_concepts_by_ids_without_a_label_set_are_told_how_to_be_given(alike):
    x, y, _ = alike
    with pytest.raises(InputError, match=r"labels\['cat'\] has 2 entries for 120 items.*mapping from label set to"):
        iso.concepts(x, y, labels={"cat": ["0", "1"], "dog": ["2", "3"]})


def test_items_that_one_side_lacks_are_counted(alike):
    x, y, kind = alike
    ids = [f"i{k}" for k in range(120)]
    left = iso.Layers.from_arrays({"last": x}, ids=ids, encoder="picture")
    right = iso.Layers.from_arrays({"last": y[:100]}, ids=ids[:100], encoder="words")
    found = iso.concepts(left, right, labels=list(kind[:100]), permutations=99)
    assert found.n == 100
    assert found.notes == ("20 of the 120 items of picture are not there for all by id, and were left out.",)


def test_a_third_modality_needs_names_that_differ(alike):
    x, y, kind = alike
    with pytest.raises(InputError, match=r"x and y are both called 'clip'.*x_name="):
        iso.concepts(x, y, labels=kind, others={"speech": x}, x_name="clip", y_name="clip", permutations=99)


def test_items_of_no_concept_are_counted(alike):
    x, y, _ = alike
    given = {"kind": {"cat": [str(k) for k in range(30)], "dog": [str(k) for k in range(20, 60)]}}
    assert iso.concepts(x, y, labels=given, permutations=99).notes == (
        "60 of the 120 items are in no concept of kind.",
    )


@pytest.fixture(scope="module")
def asked():
    models, kinds = planted(size=30)
    rng = np.random.default_rng(5)
    speech = models["x"] @ rng.normal(size=(6, 7)) + 0.3 * rng.normal(size=(len(kinds), 7))
    return iso.concepts(
        models["x"],
        models["y"],
        labels=kinds,
        x_ceilings={"x2": models["x2"]},
        y_ceilings={"y2": models["y2"]},
        covariates={"size": rng.normal(size=len(kinds)), "kind": kinds},
        others={"speech": speech},
        redundancy=True,
        map="ridge",
        permutations=99,
    )


def test_what_is_asked_beside_items_and_concepts_is_in_the_map(asked, tmp_path):
    assert set(asked.covariates) == {"size", "kind"}
    assert [row.metric for row in asked.limits.by_metric] == ["mutual_knn(k=10)", "cka(estimator='unbiased')"]
    assert asked.limits.by_metric[0].share == pytest.approx(asked.whole.share, abs=0.02)
    assert [reading.metric for reading in asked.redundancy] == [row.metric for row in asked.limits.by_metric]
    assert asked.maps.map.startswith("ridge")
    assert asked.maps.labels.names == asked.labels.names
    assert asked.modalities.labels == asked.labels.names
    assert set(asked.modalities.names) == {"x", "y", "speech"}
    assert asked.transfer["x", "speech"].values["score"] > asked.transfer["x", "y"].values["score"]
    again = iso.ConceptMap.load(asked.save(tmp_path / "map.json"))
    assert again.to_json() == asked.to_json()
    assert "R²" in str(asked)


def test_what_is_not_asked_is_not_there(alike):
    x, y, kind = alike
    found = iso.concepts(x, y, labels=kind, permutations=99)
    assert (found.covariates, found.limits, found.maps, found.modalities, found.transfer) == (None,) * 5
    assert found.redundancy == ()


def test_of_many_items_limits_are_by_the_metric_of_the_map_alone(monkeypatch):
    monkeypatch.setattr("isomorph.concept_maps._parts.BY_EVERY_METRIC", 100)
    monkeypatch.setattr("isomorph.concept_maps._concepts.BY_EVERY_METRIC", 100)
    models, _ = planted(size=30)
    found = iso.concepts(
        models["x"], models["y"], x_ceilings={"b": models["x2"]}, y_ceilings={"b": models["y2"]}, permutations=19
    )
    assert [row.metric for row in found.limits.by_metric] == ["mutual_knn(k=10)"]
    assert any("Of more than 100 items" in note for note in found.notes)


def test_limits_by_depth_need_layers_of_all_models():
    models, _ = planted(size=24)
    deep = {
        name: {f"layer_{k}": np.hstack([values[:, : k + 1], 0.1 * values]) for k in range(4)}
        for name, values in models.items()
    }
    found = iso.concepts(
        deep["x"], deep["y"], x_ceilings={"b": deep["x2"]}, y_ceilings={"b": deep["y2"]}, folds=2, permutations=19
    )
    assert {row.depth for row in found.limits.by_depth} == {0.0, 0.25, 0.5, 0.75, 1.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"others": X}, "one further modality"),
        ({"others": {"a": X, "b": X}}, "one further modality"),
        ({"others": {"y": X}}, "name of x or y"),
        ({"others": {"z": X[:30]}}, "others"),
        ({"covariates": {"size": [1.0] * 39 + [np.nan]}}, "size"),
        ({"covariates": {"size": [1.0] * 40}}, "size"),
        ({"covariates": "no such"}, "no such"),
        ({"missing": "drop"}, "missing"),
        ({"map": "no such"}, "map"),
        ({"redundancy": "yes"}, "redundancy"),
    ],
)
def test_what_else_cannot_be_asked_is_refused_in_words(given, message):
    with pytest.raises(InputError, match=message):
        iso.concepts(X, X + E, permutations=19, **given)
