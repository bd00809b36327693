"""What is common is read in compiled code as Python would read it; what is rare is left to Python."""

from __future__ import annotations

from typing import Any

import pytest
from collector_inputs import START_UNIX_NANO, decode, export, span
from dialect_cells import CELLS, body_of, name
from otlp_decoder.differences import first_difference
from otlp_decoder.inputs import received

from collector.otlp import derivation
from collector.request import Format
from schemas.dialects import READINGS, Member, Moment, Preface

KEYS = {reading.key for reading in READINGS if isinstance(reading, Member | Moment | Preface)}
INSTRUCTIONS, MESSAGES = "gen_ai.system_instructions", "gen_ai.input.messages"
USAGE, COST = "langfuse.observation.usage_details", "langfuse.observation.cost_details"
STARTED = "langfuse.observation.completion_start_time"
SAID = '[{"role":"user","content":"hi"}]'

COMMON: list[dict[str, Any]] = [
    {INSTRUCTIONS: '[{"type":"text","content":"Be brief."}]', MESSAGES: SAID},
    {INSTRUCTIONS: ' {"type":"text","content":"Be brief."} ', MESSAGES: f" {SAID}\n"},
    {INSTRUCTIONS: 'Be brief. "é"', MESSAGES: "[]"},
    {INSTRUCTIONS: "true to life", MESSAGES: "a plain text"},
    {INSTRUCTIONS: '["a"]', MESSAGES: '[{"content":[],"role":"system"},{"role":"user"}]'},
    {INSTRUCTIONS: '["a"]', MESSAGES: '[{"role":"system","content":"x","role":"user"}]'},
    {INSTRUCTIONS: [{"type": "text", "content": "Be brief."}], MESSAGES: [{"role": "user"}]},
    {INSTRUCTIONS: "[ ]", MESSAGES: SAID},
    {INSTRUCTIONS: "Be brief."},
    {USAGE: '{"input":1,"input_cached_tokens":2,"output":3,"output_reasoning_tokens":1}'},
    {USAGE: {"input": 1, "output": 2}},
    {USAGE: '{"prompt_tokens":"7","completion_tokens":null,"total":true}'},
    {USAGE: '{"input":1000000000000,"input_b":1,"prompt_tokens":5}'},
    {USAGE: "not JSON"},
    {USAGE: 5},
    {COST: '{"input":0.00042750000000000004,"output":0.30000000000000004}'},
    {STARTED: "2026-11-21T12:00:01Z"},
    {STARTED: '"2026-11-21T13:00:01.250+01:00"'},
    {STARTED: "2026-11-21T12:00:01.000001"},
    {"mlflow.spanType": '"LLM"', "mlflow.llm.model": "gpt-4o"},
    {"llm.invocation_parameters": '{"temperature":0.5,"model_name":"gpt-4o"}'},
    {"ai.response.providerMetadata": '{"openai":{"cachedPromptTokens":3},"anthropic":{"usage":{"x":{"y":{}}}}}'},
]
RARE: list[dict[str, Any]] = [
    {COST: '{"input":0.00042750000000000003}'},
    {COST: '{"input":1e-1}', "gen_ai.usage.cost": 0.5},
    {INSTRUCTIONS: '"Be brief."', MESSAGES: SAID},
    {INSTRUCTIONS: "[1e5]", MESSAGES: SAID},
    {INSTRUCTIONS: '["a"]', MESSAGES: '[{"ro\\u006ce":"system"}]'},
    {INSTRUCTIONS: '["a"]', MESSAGES: '["\\ud800"]'},
    {INSTRUCTIONS: '["a"]', MESSAGES: "[" * 70 + "]" * 70},
    {USAGE: '{"input":1,"input":2}'},
    {USAGE: '{"in\\u0070ut":1}'},
    {USAGE: '{"input":-1}'},
    {USAGE: '{"input":1'},
    {USAGE: "{" + ",".join(f'"input{n}":1' for n in range(100)) + "}"},
    {STARTED: "2026-11-21 12:00:01Z"},
    {STARTED: "2028-02-29T12:00:01Z"},
    {"mlflow.llm.model": 5},
    {"ai.response.providerMetadata": '{"openai":{"x":1},"openai":{"cachedPromptTokens":3}}'},
    {"ai.response.providerMetadata": '{"openai.cachedPromptTokens":3}'},
]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is given to Python to read."""
    given: list[object] = []
    original = derivation.derived

    def derived(attributes: Any, *others: Any, **named: Any) -> Any:
        given.append(attributes)
        return original(attributes, *others, **named)

    monkeypatch.setattr(derivation, "derived", derived)
    return given


@pytest.mark.parametrize("attributes", COMMON, ids=str)
def test_what_is_common_is_read_as_python_reads_it(attributes: dict[str, Any], read: list[object]) -> None:
    sent = span(attributes)
    sent.start_time_unix_nano = START_UNIX_NANO

    assert first_difference([received(export(sent))]) is None
    assert not read


@pytest.mark.parametrize("attributes", RARE, ids=str)
def test_what_is_rare_is_left_to_python(attributes: dict[str, Any], read: list[object]) -> None:
    sent = span(attributes)
    sent.start_time_unix_nano = START_UNIX_NANO

    assert first_difference([received(export(sent))]) is None
    assert read


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell["key"] in KEYS and not cell.get("events")], ids=name)
def test_what_the_libraries_send_is_not_left_to_python(cell: dict[str, Any], read: list[object]) -> None:
    decode(body_of(cell), Format.OTLP_PROTOBUF)

    assert not read
