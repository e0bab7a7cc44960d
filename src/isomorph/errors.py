"""Every exception that Isomorph raises on purpose.

```
IsomorphError                    what a user can put right; the command line prints it and exits 2
├── InputError (ValueError)      an argument or a file's content is not what is needed
│   └── UnknownNameError         no metric, map, model, dataset or layer has that name
├── MissingExtraError (ImportError)   an optional dependency is not installed
├── FetchError                   a package or a hub cannot be reached, or a hash does not match
└── StoreError                   the feature store cannot be read or written
```

Anything else that reaches a user is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class IsomorphError(Exception):
    """Base of all errors that a user can put right; its text is one paragraph."""


class InputError(IsomorphError, ValueError):
    """An argument, or the content of a file, is not what is needed."""


class UnknownNameError(InputError):
    """Nothing of that kind has that name.

    Args:
        kind: What was looked for, such as ``"metric"``.
        name: The name that was given.
        known: The names that exist; the nearest ones are suggested.
        hint: One more sentence, such as the command that lists them all.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        if near:
            suggestion = f"Did you mean {_either(near)}?"
        elif len(names) <= 12:
            suggestion = f"Known: {', '.join(names) or 'none'}."
        else:
            suggestion = f"Known: {', '.join(names[:12])}, … ({len(names)} in all)."
        super().__init__(" ".join(filter(None, [f"Unknown {kind} {name!r}.", suggestion, hint])))
        self.kind, self.name, self.near = kind, name, near


class MissingExtraError(IsomorphError, ImportError):
    """An optional dependency is not installed; the text names the command that installs it."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the package {package!r}, which is not installed. "
            f"Install it with: pip install 'isomorph[{extra}]'"
        )
        self.package, self.extra = package, extra


class FetchError(IsomorphError):
    """A package or a hub cannot be reached, or what came is not what was pinned."""


class StoreError(IsomorphError):
    """The feature store cannot be read or written."""


def _either(names: list[str]) -> str:
    quoted = [repr(n) for n in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
