"""Hugging Face checkpoints of text, vision and speech, from a hub id at a pinned revision or a local folder.

Layers are ``embedding`` (what enters the first block), ``block_01``, ``block_02``, … (each block's output, before any
final norm), ``final_norm`` where the architecture normalises all tokens after the last block, and ``projection`` for
the shared space of dual encoders. Remote code is off unless asked for by ``trust_remote_code=True``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .._packages import file_sha256
from ..errors import FetchError, InputError, IsomorphError, MissingExtraError, UnknownNameError
from ._base import Encoder
from ._check import Fault, find_fault
from ._hf_files import (
    READING,
    WEIGHTS,
    check_files,
    let_go,
    missing_weights,
    model_class,
    redraw,
    with_adapter,
    with_spread,
)
from ._hf_inputs import HfInput, make_inputs
from ._hub import hub_problem
from ._provider import Options, Provider
from ._sides import choose_side, find_sides, width_facts
from ._spec import is_path
from ._taps import Tap, block_taps, choose_taps
from ._torch import Prepared, TorchEncoder, import_torch, json_digest, seeded, settle


@dataclasses.dataclass(frozen=True)
class Parts:
    """A loaded checkpoint, before its side is chosen.

    Attributes:
        model: The bare model.
        config: Its configuration.
        source: Where tokeniser and processors are read from.
        kwargs: Arguments that go with every read (revision, remote code).
        processors: Tokeniser (``"text"``), image processor (``"image"``) or feature extractor (``"audio"``) that are
            at hand already; others are read from the source.
        missing: Names of weights that the checkpoint lacks.
        facts: What changes the features beyond weights and preprocessing, for the identity.
    """

    model: Any
    config: Any
    source: str = ""
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    processors: dict[str, Any] = dataclasses.field(default_factory=dict)
    missing: tuple[str, ...] = ()
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)

    def check_complete(self, needs: Sequence[Any]) -> None:
        """See that no weight of the modules that run is missing.

        Raises:
            InputError: if one is; it would be random.
        """
        running = {id(p) for module in needs for p in (*module.parameters(), *module.buffers())}
        named = (
            *self.model.named_parameters(remove_duplicate=False),
            *self.model.named_buffers(remove_duplicate=False),
        )
        lacking = sorted({n for n, p in named if id(p) in running and n in self.missing})
        if lacking:
            raise InputError(
                f"The checkpoint {self.source} lacks {len(lacking)} weights that the architecture has, such as "
                f"{lacking[0]!r}; they would be random. Repair the checkpoint, or ask for init='random' as a whole."
            )


class Transformers(Provider):
    """Checkpoints of the transformers library."""

    name: ClassVar[str] = "transformers"
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
        parts = load_parts(id, revision, options, **own)
        local = is_path(id)
        pinned = local_revision(Path(id).expanduser()) if local else parts.kwargs["revision"]
        name = id if local else f"{id}@{revision}" if revision else id
        return build(parts, options, name=f"transformers:{name}", revision=pinned, **extra)

    def sides(self, id: str, revision: str | None = None) -> tuple[str, ...]:
        transformers = import_transformers()
        source, kwargs = _source(id, revision)
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


def import_transformers() -> Any:
    """The transformers library.

    Raises:
        MissingExtraError: if it or torch is not installed.
    """
    import_torch("Loading a transformers checkpoint")
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("Loading a transformers checkpoint", "transformers", "models") from error
    return transformers


def load_parts(
    id: str,
    revision: str | None,
    options: Options,
    *,
    trust_remote_code: bool = False,
    gguf_file: str | None = None,
    weights: str = "safetensors",
    weights_dtype: str | None = None,
    attention: str | None = None,
    adapter: str | bool | None = None,
) -> Parts:
    """Read a configuration, and the weights unless they are drawn at random.

    Args:
        id: Hub id or folder.
        revision: Branch, tag or commit of a hub id.
        options: Those that every provider understands.
        trust_remote_code: Whether code of the checkpoint's own may run.
        gguf_file: A GGUF file in it, read in place of its weights.
        weights: ``"safetensors"``, or ``"bin"`` for pickled files, which torch then reads with ``weights_only``.
        weights_dtype: ``"bfloat16"`` or ``"float16"`` to hold the weights in half the memory and compute in it.
        attention: An attention implementation of transformers, such as ``"eager"``.
        adapter: Folder or hub id of a PEFT adapter that is merged into the weights; True for one in the same folder.

    Raises:
        InputError: if a local folder is no checkpoint, or weights are missing from it.
        UnknownNameError: if `weights` or `weights_dtype` is none that there is.
        FetchError: if the hub cannot be reached or has no such model.
    """
    transformers = import_transformers()
    source, kwargs = _source(id, None if is_path(id) else revision, trust_remote_code=bool(trust_remote_code))
    kwargs |= {"gguf_file": gguf_file} if gguf_file else {}
    if weights not in WEIGHTS:
        raise UnknownNameError("weights", str(weights), WEIGHTS)
    if weights_dtype not in (None, "bfloat16", "float16", "float32"):
        raise UnknownNameError("weights_dtype", str(weights_dtype), ("bfloat16", "float16", "float32"))
    facts: dict[str, Any] = {} if weights_dtype in (None, "float32") else {"weights_dtype": weights_dtype}
    if is_path(id):
        check_files(Path(source), weights, adapter, random=options.init == "random", gguf=gguf_file)
    with reading(id, is_path(id)), quiet(transformers):
        config = transformers.AutoConfig.from_pretrained(source, **kwargs)
        quantized = getattr(config, "quantization_config", None) is not None
        given = {"attn_implementation": attention} if attention else {}
        if options.init == "random":
            config, mended = with_spread(config)
            facts |= {"initial_spread": mended} if mended else {}
            model = random_model(config, options.seed, trust_remote_code=bool(trust_remote_code), **given)
            return Parts(model, config, source, kwargs, facts=facts)
        kind = transformers.AutoModel if trust_remote_code else model_class(config, whole=bool(adapter) or quantized)
        with seeded(0):  # heads that checkpoints leave out are drawn: the same ones at every call
            model, info = kind.from_pretrained(
                source,
                config=config,
                dtype="auto" if quantized else weights_dtype or "float32",
                output_loading_info=True,
                use_safetensors=weights == "safetensors",
                adapter_kwargs={"subfolder": "none"},  # one that lies there would be applied where peft is installed
                **given,
                **kwargs,
            )
        missing = missing_weights(id, info)
        if adapter:
            model, facts["adapter"] = with_adapter(model, source if adapter is True else str(adapter))
        if adapter or quantized:  # weights are named as in the whole model
            missing = tuple(name.removeprefix(f"{model.base_model_prefix}.") for name in missing)
            model = getattr(model, model.base_model_prefix, model)
        facts |= {"quantized": True} if quantized else {}
    return Parts(model, config, source, kwargs, missing=missing, facts=facts)


def _source(id: str, revision: str | None, *, trust_remote_code: bool = False) -> tuple[str, dict[str, Any]]:
    """Where a checkpoint is read from, and the arguments that go with every read.

    Raises:
        InputError: if there is no such folder.
        FetchError: if the hub cannot be reached, or has no such model.
    """
    transformers = import_transformers()
    kwargs: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if is_path(id):
        folder = Path(id).expanduser()
        if folder.is_file():
            raise InputError(
                f"{id} is a file of weights alone. A checkpoint of transformers is a folder with a config.json beside "
                "its weights. Files that other libraries pickle (fairseq's wav2vec 1.0, for one) are not unpickled: "
                "convert them to such a folder, or build the network yourself and pass it as a torch.nn.Module."
            )
        if not folder.is_dir():
            raise InputError(f"There is no folder {id}; a local checkpoint is a folder with a config.json.")
        return str(folder), kwargs | {"local_files_only": True}
    import huggingface_hub

    with reading(id, local=False), quiet(transformers):
        problem = hub_problem()
        if problem is not None:
            if not isinstance(huggingface_hub.try_to_load_from_cache(id, "config.json", revision=revision), str):
                raise FetchError(
                    f"The model {id} cannot be had from the hub ({problem}), and is not in its cache. Check the "
                    "connection, name a local folder, or use a bundled model (`isomorph list models`)."
                )
            kwargs["local_files_only"] = True
        return id, kwargs | {"revision": _commit(transformers, id, revision, kwargs)}  # all files from one state of it


def random_model(config: Any, seed: int, *, trust_remote_code: bool = False, **given: Any) -> Any:
    """The architecture of a configuration with the library's own initial weights, drawn with a seed."""
    transformers = import_transformers()
    with seeded(seed):
        if trust_remote_code:
            return transformers.AutoModel.from_config(config, dtype="float32", trust_remote_code=True, **given)
        torch = import_torch("Drawing random weights")
        return model_class(config)._from_config(config, dtype=torch.float32, **given)


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
    chosen = choose_side(parts.model, parts.config, side)
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
        given = fit(inputs.prepare([inputs.example()], options.device)[0].inputs)
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


