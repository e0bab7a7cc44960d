"""Extracts on request in a forked process of its own, so that the tests can kill it at any moment.

Reads one JSON request a line: ``{"root", "log", "every", "pause"}`` starts an extraction and answers with its process
id; ``{"wait": pid}`` answers with its exit status. With ``"kill_at"`` the process kills itself (SIGKILL) at that
system call on the store, a write having written the share ``"torn"`` of its bytes; with ``"journal"`` only writes of
the journal count.
"""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import filelock  # noqa: F401  # before the forks, as all that an extraction imports: kills are to fall into its work
import numpy as np

from isomorph.datasets._base import PairedItems
from isomorph.encoders._base import Encoder
from isomorph.extraction import extract

N, BATCH = 240, 4


class LoggingEncoder(Encoder):
    """Features that depend on the whole batch, so that another batch plan would give other bytes."""

    provider = "fake"
    name, revision, modality, n_parameters = "fake:logging", "1", "text", 7
    layers = ("embedding", "block/1", "block/2")
    identity = {"weights": "none", "pooling": "mean"}  # noqa: RUF012  # a property in the base, a constant here

    def __init__(self, log, pause):
        self.log, self.pause = log, pause

    def encode(self, batch):
        # one write, so that a kill cannot tear it
        with open(self.log, "ab", buffering=0) as file:
            file.write((json.dumps(batch) + "\n").encode())
        time.sleep(self.pause)
        sums = np.array([[len(t), sum(map(ord, t))] for t in batch], dtype=np.float32)
        sums += sums.mean(axis=0)
        return {k: np.repeat(np.sin(sums * (i + 1)), 3 + i, axis=1) for i, k in enumerate(self.layers)}


def items():
    texts = [f"item {i} " + "x" * (i * 37 % 53) for i in range(N)]
    return PairedItems("things", tuple(f"id{i}" for i in range(N)), {"text": texts})


def kill_at(number, torn, journal):
    """Make the `number`-th system call that changes the store the last one of this process."""
    count = 0

    def wrap(name):
        original = getattr(os, name)

        def call(*args, **kwargs):
            nonlocal count
            count += not journal or (name == "pwrite" and bytes(memoryview(args[1])[8:10]) == b" {")
            if count == number:
                if name == "pwrite":
                    handle, data, offset = args
                    original(handle, memoryview(data)[: int(len(data) * torn)], offset)
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        setattr(os, name, call)

    for name in ("pwrite", "fsync", "ftruncate", "replace", "unlink"):
        wrap(name)


def run(request):
    if "kill_at" in request:
        kill_at(request["kill_at"], request["torn"], request["journal"])
    encoder = LoggingEncoder(request["log"], request["pause"])
    extract(encoder, items(), store=request["root"], batch_size=BATCH, commit_every=request["every"])


def main():
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            print(os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1]), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            code = 1
            with contextlib.suppress(BaseException), open(request["log"] + ".err", "ab", buffering=0) as errors:
                os.dup2(errors.fileno(), 2)
                try:
                    run(request)
                    code = 0
                except BaseException as error:
                    Path(request["log"] + ".err").write_text(repr(error))
            os._exit(code)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
