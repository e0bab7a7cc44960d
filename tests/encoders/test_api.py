"""The embeddings client against a real server on this machine."""

import base64
import email.utils
import hashlib
import http.server
import json
import pickle
import threading
import time

import numpy as np
import pytest

from isomorph.datasets._base import PairedItems
from isomorph.encoders import api, load_encoder
from isomorph.errors import FetchError, InputError, IsomorphError, UnknownNameError
from isomorph.extraction import extract

KEY = "sk-secret-0123456789abcdef"
TEXTS = ["a cat", "the red dog", "home", "a mat", "now"]


def vector(text, width=8):
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=width)


def answer(body, **changes):
    width = body.get("dimensions", 8)
    data = [{"index": i, "embedding": vector(t, width).tolist()} for i, t in enumerate(body["input"])]
    return {"object": "list", "model": body["model"], "data": data} | changes


class Server:
    """Answers by a script, each entry a status, headers and a body, or a function of the request; then all is well."""

    def __init__(self):
        self.script, self.requests, self.times = [], [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append((self.path, dict(self.headers), body))
                outer.times.append(time.monotonic())
                step = outer.script.pop(0) if outer.script else answer
                if callable(step):
                    step = step(body)
                if step is None:  # break off without a word
                    self.close_connection = True
                    return
                status, headers, content = step if isinstance(step, tuple) else (200, {}, step)
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                try:
                    self.send_response(status)
                    for name, value in ({"Content-Length": str(len(raw))} | headers).items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(raw)
                except OSError:  # the client gave up
                    self.close_connection = True

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch):
    for name in ("ISOMORPH_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    s = Server()
    yield s
    s.close()


def load(server, model="tiny", **options):
    return load_encoder(f"api:{model}@{server.url}", **{"check": False, "backoff": 0.01, "timeout": 5, **options})


def test_an_embedding_comes_for_every_text_in_order(server):
    encoder = load(server, batch=2)
    features = encoder.encode(TEXTS)
    assert list(features) == list(encoder.layers) == ["embedding"]
    assert features["embedding"].dtype == np.float32
    np.testing.assert_allclose(features["embedding"], [vector(t) for t in TEXTS], rtol=1e-6)
    assert [r[2]["input"] for r in server.requests] == [TEXTS[:2], TEXTS[2:4], TEXTS[4:]]
    assert {r[0] for r in server.requests} == {"/v1/embeddings"}
    assert (encoder.modality, encoder.revision) == ("text", "unpinned")


@pytest.mark.parametrize("model", ["BAAI/bge-m3", "nomic-embed-text:latest", "@cf/baai/bge-base-en-v1.5", "a@http"])
def test_names_of_models_may_hold_what_names_hold(server, model):
    load(server, model).encode(TEXTS[:1])
    assert server.requests[0][2]["model"] == model


def test_shuffled_answers_are_put_in_order_and_base64_is_read(server):
    def shuffled(body):
        made = answer(body)
        for entry in made["data"]:
            entry["embedding"] = base64.b64encode(np.asarray(entry["embedding"], dtype="<f4").tobytes()).decode()
        return made | {"data": made["data"][::-1]}

    server.script = [shuffled]
    np.testing.assert_allclose(load(server).encode(TEXTS)["embedding"], [vector(t) for t in TEXTS], rtol=1e-6)


@pytest.mark.parametrize(
    "failures",
    [
        [(429, {}, {"error": {"message": "slow down"}})],
        [(429, {"Retry-After": "0"}, b"")],
        [(503, {"Retry-After": email.utils.formatdate(0)}, b"<html>busy</html>")],
        [(500, {}, b"oops"), (502, {}, b""), (529, {}, b"")],
        [None, (200, {"Content-Length": "1000"}, b'{"data"')],
    ],
    ids=["429", "retry-after", "date", "5xx", "broken"],
)
def test_passing_failures_are_waited_out(server, failures):
    server.script = list(failures)
    np.testing.assert_allclose(load(server).encode(TEXTS)["embedding"], [vector(t) for t in TEXTS], rtol=1e-6)
    assert len(server.requests) == len(failures) + 1


def test_waits_double_and_keep_to_what_the_server_states(server, monkeypatch):
    waits = []
    monkeypatch.setattr("isomorph.encoders._api_client.time.sleep", waits.append)
    server.script = [(500, {}, b"")] * 3 + [(429, {"Retry-After": "7"}, b"")]
    load(server, backoff=0.5).encode(TEXTS)
    assert waits == [0.5, 1.0, 2.0, 7.0]


def test_the_number_of_attempts_is_bounded(server):
    server.script = [(500, {}, {"error": "broken"})] * 9
    with pytest.raises(FetchError, match=r"answered 500 \(broken\).*3 attempts were made"):
        load(server, attempts=3).encode(TEXTS)
    assert len(server.requests) == 3


def test_a_wait_of_an_hour_is_the_users_to_decide(server):
    server.script = [(429, {"Retry-After": "3600"}, b"")]
    with pytest.raises(FetchError, match=r"wait 3600 s.*what is in the store is not sent again"):
        load(server).encode(TEXTS)
    assert len(server.requests) == 1


def test_an_empty_account_is_not_asked_again(server):
    server.script = [(429, {}, {"error": {"message": "You exceeded", "code": "insufficient_quota"}})]
    with pytest.raises(FetchError, match="no credit left"):
        load(server).encode(TEXTS)
    assert len(server.requests) == 1


def test_a_server_that_says_nothing_is_given_up(server):
    release = threading.Event()

    def slow(body):
        release.wait(10)
        return answer(body)

    server.script = [slow, slow]
    with pytest.raises(FetchError, match=r"did not answer within 0\.2 s.*2 attempts"):
        load(server, timeout=0.2, attempts=2).encode(TEXTS)
    release.set()


def changed(**changes):
    return lambda body: answer(body, **changes)


def with_first(value):
    def change(body):
        made = answer(body)
        made["data"][0]["embedding"] = value
        return made

    return change


@pytest.mark.parametrize(
    ("step", "error", "says"),
    [
        (changed(data=[{"index": 0, "embedding": [1.0]}]), FetchError, "1 embeddings for 5 texts"),
        (changed(data="none"), FetchError, "no list 'data'"),
        (changed(data=[{"index": 0, "embedding": [1.0]}] * 5), FetchError, r"numbered \[0, 0, 0, 0, 0\]"),
        (changed(data=[{"embedding": [1.0]}] * 5), FetchError, "which embedding is of which text; pass batch=1"),
        (with_first([1.0, 2.0]), FetchError, r"unlike width: \[2, 8\]"),
        (with_first([float("nan")] * 8), InputError, "item 0 is not finite"),
        (with_first([1e300] * 8), InputError, "item 0 is not finite"),
        (with_first([10**400] * 8), FetchError, "no float can hold"),
        (with_first(["1"] * 8), FetchError, "no list of numbers"),
        (with_first([]), FetchError, "is empty"),
        (with_first("not base64!"), FetchError, "no base64"),
        (lambda _: (200, {}, b"<html>Welcome</html>"), FetchError, "something else than JSON.*https://host/v1"),
        (lambda _: (200, {}, b"[1, 2]"), FetchError, "a JSON list"),
        (lambda _: (401, {}, {"error": {"message": "bad key"}}), FetchError, r"answered 401 \(bad key\)"),
        (lambda _: (404, {}, b"<html>no</html>"), FetchError, "answered 404. Is the base URL"),
        (lambda _: (400, {}, {"error": {"message": "too long"}}), InputError, r"400 \(too long\)"),
        (lambda _: (413, {}, b""), InputError, "smaller batch="),
        (lambda _: (302, {"Location": "http://example.org/"}, b""), FetchError, "not followed"),
    ],
)  # fmt: skip
def test_answers_that_are_not_what_was_asked_for_are_refused_at_once(server, step, error, says):
    server.script = [step]
    with pytest.raises(error, match=says):
        load(server).encode(TEXTS)
    assert len(server.requests) == 1


def test_vectors_of_another_width_or_model_are_not_mixed(server):
    encoder = load(server)
    encoder.encode(TEXTS[:1])
    server.script = [lambda body: answer(body | {"dimensions": 3})]
    with pytest.raises(FetchError, match="3 features where it gave before 8"):
        encoder.encode(TEXTS)
    server.script = [changed(model="another")]
    with pytest.raises(FetchError, match="'another' where it answered as 'tiny'"):
        encoder.encode(TEXTS)


def test_dimensions_are_asked_for_and_checked(server):
    assert load(server, dimensions=3).encode(TEXTS)["embedding"].shape == (5, 3)
    assert server.requests[0][2]["dimensions"] == 3
    server.script = [lambda body: answer({**body, "dimensions": 8})]
    with pytest.raises(FetchError, match="8 features where dimensions= asked for 3"):
        load(server, dimensions=3).encode(TEXTS)


def test_the_rate_of_requests_is_kept(server, monkeypatch):
    now, waits = [100.0], []

    def sleep(seconds):
        waits.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("isomorph.encoders._api_client.time.sleep", sleep)
    monkeypatch.setattr("isomorph.encoders._api_client.time.monotonic", lambda: now[0])
    server.script = [(429, {"Retry-After": "0.25"}, b"")]
    load(server, batch=2, requests_per_minute=120).encode(TEXTS)
    np.testing.assert_allclose(waits, [0.25, 0.25, 0.5, 0.5])  # repetitions count too


def everything_said(encoder, capsys, *more):
    shown = capsys.readouterr()
    return "".join(
        [repr(encoder), encoder.description, str(encoder.identity), repr(vars(encoder)), shown.out, shown.err, *more]
    )


@pytest.mark.parametrize("variable", ["ISOMORPH_API_KEY", "OPENAI_API_KEY", "MY_KEY"])
def test_the_key_comes_from_the_environment_and_is_kept_nowhere(server, monkeypatch, capsys, tmp_path, variable):
    monkeypatch.setenv(variable, f"{KEY}\n")
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    encoder = load(server, **({"key_env": "MY_KEY"} if variable == "MY_KEY" else {}))
    layers = extract(encoder, items(), store=tmp_path)
    assert server.requests[0][1]["Authorization"] == f"Bearer {KEY}"
    written = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert KEY.encode() not in written + pickle.dumps(encoder.identity)
    assert KEY not in everything_said(encoder, capsys, str(layers.provenance), str(vars(encoder._client)))


@pytest.mark.parametrize(
    "step",
    [
        (401, {}, {"error": {"message": f"Incorrect API key provided: {KEY}"}}),
        (400, {}, f"Bearer {KEY} is odd".encode()),
        (500, {}, {"error": f"sk-secret**********cdef and {KEY}"}),
        (200, {}, f"hello {KEY}".encode()),
    ],
)
def test_a_key_that_the_server_repeats_is_not_shown(server, monkeypatch, step):
    monkeypatch.setenv("ISOMORPH_API_KEY", KEY)
    server.script = [step]
    with pytest.raises(IsomorphError) as caught:
        load(server, attempts=1).encode(TEXTS)
    error = caught.value
    while error is not None:
        assert "secret" not in f"{error} {error!r} {error.args}"
        error = error.__cause__ or error.__context__


def test_without_a_key_only_this_machine_is_asked(server, monkeypatch):
    load(server).encode(TEXTS)
    assert "Authorization" not in server.requests[0][1]
    with pytest.raises(InputError, match="set the environment variable ISOMORPH_API_KEY or OPENAI_API_KEY"):
        load_encoder("api:m@https://api.openai.com/v1", check=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    load_encoder("api:m@https://api.openai.com/v1", check=False)
    with pytest.raises(InputError, match="OPENAI_API_KEY is sent to OpenAI's servers only") as caught:
        load_encoder("api:m@https://api.openai.com.example.org/v1", check=False)
    assert KEY not in str(caught.value)
    load_encoder("api:m@https://example.org/v1", check=False, key_env="OPENAI_API_KEY")


@pytest.mark.parametrize("given", [KEY, "hf_abcdefgh"])
def test_a_key_given_where_a_name_is_wanted_is_not_shown(server, given):
    with pytest.raises(InputError, match="environment variable") as caught:
        load(server, key_env=given)
    assert given not in str(caught.value)


def test_a_key_with_odd_characters_is_refused_without_showing_it(server, monkeypatch):
    monkeypatch.setenv("ISOMORPH_API_KEY", "sk-se\r\ncret")
    with pytest.raises(InputError, match="ISOMORPH_API_KEY holds characters that no key has") as caught:
        load(server)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "options", "says"),
    [
        ("api:m", {}, "expected api:MODEL@BASE_URL"),
        ("api:https://h/v1", {}, "expected api:MODEL@BASE_URL"),
        ("api:m@https://", {}, "expected api:MODEL@BASE_URL|no address"),
        ("api:m@https://u:pw@h/v1", {}, "a key comes from the environment only"),
        ("api:m@https://h/v1?key=pw", {}, "a key comes from the environment only|A key"),
        ("api:m@https://h/v1#frag", {}, "no address"),
        ("api:m@https://h:port/v1", {}, "cannot be read"),
        ("api:m@https://h/v1/embeddings", {}, "leave that out"),
        ("api:m@http://example.org/v1", {}, "unencrypted.*insecure=True"),
        ("api:m@http://localhost.example.org/v1", {}, "unencrypted"),
        ("api:m@http://localhost/v1", {"init": "random"}, "no untrained twin"),
        ("api:m@http://localhost/v1", {"pooling": "last"}, "the server pools by itself"),
        ("api:m@http://localhost/v1", {"dtype": "bfloat16"}, "leave device= and dtype= out"),
        ("api:m@http://localhost/v1", {"axes": "bd"}, "leave axes= out"),
        ("api:m@http://localhost/v1", {"layers": "block_01"}, "inner layers cannot be had"),
        ("api:m@http://localhost/v1", {"batch": 0}, "batch=0"),
        ("api:m@http://localhost/v1", {"attempts": True}, "attempts=True"),
        ("api:m@http://localhost/v1", {"timeout": -1}, "timeout=-1"),
        ("api:m@http://localhost/v1", {"requests_per_minute": "many"}, "requests_per_minute='many'"),
        ("api:m@http://localhost/v1", {"dimensions": 1.5}, "dimensions=1.5"),
        ("api:m@http://localhost/v1", {"version": ""}, "version=''"),
        ("api:m@http://localhost/v1", {"api_key": "x"}, "Unknown option"),
        ("api:m@http://localhost/v1", {"side": "text"}, "one side only"),
    ],
)  # fmt: skip
def test_specs_and_options_that_do_not_fit_are_refused(monkeypatch, spec, options, says):
    monkeypatch.setenv("ISOMORPH_API_KEY", KEY)
    with pytest.raises(InputError, match=says) as caught:
        load_encoder(spec, check=False, **options)
    assert "pw" not in str(caught.value).replace("spw", "")


