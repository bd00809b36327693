"""A small HTTP server that answers the SDK as a test wants it: late, wrongly, or as it should."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

CONFIG = {
    "key": "agent",
    "version": 3,
    "variants": [{"model": "gpt-4o", "weight": 50}, {"model": "gpt-4o-mini", "weight": 50}],
}
PROMPT = {"key": "greeting", "version": 2, "system_prompt": "Be {{ mood }}.", "user_template": "Hi {{name}}"}
PROMPT_TEST = {
    "key": "greetings",
    "version": 1,
    "variants": [
        {"prompt_key": "greeting", "weight": 50},
        {"prompt_key": "farewell", "prompt_version": 1, "weight": 50},
    ],
}
LISTS = {
    "/configs": {"configs": [CONFIG]},
    "/prompts": {"prompts": [PROMPT, {**PROMPT, "key": "farewell", "version": 1, "system_prompt": "Bye"}]},
    "/prompt-ab-tests": {"prompt_ab_tests": [PROMPT_TEST]},
}


@dataclass
class Asked:
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)


@dataclass
class Said:
    """One answer; ``None`` as a body hangs up without a word."""

    status: int = 200
    body: bytes | None = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0


def said(content: object, status: int = 200, **headers: str) -> Said:
    return Said(status, json.dumps(content).encode(), headers)


Answerer = Callable[[Asked], Said]


def as_it_should(asked: Asked) -> Said:
    """Answer as a Fallom server, whose lists have tags."""
    if asked.method == "GET":
        path, _, version = asked.path.rpartition("/version/")
        if path == "/configs/agent":
            return said({**CONFIG, "version": int(version)}) if int(version) <= 3 else Said(404)
        if asked.path not in LISTS:
            return Said(404)
        if asked.headers.get("if-none-match") == '"1"':
            return Said(304, b"")
        return said(LISTS[asked.path], ETag='"1"')
    return said({"status": "ok", "rejected": 0}) if asked.path != "/v1/traces" else Said(200, b"")


class FakeServer:
    """Where it is, what came, and what it answers with, which may be changed at any time."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answer: Answerer = as_it_should
        self.asked: list[Asked] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def start(self) -> FakeServer:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def of(self, path: str) -> list[Asked]:
        return [asked for asked in list(self.asked) if asked.path == path]

    def events(self, path: str) -> list[Any]:
        """Return all JSON objects that were posted to a path, of lists too."""
        contents = [asked.content for asked in self.of(path)]
        return [item for content in contents for item in (content if isinstance(content, list) else [content])]

    def spans(self) -> list[Any]:
        """Return the spans that came, as protobuf has them."""
        requests = [ExportTraceServiceRequest.FromString(asked.body) for asked in self.of("/v1/traces")]
        return [s for r in requests for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]

    def wait_for(self, what: Callable[[], object], timeout_s: float = 30.0) -> None:
        """Wait until something is so; how long it may take is no promise, only an end."""
        deadline = time.monotonic() + timeout_s
        while not what():
            assert time.monotonic() < deadline, f"not after {timeout_s} s; asked: {[a.path for a in self.asked]}"
            time.sleep(0.01)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
                asked = Asked(self.command, self.path, headers, body)
                server.asked.append(asked)
                answer = server.answer(asked)
                time.sleep(answer.after_s)
                if answer.body is None:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST = _answer  # noqa: N815 - the names are http.server's

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextmanager
def fake_server(tls: ssl.SSLContext | None = None) -> Iterator[FakeServer]:
    server = FakeServer(tls).start()
    try:
        yield server
    finally:
        server.stop()
