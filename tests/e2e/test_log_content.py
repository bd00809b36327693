"""No content and no key of a client comes into the server's log, whatever is sent or fails, at debug level."""

from __future__ import annotations

import base64
import gzip
import json
import re
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
from client_messages import (
    EXPORT,
    JSON,
    PROTOBUF,
    export_bytes,
    export_request,
    exposure,
    flat_trace,
    grpc_channel,
    metrics,
    otlp_json,
    span,
)
from keyed_server import create_key
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

CONTENT = "m4rk3dc0nt3nt"
KEY = "m4rk3dk3y"
KEYS = {
    "Authorization": f"Bearer {KEY}",
    "X-Api-Key": KEY,
    "X-Fallom-Session-Id": CONTENT,
    "Cookie": f"key={KEY}",
    "User-Agent": CONTENT,
}
CONFIG = {"key": "c", "variants": [{"model": "gpt-4o", "weight": 100}]}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path / "data", "--log-level", "debug", "--flush-interval-s", "0.3")
    server.start().define({"configs": [CONFIG]})
    yield server
    server.stop()


def spans() -> bytes:
    attributes = {"gen_ai.prompt": CONTENT, "fallom.config_key": "c", "fallom.session_id": CONTENT, CONTENT: CONTENT}
    request = export_request(
        [span(CONTENT, attributes), span(CONTENT, attributes, trace_id=b"")], resource={"service.name": CONTENT}
    )
    return request.SerializeToString()


def send_over_http(server: ServerProcess) -> list[int]:
    document = otlp_json(export_request([span(CONTENT, {"a": CONTENT})]))
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["startTimeUnixNano"] = CONTENT
    good = json.dumps(flat_trace("c", "s", prompt=CONTENT, name=CONTENT)).encode()
    bodies = [
        ("/v1/traces", spans(), PROTOBUF),
        ("/v1/traces", spans()[:-3], PROTOBUF),
        ("/v1/traces", CONTENT.encode(), PROTOBUF),
        ("/v1/traces", good, JSON),
        ("/v1/traces", good[:-1], JSON),
        ("/v1/traces", json.dumps(flat_trace("c", "s", start_time=CONTENT)).encode(), JSON),
        ("/v1/traces", json.dumps(document).encode(), JSON),
        ("/v1/traces", json.dumps({CONTENT: CONTENT}).encode(), JSON),
        ("/v1/traces", b'{"resourceSpans": "' + CONTENT.encode() + b'\xff"}', JSON),
        ("/v1/traces", gzip.compress(spans())[:-4], {**PROTOBUF, "Content-Encoding": "gzip"}),
        ("/v1/traces", spans(), {**PROTOBUF, "Content-Encoding": CONTENT}),
        ("/v1/traces", spans(), {"Content-Type": CONTENT}),
        ("/spans", json.dumps(metrics("c", CONTENT, score=CONTENT)).encode(), JSON),
        ("/spans", json.dumps({"config_key": CONTENT, "data": CONTENT}).encode(), JSON),
        ("/sessions", json.dumps(exposure("c", CONTENT, CONTENT)).encode(), JSON),
        ("/sessions", json.dumps(exposure(CONTENT, CONTENT, CONTENT)).encode(), JSON),
        ("/apply", json.dumps({"configs": [{"key": CONTENT, "variants": CONTENT}]}).encode(), JSON),
        ("/apply", CONTENT.encode(), JSON),
        ("/customers/forget", json.dumps({"customer_id": CONTENT}).encode(), JSON),
        ("/customers/forget", json.dumps({"customer_id": [CONTENT], CONTENT: 1}).encode(), JSON),
        (f"/{CONTENT}?key={KEY}", b"", {}),
        *(
            ("/sql", json.dumps({"query": query}).encode(), JSON)
            for query in (
                f"SELECT '{CONTENT}'",
                f"SELECT '{CONTENT}'::INTEGER",
                f"SELECT CAST(name AS INTEGER) AS {CONTENT} FROM spans",
                f"SELECT * FROM {CONTENT}",
                f"SELEKT {CONTENT}",
                f"DROP TABLE {CONTENT}",
                f"SELECT error('{CONTENT}')",
                f"SELECT * FROM read_parquet('/{CONTENT}')",
                f"SELECT {CONTENT} -- \n'",
            )
        ),
    ]
    answers = [server.request("POST", path, body, {**KEYS, **headers})[0] for path, body, headers in bodies]
    paths = (
        f"/configs/{CONTENT}/version/1",
        f"/traces/{CONTENT}",
        f"/experiments/{CONTENT}/results?alpha={CONTENT}",
        f"/customers/forget/{CONTENT}",
        f"/healthz?{CONTENT}",
        f"/metrics?{CONTENT}",
    )
    answers += [server.request("GET", path, headers=KEYS)[0] for path in paths]
    elsewhere = {"Host": CONTENT, "Origin": f"http://{CONTENT}"}
    return [*answers, server.request("GET", "/configs", headers=elsewhere)[0]]


