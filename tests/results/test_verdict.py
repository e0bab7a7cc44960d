"""One verdict from all metrics of a scan: the rule, and that scans, files and margins follow it."""

import dataclasses
import json

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.results import Scan, format_p, load_result
from isomorph.scanning import scan
from isomorph.significance import best_of_each, family

METRICS = ("cka", "mutual_knn(k=10)", "rsa")


def _sides(seed=0, n=150):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 8))
    return [z + 0.7 * rng.normal(size=z.shape) for _ in range(3)] + [rng.normal(size=z.shape) for _ in range(2)]


@pytest.fixture(scope="module")
def related():
    x, y, as_good, unrelated, _ = _sides()
    return scan(x, y, METRICS, permutations=99, x_baselines={"twin": as_good, "noise": unrelated}, equivalence=0.2)


def test_all_metrics_decide_together_and_their_order_does_not_matter(related):
    said = related.verdict
    assert set(said.above) == set(related)
    assert said.p_joint == related.p_maximum
    assert all(p >= said.p_joint for p in said.p_value.values())
    assert all(said.p_value[k] >= a.p_maximum for k, a in related.items())
    turned = dataclasses.replace(related, alignments=dict(reversed(related.alignments.items())))
    assert turned.verdict.state == said.state
    assert turned.verdict.p_value == said.p_value
    assert said.words in " ".join(repr(related).split())


def test_unrelated_spaces_are_not_shown_to_be_alike_at_the_rate_of_the_level():
    states = []
    for seed in range(60):
        *_, x, y = _sides(seed, n=40)
        states.append(scan(x, y, METRICS, permutations=19, intervals=False).verdict.state)
    assert states.count("fails") >= 51  # 60 at 0.05: more than 9 others have probability 0.001
    assert "holds" not in states or states.count("holds") <= 3


def test_a_difference_is_equivalent_only_by_the_interval_within_the_margin(related):
    tested = related["cka"].against["twin x"]
    assert tested["margin"] == 0.2
    assert tested["low"] < tested["margin_low"] < tested["difference"] < tested["margin_high"] < tested["high"]
    assert related.verdict.baselines["twin x"]["cka(estimator='unbiased')"] == "equivalent"
    assert related.verdict.baselines["noise x"]["cka(estimator='unbiased')"] == "more"
    x, y, as_good, *_ = _sides()
    bare = scan(x, y, METRICS, permutations=99, x_baselines={"twin": as_good})
    assert set(bare.verdict.baselines["twin x"].values()) == {"not shown to be more"}
    assert "margin" not in bare["cka"].against["twin x"]
    narrow = scan(x, y, "cka", permutations=99, x_baselines={"twin": as_good}, equivalence=1e-4)
    assert set(narrow.verdict.baselines["twin x"].values()) == {"not shown to be more"}
    assert narrow["cka"].against["twin x"]["p_value"] == bare["cka"].against["twin x"]["p_value"]


def test_a_difference_that_could_not_be_tested_is_not_called_none(related):
    made = dict(related["cka"].against["twin x"])
    made |= {"method": "no test: the scores differ by the same amount", "p_value": 1.0}
    alignment = dataclasses.replace(related["cka"], against={"twin x": made})
    one = dataclasses.replace(related, alignments={alignment.metric: alignment})
    assert one.verdict.baselines["twin x"] == {alignment.metric: "not tested"}
    assert "twin" not in one.verdict.words


@pytest.mark.parametrize("margin", [0, -0.1, float("nan"), float("inf"), "0.1", True])
def test_a_margin_is_a_number_above_zero(margin):
    x, y, *_ = _sides()
    with pytest.raises(InputError, match="equivalence="):
        scan(x, y, "cka", equivalence=margin)


def test_a_verdict_comes_back_from_a_file_and_files_without_the_new_fields_have_one(related, tmp_path):
    path = related.save(tmp_path / "s.json")
    assert load_result(path).verdict == related.verdict
    data = json.loads(path.read_text())
    del data["p_by_metric"]
    for alignment in data["alignments"].values():
        for tested in alignment["against"].values():
            for key in ("margin", "margin_low", "margin_high"):
                del tested[key]
    path.write_text(json.dumps(data))
    old = Scan.load(path).verdict
    assert old.state in ("holds", "partly")
    assert all(old.p_value[k] >= related.verdict.p_value[k] - 1e-12 for k in old.p_value), "Holm's, never below"
    assert old.baselines["twin x"]["cka(estimator='unbiased')"] == "not shown to be more"


def test_without_permutations_p_values_are_adjusted_by_their_number():
    x, y, *_ = _sides(n=40)
    found = scan(x, y, ("cka", "rsa"), permutations=0)
    p = sorted(a.p_maximum for a in found.values())
    assert found.p_maximum is None
    assert found.verdict.p_joint == pytest.approx(min(1, 2 * p[0]))
    assert sorted(found.verdict.p_value.values()) == pytest.approx([2 * p[0], max(2 * p[0], p[1])])


def test_the_step_down_over_metrics_is_that_of_their_best_scores_and_exact_by_enumeration():
    rng = np.random.default_rng(3)
    null = rng.normal(size=(199, 2, 3)), 5 + 2 * rng.normal(size=(199, 2, 3))
    parts = {"a": (null[0][0] + 4, null[0], False), "b": (null[1][0], null[1], False)}
    found = best_of_each(parts)
    best = {k: (v.max(), z.reshape(199, -1).max(axis=1)) for k, (v, z, _) in parts.items()}
    unit = {}
    for k, (v, z) in best.items():
        pooled = np.r_[v, z]
        unit[k] = (v - pooled.mean()) / pooled.std(), (z - pooled.mean()) / pooled.std()
    assert unit["a"][0] > unit["b"][0]
    both = np.maximum(unit["a"][1], unit["b"][1])
    first = (1 + np.sum(both >= unit["a"][0])) / 200
    assert found["a"] == pytest.approx(first)
    assert found["b"] == pytest.approx(max(first, (1 + np.sum(unit["b"][1] >= unit["b"][0])) / 200))
    assert family(parts).p_maximum <= 0.05


def test_effects_are_named_by_the_share_of_the_way_from_chance_to_the_best(related):
    alignment = related["cka"]
    for value, word in ((0.05, "tiny"), (0.2, "small"), (0.4, "moderate"), (0.9, "large")):
        made = dataclasses.replace(alignment, values=np.array([[value]]), chance=np.array([[0.0]]))
        assert made.effect == word
    endless = dataclasses.replace(alignment, range=(None, None))
    assert endless.effect == ""
    distance = dataclasses.replace(alignment, distance=True, values=np.array([[0.1]]), chance=np.array([[1.0]]))
    assert dataclasses.replace(distance, range=(0.0, None)).effect == "large"


def test_no_p_is_shown_below_what_can_be_known():
    assert format_p(0.0) == format_p(1e-310) == "< 1e-300"
    assert format_p(1e-299) == "1.0e-299"
