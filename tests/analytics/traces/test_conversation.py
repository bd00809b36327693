"""Conversations: each thing once, whatever the calls repeat."""

from __future__ import annotations

import json
from typing import Any

from analytics.traces.conversation import Conversation


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def model(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


SYSTEM = {"role": "system", "content": "Be kind."}


def turns(*calls: tuple[list[dict[str, Any]] | str, str | None]) -> list[tuple[str, str]]:
    """Return role and content of the turns of calls, each with what it was asked and what it answered."""
    conversation = Conversation()
    for number, (asked, answer) in enumerate(calls):
        trace_id = "same" if len(calls) > 2 and isinstance(asked, str) and asked == "parallel" else f"trace-{number}"
        text = asked if isinstance(asked, str) else json.dumps(asked)
        conversation.add({"input": text, "output": answer, "trace_id": trace_id}, {"trace_id": trace_id})
    return [(turn["role"], turn["content"]) for turn in conversation.turns]


def test_a_history_that_each_call_repeats_is_told_once() -> None:
    assert turns(
        ([SYSTEM, user("Hi")], "Hello"),
        ([SYSTEM, user("Hi"), model("Hello"), user("Bye")], "See you"),
    ) == [("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Bye"), ("assistant", "See you")]


def test_a_history_that_was_cut_is_told_once() -> None:
    found = turns(
        ([user("1")], "one"),
        ([user("1"), model("one"), user("2")], "two"),
        ([model("one"), user("2"), model("two"), user("3")], "three"),
    )

    assert [content for _, content in found] == ["1", "one", "2", "two", "3", "three"]


def test_who_says_the_same_twice_has_said_it_twice() -> None:
    within_history = turns(([user("yes")], "Sure?"), ([user("yes"), model("Sure?"), user("yes")], "Done"))
    without_history = turns(("yes", "Sure?"), ("yes", "Done"))

    assert [content for _, content in within_history] == ["yes", "Sure?", "yes", "Done"]
    assert within_history == without_history


def test_a_second_call_over_the_same_question_does_not_ask_it_again() -> None:
    found = turns(("parallel", "chat"), ("parallel", "Hello"), ("Bye", "See you"))

    assert [content for _, content in found] == ["parallel", "chat", "Hello", "Bye", "See you"]


def test_a_call_that_failed_and_is_repeated_asks_once() -> None:
    assert turns(("Hi", None), ("Hi", "Hello")) == [("user", "Hi"), ("assistant", "Hello")]


def test_the_calls_of_a_tool_are_known_again_in_another_spelling() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"b": 1, "a": 2}'}}
    answer = json.dumps([{"role": "assistant", "content": None, "tool_calls": [call]}])
    repeated = {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "1", "name": "find", "input": {"a": 2, "b": 1}}],
    }
    result = {"role": "tool", "tool_call_id": "1", "content": "found"}

    found = turns(([user("Find it")], answer), ([user("Find it"), repeated, result], "Here"))

    assert [role for role, _ in found] == ["user", "assistant", "tool", "assistant"]
