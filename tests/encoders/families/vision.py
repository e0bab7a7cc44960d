"""Families that see in tokens: images and videos."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import Family, Rows, Side, image_processor, model_of, register, rows, watch, write

DIMS = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
VIT = DIMS | {"image_size": 32, "patch_size": 8}
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]

# ------------------------------------------------------------------------------------------------- run by hand


def pixels(folder: str, item: Any) -> Any:
    """What the checkpoint's own image processor makes of one image."""
    from PIL import Image
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    return processor(images=Image.fromarray(item), return_tensors="pt")["pixel_values"]


def resized(frames: np.ndarray, height: int, width: int, *, rescale_first: bool) -> Any:
    """Frames (n, h, w, 3) as the processors that need torchvision scale and normalise them, without torchvision.

    Its `resize` is torch's antialiased bilinear interpolation, of bytes or (DINOv3) of numbers in [0, 1].
    """
    import torch
    from torch.nn.functional import interpolate

    x = torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()
    x = x.float() / 255 if rescale_first else x
    if tuple(x.shape[2:]) != (height, width):
        x = interpolate(x, (height, width), mode="bilinear", antialias=True, align_corners=False)
    x = x if rescale_first else x.float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (x - mean) / std


def by_layout(x: Any, layout: str) -> np.ndarray:
    """Rows (t, d) of one item's activations.

    Raises:
        AssertionError: if they have other axes.
    """
    if layout == "bchw" and x.ndim == 4:
        x = x.flatten(2).transpose(1, 2)
    elif layout == "bhwc" and x.ndim == 4:
        x = x.flatten(1, 2)
    if x.ndim != 3 or len(x) != 1:
        raise AssertionError(f"activations of shape {tuple(x.shape)} are no {layout}")
    return rows(x[0])


def by_hooks(
    blocks: Callable[[Any], Sequence[Any]],
    norm: Callable[[Any], Any] | None = None,
    *,
    layout: str = "btd",
    see: Callable[[str, Any], Any] = pixels,
    kind: str = "AutoModel",
    run: Callable[[Any, Any], Any] = lambda model, x: model(x),
    **config: Any,
) -> Callable[[str, Any], Rows]:
    """A reference that reads the blocks and the norm of a model while it sees one image.

    Args:
        blocks: From the model to its blocks.
        norm: From the model to its final norm.
        layout: Axes of the activations.
        see: From the folder and the item to what the model is called with.
        kind: Class of transformers that is loaded.
        run: Calls the model.
        config: Settings of the configuration that differ from the saved ones.
    """

    def by_hand(folder: str, item: Any) -> Rows:
        model = model_of(folder, kind, **config)
        x = see(folder, item)
        seen = watch(lambda: run(model, x), list(blocks(model)), norm(model) if norm else None)
        return {layer: by_layout(value, layout) for layer, value in seen.items()}

    return by_hand


def vision(
    name: str,
    architecture: str,
    build: Callable[[Path], Any],
    by_hand: Callable[[str, Any], Rows],
    *,
    prefix: int = 0,
    optional: Sequence[str] = (),
    modality: str = "image",
    **facts: Any,
) -> None:
    """Register a family of one side."""
    side = Side("", modality, by_hand, prefix, frozenset(optional))
    register(Family(name, modality, build, (side,), architecture, **facts))


def of(kind: str, config: str, processor: str = "ViTImageProcessor", seen: dict[str, Any] | None = None, **sizes: Any):
    """A builder of one class of transformers from one configuration."""

    def build(folder: Path) -> Any:
        import transformers

        image_processor(folder, processor, **(seen or {}))
        return getattr(transformers, kind)(getattr(transformers, config)(**sizes))

    return build


CROP = {"do_center_crop": True, "crop_size": {"height": 32, "width": 32}, "size": {"shortest_edge": 36}}

# ------------------------------------------------------------------------------------------------- transformers


def stack(path: str = "layers", norm: str | None = "layernorm", **options: Any) -> Callable[[str, Any], Rows]:
    """A reference for models whose blocks and norm lie at a path."""
    return by_hooks(operator.attrgetter(path), operator.attrgetter(norm) if norm else None, **options)


vision("vit", "ViT", of("ViTForImageClassification", "ViTConfig", **VIT), stack(), prefix=1, fast=True)
vision("dino", "DINO (ViT)", of("ViTModel", "ViTConfig", seen=CROP, **VIT | {"qkv_bias": True}), stack(), prefix=1)
vision(
    "deit",
    "DeiT (class and distillation token)",
    of("DeiTForImageClassificationWithTeacher", "DeiTConfig", "DeiTImageProcessor", CROP, **VIT),
    stack(),
    prefix=2,
)
DINOV2 = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 28, "patch_size": 7}
CROP_28 = {"do_center_crop": True, "crop_size": {"height": 28, "width": 28}, "size": {"shortest_edge": 32}}
vision(
    "dinov2",
    "DINOv2",
    of("Dinov2Model", "Dinov2Config", "BitImageProcessor", CROP_28, **DINOV2),
    stack("encoder.layer"),
    prefix=1,
)
vision(
    "dinov2-registers",
    "DINOv2 with registers",
    of(
        "Dinov2WithRegistersModel",
        "Dinov2WithRegistersConfig",
        "BitImageProcessor",
        CROP_28,
        **DINOV2 | {"num_register_tokens": 4},
    ),
    stack("encoder.layer"),
    prefix=5,
    fast=True,
)
vision(
    "ijepa",
    "I-JEPA (no class token)",
    of("IJepaModel", "IJepaConfig", **VIT | {"hidden_size": 24}),
    stack(),
)
vision(
    "beit",
    "BEiT (relative positions, mean pooling)",
    of(
        "BeitForImageClassification",
        "BeitConfig",
        "BeitImageProcessor",
        CROP,
        **VIT | {"use_relative_position_bias": True, "use_mean_pooling": True},
    ),
    stack(norm=None),
    prefix=1,
)
vision(
    "beit-pretraining",
    "BEiT (masked image modelling)",
    of(
        "BeitForMaskedImageModeling",
        "BeitConfig",
        "BeitImageProcessor",
        CROP,
        **VIT | {"use_shared_relative_position_bias": True, "use_mean_pooling": False, "use_mask_token": True},
    ),
    stack(),
    prefix=1,
)
vision(
    "data2vec-vision",
    "data2vec (vision)",
    of(
        "Data2VecVisionForImageClassification",
        "Data2VecVisionConfig",
        "BeitImageProcessor",
        CROP,
        **VIT | {"use_relative_position_bias": True, "use_mean_pooling": True},
    ),
    stack("encoder.layer", None),
    prefix=1,
)
vision(
    "dpt",
    "DPT (depth estimation)",
    of(
        "DPTForDepthEstimation",
        "DPTConfig",
        "DPTImageProcessor",
        **VIT | {"num_hidden_layers": 4, "backbone_out_indices": [0, 1, 2, 3], "neck_hidden_sizes": [8, 8, 8, 8]},
        fusion_hidden_size=8,
    ),
    stack("encoder.layer"),
    prefix=1,
)


