"""More families of language models that see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._image_and_text import (
    DIMS,
    EYES,
    IDS,
    IMAGE,
    TEXT,
    features,
    language,
    llama_reader,
    long_reader,
    looked_at,
    multi,
    part,
    pil,
    processor,
    projector_side,
    read,
    roberta_reader,
    text_side,
    tower,
    vision_side,
    whole,
)
from .multimodal import BLIP_EYES, CROP
from .vision_language import BLIP2, LLAMA, SIGLIP_EYES, chat, joint, joint_files

# ------------------------------------------------------------------------------------------------- Idefics

IDEFICS_KIND = "IdeficsForVisionText2Text"
IDEFICS_EYES = {
    "embed_dim": 16,
    "image_size": 32,
    "patch_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}


def _idefics_reads(folder: str, item: Any) -> dict[str, Any]:
    """A text alone, as Idefics' processor gives it: a black image to which no token attends."""
    import torch

    inputs = read(folder, item)
    shape = inputs["input_ids"].shape
    return inputs | {
        "pixel_values": torch.zeros(1, 1, 3, 32, 32),
        "image_attention_mask": torch.zeros(*shape, 1, dtype=torch.bool),
    }


def _idefics_sees(folder: str, item: Any) -> dict[str, Any]:
    """Pixels of one image: the processor gives them as they are, without a name."""
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    return {"pixel_values": processor(images=pil(item), return_tensors="pt")}


multi(
    "idefics",
    "Idefics 1 (Flamingo: gated cross-attention)",
    (IDEFICS_KIND, "IdeficsConfig"),
    TEXT
    | {
        "additional_vocab_size": 0,
        "cross_layer_interval": 1,
        "use_resampler": True,
        "vision_config": IDEFICS_EYES,
        "perceiver_config": {
            "use_resampler": True,
            "resampler_n_latents": 4,
            "resampler_depth": 2,
            "resampler_n_heads": 2,
            "resampler_head_dim": 8,
        },
    },
    (llama_reader, processor("IdeficsImageProcessor", image_size=32)),
    (
        vision_side(tower(_idefics_sees, part("vision_model"), "vision_model.encoder.layers")),
        text_side(tower(_idefics_reads, whole, "layers", "norm")),
    ),
)


def _idefics_patches(every: bool) -> Callable[[Any, dict[str, Any]], np.ndarray]:
    """Patches that hold the image: Idefics 2 wants all of their pixels, Idefics 3 any."""

    def held(model: Any, inputs: dict[str, Any]) -> np.ndarray:
        size = model.config.vision_config.patch_size
        mask = inputs["pixel_attention_mask"][0].bool()
        cells = mask.unfold(1, size, size).unfold(2, size, size)
        return (cells.all(-1).all(-1) if every else cells.any(-1).any(-1)).flatten().numpy()

    return held


def _idefics(
    name: str, architecture: str, kind: str, sizes: dict[str, Any], files: Sequence[Callable[[Path], Any]], every: bool
) -> None:
    multi(
        name,
        architecture,
        (f"{kind}ForConditionalGeneration", f"{kind}Config"),
        sizes,
        files,
        (
            vision_side(
                tower(
                    looked_at,
                    features("get_image_features"),
                    "vision_model.encoder.layers",
                    "vision_model.post_layernorm",
                    real=_idefics_patches(every),
                ),
                0,
            ),
            projector_side("connector"),
            text_side(language("text_model", "layers", "norm")),
            joint("text_model.layers", "text_model.norm"),
        ),
    )


