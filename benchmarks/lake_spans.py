"""Generates a lake of spans, sessions and exposures through our own code, as it lies on disk when it is at rest.

Theory of operation. A trace is an agent's turn: the root, then in turn calls to a model and runs of tools. A session
has some traces within an hour, and belongs to one config. Days are generated one by one: all values of a chunk of rows
are numpy arrays, texts are windows of one corpus of prose (``benchmarks/spans.py``): a million spans take seconds.

Files have the sizes and the row groups that commits and compaction leave: a file a day up to ``FULL_BYTES``, in which
each row group is what came in some hours, sorted by config and session.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.spans import corpus_bytes
from schemas.exposures import EXPOSURES
from schemas.spans import SPANS
from schemas.table import TIMESTAMP, Table
from schemas.tables import TABLES
from storage.lake import Lake
from storage.parquet import write_file
from storage.rollup import added, rollup_of_each

CONFIGS = 10
CUSTOMERS_A_SESSION = 0.3
SPANS_A_TRACE = (1, 3, 5, 7)
TRACE_WEIGHTS = (0.25, 0.35, 0.25, 0.15)
# A log segment of 64 MB as it comes, or what compaction takes into memory at a time.
ROW_GROUP_ROWS = 46_000
# What compaction calls full, at about 370 bytes a span.
FILE_ROWS = 350_000
INPUT_BYTES, OUTPUT_BYTES = 700, 400
ERROR_SHARE = 0.03
MODELS = (
    ("openai", "gpt-4o", 2.5e-6, 1e-5),
    ("openai", "gpt-4o-mini", 1.5e-7, 6e-7),
    ("anthropic", "claude-3-5-sonnet-20241022", 3e-6, 1.5e-5),
    ("google", "gemini-2.0-flash", 1e-7, 4e-7),
    ("openai", "gpt-4.1", 2e-6, 8e-6),
)
TOOLS = ("search_orders", "refund", "weather", "lookup_customer")
TIERS = ("free", "pro", "max")
TAGS = ("beta", "web", "mobile", "internal")
ERRORS = ("RateLimitError", "APITimeoutError", "BadRequestError")
_AGENT, _MODEL, _TOOL = range(3)
_DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Plan:
    """What is generated: so many spans and sessions, spread evenly over the days up to ``last``."""

    spans: int
    sessions: int
    days: int
    last: date
    project: str = "default"

    @property
    def dates(self) -> list[date]:
        """The days, oldest first."""
        return [self.last - timedelta(days=back) for back in range(self.days - 1, -1, -1)]


def config_key(number: int) -> str:
    """Return the key of a config."""
    return f"experiment-{number:02d}"


def document() -> dict[str, Any]:
    """Return the configs, as ``POST /apply`` takes them: each a test of two models at even weights."""
    return {
        "configs": [
            {
                "key": config_key(number),
                "variants": [{"model": "gpt-4o", "weight": 50}, {"model": "gpt-4o-mini", "weight": 50}],
            }
            for number in range(CONFIGS)
        ]
    }


def generate(lake_directory: Path, plan: Plan) -> Iterator[tuple[date, int]]:
    """Write the lake, a day at a time; yield each day with its number of spans. It has nothing before."""
    lake = Lake(lake_directory)
    for table in TABLES:
        lake.create(table)
    generator = np.random.default_rng(7)
    for place, day in enumerate(plan.dates):
        of_day = _Day(plan, place, day, generator)
        rollups = []
        for start in range(0, of_day.count, FILE_ROWS):
            chunks = []
            for offset in range(start, min(start + FILE_ROWS, of_day.count), ROW_GROUP_ROWS):
                rows = of_day.spans(offset, min(ROW_GROUP_ROWS, start + FILE_ROWS - offset, of_day.count - offset))
                rollups.append(rollup_of_each(rows))
                chunks.append(rows)
            add(lake, SPANS, day, chunks)
        add(lake, TABLES_BY_NAME["session_rollup"], day, [added(pa.concat_tables(rollups))])
        add(lake, EXPOSURES, None, [of_day.exposures()])
        yield day, of_day.count


TABLES_BY_NAME = {table.name: table for table in TABLES}


def add(lake: Lake, table: Table, day: date | None, chunks: list[pa.Table]) -> None:
    """Commit the chunks as one file, each of them a row group."""
    partition = {"date": day.isoformat()} if day else {}
    with lake.writing(table, partition, partial(write_file, table=table, chunks=chunks)) as file:
        lake.replace(table, [], [file], operation="WRITE", data_change=True)


class _Day:
    """One day's traces: which session, when, how many spans; the rows are made of it a chunk at a time."""

    def __init__(self, plan: Plan, place: int, day: date, generator: np.random.Generator) -> None:
        self._plan, self._day, self._generator = plan, day, generator
        self.count = plan.spans // plan.days
        sessions = max(plan.sessions // plan.days, 1)
        self._sessions = np.arange(sessions) + place * sessions
        sizes = generator.choice(SPANS_A_TRACE, self.count, p=TRACE_WEIGHTS)
        ends = np.cumsum(sizes)
        traces = int(np.searchsorted(ends, self.count)) + 1
        day_ns = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**9
        of_trace = generator.integers(0, sessions, traces)
        session_starts = generator.integers(0, _DAY_NS - 2 * 3600 * 10**9, sessions)
        starts = day_ns + session_starts[of_trace] + generator.integers(0, 3600 * 10**9, traces)
        order = np.argsort(starts)
        # A row is a place in its trace; traces come in the order of time.
        self._session_of_trace, self._start_of_trace = of_trace[order], starts[order]
        self._size_of_trace = sizes[:traces]
        self._trace_of_row = np.repeat(np.arange(traces), self._size_of_trace)[: self.count]
        begins = np.concatenate(([0], np.cumsum(self._size_of_trace)[:-1]))
        self._place_of_row = np.arange(self.count) - begins[self._trace_of_row]
        self._begin_of_row = begins[self._trace_of_row]
        self._trace_ids = _hex(generator, traces, 16)
        self._span_ids = _hex(generator, self.count, 8)

    def exposures(self) -> pa.Table:
        """Return one exposure a session, as a published client reports it: by the hash."""
        from fallom.assignment import bucket

        names = [f"session-{number}" for number in self._sessions]
        index = np.array([0 if bucket(name) < 500_000 else 1 for name in names])
        count = len(names)
        models = np.array(["gpt-4o", "gpt-4o-mini"])
        start = datetime(self._day.year, self._day.month, self._day.day, tzinfo=UTC)
        return rows_of(
            EXPOSURES,
            count,
            {
                "project": [self._plan.project] * count,
                "config_key": [config_key(number % CONFIGS) for number in self._sessions],
                "config_version": [1] * count,
                "session_id": names,
                "assigned_model": models[index],
                "variant_index": index,
                "reason": ["weight"] * count,
                "source": ["sessions_api"] * count,
                "event_time": [start] * count,
                "received_at": [start] * count,
                "computed_variant_index": index,
                "computed_model": models[index],
                "computed_reason": ["weight"] * count,
                "content_hash": self._sessions,
            },
        )

    def spans(self, offset: int, count: int) -> pa.Table:
        """Return some of the day's spans, in the order in which they came."""
        generator = self._generator
        rows = slice(offset, offset + count)
        trace, place, begin = self._trace_of_row[rows], self._place_of_row[rows], self._begin_of_row[rows]
        session = self._sessions[self._session_of_trace[trace]]
        kind = np.where(place == 0, np.where(self._size_of_trace[trace] == 1, _MODEL, _AGENT), 2 - place % 2)
        model = session * 7919 % 97 % len(MODELS)
        is_model, is_root = kind == _MODEL, place == 0
        tokens = generator.integers(20, 3_000, (2, count))
        cached = np.where(generator.random(count) < 0.3, tokens[0] // 2, 0)
        cost = tokens[0] * _of_model(2)[model] + tokens[1] * _of_model(3)[model]
        length = generator.lognormal(20.4, 0.7, count).astype(np.int64)
        start = self._start_of_trace[trace] + place * 800_000_000
        duration = np.where(kind == _AGENT, self._size_of_trace[trace] * 900_000_000 + length // 4, length)
        failed = generator.random(count) < ERROR_SHARE
        tool = generator.integers(0, len(TOOLS), count)
        names = np.array(["agent", "chat", "tool"])
        status = np.where(failed, "error", "ok")
        models, providers = np.array([model[1] for model in MODELS]), np.array([model[0] for model in MODELS])
        microseconds = start // 1000
        columns: dict[str, Any] = {
            "project": np.full(count, self._plan.project),
            "date": pa.array([self._day] * count, pa.date32()),
            "trace_id": self._trace_ids.take(pa.array(trace)),
            "span_id": self._span_ids.slice(offset, count),
            "parent_span_id": _where(self._span_ids.take(pa.array(begin)), ~is_root),
            "name": np.where(kind == _TOOL, np.array(TOOLS)[tool], names[kind]),
            "kind": np.where(is_model, "client", "internal"),
            "start_time": pa.array(microseconds).view(TIMESTAMP),
            "start_time_unix_nano": start,
            "duration_ns": duration,
            "status_code": status,
            "status_message": _where(np.full(count, "the provider has refused the call"), failed),
            "service_name": np.full(count, "benchmark"),
            "scope_name": np.full(count, "opentelemetry.instrumentation.openai.v1"),
            "config_key": np.array([config_key(number) for number in range(CONFIGS)])[session % CONFIGS],
            "session_id": pa.array([f"session-{number}" for number in session]),
            "customer_id": pa.array([f"customer-{number}" for number in (session * CUSTOMERS_A_SESSION).astype(int)]),
            "operation": names[kind],
            "is_inference": is_model,
            "provider": _where(providers[model], is_model),
            "request_model": _where(models[model], is_model),
            "response_model": _where(models[model], is_model),
            "input_tokens": _where(tokens[0], is_model),
            "output_tokens": _where(tokens[1], is_model),
            "total_tokens": _where(tokens.sum(axis=0), is_model),
            "uncached_input_tokens": _where(tokens[0] - cached, is_model),
            "cache_read_tokens": _where(cached, is_model),
            "visible_output_tokens": _where(tokens[1], is_model),
            "computed_cost": _where(cost, is_model),
            "cost": _where(cost, is_model),
            "price_source": _where(np.full(count, "genai-prices"), is_model),
            "time_to_first_token_ns": _where(duration // 5, is_model),
            "is_streaming": _where(tokens[0] % 2 == 0, is_model),
            "tool_name": _where(np.array(TOOLS)[tool], kind == _TOOL),
            "error_type": _where(np.array(ERRORS)[tool % len(ERRORS)], failed),
            "input": _where(_messages(generator, count, "user", INPUT_BYTES), is_model),
            "output": _where(_messages(generator, count, "assistant", OUTPUT_BYTES), is_model),
            "tags": pa.array([[TAGS[number % 4]] for number in session], pa.list_(pa.string())),
            "metadata": np.array([f'{{"tier":"{tier}","region":"eu"}}' for tier in ("free", "pro", "max")])[
                session % 3
            ],
            "attributes": pa.array([f'{{"gen_ai.response.id":"chatcmpl-{number}"}}' for number in microseconds]),
            "promoted": np.full(count, '{"config_key":"fallom.config_key","session_id":"fallom.session_id"}'),
            "resource_attributes": np.full(count, '{"service.name":"benchmark"}'),
            "received_at": pa.array(microseconds + 5_000_000 + np.arange(count) % 7).view(TIMESTAMP),
            "content_hash": generator.integers(-(2**63), 2**63 - 1, count),
        }
        return rows_of(SPANS, count, columns)


def _of_model(place: int) -> NDArray[np.float64]:
    return np.array([model[place] for model in MODELS])


def _where(values: Any, mask: NDArray[np.bool_]) -> pa.Array:
    array = values if isinstance(values, pa.Array) else pa.array(values)
    return pa.compute.if_else(pa.array(mask), array, pa.scalar(None, array.type))


def _messages(generator: np.random.Generator, count: int, role: str, size_bytes: int) -> pa.Array:
    """Return so many JSON lists of one message each, of prose from random places."""
    before, after = f'[{{"role":"{role}","content":"'.encode(), b'"}]'
    corpus = corpus_bytes()
    windows = np.lib.stride_tricks.sliding_window_view(corpus, size_bytes)
    prose = windows[generator.integers(0, corpus.size - size_bytes, count)]
    width = len(before) + size_bytes + len(after)
    data = np.empty((count, width), np.uint8)
    data[:, : len(before)] = np.frombuffer(before, np.uint8)
    data[:, len(before) : -len(after)] = prose
    data[:, -len(after) :] = np.frombuffer(after, np.uint8)
    return _strings(data)


def _hex(generator: np.random.Generator, count: int, size_bytes: int) -> pa.Array:
    digits = generator.bytes(count * size_bytes).hex().encode()
    return _strings(np.frombuffer(digits, np.uint8).reshape(count, 2 * size_bytes))


def _strings(data: NDArray[np.uint8]) -> pa.Array:
    """Return the rows of a matrix of characters as texts."""
    count, width = data.shape
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data)))


def rows_of(table: Table, count: int, columns: dict[str, Any]) -> pa.Table:
    """Return rows of the table; columns that are not given are NULL."""
    arrays = [
        (values if isinstance(values, pa.Array) else pa.array(values)).cast(field.type)
        if (values := columns.get(field.name)) is not None
        else pa.nulls(count, field.type)
        for field in table.schema
    ]
    return pa.Table.from_arrays(arrays, schema=table.schema)
