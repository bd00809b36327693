"""Bad input: refused with a body that names what is wrong and where; the server goes on, and nothing is lost."""

import gzip
import json
import random
import socket
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import grpc
import httpx
import pytest
from client_messages import (
    JSON,
    PROTOBUF,
    export_bytes,
    export_request,
    exposure,
    flat_trace,
    grpc_channel,
    http_client,
    metrics,
    otlp_json,
    span,
)
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from mutations import mutated_bytes, mutated_json, mutated_text
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

BODY_BYTES_MAX = 200_000
KEY = "known"
WITNESSES = 20
REQUEST_SECONDS_MAX = 10
CONFIG = {"key": KEY, "variants": [{"model": "gpt-4o", "weight": 50}, {"model": "gpt-4o-mini", "weight": 50}]}
FLAT_TEXTS = ("config_key", "session_id", "trace_id", "span_id", "name", "start_time", "end_time", "status")
FLAT_REQUIRED = (*FLAT_TEXTS, "duration_ms")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an error answer says: JSON of the API, or the Status of OTLP in either encoding."""

    status: int
    message: str
    field: str | None
    headers: dict[str, str]


@pytest.fixture(scope="module")
def bounded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that takes small bodies, and that has accepted rows of every kind before any bad input comes."""
    flags = ("--body-bytes-max", str(BODY_BYTES_MAX), "--sql-timeout-s", "1")
    server = ServerProcess(tmp_path_factory.mktemp("bounded") / "data", *flags).start()
    server.define({"configs": [CONFIG]})
    for number in range(WITNESSES):
        session_id = f"witness-{number}"
        assert server.post("/v1/traces", flat_trace("witness", session_id))[0] == 200
        assert server.post("/spans", metrics("witness", session_id, score=number))[0] == 200
        assert server.post("/sessions", exposure(KEY, session_id, "gpt-4o"))[0] == 200
    yield server
    counts = "SELECT " + ", ".join(
        f"(SELECT count(*) FROM {table} WHERE session_id LIKE 'witness-%') AS {table}"
        for table in ("spans", "metrics", "exposures")
    )
    assert server.sql(counts) == [{"spans": WITNESSES, "metrics": WITNESSES, "exposures": WITNESSES}], "a row is lost"
    server.stop()


@pytest.fixture(autouse=True)
def the_server_goes_on(bounded_server: ServerProcess) -> Iterator[None]:
    """After each test the server answers, and its log shows no traceback."""
    yield
    assert bounded_server.get(f"/configs/{KEY}/version/1")[0] == 200
    assert "Traceback" not in bounded_server.log()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"{",
        b'{"config_key": }',
        b"[]",
        b'"text"',
        b"null",
        b"5",
        b"\xff\xfe",
        b"{} {}",
        b"{'a': 1}",
        b"NaN",
    ],
)
@pytest.mark.parametrize("path", ["/v1/traces", "/spans", "/sessions", "/sql", "/apply"])
def test_what_is_not_a_json_object_is_refused(bounded_server: ServerProcess, path: str, body: bytes) -> None:
    refusal = refused(bounded_server, "POST", path, body)

    assert refusal.status == 400
    assert any(
        word in refusal.message for word in ("not JSON", "not valid JSON", "a JSON object", "a mapping", "is required")
    )


@pytest.mark.parametrize("body", [b"\xff\xff\xff\xff", b"\x0a\x05abc", b"{}", b"\x0a\xff\xff\xff\xff\x0f", b"\x00"])
def test_malformed_protobuf_is_refused_with_a_status(bounded_server: ServerProcess, body: bytes) -> None:
    refusal = refused(bounded_server, "POST", "/v1/traces", body, PROTOBUF)

    assert refusal.status == 400
    assert refusal.headers["content-type"] == "application/x-protobuf"
    assert "not an ExportTraceServiceRequest" in refusal.message


def test_a_message_that_ends_in_the_middle_is_refused(bounded_server: ServerProcess) -> None:
    body = export_request([span()]).SerializeToString()

    statuses = {refused(bounded_server, "POST", "/v1/traces", body[:end], PROTOBUF).status for end in (1, 50, -1)}

    assert statuses == {400}


