"""The contract of every registered metric, generated from what its class declares.

Nothing is listed here: the laws are in `metric_laws.py`, the data in `metric_cases.py`, and the suite runs over
`isomorph.metrics.REGISTRY.classes` and, of each class, over its `variants` (specs; the default parameters if it names
none). One variant of each class runs each time, the others are marked `thorough`, and so are the laws that a parameter
can break, which run over every option of every parameter besides. Only pairs of metric and law that say something are
made. To run it for one metric, one law, one situation:

    pytest tests/contracts -k mutual_knn
    pytest tests/contracts -k "invariance and biased"
    pytest tests/contracts -k "equidistant"

The laws ask a class for nothing beyond its `Metric` interface. A parameter called ``k`` is lowered where a law needs
very few items. Agreement under JAX, which compiles for seconds, is asked of one metric a module, and of the others in
the thorough run; other libraries of the array API are asked of all. A metric whose optional package is missing is
skipped with that reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from isomorph.errors import MissingExtraError
from isomorph.metrics import REGISTRY, SITUATIONS, metric

from .metric_cases import FIRST, HARD, OPTIONS, SPECS
from .metric_laws import CAUSES
from .metric_shared import METRICS, OPTION_LAWS, SLOW_LAWS


def cases() -> Iterator[Any]:
    quick = [name for name in METRICS.by_name if name not in SLOW_LAWS]
    runs = [(SPECS, quick), (OPTIONS, sorted(OPTION_LAWS)), (FIRST, sorted(SLOW_LAWS))]
    modules = {type(metric(spec)).__module__: spec for spec in reversed(FIRST)}
    for specs, laws in runs:
        for spec in specs:
            for name, args in METRICS.calls(metric(spec), laws):
                later = name == "jax_agrees" and spec not in modules.values()
                marks = [pytest.mark.thorough] * (spec not in FIRST or later)
                if "jax" in name:
                    marks.append(pytest.mark.xdist_group("jax"))  # what is compiled is used again in the same process
                yield pytest.param(spec, name, args, id="-".join(map(str, (spec, name, *args))), marks=marks)


@pytest.mark.parametrize(("spec", "law", "args"), list(cases()))
def test_a_metric_keeps_the_law(spec: str, law: str, args: tuple[Any, ...]) -> None:
    try:
        METRICS.by_name[law](metric(spec), *args)
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", sorted(REGISTRY.classes))
def test_a_metric_without_parameters_in_its_spec_has_defaults(name: str) -> None:
    assert metric(name).name == name


@pytest.mark.parametrize("alias", sorted(REGISTRY.aliases))
def test_every_alias_builds_the_metric_that_declares_it(alias: str) -> None:
    owner = next(cls for cls in REGISTRY.classes.values() if alias in cls.aliases)
    assert type(metric(alias)) is owner
    assert alias not in REGISTRY.classes


def test_every_situation_has_a_sentence_examples_and_words_that_name_it() -> None:
    assert set(SITUATIONS) == set(HARD) == set(CAUSES)
    assert all(len(sentence.split()) > 4 for sentence in SITUATIONS.values())


@pytest.mark.parametrize("situation", sorted(SITUATIONS))
def test_every_situation_is_scored_by_some_metric_and_refused_by_another(situation: str) -> None:
    refusals = [situation in metric(spec).refuses for spec in SPECS]
    assert any(refusals)
    assert not all(refusals)
