"""The recipes of docs/recipes.md and the examples of docs/sql.md: each runs as it stands, while a server runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from client_messages import PROTOBUF, export_request, exposure, metrics, span
from server_process import COMMAND, ServerProcess, environment

import storage
from docs import generate
from storage.errors import DataDirectoryError
from storage.sql_views import TABLES_BY_NAME, VIEWS

pytestmark = pytest.mark.e2e

DOCS = Path(generate.__file__).parent
CALLS = 7
SPARK_MODULES = ("pysail", "pyspark")


def blocks(page: str, language: str) -> dict[str, str]:
    """Return the page's code in a language, by the heading that it stands under; several of one as one."""
    found: dict[str, str] = {}
    for section in re.split(r"^## ", (DOCS / page).read_text(), flags=re.MULTILINE)[1:]:
        code = re.findall(rf"^```{language}\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
        if code:
            found[section.partition("\n")[0]] = "\n".join(code)
    return found


RECIPES = blocks("recipes.md", "python")
STATEMENTS = blocks("sql.md", "sql")
SHELL = blocks("sql.md", "sh")


def call(number: int) -> bytes:
    attributes = {
        "fallom.config_key": "my-agent",
        "fallom.session_id": f"session-{number}",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 10,
    }
    return export_request([span("call", attributes)]).SerializeToString()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with committed rows: calls of sessions that a config gave a model, and what they said of it."""
    server = ServerProcess(tmp_path_factory.mktemp("recipes") / "data", "--flush-interval-s", "0.2").start()
    variants = [{"model": "gpt-4o", "weight": 50}, {"model": "gpt-4o-mini", "weight": 50}]
    server.define({"configs": [{"key": "my-agent", "variants": variants}]})
    for number in range(CALLS):
        assert server.request("POST", "/v1/traces", call(number), PROTOBUF)[0] == 200
        server.post("/sessions", exposure("my-agent", f"session-{number}", "gpt-4o"))
        server.post("/spans", metrics("my-agent", f"session-{number}", satisfaction=number))
    server.wait_for_commit()
    yield server
    server.stop()


def run(code: str, server: ServerProcess) -> str:
    script = server.data_dir.parent / "recipe.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, script],
        cwd=server.data_dir.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_counts_the_calls(running: ServerProcess, title: str) -> None:
    if title == "Spark" and not all(map(find_spec, SPARK_MODULES)):
        pytest.skip("pysail and pyspark-client are not installed")

    assert re.search(rf"\b{CALLS}\b", run(RECIPES[title], running))


def test_there_is_a_recipe_each() -> None:
    assert [title.partition(",")[0].partition(":")[0] for title in RECIPES] == [
        "A notebook",
        "DuckDB",
        "Polars",
        "Spark",
    ]


@pytest.mark.parametrize("title", STATEMENTS)
def test_an_example_of_a_statement_is_answered(running: ServerProcess, title: str) -> None:
    for statement in filter(str.strip, STATEMENTS[title].split(";")):
        assert running.sql(statement), statement


@pytest.mark.parametrize("title", SHELL)
def test_an_example_of_a_command_works(running: ServerProcess, title: str) -> None:
    code = SHELL[title].replace("http://127.0.0.1:4318", running.url)
    paths = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=running.data_dir.parent,
        env=environment() | {"PATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_a_connection_has_committed_and_hot_rows_of_its_project(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", "--flush-interval-s", "3600").start()
    try:
        server.request("POST", "/v1/traces", call(1), PROTOBUF)
        counts = [
            storage.connect(tmp_path / "data", **options).sql("SELECT count(*) FROM llm_calls").fetchall()
            for options in ({}, {"hot": False}, {"project": "other"})
        ]
        told = storage.connect(tmp_path / "data", hot=False).sql("SELECT has_hot_rows FROM snapshot").fetchall()
    finally:
        server.stop()

    assert counts == [[(1,)], [(0,)], [(0,)]]
    assert told == [(False,)]


def test_a_connection_has_all_tables_and_views(running: ServerProcess) -> None:
    database = storage.connect(running.data_dir)

    names = {row[0] for row in database.sql("SHOW TABLES").fetchall()}

    assert {*TABLES_BY_NAME, *(view.name for view in VIEWS if view.name != "experiment_sessions")} <= names


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="no data directory"):
        storage.connect(tmp_path)
