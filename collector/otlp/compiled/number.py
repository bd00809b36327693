"""Numbers as text, and text as numbers.

A double is written with the fewest digits that read back as the same double, by the Schubfach algorithm (Raffaello
Giulietti, "The Schubfach way to render doubles", 2020): of the decimals in the interval that rounds to the double, it
finds the shortest, and of those the nearest, with three multiplications by a tabulated power of ten.
"""

import numpy as np

from collector.jit import inlined, inner
from collector.otlp.compiled.memory import bits_of, double_of, load8, multiply_high, store8

NUMBER_BYTES_MAX = 32
"""No number takes more."""

_POWER_MIN, _POWER_MAX = -292, 324
_HIDDEN_BIT = np.uint64(1 << 52)
_FRACTION = np.uint64((1 << 52) - 1)
_EXPONENT_BIAS = 1075
# Up to these a decimal's digits and its power of ten are exact doubles.
_EXACT_POWERS = 10.0 ** np.arange(23)
_EXACT_DIGITS = np.uint64(1 << 53)
_DIGITS_MAX = 19
# In this range a double is written without an exponent.
_POINT_MIN, _POINT_MAX = -4, 16
_TEN = np.uint64(10)


def _powers_of_ten() -> np.ndarray:
    """Return 10**k for each k, rounded up to 128 significant bits: its upper and lower half."""
    halves = np.empty((_POWER_MAX - _POWER_MIN + 1, 2), np.uint64)
    for row, k in enumerate(range(_POWER_MIN, _POWER_MAX + 1)):
        shift = 127 - ((k * 1741647) >> 19)
        numerator = 10 ** max(k, 0) << max(shift, 0)
        denominator = 10 ** max(-k, 0) << max(-shift, 0)
        bits = -(-numerator // denominator)
        halves[row] = bits >> 64, bits & (1 << 64) - 1
    return halves


_POWERS = _powers_of_ten()


@inner()
def put_unsigned(out, o, value):
    """Write an unsigned integer in decimal; return the end."""
    count = 1
    rest = value
    while rest >= _TEN:
        rest //= _TEN
        count += 1
    for place in range(count - 1, -1, -1):
        store8(out, o + place, 48 + np.int64(value % _TEN))
        value //= _TEN
    return o + count


@inner()
def put_integer(out, o, value):
    """Write a signed integer in decimal; return the end."""
    if value < 0:
        store8(out, o, 45)
        return put_unsigned(out, o + 1, np.uint64(0) - np.uint64(value))
    return put_unsigned(out, o, np.uint64(value))


@inlined()
def _round_to_odd(high, low, value):
    carry = multiply_high(low, value)
    lower = high * value
    upper = multiply_high(high, value)
    total = lower + carry
    if total < lower:
        upper += np.uint64(1)
    return upper | np.uint64(total > np.uint64(1))


@inner()
def shortest_decimal(number):
    """Return (digits, exponent) of a positive finite double: digits * 10**exponent, the digits without end zeros."""
    bits = bits_of(number)
    fraction = bits & _FRACTION
    biased = np.int64(bits >> np.uint64(52))
    if biased:
        c = fraction | _HIDDEN_BIT
        q = biased - _EXPONENT_BIAS
        if -52 <= q <= 0 and c & ((np.uint64(1) << np.uint64(-q)) - np.uint64(1)) == 0:
            return _without_zeros(c >> np.uint64(-q), 0)
    else:
        c = fraction
        q = 1 - _EXPONENT_BIAS
    is_odd = c & np.uint64(1)
    is_closer_below = fraction == 0 and biased > 1
    k = (q * 1262611 - (524031 if is_closer_below else 0)) >> 22
    h = np.uint64(q + ((-k * 1741647) >> 19) + 1)
    high, low = _POWERS[-k - _POWER_MIN, 0], _POWERS[-k - _POWER_MIN, 1]
    center = np.uint64(4) * c
    below = center - np.uint64(2) + np.uint64(is_closer_below)
    lower = _round_to_odd(high, low, below << h) + is_odd
    middle = _round_to_odd(high, low, center << h)
    upper = _round_to_odd(high, low, (center + np.uint64(2)) << h) - is_odd
    s = middle >> np.uint64(2)
    if s >= _TEN:
        tens = s // _TEN
        is_floor_inside = lower <= np.uint64(40) * tens
        is_ceiling_inside = np.uint64(40) * tens + np.uint64(40) <= upper
        if is_floor_inside != is_ceiling_inside:
            return _without_zeros(tens + np.uint64(is_ceiling_inside), k + 1)
    is_floor_inside = lower <= np.uint64(4) * s
    is_ceiling_inside = np.uint64(4) * s + np.uint64(4) <= upper
    if is_floor_inside != is_ceiling_inside:
        return _without_zeros(s + np.uint64(is_ceiling_inside), k)
    half = np.uint64(4) * s + np.uint64(2)
    is_up = middle > half or (middle == half and s & np.uint64(1) != 0)
    return _without_zeros(s + np.uint64(is_up), k)


@inlined()
def _without_zeros(digits, exponent):
    while digits % _TEN == 0:
        digits //= _TEN
        exponent += 1
    return digits, exponent


@inner()
def put_double(out, o, number):
    """Write a finite double, always with a point or an exponent; return the end."""
    if number < 0 or (number == 0 and np.signbit(number)):
        store8(out, o, 45)
        o += 1
        number = -number
    if number == 0:
        store8(out, o, 48)
        store8(out, o + 1, 46)
        store8(out, o + 2, 48)
        return o + 3
    digits, exponent = shortest_decimal(number)
    end = put_unsigned(out, o, digits)
    count = end - o
    point = count + exponent
    if exponent >= 0 and point <= _POINT_MAX:
        for place in range(exponent):
            store8(out, end + place, 48)
        end += exponent
        store8(out, end, 46)
        store8(out, end + 1, 48)
        return end + 2
    if 0 < point <= _POINT_MAX:
        _shift(out, o + point, end, 1)
        store8(out, o + point, 46)
        return end + 1
    if _POINT_MIN < point <= 0:
        _shift(out, o, end, 2 - point)
        for place in range(2 - point):
            store8(out, o + place, 46 if place == 1 else 48)
        return end + 2 - point
    if count > 1:
        _shift(out, o + 1, end, 1)
        store8(out, o + 1, 46)
        end += 1
    store8(out, end, 101)
    return put_integer(out, end + 1, point - 1)


@inlined()
def _shift(out, start, stop, by):
    for place in range(stop - 1, start - 1, -1):
        store8(out, place + by, load8(out, place))


@inner()
def parse_number(buf, start, stop):
    """Return (is_number, is_integer, integer, double) of a decimal number's text; nothing may stand around it.

    A double of more than 19 digits or of a large exponent may differ from the nearest in its last bit.
    """
    none = (False, False, np.int64(0), 0.0)
    pos = start
    is_negative = False
    if pos < stop and (load8(buf, pos) == 45 or load8(buf, pos) == 43):
        is_negative = load8(buf, pos) == 45
        pos += 1
    digits = np.uint64(0)
    significant = 0
    exponent = 0
    seen = 0
    is_after_point = False
    while pos < stop:
        byte = load8(buf, pos)
        if 48 <= byte <= 57:
            seen += 1
            if significant < _DIGITS_MAX:
                digits = digits * _TEN + np.uint64(byte - 48)
                significant += 1 if digits else 0
                exponent -= 1 if is_after_point else 0
            else:
                exponent += 0 if is_after_point else 1
        elif byte == 46 and not is_after_point:
            is_after_point = True
        else:
            break
        pos += 1
    if seen == 0:
        return none
    is_integer = pos == stop and not is_after_point
    if pos < stop:
        if load8(buf, pos) | 32 != 101:
            return none
        pos, power = _parse_exponent(buf, pos + 1, stop)
        if pos < 0:
            return none
        exponent += power
    number = _scaled(digits, exponent)
    integer = np.int64(0)
    if is_integer and digits <= np.uint64(9223372036854775807) and exponent == 0:
        integer = -np.int64(digits) if is_negative else np.int64(digits)
    else:
        is_integer = False
    return True, is_integer, integer, -number if is_negative else number


@inner()
def exact_decimal(buf, start, stop):
    """Return (whether it is one, the double nearest to it) of a number without sign or exponent, of few digits.

    What is written with more digits than are exact is held against how the double would be written: libraries write
    the shortest text that reads back.
    """
    is_number, _, _, number = parse_number(buf, start, stop)
    if not is_number:
        return False, 0.0
    digits, exponent, significant = np.uint64(0), 0, 0
    is_after_point = False
    for pos in range(start, stop):
        byte = load8(buf, pos)
        if byte == 46:
            is_after_point = True
        elif byte < 48 or byte > 57 or significant == _DIGITS_MAX:
            return False, 0.0
        else:
            digits = digits * _TEN + np.uint64(byte - 48)
            significant += 1 if digits else 0
            exponent -= 1 if is_after_point else 0
    if digits == 0 or (digits < _EXACT_DIGITS and exponent >= -22):
        return True, number
    digits, exponent = _without_zeros(digits, exponent)
    for neighbour in range(-1, 2):
        near = double_of(bits_of(number) + np.uint64(neighbour))
        if shortest_decimal(near) == (digits, exponent):
            return True, near
    return False, 0.0


@inlined()
def _parse_exponent(buf, pos, stop):
    is_negative = False
    if pos < stop and (load8(buf, pos) == 45 or load8(buf, pos) == 43):
        is_negative = load8(buf, pos) == 45
        pos += 1
    if pos >= stop:
        return -1, 0
    power = 0
    while pos < stop:
        byte = load8(buf, pos)
        if byte < 48 or byte > 57:
            return -1, 0
        if power < 100_000:
            power = power * 10 + byte - 48
        pos += 1
    return pos, -power if is_negative else power


@inlined()
def _scaled(digits, exponent):
    if digits == 0:
        return 0.0
    if digits < _EXACT_DIGITS and -22 <= exponent <= 22:
        number = np.float64(digits)
        return number / _EXACT_POWERS[-exponent] if exponent < 0 else number * _EXACT_POWERS[exponent]
    if exponent > 310:
        return np.inf
    if exponent < -345:
        return 0.0
    number = np.float64(digits)
    # In steps, since a single power would overflow where the result does not.
    while exponent > 22:
        number *= 1e22
        exponent -= 22
    while exponent < -22:
        number /= 1e22
        exponent += 22
    return number / _EXACT_POWERS[-exponent] if exponent < 0 else number * _EXACT_POWERS[exponent]
