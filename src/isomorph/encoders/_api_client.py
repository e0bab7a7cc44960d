"""Posting JSON to a server with a key from the environment: repeated where that may help, else told in words."""

from __future__ import annotations

import email.utils
import http.client
import ipaddress
import json
import math
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ..errors import FetchError, InputError

_LONGEST_WAIT = 60.0
_LONGEST_STATED_WAIT = 120.0
_MOST_BYTES = 256 * 1024**2
_PASSING = frozenset({408, 409, 425, 429})
_ABOUT_TEXTS = frozenset({400, 422})
_OWN_KEYS = ("ISOMORPH_API_KEY", "OPENAI_API_KEY")
_OPENAI = "openai.com"


class Client:
    """One server.

    Args:
        url: Base URL.
        name: What it is called in messages.
        key_env: Name of the environment variable with the key, or None for the usual ones.
        timeout: Seconds without an answer.
        attempts: How often a request is sent at most.
        backoff: Seconds before the first repetition.
        pause: Seconds between requests at least.
    """

    def __init__(
        self, url: str, *, name: str, key_env: str | None, timeout: float, attempts: int, backoff: float, pause: float
    ) -> None:
        self._url, self._name, self._key_env = url, name, key_env
        self._timeout, self._attempts, self._backoff, self._pause = timeout, attempts, backoff, pause
        self._last = float("-inf")
        self._reached = False
        # a key goes to no other server than the one named, so redirects and, on this machine, proxies are out
        handlers: list[Any] = [_NoRedirects()]
        self._opener = urllib.request.build_opener(
            *handlers, *([urllib.request.ProxyHandler({})] if is_here(url) else [])
        )

    def check_key(self) -> None:
        """See that there is a key, without keeping it.

        Raises:
            InputError: if there is none for a server elsewhere, or it is no key.
        """
        self._key()

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What the server answers.

        Raises:
            InputError: if it refuses what was sent, or there is no key.
            FetchError: if it cannot be reached, keeps failing, or answers with something else than a JSON object.
        """
        data = json.dumps(body).encode()
        attempt = 0
        while True:
            attempt += 1
            self._keep_pace()
            try:
                return self._once(path, data)
            except _Passing as passing:
                if attempt >= self._attempts:
                    raise FetchError(
                        f"{self._name}: {passing} {attempt} attempts were made. Try again later: what is in the store "
                        "is not sent again."
                    ) from passing
                wait = min(self._backoff * 2 ** (attempt - 1), _LONGEST_WAIT)
                if passing.wait is not None:
                    wait = max(passing.wait, 0.0)
                    if wait > _LONGEST_STATED_WAIT:
                        raise FetchError(
                            f"{self._name}: {passing} The server asks to wait {wait:.0f} s. Try again then: what is in "
                            "the store is not sent again; requests_per_minute= slows down."
                        ) from passing
                time.sleep(wait)

    def _once(self, path: str, data: bytes) -> dict[str, Any]:
        key = self._key()
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "isomorph"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(_join(self._url, path), data=data, headers=headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                raw, stated = response.read(_MOST_BYTES + 1), response.headers.get("Content-Length", "")
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error, key) from None  # the cause could show the request, which holds the key
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        self._reached = True
        if len(raw) > _MOST_BYTES:
            raise FetchError(
                f"{self._name}: the answer is longer than {_MOST_BYTES // 1024**2} MB; pass a smaller batch=."
            )
        if stated.isdigit() and len(raw) < int(stated):  # a read with a limit does not tell
            raise _Passing(f"The connection broke after {len(raw)} of {stated} bytes.", None)
        try:
            answer = json.loads(raw)
        except (ValueError, RecursionError):
            start = self._clean(raw[:200].decode("utf-8", "replace"), key)
            raise FetchError(
                f"{self._name}: the server answered with something else than JSON ({start!r}). Is the base URL that of "
                "the API, such as https://host/v1?"
            ) from None
        if not isinstance(answer, dict):
            raise FetchError(f"{self._name}: the server answered with a JSON {type(answer).__name__}, not an object.")
        return answer

    def _refused(self, error: urllib.error.HTTPError, key: str) -> Exception:
        """What an answer other than success comes to."""
        try:
            text = error.read(4096).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):  # the connection broke behind the status line
            text = ""
        said = self._clean(_message(text), key)
        what = f"the server answered {error.code} ({said})." if said else f"the server answered {error.code}."
        self._reached = True
        if error.code in (401, 403):
            return FetchError(f"{self._name}: {what} Is the key in {self._key_name()} one for this server and model?")
        if error.code == 429 and "insufficient_quota" in text:
            return FetchError(f"{self._name}: {what} The account has no credit left, which waiting does not mend.")
        if error.code in _PASSING or (500 <= error.code < 600 and error.code not in (501, 505)):
            return _Passing(what[0].upper() + what[1:], _stated_wait(error.headers.get("Retry-After")))
        if 300 <= error.code < 400:
            return FetchError(
                f"{self._name}: the server redirects to another address, which is not followed. Name the final one."
            )
        if error.code in (404, 405):
            return FetchError(
                f"{self._name}: {what} Is the base URL that of the API, such as https://host/v1, and the model there?"
            )
        if error.code == 413:
            return InputError(f"{self._name}: {what} Pass a smaller batch=.")
        return (InputError if error.code in _ABOUT_TEXTS else FetchError)(f"{self._name}: {what}")

    def _unreachable(self, error: Exception) -> Exception:
        """What a connection that broke, or never was, comes to."""
        reason: Any = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return _Passing(f"The server did not answer within {self._timeout:g} s.", None)
        text = " ".join(str(reason).split()) or type(reason).__name__
        if isinstance(reason, ssl.SSLCertVerificationError):
            return FetchError(f"{self._name}: the server's certificate is not trusted ({text}).")
        broken = isinstance(reason, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError))
        if (
            isinstance(error, urllib.error.URLError) and not self._reached and not broken
        ):  # a wrong address does not get right by waiting
            return FetchError(
                f"{self._name}: {urlsplit(self._url).netloc} cannot be reached ({text}). Check the address."
            )
        return _Passing(f"The connection broke ({type(reason).__name__}: {text}).", None)

    def _key(self) -> str:
        """The key, read anew from the environment; empty if none is needed.

        Raises:
            InputError: if there is none for a server elsewhere, or it is no key.
        """
        names = self._key_names()
        name, value = next(((n, v) for n in names if (v := os.environ.get(n, "").strip())), ("", ""))
        if not value:
            if is_here(self._url) and self._key_env is None:
                return ""
            hint = ""
            if self._key_env is None and os.environ.get(_OWN_KEYS[1]):
                hint = f" {_OWN_KEYS[1]} is sent to OpenAI's servers only, unless key_env='{_OWN_KEYS[1]}' says so."
            if self._key_env is not None:  # what was given may be a key, so it is not shown
                raise InputError(
                    f"{self._name}: there is no key: the environment variable that key_env= names is not set."
                )
            raise InputError(f"{self._name}: there is no key; set the environment variable {' or '.join(names)}.{hint}")
        if not re.fullmatch(r"[\x21-\x7e]+", value):
            raise InputError(f"The environment variable {name} holds characters that no key has.")
        return value

    def _key_names(self) -> tuple[str, ...]:
        if self._key_env is not None:
            if not isinstance(self._key_env, str) or not re.fullmatch(r"[A-Za-z_]\w{0,63}", self._key_env):
                raise InputError("key_env= takes the name of an environment variable, not a key.")
            return (self._key_env,)
        host = (urlsplit(self._url).hostname or "").lower()
        return _OWN_KEYS if is_here(self._url) or host == _OPENAI or host.endswith(f".{_OPENAI}") else _OWN_KEYS[:1]

    def _key_name(self) -> str:
        return next((n for n in self._key_names() if os.environ.get(n, "").strip()), " or ".join(self._key_names()))

    @staticmethod
    def _clean(text: str, key: str) -> str:
        """A server's words in one line, without the key that some repeat."""
        text = text.replace(key, "[key]") if key else text
        text = re.sub(r"\b(sk|pk|key)-[\w*.-]{4,}", "[key]", text)
        return " ".join(text.split())[:300]

    def _keep_pace(self) -> None:
        left = self._last + self._pause - time.monotonic()
        if left > 0:
            time.sleep(left)
        self._last = time.monotonic()


class _Passing(Exception):  # noqa: N818  # what it names is a state, and it never leaves this module
    """A failure that may pass, and how long the server says to wait."""

    def __init__(self, text: str, wait: float | None) -> None:
        super().__init__(text)
        self.wait = wait


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def is_here(url: str) -> bool:
    """Whether a URL is of a server on this machine."""
    host = (urlsplit(url).hostname or "").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _join(url: str, path: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{path}"))


def _message(text: str) -> str:
    """What an error's body says, in OpenAI's form or in others."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text if "<" not in text else ""  # an HTML page says nothing
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    return found if isinstance(found, str) else json.dumps(found)


def _stated_wait(header: str | None) -> float | None:
    """Seconds that a Retry-After header states, as a number or a date; None if it states nothing."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
