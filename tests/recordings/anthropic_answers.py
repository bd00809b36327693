"""What Anthropic's Messages API answers: bodies, and the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from recordings.cases import APIS, TOOL_ARGUMENTS, TOOL_NAME, Turn, Usage
from recordings.openai_answers import new_id, parts

ERROR_TYPES = {400: "invalid_request_error", 429: "rate_limit_error", 500: "api_error"}


def error(status: int, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": ERROR_TYPES[status], "message": message}, "request_id": new_id("req")}


def message(turn: Turn) -> dict[str, Any]:
    """Return a message."""
    usage = {**_input_usage(turn.usage), **_output_usage(turn.usage), "service_tier": "standard"}
    return _message([_block(turn)], _stop_reason(turn), usage)


def message_events(turn: Turn) -> Iterator[str]:
    """Yield the events of a streamed message: what the input used comes first, all of the usage last."""
    block = _block(turn)
    if turn.calls_tool:
        empty = {**block, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts(json.dumps(TOOL_ARGUMENTS))]
    else:
        empty = {**block, "text": ""}
        deltas = [{"type": "text_delta", "text": part} for part in parts(turn.text)]
    yield _event("message_start", message=_message([], None, {**_input_usage(turn.usage), "output_tokens": 1}))
    yield _event("content_block_start", index=0, content_block=empty)
    yield _event("ping")
    for delta in deltas:
        yield _event("content_block_delta", index=0, delta=delta)
    yield _event("content_block_stop", index=0)
    stopped = {"stop_reason": _stop_reason(turn), "stop_sequence": None}
    yield _event("message_delta", delta=stopped, usage={**_input_usage(turn.usage), **_output_usage(turn.usage)})
    yield _event("message_stop")


def _message(content: list[dict[str, Any]], stop_reason: str | None, usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": new_id("msg"),
        "type": "message",
        "role": "assistant",
        "model": APIS["messages"].response_model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
    }


def _stop_reason(turn: Turn) -> str:
    return APIS["messages"].finish_reasons[turn.calls_tool]


def _block(turn: Turn) -> dict[str, Any]:
    if turn.calls_tool:
        return {"type": "tool_use", "id": new_id("toolu"), "name": TOOL_NAME, "input": TOOL_ARGUMENTS}
    return {"type": "text", "text": turn.text}


def _input_usage(usage: Usage) -> dict[str, Any]:
    """Return the input's buckets: here they are disjoint, and `input_tokens` is what no cache had part in."""
    return {
        "input_tokens": usage.uncached,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write, "ephemeral_1h_input_tokens": 0},
    }


def _output_usage(usage: Usage) -> dict[str, Any]:
    return {"output_tokens": usage.output, "output_tokens_details": {"thinking_tokens": usage.reasoning}}


def _event(name: str, **content: object) -> str:
    return f"event: {name}\ndata: {json.dumps({'type': name, **content})}\n\n"
