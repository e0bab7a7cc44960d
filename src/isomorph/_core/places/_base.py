"""What a folder and a prefix of an object store have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

RESUMABLE = "What was committed stays valid, and the next run goes on from there."
"""The end of messages of writers."""
Buffer = bytes | memoryview
"""Bytes as they were read, or a mapped part of a file."""


class Place(ABC):
    """Objects under names, some of which hold others: a folder, or a prefix of an object store.

    An object is whole or not there, and is read as it was put. Every method raises `StoreError`, in words, if the
    place cannot be reached, written or read.
    """

    @property
    @abstractmethod
    def address(self) -> str:
        """How it is named in messages and opened again."""

    @property
    @abstractmethod
    def path(self) -> Path:
        """The folder on this machine.

        Raises:
            StoreError: if it is none.
        """

    @property
    @abstractmethod
    def local(self) -> bool:
        """Whether it is a folder, whose files can be memory-mapped and locked."""

    @property
    def name(self) -> str:
        """Last part of the address."""
        return self.address.rstrip("/").rpartition("/")[2]

    @abstractmethod
    def __truediv__(self, name: str) -> Place:
        """The place of that name in this one."""

    @abstractmethod
    def check_writable(self) -> None:
        """See that objects can be put, and that what `put_new` promises is kept, before anything is computed.

        Raises:
            StoreError: if not.
        """

    @abstractmethod
    def folders(self) -> list[str]:
        """Names of the places in this one, in order; empty if there is nothing."""

    @abstractmethod
    def objects(self) -> Mapping[str, float]:
        """Names of the objects in this place, in order, each with the time of its last change in seconds."""

    @abstractmethod
    def read(self, names: Sequence[str]) -> list[bytes | None]:
        """The objects of these names, None where there is none."""

    @abstractmethod
    def spans(self, wanted: Sequence[tuple[str, int, int]]) -> list[Buffer | None]:
        """Parts of objects, by name, first byte and length; None where there is no such object or it is too short."""

    @abstractmethod
    def put(self, name: str, blocks: Iterable[Any]) -> None:
        """Put an object, given in blocks of bytes, under a name that nobody else writes."""

    @abstractmethod
    def put_new(self, name: str, data: bytes) -> bool:
        """Put an object if there is none of that name.

        Returns:
            Whether it was put; False if there was one, which stays.
        """

    @abstractmethod
    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that are not there are no error."""
