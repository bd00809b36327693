"""Which model a session gets: from the config that was fetched last, without a call, a thread or a lock.

from fallom import models

model = models.get("my-agent", session_id, fallback="gpt-4o-mini")
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fallom import runtime
from fallom.assignment import Assignment
from fallom.context import SessionContext, current_session, set_current_session
from fallom.errors import ConfigNotFoundError
from fallom.plan import Plan, fallback_assignment
from fallom.runtime import Runtime

logger = logging.getLogger("fallom")

FIRST_FETCH_TIMEOUT_S = 2.0
RECENT_MAX = 10_000
_new_tuple = tuple.__new__

__all__ = ["Assignment", "assign", "get", "init", "ready"]


def init(api_key: str | None = None, base_url: str | None = None) -> None:
    """Begin to fetch configs, without tracing; ``fallom.init`` does all. Optional: the first ``get`` does it, too.

    >>> from fallom import models
    >>> models.init(api_key="key", base_url="http://localhost:4318")
    """
    runtime.extend({"models"}, api_key=api_key, configs_url=base_url)


def ready(timeout_s: float = FIRST_FETCH_TIMEOUT_S) -> bool:
    """Wait until the server's configs are there, so long at most; return whether they are.

    For a short script, whose first ``get`` would come before the first answer and return the fallback.
    """
    return _runtime().wait_until_ready(timeout_s)


def get(
    config_key: str,
    session_id: str,
    version: int | None = None,
    fallback: str | None = None,
    customer_id: str | None = None,
    context: Mapping[str, Any] | None = None,
    debug: bool = False,
    *,
    request_id: str | None = None,
) -> str:
    """Return the session's model: the same one each time. Spans that follow in this context belong to the session.

    ``version`` pins a version of the config; ``customer_id`` and ``context`` are what targeting goes by;
    ``request_id`` is what a config that deals by request goes by. ``fallback`` is returned where there is no such
    config, or none could be fetched yet; without one that raises ConfigNotFoundError, a ValueError, after a wait of
    two seconds at most for the first fetch.

    >>> import fallom
    >>> fallom.models.get("my-agent", "session-1", fallback="gpt-4o-mini")
    'gpt-4o-mini'
    """
    if version is None and customer_id is None and context is None and not debug:
        current = runtime.current()
        known = current.recent.get((config_key, session_id))
        # Of another version of the config it would say nothing.
        if known is not None and known[0] is current.configs.latest.get(config_key) and request_id is None:
            if current_session() is not known[2]:
                _enter(config_key, session_id, None)
            return known[1][2]
    return assign(config_key, session_id, version, fallback, customer_id, context, debug, request_id=request_id)[2]


def assign(
    config_key: str,
    session_id: str,
    version: int | None = None,
    fallback: str | None = None,
    customer_id: str | None = None,
    context: Mapping[str, Any] | None = None,
    debug: bool = False,
    *,
    request_id: str | None = None,
) -> Assignment:
    """Do as ``get``, and return all that is known: variant_index, variant_key, model, reason.

    >>> import fallom
    >>> fallom.models.assign("my-agent", "session-1", fallback="gpt-4o-mini")
    Assignment(variant_index=-1, variant_key='gpt-4o-mini', model='gpt-4o-mini', reason='fallback')
    """
    current = runtime.current()
    plan = current.configs.latest.get(config_key) if version is None else None
    if plan is None:
        plan = _found(config_key, version, fallback)
        current = runtime.current()
    assignment: Assignment | None = None
    if plan is not None:
        try:
            assignment = plan.assign(session_id, customer_id, context, request_id)
        except Exception as error:
            if fallback is None:
                raise
            current.fallbacks.count(config_key, f"could not be assigned: {type(error).__name__}")
    if assignment is None:
        # Where there is neither a plan nor a fallback, _found has raised.
        plan, assignment = None, fallback_assignment(fallback or "")
    if current.outbox is not None:
        reported_version = plan.version if plan is not None else None
        current.outbox.expose(config_key, reported_version, session_id, assignment, customer_id)
    _enter(config_key, session_id, customer_id)
    if plan is not None and version is None and customer_id is None and context is None and request_id is None:
        _remember(current, config_key, session_id, plan, assignment)
    if debug:
        logger.warning("%s, session %s: %s", config_key, session_id, assignment)
    return assignment


def _remember(current: Runtime, config_key: str, session_id: str, plan: Plan, assignment: Assignment) -> None:
    """Keep what follows from the config and the session alone, and has been reported, for the next call."""
    if len(current.recent) >= RECENT_MAX:
        current.recent.clear()
    current.recent[config_key, session_id] = (plan, assignment, current_session())


def _enter(config_key: str, session_id: str, customer_id: str | None) -> None:
    """Make the session the one of what follows; of one that is known already, customer and tags stay."""
    session = current_session()
    if session is None or session[1] != session_id:
        # As SessionContext(...) does, in a third of its time.
        set_current_session(_new_tuple(SessionContext, (config_key, session_id, customer_id, None, None)))
    elif session[0] != config_key or (customer_id is not None and session[2] != customer_id):
        set_current_session(
            session._replace(config_key=config_key, customer_id=customer_id if customer_id is not None else session[2])
        )


def _runtime() -> Runtime:
    if runtime.current().is_never_begun:
        init()
    return runtime.current()


def _found(config_key: str, version: int | None, fallback: str | None) -> Plan | None:
    """Return the plan where the first look found none. Raises ConfigNotFoundError if there is no fallback either."""
    current = _runtime()
    plan = _lookup(current, config_key, version)
    if plan is None and fallback is None and current.wait_until_tried(FIRST_FETCH_TIMEOUT_S):
        plan = _lookup(current, config_key, version)
    if plan is None and fallback is None:
        name = f"config {config_key!r}" if version is None else f"version {version} of config {config_key!r}"
        raise ConfigNotFoundError(
            f"{name} is not known, {current.why_unknown()}: pass fallback= to go on with a model of your own"
        )
    if plan is None and current.sync is not None:
        current.fallbacks.count(config_key, f"not known, {current.why_unknown()}")
    return plan


def _lookup(current: Runtime, config_key: str, version: int | None) -> Plan | None:
    if version is None:
        return current.configs.latest.get(config_key)
    plan = current.configs.pinned.get((config_key, version))
    if plan is None and current.sync is not None and current.configs.want(config_key, version):
        current.sync.worker.wake()
    return plan