MISTRAL = TEXT | {"model_type": "mistral", "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 128}
IDEFICS_CHAT = (
    "{% for message in messages %}USER: {% for part in message['content'] %}{% if part['type'] == 'image' %}<image>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<end_of_utterance>{% endfor %}"
)
_idefics(
    "idefics2",
    "Idefics 2 (an image is five crops)",
    "Idefics2",
    {
        "vision_config": EYES,
        "text_config": MISTRAL,
        "perceiver_config": {
            "hidden_size": 16,
            "resampler_n_latents": 4,
            "resampler_depth": 2,
            "resampler_n_heads": 2,
            "resampler_head_dim": 8,
            "num_key_value_heads": 1,
        },
        "image_token_id": IMAGE,
    },
    (
        long_reader,
        processor(
            "Idefics2ImageProcessor",
            do_image_splitting=True,
            do_pad=True,
            size={"shortest_edge": 16, "longest_edge": 32},
        ),
        joint_files("Idefics2Processor", image_seq_len=4),
        chat(IDEFICS_CHAT),
    ),
    every=True,
)
_idefics(
    "idefics3",
    "Idefics 3 (tiles and the whole image)",
    "Idefics3",
    {
        "vision_config": EYES,
        "text_config": LLAMA,
        "image_token_id": IMAGE,
        "scale_factor": 2,
    },
    (
        long_reader,
        processor(
            "Idefics3ImageProcessor",
            do_image_splitting=True,
            do_pad=True,
            size={"longest_edge": 64},
            max_image_size={"longest_edge": 32},
        ),
        joint_files("Idefics3Processor", image_seq_len=4),
        chat(IDEFICS_CHAT),
    ),
    every=False,
)

# ------------------------------------------------------------------------------------------------- Kosmos-2

KOSMOS_KIND = "Kosmos2ForConditionalGeneration"
multi(
    "kosmos-2",
    "Kosmos-2",
    (KOSMOS_KIND, "Kosmos2Config"),
    {
        "text_config": IDS
        | {
            "embed_dim": 16,
            "layers": 3,
            "ffn_dim": 24,
            "attention_heads": 2,
            "max_position_embeddings": 64,
        },
        "vision_config": EYES,
        "latent_query_num": 4,
    },
    (roberta_reader, processor("CLIPImageProcessor", **CROP)),
    (
        vision_side(
            tower(
                looked_at,
                features("get_image_features"),
                "vision_model.model.encoder.layers",
                "vision_model.model.post_layernorm",
            ),
            1,
            "final_norm",
        ),
        projector_side("image_to_text_projection"),
        text_side(language("text_model.model", "layers", "layer_norm")),
    ),
)


# ------------------------------------------------------------------------------------------------- others

multi(
    "gemma-3",
    "Gemma 3 (with eyes)",
    ("Gemma3ForConditionalGeneration", "Gemma3Config"),
    {
        "vision_config": SIGLIP_EYES,
        "text_config": TEXT
        | {
            "num_key_value_heads": 1,
            "head_dim": 8,
            "query_pre_attn_scalar": 8,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        },
        "mm_tokens_per_image": 4,
        "image_token_index": IMAGE,
        "boi_token_index": 4,
        "eoi_token_index": 5,
    },
    (llama_reader, processor("Gemma3ImageProcessor", do_pan_and_scan=False)),
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
    ),
)
INSTRUCT_KIND = "InstructBlipForConditionalGeneration"
multi(
    "instructblip",
    "InstructBLIP",
    (INSTRUCT_KIND, "InstructBlipConfig"),
    BLIP2,
    (llama_reader, processor("BlipImageProcessor")),
    (
        vision_side(tower(looked_at, part("vision_model"), *BLIP_EYES, kind=INSTRUCT_KIND)),
        text_side(language("language_model.model.decoder", "layers", "final_layer_norm", INSTRUCT_KIND)),
    ),
)
multi(
    "internvl",
    "InternVL",
    ("InternVLForConditionalGeneration", "InternVLConfig"),
    {
        "vision_config": DIMS | {"image_size": [32, 32], "patch_size": [8, 8], "norm_type": "layer_norm"},
        "text_config": LLAMA,
        "image_token_id": IMAGE,
    },
    (llama_reader, processor("GotOcr2ImageProcessor", crop_to_patches=False)),
    (
        vision_side(tower(looked_at, features("get_image_features"), "vision_tower.encoder.layer")),
        projector_side("multi_modal_projector"),
        text_side(language("language_model", "layers", "norm")),
    ),
)
