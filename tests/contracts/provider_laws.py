"""The laws of a provider of encoders. Each takes the class and `load`, which loads a tiny encoder of it with changes.

`load(**options)` is `load_encoder` with the spec and options of a sample, the given options on top; without its
self-check where a law compares identities, since a skipped check is part of them.
"""

from __future__ import annotations

import inspect
import json
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from isomorph.encoders import Encoder, Provider, load_encoder, providers
from isomorph.errors import InputError, UnknownNameError

from .laws import Laws

PROVIDERS = Laws()
law = PROVIDERS.law

Kind = type[Provider]
Load = Callable[..., Encoder]
CHANGES: dict[str, dict[str, Any]] = {
    "init": {"init": "random", "seed": 3},
    "pooling": {"pooling": "max"},
    "dtype": {"dtype": "bfloat16"},
}


_ROWS: weakref.WeakKeyDictionary[Encoder, dict[str, np.ndarray[Any, Any]]] = weakref.WeakKeyDictionary()


def rows(encoder: Encoder) -> dict[str, np.ndarray[Any, Any]]:
    """Features of two probes."""
    if encoder not in _ROWS:
        _ROWS[encoder] = dict(encoder.encode(encoder.checkee.probes()[:2]))
    return _ROWS[encoder]


def text(encoder: Encoder) -> str:
    return json.dumps(encoder.identity, sort_keys=True, allow_nan=False)


def gap(a: Encoder, b: Encoder) -> float:
    """Largest difference of the features of two encoders, relative to their size."""
    left, right = rows(a), rows(b)
    layers = left.keys() & right.keys()
    assert layers, "the two have no layer in common"
    return max(float(np.abs(left[k] - right[k]).max() / max(np.abs(left[k]).max(), 1e-30)) for k in layers)


@law()
def an_encoder_is_as_its_class_says(kind: Kind, load: Load) -> None:
    encoder = load(check=True)
    assert isinstance(encoder, Encoder)
    inner = encoder.checkee
    assert inner.checked == "passed"
    items = inner.probes()[:2]
    found = rows(encoder)
    assert tuple(found) == encoder.layers
    assert encoder.n_parameters >= 0
    assert encoder.revision
    assert encoder.name.startswith(f"{kind.name}:")
    assert encoder.layers[0] in encoder.description or str(len(encoder.layers)) in encoder.description
    for layer, x in found.items():
        assert x.dtype == np.float32
        assert x.ndim == 2
        assert len(x) == len(items)
        assert np.isfinite(x).all(), layer
    alone = {k: np.stack([encoder.encode([i])[k][0] for i in items]) for k in encoder.layers}
    for layer, x in found.items():
        np.testing.assert_allclose(x, alone[layer], rtol=1e-4, atol=1e-4 * np.abs(x).max())
    with pytest.raises(InputError):
        encoder.encode([])


@law()
def what_determines_the_features_is_its_identity(kind: Kind, load: Load) -> None:
    encoder = load()
    assert encoder.identity, "identity is empty: features of any two models would share a place in the store"
    assert encoder.identity.get("provider") in providers.classes  # one may load its files through another
    again = load(fresh=True)
    assert text(again) == text(encoder)
    assert gap(encoder, again) == 0
    if "init" in kind.takes and not encoder.untrained:
        assert text(load(seed=5)) == text(encoder), "the seed means nothing where nothing is drawn"


@law()
def a_common_option_changes_features_and_identity_or_is_refused_by_name(kind: Kind, load: Load) -> None:
    assert kind.takes <= set(CHANGES)
    plain = load()
    for option, change in CHANGES.items():
        if option not in kind.takes:
            with pytest.raises(InputError, match=option):
                load(**change)
            continue
        other = load(**change)
        assert text(other) != text(plain), f"{option} is not in the identity"
        assert gap(plain, other) > 1e-5, f"{option} is accepted and changes nothing"


@law(lambda kind: "dtype" in kind.takes)
def double_precision_gives_nearly_the_same_features(kind: Kind, load: Load) -> None:
    single, double = load(), load(dtype="float64")
    assert text(single) != text(double)
    assert gap(single, double) < 1e-3


@law(lambda kind: "init" in kind.takes)
def an_untrained_twin_says_so_and_hangs_on_its_seed(kind: Kind, load: Load) -> None:
    one, two = (load(init="random", seed=seed) for seed in (3, 4))
    assert text(one) != text(two)
    assert gap(one, two) > 1e-3
    assert gap(one, load(fresh=True, init="random", seed=3)) == 0, "the same seed draws other weights"
    for twin in (one, two):
        assert twin.untrained
        assert twin.name.endswith("?init=random")
        assert twin.layers == load().layers


@law()
def layers_are_picked_by_name_and_pattern(kind: Kind, load: Load) -> None:
    every = load()
    last = every.layers[-1]
    one = load(layers=[last])
    assert one.layers == (last,)
    whole, part = rows(every)[last], rows(one)[last]
    np.testing.assert_allclose(part, whole, rtol=1e-5, atol=1e-6 * np.abs(whole).max())
    if len(every.layers) > 1:
        assert text(one) != text(every)
    with pytest.raises(UnknownNameError, match="layer"):
        load(layers=["nothing*"])


@law()
def unknown_options_sides_and_devices_are_refused(kind: Kind, load: Load) -> None:
    with pytest.raises(UnknownNameError, match="colour"):
        load(colour="red")
    with pytest.raises(UnknownNameError, match="pooling"):
        load(pooling="average")
    with pytest.raises(UnknownNameError, match="dtype"):
        load(dtype="float8")
    with pytest.raises(InputError, match=r"nonsense|side="):
        load(side="nonsense")
    with pytest.raises(InputError, match="device"):
        load(device="no-such-device")


@law()
def what_it_reads_and_how_it_is_named_are_stated(kind: Kind, load: Load) -> None:
    first = (inspect.getdoc(kind) or "").partition("\n")[0]
    assert first.endswith((".", ":")) or "``" in first, "the docstring begins with no sentence"
    assert kind.spec.startswith(f"{kind.name}:")
    for facts in kind().models():
        assert facts.spec.startswith(f"{kind.name}:")
        assert facts.summary
        assert facts.modality


def loader(spec: str, options: Mapping[str, Any]) -> Load:
    """What loads one model with changed options: once for each change, unless a fresh encoder is asked for."""
    kept: dict[str, Encoder] = {}

    def load(*, check: bool = False, fresh: bool = False, **changes: Any) -> Encoder:
        key = repr((check, sorted(changes.items())))
        if fresh or key not in kept:
            kept[key] = load_encoder(spec, **{**options, **changes}, check=check)
        return kept[key]

    return load
