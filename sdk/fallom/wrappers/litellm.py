"""LiteLLM: its module, or a router. Whatever provider it calls, it answers as OpenAI does.

Of the module a stand-in is returned, which is a module too: what is not a call is read from ``litellm``, and what is
set is set there. Of a router it is a copy.
"""

from __future__ import annotations

import copy
import inspect
import logging
import types
from collections.abc import Mapping
from typing import Any, TypeVar

from fallom.context import SessionContext
from fallom.guard import guarded
from fallom.wrappers.openai_chat import CHAT
from fallom.wrappers.openai_completions import COMPLETIONS
from fallom.wrappers.openai_embeddings import EMBEDDINGS
from fallom.wrappers.openai_responses import RESPONSES
from fallom.wrappers.reading import Api, Attributes, member, text
from fallom.wrappers.streams import Hides, Watch, watch_iteration
from fallom.wrappers.traced_calls import traced

C = TypeVar("C")

logger = logging.getLogger("fallom")

_CALLS: Mapping[str, Api] = {
    "completion": CHAT,
    "acompletion": CHAT,
    "text_completion": COMPLETIONS,
    "atext_completion": COMPLETIONS,
    "embedding": EMBEDDINGS,
    "aembedding": EMBEDDINGS,
    "responses": RESPONSES,
    "aresponses": RESPONSES,
}
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}


def wrap_litellm(module: C, session: SessionContext) -> C:
    """Return the module, or a copy of a router, whose calls are traced as the session's."""
    wrapped: C | None
    if isinstance(module, types.ModuleType):
        wrapped = _StandIn(module, session)  # type: ignore[assignment]  # a module, as the one that it stands for
    elif callable(getattr(module, "acompletion", None)):
        wrapped = _wrapped_router(module, session)
    else:
        logger.warning(
            "wrap_litellm: the module litellm or a litellm.Router expected, got %s: its calls are not traced",
            type(module).__qualname__,
        )
        wrapped = None
    return module if wrapped is None else wrapped


class _StandIn(types.ModuleType):
    """Stands for the module ``litellm``, with calls that are traced."""

    def __init__(self, module: Any, session: SessionContext) -> None:
        super().__init__(module.__name__, module.__doc__)
        module = vars(module).get("_fallom_original", module)
        calls = {name: _traced(vars(module)[name], session) for name in _CALLS if name in vars(module)}
        vars(self).update({**calls, "_fallom_original": module})

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_fallom_original"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(vars(self)["_fallom_original"], name, value)

    def __dir__(self) -> list[str]:
        return dir(vars(self)["_fallom_original"])


@guarded
def _wrapped_router(router: Any, session: SessionContext) -> Any:
    wrapped = copy.copy(router)
    for name in _CALLS:
        send = getattr(type(router), name, None)
        if callable(send):
            vars(wrapped)[name] = _traced(send.__get__(wrapped), session)
    return wrapped


def _traced(send: Any, session: SessionContext) -> Any:
    api = _CALLS[send.__name__]
    signature = guarded(inspect.signature)(send)

    def read_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
        if not args or signature is None:
            return kwargs
        given = signature.bind_partial(*args, **kwargs).arguments
        # Functions that take anything give the model first.
        first = {"model": given["args"][0]} if given.get("args") else {}
        return {**first, **given, **kwargs}

    asks = _ask_usage if api in (CHAT, COMPLETIONS) else None
    return traced(send, session, _Described(api), read_call, watch=_watched, ask=asks)


class _Described:
    """An API, with who provides the model: LiteLLM tells by the name that it is called with."""

    def __init__(self, api: Api) -> None:
        self.operation = api.operation
        self.answer = api.answer
        self.chunks = api.chunks
        self._request = api.request

    def request(self, body: Mapping[str, Any], *, captures: bool) -> Attributes:
        """Return the request's attributes, and the provider."""
        return {"gen_ai.provider.name": guarded(_provider)(body), **self._request(body, captures=captures)}


def _provider(body: Mapping[str, Any]) -> str | None:
    named = text(body, "custom_llm_provider")
    if named is None:
        model = text(body, "model") or ""
        prefix, slash, _ = model.partition("/")
        named = prefix if slash else None
    return named and _PROVIDERS.get(named, named)


def _ask_usage(kwargs: dict[str, Any]) -> tuple[dict[str, Any], Hides] | None:
    if kwargs.get("stream") is not True or member(kwargs, "stream_options", "include_usage") is not None:
        return None
    options = {**(kwargs.get("stream_options") or {}), "include_usage": True}
    return {**kwargs, "stream_options": options}, _is_usage_alone


def _is_usage_alone(chunk: Any) -> bool:
    """Return whether a chunk tells the usage and no more: LiteLLM gives it an empty choice."""
    said = [each for choice in member(chunk, "choices") or () for each in _said(choice)]
    return member(chunk, "usage") is not None and not any(said)


def _said(choice: Any) -> tuple[Any, ...]:
    delta = member(choice, "delta")
    return text(choice, "finish_reason"), text(choice, "text"), text(delta, "content"), member(delta, "tool_calls")


def _watched(stream: Any, watch: Watch) -> Any:
    return watch_iteration(stream, watch)
