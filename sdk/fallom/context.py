"""Which session the code that runs now works for: kept by thread and by asyncio task, in context variables."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class SessionContext(NamedTuple):
    """A session: the config it is part of, its id, and whose it is. It never changes.

    >>> SessionContext("my-agent", "session-1", "user-42").customer_id
    'user-42'
    """

    config_key: str
    session_id: str
    customer_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    tags: Sequence[str] | None = None


class PromptTag(NamedTuple):
    """The prompt that the next call to a model is made with; of a prompt test also the test and the variant."""

    prompt_key: str
    prompt_version: int
    ab_test_key: str | None = None
    variant_index: int | None = None


_session: contextvars.ContextVar[SessionContext | None] = contextvars.ContextVar("fallom_session", default=None)
# A list of one tag, emptied by who takes it: tasks and threads inherit the list, so the tag is used once among them.
_prompt: contextvars.ContextVar[list[PromptTag] | None] = contextvars.ContextVar("fallom_prompt", default=None)

current_session = _session.get
"""Return the session of the code that runs now, or None."""

set_current_session = _session.set
"""Make a session, or None, the one of the code that runs now, until it is set again in this context."""


@contextmanager
def use_session(context: SessionContext | None) -> Iterator[SessionContext | None]:
    """Make a session the current one within a block, and the one before it after that.

    >>> with use_session(SessionContext("my-agent", "session-1")):
    ...     current_session().session_id
    'session-1'
    >>> current_session() is None
    True
    """
    before = _session.get()
    token = _session.set(context)
    try:
        yield context
    finally:
        try:
            _session.reset(token)
        except ValueError:
            # A generator's block may be left in another context than it was entered in.
            _session.set(before)


def set_prompt_tag(tag: PromptTag | None) -> None:
    """Mark the next call to a model as made with this prompt; None takes back the mark."""
    _prompt.set(None if tag is None else [tag])


def peek_prompt_tag() -> PromptTag | None:
    """Return the prompt that the next call is marked with, and leave the mark."""
    held = _prompt.get()
    return held[0] if held else None


def take_prompt_tag() -> PromptTag | None:
    """Return the prompt that this call is marked with, once; None where there is none, or it was taken."""
    held = _prompt.get()
    if not held:
        return None
    try:
        return held.pop()
    except IndexError:
        # Another thread was quicker.
        return None


class ContextExecutor(Executor):
    """An executor whose calls run in the context of who submitted them: the same session, and the same span above."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` by the executor within a copy of this context."""
        return self._executor.submit(partial(contextvars.copy_context().run, fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the executor down."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)


def propagate(executor: Executor) -> ContextExecutor:
    """Return an executor over threads that takes the session along, which a plain one does not.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with use_session(SessionContext("my-agent", "session-1")), propagate(ThreadPoolExecutor(1)) as executor:
    ...     executor.submit(current_session).result().session_id
    'session-1'
    """
    return ContextExecutor(executor)
