"""Models of the sentence-transformers library, from the hub or a folder with ``modules.json``.

Layers are those of the network, pooled by `pooling` (``embedding``, ``block_01``, …), and ``sentence``: the embedding
exactly as the library's ``encode()`` gives it, by the model's own pooling, dense layers, normalisation and Matryoshka
dimension. The prompt that a model was saved with is put in front of every text, and texts are cut at its
``max_seq_length``, as the library does.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from ..errors import InputError, MissingExtraError, UnknownNameError
from ._base import Encoder
from ._hf_load import import_transformers, quiet
from ._hub import folder_revision, open_repository, reading_checkpoint
from ._inputs import as_text
from ._provider import Options, Provider
from ._spec import is_path
from ._taps import Tap, block_taps, choose_taps
from ._text_tokens import probes_within, tokenizer_content
from ._torch import Prepared, TorchEncoder, import_torch, json_digest, seeded, settle
from .timm import missing_package, unfit_torchvision

_MODULES = "modules.json"
_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
_OTHER_FORMS = ("onnx/*", "openvino/*", "*.onnx", "*.ot", "*.h5")
_NOT_THE_NETWORK = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")


class SentenceTransformers(Provider):
    """A sentence encoder by the sentence-transformers library, its final embedding included.

    Example:
        >>> import isomorph as iso
        >>> encoder = iso.load_encoder("sentence-transformers:./sentences")  # a local folder, or an id of the hub
        >>> encoder.layers
        ('embedding', 'block_01', 'block_02', 'block_03', 'sentence')
        >>> encoder.encode(["a cat", "a dog"])[encoder.layers[-1]].shape
        (2, 16)
    """

    name: ClassVar[str] = "sentence-transformers"
    spec: ClassVar[str] = "sentence-transformers:ID"
    reads: ClassVar[str] = "text"
    extras: ClassVar[tuple[str, ...]] = ("prompt", "max_length", "truncate", "truncate_dim")

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        library = import_sentence_transformers("Loading a sentence-transformers model")
        if is_path(id):
            folder = Path(id).expanduser()
            pinned = folder_revision(folder, below=True) if folder.is_dir() else ""
        else:
            place = id if "/" in id else f"sentence-transformers/{id}"
            repository = open_repository(place, revision, _MODULES)
            folder, pinned = repository.get_all(_FILES, _OTHER_FORMS), repository.commit
        model = load_model(library, folder, id, options)
        name = f"sentence-transformers:{id}@{revision}" if revision else f"sentence-transformers:{id}"
        return SentenceEncoder(model, options, name=name, revision=pinned, **extra)


class SentenceEncoder(TorchEncoder):
    """A model of sentence-transformers, frozen.

    Args:
        model: What the library loaded.
        options: Pooling, device, dtype, layers, init and seed.
        name: How users call it.
        revision: Of the weights.
        prompt: A name that the model's configuration has, or the text itself; by default what it was saved with.
        max_length: The most tokens of a text; by default what the model was saved with.
        truncate: Whether longer texts are cut, as the library does; otherwise they are errors.
        truncate_dim: How many numbers of the embedding are kept; by default what the model was saved with.

    Raises:
        InputError: if an option does not fit, or the model does not read texts.
        UnknownNameError: if the model has no prompt of that name.
    """

    provider: ClassVar[str] = "sentence-transformers"

    def __init__(
        self,
        model: Any,
        options: Options,
        *,
        name: str,
        revision: str,
        prompt: str | None = None,
        max_length: int | None = None,
        truncate: bool = True,
        truncate_dim: int | None = None,
    ) -> None:
        self._model, self._called, self._revision, self._truncate = model, name, revision, truncate
        self._prompt = _prompt_of(model, prompt)
        self._limit = _limit_of(model, max_length)
        self._dim = _count("truncate_dim", truncate_dim if truncate_dim is not None else model.truncate_dim)
        if "text" not in model.modalities:
            raise InputError(f"{name} reads {', '.join(map(str, model.modalities))}; texts can be encoded.")
        self._excludes_prompt = any(getattr(m, "include_prompt", True) is False for m in model.children())
        network = settle(_sentence_network(model, self._dim), options)
        self._options = options  # prepare() needs it before the base class has it
        example = self.prepare(["a small example"])[0].inputs
        taps = _taps(network, model, lambda: network(example))
        chosen = sorted(choose_taps(taps, network, options.layers), key=lambda tap: tap.module == "")
        entry = taps[0] if taps[0].is_input else None
        super().__init__(network, chosen, options, network, entry=entry, widths=_widths(model))

    @property
    def name(self) -> str:
        return f"{self._called}{'?init=random' if self._options.init == 'random' else ''}"

    @property
    def revision(self) -> str:
        return self._revision

    @property
    def modality(self) -> str:
        return "text"

    @property
    def identity(self) -> dict[str, Any]:
        text = {
            "tokenizer": json_digest({"content": tokenizer_content(self._model[0].tokenizer)})
            if getattr(self._model[0], "tokenizer", None) is not None
            else "none",
            "prompt": self._prompt,
            "max_length": self._limit,
            "truncate": self._truncate,
        }
        who = {"provider": self.provider, "modules": [_module_facts(m) for m in self._model.children()]}
        return who | self.shared_identity() | {"preprocessing": text, "truncate_dim": self._dim}

    @property
    def description(self) -> str:
        modules = " → ".join(type(m).__name__ for m in self._model.children())
        cut = f", texts are cut at {self._limit} tokens" if self._truncate and self._limit else ""
        prompt = f", prompt {self._prompt!r}" if self._prompt else ""
        pooling = f"blocks pooled by {self._options.pooling}, 'sentence' by the model itself"
        return f"{super().description}; {modules}, {pooling}{prompt}{cut}"

    def probes(self) -> list[Any]:
        return probes_within(None if self._truncate else self._limit, lambda text: (self._counts([text]) or [0])[0])

    def prepare(self, batch: Sequence[Any]) -> list[Prepared]:
        texts = [as_text(item, i) for i, item in enumerate(batch)]
        counts = self._counts(texts)
        for i, count in enumerate(counts or ()):
            if not count:
                raise InputError(f"Item {i} of the batch, {texts[i]!r}, becomes no tokens at all; leave it out.")
            if self._limit and count > self._limit and not self._truncate:
                raise InputError(
                    f"Item {i} of the batch has {count} tokens but the model reads at most {self._limit}. "
                    "Shorten it, or pass truncate=True to cut long texts."
                )
        tokenizer = getattr(self._model[0], "tokenizer", None)
        if counts is None or getattr(tokenizer, "padding_side", "right") == "right":
            return [self._part(texts, range(len(texts)))]
        alike: dict[int, list[int]] = {}  # padding in front moves the positions of some networks
        for i, count in enumerate(counts):
            alike.setdefault(min(count, self._limit or count), []).append(i)
        return [self._part([texts[i] for i in places], places) for places in alike.values()]

    def _part(self, texts: list[str], places: Sequence[int]) -> Prepared:
        torch = import_torch("Running a model")
        device = self._options.device
        features = self._model.preprocess(texts, prompt=self._prompt)
        features = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in features.items()}
        mask = features.get("attention_mask")
        if mask is None or mask.ndim != 2:
            return Prepared(features, places)
        mask = mask.bool()
        before = features.get("prompt_length")
        if before and self._excludes_prompt:
            mask = mask & (mask.long().cumsum(1) > int(before))
        return Prepared(features, places, mask)

    def _counts(self, texts: Sequence[str]) -> list[int] | None:
        """How many tokens every text has, its prompt and special tokens included; None if a template adds more."""
        first = self._model[0]
        tokenizer = getattr(first, "tokenizer", None)
        if tokenizer is None or "message" in getattr(first, "modality_config", ()):
            return None
        whole = [f"{self._prompt}{text}" for text in texts] if self._prompt else list(texts)
        if callable(tokenizer):
            return [len(ids) for ids in tokenizer(whole, padding=False, truncation=False, verbose=False)["input_ids"]]
        if hasattr(tokenizer, "encode_batch"):
            return [len(found.ids) for found in tokenizer.encode_batch(whole, add_special_tokens=False)]
        return None


def import_sentence_transformers(what: str) -> Any:
    """The sentence-transformers library.

    Raises:
        MissingExtraError: if it or torch is not installed.
        InputError: if a torchvision is installed that does not fit torch.
    """
    import_torch(what)
    try:
        import sentence_transformers
    except ImportError as error:
        package = missing_package(error, "sentence-transformers")
        raise MissingExtraError(what, package, "sentence-transformers") from error
    except RuntimeError as error:  # torchvision's compiled operators do not fit this torch
        raise InputError(unfit_torchvision(what, error)) from error
    return sentence_transformers


def load_model(library: Any, folder: Path, id: str, options: Options) -> Any:
    """The model in a folder, with its weights or with random ones.

    Raises:
        InputError: if the folder holds no such model, or weights in a form that could run code.
    """
    _check_folder(folder)
    with reading_checkpoint(f"sentence-transformers:{id}"), quiet(import_transformers()):
        model = library.SentenceTransformer(
            str(folder),
            device="cpu",
            local_files_only=True,
            model_kwargs={"dtype": "float32", "use_safetensors": True},
        )
        if options.init == "random":
            with seeded(options.seed):
                _draw(library, model)
    return model


def _check_folder(folder: Path) -> None:
    path = folder / _MODULES
    if not path.is_file():
        raise InputError(
            f"There is no {path}; a folder of sentence-transformers holds one. For a checkpoint of transformers, leave "
            "'sentence-transformers:' out."
        )
    with reading_checkpoint(str(path)):
        parts = [folder / str(module["path"]) for module in json.loads(path.read_text(encoding="utf-8"))]
        about = folder / "config_sentence_transformers.json"
        facts = json.loads(about.read_text(encoding="utf-8")) if about.is_file() else {}
    kind = facts.get("model_type", "SentenceTransformer") if isinstance(facts, dict) else ""
    if kind != "SentenceTransformer":
        raise InputError(f"{folder} holds a {kind or 'damaged configuration'}; a SentenceTransformer is needed.")
    for part in parts:
        there = sorted(p.name for p in part.iterdir()) if part.is_dir() else []
        pickled = [n for n in there if n.endswith((".bin", ".pt", ".pth")) and n != "training_args.bin"]
        if pickled and not any(n.endswith(".safetensors") for n in there):
            raise InputError(
                f"{part} holds weights as {pickled[0]} only, which is not read: such files can run code. Save the "
                "model again as safetensors: SentenceTransformer(folder).save(other)."
            )


def _draw(library: Any, model: Any) -> None:
    """Give a model the libraries' own initial weights in place of its trained ones.

    Raises:
        InputError: if a module does not say how it begins.
    """
    for module in model.children():
        inner = getattr(module, "model", None)
        if hasattr(inner, "_from_config"):
            if getattr(inner, "_hf_peft_config_loaded", False):
                raise InputError("A model with an adapter cannot be drawn anew; take its base model for init='random'.")
            architecture: Any = type(inner)
            module.model = architecture._from_config(module.model.config)
            continue
        for path, part in module.named_modules():
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()
            elif next(part.parameters(recurse=False), None) is not None:
                raise InputError(
                    f"{type(module).__name__}{'.' + path if path else ''} does not say how its weights begin, so that "
                    "init='random' cannot draw them."
                )


def _sentence_network(model: Any, dim: int | None) -> Any:
    """The model as a network that gives the sentence embedding itself."""
    import torch

    class Sentence(torch.nn.Module):  # type: ignore[misc]  # torch has no types here
        """The modules of a model, and its embedding cut to the dimension that it was saved with."""

        def __init__(self) -> None:
            super().__init__()
            for name, child in model.named_children():
                self.add_module(name, child)

        def forward(self, features: Any) -> Any:
            out = model(dict(features))["sentence_embedding"]  # the modules write into what they are given
            return out if dim is None else out[..., :dim]

    return Sentence()


def _taps(network: Any, model: Any, forward: Any) -> tuple[Tap, ...]:
    first = model[0]
    sentence = Tap("sentence", "")
    name = next(n for n, _ in model.named_children())
    if hasattr(first, "model") and hasattr(first.model, "config"):
        import torch

        depth = getattr(first.model.config, "num_hidden_layers", None)
        with torch.inference_mode():
            taps = block_taps(first.model, forward, depth if isinstance(depth, int) else None)
        inside = [dataclasses.replace(t, module=f"{name}.model.{t.module}") for t in taps if t.layer != "projection"]
        return (*inside, sentence)
    embeds = hasattr(first, "embedding") and len(list(model.children())) > 1
    return (Tap("embedding", f"{name}.embedding"), sentence) if embeds else (sentence,)


def _prompt_of(model: Any, prompt: str | None) -> str:
    """The text that is put in front.

    Raises:
        InputError: if what is wanted is no text.
        UnknownNameError: if it is a name, and the model has no such prompt.
    """
    if prompt is None:
        return str(model.prompts.get(model.default_prompt_name, "") or "") if model.default_prompt_name else ""
    if not isinstance(prompt, str):
        raise InputError(f"prompt={prompt!r} is no text; give the name of a prompt or the prompt itself.")
    if prompt in model.prompts:
        return str(model.prompts[prompt] or "")
    if re.fullmatch(r"[\w-]+", prompt):  # a word alone is the name of a prompt, and a mistyped one should not be read
        raise UnknownNameError("prompt", prompt, model.prompts, "A prompt itself ends in a blank or a colon.")
    return prompt


def _limit_of(model: Any, wanted: int | None) -> int | None:
    """The most tokens of a text; the model is told.

    Raises:
        InputError: if the network cannot read as many as are wanted.
    """
    first = model[0]
    saved = getattr(first, "max_seq_length", None)
    saved = int(saved) if isinstance(saved, (int, float)) and math.isfinite(saved) and saved < 1_000_000 else None
    if wanted is None:
        return saved
    limit = _count("max_length", wanted)
    config = getattr(getattr(first, "model", None), "config", None)
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and limit is not None and limit > positions > 0:
        raise InputError(f"max_length={limit} is more than the {positions} positions of this network.")
    if config is None:
        raise InputError("max_length= is for models with a transformer; this one reads texts of any length.")
    first.max_seq_length = limit
    return limit


def _count(what: str, value: Any) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise InputError(f"{what}={value!r} is no count; an integer of at least 1 is needed.")
    return value


def _module_facts(module: Any) -> dict[str, Any]:
    """What a module does beside its weights."""
    own = module.get_config_dict() if hasattr(module, "get_config_dict") else {}
    config = getattr(getattr(module, "model", None), "config", None)
    facts = {"class": type(module).__name__, "settings": json_digest(own)}
    if config is not None and hasattr(config, "to_dict"):
        network = {k: v for k, v in config.to_dict().items() if k not in _NOT_THE_NETWORK}
        facts |= {"network": type(module.model).__name__, "configuration": json_digest(network)}
    return facts


def _widths(model: Any) -> frozenset[int]:
    config = getattr(getattr(model[0], "model", None), "config", None)
    found = {getattr(config, a, None) for a in ("hidden_size", "d_model", "n_embd", "dim", "embedding_size")}
    return frozenset(n for n in found if isinstance(n, int))
