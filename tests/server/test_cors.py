"""CORS: off by default; configured origins may ask, others learn nothing."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from server.cors import Cors
from server.guard import LocalGuard
from server.settings import ServerSettings

PAGE = "https://app.example.com"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, traceparent",
}


def client(*origins: str) -> TestClient:
    app = Starlette(routes=[Route("/v1/traces", lambda _: PlainTextResponse("in"), methods=["GET", "POST"])])
    guarded = LocalGuard(app, [], origins)
    return TestClient(Cors(guarded, origins), base_url="http://127.0.0.1:4318")


def test_a_preflight_request_of_a_configured_origin_is_answered_with_204() -> None:
    answer = client(PAGE).options("/v1/traces", headers={"Origin": PAGE, **PREFLIGHT})

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == PREFLIGHT["Access-Control-Request-Headers"]
    assert "Origin" in answer.headers["vary"]


def test_its_pages_may_read_answers() -> None:
    answer = client(PAGE).post("/v1/traces", headers={"Origin": PAGE})

    assert (answer.status_code, answer.text) == (200, "in")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("origins", [(), (PAGE,)], ids=["off", "on"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", PAGE + ".evil.example", "null", "https://app.example.com:1"]
)
def test_other_origins_are_refused(origins: tuple[str, ...], origin: str) -> None:
    for headers in ({"Origin": origin}, {"Origin": origin, **PREFLIGHT}):
        answer = client(*origins).options("/v1/traces", headers=headers)

        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_without_an_origin_nothing_is_added() -> None:
    answer = client(PAGE).get("/v1/traces")

    assert answer.status_code == 200
    assert "vary" not in answer.headers


@pytest.mark.parametrize("origin", ["*", "app.example.com", PAGE + "/", "ftp://a", "https://A.example"])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError, match="scheme://host"):
        ServerSettings(cors_origins=[origin])
