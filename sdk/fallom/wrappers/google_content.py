"""Google's generateContent and embedContent, read: https://ai.google.dev/api/generate-content."""

from __future__ import annotations

from collections.abc import Mapping
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
from fallom.wrappers.reading import Attributes, Chunks, added, count, member, number

_ROLES = {"model": "assistant", "function": "tool"}


class _GenerateContent:
    operation = "generate_content"

    def request(self, body: Mapping[str, Any], *, captures: bool) -> Attributes:
        config = body.get("config")
        mime_type = _get(config, "response_mime_type")
        stops = _get(config, "stop_sequences")
        attributes: Attributes = {
            "gen_ai.request.temperature": number(config, "temperature"),
            "gen_ai.request.top_p": _get(config, "top_p"),
            "gen_ai.request.top_k": _get(config, "top_k"),
            "gen_ai.request.max_tokens": _get(config, "max_output_tokens"),
            "gen_ai.request.presence_penalty": _get(config, "presence_penalty"),
            "gen_ai.request.frequency_penalty": _get(config, "frequency_penalty"),
            "gen_ai.request.seed": count(config, "seed"),
            "gen_ai.request.stop_sequences": list(stops) if stops else None,
            "gen_ai.output.type": "json" if mime_type == "application/json" else None,
        }
        if captures:
            instruction = _get(config, "system_instruction")
            said = [part for content in _contents(instruction) for part in content["parts"]]
            attributes["gen_ai.system_instructions"] = to_json(said)
            attributes["gen_ai.input.messages"] = to_json(_contents(body.get("contents")))
        return attributes

    def answer(self, answer: Any, *, captures: bool) -> Attributes:
        candidates = list(member(answer, "candidates") or ())
        reasons = [_named(_get(candidate, "finish_reason")) for candidate in candidates]
        blocked = _named(_get(_get(answer, "prompt_feedback"), "block_reason"))
        attributes: Attributes = {
            "gen_ai.response.id": _get(answer, "response_id") or None,
            "gen_ai.response.model": _get(answer, "model_version") or None,
            "gen_ai.response.finish_reasons": [each for each in (*reasons, blocked) if each] or None,
            **usage(_get(answer, "usage_metadata")),
        }
        if captures:
            said = [
                message("assistant", _parts(member(each, "content")), reason)
                for each, reason in zip(candidates, reasons, strict=True)
            ]
            attributes["gen_ai.output.messages"] = to_json(said)
        return attributes

    def chunks(self, *, captures: bool) -> _Chunks:
        return _Chunks(captures=captures)


GENERATE_CONTENT = _GenerateContent()


class _EmbedContent:
    operation = "embeddings"

    def request(self, body: Mapping[str, Any], *, captures: bool) -> Attributes:
        attributes: Attributes = {
            "gen_ai.embeddings.dimension.count": _get(body.get("config"), "output_dimensionality")
        }
        if captures:
            attributes["gen_ai.input.messages"] = to_json(_contents(body.get("contents")))
        return attributes

    def answer(self, answer: Any, *, captures: bool) -> Attributes:  # noqa: ARG002 - vectors are no content
        tokens = [_get(member(each, "statistics"), "token_count") for each in member(answer, "embeddings") or ()]
        told = [int(each) for each in tokens if each is not None]
        return {"gen_ai.usage.input_tokens": sum(told) if told else None}

    def chunks(self, *, captures: bool) -> Chunks:
        raise NotImplementedError("embeddings are not streamed")


EMBED_CONTENT = _EmbedContent()