def test_an_unknown_layer_is_an_unknown_name():
    with pytest.raises(UnknownNameError):
        load_encoder("api:m@http://localhost/v1", layers=["block_*"], check=False)
    assert load_encoder("api:m@http://localhost/v1", layers="emb*", check=False).layers == ("embedding",)


def test_an_unencrypted_server_elsewhere_must_be_allowed(monkeypatch):
    monkeypatch.setenv("ISOMORPH_API_KEY", KEY)
    assert load_encoder("api:m@http://192.0.2.1/v1", insecure=True, check=False).name == "api:m@http://192.0.2.1/v1"


def test_nobody_at_the_address_is_told_at_once(server):
    encoder = load(server)
    server.close()
    try:
        with pytest.raises(FetchError, match="cannot be reached"):
            encoder.encode(TEXTS)
    finally:
        server.close = lambda: None


def test_identity_holds_what_changes_a_feature():
    def identity(spec="api:m@https://h/v1", **options):
        return load_encoder(spec, check=False, key_env="PATH", **options).identity

    import os

    if not os.environ.get("PATH", "").isascii():
        pytest.skip("PATH is no text of plain characters")
    same = [identity(), identity(batch=3, timeout=2, attempts=1, requests_per_minute=9)]
    assert same[0] == same[1]
    others = [
        identity(dimensions=4),
        identity(version="2"),
        identity("api:n@https://h/v1"),
        identity("api:m@https://g/v1"),
    ]
    assert len({json.dumps(i, sort_keys=True) for i in [same[0], *others]}) == 5


