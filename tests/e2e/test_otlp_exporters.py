"""OpenTelemetry's own exporters, and hand-made OTLP of both encodings, against a real server."""

import gzip
import json
import random
import secrets
import zlib
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from client_messages import (
    JSON,
    PROTOBUF,
    Pairs,
    export_bytes,
    export_request,
    grpc_channel,
    http_client,
    key_values,
    otlp_json,
    span,
    stored_attributes,
)
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

Send = Callable[[ServerProcess, ExportTraceServiceRequest, dict[str, str]], ExportTraceServiceResponse]

SDK_ATTRIBUTES = {
    "text": 'Grüße, 日本 🎉\n\t"quoted" \\ \u0000 end',
    "empty": "",
    "true": True,
    "false": False,
    "zero": 0,
    "large": 2**63 - 1,
    "small": -(2**63),
    "whole": 1.0,
    "fraction": 0.1,
    "huge": 1.7976931348623157e308,
    "tiny": 5e-324,
    "minus zero": -0.0,
    "infinite": float("inf"),
    "not a number": float("nan"),
    "texts": ("a", "", "é"),
    "numbers": (1, 2, 3),
    "doubles": (1.0, 2.5),
    "truths": (True, False),
    "nothing": (),
    "dotted.key.of.length": "x" * 5_000,
    "$bytes": "not bytes",
}


def http_exporter(compression: Compression) -> Callable[[ServerProcess], SpanExporter]:
    return lambda server: HttpExporter(endpoint=f"{server.url}/v1/traces", compression=compression)


def grpc_exporter(compression: grpc.Compression) -> Callable[[ServerProcess], SpanExporter]:
    return lambda server: GrpcExporter(endpoint=server.grpc, insecure=True, compression=compression)


each_exporter = pytest.mark.parametrize(
    "exporter_to",
    [
        pytest.param(http_exporter(Compression.NoCompression), id="http"),
        pytest.param(http_exporter(Compression.Gzip), id="http-gzip"),
        pytest.param(grpc_exporter(grpc.Compression.NoCompression), id="grpc"),
        pytest.param(grpc_exporter(grpc.Compression.Gzip), id="grpc-gzip"),
    ],
)


@each_exporter
def test_what_the_sdk_sends_is_stored_without_loss_at_its_acknowledgement(
    shared_server: ServerProcess, exporter_to: Callable[[ServerProcess], SpanExporter]
) -> None:
    resource = Resource({"service.name": "shop", "build": 7, "ratio": 1.0, "zones": ("a", "b")})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter_to(shared_server), schedule_delay_millis=600_000))
    tracer = provider.get_tracer("shop.llm", "1.2.3", attributes={"tier": "gold"})
    linked = SpanContext(10, 11, is_remote=True)
    with tracer.start_as_current_span("parent", kind=SpanKind.SERVER) as parent:
        child = tracer.start_span(
            "child ü", kind=SpanKind.CLIENT, attributes=SDK_ATTRIBUTES, links=[Link(linked, {"why": "retry"})]
        )
        child.add_event("token", {"index": 3, "text": "hi"}, timestamp=child.start_time + 5)
        child.set_status(StatusCode.ERROR, "it broke")
        child.end(child.start_time + 1_234_567_891)

    provider.force_flush()
    rows = by_name(shared_server, f"{parent.context.trace_id:032x}")

    assert rows.keys() == {"parent", "child ü"}
    row = rows["child ü"]
    assert same(row["attributes"], stored_attributes(child.attributes))
    assert set(child.attributes) == set(SDK_ATTRIBUTES)
    assert same(row["resource_attributes"], stored_attributes(resource.attributes))
    assert same(row["scope_attributes"], {"tier": "gold"})
    assert same(
        row["events"],
        [{"name": "token", "time_unix_nano": child.start_time + 5, "attributes": {"index": 3, "text": "hi"}}],
    )
    assert same(
        row["links"],
        [{"trace_id": f"{10:032x}", "span_id": f"{11:016x}", "trace_state": "", "attributes": {"why": "retry"}}],
    )
    assert {name: row[name] for name in ("kind", "status_code", "status_message", "service_name")} == {
        "kind": "client",
        "status_code": "error",
        "status_message": "it broke",
        "service_name": "shop",
    }
    assert (row["scope_name"], row["scope_version"]) == ("shop.llm", "1.2.3")
    assert (row["start_time_unix_nano"], row["duration_ns"]) == (child.start_time, 1_234_567_891)
    assert row["span_id"] == f"{child.context.span_id:016x}"
    assert row["parent_span_id"] == rows["parent"]["span_id"] == f"{parent.context.span_id:016x}"
    assert (rows["parent"]["kind"], rows["parent"]["status_code"], rows["parent"]["parent_span_id"]) == (
        "server",
        "unset",
        None,
    )
    provider.shutdown()


