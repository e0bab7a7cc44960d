"""Cross-attention over the tokens or layers of all spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .._core.checks import as_count
from ._base import Matrix, Spaces
from ._coordinates import Coordinates
from ._trained import Trained, last, small

_SOME_TOKENS = 20_000  # from which principal axes are learnt: more change them little
_HEADS = 4


class Attention(Trained):
    """Cross-attention: what the mean token of each space asks for among the tokens of all spaces, read by a network.

    A space may have several tokens an item (n, tokens, d): tokens of a text, patches of an image, or layers; as many
    for every item, each known by its place. A space of one row an item has one token. Those of a missing space are not
    looked at.

    Args:
        width: Width of queries, keys and values, in 4 heads; and units of the network that reads the answers.
        rank: Leading principal coordinates that are read of each token, at most.
        epochs: The most passes over the items.
        learning_rate: Learning rate of AdamW.
        weight_decay: Decoupled weight decay.
        view_dropout: Share of the items of a batch that lack one space.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> tokens, x = rng.normal(size=(400, 3, 4)), rng.normal(size=(400, 5))
        >>> target = (tokens[:, 1, 0] > 0).astype(int)  # the second token holds it
        >>> head = iso.make_head("attention").fit({"x": x[:300], "y": tokens[:300]}, target[:300])
        >>> right = head.predict({"x": x[300:], "y": tokens[300:]}).argmax(axis=1) == target[300:]
        >>> bool(right.mean() > 0.9)
        True
    """

    name: ClassVar[str] = "attention"
    reference: ClassVar[str] = "Vaswani et al. 2017, Jaegle et al. 2021 (few queries over all modalities' tokens)."
    quick: ClassVar[Mapping[str, Any]] = {"width": 8, "rank": 8, "epochs": 20}
    tokens: ClassVar[bool] = True

    def __init__(
        self,
        width: int = 32,
        rank: int = 64,
        epochs: int = 200,
        learning_rate: float = 0.01,
        weight_decay: float = 0.1,
        view_dropout: float = 0.0,
    ) -> None:
        self.width = as_count(width, "width", most=1 << 14)
        self.rank = as_count(rank, "rank")
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.view_dropout = view_dropout
        self._check()

    def _learn_inputs(self, spaces: Spaces) -> dict[str, Matrix]:
        self.coordinates_ = {}
        for name, rows in spaces.items():
            flat = rows.reshape(-1, rows.shape[-1])
            some = np.unique(np.linspace(0, len(flat) - 1, min(len(flat), _SOME_TOKENS)).astype(int))
            self.coordinates_[name] = Coordinates.of(flat[some], name, self.rank, whitened=False)
        return self._inputs(spaces)

    def _inputs(self, spaces: Spaces) -> dict[str, Matrix]:
        found = {}
        for name, rows in spaces.items():
            placed = self.coordinates_[name](rows.reshape(-1, rows.shape[-1]))
            found[name] = placed.reshape(len(rows), -1, placed.shape[1])
        return found

    def _network(self, torch: Any, shapes: Sequence[tuple[int, ...]], start: Any) -> Any:
        return _cross(torch, shapes, -(-self.width // _HEADS) * _HEADS, start)


def _cross(torch: Any, shapes: Sequence[tuple[int, ...]], width: int, start: Any) -> Any:
    """The module: tokens (b, t, r) of each space -> one query a space over all tokens -> what is read of the answers.

    Args:
        torch: The library.
        shapes: Tokens and coordinates of each space.
        width: Width of queries, keys and values.
        start: What is said before training.
    """
    nn, module, count = torch.nn, torch.nn.Module, len(shapes)
    owner = torch.tensor([s for s, (tokens, _) in enumerate(shapes) for _ in range(tokens)])  # the space of each token

    class Cross(module):  # type: ignore[valid-type, misc]  # torch is imported only where it is used
        def __init__(self) -> None:
            super().__init__()
            self.enter = nn.ModuleList([nn.Linear(r, width) for _, r in shapes])
            self.place = nn.ParameterList([nn.Parameter(0.5 * torch.randn(tokens, width)) for tokens, _ in shapes])
            self.ask, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
            self.read = nn.Sequential(small(torch, 2 * count * width, width), nn.SiLU(), last(torch, width, start))

        def forward(self, views: Sequence[Any], there: Any) -> Any:
            parts = [enter(view) for enter, view in zip(self.enter, views, strict=True)]
            means = torch.stack([part.mean(dim=1) for part in parts], dim=1) * there[:, :, None]
            tokens = torch.cat([part + place for part, place in zip(parts, self.place, strict=True)], dim=1)
            asked, keys, values = (
                f(rows).unflatten(2, (_HEADS, -1)).transpose(1, 2)
                for f, rows in ((self.ask, means), (self.key, tokens), (self.value, tokens))
            )
            scores = asked @ keys.transpose(2, 3) / (width / _HEADS) ** 0.5
            looked = scores.masked_fill(~there[:, owner][:, None, None, :], -torch.inf).softmax(dim=3) @ values
            answers = looked.transpose(1, 2).flatten(2) * there[:, :, None]
            return self.read(torch.cat([means, answers], dim=2).flatten(1))

    return Cross()
