"""Families that see and read with a tower each: dual encoders, and encoders over both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from . import Rows, Side, model_of, rows
from ._image_and_text import (
    DIMS,
    END,
    EYES,
    SHORT,
    TEXT,
    Run,
    bert_reader,
    both,
    clip_reader,
    features,
    looked_at,
    multi,
    pairs,
    part,
    processor,
    read,
    reads,
    roberta_reader,
    sees,
    siglip2_reader,
    siglip_reader,
    text_side,
    tower,
    vision_side,
    whole,
)

# ------------------------------------------------------------------------------------------------- dual encoders

CLIP_TEXT = SHORT | {"eos_token_id": END, "bos_token_id": 1, "pad_token_id": END}
CROP = {"do_center_crop": True, "crop_size": {"height": 32, "width": 32}, "size": {"shortest_edge": 36}}
multi(
    "clip",
    "CLIP",
    ("CLIPModel", "CLIPConfig"),
    {"text_config": CLIP_TEXT, "vision_config": EYES, "projection_dim": 12},
    (clip_reader, processor("CLIPImageProcessor", **CROP)),
    (
        vision_side(sees("vision_model.encoder.layers")),
        text_side(reads("text_model.encoder.layers", "text_model.final_layer_norm")),
    ),
    fast=True,
)
multi(
    "clip-legacy",
    "CLIP (configurations of before May 2023: the end of a text is its highest id)",
    ("CLIPModel", "CLIPConfig"),
    {"text_config": CLIP_TEXT | {"eos_token_id": 2}, "vision_config": EYES, "projection_dim": 12},
    (clip_reader, processor("CLIPImageProcessor", **CROP)),
    (text_side(reads("text_model.encoder.layers", "text_model.final_layer_norm")),),
)


def _padded_as_trained(folder: str, item: Any) -> dict[str, Any]:
    """SigLIP reads texts that are padded to its limit, and attends to the padding."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    n = len(tokenizer(item)["input_ids"])
    ids = tokenizer(item, padding="max_length", return_tensors="pt")["input_ids"]
    return {"input_ids": ids, "held": np.arange(ids.shape[1]) < n}


def _held(_model: Any, inputs: dict[str, Any]) -> np.ndarray:
    return inputs["held"]


SIGLIP_READS = reads("text_model.encoder.layers", "text_model.final_layer_norm", see=_padded_as_trained, real=_held)
multi(
    "siglip",
    "SigLIP",
    ("SiglipModel", "SiglipConfig"),
    {"text_config": SHORT | {"projection_size": 16}, "vision_config": EYES},
    (siglip_reader, processor("SiglipImageProcessor")),
    (
        vision_side(sees("vision_model.encoder.layers", "vision_model.post_layernorm"), 0),
        text_side(SIGLIP_READS),
    ),
)


def _valid_patches(_model: Any, inputs: dict[str, Any]) -> np.ndarray:
    return inputs["pixel_attention_mask"][0].bool().numpy()


def _unlike_shapes() -> list[Any]:
    """Images of unlike proportions, which become unlike numbers of patches."""
    rng = np.random.default_rng(3)
    shapes = [(30, 90), (90, 30), (64, 64), (40, 56), (24, 100), (30, 90)]
    return [np.clip(rng.normal(rng.uniform(40, 215, 3), 40, (*s, 3)), 0, 255).astype(np.uint8) for s in shapes]


multi(
    "siglip2-naflex",
    "SigLIP 2 (NaFlex)",
    ("Siglip2Model", "Siglip2Config"),
    {
        "text_config": TEXT | {"projection_size": 16, "max_position_embeddings": 40, "eos_token_id": 1},
        "vision_config": DIMS | {"patch_size": 8, "num_patches": 16},
    },
    (siglip2_reader, processor("Siglip2ImageProcessor", patch_size=8, max_num_patches=16)),
    (
        Side(
            "vision",
            "image",
            sees("vision_model.encoder.layers", "vision_model.post_layernorm", real=_valid_patches),
            0,
            items=_unlike_shapes,
        ),
        text_side(SIGLIP_READS),
    ),
    fast=True,
)
ALIGN_EYES = {
    "image_size": 32,
    "width_coefficient": 1.0,
    "depth_coefficient": 1.0,
    "depth_divisor": 8,
    "kernel_sizes": [3, 3, 5],
    "in_channels": [32, 8, 16],
    "out_channels": [8, 16, 16],
    "strides": [1, 2, 2],
    "num_block_repeats": [1, 2, 1],
    "expand_ratios": [1, 4, 4],
    "depthwise_padding": [],
    "hidden_dim": 16,
}


