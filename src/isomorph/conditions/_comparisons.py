"""What is compared with what: the question itself, and the conditions beside it, each with its two sides."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from ..results import BASELINE, CEILING, MAIN, Condition
from .sides import Side, as_side, joined


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two sides that are compared, and why.

    Attributes:
        condition: Role, name and side, and what was given.
        left: The side in the place of `x`.
        right: The side in the place of `y`.

    Example:
        >>> x, y = (as_side(np.eye(4), name, None) for name in "xy")
        >>> found = comparisons(x, y, x_baselines={"untrained": np.ones((4, 2))})
        >>> [(c.role, c.label, c.given.name) for c in found[1:]]
        [('baseline', 'untrained x', 'untrained')]
    """

    condition: Condition
    left: Side
    right: Side

    @property
    def role(self) -> str:
        """The role of the condition."""
        return self.condition.role

    @property
    def label(self) -> str:
        """Its key in results; empty for the question itself."""
        return self.condition.label

    @property
    def given(self) -> Side:
        """The side that the condition brings: a baseline's, in place of `x` or `y`, or a ceiling's."""
        takes_x = (self.condition.side == "x") == (self.condition.role == BASELINE)
        return self.left if takes_x else self.right

    @property
    def same_target(self) -> bool:
        """Whether the right side is that of the question, so that predictions of it can be compared."""
        return self.condition.role == MAIN or self.given is self.left


def comparisons(
    left: Side,
    right: Side,
    *,
    x_baselines: Mapping[str, Any] | None = None,
    y_baselines: Mapping[str, Any] | None = None,
    x_ceilings: Mapping[str, Any] | None = None,
    y_ceilings: Mapping[str, Any] | None = None,
    ceilings: Mapping[str, Any] | None = None,
    verb: str = "scan",
) -> list[Comparison]:
    """The comparison of two sides and those that it is held against, with the same items in the same order.

    Items keep the order of the main comparison: groups, strata, time series and paired differences are in that order.

    Args:
        left: The side `x`.
        right: The side `y`, joined with it.
        x_baselines: Name -> layers that take the place of `x`.
        y_baselines: Name -> layers that take the place of `y`.
        x_ceilings: Name -> layers that `x` is compared with in place of `y`: another of its kind.
        y_ceilings: Name -> layers that `y` is compared with in place of `x`.
        ceilings: Name -> layers that take the place of `x`, being of no side.
        verb: What is done, for messages.

    Raises:
        InputError: if something given has no name, is no representation, or does not hold all the items.

    Example:
        >>> x, y = (as_side(np.eye(4), name, None) for name in "xy")
        >>> found = comparisons(x, y, x_baselines={"untrained": np.ones((4, 2))}, y_ceilings={"other seed": np.eye(4)})
        >>> [(c.role, c.left.name, c.right.name) for c in found]
        [('main', 'x', 'y'), ('baseline', 'untrained', 'y'), ('ceiling', 'other seed', 'y')]
    """
    out = [Comparison(Condition(MAIN, "", "", ""), left, right)]
    wanted = [
        (BASELINE, "x", x_baselines),
        (BASELINE, "y", y_baselines),
        (CEILING, "x", x_ceilings),
        (CEILING, "y", y_ceilings),
        (CEILING, "", ceilings),
    ]
    for role, side, given in wanted:
        argument = f"{side}_{role}s".lstrip("_")
        for name, other in _named(given, argument):
            takes_x = (side == "x") == (role == BASELINE)
            kept = right if takes_x else left
            try:
                pair = joined(kept, other)
            except InputError as error:
                raise InputError(f"The {role} {name!r} in {argument}: {error}") from error
            if pair[0].n != left.n:
                raise InputError(
                    f"The {role} {name!r} in {argument} shares {pair[0].n} items with the other side, the {verb} "
                    f"has {left.n}."
                )
            condition = Condition(role, name, side, other.name)
            out.append(Comparison(condition, *(reversed(pair) if takes_x else pair)))
    return out


def _named(given: Mapping[str, Any] | None, argument: str) -> list[tuple[str, Side]]:
    if given is None:
        return []
    if not isinstance(given, Mapping) or not all(isinstance(k, str) and k.strip() for k in given):
        found = list(given) if isinstance(given, Mapping) else type(given).__name__
        raise InputError(f"{argument} must be a dict from a name to layers, such as {{'twin': layers}}, found {found}.")
    return [(k, as_side(v, k, None)) for k, v in given.items()]
