"""stitch(): maps fitted on some pairs, scored on what they never saw, beside controls that catch luck."""

import json
import warnings

import numpy as np
import pytest

from isomorph.datasets import PairedItems
from isomorph.errors import InputError, UnknownNameError
from isomorph.maps import Map, make_map
from isomorph.results import DIRECTIONS, Stitch, load_result
from isomorph.stitching import stitch
from isomorph.store import Layers

N = 120
QUICK = {"repeats": 2, "permutations": 3, "draws": 100, "curves": False}


@pytest.fixture(scope="module")
def planted():
    """Two linear views of one latent, its classes, and noise of the same shape."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=(N, 6))
    x = z @ rng.normal(size=(6, 20)) + 0.3 * rng.normal(size=(N, 20))
    y = z @ rng.normal(size=(6, 15)) + 0.3 * rng.normal(size=(N, 15))
    return x, y, np.argmax(z[:, :4], axis=1), rng.normal(size=(N, 20))


def test_a_map_between_views_of_one_latent_is_above_its_controls_and_noise_is_not(planted):
    x, y, labels, noise = planted
    good = stitch(x, y, labels=labels, **QUICK | {"permutations": 19})
    assert good["ridge"].above_controls
    assert good["ridge"]["mrr"].value > 0.9
    assert good["ridge"].p_value["mrr"] == pytest.approx(0.05)
    assert good.best().p_maximum == pytest.approx(0.05)
    bad = stitch(noise, y, labels=labels, **QUICK | {"permutations": 19})
    for scores in bad.values():
        assert not scores.above_controls
        assert scores["mrr"].low < scores["mrr"].chance * 1.6
        assert scores.p_value["mrr"] > 0.05
        assert "not above" in scores.evidence()


def test_the_mean_predictor_scores_exactly_chance_in_retrieval(planted):
    x, y, *_ = planted
    mean = stitch(x, y, "mean", **QUICK)["mean"]
    for direction in DIRECTIONS:
        for k in (1, 5, 10):
            assert mean[f"{direction}.R@{k}"].value == pytest.approx(k / 36)
        assert mean[f"{direction}.median_rank"].value == pytest.approx(37 / 2)
        assert mean[f"{direction}.mrr"].value == pytest.approx(np.mean(1 / np.arange(1, 37)))
    assert mean["overlap"].value == pytest.approx(10 / 35)
    assert mean["r2"].value < 0.0


def test_retrieval_equals_ranks_counted_by_hand(planted):
    x, y, *_ = planted
    test = list(range(0, N, 3))
    result = stitch(x, y, "ridge", test=test, **QUICK)
    held = np.isin(np.arange(N), test)
    fitted = make_map("ridge").fit(x[~held], y[~held])
    a, b = fitted.predict(x[held]) - y[~held].mean(axis=0), y[held] - y[~held].mean(axis=0)
    s = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
    for direction, table in (("x_to_y", s), ("y_to_x", s.T)):
        rank = np.array([1 + np.sum(row > row[i]) for i, row in enumerate(table)])
        found = result["ridge"].retrieval[direction]
        for k in (1, 5, 10):
            assert found[f"R@{k}"] == pytest.approx(np.mean(rank <= k))
        assert found["median_rank"] == pytest.approx(np.median(rank))
        assert found["mrr"] == pytest.approx(np.mean(1 / rank))
    residual = y[held] - fitted.predict(x[held])
    expected = 1 - (residual**2).sum() / ((y[held] - y[held].mean(axis=0)) ** 2).sum()
    assert result["ridge"]["r2"].value == pytest.approx(expected)


def test_scores_held_in_groups_count_any_item_of_the_group_and_groups_are_never_parted(planted):
    x, y, *_ = planted
    groups = np.repeat(np.arange(N // 4), 4)
    result = stitch(np.repeat(x[:30], 4, axis=0), y, "ridge", groups=groups, **QUICK)
    for rows in result.test_rows:
        inside = np.isin(np.arange(N), rows)
        assert not set(groups[inside]) & set(groups[~inside])
    m = len(result.test_rows[0])
    chance = 1 - np.prod([(m - 4 - j) / (m - j) for j in range(5)])
    assert result["ridge"]["x_to_y.R@5"].chance == pytest.approx(chance, rel=0.1)


def test_held_out_labels_are_concepts_never_seen(planted):
    x, y, labels, _ = planted
    result = stitch(x, y, "ridge", labels=labels, by="label", **QUICK)
    for rows in result.test_rows:
        inside = np.isin(np.arange(N), rows)
        assert not set(labels[inside]) & set(labels[~inside])
    assert "probe" not in result["ridge"].scores
    assert any("No probe" in n for n in result.notes)
    assert result["ridge"]["zero_shot"].value > 0.4


def test_a_probe_of_y_serves_mapped_x_as_well_as_y_itself(planted):
    x, y, labels, noise = planted
    good = stitch(x, y, ["orthogonal", "ridge"], labels=labels, **QUICK)
    own = good["ridge"]["probe_native"].value
    assert good["ridge"]["probe"].value > own - 0.1 > good["ridge"]["probe"].chance + 0.2
    assert stitch(noise, y, "ridge", labels=labels, **QUICK)["ridge"]["probe"].value < own - 0.3


def test_layers_are_chosen_on_training_pairs_only(planted):
    x, y, _, noise = planted
    test = np.arange(0, N, 3)
    poisoned = noise.copy()
    poisoned[test] = x[test]  # alike on the held-out items alone: only a leak would choose it
    result = stitch({"good": x, "leak": poisoned}, y, "ridge", test=list(test), **QUICK)
    assert result.chosen == (("good", "y"),)
    scores = stitch({"good": x, "noise": noise}, {"a": y, "b": y[::-1].copy()}, "ridge", **QUICK)
    assert (scores.x_layer, scores.y_layer) == ("good", "a")
    assert scores.layer_scores.shape == (2, 2)
    assert scores.layer_scores[0, 0] > 0.9
    assert scores.layer_scores[1, 1] < 0.3


def test_every_control_and_ceiling_is_there(planted):
    x, y, _, noise = planted
    result = stitch(
        x[:, :15],
        y,
        "ridge",
        x_baselines={"untrained": noise},
        y_baselines={"other": noise},
        ceilings={"kin": y},
        **QUICK,
    )
    m = result["ridge"]
    assert set(m.controls) == {"permuted pairs", "mean", "identity", "untrained x", "other y"}
    assert set(m.ceilings) == {"self-stitch", "kin"}
    assert m.ceilings["self-stitch"]["x_to_y.R@1"].value == 1.0
    assert m["mrr"].value > 0.8
    assert m.controls["permuted pairs"]["mrr"].value < 0.3
    assert set(m.margins["mrr"]) == set(m.controls)
    assert "other y" not in m.margins["r2"]  # another target says nothing about this one's R²


def test_the_identity_control_catches_spaces_that_need_no_map(planted):
    x, *_ = planted
    m = stitch(x, x + 0.01, "ridge", **QUICK)["ridge"]
    assert m["mrr"].value == 1.0
    assert not m.above_controls
    assert "identity" in m.evidence()


def test_the_identity_is_no_control_where_it_is_not_defined_in_every_split():
    partly = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(40, 3))
        y = x + rng.normal(size=(40, 3))
        layers = [x, np.c_[x, 1e-3 * rng.normal(size=(40, 1))]]  # only the first is as wide as y
        found = stitch(layers, y, "ridge", seed=seed, permutations=2, curves=False)
        widths = {{"0": 3, "1": 4}[layer[-1]] for layer, _ in found.chosen}
        assert ("identity" in found["ridge"].controls) == (widths == {3})
        assert any("No control identity" in note for note in found.notes) == (len(widths) == 2)
        partly += len(widths) == 2
    assert partly


def test_intervals_hold_the_score_and_widen_with_fewer_items(planted):
    x, y, *_ = planted
    rng = np.random.default_rng(0)
    blurred = x + 6 * rng.normal(size=x.shape)
    full, small = (
        stitch(blurred[:n], y[:n], "ridge", **QUICK | {"repeats": 3, "draws": 300})["ridge"]["cosine"]
        for n in (N, N // 3)
    )
    for s in (full, small):
        assert s.low <= s.value <= s.high
    assert small.high - small.low > full.high - full.low > 0


def test_curves_rise_with_pairs_and_fall_with_the_gallery(planted):
    x, y, *_ = planted
    rng = np.random.default_rng(1)
    result = stitch(x + rng.normal(size=x.shape), y, ["ridge", "relative(anchors=30)"], **QUICK | {"curves": True})
    pairs = next(c for c in result.pairs_curves if c.map == "ridge" and c.score == "mrr")
    assert pairs.sizes == (10, 20, 50, 84)
    assert pairs.values[-1] > pairs.values[0]
    late = next(c for c in result.pairs_curves if c.map != "ridge")
    assert min(late.sizes) == 50
    assert any("at 10 pairs" in n for n in result.notes)
    gallery = next(c for c in result.gallery_curves if c.score == "x_to_y.R@1")
    assert list(gallery.values) == sorted(gallery.values, reverse=True)
    assert gallery.values[-1] == pytest.approx(result["ridge"]["x_to_y.R@1"].value)
    assert gallery.chance == tuple(pytest.approx(1 / n) for n in gallery.sizes)


def test_the_gallery_curve_equals_random_galleries(planted):
    from isomorph.heldout.retrieval import rank

    rng = np.random.default_rng(5)
    a = rng.normal(size=(40, 3))
    b = a + 1.5 * rng.normal(size=a.shape)
    key = np.arange(40)
    exact = rank(a, b, key, key).hits_in_gallery(10, 2)
    hits = []
    for _ in range(300):
        rows = rng.permutation(40)[:10]
        hits.append(rank(a[rows], b[rows], rows, rows).hits(2).mean())
    assert exact == pytest.approx(np.mean(hits), abs=4 * np.std(hits) / np.sqrt(300))


def test_ties_and_several_right_items_are_counted_as_a_random_order_would(planted):
    from isomorph.heldout.retrieval import rank

    q, g = np.ones((1, 2)), np.concatenate([np.ones((4, 2)), -np.ones((3, 2))])
    r = rank(q, g, np.array([7]), np.array([7, 7, 0, 1, 2, 3, 4]))
    rng = np.random.default_rng(0)
    first = np.array([1 + min(rng.permutation(4)[:2]) for _ in range(20000)])
    assert r.rank()[0] == pytest.approx(first.mean(), abs=0.03)
    assert r.reciprocal()[0] == pytest.approx((1 / first).mean(), abs=0.01)
    for k in (1, 2, 3):
        assert r.hits(k)[0] == pytest.approx((first <= k).mean(), abs=0.02)


def test_items_are_joined_by_id_and_bring_labels_and_groups(planted):
    x, y, labels, _ = planted
    ids = [f"i{k}" for k in range(N)]
    items = PairedItems("things", tuple(ids), {"v": [f"t{k}" for k in range(N)]}, {"kind": tuple(map(str, labels))})
    order = np.random.default_rng(0).permutation(N)
    a = stitch(Layers.from_arrays({"l": x}, ids), Layers.from_arrays({"m": y}, ids), "ridge", items=items, **QUICK)
    b = stitch(
        Layers.from_arrays({"l": x}, ids),
        Layers.from_arrays({"m": y[order]}, [ids[i] for i in order]),
        "ridge",
        items=items,
        **QUICK,
    )
    assert a["ridge"]["zero_shot"].value == pytest.approx(b["ridge"]["zero_shot"].value)
    assert a.dataset == "things"
    assert set(a.test_ids()) | set(a.train_ids()) == set(ids)
    assert not set(a.test_ids()) & set(a.train_ids())
    for e in a.examples:
        assert set(e.ids) <= set(a.test_ids())
        for id_, verdict, found in zip(e.ids, e.verdict, e.found, strict=True):
            assert (verdict == "right") == (found[0] == id_)


def test_given_prototypes_stand_for_the_classes(planted):
    x, y, labels, _ = planted
    means = {str(c): y[labels == c].mean(axis=0) for c in range(4)}
    good = stitch(x, y, "ridge", labels=labels, prototypes=means, **QUICK)["ridge"]["zero_shot"]
    swapped = {str(c): means[str((c + 1) % 4)] for c in range(4)}
    bad = stitch(x, y, "ridge", labels=labels, prototypes=swapped, **QUICK)["ridge"]["zero_shot"]
    assert good.value > 0.5
    assert bad.value < 0.2
    with pytest.raises(InputError, match="nothing for 1 classes, such as '3'"):
        stitch(x, y, "ridge", labels=labels, prototypes={k: v for k, v in means.items() if k != "3"}, **QUICK)


def test_corrections_for_hubs_change_ranks_and_unknown_ones_are_refused(planted):
    x, y, *_ = planted
    plain, csls = (stitch(x, y, "ridge", correction=c, **QUICK) for c in (None, "csls"))
    assert csls.correction == "csls"
    assert csls["ridge"]["mrr"].value == pytest.approx(plain["ridge"]["mrr"].value, abs=0.1)
    with pytest.raises(InputError, match="correction='hubs'"):
        stitch(x, y, correction="hubs")


def test_a_stitch_comes_back_whole_and_the_same_call_gives_the_same_bytes(planted, tmp_path):
    x, y, labels, _ = planted
    first, again = (stitch(x, y, labels=labels, **QUICK | {"curves": True}) for _ in range(2))
    assert first.to_json() == again.to_json()
    assert stitch(x, y, labels=labels, seed=1, **QUICK).to_json() != first.to_json()
    loaded = load_result(first.save(tmp_path / "s.json"))
    assert isinstance(loaded, Stitch)
    assert loaded.to_json() == first.to_json()
    assert repr(loaded) == repr(first)
    assert "permuted pairs" in repr(loaded)
    assert json.loads((tmp_path / "s.json").read_text())["kind"] == "stitch"
    records = loaded.to_records()
    assert {r["role"] for r in records} == {"map", "control", "ceiling"}
    pandas = pytest.importorskip("pandas")
    assert isinstance(loaded.to_frame(), pandas.DataFrame)


def test_any_spelling_of_a_map_finds_it(planted):
    x, y, *_ = planted
    result = stitch(x, y, ["relative(anchors=20)"], **QUICK)
    assert result["relative(20)"] is result["relative(anchors=20)"]
    with pytest.raises(KeyError, match="was not fitted"):
        result["ridge"]
    with pytest.raises(UnknownNameError, match="r2"):
        result["relative(20)"]["r2"]


class Nosy(Map):
    """A map that remembers what it was fitted on."""

    name = "nosy"
    seen: list[set[float]] = []  # noqa: RUF012  # shared on purpose: copies are fitted

    def _fit(self, x, y, factor):
        Nosy.seen.append(set(x[:, 0]))
        self.inner = make_map("ridge").fit(x, y)

    def embed_x(self, x):
        return self.inner.predict(x)

    def __init__(self):
        pass


def test_no_fit_ever_sees_a_held_out_item(planted):
    x, y, *_ = planted
    Nosy.seen.clear()
    result = stitch({"a": x, "b": x + 1}, y, Nosy(), test=list(range(40)), **QUICK | {"curves": True})
    held = set(x[:40, 0]) | set(x[:40, 0] + 1) | set(y[:40, 0])
    assert len(Nosy.seen) > 5
    assert all(not seen & held for seen in Nosy.seen)
    assert result.n_train == (80,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": "rigde"}, "Did you mean 'ridge'"),
        ({"maps": []}, "at least one"),
        ({"maps": "relative(anchors=100)"}, "at least 100 pairs, found 84"),
        ({"labels": [0] * (N - 1) + [1]}, "class '1' has one item"),
        ({"labels": [0] * N}, "single class"),
        ({"labels": [0, 1]}, "labels has 2 labels for 120 items"),
        ({"labels": "kind"}, "names a label set of items="),
        ({"labels": [None] + [1] * (N - 1)}, r"labels\[0\] is None"),
        ({"by": "label"}, "needs labels"),
        ({"by": "group"}, "needs groups"),
        ({"by": "colour"}, "by='colour' is not known"),
        ({"by": "label", "labels": [0, 1] * (N // 2), "groups": [0] * N}, "single unit"),
        ({"test": [0, 1], "groups": [0, 1, 0] + [2] * (N - 3)}, "test leaks: 1 group has"),
        ({"test": [0, 1], "labels": [0, 1] * (N // 2), "by": "label"}, "test leaks: 2 labels have"),
        ({"test": [0, "zebra"]}, "'zebra'"),
        ({"test": [0, 0]}, "twice"),
        ({"test": []}, "holds 0 of"),
        ({"test": [3]}, "119 to fit on and 1 held out: at least 2"),
        ({"test_fraction": 1.0}, "test_fraction=1.0"),
        ({"repeats": 0}, "repeats=0"),
        ({"y": np.zeros((N, 3))}, "all the same in y"),
        ({"y": np.zeros((N + 1, 3))}, "row i of both"),
        ({"x_baselines": {"twin": np.zeros((5, 3))}}, "baseline 'twin' in x_baselines"),
        ({"prototypes": {}}, "give labels="),
    ],
)
def test_bad_input_is_named(planted, change, message):
    x, y, *_ = planted
    with pytest.raises(InputError, match=message):
        stitch(**{"x": x, "y": y, "maps": "ridge", **QUICK} | change)


@pytest.fixture(scope="module")
def networks():
    """Digits and the hidden activations of independently trained networks of two widths."""
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    x, labels = load_digits(return_X_y=True)
    x, labels = x[:1000] / 16, labels[:1000]
    hidden = []
    for seed, width in ((0, 96), (1, 160), (2, 128)):
        net = MLPClassifier(
            (width, 32), max_iter=40, tol=0, n_iter_no_change=50, random_state=seed, early_stopping=False
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 40 epochs are enough here, whether or not they have converged
            net.fit(x[500:], labels[500:])
        rows = x
        for weights, bias in zip(net.coefs_[:2], net.intercepts_[:2], strict=True):
            rows = np.maximum(rows @ weights + bias, 0)
        hidden.append(rows[:500])  # images that no network was trained on
    return hidden, labels[:500]


@pytest.mark.parametrize(("a", "b"), [(0, 1), (1, 2), (2, 0)])
def test_networks_trained_apart_are_stitched_by_relative_and_orthogonal_maps_but_not_as_they_are(networks, a, b):
    hidden, labels = networks
    result = stitch(
        hidden[a],
        hidden[b],
        ["identity", "relative(anchors=100)", "orthogonal"],
        labels=labels,
        **QUICK | {"curves": True},
    )
    native = result["orthogonal"]["probe_native"].value
    assert native > 0.9
    assert result["identity"]["probe"].value < 0.35
    assert result["relative(100)"]["probe"].value >= 0.85 * native
    curve = next(c for c in result.pairs_curves if c.map == "orthogonal" and c.score == "probe")
    assert dict(zip(curve.sizes, curve.values, strict=True))[100] >= 0.97 * native


def test_the_mean_is_as_good_on_permuted_pairs_whatever_rounding_leaves_of_it():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 8)), rng.normal(size=(60, 5)) + 3.0
    labels = [k % 4 for k in range(60)]
    found = stitch(x, y, "mean", labels=labels, repeats=2, permutations=5, draws=100, curves=False)["mean"]
    for name in ("cosine", "overlap", "zero_shot", "mrr"):
        assert found.p_value[name] == 1.0, name
        assert found.controls["permuted pairs"][name].value == pytest.approx(found.scores[name].value, abs=1e-12), name
