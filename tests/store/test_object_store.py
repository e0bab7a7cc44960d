"""The feature store in an object store: a real S3 server, whole or failing, and what is said of it."""

import contextlib
import os
import random
import signal
import socket
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from isomorph._core.places import _remote, open_place
from isomorph.cli import main as main_command
from isomorph.errors import InputError, MissingExtraError, StoreError
from isomorph.extraction import extract
from isomorph.store import FeatureStore

from ..kill.test_kill import Child, encoded
from .shared_cases import BATCH, Counting, make_items, same

pytest.importorskip("s3fs")
pytest.importorskip("moto")
from .s3_server import KEY, REGION, SECRET, S3Server  # needs moto


@pytest.fixture(scope="module")
def server():
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def environment(monkeypatch, server):
    """Credentials and the server's address as they always are: in the environment."""
    server.heal()
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    # requests are made again as often as they are, but without the waiting in between
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    _remote._checked.clear()


@pytest.fixture
def unknown():
    """As in a process that has asked nothing yet."""
    _remote._opened.clear()
    yield
    _remote._opened.clear()


@pytest.fixture(scope="module")
def fs(server):
    """What speaks to the server beside Isomorph, with a bucket made."""
    import s3fs

    options = {"key": KEY, "secret": SECRET, "endpoint_url": server.url}
    fs = s3fs.S3FileSystem(**options, skip_instance_cache=True, use_listings_cache=False)
    fs.mkdir("bucket")
    return fs


@pytest.fixture
def bucket(fs):
    """A prefix of the bucket in which there is nothing yet."""
    return f"s3://bucket/{uuid.uuid4().hex[:8]}"


@pytest.fixture
def items():
    return make_items()


@pytest.fixture
def reference(items):
    return extract(Counting(), items, batch_size=BATCH)


def fill(store, items, **options):
    encoder = Counting()
    return extract(encoder, items, store=store, batch_size=BATCH, **{"commit_every": 0, **options}), encoder


def objects(server):
    return [path for method, path in server.requests if method == "PUT"]


# A server that works


def test_features_in_a_bucket_are_those_of_memory_and_computed_once(server, bucket, items, reference):
    layers, encoder = fill(f"{bucket}/features/", items)
    assert same(layers, reference)
    assert sorted(encoder.seen) == sorted(items.views["text"])
    server.requests.clear()
    again, idle = fill(f"{bucket}/features", items)
    assert same(again, reference)
    assert idle.seen == []
    assert objects(server) == []  # nothing to do writes nothing
    store = FeatureStore(f"{bucket}/features")
    assert store.verify() == []
    assert [e.encoder for e in store.entries()] == ["fake:counting"]
    assert same(store.open("fake:counting"), reference)
    assert store.missing(Counting(), items) == ()


def test_one_layer_is_read_by_ranges_of_its_parts(server, bucket, items):
    fill(f"{bucket}/f", items)
    layers = FeatureStore(f"{bucket}/f").open("fake:counting")
    server.requests.clear()
    layers["first"]
    parts = [path for method, path in server.requests if method == "GET" and "/parts/" in path]
    assert len(parts) == len(set(parts)) == 8
    server.requests.clear()
    layers["first"]
    assert server.requests == []  # what was read stays


def test_a_part_is_put_before_its_commit_and_the_commit_only_if_there_is_none(server, bucket, items):
    fill(f"{bucket}/f", items)
    written = [path.split("/")[-2] for path in objects(server) if "/parts/" in path or "/commits/" in path]
    assert written == ["parts", "commits"] * 8
    place = open_place(f"{bucket}/f/x")
    assert place.put_new("commit", b"first") is True
    assert place.put_new("commit", b"second") is False
    assert place.read(["commit", "none"]) == [b"first", None]


def test_a_bucket_that_was_copied_is_the_same_store_in_a_folder(fs, bucket, items, reference, tmp_path):
    fill(f"{bucket}/f", items)
    fs.get(f"{bucket}/f/", f"{tmp_path}/f/", recursive=True)
    store = FeatureStore(tmp_path / "f")
    assert same(store.open("fake:counting"), reference)
    assert store.compact() == 8
    assert same(store.open("fake:counting"), reference)


def test_shares_of_several_writers_meet_in_a_bucket(bucket, items, reference):
    encoders = [fill(f"{bucket}/f", items, share=(i, 2))[1] for i in range(2)]
    assert sorted(encoders[0].seen + encoders[1].seen) == sorted(items.views["text"])
    assert same(FeatureStore(f"{bucket}/f").open("fake:counting"), reference)


