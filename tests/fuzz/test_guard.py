"""The guard sees what it is there for: each planted fault is a failure, and what is right is none."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from isomorph.errors import InputError

from .guard import Door, infinities


@dataclasses.dataclass(frozen=True)
class Answer:
    score: Any
    gaps: Any = dataclasses.field(default=None, metadata={"gaps": True})


def _raise(error):
    raise error


def _hang():
    until = time.monotonic() + 5
    while time.monotonic() < until:
        pass


def _hog():
    return np.ones(300 << 20, dtype=np.uint8).sum() > 0


def _swallow():
    """A hang inside something that catches every exception."""
    try:
        _hang()
    except Exception:
        return 1.0


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: _raise(KeyError("x")), "KeyError"),
        (lambda: _raise(ValueError("x")), "ValueError"),
        (lambda: _raise(MemoryError()), "MemoryError"),
        (lambda: _raise(SystemExit(3)), "SystemExit"),
        (lambda: _raise(InputError("")), "without a word"),
        (lambda: float("nan"), "not finite"),
        (lambda: (1.0, {"a": np.array([1, np.inf])}), "not finite"),
        (lambda: Answer(score=np.float32("nan")), "not finite"),
        (lambda: Answer(0.5, gaps=np.array([np.inf])), "not finite"),
        (_hang, "still at work"),
        (_swallow, "still at work"),
        (lambda: time.sleep(5), "still at work"),
        (_hog, "held more than"),
    ],
)
def test_a_planted_fault_is_a_failure(call, kind):
    door = Door("planted", seconds=0.3 if kind == "still at work" else 10, memory=100 << 20)
    door("case", call)
    assert any(kind in failure for failure in door.failures), door.failures
    with pytest.raises(AssertionError, match=r"1 kinds of failure|2 kinds of failure"):
        door.verdict(0.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: 0.5,
        lambda: None,
        lambda: Answer(0.5, gaps=np.array([np.nan, 1.0])),
        lambda: {"a": [1, "NaN", np.array(["x"])]},
    ],
)
def test_what_is_right_is_no_failure(call):
    door = Door("right")
    door("case", call)
    door.verdict()


def test_a_suite_in_which_everything_is_refused_proves_nothing():
    door = Door("refused")
    door.cases_of(100, lambda draw: door(f"case {draw(st.integers())}", lambda: _raise(InputError("no"))), fewest=20)
    assert door.cases >= 20
    assert not door.failures
    with pytest.raises(AssertionError, match=r"0\.00 of [0-9]+ cases were answered"):
        door.verdict()


def test_of_one_kind_the_shortest_case_is_told():
    door = Door("planted")
    for case in ("a long case", "short", "a longer case still"):
        door(case, lambda: _raise(KeyError("x")))
    assert list(door.failures.values()) == ["short"]


def test_wild_allocations_fail_instead_of_taking_the_machine():
    door = Door("planted")
    door.cases_of(1, lambda draw: door("case", lambda: np.ones(40 << 30, dtype=np.uint8)))
    assert any("MemoryError" in kind for kind in door.failures)


def test_infinities_are_found_wherever_they_are():
    torch = pytest.importorskip("torch")
    assert list(infinities({"a": (torch.tensor([1.0, float("nan")]),)}))
    assert list(infinities(complex(0, float("inf"))))
    assert not list(infinities({"a": (torch.tensor([1.0]), "inf", None, True, 10**400)}))
