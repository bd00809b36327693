"""A fake provider for recordings: it answers each case as told, and keeps a journal of what it served when.

The base URL of a case is ``<url>/<run>/<api>.<case>``, which tells whose request it is; below it lie the paths of
OpenAI's, Anthropic's and Google's APIs.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from recordings import anthropic_answers, google_answers, openai_answers
from recordings.cases import APIS, CASES, FIRST_TOKEN_MS, REST_OF_STREAM_MS, Api, Case, Turn

# How many events of a stream come before its first content: all are sent at once.
PRELUDES = {"responses": 4, "messages": 3}


@dataclass(frozen=True, slots=True)
class Served:
    """One answer: when its first and its last byte of content were sent, ns since 1970."""

    first_sent_unix_nano: int
    last_sent_unix_nano: int


class Journal:
    """What was served, by run and ``<api>.<case>``, in order."""

    def __init__(self) -> None:
        self._served: dict[tuple[str, str], list[Served]] = {}
        self._lock = threading.Lock()

    def turns(self, run: str, call: str) -> int:
        """Return how many answers this case has had."""
        with self._lock:
            return len(self._served.get((run, call), ()))

    def enter(self, run: str, call: str, served: Served) -> None:
        with self._lock:
            self._served.setdefault((run, call), []).append(served)

    def of(self, run: str) -> dict[str, list[Served]]:
        """Return what was served to a run, by ``<api>.<case>``."""
        with self._lock:
            return {call: list(served) for (name, call), served in self._served.items() if name == run}


class Provider(BaseHTTPRequestHandler):
    """Answers one client's requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    journal: Journal

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        _, run, call, path = self.path.split("/", 3)
        api_name, case_name = call.split(".")
        api, case = APIS[api_name], CASES[case_name]
        if case.status != 200:
            self._refuse(api, case, run, call)
            return
        turn = case.turns[min(self.journal.turns(run, call), len(case.turns) - 1)]
        if body.get("stream") or "streamGenerateContent" in path:
            self._stream(_events(api, turn, body), PRELUDES.get(api.name, 0), run, call)
        else:
            self._answer(200, _body(api, turn))
            now = time.time_ns()
            self.journal.enter(run, call, Served(now, now))

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the library's name
        pass

    def _refuse(self, api: Api, case: Case, run: str, call: str) -> None:
        answers = {"openai": openai_answers, "anthropic": anthropic_answers, "google": google_answers}[api.provider]
        now = time.time_ns()
        self.journal.enter(run, call, Served(now, now))
        self._answer(case.status, answers.error(case.status, case.error))

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, events: Iterator[str], prelude: int, run: str, call: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        chunks = list(events)
        first, rest = "".join(chunks[: prelude + 1]), chunks[prelude + 1 :]
        time.sleep(FIRST_TOKEN_MS / 1000)
        first_sent = last_sent = time.time_ns()
        try:
            self._chunk(first)
            for chunk in rest:
                time.sleep(REST_OF_STREAM_MS / 1000 / len(rest))
                last_sent = time.time_ns()
                self._chunk(chunk)
        finally:
            # Before the end, which a client may not wait for.
            self.journal.enter(run, call, Served(first_sent, last_sent))
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


class ProviderServer(ThreadingHTTPServer):
    """Serves each connection in a thread; says nothing of clients that go away."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def provider() -> Iterator[tuple[str, Journal]]:
    """Run the provider; give its URL and its journal."""
    journal = Journal()
    handler = type("JournallingProvider", (Provider,), {"journal": journal})
    with ProviderServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", journal
        server.shutdown()
        thread.join()


def _body(api: Api, turn: Turn) -> dict[str, Any]:
    return {
        "chat": openai_answers.chat,
        "responses": openai_answers.response,
        "messages": anthropic_answers.message,
        "generate": google_answers.content,
    }[api.name](turn)


def _events(api: Api, turn: Turn, body: dict[str, Any]) -> Iterator[str]:
    if api.name == "chat":
        return openai_answers.chat_events(turn, body)
    return {
        "responses": openai_answers.response_events,
        "messages": anthropic_answers.message_events,
        "generate": google_answers.content_events,
    }[api.name](turn)
