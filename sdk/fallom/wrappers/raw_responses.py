"""Answers that the host reads itself: ``with_raw_response`` and ``with_streaming_response``.

They are read with the host, never before it: when it parses the answer, the call is told what the answer says. A body
that is read as bytes, lines or a text tells nothing until it is closed; if it was read whole, it is parsed then.
"""

from __future__ import annotations

import inspect
import json
import time
import weakref
from collections.abc import Awaitable
from typing import Any

from fallom.call_span import CallSpan
from fallom.guard import guarded
from fallom.wrappers.reading import Api, Attributes
from fallom.wrappers.streams import Watch, is_stream, watch_close, watch_stream

HEADER = "X-Stainless-Raw-Response"
"""What these libraries mark such requests with."""


def is_raw_response(answer: Any) -> bool:
    """Return whether an answer is one over an HTTP response, which is still to be parsed."""
    return callable(getattr(type(answer), "parse", None)) and hasattr(answer, "http_response")


def watch_raw_response(answer: Any, api: Api, call: CallSpan) -> bool:
    """Watch what the host does with the answer."""
    response = answer.http_response
    if getattr(response, "is_closed", False) and hasattr(response, "_content"):
        # It is here, whole: it was read before the host got it.
        call.finish(api.answer(json.loads(response.content), captures=call.captures))
        return True
    reading = _Reading(response, api, call)
    watch_close(response, reading)
    kind, held = type(answer), weakref.ref(answer)

    def parse(**kwargs: Any) -> Any:
        parsed = kind.parse(held(), **kwargs)
        if inspect.isawaitable(parsed):
            return reading.when_parsed(parsed)
        reading.take(parsed)
        return parsed

    answer.parse = parse
    return True


class _Reading(Watch):
    """What the host reads, until it closes it."""

    __slots__ = ("_api", "_closed_unix_nano", "_response", "_streams")

    def __init__(self, response: Any, api: Api, call: CallSpan) -> None:
        super().__init__(call, None)
        self._response = weakref.ref(response)
        self._api = api
        self._closed_unix_nano: int | None = None
        self._streams = False

    async def when_parsed(self, parsed: Awaitable[Any]) -> Any:
        """Return what an asynchronous ``parse`` gives."""
        answer = await parsed
        self.take(answer)
        return answer

    def take(self, parsed: Any) -> None:
        """Take what the host has parsed: an answer, or a stream."""
        if is_stream(parsed):
            self._streams = self._watch(parsed) is not None
        else:
            self._call.finish(self._answered(parsed))

    def closed(self) -> None:
        """End the call, unless a stream still does. A body that is read whole is closed just before it is here."""
        if self._streams or self._call.is_ended:
            return
        said = self._read_whole()
        if said is None and self._closed_unix_nano is None:
            self._closed_unix_nano = time.time_ns()
        else:
            self._call.finish(said, end_unix_nano=self._closed_unix_nano)

    def __del__(self) -> None:
        if not self._streams:
            self._call.finish(end_unix_nano=self._closed_unix_nano)

    @guarded
    def _watch(self, stream: Any) -> bool | None:
        return watch_stream(stream, Watch(self._call, guarded(self._api.chunks)(captures=self._call.captures)))

    @guarded
    def _answered(self, answer: Any) -> Attributes:
        return self._api.answer(answer, captures=self._call.captures)

    @guarded
    def _read_whole(self) -> Attributes | None:
        """Return what the body says, if it is here: not where it was read in pieces, or not at all."""
        content = getattr(self._response(), "_content", None)
        return None if content is None else self._answered(json.loads(content))
