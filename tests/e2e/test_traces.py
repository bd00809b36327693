"""Lists, trees and conversations over HTTP, as clients sent them; the live tail, of spans as they are acknowledged."""

from __future__ import annotations

import json
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import httpx
import pytest
from client_messages import exposure, flat_trace, http_client, metrics
from keyed_server import create_key
from server_process import ServerProcess

from schemas.api.traces import Session, SessionPage, Trace, TracePage

pytestmark = pytest.mark.e2e

KEY = "agent"
VARIANTS = {"control": {"model": "gpt-4o", "weight": 50}, "new": {"model": "gpt-4o-mini", "weight": 50}}


@pytest.fixture(scope="module", autouse=True)
def _config(shared_server: ServerProcess) -> None:
    shared_server.define({"configs": [{"key": KEY, "variants": VARIANTS}]})


def call(session: str, asked: list[dict[str, Any]], answer: str, **fields: Any) -> dict[str, Any]:
    """Return a call to a model with a raw body, as the 0.2 clients send it."""
    attributes = {
        "fallom.method": "chat.completions.create",
        "fallom.raw.request": json.dumps({"model": "gpt-4o", "messages": asked}),
        "fallom.raw.response": json.dumps({"text": answer}),
        "fallom.raw.usage": json.dumps({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}),
    }
    return flat_trace(KEY, session, attributes=attributes, time_to_first_token_ms=40, **fields)


def send(server: ServerProcess, *traces: dict[str, Any]) -> None:
    for trace in traces:
        status, answer = server.post("/v1/traces", trace)
        assert status == 200, answer


def test_a_trace_is_listed_with_what_it_comes_to(shared_server: ServerProcess) -> None:
    trace_id, root = secrets.token_hex(16), secrets.token_hex(8)
    asked = [{"role": "user", "content": "Where is my order?"}]
    parent = flat_trace(KEY, "listed", trace_id=trace_id, span_id=root, kind="agent", name="turn", model=None)
    child = call("listed", asked, "On its way.", trace_id=trace_id, parent_span_id=root, tags=["beta"], duration_ms=200)
    send(shared_server, {name: value for name, value in parent.items() if value is not None}, child)

    status, page = shared_server.get("/traces?session=listed")

    assert status == 200, page
    assert TracePage.model_validate(page).model_dump() == page
    (row,) = page["traces"]
    assert (row["trace_id"], row["span_id"], row["name"], row["operation"]) == (trace_id, root, "turn", "agent")
    assert (row["spans"], row["calls"], row["errors"]) == (2, 1, 0)
    assert (row["model"], row["provider"], row["config_key"], row["session_id"]) == ("gpt-4o", "openai", KEY, "listed")
    assert (row["tokens"]["input"], row["tokens"]["output"], row["duration_ms"]) == (100, 20, 250)
    assert row["cost"] == pytest.approx(100 * 2.5e-6 + 20 * 1e-5)
    assert (row["input_preview"], row["output_preview"]) == ("Where is my order?", "On its way.")
    assert (row["time_to_first_token_ms"], row["tags"], page["next_cursor"]) == (40, ["beta"], None)
    assert (page["totals"]["count"], page["totals"]["spans"], page["totals"]["complete"]) == (1, 2, True)


def test_pages_follow_each_other(shared_server: ServerProcess) -> None:
    send(shared_server, *(call("paged", [], str(number), duration_ms=number) for number in range(1, 8)))
    found: list[float] = []
    path = "/traces?session=paged&sort=duration&limit=3&totals=false"
    cursor = ""
    while cursor is not None:
        _, page = shared_server.get(f"{path}&cursor={cursor}" if cursor else path)
        found += [row["duration_ms"] for row in page["traces"]]
        cursor = page["next_cursor"]

    assert found == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("limit=0", "limit", "1"),
        ("limit=501", "limit", "500"),
        ("sort=name", "sort", "'time', 'duration', 'cost' or 'tokens'"),
        ("from=yesterday", "from", "must be a time such as"),
        ("from=2026-01-02&to=2026-01-01", "", "beyond to"),
        ("cost_min=nan", "cost_min", "finite"),
        ("duration_min_ms=-1", "duration_min_ms", "0"),
        ("metadata=tier", "metadata", "key=value"),
        ("variant=1", "", "name that by config"),
        (f"config={KEY}&variant=newest", "variant", "0 (control), 1 (new)"),
        ("cursor=abc", "cursor", "next_cursor"),
        ("colour=red", "colour", ""),
        ("name=%00", "name", "NUL"),
    ],
)
@pytest.mark.parametrize("path", ["/traces", "/sessions"])
def test_a_wrong_parameter_is_named(shared_server: ServerProcess, path: str, query: str, field: str, said: str) -> None:
    status, answer = shared_server.get(f"{path}?{query}")

    assert status == 400, answer
    assert field in (answer["error"].get("field") or "")
    assert said in answer["error"]["message"]


