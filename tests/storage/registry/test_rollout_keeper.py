"""A step that is due becomes a version: once, whoever follows, and also where nobody did when it fell due."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import insert

from storage.registry import document
from storage.registry.management import Management
from storage.registry.registry import Registry
from storage.registry.resources import Authorship
from storage.registry.rollout_keeper import AUTHOR, RolloutKeeper
from storage.registry.rollouts import canary, conclude
from storage.registry.tables import resource_versions

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BY = Authorship("ann")


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry(f"sqlite:///{tmp_path / 'registry.sqlite3'}")
    variants = [{"model": "old", "weight": 100}, {"model": "new", "weight": 0}]
    registry.apply("p", document.parse({"configs": [{"key": "c", "variants": variants}]}))
    yield registry
    registry.close()


def roll(registry: Registry, steps: list[float]) -> None:
    def shape(config: Any) -> Any:
        return canary(config, "new", steps=steps, every=HOUR, start=NOON + HOUR)

    Management(registry, "config").reshape("p", "c", shape, BY)


def served(registry: Registry) -> list[float]:
    return [variant["weight"] for variant in registry.configs("p")[0]["variants"]]


def history(registry: Registry) -> list[tuple[int, str]]:
    return [(version.version, version.author) for version in Management(registry, "config").history("p", "c")]


def test_each_step_is_a_version_of_its_own(registry: Registry) -> None:
    clock = Clock()
    keeper = RolloutKeeper(registry, now=clock)
    roll(registry, [5, 25, 100])
    seen = []

    for _ in range(5):
        keeper.advance()
        keeper.advance()
        seen.append(served(registry))
        clock.now += HOUR

    assert seen == [[100, 0], [95, 5], [75, 25], [0, 100], [0, 100]]
    assert history(registry) == [(1, "local"), (2, "ann"), (3, AUTHOR), (4, AUTHOR), (5, AUTHOR)]
    assert "rollout" not in Management(registry, "config").get("p", "c").latest.body


def test_what_fell_due_while_nobody_followed_is_made_good_by_the_last_such_step(registry: Registry) -> None:
    clock = Clock()
    roll(registry, [5, 25, 100])
    clock.now += 2.5 * HOUR

    (change,) = RolloutKeeper(registry, now=clock).advance()

    assert (change.version, served(registry)) == (3, [75, 25])


def test_a_test_that_was_concluded_or_archived_takes_no_further_step(registry: Registry) -> None:
    clock = Clock()
    keeper = RolloutKeeper(registry, now=clock)
    roll(registry, [5, 25])
    keeper.advance()
    Management(registry, "config").reshape("p", "c", lambda config: conclude(config, "old"), BY)  # type: ignore[arg-type]
    clock.now += 5 * HOUR
    assert keeper.advance() == []

    roll(registry, [5, 25])
    Management(registry, "config").archive("p", "c", BY)

    assert keeper.advance() == []
    assert keeper.advance() == []


def test_a_config_that_cannot_be_read_keeps_no_other_waiting(registry: Registry) -> None:
    clock = Clock()
    roll(registry, [5])
    strange = {"project": "p", "kind": "config", "key": "a", "version": 1, "body": '{"rollout":{"steps":[]}}'}
    row = {**strange, "created_at": NOON, "author": "x", "note": ""}
    registry.change(lambda connection: connection.execute(insert(resource_versions).values(**row)).rowcount)
    clock.now += HOUR

    (change,) = RolloutKeeper(registry, now=clock).advance()

    assert (change.key, change.version) == ("c", 3)


def test_of_several_servers_one_takes_the_step(registry: Registry, tmp_path: Path) -> None:
    clock = Clock()
    roll(registry, [5])
    clock.now += HOUR
    others = [Registry(f"sqlite:///{tmp_path / 'registry.sqlite3'}") for _ in range(4)]
    together, taken = Barrier(4), []

    def follow(other: Registry) -> None:
        keeper = RolloutKeeper(other, now=clock)
        together.wait()
        taken.extend(keeper.advance())

    threads = [Thread(target=follow, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        other.close()

    assert len(taken) == 1
    assert history(registry)[-1] == (3, AUTHOR)
