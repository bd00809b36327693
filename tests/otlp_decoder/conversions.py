"""What fills a column of which type, and whether the attribute is thereby stored unchanged: the rules, slowly."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

import orjson
import pyarrow as pa
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from schemas.dialects import Source
from schemas.spans import SPANS

COUNT_MAX = 10**12
COST_USD_MAX = 1e9
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_INTEGER_DIGITS_MAX = 40


class Agreement(Enum):
    """What it takes for two values of a cell to agree."""

    EXACT = auto()
    JSON = auto()  # the same once parsed
    NUMBER_TEXT = auto()  # texts of the same double
    PARSED = auto()  # a number from a decimal text: the last bit may differ


@dataclass(frozen=True, slots=True)
class Cell:
    """The value of a column, how exactly another one must agree, and whether it is the attribute's own value."""

    value: object
    agreement: Agreement = Agreement.EXACT
    unchanged: bool = False


def to_python(value: AnyValue) -> object:
    """Return the value in the form that JSON holds without loss."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return _double(value.double_value)
        case "bytes_value":
            return {"$bytes": base64.b64encode(value.bytes_value).decode()}
        case "array_value":
            return [to_python(item) for item in value.array_value.values]
        case "kvlist_value":
            return _map(value.kvlist_value.values)
        case _:
            return None


def to_dict(pairs: Iterable[KeyValue]) -> dict[str, object]:
    """Return the attributes by key; of a key that stands twice the last."""
    return {pair.key: to_python(pair.value) for pair in pairs}


def to_json(value: object) -> str:
    """Return the JSON text."""
    return orjson.dumps(value).decode()


def convert(source: Source, value: object) -> Cell | None:
    """Return what the value, in the form that JSON holds, makes of the source's column; None where it can't fill it."""
    if source.column == "finish_reason" and isinstance(value, list):
        first = _text(value[0]) if value else None
        return Cell(first.value, first.agreement) if first else None
    if source.scale != 1.0:
        return _scaled(value, source.scale)
    column_type = SPANS.schema.field(source.column).type
    if pa.types.is_int64(column_type):
        return _count(value)
    if pa.types.is_float64(column_type):
        return _cost(value)
    return _bool(value) if pa.types.is_boolean(column_type) else _text(value)


def _text(value: object) -> Cell | None:
    if isinstance(value, str):
        return Cell(value, unchanged=True) if value else None
    if isinstance(value, bool):
        return Cell("true" if value else "false")
    if isinstance(value, int):
        return Cell(str(value))
    if isinstance(value, float):
        return Cell(str(value), Agreement.NUMBER_TEXT)
    return Cell(to_json(value), Agreement.JSON) if value else None


def _count(value: object) -> Cell | None:
    number, agreement = _number(value)
    if number is None or not 0 <= number <= COUNT_MAX:
        return None
    return Cell(int(number), agreement, unchanged=isinstance(value, int))


def _cost(value: object) -> Cell | None:
    number, agreement = _number(value)
    if number is None or not 0 <= number <= COST_USD_MAX:
        return None
    # Also the text of an integer, since "-0" may be either zero.
    agreement = Agreement.PARSED if isinstance(value, str) else agreement
    return Cell(float(number), agreement, unchanged=isinstance(value, float))


def _scaled(value: object, scale: float) -> Cell | None:
    number, agreement = _number(value)
    if number is None or abs(number) >= COUNT_MAX:
        return None
    scaled = round(number * scale)
    return Cell(scaled, agreement) if 0 <= scaled <= COUNT_MAX else None


def _bool(value: object) -> Cell | None:
    if isinstance(value, bool):
        return Cell(value, unchanged=True)
    truth = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None
    return Cell(truth) if truth is not None else None


def _number(value: object) -> tuple[float | int | None, Agreement]:
    """Return a finite number, also from the text of one, and how exactly another parser must agree."""
    if isinstance(value, str):
        if _INTEGER.fullmatch(value):
            return _integer(value), Agreement.EXACT
        number = float(value) if _DECIMAL.fullmatch(value) else math.inf
        return (number if math.isfinite(number) else None), Agreement.PARSED
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, Agreement.EXACT
    return value, Agreement.EXACT


def _integer(text: str) -> int:
    digits = text.lstrip("+-").lstrip("0") or "0"
    # Longer ones are beyond every bound, and Python's int() refuses thousands of digits.
    number = int(digits[:_INTEGER_DIGITS_MAX])
    return -number if text[0] == "-" else number


def _double(number: float) -> object:
    if math.isfinite(number):
        return number
    return {"$double": "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"}


def _map(pairs: Iterable[KeyValue]) -> object:
    listed = [(pair.key, to_python(pair.value)) for pair in pairs]
    result = dict(listed)
    if len(result) < len(listed) or any(key.startswith("$") for key in result):
        return {"$kvlist": [list(pair) for pair in listed]}
    return result
