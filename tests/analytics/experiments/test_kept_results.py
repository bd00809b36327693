"""Results from memory are those that would be computed anew, whatever has changed, and are kept while nothing has."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from lake_parts import TODAY, Parts, span_rows

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.kept_results import KeptResults
from analytics.experiments.results import results
from collector.exporters.lake import LakeExporter
from fallom.assignment import bucket
from schemas.exposures import EXPOSURES
from schemas.metrics import METRICS
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from storage.registry.resources import ConfigVersion
from storage.upkeep.compaction import FILES_A_MERGE, compact
from storage.upkeep.forget import forget_customer
from storage.upkeep.repricing import Pricing, Repricing, reprice
from storage.upkeep.retention import drop_old_days
from storage.upkeep.rewrite import Rewriter

EVEN = {"variants": [{"model": "gpt-4o", "weight": 50}, {"model": "gpt-4o-mini", "weight": 50}]}
LAST_DAY = TODAY - timedelta(days=1)


def experiment(*bodies: dict[str, Any], key: str = "config") -> Experiment:
    made = experiment_of(key, [ConfigVersion(i + 1, LAST_DAY, body) for i, body in enumerate(bodies or (EVEN,))])
    assert made is not None
    return made


class World:
    """Storage that rows are sent to, and the answers that are kept over it."""

    def __init__(self, path: Path) -> None:
        self.parts = Parts(path)
        self.exporter: LakeExporter = self.parts.exporter()
        self.exporter.start()
        self.rewriter = Rewriter(self.parts.lake, threading.Event())
        self.kept = KeptResults(self.parts.engine)
        self._sent = 0

    def stop(self) -> None:
        self.exporter.stop()
        self.parts.engine.close()

    def expose(self, *sessions: str, **columns: Any) -> None:
        models = ("gpt-4o", "gpt-4o-mini")
        rows = [
            {"model": models[bucket(session) >= 500_000], "session_id": session, "config_key": "config"}
            | {"project": "p", "config_version": 1, "event_time": LAST_DAY, "received_at": LAST_DAY}
            | columns
            for session in sessions
        ]
        rows = [{"assigned_model": row.pop("model"), "content_hash": place, **row} for place, row in enumerate(rows)]
        self.exporter.consume("exposures", pa.RecordBatch.from_pylist(rows, EXPOSURES.schema))

    def call(self, *sessions: str, **columns: Any) -> None:
        for session in sessions:
            self._sent += 1
            given = {"session_id": session, "input_tokens": self._sent, "total_tokens": self._sent, "cost": 1.0}
            self.exporter.consume("spans", span_rows(self._sent, **given | {"customer_id": f"of {session}"} | columns))

    def measure(self, session: str, value: float) -> None:
        row: dict[str, Any] = {
            "project": "p",
            "config_key": "config",
            "session_id": session,
            "name": "score",
            "value_type": "number",
        }
        row |= {"value_double": value, "event_time": datetime.now(UTC), "received_at": datetime.now(UTC)}
        self.exporter.consume("metrics", pa.RecordBatch.from_pylist([row], METRICS.schema))

    def ask(self, of: Experiment | None = None) -> dict[str, Any]:
        return self.kept.results("p", of or experiment())

    def fresh(self, of: Experiment | None = None) -> dict[str, Any]:
        return results(self.parts.engine, "p", of or experiment())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Twelve sessions, of which half are committed."""
    made = World(tmp_path)
    for names in (range(6), range(6, 12)):
        made.exporter.flush()
        sessions = [f"s{number}" for number in names]
        made.expose(*sessions)
        made.call(*sessions)
        made.call("s1", start_time=LAST_DAY, date=LAST_DAY.date())
    yield made
    made.stop()


def told(answer: dict[str, Any]) -> object:
    """Return an answer without the time at which it was given; sums in another order differ in their last digits."""
    return rounded({**answer, "experiment": {**answer["experiment"], "as_of": None, "looks": None}})


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def commit(world: World) -> None:
    world.exporter.flush()


def forget(world: World) -> None:
    world.exporter.flush()
    forget_customer(world.rewriter, "p", "of s2", lambda text: None)


