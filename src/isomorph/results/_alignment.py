"""One metric over every pair of layers: scores, each with its chance level, and what they are held against."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, TypedDict

import numpy as np

from ..errors import InputError, UnknownNameError
from ._about import about_variant
from ._base import Result
from ._grids import dataset
from ._numbers import format_p
from ._tables import frame

Matrix = np.ndarray[Any, Any]

EFFECTS = ((0.1, "tiny"), (0.3, "small"), (0.5, "moderate"))


class Best(NamedTuple):
    """The best pair of layers, with the p of the maximum over all pairs.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> scan = iso.scan(x, x + noise, "cka", permutations=20)
        >>> best = scan["cka"].best()
        >>> best.x_layer, round(best.value, 2), round(best.p_maximum, 3)
        ('x', 0.54, 0.048)
    """

    x_layer: str
    y_layer: str
    value: float
    chance: float
    p_value: float
    p_maximum: float
    calibrated: float | None


class HeldOut(TypedDict):
    """The pair of layers chosen on one part of the items and scored on the other.

    ``value``, ``chance`` and ``p_value`` are of the ``n_score`` items that judged; one pair was tested, so the p needs
    no correction. ``selection_value`` is the score on the ``n_selection`` items that chose, biased upwards
    by the selection.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> scan = iso.scan([noise, x], x + noise, "cka", permutations=20, selection="split")
        >>> found = scan["cka"].held_out
        >>> found["x_layer"], found["n_selection"], found["n_score"], round(found["value"], 2)
        ('layer_01', 30, 30, 0.58)
    """

    x_layer: str
    y_layer: str
    value: float
    chance: float
    p_value: float
    selection_value: float
    n_selection: int
    n_score: int
    null: str


class WithinMargin(TypedDict, total=False):
    """Whether a difference is none but for a margin: two one-sided tests at alpha, by the interval at 1 - 2 alpha.

    There only if a margin was asked for (``equivalence=``); equivalent means that ``margin_low`` to ``margin_high``
    lies between -margin and margin (Schuirmann 1987).
    """

    margin: float
    margin_low: float
    margin_high: float


class Tested(WithinMargin):
    """The best pair of a baseline, and the difference of the scan's best to it, paired over the items.

    Bounds and two-sided p hold for all pairs of layers at once, of which these were chosen on the same items. A p above
    alpha says that the difference was not shown, not that there is none.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> scan = iso.scan(x, x + noise, "cka", permutations=20, x_baselines={"random": noise[::-1]})
        >>> found = scan["cka"].against["random x"]
        >>> round(found["difference"], 2), round(found["low"], 2), round(found["high"], 2)
        (0.57, 0.5, 0.64)
    """

    value: float
    chance: float
    x_layer: str
    y_layer: str
    difference: float
    low: float
    high: float
    p_value: float
    method: str


class Ceiling(TypedDict):
    """The best pair of a ceiling.

    ``share``: where the scan's best pair lies between chance (0) and the ceiling (1); None if the ceiling is not above
    chance.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> scan = iso.scan(x, x + noise, "cka", permutations=20, x_ceilings={"other seed": x + 0.1 * noise})
        >>> found = scan["cka"].ceilings["other seed x"]
        >>> round(found["value"], 2), round(found["share"], 2)
        (0.99, 0.55)
    """

    value: float
    chance: float
    x_layer: str
    y_layer: str
    p_maximum: float
    share: float | None


AT_CEILING = "at the ceiling"
"""Verdict on a layer that scores no less than the lower noise ceiling."""


class SubjectCeiling(TypedDict):
    """How high a model could score with the RDMs of several subjects, and how high each layer of the other side does.

    ``lower`` and ``upper`` noise ceilings are means over subjects (`iso.noise_ceiling`), ``p_value`` that of subjects
    who share nothing. ``score``, its standard ``error`` over subjects, ``share`` of the lower ceiling, ``p_below`` and
    ``verdict`` have one entry a layer of the other side; ``share`` is None where the ceiling is not beyond chance or
    chance is not 0, and ``error`` in files of earlier versions.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(30, 5))
        >>> from isomorph.metrics.rdm import compute_rdm
        >>> brains = [compute_rdm(x + rng.normal(size=x.shape), "euclidean") for _ in range(6)]
        >>> rdms = iso.RDMs.from_arrays(brains, subjects=list("abcdef"))
        >>> scan = iso.scan(rdms, {"truth": x, "part": x[:, :2]}, "rsa(dissimilarity='euclidean')", permutations=99)
        >>> found = next(iter(scan.values())).noise_ceilings["x"]
        >>> round(found["lower"], 2), found["share"].round(2).tolist(), found["verdict"]
        (0.3, [1.31, 0.82], ('at the ceiling', 'below the ceiling'))
    """

    subjects: int
    lower: float
    upper: float
    chance: float
    p_value: float
    permutations: int
    score: Matrix
    error: Matrix | None
    share: Matrix | None
    p_below: Matrix
    verdict: tuple[str, ...]


class Permuted(TypedDict):
    """The best of all pairs with the items paired at random: ``quantile`` is reached with probability 1 - ``level``.

    ``quantiles``: the distribution, from its lowest value to its highest at equal steps of probability; None in files
    of earlier versions.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = iso.scan(x, x + noise, "cka", permutations=99)["cka"].permuted
        >>> found["level"], round(found["quantile"], 2)
        (0.95, 0.03)
    """

    mean: float
    quantile: float
    level: float
    quantiles: Matrix | None


class Gallery(TypedDict):
    """The score of the best pair against the number of items ``n``: arrays of one number a size.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> scan = iso.scan(x, x + noise, "mutual_knn(k=5)", permutations=20, gallery=[20, 40])
        >>> found = scan["mutual_knn(k=5)"].gallery
        >>> found["n"].tolist(), found["chance"].round(2).tolist()  # chance is high among few items
        ([20, 40], [0.26, 0.13])
    """

    n: Matrix
    value: Matrix
    spread: Matrix
    chance: Matrix
    above_chance: Matrix


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Alignment(Result):
    """One metric over all pairs of layers; every array has shape (len(x_layers), len(y_layers)).

    Attributes:
        metric: Short spec of the metric, such as ``"mutual_knn(k=10)"``.
        variant: Full spec, with every parameter.
        spellings: The shortest spec, and other names that mean this variant.
        distance: Whether lower scores are more alike.
        range: Lowest and highest possible score, None where there is no bound.
        meaning: What the metric measures.
        expected: The expected score of unrelated representations, in words or a formula of n, d, k.
        reference: Where the metric is from.
        x_layers: Names of the layers of `x`.
        y_layers: Names of the layers of `y`.
        values: Scores; higher means more alike unless the metric is named a distance.
        chance: Expected score when the items are paired at random.
        p_value: One-sided p of each pair alone.
        p_family: p of each pair adjusted for having looked at all pairs (maximum statistic; Bonferroni where the exact
            null alone was used), or None.
        calibrated: Score over the chance threshold, max((s - τ) / (s_max - τ), 0) with τ the (1 - α) quantile of the
            null and the observation (Aristotelian, ICML 2026), or None where it was not sampled.
        threshold: That τ, or None.
        interval: Lower and upper confidence bounds, shape (…, 2), NaN for single pairs without; None if all are.
        held_out: The pair chosen on one part of the items and scored on the other (`HeldOut`), or None if it was not
            asked for.
        against: Baseline -> its best pair beside that of the scan (`Tested`).
        ceilings: Ceiling -> its best pair, and which share of the way to it the scan's goes (`Ceiling`).
        noise_ceilings: Side (``"x"``, ``"y"``) that is RDMs of several subjects -> how high a model could score with
            them, and how high the layers of the other side do (`SubjectCeiling`).
        permuted: The best of all pairs of layers with the items paired at random (`Permuted`); None where it was not
            sampled.
        gallery: The score of the best pair against the number of items (`Gallery`), or None if it was not asked for.
        n: Number of items.
        x_dims: Features of each layer of `x`.
        y_dims: Features of each layer of `y`.
        p_maximum: p of the highest score of all pairs.
        permutations: How many shared permutations were sampled.
        alpha: The level of `threshold` and of the interval.
        null: Where `chance` and `p_value` come from.
        maximum_from: Where `p_maximum` comes from.
        provenance: How to make it again.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> scan = iso.scan({"first": noise, "last": x}, x + noise, ["cka"], permutations=20)
        >>> found = scan["cka"]
        >>> found.best().x_layer, round(found.best().value, 2), round(found.best().chance, 2)
        ('last', 0.54, 0.0)
        >>> found.values.round(2).tolist()  # layers of x by layers of y
        [[0.43], [0.54]]
    """

    kind: ClassVar[str] = "alignment"

    metric: str
    variant: str
    x_layers: tuple[str, ...]
    y_layers: tuple[str, ...]
    values: Matrix
    chance: Matrix
    p_value: Matrix
    n: int
    x_dims: tuple[int, ...]
    y_dims: tuple[int, ...]
    p_maximum: float
    permutations: int = 0
    alpha: float = 0.05
    p_family: Matrix | None = None
    calibrated: Matrix | None = None
    threshold: Matrix | None = None
    interval: Matrix | None = dataclasses.field(default=None, metadata={"gaps": True})
    held_out: HeldOut | None = None
    against: Mapping[str, Tested] = dataclasses.field(default_factory=dict)
    ceilings: Mapping[str, Ceiling] = dataclasses.field(default_factory=dict)
    noise_ceilings: Mapping[str, SubjectCeiling] = dataclasses.field(default_factory=dict)
    permuted: Permuted | None = None
    gallery: Gallery | None = None
    null: str = ""
    maximum_from: str = ""
    distance: bool = False
    range: tuple[float | None, float | None] = (None, None)
    spellings: tuple[str, ...] = ()
    meaning: str = ""
    expected: str = ""
    reference: str = ""
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def upgraded(cls, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields of a file, with those that files of earlier versions do not hold."""
        bounds = fields.get("noise_ceilings", {})
        if isinstance(bounds, Mapping) and all(isinstance(v, Mapping) for v in bounds.values()):
            fields = {**fields, "noise_ceilings": {side: {"error": None, **v} for side, v in bounds.items()}}
        if isinstance(found := fields.get("permuted"), Mapping):
            fields = {**fields, "permuted": {**found, "quantiles": found.get("quantiles")}}
        if "distance" in fields:
            return fields
        return {**about_variant(str(fields.get("variant", ""))), **fields}

    def share(self, value: float, chance: float) -> float | None:
        """How far a score is from chance (0) towards the end of its range (1); None where the range has no end."""
        end = self.end
        return (value - chance) / (end - chance) if math.isfinite(end) and end != chance else None

    @property
    def effect(self) -> str:
        """The size of the best pair's score in words, by its share of the way from chance to the best possible.

        ``"tiny"`` below 0.1, ``"small"`` below 0.3, ``"moderate"`` below 0.5, else ``"large"``: the cut points that
        Cohen (1988) gives for correlations, a convention that says how to read a share and decides nothing. Empty
        where the range has no end.
        """
        best = self.best()
        share = self.share(best.value, best.chance)
        return "" if share is None else next((word for cut, word in EFFECTS if share < cut), "large")

    @property
    def end(self) -> float:
        """The score of what is as alike as can be; infinite where the range has no such end."""
        bound = self.range[0] if self.distance else self.range[1]
        return (-math.inf if self.distance else math.inf) if bound is None else bound

    def __post_init__(self) -> None:
        for name in ("values", "chance", "p_value", "p_family", "calibrated", "threshold", "interval"):
            array = getattr(self, name)
            wanted = (*self.shape, 2) if name == "interval" else self.shape
            if array is not None and array.shape != wanted:
                raise InputError(f"{self.metric}: {name} of shape {array.shape} does not fit layers {wanted}.")
        if not self.values.size:
            raise InputError(f"{self.metric}: an alignment needs at least one pair of layers.")

    def contradictions(self) -> Iterator[str]:
        for side, layers, dims in (("x", self.x_layers, self.x_dims), ("y", self.y_layers, self.y_dims)):
            if len(layers) != len(dims):
                yield f"there are {len(dims)} {side}_dims for {len(layers)} layers"
        sizes = {len(np.ravel(v)) for v in self.gallery.values()} if self.gallery else set()  # type: ignore[call-overload]  # a TypedDict of arrays
        if len(sizes) > 1:
            yield "the parts of its gallery have unlike lengths"
        for side, found in self.noise_ceilings.items():
            layers = {"x": self.y_layers, "y": self.x_layers}.get(side, ())
            if {len(found[k]) for k in ("score", "p_below", "verdict")} != {len(layers)}:
                yield f"its noise ceiling of {side} is not of the {len(layers)} layers of the other side"
        steps = None if self.permuted is None else self.permuted["quantiles"]
        if steps is not None and (np.ndim(steps) != 1 or len(steps) < 2 or (np.diff(steps) < 0).any()):
            yield "the quantiles of its permuted pairs do not rise"
        if self.gallery is not None and np.min(self.gallery["n"], initial=1) < 1:
            yield "a size of its gallery is no number of items"

    @property
    def shape(self) -> tuple[int, int]:
        """(number of x layers, number of y layers)."""
        return len(self.x_layers), len(self.y_layers)

    def best(self) -> Best:
        """The highest score (the lowest, for a distance) of all pairs, with the p of that maximum."""
        flat = int(np.argmin(self.values) if self.distance else np.argmax(self.values))
        i, j = np.unravel_index(flat, self.values.shape)
        return Best(
            self.x_layers[i],
            self.y_layers[j],
            float(self.values[i, j]),
            float(self.chance[i, j]),
            float(self.p_value[i, j]),
            float(self.p_maximum),
            None if self.calibrated is None else float(self.calibrated[i, j]),
        )

    def at(self, x_layer: str, y_layer: str) -> dict[str, Any]:
        """Everything about one pair of layers.

        Raises:
            UnknownNameError: if there is no such layer.
        """
        for layer, layers in ((x_layer, self.x_layers), (y_layer, self.y_layers)):
            if layer not in layers:
                raise UnknownNameError("layer", layer, layers)
        return self._record(self.x_layers.index(x_layer), self.y_layers.index(y_layer))

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary a pair of layers, row by row."""
        rows, columns = self.shape
        return [self._record(i, j) for i in range(rows) for j in range(columns)]

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def to_xarray(self) -> Any:
        """The matrices as a dataset of xarray, with dimensions ``x_layer`` and ``y_layer``.

        Variables are ``value``, ``chance``, ``p_value`` and, where the alignment holds them, ``p_family``,
        ``calibrated``, ``threshold``, ``low`` and ``high``; attributes are the settings.

        Raises:
            MissingExtraError: if xarray is not installed.

        Example:
            >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
            >>> scan = iso.scan({"first": noise, "last": x}, x + noise, "cka", permutations=20)
            >>> round(float(scan["cka"].to_xarray().value.sel(x_layer="last").item()), 2)
            0.54
        """
        dims = ("x_layer", "y_layer")
        settings = {
            k: getattr(self, k) for k in ("metric", "n", "permutations", "alpha", "p_maximum", "distance", "null")
        }
        grids = {name: (dims, grid) for name, grid in self.grids().items()}
        return dataset(grids, dict(zip(dims, (self.x_layers, self.y_layers), strict=True)), settings)

    def grids(self) -> dict[str, Matrix | None]:
        """Every matrix over pairs of layers by its name; None for those that the alignment does not hold."""
        low, high = (None, None) if self.interval is None else (self.interval[..., 0], self.interval[..., 1])
        named = {k: getattr(self, k) for k in ("chance", "p_value", "p_family", "calibrated", "threshold")}
        return {"value": self.values, **named, "low": low, "high": high}

    def _record(self, i: int, j: int) -> dict[str, Any]:
        record: dict[str, Any] = {
            "metric": self.metric,
            "x_layer": self.x_layers[i],
            "y_layer": self.y_layers[j],
            "n": self.n,
            "x_dim": self.x_dims[i],
            "y_dim": self.y_dims[j],
        }
        for name in ("values", "chance", "p_value", "p_family", "calibrated", "threshold"):
            array = getattr(self, name)
            record["value" if name == "values" else name] = None if array is None else float(array[i, j])
        low, high = self.bounds(i, j) or (None, None)
        return record | {"low": low, "high": high, "permutations": self.permutations}

    def bounds(self, i: int, j: int) -> tuple[float, float] | None:
        """Confidence bounds of the pair of the i-th layer of x and the j-th of y, or None if it has none."""
        low, high = (math.nan, math.nan) if self.interval is None else map(float, self.interval[i, j])
        return None if math.isnan(low) or math.isnan(high) else (low, high)

    def __repr__(self) -> str:
        b = self.best()
        return (
            f"Alignment({self.metric}, {self.shape[0]} × {self.shape[1]} layers, n={self.n}: best {b.value:.4f} at "
            f"{b.x_layer} × {b.y_layer}, chance {b.chance:.4f}, p of the maximum {format_p(b.p_maximum)})"
        )
