"""What lists of an experiment's sessions are asked for."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.api.query_moment import Moment
from schemas.api.traces import CURSOR_CHARACTERS_MAX, LIMIT_DEFAULT, Text

PAGE_MAX = 5_000
"""Each page is a reading of all sessions."""

Label = Literal[
    "randomised", "model_mismatch", "targeted", "forced", "fallback", "stale_version", "crossover", "outside_traffic",
    "by_request", "outside_window", "missing_exposure",
]  # fmt: skip
Sort = Literal["worst", "best", "time"]


class ExperimentSessionsQuery(BaseModel):
    """The query of such a list."""

    model_config = ConfigDict(extra="forbid")

    variant: Text | None = Field(None, description="The key of a variant.", examples=["gpt-4o"])
    label: Label | None = Field(None, description="Why a session counts or not; those that count if absent.")
    metric: Text | None = Field(
        None, description="The metric whose value of each session is told.", examples=["latency_ms"]
    )
    sort: Sort | None = Field(
        None, description="By the metric's value, worst or best first, or by the first exposure, latest first."
    )
    epoch: int | None = Field(None, ge=1, le=2**31, description="A weight epoch, as in the results.")
    version: int | None = Field(None, ge=1, le=2**31, description="A config version, as in the results.")
    as_of: Moment | None = Field(None, description="What had happened before, as in the results; now if absent.")
    limit: int = Field(LIMIT_DEFAULT, ge=1, le=PAGE_MAX, description="How many rows a page has at most.")
    cursor: str | None = Field(
        None,
        max_length=CURSOR_CHARACTERS_MAX,
        description="`next_cursor` of the page before; all else as it was there, but for `limit`.",
    )
