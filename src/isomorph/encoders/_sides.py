"""The parts of a transformers model that can be read by themselves, found in the model and named alike everywhere."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InputError, UnknownNameError
from ._taps import Tap
from ._torch import import_torch

SIDES = {
    "encoder": "the encoder of an encoder-decoder, or of a codec",
    "decoder": "the decoder of an encoder-decoder; it reads the text shifted by one",
    "text": "the text tower, or the language model of a vision-language model run on text alone",
    "vision": "the vision tower",
    "audio": "the audio tower",
    "speech": "the speech encoder of a model with several encoders",
    "qformer": "the querying transformer between vision tower and language model",
    "projector": "what maps the vision tower's output into the language model",
    "multimodal": "an encoder over both towers",
    "joint": "the language model run on image and text together",
}
"""Every name of a side, and what it means."""

_ALIASES = {
    **{"image": "vision", "language_model": "text", "language": "text", "text_encoder": "text"},
    **{"speech_encoder": "speech", "q-former": "qformer", "fusion": "multimodal", "connector": "projector"},
}
_VISION = (
    "vision_model",
    "vision_tower",
    "visual",
    "image_model",
    "vision_encoder",
    "vision_backbone",
    "image_encoder",
)
_TEXT = ("language_model", "text_model", "text_encoder", "text_decoder")
_AUDIO = ("audio_model", "audio_tower", "audio_encoder")
_PROJECTOR = (
    "multi_modal_projector",
    "language_projection",
    "connector",
    "projector",
    "aligner",
    "image_to_text_projection",
)


@dataclasses.dataclass(frozen=True)
class Side:
    """One part of a model.

    Attributes:
        name: One of `SIDES`; empty where a model has one part only.
        modality: Of the items that it reads.
        network: The module whose blocks are tapped.
        call: Runs it on prepared inputs.
        config: The configuration that speaks of it.
        accepts: Names of the inputs that it takes.
        needs: The modules that run; the rest of the model is let go.
        decoder_start: The token that starts decoding, for decoders.
        depth: Where the configuration says how many blocks there are.
        taps: Where to tap, if that is not the network's blocks.
        shared: Whether what the network gives is the space shared with other sides, a layer of its own.
    """

    name: str
    modality: str
    network: Any
    call: Callable[[Any], Any]
    config: Any
    accepts: tuple[str, ...]
    needs: tuple[Any, ...]
    decoder_start: int | None = None
    depth: tuple[str, ...] = ("num_hidden_layers", "encoder_layers", "num_layers", "depth")
    taps: tuple[Tap, ...] = ()
    shared: bool = False


def choose_side(model: Any, config: Any, name: str | None) -> Side:
    """The side of that name, or the only one.

    Raises:
        InputError: if there are several and none was named, or there is one only and another was named.
        UnknownNameError: if there is no such side.
    """
    there = find_sides(model, config)
    kind = type(model).__name__
    names = ", ".join(map(repr, there))
    if name is None:
        default = next((n for n in ("", "encoder") if n in there), next(iter(there)) if len(there) == 1 else None)
        if default is None and "joint" in there and "text" in there:
            default = "text"  # a language model that also sees
        if default is None:
            raise InputError(
                f"{kind} has several sides; choose one by side=, or #side at the end of its name: {names}."
            )
        return there[default]()
    wanted = _ALIASES.get(name, name) if name not in there else name
    if wanted in there:
        return there[wanted]()
    if list(there) == [""]:
        only = there[""]()
        if wanted == {"image": "vision"}.get(only.modality, only.modality):
            return only
        raise InputError(f"{kind} has one side only; leave side={name!r} out.")
    raise UnknownNameError(f"side of {kind}", str(name), there, f"Its sides: {names}.")


def find_sides(model: Any, config: Any) -> dict[str, Callable[[], Side]]:
    """Name -> what makes the side, for every part of a model that can be read by itself."""
    root = _root(model)
    if type(model).__name__.endswith("WithProjection"):
        modality = _modality(getattr(model, "main_input_name", "input_ids"), type(model).__name__)
        children = dict(model.named_children())
        return {"": lambda: _tower("", modality, children, model, config, accepts(model.forward))}
    if _child(root, ("text_model",)) is not None and hasattr(root, "get_text_features") and not _has(root, "qformer"):
        return _dual(root, config) | _above(root, config)
    if _child(root, ("speech_encoder",)) is not None and _child(root, ("text_encoder",)) is not None:
        return _seamless(root, config)
    if _has(root, "vision_proj") and _has(root, "text_proj"):
        return _matching(root, config)
    parts = _pieces(root, model, config)
    if parts:
        return parts
    half = type(model).__name__.endswith("EncoderModel")
    if (getattr(config, "is_encoder_decoder", False) or half) and hasattr(model, "get_encoder"):
        return _encoder_decoder(model, config)
    if _has(model, "quantizer") and _has(model, "encoder"):  # a codec
        return {"encoder": lambda: _plain(model.encoder, config, "audio", "encoder")}
    modality = _modality(getattr(model, "main_input_name", "input_ids"), type(model).__name__)
    if modality == "video" or (modality == "image" and hasattr(config, "num_frames")):
        return {"": lambda: _video(model, config)}
    return {"": lambda: dataclasses.replace(_plain(model, config, modality, ""), accepts=accepts(model.forward))}


def accepts(function: Any) -> tuple[str, ...]:
    """Names of a function's parameters."""
    return tuple(inspect.signature(function).parameters)


