"""Words of texts: which carry content, and how frequent they are in their language."""

from __future__ import annotations

import functools
import gzip
import math
import re
import unicodedata
from collections.abc import Sequence

import msgspec

from .._core import packages as _packages
from .._core.packages import Package
from ..errors import InputError, UnknownNameError

WORDS = Package(
    "wordfreq",
    "3.1.1",
    "4b1c6ecffc6198be3396d5cf871c4423ca71c907c231348d352dd54d62b97473",
    "word lists: CC BY-SA 4.0 (wordfreq, Speer 2022)",
)
"""Frequencies of words in some forty languages up to 2021; their author ended the series, so that they stay so."""
_LIST = re.compile(r"wordfreq/data/(large|small)_(\w+)\.msgpack\.gz")
_UNSPACED = ("zh", "ja", "ko", "th")  # no spaces between words, or lists of parts of words
TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
"""A word: letters and digits, with apostrophes inside."""

FUNCTION_WORDS = frozenset(
    """
    a an the this that these those some any no every each either neither both all such another other
    i me my mine myself you your yours yourself he him his himself she her hers herself it its itself we us our ours
    ourselves they them their theirs themselves one who whom whose which what someone something anyone anything nobody
    nothing everyone everything
    am is are was were be been being do does did doing done have has had having will would shall should can could may
    might must ought
    and or but nor so yet if then than because as while although though unless until since whether when where why how
    of in on at by for with about against between into through during before after above below to from up down out off
    over under again further near behind beside besides beneath along across around onto upon within without toward
    towards per via
    not only just very too also there here more most much many few less least own same
    don't doesn't didn't isn't aren't wasn't weren't won't wouldn't can't couldn't shouldn't hasn't haven't hadn't
    it's i'm you're we're they're he's she's that's there's
    """.split()  # noqa: SIM905  # a hundred quoted words are no easier to read
)
"""English words without content of their own: articles, pronouns, auxiliaries, conjunctions, prepositions."""


def words_of(text: str) -> list[str]:
    """The words of a text, in their order, with case folded.

    Example:
        >>> words_of("A cat's well-known “smile”")
        ['a', "cat's", 'well', 'known', 'smile']
    """
    folded = unicodedata.normalize("NFC", text).casefold().replace("’", "'")
    return [m[0] for m in TOKEN.finditer(folded)]


def content_words(text: str) -> list[str]:
    """The words of a text that are no English function words.

    Example:
        >>> content_words("The cat is on a mat")
        ['cat', 'mat']
    """
    return [word for word in words_of(text) if word not in FUNCTION_WORDS]


def word_frequencies(texts: Sequence[str], language: str = "en") -> list[float]:
    """How frequent the rarest word of each text is, on the Zipf scale: log10 of its count among a billion words.

    7 is "the", 3 one in a million. The rarest word of a phrase is a content word wherever it has one, and what tells
    whether the phrase is common. Words that the list lacks count as its rarest; those with digits are passed over.

    Args:
        texts: The texts.
        language: Code of their language, such as ``"de"``; languages written without spaces have no words to look up.

    Returns:
        One number a text; NaN where it holds no word.

    Raises:
        UnknownNameError: if there is no list of that language.
        InputError: if words of that language are not told apart by spaces.
        FetchError: if the lists cannot be had.
    """
    table = _table(language)
    rarest = min(table.values())
    found = []
    for text in texts:
        words = [w for w in words_of(text) if not any(c.isdigit() for c in w)]
        found.append(min((table.get(w, rarest) for w in words), default=math.nan))
    return found


@functools.lru_cache(maxsize=2)
def _table(language: str) -> dict[str, float]:
    """Word -> Zipf frequency, by the longest list that there is.

    Raises:
        UnknownNameError: if there is none of that language.
        InputError: if its words are not told apart by spaces.
    """
    if language in _UNSPACED:
        raise InputError(
            f"word_frequency(language={language!r}): words of that language are not told apart by spaces, so that they "
            "cannot be looked up; give frequencies as a covariate of your own."
        )
    lists: dict[str, str] = {}
    for name in _packages.names(WORDS):
        match = _LIST.fullmatch(name)
        if match and (match[1] == "large" or match[2] not in lists):
            lists[match[2]] = name
    if language not in lists:
        raise UnknownNameError("language of word frequencies", language, set(lists) - set(_UNSPACED))
    # a header, then the words of frequency 1, of 10^-0.01, of 10^-0.02, …
    _, *steps = msgspec.msgpack.decode(gzip.decompress(_packages.read(WORDS, lists[language])))
    return {word: 9 - k / 100 for k, words in enumerate(steps) for word in words}
