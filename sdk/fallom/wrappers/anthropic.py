"""Anthropic's client, on its own API, on Bedrock and on Vertex: messages, read.

https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from fallom.context import SessionContext
from fallom.wrappers import stainless
from fallom.wrappers.anthropic_stream import MessageChunks
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
from fallom.wrappers.reading import Attributes, added, count, member, number, text

C = TypeVar("C")

_CALLS = frozenset(("tool_use", "server_tool_use", "mcp_tool_use"))
_MEDIA = {"image": "image", "document": "document"}
# By the name of the client's class: who serves the model then.
_PLATFORMS = {"Bedrock": "aws.bedrock", "Vertex": "gcp.vertex_ai", "Foundry": "azure.ai.inference"}


def wrap_anthropic(client: C, session: SessionContext) -> C:
    """Return a copy of an ``Anthropic``, ``AsyncAnthropic``, Bedrock or Vertex client whose messages are traced."""
    return stainless.wrap(client, session, _ANTHROPIC)


def provider(client: Any) -> Attributes:
    """Return who serves the models: by the kind of client, else by its address."""
    host = str(client.base_url.host)
    served: Attributes = {"server.address": host, "server.port": client.base_url.port}
    kind = type(client).__name__
    named = next((name for part, name in _PLATFORMS.items() if part in kind), None)
    if named is not None or host.endswith(".anthropic.com"):
        served["gen_ai.provider.name"] = named or "anthropic"
    return served


class _Messages:
    operation = "chat"

    def request(self, body: Mapping[str, Any], *, captures: bool) -> Attributes:
        stops = member(body, "stop_sequences")
        attributes: Attributes = {
            "gen_ai.request.temperature": number(body, "temperature"),
            "gen_ai.request.top_p": number(body, "top_p"),
            "gen_ai.request.top_k": count(body, "top_k"),
            "gen_ai.request.max_tokens": count(body, "max_tokens"),
            "gen_ai.request.stop_sequences": list(stops) if isinstance(stops, list | tuple) else None,
            "gen_ai.request.reasoning.effort": text(body, "output_config", "effort"),
        }
        if captures:
            attributes["gen_ai.system_instructions"] = to_json(_content(member(body, "system")))
            attributes["gen_ai.input.messages"] = to_json(map(_message, member(body, "messages") or ()))
            attributes["gen_ai.tool.definitions"] = to_json(member(body, "tools") or ())
        return attributes

    def answer(self, answer: Any, *, captures: bool) -> Attributes:
        reason = text(answer, "stop_reason")
        attributes: Attributes = {
            "gen_ai.response.id": text(answer, "id"),
            "gen_ai.response.model": text(answer, "model"),
            "gen_ai.response.finish_reasons": [reason] if reason else None,
            **usage(member(answer, "usage")),
        }
        if captures:
            parts = _content(member(answer, "content"))
            attributes["gen_ai.output.messages"] = to_json([message("assistant", parts, reason)])
        return attributes

    def chunks(self, *, captures: bool) -> MessageChunks:
        return MessageChunks(MESSAGES, captures=captures)


MESSAGES = _Messages()
_ANTHROPIC = stainless.Library({"/v1/messages": MESSAGES}, provider)


def usage(said: Any) -> Attributes:
    """Return the tokens. Anthropic counts the input that no cache had part in; a span tells all of it."""
    read = count(said, "cache_read_input_tokens")
    written = count(said, "cache_creation_input_tokens")
    uncached = count(said, "input_tokens")
    return {
        "gen_ai.usage.input_tokens": None if uncached is None else added(uncached, read, written),
        "gen_ai.usage.output_tokens": count(said, "output_tokens"),
        "gen_ai.usage.cache_read.input_tokens": read,
        "gen_ai.usage.cache_creation.input_tokens": written,
        "gen_ai.usage.reasoning.output_tokens": count(said, "output_tokens_details", "thinking_tokens"),
    }


def _message(said: Any) -> Message:
    parts = _content(member(said, "content"))
    role = text(said, "role") or "user"
    is_result = bool(parts) and all(part["type"] == "tool_call_response" for part in parts)
    return message("tool" if is_result else role, parts)


def _content(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [text_part(content)]
    return [_part(block) for block in content or ()]


def _part(block: Any) -> Part:
    kind = text(block, "type") or "unknown"
    if kind == "text":
        return text_part(text(block, "text") or "")
    if kind == "thinking":
        return reasoning_part(text(block, "thinking") or "")
    if kind in _CALLS:
        return tool_call_part(text(block, "id"), text(block, "name"), member(block, "input"))
    if kind == "tool_result":
        content = member(block, "content")
        result = content if isinstance(content, str) or content is None else _content(content)
        return tool_response_part(text(block, "tool_use_id"), result)
    if kind in _MEDIA:
        source = member(block, "source")
        return media_part(_MEDIA[kind], mime_type=text(source, "media_type"), uri=text(source, "url"))
    return {"type": kind}
