"""Metrics that are known to be good, bad or blind take the places that they should."""

import dataclasses

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

import isomorph as iso
from isomorph.errors import InputError, UnknownNameError
from isomorph.leagues import REGISTRY, Family, Network, Scorer
from isomorph.metrics import Metric

from ..contracts.criterion_laws import Deaf

KINDS = 4


def networks(seeds=5, n=60, scatter=1.0, seed=0):
    """Networks of several kinds, as far apart as their kinds, with a number in the first row that names each."""
    rng = np.random.default_rng(seed)
    made = []
    for kind in range(KINDS):
        center = rng.normal(size=(n, 6))
        for k in range(seeds):
            x = center + scatter * rng.normal(size=center.shape)
            x[0] = 1 + len(made)
            made.append(Network(f"{kind}-{k}", {"last": x}, attributes={"label_noise": kind}))
    return made


class Knowing(Metric):
    """The truth of a family of `networks`, with noise of its own."""

    name = "knowing"
    range = (-np.inf, np.inf)
    invariances = frozenset()
    chance = "its own mean"
    reference = "none"
    symmetric, differentiable, identity, distance = True, False, None, False
    spellings = ()

    def __init__(self, noise, seed, seeds=5, name="knowing"):
        self.noise, self.seed, self.seeds, self.called = noise, seed, seeds, name
        self.table = np.random.default_rng(seed).normal(size=(1000, 1000))

    spec = property(lambda self: f"{self.called}(noise={self.noise}, seed={self.seed})")
    variant = spec
    parameters = property(lambda self: {"noise": self.noise, "seed": self.seed})

    def prepare(self, x):
        return int(x[0, 0]) - 1

    def permute(self, state, order):
        return state

    def compare(self, xs, ys):
        return np.array(
            [
                [float(a // self.seeds == b // self.seeds) + self.noise * self.table[min(a, b), max(a, b)] for b in ys]
                for a in xs
            ]
        )


def test_the_truth_with_noise_wins_and_what_is_blind_is_told_from_it_and_from_nothing_else():
    field = [Knowing(0.1, 0), Knowing(2.0, 1), Deaf(scatter=False), Deaf(scatter=True, seed=1)]
    found = iso.league(Family("kinds", networks()), field, criteria=["label_noise"], permutations=199)["label_noise"]
    good, poor, constant, random = found.rows.values()
    assert found.winner == field[0].spec
    assert good.value > 0.95
    assert good.p_value == pytest.approx(1 / 200)
    assert poor.value < good.value
    for blind in (constant, random):
        assert abs(blind.value - blind.chance) < 0.1
        assert blind.p_value > 0.05
        assert not blind.best
    # of those that are blind alone none is told from the other, and none wins
    alone = iso.league(Family("kinds", networks()), field[2:], criteria=["label_noise"], permutations=199)
    assert alone["label_noise"].winner is None
    assert set(alone["label_noise"].best) == {m.spec for m in field[2:]}
    assert alone.winner is None
    assert "none of these metrics is shown to tell it" in alone.guide()[0]


def test_two_metrics_that_are_equally_good_are_told_apart_no_more_often_than_alpha():
    family, told = Family("kinds", networks(seeds=4)), 0
    trials = 60
    for trial in range(trials):
        pair = [Knowing(1.2, 2 * trial, 4, "a"), Knowing(1.2, 2 * trial + 1, 4, "b")]
        found = iso.league(family, pair, criteria=["label_noise"], permutations=19, draws=100)
        told += found.p_differences[0, 0, 1] <= 0.05
    assert told <= 8  # 3 expected; more than 8 of 60 has a probability of .003 at .05


def test_all_orders_of_the_truth_give_the_p_of_enumeration():
    # three networks of each of two kinds: 720 orders of the kinds, of which each split comes 72 times
    rng = np.random.default_rng(5)
    made = [Network(f"n{k}", {"last": rng.normal(size=(30, 3))}, attributes={"shortcut": k // 3}) for k in range(6)]
    found = iso.league(Family("six", made), ["cka"], criteria=["shortcut"], permutations=4999)["shortcut"]["cka"]
    from itertools import combinations

    from sklearn.metrics import average_precision_score

    scores = np.array([[iso.metric("cka")(a.last, b.last) for b in made] for a in made])
    i, j = np.triu_indices(6, 1)
    values = []
    for first in combinations(range(6), 3):
        kind = np.isin(np.arange(6), first)
        values.append(average_precision_score(kind[i] == kind[j], scores[i, j]))
    exact = np.mean(np.array(values) >= found.value - 1e-12)
    assert found.value == pytest.approx(average_precision_score((i // 3) == (j // 3), scores[i, j]), abs=1e-9)
    assert found.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 5000) + 1 / 5000)


@pytest.mark.parametrize("statistic", ["auprc", "conformity"])
def test_by_kind_every_kind_stands_against_the_pairs_that_its_networks_are_in(statistic):
    # the definition of ReSi (Klabunde et al. 2025), with the estimators of scikit-learn
    judge = sklearn_metrics.average_precision_score if statistic == "auprc" else sklearn_metrics.roc_auc_score
    made = Family("mine", networks(seeds=4, scatter=2.5)[:-1])  # the last kind has three networks
    kinds = np.array([network.attributes["label_noise"] for network in made])
    scores = iso.metric("cka")
    question = REGISTRY.make(f"label_noise(statistic='{statistic}_by_kind')").ask(made, 0)
    table = question.scores(Scorer(scores))
    own, shares = [], []
    for kind in range(KINDS):
        mine, others = np.flatnonzero(kinds == kind), np.flatnonzero(kinds != kind)
        within = [scores(made.networks[a].last, made.networks[b].last) for a in mine for b in mine if a < b]
        across = [scores(made.networks[a].last, made.networks[b].last) for a in mine for b in others]
        own.append(judge([1] * len(within) + [0] * len(across), within + across))
        shares.append(len(within) / len(within + across))
    everyone = np.arange(len(made))
    assert question.value(table, everyone) == pytest.approx(np.mean(own), abs=1e-12)
    assert question.chance == pytest.approx(np.mean(shares) if statistic == "auprc" else 0.5)
    at_once = REGISTRY.make(f"label_noise(statistic='{statistic}')").ask(made, 0)
    assert abs(at_once.value(table, everyone) - question.value(table, everyone)) > 1e-6  # another question


def test_by_kind_chance_is_what_random_scores_get():
    made = Family("mine", networks())
    question = REGISTRY.make("label_noise(statistic='auprc_by_kind')").ask(made, 0)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(400):
        noise = rng.normal(size=(len(made), len(made)))
        drawn.append(question.value(noise + noise.T, np.arange(len(made))))
    # a precision-recall curve of few pairs lies a little above their share (Bestgen 2015)
    assert question.chance < np.mean(drawn) < question.chance + 0.05


def test_layers_are_found_again_in_both_regimes_and_metrics_differ():
    rng = np.random.default_rng(0)
    made = []
    latent = [rng.normal(size=(80, 10))]
    for _ in range(3):
        latent.append(latent[-1] + 0.8 * rng.normal(size=(80, 10)))
    for k in range(4):
        wide = {
            f"l{i}": np.hstack([z @ rng.normal(size=(10, 120)), rng.normal(size=(80, 80))])
            for i, z in enumerate(latent)
        }
        narrow = {f"l{i}": z @ rng.normal(size=(10, 10)) for i, z in enumerate(latent)}
        made.append(Network(f"n{k}", wide, pooled=narrow))
    criteria = ["identification", "identification(features='pooled')"]
    found = iso.league(Family("deep", made), ["cka", "svcca"], criteria=criteria, permutations=99)
    flat, pooled = (found[spec] for spec in found)
    assert flat["cka"].value > 0.9
    assert pooled["svcca"].value > 0.9
    with pytest.raises(KeyError, match="is of several of"):
        found["identification"]


def test_scores_above_chance_stand_beside_raw_ones_and_the_width_of_noise_shows_in_the_raw_ones_alone():
    found = iso.league(
        Family("kinds", networks(seeds=3)),
        ["cka(estimator='biased')", "cka"],
        criteria="width(trials=6)",
        above_chance=True,
    )["width"]
    assert found["cka(estimator='biased')"].value < 0.5
    assert found["cka(estimator='biased') above chance"].value > 0.95
    assert found["cka"].value > 0.95


def test_a_league_is_saved_as_it_is_and_named_by_any_spelling(tmp_path):
    found = iso.league(
        Family("kinds", networks(seeds=3)), ["cka", "mutual_knn(k=5)"], criteria=["label_noise", "noise(trials=4)"],
        permutations=19, draws=100,
    )  # fmt: skip
    found.save(tmp_path / "league.json")
    again = iso.load_result(tmp_path / "league.json")
    assert again.to_json() == found.to_json()
    assert again["noise"]["unbiased_cka"] == found["noise(n=100, d=20, trials=4)"]["cka(estimator='unbiased')"]
    assert len(found.to_records()) == 4
    assert {row["criterion"].partition("(")[0] for row in found.to_records()} == {"label_noise", "noise"}
    with pytest.raises(KeyError, match="was not asked; there are label_noise"):
        found["accuracy"]


def test_a_metric_without_a_score_is_named_and_takes_no_part_in_the_mean_place():
    found = iso.league(
        Family("kinds", networks(seeds=3)), ["cka", "cca"], criteria=["width(trials=4)", "label_noise"], permutations=19
    )
    assert "cca" in str(found.undefined)
    assert [name for name, _, _ in found.overall] == ["cka(estimator='unbiased')"]
    assert "cca(summary='mean')" not in found["width"].rows


def test_without_criteria_all_that_fit_are_asked_and_the_others_say_why_not():
    found = iso.league(Family("kinds", networks(seeds=3)), ["cka"], permutations=19, draws=100)
    assert "label_noise" in str(found.criteria)
    assert "no network says its 'shortcut'" in found.unanswered["shortcut"]
    assert "0 networks have outputs" in found.unanswered["accuracy"]
    assert "has no labels" in found.unanswered["probes"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"criteria": "accuracy"}, r"accuracy does not fit the family 'kinds': 0 networks have outputs; at least 4"),
        ({"criteria": "acuracy"}, "Did you mean 'accuracy'"),
        ({"criteria": []}, "one criterion or a list of them is needed"),
        ({"criteria": ["noise", "noise"]}, "is given twice"),
        ({"criteria": "noise(trials=2)"}, "noise: trials"),
        ({"metrics": "cka2"}, "metric"),
        ({"permutations": 3}, "permutations"),
        ({"alpha": 2}, "alpha=2: a level between 0 and 1"),
        ({"family": "digit"}, "family.*digits"),
        ({"family": 3}, "family must be an isomorph.leagues.Family or the spec of one"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(change, said):
    given = {"family": Family("kinds", networks(seeds=3)), "metrics": "cka"} | change
    with pytest.raises((InputError, UnknownNameError), match=said):
        iso.league(given.pop("family"), given.pop("metrics"), **given)


def test_all_equal_accuracies_say_that_there_is_nothing_to_predict():
    right = 0.05 + 0.85 * np.eye(3)[np.arange(30) % 3]
    made = [
        Network(f"n{k}", {"last": np.random.default_rng(k).normal(size=(30, 4))}, right / right.sum(1)[:, None])
        for k in range(5)
    ]
    with pytest.raises(
        InputError, match="all pairs of its networks are equally far apart: there is nothing to predict"
    ):
        iso.league(Family("same", made, labels=np.arange(30) % 3), ["cka"], criteria="accuracy")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Family("one", networks(1)[:1]), "has 1 networks; two or more"),
        (lambda: Family("twice", [networks(1)[0]] * 2), "several networks called '0-0'"),
        (lambda: Family("odd", ["a", "b"]), "must hold isomorph.leagues.Network, found str"),
        (
            lambda: Family("n", [Network("a", {"l": np.eye(3)}), Network("b", {"l": np.eye(4)})]),
            "different numbers of items",
        ),
        (lambda: Family("l", networks(1), labels=[1, 2]), r"labels have shape \(2,\)"),
        (lambda: Family("m", networks(1), members={"accuracy": ["x"]}), "network of the family"),
        (lambda: Network("a", {}), "has no layers"),
        (lambda: Network("a", {"l": np.eye(3)}, outputs=np.eye(3) * 2), "are no probabilities"),
        (lambda: Network("a", {"l": np.eye(3)}, outputs=np.eye(2)), r"have shape \(2, 2\)"),
        (lambda: Network("a", {"l": np.eye(3)}, head=(np.eye(2), np.zeros(2))), "The head of the network 'a'"),
        (lambda: Network("a", {"l": np.eye(3), "m": np.eye(4)}), "different numbers of items"),
    ],
)
def test_families_that_cannot_be_are_refused_in_words(make, said):
    with pytest.raises((InputError, UnknownNameError), match=said):
        make()


def test_a_criterion_is_a_frozen_value_with_its_parameters_in_its_spec():
    from isomorph.leagues import REGISTRY

    made = REGISTRY.make("translation(far=3.0)")
    assert made.spec == "translation(n=100, d=20, trials=10, far=3.0)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.far = 1.0
