"""A session: one conversation or request of a config, and the clients whose calls are traced as part of it.

    session = fallom.session("my-agent", "session-123", customer_id="user-456")
    client = session.wrap_openai(OpenAI())

A wrapped client is a copy: it has the type of the one that was given, shares its connections, and leaves it untraced.
Sessions share nothing, so that as many as there are can be served at once, from threads or tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from fallom.context import SessionContext

if TYPE_CHECKING:
    from fallom.wrappers.langchain import FallomCallbackHandler

C = TypeVar("C")
P = ParamSpec("P")
R = TypeVar("R")


def session(
    config_key: str,
    session_id: str,
    customer_id: str | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
) -> Session:
    """Return a session; making one costs nothing, and sends nothing.

    >>> session("my-agent", "session-123", customer_id="user-456").get_context().customer_id
    'user-456'
    """
    return Session(SessionContext(config_key, session_id, customer_id, metadata, tags))


class Session:
    """Wraps clients, so that their calls are traced as this session's, and asks for its model.

    >>> Session(SessionContext("my-agent", "session-123")).get_context().session_id
    'session-123'
    """

    def __init__(self, context: SessionContext) -> None:
        self._context = context

    def get_context(self) -> SessionContext:
        """Return what the session is: a tuple that never changes, for ``FallomExporter(session=...)`` and others.

        >>> session("my-agent", "session-123").get_context().config_key
        'my-agent'
        """
        return self._context

    def wrap_openai(self, client: C) -> C:
        """Return a copy of an OpenAI client (``OpenAI``, ``AsyncOpenAI``, Azure's, any base URL) that is traced.

        Chat completions, responses, embeddings and completions are; with ``parse``, ``stream``, ``with_options``,
        raw and streamed responses.
        """
        from fallom.wrappers.openai import wrap_openai

        return wrap_openai(client, self._context)

    def wrap_anthropic(self, client: C) -> C:
        """Return a copy of an Anthropic client (Bedrock's and Vertex's too) whose messages are traced."""
        from fallom.wrappers.anthropic import wrap_anthropic

        return wrap_anthropic(client, self._context)

    def wrap_google_ai(self, client: C) -> C:
        """Return a copy of a ``google.genai.Client``, or of a legacy ``GenerativeModel``, whose calls are traced."""
        from fallom.wrappers.google_ai import wrap_google_ai

        return wrap_google_ai(client, self._context)

    def wrap_litellm(self, module: C) -> C:
        """Return the ``litellm`` module, or a copy of a ``litellm.Router``, whose calls are traced."""
        from fallom.wrappers.litellm import wrap_litellm

        return wrap_litellm(module, self._context)

    def wrap_agent(self, agent: C) -> C:
        """Return a copy of an agent of Pydantic AI, OpenAI Agents or LangGraph that is traced, with its calls."""
        from fallom.wrappers.agents import wrap_agent

        return wrap_agent(agent, self._context)

    def trace_model(self, model: C) -> C:
        """Return a copy of a LangChain chat model that is traced."""
        from fallom.wrappers.langchain import trace_model

        return trace_model(model, self._context)

    def callback_handler(self) -> FallomCallbackHandler:
        """Return a LangChain callback handler: ``chain.invoke(..., config={"callbacks": [handler]})``."""
        from fallom.wrappers.langchain import FallomCallbackHandler

        return FallomCallbackHandler(self._context)

    def get_model(
        self,
        config_key: str | None = None,
        *,
        fallback: str | None = None,
        version: int | None = None,
        context: Mapping[str, Any] | None = None,
        debug: bool = False,
    ) -> str:
        """Return the model that the session is given by its config, or by another.

        >>> session("my-agent", "session-123").get_model(fallback="gpt-4o-mini")
        'gpt-4o-mini'
        """
        from fallom import models

        own = self._context
        return models.get(
            config_key or own.config_key,
            own.session_id,
            version=version,
            fallback=fallback,
            customer_id=own.customer_id,
            context=context,
            debug=debug,
        )

    def span(self, data: Mapping[str, Any]) -> None:
        """Record figures of the session: numbers, booleans or texts by name; the latest value of each holds.

        >>> session("my-agent", "session-123").span({"satisfaction": 4, "conversion": True})
        """
        from fallom import trace

        trace.span(dict(data), config_key=self._context.config_key, session_id=self._context.session_id)

    @overload
    def observe(self, function: Callable[P, R], /) -> Callable[P, R]: ...

    @overload
    def observe(
        self, /, *, name: str | None = None, kind: str | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def observe(self, function: Any = None, /, *, name: str | None = None, kind: str | None = None) -> Any:
        """Decorate a function: each call of it is a span of the session, and what it calls is traced within.

        >>> @session("my-agent", "session-123").observe
        ... def answer(question: str) -> str:
        ...     return question.upper()
        >>> answer("why?")
        'WHY?'
        """
        from fallom.observe import decorate

        def decorated(inner: Callable[P, R]) -> Callable[P, R]:
            return decorate(inner, self._context, name=name, kind=kind)

        return decorated if function is None else decorated(function)

    def __repr__(self) -> str:
        return f"Session({self._context!r})"


FallomSession = Session
"""What the published clients call it."""
