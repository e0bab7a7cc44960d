"""scan(): every layer pair, its chance level, and the p of the maximum."""

import json

import numpy as np
import pytest

from isomorph.errors import InputError, UnknownNameError
from isomorph.results import Alignment, Scan, load_result
from isomorph.scan import scan
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
    with pytest.raises(KeyError, match="Unknown metric"):
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
    assert "did not choose" in repr(scan(*planted, "cka", permutations=19, selection="split"))
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
    assert "leave 1 of the 60 items out" in result.notes[0]
    assert "Note" in repr(result)
    assert scan(x, y, "cka", permutations=19).notes == ()


def test_groups_move_together(planted):
    x, y = planted
    groups = np.repeat(np.arange(N // 5), 5)
    grouped = scan(x, y, "cka", permutations=50, groups=groups)["cka"]
    assert "sampled" in grouped.null
    with pytest.raises(InputError, match="groups has 3 entries"):
        scan(x, y, "cka", groups=[1, 2, 3])


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
        ({"permutations": -1}, "cannot be negative"),
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
