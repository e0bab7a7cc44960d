"""Families that see in stages or maps: convolutions, pyramids, and the trunks of segmentation models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import image_processor, items
from .vision import VIT, by_hooks, of, pixels, resized, stack, vision

CONVNEXT = {"size": {"shortest_edge": 32}, "crop_pct": 0.875}


def batch_statistics(folder: Path, model: Any) -> None:
    """Give batch norms the statistics of the probe images, as training would have; at 0 and 1 the signal dies out."""
    import torch

    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    x = torch.cat([pixels(str(folder), item) for item in items("image")])
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    model(x)
    model.eval()
    for norm in norms:  # half of the mean stays: what hardly varies beside its mean would only blow up rounding
        norm.running_mean.mul_(0.5)
        norm.running_var.add_(norm.running_mean**2)


# ------------------------------------------------------------------------------------------------- stages and maps

vision(
    "resnet",
    "ResNet",
    of(
        "ResNetForImageClassification",
        "ResNetConfig",
        "ConvNextImageProcessor",
        CONVNEXT,
        embedding_size=8,
        hidden_sizes=[8, 16, 24],
        depths=[2, 1, 2],
        layer_type="bottleneck",
    ),
    stack("encoder.stages", None, layout="bchw"),
    settle=batch_statistics,
    fast=True,
)
vision(
    "regnet",
    "RegNet",
    of(
        "RegNetForImageClassification",
        "RegNetConfig",
        "ConvNextImageProcessor",
        CONVNEXT,
        embedding_size=8,
        hidden_sizes=[8, 16, 24],
        depths=[1, 2, 1],
        groups_width=4,
        layer_type="y",
    ),
    stack("encoder.stages", None, layout="bchw"),
    settle=batch_statistics,
)
for version in ("", "V2"):
    vision(
        f"convnext{version.lower()}",
        f"ConvNeXt {version}".strip(),
        of(
            f"ConvNext{version}ForImageClassification",
            f"ConvNext{version}Config",
            "ConvNextImageProcessor",
            CONVNEXT,
            hidden_sizes=[8, 12, 16],
            depths=[1, 2, 1],
            num_stages=3,
        ),
        stack("encoder.stages", None, layout="bchw"),
    )
for version in ("", "v2"):
    vision(
        f"swin{version}",
        f"Swin {version.upper()}".strip(),
        of(
            f"Swin{version}ForImageClassification",
            f"Swin{version}Config",
            image_size=32,
            patch_size=2,
            window_size=4,
            embed_dim=8,
            depths=[2, 2, 1],
            num_heads=[2, 2, 4],
            pretrained_window_sizes=[0, 0, 0],
        ),
        stack("encoder.layers"),
        fast=not version,
    )


def _poolformer(model: Any) -> list[Any]:
    return [layer for stage in model.encoder.block for layer in stage]  # the lists themselves are never called


vision(
    "poolformer",
    "PoolFormer",
    of(
        "PoolFormerForImageClassification",
        "PoolFormerConfig",
        "PoolFormerImageProcessor",
        {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}, "crop_pct": 0.9},
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 2, 1, 1],
        layer_scale_init_value=0.5,
    ),
    by_hooks(_poolformer, layout="bchw"),
)
PYRAMID = {
    "hidden_sizes": [8, 12, 16, 16],
    "num_attention_heads": [1, 2, 2, 2],
    "depths": [1, 2, 1, 1],
    "sr_ratios": [4, 2, 1, 1],
}
vision(
    "segformer",
    "SegFormer",
    of(
        "SegformerForImageClassification",
        "SegformerConfig",
        "SegformerImageProcessor",
        {"size": {"height": 64, "width": 64}},
        **PYRAMID,
    ),
    stack("stages", None, layout="bchw"),
    optional=["embedding"],  # the first stage takes the image itself
)
vision(
    "pvt-v2",
    "PVT v2",
    of(
        "PvtV2ForImageClassification",
        "PvtV2Config",
        "PvtImageProcessor",
        {"size": {"height": 64, "width": 64}},
        image_size=64,
        mlp_ratios=[2, 2, 2, 2],
        **PYRAMID,
    ),
    by_hooks(lambda m: m.encoder.layers, layout="bchw"),
    optional=["embedding"],
)
vision(
    "levit",
    "LeViT",
    of(
        "LevitForImageClassificationWithTeacher",
        "LevitConfig",
        "LevitImageProcessor",
        {"size": {"shortest_edge": 64}, "do_center_crop": True, "crop_size": {"height": 64, "width": 64}},
        image_size=64,
        hidden_sizes=[16, 16, 16],
        num_attention_heads=[2, 2, 2],
        depths=[1, 1, 1],
        key_dim=[4, 4, 4],
        num_labels=3,
    ),
    by_hooks(lambda m: m.encoder.stages),
    settle=batch_statistics,
)
vision(
    "hiera",
    "Hiera",
    of(
        "HieraForPreTraining",
        "HieraConfig",
        "BitImageProcessor",
        {"size": {"height": 64, "width": 64}, "do_center_crop": False},
        embed_dim=8,
        image_size=[64, 64],
        depths=[1, 2, 1],
        num_heads=[1, 2, 2],
        num_query_pool=2,
        masked_unit_size=[4, 4],
        masked_unit_attention=[True, True, False],
        decoder_hidden_size=8,
        decoder_depth=1,
        decoder_num_heads=2,
    ),
    by_hooks(lambda m: m.encoder.stages, kind="HieraModel"),
)
vision(
    "efficientnet",
    "EfficientNet",
    of(
        "EfficientNetForImageClassification",
        "EfficientNetConfig",
        "EfficientNetImageProcessor",
        {"size": {"height": 64, "width": 64}},
        image_size=64,
        width_coefficient=0.25,
        depth_coefficient=0.5,
        hidden_dim=320,
    ),
    by_hooks(lambda m: m.encoder.blocks, layout="bchw"),
    settle=batch_statistics,
)
vision(
    "mobilenet-v2",
    "MobileNetV2",
    of(
        "MobileNetV2ForImageClassification",
        "MobileNetV2Config",
        "MobileNetV2ImageProcessor",
        {"size": {"shortest_edge": 72}, "do_center_crop": True, "crop_size": {"height": 64, "width": 64}},
        image_size=64,
        depth_multiplier=0.25,
    ),
    by_hooks(lambda m: m.layer, layout="bchw"),
    settle=batch_statistics,
)

# ------------------------------------------------------------------------------------------------- segmentation

vision(
    "vitdet",
    "ViTDet",
    of("VitDetModel", "VitDetConfig", hidden_size=16, num_hidden_layers=3, num_attention_heads=2, image_size=32,
       pretrain_image_size=32, patch_size=8, window_block_indices=[0, 2], window_size=2,
       use_relative_position_embeddings=True),
    stack("encoder.layer", None, layout="bchw"),
)  # fmt: skip

SAM_HEADS = {
    "prompt_encoder_config": {"hidden_size": 8, "image_size": 64, "patch_size": 16, "mask_input_channels": 4},
    "mask_decoder_config": {"hidden_size": 8, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                            "iou_head_hidden_dim": 8},
}  # fmt: skip


def _sam(folder: Path) -> Any:
    from transformers import SamConfig, SamModel

    square = {"size": {"longest_edge": 32}, "do_pad": True, "pad_size": {"height": 32, "width": 32}}
    image_processor(folder, "SamImageProcessor", **square)
    sees = {"output_channels": 8, "window_size": 2, "global_attn_indexes": [1], "mlp_dim": 24, "num_pos_feats": 4}
    heads = SAM_HEADS | {
        "prompt_encoder_config": SAM_HEADS["prompt_encoder_config"] | {"image_size": 32, "patch_size": 8}
    }
    return SamModel(SamConfig(vision_config=VIT | sees, **heads))


vision(
    "sam",
    "SAM (vision encoder)",
    _sam,
    stack("vision_encoder.layers", None, layout="bhwc", run=lambda model, x: model.vision_encoder(x)),
    fast=True,
)


def _sam2(folder: Path) -> Any:
    from transformers import Sam2Config, Sam2Model

    image_processor(folder, "Sam2ImageProcessorFast", size={"height": 64, "width": 64}, resample=2)
    trunk = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [64, 64],
        "window_positional_embedding_background_size": [4, 4],
        "blocks_per_stage": [1, 2, 2, 1],
        "embed_dim_per_stage": [8, 16, 24, 32],
        "num_attention_heads_per_stage": [1, 2, 2, 2],
        "window_size_per_stage": [4, 2, 4, 2],
        "global_attention_blocks": [4],
    }
    sees = {
        "backbone_config": trunk,
        "backbone_channel_list": [32, 24, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 8,
    }
    return Sam2Model(Sam2Config(vision_config=sees, **SAM_HEADS))


vision(
    "sam2",
    "SAM 2 (vision encoder, Hiera)",
    _sam2,
    stack(
        "vision_encoder.backbone.blocks",
        None,
        layout="bhwc",
        see=lambda _folder, item: resized(item[None], 64, 64, rescale_first=False),
        run=lambda model, x: model.vision_encoder(x),
    ),
)
