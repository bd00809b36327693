"""Spans to session rollup: the additive sums of one batch of spans, and how such sums are added and taken away."""

import os

# Its threads wait for work by turning in circles: sums of a few columns are not worth a core.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import polars as pl
import pyarrow as pa

from schemas.session_rollup import ROLLUP_KEYS, SESSION_ROLLUP
from schemas.spans import SPANS
from storage.parquet import without_duplicates

_LATENCY_MS = pl.col("duration_ns") / 1e6
_FIRST_TOKEN_MS = pl.col("time_to_first_token_ns") / 1e6

_SUMS = (
    pl.len().cast(pl.Int64).alias("calls"),
    (pl.col("status_code") == "error").sum().cast(pl.Int64).alias("errors"),
    _LATENCY_MS.count().cast(pl.Int64).alias("latency_count"),
    _LATENCY_MS.sum().alias("latency_ms_sum"),
    (_LATENCY_MS**2).sum().alias("latency_ms_sumsq"),
    _FIRST_TOKEN_MS.count().cast(pl.Int64).alias("time_to_first_token_count"),
    _FIRST_TOKEN_MS.sum().alias("time_to_first_token_ms_sum"),
    (_FIRST_TOKEN_MS**2).sum().alias("time_to_first_token_ms_sumsq"),
    pl.col("total_tokens").count().cast(pl.Int64).alias("tokens_count"),
    pl.col("input_tokens").sum().alias("input_tokens"),
    pl.col("output_tokens").sum().alias("output_tokens"),
    pl.col("total_tokens").sum().alias("total_tokens"),
    pl.col("cost").count().cast(pl.Int64).alias("cost_count"),
    pl.col("cost").sum().alias("cost_sum"),
    # A call that failed without a cost had none: its session's cost is known all the same.
    (pl.col("cost").is_null() & (pl.col("status_code") != "error")).sum().cast(pl.Int64).alias("unpriced_count"),
    pl.col("start_time").min().alias("first_time"),
    pl.col("start_time").max().alias("last_time"),
)


_SPAN_COLUMNS = (
    *(name for name in ROLLUP_KEYS if name != "model"),
    "request_model",
    "response_model",
    "is_inference",
    "status_code",
    "duration_ns",
    "time_to_first_token_ns",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cost",
    "start_time",
)
_TIMES = ("first_time", "last_time")
_BOUNDS = (pl.col("first_time").min(), pl.col("last_time").max())
_ADDITIVE = tuple(name for name in SESSION_ROLLUP.schema.names if name not in (*ROLLUP_KEYS, *_TIMES))


def session_rollup(spans: pa.Table) -> pa.Table:
    """Return the rollup rows of the leaf calls to a model among ``spans`` that belong to a session.

    A span that is there twice counts once, as it is stored once.
    """
    return rollup_of_each(without_duplicates(spans, SPANS.identity))


def rollup_of_each(spans: pa.Table) -> pa.Table:
    """Return the rollup rows of the spans, a duplicate counted like any other."""
    calls = (
        _frame(spans.select(_SPAN_COLUMNS))
        .filter(pl.col("is_inference") & pl.col("session_id").is_not_null() & pl.col("config_key").is_not_null())
        .with_columns(pl.coalesce("response_model", "request_model").alias("model"))
    )
    return _table(calls.group_by(ROLLUP_KEYS).agg(_SUMS))


def added(rollups: pa.Table) -> pa.Table:
    """Return the rollup rows with those of the same keys added up; without those of which no call is left."""
    sums = _frame(rollups).group_by(ROLLUP_KEYS).agg(pl.col(_ADDITIVE).sum(), *_BOUNDS)
    return _table(sums.filter(pl.col("calls") != 0))


def negated(rollups: pa.Table) -> pa.Table:
    """Return what takes the rows away when it is added to them; their times stay, since bounds can't be taken away."""
    return _table(_frame(rollups).with_columns(-pl.col(_ADDITIVE)))


def _frame(rows: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - from_arrow of a table is a frame; the type checker can't know
    return frame


def _table(frame: pl.DataFrame) -> pa.Table:
    return frame.select(SESSION_ROLLUP.schema.names).to_arrow().cast(SESSION_ROLLUP.schema)
