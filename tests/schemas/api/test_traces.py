"""What lists of traces are asked for, and the examples of what they answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from schemas.api import traces_examples as examples
from schemas.api.traces import ListQuery, Session, SessionPage, Trace, TracePage


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (TracePage, examples.TRACE_PAGE),
        (SessionPage, examples.SESSION_PAGE),
        (Trace, examples.TRACE),
        (Session, examples.SESSION),
    ],
)
def test_an_example_is_as_its_model_has_it(model: type[BaseModel], example: dict[str, Any]) -> None:
    assert model.model_validate(example).model_dump() == example


@pytest.mark.parametrize("moment", ["2026-11-21", "2026-11-21T00:00:00Z", "2026-11-21T01:00:00+01:00", "1795219200"])
def test_a_time_is_utc_where_it_names_no_zone(moment: str) -> None:
    assert ListQuery.model_validate({"from": moment}).started_from == datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    "asked",
    [
        {"from": "9999-12-31T23:59:59-14:00"},
        {"from": "2026-01-02", "to": "2026-01-01"},
        {"cost_min": 2, "cost_max": 1},
        {"cost_min": "inf"},
        {"tag": [""]},
        {"tag": ["a"] * 11},
        {"text": "a\0"},
        {"text": "\ud800"},
        {"metadata": ["=value"]},
        {"variant": "1"},
        {"status": "failed"},
        {"started_from": "2026-01-01"},
    ],
)
def test_a_query_that_can_not_be_meant_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ListQuery.model_validate(asked)