@each_exporter
def test_a_batch_of_many_spans_arrives_whole(
    shared_server: ServerProcess, exporter_to: Callable[[ServerProcess], SpanExporter]
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(exporter_to(shared_server), max_queue_size=4096, schedule_delay_millis=600_000)
    )
    tracer = provider.get_tracer("many")
    parent = tracer.start_span("root")
    trace_id = f"{parent.get_span_context().trace_id:032x}"
    context = SpanContext(int(trace_id, 16), 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    for number in range(1_500):
        tracer.start_span("call", links=[Link(context)], attributes={"number": number, "trace": trace_id}).end()

    provider.force_flush()

    answer = shared_server.sql(
        "SELECT count(*) AS n, count(DISTINCT span_id) AS ids, sum((attributes->>'number')::INT)::BIGINT AS total"
        f" FROM spans WHERE attributes->>'trace' = '{trace_id}'"
    )
    assert answer == [{"n": 1_500, "ids": 1_500, "total": sum(range(1_500))}]
    provider.shutdown()


def send_grpc(
    server: ServerProcess, request: ExportTraceServiceRequest, headers: dict[str, str]
) -> ExportTraceServiceResponse:
    metadata = [(name.lower(), value) for name, value in headers.items()]
    with grpc_channel(server.grpc) as channel:
        return export_bytes(channel, request.SerializeToString(), metadata=metadata)


def send_protobuf(
    server: ServerProcess, request: ExportTraceServiceRequest, headers: dict[str, str]
) -> ExportTraceServiceResponse:
    status, answered, body = server.request("POST", "/v1/traces", request.SerializeToString(), {**PROTOBUF, **headers})
    assert (status, answered["content-type"]) == (200, "application/x-protobuf")
    return ExportTraceServiceResponse.FromString(body)


def send_json(
    server: ServerProcess, request: ExportTraceServiceRequest, headers: dict[str, str]
) -> ExportTraceServiceResponse:
    document = otlp_json(request)
    if headers:
        for sent in spans_of(document):
            sent["kind"] -= 1  # the one client that sends these headers sends JavaScript's enum
    status, answered, body = server.request("POST", "/v1/traces", json.dumps(document).encode(), {**JSON, **headers})
    assert (status, answered["content-type"]) == (200, "application/json")
    partial = json.loads(body).get("partialSuccess")
    answer = ExportTraceServiceResponse()
    if partial is not None:
        answer.partial_success.rejected_spans = int(partial["rejectedSpans"])
        answer.partial_success.error_message = partial["errorMessage"]
    return answer


each_encoding = pytest.mark.parametrize(
    "send",
    [
        pytest.param(send_grpc, id="grpc"),
        pytest.param(send_protobuf, id="http-protobuf"),
        pytest.param(send_json, id="http-json"),
    ],
)


@each_encoding
def test_any_attribute_value_survives_without_loss(shared_server: ServerProcess, send: Send) -> None:
    chance = random.Random(20)
    trace_id = secrets.token_bytes(16)
    sent = {f"span {number}": {f"key {i}": value(chance) for i in range(6)} for number in range(60)}
    sent["twice"] = {"map": Pairs((("key", 1), ("key", 2.0)))}
    sent["dollar"] = {"map": {"$bytes": "no", "plain": b"yes"}}
    sent["deep"] = {"list": nested(24)}
    spans = [span(name, attributes, trace_id=trace_id) for name, attributes in sent.items()]

    answer = send(shared_server, export_request(spans, resource={"map": {"a": b"\x00", "b": [None]}}), {})
    rows = by_name(shared_server, trace_id.hex())

    assert not answer.HasField("partial_success")
    assert rows.keys() == sent.keys()
    lossy = [
        name for name, attributes in sent.items() if not same(rows[name]["attributes"], stored_attributes(attributes))
    ]
    assert lossy == []
    assert same(rows["deep"]["resource_attributes"], {"map": {"a": {"$bytes": "AA=="}, "b": [None]}})


@each_encoding
def test_events_links_and_trace_state_survive_without_loss(shared_server: ServerProcess, send: Send) -> None:
    attributes = {"bytes": b"\x00", "whole": 2.0, "map": {"key": [1, None]}}
    linked = Span.Link(
        trace_id=b"\x0a" * 16, span_id=b"\x0b" * 8, trace_state="a=1,b=2", attributes=key_values(attributes)
    )
    happened = Span.Event(name="", time_unix_nano=2**63, attributes=key_values(attributes))
    sent = span("whole", trace_state="vendor=1", links=[linked, linked], events=[happened, Span.Event(name="empty")])

    send(shared_server, export_request([sent]), {})
    row = by_name(shared_server, sent.trace_id.hex())["whole"]

    stored = stored_attributes(attributes)
    link = {"trace_id": "0a" * 16, "span_id": "0b" * 8, "trace_state": "a=1,b=2", "attributes": stored}
    assert row["trace_state"] == "vendor=1"
    assert same(row["links"], [link, link])
    assert same(
        row["events"],
        [
            {"name": "", "time_unix_nano": 2**63, "attributes": stored},
            {"name": "empty", "time_unix_nano": 0, "attributes": {}},
        ],
    )


@each_encoding
def test_fallom_headers_hold_for_each_span_of_the_request(shared_server: ServerProcess, send: Send) -> None:
    headers = {
        "X-Fallom-Config-Key": "headers",
        "X-Fallom-Session-Id": "session-of-headers",
        "X-Fallom-Customer-Id": "customer-1",
        "X-Fallom-Prompt-Key": "welcome",
        "X-Fallom-Prompt-Version": "3",
        "X-Fallom-Prompt-AB-Test": "welcome-test",
        "X-Fallom-Prompt-Variant": "1",
    }
    own = {"fallom.session_id": "its own", "gen_ai.request.model": "gpt-4o"}
    first = span("first")
    spans = [first, span("second", trace_id=first.trace_id), span("third", own, trace_id=first.trace_id)]

    send(shared_server, export_request(spans), headers)
    rows = by_name(shared_server, first.trace_id.hex())

    columns = (
        "config_key",
        "session_id",
        "customer_id",
        "prompt_key",
        "prompt_version",
        "prompt_ab_test_key",
        "prompt_variant_index",
        "kind",
    )
    common = ("headers", "session-of-headers", "customer-1", "welcome", 3, "welcome-test", 1, "client")
    assert tuple(rows["first"][name] for name in columns) == common
    assert tuple(rows["second"][name] for name in columns) == common
    assert tuple(rows["third"][name] for name in columns) == ("headers", "its own", *common[2:])


@each_encoding
def test_spans_with_unusable_ids_are_rejected_alone(shared_server: ServerProcess, send: Send) -> None:
    good = span("good")
    spans = [
        span("zero trace", trace_id=bytes(16)),
        good,
        span("zero span", span_id=bytes(8)),
        span("short trace", trace_id=b"\x01" * 15),
        span("long span", span_id=b"\x01" * 9),
        span("also good", trace_id=good.trace_id, parent_span_id=good.span_id),
        span("no ids", trace_id=b"", span_id=b""),
        span("short parent", parent_span_id=b"\x01"),
    ]

    answer = send(shared_server, export_request(spans), {})

    assert answer.partial_success.rejected_spans == 6
    for part in ("resourceSpans[0].scopeSpans[0].spans[0]", "traceId", "must not be all zeros", "3 more"):
        assert part in answer.partial_success.error_message
    assert by_name(shared_server, good.trace_id.hex()).keys() == {"good", "also good"}


@pytest.mark.parametrize("reason", ["traceId", "spanId", "parentSpanId"])
@each_encoding
def test_a_partial_success_names_what_is_wrong_and_where(shared_server: ServerProcess, send: Send, reason: str) -> None:
    field = {"traceId": "trace_id", "spanId": "span_id", "parentSpanId": "parent_span_id"}[reason]

    answer = send(shared_server, export_request([span(), span(**{field: b"\x01\x02\x03"})]), {})

    assert answer.partial_success.rejected_spans == 1
    assert f"spans[1].{reason}: " in answer.partial_success.error_message
    assert "got 3" in answer.partial_success.error_message


@each_encoding
def test_the_same_request_twice_is_visible_once(shared_server: ServerProcess, send: Send) -> None:
    sent = span("again", {"n": 1})
    request = export_request([sent, sent])

    answers = [send(shared_server, request, {}) for _ in range(3)]

    assert [answer.HasField("partial_success") for answer in answers] == [False] * 3
    assert count(shared_server, sent) == 1


@each_encoding
def test_an_empty_request_succeeds(shared_server: ServerProcess, send: Send) -> None:
    empty = ExportTraceServiceRequest()

    assert send(shared_server, empty, {}) == ExportTraceServiceResponse()
    assert send(shared_server, export_request([]), {}) == ExportTraceServiceResponse()


def test_a_full_success_leaves_partial_success_unset_on_the_wire(shared_server: ServerProcess) -> None:
    request = export_request([span()])

    protobuf = shared_server.request("POST", "/v1/traces", request.SerializeToString(), PROTOBUF)
    written = shared_server.request("POST", "/v1/traces", json.dumps(otlp_json(request)).encode(), JSON)

    assert (protobuf[0], protobuf[2]) == (200, b"")
    assert (written[0], json.loads(written[2])) == (200, {})


def test_json_of_clients_in_the_wild_is_understood(shared_server: ServerProcess) -> None:
    sent = {
        "resource_spans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"string_value": "wild"}}], "x": 1},
                "scope_spans": [
                    {
                        "scope": None,
                        "spans": [
                            {
                                "trace_id": "ABCDEF0123456789ABCDEF0123456789",
                                "span_id": "00F067AA0BA902B7",
                                "parent_span_id": "",
                                "name": "wild",
                                "kind": "SPAN_KIND_PRODUCER",
                                "start_time_unix_nano": 1_767_323_045_678_901_234,
                                "endTimeUnixNano": "1767323046678901234",
                                "status": {"code": "STATUS_CODE_OK", "message": None},
                                "attributes": [
                                    {"key": "integer as number", "value": {"intValue": 12}},
                                    {"key": "integer as text", "value": {"intValue": "-9223372036854775808"}},
                                    {"key": "whole double", "value": {"doubleValue": 3}},
                                    {"key": "not a number", "value": {"double_value": "NaN"}},
                                    {"key": "infinite", "value": {"doubleValue": "-Infinity"}},
                                    {"key": "bytes", "value": {"bytesValue": "AP8="}},
                                    {"key": "bytes for URLs", "value": {"bytes_value": "-_8"}},
                                    {"key": "list", "value": {"arrayValue": {"values": [{"boolValue": False}, {}]}}},
                                    {"key": "nothing", "value": {}},
                                    {"key": "null", "value": None},
                                    {"key": "from the future", "value": {"futureValue": 1}},
                                ],
                                "events": None,
                                "futureField": [{"anything": 1}],
                            }
                        ],
                    }
                ],
            }
        ],
        "unknown": 1,
    }

    status, answer = shared_server.post("/v1/traces", sent)
    row = by_name(shared_server, "abcdef0123456789abcdef0123456789")["wild"]

    assert (status, answer) == (200, {})
    assert same(
        row["attributes"],
        {
            "integer as number": 12,
            "integer as text": -(2**63),
            "whole double": 3.0,
            "not a number": {"$double": "NaN"},
            "infinite": {"$double": "-Infinity"},
            "bytes": {"$bytes": "AP8="},
            "bytes for URLs": {"$bytes": "+/8="},
            "list": [False, None],
            "nothing": None,
            "null": None,
            "from the future": None,
        },
    )
    assert (row["kind"], row["status_code"], row["service_name"], row["parent_span_id"]) == (
        "producer",
        "ok",
        "wild",
        None,
    )
    assert (row["start_time_unix_nano"], row["duration_ns"]) == (1_767_323_045_678_901_234, 1_000_000_000)
    assert row["start_time"] == "2026-01-02T03:04:05.678901+00:00"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity", "GZIP"])
