"""Fitting one stitch between two places, and scoring the joined network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._core.memory import block_bytes
from ..encoders._torch import seeded
from ..errors import InputError
from ._running import Network, Place, Rows, batches, place_of
from ._stitches import Fit, Form, Layout, RowMoments, Trained, as_module, solve, untrained

IGNORED = -100
"""Label of tokens that do not count, as in torch."""
CACHE_BYTES = 1 << 29
"""Activations of the bottom are kept during training while they take less than this."""


@dataclasses.dataclass(frozen=True)
class Seam:
    """Where two networks are joined.

    Attributes:
        bottom: The network that runs up to the cut.
        top: The network that runs from there on.
        leaves: The cut of the bottom.
        enters: The cut of the top.
        form: What the stitch may be.
        layout: How the activations are laid out as rows.
        size: Items that run together.
    """

    bottom: Network
    top: Network
    leaves: Place
    enters: Place
    form: Form
    layout: Layout
    size: int

    @classmethod
    def of(cls, bottom: Network, top: Network, leaves: Place, enters: Place, form: Form, size: int) -> Seam:
        """Join two places, whose shapes are read from two items.

        Raises:
            InputError: if the stitch cannot join them.
        """
        probe = np.arange(2)
        x, y = (tuple(n.activations(p, probe).shape) for n, p in ((bottom, leaves), (top, enters)))
        layout = Layout.of(form, x, y, f"{leaves.layer} → {enters.layer}")
        return cls(bottom, top, leaves, enters, form, layout, size)

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.leaves.layer} → {self.enters.layer}"

    def given(self, rows: Rows) -> Any:
        """The bottom's activations, where the top is."""
        return self.bottom.activations(self.leaves, rows).to(place_of(self.top.module)[0])

    def rows_of(self, activations: Any, rows: Rows) -> Any:
        """Activations as rows, without those of padded tokens."""
        flat = self.layout.rows(activations)
        if activations.ndim != 3 or self.layout.axis != 2:
            return flat
        masks = [m for m in (n.inputs.mask(rows) for n in (self.bottom, self.top)) if m is not None]
        for mask in masks:
            if tuple(mask.shape) != tuple(activations.shape[:2]):
                return flat
        return flat[math.prod(masks).reshape(-1).bool().to(flat.device)] if masks else flat

    def pairs(self, rows: Rows, partners: Rows) -> Iterator[tuple[Any, Any]]:
        """Paired rows, batch by batch: the bottom's of `rows`, the top's of `partners`."""
        for part, other in zip(batches(rows, self.size), batches(partners, self.size), strict=True):
            x, y = self.given(part), self.top.activations(self.enters, other)
            if part is other or np.array_equal(part, other):
                yield self.rows_of(x, part), self.rows_of(y, part)
            else:  # pairs of different items have no common padding
                yield self.layout.rows(x), self.layout.rows(y)

    def stitched(self, stitch: Any, x: Any) -> Any:
        """The bottom's activations mapped to what the top takes; None is the identity."""
        if stitch is None:
            return x
        rows = self.layout.rows(x)
        return self.layout.back(stitch(rows.to(precision(self.top))), x)


@dataclasses.dataclass(frozen=True)
class JoinedScore:
    """How a joined network does on the test items.

    Attributes:
        hits: Share of its labels that each item has right, times the item's weight (mean weight 1).
        r2: R² of the stitched against the true activations.
    """

    hits: Rows
    r2: float

    @property
    def accuracy(self) -> float:
        """Mean over items (over labelled tokens where tokens are labelled)."""
        return float(self.hits.mean())


def fit_stitch(seam: Seam, fit: Fit, labels: Any, train: Rows, seed: int, *, permuted: bool = False) -> tuple[Any, int]:
    """A fitted stitch and the number of rows that it was fitted on; the stitch is None for the identity.

    Args:
        seam: What is joined.
        fit: How it is fitted.
        labels: Labels of all items.
        train: Items to fit on.
        seed: Seed of the training and of the permutation.
        permuted: Whether what it learns from is permuted: labels, or for a closed form the pairing of items.

    Raises:
        InputError: if the form and the activations do not allow it.
    """
    import torch

    if fit.name == "identity":
        if len(set(seam.layout.widths)) > 1 or seam.form.rank is not None:
            raise InputError(
                f"{seam.name}: the identity joins layers of the same width with a stitch of full rank, found widths "
                f"{seam.layout.widths[0]} and {seam.layout.widths[1]} and {seam.form.spec}; leave fit='identity' out."
            )
        return None, 0
    shuffled = np.random.default_rng([seed, 1]).permutation(train) if permuted else train
    if isinstance(fit, Trained):
        targets = labels.clone()
        targets[torch.as_tensor(train)] = labels[torch.as_tensor(shuffled)]
        return _train(seam, fit, targets, train, seed)
    moments = RowMoments.of(seam.pairs(train, shuffled), seam.name)
    return as_module(*solve(fit.name, seam.form, moments, seam.name), _like(seam.top)), moments.n


