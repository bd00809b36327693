"""The session of what runs now, and what is measured of it besides calls to models.

from fallom import trace

trace.set_session("my-agent", session_id, customer_id="user-42")
trace.span({"user_satisfaction": 4})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fallom import runtime
from fallom.context import SessionContext, current_session, set_current_session

__all__ = ["SessionContext", "clear_session", "get_session", "init", "set_session", "shutdown", "span"]


def init(
    api_key: str | None = None,
    base_url: str | None = None,
    capture_content: bool | None = None,
    debug: bool | None = None,
) -> None:
    """Begin to trace, without configs and prompts; ``fallom.init`` does all."""
    runtime.extend({"trace"}, api_key=api_key, traces_url=base_url, capture_content=capture_content, debug=debug)


def shutdown() -> None:
    """Send what waits and end, as ``fallom.shutdown``."""
    runtime.stop()


def set_session(
    config_key: str,
    session_id: str,
    customer_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
) -> None:
    """Make this the session of what follows in this thread or task; what it starts, as a task, inherits it.

    Threads of an executor do with ``fallom.context.propagate``.

    >>> from fallom import trace
    >>> trace.set_session("my-agent", "session-1", customer_id="user-42")
    >>> trace.get_session()
    {'config_key': 'my-agent', 'session_id': 'session-1', 'customer_id': 'user-42'}
    >>> trace.clear_session()
    """
    set_current_session(SessionContext(config_key, session_id, customer_id or None, metadata, tags))


def get_session() -> dict[str, Any] | None:
    """Return what is known of the current session, or None."""
    session = current_session()
    if session is None:
        return None
    return {name: value for name, value in session._asdict().items() if value is not None}


def clear_session() -> None:
    """Let what follows belong to no session."""
    set_current_session(None)


def span(data: Mapping[str, Any], config_key: str | None = None, session_id: str | None = None) -> None:
    """Record custom metrics of a session, the current one if none is named; the latest value of a name counts.

    Values are numbers, booleans and texts. Raises ValueError where no session is named and none is current, TypeError
    for data that is no mapping.

    >>> from fallom import trace
    >>> trace.span({"score": 0.8, "converted": True}, config_key="my-agent", session_id="session-1")
    """
    session = current_session()
    if session is not None:
        config_key, session_id = config_key or session.config_key, session_id or session.session_id
    if not config_key or not session_id:
        raise ValueError("no session: call trace.set_session() first, or pass config_key and session_id")
    if not isinstance(data, Mapping):
        raise TypeError(f"data: a mapping of names to values expected, got {type(data).__name__}")
    outbox = runtime.current().outbox
    if outbox is not None:
        outbox.record(config_key, session_id, data)