def test_a_compressed_body_is_read(shared_server: ServerProcess, encoding: str) -> None:
    sent = span()
    body = export_request([sent]).SerializeToString()
    compressed = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding.lower(), bytes)(body)

    status, _, _ = shared_server.request("POST", "/v1/traces", compressed, {**PROTOBUF, "Content-Encoding": encoding})

    assert (status, count(shared_server, sent)) == (200, 1)


@pytest.mark.parametrize(
    "media_type", ["Application/JSON; charset=utf-8", "APPLICATION/X-PROTOBUF", "application/json"]
)
def test_the_answer_mirrors_the_media_type_whatever_its_case_and_parameters(
    shared_server: ServerProcess, media_type: str
) -> None:
    request = export_request([span(), span(span_id=b"")])
    is_json = "json" in media_type.lower()
    body = json.dumps(otlp_json(request)).encode() if is_json else request.SerializeToString()

    status, headers, answer = shared_server.request("POST", "/v1/traces", body, {"Content-Type": media_type})

    assert status == 200
    assert headers["content-type"] == media_type.partition(";")[0].lower()
    rejected = (
        json.loads(answer)["partialSuccess"]["rejectedSpans"]
        if is_json
        else ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans
    )
    assert int(rejected) == 1


def test_gen_ai_attributes_fill_the_columns(shared_server: ServerProcess) -> None:
    sent = span(
        "chat",
        {
            "fallom.config_key": "columns",
            "fallom.session_id": "columns-1",
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.usage.input_tokens": 21,
            "gen_ai.usage.output_tokens": 9,
            "gen_ai.usage.cache_read.input_tokens": 8,
            "gen_ai.usage.cost": 0.25,
            "gen_ai.response.time_to_first_chunk": 0.12,
            "gen_ai.response.finish_reasons": ["stop"],
        },
        events=[Span.Event(name="exception", attributes=key_values({"exception.type": "TimeoutError"}))],
        status=Status(code=Status.STATUS_CODE_ERROR),
    )

    send_protobuf(shared_server, export_request([sent]), {})
    row = by_name(shared_server, sent.trace_id.hex())["chat"]

    columns = {
        "config_key": "columns",
        "session_id": "columns-1",
        "operation": "chat",
        "is_inference": True,
        "provider": "openai",
        "request_model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "input_tokens": 21,
        "output_tokens": 9,
        "total_tokens": 30,
        "cache_read_tokens": 8,
        "reported_cost": 0.25,
        "cost": 0.25,
        "time_to_first_token_ns": 120_000_000,
        "is_streaming": True,
        "finish_reason": "stop",
        "error_type": "TimeoutError",
        "status_code": "error",
    }
    assert {name: row[name] for name in columns} == columns
    assert 0 < row["computed_cost"] < 0.001