@pytest.mark.parametrize("value", ["x'; DROP TABLE spans; --", '") OR true --', "%25", "$config", "{0}", "\\"])
@pytest.mark.parametrize(
    "name", ["config", "model", "customer", "session", "name", "operation", "tag", "text", "error_type", "provider"]
)
def test_a_hostile_value_is_a_value(shared_server: ServerProcess, name: str, value: str) -> None:
    with http_client(shared_server.url) as client:
        answer = client.get("/traces", params={name: value, "metadata": f"{value}={value}"})

    assert (answer.status_code, answer.json()["traces"]) == (200, [])


def test_a_trace_is_a_tree_with_its_phases_and_critical_path(shared_server: ServerProcess) -> None:
    trace_id, root = secrets.token_hex(16), secrets.token_hex(8)
    slow = call(
        "tree", [{"role": "user", "content": "Hi"}], "Hello", trace_id=trace_id, parent_span_id=root,
        start_time="2026-01-02T03:04:05.700Z", duration_ms=200,
    )  # fmt: skip
    quick = flat_trace(KEY, "tree", trace_id=trace_id, parent_span_id=root, kind="tool", duration_ms=20)
    send(shared_server, flat_trace(KEY, "tree", trace_id=trace_id, span_id=root, kind="agent"), slow, quick)

    _, trace = shared_server.get(f"/traces/{trace_id}")

    assert Trace.model_validate(trace).model_dump() == trace
    by_id = {span["span_id"]: span for span in trace["spans"]}
    assert trace["roots"] == [root]
    assert set(by_id[root]["children"]) == {slow["span_id"], quick["span_id"]}
    assert (by_id[root]["depth"], by_id[slow["span_id"]]["depth"]) == (0, 1)
    assert by_id[slow["span_id"]]["offset_ms"] == 22
    assert [phase["name"] for phase in by_id[slow["span_id"]]["phases"]] == ["waiting", "streaming"]
    assert by_id[slow["span_id"]]["input_messages"] == [{"role": "user", "content": "Hi"}]
    assert by_id[slow["span_id"]]["output_messages"] == [{"role": "assistant", "content": "Hello"}]
    assert [
        (step["start_ms"], step["end_ms"]) for step in trace["critical_path"] if step["span_id"] == slow["span_id"]
    ] == [(22, 222)]
    assert trace["duration_ms"] == sum(step["end_ms"] - step["start_ms"] for step in trace["critical_path"]) == 250


def test_attributes_deeper_than_an_answer_can_be_are_told_as_text(shared_server: ServerProcess) -> None:
    deep: Any = "end"
    for _ in range(240):
        deep = [deep]
    sent = flat_trace(KEY, "deep", attributes={"deep": deep})
    send(shared_server, sent)

    status, trace = shared_server.get(f"/traces/{sent['trace_id']}")

    assert status == 200
    assert trace["spans"][0]["span_id"] == sent["span_id"]


