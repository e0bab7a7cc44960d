"""What is asked of every door, whatever comes in: a finite answer or one of our errors, soon, in little memory.

A `Door` is called with many cases; it collects every kind of failure (the exception and the place in the library it
came from) with the shortest case that showed it, and says them all at the end.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import gc
import math
import os
import resource
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import isomorph
from isomorph.errors import IsomorphError

LONGER = float(os.environ.get("ISOMORPH_FUZZ", "0.1"))
"""What share of the cases is made: a tenth in the short run, many times all of them in `make fuzz`, which sets it."""
FEWEST = 15
"""Cases that the short run makes of every door, if there are so many."""
SECONDS = 20.0
BYTES = 2 << 30
_ROOM = 6 << 30  # of address space above what is there when a door opens: a wild allocation fails instead of swapping
_LIBRARY = str(Path(isomorph.__file__).parent)


class Hang(BaseException):
    """A case took too long; no library catches it by `except Exception`."""


class Door:
    """One function of the public face, and what went wrong with it.

    Args:
        name: What the cases are of, for the verdict.
        seconds: Most seconds of a case, of the processor's time; three times as many by the clock.
        memory: Most bytes that the process may hold in a case above what it held before.
    """

    def __init__(self, name: str, seconds: float = SECONDS, memory: int = BYTES) -> None:
        self.name, self.seconds, self.memory = name, seconds, memory
        self.cases = self.answered = 0
        self.failures: dict[str, str] = {}

    def __call__(self, case: str, call: Callable[[], Any], *, known: Callable[[], str | None] = lambda: None) -> Any:
        """Make one case.

        Args:
            case: The call as text, to make it again.
            call: The call.
            known: Asked after it; a text says what is wrong besides, such as with the files it left.

        Returns:
            The answer, or the error of ours that was raised.
        """
        self.cases += 1
        begun, held = time.process_time(), _peak(reset=True)
        answer: Any = None
        try:
            with _alarm(self.seconds), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as a user has it: a warning is no failure
                answer = call()
            problem = next(infinities(answer), None)
            if problem:
                self.fail(f"not finite: {problem}", case)
            self.answered += 1
        except IsomorphError as error:
            answer = error
            if not str(error).strip():
                self.fail(f"{type(error).__name__} without a word", case)
        except Hang:
            self.fail(f"still at work after {self.seconds:.0f} s", case)
        except (Exception, SystemExit) as error:
            self.fail(f"{type(error).__name__} at {_place(error)}: {' '.join(str(error).split())[:120]}", case)
        took, grown = time.process_time() - begun, _peak() - held
        if took > self.seconds:
            self.fail(f"took more than {self.seconds:.0f} s", case)
        if grown > self.memory:
            self.fail(f"held more than {self.memory / 2**30:.1f} GB", case)
        found = known()
        if found:
            self.fail(found, case)
        return answer

    def fail(self, kind: str, case: str) -> None:
        """Note a failure; of one kind the shortest case is kept."""
        place = kind.split(": ", 1)[0] if " at " in kind else kind  # one place, many messages
        known = next((k for k in self.failures if k.startswith(place)), None)
        if known is None or len(case) < len(self.failures[known]):
            if known is not None:
                del self.failures[known]
            self.failures[kind] = case

    def cases_of(self, count: int, strategy: Callable[[Any], None], fewest: int = FEWEST) -> None:
        """Make many cases.

        Args:
            count: How many, of which the short run makes a share.
            fewest: Cases that the short run makes at least; fewer where one of many of the same door is called.
            strategy: Called with hypothesis' `draw`; it draws one case and makes it.
        """

        @settings(
            max_examples=max(min(count, fewest), round(count * LONGER)),
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],  # failures are collected, not shrunk: what hangs would hang a hundred times
            suppress_health_check=list(HealthCheck),
        )
        @given(st.data())
        def run(data: Any) -> None:
            strategy(data.draw)

        with _room(_ROOM):
            run()

    def verdict(self, least_answered: float = 0.1, most_answered: float = 1.0) -> None:
        """Say what went wrong.

        Args:
            least_answered: Share of the cases that must have been answered: refusing all would be no proof.
            most_answered: Share above which the cases were too tame.

        Raises:
            AssertionError: if anything did.
        """
        print(f"{self.name}: {self.cases} cases, {self.answered} answered")
        told = "\n".join(f"  {kind}\n    {case[:600]}" for kind, case in sorted(self.failures.items()))
        assert not self.failures, f"{self.name}: {len(self.failures)} kinds of failure in {self.cases} cases\n{told}"
        share = self.answered / max(self.cases, 1)
        assert least_answered <= share <= most_answered, (
            f"{self.name}: {share:.2f} of {self.cases} cases were answered, not {least_answered} to {most_answered}"
        )


# ---------------------------------------------------------------- what is watched


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    begun, used = time.perf_counter(), time.process_time()

    def ring(*_: Any) -> None:
        passed, worked = time.perf_counter() - begun, time.process_time() - used
        # on a machine that is shared a case that works may take longer by the clock; one that waits may not
        if 0.02 * passed < worked < seconds and passed < 3 * seconds:
            signal.setitimer(signal.ITIMER_REAL, seconds / 20)
            return
        raise Hang

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    # compiled code that never comes back to Python: the process ends, with every thread's place
    faulthandler.dump_traceback_later(6 * seconds, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _room(room: int) -> Iterator[None]:
    """Let the process take at most this many bytes of address space more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    try:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:  # a system without /proc
        yield
        return
    resource.setrlimit(resource.RLIMIT_AS, (size + room, before[1]))
    gc.collect()
    gc.freeze()  # what the cases leave is collected, not looked for among the millions of objects of loaded libraries
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        gc.collect()


def _peak(reset: bool = False) -> int:
    """Most bytes that this process held since the last reset; where the system cannot reset it, since it began."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) << 10
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)


def _place(error: BaseException) -> str:
    """The last line of ours that an error passed."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if f.filename.startswith(_LIBRARY)]
    last = (ours or frames)[-1]
    return f"{last.filename.removeprefix(_LIBRARY + '/')}:{last.lineno} ({last.name})"


def infinities(value: Any, where: str = "answer", gaps: bool = False) -> Iterator[str]:
    """The places in an answer that hold NaN or an infinity, but for the fields that say they may have gaps."""
    # whole numbers, flags and texts are none of these, and pass
    if isinstance(value, float | np.floating | complex):
        if not (np.isfinite(value) or (gaps and math.isnan(value))):
            yield f"{where} is {value}"
    elif isinstance(value, np.ndarray):
        if value.dtype.kind in "fc" and not np.isfinite(value[~np.isnan(value)] if gaps else value).all():
            yield f"{where} holds {'infinity' if np.isinf(value).any() else 'NaN'}"
    elif type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "isfinite"):
        if value.is_floating_point() and not bool(value.isfinite().all()):
            yield f"{where} is not finite"
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            inside = getattr(value, field.name)
            yield from infinities(inside, f"{where}.{field.name}", bool(field.metadata.get("gaps")))
    elif isinstance(value, Mapping):
        for key in value:
            yield from infinities(value[key], f"{where}[{key!r}]", gaps)
    elif isinstance(value, list | tuple):
        for i, inside in enumerate(value):
            yield from infinities(inside, f"{where}[{i}]", gaps)


def left_in(folder: Path) -> dict[str, bytes | str]:
    """Everything in a folder: the bytes of files, the kinds of others."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        if p.is_file() and not p.is_symlink()
        else f"mode {p.lstat().st_mode:o}"
        for p in sorted(folder.rglob("*"))
    }
