"""What makes a family."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from ..._core.registry import format_spec
from .._family import Family


class FamilyMaker(ABC):
    """A registered maker of a family: a frozen dataclass whose fields are its parameters.

    Example:
        >>> from isomorph.leagues import FAMILIES
        >>> FAMILIES.make("digits(seeds=3)").spec
        'digits(seeds=3, epochs=20)'
    """

    name: ClassVar[str]
    """Registered name."""
    reference: ClassVar[str]
    """What its networks are trained on, and how."""

    @property
    def spec(self) -> str:
        """Name and parameters."""
        return format_spec(self.name, {f.name: getattr(self, f.name) for f in dataclasses.fields(self)})  # type: ignore[arg-type]  # every maker is a dataclass

    @abstractmethod
    def load(self, criteria: Sequence[str] | None = None) -> Family:
        """Read the family, or make it.

        Args:
            criteria: Names of the criteria that will be asked, so that no network is trained that none reads; None
                makes all.

        Raises:
            InputError: if its files do not fit.
            MissingExtraError: if what trains networks is not installed.
        """
