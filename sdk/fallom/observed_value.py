"""What a function was given or gave, as JSON: values of Python's own kinds, within limits.

Of other objects only the class is named: their ``repr`` may be slow, fail, or tell a secret.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence, Set
from typing import Any

TEXT_CHARS_MAX = 100_000
VALUE_CHARS_MAX = 1_000_000
ITEMS_MAX = 1_000
DEPTH_MAX = 8


def to_json(value: Any) -> str:
    """Return a value as JSON.

    >>> to_json({"question": "why?", "client": object()})
    '{"question":"why?","client":"<object>"}'
    """
    text = json.dumps(_plain(value, 0), ensure_ascii=False, separators=(",", ":"))
    if len(text) > VALUE_CHARS_MAX:
        text = json.dumps(f"{text[:VALUE_CHARS_MAX]}… ({len(text) - VALUE_CHARS_MAX} characters more)")
    # Half a character can't be sent: it would cost the batch it is in.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        over = len(value) - TEXT_CHARS_MAX
        return str(value) if over <= 0 else f"{value[:TEXT_CHARS_MAX]}… ({over} characters more)"
    if depth >= DEPTH_MAX:
        return _named(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key], depth + 1) for key in list(value)[:ITEMS_MAX]}
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, Sequence | Set):
        return [_plain(each, depth + 1) for each in list(value)[:ITEMS_MAX]]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: _plain(getattr(value, field.name, None), depth + 1) for field in fields}
    if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
        return _plain(dump(mode="json"), depth + 1)
    return _named(value)


def _named(value: Any) -> str:
    return f"<{type(value).__qualname__}>"
