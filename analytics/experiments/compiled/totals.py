"""Adds up values by place."""

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True, error_model="numpy")


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
