"""session.wrap_agent: agents of Pydantic AI, OpenAI Agents and LangGraph."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping
from typing import Any

import openai
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from recordings.cases import APIS, CASES
from sdk.providers.provider import FakeProvider
from sdk.wrappers.conftest import Spans

import fallom

MODEL = APIS["chat"].request_model
TURNS = CASES["agent"].turns
QUESTION = "Is it raining in Oslo?"


def of(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def calls(spans: Spans) -> list[ReadableSpan]:
    return [span for span in spans.all() if of(span).get("gen_ai.operation.name") == "chat"]


def assert_both_turns(spans: Spans) -> None:
    """Both calls are there, of the session, with their tokens."""
    assert [of(span)["gen_ai.usage.input_tokens"] for span in calls(spans)] == [turn.usage.input for turn in TURNS]
    assert [of(span)["gen_ai.usage.output_tokens"] for span in calls(spans)] == [turn.usage.output for turn in TURNS]
    assert {of(span)["fallom.session_id"] for span in spans.all()} == {"session-1"}


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"rain in {city}"


def client(provider: FakeProvider, case: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="k", base_url=f"{provider.url}/{case}", max_retries=0)


class TestPydanticAI:
    def agent(self, provider: FakeProvider, case: str = "agent") -> Any:
        pydantic_ai = pytest.importorskip("pydantic_ai")
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client(provider, case)))
        return pydantic_ai.Agent(model, tools=[get_weather], name="weather")

    def test_a_run_is_traced_with_its_calls_and_the_agent_stays_as_it_was(
        self, provider: FakeProvider, session: fallom.Session, spans: Spans
    ) -> None:
        agent = self.agent(provider)
        wrapped = session.wrap_agent(agent)
        assert type(wrapped) is type(agent)
        agent.run_sync(QUESTION)
        assert spans.all() == []
        assert wrapped.run_sync(QUESTION).output == TURNS[1].text
        assert_both_turns(spans)
        assert {of(span).get("gen_ai.operation.name") for span in spans.all()} >= {"invoke_agent", "execute_tool"}

    def test_before_init_a_run_goes_as_it_did(self, provider: FakeProvider, session: fallom.Session) -> None:
        assert session.wrap_agent(self.agent(provider)).run_sync(QUESTION).output == TURNS[1].text


class TestOpenAIAgents:
    def agent(self, provider: FakeProvider, case: str = "agent", hooks: Any = None) -> Any:
        agents = pytest.importorskip("agents")
        agents.set_tracing_disabled(True)
        model = agents.OpenAIChatCompletionsModel(MODEL, openai_client=client(provider, case))
        return agents.Agent("weather", model=model, tools=[agents.function_tool(get_weather)], hooks=hooks)

    def run(self, agent: Any, **options: Any) -> Any:
        from agents import Runner

        return asyncio.run(Runner.run(agent, QUESTION, **options))

    def test_a_run_is_traced_with_its_calls_and_the_agent_stays_as_it_was(
        self, provider: FakeProvider, session: fallom.Session, spans: Spans
    ) -> None:
        from agents import Runner

        async def run() -> Any:
            agent = self.agent(provider)
            wrapped = session.wrap_agent(agent)
            assert type(wrapped) is type(agent)
            await Runner.run(agent, QUESTION)
            assert spans.all() == []
            return (await Runner.run(wrapped, QUESTION)).final_output

        assert asyncio.run(run()) == TURNS[1].text
        assert_both_turns(spans)
        assert [of(call)["gen_ai.request.model"] for call in calls(spans)] == [MODEL] * 2
        assert {of(span).get("gen_ai.operation.name") for span in spans.all()} >= {"invoke_agent", "execute_tool"}

    def test_a_streamed_run_is_traced(self, provider: FakeProvider, session: fallom.Session, spans: Spans) -> None:
        from agents import Runner

        async def run() -> Any:
            result = Runner.run_streamed(session.wrap_agent(self.agent(provider)), QUESTION)
            async for _ in result.stream_events():
                pass
            return result.final_output

        assert asyncio.run(run()) == TURNS[1].text
        assert all(of(call)["gen_ai.response.time_to_first_chunk"] > 0 for call in calls(spans))
        assert len(calls(spans)) == 2

    def test_a_model_by_name_comes_of_the_runs_own_provider(
        self, provider: FakeProvider, session: fallom.Session, spans: Spans
    ) -> None:
        from agents import OpenAIProvider, RunConfig

        agent = self.agent(provider).clone(model=MODEL)
        own = OpenAIProvider(openai_client=client(provider, "agent"), use_responses=False)
        result = self.run(session.wrap_agent(agent), run_config=RunConfig(model_provider=own))
        assert result.final_output == TURNS[1].text
        assert_both_turns(spans)

    @pytest.mark.parametrize("by_name", [False, True])
    def test_a_run_that_fails_leaves_an_error(
        self, provider: FakeProvider, session: fallom.Session, spans: Spans, by_name: bool
    ) -> None:
        from agents import OpenAIProvider, RunConfig

        agent = self.agent(provider, "limited")
        if by_name:
            agent = agent.clone(model=MODEL)
        own = OpenAIProvider(openai_client=client(provider, "limited"), use_responses=False)
        with pytest.raises(openai.RateLimitError):
            self.run(session.wrap_agent(agent), run_config=RunConfig(model_provider=own))
        gc.collect()
        (call,) = calls(spans)
        assert of(call)["error.type"] == ("_OTHER" if by_name else "RateLimitError")

    def test_the_agents_own_hooks_are_told_of_all(
        self, provider: FakeProvider, session: fallom.Session, spans: Spans
    ) -> None:
        from agents import AgentHooks

        told: list[str] = []

        class Hooks(AgentHooks):  # type: ignore[type-arg]  # any context
            async def on_start(self, *_: Any) -> None:
                told.append("start")

            async def on_llm_end(self, *_: Any) -> None:
                told.append("llm")

            async def on_tool_end(self, *_: Any) -> None:
                told.append("tool")

            async def on_end(self, *_: Any) -> None:
                told.append("end")

        self.run(session.wrap_agent(session.wrap_agent(self.agent(provider, hooks=Hooks()))))
        assert told == ["start", "llm", "tool", "llm", "end"]
        assert len(calls(spans)) == 2


def test_a_run_of_a_graph_is_traced_with_its_calls_and_the_graph_stays_as_it_was(
    provider: FakeProvider, session: fallom.Session, spans: Spans
) -> None:
    pytest.importorskip("langgraph")
    from langchain_openai import ChatOpenAI
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode, tools_condition

    model = ChatOpenAI(model=MODEL, api_key="k", base_url=f"{provider.url}/agent", max_retries=0)
    with_tools = model.bind_tools([get_weather])
    builder = StateGraph(MessagesState)
    builder.add_node("model", lambda state: {"messages": [with_tools.invoke(state["messages"])]})
    builder.add_node("tools", ToolNode([get_weather]))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    graph = builder.compile(name="weather")
    wrapped = session.wrap_agent(graph)
    assert type(wrapped) is type(graph)
    graph.invoke({"messages": [("user", QUESTION)]})
    assert spans.all() == []
    answer = wrapped.invoke({"messages": [("user", QUESTION)]})
    assert answer["messages"][-1].content == TURNS[1].text
    assert_both_turns(spans)
    (agent,) = [span for span in spans.all() if of(span).get("gen_ai.operation.name") == "invoke_agent"]
    assert of(agent)["gen_ai.agent.name"] == "weather"
    assert {span.parent.span_id for span in spans.all() if span.parent} == {agent.context and agent.context.span_id}


def test_what_is_no_agent_is_given_back(session: fallom.Session) -> None:
    nothing = object()
    assert session.wrap_agent(nothing) is nothing
