"""LangChain: a callback handler that makes spans of calls to models, tools, retrievers, and of what begins them.

LangChain tells a handler of each run by its id, and by its parent's. A run's span lies within that of the nearest run
above that has one: of chains only the outermost has.
"""

# ruff: noqa: ARG002 - the arguments are those that LangChain gives
from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from opentelemetry.trace import SpanKind

from fallom.call_span import CallSpan, begin_call, begin_span
from fallom.context import SessionContext
from fallom.guard import guarded
from fallom.observed_value import to_json
from fallom.wrappers import langchain_messages as reading

C = TypeVar("C")

RUNS_MAX = 10_000


class _Runs:
    """The runs that go on, of all handlers: a run that two handlers are told of is the first one's."""

    def __init__(self) -> None:
        self._runs: dict[UUID, tuple[object, CallSpan | None, UUID | None]] = {}
        self._lock = threading.Lock()

    def begin(self, run_id: UUID, owner: object, parent: UUID | None) -> bool:
        """Return whether the run is this owner's."""
        with self._lock:
            if run_id in self._runs:
                return False
            while len(self._runs) >= RUNS_MAX:
                # Runs whose end is never told, oldest first.
                _, forgotten, _ = self._runs.pop(next(iter(self._runs)))
                if forgotten is not None:
                    forgotten.finish()
            self._runs[run_id] = (owner, None, parent)
            return True

    def put(self, run_id: UUID, span: CallSpan | None) -> None:
        with self._lock:
            owner, _, parent = self._runs[run_id]
            self._runs[run_id] = (owner, span, parent)

    def of(self, run_id: UUID | None, owner: object) -> CallSpan | None:
        """Return the span of a run of this owner's."""
        found = self._runs.get(run_id) if run_id is not None else None
        return found[1] if found is not None and found[0] is owner else None

    def around(self, run_id: UUID | None) -> CallSpan | None:
        """Return the span of the nearest run from this one upwards that has one."""
        for _ in range(RUNS_MAX):
            found = self._runs.get(run_id) if run_id is not None else None
            if found is None:
                return None
            if found[1] is not None:
                return found[1]
            run_id = found[2]
        return None

    def end(self, run_id: UUID, owner: object) -> CallSpan | None:
        """Return the span of a run of this owner's, which is over."""
        with self._lock:
            found = self._runs.get(run_id)
            if found is None or found[0] is not owner:
                return None
            return self._runs.pop(run_id)[1]


_runs = _Runs()


