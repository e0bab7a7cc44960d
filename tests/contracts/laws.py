"""Laws of a room of kinds: plain functions of one kind that raise AssertionError where it breaks the law.

Every room has a file of laws; the suite runs each over each registered kind, and `test_cheats_kinds.py` over planted
kinds that must be caught. A law never passes by a refusal that was not declared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

Law = Callable[..., None]
Applies = Callable[[Any], bool | Sequence[tuple[Any, ...]]]
"""Whether a law applies to a kind, or the further arguments of each of its runs."""


class Laws:
    """The laws of one room, by the name of the function; each says to which kinds it applies, or with what."""

    def __init__(self) -> None:
        self.by_name: dict[str, Law] = {}
        self._applies: dict[str, Applies] = {}

    def law(self, applies: Applies = lambda _: True) -> Callable[[Law], Law]:
        def add(function: Law) -> Law:
            self.by_name[function.__name__], self._applies[function.__name__] = function, applies
            return function

        return add

    def cases(self, kinds: dict[str, Any]) -> Iterator[Any]:
        """Every law with every kind that it applies to; a law that applies to none says nothing, and is an error."""
        for name, law in self.by_name.items():
            chosen = {k: kind for k, kind in kinds.items() if self._applies[name](kind)}
            assert chosen, f"the law {name} applies to no kind"
            for k, kind in chosen.items():
                yield pytest.param(kind, law, id=f"{k}-{name}")

    def calls(self, kind: Any, names: Iterable[str] | None = None) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """The laws that apply to a kind, or those of them that are named, with the further arguments of each run."""
        for name in self.by_name if names is None else names:
            runs = self._applies[name](kind)
            for args in [()] if runs is True else runs or []:
                yield name, tuple(args)

    def broken(self, kind: Any, *args: Any, names: Iterable[str] | None = None) -> dict[str, str]:
        """The laws that a kind breaks, or those of them that are named, and how."""
        found = {}
        for name in self.by_name if names is None else names:
            if self._applies[name](kind):
                try:
                    self.by_name[name](kind, *args)
                except (Exception, pytest.fail.Exception) as error:  # any error fails a test of the suite
                    found[name] = f"{type(error).__name__}: {error}"
        return found
