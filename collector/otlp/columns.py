"""From a scan's table of numbers to the columns of the span table."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.component import TooLargeError
from collector.otlp.bodies import Bodies
from collector.otlp.compiled import gather, request, span
from collector.otlp.compiled.keys import COST, COUNT, KEYS, TEXT
from collector.otlp.compiled.memory import PADDING
from collector.otlp.scan import DECODED_BYTES_MAX, Scanned
from collector.request import Received
from schemas.spans import SPANS

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUS_CODES = ("unset", "ok", "error")
# A partition is a folder: clients must not be able to make one for every day of history.
PAST_DAYS_MAX = 400
FUTURE_DAYS_MAX = 2
_DAY_US = 86_400_000_000
_KIND_NAMES = pa.array(KINDS)
_STATUS_NAMES = pa.array(STATUS_CODES)


def columns(scanned: Scanned, bodies: Bodies, requests: Sequence[Received]) -> pa.RecordBatch:
    """Return the rows of a scan as a batch of the span table.

    Raises TooLargeError where they come to more than DECODED_BYTES_MAX.
    """
    made = _Columns(scanned, bodies, requests)
    return pa.RecordBatch.from_arrays([made.column(field) for field in SPANS.schema], schema=SPANS.schema)


def partition_day(day: date, received: date) -> date:
    """Return the day, held within the days around the receipt that may have a partition."""
    return min(max(day, received - timedelta(PAST_DAYS_MAX)), received + timedelta(FUTURE_DAYS_MAX))


def time_of(unix_nano: int) -> datetime:
    """Return the moment, to the microsecond."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=unix_nano // 1000)


