"""What a fork does: it takes one statement, answers it, and ends."""

import re
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any, BinaryIO, cast

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.fs

from schemas.table import Table
from schemas.tables import TABLES
from storage.engines.answer_formats import rendered
from storage.engines.answer_limits import limited
from storage.engines.file_bounds import Bounds
from storage.engines.sandbox import confinement
from storage.engines.sandbox.frames import ANSWER, BEGUN, PROGRESS, REFUSED, read_frame, write_frame
from storage.engines.sandbox.refusal import Refusal, refusal_of
from storage.engines.sandbox.request import Limits, Request, Source
from storage.engines.sandbox.statement import refuse_all_but_one_select
from storage.errors import QueryRefusedError

_BATCH_ROWS = 10_000
_PROGRESS_INTERVAL_S = 0.25
_TABLES = {table.name: table for table in TABLES}
# DuckDB says the one, Arrow the other; users' statements can't name files.
_FILE_IS_GONE = ("No files found that match", "No such file or directory")
# Whatever allocates, and fails, says it in words of its own.
_OUT_OF_MEMORY = re.compile(r"out of memory|bad_?alloc|alloc\w* .*fail|cannot allocate|bad allocation", re.IGNORECASE)


def warm_up() -> None:
    """Run a statement, so that forks find loaded what it takes: they are ready six times as fast."""
    database = _open()
    database.sql("SELECT md5(range::VARCHAR), now() FROM range(3)").to_arrow_reader(_BATCH_ROWS).read_all().to_pylist()
    # The next process must not have the threads of this one's database.
    database.close()


def serve(handoff: socket.socket) -> None:
    """Wait for a connection, answer the statement that comes on it."""
    database = _open()
    _, descriptors, *_ = socket.recv_fds(handoff, 1, 1)
    handoff.close()
    if descriptors:
        with socket.socket(fileno=descriptors[0]) as connection, connection.makefile("rwb") as stream:
            _answer(database, cast("BinaryIO", stream))


def _answer(database: duckdb.DuckDBPyConnection, stream: BinaryIO) -> None:
    request = _request(read_frame(stream)[1])
    _confine(database, request.limits)
    write_frame(stream, BEGUN, None)
    try:
        with _told(database, request.statement):
            _define(database, request, stream)
            refuse_all_but_one_select(database, request.statement)
            with _progress(database, stream, tells=request.tells_progress):
                reader = database.sql(request.statement).to_arrow_reader(_BATCH_ROWS)
                answer = limited(reader, request.limits.rows_max, request.limits.bytes_max)
            size_bytes, send = rendered(answer, request.form)
    except _RefusedError as refused:
        write_frame(stream, REFUSED, refused.refusal.to_json())
        return
    head = {"rows": answer.rows.num_rows, "truncated": answer.truncated, "size_bytes": size_bytes}
    write_frame(stream, ANSWER, head)
    send(stream)
    stream.flush()


def _confine(database: duckdb.DuckDBPyConnection, limits: Limits) -> None:
    database.execute(f"SET memory_limit = '{limits.memory_bytes_max}B'")
    database.execute(f"SET threads = {limits.threads}")
    database.execute("SET lock_configuration = true")
    confinement.limit_processor_time(limits.timeout_s * (limits.threads + 1))
    # What Arrow reads, and the answer, are not the database's.
    confinement.limit_memory(limits.memory_bytes_max + 2 * limits.bytes_max)


