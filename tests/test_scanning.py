"""scan(): every layer pair, its chance level, and the p of the maximum."""

import json
import math
import sys

import numpy as np
import pytest

from isomorph.datasets import PairedItems
from isomorph.errors import InputError, UnknownNameError
from isomorph.metrics import metric as make_metric
from isomorph.results import Alignment, Scan, load_result
from isomorph.scanning import scan
from isomorph.significance import difference
from isomorph.store import Layers

N = 60


@pytest.fixture
def planted():
    """Three x layers and two y layers that share more and more of one latent signal."""
    rng = np.random.default_rng(7)
    z = rng.normal(size=(N, 5))
    x = {f"x{i}": z @ rng.normal(size=(5, 12)) + s * rng.normal(size=(N, 12)) for i, s in enumerate((20.0, 4.0, 0.5))}
    y = {f"y{i}": z @ rng.normal(size=(5, 9)) + s * rng.normal(size=(N, 9)) for i, s in enumerate((20.0, 0.5))}
    return x, y


def test_the_best_pair_is_the_one_that_shares_most_and_passes(planted):
    result = scan(*planted, ["mutual_knn(k=10)", "cka"], permutations=99, seed=1)
    for alignment in result.values():
        best = alignment.best()
        assert (best.x_layer, best.y_layer) == ("x2", "y1")
        assert best.p_maximum == pytest.approx(0.01)
        assert best.value == alignment.values.max()
        assert best.calibrated > 0.3


def test_noise_does_not_pass(planted):
    x, _ = planted
    noise = np.random.default_rng(0).normal(size=(N, 9))
    result = scan(x, noise, "cka", permutations=99)
    assert result["cka"].p_maximum > 0.05
    assert result["cka"].best().calibrated < 0.1


def test_values_equal_the_metric_called_on_each_pair(planted):
    from isomorph.metrics import metric

    x, y = planted
    for spec in ("mutual_knn(k=5)", "cka", "procrustes", "rsa"):
        got = scan(x, y, spec, permutations=19)[spec].values
        expected = [[metric(spec)(a, b) for b in y.values()] for a in x.values()]
        np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_any_spelling_of_a_metric_finds_it(planted):
    result = scan(*planted, ["cka"], permutations=19)
    assert result["cka"] is result["unbiased_cka"] is result["cka(estimator='unbiased')"]
    with pytest.raises(KeyError, match="was not scanned"):
        result["mutual_knn"]
    with pytest.raises(KeyError, match="was not scanned; this scan has"):
        result["ckaa"]


def test_the_same_call_gives_the_same_bytes_and_another_seed_other_permutations(planted):
    texts = [scan(*planted, "cka", permutations=20, seed=s).to_json() for s in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]


def test_a_saved_scan_comes_back_whole(planted, tmp_path):
    x, y = planted
    result = scan(x, y, ["cka"], permutations=20, x_baselines={"untrained": dict.fromkeys(x, x["x0"])})
    again = Scan.load(result.save(tmp_path / "deep" / "scan.json"))
    assert again.to_json() == result.to_json()
    assert repr(again) == repr(result)
    np.testing.assert_array_equal(again["cka"].values, result["cka"].values)
    assert json.loads((tmp_path / "deep" / "scan.json").read_text())["kind"] == "scan"


def test_damaged_and_foreign_files_are_refused(planted, tmp_path):
    path = tmp_path / "r.json"
    with pytest.raises(InputError, match="Cannot read"):
        load_result(path)
    path.write_text("{]")
    with pytest.raises(InputError, match="not JSON"):
        load_result(path)
    path.write_text("{}")
    with pytest.raises(InputError, match="not a result"):
        load_result(path)
    scan(*planted, "cka", permutations=19).save(path)
    with pytest.raises(InputError, match="holds a Scan, not a Alignment"):
        Alignment.load(path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("alignments", ["cka"], "alignments"),
        ("alignments", {"cka": 0.4}, "alignments"),
        ("n", "forty", "n='forty'"),
        ("notes", {"a": 1}, "notes"),
        ("baselines", None, "baselines"),
        ("made_up", 1, "made_up"),
        ("alignments", {}, "holds no metric"),
        ("seed", math.nan, "NaN is no number"),
    ],
)
def test_a_file_edited_by_hand_into_what_is_no_scan_is_refused(planted, tmp_path, field, value, message):
    path = scan(*planted, "cka", permutations=19).save(tmp_path / "r.json")
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {field: value}))
    with pytest.raises(InputError, match=message):
        load_result(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [6]}, "shape"),
        ({"dtype": "<U8"}, "not numbers"),
        ({"dtype": "no such"}, "damaged"),
    ],
)
def test_scores_edited_by_hand_into_another_shape_are_refused(planted, tmp_path, change, message):
    path = scan(*planted, "cka", permutations=19).save(tmp_path / "r.json")
    data = json.loads(path.read_text())
    next(iter(data["alignments"].values()))["values"] |= change
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=message):
        load_result(path)


@pytest.mark.parametrize("part", ["held_out", "against", "ceilings", "permuted", "gallery"])
def test_what_stands_beside_a_score_is_checked_name_by_name(planted, tmp_path, part):
    x, y = planted
    options = {"x_baselines": {"noise": x}, "x_ceilings": {"same": x}, "selection": "split", "gallery": True}
    path = scan(x, y, "cka", permutations=19, **options).save(tmp_path / "r.json")
    whole = path.read_text()

    def found(data):
        inner = next(iter(data["alignments"].values()))[part]
        return next(iter(inner.values())) if part in {"against", "ceilings"} else inner

    for name in found(json.loads(whole)):
        for change in ("lost", "another type"):
            data = json.loads(whole)
            if (change, name) == ("lost", "quantiles"):
                continue  # files of earlier versions have none
            found(data).pop(name) if change == "lost" else found(data).update({name: ["no such"]})
            path.write_text(json.dumps(data))
            with pytest.raises(InputError, match=f"damaged: alignment.{part}"):
                load_result(path)


