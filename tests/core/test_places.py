"""Folders and memory as places: objects are whole or not there, and one writer of a name wins."""

import errno
import os
import threading
import uuid

import pytest

from isomorph._core.places import Folder, is_address, open_place
from isomorph.errors import StoreError


@pytest.fixture(params=["folder", "without names", "without links", "memory"])
def place(request, tmp_path, monkeypatch):
    if request.param == "memory":
        return open_place(f"memory://{uuid.uuid4().hex}")
    if request.param != "folder":
        monkeypatch.delattr(os, "O_TMPFILE")  # as on file systems and systems without files that have no name
    if request.param == "without links":

        def refuse(*_, **__):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refuse)
    return open_place(tmp_path / "place")


def test_of_two_objects_of_one_name_the_first_stands(place):
    assert place.put_new("a", b"first") is True
    assert place.put_new("a", b"second") is False
    assert place.read(["a", "b"]) == [b"first", None]
    assert list(place.objects()) == ["a"]


# without links two may both be told so: the later stands, which for commits says the same
@pytest.mark.parametrize("place", ["folder", "without names", "memory"], indirect=True)
def test_of_many_writers_of_one_name_one_is_told_that_it_wrote(place):
    won, barrier = [], threading.Barrier(8)

    def write(number):
        barrier.wait()
        won.extend((name, number) for name in "abcdefgh" if place.put_new(name, bytes([number]) * 1000))

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for name, _ in won) == list("abcdefgh")
    assert place.read([name for name, _ in won]) == [bytes([number]) * 1000 for _, number in won]
    assert list(place.objects()) == list("abcdefgh")  # and no temporary file is left


def test_parts_of_objects_are_read_alone(place):
    (place / "sub").put("a", [b"0123", b"", memoryview(b"456789")])
    assert [bytes(x) for x in (place / "sub").spans([("a", 2, 5), ("a", 0, 10), ("a", 3, 0)])] == [
        *(b"23456", b"0123456789", b"")
    ]
    assert (place / "sub").spans([("a", 8, 5), ("b", 0, 1)]) == [None, None]


def test_folders_and_objects_are_told_apart_and_nothing_is_no_error(place):
    assert (place.folders(), dict(place.objects())) == ([], {})
    (place / "two").put("a", [b"1"])
    (place / "one").put("b", [b"1"])
    place.put("c", [b"1"])
    assert place.folders() == ["one", "two"]
    assert list(place.objects()) == ["c"]


def test_deleting_what_is_not_there_is_no_error(place):
    place.put("a", [b"1"])
    place.delete(["a", "b"])
    assert place.read(["a"]) == [None]


def test_a_link_whose_answer_was_lost_counts_as_made(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE")
    link = os.link

    def lost(source, target, **options):
        link(source, target, **options)
        raise OSError(errno.EIO, "the answer was lost")  # as NFS does when it asks again

    monkeypatch.setattr(os, "link", lost)
    place = Folder(tmp_path)
    assert place.put_new("a", b"first") is True
    assert place.read(["a"]) == [b"first"]


def test_a_folder_that_cannot_be_written_is_told_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    place = Folder(tmp_path / "file" / "sub")
    for write in (place.check_writable, lambda: place.put("a", [b"1"]), lambda: place.put_new("a", b"1")):
        with pytest.raises(StoreError, match=r"Cannot write .*the next run goes on from there"):
            write()


def test_addresses_are_known_by_their_scheme(tmp_path):
    assert all(map(is_address, ("s3://b/x", "GS://b", "memory://x")))
    assert not any(map(is_address, ("features", "file:///x", "C:\\x", tmp_path, 3)))
    assert open_place("file:///a%20b/c").path == open_place("/a b/c").path
    assert open_place("local:///x").path == open_place("/x").path
    assert open_place("S3://bucket/x/").address == "s3://bucket/x"
    assert (open_place("s3://bucket") / "x").name == "x"
