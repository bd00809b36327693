"""Two real servers, one of which forwards to the other: all that is acknowledged arrives, and is shown once."""

import json
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_messages import PROTOBUF, export_request, flat_trace, span
from crash_load import Load
from metrics_scrape import scrape
from otlp_target import Reply, target
from server_command import run
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

# Of each server's own: when it took the span, and what it was hashed as.
OF_SERVER = ("received_at", "content_hash", "promoted", "attributes")
KILLS = 4


@pytest.fixture
def there(tmp_path: Path) -> Iterator[ServerProcess]:
    """The target."""
    server = ServerProcess(tmp_path / "there", "--flush-interval-s", "0.5").start()
    yield server
    server.stop()


def source(tmp_path: Path, *flags: str, **settings: Any) -> ServerProcess:
    """Return a server that forwards, not started."""
    forward = json.dumps({"there": settings})
    return ServerProcess(tmp_path / "here", "--flush-interval-s", "0.1", "--forward", forward, *flags)


def send(server: ServerProcess, *names: str, **attributes: Any) -> None:
    body = export_request([span(name, attributes) for name in names]).SerializeToString()
    assert server.request("POST", "/v1/traces", body, PROTOBUF)[0] == 200


def spans(server: ServerProcess) -> list[dict[str, Any]]:
    rows = server.sql("SELECT * FROM spans ORDER BY trace_id, span_id")
    return [{name: value for name, value in row.items() if name not in OF_SERVER} for row in rows]


def count(server: ServerProcess) -> int:
    return int(server.sql("SELECT count(*) AS n FROM spans")[0]["n"])


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_target_has_the_same_rows(tmp_path: Path, there: ServerProcess, protocol: str) -> None:
    url = there.url if protocol == "http" else f"http://{there.grpc}"
    here = source(tmp_path, url=url, protocol=protocol).start()
    try:
        usage = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5}
        for number in range(3):
            send(here, f"a{number}", f"b{number}", **{"gen_ai.request.model": "gpt-4o", "n": number, **usage})
        for status in ("OK", "ERROR"):
            trace = flat_trace("config", "session", status=status, tags=["a"], metadata={"tier": "pro"})
            assert here.post("/v1/traces", trace)[0] == 200
        there.wait_for("SELECT count(*) FROM spans", 8, timeout_s=10)

        assert spans(there) == spans(here)
        metrics = scrape(here)
        assert metrics.value("otelcol_exporter_sent_spans_total", exporter="otlp_forward/there") == 8
        assert metrics.value("otelcol_exporter_send_failed_spans_total", exporter="otlp_forward/there") == 0
        assert metrics.value("otelcol_exporter_queue_capacity", exporter="otlp_forward/there") == 1 << 30
    finally:
        here.stop()


def test_what_is_redacted_is_not_forwarded(tmp_path: Path, there: ServerProcess) -> None:
    policy = json.dumps({"*": {"content": "drop", "deny": ["secret"]}})
    here = source(tmp_path, "--privacy", policy, url=there.url).start()
    try:
        send(here, "call", **{"secret": "hidden-1", "gen_ai.input.messages": "hidden-2", "kept": "shown"})
        there.wait_for("SELECT count(*) FROM spans", 1, timeout_s=10)

        (row,) = there.sql("SELECT * FROM spans")
        assert "hidden" not in json.dumps(row)
        assert "shown" in row["attributes"]
    finally:
        here.stop()


def test_a_target_that_is_down_gets_all_when_it_is_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    here = source(tmp_path, url=f"http://127.0.0.1:{port}").start()
    there = ServerProcess(tmp_path / "there", "--http", f"127.0.0.1:{port}", "--grpc", "127.0.0.1:0")
    try:
        send(here, "before")
        here.wait_for_commit()
        assert here.terminate() == 0
        here.start()
        send(here, "after")
        here.wait_for_commit()
        assert scrape(here).value("otelcol_exporter_queue_size", exporter="otlp_forward/there") > 0
        there.start()

        there.wait_for("SELECT count(*) FROM spans", 2, timeout_s=20)
    finally:
        here.stop()
        there.stop()


def test_a_target_that_answers_503_or_not_at_all_keeps_no_client_waiting(tmp_path: Path) -> None:
    replies = [Reply(503), Reply(503, {"Retry-After": "1"}), Reply(delay_s=30)]
    with target(lambda before, _: replies[before] if before < len(replies) else Reply()) as fake:
        here = source(tmp_path, url=fake.url, timeout_s=1).start()
        try:
            for number in range(10):
                began_s = time.monotonic()
                send(here, f"span-{number}")
                assert time.monotonic() - began_s < 1.0
                time.sleep(0.15)

            deadline = time.monotonic() + 20
            while len(set(fake.taken)) < 10:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            here.stop()


@pytest.mark.timeout(180)
def test_kills_of_the_source_lose_nothing_and_the_target_shows_each_span_once(
    tmp_path: Path, there: ServerProcess
) -> None:
    here = source(tmp_path, "--segment-bytes-max", "65536", url=there.url).start()
    try:
        chance = random.Random()
        load = Load("grpc", "protobuf", "flat")
        for _ in range(KILLS):
            load.run(here, chance.uniform(0.3, 0.9), here.kill)
            here.start()
        there.wait_for("SELECT count(*) FROM spans", count(here), timeout_s=60)

        found = {row["name"] for row in there.sql("SELECT name FROM spans")}
        assert load.acknowledged("grpc", "protobuf", "flat") <= found
        (row,) = there.sql("SELECT count(*) AS n, count(DISTINCT trace_id || span_id) AS different FROM spans")
        assert row["n"] == row["different"]
    finally:
        here.stop()


def test_kills_of_the_target_lose_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    there = ServerProcess(tmp_path / "there", "--http", f"127.0.0.1:{port}", "--grpc", "127.0.0.1:0").start()
    here = source(tmp_path, url=there.url).start()
    try:
        for number in range(3):
            send(here, *(f"{number}-{place}" for place in range(700)))
            time.sleep(0.3)
            there.kill()
            there.start()

        there.wait_for("SELECT count(*) FROM spans", 2100, timeout_s=60)
    finally:
        here.stop()
        there.stop()


def test_without_a_target_there_is_nothing_of_it(server: ServerProcess) -> None:
    send(server, "call")
    assert not any("forward" in name for name in scrape(server).names())
    assert server.terminate() == 0

    assert not (server.data_dir / "forward").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "ftp://x"}, "http:// or https:// and a host expected"),
        ({"url": "http://user:pass@x"}, "put secrets into headers"),
        ({"url": "http://x", "headers": {"content-type": "secret"}}, "OTLP does not set itself"),
        ({"url": "http://x/path", "protocol": "grpc", "headers": {"key": "secret"}}, "without a path"),
        ({"url": "http://x", "header": {"key": "secret"}}, "Extra inputs"),
    ],
)
def test_a_target_that_can_not_be_is_told_before_the_start(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    done = run("serve", "--data-dir", tmp_path / "data", "--forward", json.dumps({"there": settings}))

    assert done.returncode == 2
    assert said in done.stderr
    assert "secret" not in done.stderr.replace("put secrets into headers", "")
    assert "pass@" not in done.stderr
