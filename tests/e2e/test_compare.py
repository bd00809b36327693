"""``GET /compare`` over HTTP: what is refused, and a comparison of models that no config knows."""

from typing import Any

import httpx
import pytest
from client_messages import PROTOBUF, export_request, http_client, span
from server_process import ServerProcess

pytestmark = pytest.mark.e2e


def send(server: ServerProcess, sessions: int, **more: Any) -> None:
    """Send one call a session, of two models in turn, by any OpenTelemetry app."""
    spans = [
        span(
            "chat",
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": ("a", "b")[place % 2],
                "fallom.session_id": f"session-{place}",
                "gen_ai.usage.input_tokens": 10 + place,
                "gen_ai.usage.output_tokens": 5,
                **more,
            },
        )
        for place in range(sessions)
    ]
    with http_client(server.url) as client:
        body = export_request(spans).SerializeToString()
        assert client.post("/v1/traces", content=body, headers=PROTOBUF).status_code == 200


def get(server: ServerProcess, path: str, **query: str) -> httpx.Response:
    with http_client(server.url) as client:
        return client.get(path, params=query)


def test_models_that_no_config_knows_are_listed_and_compared(server: ServerProcess) -> None:
    send(server, 20)

    listed = get(server, "/compare/values", by="model").json()
    found = get(server, "/compare", by="model", a="a", b="b", metrics="input_tokens").json()

    assert [(row["value"], row["sessions"]) for row in listed["values"]] == [("a", 10), ("b", 10)]
    assert found["observational"] is True
    assert [variant["sessions"] for variant in found["variants"]] == [10, 10]
    entry = next(entry for entry in found["metrics"] if entry["estimand"] == "per_call")
    assert [arm["estimate"] for arm in entry["variants"]] == [19.0, 20.0]
    assert entry["comparisons"][0]["difference"]["estimate"] == 1.0


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ({"by": "model", "a": "x", "b": "y"}, 404, "there are: none"),
        ({"by": "model", "a": "x", "b": "x"}, 400, "two values expected"),
        ({"by": "colour", "a": "x", "b": "y"}, 400, "metadata.KEY expected, got 'colour'"),
        ({"by": "metadata.", "a": "x", "b": "y"}, 400, "metadata.KEY expected"),
        ({"by": "model", "a": "x\0", "b": "y"}, 400, "without NUL"),
        ({"by": "model", "a": "x", "b": "y", "from": "2024-01-01", "to": "2026-01-01"}, 400, "92 days at most"),
        ({"by": "model", "a": "x", "b": "y", "from": "2026-01-02", "to": "2026-01-01"}, 400, "not before to"),
        ({"by": "model", "a": "x", "b": "y", "to": "0001-01-01"}, 400, "not before to"),
        ({"by": "model", "a": "x" * 1001, "b": "y"}, 400, "at most 1000"),
        ({"by": "model", "a": "x"}, 400, "b"),
        ({"by": "model", "a": "x", "b": "y", "group": "z"}, 400, "group"),
    ],
)
def test_what_makes_no_comparison_is_refused(
    shared_server: ServerProcess, query: dict[str, str], status: int, told: str
) -> None:
    answer = get(shared_server, "/compare", **query)

    assert answer.status_code == status, answer.text
    assert told in answer.text
