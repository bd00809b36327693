"""OpenAI's chat completions, read: https://platform.openai.com/docs/api-reference/chat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fallom.wrappers.messages import (
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

_MEDIA = {"image_url": "image", "input_audio": "audio", "file": "file", "video_url": "video"}
# Where compatible servers put what the model thought aloud.
_THOUGHTS = ("reasoning_content", "reasoning")


_SETTINGS: Mapping[str, tuple[str, Callable[..., Any]]] = {
    "temperature": ("gen_ai.request.temperature", number),
    "top_p": ("gen_ai.request.top_p", number),
    "max_tokens": ("gen_ai.request.max_tokens", count),
    "max_completion_tokens": ("gen_ai.request.max_tokens", count),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", number),
    "presence_penalty": ("gen_ai.request.presence_penalty", number),
    "seed": ("gen_ai.request.seed", count),
    "n": ("gen_ai.request.choice.count", count),
    "reasoning_effort": ("gen_ai.request.reasoning.effort", text),
    "service_tier": ("openai.request.service_tier", text),
}


class _Chat:
    operation = "chat"

    def request(self, body: Mapping[str, Any], *, captures: bool) -> Attributes:
        attributes = {**settings(body), "gen_ai.output.type": _output_type(member(body, "response_format", "type"))}
        if captures:
            attributes["gen_ai.input.messages"] = to_json(map(_message, body.get("messages") or ()))
            attributes["gen_ai.tool.definitions"] = to_json(body.get("tools") or ())
        return attributes

    def answer(self, answer: Any, *, captures: bool) -> Attributes:
        choices = member(answer, "choices") or []
        attributes = answered(answer, [text(choice, "finish_reason") for choice in choices])
        if captures:
            said = [
                message("assistant", _said(member(each, "message")), text(each, "finish_reason")) for each in choices
            ]
            attributes["gen_ai.output.messages"] = to_json(said)
        return attributes

    def chunks(self, *, captures: bool) -> _Chunks:
        return _Chunks(captures=captures)


CHAT = _Chat()


class _Choice:
    """What one choice of a stream says, put together."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.calls: dict[int, _Call] = {}
        self.finish_reason: str | None = None

    def parts(self) -> Iterator[Part]:
        if self.thoughts:
            yield reasoning_part("".join(self.thoughts))
        if self.texts:
            yield text_part("".join(self.texts))
        for call in self.calls.values():
            yield tool_call_part(call.identifier, call.name, "".join(call.arguments))


class _Call:
    def __init__(self) -> None:
        self.identifier: str | None = None
        self.name: str | None = None
        self.arguments: list[str] = []


class _Chunks:
    """A stream of chat completions."""

    def __init__(self, *, captures: bool) -> None:
        self._captures = captures
        self._choices: dict[int, _Choice] = {}
        self._envelope: Any = None
        self._with_usage: Any = None

    def add(self, chunk: Any) -> bool:
        if self._envelope is None:
            self._envelope = chunk if member(chunk, "id") else None
        if member(chunk, "usage") is not None:
            self._with_usage = chunk
        has_content = False
        for each in member(chunk, "choices") or ():
            index = count(each, "index") or 0
            if (choice := self._choices.get(index)) is None:
                choice = self._choices[index] = _Choice()
            choice.finish_reason = text(each, "finish_reason") or choice.finish_reason
            has_content |= self._take(choice, member(each, "delta"))
        return has_content

    def attributes(self) -> Attributes:
        choices = [self._choices[index] for index in sorted(self._choices)]
        attributes = {
            **usage(member(self._with_usage, "usage")),
            **answered(self._envelope, [choice.finish_reason for choice in choices], with_usage=False),
        }
        if self._captures:
            said = [message("assistant", list(each.parts()), each.finish_reason) for each in choices]
            attributes["gen_ai.output.messages"] = to_json(said)
        return attributes

    def _take(self, choice: _Choice, delta: Any) -> bool:
        said = text(delta, "content") or text(delta, "refusal")
        calls = member(delta, "tool_calls") or ()
        thought = None if said or calls else next((each for name in _THOUGHTS if (each := text(delta, name))), None)
        if self._captures:
            if said:
                choice.texts.append(said)
            if thought:
                choice.thoughts.append(thought)
            for each in calls:
                _put_call(choice.calls.setdefault(count(each, "index") or 0, _Call()), each)
        return bool(said or thought or calls)