def test_a_damaged_part_in_a_bucket_is_found_and_its_items_alone_computed_again(fs, bucket, items, reference):
    fill(f"{bucket}/f", items)
    part = fs.glob(f"{bucket}/f/*/parts/*")[0]
    fs.pipe_file(part, fs.cat_file(part)[:-1] + b"?")
    store = FeatureStore(f"{bucket}/f")
    with pytest.raises(StoreError, match="do not match their checksum"):
        dict(store.open("fake:counting"))
    assert len(store.verify(repair=True)) == 1
    layers, again = fill(store, items)
    assert len(again.seen) == BATCH
    assert same(layers, reference)


def test_the_command_line_keeps_features_in_a_bucket(bucket, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("pets.npz", image=np.random.default_rng(0).normal(size=(12, 3)))
    command = ["extract", "statistics:features", "arrays(paths='pets.npz')", "--store", f"{bucket}/f", "--quiet"]
    monkeypatch.setattr("sys.argv", ["isomorph", *command])
    with contextlib.suppress(SystemExit):
        main_command()
    assert "1 layers of 12 items" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pets.npz"]
    assert FeatureStore(f"{bucket}/f").entries()[0].complete


def test_a_study_keeps_features_in_a_bucket(bucket, tmp_path):
    import isomorph as iso

    x, noise = np.random.default_rng(0).normal(size=(2, 40, 4))
    np.savez(tmp_path / "pets.npz", image=x, caption=x + noise)
    (tmp_path / "study.toml").write_text(f"""
items = "arrays(paths='{tmp_path}/pets.npz')"
features = "{bucket}/study"
encoders.vision = {{model = "statistics:features", view = "image"}}
encoders.text = {{model = "statistics:features", view = "caption"}}
scans = [{{x = "vision", y = "text", metrics = ["cka"], permutations = 20}}]""")
    study = iso.load_study(tmp_path / "study.toml")
    assert study.store.root == f"{bucket}/study"
    found = iso.run(study, say=lambda line: None)
    assert not (study.output / "features").exists()
    folder = tmp_path / "features"
    plain = iso.run(iso.load_study(tmp_path / "study.toml", features=folder, output=tmp_path / "plain"), say=str)
    assert len(FeatureStore(folder).entries()) == 2
    assert plain.scans[0]["cka"].values.tolist() == found.scans[0]["cka"].values.tolist()


# Several processes


@pytest.fixture
def processes(environment):
    child = Child()
    child.ask(**{"import": ["s3fs", "aiobotocore.session", "isomorph._core.places._remote"]})
    yield child
    child.close()


def test_four_processes_share_a_bucket_though_they_are_killed_and_give_the_bytes_of_one(processes, bucket, tmp_path):
    assert processes.finish(tmp_path / "one", tmp_path / "one.log") == 0
    rng, root, kills = random.Random(0), f"{bucket}/f", 0

    def stored():
        return {p for entry in FeatureStore(root).entries() for p in entry.contents.stored}

    for turn in range(4):
        before, last = stored(), turn == 3
        logs = [tmp_path / f"{turn} {i}.log" for i in range(4)]
        pids = [processes.start(root, log, every=0.05, pause=0.03, share=[i, 4]) for i, log in enumerate(logs)]
        if not last:
            time.sleep(rng.uniform(0.2, 0.8))
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        found = [processes.ask(wait=pid) for pid in pids]
        kills += found.count(-signal.SIGKILL)
        assert set(found) <= {0, -signal.SIGKILL}, [Path(f"{log}.err").read_text() for log in logs]
        positions = [int(text.split()[1]) for log in logs for text in encoded(log)]
        assert len(positions) == len(set(positions))
        assert not before & set(positions), "a committed item was computed again"
        assert before <= stored()
    assert kills
    assert same(FeatureStore(root).open("fake:logging"), FeatureStore(tmp_path / "one").open("fake:logging"))
    assert FeatureStore(root).verify() == []


# A server that fails


@pytest.mark.parametrize(("status", "code"), [(500, "InternalError"), (503, "SlowDown"), (502, "BadGateway")])
def test_requests_that_fail_now_and_then_are_made_again(server, bucket, items, reference, status, code):
    count = iter(range(10**6))
    server.fault = lambda method, path: (status, code) if next(count) % 5 == 2 else None
    layers, encoder = fill(f"{bucket}/f", items)
    assert same(layers, reference)
    assert sorted(encoder.seen) == sorted(items.views["text"])
    assert FeatureStore(f"{bucket}/f").verify() == []


def test_a_commit_whose_answer_is_lost_is_put_again_and_keeps_its_part(server, bucket, items, reference):
    lost = []

    def answer(environ, start_response, app=server._app):
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] == "PUT" and "/commits/" in path and path not in lost:
            lost.append(path)
            app(environ, lambda *_: None)  # it is put, and then the server fails
            start_response("500 InternalError", [("Content-Length", "0")])
            return [b""]
        return app(environ, start_response)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "_app", answer)
        layers, _ = fill(f"{bucket}/f", items)
    assert len(lost) == 8
    assert same(layers, reference)
    assert FeatureStore(f"{bucket}/f").verify() == []


