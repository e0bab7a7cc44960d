"""Which input a side of a transformers checkpoint takes, read from the checkpoint's files."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError, UnknownNameError
from ._hf_audio import audio_input
from ._hf_inputs import HfInput, ImageInput, TextInput, VideoInput, read_part, token_limit
from ._hf_joint import joint_input
from ._hf_pixels import OwnPixels
from ._sides import Side

_PADDED_AS_TRAINED = (
    "siglip_text_model",
    "siglip2_text_model",
)  # they were trained on texts padded to the limit, without a mask


def make_inputs(
    parts: Any,
    side: Side,
    *,
    max_length: int | None = None,
    truncate: bool = False,
    padding_side: str = "right",
    prompt: str | None = None,
    tokens: str | None = None,
) -> HfInput:
    """The inputs of one side of a checkpoint.

    Args:
        parts: The loaded checkpoint.
        side: Its side.
        max_length: Most tokens of a text.
        truncate: Whether longer texts are cut.
        padding_side: On which side texts are padded.
        prompt: What stands in front of every text; for pairs, a template with ``{text}``.
        tokens: For pairs: which tokens are pooled.

    Raises:
        InputError: if an option does not fit the modality.
        UnknownNameError: if there is no such padding side.
    """
    if padding_side not in ("right", "left"):
        raise UnknownNameError("padding_side", str(padding_side), ("right", "left"))
    if not isinstance(truncate, bool):
        raise InputError(f"truncate={truncate!r} is neither True nor False.")
    if tokens is not None and side.modality != "image+text":
        raise InputError(f"tokens= is for images and texts together (side='joint'); this side takes {side.modality}.")
    if side.modality == "text":
        return _text_input(parts, side, max_length, truncate, padding_side, prompt or "")
    if max_length is not None or truncate:
        raise InputError(f"max_length and truncate are for texts; this model takes {side.modality}.")
    if side.modality == "image+text":
        return joint_input(parts, side, tokens or "all", prompt)
    if prompt is not None:
        raise InputError(f"prompt= is for texts; this model takes {side.modality}.")
    if side.modality == "audio":
        return audio_input(parts, side, read_part(parts, "audio", "AutoFeatureExtractor"))
    patch = getattr(side.config, "patch_size", None)
    pixels = image_processor(parts, video=side.modality == "video")
    if "noise" in side.accepts and getattr(side.config, "mask_ratio", None):
        for module in side.network.modules():  # all patches are seen: masking is for training
            if getattr(getattr(module, "config", None), "mask_ratio", None):
                module.config.mask_ratio = 0.0
    if side.modality == "video":
        frames = getattr(side.config, "num_frames", None)
        return VideoInput(pixels, accepts=side.accepts, frames=frames if isinstance(frames, int) else None)
    patch = patch if isinstance(patch, int) and side.name not in ("projector", "qformer") else None  # no patches there
    whole = "idefics2" in str(getattr(side.config, "model_type", ""))
    return ImageInput(pixels, accepts=side.accepts, patch=patch, whole=whole)


def _text_input(parts: Any, side: Side, max_length: Any, truncate: bool, padding_side: str, prompt: str) -> TextInput:
    tokenizer = read_part(parts, "text", "AutoTokenizer")
    if side.name == "decoder" and padding_side == "left":
        raise InputError("The decoder side reads the text shifted by one, which needs padding_side='right'.")
    if padding_side == "left" and _window(side.config) is not None:
        raise InputError("This network pads texts to whole windows on the right, alone too; use padding_side='right'.")
    own = _derives_positions(side.network)
    limit = token_limit(tokenizer, side.config, max_length, offset=_position_offset(side.network) if own else 0)
    trained = getattr(side.config, "model_type", "") in _PADDED_AS_TRAINED
    if trained and padding_side == "left":
        raise InputError(
            "This network was trained on texts padded on the right, and reads padding; use padding_side='right'."
        )
    return TextInput(
        tokenizer,
        accepts=side.accepts,
        limit=limit,
        truncate=truncate,
        padding_side=padding_side,
        own_positions=own,
        start=side.decoder_start,
        as_trained=trained and limit is not None,
        prompt=prompt,
        multiple=_window(side.config),
    )


def _window(config: Any) -> int | None:
    """The window that a network of windowed attention pads its texts to (Longformer, LED)."""
    window = getattr(config, "attention_window", None)
    if isinstance(window, (list, tuple)) and window and all(isinstance(w, int) for w in window):
        return int(max(window))
    return window if isinstance(window, int) and getattr(config, "model_type", "") in ("longformer", "led") else None


def image_processor(parts: Any, *, video: bool) -> Any:
    """The checkpoint's image processor in its PIL form; where there is none, what its configuration says.

    Raises:
        InputError: if it has no file that says how pixels are made.
    """  # noqa: DOC501  # the library's own errors are worded by `reading`
    try:
        return read_part(parts, "image", "AutoImageProcessor", backend="pil")
    except (ImportError, ValueError, OSError) as error:  # a video processor is none for images
        if not video and "orchvision" not in str(error):
            raise
    facts = _processor_file(parts, ("video_preprocessor_config.json", "preprocessor_config.json")[0 if video else 1 :])
    if facts is None:
        raise InputError(
            f"The checkpoint {parts.source} has no preprocessor_config.json, which says how pixels are made."
        )
    return OwnPixels(facts)


def _processor_file(parts: Any, names: Sequence[str]) -> dict[str, Any] | None:
    from transformers.utils import cached_file

    where = {k: parts.kwargs[k] for k in ("revision", "local_files_only") if k in parts.kwargs}
    for name in names:
        path = cached_file(parts.source, name, _raise_exceptions_for_missing_entries=False, **where)
        if path is not None:
            facts = json.loads(Path(path).read_text())
            return facts if isinstance(facts, dict) else None
    return None


def _derives_positions(network: Any) -> bool:
    """Whether a text network counts its positions past padding by itself (RoBERTa's kind, from the padding token)."""
    kind = type(network)
    return hasattr(sys.modules.get(kind.__module__), "create_position_ids_from_input_ids") or any(
        hasattr(type(m), "create_position_ids_from_input_ids") for m in network.modules()
    )


def _position_offset(network: Any) -> int:
    """How many positions such a network keeps for padding, which no token can have."""
    for module in network.modules():
        pad = getattr(getattr(module, "position_embeddings", None), "padding_idx", None)
        if isinstance(pad, int):
            return pad + 1
    return 0
