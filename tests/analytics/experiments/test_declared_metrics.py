"""What an experiment declares of its metrics, and which calls tell of success and fallback, in its results."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from lake_parts import TODAY, Parts, span_rows

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.results import results
from analytics.experiments.settings import MetricSettings, Settings
from collector.exporters.lake import LakeExporter
from fallom.assignment import bucket
from schemas.exposures import EXPOSURES
from schemas.metrics import METRICS
from storage.registry.resources import ConfigVersion

BEGAN = TODAY - timedelta(days=1)
MODELS = ("gpt-4o", "gpt-4o-mini")
Value = float | bool | str


def sessions_of(arm: int, count: int) -> list[str]:
    """Return the names of so many sessions that the hash puts in the arm."""
    return [name for place in range(100) if (bucket(name := f"s{place}") >= 500_000) == arm][:count]


class Server:
    """A project of its own in the tests' storage, with sessions of both arms, four of each."""

    def __init__(self, parts: Parts, exporter: LakeExporter, project: str) -> None:
        self.parts, self.exporter, self.project = parts, exporter, project
        self.sessions = [sessions_of(arm, 4) for arm in range(2)]
        self._calls = 0
        rows = [
            {
                "project": project,
                "config_key": "config",
                "config_version": 1,
                "session_id": session,
                "assigned_model": MODELS[arm],
                "event_time": BEGAN,
                "content_hash": number,
            }
            for arm, sessions in enumerate(self.sessions)
            for number, session in enumerate(sessions)
        ]
        self.exporter.consume("exposures", pa.RecordBatch.from_pylist(rows, EXPOSURES.schema))

    def call(self, session: str, model: str, **columns: Any) -> None:
        self._calls += 1
        self.exporter.consume(
            "spans", span_rows(self._calls, project=self.project, session_id=session, response_model=model, **columns)
        )

    def measure(self, name: str, values: Mapping[str, Value]) -> None:
        rows = [
            {
                "project": self.project,
                "config_key": "config",
                "session_id": session,
                "name": name,
                "value_type": {bool: "boolean", str: "string"}.get(type(value), "number"),
                "value_double": None if isinstance(value, str) else float(value),
                "value_string": value if isinstance(value, str) else None,
                "event_time": TODAY,
                "received_at": TODAY,
            }
            for session, value in values.items()
        ]
        self.exporter.consume("metrics", pa.RecordBatch.from_pylist(rows, METRICS.schema))

    def entries(self, *declared: MetricSettings, success: str | None = None) -> dict[Any, dict[str, Any]]:
        answer = results(self.parts.engine, self.project, experiment(), Settings(metrics=declared, success=success))
        return {(e["name"], e["statistic"], e["estimand"], e.get("category")): e for e in answer["metrics"]}


def experiment() -> Experiment:
    body = {"variants": [{"model": model, "weight": 50} for model in MODELS]}
    made = experiment_of("config", [ConfigVersion(1, BEGAN, body)])
    assert made is not None
    return made


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Parts, LakeExporter]]:
    """One for all: to start and stop it waits for the disk, which is no part of what is tested."""
    parts = Parts(tmp_path_factory.mktemp("declared"))
    exporter = parts.exporter()
    exporter.start()
    yield parts, exporter
    exporter.stop()
    parts.engine.close()


@pytest.fixture
def server(storage: tuple[Parts, LakeExporter], request: pytest.FixtureRequest) -> Server:
    return Server(*storage, request.node.name)


def estimates(entry: dict[str, Any]) -> list[float | None]:
    return [arm["estimate"] for arm in entry["variants"]]


def test_a_declared_proportion_takes_zero_and_one_alone(server: Server) -> None:
    first, second = server.sessions
    server.measure("solved", {first[0]: 1, first[1]: 0, first[2]: 7, second[0]: 1})

    as_sent = server.entries()["solved", "mean", "per_session", None]
    declared = server.entries(MetricSettings("solved", type="proportion"))["solved", "proportion", "per_session", None]

    assert estimates(as_sent) == [pytest.approx(8 / 3), 1.0]
    assert estimates(declared) == [0.5, 1.0]
    assert [arm["sessions"] for arm in declared["variants"]] == [2, 1]


