"""OpenAI Agents: an agent whose runs, calls to models and tools are traced, by its hooks and around its model.

A model that is given as an object is wrapped: its errors and first tokens are seen. One that is given by name is made
by the run, which may have a provider of its own: of it the hooks tell when a call begins and what it answers. Agents to
hand off to are wrapped as well.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, AgentHooks
from agents.models.interface import Model
from opentelemetry.trace import SpanKind

from fallom.call_span import CallSpan, begin_call, begin_span
from fallom.context import SessionContext
from fallom.guard import guarded
from fallom.observed_value import to_json
from fallom.wrappers.openai_responses import RESPONSES
from fallom.wrappers.reading import Attributes, member
from fallom.wrappers.streams import Watch, step_async

_SETTINGS = ("temperature", "top_p", "max_tokens")


def wrap_openai_agent(agent: Any, session: SessionContext) -> Any:
    """Return a clone of an agent that is traced, and of the agents that it hands off to."""
    return _wrapped(agent, session, {})


def _wrapped(agent: Any, session: SessionContext, clones: dict[int, Any]) -> Any:
    if id(agent) in clones:
        return clones[id(agent)]
    clone = clones[id(agent)] = agent.clone()
    is_object = isinstance(agent.model, Model)
    if is_object:
        clone.model = TracedModel(_inner(agent.model), session)
    inner = agent.hooks.inner if isinstance(agent.hooks, _Hooks) else agent.hooks
    clone.hooks = _Hooks(inner, session, model=None if is_object else agent.model, calls=not is_object)
    clone.handoffs = [_wrapped(each, session, clones) if isinstance(each, Agent) else each for each in agent.handoffs]
    return clone


def _inner(model: Any) -> Any:
    return model.inner if isinstance(model, TracedModel) else model


class TracedModel(Model):
    """A model whose calls are traced; all else is the model's own."""

    def __init__(self, inner: Any, session: SessionContext) -> None:
        self.inner = inner
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def get_response(self, *args: Any, **kwargs: Any) -> Any:
        """Return the model's response."""
        call = self._begin(args, kwargs, streams=False)
        if call is None:
            return await self.inner.get_response(*args, **kwargs)
        with call:
            response = await self.inner.get_response(*args, **kwargs)
        call.finish(guarded(_answered)(response, call.captures))
        return response

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """Yield the events of the model's response."""
        stream = self.inner.stream_response(*args, **kwargs)
        call = self._begin(args, kwargs, streams=True)
        if call is None:
            async for event in stream:
                yield event
            return
        watch = Watch(call, guarded(RESPONSES.chunks)(captures=call.captures))

        async def advance() -> Any:
            with call.around():
                return await stream.__anext__()

        try:
            while True:
                try:
                    event = await step_async(advance, watch)
                except StopAsyncIteration:
                    return
                yield event
        finally:
            watch.leave()
            if hasattr(stream, "aclose"):
                await stream.aclose()

    def get_retry_advice(self, request: Any) -> Any:
        """Return the model's advice on trying again."""
        return self.inner.get_retry_advice(request)

    async def close(self) -> None:
        """Close the model."""
        await self.inner.close()

    @guarded
    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, streams: bool) -> CallSpan | None:
        names = ("system_instructions", "input", "model_settings")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        name = getattr(self.inner, "model", None)
        streamed = {"gen_ai.request.stream": True} if streams else {}
        return _begin_call(self._session, name, given, streamed)


_Open = dict[int, dict[str, CallSpan]]
"""The spans that are open, by run and by what they are of."""


def _give_up(spans: _Open, run: int) -> None:
    for span in spans.pop(run, {}).values():
        span.finish({"error.type": "_OTHER"})


