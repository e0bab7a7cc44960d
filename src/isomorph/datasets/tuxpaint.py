"""Tux Paint's stamps: picture, sentence in many languages, and the sentence read aloud by people."""

from __future__ import annotations

import dataclasses
import os
import wave
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from .._core import packages as _packages
from .._core.checks import check_flag
from .._core.files import as_path, beside, read_text
from .._core.packages import Package
from .._core.registry import format_spec
from ..errors import FetchError, InputError, UnknownNameError
from ._base import Dataset, PairedItems, as_names
from ._drawings import read_drawing
from ._media import read_audio, read_image
from ._views import FileView, MemoryView, View

STAMPS = Package(
    "tuxpaint-stamps-default",
    "2022.06.04-1",
    "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
    "GPL-2",
    client="apt",
)
CATEGORIES = (
    "animals",
    "clothes",
    "food",
    "hobbies",
    "household",
    "medical",
    "military",
    "naturalforces",
    "people",
    "plants",
    "seasonal",
    "space",
    "sports",
    "symbols",
    "town",
    "vehicles",
)
_HOME = "usr/share/tuxpaint/stamps"
_TERMS = "usr/share/doc/tuxpaint-stamps-default/"
_LETTERS = "symbols/alphabets/"
# Those whom the package's changelog.gz credits with "descriptive sounds", "spoken translations" or "description sounds"
_VOICES = {
    "be": "Kseniya Buraya",
    "bg": "Krasimir Petkov",
    "ca": "Pere Pujal i Carabantes",
    "da": "Joe Dalton",
    "el": "Kiriaki Serafeim",
    "es": "Estefanía Ortiz",
    "fr": "Jacques Chion; PaulK",
    "pt_BR": "school children in Brazil, contributed by Ana Cristina",
    "ro": "Tabbytha",
}


class _Stamp(NamedTuple):
    """A stamp by what there is of it."""

    captions: Mapping[str, str]  # language -> sentence
    picture: Path | None
    recordings: Mapping[str, Path]  # language -> file


