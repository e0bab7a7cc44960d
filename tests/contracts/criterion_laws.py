"""The laws of a criterion of leagues. Each takes the class; its own example family says what it is asked of."""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.leagues import Criterion, Family, Network, league
from isomorph.leagues._scores import Scorer
from isomorph.metrics import Metric, metric
from isomorph.results import League

from .laws import Laws

CRITERIA = Laws()
law = CRITERIA.law
Kind = type[Criterion]
KINDS = ("design", "layers", "function", "geometry", "reliability")


class Deaf(Metric[Any]):
    """What reads nothing: the same score for all, or one that hangs on the spaces by chance."""

    name = "deaf"
    range = (0.0, 1.0)
    invariances = frozenset[str]()
    chance = "its own mean"
    reference = "none"
    symmetric = True
    differentiable = False
    identity = None
    distance = False

    def __init__(self, scatter: bool, seed: int = 0) -> None:
        self.scatter, self.seed = scatter, seed

    spec = property(lambda self: f"deaf(scatter={self.scatter}, seed={self.seed})")
    variant = spec
    spellings: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        return {"scatter": self.scatter, "seed": self.seed}

    def prepare(self, x: Any) -> int:
        return int(np.abs(np.asarray(x)).sum() * 1e6) % 2**31

    def permute(self, state: int, order: Any) -> int:
        return state

    def compare(self, xs: Any, ys: Any) -> Any:
        if not self.scatter:
            return np.full((len(xs), len(ys)), 0.5)
        return np.array([[np.random.default_rng([self.seed, *sorted((a, b))]).random() for b in ys] for a in xs])


@functools.cache
def asked(kind: Kind) -> League:
    """The league of one criterion over its example: metrics that see the space, and some that see nothing."""
    criterion, family = kind.example()
    deaf = [Deaf(scatter=False), *(Deaf(scatter=True, seed=k) for k in range(8))]
    return league(family, [*SEEING, *deaf], criteria=[criterion], permutations=99, draws=100)


SEEING = ("cka", "mutual_knn(k=5)", "cca")


@law()
def it_says_what_it_is_and_is_for(kind: Kind) -> None:
    assert kind.kind in KINDS
    assert kind.reference.endswith(".")
    assert kind.purpose
    assert not kind.purpose.endswith(".")
    criterion, _ = kind.example()
    assert criterion.spec.partition("(")[0] == kind.name


@law()
def a_metric_that_sees_the_space_tells_the_truth_of_the_example(kind: Kind) -> None:
    found = asked(kind)[kind.name]
    told = {name: v for name, v in found.rows.items() if not name.startswith("deaf")}
    assert min(v.p_value for v in told.values()) <= 0.05, {name: v.p_value for name, v in told.items()}
    assert max(v.value - v.chance for v in told.values()) > 0


@law()
def a_constant_metric_tells_nothing(kind: Kind) -> None:
    found = asked(kind)[kind.name]
    deaf = found.rows[Deaf(scatter=False).spec]
    assert deaf.value <= deaf.chance + 1e-9, f"a constant score has {deaf.value}, chance is {deaf.chance}"
    assert deaf.p_value > 0.2
    assert found.winner != Deaf(scatter=False).spec


@law()
def random_metrics_tell_no_more_than_chance(kind: Kind) -> None:
    found = asked(kind)[kind.name]
    p = [found.rows[Deaf(scatter=True, seed=k).spec].p_value for k in range(8)]
    assert sum(v <= 0.05 for v in p) <= 2, p


@law()
def the_order_of_networks_plays_no_part(kind: Kind) -> None:
    criterion, family = kind.example()
    turned = Family(family.name, list(family)[::-1], labels=family.labels)
    scorer = Scorer(metric("cka"))
    values = []
    for one in (family, turned):
        question = criterion.ask(one, 0)
        values.append(question.value(question.scores(scorer), np.arange(len(question.units))))
    assert np.isclose(values[0], values[1], atol=1e-8), values


@law()
def every_unit_can_be_left_out(kind: Kind) -> None:
    criterion, family = kind.example()
    question = criterion.ask(family, 0)
    scores = question.scores(Scorer(metric("cka")))
    everyone = np.arange(len(question.units))
    without = [question.value(scores, np.delete(everyone, k)) for k in everyone]
    assert np.isfinite(without).all()
    assert len(question.units) >= 3


@law()
def the_same_seed_gives_the_same_bytes(kind: Kind) -> None:
    criterion, family = kind.example()
    texts = [
        league(family, ["cka"], criteria=[criterion], permutations=19, draws=100, seed=3).to_json() for _ in range(2)
    ]
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["kind"] == "league"


@law(lambda kind: kind.kind != "geometry")
def what_is_missing_is_said_in_words(kind: Kind) -> None:
    criterion, _ = kind.example()
    bare = Family("bare", [Network(name, {"last": np.eye(6)}) for name in "ab"])
    with pytest.raises(InputError, match=r".{20}"):
        criterion.ask(bare, 0)
