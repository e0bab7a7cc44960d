"""Texts embedded by a server: any endpoint that speaks OpenAI's embeddings API.

A model is named ``api:MODEL@BASE_URL``, such as ``api:text-embedding-3-small@https://api.openai.com/v1`` or
``api:nomic-embed-text@http://localhost:11434/v1``; texts are posted to ``BASE_URL/embeddings``. Everything before the
last ``@http://`` or ``@https://`` is the model's name, which may hold slashes, colons and ``@``.

The key comes from the environment at every request and is kept nowhere: from the variable that ``key_env=`` names, else
from ``ISOMORPH_API_KEY``, else, for OpenAI's own servers and those on this machine, from ``OPENAI_API_KEY``. It goes to
the named server alone: redirects are not followed, and only a server on this machine is spoken to without encryption,
unless ``insecure=True``.

A server gives one layer, ``embedding``: its final vector. What the layers before it hold cannot be had through an API.
What a server does to a text is its own: some cut long ones without a word. Its weights may change behind a name:
``version=`` is a word of yours that is part of the identity, so that features of before and after are kept apart.

How many texts leave this machine is said before the first does. Each batch that the store has committed is never sent
again, so that an interrupted extraction goes on where it stopped. A request that fails for a passing reason (429, 5xx,
a timeout, a broken connection) is repeated after a while that doubles each time, or that the server states.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np

from .._core.progress import notice
from ..errors import FetchError, InputError, UnknownNameError
from ._api_client import Client, is_here
from ._base import Encoder, Features
from ._inputs import as_text
from ._provider import Options, Provider

_SPEC = re.compile(r"(.+)@(https?://.+)", re.IGNORECASE | re.DOTALL)
_EXAMPLE = "api:text-embedding-3-small@https://api.openai.com/v1"
LAYER = "embedding"


class Api(Provider):
    """Texts embedded by a server: any OpenAI-compatible embeddings endpoint.

    Example:
        >>> import isomorph as iso
        >>> encoder = iso.load_encoder("api:MODEL@http://localhost:8080/v1")  # the key comes from the environment
        >>> encoder.encode(["a cat", "a dog"])["embedding"].shape
        (2, 8)
    """

    name: ClassVar[str] = "api"
    spec: ClassVar[str] = "api:MODEL@URL"
    reads: ClassVar[str] = "text"
    takes: ClassVar[frozenset[str]] = frozenset()
    extras: ClassVar[tuple[str, ...]] = (
        "batch",
        "dimensions",
        "key_env",
        "timeout",
        "attempts",
        "backoff",
        "requests_per_minute",
        "insecure",
        "version",
    )

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        if revision is not None:
            raise InputError(
                f"api:{id}: an endpoint has no revisions; version= is a word of yours that keeps them apart."
            )
        model, url = parse_api_id(id)
        return ApiEncoder(model, url, options, **extra)


def parse_api_id(id: str) -> tuple[str, str]:
    """Model and base URL of ``MODEL@BASE_URL``.

    Raises:
        InputError: if it is not of that form, or the URL holds what does not belong there, such as a key.
    """
    found = _SPEC.fullmatch(id.strip())
    if found is None:
        raise InputError(
            f"api:{_without_url_secrets(id)} names no model at a server; expected api:MODEL@BASE_URL, such as "
            f"{_EXAMPLE}."
        )
    model, url = found.group(1).strip(), found.group(2).rstrip("/")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise InputError(f"The base URL of api:{model}@… cannot be read: {error}.") from error
    if parts.username is not None or parts.password is not None:
        raise InputError(
            f"The base URL of api:{model}@… holds a user or password; a key comes from the environment only."
        )
    if not parts.hostname or parts.fragment or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise InputError(f"The base URL of api:{model}@… is no address of a server; expected such as {_EXAMPLE}.")
    if parts.query and not re.fullmatch(r"api-version=[\w.-]+", parts.query):
        raise InputError(
            f"The base URL of api:{model}@… has a query behind the '?', which could hold a secret; only api-version=… "
            "may stand there. A key comes from the environment only."
        )
    if parts.path.endswith("/embeddings"):
        raise InputError(f"The base URL of api:{model}@… ends in /embeddings, which is added to it; leave that out.")
    return model, url


class ApiEncoder(Encoder):
    """One model behind an embeddings endpoint.

    Args:
        model: Its name at the server.
        url: Base URL; ``/embeddings`` is added to it.
        options: What every provider understands; a server takes none of them but the layer ``embedding``.
        batch: The most texts of one request. A batch of `extract` is the most in any case.
        dimensions: Asks the server for so many features, where it can shorten its vectors.
        key_env: Name of the environment variable that holds the key.
        timeout: Seconds without an answer after which a request is given up and repeated.
        attempts: How often a request is sent at most.
        backoff: Seconds before the first repetition; each further wait is twice as long, up to a minute.
        requests_per_minute: The most requests a minute, evenly spaced; None for no limit of ours.
        insecure: Whether a server elsewhere may be spoken to over unencrypted http.
        version: A word of yours that tells one state of the served weights from another.

    Raises:
        InputError: if an option does not fit, or there is no key for a server elsewhere.
        UnknownNameError: if another layer is asked for.
    """

    provider: ClassVar[str] = "api"
    metered: ClassVar[bool] = True
    """Each text may cost money: the self-check sends a few short ones only."""

    def __init__(
        self,
        model: str,
        url: str,
        options: Options,
        *,
        batch: int = 64,
        dimensions: int | None = None,
        key_env: str | None = None,
        timeout: float = 60.0,
        attempts: int = 6,
        backoff: float = 1.0,
        requests_per_minute: float | None = None,
        insecure: bool = False,
        version: str | None = None,
    ) -> None:
        self._model, self._url, self._dimensions, self._version = model, url, dimensions, version
        _check_options(self.name, options)
        self._batch = _count("batch", batch)
        if dimensions is not None:
            _count("dimensions", dimensions)
        if version is not None and (not isinstance(version, str) or not version):
            raise InputError(f"version={version!r} is no word.")
        if urlsplit(url).scheme.lower() == "http" and not is_here(url) and insecure is not True:
            raise InputError(
                f"{self.name}: texts and key would go over the network unencrypted; use https://, or pass "
                "insecure=True if that network is yours."
            )
        self._client = Client(
            url,
            name=self.name,
            key_env=key_env,
            timeout=_positive("timeout", timeout),
            attempts=_count("attempts", attempts),
            backoff=_positive("backoff", backoff),
            pause=60 / _positive("requests_per_minute", requests_per_minute)
            if requests_per_minute is not None
            else 0.0,
        )
        self._client.check_key()
        self._width: int | None = dimensions
        self._served: str | None = None
        self._announced = False

    @property
    def name(self) -> str:
        return f"api:{self._model}@{self._url}"

    @property
    def revision(self) -> str:
        return self._version or "unpinned"

    @property
    def modality(self) -> str:
        return "text"

    @property
    def layers(self) -> tuple[str, ...]:
        return (LAYER,)

    @property
    def n_parameters(self) -> int:
        return 0

    @property
    def precision(self) -> str:
        # servers compute in half precision, and not always on the same machine: the same text moves by a thousandth
        return "float16"

    @property
    def identity(self) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "model": self._model,
            "url": self._url,
            "dimensions": self._dimensions,
            "version": self._version,
            "layers": [LAYER],
        } | self.check_facts()

    @property
    def description(self) -> str:
        size = f", {self._dimensions} features" if self._dimensions else ""
        return f"{self.name}: 1 layer, the final embedding{size}; weights are the server's, version {self.revision}"

    def cost(self, item: Any) -> float:
        return 0.0  # items go in the order they have, so that a run taken up again sends the same requests

    def probes(self) -> list[Any]:
        return ["a small red cat", "home"]

    def announce(self, n_items: int) -> None:
        """Say on standard error how many texts are about to be sent, and where to."""
        self._announced = True
        notice(f"{self.name}: {n_items:,} text{'s' * (n_items != 1)} will be sent to {urlsplit(self._url).hostname}.")

    def encode(self, batch: Sequence[Any]) -> Features:
        if not len(batch):
            raise InputError(f"{self.name}: there is nothing to encode in an empty batch.")
        texts = [as_text(item, i) for i, item in enumerate(batch)]
        if not self._announced:
            self.announce(len(texts))  # of this batch; `extract` has said it of all
        rows = [self._request(texts, at) for at in range(0, len(texts), self._batch)]
        return {LAYER: np.concatenate(rows)}

    def _request(self, texts: list[str], start: int) -> np.ndarray[Any, Any]:
        """Vectors of the texts of one request.

        Raises:
            InputError: if the server refuses these texts, or a vector is not finite.
            FetchError: if the server cannot be reached, keeps failing, or answers something else than was asked for.
        """
        part = texts[start : start + self._batch]
        body: dict[str, Any] = {"model": self._model, "input": part}
        if self._dimensions is not None:
            body["dimensions"] = self._dimensions
        answer = self._client.post("embeddings", body)
        served = answer.get("model")
        if self._served is not None and served != self._served:
            raise FetchError(
                f"{self.name}: the server answered as model {served!r} where it answered as {self._served!r} before; "
                "features of two models must not be mixed. Name one exactly."
            )
        vectors = read_vectors(answer, len(part), self.name, start)
        if self._width is not None and vectors.shape[1] != self._width:
            said = "dimensions= asked for" if self._dimensions else "it gave before"
            raise FetchError(f"{self.name}: the server gave {vectors.shape[1]} features where {said} {self._width}.")
        self._width, self._served = vectors.shape[1], served if isinstance(served, str) else None
        return vectors


def read_vectors(answer: dict[str, Any], count: int, name: str, start: int = 0) -> np.ndarray[Any, Any]:
    """The vectors of an answer as float32 (count, d), in the order of the texts.

    Args:
        answer: What the server sent.
        count: How many texts were sent.
        name: The encoder's name, for messages.
        start: Position in the batch of the first of these texts.

    Raises:
        FetchError: if vectors are missing, of unlike width, no numbers, or cannot be told apart.
        InputError: if one is not finite.
    """
    data = answer.get("data")
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise FetchError(f"{name}: the answer holds no list 'data' of embeddings; is this an embeddings endpoint?")
    if len(data) != count:
        raise FetchError(f"{name}: the server gave {len(data)} embeddings for {count} texts.")
    places = [entry.get("index") for entry in data]
    if count > 1 or places[0] is not None:
        if all(p is None for p in places):
            raise FetchError(f"{name}: the answer does not say which embedding is of which text; pass batch=1.")
        if any(isinstance(p, bool) or not isinstance(p, int) for p in places) or sorted(places) != list(range(count)):
            raise FetchError(f"{name}: the embeddings are numbered {places[:8]} where each of {count} texts has one.")
        data = sorted(data, key=lambda entry: entry["index"])
    vectors = [
        _vector(entry.get("embedding"), f"{name}: the embedding of item {start + i}") for i, entry in enumerate(data)
    ]
    widths = sorted({len(v) for v in vectors})
    if len(widths) > 1:
        raise FetchError(f"{name}: the server gave embeddings of unlike width: {widths}.")
    return np.stack(vectors)


def _vector(raw: Any, what: str) -> np.ndarray[Any, Any]:
    """One vector, from numbers or from base64 of little-endian float32.

    Raises:
        FetchError: if it is neither.
        InputError: if it is not finite.
    """
    if isinstance(raw, str):
        try:
            vector = np.frombuffer(base64.b64decode(raw, validate=True), dtype="<f4").astype(np.float32)
        except (binascii.Error, ValueError) as error:
            raise FetchError(f"{what} is a text that is no base64 of float32 values.") from error
    else:
        if not isinstance(raw, list) or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in raw):
            raise FetchError(f"{what} is no list of numbers.")
        try:
            with np.errstate(over="ignore"):  # found to be infinite below
                vector = np.asarray(raw, dtype=np.float64).astype(np.float32)
        except OverflowError as error:
            raise FetchError(f"{what} holds a number that no float can hold.") from error
    if not vector.size:
        raise FetchError(f"{what} is empty.")
    if not np.isfinite(vector).all():
        raise InputError(f"{what} is not finite.")
    return vector


def _check_options(name: str, options: Options) -> None:
    """Refuse what a server cannot do.

    Raises:
        InputError: naming the option.
        UnknownNameError: if another layer is asked for.
    """
    if options.init != "pretrained":
        raise InputError(
            f"{name}: a server has no untrained twin; compare with one of a local model, or leave init= out."
        )
    if options.pooling != "mean":
        raise InputError(
            f"{name}: pooling={options.pooling!r} cannot be had: the server pools by itself and gives one vector a "
            "text. Leave pooling= out."
        )
    if options.device != "cpu" or options.dtype != "float32":
        raise InputError(f"{name}: the server chooses its own device and precision; leave device= and dtype= out.")
    if options.axes is not None:
        raise InputError(f"{name}: an embedding has one axis; leave axes= out.")
    for pattern in options.layers or ():
        if not fnmatchcase(LAYER, pattern):
            raise UnknownNameError(
                "layer",
                pattern,
                (LAYER,),
                "A server gives its final embedding only; inner layers cannot be had through an API.",
            )


def _count(option: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{option}={value!r} is no number of at least 1.")
    return value


def _positive(option: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise InputError(f"{option}={value!r} is no number above 0.")
    return float(value)


def _without_url_secrets(id: str) -> str:
    """What may be shown of an id that was not understood: what stands before a URL, which could hold a key."""
    return id.partition("://")[0] + ("://…" if "://" in id else "")