def test_a_commit_at_the_same_time_as_another_is_put_again(server, bucket, items, reference):
    conflicts = iter(range(10**6))
    server.fault = lambda method, path: (
        (409, "ConditionalRequestConflict") if "/commits/" in path and method == "PUT" and next(conflicts) < 2 else None
    )
    assert same(fill(f"{bucket}/f", items)[0], reference)


def test_a_slow_server_is_waited_for(server, bucket, items, reference):
    server.slow = 0.02
    assert same(fill(f"{bucket}/f", items)[0], reference)


def test_a_server_that_only_fails_ends_the_run_in_one_sentence_and_the_next_goes_on(server, bucket, items, reference):
    def fault(method, path):
        return (503, "SlowDown") if "/parts/" in path and len(objects(server)) > 9 else None

    server.fault = fault
    with pytest.raises(StoreError, match=r"the server fails, .* the next run goes on from there") as error:
        fill(f"{bucket}/f", items)
    assert "Traceback" not in str(error.value)
    server.heal()
    kept = FeatureStore(f"{bucket}/f").entries()[0].n_stored
    assert 0 < kept < len(items)
    layers, rest = fill(f"{bucket}/f", items)
    assert len(rest.seen) == len(items) - kept
    assert same(layers, reference)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (507, "InsufficientStorage", "there is no room left"),
        (403, "QuotaExceeded", "there is no room left"),
        (403, "AccessDenied", "access is denied; check the credentials"),
    ],
)
def test_a_full_or_closed_bucket_is_told_in_one_sentence(server, bucket, items, reference, status, code, words):
    server.fault = lambda method, path: (
        (status, code) if method == "PUT" and "/parts/" in path and len(objects(server)) > 9 else None
    )
    with pytest.raises(StoreError, match=rf"s3://.* cannot be written: {words}.*the next run goes on from there"):
        fill(f"{bucket}/f", items)
    server.heal()
    assert same(fill(f"{bucket}/f", items)[0], reference)


def test_a_lost_connection_is_told_and_the_next_run_goes_on(server, bucket, items, reference):
    class Unplugging(Counting):
        def encode(self, batch):
            if len(self.seen) == 3 * BATCH:
                server.stop()
            return super().encode(batch)

    try:
        with pytest.raises(StoreError, match=r"does not answer; .*the next run goes on from there"):
            extract(Unplugging(), items, store=f"{bucket}/f", batch_size=BATCH, commit_every=0)
    finally:
        server.start()
    layers, rest = fill(f"{bucket}/f", items)
    assert len(rest.seen) == len(items) - 3 * BATCH
    assert same(layers, reference)


# A server that does not do


def test_a_store_that_ignores_conditional_writes_is_refused_before_anything_is_computed(server, bucket, items):
    server.strip = ("HTTP_IF_NONE_MATCH",)
    encoder = Counting()
    with pytest.raises(StoreError, match="puts an object over another"):
        extract(encoder, items, store=f"{bucket}/f")
    assert encoder.seen == []
    assert not any("/parts/" in path or "entry.json" in path for path in objects(server))


def test_a_store_that_knows_no_conditional_writes_is_refused_before_anything_is_computed(server, bucket, items):
    server.fault = lambda method, path: (501, "NotImplemented") if method == "PUT" else None
    encoder = Counting()
    with pytest.raises(StoreError, match="knows no conditional writes"):
        extract(encoder, items, store=f"{bucket}/f")
    assert encoder.seen == []


