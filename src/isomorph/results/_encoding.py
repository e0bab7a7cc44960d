"""The result of encoding models: held-out scores of every unit, its ceiling, its layer and what each band explains."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from ._base import Result
from ._numbers import format_p
from ._tables import frame

Array = np.ndarray[Any, Any]
CHOSEN = "chosen"
"""What the layer that was chosen for each unit on other items is called among the layers."""


_PER_UNIT = {"packed": True, "gaps": True}
"""How an array over units is kept: as its bytes, NaN where a unit has no number."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class UnitScores(Result):
    """Held-out scores of all units from one layer, band, or model of bands; NaN for a unit that does not vary.

    Attributes:
        r: Correlation of responses with held-out predictions (units,), the mean over folds; chance is 0.
        r2: Share of the variance within folds that is explained (units,), at most 1; below 0 where the prediction is
            worse than the mean of the held-out fold.
        p_value: Of each r (units,), from permutations; None if there were none.
        p_maximum: Of each r among all units (units,): the share of permutations whose best unit does as well.
        q_value: Least rate of false discoveries over units at which each passes (Benjamini-Hochberg).
        option: What was chosen in each fold (folds, units): the penalty as a share of the total variance of the
            features, or the number of components.
        null_counts: How many r of units under permutations lie in each of 200 bins from -1 to 1, of the first 50
            permutations: what the histogram of r is under the null; None if there were none.
        mean_r: Mean of r over the units that vary.
        mean_p: Of that mean, from the same permutations of all units.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 4))
        >>> found = iso.fit_encoding(x, x + noise, permutations=99)
        >>> found["x"].r.round(2), round(found["x"].mean_p, 2)
        (array([0.51, 0.71, 0.67, 0.67], dtype=float32), 0.01)
    """

    kind: ClassVar[str] = "unit_scores"

    r: Array = dataclasses.field(metadata=_PER_UNIT)
    r2: Array = dataclasses.field(metadata=_PER_UNIT)
    p_value: Array | None = dataclasses.field(metadata=_PER_UNIT)
    p_maximum: Array | None = dataclasses.field(metadata=_PER_UNIT)
    q_value: Array | None = dataclasses.field(metadata=_PER_UNIT)
    option: Array = dataclasses.field(metadata=_PER_UNIT)
    null_counts: Array | None = dataclasses.field(metadata={"packed": True})
    mean_r: float
    mean_p: float | None

    def contradictions(self) -> Iterator[str]:
        arrays = {k: getattr(self, k) for k in ("r2", "p_value", "p_maximum", "q_value")}
        for name, array in arrays.items():
            if array is not None and array.shape != self.r.shape:
                yield f"{name} has shape {array.shape}, r {self.r.shape}"
        if self.null_counts is not None and self.null_counts.shape != (200,):
            yield f"null_counts has shape {self.null_counts.shape}"
        if self.option.ndim != 2 or self.option.shape[1:] != self.r.shape:
            yield f"option has shape {self.option.shape} for {self.r.shape} units"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Encoding(Result):
    """How well each layer of a model, or a model of several bands, predicts the responses of units it never saw.

    Attributes:
        x_name: What the features are of.
        responses_name: What the responses are of.
        method: ``"ridge"``, ``"banded_ridge"`` or ``"pls"``.
        scores: Layer or band -> `UnitScores`; of banded ridge one, ``"all bands"``.
        bands: Bands in the model: those of `scores`, or what ``"all bands"`` is of.
        dims: Features of each band.
        chosen: Scores of each unit from the layer that was chosen for it in the inner folds, which no held-out item
            took part in; None where there was one.
        preference: Number of the layer that most folds chose (units,); -1 for a unit that does not vary.
        agreement: Share of the folds that chose it (units,).
        weights: Banded ridge: weight of each band (bands, units), the mean over folds; each unit's sum to 1.
        unique: Banded ridge: R² of all bands minus R² without this band (bands, units), both held out; may be below 0.
        shared: R² of all bands that no band explains alone (units,): R² minus the sum of `unique`.
        reliability: Of the responses over repeats (units,), None without repeats; its root is the ceiling of r, itself
            the ceiling of R².
        reliability_p: p of no signal (units,).
        ceiling_kind: ``"signal_power"`` or ``"split_half"``.
        repeats: Repeats that the ceiling is from; 0 without.
        p_maximum: Of the best layer by its mean r over units, among all layers.
        n: Items.
        folds: Outer folds.
        inner_folds: Inner folds.
        options: Penalties, or numbers of components, that were tried.
        permutations: Permutations of the responses.
        null: ``"refit"`` or ``"predictions"``: what was permuted; ``""`` without.
        design: In words, what may change places.
        alpha: Rate of false discoveries under which a unit is called predicted.
        seed: Seed.
        notes: What else is to be known.
        provenance: How to make it again.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> layers = {name: rng.normal(size=(80, 5)) for name in ("early", "late")}
        >>> voxels = layers["late"] @ rng.normal(size=(5, 10)) + rng.normal(size=(80, 10))
        >>> found = iso.fit_encoding(layers, voxels, permutations=99)
        >>> found.best, found.layer_of(0), round(found.scores["late"].mean_r, 2)
        ('late', 'late', 0.75)
    """

    kind: ClassVar[str] = "encoding"

    x_name: str
    responses_name: str
    method: str
    scores: Mapping[str, UnitScores]
    bands: tuple[str, ...]
    dims: tuple[int, ...]
    chosen: UnitScores | None
    preference: Array | None = dataclasses.field(metadata={"packed": True})
    agreement: Array | None = dataclasses.field(metadata=_PER_UNIT)
    weights: Array | None = dataclasses.field(metadata=_PER_UNIT)
    unique: Array | None = dataclasses.field(metadata=_PER_UNIT)
    shared: Array | None = dataclasses.field(metadata=_PER_UNIT)
    reliability: Array | None = dataclasses.field(metadata=_PER_UNIT)
    reliability_p: Array | None = dataclasses.field(metadata=_PER_UNIT)
    ceiling_kind: str
    repeats: int
    p_maximum: float | None
    n: int
    folds: int
    inner_folds: int
    options: tuple[float, ...]
    permutations: int
    null: str
    design: str
    alpha: float
    seed: int
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def contradictions(self) -> Iterator[str]:
        if not self.scores:
            yield "it has no scores"
            return
        shape = (self.n_units,)
        for name, scores in self.scores.items():
            if scores.r.shape != shape:
                yield f"{name} has {scores.r.shape} units, others {shape}"
        for name in ("preference", "agreement", "shared", "reliability", "reliability_p"):
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                yield f"{name} has shape {array.shape} for {shape[0]} units"
        for name in ("weights", "unique"):
            array = getattr(self, name)
            if array is not None and array.shape != (len(self.bands), *shape):
                yield f"{name} has shape {array.shape} for {len(self.bands)} bands and {shape[0]} units"
        if len(self.dims) != len(self.bands):
            yield f"there are {len(self.dims)} dims for {len(self.bands)} bands"
        if self.preference is not None and self.preference.max(initial=-1) >= len(self.scores):
            yield "a unit prefers a layer that is not there"

    def __getitem__(self, name: str) -> UnitScores:
        """The scores of a layer, or of ``"chosen"``.

        Raises:
            KeyError: if there is none of that name; the names are given.
        """
        if name == CHOSEN and self.chosen is not None and name not in self.scores:
            return self.chosen
        if name not in self.scores:
            raise KeyError(f"no scores of {name!r}; there are {', '.join(self.scores)}")
        return self.scores[name]

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(next(iter(self.scores.values())).r)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers (or bands) that have scores."""
        return tuple(self.scores)

    @property
    def best(self) -> str:
        """The layer with the highest mean r over units; its p among all layers is `p_maximum`."""
        return max(self.scores, key=lambda name: self.scores[name].mean_r)

    @property
    def main(self) -> UnitScores:
        """Scores of each unit from the layer that was chosen for it, or from the only one there is."""
        return self.chosen if self.chosen is not None else next(iter(self.scores.values()))

    def layer_of(self, unit: int) -> str | None:
        """The layer that was chosen for a unit, or None if it does not vary."""
        if self.preference is None:
            return self.layers[0]
        return None if self.preference[unit] < 0 else self.layers[int(self.preference[unit])]

    @property
    def ceiling(self) -> Array | None:
        """Ceiling of r (units,): the root of the reliability; NaN where repeats share no signal (p above alpha)."""
        if self.reliability is None or self.reliability_p is None:
            return None
        with np.errstate(invalid="ignore"):
            there = (self.reliability_p <= self.alpha) & (self.reliability > 0)
            return np.where(there, np.sqrt(np.maximum(self.reliability, 0)), np.nan)

    def share(self, name: str | None = None) -> Array | None:
        """The share of its ceiling that r reaches (units,), NaN where there is no ceiling; chance may lift it above 1.

        Args:
            name: A layer, or None for the one chosen for each unit.

        Raises:
            KeyError: as indexing.
        """
        ceiling = self.ceiling
        return None if ceiling is None else (self.main if name is None else self[name]).r / ceiling

    @property
    def predicted(self) -> Array:
        """Whether each unit is predicted at a rate of false discoveries of alpha (units,), by `main`."""
        q = self.main.q_value
        if q is None:
            return np.zeros(self.n_units, dtype=bool)
        with np.errstate(invalid="ignore"):
            return np.asarray(q <= self.alpha)

    def preferred(self) -> dict[str, int]:
        """Layer -> how many predicted units prefer it; layers of units that nothing predicts mean nothing."""
        if self.preference is None:
            return {self.layers[0]: int(self.predicted.sum())}
        return {name: int(np.sum(self.predicted & (self.preference == k))) for k, name in enumerate(self.layers)}

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary a unit, with the scores of every layer."""
        columns = self.columns()
        return [
            dict(zip(columns, row, strict=True)) for row in zip(*(v.tolist() for v in columns.values()), strict=True)
        ]

    def columns(self) -> dict[str, Array]:
        """Everything that is known of each unit: name -> (units,)."""
        out: dict[str, Array] = {"unit": np.arange(self.n_units)}
        main = self.main
        for key in ("r", "r2", "p_value", "p_maximum", "q_value"):
            if getattr(main, key) is not None:
                out[key] = getattr(main, key)
        if self.preference is not None and self.agreement is not None:
            names = np.array([*self.layers, ""], dtype=object)
            out |= {"layer": names[self.preference], "agreement": self.agreement}
        if self.reliability is not None and self.ceiling is not None:
            out |= {"reliability": self.reliability, "ceiling": self.ceiling, "share": self.share()}  # type: ignore[dict-item]  # there is a ceiling
        if len(self.scores) > 1:
            for name, scores in self.scores.items():
                out |= {f"r[{name}]": scores.r, f"r2[{name}]": scores.r2}
        for key in ("weights", "unique"):
            rows = getattr(self, key)
            if rows is not None:
                out |= {f"{key}[{band}]": row for band, row in zip(self.bands, rows, strict=True)}
        if self.shared is not None:
            out["shared"] = self.shared
        return out

    def to_frame(self) -> Any:
        """The records as a pandas data frame, one row a unit.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        varying = int(np.isfinite(self.main.r).sum())
        lines = [
            f"Encoding of {self.responses_name} by {self.x_name}: {self.method}, {self.n_units:,} units, n={self.n:,}, "
            f"{self.folds} × {self.inner_folds} folds",
            *self._table(),
        ]
        if self.permutations:
            lines.append(
                f"  {int(self.predicted.sum()):,} of {varying:,} units are predicted (false discovery rate "
                f"{self.alpha:g}); p from {self.permutations} permutations ({self.null}), {self.design}"
            )
        if self.p_maximum is not None and len(self.scores) > 1:
            lines.append(f"  best layer by mean r: {self.best}, p among all layers {format_p(self.p_maximum)}")
        share = self.share()
        if share is not None and self.ceiling is not None:
            there = np.isfinite(share)
            middle = f", median share of it {np.median(share[there]):.0%}" if there.any() else ""
            lines.append(
                f"  ceiling ({self.ceiling_kind}, {self.repeats} repeats): {int(there.sum()):,} units have one{middle}"
            )
        for k, band in enumerate(self.bands):
            if self.weights is not None:
                alone = "" if self.unique is None else f", R² of its own {_mean(self.unique[k]):.3f}"
                lines.append(f"  band {band}: weight {_mean(self.weights[k]):.2f}{alone}")
        return "\n".join([*lines, *(f"  Note: {note}" for note in self.notes)])

    def _table(self) -> Iterator[str]:
        rows = [*self.scores.items(), *([(CHOSEN, self.chosen)] if self.chosen is not None else [])]
        width = max(5, *(len(name) for name, _ in rows))
        prefer = self.preferred() if self.preference is not None else {}
        yield f"  {'':<{width}}  mean r  median r  mean R²  p(mean)" + ("  preferred by" if prefer else "")
        for name, scores in rows:
            p = "" if scores.mean_p is None else format_p(scores.mean_p)
            by = f"  {prefer[name]:>12,}" if name in prefer and scores is not self.chosen else ""
            middle, r2 = float(np.nanmedian(scores.r)), _mean(scores.r2)
            yield f"  {name:<{width}}  {scores.mean_r:6.3f}  {middle:8.3f}  {r2:7.3f}  {p:>7}{by}".rstrip()


def _mean(values: Array) -> float:
    return float(np.nanmean(values, dtype=np.float64))
