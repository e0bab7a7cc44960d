"""The hub, played by an HTTP server of our own that answers as the real one does."""

import logging
import time

import pytest

from isomorph._core.hub import hub_problem
from isomorph.encoders._hub import find_weights, folder_revision, open_repository, reading_checkpoint
from isomorph.errors import FetchError, InputError

from ..hub_server import COMMIT, Repository, point_to, served

FILES = {"config.json": b'{"architecture": "x"}', "part/weights.safetensors": b"weights", "onnx/model.onnx": b"other"}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A server that is the hub, with an empty cache."""
    with served(Repository(FILES), monkeypatch, tmp_path) as server:
        yield server


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
    point_to(monkeypatch, tmp_path, "http://127.0.0.1:9")
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

    from isomorph._core import hub as _hub

    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    monkeypatch.setattr(_hub, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_to(monkeypatch, tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert hub_problem() is not None


def test_a_name_that_is_looked_up_forever_is_given_up(monkeypatch, tmp_path):
    import huggingface_hub

    from isomorph._core import hub as _hub

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
