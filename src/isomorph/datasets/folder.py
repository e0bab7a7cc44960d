"""A folder of the user's own: files of one name, class folders, or pictures beside a file of captions."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import ClassVar, Self

from .._core.checks import as_count, check_choice, check_flag
from .._core.files import as_path, read_text
from .._core.registry import format_spec
from ..errors import InputError
from ._base import Dataset, PairedItems
from ._files import fault, view_of
from ._layouts import LAYOUTS, Found, found_in, labels_of
from ._views import MemoryView, View

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Folder(Dataset):
    """Paired items from a folder: files of one name, or pictures (sounds, films) beside a file of captions.

    Without a file of captions, files of one name without ending are one item: ``cats/1.jpg``, ``cats/1.txt`` and
    ``cats/1.wav`` are three views of the item ``cats/1``. So are ``images/1.jpg`` and ``texts/1.txt``, where every
    folder holds one modality. Views are called ``image``, ``audio``, ``video`` and ``text``.

    With a file of captions in it (``captions.csv``, ``.jsonl``, ``.txt``, ``metadata.csv`` and the like), every caption
    is an item with the picture that it names. Known layouts are Flickr8k (``captions.txt``, ``Flickr8k.token.txt``),
    Flickr30k (``results.csv``), COCO (``annotations/captions_val2017.json``), Karpathy's (``dataset_coco.json``) and
    Hugging Face's (``metadata.jsonl`` with ``file_name``). Several captions of a picture are the items ``name#0``,
    ``name#1``, … and one group, which is never permuted or split apart.

    Class folders are labels: those below the folder (below ``train``, ``test`` and the like, which are labels
    ``split``) in which the pictures are. Hidden files, and notes such as ``README.txt``, are no items.

    Attributes:
        path: The folder.
        captions: The file of captions, relative to the folder; by default the only one that is called like one.
        layout: ``"names"``: files of one name are an item; ``"classes"``: so too, and folders are labels even where all
            hold the same names; ``"views"``: folders are views, under their own names; ``"captions"``. By default what
            the folder looks like; where that is not clear, it asks.
        captions_each: Take so many captions of a picture at most, the first ones.
        skip_bad: Leave out what cannot be used (a picture without a caption, a caption without a picture, an empty
            text, an unreadable file) and name it in the result's `skipped`, instead of raising. Every file is decoded
            once for this.

    Example:
        >>> from pathlib import Path
        >>> import isomorph as iso
        >>> for name in ("cats/tom", "cats/kitty", "cows/berta"):
        ...     Path("pets", name).parent.mkdir(parents=True, exist_ok=True)
        ...     _ = Path("pets", f"{name}.txt").write_text(f"a photo of {name}")
        ...     _ = Path("pets", f"{name}.ppm").write_bytes(b"P6 1 1 255 " + name[-3:].encode())
        >>> items = iso.load_dataset("folder(path='pets')")
        >>> items
        PairedItems(pets: 3 items; views image (image), text (text); labels label)
        >>> items.ids, items.labels["label"]
        (('cats/kitty', 'cats/tom', 'cows/berta'), ('cats', 'cats', 'cows'))
    """

    name: ClassVar[str] = "folder"
    reference: ClassVar[str] = "Files of the user's own."

    path: str
    captions: str | None = None
    layout: str = "auto"
    captions_each: int | None = None
    skip_bad: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", str(as_path(self.path, "folder: path")))
        if self.captions is not None:
            object.__setattr__(self, "captions", str(as_path(self.captions, "folder: captions")))
        check_choice(self.layout, "folder: layout", LAYOUTS)
        if self.captions is not None and self.layout not in ("auto", "captions"):
            raise InputError(f"folder: captions={self.captions!r} and layout={self.layout!r} exclude each other.")
        if self.captions_each is not None:
            as_count(self.captions_each, "folder: captions_each")
        check_flag(self.skip_bad, "folder: skip_bad")

    @classmethod
    def example(cls, folder: Path, n: int = 6) -> Self:
        root = folder / f"photos-{n}"
        (root / "images").mkdir(parents=True, exist_ok=True)
        lines = ["image,caption"]
        for i in range(n):  # two captions of every picture
            name = f"{7919 * (i // 2) % 10007}.ppm"
            (root / "images" / name).write_bytes(b"P6 2 1 255 " + bytes(range(i // 2, i // 2 + 6)))
            lines.append(f'{name},"a photo, caption {i}"')
        (root / "captions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return cls(str(root))

    def skipping_bad(self) -> Folder:
        return dataclasses.replace(self, skip_bad=True)

    def load(self) -> PairedItems:
        """Look through the folder; pictures, recordings and films are decoded when they are asked for.

        Raises:
            InputError: if there is no such folder, it holds nothing that can be an item, its layout is not clear, or
                something has no counterpart.
            MissingExtraError: if a package that reads a file is not installed.
        """
        root = Path(self.path).expanduser()
        found = found_in(root, self.layout, self.captions, self.captions_each)
        self._refuse(found.bad, root, len(found.items))
        texts, bad = self._read(found, root)
        self._refuse(bad, root, len(found.items))
        bad = found.bad | bad
        if bad:
            _log.warning("%s: left out %d items that cannot be used.", root, len(bad))
        ids = [i for i in found.items if i not in bad]
        if not ids:
            raise InputError(f"{root}: none of its items can be used; the first: {next(iter(bad.values()))}")
        kept = [found.items[i] for i in ids]

        def view(name: str, kind: str) -> View:
            if kind == "text":
                return MemoryView([texts[name][i] for i in ids], "text")
            return view_of(kind, [item.files[name] for item in kept], root, ids)

        labels = labels_of(kept, classes=self.layout != "views")
        groups = tuple(item.group for item in kept)
        return PairedItems(
            name=root.resolve().name or "folder",
            ids=tuple(ids),
            views={name: view(name, kind) for name, kind in found.kinds.items()},
            labels=labels,
            groups=groups if any(item.several for item in kept) else None,
            source=self._source(),
            skipped=bad,
        )

    def _refuse(self, bad: dict[str, str], root: Path, n: int) -> None:
        if bad and (not self.skip_bad or not n):
            more = f" {len(bad) - 1:,} more have such faults." if len(bad) > 1 else ""
            fix = "Repair it, or leave such items out with skip_bad=True." if n else "No item is left."
            raise InputError(f"{root}: {next(iter(bad.values()))}{more} {fix}")

    def _read(self, found: Found, root: Path) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
        """Texts, view -> id -> text, and what is wrong with items; with `skip_bad` every file is decoded."""
        texts: dict[str, dict[str, str]] = {}
        bad: dict[str, str] = {}
        for name, kind in found.kinds.items():
            for id_, item in found.items.items():
                if kind == "text":
                    try:
                        value = item.text if item.text is not None else read_text(root / item.files[name]).strip()
                        problem = fault(value, kind, root, decode=False)
                    except InputError as error:
                        value, problem = "", str(error)
                    texts.setdefault(name, {})[id_] = value
                else:
                    problem = fault(item.files[name], kind, root, decode=True) if self.skip_bad else None
                if problem:
                    bad.setdefault(id_, f"item {id_!r}, {name}: {problem}")
        return texts, bad

    def _source(self) -> str:
        fields = dataclasses.fields(self)
        return format_spec("folder", {f.name: v for f in fields if (v := getattr(self, f.name)) != f.default})
