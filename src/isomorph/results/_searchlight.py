"""A map of how well model RDMs go with the responses around each place."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from .._core.checks import check_choice, is_share
from ..errors import InputError, UnknownNameError, quoted
from ._base import Result
from ._numbers import decimals, format_p
from ._tables import frame

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
_PACKED = {"packed": True}
_VALUES = ("scores", "p_values", "q_values", "p_maximum")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Searchlight(Result):
    """Scores of model RDMs with the RDM of the channels around each center.

    Attributes:
        name: What was measured.
        models: Names of the models.
        positions: Where each channel is (channels, dimensions).
        centers: The channels that are centers, as rows of `positions` (centers,).
        sizes: Channels in the sphere of each center (centers,).
        scores: Score of each center's RDM with each model (centers, models).
        chance: Mean score of each model over permutations and centers (models,).
        p_values: One-sided p of each score by itself (centers, models), 1 / (permutations + 1) at the least.
        q_values: These adjusted over the centers of each model (Benjamini and Hochberg).
        p_maximum: p of each score against the maximum over all centers of its model, which controls the chance of any
            false center.
        null_maximum: That maximum in each permutation (permutations, models).
        radius: Radius of the spheres.
        distance: How items are compared in a sphere.
        comparison: How RDMs are compared.
        n: Number of items.
        permutations: Re-pairings of the items, the same for all centers.
        seed: Seed of the permutations.
        notes: What else is to be known.
        provenance: How to make it again.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> places = np.stack(np.meshgrid(range(6), range(6)), axis=-1).reshape(-1, 2)
        >>> responses, space = rng.normal(size=(20, 36)), rng.normal(size=(20, 3))
        >>> responses[:, places[:, 0] < 2] += 2 * space @ rng.normal(size=(3, 12))
        >>> model = iso.RDMs.from_patterns(space)
        >>> found = iso.searchlight(responses, places, {"model": model}, radius=1.5, permutations=99)
        >>> best = found.best("model")
        >>> best["position"][0] < 2, best["p_maximum"]
        (True, 0.01)
    """

    kind: ClassVar[str] = "searchlight"

    name: str
    models: tuple[str, ...]
    positions: Floats = dataclasses.field(metadata=_PACKED)
    centers: Ints = dataclasses.field(metadata=_PACKED)
    sizes: Ints = dataclasses.field(metadata=_PACKED)
    scores: Floats = dataclasses.field(metadata=_PACKED)
    chance: Floats
    p_values: Floats = dataclasses.field(metadata=_PACKED)
    q_values: Floats = dataclasses.field(metadata=_PACKED)
    p_maximum: Floats = dataclasses.field(metadata=_PACKED)
    null_maximum: Floats = dataclasses.field(metadata=_PACKED)
    radius: float
    distance: str
    comparison: str
    n: int
    permutations: int
    seed: int
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def contradictions(self) -> Iterator[str]:
        shape = (len(self.centers), len(self.models))
        for name in _VALUES:
            if getattr(self, name).shape != shape:
                yield f"{name} has shape {getattr(self, name).shape}, not {shape}"
        if len(self.centers) == 0 or self.positions.ndim != 2:
            yield "it has no centers"
        elif self.centers.min() < 0 or self.centers.max() >= len(self.positions):
            yield "a center is no channel"

    def map(self, model: str, values: str = "scores") -> Floats:
        """Values of one model at every channel (channels,), NaN where none is a center.

        Args:
            model: Name of the model.
            values: ``"scores"``, ``"p_values"``, ``"q_values"`` or ``"p_maximum"``.

        Raises:
            UnknownNameError: if there is no such model.
            InputError: if there are no such values.
        """
        check_choice(values, "values", _VALUES)
        out = np.full(len(self.positions), np.nan)
        out[self.centers] = getattr(self, values)[:, self._place(model)]
        return out

    def threshold(self, model: str, alpha: float = 0.05) -> float:
        """The score that a center must pass for a p of the maximum of at most alpha.

        Raises:
            UnknownNameError: if there is no such model.
            InputError: if alpha is no level, or there are too few permutations for it.
        """
        allowed = int(np.floor(alpha * (self.permutations + 1) + 1e-9)) if is_share(alpha) else 0
        if allowed < 1:
            raise InputError(
                f"alpha={quoted(alpha)}: a level from 1 / (permutations + 1) = {1 / (self.permutations + 1):.2g} to 1 "
                "is needed."
            )
        return float(np.sort(self.null_maximum[:, self._place(model)])[-allowed])

    def best(self, model: str) -> dict[str, Any]:
        """The center with the highest score: its channel, position, size, score, p, q and p of the maximum.

        Raises:
            UnknownNameError: if there is no such model.
        """
        return self.highest(model, 1)[0]

    def highest(self, model: str, count: int = 10) -> list[dict[str, Any]]:
        """The centers with the highest scores, from the top, as `best` gives one.

        Raises:
            UnknownNameError: if there is no such model.
        """
        k = self._place(model)
        return [self._record(int(i), k) for i in np.argsort(-self.scores[:, k], kind="stable")[:count]]

    def to_records(self) -> list[dict[str, Any]]:
        """One dict a center and model."""
        return [self._record(i, k) for i in range(len(self.centers)) for k in range(len(self.models))]

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def _record(self, i: int, k: int) -> dict[str, Any]:
        channel = int(self.centers[i])
        return {
            "model": self.models[k],
            "channel": channel,
            "position": tuple(self.positions[channel].tolist()),
            "size": int(self.sizes[i]),
            "score": float(self.scores[i, k]),
            "p": float(self.p_values[i, k]),
            "q": float(self.q_values[i, k]),
            "p_maximum": float(self.p_maximum[i, k]),
        }

    def _place(self, model: str) -> int:
        if model not in self.models:
            raise UnknownNameError("model", str(model), self.models)
        return self.models.index(model)

    def __repr__(self) -> str:
        lines = [
            f"Searchlight of {self.name}: {len(self.centers):,} centers, {int(self.sizes.min())} to "
            f"{int(self.sizes.max())} channels within {self.radius:g}, n={self.n}, {self.distance}, {self.comparison}, "
            f"{self.permutations} permutations"
        ]
        for k, name in enumerate(self.models):
            best = self.best(name)
            where = ", ".join(f"{v:g}" for v in best["position"])
            lines.append(
                f"  {name}: best {decimals(best['score'])} at ({where}), chance {decimals(self.chance[k])}, "
                f"p of the maximum {format_p(best['p_maximum'])}; {int(np.sum(self.p_maximum[:, k] <= 0.05)):,} "
                f"centers at 0.05, {int(np.sum(self.q_values[:, k] <= 0.05)):,} at a false discovery rate of 0.05"
            )
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])
