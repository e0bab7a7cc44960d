"""The pictures and captions on which the Platonic Representation Hypothesis was measured."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import ClassVar, Self

from .._core.checks import as_count
from .._core.files import as_path
from .._core.registry import format_spec
from ..errors import FetchError, InputError, quoted
from ._base import Dataset, PairedItems
from .huggingface import HuggingFace, saved

_HUB, _REVISION = "minhuh/prh", "wit_1024"


@dataclasses.dataclass(frozen=True)
class Wit1024(Dataset):
    """The 1,024 pictures and captions of Wikipedia (WIT) that platonic-rep compares vision and language models on.

    Views: `image` and `text`. Ids are the numbers of the rows, 0 to 1023, as platonic-rep orders its features, so that
    these are joined with ``Layers.load("….pt", ids=range(1024))``. A picture has several captions; platonic-rep takes
    the first (``caption_idx=0``), and so does this.

    Read by `huggingface` from ``minhuh/prh`` on the hub, whose branch ``wit_1024`` has the split ``train``; `revision`
    is recorded as the commit that it means.

    Attributes:
        path: A copy on this disk, as ``datasets.load_dataset("minhuh/prh", revision="wit_1024").save_to_disk("wit")``
            writes it; by default the hub, or what its cache has.
        revision: Branch or commit on the hub.
        captions_each: How many captions of each picture; several are items ``0#0``, ``0#1``, … of one group. None takes
            all.
        skip_bad: Leave out items that cannot be used, and name them in the result's `skipped`, instead of raising.

    Example:
        >>> from pathlib import Path
        >>> import datasets
        >>> import isomorph as iso
        >>> datasets.disable_progress_bars()
        >>> pixels = [{"bytes": b"P6 1 1 255 " + bytes([k, k, k]), "path": None} for k in range(3)]
        >>> rows = {"image": pixels, "text": [["coal", "a mine"], ["ash"], ["fog"]]}
        >>> datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image()).save_to_disk("copy")
        >>> items = iso.load_dataset("wit_1024(path='copy')")
        >>> items.ids, list(items.view("text"))
        (('0', '1', '2'), ['coal', 'ash', 'fog'])
    """

    name: ClassVar[str] = "wit_1024"
    reference: ClassVar[str] = (
        "Huh, Cheung, Wang, Isola 2024, The Platonic Representation Hypothesis (github.com/minyoungg/platonic-rep); "
        "pictures of Wikimedia Commons, each under its own licence."
    )

    path: str | None = None
    revision: str | None = None
    captions_each: int | None = 1
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if self.path is not None:
            object.__setattr__(self, "path", str(as_path(self.path, f"{self.name}: path")))
            if not os.path.lexists(Path(self.path).expanduser()):
                raise InputError(
                    f"{self.name}: there is nothing at path={quoted(self.path)}; leave it out for the hub."
                )
        if self.captions_each is not None:
            as_count(self.captions_each, f"{self.name}: captions_each")

    @classmethod
    def example(cls, folder: Path, n: int = 6) -> Self:
        import pyarrow

        import datasets

        features = datasets.Features(
            {"image": datasets.Image(), "text": datasets.List(datasets.Value("string"))},
        )
        columns = {
            "image": [{"bytes": b"P6 1 1 255 " + bytes([i % 256, 1, 2]), "path": None} for i in range(n)],
            "text": [[f"caption {i}", f"another of {i}"] for i in range(n)],
        }
        return cls(saved(pyarrow.Table.from_pydict(columns, schema=features.arrow_schema), folder / f"wit-{n}"))

    def skipping_bad(self) -> Wit1024:
        return dataclasses.replace(self, skip_bad=True)

    def load(self) -> PairedItems:
        """Read the pictures and captions; pictures are decoded when they are asked for.

        Raises:
            InputError: if a copy is of another layout.
            FetchError: if the hub cannot be reached and the cache does not have them.
            MissingExtraError: if `datasets` is not installed.
        """
        there = self.path is not None
        dataset = HuggingFace(
            self.path if self.path is not None else _HUB,
            revision=None if there else self.revision or _REVISION,
            split="train",
            id=None,
            image=("image",),
            text=("text",),
            captions_each=self.captions_each,
            skip_bad=self.skip_bad,
        )
        try:
            found = dataset.load()
        except FetchError as error:
            raise FetchError(
                f"{error} Of such a copy, wit_1024(path='copy') takes what it takes of the hub."
            ) from error
        own = {f.name: v for f in dataclasses.fields(self) if (v := getattr(self, f.name)) != f.default}
        if not there:
            own["revision"] = found.source.partition("revision='")[2].partition("'")[0]
        return dataclasses.replace(found, name=self.name, source=format_spec(self.name, own))
