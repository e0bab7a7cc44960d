"""Small networks, exported by both of torch's exporters, and what their modules give by hooks."""

from __future__ import annotations

import contextlib
import io
import warnings

import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 24), nn.GELU(), nn.Linear(24, width))

    def forward(self, x):
        h = self.norm1(x)
        x = x + self.attn(h, h, h, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """A vision transformer with 16 tokens of 16 features behind a class token."""

    embedding, block_names = "patch", ("blocks.0", "blocks.1")

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 8, 8)
        self.cls = nn.Parameter(torch.randn(1, 1, 16))
        self.blocks = nn.ModuleList(Attention(16) for _ in range(2))
        self.norm = nn.LayerNorm(16)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 0]


class Basic(nn.Module):
    def __init__(self, before, after, stride=1):
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1)
        self.down = nn.Conv2d(before, after, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        return torch.relu(self.down(x) + self.conv2(torch.relu(self.norm(self.conv1(x)))))


class Residual(nn.Module):
    """Maps whose channels are as many as their rows and columns at the last stage."""

    block_names = ("layer1.0", "layer1.1", "layer2.0", "layer2.1")

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        self.layer1 = nn.Sequential(Basic(16, 16), Basic(16, 16))
        self.layer2 = nn.Sequential(Basic(16, 8, 2), Basic(8, 8))

    def forward(self, x):
        return self.layer2(self.layer1(self.stem(x))).mean((2, 3))


class Next(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, 1, 3, groups=width)
        self.norm, self.pw1, self.pw2 = nn.LayerNorm(width), nn.Linear(width, 32), nn.Linear(32, width)

    def forward(self, x):
        h = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        return x + self.pw2(nn.functional.gelu(self.pw1(h))).permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """Channels first between the blocks and last inside them, 8 × 8 × 8 values, so that no size tells."""

    block_names = ("stages.0.0", "stages.0.1", "stages.1.0", "stages.1.1")

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, 4)
        self.stages = nn.ModuleList(nn.Sequential(Next(8), Next(8)) for _ in range(2))

    def forward(self, x):
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return x.mean((2, 3))


class TokensFirst(nn.Module):
    """(t, b, d), as sequence models once were written."""

    block_names = ("layers.0", "layers.1")

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 8, 8)
        made = (nn.TransformerEncoderLayer(16, 2, 24, dropout=0.0, batch_first=False) for _ in range(2))
        self.layers = nn.ModuleList(made)

    def forward(self, x):
        x = self.patch(x).flatten(2).permute(2, 0, 1)
        for layer in self.layers:
            x = layer(x)
        return x.mean(0)


class Wave(nn.Module):
    """(b, c, t) with group norm, which exporters write as reshapes around an instance norm."""

    block_names = ("blocks.0", "blocks.1")

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv1d(1, 8, 10, 5)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv1d(8, 8, 3, 1, 1), nn.GroupNorm(2, 8), nn.GELU()) for _ in range(2)
        )

    def forward(self, x):
        x = self.stem(x[:, None])
        for block in self.blocks:
            x = block(x)
        return x.mean(2)


IMAGES = (Transformer, Residual, ConvNext, TokensFirst)


def make(kind, seed=0):
    torch.manual_seed(seed)
    network = kind().eval()
    for p in network.parameters():
        if p.ndim == 1:
            nn.init.normal_(p, 1.0, 0.3)  # all unlike, so that an exporter merges none
    return network


def export(network, example, path, *, dynamo, name="pixel_values", axes=None, **options):
    """Write a network as ONNX; the batch is dynamic unless `axes` says otherwise."""
    axes = {0: "batch"} if axes is None else axes
    if dynamo:
        dims = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
        how = {"dynamo": True, "dynamic_shapes": (dims,), "verbose": False}
    else:
        how = {"dynamo": False, "dynamic_axes": {name: axes}}
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (example,), str(path), input_names=[name], **how, **options)
    return path


def by_hooks(network, x, names):
    """What modules give for inputs."""
    seen = {}
    handles = [
        network.get_submodule(n).register_forward_hook(lambda _m, _a, out, n=n: seen.update({n: out.detach()}))
        for n in names
    ]
    with torch.no_grad():
        network(x)
    for handle in handles:
        handle.remove()
    return {n: seen[n].numpy() for n in names}
