"""Facts about a callable that change whenever anything changes that can change what it computes.

Code is followed from function to function, into closures, defaults, attributes and those globals that it names, as far
as its user wrote it; what comes from a library is named by its module and the library's version. Not covered are the
content of files, the environment, and what is looked up by a computed name.
"""

from __future__ import annotations

import builtins
import collections
import collections.abc
import contextlib
import copyreg
import enum
import functools
import importlib
import importlib.util
import inspect
import io
import logging
import pathlib
import random
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..errors import InputError
from ._code import code_digest, library_version, references
from ._facts_libraries import PASSING, library_facts
from ._facts_plain import (
    SCALARS,
    canonical,
    content_of,
    is_literal,
    is_named,
    kind_of,
    module_of,
    name_of,
    scalar,
    sha,
    short,
    slots_of,
    unwrapped,
)

_DEPTH = 60  # objects inside each other
_PARTS = 200_000  # objects in all
_NOT_COVERED = "the content of files, the environment, what is looked up by a computed name"
# what a class dictionary holds beside what its user wrote
_OF_CLASSES = frozenset((
    "__dict__", "__weakref__", "__module__", "__doc__", "__annotations__", "__static_attributes__", "__qualname__",
    "__firstlineno__", "_abc_impl", "__abstractmethods__", "__dataclass_fields__", "__dataclass_params__",
    "__match_args__", "__orig_bases__", "__parameters__", "__type_params__", "__slots__", "__slotnames__",
))  # fmt: skip

_OWN_ACCOUNT = ("__reduce_ex__", "__reduce__", "__getstate__")

Place = tuple[str, ...]


