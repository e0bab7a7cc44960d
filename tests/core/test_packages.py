"""The package client is the real one; the registry is a folder with one tiny wheel, and nothing leaves this machine."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from isomorph._core import packages as _packages
from isomorph._core.packages import Package
from isomorph.errors import FetchError

FILES = {
    "tiny_data/__init__.py": b"raise RuntimeError('imported')",
    "tiny_data/data/a.bin": bytes(range(256)) * 40,
    "tiny_data/data/deep/b.txt": "größe".encode(),
}


def make_wheel(folder: Path, files: dict[str, bytes], name: str = "tiny_data", version: str = "1.0") -> Path:
    info = f"{name}-{version}.dist-info"
    meta = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    # every wheel lists the hashes of its files; this one leaves some out
    listed = [
        (k, base64.urlsafe_b64encode(hashlib.sha256(v).digest()).rstrip(b"=").decode(), len(v))
        for k, v in files.items()
    ]
    meta[f"{info}/RECORD"] = "".join(f"{k},sha256={h},{n}\n" for k, h, n in listed[::2]).encode()
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, content in (files | meta).items():
            archive.writestr(zipfile.ZipInfo(file, (2026, 1, 1, 0, 0, 0)), content)
    return path


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes packages from, and an empty cache."""
    folder = tmp_path / "registry"
    folder.mkdir()
    for key in [k for k in os.environ if k.startswith("PIP_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def tiny(registry: Path) -> Package:
    wheel = make_wheel(registry, FILES)
    return Package("tiny-data", "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest())


@pytest.fixture
def cached(registry: Path) -> Package:
    """The same package, already in the cache."""
    return into_cache(make_wheel(registry, FILES))


def into_cache(wheel: Path) -> Package:
    package = Package("tiny-data", "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest())
    place = _packages.cache_dir() / "wheels" / f"{package.stem}.whl"
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(wheel, place)
    return package


def close_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "")


def forget() -> None:
    """What a new process would know: nothing."""
    _packages._once.cache_clear()


def test_a_wheel_is_fetched_once_and_then_taken_from_the_cache(
    tiny: Package, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = _packages.fetch(tiny)
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == tiny.sha256
    assert "Fetching tiny-data 1.0" in capsys.readouterr().err
    close_registry(monkeypatch)
    forget()
    assert _packages.fetch(tiny) == wheel
    assert capsys.readouterr().err == ""


def test_a_wheel_that_was_built_for_another_python_is_fetched_when_its_target_is_named(registry: Path) -> None:
    made = make_wheel(registry, FILES)
    wheel = made.rename(made.with_name(made.name.replace("-py3-none-any", "-cp37-cp37m-manylinux1_x86_64")))
    package = Package("tiny-data", "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest())
    with pytest.raises(FetchError, match="tiny-data"):
        _packages.fetch(package)
    there = dataclasses.replace(package, target=("37", "manylinux1_x86_64"))
    assert hashlib.sha256(_packages.fetch(there).read_bytes()).hexdigest() == package.sha256


def test_nothing_but_the_wheel_and_a_lock_is_left_in_the_cache(tiny: Package) -> None:
    stale = _packages.cache_dir() / "wheels" / f".{tiny.stem}.partial-killed"
    stale.mkdir(parents=True)
    (stale / "half.whl").write_bytes(b"PK")
    wheel = _packages.fetch(tiny)
    assert sorted(p.name for p in wheel.parent.iterdir() if not p.name.endswith(".lock")) == [wheel.name]


def test_a_wheel_with_another_hash_is_refused_and_not_kept(tiny: Package) -> None:
    wrong = Package("tiny-data", "1.0", "0" * 64)
    with pytest.raises(FetchError, match=rf"tiny-data 1\.0 .* {tiny.sha256}, expected {'0' * 64}"):
        _packages.fetch(wrong)
    assert not list(_packages.cache_dir().rglob("*.whl"))


def test_a_version_that_is_not_there_is_named(tiny: Package) -> None:
    with pytest.raises(FetchError, match=r"tiny-data 2\.0: the registry has the package but no wheel of that version"):
        _packages.fetch(Package("tiny-data", "2.0", tiny.sha256))


def test_a_package_that_is_not_there_is_named_with_the_place_to_copy_it_to(registry: Path) -> None:
    with pytest.raises(FetchError, match=r"no-such-thing 1\.0: the registry has no such package") as caught:
        _packages.fetch(Package("no-such-thing", "1.0", "1" * 64))
    assert str(_packages.cache_dir() / "wheels" / "no_such_thing-1.0-111111111111.whl") in str(caught.value)


def test_a_registry_that_cannot_be_reached_is_told_from_a_missing_package(
    registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the discard port: nothing listens there
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(FetchError, match=r"Cannot fetch tiny-data 1\.0: the package registry cannot be reached"):
        _packages.fetch(Package("tiny-data", "1.0", "1" * 64))


def test_a_python_without_pip_is_told_how_to_get_it() -> None:
    text = _packages._why(Package("x", "1", "0" * 64), "/usr/bin/python: No module named pip\n", Path("there.whl"))
    assert "this Python has no pip" in text
    assert "ensurepip" in text


def test_a_damaged_wheel_in_the_cache_is_fetched_again(tiny: Package, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = _packages.fetch(tiny)
    good = wheel.read_bytes()
    wheel.write_bytes(good[:-7])
    assert _packages.fetch(tiny).read_bytes() == good
    assert "damaged" in capsys.readouterr().err


def test_a_wheel_copied_by_hand_needs_no_registry(cached: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    close_registry(monkeypatch)
    assert _packages.read(cached, "tiny_data/data/deep/b.txt") == "größe".encode()


def test_members_are_copied_out_with_their_folders_and_never_imported(cached: Package) -> None:
    found = _packages.members(cached, "tiny_data/data/")
    assert {name: path.read_bytes() for name, path in found.items()} == {
        name: content for name, content in FILES.items() if "/data/" in name
    }
    home = _packages.folder(cached, "tiny_data/data")
    assert (home / "deep" / "b.txt").read_text(encoding="utf-8") == "größe"
    assert _packages.member(cached, "tiny_data/data/a.bin") == home / "a.bin"
    assert "tiny_data" not in sys.modules


def test_the_names_of_all_files_are_listed(cached: Package) -> None:
    assert set(FILES) <= set(_packages.names(cached))


def test_a_file_that_is_not_in_the_package_is_named(cached: Package) -> None:
    with pytest.raises(FetchError, match=r"tiny-data 1\.0 holds no file 'tiny_data/none'"):
        _packages.member(cached, "tiny_data/none")
    with pytest.raises(FetchError, match="holds no file under 'other/'"):
        _packages.folder(cached, "other")


@pytest.mark.parametrize("damage", [b"", b"short", FILES["tiny_data/data/a.bin"][:-1] + b"\x00"])
def test_a_damaged_member_is_copied_out_again(cached: Package, damage: bytes) -> None:
    path = _packages.member(cached, "tiny_data/data/a.bin")
    path.write_bytes(damage)
    forget()
    assert _packages.member(cached, "tiny_data/data/a.bin").read_bytes() == FILES["tiny_data/data/a.bin"]


@pytest.mark.parametrize("name", [k for k, v in FILES.items() if len(v) >= 5])
def test_a_member_that_was_changed_so_that_its_checksum_fits_is_copied_out_again(cached: Package, name: str) -> None:
    path = _packages.member(cached, name)
    forged = bytearray(path.read_bytes())
    for i, bit in enumerate(f"{0x104C11DB7:033b}"):  # the polynomial of CRC-32: adding it anywhere changes no checksum
        forged[i // 8] ^= int(bit) << (i % 8)
    assert zlib.crc32(forged) == zlib.crc32(FILES[name])
    path.write_bytes(forged)
    forget()
    assert _packages.member(cached, name).read_bytes() == FILES[name]


def test_an_intact_member_is_not_written_again(cached: Package) -> None:
    path = _packages.member(cached, "tiny_data/data/a.bin")
    before = path.stat()
    forget()
    _packages.member(cached, "tiny_data/data/a.bin")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("name", ["../escaped.txt", "/absolute.txt", "a/../../escaped.txt", "c:/x.txt", "a\\..\\b.txt"])
def test_a_file_name_that_leaves_the_folder_is_refused(registry: Path, name: str) -> None:
    evil = into_cache(make_wheel(registry, {name: b"x"}))
    with pytest.raises(FetchError, match="unsafe file name"):
        _packages.members(evil, "")
    assert not list(_packages.cache_dir().rglob("*.txt"))


def test_a_cache_that_cannot_be_written_is_named(
    tiny: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "file"))
    with pytest.raises(FetchError, match=r"Cannot write to the cache .*ISOMORPH_CACHE"):
        _packages.fetch(tiny)


def test_two_processes_that_fetch_at_once_both_get_the_intact_file(tiny: Package) -> None:
    code = (
        "from isomorph._core import packages as p\n"
        f"print(p.member(p.Package('tiny-data', '1.0', {tiny.sha256!r}), 'tiny_data/data/a.bin').read_bytes().hex())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)
    ]
    results = [process.communicate(timeout=120) for process in running]
    assert [out.decode().strip() for out, _ in results] == [FILES["tiny_data/data/a.bin"].hex()] * 3
    assert sum(err.count(b"Fetching") for _, err in results) == 1


# ---------------------------------------------------------------- tarballs of npm


TARBALL = {
    "package/package.json": b'{"name": "@tiny/data", "version": "1.0.0"}',
    "package/models/a.bin": bytes(range(256)) * 40,
}


def make_tarball(files: dict[str, bytes], link: str | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link is not None:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
    return out.getvalue()


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    """A registry on this machine that the real npm asks: it has one package, @tiny/data 1.0.0, whose bytes it gives."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    content = make_tarball(TARBALL)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here = f"http://127.0.0.1:{self.server.server_address[1]}"
            digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
            version = {
                "name": "@tiny/data",
                "version": "1.0.0",
                "dist": {"tarball": f"{here}/data.tgz", "integrity": f"sha512-{digest}"},
            }
            about = {"name": "@tiny/data", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
            found = self.path.lower() in ("/@tiny%2fdata", "/data.tgz")
            body = content if self.path == "/data.tgz" else json.dumps(about).encode() if found else b"{}"
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "npmrc").write_text(f"registry=http://127.0.0.1:{server.server_address[1]}/\n")
    for key in [k for k in os.environ if k.lower().startswith("npm_config_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("npm_config_userconfig", str(tmp_path / "npmrc"))
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "cache"))
    yield content
    server.shutdown()
    server.server_close()


def of_npm(content: bytes, version: str = "1.0.0") -> Package:
    return Package("@tiny/data", version, hashlib.sha256(content).hexdigest(), client="npm")


def put(content: bytes) -> Package:
    """A tarball that lies in the cache already."""
    package = of_npm(content)
    place = _packages.cache_dir() / "wheels" / package.file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return package


def test_a_tarball_is_fetched_by_npm_and_its_files_are_copied_out(npm: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    package = of_npm(npm)
    found = _packages.fetch(package)
    assert found.name == f"tiny_data-1.0.0-{package.sha256[:12]}.tgz"
    assert found.read_bytes() == npm
    assert _packages.read(package, "package/models/a.bin") == TARBALL["package/models/a.bin"]
    assert set(_packages.names(package)) == set(TARBALL)
    monkeypatch.setenv("PATH", "")  # the second time, nobody is asked
    forget()
    path = _packages.folder(package, "package/models") / "a.bin"
    assert path.read_bytes() == TARBALL["package/models/a.bin"]
    path.write_bytes(b"x" * path.stat().st_size)
    forget()
    assert _packages.member(package, "package/models/a.bin").read_bytes() == TARBALL["package/models/a.bin"]


def test_a_tarball_with_another_hash_is_refused_and_not_kept(npm: bytes) -> None:
    package = Package("@tiny/data", "1.0.0", "0" * 64, client="npm")
    with pytest.raises(
        FetchError, match=rf"sha256 is {hashlib.sha256(npm).hexdigest()}, expected 0{{64}}.*let npm ask"
    ):
        _packages.fetch(package)
    assert not list(_packages.cache_dir().rglob("*.tgz"))


def test_what_npm_cannot_find_is_named_with_the_place_to_copy_it_to(npm: bytes) -> None:
    with pytest.raises(
        FetchError, match=r"@tiny/data 2\.0\.0: the registry has the package but not that version"
    ) as caught:
        _packages.fetch(of_npm(npm, "2.0.0"))
    assert f"tiny_data-2.0.0-{hashlib.sha256(npm).hexdigest()[:12]}.tgz" in str(caught.value)
    with pytest.raises(FetchError, match=r"nothing-here 1\.0\.0: the registry has no such package"):
        _packages.fetch(Package("nothing-here", "1.0.0", "0" * 64, client="npm"))


def test_a_registry_of_npm_that_cannot_be_reached_is_told(npm: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")  # the discard port: nothing listens there
    with pytest.raises(FetchError, match="the package registry cannot be reached"):
        _packages.fetch(of_npm(npm))


def test_a_machine_without_npm_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FetchError, match=r"package of npm, which is not installed here.*or copy the tarball"):
        _packages.fetch(Package("@tiny/data", "1.0.0", "0" * 64, client="npm"))


def test_a_tarball_may_not_leave_its_folder_or_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path))
    for content in (make_tarball({"../escaped.txt": b"x"}), make_tarball({}, link="package/link")):
        with pytest.raises(FetchError, match="unsafe file name"):
            _packages.members(put(content), "")
    assert not list((tmp_path / "files").rglob("*.txt"))


def test_a_tarball_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path))
    for content in (b"no archive at all", make_tarball(TARBALL)[:-40]):
        with pytest.raises(FetchError, match=r"@tiny/data 1\.0\.0 is not an npm tarball that can be read"):
            _packages.names(put(content))
