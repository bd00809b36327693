"""The keeper keeps what was shown of each running experiment that changed, once at its end, and tells a watcher."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from experiment_days import FIRST_DAY, MODELS, at, events, experiment, exposure, send

from analytics.experiments.kept_results import KeptResults
from analytics.experiments.result_keeper import ResultKeeper
from analytics.experiments.settings import Settings
from analytics.experiments.shown import shown_before
from analytics.experiments.subject import Subject, subject_of
from analytics.experiments.verdicts import Look, Past, Pasts
from fallom.assignment import bucket
from storage.registry import document
from storage.registry.registry import Registry
from storage.registry.resources import Authorship
from storage.registry.result_snapshots import ResultSnapshots

LATENCY = ("latency_ms", "mean", "per_call", None)
VARIANTS = [{"model": model, "weight": 50} for model in MODELS]
PROMPT = {"key": "hello", "system_prompt": "Be kind.", "user_template": "Hello."}
TONES = [{"prompt_key": "hello", "weight": 1}, {"prompt_key": "hello", "prompt_version": 1, "weight": 1}]
BY = Authorship("ann")


class Recorder:
    """A watcher that notes what it is told, of all experiments or of those whose key begins so."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, Settings, dict[str, Any]]] = []
        self.prefix = ""

    def covered(self, project: str, keys: Iterable[str]) -> list[str]:
        return [key for key in keys if key.startswith(self.prefix)]

    def __call__(self, project: str, key: str, settings: Settings, results: dict[str, Any]) -> None:
        self.told.append((project, key, settings, results))

    @property
    def keys(self) -> list[str]:
        return [key for _, key, _, _ in self.told]


class World:
    """Storage, registry and keeper, and its watcher."""

    def __init__(self, path: Path) -> None:
        self.parts, self.exporter = send(path / "data", [])
        self.registry = Registry(f"sqlite:///{path}/registry.sqlite3")
        self.define({"configs": [{"key": "config", "variants": VARIANTS}]})
        self.snapshots = ResultSnapshots(self.registry, "this")
        self.kept = KeptResults(self.parts.engine)
        self.watcher = Recorder()
        self.keeper = self.new_keeper()

    def new_keeper(self) -> ResultKeeper:
        return ResultKeeper(
            self.parts.engine, self.registry, self.kept, self.snapshots, interval_s=3600, watcher=self.watcher
        )

    def define(self, resources: dict[str, Any]) -> None:
        self.registry.apply("p", document.parse(resources), BY)

    def expose(self, *sessions: str, when: datetime = FIRST_DAY) -> None:
        for session in sessions:
            _, table, row = exposure(session, MODELS[bucket(session) >= 500_000], when, 1, crc32(session.encode()))
            self.exporter.consume(table, row)

    def stop(self) -> None:
        self.keeper.stop()
        self.registry.close()
        self.exporter.stop()
        self.parts.engine.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.stop()


def test_what_changed_is_kept(world: World) -> None:
    world.keeper.keep()
    assert world.snapshots.taken("p", "config") == []

    world.expose("s1", "s2")
    world.keeper.keep()
    world.keeper.keep()
    (taken,) = world.snapshots.taken("p", "config")
    found = world.snapshots.latest("p", "config")
    assert found is not None
    assert found["experiment"]["key"] == "config"

    world.expose("s3")
    world.keeper.keep()
    assert len(world.snapshots.taken("p", "config")) == 2
    # What was shown is there, though more is known by now.
    assert world.snapshots.latest("p", "config", taken.as_of) == found


def test_the_watcher_is_told_of_what_it_covers_each_time_though_nothing_changes(world: World) -> None:
    world.define({"configs": [{"key": "another", "variants": VARIANTS}]})
    world.watcher.prefix = "conf"
    world.expose("s1")

    world.keeper.watch()
    world.keeper.watch()

    assert [(project, key, settings) for project, key, settings, _ in world.watcher.told] == [
        ("p", "config", Settings())
    ] * 2
    assert sum(variant["sessions"] for variant in world.watcher.told[0][3]["variants"]) == 1
    assert world.snapshots.taken("p", "config") == []


def test_the_watcher_is_told_of_running_experiments_alone(world: World) -> None:
    ended = {"key": "ended", "config": "config", "ended_at": at(2).isoformat()}
    planned = {"key": "planned", "config": "config", "status": "planned"}
    world.define({"experiments": [ended, planned, {"key": "running", "config": "config"}]})

    world.keeper.watch()

    assert world.watcher.keys == ["running"]


def test_a_prompt_test_that_no_experiment_looks_at_is_looked_at(world: World) -> None:
    world.define({"prompts": [PROMPT], "prompt_ab_tests": [{"key": "tone", "variants": TONES}]})

    world.keeper.watch()

    assert world.watcher.keys == ["config", "tone"]


