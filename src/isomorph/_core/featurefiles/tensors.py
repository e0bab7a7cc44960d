"""PyTorch's ``.pt``: platonic-rep's dictionaries, thingsvision's tensors, and tensors by name; nothing is unpickled."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...errors import InputError, MissingExtraError, quoted
from ..arrays import as_features
from ._read import Read, id_column, ids_beside

ENDINGS = (".pt", ".pth")


def read(path: Path) -> Read:
    """Features of a ``.pt`` file.

    It is a dictionary with ``feats``, a tensor (n, layers, d) or a list of (n, d), as platonic-rep saves; a tensor
    (n, d) or (n, layers, d), as thingsvision saves; or a dictionary of such tensors by layer, with ids beside.

    Raises:
        InputError: if it cannot be read without unpickling, or holds no such tensors.
        OSError: if it cannot be opened.
        MissingExtraError: if torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("Reading a .pt file", "torch", "models") from error
    try:
        content = torch.load(os.fspath(path), map_location="cpu", weights_only=True)
        return _found(path, content, torch)
    except (OSError, InputError):
        raise
    except Exception as error:  # whatever a damaged file makes torch trip over
        raise InputError(
            f"{path} is no file of tensors only, or is truncated or damaged; the rest is not unpickled. Save a "
            "dictionary of tensors with torch.save, or use .npz or .safetensors."
        ) from error


def _found(path: Path, content: Any, torch: Any) -> Read:
    if isinstance(content, dict) and content.get("feats") is not None:
        return _platonic(path, content, torch)
    if isinstance(content, torch.Tensor):
        named = {path.stem: content}
    else:
        own = content.items() if isinstance(content, dict) else ()
        named = {str(k): v for k, v in own if isinstance(v, torch.Tensor) and v.ndim in (2, 3)}
    if not named:
        holds = quoted([*content][:12]) if isinstance(content, dict) else type(content).__name__
        raise InputError(
            f"{path} has no entry 'feats', which platonic-rep's files hold, and no tensors (n, d) or (n, layers, d); "
            f"it holds {holds}."
        )
    _require_whole(path, named.values(), "its tensors state")
    lists = [k for k, v in content.items() if isinstance(v, list)] if isinstance(content, dict) else []
    name = id_column(lists)
    arrays = {k: _numbers(v) for k, v in named.items()}
    return Read(arrays, content[name] if name is not None else ids_beside(path), {}, rows_alone=False)


def _numbers(tensor: Any) -> Any:
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype.itemsize == 2 and tensor.is_floating_point() else tensor).numpy()


def _require_whole(path: Path, tensors: Iterable[Any], what: str) -> None:
    if sum(f.numel() * f.element_size() for f in tensors) > path.stat().st_size:
        # a tensor of stride 0 states any number of values and holds one
        raise InputError(f"{path}: {what} more values than the file holds; save whole tensors.")


def _platonic(path: Path, content: Any, torch: Any) -> Read:
    """Layers and facts of what platonic-rep saves.

    Raises:
        InputError: if it is not that.
    """
    feats = content["feats"]
    if isinstance(feats, torch.Tensor):
        if feats.ndim != 3:
            raise InputError(f"{path}: 'feats' has shape {tuple(feats.shape)}; (items, layers, features) is needed.")
        feats = [feats[:, i] for i in range(feats.shape[1])]
    if not isinstance(feats, (list, tuple)) or not all(isinstance(f, torch.Tensor) for f in feats):
        raise InputError(f"{path}: 'feats' must be a tensor or a list of tensors, found {type(feats).__name__}.")
    _require_whole(path, feats, "'feats' states")
    arrays = {f"layer.{i}": as_features(f.detach(), f"{path.name}: feats[{i}]").numpy() for i, f in enumerate(feats)}
    parameters = content.get("num_params")
    facts = {"n_parameters": int(parameters)} if isinstance(parameters, (int, float)) else {}
    return Read(arrays, None, facts)
