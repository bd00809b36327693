"""OpenTelemetry's own exporters for JavaScript against a real server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_messages import flat_trace
from javascript_exporters import export, install, outcome
from metrics_scrape import scrape
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

MIB = 1024 * 1024


@pytest.fixture(scope="module", autouse=True)
def exporters() -> None:
    install()


@pytest.fixture
def nearly_full_server(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path / "data", "--flush-interval-s", "3600", "--log-bytes-max", str(MIB)).start()
    yield server
    server.stop()


def address(server: ServerProcess, kind: str) -> str:
    return f"http://{server.grpc}" if kind == "grpc" else f"{server.url}/v1/traces"


def refused(server: ServerProcess, kind: str) -> float:
    """Return how many requests of the exporter's transport the server has refused since its log is full."""
    labels = {"transport": "grpc" if kind == "grpc" else "http", "reason": "log_full"}
    name = ("fallom_receiver_refused_requests_total", frozenset(labels.items()))
    return scrape(server).samples.get(name, 0.0)


each_exporter = pytest.mark.parametrize("kind", ["grpc", "http", "proto"])


@each_exporter
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_what_the_exporter_sends_is_stored_without_loss(
    shared_server: ServerProcess, kind: str, compression: str
) -> None:
    result = outcome(export(kind, address(shared_server, kind), compression=compression, count=20))

    assert (result["code"], result["error"]) == (0, None)
    ids = ", ".join(f"'{sent['traceId']}'" for sent in result["spans"])
    found = {row["span_id"]: row for row in shared_server.sql(f"SELECT * FROM spans WHERE trace_id IN ({ids})")}
    assert found.keys() == {sent["spanId"] for sent in result["spans"]}
    for sent in result["spans"]:
        row = found[sent["spanId"]]
        assert (row["name"], row["parent_span_id"]) == (sent["name"], sent["parentSpanId"])
        assert (row["scope_name"], row["scope_version"]) == ("javascript", "1.2.3")
        if row["parent_span_id"] is None:
            assert (row["kind"], row["status_code"]) == ("client", "unset")
            assert (row["start_time_unix_nano"], row["duration_ns"]) == (1_790_000_000_123_456_789, 1_864_197_532)
        else:
            assert (row["status_code"], row["status_message"]) == ("error", "too slow")
            assert (row["request_model"], row["input_tokens"]) == ("gpt-4o", 12)
            assert (row["config_key"], row["session_id"].split()[0]) == ("javascript", "session")
            attributes = json.loads(row["attributes"])
            expected = {
                "text": 'Grüße, 日本 🎉\n"quoted"',
                "whole": 42,
                "large": 2**53 - 1,
                "fraction": 0.1,
                "yes": True,
                "texts": ["a", "", "é"],
                "numbers": [1, 2, 3],
            }
            assert {name: attributes[name] for name in expected} == expected
            (event,) = json.loads(row["events"])
            assert (event["name"], event["attributes"]) == ("said", {"words": 2})
            (link,) = json.loads(row["links"])
            assert (link["span_id"], link["attributes"]) == (row["parent_span_id"], {"linked": 1})


@each_exporter
def test_a_batch_that_is_refused_comes_again_and_is_stored_once(nearly_full_server: ServerProcess, kind: str) -> None:
    server = nearly_full_server
    status, number = 200, 0
    while status == 200:
        status, _ = server.post("/v1/traces", flat_trace("filler", f"s{number}", input="x" * 20_000))
        number += 1
    assert status == 503

    before = refused(server, kind)
    exporting = export(kind, address(server, kind), count=3)
    deadline = time.monotonic() + 30
    while refused(server, kind) == before:
        assert time.monotonic() < deadline, "the exporter's request did not come"
        time.sleep(0.02)
    # To forget somebody commits the log, so that there is room again.
    assert server.post("/customers/forget", {"customer_id": "nobody"})[0] == 202

    result = outcome(exporting)
    assert (result["code"], result["error"]) == (0, None)
    assert (result["attempts"] == 1) is (kind != "grpc")
    assert server.sql("SELECT count(*) AS n, count(DISTINCT span_id) AS ids FROM spans WHERE name LIKE '% 0'") == [
        {"n": 2, "ids": 2}
    ]
