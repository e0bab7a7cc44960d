"""Damage to valid files: cut, flipped, doubled, lying, nested, huge."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[Any], Any]
_TEXTS = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1", "0", "null", "true", '""', "[]", "{}", "9" * 400, "1e308"),
    *("0.5",),
    *(
        '"\\u0000"',
        '"\\ud800"',
        '"x"',
        "[[]]",
        '{"a":1}',
        "[" * 3000,
        '{"a":' * 3000,
        "-0.0",
        "1.5",
        "18446744073709551616",
    ),
)


def damaged(draw: Draw, good: bytes, others: tuple[bytes, ...] = ()) -> bytes:
    """A file with one to three faults of any kind; now and then it is left whole."""
    data = good
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 1, 2, 3]))):
        data = draw(st.sampled_from(FAULTS))(draw, data, others)
    return data


def _cut(draw: Draw, data: bytes, others: tuple[bytes, ...]) -> bytes:
    return data[: draw(st.integers(0, len(data)))]


def _flip(draw: Draw, data: bytes, others: tuple[bytes, ...]) -> bytes:
    if not data:
        return data
    at = draw(st.one_of(st.integers(0, len(data) - 1), st.integers(0, min(200, len(data) - 1))))
    return data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :]


def _insert(draw: Draw, data: bytes, others: tuple[bytes, ...]) -> bytes:
    at = draw(st.integers(0, len(data)))
    return data[:at] + draw(st.binary(max_size=8)) + data[at + draw(st.integers(0, 4)) :]


def _head(draw: Draw, data: bytes, others: tuple[bytes, ...]) -> bytes:
    """The beginning of another file."""
    other = draw(st.sampled_from([*others, b"", b"\x93NUMPY", b"PK\x03\x04", b"\xff" * 8, b"\0" * 64, b"\xef\xbb\xbf"]))
    return other[: draw(st.integers(0, min(64, len(other))))] + data[draw(st.integers(0, min(64, len(data)))) :]


def _twice(draw: Draw, data: bytes, others: tuple[bytes, ...]) -> bytes:
    return data + data[draw(st.integers(0, len(data))) :]


def _number(draw: Draw, data: bytes, others: tuple[bytes, ...]) -> bytes:
    """Another number where digits stand: lying shapes, lengths, values."""
    found = list(re.finditer(rb"\d+", data[:20_000]))
    if not found:
        return data
    at = found[draw(st.integers(0, len(found) - 1))]
    new = draw(
        st.sampled_from([b"0", b"1", b"2", b"7", b"-1", b"9" * 9, b"9" * 19, b"9" * 40, b"1e9", b"1.5", b"null", b"''"])
    )
    return data[: at.start()] + new + data[at.end() :]


def _word(draw: Draw, data: bytes, others: tuple[bytes, ...]) -> bytes:
    """A value of a text changed for another: wrong types, deep nesting, huge numbers."""
    found = list(re.finditer(rb'"[^"\n]{0,40}"|(?<=[:,= ])[\w.+-]+', data[:20_000]))
    if not found:
        return data
    at = found[draw(st.integers(0, len(found) - 1))]
    return data[: at.start()] + draw(st.sampled_from(_TEXTS)).encode() + data[at.end() :]


def _line(draw: Draw, data: bytes, others: tuple[bytes, ...]) -> bytes:
    """A line left out, or there twice: keys and ids that are missing or doubled."""
    lines = data.split(b"\n")
    at = draw(st.integers(0, len(lines) - 1))
    lines[at : at + 1] = [lines[at]] * draw(st.sampled_from([0, 2, 2]))
    return b"\n".join(lines)


FAULTS = (_cut, _flip, _insert, _head, _twice, _number, _word, _word, _line)


def edited(draw: Draw, value: Any) -> Any:
    """A JSON value with one place in it changed: removed, renamed, of another type, doubled, nested, out of range."""
    value = json.loads(json.dumps(value))
    where, key, holder = value, None, None
    while isinstance(where, dict | list) and where and (holder is None or draw(st.integers(0, 4))):
        holder = where
        key = draw(st.sampled_from(sorted(where))) if isinstance(where, dict) else draw(st.integers(0, len(where) - 1))
        where = where[key]
    new = draw(st.sampled_from(_VALUES))
    if holder is None:
        return new
    if isinstance(holder, dict) and draw(st.integers(0, 5)) == 0:
        holder[draw(st.sampled_from(["x", "", "kind", "\ud800", "n"]))] = holder.pop(key)
    elif draw(st.integers(0, 5)) == 0:
        del holder[key]
    elif isinstance(holder, list) and draw(st.integers(0, 3)) == 0:
        holder.append(where)
    else:
        holder[key] = new if draw(st.integers(0, 5)) else [where, where]
    return value


_DEEP: Any = []
for _ in range(60):
    _DEEP = [_DEEP]
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 10**9, 2**63, 10**30, 10**150, 10**400, 0.5, -0.5, 1.5, 1e308, -1e308),
    *(float("nan"), float("inf"), -float("inf")),
    *("", "x", "a" * 2000, "\0", "\ud800", "<script>", "=1+1", [], [1], [[]], {}, {"kind": "scan"}, {"a": 1}, _DEEP),
    *([None, 1.0], ["a", "a"], {"kind": "array", "dtype": "<f8", "shape": [1], "data": [1.0]}),
    *(
        {"kind": "array", "dtype": "O", "shape": [1], "data": ["x"]},
        {"kind": "array", "dtype": "<f8", "shape": [], "data": [2.0]},
    ),
)
