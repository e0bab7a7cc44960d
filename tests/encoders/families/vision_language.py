"""Families of language models that see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import WORDS, Rows, Side, model_of, write
from ._image_and_text import (
    EXTRA,
    EYES,
    IDS,
    IMAGE,
    TEXT,
    See,
    features,
    language,
    llama_reader,
    long_reader,
    looked_at,
    multi,
    pairs,
    part,
    pil,
    processor,
    projector_side,
    reader,
    text_side,
    tower,
    vision_side,
    whole,
)
from .multimodal import BLIP_EYES, CROP

# ------------------------------------------------------------------------------------------------- BLIP-2

BLIP2_KIND = "Blip2ForConditionalGeneration"
OPT = IDS | {
    "model_type": "opt",
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "ffn_dim": 24,
    "max_position_embeddings": 64,
    "word_embed_proj_dim": 16,
}
BLIP2 = {
    "vision_config": EYES,
    "qformer_config": TEXT | {"encoder_hidden_size": 16},
    "text_config": OPT,
    "num_query_tokens": 4,
    "image_token_index": IMAGE,
}


def joint_files(kind: str, **settings: Any) -> Callable[[Path], None]:
    """Writes the configuration of a processor for image and text."""
    return lambda folder: write(folder, "processor_config.json", {"processor_class": kind} | settings)


def image_tokens(folder: str, item: Any) -> np.ndarray:
    """Which tokens of the language model stand for the image."""
    config = model_of(folder).config
    see = qwen_together if config.model_type.startswith("qwen") else together
    return (see(folder, item)["input_ids"][0] == config.image_token_id).numpy()


def together(folder: str, item: Any) -> dict[str, Any]:
    """What the checkpoint's own processor makes of an image and a text: by its chat template, if it has one."""
    import warnings

    from transformers import AutoProcessor

    made = AutoProcessor.from_pretrained(folder, backend="pil")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PaliGemma's makes an array of a tensor
        return dict(made(images=pil(item[0]), text=written(made, item[1]), return_tensors="pt"))


def written(made: Any, text: str) -> str:
    """The text as the model reads it, with the place of the image."""
    if getattr(made, "chat_template", None):
        content = [{"type": "image"}, {"type": "text", "text": text}]
        return str(made.apply_chat_template([{"role": "user", "content": content}]))
    if type(made).__name__ in ("Blip2Processor", "InstructBlipProcessor"):  # it puts the image in front by itself
        return text
    return f"<image>{text}"


def joint(blocks: str, norm: str | None, kind: str = "AutoModel", see: See = together) -> Side:
    """The language model on image and text together, all its tokens."""

    def by_hand(folder: str, item: Any) -> Rows:
        found = tower(see, whole, blocks, norm, kind=kind)(folder, item)
        if any(len(x) != see(folder, item)["input_ids"].shape[1] for x in found.values()):
            raise AssertionError("rows are not those of the tokens")
        return found

    return Side("joint", "image+text", by_hand, None, items=pairs)


multi(
    "blip-2",
    "BLIP-2 (OPT)",
    (BLIP2_KIND, "Blip2Config"),
    BLIP2,
    (llama_reader, processor("BlipImageProcessor"), joint_files("Blip2Processor", num_query_tokens=4)),
    (
        vision_side(tower(looked_at, part("vision_model"), *BLIP_EYES, kind=BLIP2_KIND)),
        Side(
            "qformer",
            "image",
            tower(looked_at, features("get_image_features"), "qformer.encoder.layer", kind=BLIP2_KIND),
            None,
        ),
        projector_side("language_projection", BLIP2_KIND),
        text_side(language("language_model.model.decoder", "layers", "final_layer_norm", BLIP2_KIND)),
        joint("language_model.model.decoder.layers", "language_model.model.decoder.final_layer_norm", BLIP2_KIND),
    ),
    fast=True,
)
multi(
    "blip-2-t5",
    "BLIP-2 (Flan-T5: the encoder reads)",
    (BLIP2_KIND, "Blip2Config"),
    BLIP2
    | {
        "text_config": IDS
        | {
            "model_type": "t5",
            "d_model": 16,
            "d_kv": 8,
            "d_ff": 24,
            "num_layers": 3,
            "num_heads": 2,
            "decoder_start_token_id": 0,
        }
    },
    (
        lambda folder: reader("$A </s>").save_pretrained(folder),
        processor("BlipImageProcessor"),
        joint_files("Blip2Processor", num_query_tokens=4),
    ),
    (
        vision_side(tower(looked_at, part("vision_model"), *BLIP_EYES, kind=BLIP2_KIND)),
        text_side(language("language_model.encoder", "block", "final_layer_norm", BLIP2_KIND)),
    ),
)

