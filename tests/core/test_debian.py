"""Packages of Debian: made by hand here and by the real dpkg-deb, fetched by the real apt-get from a folder."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from isomorph._core import debian, packages
from isomorph._core.packages import Package
from isomorph.errors import FetchError

FILES = {"usr/share/tiny/a.bin": bytes(range(256)) * 40, "usr/share/tiny/deep/größe.txt": "größe".encode()}
OTHER = {"etc/tiny.conf": b"not asked for"}


def tar(files: Mapping[str, bytes], links: Mapping[str, str] | None = None, compression: str = "xz") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=f"w:{compression}") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return content.getvalue()


def ar(parts: Mapping[str, bytes]) -> bytes:
    """As deb(5) and ar(5) have it: a header of 60 bytes a part, which begins at an even place."""
    content = b"!<arch>\n"
    for name, data in parts.items():
        content += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
        )
    return content


def deb(data: bytes, ending: str = ".xz") -> bytes:
    return ar({"debian-binary": b"2.0\n", "control.tar.xz": tar({"./control": b"odd"}), f"data.tar{ending}": data})


def unpack(content: bytes, tmp_path: Path) -> dict[str, str]:
    path, into = tmp_path / "tiny.deb", tmp_path / "into"
    path.write_bytes(content)
    into.mkdir()
    return debian.unpack(path, into, ["usr/share/tiny/"], "tiny 1.0")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(("compression", "ending"), [("", ""), ("gz", ".gz"), ("xz", ".xz"), ("bz2", ".bz2")])
def test_what_is_asked_for_is_copied_out_and_nothing_else(tmp_path: Path, compression: str, ending: str) -> None:
    dotted = {f"./{name}": data for name, data in (OTHER | FILES).items()}
    hashes = unpack(deb(tar(dotted, compression=compression), ending), tmp_path)
    assert hashes == {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    written = {p.relative_to(tmp_path / "into").as_posix() for p in (tmp_path / "into").rglob("*") if p.is_file()}
    assert written == set(FILES)
    for name, data in FILES.items():
        assert (tmp_path / "into" / name).read_bytes() == data


@pytest.mark.parametrize("compression", ["gzip", "xz", "zstd", "none"])
def test_what_dpkg_builds_is_read(tmp_path: Path, compression: str) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    path = built(tmp_path, compression)
    (tmp_path / "into").mkdir()
    hashes = debian.unpack(path, tmp_path / "into", ["usr/share/tiny/"], "tiny 1.0")
    assert hashes == {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}


def built(tmp_path: Path, compression: str = "xz") -> Path:
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    control = (
        "Package: tiny-data\nVersion: 1.0-1\nArchitecture: all\nMaintainer: N <n@example.org>\nDescription: tiny\n"
    )
    (root / "DEBIAN" / "control").write_text(control)
    for name, data in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    path = tmp_path / "tiny-data_1.0-1_all.deb"
    command = ["dpkg-deb", "--root-owner-group", f"-Z{compression}", "--build", str(root), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "unknown compression type" in done.stderr:
        pytest.skip(f"this dpkg-deb writes no {compression}")
    assert done.returncode == 0, done.stderr
    return path


def test_zstandard_without_dpkg_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match=r"data\.tar\.zst, which takes dpkg-deb.*dpkg-deb -x tiny\.deb FOLDER"):
        unpack(deb(b"anything", ".zst"), tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "usr/share/tiny/../../../evil",
        "usr/share/tiny/../../../../evil",
        "usr/share/tiny/c:evil",
        "usr/share/tiny/\\evil",
    ],
)
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FetchError, match="unsafe file name"):
        unpack(deb(tar({name: b"evil"})), tmp_path)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.name != "tiny.deb"]


def test_a_link_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="unsafe file name 'usr/share/tiny/link'"):
        unpack(deb(tar(FILES, {"usr/share/tiny/link": "/etc"})), tmp_path)


def test_what_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "MAX_BYTES", 1000)
    with pytest.raises(FetchError, match="unpacks to more than"):
        unpack(deb(tar({"usr/share/tiny/zeros": bytes(100_000)})), tmp_path)


GOOD = deb(tar(FILES))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"PK\3\4" + GOOD[4:], "does not begin as an ar archive"),
        (b"", "does not begin as an ar archive"),
        (GOOD[:100], "cut off"),
        (GOOD[:-50], "cut off"),
        (GOOD.replace(b"`\n", b"''"), "damaged"),
        (ar({"debian-binary": b"2.0\n"}), "no data.tar"),
        (deb(b"no tar archive at all"), "can be read"),
        (deb(tar(FILES)[: len(tar(FILES)) // 2]), "can be read"),
    ],
)
def test_what_is_no_package_is_told(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(FetchError, match=rf"tiny 1\.0 is not a package of Debian that can be read: .*{why}|{why}"):
        unpack(content, tmp_path)


# ---------------------------------------------------------------- in the cache


def test_a_file_is_unpacked_once_and_again_where_it_is_damaged(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny.deb"
    path.write_bytes(GOOD)
    home = packages.unpacked(path, ["usr/share/tiny/"])
    assert home.is_relative_to(cache)
    victim = home / "usr/share/tiny/a.bin"
    victim.write_bytes(b"damaged")
    assert packages.unpacked(path, ["usr/share/tiny/"]) == home
    assert victim.read_bytes() == FILES["usr/share/tiny/a.bin"]
    monkeypatch.setattr(debian, "unpack", None)  # not called again
    assert packages.unpacked(path, ["usr/share/tiny/"]) == home
    left = [p.name for p in home.parent.iterdir() if p != home and not p.name.endswith(".lock")]
    assert left == []


def test_other_content_and_other_prefixes_have_their_own_folders(tmp_path: Path, cache: Path) -> None:
    first, second = tmp_path / "first.deb", tmp_path / "second.deb"
    first.write_bytes(GOOD)
    second.write_bytes(deb(tar({"usr/share/tiny/a.bin": b"other"})))
    homes = {packages.unpacked(p, [prefix]) for p in (first, second) for prefix in ("usr/share/tiny/", "usr/")}
    assert len(homes) == 4


def test_nothing_is_left_of_a_package_that_cannot_be_read(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "tiny.deb"
    path.write_bytes(deb(tar(FILES | {"usr/share/tiny/../x": b""})))
    with pytest.raises(FetchError, match="unsafe"):
        packages.unpacked(path, ["usr/share/tiny/"])
    assert [p for p in (cache / "files").rglob("*") if p.is_file() and not p.name.endswith(".lock")] == []


# ---------------------------------------------------------------- apt


@pytest.fixture
def repository(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in a folder that the real apt-get asks: it has one package, tiny-data 1.0-1."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("apt-get and dpkg-deb are not installed")
    home = tmp_path / "apt"
    for folder in ("repository", "state/lists/partial", "cache/archives/partial", "etc"):
        (home / folder).mkdir(parents=True)
    path = built(tmp_path)
    shutil.copy(path, home / "repository" / path.name)
    control = subprocess.run(["dpkg-deb", "-f", str(path)], capture_output=True, text=True, check=True).stdout
    size, sha256 = path.stat().st_size, packages.file_sha256(path)
    index = f"{control}Filename: ./{path.name}\nSize: {size}\nSHA256: {sha256}\n"
    (home / "repository" / "Packages").write_text(index)
    (home / "etc" / "sources.list").write_text(f"deb [trusted=yes] copy:{home}/repository ./\n")
    settings = {
        "Dir::State": home / "state",
        "Dir::State::status": home / "state" / "status",
        "Dir::Cache": home / "cache",
        "Dir::Etc": home / "etc",
        "APT::Sandbox::User": "root",
    }
    (home / "state" / "status").touch()
    (home / "apt.conf").write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))
    monkeypatch.setenv("APT_CONFIG", str(home / "apt.conf"))
    done = subprocess.run(["apt-get", "-q", "update"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"apt-get takes no repository of its own here: {done.stderr[-200:]}")
    return path


def of_apt(path: Path, version: str = "1.0-1", name: str = "tiny-data") -> Package:
    return Package(name, version, packages.file_sha256(path), client="apt")


def test_a_package_is_fetched_by_apt_checked_and_unpacked(
    repository: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = of_apt(repository)
    home = packages.unpacked(package, ["usr/share/tiny/"])
    assert {n: (home / n).read_bytes() for n in FILES} == FILES
    assert packages.fetch(package).read_bytes() == repository.read_bytes()
    assert [p.name for p in (cache / "wheels").iterdir() if not p.name.startswith(".")] == [package.file]
    monkeypatch.setenv("PATH", os.devnull)  # no client is asked again
    assert packages.unpacked(package, ["usr/share/tiny/"]) == home


def test_a_package_with_another_hash_is_refused_and_not_kept(repository: Path, cache: Path) -> None:
    package = Package("tiny-data", "1.0-1", "0" * 64, client="apt")
    with pytest.raises(FetchError, match=r"is not the file that is pinned.*let apt ask another mirror"):
        packages.fetch(package)
    assert not list((cache / "wheels").glob("*.deb"))


def test_what_apt_has_not_is_told_with_the_place_to_copy_it_to(repository: Path) -> None:
    with pytest.raises(FetchError, match=r"have the package, but not that version.*copy the package from another mach"):
        packages.fetch(of_apt(repository, "2.0-1"))
    with pytest.raises(FetchError, match=r"lists have no such package.*apt-get update.*nothing_here-1\.0-1-.*\.deb"):
        packages.fetch(of_apt(repository, name="nothing-here"))


def test_a_machine_without_apt_is_told_where_the_package_is(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        FetchError, match=r"no apt-get here\. Take tiny-data 1\.0-1 from Debian's snapshot archive, or copy the pa"
    ):
        packages.fetch(Package("tiny-data", "1.0-1", "0" * 64, client="apt"))
