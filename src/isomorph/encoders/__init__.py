"""Encoders: frozen networks whose every layer is read in one pass.

`load_encoder` is the door. A model is named by ``provider:id@revision``; each provider is one file of this room
(`transformers`, `onnx`, `module`, `bundled`) or an installed plug-in of the entry-point group ``isomorph.encoders``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._core.checks import check_name
from .._core.files import as_path, reason
from .._core.packages import cache_dir
from .._core.places import is_address
from ..errors import InputError, UnknownNameError, quoted
from ._base import Encoder, Features
from ._check import Certificates, certificate_key, check_encoder
from ._pooling import POOLINGS, check_pooling
from ._provider import ModelFacts, Options, Provider, providers
from ._spec import ModelSpec, parse_model_spec

__all__ = [
    "POOLINGS",
    "Encoder",
    "Features",
    "ModelFacts",
    "ModelSpec",
    "Options",
    "Provider",
    "known_models",
    "load_encoder",
    "parse_model_spec",
    "providers",
    "sides_of",
]

INITS = ("pretrained", "random")
DTYPES = ("float32", "bfloat16", "float16", "float64")


def load_encoder(
    spec: Any,
    *,
    init: str = "pretrained",
    seed: int = 0,
    pooling: str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    layers: str | Iterable[str] | None = None,
    axes: str | Mapping[str, str] | None = None,
    side: str | None = None,
    check: bool = True,
    probes: Sequence[Any] | None = None,
    store: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Encoder:
    """Load a frozen encoder that gives pooled features of every layer.

    Args:
        spec: ``provider:id@revision`` such as ``"bundled:dinov2-small"``; a bare ``org/name`` is a Hugging Face id, a
            bare path a local checkpoint, a path ending in ``.onnx`` an ONNX file. A ``torch.nn.Module`` of your own
            goes to the provider ``module``.
        init: ``"pretrained"``, or ``"random"`` for the same architecture untrained.
        seed: Seed of the random weights; without meaning (and outside the identity) when pretrained.
        pooling: How the tokens of a layer become one vector; see `isomorph.encoders.POOLINGS`. The default is ``mean``.
        device: Torch device; ONNX models run on the CPU.
        dtype: ``"float32"``; ``"bfloat16"`` or ``"float16"`` compute in autocast (weights stay float32, pooling is done
            in float32); ``"float64"`` converts the weights. The features are float32 in any case.
        layers: Names or glob patterns of the layers to keep; all blocks if None.
        axes: Which axis of a layer's activations is which, where that cannot be seen by running the network: a word
            such as ``"btd"``, ``"tbd"``, ``"bct"``, ``"bchw"`` or ``"bhwc"``, or a mapping from layers to such words.
        side: Which part of a model with several, such as ``"vision"``; the same as ``#vision`` at the end of `spec`.
            `isomorph list sides MODEL` names them.
        check: Whether the encoder must pass its self-check: that features are those of the item alone, whatever the
            batch, the padding and the call. ``False`` is recorded in the encoder's identity.
        probes: Items to check with, at least two; by default a few of the encoder's modality.
        store: Folder of a feature store whose certificates, beside those in the user's cache, say which encoders have
            passed. An object store holds none.
        options: Of one provider only, such as `max_length`, `truncate`, `padding_side`, `trust_remote_code`
            (transformers); `preprocess`, `modality`, `name` (module); `modality`, `size`, `mean`, `std`,
            `tokenizer`, `threads` (onnx). Unknown ones are errors that name the known ones.

    Returns:
        The encoder.

    Raises:
        UnknownNameError: if there is no such provider, model, layer, pooling or option.
        InputError: if an option does not fit the model, the checkpoint is not complete, or the encoder fails its
            self-check; the layer and the property are named.
        FetchError: if weights cannot be had.
        MissingExtraError: if an optional package is missing.

    Example:
        >>> import numpy as np
        >>> import torch
        >>> import isomorph as iso
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 5, 3))
        >>> scale = lambda images: torch.as_tensor(np.stack(images) / 255.0).float().permute(0, 3, 1, 2)
        >>> encoder = iso.load_encoder(net, modality="image", preprocess=scale)  # or the name of a model
        >>> picture = np.zeros((32, 32, 3), dtype=np.uint8)
        >>> {layer: rows.shape for layer, rows in encoder.encode([picture]).items()}
        {'0': (1, 4), '1': (1, 4), '2': (1, 5)}
    """  # noqa: DOC501  # a function makes the error; its class is named above
    if isinstance(spec, Encoder):
        raise InputError(f"{spec.name} is loaded already; load_encoder takes its name.")
    if isinstance(spec, str):
        parsed = parse_model_spec(spec)
    else:
        parsed, options = ModelSpec("module", ""), {"module": spec, **options}
    if not parsed.provider or parsed.provider not in providers.classes:
        raise _unknown(spec if isinstance(spec, str) else "", parsed)
    provider = providers.classes[parsed.provider]()
    layers = layers if layers is None or isinstance(layers, str) or not isinstance(layers, Iterable) else list(layers)
    _check_types(layers, probes, store)
    _check_texts({"init": init, "pooling": pooling, "device": device, "dtype": dtype, "side": side} | options)
    if side is not None and parsed.side is not None and side != parsed.side:
        raise InputError(f"{spec} names the side {parsed.side!r}, and side= {side!r}; say it once.")
    side = side if side is not None else parsed.side
    if side is not None:
        if "side" not in provider.extras:
            raise InputError(f"{parsed.provider} encoders have one side only; leave {side!r} out.")
        options["side"] = side
    for option in options:
        if option not in provider.extras:
            raise UnknownNameError(f"option of {parsed.provider} encoders", option, provider.extras)
    chosen = Options(
        init=_one_of("init", init, INITS),
        seed=seed,
        pooling=check_pooling(pooling or "mean"),
        device=device,
        dtype=_one_of("dtype", dtype, DTYPES),
        layers=None if layers is None else (layers,) if isinstance(layers, str) else tuple(layers),
        axes=axes,
    )
    encoder = provider.load(parsed.id, parsed.revision, chosen, **options)
    if not isinstance(check, bool):
        raise InputError(f"check={quoted(check)} is neither True nor False.")
    if check:
        # a store that is not there yet is not made for this: a plan of a study writes nothing
        kept = [] if store is None or is_address(store) or not Path(store).is_dir() else [Path(store)]
        _certify(encoder, probes, [Certificates(root / "certificates") for root in (*kept, cache_dir())])
    else:
        encoder.checkee.checked = "skipped"
    return encoder


def _check_texts(options: Mapping[str, Any]) -> None:
    """See that options that are texts are some.

    Raises:
        InputError: naming the option and what was found.
    """
    for name in ("init", "pooling", "device", "dtype", "side", "modality", "name", "preprocessing"):
        check_name(options.get(name), name)
    if options["device"] is None:
        raise InputError("device must be a text such as 'cpu' or 'cuda:0', found None.")


def _check_types(layers: Any, probes: Any, store: Any) -> None:
    """See that options are of a type that can be meant.

    Raises:
        InputError: naming the option and what was found.
    """
    names = [layers] if isinstance(layers, str) else layers
    if names is not None and (
        not isinstance(names, Iterable) or not (names := list(names)) or not all(isinstance(n, str) for n in names)
    ):
        raise InputError(f"layers={quoted(layers)} names no layers; give names or glob patterns, such as 'block_*'.")
    if probes is not None and (isinstance(probes, str) or not isinstance(probes, Sequence)):
        raise InputError(f"probes={quoted(probes)} is no list of items.")
    if store is not None and not is_address(store):
        try:
            as_path(store, "store").is_dir()
        except OSError as error:  # too long a name
            raise InputError(f"store={quoted(store)} cannot be read: {reason(error)}.") from error


def _certify(encoder: Encoder, probes: Sequence[Any] | None, places: Sequence[Certificates]) -> None:
    """See that an encoder has passed its self-check, now or before.

    Raises:
        InputError: if it fails, or there are fewer than two probes.
    """
    inner = encoder.checkee
    items = list(probes) if probes is not None else inner.probes()
    if len(items) < 2:
        if probes is not None:
            raise InputError(f"probes holds {len(items)} items; at least two unlike ones are needed.")
        inner.checked = "awaits items"
        return
    key = certificate_key(encoder.identity)
    found = next((m for m in (p.read(key) for p in places) if m is not None), None) if probes is None else None
    try:
        if found is not None:
            inner.restore(found)
    except (TypeError, ValueError, AttributeError):  # a certificate that was edited by hand
        found = None
    if found is not None:
        inner.checked = "passed"
    else:
        check_encoder(inner, items)
    for place in places:
        place.write(key, inner)


def sides_of(spec: str) -> tuple[str, ...]:
    """Names of the parts of a model that can be loaded by themselves; empty where it has one only.

    Raises:
        UnknownNameError: if there is no such provider.
        InputError: if there is no such model.
        FetchError: if its description cannot be had.

    Example:
        >>> sides_of("bundled:minilm-l6")  # it has one part only
        ()
    """  # noqa: DOC501  # a function makes the error; its class is named above
    parsed = parse_model_spec(spec)
    if not parsed.provider or parsed.provider not in providers.classes:
        raise _unknown(spec, parsed)  # a function makes the error; its class is named above
    return providers.classes[parsed.provider]().sides(parsed.id, parsed.revision)


def known_models() -> tuple[ModelFacts, ...]:
    """Facts of every model that is known by name, sorted by spec, without loading any.

    Example:
        >>> {facts.spec: facts.modality for facts in known_models()}["bundled:whisper-base"]
        'audio'
    """
    return tuple(sorted((f for p in providers.classes.values() for f in p().models()), key=lambda f: f.spec))


def _unknown(spec: str, parsed: ModelSpec) -> UnknownNameError:
    hint = "`isomorph list models` shows those that come by name; a Hugging Face id is org/name, a local folder ./name."
    if parsed.provider:
        return UnknownNameError("encoder provider", parsed.provider, providers.classes, hint)
    names = [f.spec for f in known_models()]
    by_last = [n for n in names if n.partition(":")[2] == parsed.id]
    return UnknownNameError("model", by_last[0].partition(":")[2] if by_last else spec, names, hint)


def _one_of(what: str, value: str, known: Iterable[str]) -> str:
    if value not in tuple(known):
        raise UnknownNameError(what, value, known)
    return value
