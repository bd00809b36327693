"""What the published TypeScript client really sent, request by request, and the columns that it must become."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from collector_inputs import RECEIVED_AT, decode, sent_attributes, stored
from genai_prices import Usage, calc_price

from collector.request import Format

CAPTURES = [
    orjson.loads(line)
    for line in (Path(__file__).parent / "captures" / "typescript-0.2.28.jsonl").read_bytes().splitlines()
]
FORMATS = {"/v1/traces": Format.JSON_TRACES, "/sessions": Format.EXPOSURE}
SESSION = {"config_key": "my-agent", "session_id": "session-123", "customer_id": "user-456"}
TOKENS = {
    "input_tokens": 21,
    "output_tokens": 9,
    "total_tokens": 30,
    "cache_read_tokens": 8,
    "cache_write_tokens": None,
    "reasoning_tokens": 4,
    "uncached_input_tokens": 13,
    "visible_output_tokens": 5,
    "token_rule": "included",
}
NO_TOKENS = dict.fromkeys(TOKENS)
CALL = {"operation": "llm", "is_inference": True, "status_code": "ok", "status_message": None}
GPT_4O = {"request_model": "gpt-4o", "response_model": "gpt-4o-2024-08-06"}
NO_PROMPT = dict.fromkeys(["prompt_key", "prompt_version", "prompt_ab_test_key", "prompt_variant_index"])
PROMPT = NO_PROMPT | {"prompt_key": "onboarding", "prompt_version": 2}
WHOLE = {"time_to_first_token_ns": None, "is_streaming": None}

EXPECTED: dict[int, dict[str, Any]] = {
    5: {
        "name": "chat.completions.create",
        "provider": "openai",
        "finish_reason": "stop",
        "input": '[{"role":"user","content":"Capital of France?"}]',
        "output": "Paris is the capital.",
        "start_time": datetime(2026, 11, 21, 2, 40, 52, 231_000, UTC),
        "duration_ns": 9_000_000,
        "trace_id": "283f270f1d0942cff754817128418640",
        "span_id": "6153228fd8b0d47d",
        "parent_span_id": None,
        "scope_name": "fallom",
        "scope_version": "2",
        "error_type": None,
    }
    | CALL
    | GPT_4O
    | TOKENS
    | PROMPT
    | WHOLE,
    6: {
        "provider": "openai",
        "finish_reason": "tool_calls",
        "output": '[{"id":"call_1","type":"function","function":'
        '{"name":"weather","arguments":"{\\"city\\":\\"Paris\\"}"}}]',
        "tool_calls": '[{"id":"call_1","name":"weather","arguments":{"city":"Paris"}}]',
        "phases": '[{"name":"request","start_ms":0,"end_ms":20}]',
        "prompt_ab_test_key": "onboarding-test",
        "prompt_variant_index": 0,
        "prompt_key": "onboarding",
        "prompt_version": 2,
    }
    | CALL
    | GPT_4O
    | TOKENS
    | WHOLE,
    # This client breaks stream=True, so neither tokens nor an answer come.
    7: {"provider": "openai", "output": None, "request_model": "gpt-4o", "cost": None}
    | CALL
    | NO_TOKENS
    | NO_PROMPT
    | WHOLE,
    8: CALL
    | {
        "status_code": "error",
        "status_message": "429 rate limited",
        "request_model": "bad",
        "response_model": None,
        "provider": "openai",
        "cost": None,
    }
    | NO_TOKENS,
    9: CALL
    | {
        "status_code": "error",
        "status_message": "toolUseBlocks is not defined",
        "request_model": "claude-3-5-sonnet-20241022",
        "response_model": None,
        "provider": "anthropic",
    }
    | NO_TOKENS,
    10: CALL
    | {
        "status_code": "error",
        "status_message": "functionCalls is not defined",
        "request_model": "models/gemini-1.5-flash",
        "provider": "google",
    }
    | NO_TOKENS,
    11: {
        "name": "generateText",
        "provider": "openai.chat",
        "response_model": "gpt-4o-2024-08-06",
        "input": "Capital?",
        "output": "Paris is the capital.",
        "finish_reason": "stop",
    }
    | CALL
    | TOKENS
    | NO_PROMPT
    | WHOLE,
    12: {
        "name": "streamText",
        "response_model": "gpt-4o",
        "time_to_first_token_ns": 132_000_000,
        "is_streaming": True,
        "duration_ns": 255_000_000,
        "tool_calls": None,
        "phases": '[{"name":"Time to First Token","start_ms":0,"end_ms":132},'
        '{"name":"response","start_ms":132,"end_ms":255}]',
    }
    | CALL
    | TOKENS,
    13: {"provider": "openai.responses", "response_model": "gpt-4o-2024-08-06", "output": "Paris."} | CALL | TOKENS,
    14: {"name": "doGenerate", "provider": "openai", "response_model": "gpt-4o", "input": None} | CALL | TOKENS,
    15: {
        "name": "rag.retrieve",
        "operation": "retrieval",
        "is_inference": False,
        "request_model": None,
        "response_model": None,
        "provider": None,
        "cost": None,
        "duration_ns": 20_000_000,
    }
    | NO_TOKENS,
    16: {
        "name": "agent.generate",
        "kind": "client",
        "status_code": "ok",
        "scope_name": "mastra",
        "scope_version": "1.0",
        "service_name": "unknown_service:node",
        "request_model": "gpt-4o",
        "input_tokens": 5,
        "output_tokens": None,
        "total_tokens": 5,
        "duration_ns": 354_925,
        "start_time_unix_nano": 1_795_228_852_890_000_000,
        "tags": None,
        "metadata": None,
        "events": '[{"name":"first","time_unix_nano":1795228852890287415,"attributes":{"k":1}}]',
        "attributes": '{"temperature":0.5,"list":["a","b"],"flag":true}',
        "promoted": '{"request_model":"gen_ai.request.model","input_tokens":"gen_ai.usage.input_tokens"}',
    },
    17: {
        "name": "tool.run",
        "operation": "tool",
        "is_inference": False,
        "parent_span_id": "4408ca7639e6c506",
        "status_code": "error",
        "status_message": "boom",
        "duration_ns": 0,
        "cost": None,
    }
    | NO_TOKENS,
}
FLAT = sorted(EXPECTED.keys() - {16})


def row_of(capture: int) -> dict[str, Any]:
    sent = CAPTURES[capture]
    headers = {name: value for name, value in sent["headers"].items() if name.startswith("x-fallom-")}
    (row,) = stored(decode(sent["json"], FORMATS[sent["path"]], headers))
    return row


def test_every_captured_post_is_expected_here() -> None:
    posts = {index for index, sent in enumerate(CAPTURES) if sent["method"] == "POST"}

    assert len(CAPTURES) == 18
    assert posts == {3, 4, *EXPECTED}


@pytest.mark.parametrize("capture", sorted(EXPECTED))
def test_a_captured_trace_fills_its_columns(capture: int) -> None:
    row = row_of(capture)

    wanted = SESSION | EXPECTED[capture]
    assert {name: row[name] for name in wanted} == wanted
    assert row["project"] == "p"
    assert row["received_at"] == RECEIVED_AT


@pytest.mark.parametrize("capture", FLAT)
def test_a_captured_trace_keeps_its_tags_metadata_and_attributes(capture: int) -> None:
    row = row_of(capture)

    assert row["tags"] == ["production", "high-priority"]
    assert orjson.loads(row["metadata"]) == {"deployment": "dedicated", "beta": True, "n": 3}
    assert sent_attributes(row) == CAPTURES[capture]["json"]["attributes"]


@pytest.mark.parametrize("capture", [index for index in FLAT if EXPECTED[index].get("input_tokens")])
def test_a_captured_call_with_tokens_has_the_public_price(capture: int) -> None:
    row = row_of(capture)

    usage = Usage(input_tokens=21, output_tokens=9, cache_read_tokens=8)
    price = calc_price(usage, "gpt-4o", provider_id="openai", genai_request_timestamp=row["start_time"])
    assert row["cost"] == pytest.approx(float(price.total_price))
    assert row["reported_cost"] is None


@pytest.mark.parametrize("capture", [3, 4])
def test_a_captured_exposure_fills_its_columns(capture: int) -> None:
    row = row_of(capture)
    unknown_here = {row.pop(name) for name in ("computed_variant_index", "computed_model", "computed_reason")}

    assert unknown_here == {None}
    assert isinstance(row.pop("content_hash"), int)
    assert row == {
        "project": "p",
        "config_key": "my-agent",
        "config_version": 3,
        "session_id": "session-123",
        "customer_id": None,
        "assigned_model": "gpt-4o",
        "variant_index": None,
        "reason": None,
        "source": "sessions_api",
        "event_time": RECEIVED_AT,
        "received_at": RECEIVED_AT,
    }
