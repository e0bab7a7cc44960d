"""Every exception that Isomorph raises on purpose.

```
IsomorphError                    what a user can put right; the command line prints it and exits 2
├── InputError (ValueError)      an argument or a file's content is not what is needed
│   └── UnknownNameError         no metric, map, model, dataset or layer has that name
├── MissingExtraError (ImportError)   an optional dependency is not installed
├── FetchError                   a package or a hub cannot be reached, or a hash does not match
└── StoreError                   the feature store cannot be read or written
```

Anything else that reaches a user is a bug. A message quotes at most a line of what was given (`quoted`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

QUOTED = 160
"""Most characters that a message quotes of one value."""
_LONGEST = 1600  # of a whole message, in characters


class IsomorphError(Exception):
    """Base of all errors that a user can put right; its text is one paragraph that any terminal can show.

    Example:
        >>> import isomorph as iso
        >>> try:
        ...     iso.metric("ckaa")
        ... except iso.IsomorphError as error:  # any of the errors below
        ...     print(type(error).__name__)
        UnknownNameError
    """

    def __init__(self, *args: object, **kwargs: Any) -> None:
        super().__init__(*(_paragraph(a) if isinstance(a, str) else a for a in args), **kwargs)


def quoted(value: object) -> str:
    """A value as a message quotes it: its `repr` on one line, shortened in the middle to `QUOTED` characters."""
    if isinstance(value, str):  # a part of a long text is enough
        value = value if len(value) <= 2 * QUOTED else value[:QUOTED] + "…" + value[-QUOTED:]
    elif isinstance(value, (list, tuple, set, frozenset, dict)) and len(value) > QUOTED:
        return f"a {type(value).__name__} of {len(value)}"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # whatever an object's repr raises, such as Python's on a whole number of 5,000 digits
        return f"a {type(value).__name__} that cannot be shown"
    return _shortened(text, QUOTED)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} … {text[len(text) - most // 2 :]}"


def _paragraph(text: str) -> str:
    """A text without line breaks, characters that no terminal shows, and the bulk of what it quotes.

    It is the last net beneath `quoted`: libraries put into their messages what they like.
    """
    words = [_shortened(word, 3 * QUOTED) for word in text[: 100 * _LONGEST].split()]
    # lone surrogates cannot be printed, and control characters move the cursor
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(words))
    return _shortened(shown, _LONGEST)


class InputError(IsomorphError, ValueError):
    """An argument, or the content of a file, is not what is needed.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> iso.metric("cka")(np.ones((5, 2)), np.ones((4, 2)))
        Traceback (most recent call last):
            ...
        isomorph.errors.InputError: x has 5 items and y has 4; row i of both must be the same item. Join ...
    """


class UnknownNameError(InputError):
    """Nothing of that kind has that name.

    Args:
        kind: What was looked for, such as ``"metric"``.
        name: The name that was given.
        known: The names that exist; the nearest ones are suggested.
        hint: One more sentence, such as the command that lists them all.

    Example:
        >>> import isomorph as iso
        >>> iso.load_encoder("bundled:minilm-l7")
        Traceback (most recent call last):
            ...
        isomorph.errors.UnknownNameError: Unknown bundled model 'minilm-l7'. Did you mean 'minilm-l6' or ...
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        names = sorted(known)
        # a long name is near none; comparing it with each would take long
        comparable = isinstance(name, str) and len(name) <= QUOTED
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) if comparable else []
        if near:
            suggestion = f"Did you mean {_either(near)}?"
        elif len(names) <= 12:
            suggestion = f"Known: {', '.join(map(_name, names)) or 'none'}."
        else:
            suggestion = f"Known: {', '.join(map(_name, names[:12]))}, … ({len(names)} in all)."
        super().__init__(" ".join(filter(None, [f"Unknown {kind} {quoted(name)}.", suggestion, hint])))
        self.kind, self.name, self.near = kind, name, near


class MissingExtraError(IsomorphError, ImportError):
    """An optional dependency is not installed; the text names the command that installs it.

    Example:
        >>> import isomorph as iso
        >>> raise iso.MissingExtraError("to_frame()", "pandas", "frames")
        Traceback (most recent call last):
            ...
        isomorph.errors.MissingExtraError: to_frame() needs the package 'pandas', which is not installed. ...
    """

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the package {package!r}, which is not installed. "
            f"Install it with: pip install 'isomorph[{extra}]'"
        )
        self.package, self.extra = package, extra


class FetchError(IsomorphError):
    """A package or a hub cannot be reached, or what came is not what was pinned.

    Example:
        >>> import isomorph as iso
        >>> iso.load_encoder("transformers:nobody/nothing")
        Traceback (most recent call last):
            ...
        isomorph.errors.FetchError: The model nobody/nothing cannot be had from the hub ...
    """


class StoreError(IsomorphError):
    """The feature store cannot be read or written.

    Example:
        >>> from pathlib import Path
        >>> import isomorph as iso
        >>> _ = Path("features").write_text("no folder")
        >>> iso.FeatureStore("features").entries()
        Traceback (most recent call last):
            ...
        isomorph.errors.StoreError: features is a file; a feature store is a folder: give another path.
    """


def _either(names: list[str]) -> str:
    shown = [quoted(n) for n in names]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def _name(name: str) -> str:
    return _shortened(name, QUOTED // 2)
