"""Tests that run beside another one: whether they deal sessions by the same hash, and whether that shows."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lake_parts import Parts

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.beside import SESSIONS_MIN, dependent_tests, with_tests_beside
from analytics.experiments.cohort_reader import read_cohort
from analytics.experiments.results import results
from collector.exporters.lake import LakeExporter
from fallom.assignment import assign
from schemas.exposures import EXPOSURES
from storage.registry.resources import ConfigVersion

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def config(key: str, share: float = 50, **more: Any) -> dict[str, Any]:
    variants = [{"model": "a", "weight": share}, {"model": "b", "weight": 100 - share}]
    return {"key": key, "version": 1, "variants": variants, **more}


def experiment(*others: dict[str, Any], **more: Any) -> Experiment:
    mine = config("mine", **more)
    made = experiment_of("mine", [ConfigVersion(1, NOON, mine)])
    assert made is not None
    return with_tests_beside(made, [mine, *others])


def test_tests_of_one_hash_are_beside_each_other() -> None:
    others = [
        config("same"),
        config("other-weights", 20),
        config("salted", hash_version=2),
        config("by-customer", sticky_by="customer"),
        config("by-request", sticky_by="request"),
        config("no-test", 100),
    ]

    assert experiment(*others).beside == ("other-weights", "same")
    assert experiment(*others, sticky_by="customer").beside == ("by-customer",)
    assert experiment(*others, hash_version=2).beside == ()
    assert experiment(*others, sticky_by="request").beside == ()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path)
    yield made
    made.engine.close()


def expose(parts: Parts, *configs: dict[str, Any], sessions: int) -> None:
    exporter: LakeExporter = parts.exporter()
    exporter.start()
    for place, each in enumerate(configs):
        found = [(f"s{number}", assign(each, f"s{number}")) for number in range(sessions)]
        rows = [
            {
                "project": "p",
                "config_key": each["key"],
                "config_version": 1,
                "session_id": session,
                "assigned_model": assignment.model,
                "variant_index": assignment.variant_index,
                "event_time": NOON,
                "content_hash": place,
            }
            for session, assignment in found
        ]
        exporter.consume("exposures", pa.RecordBatch.from_pylist(rows, EXPOSURES.schema))
        exporter.stop()
        exporter = parts.exporter()
        exporter.start()
    exporter.stop()


def dependent(parts: Parts, made: Experiment) -> list[dict[str, Any]]:
    with parts.engine.session("p") as session:
        cohort = read_cohort(session, made)
    return dependent_tests(parts.engine, "p", made, cohort)


def test_arms_that_go_together_in_shared_sessions_are_told(parts: Parts) -> None:
    others = [config("same"), config("shifted", 75), config("elsewhere")]
    expose(parts, config("mine"), *others[:2], sessions=2 * SESSIONS_MIN)
    made = experiment(*others)

    found = {test["key"]: test for test in dependent(parts, made)}

    assert set(found) == {"same", "shifted"}
    assert found["same"]["sessions"] == 2 * SESSIONS_MIN
    assert found["same"]["association"] == pytest.approx(1.0)
    assert 0.3 < found["shifted"]["association"] < 0.8
    health = results(parts.engine, "p", made)["health"]
    assert [each["key"] for each in health["dependent_tests"]] == ["same", "shifted"]
    assert [each["code"] for each in health["warnings"]].count("dependent_tests") == 2


def test_few_shared_sessions_tell_nothing(parts: Parts) -> None:
    expose(parts, config("mine"), config("same"), sessions=SESSIONS_MIN - 1)

    assert dependent(parts, experiment(config("same"))) == []


def test_independent_arms_are_not_told(parts: Parts) -> None:
    # Whatever the registry says now: what is in the exposures was dealt by a salt.
    expose(parts, config("mine"), config("same", hash_version=2), sessions=4 * SESSIONS_MIN)

    assert dependent(parts, experiment(config("same"))) == []
