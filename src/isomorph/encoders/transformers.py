"""Hugging Face checkpoints of text, vision and speech, from a hub id at a pinned revision or a local folder.

Layers are ``embedding`` (what enters the first block), ``block_01``, ``block_02``, … (each block's output, before any
final norm), ``final_norm`` where the architecture normalises all tokens after the last block, and ``projection`` for
the shared space of dual encoders. Remote code is off unless asked for by ``trust_remote_code=True``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from .._packages import file_sha256
from ..errors import FetchError, InputError, MissingExtraError, UnknownNameError
from ._base import Encoder
from ._hf_inputs import HfInput, ImageInput, TextInput, WaveInput, WhisperInput, token_limit
from ._provider import Options, Provider
from ._spec import is_path
from ._taps import Tap, block_taps, choose_taps
from ._torch import Prepared, TorchEncoder, import_torch, json_digest, seeded, settle

# heads and training-time vectors that checkpoints leave out and no tapped layer depends on
_MAY_BE_MISSING = ("pooler.", "masked_spec_embed", "mask_token", "lm_head.", "classifier.", "logit_scale")


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
    """

    model: Any
    config: Any
    source: str = ""
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    processors: dict[str, Any] = dataclasses.field(default_factory=dict)


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
    )

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        trust = bool(extra.pop("trust_remote_code", False))
        gguf = extra.pop("gguf_file", None)
        parts = load_parts(id, revision, options, trust_remote_code=trust, gguf_file=gguf)
        local = is_path(id)
        pinned = local_revision(Path(id).expanduser()) if local else parts.kwargs["revision"]
        name = id if local else f"{id}@{revision}" if revision else id
        return build(parts, options, name=f"transformers:{name}", revision=pinned, **extra)


class TransformersEncoder(TorchEncoder):
    """One side of a checkpoint, frozen."""

    provider: ClassVar[str] = "transformers"

    def __init__(
        self, network: Any, taps: Sequence[Tap], options: Options, *, call: Any, inputs: HfInput, who: _Who
    ) -> None:
        super().__init__(network, taps, options, call)
        self._inputs, self._who = inputs, who

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
            who | self.shared_identity() | {"preprocessing": self._inputs.facts, "architecture": self._who.architecture}
        )

    @property
    def description(self) -> str:
        norm = "final norm as its own layer" if "final_norm" in self.layers else "no final norm over all tokens"
        return f"{super().description}; {self._who.architecture}, pooling {self._options.pooling}, {norm}"

    def prepare(self, batch: Sequence[Any]) -> list[Prepared]:
        return self._inputs.prepare(batch, self._options.device)

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
    id: str, revision: str | None, options: Options, *, trust_remote_code: bool = False, gguf_file: str | None = None
) -> Parts:
    """Read a configuration, and the weights unless they are drawn at random.

    Raises:
        InputError: if a local folder is no checkpoint, or weights are missing from it.
        FetchError: if the hub cannot be reached or has no such model.
    """
    transformers = import_transformers()
    local = is_path(id)
    source = str(Path(id).expanduser()) if local else id
    if local and not Path(source).is_dir():
        raise InputError(f"There is no folder {id}; a local checkpoint is a folder with a config.json.")
    kwargs: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    kwargs |= {"local_files_only": True} if local else {}
    kwargs |= {"gguf_file": gguf_file} if gguf_file else {}
    with reading(id, local), quiet(transformers):
        if not local:
            kwargs["revision"] = _commit(transformers, id, revision)  # all files from one state of the repository
        config = transformers.AutoConfig.from_pretrained(source, **kwargs)
        if options.init == "random":
            model = random_model(config, options.seed, trust_remote_code=trust_remote_code)
        else:
            model, info = transformers.AutoModel.from_pretrained(
                source, config=config, dtype="float32", output_loading_info=True, **kwargs
            )
            _check_complete(id, info)
    return Parts(model, config, source, kwargs)


def random_model(config: Any, seed: int, *, trust_remote_code: bool = False) -> Any:
    """The architecture of a configuration with the library's own initial weights, drawn with a seed."""
    transformers = import_transformers()
    with seeded(seed):
        return transformers.AutoModel.from_config(config, dtype="float32", trust_remote_code=trust_remote_code)


