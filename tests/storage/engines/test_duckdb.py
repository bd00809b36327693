"""The DuckDB engine: SQL over all acknowledged rows; of users, one SELECT over their own project, within limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lake_parts import Parts, exposure_rows, span_rows

from schemas.exposures import EXPOSURES
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from storage.engines.answer_limits import Answer
from storage.engines.sandbox.request import Limits
from storage.errors import (
    QueryError,
    QueryInterruptedError,
    QueryMemoryError,
    QueryRefusedError,
    QueryTimeoutError,
)
from storage.rollup import session_rollup
from storage.sql_views import TABLES_BY_NAME


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """Two projects: of each three committed spans and two hot ones."""
    parts = Parts(tmp_path_factory.mktemp("engine") / "data")
    committed = [span_rows(1, 2, 3, project="a"), span_rows(1, 2, 3, project="b")]
    rows = pa.Table.from_batches(committed)
    parts.lake.commit(SPANS, rows, writer_id=parts.writer_id, segment=1)
    parts.lake.commit(SESSION_ROLLUP, session_rollup(rows), writer_id=parts.writer_id, segment=1)
    log = parts.log(SPANS)
    log.recover(committed=1)
    log.append(span_rows(4, 5, project="a"))
    log.append(span_rows(4, 5, project="b"))
    parts.log(EXPOSURES).append(exposure_rows(1, 2, project="b"))
    yield parts
    parts.engine.close()


def ask(parts: Parts, statement: str, **limits: Any) -> Answer:
    return parts.engine.query_untrusted(
        statement, **{"project": "a", "timeout_s": 10.0, "rows_max": 100, "bytes_max": 1 << 30} | limits
    )


@pytest.mark.parametrize(
    ("project", "expected"), [("a", (5, 5, 0)), ("b", (5, 5, 2)), ("c", (0, 0, 0)), ("' OR 1=1 --", (0, 0, 0))]
)
def test_a_project_sees_its_own_rows_in_every_table(parts: Parts, project: str, expected: tuple[int, ...]) -> None:
    statement = """
        SELECT (SELECT count(*) FROM spans), (SELECT coalesce(sum(calls), 0) FROM session_rollup),
            (SELECT count(*) FROM exposures)
    """

    (row,) = ask(parts, statement, project=project).rows.to_pylist()

    assert tuple(row.values()) == expected


def test_the_product_s_own_statements_may_see_all_projects(parts: Parts) -> None:
    found = parts.engine.query("SELECT project, count(*) AS n FROM spans GROUP BY 1 ORDER BY 1", project=None)

    assert found.to_pylist() == [{"project": "a", "n": 5}, {"project": "b", "n": 5}]


@pytest.mark.parametrize("name", TABLES_BY_NAME)
def test_the_hot_rows_of_another_project_have_no_name(parts: Parts, name: str) -> None:
    answer = ask(parts, f"SELECT DISTINCT project FROM hot_{name} WHERE EXISTS (FROM {name}) OR true")

    assert {row["project"] for row in answer.rows.to_pylist()} <= {"a"}


@pytest.mark.parametrize("name", TABLES_BY_NAME)
def test_every_table_has_the_columns_of_its_schema(parts: Parts, name: str) -> None:
    found = ask(parts, f"SELECT * FROM {name}").rows

    assert found.schema.names == TABLES_BY_NAME[name].schema.names


def test_parameters_are_values_and_no_sql(parts: Parts) -> None:
    statement = "SELECT count(*) AS n FROM spans WHERE trace_id = $trace_id"

    found = parts.engine.query(statement, {"trace_id": "' OR true --"}, project="a")

    assert found.to_pylist() == [{"n": 0}]


def test_times_are_utc(parts: Parts) -> None:
    (row,) = ask(parts, "SELECT TIMESTAMPTZ '2026-11-21 12:00:00+02'::VARCHAR AS t").rows.to_pylist()

    assert row["t"] == "2026-11-21 10:00:00+00"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM spans",
        "select 1;",
        "(SELECT 1)",
        "VALUES (1)",
        "FROM spans SELECT name",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "SELECT 1 -- ; DROP TABLE spans",
        "SELECT ';'",
        "DESCRIBE spans",
        "SUMMARIZE spans",
        "SELECT tags, attributes FROM spans WHERE project = 'b'",
    ],
)
def test_one_select_is_answered(parts: Parts, statement: str) -> None:
    assert ask(parts, statement).rows.num_columns > 0


@pytest.mark.parametrize(
    "statement",
    [
        "COPY spans TO '{folder}/out.csv'",
        "COPY (SELECT 1) TO '{folder}/out.parquet'",
        "EXPORT DATABASE '{folder}/out'",
        "IMPORT DATABASE '{folder}'",
        "ATTACH '{folder}/out.db'",
        "DETACH memory",
        "USE memory",
        "SET threads = 64",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "RESET memory_limit",
        "SET VARIABLE x = 1",
        "PRAGMA database_list",
        "PRAGMA enable_profiling",
        "INSTALL httpfs",
        "LOAD httpfs",
        "UPDATE EXTENSIONS",
        "CREATE TABLE x AS SELECT 1",
        "CREATE MACRO spans() AS 1",
        "CREATE SECRET (TYPE s3)",
        "DROP VIEW spans",
        "ALTER VIEW spans RENAME TO x",
        "INSERT INTO spans SELECT * FROM spans",
        "WITH x AS (SELECT 1) INSERT INTO spans SELECT * FROM x",
        "DELETE FROM spans",
        "UPDATE spans SET name = 'x'",
        "TRUNCATE spans",
        "BEGIN",
        "CHECKPOINT",
        "VACUUM",
        "ANALYZE",
        "CALL pragma_version()",
        "EXPLAIN ANALYZE SELECT 1",
        "PREPARE x AS SELECT 1",
        "EXECUTE x",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY spans TO '{folder}/out.csv'",
        "",
        ";",
        "-- nothing",
        "SELEC 1",
        "SELECT",
        "SELECT 1 FROM nowhere",
        "SELECT nothing FROM spans",
        "SELECT $1",
        "SELECT ?",
        "SELECT \0",
        "SELECT * FROM query('COPY spans TO ''{folder}/out.csv''')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/proc/self/environ')",
        "SELECT * FROM read_json('{folder}/data/log/writer_id')",
        "SELECT * FROM read_parquet('http://127.0.0.1:1/x.parquet')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM '{folder}/out.csv'",
        "SELECT * FROM sqlite_scan('{folder}/data/registry.sqlite3', 'configs')",
        "SELECT * FROM TABLES",
        "SELECT getenv('HOME')",
        "SELECT * FROM statement",
        "SELECT * FROM parts",
    ],
)
def test_anything_else_is_refused_and_leaves_no_trace(parts: Parts, tmp_path: Path, statement: str) -> None:
    with pytest.raises(QueryError) as refusal:
        ask(parts, statement.replace("{folder}", str(tmp_path)))

    assert isinstance(refusal.value, QueryRefusedError)
    assert str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_after_refusals_the_engine_still_answers(parts: Parts) -> None:
    for statement in ("DROP VIEW spans", "SET threads = 64", "SELECT 1; SELECT 2"):
        with pytest.raises(QueryRefusedError):
            ask(parts, statement)

    found = ask(parts, "SELECT count(*) AS n, current_setting('threads') AS threads FROM spans").rows.to_pylist()

    assert found == [{"n": 5, "threads": 2}]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM range(1000000000) a, range(1000000000) b",
        "SELECT a.range * b.range FROM range(10000000) a, range(100000) b ORDER BY 1",
        # This one is stopped while its rows are fetched.
        "SELECT md5(range::VARCHAR) FROM range(1000000000)",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
    ],
)
def test_a_statement_is_stopped_at_its_time_limit(parts: Parts, statement: str) -> None:
    begin = time.monotonic()

    with pytest.raises(QueryTimeoutError, match=r"stopped after 0\.2 s"):
        ask(parts, statement, timeout_s=0.2, rows_max=10**10)

    assert time.monotonic() - begin < 3


@pytest.mark.parametrize(("rows_max", "count", "truncated"), [(4, 4, True), (5, 5, False), (6, 5, False), (0, 0, True)])
def test_an_answer_is_cut_at_its_row_limit(parts: Parts, rows_max: int, count: int, truncated: bool) -> None:
    answer = ask(parts, "SELECT * FROM spans", rows_max=rows_max, bytes_max=1 << 30)

    assert (answer.rows.num_rows, answer.truncated) == (count, truncated)


def test_of_an_endless_answer_no_more_is_made_than_the_limit(parts: Parts) -> None:
    answer = ask(parts, "SELECT * FROM range(100000000000)", rows_max=20_001, bytes_max=1 << 30)

    assert (answer.rows.num_rows, answer.truncated) == (20_001, True)


def test_a_statement_that_fails_in_the_middle_of_its_rows_is_refused(parts: Parts) -> None:
    statement = "SELECT CAST(CASE WHEN range = 200000 THEN 'x' ELSE '1' END AS INT) FROM range(300000)"

    with pytest.raises(QueryRefusedError, match="Could not convert string 'x'"):
        ask(parts, statement, rows_max=10**9)


def test_a_statement_that_outgrows_the_memory_is_refused(parts: Parts) -> None:
    limits = Limits(timeout_s=20, rows_max=10, bytes_max=1 << 20, memory_bytes_max=50_000_000)

    with pytest.raises(QueryMemoryError, match="out of memory"):
        parts.engine.users.answer("SELECT list(md5(range::VARCHAR)) FROM range(5000000)", "a", limits)


def test_a_table_of_a_session_stays_as_it_was_at_its_first_use(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    log = parts.log(SPANS)
    log.append(span_rows(1))
    with parts.engine.session(None) as session:
        first = session.query("SELECT count(*) AS n FROM spans")["n"].to_pylist()
        log.append(span_rows(2))

        second = session.query("SELECT count(*) AS n FROM spans")["n"].to_pylist()

    assert first == second == [1]
    assert parts.count() == 2


def test_no_statement_writes_to_the_lake_or_reads_its_files(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    exporter = parts.exporter()
    exporter.start()
    exporter.consume("spans", span_rows(1, project="a"))
    exporter.consume("spans", span_rows(2, project="b"))
    exporter.stop()
    files = {path: path.read_bytes() for path in sorted(parts.data.lake.rglob("*")) if path.is_file()}
    victim = next(path for path in files if path.suffix == ".parquet")
    planted = parts.data.lake / "spans" / "planted.parquet"

    for statement in (
        f"WITH x AS (COPY (SELECT 1) TO '{victim}') SELECT * FROM x",
        f"WITH x AS (COPY (SELECT 1) TO '{planted}') SELECT * FROM x",
        "WITH x AS (INSERT INTO spans VALUES (1) RETURNING *) SELECT * FROM x",
        "WITH x AS (DELETE FROM spans RETURNING *) SELECT * FROM x",
        f"SELECT * FROM read_parquet('{victim}')",
        f"SELECT * FROM '{victim}'",
        f"SELECT * FROM read_text('{victim}')",
        f"SELECT * FROM glob('{parts.data.lake}/**')",
        f"SELECT * FROM query('SELECT * FROM read_blob(''{victim}'')')",
    ):
        with pytest.raises(QueryRefusedError):
            ask(parts, statement)

    assert {path: path.read_bytes() for path in sorted(parts.data.lake.rglob("*")) if path.is_file()} == files
    assert ask(parts, "SELECT trace_id FROM spans").rows.num_rows == 1
    committed = ask(parts, "SELECT project FROM committed_spans WHERE EXISTS (FROM spans)")
    assert committed.rows["project"].to_pylist() == ["a"]
    parts.engine.close()


def test_an_answer_is_cut_at_its_bytes(parts: Parts) -> None:
    answer = ask(parts, "SELECT repeat('x', 1000) FROM range(100000)", rows_max=10**9, bytes_max=1 << 20)

    assert answer.truncated
    assert answer.rows.num_rows < 100_000


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT range(1000000)",
        "SELECT [NULL FOR x IN range(1000000)]",
        "SELECT [true FOR x IN range(1000000)]",
        "SELECT MAP {1: [{'a': [NULL FOR x IN range(1000000)]}]}",
        "SELECT repeat('x', 2000000)",
        "SELECT 1, 2, range(1000000) UNION ALL SELECT 1, 2, []",
    ],
)
def test_a_row_that_is_larger_than_the_limit_is_cut_too(parts: Parts, statement: str) -> None:
    answer = ask(parts, statement, rows_max=10, bytes_max=1 << 20)

    assert answer.truncated
    assert answer.rows.nbytes <= 1 << 20
    assert answer.rows.num_rows <= 1


@pytest.mark.parametrize("value", ["NULL", "true", "1", "[NULL, NULL]", "MAP {1: true}", "{'a': NULL}"])
def test_values_that_take_no_bytes_count(parts: Parts, value: str) -> None:
    answer = ask(parts, f"SELECT {value} FROM range(100000)", rows_max=10**9, bytes_max=1 << 20)

    assert answer.truncated
    assert 1_000 < answer.rows.num_rows <= (1 << 20) // 32


def test_a_users_statement_ends_when_it_is_interrupted(parts: Parts) -> None:
    failed = []

    def run() -> None:
        try:
            ask(parts, "SELECT count(*) FROM range(10000000000) a, range(1000) b WHERE a.range = b.range + 1")
        except QueryInterruptedError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive() and not failed:
        parts.engine.interrupt()
        thread.join(0.05)

    assert len(failed) == 1


def test_what_a_snapshot_keeps_is_gone_with_it(parts: Parts) -> None:
    with parts.engine.session("a") as session:
        session.keep("names", "SELECT DISTINCT name FROM spans WHERE project = $project", {"project": "a"})
        session.add("more", pa.table({"x": [1, 2]}))
        found = session.query("SELECT (SELECT count(*) FROM names) AS names, (SELECT sum(x) FROM more) AS more")

    assert found.to_pylist() == [{"names": 1, "more": 3}]
    with pytest.raises(QueryRefusedError):
        ask(parts, "SELECT * FROM names")
