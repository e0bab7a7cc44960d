"""Extracts, or runs a command, on request in a forked process of its own, so that tests can kill it at any moment.

Reads one JSON request a line: ``{"root", "log", "every", "pause"}`` starts an extraction and answers with its process
id; ``{"wait": pid}`` answers with its exit status. With ``"shared"`` it writes parts, with ``"share"`` those of a share
of the items; with ``"compact"`` it merges parts instead. With ``"kill_at"`` the process kills itself (SIGKILL) at that
system call on the store, a write having written the share ``"torn"`` of its bytes; with ``"journal"`` only writes of
the journal count. With ``"command"``, a list of words, `isomorph` is run with them in the folder ``"root"``; encoders
of studies are then `Letters`, and what the run imported and how many such calls it made is written beside the log.
``{"import": [module]}`` imports what the next processes need, so that kills fall into their work.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path

# before the forks, as all that a run imports: kills are to fall into its work
import filelock  # noqa: F401
import numpy as np

from isomorph.cli import main as main_command
from isomorph.datasets._base import PairedItems
from isomorph.encoders._base import Encoder
from isomorph.extraction import extract
from isomorph.store import FeatureStore
from isomorph.study import _encoders as study

N, BATCH = 240, 4
count = 0
"""System calls so far that a kill can fall on."""


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


class Letters(Encoder):
    """Counts letters: an encoder of a study."""

    provider = "fake"
    revision, modality, n_parameters = "1", "text", 312
    layers = ("one", "two")

    def __init__(self, name, init="pretrained", seed=0, **options):
        self._name = name if init == "pretrained" else f"{name}?init=random"
        self._mix = np.random.default_rng(len(self._name) + seed).normal(size=(26, 12))

    name = property(lambda self: self._name)
    identity = property(lambda self: {"name": self._name, "weights": float(self._mix.sum())})

    def encode(self, batch):
        time.sleep(0.005)
        counts = np.array([[t.count(chr(97 + i)) for i in range(26)] for t in batch], dtype=np.float32)
        return {"one": counts, "two": (counts @ self._mix).astype(np.float32)}


def items():
    texts = [f"item {i} " + "x" * (i * 37 % 53) for i in range(N)]
    return PairedItems("things", tuple(f"id{i}" for i in range(N)), {"text": texts})


def kill_at(number, torn, journal):
    """Make the `number`-th system call that changes the store the last one of this process."""

    def wrap(name):
        original = getattr(os, name)

        def call(*args, **kwargs):
            global count  # noqa: PLW0603  # a process counts its own
            count += not journal or (name == "pwrite" and bytes(memoryview(args[1])[8:10]) == b" {")
            if count == number:
                if name == "pwrite":
                    handle, data, offset = args
                    original(handle, memoryview(data)[: int(len(data) * torn)], offset)
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        setattr(os, name, call)

    for name in ("pwrite", "fsync", "ftruncate", "replace", "unlink", "link", "mkdir"):
        wrap(name)


def run(request):
    if "kill_at" in request:
        kill_at(request["kill_at"], request["torn"], request["journal"])
    if "command" in request:
        os.chdir(request["root"])
        study.load_encoder = Letters
        sys.argv = ["isomorph", *request["command"]]
        try:
            main_command()
        finally:
            Path(request["log"] + ".facts").write_text(json.dumps({"modules": sorted(sys.modules), "calls": count}))
        return
    if "compact" in request:
        FeatureStore(request["root"]).compact()
        return
    encoder = LoggingEncoder(request["log"], request["pause"])
    store = FeatureStore(request["root"], shared=request.get("shared", False))
    share = tuple(request["share"]) if "share" in request else None
    extract(encoder, items(), store=store, batch_size=BATCH, commit_every=request["every"], share=share)


def main():
    for line in sys.stdin:
        request = json.loads(line)
        if "import" in request:
            for name in request["import"]:
                with contextlib.suppress(Exception):  # names that modules gave to parts of themselves
                    importlib.import_module(name)
            print(0, flush=True)
            continue
        if "wait" in request:
            print(os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1]), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            code = 1
            with contextlib.suppress(BaseException), open(request["log"] + ".err", "ab", buffering=0) as errors:
                os.dup2(errors.fileno(), 2)
                if "command" in request:
                    os.dup2(errors.fileno(), 1)  # this process's own answers go there
                try:
                    run(request)
                    code = 0
                except SystemExit as end:
                    code = end.code or 0
                except BaseException as error:
                    Path(request["log"] + ".err").write_text(repr(error))
            os._exit(code)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
