"""The registry over HTTP, as the published clients and `apply` call it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from registry_documents import config, prompt, prompt_test
from starlette.testclient import TestClient

from analytics.api import errors
from analytics.api.registry import router
from schemas.api.registry import RegistryDocument
from storage.registry import document
from storage.registry.errors import RegistryBusyError, RegistryUnavailableError
from storage.registry.registry import Registry
from storage.registry.resources import UNSIGNED, Authorship


class BrokenRegistry(Registry):
    """A registry whose database fails in a given way."""

    error: Exception = RegistryUnavailableError("registry /secret/path is damaged")

    def config(self, project: str, key: str, version: int) -> dict[str, Any] | None:
        raise self.error

    def apply(self, project: str, document: RegistryDocument, by: Authorship = UNSIGNED) -> list[Any]:
        raise self.error


def client_of(registry: Registry) -> TestClient:
    app = FastAPI()
    errors.install(app)
    app.include_router(router(registry))

    @app.middleware("http")
    async def authenticate(request: Request, call_next: Any) -> Any:
        if "x-project" in request.headers:
            request.state.project = request.headers["x-project"]
        return await call_next(request)

    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    registry = Registry(f"sqlite:///{tmp_path}/registry.sqlite3")
    yield client_of(registry)
    registry.close()


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[TestClient]:
    registry = BrokenRegistry(f"sqlite:///{tmp_path}/registry.sqlite3")
    yield client_of(registry)
    registry.close()


def apply(client: TestClient, **lists: Any) -> Any:
    response = client.post("/apply", json=lists)
    assert response.status_code == 200, response.text
    return response.json()["changes"]


def error(response: Any, status: int) -> dict[str, str]:
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    body: dict[str, str] = response.json()["error"]
    return body


def test_an_empty_registry_serves_empty_lists(client: TestClient) -> None:
    assert client.get("/configs").json() == {"configs": []}
    assert client.get("/prompts").json() == {"prompts": []}
    assert client.get("/prompt-ab-tests").json() == {"prompt_ab_tests": []}


def test_what_was_applied_is_served(client: TestClient) -> None:
    changes = apply(client, configs=[config()], prompts=[prompt()], prompt_ab_tests=[prompt_test()])
    assert changes == [
        {"kind": "config", "key": "summarizer", "version": 1, "action": "created", "warnings": []},
        {"kind": "prompt", "key": "welcome", "version": 1, "action": "created", "warnings": []},
        {"kind": "prompt_ab_test", "key": "welcome-test", "version": 1, "action": "created", "warnings": []},
    ]
    assert client.get("/configs").json() == {"configs": [{"version": 1, **config()}]}
    assert client.get("/prompts").json() == {"prompts": [{"version": 1, **prompt()}]}
    assert client.get("/prompt-ab-tests").json() == {"prompt_ab_tests": [{"version": 1, **prompt_test()}]}


def test_an_old_version_stays_served(client: TestClient) -> None:
    apply(client, configs=[config(weight=50)])
    apply(client, configs=[config(weight=60)])
    assert client.get("/configs/summarizer/version/1").json() == {"version": 1, **config(weight=50)}
    assert client.get("/configs/summarizer/version/2").json() == {"version": 2, **config(weight=60)}


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("team/summarizer", "team/summarizer"),
        ("team/summarizer", "team%2Fsummarizer"),
        ("a b", "a%20b"),
        ("日本", "%E6%97%A5%E6%9C%AC"),
        ("50%?", "50%25%3F"),
        ("x/version/7", "x/version/7"),
    ],
)
def test_a_key_may_hold_what_a_url_must_escape(client: TestClient, key: str, path: str) -> None:
    apply(client, configs=[config(key)])
    assert client.get(f"/configs/{path}/version/1").json()["key"] == key


def test_an_unknown_config_is_404_and_so_is_an_unknown_version(client: TestClient) -> None:
    apply(client, configs=[config()])
    assert error(client.get("/configs/other/version/1"), 404) == {
        "code": "not_found",
        "message": "unknown config 'other'",
    }
    for version in (0, 2, -1, 10**30):
        assert error(client.get(f"/configs/summarizer/version/{version}"), 404) == {
            "code": "not_found",
            "message": f"config 'summarizer' has no version {version}",
        }


@pytest.mark.parametrize("version", ["latest", "1.5", "1e3"])
def test_a_version_that_is_no_whole_number_is_400(client: TestClient, version: str) -> None:
    assert error(client.get(f"/configs/summarizer/version/{version}"), 400) == {
        "code": "invalid_argument",
        "message": f"version: must be a whole number, got '{version}'",
        "field": "version",
    }


def test_an_invalid_document_is_400_and_changes_nothing(client: TestClient) -> None:
    broken_config = {"key": "k", "variants": [{"model": "a", "weight": 1}, {"model": "b", "weight": -5}]}
    response = client.post("/apply", json={"configs": [config(), broken_config]})
    assert error(response, 400) == {
        "code": "invalid_argument",
        "message": "configs[1].variants[1].weight: must be >= 0, got -5",
        "field": "configs[1].variants[1].weight",
    }
    assert client.get("/configs").json() == {"configs": []}


def test_a_prompt_test_without_its_prompt_is_400(client: TestClient) -> None:
    body = error(client.post("/apply", json={"prompt_ab_tests": [prompt_test()]}), 400)
    assert body["field"] == "prompt_ab_tests[0].variants[0].prompt_key"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"configs": 1, "configs": 2}'])
def test_a_body_that_is_no_document_is_400(client: TestClient, content: bytes) -> None:
    response = client.post("/apply", content=content, headers={"content-type": "application/json"})
    assert error(response, 400)["code"] == "invalid_argument"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_a_web_page_could_send_unasked_is_415(client: TestClient, kind: str) -> None:
    response = client.post("/apply", content=b"{}", headers={"content-type": kind})
    assert error(response, 415)["message"] == f"Content-Type must be application/json, got {kind}"


def test_a_body_beyond_the_limit_is_413(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "DOCUMENT_BYTES_MAX", 100)
    response = client.post("/apply", json={"prompts": [prompt(text="x" * 100)]})
    assert error(response, 413)["message"] == "body must be at most 100 bytes long"


def test_a_project_sees_only_its_own(client: TestClient) -> None:
    apply(client, configs=[config()])
    assert client.get("/configs", headers={"x-project": "other"}).json() == {"configs": []}
    assert len(client.get("/configs", headers={"x-project": "default"}).json()["configs"]) == 1


def test_a_wrong_method_names_those_allowed(client: TestClient) -> None:
    response = client.delete("/configs")
    assert error(response, 405)["code"] == "method_not_allowed"
    assert response.headers["allow"] == "GET"


def test_an_unknown_path_is_404_with_its_name(client: TestClient) -> None:
    assert error(client.get("/nowhere"), 404) == {"code": "not_found", "message": "Not Found: GET /nowhere"}


def test_a_failing_database_is_503_and_its_path_stays_unsaid(broken: TestClient) -> None:
    for response in (broken.get("/configs/k/version/1"), broken.post("/apply", json={})):
        body = error(response, 503)
        assert body["code"] == "unavailable"
        assert "/secret" not in body["message"]


def test_a_locked_database_is_503_and_says_to_try_again(broken: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BrokenRegistry, "error", RegistryBusyError("registry is locked"))
    assert error(broken.post("/apply", json={}), 503)["message"].endswith("try again")


def test_an_unexpected_error_is_500_without_its_text(broken: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BrokenRegistry, "error", ZeroDivisionError("secret"))
    response = broken.get("/configs/k/version/1")
    assert error(response, 500)["code"] == "internal"
    assert "secret" not in response.text
    assert "Traceback" not in response.text


def test_the_api_description_is_complete(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert described["paths"]["/apply"]["post"]["requestBody"]["required"]
    assert "#/$defs" not in client.get("/openapi.json").text
    assert set(described["paths"]) == {
        "/configs",
        "/configs/{key}/version/{version}",
        "/prompts",
        "/prompt-ab-tests",
        "/apply",
        "/api/export",
    }


def test_a_client_costs_less_than_a_millisecond(client: TestClient) -> None:
    apply(client, configs=[config(f"key-{number}") for number in range(100)])
    costs_s = [_cost_s(client.app, "/configs") for _ in range(5)]

    assert min(costs_s) < 0.001


def _cost_s(app: Any, path: str) -> float:
    """Return the CPU time of one answer, without the time of a client."""
    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    statuses = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        statuses.append(message.get("status"))

    async def ask() -> float:
        began = time.process_time()
        for _ in range(100):
            await app({**scope, "state": {}}, receive, send)
        return (time.process_time() - began) / 100

    cost_s = asyncio.run(ask())
    assert set(statuses) == {200, None}
    return cost_s