class _Hooks(AgentHooks[Any]):
    """Makes spans of what an agent does, and tells the agent's own hooks of it."""

    def __init__(self, inner: Any, session: SessionContext, *, model: Any, calls: bool) -> None:
        self.inner = inner
        self._session = session
        self._model = model if isinstance(model, str) else None
        self._calls = calls
        self._open: _Open = {}

    async def on_start(self, context: Any, agent: Any) -> None:
        """Begin the span of the agent."""
        attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": str(agent.name)}
        self._begin(context, "agent", f"invoke_agent {agent.name}", attributes, {})
        if self.inner is not None:
            await self.inner.on_start(context, agent)

    async def on_end(self, context: Any, agent: Any, output: Any) -> None:
        """End the span of the agent."""
        self._finish(context, "agent", {})
        if self.inner is not None:
            await self.inner.on_end(context, agent, output)

    async def on_handoff(self, context: Any, agent: Any, source: Any) -> None:
        """Tell the agent's own hooks."""
        if self.inner is not None:
            await self.inner.on_handoff(context, agent, source)

    async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
        """Begin the span of a tool."""
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": str(tool.name)}
        content = {"gen_ai.tool.call.arguments": getattr(context, "tool_arguments", None)}
        self._begin(context, _tool_key(context, tool), f"execute_tool {tool.name}", attributes, content)
        if self.inner is not None:
            await self.inner.on_tool_start(context, agent, tool)

    async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: Any) -> None:
        """End the span of a tool."""
        self._finish(context, _tool_key(context, tool), {"gen_ai.tool.call.result": guarded(to_json)(result)})
        if self.inner is not None:
            await self.inner.on_tool_end(context, agent, tool, result)

    async def on_llm_start(self, context: Any, agent: Any, system_prompt: Any, input_items: Any) -> None:
        """Begin the span of a call to a model, where that is not traced itself."""
        if self._calls:
            given = {"system_instructions": system_prompt, "input": input_items, "model_settings": agent.model_settings}
            self._begin_call(context, given)
        if self.inner is not None:
            await self.inner.on_llm_start(context, agent, system_prompt, input_items)

    async def on_llm_end(self, context: Any, agent: Any, response: Any) -> None:
        """End the span of a call to a model."""
        if self._calls and (call := self._pop(context, "call")) is not None:
            call.finish(guarded(_answered)(response, call.captures))
        if self.inner is not None:
            await self.inner.on_llm_end(context, agent, response)

    @guarded
    def _begin(self, context: Any, key: str, name: str, attributes: Attributes, content: Attributes) -> None:
        def read_content(captures: bool) -> Attributes:
            return content if captures else {}

        around = self._around(context)
        span = begin_span(self._session, name, attributes, read_content, kind=SpanKind.INTERNAL, parent=around)
        self._keep(context, key, span)

    @guarded
    def _begin_call(self, context: Any, given: dict[str, Any]) -> None:
        call = _begin_call(self._session, self._model, given, {}, parent=self._around(context))
        self._keep(context, "call", call)
        if call is not None:
            call.cover()

    def _keep(self, context: Any, key: str, span: CallSpan | None) -> None:
        if span is None:
            return
        # Hooks get contexts of their own; what the run counts its tokens with is one object, and lives as long. Of a
        # run that fails no hook is told: what is open then ends with it.
        usage = context.usage
        if id(usage) not in self._open:
            self._open[id(usage)] = {}
            weakref.finalize(usage, _give_up, self._open, id(usage))
        self._open[id(usage)][key] = span

    @guarded
    def _pop(self, context: Any, key: str) -> CallSpan | None:
        return self._open.get(id(context.usage), {}).pop(key, None)

    @guarded
    def _around(self, context: Any) -> Any:
        agent = self._open.get(id(context.usage), {}).get("agent")
        return None if agent is None else agent.context

    def _finish(self, context: Any, key: str, content: Attributes) -> None:
        if (span := self._pop(context, key)) is not None:
            span.finish(content if span.captures else None)


def _tool_key(context: Any, tool: Any) -> str:
    """Return what a call of a tool is known by: several may go on at once."""
    return f"tool {getattr(context, 'tool_call_id', None) or tool.name}"


def _begin_call(
    session: SessionContext, model: Any, given: dict[str, Any], described: Attributes, *, parent: Any = None
) -> CallSpan | None:
    settings = given.get("model_settings")

    def read_request(captures: bool) -> Attributes:
        body = {"input": given.get("input"), "instructions": given.get("system_instructions")}
        asked = {f"gen_ai.request.{name}": member(settings, name) for name in _SETTINGS}
        return {**RESPONSES.request(body, captures=captures), **asked, **described, "openai.api.type": None}

    return begin_call(session, "chat", str(model) if model is not None else None, read_request, parent=parent)


def _answered(response: Any, captures: bool) -> Attributes:
    """Return what a ``ModelResponse`` says: it is not said to be complete, but is."""
    told = {
        "id": member(response, "response_id"),
        "output": member(response, "output"),
        "usage": member(response, "usage"),
        "status": "completed",
    }
    return RESPONSES.answer(told, captures=captures)
