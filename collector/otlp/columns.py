"""From a scan's table of numbers to the columns of the span table."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.component import TooLargeError
from collector.otlp.bodies import Bodies
from collector.otlp.compiled import gather, request, span
from collector.otlp.compiled.keys import FLAG, KEYS, TEXT
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
# To find out the type of a text takes Arrow longer than to make a column.
_TEXT = pa.string()
_KIND_NAMES = pa.array(KINDS)
_STATUS_NAMES = pa.array(STATUS_CODES)
_FIELDS = tuple(SPANS.schema)
# Where the texts of a column are: a row of the cells, or the inverse of one of what a scope's spans share.
_TEXTS = {
    "trace_state": span.TRACE_STATE,
    "name": span.NAME,
    "status_message": span.MESSAGE,
    "promoted": span.PROMOTED,
    "service_name": ~request.SERVICE,
    "scope_name": ~request.SCOPE_NAME,
    "scope_version": ~request.SCOPE_VERSION,
    "resource_attributes": ~request.RESOURCE,
    "scope_attributes": ~request.SCOPE,
} | {name: span.COLUMNS + column for column, name in enumerate(KEYS.columns) if KEYS.kinds[column] == TEXT}
_TEXT_NAMES = tuple(_TEXTS)
_TEXT_PLACES = np.array(list(_TEXTS.values()))
_NUMBER_PLACES = np.flatnonzero(KEYS.kinds != TEXT)
# Arrow wants a buffer to begin where a line of the processor's cache does.
_ALIGNMENT = 64


Size = TypeVar("Size", int, NDArray[np.int64])


def columns(scanned: Scanned, bodies: Bodies, requests: Sequence[Received]) -> pa.RecordBatch:
    """Return the rows of a scan as a batch of the span table.

    Raises TooLargeError where they come to more than DECODED_BYTES_MAX.
    """
    made = _Columns(scanned, bodies, requests)
    return pa.RecordBatch.from_arrays([made.column(field) for field in _FIELDS], schema=SPANS.schema)


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
        self._data = bodies.data.ctypes.data
        self._requests = requests
        self._rows = scanned.rows
        self._cells = scanned.cells[:, : self._rows]
        self._bytes_left = DECODED_BYTES_MAX
        self._request = scanned.contexts[request.REQUEST][self._cells[span.CONTEXT]]
        self._start_us = self._cells[span.START] // 1000
        self._received_us = np.array([receipt.unix_us for _, receipt in requests], np.int64)
        self._made = self._texts() | self._promoted_numbers()
        self._makers: dict[str, Callable[[], pa.Array]] = {
            "project": self._project,
            "date": self._date,
            "trace_id": lambda: self._ids(span.TRACE_ID, 16),
            "span_id": lambda: self._ids(span.SPAN_ID, 8),
            "parent_span_id": lambda: self._ids(span.PARENT_ID, 8),
            "name": self._name,
            "kind": lambda: _KIND_NAMES.take(pa.array(self._cells[span.KIND])),
            "start_time": lambda: self._numbers(self._start_us).view(SPANS.schema.field("start_time").type),
            "start_time_unix_nano": lambda: self._numbers(self._cells[span.START].copy()),
            "duration_ns": self._duration,
            "status_code": lambda: _STATUS_NAMES.take(pa.array(self._cells[span.STATUS])),
            "attributes": lambda: self._written(0, scanned.attributes),
            "events": lambda: self._written(1, scanned.events),
            "links": lambda: self._written(2, scanned.links),
            "received_at": self._received_at,
            "content_hash": lambda: self._numbers(self._cells[span.HASH].copy()),
        }

    def column(self, field: pa.Field) -> pa.Array:
        """Return the column; one that is none of the decoder's is NULL."""
        if field.name in self._makers:
            return self._makers[field.name]()
        made = self._made.get(field.name)
        return pa.nulls(self._rows, field.type) if made is None else made

    def _texts(self) -> dict[str, pa.Array]:
        """Return the columns of texts that stand in the requests, without those that are empty."""
        count = len(_TEXT_PLACES)
        sizes, nulls = np.empty((2, count), np.int64)
        cells, contexts = self._scanned.cells, self._scanned.contexts
        scratch = np.empty(self._rows, np.int64)
        gather.text_sizes(cells, contexts, _TEXT_PLACES, scratch, sizes)
        self._reserve(int(sizes.sum()))
        ends = np.cumsum(_aligned(sizes))
        starts = ends - _aligned(sizes)
        data = np.empty(int(ends[-1]) + PADDING, np.uint8)
        offsets = np.empty((count, _aligned(self._rows + 1)), np.int32)
        valid = self._bit_rows(count)
        gather.gather_texts(
            cells,
            contexts,
            _TEXT_PLACES,
            scratch,
            sizes,
            starts,
            self._data,
            self._scanned.made.ctypes.data,
            data.ctypes.data,
            offsets,
            valid,
            nulls,
        )
        all_data, all_offsets, all_valid = pa.py_buffer(data), pa.py_buffer(offsets), pa.py_buffer(valid)
        made = {}
        for place, (name, start, size, null_count) in enumerate(
            zip(_TEXT_NAMES, starts.tolist(), sizes.tolist(), nulls.tolist(), strict=True)
        ):
            if size:
                made[name] = pa.StringArray.from_buffers(
                    self._rows,
                    all_offsets.slice(place * offsets.strides[0], (self._rows + 1) * 4),
                    all_data.slice(start, size),
                    all_valid.slice(place * valid.strides[0], valid.shape[1]) if null_count else None,
                    null_count,
                )
        return made

    def _name(self) -> pa.Array:
        """Return the names, of which one that is empty is a text too."""
        found = self._made.get("name")
        return (
            pa.repeat(pa.scalar("", _TEXT), self._rows)
            if found is None
            else _array(found.type, self._rows, 0, None, *found.buffers()[1:])
        )

    def _promoted_numbers(self) -> dict[str, pa.Array]:
        """Return the columns of numbers and flags that attributes fill, without those that none does."""
        count = len(_NUMBER_PLACES)
        nulls = np.empty(count, np.int64)
        values = np.empty((count, _aligned(self._rows)), np.int64)
        bits, valid = self._bit_rows(count), self._bit_rows(count)
        gather.gather_numbers(
            self._scanned.cells, self._rows, _NUMBER_PLACES, KEYS.kinds[_NUMBER_PLACES], values, bits, valid, nulls
        )
        all_values, all_bits, all_valid = pa.py_buffer(values), pa.py_buffer(bits), pa.py_buffer(valid)
        made = {}
        for place, (column, null_count) in enumerate(zip(_NUMBER_PLACES.tolist(), nulls.tolist(), strict=True)):
            if null_count < self._rows:
                name = KEYS.columns[column]
                row = place * valid.strides[0]
                # A double stands as its bits.
                content = (
                    all_bits.slice(row, valid.shape[1])
                    if KEYS.kinds[column] == FLAG
                    else all_values.slice(place * values.strides[0], self._rows * 8)
                )
                found = [all_valid.slice(row, valid.shape[1]), content]
                made[name] = pa.Array.from_buffers(SPANS.schema.field(name).type, self._rows, found, null_count)
        return made

    def _written(self, column: int, data: NDArray[np.uint8]) -> pa.Array:
        offsets, valid = self._scanned.offsets[column], self._bits()
        nulls = gather.nonempty_bits(offsets, valid)
        if nulls == self._rows:
            return pa.nulls(self._rows, _TEXT)
        size_bytes = int(offsets[-1])
        self._reserve(size_bytes)
        return _array(_TEXT, self._rows, nulls, valid, offsets, data[:size_bytes].copy())

    def _ids(self, cell: int, size: int) -> pa.Array:
        positions = self._cells[cell]
        data, offsets, valid = np.empty(2 * size * self._rows + PADDING, np.uint8), self._offsets(), self._bits()
        nulls = gather.gather_ids(positions, self._data, data.ctypes.data, offsets, valid, size)
        return _array(_TEXT, self._rows, nulls, valid, offsets, data[: int(offsets[-1])])

    def _numbers(self, values: NDArray[np.int64]) -> pa.Array:
        return _array(pa.int64(), self._rows, 0, None, values)

    def _duration(self) -> pa.Array:
        durations = self._cells[span.DURATION]
        valid = np.packbits(durations >= 0, bitorder="little")
        return _array(pa.int64(), self._rows, -1, valid, durations.copy())

    def _project(self) -> pa.Array:
        projects = [request.project for request, _ in self._requests]
        if len(set(projects)) == 1:
            return pa.repeat(pa.scalar(projects[0], _TEXT), self._rows)
        return pa.array(projects, _TEXT).take(pa.array(self._request))

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

    def _bit_rows(self, count: int) -> NDArray[np.uint8]:
        return np.zeros((count, _aligned(-(-self._rows // 8))), np.uint8)

    def _reserve(self, size_bytes: int) -> None:
        self._bytes_left -= size_bytes
        if self._bytes_left < 0:
            raise TooLargeError(f"decoded, its spans take more than {DECODED_BYTES_MAX} bytes: send it in parts")


def _aligned(size: Size) -> Size:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _array(data_type: pa.DataType, rows: int, nulls: int, *buffers: NDArray[np.generic] | pa.Buffer | None) -> pa.Array:
    made = [None if buffer is None else pa.py_buffer(buffer) for buffer in buffers]
    return pa.Array.from_buffers(data_type, rows, made, nulls)
