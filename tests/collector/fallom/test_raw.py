"""Raw bodies in every provider's shape to columns: a fixture a shape, what they must become beside what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from client_messages import otlp_json
from collector_inputs import START_UNIX_NANO, decode, export, flat_trace, sent_attributes, span, stored
from genai_prices import extract_usage
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.fallom.raw import raw_columns
from collector.request import Format

FIXTURES = sorted((Path(__file__).parent / "raw").glob("*.json"))
JSON_COLUMNS = ("tool_calls", "phases")
COUNTS = st.integers(0, 10**9)


def as_sent(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes with their raw bodies as texts."""
    return {
        name: orjson.dumps(value).decode() if name.startswith("fallom.raw.") else value
        for name, value in attributes.items()
    }


def row_of(attributes: Mapping[str, Any], **trace: Any) -> dict[str, Any]:
    """Return the row of a flat trace, its raw bodies sent as texts."""
    sent = as_sent(attributes)
    (row,) = stored(decode(flat_trace(attributes=sent, **trace), Format.JSON_TRACES))
    assert sent_attributes(row) == sent
    return row


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_raw_bodies_fill_the_columns(path: Path) -> None:
    fixture = orjson.loads(path.read_bytes())

    row = row_of(**fixture["trace"])

    for name, expected in fixture["columns"].items():
        is_json = name in JSON_COLUMNS or isinstance(expected, list | dict)
        found = orjson.loads(row[name]) if is_json and row[name] is not None else row[name]
        assert (name, found) == (name, expected)


@pytest.mark.parametrize("body_format", [Format.OTLP_PROTOBUF, Format.JSON_TRACES])
@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_raw_bodies_fill_the_same_columns_as_attributes_of_otlp(path: Path, body_format: Format) -> None:
    fixture = orjson.loads(path.read_bytes())
    flat = row_of(**fixture["trace"])
    attributes = fixture["trace"]["attributes"]
    sent = as_sent(attributes) | ({"gen_ai.response.model": flat["response_model"]} if flat["response_model"] else {})
    duration_ns = flat["duration_ns"]

    body = export(
        span(sent, end_time_unix_nano=START_UNIX_NANO + duration_ns),
        span({"a": 1}),
        scope_name="fallom",
    )
    document = otlp_json(ExportTraceServiceRequest.FromString(body))
    row, other = stored(decode(body if body_format is Format.OTLP_PROTOBUF else document, body_format))

    assert {name: row[name] for name in fixture["columns"]} == {name: flat[name] for name in fixture["columns"]}
    assert sent_attributes(row) == sent
    assert (other["input_tokens"], other["phases"], other["attributes"]) == (None, None, '{"a":1}')


def test_every_shape_has_its_fixture() -> None:
    assert {path.stem for path in FIXTURES} >= {
        "ai_sdk_4",
        "ai_sdk_5_anthropic",
        "ai_sdk_5_google",
        "ai_sdk_6",
        "anthropic",
        "bedrock",
        "google",
        "google_python",
        "langchain",
        "mastra",
        "openai_chat",
        "openai_responses",
    }


def tokens(usage: object) -> tuple[object, ...]:
    row = row_of({"fallom.raw.usage": usage})
    names = ("input_tokens", "output_tokens", "total_tokens", "cache_read_tokens", "cache_write_tokens")
    return tuple(row[name] for name in (*names, "reasoning_tokens"))


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param({"prompt_tokens": 5, "total_tokens": 5}, (5, None, 5, None, None, None), id="openai embeddings"),
        pytest.param(
            {"input_tokens": 10, "output_tokens": 9, "cache_read_input_tokens": None, "cache_creation_input_tokens": 0},
            (10, 9, 19, None, 0, None),
            id="anthropic without cache",
        ),
        pytest.param(
            {"input_tokens": 10, "output_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 3}},
            (13, 9, 22, None, 3, None),
            id="anthropic by the cache's life",
        ),
        pytest.param({}, (None,) * 6, id="none"),
        pytest.param({"prompt_tokens": 0, "completion_tokens": 0}, (0, 0, 0, None, None, None), id="zeros"),
        pytest.param({"prompt_tokens": -1, "completion_tokens": "x"}, (None,) * 6, id="nonsense"),
        pytest.param({"prompt_tokens": 1e300, "input_tokens": 3}, (3, None, 3, *[None] * 3), id="the next key"),
        pytest.param({"prompt_tokens_details": [1], "input_tokens": [2]}, (None,) * 6, id="wrong types"),
    ],
)
def test_a_usage_fills_what_it_tells(usage: object, expected: tuple[object, ...]) -> None:
    assert tokens(usage) == expected


@settings(deadline=None)
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


