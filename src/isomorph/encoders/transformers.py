"""Hugging Face checkpoints of text, vision and speech, from a hub id at a pinned revision or a local folder.

Layers are ``embedding`` (what enters the first block), ``block_01``, ``block_02``, … (each block's output, before any
final norm), ``final_norm`` where the architecture normalises all tokens after the last block, and ``projection`` for
the shared space of dual encoders. Remote code is off unless asked for by ``trust_remote_code=True``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..errors import IsomorphError
from ._base import Encoder
from ._check import find_fault
from ._hf_choice import make_inputs
from ._hf_files import READING, model_class, redraw
from ._hf_inputs import HfInput
from ._hf_load import Parts, import_transformers, load_parts, local_revision, quiet, reading, source_of
from ._hf_part import let_go
from ._probes import Fault
from ._provider import Options, Provider
from ._sides import choose_side, find_sides, width_facts
from ._spec import is_path
from ._taps import Tap, block_taps, choose_taps
from ._torch import Prepared, TorchEncoder, as_precise, import_torch, settle


class Transformers(Provider):
    """A checkpoint of the transformers library, on the Hugging Face hub or local, or one side of it.

    Example:
        >>> import isomorph as iso
        >>> encoder = iso.load_encoder("./bert")  # a local checkpoint; of the hub, org/name@revision#side
        >>> encoder.layers
        ('embedding', 'block_01', 'block_02', 'block_03')
        >>> encoder.encode(["a cat", "a dog"])["block_02"].shape
        (2, 16)
    """

    name: ClassVar[str] = "transformers"
    spec: ClassVar[str] = "transformers:ORG/NAME@REVISION#SIDE"
    reads: ClassVar[str] = "any"
    extras: ClassVar[tuple[str, ...]] = (
        "side",
        "max_length",
        "truncate",
        "padding_side",
        "trust_remote_code",
        "gguf_file",
        "weights",
        "weights_dtype",
        "attention",
        "adapter",
        "prompt",
        "tokens",
    )

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        own = {k: extra.pop(k) for k in READING if k in extra}
        parts = load_parts(id, revision, options, side=(extra.get("side"),), **own)
        local = is_path(id)
        pinned = local_revision(Path(id).expanduser()) if local else parts.kwargs["revision"]
        name = id if local else f"{id}@{revision}" if revision else id
        return build(parts, options, name=f"transformers:{name}", revision=pinned, **extra)

    def sides(self, id: str, revision: str | None = None) -> tuple[str, ...]:
        transformers = import_transformers()
        source, kwargs = source_of(id, revision)
        with reading(id, is_path(id)), quiet(transformers):
            config = transformers.AutoConfig.from_pretrained(source, **kwargs)
            with import_torch("Reading a model").device("meta"):
                model = model_class(config)._from_config(config)
        return tuple(name for name in find_sides(model, config) if name)


class TransformersEncoder(TorchEncoder):
    """One side of a checkpoint, frozen."""

    provider: ClassVar[str] = "transformers"

    def __init__(
        self,
        network: Any,
        taps: Sequence[Tap],
        options: Options,
        *,
        call: Any,
        inputs: HfInput,
        who: _Who,
        entry: Tap | None = None,
        widths: Iterable[int] = (),
        own_width: int | None = None,
    ) -> None:
        super().__init__(network, taps, options, call, entry=entry, widths=widths)
        self._inputs, self._who, self._own_width = inputs, who, own_width
        self._eager = self._redrawn = False
        if entry is None and not who.whole and inputs.modality in ("image", "video", "audio"):
            self._prefix = dict.fromkeys(self.layers, 0)  # the first block takes in the input itself

    @property
    def name(self) -> str:
        twin = "?init=random" if self._options.init == "random" else ""
        return f"{self._who.name}{'#' + self._who.side if self._who.side else ''}{twin}"

    @property
    def revision(self) -> str:
        return self._who.revision

    @property
    def side(self) -> str:
        """The side that runs, such as ``"encoder"``; empty if there is only one."""
        return self._who.side

    @property
    def modality(self) -> str:
        return self._inputs.modality

    @property
    def identity(self) -> dict[str, Any]:
        who = {
            "provider": self.provider,
            "model": self._who.model or self._who.name,
            "revision": self.revision,
            "side": self._who.side,
        }
        return (
            who
            | self.shared_identity()
            | {"preprocessing": self._inputs.facts, "architecture": self._who.architecture}
            | {"attention": _attention(self._network)}
            | self._who.facts
        )

    @property
    def description(self) -> str:
        norm = "final norm as its own layer" if "final_norm" in self.layers else "no final norm over all tokens"
        return f"{super().description}; {self._who.architecture}, pooling {self._options.pooling}, {norm}"

    def prepare(self, batch: Sequence[Any]) -> list[Prepared]:
        return self._inputs.prepare(batch, self._options.device)

    @property
    def precision(self) -> str:
        return str(self._who.facts.get("weights_dtype", self._options.dtype))

    def probes(self) -> list[Any]:
        return self._inputs.probes()

    def own_fault(self, probes: Sequence[Any]) -> Fault | None:
        if (fault := super().own_fault(probes)) is not None:
            return fault
        width = self._own_width
        if width is not None:
            rows = self.encode([probes[0]])
            for layer in self.layers:
                found = int(rows[layer][0].shape[-1])
                if layer.startswith("block_") and found != width:
                    return Fault(
                        "width", layer, f"has {found} features where the configuration says {width}.",
                        "Say which axis holds the features by axes=, or name the layers yourself.",
                    )  # fmt: skip
        for item in self._inputs.long_probes():
            try:
                self.encode([item])
            except (IndexError, RuntimeError, ValueError) as error:
                if isinstance(error, IsomorphError):
                    raise
                return Fault(
                    "run", self.layers[0], f"cannot be had for an item near the stated limit: {error}.",
                    "State a smaller one by max_length=.",
                )  # fmt: skip
        return None

    def mend(self, fault: Fault) -> str | None:
        if fault.kind == "padding" and self._grouping == "padded" and not self._eager and self._eager_helps():
            return "attention is computed without fused kernels, which treat padding in another way"
        if fault.kind == "constant" and not self._redrawn:
            self._redrawn = True
            redraw(self._network, self._options.seed)
            return (
                "initial weights were drawn with a standard deviation of 1/√fan-in: the declared ones come to nothing"
            )
        return super().mend(fault)

    def _eager_helps(self) -> bool:
        """Try attention without fused kernels; it must leave what an item gives alone as it is."""
        probes = self.probes()
        before = self.encode([probes[0]])
        if not _set_attention(self._network, "eager"):
            return False
        after = self.encode([probes[0]])
        same = all(np.allclose(before[k][0], after[k][0], rtol=1e-4, atol=1e-4) for k in self.layers)
        self._eager = same and find_fault(self, probes) is None
        if not self._eager:
            _set_attention(self._network, "sdpa")
        return self._eager

    def mended(self) -> dict[str, Any]:
        eager = {"attention": "eager"} if self._eager and _attention(self._network) == "eager" else {}
        return super().mended() | eager | ({"redrawn": True} if self._redrawn else {})

    def restore(self, mended: Mapping[str, Any]) -> None:
        super().restore(mended)
        if mended.get("redrawn"):
            self._redrawn = True
            redraw(self._network, self._options.seed)
        if mended.get("attention") == "eager":
            self._eager = _set_attention(self._network, "eager")

    def cost(self, item: Any) -> float:
        samples = getattr(item, "samples", None)
        return super().cost(item) if samples is None else len(samples) / item.rate


@dataclasses.dataclass(frozen=True)
class _Who:
    name: str
    revision: str
    side: str
    architecture: str
    model: str = ""  # what the identity says in place of the name: the folder's path plays no part in it
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    whole: bool = False  # whether it is a projector that takes in class tokens too


def build(
    parts: Parts,
    options: Options,
    *,
    name: str,
    revision: str,
    side: str | None = None,
    **given: Any,
) -> TransformersEncoder:
    """Choose the side of a loaded checkpoint, its inputs and its taps.

    Args:
        parts: What was loaded.
        options: Those that every provider understands.
        name: How the encoder is called.
        revision: Its pinned revision.
        side: Which part of the model; see `isomorph.encoders._sides.SIDES`.
        given: Options of the inputs: `max_length`, `truncate`, `padding_side`, `prompt`, `tokens`.

    Raises:
        InputError: if the side, or another option, does not fit, or weights of the side are missing.
        UnknownNameError: if there is no such side or padding side.
    """
    transformers = import_transformers()
    kind = type(parts.model).__name__
    chosen = parts.chosen or choose_side(parts.model, parts.config, side)
    parts.check_complete(chosen.needs)
    let_go(parts.model, chosen.needs)
    keep = bool({"weights_dtype", "quantized"} & set(parts.facts))
    for module in (chosen.network, *chosen.needs):
        settle(module, options, keep_dtype=keep)
    fit = _in_type_of(chosen.network) if keep else dict
    with quiet(transformers), reading(name, local=True):
        inputs = make_inputs(parts, chosen, **given)

    def run() -> Any:
        torch = import_torch("Running a model")
        given = as_precise(fit(inputs.prepare([inputs.example()], options.device)[0].inputs), options)
        with torch.inference_mode():
            chosen.call(given)
        return given

    depth = next((d for d in (getattr(chosen.config, a, None) for a in chosen.depth) if isinstance(d, int)), None)
    with reading(name, local=True):
        every = chosen.taps or block_taps(chosen.network, run, depth)
        if chosen.shared:
            every = (*(t for t in every if t.layer != "projection"), Tap("projection", ""))
    taps = choose_taps(every, chosen.network, options.layers)
    architecture = kind + (f" ({chosen.name} side)" if chosen.name else "")
    model = Path(parts.source).name if is_path(parts.source) else ""
    facts = {k: v for k, v in parts.facts.items() if v}
    whole = bool(chosen.taps) and getattr(parts.config, "vision_feature_select_strategy", "") == "full"
    return TransformersEncoder(
        chosen.network,
        taps,
        options,
        call=(lambda given: chosen.call(fit(given))) if keep else chosen.call,
        inputs=inputs,
        who=_Who(name, revision, chosen.name, architecture, model, facts, whole=whole),
        entry=every[0] if every[0].is_input else None,
        widths=width_facts(chosen.config),
        own_width=_own_width(chosen.config, chosen.name),
    )


def _in_type_of(network: Any) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """What turns pixels and samples into the type that a network's weights are held in."""
    torch = import_torch("Running a model")
    kinds = (torch.float32, torch.bfloat16, torch.float16)
    held = next((p.dtype for p in network.parameters() if p.dtype in kinds), torch.float32)

    def fit(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v.to(held) if torch.is_tensor(v) and v.dtype in kinds else v for k, v in inputs.items()}

    return fit


def _own_width(config: Any, side: str) -> int | None:
    """The width of every block, where the configuration names one for all."""
    if side in ("projector", "multimodal") or any(
        isinstance(getattr(config, n, None), (list, tuple))
        for n in ("depths", "hidden_sizes", "embed_dims", "layer_dims")
    ):
        return None
    width, heads = getattr(config, "hidden_size", None), getattr(config, "num_attention_heads", None)
    return width if isinstance(width, int) and isinstance(heads, int) else None


def _attention(network: Any) -> str:
    """The attention implementation that the network uses, as transformers calls it."""
    found = (getattr(getattr(m, "config", None), "_attn_implementation", None) for m in network.modules())
    return next((str(f) for f in found if f), "")


def _set_attention(network: Any, implementation: str) -> bool:
    """Switch every part to an attention implementation; False if it is that already or there is none to switch."""
    changed = False
    for module in network.modules():
        config = getattr(module, "config", None)
        now = getattr(config, "_attn_implementation", None)
        if config is not None and now is not None and now != implementation:
            config._attn_implementation = implementation  # modules read it at every call
            changed = True
    return changed
