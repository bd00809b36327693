"""Attributes to columns, for the flat trace: of each column, the first key of the dialects that is present."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson
import pyarrow as pa

from schemas.dialects import Source, sources_by_key
from schemas.spans import SPANS

# Beyond this a count is no count; the bound keeps every sum of sums within 64 bits.
COUNT_MAX = 10**12
COST_USD_MAX = 1e9

Convert = Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Promotion:
    """The columns that attributes fill; ``unchanged`` says of which column the value is that of which key as it is."""

    columns: dict[str, object]
    unchanged: dict[str, str]


def promote(attributes: Mapping[str, object]) -> Promotion:
    """Return the columns that the attributes fill; a value of a wrong type leaves its column to the next key."""
    ranks: dict[str, int] = {}
    columns: dict[str, object] = {}
    unchanged: dict[str, str] = {}
    for key, value in attributes.items():
        for column, rank, convert, is_scaled in _TARGETS.get(key, ()):
            if ranks.get(column, _NO_RANK) <= rank:
                continue
            converted = convert(value)
            if converted is None:
                continue
            ranks[column], columns[column] = rank, converted
            if converted is value and not is_scaled:
                unchanged[column] = key
            else:
                unchanged.pop(column, None)
    return Promotion(columns, unchanged)


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


def _as_cost(value: object) -> float | None:
    number = as_number(value)
    return float(number) if number is not None and 0 <= number <= COST_USD_MAX else None


def _as_first_text(value: object) -> str | None:
    if isinstance(value, list):
        value = value[0] if value else None
    return as_text(value)


def _scaled(scale: float) -> Convert:
    def convert(value: object) -> int | None:
        number = as_number(value)
        return as_count(round(number * scale)) if number is not None and abs(number) < COUNT_MAX else None

    return convert


def _converter(source: Source) -> Convert:
    data_type = SPANS.schema.field(source.column).type
    if source.scale != 1.0:
        return _scaled(source.scale)
    if source.column == "finish_reason":
        return _as_first_text
    if pa.types.is_int64(data_type):
        return as_count
    if pa.types.is_float64(data_type):
        return _as_cost
    return as_bool if pa.types.is_boolean(data_type) else as_text


_NO_RANK = 1 << 30
# What each key can fill: the column, the key's rank there, how its value is converted, and whether that scales it.
_TARGETS: dict[str, tuple[tuple[str, int, Convert, bool], ...]] = {
    key: tuple((source.column, source.rank, _converter(source), source.scale != 1.0) for source in sources)
    for key, sources in sources_by_key("").items()
}
