"""A small network on all spaces side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from .._core.checks import as_count
from ._base import Matrix, Spaces
from ._coordinates import Coordinates
from ._trained import Trained, last, small


class Mlp(Trained):
    """Multilayer perceptron with one hidden layer on the coordinates of all spaces, stopped early on held-out items.

    Args:
        hidden: Units of the hidden layer.
        rank: Leading principal coordinates that are read of each space, at most.
        epochs: The most passes over the items.
        learning_rate: Learning rate of AdamW.
        weight_decay: Decoupled weight decay.
        view_dropout: Share of the items of a batch that lack one space; with it the head stays useful where a space is
            missing.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, y = np.random.default_rng(0).normal(size=(2, 400, 4))
        >>> target = (x[:, 0] * y[:, 0] > 0).astype(int)  # neither space says anything of it
        >>> head = iso.make_head("mlp").fit({"x": x[:300], "y": y[:300]}, target[:300])
        >>> right = head.predict({"x": x[300:], "y": y[300:]}).argmax(axis=1) == target[300:]
        >>> bool(right.mean() > 0.8)
        True
        >>> first, best = head.history_[0][1], head.history_[head.best_epoch_][1]  # held-out log loss
        >>> bool(best < first / 2)
        True
    """

    name: ClassVar[str] = "mlp"
    reference: ClassVar[str] = "Ngiam et al. 2011 (joint layers over modalities), Neverova et al. 2016 (view dropout)."
    quick: ClassVar[Mapping[str, Any]] = {"hidden": 8, "rank": 8, "epochs": 20}

    def __init__(
        self,
        hidden: int = 64,
        rank: int = 64,
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

    def _learn_inputs(self, spaces: Spaces) -> dict[str, Matrix]:
        self.coordinates_ = {s: Coordinates.of(rows, s, self.rank, whitened=False) for s, rows in spaces.items()}
        return self._inputs(spaces)

    def _inputs(self, spaces: Spaces) -> dict[str, Matrix]:
        return {s: self.coordinates_[s](rows) for s, rows in spaces.items()}

    def _network(self, torch: Any, shapes: Sequence[tuple[int, ...]], start: Any) -> Any:
        nn, module = torch.nn, torch.nn.Module

        class Network(module):  # type: ignore[valid-type, misc]  # torch is imported only where it is used
            def __init__(self, width: int, hidden: int) -> None:
                super().__init__()
                self.layers = nn.Sequential(small(torch, width, hidden), nn.SiLU(), last(torch, hidden, start))

            def forward(self, views: Sequence[Any], there: Any) -> Any:
                return self.layers(torch.cat(list(views), dim=1))

        return Network(sum(width for (width,) in shapes), self.hidden)
