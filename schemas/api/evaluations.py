"""What ``/api/sdk-evals`` takes, and what it and ``/api/evals`` answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field


class EvaluatedItem(BaseModel):
    """One output that was judged. A metric of your own goes into ``scores``."""

    model: str = Field(default="unknown", max_length=1000, examples=["production", "openai/gpt-4o"])
    is_production: bool = False
    input: str | None = Field(default=None, examples=["Where is my order?"])
    output: str | None = Field(default=None, examples=["It arrives tomorrow."])
    system_message: str | None = None
    expected_output: str | None = None
    context: list[Any] | None = Field(default=None, description="The documents that were given with it.")
    metadata: dict[str, Any] | None = Field(
        default=None,
        description="May name `trace_id`, `session_id`, `customer_id`, `config_key` and `variant`, as entries of "
        "datasets made from traces do; fields of the item itself win.",
        examples=[{"session_id": "conversation-1", "config_key": "my-agent"}],
    )
    answer_relevancy: float | None = Field(default=None, examples=[0.9])
    hallucination: float | None = None
    toxicity: float | None = None
    faithfulness: float | None = None
    completeness: float | None = None
    coherence: float | None = None
    bias: float | None = None
    scores: dict[str, float | None] | None = Field(
        default=None, description="Scores of further metrics, by their names.", examples=[{"brand_alignment": 0.7}]
    )
    reasoning: dict[str, Any] | None = Field(default=None, description="The judge's reason, by metric.")
    latency_ms: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = Field(default=None, description="USD.")


class EvaluationUpload(BaseModel):
    """A run and all that was judged in it, as the clients' ``evals`` upload it."""

    name: str = Field(min_length=1, max_length=1000, examples=["nightly"])
    description: str | None = Field(default=None, max_length=1000)
    judge_model: str | None = Field(default=None, max_length=1000, examples=["openai/gpt-4o-mini"])
    dataset_size: int | None = None
    dataset_key: str | None = Field(default=None, max_length=1000)
    dataset_version: int | None = None
    results: list[EvaluatedItem] = Field(min_length=1, max_length=10_000)


class UploadAnswer(BaseModel):
    """The run's id: the same for a run that is sent again."""

    run_id: str = Field(examples=["3f2a0c9b84d07e651f3a9c2b84d07e65"])


class Run(BaseModel):
    """One run."""

    run_id: str
    name: str | None
    description: str | None
    judge_model: str | None
    dataset_key: str | None
    dataset_version: int | None
    dataset_size: int | None = Field(description="How many distinct inputs, as the client counted.")
    models: list[str]
    items: int = Field(description="Items of all models.")
    errors: int = Field(description="Those of them for which the model gave no output.")
    received_at: datetime


class RunsAnswer(BaseModel):
    """Runs, newest first; ``next_before`` where there may be more."""

    runs: list[Run]
    next_before: datetime | None = Field(description="`before` of the next page; null at the end.")


class ScoreSummary(BaseModel):
    """What one model's scores of one metric come to."""

    model: str
    metric: str
    status: Literal["ok", "insufficient_data", "zero_variance", "no_data"]
    n: int = Field(description="Scores.")
    units: int = Field(description="Sessions and, of items that name none, items: what the interval is over.")
    failed: int = Field(description="Items for which the judge gave no score.")
    not_sent: int = Field(description="Items that were judged, and whose score the client did not send.")
    mean: float | None
    interval: list[float] | None = Field(description="Lower and upper bound; null unless the status is ok.")
    min: float | None
    max: float | None


class RunAnswer(Run):
    """One run, and what its scores come to."""

    confidence: float = Field(description="Of the intervals.", examples=[0.95])
    scores: list[ScoreSummary]


class ItemScore(BaseModel):
    """One score of an item."""

    metric: str
    score: float | None
    status: Literal["ok", "failed", "not_sent"]
    reasoning: str | None


class StoredItem(BaseModel):
    """One item as it is stored."""

    item: int = Field(description="Its place in the run, from 0.")
    model: str
    is_production: bool
    config_key: str | None
    variant: str | None
    trace_id: str | None
    session_id: str | None
    customer_id: str | None
    input: str | None
    output: str | None
    system_message: str | None
    expected_output: str | None
    context: Any
    metadata: Any
    error: str | None
    latency_ms: float | None
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    scores: list[ItemScore]


class ItemsAnswer(BaseModel):
    """Items in their order; ``next_first`` where there may be more."""

    run_id: str
    items: list[StoredItem]
    next_first: int | None = Field(description="`first` of the next page; null at the end.")
