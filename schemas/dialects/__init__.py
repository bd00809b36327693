"""The dialects that are understood: to add one, a file here, a line in DIALECTS, its fixtures beside its test."""

from collections import defaultdict
from collections.abc import Mapping
from typing import TypeVar

from schemas.dialects.anthropic_client import ANTHROPIC_CLIENT
from schemas.dialects.dialect import (
    Dialect,
    EventAttribute,
    EventMessages,
    EventTime,
    Family,
    Member,
    Moment,
    Preface,
    Reading,
    Source,
)
from schemas.dialects.fallom import FALLOM
from schemas.dialects.laminar import LAMINAR
from schemas.dialects.langfuse import LANGFUSE
from schemas.dialects.langsmith import LANGSMITH
from schemas.dialects.mastra import MASTRA
from schemas.dialects.mlflow import MLFLOW
from schemas.dialects.openinference import OPENINFERENCE
from schemas.dialects.openlit import OPENLIT
from schemas.dialects.openllmetry import OPENLLMETRY
from schemas.dialects.otel_genai import OTEL_GENAI
from schemas.dialects.pydantic_ai import PYDANTIC_AI
from schemas.dialects.vercel import AISDK, VERCEL

DIALECTS: tuple[Dialect, ...] = (
    FALLOM,
    LANGFUSE,
    OTEL_GENAI,
    OPENLLMETRY,
    OPENINFERENCE,
    VERCEL,
    AISDK,
    PYDANTIC_AI,
    LANGSMITH,
    MLFLOW,
    MASTRA,
    OPENLIT,
    LAMINAR,
    ANTHROPIC_CLIENT,
)

FAMILIES: tuple[Family, ...] = tuple(family for dialect in DIALECTS for family in dialect.families)

READINGS: tuple[Reading, ...] = tuple(reading for dialect in DIALECTS for reading in dialect.readings)

_Kind = TypeVar("_Kind", bound=Reading)


def readings(kind: type[_Kind]) -> tuple[_Kind, ...]:
    """Return the readings of one kind, of all dialects."""
    return tuple(reading for reading in READINGS if isinstance(reading, kind))


def sources_by_key(scope_name: str) -> dict[str, tuple[Source, ...]]:
    """Return which columns each attribute key can fill on spans of the given instrumentation scope."""
    sources: dict[str, list[Source]] = defaultdict(list)
    for dialect in DIALECTS:
        if dialect.scope in (None, scope_name):
            for source in dialect.sources:
                sources[source.key].append(source)
    return {key: tuple(found) for key, found in sources.items()}


def columns_by_key() -> Mapping[str, frozenset[str]]:
    """Return which columns each key, of a span's attribute or of an attribute of its events, can fill at all."""
    columns: dict[str, set[str]] = defaultdict(set)
    for dialect in DIALECTS:
        for source in dialect.sources:
            columns[source.key].add(source.column)
        for reading in dialect.readings:
            if not isinstance(reading, EventTime | EventMessages):
                columns[reading.key].add(reading.column)
    return {key: frozenset(names) for key, names in columns.items()}


__all__ = [
    "DIALECTS",
    "FAMILIES",
    "READINGS",
    "Dialect",
    "EventAttribute",
    "EventMessages",
    "EventTime",
    "Family",
    "Member",
    "Moment",
    "Preface",
    "Reading",
    "Source",
    "columns_by_key",
    "readings",
    "sources_by_key",
]
