"""Inclusive totals and disjoint buckets of tokens, whatever a library's counts include."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from collector_inputs import batch, sent_attributes, span_row
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.processors import process
from collector.processors.columns import FEW
from collector.processors.tokens import split_tokens
from collector.promote import COUNT_MAX
from schemas.spans import SPANS
from schemas.token_rule import BOTH_APART, CACHE_APART, INCLUDED, REASONING_APART, TOKEN_RULES

BUCKETS = (
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "visible_output_tokens",
    "reasoning_tokens",
)


def split(**columns: Any) -> dict[str, Any]:
    row: dict[str, Any] = split_tokens(batch("spans", [columns])).to_pylist()[0]
    return row


def counts(
    input_tokens: int | None,
    output_tokens: int | None,
    read: int | None = None,
    write: int | None = None,
    reasoning: int | None = None,
    total: int | None = None,
) -> dict[str, int | None]:
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cache_read_tokens": read,
        "cache_write_tokens": write,
        "reasoning_tokens": reasoning,
        "total_tokens": total,
    }


def told(row: dict[str, Any]) -> tuple[object, ...]:
    """Return the totals, the buckets and the rule of a row."""
    names = ("input_tokens", "output_tokens", "total_tokens", *BUCKETS, "token_rule")
    return tuple(row[name] for name in names)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        pytest.param(counts(21, 9), (21, 9, 30, 21, None, None, 9, None, None), id="no parts: nothing to decide"),
        pytest.param(counts(21, 9, 0, 0, 0), (21, 9, 30, 21, 0, 0, 9, 0, None), id="parts of 0: nothing to decide"),
        pytest.param(counts(None, None), (None,) * 9, id="nothing is known"),
        pytest.param(counts(21, None), (21, None, 21, 21, None, None, None, None, None), id="an embedding"),
        pytest.param(counts(21, 9, 8, None, 4, 30), (21, 9, 30, 13, 8, None, 5, 4, INCLUDED), id="openai"),
        pytest.param(counts(10, 9, 8, 3), (21, 9, 30, 10, 8, 3, 9, None, CACHE_APART), id="more cache than input"),
        pytest.param(counts(10, 9, 8, 3, None, 30), (21, 9, 30, 10, 8, 3, 9, None, CACHE_APART), id="total with cache"),
        pytest.param(counts(100, 9, 8, 3, None, 120), (111, 9, 120, 100, 8, 3, 9, None, CACHE_APART), id="by total"),
        pytest.param(counts(21, 5, 8, None, 4, 30), (21, 9, 30, 13, 8, None, 5, 4, REASONING_APART), id="google"),
        pytest.param(counts(21, 3, None, None, 4), (21, 7, 28, 21, None, None, 3, 4, REASONING_APART), id="thoughts"),
        pytest.param(counts(10, 5, 8, 3, 4, 30), (21, 9, 30, 10, 8, 3, 5, 4, BOTH_APART), id="both by total"),
        pytest.param(counts(10, 50, 4, None, 4, 64), (10, 54, 64, 6, 4, None, 50, 4, REASONING_APART), id="ambiguous"),
        pytest.param(counts(None, 9, 8, 3), (None, 9, 9, None, 8, 3, 9, None, INCLUDED), id="input is not known"),
        pytest.param(counts(21, None, None, None, 4), (21, None, 21, 21, None, None, None, 4, INCLUDED), id="no out"),
        pytest.param(counts(21, 9, total=40), (21, 9, 40, 21, None, None, 9, None, None), id="a greater total stays"),
        pytest.param(counts(21, 9, total=20), (21, 9, 30, 21, None, None, 9, None, None), id="a lesser total does not"),
        pytest.param(counts(None, None, total=30), (None, None, 30, *(None,) * 6), id="only a total"),
        pytest.param(
            counts(COUNT_MAX, 1, COUNT_MAX, COUNT_MAX),
            (COUNT_MAX, 1, COUNT_MAX + 1, 0, COUNT_MAX, 0, 1, None, INCLUDED),
            id="at the limit",
        ),
    ],
)
def test_the_counts_themselves_tell_what_they_include(
    reported: dict[str, int | None], expected: tuple[object, ...]
) -> None:
    assert told(split(**reported)) == expected


ANTHROPIC = counts(100, 9, 8, 3)
GOOGLE = counts(100, 9, 8, None, 4)


@pytest.mark.parametrize(
    ("scope_name", "provider", "reported", "rule"),
    [
        ("opentelemetry.instrumentation.anthropic", "anthropic", ANTHROPIC, INCLUDED),
        ("openinference.instrumentation.anthropic", "anthropic", ANTHROPIC, INCLUDED),
        ("openinference.instrumentation.google_genai", "google", GOOGLE, INCLUDED),
        ("pydantic-ai", "anthropic", ANTHROPIC, INCLUDED),
        ("langfuse-sdk", "anthropic", ANTHROPIC, INCLUDED),
        ("opentelemetry.instrumentation.bedrock", "AWS", ANTHROPIC, CACHE_APART),
        ("openlit.otel.tracing", "anthropic", ANTHROPIC, CACHE_APART),
        ("openlit.otel.tracing", "aws.bedrock", ANTHROPIC, CACHE_APART),
        ("openlit.otel.tracing", "gemini", GOOGLE, REASONING_APART),
        ("openlit.otel.tracing", "openai", GOOGLE, INCLUDED),
        ("mlflow.tracing.provider", "anthropic", ANTHROPIC, CACHE_APART),
        ("ai", "anthropic.messages", ANTHROPIC, CACHE_APART),
        ("ai", "amazon-bedrock", ANTHROPIC, CACHE_APART),
        ("ai", "google.generative-ai", GOOGLE, REASONING_APART),
        ("ai", "google.vertex.chat", GOOGLE, REASONING_APART),
        ("ai", "google.vertex.anthropic.messages", ANTHROPIC, CACHE_APART),
        ("ai", "openai.responses", GOOGLE, INCLUDED),
        ("fallom", "anthropic.messages", ANTHROPIC, CACHE_APART),
        ("mastra", "anthropic", ANTHROPIC, CACHE_APART),
        (None, None, ANTHROPIC, INCLUDED),
    ],
)
def test_a_library_s_convention_tells_where_the_counts_do_not(
    scope_name: str | None, provider: str | None, reported: dict[str, int | None], rule: str
) -> None:
    row = split(scope_name=scope_name, provider=provider, attributes="{}", **reported)

    cache, reasoning = (11, 0) if reported is ANTHROPIC else (8, 4)
    assert row["token_rule"] == rule
    assert row["uncached_input_tokens"] == (100 if rule == CACHE_APART else 100 - cache)
    assert row["visible_output_tokens"] == (9 if rule == REASONING_APART else 9 - reasoning)


@pytest.mark.parametrize(
    ("attributes", "rule"),
    [
        ({"ai.usage.inputTokenDetails.noCacheTokens": 89}, INCLUDED),
        ({"ai.usage.outputTokenDetails.textTokens": 9}, INCLUDED),
        ({"ai.usage.inputTokenDetails.cacheReadTokens": 8}, CACHE_APART),
    ],
)
def test_the_ai_sdk_from_6_on_includes_all_where_its_provider_gives_details(
    attributes: dict[str, int], rule: str
) -> None:
    row = split(
        scope_name="ai", provider="anthropic.messages", attributes=orjson.dumps(attributes).decode(), **ANTHROPIC
    )

    assert row["token_rule"] == rule


@pytest.mark.parametrize(
    ("key", "rule"),
    [("gen_ai.usage.cached_input_tokens", CACHE_APART), ("gen_ai.usage.cache_read.input_tokens", INCLUDED)],
)
def test_mastra_s_key_tells_whether_it_passes_on_what_a_provider_counts(key: str, rule: str) -> None:
    row = split(
        scope_name="@mastra/otel", provider="anthropic", promoted=f'{{"cache_read_tokens":"{key}"}}', **ANTHROPIC
    )

    assert row["token_rule"] == rule


@pytest.mark.parametrize(
    "usage",
    [
        {"input": 100, "input_cache_read": 8, "output": 5, "output_reasoning_tokens": 4, "total": 117},
        {"input_tokens": 100, "cache_read_input_tokens": 8, "output_tokens": 5, "output_reasoning_tokens": 4},
    ],
)
def test_langfuse_s_disjoint_parts_are_summed_once(usage: object) -> None:
    attributes = {"langfuse.observation.usage_details": orjson.dumps(usage).decode()}

    row = split(**span_row(attributes, scope_name="langfuse-sdk"))

    assert (row["input_tokens"], row["uncached_input_tokens"], row["cache_read_tokens"]) == (108, 100, 8)
    assert (row["output_tokens"], row["visible_output_tokens"], row["reasoning_tokens"]) == (9, 5, 4)
    assert (row["total_tokens"], row["token_rule"]) == (117, INCLUDED)


@pytest.mark.parametrize("rule", TOKEN_RULES)
def test_what_the_decoder_said_goes_before_a_convention(rule: str) -> None:
    row = split(token_rule=rule, scope_name="openlit.otel.tracing", provider="anthropic", **counts(100, 9, 8, 3, 4))

    assert row["token_rule"] == rule


def test_a_rule_that_the_counts_contradict_does_not_hold() -> None:
    row = split(token_rule=INCLUDED, **counts(10, 9, 8, 3))

    assert row["token_rule"] == CACHE_APART


def test_a_stated_rule_is_not_kept_where_nothing_had_to_be_decided() -> None:
    assert split(token_rule=CACHE_APART, **counts(10, 9))["token_rule"] is None


PROMOTED = {"input_tokens": "gen_ai.usage.input_tokens", "provider": "gen_ai.system"}


@pytest.mark.parametrize(
    "attributes",
    [
        '{"a":1.0,"big":123456789012345678901234567890}',
        "{}",
        None,
        '{"$kvlist":[["a",1],["a",2]]}',
        '{"$kvlist":5,"b":1}',
    ],
)
def test_what_was_reported_goes_back_to_the_attributes_where_its_column_is_changed(attributes: str | None) -> None:
    row = split(
        provider="anthropic", promoted=orjson.dumps(PROMOTED).decode(), attributes=attributes, **counts(10, 9, 8, 3)
    )

    assert row["input_tokens"] == 21
    assert orjson.loads(row["promoted"]) == {"provider": "gen_ai.system"}
    sent = orjson.loads(row["attributes"])
    pairs = sent.get("$kvlist") if len(sent) == 1 else None
    assert (pairs[0] if pairs else ["gen_ai.usage.input_tokens", sent["gen_ai.usage.input_tokens"]]) == [
        "gen_ai.usage.input_tokens",
        10,
    ]
    if attributes and not pairs:
        assert sent == orjson.loads(attributes) | {"gen_ai.usage.input_tokens": 10}
    if attributes == '{"a":1.0,"b":12345678901234567890123}':
        assert row["attributes"].endswith(attributes[1:])


def test_a_total_that_is_raised_goes_back_to_the_attributes() -> None:
    promoted = {"total_tokens": "gen_ai.usage.total_tokens"}

    row = split(promoted=orjson.dumps(promoted).decode(), attributes="{}", **counts(10, 9, 8, 3, None, 19))

    assert (row["total_tokens"], row["promoted"]) == (30, None)
    assert orjson.loads(row["attributes"]) == {"gen_ai.usage.total_tokens": 19}


def test_what_is_not_changed_stays_where_it_is() -> None:
    columns = {"promoted": orjson.dumps(PROMOTED).decode(), "attributes": '{"a":1}', **counts(21, 9, 8, None, 4, 30)}

    row = split(**columns)

    assert (row["promoted"], row["attributes"]) == (columns["promoted"], columns["attributes"])


COUNTS = st.none() | st.integers(0, 30) | st.integers(0, COUNT_MAX) | st.just(COUNT_MAX)
KEYS = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "total_tokens": "gen_ai.usage.total_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning_tokens",
}
ROWS = st.fixed_dictionaries(
    {"attributes": st.sampled_from(["{}", '{"x":"y"}', '{"ai.usage.inputTokenDetails.noCacheTokens":1}'])},
    optional={
        "scope_name": st.sampled_from(["ai", "fallom", "openlit.x", "mlflow.x", "langfuse-sdk", "pydantic-ai"]),
        "provider": st.sampled_from(["anthropic", "aws.bedrock", "google.vertex", "openai"]),
        "token_rule": st.sampled_from(TOKEN_RULES),
        **dict.fromkeys(KEYS, COUNTS),
    },
)


@settings(deadline=None)
@given(ROWS)
@example({"attributes": "{}", **counts(COUNT_MAX, COUNT_MAX, COUNT_MAX, COUNT_MAX, COUNT_MAX, COUNT_MAX)})
def test_buckets_are_never_negative_and_sum_to_their_totals(reported: dict[str, Any]) -> None:
    row = split(**reported)

    assert all(row[name] is None or 0 <= row[name] <= COUNT_MAX for name in (*BUCKETS, "input_tokens", "output_tokens"))
    for total, first, *parts in (
        ("input_tokens", "uncached_input_tokens", "cache_read_tokens", "cache_write_tokens"),
        ("output_tokens", "visible_output_tokens", "reasoning_tokens"),
    ):
        assert (row[total] is None) == (reported.get(total) is None) == (row[first] is None)
        if row[total] is not None:
            assert row[total] == row[first] + sum(row[name] or 0 for name in parts)
            assert row[total] >= reported[total]
    if row["total_tokens"] is not None:
        assert row["total_tokens"] >= (row["input_tokens"] or 0) + (row["output_tokens"] or 0)


@settings(deadline=None)
@given(ROWS)
def test_nothing_that_was_reported_is_lost(reported: dict[str, Any]) -> None:
    promoted = {name: key for name, key in KEYS.items() if reported.get(name) is not None}

    row = split(promoted=orjson.dumps(promoted).decode() if promoted else None, **reported)

    sent = {key: reported[name] for name, key in promoted.items()}
    assert sent_attributes(row) == orjson.loads(reported["attributes"]) | sent


@settings(deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=12), st.sampled_from([1, 2 * FEW]), st.integers(0, 8))
def test_a_row_is_the_same_in_a_batch_in_a_part_of_it_and_alone(
    rows: list[dict[str, Any]], times: int, start: int
) -> None:
    rows = [
        row | {"promoted": orjson.dumps({name: KEYS[name] for name in KEYS if row.get(name) is not None}).decode()}
        for row in rows
    ]
    spans = batch("spans", rows * times)

    alone = [split(**row) for row in rows] * times

    assert split_tokens(spans).to_pylist() == alone
    assert split_tokens(spans.slice(start)).to_pylist() == alone[start:]


@pytest.mark.parametrize("row_count", [0, 1, 100])
def test_a_split_batch_has_the_table_s_schema(row_count: int) -> None:
    spans = batch("spans", [counts(10, 9, 8, 3, 4)] * row_count)

    assert split_tokens(spans).schema.equals(SPANS.schema, check_metadata=True)


def test_a_call_whose_counts_leave_the_cache_out_is_priced_with_it() -> None:
    call = {
        "is_inference": True,
        "operation": "chat",
        "provider": "anthropic",
        "response_model": "claude-3-5-sonnet-latest",
    }

    (apart, included) = process(
        "spans", batch("spans", [call | counts(10, 9, 8, 3), call | counts(21, 9, 8, 3)])
    ).to_pylist()

    assert apart["cost"] == included["cost"] > 0
