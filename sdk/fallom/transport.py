"""HTTP calls of the background threads: short time-outs, a kept connection, answers of a bounded size.

``requests`` is what the OTLP exporter brings along, and is imported at the first call, in the thread that makes it.
"""

from __future__ import annotations

import gzip
import math
import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from fallom.version import __version__

if TYPE_CHECKING:
    import requests

CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 10.0
ANSWER_BYTES_MAX = 16 * 1024 * 1024
COMPRESSED_FROM_BYTES = 2048
RETRY_AFTER_MAX_S = 300.0
RETRYABLE_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_CHUNK_BYTES = 64 * 1024


class TransportError(Exception):
    """No answer came, or none that can be used; trying again may help."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered: ``retry_after_s`` is when it wants to be asked again, if it said so."""

    status: int
    body: bytes
    etag: str | None = None
    retry_after_s: float | None = None

    @property
    def is_success(self) -> bool:
        """Whether what was sent is taken."""
        return 200 <= self.status < 300

    @property
    def is_retryable(self) -> bool:
        """Whether the same may be taken later."""
        return self.status in RETRYABLE_STATUSES


class Transport:
    """Sends requests with the API key, over one session; to be used by one thread."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key
        self._session: requests.Session | None = None

    def get(self, url: str, etag: str | None = None) -> Answer:
        """Return the answer; 304 where nothing changed since ``etag``. Raises TransportError."""
        return self._send("GET", url, headers={"If-None-Match": etag} if etag else {})

    def post(self, url: str, body: bytes, content_type: str) -> Answer:
        """Return the answer to a body, which is compressed where that pays. Raises TransportError."""
        headers = {"Content-Type": content_type}
        if len(body) >= COMPRESSED_FROM_BYTES:
            body = gzip.compress(body, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        return self._send("POST", url, headers=headers, data=body)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _send(self, method: str, url: str, **options: Any) -> Answer:
        import requests

        try:
            response = self._connected().request(
                method,
                url,
                timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                # A redirect could lead the key, and content, to another host.
                allow_redirects=False,
                stream=True,
                **options,
            )
            with response:
                body = _body(response)
        except (requests.RequestException, OSError, ValueError) as error:
            self.close()
            raise TransportError(f"{method} {url}: {_said(error)}") from error
        headers = response.headers
        return Answer(response.status_code, body, headers.get("ETag"), _retry_after_s(headers.get("Retry-After")))

    def _connected(self) -> requests.Session:
        if self._session is None:
            import requests

            session = requests.Session()
            session.auth = _Bearer(self._api_key)
            session.headers["User-Agent"] = f"fallom-sdk/{__version__}"
            self._session = session
        return self._session


class _Bearer:
    """The key as ``requests`` takes it; without this an entry in ~/.netrc would replace the header."""

    def __init__(self, api_key: str) -> None:
        self._header = f"Bearer {api_key}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request


def backoff_s(attempt: int, *, least_s: float = 1.0, most_s: float = 60.0) -> float:
    """Return the pause after the ``attempt``-th failure, from 1: doubled each time, between a half and the whole of it.

    >>> 1.0 <= backoff_s(2) <= 2.0
    True
    """
    whole = min(most_s, least_s * 2.0 ** min(attempt - 1, 30))
    return whole * random.uniform(0.5, 1.0)  # noqa: S311 - it spreads clients, it hides nothing


def _body(response: requests.Response) -> bytes:
    """Return the answer's body. One that is larger, or comes more slowly, than any that is meant raises ValueError."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    parts: list[bytes] = []
    size_bytes = 0
    for part in response.iter_content(_CHUNK_BYTES):
        parts.append(part)
        size_bytes += len(part)
        if size_bytes > ANSWER_BYTES_MAX:
            raise ValueError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
        if time.monotonic() > deadline:
            raise ValueError(f"the answer took more than {ANSWER_TIMEOUT_S} s")
    return b"".join(parts)


def _said(error: BaseException) -> str:
    """Return the error in one line, of the cause that is deepest: it is wrapped several times."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return f"{type(error).__name__}: {error}"[:300]


def _retry_after_s(header: str | None) -> float | None:
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(0.0, seconds), RETRY_AFTER_MAX_S) if math.isfinite(seconds) else None
