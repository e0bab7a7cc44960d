"""Messages are one paragraph that any terminal can show, and quote at most a line of what was given."""

import pytest

from isomorph.errors import QUOTED, InputError, IsomorphError, MissingExtraError, UnknownNameError, quoted


@pytest.mark.parametrize(
    "value",
    ["a" * 10**6, 10**5000, list(range(10**5)), {"a" * 10**6: 1}, "a\nb", "\ud83d\0", b"\xff" * 5000],
    ids=range(7),
)
def test_what_is_quoted_is_a_line(value):
    text = quoted(value)
    assert "\n" not in text
    assert len(text) <= QUOTED + 3
    assert quoted("fine") == "'fine'"


def test_an_object_without_a_text_is_named():
    class Odd:
        def __repr__(self):
            raise RuntimeError("no")

    assert quoted(Odd()) == "a Odd that cannot be shown"


@pytest.mark.parametrize("kind", [InputError, IsomorphError])
@pytest.mark.parametrize("text", ["x" * 10**6, "two\nlines", "a\x1b[2Jb\0c\ud83d", "many words " * 10**5])
def test_a_message_is_a_short_printable_paragraph(kind, text):
    shown = str(kind(text))
    assert shown.isprintable()
    assert len(shown) < 1700
    shown.encode()


def test_a_long_name_is_shortened_and_near_none():
    error = UnknownNameError("metric", "a" * 5000, ["cka", "rsa"])
    assert len(str(error)) < 300
    assert error.near == []


def test_errors_with_parts_of_their_own_keep_them():
    assert MissingExtraError("This", "torch", "models").package == "torch"
    assert UnknownNameError("metric", "ckaa", ["cka"]).near == ["cka"]
