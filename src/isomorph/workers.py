"""Workers of Ray: where the pieces of a study, an atlas or an extraction are done beside each other.

Ray schedules, retries and moves data; here is only what it is asked to do. Each worker is an actor that keeps what the
pieces of one job share (a loaded model, prepared layers), so that it is made once a worker. A piece hangs on what it is
given only, so that one that was lost with its worker is done again elsewhere and gives the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar, final

from . import errors
from ._core.checks import as_count, check_type, is_finite
from ._core.memory import parse_bytes
from ._core.parallel import on_pool
from ._core.provenance import IF_LOADED, installed, loaded, versions, work_for
from .errors import InputError, IsomorphError, MissingExtraError, quoted

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

WAIT = 10.0
"""Seconds within which an address must answer."""
CROWD = 8
"""Workers of this machine for each of its processors, at most."""
RETRIES = 5
"""How often a piece is begun again when its worker is lost."""


@final
class RayWorkers:
    """Workers of Ray on this machine or of a cluster; within ``with`` the pieces of large work are given to them.

    `isomorph.run` takes them, or their address, as ``on=``; within the block `isomorph.atlas` gives its tiles and
    re-pairings to them, and `isomorph.scan` its metrics and their re-pairings. Results are those of one process.
    Workers must have the same version of Isomorph and of the libraries that compute, and see the same store; that is
    checked before anything is computed.

    Args:
        where: ``"ray"`` for workers of this machine, or of the cluster that the environment names (``RAY_ADDRESS``,
            such as ``host:6379``); ``"ray://host:10001"`` for a cluster, through Ray's client.
        workers: How many; None takes one a processor. At most eight a processor of this machine.
        gpus: GPUs of each worker; a fraction shares one.
        memory: What a worker may take, such as ``"8GB"``: Ray puts no more of them on a machine than fit. None leaves
            that to Ray.
        threads: Threads of linear algebra in each worker; None takes as many as this process uses, so that products
            are rounded alike.

    Raises:
        InputError: if an argument does not fit, nothing answers at the address, or the workers are of another version.
        MissingExtraError: if Ray is not installed.

    Example:
        >>> from isomorph.workers import RayWorkers
        >>> RayWorkers("ray", workers=2)
        RayWorkers('ray', workers=2)
        >>> RayWorkers("slurm")
        Traceback (most recent call last):
            ...
        isomorph.errors.InputError: on='slurm': known are 'ray' and the address of a Ray cluster, such as ...
    """

    def __init__(
        self,
        where: str = "ray",
        *,
        workers: int | None = None,
        gpus: float = 0.0,
        memory: str | int | None = None,
        threads: int | None = None,
    ) -> None:
        self.where = _checked(where)
        self.workers = None if workers is None else as_count(workers, "workers")
        self.threads = None if threads is None else as_count(threads, "threads")
        if not is_finite(gpus) or gpus < 0:
            raise InputError(f"gpus={quoted(gpus)}: a number of at least 0 is needed; 0.5 lets two workers share one.")
        self.gpus = float(gpus)
        self.memory = None if memory is None else int(parse_bytes(memory))
        self._actors: list[Any] = []
        self._close = contextlib.ExitStack()

    def __repr__(self) -> str:
        return f"RayWorkers({self.where!r}, workers={self.workers})"

    def __enter__(self) -> Self:
        processors = os.cpu_count() or 1
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError(f"on={self.where!r}", "ray", "ray") from error
        threads = self.threads or _threads()
        if not ray.is_initialized():
            if self.where == "ray" and not os.environ.get("RAY_ADDRESS") and (self.workers or 1) > CROWD * processors:
                raise InputError(
                    f"workers={self.workers}: this machine has {processors} processors; take {CROWD * processors} "
                    "workers at most, or name a cluster."
                )
            _connect(ray, self.where, self.workers)
            self._close.callback(ray.shutdown)
        elif self.where != "ray":
            raise InputError(
                f"on={self.where!r}: this process is connected to Ray already; on='ray' takes that connection, and "
                "ray.shutdown() ends it."
            )
        try:
            count = self.workers or max(1, int(_cluster(ray).get("CPU", 1)))
            self._check_room(_cluster(ray), count)
            options: dict[str, Any] = {"num_cpus": 1, "max_restarts": -1, "max_task_retries": RETRIES}
            options |= {"num_gpus": self.gpus} if self.gpus else {}
            options |= {"memory": self.memory} if self.memory else {}
            options["runtime_env"] = {"env_vars": {name: str(threads) for name in _THREADS}}
            kind = ray.remote(**options)(_Worker)
            self._actors = [
                kind.remote(str(Path.cwd())) for _ in range(count)
            ]  # what a study names may be relative to it
            self._close.callback(self._leave, ray)
            self._check(ray)
            self._close.enter_context(on_pool(self))
        except BaseException:
            self._close.close()
            raise
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._close.close()

    @property
    def size(self) -> int:
        """How many workers there are; none before the block is entered.

        Example:
            >>> from isomorph.workers import RayWorkers
            >>> RayWorkers("ray", workers=2).size
            0
        """
        return len(self._actors)

    def run(
        self,
        job: Callable[[S, T], R],
        shared: S,
        pieces: Sequence[T],
        alike: Callable[[T], Hashable] | None = None,
    ) -> Iterator[tuple[int, R]]:
        """`job(shared, piece)` of every piece, in the order in which they are done.

        Args:
            job: A function of a module that the workers have.
            shared: What all pieces read; it reaches each worker once.
            pieces: What the job is called with; no worker is given more than two at once.
            alike: What pieces have in common that a worker makes anew for each other value, such as a loaded model: a
                worker goes on with those that are like its last one.

        Yields:
            The number of a piece, and what it gave.

        Raises:
            IsomorphError: what a piece found wrong, or that a piece was lost again and again.
        """  # a function makes the error; its class is named above
        import ray

        token, reference = uuid.uuid4().hex, [ray.put((shared, loaded()))]
        waiting = _Queue([0 if alike is None else alike(piece) for piece in pieces])
        busy: dict[Any, tuple[int, Any]] = {}

        def give(actor: Any) -> None:
            number = waiting.take(actor)
            if number is not None:
                busy[actor.do.remote(token, reference, job, pieces[number])] = (number, actor)

        try:
            for actor in [*self._actors, *self._actors]:  # the second waits while the first is done
                give(actor)
            while busy:
                (done,), _ = ray.wait([*busy])
                number, actor = busy.pop(done)
                give(actor)
                yield number, _got(ray, done)
        finally:
            for task in busy:
                with contextlib.suppress(Exception):
                    ray.cancel(task)

    def processes(self) -> list[int]:
        """Process numbers of the workers, on their machines.

        Example:
            >>> from isomorph.workers import RayWorkers
            >>> RayWorkers("ray", workers=2).processes()  # none before the block is entered
            []
        """
        if not self._actors:
            return []
        import ray

        return [facts.process for facts in ray.get([actor.facts.remote() for actor in self._actors])]

    def _check_room(self, there: dict[str, float], count: int) -> None:
        """Check that this machine has what all workers together ask for; a cluster may still grow.

        Raises:
            InputError: if it has not.
        """
        if self.where != "ray" or os.environ.get("RAY_ADDRESS"):
            return
        for name, each, key, unit in (("gpus", self.gpus, "GPU", ""), ("memory", self.memory or 0, "memory", " bytes")):
            if each * count > there.get(key, 0.0):
                raise InputError(
                    f"{name}={each:g} for each of {count} workers: this machine has {there.get(key, 0.0):g}{unit} in "
                    "all. Take fewer workers, or less for each."
                )

    def _check(self, ray: Any) -> None:
        """Check that the workers would compute what this process does.

        Raises:
            InputError: if one cannot be started, or has another version.
        """
        asked = [actor.facts.remote() for actor in self._actors]
        ready, late = ray.wait(asked, num_returns=len(asked), timeout=6 * WAIT)
        if late:
            raise InputError(
                f"on={self.where!r}: {len(late)} of {len(asked)} workers did not start within {6 * WAIT:.0f} s: the "
                f"cluster has {_resources(ray)} free. Ask for fewer workers, or less memory or GPU for each."
            )
        here = _facts()
        for there in ray.get(ready):
            for package, wanted in here.versions.items():
                if there.versions.get(package) != wanted:
                    raise InputError(
                        f"on={self.where!r}: the worker on {there.host} has {package} "
                        f"{there.versions.get(package, '(none)')}, and here is {wanted}: results would not be "
                        "the same. Install the same versions there."
                    )

    def _leave(self, ray: Any) -> None:
        for actor in self._actors:
            with contextlib.suppress(Exception):
                ray.kill(actor)
        self._actors = []


class _Queue:
    """Numbers of pieces by what they have in common; each worker takes alike ones as long as there are any."""

    def __init__(self, kinds: Sequence[Hashable]) -> None:
        self._left: dict[Hashable, deque[int]] = {}
        for number, kind in enumerate(kinds):
            self._left.setdefault(kind, deque()).append(number)
        self._at: dict[Any, Hashable] = {}

    def take(self, worker: Any) -> int | None:
        """The next one for a worker, or None: of the kind it is at, else of the kind with most left a worker."""
        kinds = [kind for kind, left in self._left.items() if left]
        if not kinds:
            return None
        at = self._at.get(worker)
        if worker not in self._at or not self._left[at]:
            taken = Counter(kind for other, kind in self._at.items() if other is not worker)
            at = max(kinds, key=lambda kind: len(self._left[kind]) / (1 + taken[kind]))
            self._at[worker] = at
        return self._left[at].popleft()


class Facts(NamedTuple):
    """What a process says of itself.

    Attributes:
        host: Its machine.
        process: Its number.
        versions: Package -> version, of those that decide what comes out.
    """

    host: str
    process: int
    versions: dict[str, str]


class _Failed(NamedTuple):
    kind: str
    text: str


class _Worker:
    """An actor: it keeps what the pieces of one job share."""

    def __init__(self, folder: str) -> None:
        with contextlib.suppress(OSError):  # what is not there is told when it is read
            os.chdir(folder)
        self._token, self._shared = "", None

    def facts(self) -> Facts:
        return _facts()

    def do(self, token: str, reference: list[Any], job: Callable[[Any, Any], Any], piece: Any) -> Any:
        if token != self._token:
            import ray

            self._token, self._shared = "", None  # two models at once may not fit
            self._shared, there = ray.get(reference[0])
            work_for(there)
            self._token = token
        try:
            return job(self._shared, piece)
        except IsomorphError as error:
            return _Failed(type(error).__name__, str(error))


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def as_workers(on: Any) -> RayWorkers:
    """Workers, or those at an address.

    Raises:
        InputError: if it is neither.
    """
    check_type(on, "on", (str, RayWorkers), "'ray', an address such as 'ray://host:10001', or isomorph.RayWorkers(…)")
    return RayWorkers(on) if isinstance(on, str) else on


def _checked(where: Any) -> str:
    known = isinstance(where, str) and (where == "ray" or re.fullmatch(r"ray://[^\s/@]+:\d{1,5}", where) is not None)
    if isinstance(where, str) and "@" in where:
        raise InputError("on= holds a user or password; Ray's addresses have none, such as 'ray://host:10001'.")
    if not known:
        raise InputError(
            f"on={quoted(where)}: known are 'ray' and the address of a Ray cluster, such as 'ray://host:10001'."
        )
    return str(where)


def _connect(ray: Any, where: str, workers: int | None) -> None:
    """Start Ray here, or reach a cluster.

    Raises:
        InputError: if nothing answers in time.
    """
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray warns of its own coming default otherwise
    named = os.environ.get("RAY_ADDRESS", "")
    if where == "ray" and named in ("", "local"):
        os.environ.pop("RAY_ADDRESS", None)
        ray.init(num_cpus=workers, include_dashboard=False, **quiet)
        return
    address = named if where == "ray" else where
    host, _, port = address.removeprefix("ray://").rpartition(":")
    said = f"on={where!r}" + (" and RAY_ADDRESS" if where == "ray" else "")
    nobody = (
        f"{said}: nothing answers at {address} within {WAIT:.0f} s. Start a cluster there with `ray start --head "
        "--ray-client-server-port=10001`, or see what the address should be with `ray status`."
    )
    if port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=WAIT / 2).close()
        except OSError as error:
            raise InputError(f"{nobody} ({error.strerror or error})") from error
    failed: list[BaseException] = []

    def connect() -> None:
        try:
            ray.init(address, **quiet)
        except BaseException as error:  # told below
            failed.append(error)

    trial = threading.Thread(target=connect, daemon=True)
    trial.start()
    trial.join(WAIT / 2)
    if trial.is_alive() or failed:
        why = f" ({str(failed[0]).splitlines()[0]})" if failed and str(failed[0]) else ""
        raise InputError(nobody + why) from (failed[0] if failed else None)


def _got(ray: Any, task: Any) -> Any:
    try:
        found = ray.get(task)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error  # which says where in the worker
    except ray.exceptions.RayError as error:
        raise IsomorphError(
            f"A worker of Ray was lost {RETRIES + 1} times over the same piece of work, which may need more memory "
            f"than it has ({str(error).splitlines()[0]}). What was committed stays valid: run again, with fewer "
            "workers a machine or more memory for each."
        ) from error
    if isinstance(found, _Failed):
        kind = getattr(errors, found.kind, IsomorphError)
        told = kind.__new__(kind)  # some take more than their text
        Exception.__init__(told, found.text)
        raise told
    return found


def _facts() -> Facts:
    found = versions()
    found |= {package: there for package in IF_LOADED if (there := installed(package))}  # whether or not it is loaded
    return Facts(socket.gethostname(), os.getpid(), {**found, "isomorph": f"{found['isomorph']} ({_source()})"})


def _source() -> str:
    """What tells two states of the source apart that bear the same version."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:8]


def _threads() -> int:
    from threadpoolctl import threadpool_info

    return max((int(i["num_threads"]) for i in threadpool_info() if i["user_api"] == "blas"), default=1)


def _cluster(ray: Any) -> dict[str, float]:
    return dict(ray.cluster_resources())


def _resources(ray: Any) -> str:
    found = ray.available_resources()
    return ", ".join(f"{found[k]:g} {k}" for k in ("CPU", "GPU") if k in found) or "nothing"
