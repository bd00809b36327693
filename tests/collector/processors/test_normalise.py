"""The columns that follow from others: operation, leaf calls, provider, streaming."""

from __future__ import annotations

from typing import Any

import pytest
from collector_inputs import batch
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.processors.columns import FEW
from collector.processors.normalise import normalise
from collector.promote import COUNT_MAX
from schemas.spans import SPANS

COUNTS = st.none() | st.integers(0, COUNT_MAX)


def normalised(**columns: Any) -> dict[str, Any]:
    (row,) = normalise(batch("spans", [columns])).to_pylist()
    return row


@pytest.mark.parametrize(
    ("columns", "operation"),
    [
        ({}, None),
        ({"request_model": "m"}, "llm"),
        ({"response_model": "m"}, "llm"),
        ({"response_model": "m", "operation": "agent"}, "agent"),
    ],
)
def test_a_span_with_a_model_is_a_call_to_it_unless_it_says_what_it_is(
    columns: dict[str, str], operation: str | None
) -> None:
    assert normalised(**columns)["operation"] == operation


@pytest.mark.parametrize(
    ("operation", "is_inference"),
    [
        ("llm", True),
        ("LLM", True),
        ("chat", True),
        ("text_completion", True),
        ("generate_content", True),
        ("EMBEDDING", True),
        ("embeddings", True),
        ("RERANKER", True),
        ("CHAT_MODEL", True),
        ("model_generation", True),
        ("tool_selection", True),
        ("ai.rerank.doRerank", True),
        ("model_step", False),
        ("model_chunk", False),
        ("agent_run", False),
        ("agent.run", False),
        ("tool.execute", False),
        ("execute_tool", False),
        ("invoke_workflow", False),
        ("ai.rerank", False),
        ("ai.embedMany", False),
        ("ai.toolCall", False),
        ("span", False),
        ("ai.generateText.doGenerate", True),
        ("ai.streamText.doStream", True),
        ("ai.embed.doEmbed", True),
        ("generation", True),
        ("workflow_run", False),
        ("ai.streamText", False),
        ("RETRIEVER", False),
        ("EVALUATOR", False),
        ("task", False),
        ("prompt", False),
        ("ai.generateText", False),
        ("invoke_agent", False),
        ("CHAIN", False),
        ("AGENT", False),
        ("tool", False),
        ("workflow", False),
        ("retrieval", False),
        ("custom", False),
        (None, False),
    ],
)
def test_only_leaf_calls_count(operation: str | None, is_inference: bool) -> None:
    assert normalised(operation=operation)["is_inference"] is is_inference


@pytest.mark.parametrize(
    ("columns", "provider"),
    [
        ({"response_model": "gpt-4o-2024-08-06"}, "openai"),
        ({"request_model": "claude-3-5-sonnet-20241022"}, "anthropic"),
        ({"request_model": "models/gemini-1.5-flash"}, "google"),
        ({"request_model": "grok-4"}, "x-ai"),
        ({"request_model": "gpt-4o", "provider": "azure"}, "azure"),
        ({"request_model": "gpt-4o", "response_model": "claude-3"}, "anthropic"),
        ({"request_model": "my-own-model"}, None),
        ({}, None),
    ],
)
def test_a_provider_is_inferred_from_the_model_where_none_is_named(
    columns: dict[str, str], provider: str | None
) -> None:
    assert normalised(**columns)["provider"] == provider


@pytest.mark.parametrize(
    ("columns", "is_streaming"),
    [
        ({}, None),
        ({"time_to_first_token_ns": 5}, True),
        ({"operation": "ai.streamText.doStream"}, True),
        ({"operation": "ai.generateText.doGenerate"}, None),
        ({"is_streaming": False, "time_to_first_token_ns": 5}, False),
    ],
)
def test_a_time_to_the_first_token_shows_a_stream_unless_the_client_says_otherwise(
    columns: dict[str, Any], is_streaming: bool | None
) -> None:
    assert normalised(**columns)["is_streaming"] is is_streaming


def test_each_row_of_a_batch_is_judged_by_itself() -> None:
    rows = [{"request_model": "gpt-4o"}, {}, {"operation": "tool"}]

    found = normalise(batch("spans", rows)).to_pylist()

    assert [row["operation"] for row in found] == ["llm", None, "tool"]
    assert [row["provider"] for row in found] == ["openai", None, None]


ROWS = st.fixed_dictionaries(
    {},
    optional={
        "operation": st.sampled_from(["llm", "CHAT", "agent", "ai.streamText.doStream"]) | st.text(max_size=5),
        "provider": st.sampled_from(["openai", "azure"]) | st.text(max_size=5),
        "response_model": st.sampled_from(["gpt-4o", "claude-3", "mine", ""]),
        "request_model": st.sampled_from(["gemini-2.5-pro", "grok-4", "mine"]),
        "is_streaming": st.booleans(),
        "time_to_first_token_ns": COUNTS,
    },
)


@settings(deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=15), st.sampled_from([1, 2 * FEW]), st.integers(0, 12))
def test_a_row_is_the_same_in_a_batch_in_a_part_of_it_and_alone(
    rows: list[dict[str, Any]], times: int, start: int
) -> None:
    spans = batch("spans", rows * times)

    alone = [normalised(**row) for row in rows] * times

    assert normalise(spans).to_pylist() == alone
    assert normalise(spans.slice(start)).to_pylist() == alone[start:]


@pytest.mark.parametrize("row_count", [0, 1, 100])
def test_a_normalised_batch_has_the_table_s_schema(row_count: int) -> None:
    spans = batch("spans", [{"request_model": "gpt-4o", "input_tokens": 1, "time_to_first_token_ns": 1}] * row_count)

    assert normalise(spans).schema.equals(SPANS.schema, check_metadata=True)


def test_an_empty_batch_stays_empty() -> None:
    assert normalise(batch("spans", [])).num_rows == 0