# ------------------------------------------------------------------------------------------------- LLaVA

LLAMA = TEXT | {"model_type": "llama", "num_key_value_heads": 1, "max_position_embeddings": 128}
CLIP_EYES = EYES | {"model_type": "clip_vision_model", "projection_dim": 12}
CHAT = (
    "{% for message in messages %}USER: {% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %} </s> {% endfor %}"
)


def chat(template: str) -> Callable[[Path], Any]:
    """Writes a chat template."""
    return lambda folder: (Path(folder) / "chat_template.jinja").write_text(template)


LLAVA = {"vision_config": CLIP_EYES, "text_config": LLAMA, "image_token_index": IMAGE}
LLAVA_PROCESSOR = {
    "patch_size": 8,
    "vision_feature_select_strategy": "default",
    "num_additional_image_tokens": 1,
    "image_token": "<image>",
}
multi(
    "llava",
    "LLaVA",
    ("LlavaForConditionalGeneration", "LlavaConfig"),
    LLAVA,
    (
        long_reader,
        processor("CLIPImageProcessor", **CROP),
        joint_files("LlavaProcessor", **LLAVA_PROCESSOR),
        chat(CHAT),
    ),
    (
        vision_side(tower(looked_at, features("get_image_features"), "vision_tower.encoder.layers")),
        projector_side("multi_modal_projector"),
        text_side(language("language_model", "layers", "norm")),
        joint("language_model.layers", "language_model.norm"),
    ),
    fast=True,
)
multi(
    "llava-next",
    "LLaVA-NeXT (an image is several tiles)",
    ("LlavaNextForConditionalGeneration", "LlavaNextConfig"),
    LLAVA | {"image_grid_pinpoints": [[32, 64], [64, 32], [64, 64]]},
    (
        long_reader,
        processor(
            "LlavaNextImageProcessor",
            image_grid_pinpoints=[[32, 64], [64, 32], [64, 64]],
            size={"shortest_edge": 32},
            crop_size={"height": 32, "width": 32},
            do_center_crop=True,
            do_pad=True,
        ),
        joint_files("LlavaNextProcessor", **LLAVA_PROCESSOR),
        chat(CHAT),
    ),
    (
        vision_side(tower(looked_at, features("get_image_features"), "vision_tower.encoder.layers"), None),
        projector_side("multi_modal_projector"),
        text_side(language("language_model", "layers", "norm")),
        joint("language_model.layers", "language_model.norm"),
    ),
)

# ------------------------------------------------------------------------------------------------- PaliGemma