@dataclasses.dataclass(frozen=True)
class TuxPaint(Dataset):
    """Tux Paint's stamps: pictures of things, a sentence about each in many languages, read aloud by people in some.

    Views: ``image`` (photographs and drawings of any size, uint8 RGB on white), ``text`` (English), ``text_fr``, … for
    each further language, and ``speech``, or ``speech_fr``, ``speech_ru``, … where several languages are asked for.
    Labels: ``category``, the 16 folders, and ``subcategory``, with the folder below (``animals/birds``). Ids are file
    names without their ending, such as ``animals/birds/blackbird``. Items with one English caption, whatever its
    capitals, are one group: they have the same sentence, and often the very same recording. What lacks a picture, a
    caption or a recording that is asked for is named in `skipped`.

    Debian's package holds 950 stamps with a picture, 158 of them letters; of the other 792, with 707 captions, 627 have
    a PNG and 609 of these a French recording. There are captions in 77 languages, more than 900 in 57 of them.

    **The recordings** are the captions read aloud by volunteers: French 925, Romanian and Russian 918, Catalan and
    Bulgarian 915, Spanish 888, Belarusian 692, Greek 657, Danish 321, and some in five more languages. They were
    recorded, not synthesised: a sentence read twice differs. Most are one phrase ("Une grenouille."), French ones
    of 1.1 s in the median (0.3 to 11.6 s, 21 minutes in all), at 44.1 kHz with little above 4 kHz, and over noise 20 dB
    below the voice; the Spanish ones are clipped. Whisper base, told the language, writes 9 of 30 French ones down word
    for word and 5 nearly so: longer sentences, while it hears short words and letters as others. **Two voices read
    French**: a deep one (133 Hz), and one that is high (226 Hz) and 12 dB louder, which reads 68 of 142 animals and one
    other thing. Who speaks tells an animal there, so leave the animals out (`categories`), or permute them apart. The
    sounds that things make are not used.

    Attributes:
        languages: Further languages of the captions, as the files name them: ar, cs, de, es, fr, hi, hu, it, ja, ko,
            nl, pl, pt_BR, ru, sv, tr, uk, zh_CN, zh_TW, …
        speech: Language or languages of the recordings; None for no such view.
        categories: Take these categories only, such as ``("animals", "food")``; by default all.
        letters: Whether to include the letters of alphabets, whose captions and pictures are alike.
        duplicates: Whether to include all items of an English caption; else the first one that can be used is taken.
        svg: Whether to include stamps that are SVG drawings alone (165, of which 17 cannot be rendered), rendered 256
            pixels wide by resvg (``pip install 'isomorph[images]'``). PNG files are taken where there are both.
        path: A ``.deb`` file of the package, or a folder with its files, for example where Tux Paint is installed
            (``/usr/share/tuxpaint/stamps``). By default the package is fetched with ``apt-get download``, 161 MB,
            pinned by hash, and never installed.

    Example:
        >>> from pathlib import Path
        >>> import isomorph as iso
        >>> from isomorph.datasets.tuxpaint import TuxPaint
        >>> small = TuxPaint.example(Path("stamps"))  # six made-up stamps, laid out in the same way
        >>> iso.load_dataset(f"tuxpaint(languages='fr', speech='fr', path={small.path!r})")
        PairedItems(tuxpaint: 6 items; views image (image), text (text), text_fr (text), speech (audio); labels cat...)
    """

    name: ClassVar[str] = "tuxpaint"
    reference: ClassVar[str] = (
        "Debian's package tuxpaint-stamps-default 2022.06.04-1: Tux Paint stamps, 2002–2022 Bill Kendrick and "
        "contributors, GPL-2 (its file copyright; who drew, translated and read what is in its changelog.gz)."
    )

    languages: Sequence[str] = ()
    speech: str | Sequence[str] | None = None
    categories: Sequence[str] = ()
    letters: bool = False
    duplicates: bool = True
    svg: bool = False
    path: str | None = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        languages = as_names(self.languages, "tuxpaint: languages")
        set_(self, "languages", tuple(k for k in dict.fromkeys(languages) if k != "en"))
        if self.speech is not None:
            set_(self, "speech", tuple(dict.fromkeys(as_names(self.speech, "tuxpaint: speech"))))
        set_(self, "categories", tuple(dict.fromkeys(as_names(self.categories, "tuxpaint: categories"))))
        for category in self.categories:
            if category not in CATEGORIES:
                raise UnknownNameError("category of Tux Paint's stamps", category, CATEGORIES)
        check_flag(self.letters, "tuxpaint: letters")
        check_flag(self.duplicates, "tuxpaint: duplicates")
        check_flag(self.svg, "tuxpaint: svg")
        if self.path is not None:
            set_(self, "path", str(as_path(self.path, "tuxpaint: path")))

    @classmethod
    def example(cls, folder: Path, n: int = 6) -> Self:
        root = folder / f"stamps-{n}"
        for i in range(n):
            stem = root / _HOME / CATEGORIES[i % 16] / f"stamp{7919 * i % 10007}"
            stem.parent.mkdir(parents=True, exist_ok=True)
            text = f"A thing, number {i // 2}.\nfr.utf8=Une chose, numéro {i}.\nde.utf8=\n"  # pairs are groups
            stem.with_suffix(".txt").write_text(text, encoding="utf-8")
            # a picture of six pixels; what it is called does not matter to who reads it
            stem.with_suffix(".png").write_bytes(b"P6 2 1 255 " + bytes((i * 31 + k) % 256 for k in range(6)))
            with wave.open(str(stem.with_name(f"{stem.name}_desc_fr.wav")), "wb") as sound:
                sound.setparams((1, 2, 8000, 0, "NONE", ""))
                sound.writeframes(bytes((i * 7 + k) % 100 for k in range(200)))
        return cls(path=str(root), languages="fr", speech="fr")

    def load(self) -> PairedItems:
        """Look through the stamps; pictures and recordings are decoded when they are asked for.

        Raises:
            InputError: if `path` is no package or folder of stamps, a language is unknown, or no item is left.
            FetchError: if the package cannot be had.
            MissingExtraError: if `svg` is asked for and resvg-py is not installed.
        """
        root = self._root()
        stamps = _stamps(_home(root, self.path))
        speech = tuple(self.speech or ())
        _check_languages("language of Tux Paint's captions", self.languages, (s.captions for s in stamps.values()))
        _check_languages("language of Tux Paint's recordings", speech, (s.recordings for s in stamps.values()))
        taken = {i: s for i, s in stamps.items() if not self.categories or i.partition("/")[0] in self.categories}
        skipped = {i: why for i, s in taken.items() if (why := self._fault(i, s))}
        if not self.duplicates:
            skipped |= _repeated({i: s for i, s in taken.items() if i not in skipped})
        ids = [i for i in taken if i not in skipped]
        if not ids:
            why = f" The first: {next(iter(skipped.items()))}." if skipped else ""
            raise InputError(f"{self._source()}: no stamp has all that is asked for.{why} Ask for less.")
        views: dict[str, View] = {"image": FileView([taken[i].picture for i in ids], "image", _read_picture, ids)}
        for language in ("en", *self.languages):
            view = "text" if language == "en" else f"text_{language}".replace("@", "_")
            views[view] = MemoryView([taken[i].captions[language] for i in ids], "text")
        for language in speech:
            view = "speech" if len(speech) == 1 else f"speech_{language}"
            views[view] = FileView([taken[i].recordings[language] for i in ids], "audio", read_audio, ids)
        folders = [i.split("/")[:-1] for i in ids]
        return PairedItems(
            name="tuxpaint",
            ids=tuple(ids),
            views=views,
            labels={
                "category": tuple(f[0] for f in folders),
                "subcategory": tuple("/".join(f[:2]) for f in folders),
            },
            groups=tuple(taken[i].captions["en"].casefold() for i in ids) if self.duplicates else None,
            source=self._source(),
            license=_license(root, speech),
            skipped=skipped,
        )

    def _root(self) -> Path:
        """The folder in which the package's files are.

        Raises:
            FetchError: if the package cannot be had.
            InputError: if `path` is not there, or no package that can be read.
        """
        prefixes = (f"{_HOME}/", _TERMS)
        if self.path is None:
            try:
                return _packages.unpacked(STAMPS, prefixes)
            except FetchError as error:
                raise FetchError(
                    f"{error} Or name the file, or a folder with its files: tuxpaint(path='…/{STAMPS.name}.deb')."
                ) from error
        path = Path(self.path).expanduser()
        if path.is_dir():
            return path
        if not path.is_file():
            raise InputError(f"tuxpaint: there is no file or folder path={self.path!r}.{beside(path)}")
        try:
            return _packages.unpacked(path, prefixes)
        except FetchError as error:
            raise InputError(
                f"tuxpaint: path={self.path!r} must be a .deb file of {STAMPS.name} or a folder with its files: {error}"
            ) from error

    def _fault(self, id_: str, stamp: _Stamp) -> str | None:
        """Why a stamp is left out, or None."""
        if not self.letters and id_.startswith(_LETTERS):
            return "a letter; letters=True takes it."
        if stamp.picture is None:
            return "there is no picture."
        for language in ("en", *self.languages):
            if language not in stamp.captions:
                return f"there is no caption in {language!r}."
        for language in self.speech or ():
            if language not in stamp.recordings:
                return f"there is no recording in {language!r}."
        if stamp.picture.suffix == ".svg":
            if not self.svg:
                return "its picture is a drawing (SVG); svg=True renders it."
            try:
                read_drawing(stamp.picture)
            except InputError as error:
                return str(error)
        return None

    def _source(self) -> str:
        fields = dataclasses.fields(self)
        given = {f.name: v for f in fields if (v := getattr(self, f.name)) != f.default}
        return format_spec("tuxpaint", given) if given else "tuxpaint()"


