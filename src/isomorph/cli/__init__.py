"""The command line: one file a verb. Arguments in, one call of the library, readable text out.

A command's file is imported when the command is called, so that `isomorph --help` answers at once.
"""

from __future__ import annotations

import errno
import re
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
import typer.core

from .._core.progress import show_progress
from ..errors import InputError, IsomorphError, UnknownNameError
from ._text import INTERRUPTED, as_json, fail

COMMANDS = {
    "demo": "The first experiments of the survey on real pretrained models: image, text and speech of the same emoji.",
    "run": "Run a study; every step whose result is there and current is skipped.",
    "extract": "Run an encoder over the items and keep the features of every layer.",
    "scan": "Compare every layer of X with every layer of Y, each score with its chance level.",
    "stitch": "Fit maps from X to Y on some pairs and score them on items held out, beside every control.",
    "stitch-networks": "Join the bottom of one frozen network to the top of another, beside every control.",
    "encode": "Predict the responses of units (voxels, neurons) from a model's layers, on items that no fit saw.",
    "odd-one-out": "How often each layer chooses the odd one of three items that people chose.",
    "fit-map": "Fit a map from an old model's embeddings to a new one's, and say what is lost by it.",
    "apply": "Carry embeddings of an old model into the space of a new one with a map that was fitted.",
    "match": "Match the rows of X and Y without knowing any pair, and say whether the match can be believed.",
    "fuse": "Say what several spaces tell of a target together, beside each alone and beside every control.",
    "atlas": "Compare many models, all with all, each pair with its chance, and say what goes with their alignment.",
    "concepts": "Map which items and concepts X and Y see alike, each with its chance, and what is bound to either.",
    "league": "Rank metrics by how well they tell what is known of a family of networks, and say which is for what.",
    "outputs": "Compare what models answer: agreement, divergence, shared errors, calibration, each with chance.",
    "explain-rdms": "Explain measured RDMs by several model RDMs together, and say what each adds to the others.",
    "searchlight": "Compare model RDMs with those of the channels around each place, with p of the maximum over all.",
    "diagnose": "Look for known ways in which similarity misleads, each with its evidence and what to do.",
    "compare-models": "Compare models by RDMs of several subjects: against chance, the noise ceiling and each other.",
    "power": "The smallest alignment that N items can show, before anything is encoded.",
    "init": "Write a study file with comments, to begin from.",
    "open": "Open a page in the browser: of a study's folder, or of saved results.",
    "report": "Draw saved results as one self-contained page; its figures as files on request.",
    "list": "What there is: models, metrics, datasets, maps and other kinds; or the sides of one model.",
}
"""Command -> the first line of its help; the file of that name holds a function `command`."""


SPELLED = {("run", "gpus"): "per_worker_gpu", ("run", "memory"): "per_worker_memory"}
"""Command, argument of Python -> the option's name where they differ."""
HELP = {"help_option_names": ["-h", "--help"]}
WHERE = ("--to", "--output", "--out", "-o")
"""Where something is written: ``--to`` a file, ``--output`` a folder; who types the one is told of the other."""
_UsageError: Any = typer.BadParameter.__base__  # of click, or of typer's own copy of it


class _Group(typer.core.TyperGroup):
    """The commands, each imported when it is called, with our own word on Ctrl-C: typer would end without any."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS]  # the file of the command `list` has taken that name here

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        alone.command(cmd_name, context_settings=HELP)(
            import_module(f".{cmd_name.replace('-', '_')}", __name__).command
        )
        return typer.main.get_command(alone)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for option in ("--quiet", "--json"):  # they may stand anywhere, not only before the command
            if option in args:
                args = [option, *(a for a in args if a != option)]
        _refuse_empty(args)
        ctx.obj = args
        return [*super().parse_args(ctx, args)]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UnknownNameError("command", args[0], COMMANDS, "`isomorph -h` shows them all.")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            fail(INTERRUPTED, 130)
        except _UsageError as error:
            if getattr(error, "option_name", None) in WHERE:
                known = [o for p in self.get_command(ctx, ctx.invoked_subcommand).params for o in p.opts]
                error.possibilities = [o for o in known if o in WHERE]
            raise
        except InputError as error:
            told = _as_typed(str(error), self.get_command(ctx, ctx.invoked_subcommand), ctx.obj)
            if type(error) is not InputError or told == str(error):
                raise
            raise InputError(told) from error


def _refuse_empty(args: list[str]) -> None:
    """Say which argument or option is empty: an empty path would be the working directory, and an empty name no name.

    Raises:
        InputError: if one is.
    """
    for before, given in zip(["", *args], args, strict=False):
        if given == "" or re.fullmatch("--[a-z-]+=", given):
            option = given[:-1] or (before if before.startswith("-") else "")
            found = (
                f"{option} is empty" if option else "An argument is empty, as '' or a variable without a value gives"
            )
            raise InputError(f"{found}: give a value, or leave it out.")


def _as_typed(message: str, command: Any, args: list[str]) -> str:
    """A message that begins with an argument of Python, such as ``alpha=2``, with the option that was typed for it."""
    name, equals, rest = message.partition("=")
    if not equals or command is None:
        return message
    name = SPELLED.get((command.name, name), name)
    for option in (o for p in command.params if p.name == name for o in p.opts):
        if any(a == option or a.startswith(f"{option}=") for a in args):
            return f"{option} {rest}"
    return message


app = typer.Typer(
    name="isomorph",
    cls=_Group,
    help="How alike are two representation spaces, is it more than chance, where, and can it be used?",
    no_args_is_help=True,
    context_settings=HELP,
    pretty_exceptions_enable=False,  # only bugs show a traceback, and then a plain one
    rich_markup_mode=None,
)
_UNWRITABLE = (  # errors of the operating system that the user can put right; all others are bugs
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EPERM),
    *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        print(f"isomorph {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress (so does ISOMORPH_PROGRESS=0).")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print results as JSON, and what is for people on standard error.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    if quiet:
        ctx.with_resource(show_progress(False))
    if json:
        ctx.call_on_close(as_json())


def main() -> None:
    """Run the command line: 0 done, 2 something the user can put right, 130 interrupted, 1 a bug."""
    try:
        app(standalone_mode=True)
    except IsomorphError as error:
        fail(str(error), 2)
    except KeyboardInterrupt:
        fail(INTERRUPTED, 130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away: nothing is left to say, or to say it to
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        where = f" {error.filename}" if error.filename else ""
        fail(f"Cannot write{where}: {error.strerror}. What was committed is kept; free the way and run it again.", 2)
