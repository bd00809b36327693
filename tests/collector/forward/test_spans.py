"""What is decoded, and forwarded, is decoded to the same: nothing of a row is lost on the way."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from collector_inputs import any_values, decode, export, flat_trace, keys, span, texts
from dialect_cells import CELLS, body_of, name
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.forward.spans import COLUMNS, request_of
from collector.processors.normalise import normalise
from collector.processors.price import no_overrides, price
from collector.processors.tokens import split_tokens
from collector.processors.tool_calls import fill_tool_calls
from collector.request import Format
from collector.rows import batch
from schemas.spans import SPANS

# Of the one request, not of the span.
OF_REQUEST = {"received_at", "content_hash"}
# A flat trace says in attributes what it had fields for.
BOOKKEEPING = {"attributes", "promoted"}

Row = dict[str, Any]


def processed(rows: list[Row]) -> list[Row]:
    """Return the rows as they are stored."""
    found: list[Row] = price(fill_tool_calls(split_tokens(normalise(batch("spans", rows)))), no_overrides).to_pylist()
    return found


def stored(body: bytes, body_format: Format = Format.OTLP_PROTOBUF, headers: dict[str, str] | None = None) -> list[Row]:
    return processed(decode(body, body_format, headers).rows)


def forwarded(rows: list[Row]) -> list[Row]:
    """Return what the target stores of the rows."""
    return stored(request_of([{name: row[name] for name in COLUMNS} for row in rows]))


def compared(rows: list[Row], *, without: set[str] = OF_REQUEST) -> list[Row]:
    return [{key: value for key, value in row.items() if key not in without} for row in rows]


def test_every_field_of_a_span_comes_back() -> None:
    sent = span(
        {
            "gen_ai.request.model": "gpt-4o",
            "double": 2.0,
            "list": [1, "a", None, {"b": b"\0"}],
            "nan": math.inf,
            "e": "",
        },
        name="chat",
        kind=Span.SPAN_KIND_SERVER,
        trace_state="a=b",
        parent_span_id=bytes(range(1, 9)),
    )
    sent.status.code, sent.status.message = 2, "no"
    sent.events.add(name="event", time_unix_nano=2**63, attributes=span({"gen_ai.x": [1.5]}).attributes)
    sent.links.add(trace_id=bytes(range(16)), span_id=bytes(range(8)), trace_state="c=d", attributes=sent.attributes)
    body = ExportTraceServiceRequest.FromString(export(sent, scope_name="scope"))
    body.resource_spans[0].resource.attributes.append(KeyValue(key="bytes"))
    body.resource_spans[0].scope_spans[0].scope.version = "1"
    body.resource_spans[0].scope_spans[0].scope.attributes.extend(sent.attributes)

    rows = stored(body.SerializeToString())

    assert compared(forwarded(rows)) == compared(rows)


@settings(deadline=None, max_examples=200)
@example([KeyValue(key="$kvlist", value=AnyValue(array_value=ArrayValue()))])
@example([KeyValue(key="a", value=AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="b"), KeyValue(key="b")])))])
@given(st.lists(st.builds(KeyValue, key=keys | texts, value=any_values), max_size=4))
def test_attributes_of_every_type_come_back(attributes: list[KeyValue]) -> None:
    sent = span()
    sent.attributes.extend(attributes)
    sent.events.add(name="e", attributes=attributes)
    rows = stored(export(sent))

    assert compared(forwarded(rows)) == compared(rows)


@pytest.mark.parametrize("cell", CELLS, ids=name)
def test_what_any_library_sends_fills_the_same_columns_at_the_target(cell: dict[str, Any]) -> None:
    rows = stored(body_of(cell), headers=cell.get("headers"))
    without = OF_REQUEST | (BOOKKEEPING if "headers" in cell else set())

    assert compared(forwarded(rows), without=without) == compared(rows, without=without)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"status": "ERROR", "error_message": "no", "model": "gpt-4o"},
        {"model": "gpt-4o", "kind": "llm", "is_streaming": True, "time_to_first_token_ms": 12.25},
        {"customer_id": "c", "parent_span_id": "00" * 7 + "01", "tags": ["a", "b"], "metadata": {"tier": "pro"}},
        {"tags": [], "metadata": {}, "is_streaming": False, "kind": "tool"},
        {"prompt_key": "p", "prompt_version": 3, "prompt_ab_test_key": "t", "prompt_variant_index": 0},
        # What its fields say counts, whatever the attributes say.
        {
            "model": "gpt-4o",
            "attributes": {"langfuse.observation.model.name": "x", "gen_ai.response.model": "y", "fallom.kind": "z"},
        },
        {"attributes": {"fallom.metadata": '{"a": 1}', "fallom.session_id": "other", "gen_ai.usage.input_tokens": "7"}},
        {
            "model": "gpt-4o",
            "attributes": {
                "fallom.sdk_version": "0.2.7",
                "fallom.raw.request": json.dumps({"messages": [{"role": "user", "content": "hi"}], "model": "gpt-4o"}),
                "fallom.raw.response": json.dumps({"text": "hello", "finishReason": "stop"}),
                "fallom.raw.usage": json.dumps({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}),
                "fallom.raw.timings": json.dumps({"requestStart": 1, "requestEnd": 9, "firstTokenTime": 3}),
            },
        },
        {"attributes": {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "hi", "big": 2**64, "deep": None}},
    ],
)
def test_a_flat_trace_fills_the_same_columns_at_the_target(fields: dict[str, Any]) -> None:
    rows = stored(flat_trace(**fields), Format.JSON_TRACES)  # type: ignore[arg-type]
    without = OF_REQUEST | BOOKKEEPING

    assert compared(forwarded(rows), without=without) == compared(rows, without=without)


def test_a_flat_trace_s_attributes_are_all_forwarded() -> None:
    attributes = {"own": {"a": [1, 2.5, None]}, "gen_ai.usage.input_tokens": 7, "big": 2**70, "text": "ü"}
    rows = stored(flat_trace(attributes=attributes), Format.JSON_TRACES)  # type: ignore[arg-type]

    (row,) = forwarded(rows)

    sent = json.loads(row["attributes"])
    assert sent["own"] == {"a": [1, 2.5, None]}
    assert (row["input_tokens"], sent["text"]) == (7, "ü")
    # Beyond OTLP's integers: JSON readers made a double of it already.
    assert float(sent["big"]) == float(2**70)


def test_what_is_nested_deeper_than_protobuf_goes_is_sent_as_json() -> None:
    deep: Any = "end"
    for _ in range(80):
        deep = {"a": deep}
    rows = stored(flat_trace(attributes={"deep": deep}), Format.JSON_TRACES)  # type: ignore[arg-type]

    (row,) = forwarded(rows)

    assert "end" in row["attributes"]


def test_a_row_has_the_same_bytes_each_time() -> None:
    rows = [{name: row[name] for name in COLUMNS} for row in stored(export(span({"b": 1, "a": {"y": 1, "x": 2}})))]

    assert request_of(rows) == request_of(rows)


def test_masked_json_is_left_out_and_the_rest_is_sent() -> None:
    (row,) = stored(export(span({"a": 1})))

    (found,) = forwarded([row | {"attributes": "[masked]", "events": "[masked]", "resource_attributes": None}])

    assert found["trace_id"] == row["trace_id"]
    assert found["events"] is None


def test_what_is_sent_is_read_from_columns_of_the_table() -> None:
    assert set(COLUMNS) < set(SPANS.schema.names)
