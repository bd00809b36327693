"""What Google's generateContent answers: bodies, and the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from recordings.cases import APIS, TOOL_ARGUMENTS, TOOL_NAME, Turn, Usage
from recordings.openai_answers import new_id, parts

ERROR_STATUSES = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}


def error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": ERROR_STATUSES[status]}}


def content(turn: Turn) -> dict[str, Any]:
    """Return a generated content."""
    return _answer(new_id("response"), _part(turn, turn.text), "STOP", _usage(turn.usage))


def content_events(turn: Turn) -> Iterator[str]:
    """Yield the events of a streamed content; a call of a tool comes whole, the usage with the last event."""
    texts = [""] if turn.calls_tool else parts(turn.text)
    identifier = new_id("response")
    answers = [_answer(identifier, _part(turn, text), None, None) for text in texts]
    answers.append(_answer(identifier, {"text": ""}, "STOP", _usage(turn.usage)))
    for answer in answers:
        yield f"data: {json.dumps(answer)}\n\n"


def _answer(
    identifier: str, part: dict[str, Any], finish_reason: str | None, usage: dict[str, Any] | None
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}, "index": 0}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    answer = {
        "candidates": [candidate],
        "modelVersion": APIS["generate"].response_model,
        "responseId": identifier,
    }
    return answer if usage is None else {**answer, "usageMetadata": usage}


def _part(turn: Turn, text: str) -> dict[str, Any]:
    return {"functionCall": {"name": TOOL_NAME, "args": TOOL_ARGUMENTS}} if turn.calls_tool else {"text": text}


def _usage(usage: Usage) -> dict[str, Any]:
    """Return the usage: the prompt's count includes the cache, the candidates' excludes thoughts."""
    return {
        "promptTokenCount": usage.input,
        "cachedContentTokenCount": usage.cache_read,
        "candidatesTokenCount": usage.visible,
        "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": usage.input + usage.output,
    }
