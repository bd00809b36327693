"""What lists of traces and sessions are asked for, and what they answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.api.query_moment import Moment

TEXT_CHARACTERS_MAX = 1000
VALUES_MAX = 10
LIMIT_DEFAULT, LIMIT_MAX = 50, 500
CURSOR_CHARACTERS_MAX = 2000

Sort = Literal["time", "duration", "cost", "tokens"]
Order = Literal["desc", "asc"]
Status = Literal["ok", "error", "unset"]


def _printable(text: str) -> str:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("text without NUL and without halves of characters expected")
    return text


Text = Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS_MAX), AfterValidator(_printable)]
Amount = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


class SpanFilter(BaseModel):
    """Which spans are meant: all that is given must hold for one. A trace or session is meant by any of its spans."""

    model_config = ConfigDict(extra="forbid")

    config: Text | None = Field(None, description="The key of a config.", examples=["support-agent"])
    variant: Text | None = Field(
        None,
        description="A variant of that config, by its index or its name: spans of sessions that were exposed to it. "
        "Needs `config`.",
        examples=["1", "gpt-4o-mini"],
    )
    model: Text | None = Field(None, description="The model that answered, or that was asked.", examples=["gpt-4o"])
    provider: Text | None = Field(None, description="Who served the model.", examples=["openai"])
    status: Status | None = Field(None, description="The span's status.")
    customer: Text | None = Field(None, description="The customer, as the client names them.", examples=["user-42"])
    session: Text | None = Field(None, description="The session.", examples=["conversation-1"])
    name: Text | None = Field(None, description="The span's name.", examples=["chat gpt-4o"])
    operation: Text | None = Field(None, description="What the span is: chat, tool, …", examples=["chat"])
    error_type: Text | None = Field(None, description="The class of the error.", examples=["RateLimitError"])
    tag: list[Text] = Field([], max_length=VALUES_MAX, description="A tag; several: all of them.", examples=[["beta"]])
    metadata: list[Text] = Field(
        [],
        max_length=VALUES_MAX,
        description="A field of the metadata and its value, `key=value`; several: all of them.",
        examples=[["tier=pro"]],
    )
    text: Text | None = Field(
        None, description="Words in the input or the output, in any case of letters.", examples=["refund"]
    )

    @field_validator("metadata")
    @classmethod
    def _check_metadata(cls, values: list[str]) -> list[str]:
        for value in values:
            if value.find("=") < 1:
                raise ValueError(f"key=value expected, got {value[:80]!r}")
        return values

    @model_validator(mode="after")
    def _check_variant(self) -> SpanFilter:
        if self.variant is not None and self.config is None:
            raise ValueError("variant is one of a config: name that by config=…")
        return self


class ListQuery(SpanFilter):
    """The query of a list."""

    # `from` is no name in Python.
    started_from: Moment | None = Field(
        None, alias="from", description="Began at this time or later, ISO 8601.", examples=["2026-11-01T00:00:00Z"]
    )
    started_to: Moment | None = Field(
        None, alias="to", description="Began before this time.", examples=["2026-11-22T00:00:00Z"]
    )
    duration_min_ms: Amount | None = Field(None, description="Took at least so long, from first start to last end.")
    duration_max_ms: Amount | None = Field(None, description="Took at most so long.")
    cost_min: Amount | None = Field(None, description="Cost at least so much, USD.")
    cost_max: Amount | None = Field(None, description="Cost at most so much, USD; not where it is unknown.")
    sort: Sort = Field("time", description="What the order goes by.")
    order: Order = Field("desc", description="Greatest first, or least.")
    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX, description="How many rows a page has at most.")
    cursor: str | None = Field(
        None,
        max_length=CURSOR_CHARACTERS_MAX,
        description="`next_cursor` of the page before; all else as it was there, but for `limit` and `totals`.",
    )
    totals: bool = Field(True, description="Whether to add up all that is meant, beyond the page.")

    @model_validator(mode="after")
    def _check_bounds(self) -> ListQuery:
        for least, greatest, low, high in (
            (self.started_from, self.started_to, "from", "to"),
            (self.duration_min_ms, self.duration_max_ms, "duration_min_ms", "duration_max_ms"),
            (self.cost_min, self.cost_max, "cost_min", "cost_max"),
        ):
            if least is not None and greatest is not None and least > greatest:  # type: ignore[operator]
                raise ValueError(f"{low} is {least}, which is beyond {high}, {greatest}")
        return self


class Tokens(BaseModel):
    """Sums over the calls to models; null where no call has the count."""

    input: int | None
    output: int | None
    total: int | None
    uncached_input: int | None
    cache_read: int | None
    cache_write: int | None
    visible_output: int | None
    reasoning: int | None


class SpanError(BaseModel):
    """What went wrong first."""

    type: str | None
    message: str | None


class _Row(BaseModel):
    config_key: str | None
    session_id: str | None
    customer_id: str | None
    start_time: str
    duration_ms: float = Field(description="From the first start to the last end.")
    models: list[str] = Field(description="Of the calls, ten at most.")
    spans: int
    errors: int = Field(description="Spans that failed.")
    calls: int = Field(description="Leaf calls to a model: of these are tokens and cost.")
    tokens: Tokens
    cost: float | None = Field(description="USD, of the calls whose cost is known; null where none is.")
    unpriced_calls: int = Field(description="Calls that succeeded, and whose cost is not known.")
    time_to_first_token_ms: float | None = Field(description="Of the first call.")
    error: SpanError | None
    tags: list[str]
    input_preview: str | None
    output_preview: str | None


class TraceRow(_Row):
    """A trace in a list."""

    trace_id: str
    span_id: str = Field(description="The head: the first root, or where there is none the first span.")
    name: str | None = Field(description="The head's.")
    operation: str | None = Field(description="The head's.")
    status: str | None = Field(description="The head's.")
    model: str | None = Field(description="Of the first call.")
    provider: str | None = Field(description="Of the first call.")


class SessionRow(_Row):
    """A session in a list."""

    traces: int


class Totals(BaseModel):
    """Sums over all that is meant, as far as the time allowed."""

    count: int
    errors: int = Field(description="Spans that failed.")
    spans: int
    calls: int
    tokens: Tokens
    cost: float | None
    unpriced_calls: int
    complete: bool = Field(description="Whether all was added up before the time was over.")
    since: str | None = Field(description="Where not: from when on it is; ask again for more.")


class TracePage(BaseModel):
    """A page of traces. Without `next_cursor` there are no more."""

    traces: list[TraceRow]
    next_cursor: str | None
    searched_until: datetime | None = Field(
        description="Where the search ended before the page was full: up to when it has come. It goes on there."
    )
    totals: Totals | None


class SessionPage(BaseModel):
    """A page of sessions. Without `next_cursor` there are no more."""

    sessions: list[SessionRow]
    next_cursor: str | None
    searched_until: datetime | None = Field(
        description="Where the search ended before the page was full: up to when it has come. It goes on there."
    )
    totals: Totals | None


class Message(BaseModel):
    """What was said, in one shape whatever the provider's."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: str | None