def _put_call(call: _Call, delta: Any) -> None:
    call.identifier = text(delta, "id") or call.identifier
    call.name = text(delta, "function", "name") or call.name
    arguments = text(delta, "function", "arguments")
    if arguments:
        call.arguments.append(arguments)


def settings(body: Mapping[str, Any]) -> Attributes:
    """Return what a request of OpenAI's older APIs asks for beside the messages."""
    # A request has few of them.
    attributes: Attributes = {_SETTINGS[name][0]: _SETTINGS[name][1](body, name) for name in body if name in _SETTINGS}
    if stop := body.get("stop"):
        attributes["gen_ai.request.stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    return attributes


def answered(answer: Any, finish_reasons: list[str | None], *, with_usage: bool = True) -> Attributes:
    """Return what an answer of OpenAI's older APIs says beside the messages."""
    return {
        "gen_ai.response.id": text(answer, "id"),
        "gen_ai.response.model": text(answer, "model"),
        "gen_ai.response.finish_reasons": [reason for reason in finish_reasons if reason] or None,
        "openai.response.service_tier": text(answer, "service_tier"),
        "openai.response.system_fingerprint": text(answer, "system_fingerprint"),
        **(usage(member(answer, "usage")) if with_usage else {}),
    }


def usage(said: Any) -> Attributes:
    """Return the tokens: the input's include those from and for the cache, the output's those of reasoning."""
    written = count(said, "prompt_tokens_details", "cache_write_tokens")
    if written is None:
        # LiteLLM's.
        written = count(said, "prompt_tokens_details", "cache_creation_tokens")
    return {
        "gen_ai.usage.input_tokens": count(said, "prompt_tokens"),
        "gen_ai.usage.output_tokens": count(said, "completion_tokens"),
        "gen_ai.usage.cache_read.input_tokens": count(said, "prompt_tokens_details", "cached_tokens"),
        "gen_ai.usage.cache_creation.input_tokens": written,
        "gen_ai.usage.reasoning.output_tokens": count(said, "completion_tokens_details", "reasoning_tokens"),
        # OpenRouter's, and LiteLLM's proxy's.
        "gen_ai.usage.cost": number(said, "cost"),
    }


def _output_type(response_format: Any) -> str | None:
    return {"json_object": "json", "json_schema": "json", "text": "text"}.get(response_format)


def _message(said: Any) -> dict[str, Any]:
    role = text(said, "role") or "user"
    if role == "tool":
        return message(role, [tool_response_part(text(said, "tool_call_id"), _plain(member(said, "content")))])
    return message(role, _said(said) if role == "assistant" else _content(member(said, "content")))


def _said(said: Any) -> list[Part]:
    parts = [reasoning_part(thought) for name in _THOUGHTS if (thought := text(said, name))][:1]
    parts += _content(member(said, "content"))
    if refusal := text(said, "refusal"):
        parts.append(text_part(refusal))
    for call in member(said, "tool_calls") or ():
        parts.append(
            tool_call_part(
                text(call, "id"),
                text(call, "function", "name") or text(call, "custom", "name"),
                member(call, "function", "arguments") or member(call, "custom", "input"),
            )
        )
    return parts


def _content(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [text_part(content)] if content else []
    return [_part(each) for each in content or ()]


def _part(said: Any) -> Part:
    kind = text(said, "type")
    if kind in ("text", "refusal"):
        return text_part(text(said, kind) or "")
    if kind in _MEDIA:
        return media_part(_MEDIA[kind], uri=text(said, kind, "url"), mime_type=text(said, kind, "format"))
    return {"type": kind or "unknown"}


def _plain(content: Any) -> Any:
    """Return a tool's result as a text, where it is one."""
    if not isinstance(content, list):
        return content
    texts = [text(each, "text") for each in content]
    return "".join(each for each in texts if each) if all(texts) else _content(content)