def test_a_trace_is_answered_whole_in_the_order_of_its_spans(shared_server: ServerProcess) -> None:
    start = 1_767_323_045_000_000_000
    root = span("root", {"a": {"b": b"\x01"}}, start_time_unix_nano=start)
    child = span(
        "child",
        trace_id=root.trace_id,
        parent_span_id=root.span_id,
        start_time_unix_nano=start + 1,
        end_time_unix_nano=start,
        events=[Span.Event(name="e", time_unix_nano=start + 2)],
    )
    send_protobuf(shared_server, export_request([child]), {})
    send_grpc(shared_server, export_request([root], scope_name="other"), {})

    status, trace = shared_server.get(f"/traces/{root.trace_id.hex().upper()}")

    assert (status, trace["trace_id"]) == (200, root.trace_id.hex())
    assert [found["name"] for found in trace["spans"]] == ["root", "child"]
    first, second = trace["spans"]
    assert first["attributes"] == {"a": {"b": {"$bytes": "AQ=="}}}
    assert first["resource_attributes"] == {"service.name": "tests"}
    assert (first["scope_name"], first["parent_span_id"], first["duration_ns"]) == ("other", None, 250_000_000)
    assert second["parent_span_id"] == first["span_id"] == root.span_id.hex()
    assert second["events"] == [{"name": "e", "time_unix_nano": start + 2, "attributes": {}}]
    assert (second["duration_ns"], second["links"]) == (None, None)


