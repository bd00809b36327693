"""What watches a stream of a provider's client, while the host has the stream itself.

The iterator within the stream is replaced by one that hands on each chunk and looks at it; closing is noticed at the
HTTP response, whose ``close`` every way to end a stream early comes to. The stream's class stays what it is.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from fallom.call_span import CallSpan
from fallom.guard import guarded, tell
from fallom.wrappers.reading import Chunks

Hides = Callable[[Any], bool]


class Watch:
    """One stream's call, and what was read of it. A stream that is not read to its end is no error."""

    __slots__ = ("_call", "_chunks", "_hides", "_latest_unix_nano", "is_reading")

    def __init__(self, call: CallSpan, chunks: Chunks | None, hides: Hides | None = None) -> None:
        self._call = call
        self._chunks = chunks
        self._hides = hides
        self._latest_unix_nano: int | None = None
        self.is_reading = False

    def see(self, chunk: Any) -> bool:
        """Look at a chunk; return whether the host gets it."""
        self._latest_unix_nano = time.time_ns()
        try:
            if self._chunks is not None and self._chunks.add(chunk) and not self._call.has_content:
                self._call.first_content()
        except Exception:
            tell("Chunks.add")
        return self._hides is None or not self._is_hidden(chunk)

    def end(self) -> None:
        """End the call: the stream is over."""
        if not self._call.is_ended:
            self._call.finish(self._said())

    def leave(self) -> None:
        """End the call of a stream that nobody reads on: with its latest chunk, however long it was kept after that."""
        if not self._call.is_ended:
            self._call.finish(self._said(), end_unix_nano=self._latest_unix_nano)

    def fail(self, error: BaseException) -> None:
        """End the call with an error that came while the stream was read."""
        if not self._call.is_ended:
            self._call.fail(error, self._said())

    def closed(self) -> None:
        """Notice that the response was closed: by its reader, or, while it is read, by the stream itself."""
        if not self.is_reading:
            self.leave()

    @guarded
    def _is_hidden(self, chunk: Any) -> bool:
        return self._hides is not None and self._hides(chunk)

    @guarded
    def _said(self) -> dict[str, Any] | None:
        return None if self._chunks is None else self._chunks.attributes()


def step(advance: Callable[[], Any], watch: Watch) -> Any:
    """Return the next chunk that the host gets."""
    while True:
        watch.is_reading = True
        try:
            chunk = advance()
        except StopIteration:
            watch.end()
            raise
        except BaseException as error:
            watch.fail(error)
            raise
        finally:
            watch.is_reading = False
        if watch.see(chunk):
            return chunk


async def step_async(advance: Callable[[], Awaitable[Any]], watch: Watch) -> Any:
    """Return the next chunk that the host gets, of an asynchronous stream."""
    while True:
        watch.is_reading = True
        try:
            chunk = await advance()
        except StopAsyncIteration:
            watch.end()
            raise
        except BaseException as error:
            watch.fail(error)
            raise
        finally:
            watch.is_reading = False
        if watch.see(chunk):
            return chunk


class WatchedIterator:
    """An iterator that hands on each chunk of another. The call ends with it, at the latest when it is dropped."""

    def __init__(self, iterator: Iterator[Any], watch: Watch) -> None:
        self._iterator = iterator
        self._watch = watch

    def __iter__(self) -> WatchedIterator:
        return self

    def __next__(self) -> Any:
        return step(self._iterator.__next__, self._watch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._iterator, name)

    def __del__(self) -> None:
        self._watch.leave()


class WatchedAsyncIterator:
    """The same for ``async for``."""

    def __init__(self, iterator: AsyncIterator[Any], watch: Watch) -> None:
        self._iterator = iterator
        self._watch = watch

    def __aiter__(self) -> WatchedAsyncIterator:
        return self

    async def __anext__(self) -> Any:
        return await step_async(self._iterator.__anext__, self._watch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._iterator, name)

    def __del__(self) -> None:
        self._watch.leave()


def is_stream(answer: Any) -> bool:
    """Return whether an answer is a stream that keeps what it reads in ``_iterator``."""
    # Not by hasattr: to ask a model of pydantic's for what it lacks takes long.
    return "_iterator" in getattr(answer, "__dict__", ()) or hasattr(type(answer), "_iterator")


@guarded
def watch_stream(stream: Any, watch: Watch) -> bool:
    """Watch a stream; None where it can't be."""
    iterator = stream._iterator
    is_async = hasattr(iterator, "__anext__")
    stream._iterator = WatchedAsyncIterator(iterator, watch) if is_async else WatchedIterator(iterator, watch)
    watch_close(stream.response, watch)
    return True


def watch_iteration(stream: Any, watch: Watch) -> Any:
    """Return a stream that is its own iterator, watched: of a subclass that is the same otherwise."""
    kind: Any = type(stream)
    stream.__class__ = _iterated(kind)
    vars(stream)[_WATCH] = watch
    return stream


@functools.cache
def _iterated(kind: Any) -> type:
    """Return a class of streams that are the same, and show each chunk to their watch."""

    def following(self: Any) -> Any:
        return step(functools.partial(kind.__next__, self), vars(self)[_WATCH])

    async def following_async(self: Any) -> Any:
        return await step_async(functools.partial(kind.__anext__, self), vars(self)[_WATCH])

    def drop(self: Any) -> None:
        vars(self)[_WATCH].leave()

    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind,), {**names, "__next__": following, "__anext__": following_async, "__del__": drop})


@guarded
def watch_close(response: Any, watch: Watch) -> None:
    """Notice when an HTTP response is closed."""
    kind: Any = type(response)
    response.__class__ = _watched(kind)
    vars(response)[_WATCH] = watch


_WATCH = "_fallom_watch"


# A subclass, not methods put into the response: it would hold itself, and be closed by the garbage collector only.
@functools.cache
def _watched(kind: type) -> type:
    """Return a class of responses that are the same, and tell their watch when they are closed."""

    def close(self: Any) -> None:
        try:
            kind.close(self)  # type: ignore[attr-defined]  # a response of any HTTP library
        finally:
            _tell(self)

    async def aclose(self: Any) -> None:
        try:
            await kind.aclose(self)  # type: ignore[attr-defined]  # a response of any HTTP library
        finally:
            _tell(self)

    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind,), {**names, "close": close, "aclose": aclose})


def _tell(response: Any) -> None:
    watch = vars(response).get(_WATCH)
    if watch is not None:
        watch.closed()
