"""Progress with an estimate: a bar in notebooks and terminals, plain lines elsewhere, nothing for short work.

tqdm draws; what is here decides whether, where and when. One switch is heard by everything that takes long:
`show_progress`, or ``ISOMORPH_PROGRESS=0`` in the environment.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TextIO

from ..errors import InputError, quoted

Show = bool | Callable[[int, int], object] | None
"""None: after two seconds. True: at once. False: never. A function: called with (done, total) instead of a bar."""

Advance = Callable[[int], object]
"""What work calls after every n of its units."""

DELAY = 2.0
"""Seconds before anything is shown."""
_PAUSE = 10.0  # seconds between plain lines
_NAMES = {"0": False, "false": False, "off": False, "no": False, "1": True, "true": True, "on": True, "yes": True}


class _Switch:
    """What `show_progress` was told last; None leaves it to the environment."""

    show: Show = None


def show_progress(show: Show = None) -> AbstractContextManager[object]:
    """Say how everything that takes long shows its progress: from now on, or inside a `with` block.

    A verb's own `progress` argument, where it has one, goes first; then this; then the environment variable
    ``ISOMORPH_PROGRESS`` (0 is False, 1 is True); then a bar after two seconds.

    Args:
        show: False shows nothing; True shows bars at once; a function is called with (done, total) of each piece of
            work in place of a bar; None takes back what was said before.

    Returns:
        A context manager that restores, at its end, what held before the call. It need not be used.

    Raises:
        InputError: if `show` is none of these.

    Example:
        >>> import isomorph as iso
        >>> seen = []
        >>> with iso.show_progress(lambda done, total: seen.append((done, total))):
        ...     found = iso.power("cka", 30, 8, 8, trials=5)
        >>> seen[0]
        (1, 9)
    """
    _check(show, "show_progress: show")
    restore = contextlib.ExitStack()
    restore.callback(setattr, _Switch, "show", _Switch.show)
    _Switch.show = show
    return restore


def silent() -> bool:
    """Whether the user asked for no progress at all."""
    return _chosen(None) is False


@contextlib.contextmanager
def progress(total: int, what: str, *, unit: str = "items", show: Show = None) -> Iterator[Advance]:
    """Show how far a long piece of work is, on standard error.

    ```python
    with progress(len(batches), "permutations") as advance:
        for batch in batches:
            …
            advance(1)
    ```

    Args:
        total: Units of work in all.
        what: What is being done, in a few words.
        unit: What is counted.
        show: As for `show_progress`, for this piece of work; None leaves it to the switch.

    Yields:
        `advance(n)`, to be called after every `n` units.

    Raises:
        InputError: if ``ISOMORPH_PROGRESS`` is neither 0 nor 1.
    """
    show = _chosen(show)
    if callable(show):
        done = 0

        def count(n: int = 1) -> None:
            nonlocal done
            done += n
            show(done, total)

        yield count
        return
    if show is False or total <= 0 or sys.stderr is None:
        yield lambda n: None
        return
    meter = _Meter(total, what, unit, 0.0 if show else DELAY)
    # the first step of the work may be the long one; a notebook's widgets are made by the thread of its cell alone
    timer = threading.Timer(meter.delay, meter.show)
    timer.daemon = True
    if not _in_notebook():
        timer.start()
    try:
        yield meter.advance
    finally:
        timer.cancel()
        meter.stop()


def one_by_one(advance: Advance | None) -> Show:
    """What to `show`, where a caller gave a function that is called with 1 after each unit of work.

    Raises:
        InputError: if it is no function.
    """
    if advance is not None and not callable(advance):
        raise InputError(f"advance must be a function of a number, found {quoted(advance)}.")
    return None if advance is None else lambda done, total: advance(1)


def notice(text: str) -> None:
    """Tell the user something on standard error, above a running bar if there is one."""
    if sys.stderr is None:
        return
    if _Meter.shown:
        _bar_class().write(text, file=sys.stderr)
    else:
        print(text, file=sys.stderr)
    sys.stderr.flush()


def duration(seconds: float) -> str:
    """A time for people: ``"12 s"``, ``"3 min"``, ``"2 h 5 min"``."""
    seconds = math.ceil(seconds)
    if seconds < 100:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _check(show: Any, name: str) -> None:
    if isinstance(show, type) or not (show is None or isinstance(show, bool) or callable(show)):
        raise InputError(
            f"{name} must be True, False, None or a function of (done, total), got {quoted(show)}. False silences "
            "everything."
        )


def _chosen(show: Show) -> Show:
    _check(show, "progress")
    if show is None:
        show = _Switch.show
    if show is None and (text := os.environ.get("ISOMORPH_PROGRESS", "")):
        if text.lower() not in _NAMES:
            raise InputError(f"The environment variable ISOMORPH_PROGRESS must be 0 or 1, found {text!r}.")
        show = _NAMES[text.lower()]
    return show


class _Meter:
    """Counts and times one piece of work, and draws it once it has taken long enough."""

    shown = 0  # bars on display in this process

    def __init__(self, total: int, what: str, unit: str, delay: float) -> None:
        self.total, self.what, self.unit, self.delay = total, what, unit, delay
        self.done, self.began = 0, time.monotonic()
        self._bar: Any = None
        self._stopped = False
        self._lock = threading.Lock()  # the timer and the work

    def advance(self, n: int = 1) -> None:
        with self._lock:
            self.done += n
            if self._bar is not None:
                self._bar.set_postfix_str(self._estimate(), refresh=False)
                self._bar.update(n)
                return
        if time.monotonic() - self.began >= self.delay:
            self.show()

    def show(self) -> None:
        with self._lock:
            if self._bar is None and not self._stopped:
                self._bar = self._draw()
                _Meter.shown += 1

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._bar is None:
                return
            self._bar.set_postfix_str(self._estimate(), refresh=False)
            if isinstance(self._bar.fp, _Lines):
                self._bar.leave = self.done >= self.total  # work that was cut short has no last line
            self._bar.close()
            _Meter.shown -= 1

    def _estimate(self) -> str:
        elapsed = time.monotonic() - self.began
        if self.done >= self.total:
            return f"done in {duration(elapsed)}"
        left = f", about {duration(elapsed / self.done * (self.total - self.done))} left" if self.done else ""
        return f"{100 * self.done // self.total} %{left}"

    def _draw(self) -> Any:
        bar, lines = "{desc} {bar} ", not (sys.stderr.isatty() or _in_kernel())
        form = ("{desc}: " if lines else bar) + "{n_fmt}/{total_fmt} {unit}{postfix}"
        return _bar_class()(
            desc=self.what,
            total=self.total,
            initial=self.done,
            unit=self.unit,
            bar_format=form,
            postfix=self._estimate(),
            file=_Lines(sys.stderr) if lines else sys.stderr,
            leave=True if lines else None,  # None: of nested bars the outer one alone stays
            mininterval=_PAUSE if lines else 0.1,
            miniters=1,
            dynamic_ncols=not lines,
        )


class _Lines:
    """A stream for logs: what tqdm draws there, without carriage returns and cursor movements, each line once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._last = stream, ""

    def write(self, text: str) -> None:
        line = text.replace("\x1b[A", "").strip()
        if line and line != self._last:
            self._stream.write(f"{line}\n")
            self._last = line

    def flush(self) -> None:
        self._stream.flush()


def _in_kernel() -> bool:
    """In a notebook, whose output goes back to the start of a line as a terminal does."""
    return "ipykernel.zmqshell" in sys.modules


def _in_notebook() -> bool:
    """In a notebook that can show widgets; one without them gets a bar of text, and no warning."""
    return _in_kernel() and importlib.util.find_spec("ipywidgets") is not None


@functools.cache
def _bar_class() -> Any:
    if _in_notebook():
        from tqdm.auto import tqdm
    else:  # tqdm.auto silences warnings while it is imported, which is not safe beside other threads
        from tqdm.std import tqdm

    class Bar(tqdm):  # type: ignore[misc]  # tqdm is not typed
        monitor_interval = 0  # without tqdm's watching thread, which mends intervals that are not used here

        def refresh(self, nolock: bool = False, lock_args: Any = None) -> Any:
            # tqdm's own never lets go of its lock if Ctrl-C comes while it draws, and the timer of a bar waits for it
            with contextlib.nullcontext() if nolock else self.get_lock():
                return super().refresh(nolock=True)

    return Bar
