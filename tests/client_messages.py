"""What clients send: OTLP spans from plain Python values, and the bodies of Fallom's own calls."""

import base64
import math
import secrets
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class Pairs:
    """A kvlist as a list of pairs: one that a dict can't hold, since a key stands in it twice."""

    items: tuple[tuple[str, Any], ...]


def any_value(value: Any) -> AnyValue:
    """Return the OTLP value of a plain one; None is the empty value."""
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list() | tuple():
            result = AnyValue()
            result.array_value.SetInParent()
            result.array_value.values.extend(any_value(item) for item in value)
            return result
        case dict() | Pairs():
            result = AnyValue()
            result.kvlist_value.SetInParent()
            result.kvlist_value.values.extend(key_values(value))
            return result
    raise TypeError(f"no OTLP value for {value!r}")


def key_values(attributes: Mapping[str, Any] | Pairs) -> list[KeyValue]:
    """Return the attributes as OTLP has them."""
    pairs = attributes.items if isinstance(attributes, Pairs) else attributes.items()
    return [KeyValue(key=key, value=any_value(value)) for key, value in pairs]


def stored(value: Any) -> Any:
    """Return the plain value as the stored JSON must have it, by docs/schema.md."""
    match value:
        case float() if not math.isfinite(value):
            return {"$double": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
        case bytes():
            return {"$bytes": base64.b64encode(value).decode()}
        case list() | tuple():
            return [stored(item) for item in value]
        case Pairs():
            return {"$kvlist": [[key, stored(item)] for key, item in value.items]}
        case dict() if any(key.startswith("$") for key in value):
            return {"$kvlist": [[key, stored(item)] for key, item in value.items()]}
        case dict():
            return {key: stored(item) for key, item in value.items()}
    return value


def stored_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a span, an event, … as the stored JSON must have them: always as an object."""
    return {key: stored(value) for key, value in attributes.items()}


def span(name: str = "chat", attributes: Mapping[str, Any] | None = None, **fields: Any) -> Span:
    """Return a span with new ids that began just now and took 250 ms, unless the fields say otherwise."""
    start = fields.pop("start_time_unix_nano", time.time_ns())
    defaults = {
        "trace_id": secrets.token_bytes(16),
        "span_id": secrets.token_bytes(8),
        "kind": Span.SPAN_KIND_CLIENT,
        "start_time_unix_nano": start,
        "end_time_unix_nano": start + 250_000_000,
    }
    return Span(name=name, attributes=key_values(attributes or {}), **(defaults | fields))


def export_request(
    spans: Sequence[Span], *, resource: Mapping[str, Any] | None = None, scope_name: str = "test"
) -> ExportTraceServiceRequest:
    """Return the request that sends the spans, all of one resource and one scope."""
    scope_spans = ScopeSpans(spans=spans)
    scope_spans.scope.name = scope_name
    resource_spans = ResourceSpans(scope_spans=[scope_spans])
    resource_spans.resource.attributes.extend(key_values(resource or {"service.name": "tests"}))
    return ExportTraceServiceRequest(resource_spans=[resource_spans])


def otlp_json(request: ExportTraceServiceRequest) -> dict[str, Any]:
    """Return the request as OTLP/JSON: protobuf's own JSON, but enums as numbers and ids as hex digits."""
    document: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    for resource_spans in document.get("resourceSpans", []):
        for scope_spans in resource_spans["scopeSpans"]:
            for written in scope_spans.get("spans", []):
                for part in (written, *written.get("links", [])):
                    _hex_ids(part)
    return document


def flat_trace(config_key: str, session_id: str, **fields: Any) -> dict[str, Any]:
    """Return a flat Fallom trace of 250 ms with new ids."""
    return {
        "config_key": config_key,
        "session_id": session_id,
        "trace_id": secrets.token_hex(16),
        "span_id": secrets.token_hex(8),
        "name": "chat.completions.create",
        "kind": "llm",
        "model": "gpt-4o",
        "start_time": "2026-01-02T03:04:05.678Z",
        "end_time": "2026-01-02T03:04:05.928Z",
        "duration_ms": 250,
        "status": "OK",
        **fields,
    }


def metrics(config_key: str, session_id: str, **data: Any) -> dict[str, Any]:
    """Return the body of ``POST /spans``."""
    return {"config_key": config_key, "session_id": session_id, "data": data}


def exposure(config_key: str, session_id: str, model: str, version: int = 1, **fields: Any) -> dict[str, Any]:
    """Return the body of ``POST /sessions``."""
    return {
        "config_key": config_key,
        "config_version": version,
        "session_id": session_id,
        "assigned_model": model,
        **fields,
    }


@contextmanager
def http_client(url: str, timeout_s: float = TIMEOUT_S, tls: ssl.SSLContext | bool = False) -> Iterator[httpx.Client]:
    """Give a client that keeps its connection."""
    with httpx.Client(base_url=url, timeout=timeout_s, trust_env=False, verify=tls) as client:
        yield client


@contextmanager
def grpc_channel(address: str, credentials: grpc.ChannelCredentials | None = None) -> Iterator[grpc.Channel]:
    """Give a channel to the OTLP/gRPC port; with credentials it speaks TLS."""
    options = [("grpc.enable_http_proxy", 0)]
    made = (
        grpc.secure_channel(address, credentials, options) if credentials else grpc.insecure_channel(address, options)
    )
    with made as channel:
        yield channel


def export_bytes(
    channel: grpc.Channel, body: bytes, *, timeout_s: float = TIMEOUT_S, **options: Any
) -> ExportTraceServiceResponse:
    """Send the bytes as an export call; raises grpc.RpcError."""
    call = channel.unary_unary(EXPORT)
    return ExportTraceServiceResponse.FromString(call(body, timeout=timeout_s, **options))


def _hex_ids(part: dict[str, Any]) -> None:
    for name in ("traceId", "spanId", "parentSpanId"):
        if name in part:
            part[name] = base64.b64decode(part[name]).hex()
