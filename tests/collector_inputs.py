"""Inputs of the collector for tests: requests, OTLP messages and values, and the rows that come of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from client_messages import key_values
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.component import CollectorError
from collector.decoders import DECODERS
from collector.processors import process
from collector.request import Decoded, Format, Receipt, Request
from schemas.tables import LOGGED_TABLES

RECEIVED_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
RECEIPT = Receipt(int(RECEIVED_AT.timestamp()) * 1_000_000)
START_UNIX_NANO = 1_795_262_400_000_000_000  # RECEIVED_AT
TRACE_ID = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")
SPAN_ID = bytes.fromhex("b7ad6b7169203331")


def span(attributes: Mapping[str, object] | None = None, **fields: Any) -> Span:
    values: dict[str, Any] = {
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
        "name": "call",
        "start_time_unix_nano": START_UNIX_NANO,
        "end_time_unix_nano": START_UNIX_NANO + 1_000_000_000,
        **fields,
    }
    return Span(attributes=key_values(attributes or {}), **values)


def export(*spans: Span, scope_name: str = "", resource: Mapping[str, object] | None = None) -> bytes:
    message = ExportTraceServiceRequest()
    resource_spans = message.resource_spans.add()
    resource_spans.resource.attributes.extend(key_values(resource or {}))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = scope_name
    scope_spans.spans.extend(spans)
    return bytes(message.SerializeToString())


@dataclass(frozen=True, slots=True)
class Found:
    """What one request was decoded to."""

    decoded: Decoded
    rows: list[dict[str, Any]]
    rejected: int
    message: str


def decode(
    body: bytes | Mapping[str, Any], body_format: Format, headers: Mapping[str, str] | None = None, project: str = "p"
) -> Found:
    """Decode one body as the pipeline does; an object is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    decoded = DECODERS[body_format]([(Request(body_format, raw, project, headers or {}), RECEIPT)])
    (outcome,) = decoded.outcomes
    if isinstance(outcome, CollectorError):
        raise outcome
    return Found(decoded, decoded.rows.to_pylist(), outcome.rejected, outcome.message)


def span_row(
    attributes: Mapping[str, object] | None = None,
    *,
    scope_name: str = "",
    headers: Mapping[str, str] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Return the row of the one OTLP span that these make."""
    body = export(span(attributes, **fields), scope_name=scope_name)
    (row,) = decode(body, Format.OTLP_PROTOBUF, headers).rows
    return row


def batch(table: str, rows: list[dict[str, Any]]) -> pa.RecordBatch:
    schema = next(found.schema for found in LOGGED_TABLES if found.name == table)
    return pa.RecordBatch.from_pylist(rows, schema=schema)


def stored(found: Found) -> list[dict[str, Any]]:
    """Return the rows as they reach the exporter: through the processors."""
    rows: list[dict[str, Any]] = process(found.decoded.table, found.decoded.rows).to_pylist()
    return rows


def sent_attributes(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that were sent: those that columns hold as they are, and the rest."""
    held: dict[str, Any] = {}
    for column, key in json.loads(row["promoted"] or "{}").items():
        held |= _members(key[:-1], row[column]) if key.endswith(".*") else {key: row[column]}
    return held | json.loads(row["attributes"])


def _members(prefix: str, messages: str) -> dict[str, Any]:
    return {
        f"{prefix}{number}.{rest}": value
        for number, message in enumerate(json.loads(messages))
        for rest, value in message.items()
    }


def flat_trace(**changes: Any) -> dict[str, Any]:
    """Return a small valid Fallom trace with the given changes."""
    trace: dict[str, Any] = {
        "config_key": "my-agent",
        "session_id": "session-1",
        "trace_id": TRACE_ID.hex(),
        "span_id": SPAN_ID.hex(),
        "name": "chat.completions.create",
        "start_time": "2026-11-21T02:40:52.231Z",
        "end_time": "2026-11-21T02:40:52.240Z",
        "duration_ms": 9,
        "status": "OK",
    }
    return trace | changes


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
keys = st.text(st.sampled_from("ab$."), max_size=4) | st.sampled_from(["$bytes", "$double", "$kvlist", "gen_ai.system"])
doubles = st.floats(allow_nan=False) | st.just(math.nan)
any_values: st.SearchStrategy[AnyValue] = st.recursive(
    st.builds(AnyValue)
    | st.builds(AnyValue, string_value=texts)
    | st.builds(AnyValue, bool_value=st.booleans())
    | st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1))
    | st.builds(AnyValue, double_value=doubles)
    | st.builds(AnyValue, bytes_value=st.binary(max_size=8)),
    lambda values: (
        st.builds(lambda items: AnyValue(array_value=ArrayValue(values=items)), st.lists(values, max_size=3))
        | st.builds(
            lambda items: AnyValue(kvlist_value=KeyValueList(values=items)),
            st.lists(st.builds(KeyValue, key=keys, value=values), max_size=3),
        )
    ),
    max_leaves=6,
)
