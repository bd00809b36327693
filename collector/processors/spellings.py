"""Other ways in which clients write the names of providers and models that `genai-prices` knows.

OpenTelemetry has names of its own for some providers, Vercel's AI SDK adds the kind of call (`groq.chat`), Google and
AWS put a path before the model, and Pydantic AI, LangChain and the Fallom clients the provider (`together:…`). Only
names that mean one thing are here: a provider that nobody knows, with a model that somebody does, stays unknown, since
what a gateway or a machine of one's own asks for a model is its own affair.
"""

from collections.abc import Iterator

from collector.processors.catalogue import is_provider_id, knows_provider

PROVIDERS = {
    "az.ai.inference": "azure",
    "azure.ai.inference": "azure",
    "azure_ai": "azure",
    "fireworks_ai": "fireworks",
    "gcp.gen_ai": "google",
    "google_anthropic_vertex": "google",
    "together.ai": "together",
    "togetherai": "together",
    "voyage": "voyageai",
    "x_ai": "x-ai",
    "xai": "x-ai",
}
"""The name that genai-prices has for a provider, by another one."""

_PATHS = ("models/", "publishers/google/models/", "projects/", "arn:aws:bedrock:")


def spellings(provider: str | None, model: str) -> Iterator[tuple[str | None, str]]:
    """Yield the names of a provider and its model that are to be looked up, in their order, as they are first."""
    yield provider, model
    if provider is not None and not knows_provider(provider):
        provider = _known(provider.lower().strip())
        if provider is None:
            return
        yield provider, model
    if model.startswith(_PATHS):
        yield provider, model.rpartition("/")[2]
    prefix, _, rest = model.partition(":")
    named = PROVIDERS.get(prefix.lower(), prefix.lower())
    # An id, not whatever holds one.
    if rest and is_provider_id(named):
        yield named, rest


def _known(provider: str) -> str | None:
    for name in (provider, provider.partition(".")[0]):
        known = PROVIDERS.get(name, name)
        if is_provider_id(known):
            return known
    return None
