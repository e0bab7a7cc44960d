"""Calls that are alike on several threads, each with BLAS on one: small products wait for each other inside BLAS."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, Protocol, TypeVar

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

_LEAST = 5e7  # multiply-adds below which starting threads costs more than they save
PICTURE = 2e7  # the work of decoding or scaling a picture, as that of so many multiply-adds
_owner = threading.Lock()  # the number of BLAS threads is one for the whole process


@cache
def _blas() -> Any:
    """What sets the threads of BLAS, NumPy's among them; finding the libraries takes longer than setting them."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


def on_threads(job: Callable[[T], R], items: Sequence[T], work: float) -> list[R]:
    """`job` of every item, in order, several at once where BLAS may use several threads.

    A call gives the same bits on any number of workers, for it runs on one thread. Within another call, or where BLAS
    is held to one thread, the jobs run one after the other.

    Args:
        job: Called once an item; it must be safe to run beside itself, and use no BLAS but NumPy's.
        items: What it is called with.
        work: Multiply-adds of all jobs together; little work is not shared out.

    Returns:
        What the jobs returned.
    """
    if len(items) < 2 or work < _LEAST or not _owner.acquire(blocking=False):
        return [job(item) for item in items]
    try:
        blas = _blas()
        workers = min(len(items), max((int(i["num_threads"]) for i in blas.info()), default=1))
        if workers < 2:
            return [job(item) for item in items]
        with blas.limit(limits=1), ThreadPoolExecutor(workers) as pool:
            jobs = [pool.submit(contextvars.copy_context().run, job, item) for item in items]
            try:
                return [j.result() for j in jobs]
            except BaseException:  # an error, or Ctrl-C: what has not begun need not
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    finally:
        _owner.release()


class Pool(Protocol):
    """Workers, of this machine or of others."""

    @property
    def size(self) -> int:
        """How many there are."""

    def run(self, job: Callable[[S, T], R], shared: S, pieces: Sequence[T]) -> Iterator[tuple[int, R]]:
        """As `spread`, in the order in which they are done."""


_pool: ContextVar[Pool | None] = ContextVar("pool", default=None)


@contextmanager
def on_pool(pool: Pool) -> Iterator[None]:
    """Within the block `spread` gives its pieces to these workers."""
    token = _pool.set(pool)
    try:
        yield
    finally:
        _pool.reset(token)


def workers() -> int:
    """How many `spread` gives pieces to; 1 where it does them itself."""
    pool = _pool.get()
    return 1 if pool is None else pool.size


def spread(job: Callable[[S, T], R], shared: S, pieces: Sequence[T]) -> Iterator[tuple[int, R]]:
    """`job(shared, piece)` of every piece: here, one after the other, or on the workers of `on_pool`.

    What a piece gives must hang on it and on `shared` only, so that it is the same wherever it is made.

    Args:
        job: A function of a module; workers find it by its name.
        shared: What all pieces read. It reaches a worker once, and may keep there what it made for one piece.
        pieces: What the job is called with.

    Yields:
        The number of a piece and what it gave, in any order.
    """
    pool = _pool.get()
    if pool is None:
        yield from ((number, job(shared, piece)) for number, piece in enumerate(pieces))
    else:
        yield from pool.run(job, shared, pieces)
