"""Reading a transformers checkpoint: its configuration, weights and state, with errors in our words."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._core.hub import hub_problem
from .._core.packages import file_sha256
from ..errors import FetchError, InputError, IsomorphError, MissingExtraError, UnknownNameError
from ._hf_files import WEIGHTS, check_files, missing_weights, model_class, with_adapter, with_spread
from ._hf_part import CannotPartError, PartLoader
from ._provider import Options
from ._sides import Side, choose_side
from ._spec import is_path
from ._torch import import_torch, json_digest, seeded

_NUMBER = re.compile(r"\.\d+\.")


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
        unexpected: Names of weights that it has beyond what the configuration says.
        facts: What changes the features beyond weights and preprocessing, for the identity.
        chosen: The side that was loaded, where it alone was.
    """

    model: Any
    config: Any
    source: str = ""
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    processors: dict[str, Any] = dataclasses.field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    chosen: Side | None = None

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
        names = {n for n, p in named if id(p) in running}
        lacking = sorted(names & set(self.missing))
        if lacking:
            raise InputError(
                f"The checkpoint {self.source} lacks {len(lacking)} weights that the architecture has, such as "
                f"{lacking[0]!r}; they would be random. Repair the checkpoint, or ask for init='random' as a whole."
            )
        shapes = {_NUMBER.sub(".N.", n) for n in names}
        bare = (k.removeprefix(f"{getattr(self.model, 'base_model_prefix', '')}.") for k in self.unexpected)
        beyond = sorted(k for k in bare if _NUMBER.search(k) and _NUMBER.sub(".N.", k) in shapes)
        if beyond:
            raise InputError(
                f"The checkpoint {self.source} holds {len(beyond)} weights of blocks that its config.json does not "
                f"count, such as {beyond[0]!r}: the network would be cut short. Weights and configuration are not of "
                "one model."
            )


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
    side: tuple[str | None] | None = None,
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
        side: The only side whose weights are read (a name, or None for the default); without it, all are, as they are
            where the checkpoint is quantised, adapted or run by code of its own.

    Raises:
        InputError: if a local folder is no checkpoint, or weights are missing from it.
        UnknownNameError: if `weights` or `weights_dtype` is none that there is.
        FetchError: if the hub cannot be reached or has no such model.
    """
    transformers = import_transformers()
    source, kwargs = source_of(id, None if is_path(id) else revision, trust_remote_code=bool(trust_remote_code))
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
        given: dict[str, Any] = {"attn_implementation": attention} if attention else {}
        if options.init == "random":
            config, mended = with_spread(config)
            facts |= {"initial_spread": mended} if mended else {}
            model = random_model(config, options.seed, trust_remote_code=bool(trust_remote_code), **given)
            return Parts(model, config, source, kwargs, facts=facts)
        kind = transformers.AutoModel if trust_remote_code else model_class(config, whole=bool(adapter) or quantized)
        loader = None
        if side and not (trust_remote_code or adapter or quantized):
            loader = PartLoader(kind, lambda model: choose_side(model, config, side[0]))
        given |= {"use_safetensors": weights == "safetensors"}
        given |= {"dtype": "auto" if quantized else weights_dtype or "float32"}
        try:
            model, info = _read(loader.kind if loader else kind, source, config, **given, **kwargs)
        except CannotPartError:
            loader = None
            model, info = _read(kind, source, config, **given, **kwargs)
        missing = missing_weights(id, info)
        if adapter:
            model, facts["adapter"] = with_adapter(model, source if adapter is True else str(adapter))
        if adapter or quantized:  # weights are named as in the whole model
            missing = tuple(name.removeprefix(f"{model.base_model_prefix}.") for name in missing)
            model = getattr(model, model.base_model_prefix, model)
        facts |= {"quantized": True} if quantized else {}
    unexpected = {str(k) for k in info.get("unexpected_keys") or ()} - (loader.left_out if loader else set())
    chosen = loader.chosen if loader else None
    return Parts(model, config, source, kwargs, {}, missing, tuple(sorted(unexpected)), facts, chosen)


def _read(kind: Any, source: str, config: Any, **given: Any) -> tuple[Any, Any]:
    with seeded(0):  # heads that checkpoints leave out are drawn: the same ones at every call
        return kind.from_pretrained(  # type: ignore[no-any-return]  # the library's own types are seen as Any here
            source,
            config=config,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused in our words, by name
            adapter_kwargs={"subfolder": "none"},  # one that lies there would be applied where peft is installed
            **given,
        )


def source_of(id: str, revision: str | None, *, trust_remote_code: bool = False) -> tuple[str, dict[str, Any]]:
    """Where a checkpoint is read from, and the arguments that go with every read.

    Raises:
        InputError: if there is no such folder.
        FetchError: if the hub cannot be reached, or has no such model.
    """
    transformers = import_transformers()
    kwargs: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if is_path(id):
        folder = Path(id).expanduser()
        if os.path.isfile(folder):  # noqa: PTH113  # the method of a path fails on names that are too long
            raise InputError(
                f"{id} is a file of weights alone. A checkpoint of transformers is a folder with a config.json beside "
                "its weights. Files that other libraries pickle (fairseq's wav2vec 1.0, for one) are not unpickled: "
                "convert them to such a folder, or build the network yourself and pass it as a torch.nn.Module."
            )
        if not os.path.isdir(folder):  # noqa: PTH112
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
