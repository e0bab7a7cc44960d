"""Encoders: frozen networks whose every layer is read in one pass.

`load_encoder` is the door. A model is named by ``provider:id@revision``; each provider is one file of this room
(`transformers`, `onnx`, `module`, `bundled`) or an installed plug-in of the entry-point group ``isomorph.encoders``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import InputError, UnknownNameError
from ._base import Encoder, Features
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
        options: Of one provider only: `side`, `max_length`, `truncate`, `padding_side`, `trust_remote_code`
            (transformers); `preprocess`, `modality`, `name` (module); `modality`, `size`, `mean`, `std`,
            `tokenizer`, `threads`, … (onnx). Unknown ones are errors that name the known ones.

    Returns:
        The encoder.

    Raises:
        UnknownNameError: if there is no such provider, model, layer, pooling or option.
        InputError: if an option does not fit the model, or the checkpoint is not complete.
        FetchError: if weights cannot be had.
        MissingExtraError: if an optional package is missing.
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
    )
    return provider.load(parsed.id, parsed.revision, chosen, **options)


def known_models() -> tuple[ModelFacts, ...]:
    """Facts of every model that is known by name, sorted by spec, without loading any."""
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
        raise UnknownNameError(what, str(value), known)
    return value