def test_a_declared_category_takes_numbers_as_their_text(server: Server) -> None:
    first, second = server.sessions
    server.measure("stars", {first[0]: 4.0, first[1]: 5.0, second[0]: 4.0, second[1]: 4.5})

    found = server.entries(MetricSettings("stars", type="category"))

    shares = {key[3]: estimates(entry) for key, entry in found.items() if key[0] == "stars"}
    assert shares == {"4": [0.5, 0.5], "5": [0.5, 0.0], "4.5": [0.0, 0.5]}


def test_what_is_missing_counts_as_zero_where_that_is_declared(server: Server) -> None:
    first, second = server.sessions
    server.measure("orders", {first[0]: 2, first[1]: 6, second[0]: 4})

    excluded = server.entries()["orders", "mean", "per_session", None]
    zero = server.entries(MetricSettings("orders", missing="zero"))["orders", "mean", "per_session", None]

    assert (estimates(excluded), estimates(zero)) == ([4.0, 4.0], [2.0, 1.0])
    assert [arm["sessions"] for arm in zero["variants"]] == [4, 4]
    for entry in (excluded, zero):
        assert estimates(entry["response_rate"]) == [0.5, 0.25]


def test_a_custom_metric_is_cut_at_its_declared_cap(server: Server) -> None:
    first, second = server.sessions
    server.measure("time", {first[0]: 1, first[1]: 2, second[0]: 3, second[1]: 1_000})

    found = server.entries(MetricSettings("time", cap=0.75))

    assert estimates(found["time", "mean", "per_session", None]) == [1.5, 501.5]
    capped = found["time", "capped_mean", "per_session", None]
    assert (estimates(capped), capped["cap"]) == ([1.5, 3.0], {"quantile": 0.75, "value": 3.0})


def test_what_sessions_without_success_cost_is_part_of_what_a_success_costs(server: Server) -> None:
    first, second = server.sessions
    for session in (*first[:3], second[0]):
        server.call(session, MODELS[session in second], cost=1.0)
    server.call(first[1], MODELS[0], cost=4.0, status_code="error")
    server.measure("done", {first[0]: True, first[1]: True, first[2]: False, second[0]: False})
    key = ("cost_usd", "mean", "per_successful_session", None)

    # Seven dollars of the first arm, two of whose sessions had calls of which none failed.
    assert estimates(server.entries()[key]) == [pytest.approx(7 / 2), 1.0]
    declared = estimates(server.entries(success="done")[key])

    assert declared == [pytest.approx(7 / 2), None]


def test_a_fallback_is_a_failed_call_of_the_assigned_model_and_a_call_of_another(server: Server) -> None:
    first, second = server.sessions
    server.call(first[0], "gpt-4o-2024-08-06", status_code="error")
    server.call(first[0], "claude-3-5-sonnet-20241022")
    # Another model without a failure, a failure without another model, and a failure of the other model.
    server.call(first[1], "gpt-4o")
    server.call(first[1], "claude-3-5-sonnet-20241022")
    server.call(first[2], "gpt-4o", status_code="error")
    server.call(second[0], "gpt-4o-mini")
    server.call(second[0], "claude-3-5-sonnet-20241022", status_code="error")

    found = server.entries()["fallback_rate", "proportion", "per_session", None]

    assert (estimates(found), found["role"]) == ([0.25, 0.0], "guardrail")


def test_a_warning_tells_of_a_metric_that_one_arm_gives_more_often(storage: tuple[Parts, LakeExporter]) -> None:
    parts, exporter = storage
    sessions = [f"s{number}" for number in range(800)]
    rows = [
        {"project": "p", "config_key": "config", "config_version": 1, "session_id": session}
        | {"assigned_model": MODELS[bucket(session) >= 500_000], "event_time": BEGAN}
        for session in sessions
    ]
    exporter.consume("exposures", pa.RecordBatch.from_pylist(rows, EXPOSURES.schema))
    given = [
        {"project": "p", "config_key": "config", "session_id": session, "name": "stars", "value_type": "number"}
        | {"value_double": 4.0, "event_time": TODAY}
        for number, session in enumerate(sessions)
        if bucket(session) < 500_000 or number % 2
    ]
    exporter.consume("metrics", pa.RecordBatch.from_pylist(given, METRICS.schema))

    answer = results(parts.engine, "p", experiment())

    told = next(each for each in answer["health"]["warnings"] if each["code"] == "response_rate_differs")
    assert (told["metric"], told["variant"]) == ("stars", "gpt-4o-mini")
