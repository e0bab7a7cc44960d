"""`isomorph run`."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from ._text import LEGEND, console, plain_table, show_atlas, tell


def command(
    study: Annotated[Path, typer.Argument(help="Study file (TOML), or a folder of pictures with captions.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan, sizes and estimated times only.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Scan again even where results are current.")] = False,
    output: Annotated[Path | None, typer.Option(help="Folder of the results, instead of the study's.")] = None,
    features: Annotated[
        str | None, typer.Option(help="Folder or address (s3://bucket/…) of the features, instead of the study's.")
    ] = None,
    shared: Annotated[bool, typer.Option("--shared", help="Write features beside other writers, as parts.")] = False,
    on: Annotated[
        str | None, typer.Option(help="Where: 'ray' for workers of this machine, 'ray://host:10001' for a cluster.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Workers of --on; one a processor if not given.")] = None,
    per_worker_gpu: Annotated[float, typer.Option(help="GPUs of each worker; 0.5 lets two share one.")] = 0.0,
    per_worker_memory: Annotated[str | None, typer.Option(help="What a worker may take, such as 8GB.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Print every result whole, not a summary.")] = False,
    shard: Annotated[
        str | None, typer.Option(help="i/k: the i-th of k shares, for k processes that see the same folders.")
    ] = None,
) -> None:
    """Run a study; every step whose result is there and current is skipped.

    A folder of pictures with captions (cat.png with cat.txt), or of other things by their names, gets a study file of
    its name here, which names the models that see it.

    Example: isomorph run study.toml --dry-run
    """
    from ..store import FeatureStore
    from ..study import load_study
    from .init import study_of

    where = _where(on, workers, per_worker_gpu, per_worker_memory)
    share = None if shard is None else _share(shard)
    if share is not None and where is not None:
        raise InputError("--shard divides a study among processes, and --on among workers: give one of them.")
    if features is not None:
        FeatureStore(features, shared=shared)  # an address that is none is refused before a study is written
    if os.path.isdir(study):  # noqa: PTH112 (Path.is_dir raises where a parent cannot be read)
        study = study_of(study)
    loaded = load_study(study, output=output, features=features, shared=shared)
    if dry_run:
        _show_plan(loaded)
    else:
        run_study(loaded, force=force, on=where, share=share, full=full)


def _where(on: str | None, workers: int | None, gpus: float, memory: str | None) -> Any:
    """The workers that the options name.

    Raises:
        InputError: if options of workers are given without any.
    """
    if on is not None:
        from ..workers import RayWorkers

        return RayWorkers(on, workers=workers, gpus=gpus, memory=memory)
    given = {"--workers": workers, "--per-worker-gpu": gpus, "--per-worker-memory": memory}
    for option, value in given.items():
        if value:
            raise InputError(f"{option} {value} is of workers: give --on ray as well.")
    return None


def _share(text: str) -> tuple[int, int]:
    """A share as the command line counts, from 1.

    Raises:
        InputError: if it is none.
    """
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"--shard {text}: i/k with 1 <= i <= k is needed, such as 1/4 for the first of four.")
    return int(found[1]) - 1, int(found[2])


def run_study(
    study: Any, *, force: bool, on: Any = None, share: tuple[int, int] | None = None, full: bool = False
) -> None:
    """Run a study and print what came of it."""
    from ..study import run

    outcome = run(study, force=force, on=on, share=share)
    if full:
        _show_all(outcome)
    else:
        _show_summary(outcome)
    results: Any = [json.loads(result.to_json()) for result in outcome.results]
    if share is not None:
        expected = len(study.steps) + (len(study.scans) if study.diagnose is not None else 0)
        results = {"share": f"{share[0] + 1}/{share[1]}", "finished": len(results) == expected, "results": results}
    tell(json.dumps(results, ensure_ascii=False))
    if share is None:
        more = "" if full else "; --full prints every result, and `isomorph open` shows the page"
        print(f"\nThe page: {outcome.page}{more}")


def _show_summary(outcome: Any, most: int = 8) -> None:
    """A line for each pair that was scanned, and one for every other result, as far as ten or so go."""
    from ..results import Atlas, format_p

    if outcome.scans:
        table = plain_table("x", "y", "metric")
        for column in ("score", "chance", "p(max)"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("verdict")
        for scan in outcome.scans[:most]:
            metric, alignment = next(iter(scan.items()))
            best = alignment.best()
            numbers = [f"{best.value:.3f}", f"{best.chance:.3f}", format_p(best.p_maximum)]
            table.add_row(scan.x_name, scan.y_name, metric, *numbers, str(scan.verdict))
        console().print(table)
        if len(outcome.scans) > most:
            print(f"… and {len(outcome.scans) - most} pairs more")
    others = [result for result in outcome.results if result not in outcome.scans]
    for result in others[:most]:
        print(f"Atlas: {result.verdict}" if isinstance(result, Atlas) else str(result).splitlines()[0])
    if len(others) > most:
        print(f"… and {len(others) - most} results more")


def _show_all(outcome: Any) -> None:
    """Every result, whole."""
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


def _show_plan(study: Any) -> None:
    from .._core.progress import duration
    from ..study import plan

    table = plain_table("step", "state", "size", "estimate")
    steps = plan(study)
    for step in steps:
        estimate = "" if not step.seconds else f"about {duration(step.seconds)}"
        table.add_row(step.name, step.state, step.size, estimate)
    console().print(table)
    tell(json.dumps([dataclasses.asdict(step) for step in steps], ensure_ascii=False))
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
