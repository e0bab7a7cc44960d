"""The settings of a verb as options of its command, made from the fields of the settings value."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from .._core.settings import Settings


def with_settings(
    kind: type[Settings], **spelled: str | tuple[str, str] | None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What adds an option for every setting to a command, which takes them as ``settings``, a dict.

    A flag that is on by default gets the option ``--no-NAME``.

    Args:
        kind: The settings of the verb.
        **spelled: Setting -> its option where it is spelled otherwise, with the option's help where a command takes
            it in another form than a function; or None where the command has no option for it.
    """

    def add(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters
        wanted = {f.name: f for f in fields(kind) if spelled.get(f.name, "") is not None}
        told = {n: v if isinstance(v, tuple) else (v, None) for n, v in spelled.items()}
        hints, help_of = get_type_hints(kind), {**kind.help(), **{n: words for n, (_, words) in told.items() if words}}
        options = {n: _option(n, hints[n], f.default, help_of[n], told.get(n, (None,))[0]) for n, f in wanted.items()}
        turned = {n for n, f in wanted.items() if f.default is True}

        @functools.wraps(command)
        def run(**given: Any) -> None:
            chosen = {n: given.pop(n) for n in wanted}
            chosen = {n: v if n not in turned else not v for n, v in chosen.items()}
            command(**given, settings={n: v for n, v in chosen.items() if v is not None and v != []})

        parameters = [p for n, p in own.items() if n != "settings"]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters] + list(options.values())
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        del run.__wrapped__  # typer would read the command itself
        return run

    return add


def _option(name: str, hint: Any, default: Any, words: str, spelled: str | None) -> inspect.Parameter:
    flag, told = default is True, spelled or ""
    kinds = [k for k in (get_args(hint) if isinstance(hint, types.UnionType) else (hint,)) if k is not type(None)]
    plain: Any
    if bool in kinds:
        plain, given = bool, False
        names = [told or f"--{'no-' if flag else ''}{name.replace('_', '-')}"]
    elif kinds == [Any] or tuple[str, ...] in kinds or not {str, int, float} & set(kinds):  # specs, and lists of texts
        plain, given = list[str] | None, None
        names = [told or f"--{name.replace('_', '-')}"]
    else:
        plain = next(k for k in (str, float, int) if k in kinds)
        given = None if default is MISSING else default
        plain = plain | None if given is None else plain
        names = [told or f"--{name.replace('_', '-')}"]
    words = words.replace("``", "").rstrip(".") + "."
    words = f"Turn off: {words[0].lower()}{words[1:]}" if flag else words
    option = typer.Option(*names[0].split(), help=words)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=given, annotation=Annotated[plain, option])


def given_files(pairs: list[str] | None) -> Mapping[str, Any]:
    """Features by name, out of NAME=FILE.

    Raises:
        InputError: if one is not of that form, or two have one name.
    """
    from ..conditions import load_side

    return {name: load_side(path)[1] for name, path in named_paths(pairs).items()}


def named_paths(pairs: list[str] | None) -> Mapping[str, str]:
    """Files by name, out of NAME=FILE.

    Raises:
        InputError: if one is not of that form, or two have one name.
    """
    from ..errors import InputError

    named: dict[str, str] = {}
    for pair in pairs or []:
        name, equals, path = pair.partition("=")
        if not (name and equals and path):
            example = "untrained=twin.npz" if equals or not pair else f"{Path(pair).stem}={pair}"
            raise InputError(f"{pair!r} is not of the form NAME=FILE, such as {example}.")
        if name in named:
            raise InputError(f"Two files are called {name!r}; give each a name of its own.")
        named[name] = path
    return named


def given_lines(path: Path, what: str) -> list[str]:
    """The lines of a text file with a label for each row of RESPONSES.

    Args:
        path: The file.
        what: What it holds, for messages.

    Raises:
        InputError: if it cannot be read, or a line is empty.
    """
    from .._core.files import read_text
    from ..errors import InputError

    lines = [line.strip() for line in read_text(path, what).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not all(lines):
        raise InputError(f"{path}: line {lines.index('') + 1} is empty; one is needed for each row of RESPONSES.")
    return lines
