"""Strategies: arrays, settings, texts and specs; valid, nearly valid and wild.

A case is drawn as a short recipe (kinds and numbers), so that its text is enough to make it again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

Draw = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class Features:
    """A recipe of an array; `make` follows it."""

    kind: str
    n: int = 12
    d: int = 3
    seed: int = 0
    power: int = 0

    def make(self) -> Any:
        rng = np.random.default_rng(self.seed)
        x = rng.normal(size=(self.n, self.d))
        with np.errstate(all="ignore"):
            return KINDS[self.kind](x, self.power, rng)


def _spoil(value: Any) -> Callable[..., Any]:
    def make(x: Any, power: int, rng: Any) -> Any:
        if x.size:
            x.flat[power % x.size] = value
        return x

    return make


def _torch(change: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def make(x: Any, power: int, rng: Any) -> Any:
        import torch

        return change(torch, torch.tensor(x))

    return make


def _frame(change: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def make(x: Any, power: int, rng: Any) -> Any:
        import pandas as pd

        return change(pd, pd.DataFrame(x, index=[f"i{k}" for k in range(len(x))]))

    return make


def _polars(x: Any, power: int, rng: Any) -> Any:
    import polars as pl

    return pl.DataFrame({f"c{j}": x[:, j] for j in range(x.shape[1])})


def _xarray(x: Any, power: int, rng: Any) -> Any:
    import xarray as xr

    return xr.DataArray(x, dims=("item", "feature"), coords={"item": [f"i{k}" for k in range(len(x))]})


class _Raises:
    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no array")


class _Lies:
    shape, ndim, dtype = (12, 3), 2, np.dtype("f8")

    def __len__(self) -> int:
        return 12


def _structured(x: Any, power: int, rng: Any) -> Any:
    return np.zeros(len(x), dtype=[("a", "f8"), ("b", "i4")])


def _cut(x: Any) -> Any:
    return x[:, :1]


GOOD: dict[str, Callable[..., Any]] = {
    "normal": lambda x, p, r: x,
    "float32": lambda x, p, r: x.astype("f4"),
    "float16": lambda x, p, r: x.astype("f2"),
    "whole": lambda x, p, r: (x * 10).astype("i8"),
    "small whole": lambda x, p, r: (x * 10).astype("i1"),
    "flags": lambda x, p, r: x > 0,
    "list": lambda x, p, r: x.tolist(),
    "big-endian": lambda x, p, r: x.astype(">f8"),
    "Fortran": lambda x, p, r: np.asfortranarray(x),
    "strided": lambda x, p, r: np.repeat(x, 2, axis=0)[::2][::-1],
    "read-only": lambda x, p, r: np.lib.stride_tricks.as_strided(x, writeable=False),
    "matrix": lambda x, p, r: np.asmatrix(x) if x.ndim == 2 else x,
    "torch": _torch(lambda t, x: x),
    "torch float32": _torch(lambda t, x: x.float()),
    "frame": _frame(lambda pd, f: f),
}
NEAR: dict[str, Callable[..., Any]] = {
    "scaled": lambda x, p, r: x * 10.0**p,
    "offset": lambda x, p, r: x + 10.0**p,
    "one scaled column": lambda x, p, r: x * np.where(np.arange(x.shape[1]) == 0, 10.0**p, 1),
    "one far item": lambda x, p, r: x * np.where(np.arange(len(x)) == 0, 10.0**p, 1)[:, None],
    "all equal": lambda x, p, r: np.full_like(x, 10.0**p),
    "zeros": lambda x, p, r: np.zeros_like(x),
    "twice": lambda x, p, r: x[np.arange(len(x)) // 2],
    "few values": lambda x, p, r: np.sign(x),
    "one dimension": lambda x, p, r: _cut(x) * np.ones(x.shape[1]),
    "constant column": lambda x, p, r: x * (np.arange(x.shape[1]) > 0),
    "one hot": lambda x, p, r: np.eye(len(x))[:, : x.shape[1]],
    "subnormal": lambda x, p, r: x * 5e-324,
    "largest": lambda x, p, r: np.sign(x) * np.finfo("f8").max,
    "largest float32": lambda x, p, r: (np.sign(x) * np.finfo("f4").max).astype("f4"),
    "largest float16": lambda x, p, r: (np.sign(x) * np.finfo("f2").max).astype("f2"),
    "huge whole": lambda x, p, r: (np.sign(x) * (2**62)).astype("i8"),
    "unsigned": lambda x, p, r: np.abs(x * 1e18).astype("u8"),
    "distances": lambda x, p, r: np.abs(x[:, None, 0] - x[None, :, 0]) if x.size else x,
    "stack of distances": lambda x, p, r: np.abs(x[None, :, None, 0] - x[None, None, :, 0]) if x.size else x,
    "long double": lambda x, p, r: x.astype(np.longdouble),
    "torch bfloat16": _torch(lambda t, x: x.bfloat16()),
    "torch half": _torch(lambda t, x: x.half()),
    "torch grad": _torch(lambda t, x: x.requires_grad_()),
    "torch NaN": _torch(lambda t, x: x * float("nan")),
    "torch scaled": _torch(lambda t, x: x.float() * 1e30),
    "frame of texts": _frame(lambda pd, f: f.astype(str)),
    "frame, ids twice": _frame(lambda pd, f: f.set_axis(["i"] * len(f))),
    "frame shuffled": _frame(lambda pd, f: f[::-1]),
    "frame with gaps": _frame(lambda pd, f: f.where(f > 0)),
    "polars": _polars,
    "xarray": _xarray,
}
WILD: dict[str, Callable[..., Any]] = {
    "NaN": _spoil(np.nan),
    "infinity": _spoil(np.inf),
    "complex": lambda x, p, r: x + 1j,
    "objects": lambda x, p, r: x.astype(object),
    "None inside": lambda x, p, r: np.where(x > 1, None, x),
    "huge objects": lambda x, p, r: np.array([[10**400 if v > 0 else 1 for v in row] for row in x], dtype=object),
    "texts": lambda x, p, r: x.astype(str),
    "bytes": lambda x, p, r: x.astype("S5"),
    "dates": lambda x, p, r: (x * 10).astype("i8").astype("M8[D]"),
    "spans": lambda x, p, r: (x * 10).astype("i8").astype("m8[s]"),
    "structured": _structured,
    "masked": lambda x, p, r: np.ma.masked_greater(x, 0.5),
    "0-d": lambda x, p, r: np.array(1.5),
    "1-d": lambda x, p, r: x.ravel(),
    "3-d": lambda x, p, r: x[:, :, None],
    "4-d": lambda x, p, r: x[None, :, :, None],
    "no items": lambda x, p, r: x[:0],
    "no features": lambda x, p, r: x[:, :0],
    "ragged": lambda x, p, r: [[1.0], [2.0, 3.0]],
    "nested": lambda x, p, r: [[[[1.0]]]],
    "number": lambda x, p, r: 3.5,
    "text": lambda x, p, r: "features.npy",
    "None": lambda x, p, r: None,
    "dictionary": lambda x, p, r: {"a": x},
    "empty dictionary": lambda x, p, r: {},
    "numbered dictionary": lambda x, p, r: {1: x, None: x},
    "set": lambda x, p, r: {1, 2},
    "generator": lambda x, p, r: (row for row in x),
    "function": lambda x, p, r: len,
    "type": lambda x, p, r: np.ndarray,
    "raises": lambda x, p, r: _Raises(),
    "lies": lambda x, p, r: _Lies(),
    "torch meta": _torch(lambda t, x: x.to("meta")),
    "torch sparse": _torch(lambda t, x: x.to_sparse()),
    "torch complex": _torch(lambda t, x: x + 1j),
    "torch flags": _torch(lambda t, x: x > 0),
    "torch nested": _torch(lambda t, x: t.nested.nested_tensor([x[:1], x[1:]]) if len(x) > 1 else x),
    "torch quantised": _torch(lambda t, x: t.quantize_per_tensor(x.float(), 0.1, 0, t.qint8)),
    "torch parameter": _torch(lambda t, x: t.nn.Parameter(x)),
    "series": _frame(lambda pd, f: f[0]),
    "empty frame": _frame(lambda pd, f: f.iloc[:, :0]),
    "frame of categories": _frame(lambda pd, f: f.astype(str).astype("category")),
    "frame of frames": _frame(lambda pd, f: pd.concat({"a": f, "b": f}, axis=1)),
}
KINDS = GOOD | NEAR | WILD


_MIXED = [list(GOOD)] * 5 + [list(NEAR)] * 3 + [list(WILD)]


def features(draw: Draw, most: int = 16) -> Features:
    """One array: most are good, a third nearly, the rest wild."""
    kind = draw(st.sampled_from(draw(st.sampled_from(_MIXED))))
    power = draw(
        st.sampled_from([-320, -200, -160, -100, -30, -12, -8, 0, 7, 8, 9, 12, 16, 30, 80, 150, 160, 200, 308])
    )
    n = draw(st.one_of(st.integers(min(8, most), most), st.integers(1, min(7, most))))
    return Features(kind, n, draw(st.integers(1, 6)), draw(st.integers(0, 9)), power)


def pair(draw: Draw, most: int = 16) -> tuple[Features, Features]:
    """Two arrays, mostly of as many items."""
    x, y = features(draw, most), features(draw, most)
    if draw(st.integers(0, 7)):
        y = dataclasses.replace(y, n=x.n)
    return x, y


HUGE = 10**9
ODD: Sequence[Any] = (
    *(None, True, False, 0, 1, 2, 3, 7, -1, 0.0, 0.5, 1.0, 1.5, -0.5, 1e-300, 1e300, 5e-324),
    *(HUGE, -HUGE, 2**31, 2**63, 2**64, 10**400, float("nan"), float("inf"), -float("inf")),
    *(
        "",
        "x",
        "label",
        "group",
        "ridge",
        "cka",
        "4GB",
        "1e9",
        "9" * 400,
        "nan",
        "-1",
        "\0",
        "\ud800",
        "a" * 5000,
        "=1+1",
    ),
    *(
        b"",
        b"x",
        [],
        [1],
        [None],
        [0, -1],
        [2, 2],
        ["a"] * 3,
        (),
        (1, 2),
        {},
        {"a": 1},
        {1: 2},
        {"x": None},
        set(),
        {1},
    ),
    *(np.int64(3), np.float64("nan"), np.array(2), np.array([1, 2]), np.array([]), np.bool_(True)),
    *(len, int, object(), Path("x"), slice(2), range(3), 1j, ...),
)


_NEARLY: Sequence[Any] = (None, True, False, 1, 2, 3, 10, 19, 0.1, 0.5, 0.9, 1.0, "label", "a", "item", ["a", "b"] * 12)


def odd(draw: Draw) -> Any:
    """A value that some setting of some verb does not expect."""
    return ODD[draw(st.integers(0, len(ODD) - 1))]


def settings_of(draw: Draw, names: Sequence[str], mild: dict[str, Any]) -> dict[str, Any]:
    """Settings of a verb: mild ones, of which up to two are replaced by odd values."""
    chosen = dict(mild)
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
        name = draw(st.sampled_from(list(names)))
        which = draw(st.integers(0, 4))
        if which == 0:
            chosen[name] = draw(st.sampled_from(list(mild.values())))  # a good value of another setting is a near miss
        else:
            chosen[name] = odd(draw) if which > 2 else draw(st.sampled_from(_NEARLY))
    return chosen


def told(**values: Any) -> str:
    """Arguments as text."""
    return ", ".join(f"{k}={repr(v)[:200]}" for k, v in values.items())


_WORDS = st.sampled_from(
    [
        *(
            "1",
            "0",
            "-1",
            "10",
            "1.5",
            "1e999",
            "-1e999",
            "9" * 30,
            "9" * 5000,
            "'a'",
            '""',
            "None",
            "True",
            "[]",
            "[1, 2]",
        ),
        *(
            "()",
            "{}",
            "{[]: 1}",
            "{'a': 1}",
            "b'x'",
            "1j",
            "...",
            "'\\x00'",
            "'\ud800'",
            "x",
            "f()",
            "lambda: 0",
            "[[[[]]]]",
        ),
        *(
            "-" * 3000 + "1",
            "(" * 500,
            "[" * 300 + "]" * 300,
            "'" + "a" * 3000 + "'",
            "{1, 2}",
            "1 if 1 else 2",
            "f'{1}'",
        ),
        *(
            "*[1]",
            "**{}",
            "k=1",
            "k=",
            "=",
            ",",
            "k=1, k=2",
            "__import__('os')",
            "0x10",
            "1_000",
            "nan",
            "inf",
            "'nan'",
        ),
    ]
)


def spec(draw: Draw, name: str, parameters: Mapping[str, Any]) -> str:
    """A spec: of a known name or not, with parameters that it may not have, and with spoiled characters.

    Args:
        draw: Hypothesis' own.
        name: A name that is known.
        parameters: Those that it has, with a good value each.
    """
    names = [name] * 24
    name = draw(st.sampled_from([*names, "", " ", "cka\0", "CKA", "no such", "é", "\ud800", "a" * 3000, "(", ".."]))
    form = draw(st.integers(0, 5))
    if form == 0:
        return name
    if form == 1:
        return draw(st.text(max_size=12))
    chosen = draw(st.lists(st.sampled_from([*parameters, "k", "no_such"]), max_size=2))
    values = [f"{p}={draw(_WORDS) if draw(st.integers(0, 2)) else repr(parameters.get(p, 1))}" for p in chosen]
    text = f"{name}({', '.join(values)})"
    if form == 2:
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at]
            + draw(st.sampled_from(["", "(", ")", ",", "=", "'", "\n", "#", ";", "\\", "@", "\0"]))
            + text[at + 1 :]
        )
    return text
