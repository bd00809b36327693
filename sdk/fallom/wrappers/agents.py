"""Which of the frameworks an agent is of."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TypeVar

from fallom.context import SessionContext
from fallom.guard import guarded

C = TypeVar("C")

logger = logging.getLogger("fallom")

# By the package that the agent's class, or one it is derived from, is of.
_WRAPPERS = {
    "pydantic_ai": ("fallom.wrappers.pydantic_ai", "wrap_pydantic_agent"),
    "agents": ("fallom.wrappers.openai_agents", "wrap_openai_agent"),
    "langgraph": ("fallom.wrappers.langgraph", "wrap_graph"),
    "langchain_core": ("fallom.wrappers.langgraph", "wrap_graph"),
}


def wrap_agent(agent: C, session: SessionContext) -> C:
    """Return a copy of an agent that is traced as the session's; the agent itself where its framework is not known."""
    packages = [kind.__module__.partition(".")[0] for kind in type(agent).__mro__]
    found = next((_WRAPPERS[package] for package in packages if package in _WRAPPERS), None)
    if found is None:
        logger.warning(
            "wrap_agent: an agent of Pydantic AI, OpenAI Agents or LangGraph expected, got %s.%s: it is not traced",
            type(agent).__module__,
            type(agent).__qualname__,
        )
        return agent
    module, name = found
    wrapped: C | None = guarded(getattr(import_module(module), name))(agent, session)
    return agent if wrapped is None else wrapped
