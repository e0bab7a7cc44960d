"""Makes timm and open_clip importable beside the CPU build of torch, whose torchvision lacks two compiled operators."""

import functools
import sys
from pathlib import Path

import pytest


@functools.cache
def _torchvision():
    """Torchvision's Python parts; the library object must stay alive, so it is what is returned."""
    import torch
    import transformers

    transformers.utils.is_torchvision_available()  # asked before it is on the path: transformers goes without it
    try:
        import torchvision
    except (ImportError, RuntimeError):
        beside = Path(sys.prefix) / "torchvision"
        if not (beside / "torchvision").is_dir():
            pytest.skip(f"torchvision is not installed, neither beside torch nor in {beside.name}/ of the environment")
        sys.path.append(str(beside))
    else:
        return torchvision
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return operators


def import_library(name):
    """A library that needs torchvision, or a skip with the reason."""
    pytest.importorskip("torch", reason="torch is not installed")
    _torchvision()
    return pytest.importorskip(name, reason=f"{name} is not installed")


def perturb(model, seed=7, scale=0.1):
    """Move all weights and running statistics: initial biases and norms are trivial and would hide errors."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.add_(0.3 * torch.rand(buffer.shape, generator=generator))
    return model.eval()


def far(a, b):
    """Relative distance of two arrays."""
    import numpy as np

    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30))
