"""One layer of stored features, and the true pairing that ids know."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError, UnknownNameError, quoted
from ..store import Layers


def one_layer(layers: Layers, layer: str | None, which: str) -> Layers:
    """The layers with one of them.

    Args:
        layers: The layers.
        layer: The layer's name; None takes the only one.
        which: What they are called in messages.

    Raises:
        InputError: if there are several and none was named.
        UnknownNameError: if there is no such layer.

    Example:
        >>> layers = Layers.from_arrays({"first": np.ones((3, 2)), "last": np.eye(3)}, ids="abc")
        >>> list(one_layer(layers, "last", "x"))
        ['last']
    """
    if layer is None and len(layers) > 1:
        raise InputError(f"{which} has {len(layers)} layers; name one by {which}_layer: {', '.join(layers)}.")
    if layer is not None and layer not in layers:
        raise UnknownNameError(f"layer of {which}", layer, layers)
    name = next(iter(layers)) if layer is None else layer
    ids = layers.ids if layers.ids_given else None
    made = layers.provenance
    return Layers.from_arrays({name: layers[name]}, ids, encoder=layers.encoder, view=layers.view, provenance=made)


def truth_by_id(x: Layers, y: Layers) -> np.ndarray[Any, Any]:
    """Row of `y` for each row of `x`, by their ids.

    Raises:
        InputError: if one has no ids, or they are not of the same items.

    Example:
        >>> x, y = (Layers.from_arrays({"last": np.eye(3)}, ids=ids) for ids in ("abc", "cab"))
        >>> truth_by_id(x, y).tolist()
        [1, 2, 0]
    """
    if not (x.ids_given and y.ids_given):
        raise InputError("The true pairing is known by ids alone, and one of the two has none.")
    where = {id_: row for row, id_ in enumerate(y.ids)}
    missing = [id_ for id_ in x.ids if id_ not in where]
    if missing or len(x.ids) != len(y.ids):
        found = f", such as {quoted(missing[0])}" if missing else ""
        raise InputError(f"x has {len(x.ids)} items and y {len(y.ids)}; {len(missing)} of x are not in y{found}.")
    return np.array([where[id_] for id_ in x.ids])
