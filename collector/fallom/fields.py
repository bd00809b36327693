"""Reads the fields of a JSON object, and says of a wrong one which it is, what was expected and what was got."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

import orjson

from collector.component import DecodeError, TooLargeError
from schemas.api.problems import shown

TEXT_CHARACTERS_MAX = 1_000_000
# A value of two bytes becomes a hundred and more in memory.
VALUES_MAX = 4_000_000
_HEX_DIGITS = re.compile("[0-9a-f]+")


def load_object(body: bytes) -> dict[str, object]:
    """Return the JSON object that the body is. Raises DecodeError, TooLargeError for more than about VALUES_MAX."""
    if len(body) > VALUES_MAX and sum(map(body.count, (b",", b"[", b"{"))) > VALUES_MAX:
        raise TooLargeError(f"at most about {VALUES_MAX} values in a body of JSON allowed: send it in parts")
    if not body.strip():
        raise DecodeError("a JSON object expected, got an empty body")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise DecodeError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise DecodeError(f"a JSON object expected, got {shown(document)}")
    return document


class Fields:
    """The fields of one object. A field that is absent and one that is null are the same."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self._document = document

    def text(self, name: str) -> str:
        """Return a required text that is not empty."""
        value = self._document.get(name)
        if isinstance(value, str) and 0 < len(value) <= TEXT_CHARACTERS_MAX:
            return value
        found = self.optional_text(name)
        if found is None:
            raise DecodeError(f"required, got {shown(value)}", field=name)
        return found

    def optional_text(self, name: str) -> str | None:
        """Return a text, or None where it is absent or empty."""
        value = self._document.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise DecodeError(f"a string expected, got {shown(value)}", field=name)
        if len(value) > TEXT_CHARACTERS_MAX:
            raise DecodeError(f"at most {TEXT_CHARACTERS_MAX} characters allowed, got {len(value)}", field=name)
        return value or None

    def integer(self, name: str) -> int:
        """Return a required integer of 64 bits."""
        value = self.optional_integer(name)
        if value is None:
            raise DecodeError("required, got null", field=name)
        return value

    def optional_integer(self, name: str) -> int | None:
        """Return an integer of 64 bits, or None."""
        value = self._document.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
            raise DecodeError(f"an integer expected, got {shown(value)}", field=name)
        return value

    def number(self, name: str) -> float:
        """Return a required finite number."""
        value = self.optional_number(name)
        if value is None:
            raise DecodeError("required, got null", field=name)
        return value

    def optional_number(self, name: str) -> float | None:
        """Return a finite number, or None."""
        value = self._document.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise DecodeError(f"a number expected, got {shown(value)}", field=name)
        return value

    def optional_bool(self, name: str) -> bool | None:
        """Return a truth value, or None."""
        value = self._document.get(name)
        if value is not None and not isinstance(value, bool):
            raise DecodeError(f"true or false expected, got {shown(value)}", field=name)
        return value

    def mapping(self, name: str) -> dict[str, object]:
        """Return a required object."""
        value = self.optional_mapping(name)
        if value is None:
            raise DecodeError("required, got null", field=name)
        return value

    def optional_mapping(self, name: str) -> dict[str, object] | None:
        """Return an object, or None."""
        value = self._document.get(name)
        if value is not None and not isinstance(value, dict):
            raise DecodeError(f"an object expected, got {shown(value)}", field=name)
        return value

    def texts(self, name: str) -> list[str] | None:
        """Return a list of texts, or None."""
        value = self._document.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise DecodeError(f"a list of strings expected, got {shown(value)}", field=name)
        return value

    def hex_id(self, name: str, digits: int) -> str:
        """Return a required id in lowercase hex digits, not all zeros."""
        value = self.text(name).lower()
        if len(value) != digits or not _HEX_DIGITS.fullmatch(value):
            raise DecodeError(f"{digits} hex digits expected, got {shown(value)}", field=name)
        if not value.strip("0"):
            raise DecodeError("must not be all zeros", field=name)
        return value

    def time(self, name: str) -> datetime:
        """Return a required ISO 8601 time of the years 1971 to 2261; one without an offset is UTC."""
        value = self.text(name)
        try:
            time = datetime.fromisoformat(value)
        except ValueError as error:
            raise DecodeError(f"an ISO 8601 time expected, got {shown(value)}", field=name) from error
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time
        if not 1970 < time.year < 2262:
            raise DecodeError(f"a year from 1971 to 2261 expected, got {shown(value)}", field=name)
        return time.astimezone(UTC)