class FallomCallbackHandler(BaseCallbackHandler):
    """Makes spans of a session of what LangChain tells it of. It may be used for any number of runs at once."""

    # In the task of the call, not in a thread: what is traced within has to see the call.
    run_inline = True

    def __init__(self, session: SessionContext, agent_name: str | None = None) -> None:
        super().__init__()
        self._session = session
        self._agent_name = agent_name

    @guarded
    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin the span of a call to a chat model."""
        said = [each for conversation in messages for each in conversation]
        self._begin_call("chat", said, run_id, parent_run_id, kwargs.get("invocation_params") or {}, metadata or {})

    @guarded
    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin the span of a call to a model that completes texts."""
        said = [{"type": "human", "content": prompt} for prompt in prompts]
        params = kwargs.get("invocation_params") or {}
        self._begin_call("text_completion", said, run_id, parent_run_id, params, metadata or {})

    @guarded
    def on_llm_new_token(self, token: Any, *, chunk: Any = None, run_id: UUID, **kwargs: Any) -> None:
        """Take the time of the first content."""
        call = _runs.of(run_id, self)
        if call is None or call.has_content:
            return
        if call.awaits_answer:
            call.answer_begins()
            call.set({"gen_ai.request.stream": True})
        if token or getattr(getattr(chunk, "message", None), "tool_call_chunks", None):
            call.first_content()

    @guarded
    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a call to a model."""
        if (call := _runs.end(run_id, self)) is not None:
            call.finish(guarded(reading.result)(response, captures=call.captures))

    @guarded
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a call to a model that failed."""
        self._fail(error, run_id)

    @guarded
    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin the span of an outermost chain; of those within remember where they are."""
        if not _runs.begin(run_id, self, parent_run_id) or parent_run_id is not None:
            return
        name = self._agent_name or str(kwargs.get("name") or "chain")
        if self._agent_name is not None:
            attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
        else:
            attributes = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": name}
        self._begin(f"{attributes['gen_ai.operation.name']} {name}", attributes, {}, run_id, None)

    @guarded
    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a chain."""
        if (span := _runs.end(run_id, self)) is not None:
            span.finish()

    @guarded
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a chain that failed."""
        self._fail(error, run_id)

    @guarded
    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin the span of a tool."""
        if not _runs.begin(run_id, self, parent_run_id):
            return
        name = str((serialized or {}).get("name") or kwargs.get("name") or "tool")
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
        content = {"gen_ai.tool.call.arguments": to_json(kwargs.get("inputs") or input_str)}
        self._begin(f"execute_tool {name}", attributes, content, run_id, parent_run_id)

    @guarded
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a tool."""
        if (span := _runs.end(run_id, self)) is not None:
            content = getattr(output, "content", output)
            span.finish({"gen_ai.tool.call.result": to_json(content)} if span.captures else None)

    @guarded
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a tool that failed."""
        self._fail(error, run_id)

    @guarded
    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin the span of a retrieval."""
        if not _runs.begin(run_id, self, parent_run_id):
            return
        name = str((serialized or {}).get("name") or kwargs.get("name") or "retriever")
        content = {"gen_ai.retrieval.query.text": query}
        self._begin(f"retrieval {name}", {"gen_ai.operation.name": "retrieval"}, content, run_id, parent_run_id)

    @guarded
    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a retrieval."""
        if (span := _runs.end(run_id, self)) is not None:
            span.finish()

    @guarded
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a retrieval that failed."""
        self._fail(error, run_id)

    def _begin_call(
        self,
        operation: str,
        messages: list[Any],
        run_id: UUID,
        parent_run_id: UUID | None,
        params: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> None:
        if not _runs.begin(run_id, self, parent_run_id):
            return

        def read_request(captures: bool) -> dict[str, Any]:
            content = {"gen_ai.input.messages": reading.told(messages)} if captures else {}
            return {**reading.request(params, metadata), **content}

        around = _runs.around(parent_run_id)
        call = begin_call(
            self._session,
            operation,
            reading.model_name(params, metadata),
            read_request,
            parent=None if around is None else around.context,
        )
        _runs.put(run_id, call)
        if call is not None:
            call.cover()

    def _begin(
        self,
        name: str,
        attributes: dict[str, Any],
        content: dict[str, Any],
        run_id: UUID,
        parent_run_id: UUID | None,
    ) -> None:
        around = _runs.around(parent_run_id)
        parent = None if around is None else around.context

        def read_content(captures: bool) -> dict[str, Any]:
            return content if captures else {}

        span = begin_span(self._session, name, attributes, read_content, kind=SpanKind.INTERNAL, parent=parent)
        _runs.put(run_id, span)

    def _fail(self, error: BaseException, run_id: UUID) -> None:
        if (span := _runs.end(run_id, self)) is not None:
            span.fail(error)


def trace_model(model: C, session: SessionContext) -> C:
    """Return a copy of a chat model, or of whatever LangChain can run, whose calls are traced as the session's."""
    traced: C | None = _traced(model, session)
    return model if traced is None else traced


@guarded
def _traced(model: Any, session: SessionContext) -> Any:
    handler = FallomCallbackHandler(session)
    if "callbacks" not in getattr(type(model), "model_fields", {}):
        return model.with_config(callbacks=[handler])
    return model.model_copy(update={"callbacks": with_handler(model.callbacks, handler)})


def with_handler(callbacks: Any, handler: FallomCallbackHandler) -> Any:
    """Return callbacks with the handler among them, in place of another of ours."""
    if isinstance(callbacks, BaseCallbackManager):
        manager = callbacks.copy()
        for other in [each for each in manager.handlers if isinstance(each, FallomCallbackHandler)]:
            manager.remove_handler(other)
        manager.add_handler(handler, inherit=True)
        return manager
    return [*(each for each in callbacks or () if not isinstance(each, FallomCallbackHandler)), handler]
