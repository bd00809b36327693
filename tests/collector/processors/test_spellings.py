"""What calls cost under the names that clients give providers and models: what genai-prices' own `calc_price` says."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from collector_inputs import batch
from genai_prices import Usage, calc_price

from collector.processors.price import price

# As a client reports them, and the names by which genai-prices is asked where those are others.
NAMES: list[tuple[str | None, str, str | None, str]] = [
    *[
        (provider, model, provider, model)
        for provider, model in [
            ("openai", "gpt-4o"),
            ("openai", "gpt-4o-2024-08-06"),
            ("OpenAI", "gpt-4o-mini-2024-07-18"),
            ("openai", "o3"),
            ("openai.responses", "gpt-5-mini"),
            ("openai", "ft:gpt-4o-2024-08-06:acme::abc123"),
            ("openai", "text-embedding-3-small"),
            ("az.ai.openai", "gpt-4o"),
            ("azure", "gpt-4o-mini"),
            ("anthropic", "claude-3-5-sonnet-20241022"),
            ("anthropic.messages", "claude-sonnet-4-5-20250929"),
            ("anthropic", "claude-haiku-4-5"),
            ("aws.bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
            ("aws_bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0"),
            ("amazon-bedrock", "amazon.nova-lite-v1:0"),
            ("google", "gemini-2.5-pro"),
            ("gcp.gemini", "gemini-2.0-flash"),
            ("gcp.vertex_ai", "gemini-2.5-flash"),
            ("vertex_ai", "claude-3-5-sonnet@20241022"),
            ("google.generative-ai", "models/gemini-1.5-flash"),
            ("openrouter", "openai/gpt-4o"),
            ("openrouter", "anthropic/claude-3.5-sonnet"),
            ("openrouter", "google/gemini-2.5-flash"),
            ("litellm", "anthropic/claude-3-5-sonnet-20241022"),
            ("deepseek", "deepseek-chat"),
            ("groq", "llama-3.3-70b-versatile"),
            ("mistral_ai", "mistral-large-latest"),
            ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
            ("perplexity", "sonar-pro"),
            (None, "gpt-4o"),
            (None, "claude-3-5-haiku-20241022"),
        ]
    ],
    ("x_ai", "grok-3", "x-ai", "grok-3"),
    ("xai.chat", "grok-3", "x-ai", "grok-3"),
    ("groq.chat", "llama-3.3-70b-versatile", "groq", "llama-3.3-70b-versatile"),
    ("az.ai.inference", "gpt-4o", "azure", "gpt-4o"),
    ("gcp.gen_ai", "gemini-2.5-pro", "google", "gemini-2.5-pro"),
    ("google", "models/gemini-2.5-pro", "google", "gemini-2.5-pro"),
    ("gcp.vertex_ai", "publishers/google/models/gemini-2.5-pro", "google", "gemini-2.5-pro"),
    (None, "openai:gpt-4o", "openai", "gpt-4o"),
    (
        "together",
        "together:meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "together",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
    ),
    (
        "aws.bedrock",
        "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-3-5-sonnet-20241022-v2:0",
        "aws",
        "eu.anthropic.claude-3-5-sonnet-20241022-v2:0",
    ),
]
USAGES = [
    {"input_tokens": 1_234, "output_tokens": 567},
    {"input_tokens": 0, "output_tokens": 0},
    {"input_tokens": 250_001, "output_tokens": 8_192, "cache_read_tokens": 100_000},
    {"input_tokens": 20_000, "output_tokens": 1, "cache_read_tokens": 7_001, "cache_write_tokens": 5_003},
]
DATES = [datetime(2024, 12, 1, 3, tzinfo=UTC), datetime(2025, 6, 15, 17, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)]
TRIPLES = list(product(NAMES, USAGES, DATES))
# Names that nobody has a price for, or that may be those of somebody's own machine.
UNKNOWN = [
    ("openai", "our-deployment-7"),
    ("custom", "custom:gpt-4o"),
    (None, "custom:support-model"),
    ("ollama", "llama3:8b"),
    ("ollama", "mistral:7b"),
    ("vllm", "gpt-4o"),
    ("my-gateway", "openai:gpt-4o"),
    ("openai", "meta-llama/Llama-3.3-70B-Instruct"),
    (None, "together:"),
    ("", ""),
]


def call(provider: str | None, model: str, usage: dict[str, int], moment: datetime) -> dict[str, Any]:
    return {"is_inference": True, "provider": provider, "response_model": model, "start_time": moment, **usage}


def theirs(provider: str | None, model: str, usage: dict[str, int], moment: datetime) -> float | None:
    found = calc_price(Usage(**usage), model, provider_id=provider, genai_request_timestamp=moment)
    return float(found.total_price)


@pytest.mark.parametrize("rows_at_once", [1, len(TRIPLES)])
def test_calls_cost_what_genai_prices_says(rows_at_once: int) -> None:
    calls = [call(provider, model, usage, moment) for (provider, model, _, _), usage, moment in TRIPLES]

    costs = [
        cost
        for start in range(0, len(calls), rows_at_once)
        for cost in price(batch("spans", calls[start : start + rows_at_once]))["computed_cost"].to_pylist()
    ]

    assert len(costs) >= 200
    expected = [theirs(provider, model, usage, moment) for (_, _, provider, model), usage, moment in TRIPLES]
    assert [abs(cost - other) < 1e-9 for cost, other in zip(costs, expected, strict=True)] == [True] * len(costs)


@pytest.mark.parametrize(("provider", "model"), UNKNOWN)
def test_what_has_no_public_price_has_no_cost(provider: str | None, model: str) -> None:
    row = price(batch("spans", [call(provider, model, USAGES[0], DATES[-1])])).to_pylist()[0]

    assert row["computed_cost"] is row["cost"] is row["price_source"] is None