class Walker:
    """Turns any object into JSON-able facts.

    Args:
        refuse: Whether what cannot be hashed is refused; otherwise it is given by its type.
        deep: Whether the attributes of a library's objects are followed; otherwise these are given by their type.
    """

    def __init__(self, *, refuse: bool = True, deep: bool = True) -> None:
        self.refuse, self.deep = refuse, deep
        self.libraries: dict[str, str] = {}
        self._open: dict[int, int] = {}
        self._done: dict[tuple[int, bool, bool], tuple[Any, Any]] = {}  # holds the objects, so that ids stay theirs
        self._parts = 0

    def value(self, x: Any, place: Place = ()) -> Any:
        """Facts about one object.

        Raises:
            InputError: if it, or something in it, cannot be hashed; `place` says where it stands.
        """
        kind = type(x)
        if kind in SCALARS:
            return scalar(x)
        key = (id(x), self.refuse, self.deep)
        if key in self._done:
            return self._done[key][1]
        if id(x) in self._open:
            return {"again": self._open[id(x)]}
        self._parts += 1
        if len(self._open) >= _DEPTH or self._parts > _PARTS:
            limit = f"nested deeper than {_DEPTH}" if len(self._open) >= _DEPTH else f"of more than {_PARTS:,} parts"
            return self.refused(x, place, f"what belongs to it is {limit}")
        self._open[id(x)] = len(self._open)
        try:
            facts = short(self._facts(x, place))
        finally:
            del self._open[id(x)]
        self._done[key] = (x, facts)
        return facts

    def values(self, named: Iterable[tuple[str, Any]], what: str, place: Place) -> dict[str, Any]:
        """Facts about several named objects, sorted by name."""
        return {name: self.value(x, (f"{what} {name!r}", *place)) for name, x in sorted(named, key=lambda n: n[0])}

    def refused(self, x: Any, place: Place, why: str) -> Any:
        """The type of what cannot be hashed, where that will do.

        Raises:
            InputError: if it will not.
        """
        if not self.refuse:
            return {"type": name_of(type(x))}
        steps = [*place[:-1][:4], *(["…"] if len(place) > 5 else []), *place[-1:]]
        raise InputError(
            f"The {' of '.join(steps) or 'function'} is {kind_of(x)}: {why}, so features could change under one name. "
            'Say what the function does: preprocessing="one line that says what it does and its version", and change '
            "that line whenever it changes; or build the function without this."
        )

    def library(self, module: str | None) -> bool:
        """Whether a module belongs to a library; its version is noted then."""
        root = (module or "").partition(".")[0]
        version = library_version(root) if root else None
        if version is not None:
            self.libraries[root] = version
        return version is not None

    # ------------------------------------------------------------ one kind after the other

    def _facts(self, x: Any, place: Place) -> Any:
        for kinds, facts in _KINDS:
            if isinstance(x, kinds):
                return facts(self, x, place)
        known = library_facts(self, x, place)
        return self._instance(x, place) if known is None else known

    def function(self, f: types.FunctionType, place: Place) -> dict[str, Any]:
        """A function: its code, and all that the code reaches."""
        module = f.__globals__.get("__name__")
        name = f"{module}.{f.__qualname__}"
        if self.library(f.__module__) and is_named(f):
            return {"library": name}
        place = place or (f"function {name}",)
        cells = zip(f.__code__.co_freevars, f.__closure__ or (), strict=True)
        closure = self.values(((n, content_of(c)) for n, c in cells), "closure variable", place)
        kept = [(k, v) for k, v in vars(f).items() if k != "__wrapped__"]
        arguments = f.__code__.co_varnames[: f.__code__.co_argcount]
        defaults = dict(zip(reversed(arguments), reversed(f.__defaults__ or ()), strict=False))
        facts: dict[str, Any] = {
            "defaults": self.values((defaults | (f.__kwdefaults__ or {})).items(), "default of argument", place),
            "closure": closure,
            "attributes": self.values(kept, "attribute", place),
        }
        if self.library(module):  # one that it made, such as a decorated one, goes with what it was made of
            return {"library": name, **{k: v for k, v in facts.items() if v}}
        facts |= {"code": code_digest(f.__code__), "uses": self._uses(f, place)}
        return {"function": name, **{k: v for k, v in facts.items() if v}}

    def _uses(self, f: types.FunctionType, place: Place) -> dict[str, Any]:
        """What the code takes from its module, and from modules that it imports itself."""
        found: dict[str, Any] = {}
        for chain, must in references(f.__code__).names:
            if chain[0] in f.__globals__:
                names, facts = self._chain(f.__globals__[chain[0]], chain, place)
                found[".".join(names)] = facts
            elif must and not hasattr(builtins, chain[0]):
                found[chain[0]] = {"undefined": True}
        for level, name, wanted in references(f.__code__).imports:
            full = _absolute(f, level, name)
            if self.library(full):
                continue
            try:
                module = importlib.import_module(full)
            except Exception:  # the user's own code runs here; the function will fail then in its own words
                found[full] = {"cannot be imported": True}
                continue
            if not wanted:  # ``import a.b`` gives a
                used = {full, full.partition(".")[0]}
                found |= {m: self.value(sys.modules[m], (f"module {m!r}", *place)) for m in used}
            for attribute in wanted:
                names, facts = self._chain(module, (full, attribute), place)
                found[".".join(names)] = facts
        return dict(sorted(found.items()))

    def _chain(self, x: Any, chain: tuple[str, ...], place: Place) -> tuple[tuple[str, ...], Any]:
        """Follow ``a.b.c`` through modules to the first thing that is none."""
        used, owner = chain[:1], None
        for attribute in chain[1:]:
            if not isinstance(x, types.ModuleType):
                break
            used, owner = (*used, attribute), x
            try:
                x = getattr(x, attribute)
            except Exception:  # lazy modules raise what they like for what is missing
                return used, {"undefined": True}
        step = (f"global {'.'.join(used)!r}", *place)
        if isinstance(x, types.ModuleType) or owner is None or not self.library(owner.__name__):
            return used, self.value(x, step)
        # settings of a library and what was put in place of its functions; all else is as its version is
        own = type(x) in SCALARS or (isinstance(x, types.FunctionType | type) and not self.library(module_of(x)))
        return used, self.value(x, step) if own else {"library": f"{owner.__name__}.{used[-1]}"}

    def _method(self, m: types.MethodType, place: Place) -> dict[str, Any]:
        return {
            "method": self.value(m.__func__, place),
            "self": self.value(m.__self__, ("object of the method", *place)),
        }

    def _builtin(self, f: Any, place: Place) -> Any:
        owner = getattr(f, "__self__", None)
        if owner is None or isinstance(owner, types.ModuleType):
            module = getattr(f, "__module__", None) or getattr(f, "__objclass__", type(f)).__module__
            if not self.library(module):
                return self.refused(f, place, "its code is compiled and cannot be read")
            return {"library": f"{module}.{f.__qualname__}"}
        return {"method": f.__name__, "self": self.value(owner, ("object of the method", *place))}

    def _partial(self, p: functools.partial[Any], place: Place) -> dict[str, Any]:
        where = [(f"argument {i} of partial", *place) for i in range(len(p.args))]
        return {
            "partial": self.value(p.func, ("function of partial", *place)),
            "args": [self.value(v, w) for v, w in zip(p.args, where, strict=True)],
            "keywords": self.values(p.keywords.items(), "argument", place),
            **self.beside(p, place),
        }

    def _lru(self, f: Any, place: Place) -> dict[str, Any]:
        return {"cached": self.value(f.__wrapped__, place)}

    def _class(self, c: type, place: Place) -> dict[str, Any]:
        """A class: what its user wrote in it and in its bases."""
        name = name_of(c)
        if self.library(c.__module__):
            return {"library": name}
        members: dict[str, Any] = {}
        for base in c.__mro__:
            if self.library(base.__module__):
                members[name_of(base)] = "library"
                continue
            own = [(k, unwrapped(v)) for k, v in vars(base).items() if k not in _OF_CLASSES]
            if issubclass(base, enum.Enum):
                own = [(k, v) for k, v in own if isinstance(v, types.FunctionType)]
                own += [(k, m._value_) for k, m in base.__members__.items()]
            own = [(k, v) for k, v in own if not isinstance(v, _DESCRIPTORS)]
            members[name_of(base)] = short(self.values(own, "attribute", (f"class {name_of(base)}", *place)))
        return {"class": name, "bases": [name_of(b) for b in c.__mro__[1:]], "members": members}

    def _module(self, m: types.ModuleType, place: Place) -> dict[str, Any]:
        """A module that is used as a whole: all that it holds."""
        if self.library(m.__name__):
            return {"library": m.__name__}
        own = [(k, v) for k, v in vars(m).items() if not (k.startswith("__") and k.endswith("__"))]
        with self.setting(refuse=False):
            return {"module": m.__name__, "holds": self.values(own, "global", (f"module {m.__name__!r}", *place))}

    # ------------------------------------------------------------ values

    def _container(self, x: Any, place: Place) -> Any:
        if type(x) in _CONTAINERS and is_literal(x):
            return {"value": repr(x)}
        if isinstance(x, collections.abc.Set):
            facts: Any = {
                "frozen set" if isinstance(x, frozenset) else "set": sorted(
                    canonical(self.value(v, ("item", *place))) for v in x
                )
            }
        elif isinstance(x, dict):
            pairs = [[self.value(k, ("key", *place)), self.value(v, (f"item {k!r:.40}", *place))] for k, v in x.items()]
            facts = {"dict": pairs}
        else:
            items = [self.value(v, (f"item {i}", *place)) for i, v in enumerate(x)]
            facts = {("list" if isinstance(x, list) else "tuple"): items}
        return facts if type(x) in _CONTAINERS else facts | self.beside(x, place)

    def _subclass(self, x: Any, place: Place) -> Any:
        """An instance of a class derived from a number, a text or bytes."""
        base = next(b for b in (int, float, complex, str, bytes, bytearray) if isinstance(x, b))
        plain = bytes(x) if base is bytearray else base.__repr__(x)
        return {"value": scalar(plain), **self.beside(x, place)}

    def beside(self, x: Any, place: Place) -> dict[str, Any]:
        """The class, and the attributes that an instance carries beside its content."""
        facts: dict[str, Any] = {"of": self.value(type(x), place)}
        slots = [s for c in type(x).__mro__ for s in slots_of(c) if hasattr(x, s)]
        slots += [s for s in ("default_factory", "maxlen") if isinstance(x, dict | collections.deque) and hasattr(x, s)]
        own = {s: getattr(x, s) for s in slots} | dict(getattr(x, "__dict__", {}))
        if self.library(type(x).__module__):
            own = {k: v for k, v in own.items() if not PASSING.search(k)}
        return facts | ({"state": self.values(own.items(), "attribute", place)} if own else {})

    def _member(self, x: enum.Enum, place: Place) -> dict[str, Any]:
        facts = {"member": f"{name_of(type(x))}.{x._name_}", "value": self.value(x._value_, place)}
        return facts if self.library(type(x).__module__) else facts | {"of": self.value(type(x), place)}

    def _number(self, x: np.generic, place: Place) -> dict[str, Any]:
        return {
            "number": str(x.dtype),
            "value": self.value(x.item(), place) if x.dtype.kind != "V" else scalar(x.tobytes()),
        }

    def _ufunc(self, x: np.ufunc, place: Place) -> Any:
        if getattr(np, x.__name__, None) is not x:
            return self.refused(x, place, "what it computes cannot be read")
        return {"library": f"numpy.{x.__name__}"}

    def _mapping(self, x: Any, place: Place) -> Any:
        return {"mapping": self.value(dict(x), place)}

    def _array(self, x: np.ndarray[Any, Any], place: Place) -> dict[str, Any]:
        facts: dict[str, Any] = {"array": str(x.dtype), "shape": list(x.shape)}
        if x.dtype.hasobject:
            return facts | {"items": [self.value(v, (f"item {i}", *place)) for i, v in enumerate(x.ravel().tolist())]}
        if isinstance(x, np.ma.MaskedArray):
            facts["mask"] = sha(np.ascontiguousarray(np.ma.getmaskarray(x)).tobytes())
            x = np.ma.getdata(x)
        return facts | {"sha256": sha(np.ascontiguousarray(x).reshape(-1).view(np.uint8) if x.nbytes else b"")}

    def _code(self, x: types.CodeType, place: Place) -> dict[str, Any]:
        return {"code": code_digest(x)}

    def by_text(self, x: Any, place: Place) -> dict[str, Any]:
        """What is fully said by its text: paths (not what lies there), types of numbers, devices, annotations."""
        return {name_of(type(x)): scalar(x.as_posix() if isinstance(x, pathlib.PurePath) else str(x))}

    def _logger(self, x: Any, place: Place) -> dict[str, Any]:
        return {"logger": x.name}

    def random_numbers(self, x: Any, place: Place) -> dict[str, Any]:
        """A generator of random numbers, by its state."""
        if isinstance(x, np.random.Generator):
            state: Any = x.bit_generator.state
        elif isinstance(x, np.random.BitGenerator):
            state = x.state
        else:
            state = x.get_state() if hasattr(x, "get_state") else x.getstate()
        return {"random numbers": name_of(type(x)), "state": self.value(state, place)}

    def _used_up(self, x: Any, place: Place) -> Any:
        return self.refused(x, place, "reading it changes it")

    def _file(self, x: Any, place: Place) -> Any:
        if isinstance(x, io.BytesIO | io.StringIO):
            return {"buffer": scalar(x.getvalue()), "at": x.tell()}
        return self.refused(x, place, "its content can change, and reading it moves it")

    def _instance(self, x: Any, place: Place) -> Any:
        kind = type(x)
        library = self.library(kind.__module__)
        if library and not self.deep:
            return {"type": name_of(kind)}
        if library and is_named(x):
            return {"library": f"{x.__module__}.{x.__name__}"}
        if isinstance(x, collections.abc.Iterator) and library:
            return self._used_up(x, place)
        try:
            reduced = copyreg.dispatch_table[kind](x) if kind in copyreg.dispatch_table else x.__reduce_ex__(2)
        except Exception:  # objects that hold no plain state raise what they like
            return self.refused(x, place, "its state cannot be read")
        facts: dict[str, Any] = {"of": self.value(kind, place)}
        if isinstance(reduced, str):
            return facts | {"named": reduced} if library else self.refused(x, place, "its state cannot be read")
        if kind in copyreg.dispatch_table or any(
            method in vars(base) for base in kind.__mro__[:-1] for method in _OWN_ACCOUNT
        ):
            # it may leave out what it computes with
            facts["account"] = [self.value(v, ("state", *place)) for v in self._account(reduced)]
            with self.setting(refuse=False):
                return facts | self.beside(x, place)
        return facts | self.beside(x, place)

    def _account(self, reduced: tuple[Any, ...]) -> list[Any]:
        """What an object says of itself for copying, iterators read out."""
        return [tuple(v) if isinstance(v, collections.abc.Iterator) else v for v in reduced]

    @contextlib.contextmanager
    def setting(self, **flags: bool) -> Iterator[None]:
        """Other values of `refuse` and `deep` for a while."""
        before = {k: getattr(self, k) for k in flags}
        vars(self).update(flags)
        try:
            yield
        finally:
            vars(self).update(before)


