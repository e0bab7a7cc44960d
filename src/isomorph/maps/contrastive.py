"""A pair of linear heads trained by a contrastive loss, with or without keeping each space's neighbourhoods.

The one room of maps that trains by gradients; it needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from .._core.linalg import centered_scaled
from ..errors import InputError, MissingExtraError
from ._affine import one_of, positive, whole
from ._base import Map, Matrix


class _LinearPair(Map):
    """What trained pairs of heads share: the loop, and the heads as plain matrices afterwards."""

    direct: ClassVar[bool] = False
    order_free: ClassVar[bool] = False
    dim: int
    temperature: float
    steps: int
    batch: int
    learning_rate: float
    weight_decay: float
    seed: int

    def _check(self) -> None:
        """Refuse parameters that make no sense."""
        whole(self, "dim", self.dim, most=1 << 16)
        whole(self, "steps", self.steps, most=10**6)
        whole(self, "batch", self.batch, 2)
        for parameter in ("temperature", "learning_rate"):
            positive(self, parameter, getattr(self, parameter))
        positive(self, "weight_decay", self.weight_decay, zero=True)

    def _loss(self, torch: Any) -> tuple[Callable[..., Any], list[Any]]:
        """Loss of (embedded x, embedded y, x, y), and the parameters that it learns itself."""
        raise NotImplementedError

    def _fit(self, x: Matrix, y: Matrix, factor: Any) -> None:
        self._check()
        torch = _torch(self.name)
        self.x_mean_, self.y_mean_ = x.mean(axis=0), y.mean(axis=0)
        # unit mean square, so that learning rates mean the same for every space
        sides = [torch.from_numpy(centered_scaled(side, name)).float() for side, name in ((x, "x"), (y, "y"))]
        scales = [float(np.linalg.norm(side - side.mean(axis=0)) / math.sqrt(len(side))) for side in (x, y)]
        generator = torch.Generator().manual_seed(self.seed)
        heads = [
            (torch.randn(side.shape[1], self.dim, generator=generator) / math.sqrt(self.dim)).requires_grad_()
            for side in sides
        ]
        with torch.enable_grad():
            self.losses_ = self._train(torch, sides, heads, generator)
        self.x_projection_, self.y_projection_ = (
            head.detach().double().numpy() / scale for head, scale in zip(heads, scales, strict=True)
        )
        if not (np.isfinite(self.x_projection_).all() and np.isfinite(self.y_projection_).all()):
            raise InputError(f"{self.spec}: training did not stay finite; lower learning_rate.")

    def _train(self, torch: Any, sides: list[Any], heads: list[Any], generator: Any) -> Matrix:
        loss_of, learnt = self._loss(torch)
        optimizer = torch.optim.AdamW(
            [
                {"params": heads, "weight_decay": self.weight_decay},
                {"params": learnt, "weight_decay": 0.0},
            ],
            lr=self.learning_rate,
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        n, losses = len(sides[0]), []
        order = torch.empty(0, dtype=torch.long)
        for _ in range(self.steps):
            if len(order) < min(self.batch, n):
                order = torch.randperm(n, generator=generator)
            rows, order = order[: self.batch], order[self.batch :]
            x, y = (side[rows] for side in sides)
            a, b = (torch.nn.functional.normalize(side @ head, dim=1) for side, head in zip((x, y), heads, strict=True))
            loss = loss_of(a, b, x, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        return np.array(losses)

    def embed_x(self, x: Any) -> Matrix:
        projected: Matrix = (self._rows(x) - self.x_mean_) @ self.x_projection_
        return projected

    def embed_y(self, y: Any) -> Matrix:
        projected: Matrix = (self._target_rows(y) - self.y_mean_) @ self.y_projection_
        return projected


class Contrastive(_LinearPair):
    """One linear head a side, trained so that paired items are nearer, by cosine, than all others of the batch.

    Args:
        dim: Width of the shared space.
        loss: ``infonce``, symmetric cross-entropy over the batch at a fixed temperature; or ``sigmoid``, a yes or no
            for every pair of the batch, with a learnt temperature and bias.
        temperature: Temperature of the cosines (where the sigmoid's starts).
        steps: Steps of AdamW under a cosine schedule.
        batch: Pairs in a step; all of them if there are fewer.
        learning_rate: Learning rate.
        weight_decay: Decoupled weight decay of the heads.
        seed: Seed of the first heads and of the batches; on one machine the same seed gives the same map.

    Attributes:
        losses_: Loss at every step.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = 2 * x @ np.linalg.qr(noise[:6])[0] + 1  # rotated, scaled and moved
        >>> fitted = iso.make_map("contrastive(dim=6, steps=50)").fit(x[:80], y[:80])
        >>> a, b = fitted.embed_x(x[80:]), fitted.embed_y(y[80:])  # both sides in one space
        >>> cosines = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
        >>> round(float(np.mean(cosines.argmax(axis=1) == np.arange(20))), 2)  # found among 20 held out; chance 0.05
        0.65
    """

    name: ClassVar[str] = "contrastive"
    quick: ClassVar[Mapping[str, Any]] = {"dim": 4, "steps": 10, "batch": 16, "learning_rate": 0.1}
    reference: ClassVar[str] = "InfoNCE: Radford et al. 2021; sigmoid: Zhai et al. 2023; on frozen features: SAIL 2025."

    def __init__(
        self,
        dim: int = 128,
        loss: str = "infonce",
        temperature: float = 0.07,
        steps: int = 300,
        batch: int = 1024,
        learning_rate: float = 0.01,
        weight_decay: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.dim = dim
        self.loss = loss
        self.temperature = temperature
        self.steps = steps
        self.batch = batch
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.seed = seed

    def _check(self) -> None:
        super()._check()
        one_of(self, "loss", self.loss, ("infonce", "sigmoid"))

    def _loss(self, torch: Any) -> tuple[Callable[..., Any], list[Any]]:
        if self.loss == "infonce":
            return lambda a, b, x, y: _infonce(torch, a, b, self.temperature), []
        sharpness = torch.tensor(-math.log(self.temperature), requires_grad=True)
        bias = torch.tensor(-10.0, requires_grad=True)

        def sigmoid(a: Any, b: Any, x: Any, y: Any) -> Any:
            same = 2 * torch.eye(len(a)) - 1
            logits = sharpness.exp() * (a @ b.T) + bias
            return -torch.nn.functional.logsigmoid(same * logits).sum(dim=1).mean()

        return sigmoid, [sharpness, bias]


class Structure(_LinearPair):
    """A contrastive linear pair that also keeps each space's own neighbourhoods: for few pairs.

    To the symmetric InfoNCE loss it adds, for each side, the Jensen-Shannon divergence between the similarities of the
    batch (softmax over rows of cosines, centred) before and after the head, averaged over walks of 1 to `levels` steps
    with weights 1/level.

    Args:
        dim: Width of the shared space.
        strength: Weight of the divergence.
        levels: Longest walk over neighbours.
        temperature: Temperature of all cosines.
        steps: Steps of AdamW under a cosine schedule.
        batch: Pairs in a step; all of them if there are fewer.
        learning_rate: Learning rate.
        weight_decay: Decoupled weight decay of the heads.
        seed: Seed of the first heads and of the batches.

    Attributes:
        losses_: Loss at every step.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 6))
        >>> y = 2 * x @ np.linalg.qr(noise[:6])[0] + 1  # rotated, scaled and moved
        >>> fitted = iso.make_map("structure(dim=6, steps=50)").fit(x[:80], y[:80])
        >>> a, b = fitted.embed_x(x[80:]), fitted.embed_y(y[80:])  # both sides in one space
        >>> cosines = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
        >>> round(float(np.mean(cosines.argmax(axis=1) == np.arange(20))), 2)  # found among 20 held out; chance 0.05
        0.65
    """

    name: ClassVar[str] = "structure"
    quick: ClassVar[Mapping[str, Any]] = {"dim": 4, "steps": 10, "batch": 16, "learning_rate": 0.1}
    reference: ClassVar[str] = (
        "STRUCTURE (Gröger et al. 2025, arXiv 2506.16895); here the divergence is the Jensen-Shannon one proper and "
        "its weight has no warm-up."
    )

    def __init__(
        self,
        dim: int = 128,
        strength: float = 10.0,
        levels: int = 1,
        temperature: float = 0.07,
        steps: int = 300,
        batch: int = 1024,
        learning_rate: float = 0.01,
        weight_decay: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.dim = dim
        self.strength = strength
        self.levels = levels
        self.temperature = temperature
        self.steps = steps
        self.batch = batch
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.seed = seed

    def _check(self) -> None:
        super()._check()
        whole(self, "levels", self.levels, most=1000)
        positive(self, "strength", self.strength, zero=True)

    def _loss(self, torch: Any) -> tuple[Callable[..., Any], list[Any]]:
        def loss(a: Any, b: Any, x: Any, y: Any) -> Any:
            kept = _divergence(torch, x, a, self.levels, self.temperature)
            kept = kept + _divergence(torch, y, b, self.levels, self.temperature)
            return _infonce(torch, a, b, self.temperature) + self.strength * kept / 2

        return loss, []


def _infonce(torch: Any, a: Any, b: Any, temperature: float) -> Any:
    logits = a @ b.T / temperature
    own = torch.arange(len(a))
    entropy = torch.nn.functional.cross_entropy
    return (entropy(logits, own) + entropy(logits.T, own)) / 2


def _divergence(torch: Any, before: Any, after: Any, levels: int, temperature: float) -> Any:
    """Weighted mean over walk lengths of the Jensen-Shannon divergence of the rows, in nats."""
    p, q = (_transitions(torch, rows, temperature) for rows in (before, after))
    walk_p, walk_q, total = p, q, 0.0
    for level in range(1, levels + 1):
        if level > 1:
            walk_p, walk_q = walk_p @ p, walk_q @ q
        middle = ((walk_p + walk_q) / 2).clamp_min(1e-12).log()
        gap = [(w * (w.clamp_min(1e-12).log() - middle)).sum(dim=1).mean() for w in (walk_p, walk_q)]
        total = total + (gap[0] + gap[1]) / (2 * level)
    return total / levels


def _transitions(torch: Any, rows: Any, temperature: float) -> Any:
    unit = torch.nn.functional.normalize(rows, dim=1)
    unit = unit - unit.mean(dim=0)
    return torch.softmax(unit @ unit.T / temperature, dim=1)


def _torch(what: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(f"The map {what}", "torch", "models") from error
    return torch
