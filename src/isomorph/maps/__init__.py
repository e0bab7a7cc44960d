"""Maps between representation spaces: one file a family; fit on pairs, apply to rows never seen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._core.registry import Registry
from ..errors import InputError, IsomorphError, quoted
from ._base import Map
from ._saved import read_map

REGISTRY: Registry[Map] = Registry("map", __name__, Map, "isomorph.maps")
_WIDEST = 10**6  # features that a map can have been fitted on


def make_map(spec: str | Map) -> Map:
    """The map that a spec names, such as ``"ridge"`` or ``"relative(anchors=100)"``; unfitted.

    Raises:
        UnknownNameError: if there is no such map; the nearest names are suggested.
        InputError: if the spec cannot be read or a parameter does not fit.

    Example:
        >>> import isomorph as iso
        >>> iso.make_map("ridge"), iso.make_map("relative(anchors=50)").get_params()["anchors"]
        (ridge, 50)
    """
    return REGISTRY.make(spec)


def load_map(path: str | os.PathLike[str]) -> Map:
    """A fitted map that `Map.save` wrote, ready to be applied.

    Args:
        path: The file.

    Raises:
        InputError: if the file cannot be read as a map.
        UnknownNameError: if it is a plug-in's that is not installed.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> from isomorph.maps import load_map
        >>> x = np.random.default_rng(0).normal(size=(20, 3))
        >>> path = iso.make_map("ridge").fit(x, x[:, :2]).save("ridge.npz")
        >>> load_map(path).predict(x).shape
        (20, 2)
    """
    spec, learned = read_map(path)
    return restored_map(spec, learned, str(path))


def restored_map(spec: str, learned: Mapping[str, Any], where: str) -> Map:
    """A fitted map out of its full spec and what it `learned`.

    Args:
        spec: Its full spec, `Map.variant`.
        learned: What `Map.learned` gave.
        where: What they were read from, for messages.

    Raises:
        InputError: if these do not make a map that can be applied.
        UnknownNameError: if it is a plug-in's that is not installed.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(20, 3))
        >>> fitted = make_map("ridge").fit(x, x[:, :2])
        >>> restored_map(fitted.variant, fitted.learned(), "memory")(x).shape
        (20, 2)
    """
    fitted = make_map(spec).restore(learned)
    if not fitted.__sklearn_is_fitted__() or not _works(fitted):
        raise InputError(
            f"{where} is damaged: it holds {quoted(spec)}, and not what it learned. Fit and save it again."
        )
    return fitted


def _works(fitted: Map) -> bool:
    """Whether a map that was read can be applied: its arrays are there, and fit each other."""
    width = vars(fitted).get("n_features_in_")
    if not isinstance(width, int) or not 0 < width <= _WIDEST:
        return False
    try:
        fitted.embed_x(np.random.default_rng(0).standard_normal((3, width)))
    except IsomorphError:
        return True  # it says by itself what it needs
    except Exception:  # whatever a damaged map trips over
        return False
    return True


__all__ = ["REGISTRY", "Map", "load_map", "make_map", "restored_map"]