class _RefusedError(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def _open() -> duckdb.DuckDBPyConnection:
    """Return a database that reads no file at all."""
    database = duckdb.connect(":memory:")
    database.execute("SET TimeZone = 'UTC'")
    database.execute("SET python_enable_replacements = false")
    # Without a place to spill, a statement that outgrows its memory ends; nothing fills the disk.
    database.execute("SET temp_directory = ''")
    database.execute("SET enable_external_access = false")
    # With the place of the fault.
    database.execute("SET errors_as_json = true")
    # Counted, not printed.
    database.execute("SET enable_progress_bar = true")
    database.execute("SET enable_progress_bar_print = false")
    return database


def _request(content: object) -> Request:
    fields = cast("dict[str, Any]", content)
    return Request(
        **fields
        | {
            "limits": Limits(**fields["limits"]),
            "sources": [Source(**source) for source in fields["sources"]],
        }
    )


def _define(database: duckdb.DuckDBPyConnection, request: Request, stream: BinaryIO) -> None:
    """Make the tables' names views over Arrow data of one project: no other row can be named."""
    own = pc.field("project") == request.project
    for source in request.sources:
        table = _TABLES[source.table]
        parts = [f"hot_{source.name}"]
        # Of the project alone already.
        database.register(parts[0], _read_rows(stream))
        if source.files:
            parts.append(f"committed_{source.name}")
            database.register(parts[1], _dataset(Path(request.lake), table, source).filter(own))
        columns = ", ".join(table.schema.names)
        union = " UNION ALL ".join(f"SELECT {columns} FROM {part}" for part in parts)  # noqa: S608 - names from the schema
        database.execute(f"CREATE TEMP VIEW {source.name} AS {union}")
    for name in request.rows:
        database.register(name, _read_rows(stream))
    for name, statement in request.views:
        database.execute(f"CREATE TEMP VIEW {name} AS {statement}")


def _read_rows(stream: BinaryIO) -> pa.Table:
    return pa.ipc.open_stream(stream).read_all()


def _dataset(lake: Path, table: Table, source: Source) -> pads.Dataset:
    """Return the table's files, of which none is opened whose partition or bounds leave nothing of it to be read."""
    partition = pads.HivePartitioning(pa.schema([table.schema.field(name) for name in table.partition_by]))
    root = lake / table.name
    known = source.bounds or [()] * len(source.files)
    return pads.FileSystemDataset.from_paths(
        source.files,
        schema=table.schema,
        format=pads.ParquetFileFormat(),
        filesystem=pa.fs.LocalFileSystem(),
        partitions=[
            reduce(and_, _within(table.schema, bounds), partition.parse(str(Path(file).relative_to(root))))
            for file, bounds in zip(source.files, known, strict=True)
        ],
    )


def _within(schema: pa.Schema, bounds: Sequence[Bounds]) -> Iterator[pc.Expression]:
    for name, *ends in bounds:
        least, greatest = (pa.scalar(end).cast(schema.field(name).type) for end in ends)
        yield (pc.field(name) >= least) & (pc.field(name) <= greatest)


@contextmanager
def _progress(database: duckdb.DuckDBPyConnection, stream: BinaryIO, *, tells: bool) -> Iterator[None]:
    """Say now and then how far the statement is, in percent, while it runs."""
    done = threading.Event()

    def tell() -> None:
        while not done.wait(_PROGRESS_INTERVAL_S):
            write_frame(stream, PROGRESS, database.query_progress())

    thread = threading.Thread(target=tell, daemon=True)
    if tells:
        thread.start()
    try:
        yield
    finally:
        done.set()
        if tells:
            thread.join()


@contextmanager
def _told(database: duckdb.DuckDBPyConnection, statement: str) -> Iterator[None]:
    """Raise what goes wrong with a statement as a _RefusedError."""
    try:
        yield
    except QueryRefusedError as error:
        raise _RefusedError(Refusal("refused", str(error))) from error
    except MemoryError as error:
        raise _RefusedError(_out_of_memory()) from error
    except (duckdb.Error, pa.ArrowException, OSError, RuntimeError) as error:
        # What fails while rows are fetched comes through Arrow, as an OSError.
        raise _RefusedError(_refusal(database, statement, str(error))) from error


def _refusal(database: duckdb.DuckDBPyConnection, statement: str, message: str) -> Refusal:
    if _OUT_OF_MEMORY.search(message):
        return _out_of_memory()
    if any(sign in message for sign in _FILE_IS_GONE):
        return Refusal("gone", "stopped: a file that it read is gone, as it is when a customer is forgotten; ask again")
    return refusal_of(database, statement, message)


def _out_of_memory() -> Refusal:
    return Refusal("memory", "out of memory: the statement takes more than it may; ask for less at a time")