def test_a_kind_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "r.json").write_text('{"isomorph": 1, "kind": []}')
    with pytest.raises(InputError, match="not a result"):
        load_result(tmp_path / "r.json")


@pytest.mark.parametrize("spec", ["cka", "rsa(dissimilarity='squared_euclidean')", "mutual_knn(k=5)"])
def test_a_baseline_that_is_the_layer_turned_is_no_different_and_ends_no_scan(spec):
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 60, 6), dtype=np.float32)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0].astype(np.float32)
    found = scan(x, y + x, spec, x_baselines={"same": x @ turn}, permutations=19)[spec]
    assert found.against["same x"]["p_value"] == 1.0
    near = scan(x, x @ turn, spec, permutations=19)[spec]
    low, high = near.interval[0, 0]
    assert 0.999 < low <= near.values[0, 0] <= high <= 1 + 1e-6  # single precision


def test_a_baseline_that_cannot_be_tested_is_said_aloud_and_ends_no_scan(capsys):
    rng = np.random.default_rng(0)
    x, y, other = (rng.standard_normal((5, d)) for d in (3, 3, 2))
    found = scan(x, y, "procrustes", x_baselines={"other": other}, permutations=19)["procrustes"]
    tested = found.against["other x"]
    assert (tested["p_value"], tested["low"]) == (1.0, tested["high"])
    assert tested["method"].startswith("no test")
    assert "no test against other x" in capsys.readouterr().err


def test_a_gallery_whose_subsets_are_constant_ends_no_scan(capsys):
    rng = np.random.default_rng(0)
    x = (np.arange(60) < 6).astype(float)[:, None]
    found = scan(x, rng.standard_normal((60, 4)), "cka", gallery=[10, 60], permutations=19)["cka"]
    assert found.gallery is None
    assert "no gallery curve" in capsys.readouterr().err


def test_layers_are_joined_by_id_never_by_row(planted):
    x, y = planted
    ids = [f"i{k}" for k in range(N)]
    order = np.random.default_rng(3).permutation(N)
    shuffled = {k: v[order] for k, v in y.items()}
    a = scan(Layers.from_arrays(x, ids=ids), Layers.from_arrays(y, ids=ids), "cka", permutations=19)
    b = scan(
        Layers.from_arrays(x, ids=ids),
        Layers.from_arrays(shuffled, ids=[ids[i] for i in order]),
        "cka",
        permutations=19,
    )
    np.testing.assert_allclose(a["cka"].values, b["cka"].values, rtol=1e-12)


def test_files_of_features_are_read(planted, tmp_path):
    x, _ = planted
    path = tmp_path / "left.npz"
    Layers.from_arrays(x, ids=[f"i{k}" for k in range(N)]).save(path)
    result = scan(path, str(path), "cka", permutations=19)
    assert (result.x_name, result.x_layers) == ("left", ("x0", "x1", "x2"))
    assert result["cka"].at("x1", "x1")["value"] == pytest.approx(1)


def test_layers_that_share_no_items_are_refused(planted):
    x, y = planted
    a = Layers.from_arrays(x, ids=[f"a{k}" for k in range(N)])
    b = Layers.from_arrays(y, ids=[f"b{k}" for k in range(N)])
    with pytest.raises(InputError, match="a0"):
        scan(a, b, "cka")


def test_neighborhoods_list_items_seen_most_and_least_alike(planted):
    x, y = planted
    ids = [f"i{k}" for k in range(N)]
    found = scan(
        Layers.from_arrays(x, ids=ids), Layers.from_arrays(y, ids=ids), "mutual_knn", permutations=19
    ).neighborhoods
    assert (found.x_layer, found.y_layer, found.k) == ("x2", "y1", 10)
    assert list(found.overlap) == sorted(found.overlap, reverse=True)
    item = ids.index(found.ids[0])
    unit = x["x2"] / np.linalg.norm(x["x2"], axis=1, keepdims=True)
    similarity = unit @ unit[item]
    similarity[item] = -np.inf
    assert [ids[j] for j in np.argsort(-similarity)[:10]] == list(found.x_neighbors[0])
    assert found.overlap[0] == len(set(found.x_neighbors[0]) & set(found.y_neighbors[0])) / 10


def with_ids(layers):
    return Layers.from_arrays(layers, ids=[f"i{k}" for k in range(N)])


def test_a_neighbor_metric_lists_its_own_neighbors(planted):
    x, y = ({k: v + 5.0 for k, v in side.items()} for side in planted)  # cosines of these say something else
    asked = "mutual_knn(k=4, similarity='euclidean')"
    found = scan(with_ids(x), with_ids(y), [asked, "cka"], permutations=19).neighborhoods
    assert (found.k, found.nearest_by, found.ranked_by) == (4, asked, asked)
    item = int(found.ids[0][1:])
    distance = np.linalg.norm(x[found.x_layer] - x[found.x_layer][item], axis=1)
    distance[item] = np.inf
    assert [f"i{j}" for j in np.argsort(distance)[:4]] == list(found.x_neighbors[0])
    assert found.given == pytest.approx(found.overlap)
    given = make_metric(asked).per_item(x[found.x_layer], y[found.y_layer])
    assert [given[int(i[1:])] for i in found.ids] == pytest.approx(found.given)
    assert scan(with_ids(x), with_ids(y), asked, permutations=19, neighbors=2).neighborhoods.k == 2