@settings(deadline=None)
@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_google_usage_is_counted_as_genai_prices_counts_it(
    prompt: int, for_tools: int, candidates: int, thoughts: int
) -> None:
    usage = {
        "promptTokenCount": prompt,
        "toolUsePromptTokenCount": for_tools,
        "candidatesTokenCount": candidates,
        "thoughtsTokenCount": thoughts,
    }

    found = tokens(usage)

    theirs = extract_usage({"usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}, provider_id="google").usage
    assert found[:2] == (theirs.input_tokens, theirs.output_tokens)


@pytest.mark.parametrize(
    "value", ["", "not json", "[1]", "1", "null", '{"a":', '{"prompt_tokens": NaN}', None, 7, True, [1], "\ud800"]
)
def test_a_raw_body_of_no_known_shape_fills_nothing(value: object) -> None:
    names = ("usage", "request", "response", "timings", "providerMetadata")

    columns = raw_columns({f"fallom.raw.{name}": value for name in names} | {"fallom.method": value})

    assert columns == {}


@pytest.mark.parametrize("depth", [200, 400, 1000, 5000])
@pytest.mark.parametrize("name", ["usage", "request", "response", "timings", "providerMetadata"])
def test_a_body_that_is_nested_deep_is_read_or_left(name: str, depth: int) -> None:
    nested = '{"content":' * depth + "1" + "}" * depth
    body = f'{{"messages":[{nested}],"system":{nested},"text":{nested},"toolCalls":[{{"name":"f","args":{nested}}}]}}'

    columns = raw_columns({f"fallom.raw.{name}": body})

    assert columns.keys() <= {"input", "output", "tool_calls"}


def test_a_raw_body_may_come_as_an_object() -> None:
    columns = raw_columns({"fallom.raw.usage": {"prompt_tokens": 3}, "fallom.raw.request": {"model": "gpt-4o"}})

    assert columns == {"input_tokens": 3, "request_model": "gpt-4o", "token_rule": "included"}


def test_attributes_go_before_raw_bodies_and_their_counts_have_their_own_rule() -> None:
    usage = {"input_tokens": 10, "output_tokens": 9, "cache_read_input_tokens": 8}

    row = row_of({"gen_ai.usage.input_tokens": 18, "gen_ai.usage.output_tokens": 9, "fallom.raw.usage": usage})

    assert (row["input_tokens"], row["uncached_input_tokens"], row["token_rule"]) == (18, 10, "included")


@pytest.mark.parametrize(
    ("attributes", "provider"),
    [
        ({"fallom.method": "chat.completions.create"}, "openai"),
        ({"fallom.method": "responses.create"}, "openai"),
        ({"fallom.method": "messages.create"}, "anthropic"),
        ({"fallom.method": "generateContent"}, "google"),
        ({"fallom.method": "generateText"}, None),
        ({"fallom.method": "generateText", "fallom.raw.providerMetadata": {"google": {}}}, "google"),
        ({"fallom.method": "generateText", "fallom.raw.providerMetadata": {"gateway": {}, "openai": {}}}, None),
        ({"fallom.method": "chat.completions.create", "fallom.integration": "langchain"}, None),
        ({"fallom.method": None}, None),
    ],
)
def test_a_client_s_method_or_the_provider_s_own_metadata_name_the_provider(
    attributes: dict[str, object], provider: str | None
) -> None:
    assert raw_columns(attributes).get("provider") == provider


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"finishReason": "stop"}, "stop"),
        ({"finish_reason": "length"}, "length"),
        ({"stop_reason": "end_turn"}, "end_turn"),
        ({"stopReason": "max_tokens"}, "max_tokens"),
        ({"finishReason": {"unified": "tool-calls", "raw": "tool_use"}}, "tool-calls"),
        ({"choices": [{"finish_reason": "content_filter"}]}, "content_filter"),
        ({"candidates": [{"finishReason": "SAFETY"}]}, "SAFETY"),
        ({"steps": [{"finishReason": "tool-calls"}, {"finishReason": "stop"}]}, "stop"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "max_output_tokens"),
        ({"status": "completed"}, "completed"),
        ({"finishReason": 7, "choices": "x"}, None),
    ],
)
def test_the_reason_to_stop_is_found_in_every_spelling(response: dict[str, Any], reason: str | None) -> None:
    assert raw_columns({"fallom.raw.response": response}).get("finish_reason") == reason


@pytest.mark.parametrize(
    ("request_body", "response_body", "content"),
    [
        ({"messages": [{"role": "user"}], "prompt": "p"}, {"text": "t"}, ('[{"role":"user"}]', "t")),
        ({"input": "i"}, {"text": None, "toolCalls": [{"id": 1}]}, ("i", '[{"id":1}]')),
        ({"prompt": "p"}, {"text": "", "output": {"a": 1}}, ("p", '{"a":1}')),
        ({"contents": ["c"]}, {"text": "", "toolCalls": []}, ('["c"]', None)),
        ({"system": "s"}, {"object": {"a": 1}}, ('[{"role":"system","content":"s"}]', '{"a":1}')),
        ('"hi"', '"there"', ("hi", "there")),
        ({"prompts": ["p"]}, {"choices": [{"message": {"content": "c"}}]}, ('["p"]', "c")),
        (
            {"system": "s", "messages": [{"role": "system", "content": "s"}]},
            {"steps": [{"text": "a"}, {"text": ""}]},
            ('[{"role":"system","content":"s"}]', "a"),
        ),
    ],
)
def test_content_is_the_first_that_is_there(
    request_body: Any, response_body: Any, content: tuple[str | None, str | None]
) -> None:
    columns = raw_columns({"fallom.raw.request": request_body, "fallom.raw.response": response_body})

    assert (columns.get("input"), columns.get("output")) == content


