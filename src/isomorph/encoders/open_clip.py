"""Contrastive models of the open_clip library: by name and weights, from the hub, or from a folder.

``open_clip:ViT-B-32/laion2b_s34b_b79k``, ``open_clip:ViT-B-32`` (untrained, with ``init="random"``),
``open_clip:hf-hub:org/name`` and ``open_clip:./folder`` are understood; a folder holds ``open_clip_config.json`` and
safetensors. Their sides are ``vision`` and ``text``, and ``multimodal`` for CoCa, whose decoder reads both.

Layers are ``embedding``, ``block_01``, …, ``final_norm`` where all tokens are normalised after the last block, and
``projection``, the shared space as ``encode_image`` and ``encode_text`` give it before any normalisation of length.
Texts are padded to the length that the model was trained with; pooled are the tokens up to the one that ends the text.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ..errors import FetchError, InputError, MissingExtraError, UnknownNameError
from ._base import Encoder
from ._eval_transform import open_clip_transform
from ._hub import find_weights, folder_revision, open_repository, reading_checkpoint
from ._probes import probes_of
from ._provider import Options, Provider
from ._spec import is_path
from ._taps import Tap, block_taps, choose_taps
from ._text_tokens import TextTokens
from ._torch import Prepared, TorchEncoder, as_precise, import_torch, json_digest, seeded, settle
from .timm import missing_package, pixels, prefix_tokens, taps_of_blocks, timm_taps, timm_widths, unfit_torchvision

_CONFIG = "open_clip_config.json"
_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")
_TOKENIZER = (
    "tokenizer_config.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
_ALIASES = {"image": "vision", "decoder": "multimodal"}
_MODALITIES = {"vision": "image", "text": "text", "multimodal": "image+text"}


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a model comes from.

    Attributes:
        library_name: What open_clip calls it: a name, or ``local-dir:`` and a folder.
        config: Its configuration, of which this is a copy.
        weights: The safetensors file; None for random weights.
        preprocess: What the weights were trained with and the configuration does not say.
        revision: Of the weights; empty for random ones without a folder.
    """

    library_name: str
    config: dict[str, Any]
    weights: Path | None
    preprocess: dict[str, Any]
    revision: str

    @property
    def sides(self) -> tuple[str, ...]:
        """Names of the parts that can be read by themselves."""
        return ("vision", "text", "multimodal") if "multimodal_cfg" in self.config else ("vision", "text")


class OpenClip(Provider):
    """A dual encoder of the open_clip library: its text or its image side.

    Example:
        >>> import isomorph as iso
        >>> encoder = iso.load_encoder("open_clip:./clip#text")  # a local checkpoint, or name/pretrained
        >>> encoder.layers
        ('embedding', 'block_01', 'block_02', 'final_norm', 'projection')
        >>> encoder.encode(["a cat", "a dog"])[encoder.layers[-1]].shape
        (2, 10)
    """

    name: ClassVar[str] = "open_clip"
    spec: ClassVar[str] = "open_clip:NAME/PRETRAINED#SIDE"
    reads: ClassVar[str] = "text or image"
    extras: ClassVar[tuple[str, ...]] = ("side", "truncate")

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        library = import_open_clip("Loading an open_clip model")
        source = find_source(library, id, revision, untrained=options.init == "random")
        side = _side_of(f"open_clip:{id}", extra.pop("side", None), source.sides)
        with reading_checkpoint(f"open_clip:{id}"):
            model = make_model(library, source, options)
            tokens = None if side == "vision" else make_tokens(library, source, bool(extra.pop("truncate", False)))
        if tokens is None and extra.pop("truncate", False):
            raise InputError("truncate= is for texts; the side 'vision' takes images.")
        name = f"open_clip:{id}@{revision}" if revision else f"open_clip:{id}"
        return OpenClipEncoder(model, side, options, name=name, source=source, tokens=tokens)

    def sides(self, id: str, revision: str | None = None) -> tuple[str, ...]:
        return find_source(import_open_clip("Loading an open_clip model"), id, revision, untrained=True).sides


