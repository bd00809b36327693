"""A fake OTLP target over HTTP that answers as it is told, and keeps what it took."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Reply:
    """What is answered: a status, headers and a body, after a time."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0


Script = Callable[[int, ExportTraceServiceRequest], Reply]
"""Returns the reply to a request, given how many came before it."""


class Target:
    """Takes what its script answers with 200."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.times_s: list[float] = []
        self.taken: list[str] = []
        self._lock = threading.Lock()
        target = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                reply = target._received(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                time.sleep(reply.delay_s)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, count: int, timeout_s: float = 10.0) -> None:
        """Wait until so many spans were taken."""
        deadline = time.monotonic() + timeout_s
        while len(self.taken) < count:
            assert time.monotonic() < deadline, f"{len(self.taken)} spans after {timeout_s} s, {count} expected"
            time.sleep(0.01)

    def _received(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        assert path == "/v1/traces"
        plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        request = ExportTraceServiceRequest.FromString(plain)
        with self._lock:
            reply = self.script(len(self.bodies), request)
            self.bodies.append(plain)
            self.headers.append(headers)
            self.times_s.append(time.monotonic())
            if reply.status == 200:
                self.taken += names(request)
        return reply


def names(request: ExportTraceServiceRequest) -> list[str]:
    return [span.name for r in request.resource_spans for s in r.scope_spans for span in s.spans]


@contextmanager
def target(script: Script = lambda *_: Reply()) -> Iterator[Target]:
    found = Target(script)
    try:
        yield found
    finally:
        found.close()
