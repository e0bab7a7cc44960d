"""What is read: the bands of features of one or several models, and the responses of units block by block."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._core.arrayfiles import read_arrays
from .._core.arrays import to_numpy
from .._core.checks import check_name
from .._core.files import as_path
from ..conditions import Side, all_joined, as_side, content, joined
from ..errors import InputError, UnknownNameError, quoted
from ..store import Layers

Matrix = np.ndarray[Any, Any]
_LOOKED_AT = 1 << 27  # bytes of responses that are looked at together


@dataclasses.dataclass(frozen=True, eq=False)
class Units:
    """Responses of units to the items, read block by block; several repeats are averaged.

    Attributes:
        arrays: One array (n, units), or one for each repeat.
        ids: Ids of the items, or None.
        name: What they are called.
        facts: How they came about.
    """

    arrays: tuple[Matrix, ...]
    ids: tuple[str, ...] | None
    name: str
    facts: Mapping[str, Any]

    @property
    def n(self) -> int:
        """Number of items."""
        return int(self.arrays[0].shape[0])

    @property
    def width(self) -> int:
        """Number of units."""
        return int(self.arrays[0].shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision in which they are fitted: that of the responses, single or double."""
        return np.dtype(np.float32 if all(a.dtype in (np.float32, np.float16) for a in self.arrays) else np.float64)

    def block(self, start: int, stop: int) -> Matrix:
        """Responses (n, stop - start), the mean over repeats."""
        if len(self.arrays) == 1:
            return np.array(self.arrays[0][:, start:stop], dtype=self.dtype, order="C")
        return np.asarray(self.repeats(start, stop).mean(axis=0, dtype=np.float64), dtype=self.dtype)

    def repeats(self, start: int, stop: int) -> Matrix:
        """Responses (repeats, n, stop - start)."""
        return np.stack([np.asarray(a[:, start:stop], dtype=self.dtype) for a in self.arrays])

    def varying(self, what: str) -> Matrix:
        """Whether each unit varies over the items, of responses that were looked at whole.

        Raises:
            InputError: if a response is no finite number, or no unit varies.
        """
        step = max(1, _LOOKED_AT // (self.n * 8 * len(self.arrays)))
        found, bad = np.zeros(self.width, dtype=bool), np.zeros(self.width, dtype=bool)
        for start in range(0, self.width, step):
            stop = min(start + step, self.width)
            if len(self.arrays) > 1:
                bad[start:stop] = ~np.isfinite(self.repeats(start, stop)).all(axis=(0, 1))
            rows = self.block(start, stop)
            bad[start:stop] |= ~np.isfinite(rows).all(axis=0)
            found[start:stop] = rows.max(axis=0) > rows.min(axis=0)
        if bad.any():
            raise InputError(
                f"{what}: {int(bad.sum()):,} of {self.width:,} units hold NaN or infinity, the first is unit "
                f"{int(np.argmax(bad))}. Leave those units out, responses[:, np.isfinite(responses).all(axis=0)], or "
                "the items in which they were not measured."
            )
        if not found.any():
            raise InputError(f"{what}: no unit varies over the {self.n:,} items, so there is nothing to predict.")
        return found


def read_responses(responses: Any, what: str, name: str | None, layer: str | None = None) -> Side | Units:
    """Responses as a side whose items may be joined by id, or as units where they are plain arrays of repeats.

    Args:
        responses: An array (n, units) or (repeats, n, units), a list of arrays (n, units), which are repeats, `Layers`
            of one layer, or a file of any of these.
        what: The argument's name, for messages.
        name: What to call them in results.
        layer: Which layer, if there are several.

    Raises:
        InputError: if they are none of these, or RDMs.
        UnknownNameError: if there is no such layer.
    """
    check_name(name, f"{what}_name")
    if isinstance(responses, str | Path) and str(responses).lower().endswith(".npy"):
        path = as_path(responses, what)
        ((stem, array),) = read_arrays(path)[0].items()
        name, responses = name or stem, array
    if isinstance(responses, list | tuple) and len(responses) > 1:
        shapes = {np.shape(a) for a in responses}
        if len(shapes) > 1 or any(len(s) != 2 for s in shapes):
            raise InputError(
                f"{what}: a list is taken for repeats, arrays of one shape (n_items, n_units); found shapes "
                f"{', '.join(map(str, sorted(shapes, key=str)))}. Give one array, or repeats of one shape."
            )
        return Units(tuple(_real(a, what) for a in responses), None, name or what, {})
    if getattr(responses, "ndim", 2) == 3:
        return Units(tuple(_real(a, what) for a in responses), None, name or what, {})
    if isinstance(responses, np.ndarray):
        array = _real(responses, what)
        return Units((array,), None, name or what, {"content": content({what: array})})
    side = as_side(responses, what, name)
    check_name(layer, "responses_layer")
    if layer is not None and layer not in side.layers:
        raise UnknownNameError(f"layer of {what}", layer, side.layers)
    if layer is None and len(side.layers) > 1:
        raise InputError(
            f"{what} has {len(side.layers)} layers: {', '.join(side.layers)}. Say which holds the units, such as "
            f"responses_layer={next(iter(side.layers))!r}."
        )
    chosen = layer or next(iter(side.layers))
    if chosen in side.rdms:
        raise InputError(f"{what} is an RDM; give the responses themselves, (n_items, n_units).")
    return dataclasses.replace(side, layers=_only(side.layers, [chosen]))


def _real(array: Any, what: str) -> Matrix:
    found = np.asarray(to_numpy(array)) if not isinstance(array, np.ndarray) else array
    if found.dtype.kind not in "fiub" or found.ndim not in (1, 2) or 0 in found.shape:
        raise InputError(
            f"{what} has shape {found.shape} and holds {found.dtype}; real numbers of shape (n_items, n_units) are "
            "needed, or (repeats, n_items, n_units)."
        )
    return found[:, None] if found.ndim == 1 else found


def read_features(x: Any, name: str | None) -> tuple[str, dict[str, Side]]:
    """The sides of features: one, or several models by name.

    Args:
        x: What `iso.scan` takes for a side, or a mapping from names of models to `Layers`.
        name: What to call it.

    Returns:
        What it is called, and model -> side; the model is ``""`` where there is one.

    Raises:
        InputError: as `as_side`, or if one holds RDMs.
    """
    if isinstance(x, Mapping) and x and not isinstance(x, Layers) and all(isinstance(v, Layers) for v in x.values()):
        check_name(name, "x_name")
        sides = {str(k): as_side(v, f"x[{quoted(k)}]", str(k)) for k, v in x.items()}
        called = name or ", ".join(sides)
    else:
        side = as_side(x, "x", name)
        sides, called = {"": side}, side.name
    for side in sides.values():
        if side.rdms:
            raise InputError(f"x holds an RDM ({side.rdms[0]!r}); encoding models read features. Give these.")
    return called, sides


def together(sides: Mapping[str, Side], responses: Side | Units) -> tuple[dict[str, Side], Units]:
    """Features and responses of the same items in the same order.

    Raises:
        InputError: if they have no item in common, or unlike numbers of rows and no ids.
    """
    try:
        if isinstance(responses, Side):
            (first, common), *others = sides.items()
            for _, side in others:
                common = joined(common, side)[0]
            common, held = joined(common, responses)
            models = {first: common} | {k: joined(common, side)[1] for k, side in others}
            array = to_numpy(next(iter(held.layers.values())))
            return models, Units((array,), held.ids or common.ids, held.name, held.facts)
        models = all_joined(sides)[0] if len(sides) > 1 else dict(sides)
    except InputError as error:
        raise InputError(f"x and responses (y) must be of the same items: {error}") from error
    n = next(iter(models.values())).n
    if n != responses.n:
        raise InputError(
            f"x has {n} items and responses has {responses.n}; row i of both must be the same item. Repeats are "
            "(repeats, n_items, n_units)."
        )
    return models, dataclasses.replace(responses, ids=next(iter(models.values())).ids)


def layer_names(sides: Mapping[str, Side]) -> dict[str, tuple[str, str]]:
    """Every layer by the name that results give it -> its model and its own name."""
    return {f"{model}/{layer}" if model else layer: (model, layer) for model, s in sides.items() for layer in s.layers}


def read_bands(layers: Any, bands: Any, known: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Bands by name -> the layers in each; a layer is a band by itself unless bands are given.

    Raises:
        InputError: if both are given, or either is of another form.
        UnknownNameError: if there is no such layer.
    """
    if layers is not None and bands is not None:
        raise InputError("layers= and bands= say the same thing; give one of them.")
    given = layers if bands is None else bands
    what = "layers" if bands is None else "bands"
    if given is None:
        return {name: (name,) for name in known}
    if isinstance(given, Mapping) and bands is not None:
        found = {str(k): (v,) if isinstance(v, str) else v for k, v in given.items()}
    elif isinstance(given, list | tuple) and all(isinstance(v, str) for v in given):
        found = {v: (v,) for v in given}
    elif isinstance(given, str):
        found = {given: (given,)}
    else:
        also = "" if bands is None else ", or a mapping from a band's name to its layers"
        raise InputError(f"{what} must be a list of names of layers{also}, found {quoted(given)}.")
    for name, inside in found.items():
        if not isinstance(inside, list | tuple) or not inside or not all(isinstance(v, str) for v in inside):
            raise InputError(f"bands[{quoted(name)}] must be one or more names of layers, found {quoted(inside)}.")
        for layer in inside:
            if layer not in known:
                raise UnknownNameError("layer of x", layer, known)
    if not found:
        raise InputError(f"{what} is empty; name at least one layer.")
    return {name: tuple(inside) for name, inside in found.items()}


def band_features(sides: Mapping[str, Side], names: Mapping[str, tuple[str, str]], inside: Sequence[str]) -> Matrix:
    """Features of a band: those of its layers side by side (n, d)."""
    parts = []
    for name in inside:
        model, layer = names[name]
        parts.append(np.asarray(to_numpy(sides[model].features(layer, min_items=3))))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _only(layers: Mapping[str, Any], chosen: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(layers, Layers):
        return {k: layers[k] for k in chosen}
    if list(layers) == list(chosen):
        return layers
    (name,) = chosen
    return Layers({name: lambda: layers[name]}, layers.ids, encoder=layers.encoder, view=layers.view,
                  ids_given=layers.ids_given)  # fmt: skip