def send_over_grpc(server: ServerProcess) -> None:
    metadata = (("authorization", f"Bearer {KEY}"), ("x-fallom-session-id", CONTENT), ("x-api-key", KEY))
    with grpc_channel(server.grpc) as channel:
        export_bytes(channel, spans(), metadata=metadata)
        for method, body in (
            (EXPORT, spans()[:-3]),
            (f"/{CONTENT}/{CONTENT}", b""),
            ("/grpc.health.v1.Health/Check", CONTENT.encode()),
        ):
            call = channel.unary_unary(method)
            with pytest.raises(grpc.RpcError):
                call(body, metadata=metadata, timeout=10)


def send_what_is_no_request(server: ServerProcess) -> None:
    http, rpc = urlsplit(server.url), server.grpc.rpartition(":")
    for host, port in ((http.hostname, http.port), (rpc[0], int(rpc[2]))):
        for data in (
            f"POST /{CONTENT} HTTP/9.9 {KEY}\r\n{CONTENT}\r\n\r\n",
            f"{CONTENT}\r\n\r\n",
            f"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nX-Key: {KEY}\r\nContent-Length: 9999\r\n\r\n{CONTENT}",
            f"POST /sql HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{CONTENT}\r\n",
            f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{CONTENT * 20}",
        ):
            with socket.create_connection((host, port), timeout=5) as connection, suppress(OSError):
                connection.settimeout(0.3)
                connection.sendall(data.encode())
                connection.recv(1000)


@contextmanager
def damaged_lake(server: ServerProcess) -> Iterator[None]:
    """Make what is read of the lake fail, and for a time what is committed to it."""
    for path in (server.data_dir / "lake" / "spans").rglob("*.parquet"):
        path.write_bytes(b"PAR1" + CONTENT.encode() * 10 + b"PAR1")
    foreign = []
    for table, entry in (
        ("metrics", {"protocol": {"minReaderVersion": 999, "minWriterVersion": CONTENT}}),
        ("exposures", {"add": CONTENT}),
    ):
        entries = server.data_dir / "lake" / table / "_delta_log"
        foreign.append(entries / f"{len(list(entries.glob('*.json'))):020}.json")
        foreign[-1].write_text(json.dumps(entry))
    yield
    for path in foreign:
        path.unlink()


def test_nothing_that_a_client_sends_is_in_the_log(server: ServerProcess) -> None:
    answers = send_over_http(server)
    send_over_grpc(server)
    send_what_is_no_request(server)
    server.wait_for_commit()
    with damaged_lake(server):
        answers += send_over_http(server)
        time.sleep(1.0)
        server.kill()
    for segment in server.segments():
        segment.write_bytes(segment.read_bytes()[:-7] + CONTENT.encode())
    server.start()
    answers += send_over_http(server)
    server.terminate()

    log = server.log()

    assert {200, 400, 403, 404, 415, 503} <= set(answers)
    assert "is not committed" in log
    assert "a request failed on storage" in log
    assert log.count("\n") > 20
    for secret in (CONTENT, KEY):
        for form in (secret, secret.upper(), secret.encode().hex(), base64.b64encode(secret.encode()).decode()[:-2]):
            assert [line for line in log.splitlines() if form in line] == []
    assert "Traceback" not in log


def test_no_key_that_counts_is_in_the_log_nor_is_its_hash(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    key = create_key(data_dir, CONTENT, "ingest,read,admin")
    with closing(sqlite3.connect(data_dir / "registry.sqlite3")) as registry:
        dump = "\n".join(registry.iterdump())
    hashes = re.findall(r"X'([0-9A-F]{32,})'|'([0-9a-f]{64})'", dump)
    server = ServerProcess(data_dir, "--log-level", "debug").start()
    try:
        headers = {"Authorization": f"Bearer {key}", **PROTOBUF}
        assert server.request("POST", "/v1/traces", spans(), headers)[0] == 200
        assert (
            server.request("POST", "/v1/traces", spans(), {**headers, "Authorization": f"Bearer {key[:-1]}x"})[0] == 401
        )
        assert server.request("GET", f"/{key}?key={key}", headers={"X-Api-Key": key})[0] == 404
        question = json.dumps({"query": f"SELECT '{key}'::INTEGER"}).encode()
        assert server.request("POST", "/sql", question, {**JSON, "X-Api-Key": key})[0] == 400
        with grpc_channel(server.grpc) as channel:
            export_bytes(channel, spans(), metadata=(("authorization", f"Bearer {key}"),))
        deadline = time.monotonic() + 20
        while "serving the registry as last read" not in server.log():
            # Each time: a connection of the server's that closes meanwhile heals the file from the write-ahead log.
            for path in data_dir.glob("registry.sqlite3*"):
                path.write_bytes(key.encode() * 1000)
            server.request("GET", "/configs", headers={"X-Api-Key": key})
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        server.terminate()

    log = server.log()

    secrets = [key, key.rpartition("_")[2], *(found for pair in hashes for found in pair if found)]
    assert len(secrets) > 2
    assert [line for line in log.splitlines() if any(secret.lower() in line.lower() for secret in secrets)] == []
    assert CONTENT not in log
