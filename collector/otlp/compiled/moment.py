"""Times as texts, ISO 8601, in the one form that libraries write: ``2026-11-21T12:00:01.500Z``."""

from collector.jit import inlined, inner
from collector.otlp.compiled.json_text import UNSURE
from collector.otlp.compiled.memory import load8

_YEAR_MIN, _YEAR_MAX = 1970, 2200
_NS = 1_000_000_000


@inlined()
def _number(buf, pos, count):
    """Return the number of so many digits; UNSURE where they are none."""
    number = 0
    for place in range(pos, pos + count):
        byte = load8(buf, place)
        if byte < 48 or byte > 57:
            return UNSURE
        number = number * 10 + byte - 48
    return number


@inlined()
def _days(year, month, day):
    """Return the days since 1970."""
    # March begins the year, so that what leap years add is its last day.
    year -= month <= 2
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


@inner()
def unix_nano(buf, start, stop):
    """Return the time; UNSURE where it is none, or in another form. What says no zone is in UTC."""
    if stop - start < 19:
        return UNSURE
    is_written = load8(buf, start + 4) == 45 and load8(buf, start + 7) == 45 and load8(buf, start + 10) == 84
    if not is_written or load8(buf, start + 13) != 58 or load8(buf, start + 16) != 58:
        return UNSURE
    year, month, day = _number(buf, start, 4), _number(buf, start + 5, 2), _number(buf, start + 8, 2)
    hour, minute, second = _number(buf, start + 11, 2), _number(buf, start + 14, 2), _number(buf, start + 17, 2)
    # February's 29th and what follows are left to those who know leap years.
    days_max = 28 if month == 2 else 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31
    if not (_YEAR_MIN <= year <= _YEAR_MAX and 1 <= month <= 12 and 1 <= day <= days_max):
        return UNSURE
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        return UNSURE
    seconds = ((_days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
    fraction, pos = _fraction(buf, start + 19, stop)
    if fraction < 0:
        return UNSURE
    offset = _offset_s(buf, pos, stop)
    if offset == _NS:
        return UNSURE
    return (seconds - offset) * _NS + fraction


@inlined()
def _fraction(buf, pos, stop):
    """Return (nanoseconds of milli- or microseconds, what follows)."""
    if pos >= stop or load8(buf, pos) != 46:
        return 0, pos
    end = pos + 1
    while end < stop and 48 <= load8(buf, end) <= 57:
        end += 1
    if end - pos == 4:
        return _number(buf, pos + 1, 3) * 1_000_000, end
    if end - pos == 7:
        return _number(buf, pos + 1, 6) * 1_000, end
    return UNSURE, end


@inlined()
def _offset_s(buf, pos, stop):
    """Return the zone's distance from UTC; _NS where it is none."""
    if pos == stop or (pos + 1 == stop and load8(buf, pos) == 90):
        return 0
    sign = load8(buf, pos)
    if stop - pos != 6 or load8(buf, pos + 3) != 58 or not (sign == 43 or sign == 45):
        return _NS
    hours, minutes = _number(buf, pos + 1, 2), _number(buf, pos + 4, 2)
    if not (0 <= hours < 24 and 0 <= minutes < 60):
        return _NS
    return (hours * 3600 + minutes * 60) * (1 if sign == 43 else -1)
