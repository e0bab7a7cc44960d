"""The page: results in, one HTML file and its figures out."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from .._core.checks import check_name, check_type
from .._core.files import as_path, check_target, write_target
from .._core.progress import progress
from .._core.provenance import versions
from ..datasets import PairedItems
from ..errors import InputError
from ..results import Result, listed, load_result
from ._color import root_css
from ._export import prepare_folder, write_figures
from ._pictures import Pictures
from ._recipe import recipe
from ._section import Block, Context, Section, render
from ._section import Shown as SectionShown
from ._svg import Figure, style_rules
from ._text import flatten, printable, short_names
from .sections import sections

FEW = 2
"""More answers than these are folded to a line each, under the summary of all."""
_SCRIPTS = ("save", "page", "tables", "figures")
_PROGRAMS = ("command", "commands", "toml", "study")  # keys of `study` shown as text to copy


def report(
    results: Any,
    to: str | os.PathLike[str] = "report.html",
    *,
    items: PairedItems | None = None,
    title: str | None = None,
    study: Mapping[str, Any] | None = None,
    figures: str | os.PathLike[str] | bool | None = None,
) -> Path:
    """Write results as one HTML page that needs nothing else.

    The page asks nothing of any network, works without JavaScript, and shows every score with its chance level, every
    maximum over layers with the p of that maximum, and every untrained baseline beside what it is a baseline of.

    Args:
        results: A result, a path of a saved one, or a list of these: scans and atlases first, others in that order.
        to: The page to write; its folder is made. An older page is replaced once the new one is whole.
        items: The items that were scanned: pictures and texts for the neighbourhoods. Without them ids are shown.
        title: The page's heading; by default it names the models.
        study: How the results were made: ``command`` and ``toml`` are shown as text to copy, the rest as a table.
        figures: Folder for every figure as SVG, and as PNG if the extra ``images`` is installed (the page says which
            were written): True for ``figures`` beside the page, None or False for no files. A browser keeps each
            figure from the page itself.

    Returns:
        The path of the page.

    Raises:
        InputError: if there is nothing to show, a result is of a kind that no section shows, a file cannot be read
            as a result, a file of the items cannot be read, or the page cannot be written there.
        MissingExtraError: if `items` hold pictures and Pillow is not installed.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> scan = iso.scan(x, x + noise, "cka", permutations=20)
        >>> iso.report([scan], to="report.html").name
        'report.html'
    """
    loaded = _load(results)
    target = check_target(to)
    folder = _figure_folder(figures, target)
    check_type(items, "items", PairedItems, "what iso.load_dataset(…) gives")
    check_type(study, "study", Mapping, "a mapping from names to settings")
    check_name(title, "title")

    def note(figures: Sequence[Figure]) -> str:
        prepare_folder(target.parent)
        return "" if folder is None else write_figures(figures, folder, beside=target.parent)

    return write_target(target, _html(loaded, items, title, study or {}, note), "to")


def notebook_html(result: Any, height: int = 640) -> str:
    """What a notebook shows of a result: its page in a frame of its own, so that neither style reaches the other.

    Args:
        result: A result that a report can show.
        height: Height of the frame in pixels.

    Raises:
        InputError: if no section shows it.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> iso.scan(x, x + noise, "cka", permutations=20)._repr_html_()[:15]
        '<iframe srcdoc='
    """
    page, name = escape(_html([result], None, None, {}, lambda figures: "")), escape(str(result.kind))
    return f'<iframe srcdoc="{page}" style="width:100%;height:{height}px;border:0" title="{name}"></iframe>'


def _html(
    loaded: Sequence[Result],
    items: PairedItems | None,
    title: str | None,
    study: Mapping[str, Any],
    note: Callable[[Sequence[Figure]], str],
) -> str:
    """The page of results; `note` may write their figures, and says what became of them."""
    by_section = _by_section(loaded)
    names = [m for section, group in by_section for r in group for m in section.models(r)]
    pictures = Pictures(items)
    with progress(len(loaded), "page", unit="results") as advance:
        context = Context(pictures, short_names(names), items is not None, advance)
        shown = [_with_recipes(section.show(group, context), group) for section, group in by_section]
    told = note([f for part in shown for b in _blocks(part) for f in b.figures])
    asked = by_section[0][0].heading if len(by_section) == 1 else Section.heading
    page = render(
        "page.html.j2",
        title=printable(title or _title([context.name(n) for n in dict.fromkeys(names)], asked)),
        parts=shown,
        folded=sum(len(part.blocks) for part in shown) > FEW,
        sprites=pictures.sprites(),
        style=Markup(root_css() + style_rules() + _asset("style.css")),  # our own files
        script=Markup("".join(_asset(f"{name}.js") for name in _SCRIPTS)),  # our own files
        programs=_programs(study),
        settings=flatten({k: v for k, v in study.items() if k not in _PROGRAMS}),
        figure_note=told,
        version=versions()["isomorph"],
    )
    return str(page)


def _load(results: Any) -> list[Result]:
    if isinstance(results, (Result, str, os.PathLike)):
        results = [results]
    if not isinstance(results, Sequence) or not results:
        raise InputError(
            "results must be a result, a path of a saved one, or a list of these with at least one; "
            f"found {type(results).__name__}{' with nothing in it' if isinstance(results, Sequence) else ''}."
        )
    loaded = [load_result(r) if isinstance(r, (str, os.PathLike)) else r for r in results]
    for k, result in enumerate(loaded):
        if not isinstance(result, Result):
            raise InputError(f"results[{k}] is a {type(result).__name__}; a Scan, another result or a path is needed.")
    return loaded


def _by_section(results: Sequence[Result]) -> list[tuple[Section, list[Result]]]:
    groups: dict[str, list[Result]] = {}
    for result in results:
        if result.kind not in sections.classes:
            raise InputError(
                f"A report cannot show a {type(result).__name__} by itself; it shows: {', '.join(sections.classes)}."
            )
        groups.setdefault(result.kind, []).append(result)
    found = [(sections.classes[kind](), group) for kind, group in groups.items()]
    return sorted(found, key=lambda one: not one[0].leads)  # the picture of all pairs or models first, then as given


def _with_recipes(part: SectionShown, results: Sequence[Result]) -> SectionShown:
    """Each answer with the settings of its result, where there is one of each."""
    if len(part.blocks) != len(results):
        return part
    pairs = zip(part.blocks, results, strict=True)
    return dataclasses.replace(part, blocks=tuple(dataclasses.replace(b, recipe=recipe(r)) for b, r in pairs))


def _blocks(part: SectionShown) -> list[Block]:
    return [*([part.overview] if part.overview else []), *part.blocks]


def _title(names: Sequence[str], asked: str) -> str:
    if len(names) == 1:
        return asked.format(f"the layers of {names[0]}")
    return asked.format(listed(names) if len(names) <= 4 else f"{len(names)} representation spaces")


def _figure_folder(figures: str | os.PathLike[str] | bool | None, target: Path) -> Path | None:
    if figures is True:
        return target.parent / "figures"
    return None if figures is False or figures is None else as_path(figures, "figures")


def _programs(study: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [(k, study.get(k)) for k in _PROGRAMS]
    return [(k, printable(v if isinstance(v, str) else "\n".join(map(str, v)))) for k, v in rows if v]


def _asset(name: str) -> str:
    return files(__package__).joinpath(f"templates/{name}").read_text(encoding="utf-8")
