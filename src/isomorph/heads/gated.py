"""A weight for each item and space: the spaces' own readouts, mixed by a gate that sees all spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import scipy

from .._core.checks import as_count
from ..design import Codes
from ._base import Matrix, Spaces
from ._coordinates import Coordinates
from ._linear import fit_linear
from ._target import Target
from ._trained import Trained

_LOWEST = 1e-6  # probability that a readout gives at least


class Gated(Trained):
    """Mixture of the spaces' linear readouts, whose weights (softmax) are a small network's function of all spaces.

    Each readout is fitted by itself, as in `late`; the gate is trained on what they say of items that they did not see.
    It begins at equal weights, which is `late`. A missing space has weight 0.

    Args:
        hidden: Units of the gate's hidden layer.
        rank: Leading principal coordinates of each space that the gate sees, at most.
        epochs: The most passes over the items.
        learning_rate: Learning rate of AdamW.
        weight_decay: Decoupled weight decay.
        view_dropout: Share of the items of a batch that lack one space.

    Attributes:
        readouts_: The linear model of each space.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, y = np.random.default_rng(0).normal(size=(2, 800, 4))
        >>> target = np.where(x[:, 1] > 0, x[:, 0] > 0, y[:, 0] > 0).astype(int)  # x tells which space is right
        >>> for name in ("late", "gated"):
        ...     head = iso.make_head(name).fit({"x": x[:600], "y": y[:600]}, target[:600])
        ...     right = head.predict({"x": x[600:], "y": y[600:]}).argmax(axis=1) == target[600:]
        ...     print(name, bool(right.mean() > 0.85))
        late False
        gated True
        >>> weights = head.weights({"x": x[600:], "y": y[600:]})  # of each item and space
        >>> weights.shape, bool(weights[x[600:, 1] > 0, 0].mean() > weights[x[600:, 1] < 0, 0].mean() + 0.5)
        ((200, 2), True)
    """

    name: ClassVar[str] = "gated"
    reference: ClassVar[str] = (
        "Jacobs et al. 1991 (mixtures of experts), Arevalo et al. 2017 (gated multimodal units); here the experts are "
        "fitted first and stay."
    )
    quick: ClassVar[Mapping[str, Any]] = {"hidden": 4, "rank": 4, "epochs": 20}

    def __init__(
        self,
        hidden: int = 32,
        rank: int = 32,
        epochs: int = 200,
        learning_rate: float = 0.01,
        weight_decay: float = 0.1,
        view_dropout: float = 0.0,
    ) -> None:
        self.hidden = as_count(hidden, "hidden", most=1 << 14)
        self.rank = as_count(rank, "rank")
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.view_dropout = view_dropout
        self._check()

    def weights(self, spaces: Mapping[str, Any]) -> Matrix:
        """The weight of each item and space (m, spaces), in the order of `names_`; they sum to one.

        Raises:
            InputError: as of `predict`.
        """
        given, there = self._given(self._views(spaces))
        return self._averaged(lambda network: network.gates(given, there).exp())

    def _fit(self, spaces: Spaces, target: Target, folds: Codes, seed: int) -> None:
        self.readouts_ = {s: fit_linear({s: rows}, target, folds=folds) for s, rows in spaces.items()}
        super()._fit(spaces, target, folds, seed)

    def _learn_inputs(self, spaces: Spaces) -> dict[str, Matrix]:
        self.coordinates_ = {s: Coordinates.of(rows, s, self.rank, whitened=False) for s, rows in spaces.items()}
        return self._seen(spaces, {s: self.readouts_[s].unseen for s in spaces})

    def _inputs(self, spaces: Spaces) -> dict[str, Matrix]:
        return self._seen(spaces, {s: self.readouts_[s].predict({s: rows}) for s, rows in spaces.items()})

    def _seen(self, spaces: Spaces, said: Spaces) -> dict[str, Matrix]:
        """Of each space, its coordinates and behind them what its readout says, before the link."""
        return {s: np.hstack([self.coordinates_[s](rows), self._unlinked(said[s])]) for s, rows in spaces.items()}

    def _unlinked(self, said: Matrix) -> Matrix:
        if self.target_.is_linear:
            return np.asarray((said - self.center_) / self.spread_)
        p = np.clip(said, _LOWEST, 1 - _LOWEST)
        return np.asarray(scipy.special.logit(p) if self.target_.kind == "labels" else np.log(p))

    def _network(self, torch: Any, shapes: Sequence[tuple[int, ...]], start: Any) -> Any:
        return _gate(torch, [width - len(start) for (width,) in shapes], self.hidden, self.target_.kind)


def _gate(torch: Any, widths: Sequence[int], hidden: int, kind: str) -> Any:
    """The module: coordinates of all spaces -> weights -> the mixture of what the readouts say."""
    nn, module = torch.nn, torch.nn.Module

    class Gate(module):  # type: ignore[valid-type, misc]  # torch is imported only where it is used
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(sum(widths), hidden), nn.SiLU(), nn.Linear(hidden, len(widths)))
            nn.init.zeros_(self.layers[-1].weight)
            nn.init.zeros_(self.layers[-1].bias)

        def gates(self, views: Sequence[Any], there: Any) -> Any:
            """Logarithms of the weights (b, spaces)."""
            seen = torch.cat([view[:, :width] for view, width in zip(views, widths, strict=True)], dim=1)
            return torch.log_softmax(self.layers(seen).masked_fill(~there, -torch.inf), dim=1)

        def forward(self, views: Sequence[Any], there: Any) -> Any:
            gates = self.gates(views, there)[:, :, None]
            said = torch.stack([view[:, width:] for view, width in zip(views, widths, strict=True)], dim=1)
            if kind == "classes":
                return torch.logsumexp(gates + torch.log_softmax(said, dim=2), dim=1)
            if kind == "labels":
                return torch.logit((gates.exp() * torch.sigmoid(said)).sum(dim=1), eps=_LOWEST / 2)
            return (gates.exp() * said).sum(dim=1)

    return Gate()