def _seen_statistics(_folder: Path, model: Any) -> None:
    """Statistics that differ from those of an untrained network."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)


multi(
    "align",
    "ALIGN (EfficientNet and BERT)",
    ("AlignModel", "AlignConfig"),
    {"text_config": TEXT, "vision_config": ALIGN_EYES, "projection_dim": 16},
    (bert_reader, processor("EfficientNetImageProcessor", rescale_offset=False, include_top=False)),
    (vision_side(sees("vision_model.encoder.blocks"), 0), text_side(reads("text_model.encoder.layer"))),
    settle=_seen_statistics,
)
multi(
    "chinese-clip",
    "Chinese-CLIP",
    ("ChineseCLIPModel", "ChineseCLIPConfig"),
    {"text_config": TEXT, "vision_config": EYES, "projection_dim": 12},
    (bert_reader, processor("ChineseCLIPImageProcessor", do_center_crop=False)),
    (vision_side(sees("vision_model.encoder.layers")), text_side(reads("text_model.encoder.layer"))),
)
multi(
    "altclip",
    "AltCLIP",
    ("AltCLIPModel", "AltCLIPConfig"),
    {"text_config": TEXT | {"project_dim": 16}, "vision_config": EYES, "projection_dim": 12},
    (roberta_reader, processor("CLIPImageProcessor", **CROP)),
    (
        vision_side(sees("vision_model.encoder.layers")),
        text_side(reads("text_model.roberta.encoder.layers", "text_model.pre_LN"), "final_norm"),
    ),
)
GROUPVIT_EYES = DIMS | {
    "image_size": 32,
    "patch_size": 8,
    "depths": [1, 1, 1],
    "num_group_tokens": [4, 2, 0],
    "num_output_groups": [4, 2, 0],
    "num_hidden_layers": 3,
    "assign_eps": 1.0,
}
multi(
    "groupvit",
    "GroupViT (stages that group their tokens)",
    ("GroupViTModel", "GroupViTConfig"),
    {
        "text_config": CLIP_TEXT,
        "vision_config": GROUPVIT_EYES,
        "projection_dim": 12,
        "projection_intermediate_dim": 16,
    },
    (clip_reader, processor("CLIPImageProcessor", **CROP)),
    (
        vision_side(sees("vision_model.encoder.stages", "vision_model.layernorm"), 0),
        text_side(reads("text_model.encoder.layers", "text_model.final_layer_norm")),
    ),
    settle=_seen_statistics,
)

# ------------------------------------------------------------------------------------------------- BLIP

BLIP_TEXT = TEXT | {"encoder_hidden_size": 16, "sep_token_id": 5, "projection_dim": 12}
BLIP = {
    "text_config": BLIP_TEXT,
    "vision_config": EYES | {"projection_dim": 12},
    "projection_dim": 12,
    "image_text_hidden_size": 12,
}
BLIP_FILES = (bert_reader, processor("BlipImageProcessor"))
BLIP_EYES = ("vision_model.encoder.layers", "vision_model.post_layernorm")
multi(
    "blip",
    "BLIP (both towers and their projections)",
    ("BlipModel", "BlipConfig"),
    BLIP,
    BLIP_FILES,
    (vision_side(sees(*BLIP_EYES)), text_side(reads("text_model.encoder.layer"))),
)
CAPTION, MATCH = "BlipForConditionalGeneration", "BlipForImageTextRetrieval"
multi(
    "blip-captioning",
    "BLIP (captioning)",
    (CAPTION, "BlipConfig"),
    BLIP,
    BLIP_FILES,
    (
        vision_side(tower(looked_at, part("vision_model"), *BLIP_EYES, kind=CAPTION)),
        text_side(tower(read, part("text_decoder"), "text_decoder.bert.encoder.layer", kind=CAPTION)),
    ),
)


def _first_normalized(module: str, projection: str) -> Run:
    """What image-text retrieval compares: the projection of the first token, at length one."""

    def run(model: Any, inputs: dict[str, Any]) -> Any:
        import torch

        first = part(module)(model, inputs).last_hidden_state[:, 0]
        return torch.nn.functional.normalize(getattr(model, projection)(first), dim=-1)

    return run


multi(
    "blip-itm",
    "BLIP (image-text retrieval)",
    (MATCH, "BlipConfig"),
    BLIP,
    BLIP_FILES,
    (
        vision_side(
            tower(
                looked_at,
                part("vision_model"),
                *BLIP_EYES,
                kind=MATCH,
                projection=_first_normalized("vision_model", "vision_proj"),
            ),
            1,
            "projection",
        ),
        text_side(
            tower(
                read,
                part("text_encoder"),
                "text_encoder.encoder.layer",
                kind=MATCH,
                projection=_first_normalized("text_encoder", "text_proj"),
            ),
            "projection",
        ),
    ),
)

# ------------------------------------------------------------------------------------------------- encoders over both

FLAVA_TOWER = DIMS | {"num_hidden_layers": 2}


def _flava_first(method: str) -> Run:
    """The projection of the first token, which is what FLAVA contrasts."""
    return lambda model, inputs: features(method)(model, inputs).pooler_output[:, 0]


multi(
    "flava",
    "FLAVA",
    ("FlavaModel", "FlavaConfig"),
    {
        "image_config": EYES,
        "text_config": TEXT,
        "multimodal_config": FLAVA_TOWER,
        "projection_dim": 12,
        "hidden_size": 16,
    },
    (bert_reader, processor("FlavaImageProcessor", do_center_crop=False)),
    (
        vision_side(
            tower(
                looked_at,
                features("get_image_features"),
                "image_model.encoder.layer",
                "image_model.layernorm",
                projection=_flava_first("get_image_features"),
            ),
            1,
            "projection",
        ),
        text_side(
            tower(
                read,
                features("get_text_features"),
                "text_model.encoder.layer",
                "text_model.layernorm",
                projection=_flava_first("get_text_features"),
            ),
            "projection",
        ),
        Side(
            "multimodal",
            "image+text",
            tower(both, whole, "multimodal_model.encoder.layer", "multimodal_model.layernorm"),
            None,
            items=pairs,
        ),
    ),
)
BRIDGE_DIMS = {"hidden_size": 64, "num_hidden_layers": 3}  # it gives every 64 features a head of attention
BRIDGE_TEXT = TEXT | BRIDGE_DIMS | {"type_vocab_size": 1}
BRIDGE_EYES = EYES | BRIDGE_DIMS


def _last_norm(model: Any, inputs: dict[str, Any]) -> Any:
    return model.vision_model(inputs["pixel_values"])


def _bridge_sees(folder: str, item: Any) -> Rows:
    """The vision tower of BridgeTower, which runs time first."""
    import torch

    found = tower(looked_at, _last_norm, "vision_model.visual.transformer.resblocks", time_first=True)(folder, item)
    model = model_of(folder)
    with torch.no_grad():
        every = model.vision_model(looked_at(folder, item)["pixel_values"])  # all blocks, each normalised
    return found | {"final_norm": rows(every[-1][0])}


multi(
    "bridgetower",
    "BridgeTower",
    ("BridgeTowerModel", "BridgeTowerConfig"),
    {
        "vision_config": BRIDGE_EYES,
        "text_config": BRIDGE_TEXT,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    },
    (
        roberta_reader,
        processor(
            "BridgeTowerImageProcessor",
            size={"shortest_edge": 32},
            size_divisor=8,
            do_pad=True,
            do_center_crop=True,
            crop_size={"shortest_edge": 32},
        ),
    ),
    (
        vision_side(_bridge_sees, 1, "final_norm"),
        text_side(tower(read, part("text_model"), "text_model.encoder.layer")),
        Side(
            "multimodal",
            "image+text",
            tower(both, whole, "cross_modal_text_layers"),
            None,
            items=pairs,
        ),
    ),
)