def test_a_session_is_a_conversation(shared_server: ServerProcess) -> None:
    first, second = {"role": "user", "content": "Hi"}, {"role": "user", "content": "Bye"}
    hello = {"role": "assistant", "content": "Hello"}
    send(
        shared_server,
        call("talk/1", [first], "Hello"),
        call("talk/1", [first, hello, second], "See you", start_time="2026-01-02T03:05:05.678Z"),
    )
    assert shared_server.post("/spans", metrics(KEY, "talk/1", satisfaction=3, resolved=True))[0] == 200
    assert shared_server.post("/spans", metrics(KEY, "talk/1", satisfaction=5))[0] == 200
    assert shared_server.post("/sessions", exposure(KEY, "talk/1", "gpt-4o-mini"))[0] == 200

    status, session = shared_server.get("/sessions/talk/1")

    assert status == 200, session
    assert Session.model_validate(session).model_dump() == session
    assert [(turn["role"], turn["content"]) for turn in session["turns"]] == [
        ("user", "Hi"), ("assistant", "Hello"), ("user", "Bye"), ("assistant", "See you"),
    ]  # fmt: skip
    assert [found["duration_ms"] for found in session["calls"]] == [250, 250]
    assert {metric["name"]: metric["value"] for metric in session["metrics"]} == {"satisfaction": 5, "resolved": True}
    (exposed,) = session["exposures"]
    assert (exposed["config_version"], exposed["variant_index"], exposed["variant"]) == (1, 1, "new")
    assert (session["summary"]["calls"], session["summary"]["traces"]) == (2, 2)
    assert session["summary"]["cost"] == pytest.approx(sum(found["cost"] for found in session["calls"]))
    _, listed = shared_server.get("/sessions?session=talk/1")
    assert SessionPage.model_validate(listed).model_dump() == listed
    assert listed["sessions"] == [session["summary"]]
    _, of_variant = shared_server.get(f"/sessions?config={KEY}&variant=new")
    assert [row["session_id"] for row in of_variant["sessions"]] == ["talk/1"]


def test_what_is_unknown_is_not_found(shared_server: ServerProcess) -> None:
    for path, field in (("/sessions/nobody", "session_id"), ("/traces/" + "0" * 32, "trace_id")):
        status, answer = shared_server.get(path)
        assert (status, answer["error"]["field"]) == (404, field)


def test_a_project_sees_its_own_alone(server: ServerProcess) -> None:
    keys = {project: {"X-API-Key": create_key(server.data_dir, project, "admin")} for project in ("a", "b")}
    ingest = {"X-API-Key": create_key(server.data_dir, "a", "ingest")}
    time.sleep(2.5)
    trace = call("secret-session", [], "secret")
    with http_client(server.url) as client:
        assert client.post("/v1/traces", json=trace, headers=keys["a"]).status_code == 200
        for project, found in (("a", 1), ("b", 0)):
            assert len(client.get("/traces", headers=keys[project]).json()["traces"]) == found
            assert len(client.get("/sessions", headers=keys[project]).json()["sessions"]) == found
        assert client.get("/sessions/secret-session", headers=keys["b"]).status_code == 404
        assert client.get(f"/traces/{trace['trace_id']}", headers=keys["b"]).status_code == 404
        assert client.get("/traces").status_code == 401
        for path in ("/traces", "/traces/live", "/sessions", "/sessions/s"):
            assert client.get(path, headers=ingest).status_code == 403, path


class Tail:
    """A reader of the live tail, in a thread of its own."""

    def __init__(self, url: str, **options: Any) -> None:
        self.events: list[tuple[str, str, Any]] = []
        self.is_ended = threading.Event()
        self._client = httpx.Client(base_url=url, timeout=30)
        self._options = options
        self._ready = threading.Event()
        self._socket: socket.socket | None = None
        self.status = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Tail:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def _run(self) -> None:
        try:
            with self._client.stream("GET", "/traces/live", **self._options) as answer:
                self.status = answer.status_code
                self._socket = answer.extensions["network_stream"].get_extra_info("socket")
                fields: dict[str, str] = {}
                for line in answer.iter_lines():
                    self._ready.set()
                    name, _, value = line.partition(": ")
                    if line:
                        fields[name] = value
                    elif "data" in fields:
                        self.events.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
                        fields = {}
        except httpx.HTTPError:
            pass
        finally:
            self._ready.set()
            self.is_ended.set()

    def wait_for(self, count: int, timeout_s: float = 10) -> list[tuple[str, str, Any]]:
        deadline = time.monotonic() + timeout_s
        while len(self.events) < count:
            assert time.monotonic() < deadline, f"{len(self.events)} of {count} events: {self.events}"
            time.sleep(0.02)
        return self.events

    def stop(self) -> None:
        # Another thread reads it: to close it there would wait for what comes next.
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


