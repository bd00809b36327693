"""Malformed HTTP requests, as the bytes of a connection; the same for the same seed and number."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from client_messages import export_request, exposure, flat_trace, metrics, otlp_json, span
from mutations import INSERTED, JUNK, mutated_bytes, mutated_json, mutated_text

EXPORT = export_request([span(attributes={"gen_ai.request.model": "gpt-4o", "n": 1, "list": ["a", 2]})] * 2)
PROTOBUF_BODY = EXPORT.SerializeToString()
CONFIGS = {"configs": [{"key": "hostile", "variants": [{"model": "a", "weight": 1}, {"model": "b", "weight": 1}]}]}
DOCUMENTS: dict[str, tuple[object, ...]] = {
    "/v1/traces": (otlp_json(EXPORT), flat_trace("hostile", "s", input="q", output="a", metadata={"a": 1})),
    "/spans": (metrics("hostile", "s", score=1, good=True, note="x"),),
    "/sessions": (exposure("hostile", "s", "a"),),
    "/sql": ({"query": "SELECT count(*) FROM spans WHERE session_id = 's'"},),
    "/apply": (CONFIGS,),
    "/assign": ({"config_key": "hostile", "session_id": "s", "customer_id": "c", "context": {"plan": "pro"}},),
    "/ofrep/v1/evaluate/flags/hostile": ({"context": {"targetingKey": "s", "plan": "pro"}},),
    "/api/configs/hostile/rollout": ({"shape": "canary", "variant": "a", "steps": [5, 100], "every_s": 86400},),
    "/customers/forget": ({"customer_id": "somebody who is not there"},),
}
# What a valid request makes the server write and read anew comes seldom, so that a million take minutes.
SELDOM = ("/sql", "/apply", "/api/configs/hostile/rollout", "/customers/forget")
OFTEN = tuple(path for path in DOCUMENTS if path not in SELDOM)
PATHS = (
    *DOCUMENTS,
    "/v1/logs",
    "/v1/metrics",
    "/configs",
    "/configs/hostile/version/1",
    "/prompts",
    "/prompt-ab-tests",
    "/experiments",
    "/experiments/hostile/results",
    "/experiments/hostile/results?version=1&metric=a",
    "/traces/0123456789abcdef0123456789abcdef",
    "/customers/forget/1",
    "/debug/pipeline",
    "/openapi.json",
    "/metrics",
    "/readyz",
    "/",
    "/nothing/here",
)
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "get", "FETCH", "")
MEDIA_TYPES = (
    "application/json",
    "application/x-protobuf",
    "application/json; charset=utf-16",
    "Application/X-Protobuf ; a=b",
    "text/plain",
    "multipart/form-data",
    "application/yaml",
    ";;;",
    "",
)
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": bytes,
    "br": bytes,
    "gzip, gzip": bytes,
    "identity": bytes,
}
HEADER_LINES = (
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 1e3",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: nothing\r\nContent-Length: 3",
    b"Expect: 100-continue",
    b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Connection: close",
    b"Host: evil.example",
    b"Origin: http://evil.example",
    b"Authorization: Bearer \xff\xfe",
    b"Authorization: " + b"x" * 5_000,
    b"X-Api-Key: ' OR 1=1 --",
    b"traceparent: 00-" + b"0" * 32 + b"-zz",
    b"no colon",
    b": no name",
    b"Bad\x00Name: x",
    b" folded: yes",
    b"X: " + b"y" * 60_000,
    b"\r\n".join(b"X-%d: y" % number for number in range(150)),
)


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """``is_whole``: the server can tell where the request ends, so it has to answer it."""

    content: bytes
    is_whole: bool


def http_message(chance: random.Random) -> HttpMessage:
    """Return what is sent: mostly a request that is wrong in one place or two."""
    match chance.randrange(40):
        case 0:
            return HttpMessage(_garbage(chance), is_whole=False)
        case 1:
            request = _request(chance, "POST", "/v1/traces", PROTOBUF_BODY, MEDIA_TYPES[1])
            return HttpMessage(mutated_bytes(chance, request.content), is_whole=False)
        case 2 | 3:
            return _request(chance, chance.choice(METHODS), _path(chance), b"", chance.choice(MEDIA_TYPES))
        case number if number < 20:
            body = mutated_bytes(chance, PROTOBUF_BODY)
            return _request(chance, "POST", "/v1/traces", body, "application/x-protobuf")
        case _:
            path = chance.choice(OFTEN if chance.random() < 0.97 else SELDOM)
            return _request(chance, "POST", path, _document(chance, path), _mostly(chance, "application/json"))


def _request(chance: random.Random, method: str, path: str, body: bytes, media_type: str) -> HttpMessage:
    lines = [f"{method} {path} HTTP/1.1".encode("utf-8", "surrogatepass"), b"Host: 127.0.0.1"]
    lines.append(f"Content-Type: {media_type}".encode())
    if chance.random() < 0.1:
        encoding, encode = chance.choice(list(ENCODINGS.items()))
        body = encode(body)
        body = mutated_bytes(chance, body) if chance.random() < 0.5 else body
        lines.append(f"Content-Encoding: {encoding}".encode())
    is_framed = chance.random() < 0.95 and method in METHODS[:7]
    if is_framed or chance.random() < 0.5:
        lines.append(b"Content-Length: %d" % len(body))
    if not is_framed:
        lines.append(chance.choice(HEADER_LINES))
    return HttpMessage(b"\r\n".join(lines) + b"\r\n\r\n" + body, is_framed)


def _document(chance: random.Random, path: str) -> bytes:
    document = chance.choice(DOCUMENTS[path])
    if path == "/sql" and chance.random() < 0.7:
        document = {"query": mutated_text(chance, "SELECT session_id, count(*) FROM spans GROUP BY 1 ORDER BY 2")}
    elif chance.random() < 0.7:
        document = mutated_json(chance, document)
    text = json.dumps(document).encode()
    return mutated_bytes(chance, text) if chance.random() < 0.4 else text


def _path(chance: random.Random) -> str:
    path = chance.choice(PATHS)
    match chance.randrange(4):
        case 0:
            return path
        case 1:
            return quote(mutated_text(chance, path), safe="/?&=%", errors="replace") or "/"
        case 2:
            return f"{path}?{_junk(chance)[:500]}=%ff&{_junk(chance)[:500]}"
        case _:
            return f"{path}/{_junk(chance)[:2_000]}"


def _junk(chance: random.Random) -> str:
    return quote(str(chance.choice(JUNK)), safe="", errors="replace")


def _garbage(chance: random.Random) -> bytes:
    match chance.randrange(4):
        case 0:
            return chance.randbytes(chance.randrange(200)) + b"\r\n\r\n"
        case 1:
            return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + chance.randbytes(50)
        case 2:
            return b"\x16\x03\x01" + chance.randbytes(100)
        case _:
            chunks = b"Transfer-Encoding: chunked\r\n\r\n" + chance.choice(
                (
                    b"zz\r\n",
                    b"5\r\nab\r\n",
                    b"ffffffffffffffffff\r\nx",
                    b"1\r\nab0\r\n\r\n",
                    b"-1\r\n\r\n",
                    b"5;x=\x00\r\nhello\r\n0\r\n\r\n",
                )
            )
            return b"POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" + chunks


def _mostly(chance: random.Random, media_type: str) -> str:
    return media_type if chance.random() < 0.9 else chance.choice(MEDIA_TYPES)


def grpc_message(chance: random.Random) -> bytes:
    """Return the body of an Export call that is mostly no valid request."""
    body = mutated_bytes(chance, PROTOBUF_BODY)
    return body if chance.random() < 0.9 else chance.choice(INSERTED) * chance.randrange(1, 1_000)
