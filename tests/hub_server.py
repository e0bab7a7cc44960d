"""The Hugging Face hub, played by an HTTP server of our own that answers as the real one does."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclasses.dataclass(frozen=True)
class Repository:
    """What the server has under one name; `revisions` are branches and tags of its only commit."""

    files: Mapping[str, bytes]
    kind: str = "model"
    id: str = "org/tiny"
    revisions: tuple[str, ...] = ("main",)

    @property
    def before(self) -> str:
        return f"/{self.id}" if self.kind == "model" else f"/{self.kind}s/{self.id}"


class _Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        """What is known of some paths, which `HfFileSystem` asks for."""
        repository, path = self.server.repository, unquote(urlparse(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.asked.append(f"POST {path}")
        if not path.startswith(f"/api/{repository.kind}s/{repository.id}/paths-info/"):
            return self._answer(404, X_Error_Code="RepoNotFound")
        asked = json.loads(body)["paths"] if body.startswith("{") else []
        return self._json([entry for entry in self._tree() if entry["path"] in asked])

    def do_GET(self) -> None:
        repository, path = self.server.repository, unquote(urlparse(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        if path == "/":
            return self._answer(200, b"hub")
        api = f"/api/{repository.kind}s/{repository.id}"
        if path.startswith(api):
            named = path.removeprefix(api).partition("/revision/")[2] or path.partition("/tree/")[2].split("/")[0]
            if named and named not in (*repository.revisions, COMMIT):
                return self._answer(404, X_Error_Code="RevisionNotFound")
            siblings = [{"rfilename": name} for name in repository.files]
            facts = {"id": repository.id, "sha": COMMIT, "siblings": siblings, "tags": []}
            return self._json(self._below(path.partition("/tree/")[2]) if "/tree/" in path else facts)
        for revision in (*repository.revisions, COMMIT):
            before = f"{repository.before}/resolve/{revision}/"
            if path.startswith(before):
                body = repository.files.get(path.removeprefix(before))
                if body is None:
                    return self._answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
                tag = f'"{hash(body) & 0xFFFFFFFF:08x}"'
                return self._answer(200, body, ETag=tag, X_Repo_Commit=COMMIT)
        code = "RevisionNotFound" if path.startswith(f"{repository.before}/") else "RepoNotFound"
        return self._answer(404, X_Error_Code=code)

    def _below(self, place: str) -> list[dict[str, Any]]:
        """What lies in a folder, given as ``revision/folder``; below its folders too where that is asked for."""
        folder = place.partition("/")[2]
        before = f"{folder}/" if folder else ""
        own = [entry for entry in self._tree() if entry["path"].startswith(before)]
        folders = {e["path"][: e["path"].index("/", len(before))] for e in own if "/" in e["path"][len(before) :]}
        if "recursive=true" not in self.path.lower():
            own = [e for e in own if "/" not in e["path"][len(before) :]]
        return [*own, *({"type": "directory", "path": name, "size": 0, "oid": "0" * 40} for name in sorted(folders))]

    def _tree(self) -> list[dict[str, Any]]:
        files = self.server.repository.files
        return [{"type": "file", "path": n, "size": len(b), "oid": "0" * 40} for n, b in files.items()]

    def _json(self, facts: Any) -> None:
        self._answer(200, json.dumps(facts).encode(), Content_Type="application/json")

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def served(repository: Repository, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Any]:
    """A server that is the hub and has this repository, with an empty cache; `asked` lists what it was asked for."""
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    server.asked, server.repository = [], repository
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    point_to(monkeypatch, cache, f"http://127.0.0.1:{server.server_port}")
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def point_to(monkeypatch: pytest.MonkeyPatch, cache: Path, endpoint: str) -> None:
    """Make the hub's client speak to this address, with a cache of its own."""
    import huggingface_hub
    from huggingface_hub import constants

    huggingface_hub.close_session()  # a client keeps its connections
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache / "hub"))
    monkeypatch.setattr(constants, "HF_XET_CACHE", str(cache / "xet"), raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
