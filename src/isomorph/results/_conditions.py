"""Under what a result was had beside the main comparison: baselines, ceilings and controls, as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from ._base import Result

MAIN, BASELINE, CEILING, CONTROL = ROLES = ("main", "baseline", "ceiling", "control")
"""What a condition is for: the comparison itself; what it must be more than; the most that it could be; a fit or a
pairing that knows nothing."""


@dataclasses.dataclass(frozen=True)
class Condition(Result):
    """One condition of a scan or a stitch.

    Attributes:
        role: One of ``"main"``, ``"baseline"``, ``"ceiling"`` and ``"control"``.
        name: What the user calls it, such as ``"untrained"``.
        side: ``"x"`` or ``"y"``: the side that a baseline takes the place of, or that a ceiling is of; empty if it is
            of neither.
        given: What was given, such as the name of an encoder.

    Example:
        >>> Condition("baseline", "untrained", "x", given="bundled:dinov2-small?init=random").label
        'untrained x'
    """

    kind: ClassVar[str] = "condition"

    role: str
    name: str
    side: str = ""
    given: str = ""

    @property
    def label(self) -> str:
        """Its key in mappings from condition to what was found: name and side, such as ``"untrained x"``."""
        return f"{self.name} {self.side}" if self.side else self.name


def condition_of(conditions: Sequence[Condition], label: str, *roles: str) -> Condition:
    """The condition of a label that has one of some roles.

    Files of version 0.1 hold labels alone; theirs are read here, and nowhere else.

    Args:
        conditions: Those that a result holds.
        label: The label.
        roles: The roles that it may have, the first of which it is taken to have if the result holds none.
    """
    for condition in conditions:
        if condition.label == label and condition.role in roles:
            return condition
    name, _, side = label.rpartition(" ")
    return Condition(roles[0], name, side) if name and side in ("x", "y") else Condition(roles[0], label)
