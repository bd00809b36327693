"""An answer as it is sent: an Arrow stream, JSON or CSV."""

from collections.abc import Callable, Iterator
from typing import BinaryIO, Literal

import orjson
import pyarrow as pa

from storage.engines.answer_limits import Answer
from storage.json_values import json_rows
from storage.spreadsheet import inert

Format = Literal["arrow", "json", "csv"]
_CHUNK_ROWS = 1_000
_QUOTED = frozenset(',"\r\n')

Send = Callable[[BinaryIO], None]


def rendered(answer: Answer, form: Format) -> tuple[int, Send]:
    """Return how many bytes the answer has, and what writes them.

    Raises QueryRefusedError for a value that the format can't hold.
    """
    if form == "arrow":
        return _arrow_size_bytes(answer.rows), lambda stream: _write_arrow(answer.rows, stream)
    chunks = list(_json(answer) if form == "json" else _csv(answer.rows))
    return sum(map(len, chunks)), lambda stream: stream.writelines(chunks)


def _arrow_size_bytes(rows: pa.Table) -> int:
    counter = pa.MockOutputStream()
    _write_arrow(rows, counter)
    return int(counter.size())


def _write_arrow(rows: pa.Table, stream: BinaryIO | pa.MockOutputStream) -> None:
    with pa.ipc.new_stream(stream, rows.schema) as writer:
        writer.write_table(rows)


def _json(answer: Answer) -> Iterator[bytes]:
    """Yield the parts of one object: columns, rows, truncated."""
    yield b'{"columns":' + orjson.dumps(answer.rows.schema.names) + b',"rows":['
    separator = b""
    for rows in _chunks(answer.rows):
        # Without the brackets of the list of these alone.
        yield separator + orjson.dumps(rows)[1:-1]
        separator = b","
    yield b'],"truncated":' + orjson.dumps(answer.truncated) + b"}"


def _csv(table: pa.Table) -> Iterator[bytes]:
    """Yield the lines by RFC 4180: NULL is empty, an empty text is quoted, lists and objects are JSON.

    Texts hold what clients sent: none is a formula for a spreadsheet.
    """
    yield _line(table.schema.names)
    for rows in _chunks(table):
        yield b"".join(map(_line, rows))


def _chunks(table: pa.Table) -> Iterator[list[list[object]]]:
    for start in range(0, table.num_rows, _CHUNK_ROWS):
        yield json_rows(table.slice(start, _CHUNK_ROWS))


def _line(values: list[object]) -> bytes:
    return (",".join(map(_field, values)) + "\r\n").encode()


def _field(value: object) -> str:
    if value is None:
        return ""
    text = inert(value) if isinstance(value, str) else orjson.dumps(value).decode()
    if text and _QUOTED.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'
