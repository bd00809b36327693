"""Kill -9 at any moment: what was acknowledged is there, once, and what is derived from it agrees."""

import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_messages import PROTOBUF, export_request, flat_trace, metrics, span
from crash_load import KEY, Load
from deltalake import DeltaTable
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

# `make crash` asks for a hundred.
KILLS = int(os.environ.get("FALLOM_TEST_KILLS", "10"))
CONFIG = {"key": KEY, "variants": [{"model": "gpt-4o", "weight": 100}]}
# Spans and rollup side by side: the sums of one recomputed from the other.
ROLLUP_DIFFERENCES = """
    WITH recomputed AS (
        SELECT session_id, coalesce(response_model, request_model) AS model, count(*) AS calls,
            count(*) FILTER (status_code = 'error') AS errors, sum(duration_ns / 1e6) AS latency_ms_sum,
            coalesce(sum(input_tokens), 0) AS input_tokens, coalesce(sum(output_tokens), 0) AS output_tokens,
            count(cost) AS cost_count, coalesce(sum(cost), 0) AS cost_sum, min(start_time) AS first_time
        FROM spans WHERE is_inference AND session_id IS NOT NULL GROUP BY ALL
    ),
    rolled AS (
        SELECT session_id, model, sum(calls) AS calls, sum(errors) AS errors, sum(latency_ms_sum) AS latency_ms_sum,
            sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, sum(cost_count) AS cost_count,
            sum(cost_sum) AS cost_sum, min(first_time) AS first_time
        FROM session_rollup GROUP BY ALL
    )
    SELECT * FROM recomputed FULL JOIN rolled USING (session_id, model)
    WHERE NOT coalesce(
        recomputed.calls = rolled.calls AND recomputed.errors = rolled.errors
        AND abs(recomputed.latency_ms_sum - rolled.latency_ms_sum) < 1e-6
        AND recomputed.input_tokens = rolled.input_tokens AND recomputed.output_tokens = rolled.output_tokens
        AND recomputed.cost_count = rolled.cost_count AND abs(recomputed.cost_sum - rolled.cost_sum) < 1e-9
        AND recomputed.first_time = rolled.first_time, false)
"""

COUNTS = """
    SELECT (SELECT count(*) FROM spans) AS spans, (SELECT count(*) FROM metrics) AS metrics,
        (SELECT sum(calls)::BIGINT FROM session_rollup) AS calls
"""


