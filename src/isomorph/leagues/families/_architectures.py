"""Small networks for a family: blocks from input to output, each of which is a layer of the family.

Inputs are (b, channels, places...): pictures (b, channels, rows, columns) or sequences (b, channels, places). Networks
that read step by step take columns for time, and all that stands in a column for what is read there.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ._recipes import CONVOLUTIONAL, Recipe

FEATURES = 64
"""Units of the last layer, whatever the architecture."""
_HEADS = 4


def built(torch: Any, recipe: Recipe, shape: Sequence[int], n_classes: int) -> tuple[Any, Any]:
    """The layers of a network with random weights, and its head.

    Args:
        torch: The torch module.
        recipe: Says architecture and width.
        shape: Of one item: channels, then places.
        n_classes: Outputs of the head.
    """
    make = {CONVOLUTIONAL: _convolutional, "recurrent": _recurrent, "attention": _attention}[recipe.architecture]
    return torch.nn.ModuleDict(make(torch, shape, recipe.width)), torch.nn.Linear(FEATURES, n_classes)


def _convolutional(torch: Any, shape: Sequence[int], width: int) -> dict[str, Any]:
    """Four convolutions of three places, halved before the third and after the fourth, and a dense layer."""
    nn, (channels, *places) = torch.nn, shape
    layer, pool = (nn.Conv1d, nn.MaxPool1d) if len(places) == 1 else (nn.Conv2d, nn.MaxPool2d)

    def conv(a: int, b: int, *before: Any) -> Any:
        return nn.Sequential(*before, layer(a, b, 3, padding=1), nn.ReLU())

    return {
        "conv_1": conv(channels, width),
        "conv_2": conv(width, width),
        "conv_3": conv(width, 2 * width, pool(2)),
        "conv_4": conv(2 * width, 2 * width),
        "dense": nn.Sequential(
            pool(2), nn.Flatten(), nn.Linear(2 * width * prod(p // 2 // 2 for p in places), FEATURES), nn.ReLU()
        ),
    }


def _recurrent(torch: Any, shape: Sequence[int], width: int) -> dict[str, Any]:
    """Two layers of gated recurrent units, and a dense layer on the last step."""
    nn: Any = torch.nn
    module: Any = nn.Module

    class Steps(module):  # type: ignore[misc]  # torch comes in as an argument, untyped
        """(b, channels, t) -> (b, units, t)."""

        def __init__(self, channels: int) -> None:
            super().__init__()
            self.units = nn.GRU(channels, width, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.units(x.flatten(1, -2).transpose(1, 2))[0].transpose(1, 2)

    class Last(module):  # type: ignore[misc]  # torch comes in as an argument, untyped
        """(b, units, t) -> (b, units)."""

        def forward(self, x: Any) -> Any:
            return x[..., -1]

    return {
        "recurrent_1": Steps(prod(shape[:-1])),
        "recurrent_2": Steps(width),
        "dense": nn.Sequential(Last(), nn.Linear(width, FEATURES), nn.ReLU()),
    }


def _attention(torch: Any, shape: Sequence[int], width: int) -> dict[str, Any]:
    """Two layers of self-attention over steps with learned places, and a dense layer on their mean."""
    nn: Any = torch.nn
    module: Any = nn.Module

    class Placed(module):  # type: ignore[misc]  # torch comes in as an argument, untyped
        """(b, channels, t) -> (b, t, units): what stands at a step, and where that is."""

        def __init__(self) -> None:
            super().__init__()
            self.inward = nn.Linear(prod(shape[:-1]), width)
            self.places = nn.Parameter(0.1 * torch.randn(shape[-1], width))

        def forward(self, x: Any) -> Any:
            return self.inward(x.flatten(1, -2).transpose(1, 2)) + self.places

    class Attended(module):  # type: ignore[misc]  # torch comes in as an argument, untyped
        """(b, units, t) -> (b, units, t)."""

        def __init__(self, first: Any = None) -> None:
            super().__init__()
            self.first = first
            self.layer = nn.TransformerEncoderLayer(width, _HEADS, 2 * width, dropout=0.0, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.layer(x.transpose(1, 2) if self.first is None else self.first(x)).transpose(1, 2)

    class Mean(module):  # type: ignore[misc]  # torch comes in as an argument, untyped
        """(b, units, t) -> (b, units)."""

        def forward(self, x: Any) -> Any:
            return x.mean(dim=-1)

    return {
        "attention_1": Attended(Placed()),
        "attention_2": Attended(),
        "dense": nn.Sequential(Mean(), nn.Linear(width, FEATURES), nn.ReLU()),
    }
