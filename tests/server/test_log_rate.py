"""The limit on lines that requests cause."""

import logging

import pytest

from server import log_rate
from server.log_rate import LINES_MAX, LineLimit


def record(name: str = "uvicorn.error", line: int = 1, text: str = "100% invalid", *args: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, "here.py", line, text, args, None)


def passed(limit: LineLimit, count: int, name: str = "uvicorn.error", line: int = 1) -> int:
    return sum(limit.filter(record(name, line)) for _ in range(count))


def test_of_one_place_so_many_lines_pass() -> None:
    limit = LineLimit()

    assert passed(limit, LINES_MAX + 50) == LINES_MAX
    assert passed(limit, 1, line=2) == 1


def test_lines_of_the_servers_own_state_all_pass() -> None:
    assert passed(LineLimit(), LINES_MAX + 50, "collector.quarantine") == LINES_MAX + 50


@pytest.mark.parametrize(("text", "args"), [("100% invalid", ()), ("%s invalid", ("100%",))])
def test_after_the_window_the_first_line_tells_how_many_were_left_out(
    monkeypatch: pytest.MonkeyPatch, text: str, args: tuple[object, ...]
) -> None:
    now_s = 1.0
    monkeypatch.setattr(log_rate.time, "monotonic", lambda: now_s)
    limit = LineLimit()
    passed(limit, LINES_MAX + 7)
    now_s += log_rate.WINDOW_S + 1
    first, second = record("uvicorn.error", 1, text, *args), record("uvicorn.error", 1, text, *args)

    assert limit.filter(first)
    assert limit.filter(second)
    assert first.getMessage() == "100% invalid (7 such lines before it were left out)"
    assert second.getMessage() == "100% invalid"
