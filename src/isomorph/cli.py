"""The command line: arguments in, one call of the library, readable text out."""

from __future__ import annotations

import errno
import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import typer.core

from ._core.checks import check_file_target
from ._core.progress import show_progress
from .errors import InputError, IsomorphError

_LEGEND = """\
p(max): p of the best of all pairs of layers. calibrated: 0 at the threshold of chance, 1 at the best score.
held out: layers chosen on the other items. share of a ceiling: 0 at chance, 1 at the ceiling.
difference: its interval and p allow for both best pairs having been chosen on these items."""
INTERRUPTED = "Interrupted. What was committed is kept; the same command goes on from there."


class _Group(typer.core.TyperGroup):
    """The commands, with our own word on Ctrl-C: typer would end without any."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--quiet" in args:  # it may stand anywhere, not only before the command
            args = ["--quiet", *(a for a in args if a != "--quiet")]
        return list(super().parse_args(ctx, args))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _fail(INTERRUPTED, 130)


app = typer.Typer(
    name="isomorph",
    cls=_Group,
    help="How alike are two representation spaces, is it more than chance, where, and can it be used?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # only bugs show a traceback, and then a plain one
    rich_markup_mode=None,
)
_UNWRITABLE = (  # errors of the operating system that the user can put right; all others are bugs
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EPERM),
    *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from . import __version__

        print(f"isomorph {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress (so does ISOMORPH_PROGRESS=0).")] = False,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    if quiet:
        show_progress(False)


Metrics = Annotated[list[str] | None, typer.Option("--metric", "-m", help="Metric spec; repeat for several.")]


def main() -> None:
    """Run the command line: 0 done, 2 something the user can put right, 130 interrupted, 1 a bug."""
    try:
        app(standalone_mode=True)
    except IsomorphError as error:
        _fail(str(error), 2)
    except KeyboardInterrupt:
        _fail(INTERRUPTED, 130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away: nothing is left to say, or to say it to
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        where = f" {error.filename}" if error.filename else ""
        _fail(f"Cannot write{where}: {error.strerror}. What was committed is kept; free the way and run it again.", 2)


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("runs/demo"),
) -> None:
    """The first experiments of the survey on real pretrained models: image, text and speech of the same emoji."""
    from .study import load_study

    source = (files("isomorph") / "demo.toml").read_text(encoding="utf-8")
    output.mkdir(parents=True, exist_ok=True)
    path = output / "study.toml"
    path.write_text(source, encoding="utf-8")
    _run(load_study(path, output=output), force=False)


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="Study file (TOML).")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan, sizes and estimated times only.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Scan again even where results are current.")] = False,
    output: Annotated[Path | None, typer.Option(help="Folder of the results, instead of the study's.")] = None,
) -> None:
    """Run a study; every step whose result is there and current is skipped."""
    from .study import load_study

    loaded = load_study(study, output=output)
    if dry_run:
        _show_plan(loaded)
    else:
        _run(loaded, force=force)


@app.command()
def extract(
    model: Annotated[str, typer.Argument(help="Model spec: bundled:NAME, org/name, onnx:FILE, a folder, …")],
    dataset: Annotated[str, typer.Argument(help='Dataset spec, such as "emoji(n=300, seed=0)".')],
    store: Annotated[Path, typer.Option(help="Folder of the feature store.")] = Path("features"),
    view: Annotated[str | None, typer.Option(help="View of the items; the fitting one by default.")] = None,
    pooling: Annotated[str | None, typer.Option(help="mean, cls, last, max or none.")] = None,
    init: Annotated[str, typer.Option(help="pretrained, or random for the untrained twin.")] = "pretrained",
    seed: Annotated[int, typer.Option(help="Seed of an untrained twin.")] = 0,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    storage: Annotated[str, typer.Option(help="float32 or float16.")] = "float32",
    batch_size: Annotated[int, typer.Option(help="Items a batch.")] = 16,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave unreadable items out.")] = False,
    side: Annotated[str | None, typer.Option(help="Part of a model with several; `isomorph list sides MODEL`.")] = None,
    no_check: Annotated[bool, typer.Option("--no-check", help="Skip the self-check; the features say so.")] = False,
    export: Annotated[Path | None, typer.Option(help="Also write the features to a .npz or .safetensors file.")] = None,
) -> None:
    """Run an encoder over the items and keep the features of every layer."""
    from .datasets import load_dataset
    from .encoders import load_encoder
    from .extraction import extract as extract_features

    if export is not None:
        check_file_target(export, "export")
    items = load_dataset(dataset, skip_bad=skip_bad)
    options: dict[str, Any] = {"init": init, "device": device, "dtype": dtype}
    options |= {"pooling": pooling} if pooling else {}
    options |= {"seed": seed} if init == "random" else {}
    encoder = load_encoder(model, side=side, check=not no_check, store=store, **options)
    layers = extract_features(
        encoder,
        items,
        view=view,
        store=store,
        batch_size=batch_size,
        storage=storage,
        skip_bad=skip_bad,
    )
    if export is not None:
        layers.save(export)
    left_out = f" ({len(items) - layers.n + len(items.skipped)} left out)" if skip_bad else ""
    print(f"{encoder.name}: {len(layers)} layers of {layers.n} items{left_out} in {export or store}")


@app.command()
def scan(
    x: Annotated[Path, typer.Argument(help="Features: .npz, .npy, .safetensors or platonic-rep's .pt.")],
    y: Annotated[Path, typer.Argument(help="Features of the same items.")],
    metric: Metrics = None,
    permutations: Annotated[int, typer.Option(help="Shared random re-pairings, for the p of the maximum.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the permutations.")] = 0,
    alpha: Annotated[float, typer.Option(help="Level of the calibrated score.")] = 0.05,
    selection: Annotated[
        str, typer.Option(help="all, or split: choose layers on one half, score on the other.")
    ] = "all",
    x_baseline: Annotated[list[str] | None, typer.Option(help="NAME=FILE that takes X's place; repeatable.")] = None,
    y_baseline: Annotated[list[str] | None, typer.Option(help="NAME=FILE that takes Y's place; repeatable.")] = None,
    x_ceiling: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE of X's kind (other seed, other model), as a ceiling; repeatable."),
    ] = None,
    y_ceiling: Annotated[list[str] | None, typer.Option(help="NAME=FILE of Y's kind; repeatable.")] = None,
    items: Annotated[str | None, typer.Option(help="Dataset spec, for labels and groups of the items.")] = None,
    groups: Annotated[
        str | None, typer.Option(help="Label set of --items: permute it whole. Their own groups by default.")
    ] = None,
    strata: Annotated[
        str | None, typer.Option(help="Label set of --items, or groups: permute items inside a label only.")
    ] = None,
    circular: Annotated[
        bool, typer.Option("--circular", help="Items are a time series: shift it instead of permuting.")
    ] = False,
    in_order: Annotated[bool, typer.Option("--in-order", help="Do not shuffle the items inside a group.")] = False,
    gallery: Annotated[bool, typer.Option("--gallery", help="Also score the best pair with fewer items.")] = False,
    budget: Annotated[float | None, typer.Option(help="Seconds that one metric's permutations may take.")] = None,
    memory: Annotated[str | None, typer.Option(help="Working memory that the metrics may take, such as 4GB.")] = None,
    to: Annotated[Path, typer.Option(help="Result file.")] = Path("scan.json"),
) -> None:
    """Compare every layer of X with every layer of Y, each score with its chance level."""
    from .datasets import load_dataset
    from .scanning import DEFAULT_METRICS
    from .scanning import scan as scan_layers
    from .store import Layers

    check_file_target(to)
    result = scan_layers(
        Layers.load(x),
        Layers.load(y),
        metric or list(DEFAULT_METRICS),
        permutations=permutations,
        seed=seed,
        alpha=alpha,
        x_baselines=_named_files(x_baseline),
        y_baselines=_named_files(y_baseline),
        x_ceilings=_named_files(x_ceiling),
        y_ceilings=_named_files(y_ceiling),
        items=load_dataset(items) if items else None,
        groups=groups,
        strata=strata,
        circular=circular,
        within=not in_order,
        selection=selection,
        gallery=gallery,
        budget=budget,
        memory=memory,
        x_name=x.stem,
        y_name=y.stem,
    )
    result.save(to)
    print(f"{result}\n\n{_LEGEND}")
    print(f"Saved to {to}; `isomorph report {to}` draws it.")


@app.command()
def stitch(
    x: Annotated[Path, typer.Argument(help="Features: .npz, .npy, .safetensors or platonic-rep's .pt.")],
    y: Annotated[Path, typer.Argument(help="Features of the same items.")],
    map_: Annotated[list[str] | None, typer.Option("--map", help="Map spec; repeat for several.")] = None,
    items: Annotated[str | None, typer.Option(help="Dataset spec, for labels and groups of the items.")] = None,
    by: Annotated[str, typer.Option(help="What is held out: item, label or group.")] = "item",
    repeats: Annotated[int, typer.Option(help="Number of splits.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the splits.")] = 0,
    x_baseline: Annotated[list[str] | None, typer.Option(help="NAME=FILE that takes X's place; repeatable.")] = None,
    y_baseline: Annotated[list[str] | None, typer.Option(help="NAME=FILE that takes Y's place; repeatable.")] = None,
    to: Annotated[Path, typer.Option(help="Result file.")] = Path("stitch.json"),
) -> None:
    """Fit maps from X to Y on some pairs and score them on items held out, beside every control."""
    from .datasets import load_dataset
    from .stitching import DEFAULT_MAPS
    from .stitching import stitch as stitch_layers
    from .store import Layers

    check_file_target(to)
    result = stitch_layers(
        Layers.load(x),
        Layers.load(y),
        map_ or list(DEFAULT_MAPS),
        items=load_dataset(items) if items else None,
        by=by,
        repeats=repeats,
        seed=seed,
        x_baselines=_named_files(x_baseline),
        y_baselines=_named_files(y_baseline),
        x_name=x.stem,
        y_name=y.stem,
    )
    result.save(to)
    print(result)
    print(f"Saved to {to}; `isomorph report {to}` draws it.")


@app.command()
def diagnose(
    x: Annotated[Path, typer.Argument(help="Features: .npz, .npy, .safetensors or platonic-rep's .pt.")],
    y: Annotated[Path | None, typer.Argument(help="Features of the same items, if there are two sides.")] = None,
    scan_: Annotated[Path | None, typer.Option("--scan", help="A saved scan of the two.")] = None,
    stitch_: Annotated[Path | None, typer.Option("--stitch", help="A saved stitch of the two.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.")] = 0,
    to: Annotated[Path, typer.Option(help="Result file.")] = Path("diagnosis.json"),
) -> None:
    """Look for known ways in which similarity misleads, each with its evidence and what to do."""
    from .diagnosis import diagnose as look
    from .results import Scan, Stitch
    from .store import Layers

    check_file_target(to)
    result = look(
        Layers.load(x),
        Layers.load(y) if y else None,
        scan=Scan.load(scan_) if scan_ else None,
        stitch=Stitch.load(stitch_) if stitch_ else None,
        seed=seed,
    )
    result.save(to)
    print(result)
    print(f"Saved to {to}; `isomorph report {to}` draws it.")


@app.command()
def power(
    n: Annotated[int, typer.Argument(help="Number of items.")],
    x_dim: Annotated[int, typer.Argument(help="Features of one side.")],
    y_dim: Annotated[int, typer.Argument(help="Features of the other side.")],
    metric: Annotated[str, typer.Option("--metric", "-m", help="Metric spec.")] = "mutual_knn(k=10)",
    pairs: Annotated[int, typer.Option(help="Layer pairs that will be searched.")] = 1,
    rank: Annotated[int, typer.Option(help="Dimensions that both sides share.")] = 8,
    alpha: Annotated[float, typer.Option(help="Level of the test.")] = 0.05,
    target: Annotated[float, typer.Option(help="Wanted probability of passing.")] = 0.8,
    seed: Annotated[int, typer.Option(help="Seed of the simulated data.")] = 0,
) -> None:
    """The smallest alignment that N items can show, before anything is encoded."""
    from .significance import power as smallest

    found = smallest(metric, n, x_dim, y_dim, rank=rank, alpha=alpha, target=target, pairs=pairs, seed=seed)
    print(
        f"{found.metric}, n = {n}, d = {x_dim} × {y_dim}, {pairs} layer pair{'s' if pairs > 1 else ''}: a score of "
        f"{found.score:.4f} (chance {found.chance:.4f}) passes at {alpha:g} in {target:.0%} of the trials. It takes "
        f"{rank} shared dimensions that carry {found.strength:.1%} of each side's variance."
    )


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(help="Saved results (.json).")],
    to: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
    items: Annotated[str | None, typer.Option(help="Dataset spec, for pictures and texts of the items.")] = None,
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
) -> None:
    """Draw saved results as one self-contained page, with its figures as SVG and PNG beside it."""
    from .datasets import load_dataset
    from .reporting import report as write_report

    page = write_report(list(results), to=to, items=load_dataset(items) if items else None, title=title)
    print(page)


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help="models, providers, sides, metrics, datasets, maps, signatures or sections.")],
    model: Annotated[str | None, typer.Argument(help="For sides: the model.")] = None,
) -> None:
    """What there is: models, metrics, datasets, maps and other kinds; or the sides of one model."""
    from . import listing

    if kind not in (*listing.KINDS, "sides"):
        raise InputError(f"There is no list of {kind!r}; choose one of {', '.join([*listing.KINDS, 'sides'])}.")
    if (model is not None) != (kind == "sides"):
        raise InputError("`isomorph list sides MODEL` lists the sides of one model; the other lists take no model.")
    columns, rows = listing.list_sides(model) if model is not None else listing.KINDS[kind]()
    table = _plain_table(*columns)
    for row in rows:
        table.add_row(*row)
    _console().print(table)


def _named_files(pairs: list[str] | None) -> dict[str, Any]:
    from .store import Layers

    named = {}
    for pair in pairs or []:
        name, equals, path = pair.partition("=")
        if not (name and equals and path):
            raise InputError(f"{pair!r} is not of the form NAME=FILE, such as untrained=twin.npz.")
        if name in named:
            raise InputError(f"Two files are called {name!r}; give each a name of its own.")
        named[name] = Layers.load(path)
    return named


def _run(study: Any, *, force: bool) -> None:
    from .study import run as run_study

    outcome = run_study(study, force=force)
    print("\n\n".join(map(str, outcome.scans)))
    print(f"\n{_LEGEND}")
    if sum(map(len, outcome.scans)) > 1:
        _show_discoveries(outcome.scans)
    for result in (*outcome.stitches, *outcome.diagnoses):
        print(f"\n{result}")
    print(f"\nThe page: {outcome.page}")


def _show_plan(study: Any) -> None:
    from ._core.progress import duration
    from .study import plan

    table = _plain_table("step", "state", "size", "estimate")
    steps = plan(study)
    for step in steps:
        estimate = "" if not step.seconds else f"about {duration(step.seconds)}"
        table.add_row(step.name, step.state, step.size, estimate)
    _console().print(table)
    total = sum(step.seconds or 0.0 for step in steps)
    print(f"\nAbout {duration(total)} in all, a rough guess from the speed of a matrix product on this machine now.")
    print(f"Nothing was computed. Results go to {study.output}")


def _show_discoveries(scans: Any) -> None:
    """The p of the maximum of all scans and metrics, adjusted for having run them all."""
    from .results import format_p
    from .significance import false_discovery

    found = false_discovery(scans)
    table = _plain_table("x", "y", "metric")
    for column in ("p(max)", "q (BH)", "q (BY)"):
        table.add_column(column, justify="right", no_wrap=True)
    for d in found:
        table.add_row(d.x_name, d.y_name, d.metric, *map(format_p, (d.p_maximum, d.hochberg, d.yekutieli)))
    print(f"\nAll {len(found)} tests together. q: p(max) adjusted for their number, the false discovery rate at which")
    print("it passes (BH: Benjamini-Hochberg; BY: Benjamini-Yekutieli, under any dependence of the tests).")
    _console().print(table)


def _plain_table(*columns: str) -> Any:
    # rich is imported where it is used, so that an interrupt during start-up meets next to nothing
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False, header_style="bold")


def _console(**options: Any) -> Any:
    from rich.console import Console

    # a pipe or a file gets whole lines: nothing is cut to a width nobody has
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200, **options)


def _fail(text: str, status: int) -> NoReturn:
    _console(stderr=True, soft_wrap=True).print(f"isomorph: {text}")
    raise SystemExit(status)
