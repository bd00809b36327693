"""OpenAI's completions of old, read; many servers of open models still speak them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fallom.wrappers.messages import message, text_part, to_json
from fallom.wrappers.openai_chat import answered, settings, usage
from fallom.wrappers.reading import Attributes, count, member, text


class _Completions:
    operation = "text_completion"

    def request(self, body: Mapping[str, Any], *, captures: bool) -> Attributes:
        attributes = settings(body)
        if captures:
            attributes["gen_ai.input.messages"] = to_json(_prompts(body.get("prompt")))
        return attributes

    def answer(self, answer: Any, *, captures: bool) -> Attributes:
        choices = member(answer, "choices") or []
        attributes = answered(answer, [text(choice, "finish_reason") for choice in choices])
        if captures:
            said = [
                message("assistant", [text_part(text(choice, "text") or "")], text(choice, "finish_reason"))
                for choice in choices
            ]
            attributes["gen_ai.output.messages"] = to_json(said)
        return attributes

    def chunks(self, *, captures: bool) -> _Chunks:
        return _Chunks(captures=captures)


COMPLETIONS = _Completions()


class _Chunks:
    """A stream of completions."""

    def __init__(self, *, captures: bool) -> None:
        self._captures = captures
        self._texts: dict[int, list[str]] = {}
        self._finish_reasons: dict[int, str] = {}
        self._envelope: Any = None
        self._usage: Any = None

    def add(self, chunk: Any) -> bool:
        self._envelope = self._envelope or chunk
        self._usage = member(chunk, "usage") or self._usage
        has_content = False
        for choice in member(chunk, "choices") or ():
            index = count(choice, "index") or 0
            said = text(choice, "text")
            texts = self._texts.setdefault(index, [])
            if said and self._captures:
                texts.append(said)
            if reason := text(choice, "finish_reason"):
                self._finish_reasons[index] = reason
            has_content |= bool(said)
        return has_content

    def attributes(self) -> Attributes:
        reasons = [self._finish_reasons.get(index) for index in sorted(self._texts)]
        attributes = {**usage(self._usage), **answered(self._envelope, reasons, with_usage=False)}
        if self._captures:
            said = [
                message("assistant", [text_part("".join(texts))], self._finish_reasons.get(index))
                for index, texts in sorted(self._texts.items())
            ]
            attributes["gen_ai.output.messages"] = to_json(said)
        return attributes


def _prompts(prompt: Any) -> list[dict[str, Any]]:
    """Return the prompts that are texts; those that are tokens say nothing to a reader."""
    prompts = [prompt] if isinstance(prompt, str) else prompt or ()
    return [message("user", [text_part(each)]) for each in prompts if isinstance(each, str)]