@pytest.mark.parametrize("spec", ["cka", "procrustes_distance", "ridge_predictivity"])
def test_items_are_ranked_by_what_they_give_to_the_score(planted, spec):
    x, y = planted
    found = scan(with_ids(x), with_ids(y), spec, permutations=19).neighborhoods
    assert (found.k, found.nearest_by, found.ranked_by) == (10, "cosine", make_metric(spec).spec)
    given = make_metric(spec).per_item(x[found.x_layer], y[found.y_layer])
    alike = np.argsort(given if make_metric(spec).distance else -given)
    chosen = [int(i[1:]) for i in found.ids]
    assert sorted(chosen[:12]) == sorted(alike[:12])
    assert sorted(chosen[12:]) == sorted(alike[-12:])
    assert [given[i] for i in chosen] == pytest.approx(found.given)


def test_without_contributions_items_are_ranked_by_common_neighbors(planted):
    found = scan(*map(with_ids, planted), "unit_matching", permutations=19).neighborhoods
    assert (found.nearest_by, found.ranked_by, found.given) == ("cosine", "overlap", found.overlap)
    assert list(found.overlap) == sorted(found.overlap, reverse=True)


def test_baselines_take_the_place_of_their_side(planted):
    x, y = planted
    noise = {k: np.random.default_rng(5).normal(size=v.shape) for k, v in x.items()}
    result = scan(x, y, "cka", permutations=50, x_baselines={"untrained": noise}, y_baselines={"noise": noise["x0"]})
    assert set(result.baselines) == {"untrained x", "noise y"}
    assert result.baselines["untrained x"]["cka"].best().value < 0.2 < result["cka"].best().value
    assert "untrained x" in repr(result)


def test_without_permutations_the_maximum_is_bounded_by_the_exact_p_values(planted):
    alignment = scan(*planted, "cka", permutations=0)["cka"]
    assert alignment.calibrated is None
    assert alignment.p_maximum == pytest.approx(6 * alignment.p_value.min())
    assert "Bonferroni" in alignment.maximum_from


def test_a_metric_without_an_exact_null_needs_permutations(planted):
    with pytest.raises(InputError, match="permutations=200"):
        scan(*planted, "procrustes", permutations=0)


def test_a_distance_is_best_where_it_is_lowest(planted):
    alignment = scan(*planted, "procrustes_distance", permutations=99)["procrustes_distance"]
    best = alignment.best()
    assert (best.x_layer, best.y_layer) == ("x2", "y1")
    assert best.value == alignment.values.min() < best.chance
    assert best.p_maximum == pytest.approx(0.01)


def test_intervals_cover_the_score_and_can_be_left_out(planted):
    alignment = scan(*planted, "cka", permutations=19)["cka"]
    assert np.all((alignment.interval[..., 0] <= alignment.values) & (alignment.values <= alignment.interval[..., 1]))
    assert scan(*planted, "cka", permutations=19, intervals=False)["cka"].interval is None


def test_a_split_chooses_layers_on_one_half_and_scores_them_on_the_other(planted):
    held = scan(*planted, "cka", permutations=19, selection="split")["cka"].held_out
    assert (held["x_layer"], held["y_layer"]) == ("x2", "y1")
    assert held["n_selection"] + held["n_score"] == N
    assert held["p_value"] < 0.001
    assert "held out, n=30" in repr(scan(*planted, "cka", permutations=19, selection="split"))
    with pytest.raises(InputError, match="'all', 'split'"):
        scan(*planted, "cka", selection="half")


def test_the_scan_is_tested_against_its_baseline(planted):
    x, y = planted
    noise = {k: np.random.default_rng(5).normal(size=v.shape) for k, v in x.items()}
    against = scan(x, y, "cka", permutations=19, x_baselines={"untrained": noise})["cka"].against["untrained x"]
    assert against["low"] > 0
    assert against["p_value"] < 0.01
    same = scan(x, y, "cka", permutations=19, x_baselines={"same": x})["cka"].against["same x"]
    assert same["difference"] == 0
    assert same["p_value"] == 1


def test_pairs_of_layers_without_an_interval_are_empty_in_every_form(planted, tmp_path):
    x, y = planted
    wide = np.random.default_rng(0).normal(size=(N, 3 * N))
    found = scan({**x, "wide": wide}, y, "procrustes", permutations=19)
    path = found.save(tmp_path / "r.json")
    back = Scan.load(path)
    assert back.to_json() == found.to_json() == path.read_text()
    for alignment in (found["procrustes"], back["procrustes"]):
        empty = [[name == "wide"] * len(y) for name in (*x, "wide")]
        np.testing.assert_array_equal(np.isnan(alignment.interval[..., 0]), empty)
        record = alignment.at("wide", "y1")
        assert (record["low"], record["high"]) == (None, None)
        assert record["value"] > 0
        assert alignment.at("x2", "y1")["low"] < alignment.at("x2", "y1")["high"]
    data = json.loads(path.read_text())
    data["alignments"]["procrustes"]["values"]["data"][0] = None
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match="null, no number"):
        load_result(path)


