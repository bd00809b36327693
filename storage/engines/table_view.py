"""A table as a view: those of its files that are meant, read natively, and its hot rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import duckdb

from storage import sql
from storage.engines.file_bounds import ALL, Range, conditions
from storage.engines.file_columns import FileColumns
from storage.hot import View

# Of a file, that are asked for one by one.
GROUPS_APART_MAX = 4
# What sums are made of.
_SUMMED = (
    "project",
    "config_key",
    "session_id",
    "trace_id",
    "start_time",
    "duration_ns",
    "is_inference",
    "cost",
    "total_tokens",
)


def define_table(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    view: View,
    columns: FileColumns,
    project: str | None,
    *,
    within: Sequence[Sequence[Range]] = (),
    files: frozenset[str] | None = None,
    asked: Mapping[str, str] | None = None,
) -> None:
    """Make ``name`` the project's rows of the table, or all where it is None, in a connection that reads its files.

    ``files`` are those that are meant, all where it is None. Of each of ``within``, the ranges of one column, a row has
    to lie in one, or between two that a file meets; a file is asked only what its statistics don't answer. ``asked``
    has instead what each file is asked, by its condition; no other one is read.
    """
    found = conditions(view, within) if asked is None else asked
    source = source_of(connection, name, view, columns, project, found.items(), files=files, within=within)
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {source}")


def source_of(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    view: View,
    columns: FileColumns,
    project: str | None,
    asked: Iterable[tuple[str, str]],
    *,
    within: Sequence[Sequence[Range]] = (),
    files: frozenset[str] | None = None,
    only: Sequence[str] | None = None,
) -> str:
    """Return the SELECT of a table's rows: of the files in ``asked`` those of a condition, and the hot ones within.

    ``only`` are the columns that it has. Each that a file is asked for takes time, whether it is used or not.
    """
    table = view.table
    of_project = ALL if project is None else f"project = {quoted(project)}"
    names = [*(only or table.schema.names)]
    pairs = list(asked)
    partition = ", hive_partitioning = true, hive_types = {'date': DATE}" if table.partition_by else ""
    sources = []
    for present, paths in columns.alike(view):
        found = ", ".join(column if column in present else f"NULL AS {column}" for column in names)
        among = frozenset(paths) if files is None else files.intersection(paths)
        alike = defaultdict(list)
        for path, condition in pairs:
            if path in among:
                alike[condition].append(quoted(path))
        sources += [
            f"SELECT {found} FROM read_parquet([{', '.join(listed)}]{partition}) WHERE {condition} AND {of_project}"  # noqa: S608 - paths are quoted
            for condition, listed in alike.items()
        ]
    if view.hot.num_rows or not sources:
        connection.register(f"hot_{name}", view.hot)
        hot = " AND ".join(f"({' OR '.join(bound.condition for bound in bounds)})" for bounds in within)
        sources.append(
            f"SELECT {', '.join(names)} FROM hot_{name} WHERE {hot or ALL} AND {of_project}"  # noqa: S608 - names from the schema
        )
    return " UNION ALL ".join(sources)


def group_conditions(
    view: View, column: str, groups: Mapping[str, Range], within: Range
) -> tuple[list[tuple[str, str]], bool]:
    """Return the files that may have rows of the groups, with what tells these when they ran and ``within``.

    Also whether that is exact: of few groups a file each is told by its own time and name, and a file comes several
    times. To ask so for many takes longer than to read all from the first to the last; what lies between is there too.
    """
    asked_of = {name: conditions(view, [[of_group], [within]]) for name, of_group in groups.items()}
    counts = Counter(file for of_group in asked_of.values() for file in of_group)
    if max(counts.values(), default=0) > GROUPS_APART_MAX:
        return list(conditions(view, [list(groups.values()), [within]]).items()), False
    return [
        (file, f"{asked} AND {column} = {quoted(name)}")
        for name, of_group in asked_of.items()
        for file, asked in of_group.items()
    ], True


def define_sums(
    connection: duckdb.DuckDBPyConnection,
    view: View,
    columns: FileColumns,
    project: str | None,
    *,
    within: Sequence[Sequence[Range]],
    side_files: Mapping[str, str],
    among: str | None = None,
) -> None:
    """Make ``trace_sums`` what the project's spans within the bounds add to the sums of their traces.

    A file that lies within as a whole is read from its side file, where it has one; of others, spans ``among`` those of
    this condition alone.
    """
    found = conditions(view, within)
    whole = [file for file, asked in found.items() if asked == ALL and file in side_files]
    in_turn = [(file, asked) for file, asked in found.items() if file not in whole]
    spans = source_of(connection, "spans_in_turn", view, columns, project, in_turn, within=within, only=_SUMMED)
    if among is not None:
        spans = f"SELECT * FROM ({spans}) WHERE {among}"  # noqa: S608 - conditions of ours
    sources = [sql.load("span_sums").format(spans=f"({spans})")]
    if whole:
        listed = ", ".join(quoted(side_files[file]) for file in whole)
        of_project = ALL if project is None else f"project = {quoted(project)}"
        sources.append(f"SELECT * FROM read_parquet([{listed}], hive_partitioning = false) WHERE {of_project}")  # noqa: S608 - paths are quoted
    connection.execute(f"CREATE OR REPLACE TEMP VIEW trace_sums AS {' UNION ALL BY NAME '.join(sources)}")


def quoted(text: str) -> str:
    """Return the text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