class _Columns:
    """Makes the columns of one scan, each at its turn; nothing of the scan's own memory stays in them."""

    def __init__(self, scanned: Scanned, bodies: Bodies, requests: Sequence[Received]) -> None:
        self._scanned = scanned
        self._data = bodies.data
        self._requests = requests
        self._cells = scanned.cells
        self._rows = scanned.rows
        self._bytes_left = DECODED_BYTES_MAX
        self._place = {name: place for place, name in enumerate(KEYS.columns)}
        self._context = self._cells[span.CONTEXT]
        self._request = scanned.contexts[request.REQUEST][self._context]
        self._start_us = self._cells[span.START] // 1000
        self._received_us = np.array([receipt.unix_us for _, receipt in requests], np.int64)
        self._makers: dict[str, Callable[[], pa.Array]] = {
            "project": self._project,
            "date": self._date,
            "trace_id": lambda: self._ids(span.TRACE_ID, 16),
            "span_id": lambda: self._ids(span.SPAN_ID, 8),
            "parent_span_id": lambda: self._ids(span.PARENT_ID, 8),
            "trace_state": lambda: self._texts(self._cells[span.TRACE_STATE]),
            "name": lambda: self._texts(self._cells[span.NAME], is_required=True),
            "kind": lambda: _KIND_NAMES.take(pa.array(self._cells[span.KIND])),
            "start_time": lambda: self._numbers(self._start_us).view(SPANS.schema.field("start_time").type),
            "start_time_unix_nano": lambda: self._numbers(self._cells[span.START].copy()),
            "duration_ns": self._duration,
            "status_code": lambda: _STATUS_NAMES.take(pa.array(self._cells[span.STATUS])),
            "status_message": lambda: self._texts(self._cells[span.MESSAGE]),
            "service_name": lambda: self._shared(request.SERVICE),
            "scope_name": lambda: self._shared(request.SCOPE_NAME),
            "scope_version": lambda: self._shared(request.SCOPE_VERSION),
            "attributes": lambda: self._written(0, scanned.attributes),
            "promoted": lambda: self._texts(self._cells[span.PROMOTED]),
            "resource_attributes": lambda: self._shared(request.RESOURCE),
            "scope_attributes": lambda: self._shared(request.SCOPE),
            "events": lambda: self._written(1, scanned.events),
            "links": lambda: self._written(2, scanned.links),
            "received_at": self._received_at,
            "content_hash": lambda: self._numbers(self._cells[span.HASH].copy()),
        }

    def column(self, field: pa.Field) -> pa.Array:
        """Return the column; one that is none of the decoder's is NULL."""
        if field.name in self._makers:
            return self._makers[field.name]()
        if field.name in self._place:
            return self._promoted(self._place[field.name], field.type)
        return pa.nulls(self._rows, field.type)

    def _promoted(self, column: int, data_type: pa.DataType) -> pa.Array:
        values = self._cells[span.COLUMNS + column]
        kind = KEYS.kinds[column]
        if kind == TEXT:
            return self._texts(values)
        valid = self._bits()
        nulls = gather.filled_bits(self._cells[span.FILLED], column, valid)
        if nulls == self._rows:
            return pa.nulls(self._rows, data_type)
        if kind in (COUNT, COST):
            # A double stands as its bits.
            return _array(data_type, self._rows, nulls, valid, values.copy())
        bits = self._bits()
        gather.nonzero_bits(values, bits)
        return _array(data_type, self._rows, nulls, valid, bits)

    def _texts(self, references: NDArray[np.int64], *, is_required: bool = False) -> pa.Array:
        size_bytes = gather.total_bytes(references)
        if size_bytes == 0 and not is_required:
            return pa.nulls(self._rows, pa.string())
        self._reserve(size_bytes)
        data, offsets, valid = np.empty(size_bytes + PADDING, np.uint8), self._offsets(), self._bits()
        nulls = gather.gather_text(
            references, self._data.ctypes.data, self._scanned.made.ctypes.data, data.ctypes.data, offsets, valid
        )
        if is_required:
            return _array(pa.string(), self._rows, 0, None, offsets, data[:size_bytes])
        return _array(pa.string(), self._rows, nulls, valid, offsets, data[:size_bytes])

    def _shared(self, column: int) -> pa.Array:
        return self._texts(self._scanned.contexts[column][self._context])

    def _written(self, column: int, data: NDArray[np.uint8]) -> pa.Array:
        offsets, valid = self._scanned.offsets[column], self._bits()
        nulls = gather.nonempty_bits(offsets, valid)
        if nulls == self._rows:
            return pa.nulls(self._rows, pa.string())
        size_bytes = int(offsets[-1])
        self._reserve(size_bytes)
        return _array(pa.string(), self._rows, nulls, valid, offsets, data[:size_bytes].copy())

    def _ids(self, cell: int, size: int) -> pa.Array:
        positions = self._cells[cell]
        data, offsets, valid = np.empty(2 * size * self._rows + PADDING, np.uint8), self._offsets(), self._bits()
        nulls = gather.gather_ids(positions, self._data.ctypes.data, data.ctypes.data, offsets, valid, size)
        return _array(pa.string(), self._rows, nulls, valid, offsets, data[: int(offsets[-1])])

    def _numbers(self, values: NDArray[np.int64]) -> pa.Array:
        return _array(pa.int64(), self._rows, 0, None, values)

    def _duration(self) -> pa.Array:
        durations = self._cells[span.DURATION]
        valid = np.packbits(durations >= 0, bitorder="little")
        return _array(pa.int64(), self._rows, -1, valid, durations.copy())

    def _project(self) -> pa.Array:
        projects = [request.project for request, _ in self._requests]
        if len(set(projects)) == 1:
            return pa.repeat(projects[0], self._rows)
        return pa.array(projects).take(pa.array(self._request))

    def _received_at(self) -> pa.Array:
        return self._numbers(self._received_us[self._request]).view(SPANS.schema.field("received_at").type)

    def _date(self) -> pa.Array:
        received = self._received_us[self._request] // _DAY_US
        days = np.clip(self._start_us // _DAY_US, received - PAST_DAYS_MAX, received + FUTURE_DAYS_MAX)
        return _array(pa.date32(), self._rows, 0, None, days.astype(np.int32))

    def _offsets(self) -> NDArray[np.int32]:
        return np.empty(self._rows + 1, np.int32)

    def _bits(self) -> NDArray[np.uint8]:
        return np.zeros((self._rows + 7) // 8, np.uint8)

    def _reserve(self, size_bytes: int) -> None:
        self._bytes_left -= size_bytes
        if self._bytes_left < 0:
            raise TooLargeError(f"decoded, its spans take more than {DECODED_BYTES_MAX} bytes: send it in parts")


def _array(data_type: pa.DataType, rows: int, nulls: int, *buffers: NDArray[np.generic] | None) -> pa.Array:
    made = [None if buffer is None else pa.py_buffer(buffer) for buffer in buffers]
    return pa.Array.from_buffers(data_type, rows, made, nulls)
