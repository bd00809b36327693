"""OTLP spans to rows: what is kept, what is clamped, what is rejected alone, and which columns the dialects fill."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest
from collector_inputs import (
    RECEIVED_AT,
    START_UNIX_NANO,
    decode,
    export,
    key_values,
    span,
    span_row,
    stored,
)
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.component import DecodeError, TooLargeError
from collector.otlp import wire
from collector.otlp.columns import FUTURE_DAYS_MAX, PAST_DAYS_MAX, partition_day
from collector.otlp.scan import SHARED_BYTES_MAX
from collector.request import Format, Receipt, Request
from schemas.spans import SPANS

PROTOBUF = Format.OTLP_PROTOBUF
UNIX_NANO_MAX = 2**63 - 1


def test_a_span_fills_the_columns_that_every_span_has() -> None:
    body = export(
        span(
            {"k": 1},
            parent_span_id=bytes(7) + b"\x01",
            trace_state="a=b",
            kind=Span.SPAN_KIND_CLIENT,
            status=Status(code=Status.STATUS_CODE_ERROR, message="boom"),
        ),
        scope_name="scope",
        resource={"service.name": "shop"},
    )

    (row,) = stored(decode(body, PROTOBUF))

    expected = {
        "project": "p",
        "date": date(2026, 11, 21),
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
        "parent_span_id": "0000000000000001",
        "trace_state": "a=b",
        "name": "call",
        "kind": "client",
        "start_time": RECEIVED_AT,
        "start_time_unix_nano": START_UNIX_NANO,
        "duration_ns": 1_000_000_000,
        "status_code": "error",
        "status_message": "boom",
        "service_name": "shop",
        "scope_name": "scope",
        "scope_version": None,
        "attributes": '{"k":1}',
        "resource_attributes": '{"service.name":"shop"}',
        "scope_attributes": None,
        "events": None,
        "links": None,
        "received_at": RECEIVED_AT,
    }
    assert {name: row[name] for name in expected} == expected


def test_an_empty_request_is_a_success_without_rows() -> None:
    decoded = decode(b"", PROTOBUF)

    assert (decoded.rows, decoded.rejected, decoded.message) == ([], 0, "")


@pytest.mark.parametrize("body", [b"\x0a", b"not protobuf", b"\xff" * 20, export(span())[:-3]])
def test_bytes_that_are_no_request_are_refused(body: bytes) -> None:
    with pytest.raises(DecodeError, match="ExportTraceServiceRequest"):
        decode(body, PROTOBUF)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trace_id": b""}, "traceId: 16 bytes expected, got 0"),
        ({"trace_id": b"x" * 15}, "traceId: 16 bytes expected, got 15"),
        ({"trace_id": b"x" * 17}, "traceId: 16 bytes expected, got 17"),
        ({"trace_id": bytes(16)}, "traceId: must not be all zeros"),
        ({"span_id": b""}, "spanId: 8 bytes expected, got 0"),
        ({"span_id": b"x" * 16}, "spanId: 8 bytes expected, got 16"),
        ({"span_id": bytes(8)}, "spanId: must not be all zeros"),
        ({"parent_span_id": b"x"}, "parentSpanId: 8 bytes or none expected, got 1"),
    ],
)
def test_a_span_with_unusable_ids_is_rejected_alone(fields: dict[str, bytes], reason: str) -> None:
    body = export(span(), span(**fields), span())

    decoded = decode(body, PROTOBUF)

    assert len(decoded.rows) == 2
    assert decoded.rejected == 1
    assert decoded.message == f"1 spans rejected: resourceSpans[0].scopeSpans[0].spans[1].{reason}"


@pytest.mark.parametrize("digits", [0, 15, 17, 31, 33])
def test_a_json_span_whose_ids_have_a_wrong_number_of_digits_is_rejected_alone(digits: int) -> None:
    good = {"traceId": "a" * 32, "spanId": "b" * 16}
    spans = [good, good | {"traceId": "a" * digits}, good | {"spanId": "b" * digits}]

    decoded = decode({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}, Format.JSON_TRACES)

    assert (len(decoded.rows), decoded.rejected) == (1, 2)


def test_of_many_rejections_the_first_three_are_told_and_all_are_counted() -> None:
    body = export(*[span(span_id=b"") for _ in range(10)])

    decoded = decode(body, PROTOBUF)

    assert decoded.rejected == 10
    assert decoded.message.startswith("10 spans rejected: ")
    assert decoded.message.count("spanId") == 3
    assert decoded.message.endswith("and 7 more")


def test_all_rejections_are_counted_by_reason_and_those_of_a_malformed_request_are_not() -> None:
    spans = [span(), *[span(span_id=b"")] * 7, *[span(trace_id=bytes(16))] * 5, span(parent_span_id=b"x")]
    bodies = [export(*spans), export(*spans)[:-1], export(span()), export(span(span_id=bytes(8)))]

    outcomes = wire.decode([(Request(PROTOBUF, body, "p"), Receipt(1)) for body in bodies]).outcomes

    assert [getattr(outcome, "reasons", None) for outcome in outcomes] == [
        (("trace_id", 5), ("span_id", 7), ("parent_span_id", 1)),
        None,
        (),
        (("span_id", 1),),
    ]


def test_a_parent_of_zeros_is_no_parent() -> None:
    row = span_row(parent_span_id=bytes(8))

    assert row["parent_span_id"] is None


@pytest.mark.parametrize(
    ("start", "end", "expected_start", "expected_duration"),
    [
        (0, 0, 0, None),
        (0, 5, 0, None),
        (START_UNIX_NANO, 0, START_UNIX_NANO, None),
        (START_UNIX_NANO, START_UNIX_NANO - 1, START_UNIX_NANO, None),
        (START_UNIX_NANO, START_UNIX_NANO, START_UNIX_NANO, 0),
        (START_UNIX_NANO, START_UNIX_NANO + 1, START_UNIX_NANO, 1),
        (1, 2**64 - 1, 1, UNIX_NANO_MAX - 1),
        (2**64 - 1, 2**64 - 1, UNIX_NANO_MAX, 0),
    ],
)
def test_times_are_kept_or_held_within_their_column(
    start: int, end: int, expected_start: int, expected_duration: int | None
) -> None:
    body = export(span(start_time_unix_nano=start, end_time_unix_nano=end))

    (row,) = stored(decode(body, PROTOBUF))

    assert (row["start_time_unix_nano"], row["duration_ns"]) == (expected_start, expected_duration)


@given(st.dates(date(1900, 1, 1)), st.dates(date(1972, 1, 1), date(2250, 1, 1)))
def test_a_partition_day_is_the_day_itself_or_the_nearest_allowed(day: date, received: date) -> None:
    found = partition_day(day, received)

    low, high = received - timedelta(PAST_DAYS_MAX), received + timedelta(FUTURE_DAYS_MAX)
    assert found == (day if low <= day <= high else low if day < low else high)


@pytest.mark.parametrize(("start", "days"), [(0, -PAST_DAYS_MAX), (2**64 - 1, FUTURE_DAYS_MAX)])
def test_a_span_far_from_now_is_stored_in_the_nearest_partition(start: int, days: int) -> None:
    row = span_row(start_time_unix_nano=start)

    assert row["date"] == RECEIVED_AT.date() + timedelta(days)
    assert row["start_time"] == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        microseconds=min(start, UNIX_NANO_MAX) // 1000
    )


def event(name: str, after_ns: int, **attributes: Any) -> Span.Event:
    return Span.Event(name=name, time_unix_nano=START_UNIX_NANO + after_ns, attributes=key_values(attributes))


def test_events_and_links_are_kept_in_order_and_in_full() -> None:
    link = Span.Link(trace_id=b"\x01" * 16, span_id=b"\x02" * 8, trace_state="s", attributes=key_values({"l": b"x"}))

    row = span_row(events=[event("b", 5, n=1), event("a", -5)], links=[link])

    assert orjson.loads(row["events"]) == [
        {"name": "b", "time_unix_nano": START_UNIX_NANO + 5, "attributes": {"n": 1}},
        {"name": "a", "time_unix_nano": START_UNIX_NANO - 5, "attributes": {}},
    ]
    assert orjson.loads(row["links"]) == [
        {"trace_id": "01" * 16, "span_id": "02" * 8, "trace_state": "s", "attributes": {"l": {"$bytes": "eA=="}}}
    ]


@pytest.mark.parametrize(
    "name",
    [
        "First Token Stream Event",
        "ai.stream.firstChunk",
        "gen_ai.content.completion.chunk",
        "llm.content.completion.chunk",
    ],
)
def test_the_first_event_of_a_token_is_the_time_to_the_first_token(name: str) -> None:
    events = [event("other", 1), event(name, 120_000_000), event(name, 300_000_000)]

    (row,) = stored(decode(export(span(events=events)), PROTOBUF))

    assert row["time_to_first_token_ns"] == 120_000_000
    assert row["is_streaming"] is True


def test_a_token_event_before_the_start_or_without_a_start_tells_nothing() -> None:
    chunk = "gen_ai.content.completion.chunk"
    before = span_row(events=[event(chunk, -1)])
    unknown = span_row(events=[event(chunk, 1)], start_time_unix_nano=0)

    assert before["time_to_first_token_ns"] is None
    assert unknown["time_to_first_token_ns"] is None


def test_an_attribute_of_the_first_token_goes_before_an_event() -> None:
    row = span_row({"gen_ai.response.time_to_first_chunk": 0.5}, events=[event("ai.stream.firstChunk", 7)])

    assert row["time_to_first_token_ns"] == 500_000_000


def test_an_exception_event_names_the_error_unless_an_attribute_does() -> None:
    failure = event("exception", 1, **{"exception.type": "RateLimitError", "exception.message": "429"})

    from_event = span_row(events=[event("exception", 0), failure])
    from_attribute = span_row({"error.type": "Timeout"}, events=[failure])

    assert from_event["error_type"] == "RateLimitError"
    assert from_attribute["error_type"] == "Timeout"


def test_a_span_that_is_sent_again_has_the_same_hash_and_a_changed_one_has_not() -> None:
    first = span_row({"a": 1, "b": 2})
    again = decode(export(span(), span({"a": 1, "b": 2})), PROTOBUF).rows[1]
    changed = span_row({"a": 1, "b": 3})

    assert first["content_hash"] == again["content_hash"]
    assert first["content_hash"] != changed["content_hash"]


def test_a_span_has_the_same_hash_as_json_and_as_protobuf() -> None:
    attributes = [{"key": "n", "value": {"intValue": "5"}}]
    fields = {
        "traceId": "0AF7651916CD43DD8448EB211C80319C",
        "spanId": "b7ad6b7169203331",
        "name": "call",
        "startTimeUnixNano": START_UNIX_NANO,
        "endTimeUnixNano": str(START_UNIX_NANO + 1_000_000_000),
        "attributes": attributes,
    }

    (from_json,) = decode({"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}, Format.JSON_TRACES).rows

    assert from_json == span_row({"n": 5})


def test_headers_hold_for_every_span_and_go_after_its_own_attributes() -> None:
    headers = {"x-fallom-session-id": "from-header", "x-fallom-config-key": "config"}
    body = export(span({"fallom.session_id": "own"}), span())

    own, other = decode(body, PROTOBUF, headers).rows

    assert (own["session_id"], own["config_key"]) == ("own", "config")
    assert (other["session_id"], other["config_key"]) == ("from-header", "config")


def test_attributes_of_text_with_nul_and_of_ten_megabytes_are_kept() -> None:
    long = "日" * 3_500_000

    (row,) = stored(decode(export(span({"nul": "a\0b", "long": long, "input.value": long})), PROTOBUF))

    assert orjson.loads(row["attributes"]) == {"nul": "a\0b", "long": long}
    assert (row["input"], row["promoted"]) == (long, '{"input":"input.value"}')


def test_a_resource_too_large_for_its_many_spans_is_refused() -> None:
    message = ExportTraceServiceRequest.FromString(export(span(), resource={"k": "x" * 1_000_000}))
    message.resource_spans[0].scope_spans[0].spans.extend([span()] * (SHARED_BYTES_MAX // 1_000_000))

    with pytest.raises(TooLargeError, match="repeated for each span"):
        decode(message.SerializeToString(), PROTOBUF)


@given(st.binary(max_size=200) | st.binary(max_size=40).map(lambda tail: export(span()) + tail))
def test_no_bytes_break_the_decoder(body: bytes) -> None:
    try:
        decoded = decode(body, PROTOBUF)
    except DecodeError:
        return

    for row in stored(decoded):
        assert set(row) == set(SPANS.schema.names)
