"""Whatever becomes of the server, the host's calls succeed, with unchanged results, and wait for nothing."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from sdk_server import CONFIG, FakeServer, Said, as_it_should, fake_server

import fallom
from fallom import models, runtime, trace, transport
from fallom.assignment import assign
from fallom.tracing import tracer

pytestmark = pytest.mark.usefixtures("sdk")

CALLS = 200


def calls() -> list[str]:
    """Do what a host does; return what it got, all of it on this thread."""
    got: list[str] = []
    for number in range(CALLS):
        got.append(models.get("agent", f"session-{number}", fallback="mine"))
        trace.span({"score": number})
        with tracer().start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
            pass
    return got


def cpu_ms_a_call(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(3):
        began = time.thread_time()
        work()
        best = min(best, time.thread_time() - began)
    return best / CALLS * 1000


ANSWERS: dict[str, Callable[[Any], Said]] = {
    "500": lambda asked: Said(500, b"oops"),
    "503 with a hint": lambda asked: Said(503, b"", {"Retry-After": "1"}),
    "404": lambda asked: Said(404),
    "401": lambda asked: Said(401),
    "garbage": lambda asked: Said(200, b"\x00<html>not JSON"),
    "another JSON": lambda asked: Said(200, b'{"configs": {"agent": 1}, "prompts": 4, "rejected": "many"}'),
    "deep JSON": lambda asked: Said(200, b'{"configs":' + b"[" * 100_000),
    "hung up": lambda asked: Said(200, None),
    "redirect": lambda asked: Said(302, b"", {"Location": "http://127.0.0.1:9/"}),
    "broken gzip": lambda asked: Said(200, b"not gzip", {"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_with_answers_like_these_the_fallback_is_used_and_nothing_raises(fake: FakeServer, name: str) -> None:
    fake.answer = ANSWERS[name]
    assert not fallom.init(api_key="key", base_url=fake.url, sync_interval_s=0.05)
    assert calls() == ["mine"] * CALLS
    fake.wait_for(lambda: len(fake.of("/configs")) >= 2 and fake.of("/sessions") and fake.of("/v1/traces"))
    assert cpu_ms_a_call(calls) < 1.0
    began = time.monotonic()
    fallom.shutdown(timeout_s=0.5)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("name", ANSWERS)
def test_what_was_fetched_before_stays(fake: FakeServer, name: str) -> None:
    assert fallom.init(api_key="key", base_url=fake.url, sync_interval_s=0.05, wait_s=30)
    fake.answer = ANSWERS[name]
    before = len(fake.of("/configs"))
    fake.wait_for(lambda: len(fake.of("/configs")) >= before + 2)
    assert calls() == [assign(CONFIG, f"session-{number}").model for number in range(CALLS)]


def test_a_server_that_takes_its_time_keeps_nobody_waiting(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "READ_TIMEOUT_S", 0.2)
    fake.answer = lambda asked: Said(200, b"{}", after_s=30)
    fallom.init(api_key="key", base_url=fake.url)
    assert calls() == ["mine"] * CALLS
    assert cpu_ms_a_call(calls) < 1.0
    assert not fallom.flush(0.5)


@pytest.fixture
def unreachable() -> Iterator[dict[str, str]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # It accepts connections, by the system, and never answers.
        yield {
            "nobody listens": "http://127.0.0.1:9",
            "no such host": "http://nowhere.invalid",
            "not HTTP": f"http://127.0.0.1:{listening.getsockname()[1]}",
        }


@pytest.mark.parametrize("name", ["nobody listens", "no such host", "not HTTP"])
def test_without_a_server_the_fallback_is_used(
    unreachable: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "READ_TIMEOUT_S", 0.2)
    fallom.init(api_key="key", base_url=unreachable[name], sync_interval_s=0.05)
    assert calls() == ["mine"] * CALLS
    sync = runtime.current().sync
    assert sync is not None
    assert sync.tried.wait(60)
    assert not models.ready(0)
    assert not fallom.flush(0.2)


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(tmp_path / "authority", "nobody").sign("server"))
    with fake_server(context) as server:
        fallom.init(api_key="key", base_url=server.url, sync_interval_s=0.05)
        sync = runtime.current().sync
        assert sync is not None
        assert sync.tried.wait(60)
        assert calls() == ["mine"] * CALLS
        assert server.asked == []
    assert "certificate" in caplog.text.lower()


def test_a_server_that_comes_back_gets_what_waits(fake: FakeServer) -> None:
    fake.answer = lambda asked: Said(503, b"", {"Retry-After": "0"})
    fallom.init(api_key="key", base_url=fake.url, sync_interval_s=0.05)
    calls()
    fake.wait_for(lambda: fake.of("/v1/traces") and fake.of("/sessions"))
    fake.asked.clear()
    fake.answer = as_it_should
    assert fallom.flush(60)
    assert len(fake.spans()) == CALLS
    assert {event["session_id"] for event in fake.events("/sessions")} == {f"session-{n}" for n in range(CALLS)}
    assert len(fake.events("/spans")) == CALLS
    assert runtime.current().losses.as_dict() == {}


def test_what_does_not_fit_is_counted_and_said_once(fake: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    fake.answer = lambda asked: Said(503)
    fallom.init(api_key="key", base_url=fake.url, max_queue_size=10)
    calls()
    tracing = runtime.current().tracing
    assert tracing is not None
    lost = runtime.current().losses.as_dict()["spans: the queue was full"]
    assert lost + len(tracing.spans) == CALLS
    assert len([record for record in caplog.records if record.message.startswith("not delivered")]) == 1


def test_the_key_is_in_no_message(fake: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    fake.answer = lambda asked: Said(401)
    fallom.init(api_key="fallom_secret", base_url=fake.url, debug=True, sync_interval_s=0.05)
    calls()
    fake.wait_for(lambda: fake.of("/sessions") and fake.of("/configs"))
    fallom.shutdown(1)
    assert "refuses the API key" in caplog.text
    assert "fallom_secret" not in caplog.text


def test_ten_thousand_sessions_at_once(fake: FakeServer) -> None:
    assert fallom.init(api_key="key", base_url=fake.url, wait_s=30)
    got: dict[str, str] = {}

    def host(first: int) -> None:
        for number in range(first, first + 2_500):
            got[f"session-{number}"] = models.get("agent", f"session-{number}")

    threads = [threading.Thread(target=host, args=(first,)) for first in range(0, 10_000, 2_500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {session_id: assign(CONFIG, session_id).model for session_id in got}
    assert len(got) == 10_000
    assert fallom.flush(60)
    lost = sum(runtime.current().losses.as_dict().values())
    assert len({event["session_id"] for event in fake.events("/sessions")}) + lost == 10_000
