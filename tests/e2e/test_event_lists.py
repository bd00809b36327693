"""Exposures and metrics may come several in a body: each is taken or rejected by itself."""

from collections.abc import Iterator

import pytest
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

CONFIG = {"key": "agent", "variants": [{"model": "a", "weight": 50}, {"model": "b", "weight": 50}]}


@pytest.fixture(scope="module")
def server(shared_server: ServerProcess) -> Iterator[ServerProcess]:
    shared_server.define({"configs": [CONFIG]})
    return shared_server


def exposure(session_id: object, key: str = "agent") -> dict[str, object]:
    return {"config_key": key, "config_version": 1, "session_id": session_id, "assigned_model": "a"}


def test_each_exposure_of_a_list_is_stored(server: ServerProcess) -> None:
    status, answer = server.post("/sessions", [exposure(f"each-{number}") for number in range(300)])
    assert (status, answer) == (200, {"status": "ok", "rejected": 0})
    found = server.sql("SELECT count(DISTINCT session_id) AS n FROM exposures WHERE session_id LIKE 'each-%'")
    assert found[0]["n"] == 300


def test_what_is_wrong_in_a_list_is_rejected_and_the_rest_is_stored(server: ServerProcess) -> None:
    items = [exposure("kept-1"), exposure(7), "text", exposure("elsewhere", key="nowhere"), exposure("kept-2")]
    status, answer = server.post("/sessions", items)
    assert (status, answer["rejected"]) == (200, 3)
    assert [error["index"] for error in answer["errors"]] == [1, 2, 3]
    assert "session_id" in answer["errors"][0]["message"]
    found = server.sql("SELECT session_id FROM exposures WHERE session_id IN ('kept-1', 'kept-2', 'elsewhere')")
    assert {row["session_id"] for row in found} == {"kept-1", "kept-2"}


def test_of_a_metric_that_comes_twice_in_a_list_the_later_counts(server: ServerProcess) -> None:
    metrics = [{"config_key": "agent", "session_id": "later", "data": {"score": score}} for score in (1, 2, 3)]
    assert server.post("/spans", metrics)[0] == 200
    found = server.sql("SELECT value_double FROM metrics WHERE session_id = 'later' ORDER BY received_at DESC LIMIT 1")
    assert found[0]["value_double"] == 3


@pytest.mark.parametrize(("body", "status"), [([], 400), ([{}] * 1001, 413)])
def test_a_list_of_none_or_too_many_is_refused(server: ServerProcess, body: list[object], status: int) -> None:
    assert server.post("/sessions", body)[0] == status
