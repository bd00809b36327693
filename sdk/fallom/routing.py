"""Which provider serves a model whose name has a prefix: ``custom:my-llama``, ``together:…``, ``local:…``.

router = Router({"custom": Route("https://llm.example.com/v1", api_key_variable="CUSTOM_API_KEY"),
                 "local": Route("http://localhost:11434/v1")})
client, model = router.openai_arguments(models.get("my-agent", session_id))
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint that speaks OpenAI's protocol, and where its key is."""

    base_url: str
    api_key: str | None = None
    api_key_variable: str | None = None


DEFAULT_ROUTES: Mapping[str, Route] = {
    "together": Route("https://api.together.xyz/v1", api_key_variable="TOGETHER_API_KEY"),
    "local": Route("http://localhost:11434/v1", api_key="none"),
}


def split_model(model: str, prefixes: tuple[str, ...] | frozenset[str]) -> tuple[str | None, str]:
    """Return a model's prefix, if it is one of these, and its name without it.

    >>> split_model("custom:my-llama:70b", ("custom",)), split_model("ft:gpt-4o:acme", ("custom",))
    (('custom', 'my-llama:70b'), (None, 'ft:gpt-4o:acme'))
    """
    prefix, colon, name = model.partition(":")
    return (prefix, name) if colon and name and prefix in prefixes else (None, model)


class Router:
    """Knows an endpoint a prefix; ``together`` and ``local`` (Ollama) are known already."""

    def __init__(self, routes: Mapping[str, Route] | None = None) -> None:
        self._routes = {**DEFAULT_ROUTES, **(routes or {})}

    def openai_arguments(self, model: str) -> tuple[dict[str, Any], str]:
        """Return the arguments of ``openai.OpenAI(...)`` for the model, and the name that its provider knows it by.

        A model without a prefix is OpenAI's: no arguments. Raises KeyError where the variable of a key is not set.

        >>> Router().openai_arguments("local:llama3")
        ({'base_url': 'http://localhost:11434/v1', 'api_key': 'none'}, 'llama3')
        """
        prefix, name = split_model(model, frozenset(self._routes))
        if prefix is None:
            return {}, name
        route = self._routes[prefix]
        arguments = {"base_url": route.base_url}
        if route.api_key is not None:
            arguments["api_key"] = route.api_key
        elif route.api_key_variable is not None:
            arguments["api_key"] = os.environ[route.api_key_variable]
        return arguments, name
