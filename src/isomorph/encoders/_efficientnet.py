"""EfficientNet-Lite: MBConv blocks without squeeze-and-excitation, with ReLU6 (Tan & Le 2019; Liu 2020, TF-TPU models).

The convolutions pad as TensorFlow's ``SAME`` does, for which the weights were trained.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from ._torch import import_torch

# repeats, kernel, stride, expansion, output channels of width 1.0; Table 1 of Tan & Le 2019
_STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
           (1, 3, 1, 6, 320))  # fmt: skip


@dataclasses.dataclass(frozen=True)
class LiteSize:
    """Width and depth multipliers and resolution of one member of the family."""

    width: float
    depth: float
    resolution: int


SIZES = {0: LiteSize(1.0, 1.0, 224), 1: LiteSize(1.0, 1.1, 240), 2: LiteSize(1.1, 1.2, 260)}


def efficientnet_lite(size: LiteSize) -> Any:
    """The untrained network with children ``stem``, ``blocks``, ``head`` and ``classifier`` (1000 classes)."""
    torch = import_torch("Building EfficientNet-Lite")
    nn = torch.nn

    def same(channels: int, out: int, kernel: int, stride: int, groups: int = 1) -> Any:
        return _same_conv()(channels, out, kernel, stride=stride, groups=groups, bias=False)

    def bn(channels: int) -> Any:
        return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)

    blocks, channels = [], 32
    for index, (repeats, kernel, stride, expansion, base) in enumerate(_STAGES):
        # the lite family fixes the depth of the first and last stage
        count = repeats if index in (0, len(_STAGES) - 1) else math.ceil(repeats * size.depth)
        out = _round_channels(base * size.width)
        for i in range(count):
            wide = channels * expansion
            layers = [same(channels, wide, 1, 1), bn(wide), nn.ReLU6()] if expansion != 1 else []
            layers += [same(wide, wide, kernel, stride if i == 0 else 1, wide), bn(wide), nn.ReLU6()]
            layers += [same(wide, out, 1, 1), bn(out)]
            skip = channels == out and (i > 0 or stride == 1)
            blocks.append(_residual()(*layers) if skip else nn.Sequential(*layers))
            channels = out
    network = nn.Sequential()
    network.add_module("stem", nn.Sequential(same(3, 32, 3, 2), bn(32), nn.ReLU6()))
    network.add_module("blocks", nn.Sequential(*blocks))
    network.add_module("head", nn.Sequential(same(channels, 1280, 1, 1), bn(1280), nn.ReLU6()))
    network.add_module("pool", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    network.add_module("classifier", nn.Linear(1280, 1000))
    _initialize(network)
    return network


def rename(state: Mapping[str, Any]) -> dict[str, Any]:
    """Names of the published checkpoints -> those of `efficientnet_lite`."""
    tops = {"_conv_stem": "stem.0", "_bn0": "stem.1", "_conv_head": "head.0", "_bn1": "head.1", "_fc": "classifier"}
    with_expansion = {"_expand_conv": 0, "_bn0": 1, "_depthwise_conv": 3, "_bn1": 4, "_project_conv": 6, "_bn2": 7}
    without = {"_depthwise_conv": 0, "_bn1": 1, "_project_conv": 3, "_bn2": 4}
    renamed = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "_blocks":
            table = with_expansion if f"_blocks.{parts[1]}._expand_conv.weight" in state else without
            renamed[f"blocks.{parts[1]}.{table[parts[2]]}.{parts[3]}"] = value
        else:
            renamed[f"{tops[parts[0]]}.{parts[1]}"] = value
    return renamed


def _round_channels(channels: float, divisor: int = 8) -> int:
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def _initialize(network: Any) -> None:
    """Normal weights of variance 2/fan-out, as the authors' code draws them."""
    torch = import_torch("Building EfficientNet-Lite")
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
            torch.nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))


def _same_conv() -> Any:
    torch = import_torch("Building EfficientNet-Lite")

    class SameConv(torch.nn.Conv2d):  # type: ignore[misc,name-defined]  # torch has no types here
        def forward(self, x: Any) -> Any:
            pads = []
            for length, kernel, stride in zip(
                reversed(x.shape[2:]), reversed(self.kernel_size), self.stride, strict=True
            ):
                total = max((math.ceil(length / stride) - 1) * stride + kernel - length, 0)
                pads += [total // 2, total - total // 2]
            return super().forward(torch.nn.functional.pad(x, pads))

    return SameConv


def _residual() -> Any:
    torch = import_torch("Building EfficientNet-Lite")

    class Residual(torch.nn.Sequential):  # type: ignore[misc,name-defined]  # torch has no types here
        def forward(self, x: Any) -> Any:
            return x + super().forward(x)

    return Residual
