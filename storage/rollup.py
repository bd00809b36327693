"""Spans to session rollup: the additive sums of one batch of spans."""

import polars as pl
import pyarrow as pa

from schemas.session_rollup import ROLLUP_KEYS, SESSION_ROLLUP

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


def session_rollup(spans: pa.Table) -> pa.Table:
    """Return the rollup rows of the leaf calls to a model among ``spans`` that belong to a session."""
    frame = pl.from_arrow(spans)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - from_arrow of a table is a frame; the type checker can't know
    sums = (
        frame.filter(pl.col("is_inference") & pl.col("session_id").is_not_null() & pl.col("config_key").is_not_null())
        .with_columns(pl.coalesce("response_model", "request_model").alias("model"))
        .group_by(ROLLUP_KEYS)
        .agg(_SUMS)
        .select(SESSION_ROLLUP.schema.names)
    )
    return sums.to_arrow().cast(SESSION_ROLLUP.schema)
