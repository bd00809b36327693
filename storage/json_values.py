"""Rows of a query as JSON values: times in ISO 8601, numbers as numbers, no NaN."""

import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pyarrow as pa

from storage.errors import QueryRefusedError


def json_rows(table: pa.Table) -> list[list[object]]:
    """Return the rows as lists of values that JSON can hold.

    Raises QueryRefusedError for a time that Python can't hold: beyond the years 1 to 9999, or finer than a microsecond.
    """
    try:
        columns = [[json_value(value) for value in column.to_pylist()] for column in table.columns]
    except (ValueError, OverflowError) as error:
        raise QueryRefusedError(f"a value can't be shown ({error}): cast it to VARCHAR") from error
    return [list(row) for row in zip(*columns, strict=True)]


def json_value(value: object) -> object:
    """Return one value in a form that JSON can hold. A number that is not finite becomes null."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if -(2**63) <= value < 2**64 else str(value)
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return json_value(int(value)) if value.as_tuple().exponent == 0 else float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return value.hex()
        case list() | tuple():
            return [json_value(item) for item in value]
        case dict():
            return {str(name): json_value(item) for name, item in value.items()}
        case _:
            return str(value)