@pytest.mark.parametrize("name", FLAT_REQUIRED)
def test_a_flat_trace_without_a_required_field_is_refused(bounded_server: ServerProcess, name: str) -> None:
    trace = flat_trace(KEY, "s")
    absent = {key: value for key, value in trace.items() if key != name}

    for document in (absent, trace | {name: None}):
        refusal = refused(bounded_server, "POST", "/v1/traces", document)
        assert (refusal.status, refusal.field, refusal.message) == (400, name, f"{name}: required, got null")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in FLAT_TEXTS for value in (5, True, [], {"a": 1}, "")),
        *(("duration_ms", value) for value in ("250", True, [], {})),
        *((name, value) for name in ("trace_id", "span_id", "parent_span_id") for value in ("abc", "g" * 32, "0" * 32)),
        ("span_id", "0" * 16),
        *((name, value) for name in ("start_time", "end_time") for value in ("yesterday", "1969-01-01T00:00:00Z", "1")),
        ("status", "MAYBE"),
        ("status", "ok"),
        *((name, 5) for name in ("customer_id", "parent_span_id", "kind", "model", "error_message", "prompt_key")),
        ("prompt_ab_test_key", []),
        *((name, value) for name in ("prompt_version", "prompt_variant_index") for value in ("1", 1.5, True, 2**63)),
        *(("time_to_first_token_ms", value) for value in ("1", [], True)),
        *(("is_streaming", value) for value in ("true", 1)),
        *((name, value) for name in ("metadata", "attributes") for value in ("{}", [], 1)),
        *(("tags", value) for value in ("tag", ["tag", 1], {})),
    ],
)
def test_a_flat_trace_with_a_wrong_value_is_refused(bounded_server: ServerProcess, name: str, value: object) -> None:
    refusal = refused(bounded_server, "POST", "/v1/traces", flat_trace(KEY, "s") | {name: value})

    assert (refusal.status, refusal.field) == (400, name)
    assert refusal.message.startswith(f"{name}: ")


@pytest.mark.parametrize("name", ["config_key", "session_id", "data"])
@pytest.mark.parametrize("value", ["absent", None, 5, True, []])
def test_metrics_with_a_wrong_field_are_refused(bounded_server: ServerProcess, name: str, value: object) -> None:
    document = metrics(KEY, "s", score=1) | {name: value}
    if value == "absent":
        del document[name]

    refusal = refused(bounded_server, "POST", "/spans", document)

    assert (refusal.status, refusal.field) == (400, name)
    assert refusal.message.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"good": 1, "bad": None}, "data.bad"),
        ({"bad": [1]}, "data.bad"),
        ({"bad": {"value": 1}}, "data.bad"),
        ({"": 1}, "data"),
        ({f"m{number}": number for number in range(1_001)}, "data"),
    ],
)
def test_a_request_with_a_wrong_metric_is_refused_whole(
    bounded_server: ServerProcess, data: dict[str, object], field: str
) -> None:
    refusal = refused(bounded_server, "POST", "/spans", metrics(KEY, "whole", **data))

    assert (refusal.status, refusal.field) == (400, field)
    assert bounded_server.sql("SELECT count(*) AS n FROM metrics WHERE session_id = 'whole'") == [{"n": 0}]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            (name, value)
            for name in ("config_key", "session_id", "assigned_model")
            for value in ("absent", None, 5, "")
        ),
        *(("config_version", value) for value in ("absent", None, "1", 1.5, True, -1, 2**63)),
        ("customer_id", 5),
        ("reason", []),
        *(("variant_index", value) for value in ("0", True, 0.5)),
    ],
)
def test_an_exposure_with_a_wrong_field_is_refused(bounded_server: ServerProcess, name: str, value: object) -> None:
    document = exposure(KEY, "s", "gpt-4o") | {name: value}
    if value == "absent":
        del document[name]

    refusal = refused(bounded_server, "POST", "/sessions", document)

    assert (refusal.status, refusal.field) == (400, name)
    assert refusal.message.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("resourceSpans", {}, "resourceSpans"),
        ("resourceSpans.0", 5, "resourceSpans[0]"),
        ("resourceSpans.0.scopeSpans", "x", "resourceSpans[0].scopeSpans"),
        ("resourceSpans.0.resource", [], "resourceSpans[0].resource"),
        ("resourceSpans.0.scopeSpans.0.spans.0", [], "resourceSpans[0].scopeSpans[0].spans[0]"),
        *(
            (f"resourceSpans.0.scopeSpans.0.spans.0.{name}", value, f"resourceSpans[0].scopeSpans[0].spans[0].{name}")
            for name, value in (
                ("name", 5),
                ("traceId", 5),
                ("traceId", "no hex digits"),
                ("kind", "SPAN_KIND_NONE"),
                ("kind", 1.5),
                ("startTimeUnixNano", "soon"),
                ("startTimeUnixNano", -1),
                ("endTimeUnixNano", 2**64),
                ("status", "ok"),
                ("attributes", {"key": "value"}),
            )
        ),
        (
            "resourceSpans.0.scopeSpans.0.spans.0.attributes.0.value.intValue",
            "1.5",
            "resourceSpans[0].scopeSpans[0].spans[0].attributes[0].value.intValue",
        ),
        (
            "resourceSpans.0.scopeSpans.0.spans.0.attributes.0.value.bytesValue",
            "!",
            "resourceSpans[0].scopeSpans[0].spans[0].attributes[0].value.bytesValue",
        ),
    ],
)
def test_otlp_json_of_a_wrong_type_is_refused_with_its_place(
    bounded_server: ServerProcess, path: str, value: object, field: str
) -> None:
    document = otlp_json(export_request([span(attributes={"a": 1})]))
    put(document, path, value)

    refusal = refused(bounded_server, "POST", "/v1/traces", document)

    assert (refusal.status, refusal.field) == (400, field)
    assert refusal.message.startswith(f"{field}: ")


