"""Messages as OpenTelemetry's conventions have them: a role, and parts of text, reasoning, calls of tools, media.

Images, sound and files are named, never copied. An attribute holds at most ``CHARS_MAX`` characters: long texts are
cut first, then the oldest messages are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

CHARS_MAX = 1_000_000
_TEXT_CHARS_MIN = 200

Part = dict[str, Any]
Message = dict[str, Any]


def text_part(content: str) -> Part:
    """Return a part of text."""
    return {"type": "text", "content": content}


def reasoning_part(content: str) -> Part:
    """Return a part of what the model thought aloud."""
    return {"type": "reasoning", "content": content}


def tool_call_part(identifier: str | None, name: str | None, arguments: Any) -> Part:
    """Return a call of a tool; arguments that are a text of JSON are read."""
    return {"type": "tool_call", "id": identifier, "name": name, "arguments": loaded(arguments)}


def tool_response_part(identifier: str | None, response: Any) -> Part:
    """Return what a tool gave."""
    return {"type": "tool_call_response", "id": identifier, "response": response}


def media_part(modality: str, *, mime_type: str | None = None, uri: str | None = None) -> Part:
    """Return a part that is no text: its address, unless that holds the content itself, never its bytes.

    >>> media_part("image", uri="data:image/png;base64,iVBORw0KGgo=")
    {'type': 'blob', 'modality': 'image', 'mime_type': 'image/png'}
    """
    if uri is not None and uri.startswith("data:"):
        return {"type": "blob", "modality": modality, "mime_type": mime_type or uri[5:].partition(";")[0]}
    if uri is None:
        return {"type": "blob", "modality": modality, **({"mime_type": mime_type} if mime_type else {})}
    return {"type": "uri", "modality": modality, "uri": uri, **({"mime_type": mime_type} if mime_type else {})}


def message(role: str, parts: Sequence[Part], finish_reason: str | None = None) -> Message:
    """Return a message; one that a model gave says why it ended."""
    said: Message = {"role": role, "parts": list(parts)}
    return said if finish_reason is None else {**said, "finish_reason": finish_reason}


def loaded(value: Any) -> Any:
    """Return what a text of a JSON object says; any other value as it is."""
    if not isinstance(value, str) or value[:1] != "{":
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def to_json(messages: Iterable[Message | Part]) -> str | None:
    """Return messages as an attribute holds them; None where there are none."""
    said = list(messages)
    if not said:
        return None
    text = _dumped(said)
    if len(text) <= CHARS_MAX:
        return text
    part_count = sum(len(each.get("parts", ())) or 1 for each in said)
    said = [_cut(each, max(_TEXT_CHARS_MIN, CHARS_MAX // (2 * part_count))) for each in said]
    sizes = [len(_dumped(each)) + 1 for each in said]
    size, first = sum(sizes) + 2, 0
    while size > CHARS_MAX and first < len(said) - 1:
        size -= sizes[first]
        first += 1
    return _dumped(said[first:])


def _dumped(value: Any) -> str:
    text = _ENCODER.encode(value)
    # Half a character, as of a text that was cut within an emoji, can't be sent: it would cost the batch it is in.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _said_otherwise(value: Any) -> Any:
    """Return what JSON has no form for: a model's fields, else its text; bytes are not copied."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"({len(value)} bytes)"
    dump = getattr(value, "model_dump", None)
    return dump(mode="json", exclude_none=True) if callable(dump) else str(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_said_otherwise)


def _cut(value: Any, chars_max: int) -> Any:
    """Return the value with its texts cut."""
    if isinstance(value, str) and len(value) > chars_max:
        return f"{value[:chars_max]}… ({len(value) - chars_max} characters more)"
    if isinstance(value, dict):
        return {name: _cut(each, chars_max) for name, each in value.items()}
    return [_cut(each, chars_max) for each in value] if isinstance(value, list) else value
