"""A fake provider on loopback, for the clients that the SDK wraps: real HTTP, and the wire formats of three providers.

A client's base URL is ``<url>/<case>``: the case says what is answered. Those of the recordings are known here too;
beside them ``strict`` refuses ``stream_options``, ``torn`` breaks off in the middle of a stream, and ``broken`` tells
of an error in one. What was asked is kept.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from recordings import anthropic_answers, google_answers, openai_answers
from recordings.cases import CASES, Turn, Usage

EVENTS_BEFORE_A_TEAR = 6
_ALL = CASES["cached"].turns[0]


@dataclass
class Asked:
    """A request."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass
class FakeProvider:
    """Where it is, and what it was asked."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    def bodies(self) -> list[dict[str, Any]]:
        """Return the bodies of the requests, in order."""
        return [each.body for each in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    provider: FakeProvider

    def do_GET(self) -> None:
        self._answer(200, {})

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        case, _, path = self.path.lstrip("/").partition("/")
        if case == "fallom":
            self._answer(200, {})
            return
        body = json.loads(data)
        self.provider.asked.append(Asked(path, body, dict(self.headers)))
        answers = _answers_of(path)
        status, text = _refusal(case, body)
        if status != 200:
            self._answer(status, answers.error(status, text))
            return
        turn = _turn(case, body)
        if body.get("stream") or "stream" in path.partition("?")[0]:
            self._stream(case, _events(path, turn, body))
        else:
            self._answer(200, _whole(path, turn, body))

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the library's name
        pass

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, case: str, events: list[str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, event in enumerate(events):
            if number == EVENTS_BEFORE_A_TEAR and case == "torn":
                self.close_connection = True
                return
            if number == EVENTS_BEFORE_A_TEAR and case == "broken":
                event = (
                    'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"too busy"}}\n\n'
                )
            data = event.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def fake_provider() -> Iterator[FakeProvider]:
    """Run the provider."""
    provider = FakeProvider()
    with _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"provider": provider})) as server:
        provider.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield provider
        server.shutdown()
        thread.join()


def _answers_of(path: str) -> Any:
    if "messages" in path:
        return anthropic_answers
    return google_answers if "models/" in path else openai_answers


def _refusal(case: str, body: dict[str, Any]) -> tuple[int, str]:
    if case == "strict" and "stream_options" in body:
        return 400, "Unrecognized request argument supplied: stream_options"
    known = CASES.get(case)
    return (known.status, known.error) if known else (200, "")


def _turn(case: str, body: dict[str, Any]) -> Turn:
    """Return the answer: a conversation's second, once a tool has answered."""
    turns = CASES[case].turns if case in CASES else (_ALL,)
    if case == "json":
        return Turn(Usage(uncached=10, visible=5), '{"city": "Oslo"}')
    has_result = (
        '"tool"' in json.dumps(body) or "tool_result" in json.dumps(body) or "function_call_output" in str(body)
    )
    return turns[-1] if has_result or "functionResponse" in str(body) else turns[0]


def _whole(path: str, turn: Turn, body: dict[str, Any]) -> dict[str, Any]:
    if "embed" in path.lower():
        return _embeddings(path, body)
    if "messages" in path:
        return anthropic_answers.message(turn)
    if "models/" in path:
        return google_answers.content(turn)
    if "responses" in path:
        return openai_answers.response(turn)
    if "chat/" in path:
        return openai_answers.chat(turn)
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    choice = {"index": 0, "text": turn.text, "finish_reason": "stop", "logprobs": None}
    return {
        "id": "cmpl_1",
        "object": "text_completion",
        "created": 1,
        "model": "old",
        "choices": [choice],
        "usage": usage,
    }


def _events(path: str, turn: Turn, body: dict[str, Any]) -> list[str]:
    if "messages" in path:
        return list(anthropic_answers.message_events(turn))
    if "models/" in path:
        events = list(google_answers.content_events(turn))
        return events if "alt=sse" in path else _as_array(events)
    if "responses" in path:
        return list(openai_answers.response_events(turn))
    return list(openai_answers.chat_events(turn, body))


def _as_array(events: list[str]) -> list[str]:
    """Return the events as Google streams them to its older client: as a JSON array, by and by."""
    answers = [event.removeprefix("data: ").strip() for event in events]
    return ["[" + answers[0], *("," + answer for answer in answers[1:]), "]"]


def _embeddings(path: str, body: dict[str, Any]) -> dict[str, Any]:
    if "models/" in path:
        return {
            "embeddings": [{"values": [0.5, 0.25], "statistics": {"tokenCount": 4}} for _ in body.get("requests", [0])]
        }
    data = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]
    return {"object": "list", "data": data, "model": "embedder-1", "usage": {"prompt_tokens": 4, "total_tokens": 4}}
