"""OpenAI's client, and whatever speaks its API: chat completions, responses, embeddings, completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from fallom.context import SessionContext
from fallom.wrappers import stainless
from fallom.wrappers.openai_chat import CHAT
from fallom.wrappers.openai_completions import COMPLETIONS
from fallom.wrappers.openai_embeddings import EMBEDDINGS
from fallom.wrappers.openai_responses import RESPONSES
from fallom.wrappers.reading import Attributes, member

C = TypeVar("C")

_AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_WITH_STREAM_OPTIONS = ("/chat/completions", "/completions")


def wrap_openai(client: C, session: SessionContext) -> C:
    """Return a copy of an ``OpenAI``, ``AsyncOpenAI``, or Azure client whose calls are traced as the session's."""
    return stainless.wrap(client, session, _OPENAI)


def provider(client: Any) -> Attributes:
    """Return who serves the models, where the address says so: the server knows more hosts, and names of models."""
    host = str(client.base_url.host)
    served: Attributes = {"server.address": host, "server.port": client.base_url.port}
    if host.endswith(_AZURE_HOSTS) or "Azure" in type(client).__name__:
        served["gen_ai.provider.name"] = "azure.ai.openai"
    elif host == "api.openai.com" or host.endswith(".api.openai.com"):
        served["gen_ai.provider.name"] = "openai"
    return served


def ask_usage(path: str, body: Any) -> stainless.Asking | None:
    """Return a body that asks for a stream's usage, where the host's leaves that open.

    The usage comes in a chunk of its own, without choices: code that reads ``chunk.choices[0]`` must not see it.
    """
    if path not in _WITH_STREAM_OPTIONS or member(body, "stream_options", "include_usage") is not None:
        return None
    options = {**(member(body, "stream_options") or {}), "include_usage": True}
    return stainless.Asking({**body, "stream_options": options}, _is_usage_alone)


def _is_usage_alone(chunk: Any) -> bool:
    return not member(chunk, "choices") and member(chunk, "usage") is not None


_APIS: Mapping[str, Any] = {
    "/chat/completions": CHAT,
    "/completions": COMPLETIONS,
    "/embeddings": EMBEDDINGS,
    "/responses": RESPONSES,
}
_OPENAI = stainless.Library(_APIS, provider, ask_usage)