def test_values_nested_too_deep_are_refused(bounded_server: ServerProcess) -> None:
    value: dict[str, Any] = {"intValue": 1}
    for _ in range(100):
        value = {"arrayValue": {"values": [value]}}
    document = otlp_json(export_request([span(attributes={"a": 1})]))
    put(document, "resourceSpans.0.scopeSpans.0.spans.0.attributes.0.value", value)

    assert "nested deeper than" in refused(bounded_server, "POST", "/v1/traces", document).message
    deep = b'{"config_key":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    for path in ("/v1/traces", "/spans", "/sessions", "/sql", "/apply"):
        assert refused(bounded_server, "POST", path, deep).status == 400


@pytest.mark.parametrize(
    ("method", "path", "status", "field"),
    [
        ("GET", "/configs/unknown/version/1", 404, None),
        ("GET", f"/configs/{KEY}/version/2", 404, None),
        ("GET", f"/configs/{KEY}/version/0", 404, None),
        ("GET", f"/configs/{KEY}/version/-1", 404, None),
        ("GET", f"/configs/{KEY}/version/99999999999999999999999", 404, None),
        ("GET", f"/configs/{KEY}/version/first", 400, "version"),
        ("GET", "/experiments/unknown/results", 404, "key"),
        ("GET", f"/experiments/{KEY}/results?version=2", 404, "version"),
        ("GET", f"/experiments/{KEY}/results?version=0", 400, "version"),
        ("GET", f"/experiments/{KEY}/results?version=first", 400, "version"),
        ("GET", f"/experiments/{KEY}/results?version=99999999999999999999999", 404, "version"),
        ("GET", "/experiments/%ff%00/results", 404, "key"),
        ("GET", "/traces/%ff%00", 404, "trace_id"),
    ],
)
def test_what_is_not_there_is_named(
    bounded_server: ServerProcess, method: str, path: str, status: int, field: str | None
) -> None:
    refusal = refused(bounded_server, method, path)

    assert (refusal.status, refusal.field) == (status, field)


def test_an_exposure_of_an_unknown_config_is_refused(bounded_server: ServerProcess) -> None:
    refusal = refused(bounded_server, "POST", "/sessions", exposure("nowhere", "s", "gpt-4o"))

    assert (refusal.status, refusal.field) == (404, "config_key")
    assert "no config 'nowhere' is defined" in refusal.message


