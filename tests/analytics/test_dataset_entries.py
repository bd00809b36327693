"""Entries out of rows: the question and the answer, however a library wraps its messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from analytics.dataset_entries import EntryError, entries_of, last_text, stored
from schemas.api.datasets import Entry

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CHAT = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": "answer"},
    {"role": "user", "content": "last"},
]


def entries(*rows: dict[str, Any]) -> list[Entry]:
    return [entry for entry, _ in entries_of(pa.Table.from_pylist(list(rows)), NOW)]


@pytest.mark.parametrize(
    "value",
    [
        CHAT,
        {"model": "m", "messages": CHAT},
        [{"role": "user", "parts": [{"type": "text", "content": "last"}]}],
        [{"role": "user", "content": [{"type": "text", "text": "last"}, {"type": "image_url", "image_url": {}}]}],
        {"contents": [{"role": "user", "parts": [{"text": "last"}]}]},
        {"system": "be brief", "prompt": "last"},
        {"instructions": "be brief", "input": "last"},
        [{"message": {"role": "user", "content": "last"}}],
        "last",
    ],
)
def test_the_question_is_the_last_message_of_the_user(value: Any) -> None:
    assert last_text(value, "user") == "last"


@pytest.mark.parametrize("value", [CHAT, {"system": "be brief", "prompt": "x"}, {"instructions": "be brief"}])
def test_the_system_message_is_found(value: Any) -> None:
    assert last_text(value, "system") == "be brief"


@pytest.mark.parametrize(
    "value",
    [
        "answer",
        [{"role": "assistant", "content": "answer", "finish_reason": "stop"}],
        {"choices": [{"message": {"role": "assistant", "content": "answer"}}]},
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "answer"}]}}]},
        [{"role": "assistant", "parts": [{"type": "text", "content": "answer"}]}],
        {"text": "answer"},
    ],
)
def test_the_answer_is_the_last_message_of_the_model(value: Any) -> None:
    assert last_text(value, "assistant") == "answer"


def test_json_that_is_no_message_stays_as_it_is() -> None:
    assert entries({"input": '{"order": 7}', "output": "[1, 2]"}) == [Entry(input='{"order":7}', output="[1,2]")]
    assert entries({"input": "{not json", "output": "o"})[0].input == "{not json"


def test_a_row_without_an_input_or_an_output_is_left_out() -> None:
    found = entries({"input": None, "output": "o"}, {"input": "i", "output": ""}, {"input": "i", "output": "o"})

    assert [(entry.input, entry.output) for entry in found] == [("i", "o")]


def test_without_a_column_of_outputs_entries_are_inputs_alone() -> None:
    assert entries({"input": "i"}) == [Entry(input="i")]


def test_other_columns_become_metadata() -> None:
    row = {
        "input": json.dumps(CHAT),
        "output": "o",
        "metadata": '{"a": 1}',
        "session_id": "s",
        "start_time": NOW,
        "n": None,
    }

    ((entry, time),) = entries_of(pa.Table.from_pylist([row]), datetime(2027, 1, 1, tzinfo=UTC))

    assert entry.metadata == {"a": 1, "session_id": "s", "start_time": "2026-11-21T12:00:00+00:00"}
    assert entry.system_message == "be brief"
    assert time == NOW
    assert stored(entry).session_id == "s"


def test_a_column_of_system_messages_wins() -> None:
    assert entries({"input": json.dumps(CHAT), "output": "o", "system_message": "own"})[0].system_message == "own"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (pa.table({"output": ["o"]}), "a column input expected, got output"),
        (
            pa.table({"input": ["i"], "start_time": ["now"]}),
            "a time expected in the columns start_time and received_at",
        ),
        (pa.table([pa.array(["i"]), pa.array(["i"])], names=["input", "input"]), "each column once expected"),
        (pa.table({"input": ["i\0"]}), "row 1: input: String should match pattern"),
    ],
)
def test_rows_that_can_t_be_entries_are_refused(rows: pa.Table, said: str) -> None:
    with pytest.raises(EntryError, match=said.replace("(", r"\(")):
        list(entries_of(rows, NOW))


@pytest.mark.parametrize("metadata", [{"n": 2**70}, {"t": "x" * 100_001}, {"t": "\0"}])
def test_metadata_that_can_t_be_stored_are_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(EntryError):
        stored(Entry(input="i", metadata=metadata))


def test_messages_that_are_nested_too_deep_stay_as_they_are() -> None:
    value: Any = {"role": "user", "content": "deep"}
    for _ in range(100):
        value = {"messages": [value]}

    assert "deep" in last_text(value, "user")
