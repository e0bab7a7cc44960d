"""What heads that are trained in steps share: the loop, early stopping, view dropout, the learning curve.

They need torch, and train in float64 on the CPU from a seed: the same seed gives the same bits on one machine.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .._core.checks import as_count, is_finite
from ..design import Codes
from ..errors import InputError, MissingExtraError, quoted
from ._base import Head, Matrix, Spaces, Views, averaged
from ._linear import linked
from ._target import Target

_BATCH = 64
_PATIENCE = 30  # epochs without a better held-out loss
_LEAST_GAIN = 1e-4  # of the loss before training: a smaller fall is no better loss


class Trained(Head):
    """A network on all spaces at once: one for each fold, trained on the others and averaged.

    After each epoch the loss of every item is taken by the network that does not train on it; training ends where that
    no longer falls, and the networks are those of the epoch where it was least. Before the first epoch they say the
    shares of the classes or the means, or nearly so.

    Attributes:
        history_: Learning curve: at each epoch (the first before training) the mean loss of the items trained on and of
            those held out: log loss in nats, or of numbers the squared error over their variance.
        best_epoch_: The epoch whose networks are used.
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
        given = [torch.tensor(rows) for rows in self._learn_inputs(spaces).values()]
        self.center_, self.spread_, start = _outcome_scale(target)
        outcomes = torch.tensor((target.outcomes - self.center_) / self.spread_)
        shapes = [tuple(rows.shape[1:]) for rows in given]
        self.shapes_ = dict(zip(spaces, shapes, strict=True))
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.random.default_generator.manual_seed(int(np.random.default_rng([seed, 23]).integers(1 << 62)))
            networks = [self._network(torch, shapes, torch.tensor(start)).double() for _ in range(folds.max() + 1)]
            self.networks_, self.history_ = self._train(torch, networks, given, outcomes, folds)
        self.best_epoch_ = int(np.argmin([held for _, held in self.history_]))
        if not np.isfinite(self.history_).all():
            raise InputError(f"{self.spec}: training did not stay finite; lower learning_rate.")

    def _train(
        self, torch: Any, networks: list[Any], given: list[Any], outcomes: Any, folds: Codes
    ) -> tuple[list[Any], tuple[tuple[float, float], ...]]:
        """The networks of the best epoch, and the learning curve."""
        loss_of = _LOSSES[self.target_.kind]
        n, best, history, kept = len(outcomes), np.inf, [], [_copied(m) for m in networks]
        fold_rows = [torch.tensor(np.flatnonzero(folds == f)) for f in range(len(networks))]
        other_rows = [torch.tensor(np.flatnonzero(folds != f)) for f in range(len(networks))]
        optimizers = [
            torch.optim.AdamW(m.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay) for m in networks
        ]
        since = 0
        for epoch in range(self.epochs + 1):
            if epoch:
                for network, optimizer, rows in zip(networks, optimizers, other_rows, strict=True):
                    network.train()
                    for batch in rows[torch.randperm(len(rows))].split(_BATCH):
                        there = self._there(torch, len(batch), len(given))
                        loss = loss_of(torch, network(_masked(given, batch, there), there), outcomes[batch]).mean()
                        optimizer.zero_grad()
                        loss.backward()
                        optimizer.step()
            losses = np.zeros(2)
            with torch.no_grad():
                whole = torch.ones(n, len(given), dtype=torch.bool)
                for network, held in zip(networks, fold_rows, strict=True):
                    each = loss_of(torch, network.eval()(given, whole), outcomes)
                    own = float(each[held].sum())
                    losses += (float(each.sum()) - own) / (n * (len(networks) - 1)), own / n
            history.append((float(losses[0]), float(losses[1])))
            if not np.isfinite(losses).all():
                break
            if losses[1] < best - _LEAST_GAIN * history[0][1] * (epoch > 0):
                best, since, kept = losses[1], 0, [_copied(m) for m in networks]
            else:
                since += 1
                if since >= _PATIENCE:
                    break
        for network, state in zip(networks, kept, strict=True):
            network.load_state_dict(state)
        return networks, tuple(history)

    def _there(self, torch: Any, n: int, spaces: int) -> Any:
        """Which spaces each item of a batch has (n, spaces): a share of the items lacks one."""
        there = torch.ones(n, spaces, dtype=torch.bool)
        if self.view_dropout and spaces > 1:
            lacking = torch.rand(n) < self.view_dropout
            which = torch.randint(spaces, (n,))
            there[torch.arange(n), which] = ~lacking
        return there

    def _predict(self, spaces: Views) -> Matrix:
        torch = _torch(self.spec)
        there = self._inputs({name: rows for name, rows in spaces.items() if rows is not None})
        m = len(next(iter(there.values())))
        mask = torch.tensor([[name in there for name in spaces]]).expand(m, -1)
        given = [torch.tensor(there.get(name, np.zeros((m, *self.shapes_[name])))) for name in spaces]
        with torch.no_grad():
            said = [network(given, mask).numpy() for network in self.networks_]
        return averaged([linked(self.center_ + self.spread_ * out, self.target_.kind) for out in said])


def small(torch: Any, width: int, hidden: int) -> Any:
    """A first layer of small weights: with them features are learnt, with the usual ones hardly (Chizat et al. 2019)."""
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


def _copied(network: Any) -> dict[str, Any]:
    return {name: values.clone() for name, values in network.state_dict().items()}


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