def width_facts(config: Any) -> frozenset[int]:
    """Numbers of features that a configuration names, those of its parts included."""
    found: set[int] = set()
    for key, value in (config.to_dict() if hasattr(config, "to_dict") else dict(config)).items():
        if isinstance(value, Mapping):
            found |= width_facts(value)
        elif any(
            word in str(key)
            for word in ("hidden_size", "_dim", "d_model", "n_embd", "channels", "num_filters", "embed")
        ):
            values = value if isinstance(value, (list, tuple)) else [value]
            found |= {v for v in values if isinstance(v, int) and not isinstance(v, bool) and v > 1}
    return frozenset(found)


def _root(model: Any) -> Any:
    inner = getattr(model, "model", None)
    torch = import_torch("Reading a model")
    named = (*_VISION, *_TEXT, *_AUDIO)
    return (
        inner if isinstance(inner, torch.nn.Module) and _child(model, named) is None and _child(inner, named) else model
    )


def _child(root: Any, names: tuple[str, ...]) -> Any:
    torch = import_torch("Reading a model")
    found = (getattr(root, name, None) for name in names)
    return next((m for m in found if isinstance(m, torch.nn.Module)), None)


def _has(root: Any, name: str) -> bool:
    return _child(root, (name,)) is not None


def _own_config(config: Any, *names: str) -> Any:
    return next(
        (c for c in (getattr(config, n, None) for n in names) if c is not None and hasattr(c, "to_dict")), config
    )


def _plain(network: Any, config: Any, modality: str, name: str) -> Side:
    taken = accepts(network.forward)

    def call(inputs: Any) -> Any:
        return network(**inputs)

    if modality == "audio" and not {"input_values", "input_features"} & set(taken):
        taken = (*taken, "input_values")

        def call(inputs: Any) -> Any:  # codecs' encoders take the samples by position
            return network(inputs["input_values"])

    return Side(name, modality, network, call, config, taken, (network,))


def _dual(root: Any, config: Any) -> dict[str, Callable[[], Side]]:
    """The towers of a dual encoder, each run by the model's own feature function, projection included."""
    words = {"text": ("text", "language"), "vision": ("vis", "image"), "audio": ("audio", "speech")}
    functions = {"text": "get_text_features", "vision": "get_image_features", "audio": "get_audio_features"}

    def tower(side: str) -> Side:
        features = getattr(root, functions[side])
        children = {n: m for n, m in root.named_children() if n.startswith(words[side]) and "_to_mm" not in n}
        modality = {"text": "text", "vision": "image", "audio": "audio"}[side]
        own = _own_config(config, f"{side}_config", *(["image_config"] if side == "vision" else []))
        return _tower(side, modality, children, features, own, accepts(features))

    there = [side for side, function in functions.items() if hasattr(root, function)]
    return {side: functools.partial(tower, side) for side in there}


def _tower(name: str, modality: str, children: Any, features: Any, config: Any, taken: tuple[str, ...]) -> Side:
    """A tower whose output, as the model itself computes it, is the shared space."""
    torch = import_torch("Reading a model")

    class Tower(torch.nn.ModuleDict):  # type: ignore[misc,name-defined]  # torch is seen as Any here
        def forward(self, **inputs: Any) -> Any:
            given = features(**inputs)
            names = ("image_embeds", "text_embeds", "audio_embeds", "pooler_output")
            found = (getattr(given, name, None) for name in names)
            vectors = given if isinstance(given, torch.Tensor) else next(v for v in found if v is not None)
            return vectors[:, 0] if vectors.ndim == 3 else vectors  # FLAVA projects every token; the first is shared

    network = Tower(children)
    return Side(
        name, modality, network, lambda inputs: network(**inputs), config, taken, tuple(children.values()), shared=True
    )


