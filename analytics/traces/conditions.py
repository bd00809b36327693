"""What a filter means in SQL: conditions whose every value is a parameter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from fallom.assignment import variant_keys
from schemas.api.traces import ListQuery, SpanFilter
from storage.registry.resources import ConfigVersion

_EQUAL = {
    "config": "config_key",
    "provider": "provider",
    "status": "status_code",
    "session": "session_id",
    "name": "name",
    "operation": "operation",
    "error_type": "error_type",
}
PICO = 1_000_000_000_000
_INDEX = re.compile(r"[0-9]{1,4}")


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL that holds or not, and its parameters."""

    sql: str
    parameters: Mapping[str, object]

    def __bool__(self) -> bool:
        return bool(self.sql)


class UnknownVariantError(Exception):
    """The config has no such variant; the text says which it has."""


def span_condition(
    wanted: SpanFilter,
    *,
    versions: Sequence[ConfigVersion] = (),
    identifier: Callable[[str], str] = str,
) -> Condition:
    """Return what holds for the spans that are meant; nothing where all are.

    ``versions`` are those of the config, ``identifier`` says what a customer's id is stored as. Raises
    UnknownVariantError.
    """
    parts: list[str] = []
    values: dict[str, object] = {}
    for name, column in _EQUAL.items():
        if (value := getattr(wanted, name)) is not None:
            parts.append(f"{column} = ${name}")
            values[name] = value
    if wanted.model is not None:
        parts.append("(request_model = $model OR response_model = $model)")
        values["model"] = wanted.model
    if wanted.customer is not None:
        parts.append("(customer_id = $customer OR customer_id = $stored_customer)")
        values |= {"customer": wanted.customer, "stored_customer": identifier(wanted.customer)}
    for place, tag in enumerate(wanted.tag):
        parts.append(f"list_contains(tags, $tag_{place})")
        values[f"tag_{place}"] = tag
    for place, pair in enumerate(wanted.metadata):
        key, _, value = pair.partition("=")
        field, pointer = metadata_value(key, f"key_{place}")
        parts.append(f"{field} = $value_{place}")
        values |= {f"key_{place}": pointer, f"value_{place}": value}
    if wanted.text is not None:
        parts.append(_text_condition(wanted.text, values))
    if wanted.variant is not None:
        parts.append(_variant_condition(wanted, versions, values))
    return Condition(" AND ".join(parts), values)


def group_condition(wanted: ListQuery) -> Condition:
    """Return what holds for the sums of the traces or sessions that are meant."""
    bounds = (
        ("end_us - start_us >= $duration_min_us", "duration_min_us", _scaled(wanted.duration_min_ms, 1000)),
        ("end_us - start_us <= $duration_max_us", "duration_max_us", _scaled(wanted.duration_max_ms, 1000)),
        ("cost_pico >= $cost_min_pico", "cost_min_pico", _scaled(wanted.cost_min, PICO)),
        ("cost_pico <= $cost_max_pico", "cost_max_pico", _scaled(wanted.cost_max, PICO)),
    )
    given = [bound for bound in bounds if bound[2] is not None]
    return Condition(" AND ".join(sql for sql, _, _ in given), {name: value for _, name, value in given})


def _scaled(value: float | None, factor: int) -> int | None:
    # What is beyond any sum there can be is as good as the greatest.
    return None if value is None else min(round(value * factor), 2**63 - 1)


def metadata_value(key: str, name: str) -> tuple[str, str]:
    """Return a field of the metadata in SQL, which has a parameter of that name, and the parameter: a JSON pointer.

    Whatever the key is, it is one.
    """
    pointer = "/" + key.replace("~", "~0").replace("/", "~1")
    return f"(CASE WHEN json_valid(metadata) THEN json_extract_string(metadata, ${name}) END)", pointer


def _text_condition(text: str, values: dict[str, object]) -> str:
    # Within JSON a quote, a backslash or a line's end is escaped: the text is looked for in both spellings.
    spellings = {"text": text, "escaped_text": orjson.dumps(text).decode()[1:-1]}
    if spellings["text"] == spellings["escaped_text"]:
        del spellings["escaped_text"]
    values |= spellings
    tests = [f"contains(lower({column}), lower(${name}))" for column in ("input", "output") for name in spellings]
    return f"({' OR '.join(tests)})"


def _variant_condition(wanted: SpanFilter, versions: Sequence[ConfigVersion], values: dict[str, object]) -> str:
    name = wanted.variant or ""
    indexes = _variant_indexes(name, versions)
    # A session that no version's variant is known of is told by the model that it was given.
    values |= {
        "variant_versions": [version for version, _ in indexes],
        "variant_indexes": [index for _, index in indexes],
        "variant_model": name,
        "variant_config": wanted.config,
    }
    return """session_id IN (
        SELECT session_id FROM (
            SELECT session_id, arg_min({
                'config_version': config_version,
                'variant_index': coalesce(variant_index, computed_variant_index),
                'assigned_model': assigned_model
            }, event_time) AS first
            FROM exposures
            WHERE config_key = $variant_config
            GROUP BY session_id
        )
        WHERE list_contains(
                list_zip($variant_versions::BIGINT[], $variant_indexes::BIGINT[]),
                row(first.config_version, first.variant_index)
            )
            OR (first.variant_index IS NULL AND first.assigned_model = $variant_model)
    )"""


def _variant_indexes(name: str, versions: Sequence[ConfigVersion]) -> list[tuple[int, int]]:
    """Return in which versions of the config which index the variant has."""
    found: list[tuple[int, int]] = []
    known: list[str] = []
    for version in versions:
        known = variant_keys(version.body["variants"])
        found += [(version.version, index) for index, key in enumerate(known) if key == name]
    if not found and _INDEX.fullmatch(name):
        index = int(name)
        found = [
            (version.version, index) for version in versions if index < len(variant_keys(version.body["variants"]))
        ]
    if not found:
        shown = ", ".join(f"{index} ({key})" for index, key in enumerate(known)) or "none, since it is not defined"
        raise UnknownVariantError(f"no variant {name!r}: the config has {shown}")
    return found