@pytest.mark.parametrize("path", ["/", "/v1/trace", "/v1/", "/nothing/here", "/configs/x", "/experiments/x"])
def test_an_unknown_path_is_not_found(bounded_server: ServerProcess, path: str) -> None:
    refusal = refused(bounded_server, "POST", path, b"{}")

    assert refusal.status == 404
    assert path in refusal.message


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/traces", "POST"),
        ("DELETE", "/v1/traces", "POST"),
        ("GET", "/spans", "POST"),
        ("PUT", "/sessions", "POST"),
        ("GET", "/sql", "POST"),
        ("GET", "/apply", "POST"),
        ("POST", "/configs", "GET"),
        ("DELETE", "/experiments", "GET"),
        ("POST", f"/experiments/{KEY}/results", "GET"),
        ("POST", f"/traces/{'a' * 32}", "GET"),
    ],
)
def test_a_wrong_method_names_those_that_are_allowed(
    bounded_server: ServerProcess, method: str, path: str, allowed: str
) -> None:
    refusal = refused(bounded_server, method, path, b"{}" if method in ("POST", "PUT") else None)

    assert refusal.status == 405
    assert allowed in refusal.headers["allow"]
    assert method in refusal.message


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/octet-stream", "application/x-www-form-urlencoded", ""]
)
@pytest.mark.parametrize("path", ["/v1/traces", "/apply"])
def test_an_unsupported_media_type_is_refused(bounded_server: ServerProcess, path: str, media_type: str) -> None:
    refusal = refused(bounded_server, "POST", path, flat_trace(KEY, "s"), {"Content-Type": media_type})

    assert refusal.status == 415
    assert "application/json" in refusal.message
    assert media_type in refusal.message


@pytest.mark.parametrize("path", ["/v1/traces", "/spans", "/sessions"])
@pytest.mark.parametrize("encoding", ["br", "zip", "gzip, gzip", "none"])
def test_an_unknown_encoding_is_refused(bounded_server: ServerProcess, path: str, encoding: str) -> None:
    refusal = refused(bounded_server, "POST", path, b"{}", {**JSON, "Content-Encoding": encoding})

    assert refusal.status == 415
    assert f"content-encoding {encoding!r} is not supported" in refusal.message


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"not gzip"),
        ("gzip", gzip.compress(b"{}" * 1000, mtime=0)[:-9]),
        ("gzip", gzip.compress(b"{}", mtime=0) + b"trailing"),
        ("gzip", gzip.compress(b"{}", mtime=0)[:-8] + bytes(8)),
        ("deflate", b"not deflate"),
        ("deflate", zlib.compress(b"{}" * 1000)[:-4]),
    ],
)
@pytest.mark.parametrize("path", ["/v1/traces", "/spans", "/sessions"])
def test_a_broken_compressed_body_is_refused(
    bounded_server: ServerProcess, path: str, encoding: str, body: bytes
) -> None:
    refusal = refused(bounded_server, "POST", path, body, {**JSON, "Content-Encoding": encoding})

    assert refusal.status == 400
    assert f"not valid {encoding}" in refusal.message


