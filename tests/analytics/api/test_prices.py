"""Prices over the management API and ``POST /apply``: what is given is kept, versioned, and exported."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from registry_documents import price

from analytics.api import errors, management, registry
from storage.registry.registry import Registry


@pytest.fixture
def prices(registry_url: str) -> Iterator[Registry]:
    opened = Registry(registry_url)
    yield opened
    opened.close()


@pytest.fixture
def client(prices: Registry) -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(management.router(prices))
    app.include_router(registry.router(prices))
    errors.install(app)
    with TestClient(app) as client:
        yield client


def test_a_price_is_put_changed_and_looked_up(client: TestClient) -> None:
    first = client.put("/api/prices/llama", json=price(), params={"note": "contract"})
    second = client.put("/api/prices/llama", json=price(usd_per_million={"input": 3, "output": 2}))
    third = client.put("/api/prices/llama", json=price(usd_per_million={"input": 3.0, "output": 2.0}))

    assert [answer.json()["action"] for answer in (first, second, third)] == ["created", "updated", "unchanged"]
    (listed,) = client.get("/api/prices").json()["resources"]
    assert (listed["key"], listed["version"], listed["author"]) == ("llama", 2, "local")
    assert listed["body"] == price(usd_per_million={"input": 3, "output": 2})
    change = client.get("/api/prices/llama/versions/2").json()["differences"]
    assert change == [{"path": "usd_per_million.input", "change": "changed", "before": 1, "after": 3}]
    assert client.get("/api/prices/llama/versions/1").json()["note"] == "contract"


def test_an_archived_price_is_in_no_list_and_holds_no_more(client: TestClient, prices: Registry) -> None:
    client.put("/api/prices/llama", json=price())
    assert [served.key for served in prices.prices("default")] == ["llama"]

    client.post("/api/prices/llama/archive", json={})

    assert prices.prices("default") == ()
    assert client.get("/api/prices").json()["resources"] == []
    assert client.get("/api/export").json()["prices"] == []
    assert client.put("/api/prices/llama", json=price()).status_code == 409

    client.post("/api/prices/llama/restore", json={})
    assert [served.key for served in prices.prices("default")] == ["llama"]


def test_a_draft_holds_from_its_publication_on(client: TestClient, prices: Registry) -> None:
    client.put("/api/prices/llama/draft", json=price())
    assert prices.prices("default") == ()

    assert client.post("/api/prices/llama/publish", json={}).status_code == 200

    assert [served.version for served in prices.prices("default")] == [1]


def test_prices_are_the_same_tuple_while_nothing_changes(client: TestClient, prices: Registry) -> None:
    client.put("/api/prices/llama", json=price())
    before = prices.prices("default")
    assert prices.prices("default") is before

    client.put("/api/prices/other", json=price("other"))

    assert [served.key for served in prices.prices("default")] == ["llama", "other"]


def test_what_is_applied_is_exported(client: TestClient) -> None:
    given = [price("a"), price("b", provider="azure", to="2026-06-30", usd_per_request=0.001, replaces_reported=True)]

    applied = client.post("/apply", json={"prices": given})

    assert [change["kind"] for change in applied.json()["changes"]] == ["price", "price"]
    exported = client.get("/api/export").json()
    assert exported["prices"] == given
    again = client.post("/apply", json=exported).json()["changes"]
    assert {change["action"] for change in again} == {"unchanged"}


def test_clients_are_served_none(client: TestClient) -> None:
    client.put("/api/prices/llama", json=price())

    assert client.get("/prices").status_code == 404
    assert "llama" not in client.get("/configs").text + client.get("/prompts").text