def build(
    parts: Parts,
    options: Options,
    *,
    name: str,
    revision: str,
    side: str | None = None,
    max_length: int | None = None,
    truncate: bool = False,
    padding_side: str = "right",
) -> TransformersEncoder:
    """Choose the side of a loaded checkpoint, its inputs and its taps.

    Raises:
        InputError: if the side, or another option, does not fit.
        UnknownNameError: if there is no such padding side.
    """
    if padding_side not in ("right", "left"):
        raise UnknownNameError("padding_side", str(padding_side), ("right", "left"))
    transformers = import_transformers()
    model = settle(parts.model, options)
    chosen = _choose_side(model, parts.config, side)
    with quiet(transformers), reading(name, local=True):
        inputs = _make_inputs(parts, chosen, max_length=max_length, truncate=truncate, padding_side=padding_side)

    def run() -> None:
        torch = import_torch("Running a model")
        with torch.inference_mode():
            chosen.call(inputs.prepare([inputs.example()], options.device)[0].inputs)

    depth = next((d for d in (getattr(chosen.config, a, None) for a in chosen.depth) if isinstance(d, int)), None)
    taps = choose_taps(block_taps(chosen.network, run, depth), chosen.network, options.layers)
    architecture = type(model).__name__ + (f" ({chosen.side} side)" if chosen.side else "")
    who = _Who(name, revision, chosen.side, architecture, Path(parts.source).name if is_path(parts.source) else "")
    return TransformersEncoder(chosen.network, taps, options, call=chosen.call, inputs=inputs, who=who)


@dataclasses.dataclass(frozen=True)
class _Side:
    network: Any
    call: Any
    config: Any
    modality: str
    side: str = ""
    accepts: tuple[str, ...] = ()
    decoder_start: int | None = None
    depth: tuple[str, ...] = ("num_hidden_layers", "encoder_layers", "num_layers")


def _choose_side(model: Any, config: Any, side: str | None) -> _Side:
    towers = {"text": "get_text_features", "vision": "get_image_features", "audio": "get_audio_features"}
    towers = {s: getattr(model, f) for s, f in towers.items() if hasattr(model, f)}
    if len(towers) > 1 or side in towers:
        if side not in towers:
            raise InputError(
                f"{type(model).__name__} is a dual encoder; choose side={' or '.join(map(repr, towers))}, "
                f"found {side!r}."
            )
        return _tower(model, config, side, towers[side])
    modality = _modality(getattr(model, "main_input_name", "input_ids"), type(model).__name__)
    if getattr(config, "is_encoder_decoder", False):
        side = side or "encoder"
        if side not in ("encoder", "decoder"):
            raise InputError(
                f"{type(model).__name__} is an encoder-decoder; side must be 'encoder' or 'decoder', found {side!r}."
            )
        if side == "encoder":
            encoder = model.get_encoder()
            return _Side(encoder, lambda inputs: encoder(**inputs), config, modality, side, _accepts(encoder.forward))
        return _decoder(model, config, modality)
    if side is not None:
        raise InputError(f"{type(model).__name__} has one side only; leave side={side!r} out.")
    return _Side(model, lambda inputs: model(**inputs), config, modality, accepts=_accepts(model.forward))


def _tower(model: Any, config: Any, side: str, features: Any) -> _Side:
    """The part of a dual encoder that its own feature function runs, projection included."""
    torch = import_torch("Running a model")
    own = getattr(config, f"{side}_config", config)
    words = {"text": ("text", "language"), "vision": ("vis", "image"), "audio": ("audio", "speech")}[side]
    children = {n: m for n, m in model.named_children() if n.startswith(words)}
    modality = {"text": "text", "vision": "image", "audio": "audio"}[side]
    accepts = _accepts(features)
    network = torch.nn.ModuleDict(children).eval()
    return _Side(network, lambda inputs: features(**inputs), own, modality, side, accepts)