@contextmanager
def tail(server: ServerProcess, query: str = "", last: str = "") -> Iterator[Tail]:
    headers = {"Last-Event-ID": last} if last else {}
    reader = Tail(
        server.url, params=dict(part.split("=") for part in query.split("&") if part), headers=headers
    ).start()
    yield reader
    reader.stop()


def test_spans_are_told_as_they_are_acknowledged(shared_server: ServerProcess) -> None:
    with tail(shared_server, "session=live&status=error") as reader:
        wanted = call("live", [{"role": "user", "content": "Hi"}], "Hello", status="ERROR")
        send(shared_server, call("live", [], "no error"), call("other", [], "x", status="ERROR"), wanted)
        events = reader.wait_for(1)
        # What comes once comes no more, also when it is committed, which it is after five seconds and some.
        shared_server.wait_for_commit(timeout_s=30)
        time.sleep(0.5)

        assert [(name, span["span_id"], span["input_preview"]) for name, _, span in events] == [
            ("span", wanted["span_id"], "Hi")
        ]


def test_who_comes_back_is_told_what_came_since(shared_server: ServerProcess) -> None:
    spans = [call("again", [], str(number)) for number in range(4)]
    with tail(shared_server, "session=again") as reader:
        send(shared_server, *spans[:2])
        last = reader.wait_for(2)[-1][1]
    send(shared_server, spans[2])
    with tail(shared_server, "session=again", last) as reader:
        send(shared_server, spans[3])
        events = reader.wait_for(2)
        time.sleep(0.5)

        assert [span["span_id"] for _, _, span in events] == [spans[2]["span_id"], spans[3]["span_id"]]


def test_a_position_that_is_none_is_refused(shared_server: ServerProcess) -> None:
    for last in ("x", "1-2", "-1-a-b", "9" * 40 + "-a-b"):
        status, _, body = shared_server.request("GET", "/traces/live", headers={"Last-Event-ID": last})
        assert (status, json.loads(body)["error"]["field"]) == (400, "Last-Event-ID")


def test_listeners_have_a_limit_and_end_with_the_server(server: ServerProcess) -> None:
    readers = [Tail(server.url).start() for _ in range(8)]
    assert [reader.status for reader in readers] == [200] * 8
    refused = Tail(server.url).start()
    assert refused.status == 503
    readers[0].stop()
    deadline = time.monotonic() + 10
    while (again := Tail(server.url).start()).status != 200:
        assert time.monotonic() < deadline
    began = time.monotonic()
    server.send_signal(signal.SIGTERM)

    assert server.wait(20) == 0
    assert time.monotonic() - began < 10
    for reader in (*readers[1:], again):
        assert reader.is_ended.wait(5)
        assert reader.events[-1][0] == "end"


def test_what_a_library_sends_as_events_is_what_was_said(shared_server: ServerProcess) -> None:
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    send(shared_server, sent := flat_trace(KEY, "events", trace_id=trace_id, span_id=span_id))
    began = int(datetime.fromisoformat(sent["start_time"]).timestamp() * 1e9)
    said = (("gen_ai.system.message", "Be brief."), ("gen_ai.user.message", "2+2?"), ("gen_ai.choice", "4"))
    records = [
        {
            "timeUnixNano": str(began + place),
            "eventName": name,
            "traceId": trace_id,
            "spanId": span_id,
            "body": {"kvlistValue": {"values": [{"key": "content", "value": {"stringValue": content}}]}},
        }
        for place, (name, content) in enumerate(said)
    ]
    assert shared_server.post("/v1/logs", {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})[0] == 200

    _, trace = shared_server.get(f"/traces/{trace_id}")
    _, session = shared_server.get("/sessions/events")

    call_span = next(span for span in trace["spans"] if span["span_id"] == span_id)
    messages = [*call_span["input_messages"], *call_span["output_messages"]]
    expected = [("system", "Be brief."), ("user", "2+2?"), ("assistant", "4")]
    assert [(message["role"], message["content"]) for message in messages] == expected
    assert [(turn["role"], turn["content"]) for turn in session["turns"]] == expected
