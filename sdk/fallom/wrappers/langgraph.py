"""LangGraph: a compiled graph, or any runnable of LangChain's, as an agent."""

from __future__ import annotations

from typing import Any

from fallom.context import SessionContext
from fallom.wrappers.langchain import FallomCallbackHandler, with_handler


def wrap_graph(graph: Any, session: SessionContext) -> Any:
    """Return a copy of a graph whose runs are traced: each as an agent's, with the calls and tools within."""
    handler = FallomCallbackHandler(session, agent_name=str(getattr(graph, "name", None) or type(graph).__name__))
    config = getattr(graph, "config", None) or {}
    return graph.with_config({"callbacks": with_handler(config.get("callbacks"), handler)})