def score(seam: Seam, stitch: Any, labels: Any, test: Rows) -> JoinedScore:
    """Run the joined network on the test items.

    Raises:
        InputError: if the top's activations do not vary there, so that there is no R².
    """
    import torch

    right: list[Any] = []
    first: Any = 0.0
    residual, total, n, offset = 0.0, 0.0, 0, None
    with torch.no_grad():
        for part in batches(test, seam.size):
            new = seam.stitched(stitch, seam.given(part))
            right.append(hits(seam.top.logits_from(seam.enters, part, new), labels, part))
            true = seam.top.activations(seam.enters, part)
            y, z = (seam.rows_of(a, part).double() for a in (true, new))
            offset = y.mean(0) if offset is None else offset
            residual += float(((y - z) ** 2).sum())
            total, first, n = total + float(((y - offset) ** 2).sum()), first + (y - offset).sum(0), n + len(y)
    spread = total - float((first**2).sum()) / n
    if not spread > 0 or not math.isfinite(residual):
        what = "the stitched ones are not finite" if spread > 0 else "the top's do not vary over the test items"
        raise InputError(f"{seam.name}: activations cannot be compared: {what}. Cut at another layer.")
    return JoinedScore(weighted(np.concatenate(right), labels, test), 1.0 - residual / spread)


def hits(logits: Any, labels: Any, rows: Rows) -> Rows:
    """How many of its labels each item has right (b,)."""
    import torch

    wanted = labels[torch.as_tensor(rows)].to(logits.device)
    right = ((logits.argmax(-1) == wanted) & (wanted != IGNORED)).reshape(len(rows), -1).sum(1)
    return np.asarray(right.cpu(), dtype=np.float64)


def weighted(right: Rows, labels: Any, rows: Rows) -> Rows:
    """Right labels an item, over the mean number of labels an item has: their mean is the accuracy."""
    import torch

    counts = (labels[torch.as_tensor(rows)] != IGNORED).reshape(len(rows), -1).sum(1).double()
    return right / float(counts.mean())


def precision(network: Network) -> Any:
    """The floating type that a stitch computes in: the network's, but float32 at least."""
    import torch

    return torch.float64 if place_of(network.module)[1] == torch.float64 else torch.float32


def _like(network: Network) -> Any:
    import torch

    return torch.empty((), dtype=precision(network), device=place_of(network.module)[0])


def _train(seam: Seam, fit: Trained, labels: Any, train: Rows, seed: int) -> tuple[Any, int]:
    """Train a stitch through the frozen top with cross-entropy.

    Raises:
        InputError: if the loss is not finite.
    """
    import torch

    if fit.init == "least_squares":
        moments = RowMoments.of(seam.pairs(train, train), seam.name)
        stitch = as_module(*solve("least_squares", seam.form, moments, seam.name), _like(seam.top))
    else:
        with seeded(seed):
            stitch = untrained(seam.form, seam.layout, fit.normalized, _like(seam.top))
    given = _kept(seam, train)
    rng = np.random.default_rng([seed, 2])
    stitch.train().requires_grad_(requires_grad=True)
    optimizer = torch.optim.Adam(stitch.parameters(), lr=fit.learning_rate)
    steps = fit.epochs * len(batches(train, fit.batch_size))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(fit.epochs):
        for positions in batches(rng.permutation(len(train)), fit.batch_size):
            rows = train[positions]
            logits = seam.top.logits_from(seam.enters, rows, seam.stitched(stitch, given(positions)))
            wanted = labels[torch.as_tensor(rows)].to(logits.device).reshape(-1)
            loss = torch.nn.functional.cross_entropy(
                logits.float().reshape(len(wanted), -1), wanted, ignore_index=IGNORED
            )
            if not bool(loss.isfinite()):
                raise InputError(f"{seam.name}: the loss of {fit.spec} is not finite; lower learning_rate.")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return stitch.eval().requires_grad_(requires_grad=False), len(train) * int(seam.layout.rows(given([0])).shape[0])


def _kept(seam: Seam, train: Rows) -> Callable[[Any], Any]:
    """Gives the bottom's activations of positions in `train`: kept if they fit, else made again each time."""
    import torch

    with torch.no_grad():
        first = seam.given(train[:1])
        if first.numel() * first.element_size() * len(train) > block_bytes(CACHE_BYTES):
            return lambda positions: seam.given(train[positions])
        all_of_them = torch.cat([seam.given(part) for part in batches(train, seam.size)])
    return lambda positions: all_of_them[torch.as_tensor(positions, device=all_of_them.device)]
