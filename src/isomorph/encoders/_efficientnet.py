"""EfficientNet-Lite and its ancestor MobileNetV2: inverted residual blocks without squeeze-and-excitation, with ReLU6.

EfficientNet-Lite: Tan & Le 2019; Liu 2020, TF-TPU models. MobileNetV2: Sandler et al. 2018. Convolutions whose weights
were trained in TensorFlow pad as its ``SAME`` does. The classes' path is part of every identity: they stay here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ._torch import import_torch

# repeats, kernel, stride, expansion, output channels of width 1.0
_EFFICIENTNET = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
                 (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))  # fmt: skip  # Table 1 of Tan & Le 2019
_MOBILENET = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (3, 3, 2, 6, 32), (4, 3, 2, 6, 64), (3, 3, 1, 6, 96),
              (3, 3, 2, 6, 160), (1, 3, 1, 6, 320))  # fmt: skip  # Table 2 of Sandler et al. 2018
_HEAD = 1280


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

    def repeats(stage: int, count: int) -> int:  # the lite family fixes the depth of the first and last stage
        return count if stage in (0, len(_EFFICIENTNET) - 1) else math.ceil(count * size.depth)

    stages = [
        (repeats(i, count), *rest, _round_channels(base * size.width))
        for i, (count, *rest, base) in enumerate(_EFFICIENTNET)
    ]
    network = _network(32, stages, _same_conv(), eps=1e-3)
    network.add_module("pool", torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()))
    network.add_module("classifier", torch.nn.Linear(_HEAD, 1000))
    return _initialized(network)


def mobilenet_v2(width: float, *, same: bool) -> Any:
    """The untrained network with children ``stem``, ``blocks`` and ``head``; its classifier is left out.

    Args:
        width: Factor on the numbers of channels.
        same: Whether it pads as TensorFlow does, instead of by one pixel on each side.
    """
    torch = import_torch("Building MobileNetV2")
    stages = [(*rest, _round_channels(base * width)) for *rest, base in _MOBILENET]
    conv = _same_conv() if same else _padded(torch.nn.Conv2d)
    return _initialized(_network(_round_channels(32 * width), stages, conv, eps=1e-3 if same else 1e-5))


def rename(state: Mapping[str, Any]) -> dict[str, Any]:
    """Names of the published EfficientNet checkpoints -> those of `efficientnet_lite`."""
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


def from_torchvision(state: Mapping[str, Any]) -> dict[str, Any]:
    """Names of torchvision's MobileNetV2 -> those of `mobilenet_v2`; the classifier is left out."""
    last = max(int(name.split(".")[1]) for name in state if name.startswith("features."))
    tops = {0: "stem", last: "head"}
    renamed = {}
    for name, value in state.items():
        kind, *parts = name.split(".")
        if kind != "features":
            continue
        block, leaf = int(parts[0]), parts[-1]
        if block in tops:
            renamed[f"{tops[block]}.{parts[1]}.{leaf}"] = value
            continue
        # conv.I.J of a stage with an activation, whose place in the block is 3 I + J; conv.I of the last two
        place = [int(p) for p in parts[2:-1]]
        stages = 2 if f"features.{block}.conv.1.0.weight" in state else 1
        index = 3 * place[0] + place[1] if len(place) == 2 else 3 * stages + place[0] - stages
        renamed[f"blocks.{block - 1}.{index}.{leaf}"] = value
    return renamed


def folded(network: Any, weights: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    """The state of a network from convolutions that its batch norms were folded into.

    Args:
        network: The network.
        weights: Weight and bias of every convolution, in the order in which they run.

    Raises:
        ValueError: if their number or shapes are not those of the network.
    """
    torch = import_torch("Loading MobileNetV2")
    state = {k: v.clone() for k, v in network.state_dict().items()}
    convs = [name for name, m in network.named_modules() if isinstance(m, torch.nn.Conv2d)]
    for name, (weight, bias) in zip(convs, weights, strict=True):
        stem, _, place = name.rpartition(".")
        norm = f"{stem}.{int(place) + 1}"
        state[f"{name}.weight"] = torch.from_numpy(np.array(weight))
        state[f"{norm}.bias"] = torch.from_numpy(np.array(bias))
        # the norm divides by the square root of its running variance, which is 1, plus eps
        state[f"{norm}.weight"] = torch.full_like(state[f"{norm}.bias"], (1 + network.get_submodule(norm).eps) ** 0.5)
    return state


def _network(channels: int, stages: Sequence[Sequence[int]], conv: Callable[..., Any], *, eps: float) -> Any:
    """The layers up to the head.

    Args:
        channels: Of the stem.
        stages: Repeats, kernel, stride, expansion and output channels of each.
        conv: Makes a convolution.
        eps: Of the batch norms.
    """
    nn = import_torch("Building a network").nn

    def bn(channels: int) -> Any:
        return nn.BatchNorm2d(channels, eps=eps, momentum=0.01)

    def make(channels: int, out: int, kernel: int, stride: int, groups: int = 1) -> Any:
        return conv(channels, out, kernel, stride=stride, groups=groups, bias=False)

    blocks, first = [], channels
    for repeats, kernel, stride, expansion, out in stages:
        for i in range(repeats):
            wide = channels * expansion
            layers = [make(channels, wide, 1, 1), bn(wide), nn.ReLU6()] if expansion != 1 else []
            layers += [make(wide, wide, kernel, stride if i == 0 else 1, wide), bn(wide), nn.ReLU6()]
            layers += [make(wide, out, 1, 1), bn(out)]
            skip = channels == out and (i > 0 or stride == 1)
            blocks.append(_residual()(*layers) if skip else nn.Sequential(*layers))
            channels = out
    network = nn.Sequential()
    network.add_module("stem", nn.Sequential(make(3, first, 3, 2), bn(first), nn.ReLU6()))
    network.add_module("blocks", nn.Sequential(*blocks))
    network.add_module("head", nn.Sequential(make(channels, _HEAD, 1, 1), bn(_HEAD), nn.ReLU6()))
    return network


def _round_channels(channels: float, divisor: int = 8) -> int:
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def _initialized(network: Any) -> Any:
    """Normal weights of variance 2/fan-out, as the authors' codes draw them."""
    torch = import_torch("Building a network")
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
            torch.nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
    return network


def _padded(conv: Any) -> Callable[..., Any]:
    def make(channels: int, out: int, kernel: int, **settings: Any) -> Any:
        return conv(channels, out, kernel, padding=kernel // 2, **settings)

    return make


def _same_conv() -> Any:
    torch = import_torch("Building a network")

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
    torch = import_torch("Building a network")

    class Residual(torch.nn.Sequential):  # type: ignore[misc,name-defined]  # torch has no types here
        def forward(self, x: Any) -> Any:
            return x + super().forward(x)

    return Residual
