"""Where a page ends: an opaque text that the next page's request brings back.

It holds the last row's value and key, and the latest receipt that the first page saw: what comes later is left out, so
that no page shifts. Whatever is in it is checked, and only ever compared with: a forged one shows nothing that the
caller may not see.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

import orjson

from schemas.api.traces import ListQuery

_LIMIT = 2**63
_NOT_OF_THE_LIST = {"cursor", "limit", "totals"}
DIGEST_CHARS = 16


class CursorError(Exception):
    """What was given is no cursor of this list."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """After which row a page begins, and up to which receipt rows count, µs since 1970."""

    value: int
    key: str
    as_of_us: int

    def encode(self, digest: str) -> str:
        """Return it as text, bound to the list of this digest."""
        body = orjson.dumps([1, self.value, self.key, self.as_of_us, digest])
        return base64.urlsafe_b64encode(body).decode().rstrip("=")


def digest_of(kind: str, wanted: ListQuery) -> str:
    """Return what is another text for another list: its kind, filter and order."""
    asked = wanted.model_dump(mode="json", exclude=_NOT_OF_THE_LIST)
    body = orjson.dumps([kind, asked], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(body).hexdigest()[:DIGEST_CHARS]


def decode(text: str, digest: str) -> Cursor:
    """Return the cursor. Raises CursorError."""
    try:
        body = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise CursorError("next_cursor of the page before expected") from error
    match body:
        case [1, int(value), str(key), int(as_of_us), str(of_list)] if (
            -_LIMIT <= value < _LIMIT and 0 <= as_of_us < _LIMIT // 1000 and "\0" not in key
        ):
            if of_list != digest:
                raise CursorError("it is of a list with another filter or order: ask as for the page before")
            return Cursor(value, key, as_of_us)
    raise CursorError("next_cursor of the page before expected")
