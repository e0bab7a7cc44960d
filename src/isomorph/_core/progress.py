"""Progress with an estimate: a bar on a terminal, plain lines elsewhere, nothing for what takes under two seconds."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

Show = bool | Callable[[int, int], None] | None

DELAY = 2.0
"""Seconds before anything is shown."""
_PAUSE = 10.0  # seconds between plain lines


@contextlib.contextmanager
def progress(total: int, what: str, *, unit: str = "items", show: Show = None) -> Iterator[Callable[[int], None]]:
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
        show: None shows a bar (plain lines if standard error is no terminal) once two seconds have passed; False
            shows nothing; True shows at once; a function is called with (done, total) after each advance instead.

    Yields:
        `advance(n)`, to be called after every `n` units.
    """
    if callable(show):
        done = 0

        def count(n: int = 1) -> None:
            nonlocal done
            done += n
            show(done, total)

        yield count
        return
    meter = _Meter(total, what, unit)
    if show is False or total <= 0:
        yield meter.advance
        return
    display: _Bar | _Lines = _Bar(meter) if sys.stderr.isatty() else _Lines(meter)
    meter.display = display
    timer = threading.Timer(0.0 if show else DELAY, display.start)
    timer.daemon = True
    timer.start()
    try:
        yield meter.advance
    finally:
        timer.cancel()
        display.stop()


def notice(text: str) -> None:
    """Tell the user something on standard error, above a running bar if there is one."""
    with _lock:
        if _Shared.bar is not None:
            _Shared.bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """A time for people: ``"12 s"``, ``"3 min"``, ``"2 h 5 min"``."""
    seconds = math.ceil(seconds)
    if seconds < 100:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


_lock = threading.RLock()


class _Shared:
    """The one rich display of the process: nested work is a further line in it."""

    bar: Any = None  # a rich.progress.Progress
    users = 0


class _Meter:
    """Counts, times, and passes on to a display once there is one."""

    def __init__(self, total: int, what: str, unit: str) -> None:
        self.total, self.what, self.unit = total, what, unit
        self.done, self.began = 0, time.monotonic()
        self.display: _Bar | _Lines | None = None

    def advance(self, n: int = 1) -> None:
        self.done += n
        if self.display is not None:
            self.display.update()

    @property
    def text(self) -> str:
        """One line: what, how far, how long still."""
        elapsed = time.monotonic() - self.began
        line = f"{self.what}: {self.done}/{self.total} {self.unit}"
        if self.done >= self.total:
            return f"{line} in {duration(elapsed)}"
        if self.done:
            left = elapsed / self.done * (self.total - self.done)
            return f"{line}, {100 * self.done // self.total} %, about {duration(left)} left"
        return line


class _Lines:
    """A plain line now and then."""

    def __init__(self, meter: _Meter) -> None:
        self.meter, self.started, self.stopped, self.last = meter, False, False, 0.0

    def start(self) -> None:
        with _lock:
            if not self.stopped:
                self.started = True
                self._print()

    def update(self) -> None:
        if self.started and self.meter.done < self.meter.total and time.monotonic() - self.last >= _PAUSE:
            self._print()

    def stop(self) -> None:
        with _lock:
            self.stopped = True
            if self.started and self.meter.done >= self.meter.total:
                self._print()

    def _print(self) -> None:
        self.last = time.monotonic()
        print(self.meter.text, file=sys.stderr, flush=True)


class _Bar:
    """A line of the process's one rich display."""

    def __init__(self, meter: _Meter) -> None:
        self.meter, self.task, self.stopped = meter, None, False

    def start(self) -> None:
        with _lock:
            if self.stopped:
                return
            if _Shared.bar is None:
                _Shared.bar = _rich_progress()
                _Shared.bar.start()
            _Shared.users += 1
            self.task = _Shared.bar.add_task(self.meter.what, total=self.meter.total, unit=self.meter.unit)
            _Shared.bar.update(self.task, completed=self.meter.done)

    def update(self) -> None:
        with _lock:
            if self.task is not None:
                _Shared.bar.update(self.task, completed=self.meter.done)

    def stop(self) -> None:
        with _lock:
            self.stopped = True
            if self.task is None:
                return
            self.task = None
            _Shared.users -= 1
            if _Shared.users == 0:
                _Shared.bar.stop()
                _Shared.bar = None


def _rich_progress() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
    )