@pytest.mark.parametrize("path", ["/v1/traces", "/spans", "/sessions"])
def test_a_body_beyond_the_limit_is_refused(bounded_server: ServerProcess, path: str) -> None:
    large = b'{"config_key": "' + b"x" * BODY_BYTES_MAX + b'"}'
    bomb = gzip.compress(b" " * 100_000_000, mtime=0)

    with http_client(bounded_server.url) as client:
        plain = client.post(path, content=large, headers=JSON)
        chunked = client.post(path, content=iter([large[:50_000]] * 5), headers=JSON)
        inflated = client.post(path, content=bomb, headers={**JSON, "Content-Encoding": "gzip"})

    assert len(bomb) < BODY_BYTES_MAX
    for answer in (plain, chunked, inflated):
        refusal = understood(answer)
        assert refusal.status == 413
        assert str(BODY_BYTES_MAX) in refusal.message


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT nothing FROM spans", "nothing"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELECT 1; SELECT 2", "one statement expected, got 2"),
        (";", "one statement expected, got 0"),
        (" -- only a comment", "one statement expected, got 0"),
        ("DROP VIEW spans", "only SELECT is allowed"),
        ("INSERT INTO spans SELECT * FROM spans", "only SELECT is allowed"),
        ("CREATE TABLE t AS SELECT 1", "only SELECT is allowed"),
        ("COPY spans TO '/tmp/spans.csv'", "only SELECT is allowed"),
        ("ATTACH '/tmp/x.db'", "only SELECT is allowed"),
        ("SET memory_limit = '1TB'", "only SELECT is allowed"),
        ("INSTALL httpfs", "only SELECT is allowed"),
        ("SELECT * FROM read_csv('/etc/passwd')", "read_csv() is not allowed"),
        ("SELECT * FROM read_text('/etc/passwd')", "read_text() is not allowed"),
        ("SELECT * FROM '/etc/passwd'", "/etc/passwd"),
        ("SELECT getenv('HOME')", "getenv"),
        ("SELECT 1/'x'", "x"),
        ("SELECT error('mine')", "mine"),
        ("SELECT * FROM spans WHERE trace_id = $1", "parameter"),
        ("SELECT 'open", "unterminated"),
        ("SELECT \x00", "\\0"),
    ],
)
def test_a_statement_that_cannot_be_answered_is_refused(bounded_server: ServerProcess, query: str, words: str) -> None:
    refusal = refused(bounded_server, "POST", "/sql", {"query": query})

    assert (refusal.status, refusal.field) == (400, "query")
    assert words.lower() in refusal.message.lower()


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "query"),
        ({"query": None}, "query"),
        ({"query": 5}, "query"),
        ({"query": ""}, "query"),
        ({"query": "SELECT 1", "limit": 5}, "limit"),
        ({"query": " " * 100_001}, "query"),
        ({"query": "SELECT '\ud800'"}, "query"),
    ],
)
def test_a_question_with_a_wrong_field_is_refused(
    bounded_server: ServerProcess, document: dict[str, object], field: str
) -> None:
    refusal = refused(bounded_server, "POST", "/sql", document)

    assert (refusal.status, refusal.field) == (400, field)
    assert field in refusal.message


def test_a_statement_that_takes_too_long_is_stopped(bounded_server: ServerProcess) -> None:
    began = time.monotonic()

    refusal = refused(
        bounded_server,
        "POST",
        "/sql",
        {"query": "SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)"},
    )

    assert refusal.status == 408
    assert "stopped after 1 s" in refusal.message
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"configs": {}}, "configs"),
        ({"config": []}, "config"),
        ({"configs": [{"key": "k"}]}, "configs[0].variants"),
        ({"configs": [{"key": "k", "variants": []}]}, "configs[0].variants"),
        ({"configs": [{"key": "k", "variants": [{"model": "m", "weight": "50"}]}]}, "configs[0].variants[0].weight"),
        ({"configs": [{"key": 5, "variants": [{"model": "m", "weight": 50}]}]}, "configs[0].key"),
        ({"prompts": [{"key": "p", "system_prompt": "s"}]}, "prompts[0].user_template"),
        (
            {"prompt_ab_tests": [{"key": "t", "variants": [{"prompt_key": "none", "weight": 1}]}]},
            "prompt_ab_tests[0].variants[0].prompt_key",
        ),
    ],
)
def test_a_document_with_a_wrong_field_is_applied_in_no_part(
    bounded_server: ServerProcess, document: dict[str, Any], field: str
) -> None:
    served = bounded_server.get("/configs")
    good = {"key": "never", "variants": [{"model": "m", "weight": 100}]}
    if isinstance(document.get("configs"), list):
        document = {"configs": [*document["configs"], good]}

    refusal = refused(bounded_server, "POST", "/apply", document)

    assert (refusal.status, refusal.field) == (400, field)
    assert bounded_server.get("/configs") == served


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"\x0a\x05abc", b'{"resourceSpans": []}'])
def test_malformed_bytes_over_grpc_are_an_invalid_argument(bounded_server: ServerProcess, body: bytes) -> None:
    error = grpc_error(bounded_server, body)
    status = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "not an ExportTraceServiceRequest" in error.details()
    assert (status.code, status.message) == (3, error.details())


def test_too_large_a_message_over_grpc_is_refused_for_good(bounded_server: ServerProcess) -> None:
    large = export_request([span(attributes={"text": "x" * BODY_BYTES_MAX})]).SerializeToString()

    plain = grpc_error(bounded_server, large)
    bomb = grpc_error(bounded_server, large, compression=grpc.Compression.Gzip)

    assert {plain.code(), bomb.code()} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert "grpc-status-details-bin" not in dict(plain.trailing_metadata())


