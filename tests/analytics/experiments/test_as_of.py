"""Results as of a moment are those that only what had happened by then would give, whatever came later, or late."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from experiment_days import FIRST_DAY, at, compared, events, experiment, send, versions
from lake_parts import Parts

from analytics.experiments.as_of import in_force
from analytics.experiments.kept_results import KeptResults
from analytics.experiments.results import results

SECTIONS = ("health", "variants", "metrics", "recommendation")
MOMENTS = {"a day's end": at(2), "within a day": at(2.6), "on the first day": at(0.3), "after all": at(12.5)}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """All rows, in no order, half of them committed."""
    rows = events()
    chance = random.Random(3)
    chance.shuffle(rows)
    parts, exporter = send(tmp_path_factory.mktemp("all") / "data", rows, commits=(40, len(rows) // 2))
    yield parts
    exporter.stop()
    parts.engine.close()


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())
def test_what_came_later_is_not_seen(tmp_path: Path, everything: Parts, moment: datetime) -> None:
    parts, exporter = send(tmp_path / "then", [row for row in events() if row[0] < moment])
    wanted = results(parts.engine, "p", experiment(moment))
    exporter.stop()
    parts.engine.close()

    found = results(everything.engine, "p", experiment(moment), before=moment)

    assert found["experiment"]["as_of"] == moment.isoformat()
    assert {entry.pop("sql") for entry in found["metrics"]} == {None}
    for entry in wanted["metrics"]:
        del entry["sql"]
    for section in SECTIONS:
        assert found[section] == compared(wanted[section])


def test_each_moment_has_its_own_figures(everything: Parts) -> None:
    kept = KeptResults(everything.engine)

    def sessions(moment: datetime | None) -> list[int]:
        return [variant["sessions"] for variant in kept.results("p", experiment(), before=moment)["variants"]]

    counts = [sum(sessions(moment)) for moment in (at(0.3), at(2), at(2.6), None)]
    assert counts == sorted(set(counts))
    assert sessions(at(0.3)) == sessions(at(0.3))
    assert sessions(FIRST_DAY) == [0, 0]


def test_versions_count_from_their_making_on_and_the_first_always() -> None:
    def found(moment: datetime | None) -> list[Any]:
        return [version.version for version in in_force(versions(), moment)]

    second = versions()[1].created_at
    assert found(None) == found(second + timedelta(microseconds=1)) == [1, 2]
    assert found(second) == found(FIRST_DAY - timedelta(days=9)) == [1]
