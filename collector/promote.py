"""Attributes to columns: for each column of the span table, the first key of the dialects that is present."""

import math
from collections.abc import Callable, Mapping
from functools import cache

import orjson
import pyarrow as pa

from schemas.dialects import Source, sources_by_key
from schemas.spans import SPANS

# Beyond this a count is no count; the bound keeps every sum of sums within 64 bits.
COUNT_MAX = 10**12
COST_USD_MAX = 1e9

_sources = cache(sources_by_key)


def promote(attributes: Mapping[str, object], scope_name: str) -> dict[str, object]:
    """Return the columns that the attributes fill; a value of a wrong type leaves its column to the next key."""
    by_key = _sources("ai" if scope_name == "ai" else "")
    best: dict[str, tuple[int, object]] = {}
    for key, value in attributes.items():
        for source in by_key.get(key, ()):
            found = best.get(source.column)
            if found is not None and found[0] <= source.rank:
                continue
            converted = _converted(source, value)
            if converted is not None:
                best[source.column] = (source.rank, converted)
    return {column: value for column, (_, value) in best.items()}


def as_text(value: object) -> str | None:
    """Return a non-empty text; a list or object as JSON."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    try:
        return orjson.dumps(value).decode() if value else None
    except orjson.JSONEncodeError:
        return None  # Nested deeper than JSON is written.


def as_number(value: object) -> float | int | None:
    """Return a finite number, also from the text of one."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        try:
            value = float(value) if "." in value or "e" in value.lower() else int(value)
        except ValueError:
            return None
    if isinstance(value, int):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else None


def as_count(value: object) -> int | None:
    """Return a whole number from 0 to COUNT_MAX."""
    number = as_number(value)
    return int(number) if number is not None and 0 <= number <= COUNT_MAX else None


def as_bool(value: object) -> bool | None:
    """Return a truth value, also from the text of one."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def _converted(source: Source, value: object) -> object:
    if source.column == "finish_reason" and isinstance(value, list):
        value = value[0] if value else None
    if source.scale != 1.0:
        number = as_number(value)
        return as_count(round(number * source.scale)) if number is not None and abs(number) < COUNT_MAX else None
    return _CONVERT[source.column](value)


def _as_cost(value: object) -> float | None:
    number = as_number(value)
    return float(number) if number is not None and 0 <= number <= COST_USD_MAX else None


def _converter(data_type: pa.DataType) -> Callable[[object], object]:
    if pa.types.is_int64(data_type):
        return as_count
    if pa.types.is_float64(data_type):
        return _as_cost
    return as_bool if pa.types.is_boolean(data_type) else as_text


_CONVERT = {field.name: _converter(field.type) for field in SPANS.schema}
