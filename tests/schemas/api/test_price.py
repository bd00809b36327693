"""Prices of a project's own: taken as they are meant, or refused with what is wrong."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from registry_documents import price

from schemas.api.registry import PRICES_MAX
from storage.registry.bodies import resource_of, stored
from storage.registry.document import from_yaml, parse, to_yaml
from storage.registry.errors import DocumentError

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"from": None}, "prices[0].from: must be a day such as 2026-11-21, got null"),
    ({"from": "21.11.2026"}, "prices[0].from: must be a day such as 2026-11-21, got '21.11.2026'"),
    ({"from": 20261121}, "prices[0].from: must be a day such as 2026-11-21, got 20261121"),
    ({"to": "2025-12-31"}, "prices[0].to: must not be before from (2026-01-01), got 2025-12-31"),
    ({"usd_per_million": None}, "prices[0]: needs usd_per_million, usd_per_request, or both"),
    ({"usd_per_million": {"input": 1}}, "prices[0].usd_per_million.output: is required"),
    ({"usd_per_million": {"input": -1, "output": 1}}, "prices[0].usd_per_million.input: must be >= 0, got -1"),
    ({"usd_per_million": {"input": "1", "output": 1}}, "prices[0].usd_per_million.input: must be a number, got '1'"),
    ({"usd_per_million": {"input": 2e9, "output": 1}}, "prices[0].usd_per_million.input: must be <= 1000000000, got"),
    (
        {"usd_per_million": {"in": 1, "output": 1}},
        "prices[0].usd_per_million.in: unknown key; there are: input, output, cache_read, cache_write",
    ),
    ({"usd_per_request": float("nan")}, "prices[0].usd_per_request: must be a finite number, got nan"),
    ({"model": ""}, "prices[0].model: must not be empty"),
    ({"model": 5}, "prices[0].model: must be a string, got 5"),
    ({"replaces_reported": 1}, "prices[0].replaces_reported: must be true or false, got 1"),
    ({"until": "2026-01-01"}, "prices[0].until: unknown key"),
]


@pytest.mark.parametrize(("fields", "problem"), REFUSED, ids=[problem for _, problem in REFUSED])
def test_a_price_that_can_t_be_meant_so_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(DocumentError) as refused:
        parse({"prices": [price() | fields]})

    assert any(line.startswith(problem) for line in str(refused.value).splitlines()), str(refused.value)


def test_a_day_of_yaml_s_own_is_the_same_as_a_text() -> None:
    text = "prices: [{key: k, model: m, from: %s, usd_per_request: 1}]"

    found = [from_yaml((text % day).encode()) for day in ("2026-11-21", "'2026-11-21'")]

    assert found[0] == found[1] == from_yaml(to_yaml(found[0]).encode())
    assert found[0].prices[0].from_day == date(2026, 11, 21)


def test_prices_that_are_equal_are_stored_alike() -> None:
    bodies = [price(usd_per_million={"input": one, "output": 2, "cache_read": None}) for one in (1, 1.0)]

    texts = {stored(resource_of("price", "llama", {**body, "replaces_reported": False, "to": None})) for body in bodies}

    assert texts == {'{"model":"custom:llama","from":"2026-01-01","usd_per_million":{"input":1,"output":2}}'}


def test_there_may_be_so_many_and_no_more() -> None:
    with pytest.raises(DocumentError, match=f"prices: must have at most {PRICES_MAX} items"):
        parse({"prices": [price(f"p{number}") for number in range(PRICES_MAX + 1)]})
