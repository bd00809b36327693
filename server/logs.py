"""The server's log: one line an event on stderr, JSON or readable, with nothing in it that a client sent.

Content can come into a log by the text of an exception: a library's error quotes the value that it could not read, the
statement that it could not run. So of an exception that is logged, as an argument or by its traceback, its type and
place are kept, and its text only where it is known to hold none: errors of the operating system, and our own errors of
storage, of these up to the first quote; of a statement that failed, the kind of its error. Modules log through
``logging``, as libraries do; structlog's formatter turns all records, theirs, uvicorn's and grpc's, into lines.
"""

import asyncio
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Mapping
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from server.log_rate import LineLimit
from storage.errors import QueryError, StorageError
from storage.registry.errors import RegistryBusyError, RegistryUnavailableError

OWN = ("analytics", "collector", "fallom", "schemas", "server", "storage")
_UNQUOTED = re.compile(r"""[^"'`\n]*""")
_NO_OBJECT = re.compile(r"""[^"'`<(\n]+""")
_KIND = re.compile(r"[A-Z][A-Za-z ]{0,40} Error")
_CAUSES_MAX = 5
_FRAMES_MAX = 30


def configure(level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Send all records to ``stream``, or stderr; ``level`` is for our own, libraries are heard from INFO on."""
    # grpc's core writes lines of its own to stderr, one for each broken connection.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.addFilter(LineLimit())
    handler.setFormatter(_formatter(_is_json(log_format, stream), has_colours=stream.isatty()))
    numeric = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(numeric, logging.INFO), handlers=[handler], force=True)
    for name in OWN:
        logging.getLogger(name).setLevel(numeric)
    # They tell of their own start and stop, and of each request; so do we, as far as it is worth it.
    for talkative in ("uvicorn", "alembic", "httpx"):
        logging.getLogger(talkative).setLevel(max(numeric, logging.WARNING))
    # A stderr that can't be written to must not be written to about that.
    logging.raiseExceptions = False
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    sys.unraisablehook = _log_unraisable


def log_loop_error(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Log what asyncio says of an error that nobody awaited, without the objects involved, which may hold anything."""
    said = _NO_OBJECT.match(str(context.get("message", "")))
    logging.getLogger("asyncio").error("%s", said[0] if said else "an error", exc_info=context.get("exception"))


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Replaces the exceptions among a record's arguments before the text is made of them."""

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.args, tuple) and any(isinstance(arg, BaseException) for arg in record.args):
            record.args = tuple(describe(arg) if isinstance(arg, BaseException) else arg for arg in record.args)
        return super().format(record)


def describe(error: BaseException) -> str:
    """Return what may be logged of an exception."""
    if isinstance(error, OSError) and error.errno is not None:
        return str(error)
    name, text = type(error).__name__, str(error)
    if isinstance(error, QueryError):
        kind = _KIND.match(text)
        return f"{name}: {kind[0]}" if kind else name
    if isinstance(error, StorageError | RegistryUnavailableError | RegistryBusyError):
        return f"{name}: {_UNQUOTED.match(text)[0]}"  # type: ignore[index]
    return name


def _formatter(is_json: bool, *, has_colours: bool) -> logging.Formatter:
    before: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_exception_text,
    ]
    if is_json:
        rendering: list[Any] = [_in_order, structlog.processors.JSONRenderer(serializer=_dumps)]
    else:
        rendering = [structlog.dev.ConsoleRenderer(colors=has_colours)]
    return _Formatter(
        foreign_pre_chain=before, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering]
    )


def _without_exception_text(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Put the types and places of an exception and its causes where its traceback would be."""
    info = event.pop("exc_info", None)
    event.pop("stack_info", None)
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["exception"] = describe(error)
        event["traceback"] = _places(error)
    return event


def _places(error: BaseException) -> list[str]:
    places: list[str] = []
    cause: BaseException | None = error
    for _ in range(_CAUSES_MAX):
        if cause is None:
            break
        if cause is not error:
            places.append(f"caused by {describe(cause)}")
        frames = traceback.extract_tb(cause.__traceback__)
        places += [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames[-_FRAMES_MAX:]]
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return places


def _in_order(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    first = ("timestamp", "level", "logger", "event")
    return {**{name: event[name] for name in first if name in event}, **event}


def _dumps(event: object, **_: Any) -> str:
    return orjson.dumps(event, default=lambda value: type(value).__name__).decode()


def _is_json(log_format: str, stream: TextIO) -> bool:
    return log_format == "json" or (log_format == "auto" and not stream.isatty())


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("fallom").critical("ended by an error that nobody foresaw", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(found: threading.ExceptHookArgs) -> None:
    name = found.thread.name if found.thread else "?"
    logging.getLogger("fallom").critical(
        "thread %s ended by an error that nobody foresaw", name, exc_info=found.exc_value
    )


def _log_unraisable(found: Any) -> None:
    logging.getLogger("fallom").error("an error where none can be raised", exc_info=found.exc_value)
