"""Figures with their units, as people read them."""

import pytest

from analytics.reports import quantities


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1568.44, "ms", "1,568 ms"),
        (12345678.9, "tokens", "12,345,679 tokens"),
        (992.0, "ms", "992 ms"),
        (0.00019538, "USD", "$0.0001954"),
        (-0.5, "USD", "-$0.5"),
        (0.0272418, "ratio", "2.724 %"),
        (3.60561, None, "3.606"),
        (0, "ratio", "0 %"),
        (1e-17, None, "0"),
        (1.234e-8, "USD", "$1.234e-08"),
        (None, "ms", "–"),
    ],
)
def test_a_quantity_has_four_digits_and_its_unit(value: float | None, unit: str | None, text: str) -> None:
    assert quantities.quantity(value, unit) == text


@pytest.mark.parametrize(
    ("ends", "unit", "text"),
    [
        ([1274.41, 1862.5], "ms", "[1,274, 1,862]"),
        ([0.0071, 0.0474], "ratio", "[0.71, 4.74] %"),
        ([-0.001, 0.00172], "USD", "[-$0.001, $0.00172]"),
        (None, "ms", ""),
    ],
)
def test_an_interval_has_three_digits(ends: list[float] | None, unit: str | None, text: str) -> None:
    assert quantities.interval(ends, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.0476, "-4.8 %"),
        (0.25, "+25.0 %"),
        (-0.0001, "0.0 %"),
        (33.1, "+3,310 %"),
        (1e9, "+>100,000 %"),
        (-1e9, "->100,000 %"),
        (None, "–"),
    ],
)
def test_a_lift_is_in_signed_percents(value: float | None, text: str) -> None:
    assert quantities.lift(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "<0.001"), (0.0009, "<0.001"), (0.0314, "0.031"), (0.574, "0.57"), (1.0, "1.00")]
)
def test_a_p_value_is_never_zero(value: float, text: str) -> None:
    assert quantities.p_value(value) == text
