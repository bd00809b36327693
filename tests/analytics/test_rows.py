"""Values of a query's answer as JSON."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import orjson
import pyarrow as pa
import pytest

from analytics.rows import json_rows, json_value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**63, 2**63),
        (2**64, str(2**64)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (1.5, 1.5),
        (float("nan"), None),
        (float("-inf"), None),
        (Decimal("512"), 512),
        (Decimal("0.10"), 0.1),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (timedelta(seconds=1.5), 1.5),
        (b"\x00\xff", "00ff"),
        ([Decimal("1"), {"a": float("inf")}], [1, {"a": None}]),
        ({1: "x"}, {"1": "x"}),
    ],
)
def test_a_value_becomes_one_that_json_holds(value: object, expected: object) -> None:
    assert json_value(value) == expected
    assert orjson.loads(orjson.dumps(json_value(value))) == expected


def test_rows_are_lists_in_the_columns_order() -> None:
    table = pa.table({"a": [1, 2], "b": ["x", None]})

    assert json_rows(table) == [[1, "x"], [2, None]]
    assert json_rows(table.slice(0, 0)) == []
