"""Adds up values by place."""

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True, error_model="numpy")
_INT32_MAX = 2**31 - 1


@_jit
def add(totals, places, values):
    """Add each value to the total at its place; -1 is none."""
    for row in range(len(places)):
        place = places[row]
        if place >= 0:
            totals[place] += values[row]


@_jit
def add_with_rest(totals, rests, places, values):
    """Likewise; ``rests`` take what rounding leaves out of the totals (Neumaier)."""
    for row in range(len(places)):
        place = places[row]
        if place >= 0:
            value, before = values[row], totals[place]
            total = before + value
            if np.abs(before) >= np.abs(value):
                rests[place] += (before - total) + value
            else:
                rests[place] += (value - total) + before
            totals[place] = total


@_jit
def least(leasts, places, values):
    """Make each value the least at its place, if it is less."""
    for row in range(len(places)):
        place = places[row]
        if place >= 0 and values[row] < leasts[place]:
            leasts[place] = values[row]


@_jit
def add_whole(totals, places, values):
    """Add each value to the total of 32 bits at its place; return the row at which one would outgrow it, else all."""
    for row in range(len(places)):
        place = places[row]
        if place >= 0:
            value = values[row]
            total = np.int64(totals[place]) + value
            # The value apart: a sum of 64 bits may come round.
            if not (-_INT32_MAX <= value <= _INT32_MAX and -_INT32_MAX <= total <= _INT32_MAX):
                return row
            totals[place] = total
    return len(places)


@_jit
def tally(groups, calls, errors, times, call_sums, error_sums, firsts):
    """Add each row's calls and errors to the sums of its group, and let ``firsts`` be the least of its times."""
    for row in range(len(groups)):
        group = groups[row]
        call_sums[group] += calls[row]
        error_sums[group] += errors[row]
        if times[row] < firsts[group]:
            firsts[group] = times[row]