@pytest.mark.parametrize("argument", ["x_baselines", "y_baselines", "x_ceilings", "y_ceilings"])
@pytest.mark.parametrize("design", [{}, {"strata": [i % 4 for i in range(N)]}, {"groups": [i // 5 for i in range(N)]}])
def test_baselines_and_ceilings_in_another_order_are_those_in_order(planted, argument, design):
    x, y = planted
    other = np.random.default_rng(3).normal(size=(N, 6)) + np.arange(N)[:, None] % 4
    ids, order = [f"i{k}" for k in range(N)], np.random.default_rng(4).permutation(N)
    left, right = (Layers.from_arrays(v, ids=ids) for v in (x, y))
    in_order = Layers.from_arrays({"a": other}, ids=ids)
    shuffled = Layers.from_arrays({"a": other[order]}, ids=[ids[k] for k in order])
    one, two = (
        scan(left, right, "cka", permutations=39, gallery=not design, **{argument: {"t": v}}, **design)
        for v in (in_order, shuffled)
    )
    for a, b in (
        (one, two),
        *((one.baselines[k], two.baselines[k]) for k in one.baselines),
        *((one.ceilings[k], two.ceilings[k]) for k in one.ceilings),
    ):
        for name in ("values", "chance", "p_value", "p_family", "interval"):
            np.testing.assert_allclose(getattr(a["cka"], name), getattr(b["cka"], name), atol=1e-9, err_msg=name)
        assert a["cka"].p_maximum == b["cka"].p_maximum
    assert one["cka"].against.keys() == two["cka"].against.keys()
    for name, tested in one["cka"].against.items():
        assert tested["low"] == pytest.approx(two["cka"].against[name]["low"], abs=1e-9)
    assert [c["share"] for c in one["cka"].ceilings.values()] == pytest.approx(
        [c["share"] for c in two["cka"].ceilings.values()]
    )


def test_the_best_over_all_metrics_has_one_p(planted):
    x, y = planted
    assert scan(x, y, ["cka", "mutual_knn"], permutations=99).p_maximum == pytest.approx(0.01)
    assert scan(x, np.random.default_rng(0).normal(size=(N, 9)), ["cka", "rsa"], permutations=99).p_maximum > 0.05


def test_a_budget_samples_dear_metrics_only_until_they_are_settled(planted, capsys):
    alignment = scan(*planted, "procrustes", permutations=999, budget=1e-6)["procrustes"]
    assert alignment.permutations < 999
    assert alignment.calibrated is None
    assert "sequentially" in alignment.maximum_from
    assert 0 < alignment.p_maximum <= 1
    assert "over the budget" in capsys.readouterr().err


def test_duplicated_items_are_noted(planted):
    x, y = planted
    twice = {k: np.concatenate([v[:-1], v[:1]]) for k, v in y.items()}
    result = scan(x, twice, "cka", permutations=19)
    assert "0 = 59" in result.notes[0]
    assert "p-values are not concerned" in result.notes[1]
    assert "Note" in repr(result)
    both = scan({k: np.concatenate([v[:-1], v[:1]]) for k, v in x.items()}, twice, "cka", permutations=19)
    assert "1 of the 60 items are copies" in both.notes[2]
    assert scan(x, y, "cka", permutations=19).notes == ()


def test_items_are_copies_only_if_every_layer_gives_them_the_same(planted):
    x, y = planted
    label = (np.arange(N) % 2)[:, None] * 1.0
    for layers in ({"x2": x["x2"], "label": label}, {"label": label, "x2": x["x2"]}):
        assert scan(layers, y, "cka", permutations=19).notes == ()
    assert "0 = 2" in scan(label, y, "cka", permutations=19).notes[0]


def test_a_mean_that_carries_most_of_the_norm_is_noted_where_a_metric_reads_it(planted):
    x, y = planted
    offset = {k: v + 200 for k, v in x.items()}
    noted = scan(offset, y, ["cka", "mutual_knn(k=5)"], permutations=19).notes
    assert len(noted) == 1
    assert "mutual_knn(k=5) read" in noted[0]
    assert "centered=True" in noted[0]
    rows = next(iter(offset.values()))
    share = np.sum(rows.mean(axis=0) ** 2) / np.mean(np.sum(rows**2, axis=1))
    assert share > 0.9
    for quiet in (["cka"], ["mutual_knn(k=5, centered=True)"], ["mutual_knn(k=5, similarity='euclidean')"]):
        assert scan(offset, y, quiet, permutations=19).notes == ()
    assert scan(x, y, "mutual_knn(k=5)", permutations=19).notes == ()


def test_rdms_given_as_features_are_asked_about(planted, capsys):
    from scipy.spatial.distance import pdist, squareform

    x, y = planted
    rdm = squareform(pdist(next(iter(x.values()))))
    noted = scan(rdm, y, "cka", permutations=19).notes
    assert len(noted) == 1
    assert "RDMs, by their looks" in noted[0]
    assert "iso.RDMs.from_arrays(x)" in noted[0]
    capsys.readouterr()
    make_metric("cka")(rdm, next(iter(y.values())))
    assert "x: square and symmetric" in capsys.readouterr().err
    make_metric("cka")(np.exp(-rdm / rdm.max()), rdm + 1)  # kernels and others are features like any
    assert capsys.readouterr().err == ""


def test_items_without_a_partner_are_counted_aloud(planted):
    x, y = planted
    left = Layers.from_arrays(x, ids=[f"i{k}" for k in range(N)])
    right = Layers.from_arrays(y, ids=[f"i{k + 10}" for k in range(N)])
    found = scan(left, right, "cka", permutations=19)
    assert found.n == 50
    assert "10 of the 60 items of" in found.notes[0]
    assert "no partner by id" in found.notes[0]


def rare(step, first, n=100):
    return (np.arange(n) % step == first)[:, None] * 1.0


def test_where_a_few_items_decide_p_is_that_of_the_sample():
    found = scan((np.arange(100) < 3)[:, None] * 1.0, rare(40, 5), "cka", permutations=999)["cka"]
    assert found.p_value[0, 0] == found.p_maximum > 0.5
    assert "a few items decide the score of all pairs of layers, so p there is from" in found.null
    hurried = scan((np.arange(100) < 3)[:, None] * 1.0, rare(40, 5), "cka", permutations=999, budget=1e-6)["cka"]
    assert hurried.p_value[0, 0] > 0.05
    assert "from up to" in hurried.null


def test_with_the_exact_null_alone_p_is_a_bound_where_a_few_items_decide():
    rng = np.random.default_rng(0)
    x = {
        "far": rng.normal(size=(80, 6)) * np.where(np.arange(80) < 3, 40, 1)[:, None],
        "near": rng.normal(size=(80, 6)),
    }
    y = rng.normal(size=(80, 5)) * np.where(np.arange(80) > 76, 40, 1)[:, None]
    found = scan(x, y, "cka", permutations=0)["cka"]
    assert "of 1 of 2 pairs of layers, so p there is the bound 1 / (1 + z²)" in found.null
    np.testing.assert_allclose(found.p_family, np.minimum(1, 2 * found.p_value))
    assert found.p_maximum == found.p_family.min()


def test_a_layer_of_cauchy_noise_does_not_end_a_scan():
    rng = np.random.default_rng([9, 282])
    x, y = rng.standard_cauchy((128, 8)), rng.standard_cauchy((128, 8))
    assert scan(x, y, "cka", permutations=19)["cka"].p_value[0, 0] > 0.05


def test_differences_allow_for_the_choice_among_all_pairs_of_layers(planted):
    x, y = planted
    rng = np.random.default_rng(1)
    noise = {k: rng.normal(size=v.shape) for k, v in x.items()}
    tested = scan(x, y, "cka", permutations=19, x_baselines={"noise": noise})["cka"].against["noise x"]
    alone = difference("cka", (x["x2"], y["y1"]), (noise[tested["x_layer"]], y[tested["y_layer"]]), alpha=0.05 / 6)
    assert tested["p_value"] == pytest.approx(6 * alone.p_value)
    assert (tested["low"], tested["high"]) == pytest.approx((alone.low, alone.high))
    assert "6 pairs of layers at once" in tested["method"]


def test_order_inside_groups_needs_groups(planted):
    with pytest.raises(InputError, match="there are no groups"):
        scan(*planted, "cka", permutations=19, within=False)
    with pytest.raises(InputError, match="there are no groups"):
        scan(*planted, "cka", permutations=19, within=False, strata=[k % 3 for k in range(N)])


def test_one_series_may_be_given_as_one_group(planted):
    found = scan(*planted, "cka", permutations=19, circular=True, groups=["subject"] * N)
    assert found.design == scan(*planted, "cka", permutations=19, circular=True).design
    assert found["cka"].interval is None


def test_a_split_that_cannot_be_judged_is_refused_before_the_permutations(planted):
    for design in ({"strata": [k // 2 for k in range(N)]}, {"groups": [k // 30 for k in range(N)]}):
        with pytest.raises(InputError, match=r"A split of the 60 items leaves 30 that score the layers"):
            scan(*planted, "procrustes", permutations=10**7, selection="split", **design)


def test_a_budget_holds_for_the_held_out_pair_too(planted):
    held = scan(*planted, "procrustes", permutations=4000, budget=1e-6, selection="split")["procrustes"].held_out
    assert "sequentially" in held["null"]
    assert int(held["null"].split()[2]) < 500
    assert held["p_value"] < 0.1


def test_groups_move_together(planted):
    x, y = planted
    groups = np.repeat(np.arange(N // 5), 5)
    grouped = scan(x, y, "cka", permutations=50, groups=groups)["cka"]
    assert "sampled" in grouped.null
    with pytest.raises(InputError, match="groups has 3 labels for 60 items"):
        scan(x, y, "cka", groups=[1, 2, 3])


def labelled(seed=2, centers=4.0):
    """Two sides that share nothing but the four labels of the items."""
    rng = np.random.default_rng(seed)
    strata = np.repeat(np.arange(4), N // 4)
    shift = centers * rng.normal(size=(4, 6))[strata]
    return rng.normal(size=(N, 6)) + shift, rng.normal(size=(N, 6)) + shift, strata


def test_within_labels_what_only_the_labels_share_is_no_more_than_chance():
    x, y, strata = labelled()
    free = scan(x, y, ["cka", "mutual_knn(k=10)"], permutations=99)
    strict = scan(x, y, ["cka", "mutual_knn(k=10)"], permutations=99, strata=strata)
    assert free.design == ""
    assert strict.design == "permuted within labels (4 labels)"
    for metric in free:
        assert free[metric].p_maximum == pytest.approx(0.01)
        assert strict[metric].p_maximum > 0.05
        assert "99 sampled permutations, items permuted within labels" in strict[metric].null
        assert strict[metric].best().chance > 2 * free[metric].best().chance
    assert free.p_maximum < 0.05 < strict.p_maximum
    assert "not shown to be above chance at 0.05" in repr(strict)
    assert "permuted within labels (4 labels)" in repr(strict)


def test_whole_groups_keep_the_order_inside_them_if_asked_to(planted):
    groups = np.repeat(np.arange(N // 5), 5)
    result = scan(*planted, "cka", permutations=50, groups=groups, within=False)
    assert result.design == "permuted as whole groups (12 groups, each in order)"
    assert result["cka"].interval is not None, "intervals are over groups"


def test_smooth_series_that_share_nothing_are_no_more_than_chance_when_shifted_in_a_circle():
    found = []
    for seed in range(12):
        noise = np.random.default_rng(seed).normal(size=(2, N + 14, 3))
        series = np.lib.stride_tricks.sliding_window_view(noise, 15, axis=1).mean(axis=-1)
        free = scan(*series, "cka", permutations=59)
        shifted = scan(*series, "cka", permutations=59, circular=True, y_baselines={"x": series[0]}, selection="split")
        found.append((free["cka"].p_maximum <= 0.05, shifted["cka"].p_maximum <= 0.05))
    assert np.sum(found, axis=0)[0] >= 6, "permuted, smooth series seem alike"
    assert np.sum(found, axis=0)[1] <= 2
    assert shifted["cka"].interval is None
    assert shifted["cka"].against == {}
    assert "no intervals over items" in shifted.notes[0]
    assert shifted["cka"].held_out["n_score"] == N // 2
    assert "shifted in a circle as one series" in repr(shifted)


def test_series_of_a_group_are_shifted_inside_themselves_and_differences_are_tested_over_them(planted):
    x, y = planted
    groups = np.repeat(np.arange(6), 10)
    result = scan(x, y, "cka", permutations=99, circular=True, groups=groups, x_baselines={"first": x["x0"]})
    assert result["cka"].interval is not None
    assert result["cka"].against["first x"]["p_value"] < 0.05
    assert "one series a group (6 groups)" in result.design


def test_labels_and_groups_of_items_are_found_by_id(planted):
    x, y = planted
    ids = [f"i{k}" for k in range(N)]
    items = PairedItems(
        "things",
        tuple(reversed(ids)),
        {"text": [f"thing {i}" for i in ids]},
        {"kind": tuple("ab"[k % 2] for k in reversed(range(N)))},
        groups=tuple(str(k // 5) for k in reversed(range(N))),
    )
    sides = Layers.from_arrays(x, ids=ids), Layers.from_arrays(y, ids=ids)
    by_name = scan(*sides, "cka", permutations=19, items=items, strata="groups")
    given = scan(x, y, "cka", permutations=19, strata=[k // 5 for k in range(N)])
    assert by_name["cka"].p_maximum == given["cka"].p_maximum
    np.testing.assert_array_equal(by_name["cka"].calibrated, given["cka"].calibrated)
    assert by_name.dataset == "things"
    assert "12 groups" in scan(*sides, "cka", permutations=19, items=items).design, "their own groups by default"
    assert "2 groups" in scan(*sides, "cka", permutations=19, items=items, groups="kind").design
    with pytest.raises(InputError, match=r"strata='sort': items has no such labels; it has kind, groups"):
        scan(*sides, "cka", items=items, strata="sort")
    with pytest.raises(InputError, match="items=, which were not given"):
        scan(*sides, "cka", strata="kind")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"circular": True}, "has 59 circular shifts only"),
        ({"circular": True, "permutations": 0}, "permutations=0"),
        ({"strata": [0, 1] * 30, "permutations": 0}, "permutations=0"),
        ({"groups": np.arange(N) // 5, "permutations": 0}, "permutations=0"),
        ({"circular": True, "strata": [0, 1] * 30, "permutations": 50}, "exclude each other"),
        ({"circular": True, "permutations": 50, "alpha": 0.001}, "cannot give a p of alpha=0.001"),
        ({"strata": [0, 1]}, "strata has 2 labels for"),
        ({"strata": range(N)}, "nothing can move"),
        ({"gallery": [3]}, "numbers of items between 4"),
        ({"gallery": []}, "a list of numbers of items"),
        ({"x_ceilings": {"other": np.eye(N + 1)}}, "row i of both"),
    ],
)
def test_a_design_that_cannot_work_is_refused_in_plain_words(planted, settings, message):
    with pytest.raises(InputError, match=message):
        scan(*planted, "cka", **settings)


def test_few_orders_are_noted(planted):
    result = scan(*planted, "cka", permutations=30, groups=[k // 20 for k in range(N)], within=False)
    assert "6 orders only" in result.notes[0]
    assert "0.17" in result.notes[0]


def test_ceilings_compare_a_side_with_its_own_kind_and_say_how_far_the_score_goes(planted):
    x, y = planted
    rng = np.random.default_rng(8)
    again = {k: v + 0.1 * rng.normal(size=v.shape) for k, v in x.items()}
    noise = rng.normal(size=(N, 4))
    result = scan(x, y, "cka", permutations=99, x_ceilings={"other seed": again}, y_ceilings={"noise": noise})
    assert list(result.ceilings) == ["other seed x", "noise y"]
    assert (result.ceilings["other seed x"].x_layers, result.ceilings["noise y"].y_layers) == (tuple(x), tuple(y))
    ceiling, best = result["cka"].ceilings["other seed x"], result["cka"].best()
    assert ceiling["value"] == result.ceilings["other seed x"]["cka"].best().value > 0.99
    assert ceiling["share"] == pytest.approx((best.value - best.chance) / (ceiling["value"] - ceiling["chance"]))
    assert result["cka"].ceilings["noise y"]["share"] is None, "a ceiling of noise has no shares"
    assert "share of it reached" in repr(result)
    assert "itself not shown to be above chance" in repr(result)
    distance = scan(x, y, "procrustes_distance", permutations=99, x_ceilings={"other seed": again})
    assert 0 < distance["procrustes_distance"].ceilings["other seed x"]["share"] < 1


def test_permuted_pairs_stand_beside_the_score(planted):
    result = scan(*planted, ["cka", "procrustes_distance"], permutations=99)
    permuted = result["cka"].permuted
    assert result["cka"].chance.max() < permuted["mean"] < permuted["quantile"] < result["cka"].best().value
    steps = permuted["quantiles"]
    assert len(steps) == 41
    assert (np.diff(steps) >= 0).all()
    assert steps[0] < permuted["mean"] < steps[-1]
    assert np.mean(steps <= permuted["quantile"]) == pytest.approx(0.95, abs=0.03)
    permuted = result["procrustes_distance"].permuted
    assert permuted["mean"] > permuted["quantile"] > result["procrustes_distance"].best().value
    assert "permuted pairs" in repr(result)
    assert scan(*planted, "cka", permutations=0)["cka"].permuted is None


def test_the_best_pair_is_scored_with_fewer_items_and_so_are_the_ceilings(planted):
    x, y = planted
    result = scan(x, y, "mutual_knn(k=5)", permutations=19, gallery=[20, 60], y_ceilings={"itself": y})
    curve = result["mutual_knn(k=5)"].gallery
    assert curve["n"].tolist() == [20, 60]
    assert curve["value"][-1] == pytest.approx(result["mutual_knn(k=5)"].best().value)
    np.testing.assert_allclose(curve["chance"], [5 / 19, 5 / 59])
    assert result.ceilings["itself y"]["mutual_knn(k=5)"].gallery["value"].tolist() == [1, 1]
    assert "with 20 items" in repr(result)
    assert scan(x, y, "cka", permutations=19, gallery=True)["cka"].gallery["n"].tolist() == [60]
    assert scan(x, y, "cka", permutations=19)["cka"].gallery is None


def test_near_copies_are_noted_and_those_on_both_sides_counted(planted):
    x, y = planted
    x2, y1 = x["x2"].copy(), y["y1"].copy()
    x2[1] = x2[0] + 1e-4
    y1[7] = y1[6] + 1e-4
    one_sided = scan(x2, y1, "cka", permutations=19)
    assert "0 ≈ 1" in one_sided.notes[0]
    assert "6 ≈ 7" in one_sided.notes[1]
    assert "p-values are not concerned" in one_sided.notes[2]
    y1[1] = y1[0] + 1e-4
    assert "1 of the 60 items" in scan(x2, y1, "cka", permutations=19).notes[2]
    groups = np.arange(N) // 2
    assert scan(x2, y1, "cka", permutations=19, groups=groups).notes == (), "they keep together already"
    assert scan(x2, y1, "cka", permutations=19, circular=True).notes[1:] == (), "a series has them by nature"


def test_near_copies_among_very_many_items_are_not_looked_for_and_that_is_said(planted, monkeypatch):
    monkeypatch.setattr(sys.modules["isomorph.scanning._notes"], "NEAR_ITEMS", 50)
    assert "60 items are more than 50" in scan(*planted, "cka", permutations=19).notes[0]


def test_scans_with_every_part_come_back_whole_and_older_files_are_still_read(planted, tmp_path):
    x, y = planted
    strata = [k % 3 for k in range(N)]
    result = scan(x, y, "cka", permutations=19, strata=strata, gallery=True, x_ceilings={"a": x}, selection="split")
    path = result.save(tmp_path / "scan.json")
    again = Scan.load(path)
    assert again.to_json() == result.to_json()
    assert repr(again) == repr(result)
    old = json.loads(path.read_text())
    del old["ceilings"], old["design"]
    for name in ("ceilings", "permuted", "gallery"):
        del old["alignments"]["cka(estimator='unbiased')"][name]
    path.write_text(json.dumps(old))
    assert Scan.load(path).ceilings == {}
    assert "best pair of layers" in repr(Scan.load(path))


def test_the_table_shows_every_number_of_a_metric_and_stays_narrow(planted):
    x, y = planted
    noise = {k: np.random.default_rng(5).normal(size=v.shape) for k, v in x.items()}
    options = {"x_baselines": {"untrained": noise}, "x_ceilings": {"other seed": x}, "selection": "split"}
    shown = repr(scan(x, y, ["mutual_knn(k=10)", "cka"], permutations=99, **options))
    lines = shown.splitlines()
    assert lines[0] == "Scan of x × y: 3 × 2 layers, n=60 items"
    words = "score 95 % interval chance calibrated p p(max)"
    assert lines[1].split() == words.split()
    rows = ("best pair of layers", "held out, n=30", "untrained x", "difference from it", "permuted pairs")
    for row in (*rows, "ceiling: other seed x"):
        assert sum(line.strip().startswith(row) for line in lines) == 2, row
    assert max(map(len, lines)) <= 120
    assert "\nAll 2 metrics and all layers together: p " in shown
    assert "\nVerdict: More alike than chance by both metrics" in shown


def test_records_carry_every_setting_and_a_frame_needs_pandas(planted):
    alignment = scan(*planted, "mutual_knn(k=7)", permutations=20)["mutual_knn(k=7)"]
    record = alignment.at("x2", "y1")
    assert record["n"] == N
    assert record["metric"] == "mutual_knn(k=7)"
    assert (record["x_dim"], record["y_dim"], record["permutations"]) == (12, 9, 20)
    pandas = pytest.importorskip("pandas")
    frame = alignment.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == 6
    with pytest.raises(UnknownNameError, match="'x2'"):
        alignment.at("x9", "y1")


def test_torch_arrays_are_scanned_where_they_are(planted):
    torch = pytest.importorskip("torch")
    x, y = planted
    result = scan(
        {k: torch.from_numpy(v) for k, v in x.items()},
        {k: torch.from_numpy(v) for k, v in y.items()},
        "cka",
        permutations=19,
    )
    np.testing.assert_allclose(result["cka"].values, scan(x, y, "cka", permutations=19)["cka"].values, rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": "ckaa"}, "Did you mean 'cka'"),
        ({"metrics": []}, "at least one"),
        ({"permutations": -1}, "permutations=-1: a whole number"),
        ({"memory": "much"}, "much"),
        ({"alpha": 1.5}, "between 0 and 1"),
        ({"y": np.zeros((N + 1, 3))}, "row i of both"),
        ({"y": np.zeros((N, 3))}, "constant"),
        ({"y": np.full((N, 3), np.nan)}, "non-finite"),
        ({"y": {}}, "no layers"),
        ({"y": [np.ones((N, 2)), np.ones((4, 2))]}, "different numbers of items"),
    ],
)
def test_bad_input_is_named(planted, change, message):
    x, y = planted
    arguments = {"x": x, "y": y, "metrics": "cka"} | change
    with pytest.raises(InputError, match=message):
        scan(**arguments)


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"seed": -1}, "seed=-1"), ({"budget": float("nan")}, "budget=nan"), ({"permutations": 5}, "at least 19")],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_computed(settings, word):
    with pytest.raises(InputError, match=word):
        scan(np.eye(30)[:, :4], np.eye(30)[:, :4], "cka", **settings)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"alpha": "a"}, "alpha='a'"),
        ({"permutations": 19.5}, r"permutations=19\.5"),
        ({"permutations": None}, "permutations=None"),
        ({"intervals": "no"}, "intervals='no'"),
        ({"within": "no"}, "within='no'"),
        ({"circular": "yes"}, "circular='yes'"),
        ({"neighbors": -1}, "neighbors=-1"),
        ({"gallery": 10}, "gallery=10 must be"),
        ({"gallery": None}, "gallery=None must be"),
        ({"gallery": "yes"}, "gallery='yes' must be"),
        ({"gallery": [True]}, "must be True, False or a list"),
        ({"items": "emoji"}, "load_dataset.*found str"),
        ({"groups": 3}, "groups must be a list or array.*found int"),
        ({"groups": dict.fromkeys(range(N), 0)}, "groups must be a list or array.*found dict"),
        ({"strata": [None, *[1] * (N - 1)]}, r"strata\[0\] is None"),
        ({"strata": [1, float("nan"), *[1] * (N - 2)]}, r"strata\[1\] is nan"),
        ({"groups": np.zeros((N, 2))}, r"groups\[0\] is"),
        ({"x_ceilings": [1]}, "x_ceilings must be a dict.*found list"),
        ({"y_baselines": np.ones((N, 2))}, "y_baselines must be a dict.*found ndarray"),
        ({"x_baselines": {1: np.ones((N, 2))}}, r"x_baselines must be a dict from a name.*found \[1\]"),
        ({"y_ceilings": {"a": np.ones((9, 2))}}, "The ceiling 'a' in y_ceilings: .*9"),
    ],
)
def test_settings_of_a_wrong_type_are_named(planted, given, message):
    with pytest.raises(InputError, match=message):
        scan(*planted, "cka", **({"permutations": 19} | given))


@pytest.mark.parametrize("metrics", [None, 3])
def test_metrics_that_are_none_are_named(planted, metrics):
    with pytest.raises(InputError, match="metrics must be specs"):
        scan(*planted, metrics)


def test_sizes_of_a_gallery_may_come_in_an_array(planted):
    x, y = planted
    found = scan(x["x2"], y["y1"], "cka", permutations=19, gallery=np.array([40, 20, 20]))["cka"].gallery
    assert found["n"].tolist() == [20, 40]


def test_a_spent_budget_never_leaves_too_few_permutations_to_pass(planted):
    result = scan(*planted, "cka", permutations=99, budget=0)
    assert result["cka"].permutations >= 19
    assert result["cka"].p_maximum <= 0.05


def test_a_metric_that_is_not_defined_stops_only_itself(planted, tmp_path):
    _, y = planted
    wide = {"l": np.random.default_rng(0).normal(size=(N, N + 5))}
    found = scan(wide, y, ["cka", "cca", "mutual_knn(k=5)"], permutations=19)
    assert list(found) == ["cka(estimator='unbiased')", "mutual_knn(k=5)"]
    assert "cca" in found.undefined
    assert "cca: not defined here." in repr(found)
    with pytest.raises(KeyError, match="cca is not defined on these items"):
        found["cca"]
    assert load_result(found.save(tmp_path / "s.json")).undefined == found.undefined
    with pytest.raises(InputError):  # asked for alone, it is an error
        scan(wide, y, "cca", permutations=19)
    with pytest.raises(InputError, match="None of the 2 metrics is defined here"):
        scan(wide, y, ["cca", "cca(summary='mean_square')"], permutations=19)


def test_a_baseline_on_which_a_metric_is_not_defined_leaves_the_scan_as_it_is(planted):
    x, y = planted
    wide = {"l": np.random.default_rng(0).normal(size=(N, N + 5))}
    found = scan(x, y, ["cka", "cca"], permutations=19, x_baselines={"wide": wide})
    assert list(found) == ["cka(estimator='unbiased')", "cca"]
    assert list(found.baselines["wide x"]) == ["cka(estimator='unbiased')"]
    assert "cca" in found.baselines["wide x"].undefined
    assert list(found["cca"].against) == []
