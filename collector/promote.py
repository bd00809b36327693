"""Attributes to columns, for the flat trace: of each column, the first key of the dialects that is present."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson
import pyarrow as pa

from schemas.dialects import FAMILIES, Family, Source, sources_by_key
from schemas.spans import SPANS

# Beyond this a count is no count; the bound keeps every sum of sums within 64 bits.
COUNT_MAX = 10**12
COST_USD_MAX = 1e9

Convert = Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Promotion:
    """The columns that attributes fill, and at which ranks.

    ``unchanged`` says of which column the value is that of which key as it is; ``gen_ai.prompt.*`` stands for all of a
    family.
    """

    columns: dict[str, object]
    unchanged: dict[str, str]
    ranks: dict[str, int]


def promote(attributes: Mapping[str, object]) -> Promotion:
    """Return the columns that the attributes fill; a value of a wrong type leaves its column to the next key."""
    ranks: dict[str, int] = {}
    columns: dict[str, object] = {}
    unchanged: dict[str, str] = {}
    families: _Members = {}
    for key, value in attributes.items():
        if key.startswith(_PREFIXES):
            _add_member(families, key, value)
        for source, convert in _TARGETS.get(key, ()):
            column, rank = source.column, source.rank
            if ranks.get(column, _NO_RANK) <= rank:
                continue
            if source.where and attributes.get(source.where[0]) != source.where[1]:
                continue
            converted = convert(value)
            if converted is None:
                continue
            ranks[column], columns[column] = rank, converted
            if converted is value and source.scale == 1.0:
                unchanged[column] = key
            else:
                unchanged.pop(column, None)
    promotion = Promotion(columns, unchanged, ranks)
    for family, members in families.items():
        _promote_family(promotion, family, members)
    return promotion


def convert(source: Source, value: object) -> object:
    """Return what a value makes of the source's column; None where it is of a wrong type."""
    return _CONVERTERS[source](value)


def family_member(key: str) -> str | None:
    """Return the family whose message the attribute is a part of, as ``gen_ai.prompt.*``; None where it is of none."""
    found = _MEMBER.fullmatch(key) if key.startswith(_PREFIXES) else None
    return f"{found[1]}*" if found else None


def _add_member(families: "_Members", key: str, value: object) -> None:
    found = _MEMBER.fullmatch(key)
    if found:
        family = _FAMILY_OF[found[1]]
        families.setdefault(family, defaultdict(dict))[int(found[2])][found[3]] = value


def _promote_family(promotion: Promotion, family: Family, members: Mapping[int, Mapping[str, object]]) -> None:
    column = family.column
    if promotion.ranks.get(column, _NO_RANK) <= family.rank:
        return
    numbers = sorted(members)
    messages = as_text([members[number] for number in numbers])
    if messages is None:
        return
    promotion.ranks[column], promotion.columns[column] = family.rank, messages
    if numbers == list(range(len(numbers))):
        promotion.unchanged[column] = f"{family.prefix}*"
    else:
        promotion.unchanged.pop(column, None)


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
        found = _NUMBER.fullmatch(value)
        if not found:
            return None
        value = _integer(value) if found.lastindex is None else float(value)
    if isinstance(value, int):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else None


def _integer(text: str) -> int | None:
    digits = text.lstrip("+-").lstrip("0") or "0"
    if len(digits) > _DIGITS_MAX:
        return None
    return -int(digits) if text[0] == "-" else int(digits)


def as_count(value: object) -> int | None:
    """Return a whole number from 0 to COUNT_MAX."""
    number = as_number(value)
    return int(number) if number is not None and 0 <= number <= COUNT_MAX else None


def as_bool(value: object) -> bool | None:
    """Return a truth value, also from the text of one."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def as_cost(value: object) -> float | None:
    """Return a cost in USD, from 0 to COST_USD_MAX."""
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
        return as_cost
    return as_bool if pa.types.is_boolean(data_type) else as_text


_NO_RANK = 1 << 30
# Longer integers are beyond every bound; Python would refuse to read the longest.
_DIGITS_MAX = 40
# A group is what makes it no integer.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]+)?")
# What each key can fill, and how its value is converted.
_TARGETS: dict[str, tuple[tuple[Source, Convert], ...]] = {
    key: tuple((source, _converter(source)) for source in sources) for key, sources in sources_by_key("").items()
}
_CONVERTERS = {source: convert for found in _TARGETS.values() for source, convert in found}
_Members = dict[Family, defaultdict[int, dict[str, object]]]
_FAMILY_OF = {family.prefix: family for family in FAMILIES}
_PREFIXES = tuple(_FAMILY_OF)
_MEMBER = re.compile(rf"({'|'.join(map(re.escape, _PREFIXES))})(0|[1-9][0-9]{{0,3}})\.(.+)", re.DOTALL)