def items():
    return PairedItems(name="texts", ids=[f"i{k}" for k in range(5)], views={"text": TEXTS})


def test_an_interrupted_extraction_sends_nothing_twice(server, tmp_path, capsys):
    encoder = load(server, attempts=1)
    server.script = [answer, (500, {}, b"")]
    with pytest.raises(FetchError):
        extract(encoder, items(), store=tmp_path, batch_size=2, commit_every=0)
    before = len(server.requests)
    layers = extract(encoder, items(), store=tmp_path, batch_size=2, commit_every=0)
    np.testing.assert_allclose(layers["embedding"], [vector(t) for t in TEXTS], rtol=1e-6)
    sent = [t for r in server.requests[:1] + server.requests[before:] for t in r[2]["input"]]
    assert sorted(sent) == sorted(TEXTS)
    extract(encoder, items(), store=tmp_path, batch_size=2)
    assert len(server.requests) == before + 2


def test_the_number_of_texts_is_said_before_they_are_sent(server, capsys):
    encoder = load(server)

    def look(body):
        server.said = capsys.readouterr().err
        return answer(body)

    server.script = [look]
    encoder.encode(TEXTS)
    assert "5 texts will be sent to 127.0.0.1" in server.said
    encoder.announce(1200)
    assert "1,200 texts will be sent" in capsys.readouterr().err


def test_the_self_check_sends_a_few_short_texts_only(server):
    encoder = load(server, check=True)
    assert api.ApiEncoder.metered
    assert encoder.checked == "passed"
    sent = [t for r in server.requests for t in r[2]["input"]]
    assert len(sent) <= 8
    assert max(map(len, sent)) < 40


def test_a_server_that_gives_all_texts_the_same_vector_fails_the_check(server):
    server.script = [lambda body: answer({**body, "input": ["x"] * len(body["input"])})] * 20
    with pytest.raises(InputError, match="same features"):
        load(server, check=True)


def test_only_this_machine_counts_as_this_machine():
    here = ["http://localhost:1/v1", "http://127.0.0.9", "http://[::1]:80/", "http://a.localhost"]
    elsewhere = ["http://localhost.example.org", "http://10.0.0.1", "http://128.0.0.1", "http://"]
    assert [api.is_here(u) for u in here + elsewhere] == [True] * 4 + [False] * 4
