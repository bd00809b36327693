"""How libraries count tokens: whether the input they report leaves out the cache's, the output those of reasoning.

OpenTelemetry's conventions include both, and so do OpenLLMetry, OpenInference, Pydantic AI, LangChain and the AI SDK
from version 6 on; Langfuse's disjoint counts are added up as they are read (``schemas.dialects.langfuse``). What
follows was read from the sources of those that pass on what a provider's API says: Anthropic and Bedrock count the
cache beside the input, Google counts thoughts beside the candidates.
"""

from dataclasses import dataclass

from schemas.token_rule import BOTH_APART, CACHE_APART, REASONING_APART

# Parts of the names by which libraries call who serves the model.
_BESIDE_CACHE = ("anthropic", "bedrock")
_BESIDE_THOUGHTS = ("google", "gemini", "vertex")


@dataclass(frozen=True, slots=True)
class Convention:
    """What is left out; ``only_with`` and ``not_with`` are texts (RE2) of what was sent on which that depends."""

    cache_apart: bool = False
    reasoning_apart: bool = False
    only_with: str | None = None
    not_with: str | None = None


ALL_INCLUDED = Convention()
_STATED = {
    CACHE_APART: Convention(cache_apart=True),
    REASONING_APART: Convention(reasoning_apart=True),
    BOTH_APART: Convention(cache_apart=True, reasoning_apart=True),
}
# The names of scopes, or what they begin with.
_BEDROCK = "opentelemetry.instrumentation.bedrock"
_MASTRA = "@mastra/otel"
_AI_SDK = ("ai", "fallom", "mastra")
_PASSING_ON = ("openlit", "mlflow")
_SCOPES = (_BEDROCK, _MASTRA, *_AI_SDK, *_PASSING_ON)
# What the AI SDK's providers of version 6 add: their totals are inclusive.
_DETAILS = r'"ai\.usage\.(?:inputTokenDetails\.noCacheTokens|outputTokenDetails\.textTokens)"'
# Mastra's exporter passed on what version 5 of the AI SDK said, under this key.
_MASTRA_BEFORE_1 = r'"gen_ai\.usage\.cached_input_tokens"'


def has_convention(scope: str | None) -> bool:
    """Return whether spans of a scope of this name may leave anything out."""
    return scope is not None and scope.lower().startswith(_SCOPES)


def convention_of(stated: str | None, scope: str | None, provider: str | None) -> Convention:
    """Return how a span counts, given the rule its decoder stated, its scope's name and who served the model."""
    if stated is not None:
        return _STATED.get(stated, ALL_INCLUDED)
    scope, provider = (scope or "").lower(), (provider or "").lower()
    cache_apart = any(name in provider for name in _BESIDE_CACHE)
    reasoning_apart = not cache_apart and any(name in provider for name in _BESIDE_THOUGHTS)
    if scope == _BEDROCK:
        return Convention(cache_apart=True)
    if scope == _MASTRA:
        return Convention(cache_apart, reasoning_apart, only_with=_MASTRA_BEFORE_1)
    if scope in _AI_SDK:
        return Convention(cache_apart, reasoning_apart, not_with=_DETAILS)
    return Convention(cache_apart, reasoning_apart) if scope.startswith(_PASSING_ON) else ALL_INCLUDED
