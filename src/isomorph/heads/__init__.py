"""Fusion heads: one file a family; what several frozen spaces give together about a target."""

from __future__ import annotations

from .._core.registry import Registry
from ._base import Head, as_target, checked_spaces, folds_of
from ._block_linear import require_linear
from ._layers import chosen_together
from ._linear import Linear, fit_linear, log_loss, reading_error
from ._target import KINDS, Target

REGISTRY: Registry[Head] = Registry("head", __name__, Head, "isomorph.heads")


def make_head(spec: str | Head) -> Head:
    """The head that a spec names, such as ``"concat"`` or ``"late(combine='stacked')"``; unfitted.

    Raises:
        UnknownNameError: if there is no such head; the nearest names are suggested.
        InputError: if the spec cannot be read or a parameter does not fit.

    Example:
        >>> import isomorph as iso
        >>> iso.make_head("concat"), iso.make_head("late(combine='stacked')").get_params()["combine"]
        (concat, 'stacked')
    """
    return REGISTRY.make(spec)


__all__ = [
    "KINDS",
    "REGISTRY",
    "Head",
    "Linear",
    "Target",
    "as_target",
    "checked_spaces",
    "chosen_together",
    "fit_linear",
    "folds_of",
    "log_loss",
    "make_head",
    "reading_error",
    "require_linear",
]
