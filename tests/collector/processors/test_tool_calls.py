"""The calls of tools in an answer, in the shapes that libraries give it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from collector_inputs import batch

from collector.processors.tool_calls import CALLS_MAX, fill_tool_calls, tool_calls

WEATHER = [{"id": "c1", "name": "get_weather", "arguments": {"city": "Oslo"}}]
ARGUMENTS = '{"city": "Oslo"}'
SHAPES = {
    "otel": [
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "c1", "name": "get_weather", "arguments": {"city": "Oslo"}}],
        }
    ],
    "openinference": [
        {
            "message.tool_calls.0.tool_call.id": "c1",
            "message.tool_calls.0.tool_call.function.name": "get_weather",
            "message.tool_calls.0.tool_call.function.arguments": ARGUMENTS,
        }
    ],
    "openllmetry before 0.60": [
        {"tool_calls.0.id": "c1", "tool_calls.0.name": "get_weather", "tool_calls.0.arguments": ARGUMENTS}
    ],
    "openai chat": {
        "choices": [
            {"message": {"tool_calls": [{"id": "c1", "function": {"name": "get_weather", "arguments": ARGUMENTS}}]}}
        ]
    },
    "openai responses": {
        "output": [{"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": ARGUMENTS}]
    },
    "anthropic": {"content": [{"type": "tool_use", "id": "c1", "name": "get_weather", "input": {"city": "Oslo"}}]},
    "google": {"parts": [{"functionCall": {"id": "c1", "name": "get_weather", "args": {"city": "Oslo"}}}]},
    "ai sdk 4": [{"toolCallType": "function", "toolCallId": "c1", "toolName": "get_weather", "args": ARGUMENTS}],
    "ai sdk 5": [{"type": "tool-call", "toolCallId": "c1", "toolName": "get_weather", "input": {"city": "Oslo"}}],
    "langchain": {
        "kwargs": {
            "tool_calls": [{"name": "get_weather", "args": {"city": "Oslo"}, "id": "c1", "type": "tool_call"}],
            "additional_kwargs": {
                "tool_calls": [{"id": "c1", "function": {"name": "get_weather", "arguments": ARGUMENTS}}]
            },
        }
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_call_is_found_in_every_shape(shape: str) -> None:
    assert json.loads(tool_calls(json.dumps(SHAPES[shape])) or "null") == WEATHER


@pytest.mark.parametrize(
    "output",
    ["", "a tool_call in a text", '["tool_calls"]', '{"tool_calls": 7}', '{"tool_calls": [{"id": "c1"}]}', "[" * 200],
)
def test_an_answer_without_a_call_that_has_a_name_has_none(output: str) -> None:
    assert tool_calls(output) is None


def test_calls_beyond_the_limit_are_left_out() -> None:
    calls = [{"type": "tool_call", "id": str(number), "name": "f"} for number in range(CALLS_MAX + 1)]

    assert len(json.loads(tool_calls(json.dumps(calls)) or "[]")) == CALLS_MAX


def filled(*rows: dict[str, Any]) -> list[str | None]:
    return [row["tool_calls"] for row in fill_tool_calls(batch("spans", list(rows))).to_pylist()]


def test_the_calls_of_calls_to_models_alone_are_filled_where_they_are_not_known() -> None:
    output = json.dumps(SHAPES["otel"])

    called, agent, known, said = filled(
        {"is_inference": True, "output": output},
        {"is_inference": False, "output": output},
        {"is_inference": True, "output": output, "tool_calls": "[]"},
        {"is_inference": True, "output": "a text"},
    )

    assert (json.loads(called or "null"), agent, known, said) == (WEATHER, None, "[]", None)
