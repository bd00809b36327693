"""The model that was asked for, and the one that answered."""

from collector.fallom.raw.body import member, text_member

_NAMES = ("model", "modelId", "model_id", "model_name", "modelVersion", "model_version")


def request_model(request: object) -> str | None:
    """Return the model that the request names, be it an object of the AI SDK's."""
    return text_member(request, *_NAMES) or text_member(member(request, "model"), "modelId", "model")


def response_model(response: object) -> str | None:
    """Return the model that the response names."""
    return text_member(response, *_NAMES) or text_member(member(response, "response"), *_NAMES)