class OpenClipEncoder(TorchEncoder):
    """One side of a model, frozen.

    Args:
        model: What open_clip made; the sides that do not run are let go.
        side: ``"vision"``, ``"text"`` or ``"multimodal"``.
        options: Pooling, device, dtype, layers, init and seed.
        name: How users call it, without its side.
        source: Where it comes from.
        tokens: What turns texts into tokens, for sides that read text.
    """

    provider: ClassVar[str] = "open_clip"

    def __init__(
        self, model: Any, side: str, options: Options, *, name: str, source: Source, tokens: TextTokens | None
    ) -> None:
        self._side, self._called, self._source, self._tokens = side, name, source, tokens
        self._transform = None if side == "text" else open_clip_transform(model.visual.preprocess_cfg)
        network = settle(_part(model, side), options)
        self._prefix_tokens = _prefix(network, side, tokens)
        self._options = options  # prepare() needs it before the base class has it
        example = as_precise(self.prepare([self.probes()[0]])[0].inputs, options)
        taps = _taps(network, side, lambda: _call(network, example))
        chosen = sorted(choose_taps(taps, network, options.layers), key=lambda tap: tap.module == "")
        super().__init__(
            network, chosen, options, lambda inputs: _call(network, inputs), entry=taps[0], widths=_widths(network)
        )

    @property
    def name(self) -> str:
        return f"{self._called}#{self._side}{'?init=random' if self._options.init == 'random' else ''}"

    @property
    def revision(self) -> str:
        return self._source.revision or f"sha256-{self.weights[:16]}"

    @property
    def side(self) -> str:
        """The side that runs."""
        return self._side

    @property
    def modality(self) -> str:
        return _MODALITIES[self._side]

    @property
    def identity(self) -> dict[str, Any]:
        who = {"provider": self.provider, "side": self._side, "configuration": json_digest(self._source.config)}
        facts: dict[str, Any] = {}
        facts |= {"image": self._transform.facts} if self._transform is not None else {}
        facts |= {"text": self._tokens.facts} if self._tokens is not None else {}
        return who | self.shared_identity() | {"preprocessing": facts}

    @property
    def description(self) -> str:
        norm = "final norm as its own layer" if "final_norm" in self.layers else "no final norm over all tokens"
        kind = f"{type(self._network).__name__} ({self._side} side)"
        return f"{super().description}; open_clip's {kind}, pooling {self._options.pooling}, {norm}"

    def probes(self) -> list[Any]:
        texts = self._tokens.probes() if self._tokens is not None else []
        if self._side == "text":
            return texts
        images = probes_of("image")
        return list(zip(images, texts, strict=False)) if texts else images

    def prepare(self, batch: Sequence[Any]) -> list[Prepared]:
        device, places = self._options.device, range(len(batch))
        if self._tokens is None:
            return [Prepared(pixels(self._transform, batch, device), places, prefix=self._prefix_tokens)]  # type: ignore[arg-type]
        pairs = [_two_views(item, i) for i, item in enumerate(batch)] if self._side == "multimodal" else []
        texts = [text for _, text in pairs] if pairs else batch
        ids, mask = self._tokens(texts, classes=self._options.pooling == "cls" and self._side == "text")
        inputs: Any = ids.to(device)
        if pairs and self._transform is not None:
            inputs = {"image": pixels(self._transform, [image for image, _ in pairs], device), "text": inputs}
            mask = mask[:, : ids.shape[1]]  # the decoder reads the text without its class token
        return [Prepared(inputs, places, mask.to(device), prefix=self._prefix_tokens)]


def import_open_clip(what: str) -> Any:
    """The open_clip library.

    Raises:
        MissingExtraError: if it, torch or torchvision is not installed.
        InputError: if torchvision does not fit torch.
    """
    import_torch(what)
    try:
        import open_clip
    except ImportError as error:
        raise MissingExtraError(what, missing_package(error, "open_clip_torch"), "open-clip") from error
    except RuntimeError as error:  # torchvision's compiled operators do not fit this torch
        raise InputError(unfit_torchvision(what, error)) from error
    return open_clip


