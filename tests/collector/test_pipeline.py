"""The pipeline: many requests, one batch, an outcome each; nothing that a request does can end the thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from client_messages import key_values
from collector_inputs import export, flat_trace, span
from lake_parts import Parts
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from collector import processors
from collector.component import DecodeError, DrainingError, LogFullError, RetryableError
from collector.pipeline import Pipeline
from collector.request import Format, Outcome, Request


class Kept:
    """A consumer that keeps what it is given, once its door is open."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, pa.RecordBatch]] = []
        self.door = threading.Event()
        self.door.set()
        self.error: Exception | None = None

    def consume(self, table: str, rows: pa.RecordBatch) -> None:
        assert self.door.wait(10)
        if self.error:
            raise self.error
        self.batches.append((table, rows))

    def rows(self, table: str) -> list[dict[str, Any]]:
        return [row for name, rows in self.batches if name == table for row in rows.to_pylist()]


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def pipeline(kept: Kept) -> Iterator[Pipeline]:
    pipeline = Pipeline(kept)
    pipeline.start()
    yield pipeline
    kept.door.set()
    pipeline.stop()


def trace(number: int = 1, **changes: Any) -> Request:
    body = orjson.dumps(flat_trace(span_id=f"{number:016x}", **changes))
    return Request(Format.JSON_TRACES, body, "p")


def metric(name: str, value: object = 1) -> Request:
    return Request(Format.METRICS, orjson.dumps({"config_key": "c", "session_id": "s", "data": {name: value}}), "p")


MALFORMED = Request(Format.JSON_TRACES, b"{", "p")


def in_one_batch(pipeline: Pipeline, kept: Kept, requests: list[Request]) -> list[Future[Outcome]]:
    """Submit while the consumer is busy with an earlier request, so that all of these wait together."""
    kept.door.clear()
    first = pipeline.submit(metric("first"))
    while not first.running():
        time.sleep(0.001)
    futures = [pipeline.submit(request) for request in requests]
    kept.door.set()
    wait([first, *futures], 10)
    return futures


def test_requests_that_wait_together_become_one_batch_a_table(pipeline: Pipeline, kept: Kept) -> None:
    futures = in_one_batch(pipeline, kept, [trace(1), metric("a"), trace(2), metric("b")])

    assert [future.result() for future in futures] == [Outcome(1)] * 4
    assert [(table, rows.num_rows) for table, rows in kept.batches[1:]] == [("spans", 2), ("metrics", 2)]


def test_a_malformed_request_fails_alone(pipeline: Pipeline, kept: Kept) -> None:
    futures = in_one_batch(pipeline, kept, [trace(1), MALFORMED, metric("bad", None), trace(2)])

    assert futures[0].result() == futures[3].result() == Outcome(1)
    assert isinstance(futures[1].exception(), DecodeError)
    assert str(futures[2].exception()).startswith("data.bad: ")
    assert len(kept.rows("spans")) == 2


def test_a_span_that_is_rejected_is_told_and_the_rest_is_kept(pipeline: Pipeline, kept: Kept) -> None:
    body = export(span(), span(trace_id=b""))

    outcome = pipeline.submit(Request(Format.OTLP_PROTOBUF, body, "p")).result(10)

    assert (outcome.accepted, outcome.rejected) == (1, 1)
    assert "traceId" in outcome.message
    assert len(kept.rows("spans")) == 1


def test_a_request_without_rows_is_a_success_and_makes_no_batch(pipeline: Pipeline, kept: Kept) -> None:
    outcome = pipeline.submit(Request(Format.OTLP_PROTOBUF, b"", "p")).result(10)

    assert outcome == Outcome(0)
    assert kept.batches == []


def test_rows_go_through_the_processors(pipeline: Pipeline, kept: Kept) -> None:
    pipeline.submit(trace(model="gpt-4o", kind="llm")).result(10)

    (row,) = kept.rows("spans")
    assert (row["provider"], row["is_inference"], row["project"]) == ("openai", True, "p")


def test_a_request_whose_client_has_gone_is_left_out_and_the_others_are_not(pipeline: Pipeline, kept: Kept) -> None:
    kept.door.clear()
    first = pipeline.submit(trace(1))
    while not first.running():
        time.sleep(0.001)
    gone, waiting = pipeline.submit(trace(2)), pipeline.submit(trace(3))

    assert gone.cancel()
    kept.door.set()

    assert waiting.result(10) == Outcome(1)
    assert [row["span_id"][-1] for row in kept.rows("spans")] == ["1", "3"]
    assert pipeline.submit(trace(4)).result(10) == Outcome(1)


def test_a_client_that_goes_while_its_rows_are_stored_ends_nothing(pipeline: Pipeline, kept: Kept) -> None:
    kept.door.clear()
    first = pipeline.submit(trace(1))
    while not first.running():
        time.sleep(0.001)

    assert not first.cancel()
    kept.door.set()

    assert first.result(10) == Outcome(1)