def test_an_unknown_grpc_method_is_unimplemented(bounded_server: ServerProcess) -> None:
    with grpc_channel(bounded_server.grpc) as channel:
        call = channel.unary_unary("/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=REQUEST_SECONDS_MAX)

    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /spans HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /spans HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /spans HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_and_its_connection_closed(bounded_server: ServerProcess, sent: bytes) -> None:
    host, port = bounded_server.url.removeprefix("http://").split(":")

    with socket.create_connection((host, int(port)), timeout=REQUEST_SECONDS_MAX) as connection:
        try:
            connection.sendall(sent)
            answer = connection.recv(65536)
        except ConnectionError:
            answer = b""

    assert answer == b"" or answer.split(b" ")[1].startswith(b"4")


@pytest.mark.parametrize("sent_bytes", [0, 10, 100])
def test_a_client_that_leaves_in_the_middle_of_its_body_stores_nothing(
    bounded_server: ServerProcess, sent_bytes: int
) -> None:
    body = json.dumps(flat_trace("left", "left")).encode()
    host, port = bounded_server.url.removeprefix("http://").split(":")
    head = (
        "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )

    with socket.create_connection((host, int(port)), timeout=REQUEST_SECONDS_MAX) as connection:
        connection.sendall(head.encode() + body[:sent_bytes])

    assert bounded_server.sql("SELECT count(*) AS n FROM spans WHERE session_id = 'left'") == [{"n": 0}]


def test_thousands_of_broken_requests_over_http_break_nothing(bounded_server: ServerProcess) -> None:
    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(lambda seed: http_storm(bounded_server.url, seed, 600), range(3)))

    problems = [problem for found, _ in outcomes for problem in found]
    statuses = {status for _, seen in outcomes for status in seen}
    assert problems == []
    assert statuses >= {200, 400, 404, 413, 415}


def test_thousands_of_broken_requests_over_grpc_break_nothing(bounded_server: ServerProcess) -> None:
    chance = random.Random(5)
    valid = [
        export_request([span("a", {"k": [1, "x", {"y": b"z"}]}), span("b")]).SerializeToString(),
        export_request(
            [span(attributes={"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 5})]
        ).SerializeToString(),
    ]

    codes = set()
    with grpc_channel(bounded_server.grpc) as channel:
        for _ in range(1_000):
            try:
                export_bytes(channel, mutated_bytes(chance, chance.choice(valid)), timeout_s=REQUEST_SECONDS_MAX)
                codes.add(grpc.StatusCode.OK)
            except grpc.RpcError as error:
                codes.add(error.code())

    assert codes == {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}


def http_storm(url: str, seed: int, requests_count: int) -> tuple[list[str], set[int]]:
    """Send so many broken requests; return what was wrong with the answers, and the statuses seen."""
    chance = random.Random(seed)
    problems, statuses = [], set()
    with http_client(url, REQUEST_SECONDS_MAX) as client:
        for number in range(requests_count):
            method, path, content, headers = broken_request(chance)
            what = f"seed {seed}, request {number}: {method} {path} {headers} {content[:300]!r}"
            try:
                answer = client.request(method, path, content=content, headers=headers)
            except httpx.TransportError as error:
                problems.append(f"{what}: {error!r}")
                continue
            statuses.add(answer.status_code)
            if answer.status_code >= 500:
                problems.append(f"{what}: {answer.status_code} {answer.text[:300]}")
            elif answer.status_code >= 400 and not understood(answer).message:
                problems.append(f"{what}: {answer.status_code} without a message")
    return problems, statuses


OTLP = otlp_json(export_request([span("a", {"text": "x", "n": 1, "l": [1.5, True]}), span("b")]))
RAW = {
    "fallom.raw.usage": json.dumps({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}),
    "fallom.raw.request": json.dumps({"messages": [{"role": "user", "content": "hi"}], "model": "gpt-4o"}),
    "fallom.raw.response": json.dumps({"text": "hi", "finishReason": "stop"}),
    "fallom.method": "chat.completions.create",
}
FLAT = flat_trace(KEY, "storm", attributes=RAW, metadata={"a": 1}, tags=["t"], time_to_first_token_ms=5)
DOCUMENTS: list[tuple[str, Any]] = [
    ("/v1/traces", OTLP),
    ("/v1/traces", FLAT),
    ("/spans", metrics(KEY, "storm", score=4.5, ok=True, text="x")),
    ("/sessions", exposure(KEY, "storm", "gpt-4o", customer_id="c", variant_index=0, reason="weight")),
    ("/apply", {"configs": [CONFIG | {"key": "storm"}], "prompts": [], "prompt_ab_tests": []}),
]
STATEMENTS = (
    "SELECT name, count(*) FROM spans GROUP BY name ORDER BY 2 DESC LIMIT 5",
    "SELECT attributes->>'text' FROM spans WHERE trace_id = 'x' AND start_time > now() - INTERVAL 1 DAY",
    "WITH a AS (SELECT session_id, avg(value_double) v FROM metrics GROUP BY 1) SELECT max(v) FROM a",
)
PATHS = (
    "/experiments/known/results?version=1&metrics=latency_ms",
    "/configs/known/version/1",
    "/traces/0123456789abcdef0123456789abcdef",
    "/experiments",
)
HEADERS = (
    JSON,
    JSON,
    JSON,
    {"Content-Type": "application/x-protobuf"},
    {"Content-Type": "text/plain"},
    {**JSON, "Content-Encoding": "gzip"},
    {**JSON, "Content-Encoding": "br"},
    {**JSON, "X-Fallom-Session-Id": b"\xe9", "X-Fallom-Prompt-Version": "x"},
)


def broken_request(chance: random.Random) -> tuple[str, str, bytes, dict[str, str]]:
    """Return method, path, body and headers of a request that is wrong in some way, or by luck in none."""
    kind = chance.random()
    if kind < 0.05:
        text = mutated_text(chance, chance.choice(STATEMENTS))
        return "POST", "/sql", json.dumps({"query": text}).encode(), JSON
    if kind < 0.16:
        path = quote(mutated_text(chance, chance.choice(PATHS)).lstrip("/"), safe="/?&=")
        return chance.choice(["GET", "GET", "GET", "POST", "DELETE"]), f"/{path}", b"", {}
    path, document = chance.choice(DOCUMENTS)
    if kind < 0.2:
        return "POST", path, b'{"config_key": "' + b"x" * BODY_BYTES_MAX + b'"}', JSON
    if kind < 0.35:
        body = mutated_bytes(chance, export_request([span("x", {"a": [1, {"b": 2.5}]})]).SerializeToString())
        return "POST", "/v1/traces", body, PROTOBUF
    if kind < 0.6:
        return "POST", path, mutated_bytes(chance, json.dumps(document).encode()), chance.choice(HEADERS)
    return "POST", path, json.dumps(mutated_json(chance, document)).encode(), JSON


def refused(
    server: ServerProcess, method: str, path: str, content: object = None, headers: dict[str, str] | None = None
) -> Refusal:
    """Send a request that must be refused; content is sent as JSON unless it is bytes already."""
    body = content if isinstance(content, bytes | None) else json.dumps(content).encode()
    with http_client(server.url, REQUEST_SECONDS_MAX) as client:
        answer = client.request(method, path, content=body, headers=JSON if headers is None else headers)
    assert 400 <= answer.status_code < 500, answer.text
    refusal = understood(answer)
    assert refusal.message
    return refusal


def understood(answer: httpx.Response) -> Refusal:
    """Return what an error answer says."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    if headers["content-type"] == "application/x-protobuf":
        status = Status.FromString(answer.content)
        violations = BadRequest()
        field = None
        if status.details and status.details[0].Unpack(violations):
            field = violations.field_violations[0].field or None
        return Refusal(answer.status_code, status.message, field, headers)
    document = answer.json()
    if "error" in document:
        error = document["error"]
        assert error["code"]
        return Refusal(answer.status_code, error["message"], error.get("field"), headers)
    violations = [found for detail in document.get("details", []) for found in detail.get("fieldViolations", [])]
    field = violations[0].get("field") if violations else None
    return Refusal(answer.status_code, document["message"], field, headers)


def grpc_error(server: ServerProcess, body: bytes, **options: Any) -> Any:
    with grpc_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        export_bytes(channel, body, timeout_s=REQUEST_SECONDS_MAX, **options)
    return caught.value


def put(document: Any, path: str, value: object) -> None:
    """Put the value at a path such as ``spans.0.name``."""
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        document = document[part]
    document[last] = value
