"""What was said in a call, of libraries that send it as events (OTLP logs) and not with the span.

Such an event is stored as a span of its own below the call (operation ``event``): a message each, or all of them in
``gen_ai.client.inference.operation.details``, whose columns are those of any span. What the call itself says goes
before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

OPERATION = "event"
CONTENT = "gen_ai.event.content"
_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.choice": "assistant",
}
_ANSWER = "gen_ai.choice"

Call = tuple[str, str]


def content_of_events(rows: Iterable[Mapping[str, Any]]) -> dict[Call, tuple[str | None, str | None]]:
    """Return by trace and span the input and the output that events among the rows tell, as columns hold them.

    A row is a stored span, events in the order of time: what a system says comes first, since clocks are coarse.
    """
    asked: dict[Call, list[dict[str, Any]]] = {}
    answered: dict[Call, list[dict[str, Any]]] = {}
    whole: dict[Call, tuple[str | None, str | None]] = {}
    for row in rows:
        if row["operation"] != OPERATION or not row["parent_span_id"]:
            continue
        call = row["trace_id"], row["parent_span_id"]
        if row["input"] is not None or row["output"] is not None:
            whole[call] = row["input"], row["output"]
            continue
        message = _message(row)
        if message is not None:
            (answered if row["name"] == _ANSWER else asked).setdefault(call, []).append(message)
    for messages in asked.values():
        messages.sort(key=lambda message: message["role"] != "system")
    told = {call: (_json(asked.get(call)), _json(answered.get(call))) for call in asked.keys() | answered.keys()}
    return told | whole


def _message(row: Mapping[str, Any]) -> dict[str, Any] | None:
    role = _ROLES.get(row["name"])
    if role is None:
        return None
    try:
        body = orjson.loads(row["attributes"] or "null")
    except orjson.JSONDecodeError:
        # It was masked, or removed after its time.
        return None
    content = body.get(CONTENT) if isinstance(body, dict) else None
    if isinstance(content, dict) and isinstance(content.get("message"), dict):
        content = content["message"]
    if isinstance(content, dict):
        return {"role": role, **content}
    return {"role": role, "content": content} if isinstance(content, str) else None


def _json(messages: list[dict[str, Any]] | None) -> str | None:
    return None if messages is None else orjson.dumps(messages).decode()