CALL = [{"id": "c", "name": "f", "arguments": {"a": 1}}]


@pytest.mark.parametrize(
    ("response", "calls"),
    [
        ({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a":1}'}}]}, CALL),
        ({"functionCall": {"name": "f", "arguments": "x"}}, [{"id": None, "name": "f", "arguments": "x"}]),
        ({"content": [{"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}, {"type": "text"}]}, CALL),
        ({"choices": [{"message": {"tool_calls": [{"id": "c", "name": "f", "args": {"a": 1}}]}}]}, CALL),
        ({"toolCalls": [{"id": 7}, "x", None, {"name": ["f"]}]}, None),
        ({"toolCalls": {"name": "f"}, "steps": "x", "candidates": [{"content": 1}]}, None),
    ],
)
def test_calls_of_tools_are_found_in_every_shape(response: dict[str, Any], calls: Any) -> None:
    found = raw_columns({"fallom.raw.response": response}).get("tool_calls")

    assert (orjson.loads(found) if isinstance(found, str) else found) == calls


def test_without_content_the_timings_tell_which_tools_were_called() -> None:
    columns = raw_columns({"fallom.raw.timings": {"toolCalls": [{"id": "c", "name": "f", "callTime": 0}]}})

    assert columns["tool_calls"] == '[{"id":"c","name":"f","arguments":null}]'


def times(timings: dict[str, Any], duration_ms: float | None = 100) -> tuple[object, Any]:
    columns = raw_columns({"fallom.raw.timings": timings}, duration_ms)
    phases = orjson.loads(str(columns.get("phases", "[]")))
    return columns.get("time_to_first_token_ns"), [(each["name"], each["start_ms"], each["end_ms"]) for each in phases]


@pytest.mark.parametrize(
    ("timings", "expected"),
    [
        ({}, (None, [])),
        (
            {"requestStart": 0, "requestEnd": 40, "responseEnd": 100},
            (None, [("request", 0, 40), ("response", 40, 100)]),
        ),
        (
            {"requestStart": 1000, "firstTokenTime": 1012.5, "responseEnd": 1100},
            (12_500_000, [("time to first token", 0, 12.5), ("response", 12.5, 100)]),
        ),
        ({"firstTokenTime": 0, "responseEnd": 50}, (None, [("request", 0, 50)])),
        ({"requestStart": 60, "firstTokenTime": 50, "responseEnd": 100}, (None, [("request", 0, 40)])),
        ({"firstTokenTime": 5000, "responseEnd": 100}, (None, [("request", 0, 100)])),
        ({"firstTokenTime": 1e300, "responseEnd": -5, "requestStart": "x"}, (None, [])),
        ({"responseEnd": 1e15}, (None, [])),
        (
            {"steps": [{"startMs": 0, "endMs": 30}, {"startMs": 40, "durationMs": 20}]},
            (None, [("step 1", 0, 30), ("step 2", 40, 60)]),
        ),
        (
            {"toolTimings": [{"name": "f", "startTime": 30, "endTime": 20}, {"startMs": 1, "endMs": 9}, {"name": "g"}]},
            (None, [("tool 2", 1, 9)]),
        ),
        ({"phases": [7, None, {"label": "x" * 999, "startMs": 0, "endMs": 1}]}, (None, [("x" * 200, 0, 1)])),
        ({"phases": "x", "steps": {"a": 1}, "toolCalls": 5}, (None, [])),
    ],
)
def test_a_call_s_course_holds_what_can_be(timings: dict[str, Any], expected: object) -> None:
    assert times(timings) == expected


def test_phases_are_at_most_so_many() -> None:
    _, phases = times({"phases": [{"name": str(number), "startMs": 0, "endMs": 1} for number in range(1000)]})

    assert len(phases) == 256


NUMBERS = st.none() | st.integers(-50, 200) | st.floats() | st.text(max_size=3) | st.booleans()
ENTRIES = st.lists(
    st.dictionaries(st.sampled_from(["name", "label", "type", "startMs", "endMs", "startTime", "duration"]), NUMBERS),
    max_size=4,
)
NAMES = ["requestStart", "requestEnd", "firstTokenTime", "responseEnd", "totalDurationMs"]


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(NAMES), NUMBERS),
    st.dictionaries(st.sampled_from(["phases", "toolTimings", "toolCalls", "steps"]), ENTRIES),
    st.none() | st.floats(0, 1e6),
)
def test_no_phase_begins_before_its_call_or_ends_before_it_begins(
    own: dict[str, Any], lists: dict[str, Any], duration_ms: float | None
) -> None:
    first_ns, phases = times(own | lists, duration_ms)

    assert first_ns is None or (isinstance(first_ns, int) and first_ns > 0)
    for name, start_ms, end_ms in phases:
        assert name
        assert 0 <= start_ms <= end_ms
        assert duration_ms is None or end_ms <= duration_ms + 10
