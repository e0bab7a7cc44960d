"""Specs are read as literals, and a registry finds every class of its room, its aliases, and near misses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isomorph._core.registry import bind, format_spec, parse_spec
from isomorph.errors import InputError, UnknownNameError
from isomorph.metrics import REGISTRY, Metric, metric

literals = st.one_of(
    st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(), st.booleans(), st.none()
)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z_]{0,8}x", fullmatch=True), st.one_of(literals, st.lists(literals))))
def test_a_spec_is_read_back_as_it_was_written(parameters: dict[str, Any]) -> None:
    assert parse_spec(format_spec("a-name.v2", parameters)) == ("a-name.v2", [], parameters)


def test_a_bare_name_has_no_parameters() -> None:
    assert parse_spec("  cka ") == ("cka", [], {})
    assert format_spec("cka", {}) == "cka"


def test_positional_values_are_kept_apart() -> None:
    assert parse_spec("f(3, k=(1, 2))") == ("f", [3], {"k": (1, 2)})


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "(k=1)",
        "a b",
        "f(k=1",
        "f(k=open('x'))",
        "f(k=__import__('os'))",
        "f(**{})",
        "f(k=1)(2)",
        "f)",
        "f(1) + 2",
        "f;g",
    ],
)
def test_what_is_not_a_literal_spec_is_refused_and_never_run(spec: str) -> None:
    with pytest.raises(InputError, match="Cannot read"):
        parse_spec(spec)


def test_a_wrong_parameter_names_the_right_ones() -> None:
    with pytest.raises(InputError, match=r"unexpected keyword argument 'kk'.*estimator"):
        metric("cka(kk=3)")

    def factory(k: int = 1) -> int:
        return k

    with pytest.raises(InputError, match="multiple values"):
        bind(factory, "thing", "f(1, k=2)", [1], {"k": 2})
    assert bind(factory, "thing", "f(4)", [4], {}) == 4


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean .*'cka'") as caught:
        metric("ckaa")
    assert "cka" in caught.value.near
    assert "isomorph list metrics" in str(caught.value)


def test_an_instance_passes_through_and_other_things_do_not() -> None:
    m = metric("cka")
    assert metric(m) is m
    with pytest.raises(InputError, match="found int"):
        metric(3)  # type: ignore[arg-type]  # the mistake that is tested


def test_what_an_alias_stands_for_is_said_where_its_parameters_do_not_fit() -> None:
    with pytest.raises(InputError, match=r"median='all' does nothing .*\(rbf_cka stands for cka\(.*median='all'\)\.\)"):
        REGISTRY.make("rbf_cka(kernel='linear')")


def test_an_alias_takes_further_parameters() -> None:
    assert metric("biased_cka(kernel='rbf')") == metric("cka(estimator='biased', kernel='rbf')")
    assert metric(" unbiased_cka ") == metric("cka")


def test_every_class_is_found_once_under_its_own_name() -> None:
    assert list(REGISTRY.classes) == sorted(REGISTRY.classes)
    for name, cls in REGISTRY.classes.items():
        assert cls.name == name
        assert issubclass(cls, Metric)
    assert not set(REGISTRY.aliases) & set(REGISTRY.classes)


@pytest.mark.parametrize("spec", ["cka=1", "cka k=3", "cka=unbiased(x=1)"])
def test_parameters_without_brackets_name_what_was_meant(spec: str) -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'cka'\? Parameters are given in brackets|Known: cka\."):
        metric(spec)
    with pytest.raises(UnknownNameError, match=r"Unknown metric 'ckaa=3'.*'cka'"):
        metric("ckaa=3")
