"""LangChain's messages and results, read."""

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
from fallom.wrappers.openai_chat import usage as openai_usage
from fallom.wrappers.reading import Attributes, count, member, number, text

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant", "function": "tool"}
_REASONS = ("finish_reason", "stop_reason", "done_reason")
_MEDIA = {"image_url": "image", "image": "image", "audio": "audio", "input_audio": "audio", "file": "file"}
_CALLS = frozenset(("tool_use", "tool_call", "function_call", "tool_call_chunk", "input_json_delta"))
_PROVIDERS = {"azure": "azure.ai.openai", "google_genai": "gcp.gemini", "google_vertexai": "gcp.vertex_ai"}


def request(params: Mapping[str, Any], metadata: Mapping[str, Any]) -> Attributes:
    """Return what a model is called with, of the invocation's parameters and the metadata of the run."""
    stops = params.get("stop")
    provider = text(metadata, "ls_provider")
    return {
        "gen_ai.provider.name": _PROVIDERS.get(provider or "", provider),
        "gen_ai.request.temperature": number(params, "temperature"),
        "gen_ai.request.top_p": number(params, "top_p"),
        "gen_ai.request.max_tokens": count(params, "max_tokens") or count(params, "max_completion_tokens"),
        "gen_ai.request.stop_sequences": [stops] if isinstance(stops, str) else stops or None,
        "gen_ai.request.seed": count(params, "seed"),
    }


def model_name(params: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    """Return the model that is asked for."""
    return text(params, "model") or text(params, "model_name") or text(metadata, "ls_model_name")


def told(messages: Iterable[Any]) -> str | None:
    """Return messages as an attribute holds them."""
    return to_json([_message(each) for each in messages])


def result(said: Any, *, captures: bool) -> Attributes:
    """Return what an ``LLMResult`` says."""
    generations = [each for prompt in member(said, "generations") or () for each in prompt]
    messages = [member(each, "message") for each in generations]
    described: Any = next((found for each in messages if (found := member(each, "response_metadata"))), {})
    reasons = [_finish_reason(each) for each in generations]
    llm_output = member(said, "llm_output") or {}
    attributes: Attributes = {
        "gen_ai.response.id": text(described, "id") or next((text(each, "id") for each in messages if each), None),
        "gen_ai.response.model": text(described, "model_name")
        or text(described, "model")
        or text(llm_output, "model_name"),
        "gen_ai.response.finish_reasons": [reason for reason in reasons if reason] or None,
        **_usage(messages, llm_output),
    }
    if captures:
        pairs = zip(generations, reasons, strict=True)
        attributes["gen_ai.output.messages"] = to_json([_generated(each, reason) for each, reason in pairs])
    return attributes


def _usage(messages: list[Any], llm_output: Any) -> Attributes:
    said = next((found for each in messages if (found := member(each, "usage_metadata"))), None)
    if said is None:
        return openai_usage(member(llm_output, "token_usage"))
    return {
        "gen_ai.usage.input_tokens": count(said, "input_tokens"),
        "gen_ai.usage.output_tokens": count(said, "output_tokens"),
        "gen_ai.usage.cache_read.input_tokens": count(said, "input_token_details", "cache_read"),
        "gen_ai.usage.cache_creation.input_tokens": count(said, "input_token_details", "cache_creation"),
        "gen_ai.usage.reasoning.output_tokens": count(said, "output_token_details", "reasoning"),
    }


def _finish_reason(generation: Any) -> str | None:
    places = (member(generation, "message", "response_metadata"), member(generation, "generation_info"))
    return next((found for place in places for name in _REASONS if (found := text(place, name))), None)


def _generated(generation: Any, reason: str | None) -> Message:
    said = member(generation, "message")
    if said is None:
        return message("assistant", [text_part(text(generation, "text") or "")], reason)
    return {**_message(said), **({"finish_reason": reason} if reason else {})}


def _message(said: Any) -> Message:
    kind = text(said, "type") or "user"
    content = member(said, "content")
    if kind in ("tool", "function"):
        result = content if isinstance(content, str) else _content(content)
        return message("tool", [tool_response_part(text(said, "tool_call_id"), result)])
    calls = [
        tool_call_part(text(call, "id"), text(call, "name"), member(call, "args"))
        for call in member(said, "tool_calls") or ()
    ]
    return message(_ROLES.get(kind, kind), [*_content(content), *calls])


def _content(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [text_part(content)] if content else []
    # The calls among them stand in the message's own list too.
    return [_part(each) for each in content or () if text(each, "type") not in _CALLS]


def _part(block: Any) -> Part:
    if isinstance(block, str):
        return text_part(block)
    kind = text(block, "type") or "unknown"
    if kind in ("thinking", "reasoning"):
        return reasoning_part(text(block, "thinking") or text(block, "reasoning") or "")
    if kind in _MEDIA:
        uri = text(block, "image_url", "url") or text(block, "url")
        return media_part(_MEDIA[kind], uri=uri, mime_type=text(block, "mime_type"))
    said = text(block, "text")
    return {"type": kind} if said is None else text_part(said)
