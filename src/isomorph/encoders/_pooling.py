"""From the activations of one layer to one vector an item, for NumPy and PyTorch alike.

A layer gives tokens ``(b, t, d)``, a map ``(b, c, h, w)`` whose places are taken as its tokens, or one vector an item
``(b, d)``, which every pooling leaves as it is. The mask ``(b, t)`` is true where a token holds input; what lies in
padding, be it NaN, never reaches a pooled value.

| pooling | value |
|---|---|
| ``mean`` | mean over the tokens that hold input, class and register tokens included |
| ``mean_no_cls`` | the same without the class, distillation and register tokens that a vision network puts in front |
| ``cls`` | the first token that holds input |
| ``last`` | the last token that holds input, on either padding side |
| ``max`` | the largest value of each feature over the tokens that hold input |
| ``none`` | all tokens that hold input, one array (t, d) an item |
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError, UnknownNameError

POOLINGS = ("mean", "mean_no_cls", "cls", "last", "max", "none")


def check_pooling(pooling: str) -> str:
    """The pooling itself.

    Raises:
        UnknownNameError: if there is none of that name.
    """
    if pooling not in POOLINGS:
        raise UnknownNameError("pooling", pooling, POOLINGS)
    return pooling


def pool(x: Any, mask: Any, pooling: str, prefix: int | None = None) -> Any:
    """Pooled float32 activations of one layer, never sharing memory with `x`.

    Args:
        x: NumPy array or torch tensor (b, t, d), (b, c, h, w) or (b, d).
        mask: Boolean (b, t) of the same library, or None if every token holds input. One whose t differs from
            the layer's is an error, since it would say nothing about this layer's tokens.
        pooling: One of `POOLINGS`.
        prefix: How many class and register tokens stand in front; None if that is not known.

    Returns:
        An array (b, d), or for ``"none"`` a list of b arrays (t, d).

    Raises:
        InputError: if the pooling makes no sense for the layer's shape.
    """
    if x.ndim == 2:
        vectors = _float32(x, copy=True)
        return [v[None] for v in vectors] if pooling == "none" else vectors
    if x.ndim == 4:
        if pooling in ("cls", "last"):
            raise InputError(
                f"pooling={pooling!r} needs tokens; the layer gives maps (b, c, h, w): use 'mean' or 'max'."
            )
        x = x.reshape(x.shape[0], x.shape[1], -1).swapaxes(1, 2)
        mask, prefix = None, 0
    if x.ndim != 3:
        raise InputError(
            f"activations of shape {tuple(x.shape)} cannot be pooled; (b, t, d), (b, c, h, w) or (b, d) can."
        )
    if mask is not None and tuple(mask.shape) != tuple(x.shape[:2]):
        raise InputError(
            f"the layer gives {x.shape[1]} tokens an item but the inputs have {mask.shape[1]}: "
            "padding cannot be told apart. Choose another layer, or encode items one by one."
        )
    if pooling == "cls" and prefix == 0:
        raise InputError("pooling='cls' needs a class token; this network has none: use 'mean'.")
    if pooling == "mean_no_cls":
        if prefix is None:
            raise InputError("pooling='mean_no_cls' needs a network whose class tokens are known; use 'mean'.")
        x, mask = x[:, prefix:], None if mask is None else mask[:, prefix:]
        pooling = "mean"
    return _reduce(x, mask, pooling)


def _reduce(x: Any, mask: Any, pooling: str) -> Any:
    if pooling == "none":
        return [_float32(x[i] if mask is None else x[i][mask[i]], copy=True) for i in range(len(x))]
    if pooling in ("cls", "last"):
        return _float32(_pick(x, mask, first=pooling == "cls"), copy=True)
    if pooling == "max":
        if mask is not None:
            x = _where(mask, x, -float("inf"))
        return _float32(x.max(1) if isinstance(x, np.ndarray) else x.amax(1), copy=False)
    if mask is None or bool(mask.all()):
        return _sum(x) / x.shape[1]
    return _sum(_where(mask, x, 0.0)) / mask.sum(1)[:, None]


def _pick(x: Any, mask: Any, *, first: bool) -> Any:
    if mask is None:
        return x[:, 0 if first else -1]
    steps = mask.cumsum(1) * mask  # 1, 2, … on the tokens that hold input, 0 elsewhere
    if first:
        steps = (steps == 1) * 1
    index = steps.argmax(1)
    rows = np.arange(len(x))
    return x[rows if isinstance(x, np.ndarray) else rows.tolist(), index]


def _where(mask: Any, x: Any, other: float) -> Any:
    if isinstance(x, np.ndarray):
        return np.where(mask[..., None], x, np.asarray(other, dtype=x.dtype))
    return x.masked_fill(~mask[..., None], other)


def _sum(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return x.sum(1, dtype=np.float32)
    import torch

    return x.sum(1, dtype=torch.float32)


def _float32(x: Any, *, copy: bool) -> Any:
    if isinstance(x, np.ndarray):
        return np.array(x, dtype=np.float32) if copy else np.asarray(x, dtype=np.float32)
    import torch

    return x.to(torch.float32, copy=copy)
