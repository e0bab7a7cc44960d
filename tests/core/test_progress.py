"""Progress with an estimate, and the one switch that everything hears."""

import io
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import isomorph as iso
from isomorph._core import progress as _progress
from isomorph._core.progress import duration, notice, progress, show_progress
from isomorph.errors import InputError
from isomorph.significance import subsample_interval


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    monkeypatch.delenv("ISOMORPH_PROGRESS", raising=False)


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(_progress, "DELAY", 0.0)
    monkeypatch.setattr(_progress, "_PAUSE", 0.0)


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_quick_work_shows_nothing(capfd):
    with progress(3, "work") as advance:
        advance(3)
    assert capfd.readouterr() == ("", "")


def test_work_over_the_delay_shows_plain_lines_with_an_estimate_off_a_terminal(at_once, capsys):
    with progress(4, "scan", unit="pairs") as advance:
        wait_for(lambda: "scan: 0/4 pairs" in capsys.readouterr().err)  # before the first step is done
        time.sleep(0.01)
        advance(1)
        advance(3)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "scan: 1/4 pairs, 25 %, about 1 s left"
    assert lines[-1] == "scan: 4/4 pairs, done in 1 s"


def test_a_log_holds_whole_lines_without_control_characters_however_deep_the_work(at_once, capsys):
    with progress(2, "outer") as outer:
        for _ in range(2):
            with progress(3, "inner") as inner:
                wait_for(lambda: _progress._Meter.shown == 2)
                for _ in range(3):
                    inner(1)
            notice("by the way")
            outer(1)
    text = capsys.readouterr().err
    assert text.endswith("outer: 2/2 items, done in 1 s\n")
    assert not set(text) & {"\r", "\x1b", "\b"}
    assert "" not in text.splitlines()
    assert text.count("by the way\n") == 2
    assert text.count("inner: 3/3 items, done in 1 s\n") == 2


def test_lines_in_a_log_are_far_apart(monkeypatch, capsys):
    monkeypatch.setattr(_progress, "DELAY", 0.0)
    with progress(1000, "work") as advance:
        wait_for(lambda: _progress._Meter.shown == 1)
        for _ in range(1000):
            advance(1)
    assert len(capsys.readouterr().err.splitlines()) == 2  # the first and the last


def test_silence_can_be_asked_for(at_once, capfd):
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


