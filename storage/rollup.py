"""Spans to session rollup: the additive sums of one batch of spans, and how such sums are added and taken away.

Theory of operation. Rows are of one group where all their keys are alike. Nine keys, most of them texts, are first made
one number: the values of a column become codes, and the codes of a row the digits of its number. What is left is to add
up columns by one column of integers. Polars, which also finds the groups from the texts, takes 1.6 times as long, in
threads of its own.
"""

from collections.abc import Mapping
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.session_rollup import ROLLUP_KEYS, SESSION_ROLLUP
from schemas.spans import SPANS
from storage.parquet import without_duplicates

_FIRST, _LAST = "first_time", "last_time"
_ADDITIVE = tuple(name for name in SESSION_ROLLUP.schema.names if name not in (*ROLLUP_KEYS, _FIRST, _LAST))
_SPAN_KEYS = tuple(name for name in ROLLUP_KEYS if name != "model")
# The totals, and the disjoint buckets that sum to them.
_TOKENS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "visible_output_tokens",
    "reasoning_tokens",
)
_SPAN_COLUMNS = (
    *_SPAN_KEYS,
    "request_model",
    "response_model",
    "status_code",
    "duration_ns",
    "time_to_first_token_ns",
    *_TOKENS,
    "cost",
    "start_time",
)
ROLLUP_SOURCE = tuple(dict.fromkeys((*SPANS.identity, *_SPAN_COLUMNS, "is_inference")))
"""The columns of spans that ``session_rollup`` looks at."""
_NUMBERS_MAX = 2**62
_NS_A_MS = 1e6
_OF_NOTHING_0 = pc.ScalarAggregateOptions(min_count=0)

_Columns = Mapping[str, pa.ChunkedArray]


def session_rollup(spans: pa.Table) -> pa.Table:
    """Return the rollup rows of the leaf calls to a model among ``spans`` that belong to a session.

    A span that is there twice counts once, as it is stored once.
    """
    return rollup_of_each(without_duplicates(spans, SPANS.identity))


def rollup_of_each(spans: pa.Table) -> pa.Table:
    """Return the rollup rows of the spans, a duplicate counted like any other."""
    calls = _calls(spans)
    return _sums(
        {
            **{name: calls[name] for name in _SPAN_KEYS},
            "model": pc.coalesce(calls["response_model"], calls["request_model"]),
            **_measures(calls),
            _FIRST: calls["start_time"],
            _LAST: calls["start_time"],
        }
    )


def added(rollups: pa.Table) -> pa.Table:
    """Return the rollup rows with those of the same keys added up; without those that add nothing.

    One of no call may add something: a call, less another one whose own row is not among these.
    """
    sums = _sums({name: rollups[name] for name in SESSION_ROLLUP.schema.names})
    return sums.filter(reduce(pc.or_, (pc.not_equal(sums[name], 0) for name in _ADDITIVE)))


def negated(rollups: pa.Table) -> pa.Table:
    """Return what takes the rows away when it is added to them; their times stay, since bounds can't be taken away."""
    columns = [pc.negate(rollups[name]) if name in _ADDITIVE else rollups[name] for name in SESSION_ROLLUP.schema.names]
    return pa.Table.from_arrays(columns, schema=SESSION_ROLLUP.schema)


def _calls(spans: pa.Table) -> pa.Table:
    """Return the leaf calls to a model that belong to a session."""
    belongs = pc.and_(spans["session_id"].is_valid(), spans["config_key"].is_valid())
    mask = pc.and_(belongs, spans["is_inference"].fill_null(False))
    calls = spans.select(_SPAN_COLUMNS)
    return calls if pc.all(mask, min_count=0).as_py() else calls.filter(mask)


def _measures(calls: pa.Table) -> _Columns:
    """Return what each call adds to the sums."""
    has_failed = pc.equal(calls["status_code"], "error").fill_null(False)
    latency_ms = pc.divide(calls["duration_ns"].cast(pa.float64(), safe=False), _NS_A_MS)
    first_token_ms = pc.divide(calls["time_to_first_token_ns"].cast(pa.float64(), safe=False), _NS_A_MS)
    return {
        "calls": pa.chunked_array([np.ones(calls.num_rows, np.int64)]),
        "errors": _one_where(has_failed),
        "latency_count": _one_where(latency_ms.is_valid()),
        "latency_ms_sum": latency_ms,
        "latency_ms_sumsq": pc.multiply(latency_ms, latency_ms),
        "time_to_first_token_count": _one_where(first_token_ms.is_valid()),
        "time_to_first_token_ms_sum": first_token_ms,
        "time_to_first_token_ms_sumsq": pc.multiply(first_token_ms, first_token_ms),
        "tokens_count": _one_where(calls["total_tokens"].is_valid()),
        **{name: calls[name] for name in _TOKENS},
        "cost_count": _one_where(calls["cost"].is_valid()),
        "cost_sum": calls["cost"],
        # A call that failed without a cost had none: its session's cost is known all the same.
        "unpriced_count": _one_where(pc.and_(calls["cost"].is_null(), pc.invert(has_failed))),
    }


def _one_where(flags: pa.ChunkedArray) -> pa.ChunkedArray:
    return flags.cast(pa.int64())


def _sums(columns: _Columns) -> pa.Table:
    """Return one rollup row for all rows of the same keys."""
    group = _numbers([columns[name] for name in ROLLUP_KEYS])
    values = {name: columns[name] for name in (*_ADDITIVE, _FIRST, _LAST)}
    rows = pa.table({"group": group, "place": np.arange(len(group)), **values})
    sums = [(name, "sum", _OF_NOTHING_0) for name in _ADDITIVE]
    found = rows.group_by("group", use_threads=False).aggregate(
        [("place", "min"), *sums, (_FIRST, "min"), (_LAST, "max")]
    )
    made = {
        **{name: columns[name].take(found["place_min"]) for name in ROLLUP_KEYS},
        **{name: found[f"{name}_sum"] for name in _ADDITIVE},
        _FIRST: found[f"{_FIRST}_min"],
        _LAST: found[f"{_LAST}_max"],
    }
    return pa.Table.from_arrays(
        [made[field.name].cast(field.type) for field in SESSION_ROLLUP.schema], schema=SESSION_ROLLUP.schema
    )


def _numbers(keys: list[pa.ChunkedArray]) -> NDArray[np.int64]:
    """Return a number a row, the same one for rows whose keys are alike."""
    numbers, size = np.zeros(len(keys[0]), np.int64), 1
    for column in keys:
        if column.null_count < len(column):
            codes, count = _codes(column)
            if size * count > _NUMBERS_MAX:
                numbers, size = _codes(pa.chunked_array([numbers]))
            numbers, size = numbers * count + codes, size * count
    return numbers


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], int]:
    """Return a code a row, the same one for the same value or NULL, and how many there are."""
    # One dictionary is made for all chunks. To unify those of several is refused where NULL is in them.
    coded = pc.dictionary_encode(column, null_encoding="encode").combine_chunks()
    return coded.indices.to_numpy().astype(np.int64), len(coded.dictionary)
