"""What a user's SQL must not reach: files, the network, settings, another project, the server's memory and time.

Each attempt is refused, ends at a limit, or shows nothing but the caller's own; the server answers the next one.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from client_messages import exposure, flat_trace, metrics
from keyed_server import Client, create_key
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

MARK = "belongs-to-b"
TIMEOUT_S = 1.0
MEMORY_BYTES_MAX = 256 * 1024 * 1024
SERVER_GROWTH_BYTES_MAX = 64 * 1024 * 1024
REFUSED, STOPPED = 400, 408

WRITES = (
    "COPY spans TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{folder}/out.parquet' (FORMAT parquet)",
    "COPY (SELECT 1) TO '/dev/stdout'",
    "COPY spans FROM '/etc/passwd'",
    "WITH x AS (COPY (SELECT 1) TO '{folder}/out.parquet') SELECT * FROM x",
    "EXPORT DATABASE '{folder}/out'",
    "IMPORT DATABASE '{folder}'",
    "ATTACH '{folder}/out.db' AS other",
    "ATTACH '{data}/registry.sqlite3' (TYPE sqlite)",
    "ATTACH ':memory:' AS other",
    "DETACH memory",
    "USE memory",
    "CREATE TABLE x AS SELECT 1",
    "CREATE TEMP TABLE x AS SELECT * FROM spans",
    "CREATE OR REPLACE TEMP VIEW spans AS SELECT 1",
    "CREATE MACRO count(x) AS 1",
    "CREATE TEMP MACRO t() AS TABLE SELECT * FROM read_text('/etc/passwd')",
    "CREATE SECRET (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "CREATE SEQUENCE x",
    "CREATE TYPE x AS ENUM ('a')",
    "CREATE INDEX x ON spans (name)",
    "CREATE SCHEMA x",
    "DROP VIEW spans",
    "ALTER VIEW spans RENAME TO x",
    "INSERT INTO spans SELECT * FROM spans",
    "WITH x AS (INSERT INTO spans VALUES (1) RETURNING *) SELECT * FROM x",
    "WITH x AS (DELETE FROM spans RETURNING *) SELECT * FROM x",
    "WITH x AS (UPDATE spans SET name = 'x' RETURNING *) SELECT * FROM x",
    "MERGE INTO spans USING spans AS other ON true WHEN MATCHED THEN DELETE",
    "DELETE FROM spans",
    "UPDATE spans SET name = 'x'",
    "TRUNCATE spans",
    "COMMENT ON VIEW spans IS 'x'",
)
SETTINGS = (
    "SET threads = 64",
    "SET memory_limit = '100GB'",
    "SET enable_external_access = true",
    "SET GLOBAL enable_external_access = true",
    "SET lock_configuration = false",
    "SET temp_directory = '{folder}'",
    "SET home_directory = '/'",
    "SET allowed_directories = ['/']",
    "SET python_enable_replacements = true",
    "SET autoinstall_known_extensions = true",
    "SET VARIABLE x = 1",
    "SET SESSION AUTHORIZATION root",
    "RESET memory_limit",
    "PRAGMA database_list",
    "PRAGMA enable_profiling = 'json'",
    "PRAGMA profiling_output = '{folder}/out.json'",
    "PRAGMA enable_logging",
    "PRAGMA memory_limit = '100GB'",
    "INSTALL httpfs",
    "INSTALL httpfs FROM '{folder}'",
    "FORCE INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{folder}/x.duckdb_extension'",
    "UPDATE EXTENSIONS",
    "CALL pragma_version()",
    "CALL enable_logging()",
    "CALL query('SELECT 1')",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "PREPARE x AS SELECT 1",
    "EXECUTE x",
    "EXECUTE x(1)",
    "DEALLOCATE x",
    "EXPLAIN ANALYZE SELECT 1",
    "EXPLAIN SELECT 1",
    "KILL 1",
    "SHOW SETTINGS INTO x",
)
FILES = (
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_text(['/etc/passwd'])",
    "SELECT * FROM main.read_text('/etc/passwd')",
    "SELECT * FROM system.main.read_text('/etc/passwd')",
    "SELECT * FROM \"read_text\"('/etc/passwd')",
    "SELECT * FROM READ_TEXT('/etc/passwd')",
    "SELECT * FROM/**/read_text/**/('/etc/passwd')",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT 1 WHERE EXISTS (FROM read_text('/etc/passwd'))",
    "SELECT [x.content FOR x IN (SELECT list(t) FROM read_text('/etc/passwd') t)]",
    "WITH x AS (FROM read_text('/etc/passwd')) SELECT * FROM x",
    "SELECT * FROM spans, LATERAL (SELECT * FROM read_text(name))",
    "SELECT * FROM range(1) UNION ALL SELECT content FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/proc/self/environ')",
    "SELECT * FROM read_blob('/proc/1/environ')",
    "SELECT * FROM read_json('{data}/log/writer_id')",
    "SELECT * FROM read_json_auto('{data}/lake/spans/_delta_log/00000000000000000000.json')",
    "SELECT * FROM read_ndjson('{data}/lake/spans/_delta_log/00000000000000000000.json')",
    "SELECT * FROM read_json_objects('{data}/lake/spans/_delta_log/00000000000000000000.json')",
    "SELECT * FROM read_parquet('{lake_file}')",
    "SELECT * FROM parquet_scan('{lake_file}')",
    "SELECT * FROM parquet_metadata('{lake_file}')",
    "SELECT * FROM parquet_schema('{lake_file}')",
    "SELECT * FROM parquet_file_metadata('{lake_file}')",
    "SELECT * FROM parquet_kv_metadata('{lake_file}')",
    "SELECT * FROM parquet_bloom_probe('{lake_file}', 'trace_id', 'x')",
    "SELECT * FROM read_duckdb('{folder}/out.db')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/**')",
    "SELECT * FROM glob('{data}/**')",
    "SELECT * FROM '/etc/passwd'",
    'SELECT * FROM "/etc/passwd"',
    "FROM '{lake_file}'",
    "SELECT * FROM '{lake_file}'",
    "SELECT * FROM 'http://127.0.0.1:1/x.parquet'",
    "DESCRIBE FROM '{lake_file}'",
    "SUMMARIZE FROM '{lake_file}'",
    "SELECT * FROM read_parquet('http://127.0.0.1:1/x.parquet')",
    "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "SELECT * FROM read_csv('https://example.com/x.csv')",
    "SELECT * FROM delta_scan('{data}/lake/spans')",
    "SELECT * FROM sqlite_scan('{data}/registry.sqlite3', 'api_keys')",
    "SELECT * FROM postgres_scan('host=127.0.0.1', 'public', 'x')",
    "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
    "SELECT * FROM query_table('/etc/passwd')",
    "SELECT * FROM query_table(['{lake_file}'])",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''/etc/passwd'')'))",
    "SELECT getenv('HOME')",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM arrow_scan(1::POINTER, 2::POINTER, 3::POINTER)",
    "SELECT * FROM python_arrow_scan(1)",
    "SELECT * FROM pandas_scan(140000000000000)",
    "SELECT * FROM python_map_function(1)",
    "SELECT * FROM seq_scan('spans')",
    "SELECT * FROM request",
    "SELECT * FROM stream",
    "SELECT * FROM database",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM which_secret('s3://x', 's3')",
    "SELECT * FROM duckdb_logs()",
    "SELECT * FROM duckdb_temporary_files()",
    "SELECT * FROM duckdb_external_file_cache()",
    "SELECT * FROM pragma_storage_info('spans')",
)
NOT_ONE_SELECT = (
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY spans TO '{folder}/out.csv'",
    "SELECT 1;;; DROP VIEW spans",
    "/* SELECT */ DROP VIEW spans -- SELECT 1",
    "SELECT 1 /* ; */; SET threads = 64 --",
    "SELECT $1",
    "SELECT ?",
    "SELECT $name",
    "",
    ";",
    "-- SELECT 1",
    "SELECT \0",
)
NESTED = (
    "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
    "SELECT " + "[" * 900 + "1" + "]" * 900,
    "SELECT " + "+".join("1" for _ in range(40_000)),
    "SELECT " + "NOT " * 20_000 + "true",
)
TOO_MUCH = (
    "SELECT repeat('x', 4000000000)",
    "SELECT length(repeat('x', 4000000000)) FROM range(10)",
    "SELECT list_sum(range(3000000000))",
    "SELECT range(1000000000)",
    "SELECT count(*) FROM (SELECT unnest(range(2000000000)))",
    "SELECT list(md5(range::VARCHAR)) FROM range(100000000)",
    "SELECT string_agg(md5(range::VARCHAR), '') FROM range(100000000)",
    "SELECT [[[x + y + z FOR x IN range(1000)] FOR y IN range(1000)] FOR z IN range(1000)]",
    "SELECT list_reduce(range(1000)::VARCHAR[], lambda a, b: a || repeat(b, 10000000))",
    "SELECT list_transform(range(1000000), lambda x: range(10000))",
    "SELECT lpad('', 2000000000, 'x')",
    "SELECT array_to_string(range(1000000000), ',')",
    "SELECT replace(repeat('a', 100000000), 'a', repeat('b', 1000))",
    "SELECT regexp_replace(repeat('a', 100000000), 'a', repeat('b', 1000), 'g')",
    "SELECT printf('%1000000000d', 1)",
    "SELECT count(*) FROM range(1000000000) a, range(1000000000) b",
    "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b",
    "SELECT a.range FROM range(10000000) a, range(100000) b ORDER BY a.range * b.range",
    "SELECT count(*) FROM spans a, range(10000000) b, range(10000000) c WHERE a.name < b.range || c.range || a.span_id",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
    "WITH RECURSIVE r AS (SELECT 'x' AS s UNION ALL SELECT s || s FROM r) SELECT max(length(s)) FROM r",
    "SELECT sleep_ms(60000)",
    "SELECT DISTINCT md5(range::VARCHAR) FROM range(1000000000) ORDER BY 1",
    "SELECT count(DISTINCT random()) FROM range(1000000000)",
    "SELECT max(levenshtein(repeat('a', 100000), repeat('b', 100000)))",
    "SELECT count(*) FROM range(1000000000) WHERE regexp_matches(repeat('a', 100000), '(a|a)*b' || range)",
    "SELECT sum(range) OVER (ORDER BY md5(range::VARCHAR)) FROM range(1000000000)",
)
FORBIDDEN = (*WRITES, *SETTINGS, *FILES, *NOT_ONE_SELECT)
# Answered: what they show must be the caller's own.
ASKING_ABOUT_OTHERS = (
    "SELECT * FROM spans WHERE project <> 'a' OR true",
    "SELECT * FROM spans WHERE project = 'b' OR session_id = 'session'",
    "SELECT * FROM hot_spans UNION ALL SELECT * FROM hot_spans WHERE EXISTS (FROM spans)",
    "SELECT project, name, (SELECT count(*) FROM spans) FROM committed_spans",
    "SELECT * FROM llm_calls",
    "SELECT * FROM sessions",
    "SELECT * FROM metrics",
    "SELECT * FROM metric_values",
    "SELECT * FROM exposures",
    "SELECT * FROM session_rollup",
    "SELECT * FROM experiment_sessions",
    "SELECT * FROM session_labels",
    "SELECT * FROM temp.main.spans",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM information_schema.columns",
    "SELECT * FROM information_schema.schemata",
    "SELECT sql FROM duckdb_views() UNION ALL SELECT sql FROM sqlite_master",
    "SELECT * FROM duckdb_tables()",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT * FROM pg_catalog.pg_settings",
    "SHOW ALL TABLES",
    "SUMMARIZE spans",
    "SELECT name FROM spans UNION ALL SELECT table_name FROM information_schema.tables",
    "SELECT current_query(), current_user, version(), current_database(), current_setting('temp_directory')",
)


@dataclass
class Two:
    """A server, a client of each project, and what an attacker may know of the data directory."""

    server: ServerProcess
    a: Client
    b: Client
    folder: Path
    lake_file: Path

    def filled(self, statement: str) -> str:
        """Return the statement with the paths that it names."""
        names = {"folder": self.folder, "data": self.server.data_dir, "lake_file": self.lake_file}
        for name, path in names.items():
            statement = statement.replace("{" + name + "}", str(path))
        return statement


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Both projects have the same session, in files and in rows that are not committed."""
    folder = tmp_path_factory.mktemp("two")
    keys = {project: create_key(folder / "data", project, "admin") for project in ("a", "b")}
    limits = ("--sql-timeout-s", str(TIMEOUT_S), "--sql-memory-bytes-max", str(MEMORY_BYTES_MAX))
    server = ServerProcess(folder / "data", *limits, "--flush-interval-s", "0.2").start()
    clients = {project: Client(server, key) for project, key in keys.items()}
    for project, client in clients.items():
        mark = f"belongs-to-{project}"
        variants = [{"model": f"1-{mark}", "weight": 50}, {"model": f"2-{mark}", "weight": 50}]
        client.post("/apply", {"configs": [{"key": "config", "variants": variants}]})
        for _ in range(2):
            client.post("/v1/traces", flat_trace("config", "session", model=f"1-{mark}", attributes={"secret": mark}))
            client.post("/spans", metrics("config", "session", text=mark))
            client.post("/sessions", exposure("config", "session", f"1-{mark}"))
            server.wait_for_commit()
    (folder / "out").mkdir()
    lake_file = next((folder / "data" / "lake" / "spans").rglob("*.parquet"))
    yield Two(server, clients["a"], clients["b"], folder / "out", lake_file)
    server.stop()


