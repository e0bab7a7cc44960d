"""Diagnoses in the report: signatures with their evidence, what to do, and geometry against function."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ...results import Advice, Diagnosis, Finding, listed
from .._section import Block, Context, Section, Shown, render
from .._sizes import quadrants
from .._svg import Figure
from .._text import flatten, number, printable, slug


class DiagnosisSection(Section):
    """`Diagnosis`: known ways in which similarity misleads.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> page = iso.report(iso.diagnose(x + 5))
        >>> "Found: anisotropy" in page.read_text()
        True
    """

    name = "diagnosis"

    def models(self, result: Diagnosis) -> Sequence[str]:
        return tuple(name for name in (result.x_name, result.y_name) if name)

    def show(self, results: Sequence[Diagnosis], context: Context) -> Shown:
        blocks = tuple(_block(d, k, context) for k, d in context.each(results))
        facts = tuple((_title(d, context), flatten(d.provenance)) for d in results)
        return Shown("can these scores be trusted, or is one of the known failures behind them?", None, blocks, facts)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One finding as texts."""

    name: str
    where: str
    summary: str
    advice: str
    evidence: tuple[tuple[str, str], ...]


def _title(diagnosis: Diagnosis, context: Context) -> str:
    names = [context.name(n) for n in (diagnosis.x_name, diagnosis.y_name) if n]
    return f"Diagnosis of {' × '.join(names)}"


def _block(diagnosis: Diagnosis, k: int, context: Context) -> Block:
    there = [_entry(f) for f in diagnosis.findings if f.present]
    absent = [_entry(f) for f in diagnosis.findings if not f.present]
    figures = _figures(diagnosis, slug("diagnosis", f"{k:02d}"), context)
    names = list(dict.fromkeys(e.name for e in there))
    headline = f"Found: {listed(names)}." if names else "None of the failures that were looked for is there."
    html = render(
        "diagnosis.html.j2",
        headline=headline,
        there=there,
        absent=absent,
        unchecked=[(_words(name), printable(reason)) for name, reason in diagnosis.unchecked.items()],
        figures=figures,
        quadrant=_quadrant(diagnosis),
        guide=[_advice(advice) for advice in diagnosis.guide],
        league=printable(diagnosis.guide[0].family) if diagnosis.guide else "",
    )
    return Block(f"diagnosis-{k}", _title(diagnosis, context), html, figures, headline)


def _entry(finding: Finding) -> Entry:
    evidence = tuple(
        (printable(k), number(v) if isinstance(v, float) else printable(v)) for k, v in finding.evidence.items()
    )
    where, summary, advice = map(printable, (finding.where, finding.summary, finding.advice))
    return Entry(printable(finding.title) or _words(finding.signature), where, summary, advice, evidence)


def _advice(advice: Advice) -> tuple[str, str]:
    """What is to be known, and which metric to trust for it."""
    answer = advice.sentence.partition("): ")[2]
    return printable(f"To know {advice.purpose} ({advice.criterion})"), printable(answer[:1].upper() + answer[1:])


def _words(signature: str) -> str:
    return printable(signature).replace("_", " ")


def _figures(diagnosis: Diagnosis, stem: str, context: Context) -> tuple[Figure, ...]:
    q = diagnosis.quadrant
    if not q:
        return ()
    label = f"{q['metric']}, {q['use']}"
    title = f"{_title(diagnosis, context)}: geometry {q['geometry']:.2f} ({q['metric']}), "
    title += f"function {q['function']:.2f} ({q['use']})."
    point = float(q["geometry"]), float(q["function"])
    return (quadrants(f"{stem}-quadrants", printable(title), *point, printable(label)),)


def _quadrant(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    q = diagnosis.quadrant
    if not q:
        return []
    rows = [(f"geometry, {k}", v) for k, v in q["metrics"].items()] + [
        (f"function, {k}", v) for k, v in q["uses"].items()
    ]
    return [(printable(k), number(float(v))) for k, v in rows]
