"""A dialect: which attribute keys of one library fill which columns of the span table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """One attribute key that can fill one column.

    Of all the keys present on a span, the one of the lowest ``rank`` fills the column, whichever dialect it is from.
    A value is multiplied by ``scale`` (units are converted here, once).
    """

    column: str
    rank: int
    key: str
    scale: float = 1.0


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
class Dialect:
    """One library's attribute keys. ``scope`` limits them to spans of that instrumentation scope."""

    name: str
    sources: tuple[Source, ...]
    scope: str | None = None
    families: tuple[Family, ...] = ()
