"""Raw usage of every provider's shape to token columns; where genai-prices reads the shape too, both must agree."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from genai_prices import extract_usage
from hypothesis import given
from hypothesis import strategies as st

from collector.fallom.raw import raw_columns

COLUMNS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
COUNTS = st.integers(0, 10**9)


def tokens(usage: object) -> tuple[object, ...]:
    columns = raw_columns({"fallom.raw.usage": orjson.dumps(usage).decode()})
    return tuple(columns.get(name) for name in COLUMNS)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(
            {
                "prompt_tokens": 21,
                "completion_tokens": 9,
                "total_tokens": 30,
                "prompt_tokens_details": {"cached_tokens": 8},
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
            (21, 9, 30, 8, None, 4),
            id="openai chat",
        ),
        pytest.param(
            {
                "input_tokens": 21,
                "output_tokens": 9,
                "total_tokens": 30,
                "input_tokens_details": {"cached_tokens": 8},
                "output_tokens_details": {"reasoning_tokens": 4},
            },
            (21, 9, 30, 8, None, 4),
            id="openai responses",
        ),
        pytest.param({"prompt_tokens": 5, "total_tokens": 5}, (5, None, 5, None, None, None), id="openai embeddings"),
        pytest.param(
            {
                "input_tokens": 10,
                "output_tokens": 9,
                "cache_read_input_tokens": 8,
                "cache_creation_input_tokens": 3,
            },
            (21, 9, None, 8, 3, None),
            id="anthropic: its input leaves the cache out",
        ),
        pytest.param(
            {
                "input_tokens": 10,
                "output_tokens": 9,
                "cache_read_input_tokens": None,
                "cache_creation_input_tokens": 0,
            },
            (10, 9, None, None, 0, None),
            id="anthropic without cache",
        ),
        pytest.param(
            {
                "promptTokenCount": 21,
                "candidatesTokenCount": 5,
                "thoughtsTokenCount": 4,
                "cachedContentTokenCount": 8,
                "totalTokenCount": 30,
            },
            (21, 9, 30, 8, None, 4),
            id="google: its output leaves the thoughts out",
        ),
        pytest.param(
            {
                "prompt_token_count": 21,
                "candidates_token_count": 5,
                "thoughts_token_count": 4,
                "cached_content_token_count": 8,
                "total_token_count": 30,
            },
            (21, 9, 30, 8, None, 4),
            id="google in python",
        ),
        pytest.param(
            {"inputTokens": 21, "outputTokens": 9, "totalTokens": 30, "reasoningTokens": 4, "cachedInputTokens": 8},
            (21, 9, 30, 8, None, 4),
            id="vercel 5",
        ),
        pytest.param(
            {"promptTokens": 21, "completionTokens": 9, "totalTokens": 30},
            (21, 9, 30, None, None, None),
            id="vercel 4",
        ),
        pytest.param({}, (None,) * 6, id="none"),
        pytest.param({"prompt_tokens": 0, "completion_tokens": 0}, (0, 0, None, None, None, None), id="zeros"),
        pytest.param({"prompt_tokens": -1, "completion_tokens": "x"}, (None,) * 6, id="nonsense"),
        pytest.param({"prompt_tokens": 1e300, "input_tokens": 3}, (3, *[None] * 5), id="the next key is tried"),
        pytest.param({"prompt_tokens_details": [1], "input_tokens": [2]}, (None,) * 6, id="wrong types"),
    ],
)
def test_usage_of_every_provider_fills_the_token_columns(usage: object, expected: tuple[object, ...]) -> None:
    assert tokens(usage) == expected


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_anthropic_usage_is_counted_as_genai_prices_counts_it(fresh: int, read: int, written: int, out: int) -> None:
    usage = {
        "input_tokens": fresh,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "output_tokens": out,
    }

    found = tokens(usage)

    theirs = extract_usage({"usage": usage, "model": "claude-3-5-sonnet-20241022"}, provider_id="anthropic").usage
    assert found[:2] == (theirs.input_tokens, theirs.output_tokens)
    assert found[3:5] == (theirs.cache_read_tokens, theirs.cache_write_tokens)


@given(COUNTS, COUNTS, COUNTS)
def test_google_usage_is_counted_as_genai_prices_counts_it(prompt: int, candidates: int, thoughts: int) -> None:
    usage = {"promptTokenCount": prompt, "candidatesTokenCount": candidates, "thoughtsTokenCount": thoughts}

    found = tokens(usage)

    theirs = extract_usage({"usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}, provider_id="google").usage
    assert found[:2] == (theirs.input_tokens, theirs.output_tokens)


@pytest.mark.parametrize(
    "value", ["", "not json", "[1]", "1", "null", '{"a":', '{"prompt_tokens": NaN}', None, 7, True, ["x"], "\ud800"]
)
def test_a_raw_body_that_is_no_object_fills_nothing(value: object) -> None:
    names = ("fallom.raw.usage", "fallom.raw.request", "fallom.raw.response", "fallom.method")

    columns = raw_columns(dict.fromkeys(names, value))

    assert columns == {}


def test_a_raw_body_may_come_as_an_object() -> None:
    columns = raw_columns({"fallom.raw.usage": {"prompt_tokens": 3}, "fallom.raw.request": {"model": "gpt-4o"}})

    assert columns == {"input_tokens": 3, "request_model": "gpt-4o"}


@pytest.mark.parametrize(
    ("method", "provider"),
    [
        ("chat.completions.create", "openai"),
        ("responses.create", "openai"),
        ("messages.create", "anthropic"),
        ("generateContent", "google"),
        ("generateText", None),
        (None, None),
    ],
)
def test_a_client_s_method_names_the_provider(method: str | None, provider: str | None) -> None:
    assert raw_columns({"fallom.method": method}).get("provider") == provider


@pytest.mark.parametrize(
    ("request_body", "response_body", "content"),
    [
        ({"messages": [{"role": "user"}], "prompt": "p"}, {"text": "t"}, ('[{"role":"user"}]', "t")),
        ({"input": "i"}, {"text": None, "toolCalls": [{"id": 1}]}, ("i", '[{"id":1}]')),
        ({"prompt": "p"}, {"text": "", "output": {"a": 1}}, ("p", '{"a":1}')),
        ({"contents": ["c"]}, {"text": "", "toolCalls": []}, ('["c"]', None)),
    ],
)
def test_content_is_the_first_that_is_there(
    request_body: dict[str, Any], response_body: dict[str, Any], content: tuple[str | None, str | None]
) -> None:
    columns = raw_columns({"fallom.raw.request": request_body, "fallom.raw.response": response_body})

    assert (columns.get("input"), columns.get("output")) == content