def _matching(root: Any, config: Any) -> dict[str, Callable[[], Side]]:
    """BLIP's retrieval checkpoints: the first token of each tower, projected and normalised."""
    torch = import_torch("Reading a model")

    def tower(name: str, modality: str, part: Any, projection: Any, own: Any) -> Side:
        def features(**inputs: Any) -> Any:
            return torch.nn.functional.normalize(projection(part(**inputs).last_hidden_state[:, 0]), dim=-1)

        children = {"tower": part, "head": projection}
        return _tower(name, modality, children, features, own, accepts(part.forward))

    own = [_own_config(config, n) for n in ("vision_config", "text_config")]
    return {
        "vision": lambda: tower("vision", "image", root.vision_model, root.vision_proj, own[0]),
        "text": lambda: tower("text", "text", root.text_encoder, root.text_proj, own[1]),
    }


def _above(root: Any, config: Any) -> dict[str, Callable[[], Side]]:
    """An encoder over both towers (FLAVA)."""
    top = _child(root, ("multimodal_model",))
    if top is None:
        return {}
    own = _own_config(config, "multimodal_config")
    return {
        "multimodal": lambda: Side(
            "multimodal", "image+text", top, lambda inputs: root(**inputs), own, accepts(root.forward), (root,)
        )
    }


def _seamless(root: Any, config: Any) -> dict[str, Callable[[], Side]]:
    return {
        "speech": lambda: _plain(root.speech_encoder, config, "audio", "speech"),
        "text": lambda: _plain(root.text_encoder, config, "text", "text"),
    }


def _pieces(root: Any, model: Any, config: Any) -> dict[str, Callable[[], Side]]:
    """Vision tower, language model and what is between them; or one tower with heads (SAM)."""
    vision, text, audio = (_child(root, names) for names in (_VISION, _TEXT, _AUDIO))
    text = text if text is not None else _child(model, _TEXT)
    projector, qformer = _child(root, _PROJECTOR), _child(root, ("qformer",))
    projector = projector if projector is not None or vision is None else _child(vision, ("merger",))
    features = getattr(root, "get_image_features", None)
    if vision is None and audio is None:
        return {}
    sides: dict[str, Callable[[], Side]] = {}
    own = _own_config(config, "vision_config", "image_config")
    if vision is not None:
        through = features if projector is not None and qformer is None else None
        needs = (vision, projector) if through else (vision,)
        sides["vision"] = lambda: _vision(vision, own, through, needs, root)
    if audio is not None and _has(audio, "quantizer") and _has(audio, "encoder"):
        audio = audio.encoder  # of a codec
    if audio is not None:
        sides["audio"] = lambda: _plain(audio, _own_config(config, "audio_config"), "audio", "audio")
    if text is not None:
        sides["text"] = lambda: _language(text, _own_config(config, "text_config"))
    elif _has(root, "gated_cross_attn_layers"):
        sides["text"] = lambda: _crossed_language(root, config)
    if qformer is not None:
        run = getattr(root, "get_qformer_features", None) or features
        tokens = getattr(root, "query_tokens", None)
        if run is not None and tokens is not None:
            needs_q = (vision, qformer, *([projector] if projector is not None else []))
            sides["qformer"] = lambda: Side(
                "qformer",
                "image",
                qformer,
                lambda i: run(**i),
                _own_config(config, "qformer_config"),
                accepts(run),
                needs_q,
            )
    if projector is not None and features is not None:
        tap = (Tap("projector", "", 0),)
        needs_p = tuple(m for m in (vision, qformer, projector) if m is not None)
        queries = getattr(root, "get_qformer_features", None)
        into = features if queries is None else queries

        def project(inputs: Any) -> Any:  # BLIP-2's bare model stops before its projector
            found = into(**inputs)
            return found if queries is None else projector(found if hasattr(found, "ndim") else found[0])

        sides["projector"] = lambda: Side(
            "projector", "image", projector, project, own, accepts(into), needs_p, taps=tap
        )
    if text is not None and vision is not None and _image_token(config) is not None:
        sides["joint"] = lambda: _joint(root, text, config)
    elif text is not None and vision is not None and _has(root, "cross_modal_text_layers"):
        sides["multimodal"] = lambda: _crossed(root, config)
    return sides if len(sides) > 1 or text is None else {}


def _crossed_language(root: Any, config: Any) -> Side:
    """A language model with images woven in (Idefics), on text alone: an empty image that no token attends to."""
    torch = import_torch("Running a model")
    network = torch.nn.ModuleDict({"layers": root.layers, "norm": root.norm})
    size = config.vision_config.image_size

    def call(inputs: Any) -> Any:
        b, t = inputs["input_ids"].shape
        where = {"device": inputs["input_ids"].device}
        empty = torch.zeros(b, 1, 3, size, size, dtype=next(root.parameters()).dtype, **where)
        return root(**inputs, pixel_values=empty, image_attention_mask=torch.zeros(b, t, 1, dtype=torch.long, **where))

    taken = ("input_ids", "attention_mask", "position_ids")
    return Side("text", "text", network, call, config, taken, (root,))