def _commit(transformers: Any, id: str, revision: str | None, kwargs: Mapping[str, Any]) -> str:
    """The commit that a revision of a hub id means now; it is in the path where the hub's cache keeps the file.

    Raises:
        FetchError: if that path holds no commit.
    """
    path = transformers.utils.cached_file(
        id, "config.json", revision=revision, local_files_only=kwargs.get("local_files_only", False)
    )
    found = re.search(r"snapshots[/\\]([0-9a-f]{40})[/\\]", str(path))
    if found is None:
        raise FetchError(f"The hub's cache does not say which commit of {id} it holds ({Path(path).parent}).")
    return found.group(1)


def local_revision(folder: Path) -> str:
    """Hash over the small files of a checkpoint folder; the weights have their own fingerprint."""
    names = sorted(p for p in folder.iterdir() if p.suffix in (".json", ".txt", ".model", ".jinja") and p.is_file())
    return "local-" + json_digest({p.name: file_sha256(p) for p in names})[:16]


@contextlib.contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """Silence the library's progress bars and loading reports, which speak of heads that are not used."""
    logging = transformers.utils.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


@contextlib.contextmanager
def reading(id: str, local: bool) -> Iterator[None]:
    """Turn what the library raises about a checkpoint into errors of ours.

    Raises:
        InputError: if the checkpoint is there but cannot be used.
        MissingExtraError: if an optional package is missing.
        FetchError: if the hub cannot be reached or has no such model.
    """  # noqa: DOC501  # what is ours already, or no matter of the checkpoint, passes through
    try:
        yield
    except (IsomorphError, MemoryError):
        raise
    except (
        Exception
    ) as error:  # readers of damaged files raise classes of their own, pickle's and safetensors' among them
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
        if local or not isinstance(error, OSError):
            raise InputError(
                f"The checkpoint {id} cannot be read ({text}). Is it complete, and are config.json, tokenizer and "
                "processor files of the same model?"
            ) from error
        raise FetchError(
            f"The model {id} cannot be had from the hub ({text}). Check the name and the connection, "
            "or use a bundled model (`isomorph list models`)."
        ) from error
