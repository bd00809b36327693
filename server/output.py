"""How a command prints rows: a table in a terminal, tab-separated lines in a pipe, JSON on request."""

import json
import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[object]], *, as_json: bool) -> None:
    """Print the rows to stdout."""
    if as_json:
        sys.stdout.write(json.dumps({"columns": list(columns), "rows": [list(row) for row in rows]}) + "\n")
    elif sys.stdout.isatty():
        Console().print(_table(columns, rows))
    else:
        for row in (columns, *rows):
            sys.stdout.write("\t".join(_plain(value) for value in row) + "\n")


def warn(message: str) -> None:
    """Print one line to stderr."""
    sys.stderr.write(f"{message}\n")


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    table = Table(box=SIMPLE_HEAD, header_style="bold")
    for index, column in enumerate(columns):
        is_number = any(isinstance(row[index], int | float) for row in rows)
        table.add_column(escape(column), justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*(escape(_plain(value)) for value in row))
    return table


def _plain(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
