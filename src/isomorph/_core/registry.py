"""Names to factories: one package's modules are scanned, and one entry-point group is read.

Adding a metric, map, encoder or dataset is adding a class to a module of its room: nothing else lists it.

A *spec* is ``name`` or ``name(parameter=literal, …)``, read with `ast.literal_eval`, never evaluated.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast

from ..errors import InputError, UnknownNameError, quoted
from .hints import check_parameters

T = TypeVar("T")
_LONGEST = 100_000  # characters of a spec; parsing takes a thousand times as many bytes


def parse_spec(spec: str, kind: str = "spec") -> tuple[str, list[Any], dict[str, Any]]:
    """Split ``name(1, k=10)`` into its name, positional and keyword literals.

    Names may hold letters, digits, ``_``, ``-`` and ``.``.

    Raises:
        InputError: if the text is not of that form or a value is not a literal.
    """
    name, bracket, rest = spec.strip().partition("(")
    name = name.strip()
    problem = InputError(
        f"Cannot read the {kind} {quoted(spec)}: expected name or name(parameter=value), where each value is a "
        "number, a quoted text, True, False, None or a list of these."
    )
    if not name or not _readable(name):
        raise problem
    if not bracket:
        return name, [], {}
    if len(spec) > _LONGEST:
        raise problem
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python's parser, such as on a backslash in a path
            call = ast.parse(f"f({rest}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "f":
            raise problem
        args = [ast.literal_eval(a) for a in call.args]
        kwargs = {}
        for keyword in call.keywords:
            if keyword.arg is None:
                raise problem
            kwargs[keyword.arg] = ast.literal_eval(keyword.value)
    # nested deeper than Python reads, or a list where a name of a table must stand
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise problem from error
    return name, args, kwargs


def format_spec(name: str, parameters: dict[str, Any]) -> str:
    """The inverse of `parse_spec` for keyword parameters."""
    inside = ", ".join(f"{k}={v!r}" for k, v in parameters.items())
    return f"{name}({inside})" if inside else name


def spellings(
    name: str, parameters: Mapping[str, Any], defaults: Mapping[str, Any], aliases: Mapping[str, str]
) -> tuple[str, ...]:
    """The shortest spec of a variant, with the parameters that are not at their defaults, and its other names.

    Args:
        name: Registered name.
        parameters: Every parameter of the variant.
        defaults: Those that have a default.
        aliases: Other name -> spec.
    """
    short = format_spec(name, {k: v for k, v in parameters.items() if k not in defaults or v != defaults[k]})
    others = [alias for alias, spec in aliases.items() if {**defaults, **parse_spec(spec)[2]} == dict(parameters)]
    return (short, *others)


def bind(factory: Callable[..., T], kind: str, spec: str, args: list[Any], kwargs: dict[str, Any]) -> T:
    """Call `factory`, turning a wrong parameter into an error that names the right ones.

    Raises:
        InputError: if a parameter is unknown, missing, given twice or of another type than stated.
    """
    signature = inspect.signature(factory)
    try:
        bound = signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        known = ", ".join(str(p) for p in signature.parameters.values())
        raise InputError(f"The {kind} {quoted(spec)} does not fit: {error}. Its parameters are ({known}).") from error
    check_parameters(factory, f"{kind} {quoted(spec)}", bound)
    return factory(*args, **kwargs)


@dataclasses.dataclass(frozen=True)
class Registry(Generic[T]):
    """All named subclasses of one base class in one package, plus those of installed plug-ins.

    Args:
        kind: The word for messages, such as ``"metric"``.
        package: The package whose modules are imported and scanned.
        base: The abstract class that the members inherit from.
        group: The entry-point group that plug-ins use.
        listing: What `isomorph list` calls the members; by default the last word of `kind` with an s, empty for none.
    """

    kind: str
    package: str
    base: type[Any]
    group: str
    listing: str | None = None

    @cached_property
    def classes(self) -> dict[str, type[T]]:
        """Every registered class by its name, sorted."""
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__, f"{self.package}."):
            importlib.import_module(module.name)
        found: dict[str, type[T]] = {}
        for cls in _descendants(self.base):
            own = cls.__dict__.get("name")
            # plug-ins come in through their entry points, never by having been imported
            if isinstance(own, str) and not inspect.isabstract(cls) and cls.__module__.startswith(self.package):
                found[own] = cls
        for point in entry_points(group=self.group):
            found[point.name] = point.load()
        return dict(sorted(found.items()))

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Other names of the members: alias -> spec."""
        table: dict[str, str] = {}
        for cls in self.classes.values():
            table.update(getattr(cls, "aliases", {}))
        return dict(sorted(table.items()))

    def make(self, spec: str | T) -> T:
        """Build the member that a spec names; an instance is passed through.

        Raises:
            UnknownNameError: if no member or alias has the name.
            InputError: if the spec cannot be read or its parameters do not fit.
        """
        if isinstance(spec, self.base):
            return cast(T, spec)
        if not isinstance(spec, str):
            raise InputError(f"A {self.kind} is given by its name or as an object, found {type(spec).__name__}.")
        alias = self.aliases.get(spec.strip())
        name = spec.partition("(")[0].strip()
        if alias is None and name and not _readable(name):  # such as "cka=1": what it begins with says what was meant
            raise self._unknown(name)
        name, args, kwargs = parse_spec(alias or spec, self.kind)
        stands_for = self.aliases.get(name) if alias is None else None
        if stands_for is not None:
            short, (name, args0, kwargs0) = name, parse_spec(stands_for, self.kind)
            args, kwargs = args0 + args, kwargs0 | kwargs
        cls = self.classes.get(name)
        if cls is None:
            raise self._unknown(name)
        try:
            return bind(cls, self.kind, spec, args, kwargs)
        except InputError as error:
            if stands_for is None:
                raise
            raise InputError(f"{str(error).rstrip('.')}. ({short} stands for {stands_for}.)") from error

    def _unknown(self, name: str) -> UnknownNameError:
        known = [*self.classes, *self.aliases]
        listing = f"{self.kind.split()[-1]}s" if self.listing is None else self.listing
        hint = f"`isomorph list {listing}` shows them all." if listing else ""
        if not _readable(name):
            hint = f"Parameters are given in brackets: name(parameter=value). {hint}".strip()
            begin = re.match(r"[\w.-]+", name)
            known = [begin[0]] if begin and begin[0] in known else known
        return UnknownNameError(self.kind, name, known, hint)


def _readable(name: str) -> bool:
    return all(c.isalnum() or c in "_-." for c in name)


def _descendants(cls: type[Any]) -> list[type[Any]]:
    children = cls.__subclasses__()
    return children + [g for c in children for g in _descendants(c)]