def _vision(vision: Any, config: Any, features: Any, needs: tuple[Any, ...], root: Any) -> Side:
    if features is not None:
        return Side("vision", "image", vision, lambda i: features(**i), config, accepts(features), needs)
    taken = accepts(vision.forward)
    if "aspect_ratio_mask" in taken:
        raise InputError(
            f"{type(vision).__name__} fills an image up with empty tiles, which cannot be told apart in its layers: "
            "its vision side is not read here."
        )
    if "pixel_values" in taken:
        return Side("vision", "image", vision, lambda i: vision(**i), config, taken, needs)
    if "image" in taken:  # BridgeTower's word for pixels
        return Side("vision", "image", vision, lambda i: vision(i["pixel_values"]), config, ("pixel_values",), needs)
    features = getattr(root, "get_image_features", None)  # its tower names its inputs in a way of its own
    if features is None:
        raise InputError(f"{type(vision).__name__} takes {', '.join(taken)}; its images cannot be given to it here.")
    return Side("vision", "image", vision, lambda i: features(**i), config, accepts(features), needs)


def _language(text: Any, config: Any) -> Side:
    if getattr(config, "is_encoder_decoder", False) and hasattr(text, "get_encoder"):
        text = text.get_encoder()
    if _has(text, "bert") and _has(text, "cls"):  # BLIP's caption decoder: the head's forward makes it causal
        return dataclasses.replace(_plain(text, config, "text", "text"), network=text.bert)
    inner = getattr(text, "model", None) or text  # without the head over words
    return _plain(inner if hasattr(inner, "forward") and hasattr(inner, "config") else text, config, "text", "text")


def _joint(root: Any, text: Any, config: Any) -> Side:
    own = _own_config(config, "text_config")
    return Side("joint", "image+text", text, lambda inputs: root(**inputs), own, accepts(root.forward), (root,))


def _crossed(root: Any, config: Any) -> Side:
    torch = import_torch("Reading a model")
    network = torch.nn.ModuleDict({"cross_modal_text_layers": root.cross_modal_text_layers})
    return Side(
        "multimodal", "image+text", network, lambda inputs: root(**inputs), config, accepts(root.forward), (root,)
    )


def _image_token(config: Any) -> Any:
    found = (getattr(config, name, None) for name in ("image_token_id", "image_token_index"))
    return next((token for token in found if isinstance(token, int)), None)


def _encoder_decoder(model: Any, config: Any) -> dict[str, Callable[[], Side]]:
    modality = _modality(getattr(model, "main_input_name", "input_ids"), type(model).__name__)
    encoder = model.get_encoder()
    sides: dict[str, Callable[[], Side]] = {"encoder": lambda: _plain(encoder, config, modality, "encoder")}
    if type(model).__name__.endswith("EncoderModel"):
        return sides
    return sides | {"decoder": lambda: _decoder(model, config, modality)}


def _decoder(model: Any, config: Any, modality: str) -> Side:
    decoder = model.get_decoder()
    tokens = (getattr(config, n, None) for n in ("decoder_start_token_id", "bos_token_id", "pad_token_id"))
    start = next((t for t in tokens if t is not None), None)
    if start is None:
        raise InputError(f"{type(model).__name__} names no decoder_start_token_id; its decoder side cannot be run.")
    names = ("decoder_layers", "num_decoder_layers", "num_hidden_layers")
    return Side(
        "decoder", modality, decoder, lambda inputs: model(**inputs), config, accepts(model.forward), (model,),
        decoder_start=int(start), depth=names,
    )  # fmt: skip


def _video(model: Any, config: Any) -> Side:
    encoder = model.encoder if _has(model, "predictor") else model
    taken = accepts(model.forward)
    skip = {"skip_predictor": True} if "skip_predictor" in taken else {}
    needs = tuple(m for name, m in model.named_children() if name not in ("predictor", "decoder"))
    return Side("", "video", encoder, lambda inputs: model(**inputs, **skip), config, taken, needs)


def _modality(main_input: str, model: str) -> str:
    known = {
        "input_ids": "text", "pixel_values": "image", "input_values": "audio", "input_features": "audio",
        "pixel_values_videos": "video",
    }  # fmt: skip
    if main_input not in known:
        raise InputError(
            f"{model} takes {main_input!r}; models of {', '.join(known)} can be loaded. Wrap it as a module encoder."
        )
    return known[main_input]
