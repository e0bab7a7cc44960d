"""Stitches between two layers: their forms, and their fits in closed form.

A stitch maps rows, the feature vectors of one item at one position (token or pixel). Closed forms come from the first
and second moments of the rows, which are summed over batches in float64, so that memory does not grow with the items.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral
from typing import Any, Literal

from .._core.registry import bind, format_spec, parse_spec
from ..errors import InputError, UnknownNameError, quoted


@dataclasses.dataclass(frozen=True)
class Form:
    """What a stitch may be.

    Attributes:
        name: ``"linear"``, ``"conv1x1"`` or ``"low_rank"``.
        rank: Dimensions of the bottleneck, or None.
        axis: Axis of the features; None takes the second of (n, d) and (n, c, h, w) and the last of (n, t, d).
    """

    name: str
    rank: int | None = None
    axis: int | None = None

    @property
    def spec(self) -> str:
        """The spelling that makes it."""
        given = {"rank": self.rank, "axis": None if self.name == "conv1x1" else self.axis}
        return format_spec(self.name, {k: v for k, v in given.items() if v is not None})


def _linear(axis: int | None = None) -> Form:
    return Form("linear", None, axis)


def _conv1x1() -> Form:
    return Form("conv1x1", None, 1)


def _low_rank(rank: int = 16, axis: int | None = None) -> Form:
    if not isinstance(rank, Integral) or isinstance(rank, bool) or rank < 1:
        raise InputError(f"low_rank: rank={rank!r} must be a whole number of at least 1.")
    return Form("low_rank", int(rank), axis)


_FORMS: dict[str, Callable[..., Form]] = {"linear": _linear, "conv1x1": _conv1x1, "low_rank": _low_rank}


@dataclasses.dataclass(frozen=True)
class ClosedForm:
    """A stitch without training: ``identity``, ``least_squares`` or ``orthogonal``."""

    name: str

    @property
    def spec(self) -> str:
        """The spelling that makes it."""
        return self.name


@dataclasses.dataclass(frozen=True)
class Trained:
    """A stitch trained through the frozen top with the loss of its task (cross-entropy), by Adam with a cosine.

    Attributes:
        epochs: Passes over the training items.
        learning_rate: Of the first step; it falls to zero along a cosine.
        batch_size: Items in a step.
        init: ``"random"`` (Bansal et al. 2021) or ``"least_squares"`` (Csiszárik et al. 2021).
        norm: Batch normalisation before and after the linear part (Bansal et al. 2021); by default with a random
            start only.
    """

    epochs: int = 15
    learning_rate: float = 1e-3
    batch_size: int = 64
    init: Literal["random", "least_squares"] = "random"
    norm: bool | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
                raise InputError(f"task: {name}={value!r} must be a whole number of at least 1.")
        if isinstance(self.learning_rate, (str, bool)) or not 0 < self.learning_rate < float("inf"):
            raise InputError(f"task: learning_rate={self.learning_rate!r} must be a positive number.")
        if self.init not in ("random", "least_squares"):
            raise InputError(f"task: init={self.init!r} is not known; use 'random' or 'least_squares'.")
        if self.norm and self.init == "least_squares":
            raise InputError("task: norm=True has no start from least squares; use init='random' or norm=False.")

    @property
    def name(self) -> str:
        """``"task"``."""
        return "task"

    @property
    def normalized(self) -> bool:
        """Whether there are batch normalisations."""
        return self.init == "random" if self.norm is None else self.norm

    @property
    def spec(self) -> str:
        """The spelling that makes it."""
        return format_spec(
            "task", {f.name: v for f in dataclasses.fields(self) if (v := getattr(self, f.name)) != f.default}
        )


Fit = ClosedForm | Trained
_FITS: dict[str, Callable[..., Fit]] = {
    **{name: lambda name=name: ClosedForm(name) for name in ("identity", "least_squares", "orthogonal")},
    "task": Trained,
}


def read_form(spec: str) -> Form:
    """The form that a spec such as ``"low_rank(rank=8)"`` names.

    Raises:
        InputError: if it cannot be read, is not known or a parameter does not fit.
    """
    form: Form = _read(_FORMS, "stitch", spec)
    return form


def read_fits(specs: Any) -> list[Fit]:
    """The fits that one spec or several name, each once.

    Raises:
        InputError: as `read_form`, or if there is none.
    """
    if not isinstance(specs, str | Sequence):
        raise InputError(f"fit={quoted(specs)} must be a name such as 'least_squares', or a list of them.")
    fits = [_read(_FITS, "fit", s) for s in ([specs] if isinstance(specs, str) else list(specs))]
    if not fits:
        raise InputError("fit is empty; name at least one, such as 'least_squares'.")
    return list({f.spec: f for f in fits}.values())


def _read(known: dict[str, Callable[..., Any]], kind: str, spec: Any) -> Any:
    if not isinstance(spec, str):
        raise InputError(f"A {kind} is given by its name, found {type(spec).__name__}; known: {', '.join(known)}.")
    name, args, kwargs = parse_spec(spec, kind)
    if name not in known:
        raise UnknownNameError(kind, name, known)
    if name in ("identity", "least_squares", "orthogonal") and (args or kwargs):
        raise InputError(f"The fit {spec!r} does not fit: {name} has no parameters.")
    return bind(known[name], kind, spec, args, kwargs)


@dataclasses.dataclass(frozen=True)
class Layout:
    """How activations of the two layers are laid out as rows.

    Attributes:
        axis: Axis of the features.
        widths: Features of the bottom's layer and of the top's.
    """

    axis: int
    widths: tuple[int, int]

    @classmethod
    def of(cls, form: Form, x: tuple[int, ...], y: tuple[int, ...], cut: str) -> Layout:
        """The layout of activations of given shapes.

        Raises:
            InputError: if the stitch cannot join them.
        """
        if len(x) != len(y) or len(x) < 2:
            raise InputError(
                f"{cut}: the bottom's activations are {_shape(x)} and the top's {_shape(y)}; a stitch needs as many "
                "axes on both sides, at least (n, d). Cut at layers of one kind."
            )
        if form.name == "conv1x1" and len(x) < 3:
            raise InputError(f"{cut}: conv1x1 needs maps (n, channels, …), found {_shape(x)}; use stitch='linear'.")
        axis = form.axis if form.axis is not None else (-1 if len(x) == 3 else 1)
        if not isinstance(axis, Integral) or not -len(x) < axis < len(x) or axis == 0:
            raise InputError(f"{cut}: there is no feature axis {axis!r} in {_shape(x)}.")
        axis = axis % len(x)
        if any(a != b for i, (a, b) in enumerate(zip(x, y, strict=True)) if i not in (0, axis)):
            raise InputError(
                f"{cut}: the bottom's activations are {_shape(x)} and the top's {_shape(y)}; only the features "
                f"(axis {axis}) may differ. Cut where both have the same positions (resolution, tokens)."
            )
        if form.rank is not None and form.rank > min(x[axis], y[axis]):
            raise InputError(f"{cut}: rank={form.rank} is above the widths, {x[axis]} and {y[axis]} features.")
        return cls(axis, (x[axis], y[axis]))

    def rows(self, activations: Any) -> Any:
        """Activations as rows (items × positions, d)."""
        moved = activations.movedim(self.axis, -1)
        return moved.reshape(-1, moved.shape[-1])

    def back(self, rows: Any, like: Any) -> Any:
        """Rows as activations with the positions of `like`."""
        shape = like.movedim(self.axis, -1).shape[:-1]
        return rows.reshape(*shape, rows.shape[-1]).movedim(-1, self.axis)


@dataclasses.dataclass
class RowMoments:
    """Means and centred second moments of paired rows, in float64."""

    n: int
    x_mean: Any
    y_mean: Any
    xx: Any
    xy: Any
    yy: Any

    @classmethod
    def of(cls, pairs: Iterable[tuple[Any, Any]], cut: str) -> RowMoments:
        """Sum up paired rows, batch by batch, about the mean of the first batch so that an offset costs no digits.

        Raises:
            InputError: if activations are not finite.
        """
        n, totals, offset = 0, None, None
        for pair in pairs:
            x, y = (rows.double() for rows in pair)
            for side, rows in (("bottom", x), ("top", y)):
                if not bool(rows.isfinite().all()):
                    raise InputError(f"{cut}: the {side}'s activations are not finite; cut at another layer.")
            offset = offset or (x.mean(0), y.mean(0))
            x, y = x - offset[0], y - offset[1]
            new = [x.sum(0), y.sum(0), x.T @ x, x.T @ y, y.T @ y]
            totals = new if totals is None else [a + b for a, b in zip(totals, new, strict=True)]
            n += len(x)
        assert totals is not None  # there is at least one batch
        assert offset is not None
        mx, my = totals[0] / n, totals[1] / n
        return cls(
            n,
            offset[0] + mx,
            offset[1] + my,
            totals[2] - n * mx[:, None] * mx,
            totals[3] - n * mx[:, None] * my,
            totals[4] - n * my[:, None] * my,
        )


def solve(fit: str, form: Form, m: RowMoments, cut: str) -> tuple[list[Any], Any]:
    """Matrices whose product C minimises the error of ``y ≈ x C + b``, and b.

    Least squares: the solution of smallest norm. Low rank: reduced-rank regression (Izenman 1975). Orthogonal: the
    partial isometry between the centred rows (Schönemann 1966), cut to the leading `rank` pairs of directions.

    Raises:
        InputError: if the rank is above that of the fit.
    """
    import torch

    if fit == "orthogonal":
        left, s, right = torch.linalg.svd(m.xy, full_matrices=False)
        size = float(m.xx.trace() * m.yy.trace()) ** 0.5
        rank = min(int((s > size * max(m.xy.shape) * torch.finfo(s.dtype).eps).sum()), m.n - 1)
        factors = [left[:, :rank], right[:rank]]
    else:
        values, vectors = torch.linalg.eigh(m.xx)
        kept = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
        rank = int(kept.sum())
        coef = vectors[:, kept] / values[kept] @ (vectors[:, kept].T @ m.xy)
        if form.rank is None:
            return [coef], m.y_mean - m.x_mean @ coef
        _, s, right = torch.linalg.svd(values[kept].rsqrt()[:, None] * (vectors[:, kept].T @ m.xy), full_matrices=False)
        factors = [coef @ right.T, right]
    if form.rank is not None:
        if form.rank > rank:
            raise InputError(
                f"{cut}: rank={form.rank} needs activations of at least that rank, found {rank} over {m.n} rows; "
                "lower rank or give more items."
            )
        factors = [factors[0][:, : form.rank], factors[1][: form.rank]]
    return factors, m.y_mean - m.x_mean @ factors[0] @ factors[1]


def as_module(factors: list[Any], bias: Any, like: Any) -> Any:
    """Row-wise linear layers with the given matrices, the bias on the last."""
    import torch

    layers = []
    for i, factor in enumerate(factors):
        last = i == len(factors) - 1
        layer = torch.nn.utils.skip_init(torch.nn.Linear, *factor.shape, bias=last)
        layer.weight.data = factor.T.contiguous().to(like)
        if last:
            layer.bias.data = bias.to(like)
        layers.append(layer)
    return torch.nn.Sequential(*layers)


def untrained(form: Form, layout: Layout, norm: bool, like: Any) -> Any:
    """Row-wise layers for training, drawn from torch's generator: ``norm - linear - norm`` or ``linear``."""
    import torch

    x, y = layout.widths
    nn = torch.nn
    linear = [nn.Linear(x, y)] if form.rank is None else [nn.Linear(x, form.rank, bias=False), nn.Linear(form.rank, y)]
    layers = [nn.BatchNorm1d(x), *linear, nn.BatchNorm1d(y)] if norm else linear
    return nn.Sequential(*layers).to(like)


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['n', *map(str, shape[1:])])})"
