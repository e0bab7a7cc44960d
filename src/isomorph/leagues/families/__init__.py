"""Families of networks with a known truth: one file a family, made by the spec that names it, kept once made."""

from __future__ import annotations

from collections.abc import Sequence

from ..._core.registry import Registry
from .._family import Family
from ._base import FamilyMaker

FAMILIES: Registry[FamilyMaker] = Registry("family", __name__, FamilyMaker, "isomorph.families", "")


def load_family(spec: str | FamilyMaker, criteria: Sequence[str] | None = None) -> Family:
    """The family that a spec names: read if it was made before, else made.

    Args:
        spec: Such as ``"digits(seeds=5)"`` or ``"table(path='networks.csv')"``.
        criteria: Names of the criteria that will be asked, so that no network is trained that none reads.

    Raises:
        UnknownNameError: if there is no such family.
        InputError: if the spec does not fit.
        MissingExtraError: if what trains networks is not installed.

    Example:
        >>> from isomorph.leagues import FAMILIES
        >>> [*FAMILIES.classes]
        ['characters', 'cifar10', 'digits', 'fashion', 'speech', 'table']
    """
    return FAMILIES.make(spec).load(criteria)


__all__ = ["FAMILIES", "FamilyMaker", "load_family"]
