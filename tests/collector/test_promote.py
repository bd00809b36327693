"""Converters from attribute values to column values: what is taken, and what leaves its column to the next key."""

import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.promote import COST_USD_MAX, COUNT_MAX, as_bool, as_count, as_number, as_text, promote

DEEP = orjson.loads(b"[" * 1000 + b"1" + b"]" * 1000)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("", None),
        (None, None),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (1.5, "1.5"),
        ([], None),
        ({}, None),
        (["a", 1], '["a",1]'),
        ({"a": None}, '{"a":null}'),
        (DEEP, None),
    ],
)
def test_a_text_is_a_text_or_the_json_of_what_was_sent(value: object, text: str | None) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3),
        (1.5, 1.5),
        ("3", 3),
        ("1.5", 1.5),
        ("2E3", 2000.0),
        (True, None),
        (None, None),
        ("", None),
        ("many", None),
        ("nan", None),
        ("1e999", None),
        (math.nan, None),
        (math.inf, None),
        ([1], None),
        ({"$double": "NaN"}, None),
        ("9" * 5000, None),
    ],
)
def test_a_number_is_finite_also_as_text(value: object, number: float | None) -> None:
    assert as_number(value) == number


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0, 0),
        (7.9, 7),
        ("21", 21),
        (-1, None),
        (-0.5, None),
        (COUNT_MAX, COUNT_MAX),
        (COUNT_MAX + 1, None),
        (2**63 - 1, None),
        ("9" * 400, None),
        (1e300, None),
    ],
)
def test_a_count_is_a_whole_number_within_bounds(value: object, count: int | None) -> None:
    assert as_count(value) == count


@pytest.mark.parametrize(
    ("value", "truth"), [(True, True), ("TRUE", True), ("false", False), (1, None), ("yes", None), (None, None)]
)
def test_a_truth_value_is_one_also_as_text(value: object, truth: bool | None) -> None:
    assert as_bool(value) is truth


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "gen_ai.usage.input_tokens",
                "gen_ai.usage.cost",
                "gen_ai.request.stream",
                "gen_ai.response.time_to_first_chunk",
                "gen_ai.response.finish_reasons",
                "fallom.prompt_version",
                "session.id",
            ]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("9" * 400),
            lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=2),
            max_leaves=4,
        ),
    )
)
def test_no_value_breaks_promotion_or_leaves_its_bounds(attributes: dict[str, object]) -> None:
    columns = promote(attributes).columns

    assert 0 <= columns.get("input_tokens", 0) <= COUNT_MAX
    assert 0 <= columns.get("reported_cost", 0) <= COST_USD_MAX
    assert 0 <= columns.get("time_to_first_token_ns", 0) <= COUNT_MAX
    assert isinstance(columns.get("is_streaming", True), bool)
    assert all(isinstance(columns.get(name, "x"), str) for name in ("session_id", "finish_reason"))
    assert None not in columns.values()


def test_of_a_list_of_finish_reasons_the_first_counts() -> None:
    columns = promote({"gen_ai.response.finish_reasons": ["stop", "length"]}).columns

    assert columns == {"finish_reason": "stop"}