def test_an_error_inside_passes_and_ends_the_display(capsys):
    def interrupted():
        with progress(3, "work", show=True):
            wait_for(lambda: "work: 0/3 items" in capsys.readouterr().err)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert capsys.readouterr().err == ""
    assert _progress._Meter.shown == 0


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_for_nested_work_and_notices_above_it(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress(2, "outer [x] {n}", show=True) as advance:
        wait_for(lambda: "outer [x] {n}" in terminal.getvalue())
        with progress(5, "inner", show=True) as inner:
            wait_for(lambda: _progress._Meter.shown == 2)
            notice("[by the way]")
            inner(5)
        advance(2)
    text = terminal.getvalue()
    assert "[by the way]\n" in text.split("inner", 1)[1]
    assert "5/5 items, done in 1 s" not in text.rsplit("\r", 1)[1]
    assert "2/2 items, done in 1 s\n" in text.rsplit("\r", 1)[1]  # of nested bars the outer one stays
    assert "█" in text or "#" in text


def test_a_terminal_that_is_interrupted_goes_on_in_a_new_line(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(KeyboardInterrupt), progress(3, "work", show=True):  # noqa: PT012
        wait_for(lambda: "work" in terminal.getvalue())
        raise KeyboardInterrupt
    assert terminal.getvalue().endswith("0/3 items, 0 %\n")


def test_steps_that_come_from_several_threads_are_all_counted(at_once, capsys):
    with progress(400, "work") as advance:
        threads = [threading.Thread(target=lambda: [advance(1) for _ in range(100)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert capsys.readouterr().err.splitlines()[-1] == "work: 400/400 items, done in 1 s"


def test_a_notice_goes_to_standard_error_even_in_silence(capsys):
    with show_progress(False):
        notice("hear")
    assert capsys.readouterr() == ("", "hear\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (99, "99 s"), (170, "3 min"), (7500, "2 h 5 min"), (0, "0 s")]
)
def test_durations_are_for_people(seconds, text):
    assert duration(seconds) == text


# ---------------------------------------------------------------- the switch


def shown(capsys, **how):
    with progress(1, "work", **how) as advance:
        time.sleep(0.02)
        advance(1)
    return bool(capsys.readouterr().err)


def test_the_nearest_word_decides_argument_then_function_then_environment(at_once, monkeypatch, capsys):
    assert shown(capsys)
    monkeypatch.setenv("ISOMORPH_PROGRESS", "0")
    assert not shown(capsys)
    assert shown(capsys, show=True)
    with show_progress(True):
        assert shown(capsys)
        assert not shown(capsys, show=False)
        with show_progress(None):
            assert not shown(capsys)
        assert shown(capsys)
    assert not shown(capsys)


def test_the_environment_can_ask_for_bars_at_once_and_is_read_anew_each_time(monkeypatch, capsys):
    assert not shown(capsys)
    monkeypatch.setenv("ISOMORPH_PROGRESS", "1")
    assert shown(capsys)


def test_the_switch_stays_as_it_was_set_and_can_be_taken_back(at_once, capsys):
    with show_progress(None):
        show_progress(False)
        assert not shown(capsys)
        show_progress()
        assert shown(capsys)


@pytest.mark.parametrize("what", [lambda monkeypatch: show_progress("off"), lambda monkeypatch: show_progress(0)])
def test_what_is_no_way_to_show_is_refused(what, monkeypatch):
    with pytest.raises(InputError, match=r"show must be True, False, None or a function of \(done, total\), got"):
        what(monkeypatch)


def test_an_environment_that_is_neither_0_nor_1_is_refused_in_words(monkeypatch):
    monkeypatch.setenv("ISOMORPH_PROGRESS", "maybe")
    with pytest.raises(InputError, match="ISOMORPH_PROGRESS must be 0 or 1, found 'maybe'"), progress(1, "work"):
        pass


x = np.random.default_rng(0).normal(size=(40, 6))
y = x + np.random.default_rng(1).normal(size=(40, 6))
VERBS = {
    "scan": lambda: iso.scan(x, y, ["cka"], permutations=20, seed=0),
    "stitch": lambda: iso.stitch(x, y, maps=["ridge"], repeats=2, permutations=2, draws=100, seed=0),
    "power": lambda: iso.power("cka", 40, 6, 6, rank=4, trials=4, seed=0),
    "gallery_curve": lambda: iso.gallery_curve("cka", x, y, seed=0),
    "subsample_interval": lambda: subsample_interval(iso.metric("cka"), [x], [y], repeats=100, seed=0),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_tells_the_switch_how_far_it_is_up_to_the_end(verb):
    told = []
    with show_progress(lambda done, total: told.append((done, total))):
        VERBS[verb]()
    assert told, f"{verb} does not hear show_progress"
    assert told[-1][0] == told[-1][1]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_silenced_by_the_environment_alone(verb, at_once, monkeypatch, capsys):
    VERBS[verb]()
    assert capsys.readouterr().err, f"{verb} shows nothing where it should"
    monkeypatch.setenv("ISOMORPH_PROGRESS", "0")
    VERBS[verb]()
    assert capsys.readouterr().err == ""


def test_the_command_line_is_silenced_by_quiet_before_or_after_the_command(tmp_path):
    np.save(tmp_path / "x.npy", x)
    command = ["scan", "x.npy", "x.npy", "-m", "cka", "--permutations", "50"]
    start = "from isomorph._core import progress; progress.DELAY = 0.0; from isomorph.cli import main; main()"

    def heard(arguments):
        done = subprocess.run(
            [sys.executable, "-c", start, *arguments],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stderr

    assert "scan x × x: " in heard(command)
    assert heard(["--quiet", *command]) == heard([*command, "--quiet"]) == ""


# ---------------------------------------------------------------- notebooks


def test_a_notebook_without_widgets_gets_a_bar_of_text_in_one_line(at_once, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", object())
    monkeypatch.setattr(_progress.importlib.util, "find_spec", lambda name: None)
    with progress(2, "work") as advance:
        wait_for(lambda: _progress._Meter.shown == 1)
        advance(2)
    shown = capsys.readouterr().err
    assert shown.strip("\n").count("\n") == 0
    assert shown.split("\r")[-1].rstrip().endswith("2/2 items, done in 1 s")


def test_a_notebook_with_widgets_gets_its_bar_from_the_thread_of_its_cell(at_once, monkeypatch):
    made = []

    class Widget:
        def __init__(self, **how):
            made.append((threading.current_thread(), how["initial"], how["file"], self))
            self.fp, self.seen, self.closed = how["file"], 0, False

        def set_postfix_str(self, text, refresh):
            self.text = text

        def update(self, n):
            self.seen += n

        def close(self):
            self.closed = True

    monkeypatch.setattr(_progress, "_in_kernel", lambda: True)
    monkeypatch.setattr(_progress, "_in_notebook", lambda: True)
    monkeypatch.setattr(_progress, "_bar_class", lambda: Widget)
    with progress(3, "work") as advance:
        time.sleep(0.05)
        assert made == []
        advance(1)
        advance(2)
    ((thread, initial, file, widget),) = made
    assert (thread, initial, file) == (threading.current_thread(), 1, sys.stderr)
    assert (widget.seen, widget.closed, widget.text) == (2, True, "done in 1 s")


def test_ctrl_c_while_a_bar_is_drawn_leaves_no_lock_behind():
    class Interrupted(io.StringIO):
        def write(self, text):
            raise KeyboardInterrupt

    bar = _progress._bar_class()
    with pytest.raises(KeyboardInterrupt):
        bar(total=3, file=Interrupted())
    free = []  # the lock is the thread's own, so only another thread can tell

    def ask():
        if bar.get_lock().th_lock.acquire(timeout=5):
            free.append(True)
            bar.get_lock().th_lock.release()

    other = threading.Thread(target=ask)
    other.start()
    other.join()
    assert free == [True]
