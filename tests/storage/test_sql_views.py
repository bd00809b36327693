"""The views of users' SQL: each column is described, and they are made of what a statement names."""

import re

import pytest
from lake_parts import Parts

from docs.generate import view_types
from storage.sql_views import LABELS, TABLES_BY_NAME, VIEWS, SqlView, used_by


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_the_columns_that_are_described_are_those_that_there_are(view: SqlView) -> None:
    assert list(view.columns) == list(view_types(view))
    assert all(text.endswith((".", "…")) for text in (view.description, *view.columns.values()))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return Parts(tmp_path_factory.mktemp("views") / "data")


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_of_no_rows_is_empty(parts: Parts, view: SqlView) -> None:
    answer = parts.engine.query_untrusted(
        f"SELECT * FROM {view.name}", project="p", timeout_s=30, rows_max=10, bytes_max=1 << 20
    )

    assert (answer.rows.num_rows, answer.rows.schema.names) == (0, list(view.columns))


@pytest.mark.parametrize(
    ("statement", "tables", "views"),
    [
        ("SELECT 1", [], []),
        ("SELECT count(*) FROM Spans", ["spans"], []),
        ("FROM metrics", ["metric_values"], ["metrics"]),
        ("FROM metric_values", ["metric_values"], []),
        ("FROM experiment_sessions", ["session_rollup"], ["experiment_sessions"]),
        ("FROM llm_calls JOIN sessions USING (session_id)", ["spans"], ["llm_calls", "sessions"]),
    ],
)
def test_a_statement_gets_what_it_names(statement: str, tables: list[str], views: list[str]) -> None:
    used = used_by(statement)

    assert [name for name, _ in used.tables] == tables
    assert [view.name for view in used.views] == views
    assert not used.listed


@pytest.mark.parametrize("statement", ["SHOW TABLES", "FROM information_schema.tables", "FROM duckdb_columns()"])
def test_who_asks_what_there_is_is_told_all(parts: Parts, statement: str) -> None:
    found = parts.engine.query_untrusted(statement, project="p", timeout_s=30, rows_max=10_000, bytes_max=1 << 24).rows

    text = str(found.to_pylist())
    assert all(re.search(rf"'{name}'", text) for name in (*TABLES_BY_NAME, LABELS, *(view.name for view in VIEWS)))
