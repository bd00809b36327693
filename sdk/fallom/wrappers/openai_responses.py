"""OpenAI's Responses API, read: https://platform.openai.com/docs/api-reference/responses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fallom.wrappers.messages import (
    Message,
    Part,
    media_part,
    message,
    reasoning_part,
    text_part,
    to_json,
    tool_call_part,
    tool_response_part,
)
from fallom.wrappers.reading import Attributes, count, member, number, text

_TEXTS = frozenset(("input_text", "output_text", "text", "summary_text", "reasoning_text"))
_MEDIA = {"input_image": "image", "input_audio": "audio", "input_file": "file"}
_CALLS = frozenset(("function_call", "custom_tool_call", "mcp_call"))
_RESULTS = frozenset(("function_call_output", "custom_tool_call_output"))
_LAST_EVENTS = frozenset(("response.completed", "response.incomplete", "response.failed"))
_FINISH_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}


class _Responses:
    operation = "chat"

    def request(self, body: Mapping[str, Any], *, captures: bool) -> Attributes:
        attributes: Attributes = {
            "gen_ai.request.temperature": number(body, "temperature"),
            "gen_ai.request.top_p": number(body, "top_p"),
            "gen_ai.request.max_tokens": count(body, "max_output_tokens"),
            "gen_ai.request.reasoning.effort": text(body, "reasoning", "effort"),
            "gen_ai.output.type": "json" if str(member(body, "text", "format", "type")).startswith("json") else None,
            "openai.request.service_tier": text(body, "service_tier"),
            "openai.api.type": "responses",
        }
        if captures:
            instructions = text(body, "instructions")
            attributes["gen_ai.system_instructions"] = to_json([text_part(instructions)]) if instructions else None
            attributes["gen_ai.input.messages"] = to_json(_input(body.get("input")))
            attributes["gen_ai.tool.definitions"] = to_json(body.get("tools") or ())
        return attributes

    def answer(self, answer: Any, *, captures: bool) -> Attributes:
        usage = member(answer, "usage")
        reason = _finish_reason(answer)
        attributes: Attributes = {
            "gen_ai.response.id": text(answer, "id"),
            "gen_ai.response.model": text(answer, "model"),
            "gen_ai.response.finish_reasons": [reason] if reason else None,
            "gen_ai.usage.input_tokens": count(usage, "input_tokens"),
            "gen_ai.usage.output_tokens": count(usage, "output_tokens"),
            "gen_ai.usage.cache_read.input_tokens": count(usage, "input_tokens_details", "cached_tokens"),
            "gen_ai.usage.cache_creation.input_tokens": count(usage, "input_tokens_details", "cache_write_tokens"),
            "gen_ai.usage.reasoning.output_tokens": count(usage, "output_tokens_details", "reasoning_tokens"),
            "gen_ai.usage.cost": number(usage, "cost"),
            "openai.response.service_tier": text(answer, "service_tier"),
            "error.type": (text(answer, "error", "code") or "failed") if text(answer, "status") == "failed" else None,
        }
        if captures:
            parts = [part for item in member(answer, "output") or () for part in _parts(item)]
            attributes["gen_ai.output.messages"] = to_json([message("assistant", parts, reason)]) if parts else None
        return attributes

    def chunks(self, *, captures: bool) -> _Chunks:
        return _Chunks(captures=captures)


RESPONSES = _Responses()


class _Chunks:
    """The events of a streamed response: the last one holds all of it; before that, what came so far does."""

    def __init__(self, *, captures: bool) -> None:
        self._captures = captures
        self._response: Any = None
        self._is_whole = False
        self._texts: list[str] = []
        self._error: str | None = None

    def add(self, chunk: Any) -> bool:
        kind = text(chunk, "type") or ""
        if (response := member(chunk, "response")) is not None:
            self._response = response
            self._is_whole = kind in _LAST_EVENTS
        elif kind == "error":
            self._error = text(chunk, "code") or "error"
        elif kind.endswith(".delta"):
            if self._captures and kind == "response.output_text.delta":
                self._texts.append(text(chunk, "delta") or "")
            return bool(member(chunk, "delta"))
        return False

    def attributes(self) -> Attributes:
        attributes = RESPONSES.answer(self._response, captures=self._captures)
        if self._error is not None:
            attributes["error.type"] = self._error
        if self._texts and not self._is_whole:
            attributes["gen_ai.output.messages"] = to_json([message("assistant", [text_part("".join(self._texts))])])
        return attributes


def _finish_reason(response: Any) -> str | None:
    status = text(response, "status")
    if status == "completed":
        calls = any(text(item, "type") in _CALLS for item in member(response, "output") or ())
        return "tool_call" if calls else "stop"
    if status == "incomplete":
        reason = text(response, "incomplete_details", "reason")
        return _FINISH_REASONS.get(reason or "", reason)
    return "error" if status == "failed" else None


def _input(given: Any) -> Iterable[Message]:
    if isinstance(given, str):
        return [message("user", [text_part(given)])]
    return [message(_role(item), parts) for item in given or () if (parts := _parts(item))]


def _role(item: Any) -> str:
    kind = text(item, "type")
    if kind in _RESULTS:
        return "tool"
    return text(item, "role") or ("assistant" if kind != "message" else "user")


def _parts(item: Any) -> list[Part]:
    kind = text(item, "type")
    if kind in _CALLS:
        arguments = member(item, "arguments") if kind != "custom_tool_call" else member(item, "input")
        return [tool_call_part(text(item, "call_id") or text(item, "id"), text(item, "name"), arguments)]
    if kind in _RESULTS:
        return [tool_response_part(text(item, "call_id"), member(item, "output"))]
    if kind == "reasoning":
        said = [*(member(item, "summary") or ()), *(member(item, "content") or ())]
        return [reasoning_part(thought) for each in said if (thought := text(each, "text"))]
    content = member(item, "content")
    if isinstance(content, str):
        return [text_part(content)]
    if content is None:
        return [{"type": kind}] if kind else []
    return [_part(each) for each in content]


def _part(said: Any) -> Part:
    kind = text(said, "type") or "unknown"
    if kind in _TEXTS:
        return text_part(text(said, "text") or "")
    if kind == "refusal":
        return text_part(text(said, "refusal") or "")
    if kind in _MEDIA:
        return media_part(_MEDIA[kind], uri=text(said, "image_url") or text(said, "file_url"))
    return {"type": kind}
