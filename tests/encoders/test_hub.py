"""The hub, played by an HTTP server of our own that answers as the real one does."""

import http.server
import json
import logging
import threading
import time
from urllib.parse import unquote, urlparse

import pytest

from isomorph.encoders._hub import find_weights, folder_revision, hub_problem, open_repository, reading_checkpoint
from isomorph.errors import FetchError, InputError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {"config.json": b'{"architecture": "x"}', "part/weights.safetensors": b"weights", "onnx/model.onnx": b"other"}


class _Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlparse(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        if path == "/":
            return self._answer(200, b"hub")
        if path.startswith("/api/models/org/tiny"):
            siblings = [{"rfilename": name} for name in FILES]
            tree = [{"type": "file", "path": n, "size": len(b), "oid": "0" * 40} for n, b in FILES.items()]
            facts = tree if "/tree/" in path else {"id": "org/tiny", "sha": COMMIT, "siblings": siblings}
            return self._answer(200, json.dumps(facts).encode(), Content_Type="application/json")
        for revision in ("main", COMMIT):
            before = f"/org/tiny/resolve/{revision}/"
            if path.startswith(before):
                body = FILES.get(path.removeprefix(before))
                if body is None:
                    return self._answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
                tag = f'"{hash(body) & 0xFFFFFFFF:08x}"'
                return self._answer(200, body, ETag=tag, X_Repo_Commit=COMMIT)
        code = "RevisionNotFound" if path.startswith("/org/tiny/") else "RepoNotFound"
        return self._answer(404, X_Error_Code=code)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A server that is the hub, with an empty cache."""
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    _point_to(monkeypatch, tmp_path, f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def _point_to(monkeypatch, cache, endpoint):
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


def test_all_files_are_of_the_commit_that_the_revision_means_now(hub):
    repository = open_repository("org/tiny", None, "config.json")
    assert repository.commit == COMMIT
    assert repository.online
    assert (repository.folder / "config.json").read_bytes() == FILES["config.json"]
    path = repository.get("part/weights.safetensors")
    assert path.read_bytes() == b"weights"
    assert repository.get("nothing.json") is None
    assert any(f"/resolve/{COMMIT}/part/weights.safetensors" in asked for asked in hub.asked)


def test_a_snapshot_has_what_the_patterns_name(hub):
    repository = open_repository("org/tiny", "main", "config.json")
    folder = repository.get_all(("*.json", "*.safetensors"), ("onnx/*",))
    assert folder == repository.folder
    assert (folder / "part" / "weights.safetensors").is_file()
    assert not (folder / "onnx").exists()


def test_an_entry_below_a_folder_names_the_folder_above(hub):
    repository = open_repository("org/tiny", None, "part/weights.safetensors")
    assert repository.commit == COMMIT
    assert repository.folder.name == COMMIT


@pytest.mark.parametrize(
    ("id", "revision", "entry"),
    [
        ("org/other", None, "config.json"),
        ("org/tiny", "v9", "config.json"),
        ("org/tiny", None, "modules.json"),
        ("a/b/c", None, "x"),
    ],
)
def test_what_the_hub_does_not_have_is_an_error(hub, id, revision, entry):
    with pytest.raises(FetchError, match=r"cannot be had from the hub"):
        open_repository(id, revision, entry)


def test_what_is_cached_can_be_read_without_the_hub(hub, monkeypatch, tmp_path):
    open_repository("org/tiny", None, "config.json").get("part/weights.safetensors")
    _point_to(monkeypatch, tmp_path, "http://127.0.0.1:9")
    repository = open_repository("org/tiny", None, "config.json")
    assert not repository.online
    assert repository.commit == COMMIT
    assert repository.get("part/weights.safetensors").read_bytes() == b"weights"
    assert repository.get("nothing.json") is None
    assert repository.get_all(("*",)) == repository.folder
    with pytest.raises(FetchError, match="cannot be reached"):
        open_repository("org/tiny", "v2", "config.json")


def test_offline_mode_asks_nobody(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(FetchError, match="HF_HUB_OFFLINE is set"):
        open_repository("org/tiny", None, "config.json")
    assert hub.asked == []


def test_a_hub_that_accepts_and_says_nothing_is_given_up(monkeypatch, tmp_path):
    import socket

    from isomorph.encoders import _hub

    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    monkeypatch.setattr(_hub, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _point_to(monkeypatch, tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert hub_problem() is not None


def test_a_name_that_is_looked_up_forever_is_given_up(monkeypatch, tmp_path):
    import huggingface_hub

    from isomorph.encoders import _hub

    class Stuck:
        def head(self, *_args, **_options):
            time.sleep(5)

    monkeypatch.setattr(_hub, "PATIENCE", 0.1)
    monkeypatch.setattr(huggingface_hub, "get_session", Stuck)
    assert hub_problem() == "no answer within 0.1 s"


def test_weights_are_found_by_name_or_alone(tmp_path):
    (tmp_path / "any.safetensors").write_bytes(b"12345678")
    assert find_weights(tmp_path, ("model.safetensors",)).name == "any.safetensors"
    (tmp_path / "other.safetensors").write_bytes(b"12345678")
    with pytest.raises(InputError, match="holds 2 safetensors files"):
        find_weights(tmp_path, ("model.safetensors",))
    (tmp_path / "model.safetensors").write_bytes(b"12345678")
    assert find_weights(tmp_path, ("model.safetensors",)).name == "model.safetensors"


def test_the_revision_of_a_folder_follows_its_small_files(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "below" / "config.json").write_text("{}")
    before = folder_revision(tmp_path), folder_revision(tmp_path, below=True)
    (tmp_path / "below" / "config.json").write_text("{ }")
    assert folder_revision(tmp_path) == before[0]
    assert folder_revision(tmp_path, below=True) != before[1]


def test_reading_a_checkpoint_turns_errors_into_ours_and_leaves_logging_as_it_was():
    def read():
        with reading_checkpoint("it"):
            heard.append(logging.getLogger("anything").isEnabledFor(logging.WARNING))
            raise KeyError("a")

    heard = []
    with pytest.raises(InputError, match="The checkpoint it cannot be read: KeyError: 'a'"):
        read()
    assert heard == [False]
    assert logging.root.manager.disable == 0
    with pytest.raises(FetchError, match="ours"), reading_checkpoint("it"):
        raise FetchError("ours")