def find_source(library: Any, id: str, revision: str | None, *, untrained: bool) -> Source:
    """Where a model comes from.

    Raises:
        InputError: if there is no such folder, or no weights that can be read as data.
        UnknownNameError: if open_clip has no such model, or no such weights of it.
        FetchError: if the hub cannot be reached.
    """
    if is_path(id):
        folder = Path(id).expanduser()
        config, preprocess = _read_config(folder, id)
        weights = None if untrained else find_weights(folder, _WEIGHTS)
        return Source(f"local-dir:{folder}", config, weights, preprocess, folder_revision(folder))
    if id.startswith("hf-hub:"):
        return _from_hub(id, revision, {}, None, untrained)
    models = library.list_models()
    wanted = id.replace("/", "-")  # as in ViT-B/32
    if wanted in models:
        if not untrained:
            tags = library.list_pretrained_tags_by_model(wanted)
            has = f"one of {', '.join(tags)}" if tags else "but open_clip has none for it"
            raise InputError(
                f"open_clip:{id} names no weights; write open_clip:{wanted}/weights, {has}, or init='random'."
            )
        return Source(wanted, library.get_model_config(wanted), None, {}, "")
    name, _, tag = id.rpartition("/")
    name = name.replace("/", "-")
    if name not in models:
        raise UnknownNameError("open_clip model", name or id, models, "A repository of the hub is hf-hub:org/name.")
    tags = library.list_pretrained_tags_by_model(name)
    trained = library.get_pretrained_cfg(name, tag)
    if not trained:
        raise UnknownNameError(f"open_clip weights of {name}", tag, tags)
    config = library.get_model_config(name) | {"quick_gelu": bool(trained.get("quick_gelu", False))}
    preprocess = {k: trained[k] for k in ("mean", "std", "interpolation", "resize_mode") if trained.get(k) is not None}
    if untrained:
        return Source(name, config, None, preprocess, "")
    place = trained.get("hf_hub") or ""
    if not place:
        raise InputError(f"open_clip names the weights {tag} of {name} as a file that could run code; it is not read.")
    org, repository, *file = place.split("/")
    found = _from_hub(f"{org}/{repository}", revision, config, preprocess, untrained, file[0] if file else "")
    return dataclasses.replace(found, library_name=name)


def make_model(library: Any, source: Source, options: Options) -> Any:
    """The model, with its weights or with the library's own random ones."""
    config = dict(source.config)
    changes: dict[str, Any] = {"quick_gelu": config["quick_gelu"]} if "quick_gelu" in config else {}
    text = dict(config["text_cfg"])
    if text.get("hf_model_name"):  # a tower of transformers, of which the configuration alone is needed
        if not Path(text["hf_model_name"]).is_dir():
            text["hf_model_name"] = str(_hub_folder(text["hf_model_name"], ("config.json",)))
        changes["text_cfg"] = text | {"hf_model_pretrained": False}

    def make() -> Any:
        return library.create_model(
            source.library_name,
            load_weights=False,
            pretrained_text=False,
            force_custom_text=True,  # the same network, its text side in a module of its own
            force_preprocess_cfg=source.preprocess,
            **changes,
        )

    if options.init == "random":
        with seeded(options.seed):
            return make()
    model = make()
    library.load_checkpoint(model, str(source.weights), strict=True)
    return model


def make_tokens(library: Any, source: Source, truncate: bool) -> TextTokens:
    """What turns texts into the tokens that a model was trained with."""
    text = source.config["text_cfg"]
    hub_name = text.get("hf_tokenizer_name")
    if not hub_name or source.library_name.startswith("local-dir:"):
        tokenizer = library.get_tokenizer(source.library_name)
    else:
        folder = hub_name if Path(hub_name).is_dir() else str(_hub_folder(hub_name, _TOKENIZER))
        tokenizer = library.tokenizer.HFTokenizer(
            folder,
            context_length=text.get("context_length", 77),
            tokenizer_mode=text.get("tokenizer_mode"),
            **text.get("tokenizer_kwargs", {}),
        )
    return TextTokens(tokenizer, class_token=bool(text.get("embed_cls")), truncate=truncate)


def _from_hub(
    id: str,
    revision: str | None,
    config: dict[str, Any],
    preprocess: dict[str, Any] | None,
    untrained: bool,
    file: str = "",
) -> Source:
    place = id.removeprefix("hf-hub:")
    repository = open_repository(place, revision, file or _CONFIG)
    if not config:
        config, preprocess = _read_config(repository.folder, id)
        if config["text_cfg"].get("hf_tokenizer_name"):
            for name in _TOKENIZER:
                repository.get(name)
    names = (*([str(Path(file).with_suffix(".safetensors"))] if file else []), *_WEIGHTS)
    weights = None if untrained else next((p for n in names if (p := repository.get(n))), None)
    if weights is None and not untrained:
        raise InputError(f"The hub has no safetensors for {id}; other forms are not read, since they can run code.")
    return Source(f"local-dir:{repository.folder}", config, weights, preprocess or {}, repository.commit)


