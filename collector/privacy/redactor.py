"""Replaces what patterns find in a text, and in the texts of a JSON value, however deep it is wrapped.

A text that is JSON itself is read, so that no escape in it hides anything: its texts, keys and whole numbers are each
searched as what they mean. What then still matches is replaced in the JSON text as it stands.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from collector.privacy.documents import dump, load
from collector.privacy.expressions import any_of, compiled
from collector.privacy.keyed_hash import KeyedHash
from collector.privacy.patterns import PATTERNS, Check, Places

# What is nested deeper is not searched, and so not kept.
LEVELS_MAX = 64
_TOO_DEEP = "[nested too deep to be searched]"
# A whole number of fewer digits is no card, phone or account.
_INTEGER_MIN = 10**7
# Doubles of more digits are written with an exponent, and are not exact.
_FLOAT_MAX = 10**19
_PSEUDONYM_DIGITS = 16
_ESCAPE = re.compile(r'\\u([0-9A-Fa-f]{4})|\\(["\\/bfnrt])')
_ESCAPED_TIMES_MAX = 8
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

Label = Callable[[str, str], str]
"""What replaces a match, given the pattern's name and the match."""


class Redactor:
    """The named patterns and the own ones (name to expression) of a policy."""

    def __init__(self, named: Sequence[str], own: Mapping[str, str], keyed_hash: KeyedHash) -> None:
        self._hash = keyed_hash
        chosen = [pattern for pattern in PATTERNS if pattern.name in named]
        # Own ones first: else they would not find what a named one has replaced a part of.
        self._matchers: list[tuple[str, Any, Check]] = [
            *((name, compiled(expression), _found) for name, expression in own.items()),
            *((pattern.name, compiled(pattern.expression), pattern.check) for pattern in chosen),
        ]
        hints = [*own.values(), *(pattern.hint or pattern.expression for pattern in chosen)]
        self.text_hint = any_of(hints)
        """Matches wherever something may be found in a text as it stands; None: it may be anywhere."""
        self.json_hint = any_of([*hints, r"\\", r'"\$bytes"'])
        """The same for JSON, where an escape or base64 may hide it."""

    def text(self, text: str, level: int = 0) -> str:
        """Return a text, which may be JSON, with what is found replaced."""
        if not self._may_find(text):
            return text
        if text.lstrip()[:1] in ("{", "[", '"'):
            try:
                value = load(text)
            except (ValueError, RecursionError):
                pass
            else:
                new = self.value(value, level + 1) if self.may_find(value) else value
                return self._plain(text if new == value else dump(new))
        return self._plain(self._unhidden(self._plain(text)))

    def identifier(self, text: str) -> str:
        """Return an identifier, what is found replaced by a pseudonym: other identifiers stay other ones."""
        return self._replaced(text.encode(), self._pseudonym).decode(errors="replace")

    def value(self, value: Any, level: int = 0) -> Any:
        """Return a JSON value with what is found replaced in its texts, keys and whole numbers."""
        if isinstance(value, str):
            return self.text(value, level)
        if isinstance(value, int):
            return value if abs(value) < _INTEGER_MIN or isinstance(value, bool) else self._integer(value, value)
        if isinstance(value, float):
            # As some clients send all numbers that are beyond 32 bits.
            return self._integer(value, int(value)) if _is_whole(value) else value
        if not isinstance(value, dict | list):
            return value
        if level > LEVELS_MAX:
            return _TOO_DEEP
        if isinstance(value, list):
            return [self.value(item, level + 1) for item in value]
        if value.keys() == {"$bytes"}:
            return {"$bytes": self._base64(value["$bytes"])}
        pairs = [[self._plain(key), self.value(item, level + 1)] for key, item in value.items()]
        new = dict(pairs)
        return new if len(new) == len(pairs) else {"$kvlist": pairs}

    def may_find(self, value: Any) -> bool:
        """Return whether something may be found in a JSON value: one search instead of one a text."""
        return self.text_hint is None or self.text_hint.search("\n".join(_texts(value)).encode()) is not None

    def _may_find(self, text: str) -> bool:
        hint = self.json_hint if "\\" in text else self.text_hint
        return hint is None or hint.search(text.encode()) is not None

    def _plain(self, text: str) -> str:
        return self._replaced(text.encode(), _name).decode(errors="replace")

    def _pseudonym(self, name: str, match: str) -> str:
        return f"[{name}:{self._hash.of(match, _PSEUDONYM_DIGITS)}]"

    def _unhidden(self, text: str) -> str:
        """Return a text without its escapes if these, as in JSON that was cut off, hide something."""
        if "\\" not in text:
            return text
        plain = _without_escapes(text)
        return plain if self._plain(plain) != plain else text

    def _integer(self, value: float, whole: int) -> float | str:
        text = str(whole)
        new = self._plain(text)
        return value if new == text else new

    def _base64(self, value: Any) -> Any:
        data = _decoded(value)
        if data is None:
            return self.value(value, LEVELS_MAX + 1)
        try:
            new = self.text(data.decode()).encode()
        except UnicodeDecodeError:
            new = self._replaced(data, _name)
        return value if new == data else base64.b64encode(new).decode()

    def _replaced(self, data: bytes, label: Label) -> bytes:
        if self.text_hint is not None and self.text_hint.search(data) is None:
            return data
        for name, expression, check in self._matchers:
            data = b"".join(_parts(data, _places(data, expression, check), name, label))
        return data


def _name(name: str, _: str) -> str:
    return f"[{name}]"


def _places(data: bytes, expression: Any, check: Check) -> Places:
    for match in expression.finditer(data):
        if match.end() > match.start():
            yield from check(data, match.start(), match.end())


def _parts(data: bytes, places: Places, name: str, label: Label) -> Iterator[bytes]:
    end = 0
    for start, stop in places:
        yield data[end:start]
        yield label(name, data[start:stop].decode(errors="replace")).encode()
        end = stop
    yield data[end:]


def _found(_: bytes, start: int, end: int) -> Places:
    yield start, end


def _decoded(value: Any) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return None


def _without_escapes(text: str) -> str:
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(escape: "re.Match[str]") -> str:
    code, letter = escape.groups()
    if not code:
        return _ESCAPED.get(letter, letter)
    character = chr(int(code, 16))
    return "?" if "\ud800" <= character <= "\udfff" else character


def _is_whole(value: float) -> bool:
    return _INTEGER_MIN <= abs(value) < _FLOAT_MAX and value.is_integer()


def _texts(value: Any) -> list[str]:
    """Return all that is to be searched in a JSON value; a text with escapes also as it is without them."""
    found: list[str] = []
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            found.append(item)
            for _ in range(_ESCAPED_TIMES_MAX):
                if "\\" not in item:
                    break
                item = _without_escapes(item)
                found.append(item)
        elif isinstance(item, dict):
            found += item
            left += item.values()
            if item.keys() == {"$bytes"}:
                found.append((_decoded(item["$bytes"]) or b"").decode(errors="replace"))
        elif isinstance(item, list):
            left += item
        elif isinstance(item, int) or (isinstance(item, float) and _is_whole(item)):
            found.append(str(int(item)))
    return found
