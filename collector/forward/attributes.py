"""The attributes that a row is forwarded with: all that were sent, and those that say what came in another way.

A column that an attribute filled comes back as that attribute. What a flat trace has fields for, and what came in
``X-Fallom-*`` headers, is said by attributes of the same meaning, so that the target's columns are filled alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from collector.promote import convert
from schemas.dialects import Source, sources_by_key
from schemas.dialects.fallom import TAGS

Pairs = list[tuple[str, object]]
Row = Mapping[str, Any]

# Filled by a header, or by a flat trace: the attribute that says so.
_NAMING = {
    "config_key": "fallom.config_key",
    "session_id": "fallom.session_id",
    "customer_id": "fallom.customer_id",
    "prompt_key": "fallom.prompt_key",
    "prompt_version": "fallom.prompt_version",
    "prompt_ab_test_key": "fallom.prompt_ab_test",
    "prompt_variant_index": "fallom.prompt_variant",
}
# Filled by a flat trace alone. The last of several is outranked by nothing.
_OF_FLAT = {
    "operation": ("fallom.kind",),
    "request_model": ("gen_ai.request.model",),
    "response_model": ("gen_ai.response.model", "langfuse.observation.model.name"),
    "is_streaming": ("fallom.is_streaming", "gen_ai.request.stream"),
    "metadata": ("fallom.metadata",),
}
_FIRST_TOKEN = "fallom.time_to_first_token_ms"  # noqa: S105 - no secret
_FLAT_SCOPE = "fallom"
_NS_A_MS = 1e6


def _by_rank() -> dict[str, Sequence[Source]]:
    every = [source for found in sources_by_key("").values() for source in found if not source.key.startswith("x-")]
    return {
        column: sorted((source for source in every if source.column == column), key=lambda source: source.rank)
        for column in (*_NAMING, *_OF_FLAT, "time_to_first_token_ns")
    }


_SOURCES = _by_rank()


def attributes_of(row: Row, promoted: object, rest: object) -> Pairs:
    """Return the attributes of a row's span: those that fill columns (``promoted``: column to key), then the rest."""
    others = listed(rest)
    columns = promoted if isinstance(promoted, dict) else {}
    pairs: Pairs = []
    for column, key in columns.items():
        pairs += _promoted(key, row.get(column))
    pairs += others
    sent = dict(pairs)
    for column, key in _NAMING.items():
        _say(sent, pairs, row, columns, column, (key,))
    if _is_flat(row):
        _say_flat(sent, pairs, row, columns)
    return pairs


def listed(attributes: object) -> Pairs:
    """Return the attributes of a JSON column: always an object, whatever its keys are."""
    return list(attributes.items()) if isinstance(attributes, dict) else []


def members(value: Mapping[str, object]) -> Pairs:
    """Return the members of a map within attributes: one with a key twice, or one that begins with ``$``, is a list."""
    pairs = value.get("$kvlist")
    if isinstance(pairs, list) and len(value) == 1:
        named = [(pair[0], pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2]
        if len(named) == len(pairs) and all(isinstance(key, str) for key, _ in named):
            return named
    return list(value.items())


def _promoted(key: str, value: object) -> Iterable[tuple[str, object]]:
    if key.endswith(".*") and isinstance(value, str):
        messages = _messages(value)
        if messages is not None:
            return [
                (f"{key[:-1]}{index}.{name}", item)
                for index, message in enumerate(messages)
                for name, item in message.items()
            ]
    return [] if value is None else [(key, value)]


def _messages(text: str) -> list[dict[str, object]] | None:
    """Return the messages that a column was made of; None where they are masked, or removed after their time."""
    try:
        messages = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    is_whole = isinstance(messages, list) and all(isinstance(message, dict) for message in messages)
    return messages if is_whole else None


def _is_flat(row: Row) -> bool:
    return (row["scope_name"], row["resource_attributes"]) == (_FLAT_SCOPE, "{}")


def _say_flat(sent: dict[str, object], pairs: Pairs, row: Row, columns: Mapping[str, str]) -> None:
    for column, keys in _OF_FLAT.items():
        _say(sent, pairs, row, columns, column, keys)
    first_token_ns = row["time_to_first_token_ns"]
    if first_token_ns is not None and _filled("time_to_first_token_ns", sent) is None:
        _put(sent, pairs, _FIRST_TOKEN, first_token_ns / _NS_A_MS)
    if row["tags"] is not None and TAGS not in sent:
        _put(sent, pairs, TAGS, row["tags"])


def _say(
    sent: dict[str, object], pairs: Pairs, row: Row, columns: Mapping[str, str], column: str, keys: Sequence[str]
) -> None:
    """Add what fills the column as it is in the row, where what was sent does not."""
    value = row[column]
    if value is None or column in columns or _filled(column, sent) == value:
        return
    for key in keys:
        _put(sent, pairs, key, value)
        if _filled(column, sent) == value:
            return


def _put(sent: dict[str, object], pairs: Pairs, key: str, value: object) -> None:
    if key in sent:
        pairs[:] = [pair for pair in pairs if pair[0] != key]
    sent[key] = value
    pairs.append((key, value))


def _filled(column: str, sent: Mapping[str, object]) -> object:
    """Return what attributes make of a column."""
    for source in _SOURCES[column]:
        if source.key in sent and (source.where is None or sent.get(source.where[0]) == source.where[1]):
            found = convert(source, sent[source.key])
            if found is not None:
                return found
    return None