@pytest.mark.parametrize("trace_id", ["0" * 32, "f" * 32, "no-trace", "x'; DROP TABLE spans; --"])
def test_an_unknown_trace_is_not_found(shared_server: ServerProcess, trace_id: str) -> None:
    with http_client(shared_server.url) as client:
        answer = client.get(f"/traces/{trace_id}")

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert answer.json()["error"]["field"] == "trace_id"


def by_name(server: ServerProcess, trace_id: str) -> dict[str, dict[str, Any]]:
    """Return the stored spans of a trace by name, JSON columns parsed."""
    rows = server.sql(f"SELECT * FROM spans WHERE trace_id = '{trace_id}'")
    assert len({row["name"] for row in rows}) == len(rows), "a span is there twice"
    for row in rows:
        for name in ("attributes", "resource_attributes", "scope_attributes", "events", "links"):
            row[name] = json.loads(row[name]) if row[name] is not None else None
    return {row["name"]: row for row in rows}


def count(server: ServerProcess, sent: Span) -> int:
    rows = server.sql(f"SELECT count(*) AS n FROM spans WHERE trace_id = '{sent.trace_id.hex()}'")
    return int(rows[0]["n"])


def spans_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        sent
        for resource_spans in document.get("resourceSpans", [])
        for scope_spans in resource_spans["scopeSpans"]
        for sent in scope_spans["spans"]
    ]


