"""What a conditional diffusion network is told beside the noisy image: nothing unless asked, as for guidance."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ._diffusion import Places
from ._hub import find_weights, reading_checkpoint
from ._torch import import_torch

_ENCODERS = (("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2"))
_TOKENS = 77  # of zeros, which say the same however many they are


@dataclasses.dataclass(frozen=True)
class Conditions:
    """Arguments of the network that are the same for every item.

    Attributes:
        given: Tensors of one item each; a mapping of tensors is handed on as one argument.
        facts: What the identity says of them.
        words: The same for people.
    """

    given: Mapping[str, Any]
    facts: Mapping[str, Any]
    words: str

    def __call__(self, n: int, like: Any) -> dict[str, Any]:
        """The arguments for n items, on the device and in the type of a tensor."""

        def spread(x: Any) -> Any:
            if isinstance(x, Mapping):
                return {k: spread(v) for k, v in x.items()}
            x = x.to(like.device, like.dtype) if x.is_floating_point() else x.to(like.device)
            return x.expand(n, *x.shape[1:])

        return {k: spread(v) for k, v in self.given.items()}


def make_conditions(places: Places, *, prompt: str | None, label: int | None, size: int) -> Conditions:
    """What a network is told.

    Args:
        places: The network's class and configuration, and where text encoders lie.
        prompt: Text for a network that takes one; the empty one if None.
        label: Class for a network that takes one; that of "no class" if None.
        size: Edge of the images in pixels, which some networks are told.

    Raises:
        InputError: if an option does not fit the network, or it wants what cannot be given.
    """
    kind, config = places.kind, places.config
    _refuse_others(kind, config)
    if prompt is not None and kind != "UNet2DConditionModel":
        raise InputError(f"A {kind} takes no text; leave prompt= out.")
    if prompt is not None and not isinstance(prompt, str):
        raise InputError(f"prompt={prompt!r} is no text.")
    classes, null = _classes(kind, config)
    if label is not None and not classes:
        raise InputError(f"This {kind} takes no class; leave label= out.")
    given: dict[str, Any] = {}
    facts: dict[str, Any] = {}
    words = []
    if classes:
        torch = import_torch("Running a model")
        chosen = _read_label(null if label is None else label, classes, null)
        given["class_labels"] = torch.tensor([chosen])
        facts["label"] = chosen
        words.append("no class" if chosen == null else f"class {chosen}")
    if kind == "UNet2DConditionModel":
        texts, said, in_words = _text(places, prompt, size)
        given |= texts
        facts |= said
        words.append(in_words)
    return Conditions(given, facts, ", ".join(words) or "unconditional")


def _refuse_others(kind: str, config: Mapping[str, Any]) -> None:
    unread = {
        "time_embedding_type": (None, "positional"),
        "class_embed_type": (None,),
        "encoder_hid_dim_type": (None,),
        "addition_embed_type": (None, "text_time"),
    }
    for key, known in unread.items():
        if config.get(key) not in known:
            raise InputError(
                f"This {kind} has {key}={config[key]!r}: it is told more than a timestep, a class or a text (or its "
                "timestep in another way), which cannot be given here."
            )


def _classes(kind: str, config: Mapping[str, Any]) -> tuple[int, int | None]:
    """How many classes a network knows, and which of its labels stands for none."""
    if kind == "DiTTransformer2DModel":
        classes = int(config.get("num_embeds_ada_norm") or 1000)
        return classes, classes
    return int(config.get("num_class_embeds") or 0), None


def _read_label(label: Any, classes: int, null: int | None) -> int:
    if label is None:
        raise InputError(
            f"This network is told one of {classes} classes, and none of them is known to stand for no class; say "
            f"which by label=, from 0 to {classes - 1}."
        )
    top = classes - 1 if null is None else null
    if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label <= top:
        nothing = "" if null is None else f", where {null} is no class (the default)"
        raise InputError(f"label={label!r} is no class of this network; they are numbered from 0 to {top}{nothing}.")
    return label


def _text(places: Places, prompt: str | None, size: int) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Arguments for a text, facts and words; zeros where no text is wanted and none can be encoded.

    Raises:
        InputError: if a prompt cannot be encoded, or not for this network.
    """
    torch = import_torch("Running a model")
    config = places.config
    width = config.get("cross_attention_dim")
    widths = set(width) if isinstance(width, (list, tuple)) else {width}
    if len(widths) != 1 or not isinstance(next(iter(widths)), int):
        raise InputError(f"This network attends to texts of several widths ({width}), which cannot be given here.")
    (width,) = widths
    pooled_width = _pooled_width(places)
    pairs = [p for p in _ENCODERS if (places.pipeline / p[0] / "config.json").is_file()]
    zeroed = not prompt and places.index.get("force_zeros_for_empty_prompt") is True
    if pairs and not zeroed:
        rows, pooled, facts = _encode(places.pipeline, pairs, prompt or "")
        words = f"the {'prompt ' + repr(prompt) if prompt else 'empty prompt'}"
    elif prompt:
        raise InputError(
            f"prompt={prompt!r} cannot be encoded: {places.pipeline} holds no text_encoder/; name the folder of the "
            "whole pipeline, by pipeline= if the network lies elsewhere."
        )
    else:
        rows, pooled = torch.zeros(1, _TOKENS, width), torch.zeros(1, pooled_width or 1)
        facts, words = {"prompt": "zeros"}, "zeros in place of a prompt"
    if rows.shape[-1] != width or (pooled_width and (pooled is None or pooled.shape[-1] != pooled_width)):
        raise InputError(
            f"The text encoder in {places.pipeline} gives {rows.shape[-1]} features a token"
            f"{'' if pooled is None else f' and {pooled.shape[-1]} a text'}, but the network takes {width}"
            f"{f' and {pooled_width}' if pooled_width else ''}; they are not of one pipeline."
        )
    given = {"encoder_hidden_states": rows}
    if pooled_width:
        times = torch.tensor([[size, size, 0, 0, size, size]], dtype=torch.float32)
        given["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": times}
        facts["size"] = size
    return given, facts, words