def test_a_refusal_of_the_exporter_is_that_of_every_request_in_the_batch(pipeline: Pipeline, kept: Kept) -> None:
    kept.error = LogFullError("full", retry_after_s=5)

    futures = in_one_batch(pipeline, kept, [trace(1), MALFORMED, trace(2)])

    assert futures[0].exception() is futures[2].exception() is kept.error
    assert isinstance(futures[1].exception(), DecodeError)


def test_a_failure_that_nobody_foresaw_is_retryable_and_ends_nothing(pipeline: Pipeline, kept: Kept) -> None:
    kept.error = ZeroDivisionError()
    failed = in_one_batch(pipeline, kept, [trace(1), trace(2)])

    assert all(isinstance(future.exception(), RetryableError) for future in failed)
    kept.error = None
    assert pipeline.submit(trace(3)).result(10) == Outcome(1)


def test_a_failure_outside_of_any_step_ends_nothing_either(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_decode", lambda requests: 1 / 0)
    assert isinstance(pipeline.submit(trace(1)).exception(10), RetryableError)

    monkeypatch.undo()
    assert pipeline.submit(trace(2)).result(10) == Outcome(1)


def test_a_request_whose_rows_can_t_be_made_a_batch_fails_alone_and_for_good(
    pipeline: Pipeline, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(rows: pa.RecordBatch) -> pa.RecordBatch:
        if "poison" in rows["name"].to_pylist():
            raise pa.ArrowCapacityError("array cannot contain more")
        return rows

    monkeypatch.setitem(processors.PROCESSORS, "metrics", (breaks,))

    futures = in_one_batch(pipeline, kept, [metric("a"), metric("poison"), trace(1), metric("b")])

    assert [future.exception() for future in (futures[0], futures[2], futures[3])] == [None] * 3
    assert isinstance(futures[1].exception(), DecodeError)
    assert [row["name"] for row in kept.rows("metrics")] == ["first", "a", "b"]


def test_receipts_rise_strictly_in_the_order_of_submission(pipeline: Pipeline, kept: Kept) -> None:
    in_one_batch(pipeline, kept, [metric(str(number)) for number in range(2000)])

    rows = kept.rows("metrics")
    times: list[datetime] = [row["received_at"] for row in rows]
    assert [row["name"] for row in rows[1:]] == [str(number) for number in range(2000)]
    assert times == sorted(set(times))


def test_all_metrics_of_a_request_bear_its_one_receipt(pipeline: Pipeline, kept: Kept) -> None:
    body = orjson.dumps({"config_key": "c", "session_id": "s", "data": {"a": 1, "b": 2}})

    pipeline.submit(Request(Format.METRICS, body, "p")).result(10)

    assert len({row["received_at"] for row in kept.rows("metrics")}) == 1


def test_while_it_drains_what_was_taken_is_answered_and_what_comes_is_refused(kept: Kept) -> None:
    pipeline = Pipeline(kept)
    pipeline.start()
    kept.door.clear()
    taken = [pipeline.submit(trace(number + 1)) for number in range(20)]
    stopping = threading.Thread(target=pipeline.stop)
    stopping.start()
    while not (late := pipeline.submit(trace(99))).done():
        taken.append(late)

    kept.door.set()
    stopping.join(10)

    assert isinstance(late.exception(0), DrainingError)
    assert not stopping.is_alive()
    assert all(future.result(0) == Outcome(1) for future in taken)


def test_every_request_of_many_threads_is_answered_though_it_stops(kept: Kept) -> None:
    pipeline = Pipeline(kept)
    pipeline.start()
    futures: list[Future[Outcome]] = []

    request = metric("a")

    def client() -> None:
        while True:
            future = pipeline.submit(request)
            futures.append(future)
            time.sleep(0.0005)
            if future.done() and future.exception():
                return

    clients = [threading.Thread(target=client) for _ in range(8)]
    for thread in clients:
        thread.start()
    while len(futures) < 200:
        time.sleep(0.001)
    pipeline.stop()
    for thread in clients:
        thread.join()

    assert all(future.done() for future in futures)
    accepted = sum(future.result().accepted for future in futures if not future.exception())
    assert accepted == len(kept.rows("metrics"))


def test_stopping_is_safe_twice_and_without_a_start(kept: Kept) -> None:
    never_started = Pipeline(kept)
    queued = never_started.submit(trace())

    never_started.stop()
    never_started.stop()

    assert isinstance(queued.exception(0), DrainingError)
    assert isinstance(never_started.submit(trace()).exception(0), DrainingError)


@pytest.mark.parametrize("body_format", list(Format))
@pytest.mark.parametrize(
    "body", [b"", b"\0", b"[1]", b"{}", b"\xff" * 50, b'{"data":' + b"[" * 900 + b"]" * 900 + b"}"]
)
def test_no_body_ends_the_thread(pipeline: Pipeline, body: bytes, body_format: Format) -> None:
    pipeline.submit(Request(body_format, body, "p")).exception(10)

    assert pipeline.submit(trace()).result(10) == Outcome(1)


def test_items_are_counted_by_table_receiver_and_transport_before_they_are_answered(
    pipeline: Pipeline, kept: Kept
) -> None:
    rpc = Request(Format.OTLP_PROTOBUF, export(span(), span(), span(trace_id=b"")), "p", {}, "grpc")
    in_one_batch(pipeline, kept, [rpc, trace(1), trace(2), metric("a"), MALFORMED])

    counts = pipeline.counts
    assert counts.accepted == {
        ("spans", "otlp", "grpc"): 2,
        ("spans", "otlp", "http"): 2,
        ("metric_points", "fallom", "http"): 2,
    }
    assert counts.rejected == {(("spans", "otlp", "grpc"), "trace_id"): 1}
    assert counts.acknowledgement.read().cumulative[-1] == 5


def test_items_that_can_not_be_stored_are_counted_as_refused_or_failed(pipeline: Pipeline, kept: Kept) -> None:
    for error in (LogFullError("full"), ValueError("unforeseen")):
        kept.error = error
        assert pipeline.submit(trace(1)).exception(10) is not None

    spans = {("spans", "otlp", "http"): 1}
    assert (pipeline.counts.accepted, pipeline.counts.refused, pipeline.counts.failed) == ({}, spans, spans)


def test_an_outcome_means_that_the_rows_are_on_disk(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "data")
    exporter = parts.exporter()
    exporter.start()
    pipeline = Pipeline(exporter)
    pipeline.start()

    outcomes = [pipeline.submit(trace(number % 3 + 1)).result(10) for number in range(6)]

    assert outcomes == [Outcome(1)] * 6
    assert Parts(parts.data.path).count() == 3
    pipeline.stop()
    exporter.stop()


def test_a_round_whose_rows_are_many_times_its_bytes_is_exported_in_parts(pipeline: Pipeline, kept: Kept) -> None:
    resource = {"k": "x" * 1_000_000}
    sent = [Request(Format.OTLP_PROTOBUF, export(*[span()] * 100, resource=resource), "p") for _ in range(8)]

    futures = in_one_batch(pipeline, kept, sent)

    assert [future.result(60) for future in futures] == [Outcome(100)] * 8
    batches = [rows for table, rows in kept.batches if table == "spans"]
    assert sum(rows.num_rows for rows in batches) == 800
    assert max(rows.nbytes for rows in batches) < 300_000_000


def logs_of_all_tables() -> Request:
    """Events that become an exposure, a metric and a span, and a record that is dropped."""
    flag = {"feature_flag.key": "c", "feature_flag.version": "1", "feature_flag.result.variant": "m", "session.id": "s"}
    score = {"gen_ai.evaluation.name": "n", "gen_ai.evaluation.score.label": "good", "fallom.config_key": "c"}
    message = ExportLogsServiceRequest()
    records = message.resource_logs.add().scope_logs.add().log_records
    records.add(event_name="feature_flag.evaluation", attributes=key_values(flag))
    records.add(event_name="gen_ai.evaluation.result", attributes=key_values({**score, "session.id": "s"}))
    records.add(event_name="gen_ai.choice", trace_id=b"1" * 16, time_unix_nano=1)
    records.add(event_name="other")
    return Request(Format.LOGS_PROTOBUF, message.SerializeToString(), "p")


def test_a_request_with_rows_of_several_tables_is_answered_once_all_are_stored(pipeline: Pipeline, kept: Kept) -> None:
    outcome = pipeline.submit(logs_of_all_tables()).result(10)

    assert outcome == Outcome(3, dropped=1)
    assert [(table, rows.num_rows) for table, rows in kept.batches] == [("exposures", 1), ("metrics", 1), ("spans", 1)]
    assert pipeline.dropped == {"logs_protobuf": 1}


@pytest.mark.parametrize("failing", ["exposures", "metrics", "spans"])
def test_a_request_with_rows_of_several_tables_is_refused_where_one_can_t_be_stored(
    pipeline: Pipeline, kept: Kept, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def consume(table: str, rows: pa.RecordBatch) -> None:
        if table == failing:
            raise LogFullError("full")

    monkeypatch.setattr(kept, "consume", consume)
    error = pipeline.submit(logs_of_all_tables()).exception(10)
    monkeypatch.undo()

    assert isinstance(error, LogFullError)
    assert pipeline.submit(logs_of_all_tables()).result(10) == Outcome(3, dropped=1)
