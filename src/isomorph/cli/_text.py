"""What commands print, and how."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

LEGEND = """\
p(max): p of the best of all pairs of layers. calibrated: 0 at the threshold of chance, 1 at the best score.
held out: layers chosen on the other items. share of a ceiling: 0 at chance, 1 at the ceiling.
difference: its interval and p allow for both best pairs having been chosen on these items."""
INTERRUPTED = "Interrupted. What was committed is kept; the same command goes on from there."


def plain_table(*columns: str) -> Any:
    """A table of plain text."""
    # rich is imported where it is used, so that an interrupt during start-up meets next to nothing
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False, header_style="bold")


def show_atlas(atlas: Any, most: int = 12) -> None:
    """Print an atlas: its verdict, the pairs that are most alike by each metric, and the answers to its questions."""
    from ..results import format_p

    print(atlas.verdict)
    for metric, alignment in atlas.items():
        pairs = [r for r in atlas.to_records() if r["metric"] == metric]
        pairs.sort(key=lambda r: r["value"] if alignment.distance else -r["value"])
        table = plain_table("x", "y")
        for column in ("score", "chance", "held out", "p(max)", "q"):
            table.add_column(column, justify="right", no_wrap=True)
        for r in pairs[:most]:
            scores = [f"{r[k]:.3f}" for k in ("value", "chance", "held_out")]
            table.add_row(r["x"], r["y"], *scores, format_p(r["p_maximum"]), format_p(r["q"]))
        part = f", the {most} most alike of {len(pairs)} pairs" if len(pairs) > most else ""
        print(f"\n{metric}{part}")
        console().print(table)
    if atlas.answers:
        print()
    for answer in atlas.answers:
        print(f"{answer.asked} ({answer.metric}): {answer.told}")
    if atlas.space is not None:
        print(atlas.space.told)
    for note in atlas.notes:
        print(note)


def console(**options: Any) -> Any:
    """Where tables and errors are printed."""
    from rich.console import Console

    # a pipe or a file gets whole lines, unless COLUMNS says how wide they may be
    asked = os.environ.get("COLUMNS", "")
    width = int(asked) if asked.isdecimal() and 20 <= int(asked) <= 10_000 else 200
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else width, **options)


def fail(text: str, status: int) -> NoReturn:
    """End with one paragraph and an exit status."""
    console(stderr=True, soft_wrap=True).print(f"isomorph: {text}")
    raise SystemExit(status)


def saved(result: Any, to: Any) -> None:
    """Save a result and say where."""
    result.save(to)
    tell(result.to_json())
    print(f"Saved to {to}; `isomorph report {to}` draws it.")


def as_json() -> Callable[[], None]:
    """From now on standard output is JSON alone, and what is for people goes to standard error; until it is called."""
    output = sys.stdout
    _programs.append(output)
    sys.stdout = sys.stderr

    def end() -> None:
        _programs.remove(output)
        sys.stdout = output

    return end


def tell(text: str) -> None:
    """Print what a program is to read, if `--json` asks for it."""
    for output in _programs:
        print(text, file=output, flush=True)


_programs: list[Any] = []
"""Standard output, where `--json` was given."""
