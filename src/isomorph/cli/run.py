"""`isomorph run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ._text import LEGEND, console, plain_table, show_atlas


def command(
    study: Annotated[Path, typer.Argument(help="Study file (TOML).")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan, sizes and estimated times only.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Scan again even where results are current.")] = False,
    output: Annotated[Path | None, typer.Option(help="Folder of the results, instead of the study's.")] = None,
) -> None:
    """Run a study; every step whose result is there and current is skipped.

    Example: isomorph run study.toml --dry-run
    """
    from ..study import load_study

    loaded = load_study(study, output=output)
    if dry_run:
        _show_plan(loaded)
    else:
        run_study(loaded, force=force)


def run_study(study: Any, *, force: bool) -> None:
    """Run a study and print what came of it."""
    from ..study import run

    outcome = run(study, force=force)
    if outcome.scans:
        print("\n\n".join(map(str, outcome.scans)))
        print(f"\n{LEGEND}")
    if sum(map(len, outcome.scans)) > 1:
        _show_discoveries(outcome.scans)
    results = (*outcome.stitches, *outcome.matches, *outcome.networks, *outcome.fusions, *outcome.diagnoses)
    for result in results:
        print(f"\n{result}")
    for found in outcome.atlases:
        print()
        show_atlas(found)
    for drawn in (*outcome.concepts, *outcome.migrations):
        print(f"\n{drawn}")
    print(f"\nThe page: {outcome.page}")


def _show_plan(study: Any) -> None:
    from .._core.progress import duration
    from ..study import plan

    table = plain_table("step", "state", "size", "estimate")
    steps = plan(study)
    for step in steps:
        estimate = "" if not step.seconds else f"about {duration(step.seconds)}"
        table.add_row(step.name, step.state, step.size, estimate)
    console().print(table)
    total = sum(step.seconds or 0.0 for step in steps)
    print(f"\nAbout {duration(total)} in all, a rough guess from the speed of a matrix product on this machine now.")
    print(f"Nothing was computed. Results go to {study.output}")


def _show_discoveries(scans: Any) -> None:
    """The p of the maximum of all scans and metrics, adjusted for having run them all."""
    from ..results import format_p
    from ..significance import false_discovery

    found = false_discovery(scans)
    table = plain_table("x", "y", "metric")
    for column in ("p(max)", "q (BH)", "q (BY)"):
        table.add_column(column, justify="right", no_wrap=True)
    for d in found:
        table.add_row(d.x_name, d.y_name, d.metric, *map(format_p, (d.p_maximum, d.hochberg, d.yekutieli)))
    print(f"\nAll {len(found)} tests together. q: p(max) adjusted for their number, the false discovery rate at which")
    print("it passes (BH: Benjamini-Hochberg; BY: Benjamini-Yekutieli, under any dependence of the tests).")
    console().print(table)
