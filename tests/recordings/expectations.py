"""What a row must say of a call: what the provider served, less what the instrumentor does not tell of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import pytest
from genai_prices import Usage as PricedUsage
from genai_prices import calc_price
from recordings.cases import APIS, CASES, FIRST_TOKEN_MS, SYSTEM, TOOL_ARGUMENTS, TOOL_NAME, Api, Turn, Usage
from recordings.deviations import DEVIATIONS
from recordings.provider import Served

Row = Mapping[str, Any]

TOKENS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "visible_output_tokens",
    "reasoning_tokens",
)
PARTS = ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
# All spellings of the two reasons; a provider's own is one of them.
STOPPED = ("stop", "end_turn", "completed", "STOP")
CALLED_TOOL = ("tool_calls", "tool_call", "tool-calls", "tool_use")
CLOCK_SLACK_NS = 2_000_000


def expected(run: str, call: str, turn: int) -> dict[str, Any]:
    """Return what the row of a call's turn must say, in the form of ``found``."""
    api_name, case_name = call.split(".")
    api, case = APIS[api_name], CASES[case_name]
    facts: dict[str, Any] = {
        "provider": api.provider,
        "request_model": api.request_model,
        "input lacks": [],
    }
    if case.status == 200:
        facts |= _answered(api, case.turns[turn], streamed=case.streamed)
    else:
        facts |= {"error": True, "message told": True, "tokens": dict.fromkeys(TOKENS), "cost": None}
    deviations = _deviations(run, call)
    facts |= {name: value for name, value in deviations.items() if name in facts}
    if case.status == 200:
        facts["tokens"] = _told(facts["tokens"], deviations)
        facts["cost"] = _cost(facts["tokens"], api.provider, api.response_model)
    return facts


def found(row: Row, call: str, turn: int, served: Sequence[Served]) -> dict[str, Any]:
    """Return what the row says of a call's turn."""
    api_name, case_name = call.split(".")
    case = CASES[case_name]
    facts: dict[str, Any] = {
        "provider": _provider(row["provider"]),
        "request_model": row["request_model"],
        "input lacks": lacks(row["input"], (SYSTEM, case.prompt)),
        "cost": row["cost"],
    }
    if case.status != 200:
        return facts | {
            "error": row["status_code"] == "error" and row["error_type"] is not None,
            "tokens": {name: row[name] for name in TOKENS},
            "message told": case.error in (row["status_message"] or "") + (row["events"] or ""),
        }
    answer = case.turns[turn]
    return facts | {
        "error": row["status_code"] == "error" or row["error_type"] is not None,
        "is_streaming": bool(row["is_streaming"]),
        "response_model": row["response_model"],
        "finish_reason": _finish(row["finish_reason"]),
        "output lacks": lacks(row["output"], () if answer.calls_tool else (answer.text,)),
        "tool_calls": _tool_calls(row["tool_calls"]),
        "first token": _first_token(row, served[turn]),
        "tokens": _tokens(row, APIS[api_name].told(answer.usage)),
    }


def lacks(content: str | None, texts: Sequence[str]) -> list[str]:
    """Return which of the texts stand nowhere in the content, whole."""
    said = set(_texts(content))
    return [text for text in texts if text not in said]


def _tokens(row: Row, usage: Usage) -> dict[str, int | None]:
    """Return the counts; a part of which there was none may be left out or said to be 0."""
    tokens = {name: row[name] for name in TOKENS}
    for name, count in zip(PARTS, (usage.cache_read, usage.cache_write, usage.reasoning), strict=True):
        if count == 0 and tokens[name] is None:
            tokens[name] = 0
    return tokens


def _answered(api: Api, turn: Turn, *, streamed: bool) -> dict[str, Any]:
    usage = api.told(turn.usage)
    counts = (usage.uncached, usage.cache_read, usage.cache_write, usage.visible, usage.reasoning)
    return {
        "error": False,
        "is_streaming": streamed,
        "response_model": api.response_model,
        "finish_reason": _finish(api.finish_reasons[turn.calls_tool]),
        "output lacks": [],
        "tool_calls": [(TOOL_NAME, TOOL_ARGUMENTS)] if turn.calls_tool else None,
        "first token": "with its first chunk" if streamed else None,
        "tokens": dict(zip(TOKENS, (usage.input, usage.output, usage.input + usage.output, *counts), strict=True)),
    }


def _deviations(run: str, call: str) -> dict[str, Any]:
    """Return what is otherwise for this call; of several patterns that fit, the last says."""
    merged: dict[str, Any] = {}
    for pattern, facts in DEVIATIONS.get(run, {}).items():
        if fnmatchcase(call, pattern):
            merged |= facts
    return merged


def _told(tokens: Mapping[str, int], deviations: Mapping[str, Any]) -> dict[str, int | None]:
    """Return the counts with what is told otherwise, and what follows from that; all None where no total is told."""
    told: dict[str, Any] = {**tokens, **{name: deviations[name] for name in TOKENS[:2] if name in deviations}}
    if told["input_tokens"] is None:
        return dict.fromkeys(TOKENS) | dict.fromkeys(PARTS, 0)
    # A part of which there was none may be left out.
    told |= {name: deviations[name] for name in PARTS if name in deviations and tokens[name]}
    read, write, reasoning = (told[name] or 0 for name in PARTS)
    return told | {
        "total_tokens": told["input_tokens"] + told["output_tokens"],
        "uncached_input_tokens": told["input_tokens"] - read - write,
        "visible_output_tokens": told["output_tokens"] - reasoning,
    }


def _cost(tokens: Mapping[str, int | None], provider: str, model: str) -> Any:
    """Return the price of the tokens that are told; None where none are."""
    if tokens["input_tokens"] is None:
        return None
    usage = PricedUsage(**{name: tokens[name] for name in TOKENS[:2] + TOKENS[4:6]})
    return pytest.approx(float(calc_price(usage, model, provider_id=provider).total_price), rel=1e-9)


def _provider(name: str | None) -> str | None:
    """Return a provider without its API: the AI SDK says ``openai.chat``, Google's OpenTelemetry package ``gemini``."""
    return {"gemini": "google"}.get(name or "", name and name.partition(".")[0])


def _finish(reason: str | None) -> str | None:
    if reason in STOPPED:
        return "stopped"
    return "called a tool" if reason in CALLED_TOOL else reason


def _tool_calls(content: str | None) -> list[tuple[str, Any]] | None:
    if content is None:
        return None
    calls = json.loads(content)
    return [(call["name"], _parsed(call["arguments"])) for call in calls]


def _parsed(arguments: Any) -> Any:
    return json.loads(arguments) if isinstance(arguments, str) else arguments


def _first_token(row: Row, served: Served) -> str | None:
    if row["time_to_first_token_ns"] is None:
        return None
    # Some libraries' clocks start later than their spans, but none before the request is sent.
    if row["time_to_first_token_ns"] < FIRST_TOKEN_MS * 1_000_000 - CLOCK_SLACK_NS:
        return "before it was sent"
    came = row["start_time_unix_nano"] + row["time_to_first_token_ns"]
    return "with its first chunk" if came < served.last_sent_unix_nano else "after the last chunk was sent"


def _texts(content: Any) -> Iterator[str]:
    """Yield every text in a JSON value, and in the JSON values that its texts are."""
    if isinstance(content, str):
        yield content
        if content[:1] in ("{", "["):
            try:
                yield from _texts(json.loads(content))
            except ValueError:
                return
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from _texts(value)
    elif isinstance(content, list):
        for value in content:
            yield from _texts(value)
