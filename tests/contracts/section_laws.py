"""The laws of a section of the report. Each takes the class and `make`: its result, all names being one text."""

from __future__ import annotations

import inspect
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from isomorph.reporting import report
from isomorph.reporting._color import PALETTE, root_css
from isomorph.reporting._pictures import Pictures
from isomorph.reporting._section import Context, Section, Shown
from isomorph.results import Result

from ..reporting.conftest import Page
from .laws import Laws

SECTIONS = Laws()
law = SECTIONS.law

Kind = type[Section]
Make = Callable[[str], Result]
PLAIN = "vision"
NASTY = "<script>alert(1)</script><img src=x onerror=alert(1)>&\"'\x00"
SEEN = "<script>alert(1)</script>"
"""What of the nasty name must be readable on the page."""
_NO_NUMBER = re.compile(r"(?<![\w])[+-−]?(nan|inf|infinity)(?![\w])", re.IGNORECASE)
_OUTSIDE = ("src", "href", "xlink:href", "srcset", "action", "data", "poster", "formaction")


def drawn(results: Sequence[Result]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return report(list(results), Path(folder) / "r.html", figures=False).read_text(encoding="utf-8")


_DRAWN: dict[Kind, str] = {}


def page_of(kind: Kind, make: Make) -> str:
    """The page of its result with a plain name; laws that read it share it."""
    if kind not in _DRAWN:
        _DRAWN[kind] = drawn([make(PLAIN)])
    return _DRAWN[kind]


def shown(kind: Kind, results: Sequence[Result]) -> Shown:
    return kind().show(results, Context(Pictures(None), {}, given=False))


def read(html: str) -> Page:
    page = Page(html)
    assert page.open == [], "elements were left open"
    return page


def ids_of(page: Page) -> list[str]:
    return [str(a["id"]) for _, a in page.elements if "id" in a]


@law()
def it_draws_results_of_its_kind(kind: Kind, make: Make) -> None:
    result = make(PLAIN)
    assert result.kind == kind.name
    names = kind().models(result)
    assert names
    assert all(isinstance(n, str) and n for n in names)
    part = shown(kind, [result])
    assert part.question
    blocks = [*([part.overview] if part.overview else []), *part.blocks]
    assert blocks, "nothing is shown"
    for block in blocks:
        assert block.title
        assert str(block.html).strip()
    page = read(page_of(kind, make))
    anchors = ids_of(page)
    assert all(block.anchor in anchors for block in blocks)
    for heading, rows in part.facts:
        assert heading
        assert all(isinstance(cell, str) for row in rows for cell in row)


@law()
def two_results_stand_on_one_page_apart(kind: Kind, make: Make) -> None:
    page = read(drawn([make(PLAIN), make(NASTY)]))
    anchors = ids_of(page)
    assert len(anchors) == len(set(anchors)), f"twice: {sorted({a for a in anchors if anchors.count(a) > 1})}"
    for _, attributes in page.elements:
        target = attributes.get("href") or ""
        assert not target.startswith("#") or target == "#" or target[1:] in anchors, f"{target} leads nowhere"


@law()
def names_are_shown_and_never_run(kind: Kind, make: Make) -> None:
    html = drawn([make(NASTY)])
    plain, nasty = read(page_of(kind, make)), read(html)
    for tag in ("script", "img", "iframe", "object", "embed", "link"):
        counts = [sum(t == tag for t, _ in page.elements) for page in (plain, nasty)]
        assert counts[0] == counts[1], f"a name made an element <{tag}>"
    assert not any(k.startswith("on") for _, a in nasty.elements for k in a), "a name made an event handler"
    assert SEEN in nasty.text or any(SEEN in (v or "") for _, a in nasty.elements for v in a.values())
    assert "\x00" not in html


@law()
def it_asks_nothing_of_any_network(kind: Kind, make: Make) -> None:
    html = page_of(kind, make)
    page = read(html)
    for tag, attributes in page.elements:
        assert tag not in {"iframe", "object", "embed", "base"}, tag
        for name in _OUTSIDE:
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:")), f"{tag} asks for {target}"
    code = "".join(page.scripts)
    assert "@import" not in code
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|WebSocket|sendBeacon", code)
    assert not re.search(r"url\((?!#)", html)
    block_texts = "".join(str(b.html) for b in shown(kind, [make(PLAIN)]).blocks)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", block_texts)


@law()
def every_number_is_finite(kind: Kind, make: Make) -> None:
    page = read(page_of(kind, make))
    for text in page.texts:
        assert not _NO_NUMBER.search(text), f"on the page: {text!r:.100}"
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not _NO_NUMBER.search(value or ""), f"<{tag} {name}={value!r:.100}>"
    for code in page.scripts:
        if code.lstrip().startswith(("[", "{")):
            json.loads(code, parse_constant=lambda word: pytest.fail(f"{word} in the page's data"))


@law()
def its_figures_are_whole_files_that_say_what_they_show(kind: Kind, make: Make) -> None:
    part = shown(kind, [make(NASTY), make(PLAIN)])
    figures = [f for b in [*([part.overview] if part.overview else []), *part.blocks] for f in b.figures]
    assert len({f.name for f in figures}) == len(figures), "two figures would be one file"
    for figure in figures:
        assert re.fullmatch(r"[\w.-]+", figure.name), f"{figure.name!r} is no name of a file"
        assert figure.title
        root = ElementTree.fromstring(figure.standalone())
        for element in root.iter():
            for name, value in element.attrib.items():
                assert name.startswith("aria") or not _NO_NUMBER.search(value), f"{name}={value}"
        assert "var(" not in "".join(e.text or "" for e in root.iter() if e.tag.endswith("style"))


@law()
def it_can_be_read_on_light_and_dark_pages(kind: Kind, make: Make) -> None:
    html = page_of(kind, make)
    used = set(re.findall(r"var\(--([\w-]+)", html))
    assert used <= set(PALETTE), f"colors that only one mode knows, or none: {sorted(used - set(PALETTE))}"
    assert root_css().count("--ink:") == 2, "one for light and one for dark"
    for tag, attributes in read(html).elements:
        own = attributes.get("fill") or ""
        assert tag not in {"text", "tspan"} or not own.startswith("#"), "a text has a color of its own in both modes"
        assert not re.search(r"(?<![-\w])color:\s*#", attributes.get("style") or "")


@law()
def the_same_result_gives_the_same_page_from_memory_and_from_a_file(kind: Kind, make: Make) -> None:
    result = make(PLAIN)
    html = drawn([result])
    assert html == drawn([result])
    with tempfile.TemporaryDirectory() as folder:
        saved = result.save(Path(folder) / "r.json")
        from_file = report(saved, Path(folder) / "r.html", figures=False).read_text(encoding="utf-8")
    assert from_file == html


@law()
def what_it_shows_is_stated(kind: Kind, make: Make) -> None:
    first = (inspect.getdoc(kind) or "").partition("\n")[0]
    assert first.endswith("."), "the docstring begins with no sentence"
