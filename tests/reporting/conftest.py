"""Scans of any shape, made from a formula, so that the report can be tested without a model."""

from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isomorph.datasets import Audio, PairedItems
from isomorph.metrics import metric
from isomorph.results import Alignment, Neighborhoods, Scan, about


def _alignment(
    spec: str = "mutual_knn(k=10)",
    rows: int = 5,
    columns: int = 4,
    *,
    strength: float = 0.3,
    chance: float = 0.05,
    sampled: bool = True,
    interval: bool = False,
    layers: Callable[[str, int], tuple[str, ...]] | None = None,
    against: Mapping[str, tuple[float, float]] | None = None,
    held_out: float | None = None,
    ceilings: Mapping[str, float | None] | None = None,
    permuted: bool = False,
    gallery: tuple[int, ...] = (),
) -> Alignment:
    name = layers or (lambda side, n: ("embedding", *(f"layer_{i}" for i in range(1, n))))
    depth = np.linspace(0.1, 1, rows)[:, None] * np.linspace(0.5, 1, columns)[None]
    sign = -1 if metric(spec).distance else 1
    values = chance + sign * strength * depth
    p = np.clip(10.0 ** (-20 * depth * abs(strength)), 1e-9, 1)
    family = np.clip(p * rows * columns, 1e-3, 1)
    return Alignment(
        metric=metric(spec).spec,
        variant=metric(spec).variant,
        **about(metric(spec)),
        x_layers=name("x", rows),
        y_layers=name("y", columns),
        values=values,
        chance=np.full((rows, columns), chance),
        p_value=p,
        n=60,
        x_dims=(8,) * rows,
        y_dims=(16,) * columns,
        p_maximum=float(family.min()),
        permutations=1000 if sampled else 0,
        p_family=family if sampled else None,
        calibrated=np.clip(values - chance, 0, 1) if sampled else None,
        threshold=np.full((rows, columns), chance + 0.02) if sampled else None,
        interval=np.stack([values - 0.03, values + 0.03], axis=-1) if interval else None,
        against={k: _tested(*v) for k, v in (against or {}).items()},
        held_out=None if held_out is None else _held_out(held_out),
        ceilings={k: _ceiling(v) for k, v in (ceilings or {}).items()},
        permuted=_permuted(chance) if permuted else None,
        gallery=_gallery(gallery, values.max(), chance) if gallery else None,
        null="exact moments",
        maximum_from="1000 shared permutations",
    )


def _permuted(chance: float) -> dict[str, Any]:
    steps = chance + 0.011 + 0.02 * np.linspace(-1, 1, 41) ** 3
    return {"mean": chance + 0.011, "quantile": chance + 0.022, "level": 0.95, "quantiles": steps}


def _ceiling(share: float | None) -> dict[str, Any]:
    named = {"value": 0.777, "chance": 0.045, "x_layer": "layer_2", "y_layer": "layer_3", "p_maximum": 0.0012}
    return {**named, "share": share}


def _gallery(sizes: tuple[int, ...], value: float, chance: float) -> dict[str, Any]:
    at = np.array(sizes)
    return {
        "n": at,
        "value": value + 1 / at,
        "spread": 0.1 / at,
        "chance": chance + 1 / at,
        "above_chance": np.full(len(at), 0.5),
    }


def _tested(difference: float, p: float) -> dict[str, Any]:
    named = {"value": 0.123, "chance": 0.045, "x_layer": "layer_1", "y_layer": "layer_2", "method": "paired jackknife"}
    return {**named, "difference": difference, "low": difference - 0.04, "high": difference + 0.04, "p_value": p}


def _held_out(p: float) -> dict[str, Any]:
    named = {"x_layer": "layer_3", "y_layer": "layer_1", "value": 0.234, "chance": 0.078, "p_value": p}
    return {**named, "selection_value": 0.3, "n_selection": 29, "n_score": 31, "null": "exact moments"}


def _scan(
    x: str = "bundled:vision", y: str = "org/text", specs: tuple[str, ...] = ("mutual_knn(k=10)",), **kw: Any
) -> Scan:
    own = {
        k: kw.pop(k)
        for k in ("baselines", "neighborhoods", "provenance", "dataset", "notes", "p_maximum", "design")
        if k in kw
    }
    ceilings = kw.get("ceilings") or {}
    own["ceilings"] = {k: _scan(x, "org/another", specs, gallery=kw.get("gallery", ())) for k in ceilings}
    found = [_alignment(s, **kw) for s in specs]
    return Scan(x, y, {a.metric: a for a in found}, 60, x_view="image", y_view="text", **own)


def _neighborhoods(ids: tuple[str, ...]) -> Neighborhoods:
    return Neighborhoods(
        "layer_4",
        "layer_3",
        2,
        ids[:3],
        (1.0, 0.5, 0.0),
        ((ids[1], ids[2]), (ids[0], ids[2]), (ids[0], ids[1])),
        ((ids[2], ids[1]), (ids[2], ids[3]), (ids[3], ids[4])),
    )


def _items(n: int = 5, ids: tuple[str, ...] | None = None, texts: tuple[str, ...] | None = None) -> PairedItems:
    rng = np.random.default_rng(0)
    return PairedItems(
        "things",
        ids or tuple(f"item-{i}" for i in range(n)),
        {
            "image": [rng.integers(0, 256, (40, 60, 3), dtype=np.uint8) for _ in range(n)],
            "text": texts or tuple(f"a text of thing {i}" for i in range(n)),
        },
    )


class Page(HTMLParser):
    """A page taken apart: every element with its attributes, every text, and whether the tags close properly."""

    VOID = frozenset(("meta", "link", "br", "img", "input", "hr"))

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open and self.open[-1] in ("script", "style") else self.texts).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def with_class(self, name: str) -> list[dict[str, str | None]]:
        return [a for _, a in self.elements if name in (a.get("class") or "").split()]


@pytest.fixture
def make_alignment() -> Any:
    return _alignment


@pytest.fixture
def make_scan() -> Any:
    return _scan


@pytest.fixture
def make_neighborhoods() -> Any:
    return _neighborhoods


@pytest.fixture
def make_items() -> Any:
    return _items


@pytest.fixture
def recording() -> Audio:
    return Audio(np.sin(np.linspace(0, 60, 4000)).astype(np.float32), 16000)


@pytest.fixture
def read_page() -> Any:
    def read(path: Path) -> Page:
        page = Page(path.read_text(encoding="utf-8"))
        assert page.open == [], "elements were left open"
        return page

    return read
