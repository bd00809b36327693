"""The dialects that are understood: to add one, a file here, a line in DIALECTS, a fixture in its test."""

from collections import defaultdict

from schemas.dialects.dialect import Dialect, Family, Source
from schemas.dialects.fallom import FALLOM
from schemas.dialects.openinference import OPENINFERENCE
from schemas.dialects.openllmetry import OPENLLMETRY
from schemas.dialects.otel_genai import OTEL_GENAI
from schemas.dialects.vercel import VERCEL

DIALECTS: tuple[Dialect, ...] = (FALLOM, OTEL_GENAI, OPENLLMETRY, OPENINFERENCE, VERCEL)

FAMILIES: tuple[Family, ...] = tuple(family for dialect in DIALECTS for family in dialect.families)

# A span's event of one of these names tells when the first token came.
FIRST_TOKEN_EVENTS = (
    "First Token Stream Event",
    "ai.stream.firstChunk",
    "gen_ai.content.completion.chunk",
    "llm.content.completion.chunk",
)


def sources_by_key(scope_name: str) -> dict[str, tuple[Source, ...]]:
    """Return which columns each attribute key can fill on spans of the given instrumentation scope."""
    sources: dict[str, list[Source]] = defaultdict(list)
    for dialect in DIALECTS:
        if dialect.scope in (None, scope_name):
            for source in dialect.sources:
                sources[source.key].append(source)
    return {key: tuple(found) for key, found in sources.items()}


__all__ = ["DIALECTS", "FAMILIES", "FIRST_TOKEN_EVENTS", "Dialect", "Family", "Source", "sources_by_key"]
