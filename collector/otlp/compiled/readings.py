"""The dialects' readings of attributes that hold JSON or times, as arrays: by key, what is read of its value."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collector.otlp.compiled.keys import KEYS, TEXT
from collector.otlp.compiled.memory import PADDING
from schemas.dialects import READINGS, Member, Moment, Preface

NUMBERS, TEXTS, WHOLE, MOMENT, PREFACE = range(5)
"""What is read: numbers that are members, a text that is one, the whole text, a time, instructions."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Of key k, the readings ``first[k]`` to ``first[k + 1]``: ``kind``, ``column``, ``rank``.

    Of reading r, in order, the alternatives ``first_alternative[r]`` to the next; of alternative a the names
    ``first_name[a]`` to the next, the members of which are added up. Name n is ``data[starts[n]:starts[n + 1]]``, or
    where it ``is_beginning``, what names begin with. ``is_deep`` says of a key whether names of it have dots: members
    of members.
    """

    first: NDArray[np.int64]
    kind: NDArray[np.int64]
    column: NDArray[np.int64]
    rank: NDArray[np.int64]
    first_alternative: NDArray[np.int64]
    first_name: NDArray[np.int64]
    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    is_beginning: NDArray[np.bool_]
    is_deep: NDArray[np.bool_]


def _load() -> Readings:
    by_key = [_of_key(key) for key in KEYS.ids]
    found = [reading for each in by_key for reading in each]
    alternatives = [_names(reading) for reading in found]
    listed = [names.split("+") for each in alternatives for names in each]
    names = [name for each in listed for name in each]
    encoded = [name.removesuffix("*").encode() for name in names]
    return Readings(
        first=_starts(by_key),
        kind=np.array([_kind(reading) for reading in found]),
        column=np.array([KEYS.columns.index(reading.column) for reading in found]),
        rank=np.array([reading.rank for reading in found]),
        first_alternative=_starts(alternatives),
        first_name=_starts(listed),
        data=np.frombuffer(bytearray(b"".join(encoded) + bytes(PADDING)), np.uint8),
        starts=_starts(encoded),
        is_beginning=np.array([name.endswith("*") for name in names]),
        is_deep=np.array([any("." in names for reading in each for names in _names(reading)) for each in by_key]),
    )


def _of_key(key: str) -> list[Member | Moment | Preface]:
    return [
        reading
        for reading in READINGS
        if isinstance(reading, Member | Moment) or (isinstance(reading, Preface) and reading.event is None)
        if reading.key == key
    ]


def _kind(reading: Member | Moment | Preface) -> int:
    if isinstance(reading, Moment):
        return MOMENT
    if isinstance(reading, Preface):
        return PREFACE
    if not reading.names:
        return WHOLE
    return TEXTS if KEYS.kinds[KEYS.columns.index(reading.column)] == TEXT else NUMBERS


def _names(reading: Member | Moment | Preface) -> tuple[str, ...]:
    return reading.names if isinstance(reading, Member) else ()


def _starts(groups: Sequence[Sequence[object]]) -> NDArray[np.int64]:
    return np.cumsum([0, *map(len, groups)]).astype(np.int64)


READINGS_BY_KEY = _load()
