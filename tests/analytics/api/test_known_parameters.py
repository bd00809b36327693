"""A parameter that a path does not have is refused, with the one that may have been meant."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Query
from starlette.testclient import TestClient

from analytics.api.errors import install
from analytics.api.known_parameters import known_parameters

app = FastAPI(dependencies=[Depends(known_parameters)])
install(app)


@app.get("/things/{key}")
def things(
    key: str, metrics: str | None = None, started_from: Annotated[str | None, Query(alias="from")] = None
) -> list[str | None]:
    return [key, metrics, started_from]


def test_known_ones_are_passed_by_their_names() -> None:
    with TestClient(app) as client:
        assert client.get("/things/a", params={"metrics": "m", "from": "f"}).json() == ["a", "m", "f"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("metric", "metric: unknown key, did you mean 'metrics'?"),
        ("key", "key: unknown key; there are: metrics, from"),
        ("", ": unknown key; there are: metrics, from"),
        ("\0", "\0: unknown key; there are: metrics, from"),
    ],
)
def test_another_is_refused(name: str, message: str) -> None:
    with TestClient(app) as client:
        answer = client.get("/things/a", params={name: "1"})

    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == message
