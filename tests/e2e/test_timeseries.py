"""Results over time from a real server: as of a moment, by day, and as they were shown, though data come late."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from client_messages import PROTOBUF, export_request, http_client, span
from experiment_figures import session_id_in
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

KEY = "course/of days"
MODELS = ("gpt-4o", "gpt-4o-mini")
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
PATH = "/experiments/course%2Fof%20days"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path_factory.mktemp("course") / "data", "--snapshot-interval-s", "0.2").start()
    variants = [{"model": model, "weight": 50} for model in MODELS]
    server.define({"configs": [{"key": KEY, "variants": variants}]})
    yield server
    server.stop()


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with http_client(server.url) as client:
        yield client


def send(client: httpx.Client, name: str, at: datetime) -> None:
    """Send a session of each arm, with one call that took its arm's time."""
    for arm, model in enumerate(MODELS):
        session_id = session_id_in(arm, name)
        start = int(at.timestamp()) * 10**9
        assert client.post("/v1/logs", json=exposed(session_id, model, start)).status_code == 200
        attributes = {"fallom.config_key": KEY, "fallom.session_id": session_id, "gen_ai.request.model": model}
        times = {"start_time_unix_nano": start, "end_time_unix_nano": start + (arm + 1) * 10**9}
        body = export_request([span("chat", attributes, **times)]).SerializeToString()
        assert client.post("/v1/traces", content=body, headers=PROTOBUF).status_code == 200


def exposed(session_id: str, model: str, at_ns: int) -> dict[str, Any]:
    """Return the flag's evaluation as an OTLP log record, which has a time of its own."""
    said = {"feature_flag.key": KEY, "feature_flag.version": "1", "feature_flag.result.variant": model}
    texts = {**said, "feature_flag.context.id": session_id}
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in texts.items()]
    record = {"timeUnixNano": str(at_ns), "eventName": "feature_flag.evaluation", "attributes": attributes}
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}


def sessions(answer: dict[str, Any]) -> list[int]:
    return [variant["sessions"] for variant in answer["variants"]]


def got(client: httpx.Client, path: str, **options: str) -> dict[str, Any]:
    answer = client.get(f"{PATH}/{path}", params=options)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def wait_for(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return value


def test_late_data_change_the_past_as_if_they_had_been_there_and_nothing_that_was_shown(client: httpx.Client) -> None:
    for name, days in (("a", 3), ("b", 2), ("c", 2), ("d", 0)):
        send(client, name, TODAY - timedelta(days=days) + timedelta(minutes=1))
    two_days_ago = (TODAY - timedelta(days=1)).isoformat()
    now = got(client, "results")
    assert sessions(now) == [4, 4]
    shown = wait_for(
        lambda: [
            each
            for each in got(client, "snapshots")["snapshots"]
            if sessions(client.get(each["link"]).json()) == [4, 4]
        ]
    )[0]

    send(client, "late", TODAY - timedelta(days=2, minutes=-5))

    assert sessions(got(client, "results", as_of=two_days_ago)) == [4, 4]
    assert sessions(got(client, "results")) == [5, 5]
    assert sessions(client.get(shown["link"]).json()) == [4, 4]
    course = got(client, now["links"]["timeseries"].rpartition("/")[2], metric="latency_ms")
    assert [[each["sessions"] for each in point["variants"]] for point in course["points"]] == [
        [1, 1], [4, 4], [4, 4], [5, 5],
    ]  # fmt: skip
    assert [each["estimate"] for each in course["points"][0]["variants"]] == [1000, 2000]
    assert course["points"][1]["at"] == two_days_ago


def test_what_there_is_not_is_told(client: httpx.Client) -> None:
    def message(path: str, **options: str) -> str:
        answer = client.get(f"{PATH}/{path}", params=options)
        assert answer.status_code in (400, 404), answer.text
        return str(answer.json()["error"]["message"])

    send(client, "z", TODAY)
    tomorrow = (TODAY + timedelta(days=1)).isoformat()
    assert "not in the future" in message("results", as_of=tomorrow)
    assert "a moment since 1970" in message("timeseries", metric="latency_ms", as_of="0001-01-01T00:00:00Z")
    assert "'nothing' is no metric of this experiment, which has: latency_ms" in message("timeseries", metric="nothing")
    assert "statistic=p50, estimand=per_call" in message("timeseries", metric="latency_ms", statistic="p51")
    assert "no results of 'course/of days' were kept until" in message("snapshots/2001-01-01T00:00:00Z")