def _pooled_width(places: Places) -> int:
    """How many features of a whole text the network takes; 0 if it takes none.

    Raises:
        InputError: if it is told more sizes than an image's and its crop's.
    """
    config = places.config
    if config.get("addition_embed_type") != "text_time":
        return 0
    if places.index.get("requires_aesthetics_score"):
        raise InputError("This network is told how good an image looks (a refiner); it cannot be read.")
    return int(config["projection_class_embeddings_input_dim"]) - 6 * int(config["addition_time_embed_dim"])


def _encode(pipeline: Path, pairs: list[tuple[str, str]], prompt: str) -> tuple[Any, Any, dict[str, Any]]:
    """Token features and, of a second encoder, those of the whole text, as the pipelines compute them."""
    torch = import_torch("Running a model")
    from ._facts import Walker
    from ._state import state_digest

    rows, pooled, digests, numbers = [], None, [], []
    for encoder_name, tokenizer_name in pairs:
        encoder, tokenizer = _load_encoder(pipeline / encoder_name, pipeline / tokenizer_name)
        ids, mask = _tokens(encoder, tokenizer, prompt)
        with torch.no_grad():
            out = encoder(ids, attention_mask=mask, output_hidden_states=True)
        rows.append(out.hidden_states[-2] if len(pairs) > 1 else out.last_hidden_state)
        pooled = out.text_embeds if pooled is None and hasattr(out, "text_embeds") else pooled
        digests.append(state_digest(encoder, Walker(refuse=False).value))
        numbers.append(ids[0].tolist())
    return torch.cat(rows, -1), pooled, {"prompt": prompt, "tokens": numbers, "text_encoders": digests}


def _load_encoder(folder: Path, tokenizer: Path) -> tuple[Any, Any]:
    import transformers

    from ._hf_load import quiet

    find_weights(folder, ("model.safetensors",))
    with reading_checkpoint(str(folder)), quiet(transformers):
        named = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures") or [""]
        kind = getattr(transformers, named[0], None)
        if kind is None:
            raise InputError(f"{folder / 'config.json'} names no class of transformers ({named[0]!r}).")
        encoder, info = kind.from_pretrained(
            str(folder), dtype="float32", use_safetensors=True, local_files_only=True, output_loading_info=True
        )
        if info["missing_keys"]:
            raise InputError(f"The text encoder {folder} lacks weights, such as {sorted(info['missing_keys'])[0]!r}.")
        return encoder.eval(), transformers.AutoTokenizer.from_pretrained(str(tokenizer), local_files_only=True)


def _tokens(encoder: Any, tokenizer: Any, prompt: str) -> tuple[Any, Any]:
    longest = min(int(tokenizer.model_max_length), int(getattr(encoder.config, "max_position_embeddings", _TOKENS)))
    found = tokenizer(prompt, padding="max_length", max_length=longest, return_tensors="pt")
    if found.input_ids.shape[1] > longest:
        raise InputError(f"prompt= has {found.input_ids.shape[1]} tokens; the text encoder takes {longest} at most.")
    mask = found.attention_mask if getattr(encoder.config, "use_attention_mask", False) else None
    return found.input_ids, mask