def test_the_thread_keeps_and_tells(world: World) -> None:
    world.expose("s1")
    keeper = ResultKeeper(
        world.parts.engine,
        world.registry,
        world.kept,
        world.snapshots,
        interval_s=0.01,
        watcher=world.watcher,
        watch_interval_s=0.02,
    )

    keeper.start()
    deadline = time.monotonic() + 30
    while len(world.watcher.told) < 2 or not world.snapshots.taken("p", "config"):
        assert time.monotonic() < deadline, "nothing was kept, or told"
        time.sleep(0.01)
    keeper.stop()

    assert set(world.watcher.keys) == {"config"}


def test_a_change_of_settings_is_one(world: World) -> None:
    world.expose("s1")
    world.keeper.keep()
    world.define({"experiments": [{"key": "cheaper", "config": "config", "alpha": 0.01}]})
    world.keeper.keep()
    world.define({"experiments": [{"key": "cheaper", "config": "config", "alpha": 0.02}]})
    world.keeper.keep()

    assert len(world.snapshots.taken("p", "config")) == 1
    assert [each.settings_version for each in world.snapshots.taken("p", "cheaper")] == [2, 1]


def test_the_end_is_kept_once_and_stays(world: World) -> None:
    world.expose("s1", when=at(0))
    world.expose("s2", when=at(3))
    ended_at = at(2)
    ended = {"key": "cheaper", "config": "config", "ended_at": ended_at.isoformat()}
    world.define({"experiments": [ended]})

    world.keeper.keep()
    world.new_keeper().keep()

    (taken,) = world.snapshots.taken("p", "cheaper")
    assert (taken.as_of, taken.is_last) == (ended_at, True)
    subject = subject_of(world.registry, "p", "cheaper")
    experiment = subject.experiment(world.registry)
    assert experiment is not None
    assert subject.before == ended_at
    found = world.kept.results("p", experiment, subject.settings, before=subject.before)
    assert sum(variant["sessions"] for variant in found["variants"]) == 1
    assert found["experiment"]["as_of"] == ended_at.isoformat()


def test_one_that_fails_keeps_no_other_waiting(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.define({"configs": [{"key": "another", "variants": VARIANTS}]})
    world.expose("s1")
    broken = world.kept.results

    def results(project: str, experiment: Any, *rest: Any, **more: Any) -> dict[str, Any]:
        if experiment.key == "another":
            raise OSError("damaged")
        return broken(project, experiment, *rest, **more)

    world.kept.results = results  # type: ignore[method-assign]
    world.keeper.keep()
    world.keeper.keep()

    world.keeper.watch()

    assert (len(world.snapshots.taken("p", "config")), world.watcher.keys) == (1, ["config"])
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "experiment another of project p could not be looked at"
    ]


def test_it_is_told_since_when_a_comparison_was_shown_to_be_significant(world: World) -> None:
    subject = subject_of(world.registry, "p", "config")
    experiment = subject.experiment(world.registry)
    assert experiment is not None
    world.expose("s1")
    found = world.kept.results("p", experiment)
    since = at(1)
    (comparison,) = found["metrics"][0]["comparisons"]
    comparison["first_significant_at"] = since.isoformat()
    name, statistic, estimand = (found["metrics"][0][each] for each in ("name", "statistic", "estimand"))
    world.snapshots.keep("p", "config", found)

    def shown(of: Subject) -> Pasts:
        seen = shown_before(world.snapshots, of, experiment)()
        return {comparison: past for comparison, past in seen.items() if past != Past()}

    assert shown(subject) == {((name, statistic, estimand, None), "gpt-4o-mini"): Past(shown_since=since)}
    # What another level, or nobody by then, saw says nothing.
    assert shown(replace(subject, settings=Settings(alpha=0.01))) == {}
    assert shown(replace(subject, before=at(0.5))) == {}


def test_until_the_looks_of_many_rows_are_made_what_was_shown_stands_for_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts, exporter = send(tmp_path / "data", events(700, effect=0.6))
    of = experiment()
    kept, at_once = KeptResults(parts.engine, rows_at_once_max=0), KeptResults(parts.engine)
    least = {(LATENCY, "gpt-4o-mini"): Past((Look(at(1), 1e-7),), shown_since=at(1))}

    def asked() -> tuple[str, float, str | None]:
        found = kept.results("p", of, shown=lambda: least)
        (comparison,) = found["metrics"][0]["comparisons"]
        return found["experiment"]["looks"], comparison["p_value"], comparison["first_significant_at"]

    pending = asked()
    deadline = time.monotonic() + 120
    while (complete := asked())[0] == "pending":
        assert time.monotonic() < deadline, f"the looks were not made: {caplog.text}"
        time.sleep(0.05)
    (wanted,) = at_once.results("p", of)["metrics"][0]["comparisons"]
    kept.close()
    exporter.stop()
    parts.engine.close()

    assert pending == ("pending", 1e-7, at(1).isoformat())
    # Added up by several threads, in any order.
    assert complete == ("complete", pytest.approx(wanted["p_value"], rel=1e-9), at(1).isoformat())