def same(found: Any, wanted: Any) -> bool:
    """Tell whether two JSON values are equal, also in type: 1 is neither 1.0 nor true."""
    return json.dumps(found, sort_keys=True) == json.dumps(wanted, sort_keys=True)


def value(chance: random.Random, depth: int = 0) -> Any:
    """Return any attribute value."""
    makers: list[Callable[[], Any]] = [
        lambda: None,
        lambda: chance.choice([True, False]),
        lambda: chance.choice([0, -1, 2**63 - 1, -(2**63), chance.randrange(-(2**53), 2**53)]),
        lambda: chance.choice([0.0, -0.0, 1.0, 1e300, 5e-324, float("nan"), float("-inf"), chance.gauss(0, 1e6)]),
        lambda: "".join(chance.choices('aé日🎉\n\x00"\\ $', k=chance.randrange(8))),
        lambda: chance.randbytes(chance.randrange(6)),
    ]
    if depth < 4:
        makers += [
            lambda: [value(chance, depth + 1) for _ in range(chance.randrange(4))],
            lambda: {chance.choice(["a", "b.c", "", "$d", "é"]): value(chance, depth + 1) for _ in range(3)},
        ]
    return chance.choice(makers)()


def nested(depth: int) -> list[Any]:
    return [nested(depth - 1)] if depth else ["bottom"]