def _mae(model: Any, x: Any) -> Any:
    import torch

    patches = model.embeddings.patch_embeddings.num_patches
    return model(x, noise=torch.arange(patches, dtype=torch.float32)[None])  # none hidden, in the image's own order


vision(
    "mae",
    "MAE (nothing masked)",
    of("ViTMAEForPreTraining", "ViTMAEConfig", **VIT, decoder_num_hidden_layers=2, **{
        "decoder_hidden_size": 8, "decoder_num_attention_heads": 2, "decoder_intermediate_size": 12}),
    stack(run=_mae, kind="ViTMAEModel", mask_ratio=0.0),
    prefix=1,
    fast=True,
)  # fmt: skip

# ------------------------------------------------------------------------------------------------- DINOv3

DINOV3 = DIMS | {"image_size": 32, "patch_size": 8, "num_register_tokens": 4}


def _dinov3_pixels(folder: str, item: Any) -> Any:
    return resized(item[None], 32, 32, rescale_first=True)  # the library's processor needs torchvision


DINOV3_SEEN = {"resample": 2, "data_format": "channels_first"}
vision(
    "dinov3-vit",
    "DINOv3 (ViT)",
    of("DINOv3ViTModel", "DINOv3ViTConfig", "DINOv3ViTImageProcessorFast", DINOV3_SEEN, **DINOV3),
    stack("model.layer", "norm", see=_dinov3_pixels),
    prefix=5,
)
vision(
    "dinov3-convnext",
    "DINOv3 (ConvNeXt)",
    of(
        "DINOv3ConvNextModel",
        "DINOv3ConvNextConfig",
        "DINOv3ViTImageProcessorFast",
        DINOV3_SEEN,
        hidden_sizes=[8, 8, 12, 16],
        depths=[1, 2, 1, 1],
        layer_scale_init_value=0.5,
    ),
    stack("model.stages", None, layout="bchw", see=_dinov3_pixels),
    optional=["embedding"],  # the first stage takes the image itself
)

# ------------------------------------------------------------------------------------------------- videos


def _vjepa2(folder: Path) -> Any:
    from transformers import VJEPA2Config, VJEPA2Model

    write(
        folder,
        "video_preprocessor_config.json",
        {
            "video_processor_type": "VJEPA2VideoProcessor",
            "do_resize": True,
            "do_center_crop": True,
            "do_rescale": True,
            "do_normalize": True,
            "crop_size": 32,
            "size": {"shortest_edge": 36},
            "resample": 2,
            "rescale_factor": 1 / 255,
            "image_mean": MEAN,
            "image_std": STD,
        },
    )
    sizes = {"patch_size": 8, "crop_size": 32, "frames_per_clip": 8, "hidden_size": 24, "mlp_ratio": 2.0}
    predictor = {"pred_hidden_size": 12, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 2}
    return VJEPA2Model(
        VJEPA2Config(**sizes, **predictor, num_attention_heads=2, num_hidden_layers=3, num_pooler_layers=1)
    )


def _vjepa2_frames(folder: str, item: Any) -> Any:
    """Shorter edge to 36 pixels, the middle 32 × 32 of it: the library's own processor needs torchvision."""
    height, width = item.shape[1:3]
    short = min(height, width)
    x = resized(item, *(36 if n == short else int(36 * n / short) for n in (height, width)), rescale_first=False)
    top, left = ((n - 32) // 2 for n in x.shape[2:])
    return x[None, :, :, top : top + 32, left : left + 32]


vision(
    "vjepa2",
    "V-JEPA 2 (video)",
    _vjepa2,
    stack("encoder.layer", "encoder.layernorm", see=_vjepa2_frames),
    modality="video",
)


def _videomae_frames(folder: str, item: Any) -> Any:
    from PIL import Image
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    return processor([Image.fromarray(frame) for frame in item], return_tensors="pt")["pixel_values"]


vision(
    "videomae",
    "VideoMAE (video)",
    of(
        "VideoMAEForPreTraining",
        "VideoMAEConfig",
        "VideoMAEImageProcessor",
        CROP,
        **VIT,
        num_frames=8,
        use_mean_pooling=False,
        decoder_hidden_size=8,
        decoder_num_attention_heads=2,
        decoder_num_hidden_layers=1,
        decoder_intermediate_size=12,
    ),
    stack("encoder.layer", see=_videomae_frames),
    modality="video",
)
