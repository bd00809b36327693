"""Sessions as they come: across midnight, twice, late, in any order, served by other models; over real storage."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lake_parts import Parts, span_rows

from analytics.experiments.arms import Experiment, experiment_of, prompt_experiment_of
from analytics.experiments.cohort_reader import read_cohort, read_sessions
from analytics.experiments.cohorts import LABELS
from analytics.experiments.health.traffic import read_traffic
from analytics.experiments.measures import Measures
from analytics.experiments.results import results
from analytics.experiments.settings import Settings
from collector.exporters.lake import LakeExporter
from fallom.assignment import bucket
from schemas.exposures import EXPOSURES
from schemas.metrics import METRICS
from storage.registry.resources import ConfigVersion

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
MIDNIGHT = NOON + timedelta(hours=12)
MODELS = ("gpt-4o", "gpt-4o-mini")

Row = tuple[str, dict[str, Any]]


def experiment(*weights: float) -> Experiment:
    """Return a config whose weights were changed each day at noon."""
    bodies = [
        {"variants": [{"model": MODELS[0], "weight": weight}, {"model": MODELS[1], "weight": 100 - weight}]}
        for weight in weights or (50,)
    ]
    versions = [ConfigVersion(n, NOON + timedelta(days=n - 1), body) for n, body in enumerate(bodies, 1)]
    made = experiment_of("config", versions)
    assert made is not None
    return made


def session_in(arm: int, name: str) -> str:
    """Return a session that even weights give this arm."""
    return next(s for s in (f"{name}-{n}" for n in range(100)) if (bucket(s) >= 500_000) == bool(arm))


def exposed(session: str, arm: int, at: datetime = NOON, **columns: Any) -> Row:
    row = {"project": "p", "config_key": "config", "config_version": 1, "session_id": session}
    return "exposures", row | {"assigned_model": MODELS[arm], "event_time": at, "received_at": at} | columns


def called(number: int, session: str, model: str, at: datetime = NOON, **columns: Any) -> Row:
    times = {"date": at.date(), "start_time": at}
    return "spans", {"number": number, "session_id": session, "response_model": model} | times | columns


def measured(session: str, value: float, at: datetime) -> Row:
    row = {"project": "p", "config_key": "config", "session_id": session, "name": "score", "value_type": "number"}
    return "metrics", row | {"value_double": value, "event_time": at, "received_at": NOON}


class World:
    """Storage that rows are sent to."""

    def __init__(self, path: Path) -> None:
        self.parts = Parts(path)
        self.exporter: LakeExporter = self.parts.exporter()
        self.exporter.start()

    def stop(self) -> None:
        self.exporter.stop()
        self.parts.engine.close()

    def commit(self) -> None:
        self.exporter.stop()
        self.exporter = self.parts.exporter()
        self.exporter.start()

    def send(self, *rows: Row) -> None:
        for table, row in rows:
            if table == "spans":
                given = dict(row)
                batch = span_rows(given.pop("number"), **given)
            else:
                identity = hash(tuple((name, str(value)) for name, value in row.items() if name != "received_at"))
                schema = EXPOSURES.schema if table == "exposures" else METRICS.schema
                batch = pa.RecordBatch.from_pylist([{"content_hash": identity} | row], schema)
            self.exporter.consume(table, batch)

    def labels(self, made: Experiment, settings: Settings = Settings()) -> dict[str, tuple[str, int]]:  # noqa: B008 - it can't be changed
        with self.parts.engine.session("p") as session:
            cohort = read_cohort(session, made, settings)
        found = zip([LABELS[label] for label in cohort.labels], cohort.arms.tolist(), strict=True)
        return dict(zip(cohort.session_ids.to_pylist(), found, strict=True))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.stop()


def test_a_session_across_midnight_is_one(world: World) -> None:
    session = session_in(0, "late")
    world.send(
        exposed(session, 0, MIDNIGHT - timedelta(seconds=5)),
        exposed(session, 0, MIDNIGHT + timedelta(seconds=5), reason="weight"),
        called(1, session, MODELS[0], MIDNIGHT - timedelta(seconds=4)),
        called(2, session, MODELS[0], MIDNIGHT + timedelta(seconds=4)),
    )

    answer = results(world.parts.engine, "p", experiment())

    assert [(arm["sessions"], arm["calls"]) for arm in answer["variants"]] == [(1, 2), (0, 0)]


def test_two_exposures_to_one_arm_are_one_session_and_to_two_arms_none(world: World) -> None:
    same, both = session_in(0, "same"), session_in(0, "both")
    world.send(exposed(same, 0), exposed(same, 0, NOON + timedelta(hours=1), reason="weight"))
    world.send(exposed(both, 0), exposed(both, 1, NOON + timedelta(hours=1)))

    assert world.labels(experiment()) == {same: ("randomised", 0), both: ("crossover", -1)}


def test_targeted_and_fallback_sessions_do_not_count(world: World) -> None:
    targeted, fallback = session_in(0, "targeted"), session_in(0, "fallback")
    world.send(exposed(targeted, 0, reason="individual_target"), exposed(fallback, 0, reason="fallback"))

    assert world.labels(experiment()) == {targeted: ("targeted", 0), fallback: ("fallback", -1)}


def test_an_earlier_exposure_that_comes_later_decides(world: World) -> None:
    session = session_in(0, "early")
    made = experiment(50, 60)
    world.send(exposed(session, 0, NOON + timedelta(days=1, hours=1), config_version=2))
    world.commit()
    world.send(exposed(session, 0, NOON))

    with world.parts.engine.session("p") as session_of_engine:
        cohort = read_cohort(session_of_engine, made)

    assert cohort.epochs.tolist() == [0]
    assert cohort.first_exposure == NOON


def test_the_latest_value_by_its_own_time_counts(world: World) -> None:
    session = session_in(0, "scored")
    world.send(exposed(session, 0), measured(session, 5, NOON + timedelta(hours=2)), measured(session, 1, NOON))
    world.commit()
    world.send(measured(session, 2, NOON + timedelta(hours=1)))

    answer = results(world.parts.engine, "p", experiment())

    assert next(metric["variants"][0]["estimate"] for metric in answer["metrics"] if metric["name"] == "score") == 5


@pytest.mark.parametrize(
    ("calls", "label"),
    [
        ([(MODELS[0], "ok")], "randomised"),
        ([("gpt-4o-2024-08-06", "ok"), ("openai/gpt-4o", "ok")], "randomised"),
        ([("gpt-4o-mini-2024-07-18", "ok")], "model_mismatch"),
        ([(MODELS[0], "ok"), (MODELS[1], "ok")], "model_mismatch"),
        # What failed was the assigned one: the other one helped out.
        ([(MODELS[0], "error"), (MODELS[1], "ok")], "randomised"),
        ([(MODELS[1], "error"), (MODELS[0], "ok")], "model_mismatch"),
        ([(None, "ok")], "randomised"),
        ([], "randomised"),
    ],
)
def test_calls_to_another_model_are_noticed_and_count(
    world: World, calls: Sequence[tuple[str | None, str]], label: str
) -> None:
    session = session_in(0, "served")
    world.send(exposed(session, 0), *(called(n, session, m, status_code=s) for n, (m, s) in enumerate(calls)))  # type: ignore[arg-type] # None is no model

    assert world.labels(experiment()) == {session: (label, 0)}
    answer = results(world.parts.engine, "p", experiment())
    assert [arm["sessions"] for arm in answer["variants"]] == [1, 0]
    assert answer["health"]["model_mismatches"]["count"] == int(label == "model_mismatch")


def test_sessions_outside_of_the_window_do_not_count(world: World) -> None:
    early, late = session_in(0, "early"), session_in(1, "late")
    world.send(exposed(early, 0, NOON - timedelta(hours=1)), exposed(late, 1, NOON + timedelta(hours=1)))

    labels = world.labels(experiment(), Settings(start=NOON, ended_at=MIDNIGHT))

    assert labels == {early: ("outside_window", -1), late: ("randomised", 1)}


def test_any_order_any_commits_and_duplicates_make_the_same_results(tmp_path: Path) -> None:
    chance = random.Random(3)
    made = experiment(50, 60)
    rows: list[Row] = []
    for number in range(60):
        session, at = f"s-{number}", NOON + timedelta(hours=number)
        version = 1 + (number >= 24)
        arm = made.arm_of_hash(session, epoch=made.epochs[version - 1])
        rows += [exposed(session, arm or 0, at, config_version=version), measured(session, number, at)]
        rows += [called(number, session, MODELS[number % 2], at, status_code=chance.choice(["ok", "error"]))]
        if number % 5 == 0:
            again = at + timedelta(minutes=1)
            rows += [exposed(session, chance.choice([0, 1]), again), measured(session, -number, again)]
    answers = []
    for order in range(3):
        world = World(tmp_path / str(order))
        sent = rows if order == 0 else chance.sample(rows, len(rows))
        for place, row in enumerate(sent):
            world.send(row)
            if order and place % 40 == 39:
                world.send(*sent[max(0, place - 20) : place])
                world.commit()
        answers.append(results(world.parts.engine, "p", made))
        world.stop()

    for answer in answers:
        del answer["experiment"]["as_of"]
    assert answers[0]["health"]["excluded"]["crossover"] > 0
    assert len(answers[0]["health"]["srm"]["by_epoch"]) == 2
    assert answers[1] == nearly(answers[0])
    assert answers[2] == nearly(answers[0])


def nearly(value: Any) -> Any:
    """Return what equals the value, its numbers within 1e-9."""
    if isinstance(value, dict):
        return {name: nearly(each) for name, each in value.items()}
    if isinstance(value, list):
        return [nearly(each) for each in value]
    return pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value


def test_the_traffic_of_each_arm_is_told_by_day_and_by_when_sessions_began(world: World) -> None:
    arms = [session_in(0, "a"), session_in(0, "b"), session_in(0, "c")]
    times = [NOON, MIDNIGHT + timedelta(hours=1), MIDNIGHT + timedelta(hours=1, minutes=30)]
    for number, (session, at) in enumerate(zip(arms, times, strict=True)):
        world.send(exposed(session, 0, at), called(number, session, "gpt-4o", at))
        failed = {"status_code": "error" if number == 2 else "ok"}
        world.send(called(10 + number, session, "gpt-4o-2024-08-06", at + timedelta(minutes=1), **failed))

    with world.parts.engine.session("p") as session_of_engine:
        cohort, sums = read_sessions(session_of_engine, experiment())
        Measures(session_of_engine, experiment(), cohort, sums)
        traffic = read_traffic(session_of_engine, sums.models.days())

    assert [(row.day.day, row.model, row.calls, row.first_at) for row in traffic.models] == [
        (2, "gpt-4o", 1, times[0]),
        (2, "gpt-4o-2024-08-06", 1, times[0] + timedelta(minutes=1)),
        (3, "gpt-4o", 2, times[1]),
        (3, "gpt-4o-2024-08-06", 1, times[1] + timedelta(minutes=1)),
    ]
    of_day, of_hour = sorted(traffic.errors, key=lambda each: each.period)
    assert (of_hour.since, of_day.since) == (times[2] - timedelta(hours=1), times[2] - timedelta(days=1))
    assert (of_hour.before.sessions, of_hour.recent.sessions, of_day.recent.sessions) == (1, 2, 3)
    assert (of_hour.before.x, of_hour.recent.x, of_hour.recent.n) == (0, 1, 4)


def prompt_test() -> Experiment:
    """Return a test of a prompt at its latest version against the same one at its third."""
    variants = [
        {"prompt_key": "greeting", "weight": 50},
        {"prompt_key": "greeting", "prompt_version": 3, "weight": 50},
    ]
    made = prompt_experiment_of("tone", [ConfigVersion(1, NOON, {"variants": variants})])
    assert made is not None
    return made


def prompted(number: int, session: str, index: int | None, version: int | None, at: datetime = NOON) -> Row:
    own = {"prompt_ab_test_key": "tone", "prompt_key": "greeting", "prompt_version": version}
    return called(number, session, "gpt-4o", at, prompt_variant_index=index, **own)


@pytest.mark.parametrize("is_committed", [False, True])
def test_sessions_of_a_prompt_test_are_judged_by_their_calls(world: World, is_committed: bool) -> None:
    first, second, forced, both, other = (session_in(arm, f"p{arm}-{n}") for n, arm in enumerate((0, 1, 1, 0, 0)))
    world.send(prompted(1, first, 0, 7), prompted(2, first, 0, 8, MIDNIGHT + timedelta(hours=1)))
    world.send(prompted(3, second, 1, 3), prompted(4, forced, 0, 7))
    world.send(prompted(5, both, 0, 7), prompted(6, both, 1, 3), called(7, other, "gpt-4o"))
    if is_committed:
        world.commit()

    assert world.labels(prompt_test()) == {
        first: ("randomised", 0),
        second: ("randomised", 1),
        forced: ("forced", 0),
        both: ("crossover", -1),
    }


def test_the_index_tells_apart_what_the_prompt_does_not(world: World) -> None:
    session = session_in(0, "latest")
    # The third version is the latest one: both arms have it.
    world.send(prompted(1, session, 0, 3))

    assert world.labels(prompt_test()) == {session: ("randomised", 0)}
