"""Libraries that take seconds to load and are needed by one worker of several."""

from __future__ import annotations

from typing import Any

import pytest


class Late:
    """A library that is loaded where a test first uses it, and not where tests are collected.

    A test that uses it is skipped, with the reason, where it is not installed.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pytest asks everything in a module whether it wraps a fixture
            raise AttributeError(name)
        return getattr(pytest.importorskip(self._name, reason=f"{self._name} is not installed"), name)
