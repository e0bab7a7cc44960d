"""What a function's code is and names, and which modules belong to libraries."""

from __future__ import annotations

import dis
import functools
import hashlib
import importlib.metadata
import importlib.util
import platform
import sys
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class References(NamedTuple):
    """What code names beyond its own variables.

    Attributes:
        names: Chains such as ``("np", "linalg", "norm")``, and whether the first name must be a global.
        imports: (level, module, names taken from it) of import statements in the code.
    """

    names: tuple[tuple[tuple[str, ...], bool], ...]
    imports: tuple[tuple[int, str, tuple[str, ...]], ...]


@functools.lru_cache(maxsize=4096)
def code_digest(code: types.CodeType) -> str:
    """Sha256 of what code does, wherever it stands."""
    facts = (
        code.co_code, _constant(code.co_consts), code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars,
        code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_exceptiontable,
    )  # fmt: skip
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()


@functools.lru_cache(maxsize=4096)
def references(code: types.CodeType) -> References:
    """What code, and the functions defined in it, name beyond their own variables."""
    names: dict[tuple[str, ...], bool] = {}
    imports: dict[tuple[int, str, tuple[str, ...]], None] = {}
    for part in _codes(code):
        chain: tuple[str, ...] = ()
        must = False
        constants: list[Any] = []
        for step in dis.get_instructions(part):
            if step.opname in ("LOAD_ATTR", "LOAD_METHOD") and chain:
                chain = (*chain, str(step.argval))
                continue
            if step.opname == "EXTENDED_ARG":
                continue
            if chain:
                names[chain] = names.get(chain, False) or must
            chain = ()
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
                chain, must = (str(step.argval),), step.opname == "LOAD_GLOBAL"
            elif step.opname == "LOAD_CONST":
                constants.append(step.argval)
            elif step.opname == "IMPORT_NAME":
                level, wanted = constants[-2:]
                imports[level, str(step.argval), tuple(wanted or ())] = None
    return References(tuple(sorted(names.items())), tuple(sorted(imports)))


@functools.lru_cache(maxsize=1024)
def library_version(root: str) -> str | None:
    """The version of the library that a top-level module belongs to; None if its user wrote it."""
    if root == "__main__":
        return None
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError, AttributeError):  # modules made by hand have no spec
        spec = None
    if spec is None:
        return None
    if spec.origin in ("built-in", "frozen"):
        return f"Python {platform.python_version()}"
    places = [spec.origin] if spec.has_location and spec.origin else list(spec.submodule_search_locations or ())
    if not places:
        return None
    folder = Path(places[0]).parent
    if spec.submodule_search_locations and spec.has_location:
        folder = folder.parent
    if root == "isomorph" or {"site-packages", "dist-packages"} & set(folder.parts) or _is_installed(folder, root):
        return _version(root)
    standard = {Path(p) for k, p in sysconfig.get_paths().items() if k in ("stdlib", "platstdlib")}
    if standard & {folder, *folder.parents}:
        return f"Python {platform.python_version()}"
    return None


def _version(root: str) -> str:
    names = [root]
    own = getattr(sys.modules.get(root), "__version__", None)
    if not isinstance(own, str):  # slow: it reads what every installed package holds
        names += importlib.metadata.packages_distributions().get(root, [])
    for name in names:
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if found:  # a damaged installation names none
            return found
    return own if isinstance(own, str) else "unknown"


def _is_installed(folder: Path, root: str) -> bool:
    """Whether an installer put the module into this folder (one given by ``pip install --target``, say)."""
    for record in folder.glob("*.dist-info/RECORD"):
        text = "\n" + record.read_text(encoding="utf-8", errors="replace")
        if f"\n{root}/" in text or f"\n{root}.py" in text:
            return True
    return False


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _constant(x: Any) -> Any:
    if isinstance(x, types.CodeType):
        return ("code", code_digest(x))
    if isinstance(x, tuple):
        return tuple(_constant(v) for v in x)
    if isinstance(x, frozenset):
        return ("frozenset", sorted(repr(_constant(v)) for v in x))
    return x
