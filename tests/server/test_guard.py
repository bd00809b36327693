"""Who may speak to a server without keys."""

import pytest
from google.protobuf.json_format import Parse
from google.rpc.status_pb2 import Status
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from collector.component import CollectorError
from server.guard import LocalGuard


@pytest.fixture
def client() -> TestClient:
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("in"), methods=["GET", "POST"])])
    return TestClient(LocalGuard(app, ["Traces.example"]), base_url="http://127.0.0.1:4318")


@pytest.mark.parametrize("host", ["127.0.0.1:4318", "localhost", "[::1]:4318", "127.1.2.3", "traces.example:80"])
def test_this_machine_and_names_that_are_allowed_may_be_addressed(client: TestClient, host: str) -> None:
    assert client.post("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.4:4318", "[", "localhost.evil"])
def test_a_name_that_was_rebound_to_this_machine_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})

    assert answer.status_code == 403
    assert "Host" in answer.json()["error"]["message"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
def test_a_page_of_another_site_is_refused(client: TestClient, origin: str) -> None:
    answer = client.post("/", headers={"Origin": origin})

    assert answer.status_code == 403
    assert "Origin" in answer.json()["error"]["message"]


@pytest.mark.parametrize("origin", ["http://127.0.0.1:4318", "http://localhost:3000", "https://traces.example"])
def test_a_page_of_this_machine_or_an_allowed_name_is_not(client: TestClient, origin: str) -> None:
    assert client.post("/", headers={"Origin": origin}).status_code == 200


@pytest.mark.parametrize("media_type", ["application/x-protobuf", "application/json", "text/plain"])
def test_a_refusal_on_otlp_s_paths_is_a_status_and_each_is_counted(media_type: str) -> None:
    counted: list[CollectorError] = []
    client = TestClient(LocalGuard(Starlette(), [], on_refusal=counted.append), base_url="http://evil.example")

    answer = client.post("/v1/traces", headers={"Content-Type": media_type})

    is_protobuf = media_type == "application/x-protobuf"
    status = Status.FromString(answer.content) if is_protobuf else Parse(answer.content, Status())
    assert (answer.status_code, status.code) == (403, 7)
    assert "Host" in status.message
    assert answer.headers["content-type"] == (media_type if is_protobuf else "application/json")
    assert [error.reason for error in counted] == ["permission_denied"]
