"""Numbers and names as people read them."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..results import LEAST_P

DASH = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# what XML 1.0 cannot hold at all, and lone surrogates, which UTF-8 cannot
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def printable(text: object) -> str:
    """Any object as text that both HTML and XML can hold; what they cannot becomes U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", str(text))


def number(value: float | None) -> str:
    """A score: three decimals, three digits when large, a dash when there is none."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:.3f}" if abs(value) < 100 else f"{value:.3g}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def percent(share: float) -> str:
    """A share: ``62 %``."""
    return f"{100 * share:.0f}\u00a0%".replace("-", "−")


def signed(value: float | None) -> str:
    """A difference: a score with its sign."""
    shown = number(value)
    return f"+{shown}" if shown[0].isdigit() and float(shown) > 0 else shown


def p_text(p: float | None) -> str:
    """A p-value: two significant digits, powers of ten when small, a dash when there is none."""
    if p is None or not math.isfinite(p):
        return DASH
    if p < LEAST_P:
        return f"< 10{str(round(math.log10(LEAST_P))).translate(_SUPERSCRIPT)}"
    if p >= 0.00095:
        return f"{p:.2g}"
    mantissa, exponent = f"{p:.1e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def p_equals(p: float | None) -> str:
    """``p = 0.01``."""
    shown = p_text(p)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"


def times_chance(value: float, chance: float) -> str:
    """How many times chance a score is, or a dash where chance is too near zero for a ratio to mean anything."""
    if not (math.isfinite(value) and math.isfinite(chance)) or chance < 1e-3 or value < 0:
        return DASH
    ratio = value / chance
    return f"{ratio:.1f} ×" if ratio < 100 else f"{ratio:.0f} ×"


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Full model names -> names without provider, organisation and folders, where that keeps them apart."""
    full = list(dict.fromkeys(names))
    short = {name: _short(name) for name in full}
    taken = list(short.values())
    return {name: s if taken.count(s) == 1 else printable(name) for name, s in short.items()}


def _short(name: str) -> str:
    base, _, options = printable(name).partition("?")
    base = re.sub(r"^[a-z_]+:(?!//)", "", base).rstrip("/")
    base = base.rsplit("/", 1)[-1] or printable(name)
    untrained = [o for o in options.split("&") if o == "init=random"]
    rest = [o for o in options.split("&") if o and o != "init=random"]
    return ", ".join([base, *(["untrained"] if untrained else []), *rest])


def layer_labels(layers: Sequence[str], width: int = 14) -> tuple[list[str], str]:
    """Axis labels for layers, and the pattern that their numbers stand for.

    ``("embedding", "layer_1", "layer_2")`` becomes ``(["emb", "1", "2"], "layer_#")``.
    """
    parts = [re.fullmatch(r"(.*?)(\d+)(\D*)", printable(name), re.DOTALL) for name in layers]
    stems = {(m[1], m[3]) for m in parts if m}
    one = len(stems) == 1 and sum(m is not None for m in parts) > 1
    labels = []
    for name, match in zip(layers, parts, strict=True):
        label = str(int(match[2])) if one and match else _known(printable(name))
        half = width // 2 - 1
        labels.append(label if len(label) <= width else f"{label[:half]}…{label[-half:]}")
    if len(set(labels)) < len(labels):  # thinning made two layers look alike: numbers in order then
        return [str(i) for i in range(len(layers))], "# in order"
    stem = next(iter(stems)) if one else ("", "")
    return labels, f"{stem[0]}#{stem[1]}" if one and any(stem) else ""


def _known(label: str) -> str:
    return {"embedding": "emb", "embeddings": "emb", "input": "in", "output": "out"}.get(label, label)


def slug(*parts: object) -> str:
    """A file name from any texts: ASCII letters, digits and hyphens. Long ones end in a hash that keeps them apart."""
    words = re.sub(r"[^a-z0-9.]+", "-", "-".join(map(str, parts)).lower()).strip("-.")
    if len(words) > 80:
        words = f"{words[:72].rstrip('-.')}-{hashlib.sha256(words.encode()).hexdigest()[:7]}"
    return words or "figure"


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as rows of dotted key and text."""
    rows: list[tuple[str, str]] = []
    for key, value in mapping.items():
        where = f"{prefix}{printable(key)}"
        if isinstance(value, Mapping) and value:
            rows += flatten(value, f"{where}.")
        elif isinstance(value, (list, tuple)):
            # tuples are lists once they were saved
            each = (str(list(v)) if isinstance(v, tuple) else str(v) for v in value)
            rows.append((where, printable(", ".join(each))))
        else:
            empty = value is None or (isinstance(value, Mapping) and not value)
            rows.append((where, printable(DASH if empty else value)))
    return rows


def csv_table(records: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Records of one kind as rows below a header, for the page's download."""
    cells = ([printable(v) if isinstance(v, str) else v for v in r.values()] for r in records)
    return [list(records[0]), *cells]
