"""A load of every kind of input, each sent with the same bytes until it is acknowledged, over any number of crashes."""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
from client_messages import (
    JSON,
    PROTOBUF,
    export_bytes,
    export_request,
    exposure,
    flat_trace,
    grpc_channel,
    http_client,
    metrics,
    span,
)
from server_process import ServerProcess

KEY = "crash"
SESSIONS = 12
SPANS_A_REQUEST = 4
REQUEST_SECONDS_MAX = 5

Send = Callable[[bytes], None]


@dataclass(slots=True)
class Sender:
    """One client: what it has in acknowledgement, and what it must send again. It sends everything ``times`` times."""

    kind: str
    times: int = 1
    answers: int = 0
    acknowledged: set[str] = field(default_factory=set)
    failures: int = 0
    problems: list[str] = field(default_factory=list)
    _pending: tuple[set[str], bytes] | None = None
    _number: int = 0

    def run(self, server: ServerProcess, stop: threading.Event) -> None:
        """Send until told to stop, or until the server is gone; what was not acknowledged comes first next time."""
        connect = _over_grpc if self.kind == "grpc" else _over_http
        with connect(server, self.kind) as send:
            while not stop.is_set():
                if self._pending is None:
                    self._pending = self._next()
                names, body = self._pending
                try:
                    for _ in range(self.times):
                        send(body)
                        self.answers += 1
                except (grpc.RpcError, httpx.TransportError, UnavailableError):
                    self.failures += 1
                    return
                except AssertionError as error:
                    self.problems.append(str(error))
                    return
                self.acknowledged |= names
                self._pending = None

    def _next(self) -> tuple[set[str], bytes]:
        self._number += 1
        return _BODIES[self.kind](f"{self.kind}-{self._number}")


class UnavailableError(Exception):
    """The server asks to try again."""


class Load:
    """One sender of each of the kinds, or of all."""

    def __init__(self, *kinds: str, times: int = 1) -> None:
        self.senders = {kind: Sender(kind, times) for kind in kinds or _BODIES}

    def run(self, server: ServerProcess, seconds: float, end: Callable[[], None]) -> None:
        """Send for some time, then ``end`` the server in the middle of it."""
        stop = threading.Event()
        threads = [threading.Thread(target=sender.run, args=(server, stop)) for sender in self.senders.values()]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        end()
        stop.set()
        for thread in threads:
            thread.join(2 * REQUEST_SECONDS_MAX)
            assert not thread.is_alive(), "a client hangs"

    def acknowledged(self, *kinds: str) -> set[str]:
        """Return the names of what was acknowledged to the senders of these kinds."""
        return set().union(*(self.senders[kind].acknowledged for kind in kinds if kind in self.senders))


def _spans(name: str) -> tuple[set[str], bytes]:
    names = {f"{name}-{number}" for number in range(SPANS_A_REQUEST)}
    spans = [span(each, _attributes(each), start_time_unix_nano=time.time_ns()) for each in sorted(names)]
    return names, export_request(spans).SerializeToString()


def _attributes(name: str) -> dict[str, Any]:
    return {
        "fallom.config_key": KEY,
        "fallom.session_id": f"session-{secrets.randbelow(SESSIONS)}",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": secrets.choice(["gpt-4o", "gpt-4o-mini", "in-house"]),
        "gen_ai.usage.input_tokens": secrets.randbelow(1_000),
        "gen_ai.usage.output_tokens": secrets.randbelow(1_000),
        "unique": name,
    }


def _flat(name: str) -> tuple[set[str], bytes]:
    trace = flat_trace(KEY, f"session-{secrets.randbelow(SESSIONS)}", name=name, status=secrets.choice(["OK", "ERROR"]))
    return {name}, json.dumps(trace).encode()


def _metrics(name: str) -> tuple[set[str], bytes]:
    return {name}, json.dumps(metrics(KEY, name, score=1.5, text="x")).encode()


def _exposure(name: str) -> tuple[set[str], bytes]:
    return {name}, json.dumps(exposure(KEY, name, "gpt-4o")).encode()


_BODIES: dict[str, Callable[[str], tuple[set[str], bytes]]] = {
    "grpc": _spans,
    "protobuf": _spans,
    "flat": _flat,
    "metrics": _metrics,
    "exposures": _exposure,
}
_PATHS = {
    "protobuf": ("/v1/traces", PROTOBUF),
    "flat": ("/v1/traces", JSON),
    "metrics": ("/spans", JSON),
    "exposures": ("/sessions", JSON),
}


@contextmanager
def _over_http(server: ServerProcess, kind: str) -> Iterator[Send]:
    path, headers = _PATHS[kind]
    with http_client(server.url, REQUEST_SECONDS_MAX) as client:

        def send(body: bytes) -> None:
            answer = client.post(path, content=body, headers=headers)
            if answer.status_code == 503:
                raise UnavailableError
            assert answer.status_code == 200, answer.text

        yield send


@contextmanager
def _over_grpc(server: ServerProcess, _kind: str) -> Iterator[Send]:
    with grpc_channel(server.grpc) as channel:

        def send(body: bytes) -> None:
            answer = export_bytes(channel, body, timeout_s=REQUEST_SECONDS_MAX)
            assert not answer.HasField("partial_success"), answer

        yield send