def _read_config(folder: Path, id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    path = folder / _CONFIG
    if not path.is_file():
        raise InputError(f"There is no {path}; a folder of open_clip holds {_CONFIG} and {_WEIGHTS[0]}.")
    with reading_checkpoint(f"open_clip:{id}"):
        facts = json.loads(path.read_text(encoding="utf-8"))
    config = facts.get("model_cfg") if isinstance(facts, dict) else None
    if not isinstance(config, dict) or not all(isinstance(config.get(k), dict) for k in ("vision_cfg", "text_cfg")):
        raise InputError(f"{path} has no model_cfg with vision_cfg and text_cfg; it is no configuration of open_clip.")
    return config, {}


def _hub_folder(id: str, names: Sequence[str]) -> Path:
    repository = open_repository(id, None, names[0])
    found = [repository.get(name) for name in names]  # all of them, not only until one is there
    if not any(found):
        raise FetchError(f"The repository {id} on the hub has none of {', '.join(names)}.")
    return repository.folder


def _side_of(spec: str, side: str | None, there: tuple[str, ...]) -> str:
    if side is None:
        raise InputError(f"{spec} has several sides; choose one by side= or #side: {', '.join(map(repr, there))}.")
    side = _ALIASES.get(side, side)
    if side not in there:
        raise UnknownNameError(f"side of {spec}", str(side), there)
    return side


def _part(model: Any, side: str) -> Any:
    """The modules of a side alone, so that the others can be let go."""
    if side == "vision":
        return model.visual
    if side == "text":
        return model.text
    import torch

    class Decoder(torch.nn.Module):  # type: ignore[misc]  # torch has no types here
        """What CoCa's captioning runs: both towers, and the decoder over their tokens."""

        def __init__(self) -> None:
            super().__init__()
            self.visual, self.text, self.text_decoder = model.visual, model.text, model.text_decoder
            # to words, which no layer needs; where it is not trained, the library leaves it as memory was
            self.text_decoder.text_projection = None

        def forward(self, image: Any, text: Any) -> Any:
            return self.text_decoder(self.visual(image)[1], self.text(text)[1])

    return Decoder()


def _call(network: Any, inputs: Any) -> Any:
    return network(**inputs) if isinstance(inputs, Mapping) else network(inputs)


def _taps(network: Any, side: str, forward: Any) -> tuple[Tap, ...]:
    if side == "multimodal":
        depth = len(network.text_decoder.cross_attn)
        paths = [f"text_decoder.cross_attn.{i}" for i in range(depth)]
        taps = taps_of_blocks(network, paths, "text_decoder.ln_final", forward)
        return (dataclasses.replace(taps[0], module="text_decoder.resblocks.0"), *taps[1:])
    if hasattr(network, "trunk"):
        taps = timm_taps(network, forward, "trunk")
    elif hasattr(network, "layer4"):
        taps = taps_of_blocks(network, [f"layer{i}" for i in range(1, 5)], None, forward)
    elif hasattr(getattr(network, "transformer", None), "resblocks"):
        paths = [f"transformer.resblocks.{i}" for i in range(len(network.transformer.resblocks))]
        norm = next((n for n in ("ln_post", "ln_final") if hasattr(network, n)), None)
        taps = taps_of_blocks(network, paths, norm, forward)
    else:
        taps = tuple(tap for tap in block_taps(network, forward) if tap.layer != "projection")
    return (*taps, Tap("projection", ""))  # what the side as a whole gives


def _prefix(network: Any, side: str, tokens: TextTokens | None) -> int | None:
    """Class tokens in front; texts have none there, except in the towers of transformers, which decide themselves."""
    if side == "vision":
        if hasattr(network, "trunk"):
            return prefix_tokens(network.trunk)
        return 1 if hasattr(network, "class_embedding") else 0
    if side == "text" and not hasattr(network, "token_embedding"):
        return None
    return None if tokens is not None and tokens.class_at is not None and side == "text" else 0


def _widths(network: Any) -> frozenset[int]:
    if hasattr(network, "trunk"):
        return timm_widths(network.trunk)
    found = {getattr(m, "width", None) for m in network.modules()} | {getattr(network, "output_dim", None)}
    return frozenset(n for n in found if isinstance(n, int))


def _two_views(item: Any, position: int) -> tuple[Any, Any]:
    """Image and text of an item that is a pair of them, in either order, or a mapping with these names.

    Raises:
        InputError: if it is neither.
    """
    if isinstance(item, Mapping) and {"image", "text"} <= set(item):
        return item["image"], item["text"]
    if isinstance(item, (tuple, list)) and len(item) == 2 and sum(isinstance(part, str) for part in item) == 1:
        first, second = item
        return (second, first) if isinstance(first, str) else (first, second)
    raise InputError(
        f"Item {position} of the batch is of type {type(item).__name__}; the side 'multimodal' reads an image and a "
        "text together: view=('image', 'text')."
    )