def refusal(client: Client, statement: str) -> httpx.Response:
    return client.ask("POST", "/sql", json={"query": statement})


def resident_bytes(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_there_are_a_hundred_attempts_and_more() -> None:
    attempts = {*FORBIDDEN, *NESTED, *TOO_MUCH, *ASKING_ABOUT_OTHERS}

    assert len(attempts) >= 200


@pytest.mark.parametrize("statement", FORBIDDEN, ids=lambda statement: statement[:60])
def test_what_is_no_select_over_the_project_is_refused(two: Two, statement: str) -> None:
    answer = refusal(two.a, two.filled(statement))

    assert (answer.status_code, answer.json()["error"]["field"]) == (REFUSED, "query"), answer.text
    assert "root:" not in answer.text
    assert MARK not in answer.text
    assert list(two.folder.iterdir()) == []


@pytest.mark.parametrize("statement", NESTED, ids=lambda statement: statement[:20])
def test_what_is_nested_too_deeply_is_refused_or_stopped(two: Two, statement: str) -> None:
    assert refusal(two.a, statement).status_code in (REFUSED, STOPPED)
    assert two.a.sql("SELECT 1") == [[1]]


@pytest.mark.parametrize("statement", ASKING_ABOUT_OTHERS, ids=lambda statement: statement[:60])
def test_what_is_answered_shows_nothing_of_another_project(two: Two, statement: str) -> None:
    own, others = refusal(two.a, statement), refusal(two.b, statement)

    assert MARK not in own.text
    assert "belongs-to-a" not in others.text
    assert str(two.server.data_dir) not in own.text + others.text
    assert own.status_code == others.status_code == 200, own.text


@pytest.mark.parametrize("statement", TOO_MUCH, ids=lambda statement: statement[:60])
def test_what_takes_too_much_ends_at_a_limit_and_harms_nobody(two: Two, statement: str) -> None:
    two.b.sql("SELECT 1")
    before_bytes = resident_bytes(two.server.pid)
    began_s = time.monotonic()

    answer = refusal(two.a, statement)

    took_s = time.monotonic() - began_s
    # A statement may be answered in time, cut to what an answer may have.
    assert answer.status_code in (200, REFUSED, STOPPED), answer.text
    if answer.status_code == REFUSED:
        assert "out of memory" in answer.json()["error"]["message"].lower(), answer.text
    assert took_s < TIMEOUT_S + 4
    assert resident_bytes(two.server.pid) - before_bytes < SERVER_GROWTH_BYTES_MAX
    assert two.b.sql("SELECT count(*) FROM spans") == [[2]]


def test_while_statements_fail_others_are_answered(two: Two) -> None:
    with ThreadPoolExecutor(3) as threads:
        failing = [threads.submit(refusal, two.a, statement) for statement in TOO_MUCH[:3] * 3]
        answers = [two.b.ask("POST", "/sql", json={"query": "SELECT count(*) FROM spans"}) for _ in range(10)]

    assert {one.result().status_code for one in failing} <= {REFUSED, STOPPED, 503}
    assert [answer.json()["rows"] for answer in answers] == [[[2]]] * 10


def test_no_attempt_has_left_anything(two: Two) -> None:
    settings = "SELECT current_setting('enable_external_access'), current_setting('lock_configuration')"

    assert two.a.sql(settings) == [[False, True]]
    assert two.a.sql("SELECT count(*) FROM spans") == [[2]]
    assert list(two.folder.iterdir()) == []


def children_of(process: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def forks_of(server: ServerProcess) -> tuple[int, list[int]]:
    """Return the process that forks, and its forks."""
    tasks = Path(f"/proc/{server.pid}/task").glob("*/children")
    (process,) = {int(text) for task in tasks for text in task.read_text().split()}
    return process, children_of(process)


def wait_for(condition: object, what: str, timeout_s: float = 5.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline_s, what
        time.sleep(0.02)


@pytest.fixture
def patient_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that stops no statement before its time."""
    server = ServerProcess(tmp_path / "data", "--sql-timeout-s", "60").start()
    server.sql("SELECT 1")
    wait_for(lambda: len(forks_of(server)[1]) == 1, "no fork waits")
    yield server
    server.stop()


def test_a_statement_ends_when_its_client_goes(patient_server: ServerProcess) -> None:
    with (
        httpx.Client(base_url=patient_server.url, trust_env=False, timeout=1) as http,
        pytest.raises(httpx.ReadTimeout),
    ):
        http.post("/sql", json={"query": "SELECT sleep_ms(60000)"})
    http.close()

    wait_for(lambda: len(forks_of(patient_server)[1]) == 1, "the statement still runs")
    assert patient_server.sql("SELECT 1 AS one") == [{"one": 1}]


def test_a_fork_that_dies_ends_its_statement_alone(patient_server: ServerProcess) -> None:
    _, (waiting,) = forks_of(patient_server)
    with ThreadPoolExecutor(2) as threads:
        running = threads.submit(patient_server.post, "/sql", {"query": "SELECT sleep_ms(60000)"})
        wait_for(lambda: len(forks_of(patient_server)[1]) == 2, "no second fork")
        other = threads.submit(patient_server.sql, "SELECT sleep_ms(1000) IS NULL AS slept")
        os.kill(waiting, signal.SIGKILL)
        status, answer = running.result()
        slept = other.result()

    assert status == REFUSED
    assert "ended by signal 9" in answer["error"]["message"]
    assert slept in ([{"slept": True}], [{"slept": False}])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_where_the_process_that_forks_dies_the_next_statement_has_another(
    patient_server: ServerProcess, number: signal.Signals
) -> None:
    process, forks = forks_of(patient_server)

    os.kill(process, number)

    wait_for(lambda: not any(Path(f"/proc/{fork}").exists() for fork in forks), "a fork outlives its parent")
    statuses = [patient_server.post("/sql", {"query": "SELECT 1"})[0] for _ in range(2)]
    assert statuses[-1] == 200
    assert forks_of(patient_server)[0] != process


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_no_process_outlives_the_server(patient_server: ServerProcess, how: str) -> None:
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(patient_server.post, "/sql", {"query": "SELECT sleep_ms(60000)"})
        wait_for(lambda: len(forks_of(patient_server)[1]) == 2, "no second fork")
        process, forks = forks_of(patient_server)

        getattr(patient_server, how)()

        running.exception(timeout=20)
    wait_for(lambda: not any(Path(f"/proc/{one}").exists() for one in (process, *forks)), "a process is left")


def test_a_fork_has_neither_secrets_nor_sockets_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_SERVER", "secret")
    server = ServerProcess(tmp_path / "data").start()
    try:
        server.sql("SELECT 1")
        wait_for(lambda: len(forks_of(server)[1]) == 1, "no fork waits")
        _, (fork,) = forks_of(server)
        environment = Path(f"/proc/{fork}/environ").read_bytes()
        descriptors = [str(path.readlink()) for path in Path(f"/proc/{fork}/fd").iterdir()]
    finally:
        server.stop()

    assert b"secret" not in environment
    sockets = [target for target in descriptors if target.startswith("socket:")]
    assert len(sockets) == 1, descriptors
    assert {target for target in descriptors if target not in sockets} <= {"/dev/null"}