def _home(root: Path, path: str | None) -> Path:
    """The folder of the categories.

    Raises:
        InputError: if there is none.
    """
    for home in (root / _HOME, root / "stamps", root):
        if any((home / category).is_dir() for category in CATEGORIES):
            return home
    raise InputError(
        f"tuxpaint: path={path!r} holds no stamps: expected {_HOME}, or the folder {Path(_HOME).name} itself, in which "
        f"are folders {', '.join(CATEGORIES[:3])}, …"
    )


def _stamps(home: Path) -> dict[str, _Stamp]:
    """Id -> stamp, in the order of the ids; every stamp has a file of captions.

    Raises:
        InputError: if a file of captions cannot be read.
    """
    files = {
        Path(folder, name).relative_to(home).as_posix()
        for category in CATEGORIES
        for folder, _, names in os.walk(home / category)
        for name in names
    }
    spoken: dict[str, dict[str, Path]] = {}
    for name in files:
        stem, dot, ending = name.rpartition(".")
        id_, described, language = stem.rpartition("_desc")
        if dot and described and ending in ("ogg", "wav") and language[:1] in ("", "_"):
            spoken.setdefault(id_, {})[language[1:] or "en"] = home / name
    ids = sorted(name.removesuffix(".txt") for name in files if name.endswith(".txt"))
    return {
        i: _Stamp(
            _captions(home / f"{i}.txt"),
            next((home / f"{i}{ending}" for ending in (".png", ".svg") if f"{i}{ending}" in files), None),
            spoken.get(i, {}),
        )
        for i in ids
    }


