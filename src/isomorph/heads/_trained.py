"""What heads that are trained in steps share: the loop, early stopping, view dropout, the learning curve.

They need torch, and train in float64 on the CPU from a seed: the same seed gives the same bits on one machine.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from .._core.checks import as_count, is_finite
from ..design import Codes
from ..errors import InputError, MissingExtraError, quoted
from ._base import Head, Matrix, Spaces, Views, averaged
from ._target import Target

_BATCH = 128
_PATIENCE = 30  # epochs without a better held-out loss
_LEAST_GAIN = 1e-3  # of the loss before training: a smaller fall is no better loss


class Trained(Head):
    """A network on all spaces at once, trained for as many epochs as is best for items that it does not see.

    One network a fold is trained on the other folds; after each epoch the loss of every item is taken by the network
    that does not see it, until that no longer falls. As many networks are then trained on all items up to the epoch
    where it was least, and averaged. Before the first epoch they say the shares of the classes or the means, or nearly
    so.

    Attributes:
        history_: Learning curve: at each epoch (the first before training) the mean loss of the items trained on and of
            those held out: log loss in nats, or of numbers the squared error over their variance.
        best_epoch_: Epochs that the networks were trained for.
    """

    trained: ClassVar[bool] = True
    epochs: int
    learning_rate: float
    weight_decay: float
    view_dropout: float

    def _check(self) -> None:
        """Refuse parameters that make no sense.

        Raises:
            InputError: if one is out of its range.
        """
        as_count(self.epochs, "epochs", most=10**6)
        if not is_finite(self.learning_rate) or not self.learning_rate > 0:
            raise InputError(f"learning_rate={quoted(self.learning_rate)} must be a number above 0.")
        if not is_finite(self.weight_decay) or not self.weight_decay >= 0:
            raise InputError(f"weight_decay={quoted(self.weight_decay)} must be a number of at least 0.")
        if not is_finite(self.view_dropout) or not 0 <= self.view_dropout <= 1:
            raise InputError(f"view_dropout={quoted(self.view_dropout)} must be a share of items between 0 and 1.")

    @abstractmethod
    def _learn_inputs(self, spaces: Spaces) -> dict[str, Matrix]:
        """Learn what brings spaces to what the network reads, and what it reads of the items fitted on."""

    @abstractmethod
    def _inputs(self, spaces: Spaces) -> dict[str, Matrix]:
        """What the network reads of the spaces that are there."""

    @abstractmethod
    def _network(self, torch: Any, shapes: Sequence[tuple[int, ...]], start: Any) -> Any:
        """A new module: (inputs of each space (b, …), which are there (b, spaces)) -> outcomes before the link (b, k).

        Args:
            torch: The library.
            shapes: Of the inputs of one item, for each space.
            start: Outcomes before the link of an item of which nothing is known (k,).
        """

    def _fit(self, spaces: Spaces, target: Target, folds: Codes, seed: int) -> None:
        torch = _torch(self.spec)
        self.center_, self.spread_, start = _outcome_scale(target)
        given = [torch.tensor(rows) for rows in self._learn_inputs(spaces).values()]
        outcomes = torch.tensor((target.outcomes - self.center_) / self.spread_)
        shapes = [tuple(rows.shape[1:]) for rows in given]
        self.shapes_ = dict(zip(spaces, shapes, strict=True))
        starts = torch.tensor(start)
        # one thread: small matrices gain nothing from more, and the bits do not hang on how many there are
        with threadpool_limits(1), torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.random.default_generator.manual_seed(int(np.random.default_rng([seed, 23]).integers(1 << 62)))
            count = int(folds.max()) + 1
            runs = [self._run(torch, shapes, starts, given, outcomes, folds != f) for f in range(count)]
            self.history_ = self._watched(torch, runs, given, outcomes, folds)
            if not np.isfinite(self.history_).all():
                raise InputError(f"{self.spec}: training did not stay finite; lower learning_rate.")
            self.best_epoch_ = int(np.argmin([held for _, held in self.history_]))
            self.networks_ = []
            for _ in range(count):
                run = self._run(torch, shapes, starts, given, outcomes, folds >= 0)
                for _ in range(self.best_epoch_):
                    run.epoch()
                self.networks_.append(run.network.eval())

    def _run(
        self, torch: Any, shapes: Sequence[tuple[int, ...]], start: Any, given: list[Any], outcomes: Any, train: Matrix
    ) -> _Run:
        network = self._network(torch, shapes, start).double()
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        rows = torch.tensor(np.flatnonzero(train))
        return _Run(torch, network, optimizer, given, outcomes, rows, _LOSSES[self.target_.kind], self.view_dropout)

    def _watched(
        self, torch: Any, runs: Sequence[_Run], given: list[Any], outcomes: Any, folds: Codes
    ) -> tuple[tuple[float, float], ...]:
        """The learning curve of one network a fold, up to where the loss of what is held out no longer falls."""
        n, best, since, history = len(outcomes), np.inf, 0, []
        whole = torch.ones(n, len(given), dtype=torch.bool)
        for epoch in range(self.epochs + 1):
            seen, held = 0.0, 0.0
            for fold, run in enumerate(runs):
                if epoch:
                    run.epoch()
                with torch.no_grad():
                    losses = run.loss(torch, run.network.eval()(given, whole), outcomes).numpy()
                seen += float(losses[folds != fold].sum()) / (n * (len(runs) - 1))
                held += float(losses[folds == fold].sum()) / n
            history.append((seen, held))
            since += 1
            if epoch == 0 or held < best - _LEAST_GAIN * history[0][1]:
                best, since = held, 0
            if since >= _PATIENCE or not np.isfinite(held):
                break
        return tuple(history)

    def _given(self, spaces: Views) -> tuple[list[Any], Any]:
        """What the networks read of all spaces, and which of them are there (m, spaces)."""
        torch = _torch(self.spec)
        there = self._inputs({name: rows for name, rows in spaces.items() if rows is not None})
        m = len(next(iter(there.values())))
        mask = torch.tensor([[name in there for name in spaces]]).expand(m, -1)
        missing = {name: np.zeros((m, *self.shapes_[name])) for name in spaces if name not in there}
        return [torch.tensor({**missing, **there}[name]) for name in spaces], mask

    def _averaged(self, said: Callable[[Any], Any]) -> Matrix:
        """The mean over networks of what is said of each."""
        with _torch(self.spec).no_grad():
            return averaged([np.asarray(said(network).numpy()) for network in self.networks_])

    def _predict(self, spaces: Views) -> Matrix:
        given, there = self._given(spaces)

        def said(network: Any) -> Any:
            return _LINKS[self.target_.kind](network(given, there))

        return self.center_ + self.spread_ * self._averaged(said)


@dataclasses.dataclass(frozen=True)
class _Run:
    """One network in training.

    Attributes:
        torch: The library.
        network: The network.
        optimizer: What changes its weights.
        given: Inputs of each space, of all items.
        outcomes: Of all items (n, k).
        rows: Items that it is trained on.
        loss: Loss of each item, from what is said of it.
        view_dropout: Share of items that lack one space.
    """

    torch: Any
    network: Any
    optimizer: Any
    given: list[Any]
    outcomes: Any
    rows: Any
    loss: Callable[..., Any]
    view_dropout: float

    def epoch(self) -> None:
        """One pass over the items, in a new order."""
        self.network.train()
        for batch in self.rows[self.torch.randperm(len(self.rows))].split(_BATCH):
            there = self._there(len(batch))
            said = self.network(_masked(self.given, batch, there), there)
            loss = self.loss(self.torch, said, self.outcomes[batch]).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def _there(self, n: int) -> Any:
        """Which spaces each item of a batch has (n, spaces)."""
        torch, spaces = self.torch, len(self.given)
        there = torch.ones(n, spaces, dtype=torch.bool)
        if self.view_dropout and spaces > 1:
            lacking = torch.rand(n) < self.view_dropout
            which = torch.randint(spaces, (n,))
            there[torch.arange(n), which] = ~lacking
        return there


def small(torch: Any, width: int, hidden: int) -> Any:
    """A first layer of small weights: with them features are learnt, with usual ones hardly (Chizat et al. 2019)."""
    layer = torch.nn.Linear(width, hidden)
    layer.weight.data *= 0.1
    return layer


def last(torch: Any, width: int, start: Any) -> Any:
    """A last layer that begins at `start`."""
    layer = torch.nn.Linear(width, len(start))
    layer.bias.data = start.clone()
    return layer


def _torch(what: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(f"The head {what}", "torch", "models") from error
    return torch


def _outcome_scale(target: Target) -> tuple[Matrix, float, Matrix]:
    """Center and spread of outcomes, and what is said before the link of an item of which nothing is known."""
    prior = target.prior
    if target.is_linear:
        spread = float(np.sqrt(np.mean((target.outcomes - prior) ** 2)))
        return prior, spread or 1.0, np.zeros_like(prior)
    share = np.clip(prior, 1e-3, 1 - 1e-3)
    return np.zeros_like(prior), 1.0, np.log(share) if target.kind == "classes" else np.log(share / (1 - share))


def _masked(given: list[Any], batch: Any, there: Any) -> list[Any]:
    """The inputs of a batch; a space that an item lacks stands at its mean."""
    return [
        rows[batch] * there[:, s].reshape(-1, *[1] * (rows.ndim - 1)).to(rows.dtype) for s, rows in enumerate(given)
    ]


def _of_classes(torch: Any, said: Any, outcomes: Any) -> Any:
    return -(outcomes * torch.log_softmax(said, dim=1)).sum(dim=1)


def _of_labels(torch: Any, said: Any, outcomes: Any) -> Any:
    return torch.nn.functional.binary_cross_entropy_with_logits(said, outcomes, reduction="none").sum(dim=1)


def _of_numbers(torch: Any, said: Any, outcomes: Any) -> Any:
    return ((said - outcomes) ** 2).mean(dim=1)


_LOSSES: Mapping[str, Callable[..., Any]] = {
    "classes": _of_classes,
    "labels": _of_labels,
    "numbers": _of_numbers,
    "rows": _of_numbers,
}
"""Kind of target -> loss of each item (b,), from outcomes before the link."""

_LINKS: Mapping[str, Callable[[Any], Any]] = {
    "classes": lambda said: said.softmax(dim=1),
    "labels": lambda said: said.sigmoid(),
    "numbers": lambda said: said,
    "rows": lambda said: said,
}
