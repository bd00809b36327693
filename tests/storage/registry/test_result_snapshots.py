"""Results are kept as they were shown, on both databases: found by moment, each server's own, and not for ever."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage.registry.registry import Registry
from storage.registry.result_snapshots import EACH_KEPT, KEPT, ResultSnapshots

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def registry(registry_url: str) -> Iterator[Registry]:
    registry = Registry(registry_url)
    yield registry
    registry.close()


@pytest.fixture
def snapshots(registry: Registry) -> ResultSnapshots:
    return ResultSnapshots(registry, "this")


def results(as_of: datetime, **more: Any) -> dict[str, Any]:
    told = {"as_of": as_of.isoformat(), "config_version": 3, "settings_version": None}
    return {"experiment": told, "metrics": [{"name": "größer", "estimate": 0.1}], **more}


def moments(snapshots: ResultSnapshots) -> list[datetime]:
    return [each.as_of for each in snapshots.taken("p", "c")]


def test_what_was_shown_is_found_by_its_moment_or_a_later_one(snapshots: ResultSnapshots) -> None:
    first, second = results(NOON, n=1), results(NOON + HOUR, n=2)

    assert snapshots.keep("p", "c", first)
    assert snapshots.keep("p", "c", second)

    assert snapshots.latest("p", "c") == second
    assert snapshots.latest("p", "c", NOON) == snapshots.latest("p", "c", NOON + HOUR / 2) == first
    assert snapshots.latest("p", "c", NOON - HOUR) is None
    assert moments(snapshots) == [NOON + HOUR, NOON]
    assert [each.as_of for each in snapshots.taken("p", "c", NOON + HOUR)] == [NOON]


def test_what_was_shown_never_changes(snapshots: ResultSnapshots) -> None:
    snapshots.keep("p", "c", results(NOON, n=1))

    assert not snapshots.keep("p", "c", results(NOON, n=2))

    assert snapshots.latest("p", "c") == results(NOON, n=1)


def test_nothing_is_seen_of_other_projects_experiments_and_servers(
    registry: Registry, snapshots: ResultSnapshots
) -> None:
    snapshots.keep("p", "c", results(NOON))

    assert snapshots.latest("q", "c") is None
    assert snapshots.latest("p", "d") is None
    assert ResultSnapshots(registry, "other").latest("p", "c") is None
    assert ResultSnapshots(registry, "other").keep("p", "c", results(NOON))


def test_after_some_days_the_last_of_each_day_is_kept_and_the_end(snapshots: ResultSnapshots) -> None:
    for hours in (0, 1, 2, 3, 24, 25):
        snapshots.keep("p", "c", results(NOON + hours * HOUR), is_last=hours == 1)
    kept = moments(snapshots)

    later = NOON + EACH_KEPT + 20 * HOUR
    snapshots.keep("p", "c", results(later))
    assert len(kept) == 6
    assert moments(snapshots) == [later, NOON + 25 * HOUR, NOON + 24 * HOUR, NOON + 3 * HOUR, NOON + HOUR]
    assert snapshots.has_last("p", "c", NOON + HOUR)
    assert not snapshots.has_last("p", "c", NOON)

    snapshots.keep("p", "c", results(NOON + KEPT + 5 * HOUR))
    assert moments(snapshots)[-1] == NOON + 24 * HOUR + HOUR
