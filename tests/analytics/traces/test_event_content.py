"""What events tell of the calls that they belong to."""

from __future__ import annotations

import json
from typing import Any

from analytics.traces.event_content import content_of_events
from analytics.traces.messages import messages_of


def event(name: str, content: Any, parent: str | None = "call", **columns: Any) -> dict[str, Any]:
    attributes = json.dumps({"fallom.kind": "event", "gen_ai.event.content": content})
    return {
        "trace_id": "t",
        "parent_span_id": parent,
        "operation": "event",
        "name": name,
        "input": None,
        "output": None,
        "attributes": attributes,
        **columns,
    }


def told(*rows: dict[str, Any]) -> tuple[Any, Any]:
    asked, answered = content_of_events(rows)["t", "call"]
    return messages_of(asked, "user"), messages_of(answered, "assistant")


def test_messages_are_told_in_their_order_what_a_system_says_first() -> None:
    asked, answered = told(
        event("gen_ai.user.message", {"content": "2+2?"}),
        event("gen_ai.system.message", {"content": "Be brief."}),
        event("gen_ai.assistant.message", {"content": "4"}),
        event("gen_ai.user.message", {"content": "3+3?"}),
        event("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": {"content": "6"}}),
    )

    assert [(message["role"], message["content"]) for message in asked] == [
        ("system", "Be brief."),
        ("user", "2+2?"),
        ("assistant", "4"),
        ("user", "3+3?"),
    ]
    assert [(message["role"], message["content"]) for message in answered] == [("assistant", "6")]


def test_calls_of_tools_are_told() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}

    _, (answer,) = told(event("gen_ai.choice", {"message": {"tool_calls": [call]}}))

    assert answer["tool_calls"] == [{"id": "c1", "name": "weather", "arguments": '{"city":"Oslo"}'}]


def test_an_event_that_tells_all_is_taken_as_it_is() -> None:
    details = event("gen_ai.client.inference.operation.details", None, input='[{"role":"user"}]', output="Yes.")

    assert content_of_events([event("gen_ai.user.message", {"content": "No"}), details]) == {
        ("t", "call"): ('[{"role":"user"}]', "Yes.")
    }


def test_what_is_masked_or_unknown_or_of_no_call_tells_nothing() -> None:
    rows = [
        event("gen_ai.user.message", {"content": "x"}, attributes="[removed]"),
        event("gen_ai.user.message", {"content": "x"}, attributes=None),
        event("gen_ai.user.message", 7),
        event("gen_ai.something", {"content": "x"}),
        event("gen_ai.user.message", {"content": "x"}, parent=None),
        event("gen_ai.user.message", {"content": "x"}, operation="chat"),
    ]

    assert content_of_events(rows) == {}
