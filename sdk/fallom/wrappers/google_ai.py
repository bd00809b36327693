"""Google's clients: ``google.genai.Client``, and the ``GenerativeModel`` of the library before it.

Of a client a copy is traced: its models, sync and async, and the chats over them. Where the library calls functions by
itself, each of its requests is a call.
"""

from __future__ import annotations

import copy
import functools
import logging
from collections.abc import Mapping
from typing import Any, TypeVar

from fallom.context import SessionContext
from fallom.guard import guarded
from fallom.wrappers.google_content import EMBED_CONTENT, GENERATE_CONTENT
from fallom.wrappers.reading import Attributes
from fallom.wrappers.streams import Watch, WatchedAsyncIterator, WatchedIterator
from fallom.wrappers.traced_calls import traced

C = TypeVar("C")

logger = logging.getLogger("fallom")

# A request each; the public methods above them make several, where they call functions or continue an answer.
_REQUESTS = ("_generate_content", "_generate_content_stream")
_PUBLIC = ("generate_content", "generate_content_stream")
_ORIGINAL = "_fallom_original"


def wrap_google_ai(client: C, session: SessionContext) -> C:
    """Return a copy of a client, or of a legacy model, whose calls are traced as the session's."""
    wrapped: C | None
    if hasattr(client, "models") and hasattr(client, "aio"):
        wrapped = _wrapped_client(client, session)
    elif hasattr(client, "generate_content_async"):
        wrapped = _wrapped_model(client, session)
    else:
        logger.warning(
            "wrap_google_ai: a google.genai.Client or a GenerativeModel expected, got %s: its calls are not traced",
            type(client).__qualname__,
        )
        return client
    return client if wrapped is None else wrapped


@guarded
def _wrapped_client(client: Any, session: SessionContext) -> Any:
    original = vars(client).get(_ORIGINAL, client)
    wrapped = copy.copy(original)
    kind: Any = type(original)
    wrapped.__class__ = _kept_open(kind)
    described: Attributes = {
        "gen_ai.provider.name": "gcp.vertex_ai" if getattr(original, "vertexai", False) else "gcp.gemini"
    }
    asynchronous = copy.copy(original.aio)
    vars(asynchronous)["_models"] = _traced_models(original.aio.models, session, described)
    vars(wrapped).update(
        {
            _ORIGINAL: original,
            "_models": _traced_models(original.models, session, described),
            "_aio": asynchronous,
        }
    )
    return wrapped


@functools.cache
def _kept_open(kind: type) -> type:
    """Return a class of clients that, dropped, leave the connections open: those are the original's."""
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind,), {**names, "__del__": lambda _self: None})


def _traced_models(models: Any, session: SessionContext, described: Attributes) -> Any:
    wrapped = copy.copy(models)
    for request, public in zip(_REQUESTS, _PUBLIC, strict=True):
        name = request if hasattr(models, request) else public
        send = getattr(type(models), name).__get__(wrapped)
        is_stream = public.endswith("_stream")
        vars(wrapped)[name] = traced(send, session, GENERATE_CONTENT, _keywords, described=described, streams=is_stream)
    embed = type(models).embed_content.__get__(wrapped)
    vars(wrapped)["embed_content"] = traced(embed, session, EMBED_CONTENT, _keywords, described=described)
    return wrapped


def _keywords(_args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
    return kwargs


@guarded
def _wrapped_model(model: Any, session: SessionContext) -> Any:
    wrapped = copy.copy(model)
    described: Attributes = {"gen_ai.provider.name": "gcp.gemini"}
    name = str(getattr(model, "model_name", "")).removeprefix("models/")

    def read_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
        config = {
            **_mapping(getattr(model, "_generation_config", None)),
            **_mapping(kwargs.get("generation_config")),
            "system_instruction": getattr(model, "_system_instruction", None),
        }
        contents = args[0] if args else kwargs.get("contents")
        return {"model": name, "contents": contents, "config": config, "stream": kwargs.get("stream")}

    for method in ("generate_content", "generate_content_async"):
        send = getattr(type(model), method).__get__(wrapped)
        vars(wrapped)[method] = traced(
            send, session, GENERATE_CONTENT, read_call, described=described, watch=_watched_response
        )
    return wrapped


def _mapping(config: Any) -> Mapping[str, Any]:
    return config if isinstance(config, Mapping) else {}


def _watched_response(response: Any, watch: Watch) -> Any:
    """Watch a legacy response that is still streamed: what came already it keeps in ``_chunks``."""
    for chunk in response._chunks:
        watch.see(chunk)
    iterator = response._iterator
    is_async = hasattr(iterator, "__anext__")
    response._iterator = WatchedAsyncIterator(iterator, watch) if is_async else WatchedIterator(iterator, watch)
    return response
