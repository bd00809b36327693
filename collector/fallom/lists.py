"""Lists of events: a body that is a JSON array holds several, each of which is taken or rejected by itself."""

import orjson

from collector.component import DecodeError, TooLargeError
from collector.fallom.fields import VALUES_MAX
from schemas.api.problems import shown

ITEMS_MAX = 1_000
_SPACE = b" \t\r\n"


def is_list(body: bytes) -> bool:
    """Return whether the body is meant as a list."""
    return body.lstrip(_SPACE)[:1] == b"["


def split(body: bytes) -> list[bytes]:
    """Return the bodies of the events. Raises DecodeError, TooLargeError for more than ITEMS_MAX."""
    if len(body) > VALUES_MAX:
        raise TooLargeError(f"at most {VALUES_MAX} bytes in a list allowed, got {len(body)}: send it in parts")
    try:
        items = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise DecodeError(f"not JSON: {error}") from error
    if not isinstance(items, list) or not items:
        raise DecodeError(f"a JSON object expected, or a list of them, got {shown(items)}")
    if len(items) > ITEMS_MAX:
        raise TooLargeError(f"at most {ITEMS_MAX} events in a list allowed, got {len(items)}: send it in parts")
    try:
        return [orjson.dumps(item) for item in items]
    except orjson.JSONEncodeError as error:
        raise DecodeError("an event is nested too deep") from error