SIGLIP_EYES = EYES | {"model_type": "siglip_vision_model", "projection_dim": 16, "vision_use_head": False}
multi(
    "paligemma",
    "PaliGemma",
    ("PaliGemmaForConditionalGeneration", "PaliGemmaConfig"),
    {
        "vision_config": SIGLIP_EYES,
        "text_config": TEXT | {"model_type": "gemma", "num_key_value_heads": 1, "head_dim": 8},
        "image_token_index": IMAGE,
        "projection_dim": 16,
        "hidden_size": 16,
    },
    (
        llama_reader,
        processor("SiglipImageProcessor", image_seq_length=16),
        joint_files("PaliGemmaProcessor"),
    ),
    (
        vision_side(
            tower(
                looked_at,
                features("get_image_features"),
                "vision_tower.encoder.layers",
                "vision_tower.post_layernorm",
            ),
            0,
        ),
        projector_side("multi_modal_projector"),
        text_side(language("language_model", "layers", "norm")),
        joint("language_model.layers", "language_model.norm"),
    ),
)

# ------------------------------------------------------------------------------------------------- Qwen-VL

QWEN_TEXT = TEXT | {
    "num_key_value_heads": 1,
    "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4},
}
QWEN_CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)
QWEN_SEES = {
    "size": {"shortest_edge": 256, "longest_edge": 4096},
    "patch_size": 8,
    "merge_size": 2,
    "temporal_patch_size": 2,
}


def qwen_together(folder: str, item: Any) -> dict[str, Any]:
    """An image and a text for Qwen-VL, by its tokenizer and image processor (its whole processor needs torchvision)."""
    import torch
    from transformers import AutoTokenizer

    seen = looked_at(folder, item[0])
    n = int(seen["image_grid_thw"].prod()) // 4
    text = f"<|vision_start|>{'<|image_pad|>' * n}<|vision_end|>{item[1]}"
    encoded = dict(AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt"))
    config = model_of(folder).config
    kinds = (encoded["input_ids"] == config.image_token_id).to(torch.int)
    return encoded | seen | {"mm_token_type_ids": kinds}


def qwen_reader(folder: Path) -> None:
    """Save a tokenizer of the class that AutoTokenizer insists on for Qwen; its tokens are letters."""
    from transformers import Qwen2Tokenizer

    letters = dict.fromkeys("".join(WORDS[7:]))
    vocab = {c: i for i, c in enumerate(["<|endoftext|>", "Ġ", *letters])}
    made = Qwen2Tokenizer(vocab=vocab, merges=[], model_max_length=64)
    made.add_special_tokens({"additional_special_tokens": EXTRA[3:7]})
    made.save_pretrained(folder)


def _qwen(
    name: str, architecture: str, kind: str, vision: dict[str, Any], files: Sequence[Callable[[Path], Any]]
) -> None:
    letters = len(dict.fromkeys("".join(WORDS[7:])))
    pads = {"image_token_id": letters + 4, "video_token_id": letters + 5}  # after two marks and two special tokens
    multi(
        name,
        architecture,
        (f"{kind}ForConditionalGeneration", f"{kind}Config"),
        {"text_config": QWEN_TEXT, "vision_config": vision} | pads,
        files,
        (
            vision_side(tower(looked_at, features("get_image_features"), "visual.blocks"), 0),
            projector_side("visual.merger"),
            text_side(language("language_model", "layers", "norm")),
            joint("language_model.layers", "language_model.norm", see=qwen_together),
        ),
    )


QWEN_FILES = (qwen_reader, processor("Qwen2VLImageProcessor", **QWEN_SEES), chat(QWEN_CHAT))
_qwen(
    "qwen2-vl",
    "Qwen2-VL",
    "Qwen2VL",
    {
        "depth": 3,
        "embed_dim": 16,
        "hidden_size": 16,
        "num_heads": 2,
        "mlp_ratio": 2,
        "patch_size": 8,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    },
    QWEN_FILES,
)
_qwen(
    "qwen2.5-vl",
    "Qwen2.5-VL (blocks that look through windows)",
    "Qwen2_5_VL",
    {
        "depth": 3,
        "hidden_size": 16,
        "intermediate_size": 24,
        "out_hidden_size": 16,
        "num_heads": 2,
        "patch_size": 8,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 32,
        "fullatt_block_indexes": [1],
    },
    QWEN_FILES,
)
