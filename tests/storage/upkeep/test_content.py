"""Content retention: what was said is gone from wherever it stood, the rest of the span is as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lake_parts import span_rows
from upkeep_lake import NOW, TODAY, UpkeepLake, day

from schemas.log_records import LOG_RECORDS
from schemas.spans import SPANS
from storage.upkeep.compaction import FILES_A_MERGE, compact
from storage.upkeep.content import remove_old_content, without_content

SAID = "something that was said"


@pytest.fixture
def lake(tmp_path: Path) -> UpkeepLake:
    return UpkeepLake(tmp_path / "lake")


def stripped(**columns: Any) -> dict[str, Any]:
    spans = pa.Table.from_batches([span_rows(1, **columns)])
    (row,) = without_content(spans).to_pylist()
    assert without_content(without_content(spans)).to_pylist() == [row]
    found: dict[str, Any] = row
    return found


def test_input_and_output_are_null_and_all_else_stays() -> None:
    before = span_rows(1, tags=["a"], metadata='{"a":1}', cost=0.5).to_pylist()[0]

    after = stripped(input=SAID, output=SAID, tags=["a"], metadata='{"a":1}', cost=0.5)

    assert {**after, "received_at": None} == {**before, "received_at": None}


@pytest.mark.parametrize(
    "key",
    [
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.tool.call.arguments",
        "gen_ai.prompt.0.content",
        "gen_ai.completion.12.content",
        "llm.input_messages.0.message.content",
        "llm.output_messages.3.message.tool_calls.0.function.arguments",
        "input.value",
        "output.value",
        "traceloop.entity.input",
        "traceloop.entity.output",
        "ai.prompt",
        "ai.prompt.messages",
        "ai.response.text",
        "ai.response.object",
        "ai.toolCall.args",
    ],
)
def test_attributes_that_are_content_are_removed(key: str) -> None:
    attributes = {key: SAID, "gen_ai.request.model": "m", "gen_ai.prompt.name": "greeting"}

    assert json.loads(stripped(attributes=json.dumps(attributes))["attributes"]) == {
        "gen_ai.request.model": "m",
        "gen_ai.prompt.name": "greeting",
    }
    twice = json.dumps({"$kvlist": [[key, SAID], ["a", 1], ["a", 2]]})
    assert json.loads(stripped(attributes=twice)["attributes"]) == {"$kvlist": [["a", 1], ["a", 2]]}


def test_messages_in_events_are_removed_and_other_events_stay() -> None:
    exception = {"name": "exception", "time_unix_nano": 1, "attributes": {"exception.type": "ValueError"}}
    events = [
        {"name": "gen_ai.user.message", "time_unix_nano": 1, "attributes": {"content": SAID, "role": "user"}},
        {"name": "gen_ai.choice", "time_unix_nano": 2, "attributes": {"message": SAID}},
        {"name": "gen_ai.content.prompt", "time_unix_nano": 2, "attributes": {"gen_ai.prompt": SAID}},
        {"name": "anything", "time_unix_nano": 3, "attributes": {"gen_ai.input.messages": SAID, "a": 1}},
        exception,
    ]

    after = json.loads(stripped(events=json.dumps(events))["events"])

    assert SAID not in json.dumps(after)
    assert [event["name"] for event in after] == [event["name"] for event in events]
    assert (after[3]["attributes"], after[4]) == ({"a": 1}, exception)


def test_attributes_without_content_stay_byte_for_byte() -> None:
    text = '{"a": 123456789012345678901234567890, "b": 1.0, "c": {"$double": "NaN"}}'

    assert stripped(attributes=text)["attributes"] == text


def test_what_can_t_be_searched_is_removed() -> None:
    assert stripped(attributes='{"input.value": "' + SAID)["attributes"] is None


def test_only_old_content_is_removed_and_no_file_is_rewritten_twice(lake: UpkeepLake) -> None:
    for number, days_ago in enumerate((0, 7, 8, 9)):
        lake.commit_spans(number, date=day(days_ago), input=SAID, cost=0.5)

    assert remove_old_content(lake.rewriter, days=7, today=TODAY) == 2
    assert remove_old_content(lake.rewriter, days=7, today=TODAY) == 0

    found = dict(zip(*(lake.rows()[name].to_pylist() for name in ("content_hash", "input")), strict=True))
    assert found == {0: SAID, 1: SAID, 2: None, 3: None}
    assert lake.rollup_is_fresh()


def test_a_span_that_comes_late_to_an_old_day_loses_its_content_too(lake: UpkeepLake) -> None:
    lake.commit_spans(1, date=day(9), input=SAID)
    remove_old_content(lake.rewriter, days=7, today=TODAY)
    for number in range(FILES_A_MERGE - 1):
        lake.commit_spans(10 + number, date=day(9), input=SAID)

    compact(lake.rewriter, SPANS, NOW)
    remove_old_content(lake.rewriter, days=7, today=TODAY)

    assert lake.rows()["input"].null_count == FILES_A_MERGE
    assert remove_old_content(lake.rewriter, days=7, today=TODAY) == 0


def test_merged_files_without_content_are_known_as_such(lake: UpkeepLake) -> None:
    for number in range(FILES_A_MERGE):
        lake.commit_spans(number, date=day(9), input=SAID)
    remove_old_content(lake.rewriter, days=7, today=TODAY)

    assert compact(lake.rewriter, SPANS, NOW) == FILES_A_MERGE

    assert remove_old_content(lake.rewriter, days=7, today=TODAY) == 0


@pytest.mark.parametrize("item", [5, None, {}, [], "text", ["input.value", SAID]], ids=json.dumps)
def test_of_a_list_that_a_client_made_look_like_pairs_only_pairs_stay(item: Any) -> None:
    kept = stripped(attributes=json.dumps({"$kvlist": [item, ["tenant", "acme"]]}))["attributes"]

    assert json.loads(kept) == {"$kvlist": [["tenant", "acme"]]}


LOGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"body": SAID, "event_name": "gen_ai.user.message", "attributes": json.dumps({"content": SAID})}, {}),
    ({"body": json.dumps({"content": SAID}), "body_type": "kvlist", "event_name": "gen_ai.other"}, {}),
    (
        {"body": json.dumps({"gen_ai.prompt": SAID, "a": 1}), "body_type": "kvlist"},
        {"body": '{"a":1}', "body_type": "kvlist"},
    ),
    ({"attributes": json.dumps({"input.value": SAID, "a": 1})}, {"attributes": '{"a":1}'}),
    ({"body": "a line", "body_type": "string"}, {"body": "a line", "body_type": "string"}),
    ({"body": "{no JSON", "body_type": "string"}, {"body": "{no JSON", "body_type": "string"}),
]


def test_of_log_records_the_messages_go_and_all_else_stays(lake: UpkeepLake) -> None:
    rows = [{"date": day(8), "severity_text": str(number)} | row for number, (row, _) in enumerate(LOGS)]
    lake.commit(LOG_RECORDS, pa.RecordBatch.from_pylist(rows, schema=LOG_RECORDS.schema))
    new = {"date": TODAY, "event_name": "gen_ai.user.message", "body": SAID, "severity_text": "new"}
    lake.commit(LOG_RECORDS, pa.RecordBatch.from_pylist([new], schema=LOG_RECORDS.schema))

    rewritten = remove_old_content(lake.rewriter, days=7, today=TODAY)
    again = remove_old_content(lake.rewriter, days=7, today=TODAY)

    found = {row["severity_text"]: row for row in lake.rows(LOG_RECORDS).to_pylist()}
    assert (rewritten, again) == (1, 0)
    assert found.pop("new")["body"] == SAID
    assert SAID not in str(found)
    for number, (_, expected) in enumerate(LOGS):
        assert {name: found[str(number)][name] for name in expected} == expected
    assert found["0"]["event_name"] == "gen_ai.user.message"