_DESCRIPTORS = (
    types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType, types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)  # fmt: skip
_CONTAINERS: tuple[type, ...] = (dict, list, tuple, set, frozenset)
_KINDS: tuple[tuple[Any, Callable[[Walker, Any, Place], Any]], ...] = (
    (types.FunctionType, Walker.function),
    (types.MethodType, Walker._method),
    ((types.BuiltinFunctionType, types.MethodWrapperType, *_DESCRIPTORS), Walker._builtin),
    (functools.partial, Walker._partial),
    (functools._lru_cache_wrapper, Walker._lru),
    (enum.Enum, Walker._member),
    (np.ndarray, Walker._array),
    (np.generic, Walker._number),
    (np.ufunc, Walker._ufunc),
    ((np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random), Walker.random_numbers),
    ((types.GenericAlias, types.UnionType, typing.TypeVar), Walker.by_text),
    (type, Walker._class),
    (types.ModuleType, Walker._module),
    ((*_CONTAINERS, collections.deque), Walker._container),
    ((int, float, complex, str, bytes, bytearray), Walker._subclass),
    (types.MappingProxyType, Walker._mapping),
    (types.CodeType, Walker._code),
    ((pathlib.PurePath, np.dtype, range, types.EllipsisType, types.NotImplementedType), Walker.by_text),
    (logging.Logger, Walker._logger),
    (io.IOBase, Walker._file),
    ((types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType), Walker._used_up),
)


def describe_callable(function: Any, what: str) -> dict[str, Any]:
    """The facts that `_fingerprint.describe` gives, for any callable.

    Raises:
        InputError: if it is none, or holds something that cannot be hashed.
    """
    if not callable(function):
        raise InputError(f"{what} must be a function, found {type(function).__name__}.")
    walker = Walker()
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
    facts = walker._facts(function, (f"{what} {name}",))  # at its full length, so that it can be read
    return {
        "function": name,
        "source": _source(walker, function),
        "facts": facts,
        "libraries": dict(sorted(walker.libraries.items())),
        "not covered": _NOT_COVERED,
    }


def _source(walker: Walker, function: Any) -> str:
    while isinstance(function, functools.partial | types.MethodType):
        function = function.func if isinstance(function, functools.partial) else function.__func__
    code = function if isinstance(function, type | types.FunctionType) else type(function)
    try:
        return "" if walker.library(module_of(code)) else inspect.getsource(code)
    except (OSError, TypeError):
        return ""


def _absolute(f: types.FunctionType, level: int, name: str) -> str:
    if not level:
        return name
    try:
        return importlib.util.resolve_name("." * level + name, f.__globals__.get("__package__"))
    except ImportError:
        return name
