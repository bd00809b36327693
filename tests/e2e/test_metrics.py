"""``GET /metrics`` of a real server: it rises by what was sent, and the books balance in every scrape."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from client_messages import (
    JSON,
    PROTOBUF,
    export_bytes,
    export_request,
    exposure,
    flat_trace,
    grpc_channel,
    metrics,
    span,
)
from crash_load import KEY, SPANS_A_REQUEST, Load
from metrics_scrape import TABLES, Scrape, scrape
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

CONFIG = {"key": KEY, "variants": [{"model": "gpt-4o", "weight": 100}]}
DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana.json"
GRPC = {"receiver": "otlp", "transport": "grpc"}
HTTP = {"receiver": "otlp", "transport": "http"}


@pytest.fixture
def hot(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that commits nothing before it stops."""
    server = ServerProcess(tmp_path / "data", "--flush-interval-s", "3600", "--body-bytes-max", "100000")
    server.start().define({"configs": [CONFIG]})
    yield server
    server.stop()


def body(*spans: Any) -> bytes:
    return export_request([*spans]).SerializeToString()


def post(server: ServerProcess, content: bytes, headers: dict[str, str] = PROTOBUF, path: str = "/v1/traces") -> int:
    return server.request("POST", path, content, headers)[0]


def scrape_when_committed(server: ServerProcess) -> Scrape:
    """Return the first scrape that finds nothing in the log."""
    deadline = time.monotonic() + 30
    while any((found := scrape(server)).rows("in_log", table) for table in TABLES):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_counters_rise_by_what_was_sent(hot: ServerProcess) -> None:
    before = scrape(hot)
    assert before.value("otelcol_receiver_accepted_spans_total", **GRPC) == 0
    again = body(span(), span())
    with grpc_channel(hot.grpc) as channel:
        export_bytes(channel, body(span(), span(), span()))
        export_bytes(channel, again)
        export_bytes(channel, again)
    assert post(hot, body(span(), span(trace_id=b""), span(span_id=bytes(8)), *[span(span_id=b"1")] * 9)) == 200
    assert post(hot, json.dumps(flat_trace(KEY, "s")).encode(), JSON) == 200
    assert post(hot, json.dumps(metrics(KEY, "s", a=1, b=2)).encode(), JSON, "/spans") == 200
    assert post(hot, json.dumps(exposure(KEY, "s", "gpt-4o")).encode(), JSON, "/sessions") == 200

    after = scrape(hot)

    assert after.value("otelcol_receiver_accepted_spans_total", **GRPC) == 7
    assert after.value("otelcol_receiver_accepted_spans_total", **HTTP) == 2
    fallom = {"receiver": "fallom", "transport": "http"}
    assert after.value("otelcol_receiver_accepted_metric_points_total", **fallom) == 2
    assert after.value("fallom_receiver_accepted_exposures_total", **fallom) == 1
    assert after.value("fallom_receiver_rejected_spans_total", **HTTP, reason="trace_id") == 1
    assert after.value("fallom_receiver_rejected_spans_total", **HTTP, reason="span_id") == 10
    assert [after.rows("accepted", table) for table in TABLES] == [9, 2, 1]
    assert after.rows("deduplicated", "spans") == 2
    assert after.rows("in_log", "spans") == 7
    assert after.is_balanced()
    assert after.value("fallom_acknowledgement_seconds_count") == 7
    assert after.value("fallom_acknowledgement_seconds_bucket", le="+Inf") == 7
    # The second time there is nothing of the two to write.
    assert 1 <= after.value("fallom_log_sync_seconds_count", table="spans") <= 4
    assert after.value("otelcol_exporter_queue_size", exporter="lake") == sum(
        after.value("fallom_log_bytes", table=table) for table in TABLES
    )
    assert after.value("otelcol_process_cpu_seconds_total") > before.value("otelcol_process_cpu_seconds_total") > 0
    assert after.value("otelcol_process_memory_rss") > 50_000_000


