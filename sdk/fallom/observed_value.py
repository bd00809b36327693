"""What a function was given or gave, as JSON: values of Python's own kinds, within limits.

Of other objects only the class is named: their ``repr`` may be slow, fail, or tell a secret.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

TEXT_CHARS_MAX = 100_000
VALUE_CHARS_MAX = 1_000_000
ITEMS_MAX = 1_000
VALUE_ITEMS_MAX = 20_000
DEPTH_MAX = 8


def to_json(value: Any) -> str:
    """Return a value as JSON.

    >>> to_json({"question": "why?", "client": object()})
    '{"question":"why?","client":"<object>"}'
    """
    text = json.dumps(_Plain().of(value, 0), ensure_ascii=False, separators=(",", ":"))
    # Half a character can't be sent: it would cost the batch it is in.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


class _Plain:
    """Values of JSON's kinds, as long as there are characters and items left for them."""

    def __init__(self) -> None:
        self._chars_left = VALUE_CHARS_MAX
        self._items_left = VALUE_ITEMS_MAX

    def of(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} bytes>"
        return self._inner(value, depth + 1) if depth < DEPTH_MAX else _named(value)

    def _inner(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return {self._text(str(key)): self.of(value[key], depth) for key in self._some(value)}
        if isinstance(value, Sequence | Set):
            return [self.of(each, depth) for each in self._some(value)]
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = dataclasses.fields(value)
            return {field.name: self.of(getattr(value, field.name, None), depth) for field in fields}
        if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
            return self.of(dump(mode="json"), depth)
        return _named(value)

    def _text(self, value: str) -> str:
        chars = min(TEXT_CHARS_MAX, self._chars_left)
        self._chars_left -= min(len(value), chars)
        over = len(value) - chars
        return str(value) if over <= 0 else f"{value[:chars]}… ({over} characters more)"

    def _some(self, values: Iterable[Any]) -> Iterator[Any]:
        for each in itertools.islice(values, ITEMS_MAX):
            self._items_left -= 1
            if self._items_left < 0:
                return
            yield each


def _named(value: Any) -> str:
    return f"<{type(value).__qualname__}>"
