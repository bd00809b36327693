"""Functions that are traced from the outside: where a library has no one place through which all calls go."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fallom.call_span import CallSpan, begin_call
from fallom.context import SessionContext
from fallom.guard import guarded
from fallom.wrappers.reading import Api, Attributes
from fallom.wrappers.streams import Hides, Watch, WatchedAsyncIterator, WatchedIterator

ReadCall = Callable[[tuple[Any, ...], dict[str, Any]], Mapping[str, Any]]
WatchStream = Callable[[Any, Watch], Any]
Ask = Callable[[dict[str, Any]], tuple[dict[str, Any], Hides] | None]

_REFUSED = object()


def traced(
    send: Callable[..., Any],
    session: SessionContext,
    api: Api,
    read_call: ReadCall,
    *,
    described: Attributes | None = None,
    streams: bool = False,
    watch: WatchStream | None = None,
    ask: Ask | None = None,
) -> Callable[..., Any]:
    """Return a function that calls ``send``, each time within the span of a call.

    ``read_call`` makes of its arguments the request that ``api`` reads; ``described`` are attributes of every request.
    ``streams`` says that it always answers with a stream; ``watch`` watches one, and returns it. ``ask`` returns the
    arguments by which a stream tells its usage, and which chunks come only because of them; None to leave them. What a
    server refuses then is asked again as the host asked it.
    """
    asking = guarded(ask) if ask is not None else _asks_nothing
    sending = _Sending(
        session, api, read_call, described or {}, streams=streams, watch=watch or _watched, asking=asking
    )
    is_async = inspect.iscoroutinefunction(send)
    return functools.wraps(send)(_asynchronous(send, sending) if is_async else _synchronous(send, sending))


def _synchronous(send: Callable[..., Any], sending: _Sending) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        span = sending.begin(args, kwargs)
        if span is None:
            return send(*args, **kwargs)
        asked = sending.asking(kwargs)
        with span:
            try:
                answer = send(*args, **(kwargs if asked is None else asked[0]))
            except Exception as error:
                if asked is None or not _is_refusal(error):
                    raise
                answer, asked = _REFUSED, None
            if answer is _REFUSED:
                answer = send(*args, **kwargs)
        hides = None if asked is None else asked[1]
        if inspect.isawaitable(answer):
            return sending.when_here(span, answer, hides)
        return sending.attend(span, answer, hides)

    return call


def _asynchronous(send: Callable[..., Any], sending: _Sending) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        span = sending.begin(args, kwargs)
        if span is None:
            return await send(*args, **kwargs)
        asked = sending.asking(kwargs)
        with span:
            try:
                answer = await send(*args, **(kwargs if asked is None else asked[0]))
            except Exception as error:
                if asked is None or not _is_refusal(error):
                    raise
                answer, asked = _REFUSED, None
            if answer is _REFUSED:
                answer = await send(*args, **kwargs)
        return sending.attend(span, answer, None if asked is None else asked[1])

    return call


class _Sending:
    """What belongs to all calls of one function."""

    def __init__(
        self,
        session: SessionContext,
        api: Api,
        read_call: ReadCall,
        described: Attributes,
        *,
        streams: bool,
        watch: WatchStream,
        asking: Ask,
    ) -> None:
        self._session = session
        self._api = api
        self._read_call = read_call
        self._described = described
        self._streams = streams
        self._watch = watch
        self.asking = asking

    @guarded
    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallSpan | None:
        """Return the span of a call; None where nothing is recorded."""
        body = self._read_call(args, kwargs)
        model = body.get("model")
        streamed = {"gen_ai.request.stream": True} if self._streams or body.get("stream") is True else {}

        def read_request(captures: bool) -> Attributes:
            return {**self._described, **streamed, **self._api.request(body, captures=captures)}

        return begin_call(self._session, self._api.operation, model if isinstance(model, str) else None, read_request)

    async def when_here(self, span: CallSpan, answer: Awaitable[Any], hides: Hides | None) -> Any:
        """Return what comes of a function that is asynchronous without saying so, as decorated ones are."""
        with span:
            here = await answer
        return self.attend(span, here, hides)

    def attend(self, span: CallSpan, answer: Any, hides: Hides | None = None) -> Any:
        """Return the answer, read if it is whole, watched if it is a stream. The call ends in any case."""
        if is_iterated(answer):
            watch = Watch(span, guarded(self._api.chunks)(captures=span.captures), hides)
            watched = guarded(self._watch)(answer, watch)
            if watched is not None:
                return watched
            span.finish()
            return answer
        span.finish(guarded(self._api.answer)(answer, captures=span.captures))
        return answer


def is_iterated(answer: Any) -> bool:
    """Return whether an answer comes in pieces."""
    is_iterator = hasattr(answer, "__next__") or hasattr(answer, "__anext__")
    return is_iterator or getattr(answer, "_iterator", None) is not None


def _watched(stream: Any, watch: Watch) -> Any:
    return WatchedAsyncIterator(stream, watch) if hasattr(stream, "__anext__") else WatchedIterator(stream, watch)


def _asks_nothing(_kwargs: dict[str, Any]) -> None:
    return None


def _is_refusal(error: Exception) -> bool:
    return getattr(error, "status_code", None) in (400, 422)
