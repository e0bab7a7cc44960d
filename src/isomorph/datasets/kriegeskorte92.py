"""The 92 pictures of Kriegeskorte and others (2008), of which brain RDMs are kept beside them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from .._core.files import as_path
from .._core.matlab5 import Structs, read_matlab5
from .._core.registry import format_spec
from ..errors import InputError, quoted
from ._base import Dataset, PairedItems
from ._views import MemoryView

FILE = "Kriegeskorte_Neuron2008_supplementalData.mat"
_PICTURES, _CATEGORIES = "stimuli_92objs", "categoryVectors"
# columns of `categoryVectors`: animate, inanimate, human, not human, body, face, natural, artificial, and others
_ANIMATE, _HUMAN, _BODY, _FACE, _NATURAL, _ARTIFICIAL = 0, 2, 4, 5, 6, 7


@dataclasses.dataclass(frozen=True)
class Kriegeskorte92(Dataset):
    """The 92 pictures of objects that people and monkeys saw in Kriegeskorte and others (2008).

    They lie in the folder ``demos/92imageData`` of the repository of rsatoolbox (and of the RSA toolbox for MATLAB),
    beside RDMs of human and monkey inferior temporal cortex, of behaviour and of models over the same pictures in the
    same order. You bring the folder: nothing is fetched. View: ``image`` (175×175, on grey). Labels: ``kind`` (human
    face, animal body, natural object, …) and ``animacy``. Ids are ``picture_01``, ``picture_02``, …

    Attributes:
        path: The folder, or the file ``Kriegeskorte_Neuron2008_supplementalData.mat`` in it.

    Example:
        >>> from pathlib import Path
        >>> import isomorph as iso
        >>> from isomorph.datasets.kriegeskorte92 import Kriegeskorte92
        >>> made = Kriegeskorte92.example(Path("."), n=6)  # a file of its layout; yours holds the 92
        >>> items = iso.load_dataset(f"kriegeskorte92(path={made.path!r})")
        >>> items.ids[0], items.view("image")[0].shape, items.labels["kind"][:2]
        ('picture_01', (9, 7, 3), ('human body', 'human face'))
    """

    name: ClassVar[str] = "kriegeskorte92"
    reference: ClassVar[str] = (
        "Kriegeskorte, Mur, Ruff, Kiani, Bodurka, Esteky, Tanaka and Bandettini (2008), Neuron 60(6); the pictures and "
        "RDMs as rsatoolbox keeps them, whose terms for them are not stated."
    )

    path: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", str(as_path(self.path, "kriegeskorte92: path")))

    @classmethod
    def example(cls, folder: Path, n: int = 6) -> Self:
        from scipy.io import savemat

        path = folder / f"pictures-{n}.mat"
        pictures = np.empty((1, n), dtype=[("image", object)])
        vectors = np.zeros((n, 8))
        for i in range(n):
            pictures[0, i]["image"] = np.full((9, 7, 3), 3 * i % 251, dtype=np.uint8) + np.arange(3, dtype=np.uint8)
            animate = i % 6 < 4
            parts = (_ANIMATE, _HUMAN if i % 4 < 2 else 3, _BODY + i % 2) if animate else (1, _NATURAL + i % 2)
            vectors[i, list(parts)] = 1
        savemat(path, {_PICTURES: pictures, _CATEGORIES: vectors}, do_compression=True)
        return cls(str(path))

    def load(self) -> PairedItems:
        """Read the pictures and their kinds.

        Raises:
            InputError: if there is no such file, or it holds no pictures.
        """
        path = Path(self.path).expanduser()
        path = path / FILE if path.is_dir() else path
        if not path.is_file():
            raise InputError(
                f"kriegeskorte92: there is no {path}. It lies in demos/92imageData of rsatoolbox's repository "
                "(https://github.com/rsagroup/rsatoolbox); give that folder as path."
            )
        held = read_matlab5(path)
        structs = held.get(_PICTURES)
        if not isinstance(structs, Structs) or "image" not in structs.fields:
            raise InputError(
                f"{path} has no pictures ({_PICTURES}, a struct with the field image); its variables are "
                f"{quoted([*held][:12])}."
            )
        pictures = [_picture(given, k, path) for k, given in enumerate(structs.fields["image"])]
        kinds = _kinds(held.get(_CATEGORIES), len(pictures), path)
        ids = tuple(f"picture_{k:02d}" for k in range(1, len(pictures) + 1))
        return PairedItems(
            name="92 pictures" if len(pictures) == 92 else path.stem,
            ids=ids,
            views={"image": MemoryView(pictures, "image")},
            labels={"kind": kinds, "animacy": tuple("inanimate" if "object" in k else "animate" for k in kinds)},
            source=format_spec("kriegeskorte92", {"path": self.path}),
            license="of Kriegeskorte and others (2008); terms not stated",
        )


def _picture(given: Any, k: int, path: Path) -> np.ndarray[Any, Any]:
    """One picture (h, w, 3).

    Raises:
        InputError: if it is none.
    """
    if not isinstance(given, np.ndarray) or given.dtype != np.uint8 or given.ndim != 3 or given.shape[2] != 3:
        shape = f"{given.dtype} {given.shape}" if isinstance(given, np.ndarray) else type(given).__name__
        raise InputError(f"{path}: picture {k + 1} is {shape}; bytes of shape (height, width, 3) are needed.")
    return np.ascontiguousarray(given)


def _kinds(vectors: Any, n: int, path: Path) -> tuple[str, ...]:
    """What each picture shows, from the file's table of categories.

    Raises:
        InputError: if there is no such table.
    """
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.shape[0] != n or vectors.shape[1] < 8:
        found = f"of shape {vectors.shape}" if isinstance(vectors, np.ndarray) else "not there"
        raise InputError(f"{path}: {_CATEGORIES} is {found}; a table ({n}, 8 or more) of 0 and 1 is needed.")
    kinds = []
    for row in vectors.astype(bool):
        if row[_ANIMATE]:
            part = "face" if row[_FACE] else "body" if row[_BODY] else "figure"
            kinds.append(f"{'human' if row[_HUMAN] else 'animal'} {part}")
        else:
            kinds.append("natural object" if row[_NATURAL] else "artificial object" if row[_ARTIFICIAL] else "object")
    return tuple(kinds)
