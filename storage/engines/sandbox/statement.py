"""What a user's statement may be: one SELECT, over tables and a list of functions that make rows of their own."""

from collections.abc import Iterator

import duckdb
import orjson

from storage.errors import QueryRefusedError

# Of the functions that stand in FROM, those that read nothing, or only what the statement's own process is.
TABLE_FUNCTIONS = frozenset(
    {
        "duckdb_columns",
        "duckdb_functions",
        "duckdb_keywords",
        "duckdb_schemas",
        "duckdb_tables",
        "duckdb_types",
        "duckdb_views",
        "generate_series",
        "histogram",
        "histogram_values",
        "json_each",
        "json_tree",
        "pg_timezone_names",
        "pragma_table_info",
        "range",
        "repeat",
        "repeat_row",
        "summary",
        "unnest",
    }
)


def refuse_all_but_one_select(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Raise QueryRefusedError, or what the database says, where the statement is not one SELECT that is allowed."""
    statements = connection.extract_statements(statement)
    if len(statements) != 1:
        raise QueryRefusedError(f"one statement expected, got {len(statements)}")
    try:
        kind = statements[0].type
    except ValueError as error:
        # The database has kinds of statements that its Python module has no name for.
        raise QueryRefusedError("only SELECT is allowed") from error
    if kind != duckdb.StatementType.SELECT:
        raise QueryRefusedError(f"only SELECT is allowed, got {kind.name}")
    for node in _nodes(connection, statement):
        _refuse(node)


def _nodes(connection: duckdb.DuckDBPyConnection, statement: str) -> Iterator[dict[str, object]]:
    """Yield all parts of the statement as the database has parsed it."""
    rows = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [statement]).fetchall()
    try:
        waiting: list[object] = [orjson.loads(rows[0][0])]
    except orjson.JSONDecodeError as error:
        raise QueryRefusedError("the statement is nested too deeply") from error
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _refuse(node: dict[str, object]) -> None:
    kind = str(node.get("type") or "")
    if node.get("error") is True:
        raise QueryRefusedError(f"only SELECT is allowed: {node.get('error_message')}")
    if kind.endswith("_QUERY_NODE"):
        raise QueryRefusedError(f"only SELECT is allowed, got {kind.removesuffix('_QUERY_NODE')} within it")
    if kind == "TABLE_FUNCTION":
        function = node.get("function")
        name = str(function.get("function_name")).lower() if isinstance(function, dict) else ""
        if name not in TABLE_FUNCTIONS:
            raise QueryRefusedError(
                f"the function {name}() is not allowed in FROM; there are: {', '.join(sorted(TABLE_FUNCTIONS))}"
            )
