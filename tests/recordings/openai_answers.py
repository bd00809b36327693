"""What OpenAI's two APIs answer: bodies, and the events of a stream."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from recordings.cases import APIS, TOOL_ARGUMENTS, TOOL_NAME, Turn, Usage

CREATED = 1_790_000_000
# Instrumentors keep what belongs together by its id.
_NUMBERS = itertools.count(1)
ERROR_TYPES = {400: "invalid_request_error", 429: "rate_limit_error", 500: "server_error"}


def error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": ERROR_TYPES[status], "param": None, "code": None}}


def chat(turn: Turn) -> dict[str, Any]:
    """Return a chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": turn.text or None, "refusal": None}
    if turn.calls_tool:
        message["tool_calls"] = [_chat_tool_call()]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _chat_finish(turn)}
    return {**_chat_envelope("chat.completion"), "choices": [choice], "usage": _chat_usage(turn.usage)}


def chat_events(turn: Turn, body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the events of a streamed chat completion; its usage only where the request asks for it."""
    deltas: list[dict[str, Any]]
    if turn.calls_tool:
        call = _chat_tool_call()
        arguments = call["function"].pop("arguments")
        deltas = [{"tool_calls": [{"index": 0, **call, "function": {**call["function"], "arguments": ""}}]}]
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in parts(arguments)]
    else:
        deltas = [{"content": part} for part in parts(turn.text)]
    envelope = _chat_envelope("chat.completion.chunk")
    for number, delta in enumerate(deltas):
        role = {"role": "assistant", "refusal": None} if number == 0 else {}
        yield _data({**envelope, "choices": [_chunk_choice({**role, **delta}, None)]})
    yield _data({**envelope, "choices": [_chunk_choice({}, _chat_finish(turn))]})
    if (body.get("stream_options") or {}).get("include_usage"):
        yield _data({**envelope, "choices": [], "usage": _chat_usage(turn.usage)})
    yield "data: [DONE]\n\n"


def response(turn: Turn) -> dict[str, Any]:
    """Return a response of the Responses API."""
    return _response(new_id("resp"), "completed", [_output_item(turn)], _response_usage(turn.usage))


def response_events(turn: Turn) -> Iterator[str]:
    """Yield the events of a streamed response."""
    item = _output_item(turn)
    identifier = new_id("resp")
    place = {"output_index": 0, "item_id": item["id"]}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response(identifier, "in_progress", [], None)},
        {"type": "response.in_progress", "response": _response(identifier, "in_progress", [], None)},
    ]
    if turn.calls_tool:
        name = "response.function_call_arguments"
        begun = {**item, "status": "in_progress", "arguments": ""}
        events.append({"type": "response.output_item.added", "output_index": 0, "item": begun})
        events += [{"type": f"{name}.delta", **place, "delta": part} for part in parts(item["arguments"])]
        events.append({"type": f"{name}.done", **place, "name": TOOL_NAME, "arguments": item["arguments"]})
    else:
        (content,) = item["content"]
        begun = {**item, "status": "in_progress", "content": []}
        place["content_index"] = 0
        events.append({"type": "response.output_item.added", "output_index": 0, "item": begun})
        events.append({"type": "response.content_part.added", **place, "part": {**content, "text": ""}})
        for part in parts(turn.text):
            events.append({"type": "response.output_text.delta", **place, "delta": part, "logprobs": []})
        events.append({"type": "response.output_text.done", **place, "text": turn.text, "logprobs": []})
        events.append({"type": "response.content_part.done", **place, "part": content})
    events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    completed = _response(identifier, "completed", [item], _response_usage(turn.usage))
    events.append({"type": "response.completed", "response": completed})
    for number, event in enumerate(events):
        yield f"event: {event['type']}\n" + _data({**event, "sequence_number": number})


def new_id(prefix: str) -> str:
    """Return an id that no other answer has."""
    return f"{prefix}_{next(_NUMBERS):06d}"


def parts(text: str) -> list[str]:
    """Return the text in four parts."""
    size = -(-len(text) // 4)
    return [text[start : start + size] for start in range(0, len(text), size)]


def _chat_finish(turn: Turn) -> str:
    return APIS["chat"].finish_reasons[turn.calls_tool]


def _chat_envelope(kind: str) -> dict[str, Any]:
    return {"id": new_id("chatcmpl"), "object": kind, "created": CREATED, "model": APIS["chat"].response_model}


def _chunk_choice(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _chat_tool_call() -> dict[str, Any]:
    function = {"name": TOOL_NAME, "arguments": json.dumps(TOOL_ARGUMENTS)}
    return {"id": new_id("call"), "type": "function", "function": function}


def _chat_usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def _response(
    identifier: str, status: str, output: list[dict[str, Any]], usage: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "id": identifier,
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": APIS["responses"].response_model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "user": None,
        "metadata": {},
    }


def _output_item(turn: Turn) -> dict[str, Any]:
    if turn.calls_tool:
        called = {"call_id": new_id("call"), "name": TOOL_NAME, "arguments": json.dumps(TOOL_ARGUMENTS)}
        return {"type": "function_call", "id": new_id("fc"), "status": "completed", **called}
    content = {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}
    return {"type": "message", "id": new_id("msg"), "status": "completed", "role": "assistant", "content": [content]}


def _response_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


def _data(content: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(content)}\n\n"
