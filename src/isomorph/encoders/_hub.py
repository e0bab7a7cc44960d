"""Files of a model hub's repositories, asked for with patience of a few seconds, and of local checkpoint folders."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .._core.hub import PATIENCE, hub_problem, one_line
from .._core.packages import file_sha256
from ..errors import FetchError, InputError, IsomorphError, MissingExtraError
from ._torch import json_digest

_POINTER = b"version https://git-lfs"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".npz", ".npy")
_SMALL = (".json", ".txt", ".model", ".jinja")


@dataclasses.dataclass(frozen=True)
class Repository:
    """One state of a repository on a hub.

    Attributes:
        id: Such as ``"timm/resnet18.a1_in1k"``.
        commit: The commit, 40 hexadecimal digits.
        folder: Where the cache keeps its files.
        online: Whether the hub answers; otherwise what the cache holds is all that there is.
    """

    id: str
    commit: str
    folder: Path
    online: bool

    def get(self, name: str) -> Path | None:
        """A file of the repository, or None if it has no such file.

        Raises:
            FetchError: if the hub fails.
        """
        import huggingface_hub as hub
        from huggingface_hub.errors import EntryNotFoundError

        if not self.online:
            return self.folder / name if (self.folder / name).is_file() else None
        try:
            return Path(hub.hf_hub_download(self.id, name, revision=self.commit, etag_timeout=PATIENCE))
        except EntryNotFoundError:
            return None
        except OSError as error:
            raise FetchError(f"The file {name} of {self.id} cannot be had from the hub: {one_line(error)}") from error

    def get_all(self, patterns: Sequence[str], ignore: Sequence[str] = ()) -> Path:
        """The folder, once it holds all files that the patterns name.

        Raises:
            FetchError: if the hub fails.
        """
        import huggingface_hub as hub

        if self.online:
            try:
                hub.snapshot_download(
                    self.id,
                    revision=self.commit,
                    allow_patterns=list(patterns),
                    ignore_patterns=list(ignore),
                    etag_timeout=PATIENCE,
                )
            except OSError as error:
                raise FetchError(f"The files of {self.id} cannot be had from the hub: {one_line(error)}") from error
        return self.folder


def open_repository(id: str, revision: str | None, entry: str) -> Repository:
    """The state of a repository that a revision means now; what the cache has will do where the hub does not answer.

    Args:
        id: Its name on the hub, ``org/name``.
        revision: Branch, tag or commit; the main branch if None.
        entry: A file that every repository of this kind has.

    Raises:
        FetchError: if the hub cannot be reached within a few seconds and the cache does not have it, or there is no
            such repository.
        MissingExtraError: if the package that speaks to the hub is not installed.
    """
    try:
        import huggingface_hub as hub
    except ImportError as error:
        raise MissingExtraError("Fetching a model from the hub", "huggingface_hub", "models") from error
    problem = hub_problem()
    path: Any = None
    if problem is None:
        try:
            path = hub.hf_hub_download(id, entry, revision=revision, etag_timeout=PATIENCE)
        except (OSError, ValueError) as error:  # ValueError: a text that cannot be the name of a repository
            raise FetchError(
                f"The model {id} cannot be had from the hub: {one_line(error)} Check the name and the revision."
            ) from error
    else:
        with contextlib.suppress(ValueError):
            path = hub.try_to_load_from_cache(id, entry, revision=revision)
        if not isinstance(path, str):
            raise FetchError(
                f"The model {id} is not in the cache, and the hub cannot be reached ({problem}). Check the connection, "
                "name a local folder, or use a bundled model (`isomorph list models`)."
            )
    folder = Path(path).parent
    for _ in range(entry.count("/")):
        folder = folder.parent
    return Repository(id, folder.name, folder, problem is None)


def find_weights(folder: Path, names: Sequence[str]) -> Path:
    """The safetensors file of a local checkpoint: the first of these names that is there, or the only one of any name.

    Raises:
        InputError: if there is none, or several and no telling which.
    """
    others = sorted(folder.glob("*.safetensors"))
    found = next((folder / n for n in names if (folder / n).is_file()), others[0] if len(others) == 1 else None)
    if found is not None:
        refuse_pointer(found)
        return found
    if others:
        raise InputError(
            f"{folder} holds {len(others)} safetensors files ({', '.join(p.name for p in others)}); keep one of them, "
            f"or call it {names[0]}."
        )
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in _PICKLES)
    if pickles:
        raise InputError(
            f"{folder} holds weights as {pickles[0]} only, which is not read: such files can run code. Save them as "
            f"{names[0]} (safetensors.torch.save_file), or ask for init='random'."
        )
    raise InputError(f"{folder} holds no weights; {names[0]} is needed, or ask for init='random'.")


def folder_revision(folder: Path, below: bool = False) -> str:
    """Hash over the small files of a checkpoint folder, and of those below it; weights have their own fingerprint."""
    found = sorted(folder.rglob("*") if below else folder.iterdir())
    small = [p for p in found if p.suffix in _SMALL and p.is_file()]
    return "local-" + json_digest({p.relative_to(folder).as_posix(): file_sha256(p) for p in small})[:16]


@contextlib.contextmanager
def reading_checkpoint(what: str) -> Iterator[None]:
    """Turn what a library raises about a checkpoint into an error of ours, and silence its log meanwhile.

    Raises:
        InputError: if the checkpoint cannot be used.
        IsomorphError: what has been said in our words already.
        MemoryError: if there is not enough memory.
    """
    with _quiet():
        try:
            yield
        except (IsomorphError, MemoryError):
            raise
        except Exception as error:  # safetensors, json, torch and the library have no common class of errors
            raise InputError(
                f"The checkpoint {what} cannot be read: {type(error).__name__}: {one_line(error)}"
            ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence logging below errors, for as long as this lasts."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.ERROR))
    try:
        yield
    finally:
        logging.disable(before)


def refuse_pointer(path: Path) -> None:
    """Refuse a file that stands for one that was never downloaded.

    Raises:
        InputError: if it is a git-lfs pointer.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file, and a file is needed there.")
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise InputError(
                f"{path} is a git-lfs pointer: the weights themselves were not downloaded. Run `git lfs pull` there."
            )
