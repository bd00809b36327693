"""OTLP over HTTP to a target."""

import gzip
import ssl
import time

import httpx
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.forward.answer import Answer, Outcome, retry_after_of
from collector.forward.target import ForwardTarget

ANSWER_BYTES_MAX = 64 * 1024
GZIP_LEVEL = 3
# What OTLP says may be sent again, and 408, by which proxies say that they were too slow.
_RETRYABLE = frozenset((408, 429, 502, 503, 504))
_SETUP = frozenset((401, 403, 404, 405, 407))


class HttpSender:
    """Posts requests, one after the other, over one connection that is kept."""

    def __init__(self, target: ForwardTarget) -> None:
        """Make it. Raises OSError where the CAs can't be read."""
        self._target = target
        verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=target.ca_file) if target.ca_file else True
        self._headers = {"Content-Type": "application/x-protobuf", **target.secret_headers()}
        if target.compression == "gzip":
            self._headers["Content-Encoding"] = "gzip"
        self._http = httpx.Client(verify=verify, timeout=target.timeout_s, follow_redirects=False)

    def send(self, body: bytes) -> Answer:
        """Return what became of it."""
        if self._target.compression == "gzip":
            body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        deadline_s = time.monotonic() + self._target.timeout_s
        try:
            with self._http.stream("POST", self._target.traces_url, content=body, headers=self._headers) as response:
                content = _content(response, deadline_s)
        except (httpx.HTTPError, httpx.StreamError, OSError, RuntimeError) as error:
            # Of the error the class alone: its text may be of the target's making.
            return Answer(Outcome.RETRY, type(error).__name__)
        return _answer(response, content)

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()


def _content(response: httpx.Response, deadline_s: float) -> bytes | None:
    """Return the body; None where it is too long, or comes too slowly: the status has said what matters."""
    content = b""
    for part in response.iter_bytes():
        content += part
        if len(content) > ANSWER_BYTES_MAX or time.monotonic() > deadline_s:
            return None
    return content


def _answer(response: httpx.Response, content: bytes | None) -> Answer:
    status = response.status_code
    reason = f"HTTP {status}"
    if 200 <= status < 300:
        return Answer(Outcome.TAKEN, reason, _rejected(response, content))
    if status in _RETRYABLE:
        return Answer(Outcome.RETRY, reason, retry_after_s=retry_after_of(response.headers.get("retry-after")))
    if status in _SETUP or 300 <= status < 400:
        return Answer(Outcome.SETUP, reason)
    return Answer(Outcome.TOO_LARGE if status == 413 else Outcome.REFUSED, reason)


def _rejected(response: httpx.Response, content: bytes | None) -> int:
    """Return how many spans the target says it left out."""
    if not content or "protobuf" not in response.headers.get("content-type", ""):
        return 0
    try:
        return int(ExportTraceServiceResponse.FromString(content).partial_success.rejected_spans)
    except DecodeError:
        return 0
