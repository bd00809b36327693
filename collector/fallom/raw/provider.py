"""Who served the model: as the client's method tells, or the metadata that the AI SDK's providers leave."""

from collections.abc import Mapping

from collector.fallom.raw.body import Object

_OF_METHOD = {
    "chat.completions.create": "openai",
    "responses.create": "openai",
    "messages.create": "anthropic",
    "generateContent": "google",
}
_INTEGRATION = "fallom.integration"


def provider_of(attributes: Mapping[str, object], provider_metadata: Object) -> str | None:
    """Return the provider; None where neither tells."""
    # LangChain's calls are named chat.completions.create whoever serves them.
    if attributes.get(_INTEGRATION) is None:
        provider = _OF_METHOD.get(str(attributes.get("fallom.method")))
        if provider is not None:
            return provider
    names = list(provider_metadata)
    return names[0] or None if len(names) == 1 else None