def price(rows: pa.RecordBatch) -> pa.RecordBatch:
    cost = pc.multiply(rows["input_tokens"].cast(pa.float64()), 2.0)
    rows = rows.set_column(rows.schema.get_field_index("computed_cost"), "computed_cost", cost)
    return rows.set_column(rows.schema.get_field_index("cost"), "cost", cost)


def reprice_all(world: World) -> None:
    pricing = Pricing("p", ("project", "input_tokens"), price)
    reprice(world.rewriter, threading.Lock(), pricing, Repricing(LAST_DAY.date(), commit=world.exporter.flush))


def drop_the_last_day(world: World) -> None:
    world.exporter.flush()
    assert drop_old_days(world.rewriter, days=0, today=TODAY.date())


def merge(world: World) -> None:
    for _ in range(FILES_A_MERGE):
        world.call("s3")
        world.exporter.flush()
    for table in (SPANS, SESSION_ROLLUP, EXPOSURES):
        compact(world.rewriter, table, TODAY)


CHANGES: dict[str, Callable[[World], None]] = {
    "a call": lambda world: world.call("s1"),
    "a call of an older day": lambda world: world.call("s1", start_time=LAST_DAY, date=LAST_DAY.date()),
    "a call that failed": lambda world: world.call("s1", status_code="error"),
    "an exposure": lambda world: world.expose("new"),
    "an exposure to the other arm": lambda world: world.expose("s4", assigned_model="none", content_hash=99),
    "a metric": lambda world: world.measure("s1", 1.0),
    "a customer forgotten": forget,
    "calls priced anew": reprice_all,
    "a day dropped": drop_the_last_day,
    "a merge": merge,
}


@pytest.mark.parametrize("is_committed", [False, True], ids=["hot", "committed"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_seen_at_once(world: World, change: Callable[[World], None], *, is_committed: bool) -> None:
    before = world.ask()

    change(world)
    if is_committed:
        world.exporter.flush()
    after = world.ask()

    assert told(after) == told(world.fresh())
    assert told(after) != told(before)
    assert told(world.ask()) == told(after)


def test_a_commit_changes_nothing(world: World) -> None:
    before = world.ask()

    world.exporter.flush()

    assert told(world.ask()) == told(before) == told(world.fresh())


def test_changes_one_after_the_other_are_each_seen(world: World) -> None:
    for change in (*CHANGES.values(), commit):
        change(world)
        assert told(world.ask()) == told(world.fresh())


def test_what_has_not_changed_is_not_computed_anew(world: World) -> None:
    before = world.ask()

    # Neither another config's rows nor another project's.
    world.call("s1", config_key="other")
    world.call("s1", project="q")
    world.expose("new", config_key="other")

    assert world.ask()["metrics"] is before["metrics"]
    assert world.ask()["experiment"]["as_of"] > before["experiment"]["as_of"]


def test_another_version_or_body_of_the_config_has_its_own_results(world: World) -> None:
    before = world.ask()
    uneven = {"variants": [{"model": "gpt-4o", "weight": 90}, {"model": "gpt-4o-mini", "weight": 10}]}

    for other in (experiment(EVEN, uneven), experiment(uneven), experiment(EVEN, EVEN)):
        assert told(world.ask(other)) == told(world.fresh(other)) != told(before)
    assert told(world.ask()) == told(before)


def test_what_is_kept_has_a_limit(world: World) -> None:
    world.ask()
    size_bytes = world.kept._size_bytes
    few = KeptResults(world.parts.engine, bytes_max=2 * size_bytes)

    for number in range(5):
        few.results("p", experiment(key="config" if not number else f"other {number}"))

    assert few._size_bytes <= 2 * size_bytes
    assert few._size_bytes == sum(kept.size_bytes for kept in few._kept.values())
    none = KeptResults(world.parts.engine, bytes_max=1)
    assert told(none.results("p", experiment())) == told(world.ask())
    assert not none._kept


def test_files_of_other_configs_are_not_opened(tmp_path: Path) -> None:
    world = World(tmp_path)
    for key in ("config", "zebra"):
        world.expose("s1", config_key=key)
        world.call("s1", config_key=key)
        world.exporter.flush()
    before = world.ask()
    for table in (SPANS, SESSION_ROLLUP, EXPOSURES):
        Path(world.parts.hot.view(table).files[-1]).unlink()

    assert told(world.fresh()) == told(before)
    world.stop()