class Step(BaseModel):
    """A part of the critical path, ms from the trace's start."""

    span_id: str
    start_ms: float
    end_ms: float


class TraceSpan(BaseModel):
    """A span: its columns, and what follows from its place in the trace."""

    model_config = ConfigDict(extra="allow")

    span_id: str | None
    parent_span_id: str | None
    depth: int
    children: list[str] = Field(description="Span ids, by start.")
    is_orphan: bool = Field(description="It names a parent that is not there, or is itself within its own children.")
    offset_ms: float = Field(description="From the trace's start, after correction of the clock.")
    clock_skew_ms: float = Field(description="By how much its clock was corrected.")
    self_time_ms: float | None = Field(description="Time in which none of its children ran.")
    time_to_first_token_ms: float | None
    phases: list[dict[str, Any]] | None
    input_messages: list[Message] | None
    output_messages: list[Message] | None


class Trace(BaseModel):
    """A trace as a tree: spans by start; `roots` and each span's `children` are the tree."""

    trace_id: str
    start_time: str
    duration_ms: float
    roots: list[str]
    critical_path: list[Step] = Field(description="What the end-to-end duration is made of, by time.")
    truncated: bool = Field(description="Whether it has more spans than are answered.")
    spans: list[TraceSpan]


class Turn(BaseModel):
    """Something said in a session, at its first appearance."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: str | None
    trace_id: str
    span_id: str
    time: str | None


class Session(BaseModel):
    """A session as a conversation."""

    model_config = ConfigDict(extra="allow")

    session_id: str
    summary: SessionRow | None = Field(description="null where it has no span.")
    turns: list[Turn]
    calls: list[dict[str, Any]]
    metrics: list[dict[str, Any]]
    exposures: list[dict[str, Any]]
    truncated: bool


class ExportQuery(SpanFilter):
    """The query of an export: which spans, and as what."""

    started_from: Moment | None = Field(
        None, alias="from", description="Began at this time or later, ISO 8601.", examples=["2026-11-01T00:00:00Z"]
    )
    started_to: Moment | None = Field(
        None, alias="to", description="Began before this time.", examples=["2026-11-22T00:00:00Z"]
    )
    format: Literal["jsonl", "parquet"] = Field("jsonl", description="A JSON object a line, or a Parquet file.")

    @model_validator(mode="after")
    def _check_range(self) -> ExportQuery:
        if self.started_from is not None and self.started_to is not None and self.started_from > self.started_to:
            raise ValueError(f"from is {self.started_from}, which is beyond to, {self.started_to}")
        return self