def _decoder(model: Any, config: Any, modality: str) -> _Side:
    decoder = model.get_decoder()
    start = config.decoder_start_token_id
    if start is None:
        start = config.bos_token_id if config.bos_token_id is not None else config.pad_token_id
    if start is None:
        raise InputError(f"{type(model).__name__} names no decoder_start_token_id; its decoder side cannot be run.")
    names = ("decoder_layers", "num_decoder_layers", "num_hidden_layers")
    return _Side(
        decoder, lambda inputs: model(**inputs), config, modality, "decoder", _accepts(model.forward), int(start), names
    )


def _make_inputs(parts: Parts, side: _Side, *, max_length: int | None, truncate: bool, padding_side: str) -> HfInput:
    transformers = import_transformers()

    def read(kind: str, auto: str, **kwargs: Any) -> Any:
        return parts.processors.get(kind) or getattr(transformers, auto).from_pretrained(
            parts.source, **parts.kwargs, **kwargs
        )

    if side.modality == "text":
        tokenizer = read("text", "AutoTokenizer")
        if side.side == "decoder" and padding_side == "left":
            raise InputError("The decoder side reads the text shifted by one, which needs padding_side='right'.")
        return TextInput(
            tokenizer,
            accepts=side.accepts,
            limit=token_limit(tokenizer, side.config, max_length),
            truncate=truncate,
            padding_side=padding_side,
            own_positions=_derives_positions(side.network),
            start=side.decoder_start,
        )
    if max_length is not None or truncate:
        raise InputError(f"max_length and truncate are for texts; this model takes {side.modality}.")
    if side.modality == "image":
        patch = getattr(side.config, "patch_size", None)
        processor = read("image", "AutoImageProcessor", backend="pil")
        return ImageInput(processor, accepts=side.accepts, patch=patch if isinstance(patch, int) else None)
    extractor = read("audio", "AutoFeatureExtractor")
    if isinstance(extractor, transformers.WhisperFeatureExtractor):
        return WhisperInput(extractor, frames=side.config.max_source_positions, start=side.decoder_start)
    if side.decoder_start is not None:
        raise InputError("The decoder side of a speech model can be read for Whisper only; use side='encoder'.")
    frames = getattr(parts.model, "_get_feat_extract_output_lengths", None)
    return WaveInput(extractor, accepts=side.accepts, frames=frames)


def _accepts(function: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


def _derives_positions(network: Any) -> bool:
    """Whether a text network counts its positions past padding by itself (RoBERTa's kind, from the padding token)."""
    kind = type(network)
    return hasattr(sys.modules.get(kind.__module__), "create_position_ids_from_input_ids") or any(
        hasattr(type(m), "create_position_ids_from_input_ids") for m in network.modules()
    )


def _modality(main_input: str, model: str) -> str:
    known = {"input_ids": "text", "pixel_values": "image", "input_values": "audio", "input_features": "audio"}
    if main_input not in known:
        raise InputError(
            f"{model} takes {main_input!r}; models of {', '.join(known)} can be loaded. Wrap it as a module encoder."
        )
    return known[main_input]


def _check_complete(id: str, info: Any) -> None:
    missing = sorted(k for k in info["missing_keys"] if not any(word in k for word in _MAY_BE_MISSING))
    if missing:
        raise InputError(
            f"The checkpoint {id} lacks {len(missing)} weights that the architecture has, such as {missing[0]!r}; "
            "they would be random. Repair the checkpoint, or ask for init='random' as a whole."
        )


def _commit(transformers: Any, id: str, revision: str | None) -> str:
    """The commit that a revision of a hub id means now; it is in the path where the hub's cache keeps the file.

    Raises:
        FetchError: if that path holds no commit.
    """
    path = transformers.utils.cached_file(id, "config.json", revision=revision)
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
    """
    try:
        yield
    except (InputError, MissingExtraError):
        raise
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        text = " ".join(str(error).split())
        if local or not isinstance(error, OSError):
            raise InputError(f"The checkpoint {id} cannot be read: {text}") from error
        raise FetchError(
            f"The model {id} cannot be had from the hub: {text} Check the name and the connection, "
            "or use a bundled model (`isomorph list models`)."
        ) from error
