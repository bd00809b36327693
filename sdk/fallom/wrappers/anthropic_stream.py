"""The events of a streamed message of Anthropic's, put together to the message that they make."""

from __future__ import annotations

from typing import Any

from fallom.wrappers.reading import Api, Attributes, count, member, text

_DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_PLACES = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "input"}
_USAGE = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class MessageChunks:
    """A stream of a message; ``api`` reads the message that its events make."""

    def __init__(self, api: Api, *, captures: bool) -> None:
        self._api = api
        self._captures = captures
        self._message: dict[str, Any] = {"usage": {}}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[int, list[str]] = {}

    def add(self, chunk: Any) -> bool:
        """Take an event; return whether it has content."""
        kind = text(chunk, "type")
        if kind == "message_start":
            begun = member(chunk, "message")
            self._message |= {"id": text(begun, "id"), "model": text(begun, "model")}
            self._take_usage(member(begun, "usage"))
        elif kind == "content_block_start":
            return self._begin_block(count(chunk, "index") or 0, member(chunk, "content_block"))
        elif kind == "content_block_delta":
            return self._extend_block(count(chunk, "index") or 0, member(chunk, "delta"))
        elif kind == "message_delta":
            self._message["stop_reason"] = text(chunk, "delta", "stop_reason") or self._message.get("stop_reason")
            self._take_usage(member(chunk, "usage"))
        return False

    def attributes(self) -> Attributes:
        """Return what the message says, as far as it came."""
        content = []
        for index, block in sorted(self._blocks.items()):
            pieces = "".join(self._pieces.get(index, ()))
            content.append({**block, block["place"]: pieces} if pieces else block)
        return self._api.answer({**self._message, "content": content}, captures=self._captures)

    def _take_usage(self, usage: Any) -> None:
        told = self._message["usage"]
        told |= {name: found for name in _USAGE if (found := count(usage, name)) is not None}
        if (details := member(usage, "output_tokens_details")) is not None:
            told["output_tokens_details"] = details

    def _begin_block(self, index: int, block: Any) -> bool:
        kind = text(block, "type") or "unknown"
        name = text(block, "name")
        if self._captures:
            begun = {"type": kind, "id": text(block, "id"), "name": name, "input": member(block, "input")}
            said = {place: text(block, place) for place in ("text", "thinking")}
            self._blocks[index] = {**begun, **said, "place": "text"}
        return name is not None

    def _extend_block(self, index: int, delta: Any) -> bool:
        kind = text(delta, "type") or ""
        piece = text(delta, _DELTAS[kind]) if kind in _DELTAS else None
        if not piece:
            return False
        if self._captures and index in self._blocks:
            self._blocks[index]["place"] = _PLACES[kind]
            self._pieces.setdefault(index, []).append(piece)
        return True