@pytest.fixture
def crashing(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that commits all the time, in small segments."""
    server = ServerProcess(tmp_path / "data", "--flush-interval-s", "0.1", "--segment-bytes-max", "65536")
    server.start().define({"configs": [CONFIG]})
    yield server
    server.stop()


@pytest.fixture
def hot(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that commits nothing before it stops."""
    server = ServerProcess(tmp_path / "data", "--flush-interval-s", "3600")
    server.start().define({"configs": [CONFIG]})
    yield server
    server.stop()


@pytest.mark.timeout(60 + 30 * KILLS)
def test_kills_in_the_middle_of_the_load_lose_nothing_and_double_nothing(crashing: ServerProcess) -> None:
    chance = random.Random()
    load = Load()
    for _ in range(KILLS):
        load.run(crashing, chance.uniform(0.05, 0.7), crashing.kill)
        crashing.start()
        assert_all_is_there(crashing, load)
    # Killed in its replay, it begins that again.
    crashing.kill()
    crashing.start()
    assert_all_is_there(crashing, load)
    load.run(crashing, 0.3, lambda: None)
    crashing.wait_for_commit()
    assert_all_is_there(crashing, load)
    assert crashing.terminate() == 0

    assert all(sender.failures for sender in load.senders.values()), "no kill hit a client"
    assert [problem for sender in load.senders.values() for problem in sender.problems] == []
    names = lake_values(crashing, "spans", "name")
    assert len(names) == len(set(names))
    assert set(names) == load.acknowledged("grpc", "protobuf", "flat")
    assert set(lake_values(crashing, "metrics", "session_id")) >= load.acknowledged("metrics")
    assert set(lake_values(crashing, "exposures", "session_id")) >= load.acknowledged("exposures")
    assert sum(lake_values(crashing, "session_rollup", "calls")) == len(names)
    assert "Traceback" not in crashing.log()


def test_every_request_sent_twice_over_crashes_adds_no_row(crashing: ServerProcess) -> None:
    chance = random.Random()
    load = Load("grpc", "protobuf", "flat", times=2)
    for _ in range(2):
        load.run(crashing, chance.uniform(0.2, 0.7), crashing.kill)
        crashing.start()
        assert_all_is_there(crashing, load)
    load.run(crashing, 0.3, lambda: None)
    crashing.wait_for_commit()
    counts = crashing.get("/debug/pipeline")[1]["tables"]["spans"]["rows"]
    assert crashing.terminate() == 0

    assert [problem for sender in load.senders.values() for problem in sender.problems] == []
    names = lake_values(crashing, "spans", "name")
    assert len(names) == len(set(names))
    assert set(names) == load.acknowledged("grpc", "protobuf", "flat")
    assert counts["deduplicated"] * 2 >= counts["accepted"] > 0


def test_a_kill_between_two_commits_of_a_segment_is_made_good(hot: ServerProcess, tmp_path: Path) -> None:
    """What a kill leaves before a segment's commits, between them, and after them but before its removal."""
    load = Load()
    load.run(hot, 0.3, hot.kill)
    before = tmp_path / "before"
    shutil.copytree(hot.data_dir, before)
    assert lake_values(hot, "spans", "name") == []

    for rolled_back in ((), (Path("log"),), (Path("log"), Path("lake/session_rollup"))):
        for path in rolled_back:
            shutil.rmtree(hot.data_dir / path)
            shutil.copytree(before / path, hot.data_dir / path)
        hot.start()
        assert_all_is_there(hot, load)
        assert hot.terminate() == 0

        names = lake_values(hot, "spans", "name")
        assert hot.segments() == []
        assert len(names) == len(set(names))
        assert set(names) >= load.acknowledged("grpc", "protobuf", "flat")
        assert sum(lake_values(hot, "session_rollup", "calls")) == len(names)


def test_a_kill_of_an_idle_server_changes_nothing(crashing: ServerProcess) -> None:
    request = export_request([span("idle", {"fallom.config_key": KEY, "fallom.session_id": "s"}), span("other")])
    assert crashing.request("POST", "/v1/traces", request.SerializeToString(), PROTOBUF)[0] == 200
    assert crashing.post("/v1/traces", flat_trace(KEY, "idle"))[0] == 200
    assert crashing.post("/spans", metrics(KEY, "idle", score=1))[0] == 200
    crashing.wait_for_commit()
    files = lake_files(crashing)

    crashing.kill()
    crashing.start()
    assert crashing.request("POST", "/v1/traces", request.SerializeToString(), PROTOBUF)[0] == 200
    time.sleep(0.3)

    assert crashing.sql(COUNTS) == [{"spans": 3, "metrics": 1, "calls": 1}]
    assert lake_files(crashing) == files, "a request that is sent again after the restart is stored again"
    assert crashing.segments() == []
    assert crashing.terminate() == 0


def assert_all_is_there(server: ServerProcess, load: Load) -> None:
    """Each acknowledged row is visible, no span twice, and the rollup says what the spans say."""
    found = server.sql("SELECT name, count(*) AS n FROM spans GROUP BY name")
    assert [row for row in found if row["n"] != 1] == []
    assert load.acknowledged("grpc", "protobuf", "flat") - {row["name"] for row in found} == set()
    for table in ("metrics", "exposures"):
        sessions = {row["session_id"] for row in server.sql(f"SELECT DISTINCT session_id FROM {table}")}
        assert load.acknowledged(table) - sessions == set()
    assert server.sql(ROLLUP_DIFFERENCES) == []


def lake_values(server: ServerProcess, table: str, column: str) -> list[object]:
    """Return the values of a column of a Delta table, read without the server."""
    dataset = DeltaTable(server.data_dir / "lake" / table).to_pyarrow_dataset()
    return list(dataset.to_table(columns=[column])[column].to_pylist())


def lake_files(server: ServerProcess) -> list[Path]:
    return sorted(path for path in (server.data_dir / "lake").rglob("*") if path.is_file())
