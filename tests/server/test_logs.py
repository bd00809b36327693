"""The log's lines: JSON or text, and of an exception only what can hold nothing that a client sent."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from server import logs
from storage.errors import LakeError, QueryRefusedError
from storage.registry.errors import DocumentError, RegistryUnavailableError

SECRET = "m4rk3d"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log goes, as JSON and at debug level, for the time of a test."""
    root = logging.getLogger()
    kept = root.handlers[:], root.level, sys.excepthook, threading.excepthook, sys.unraisablehook
    stream = io.StringIO()
    logs.configure("debug", "json", stream)
    yield stream
    root.handlers[:], root.level, sys.excepthook, threading.excepthook, sys.unraisablehook = kept
    logging.captureWarnings(capture=False)
    logging.raiseExceptions = True
    for name in logs.OWN:
        logging.getLogger(name).setLevel(logging.NOTSET)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail(error: Exception) -> None:
    raise error


def test_a_record_is_one_line_of_json(stream: io.StringIO) -> None:
    logging.getLogger("collector.log").warning("%s holds\n%d rows", "spans", 3)

    line = lines(stream)[0]
    assert list(line) == ["timestamp", "level", "logger", "event"]
    assert (line["level"], line["logger"], line["event"]) == ("warning", "collector.log", "spans holds\n3 rows")
    assert stream.getvalue().count("\n") == 1


def test_an_exception_keeps_its_type_and_places_and_loses_its_text(stream: io.StringIO) -> None:
    try:
        try:
            int(SECRET)
        except ValueError as error:
            raise RuntimeError(SECRET) from error
    except RuntimeError:
        logging.getLogger("collector").exception("a batch could not be exported")

    line = lines(stream)[0]
    assert line["exception"] == "RuntimeError"
    assert line["traceback"][0].endswith(
        f"in {test_an_exception_keeps_its_type_and_places_and_loses_its_text.__name__}"
    )
    assert "caused by ValueError" in line["traceback"]
    assert SECRET not in stream.getvalue()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (LakeError(f"table spans can't be read: bad value '{SECRET}"), "LakeError: table spans can't"),
        (LakeError("no such version\nLINE 1: " + SECRET), "LakeError: no such version"),
        (
            QueryRefusedError(f"Catalog Error: Table with name {SECRET} does not exist"),
            "QueryRefusedError: Catalog Error",
        ),
        (QueryRefusedError(SECRET), "QueryRefusedError"),
        (RegistryUnavailableError("the database is locked"), "RegistryUnavailableError: the database is locked"),
        (DocumentError([]), "DocumentError"),
        (KeyError(SECRET), "KeyError"),
        (OSError(SECRET), "OSError"),
    ],
)
def test_what_is_logged_of_an_error(error: Exception, expected: str, stream: io.StringIO) -> None:
    logging.getLogger("fallom").error("it failed: %s", error)

    assert lines(stream)[0]["event"] == "it failed: " + expected.replace("can't", "can")
    assert SECRET not in stream.getvalue()


def test_libraries_are_not_heard_below_info(stream: io.StringIO) -> None:
    logging.getLogger("numba.core").debug("%s", SECRET)
    logging.getLogger("collector.log").debug("ours")

    assert [line["event"] for line in lines(stream)] == ["ours"]


def test_an_error_that_ends_a_thread_is_a_line_without_its_text(stream: io.StringIO) -> None:
    thread = threading.Thread(target=fail, args=(ValueError(SECRET),), name="committer-spans")
    thread.start()
    thread.join()

    assert lines(stream)[0]["event"] == "thread committer-spans ended by an error that nobody foresaw"
    assert SECRET not in stream.getvalue()


def test_what_asyncio_says_of_a_lost_error_does_not_show_it(stream: io.StringIO) -> None:
    async def lose() -> None:
        asyncio.get_running_loop().set_exception_handler(logs.log_loop_error)
        asyncio.get_running_loop().call_soon(fail, ValueError(SECRET))
        await asyncio.sleep(0.01)

    asyncio.run(lose())

    line = lines(stream)[0]
    assert (line["event"], line["exception"]) == ("Exception in callback fail", "ValueError")
    assert SECRET not in stream.getvalue()


def test_text_is_written_where_it_is_asked_for(stream: io.StringIO) -> None:
    text = io.StringIO()
    logs.configure("info", "text", text)
    logging.getLogger("fallom").info("stopped")
    logging.getLogger("fallom").debug("not at this level")

    assert "[info     ] stopped" in text.getvalue()
    assert "not at this level" not in text.getvalue()
    assert stream.getvalue() == ""