class _Chunks:
    """A stream of a generated content: each answer of it has some parts, and the last one the usage."""

    def __init__(self, *, captures: bool) -> None:
        self._captures = captures
        self._candidates: dict[int, dict[str, Any]] = {}
        self._told: dict[str, Any] = {}

    def add(self, chunk: Any) -> bool:
        for name in ("response_id", "model_version", "usage_metadata", "prompt_feedback"):
            if found := _get(chunk, name):
                self._told[name] = found
        has_content = False
        for each in member(chunk, "candidates") or ():
            candidate = self._candidates.setdefault(count(each, "index") or 0, {"parts": []})
            candidate["finish_reason"] = _get(each, "finish_reason") or candidate.get("finish_reason")
            parts = list(member(each, "content", "parts") or ())
            if self._captures:
                candidate["parts"] += parts
            has_content |= any(_has_content(part) for part in parts)
        return has_content

    def attributes(self) -> Attributes:
        candidates = [
            {"content": {"parts": each["parts"]}, "finish_reason": each["finish_reason"]}
            for _, each in sorted(self._candidates.items())
        ]
        return GENERATE_CONTENT.answer({**self._told, "candidates": candidates}, captures=self._captures)


def usage(said: Any) -> Attributes:
    """Return the tokens. Google counts thoughts beside the candidates, and what its tools put in beside the prompt."""
    thoughts = _get(said, "thoughts_token_count")
    return {
        "gen_ai.usage.input_tokens": added(_get(said, "prompt_token_count"), _get(said, "tool_use_prompt_token_count")),
        "gen_ai.usage.output_tokens": added(_get(said, "candidates_token_count"), thoughts),
        "gen_ai.usage.cache_read.input_tokens": _get(said, "cached_content_token_count"),
        "gen_ai.usage.reasoning.output_tokens": thoughts,
    }


def _get(value: Any, name: str) -> Any:
    """Return a member in either of Google's spellings."""
    found = member(value, name)
    if found is None and isinstance(value, Mapping):
        first, *rest = name.split("_")
        found = value.get(first + "".join(map(str.capitalize, rest)))
    return found


def _named(value: Any) -> str | None:
    """Return the name of a member of an enumeration; of an unspecified one None."""
    name = getattr(value, "name", value)
    return name if isinstance(name, str) and not name.endswith("UNSPECIFIED") else None


def _contents(given: Any) -> list[Message]:
    """Return messages of whatever may be given: a text, a part, a content, or a list of these."""
    if given is None:
        return []
    if isinstance(given, list | tuple):
        if any(_get(each, "parts") is not None for each in given):
            return [said for each in given for said in _contents(each)]
        return [message("user", [_part(each) for each in given])] if given else []
    if _get(given, "parts") is None:
        return [message("user", [_part(given)])]
    parts = _parts(given)
    role = member(given, "role")
    if parts and all(part["type"] == "tool_call_response" for part in parts):
        role = "function"
    return [message(_ROLES.get(str(role), "user" if not role else str(role)), parts)]


def _parts(content: Any) -> list[Part]:
    """Return the parts of a content; texts that follow each other are one."""
    parts: list[Part] = []
    for each in member(content, "parts") or ():
        part = _part(each)
        if parts and part["type"] == parts[-1]["type"] and part["type"] in ("text", "reasoning"):
            part = {**part, "content": parts.pop()["content"] + part["content"]}
        if part.get("content") != "":
            parts.append(part)
    return parts


def _part(given: Any) -> Part:
    if isinstance(given, str):
        return text_part(given)
    if call := _get(given, "function_call"):
        arguments = member(call, "args")
        return tool_call_part(
            member(call, "id") or None, member(call, "name"), dict(arguments) if arguments is not None else None
        )
    if response := _get(given, "function_response"):
        result = member(response, "response")
        return tool_response_part(member(response, "id") or member(response, "name"), result)
    if data := _get(given, "inline_data"):
        mime_type = _get(data, "mime_type")
        return media_part(str(mime_type).partition("/")[0], mime_type=mime_type)
    if file := _get(given, "file_data"):
        return media_part("file", mime_type=_get(file, "mime_type"), uri=_get(file, "file_uri"))
    said = member(given, "text")
    if isinstance(said, str):
        return reasoning_part(said) if member(given, "thought") else text_part(said)
    return {"type": type(given).__name__ if not isinstance(given, Mapping) else "unknown"}


def _has_content(part: Any) -> bool:
    return bool(member(part, "text") or _get(part, "function_call") or _get(part, "inline_data"))
