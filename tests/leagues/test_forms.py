"""Metrics in two forms: what is held against what, the paired difference, and networks by several layers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import isomorph as iso
from isomorph.errors import InputError
from isomorph.leagues import REGISTRY, Family, Network, Scorer
from isomorph.nulls.judge import holm

BIASED = "cka(estimator='biased')"


def deep(seeds=4, layers=3, told=0, n=50):
    """Networks of three kinds, of which one layer alone tells the kind."""
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(3, n, 5))
    made = []
    for kind in range(3):
        for k in range(seeds):
            own = {f"l{i}": rng.normal(size=(n, 4 + i)) for i in range(layers)}
            own[f"l{told}"] = kinds[kind] + 0.4 * rng.normal(size=(n, 5))
            made.append(Network(f"{kind}-{k}", own, attributes={"label_noise": kind}))
    return Family("deep", made)


def scored(family, metrics, **settings):
    return iso.league(family, metrics, criteria=["label_noise"], permutations=39, draws=100, **settings)


def test_contrasts_are_the_paired_differences_of_both_forms_adjusted_together():
    family = deep()
    found = scored(family, ["cka", BIASED], above_chance=True)
    every = found.contrasts()
    names = {(c.form, c.first, c.second) for c in every}
    unbiased = "cka(estimator='unbiased')"
    assert names == {
        ("chance", f"{unbiased} above chance", unbiased),
        ("chance", f"{BIASED} above chance", BIASED),
        ("bias", unbiased, BIASED),
        ("bias", f"{unbiased} above chance", f"{BIASED} above chance"),
    }
    for c in every:
        rows = found["label_noise"].rows
        assert c.difference == pytest.approx(rows[c.first].value - rows[c.second].value, abs=1e-12)
        assert c.low <= c.difference <= c.high
    for form in ("chance", "bias"):
        own = [c for c in every if c.form == form]
        np.testing.assert_allclose([c.adjusted for c in own], holm([c.p_value for c in own]))


def test_the_interval_of_a_contrast_is_that_of_leaving_out_each_network():
    family = deep()  # the last layer tells nothing: both vary
    (contrast,) = scored(family, ["cka", BIASED]).contrasts()
    question = REGISTRY.make("label_noise").ask(family, 0)
    both = [question.scores(Scorer(iso.metric(spec))) for spec in ("cka", BIASED)]
    units = np.arange(len(family))

    def gap(keep):
        return question.value(both[0], keep) - question.value(both[1], keep)

    without = np.array([gap(np.delete(units, u)) for u in units])
    error = np.sqrt((len(units) - 1) / len(units) * np.sum((without - without.mean()) ** 2))
    reach = stats.t.isf(0.025, len(units) - 1) * error
    assert contrast.difference == pytest.approx(gap(units), abs=1e-12)
    assert (contrast.low, contrast.high) == pytest.approx((gap(units) - reach, gap(units) + reach), abs=1e-9)


def test_the_better_form_is_the_one_that_tells_the_truth_and_the_page_shows_it(tmp_path):
    found = iso.league(deep(), [BIASED], criteria=["width(trials=6)"], above_chance=True, permutations=39, draws=100)
    (contrast,) = found.contrasts()
    assert contrast.better == f"{BIASED} above chance"
    assert contrast.low > 0.3
    assert "chance taken off, against raw scores: better in 1 of 1 comparisons, worse in 0" in repr(found)
    page = iso.report(found, to=tmp_path / "page.html").read_text()
    assert "Chance taken off, against raw scores" in page
    assert "Where one form is better than the other" in page


@pytest.mark.parametrize("told", [0, 1, 2])
def test_the_layer_that_tells_and_the_maximum_over_layers_win_where_the_last_one_is_blind(told):
    found = scored(deep(told=told), ["cka"], layers="all")["label_noise"]
    assert found["cka max over layers"].value > 0.9
    depth = {0: "cka at depth 0.0", 1: "cka at depth 0.5", 2: "cka"}[told]
    assert found[depth].value > 0.9
    others = {"cka at depth 0.0", "cka at depth 0.5", "cka"} - {depth}
    assert all(found[other].value < 0.6 for other in others)


def test_several_layers_against_the_last_are_a_contrast_with_its_verdict():
    found = scored(deep(seeds=6), ["cka"], layers="max").contrasts()
    (contrast,) = found
    assert (contrast.form, contrast.first) == ("layers", "cka(estimator='unbiased') max over layers")
    assert contrast.better == contrast.first
    assert scored(deep(), ["cka"]).contrasts() == []


def test_networks_by_several_layers_are_the_scores_of_single_pairs():
    family, spec = deep(seeds=2), "ridge_predictivity"
    layers = [[*network.layers.values()] for network in family]
    one = iso.metric(spec)
    by_hand = np.array(
        [[[[(one(x, y) + one(y, x)) / 2 for y in b] for x in a] for b in layers] for a in layers]
    )  # networks, networks, layers, layers
    shared = {}
    made = {
        form: Scorer(one, layers=form, every=True, seen=shared).networks(layers) for form in ("last", "max", 0.0, 0.5)
    }
    np.testing.assert_allclose(made["last"], by_hand[:, :, -1, -1], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(made["max"], by_hand.max(axis=(2, 3)), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(made[0.0], by_hand[:, :, 0, 0], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(made[0.5], by_hand[:, :, 1, 1], rtol=1e-7, atol=1e-9)
    assert len(shared) == 1  # every pair of layers was scored once, for all four


def test_a_distance_is_largest_in_likeness_at_its_smallest():
    layers = [[*network.layers.values()] for network in deep(seeds=1)]
    distance = iso.metric("procrustes_distance")
    made = Scorer(distance, layers="max", every=True).networks(layers)
    expected = -min(distance(x, y) for x in layers[0] for y in layers[1])
    assert made[0, 1] == pytest.approx(expected, rel=1e-7)


def test_criteria_that_read_the_same_networks_share_their_scores(monkeypatch):
    rng = np.random.default_rng(0)
    answers = rng.dirichlet(np.ones(3), size=(6, 40))
    family = Family("six", [Network(f"n{k}", {"l": rng.normal(size=(40, 4))}, answers[k]) for k in range(6)])
    calls = []
    pairs = Scorer.pairs
    monkeypatch.setattr(Scorer, "pairs", lambda self, spaces: calls.append(self.name) or pairs(self, spaces))
    iso.league(family, ["cka", "rsa"], criteria=["disagreement", "jensen_shannon"], permutations=19, draws=100)
    assert len(calls) == 2  # one a metric, for both criteria


def test_where_a_network_has_one_layer_the_other_forms_say_so_and_spaces_of_criteria_are_left_out():
    rng = np.random.default_rng(0)
    made = [Network(f"{k}", {"l": rng.normal(size=(30, 4))}, attributes={"label_noise": k // 3}) for k in range(6)]
    criteria = ["label_noise", "noise(trials=4)"]
    found = iso.league(Family("flat", made), ["cka"], criteria=criteria, layers="max", permutations=19, draws=100)
    ((spec, why),) = found.undefined.items()
    assert spec.startswith("label_noise")
    assert why == {
        "cka(estimator='unbiased') max over layers": "6 of its 6 networks have one layer only; two or more are needed."
    }
    assert list(found["noise"]) == ["cka(estimator='unbiased')"]
    with pytest.raises(InputError, match="layers"):
        iso.league(Family("flat", made), ["cka"], layers="first")


def test_a_metric_that_fails_on_an_earlier_layer_keeps_its_score_by_the_last():
    family = deep(told=2, n=20)
    for network in family:
        network.layers["l0"] = np.random.default_rng(1).normal(size=(20, 40))  # CCA is not defined there
    found = scored(family, ["cca"], layers="max")
    assert list(found["label_noise"]) == ["cca"]
    assert found["label_noise"]["cca"].value == scored(family, ["cca"])["label_noise"]["cca"].value
    assert "cca max over layers" in found.undefined["label_noise(statistic='auprc')"]
