"""A dialect: which attributes and events of one library fill which columns of the span table.

Of all that could fill a column, what has the lowest ``rank`` there does, whichever dialect it is from.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """One attribute key that can fill one column.

    A value is multiplied by ``scale`` (units are converted here, once). With ``where``, a key and a text, it counts
    only on spans whose attribute of that key is that text.
    """

    column: str
    rank: int
    key: str
    scale: float = 1.0
    where: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """Messages that a library spreads over many attributes, ``<prefix><index>.<rest of the key>``.

    Where none of lower ``rank`` is present, the column becomes a JSON list: an object a message, in order of the index,
    of what follows it in the keys.
    """

    column: str
    rank: int
    prefix: str


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the object that an attribute holds, as JSON or as a map.

    The first of ``names`` counts that is there. ``input*`` is the sum of the members whose names begin so, ``a+b`` the
    sum of several, ``a.b`` the member b of the object that a is; no name at all stands for the whole of a JSON text,
    without its quotes.
    """

    column: str
    rank: int
    key: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """An attribute that is a time, ISO 8601: how long after the span's start it is fills the column, ns."""

    column: str
    rank: int
    key: str


@dataclass(frozen=True, slots=True)
class Preface:
    """Instructions that stand apart from the messages: put before them as a message of their own, role ``system``.

    Only where the column is filled at this ``rank``; with ``event``, they are an attribute of the events of that name.
    """

    column: str
    rank: int
    key: str
    event: str | None = None


@dataclass(frozen=True, slots=True)
class EventAttribute:
    """An attribute of the first of the span's events of that name that has it."""

    column: str
    rank: int
    event: str
    key: str


@dataclass(frozen=True, slots=True)
class EventTime:
    """How long after the span's start the first event of that name came, ns."""

    column: str
    rank: int
    event: str


@dataclass(frozen=True, slots=True)
class EventMessages:
    """Events that are a message each: those of one rank become a JSON list, in their order.

    A message is the event's attributes as an object, or the object in its ``gen_ai.event.content``; a message within it
    is joined with it. ``role`` is its role where it names none.
    """

    column: str
    rank: int
    event: str
    role: str


Reading = Member | Moment | Preface | EventAttribute | EventTime | EventMessages
"""What takes more to read than an attribute's own value."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One library's attributes and events. ``scope`` limits its sources to spans of that instrumentation scope."""

    name: str
    sources: tuple[Source, ...]
    scope: str | None = None
    families: tuple[Family, ...] = ()
    readings: tuple[Reading, ...] = ()
