"""Maps between representation spaces: one file a family; fit on pairs, apply to rows never seen."""

from __future__ import annotations

from .._core.registry import Registry
from ._base import Map

REGISTRY: Registry[Map] = Registry("map", __name__, Map, "isomorph.maps")


def make_map(spec: str | Map) -> Map:
    """The map that a spec names, such as ``"ridge"`` or ``"relative(anchors=100)"``; unfitted.

    Raises:
        UnknownNameError: if there is no such map; the nearest names are suggested.
        InputError: if the spec cannot be read or a parameter does not fit.
    """
    return REGISTRY.make(spec)


__all__ = ["REGISTRY", "Map", "make_map"]
