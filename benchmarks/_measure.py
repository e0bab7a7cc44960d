"""What the benchmarks share: programs timed in turn in one process, claims printed with their limits, two models."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

N, LAYERS_X, LAYERS_Y, D_X, D_Y = 1024, 13, 25, 768, 1024
Layers = list[np.ndarray]


def seconds(program: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    begin = time.perf_counter()
    program()
    return time.perf_counter() - begin


def in_turn(programs: Mapping[str, Callable[[], object]], rounds: int, *, warm: bool = True) -> dict[str, float]:
    """Median seconds of each program. They take turns, so that a busy spell of the machine hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(rounds + warm):
        for name, program in programs.items():
            spent = seconds(program)
            if turn >= warm:  # the first turn loads libraries and touches memory
                times[name].append(spent)
    return {name: statistics.median(values) for name, values in times.items()}


class Claims:
    """Prints every claim beside what was measured, and ends the program with 1 if one was not met."""

    def __init__(self, title: str) -> None:
        self.missed = 0
        print(title, flush=True)

    def say(self, text: str) -> None:
        """A line that claims nothing."""
        print(f"  {text}", flush=True)

    def times(self, found: Mapping[str, float]) -> None:
        """What each program took."""
        for name, value in found.items():
            self.say(f"{name:<58} {value:9.3f} s")

    def at_most(self, claim: str, value: float, limit: float) -> None:
        """A value that must not exceed its limit."""
        self._judge(claim, value, f"at most {limit:g}", value <= limit)

    def at_least(self, claim: str, value: float, limit: float) -> None:
        """A value that must reach its limit."""
        self._judge(claim, value, f"at least {limit:g}", value >= limit)

    def end(self) -> None:
        """Leave with the exit code."""
        sys.exit(1 if self.missed else 0)

    def _judge(self, claim: str, value: float, wanted: str, holds: bool) -> None:
        self.missed += not holds
        self.say(f"{claim:<58} {value:9.2f}   ({wanted}) {'met' if holds else 'NOT MET'}")


def put_section(document: Path, begin: str, before: str, section: str) -> None:
    """Put a section into a page, in place of the one that begins so, or else before another heading.

    Args:
        document: The page.
        begin: The section's heading, with its line break.
        before: The heading before which a new one goes.
        section: The section, heading and all.
    """
    text = document.read_text(encoding="utf-8")
    start = text.find(begin)
    if start < 0:
        start = text.index(before)
        rest = text[start:]
    else:
        after = text.find("\n## ", start + len(begin))
        rest = text[after + 1 :] if after >= 0 else ""
    document.write_text(text[:start] + section + rest, encoding="utf-8")


def two_models(n: int = N, d_x: int = D_X, d_y: int = D_Y) -> tuple[Layers, Layers]:
    """13 × 25 layers of the same items, float32: a shared signal in noise, a falling spectrum, an offset."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((n, 32), dtype=np.float32)

    def layer(d: int) -> np.ndarray:
        x = shared @ rng.standard_normal((32, d), dtype=np.float32) + 3 * rng.standard_normal((n, d), dtype=np.float32)
        return x * np.arange(1, d + 1, dtype=np.float32) ** -0.3 + 1

    return [layer(d_x) for _ in range(LAYERS_X)], [layer(d_y) for _ in range(LAYERS_Y)]


def shared_orders(count: int, n: int = N) -> np.ndarray:
    """Random orders of the items."""
    rng = np.random.default_rng(1)
    return np.stack([rng.permutation(n) for _ in range(count)])
