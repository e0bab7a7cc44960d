"""PyTorch's ``.pt``: platonic-rep's dictionaries, thingsvision's tensors, and tensors by name; nothing is unpickled."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...errors import InputError, IsomorphError, MissingExtraError
from ..arrays import as_features
from ._read import ID_NAMES, Read

ENDINGS = (".pt", ".pth")


def _load_platonic(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("Reading a .pt file", "torch", "models") from error
    try:
        content = torch.load(os.fspath(path), map_location="cpu", weights_only=True)
        return _platonic(path, content, torch)
    except (OSError, IsomorphError):
        raise
    except Exception as error:  # whatever a damaged file makes torch trip over
        raise InputError(
            f"{path} is no file of tensors only, or is truncated or damaged; the rest is not unpickled. Save a "
            "dictionary of tensors with torch.save, or use .npz or .safetensors."
        ) from error


def _platonic(path: Path, content: Any, torch: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Layers and facts of what a `.pt` file holds.

    Raises:
        InputError: if that is not what platonic-rep saves.
    """
    feats = content.get("feats") if isinstance(content, dict) else None
    if feats is None:
        raise InputError(f"{path} has no entry 'feats', which platonic-rep's files hold.")
    if isinstance(feats, torch.Tensor):
        if feats.ndim != 3:
            raise InputError(f"{path}: 'feats' has shape {tuple(feats.shape)}; (items, layers, features) is needed.")
        feats = [feats[:, i] for i in range(feats.shape[1])]
    if not isinstance(feats, (list, tuple)) or not all(isinstance(f, torch.Tensor) for f in feats):
        raise InputError(f"{path}: 'feats' must be a tensor or a list of tensors, found {type(feats).__name__}.")
    if sum(f.numel() * f.element_size() for f in feats) > path.stat().st_size:
        # a tensor of stride 0 states any number of values and holds one
        raise InputError(f"{path}: 'feats' states more values than the file holds; save whole tensors.")
    arrays = {f"layer.{i}": as_features(f.detach(), f"{path.name}: feats[{i}]").numpy() for i, f in enumerate(feats)}
    parameters = content.get("num_params")
    return arrays, {"n_parameters": int(parameters)} if isinstance(parameters, (int, float)) else {}