def test_refused_requests_are_counted_by_reason(hot: ServerProcess) -> None:
    with grpc_channel(hot.grpc) as channel, pytest.raises(grpc.RpcError):
        export_bytes(channel, b"\xff\xff")
    assert post(hot, b"\xff\xff") == 400
    assert post(hot, b"{", JSON) == 400
    assert post(hot, b"{", JSON, "/spans") == 400
    assert post(hot, bytes(100_001)) == 413
    assert post(hot, b"", {"Content-Type": "text/plain"}) == 415

    found = scrape(hot)

    refused = {
        (labels["transport"], labels["reason"]): value
        for (name, pairs), value in found.samples.items()
        if name == "fallom_receiver_refused_requests_total" and (labels := dict(pairs))
    }
    assert refused == {
        ("grpc", "malformed"): 1,
        ("http", "malformed"): 3,
        ("http", "too_large"): 1,
        ("http", "unsupported"): 1,
    }
    assert found.value("otelcol_receiver_accepted_spans_total", **HTTP) == 0


def test_spans_that_the_log_can_not_take_are_counted_as_refused(tmp_path: Path) -> None:
    flags = ("--flush-interval-s", "3600", "--log-bytes-max", str(1 << 20))
    server = ServerProcess(tmp_path / "data", *flags).start()
    accepted = 0
    try:
        while post(server, body(*(span("x", {"text": "x" * 50_000}) for _ in range(5)))) == 200:
            accepted += 5

        found = scrape(server)

        assert found.value("otelcol_receiver_accepted_spans_total", **HTTP) == accepted
        assert found.value("otelcol_receiver_refused_spans_total", **HTTP) == 5
        assert found.value("otelcol_receiver_failed_spans_total", **HTTP) == 0
        assert found.value("fallom_receiver_refused_requests_total", transport="http", reason="log_full") == 1
        assert found.value("otelcol_exporter_queue_capacity", exporter="lake") == 1 << 20
    finally:
        server.stop()


def test_the_books_balance_in_every_scrape_under_load_and_after_a_kill(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", "--flush-interval-s", "0.5", "--segment-bytes-max", "65536")
    server.start().define({"configs": [CONFIG]})
    load = Load()
    stopping = threading.Event()
    scrapes: list[Scrape] = []

    def watch() -> None:
        while not stopping.is_set():
            scrapes.append(scrape(server))
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        load.run(server, 2.0, stopping.set)
        watcher.join()
        last = scrape(server)
        answers = {kind: sender.answers for kind, sender in load.senders.items()}

        assert len(scrapes) > 10
        assert all(found.is_balanced() for found in [*scrapes, last])
        assert last.value("otelcol_receiver_accepted_spans_total", **GRPC) == answers["grpc"] * SPANS_A_REQUEST
        assert last.value("otelcol_receiver_accepted_spans_total", **HTTP) == (
            answers["protobuf"] * SPANS_A_REQUEST + answers["flat"]
        )
        assert last.rows("accepted", "spans") == sum(
            last.value("otelcol_receiver_accepted_spans_total", **source) for source in (GRPC, HTTP)
        )
        assert last.value("fallom_acknowledgement_seconds_count") == sum(answers.values())
        assert last.value("fallom_commit_lag_seconds_count", table="spans") > 0

        load.run(server, 0.5, server.kill)
        server.start()
        found = scrape(server)

        assert found.is_balanced()
        assert sum(found.rows("recovered", table) for table in TABLES) > 0
        assert found.rows("accepted", "spans") == 0
        found = scrape_when_committed(server)
        assert found.is_balanced()
        assert found.rows("committed", "spans") == found.rows("recovered", "spans")
        assert found.value("otelcol_exporter_sent_spans_total", exporter="lake") == found.rows("committed", "spans")
    finally:
        stopping.set()
        server.stop()


def test_openmetrics_is_answered_to_who_asks_for_it_and_odd_wishes_do_no_harm(hot: ServerProcess) -> None:
    for accept in ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text; version=x\xff"):
        status, headers, text = hot.request("GET", "/metrics", headers={"Accept": accept})

        assert status == 200
        assert headers["content-type"].startswith("application/openmetrics-text")
        assert text.endswith(b"# EOF\n")
    assert hot.request("GET", "/metrics", headers={"Accept": "text/plain;version=x;;,"})[0] == 200


def test_every_metric_of_the_dashboard_is_in_a_scrape(hot: ServerProcess) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert post(hot, body(span(trace_id=b""), span())) == 200
    assert post(hot, b"\xff") == 400
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
        for name in re.findall(r"\b(?:fallom|otelcol)_\w+", target["expr"])
    }

    names = scrape(hot).names()

    assert len(asked) > 15
    assert asked - names == set()
