"""How ``fallom-server sql`` prints an answer."""

import sys
from collections.abc import Callable
from typing import BinaryIO, Literal, cast, get_args

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from analytics.rows import json_rows
from server.errors import CommandError
from server.output import print_rows
from storage.engines.answer_formats import rendered
from storage.engines.answer_limits import Answer

SqlFormat = Literal["table", "json", "jsonl", "csv", "arrow", "parquet"]
FORMATS: tuple[SqlFormat, ...] = get_args(SqlFormat)
_BINARY = ("arrow", "parquet")

Printer = Callable[[Answer, BinaryIO], None]


def print_answer(answer: Answer, form: SqlFormat) -> None:
    """Print the rows to stdout. Raises CommandError for bytes that are no text and a terminal."""
    if form == "table":
        print_rows(answer.rows.schema.names, json_rows(answer.rows), as_json=False)
        return
    if form in _BINARY and sys.stdout.isatty():
        raise CommandError(f"format: {form} is no text for a terminal: redirect it into a file, as in > rows.{form}")
    sys.stdout.flush()
    _PRINTERS[form](answer, cast("BinaryIO", sys.stdout.buffer))
    sys.stdout.flush()


def _json(answer: Answer, stream: BinaryIO) -> None:
    stream.write(orjson.dumps({"columns": answer.rows.schema.names, "rows": json_rows(answer.rows)}) + b"\n")


def _jsonl(answer: Answer, stream: BinaryIO) -> None:
    names = answer.rows.schema.names
    for row in json_rows(answer.rows):
        stream.write(orjson.dumps(dict(zip(names, row, strict=True))) + b"\n")


def _csv(answer: Answer, stream: BinaryIO) -> None:
    rendered(answer, "csv")[1](stream)


def _arrow(answer: Answer, stream: BinaryIO) -> None:
    rendered(answer, "arrow")[1](stream)


def _parquet(answer: Answer, stream: BinaryIO) -> None:
    # Written whole first: a pipe has no places to go back to.
    buffer = pa.BufferOutputStream()
    pq.write_table(answer.rows, buffer, compression="zstd")
    stream.write(buffer.getvalue())


_PRINTERS: dict[str, Printer] = {
    "json": _json,
    "jsonl": _jsonl,
    "csv": _csv,
    "arrow": _arrow,
    "parquet": _parquet,
}