def test_the_probe_leaves_nothing_behind(bucket, items):
    fill(f"{bucket}/f", items)
    place = open_place(f"{bucket}/f")
    assert not [n for folder in place.folders() for n in (place / folder).objects() if "probe" in n]


def test_a_bucket_that_is_not_there_is_told_before_anything_is_computed(items):
    encoder = Counting()
    where = "s3://no-such-bucket/f"
    for what in (lambda: extract(encoder, items, store=where), FeatureStore(where).entries):
        with pytest.raises(StoreError, match="there is no such bucket"):
            what()
    assert encoder.seen == []


def test_denied_access_is_told_before_anything_is_computed(server, bucket, items, unknown):
    server.fault = lambda method, path: (403, "AccessDenied")
    encoder = Counting()
    with pytest.raises(StoreError, match="access is denied; check the credentials of the environment"):
        extract(encoder, items, store=f"{bucket}/f")
    assert encoder.seen == []


def test_an_address_where_nothing_listens_is_told(monkeypatch, items, unknown):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(StoreError, match="it does not answer; check the network and the address"):
            FeatureStore("s3://bucket/f").entries()


def test_an_address_that_never_answers_is_given_up_in_time(monkeypatch, items, unknown):
    assert _remote._FIRST < 10
    monkeypatch.setattr(_remote, "_FIRST", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        encoder = Counting()
        with pytest.raises(StoreError, match="it does not answer") as error:
            extract(encoder, items, store="s3://bucket/f")
        assert type(error.value.__cause__) is TimeoutError  # ours, and not one of the library's longer ones
        assert encoder.seen == []


# Credentials


def test_credentials_reach_no_object_no_file_and_no_message(server, fs, bucket, items, tmp_path, monkeypatch, capsys):
    layers, _ = fill(f"{bucket}/f", items)
    layers.save(tmp_path / "layers.npz")
    said = [repr(FeatureStore(f"{bucket}/f")), repr(layers.provenance)]
    for code in ("AccessDenied", "InternalError", "SignatureDoesNotMatch", "WeNeverHeardOfThis"):
        server.fault = lambda method, path, code=code: (400 if code.startswith("We") else 403, code)
        with pytest.raises(StoreError) as error:
            fill(f"{bucket}/f", items)
        said.append(str(error.value))
    server.heal()
    everything = [fs.cat_file(path) for path in fs.find(bucket)]
    assert len(everything) > 16
    everything += [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    everything += [text.encode() for text in (*said, *capsys.readouterr())]
    for secret in (KEY, SECRET):
        assert not [data[:80] for data in everything if secret.encode() in data]


def test_an_address_with_credentials_is_refused_without_repeating_them():
    for address in (f"s3://{KEY}:{SECRET}@bucket/f", f"s3://{KEY}@bucket/f", f"memory://u:{SECRET}@x"):
        with pytest.raises(InputError, match="Leave them out: credentials are read from the environment") as error:
            FeatureStore(address)
        assert SECRET not in str(error.value)
        assert KEY not in str(error.value)


@pytest.mark.parametrize(
    ("address", "kind", "words"),
    [
        ("s3://", InputError, "names no bucket"),
        ("s4://bucket/f", InputError, "the scheme 's4' is unknown"),
        ("s3://bucket/f?versionId=3", InputError, "has no '\\?'"),
        ("file://host/f", InputError, "three slashes"),
        ("simplecache::s3://bucket", InputError, "is no address"),
        (3, InputError, "must be the path"),
    ],
)
def test_what_is_no_address_is_refused_in_words(address, kind, words):
    with pytest.raises(kind, match=words):
        FeatureStore(address)


def test_the_package_that_opens_an_address_is_named(monkeypatch):
    import fsspec

    def missing(scheme):
        raise ImportError(f"Please install something to access {scheme}")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(MissingExtraError, match=r"'gcsfs'.*pip install 'isomorph\[gs\]'"):
        FeatureStore("gs://bucket/f")
    with pytest.raises(MissingExtraError, match=r"'s3fs'.*pip install 'isomorph\[remote\]'"):
        FeatureStore("s3://bucket/f")
    with pytest.raises(InputError, match="Please install something"):
        FeatureStore("abfs://bucket/f")


def test_file_addresses_are_folders(tmp_path, items):
    store = FeatureStore(f"file://{tmp_path}/f")
    assert store.root == tmp_path / "f"
    assert not store.shared
    fill(store, items)
    assert FeatureStore(tmp_path / "f").entries()[0].complete