def _captions(path: Path) -> dict[str, str]:
    """Language -> caption: the first line is English, further ones are ``fr.utf8=…``.

    Raises:
        InputError: if the file cannot be read.
    """
    english, *others = read_text(path, "the captions").splitlines() or [""]
    found = {"en": english.strip()}
    for line in others:
        language, sign, caption = line.partition(".utf8=")
        if sign:
            found.setdefault(language.strip(), caption.strip())
    return {language: caption for language, caption in found.items() if caption}


def _repeated(stamps: Mapping[str, _Stamp]) -> dict[str, str]:
    """What has the English caption of one before it: id -> reason."""
    first: dict[str, str] = {}
    owner = {i: first.setdefault(s.captions["en"].casefold(), i) for i, s in stamps.items()}
    return {i: f"its caption is that of {of!r}; duplicates=True takes both." for i, of in owner.items() if of != i}


def _check_languages(kind: str, asked: Iterable[str], there: Iterable[Mapping[str, Any]]) -> None:
    known = {language for one in there for language in one}
    for language in asked:
        if language not in known:
            raise UnknownNameError(kind, language, known)


def _read_picture(path: Path) -> Any:
    return read_drawing(path) if path.suffix == ".svg" else read_image(path)


def _license(root: Path, speech: Sequence[str]) -> str:
    """Terms as the package's own file of them says, and who read the captions."""
    share = root.absolute().parents  # of /usr/share/tuxpaint/stamps
    installed = share[1] / "doc" / STAMPS.name if len(share) > 1 else root
    terms = next((f for f in (root / _TERMS / "copyright", installed / "copyright") if f.is_file()), None)
    if terms is None:
        said = (
            f"GPL-2, 2002-2022 by Bill Kendrick and contributors (as Debian's {STAMPS.name}; no file of terms is here)"
        )
    else:
        stanza = next((s for s in read_text(terms).split("\n\n") if s.startswith("Files: *")), "")
        facts = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
        said = f"{facts.get('License', 'see there')}, {facts.get('Copyright', '')} ({_TERMS}copyright, changelog.gz)"
    voices = [f"{language}: {_VOICES[language]}" for language in speech if language in _VOICES]
    return f"pictures, captions, recordings: {said}" + (f"; read aloud by {'; '.join(voices)}" if voices else "")
