"""Figures with their units, to about four digits, as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

UNKNOWN = "–"
_DIGITS = 4
# Of an interval's ends, which are less certain.
_END_DIGITS = 3
_DECIMALS_MAX = 8
# What is left of zero after a computation.
_NOTHING = 1e-12
# A lift beyond a thousandfold says nothing more than that.
_LIFT_MAX = 1000.0


def quantity(value: float | None, unit: str | None) -> str:
    """Return a value with its unit: ``1,568 ms``, ``$0.01234``, ``4.2 %``, ``812 tokens``."""
    if value is None:
        return UNKNOWN
    return _with_unit(number(_scaled(value, unit)), unit)


def interval(ends: Sequence[float] | None, unit: str | None) -> str:
    """Return an interval, ``[1,274, 1,862]``, with the unit where it is not that of the estimate; empty if none."""
    if ends is None:
        return ""
    lower, upper = (number(_scaled(end, unit), _END_DIGITS) for end in ends)
    if unit == "USD":
        return f"[{_with_unit(lower, unit)}, {_with_unit(upper, unit)}]"
    return _with_unit(f"[{lower}, {upper}]", unit if unit == "ratio" else None)


def lift(value: float | None) -> str:
    """Return a lift as signed percents: ``-4.8 %``."""
    return UNKNOWN if value is None else f"{_percents(value)} %"


def lift_interval(ends: Sequence[float] | None) -> str:
    """Return a lift's interval in percents; empty where there is none."""
    return "" if ends is None else f"[{_percents(ends[0])}, {_percents(ends[1])}] %"


def p_value(value: float | None) -> str:
    """Return a p-value: ``0.031``, ``<0.001``."""
    if value is None:
        return UNKNOWN
    if value < 0.001:
        return "<0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def number(value: float, digits: int = _DIGITS) -> str:
    """Return a number to so many digits, with thousands apart and none of them lost: ``12,346``, ``0.001234``."""
    if abs(value) < _NOTHING:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    if decimals > _DECIMALS_MAX:
        return f"{value:.{digits}g}"
    text = f"{value:,.{max(0, decimals)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _scaled(value: float, unit: str | None) -> float:
    return 100 * value if unit == "ratio" else value


def _with_unit(text: str, unit: str | None) -> str:
    match unit:
        case None:
            return text
        case "USD":
            return f"-${text[1:]}" if text.startswith("-") else f"${text}"
        case "ratio":
            return f"{text} %"
    return f"{text} {unit}"


def _percents(share: float) -> str:
    if abs(share) >= _LIFT_MAX:
        return f"{'-' if share < 0 else '+'}>{_LIFT_MAX * 100:,.0f}"
    text = f"{100 * share:+,.1f}" if abs(share) < 10 else f"{100 * share:+,.0f}"
    return "0.0" if text in ("-0.0", "+0.0") else text
