"""Content in the shapes of the libraries, as messages of one shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from analytics.traces.messages import PREVIEW_CHARACTERS, input_preview, messages_of, output_preview

CALL = {"id": "c1", "name": "weather", "arguments": '{"city":"Rome"}'}
ASKED = {"role": "user", "content": "Weather in Rome?"}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOLD = {"role": "tool", "content": "Sunny", "tool_call_id": "c1"}

SHAPES: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "plain text": ("Weather in Rome?", [ASKED]),
    "openai": (
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Weather in Rome?"}]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "Sunny"},
        ],
        [{"role": "system", "content": "Be brief."}, ASKED, CALLED, TOLD],
    ),
    "openai responses": (
        [
            {"role": "user", "content": [{"type": "input_text", "text": "Weather in Rome?"}]},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Rome"}'},
            {"type": "function_call_output", "call_id": "c1", "output": "Sunny"},
        ],
        [ASKED, CALLED, TOLD],
    ),
    "openai answer": (
        {"choices": [{"message": {"role": "assistant", "content": "Sunny."}, "finish_reason": "stop"}]},
        [{"role": "assistant", "content": "Sunny."}],
    ),
    "anthropic": (
        {
            "system": "Be brief.",
            "messages": [
                {"role": "user", "content": "Weather in Rome?"},
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Rome"}}
                ]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "Sunny"}]},
            ],
        },
        [{"role": "system", "content": "Be brief."}, ASKED, CALLED, TOLD],
    ),
    "google": (
        [
            {"role": "user", "parts": [{"text": "Weather in Rome?"}]},
            {"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Rome"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"id": "c1", "response": "Sunny"}}]},
        ],
        [ASKED, CALLED, TOLD],
    ),
    "google answer": (
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "Sunny."}]}}]},
        [{"role": "assistant", "content": "Sunny."}],
    ),
    "opentelemetry": (
        [
            {"role": "user", "parts": [{"type": "text", "content": "Weather in Rome?"}]},
            {"role": "assistant", "parts": [
                {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Rome"}}
            ]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "Sunny"}]},
        ],
        [ASKED, CALLED, TOLD],
    ),
    "openllmetry, flattened": (
        [
            {"role": "user", "content": "Weather in Rome?"},
            {"role": "assistant", "tool_calls.0.id": "c1", "tool_calls.0.name": "weather",
             "tool_calls.0.arguments": '{"city":"Rome"}'},
        ],
        [ASKED, CALLED],
    ),
    "openinference, flattened": (
        [
            {"message.role": "user", "message.contents.0.message_content.type": "text",
             "message.contents.0.message_content.text": "Weather in Rome?"},
            {"message.role": "assistant", "message.tool_calls.0.tool_call.id": "c1",
             "message.tool_calls.0.tool_call.function.name": "weather",
             "message.tool_calls.0.tool_call.function.arguments": '{"city":"Rome"}'},
        ],
        [ASKED, CALLED],
    ),
    "vercel": (
        [
            {"role": "user", "content": [{"type": "text", "text": "Weather in Rome?"}]},
            {"role": "assistant", "content": [
                {"type": "tool-call", "toolCallId": "c1", "toolName": "weather", "args": {"city": "Rome"}}
            ]},
            {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c1", "result": "Sunny"}]},
        ],
        [ASKED, CALLED, TOLD],
    ),
    "langchain": (
        {"messages": [[{"id": ["langchain", "HumanMessage"], "kwargs": {"content": "Weather in Rome?"}}]]},
        [ASKED],
    ),
    "langchain, by type": ([{"type": "human", "content": "Weather in Rome?"}], [ASKED]),
    "an image": (
        [{"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": "x"}]}],
        [{"role": "user", "content": "What?\n[image_url]"}],
    ),
    "no messages": ({"query": 1}, [{"role": "user", "content": '{"query":1}'}]),
    "a number": ([1, None], [{"role": "user", "content": "1"}]),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_read(shape: str) -> None:
    content, expected = SHAPES[shape]
    text = content if isinstance(content, str) else json.dumps(content)

    found = messages_of(text, "user") or []

    assert [
        {name: value for name, value in message.items() if name != "finish_reason"} for message in found
    ] == expected


def test_what_is_not_there_has_no_messages() -> None:
    assert messages_of(None, "user") is None
    assert input_preview(None) is None
    assert output_preview(None) is None


@pytest.mark.parametrize(
    "text", ["[", '{"a":', "[" * 1000 + "]" * 1000, '{"a":' * 1000 + "1" + "}" * 1000, '"', "[[]]", "{}"]
)
def test_nothing_is_lost_of_what_is_no_message(text: str) -> None:
    found = messages_of(text, "user")

    assert found is not None
    assert all(set(message) >= {"role", "content"} for message in found)


def test_a_preview_of_an_input_is_what_the_user_said_last() -> None:
    content = [
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": "Then\n this " + "x" * 500},
    ]

    preview = input_preview(json.dumps(content)) or ""

    assert preview.startswith("Then this xxx")
    assert len(preview) == PREVIEW_CHARACTERS


def test_a_preview_of_an_answer_without_words_shows_its_calls() -> None:
    assert output_preview(json.dumps([CALLED])) == 'weather({"city":"Rome"})'
