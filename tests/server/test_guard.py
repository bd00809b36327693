"""Who may speak to a server without keys."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

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
