"""Progress with an estimate."""

import io
import sys
import time

import pytest

from isomorph._core import progress as _progress
from isomorph._core.progress import duration, notice, progress


def test_quick_work_shows_nothing(capfd):
    with progress(3, "work") as advance:
        advance(3)
    assert capfd.readouterr() == ("", "")


def test_work_over_the_delay_shows_plain_lines_with_an_estimate_off_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(_progress, "DELAY", 0.0)
    monkeypatch.setattr(_progress, "_PAUSE", 0.0)
    with progress(4, "scan", unit="pairs") as advance:
        wait_for(lambda: "scan" in capsys.readouterr().err)
        time.sleep(0.01)
        advance(1)
        advance(3)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "scan: 1/4 pairs, 25 %, about 1 s left"
    assert lines[-1] == "scan: 4/4 pairs in 1 s"


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_silence_can_be_asked_for(monkeypatch, capfd):
    monkeypatch.setattr(_progress, "DELAY", 0.0)
    with progress(1, "work", show=False) as advance:
        time.sleep(0.02)
        advance(1)
    assert capfd.readouterr() == ("", "")


def test_a_function_is_told_done_and_total():
    seen = []
    with progress(3, "work", show=lambda *at: seen.append(at)) as advance:
        advance(1)
        advance(2)
    assert seen == [(1, 3), (3, 3)]


def test_an_error_inside_passes_and_ends_the_display(monkeypatch, capsys):
    def interrupted():
        with progress(3, "work", show=True):
            wait_for(lambda: "work: 0/3 items" in capsys.readouterr().err)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_one_bar_for_nested_work_and_notices_above_it(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress(2, "outer [x]", show=True) as advance:
        wait_for(lambda: "outer [x]" in terminal.getvalue())
        with progress(5, "inner", show=True) as inner:
            wait_for(lambda: _progress._Shared.users == 2)
            notice("[by the way]")
            inner(5)
        advance(2)
    text = terminal.getvalue()
    assert all(part in text for part in ("inner", "5/5", "2/2", "[by the way]"))
    assert _progress._Shared.bar is None


def test_a_notice_goes_to_standard_error(capsys):
    notice("hear")
    assert capsys.readouterr() == ("", "hear\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (99, "99 s"), (170, "3 min"), (7500, "2 h 5 min"), (0, "0 s")]
)
def test_durations_are_for_people(seconds, text):
    assert duration(seconds) == text
